//! Hints: what names something and proves nothing is kept to be asked about, and answered at once. A channel may be set to
//! ask about more: what is proven, before it is told, and what should prove itself and does not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tollbell_channels::channel::{Cause, Channel, FetchBack, Hint, Rejection};
use tollbell_channels::model::{Concern, EventKind, Notification, Proven, RawRequest, Timestamp};
use tracing::{debug, error};

use super::shadow::Shadowed;
use super::{Door, Read, Receiver};
use crate::inbox::Stored;
use crate::inbox::hints::{Noted, Told};
use crate::telemetry::{ByReason, Metrics};

/// The reason of a hint for which there was no room.
const NO_PLACE: &str = "no_place";

/// What the platform is asked so that it confirms a proven message.
pub(super) struct Confirmation {
    hint: Hint,
    gap: Duration,
    source: Option<IpAddr>,
}

/// A proven message with one more reason to be held, and the question that ends it, where its channel asks before anything
/// is told. Without a question a person ends it: what cannot be asked about is not believed more.
pub(super) fn to_confirm(
    door: &Door,
    channel: &Arc<dyn Channel>,
    proven: Proven<Notification>,
    request: &RawRequest,
) -> (Proven<Notification>, Option<Confirmation>) {
    let says_something = proven.value().facts.iter().any(|fact| fact.kind != EventKind::Other);
    if !door.asks.about_proven || !says_something {
        return (proven, None);
    }
    let question = channel.fetch_back().and_then(|back| {
        let hint = Hint::from_proven(back.named(request)?, &proven);
        Some(Confirmation { hint, gap: back.pace().gap_of_number, source: request.source })
    });
    let number = question.as_ref().map(|question| question.hint.number().as_str().to_owned()).unwrap_or_default();
    (proven.with_concern(Concern::Unconfirmed { number }), question)
}

/// What became of a hint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// There will be a question.
    Kept,
    /// There is no room for it.
    Full,
    /// The inbox could not keep it.
    Failed,
}

impl Asked {
    fn cause(self) -> Cause {
        match self {
            Self::Kept => Cause::Hinted,
            Self::Full | Self::Failed => Cause::Busy,
        }
    }

    /// Why there will be no question.
    pub(super) fn why_not(self) -> Option<&'static str> {
        match self {
            Self::Kept => None,
            Self::Full => Some("more numbers wait to be asked about than there are places"),
            Self::Failed => Some("the inbox could not keep the question"),
        }
    }
}

impl Receiver {
    /// Keeps a hint. The platform is told "success" after it is on disk, for a number that does not exist as well:
    /// only who has no room here, or sends to a channel that cannot ask, hears anything else.
    pub(super) async fn keep_hint(
        &self,
        door: &Door,
        channel: &Arc<dyn Channel>,
        hint: Hint,
        request: &RawRequest,
        shadowed: Option<Shadowed>,
    ) -> Cause {
        let Some(pace) = channel.fetch_back().map(FetchBack::pace) else {
            // Nothing that such a channel cannot ask about is ever believed.
            self.note_refusal(Some(door), &Rejection::Signature, request, Read::Whole);
            return Cause::Refused;
        };
        let told = Told {
            channel: door.id.to_string(),
            hint,
            source: request.source,
            at: request.received_at,
            gap: pace.gap_of_number,
        };
        let asked = self.note_hint(door, told).await;
        match (shadowed, asked) {
            (Some(shadowed), Asked::Kept) => shadowed.hinted(&self.inbox),
            (Some(shadowed), Asked::Full) => shadowed.refused(&self.inbox, NO_PLACE),
            // What cannot be kept cannot be noted either.
            (Some(_), Asked::Failed) | (None, _) => {}
        }
        asked.cause()
    }

    /// Has the platform asked about what was stored and is held until it confirms it. The platform hears "busy" when there
    /// is no room for the question, and comes again.
    pub(super) async fn ask_to_confirm(
        &self,
        door: &Door,
        question: Confirmation,
        stored: &Stored,
        at: Timestamp,
    ) -> Cause {
        let (Stored::New { is_held, .. } | Stored::Repeated { is_held, .. }) = stored;
        if !is_held {
            // All that it says was known and told.
            return Cause::Stored;
        }
        self.note_question(door, question, at).await.cause()
    }

    /// Has the platform asked, whatever was stored.
    pub(super) async fn note_question(&self, door: &Door, question: Confirmation, at: Timestamp) -> Asked {
        let Confirmation { hint, gap, source } = question;
        self.note_hint(door, Told { channel: door.id.to_string(), hint, source, at, gap }).await
    }

    /// Has the platform asked about what a message names that should prove itself and does not, where the channel is set
    /// to. The message stays refused, and its sender neither hears of this nor waits for it.
    pub(super) fn ask_about_unproven(
        &self,
        door: &Door,
        channel: &Arc<dyn Channel>,
        rejection: &Rejection,
        request: &RawRequest,
    ) {
        let is_unproven =
            matches!(rejection, Rejection::Signature | Rejection::UnknownKey { .. } | Rejection::Stale { .. });
        if !door.asks.about_unproven || !is_unproven {
            return;
        }
        let Some(back) = channel.fetch_back() else { return };
        let Some(number) = back.named(request) else { return };
        let told = Told {
            channel: door.id.to_string(),
            hint: Hint::from_doubtful(number),
            source: request.source,
            at: request.received_at,
            gap: back.pace().gap_of_number,
        };
        let (inbox, metrics, id) = (self.inbox.clone(), self.metrics.clone(), door.id.clone());
        // The inbox's own queue bounds how many wait.
        tokio::spawn(async move {
            match inbox.note_hint(told).await {
                Ok(noted) => count_hint(&metrics, &id, noted),
                Err(error) => error!(channel = %id, %error, "what a refused message names cannot be kept"),
            }
        });
    }

    async fn note_hint(&self, door: &Door, told: Told) -> Asked {
        let source = told.source;
        let noted = match self.inbox.note_hint(told).await {
            Ok(noted) => noted,
            Err(error) => {
                door.counts(&self.metrics).busy.inc();
                error!(channel = %door.id, %error, "cannot keep a hint; answered busy");
                return Asked::Failed;
            }
        };
        count_hint(&self.metrics, &door.id, noted);
        if noted == Noted::Full {
            door.counts(&self.metrics).busy.inc();
            let why = "more numbers wait to be asked about than its network or the channel has places";
            self.refusals.tell("a hint answered busy", &door.id, NO_PLACE, &why, source);
            return Asked::Full;
        }
        Asked::Kept
    }
}

fn count_hint(metrics: &Metrics, channel: &Arc<str>, noted: Noted) {
    metrics.hints.get_or_create(&ByReason { channel: channel.clone(), reason: noted.as_str() }).inc();
    debug!(channel = %channel, became = noted.as_str(), "a hint");
}
