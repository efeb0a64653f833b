//! Times as platforms write them, and the window in which a message is fresh.

use jiff::SignedDuration;

use super::message::{Message, malformed, missing};
use super::template::Reference;
use crate::channel::Rejection;
use crate::json::Json;
use crate::model::Timestamp;

/// Most digits of a time in seconds, and in milliseconds: both last for centuries.
const SECONDS_DIGITS_MAX: usize = 10;
const MILLIS_DIGITS_MAX: usize = 13;

/// How a time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// RFC 3339, with its offset.
    Rfc3339,
}

impl Unit {
    /// The words in the configuration.
    pub(super) const WORDS: &'static [(&'static str, Self)] =
        &[("s", Self::Seconds), ("ms", Self::Millis), ("rfc3339", Self::Rfc3339)];

    /// Reads a time; none when it is not written so.
    pub(super) fn read(self, text: &str) -> Option<Timestamp> {
        let digits = |most: usize| {
            let is_plain = !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_plain { text.parse::<i64>().ok() } else { None }
        };
        match self {
            Self::Seconds => Timestamp::from_second(digits(SECONDS_DIGITS_MAX)?).ok(),
            Self::Millis => Timestamp::from_millisecond(digits(MILLIS_DIGITS_MAX)?).ok(),
            Self::Rfc3339 => text.parse().ok(),
        }
    }

    /// Writes a time.
    #[cfg(feature = "simulate")]
    pub(super) fn write(self, at: Timestamp) -> String {
        match self {
            Self::Seconds => at.as_second().to_string(),
            Self::Millis => at.as_millisecond().to_string(),
            Self::Rfc3339 => at.to_string(),
        }
    }
}

/// A time somewhere in the message.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    pub(super) from: Reference,
    pub(super) unit: Unit,
}

/// The time under the signature, and how far it may lie from ours.
#[derive(Clone, Debug)]
pub(super) struct Stamp {
    pub(super) clock: Clock,
    /// None where the platform states no window: the time is then only kept.
    pub(super) window: Option<Window>,
}

/// How far a time may lie from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) past: SignedDuration,
    pub(super) future: SignedDuration,
}

impl Stamp {
    /// Reads the time and checks the window.
    pub(super) fn check(
        &self,
        message: &Message<'_>,
        item: Option<&Json>,
        now: Timestamp,
    ) -> Result<Timestamp, Rejection> {
        let from = &self.clock.from;
        let text = message.text(from, item)?.ok_or_else(|| missing(from))?;
        let at = self.clock.unit.read(&text).ok_or_else(|| malformed(from))?;
        let age = now.duration_since(at);
        match self.window {
            Some(window) if age > window.past || -age > window.future => {
                Err(Rejection::Stale { seconds: age.as_secs() })
            }
            _ => Ok(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_strictly() {
        let second = |unit: Unit, text: &str| unit.read(text).map(Timestamp::as_second);
        assert_eq!(second(Unit::Seconds, "1700000000"), Some(1_700_000_000));
        assert_eq!(second(Unit::Millis, "1700000000123"), Some(1_700_000_000));
        assert_eq!(second(Unit::Rfc3339, "2023-11-14T22:13:20Z"), Some(1_700_000_000));
        assert_eq!(second(Unit::Rfc3339, "2023-11-15T06:13:20+08:00"), Some(1_700_000_000));
        for (unit, text) in [
            (Unit::Seconds, "1700000000123"),
            (Unit::Seconds, "-1700000000"),
            (Unit::Seconds, " 1700000000"),
            (Unit::Seconds, "1.7e9"),
            (Unit::Seconds, ""),
            (Unit::Millis, "17000000001234"),
            (Unit::Rfc3339, "2023-11-14 22:13:20"),
            (Unit::Rfc3339, "1700000000"),
        ] {
            assert_eq!(unit.read(text), None, "{unit:?} {text}");
        }
    }
}
