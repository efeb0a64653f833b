//! Batches of transfers (商家转账批次), an older product than single bills.
//!
//! Source: WeChat Pay merchant documents, "batch transfer: notification". A message gives sums of a batch and
//! names none of its transfers, so only a batch of which all or nothing arrived says what became of them.

use super::{Reading, Value, fact};
use crate::model::{EventKind, Fact};

/// A batch that came to its end.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    let word = reading.envelope.event_type.rsplit('.').next().unwrap_or_default().to_owned();
    match reading.get("", "batch_status") {
        Some(status) if *status == word => {}
        Some("FINISHED" | "CLOSED") => {
            reading.contradiction("", "batch_status");
            return vec![reading.other()];
        }
        Some(_) => {
            reading.unknown("", "batch_status");
            return vec![reading.other()];
        }
        None => {
            reading.missing("batch_status");
            return vec![reading.other()];
        }
    }
    let Some(kind) = outcome(reading) else { return vec![reading.other()] };
    let theirs = reading.identity("", "batch_id", "batch_id:");
    let ours = reading.identity("", "out_batch_no", "out_batch_no:");
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing("batch_id");
        return vec![reading.other()];
    };
    let aliases = names.collect();
    let amount = reading.amount("", "total_amount", "currency");
    vec![Fact {
        aliases,
        order_no: reading.name("", "out_batch_no"),
        platform_no: reading.name("", "batch_id"),
        occurred_at: reading.time("", "update_time"),
        ..fact(kind, reading.scope.clone(), identity, amount)
    }]
}

/// What became of every transfer of the batch, where it is the same; none for a mixed or an unclear batch.
fn outcome(reading: &Reading<'_>) -> Option<EventKind> {
    let whole = |path: &str| match reading.tree.at(path) {
        Some(Value::Number(digits)) => digits.parse::<u64>().ok(),
        _ => None,
    };
    let [arrived, all] = [whole("success_num")?, whole("total_num")?];
    let [arrived_amount, all_amount] = [whole("success_amount")?, whole("total_amount")?];
    if all == 0 {
        return None;
    }
    let failed = whole("fail_num");
    if arrived == all && arrived_amount == all_amount && failed.is_none_or(|count| count == 0) {
        return Some(EventKind::TransferSucceeded);
    }
    (arrived == 0 && arrived_amount == 0 && failed.is_none_or(|count| count == all))
        .then_some(EventKind::TransferFailed)
}
