//! UnionPay's side: genuine notices under throw-away certificates, in the wire format of real ones.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::facts::write_time;
use crate::form;
use crate::model::{Environment, EventKind, RawRequest, Timestamp};
use crate::settings::{SettingValue, Settings};
use crate::signature::key::{PublicKey, hex};
use crate::signature::rsa::sign_sha256;
use crate::simulate::certificate::{Draft, Name};
use crate::simulate::{Carrier, Cover, Covered, Genuine, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant; real numbers of tests begin with 777290058.
const MER_ID: &str = "777290059000001";

const ROOT: Name = Name { common: "SIMULATED CS CA", unit: "Simulator", organization: "Simulated Authority" };
const MIDDLE: Name = Name { common: "SIMULATED OCA1", unit: "Simulator", organization: "Simulated Authority" };
/// UnionPay's name as it stands in its certificates.
const LEAF: Name = Name {
    common: "041@8310000000083040@中国银联股份有限公司@00000001",
    unit: "Simulator",
    organization: "Simulated Authority",
};

/// When the invented certificates begin and end.
const NOT_BEFORE: &str = "2000-01-01T00:00:00Z";
const NOT_AFTER: &str = "2049-12-31T23:59:59Z";

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentAuthorized,
    EventKind::PaymentPending,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::TransferSucceeded,
    EventKind::Other,
];

/// A new other side with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    Box::new(Side::new())
}

/// One key pair plays the root, the middle and the signer, so that one export carries all of it.
struct Side {
    pair: Arc<RsaKeyPair>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let file = |name, pem: String, file| WrittenSetting {
            name,
            value: SettingValue::Key(Zeroizing::new(pem.into_bytes())),
            file_name: Some(file),
        };
        vec![
            WrittenSetting { name: "mer_id", value: SettingValue::Texts(vec![MER_ID.into()]), file_name: None },
            file("root_cert", self.certificate(1, ROOT, ROOT), "unionpay_root.cer"),
            file("middle_cert", self.certificate(2, MIDDLE, ROOT), "unionpay_middle.cer"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let mut pairs = self.envelope(story);
        match story.kind {
            EventKind::Other => opened_token(&mut pairs, story),
            _ => transaction(&mut pairs, story),
        }
        if !story.note.is_empty() {
            pairs.push(("reqReserved", story.note.clone()));
        }
        let signature = self.sign(&pairs);
        pairs.push(("signature", signature));
        let body = form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        Genuine {
            request: request(story, body),
            cover: Cover::Pairs(PairCover {
                carrier: Carrier::Form,
                // A verifier tries the text with blank values and the ones without, so an empty pair that is added or
                // dropped changes nothing, and nothing is what it says.
                covered: Covered::Joined { but: &["signature"], empty_is_absent: true },
                signature: Some("signature"),
            }),
        }
    }

    fn export(&self) -> Vec<u8> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a generated key can be written");
        der.as_ref().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let pair = RsaKeyPair::from_pkcs8(exported).map_err(|_| "not an RSA private key in PKCS #8".to_owned())?;
        self.pair = Arc::new(pair);
        Ok(())
    }
}

