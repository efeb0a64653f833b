//! Signing a proven request afresh, with a key of the gateway's own in the platform's own scheme, so that an
//! application that checks the signature and its time window accepts a retry or a replay hours later. The
//! application trusts the public half, which is written out in the forms that its kit reads.

use std::fmt;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::{RawRequest, Timestamp};
use crate::settings::{SettingsError, Text};
use crate::signature::key::{KeyAlgorithm, PublicKey, read_rsa_private};
use crate::signature::rsa::sign_sha256;

/// Signs what a channel has proven.
pub trait Resigner: Send + Sync + fmt::Debug {
    /// The request with a fresh signature as of `now`; everything that the signature does not name stays as it
    /// came. `nonce` is random; a scheme without one does not use it.
    ///
    /// # Errors
    /// [`ResignError`] when this one request cannot be signed.
    fn resign(&self, proven: &RawRequest, now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError>;

    /// What the application must trust. The same key gives the same bytes each time.
    fn public_half(&self) -> Vec<PublicFile>;
}

/// Random bytes for one signature.
pub const NONCE_BYTES: usize = 16;

/// Smallest key that signs, in bits.
pub const KEY_BITS_MIN: usize = 2048;

/// A file for the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicFile {
    /// The end of its name, such as `public.pem`.
    pub name: &'static str,
    /// What it is, and where the application's kit wants it.
    pub what: Text,
    /// Its content; public.
    pub content: Vec<u8>,
    /// The name under which the kit knows it (a serial, a key's id), where it needs one.
    pub id: Option<String>,
}

impl PublicFile {
    /// A public key as PEM.
    pub fn pem(key: &PublicKey, what: Text) -> Self {
        Self { name: "public.pem", what, content: key.to_pem().into_bytes(), id: None }
    }

    /// A public key on one line: base64 of its `SubjectPublicKeyInfo`.
    pub fn line(key: &PublicKey, what: Text) -> Self {
        Self { name: "public.txt", what, content: STANDARD.encode(key.spki()).into_bytes(), id: None }
    }
}

/// Why a request cannot be signed afresh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResignError {
    /// It was signed by an algorithm that we do not sign with.
    #[error("it was signed with {0}, which is not signed afresh")]
    Algorithm(String),
    /// It is not what this platform sends.
    #[error("`{0}` cannot be read")]
    Malformed(&'static str),
    /// The key did not sign.
    #[error("the key did not sign")]
    Key,
}

/// Reads a resign key: RSA of [`KEY_BITS_MIN`] bits or more.
///
/// # Errors
/// [`SettingsError`] of the setting `resign_key`.
pub(crate) fn read_key(key: &[u8]) -> Result<(RsaKeyPair, PublicKey), SettingsError> {
    let pair = read_rsa_private(SETTING, key)?;
    let public = PublicKey::of_pair(SETTING, &pair)?;
    match public.algorithm() {
        KeyAlgorithm::Rsa { bits } if bits >= KEY_BITS_MIN => Ok((pair, public)),
        other => Err(SettingsError::new(SETTING, "key_too_small").because(other.to_string())),
    }
}

/// Refuses a key that the channel believes: whoever it is given to, or taken from, could send callbacks to the
/// gateway itself. `believes` says whether one of the channel's keys verifies this signature (SHA-256) of this text.
///
/// # Errors
/// [`SettingsError`] of the setting `resign_key`.
pub(crate) fn refuse_believed(key: &[u8], believes: impl Fn(&[u8], &[u8]) -> bool) -> Result<(), SettingsError> {
    const PROBE: &[u8] = b"Is this key one of the platform's?";
    let (pair, _) = read_key(key)?;
    let signature = sign_sha256(&pair, PROBE).ok_or_else(|| SettingsError::new(SETTING, "not_a_key"))?;
    if believes(PROBE, &signature) { Err(SettingsError::new(SETTING, "believed_key")) } else { Ok(()) }
}

/// The setting that holds the key.
pub const SETTING: &str = "resign_key";
