//! Hints: messages that name something and prove nothing. What they name is asked about.

use std::fmt;

use crate::model::{Notification, Proven};
use crate::signature::Verified;

/// Longest number that is taken from a hint, in bytes. Platforms' own numbers have 10 to 40; those of pages on which a buyer
/// pays have up to 70.
pub const HINT_BYTES_MAX: usize = 96;

/// An unproven message that names something to ask about. It never becomes a notification: the answer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    number: HintNumber,
    standing: Standing,
}

/// What is known of who sent a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The sender knows the channel's secret.
    Vouched,
    /// The protocol has nothing to show.
    Anybody,
    /// The sender has a genuine signature, under which the number may be another one than the platform wrote.
    Bearer,
    /// What the sender showed is worth nothing.
    Doubtful,
}

impl Hint {
    /// From a message that anybody could have sent.
    pub fn from_anybody(number: HintNumber) -> Self {
        Self { number, standing: Standing::Anybody }
    }

    /// From a message whose sender knows the channel's secret, although the secret does not cover what the message
    /// says (a status that is not under the signature, a token instead of a signature).
    pub fn from_platform(number: HintNumber, _knows: &Verified) -> Self {
        Self { number, standing: Standing::Vouched }
    }

    /// From a message with a genuine signature whose signed text could be cut into other values, so that whoever has one can
    /// name other numbers with it: it counts for no more than anybody's.
    pub fn from_bearer(number: HintNumber, _knows: &Verified) -> Self {
        Self { number, standing: Standing::Bearer }
    }

    /// From a message that was proven, and that the platform is to confirm all the same.
    pub fn from_proven(number: HintNumber, _proven: &Proven<Notification>) -> Self {
        Self { number, standing: Standing::Vouched }
    }

    /// From a message that should prove itself and does not: its sender is a forger, unless a key here is wrong.
    pub fn from_doubtful(number: HintNumber) -> Self {
        Self { number, standing: Standing::Doubtful }
    }

    /// What to ask about.
    pub fn number(&self) -> &HintNumber {
        &self.number
    }

    /// Whether its sender knows the channel's secret, so that nobody else can invent it.
    pub fn is_vouched(&self) -> bool {
        self.standing == Standing::Vouched
    }

    /// Whether a key of the channel let it through, whoever brings it.
    pub fn is_by_key(&self) -> bool {
        matches!(self.standing, Standing::Vouched | Standing::Bearer)
    }

    /// Whether what its sender showed is worth nothing.
    pub fn is_doubtful(&self) -> bool {
        self.standing == Standing::Doubtful
    }
}

/// The platform's number of what a hint is about: letters, digits, `-`, `_`, `.` and `~`, which mean nothing in a URL,
/// and a letter or digit first, so that it is no step in a path.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HintNumber(String);

impl HintNumber {
    /// Takes a number of that shape, of at most [`HINT_BYTES_MAX`] bytes.
    pub fn new(text: &str) -> Option<Self> {
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (begins && text.len() <= HINT_BYTES_MAX && text.bytes().all(is_safe)).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HintNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for HintNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hostile_gets_into_a_url() {
        let longest = "a".repeat(HINT_BYTES_MAX);
        for good in ["tr_7UhSN1zuXS", "1", "ORDER-2026.11~a_b", "0f8fad5b-d9cb-469f-a165-70867728950e", &longest] {
            assert_eq!(HintNumber::new(good).unwrap().as_str(), good);
        }
        let too_long = "a".repeat(HINT_BYTES_MAX + 1);
        for bad in [
            "", ".", "..", "../x", "-a", "_a", "~a", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\r\nb", "a\0", "ä", "a&b",
            "a@b", "a:b", "a;b", "a\\b", &too_long,
        ] {
            assert_eq!(HintNumber::new(bad), None, "{bad:?}");
        }
    }
}
