//! Stripe: webhooks of snapshot events and of thin ones.
//!
//! A JSON body under `Stripe-Signature: t=…,v1=…`: HMAC-SHA256 of `t`, a dot and the raw body, in lower-case hexadecimal.
//! The key is the endpoint's signing secret as it is shown, `whsec_` included; it is never decoded. While a secret is
//! rolled there is one `v1` for each; every other scheme is ignored, so that nobody can ask for a weaker one. A time that
//! lies more than [`WINDOW_SECONDS`] from ours is refused, in both directions. Sources: Stripe's documents on webhooks,
//! currencies and event types, and its Python kit.
//!
//! One payment is told by several objects: the `PaymentIntent` is its name, its charge and its Checkout session are aliases.
//! An attempt that failed is named by its own charge, since the same `PaymentIntent` may be tried again.
//!
//! A thin event (`object: "v2.core.event"`) says that something happened, and neither how much nor to which order. One
//! about money is a hint whose sender knows the secret: with an API key, the object that it names is asked about, and the
//! answer is believed; without one it is held. No other is more than [`crate::model::EventKind::Other`].

mod amount;
mod api;
mod facts;
mod header;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;
mod thin;

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use self::header::Signatures;
use self::settings::{Config, SETTINGS};
use super::Platform;
use super::accounts::parse;
use super::failure::says_failure;
use super::signed_body::JSON;
use crate::channel::{Answer, Channel, Failure, FetchBack, Hint, KeyNote, Ladder, Likeness, Rejection, Verdict, quote};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, Proven, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};
use crate::signature::hmac::HmacKey;

/// Largest body. Events have 1 to 10 kB; an object with long lists in it has more.
pub const BODY_BYTES_MAX: usize = 512 * 1024;

/// Seconds up to which a message's time may lie from ours, in either direction: what Stripe's own libraries allow for
/// the past.
pub const WINDOW_SECONDS: i64 = 300;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "stripe",
    family: FAMILY,
    name: Text { en: "Stripe", zh: "Stripe" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: None,
    freshness: Some(Duration::from_secs(WINDOW_SECONDS.unsigned_abs())),
    source_ranges: &[],
    unconfirmed: UNCONFIRMED,
    build,
    #[cfg(feature = "simulate")]
    simulate: simulate::other_side,
    #[cfg(feature = "simulate")]
    mirror: Some(simulate::mirror),
};

/// The family within which identities are shared.
const FAMILY: &str = "stripe";

/// How the text under the signature is made; there is one scheme.
const VARIANT: &str = "v1";

const TEXT: &str = "text/plain";

