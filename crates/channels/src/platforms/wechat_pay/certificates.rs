//! Platform certificates, downloaded (WeChat Pay merchant documents, "get platform certificates" and "signing and
//! verifying"; `GET /v3/certificates`).
//!
//! Each certificate of the list is sealed with the API v3 key, which only the platform and the merchant know; that is
//! what the first download stands on. The answer as a whole is signed, by a certificate that it delivers itself or by
//! a key that is known already, and both must hold. A public key (`PUB_KEY_ID_…`) cannot be downloaded.
//!
//! What a message's certificate may be used for: its serial is the one it goes by, it is valid at the time of use, and
//! it is not the merchant's own. No source names the issuer bindingly, so none is demanded.

#[cfg(all(test, feature = "simulate"))]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, HeaderName, Method};
use serde_json::json;

use super::envelope::{ALGORITHM, Value};
use super::settings::{Config, is_own};
use super::{JSON, NONCE, SERIAL, SIGNATURE, SIGNATURE_TYPE, TIMESTAMP, TYPE, WINDOW_SECONDS, WechatPay};
use crate::channel::{
    ANSWER_BYTES_MAX, Channel, FETCHED_KEYS_MAX, FetchedKey, HttpAnswer, HttpAsk, Interface, KeyRefused, KeyRequest,
    KeySource,
};
use crate::model::Timestamp;
use crate::platforms::signed_body::keys::{Key, Keys, certificate_note, normal_serial};
use crate::platforms::signed_body::read_timestamp;
use crate::signature::decode_base64;
use crate::signature::key::hex;
use crate::signature::rsa::sign_sha256;
use crate::signature::x509::Certificate;

/// The platform's host.
pub(super) const API: &str = "https://api.mch.weixin.qq.com";

/// Path of the list, as it is signed.
pub(super) const PATH: &str = "/v3/certificates";

/// Wait between two downloads that no message asked for. A new certificate is listed days before it is used, and an
/// unknown serial is asked for at once anyway.
const RENEW_EVERY: Duration = Duration::from_hours(6);

/// What a sealed certificate says of itself, so that no other box of the same key passes for one.
pub(super) const ASSOCIATED: &str = "certificate";

/// The code of a merchant that has a public key and no certificates.
pub(super) const NOT_EXISTS: &str = "RESOURCE_NOT_EXISTS";

/// What our own requests are signed with.
pub(super) struct Caller {
    /// The merchant's key pair.
    pub(super) pair: RsaKeyPair,
    /// The serial of the merchant's API certificate.
    pub(super) serial: String,
    /// Where the platform listens.
    pub(super) interface: Interface,
}

impl fmt::Debug for Caller {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("serial", &self.serial)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// The `Authorization` of a request ("signing and verifying", request signature).
    fn authorization(&self, config: &Config, line: &str, body: &str, nonce: &str, now: Timestamp) -> Option<String> {
        let timestamp = now.as_second();
        let message = format!("{line}\n{timestamp}\n{nonce}\n{body}\n");
        let signature = STANDARD.encode(sign_sha256(&self.pair, message.as_bytes())?);
        let (mchid, serial) = (&config.mchid, &self.serial);
        Some(format!(
            "{SIGNATURE_TYPE} mchid=\"{mchid}\",nonce_str=\"{nonce}\",signature=\"{signature}\",\
             timestamp=\"{timestamp}\",serial_no=\"{serial}\""
        ))
    }
}

impl KeySource for WechatPay {
    /// The list is always whole: a serial cannot be asked for alone.
    fn ask(&self, _needed: Option<&KeyRequest>, chance: [u8; 16], now: Timestamp) -> Option<HttpAsk> {
        let caller = self.config.caller.as_ref()?;
        let nonce = hex(&chance).to_ascii_uppercase();
        let authorization = caller.authorization(&self.config, &format!("GET\n{PATH}"), "", &nonce, now)?;
        let mut authorization = HeaderValue::from_str(&authorization).ok()?;
        authorization.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(ACCEPT, HeaderValue::from_static(JSON));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        // The platform refuses requests without one.
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollbell/", env!("CARGO_PKG_VERSION"))));
        // Asks for an answer that the configured public key proves, when there is one.
        if let Some(id) = self.config.keys.id() {
            headers.insert(HeaderName::from_static("wechatpay-serial"), HeaderValue::from_str(id).ok()?);
        }
        let (url, reach) = (caller.interface.url(PATH), caller.interface.reach());
        Some(HttpAsk { method: Method::GET, url, headers, body: Bytes::new(), reach })
    }

