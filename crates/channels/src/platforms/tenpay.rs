//! What the XML protocols share that grew out of Tenpay 财付通: the outside of a message, the text that is signed, the
//! API key, reading fields, and the reply. Not a platform by itself.
//!
//! The signed text is every field but `sign` that is not empty, sorted by the bytes of its name, as `name=value`
//! joined with `&`, and `&key=` with the API key behind it. Its digest is upper-case hexadecimal: MD5 of the text, or
//! HMAC-SHA256 of the same text under the same key.
//!
//! Joining escapes nothing, so the same text can be cut into other fields without the key. An element's name holds
//! neither `&` nor `=`, so a cut can do two things only. A value can swallow the fields behind it: that leaves an `&`
//! and a name in it, which [`ambiguous_field`] sees. Or a value that holds `&name=` is cut in two. Then the name must be
//! one that the message does not have, and sort between the value's own and the next, so that each free text reaches few:
//!
//! * `attach`, which a buyer may fill, stands before `bank_type`, which every payment has, and no field that we act on
//!   sorts between them.
//! * `body`, `detail` and `device_info` are the merchant's own. Behind them lie `event_*`, which make a sealed event that
//!   is held whatever it says, and the currency, where a message names none.
//! * `return_msg`, `err_code_des` and `trade_state_desc` are the platform's own words.
//! * `refund_reason` of a payout stands before its state. A payout is kept without a meaning whatever it says; a
//!   sub-merchant that is not ours holds it.

mod reading;
mod settings;
#[cfg(feature = "simulate")]
pub(super) mod simulate;
#[cfg(test)]
mod tests;

use http::Method;
use zeroize::Zeroizing;

pub(super) use self::reading::{Reading, fact};
pub(super) use self::settings::{is_app_id, is_merchant};
use crate::channel::{Rejection, quote};
use crate::model::{AckMatch, AppReply, RawRequest};
use crate::settings::{Settings, SettingsError};
use crate::signature::Verified;
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::sorted::{Order, join};
use crate::xml::{Flat, Limits, XmlError};

/// Largest body. Notices have 1 to 3 kB; a combined one lists up to fifty orders.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most fields. Payments have about 25, and three more for each coupon.
pub(super) const FIELDS_MAX: usize = 256;

/// Both, for the XML reader.
pub(super) const LIMITS: Limits = Limits { bytes_max: BODY_BYTES_MAX, fields_max: FIELDS_MAX };

/// The media type of messages and replies.
pub(super) const XML: &str = "text/xml";

/// The other name of the same type, which proxies and kits write.
const APPLICATION_XML: &str = "application/xml";

/// The root of every message and reply.
pub(super) const ROOT: &str = "xml";

/// The field that carries the signature.
pub(super) const SIGN: &str = "sign";

/// What stands between the fields and the API key.
const KEY_TAIL: &[u8] = b"&key=";

/// An algorithm of `sign`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignType {
    /// MD5 of the text with the key behind it.
    Md5,
    /// HMAC-SHA256 of the same text, under the same key.
    HmacSha256,
}

impl SignType {
    /// As the platform writes it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// Reads the platform's word, letter by letter.
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Md5, Self::HmacSha256].into_iter().find(|one| one.word() == word)
    }

    /// The only form that a signature of this algorithm has is its number of digits.
    fn of_length(digits: usize) -> Option<Self> {
        match digits {
            32 => Some(Self::Md5),
            64 => Some(Self::HmacSha256),
            _ => None,
        }
    }
}

/// The key that a merchant shares with the platform.
#[derive(Debug)]
pub(super) struct ApiKey {
    md5: SecretDigest,
    hmac: HmacKey,
}

impl ApiKey {
    /// Reads the setting `name`; the key has between `least` and `most` characters.
    pub(super) fn build(
        settings: &Settings,
        name: &'static str,
        [least, most]: [usize; 2],
    ) -> Result<Self, SettingsError> {
        let secret = settings.secret_line(name)?.ok_or(SettingsError::new(name, "missing"))?;
        if secret.len() < least {
            let detail = format!("{} < {least}", secret.len());
            return Err(SettingsError::new(name, "too_short").because(detail));
        }
        if secret.len() > most {
            let detail = format!("{} > {most}", secret.len());
            return Err(SettingsError::new(name, "out_of_range").because(detail));
        }
        let md5 = SecretDigest::new(secret, DigestHash::Md5, HexCase::Upper, name);
        let md5 = md5.ok_or(SettingsError::new(name, "missing"))?;
        Ok(Self { md5, hmac: HmacKey::new(secret, HmacHash::Sha256, name) })
    }

    /// The secret, as the source of another key.
    pub(super) fn secret(&self) -> &[u8] {
        self.md5.secret()
    }

    /// Checks `sign`. `stated` is what the message says about its algorithm, when it says something: it must fit the
    /// form of the signature, and decides nothing. `allowed` is the configuration's.
    pub(super) fn verify(
        &self,
        flat: &Flat,
        stated: Option<&str>,
        allowed: &[SignType],
    ) -> Result<Verified, Rejection> {
        let sign = flat.present(SIGN).ok_or_else(|| Rejection::Missing { field: SIGN.into() })?;
        let is_hex = sign.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
        let found = SignType::of_length(sign.len()).filter(|_| is_hex);
        let found = found.ok_or_else(|| Rejection::Malformed { field: SIGN.into() })?;
        if let Some(stated) = stated
            && SignType::parse(stated) != Some(found)
        {
            return Err(Rejection::Algorithm { algorithm: quote(stated) });
        }
        if !allowed.contains(&found) {
            return Err(Rejection::Algorithm { algorithm: found.word().into() });
        }
        let text = signed_text(flat);
        let verified = match found {
            SignType::Md5 => self.md5.verify(&text, b"", sign.as_bytes(), "md5"),
            SignType::HmacSha256 => {
                let text = Zeroizing::new([&text, self.secret()].concat());
                self.hmac.verify_any(&text, &[&bytes_of(sign)], "hmac-sha256")
            }
        };
        verified.ok_or(Rejection::Signature)
    }
}

