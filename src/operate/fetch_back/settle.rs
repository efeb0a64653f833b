//! What becomes of a hint after a question, and of the channel's next ones.

use std::time::Duration;

use tollbell_channels::channel::{FetchRefused, Fetched};
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Unanswered, after};
use crate::inbox::hints::LeasedHint;

/// Waits after answers that have nothing to tell, or nothing new: the platform names the number again when something happens,
/// so these only catch what crossed on the way, and what the platform reads its answers from may lag behind.
const NOTHING_LADDER: [Duration; 3] = [Duration::from_mins(1), Duration::from_mins(10), Duration::from_hours(1)];
/// The wait after the platform did not know a stranger's number: it may be younger than the platform's copy.
const UNKNOWN_LADDER: [Duration; 1] = [Duration::from_mins(1)];
/// The waits after the platform did not know a number that somebody named whose word was worth something, or that it knew
/// before: its copy may lag, it may be mending something, or the credential may be of another account.
const MISSING_LADDER: [Duration; 6] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
];
/// Questions that the platform refuses in a row as such (a status of 400 to 499) before the number counts as one that it
/// does not know. It answers, so others need not wait for it.
const REFUSALS_MAX: u32 = 3;
/// Questions about a stranger's number that end in an error of the platform's in a row, while it answers others, before the
/// number counts as one that it does not know: some three quarters of an hour.
const ERRORS_MAX: u32 = 10;
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
    /// When to ask again, if at all, where the inbox finds that what was told is not all.
    pub(super) if_late: Option<Timestamp>,
    /// What it means for the channel.
    pub(super) ended: Ended,
    /// Whether it says that the platform does not know the number, by its status or by what it does with it alone.
    pub(super) is_disowned: bool,
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
    "missing",
    "refused",
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

/// Decides. `answers_others` says whether the channel's last question had an answer; `chance` is a fraction of 0 ≤ f < 1.
pub(super) fn settle(
    result: &Result<(Fetched, RawRequest), Unanswered>,
    leased: &LeasedHint,
    now: Timestamp,
    answers_others: bool,
    chance: f64,
) -> Settled {
    let at = |wait: Duration| after(now, wait.mul_f64(1.0 + JITTER * chance));
    let rung = |ladder: &[Duration], step: u32| ladder.get(usize::try_from(step).ok()?).map(|wait| at(*wait));
    let failed = |max: Duration| Some(at(FAILED_FIRST.saturating_mul(1 << leased.failures.min(16)).min(max)));
    let ladder: &[Duration] = if leased.is_trusted { &MISSING_LADDER } else { &UNKNOWN_LADDER };
    let tries = leased.failures.saturating_add(1);
    let told = |outcome, again, ended| Settled { outcome, again, if_late: None, ended, is_disowned: false };
    let disowned = |outcome, again, ended| Settled { outcome, again, if_late: None, ended, is_disowned: true };
    let later = rung(&NOTHING_LADDER, leased.asks.saturating_sub(1));
    match result {
        Ok((Fetched::Notification(_), _)) => Settled { if_late: later, ..told("told", None, Ended::Answered) },
        Ok((Fetched::Nothing, _)) => told("nothing", later, Ended::Answered),
        Ok((Fetched::Unknown, _)) => {
            let outcome = if leased.is_trusted { "missing" } else { "unknown" };
            disowned(outcome, rung(ladder, leased.misses), Ended::Answered)
        }
        Err(Unanswered::Unreachable(_)) => told("unreachable", failed(FAILED_MAX), Ended::Unavailable),
        // Nothing about the number, and the same for every other: the channel as a whole waits.
        Err(Unanswered::Login(refused)) => {
            let ended = match refused {
                FetchRefused::Credential { .. } => Ended::Denied,
                FetchRefused::Throttled { after } => Ended::Throttled(*after),
                _ => Ended::Unavailable,
            };
            told(refused.word(), failed(FAILED_MAX), ended)
        }
        Err(Unanswered::Refused(refused)) => match refused {
            FetchRefused::Credential { .. } | FetchRefused::CredentialEnded => {
                told(refused.word(), failed(FAILED_MAX), Ended::Denied)
            }
            FetchRefused::Throttled { after } => told(refused.word(), failed(FAILED_MAX), Ended::Throttled(*after)),
            FetchRefused::Status { status } if is_about_the_number(*status) => {
                let outcome = if leased.is_trusted { "refused" } else { refused.word() };
                if leased.misses == 0 && tries < REFUSALS_MAX {
                    return told(outcome, failed(FAILED_MAX), Ended::Answered);
                }
                let again = if leased.is_trusted { rung(ladder, leased.misses) } else { None };
                disowned(outcome, again, Ended::Answered)
            }
            FetchRefused::Status { .. } if answers_others && !leased.is_trusted && tries >= ERRORS_MAX => {
                disowned(refused.word(), None, Ended::Unavailable)
            }
            FetchRefused::Status { .. } => told(refused.word(), failed(FAILED_MAX), Ended::Unavailable),
            FetchRefused::TooLarge { .. }
            | FetchRefused::Malformed { .. }
            | FetchRefused::OtherNumber
            | FetchRefused::OtherEnvironment => told(refused.word(), failed(UNREADABLE_MAX), Ended::Answered),
        },
    }
}

