//! What becomes of a hint after a question, and of the channel's next ones.

use std::time::Duration;

use tollbell_channels::channel::{FetchRefused, Fetched};
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Unanswered, after};
use crate::inbox::hints::LeasedHint;

/// Waits after answers that have nothing to tell: the platform names the number again when something happens, so these
/// only catch what crossed on the way.
const NOTHING_LADDER: [Duration; 3] = [Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1)];
/// The wait after the platform did not know a number for the first time: it may be younger than the platform's copy.
const UNKNOWN_WAIT: Duration = Duration::from_mins(1);
/// The first wait of a hint whose question failed; doubled each time. Others are asked meanwhile.
const FAILED_FIRST: Duration = Duration::from_secs(10);
/// The longest wait of a hint where the platform could not answer.
const FAILED_MAX: Duration = Duration::from_mins(10);
/// The longest wait of a hint whose answer cannot be believed, which somebody has to look at.
const UNREADABLE_MAX: Duration = Duration::from_hours(6);
/// The part of a wait by which it is made longer at most.
const JITTER: f64 = 0.1;

/// What becomes of a hint.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settled {
    /// The stable word.
    pub(super) outcome: &'static str,
    /// When to ask again, if at all.
    pub(super) again: Option<Timestamp>,
    /// What it means for the channel.
    pub(super) ended: Ended,
}

/// What a question's end means for those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The platform answers.
    Answered,
    /// It does not answer now.
    Unavailable,
    /// It does not accept the credential.
    Denied,
    /// It wants to be asked later.
    Throttled(Option<Duration>),
}

/// Every word of [`Settled::outcome`].
pub(super) const OUTCOMES: &[&str] = &[
    "told",
    "nothing",
    "unknown",
    "unreachable",
    "credential",
    "credential_ended",
    "throttled",
    "status",
    "too_large",
    "malformed",
    "other_number",
    "other_environment",
];

