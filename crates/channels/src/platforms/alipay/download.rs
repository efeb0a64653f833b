//! Certificates of Alipay that a message names and the configuration does not hold (Alipay Open Platform, certificate
//! mode; method `alipay.open.app.alipaycert.download`).
//!
//! What is believed, on the safe side where no source is clear:
//! * the certificate leads to the configured root, over intermediates that came with it or lie in `alipay_cert`;
//! * its serial, computed as [`super::certificate::serial`] does, is the one that was asked for;
//! * it was issued by the same authority, to the same organisation, as a configured `alipay_cert`. The root's other
//!   authorities issue certificates to merchants, so the path alone would let any application speak for Alipay. Should
//!   Alipay ever change that authority, an operator installs the certificate;
//! * the answer is signed, by that certificate or by one that is known. Whether every answer is signed is unconfirmed;
//!   one that is not is refused.
//!
//! The sandbox has no such method.

#[cfg(all(test, feature = "simulate"))]
mod tests;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::settings::{Named, RsaKeys, certificate_note};
use super::{Alipay, certificate, times};
use crate::channel::{
    ANSWER_BYTES_MAX, Channel, FETCHED_KEYS_MAX, FetchedKey, HttpAnswer, HttpAsk, Interface, KeyRefused, KeyRequest,
    KeySource,
};
use crate::form;
use crate::model::Timestamp;
use crate::signature::decode_base64;
use crate::signature::key::PublicKey;
use crate::signature::rsa::{RsaHash, RsaVerifier, sign_sha256};
use crate::signature::x509::Certificate;

/// The platform's host.
pub(super) const API: &str = "https://openapi.alipay.com";

/// Path of the gateway.
pub(super) const GATEWAY: &str = "/gateway.do";

/// The method's name.
pub(super) const METHOD: &str = "alipay.open.app.alipaycert.download";

/// The code of a call that succeeded.
const SUCCESS: &str = "10000";

/// The code of a call that was understood and cannot be fulfilled.
pub(super) const FAILED: &str = "40004";

/// Most certificates of one answer: itself and what lies between it and the root.
const CERTIFICATES_MAX: usize = 4;

/// What our own requests are signed with, and what a certificate is measured by.
pub(super) struct Caller {
    /// The application's key pair.
    pub(super) pair: RsaKeyPair,
    /// The serial of the application's certificate.
    pub(super) app_cert_sn: String,
    /// The name of the root bundle.
    pub(super) root_cert_sn: String,
    /// The readable roots.
    pub(super) roots: Vec<Certificate>,
    /// All of `alipay_cert`: models of what a certificate of Alipay looks like, and intermediates.
    pub(super) models: Vec<Certificate>,
    /// Where the platform listens.
    pub(super) interface: Interface,
}

impl fmt::Debug for Caller {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("app_cert_sn", &self.app_cert_sn)
            .field("interface", &self.interface)
            .finish_non_exhaustive()
    }
}

/// The outer object. A name that comes twice is refused by the reader; each value is kept as it is written, since the
/// signature covers exactly that.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, rename = "alipay_open_app_alipaycert_download_response")]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    error_response: Option<&'a RawValue>,
    alipay_cert_sn: Option<String>,
    sign: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    code: Option<String>,
    alipay_cert_content: Option<String>,
}

