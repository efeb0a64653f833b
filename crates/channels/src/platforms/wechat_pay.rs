//! WeChat Pay 微信支付, API v3: notifications to the `notify_url` of a payment, refund or transfer.
//!
//! The signature covers two headers and the raw body, so the body is checked as it came, and only then
//! parsed and decrypted. Sources: WeChat Pay merchant documents, "callback notifications" and "signing and
//! verifying"; the official SDKs' notification validators.
//!
//! The merchant's ids are inside the encrypted resource, so a message for somebody else is found out after it
//! is proven: it is held, not refused. Nothing of the URL takes part: a notify URL has no query.

mod certificates;
mod envelope;
mod facts;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::envelope::Envelope;
use self::resigned::WechatResigner;
use self::settings::{Config, SETTINGS};
use super::failure::says_failure;
use super::signed_body::keys::{Keys, normal_serial};
pub use super::signed_body::{BODY_BYTES_MAX, NONCE_BYTES_MAX, WINDOW_SECONDS};
use super::signed_body::{Headers, JSON, SignedBody, check_outside, header, is_fail};
use super::{Platform, ladder};
use crate::channel::{
    Answer, Channel, Failure, KeyNote, KeyRequest, KeySource, Ladder, Likeness, Rejection, Verdict, quote,
};
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::rsa::RsaVerifier;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "wechat_pay",
    family: FAMILY,
    name: Text { en: "WeChat Pay", zh: "微信支付" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(PATIENCE),
    freshness: Some(Duration::from_secs(WINDOW_SECONDS.unsigned_abs())),
    source_ranges: SOURCE_RANGES,
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: None,
};

/// The family within which identities are shared.
const FAMILY: &str = "wechat_pay";

/// The documented body of a failure; what counts is the status.
const FAIL: &str = r#"{"code":"FAIL","message":"失败"}"#;

/// How a deliberate test begins in place of a signature (WeChat Pay, "callback notifications").
const PROBE: &str = "WECHATPAY/SIGNTEST/";

/// The only signature that is accepted; also meant when the header is missing (official Go SDK).
const SIGNATURE_TYPE: &str = "WECHATPAY2-SHA256-RSA2048";

const SIGNATURE: &str = "Wechatpay-Signature";
const TIMESTAMP: &str = "Wechatpay-Timestamp";
const NONCE: &str = "Wechatpay-Nonce";
static HEADERS: Headers = Headers { timestamp: TIMESTAMP, nonce: NONCE, signature: SIGNATURE };
const SERIAL: &str = "Wechatpay-Serial";
const TYPE: &str = "Wechatpay-Signature-Type";

/// How long an answer may take (WeChat Pay, "callback notifications").
const PATIENCE: Duration = Duration::from_secs(5);

/// Gaps between attempts (WeChat Pay, "callback notifications"): 15 in 24 hours and 4 minutes. Transfers that
/// a user confirms follow a denser plan of their own.
const LADDER: Ladder = ladder::DAY;