    fn read(
        &self,
        answer: &HttpAnswer,
        _needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused> {
        if answer.body.len() > ANSWER_BYTES_MAX {
            return Err(KeyRefused::TooLarge { limit: ANSWER_BYTES_MAX });
        }
        let tree = Value::parse(&answer.body);
        if answer.status != 200 {
            // Not signed, so all that it can do is to end this attempt.
            let is_absent = tree.value.at("code").and_then(Value::text) == Some(NOT_EXISTS);
            return Err(if is_absent { KeyRefused::Absent } else { KeyRefused::Status { status: answer.status } });
        }
        if tree.is_broken || tree.twice.is_some() {
            return Err(KeyRefused::Malformed { field: "body" });
        }
        let Some(Value::List(items)) = tree.value.at("data") else {
            return Err(KeyRefused::Malformed { field: "data" });
        };
        if items.len() > FETCHED_KEYS_MAX {
            return Err(KeyRefused::TooLarge { limit: FETCHED_KEYS_MAX });
        }
        let mut opened: Vec<Opened> = Vec::new();
        for item in items {
            let one = self.open(item, now)?;
            if opened.iter().any(|other| other.fetched.serial == one.fetched.serial) {
                return Err(KeyRefused::Malformed { field: "data" });
            }
            opened.push(one);
        }
        // One that has ended is no reason to refuse the others, and proves nothing itself.
        opened.retain(|one| one.fetched.not_after >= now);
        if opened.is_empty() {
            return Err(KeyRefused::Validity);
        }
        self.check_answer(answer, &opened, now)?;
        Ok(opened.into_iter().map(|one| one.fetched).collect())
    }

    /// The box is opened once more: who can write to the store and does not know the API v3 key can change nothing.
    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused> {
        let opened = self.open_kept(key)?;
        if opened.fetched.not_after < now { Err(KeyRefused::Validity) } else { Ok(()) }
    }

    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused> {
        if keys.len() > FETCHED_KEYS_MAX {
            return Err(KeyRefused::TooLarge { limit: FETCHED_KEYS_MAX });
        }
        let mut fetched = Vec::new();
        let mut notes = Vec::new();
        for key in keys {
            self.check(key, now)?;
            let opened = self.open_kept(key)?;
            // A configured certificate of the same serial goes first, as it always does.
            notes.push(certificate_note("platform certificate, fetched", &opened.certificate, &key.serial));
            fetched.push(opened.key);
        }
        Ok(Arc::new(Self { config: self.config.clone(), fetched: Keys::of(fetched), fetched_notes: notes }))
    }

    /// A merchant in public-key mode has no list, so nothing is asked there until a certificate turns up.
    fn renew_at(&self, known: &[FetchedKey], now: Timestamp) -> Option<Timestamp> {
        self.config.caller.as_ref()?;
        match known.iter().map(|key| key.fetched_at).max() {
            // A clock that was set back must not put the next download off by as much.
            Some(last) => last.min(now).checked_add(RENEW_EVERY).ok(),
            None if self.config.keys.id().is_some() => None,
            None => Some(now),
        }
    }
}

/// One certificate of the list, opened.
struct Opened {
    fetched: FetchedKey,
    certificate: Certificate,
    key: Key,
}

impl WechatPay {
    /// Opens one sealed certificate, and checks everything about it but the present time.
    fn open(&self, item: &Value, fetched_at: Timestamp) -> Result<Opened, KeyRefused> {
        let text = |path, field| text_at(item, path).ok_or(KeyRefused::Malformed { field });
        let serial =
            normal_serial(text("serial_no", "serial_no")?).ok_or(KeyRefused::Malformed { field: "serial_no" })?;
        let algorithm = text("encrypt_certificate.algorithm", "algorithm")?;
        let associated = text("encrypt_certificate.associated_data", "associated_data")?;
        let nonce = text("encrypt_certificate.nonce", "nonce")?;
        let ciphertext = text("encrypt_certificate.ciphertext", "ciphertext")?;
        if algorithm != ALGORITHM {
            return Err(KeyRefused::Malformed { field: "algorithm" });
        }
        if associated != ASSOCIATED {
            return Err(KeyRefused::Malformed { field: "associated_data" });
        }
        let boxed = STANDARD.decode(ciphertext).map_err(|_| KeyRefused::Malformed { field: "ciphertext" })?;
        let pem = self
            .config
            .cipher
            .open(nonce.as_bytes(), associated.as_bytes(), &boxed)
            .ok_or(KeyRefused::Undecryptable)?;

        let unreadable = KeyRefused::Malformed { field: "certificate" };
        let certificate = Certificate::read("platform_certs", &pem).map_err(|_| unreadable.clone())?;
        let description = certificate.description();
        if normal_serial(&description.serial_hex).as_ref() != Some(&serial) {
            return Err(KeyRefused::Serial);
        }
        if description.issuer.is_empty() || is_own(&self.config, &certificate) {
            return Err(KeyRefused::Issuer);
        }
        let (Some(not_before), Some(not_after)) = (description.not_before, description.not_after) else {
            return Err(KeyRefused::Validity);
        };
        let key = Key::of_certificate("platform_certs", &certificate).map_err(|_| unreadable)?;
        let evidence = json!({
            "serial_no": serial,
            "encrypt_certificate": {
                "algorithm": algorithm, "nonce": nonce, "associated_data": associated, "ciphertext": ciphertext,
            },
        });
        let evidence = evidence.to_string().into_bytes();
        let fetched =
            FetchedKey { serial, certificate: certificate.to_pem(), evidence, not_before, not_after, fetched_at };
        Ok(Opened { fetched, certificate, key })
    }

