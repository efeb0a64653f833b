//! JSON: what our reader takes, the library's own reader takes as well and sees the same values in it; what it does not
//! take is no JSON, has a name twice, or is beyond a bound.

use serde_json::Value;
use tollbell_channels::json::{DEPTH_MAX, Json, JsonError, PATH_BYTES_MAX, VALUES_MAX, values_max};

pub(crate) fn check(data: &[u8]) {
    let known: Option<Value> = serde_json::from_slice(data).ok();
    match (Json::parse(data), known) {
        (Ok(json), Some(known)) => {
            is_same(&json, &known);
            is_flat(&json);
        }
        // Numbers beyond a float are numbers all the same: nothing here is ever a float.
        (Ok(json), None) => assert!(has_large_number(&json), "no JSON is taken: {json:?}"),
        (Err(JsonError::Twice(name)), _) => {
            let text = serde_json::to_string(&name).expect("a name can be written");
            let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let written = String::from_utf8_lossy(data);
            let count = written.matches(&text).count() + usize::from(written.contains("\\u")) * 2;
            assert!(!is_plain || count >= 2, "`{name}` is there once");
        }
        (Err(JsonError::Malformed), Some(known)) => {
            let size = Size::of(&known);
            assert!(size.depth > DEPTH_MAX || size.values >= values_max(data.len()), "JSON is refused: {known}");
        }
        (Err(JsonError::Malformed), None) => {}
    }
}

fn is_same(json: &Json, known: &Value) {
    match (json, known) {
        (Json::Null, Value::Null) => {}
        (Json::Flag(flag), Value::Bool(known)) => assert_eq!(flag, known),
        (Json::Text(text), Value::String(known)) => assert_eq!(text, known),
        (Json::Number(text), Value::Number(known)) => {
            let number: f64 = text.parse().expect("a number's token is one");
            assert!(known.as_f64().is_none_or(|known| (known - number).abs() <= known.abs() * 1e-9), "{text} {known}");
        }
        (Json::List(values), Value::Array(known)) => {
            assert_eq!(values.len(), known.len());
            values.iter().zip(known).for_each(|(value, known)| is_same(value, known));
        }
        (Json::Object(members), Value::Object(known)) => {
            assert_eq!(members.len(), known.len(), "each name once");
            for (name, value) in members {
                is_same(value, known.get(name).expect("the same names"));
            }
        }
        _ => panic!("{json:?} is not {known}"),
    }
}

/// Every single value has a path of its own.
fn is_flat(json: &Json) {
    let mut fields = Vec::new();
    if json.flatten("", &mut fields) {
        assert!(fields.len() <= VALUES_MAX && fields.iter().all(|(path, _)| path.len() <= PATH_BYTES_MAX));
    }
}

fn has_large_number(json: &Json) -> bool {
    match json {
        Json::Number(text) => text.parse::<f64>().is_ok_and(f64::is_infinite),
        Json::List(values) => values.iter().any(has_large_number),
        Json::Object(members) => members.iter().any(|(_, value)| has_large_number(value)),
        _ => false,
    }
}

struct Size {
    depth: usize,
    values: usize,
}

impl Size {
    fn of(value: &Value) -> Self {
        let inner: Vec<Self> = match value {
            Value::Array(values) => values.iter().map(Self::of).collect(),
            Value::Object(members) => members.values().map(Self::of).collect(),
            _ => Vec::new(),
        };
        let depth = inner.iter().map(|size| size.depth + 1).max().unwrap_or(0);
        Self { depth, values: 1 + inner.iter().map(|size| size.values).sum::<usize>() }
    }
}
