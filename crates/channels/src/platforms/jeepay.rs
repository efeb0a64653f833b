//! 计全支付 (jeepay): what a jeepay installation tells its merchants about payments, refunds and transfers.
//!
//! A POST form whose pairs are joined as whole `name=value&` texts, sorted as Java sorts without regard to case, with the
//! application's secret behind them under MD5. Older builds POST the same pairs in the query, with an empty body. Which
//! kind of notice it is, its id field tells.
//! Sources: jeepay's `JeepayKit`, `PayMchNotifyService`, `PayOrderMchNotifyMQReceiver`, and its `…OrderRS` classes.

mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::settings::{Config, SETTINGS};
use super::Platform;
use super::joined::{Message, Protocol};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::form::Limits;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// Largest query or body, in bytes. Genuine ones have 1 to 3 kB, beside the channels' own JSON in three fields.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Most fields. A transfer has 22.
pub const FIELDS_MAX: usize = 64;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "jeepay",
    family: FAMILY,
    name: Text { en: "jeepay", zh: "计全支付" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(Duration::from_secs(20)),
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// The family within which identities are shared.
const FAMILY: &str = "jeepay";

const PROTOCOL: Protocol = Protocol {
    known: &[
        "accountName",
        "accountNo",
        "amount",
        "appId",
        "bankName",
        "body",
        "channelExtra",
        "channelOrderNo",
        "channelResData",
        "clientIp",
        "createdAt",
        "currency",
        "entryType",
        "errCode",
        "errMsg",
        "extParam",
        "ifCode",
        "mchNo",
        "mchOrderNo",
        "mchRefundNo",
        "payAmount",
        "payOrderId",
        "refundAmount",
        "refundOrderId",
        "reqTime",
        "sign",
        "state",
        "subject",
        "successTime",
        "transferDesc",
        "transferId",
        "wayCode",
    ],
    free_text: &[
        "accountName",
        "accountNo",
        "bankName",
        "body",
        "channelExtra",
        "channelResData",
        "errMsg",
        "extParam",
        "subject",
        "transferDesc",
    ],
    unsigned: &["sign"],
    of_requests: &[],
    limits: Limits { bytes_max: MESSAGE_BYTES_MAX, pairs_max: FIELDS_MAX },
    by_get: false,
    by_bare_post: true,
};

/// The fields of which one says what a notice is about.
const IDS: &[&str] = &["payOrderId", "refundOrderId", "transferId"];

/// The word that stops repetition: the whole body, in any case, without a line end.
const SUCCESS: &[u8] = b"SUCCESS";

const FAIL: &[u8] = b"FAIL";

const TEXT: &str = "text/plain";

/// Gaps between attempts: the n-th retry waits n times 30 s.
const LADDER: Ladder = &[
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_secs(90),
    Duration::from_mins(2),
    Duration::from_secs(150),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "a fork that sends JSON, with amounts of two decimals; its rules are not known, and it is refused by its media \
             type",
        zh: "有一个分支发送 JSON（金额带两位小数），其规则不明；按媒体类型直接拒绝",
    },
    Text {
        en: "the fields of profit sharing notices; a notice without any of the three ids is held",
        zh: "分账通知的字段；三种单号都没有的通知会被挂起",
    },
    Text {
        en: "units of currencies other than `cny`; such an amount is held",
        zh: "`cny` 以外币种的金额单位；这类金额会被挂起",
    },
    Text {
        en: "no time window is documented; an old notice is known by its number, and held when `reqTime` is older than our \
             memory",
        zh: "没有公布时间窗口；旧通知按单号识别，`reqTime` 早于本网关记录的会被挂起",
    },
    Text {
        en: "whether the state \"refunded\" of a payment is ever notified; it proves the payment, invents no refund, and is held",
        zh: "支付订单的「已退款」状态是否会通知；它只证明曾支付，不据此生成退款，并会被挂起",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Jeepay { config: Config::build(settings)? }))
}

/// A configured jeepay channel.
#[derive(Debug)]
struct Jeepay {
    config: Config,
}

impl Channel for Jeepay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(message) = Message::read(request, &PROTOCOL, &self.config.own) else { return Likeness::No };
        let is_notice = message.has("mchNo") && message.has("reqTime") && IDS.iter().any(|id| message.has(id));
        if !is_notice {
            return Likeness::No;
        }
        if self.check_merchant(&message).is_ok() { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.check(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, TEXT, SUCCESS),
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status == 200 { AckMatch::of_word(&reply.body.to_ascii_uppercase(), SUCCESS) } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        Message::read(proven, &PROTOCOL, &self.config.own).map(|message| message.fields()).unwrap_or_default()
    }

    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        Message::signed_query(proven, &PROTOCOL, &self.config.own)
    }

    fn query_names(&self) -> Vec<&str> {
        PROTOCOL.known.to_vec()
    }

    fn keys(&self) -> Vec<KeyNote> {
        vec![KeyNote { label: "app_secret".into(), algorithm: "MD5".into(), fingerprint: None, not_after: None }]
    }
}

impl Jeepay {
    /// The application decides which secret comes into question.
    fn check_merchant(&self, message: &Message<'_>) -> Result<(), Rejection> {
        for (field, own) in [("mchNo", &self.config.mch_no), ("appId", &self.config.app_id)] {
            if message.required(field)? != own.as_bytes() {
                return Err(Rejection::UnknownMerchant { field: field.into() });
            }
        }
        Ok(())
    }

    fn check(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        let message = Message::read(request, &PROTOCOL, &self.config.own)?;
        let sign = message.required("sign")?;
        self.check_merchant(&message)?;
        let verify = |pairs| self.config.secret.verify(&joined(pairs), b"", sign, "v1");
        if let Some(verified) = verify(message.covered()) {
            return Ok((facts::read(&self.config, &message), verified));
        }
        // Says whose parameter it is that spoils the signature, where there is one.
        if let Some((known, stranger)) = message.known_alone()
            && verify(known).is_some()
        {
            return Err(Rejection::Unsigned { field: quote(&String::from_utf8_lossy(stranger)) });
        }
        Err(message.unproven())
    }
}

/// Whole `name=value&` texts in the order of Java's `CASE_INSENSITIVE_ORDER`, and what stands before the secret. Names
/// are ASCII and differ by more than case, so that the order is decided before any value is reached; with its `=` a
/// name stands behind a longer one that goes on with a digit.
fn joined(mut pairs: Vec<(&[u8], &[u8])>) -> Vec<u8> {
    pairs.sort_by_cached_key(|(name, _)| [&name.to_ascii_lowercase(), &b"="[..]].concat());
    let mut text =
        Vec::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>() + 4);
    for (name, value) in pairs {
        text.extend_from_slice(name);
        text.push(b'=');
        text.extend_from_slice(value);
        text.push(b'&');
    }
    text.extend_from_slice(b"key=");
    text
}