/// The bytes of a text that was found to be whole pairs of hexadecimal digits.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, character| byte << 4 | digit(character)))
        .collect()
}

/// What stands before the key in the signed text. A value of blanks alone is no empty one.
fn signed_text(flat: &Flat) -> Vec<u8> {
    let mut text = joined(flat.fields(), &[SIGN]);
    text.extend_from_slice(KEY_TAIL);
    text
}

/// The fields that are not empty, without some, as they are signed.
fn joined(fields: &[(String, String)], without: &[&str]) -> Vec<u8> {
    let is_in = |(name, value): &&(String, String)| !value.is_empty() && !without.contains(&name.as_str());
    join(fields.iter().filter(is_in).map(|(name, value)| (name.as_bytes(), value.as_bytes())), Order::Bytes)
}

/// What a protocol knows about its fields' values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Fields whose value changes what we believe about money, or when and to whom it happened.
    pub(super) acted_on: &'static [&'static str],
    /// Fields whose text the merchant, the buyer or a bank chooses, or that are JSON, which is none any more when it
    /// swallowed a field.
    pub(super) free_text: &'static [&'static str],
}

/// The name of a field whose value may be two fields. Free text may hold `&` and even `&b=c`, as long as that is no
/// field that we act on. A field that we act on holds no `&` at all. Any other holds nothing that looks like a field.
pub(super) fn ambiguous_field(flat: &Flat, known: Known) -> Option<&str> {
    let is_ambiguous = |name: &str, value: &str| {
        if known.free_text.contains(&name) {
            return names_in(value).any(|inner| known.acted_on.contains(&inner));
        }
        (known.acted_on.contains(&name) && value.contains('&')) || names_in(value).any(is_name)
    };
    flat.fields().iter().find(|(name, value)| is_ambiguous(name, value)).map(|(name, _)| name.as_str())
}

/// What stands between each `&` of a value and the `=` behind it.
fn names_in(value: &str) -> impl Iterator<Item = &str> {
    value.split('&').skip(1).filter_map(|part| part.split_once('=').map(|(name, _)| name))
}

/// Whether an element could be called so.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// The message of a request that has the right outside.
pub(super) fn read(request: &RawRequest) -> Result<Flat, Rejection> {
    if request.method != Method::POST {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let media_type = request.media_type();
    if media_type != XML && media_type != APPLICATION_XML {
        return Err(Rejection::MediaType { media_type: quote(&media_type) });
    }
    if request.body.is_empty() {
        return Err(Rejection::Empty);
    }
    read_body(&request.body, LIMITS, ROOT)
}

/// A flat document with this root.
pub(super) fn read_body(document: &[u8], limits: Limits, root: &str) -> Result<Flat, Rejection> {
    let malformed = |field: &str| Rejection::Malformed { field: field.into() };
    let flat = Flat::parse(document, limits).map_err(|error| match error {
        XmlError::TooLarge { limit } => Rejection::TooLarge { limit },
        XmlError::TooManyFields { limit } => Rejection::TooManyFields { limit },
        XmlError::Encoding => Rejection::Charset { charset: "utf-8".into() },
        XmlError::DocumentType => malformed("DOCTYPE"),
        XmlError::Twice { name } => Rejection::Duplicate { field: quote(&name) },
        XmlError::Reference | XmlError::Nested | XmlError::Malformed => malformed("body"),
    })?;
    if flat.root() == root { Ok(flat) } else { Err(malformed("body")) }
}

/// Whether a reply says SUCCESS in this field of a flat document. Platforms read XML here, so blanks between elements
/// do not count; anything else around the document does.
pub(super) fn ack(reply: &AppReply<'_>, field: &str) -> AckMatch {
    const END: &[u8] = b"</xml>";
    let says_success = |body: &[u8]| {
        let flat = Flat::parse(body, LIMITS).ok();
        flat.is_some_and(|flat| flat.root() == ROOT && flat.field(field) == Some("SUCCESS"))
    };
    if reply.status != 200 {
        return AckMatch::No;
    }
    if says_success(reply.body) {
        let is_bare = reply.body.starts_with(b"<") && reply.body.ends_with(b">");
        return if is_bare { AckMatch::Exact } else { AckMatch::Trimmed };
    }
    // The last document of the body, without what a script printed before and behind it.
    let find = |word: &[u8], text: &[u8]| memchr::memmem::rfind(text, word);
    let last = find(END, reply.body).and_then(|end| reply.body.get(..end + END.len()));
    let last = last.and_then(|text| find(b"<xml>", text).and_then(|start| text.get(start..)));
    match last {
        Some(document) if says_success(document) => around(reply.body, document),
        _ => AckMatch::No,
    }
}

/// Blanks and byte order marks around a document are less than other text.
fn around(body: &[u8], document: &[u8]) -> AckMatch {
    match AckMatch::of_word(body, document) {
        AckMatch::Exact => AckMatch::Exact,
        AckMatch::Trimmed => AckMatch::Trimmed,
        AckMatch::Within | AckMatch::No => AckMatch::Within,
    }
}
