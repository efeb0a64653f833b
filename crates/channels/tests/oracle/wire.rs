//! Talks with an oracle of `tests/oracles/china`, all of which speak one language: a JSON object a line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use tollbell_channels::model::{RawRequest, Timestamp};

use super::python::run;

/// A message of an oracle.
#[derive(Debug)]
pub(crate) struct Said {
    /// As it arrives.
    pub(crate) request: RawRequest,
    /// The oracle's own verdict: `outcome`, and the facts of a genuine one.
    pub(crate) expect: Value,
    /// The time at which it is to be verified.
    pub(crate) now: Timestamp,
    /// What was done to it, if anything.
    pub(crate) damage: Option<String>,
    /// The kind, in the oracle's words.
    pub(crate) kind: String,
    /// The whole line, for more.
    pub(crate) line: Value,
}

impl Said {
    /// Whether the oracle calls it genuine.
    pub(crate) fn is_genuine(&self) -> bool {
        self.expect["outcome"] == "genuine"
    }
}

/// What a gateway is told about the merchant whose keys belong to the seed, in the platform's names.
pub(crate) fn settings(script: &str, seed: u64, wish: &Value) -> Value {
    let answers = run(&format!("china/{script}"), &[], &[keys(seed, wish)]);
    answers[0]["settings"].clone()
}

/// What an oracle says to these lines, after it took the keys of the seed.
pub(crate) fn ask(script: &str, seed: u64, wish: &Value, lines: &[Value]) -> Vec<Value> {
    let all: Vec<Value> = std::iter::once(keys(seed, wish)).chain(lines.iter().cloned()).collect();
    let answers = run(&format!("china/{script}"), &[], &all).split_off(1);
    assert_eq!(answers.len(), lines.len());
    for (line, answer) in lines.iter().zip(&answers) {
        assert!(answer.get("error").is_none(), "{script}: {line}: {answer}");
    }
    answers
}

/// Messages: each line is a `sign` or a `damage`.
pub(crate) fn messages(script: &str, seed: u64, wish: &Value, lines: &[Value]) -> Vec<Said> {
    ask(script, seed, wish, lines).into_iter().map(said).collect()
}

/// The verdicts of the oracle about requests, each at a time.
pub(crate) fn verdicts(script: &str, seed: u64, wish: &Value, requests: &[(RawRequest, Timestamp)]) -> Vec<Value> {
    let lines: Vec<Value> = requests
        .iter()
        .map(|(request, now)| json!({ "op": "verify", "request": written(request), "now": now.as_second() }))
        .collect();
    ask(script, seed, wish, &lines)
}

fn keys(seed: u64, wish: &Value) -> Value {
    let mut line = json!({ "op": "keys", "seed": seed });
    for (name, value) in wish.as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    line
}

fn said(line: Value) -> Said {
    let now = Timestamp::from_second(line["now"].as_i64().expect("a time")).expect("a time");
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    Said {
        request: read(&line["request"], now),
        expect: line["expect"].clone(),
        now,
        damage: text("damage"),
        kind: text("kind").unwrap_or_default(),
        line,
    }
}

/// A request in the oracles' form.
pub(crate) fn read(value: &Value, received_at: Timestamp) -> RawRequest {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for header in value["headers"].as_array().into_iter().flatten() {
        let part = |at: usize| header[at].as_str().expect("a header");
        let name = HeaderName::from_bytes(part(0).as_bytes()).expect("a header's name");
        headers.append(name, HeaderValue::from_bytes(part(1).as_bytes()).expect("a header's value"));
    }
    let query = text("query");
    RawRequest {
        method: Method::from_bytes(text("method").as_bytes()).expect("a method"),
        path: text("path").to_owned(),
        query: (!query.is_empty()).then(|| query.to_owned()),
        headers,
        body: Bytes::from(STANDARD.decode(text("body_base64")).expect("base64")),
        source: None,
        received_at,
    }
}

/// The other way round.
pub(crate) fn written(request: &RawRequest) -> Value {
    let headers: Vec<[String; 2]> = request
        .headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect();
    json!({
        "method": request.method.as_str(),
        "path": request.path,
        "query": request.query.as_deref().unwrap_or_default(),
        "headers": headers,
        "body_base64": STANDARD.encode(&request.body),
    })
}
