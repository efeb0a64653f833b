//! Proofs: why we believe a message. Each kind has exactly one constructor, and the inbox stores only
//! what carries one.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Concern, Notification};
use crate::channel::Answered;
use crate::signature::Verified;

/// Why we believe something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "proof", rename_all = "snake_case")]
pub enum Proof {
    /// The platform's signature over the bytes that we received.
    Signature {
        /// Which configured key matched: a label or serial, never key material.
        key: String,
        /// Which documented variant of the canonical string matched, where there are several.
        variant: String,
    },
    /// The platform's own answer to a question that we asked as the merchant.
    PlatformApi {
        /// The host that was asked, over TLS unless it is this machine.
        host: String,
        /// Which configured credential was shown: a setting's name, never the secret.
        key: String,
    },
}

/// Something that was verified. There is no way to make one but through a check that succeeded.
#[derive(Clone, PartialEq, Eq)]
pub struct Proven<T> {
    value: T,
    proof: Proof,
}

impl<T> Proven<T> {
    /// Proven by the platform's signature: only [`crate::signature`] makes a [`Verified`].
    pub fn by_signature(value: T, verified: Verified) -> Self {
        let (key, variant) = verified.into_parts();
        Self { value, proof: Proof::Signature { key, variant: variant.to_owned() } }
    }

    /// Proven by the platform's answer: only a question that was asked with the channel's own credential makes an
    /// [`Answered`].
    pub fn by_platform_api(value: T, answered: Answered) -> Self {
        let (host, key) = answered.into_proof();
        Self { value, proof: Proof::PlatformApi { host, key: key.to_owned() } }
    }

    /// The same proof, with the key under another name: a channel that knows several of the same name tells them apart.
    #[must_use]
    pub(crate) fn by_key_called(mut self, name: impl FnOnce(&str) -> String) -> Self {
        let (Proof::Signature { key, .. } | Proof::PlatformApi { key, .. }) = &mut self.proof;
        *key = name(key);
        self
    }

    /// What was proven.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Why.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Both parts, for storing.
    pub fn into_parts(self) -> (T, Proof) {
        (self.value, self.proof)
    }
}

impl Proven<Notification> {
    /// The same, and held for one more reason. Nothing that it says changes.
    #[must_use]
    pub fn with_concern(mut self, concern: Concern) -> Self {
        if !self.value.concerns.contains(&concern) {
            self.value.concerns.push(concern);
        }
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Proven<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proven").field("value", &self.value).field("proof", &self.proof).finish()
    }
}
