//! 易支付 (epay): the protocol of thousands of self-hosted aggregators and their forks, in both generations.
//!
//! V1 signs with MD5 and the merchant's KEY, V2 with RSA and the platform's key; both sign the same text. The keys
//! that are configured decide which is believed, since nothing signs `sign_type`. A callback is a GET with everything
//! in the query, or a POST form on some forks. Only a payment is ever notified.
//! Sources: the merchant documents V1 and V2 of epay, its server's `functions.php`, `EpayCore.class.php`.

mod facts;
mod resigned;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::resigned::EpayResigner;
use self::settings::{Config, SETTINGS};
use super::Platform;
use super::joined::{Message, Protocol};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::form::Limits;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::resign::{self, Resigner};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::digest::SecretDigest;
use crate::signature::rsa::RsaVerifier;
use crate::signature::{Verified, decode_base64};
use crate::sorted::{Order, join};

/// Largest query or body, in bytes. Genuine ones have less than 2 kB: names of products are cut at 127 bytes, and
/// a pass-through text has to fit into a URL.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Most fields. V2 has 14.
pub const FIELDS_MAX: usize = 64;

/// How far a V2 `timestamp` may lie from our time: what integrators and the PHP kit use.
pub const WINDOW_SECONDS: i64 = 300;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "epay",
    family: FAMILY,
    name: Text { en: "epay (self-hosted aggregators)", zh: "易支付" },
    settings: SETTINGS,
    ladder: LADDER,
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

/// The family within which identities are shared; the account begins with the site's name.
const FAMILY: &str = "epay";

const PROTOCOL: Protocol = Protocol {
    known: &[
        "addtime",
        "api_trade_no",
        "buyer",
        "endtime",
        "money",
        "name",
        "out_trade_no",
        "param",
        "pid",
        "sign",
        "sign_type",
        "timestamp",
        "trade_no",
        "trade_status",
        "type",
    ],
    free_text: &["name", "param"],
    unsigned: &["sign", "sign_type"],
    of_requests: &["clientip", "device", "method", "notify_url", "return_url", "sitename"],
    limits: Limits { bytes_max: MESSAGE_BYTES_MAX, pairs_max: FIELDS_MAX },
    by_get: true,
    by_bare_post: false,
};

/// The word that stops repetition. Servers look for it anywhere in the body, so that even "unsuccessful" would be a
/// success: no other answer of ours may hold it.
const SUCCESS: &[u8] = b"success";

const FAIL: &[u8] = b"fail";

const TEXT: &str = "text/plain";

/// The spellings of the word that servers look for.
const SUCCESSES: &[&[u8]] = &[SUCCESS, b"SUCCESS", b"Success"];

/// Gaps between attempts of the common build; its cron is the operator's, so real times drift.
const LADDER: Ladder = &[
    Duration::from_mins(1),
    Duration::from_mins(3),
    Duration::from_mins(20),
    Duration::from_hours(1),
    Duration::from_hours(2),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how long a server waits for an answer (a few seconds); we answer at once",
        zh: "服务器等待应答的时长（几秒）；本网关立即应答",
    },
    Text {
        en: "when a fork repeats; the gaps are those of the common build, others use 15 s to 1 h",
        zh: "各分支的重发间隔；此处按常见版本，其他分支从 15 秒到 1 小时不等",
    },
    Text {
        en: "which forks sign otherwise (`&key=` before the KEY, capital letters, rounded amounts); only the documented \
             form is accepted",
        zh: "哪些分支的签名方式不同（KEY 前加 `&key=`、大写、先格式化金额）；这里只接受文档所写的形式",
    },
    Text {
        en: "which clock a server's own times follow; Beijing time is taken, and V2's `timestamp` decides about age",
        zh: "服务器时间所用的时区；按北京时间理解，V2 的时效以 `timestamp` 为准",
    },
    Text {
        en: "V1 has no time: a replay is known by its trade number. The age of a callback is taken from the date with which \
             the common build's trade numbers begin; where a number has none, age is no reason to hold it",
        zh: "V1 没有时间字段：重放按交易号识别。通知的年代取自常见版本交易号开头的日期；交易号不含日期时，不按年代挂起",
    },
    Text {
        en: "whether a fork sends states other than TRADE_SUCCESS; they are held and never taken for a payment",
        zh: "是否有分支发送 TRADE_SUCCESS 以外的状态；一律挂起，绝不当作支付成功",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Epay { config: Arc::new(Config::build(settings)?) }))
}

/// A configured epay channel.
#[derive(Debug)]
struct Epay {
    config: Arc<Config>,
}