impl KeySource for Alipay {
    /// The platform has no list: a certificate is asked for by its serial.
    fn ask(&self, needed: Option<&KeyRequest>, _chance: [u8; 16], now: Timestamp) -> Option<HttpAsk> {
        let caller = self.config.caller.as_ref()?;
        let serial = needed.map(|needed| needed.serial.as_str()).filter(|serial| certificate::is_serial(serial))?;
        let content = format!("{{\"alipay_cert_sn\":\"{serial}\"}}");
        let time = times::write(now);
        // In the order of their names, as they are signed; `sign_type` is under the signature of a request.
        let pairs = [
            ("alipay_root_cert_sn", caller.root_cert_sn.as_str()),
            ("app_cert_sn", &caller.app_cert_sn),
            ("app_id", &self.config.app_id),
            ("biz_content", &content),
            ("charset", "utf-8"),
            ("format", "JSON"),
            ("method", METHOD),
            ("sign_type", "RSA2"),
            ("timestamp", &time),
            ("version", "1.0"),
        ];
        let message: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let signature = STANDARD.encode(sign_sha256(&caller.pair, message.join("&").as_bytes())?);
        let pairs = pairs.into_iter().chain([("sign", signature.as_str())]);
        let body = form::encode(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded;charset=utf-8"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollbell/", env!("CARGO_PKG_VERSION"))));
        let (url, reach) = (caller.interface.url(GATEWAY), caller.interface.reach());
        Some(HttpAsk { method: Method::POST, url, headers, body: Bytes::from(body), reach })
    }

    fn read(
        &self,
        answer: &HttpAnswer,
        needed: Option<&KeyRequest>,
        now: Timestamp,
    ) -> Result<Vec<FetchedKey>, KeyRefused> {
        let caller = self.config.caller.as_ref().ok_or(KeyRefused::Issuer)?;
        let needed = needed.ok_or(KeyRefused::Serial)?;
        if answer.body.len() > ANSWER_BYTES_MAX {
            return Err(KeyRefused::TooLarge { limit: ANSWER_BYTES_MAX });
        }
        if answer.status != 200 {
            return Err(KeyRefused::Status { status: answer.status });
        }
        let malformed = |field| KeyRefused::Malformed { field };
        let outer: Outer<'_> = serde_json::from_slice(&answer.body).map_err(|_| malformed("body"))?;
        let (Some(whole), None) = (outer.response, outer.error_response) else {
            return Err(malformed("alipay_open_app_alipaycert_download_response"));
        };
        let response: Response = serde_json::from_str(whole.get()).map_err(|_| malformed("body"))?;
        match response.code.as_deref() {
            Some(SUCCESS) => {}
            // Failures may be unsigned; all that one can do is to end this attempt.
            Some(FAILED) => return Err(KeyRefused::Absent),
            _ => return Err(malformed("code")),
        }
        let content = response.alipay_cert_content.ok_or(malformed("alipay_cert_content"))?;
        let content = STANDARD.decode(content).map_err(|_| malformed("alipay_cert_content"))?;
        let found = Certificate::read_all("alipay_cert", &content).map_err(|_| malformed("alipay_cert_content"))?;
        if found.len() > CERTIFICATES_MAX {
            return Err(KeyRefused::TooLarge { limit: CERTIFICATES_MAX });
        }
        let (own, others): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|one| certificate::serial(one) == needed.serial);
        let [own] = own.as_slice() else { return Err(KeyRefused::Serial) };
        caller.check(own, &others, now)?;

        let signature = outer.sign.ok_or(malformed("sign"))?;
        let signature = decode_base64(signature.as_bytes()).ok_or(malformed("sign"))?;
        let is_signed = match outer.alipay_cert_sn.as_deref() {
            Some(named) if named.eq_ignore_ascii_case(&needed.serial) => {
                RsaVerifier::new("alipay_cert", own.key(), RsaHash::Sha256, named)
                    .is_ok_and(|key| key.verify(whole.get().as_bytes(), &signature, "answer").is_some())
            }
            Some(named) => self.verify_answer(named, whole.get().as_bytes(), &signature, now),
            None => false,
        };
        if !is_signed {
            return Err(KeyRefused::Signature);
        }
        let evidence = others.iter().map(Certificate::to_pem).collect::<String>().into_bytes();
        Ok(vec![fetched(own, evidence, now)?])
    }

    fn check(&self, key: &FetchedKey, now: Timestamp) -> Result<(), KeyRefused> {
        self.open_kept(key, now).map(drop)
    }

    fn with_keys(&self, keys: &[FetchedKey], now: Timestamp) -> Result<Arc<dyn Channel>, KeyRefused> {
        if keys.len() > FETCHED_KEYS_MAX {
            return Err(KeyRefused::TooLarge { limit: FETCHED_KEYS_MAX });
        }
        let mut prepared = Vec::new();
        let mut notes = Vec::new();
        for key in keys {
            let certificate = self.open_kept(key, now)?;
            notes.push(certificate_note("Alipay certificate, fetched", &certificate));
            let named = Named { serial: key.serial.clone(), valid: Some([key.not_before, key.not_after]) };
            let keys = RsaKeys::new("alipay_cert", Some(named), certificate.key(), self.config.keys.sign_types())
                .map_err(|_| KeyRefused::Malformed { field: "certificate" })?;
            prepared.push(keys);
        }
        Ok(Arc::new(Self { config: self.config.clone(), fetched: prepared.into(), fetched_notes: notes }))
    }

    /// Nothing to renew: the serial of the next certificate is not known before a message names it.
    fn renew_at(&self, _known: &[FetchedKey], _now: Timestamp) -> Option<Timestamp> {
        None
    }
}

