//! Douyin Pay 抖音支付, the merchants' interface: notifications of payments, refunds, transfers and profit sharing.
//!
//! Sources: Douyin Pay merchant documents; the official SDK's notification parser; public programs where those name no
//! fields. It is built like WeChat Pay's API v3: the signature covers two headers and the raw body, the resource inside
//! is sealed with the merchant's key. What differs is in the names of headers and of the algorithm, in the nonce of the
//! resource, which may have any length, and in a transfer's amount, which is a text.
//!
//! The merchant's ids are inside the sealed resource, so a message for somebody else is found out after it is proven: it
//! is held, not refused. Only payments repeat the merchant's number outside.

mod envelope;
mod facts;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use self::envelope::Envelope;
use self::resigned::DouyinPayResigner;
use self::settings::{Config, SETTINGS};
use super::failure::says_failure;
use super::signed_body::{Headers, JSON, SignedBody, WINDOW_SECONDS, check_outside, header, is_fail};
use super::{Platform, douyin};
use crate::channel::{Answer, Channel, Failure, KeyNote, Likeness, Rejection, Verdict, quote};
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};

/// Largest box that is opened only to see whose it is, before anything is proven; real ones have 1 to 4 kB.
const RECOGNISED_BYTES_MAX: usize = 16 * 1024;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "douyin_pay",
    family: FAMILY,
    name: Text { en: "Douyin Pay", zh: "抖音支付" },
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
const FAMILY: &str = "douyin_pay";

/// Name of the rule, in proofs.
const VARIANT: &str = "three_lines";

static HEADERS: Headers =
    Headers { timestamp: "Douyinpay-Timestamp", nonce: "Douyinpay-Nonce", signature: "Douyinpay-Signature" };

const SERIAL: &str = "Douyinpay-Serial";

/// The body of a failure; what counts is the status.
const FAIL: &str = r#"{"code":"FAIL","message":"失败"}"#;

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "when it repeats a message, and how long it waits: the plan of guaranteed payment is assumed",
        zh: "重发间隔与等待时长：按担保交易的间隔处理",
    },
    Text {
        en: "how old a message may be: the official parser does not look; 300 seconds are allowed, as in answers of its \
             interfaces",
        zh: "通知的时效：官方 SDK 不检查；按接口应答的规则允许 300 秒",
    },
    Text {
        en: "whether platform certificates can be downloaded: sources disagree, so new ones are added to the file by hand, \
             and a message under an unknown serial is refused until then",
        zh: "平台证书能否自动下载：资料说法不一；新证书需手动加入文件，在此之前使用未知序列号的通知会被拒绝",
    },
    Text {
        en: "the SM2/SM4 variant is refused: no source lays it out",
        zh: "国密（SM2/SM4）变体一律拒绝：没有资料说明其细节",
    },
    Text {
        en: "what else `resource_type` may say; it is not looked at, since only what the key opens is read",
        zh: "`resource_type` 的其他取值；不作检查，只读取密钥能解开的内容",
    },
    Text {
        en: "a service provider's messages about its sub-merchants; they are held",
        zh: "服务商模式下子商户的通知；会被挂起",
    },
    Text {
        en: "the fields of profit sharing: one receiver's share (`SPLIT.SUCCESS`) is held when a number, receiver or amount \
             is missing; the result of the whole (`ASYNC_SPLIT.FINISH`) is kept as `other`",
        zh: "分账通知的字段：单个接收方的动账（`SPLIT.SUCCESS`）缺少单号、接收方或金额时会被挂起；\
             整单结果（`ASYNC_SPLIT.FINISH`）按 `other` 保存",
    },
    Text { en: "the addresses that it sends from: none are published", zh: "出口 IP 段：官方未公布" },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(DouyinPay { config: Config::build(settings)? }))
}

/// A configured channel.
#[derive(Debug)]
struct DouyinPay {
    config: Config,
}

impl Channel for DouyinPay {
    /// Only payments name the merchant outside of the sealed part. Each merchant has a key of its own, so a box that
    /// opens, and names nobody else, is ours.
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(HEADERS.signature) {
            return Likeness::No;
        }
        let Ok(envelope) = Envelope::read(&request.body) else { return Likeness::No };
        let is_known = request.single_header(SERIAL).is_some_and(|serial| self.config.keys.knows(serial));
        let is_ours = || match envelope.merchant() {
            Some(merchant) => merchant == self.config.mchid,
            None => self.is_inside_ours(&envelope),
        };
        if is_known && is_ours() { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        match self.check(request, now) {
            Ok(proven) => Verdict::Genuine(proven),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    /// Success is any status of the two hundreds. Nothing is left in the body to be misread.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(401, JSON, FAIL.as_bytes()),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, JSON, FAIL.as_bytes()),
        }
    }

    /// The status decides, with two exceptions on the safe side: a `code` that is not SUCCESS, and a script's
    /// own words of a failure.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = (200..300).contains(&reply.status) && !says_failure(reply.body) && !is_fail(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(envelope) = Envelope::read(&proven.body) else { return Vec::new() };
        let Ok(plaintext) = envelope.open(&self.config.cipher) else { return Vec::new() };
        envelope.fields(&plaintext)
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }

    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        resign::refuse_believed(key, |text, signature| self.config.keys.believes(text, signature))?;
        Ok(Box::new(DouyinPayResigner::new(key)?))
    }
}

impl DouyinPay {
    /// What the box says about whose it is. A large one is not opened for this.
    fn is_inside_ours(&self, envelope: &Envelope) -> bool {
        envelope.box_bytes() > RECOGNISED_BYTES_MAX
            || envelope.open(&self.config.cipher).is_ok_and(|plaintext| facts::is_ours(&self.config, &plaintext))
    }

    /// Everything that costs less goes before the signature, and the signature before the box.
    fn check(&self, request: &RawRequest, now: Timestamp) -> Result<Proven<Notification>, Rejection> {
        check_outside(request)?;
        let serial = header(request, SERIAL)?;
        let signed = SignedBody::read(request, &HEADERS, now)?;
        let key = self.config.keys.find(serial, now);
        let key = key.ok_or_else(|| Rejection::UnknownKey { serial: quote(serial) })?;
        let verified = signed.verify(key, VARIANT)?;
        let envelope = Envelope::read(&request.body)?;
        let plaintext = envelope.open(&self.config.cipher)?;
        let content = douyin::parse_proven(&plaintext, "resource.ciphertext");
        let notification = facts::read(&self.config, &envelope, content.as_ref(), &request.body, signed.at);
        Ok(Proven::by_signature(notification, verified))
    }
}
