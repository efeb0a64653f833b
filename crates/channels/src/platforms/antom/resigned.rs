//! Antom's signature made afresh: another time and another signature over the body as it came.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HeaderName, HeaderValue};

use super::header::{ALGORITHM, CLIENT, SIGNATURE, TIME, text, wrapped};
use super::settings::Config;
use super::signed_paths;
use crate::model::{RawRequest, Timestamp};
use crate::resign::{self, NONCE_BYTES, PublicFile, ResignError, Resigner};
use crate::settings::{SettingsError, Text};
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;

/// The version of our own key: what Antom's libraries take when nobody names one.
const VERSION: &str = "1";

/// Signs with a key of our own.
pub(super) struct AntomResigner {
    config: Arc<Config>,
    pair: RsaKeyPair,
    public: PublicKey,
}

impl fmt::Debug for AntomResigner {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AntomResigner(…)")
    }
}

impl AntomResigner {
    pub(super) fn new(config: Arc<Config>, key: &[u8]) -> Result<Self, SettingsError> {
        let (pair, public) = resign::read_key(key)?;
        Ok(Self { config, pair, public })
    }
}

impl Resigner for AntomResigner {
    /// Over the first path that Antom may have signed: an application that looks at its own address has the same one.
    fn resign(&self, proven: &RawRequest, now: Timestamp, _: [u8; NONCE_BYTES]) -> Result<RawRequest, ResignError> {
        let client_id = proven.single_header(CLIENT).ok_or(ResignError::Malformed(CLIENT))?.to_owned();
        let paths = signed_paths(&self.config, proven);
        let path = paths.first().ok_or(ResignError::Malformed("path"))?;
        let time = written(now);
        let message = text(path, &client_id, &time, &proven.body);
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).ok_or(ResignError::Key)?);
        let mut request = proven.clone();
        for (name, value) in [(TIME, time), (SIGNATURE, signature_header(VERSION, &signature))] {
            let value = HeaderValue::from_str(&value).map_err(|_| ResignError::Key)?;
            // In place of every value that was there.
            request.headers.insert(HeaderName::from_static(name), value);
        }
        Ok(request)
    }

    fn public_half(&self) -> Vec<PublicFile> {
        let bare = STANDARD.encode(self.public.spki());
        vec![
            PublicFile {
                name: "public.txt",
                what: Text {
                    en: "the public key on one line, as Antom's libraries want it, in place of Antom's public key",
                    zh: "单行公钥：Antom SDK 使用的格式，用它替换 Antom 公钥",
                },
                content: bare.into_bytes(),
                id: None,
            },
            PublicFile {
                name: "public.pem",
                what: Text {
                    en: "the same key as PEM, for programs that read a file",
                    zh: "同一公钥的 PEM 格式，供读取文件的程序使用",
                },
                content: self.public.to_pem().into_bytes(),
                id: None,
            },
        ]
    }
}

/// The time as Antom writes it, with an offset.
pub(super) fn written(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// The header, as Antom's libraries write it.
pub(super) fn signature_header(version: &str, base64: &str) -> String {
    format!("algorithm={ALGORITHM},keyVersion={version},signature={}", wrapped(base64))
}
