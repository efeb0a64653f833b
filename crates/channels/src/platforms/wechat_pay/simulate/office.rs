//! WeChat Pay's list of certificates, from the platform's side: it looks at the request's signature, seals each
//! certificate with the API v3 key, and signs the answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use super::{
    APPID, Arc, CONTENT_TYPE, Gcm, Genuine, JSON, MCHID, NONCE, RsaKeyPair, SERIAL, SIGNATURE, SIGNATURE_TYPE,
    STANDARD, SettingValue, Side, Story, TIMESTAMP, TYPE, Timestamp, WrittenSetting, Zeroizing, sign_sha256,
};
use crate::channel::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk};
use crate::platforms::wechat_pay::certificates::{ASSOCIATED, NOT_EXISTS, PATH};
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::simulate::certificate::{Draft, Name};
use crate::simulate::{Conduct, KeyOffice};
use base64::Engine as _;

const AUTHORITY: Name = Name { common: "Tenpay.com Root CA", unit: "Tenpay.com CA Center", organization: "Tenpay.com" };
const PLATFORM: Name = Name { common: "Tenpay.com sign", unit: "Tenpay.com CA Center", organization: "Tenpay.com" };
const MERCHANT: Name = Name { common: MCHID, unit: "demo", organization: "微信商户系统" };

/// The platform certificate's number, and one that nobody uses.
const NUMBER: u64 = 0x5157_F09E_FDC0_96DE;
const OTHER_NUMBER: u64 = NUMBER + 1;

/// The merchant's API certificate, as it is written in the settings.
const MERCHANT_SERIAL: &str = "3775B6A45ACD588826D15E583A95F5DD";

/// Hands out the certificate of its own key.
pub(super) struct Office {
    /// Signs callbacks and answers.
    side: Side,
    /// The merchant's.
    merchant: Arc<RsaKeyPair>,
    /// Somebody who has neither.
    stranger: Side,
}

impl Office {
    pub(super) fn new() -> Self {
        Self { side: Side::new(), merchant: Side::new().pair, stranger: Side::new() }
    }

    /// Whether the request is the merchant's ("signing and verifying", written here a second time).
    fn is_signed(&self, ask: &HttpAsk) -> bool {
        let header = ask.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let part = |name: &str| {
            let parts = header.strip_prefix("WECHATPAY2-SHA256-RSA2048 ")?.split(',');
            parts
                .filter_map(|part| part.split_once('='))
                .find(|(own, _)| *own == name)
                .map(|(_, v)| v.trim_matches('"'))
        };
        let parts = (part("mchid"), part("serial_no"), part("timestamp"), part("nonce_str"), part("signature"));
        let (Some(MCHID), Some(MERCHANT_SERIAL), Some(timestamp), Some(nonce), Some(signature)) = parts else {
            return false;
        };
        let message = format!("{} {PATH}\n{timestamp}\n{nonce}\n\n", ask.method).replacen(' ', "\n", 1);
        let key = PublicKey::of_pair("key", &self.merchant).expect("a generated key");
        let key = RsaVerifier::new("key", &key, RsaHash::Sha256, "merchant").expect("a generated key");
        STANDARD.decode(signature).is_ok_and(|signature| key.verify(message.as_bytes(), &signature, "v3").is_some())
    }

    fn certificate(&self, number: u64, holder: &Side, subject: Name, until: &str) -> String {
        let key = holder.public_key();
        let time = |text: &str| text.parse().expect("a constant time");
        let (not_before, not_after) = (time("2020-01-01T00:00:00Z"), time(until));
        let draft =
            Draft { serial: number, subject, key: &key, issuer: AUTHORITY, not_before, not_after, is_authority: false };
        // Nobody checks the authority's signature: no source names its key.
        draft.sign(&self.side.pair)
    }

    fn sealed(by: &Side, serial: &str, pem: &str) -> serde_json::Value {
        let nonce = b"cert-nonce-1";
        let cipher = Gcm::new(&by.api_v3_key()).expect("a key of 32 bytes");
        let boxed = cipher.close(nonce, ASSOCIATED.as_bytes(), pem.as_bytes()).expect("a short text can be sealed");
        json!({
            "serial_no": serial,
            "effective_time": "2020-01-01T08:00:00+08:00",
            "expire_time": "2049-12-31T08:00:00+08:00",
            "encrypt_certificate": {
                "algorithm": "AEAD_AES_256_GCM",
                "nonce": String::from_utf8_lossy(nonce),
                "associated_data": ASSOCIATED,
                "ciphertext": STANDARD.encode(boxed),
            },
        })
    }
}

