//! The general trade system's signature made afresh (Douyin Open Platform, general trade system, signatures).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::HEADERS;
use crate::model::{RawRequest, Timestamp};
use crate::platforms::signed_body::resigned::OwnKey;
use crate::resign::{NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};

/// Signs with a key of our own. Messages name no key: a kit has one for the platform.
#[derive(Debug)]
pub(super) struct TradeResigner {
    key: OwnKey,
}

impl TradeResigner {
    pub(super) fn new(key: &[u8]) -> Result<Self, SettingsError> {
        Ok(Self { key: OwnKey::read(key)? })
    }
}

impl Resigner for TradeResigner {
    /// The header `Signature` stays as it came: what it is made of nobody says, and no kit checks it.
    fn resign(&self, proven: &RawRequest, now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        self.key.resign(proven, now, nonce, (&HEADERS, None))
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![
            PublicFile {
                name: "public.pem",
                what: Text {
                    en: "the public key, in place of Douyin's platform public key",
                    zh: "公钥:用它替换抖音平台公钥",
                },
                content: self.key.public.to_pem().into_bytes(),
                id: None,
            },
            PublicFile {
                name: "public.txt",
                what: Text {
                    en: "the same key on one line, for kits that want it without PEM lines",
                    zh: "同一公钥的单行格式,供不使用 PEM 的 SDK 使用",
                },
                content: STANDARD.encode(self.key.public.spki()).into_bytes(),
                id: None,
            },
        ]
    }
}
