//! A request, read by references. Bodies are parsed when they are first asked for; names that come twice
//! with different values are refused, since two readers could see two messages.

use std::borrow::Cow;
use std::cell::OnceCell;

use http::HeaderName;

use super::template::{Part, Place, Reference, Template, crc32};
use crate::channel::{Rejection, quote};
use crate::form::{Form, FormError, Limits};
use crate::json::{Json, JsonError};
use crate::model::RawRequest;

/// Largest body, in bytes: a batch of 250 events has some hundred kilobytes.
pub(super) const BODY_BYTES_MAX: usize = 512 * 1024;

/// Most pairs of a form or query.
const PAIRS_MAX: usize = 256;

/// Longest query that is read, in bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// What the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyForm {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A body, read.
pub(super) enum Body<'r> {
    /// JSON.
    Json(Json),
    /// A form, each name once.
    Form(Form<'r>),
}

/// A request and what was read of it so far.
pub(super) struct Message<'r> {
    request: &'r RawRequest,
    form: BodyForm,
    body: OnceCell<Result<Body<'r>, Rejection>>,
    query: OnceCell<Result<Form<'r>, Rejection>>,
    /// Pairs beside the signature.
    sig: Vec<(String, String)>,
}

impl<'r> Message<'r> {
    pub(super) fn new(request: &'r RawRequest, form: BodyForm) -> Self {
        Self { request, form, body: OnceCell::new(), query: OnceCell::new(), sig: Vec::new() }
    }

    /// Keeps the pairs that stood beside the signature.
    pub(super) fn set_sig(&mut self, pairs: Vec<(String, String)>) {
        self.sig = pairs;
    }

    /// The body, parsed.
    pub(super) fn body(&self) -> Result<&Body<'r>, Rejection> {
        self.body.get_or_init(|| self.read_body()).as_ref().map_err(Clone::clone)
    }

    fn read_body(&self) -> Result<Body<'r>, Rejection> {
        let bytes = &self.request.body;
        match self.form {
            BodyForm::Form => {
                let limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: PAIRS_MAX };
                read_form(bytes, limits, "body").map(Body::Form)
            }
            BodyForm::Json => match Json::parse(bytes) {
                Ok(json @ (Json::Object(_) | Json::List(_))) => Ok(Body::Json(json)),
                Ok(_) | Err(JsonError::Malformed) => Err(Rejection::Malformed { field: "body".into() }),
                Err(JsonError::Twice(name)) => Err(Rejection::Duplicate { field: quote(&name) }),
            },
        }
    }

    /// The value at a place; none when it is not there, or is a JSON null. Empty and blank values are there.
    pub(super) fn get(&self, reference: &Reference, item: Option<&Json>) -> Result<Option<Cow<'_, [u8]>>, Rejection> {
        let bytes = |text: &'r str| Some(Cow::Borrowed(text.as_bytes()));
        Ok(match &reference.place {
            Place::Body => Some(Cow::Borrowed(self.request.body.as_ref())),
            Place::BodyCrc32 => Some(Cow::Owned(crc32(&self.request.body).to_string().into_bytes())),
            Place::Method => bytes(self.request.method.as_str()),
            Place::Path => bytes(&self.request.path),
            Place::Header(name) => self.header(name)?.map(Cow::Borrowed),
            Place::Query(name) => pair(self.query()?, name),
            Place::Form(name) => match self.body()? {
                Body::Form(form) => pair(form, name),
                Body::Json(_) => None,
            },
            Place::Sig(name) => self.beside_signature(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Place::Json(pointer) => match self.body()? {
                Body::Json(json) => json.at(pointer).map(|value| single(value, reference)).transpose()?.flatten(),
                Body::Form(_) => None,
            }
            .map(|text| Cow::Owned(text.as_bytes().to_vec())),
            Place::Item(pointer) => item
                .and_then(|item| item.at(pointer))
                .map(|value| single(value, reference))
                .transpose()?
                .flatten()
                .map(|text| Cow::Owned(text.as_bytes().to_vec())),
        })
    }

    /// A pair beside the signature; it may come twice only with the same value.
    fn beside_signature(&self, name: &str) -> Result<Option<&str>, Rejection> {
        let mut found = self.sig.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(first) = found.next() else { return Ok(None) };
        if found.any(|other| other != first) {
            return Err(Rejection::Duplicate { field: quote(name) });
        }
        Ok(Some(first))
    }

    /// The value as text; none when it is not there, empty or blank.
    pub(super) fn text(&self, reference: &Reference, item: Option<&Json>) -> Result<Option<String>, Rejection> {
        let Some(bytes) = self.get(reference, item)? else { return Ok(None) };
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed(reference))?;
        Ok(Some(text).filter(|text| !text.trim().is_empty()).map(str::to_owned))
    }

    /// A value of the body as JSON has it; none for other places.
    pub(super) fn json<'m>(&'m self, reference: &Reference, item: Option<&'m Json>) -> Option<&'m Json> {
        match (&reference.place, self.body()) {
            (Place::Json(pointer), Ok(Body::Json(json))) => json.at(pointer),
            (Place::Item(pointer), _) => item.and_then(|item| item.at(pointer)),
            _ => None,
        }
    }

    /// The signed text. A header or pair that is not there stops it; a JSON value that is not there is empty
    /// text, as the platforms that sign single values have it.
    pub(super) fn render(&self, template: &Template, item: Option<&Json>) -> Result<Vec<u8>, Rejection> {
        let mut text = Vec::with_capacity(self.request.body.len() + 64);
        for part in &template.0 {
            match part {
                Part::Literal(literal) => text.extend_from_slice(literal.as_bytes()),
                Part::Value(reference) => match self.get(reference, item)? {
                    Some(value) => text.extend_from_slice(&value),
                    None if matches!(reference.place, Place::Json(_) | Place::Item(_)) => {}
                    None => return Err(missing(reference)),
                },
            }
        }
        Ok(text)
    }

    /// Every value of a header.
    pub(super) fn headers(&self, name: &HeaderName) -> Vec<&'r [u8]> {
        self.request.headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect()
    }

    /// A header's value; it may come twice only with the same one.
    fn header(&self, name: &HeaderName) -> Result<Option<&'r [u8]>, Rejection> {
        let values = self.headers(name);
        match values.split_first() {
            Some((first, others)) if others.iter().all(|other| other == first) => Ok(Some(first)),
            Some(_) => Err(Rejection::Duplicate { field: name.as_str().into() }),
            None => Ok(None),
        }
    }

    /// The pairs of the query, each name once.
    pub(super) fn query(&self) -> Result<&Form<'r>, Rejection> {
        let read = || {
            let query = self.request.query.as_deref().unwrap_or_default();
            read_form(query.as_bytes(), Limits { bytes_max: QUERY_BYTES_MAX, pairs_max: PAIRS_MAX }, "query")
        };
        self.query.get_or_init(read).as_ref().map_err(Clone::clone)
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

fn read_form<'b>(bytes: &'b [u8], limits: Limits, what: &str) -> Result<Form<'b>, Rejection> {
    let form = Form::parse(bytes, limits).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => Rejection::Malformed { field: what.into() },
    })?;
    match form.duplicate() {
        Some(name) => Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) }),
        None => Ok(form),
    }
}

/// A value that is not there.
pub(super) fn missing(reference: &Reference) -> Rejection {
    Rejection::Missing { field: quote(&reference.shown) }
}

/// A value that cannot be read.
pub(super) fn malformed(reference: &Reference) -> Rejection {
    Rejection::Malformed { field: quote(&reference.shown) }
}
