//! LianLian 连连支付, the classic generation: notices of payments, refunds and payouts.
//!
//! A form or a flat object of JSON; the signature covers the fields sorted by name without regard to case, without
//! `sign` and without those whose value is empty or the text `null`: MD5withRSA, or MD5 with `&key=` behind. Sources:
//! LianLian's documents for receiving money, refunds and payouts; public clients of them.
//!
//! A payment and a payout have the very same fields, so nothing but the address that a notice comes to tells one from
//! the other. The configuration must say what a channel's address is for (`purpose`): read as a payment, the payout of
//! an order's number would ship goods.

mod canonical;
mod facts;
mod message;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(all(test, feature = "simulate"))]
mod tests;

use self::message::Message;
use self::settings::{Config, SETTINGS};
pub(super) use self::settings::{OWN_KEY_SETTING, PARTNER_SETTING};
#[cfg(feature = "simulate")]
pub(super) use self::simulate::PARTNER;
use super::outside::{JSON, inner};
use super::{Platform, ladder};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};

/// Largest body. Notices have less than 2 kB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most fields. Notices have about 20.
pub const FIELDS_MAX: usize = 128;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "lianlian",
    family: FAMILY,
    name: Text { en: "LianLian Pay (classic)", zh: "连连支付（经典接口）" },
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
    mirror: None,
};

/// The family within which identities are shared, with the account generation of the same merchants.
pub(super) const FAMILY: &str = "lianlian";

/// The documented bodies (LianLian, "asynchronous notice"); the code in them decides.
const SUCCESS: &str = r#"{"ret_code":"0000","ret_msg":"交易成功"}"#;
const FAIL: &str = r#"{"ret_code":"9999","ret_msg":"交易失败"}"#;

/// What LianLian's own PHP example prints: no JSON, and taken for success all the same.
const EXAMPLE: &str = "{'ret_code':'0000','ret_msg':'交易成功'}";

/// The gaps between attempts are UNCONFIRMED; those of WeChat Pay stand in.
pub(super) const LADDER: Ladder = ladder::DAY;

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the gaps between attempts and how long an answer may take; WeChat Pay's gaps stand in, and we answer at once",
        zh: "重发间隔与等待应答的时长；暂以微信支付的间隔代替，本网关立即应答",
    },
    Text {
        en: "whether an MD5 signature may be in capitals; only small letters are accepted",
        zh: "MD5 签名是否可能为大写；只接受小写",
    },
    Text {
        en: "whether `_` sorts before or behind letters; no documented field shows a difference",
        zh: "排序时 `_` 在字母之前还是之后；现有字段不受影响",
    },
    Text {
        en: "the states of a payment other than SUCCESS; such a notice is held",
        zh: "收款通知中 SUCCESS 以外的状态；此类通知会被挂起",
    },
    Text {
        en: "the order of a refund: its notice names none, so it does not wait for its payment",
        zh: "退款通知不含原订单号，因此不会等待对应的支付事件",
    },
    Text {
        en: "no time window is documented; an old capture is known by its digest, and held when older than our memory",
        zh: "没有公布时间窗口；旧报文按摘要识别，早于本网关记录的会被挂起",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Lianlian { config: Config::build(settings)? }))
}

/// A configured LianLian channel.
#[derive(Debug)]
struct Lianlian {
    config: Config,
}

impl Channel for Lianlian {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        let Ok(message) = Message::read(request) else { return Likeness::No };
        let Some(partner) = message.get("oid_partner").filter(|_| message.get("sign").is_some()) else {
            return Likeness::No;
        };
        if self.config.is_ours(partner) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        self.check(request).unwrap_or_else(Verdict::Refused)
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, JSON, SUCCESS.as_bytes()),
            Answer::Failure(Failure::Refused) => Reply::constant(400, JSON, FAIL.as_bytes()),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, JSON, FAIL.as_bytes()),
        }
    }

    /// The documented body, what LianLian's own example prints, or another JSON with the same code.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        if reply.status != 200 {
            return AckMatch::No;
        }
        let known = [SUCCESS, EXAMPLE].map(|word| AckMatch::of_word(reply.body, word.as_bytes()));
        if let Some(found) = known.into_iter().find(|found| *found != AckMatch::No) {
            return found;
        }
        let inner = inner(reply.body);
        if !has_code(inner) {
            return AckMatch::No;
        }
        if inner.len() == reply.body.len() { AckMatch::Exact } else { AckMatch::Trimmed }
    }

    /// What the signature covers, and nothing else.
    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let Ok(message) = Message::read(proven) else { return Vec::new() };
        message.covered().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }
}

impl Lianlian {
    /// The checks that cost least come first.
    fn check(&self, request: &RawRequest) -> Result<Verdict, Rejection> {
        let message = Message::read(request)?;
        let sign = message.required("sign")?;
        let sign_type = message.required("sign_type")?;
        let partner = message.required("oid_partner")?;
        if !self.config.is_ours(partner) {
            return Err(Rejection::UnknownMerchant { field: "oid_partner".into() });
        }
        let text = canonical::text(&message);
        let verified = self.config.verify(sign_type, sign, &text, message.variant())?;
        let notification = facts::read(&self.config, &message, &text);
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }
}

/// Whether an answer is an object of JSON with the code of success.
fn has_code(body: &[u8]) -> bool {
    let Ok(Json::Object(members)) = Json::parse(body) else { return false };
    members.iter().any(|(name, value)| name == "ret_code" && value.text() == Some("0000"))
}
