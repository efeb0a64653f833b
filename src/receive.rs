//! From a request to its reply: find the channel, verify, store, answer. Everything before the commit is
//! on the platform's clock, so nothing is done here that the reply does not need.

mod admission;
#[cfg(test)]
mod cancelled;
mod challenged;
pub mod confirmation;
mod connection;
pub mod door;
mod exchange;
pub mod guard;
mod hinted;
pub mod listener;
pub mod refusals;
pub mod reverify;
mod shadow;
pub mod sources;
pub mod tls;
mod watched;

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tollbell_channels::channel::{Answer, Cause, Rejection, Verdict, quote};
use tollbell_channels::model::{Fact, Notification, Proven, RawRequest, Reply, Timestamp};
use tollbell_channels::recognition::recognise;
use tracing::{debug, error, info, warn};

pub use confirmation::{Ack, Waiters};
pub use door::{Asks, Door, Doors, Entrance};
use guard::Guard;
use refusals::Refusals;

use self::confirmation::{Confirmation, Why};
use self::shadow::Shadowed;
use crate::clock::Clock;
use crate::inbox::rejections::Refused;
use crate::inbox::{Arrival, Inbox, NotificationId, Stored};
use crate::telemetry::{ByChannel, ByReason, Metrics};

/// The receiving side of a running node.
pub struct Receiver {
    /// The channels, as configured when this snapshot was taken.
    pub doors: Doors,
    /// Where notifications are kept.
    pub inbox: Arc<dyn Inbox>,
    /// Answers that wait for a confirmation, those of earlier snapshots too.
    pub waiters: Arc<Waiters>,
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

/// Only a success reply acknowledges.
fn acknowledged(cause: Cause, notification: NotificationId) -> Option<NotificationId> {
    (cause.answer() == Answer::Success).then_some(notification)
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
                if let Some(reply) = door.channel().challenge(&request) {
                    return self.challenged(&door, reply, &request);
                }
                self.receive_at(&door, request).await
            }
            Err(rejection) => {
                let channel: Arc<str> = NO_CHANNEL.into();
                self.metrics.received.get_or_create(&ByChannel { channel: channel.clone() }).inc();
                self.note_refusal(None, &rejection, &request, Read::Whole);
                let reply = Reply { status: NO_CHANNEL_STATUS, content_type: None, body: bytes::Bytes::new() };
                Answered { reply, cause: Cause::Refused, acknowledges: None, channel, received_at, is_limited: false }
            }
        }
    }

    /// Answers a request that was refused before its body could be read; `request` has none.
    pub fn refuse_unread(&self, entrance: &Entrance, rejection: &Rejection, request: &RawRequest) -> Answered {
        let received_at = request.received_at;
        let door = self.door_of(entrance);
        let channel: Arc<str> = door.map_or_else(|| NO_CHANNEL.into(), |door| door.id.clone());
        self.metrics.received.get_or_create(&ByChannel { channel: channel.clone() }).inc();
        self.note_refusal(door.map(|door| &**door), rejection, request, Read::Nothing);
        let reply = match door {
            Some(door) => door.channel().answer(Cause::Refused.answer(), None),
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
        let counts = door.counts(&self.metrics);
        counts.received.inc();
        let received_at = request.received_at;
        let channel = door.channel();
        let began = Instant::now();
        let success = OnceLock::new();
        let answered = |cause: Cause, acknowledges| Answered {
            reply: match cause.answer() {
                Answer::Success => success.get().cloned().unwrap_or_else(|| channel.answer(Answer::Success, None)),
                failure @ Answer::Failure(_) => channel.answer(failure, None),
            },
            cause,
            acknowledges,
            channel: door.id.clone(),
            received_at,
            is_limited: false,
        };
        let shadowed = Shadowed::of(door, &request);
        let mut verdict = channel.verify(&request, received_at);
        if let Verdict::NeedsKey(needed) = &verdict
            && let Some(with_key) = door.keeper.wait(needed, request.source).await
        {
            verdict = with_key.verify(&request, received_at);
        }
        let proven = match verdict {
            Verdict::Genuine(proven) => {
                self.guard.note_genuine(request.source);
                self.metrics.count_genuine(&door.id, &door.key_counts, proven.proof());
                // Made now: the request is given away when it is stored.
                success.get_or_init(|| channel.answer(Answer::Success, Some(&request)));
                proven
            }
            Verdict::Refused(rejection) => {
                self.note_cost(&rejection, request.source);
                if rejection == Rejection::Undecryptable {
                    self.keep_undecryptable(door, &request).await;
                    return answered(Cause::Undecryptable, None);
                }
                self.note_refusal(Some(door), &rejection, &request, Read::Whole);
                self.ask_about_unproven(door, &channel, &rejection, &request);
                return answered(Cause::Refused, None);
            }
            Verdict::NeedsKey(needed) => {
                let rejection = Rejection::UnknownKey { serial: quote(&needed.serial) };
                self.note_refusal(Some(door), &rejection, &request, Read::Whole);
                self.ask_about_unproven(door, &channel, &rejection, &request);
                return answered(Cause::KeyUnavailable, None);
            }
            Verdict::Hint(hint) => {
                let cause = self.keep_hint(door, &channel, hint, &request, shadowed).await;
                return answered(cause, None);
            }
        };
        let (proven, question) = hinted::to_confirm(door, &channel, proven, &request);
        // In shadow nothing is delivered, so nothing is waited for.
        let facts = match &door.ack {
            Ack::Delivered { .. } if !door.is_shadow => proven.value().facts.clone(),
            _ => Vec::new(),
        };
        let arrival = arrival(door, proven, request);
        let stored = self.inbox.store(arrival).await;
        if let (Some(shadowed), Ok(stored)) = (shadowed, &stored) {
            shadowed.genuine(&self.inbox, stored.notification());
        }
        if let (Some(question), Ok(stored)) = (question, &stored)
            && self.ask_to_confirm(door, question, stored, received_at).await == Cause::Busy
        {
            return answered(Cause::Busy, None);
        }
        match stored {
            Ok(Stored::New { id, events, is_held }) => {
                counts.stored.inc();
                let awaits_platform = events.iter().all(|event| event.is_unconfirmed || !event.is_held);
                if is_held && awaits_platform {
                    info!(notification.id = %id, channel = %door.id, "stored, and told when the platform confirms it");
                } else if is_held {
                    counts.held.inc();
                    warn!(notification.id = %id, channel = %door.id, "stored and held: a person must look at it");
                }
                if events.iter().any(|event| event.deliveries == 0 && !event.is_held) {
                    warn!(notification.id = %id, channel = %door.id, "stored, and no route takes it to a target");
                }
                info!(notification.id = %id, channel = %door.id, events = events.len(), "stored");
                let cause = if is_held { Cause::Held } else { Cause::Stored };
                let cause = self.confirmed(door, id, &facts, cause, began).await;
                answered(cause, acknowledged(cause, id))
            }
            Ok(Stored::Repeated { first, repeats, is_after_ack, is_held, .. }) => {
                counts.duplicate.inc();
                if is_after_ack {
                    counts.repeated_after_ack.inc();
                    warn!(notification.id = %first, channel = %door.id, repeats, "repeated although we had answered success");
                } else {
                    debug!(notification.id = %first, channel = %door.id, repeats, "repeated");
                }
                let cause = if is_held { Cause::Held } else { Cause::Repeated };
                let cause = self.confirmed(door, first, &facts, cause, began).await;
                answered(cause, acknowledged(cause, first))
            }
            Err(error) => {
                counts.busy.inc();
                error!(channel = %door.id, %error, "cannot store; answered busy");
                answered(Cause::Busy, None)
            }
        }
    }

    /// What is told of a stored notification: `cause`, when the channel does not wait for its application or
    /// the application has confirmed.
    async fn confirmed(
        &self,
        door: &Door,
        notification: NotificationId,
        facts: &[Fact],
        cause: Cause,
        began: Instant,
    ) -> Cause {
        let Ack::Delivered { target, within } = &door.ack else { return cause };
        let not_told = |reason| {
            let labels = ByReason { channel: door.id.clone(), reason };
            self.metrics.unconfirmed.get_or_create(&labels).inc();
        };
        let waited = self.waiters.wait(&*self.inbox, &door.id, facts, target, began + *within).await;
        match waited {
            Ok(Confirmation::Done) => cause,
            Ok(Confirmation::Held) => Cause::Held,
            Ok(Confirmation::NotYet(why)) => {
                not_told(why.word());
                if why == Why::Dead {
                    error!(notification.id = %notification, channel = %door.id, target = %target, "given up, and the platform waits for it: replay it when the cause is mended");
                } else {
                    info!(notification.id = %notification, channel = %door.id, target = %target, reason = why.word(), "stored, and not confirmed in time");
                }
                Cause::NotYet
            }
            Ok(Confirmation::Full) => {
                not_told("full");
                warn!(notification.id = %notification, channel = %door.id, "stored; too many answers wait for a confirmation");
                Cause::Busy
            }
            Err(error) => {
                not_told("unreadable");
                error!(notification.id = %notification, channel = %door.id, %error, "stored; cannot see whether it is confirmed");
                Cause::Busy
            }
        }
    }

    /// Counts, logs and keeps a refusal; never waits.
    fn note_refusal(&self, door: Option<&Door>, rejection: &Rejection, request: &RawRequest, read: Read) {
        self.say_refused(door, rejection, request);
        let is_read = read == Read::Whole;
        self.inbox.note_rejection(Refused { channel: door.map(|door| &*door.id), rejection, request, is_read });
    }

    /// Keeps what is genuine and cannot be read here: on disk before the reply, because this copy may be the
    /// last. The reply is a failure either way.
    async fn keep_undecryptable(&self, door: &Door, request: &RawRequest) {
        let rejection = &Rejection::Undecryptable;
        self.say_refused(Some(door), rejection, request);
        let refused = Refused { channel: Some(&door.id), rejection, request, is_read: true };
        if let Err(error) = self.inbox.store_rejection(refused).await {
            error!(channel = %door.id, %error, "cannot keep a genuine callback that cannot be decrypted");
        }
    }

    fn say_refused(&self, door: Option<&Door>, rejection: &Rejection, request: &RawRequest) {
        let reason = rejection.word();
        if let Some(shadowed) = door.and_then(|door| Shadowed::of(door, request)) {
            shadowed.refused(&self.inbox, reason);
        }
        let channel = door.map_or_else(|| NO_CHANNEL.into(), |door| door.id.clone());
        self.refusals.tell("refused", &channel, reason, rejection, request.source);
        self.metrics.refused.get_or_create(&ByReason { channel, reason }).inc();
    }
}

/// How much of a request's body was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Whole,
    Nothing,
}

/// A proven notification on its way into the inbox, with the routes of its channel.
fn arrival(door: &Door, notification: Proven<Notification>, request: RawRequest) -> Arrival {
    let routes = notification.value().facts.iter().map(|fact| door.routes(fact.kind).to_vec()).collect();
    Arrival {
        channel: door.id.clone(),
        merchant: door.merchant.clone(),
        platform: door.platform,
        notification,
        signed_query: door.channel().signed_query(&request),
        request,
        routes,
        is_shadow: door.is_shadow,
    }
}
