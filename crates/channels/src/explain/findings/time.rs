//! Clocks: ours, the message's, and the unit in which it was written.
//!
//! Nothing here asks what time it is. A message is verified at its own time, or at the time at which it was received; when
//! it then is genuine, only the time was wrong.

mod clock;
mod millis;
#[cfg(all(test, feature = "simulate"))]
mod tests;

pub(super) use self::clock::CLOCK_WRONG;
pub(super) use self::millis::MILLISECONDS;
use crate::form::{Form, Limits};
use crate::model::{RawRequest, Timestamp};

/// From when on a time is one of a message's: no platform of today sent any before (2015).
const PLAUSIBLE_FROM: i64 = 1_420_070_400;

/// Until when (2100).
const PLAUSIBLE_TO: i64 = 4_102_444_800;

/// Digits of seconds since 1970, and of milliseconds.
const SECONDS_DIGITS: usize = 10;
const MILLIS_DIGITS: usize = 13;

/// What is read of a form or query.
const LIMITS: Limits = Limits { bytes_max: 512 * 1024, pairs_max: 256 };

/// Whether a message may be of this time.
fn is_plausible(at: Timestamp) -> bool {
    (PLAUSIBLE_FROM..PLAUSIBLE_TO).contains(&at.as_second())
}

/// Digits that stand by themselves in a value of a request.
struct Digits {
    /// The header or parameter.
    name: String,
    /// Where it stands.
    place: Place,
    text: String,
}

/// Where digits stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Body,
    Query,
}

/// Every run of so many digits in a header, and every such value of a form or a query, that can be a time.
fn digits(request: &RawRequest, count: usize) -> Vec<Digits> {
    let mut found = Vec::new();
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        for run in runs(&value).filter(|run| run.len() == count) {
            found.push(Digits { name: name.as_str().to_owned(), place: Place::Header, text: run.to_owned() });
        }
    }
    let query = request.query.as_deref().unwrap_or_default();
    for (place, bytes) in [(Place::Body, request.body.as_ref()), (Place::Query, query.as_bytes())] {
        if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'<')) {
            continue;
        }
        let Ok(form) = Form::parse(bytes, LIMITS) else { continue };
        for pair in form.pairs() {
            let (name, value) = (String::from_utf8_lossy(&pair.name), String::from_utf8_lossy(&pair.value));
            if value.len() == count && runs(&value).next().is_some_and(|run| run.len() == count) {
                found.push(Digits { name: name.into_owned(), place, text: value.into_owned() });
            }
        }
    }
    found.retain(|digits| read(&digits.text).is_some_and(is_plausible));
    found
}

/// Runs of digits that no letter or digit touches.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|run| !run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()))
}

/// A time in seconds or milliseconds, by the number of its digits.
fn read(digits: &str) -> Option<Timestamp> {
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        SECONDS_DIGITS => Timestamp::from_second(number).ok(),
        MILLIS_DIGITS => Timestamp::from_millisecond(number).ok(),
        _ => None,
    }
}
