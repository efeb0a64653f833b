//! A request, read by references. Bodies are parsed when they are first asked for; names that come twice
//! with different values are refused, since two readers could see two messages.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use http::{HeaderName, HeaderValue};

use super::template::{Part, Place, Reference, Template};
use crate::channel::{Rejection, quote};
use crate::form::{Form, FormError, Limits};
use crate::json::{Json, JsonError, Pointer};
use crate::model::RawRequest;
use crate::platforms::crc32::crc32;
use crate::signature::digest::Piece;

/// Largest body, in bytes: a batch of 250 events has some hundred kilobytes.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;

/// Most pairs of a form or query.
const PAIRS_MAX: usize = 256;

/// Longest query that is read, in bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// What the message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// A body of JSON.
    Json,
    /// A body of `application/x-www-form-urlencoded`.
    Form,
    /// The query of the URL; there is no body.
    Query,
}

/// A message, read.
pub(super) enum Body<'r> {
    /// JSON.
    Json(Json),
    /// Pairs, each name once.
    Form(Form<'r>),
}

/// Where a message comes from.
#[derive(Clone, Copy)]
enum Source<'r> {
    /// The platform sent it, or somebody else.
    Request(&'r RawRequest),
    /// The platform answered it.
    Answer(&'r [u8]),
}

/// A request or an answer, and what was read of it so far.
pub(super) struct Message<'r> {
    source: Source<'r>,
    form: BodyForm,
    body: OnceCell<Result<Body<'r>, Rejection>>,
    query: OnceCell<Result<Form<'r>, Rejection>>,
    /// Pairs beside the signature.
    sig: OnceCell<Vec<(String, String)>>,
}

impl<'r> Message<'r> {
    /// A request.
    pub(super) fn new(request: &'r RawRequest, form: BodyForm) -> Self {
        Self::of(Source::Request(request), form)
    }

    /// What the platform answered: JSON.
    pub(super) fn answer(body: &'r [u8]) -> Self {
        Self::of(Source::Answer(body), BodyForm::Json)
    }

    fn of(source: Source<'r>, form: BodyForm) -> Self {
        Self { source, form, body: OnceCell::new(), query: OnceCell::new(), sig: OnceCell::new() }
    }

