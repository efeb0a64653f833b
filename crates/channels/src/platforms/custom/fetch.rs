//! The question that is asked about a message whose content is not believed: where, as whom, and about which number.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::message::{Message, malformed, missing};
use super::pattern::Pattern;
use super::template::{Part, Place, Reference, Template, fixed_text};
#[cfg(feature = "simulate")]
use crate::channel::HttpAsk;
use crate::channel::{ApiCredential, Hint, HintNumber, Interface, KeyNote, Question, Reach, Rejection};
use crate::model::RawRequest;
use crate::settings::tree::{Keys, Node};
use crate::settings::{Settings, SettingsError};

/// The setting that holds what is shown to the platform.
pub(super) const API_KEY: &str = "api_key";

/// The setting with which tests and simulators take the platform's place.
pub(super) const API_BASE: &str = "api_base";

/// Most shapes of numbers, and most headers beside the credential.
const LIST_MAX: usize = 8;

/// Longest body of a question, in bytes.
const BODY_BYTES_MAX: usize = 4096;

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    interface: Interface,
    /// Path and query, which begin with a slash.
    path: Text,
    /// How else it is asked than by `GET`.
    post: Option<Post>,
    /// Where the message has the number.
    id: Reference,
    /// The shapes of a number that is put into the URL.
    patterns: Vec<Pattern>,
    credential: ApiCredential,
    auth: Auth,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the answer says what it is about.
    same: Option<Reference>,
}

/// A text in which the number may stand.
#[derive(Clone, Debug, Default)]
struct Text {
    before: String,
    /// What stands behind the number; none where the number does not stand in it.
    behind: Option<String>,
}

/// A question by `POST`.
#[derive(Clone, Debug)]
struct Post {
    /// What is sent, where anything is.
    body: Option<Text>,
}

impl Text {
    fn with(&self, number: &str) -> String {
        match &self.behind {
            Some(behind) => format!("{}{number}{behind}", self.before),
            None => self.before.clone(),
        }
    }

    /// The number in a text that was made so.
    fn number_in(&self, text: &str) -> Option<HintNumber> {
        HintNumber::new(text.strip_prefix(&self.before)?.strip_suffix(self.behind.as_deref()?)?)
    }
}

impl Post {
    fn of(node: &Node<'_>, template: &Template) -> Result<(Text, Option<Reference>), SettingsError> {
        let (text, id) = parts(node, template)?;
        let written = [Some(&text.before), text.behind.as_ref()];
        let bytes: usize = written.iter().flatten().map(|text| text.len()).sum();
        if bytes > BODY_BYTES_MAX {
            return Err(node.error("out_of_range").because(format!("> {BODY_BYTES_MAX}")));
        }
        Ok((text, id))
    }

    /// A question in JSON begins as JSON does.
    fn written(&self, number: &str) -> Option<(&'static str, Bytes)> {
        let body = self.body.as_ref()?;
        let is_json = body.before.trim_start().starts_with(['{', '[']);
        let media_type = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        Some((media_type, Bytes::from(body.with(number))))
    }
}

/// How the credential is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    Bearer,
    BasicUser,
    BasicPassword,
    Header,
}

