//! Mollie: the classic webhook of a payment, which only names it, and the signed events of webhook subscriptions.
//!
//! A classic call is a form with one field, `id=tr_…`: no status, no signature. It is a hint; the payment is read from
//! the API with the merchant's key, with its refunds and chargebacks, and that answer is what is believed. An event is
//! JSON under `X-Mollie-Signature: sha256=…`, HMAC-SHA256 of the raw body; for a day after a change of the secret it
//! carries two signatures. An event with its whole entity is believed as it stands; one that only names a payment is a
//! hint whose sender knows the secret. Sources: Mollie's documents on webhooks, payments, refunds and chargebacks, its PHP and
//! Python kits.

mod api;
mod event;
mod facts;
mod settings;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use self::settings::{Config, SETTINGS};
use super::Platform;
use super::signed_body::JSON;
use crate::channel::{
    Answer, Channel, Failure, FetchBack, Hint, HintNumber, KeyNote, Ladder, Likeness, Rejection, Verdict, quote,
};
use crate::form::{Form, FormError, Limits};
use crate::json::Json;
use crate::model::{AckMatch, AppReply, RawRequest, Reply, Timestamp};
use crate::settings::{Settings, SettingsError, Text};

/// Largest body of a classic call: one field of some twenty characters.
pub const HINT_BYTES_MAX: usize = 1024;

/// Most fields of a classic call.
pub const HINT_FIELDS_MAX: usize = 8;

/// Largest body of an event. Payments with order lines have some 10 kB.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// The platform's entry.
pub static PLATFORM: Platform = Platform {
    kind: "mollie",
    family: FAMILY,
    name: Text { en: "Mollie", zh: "Mollie" },
    settings: SETTINGS,
    ladder: LADDER,
    patience: Some(Duration::from_secs(15)),
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
const FAMILY: &str = "mollie";

const FORM: &str = "application/x-www-form-urlencoded";

const TEXT: &str = "text/plain";

const LIMITS: Limits = Limits { bytes_max: HINT_BYTES_MAX, pairs_max: HINT_FIELDS_MAX };

/// Ten attempts at 0, 1, 3, 7, 15, 31 minutes, 1, 2, 4 and 26 hours.
const LADDER: Ladder = &[
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(4),
    Duration::from_mins(8),
    Duration::from_mins(16),
    Duration::from_mins(29),
    Duration::from_hours(1),
    Duration::from_hours(2),
    Duration::from_hours(22),
];

const UNCONFIRMED: &[Text] = &[
    Text {
        en: "how often the API may be asked: no limit is published, four questions a second are asked at most",
        zh: "API 的调用频率上限未公布；本网关每秒最多查询 4 次",
    },
    Text {
        en: "the gaps between attempts to bring a signed event (about ten in 26 hours); those of classic calls are taken",
        zh: "签名事件的重发间隔（26 小时内约 10 次）；按经典 Webhook 的间隔处理",
    },
    Text {
        en: "events without their entity: those of payments are asked about, those of other money are held",
        zh: "不带实体的事件：支付类会再向 API 查询，其他涉及资金的会被挂起",
    },
    Text {
        en: "`payment-link.paid` does not say which payment it was: it is held; the classic webhook of that payment tells the \
             money",
        zh: "`payment-link.paid` 未说明对应哪笔支付：一律挂起；资金以该笔支付的经典 Webhook 为准",
    },
    Text {
        en: "disputes (`dispute.*`) and every other type of event that is not known here are held; of those that are, \
             `sales-invoice.*`, `profile.*`, `balance-transaction.*` and payouts on their way are stored as `other`",
        zh: "争议事件（`dispute.*`）与所有未知类型一律挂起；`sales-invoice.*`、`profile.*`、`balance-transaction.*` 及处理中的打款只保存为 `other`",
    },
    Text {
        en: "the fields of payouts in events: one without an amount that can be read is held",
        zh: "事件中打款（payout）的字段；金额无法读取时会被挂起",
    },
    Text {
        en: "payments that were captured in part: a payment whose captured amount differs from its own is held",
        zh: "部分请款的支付：已请款金额与支付金额不一致时会被挂起",
    },
    Text {
        en: "classic calls about anything but payments (orders, `ord_…`) are refused; only `tr_…` is asked about",
        zh: "经典 Webhook 只处理支付（tr_…）；其他编号（如订单 ord_…）会被拒绝",
    },
];

fn build(settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
    Ok(Box::new(Mollie { config: Config::build(settings)? }))
}

/// A configured profile.
#[derive(Debug)]
struct Mollie {
    config: Config,
}

/// Which of the two protocols a request speaks.
enum Protocol {
    Classic,
    Event,
}

impl Channel for Mollie {
    fn recognise(&self, request: &RawRequest) -> Likeness {
        match protocol(request) {
            // It carries no id but the payment's.
            Ok(Protocol::Classic) if payment_number(request).is_ok() => Likeness::Merchant,
            Ok(Protocol::Event) if request.headers.contains_key(event::SIGNATURE) => {
                let Ok(event) = Json::parse(&request.body) else { return Likeness::No };
                if !event::is_event(&event) {
                    return Likeness::No;
                }
                let profile = event::profile(&event);
                if profile.is_none_or(|profile| profile == self.config.profile_id) {
                    Likeness::Merchant
                } else {
                    Likeness::Shape
                }
            }
            _ => Likeness::No,
        }
    }

    fn verify(&self, request: &RawRequest, _: Timestamp) -> Verdict {
        let verdict = match protocol(request) {
            Ok(Protocol::Classic) => payment_number(request).map(|number| Verdict::Hint(Hint::from_anybody(number))),
            Ok(Protocol::Event) => event::verify(&self.config, request),
            Err(rejection) => Err(rejection),
        };
        verdict.unwrap_or_else(Verdict::Refused)
    }

    /// Only the status counts, and only 200 ends the repetitions.
    fn answer(&self, answer: Answer, _: Option<&RawRequest>) -> Reply {
        match answer {
            Answer::Success => Reply { status: 200, content_type: None, body: Bytes::new() },
            Answer::Failure(Failure::Refused) => Reply::constant(400, TEXT, b"refused"),
            Answer::Failure(Failure::Busy | Failure::NotYet) => Reply::constant(503, TEXT, b"later"),
        }
    }

    /// The status decides, but an answer that says it failed confirms nothing.
    fn is_ack(&self, reply: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        let is_accepted = reply.status == 200 && !super::failure::says_failure(reply.body);
        if is_accepted { AckMatch::Exact } else { AckMatch::No }
    }

    fn fields(&self, proven: &RawRequest) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        if let Ok(message @ Json::Object(_)) = Json::parse(&proven.body) {
            message.flatten("", &mut fields);
        }
        fields
    }

    fn keys(&self) -> Vec<KeyNote> {
        self.config.notes.clone()
    }

    fn gives_only_hints(&self) -> bool {
        self.config.secrets.is_empty()
    }

    fn fetch_back(&self) -> Option<&dyn FetchBack> {
        self.config.api.is_some().then_some(self)
    }
}

