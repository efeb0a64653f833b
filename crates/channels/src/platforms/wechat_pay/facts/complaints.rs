//! Complaints (消费者投诉): the message carries a number and what was done, and the rest is asked for.
//!
//! Source: WeChat Pay merchant documents, "complaint notification".

use super::{Reading, fact};
use crate::model::{Amount, EventKind, Fact, Identity};

/// What ends a complaint: the merchant says that it is settled, and the platform takes it as processed. The payer
/// may still go on with it, which is another message.
const END: &str = "MERCHANT_CONFIRM_COMPLETE";

/// One step of a complaint. That one was opened happens once; any other step may be repeated, so the message's
/// own number is part of its name, and the message's own time of another, should a repetition have a new number.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    let Some(number) = reading.name("", "complaint_id") else {
        reading.missing("complaint_id");
        return vec![reading.other()];
    };
    let action = reading.name("", "action_type").unwrap_or_default();
    let is_opening = reading.envelope.event_type == "COMPLAINT.CREATE";
    if is_opening != (action == "CREATE_COMPLAINT") && !action.is_empty() {
        reading.contradiction("", "action_type");
        return vec![reading.other()];
    }
    let (kind, names) = if is_opening {
        (EventKind::DisputeOpened, vec![format!("complaint:{number}")])
    } else {
        let step = format!("complaint:{number}:{action}");
        let by_time = reading.envelope.get("create_time").map(|time| format!("{step}:at:{time}"));
        let kind = if action == END { EventKind::DisputeClosed } else { EventKind::DisputeUpdated };
        (kind, std::iter::once(format!("{step}:{}", reading.platform_id)).chain(by_time).collect())
    };
    let mut names = names.into_iter().filter_map(Identity::new);
    let Some(identity) = names.next() else {
        reading.unknown("", "complaint_id");
        return vec![reading.other()];
    };
    let aliases = names.collect();
    vec![Fact {
        aliases,
        order_no: reading.name("", "out_trade_no"),
        platform_no: Some(number),
        payment: reading.identity("", "transaction_id", ""),
        ..fact(kind, reading.scope.clone(), identity, Amount::None)
    }]
}