/// How a certificate of this number goes by.
fn serial(number: u64) -> String {
    format!("40{number:016X}")
}

/// Later than any test.
const LATE: &str = "2049-12-31T00:00:00Z";

impl KeyOffice for Office {
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting> {
        let text =
            |name, text: &str| WrittenSetting { name, value: SettingValue::Text(text.to_owned()), file_name: None };
        let key = |name, bytes, file| WrittenSetting { name, value: SettingValue::Key(bytes), file_name: Some(file) };
        let merchant = Side { pair: self.merchant.clone() };
        let pem = Zeroizing::new(to_pem("PRIVATE KEY", &merchant.pkcs8()).into_bytes());
        vec![
            text("mchid", MCHID),
            WrittenSetting { name: "appid", value: SettingValue::Texts(vec![APPID.into()]), file_name: None },
            key("api_v3_key", Zeroizing::new(self.side.api_v3_key().to_vec()), "wechat_apiv3_key"),
            key("private_key", pem, "apiclient_key.pem"),
            text("merchant_serial_no", MERCHANT_SERIAL),
            text("api_base", base),
        ]
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.side.callback_under(story, &serial(NUMBER))
    }

    fn answer(&self, ask: &HttpAsk, now: Timestamp, conduct: Conduct) -> HttpAnswer {
        let plain = |status: StatusCode, body: &str| HttpAnswer {
            status: status.as_u16(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        match conduct {
            Conduct::Absent => {
                return plain(
                    StatusCode::NOT_FOUND,
                    &json!({ "code": NOT_EXISTS, "message": "无可用的平台证书" }).to_string(),
                );
            }
            Conduct::Broken => return plain(StatusCode::INTERNAL_SERVER_ERROR, r#"{"code":"SYSTEM_ERROR"}"#),
            Conduct::Garbage => return plain(StatusCode::OK, "<html>welcome</html>"),
            _ if !self.is_signed(ask) => return plain(StatusCode::UNAUTHORIZED, r#"{"code":"SIGN_ERROR"}"#),
            _ => {}
        }
        let (name, number, until, subject) = match conduct {
            Conduct::OtherSerial => (NUMBER, OTHER_NUMBER, LATE, PLATFORM),
            Conduct::Unasked => (OTHER_NUMBER, OTHER_NUMBER, LATE, PLATFORM),
            Conduct::Ended => (NUMBER, NUMBER, "2021-01-01T00:00:00Z", PLATFORM),
            Conduct::OtherParty => (NUMBER, NUMBER, LATE, MERCHANT),
            _ => (NUMBER, NUMBER, LATE, PLATFORM),
        };
        let sealer = if conduct == Conduct::Stranger { &self.stranger } else { &self.side };
        let signer =
            if matches!(conduct, Conduct::Stranger | Conduct::BadSignature) { &self.stranger } else { &self.side };
        let pem = self.certificate(number, sealer, subject, until);
        let mut body = json!({ "data": [Self::sealed(sealer, &serial(name), &pem)] }).to_string();
        match conduct {
            Conduct::Huge => body.push_str(&" ".repeat(ANSWER_BYTES_MAX)),
            Conduct::Cut => body.truncate(body.len() / 2),
            _ => {}
        }
        signed(signer, &serial(name), &body, now)
    }
}

/// An answer under the platform's signature.
fn signed(by: &Side, serial: &str, body: &str, now: Timestamp) -> HttpAnswer {
    let timestamp = now.as_second().to_string();
    let nonce = "9ca28e4e2a1d4c5f8a3b7d6e5f4a3b2c";
    let message = format!("{timestamp}\n{nonce}\n{body}\n");
    let signature = STANDARD.encode(sign_sha256(&by.pair, message.as_bytes()).expect("a generated key signs"));
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    let values = [(TIMESTAMP, timestamp.as_str()), (NONCE, nonce), (SERIAL, serial), (SIGNATURE, &signature)];
    for (name, value) in values.into_iter().chain([(TYPE, SIGNATURE_TYPE)]) {
        let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        headers.insert(name, HeaderValue::from_str(value).expect("a short ASCII text"));
    }
    HttpAnswer { status: 200, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
}