impl Alipay {
    /// Checks a kept certificate once more, along the path that was kept with it.
    fn open_kept(&self, key: &FetchedKey, now: Timestamp) -> Result<Certificate, KeyRefused> {
        let caller = self.config.caller.as_ref().ok_or(KeyRefused::Issuer)?;
        if key.evidence.len() > ANSWER_BYTES_MAX {
            return Err(KeyRefused::TooLarge { limit: ANSWER_BYTES_MAX });
        }
        let certificate = Certificate::read("alipay_cert", key.certificate.as_bytes())
            .map_err(|_| KeyRefused::Malformed { field: "certificate" })?;
        if certificate::serial(&certificate) != key.serial {
            return Err(KeyRefused::Serial);
        }
        let others = Certificate::of_bundle(&key.evidence);
        if others.len() > CERTIFICATES_MAX {
            return Err(KeyRefused::TooLarge { limit: CERTIFICATES_MAX });
        }
        caller.check(&certificate, &others, now)?;
        let same = fetched(&certificate, key.evidence.clone(), key.fetched_at)?;
        if same == *key { Ok(certificate) } else { Err(KeyRefused::Malformed { field: "certificate" }) }
    }

    /// Whether a known certificate signed an answer.
    fn verify_answer(&self, serial: &str, message: &[u8], signature: &[u8], now: Timestamp) -> bool {
        let models = self.config.caller.iter().flat_map(|caller| &caller.models);
        let mut named =
            models.filter(|one| certificate::serial(one).eq_ignore_ascii_case(serial) && one.is_valid_at(now));
        named.any(|one| {
            RsaVerifier::new("alipay_cert", one.key(), RsaHash::Sha256, serial)
                .is_ok_and(|key| key.verify(message, signature, "answer").is_some())
        })
    }
}

impl Caller {
    /// Validity, path, and whose it is.
    fn check(&self, own: &Certificate, others: &[Certificate], now: Timestamp) -> Result<(), KeyRefused> {
        if !own.is_valid_at(now) {
            return Err(KeyRefused::Validity);
        }
        let intermediates = [others, self.models.as_slice()].concat();
        let found = own.description();
        let is_like = |model: &&Certificate| {
            let model = model.description();
            model.organization.is_some() && model.issuer == found.issuer && model.organization == found.organization
        };
        let is_ours = PublicKey::of_pair("private_key", &self.pair).is_ok_and(|key| key == *own.key());
        let is_alipays =
            !own.is_authority() && self.models.iter().filter(|one| !one.is_authority()).any(|one| is_like(&one));
        if is_ours || !is_alipays || !own.is_issued_under(&intermediates, &self.roots, now) {
            return Err(KeyRefused::Issuer);
        }
        Ok(())
    }
}

fn fetched(certificate: &Certificate, evidence: Vec<u8>, fetched_at: Timestamp) -> Result<FetchedKey, KeyRefused> {
    let description = certificate.description();
    let (Some(not_before), Some(not_after)) = (description.not_before, description.not_after) else {
        return Err(KeyRefused::Validity);
    };
    Ok(FetchedKey {
        serial: certificate::serial(certificate),
        certificate: certificate.to_pem(),
        evidence,
        not_before,
        not_after,
        fetched_at,
    })
}
