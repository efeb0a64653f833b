//! Adyen: the standard webhooks of payments.
//!
//! A JSON body with a list of items. Each item carries its own signature over eight of its values, joined by colons:
//! HMAC-SHA256 under a key that is written in hexadecimal. Nothing is escaped in that text. Only the merchant's reference
//! may have a colon in it here, so that the text can be cut in one way; an item with another one elsewhere is held.
//!
//! What is not among the eight values (the reason, the date, the payment method, all other additional data, and whether
//! the message is live) is anybody's word: it never makes a fact. A message that calls itself of the other environment is
//! held; the date only lets an old capture be held.
//!
//! A kind of item that Adyen never signs is taken only with the user and password of the endpoint, and never as anything
//! about money; another kind without a signature is held, and refused when it is about money. Sources: Adyen's documents on webhooks, its `OpenAPI` files, its PHP, Node and Python kits.

pub(super) mod amount;
mod facts;
mod item;
pub(super) mod settings;
#[cfg(feature = "simulate")]
pub(super) mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use http::Method;

use self::item::{Envelope, Item};
use self::settings::{Config, SETTINGS};
use super::Platform;
use super::failure::says_failure;
use super::signed_body::{JSON, header};
use crate::channel::{Answer, Channel, Failure, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Notification, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::hmac::HmacKey;

/// Largest body. An item has 1 to 4 kB, and a message one to six of them.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most items of a message.
pub const ITEMS_MAX: usize = 64;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "adyen",
    family: FAMILY,
    name: Text { en: "Adyen (payments)", zh: "Adyen（支付）" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(Duration::from_secs(10)),
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
pub(super) const FAMILY: &str = "adyen";

/// How the text under the signature is made; there is one way.
const VARIANT: &str = "joined";

const TEXT: &str = "text/plain";

const AUTHORIZATION: &str = "authorization";

/// Older versions wait for this word, current ones for a status of success: both are content.
const ACCEPTED: &[u8] = b"[accepted]";

/// 2, 5, 10, 15 and 30 minutes, 1, 2, 4 and 8 hours, then every 8 hours for 30 days, of which a few stand here.
pub(super) const LADDER: Ladder = &[
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(15),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(8),
    Duration::from_hours(8),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "CANCEL_OR_REFUND says only beside the signature which of the two happened: it is held",
        zh: "CANCEL_OR_REFUND 究竟是撤销还是退款只写在未签名的字段中：一律挂起",
    },
    Text {
        en: "payment methods that are captured at once although the account captures later send no CAPTURE, and the method is \
             not signed: their payments stay authorised here",
        zh: "账户设为延迟或手动请款时，个别支付方式仍会立即请款而不发送 CAPTURE；支付方式不在签名范围内，此类付款停留在「已授权」",
    },
    Text {
        en: "a modification with a reference of its own: that reference is taken for the order's number, so give refunds and \
             captures the payment's reference",
        zh: "退款、请款等操作如使用自己的 reference，会被当作订单号；请沿用原付款的 reference",
    },
    Text {
        en: "with `capture = [\"in_parts\"]` each capture is a payment of its own, and no refund says of which one it is: refunds \
             and disputes wait for none of them",
        zh: "设置 `capture = [\"in_parts\"]` 时每次请款各为一笔付款，退款与争议无法对应到其中一笔，因此不等待付款的投递",
    },
    Text {
        en: "with `capture = [\"later\"]` a second capture of one payment with the same amount cannot be told from a repetition of \
             the first, and is not seen; one of another amount is held. Whoever captures in several pieces sets [\"in_parts\"]",
        zh: "设置 `capture = [\"later\"]` 时，同一付款的第二次请款若金额相同，无法与第一次的重复通知区分，不会被发现；金额不同则会被挂起。\
             多次请款的商户请设置 [\"in_parts\"]",
    },
    Text {
        en: "with `capture = [\"in_parts\"]` CANCELLATION, EXPIRE and the like do not say whether a part was captured before: they \
             are held",
        zh: "设置 `capture = [\"in_parts\"]` 时，CANCELLATION、EXPIRE 等通知未说明此前是否已有部分请款：一律挂起",
    },
    Text {
        en: "an order that is paid in several payments (a gift card and a card): each of them is a payment of its own under one \
             order number, and none of them says whether the order is paid in full",
        zh: "由多笔付款共同支付的订单（如礼品卡加银行卡）：各笔为同一订单号下的独立付款，任何一笔都不代表订单已付清",
    },
    Text {
        en: "two equal items in one message are taken for one", zh: "同一消息中两个完全相同的条目按一个处理"
    },
    Text {
        en: "kinds that Adyen does not sign, other than REPORT_AVAILABLE: they are held, or refused when they are about money",
        zh: "除 REPORT_AVAILABLE 外未签名的类型：挂起；涉及资金的一律拒绝",
    },
    Text {
        en: "two items of one payment whose `success` differs are two facts; which one is the later cannot be proven",
        zh: "同一付款先后收到 `success` 不同的通知时按两个事实处理；时间不在签名范围内，无法证明先后",
    },
    Text {
        en: "ORDER_CLOSED with success=false is taken for a payment that was closed",
        zh: "ORDER_CLOSED 且 success=false 视为付款关闭",
    },
    Text {
        en: "an application's 200 confirms with the word `[accepted]` alone, as older documents ask; 202 or 204 confirm without. \
             For a script that answers 200 and nothing else, give its target `success = { status = 200 }`",
        zh: "应用返回 200 时，须按旧版文档输出 `[accepted]` 才算确认；返回 202 或 204 则无需正文。若脚本只返回 200 而无正文，\
             请为该投递目标设置 `success = { status = 200 }`",
    },
    Text {
        en: "how long an answer may take (10 seconds, by integration guides)",
        zh: "等待应答的时长（集成指南称 10 秒）",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Adyen { config: Config::build(settings)? }))
}

