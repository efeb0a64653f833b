//! Stripe's side: snapshot events with a throw-away secret, and with a channel's own.

use aws_lc_rs::rand;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::header::SIGNATURE;
use super::settings::{ACCOUNT, Config, SECRET};
use crate::model::{Environment, EventKind, RawRequest};
use crate::platforms::accounts::simulate::{key, number, post};
use crate::platforms::signed_body::JSON;
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;
use crate::simulate::{Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

const STORIES: &[EventKind] = &[
    EventKind::PaymentSucceeded,
    EventKind::PaymentPending,
    EventKind::PaymentAuthorized,
    EventKind::PaymentFailed,
    EventKind::PaymentClosed,
    EventKind::RefundSucceeded,
    EventKind::RefundFailed,
    EventKind::DisputeOpened,
    EventKind::DisputeUpdated,
    EventKind::DisputeClosed,
    EventKind::TransferSucceeded,
    EventKind::TransferFailed,
    EventKind::TransferReturned,
    EventKind::Other,
];

/// Bytes of randomness in a secret.
const RANDOM: usize = 16;

/// A new other side with a fresh secret.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    let mut random = [0; RANDOM];
    rand::fill(&mut random).expect("the system has randomness");
    Box::new(Side { random: Zeroizing::new(hex(&random)) })
}

/// Events that a configured channel accepts.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection { config: Config::build(settings)? }))
}

struct Side {
    /// The secret behind its prefix.
    random: Zeroizing<String>,
}

impl Side {
    fn secret(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("whsec_{}", *self.random))
    }

    /// An account of this side's own. No event of the own account carries it.
    fn account(&self) -> String {
        format!("acct_{:016}", number(&self.random) % 10_000_000_000_000_000)
    }
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        let written = self.written_settings();
        written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        let account = SettingValue::Text(self.account());
        vec![
            WrittenSetting { name: ACCOUNT, value: account, file_name: None },
            key(SECRET, self.secret().as_bytes(), "stripe_secret"),
        ]
    }

    fn stories(&self) -> &'static [EventKind] {
        STORIES
    }

    fn callback(&self, story: &Story) -> Genuine {
        let key = HmacKey::new(self.secret().as_bytes(), HmacHash::Sha256, SECRET);
        let request = signed(story, Environment::Live, "order_id", &key);
        Genuine { request, cover: Cover::BodyAndStamp { signature: SIGNATURE } }
    }

    fn export(&self) -> Vec<u8> {
        self.random.as_bytes().to_vec()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let is_right = exported.len() == RANDOM * 2 && exported.iter().all(u8::is_ascii_hexdigit);
        let text = std::str::from_utf8(exported).ok().filter(|_| is_right).ok_or("not 32 hexadecimal digits")?;
        self.random = Zeroizing::new(text.to_owned());
        Ok(())
    }

    fn names_merchant(&self) -> bool {
        false
    }
}

struct Reflection {
    config: Config,
}

impl Mirror for Reflection {
    fn stories(&self) -> Vec<EventKind> {
        STORIES.to_vec()
    }

    fn callback(&self, story: &Story) -> RawRequest {
        let secret = self.config.secrets.first().expect("checked when it was built");
        signed(story, self.config.environment, &self.config.order_key, secret)
    }
}

fn signed(story: &Story, environment: Environment, order_key: &str, key: &HmacKey) -> RawRequest {
    let body = event(story, environment, order_key).to_string();
    let time = story.at.as_second();
    let tag = hex(&key.sign(format!("{time}.{body}").as_bytes()));
    let mut request = post("/notify/stripe", JSON, body.into_bytes(), story.at);
    let value = HeaderValue::from_str(&format!("t={time},v1={tag}")).expect("digits");
    request.headers.insert(HeaderName::from_static(SIGNATURE), value);
    request
}

fn event(story: &Story, environment: Environment, order_key: &str) -> Value {
    let (kind, mut object) = object(story);
    object["metadata"] = json!({ order_key: story.order_no, "note": story.note });
    object["livemode"] = json!(environment == Environment::Live);
    object["created"] = json!(story.at.as_second());
    let id = number(&format!("{kind}/{}/{}/{}", story.order_no, story.amount_minor, story.serial));
    let mut data = json!({ "object": object });
    if story.kind == EventKind::TransferReturned {
        data["previous_attributes"] = json!({ "status": "paid" });
    }
    json!({
        "id": format!("evt_1{id:020}"),
        "object": "event",
        "api_version": "2025-09-30.clover",
        "created": story.at.as_second(),
        "data": data,
        "livemode": environment == Environment::Live,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": kind,
    })
}

/// The type, and what it is about.
fn object(story: &Story) -> (&'static str, Value) {
    let unique = |what: &str| number(&format!("{what}/{}/{}", story.order_no, story.serial));
    let payment = format!("pi_3{:020}", number(&story.order_no));
    let charge = format!("ch_3{:020}", number(&story.order_no));
    let intent = |status: &str| {
        json!({
            "id": payment,
            "object": "payment_intent",
            "amount": story.amount_minor,
            "amount_capturable": if status == "requires_capture" { story.amount_minor } else { 0 },
            "amount_received": if status == "succeeded" { story.amount_minor } else { 0 },
            "currency": "usd",
            "latest_charge": charge,
            "status": status,
        })
    };
    let refund = |status: &str| {
        let number = story.refund_no.as_deref().map_or_else(|| unique("refund"), number);
        json!({
            "id": format!("re_3{number:020}"),
            "object": "refund",
            "amount": story.refunded_minor,
            "charge": charge,
            "currency": "usd",
            "payment_intent": payment,
            "reason": "requested_by_customer",
            "status": status,
        })
    };
    let dispute = |status: &str| {
        json!({
            "id": format!("du_1{:020}", unique("dispute")),
            "object": "dispute",
            "amount": story.amount_minor,
            "charge": charge,
            "currency": "usd",
            "payment_intent": payment,
            "reason": "fraudulent",
            "status": status,
        })
    };
    let payout = |status: &str| {
        json!({
            "id": format!("po_1{:020}", unique("payout")),
            "object": "payout",
            "amount": story.amount_minor,
            "currency": "usd",
            "method": "standard",
            "status": status,
        })
    };
    match story.kind {
        EventKind::PaymentPending => ("payment_intent.processing", intent("processing")),
        EventKind::PaymentAuthorized => ("payment_intent.amount_capturable_updated", intent("requires_capture")),
        EventKind::PaymentFailed => ("payment_intent.payment_failed", intent("requires_payment_method")),
        EventKind::PaymentClosed => ("payment_intent.canceled", intent("canceled")),
        EventKind::RefundSucceeded => ("refund.created", refund("succeeded")),
        EventKind::RefundFailed => ("refund.failed", refund("failed")),
        EventKind::DisputeOpened => ("charge.dispute.created", dispute("needs_response")),
        EventKind::DisputeUpdated => ("charge.dispute.updated", dispute("under_review")),
        EventKind::DisputeClosed => ("charge.dispute.closed", dispute("won")),
        EventKind::TransferSucceeded => ("payout.paid", payout("paid")),
        EventKind::TransferFailed | EventKind::TransferReturned => ("payout.failed", payout("failed")),
        EventKind::Other => {
            ("customer.created", json!({ "id": format!("cus_{}", unique("customer")), "object": "customer" }))
        }
        _ => ("payment_intent.succeeded", intent("succeeded")),
    }
}
