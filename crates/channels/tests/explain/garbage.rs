//! Whatever comes, what is said of it is tame.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use tollbell_channels::explain::{Diagnosis, Kept, SIGNED_SHOWN_MAX};
use tollbell_channels::model::RawRequest;

use super::genuine::{Chance, note, story};
use super::stage::{Scene, Stage, with_every_stage};

/// Requests of each kind and platform.
const REQUESTS: usize = 64;

/// Longest fact, in characters: it stands in one line of a console.
const FACT_CHARS_MAX: usize = 300;

/// What is said can be printed as it is.
pub(crate) fn is_tame(stage: &Stage, diagnosis: &Diagnosis) {
    let kind = stage.platform.kind;
    for found in &diagnosis.findings {
        for (name, value) in &found.facts {
            let shown = format!("{kind}: {}: {name}: {value:?}", found.finding.id);
            assert!(value.chars().count() <= FACT_CHARS_MAX, "unbounded: {shown}");
            assert!(!value.chars().any(char::is_control), "control characters: {shown}");
        }
    }
    for signed in &diagnosis.signed {
        // The last character may be an escape, and the place of a secret is shown behind.
        assert!(signed.text.chars().count() <= SIGNED_SHOWN_MAX + 32, "{kind}: unbounded");
        assert!(!signed.text.chars().any(char::is_control), "{kind}: control characters");
    }
}

fn bytes(chance: &mut Chance, length: usize) -> Vec<u8> {
    (0..length).map(|_| u8::try_from(chance.next() & 0xff).expect("a byte")).collect()
}

/// A change that anybody might make to a text.
fn changed(chance: &mut Chance, text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(text.len() + 1);
        match chance.below(6) {
            0 => text.truncate(at),
            1 => drop(text.splice(at..at, note(chance).into_bytes())),
            2 => {
                let length = chance.below(8);
                let more = bytes(chance, length);
                drop(text.splice(at..at, more));
            }
            3 => {
                let end = (at + chance.below(20)).min(text.len());
                text.drain(at..end);
            }
            4 => {
                let end = (at + chance.below(60)).min(text.len());
                let piece = text[at..end].to_vec();
                drop(text.splice(at..at, piece));
            }
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << chance.below(8);
                }
            }
        }
    }
    text
}

/// A request of which some part is anything.
fn spoilt(chance: &mut Chance, request: &RawRequest) -> RawRequest {
    let mut request = request.clone();
    match chance.below(6) {
        0 => {
            let length = chance.below(400);
            request.body = Bytes::from(bytes(chance, length));
        }
        1 => {
            let names: Vec<HeaderName> = request.headers.keys().cloned().collect();
            if let Some(name) = names.get(chance.below(names.len().max(1))) {
                let value = changed(chance, request.headers[name].as_bytes());
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request.headers.insert(name.clone(), value);
                }
            }
        }
        2 => {
            let text = changed(chance, request.query.clone().unwrap_or_default().as_bytes());
            request.query = Some(String::from_utf8_lossy(&text).into_owned());
        }
        3 => {
            let methods = [Method::GET, Method::PUT, Method::HEAD, Method::POST];
            request.method = methods[chance.below(methods.len())].clone();
            request.body = Bytes::from(changed(chance, &request.body));
        }
        _ => request.body = Bytes::from(changed(chance, &request.body)),
    }
    request
}

fn told_of_anything(stage: &Stage) {
    let mut chance = Chance::new(0x6a72 + stage.platform.kind.len() as u64);
    for turn in 0..REQUESTS {
        let scene = stage.scene(&story(stage, &mut chance));
        let request = spoilt(&mut chance, &scene.request);
        let has = |bit: usize| turn >> bit & 1 == 0;
        let kept = Kept { has_head: has(0) || has(2), has_bytes: has(1) || has(3) };
        let scene = Scene { request, kept, ..scene };
        is_tame(stage, &scene.diagnose().expect("a channel"));
    }
}

#[test]
fn what_is_said_of_anything_is_tame() {
    with_every_stage(told_of_anything);
}
