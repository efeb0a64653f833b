//! Douyin general trade system 抖音通用交易系统: callbacks of mini programs about payments, refunds, settlements, refund
//! applications and periodic deductions.
//!
//! Source: Douyin Open Platform, general trade system, the pages on signatures and on each callback; public programs
//! where those name no fields. The platform signs the raw body with a key of its own for each mini program, which is
//! another one than the application's.
//!
//! The body is JSON and holds the message as JSON inside a text; both are under the signature, `type` too. Of the other
//! headers nothing is believed: `Byte-Identifyname`, `Byte-Eventid` and `Byte-Logid` are not signed, and what the extra
//! header `Signature` (SHA-1) is made of no document says.

mod application;
mod facts;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::resigned::TradeResigner;
use self::settings::{Config, SETTINGS};
use super::signed_body::{Headers, JSON, SignedBody, WINDOW_SECONDS, check_outside};
use super::{Platform, douyin};
use crate::channel::{Answer, Channel, KeyNote, Likeness, Rejection, Verdict};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Concern, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "douyin_trade",
    family: FAMILY,
    name: Text { en: "Douyin general trade system", zh: "抖音通用交易系统" },
    settings: SETTINGS,
    ladder: douyin::LADDER,
    patience: None,
    freshness: Some(Duration::from_secs(WINDOW_SECONDS.unsigned_abs())),
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: None,
};

/// The family within which identities are shared.
const FAMILY: &str = "douyin_trade";

/// Name of the rule, in proofs.
const VARIANT: &str = "three_lines";

static HEADERS: Headers = Headers { timestamp: "Byte-Timestamp", nonce: "Byte-Nonce-Str", signature: "Byte-Signature" };

const MESSAGE: &str = "msg";
const TYPE: &str = "type";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how old a message may be: none names a window; 300 seconds are allowed, as on similar platforms",
        zh: "通知的时效：文档未规定；参照同类平台，允许 300 秒",
    },
    Text {
        en: "when it repeats a message, and how long it waits: the plan of guaranteed payment is assumed",
        zh: "重发间隔与等待时长：按担保交易的间隔处理",
    },
    Text {
        en: "what the extra header `Signature` is made of; it is ignored",
        zh: "额外的 `Signature` 请求头的签名内容；一律忽略",
    },
    Text {
        en: "what the answer to a refund application (`pre_create_refund`) must carry: with `refund_page` it has a refund \
             number and that page, as public programs answer; without, it is the plain acknowledgement, and refunds that \
             buyers ask for may wait for three days",
        zh: "退款申请回调（`pre_create_refund`）的应答内容：填写 `refund_page` 后按公开程序的格式返回商户退款单号与退款详情页；\
             未填写时只返回通用应答，用户发起的退款可能卡住三天",
    },
    Text {
        en: "the fields of periodic deductions: the numbers are read as `pay_order_id` and `out_pay_order_no`, or else as \
             in an ordinary payment",
        zh: "周期代扣结果的字段：单号先读 `pay_order_id` 与 `out_pay_order_no`，没有时按普通支付的字段读取",
    },
    Text {
        en: "the amount of a refund is read from `refund_total_amount`; without it the message is held",
        zh: "退款金额取自 `refund_total_amount`；缺少时会被挂起",
    },
    Text {
        en: "the fields of settlements and refund applications; they are kept as `other` and never guessed at",
        zh: "结算与退款申请通知的字段；按 `other` 保存，不作猜测",
    },
    Text { en: "the addresses that it sends from: none are published", zh: "出口 IP 段：官方未公布" },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Trade { config: Config::build(settings)? }))
}

/// A configured channel.
#[derive(Debug)]
struct Trade {
    config: Config,
}

impl Channel for Trade {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(HEADERS.signature) {
            return Likeness::No;
        }
        let Ok(envelope) = Envelope::read(&request.body) else { return Likeness::No };
        let message = Json::parse(envelope.message.as_bytes()).ok();
        match message.as_ref().and_then(|message| message.get(facts::APP_ID)).and_then(Json::text) {
            Some(app) if !app.is_empty() && !self.config.app_ids.iter().any(|own| own == app) => Likeness::Shape,
            _ => Likeness::Merchant,
        }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        match self.check(request, now) {
            Ok(proven) => Verdict::Genuine(proven),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        let page = self.config.refund_page.as_deref().filter(|_| answer == Answer::Success);
        let own = page.zip(to).and_then(|(page, to)| application::answer(page, &self.config.app_ids, to));
        own.unwrap_or_else(|| douyin::answer(answer))
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        douyin::is_ack(reply)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(envelope) = Envelope::read(&proven.body) else { return Vec::new() };
        let message = Json::parse(envelope.message.as_bytes()).ok();
        douyin::fields(&envelope.whole, &[MESSAGE], MESSAGE, message.as_ref())
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }

    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        resign::refuse_believed(key, |text, signature| self.config.key.verify(text, signature, VARIANT).is_some())?;
        Ok(Box::new(TradeResigner::new(key)?))
    }
}

impl Trade {
    fn check(&self, request: &RawRequest, now: Timestamp) -> Result<Proven<Notification>, Rejection> {
        check_outside(request)?;
        let signed = SignedBody::read(request, &HEADERS, now)?;
        let verified = signed.verify(&self.config.key, VARIANT)?;
        let envelope = Envelope::read(&request.body)?;
        let notification = facts::read(&self.config, &envelope, signed.at);
        Ok(Proven::by_signature(notification, verified))
    }
}

/// What stands around a message. The platform's answers to requests are signed by the same key, and have neither of the
/// two members; a body with one of them is a callback, and what is odd about it is held.
struct Envelope {
    whole: Json,
    /// Empty when there is none.
    message: String,
    /// Empty when it does not say.
    kind: String,
    concerns: Vec<Concern>,
}

impl Envelope {
    fn read(body: &[u8]) -> Result<Self, Rejection> {
        let whole = douyin::parse(body, "body")?;
        if [MESSAGE, TYPE].iter().all(|name| whole.get(name).is_none_or(|value| *value == Json::Null)) {
            return Err(Rejection::Missing { field: MESSAGE.into() });
        }
        let mut concerns = Vec::new();
        let mut needed = |name| douyin::member(&whole, name).needed(name, &mut concerns).unwrap_or_default();
        let (message, kind) = (needed(MESSAGE), needed(TYPE));
        Ok(Self { whole, message, kind, concerns })
    }
}
