//! Clocks, and times that are written otherwise.

use std::time::Duration;

use super::Damage;
use crate::explain::bytes::{has, replaced};
use crate::explain::pen::{Pen, Piece};
use crate::explain::stage::Scene;
use http::HeaderValue;

pub(super) static DAMAGES: &[Damage] = &[
    Damage::first("clock_wrong", "two hours late", |scene| late(scene, 2 * 3600)),
    Damage::first("clock_wrong", "two hours early", |scene| early(scene, 2 * 3600)),
    Damage::first("clock_wrong", "eight hours late", |scene| late(scene, 8 * 3600)),
    Damage::first("clock_wrong", "ten minutes early", |scene| early(scene, 600)),
    Damage::first("clock_wrong", "a year late", |scene| late(scene, 365 * 24 * 3600)),
    Damage::new("milliseconds", "a header's seconds as milliseconds", |scene| {
        let (seconds, milliseconds) = both(&scene);
        with_time(scene, &seconds, &milliseconds)
    }),
    Damage::new("milliseconds", "a header's milliseconds as seconds", |scene| {
        let (seconds, milliseconds) = both(&scene);
        with_time(scene, &milliseconds, &seconds)
    }),
    Damage::new("milliseconds", "milliseconds signed for seconds", |scene| {
        let (seconds, milliseconds) = both(&scene);
        signed_with_time(scene, &seconds, &milliseconds)
    }),
    Damage::new("milliseconds", "seconds signed for milliseconds", |scene| {
        let (seconds, milliseconds) = both(&scene);
        signed_with_time(scene, &milliseconds, &seconds)
    }),
];

fn late(mut scene: Scene<'_>, seconds: u64) -> Option<Scene<'_>> {
    scene.now = scene.now.checked_add(Duration::from_secs(seconds)).ok()?;
    Some(scene)
}

fn early(mut scene: Scene<'_>, seconds: u64) -> Option<Scene<'_>> {
    scene.now = scene.now.checked_sub(Duration::from_secs(seconds)).ok()?;
    Some(scene)
}

/// When the message was sent, in seconds and in milliseconds.
fn both(scene: &Scene<'_>) -> (Vec<u8>, Vec<u8>) {
    let seconds = scene.story.at.as_second();
    (seconds.to_string().into_bytes(), format!("{seconds}000").into_bytes())
}

/// Another time in a header; of longer digits that begin alike nothing is changed.
fn with_time<'s>(mut scene: Scene<'s>, from: &[u8], to: &[u8]) -> Option<Scene<'s>> {
    let mut is_changed = false;
    for value in scene.request.headers.values_mut() {
        let text = value.as_bytes();
        if has_number(text, from) {
            is_changed = true;
            *value = HeaderValue::from_bytes(&replaced(text, from, to)).ok()?;
        }
    }
    is_changed.then_some(scene)
}

fn signed_with_time<'s>(scene: Scene<'s>, from: &[u8], to: &[u8]) -> Option<Scene<'s>> {
    let pen = Pen::of(&scene)?;
    // The body's own times stay as they are: the first is the header's.
    let mut is_changed = false;
    let other: Vec<Piece> = pen
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) if !is_changed && has_number(text, from) => {
                is_changed = true;
                let at = text.windows(from.len()).position(|window| window == from).expect("it is there");
                Piece::Text([&text[..at], to, &text[at + from.len()..]].concat())
            }
            other => other.clone(),
        })
        .collect();
    let signature = pen.sign(&other)?;
    let scene = pen.put(scene, &signature)?;
    with_time(scene, from, to)
}

/// Whether the digits stand there, and no digit beside them.
fn has_number(text: &[u8], digits: &[u8]) -> bool {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    has(text, digits)
        && text
            .windows(digits.len())
            .enumerate()
            .any(|(at, window)| window == digits && !is_digit(at + digits.len()) && !(at > 0 && is_digit(at - 1)))
}
