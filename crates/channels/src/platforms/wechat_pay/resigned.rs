//! WeChat Pay's signature made afresh (WeChat Pay, "signing and verifying").

use aws_lc_rs::digest::{SHA256, digest};

use super::settings::PUBLIC_KEY_ID_PREFIX;
use super::{HEADERS, SERIAL};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::signed_body::resigned::ResignKey;
use crate::resign::{NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};

/// Digits of a public key's id behind its prefix; real ones have so many.
const KEY_ID_DIGITS: usize = 32;

/// Signs with a key of our own.
#[derive(Debug)]
pub(super) struct WechatResigner {
    key: ResignKey,
    certificate: Vec<u8>,
    serial: String,
    key_id: String,
}

impl WechatResigner {
    pub(super) fn new(key: &[u8]) -> Result<Self, SettingsError> {
        let key = ResignKey::read(key)?;
        let (certificate, serial) = (key.certificate()?, key.serial());
        let name = digest(&SHA256, key.public.spki());
        let digits: String =
            name.as_ref().iter().take(KEY_ID_DIGITS).map(|byte| char::from(b'0' + byte % 10)).collect();
        let key_id = format!("{PUBLIC_KEY_ID_PREFIX}{digits}");
        Ok(Self { key, certificate, serial, key_id })
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
        self.key.resign(proven, now, nonce, (&HEADERS, Some((SERIAL, self.name_for(proven)))))
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile {
                id: Some(self.key_id.clone()),
                ..PublicFile::pem(
                    &self.key.public,
                    Text {
                        en: "the public key, for a kit in public-key mode, in place of WeChat Pay's; its id:",
                        zh: "公钥：使用“微信支付公钥”模式的 SDK 用它替换微信支付公钥；公钥 ID:",
                    },
                )
            },
            PublicFile {
                name: "certificate.pem",
                what: Text {
                    en: "the certificate, for a kit in certificate mode, in place of the platform certificate; its serial:",
                    zh: "证书：使用“平台证书”模式的 SDK 用它替换平台证书；证书序列号：",
                },
                content: self.certificate.clone(),
                id: Some(self.serial.clone()),
            },
        ]
    }
}