/// Outbound addresses as WeChat Pay publishes them for firewalls; a hint that proves nothing.
const SOURCE_RANGES: &[&str] = &[
    "101.226.103.0/25",
    "140.207.54.0/25",
    "121.51.58.128/25",
    "183.3.234.0/25",
    "58.251.80.0/25",
    "121.51.30.128/25",
    "203.205.219.128/25",
    "81.71.199.64/32",
    "81.71.198.25/32",
    "81.71.199.59/32",
    "175.24.214.208/32",
    "175.24.211.24/32",
    "175.24.213.135/32",
    "109.244.180.23/32",
    "114.132.203.119/32",
    "43.139.43.69/32",
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "whether a 200 with code FAIL stops the repetition; we never send one, and a script's counts as a failure",
        zh: "状态 200 而 code 为 FAIL 时是否停止重发；本网关从不这样应答，脚本这样应答视为失败",
    },
    Text {
        en: "how a refused probe (`WECHATPAY/SIGNTEST/`) is rated: the documents disagree; it is refused with 401 and \
             raises no alarm",
        zh: "拒绝签名探测（`WECHATPAY/SIGNTEST/`）如何评价：文档说法不一；一律以 401 拒绝，不触发攻击告警",
    },
    Text {
        en: "the SM2/SM3/SM4 variant is not open to ordinary merchants and its user id is not confirmed; it is refused",
        zh: "国密（SM2/SM3/SM4）变体未对普通商户开放，用户标识未确认；一律拒绝",
    },
    Text {
        en: "which authority issues platform certificates; a downloaded one is believed by the seal of the APIv3 key, the \
             answer's signature and its serial",
        zh: "平台证书由哪个机构签发；下载的证书以 APIv3 密钥的加密、应答签名与序列号为准",
    },
    Text {
        en: "notices of other products that tell of money (`RECHARGE`, `MALL_TRANSACTION`, `MALL_REFUND`, `DISCOUNT_CARD`, \
             `MEDICAL_INSURANCE`): no fields are confirmed, so the known words are kept as `other` with all that they \
             say, and a new word is held",
        zh: "其他涉及资金的产品通知（`RECHARGE`、`MALL_TRANSACTION`、`MALL_REFUND`、`DISCOUNT_CARD`、`MEDICAL_INSURANCE`）：\
             字段未确认，已知事件按 `other` 保存全部内容，新出现的事件会被挂起",
    },
    Text {
        en: "the fields of contracts, complaints, credit-score orders, school deductions and batches are read as the pages of \
             each product show them; what does not fit is kept as `other` or held",
        zh: "签约、投诉、支付分、校园代扣、批量转账的字段以各产品文档为准读取；不相符的按 `other` 保存或挂起",
    },
    Text {
        en: "what a changed contract (`ENTRUST.SIGNING`, `RELEASE`, `TERMINATE_RETENTION`, `RENEW`) means for its state; they \
             are kept as `other`",
        zh: "`ENTRUST.SIGNING`、`RELEASE`、`TERMINATE_RETENTION`、`RENEW` 对协议状态的含义；按 `other` 保存",
    },
    Text {
        en: "whether a complaint that the merchant calls settled (`MERCHANT_CONFIRM_COMPLETE`) stays so: it is closed, and a \
             later step shows as an update",
        zh: "商户反馈处理完成（`MERCHANT_CONFIRM_COMPLETE`）后投诉是否不再变化：视为关闭，之后的动作作为更新",
    },
    Text {
        en: "the direction of a share that comes by a payment's word (`TRANSACTION.SUCCESS` with a share inside): it is kept as \
             `other`",
        zh: "以 `TRANSACTION.SUCCESS` 发来的分账动账通知不含方向（分账还是回退）；按 `other` 保存",
    },
    Text {
        en: "the fields of profit sharing notifications; when a number, receiver, time or amount is missing they are held",
        zh: "分账通知的字段；缺少单号、接收方、时间或金额时会被挂起",
    },
    Text {
        en: "whether a repaid deduction (`TRANSACTION.PAY_BACK`) always has a payment number; without one it is held",
        zh: "代扣补缴（`TRANSACTION.PAY_BACK`）是否总有微信支付订单号；没有时会被挂起",
    },
    Text {
        en: "the name of the amount in combined orders: both `total_amount` and `total` are read",
        zh: "合单子单的金额字段名：`total_amount` 与 `total` 都会读取",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    let config = Arc::new(Config::build(settings)?);
    Ok(Box::new(WechatPay { config, fetched: Keys::of(Vec::new()), fetched_notes: Vec::new() }))
}

/// A configured WeChat Pay channel.
#[derive(Debug)]
struct WechatPay {
    config: Arc<Config>,
    /// Keys that the platform gave, beside the configured ones.
    fetched: Keys,
    fetched_notes: Vec<KeyNote>,
}

