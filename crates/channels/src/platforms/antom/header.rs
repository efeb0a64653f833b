//! The three headers, and the text that they sign: `POST {path}`, a line end, `{client-id}.{request-time}.{body}`.
//!
//! The text escapes nothing. It can be cut in one way only all the same: no path holds a line end, no client id a dot, and
//! a time is read by a strict grammar in which a dot stands between digits, while a body begins with a brace.

use std::borrow::Cow;

use super::settings::Config;
use crate::channel::{Rejection, quote};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::outside::{header, malformed};
use crate::signature::rsa::RsaVerifier;
use crate::signature::{Verified, decode_base64};

/// Whose message it is.
pub(super) const CLIENT: &str = "client-id";

/// When it was sent.
pub(super) const TIME: &str = "request-time";

/// The signature, with the names of its algorithm and of its key.
pub(super) const SIGNATURE: &str = "signature";

/// The only algorithm, in Antom's word: RSA (PKCS #1 v1.5) with SHA-256.
pub(super) const ALGORITHM: &str = "RSA256";

/// How the text under the signature is made; there is one way.
pub(super) const VARIANT: &str = "antom";

/// Longest `signature`: an RSA signature of 8192 bits in base64 with every character percent-encoded, and the names.
pub(super) const HEADER_BYTES_MAX: usize = 4608;

/// Longest `keyVersion`; real ones have one digit.
pub(super) const VERSION_CHARS_MAX: usize = 16;

/// Longest time; one with nanoseconds and an offset has 35 characters.
const TIME_CHARS_MAX: usize = 35;

/// Digits of a time in milliseconds (Antom, "Sign a request and verify the signature").
const MILLIS_DIGITS: usize = 13;

/// Most digits of a second's part.
const PART_DIGITS_MAX: usize = 9;

/// A message of which everything was checked that costs less than its signature.
pub(super) struct Signed<'r> {
    request: &'r RawRequest,
    client_id: &'r str,
    time: &'r str,
    at: Timestamp,
    version: &'r str,
    signature: Vec<u8>,
}

impl<'r> Signed<'r> {
    /// Reads the headers, each of which must be there once.
    pub(super) fn read(request: &'r RawRequest, config: &Config) -> Result<Self, Rejection> {
        let client_id = header(request, CLIENT)?;
        if !config.is_own(client_id) {
            return Err(Rejection::UnknownMerchant { field: CLIENT.into() });
        }
        let time = header(request, TIME)?;
        let at = read_time(time).ok_or_else(|| malformed(TIME))?;
        let [algorithm, version, signature] = named(header(request, SIGNATURE)?)?;
        if algorithm != ALGORITHM {
            return Err(Rejection::Algorithm { algorithm: quote(algorithm) });
        }
        if !is_version(version) {
            return Err(malformed(SIGNATURE));
        }
        let signature = unwrapped(signature).and_then(|text| decode_base64(text.as_bytes()));
        let signature = signature.ok_or_else(|| malformed(SIGNATURE))?;
        Ok(Self { request, client_id, time, at, version, signature })
    }

    /// What calls the key.
    pub(super) fn version(&self) -> &'r str {
        self.version
    }

    /// Whose message it is.
    pub(super) fn client_id(&self) -> &'r str {
        self.client_id
    }

    /// When it was sent.
    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Checks the signature over the message at this path.
    pub(super) fn verify(&self, key: &RsaVerifier, path: &str) -> Option<Verified> {
        let text = text(path, self.client_id, self.time, &self.request.body);
        key.verify(&text, &self.signature, VARIANT)
    }
}

/// What is signed.
pub(super) fn text(path: &str, client_id: &str, time: &str, body: &[u8]) -> Vec<u8> {
    [b"POST ", path.as_bytes(), b"\n", client_id.as_bytes(), b".", time.as_bytes(), b".", body].concat()
}

/// The values of `algorithm=…,keyVersion=…,signature=…`, in this order; a blank may stand behind each comma, as Antom's
/// documents write it and its libraries do not.
fn named(text: &str) -> Result<[&str; 3], Rejection> {
    const NAMES: [&str; 3] = ["algorithm", "keyVersion", "signature"];
    if text.len() > HEADER_BYTES_MAX {
        return Err(malformed(SIGNATURE));
    }
    let mut found = [None; 3];
    for (index, item) in text.split(',').enumerate() {
        let item = if index == 0 { item } else { item.strip_prefix(' ').unwrap_or(item) };
        let (name, value) = item.split_once('=').ok_or_else(|| malformed(SIGNATURE))?;
        let place = NAMES.iter().position(|known| *known == name).ok_or_else(|| malformed(SIGNATURE))?;
        if found[place].replace(value).is_some() {
            return Err(Rejection::Duplicate { field: format!("{SIGNATURE}: {name}") });
        }
    }
    let value = |at: usize| {
        let name = NAMES[at];
        found[at].filter(|value| !value.is_empty()).ok_or(Rejection::Missing { field: format!("{SIGNATURE}: {name}") })
    };
    Ok([value(0)?, value(1)?, value(2)?])
}

/// Letters and digits, few of them.
pub(super) fn is_version(text: &str) -> bool {
    (1..=VERSION_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Base64 out of its percent-encoding, or as it is: all of it in one of the two, so that one signature has no more texts
/// than these. A plus is never a blank.
fn unwrapped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    if text.contains(['+', '/', '=']) {
        return None;
    }
    let plain = text.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    (!plain.contains('%')).then_some(Cow::Owned(plain))
}

/// The other way round, as Antom writes it.
pub(super) fn wrapped(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// A time in ISO 8601 with seconds and an offset, or in milliseconds since 1970.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    if text.len() == MILLIS_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Timestamp::from_millisecond(text.parse().ok()?).ok();
    }
    iso(text)
}

/// `2026-11-21T12:00:00+08:00`, also with a part of a second, with `Z`, or with an offset that has no colon.
pub(super) fn iso(text: &str) -> Option<Timestamp> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let is_shape = |part: &[u8], shape: &[u8]| {
        part.len() == shape.len()
            && part.iter().zip(shape).all(|(byte, sign)| match sign {
                b'0' => byte.is_ascii_digit(),
                sign => byte == sign,
            })
    };
    if text.len() > TIME_CHARS_MAX || !text.is_ascii() {
        return None;
    }
    let (moment, rest) = text.split_at_checked(SHAPE.len())?;
    if !is_shape(moment.as_bytes(), SHAPE) {
        return None;
    }
    let (part, offset) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let is_part = match part.strip_prefix('.') {
        Some(digits) => {
            (1..=PART_DIGITS_MAX).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => part.is_empty(),
    };
    let offset = match offset.as_bytes() {
        b"Z" => Cow::Borrowed(offset),
        [b'+' | b'-', clock @ ..] if is_shape(clock, b"00:00") => Cow::Borrowed(offset),
        [b'+' | b'-', clock @ ..] if is_shape(clock, b"0000") => {
            let (hours, minutes) = offset.split_at(3);
            Cow::Owned(format!("{hours}:{minutes}"))
        }
        _ => return None,
    };
    if !is_part {
        return None;
    }
    format!("{moment}{part}{offset}").parse().ok()
}
