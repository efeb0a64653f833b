//! Withholding contracts (委托代扣): signed and ended.
//!
//! Sources: WeChat Pay merchant documents, "notification of a signed contract", "notification of an ended
//! contract", of ordinary, insurance and e-commerce withholding. A contract is named by the platform's number; by
//! the merchant's own within its plan where there is no other, and beside it.

use super::{Reading, fact};
use crate::model::{Amount, EventKind, Fact, Identity};

/// What a message of these families says, by its own word.
pub(super) fn read(reading: &mut Reading<'_>) -> Vec<Fact> {
    let is_end = reading.envelope.event_type.ends_with(".TERMINATE");
    let (kind, state, times): (_, _, &[&str]) = if is_end {
        let ended = "contract_terminate_info.contract_terminated_time";
        (EventKind::AgreementCancelled, "TERMINATED", &[ended, "contract_terminated_time", "operate_time"])
    } else {
        (EventKind::AgreementSigned, "SIGNED", &["contract_signed_time", "operate_time"])
    };
    match reading.name("", "contract_state").as_deref() {
        // E-commerce contracts have no state beside the message's own word.
        None => {}
        Some(found) if found == state => {}
        Some("SIGNED" | "TERMINATED") => {
            reading.contradiction("", "contract_state");
            return vec![reading.other()];
        }
        Some(_) => {
            reading.unknown("", "contract_state");
            return vec![reading.other()];
        }
    }
    let theirs = reading.identity("", "contract_id", "contract_id:");
    let ours = own_name(reading, times);
    let mut names = theirs.into_iter().chain(ours);
    let Some(identity) = names.next() else {
        reading.missing("contract_id");
        return vec![reading.other()];
    };
    let aliases = names.collect();
    vec![Fact {
        aliases,
        order_no: reading.name("", "out_contract_code"),
        platform_no: reading.name("", "contract_id"),
        occurred_at: times.iter().find_map(|path| reading.time("", path)),
        ..fact(kind, reading.scope.clone(), identity, Amount::None)
    }]
}

/// The merchant's number within its plan, and when: nothing says that the number is not used again afterwards.
fn own_name(reading: &mut Reading<'_>, times: &[&str]) -> Option<Identity> {
    let plan = reading.name("", "plan_id").unwrap_or_default();
    let time = times.iter().find_map(|path| reading.get("", path)).unwrap_or_default().to_owned();
    // Without a time it could be the name of an earlier contract, and the platform's own number does.
    if time.is_empty() && reading.get("", "contract_id").is_some() {
        return None;
    }
    let code = reading.name("", "out_contract_code")?;
    let name = Identity::new(format!("out_contract:{plan}:{code}:{time}"));
    if name.is_none() {
        reading.unknown("", "out_contract_code");
    }
    name
}