/// Up to three days with growing gaps. The gaps themselves are not published; these fill the three days.
const LADDER: Ladder = &[
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(4),
    Duration::from_hours(8),
    Duration::from_hours(12),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "the gaps between attempts within the three days, and how long an answer may take: neither is published",
        zh: "三天内重发的具体间隔以及等待应答的时长均未公布",
    },
    Text {
        en: "currencies with three decimals (BHD, JOD, KWD, OMR, TND) are no longer on the general list: their amounts are \
             held unless `three_decimal_currencies` is set",
        zh: "三位小数货币（BHD、JOD、KWD、OMR、TND）已不在公开的货币列表中：未设置 `three_decimal_currencies` 时金额会被挂起",
    },
    Text {
        en: "a payout that failed counts as returned when the event says that its status was `paid` before, else as failed",
        zh: "打款失败：事件表明此前状态为 `paid` 时按「退回」处理，否则按「失败」处理",
    },
    Text {
        en: "a Checkout session of a subscription names no PaymentIntent. Until API version 2025-03-31 the invoice ties the two; \
             since then nothing does, and the session's payment is held unless `payments_from` names the session alone. Then a \
             payment_intent.succeeded or charge.succeeded that names no invoice is held: it may be a renewal, or paid without \
             Checkout. Whoever sells subscriptions, or not through Checkout alone, names [\"payment_intent\"] and writes the \
             order number into the metadata of PaymentIntents and subscriptions",
        zh: "订阅模式的 Checkout Session 不含 PaymentIntent。API 版本 2025-03-31 之前可由账单（invoice）关联；此后二者无法关联，\
             除非 `payments_from` 只写 Session，否则 Session 的付款会被挂起。只写 Session 时，不含账单编号的 payment_intent.succeeded、\
             charge.succeeded 会被挂起：可能是订阅续费，或未经 Checkout 的付款。有订阅业务或不只用 Checkout 收款的商户，\
             应写 [\"payment_intent\"]，并把订单号写入 PaymentIntent 与订阅的 metadata",
    },
    Text {
        en: "an authorisation that is captured in part: whether the rest counts in `amount_refunded`. The running total of such a \
             charge is held; a refund that has a number of its own is believed",
        zh: "部分请款：剩余的授权金额是否计入 `amount_refunded` 未确认，此类 Charge 的累计退款金额会被挂起；有独立编号的退款照常处理",
    },
    Text {
        en: "whether giving up an authorisation also makes a `refund.*` event: it would be told as the refund of a payment that \
             never came",
        zh: "撤销授权时是否也会产生 `refund.*` 事件未确认：若产生，会作为一笔没有对应付款的退款告知",
    },
    Text {
        en: "`charge.refunded` is told when a refund begins: with `refunds_from = [\"charge\"]` one that is still pending counts, \
             and a refund that brings the total back to one that was seen before (after another one failed) is not seen: use \
             [\"refund\"], which names each",
        zh: "`charge.refunded` 在退款发起时告知：设置 `refunds_from = [\"charge\"]` 时，尚未到账的退款也按成功计；\
             某笔退款失败后再次退款，若累计金额与此前相同，则不会被发现：请使用 [\"refund\"]，逐笔有编号",
    },
    Text {
        en: "the objects of one payment may carry different order numbers, or none: the event that arrives first tells the \
             payment with its own. Write the number into all of them, or let one kind of object alone tell payments",
        zh: "同一付款的各对象可能带有不同的订单号或没有订单号：以先到的事件为准。请在所有对象中写入订单号，或让付款只由一种对象告知",
    },
    Text {
        en: "a payout that is asked about (thin events) says that it failed, and not that it had been paid: it is told as failed",
        zh: "经轻量事件查询到的打款只说明已失败，不说明此前是否已到账：按「失败」告知",
    },
    Text {
        en: "transfers to connected accounts, application fees, invoices and subscriptions are stored as `other`",
        zh: "向关联账户的划转、平台服务费、账单与订阅类事件只保存为 `other`",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Stripe { config: Config::build(settings)? }))
}

/// A configured endpoint.
#[derive(Debug)]
struct Stripe {
    config: Config,
}

impl Channel for Stripe {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        if check_outside(request).is_err() || !request.headers.contains_key(header::SIGNATURE) {
            return Likeness::No;
        }
        let Ok(event) = Json::parse(&request.body) else { return Likeness::No };
        if !facts::is_event(&event) {
            return Likeness::No;
        }
        let is_own = facts::account(&event).is_none_or(|account| self.config.is_own(account));
        if is_own { Likeness::Merchant } else { Likeness::Shape }
    }

    fn verify(&self, request: &RawRequest, now: Timestamp) -> Verdict {
        self.read(request, now).unwrap_or_else(Verdict::Refused)
    }

    /// Only the status counts.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, b"refused"),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, b"later"),
        }
    }

    /// Any status of success, but an answer that says it failed confirms nothing.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = (200..300).contains(&reply.status) && !says_failure(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Ok(event @ Json::Object(_)) = Json::parse(&proven.body) {
            event.flatten("", &mut fields);
        }
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes()
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.config.api.is_some().then_some(self)
    }
}

impl Stripe {
    fn read(&self, request: &RawRequest, now: Timestamp) -> Result<Verdict, Rejection> {
        check_outside(request)?;
        let signatures = Signatures::read(request)?;
        signatures.check_time(now)?;
        let text = signatures.signed_text(&request.body);
        let find = |key: &HmacKey| key.verify_any(&text, &signatures.tags(), VARIANT);
        let verified = self.config.secrets.iter().find_map(find).ok_or(Rejection::Signature)?;
        let (event, concern) = parse(&request.body, "body");
        if let Some(number) = thin::asked(&self.config, &event) {
            return Ok(Verdict::Hint(Hint::from_platform(number, &verified)));
        }
        let mut notification = facts::read(&self.config, &event, &request.body, signatures.at());
        notification.concerns.extend(concern);
        Ok(Verdict::Genuine(Proven::by_signature(notification, verified)))
    }
}

/// Method, media type and size.
fn check_outside(request: &RawRequest) -> Result<(), Rejection> {
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
