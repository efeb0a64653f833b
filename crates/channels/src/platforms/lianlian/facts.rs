//! What a proven LianLian notice asserts.
//!
//! The account of a scope is the merchant's number. A payment and a payout are named by `oid_paybill`, LianLian's own
//! number; a refund by its own numbers, for its notice names neither the order nor the payment.

use super::message::Message;
use super::settings::{Config, Purpose};
use super::{FAMILY, canonical};
use crate::channel::quote;
use crate::json::Json;
use crate::model::{Concern, EventKind, Fact, Notification, Scope};
use crate::platforms::accounts::Notice;

/// Fields that only a refund has.
const SIGNS_OF_A_REFUND: &[&str] = &["no_refund", "oid_refundno", "sta_refund", "money_refund"];

/// Fields that only a payment or a payout has.
const SIGNS_OF_A_BILL: &[&str] = &["no_order", "oid_paybill", "result_pay", "money_order"];

/// Reads a message whose signature was checked. `text` is what was signed.
pub(super) fn read(config: &Config, message: &Message, text: &[u8]) -> Notification {
    let fields = message.covered().map(|(name, value)| (name.to_owned(), Json::Text(value.to_owned())));
    let fields = Json::Object(fields.collect());
    let account = message.get("oid_partner").unwrap_or_default().to_owned();
    let scope = Scope { environment: config.environment, family: FAMILY, account };
    let has = |signs: &[&str]| signs.iter().any(|sign| message.get(sign).is_some());
    let is_refund = has(SIGNS_OF_A_REFUND);
    let date = if is_refund { "dt_refund" } else { "dt_order" };
    let mut notice = Notice::new(&fields, scope, date, text);
    if let Some(name) = canonical::ambiguous_field(message) {
        notice.concern(Concern::Ambiguous { field: quote(name) });
    }
    let (kind, facts) = match config.purpose {
        purpose if is_refund => {
            // What goes out has no refunds: then the address serves two purposes.
            if purpose == Purpose::Payout || has(SIGNS_OF_A_BILL) {
                notice.contradiction("no_refund");
            }
            ("refund", refund(&mut notice))
        }
        Purpose::Payment => ("payment", payment(&mut notice)),
        Purpose::Payout => ("payout", payout(&mut notice)),
    };
    let sent_at = notice.time(date).or_else(|| notice.time("settle_date"));
    // Without any time an old capture could not be told from a new message.
    if sent_at.is_none() {
        notice.missing(date);
    }
    notice.finish(kind, sent_at, facts)
}

/// Money that came in. LianLian sends nothing but successes.
fn payment(notice: &mut Notice<'_>) -> Vec<Fact> {
    match notice.get("result_pay") {
        Some("SUCCESS") => {
            let payee = notice.name("oid_partner");
            let mut facts = bill(notice, EventKind::PaymentSucceeded);
            facts
                .iter_mut()
                .filter(|fact| fact.kind != EventKind::Other)
                .for_each(|fact| fact.payee.clone_from(&payee));
            facts
        }
        _ => notice.not_understood("result_pay"),
    }
}

/// Money that went out. The merchant's number names it as well.
fn payout(notice: &mut Notice<'_>) -> Vec<Fact> {
    let kind = match notice.get("result_pay") {
        Some("SUCCESS") => EventKind::TransferSucceeded,
        Some("FAILURE") => EventKind::TransferFailed,
        // The bank sent it back after it had succeeded.
        Some("CANCEL") => EventKind::TransferReturned,
        _ => return notice.not_understood("result_pay"),
    };
    let ours = notice.identity("no_order", "no_order:");
    let mut facts = bill(notice, kind);
    facts.iter_mut().filter(|fact| fact.kind == kind).for_each(|fact| fact.aliases.extend(ours.clone()));
    facts
}

/// What a payment and a payout have in common: all fields.
fn bill(notice: &mut Notice<'_>, kind: EventKind) -> Vec<Fact> {
    let Some(identity) = notice.identity("oid_paybill", "") else { return notice.not_understood("oid_paybill") };
    let amount = notice.yuan("money_order");
    let order_no = notice.name("no_order");
    if order_no.is_none() {
        notice.missing("no_order");
    }
    vec![Fact { platform_no: notice.name("oid_paybill"), order_no, ..notice.fact(kind, identity, amount) }]
}

/// A refund by its state.
fn refund(notice: &mut Notice<'_>) -> Vec<Fact> {
    let kind = match notice.get("sta_refund") {
        Some("2") => EventKind::RefundSucceeded,
        Some("3") => EventKind::RefundFailed,
        _ => return notice.not_understood("sta_refund"),
    };
    let theirs = notice.identity("oid_refundno", "oid_refundno:");
    let ours = notice.identity("no_refund", "no_refund:");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else { return notice.not_understood("oid_refundno") };
    let aliases = names.collect();
    let amount = notice.yuan("money_refund");
    vec![Fact { aliases, platform_no: notice.name("oid_refundno"), ..notice.fact(kind, identity, amount) }]
}
