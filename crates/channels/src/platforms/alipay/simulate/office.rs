//! Alipay's certificate download, from the platform's side: it looks at the request's signature, hands out the
//! certificate of its new key with the authority between it and the root, and signs the answer with that key.

use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;

use super::{
    APP_ID, Arc, Genuine, OtherSide as _, PublicKey, RsaKeyPair, SELLER_ID, STANDARD, SettingValue, Side, Story,
    WrittenSetting, Zeroizing, sign_sha256,
};
use crate::channel::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk};
use crate::form::{Form, Limits};
use crate::model::Timestamp;
use crate::platforms::alipay::certificate;
use crate::platforms::alipay::download::{FAILED, METHOD};
use crate::signature::key::to_pem;
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;
use crate::simulate::certificate::{Draft, Name};
use crate::simulate::{Conduct, KeyOffice};

const ROOT: Name = Name { common: "Ant Financial Certification Authority R1", organization: "Ant Financial" };
const AUTHORITY: Name =
    Name { common: "Ant Financial Certification Authority Class 2 R1", organization: "Ant Financial" };
const PLATFORM: Name = Name {
    common: "支付宝(中国)网络技术有限公司", organization: "支付宝(中国)网络技术有限公司"
};
const MERCHANT: Name = Name { common: APP_ID, organization: "演示商户" };

/// The numbers of the certificates.
const ROOT_NUMBER: u64 = 1;
const AUTHORITY_NUMBER: u64 = 2;
const OLD_NUMBER: u64 = 3;
const NEW_NUMBER: u64 = 4;
const APP_NUMBER: u64 = 5;
const OTHER_NUMBER: u64 = 6;

/// Later than any test.
const LATE: &str = "2049-12-31T00:00:00Z";

/// Hands out the certificate of its new key.
pub(super) struct Office {
    root: Arc<RsaKeyPair>,
    authority: Arc<RsaKeyPair>,
    /// What the merchant has configured.
    old: Side,
    /// What callbacks are signed with now.
    new: Side,
    /// The merchant's application.
    app: Side,
    /// Somebody with a root and an authority of the same names.
    stranger: Side,
}

impl Office {
    pub(super) fn new() -> Self {
        Self {
            root: Side::new().pair,
            authority: Side::new().pair,
            old: Side::new(),
            new: Side::new(),
            app: Side::new(),
            stranger: Side::new(),
        }
    }

    fn root_pem(&self) -> String {
        issue(ROOT_NUMBER, &self.root, ROOT, (&self.root, ROOT), LATE, true)
    }

    fn leaf(&self, number: u64, of: &Side, subject: Name, until: &str) -> String {
        issue(number, &of.pair, subject, (&self.authority, AUTHORITY), until, false)
    }

    fn new_serial(&self) -> String {
        serial(&self.leaf(NEW_NUMBER, &self.new, PLATFORM, LATE))
    }

    /// Whether the request is the application's: every field but `sign`, sorted.
    fn is_signed(&self, form: &Form<'_>) -> bool {
        let field = |name| form.present_ascii(name).unwrap_or_default().to_owned();
        let mut pairs: Vec<String> = form
            .pairs()
            .iter()
            .filter(|pair| &*pair.name != b"sign")
            .map(|pair| format!("{}={}", String::from_utf8_lossy(&pair.name), String::from_utf8_lossy(&pair.value)))
            .collect();
        pairs.sort_unstable();
        let key = PublicKey::of_pair("key", &self.app.pair).expect("a generated key");
        let key = RsaVerifier::new("key", &key, RsaHash::Sha256, "app").expect("a generated key");
        let signature = STANDARD.decode(field("sign")).unwrap_or_default();
        field("method") == METHOD
            && field("app_id") == APP_ID
            && field("app_cert_sn") == serial(&self.leaf(APP_NUMBER, &self.app, MERCHANT, LATE))
            && field("alipay_root_cert_sn") == serial(&self.root_pem())
            && key.verify(pairs.join("&").as_bytes(), &signature, "request").is_some()
    }
}

/// A certificate for a key.
fn issue(
    number: u64,
    of: &RsaKeyPair,
    subject: Name,
    by: (&RsaKeyPair, Name),
    until: &str,
    is_authority: bool,
) -> String {
    let key = PublicKey::of_pair("key", of).expect("a generated key");
    let time = |text: &str| text.parse().expect("a constant time");
    let (not_before, not_after) = (time("2020-01-01T00:00:00Z"), time(until));
    Draft { serial: number, subject, key: &key, issuer: by.1, not_before, not_after, is_authority }.sign(by.0)
}

