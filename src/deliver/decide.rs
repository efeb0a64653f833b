//! Decisions about deliveries, as pure functions: what to do with a claimed one, and what becomes of it
//! after an attempt.

use std::time::Duration;

use tollbell_channels::model::Timestamp;

use super::Policy;
use crate::inbox::{Leased, Next};
use crate::targets::{Outcome, Reason};

/// What to do with a claimed delivery.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Try it.
    Deliver,
    /// No try can succeed.
    GiveUp {
        /// Why.
        reason: Reason,
    },
}

/// Looks at a claimed delivery before an attempt.
pub fn decide(leased: &Leased) -> Decision {
    if leased.is_raw && leased.request.is_none() {
        return Decision::GiveUp { reason: Reason::new("body_gone", "") };
    }
    if leased.events.is_empty() {
        return Decision::GiveUp { reason: Reason::new("event_gone", "") };
    }
    Decision::Deliver
}

/// What becomes of a delivery after its try number `tries` since it was made or replayed.
pub fn settle(outcome: &Outcome, tries: u32, policy: &Policy, now: Timestamp, chance: f64) -> Next {
    let later = |at_least: Duration| match policy.backoff.wait(tries, chance) {
        Some(wait) => Next::Retry(after(now, wait.max(at_least))),
        None => Next::Dead,
    };
    match outcome {
        Outcome::Delivered => Next::Delivered,
        Outcome::Declined { .. } => Next::Dead,
        Outcome::RetryLater { after, .. } => later(after.unwrap_or_default().min(policy.longest_wait())),
        // The application may still be running: a second run beside the first is what we avoid.
        Outcome::Unknown { .. } => later(policy.wait_after_unknown),
    }
}

/// `now` plus a wait, at the end of time instead of beyond it.
fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::Backoff;

    #[test]
    fn outcomes_settle_by_the_table() {
        let policy = Policy {
            backoff: Backoff::Ladder(vec![Duration::from_secs(10); 2]),
            wait_after_unknown: Duration::from_mins(1),
            attempt_timeout: Duration::from_secs(1),
            lease: Duration::from_secs(5),
            concurrency: 1,
        };
        let now = Timestamp::from_second(1_000).unwrap();
        let at = |seconds| Next::Retry(Timestamp::from_second(seconds).unwrap());
        let reason = || Reason::new("wrong_word", "");
        let retry =
            |after: Option<u64>| Outcome::RetryLater { reason: reason(), after: after.map(Duration::from_secs) };
        for (outcome, tries, expected) in [
            (Outcome::Delivered, 1, Next::Delivered),
            (Outcome::Delivered, 99, Next::Delivered),
            (retry(None), 1, at(1_010)),
            (retry(Some(30)), 1, at(1_030)),
            (retry(Some(3)), 1, at(1_010)),
            (retry(Some(u64::MAX)), 1, at(1_060)),
            (retry(None), 3, Next::Dead),
            (Outcome::Declined { reason: reason() }, 1, Next::Dead),
            (Outcome::Unknown { reason: reason() }, 1, at(1_060)),
            (Outcome::Unknown { reason: reason() }, 3, Next::Dead),
        ] {
            assert_eq!(settle(&outcome, tries, &policy, now, 0.9), expected, "{outcome:?} {tries}");
        }
    }
}
