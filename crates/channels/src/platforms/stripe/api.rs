//! The question about an object that a thin event names, and what its answer says: the object as it is now.

use super::facts::{self, is_of};
use super::{BODY_BYTES_MAX, Stripe, check_outside};
use crate::channel::{
    Answered, Credential, FetchBack, FetchRefused, Fetched, Hint, HintNumber, NextAsk, Pace, Question,
};
use crate::json::Json;
use crate::model::{EventKind, Proven, RawRequest, Timestamp};
use crate::signature::digest::{DigestHash, HexCase};

/// Where the objects of money are, by how their ids begin (Stripe, API reference).
const PATHS: &[(&str, &str)] = &[
    ("pi_", "/v1/payment_intents/"),
    ("ch_", "/v1/charges/"),
    ("py_", "/v1/charges/"),
    ("cs_", "/v1/checkout/sessions/"),
    ("re_", "/v1/refunds/"),
    ("pyr_", "/v1/refunds/"),
    ("du_", "/v1/disputes/"),
    ("dp_", "/v1/disputes/"),
    ("po_", "/v1/payouts/"),
];

/// Digits of the digest in the name of what an answer tells.
const DIGITS: usize = 32;

/// The path before an id; none when nobody knows what the id is of.
pub(super) fn path(id: &str) -> Option<&'static str> {
    PATHS.iter().find(|(prefix, _)| id.starts_with(prefix)).map(|(_, path)| *path)
}

impl FetchBack for Stripe {
    fn ask(&self, hint: &Hint, _: Option<&Credential>, _: Timestamp) -> NextAsk {
        let api = self.config.api.as_ref().expect("a channel without a key does not ask");
        // A hint that was kept names what this channel took from a thin event, which has a path.
        let before = path(hint.number().as_str()).unwrap_or("/v1/payment_intents/");
        NextAsk::Question(Question::get(hint, &api.interface, &format!("{before}{}", hint.number()), &api.credential))
    }

    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused> {
        let malformed = |field| FetchRefused::Malformed { field };
        let Some(body) = answered.body(now)? else { return Ok(Fetched::Unknown) };
        if body.len() > BODY_BYTES_MAX {
            return Err(FetchRefused::TooLarge { limit: BODY_BYTES_MAX });
        }
        let object = Json::parse(body).map_err(|_| malformed("body"))?;
        let text = |name: &str| object.get(name).and_then(Json::text).filter(|text| !text.is_empty());
        if text("id").ok_or_else(|| malformed("id"))? != answered.number().as_str() {
            return Err(FetchRefused::OtherNumber);
        }
        // A refund says nothing of it; the key is of one environment alone.
        if object.get("livemode").is_some() && !is_of(self.config.environment, &object) {
            return Err(FetchRefused::OtherEnvironment);
        }
        let word = text("object").ok_or_else(|| malformed("object"))?;
        let kinds = kinds(&object, word).ok_or_else(|| malformed("object"))?;
        if kinds.is_empty() {
            return Ok(Fetched::Nothing);
        }
        let digest = DigestHash::Sha256.hex_of(&[body], HexCase::Lower);
        let platform_id = format!("{}:{}", answered.number(), &digest[..DIGITS]);
        let notification = facts::read_object(&self.config, &object, &platform_id, &kinds);
        let says_something = notification.facts.iter().any(|fact| fact.kind != EventKind::Other);
        if !says_something && notification.concerns.is_empty() {
            return Ok(Fetched::Nothing);
        }
        Ok(Fetched::Notification(Proven::by_platform_api(notification, answered)))
    }

    /// None: what the platform sends is signed, and nobody else signs it.
    fn callback(&self, _: &RawRequest) -> Option<RawRequest> {
        None
    }

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    /// The object itself: its answer tells what the event told. The key is of the endpoint's own account, and knows no
    /// object of another one.
    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        check_outside(message).ok()?;
        let event = Json::parse(&message.body).ok()?;
        let is_own = facts::is_event(&event) && facts::account(&event).is_none_or(|own| own == self.config.account);
        let object = event.get("data").and_then(|data| data.get("object")).or_else(|| event.get("related_object"));
        match object?.get("id")? {
            Json::Text(id) if is_own => path(id).and_then(|_| HintNumber::new(id)),
            _ => None,
        }
    }
}

/// The types of events that tell an object in this state; none of them while nothing has happened. None when the object is
/// no one of money. What is in no list is told by a type that is not known, and so is held.
fn kinds(object: &Json, word: &str) -> Option<Vec<&'static str>> {
    let status = match object.get("status") {
        Some(Json::Text(text)) => text.as_str(),
        _ => "",
    };
    let has = |name: &str| !matches!(object.get(name), None | Some(Json::Null));
    Some(match (word, status) {
        ("payment_intent", "succeeded") => vec!["payment_intent.succeeded"],
        ("payment_intent", "processing" | "requires_action") => vec!["payment_intent.processing"],
        ("payment_intent", "requires_capture") => vec!["payment_intent.amount_capturable_updated"],
        ("payment_intent", "canceled") => vec!["payment_intent.canceled"],
        ("payment_intent", "requires_payment_method") if has("last_payment_error") => {
            vec!["payment_intent.payment_failed"]
        }
        ("payment_intent", "requires_payment_method" | "requires_confirmation")
        | ("checkout.session", "open")
        | ("payout", "pending" | "in_transit") => vec![],
        ("payment_intent", _) => vec!["payment_intent.status"],
        // Without a number of its own the total proves a refund, and the payment before it.
        ("charge", "succeeded") if is_refunded(object) => vec!["charge.succeeded", "charge.refunded"],
        ("charge", "succeeded") => vec!["charge.succeeded"],
        ("charge", "pending") => vec!["charge.pending"],
        ("charge", "failed") => vec!["charge.failed"],
        ("charge", _) => vec!["charge.status"],
        ("checkout.session", "complete") => vec!["checkout.session.completed"],
        ("checkout.session", "expired") => vec!["checkout.session.expired"],
        ("checkout.session", _) => vec!["checkout.session.status"],
        ("refund", _) => vec!["refund.updated"],
        ("dispute", "warning_needs_response" | "needs_response") => vec!["charge.dispute.created"],
        ("dispute", "won" | "lost" | "warning_closed" | "prevented") => vec!["charge.dispute.closed"],
        ("dispute", _) => vec!["charge.dispute.updated"],
        ("payout", "paid") => vec!["payout.paid"],
        ("payout", "failed") => vec!["payout.failed"],
        ("payout", "canceled") => vec!["payout.canceled"],
        ("payout", _) => vec!["payout.status"],
        _ => return None,
    })
}

fn is_refunded(charge: &Json) -> bool {
    charge.get("amount_refunded").and_then(Json::text).is_some_and(|total| total != "0")
}