/// Decides. `chance` is a fraction of 0 ≤ f < 1.
pub(super) fn settle(
    result: &Result<(Fetched, RawRequest), Unanswered>,
    leased: &LeasedHint,
    now: Timestamp,
    chance: f64,
) -> Settled {
    let at = |wait: Duration| Some(after(now, wait.mul_f64(1.0 + JITTER * chance)));
    let failed = |max: Duration| at(FAILED_FIRST.saturating_mul(1 << leased.failures.min(16)).min(max));
    let asks = usize::try_from(leased.asks.saturating_sub(1)).unwrap_or(usize::MAX);
    match result {
        Ok((Fetched::Notification(_), _)) => Settled { outcome: "told", again: None, ended: Ended::Answered },
        Ok((Fetched::Nothing, _)) => {
            let again = NOTHING_LADDER.get(asks).and_then(|wait| at(*wait));
            Settled { outcome: "nothing", again, ended: Ended::Answered }
        }
        Ok((Fetched::Unknown, _)) => {
            let again = if leased.is_missed { None } else { at(UNKNOWN_WAIT) };
            Settled { outcome: "unknown", again, ended: Ended::Answered }
        }
        Err(Unanswered::Unreachable(_)) => {
            Settled { outcome: "unreachable", again: failed(FAILED_MAX), ended: Ended::Unavailable }
        }
        // Nothing about the number, and the same for every other: the channel as a whole waits.
        Err(Unanswered::Login(refused)) => {
            let ended = match refused {
                FetchRefused::Credential { .. } => Ended::Denied,
                FetchRefused::Throttled { after } => Ended::Throttled(*after),
                _ => Ended::Unavailable,
            };
            Settled { outcome: refused.word(), again: failed(FAILED_MAX), ended }
        }
        Err(Unanswered::Refused(refused)) => {
            let (again, ended) = match refused {
                FetchRefused::Credential { .. } | FetchRefused::CredentialEnded => (failed(FAILED_MAX), Ended::Denied),
                FetchRefused::Throttled { after } => (failed(FAILED_MAX), Ended::Throttled(*after)),
                FetchRefused::Status { .. } => (failed(FAILED_MAX), Ended::Unavailable),
                FetchRefused::TooLarge { .. }
                | FetchRefused::Malformed { .. }
                | FetchRefused::OtherNumber
                | FetchRefused::OtherEnvironment => (failed(UNREADABLE_MAX), Ended::Answered),
            };
            Settled { outcome: refused.word(), again, ended }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use tollbell_channels::channel::{FETCH_REFUSED_WORDS, HintNumber};

    use super::*;
    use crate::inbox::LeaseToken;
    use crate::inbox::hints::Ground;

    fn leased(asks: u32, failures: u32, is_missed: bool) -> LeasedHint {
        LeasedHint {
            number: HintNumber::new("tr_1").unwrap(),
            token: LeaseToken::new(),
            until: Timestamp::MAX,
            ground: Ground::New,
            asks,
            failures,
            is_missed,
            first_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn kept() -> RawRequest {
        RawRequest {
            method: Method::GET,
            path: "/".to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            source: None,
            received_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn nothing_is_dropped_but_what_was_answered() {
        let wait = |result: &Result<(Fetched, RawRequest), Unanswered>, leased: &LeasedHint| {
            let settled = settle(result, leased, Timestamp::UNIX_EPOCH, 0.0);
            (settled.again.map(Timestamp::as_second), settled.ended)
        };
        let nothing = Ok((Fetched::Nothing, kept()));
        let ladder = [1, 2, 3, 4].map(|asks| wait(&nothing, &leased(asks, 0, false)).0);
        assert_eq!(ladder, [Some(60), Some(600), Some(3600), None]);
        let unknown = Ok((Fetched::Unknown, kept()));
        assert_eq!(wait(&unknown, &leased(1, 0, false)), (Some(60), Ended::Answered));
        assert_eq!(wait(&unknown, &leased(9, 0, true)), (None, Ended::Answered));
        let denied = Err(Unanswered::Refused(FetchRefused::Credential { status: 401 }));
        for failures in [0, 1, 1000] {
            let (again, ended) = wait(&denied, &leased(failures + 1, failures, false));
            assert!(again.is_some_and(|at| at <= 600), "{again:?}");
            assert_eq!(ended, Ended::Denied);
        }
        let ended = Err(Unanswered::Refused(FetchRefused::CredentialEnded));
        assert_eq!(wait(&ended, &leased(1, 0, false)), (Some(10), Ended::Denied));
        let odd = Err(Unanswered::Refused(FetchRefused::OtherNumber));
        assert_eq!(wait(&odd, &leased(1, 0, false)), (Some(10), Ended::Answered));
        assert_eq!(wait(&odd, &leased(99, 99, false)), (Some(6 * 3600), Ended::Answered));
        let throttled = Err(Unanswered::Refused(FetchRefused::Throttled { after: Some(Duration::from_secs(7)) }));
        assert_eq!(wait(&throttled, &leased(1, 0, false)).1, Ended::Throttled(Some(Duration::from_secs(7))));
        // A login that fails says nothing of the number, and everything of the next ones.
        let login = |refused| wait(&Err(Unanswered::Login(refused)), &leased(99, 99, false));
        assert_eq!(login(FetchRefused::Malformed { field: "body" }), (Some(600), Ended::Unavailable));
        assert_eq!(login(FetchRefused::Credential { status: 401 }), (Some(600), Ended::Denied));
        assert_eq!(login(FetchRefused::Throttled { after: None }), (Some(600), Ended::Throttled(None)));
    }

    #[test]
    fn every_outcome_has_its_word() {
        for word in FETCH_REFUSED_WORDS {
            assert!(OUTCOMES.contains(word), "{word}");
        }
        let unreachable =
            settle(&Err(Unanswered::Unreachable(String::new())), &leased(1, 0, false), Timestamp::UNIX_EPOCH, 0.9);
        assert!(OUTCOMES.contains(&unreachable.outcome));
    }
}