impl Channel for Epay {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(message) = Message::read(request, &PROTOCOL, &self.config.own) else { return Likeness::No };
        let has = |name: &&str| message.has(name);
        if !["pid", "trade_status", "type", "money"].iter().all(has) {
            return Likeness::No;
        }
        if self.is_ours(&message) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        match self.check(request, now) {
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

    /// Stricter than a server, which is content with the word anywhere: a page that says "unsuccessful" is no
    /// confirmation.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status != 200 {
            return AckMatch::No;
        }
        let found = SUCCESSES.iter().map(|word| AckMatch::of_word(reply.body, word));
        found.min_by_key(strictness).unwrap_or(AckMatch::No)
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        Message::read(proven, &PROTOCOL, &self.config.own).map(|message| message.fields()).unwrap_or_default()
    }

    /// Scripts that check V2 look at its time; where V1 comes too, nobody can say of a request whether its script does.
    fn freshness(&self) -> Option<Duration> {
        let is_v2_alone = self.config.v2.is_some() && self.config.v1.is_none();
        is_v2_alone.then(|| Duration::from_secs(WINDOW_SECONDS.unsigned_abs()))
    }

    fn signed_query(&self, proven: &RawRequest) -> Option<String> {
        Message::signed_query(proven, &PROTOCOL, &self.config.own)
    }

    fn query_names(&self) -> Vec<&str> {
        PROTOCOL.known.to_vec()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }

    /// Where V1 comes too, nothing is signed afresh: its callbacks carry a digest with the KEY, which has no public
    /// half, and which a script accepts at any time.
    fn resigner(&self, key: &[u8]) -> Result<Box<dyn Resigner>, SettingsError> {
        let (Some(verifier), None) = (&self.config.v2, &self.config.v1) else {
            return Err(SettingsError::new(resign::SETTING, "not_supported").because("key: MD5"));
        };
        resign::refuse_believed(key, |text, tag| verifier.verify(text, tag, "probe").is_some())?;
        Ok(Box::new(EpayResigner::new(self.config.clone(), key)?))
    }
}

/// The better a reply matches, the lower.
fn strictness(found: &AckMatch) -> u8 {
    match found {
        AckMatch::Exact => 0,
        AckMatch::Trimmed => 1,
        AckMatch::Within => 2,
        AckMatch::No => 3,
    }
}

impl Epay {
    fn is_ours(&self, message: &Message<'_>) -> bool {
        message.get("pid").is_some_and(|pid| pid == self.config.pid.as_bytes())
    }

    /// Cheap checks first; the merchant's number decides which keys come into question.
    fn check(&self, request: &RawRequest, now: Timestamp) -> Result<(Notification, Verified), Rejection> {
        let message = Message::read(request, &PROTOCOL, &self.config.own)?;
        let sign = message.required("sign")?;
        message.required("pid")?;
        if !self.is_ours(&message) {
            return Err(Rejection::UnknownMerchant { field: "pid".into() });
        }
        let (proof, sent_at) = self.proof(&message, sign, now)?;
        let verified = proof.verify(message.covered()).ok_or_else(|| unproven(&message, &proof))?;
        Ok((facts::read(&self.config, &message, sent_at), verified))
    }

    /// What shall have signed: the key of the generation that the message names, where the configuration has one; and
    /// the time at which it did, where that generation has one.
    fn proof<'m>(
        &'m self,
        message: &'m Message<'_>,
        sign: &'m [u8],
        now: Timestamp,
    ) -> Result<(Proof<'m>, Option<Timestamp>), Rejection> {
        let sign_type = message.required("sign_type")?;
        match (sign_type, &self.config.v1, &self.config.v2) {
            (b"MD5", Some(secret), _) => Ok((Proof::V1 { secret, sign }, None)),
            (word, _, Some(verifier)) if is_rsa(word) => {
                let sent_at = check_time(message, now)?;
                let sign = decode_base64(sign).ok_or_else(|| Rejection::Malformed { field: "sign".into() })?;
                Ok((Proof::V2 { verifier, sign }, Some(sent_at)))
            }
            _ => Err(Rejection::Algorithm { algorithm: quote(&String::from_utf8_lossy(sign_type)) }),
        }
    }
}

/// Whether `sign_type` names V2. The document prints the long name, the kit writes the short one.
fn is_rsa(sign_type: &[u8]) -> bool {
    matches!(sign_type, b"RSA" | b"SHA256WithRSA")
}

/// A key and the signature that it shall have made.
enum Proof<'m> {
    V1 { secret: &'m SecretDigest, sign: &'m [u8] },
    V2 { verifier: &'m RsaVerifier, sign: Vec<u8> },
}

impl Proof<'_> {
    /// The pairs sorted by name and joined; V1 has the KEY directly behind them.
    fn verify(&self, pairs: Vec<(&[u8], &[u8])>) -> Option<Verified> {
        let text = join(pairs, Order::Bytes);
        match self {
            Self::V1 { secret, sign } => secret.verify(&text, b"", sign, "v1"),
            Self::V2 { verifier, sign } => verifier.verify(&text, sign, "v2"),
        }
    }
}

/// Says whose parameter it is that spoils the signature, where there is one.
fn unproven(message: &Message<'_>, proof: &Proof<'_>) -> Rejection {
    if let Some((known, stranger)) = message.known_alone()
        && proof.verify(known).is_some()
    {
        return Rejection::Unsigned { field: quote(&String::from_utf8_lossy(stranger)) };
    }
    message.unproven()
}

/// V2's `timestamp`: seconds since 1970.
fn check_time(message: &Message<'_>, now: Timestamp) -> Result<Timestamp, Rejection> {
    let text = message.required("timestamp")?;
    let malformed = || Rejection::Malformed { field: "timestamp".into() };
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(malformed());
    }
    let second: i64 = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(malformed)?;
    let sent_at = Timestamp::from_second(second).map_err(|_| malformed())?;
    let seconds = now.as_second().saturating_sub(second);
    if seconds.abs() >= WINDOW_SECONDS {
        return Err(Rejection::Stale { seconds });
    }
    Ok(sent_at)
}