    /// The bytes of the message.
    pub(super) fn bytes(&self) -> &'r [u8] {
        match (self.source, self.form) {
            (Source::Answer(body), _) => body,
            (Source::Request(request), BodyForm::Query) => request.query.as_deref().unwrap_or_default().as_bytes(),
            (Source::Request(request), _) => &request.body,
        }
    }

    /// Keeps the pairs that stood beside the signature. There is one carrier, so they are kept once.
    pub(super) fn set_sig(&self, pairs: Vec<(String, String)>) {
        self.sig.get_or_init(|| pairs);
    }

    /// The body, parsed.
    pub(super) fn body(&self) -> Result<&Body<'r>, Rejection> {
        self.body.get_or_init(|| self.read_body()).as_ref().map_err(Clone::clone)
    }

    fn read_body(&self) -> Result<Body<'r>, Rejection> {
        let bytes = self.bytes();
        match self.form {
            BodyForm::Form => {
                let limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: PAIRS_MAX };
                read_form(bytes, limits, "body").map(Body::Form)
            }
            BodyForm::Query => read_query(bytes).map(Body::Form),
            BodyForm::Json => match Json::parse(bytes) {
                Ok(json @ (Json::Object(_) | Json::List(_))) => Ok(Body::Json(json)),
                Ok(_) | Err(JsonError::Malformed) => Err(Rejection::Malformed { field: "body".into() }),
                Err(JsonError::Twice(name)) => Err(Rejection::Duplicate { field: quote(&name) }),
            },
        }
    }

    /// The value at a place; none when it is not there, or is a JSON null. Empty and blank values are there.
    pub(super) fn get<'m>(
        &'m self,
        reference: &Reference,
        item: Option<&'m Json>,
    ) -> Result<Option<Cow<'m, [u8]>>, Rejection> {
        let inside = |json: Option<&'m Json>, pointer: &Pointer| match json.and_then(|json| json.at(pointer)) {
            Some(value) => Ok(single(value, reference)?.map(|text| Cow::Borrowed(text.as_bytes()))),
            None => Ok(None),
        };
        let request = match (&reference.place, self.source) {
            (Place::Item(pointer), _) => return inside(item, pointer),
            (Place::Answer(pointer), Source::Answer(_)) => return inside(self.whole()?, pointer),
            (Place::Answer(_), Source::Request(_)) | (_, Source::Answer(_)) => return Ok(None),
            (_, Source::Request(request)) => request,
        };
        let bytes = |text: &'r str| Some(Cow::Borrowed(text.as_bytes()));
        Ok(match &reference.place {
            Place::Body => Some(Cow::Borrowed(request.body.as_ref())),
            Place::BodyCrc32 => Some(Cow::Owned(crc32(&request.body).to_string().into_bytes())),
            Place::Method => bytes(request.method.as_str()),
            Place::Path => bytes(&request.path),
            Place::Header(name) => header(request, name)?.map(Cow::Borrowed),
            Place::Query(name) => pair(self.query()?, name),
            Place::Form(name) => match self.body()? {
                Body::Form(form) => pair(form, name),
                Body::Json(_) => None,
            },
            Place::Sig(name) => self.beside_signature(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Place::Json(pointer) => inside(self.whole()?, pointer)?,
            // Both were answered above.
            Place::Item(_) | Place::Answer(_) => None,
        })
    }

    /// The whole of a JSON message.
    fn whole(&self) -> Result<Option<&Json>, Rejection> {
        match self.body()? {
            Body::Json(json) => Ok(Some(json)),
            Body::Form(_) => Ok(None),
        }
    }

    /// A pair beside the signature; it may come twice only with the same value.
    fn beside_signature(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut found =
            self.sig.get().into_iter().flatten().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(first) = found.next() else { return Ok(None) };
        if found.any(|other| other != first) {
            return Err(Rejection::Duplicate { field: quote(name) });
        }
        Ok(Some(first))
    }

    /// The value as text; none when it is not there, empty or blank.
    pub(super) fn text<'m>(
        &'m self,
        reference: &Reference,
        item: Option<&'m Json>,
    ) -> Result<Option<Cow<'m, str>>, Rejection> {
        let text = match self.get(reference, item)? {
            None => return Ok(None),
            Some(Cow::Borrowed(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Some(Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Cow::Owned),
        };
        Ok(Some(text.ok_or_else(|| malformed(reference))?).filter(|text| !text.trim().is_empty()))
    }

    /// A value as JSON has it; none for other places.
    pub(super) fn json<'m>(&'m self, reference: &Reference, item: Option<&'m Json>) -> Option<&'m Json> {
        match &reference.place {
            Place::Json(pointer) if matches!(self.source, Source::Request(_)) => self.whole().ok()??.at(pointer),
            Place::Answer(pointer) if matches!(self.source, Source::Answer(_)) => self.whole().ok()??.at(pointer),
            Place::Item(pointer) => item.and_then(|item| item.at(pointer)),
            _ => None,
        }
    }

    /// The signed text. A header or pair that is not there stops it; a JSON value that is not there is empty
    /// text, as the platforms that sign single values have it.
    pub(super) fn render<'m>(&'m self, template: &Template, item: Option<&'m Json>) -> Result<Rendered<'m>, Rejection> {
        if let [Part::Value(reference)] = template.0.as_slice()
            && let Some(text) = self.value(reference, item)?
        {
            return Ok(Rendered { text, secrets: Vec::new() });
        }
        let mut text = Vec::with_capacity(self.bytes().len() + 64);
        let mut secrets = Vec::new();
        for part in &template.0 {
            match part {
                Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Value(reference) => text.extend_from_slice(&self.value(reference, item)?.unwrap_or_default()),
                Part::Secret => secrets.push(text.len()),
            }
        }
        Ok(Rendered { text: Cow::Owned(text), secrets })
    }

    /// A value of a signed text; none where nothing stands for nothing.
    fn value<'m>(&'m self, reference: &Reference, item: Option<&'m Json>) -> Result<Option<Cow<'m, [u8]>>, Rejection> {
        match self.get(reference, item)? {
            Some(value) => Ok(Some(value)),
            None if matches!(reference.place, Place::Json(_) | Place::Item(_)) => Ok(None),
            None => Err(missing(reference)),
        }
    }

    /// Every value of a header.
    pub(super) fn headers(&self, name: &HeaderName) -> Vec<&'r [u8]> {
        match self.source {
            Source::Request(request) => request.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect(),
            Source::Answer(_) => Vec::new(),
        }
    }

    /// The pairs of the query, each name once.
    pub(super) fn query(&self) -> Result<&Form<'r>, Rejection> {
        let query: &'r str = match self.source {
            Source::Request(request) => request.query.as_deref().unwrap_or_default(),
            Source::Answer(_) => "",
        };
        let read = || read_query(query.as_bytes());
        self.query.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

