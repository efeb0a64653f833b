//! Entries of a HAR archive (HTTP Archive 1.2, `log.entries`), one entry, or its request alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::Value;
use tollbell_channels::form;
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Capture, CaptureError, FORM, Fidelity, Form, Note, READINGS_MAX, has_replacement, header, target};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Named>,
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostData {
    mime_type: Option<String>,
    text: Option<String>,
    /// What some tools add for bytes that are no text.
    encoding: Option<String>,
    #[serde(default)]
    params: Vec<Named>,
}

/// Reads the requests of an archive; none when the text is none. Those with a body come first, the others are seldom
/// callbacks.
pub(super) fn read(text: &[u8], at: Timestamp) -> Result<Option<Vec<Capture>>, CaptureError> {
    if text.first() != Some(&b'{') {
        return Ok(None);
    }
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return Ok(None) };
    let entries: Vec<&Value> = if let Some(entries) = value.pointer("/log/entries").and_then(Value::as_array) {
        entries.iter().collect()
    } else if value.pointer("/request/method").is_some() && value.pointer("/request/url").is_some() {
        vec![&value]
    } else if value.get("method").is_some() && value.get("url").is_some() && value["headers"].is_array() {
        let started = None;
        return one(&value, started, at).map(|capture| Some(vec![capture]));
    } else {
        return Ok(None);
    };
    let requests: Vec<(&Value, Option<Timestamp>)> = entries.into_iter().filter_map(request_of).collect();
    // Those with a body first: the others are seldom callbacks, and a page has hundreds.
    let has_body = |request: &Value| request.get("postData").is_some_and(|data| !data.is_null());
    let (with, without): (Vec<_>, Vec<_>) = requests.into_iter().partition(|(request, _)| has_body(request));
    let count = (with.len() + without.len()).saturating_sub(READINGS_MAX);
    let mut found = Vec::new();
    let mut broken = None;
    for (request, started) in with.into_iter().chain(without).take(READINGS_MAX) {
        match one(request, started, at) {
            Ok(capture) => found.push(capture),
            Err(error) => broken = broken.or(Some(error)),
        }
    }
    if found.is_empty() {
        let none = || CaptureError::Broken { line: 1, why: "the archive has no request".to_owned() };
        return Err(broken.unwrap_or_else(none));
    }
    found.sort_by_key(|capture| capture.request.body.is_empty());
    for (record, capture) in found.iter_mut().enumerate() {
        capture.record = record;
        capture.notes.extend((count > 0).then_some(Note::Unread { count }));
    }
    Ok(Some(found))
}

/// An entry's request that may be a callback, and when it was sent.
fn request_of(entry: &Value) -> Option<(&Value, Option<Timestamp>)> {
    let request = entry.get("request")?;
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let started = entry.get("startedDateTime").and_then(Value::as_str).and_then(|text| text.parse().ok());
    (method != "CONNECT" && method != "OPTIONS").then_some((request, started))
}

fn one(value: &Value, started: Option<Timestamp>, at: Timestamp) -> Result<Capture, CaptureError> {
    let broken = |why: String| CaptureError::Broken { line: 1, why };
    let request = Request::deserialize(value).map_err(|error| broken(error.to_string()))?;
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| broken("no method of HTTP".to_owned()))?;
    let (path, query) = target(&request.url);
    let mut headers = HeaderMap::new();
    // HTTP/2 shows the request line as headers of these names.
    for named in request.headers.iter().filter(|named| !named.name.starts_with(':')) {
        let (name, value) = header(named.name.as_bytes(), named.value.as_bytes())
            .ok_or_else(|| broken(format!("`{}` is no header", named.name)))?;
        headers.append(name, value);
    }
    let mut notes = Vec::new();
    let mut fidelity = Fidelity::Bytes;
    let mut body = Vec::new();
    if let Some(data) = request.post_data {
        if let Some(media_type) = data.mime_type.filter(|text| !text.is_empty())
            && !headers.contains_key("content-type")
            && let Some((name, value)) = header(b"content-type", media_type.as_bytes())
        {
            headers.insert(name, value);
        }
        match (data.text.filter(|text| !text.is_empty()), data.encoding.as_deref()) {
            (Some(text), Some("base64")) => {
                body = STANDARD.decode(text).map_err(|_| broken("the body is no base64".to_owned()))?;
            }
            (Some(text), _) => body = text.into_bytes(),
            (None, _) if !data.params.is_empty() => {
                fidelity = Fidelity::Fields;
                let pairs = data.params.iter().map(|named| (named.name.as_bytes(), named.value.as_bytes()));
                body = form::encode(pairs);
            }
            (None, _) => {}
        }
    }
    if has_replacement(&body) {
        notes.push(Note::Replaced);
    }
    let named = headers.get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let found = body.len() as u64;
    if let Some(named) = named.filter(|named| *named != found && fidelity == Fidelity::Bytes) {
        notes.push(Note::Length { named, found });
    }
    if fidelity == Fidelity::Fields && !headers.contains_key("content-type") {
        headers.insert("content-type", http::HeaderValue::from_static(FORM));
    }
    Ok(Capture {
        request: RawRequest {
            method,
            path,
            query,
            headers,
            body: body.into(),
            source: None,
            received_at: started.unwrap_or(at),
        },
        form: Form::Har,
        fidelity,
        notes,
        record: 0,
    })
}
