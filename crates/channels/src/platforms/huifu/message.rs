//! The signed text and its signature, in whatever carries them: a form, or an object of JSON.

use std::borrow::Cow;

use super::{BODY_BYTES_MAX, FIELDS_MAX};
use crate::channel::{Rejection, quote};
use crate::form::Limits;
use crate::json::{Json, JsonError};
use crate::model::RawRequest;
use crate::platforms::outside::{self, FORM, JSON};
use crate::signature::decode_base64;

/// Most characters of a `req_seq_id` (Huifu 斗拱, common parameters).
pub(super) const NUMBER_CHARS_MAX: usize = 128;

/// The names of the signed field: of transactions, and of onboarding.
const SIGNED: [&str; 2] = ["resp_data", "data"];

const SIGN: &str = "sign";

const LIMITS: Limits = Limits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX };

/// What was carried here.
pub(super) struct Carried<'r> {
    text: Cow<'r, [u8]>,
    sign: Option<Cow<'r, [u8]>>,
    variant: &'static str,
}

impl<'r> Carried<'r> {
    /// Takes a request apart, the cheapest checks first.
    pub(super) fn read(request: &'r RawRequest) -> Result<Self, Rejection> {
        outside::check_post(request, |found| found == FORM || found == JSON, BODY_BYTES_MAX)?;
        let (media_type, body) = (request.media_type(), &request.body);
        let is_json = media_type == JSON;
        // One as the other is the commonest mistake of a proxy or a test, and deserves its own word.
        if is_json != body.trim_ascii_start().starts_with(b"{") {
            return Err(Rejection::MediaType { media_type: quote(&media_type) });
        }
        if is_json { Self::of_json(body) } else { Self::of_form(body) }
    }

    fn of_form(body: &'r [u8]) -> Result<Self, Rejection> {
        let form = outside::split(body, LIMITS, "body")?;
        if let Some(name) = form.duplicate() {
            return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) });
        }
        // Nothing signs the names, so none may be one that another reader takes for the signed field (PHP reads
        // `resp.data` as `resp_data`).
        if let Some(pair) = form.pairs().iter().find(|pair| !is_plain_name(&pair.name)) {
            return Err(Rejection::Malformed { field: quote(&String::from_utf8_lossy(&pair.name)) });
        }
        if form.pairs().iter().any(|pair| std::str::from_utf8(&pair.value).is_err()) {
            return Err(Rejection::Charset { charset: "utf-8".into() });
        }
        let value =
            |name: &str| form.pairs().iter().find(|pair| *pair.name == *name.as_bytes()).map(|p| p.value.clone());
        Self::of(SIGNED.map(value), value(SIGN), "form")
    }

    fn of_json(body: &[u8]) -> Result<Self, Rejection> {
        let malformed = |field: &str| Rejection::Malformed { field: field.into() };
        let members = match Json::parse(body) {
            Ok(Json::Object(members)) => members,
            Err(JsonError::Twice(name)) => return Err(Rejection::Duplicate { field: quote(&name) }),
            Ok(_) | Err(JsonError::Malformed) => return Err(malformed("body")),
        };
        if members.len() > FIELDS_MAX {
            return Err(Rejection::TooManyFields { limit: FIELDS_MAX });
        }
        // An object in place of the text has no bytes of its own that could have been signed.
        let value = |name: &str| match members.iter().find(|(member, _)| member == name) {
            Some((_, Json::Text(text))) => Ok(Some(Cow::Owned(text.clone().into_bytes()))),
            Some(_) => Err(malformed(name)),
            None => Ok(None),
        };
        Self::of([value(SIGNED[0])?, value(SIGNED[1])?], value(SIGN)?, "json")
    }

    fn of(
        signed: [Option<Cow<'r, [u8]>>; 2],
        sign: Option<Cow<'r, [u8]>>,
        variant: &'static str,
    ) -> Result<Self, Rejection> {
        let text = match signed {
            [Some(_), Some(_)] => return Err(Rejection::Malformed { field: SIGNED[1].into() }),
            [Some(text), None] | [None, Some(text)] if !text.trim_ascii().is_empty() => text,
            _ => return Err(Rejection::Missing { field: SIGNED[0].into() }),
        };
        Ok(Self { text, sign, variant })
    }

    /// The text under the signature, exactly as it was received.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether there is anything in the place of the signature: one that was damaged on its way is named by
    /// [`Self::signature`], which only a message that was recognised comes to.
    pub(super) fn is_signed(&self) -> bool {
        self.sign.is_some()
    }

    /// The signature's bytes.
    pub(super) fn signature(&self) -> Result<Vec<u8>, Rejection> {
        let sign = self.sign.as_deref().filter(|sign| !sign.trim_ascii().is_empty());
        let sign = sign.ok_or_else(|| Rejection::Missing { field: SIGN.into() })?;
        decode_base64(sign).ok_or_else(|| Rejection::Malformed { field: SIGN.into() })
    }

    /// Which of the documented ways it came.
    pub(super) fn variant(&self) -> &'static str {
        self.variant
    }
}

/// Whether a number can stand in a reply: plain characters that no reader of text, markup or scripts stumbles over.
pub(super) fn is_number(text: &str) -> bool {
    (1..=NUMBER_CHARS_MAX).contains(&text.len()) && text.bytes().all(is_number_byte)
}

/// One character of such a number.
pub(super) fn is_number_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)
}

fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte))
}