/// A signed text, and where the secret stands in it.
pub(super) struct Rendered<'m> {
    pub(super) text: Cow<'m, [u8]>,
    secrets: Vec<usize>,
}

impl Rendered<'_> {
    /// The text in pieces, cut where the secret stands.
    pub(super) fn pieces(&self) -> Vec<Piece<'_>> {
        let mut pieces = Vec::with_capacity(2 * self.secrets.len() + 1);
        let mut from = 0;
        for at in &self.secrets {
            pieces.extend([Piece::Text(&self.text[from..*at]), Piece::Secret]);
            from = *at;
        }
        pieces.push(Piece::Text(&self.text[from..]));
        pieces
    }
}

/// A header's value. Twice is refused, also with one value: a proxy or a script behind it may take either.
fn header<'r>(request: &'r RawRequest, name: &HeaderName) -> Result<Option<&'r [u8]>, Rejection> {
    let mut values = request.headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Rejection::Duplicate { field: name.as_str().into() }),
        (first, None) => Ok(first.map(HeaderValue::as_bytes)),
    }
}

/// The text of a single value; none for null. A list or object has no one text.
fn single<'j>(value: &'j Json, reference: &Reference) -> Result<Option<&'j str>, Rejection> {
    match value {
        Json::Null => Ok(None),
        value => value.text().map(Some).ok_or_else(|| malformed(reference)),
    }
}

fn pair<'f>(form: &'f Form<'_>, name: &str) -> Option<Cow<'f, [u8]>> {
    form.first(name).map(|pair| Cow::Borrowed(pair.value.as_ref()))
}

fn read_query(bytes: &[u8]) -> Result<Form<'_>, Rejection> {
    read_form(bytes, Limits { bytes_max: QUERY_BYTES_MAX, pairs_max: PAIRS_MAX }, "query")
}

fn read_form<'b>(bytes: &'b [u8], limits: Limits, what: &str) -> Result<Form<'b>, Rejection> {
    let form = Form::parse(bytes, limits).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => Rejection::Malformed { field: what.into() },
    })?;
    match form.duplicate() {
        Some(name) => Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) }),
        None => match folded_twice(&form) {
            Some(name) => Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) }),
            None => Ok(form),
        },
    }
}

/// A name under which PHP puts a value that came under another one, too: behind a zero byte it reads nothing, blanks before
/// it are dropped, a dot or a blank is an underscore, and `name[…]` takes the place of `name`. A script would see another
/// value than the one that is signed.
fn folded_twice<'f>(form: &'f Form<'_>) -> Option<&'f [u8]> {
    let folded = |name: &[u8]| {
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii_start();
        let base = name.split(|byte| *byte == b'[').next().unwrap_or_default();
        let plain: Vec<u8> = base.iter().map(|byte| if matches!(byte, b'.' | b' ') { b'_' } else { *byte }).collect();
        (plain, base.len() < name.len())
    };
    let mut known: HashMap<Vec<u8>, bool> = HashMap::new();
    form.pairs().iter().map(|pair| pair.name.as_ref()).find(|name| {
        let (plain, is_list) = folded(name);
        // Members of one list come under one name.
        known.insert(plain, is_list).is_some_and(|was_list| !(was_list && is_list))
    })
}

/// A value that is not there.
pub(super) fn missing(reference: &Reference) -> Rejection {
    Rejection::Missing { field: quote(&reference.shown) }
}

/// A value that cannot be read.
pub(super) fn malformed(reference: &Reference) -> Rejection {
    Rejection::Malformed { field: quote(&reference.shown) }
}
