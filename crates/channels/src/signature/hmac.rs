//! HMAC (RFC 2104): a secret that both sides know. Comparison is in constant time and over whole tags: a
//! shorter tag never matches.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::Verified;
use super::keyed::{self, Arithmetic};
use super::trial::{self, How, Part, Trial};
use crate::measure;

/// The hash under the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacHash {
    /// SHA-1: only where a platform still signs so. Its known weakness does not touch HMAC.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl HmacHash {
    pub(super) fn algorithm(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    pub(crate) fn step_name(self) -> &'static str {
        match self {
            Self::Sha1 => "HMAC-SHA1",
            Self::Sha256 => "HMAC-SHA256",
            Self::Sha512 => "HMAC-SHA512",
        }
    }

    /// Bytes of a tag.
    pub fn tag_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for HmacHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.step_name())
    }
}

/// A secret, ready to check and to make tags.
pub struct HmacKey {
    key: hmac::Key,
    /// For texts in which it stands as well, and for checks that are made again.
    secret: Zeroizing<Vec<u8>>,
    label: String,
    hash: HmacHash,
}

impl fmt::Debug for HmacKey {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey").field("label", &self.label).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl HmacKey {
    /// Prepares a secret. `label` names it in proofs; it is never derived from the secret.
    pub fn new(secret: &[u8], hash: HmacHash, label: &str) -> Self {
        let key = hmac::Key::new(hash.algorithm(), secret);
        Self { key, secret: Zeroizing::new(secret.to_vec()), label: label.to_owned(), hash }
    }

    /// Its name in proofs.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The hash.
    pub fn hash(&self) -> HmacHash {
        self.hash
    }

    /// The tag of a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.key, message).as_ref().to_vec()
    }

    /// Checks whether one of the tags is the message's. The tag is computed once, however many are offered.
    /// `variant` names the rule that made the message.
    pub fn verify_any(&self, message: &[u8], tags: &[&[u8]], variant: &'static str) -> Option<Verified> {
        self.check(&[message], tags, variant, || vec![Part::Text(message.to_vec())])
    }

    /// The same of a message at whose end the secret itself stands.
    pub fn verify_with_secret(&self, before: &[u8], tags: &[&[u8]], variant: &'static str) -> Option<Verified> {
        self.check(&[before, &self.secret], tags, variant, || vec![Part::Text(before.to_vec()), Part::Secret])
    }

    fn check(
        &self,
        texts: &[&[u8]],
        tags: &[&[u8]],
        variant: &'static str,
        signed: impl FnOnce() -> Vec<Part>,
    ) -> Option<Verified> {
        measure::step(self.hash.step_name(), texts.iter().map(|text| text.len()).sum(), || self.tag(texts));
        let own = self.tag(texts);
        let is_match = |tag: &&[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(own.as_ref(), tag).is_ok();
        let held = tags.iter().any(is_match);
        trial::tell(|| {
            let (secret, own) = (self.secret.clone(), Arithmetic::Hmac(self.hash));
            let again = move |how: How, parts: &[Part], claimed: &[u8]| {
                let own = keyed::output(&secret, own, how, parts);
                own.is_some_and(|own| aws_lc_rs::constant_time::verify_slices_are_equal(&own, claimed).is_ok())
            };
            Trial::new(self.hash.step_name(), &self.label, variant, again).secret(signed(), tags, held)
        });
        held.then(|| Verified::new(&self.label, variant))
    }

    fn tag(&self, texts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for text in texts {
            context.update(text);
        }
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key::hex;

    /// RFC 4231 test case 2, and RFC 2202 test case 2 for SHA-1.
    #[test]
    fn tags_are_those_of_the_standard() {
        let tag = |hash| hex(&HmacKey::new(b"Jefe", hash, "k").sign(b"what do ya want for nothing?"));
        assert_eq!(tag(HmacHash::Sha1), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
        assert_eq!(tag(HmacHash::Sha256), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert!(tag(HmacHash::Sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"));
    }

    #[test]
    fn only_a_whole_tag_of_the_message_matches() {
        for hash in [HmacHash::Sha1, HmacHash::Sha256, HmacHash::Sha512] {
            let key = HmacKey::new(b"a secret of some length", hash, "one");
            let tag = key.sign(b"message");
            assert_eq!(tag.len(), hash.tag_bytes());
            let found = key.verify_any(b"message", &[&vec![0; tag.len()], &tag], "plain").unwrap();
            assert_eq!(found.into_parts(), ("one".to_owned(), "plain"));
            let other = HmacKey::new(b"another secret of some length", hash, "two");
            assert!(other.verify_any(b"message", &[&tag], "plain").is_none());
            for wrong in [vec![], tag[1..].to_vec(), tag[..tag.len() - 1].to_vec(), [&tag[..], b"\0"].concat()] {
                assert!(key.verify_any(b"message", &[&wrong], "plain").is_none());
            }
            assert!(key.verify_any(b"massage", &[&tag], "plain").is_none());
            assert!(key.verify_any(b"message", &[], "plain").is_none());
        }
    }
}
