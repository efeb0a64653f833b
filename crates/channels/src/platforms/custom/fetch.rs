//! The question that is asked about a message whose content is not believed: where, as whom, and about which number.

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

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    interface: Interface,
    /// Path and query before the number, which begins with a slash.
    before: String,
    /// Path and query behind the number.
    behind: String,
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
        let keys =
            node.table(&["required", "url", "id_pattern", "auth", "auth_user", "auth_header", "headers", "same"])?;
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
        let (before, id, behind) = numbered(url, &template)?;
        let read = |node: &Node<'_>| {
            let text = node.text()?;
            Pattern::parse(text).ok_or_else(|| node.error("malformed").because("^tr_[A-Za-z0-9]+$"))
        };
        let patterns =
            keys.required("id_pattern")?.one_or_many(LIST_MAX)?.iter().map(read).collect::<Result<_, _>>()?;
        let (auth, credential) = credential(&keys, settings, configured)?;
        Ok(Self {
            interface,
            before,
            behind,
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

    /// Where the answer says what it is about.
    pub(super) fn same(&self) -> Option<&Reference> {
        self.same.as_ref()
    }

    /// The number of a message, when it has the shape of one.
    pub(super) fn number(&self, message: &Message<'_>) -> Result<HintNumber, Rejection> {
        let text = message.text(&self.id, None)?.ok_or_else(|| missing(&self.id))?;
        let fits = self.patterns.iter().any(|pattern| pattern.matches(&text));
        HintNumber::new(&text).filter(|_| fits).ok_or_else(|| malformed(&self.id))
    }

    /// The question about a number.
    pub(super) fn ask(&self, hint: &Hint) -> Question {
        let path = format!("{}{}{}", self.before, hint.number(), self.behind);
        let question = Question::get(hint, &self.interface, &path, &self.credential);
        let with = |question: Question, (name, value): &(HeaderName, HeaderValue)| {
            question.with_header(name.clone(), value.clone())
        };
        self.headers.iter().fold(question, with)
    }

    /// The number that an answer is kept under.
    pub(super) fn number_of(&self, kept: &RawRequest) -> Option<HintNumber> {
        self.number_in(&kept.path, kept.query.as_deref())
    }

    /// The number that a path and query ask about.
    pub(super) fn number_in(&self, path: &str, query: Option<&str>) -> Option<HintNumber> {
        let whole = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        HintNumber::new(whole.strip_prefix(&self.before)?.strip_suffix(&self.behind)?)
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

/// What stands before and behind the one number in a path.
fn numbered(node: &Node<'_>, template: &Template) -> Result<(String, Reference, String), SettingsError> {
    let mut found: Option<(String, Reference)> = None;
    let mut literal = String::new();
    for part in &template.0 {
        match part {
            Part::Literal(text) => literal.push_str(text),
            Part::Value(reference) if found.is_none() => {
                found = Some((std::mem::take(&mut literal), reference.clone()))
            }
            Part::Value(reference) => return Err(node.error("relation").because(reference.shown.clone())),
            Part::Secret => return Err(node.error("unknown_reference").because("{secret}")),
        }
    }
    let (before, id) = found.ok_or_else(|| node.error("missing").because("{json:/id}"))?;
    let is_plain = |text: &str| {
        let is_safe = |byte: u8| byte.is_ascii_graphic() && !br##"#"<>\^`{|}"##.contains(&byte);
        text.bytes().all(is_safe) && !text.contains("/../") && !text.contains("/./")
    };
    if !is_plain(&before) || !is_plain(&literal) {
        return Err(malformed_url(node));
    }
    Ok((before, id, literal))
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
