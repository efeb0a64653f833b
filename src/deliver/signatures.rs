//! Whose signature a raw delivery carries, and what becomes of one that an application refused because its
//! signature is too old.

use std::time::Duration;

use tollbell_channels::model::{RawRequest, Timestamp};

use super::Origin;
use crate::inbox::Leased;
use crate::targets::{Attempted, Outcome, Reason};

/// Whose signature a raw delivery carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// The platform's own, byte for byte.
    #[default]
    Original,
    /// The gateway's, made afresh for each attempt.
    Resigned,
}

/// What the channels know about signatures.
pub trait Signatures: Send + Sync {
    /// How old a request may be when the application checks it; none where there is no window.
    fn freshness(&self, origin: &Origin) -> Option<Duration>;

    /// What of the request's query the platform signed, so that an application needs it.
    fn signed_query(&self, origin: &Origin, request: &RawRequest) -> Option<String>;

    /// The request signed afresh.
    ///
    /// # Errors
    /// [`NotSigned`] when there is no key, or this request cannot be signed.
    fn resign(&self, origin: &Origin, request: &RawRequest, now: Timestamp) -> Result<RawRequest, NotSigned>;
}

/// Why a request was not signed afresh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSigned {
    /// The channel has no key, or is no longer configured: an operator can mend it.
    NoKey,
    /// This request can never be signed.
    Impossible(String),
}

impl NotSigned {
    /// The attempt that ended by it, before anything was sent.
    pub(super) fn attempted(self) -> Attempted {
        Attempted::without_answer(match self {
            Self::NoKey => Outcome::RetryLater { reason: Reason::new("no_resign_key", ""), after: None },
            Self::Impossible(why) => Outcome::Declined { reason: Reason::new("cannot_resign", &why) },
        })
    }
}

/// What an attempt means when the window had passed as it began: an application that answered and did not
/// confirm would refuse every later try too. An attempt that it never answered says nothing about that.
pub(super) fn stale(attempted: Attempted, leased: &Leased, began: Timestamp, freshness: Option<Duration>) -> Attempted {
    let (Some(freshness), Some(request)) = (freshness, &leased.request) else { return attempted };
    let age = Duration::try_from(began.duration_since(request.received_at)).unwrap_or_default();
    let has_answered = attempted.status.is_some();
    match &attempted.outcome {
        Outcome::RetryLater { reason, .. } | Outcome::Unknown { reason }
            if leased.is_raw && has_answered && age >= freshness =>
        {
            let seen = if reason.detail.is_empty() { reason.word } else { &reason.detail };
            let detail = format!("{} s > {} s; {seen}", age.as_secs(), freshness.as_secs());
            Attempted { outcome: Outcome::Declined { reason: Reason::new("stale_signature", &detail) }, ..attempted }
        }
        _ => attempted,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use tollbell_channels::model::Environment;

    use super::*;
    use crate::inbox::{DeliveryId, LeaseToken, NotificationId, Way};

    pub(in crate::deliver) fn leased(is_raw: bool) -> Leased {
        Leased {
            delivery: DeliveryId::new(),
            token: LeaseToken::new(),
            until: Timestamp::MAX,
            attempt: 1,
            tries: 1,
            notification: NotificationId::new(),
            is_raw,
            channel: "a".into(),
            platform: "a".into(),
            merchant: "default".into(),
            environment: Environment::Live,
            events: Vec::new(),
            way: Way::Callback,
            request: Some(RawRequest {
                method: Method::POST,
                path: "/".to_owned(),
                query: None,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                source: None,
                received_at: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    #[test]
    fn a_key_may_come_back_and_an_impossible_signature_may_not() {
        let no_key = NotSigned::NoKey.attempted();
        assert!(matches!(no_key.outcome, Outcome::RetryLater { reason, .. } if reason.word == "no_resign_key"));
        let impossible = NotSigned::Impossible("it was signed with RSA".to_owned()).attempted();
        assert!(matches!(impossible.outcome, Outcome::Declined { reason }
            if reason.word == "cannot_resign" && reason.detail == "it was signed with RSA"));
        assert_eq!((no_key.status, impossible.status), (None, None));
    }

    #[test]
    fn only_an_answer_after_the_window_is_stale() {
        let reason = || Reason::new("wrong_word", "seen");
        let retry = || Outcome::RetryLater { reason: reason(), after: None };
        let unknown = || Outcome::Unknown { reason: reason() };
        let declined = || Outcome::Declined { reason: Reason::new("param_too_long", "") };
        let window = Some(Duration::from_mins(5));
        for (outcome, status, age, freshness, is_raw, is_stale) in [
            (retry(), Some(200), 300, window, true, true),
            (unknown(), Some(200), 300, window, true, true),
            (retry(), Some(200), 299, window, true, false),
            (retry(), Some(200), -300, window, true, false),
            (retry(), None, 300, window, true, false),
            (retry(), Some(200), 300, None, true, false),
            (retry(), Some(200), 300, window, false, false),
            (Outcome::Delivered, Some(200), 300, window, true, false),
            (declined(), Some(200), 300, window, true, false),
        ] {
            let attempted = Attempted { status, ..Attempted::without_answer(outcome.clone()) };
            let began = Timestamp::from_second(age).unwrap();
            let found = stale(attempted, &leased(is_raw), began, freshness).outcome;
            let word = matches!(&found, Outcome::Declined { reason } if reason.word == "stale_signature");
            assert_eq!(word, is_stale, "{outcome:?} {status:?} {age} {is_raw}: {found:?}");
            assert!(is_stale || found == outcome);
        }
    }
}