impl Channel for WechatPay {
    /// The only name of the merchant outside the encrypted part is the key's serial.
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(SIGNATURE) {
            return Likeness::No;
        }
        if Envelope::parse(&request.body).is_err() {
            return Likeness::No;
        }
        let is_known = request.single_header(SERIAL).is_some_and(|serial| self.knows(serial));
        if is_known { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        let (verified, signed_at) = match self.check_signature(request, now) {
            Ok(checked) => checked,
            Err(Stop::Refused(rejection)) => return Verdict::Refused(rejection),
            Err(Stop::NeedsKey(request)) => return Verdict::NeedsKey(request),
        };
        match self.read(&request.body, signed_at) {
            Ok(notification) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    /// Success is a status without a body, as the documents allow: nothing is left to be misread.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 204, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(401, JSON, FAIL.as_bytes()),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, JSON, FAIL.as_bytes()),
        }
    }

    /// The status decides, with two exceptions on the safe side, since a confirmation that was none would lose the
    /// payment: a JSON `code` that is not SUCCESS, and what a script writes when it refuses, with status 200.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = matches!(reply.status, 200 | 204) && !says_failure(reply.body) && !is_fail(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let opened =
            Envelope::parse(&proven.body).and_then(|envelope| Ok((envelope.decrypt(&self.config.cipher)?, envelope)));
        opened.map(|(plaintext, envelope)| facts::fields(envelope, &plaintext)).unwrap_or_default()
    }

    fn keys(&self) -> Vec<KeyNote> {
        [self.config.notes.as_slice(), self.fetched_notes.as_slice()].concat()
    }

    fn key_source(&self) -> Option<&dyn KeySource> {
        self.config.caller.as_ref().map(|_| self as &dyn KeySource)
    }

    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        let all = [&self.config.keys, &self.fetched];
        resign::refuse_believed(key, |text, signature| all.iter().any(|keys| keys.believes(text, signature)))?;
        Ok(Box::new(WechatResigner::new(key)?))
    }
}

/// How the checks end when they do not pass.
enum Stop {
    Refused(Rejection),
    NeedsKey(KeyRequest),
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl WechatPay {
    /// Whether a key has this serial.
    fn knows(&self, serial: &str) -> bool {
        self.config.keys.knows(serial) || self.fetched.knows(serial)
    }

    /// The key of this serial that is in use now, a configured one first.
    fn key(&self, serial: &str, now: Timestamp) -> Option<&RsaVerifier> {
        self.config.keys.find(serial, now).or_else(|| self.fetched.find(serial, now))
    }

    /// The signature over the raw body, after everything that costs less. Also gives the signed time.
    fn check_signature(&self, request: &RawRequest, now: Timestamp) -> Result<(Verified, Timestamp), Stop> {
        check_outside(request)?;
        if header(request, SIGNATURE)?.starts_with(PROBE) {
            return Err(Rejection::Probe.into());
        }
        check_type(request)?;
        let serial = header(request, SERIAL)?;
        let signed = SignedBody::read(request, &HEADERS, now)?;
        let Some(key) = self.key(serial, now) else { return Err(unknown_key(serial)) };
        Ok((signed.verify(key, "v3")?, signed.at))
    }

    /// Reads a message whose signature was checked.
    fn read(&self, body: &[u8], signed_at: Timestamp) -> Result<Notification, Rejection> {
        let envelope = Envelope::parse(body)?;
        let plaintext = envelope.decrypt(&self.config.cipher)?;
        Ok(facts::read(&self.config, &envelope, &plaintext, body, signed_at))
    }
}

/// The algorithm is the configuration's business, never the message's: another one is refused.
fn check_type(request: &RawRequest) -> Result<(), Rejection> {
    if !request.headers.contains_key(TYPE) {
        return Ok(());
    }
    let found = header(request, TYPE)?;
    if found == SIGNATURE_TYPE { Ok(()) } else { Err(Rejection::Algorithm { algorithm: quote(found) }) }
}

/// A certificate's serial is worth a question to the platform. A public key cannot be asked for: an operator enters it.
fn unknown_key(serial: &str) -> Stop {
    match normal_serial(serial) {
        Some(serial) => Stop::NeedsKey(KeyRequest { serial }),
        None => Rejection::UnknownKey { serial: quote(serial) }.into(),
    }
}
