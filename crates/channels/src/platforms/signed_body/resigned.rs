//! The three lines signed afresh: new headers over the body as it came.

use std::fmt;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::HeaderName;

use super::Headers;
use crate::model::{RawRequest, Timestamp};
use crate::resign::{self, NONCE_BYTES, ResignError};
use crate::settings::SettingsError;
use crate::signature::key::{PublicKey, hex, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::signature::self_signed;

/// The name in our certificate: not the platform's, because it is not the platform's.
const COMMON_NAME: &str = "Tollbell resigned";

/// A key of our own.
pub(in crate::platforms) struct OwnKey {
    pair: RsaKeyPair,
    pub(in crate::platforms) public: PublicKey,
}

impl fmt::Debug for OwnKey {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKey(…)")
    }
}

impl OwnKey {
    /// Reads the setting's key.
    ///
    /// # Errors
    /// [`SettingsError`] of the setting `resign_key`.
    pub(in crate::platforms) fn read(key: &[u8]) -> Result<Self, SettingsError> {
        let (pair, public) = resign::read_key(key)?;
        Ok(Self { pair, public })
    }

    /// The serial of [`OwnKey::certificate`], as messages write it.
    pub(in crate::platforms) fn serial(&self) -> String {
        self_signed::serial_hex(&self.public).to_ascii_uppercase()
    }

    /// A certificate of the key, PEM, for kits that read their platform's key out of one.
    ///
    /// # Errors
    /// [`SettingsError`] when the key does not sign.
    pub(in crate::platforms) fn certificate(&self) -> Result<Vec<u8>, SettingsError> {
        let certificate = self_signed::certificate(&self.pair, &self.public, COMMON_NAME);
        let certificate = certificate.ok_or_else(|| SettingsError::new(resign::SETTING, "not_a_key"))?;
        Ok(to_pem("CERTIFICATE", &certificate).into_bytes())
    }

    /// The request under a fresh signature. `serial` is the header that names the key, and the name, where there is one.
    ///
    /// # Errors
    /// [`ResignError`] when the key does not sign.
    pub(in crate::platforms) fn resign(
        &self,
        proven: &RawRequest,
        now: Timestamp,
        nonce: [u8; NONCE_BYTES],
        (headers, serial): (&Headers, Option<(&'static str, &str)>),
    ) -> Result<RawRequest, ResignError> {
        let timestamp = now.as_second().to_string();
        let nonce = hex(&nonce);
        let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", proven.body.as_ref(), b"\n"].concat();
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).ok_or(ResignError::Key)?);
        let mut request = proven.clone();
        let three = [(headers.timestamp, timestamp.as_str()), (headers.nonce, &nonce), (headers.signature, &signature)];
        for (name, value) in three.into_iter().chain(serial) {
            let name: HeaderName = name.parse().map_err(|_| ResignError::Malformed(name))?;
            let value = HeaderValue::from_str(value).map_err(|_| ResignError::Key)?;
            // In place of every value that was there.
            request.headers.insert(name, value);
        }
        Ok(request)
    }
}