/// Whether a status refuses this question and says nothing about others. 408 is an answer to a slow line.
fn is_about_the_number(status: u16) -> bool {
    (400..500).contains(&status) && ![401, 403, 408, 429].contains(&status)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use tollbell_channels::channel::{
        ApiCredential, FETCH_REFUSED_WORDS, Hint, HintNumber, HttpAnswer, Interface, Question, Reach,
    };
    use tollbell_channels::model::{Notification, Proven};

    use super::*;
    use crate::inbox::LeaseToken;
    use crate::inbox::conformance::{letter, payment};
    use crate::inbox::hints::{Ground, WAIT_MAX};

    fn leased(asks: u32, failures: u32, misses: u32) -> LeasedHint {
        LeasedHint {
            number: HintNumber::new("tr_1").unwrap(),
            token: LeaseToken::new(),
            until: Timestamp::MAX,
            ground: Ground::New,
            asks,
            failures,
            misses,
            is_trusted: false,
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

    /// What a platform says of a payment.
    fn told() -> Proven<Notification> {
        let hint = Hint::from_anybody(HintNumber::new("tr_1").unwrap());
        let interface = Interface::parse("https://api.example", Reach::Public).unwrap();
        let credential = ApiCredential::bearer("api_key", b"secret").unwrap();
        let answer = HttpAnswer { status: 200, headers: HeaderMap::new(), body: Bytes::new() };
        let answered = Question::get(&hint, &interface, "/tr_1", &credential).carried(answer);
        let letter = letter(Timestamp::UNIX_EPOCH, "tr_1/paid", vec![payment("tr_1", 1000)], &[]);
        Proven::by_platform_api(letter.notification, answered)
    }

    #[test]
    fn nothing_is_dropped_but_what_was_answered() {
        let wait = |result: &Result<(Fetched, RawRequest), Unanswered>, leased: &LeasedHint| {
            let settled = settle(result, leased, Timestamp::UNIX_EPOCH, true, 0.0);
            (settled.again.map(Timestamp::as_second), settled.ended)
        };
        let nothing = Ok((Fetched::Nothing, kept()));
        let ladder = [1, 2, 3, 4].map(|asks| wait(&nothing, &leased(asks, 0, 0)).0);
        assert_eq!(ladder, [Some(60), Some(600), Some(3600), None]);
        let told = Ok((Fetched::Notification(told()), kept()));
        let ladder = [1, 2, 3, 4].map(|asks| {
            let settled = settle(&told, &leased(asks, 0, 0), Timestamp::UNIX_EPOCH, true, 0.0);
            assert_eq!((settled.again, settled.ended), (None, Ended::Answered));
            settled.if_late.map(Timestamp::as_second)
        });
        assert_eq!(ladder, [Some(60), Some(600), Some(3600), None], "as often as where there was nothing to tell");
        let unknown = Ok((Fetched::Unknown, kept()));
        assert_eq!(wait(&unknown, &leased(1, 0, 0)), (Some(60), Ended::Answered));
        assert_eq!(wait(&unknown, &leased(9, 0, 1)), (None, Ended::Answered));
        let denied = Err(Unanswered::Refused(FetchRefused::Credential { status: 401 }));
        for failures in [0, 1, 1000] {
            let (again, ended) = wait(&denied, &leased(failures + 1, failures, 0));
            assert!(again.is_some_and(|at| at <= 600), "{again:?}");
            assert_eq!(ended, Ended::Denied);
        }
        let ended = Err(Unanswered::Refused(FetchRefused::CredentialEnded));
        assert_eq!(wait(&ended, &leased(1, 0, 0)), (Some(10), Ended::Denied));
        let odd = Err(Unanswered::Refused(FetchRefused::OtherNumber));
        assert_eq!(wait(&odd, &leased(1, 0, 0)), (Some(10), Ended::Answered));
        assert_eq!(wait(&odd, &leased(99, 99, 0)), (Some(6 * 3600), Ended::Answered));
        let throttled = Err(Unanswered::Refused(FetchRefused::Throttled { after: Some(Duration::from_secs(7)) }));
        assert_eq!(wait(&throttled, &leased(1, 0, 0)).1, Ended::Throttled(Some(Duration::from_secs(7))));
        // A login that fails says nothing of the number, and everything of the next ones.
        let login = |refused| wait(&Err(Unanswered::Login(refused)), &leased(99, 99, 0));
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
            settle(&Err(Unanswered::Unreachable(String::new())), &leased(1, 0, 0), Timestamp::UNIX_EPOCH, true, 0.9);
        assert!(OUTCOMES.contains(&unreachable.outcome));
    }

    fn at(result: &Result<(Fetched, RawRequest), Unanswered>, leased: &LeasedHint, answers_others: bool) -> Settled {
        settle(result, leased, Timestamp::UNIX_EPOCH, answers_others, 0.0)
    }

    #[test]
    fn what_a_trusted_sender_named_is_asked_about_for_hours() {
        let unknown = Ok((Fetched::Unknown, kept()));
        let mut waits = Vec::new();
        for misses in 0.. {
            let settled = at(&unknown, &LeasedHint { is_trusted: true, ..leased(misses + 1, 0, misses) }, true);
            assert_eq!((settled.outcome, settled.is_disowned), ("missing", true));
            let Some(again) = settled.again else { break };
            waits.push(again.as_second());
        }
        assert!(waits.len() >= 5 && waits.iter().sum::<i64>() > 8 * 3600, "{waits:?}");
        let longest = Duration::from_secs(waits.iter().max().unwrap().unsigned_abs()).mul_f64(1.0 + JITTER);
        assert!(longest <= WAIT_MAX && UNREADABLE_MAX.mul_f64(1.0 + JITTER) <= WAIT_MAX);
        assert_eq!(at(&unknown, &leased(1, 0, 0), true).outcome, "unknown");
    }

    #[test]
    fn a_number_that_the_platform_refuses_ends_and_delays_no_other() {
        for status in [400, 404, 410, 422] {
            let refused = Err(Unanswered::Refused(FetchRefused::Status { status }));
            let ends: Vec<_> = (0..3).map(|failures| at(&refused, &leased(failures + 1, failures, 0), true)).collect();
            assert!(ends.iter().all(|settled| settled.ended == Ended::Answered), "{ends:?}");
            assert_eq!(ends.iter().map(|end| end.is_disowned).collect::<Vec<_>>(), [false, false, true]);
            assert_eq!(ends.iter().map(|end| end.again.is_some()).collect::<Vec<_>>(), [true, true, false]);
            let trusted = at(&refused, &LeasedHint { is_trusted: true, ..leased(3, 2, 0) }, true);
            assert!(trusted.is_disowned && trusted.again.is_some() && trusted.outcome == "refused");
        }
        for status in [408, 500, 503, 302] {
            let error = Err(Unanswered::Refused(FetchRefused::Status { status }));
            let first = at(&error, &leased(1, 0, 0), true);
            assert_eq!((first.ended, first.is_disowned), (Ended::Unavailable, false));
            // A number that alone brings errors ends as well; one of an outage does not.
            let late = leased(ERRORS_MAX, ERRORS_MAX - 1, 0);
            assert!(at(&error, &late, true).again.is_none());
            assert!(at(&error, &late, false).again.is_some());
            assert!(at(&error, &LeasedHint { is_trusted: true, ..late }, true).again.is_some());
        }
    }
}
