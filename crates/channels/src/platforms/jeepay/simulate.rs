//! A jeepay installation: genuine notices with a throw-away secret.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use zeroize::Zeroizing;

use super::settings::Config;
use crate::form;
use crate::model::{Environment, EventKind, RawRequest, Timestamp};
use crate::platforms::joined::write_compact;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::digest::{DigestHash, HexCase};
use crate::simulate::{Carrier, Cover, Covered, Genuine, Mirror, OtherSide, PairCover, Story, WrittenSetting};

/// The invented merchant and application.
const MCH_NO: &str = "M1621873433953";
const APP_ID: &str = "60cc09bce4b0f1c0b8376100";

/// Characters of a secret, and the bytes that they come from.
const SECRET_CHARS: usize = 128;
const SECRET_BYTES: usize = SECRET_CHARS / 2;

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
];

/// A new other side with a fresh secret.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = Zeroizing::new([0; SECRET_BYTES]);
    aws_lc_rs::rand::fill(&mut *random).expect("the system has random bytes");
    let secret = Zeroizing::new(crate::signature::key::hex(&*random).into_bytes());
    Box::new(Side { mch_no: MCH_NO.to_owned(), app_id: APP_ID.to_owned(), secret })
}

/// The installation of a configured merchant.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    let Config { mch_no, app_id, .. } = Config::build(settings)?;
    let secret = settings.secret_line("app_secret")?.ok_or(SettingsError::new("app_secret", "missing"))?;
    Ok(Box::new(Side { mch_no, app_id, secret: Zeroizing::new(secret.to_vec()) }))
}

struct Side {
    mch_no: String,
    app_id: String,
    secret: Zeroizing<Vec<u8>>,
}

