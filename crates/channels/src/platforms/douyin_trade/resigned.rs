//! The general trade system's signature made afresh (Douyin Open Platform, general trade system, signatures).

use super::HEADERS;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::signed_body::resigned::ResignKey;
use crate::resign::{NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};

/// Signs with a key of our own. Messages name no key: a kit has one for the platform.
#[derive(Debug)]
pub(super) struct TradeResigner {
    key: ResignKey,
}

impl TradeResigner {
    pub(super) fn new(key: &[u8]) -> Result<Self, SettingsError> {
        Ok(Self { key: ResignKey::read(key)? })
    }
}

impl Resigner for TradeResigner {
    /// The header `Signature` stays as it came: what it is made of nobody says, and no kit checks it.
    fn resign(&self, proven: &RawRequest, now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        self.key.resign(proven, now, nonce, (&HEADERS, None))
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile::pem(
                &self.key.public,
                Text {
                    en: "the public key, in place of Douyin's platform public key",
                    zh: "公钥：用它替换抖音平台公钥",
                },
            ),
            PublicFile::line(
                &self.key.public,
                Text {
                    en: "the same key on one line, for kits that want it without PEM lines",
                    zh: "同一公钥的单行格式，供不使用 PEM 的 SDK 使用",
                },
            ),
        ]
    }
}
