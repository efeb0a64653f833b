//! What programs do to messages.

use tollbell_channels::model::RawRequest;

use super::stage::with_body;

/// Whether the body is a form.
pub(crate) fn is_form(request: &RawRequest) -> bool {
    request.media_type() == "application/x-www-form-urlencoded" && !request.body.is_empty()
}

/// Whether the body is JSON.
pub(crate) fn is_json(request: &RawRequest) -> bool {
    request.body.starts_with(b"{") || request.body.starts_with(b"[")
}

/// Whether the body is XML.
pub(crate) fn is_xml(request: &RawRequest) -> bool {
    request.body.starts_with(b"<")
}

/// `rawurldecode()`.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("a byte"));
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// `urldecode()`.
pub(crate) fn form_decoded(text: &[u8]) -> Vec<u8> {
    let blanks: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_decoded(&blanks)
}

/// `urlencode()`.
pub(crate) fn form_encoded(text: &[u8]) -> Vec<u8> {
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

/// A form's or a query's pairs, decoded.
pub(crate) fn read_pairs(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |pair: &[u8]| {
        let mut pieces = pair.splitn(2, |&byte| byte == b'=').map(form_decoded);
        (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default())
    };
    text.split(|&byte| byte == b'&').filter(|segment| !segment.is_empty()).map(pair).collect()
}

/// `http_build_query()`.
pub(crate) fn write_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let pairs: Vec<Vec<u8>> =
        pairs.iter().map(|(name, value)| [form_encoded(name), form_encoded(value)].join(&b'=')).collect();
    pairs.join(&b'&')
}

/// The text of a request's pairs: its form, or its query where it has no body.
pub(crate) fn with_pair_text(request: &RawRequest, change: impl Fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    if is_form(request) {
        return Some(with_body(request, change(&request.body)));
    }
    let query = request.query.as_ref().filter(|query| !query.is_empty())?;
    Some(RawRequest { query: Some(String::from_utf8(change(query.as_bytes())).ok()?), ..request.clone() })
}

/// The request with other values in its form, else in its query.
pub(crate) fn with_values(request: &RawRequest, change: impl Fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    with_pair_text(request, |text| {
        let pairs = read_pairs(text).into_iter().map(|(name, value)| (name, change(&value)));
        write_pairs(&pairs.collect::<Vec<_>>())
    })
}

/// The request with other texts in its JSON, each quoted again without escapes that need not be.
pub(crate) fn with_texts(request: &RawRequest, change: impl Fn(&str) -> String) -> Option<RawRequest> {
    is_json(request).then(|| {
        let quoted = |text: &str, is_name: bool| {
            serde_json::to_string(&if is_name { text.to_owned() } else { change(text) }).expect("a text")
        };
        with_body(request, with_tokens(&request.body, ToOwned::to_owned, quoted))
    })
}

/// A JSON text with its strings, and what stands between them, written otherwise.
pub(crate) fn with_tokens(
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
pub(crate) fn with_headers(request: &RawRequest, change: impl Fn(&str) -> Option<String>) -> Option<RawRequest> {
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
pub(crate) fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('\'', "&#039;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `addslashes()`.
pub(crate) fn with_slashes(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\'', "\\'")
}

/// Bytes as text; they are UTF-8 in every genuine message here.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
