//! What goes out: the unified event, or the original request, with the headers that belong to it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tollbell_channels::model::RawRequest;
use tollbell_channels::settings::{Settings, SettingsError};

use super::sign::Secrets;
use crate::egress::{Ask, URL_BYTES_MAX, Url, UrlFault};
use crate::targets::event::Event;
use crate::targets::forwarded::{self, CHANNEL_PLACE, Taken};
use crate::targets::{Envelope, EventView, Format};

/// What is not written into a header as it is: everything invisible, the blank, and the sign that begins
/// an escape. Text beyond ASCII is escaped by the encoder itself.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// Most headers of the operator's own.
const OWN_HEADERS_MAX: usize = 32;
/// Names that the operator cannot set: they belong to the connection, to the body, or to us.
const NAMES_HELD: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The beginnings of such names.
const NAMES_HELD_PREFIXES: &[&str] = &["tollbell-", "webhook-"];

/// The setting with headers that anyone may see.
pub(super) const HEADERS: &str = "headers";
/// The setting with headers that nobody may see.
pub(super) const SECRET_HEADERS: &str = "secret_headers";

/// The target's address, with the place for a channel's id.
pub(super) struct Template(String);

impl Template {
    /// Checks the setting. The text is not quoted in an error: it may hold a token.
    pub(super) fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let text = settings.required_text("url")?;
        let wrong = |fault: UrlFault| SettingsError::new("url", "malformed").because(fault.to_string());
        let template = Self(text.to_owned());
        // The machine is the operator's choice, whatever channel an event comes from.
        let (one, other) = (template.url("a").map_err(wrong)?, template.url("b").map_err(wrong)?);
        if one.origin() != other.origin() {
            return Err(wrong(UrlFault::Host));
        }
        Ok(template)
    }

    pub(super) fn url(&self, channel: &str) -> Result<Url, UrlFault> {
        Url::parse(&self.0.replace(CHANNEL_PLACE, channel))
    }
}

/// How requests are written.
pub(super) struct Writer {
    pub(super) template: Template,
    pub(super) format: Format,
    pub(super) secrets: Secrets,
    /// The operator's own headers.
    pub(super) headers: HeaderMap,
    pub(super) forwards_query: bool,
    /// Headers of the platform's request that are held back by default, and asked for.
    pub(super) asked_headers: Vec<String>,
}

/// Why a request cannot be written.
pub(super) enum Unwritable {
    /// The original request is no longer kept.
    BodyGone,
    /// There is no event.
    EventGone,
    /// The address names what the platform signed.
    Taken(String),
    /// It would be no request.
    Malformed(String),
}

impl Writer {
    /// The request of one attempt.
    pub(super) fn write(&self, envelope: &Envelope) -> Result<Ask, Unwritable> {
        let malformed = |fault: UrlFault| Unwritable::Malformed(fault.to_string());
        let url = self.template.url(&envelope.channel).map_err(malformed)?;
        let mut ask = match self.format {
            Format::Raw => {
                let original = envelope.request.as_ref().ok_or(Unwritable::BodyGone)?;
                self.raw(envelope, original, url)?
            }
            Format::Event => {
                let event = envelope.events.first().ok_or(Unwritable::EventGone)?;
                event_request(envelope, event, url)?
            }
        };
        if !self.secrets.is_empty() {
            let id = match (self.format, envelope.events.first()) {
                (Format::Event, Some(event)) => event.id.clone(),
                _ => envelope.notification.clone(),
            };
            let seconds = envelope.attempted_at.as_second();
            let signature = self.secrets.sign(&id, seconds, &ask.body);
            for (name, value) in
                [("webhook-id", id), ("webhook-timestamp", seconds.to_string()), ("webhook-signature", signature)]
            {
                let value = HeaderValue::try_from(value).map_err(|_| Unwritable::Malformed(name.to_owned()))?;
                ask.headers.insert(HeaderName::from_static(name), value);
            }
        }
        for name in self.headers.keys() {
            ask.headers.remove(name);
        }
        ask.headers.extend(self.headers.clone());
        Ok(ask)
    }

