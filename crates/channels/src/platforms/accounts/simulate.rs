//! What the other sides of those platforms share: throw-away keys, invented numbers, requests.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use crate::model::{Currency, Environment, Money, RawRequest, Timestamp};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::PublicKey;
use crate::simulate::WrittenSetting;

/// A throw-away RSA key pair.
#[derive(Clone)]
pub(in super::super) struct Keys(pub(in super::super) Arc<RsaKeyPair>);

impl Keys {
    /// Fresh ones.
    pub(in super::super) fn new() -> Self {
        Self(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits")))
    }

    /// The private half as PKCS #8.
    pub(in super::super) fn export(&self) -> Zeroizing<Vec<u8>> {
        let der: Pkcs8V1Der<'_> = self.0.as_der().expect("a generated key can be written");
        Zeroizing::new(der.as_ref().to_vec())
    }

    /// The other way round.
    pub(in super::super) fn import(exported: &[u8]) -> Result<Self, String> {
        let pair = RsaKeyPair::from_pkcs8(exported).map_err(|_| "not an RSA private key in PKCS #8".to_owned())?;
        Ok(Self(Arc::new(pair)))
    }

    /// The public half as a setting's file.
    pub(in super::super) fn public_pem(&self) -> Zeroizing<Vec<u8>> {
        let key = PublicKey::of_pair("key", &self.0).expect("a generated key has a public half");
        Zeroizing::new(key.to_pem().into_bytes())
    }
}

/// The settings of a channel that trusts a side, of how they are written down.
pub(in super::super) fn settings(written: Vec<WrittenSetting>) -> Settings {
    let empty = Settings::new(Environment::Sandbox);
    written.into_iter().fold(empty, |settings, one| settings.with(one.name, one.value))
}

/// A setting of one word or several.
pub(in super::super) fn words(name: &'static str, words: &[&str]) -> WrittenSetting {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    WrittenSetting { name, value: SettingValue::Texts(words), file_name: None }
}

/// A setting of key material.
pub(in super::super) fn key(name: &'static str, bytes: &[u8], file: &'static str) -> WrittenSetting {
    let bytes = Zeroizing::new(bytes.to_vec());
    WrittenSetting { name, value: SettingValue::Key(bytes), file_name: Some(file) }
}

/// A request at the time at which it is sent.
pub(in super::super) fn post(path: &str, media_type: &'static str, body: Vec<u8>, at: Timestamp) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    RawRequest {
        method: Method::POST,
        path: path.to_owned(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: at,
    }
}

/// Yuan with fen.
pub(in super::super) fn yuan(minor: i64) -> String {
    Money { minor, currency: Currency::CNY }.to_text()
}

/// A number of at most 19 digits from a text, so that one order has one payment.
pub(in super::super) fn number(text: &str) -> u64 {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(7).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
