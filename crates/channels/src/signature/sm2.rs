//! SM2 signatures with SM3 (GB/T 32918.2, GM/T 0009), DER-encoded.

use std::fmt;

use sm2::dsa::signature::Verifier as _;
use sm2::dsa::{Signature, VerifyingKey};

use super::Verified;
use super::key::{KeyAlgorithm, PublicKey};
use super::trial::{self, How, Part, Trial, public_text};
use crate::measure;
use crate::settings::SettingsError;

/// The signer's id that GM/T 0009 sets where the parties agree on no other.
pub const DEFAULT_USER_ID: &str = "1234567812345678";

/// A public key that was parsed once, for one signer's id.
pub struct Sm2Verifier {
    key: VerifyingKey,
    label: String,
}

impl fmt::Debug for Sm2Verifier {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sm2Verifier").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Sm2Verifier {
    /// Prepares a key. `label` names it in proofs.
    ///
    /// # Errors
    /// [`SettingsError`] with `wrong_algorithm` or `not_a_key`.
    pub fn new(setting: &'static str, key: &PublicKey, user_id: &str, label: &str) -> Result<Self, SettingsError> {
        if key.algorithm() != KeyAlgorithm::Sm2 {
            return Err(SettingsError::new(setting, "wrong_algorithm").because(key.algorithm().to_string()));
        }
        let not_a_key = || SettingsError::new(setting, "not_a_key");
        let point = key.point().ok_or_else(not_a_key)?;
        let key = VerifyingKey::from_sec1_bytes(user_id, point).map_err(|_| not_a_key())?;
        Ok(Self { key, label: label.to_owned() })
    }

    /// Checks a DER signature over the exact bytes. `variant` names the rule that made the bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8], variant: &'static str) -> Option<Verified> {
        let der = signature;
        let signature = Signature::from_der(der).ok()?;
        if trial::is_spent() {
            return None;
        }
        measure::step("SM2 with SM3", message.len(), || self.key.verify(message, &signature));
        let held = self.key.verify(message, &signature).is_ok();
        trial::tell(|| {
            let key = self.key.clone();
            let again = move |how: How, parts: &[Part], claimed: &[u8]| {
                let (text, signature) = (public_text(how, None, parts), Signature::from_der(claimed));
                text.zip(signature.ok()).is_some_and(|(text, signature)| key.verify(&text, &signature).is_ok())
            };
            Trial::new("SM2 with SM3", &self.label, variant, again).public_key(message, der, held)
        });
        held.then(|| Verified::new(&self.label, variant))
    }
}

#[cfg(test)]
mod tests {
    use sm2::SecretKey;
    use sm2::dsa::SigningKey;
    use sm2::dsa::signature::Signer as _;
    use sm2::pkcs8::EncodePublicKey as _;

    use super::*;

    #[test]
    fn only_the_signed_bytes_under_the_same_id_verify() {
        let secret = SecretKey::from_slice(&[7; 32]).unwrap();
        let pem = secret.public_key().to_public_key_pem(sm2::pkcs8::LineEnding::LF).unwrap();
        let key = PublicKey::read("key", pem.as_bytes()).unwrap();
        assert_eq!(key.algorithm(), KeyAlgorithm::Sm2);
        let signer = SigningKey::new(DEFAULT_USER_ID, &secret).unwrap();
        let signature: Signature = signer.sign(b"message");
        let der = signature.to_der();
        let verifier = Sm2Verifier::new("key", &key, DEFAULT_USER_ID, "k").unwrap();
        assert!(verifier.verify(b"message", der.as_ref(), "plain").is_some());
        assert!(verifier.verify(b"massage", der.as_ref(), "plain").is_none());
        assert!(verifier.verify(b"message", &signature.to_bytes(), "plain").is_none());
        let other = Sm2Verifier::new("key", &key, "8765432187654321", "k").unwrap();
        assert!(other.verify(b"message", der.as_ref(), "plain").is_none());
    }
}
