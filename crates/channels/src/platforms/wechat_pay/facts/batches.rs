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

/// What became of every transfer of the batch, where it is the same. None for a batch of which some arrived, and for
/// one whose sums are missing or do not add up, which is a concern.
fn outcome(reading: &mut Reading<'_>) -> Option<EventKind> {
    let counts = sums(reading, ["success_num", "fail_num", "total_num"])?;
    let amounts = sums(reading, ["success_amount", "fail_amount", "total_amount"])?;
    match ((counts.arrived, counts.all), (amounts.arrived, amounts.all)) {
        ((_, 0), _) => {
            reading.contradiction("", "total_num");
            None
        }
        ((arrived, all), (amount, whole)) if arrived == all && amount == whole => Some(EventKind::TransferSucceeded),
        ((0, _), (0, _)) => Some(EventKind::TransferFailed),
        // Some arrived; which ones, and nothing else, must be asked for.
        ((arrived, all), _) if arrived != 0 && arrived != all => None,
        _ => {
            reading.contradiction("", "success_amount");
            None
        }
    }
}

/// What arrived, out of everything.
struct Sums {
    arrived: u64,
    all: u64,
}

/// Whole numbers that add up: what arrived and what did not are all of it.
fn sums(reading: &mut Reading<'_>, [arrived, failed, all]: [&str; 3]) -> Option<Sums> {
    let mut whole = |path: &str| {
        let number = match reading.tree.at(path) {
            Some(Value::Number(digits)) => digits.parse::<u64>().ok(),
            _ => None,
        };
        if number.is_none() {
            reading.undecided(path);
        }
        number
    };
    let (arrived_sum, failed_sum, all_sum) = (whole(arrived)?, whole(failed)?, whole(all)?);
    if arrived_sum.checked_add(failed_sum) != Some(all_sum) {
        reading.contradiction("", failed);
        return None;
    }
    Some(Sums { arrived: arrived_sum, all: all_sum })
}
