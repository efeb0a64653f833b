//! What of a platform's request goes on to an application, and what the gateway adds to it: the same for
//! every kind of target that hands on the original request.

mod query;

use http::HeaderMap;
use tollbell_channels::model::fact::NAME_BYTES_MAX;
use tollbell_channels::settings::{Settings, SettingsError};

pub(super) use self::query::{Taken, clash, query};
use super::{Envelope, EventView};

/// Stands for the channel's id in addresses and paths.
pub(super) const CHANNEL_PLACE: &str = "{channel}";
/// Most events whose ids are listed: a combined message carries a handful.
const EVENTS_LISTED_MAX: usize = 100;
/// Longest header value that is handed on. Platforms' signatures have some hundred bytes.
const HEADER_VALUE_BYTES_MAX: usize = 8 * 1024;
/// Headers that are not handed on, although the request had them.
///
/// A platform may sign over headers whose names only its channel knows, so the rule is by exception: all that
/// is said from end to end goes on, unless it
/// * belongs to one connection or to a proxy, or says who a proxy believes the sender to be: the script
///   has the sender in `REMOTE_ADDR`, and must not believe what anyone can write;
/// * is about authority (cookies, credentials), which no platform sends and a forger might;
/// * would change the form of the answer, which has to be the exact word: compressed, partial, or "not
///   modified".
///
/// `Proxy` is never handed on: as `HTTP_PROXY` it would redirect the script's own requests.
const HEADERS_HELD_BACK: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];
/// The beginnings of further names that are not handed on.
const HEADERS_HELD_BACK_PREFIXES: &[&str] = &["if-", "proxy", "sec-", "tollbell-", "x-forwarded-"];
/// Names that not even the setting `headers` lets through: they have no meaning behind a gateway.
const HEADERS_NEVER: &[&str] = &[
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers that go on: those without an objection, and those that were asked for. A header that came
/// several times is one list, as CGI has it.
pub(super) fn headers<'r>(headers: &'r HeaderMap, asked: &[String]) -> Vec<(&'r str, Vec<u8>)> {
    let of_connection: Vec<String> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let mut forwarded = Vec::new();
    for name in headers.keys().map(http::HeaderName::as_str) {
        let is_asked_for = asked.iter().any(|asked| asked == name);
        if !is_nameable(name) || of_connection.iter().any(|held| held == name) {
            continue;
        }
        if is_held_back(name) && !is_asked_for {
            continue;
        }
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(http::HeaderValue::as_bytes).collect();
        let value = values.join(&b", "[..]);
        if value.len() <= HEADER_VALUE_BYTES_MAX {
            forwarded.push((name, value));
        }
    }
    forwarded
}

/// The request's content type, which is no header among others.
pub(super) fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let content_type = headers.get(http::header::CONTENT_TYPE)?.as_bytes();
    (content_type.len() <= HEADER_VALUE_BYTES_MAX).then_some(content_type)
}

/// What the gateway knows, by names in words. Of several events only what they agree on is stated: the
/// amount of a refund must not be taken for that of its payment.
pub(super) fn facts(envelope: &Envelope) -> Vec<(&'static str, String)> {
    let listed = || envelope.events.iter().take(EVENTS_LISTED_MAX);
    let mut facts = vec![
        ("delivery", visible(&envelope.delivery)),
        ("attempt", envelope.attempt.to_string()),
        ("notification", visible(&envelope.notification)),
        ("channel", visible(&envelope.channel)),
        ("merchant", visible(&envelope.merchant)),
        ("environment", envelope.environment.as_str().to_owned()),
        ("origin", envelope.origin.to_owned()),
        ("event-ids", listed().map(|event| visible(&event.id)).collect::<Vec<_>>().join(",")),
        ("event-kinds", listed().map(|event| event.kind.as_str()).collect::<Vec<_>>().join(",")),
    ];
    if let Some(order_no) = agreed(&envelope.events, |event| event.order_no.as_deref()) {
        facts.push(("order-no", visible(order_no)));
    }
    if let Some(platform_no) = agreed(&envelope.events, |event| event.platform_no.as_deref()) {
        facts.push(("platform-no", visible(platform_no)));
    }
    if let [EventView { amount: Some(amount), .. }] = envelope.events.as_slice() {
        facts.push(("amount", amount.to_text()));
        facts.push(("currency", amount.currency.code().to_owned()));
    }
    facts
}

/// The value that all events share.
fn agreed<'a>(events: &'a [EventView], read: fn(&'a EventView) -> Option<&'a str>) -> Option<&'a str> {
    let first = read(events.first()?)?;
    events.iter().all(|event| read(event) == Some(first)).then_some(first)
}

/// A value from outside: cut, and without control characters.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len().min(NAME_BYTES_MAX));
    for c in text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }) {
        if visible.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        visible.push(c);
    }
    visible
}

/// A name with `_` would arrive as the same variable as the one with `-`, and could pose as it.
fn is_nameable(name: &str) -> bool {
    name != "proxy" && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_held_back(name: &str) -> bool {
    HEADERS_HELD_BACK.contains(&name) || HEADERS_HELD_BACK_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Reads the setting that names further headers to hand on.
pub(super) fn asked_headers(settings: &Settings, setting: &'static str) -> Result<Vec<String>, SettingsError> {
    let headers: Vec<String> =
        settings.texts(setting).unwrap_or_default().iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    for name in &headers {
        if name.is_empty() || !is_nameable(name) || HEADERS_NEVER.contains(&name.as_str()) {
            return Err(SettingsError::new(setting, "malformed").because(name.as_str()));
        }
    }
    Ok(headers)
}
