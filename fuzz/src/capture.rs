//! A copy of a request, as somebody logged it: reading it ends, gives bounded requests, and agrees with a second writing; and
//! what is said of why a channel refuses them is bounded and tame.
//!
//! The input is the copy. Logs hold what strangers sent.

use std::fmt::Write as _;
use std::sync::OnceLock;

use tollbell::capture::{self, Capture, FIELDS_MAX, Fidelity, Form, READINGS_MAX};
use tollbell_channels::explain::{Configured, Kept, OPERATIONS_MAX, Question, explain};
use tollbell_channels::model::RawRequest;
use tollbell_channels::platforms::by_kind;

use crate::stage::{Stage, now};

/// A copy may say of each byte that it stands for several, as a character beyond ASCII by its number does when it is written
/// as a form once more, and each field brings signs of its own.
const GROWTH_MAX: usize = 12;

/// Longest explained input: a search takes longer than a thousand readings.
const EXPLAINED_BYTES_MAX: usize = 2048;

/// Longest fact, in characters: it stands in one line of a console.
const FACT_CHARS_MAX: usize = 300;

pub(crate) fn check(data: &[u8]) {
    let Ok(readings) = capture::read(data, now()) else { return };
    assert!(!readings.is_empty() && readings.len() <= READINGS_MAX + FIELDS_MAX, "{} readings", readings.len());
    for reading in &readings {
        let bytes = reading.request.body.len() + reading.request.query.as_ref().map_or(0, String::len);
        assert!(bytes <= (data.len() + 64) * GROWTH_MAX, "{} bytes became {bytes}: {reading:?}", data.len());
        assert_eq!(reading.request.received_at, now());
    }
    let first = &readings[0];
    if first.form == Form::Http && first.notes.is_empty() {
        is_read_back(first);
    }
    if data.len() <= EXPLAINED_BYTES_MAX {
        is_explained(first);
    }
}

/// Written as raw HTTP once more, it is the same request.
fn is_read_back(capture: &Capture) {
    let RawRequest { method, path, query, headers, body, .. } = &capture.request;
    let mut text = format!("{method} {path}");
    if let Some(query) = query {
        write!(text, "?{query}").expect("a text takes all");
    }
    text.push_str(" HTTP/1.1\r\n");
    let mut wire = text.into_bytes();
    for (name, value) in headers {
        // What was unpacked is not packed again.
        if !matches!(name.as_str(), "transfer-encoding" | "content-length") {
            wire.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    wire.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    wire.extend_from_slice(body);
    let again = capture::read(&wire, now()).unwrap_or_else(|error| panic!("{error}: {capture:?}"));
    let again = &again[0].request;
    assert_eq!((method, path, query, body), (&again.method, &again.path, &again.query, &again.body), "{capture:?}");
}

/// What is said of it is bounded, and nothing is found in what is taken.
fn is_explained(capture: &Capture) {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    let Stage { settings, channel, .. } = STAGE.get_or_init(|| Stage::new("alipay"));
    let platform = by_kind("alipay").expect("the platform is in the list");
    let own = Configured { id: "own", platform, settings, channel: &**channel };
    let has_bytes = capture.fidelity == Fidelity::Bytes;
    let kept = Kept { has_head: capture.form == Form::Http, has_bytes };
    let diagnosis =
        explain(&Question { request: &capture.request, kept, own, others: &[], now: now(), is_dated: true });
    assert!(!diagnosis.outcome.is_accepted(), "nobody signed this");
    assert!(diagnosis.effort.operations <= OPERATIONS_MAX, "{:?}", diagnosis.effort);
    for found in &diagnosis.findings {
        for (name, value) in &found.facts {
            let is_tame = value.chars().count() <= FACT_CHARS_MAX && !value.chars().any(char::is_control);
            assert!(is_tame, "{}: {name}: {value:?}", found.finding.id);
        }
    }
}
