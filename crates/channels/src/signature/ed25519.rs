//! Ed25519 signatures (RFC 8032).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, ParsedPublicKey};

use super::Verified;
use super::key::{Content, TAG_BIT_STRING, TAG_OID, TAG_SEQUENCE, Tlv, der_of, hex, holds_private, sniff, tlv};
use super::trial::{self, How, Part, Trial, public_text};
use crate::measure;
use crate::settings::SettingsError;

/// Bytes of a public key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_BYTES: usize = 64;

/// 1.3.101.112, id-Ed25519 (RFC 8410).
const OID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Points of small order, as they are encoded, without the sign in the last bit: under such a key anybody signs.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// A public key that was parsed once.
pub struct Ed25519Verifier {
    key: ParsedPublicKey,
    label: String,
    fingerprint: String,
}

impl fmt::Debug for Ed25519Verifier {
    /// Says which key, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Verifier").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Ed25519Verifier {
    /// Prepares a key from its 32 bytes. `label` names it in proofs.
    ///
    /// # Errors
    /// [`SettingsError`] with `not_a_key`.
    pub fn new(setting: &'static str, bytes: &[u8], label: &str) -> Result<Self, SettingsError> {
        let not_a_key = || SettingsError::new(setting, "not_a_key");
        let key: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| not_a_key().because(format!("{KEY_BYTES} bytes")))?;
        let mut unsigned = key;
        unsigned[KEY_BYTES - 1] &= 0x7f;
        if SMALL_ORDER.contains(&hex(&unsigned).as_str()) {
            return Err(not_a_key());
        }
        let fingerprint = hex(digest(&SHA256, &spki(&key)).as_ref());
        let key = ParsedPublicKey::new(&ED25519, key).map_err(|_| not_a_key())?;
        Ok(Self { key, label: label.to_owned(), fingerprint })
    }

    /// SHA-256 of the `SubjectPublicKeyInfo`, hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Checks a signature over the exact bytes. `variant` names the rule that made the bytes.
    pub fn verify(&self, message: &[u8], signature: &[u8], variant: &'static str) -> Option<Verified> {
        if signature.len() != SIGNATURE_BYTES || trial::is_spent() {
            return None;
        }
        measure::step("Ed25519", message.len(), || self.key.verify_sig(message, signature));
        let held = self.key.verify_sig(message, signature).is_ok();
        trial::tell(|| {
            let key = self.key.clone();
            let again = move |how: How, parts: &[Part], claimed: &[u8]| {
                public_text(how, None, parts).is_some_and(|text| key.verify_sig(&text, claimed).is_ok())
            };
            Trial::new("Ed25519", &self.label, variant, again).public_key(message, signature, held)
        });
        held.then(|| Verified::new(&self.label, variant))
    }
}

/// The 32 bytes of a public key from PEM, bare base64 of a `SubjectPublicKeyInfo`, or its DER.
///
/// # Errors
/// [`SettingsError`] with `private_key_given`, `certificate_given`, `wrong_algorithm` or `not_a_key`.
pub fn read_public(setting: &'static str, material: &[u8]) -> Result<Vec<u8>, SettingsError> {
    let error = |word| SettingsError::new(setting, word);
    if holds_private(material) {
        return Err(error("private_key_given"));
    }
    let der = der_of(material).ok_or_else(|| error("not_a_key"))?;
    match sniff(&der) {
        Some(Content::Spki) => {}
        Some(Content::Pkcs1Public) => return Err(error("wrong_algorithm").because("RSA")),
        Some(Content::Private) => return Err(error("private_key_given")),
        Some(Content::Certificate) => return Err(error("certificate_given")),
        Some(Content::Pfx) | None => return Err(error("not_a_key")),
    }
    let parts = || {
        let outer = Tlv::read(&der)?;
        let algorithm = Tlv::read(outer.content)?;
        let bits = Tlv::read(algorithm.rest).filter(|bits| bits.tag == TAG_BIT_STRING)?;
        let oid = Tlv::read(algorithm.content).filter(|oid| oid.tag == TAG_OID)?;
        Some((oid.content.to_vec(), bits.content.strip_prefix(&[0])?.to_vec()))
    };
    let (oid, bits) = parts().ok_or_else(|| error("not_a_key"))?;
    if oid != OID_ED25519 {
        return Err(error("wrong_algorithm").because("not Ed25519"));
    }
    Ok(bits)
}

/// The DER of a key's `SubjectPublicKeyInfo`.
pub fn spki(key: &[u8]) -> Vec<u8> {
    let algorithm = tlv(TAG_SEQUENCE, &tlv(TAG_OID, OID_ED25519));
    tlv(TAG_SEQUENCE, &[algorithm, tlv(TAG_BIT_STRING, &[&[0], key].concat())].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key::to_pem;

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// RFC 8032, 7.1, test 2.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = bytes(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
             387b2eaeb4302aeeb00d291612bb0c00",
        );
        let verifier = Ed25519Verifier::new("key", &key, "one").unwrap();
        assert_eq!(verifier.verify(&[0x72], &signature, "v").unwrap().into_parts(), ("one".into(), "v"));
        assert!(verifier.verify(&[0x73], &signature, "v").is_none());
        for at in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            assert!(verifier.verify(&[0x72], &wrong, "v").is_none(), "{at}");
        }
        assert!(verifier.verify(&[0x72], &signature[..63], "v").is_none());
        let der = spki(&key);
        for material in [der.clone(), to_pem("PUBLIC KEY", &der).into_bytes()] {
            assert_eq!(read_public("key", &material).unwrap(), key);
        }
        assert_eq!(verifier.fingerprint().len(), 64);
    }

    #[test]
    fn what_is_no_key_is_called_by_its_name() {
        let word = |result: Result<Ed25519Verifier, SettingsError>| result.unwrap_err().word;
        assert_eq!(word(Ed25519Verifier::new("key", &[7; 31], "one")), "not_a_key");
        for point in SMALL_ORDER {
            let mut point = bytes(point);
            assert_eq!(word(Ed25519Verifier::new("key", &point, "one")), "not_a_key");
            point[31] |= 0x80;
            assert_eq!(word(Ed25519Verifier::new("key", &point, "one")), "not_a_key");
        }
        let rsa = aws_lc_rs::signature::RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let rsa = crate::signature::key::PublicKey::of_pair("key", &rsa).unwrap();
        assert_eq!(read_public("key", rsa.to_pem().as_bytes()).unwrap_err().word, "wrong_algorithm");
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        let private = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let pem = to_pem("PRIVATE KEY", private.as_ref());
        assert_eq!(read_public("key", pem.as_bytes()).unwrap_err().word, "private_key_given");
        assert_eq!(read_public("key", b"nothing").unwrap_err().word, "not_a_key");
    }
}
