//! What a proven message of the general trade system asserts.
//!
//! Source: Douyin Open Platform, general trade system, the callback pages. The account of a scope is the message's
//! application, so that a payment and its refunds meet in one scope.

use super::settings::Config;
use super::{Envelope, FAMILY, MESSAGE, TYPE, application};
use crate::channel::quote;
use crate::json::Json;
use crate::model::{Amount, Concern, Currency, EventKind, Fact, Notification, Scope, Timestamp};
use crate::platforms::douyin::{Reading, fact, message_name, other, parse_proven};
use crate::platforms::signed_body::sealed::kind_of;

/// The member that names the application.
pub(super) const APP_ID: &str = "app_id";

/// The member with the platform's number of a refund.
pub(super) const REFUND_ID: &str = "refund_id";

/// Ways to pay with money: WeChat Pay, Alipay, Douyin Pay.
const MONEY: [&str; 3] = ["1", "2", "10"];

/// Paid with diamonds, of which `total_amount` is then a count.
const DIAMONDS: &str = "20";

/// What `currency` then says.
const DIAMOND: &str = "DIAMOND";

/// Reads a message whose signature was checked.
pub(super) fn read(config: &Config, envelope: &Envelope, signed_at: Timestamp) -> Notification {
    let Envelope { kind, message: text, concerns, .. } = envelope;
    let message = parse_proven(text.as_bytes(), MESSAGE);
    let nothing = Json::Null;
    let mut reading = Reading::new(message.as_ref().unwrap_or(&nothing));
    for concern in concerns {
        reading.concern(concern.clone());
    }
    let own = || config.app_ids.first().cloned().unwrap_or_default();
    let account = match &message {
        Ok(_) => reading.account(APP_ID, &config.app_ids).unwrap_or_else(own),
        Err(concern) => {
            reading.concern(concern.clone());
            own()
        }
    };
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let number = ["order_id", "pay_order_id", "auth_order_id"].into_iter().find_map(|name| reading.text(name));
    let platform_id = message_name(number, format!("{kind}\n{text}").as_bytes());
    let read = match kind.as_str() {
        _ if message.is_err() => None,
        "payment" => payment(&mut reading, &scope),
        "sign_pay_callback" => deduction(&mut reading, &scope),
        "refund" => refund(&mut reading, &scope),
        "sign_callback" => agreement(&mut reading, &scope),
        // That a message does not say its kind is a concern already.
        application::KIND | "settle" | "" => None,
        _ => {
            reading.concern(Concern::UnknownValue { field: TYPE.into(), value: quote(kind) });
            None
        }
    };
    let fact = read.unwrap_or_else(|| other(scope.clone(), &platform_id));
    let sent_at = reading.milliseconds("event_time").or(Some(signed_at));
    Notification {
        scope,
        platform_id,
        platform_kind: kind_of(kind),
        sent_at,
        facts: vec![fact],
        concerns: reading.concerns,
    }
}

/// Cancelling an order is announced as well, by the buyer or by time.
fn payment(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("status") {
        Some("SUCCESS") => EventKind::PaymentSucceeded,
        Some("CANCEL") => EventKind::PaymentClosed,
        _ => {
            reading.undecided("status");
            return None;
        }
    };
    paid(reading, scope, kind, ("order_id", ""), "out_order_no")
}

/// A periodic deduction. A failed one is tried again another day.
fn deduction(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("status") {
        Some("SUCCESS") => EventKind::PaymentSucceeded,
        Some("FAIL") => EventKind::PaymentFailed,
        Some("TIME_OUT") => EventKind::PaymentClosed,
        _ => {
            reading.undecided("status");
            return None;
        }
    };
    let theirs = match reading.text("pay_order_id") {
        Some(_) => ("pay_order_id", "pay_order_id:"),
        None => ("order_id", ""),
    };
    let ours = if reading.text("out_pay_order_no").is_some() { "out_pay_order_no" } else { "out_order_no" };
    paid(reading, scope, kind, theirs, ours)
}

