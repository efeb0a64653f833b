//! Douyin guaranteed payment 抖音担保交易 ("ecpay"): callbacks of mini programs about payments, refunds, settlements and
//! withdrawals.
//!
//! Source: Douyin Open Platform, guaranteed payment, the callback pages of payment and refund. The signature is SHA-1
//! over four texts that are sorted by what they say and joined with nothing between: the token, the timestamp, the
//! nonce and the message, which is JSON inside a JSON text. What that leaves open:
//!
//! * `type` is not signed, so what a message is follows from its own members, and a type that says otherwise is
//!   refused.
//! * Characters of neighbours can change sides without the token. The timestamp has ten digits, the nonce letters and
//!   digits only, the message begins with `{`, and no token holds a `{`. So the message begins where the first `{` of
//!   the joined text is, and ends where the text ends or where a token stands that sorts behind it: there is no other
//!   cut, and only time and nonce can be written anew. Neither is read as anything.
//! * Nothing in it is fresh: there is no window, and repetition is recognised by what a message says. A message without
//!   the time that its kind has could be older than our memory, and is held.

mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use self::settings::{Config, SETTINGS};
use super::signed_body::{check_outside, malformed};
use super::{Platform, douyin};
use crate::channel::{Answer, Channel, KeyNote, Likeness, Rejection, Verdict};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;

/// Digits of the timestamp: seconds, until the year 2286.
pub const TIMESTAMP_DIGITS: usize = 10;

/// Longest nonce; the documents show three digits.
pub const NONCE_CHARS_MAX: usize = 64;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "douyin_ecpay",
    family: FAMILY,
    name: Text { en: "Douyin guaranteed payment (ecpay)", zh: "抖音担保交易" },
    settings: SETTINGS,
    ladder: douyin::LADDER,
    patience: None,
    freshness: None,
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// The family within which identities are shared. No source says that its numbers and those of the newer generations
/// are one series.
const FAMILY: &str = "douyin_ecpay";

/// Name of the rule, in proofs.
const VARIANT: &str = "sorted_values";

const SIGNATURE: &str = "msg_signature";
const TIMESTAMP: &str = "timestamp";
const NONCE: &str = "nonce";
const MESSAGE: &str = "msg";
const TYPE: &str = "type";

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long the platform waits for an answer; it gets one as soon as the message is kept",
        zh: "平台等待应答的时长；消息一旦落盘即应答",
    },
    Text {
        en: "whether a message may be old: none names a window, so none is refused for its age",
        zh: "通知是否有时效：文档未规定时间窗口，因此不因时间拒绝",
    },
    Text {
        en: "whether the timestamp is a text or a number in JSON: both appear in examples, both are read",
        zh: "时间戳在 JSON 中是字符串还是数字：示例中两种都有，都会读取",
    },
    Text {
        en: "which characters a nonce may have: letters and digits are accepted, anything else is refused, because the \
             signed text has no separators",
        zh: "随机串允许哪些字符：只接受字母与数字，其余拒绝，因为待签名文本没有分隔符",
    },
    Text {
        en: "the fields of settlement and withdrawal messages; they are kept as `other` and never guessed at",
        zh: "结算与提现通知的字段；按 `other` 保存，不作猜测",
    },
    Text { en: "the addresses that it sends from: none are published", zh: "出口 IP 段：官方未公布" },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Ecpay { config: Config::build(settings)? }))
}

/// A configured channel.
#[derive(Debug)]
struct Ecpay {
    config: Config,
}

impl Channel for Ecpay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(callback) = Callback::read(request) else { return Likeness::No };
        let app = Json::parse(callback.message.as_bytes()).ok().and_then(|message| facts::app_id(&message));
        match app {
            Some(app) if !self.config.app_ids.contains(&app) => Likeness::Shape,
            _ => Likeness::Merchant,
        }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.check(request) {
            Ok(proven) => Verdict::Genuine(proven),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        douyin::answer(answer)
    }

    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        douyin::is_ack(reply)
    }

    /// Only what was signed, and the type where it was compared with that. Any other member of the envelope could be
    /// written by anybody, under a name like one of the message's own (`msg.total_amount`).
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(callback) = Callback::read(proven) else { return Vec::new() };
        let mut fields = vec![(TIMESTAMP.to_owned(), callback.timestamp), (NONCE.to_owned(), callback.nonce)];
        let Ok(message) = Json::parse(callback.message.as_bytes()) else { return fields };
        if facts::kind(&message).is_ok_and(|kind| kind.word() == Some(callback.kind.as_str())) {
            fields.push((TYPE.to_owned(), callback.kind));
        }
        message.flatten(MESSAGE, &mut fields);
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes()
    }
}

impl Ecpay {
    fn check(&self, request: &RawRequest) -> Result<Proven<Notification>, Rejection> {
        let callback = Callback::read(request)?;
        let verified = self.verified(&callback).ok_or(Rejection::Signature)?;
        let message = douyin::parse_proven(callback.message.as_bytes(), MESSAGE);
        let message = message.as_ref().map(|message| (message, facts::kind(message)));
        if let Ok((_, Ok(kind))) = &message
            && kind.contradicts(&callback.kind)
        {
            return Err(malformed(TYPE));
        }
        let notification = facts::read(&self.config, &callback.message, message);
        Ok(Proven::by_signature(notification, verified))
    }

    /// An order keeps the token under which it was paid, so each configured one is tried.
    fn verified(&self, callback: &Callback) -> Option<Verified> {
        let texts = [&callback.timestamp, &callback.nonce, &callback.message].map(String::as_bytes);
        self.config.tokens.iter().find_map(|token| {
            let (before, behind) = around(token.secret(), texts);
            token.verify(&before, &behind, callback.signature.as_bytes(), VARIANT)
        })
    }
}

/// The envelope, whose members are checked for their form and not for anything else yet.
struct Callback {
    timestamp: String,
    nonce: String,
    message: String,
    kind: String,
    signature: String,
}

impl Callback {
    fn read(request: &RawRequest) -> Result<Self, Rejection> {
        check_outside(request)?;
        let outer = douyin::parse(&request.body, "body")?;
        let required = |name| douyin::required(&outer, name).map(str::to_owned);
        let signature = required(SIGNATURE)?;
        let timestamp = match outer.get(TIMESTAMP) {
            Some(Json::Number(digits)) => digits.clone(),
            _ => required(TIMESTAMP)?,
        };
        let (nonce, message, kind) = (required(NONCE)?, required(MESSAGE)?, required(TYPE)?);
        if timestamp.len() != TIMESTAMP_DIGITS || !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed(TIMESTAMP));
        }
        if nonce.len() > NONCE_CHARS_MAX || !nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(malformed(NONCE));
        }
        if !message.starts_with('{') {
            return Err(malformed(MESSAGE));
        }
        Ok(Self { timestamp, nonce, message, kind, signature })
    }
}

/// What stands before and behind the token, when it and the texts are sorted by their bytes and joined.
fn around(token: &[u8], mut texts: [&[u8]; 3]) -> (Vec<u8>, Vec<u8>) {
    texts.sort_unstable();
    let place = texts.partition_point(|text| *text < token);
    (texts[..place].concat(), texts[place..].concat())
}
