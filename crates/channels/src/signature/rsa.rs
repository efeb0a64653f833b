//! RSA signatures with PKCS #1 v1.5 padding, the only padding that payment platforms use.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ParsedPublicKey, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaKeyPair,
};

use super::Verified;
use super::digest::{DigestHash, HexCase};
use super::key::{KeyAlgorithm, PublicKey};
use super::plain_rsa::PlainRsa;
use super::trial::{self, How, Part, Trial, public_text};
use crate::measure;
use crate::settings::SettingsError;

/// Smallest key for SHA-256, in bits.
pub const SHA256_KEY_BITS_MIN: usize = 2048;
/// Smallest key for SHA-1, in bits. Keys of old accounts have 1024; such a channel is legacy altogether,
/// and only a configuration that names the old algorithm gets it.
pub const SHA1_KEY_BITS_MIN: usize = 1024;
/// Largest key, in bits; the library takes no larger one.
pub const KEY_BITS_MAX: usize = 8192;

/// The hash under the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// SHA-256.
    Sha256,
    /// SHA-1: only where a platform still signs so.
    Sha1,
}

impl RsaHash {
    fn step_name(self) -> &'static str {
        match self {
            Self::Sha256 => "RSA with SHA-256",
            Self::Sha1 => "RSA with SHA-1",
        }
    }
}

/// A public key that was parsed once, for one hash.
pub struct RsaVerifier {
    key: ParsedPublicKey,
    /// As it was read, for checks that are made again by other arithmetic.
    public: PublicKey,
    label: String,
    hash: RsaHash,
}

impl fmt::Debug for RsaVerifier {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaVerifier").field("label", &self.label).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl RsaVerifier {
    /// Prepares a key. `label` names it in proofs, e.g. by its serial.
    ///
    /// # Errors
    /// [`SettingsError`] with `wrong_algorithm`, `key_too_small` or `not_a_key`.
    pub fn new(setting: &'static str, key: &PublicKey, hash: RsaHash, label: &str) -> Result<Self, SettingsError> {
        let KeyAlgorithm::Rsa { bits } = key.algorithm() else {
            return Err(SettingsError::new(setting, "wrong_algorithm").because(key.algorithm().to_string()));
        };
        let bits_min = match hash {
            RsaHash::Sha256 => SHA256_KEY_BITS_MIN,
            RsaHash::Sha1 => SHA1_KEY_BITS_MIN,
        };
        if bits < bits_min {
            return Err(SettingsError::new(setting, "key_too_small").because(format!("{bits} < {bits_min} bits")));
        }
        if bits > KEY_BITS_MAX {
            return Err(SettingsError::new(setting, "out_of_range").because(format!("{bits} > {KEY_BITS_MAX} bits")));
        }
        let algorithm = match hash {
            RsaHash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            RsaHash::Sha1 => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        };
        let public = key.clone();
        let key = ParsedPublicKey::new(algorithm, key.spki()).map_err(|_| SettingsError::new(setting, "not_a_key"))?;
        Ok(Self { key, public, label: label.to_owned(), hash })
    }

    /// The hash.
    pub fn hash(&self) -> RsaHash {
        self.hash
    }

    /// Checks a signature over the exact bytes. `variant` names the rule that made the bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8], variant: &'static str) -> Option<Verified> {
        self.check(message, None, message, signature, variant)
    }

    /// Checks a signature over the lower-case hexadecimal text of the bytes' digest. `variant` names the rule that made the
    /// bytes.
    pub fn verify_hashed(
        &self,
        first: DigestHash,
        message: &[u8],
        signature: &[u8],
        variant: &'static str,
    ) -> Option<Verified> {
        first.measured(&[message]);
        let hashed = first.hex_of(&[message], HexCase::Lower);
        self.check(hashed.as_bytes(), Some(first), message, signature, variant)
    }

    /// Checks a signature over `signed`, which is `message` or the text of its first digest.
    fn check(
        &self,
        signed: &[u8],
        first: Option<DigestHash>,
        message: &[u8],
        signature: &[u8],
        variant: &'static str,
    ) -> Option<Verified> {
        if trial::is_spent() {
            return None;
        }
        measure::step(self.hash.step_name(), signed.len(), || self.key.verify_sig(signed, signature));
        let held = self.key.verify_sig(signed, signature).is_ok();
        trial::tell(|| {
            let (key, public) = (self.key.clone(), self.public.clone());
            let again = move |how: How, parts: &[Part], claimed: &[u8]| match public_text(how, first, parts) {
                Some(text) => key.verify_sig(&text, claimed).is_ok(),
                None => is_other(&public, how, parts, claimed),
            };
            let trial = Trial::new(self.hash.step_name(), &self.label, variant, again).hashed_first(first);
            trial.public_key(message, signature, held)
        });
        held.then(|| Verified::new(&self.label, variant))
    }
}

/// Whether a signature is one of the parts by other arithmetic.
fn is_other(public: &PublicKey, how: How, parts: &[Part], claimed: &[u8]) -> bool {
    if how == How::RsaPss {
        let text = public_text(How::Own, None, parts).unwrap_or_default();
        let key = ParsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public.spki());
        return key.is_ok_and(|key| key.verify_sig(&text, claimed).is_ok());
    }
    let key = PlainRsa::new("key", public, "");
    key.is_ok_and(|key| key.recover_alone(claimed).is_some_and(|block| block.is_other(how, parts)))
}

/// Signs with SHA-256, for our own calls and for the platforms' other side.
///
/// # Errors
/// None that a valid key can cause; the library's answer is passed on as `None`.
pub fn sign_sha256(pair: &RsaKeyPair, message: &[u8]) -> Option<Vec<u8>> {
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeySize;

    use super::*;

    #[test]
    fn only_the_signed_bytes_verify() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = PublicKey::of_pair("key", &pair).unwrap();
        let verifier = RsaVerifier::new("key", &key, RsaHash::Sha256, "k1").unwrap();
        let signature = sign_sha256(&pair, b"message").unwrap();
        let proof = verifier.verify(b"message", &signature, "plain").unwrap();
        assert_eq!(proof.into_parts(), ("k1".to_owned(), "plain"));
        assert!(verifier.verify(b"massage", &signature, "plain").is_none());
        assert!(verifier.verify(b"message", &signature[1..], "plain").is_none());
        assert!(verifier.verify(b"message", &[], "plain").is_none());
        let sha1 = RsaVerifier::new("key", &key, RsaHash::Sha1, "k1").unwrap();
        assert!(sha1.verify(b"message", &signature, "plain").is_none());
    }
}
