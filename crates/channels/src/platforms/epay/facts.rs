//! What a proven epay callback asserts: one payment, or something that a person must look at.

use super::settings::Config;
use super::{FAMILY, Message};
use crate::model::{EventKind, Fact, Identity, Notification, Scope, Timestamp};
use crate::platforms::joined::{Reading, read_compact, read_time, yuan};

/// The only state that is a payment, and the only one that the documents name.
const PAID: &str = "TRADE_SUCCESS";

/// Fields that a repetition writes anew.
const VOLATILE: &[&str] = &["timestamp"];

/// The years in which a trade number may begin with its date: epay is younger than the one, and the other keeps out
/// numbers that only look like dates.
const YEARS: std::ops::Range<&str> = "2013".."2100";

/// Reads a message whose signature was checked. `sent_at` is V2's `timestamp`.
pub(super) fn read(config: &Config, message: &Message<'_>, sent_at: Option<Timestamp>) -> Notification {
    let scope = Scope { environment: config.environment, family: FAMILY, account: config.account.clone() };
    let mut reading = Reading::new(message, scope);
    let status = reading.get("trade_status").unwrap_or_default().to_owned();
    let number = reading.number("trade_no");
    // The same on every repetition. There is no number of the notification itself.
    let name = number.map(|number| format!("{number}:{status}")).filter(|name| Identity::new(name.as_str()).is_some());
    let platform_id = name.unwrap_or_else(|| reading.digest(VOLATILE));
    let sent_at = sent_at.or_else(|| number.and_then(date_of));
    let fact = match number.and_then(Identity::new) {
        Some(identity) if status == PAID => payment(&mut reading, config, identity),
        _ => {
            if status.is_empty() {
                reading.missing("trade_status");
            } else if status != PAID {
                reading.unknown("trade_status");
            }
            reading.other(&platform_id)
        }
    };
    reading.finish(platform_id, &status, sent_at, fact)
}

/// The trade number alone names the payment: one order that was paid twice has two.
fn payment(reading: &mut Reading<'_>, config: &Config, identity: Identity) -> Fact {
    let amount = reading.amount("money", yuan);
    let platform_no = identity.as_str().to_owned();
    let mut fact = reading.fact(EventKind::PaymentSucceeded, identity, amount);
    fact.platform_no = Some(platform_no);
    fact.order_no = reading.number("out_trade_no").map(str::to_owned);
    fact.payee = Some(config.pid.clone());
    // Forks write it in ways of their own. It only says when, so none that cannot be read holds a payment back.
    fact.occurred_at = reading.get("endtime").and_then(read_time);
    fact
}

/// The date with which the common build's trade numbers begin.
fn date_of(number: &str) -> Option<Timestamp> {
    let date = number.get(..14)?;
    if YEARS.contains(&date.get(..4)?) { read_compact(date) } else { None }
}
