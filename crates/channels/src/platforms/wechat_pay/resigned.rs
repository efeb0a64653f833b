//! WeChat Pay's signature made afresh: new headers over the body as it came (WeChat Pay, "signing and verifying").

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::HeaderName;

use super::settings::PUBLIC_KEY_ID_PREFIX;
use super::{NONCE, SERIAL, SIGNATURE, TIMESTAMP};
use crate::model::{RawRequest, Timestamp};
use crate::resign::{self, NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};
use crate::signature::key::{PublicKey, hex, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::signature::self_signed;

/// The name in our certificate: not the platform's, because it is not the platform's.
const COMMON_NAME: &str = "Tollbell resigned";
/// Digits of a public key's id behind its prefix; real ones have so many.
const KEY_ID_DIGITS: usize = 32;

/// Signs with a key of our own.
pub(super) struct WechatResigner {
    pair: RsaKeyPair,
    public: PublicKey,
    certificate: Vec<u8>,
    serial: String,
    key_id: String,
}

impl fmt::Debug for WechatResigner {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WechatResigner").field("serial", &self.serial).finish_non_exhaustive()
    }
}

impl WechatResigner {
    pub(super) fn new(key: &[u8]) -> Result<Self, SettingsError> {
        let (pair, public) = resign::read_key(key)?;
        let not_a_key = || SettingsError::new(resign::SETTING, "not_a_key");
        let certificate = self_signed::certificate(&pair, &public, COMMON_NAME).ok_or_else(not_a_key)?;
        let serial = self_signed::serial_hex(&public).to_ascii_uppercase();
        let name = digest(&SHA256, public.spki());
        let digits: String =
            name.as_ref().iter().take(KEY_ID_DIGITS).map(|byte| char::from(b'0' + byte % 10)).collect();
        let key_id = format!("{PUBLIC_KEY_ID_PREFIX}{digits}");
        Ok(Self { pair, public, certificate, serial, key_id })
    }

    /// A kit knows the platform by a public key or by certificates, and the message says which: the new name is
    /// of the same kind.
    fn name_for(&self, proven: &RawRequest) -> &str {
        let is_key = proven.single_header(SERIAL).is_some_and(|serial| serial.starts_with(PUBLIC_KEY_ID_PREFIX));
        if is_key { &self.key_id } else { &self.serial }
    }
}

impl Resigner for WechatResigner {
    fn resign(&self, proven: &RawRequest, now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        let timestamp = now.as_second().to_string();
        let nonce = hex(&nonce);
        let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", proven.body.as_ref(), b"\n"].concat();
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).ok_or(ResignError::Key)?);
        let mut request = proven.clone();
        for (name, value) in
            [(TIMESTAMP, timestamp.as_str()), (NONCE, &nonce), (SERIAL, self.name_for(proven)), (SIGNATURE, &signature)]
        {
            let name: HeaderName = name.parse().map_err(|_| ResignError::Malformed(name))?;
            let value = HeaderValue::from_str(value).map_err(|_| ResignError::Key)?;
            // In place of every value that was there.
            request.headers.insert(name, value);
        }
        Ok(request)
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile {
                name: "public.pem",
                what: Text {
                    en: "the public key, for a kit in public-key mode, in place of WeChat Pay's; its id:",
                    zh: "公钥:使用“微信支付公钥”模式的 SDK 用它替换微信支付公钥;公钥 ID:",
                },
                content: self.public.to_pem().into_bytes(),
                id: Some(self.key_id.clone()),
            },
            PublicFile {
                name: "certificate.pem",
                what: Text {
                    en: "the certificate, for a kit in certificate mode, in place of the platform certificate; its serial:",
                    zh: "证书:使用“平台证书”模式的 SDK 用它替换平台证书;证书序列号:",
                },
                content: to_pem("CERTIFICATE", &self.certificate).into_bytes(),
                id: Some(self.serial.clone()),
            },
        ]
    }
}
