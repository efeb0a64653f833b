//! The other side of these protocols: throw-away keys, and the signature's rule written a second time, so that the
//! tests compare two readings of it.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use jiff::tz::Offset;
use zeroize::Zeroizing;

use super::{ROOT, SIGN, SignType, XML};
use crate::model::{RawRequest, Timestamp};
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;
use crate::simulate::{Carrier, Cover, Covered, PairCover};
use crate::xml::encode;

/// Characters of a throw-away key.
const KEY_CHARS: usize = 32;

/// How a signature covers a message: everything but itself, without what is empty.
pub(in crate::platforms) const SIGNED: Cover = Cover::Pairs(PairCover {
    carrier: Carrier::Xml,
    covered: Covered::Joined { but: &[SIGN], empty_is_absent: true },
    signature: Some(SIGN),
});

/// Fields of a message that is being written.
pub(in crate::platforms) type Draft = Vec<(&'static str, String)>;

/// A fresh API key.
pub(in crate::platforms) fn fresh_key() -> Zeroizing<Vec<u8>> {
    let mut random = Zeroizing::new([0; KEY_CHARS / 2]);
    aws_lc_rs::rand::fill(&mut *random).expect("the system has random bytes");
    Zeroizing::new(hex(&*random).into_bytes())
}

/// Takes a key that was exported: exactly its characters.
pub(in crate::platforms) fn imported_key(exported: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let is_key = exported.len() == KEY_CHARS && exported.iter().all(u8::is_ascii_alphanumeric);
    if is_key { Ok(Zeroizing::new(exported.to_vec())) } else { Err(format!("not a key of {KEY_CHARS} characters")) }
}

/// Adds `sign`.
pub(in crate::platforms) fn sign(fields: &mut Draft, key: &[u8], sign_type: SignType) {
    let mut texts: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).filter(|(_, value)| !value.is_empty()).collect();
    texts.sort_unstable();
    let mut text = Zeroizing::new(String::new());
    for (name, value) in texts {
        for part in [name, "=", value, "&"] {
            text.push_str(part);
        }
    }
    text.push_str("key=");
    let signed = match sign_type {
        SignType::Md5 => DigestHash::Md5.hex_of(&[text.as_bytes(), key], HexCase::Upper),
        SignType::HmacSha256 => {
            let text = Zeroizing::new([text.as_bytes(), key].concat());
            hex(&HmacKey::new(key, HmacHash::Sha256, "other side").sign(&text)).to_uppercase()
        }
    };
    fields.push((SIGN, signed));
}

/// The callback with these fields.
pub(in crate::platforms) fn request(path: &str, fields: &Draft, at: Timestamp) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(XML));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
    RawRequest {
        method: Method::POST,
        path: path.to_owned(),
        query: None,
        headers,
        body: Bytes::from(encode(ROOT, fields.iter().map(|(name, value)| (*name, value.as_str())))),
        source: None,
        received_at: at,
    }
}

/// A time as the protocol writes it.
pub(in crate::platforms) fn beijing(at: Timestamp, format: &str) -> String {
    Offset::constant(8).to_datetime(at).strftime(format).to_string()
}

/// A number from an order number, so that one order has one payment.
pub(in crate::platforms) fn number(order_no: &str) -> u64 {
    let name = digest(&SHA256, order_no.as_bytes());
    name.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Chance that is the same when a story is told again.
pub(in crate::platforms) fn nonce(order_no: &str, serial: u64) -> String {
    let digits = hex(digest(&SHA256, format!("{order_no}\n{serial}").as_bytes()).as_ref());
    digits.chars().take(32).collect()
}