    fn raw(&self, envelope: &Envelope, original: &RawRequest, url: Url) -> Result<Ask, Unwritable> {
        let own = url.path_and_query().query().unwrap_or_default();
        let query_max = URL_BYTES_MAX.saturating_sub(url.path_and_query().path().len() + 1);
        let query = forwarded::query(envelope, original, own, self.forwards_query, query_max)
            .map_err(|Taken(name)| Unwritable::Taken(name))?;
        let malformed = |fault: UrlFault| Unwritable::Malformed(fault.to_string());
        let url = if query == own { url } else { url.with_query(&query).map_err(malformed)? };
        let mut headers = HeaderMap::new();
        for (name, value) in forwarded::headers(&original.headers, &self.asked_headers) {
            // Both were header names and values when they came, so neither fails.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(&value)) {
                headers.insert(name, value);
            }
        }
        if let Some(content_type) = forwarded::content_type(&original.headers)
            && let Ok(value) = HeaderValue::from_bytes(content_type)
        {
            headers.insert(CONTENT_TYPE, value);
        }
        for (name, value) in forwarded::facts(envelope) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(format!("tollbell-{name}")), HeaderValue::try_from(visible(&value)))
            {
                headers.insert(name, value);
            }
        }
        Ok(Ask { method: original.method.clone(), url, headers, body: original.body.clone() })
    }
}

fn event_request(envelope: &Envelope, event: &EventView, url: Url) -> Result<Ask, Unwritable> {
    let body = Event::of(envelope, event).to_json().map_err(|error| Unwritable::Malformed(error.to_string()))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Signed or not, an application finds the same three; without a secret only two.
    for (name, value) in
        [("webhook-id", event.id.clone()), ("webhook-timestamp", envelope.attempted_at.as_second().to_string())]
    {
        let value = HeaderValue::try_from(value).map_err(|_| Unwritable::Malformed(name.to_owned()))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(Ask { method: Method::POST, url, headers, body: Bytes::from(body) })
}

/// A verified text is still hostile: nothing invisible gets into a header.
fn visible(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// The operator's own headers, from both settings.
pub(super) fn own_headers(settings: &Settings) -> Result<HeaderMap, SettingsError> {
    let mut headers = HeaderMap::new();
    for (name, value) in settings.pairs(HEADERS).unwrap_or_default() {
        add(&mut headers, HEADERS, name, value, false)?;
    }
    if let Some(bytes) = settings.key(SECRET_HEADERS) {
        let text = std::str::from_utf8(bytes).map_err(|_| SettingsError::new(SECRET_HEADERS, "malformed"))?;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| SettingsError::new(SECRET_HEADERS, "malformed").because("Name: value"))?;
            add(&mut headers, SECRET_HEADERS, name.trim(), value.trim(), true)?;
        }
    }
    Ok(headers)
}

fn add(
    headers: &mut HeaderMap,
    setting: &'static str,
    name: &str,
    value: &str,
    is_secret: bool,
) -> Result<(), SettingsError> {
    // What stands before the colon may be a part of a secret that has one.
    let wrong = || {
        let error = SettingsError::new(setting, "malformed");
        if is_secret { error } else { error.because(name) }
    };
    let lower = name.to_ascii_lowercase();
    let is_held =
        NAMES_HELD.contains(&lower.as_str()) || NAMES_HELD_PREFIXES.iter().any(|held| lower.starts_with(held));
    if is_held || headers.len() >= OWN_HEADERS_MAX {
        return Err(wrong());
    }
    let name = HeaderName::try_from(lower).map_err(|_| wrong())?;
    let mut value = HeaderValue::try_from(value).map_err(|_| wrong())?;
    value.set_sensitive(is_secret);
    headers.append(name, value);
    Ok(())
}
