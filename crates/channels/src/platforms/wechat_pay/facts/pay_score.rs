//! Credit-score orders (支付分) that were paid.
//!
//! Source: WeChat Pay merchant documents, "pay-score order: notification of payment". An order says what it comes
//! to; what was paid stands in `collection`, a row for each payment. Only such a row proves one: it has the
//! platform's payment number, by which refunds name it, and its own amount.

use super::{Reading, SUB_ORDERS_MAX, Value, fact};
use crate::model::{Amount, EventKind, Fact};

/// Paid through WeChat Pay; a row of `MCH` was paid elsewhere, and the merchant said so itself.
const BY_WECHAT: &str = "NEWTON";

/// One payment for each row that proves one; else a message without a money meaning that we know.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    if reading.get("", "collection.state") != Some("USER_PAID") {
        return vec![reading.other()];
    }
    let count = match reading.tree.at("collection.details") {
        Some(Value::List(rows)) => rows.len(),
        _ => 0,
    };
    if count > SUB_ORDERS_MAX {
        reading.missing("collection.details");
        return vec![reading.other()];
    }
    let payments: Vec<Fact> = (0..count).filter_map(|at| payment(reading, at)).collect();
    if payments.is_empty() { vec![reading.other()] } else { payments }
}

fn payment(reading: &mut Reading<'_>, at: usize) -> Option<Fact> {
    let prefix = format!("collection.details.{at}.");
    if reading.get(&prefix, "paid_type") != Some(BY_WECHAT) {
        return None;
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
