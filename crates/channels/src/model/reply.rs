//! Replies: the exact bytes that a platform gets from us, and the reading of what an application says.

use bytes::Bytes;

/// The exact bytes of an HTTP answer to a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The content type; none for an empty body.
    pub content_type: Option<&'static str>,
    /// The body, exactly.
    pub body: Bytes,
}

impl Reply {
    /// A reply from constants.
    pub const fn constant(status: u16, content_type: &'static str, body: &'static [u8]) -> Self {
        Self { status, content_type: Some(content_type), body: Bytes::from_static(body) }
    }
}

/// What the application answered to a raw delivery, as a platform would have seen it.
#[derive(Clone, Copy, Debug)]
pub struct AppReply<'a> {
    /// The status code.
    pub status: u16,
    /// The body, perhaps cut at the target's cap.
    pub body: &'a [u8],
}

/// Whether a reply says what the platform waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckMatch {
    /// Exactly, to the byte.
    Exact,
    /// Only after blanks or a byte order mark around it were ignored; the platform would have
    /// repeated the notification.
    Trimmed,
    /// Somewhere within other text; the platform would have repeated the notification.
    Within,
    /// Not at all.
    No,
}

/// UTF-8 byte order mark: invisible in editors, and the commonest reason why a right word is not right.
const BOM: &[u8] = b"\xef\xbb\xbf";

impl AckMatch {
    /// Compares a body with the exact word, letter by letter: a word in other letters is another word.
    pub fn of_word(body: &[u8], word: &[u8]) -> Self {
        if body == word {
            return Self::Exact;
        }
        let mut inner = body.trim_ascii();
        while let Some(rest) = inner.strip_prefix(BOM) {
            inner = rest.trim_ascii();
        }
        while let Some(rest) = inner.strip_suffix(BOM) {
            inner = rest.trim_ascii();
        }
        if inner == word {
            return Self::Trimmed;
        }
        if !word.is_empty() && body.windows(word.len()).any(|window| window == word) {
            return Self::Within;
        }
        Self::No
    }
}