impl Fetch {
    /// Reads `fetch`.
    pub(super) fn read(
        node: &Node<'_>,
        settings: &Settings,
        configured: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let keys = node.table(&[
            "required",
            "method",
            "url",
            "body",
            "id_pattern",
            "auth",
            "auth_user",
            "auth_header",
            "headers",
            "same",
        ])?;
        let required = keys.required("required")?;
        if !required.flag()? {
            return Err(required.error("not_offered").because("required = true"));
        }
        let url = keys.required("url")?;
        let (base, path) = split(url.text()?).ok_or_else(|| malformed_url(url))?;
        let own = Interface::parse(base, Reach::Public).or_else(|| Interface::parse(base, Reach::Configured));
        let own = own.ok_or_else(|| malformed_url(url))?;
        let interface = match settings.text(API_BASE) {
            Some(_) => Interface::read(settings, API_BASE, base)?,
            None => own,
        };
        let template = Template::of(url, path, configured)?;
        let (path, in_path) = numbered(url, &template)?;
        let is_post = keys.get("method").map(|node| node.word(&[("GET", false), ("POST", true)])).transpose()?;
        let is_post = is_post.unwrap_or(false);
        let body = match keys.get("body") {
            Some(node) if !is_post => return Err(node.error("relation").because("method = \"POST\"")),
            Some(node) => Some((node, Post::of(node, &Template::read(node, configured)?)?)),
            None => None,
        };
        let (id, body) = match (in_path, body) {
            (Some(_), Some((node, (_, Some(other))))) => return Err(node.error("relation").because(other.shown)),
            (Some(id), body) => (id, body.map(|(_, (text, _))| text)),
            // What was asked is then not to be seen of where it was asked.
            (None, Some((_, (_, Some(_))))) if keys.get("same").is_none() => return Err(keys.missing("same")),
            (None, Some((_, (text, Some(id))))) => (id, Some(text)),
            (None, _) => return Err(url.error("missing").because("{json:/id}")),
        };
        let read = |node: &Node<'_>| {
            let text = node.text()?;
            let pattern = Pattern::parse(text).ok_or_else(|| node.error("malformed").because("^tr_[A-Za-z0-9]+$"))?;
            if pattern.can_match() { Ok(pattern) } else { Err(node.error("never_matches").because(text)) }
        };
        let patterns =
            keys.required("id_pattern")?.one_or_many(LIST_MAX)?.iter().map(read).collect::<Result<_, _>>()?;
        let (auth, credential) = credential(&keys, settings, configured)?;
        Ok(Self {
            interface,
            path,
            post: is_post.then_some(Post { body }),
            id,
            patterns,
            credential,
            auth,
            headers: headers(&keys, configured)?,
            same: keys.get("same").map(same).transpose()?,
        })
    }

    /// Where the message has the number.
    pub(super) fn id(&self) -> &Reference {
        &self.id
    }

    /// Whether the number stands in the path or query, and not in what is sent.
    pub(super) fn is_id_in_path(&self) -> bool {
        self.path.behind.is_some()
    }

    /// Where the answer says what it is about.
    pub(super) fn same(&self) -> Option<&Reference> {
        self.same.as_ref()
    }

    /// The number of a message, when it has the shape of one.
    pub(super) fn number(&self, message: &Message<'_>) -> Result<HintNumber, Rejection> {
        let text = message.text(&self.id, None)?.ok_or_else(|| missing(&self.id))?;
        // Its length first: a shape is compared at a cost that grows with the text.
        let number = HintNumber::new(&text);
        let fits = |number: &HintNumber| self.patterns.iter().any(|pattern| pattern.matches(number.as_str()));
        number.filter(fits).ok_or_else(|| malformed(&self.id))
    }

    /// The question about a number.
    pub(super) fn ask(&self, hint: &Hint) -> Question {
        let number = hint.number().as_str();
        let path = self.path.with(number);
        let question = Question::get(hint, &self.interface, &path, &self.credential);
        let with = |question: Question, (name, value): &(HeaderName, HeaderValue)| {
            question.with_header(name.clone(), value.clone())
        };
        let question = self.headers.iter().fold(question, with);
        match &self.post {
            Some(post) => question.posting(post.written(number)),
            None => question,
        }
    }

    /// The number that an answer is kept under, or that it names itself.
    pub(super) fn number_of(&self, kept: &RawRequest) -> Option<HintNumber> {
        let asked = whole(&kept.path, kept.query.as_deref());
        if self.path.behind.is_some() {
            return self.path.number_in(&asked);
        }
        let named = Message::answer(&kept.body).text(self.same()?, None).ok().flatten()?.into_owned();
        HintNumber::new(&named).filter(|_| asked == self.path.before)
    }

    /// The number that a question asks about.
    #[cfg(feature = "simulate")]
    pub(super) fn number_asked(&self, ask: &HttpAsk) -> Option<HintNumber> {
        let uri: http::Uri = ask.url.parse().ok()?;
        let asked = whole(uri.path(), uri.query());
        if self.path.behind.is_some() {
            return self.path.number_in(&asked);
        }
        let body = self.post.as_ref()?.body.as_ref()?;
        body.number_in(std::str::from_utf8(&ask.body).ok()?).filter(|_| asked == self.path.before)
    }

    /// Whether a question shows the credential.
    #[cfg(feature = "simulate")]
    pub(super) fn is_shown(&self, ask: &HttpAsk) -> bool {
        let hint = HintNumber::new("1").map(Hint::from_anybody);
        let own = hint.map(|hint| self.ask(&hint));
        own.is_some_and(|own| own.ask().headers.iter().all(|(name, value)| ask.headers.get(name) == Some(value)))
    }

    /// A public fact about the credential: how it is shown, and nothing of what it is.
    pub(super) fn note(&self) -> KeyNote {
        let algorithm = match self.auth {
            Auth::Bearer => "Bearer",
            Auth::BasicUser | Auth::BasicPassword => "Basic",
            Auth::Header => "header",
        };
        KeyNote { label: API_KEY.to_owned(), algorithm: algorithm.to_owned(), fingerprint: None, not_after: None }
    }

    /// Whether a text can be a number.
    #[cfg(feature = "simulate")]
    pub(super) fn takes(&self, text: &str) -> bool {
        HintNumber::new(text).is_some() && self.patterns.iter().any(|pattern| pattern.matches(text))
    }

    /// A number of the first shape.
    #[cfg(feature = "simulate")]
    pub(super) fn sample(&self, like: &str) -> String {
        self.patterns.first().map(|pattern| pattern.sample(like)).unwrap_or_default()
    }
}

