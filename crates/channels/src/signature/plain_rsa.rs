//! RSA signatures that the crypto library does not check: PKCS #1 v1.5 with type 1 padding (RFC 8017, section 9.2)
//! around a text without `DigestInfo`, or around an MD5. Platforms sign so that are older than SHA-256 everywhere.
//!
//! Verification only. What is computed is the public operation, so no time depends on a secret. The padded block
//! that the signature stands for is never parsed: the one block that a payload must have, from the first byte to
//! the last, is made anew and compared, so there is no room for a block that somebody else made.

use std::fmt;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};

use super::Verified;
use super::digest::{DigestHash, HexCase};
use super::key::{KeyAlgorithm, PublicKey};
use super::trial::{self, How, Part, Trial, public_text};
use crate::measure;
use crate::settings::SettingsError;

/// Smallest key, in bits: what platforms gave to their oldest merchants. Such a channel is legacy altogether.
pub const KEY_BITS_MIN: usize = 1024;

/// Largest key, in bits: no platform gives a larger one, and each bit costs time.
pub const KEY_BITS_MAX: usize = 4096;

/// Largest public exponent, in bits, as the crypto library has it. Real ones are 65537.
pub const EXPONENT_BITS_MAX: u32 = 33;

/// Fewest bytes of filling in a padded block (RFC 8017, section 9.2).
pub const FILLING_BYTES_MIN: usize = 8;

/// The DER of `DigestInfo` before an MD5 (RFC 8017, section 9.2, note 1).
const MD5_DIGEST_INFO: &[u8] =
    &[0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04, 0x10];
/// Before a SHA-1.
const SHA1_DIGEST_INFO: &[u8] =
    &[0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14];
/// Before a SHA-256.
const SHA256_DIGEST_INFO: &[u8] =
    &[0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];
/// Before a SHA-512.
const SHA512_DIGEST_INFO: &[u8] =
    &[0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40];

/// A public key that was parsed once.
pub struct PlainRsa {
    params: BoxedMontyParams,
    /// Big-endian, without leading zeros: as long as every signature.
    modulus: Vec<u8>,
    exponent: u64,
    label: String,
}

impl fmt::Debug for PlainRsa {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainRsa").field("label", &self.label).finish_non_exhaustive()
    }
}

impl PlainRsa {
    /// Prepares a key. `label` names it in proofs.
    ///
    /// # Errors
    /// [`SettingsError`] with `wrong_algorithm`, `key_too_small`, `out_of_range` or `not_a_key`.
    pub fn new(setting: &'static str, key: &PublicKey, label: &str) -> Result<Self, SettingsError> {
        let KeyAlgorithm::Rsa { bits } = key.algorithm() else {
            return Err(SettingsError::new(setting, "wrong_algorithm").because(key.algorithm().to_string()));
        };
        if bits < KEY_BITS_MIN {
            return Err(SettingsError::new(setting, "key_too_small").because(format!("{bits} < {KEY_BITS_MIN} bits")));
        }
        if bits > KEY_BITS_MAX {
            return Err(SettingsError::new(setting, "out_of_range").because(format!("{bits} > {KEY_BITS_MAX} bits")));
        }
        let not_a_key = || SettingsError::new(setting, "not_a_key");
        let (modulus, exponent) = key.rsa_numbers().ok_or_else(not_a_key)?;
        let exponent = small_number(exponent)
            .filter(|exponent| (3..1 << EXPONENT_BITS_MAX).contains(exponent) && exponent % 2 == 1)
            .ok_or_else(not_a_key)?;
        let params = params(modulus).ok_or_else(not_a_key)?;
        Ok(Self { params, modulus: modulus.to_vec(), exponent, label: label.to_owned() })
    }

    /// The padded block that a signature stands for; none when it is not as long as the key, or not below the modulus,
    /// so that one block has one signature.
    pub fn recover(&self, signature: &[u8]) -> Option<Recovered<'_>> {
        let length = self.modulus.len();
        if signature.len() != length || signature >= self.modulus.as_slice() {
            return None;
        }
        if trial::is_spent() {
            return None;
        }
        measure::step("RSA alone", length, || self.power(signature));
        trial::spend();
        self.recover_alone(signature)
    }

    /// The same of a signature whose check counts as an operation already.
    pub(super) fn recover_alone(&self, signature: &[u8]) -> Option<Recovered<'_>> {
        let length = self.modulus.len();
        if signature.len() != length || signature >= self.modulus.as_slice() {
            return None;
        }
        let block = last_bytes(&self.power(signature)?, length)?;
        Some(Recovered { block, label: &self.label })
    }

    /// A number below the modulus to the power of the exponent.
    fn power(&self, number: &[u8]) -> Option<BoxedUint> {
        let number = BoxedUint::from_be_slice(number, self.params.bits_precision()).ok()?;
        let number = BoxedMontyForm::new(number, &self.params);
        let mut power = number.clone();
        // From the bit below the highest one down.
        for bit in (0..self.exponent.ilog2()).rev() {
            power = power.square();
            if self.exponent >> bit & 1 == 1 {
                power = power.mul(&number);
            }
        }
        Some(power.retrieve())
    }
}

