//! Credit-score orders (支付分) that were paid.
//!
//! Source: WeChat Pay merchant documents, "pay-score order: notification of payment". An order says what it comes
//! to; what was paid stands in `collection`, a row for each payment. Only such a row proves one: it has the
//! platform's payment number, by which refunds name it, and its own amount. The message says that money came, so
//! whatever of it cannot be read holds it.

use super::{Reading, SUB_ORDERS_MAX, Value, fact};
use crate::model::{Amount, EventKind, Fact};

/// Paid through WeChat Pay.
const BY_WECHAT: &str = "NEWTON";

/// Paid elsewhere, as the merchant itself told the platform: no payment of this platform.
const ELSEWHERE: &str = "MCH";

/// One payment for each row that proves one; else a message that is held, or that tells of payments elsewhere alone.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    match reading.get("", "collection.state") {
        Some("USER_PAID") => {}
        // Not paid yet, under a word that says it was.
        Some("USER_PAYING") => {
            reading.contradiction("", "collection.state");
            return vec![reading.other()];
        }
        Some(_) => {
            reading.unknown("", "collection.state");
            return vec![reading.other()];
        }
        None => {
            reading.missing("collection.state");
            return vec![reading.other()];
        }
    }
    let count = match reading.tree.at("collection.details") {
        Some(Value::List(rows)) => rows.len(),
        _ => 0,
    };
    if count == 0 || count > SUB_ORDERS_MAX {
        reading.missing("collection.details");
        return vec![reading.other()];
    }
    let payments: Vec<Fact> = (0..count).filter_map(|at| payment(reading, at)).collect();
    if payments.is_empty() { vec![reading.other()] } else { payments }
}

/// The payment of a row; none for one that was made elsewhere, and for one that cannot be read, which is a concern.
fn payment(reading: &mut Reading<'_>, at: usize) -> Option<Fact> {
    let prefix = format!("collection.details.{at}.");
    match reading.get(&prefix, "paid_type") {
        Some(BY_WECHAT) => {}
        Some(ELSEWHERE) => return None,
        Some(_) => {
            reading.unknown(&prefix, "paid_type");
            return None;
        }
        None => {
            reading.missing(&format!("{prefix}paid_type"));
            return None;
        }
    }
    if reading.get(&prefix, "transaction_id").is_none() {
        reading.missing(&format!("{prefix}transaction_id"));
    }
    let identity = reading.identity(&prefix, "transaction_id", "")?;
    let amount @ Amount::Stated(_) = reading.amount(&prefix, "amount", "currency") else { return None };
    Some(Fact {
        platform_no: Some(identity.as_str().to_owned()),
        payee: reading.name("", "sub_mchid").or_else(|| reading.name("", "mchid")),
        order_no: reading.name("", "out_order_no"),
        occurred_at: reading.time(&prefix, "paid_time"),
        ..fact(EventKind::PaymentSucceeded, reading.scope.clone(), identity, amount)
    })
}