fn malformed_url(node: &Node<'_>) -> SettingsError {
    node.error("malformed").because("https://api.example.com/v1/payments/{json:/id}")
}

/// Scheme and host, and what stands behind them. Nothing of a request may stand in the first.
fn split(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")? + 3;
    let path = host + url[host..].find('/')?;
    let (base, path) = url.split_at(path);
    (!base.contains(['{', '}', '@'])).then_some((base, path))
}

/// A path with its query.
fn whole(path: &str, query: Option<&str>) -> String {
    query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// What stands around the number, and where the message has it; none where no number stands in it.
fn parts(node: &Node<'_>, template: &Template) -> Result<(Text, Option<Reference>), SettingsError> {
    let mut found: Option<(String, Reference)> = None;
    let mut literal = String::new();
    for part in &template.0 {
        match part {
            Part::Literal(text) => literal.push_str(text),
            Part::Value(reference) if found.is_none() => {
                found = Some((std::mem::take(&mut literal), reference.clone()));
            }
            Part::Value(reference) => return Err(node.error("relation").because(reference.shown.clone())),
            Part::Secret => return Err(node.error("unknown_reference").because("{secret}")),
        }
    }
    Ok(match found {
        Some((before, id)) => (Text { before, behind: Some(literal) }, Some(id)),
        None => (Text { before: literal, behind: None }, None),
    })
}

/// The same of a path, which is written as paths are.
fn numbered(node: &Node<'_>, template: &Template) -> Result<(Text, Option<Reference>), SettingsError> {
    let (text, id) = parts(node, template)?;
    let is_plain = |text: &str| {
        let is_safe = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
        text.bytes().all(is_safe) && !text.contains("/../") && !text.contains("/./")
    };
    if [Some(&text.before), text.behind.as_ref()].into_iter().flatten().all(|text| is_plain(text)) {
        Ok((text, id))
    } else {
        Err(malformed_url(node))
    }
}

fn credential(
    keys: &Keys<'_>,
    settings: &Settings,
    configured: &[(String, String)],
) -> Result<(Auth, ApiCredential), SettingsError> {
    let node = keys.required("auth")?;
    let auth = node.word(&[
        ("bearer", Auth::Bearer),
        ("basic-user", Auth::BasicUser),
        ("basic-password", Auth::BasicPassword),
        ("header", Auth::Header),
    ])?;
    for (key, own) in [("auth_user", Auth::BasicPassword), ("auth_header", Auth::Header)] {
        match keys.get(key) {
            Some(node) if auth != own => return Err(node.error("relation").because("auth")),
            None if auth == own => return Err(keys.missing(key)),
            _ => {}
        }
    }
    let secret = settings.secret_line(API_KEY)?.ok_or(SettingsError::new(API_KEY, "missing"))?;
    let made = match auth {
        Auth::Bearer => ApiCredential::bearer(API_KEY, secret),
        Auth::BasicUser => ApiCredential::basic(API_KEY, secret, b""),
        Auth::BasicPassword => {
            let user = fixed_text(keys.required("auth_user")?, configured)?;
            ApiCredential::basic(API_KEY, user.as_bytes(), secret)
        }
        Auth::Header => {
            let node = keys.required("auth_header")?;
            let name = HeaderName::from_bytes(node.text()?.as_bytes()).map_err(|_| node.error("malformed"))?;
            ApiCredential::header(API_KEY, name, secret)
        }
    };
    made.map(|credential| (auth, credential)).ok_or_else(|| SettingsError::new(API_KEY, "malformed"))
}

fn headers(keys: &Keys<'_>, configured: &[(String, String)]) -> Result<Vec<(HeaderName, HeaderValue)>, SettingsError> {
    let Some(node) = keys.get("headers") else { return Ok(Vec::new()) };
    let entries = node.entries()?;
    if entries.len() > LIST_MAX {
        return Err(node.error("out_of_range").because(format!("{} > {LIST_MAX}", entries.len())));
    }
    let read = |(name, node): (&str, Node<'_>)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| node.error("malformed"))?;
        let value = HeaderValue::from_str(&fixed_text(&node, configured)?).map_err(|_| node.error("malformed"))?;
        Ok((name, value))
    };
    entries.into_iter().map(read).collect()
}

fn same(node: &Node<'_>) -> Result<Reference, SettingsError> {
    let reference = Reference::read(node)?;
    match reference.place {
        Place::Answer(_) => Ok(reference),
        _ => Err(node.error("unknown_reference").because("answer:/…")),
    }
}
