//! Copies of a callback as people keep them, and what may have happened to one.

use std::fmt::Write as _;

use serde_json::{Value, json};
use tollbell_channels::form::{Form, Limits};
use tollbell_channels::model::RawRequest;

use super::gateway::wire;

/// The UTF-8 byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Fields of a form, decoded.
pub(crate) fn fields(request: &RawRequest) -> Vec<(String, String)> {
    let form = Form::parse(&request.body, Limits { bytes_max: 1 << 20, pairs_max: 1000 }).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    form.pairs().iter().map(|pair| (text(&pair.name), text(&pair.value))).collect()
}

pub(crate) fn body(request: &RawRequest) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

/// A request under an address, with another body.
pub(crate) fn with_body(request: &RawRequest, body: impl Into<Vec<u8>>) -> RawRequest {
    RawRequest { body: body.into().into(), ..request.clone() }
}

pub(crate) fn marked(request: &RawRequest) -> RawRequest {
    with_body(request, [MARK, &request.body].concat())
}

/// With one letter of the order's number changed.
pub(crate) fn forged(request: &RawRequest) -> RawRequest {
    with_body(request, body(request).replace("A-1", "B-1"))
}

/// As a shell quotes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

pub(crate) fn curl(path: &str, request: &RawRequest) -> String {
    let mut command = format!("curl {}", quoted(&format!("https://pay.example.com{path}")));
    for (name, value) in &request.headers {
        write!(command, " \\\n  -H {}", quoted(&format!("{name}: {}", value.to_str().unwrap()))).unwrap();
    }
    write!(command, " \\\n  --data-raw {}", quoted(body(request))).unwrap();
    command
}

pub(crate) fn har(path: &str, request: &RawRequest, at: &str) -> Value {
    let headers: Vec<Value> = request
        .headers
        .iter()
        .map(|(name, value)| json!({ "name": name.as_str(), "value": value.to_str().unwrap() }))
        .collect();
    json!({
        "startedDateTime": at,
        "request": {
            "method": request.method.as_str(),
            "url": format!("https://pay.example.com{path}"),
            "headers": headers,
            "postData": { "mimeType": request.media_type(), "text": body(request) },
        },
    })
}

pub(crate) fn print_r(fields: &[(String, String)]) -> String {
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("    [{name}] => {value}\n")).collect();
    let lines = lines.concat();
    format!("[2026-11-21 10:00:00] notify: Array\n(\n{lines})\n")
}

/// Every form in which a callback may have been kept, with what is left of it.
pub(crate) fn forms(request: &RawRequest) -> Vec<(&'static str, Vec<u8>, [bool; 2])> {
    let fields = fields(request);
    let each = |line: &dyn Fn(&str, &str) -> String| fields.iter().map(|(n, v)| line(n, v)).collect::<String>();
    let exported = format!("array (\n{})", each(&|name, value| format!("  '{name}' => '{value}',\n")));
    let line = |name: &str, value: &str| format!("  [\"{name}\"]=>\n  string({}) \"{value}\"\n", value.len());
    let dumped = format!("array({}) {{\n{}}}\n", fields.len(), each(&line));
    let object: serde_json::Map<String, Value> =
        fields.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    vec![
        ("http", wire("/notify/alipay", request), [true, true]),
        ("curl", curl("/notify/alipay", request).into_bytes(), [true, true]),
        ("har", har("/notify/alipay", request, "2026-11-21T08:00:00Z").to_string().into_bytes(), [true, true]),
        ("print_r", print_r(&fields).into_bytes(), [false, false]),
        ("var_export", exported.into_bytes(), [false, false]),
        ("var_dump", dumped.into_bytes(), [false, false]),
        ("json_fields", Value::Object(object).to_string().into_bytes(), [false, false]),
        ("body", request.body.to_vec(), [false, true]),
        ("body", format!("2026-11-21 10:00 INFO notify {}\n", body(request)).into_bytes(), [false, true]),
    ]
}
