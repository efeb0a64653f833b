//! The header `Stripe-Signature`: a list of `name=value`, with one time and the signatures of one scheme.

use super::super::signed_body::{header, malformed, read_timestamp};
use super::WINDOW_SECONDS;
use crate::channel::Rejection;
use crate::model::{RawRequest, Timestamp};

/// The header.
pub(super) const SIGNATURE: &str = "stripe-signature";

/// Longest header; one with a signature of each of two secrets has some 170 bytes.
pub(super) const HEADER_BYTES_MAX: usize = 2048;

/// Most signatures that are compared: one for each secret that is valid.
pub(super) const SIGNATURES_MAX: usize = 8;

/// The name of the time.
const TIME: &str = "t";

/// The name of the only scheme that counts (Stripe, "Verify webhook signatures manually": ignore all schemes that are
/// not v1, which prevents a downgrade).
const SCHEME: &str = "v1";

/// Bytes of an HMAC-SHA256.
const TAG_BYTES: usize = 32;

/// What the header says.
pub(super) struct Signatures<'r> {
    /// The time as it is written, which is how it is signed.
    text: &'r str,
    at: Timestamp,
    tags: Vec<[u8; TAG_BYTES]>,
}

impl<'r> Signatures<'r> {
    /// Reads the header, which must be there once.
    pub(super) fn read(request: &'r RawRequest) -> Result<Self, Rejection> {
        let text = header(request, SIGNATURE)?;
        if text.len() > HEADER_BYTES_MAX {
            return Err(malformed(SIGNATURE));
        }
        let (mut time, mut tags) = (None, Vec::new());
        for item in text.split(',') {
            let former = match item.split_once('=').ok_or_else(|| malformed(SIGNATURE))? {
                (TIME, value) => time.replace(value),
                (SCHEME, value) => {
                    tags.push(tag(value).ok_or_else(|| malformed(SIGNATURE))?);
                    None
                }
                _ => None,
            };
            if former.is_some() {
                return Err(Rejection::Duplicate { field: format!("{SIGNATURE}: {TIME}") });
            }
        }
        let missing = |name: &str| Rejection::Missing { field: format!("{SIGNATURE}: {name}") };
        let time = time.ok_or_else(|| missing(TIME))?;
        if tags.is_empty() {
            return Err(missing(SCHEME));
        }
        if tags.len() > SIGNATURES_MAX {
            return Err(malformed(SIGNATURE));
        }
        Ok(Self { text: time, at: read_timestamp(SIGNATURE, time)?, tags })
    }

    /// Compares the time with ours, on both sides.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), Rejection> {
        let seconds = now.as_second().saturating_sub(self.at.as_second());
        if seconds.abs() > WINDOW_SECONDS { Err(Rejection::Stale { seconds }) } else { Ok(()) }
    }

    /// When it was signed.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// What is under the signatures.
    pub(super) fn signed_text(&self, body: &[u8]) -> Vec<u8> {
        [self.text.as_bytes(), b".", body].concat()
    }

    /// The signatures of the scheme.
    pub(super) fn tags(&self) -> Vec<&[u8]> {
        self.tags.iter().map(<[u8; TAG_BYTES]>::as_slice).collect()
    }
}

/// The bytes of lower-case hexadecimal digits.
fn tag(text: &str) -> Option<[u8; TAG_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != TAG_BYTES * 2 {
        return None;
    }
    let mut tag = [0; TAG_BYTES];
    for (byte, pair) in tag.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(tag)
}
