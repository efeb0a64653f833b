//! The platform's check of an address: a GET with a number, which is answered with the number's signature.
//!
//! Anybody may send such a request, and so have any number signed with the key that also proves messages. No such answer
//! is a signature of a message, for three reasons, each of which is enough:
//!
//! * Only 20 to 32 hexadecimal digits in lower case are signed, and a payload of nothing else is refused before its
//!   signature is looked at.
//! * Such digits are base64 of at most 24 bytes, in which no notification has room.
//! * A document begins with `<`, whose first six bits base64 writes as `P`; or with a blank (`C`, `D` or `I`) or a byte order
//!   mark (`7`, `7`, `u`). None of the capital letters, nor `u`, is a hexadecimal digit in lower case.

use http::Method;

use super::settings::Config;
use crate::form::{Form, Limits};
use crate::model::{RawRequest, Reply};
use crate::signature::key::hex;

/// The name of the number.
pub(super) const CHALLENGE: &str = "bt_challenge";

/// Least and most digits of a number.
const DIGITS_MIN: usize = 20;
const DIGITS_MAX: usize = 32;

/// What is read of a query: the number, and what the merchant's own address has.
const LIMITS: Limits = Limits { bytes_max: 4 * 1024, pairs_max: 16 };

const TEXT: &str = "text/plain";

/// 20 to 32 hexadecimal digits in lower case, and nothing else.
pub(super) fn is_challenge(text: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (DIGITS_MIN..=DIGITS_MAX).contains(&text.len()) && text.iter().all(is_digit)
}

/// The number that a request asks about; none when it is no such request.
pub(super) fn of(request: &RawRequest) -> Option<Vec<u8>> {
    if request.method != Method::GET || !request.body.is_empty() {
        return None;
    }
    let form = Form::parse(request.query.as_deref()?.as_bytes(), LIMITS).ok()?;
    if form.duplicate().is_some() {
        return None;
    }
    form.present(CHALLENGE).filter(|text| is_challenge(text)).map(<[u8]>::to_vec)
}

/// The answer to a number: the first public key, a bar, and the signature.
pub(super) fn answer(config: &Config, challenge: &[u8]) -> Option<Reply> {
    let pair = config.pairs.first()?;
    let body = format!("{}|{}", pair.public, hex(&pair.key.sign(challenge)));
    Some(Reply { status: 200, content_type: Some(TEXT), body: body.into() })
}
