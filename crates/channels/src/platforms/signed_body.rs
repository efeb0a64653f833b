//! What several platforms share: a JSON body under RSA with SHA-256 over `timestamp LF nonce LF raw body LF`, with the
//! time, the nonce and the signature in headers.
//!
//! A header holds no line end, so the three lines can be cut in one way only. The body is checked as it came, before
//! anything is parsed.

pub(super) mod keys;
pub(super) mod resigned;
pub(super) mod sealed;

use super::outside;
pub(super) use super::outside::{JSON, header, inner, is_error_page, malformed};
use crate::channel::Rejection;
use crate::model::{RawRequest, Timestamp};
use crate::signature::rsa::RsaVerifier;
use crate::signature::{Verified, decode_base64};

/// Largest body. Notifications have 1 to 4 kB; lists of goods and promotions make some longer.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Longest nonce in the header; real ones have up to 32 characters.
pub const NONCE_BYTES_MAX: usize = 128;

/// Seconds from which on a message's time is too far from ours, in either direction.
pub const WINDOW_SECONDS: i64 = 300;

/// Most digits of a timestamp in seconds; milliseconds have 13, and no platform of this kind writes them.
const TIMESTAMP_DIGITS_MAX: usize = 10;

/// The names of the headers.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) timestamp: &'static str,
    pub(super) nonce: &'static str,
    pub(super) signature: &'static str,
}

/// A request of which everything was checked that costs less than its signature.
pub(super) struct SignedBody<'r> {
    headers: &'static Headers,
    timestamp: &'r str,
    nonce: &'r str,
    signature: &'r str,
    body: &'r [u8],
    /// The time under the signature.
    pub(super) at: Timestamp,
}

impl<'r> SignedBody<'r> {
    /// Reads the headers, each of which must be there once, and compares the time with ours.
    pub(super) fn read(request: &'r RawRequest, headers: &'static Headers, now: Timestamp) -> Result<Self, Rejection> {
        let signature = header(request, headers.signature)?;
        let timestamp = header(request, headers.timestamp)?;
        let nonce = header(request, headers.nonce)?;
        if nonce.len() > NONCE_BYTES_MAX {
            return Err(malformed(headers.nonce));
        }
        let at = read_timestamp(headers.timestamp, timestamp)?;
        let seconds = now.as_second().saturating_sub(at.as_second());
        if seconds.abs() >= WINDOW_SECONDS {
            return Err(Rejection::Stale { seconds });
        }
        Ok(Self { headers, timestamp, nonce, signature, body: &request.body, at })
    }

    /// Checks the signature with a key. `variant` names the protocol.
    pub(super) fn verify(&self, key: &RsaVerifier, variant: &'static str) -> Result<Verified, Rejection> {
        let signature = decode_base64(self.signature.as_bytes()).ok_or_else(|| malformed(self.headers.signature))?;
        let message = [self.timestamp.as_bytes(), b"\n", self.nonce.as_bytes(), b"\n", self.body, b"\n"].concat();
        key.verify(&message, &signature, variant).ok_or(Rejection::Signature)
    }
}

/// Method, media type and size.
pub(super) fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    outside::check_post(request, |media_type| media_type == JSON, BODY_BYTES_MAX)
}

/// Seconds in plain digits. `name` is the header's.
pub(super) fn read_timestamp(name: &str, text: &str) -> Result<Timestamp, Rejection> {
    let is_plain = text.len() <= TIMESTAMP_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<i64> = if is_plain { text.parse().ok() } else { None };
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or_else(|| malformed(name))
}

/// A script's answer in JSON whose `code` is not SUCCESS.
pub(super) fn is_fail(body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<serde_json::Value>(inner(body)) else { return false };
    answer.get("code").is_some_and(|code| code.as_str().is_none_or(|code| !code.eq_ignore_ascii_case("SUCCESS")))
}
