//! From a request to its reply: find the channel, verify, store, answer. Everything before the commit is
//! on the platform's clock, so nothing is done here that the reply does not need.

mod admission;
mod connection;
pub mod door;
mod exchange;
pub mod guard;
pub mod listener;
pub mod refusals;
mod shadow;
pub mod sources;
pub mod tls;
mod watched;

use std::sync::Arc;

use tollbell_channels::channel::{Cause, Rejection, Verdict, quote};
use tollbell_channels::model::{RawRequest, Reply, Timestamp};
use tollbell_channels::recognition::recognise;
use tracing::{debug, error, info, warn};

pub use door::{Door, Doors, Entrance};
use guard::Guard;
use refusals::Refusals;

use self::shadow::Shadowed;
use crate::clock::Clock;
use crate::inbox::{Arrival, Inbox, NotificationId, Stored};
use crate::telemetry::{ByChannel, ByReason, Metrics};

/// The receiving side of a running node.
pub struct Receiver {
    /// The channels, as configured when this snapshot was taken.
    pub doors: Doors,
    /// Where notifications are kept.
    pub inbox: Arc<dyn Inbox>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// What one sender may take.
    pub guard: Arc<Guard>,
    /// Refusals in the log.
    pub refusals: Arc<Refusals>,
}

/// A reply, and what to note when it was completely written.
#[derive(Debug)]
pub struct Answered {
    /// The reply's bytes.
    pub reply: Reply,
    /// What happened.
    pub cause: Cause,
    /// The notification that a success reply acknowledges.
    pub acknowledges: Option<NotificationId>,
    /// The channel's id, for measuring; `none` when there is none.
    pub channel: Arc<str>,
    /// When the request's body was complete.
    pub received_at: Timestamp,
    /// Whether it was answered "busy" because its sender took too much.
    pub is_limited: bool,
}

/// Stands for the channel where a request named none that we know.
const NO_CHANNEL: &str = "none";

/// The reply when no channel's words can be used: a failure in every platform's reading.
const NO_CHANNEL_STATUS: u16 = 400;

/// A channel named by header, for `/notify`.
const CHANNEL_HEADER: &str = "x-pay-channel";

impl Receiver {
    /// Answers a request that came in by an entrance.
    pub async fn receive(&self, request: RawRequest, entrance: Entrance) -> Answered {
        let received_at = request.received_at;
        match self.find_door(&request, entrance) {
            Ok(door) => {
                let door = door.clone();
                if let Some(answered) = self.admit(&door, &request) {
                    return answered;
                }
                self.receive_at(&door, request).await
            }
            Err(rejection) => {
                let channel: Arc<str> = NO_CHANNEL.into();
                self.metrics.received.get_or_create(&ByChannel { channel: channel.clone() }).inc();
                self.note_refusal(&channel, &rejection, request.source);
                let reply = Reply { status: NO_CHANNEL_STATUS, content_type: None, body: bytes::Bytes::new() };
                Answered { reply, cause: Cause::Refused, acknowledges: None, channel, received_at, is_limited: false }
            }
        }
    }

    /// Answers a request that was refused before its body could be read.
    pub fn refuse_unread(
        &self,
        entrance: &Entrance,
        rejection: &Rejection,
        source: Option<std::net::IpAddr>,
        received_at: Timestamp,
    ) -> Answered {
        let door = self.door_of(entrance);
        let channel: Arc<str> = door.map_or_else(|| NO_CHANNEL.into(), |door| door.id.clone());
        self.metrics.received.get_or_create(&ByChannel { channel: channel.clone() }).inc();
        self.note_refusal(&channel, rejection, source);
        let reply = match door {
            Some(door) => door.channel().answer(Cause::Refused.answer()),
            None => Reply { status: NO_CHANNEL_STATUS, content_type: None, body: bytes::Bytes::new() },
        };
        Answered { reply, cause: Cause::Refused, acknowledges: None, channel, received_at, is_limited: false }
    }

    fn find_door(&self, request: &RawRequest, entrance: Entrance) -> Result<&Arc<Door>, Rejection> {
        let unknown = |name: &str| Rejection::UnknownChannel { name: quote(name) };
        match entrance {
            Entrance::Channel(index) => self.doors.get(index).ok_or_else(|| unknown("")),
            Entrance::Any { named: Some(name) } => self.doors.by_id(&name).ok_or_else(|| unknown(&name)),
            Entrance::Any { named: None } => {
                if let Some(name) = request.single_header(CHANNEL_HEADER) {
                    return self.doors.by_id(name).ok_or_else(|| unknown(name));
                }
                let channels: Vec<_> = self.doors.iter().map(|door| (door, door.channel())).collect();
                recognise(request, channels.iter().map(|(door, channel)| (&*door.id, &**channel, *door)))
            }
        }
    }