/// The certificate between the root and those of the platform.
fn authority_pem(of: &RsaKeyPair, by: &RsaKeyPair) -> String {
    issue(AUTHORITY_NUMBER, of, AUTHORITY, (by, ROOT), LATE, true)
}

fn serial(pem: &str) -> String {
    certificate::serial(&Certificate::read("cert", pem.as_bytes()).expect("a certificate"))
}

impl KeyOffice for Office {
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting> {
        let text =
            |name, text: &str| WrittenSetting { name, value: SettingValue::Text(text.to_owned()), file_name: None };
        let key = |name, pem: String, file| WrittenSetting {
            name,
            value: SettingValue::Key(Zeroizing::new(pem.into_bytes())),
            file_name: Some(file),
        };
        vec![
            text("app_id", APP_ID),
            WrittenSetting { name: "seller_id", value: SettingValue::Texts(vec![SELLER_ID.into()]), file_name: None },
            key("alipay_cert", self.leaf(OLD_NUMBER, &self.old, PLATFORM, LATE), "alipayCertPublicKey_RSA2.crt"),
            key("alipay_root_cert", self.root_pem(), "alipayRootCert.crt"),
            key("app_cert", self.leaf(APP_NUMBER, &self.app, MERCHANT, LATE), "appCertPublicKey.crt"),
            key("private_key", to_pem("PRIVATE KEY", &Zeroizing::new(self.app.export())), "app_private.pem"),
            text("api_base", base),
        ]
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.new.callback_under(story, Some(&self.new_serial()))
    }

    fn answer(&self, ask: &HttpAsk, _now: Timestamp, conduct: Conduct) -> HttpAnswer {
        let form = Form::parse(&ask.body, Limits { bytes_max: ANSWER_BYTES_MAX, pairs_max: 64 }).ok();
        let failure = |code: &str| json!({ "code": code, "msg": "失败", "sub_code": "isv.demo" });
        let response = match conduct {
            Conduct::Broken => return plain(500, "Internal Server Error"),
            Conduct::Garbage => return plain(200, "<html>welcome</html>"),
            Conduct::Absent => failure(FAILED),
            _ if !form.is_some_and(|form| self.is_signed(&form)) => failure("40002"),
            _ => {
                let (number, until, subject) = match conduct {
                    Conduct::OtherSerial => (OTHER_NUMBER, LATE, PLATFORM),
                    Conduct::Ended => (NEW_NUMBER, "2021-01-01T00:00:00Z", PLATFORM),
                    Conduct::OtherParty => (NEW_NUMBER, LATE, MERCHANT),
                    _ => (NEW_NUMBER, LATE, PLATFORM),
                };
                let content = match conduct {
                    Conduct::Unasked => self.leaf(OLD_NUMBER, &self.old, PLATFORM, LATE),
                    Conduct::Stranger => {
                        let stranger = &self.stranger.pair;
                        let by = (&**stranger, AUTHORITY);
                        issue(number, stranger, subject, by, until, false) + &authority_pem(stranger, stranger)
                    }
                    _ => self.leaf(number, &self.new, subject, until) + &authority_pem(&self.authority, &self.root),
                };
                json!({ "code": "10000", "msg": "Success", "alipay_cert_content": STANDARD.encode(content) })
            }
        };
        let response = response.to_string();
        let signer = match conduct {
            Conduct::Stranger | Conduct::BadSignature => &self.stranger,
            Conduct::Unasked => &self.old,
            _ => &self.new,
        };
        let sign = STANDARD.encode(sign_sha256(&signer.pair, response.as_bytes()).expect("a generated key signs"));
        let name = METHOD.replace('.', "_");
        let serial = self.new_serial();
        let mut body =
            format!("{{\"{name}_response\":{response},\"alipay_cert_sn\":\"{serial}\",\"sign\":\"{sign}\"}}");
        match conduct {
            Conduct::Huge => body.push_str(&" ".repeat(ANSWER_BYTES_MAX)),
            Conduct::Cut => body.truncate(body.len() / 2),
            _ => {}
        }
        plain(200, &body)
    }
}

fn plain(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
}
