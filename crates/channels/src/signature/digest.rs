//! Plain digests with a secret among the text: how platforms sign that are older than HMAC, or wiser than nobody.
//! MD5 and SHA-1 are here because those platforms use them; nothing else does.

use std::fmt;

use md5::Digest as _;
use zeroize::Zeroizing;

use super::Verified;
use crate::measure;

/// A digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestHash {
    /// MD5.
    Md5,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SM3 (GB/T 32905).
    Sm3,
}

impl DigestHash {
    /// The digest of all parts, one behind the other.
    pub fn of(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Md5 => parts.iter().fold(md5::Md5::new(), md5::Digest::chain_update).finalize().to_vec(),
            Self::Sha1 => of_library(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, parts),
            Self::Sha256 => of_library(&aws_lc_rs::digest::SHA256, parts),
            Self::Sha512 => of_library(&aws_lc_rs::digest::SHA512, parts),
            Self::Sm3 => {
                use sm3::Digest as _;
                let mut hash = sm3::Sm3::new();
                for part in parts {
                    hash.update(part);
                }
                hash.finalize().to_vec()
            }
        }
    }

    /// Bytes of a digest.
    pub fn bytes(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha512 => 64,
        }
    }

    /// Tells whoever measures that a protocol prescribes this digest.
    pub(crate) fn measured(self, parts: &[&[u8]]) {
        measure::step(self.name(), parts.iter().map(|part| part.len()).sum(), || self.of(parts));
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
            Self::Sm3 => "SM3",
        }
    }

    /// The digest of all parts as text.
    pub fn hex_of(self, parts: &[&[u8]], case: HexCase) -> String {
        case.write(&self.of(parts))
    }
}

impl fmt::Display for DigestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn of_library(algorithm: &'static aws_lc_rs::digest::Algorithm, parts: &[&[u8]]) -> Vec<u8> {
    let mut context = aws_lc_rs::digest::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().to_vec()
}

/// How a platform writes a digest. The other case is another text, and is refused: one message, one signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HexCase {
    /// `0af3`
    Lower,
    /// `0AF3`
    Upper,
}

impl HexCase {
    /// The bytes as text.
    pub fn write(self, bytes: &[u8]) -> String {
        let text = super::key::hex(bytes);
        match self {
            Self::Lower => text,
            Self::Upper => text.to_ascii_uppercase(),
        }
    }
}

/// A secret that stands in the text under a digest.
pub struct SecretDigest {
    secret: Zeroizing<Vec<u8>>,
    hash: DigestHash,
    case: HexCase,
    label: String,
}

impl fmt::Debug for SecretDigest {
    /// Says which secret, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretDigest").field("label", &self.label).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl SecretDigest {
    /// Prepares a secret; none when it is empty, which would let everybody sign. `label` names it in proofs; it is
    /// never derived from the secret.
    pub fn new(secret: &[u8], hash: DigestHash, case: HexCase, label: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self {
            secret: Zeroizing::new(secret.to_vec()),
            hash,
            case,
            label: label.to_owned(),
        })
    }

    /// The text of the digest over what stands before the secret, the secret, and what stands behind it.
    pub fn sign(&self, before: &[u8], behind: &[u8]) -> String {
        self.hash.hex_of(&[before, &self.secret, behind], self.case)
    }

    /// Checks a digest's text, in constant time. `variant` names the rule that made the signed text.
    pub fn verify(&self, before: &[u8], behind: &[u8], claimed: &[u8], variant: &'static str) -> Option<Verified> {
        let parts = [before, &self.secret, behind];
        self.hash.measured(&parts);
        let own = self.hash.hex_of(&parts, self.case);
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), claimed)
            .is_ok()
            .then(|| Verified::new(&self.label, variant))
    }

    /// The secret, for rules that need it at another place: where it sorts among values, or as the source of a key.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

/// A piece of a text in which the secret has its place.
#[derive(Clone, Copy, Debug)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a [u8]),
    /// The secret.
    Secret,
}

/// A secret that stands somewhere in the text under a digest, whose bytes are compared.
pub struct DigestKey {
    secret: Zeroizing<Vec<u8>>,
    hash: DigestHash,
    label: String,
}

impl fmt::Debug for DigestKey {
    /// Says which secret, not its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestKey").field("label", &self.label).field("hash", &self.hash).finish_non_exhaustive()
    }
}