    /// Opens the box of a kept key; what was written beside it must be what is in it.
    fn open_kept(&self, key: &FetchedKey) -> Result<Opened, KeyRefused> {
        if key.evidence.len() > ANSWER_BYTES_MAX {
            return Err(KeyRefused::TooLarge { limit: ANSWER_BYTES_MAX });
        }
        let tree = Value::parse(&key.evidence);
        if tree.is_broken || tree.twice.is_some() {
            return Err(KeyRefused::Malformed { field: "evidence" });
        }
        let opened = self.open(&tree.value, key.fetched_at)?;
        if opened.fetched.serial != key.serial {
            return Err(KeyRefused::Serial);
        }
        let is_same = opened.fetched.certificate == key.certificate
            && (opened.fetched.not_before, opened.fetched.not_after) == (key.not_before, key.not_after);
        if is_same { Ok(opened) } else { Err(KeyRefused::Malformed { field: "certificate" }) }
    }

    /// The signature over the whole answer, by what it delivers or by what is known.
    fn check_answer(&self, answer: &HttpAnswer, delivered: &[Opened], now: Timestamp) -> Result<(), KeyRefused> {
        let header = |name| answer.single_header(name).ok_or(KeyRefused::Malformed { field: name });
        let (timestamp, nonce) = (header(TIMESTAMP)?, header(NONCE)?);
        let (serial, signature) = (header(SERIAL)?, header(SIGNATURE)?);
        if answer.headers.contains_key(TYPE) && header(TYPE)? != SIGNATURE_TYPE {
            return Err(KeyRefused::Malformed { field: TYPE });
        }
        let signed_at = read_timestamp(TIMESTAMP, timestamp).map_err(|_| KeyRefused::Malformed { field: TIMESTAMP })?;
        if now.as_second().saturating_sub(signed_at.as_second()).abs() >= WINDOW_SECONDS {
            return Err(KeyRefused::Validity);
        }
        let signature = decode_base64(signature.as_bytes()).ok_or(KeyRefused::Malformed { field: SIGNATURE })?;
        let key = self.key(serial, now).or_else(|| delivered.iter().find_map(|one| one.key.find(serial, now)));
        let message = [timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", answer.body.as_ref(), b"\n"].concat();
        key.and_then(|key| key.verify(&message, &signature, "v3")).map(drop).ok_or(KeyRefused::Signature)
    }
}

fn text_at<'v>(value: &'v Value, path: &str) -> Option<&'v str> {
    match value.at(path) {
        Some(Value::Text(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}