    async fn receive_at(&self, door: &Door, request: RawRequest) -> Answered {
        let by_channel = ByChannel { channel: door.id.clone() };
        self.metrics.received.get_or_create(&by_channel).inc();
        let received_at = request.received_at;
        let channel = door.channel();
        let answered = |cause: Cause, acknowledges| Answered {
            reply: channel.answer(cause.answer()),
            cause,
            acknowledges,
            channel: door.id.clone(),
            received_at,
            is_limited: false,
        };
        let shadowed = Shadowed::of(door, &request);
        let mut verdict = channel.verify(&request, received_at);
        if let Verdict::NeedsKey(needed) = &verdict
            && let Some(with_key) = door.keeper.wait(needed).await
        {
            verdict = with_key.verify(&request, received_at);
        }
        let proven = match verdict {
            Verdict::Genuine(proven) => {
                self.guard.note_genuine(request.source);
                proven
            }
            Verdict::Refused(rejection) => {
                if let Some(shadowed) = shadowed {
                    shadowed.refused(&self.inbox, rejection.word());
                }
                self.note_cost(&rejection, request.source);
                self.note_refusal(&door.id, &rejection, request.source);
                let cause = if rejection == Rejection::Undecryptable { Cause::Undecryptable } else { Cause::Refused };
                return answered(cause, None);
            }
            Verdict::NeedsKey(needed) => {
                self.note_refusal(&door.id, &Rejection::UnknownKey { serial: quote(&needed.serial) }, request.source);
                return answered(Cause::KeyUnavailable, None);
            }
            Verdict::Hint(_) => {
                // No platform in the list gives hints; one that does comes with the poller that follows them.
                self.note_refusal(&door.id, &Rejection::Signature, request.source);
                return answered(Cause::Refused, None);
            }
        };
        let id = NotificationId::new();
        let routes = proven.value().facts.iter().map(|fact| door.routes(fact.kind).to_vec()).collect();
        let arrival = Arrival {
            id,
            channel: door.id.clone(),
            merchant: door.merchant.clone(),
            platform: door.platform,
            notification: proven,
            request,
            routes,
            is_shadow: door.is_shadow,
        };
        let stored = self.inbox.store(arrival).await;
        if let (Some(shadowed), Ok(stored)) = (shadowed, &stored) {
            shadowed.genuine(&self.inbox, stored.notification(id));
        }
        match stored {
            Ok(Stored::New { events, is_held }) => {
                self.metrics.stored.get_or_create(&by_channel).inc();
                if is_held {
                    self.metrics.held.get_or_create(&by_channel).inc();
                    warn!(notification.id = %id, channel = %door.id, "stored and held: a person must look at it");
                }
                if events.iter().any(|event| event.deliveries == 0 && !event.is_held) {
                    warn!(notification.id = %id, channel = %door.id, "stored, and no route takes it to a target");
                }
                info!(notification.id = %id, channel = %door.id, events = events.len(), "stored");
                answered(if is_held { Cause::Held } else { Cause::Stored }, Some(id))
            }
            Ok(Stored::Repeated { first, repeats, is_after_ack, is_held, .. }) => {
                self.metrics.duplicate.get_or_create(&by_channel).inc();
                if is_after_ack {
                    self.metrics.repeated_after_ack.get_or_create(&by_channel).inc();
                    warn!(notification.id = %first, channel = %door.id, repeats, "repeated although we had answered success");
                } else {
                    debug!(notification.id = %first, channel = %door.id, repeats, "repeated");
                }
                answered(if is_held { Cause::Held } else { Cause::Repeated }, Some(first))
            }
            Err(error) => {
                self.metrics.busy.get_or_create(&by_channel).inc();
                error!(notification.id = %id, channel = %door.id, %error, "cannot store; answered busy");
                answered(Cause::Busy, None)
            }
        }
    }

    fn note_refusal(&self, channel: &Arc<str>, rejection: &Rejection, source: Option<std::net::IpAddr>) {
        let reason = rejection.word();
        self.metrics.refused.get_or_create(&ByReason { channel: channel.clone(), reason }).inc();
        self.refusals.tell("refused", channel, reason, rejection, source);
    }
}