/// What a signature stands for; believed only as far as a check says.
pub struct Recovered<'k> {
    block: Vec<u8>,
    label: &'k str,
}

impl fmt::Debug for Recovered<'_> {
    /// Says which key, not the bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovered").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Recovered<'_> {
    /// Whether these very bytes were signed, without `DigestInfo`. `variant` names the rule that made them.
    pub fn is_payload(&self, payload: &[u8], variant: &'static str) -> Option<Verified> {
        let expected = padded(payload, self.block.len())?;
        let held = self.block == expected;
        self.tell("RSA without DigestInfo", payload, variant, held, None, <[u8]>::to_vec);
        held.then(|| Verified::new(self.label, variant))
    }

    /// Whether the lower-case hexadecimal text of the message's digest was signed, without `DigestInfo`. `variant` names
    /// the rule that made the message.
    pub fn is_hex_of(&self, hash: DigestHash, message: &[u8], variant: &'static str) -> Option<Verified> {
        let expected = padded(hash.hex_of(&[message], HexCase::Lower).as_bytes(), self.block.len())?;
        let held = self.block == expected;
        self.tell("RSA without DigestInfo", message, variant, held, Some(hash), <[u8]>::to_vec);
        held.then(|| Verified::new(self.label, variant))
    }

    /// Whether the message was signed by `MD5withRSA`. `variant` names the rule that made the message.
    pub fn is_md5_of(&self, message: &[u8], variant: &'static str) -> Option<Verified> {
        measure::step("MD5", message.len(), || DigestHash::Md5.of(&[message]));
        let expected = padded(&md5_payload(message), self.block.len())?;
        let held = self.block == expected;
        self.tell("RSA with MD5", message, variant, held, None, md5_payload);
        held.then(|| Verified::new(self.label, variant))
    }

    /// Whether the lower-case hexadecimal text of the message's digest was signed by `MD5withRSA`. `variant` names the rule
    /// that made the message.
    pub fn is_md5_of_hex(&self, first: DigestHash, message: &[u8], variant: &'static str) -> Option<Verified> {
        first.measured(&[message]);
        let text = first.hex_of(&[message], HexCase::Lower);
        measure::step("MD5", text.len(), || DigestHash::Md5.of(&[text.as_bytes()]));
        let expected = padded(&md5_payload(text.as_bytes()), self.block.len())?;
        let held = self.block == expected;
        self.tell("RSA with MD5", message, variant, held, Some(first), md5_payload);
        held.then(|| Verified::new(self.label, variant))
    }

    /// Whether the text was signed in this way, which is another than the channel's own. Proves nothing.
    pub(super) fn is_other(&self, how: How, parts: &[Part]) -> bool {
        other_payload(how, parts).and_then(|payload| padded(&payload, self.block.len())).as_ref() == Some(&self.block)
    }

    /// Tells the check; the signature is what this was recovered from, and no other is asked about.
    fn tell(
        &self,
        algorithm: &'static str,
        text: &[u8],
        variant: &'static str,
        held: bool,
        first: Option<DigestHash>,
        payload: fn(&[u8]) -> Vec<u8>,
    ) {
        trial::tell(|| {
            let block = self.block.clone();
            let again = move |how: How, parts: &[Part], _: &[u8]| {
                let own = public_text(how, first, parts).map(|text| payload(&text));
                let payload = own.or_else(|| other_payload(how, parts));
                payload.and_then(|payload| padded(&payload, block.len())).as_ref() == Some(&block)
            };
            let trial = Trial::new(algorithm, self.label, variant, again).hashed_first(first);
            trial.secret(vec![Part::Text(text.to_vec())], &[&[]], held)
        });
    }
}

fn md5_payload(message: &[u8]) -> Vec<u8> {
    [MD5_DIGEST_INFO, &DigestHash::Md5.of(&[message])].concat()
}

