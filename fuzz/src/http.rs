//! An application's HTTP answer: whether it confirms agrees with a second reading of the rule, and what is kept
//! of it is bounded and tame.
//!
//! The input is the rule as a form (`body=success&match=exact`), a line end, and then the answer: the status,
//! header lines, an empty line, the body.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tollbell::egress::{Got, Url};
use tollbell::targets::http::fuzzing::Judge;
use tollbell::targets::{Attempted, Envelope, Outcome, Reason};
use tollbell_channels::json::{Json, Pointer};
use tollbell_channels::model::{AckMatch, Environment, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

use crate::form::read;
use crate::stage::now;

/// Longest detail of a reason, in characters, with the sign that it was cut.
const DETAIL_CHARS_MAX: usize = 401;
/// Longest beginning of a body that is kept, likewise.
const BODY_HEAD_CHARS_MAX: usize = 501;

thread_local! {
    static JUDGE: RefCell<Judge> = RefCell::new(Judge::new(&base()).expect("one setting is enough"));
}

fn base() -> Settings {
    Settings::without_environment().with("url", SettingValue::Text("http://127.0.0.1:3000/payments".into()))
}

pub(crate) fn check(data: &[u8]) {
    let Some((rule, answer)) = split(data, b"\n") else { return };
    let Ok(pairs) = read(rule) else { return };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let pairs: Vec<(String, String)> = pairs.iter().map(|(name, value)| (text(name), text(value))).collect();
    let got = answered(answer);
    let attempted = JUDGE.with_borrow_mut(|judge| {
        let settings =
            if pairs.is_empty() { base() } else { base().with("success", SettingValue::Pairs(pairs.clone())) };
        judge.set_rule(&settings).ok()?;
        let asked = Url::parse("http://127.0.0.1:3000/payments").expect("a constant address");
        Some(judge.judge(&got, &asked, &envelope()))
    });
    let Some(attempted) = attempted else { return };
    is_tame(&attempted);
    let is_delivered = matches!(attempted.outcome, Outcome::Delivered);
    if let Some(expected) = confirms(&pairs, &got) {
        assert_eq!(is_delivered, expected, "{pairs:?}: {attempted:?}");
    }
    waits_as_asked(&attempted, &got);
    assert_eq!(attempted.status, Some(got.status.as_u16()));
    assert!(is_delivered || matches!(attempted.outcome, Outcome::RetryLater { .. } | Outcome::Declined { .. }));
    let is_gone = matches!(attempted.outcome, Outcome::Declined { .. });
    assert!(!is_gone || got.status == StatusCode::GONE, "given up: {attempted:?}");
}

fn split<'d>(data: &'d [u8], end: &[u8]) -> Option<(&'d [u8], &'d [u8])> {
    let at = data.windows(end.len()).position(|window| window == end)?;
    Some((&data[..at], &data[at + end.len()..]))
}

fn answered(answer: &[u8]) -> Got {
    let (head, body) = split(answer, b"\n\n").unwrap_or((answer, b""));
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line.first_chunk::<3>()?).ok());
    let mut headers = HeaderMap::new();
    for line in lines.take(64) {
        let Some((name, value)) = split(line, b": ") else { continue };
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let is_cut = headers.contains_key("x-cut");
    Got { status: status.unwrap_or(StatusCode::OK), headers, body: Bytes::copy_from_slice(body), is_cut }
}

fn envelope() -> Envelope {
    Envelope {
        delivery: "dlv_1".to_owned(),
        attempt: 1,
        notification: "ntf_1".to_owned(),
        merchant: Arc::from("default"),
        channel: Arc::from("shop"),
        environment: Environment::Sandbox,
        origin: "callback",
        events: Vec::new(),
        request: None::<RawRequest>,
        signed_query: Arc::new(|_| None),
        attempted_at: now(),
        fields: Arc::new(Vec::new),
        is_ack: Arc::new(|reply| AckMatch::of_word(reply.body, b"success")),
    }
}