type Pairs = Vec<(&'static str, String)>;

impl Side {
    /// With fresh keys.
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("the library makes RSA keys of 2048 bits");
        Self { pair: Arc::new(pair) }
    }

    fn certificate(&self, serial: u64, subject: Name, issuer: Name) -> String {
        let key = PublicKey::of_pair("root_cert", &self.pair).expect("a generated key has a public half");
        let at = |text: &str| text.parse::<Timestamp>().expect("a constant time");
        let is_authority = serial < 3;
        let draft = Draft {
            serial,
            subject,
            key: &key,
            issuer,
            not_before: at(NOT_BEFORE),
            not_after: at(NOT_AFTER),
            is_authority,
        };
        draft.sign(&self.pair)
    }

    fn envelope(&self, story: &Story) -> Pairs {
        // Lines of a certificate end as in the text files of another system, and stay so under the signature.
        let certificate = self.certificate(3, LEAF, MIDDLE).replace('\n', "\r\n");
        vec![
            ("version", "5.1.0".into()),
            ("encoding", "UTF-8".into()),
            ("signMethod", "01".into()),
            ("signPubKeyCert", certificate.trim_end().to_owned()),
            ("bizType", if story.kind == EventKind::TransferSucceeded { "000401".into() } else { "000201".into() }),
            ("accessType", "0".into()),
            ("merId", MER_ID.into()),
            ("txnTime", write_time(story.at)),
            ("respMsg", "成功[0000000]".into()),
            // Tells one notice from another, where nothing else does.
            ("traceNo", format!("{:06}", story.serial % 1_000_000)),
            ("traceTime", write_time(story.at)[4..].to_owned()),
        ]
    }

    /// Signs the digest's digits, written here a second time so that the tests compare two readings of the rule.
    fn sign(&self, pairs: &[(&'static str, String)]) -> String {
        let mut sorted: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        sorted.sort_by(|a, b| a.split('=').next().cmp(&b.split('=').next()));
        let hashed = hex(digest(&SHA256, sorted.join("&").as_bytes()).as_ref());
        let signature = sign_sha256(&self.pair, hashed.as_bytes()).expect("a generated key signs");
        STANDARD.encode(signature)
    }
}

fn transaction(pairs: &mut Pairs, story: &Story) {
    let (kind, code) = match story.kind {
        EventKind::PaymentAuthorized => ("02", "00"),
        EventKind::PaymentPending => ("01", "03"),
        EventKind::PaymentClosed => ("32", "00"),
        EventKind::RefundSucceeded => ("04", "00"),
        EventKind::TransferSucceeded => ("12", "00"),
        _ => ("01", "00"),
    };
    let paid = query_id(story, "paid");
    let (order, amount, query) = match story.kind {
        EventKind::RefundSucceeded => {
            let number = story.refund_no.clone().unwrap_or_else(|| format!("R{}", story.order_no));
            let query = query_id(story, &number);
            (number, story.refunded_minor, query)
        }
        EventKind::PaymentClosed => (format!("C{}", story.order_no), story.amount_minor, query_id(story, "closed")),
        _ => (story.order_no.clone(), story.amount_minor, paid.clone()),
    };
    if matches!(story.kind, EventKind::RefundSucceeded | EventKind::PaymentClosed) {
        pairs.push(("origQryId", paid));
    }
    pairs.extend([
        ("txnType", kind.into()),
        ("txnSubType", "01".into()),
        ("orderId", order),
        ("queryId", query),
        ("txnAmt", amount.to_string()),
        ("currencyCode", "156".into()),
        ("settleAmt", amount.to_string()),
        ("settleCurrencyCode", "156".into()),
        ("settleDate", write_time(story.at)[4..8].to_owned()),
        ("respCode", code.into()),
        ("accNo", "6216***********0018".into()),
        ("payCardType", "01".into()),
        ("payType", "0001".into()),
    ]);
}

/// A card that was opened for payments by token: no money, and no number of the platform's.
fn opened_token(pairs: &mut Pairs, story: &Story) {
    pairs.extend([
        ("txnType", "79".into()),
        ("txnSubType", "00".into()),
        ("orderId", story.order_no.clone()),
        ("respCode", "00".into()),
        ("activateStatus", "1".into()),
        ("tokenPayData", "{token=6235240000020757577&trId=62000000001&tokenType=01&tokenLevel=10}".into()),
    ]);
}

fn request(story: &Story, body: Vec<u8>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Mozilla/4.0"));
    RawRequest {
        method: Method::POST,
        path: "/notify/unionpay".into(),
        query: None,
        headers,
        body: Bytes::from(body),
        source: None,
        received_at: story.at,
    }
}

/// The platform's number of a transaction of an order: 21 digits that begin with the day.
fn query_id(story: &Story, which: &str) -> String {
    let hash = digest(&SHA256, format!("{}/{which}", story.order_no).as_bytes());
    let digits: String = hash.as_ref().iter().take(13).map(|byte| char::from(b'0' + byte % 10)).collect();
    format!("{}{digits}", &write_time(story.at)[..8])
}
