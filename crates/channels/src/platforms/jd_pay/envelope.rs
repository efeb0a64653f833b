//! The envelope around a notice, and the signed document in it (JD Pay, "asynchronous notification").
//!
//! Outside: XML with `merchant`, `result` and `encrypt`, unsigned. `encrypt` is base64 of hexadecimal text of Triple DES
//! (ECB, no padding) over a length of four bytes, so many bytes of XML, and zeros to the end of the block.
//!
//! Inside: XML with a `sign` element. What is signed is the text without that element, in one of three writings. Facts
//! are read from the very text that the signature covers, so nothing that it does not cover can be among them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::settings::Config;
use crate::channel::{Rejection, quote};
use crate::cipher::{DES_BLOCK_BYTES, TripleDes};
use crate::signature::digest::DigestHash;
#[cfg(feature = "simulate")]
use crate::signature::key::hex;
use crate::signature::plain_rsa::PlainRsa;
use crate::signature::{Verified, decode_base64, trial};
use crate::xml::{Limits, Nested, XmlError};

/// Largest body: the largest envelope in hexadecimal and base64 takes 44 kB, and little stands around it.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// Largest document inside the envelope, as the platform's own kit has it.
pub(super) const INNER_BYTES_MAX: usize = 16_384;

/// Most elements outside; real ones have six.
const OUTER_FIELDS_MAX: usize = 32;

/// Most elements inside; each means of payment in `payList` has about ten.
const INNER_FIELDS_MAX: usize = 512;

/// Bytes of the length before the document.
const LENGTH_BYTES: usize = 4;

/// The root of both documents.
pub(super) const ROOT: &str = "jdpay";

/// The only result of a message that carries anything.
pub(super) const RESULT_OK: &str = "000000";

/// A payment may have been made by several means.
const LISTS: &[&str] = &["payList/pay"];

/// Put before a document without one, before it is signed.
pub(super) const DECLARATION: &str = r#"<?xml version="1.0" encoding="UTF-8"?>"#;

/// The unsigned outside.
#[derive(Debug)]
pub(super) struct Outer(Nested);

impl Outer {
    /// Reads it by its shape.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Rejection> {
        let limits = Limits { bytes_max: BODY_BYTES_MAX, fields_max: OUTER_FIELDS_MAX };
        let document = Nested::parse(body, limits, &[]).map_err(|error| refused(error, "body"))?;
        if document.root() != ROOT {
            return Err(malformed("body"));
        }
        Ok(Self(document))
    }

    /// Whether it is a notice at all.
    pub(super) fn has_content(&self) -> bool {
        self.0.present("encrypt").is_some()
    }

    /// Whether it names this merchant.
    pub(super) fn is_for(&self, config: &Config) -> bool {
        self.0.field("merchant") == Some(config.merchant.as_str())
    }

    /// The bytes of `encrypt`, after the checks that cost nothing.
    pub(super) fn check(&self, config: &Config) -> Result<Vec<u8>, Rejection> {
        let required = |path: &str| self.0.present(path).ok_or_else(|| Rejection::Missing { field: path.into() });
        required("merchant")?;
        let encrypt = required("encrypt")?;
        let result = required("result/code")?;
        if !self.is_for(config) {
            return Err(Rejection::UnknownMerchant { field: "merchant".into() });
        }
        if result != RESULT_OK {
            return Err(malformed("result/code"));
        }
        // Whoever lays the XML out may indent it and break long lines; nothing outside is signed as it stands.
        let encrypt: Vec<u8> = encrypt.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).collect();
        let text = STANDARD.decode(encrypt).map_err(|_| malformed("encrypt"))?;
        unhex(&text).ok_or_else(|| malformed("encrypt"))
    }
}

/// The signed inside.
#[derive(Debug)]
pub(super) struct Inner {
    text: String,
    document: Nested,
}

impl Inner {
    /// Opens the envelope and reads what is in it. Proves nothing: the cipher has no sum over its text. What does not
    /// open was sealed with another key, or by nobody.
    pub(super) fn open(cipher: &TripleDes, sealed: &[u8]) -> Result<Self, Rejection> {
        // The first block says how long the whole is, and nobody without the key can make it say so: what does not fit
        // costs one block and not thousands.
        let first = sealed.get(..DES_BLOCK_BYTES).and_then(|block| cipher.open(block));
        let first =
            first.filter(|_| sealed.len().is_multiple_of(DES_BLOCK_BYTES)).ok_or_else(|| malformed("encrypt"))?;
        if whole(&first) != Some(sealed.len()) {
            return Err(Rejection::Signature);
        }
        let framed = cipher.open(sealed).ok_or_else(|| malformed("encrypt"))?;
        let plain = unframed(&framed).ok_or(Rejection::Signature)?;
        let text = std::str::from_utf8(plain).map_err(|_| Rejection::Signature)?.to_owned();
        let document = read(&text)?;
        Ok(Self { text, document })
    }