/// The rules once more, as far as they need no judgement of PHP's messages; none where they do.
fn confirms(pairs: &[(String, String)], got: &Got) -> Option<bool> {
    let value = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let status = got.status.as_u16();
    let is_success = status < 300;
    let has_message = ["error", "Error"].iter().any(|word| contains(&got.body, word.as_bytes()));
    if let Some(wanted) = value("status").or(pairs.is_empty().then_some("2xx")) {
        let is_wanted = match wanted.to_ascii_lowercase().strip_suffix("xx") {
            Some(class) => status / 100 == class.parse::<u16>().ok()?,
            None => status == wanted.parse::<u16>().ok()?,
        };
        return if is_wanted && has_message { None } else { Some(is_wanted) };
    }
    if let Some(word) = value("body") {
        let is_found = match value("match") {
            Some("exact") => got.body == word.as_bytes() && !got.is_cut,
            Some("contains") if contains(&got.body, word.as_bytes()) && has_message => return None,
            // Blanks that the word itself has at its ends do not count around it.
            Some("contains") => contains(&got.body, word.as_bytes()) || bare(&got.body) == word.as_bytes(),
            _ => (got.body == word.as_bytes() || bare(&got.body) == word.as_bytes()) && !got.is_cut,
        };
        return Some(is_success && is_found);
    }
    if let Some(pointer) = value("json") {
        let body = got.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&got.body);
        // A name that comes twice is read in two ways, and numbers beyond the plain ones have several texts.
        let json = Json::parse(body).ok()?;
        let found = Pointer::parse(pointer).and_then(|pointer| json.at(&pointer));
        let expected = value("equals")?;
        return match found {
            Some(Json::Number(text))
                if text.len() > 15 || text.starts_with('-') || !text.bytes().all(|b| b.is_ascii_digit()) =>
            {
                None
            }
            Some(Json::Null) => Some(is_success && expected == "null"),
            Some(json) => Some(is_success && json.text() == Some(expected)),
            None if Pointer::parse(pointer).is_none() => None,
            None => Some(false),
        };
    }
    (value("") == Some("platform"))
        .then(|| (got.body == b"success"[..] || bare(&got.body) == b"success") && !got.is_cut)
}

fn contains(body: &[u8], word: &[u8]) -> bool {
    body.windows(word.len().max(1)).any(|window| window == word)
}

/// Without blanks and byte order marks at the ends.
fn bare(mut body: &[u8]) -> &[u8] {
    loop {
        let before = body.len();
        body = body.trim_ascii();
        body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        body = body.strip_suffix(b"\xef\xbb\xbf").unwrap_or(body);
        if body.len() == before {
            return body;
        }
    }
}

/// A wait is what the answer asked for, and only answers that may ask are heard.
fn waits_as_asked(attempted: &Attempted, got: &Got) {
    let Outcome::RetryLater { after, .. } = &attempted.outcome else { return };
    let asked = got.headers.get("retry-after").and_then(|value| value.to_str().ok()).map(str::trim);
    let Some(after) = after else {
        let may_ask = matches!(got.status.as_u16(), 429 | 503);
        let is_number = asked.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(!may_ask || !is_number, "a wait in seconds was not heard: {asked:?}");
        return;
    };
    assert!(matches!(got.status.as_u16(), 429 | 503));
    let asked = asked.expect("somebody asked");
    if let Ok(seconds) = asked.parse::<u64>() {
        assert_eq!(*after, Duration::from_secs(seconds));
    } else if let Ok(at) = DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", asked) {
        let at = at.to_zoned(TimeZone::UTC).expect("a time of the calendar").timestamp();
        assert_eq!(Some(*after), Duration::try_from(at.duration_since(now())).ok());
    }
}

/// Bounded, and without control characters but line ends and tabulators.
fn is_tame(attempted: &Attempted) {
    let is_tame = |text: &str, most: usize| {
        text.chars().count() <= most && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t')
    };
    let outcome: Option<&Reason> = match &attempted.outcome {
        Outcome::Delivered => None,
        Outcome::RetryLater { reason, .. } | Outcome::Declined { reason } | Outcome::Unknown { reason } => Some(reason),
    };
    for reason in outcome.into_iter().chain(&attempted.notes) {
        assert!(is_tame(&reason.detail, DETAIL_CHARS_MAX), "{reason:?}");
        assert!(tollbell::targets::http::REASONS.contains(&reason.word), "`{}` has no text", reason.word);
    }
    assert!(is_tame(&attempted.body_head, BODY_HEAD_CHARS_MAX));
    assert!(attempted.stderr.is_empty());
}