/// Method, type and size.
fn protocol(request: &RawRequest) -> Result<Protocol, Rejection> {
    if request.method != Method::POST {
        return Err(Rejection::Method { method: quote(request.method.as_str()) });
    }
    let media_type = request.media_type();
    let (protocol, limit) = match media_type.as_str() {
        FORM => (Protocol::Classic, HINT_BYTES_MAX),
        JSON => (Protocol::Event, EVENT_BYTES_MAX),
        _ => return Err(Rejection::MediaType { media_type: quote(&media_type) }),
    };
    if request.body.is_empty() {
        return Err(Rejection::Empty);
    }
    if request.body.len() > limit {
        return Err(Rejection::TooLarge { limit });
    }
    Ok(protocol)
}

/// The payment that a classic call names.
fn payment_number(request: &RawRequest) -> Result<HintNumber, Rejection> {
    let form = Form::parse(&request.body, LIMITS).map_err(|error| match error {
        FormError::TooLarge { limit } => Rejection::TooLarge { limit },
        FormError::TooManyPairs { limit } => Rejection::TooManyFields { limit },
        FormError::Percent { .. } => Rejection::Malformed { field: "body".into() },
    })?;
    if let Some(name) = form.duplicate() {
        return Err(Rejection::Duplicate { field: quote(&String::from_utf8_lossy(name)) });
    }
    let id = form.present("id").ok_or_else(|| Rejection::Missing { field: "id".into() })?;
    payment_id(id).ok_or_else(|| Rejection::Malformed { field: "id".into() })
}

/// A payment's id: `tr_` and letters and digits.
fn payment_id(id: &[u8]) -> Option<HintNumber> {
    let text = std::str::from_utf8(id).ok()?;
    let rest = text.strip_prefix("tr_")?;
    let is_plain = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { HintNumber::new(text) } else { None }
}