/// A configured endpoint.
#[derive(Debug)]
struct Adyen {
    config: Config,
}

impl Channel for Adyen {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() {
            return Likeness::No;
        }
        let Ok(message) = Json::parse(&request.body) else { return Likeness::No };
        let Some(accounts) = item::accounts(&message) else { return Likeness::No };
        if accounts.iter().all(|account| self.config.is_own(account)) { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        match self.read(request) {
            Ok((notification, verified)) => Verdict::Genuine(Proven::by_signature(notification, verified)),
            Err(rejection) => Verdict::Refused(rejection),
        }
    }

    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply::constant(200, TEXT, ACCEPTED),
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, b"refused"),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, b"later"),
        }
    }

    /// The word; or, since Adyen goes by the status alone now, another status of success than 200, which no script gives by
    /// accident, unless the answer says that it failed. With 200, silence may be that of a script that died.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        match AckMatch::of_word(reply.body, ACCEPTED) {
            _ if !(200..300).contains(&reply.status) => AckMatch::No,
            AckMatch::No if reply.status != 200 && !says_failure(reply.body) => AckMatch::Exact,
            found => found,
        }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        Json::parse(&proven.body).map(|message| item::fields(&message)).unwrap_or_default()
    }

    fn signed_alone(&self) -> Vec<&str> {
        SIGNED.to_vec()
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes()
    }
}

/// The values of an item under its signature, in their order there.
const SIGNED: &[&str] = &[
    "pspReference",
    "originalReference",
    "merchantAccountCode",
    "merchantReference",
    "amount.value",
    "amount.currency",
    "eventCode",
    "success",
];

impl Adyen {
    fn read(&self, request: &RawRequest) -> Result<(Notification, Verified), Rejection> {
        check_outside(request)?;
        let sender = self.check_sender(request)?;
        let message = Json::parse(&request.body).map_err(item::unreadable)?;
        let envelope = Envelope::read(&message)?;
        let mut first = None;
        for item in &envelope.items {
            match item.signature {
                Some(signature) => {
                    let verified = self.check(item, &signature)?;
                    first.get_or_insert(verified);
                }
                // Only what has no money meaning goes without a signature, and only from the sender that we know.
                None if sender.is_some() && !facts::is_money(item.event_code) => {}
                None => return Err(item.missing("additionalData.hmacSignature")),
            }
        }
        let verified = first.or(sender).ok_or(Rejection::Signature)?;
        Ok((facts::read(&self.config, &envelope.without_twins()), verified))
    }

    /// The user and password of the endpoint, where they are configured.
    fn check_sender(&self, request: &RawRequest) -> Result<Option<Verified>, Rejection> {
        let Some(basic) = &self.config.basic else { return Ok(None) };
        let shown = header(request, AUTHORIZATION)?;
        basic.check(shown).map(Some).ok_or(Rejection::Signature)
    }

    fn check(&self, item: &Item<'_>, signature: &[u8]) -> Result<Verified, Rejection> {
        let text = item.signed_text();
        let find = |key: &HmacKey| key.verify_any(text.as_bytes(), &[signature], VARIANT);
        self.config.keys.iter().find_map(find).ok_or(Rejection::Signature)
    }
}

/// Method, media type and size.
pub(super) fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
    if request.method != Method::POST {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let media_type = request.media_type();
    if media_type != JSON {
        return Err(Rejection::MediaType { media_type: quote(&media_type) });
    }
    if request.body.is_empty() {
        return Err(Rejection::Empty);
    }
    if request.body.len() > BODY_BYTES_MAX {
        return Err(Rejection::TooLarge { limit: BODY_BYTES_MAX });
    }
    Ok(())
}
