//! What proves a signed text: which arithmetic, and which keys at which time. The algorithm is the configuration's; no
//! request chooses one.

use super::message::Rendered;
use super::signature::{Candidate, Takes};
use crate::channel::KeyNote;
use crate::model::Timestamp;
use crate::signature::Verified;
use crate::signature::digest::{DigestHash, DigestKey};
use crate::signature::ed25519::{Ed25519Verifier, SIGNATURE_BYTES};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::rsa::RsaVerifier;

/// Most checks of public-key signatures in vain for one message: each costs as much as a hundred digests, and a stranger
/// decides how many signatures there are. As many ways of checking one signature may a channel have.
pub(super) const PUBLIC_CHECKS_MAX: usize = 16;

/// When a key counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// From this moment on.
    pub(super) from: Option<Timestamp>,
    /// Before this moment.
    pub(super) until: Option<Timestamp>,
}

impl Life {
    /// Whether it counts now.
    pub(super) fn holds(self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// A key, its id and its time.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "it is the key itself")]
pub(super) struct Key<K> {
    pub(super) id: Option<String>,
    /// What it is called in proofs and for people.
    pub(super) label: String,
    pub(super) life: Life,
    pub(super) key: K,
}

/// Keys of one kind, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct Ring<K>(pub(super) Vec<Key<K>>);

impl<K> Ring<K> {
    /// The first key that counts now, may be meant, and passes.
    fn find<'c, T>(
        &self,
        claim: &Claim<'c>,
        now: Timestamp,
        mut check: impl FnMut(&K, &[&'c [u8]]) -> Option<T>,
    ) -> Option<T> {
        self.0.iter().filter(|key| key.life.holds(now) && claim.means(key.id.as_deref())).find_map(|key| {
            let own = |candidate: &&Candidate| candidate.key.is_none() || candidate.key == key.id;
            let signatures: Vec<&[u8]> =
                claim.candidates.iter().filter(own).map(|candidate| candidate.bytes.as_slice()).collect();
            check(&key.key, &signatures)
        })
    }

    /// Whether a key of this id counts now.
    fn knows(&self, id: &str, now: Timestamp) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id) && key.life.holds(now))
    }
}

/// What a message says about who signed it and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'c> {
    /// The key that it names; none where it names none.
    pub(super) key: Option<&'c str>,
    /// The signatures that may be its own.
    pub(super) candidates: &'c [Candidate],
}

impl Claim<'_> {
    fn means(&self, id: Option<&str>) -> bool {
        self.key.is_none() || self.key == id
    }
}

/// A public key of RSA, and what there is to say about it.
#[derive(Debug)]
pub(super) struct RsaKey {
    pub(super) verifier: RsaVerifier,
    pub(super) signature_bytes: usize,
    pub(super) bits: usize,
    pub(super) fingerprint: String,
}

/// The arithmetic under a signature, with its keys.
#[derive(Debug)]
pub(super) enum Primitive {
    /// HMAC with a shared secret.
    Hmac {
        /// The hash under it.
        hash: HmacHash,
        /// The secrets.
        keys: Ring<HmacKey>,
    },
    /// A digest of a text in which the shared secret stands.
    Digest {
        /// The digest.
        hash: DigestHash,
        /// The secrets.
        keys: Ring<DigestKey>,
    },
    /// RSA with PKCS #1 v1.5 padding and SHA-256.
    Rsa(Ring<RsaKey>),
    /// Ed25519.
    Ed25519(Ring<Ed25519Verifier>),
}

impl Primitive {
    /// Checks a signed text by every key that may be meant.
    pub(super) fn verify(
        &self,
        text: &Rendered<'_>,
        claim: &Claim<'_>,
        now: Timestamp,
        variant: &'static str,
        checks: &mut Checks,
    ) -> Option<Verified> {
        match self {
            Self::Hmac { keys, .. } => {
                keys.find(claim, now, |key, signatures| key.verify_any(&text.text, signatures, variant))
            }
            Self::Digest { keys, .. } => {
                let pieces = text.pieces();
                keys.find(claim, now, |key, signatures| key.verify_any(&pieces, signatures, variant))
            }
            Self::Rsa(keys) => keys.find(claim, now, |key, signatures| {
                let mut own = signatures.iter().filter(|signature| signature.len() == key.signature_bytes);
                own.find_map(|signature| checks.check(|| key.verifier.verify(&text.text, signature, variant)))
            }),
            Self::Ed25519(keys) => keys.find(claim, now, |key, signatures| {
                signatures.iter().find_map(|signature| checks.check(|| key.verify(&text.text, signature, variant)))
            }),
        }
    }

