//! Yeepay's side: genuine callbacks with throw-away keys, in the wire format of real ones.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use jiff::Timestamp;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::envelope::KEY_BYTES;
use super::facts::write_time;
use super::{APP, RESPONSE};
use crate::cipher::seal_aes_ecb;
use crate::form;
use crate::model::{Currency, Environment, EventKind, Money, RawRequest};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, TAG_INTEGER, TAG_OCTET_STRING, TAG_SEQUENCE, Tlv, tlv, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::simulate::{Carrier, Cover, Covered, Genuine, OtherSide, PairCover, Story, WrittenSetting};

/// The invented application and merchant.
const APP_KEY: &str = "app_10000000000000001";
const MERCHANT_NO: &str = "10000000001";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentFailed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let generate = || RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
    Box::new(Side { platform: Arc::new(generate()), merchant: Arc::new(generate()) })
}

struct Side {
    /// Signs.
    platform: Arc<RsaKeyPair>,
    /// The merchant's, whose private half opens.
    merchant: Arc<RsaKeyPair>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let public =
            PublicKey::of_pair("yeepay_public_key", &self.platform).expect("a generated key has a public half");
        let private = to_pem("PRIVATE KEY", &pkcs8(&self.merchant));
        let key = |name, pem: String, file| WrittenSetting {
            name,
            value: SettingValue::Key(Zeroizing::new(pem.into_bytes())),
            file_name: Some(file),
        };
        let merchants = SettingValue::Texts(vec![MERCHANT_NO.into()]);
        vec![
            WrittenSetting { name: "app_key", value: SettingValue::Text(APP_KEY.into()), file_name: None },
            WrittenSetting { name: "merchant_no", value: merchants, file_name: None },
            key("merchant_private_key", private, "yeepay_app_private.pem"),
            key("yeepay_public_key", public.to_pem(), "yeepay_public.pem"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let json = message(story).to_string();
        let signature = sign_sha256(&self.platform, json.as_bytes()).expect("a generated key signs");
        let plaintext = format!("{json}${}", URL_SAFE_NO_PAD.encode(signature));
        let key = symmetric_key(&json);
        let ciphertext = seal_aes_ecb(&key, plaintext.as_bytes()).expect("a key of 16 bytes");
        let parts = [URL_SAFE_NO_PAD.encode(self.seal_key(&key)), URL_SAFE_NO_PAD.encode(ciphertext)];
        let response = format!("{}${}$AES$SHA256", parts[0], parts[1]);
        let pairs = [(APP, APP_KEY), (RESPONSE, &response)];
        let body = form::encode(pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        Genuine {
            request: request(story.at, body),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Form,
                covered: Covered::Each(&[RESPONSE]),
                signature: None,
            }),
        }
    }

    /// Both private halves in one shape that tells itself from a public key: a version and two octet strings.
    fn export(&self) -> Vec<u8> {
        let key = |pair| tlv(TAG_OCTET_STRING, &pkcs8(pair));
        tlv(TAG_SEQUENCE, &[tlv(TAG_INTEGER, &[0]), key(&self.platform), key(&self.merchant)].concat())
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let wrong = || "not two RSA private keys in PKCS #8".to_owned();
        let (platform, merchant) = read_export(exported).ok_or_else(wrong)?;
        (self.platform, self.merchant) = (Arc::new(platform), Arc::new(merchant));
        Ok(())
    }
}

impl Side {
    fn seal_key(&self, key: &[u8]) -> Vec<u8> {
        let public = PublicKey::of_pair("merchant_private_key", &self.merchant).expect("a generated key");
        let public = PublicEncryptingKey::from_der(public.spki()).expect("a public key of 2048 bits");
        let public = Pkcs1PublicEncryptingKey::new(public).expect("an RSA key");
        let mut sealed = vec![0; public.ciphertext_size()];
        public.encrypt(key, &mut sealed).expect("a short text can be sealed").to_vec()
    }
}

fn read_export(exported: &[u8]) -> Option<(RsaKeyPair, RsaKeyPair)> {
    let outer = Tlv::read(exported).filter(|tlv| tlv.tag == TAG_SEQUENCE && tlv.rest.is_empty())?;
    let version = Tlv::read(outer.content)?;
    let platform = Tlv::read(version.rest)?;
    let merchant = Tlv::read(platform.rest)?;
    let read = |tlv: &Tlv<'_>| RsaKeyPair::from_pkcs8(tlv.content).ok();
    Some((read(&platform)?, read(&merchant)?))
}

fn pkcs8(pair: &RsaKeyPair) -> Zeroizing<Vec<u8>> {
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a generated key can be written");
    Zeroizing::new(der.as_ref().to_vec())
}

/// A key for one callback. Nothing here is secret.
fn symmetric_key(json: &str) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key.copy_from_slice(&digest(&SHA256, json.as_bytes()).as_ref()[..KEY_BYTES]);
    key
}

fn message(story: &Story) -> Value {
    let is_refund = matches!(story.kind, EventKind::RefundSucceeded | EventKind::RefundFailed);
    let status = match story.kind {
        EventKind::PaymentFailed | EventKind::RefundFailed => "FAILED",
        EventKind::PaymentPending => "PROCESSING",
        _ => "SUCCESS",
    };
    // A callback has no number of its own, so another telling has another time.
    let seconds = i64::try_from(story.serial.saturating_sub(1)).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(story.at.as_second().saturating_add(seconds)).unwrap_or(story.at);
    let mut message = json!({
        "parentMerchantNo": MERCHANT_NO,
        "merchantNo": MERCHANT_NO,
        "orderId": story.order_no,
        "uniqueOrderNo": format!("1001{:020}", number(&story.order_no)),
        "status": status,
    });
    if is_refund {
        let refund_no = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
        message["uniqueRefundNo"] = json!(format!("1002{:020}", number(&refund_no)));
        message["refundRequestId"] = json!(refund_no);
        message["refundAmount"] = json!(yuan(story.refunded_minor));
        message["refundSuccessDate"] = json!(write_time(at));
    } else {
        message["orderAmount"] = json!(yuan(story.amount_minor));
        message["paySuccessDate"] = json!(write_time(at));
    }
    if !story.note.is_empty() {
        message["memo"] = json!(story.note);
    }
    message
}

fn request(at: Timestamp, body: Vec<u8>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Apache-HttpClient/4.5.6 (Java/1.8.0_181)"));
    RawRequest {
        method: Method::POST,
        path: "/notify/yeepay".into(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: at,
    }
}

fn yuan(minor: i64) -> String {
    Money { minor, currency: Currency::CNY }.to_text()
}

/// A number from a merchant's number, so that one order has one payment.
fn number(name: &str) -> u64 {
    let name = digest(&SHA256, name.as_bytes());
    name.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
