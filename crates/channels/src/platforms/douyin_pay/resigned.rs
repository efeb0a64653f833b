//! Douyin Pay's signature made afresh (Douyin Pay merchant documents; the official SDK's notification parser).

use super::{HEADERS, SERIAL};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::signed_body::resigned::ResignKey;
use crate::resign::{NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};

/// Signs with a key of our own, which messages name by the serial of its certificate.
#[derive(Debug)]
pub(super) struct DouyinPayResigner {
    key: ResignKey,
    certificate: Vec<u8>,
    serial: String,
}

impl DouyinPayResigner {
    pub(super) fn new(key: &[u8]) -> Result<Self, SettingsError> {
        let key = ResignKey::read(key)?;
        let (certificate, serial) = (key.certificate()?, key.serial());
        Ok(Self { key, certificate, serial })
    }
}

impl Resigner for DouyinPayResigner {
    fn resign(&self, proven: &RawRequest, now: Timestamp, nonce: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        self.key.resign(proven, now, nonce, (&HEADERS, Some((SERIAL, &self.serial))))
    }

    fn public_half(&self) -> Vec<PublicFile> {
        vec![PublicFile {
            name: "certificate.pem",
            what: Text {
                en: "the certificate, in place of Douyin Pay's platform certificate; its serial:",
                zh: "证书：用它替换抖音支付平台证书；证书序列号：",
            },
            content: self.certificate.clone(),
            id: Some(self.serial.clone()),
        }]
    }
}