fn paid(
    reading: &mut Reading<'_>,
    scope: &Scope,
    kind: EventKind,
    (theirs, word): (&str, &str),
    ours: &str,
) -> Option<Fact> {
    let identity = reading.needed_identity(theirs, word)?;
    let amount = amount(reading, kind);
    Some(Fact {
        order_no: reading.needed(ours),
        platform_no: reading.name(theirs),
        payee: reading.name("merchant_uid"),
        occurred_at: reading.milliseconds("event_time"),
        ..fact(kind, scope.clone(), identity, amount)
    })
}

/// The order's amount; what the buyer paid is less the discount. Diamonds are counted and are no money.
fn amount(reading: &mut Reading<'_>, kind: EventKind) -> Amount {
    let way = reading.text("pay_channel");
    let currency = reading.text("currency");
    let is_paid = kind == EventKind::PaymentSucceeded;
    if way == Some(DIAMONDS) || currency == Some(DIAMOND) {
        if way.is_some_and(|way| way != DIAMONDS) || currency.is_some_and(|currency| currency != DIAMOND) {
            reading.contradiction("currency");
            return Amount::Unreadable;
        }
        // A count must be one, too.
        return match reading.fen("total_amount", Currency::CNY) {
            Amount::Stated(_) => Amount::None,
            other => other,
        };
    }
    if is_paid && way.is_none_or(|way| !MONEY.contains(&way)) {
        // In another way to pay the number may count something else.
        reading.undecided("pay_channel");
    }
    if let Some(code) = currency
        && code != Currency::CNY.code()
    {
        reading.concern(Concern::UnreadableAmount { field: "currency".into() });
        return Amount::Unreadable;
    }
    let total = reading.fen("total_amount", Currency::CNY);
    if reading.at("discount_amount").is_some_and(|discount| *discount != Json::Null) {
        let discount = reading.fen("discount_amount", Currency::CNY);
        if let (Amount::Stated(total), Amount::Stated(discount)) = (&total, &discount)
            && discount.minor > total.minor
        {
            reading.contradiction("discount_amount");
        }
    }
    total
}

fn refund(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("status") {
        Some("SUCCESS") => EventKind::RefundSucceeded,
        Some("FAIL") => EventKind::RefundFailed,
        _ => {
            reading.undecided("status");
            return None;
        }
    };
    let theirs = reading.identity(REFUND_ID, "refund_id:");
    // Empty when the buyer or the platform began it.
    let ours = reading.identity("out_refund_no", "out_refund_no:");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing(REFUND_ID);
        return None;
    };
    let aliases = names.collect();
    let amount = reading.fen("refund_total_amount", Currency::CNY);
    let payment = reading.needed_identity("order_id", "");
    Some(Fact {
        aliases,
        platform_no: reading.name(REFUND_ID),
        occurred_at: reading.milliseconds("event_time"),
        payment,
        ..fact(kind, scope.clone(), identity, amount)
    })
}

/// An agreement that was signed or ended; one that ran out, or was never signed, is nobody's act.
fn agreement(reading: &mut Reading<'_>, scope: &Scope) -> Option<Fact> {
    let kind = match reading.text("status") {
        Some("SUCCESS") => EventKind::AgreementSigned,
        Some("CANCEL") => EventKind::AgreementCancelled,
        Some("FAIL" | "TIME_OUT") => return None,
        _ => {
            reading.undecided("status");
            return None;
        }
    };
    // No document at hand names the member, so its absence is no fault.
    let identity = reading.identity("auth_order_id", "auth_order_id:")?;
    Some(Fact {
        platform_no: reading.name("auth_order_id"),
        order_no: reading.name("out_auth_order_no"),
        occurred_at: reading.milliseconds("event_time"),
        ..fact(kind, scope.clone(), identity, Amount::None)
    })
}