    /// Checks the signature. Gives the proof, the signed text and that text read.
    pub(super) fn verify(&self, key: &PlainRsa) -> Result<(Verified, Signed), Rejection> {
        let sign = self.document.field("sign").filter(|sign| !sign.trim_ascii().is_empty());
        let sign = sign.ok_or_else(|| Rejection::Missing { field: "sign".into() })?;
        let signature = decode_base64(sign.trim_ascii().as_bytes()).ok_or_else(|| malformed("sign"))?;
        let rest = without_sign(&self.text, sign).ok_or_else(|| malformed("sign"))?;
        let recovered = key.recover(&signature).ok_or(Rejection::Signature)?;
        let (verified, text) = writings(rest)
            .into_iter()
            .find_map(|(variant, text)| {
                DigestHash::Sha256.measured(&[text.as_bytes()]);
                let check = || recovered.is_hex_of(DigestHash::Sha256, text.as_bytes(), variant);
                trial::sealed(check).map(|verified| (verified, text))
            })
            .ok_or(Rejection::Signature)?;
        let document = read(&text)?;
        Ok((verified, Signed { text, document }))
    }
}

/// A text that the signature covers.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) document: Nested,
}

impl Signed {
    /// Every text of it under its path.
    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.document.fields().to_vec()
    }
}

/// The texts that may have been signed: as it stands; with a declaration where it has none; and that with tabs and line
/// ends taken out and each line trimmed. The first that fits is taken.
fn writings(rest: String) -> Vec<(&'static str, String)> {
    let has_declaration = rest.trim_start().starts_with("<?xml");
    let headed = if has_declaration { rest.clone() } else { format!("{DECLARATION}{rest}") };
    let normalised = normalised(&headed);
    let mut writings = vec![("untouched", rest)];
    if normalised != headed {
        writings.push(("normalised", normalised));
    }
    if !has_declaration {
        writings.insert(1, ("headed", headed));
    }
    writings
}

/// Without tabs and line ends, each line trimmed.
pub(super) fn normalised(text: &str) -> String {
    text.replace('\t', "").split(['\r', '\n']).map(str::trim).collect()
}

/// The text without its one signature element; none when the element stands there in another writing, or such a piece
/// of text also elsewhere.
fn without_sign(text: &str, sign: &str) -> Option<String> {
    let element = format!("<sign>{sign}</sign>");
    let (before, behind) = text.split_once(&element)?;
    let is_alone = !before.contains("<sign") && !behind.contains("<sign");
    is_alone.then(|| [before, behind].concat())
}

fn read(text: &str) -> Result<Nested, Rejection> {
    let limits = Limits { bytes_max: INNER_BYTES_MAX + DECLARATION.len(), fields_max: INNER_FIELDS_MAX };
    let document = Nested::parse(text.as_bytes(), limits, LISTS).map_err(|error| refused(error, "encrypt"))?;
    if document.root() == ROOT { Ok(document) } else { Err(malformed("encrypt")) }
}

/// The length of a document and what follows it.
fn length_of(framed: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = framed.split_first_chunk::<LENGTH_BYTES>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= INNER_BYTES_MAX)?;
    Some((length, rest))
}

/// How long an envelope is that begins so.
fn whole(first: &[u8]) -> Option<usize> {
    length_of(first).map(|(length, _)| (LENGTH_BYTES + length).next_multiple_of(DES_BLOCK_BYTES))
}

/// The document between its length and the zeros.
fn unframed(framed: &[u8]) -> Option<&[u8]> {
    let (length, rest) = length_of(framed)?;
    let (plain, zeros) = rest.split_at_checked(length)?;
    (zeros.len() < DES_BLOCK_BYTES && zeros.iter().all(|byte| *byte == 0)).then_some(plain)
}

/// The other way round.
#[cfg(feature = "simulate")]
pub(super) fn seal(cipher: &TripleDes, text: &str) -> Option<String> {
    let length = u32::try_from(text.len()).ok()?;
    let mut framed = [length.to_be_bytes().as_slice(), text.as_bytes()].concat();
    framed.resize(framed.len().next_multiple_of(DES_BLOCK_BYTES), 0);
    Some(STANDARD.encode(hex(&cipher.seal(&framed)?)))
}

/// Lower-case hexadecimal, as the platform writes it; the other case would be a second text of one message.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect::<Option<Vec<u8>>>()?;
    (rest.is_empty() && !bytes.is_empty()).then_some(bytes)
}

fn refused(error: XmlError, field: &'static str) -> Rejection {
    match error {
        XmlError::TooLarge { limit } => Rejection::TooLarge { limit },
        XmlError::TooManyFields { limit } => Rejection::TooManyFields { limit },
        XmlError::Twice { name } => Rejection::Duplicate { field: quote(&name) },
        XmlError::Encoding => Rejection::Charset { charset: "utf-8".into() },
        XmlError::DocumentType | XmlError::Reference | XmlError::Nested | XmlError::Malformed => malformed(field),
    }
}

fn malformed(field: &str) -> Rejection {
    Rejection::Malformed { field: field.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_block_says_how_long_the_envelope_is() {
        for (length, bytes) in [(0, 8), (1, 8), (4, 8), (5, 16), (12, 16), (16_384, 16_392)] {
            let first = [&u32::to_be_bytes(length)[..], b"<?xm"].concat();
            assert_eq!(whole(&first), Some(bytes), "{length}");
        }
        for first in [&b"\0\0\x40\x01<?xm"[..], b"\xff\xff\xff\xff<?xm", b"\0\0\0"] {
            assert_eq!(whole(first), None, "{first:?}");
        }
    }
}