type Pairs = Vec<(&'static str, String)>;

impl Mirror for Side {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        request(story, &self.pairs(story), Carrier::Form)
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        self.written_settings()
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |settings, one| settings.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        vec![
            WrittenSetting { name: "mch_no", value: SettingValue::Text(self.mch_no.clone()), file_name: None },
            WrittenSetting { name: "app_id", value: SettingValue::Text(self.app_id.clone()), file_name: None },
            WrittenSetting {
                name: "app_secret",
                value: SettingValue::Key(self.secret.clone()),
                file_name: Some("jeepay_app_secret"),
            },
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    /// Odd serials come as a form, even ones as older builds send them.
    fn callback(&self, story: &Story) -> Genuine {
        let carrier = if story.serial % 2 == 1 { Carrier::Form } else { Carrier::Query };
        Genuine {
            request: request(story, &self.pairs(story), carrier),
            cover: Cover::Pairs(PairCover {
                carrier,
                covered: Covered::Joined { but: super::PROTOCOL.unsigned, empty_is_absent: true },
                signature: Some("sign"),
            }),
        }
    }

    fn export(&self) -> Vec<u8> {
        self.secret.to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        if exported.len() != SECRET_CHARS || !exported.iter().all(u8::is_ascii_hexdigit) {
            return Err("not a secret of 128 hexadecimal digits".to_owned());
        }
        self.secret = Zeroizing::new(exported.to_vec());
        Ok(())
    }
}

impl Side {
    /// The whole notice, signed.
    fn pairs(&self, story: &Story) -> Pairs {
        let at = millis(story.at);
        let state = match story.kind {
            EventKind::PaymentFailed | EventKind::RefundFailed | EventKind::TransferFailed => "3",
            EventKind::PaymentClosed => "6",
            _ => "2",
        };
        let mut pairs: Pairs = vec![
            ("mchNo", self.mch_no.clone()),
            ("appId", self.app_id.clone()),
            ("currency", "cny".into()),
            ("state", state.into()),
            ("channelOrderNo", format!("4200{:014}", number(&story.order_no))),
            ("extParam", story.note.clone()),
            ("createdAt", at.clone()),
            // Each notice is written at a time of its own.
            ("reqTime", (story.at.as_millisecond() + story.serial.cast_signed()).to_string()),
        ];
        if state == "2" {
            pairs.push(("successTime", at));
        } else {
            pairs.extend([("errCode", "NOTENOUGH".into()), ("errMsg", "余额不足 & 100%".into())]);
        }
        match story.kind {
            EventKind::RefundSucceeded | EventKind::RefundFailed => refund(&mut pairs, story),
            EventKind::TransferSucceeded | EventKind::TransferFailed => transfer(&mut pairs, story),
            _ => payment(&mut pairs, story),
        }
        pairs.push(("sign", self.sign(&pairs)));
        pairs
    }

    /// Written here a second time, so that the tests compare two readings of the rule.
    fn sign(&self, pairs: &Pairs) -> String {
        let mut texts: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={value}&"))
            .collect();
        texts.sort_by_key(|text| text.to_ascii_lowercase());
        DigestHash::Md5.hex_of(&[texts.concat().as_bytes(), b"key=", &self.secret], HexCase::Upper)
    }
}

fn payment(pairs: &mut Pairs, story: &Story) {
    pairs.extend([
        ("payOrderId", payment_id(story)),
        ("mchOrderNo", story.order_no.clone()),
        ("ifCode", "wxpay".into()),
        ("wayCode", "WX_JSAPI".into()),
        ("amount", story.amount_minor.to_string()),
        ("clientIp", "192.0.2.1".into()),
        ("subject", "演示商品 A&B 100%".into()),
        ("body", story.note.clone()),
    ]);
}

fn refund(pairs: &mut Pairs, story: &Story) {
    let ours = story.refund_no.clone().unwrap_or_else(|| format!("{}-R{}", story.order_no, story.refunded_minor));
    pairs.extend([
        ("refundOrderId", format!("R{}{:014}", day(story), number(&ours))),
        ("payOrderId", payment_id(story)),
        ("mchRefundNo", ours),
        ("payAmount", story.amount_minor.to_string()),
        ("refundAmount", story.refunded_minor.to_string()),
    ]);
}

fn transfer(pairs: &mut Pairs, story: &Story) {
    pairs.extend([
        ("transferId", format!("T{}{:014}", day(story), number(&story.order_no))),
        ("mchOrderNo", story.order_no.clone()),
        ("ifCode", "alipay".into()),
        ("entryType", "ALIPAY_CASH".into()),
        ("amount", story.amount_minor.to_string()),
        ("accountNo", "buyer@example.com".into()),
        ("accountName", "张三".into()),
        ("bankName", "招商银行".into()),
        ("transferDesc", story.note.clone()),
        ("channelExtra", "{\"a\":\"1\"}".into()),
    ]);
}

fn payment_id(story: &Story) -> String {
    format!("P{}{:014}", day(story), number(&story.order_no))
}

fn request(story: &Story, pairs: &Pairs, carrier: Carrier) -> RawRequest {
    let text = form::encode(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("Java/1.8"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    let (query, body) = if carrier == Carrier::Query {
        (Some(String::from_utf8_lossy(&text).into_owned()), Bytes::new())
    } else {
        (None, Bytes::from(text))
    };
    RawRequest {
        method: Method::POST,
        path: "/notify/jeepay".into(),
        query,
        headers,
        body,
        source: None,
        received_at: story.at,
    }
}

fn millis(at: Timestamp) -> String {
    at.as_millisecond().to_string()
}

/// The Beijing day, with which jeepay's numbers begin.
fn day(story: &Story) -> String {
    write_compact(story.at)[..8].to_owned()
}

/// A number from another number, so that one order has one payment.
fn number(text: &str) -> u64 {
    let digest = DigestHash::Sha256.of(&[text.as_bytes()]);
    digest.iter().take(5).fold(0, |number, byte| number << 8 | u64::from(*byte)) % 100_000_000_000_000
}
