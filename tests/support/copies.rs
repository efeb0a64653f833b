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

/// As browsers copy it for the shell of Windows: a caret before all that this shell could take for its own.
pub(crate) fn curl_for_windows(path: &str, request: &RawRequest) -> String {
    let quoted = |text: &str| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        let is_plain = |c: char| c.is_alphanumeric() || " _-:=+~'/.,?;()*`".contains(c);
        let carets: String =
            escaped.chars().map(|c| if is_plain(c) { c.to_string() } else { format!("^{c}") }).collect();
        format!("^\"{carets}^\"")
    };
    let mut command = format!("curl {}", quoted(&format!("https://pay.example.com{path}")));
    for (name, value) in &request.headers {
        write!(command, " ^\r\n  -H {}", quoted(&format!("{name}: {}", value.to_str().unwrap()))).unwrap();
    }
    write!(command, " ^\r\n  --data-raw {}", quoted(body(request))).unwrap();
    command
}

/// As browsers' tools show the headers of HTTP/2.
fn with_pseudo_headers(path: &str, request: &RawRequest) -> Vec<u8> {
    let text = String::from_utf8(wire(path, request)).unwrap();
    let (_, rest) = text.split_once("\r\n").unwrap();
    format!(":authority: pay.example.com\r\n:method: {}\r\n:path: {path}\r\n:scheme: https\r\n{rest}", request.method)
        .into_bytes()
}

/// As a script logs headers and body.
fn event(path: &str, request: &RawRequest) -> String {
    let headers: serde_json::Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.to_string(), json!([value.to_str().unwrap()]))).collect();
    json!({ "method": request.method.as_str(), "url": format!("https://pay.example.com{path}"), "headers": headers, "body": body(request) })
        .to_string()
}

/// As nginx logs a body.
fn access_line(request: &RawRequest) -> String {
    let escaped: String = request
        .body
        .iter()
        .map(|byte| match byte {
            b'"' | b'\\' | 0..=31 | 127.. => format!("\\x{byte:02X}"),
            plain => char::from(*plain).to_string(),
        })
        .collect();
    format!(
        "192.0.2.1 - - [21/Nov/2026:12:00:00 +0800] \"POST /n?a=1 HTTP/1.1\" 200 7 \"-\" \"agent (a=b)\" \"{escaped}\"\n"
    )
}

/// As PowerShell writes a text to a file.
fn wide(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
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
    let object = Value::Object(object).to_string();
    let path = "/notify/alipay";
    vec![
        ("http", wire("/notify/alipay", request), [true, true]),
        ("http", [MARK, &wire(path, request)].concat(), [true, true]),
        ("http", with_pseudo_headers(path, request), [true, true]),
        ("http", wide(std::str::from_utf8(&wire(path, request)).unwrap()), [true, false]),
        ("curl", curl_for_windows(path, request).into_bytes(), [true, true]),
        ("event", event(path, request).into_bytes(), [true, true]),
        (
            "event",
            format!("[2026-11-21 12:00:00] local.INFO: in {}  \n", event(path, request)).into_bytes(),
            [true, true],
        ),
        ("json_fields", format!("[2026-11-21 12:00:00] local.INFO: in {object} []\n").into_bytes(), [false, false]),
        ("json_fields", wide(&object), [false, false]),
        ("body", access_line(request).into_bytes(), [false, true]),
        ("body", format!("a=b {}\n10:01 c=d&e=f\n", body(request)).into_bytes(), [false, true]),
        ("curl", curl("/notify/alipay", request).into_bytes(), [true, true]),
        ("har", har("/notify/alipay", request, "2026-11-21T08:00:00Z").to_string().into_bytes(), [true, true]),
        ("print_r", print_r(&fields).into_bytes(), [false, false]),
        ("var_export", exported.into_bytes(), [false, false]),
        ("var_dump", dumped.into_bytes(), [false, false]),
        ("json_fields", object.into_bytes(), [false, false]),
        ("body", request.body.to_vec(), [false, true]),
        ("body", format!("2026-11-21 10:00 INFO notify {}\n", body(request)).into_bytes(), [false, true]),
    ]
}
