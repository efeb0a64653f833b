//! What programs do to messages.

use tollbell_channels::model::RawRequest;

use super::with_body;
use crate::explain::bytes::{Pair, read_form, write_form};

/// Whether the body is a form.
pub(super) fn is_form(request: &RawRequest) -> bool {
    request.media_type() == "application/x-www-form-urlencoded" && !request.body.is_empty()
}

/// Whether the body is JSON.
pub(super) fn is_json(request: &RawRequest) -> bool {
    request.body.starts_with(b"{") || request.body.starts_with(b"[")
}

/// Whether the body is XML.
pub(super) fn is_xml(request: &RawRequest) -> bool {
    request.body.starts_with(b"<")
}

/// `urlencode()`.
pub(super) fn form_encoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

/// The text of a request's pairs: its form, or its query where it has no body.
pub(super) fn with_pair_text(request: &RawRequest, change: impl Fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    if is_form(request) {
        return Some(with_body(request, change(&request.body)));
    }
    let query = request.query.as_ref().filter(|query| !query.is_empty())?;
    Some(RawRequest { query: Some(String::from_utf8(change(query.as_bytes())).ok()?), ..request.clone() })
}

/// The request with other values in its form, else in its query.
pub(super) fn with_values(request: &RawRequest, change: impl Fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    with_pair_text(request, |text| {
        let pairs = read_form(text).into_iter().map(|(name, value)| (name, change(&value)));
        write_form(&pairs.collect::<Vec<Pair>>())
    })
}

/// The request with other texts in its JSON, each quoted again without escapes that need not be.
pub(super) fn with_texts(request: &RawRequest, change: impl Fn(&str) -> String) -> Option<RawRequest> {
    is_json(request).then(|| {
        let quoted = |text: &str, is_name: bool| {
            serde_json::to_string(&if is_name { text.to_owned() } else { change(text) }).expect("a text")
        };
        with_body(request, with_tokens(&request.body, ToOwned::to_owned, quoted))
    })
}

/// A JSON text with its strings, and what stands between them, written otherwise.
pub(super) fn with_tokens(
    json: &[u8],
    outside: impl Fn(&str) -> String,
    quoted: impl Fn(&str, bool) -> String,
) -> String {
    let json = std::str::from_utf8(json).expect("JSON is UTF-8");
    let mut out = String::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        out.push_str(&outside(&rest[..start]));
        let mut end = start + 1;
        while rest.as_bytes()[end] != b'"' {
            end += if rest.as_bytes()[end] == b'\\' { 2 } else { 1 };
        }
        let text: String = serde_json::from_str(&rest[start..=end]).expect("a JSON text");
        rest = &rest[end + 1..];
        out.push_str(&quoted(&text, rest.trim_start().starts_with(':')));
    }
    out.push_str(&outside(rest));
    out
}

/// The request with other headers among the platform's own.
pub(super) fn with_headers(request: &RawRequest, change: impl Fn(&str) -> Option<String>) -> Option<RawRequest> {
    let mut other = request.clone();
    let mut is_changed = false;
    for value in other.headers.values_mut() {
        if let Some(changed) = value.to_str().ok().and_then(&change) {
            *value = changed.parse().expect("a header's value");
            is_changed = true;
        }
    }
    is_changed.then_some(other)
}

/// `htmlspecialchars()`.
pub(super) fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#039;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Bytes as text; they are UTF-8 in every genuine message here.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
