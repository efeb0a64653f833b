//! A request as a JSON object: what logs of scripts, request bins and gateways of clouds make of one. Its names are not fixed
//! anywhere, so the usual ones are known: `headers`, a map of texts or of lists of texts, and `body`, or another word for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use serde_json::{Map, Value};
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Capture, Fidelity, Form, HEADERS_MAX, Note, has_replacement, header, media_type_of, target};

/// What the body is called.
const BODIES: [&str; 7] = ["body", "rawBody", "raw_body", "raw", "content", "payload", "input"];

/// What the address is called.
const ADDRESSES: [&str; 5] = ["url", "uri", "path", "rawPath", "fullUrl"];

/// What the method is called.
const METHODS: [&str; 3] = ["method", "httpMethod", "request_method"];

/// Reads the object; none when it has no headers or no body.
pub(super) fn read(text: &[u8], at: Timestamp) -> Option<Capture> {
    let Ok(Value::Object(members)) = serde_json::from_slice(text) else { return None };
    let mut headers = headers(members.get("headers")?.as_object()?)?;
    let body = BODIES.iter().find_map(|name| members.get(*name))?;
    let (body, fidelity) = match body {
        Value::String(text) if members.get("isBase64Encoded") == Some(&Value::Bool(true)) => {
            (STANDARD.decode(text).ok()?, Fidelity::Bytes)
        }
        Value::String(text) => (text.clone().into_bytes(), Fidelity::Bytes),
        // It was read, and is printed anew here: its bytes are lost.
        Value::Object(_) | Value::Array(_) => (serde_json::to_vec(body).ok()?, Fidelity::Fields),
        _ => return None,
    };
    let text = |names: &[&str]| names.iter().find_map(|name| members.get(*name)?.as_str());
    let address = text(&ADDRESSES);
    let (path, query) = target(address.unwrap_or("/"));
    let query = query.or_else(|| text(&["rawQueryString", "queryString", "query"]).map(str::to_owned));
    if !headers.contains_key("content-type") {
        let media_type = http::HeaderValue::from_static(media_type_of(&body));
        headers.insert("content-type", media_type);
    }
    let mut notes = Vec::new();
    notes.extend(has_replacement(&body).then_some(Note::Replaced));
    let named = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let found = body.len() as u64;
    if let Some(named) = named.filter(|named| *named != found && fidelity == Fidelity::Bytes) {
        notes.push(Note::Length { named, found });
    }
    Some(Capture {
        request: RawRequest {
            method: text(&METHODS).and_then(|word| Method::from_bytes(word.as_bytes()).ok()).unwrap_or(Method::POST),
            path,
            query: query.filter(|query| !query.is_empty()),
            headers,
            body: body.into(),
            source: None,
            received_at: at,
        },
        form: Form::Event,
        fidelity,
        notes,
        record: 0,
    })
}

/// Headers from a map; none when one of them cannot be one.
fn headers(members: &Map<String, Value>) -> Option<HeaderMap> {
    if members.len() > HEADERS_MAX {
        return None;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in members {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values.iter().take(HEADERS_MAX) {
            let (name, value) = header(name.as_bytes(), value.as_str()?.as_bytes())?;
            headers.append(name, value);
        }
    }
    Some(headers)
}
