//! The form: which signature stands in it for whom, and the document that its payload is.
//!
//! The payload is base64 that is broken into lines, and signed as the text that it is. Some frameworks take the last line
//! end of a value away, so what was signed is the text that came, or that text with one line end behind it: the same
//! document either way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::settings::{Config, KeyPair};
use crate::channel::Rejection;
use crate::form::{Form, Limits as FormLimits};
use crate::model::RawRequest;
use crate::platforms::outside::{FORM, check_form_names, check_post, malformed, split};
use crate::signature::Verified;
use crate::xml::{Limits, Tree, XmlError};

/// Largest body. A subscription lists up to twenty transactions of some 8 kB of XML, written in base64.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// Most fields of a form; it has two.
pub const FIELDS_MAX: usize = 16;

/// Most signatures of one message: an account has a key for each user and each integration.
pub const SIGNATURES_MAX: usize = 256;

/// Most elements of a document. A transaction has some 250.
pub const ELEMENTS_MAX: usize = 16 * 1024;

pub(super) const SIGNATURE: &str = "bt_signature";
pub(super) const PAYLOAD: &str = "bt_payload";

/// The root of every document.
const ROOT: &str = "notification";

/// Hexadecimal digits of a signature.
const SIGNATURE_DIGITS: usize = 40;

/// The variants of the signed text.
const AS_SENT: &str = "as_sent";
const WITH_LINE_END: &str = "with_line_end";

/// A form that is Braintree's by its shape. Nothing in it is proven.
pub(super) struct Envelope {
    signature: String,
    payload: Vec<u8>,
}

impl Envelope {
    /// Reads the form of a request.
    ///
    /// # Errors
    /// [`Rejection`].
    pub(super) fn read(request: &RawRequest) -> Result<Self, Rejection> {
        check_post(request, |media_type| media_type == FORM, BODY_BYTES_MAX)?;
        let form = split(&request.body, FormLimits { bytes_max: BODY_BYTES_MAX, pairs_max: FIELDS_MAX }, "body")?;
        check_form_names(&form)?;
        let signature = required(&form, SIGNATURE)?;
        let payload = required(&form, PAYLOAD)?;
        let signature = String::from_utf8(signature.to_vec()).map_err(|_| malformed(SIGNATURE))?;
        Ok(Self { signature, payload: payload.to_vec() })
    }

    /// The signatures that go by a public key of the configuration, each with its pair. Parts without a bar say nothing,
    /// as in the platform's own kits, and those of other keys of the account are not ours to judge.
    fn signatures<'c>(&self, config: &'c Config) -> Result<Vec<(&'c KeyPair, [u8; 20])>, Rejection> {
        let mut found: Vec<(&KeyPair, [u8; 20])> = Vec::new();
        for (at, part) in self.signature.split('&').enumerate() {
            if at == SIGNATURES_MAX {
                return Err(Rejection::TooManyFields { limit: SIGNATURES_MAX });
            }
            let Some((public, digits)) = part.split_once('|') else { continue };
            let Some(pair) = config.pairs.iter().find(|pair| pair.public == public) else { continue };
            if found.iter().any(|(known, _)| known.public == public) {
                return Err(Rejection::Duplicate { field: SIGNATURE.into() });
            }
            found.push((pair, tag(digits).ok_or_else(|| malformed(SIGNATURE))?));
        }
        Ok(found)
    }

    /// Whether a part of the signature goes by a public key of the configuration.
    pub(super) fn is_for(&self, config: &Config) -> bool {
        let mut publics = self.signature.split('&').take(SIGNATURES_MAX).filter_map(|part| part.split_once('|'));
        publics.any(|(public, _)| config.pairs.iter().any(|pair| pair.public == public))
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`Rejection`].
    pub(super) fn verify(&self, config: &Config) -> Result<Verified, Rejection> {
        let signatures = self.signatures(config)?;
        if signatures.is_empty() {
            // A word without a bar anywhere is no signature of anybody's.
            let is_somebodys = self.signature.contains('|');
            let foreign = Rejection::UnknownMerchant { field: SIGNATURE.into() };
            return Err(if is_somebodys { foreign } else { malformed(SIGNATURE) });
        }
        let is_taken = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\n');
        if !self.payload.iter().all(is_taken) {
            return Err(malformed(PAYLOAD));
        }
        // The same keys answer challenges, which anybody may send (`super::challenge`). What a challenge could be is never
        // taken for a payload, so that no answer of ours is a signature of a message.
        if super::challenge::is_challenge(self.payload.trim_ascii_end()) {
            return Err(malformed(PAYLOAD));
        }
        let longer = [self.payload.as_slice(), b"\n"].concat();
        let verified = signatures.iter().find_map(|(pair, tag)| {
            let matches = |text, variant| pair.key.verify_any(text, &[tag.as_slice()], variant);
            matches(&self.payload, AS_SENT).or_else(|| matches(&longer, WITH_LINE_END))
        });
        verified.ok_or(Rejection::Signature)
    }

    /// What is signed, as it came but for the line ends, which say nothing.
    pub(super) fn payload(&self) -> &[u8] {
        self.payload.trim_ascii_end()
    }

    /// The document, exactly. Standard alphabet, padded at its end and nowhere else; line ends say nothing.
    pub(super) fn document(&self) -> Option<Vec<u8>> {
        let text: Vec<u8> = self.payload.iter().copied().filter(|byte| *byte != b'\n').collect();
        STANDARD.decode(text).ok()
    }

    /// The document, read.
    ///
    /// # Errors
    /// [`Rejection::TooManyFields`] or [`Rejection::Malformed`].
    pub(super) fn tree(&self) -> Result<(Vec<u8>, Tree), Rejection> {
        let document = self.document().ok_or_else(|| malformed(PAYLOAD))?;
        let limits = Limits { bytes_max: BODY_BYTES_MAX, fields_max: ELEMENTS_MAX };
        let tree = Tree::parse(&document, limits).map_err(|error| match error {
            XmlError::TooManyFields { limit } => Rejection::TooManyFields { limit },
            _ => malformed(PAYLOAD),
        })?;
        if tree.root().name() != ROOT {
            return Err(malformed(PAYLOAD));
        }
        Ok((document, tree))
    }
}

fn required<'f>(form: &'f Form<'_>, name: &str) -> Result<&'f [u8], Rejection> {
    form.present(name).ok_or_else(|| Rejection::Missing { field: name.into() })
}

/// Forty hexadecimal digits in lower case.
fn tag(digits: &str) -> Option<[u8; 20]> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.len() != SIGNATURE_DIGITS || !digits.as_bytes().iter().all(is_digit) {
        return None;
    }
    let mut tag = [0; 20];
    for (at, byte) in tag.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(at * 2..at * 2 + 2)?, 16).ok()?;
    }
    Some(tag)
}
