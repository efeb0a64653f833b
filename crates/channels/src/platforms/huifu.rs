//! Huifu 汇付斗拱: notifications to the `notify_url` of a payment or refund, and of onboarding.
//!
//! The signature covers the text of one field, exactly as it was received: `resp_data`, or `data` in notices of
//! onboarding. Everything beside it (`resp_code`, `resp_desc`, even which of the two names the field has) is not
//! signed, so it is not believed, and neither shown nor answered. Sources: Huifu 斗拱, "asynchronous messages" and the
//! interfaces' own pages on what they send.
//!
//! The success reply names the request's own `req_seq_id`, from the signed text. Where that holds none of a plain
//! form, the reply is the bare prefix: no order's number is empty, so it can never read as another order's success,
//! and its status still says that the message came.

pub(super) mod facts;
mod message;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

use self::message::{Carried, is_number};
pub(super) use self::settings::HUIFU_ID_SETTING;
use self::settings::{Config, SETTINGS};
#[cfg(feature = "simulate")]
pub(super) use self::simulate::HUIFU_ID;
use super::Platform;
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};

/// Largest body. Payments have 1 to 4 kB; lists of shares and promotions make some longer.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most fields around the signed text. Real messages have four.
pub const FIELDS_MAX: usize = 64;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "huifu",
    family: FAMILY,
    name: Text { en: "Huifu (notify_url)", zh: "汇付斗拱（notify_url）" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(PATIENCE),
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: None,
};

/// The family within which identities are shared, with the webhooks of the same accounts.
pub(super) const FAMILY: &str = "huifu";

/// What the success reply begins with; the request's own number follows.
const SUCCESS_PREFIX: &str = "RECV_ORD_ID_";

const FAIL: &[u8] = b"fail";

const TEXT: &str = "text/plain";

/// How long an answer may take (Huifu 斗拱, "asynchronous messages").
const PATIENCE: Duration = Duration::from_secs(5);

/// Three repetitions (Huifu 斗拱, "asynchronous messages"); the gaps are UNCONFIRMED, and those that WeChat Pay
/// begins with stand in.
const LADDER: Ladder = &[Duration::from_secs(15), Duration::from_secs(15), Duration::from_secs(30)];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the gaps between the three repetitions; 15 s, 15 s and 30 s are taken as normal",
        zh: "三次重发的间隔；暂按 15 秒、15 秒、30 秒视为正常",
    },
    Text {
        en: "which words `trans_type` may have: the payments of the documents and `TRANS_REFUND` are read, any other is held \
             until it is listed in `payment_types`",
        zh: "`trans_type` 的全部取值：文档列出的支付类型与 `TRANS_REFUND` 会读取，其他类型会被挂起，确认后可填入 `payment_types`",
    },
    Text {
        en: "on which level the business fields stand: only those inside the signed text are read",
        zh: "业务字段位于哪一层：只读取签名原文之内的字段",
    },
    Text {
        en: "the characters of `req_seq_id`: one of other than letters, digits and `-._:` is stored, and answered without its \
             number",
        zh: "`req_seq_id` 的字符范围：含字母、数字与 `-._:` 以外字符时照常保存，但应答不带流水号",
    },
    Text {
        en: "whether notices of onboarding (`data`) want the same reply; they get it",
        zh: "商户进件类通知（`data`）是否要求同样的应答；一律按相同格式应答",
    },
    Text {
        en: "no time window is documented; an old capture is known by its digest, and held when older than our memory",
        zh: "没有公布时间窗口；旧报文按摘要识别，早于本网关记录的会被挂起",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Huifu { config: Config::build(settings)? }))
}

/// A configured Huifu channel.
#[derive(Debug)]
struct Huifu {
    config: Config,
}

impl Channel for Huifu {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(carried) = Carried::read(request) else { return Likeness::No };
        if !carried.is_signed() {
            return Likeness::No;
        }
        let Ok(message) = Json::parse(carried.text()) else { return Likeness::Shape };
        let is_ours =
            facts::account(&message).is_some_and(|account| self.config.huifu_ids.iter().any(|own| own == account));
        if is_ours { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        self.check(request).unwrap_or_else(Verdict::Refused)
    }

    fn answer(&self, answer: Answer, to: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => {
                let number = to.and_then(number_of).filter(|number| is_number(number)).unwrap_or_default();
                let body = Bytes::from(format!("{SUCCESS_PREFIX}{number}"));
                Reply { status: 200, content_type: Some(TEXT), body }
            }
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, FAIL),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, FAIL),
        }
    }

    /// The prefix and the very number of what the script was given, whatever its characters. A longer number that
    /// begins like it is another request's. Where the request is not known, any one plain number is believed.
    fn is_ack(&self, reply: &AppReply<'_>, to: Option<&RawRequest>) -> AckMatch {
        if reply.status != 200 {
            return AckMatch::No;
        }
        let Some(request) = to else {
            let number =
                reply.body.strip_prefix(SUCCESS_PREFIX.as_bytes()).and_then(|rest| std::str::from_utf8(rest).ok());
            let is_exact = number.is_some_and(|number| number.is_empty() || is_number(number));
            return if is_exact { AckMatch::Exact } else { AckMatch::No };
        };
        let word = format!("{SUCCESS_PREFIX}{}", number_of(request).unwrap_or_default());
        match AckMatch::of_word(reply.body, word.as_bytes()) {
            AckMatch::Within if !holds_whole(reply.body, word.as_bytes()) => AckMatch::No,
            other => other,
        }
    }

    /// What the signature covers, and nothing else.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Some(message) = Carried::read(proven).ok().and_then(|carried| Json::parse(carried.text()).ok()) {
            message.flatten("", &mut fields);
        }
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl Huifu {
    fn check(&self, request: &RawRequest) -> Result<Verdict, Rejection> {
        let carried = Carried::read(request)?;
        let signature = carried.signature()?;
        let verified =
            self.config.verifier.verify(carried.text(), &signature, carried.variant()).ok_or(Rejection::Signature)?;
        let notification = facts::read(&self.config, carried.text());
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }
}

/// The request's own number, from the signed text.
fn number_of(request: &RawRequest) -> Option<String> {
    let carried = Carried::read(request).ok()?;
    let message = Json::parse(carried.text()).ok()?;
    facts::number(&message).map(str::to_owned)
}

/// Whether a text holds a word whose number does not go on behind it.
fn holds_whole(text: &[u8], word: &[u8]) -> bool {
    let ends = |at: usize| text.get(at + word.len()).is_none_or(|next| !message::is_number_byte(*next));
    memchr::memmem::find_iter(text, word).any(ends)
}