impl DigestKey {
    /// Prepares a secret; none when it is empty. `label` names it in proofs; it is never derived from the secret.
    pub fn new(secret: &[u8], hash: DigestHash, label: &str) -> Option<Self> {
        (!secret.is_empty()).then(|| Self { secret: Zeroizing::new(secret.to_vec()), hash, label: label.to_owned() })
    }

    /// The digest of the pieces; none where the secret is none of them, for such a digest anybody makes.
    pub fn sign(&self, pieces: &[Piece<'_>]) -> Option<Vec<u8>> {
        if !pieces.iter().any(|piece| matches!(piece, Piece::Secret)) {
            return None;
        }
        Some(self.hash.of(&self.parts(pieces)))
    }

    fn parts<'a>(&'a self, pieces: &[Piece<'a>]) -> Vec<&'a [u8]> {
        let part = |piece: &Piece<'a>| match *piece {
            Piece::Text(text) => text,
            Piece::Secret => self.secret.as_slice(),
        };
        pieces.iter().map(part).collect()
    }

    /// Checks in constant time whether one of the digests is that of the pieces. `variant` names the rule that made them.
    pub fn verify_any(&self, pieces: &[Piece<'_>], digests: &[&[u8]], variant: &'static str) -> Option<Verified> {
        let own = self.sign(pieces)?;
        self.hash.measured(&self.parts(pieces));
        let is_match = |digest: &&[u8]| aws_lc_rs::constant_time::verify_slices_are_equal(&own, digest).is_ok();
        digests.iter().any(is_match).then(|| Verified::new(&self.label, variant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_without_the_secret_in_it_proves_nothing() {
        let key = DigestKey::new(b"secret", DigestHash::Sha512, "one").unwrap();
        let pieces = [Piece::Text(b"a"), Piece::Secret, Piece::Text(b"b")];
        let own = key.sign(&pieces).unwrap();
        assert_eq!(own, DigestHash::Sha512.of(&[b"asecretb"]));
        assert_eq!(own.len(), DigestHash::Sha512.bytes());
        assert_eq!(key.verify_any(&pieces, &[&own], "v").unwrap().into_parts(), ("one".into(), "v"));
        assert!(key.verify_any(&pieces, &[&own[1..], &[]], "v").is_none());
        assert!(key.verify_any(&pieces[..2], &[&own], "v").is_none());
        let open = [Piece::Text(b"a")];
        assert!(key.sign(&open).is_none());
        assert!(key.verify_any(&open, &[&DigestHash::Sha512.of(&[b"a"])], "v").is_none());
        assert!(DigestKey::new(b"", DigestHash::Sha512, "one").is_none());
        assert!(!format!("{key:?}").contains("secret\""));
    }

    /// RFC 1321, FIPS 180-4 and GB/T 32905, the text `abc`.
    #[test]
    fn digests_are_those_of_the_standards() {
        let of = |hash: DigestHash| hash.hex_of(&[b"a", b"", b"bc"], HexCase::Lower);
        assert_eq!(of(DigestHash::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(of(DigestHash::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(of(DigestHash::Sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(of(DigestHash::Sha512).starts_with("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"));
        for hash in [DigestHash::Md5, DigestHash::Sha1, DigestHash::Sha256, DigestHash::Sha512, DigestHash::Sm3] {
            assert_eq!(hash.of(&[]).len(), hash.bytes());
        }
        assert_eq!(of(DigestHash::Sm3), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0");
    }

    #[test]
    fn only_the_whole_digest_in_its_own_case_matches() {
        let upper = SecretDigest::new(b"secret", DigestHash::Md5, HexCase::Upper, "key").unwrap();
        let text = upper.sign(b"a=1&key=", b"");
        assert_eq!(upper.verify(b"a=1&key=", b"", text.as_bytes(), "v").unwrap().into_parts(), ("key".into(), "v"));
        for wrong in [text.to_lowercase(), text[1..].to_owned(), format!("{text} "), String::new(), "0".repeat(32)] {
            assert!(upper.verify(b"a=1&key=", b"", wrong.as_bytes(), "v").is_none(), "{wrong:?}");
        }
        assert!(upper.verify(b"a=2&key=", b"", text.as_bytes(), "v").is_none());
        assert!(SecretDigest::new(b"", DigestHash::Md5, HexCase::Upper, "key").is_none());
        assert!(!format!("{upper:?}").contains("secret"));
    }
}