    /// How many public keys a signature that names none is checked by; none for shared secrets, which cost little.
    pub(super) fn public_keys(&self) -> Option<usize> {
        match self {
            Self::Hmac { .. } | Self::Digest { .. } => None,
            Self::Rsa(keys) => Some(keys.0.len()),
            Self::Ed25519(keys) => Some(keys.0.len()),
        }
    }

    /// The ids of the keys.
    pub(super) fn ids(&self) -> Vec<&str> {
        fn ids<K>(ring: &Ring<K>) -> Vec<&str> {
            ring.0.iter().filter_map(|key| key.id.as_deref()).collect()
        }
        match self {
            Self::Hmac { keys, .. } => ids(keys),
            Self::Digest { keys, .. } => ids(keys),
            Self::Rsa(keys) => ids(keys),
            Self::Ed25519(keys) => ids(keys),
        }
    }

    /// Whether a key of this id counts now.
    pub(super) fn knows(&self, id: &str, now: Timestamp) -> bool {
        match self {
            Self::Hmac { keys, .. } => keys.knows(id, now),
            Self::Digest { keys, .. } => keys.knows(id, now),
            Self::Rsa(keys) => keys.knows(id, now),
            Self::Ed25519(keys) => keys.knows(id, now),
        }
    }

    /// The id of the first key.
    #[cfg(feature = "simulate")]
    pub(super) fn first_id(&self) -> Option<&str> {
        fn first<K>(ring: &Ring<K>) -> Option<&str> {
            ring.0.first().and_then(|key| key.id.as_deref())
        }
        match self {
            Self::Hmac { keys, .. } => first(keys),
            Self::Digest { keys, .. } => first(keys),
            Self::Rsa(keys) => first(keys),
            Self::Ed25519(keys) => first(keys),
        }
    }

    /// Public facts about the keys: which there are, and nothing of what the secret ones are.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        fn notes<K>(ring: &Ring<K>, about: impl Fn(&K) -> (String, Option<String>)) -> Vec<KeyNote> {
            let note = |key: &Key<K>| {
                let (algorithm, fingerprint) = about(&key.key);
                KeyNote { label: key.label.clone(), algorithm, fingerprint, not_after: key.life.until }
            };
            ring.0.iter().map(note).collect()
        }
        match self {
            Self::Hmac { hash, keys } => notes(keys, |_| (hash.to_string(), None)),
            Self::Digest { hash, keys } => notes(keys, |_| (hash.to_string(), None)),
            Self::Rsa(keys) => notes(keys, |key| (format!("RSA {}", key.bits), Some(key.fingerprint.clone()))),
            Self::Ed25519(keys) => notes(keys, |key| ("Ed25519".to_owned(), Some(key.fingerprint().to_owned()))),
        }
    }
}

/// What a secret without an id is called.
pub(super) const SECRET: &str = "secret";
/// What a public key without an id is called.
pub(super) const PUBLIC: &str = "key";

/// The name of a key in proofs and for people: its id, else its place.
pub(super) fn label(id: Option<&str>, word: &str, at: usize) -> String {
    id.map_or_else(|| format!("{word} {}", at + 1), str::to_owned)
}

impl Takes for Primitive {
    fn length(&self, bytes: usize) -> bool {
        match self {
            Self::Hmac { hash, .. } => bytes == hash.tag_bytes(),
            Self::Digest { hash, .. } => bytes == hash.bytes(),
            Self::Rsa(keys) => keys.0.iter().any(|key| key.key.signature_bytes == bytes),
            Self::Ed25519(_) => bytes == SIGNATURE_BYTES,
        }
    }

    fn key(&self, id: &str) -> bool {
        fn any<K>(ring: &Ring<K>, id: &str) -> bool {
            ring.0.iter().any(|key| key.id.as_deref() == Some(id))
        }
        match self {
            Self::Hmac { keys, .. } => any(keys, id),
            Self::Digest { keys, .. } => any(keys, id),
            Self::Rsa(keys) => any(keys, id),
            Self::Ed25519(keys) => any(keys, id),
        }
    }
}

/// How many checks of public-key signatures in vain are left for one message.
#[derive(Debug)]
pub(super) struct Checks(usize);

impl Checks {
    /// For a message of so many items that are signed each, each of which can be checked in so many ways: what genuine
    /// items need, and beside that no more than one message alone.
    pub(super) fn of(items: usize, ways: usize) -> Self {
        Self(PUBLIC_CHECKS_MAX + items * ways.saturating_sub(1))
    }

    /// One check; none when it is in vain, or none is left.
    fn check<T>(&mut self, check: impl FnOnce() -> Option<T>) -> Option<T> {
        let left = self.0.checked_sub(1)?;
        let found = check();
        if found.is_none() {
            self.0 = left;
        }
        found
    }
}
