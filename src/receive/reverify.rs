//! Verifying a rejection again, after a key or a setting was mended: by the channel as it is configured now,
//! at the time at which the request arrived. What turns out to be genuine takes the way of every callback.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tollbell_channels::channel::{Rejection, Verdict, quote};
use tollbell_channels::model::RawRequest;
use tracing::{info, warn};

use super::{Door, Receiver, arrival, hinted};
use crate::inbox::rejections::RejectedRequest;
use crate::inbox::{Error, NotificationId, RejectionId, Stored};
use crate::telemetry::ByChannel;

/// What verifying again found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reverified {
    /// Genuine, and stored as a callback.
    Stored {
        /// As which notification.
        notification: NotificationId,
        /// Events that it brought; none when all its facts were known.
        events: usize,
        /// Whether it is held for a person.
        is_held: bool,
    },
    /// Genuine, and known: the platform repeated it in between, or it came twice.
    Repeated {
        /// The one that was stored first.
        first: NotificationId,
    },
    /// It had been verified again before.
    Before {
        /// As which notification it was stored.
        notification: NotificationId,
    },
    /// It is still refused.
    Refused {
        /// Why now.
        rejection: Rejection,
        /// Credentials were taken out before it was kept; if its signature covers them, it cannot match.
        is_redacted: bool,
    },
    /// Not all of its body was kept, so that nothing can be said.
    Incomplete,
}

impl Reverified {
    /// Whether it is a stored notification now.
    pub fn is_genuine(&self) -> bool {
        matches!(self, Self::Stored { .. } | Self::Repeated { .. } | Self::Before { .. })
    }
}

impl Receiver {
    /// Verifies one rejection again. Doing it twice changes nothing more.
    ///
    /// # Errors
    /// When the inbox does not know it, or cannot be read or written.
    pub async fn reverify(&self, id: RejectionId, by: &str) -> Result<Reverified, Error> {
        let record = self.inbox.rejection(id).await?;
        if let Some(notification) = record.notification {
            return Ok(Reverified::Before { notification });
        }
        let Some(kept) = record.request.filter(RejectedRequest::is_whole) else {
            return Ok(Reverified::Incomplete);
        };
        let (request, is_redacted) = (kept.request, kept.is_redacted);
        let refused = |rejection| Ok(Reverified::Refused { rejection, is_redacted });
        let door = match self.door_now(record.channel.as_deref(), &request) {
            Ok(door) => door.clone(),
            Err(rejection) => return refused(rejection),
        };
        // The request carries the time at which it came, and is as fresh or stale as it was then.
        let mut verdict = door.channel().verify(&request, request.received_at);
        if let Verdict::NeedsKey(needed) = &verdict
            && let Some(with_key) = door.keeper.wait(needed, request.source).await
        {
            verdict = with_key.verify(&request, request.received_at);
        }
        let proven = match verdict {
            Verdict::Genuine(proven) => proven,
            Verdict::Refused(rejection) => return refused(rejection),
            Verdict::NeedsKey(needed) => return refused(Rejection::UnknownKey { serial: quote(&needed.serial) }),
            // It proves nothing, then as now: who sent it sends it again, or the platform is asked another way.
            Verdict::Hint(_) => return refused(Rejection::Signature),
        };
        let (proven, question) = hinted::to_confirm(&door, &door.channel(), proven, &request);
        let arrival = arrival(&door, proven, request);
        let by_channel = ByChannel { channel: door.id.clone() };
        // Before it is stored, because nobody sends it again: a question too many does no harm, and one that is missing would
        // leave it held.
        if let Some(question) = question {
            let asked = self.note_question(&door, question, (self.clock)()).await;
            if let Some(why) = asked.why_not() {
                warn!(rejection.id = %id, channel = %door.id, why, "verified again, and the platform cannot be asked: what is held of it waits for a person");
            }
        }
        let stored = self.inbox.store_reverified(arrival, id, by).await?;
        match stored {
            Stored::New { id: notification, events, is_held } => {
                self.metrics.stored.get_or_create(&by_channel).inc();
                if is_held {
                    self.metrics.held.get_or_create(&by_channel).inc();
                    warn!(notification.id = %notification, channel = %door.id, "verified again and held: a person must look at it");
                }
                info!(rejection.id = %id, notification.id = %notification, channel = %door.id, events = events.len(), "verified again and stored");
                Ok(Reverified::Stored { notification, events: events.len(), is_held })
            }
            Stored::Repeated { first, .. } => Ok(Reverified::Repeated { first }),
        }
    }

    /// The channel of then, as it is configured now; where none was found then, or it is gone, the one that
    /// the request would come to now.
    fn door_now(&self, channel: Option<&str>, request: &RawRequest) -> Result<&Arc<Door>, Rejection> {
        if let Some(door) = channel.and_then(|id| self.doors.by_id(id)) {
            return Ok(door);
        }
        match self.doors.entrance(&request.path, request.query.as_deref()) {
            Some(entrance) => self.find_door(request, entrance),
            None => Err(Rejection::UnknownChannel { name: quote(channel.unwrap_or("")) }),
        }
    }
}
