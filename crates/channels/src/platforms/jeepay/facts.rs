//! What a proven jeepay notice asserts: a payment, a refund or a transfer, by the id field that it has.

use super::settings::Config;
use super::{FAMILY, IDS, Message};
use crate::model::{EventKind, Fact, Identity, Money, Notification, Scope};
use crate::platforms::joined::{Reading, fen, read_millis};

/// The only currency whose unit is documented, in lower case as jeepay writes it.
const CURRENCY: &str = "cny";

/// What the state of a notice means.
enum State {
    /// This kind of event.
    Event(EventKind),
    /// On its way; nothing happened to money yet, and there is no event for it.
    Underway,
    /// None that we know.
    Unknown,
}

/// Reads a message whose signature was checked.
pub(super) fn read(config: &Config, message: &Message<'_>) -> Notification {
    let scope = Scope { environment: config.environment, family: FAMILY, account: config.mch_no.clone() };
    let mut reading = Reading::new(message, scope);
    let sent_at = reading.time("reqTime", read_millis);
    if reading.get("reqTime").is_none() {
        reading.missing("reqTime");
    }
    let state = reading.get("state").unwrap_or_default().to_owned();
    let kind = kind(&mut reading);
    let number = kind.and_then(|id| reading.number(id));
    // There is no number of the notice itself. It is written once and sent again as it is, with its time.
    let written = reading.get("reqTime").unwrap_or_default();
    let name = number.map(|number| format!("{number}:{state}:{written}"));
    let name = name.filter(|name| Identity::new(name.as_str()).is_some());
    let platform_id = name.unwrap_or_else(|| reading.digest(&[]));
    let fact = match (kind, number.and_then(Identity::new)) {
        (Some("refundOrderId"), Some(identity)) => refund(&mut reading, config, &state, identity),
        (Some("transferId"), Some(identity)) => transfer(&mut reading, config, &state, identity),
        (Some(_), Some(identity)) => payment(&mut reading, config, &state, identity),
        _ => None,
    };
    let fact = fact.unwrap_or_else(|| reading.other(&platform_id));
    let shown = format!("{} {state}", kind.unwrap_or_default());
    reading.finish(platform_id, shown.trim(), sent_at, fact)
}

/// The id field that says what it is about: a refund has its payment's id beside its own, and nothing else has two.
fn kind(reading: &mut Reading<'_>) -> Option<&'static str> {
    let found: Vec<&'static str> = IDS.iter().copied().filter(|id| reading.has(id)).collect();
    match found.as_slice() {
        [id] | ["payOrderId", id @ "refundOrderId"] => Some(id),
        [] => {
            reading.missing("payOrderId");
            None
        }
        [first, ..] => {
            reading.contradiction(first);
            None
        }
    }
}

fn payment(reading: &mut Reading<'_>, config: &Config, state: &str, identity: Identity) -> Option<Fact> {
    let state = match state {
        "0" | "1" => State::Event(EventKind::PaymentPending),
        "2" => State::Event(EventKind::PaymentSucceeded),
        "3" => State::Event(EventKind::PaymentFailed),
        // Cancelled before it was paid, or closed.
        "4" | "6" => State::Event(EventKind::PaymentClosed),
        // Paid, and refunded in full since. That refund has a notice of its own, which names it.
        "5" => {
            reading.unknown("state");
            State::Event(EventKind::PaymentSucceeded)
        }
        _ => State::Unknown,
    };
    let mut fact = fact(reading, &state, identity, "amount")?;
    fact.order_no = reading.number("mchOrderNo").map(str::to_owned);
    fact.payee = Some(config.mch_no.clone());
    Some(fact)
}

fn refund(reading: &mut Reading<'_>, config: &Config, state: &str, identity: Identity) -> Option<Fact> {
    let state = match state {
        "0" | "1" => State::Underway,
        "2" => State::Event(EventKind::RefundSucceeded),
        // Failed, or closed: the money stayed where it was.
        "3" | "4" => State::Event(EventKind::RefundFailed),
        _ => State::Unknown,
    };
    let mut fact = fact(reading, &state, identity, "refundAmount")?;
    let total = amount(reading, "payAmount");
    if let (Some(total), Some(refunded)) = (total, fact.signed_money())
        && refunded.minor > total.minor
    {
        reading.contradiction("refundAmount");
    }
    let number = reading.number("mchRefundNo");
    fact.aliases = own_number(config, number);
    // The notice does not name the order, but its payment.
    fact.payment = reading.number("payOrderId").and_then(Identity::new);
    Some(fact)
}

fn transfer(reading: &mut Reading<'_>, config: &Config, state: &str, identity: Identity) -> Option<Fact> {
    let state = match state {
        "0" | "1" => State::Underway,
        "2" => State::Event(EventKind::TransferSucceeded),
        "3" | "4" => State::Event(EventKind::TransferFailed),
        _ => State::Unknown,
    };
    let mut fact = fact(reading, &state, identity, "amount")?;
    let number = reading.number("mchOrderNo");
    fact.aliases = own_number(config, number);
    fact.order_no = number.map(str::to_owned);
    Some(fact)
}

/// What all three have. None where the state says nothing about money.
fn fact(reading: &mut Reading<'_>, state: &State, identity: Identity, amount_field: &'static str) -> Option<Fact> {
    let kind = match state {
        State::Event(kind) => *kind,
        State::Underway => return None,
        State::Unknown => {
            if reading.has("state") {
                reading.unknown("state");
            } else {
                reading.missing("state");
            }
            return None;
        }
    };
    let amount = amount(reading, amount_field);
    let platform_no = identity.as_str().to_owned();
    let mut fact = reading.fact(kind, identity, amount);
    fact.platform_no = Some(platform_no);
    fact.occurred_at = reading.time("successTime", read_millis);
    Some(fact)
}

/// Fen, where the currency is the one whose unit is documented.
fn amount(reading: &mut Reading<'_>, field: &'static str) -> Option<Money> {
    match reading.get("currency") {
        None => {
            reading.missing("currency");
            None
        }
        Some(currency) if currency.eq_ignore_ascii_case(CURRENCY) => reading.amount(field, fen),
        Some(_) => {
            reading.unknown("currency");
            None
        }
    }
}

/// Our own number of a refund or transfer: counted within the application.
fn own_number(config: &Config, number: Option<&str>) -> Vec<Identity> {
    let number = number.map(|number| format!("no:{}:{number}", config.app_id));
    number.and_then(Identity::new).into_iter().collect()
}