/// What the padding is put around, in a way that names its digest.
fn other_payload(how: How, parts: &[Part]) -> Option<Vec<u8>> {
    let texts = trial::with_secret(parts, &[]);
    let info = |hash: DigestHash| match hash {
        DigestHash::Md5 => Some(MD5_DIGEST_INFO),
        DigestHash::Sha1 => Some(SHA1_DIGEST_INFO),
        DigestHash::Sha256 => Some(SHA256_DIGEST_INFO),
        DigestHash::Sha512 => Some(SHA512_DIGEST_INFO),
        DigestHash::Sm3 => None,
    };
    match how {
        How::Rsa(hash) => info(hash).map(|info| [info, &hash.of(&texts)].concat()),
        How::RsaBare(hash) => Some(hash.hex_of(&texts, HexCase::Lower).into_bytes()),
        _ => None,
    }
}

/// `00 01 ff … ff 00` and the payload; none when the filling would be too short.
fn padded(payload: &[u8], length: usize) -> Option<Vec<u8>> {
    let filling = length.checked_sub(payload.len().checked_add(3)?).filter(|count| *count >= FILLING_BYTES_MIN)?;
    Some([&[0, 1], vec![0xff; filling].as_slice(), &[0], payload].concat())
}

/// What the arithmetic needs to know about a modulus; none when it is even.
fn params(modulus: &[u8]) -> Option<BoxedMontyParams> {
    let modulus = Odd::new(BoxedUint::from_be_slice_vartime(modulus)).into_option()?;
    Some(BoxedMontyParams::new_vartime(modulus))
}

/// A number in so many bytes; it is below a modulus of that length.
fn last_bytes(number: &BoxedUint, length: usize) -> Option<Vec<u8>> {
    let bytes = number.to_be_bytes();
    bytes.len().checked_sub(length).map(|start| bytes[start..].to_vec())
}

fn small_number(bytes: &[u8]) -> Option<u64> {
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(feature = "simulate")]
pub use sign::{sign_md5, sign_payload};

/// The private operation, for the platforms' other side alone: keys that were generated for a test, and none to keep.
/// It is neither blinded nor checked.
#[cfg(feature = "simulate")]
mod sign {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::signature::RsaKeyPair;
    use crypto_bigint::BoxedUint;
    use crypto_bigint::modular::BoxedMontyForm;

    use super::{last_bytes, md5_payload, padded, params};
    use crate::signature::key::{TAG_INTEGER, TAG_OCTET_STRING, TAG_SEQUENCE, Tlv, without_zeros};

    /// Signs the very bytes, without `DigestInfo`. For simulators and tests only: the time that it takes may tell
    /// something about the key.
    ///
    /// None when the payload is too long for the key.
    pub fn sign_payload(pair: &RsaKeyPair, payload: &[u8]) -> Option<Vec<u8>> {
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        let (modulus, exponent) = private_numbers(pkcs8.as_ref())?;
        let params = params(modulus)?;
        let block = padded(payload, modulus.len())?;
        let number = BoxedUint::from_be_slice(&block, params.bits_precision()).ok()?;
        let exponent = BoxedUint::from_be_slice_vartime(exponent);
        let power = BoxedMontyForm::new(number, &params).pow(&exponent);
        last_bytes(&power.retrieve(), modulus.len())
    }

    /// Signs by `MD5withRSA`. For simulators and tests only, as [`sign_payload`].
    pub fn sign_md5(pair: &RsaKeyPair, message: &[u8]) -> Option<Vec<u8>> {
        sign_payload(pair, &md5_payload(message))
    }

    /// Modulus and private exponent of an RSA key in PKCS #8.
    fn private_numbers(pkcs8: &[u8]) -> Option<(&[u8], &[u8])> {
        let inside = |der, tag| Tlv::read(der).filter(|tlv| tlv.tag == tag);
        let outer = inside(pkcs8, TAG_SEQUENCE)?;
        let version = inside(outer.content, TAG_INTEGER)?;
        let algorithm = inside(version.rest, TAG_SEQUENCE)?;
        let key = inside(inside(algorithm.rest, TAG_OCTET_STRING)?.content, TAG_SEQUENCE)?;
        let version = inside(key.content, TAG_INTEGER)?;
        let modulus = inside(version.rest, TAG_INTEGER)?;
        let public = inside(modulus.rest, TAG_INTEGER)?;
        let private = inside(public.rest, TAG_INTEGER)?;
        Some((without_zeros(modulus.content), without_zeros(private.content)))
    }
}

#[cfg(test)]
mod tests;
