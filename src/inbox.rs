//! The inbox: the durable store, and the only owner of SQL on our tables.
//!
//! Spoken in domain words, so that a second implementation fits behind the same traits. Calls that stand
//! on the way from callback to ack are gathered into batches by the implementation; no transaction is
//! open while anything outside the database is awaited.

pub mod audit;
pub mod claims;
#[cfg(test)]
pub(crate) mod conformance;
pub mod gaps;
pub mod hints;
pub mod holds;
pub mod ids;
mod platform_keys;
pub mod redact;
pub mod rejections;
pub mod settled;
pub mod shadow;
pub mod sqlite;
mod stored;
mod way;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tollbell_channels::model::{
    Concern, Environment, EventKind, Fact, Money, Notification, Proof, Proven, RawRequest, Timestamp,
};

use shadow::Shadow;

pub use audit::AuditRecord;
pub use claims::{Claim, Claimed, StandBy};
pub use gaps::{Closing, Gap, GapId, Gaps};
pub use hints::Hints;
pub use holds::Holds;
pub use ids::{DeliveryId, EventId, LeaseToken, NotificationId, RejectionId};
pub use platform_keys::{KeyUse, KeyUses, PlatformKeys};
pub use rejections::Rejections;
pub use settled::Settled;
pub use stored::{NewEvent, Stored};
pub use way::Way;

/// All that an inbox can do.
pub trait Inbox: Intake + Work + Search + Admin + Gaps + Hints + Holds + PlatformKeys + Rejections + Shadow {}
impl<T: Intake + Work + Search + Admin + Gaps + Hints + Holds + PlatformKeys + Rejections + Shadow> Inbox for T {}

/// Why a call failed. What is in the inbox stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk is full, read-only or failing, or the file is locked: later may work.
    #[error("the inbox cannot be written now: {0}")]
    Unavailable(String),
    /// More waits than the queue takes.
    #[error("the inbox's queue is full")]
    Overloaded,
    /// The inbox is shutting down.
    #[error("the inbox is closed")]
    Closed,
    /// The file was written by a newer program.
    #[error("the inbox has schema {found}, this program knows up to {known}")]
    NewerSchema {
        /// The file's.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A migration that was applied differs from the one in this program.
    #[error("migration {number} was changed after it had been applied")]
    ChangedMigration {
        /// Its number.
        number: u32,
    },
    /// The files may be read by others.
    #[error("{path} may be read or written by others (mode {mode:o}); it must be 0600")]
    OpenToOthers {
        /// Which file.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Another process serves from this inbox.
    #[error("another process serves from this inbox")]
    AlreadyServed,
    /// The thing asked for is not there.
    #[error("not found")]
    NotFound,
    /// A stored row cannot be read.
    #[error("a stored row cannot be read: {0}")]
    Corrupt(String),
}

/// The way in.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Stores a proven notification with its facts, events and deliveries in one transaction, and
    /// returns after the commit is on disk. A repetition stores nothing new and is counted.
    ///
    /// Cancelling the call loses only the answer: the notification is stored or not, as a whole.
    async fn store(&self, arrival: Arrival) -> Result<Stored, Error>;

    /// Our success reply for this notification was handed to the network completely. Kept lazily: a
    /// crash may lose it, which only makes a later repetition count as an ordinary one.
    fn acked(&self, notification: NotificationId, at: Timestamp);
}

/// A proven notification on its way in.
#[derive(Debug)]
pub struct Arrival {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The merchant.
    pub merchant: Arc<str>,
    /// The platform's kind.
    pub platform: &'static str,
    /// What was proven.
    pub notification: Proven<Notification>,
    /// The request as it came.
    pub request: RawRequest,
    /// What of its query the platform signed, which is kept whatever its names.
    pub signed_query: Option<String>,
    /// Where the event of each fact goes, in the order of the notification's facts.
    pub routes: Vec<Vec<RoutedTarget>>,
    /// Whether its deliveries are skipped, because the application still gets its callbacks by another way.
    pub is_shadow: bool,
}

/// A target that an event goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedTarget {
    /// The target's id.
    pub target: Arc<str>,
    /// Raw deliveries are made once for each notification that brought a new event, event deliveries
    /// once for each event.
    pub is_raw: bool,
}

/// The way out.
#[async_trait]
pub trait Work: Send + Sync {
    /// Claims deliveries of one target that are due, oldest due first, each under a lease with a fresh
    /// token. A delivery whose lease ran out counts as due; its lost attempt gets a row with the outcome
    /// `interrupted`.
    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, Error>;

    /// Claims as [`Work::claim`] does. When nothing is due, the claim stands by: what a commit makes due for its
    /// target is leased to it in that same commit. There is one for each target: a further call ends the one
    /// before, and takes its place unless it asks for nothing.
    async fn claim_or_stand_by(&self, claim: Claim) -> Result<Claimed, Error>;

    /// Ends an attempt: appends its row and moves the delivery on. Does nothing but say so when the
    /// lease is no longer held.
    async fn finish(&self, finish: Finish) -> Result<Finished, Error> {
        let mut finished = self.finish_all(Arc::from([finish])).await?;
        finished.pop().unwrap_or(Err(Error::NotFound))
    }

    /// Ends attempts in one commit, as [`Work::finish`] does; one result for each, in their order.
    async fn finish_all(&self, finishes: Arc<[Finish]>) -> Result<Vec<Result<Finished, Error>>, Error>;

    /// Gives back leases under which no attempt was begun: the deliveries are due at once, as if they had not been
    /// claimed. Leases that are no longer held are left alone.
    async fn release(&self, leases: Vec<(DeliveryId, LeaseToken)>) -> Result<(), Error>;

    /// When the next delivery of this target is due, or its lease runs out; `None` when nothing waits.
    async fn next_due(&self, target: &str) -> Result<Option<Timestamp>, Error>;

    /// The deliveries at a target that stand for these facts, whichever message brought them, with their
    /// states. None: nothing of it goes to that target.
    async fn standing(&self, facts: &[Fact], target: &str) -> Result<Vec<Standing>, Error>;

    /// Tells the end of these deliveries, each after the commit that made it; nobody else is woken. A lost
    /// telling costs latency: look at [`Work::standing`] now and then, and once after listening began.
    fn settled(&self, deliveries: &[DeliveryId]) -> Settled;

    /// Changes whenever a delivery may have become due. A lost wake-up costs latency, never data.
    fn wakes(&self) -> tokio::sync::watch::Receiver<u64>;
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Its state.
    pub state: DeliveryState,
}

/// A delivery under a lease.
#[derive(Debug)]
pub struct Leased {
    /// The delivery.
    pub delivery: DeliveryId,
    /// What `finish` must show.
    pub token: LeaseToken,
    /// When the lease ends.
    pub until: Timestamp,
    /// 1 for the first try; tries whose result was lost count.
    pub attempt: u32,
    /// Tries since the delivery was made or last replayed, this one included: what the schedule counts.
    pub tries: u32,
    /// The notification behind it.
    pub notification: NotificationId,
    /// Whether the notification's request goes out as it came.
    pub is_raw: bool,
    /// The channel's id.
    pub channel: Arc<str>,
    /// The platform's kind.
    pub platform: Arc<str>,
    /// The merchant.
    pub merchant: Arc<str>,
    /// Live or sandbox.
    pub environment: Environment,
    /// The events: one, or for raw deliveries all that the notification brought and that go to this target.
    pub events: Vec<EventRecord>,
    /// By which way the notification came.
    pub way: Way,
    /// The original request, or the platform's answer where we asked. `None` when the body's retention has passed.
    pub request: Option<RawRequest>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct Finish {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The lease's token.
    pub token: LeaseToken,
    /// The attempt's row.
    pub attempt: AttemptRecord,
    /// What becomes of the delivery.
    pub next: Next,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Confirmed. Deliveries that waited for it become due in the same transaction.
    Delivered,
    /// Due again at this time.
    Retry(Timestamp),
    /// No further tries; a person may replay it.
    Dead,
}

/// Whether `finish` counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It did.
    Done,
    /// Another holder has the delivery, or it was already finished: nothing was written.
    LeaseLost,
}

/// An attempt, append-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// 1 for the first.
    pub number: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When its result was known.
    pub ended_at: Timestamp,
    /// `delivered`, `retry`, `declined`, `unknown`, `interrupted`.
    pub outcome: String,
    /// The reason's word, and what was seen; empty when delivered without a note.
    pub reason: String,
    /// What was seen.
    pub detail: String,
    /// The application's status code.
    pub status: Option<u16>,
    /// The first bytes of its answer.
    pub body_head: String,
    /// Its error stream.
    pub stderr: String,
}

/// Words of reasons that an inbox itself gives: for attempts whose process died, and rows that cannot be read.
pub const REASONS: &[&str] = &["lease_expired", "discarded", "unreadable_row"];

/// The states of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Waits for the confirmation of its payment, or for its order.
    Waiting,
    /// Held for a person.
    Held,
    /// Due at its time.
    Pending,
    /// Being attempted.
    Leased,
    /// Confirmed.
    Delivered,
    /// Given up; replayable.
    Dead,
    /// Superseded before it was delivered.
    Skipped,
    /// Dropped by a person.
    Discarded,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Waiting,
        Self::Held,
        Self::Pending,
        Self::Leased,
        Self::Delivered,
        Self::Dead,
        Self::Skipped,
        Self::Discarded,
    ];

    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Discarded => "discarded",
        }
    }

    /// No attempt follows by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead | Self::Skipped | Self::Discarded)
    }
}

/// Reading, for people and applications. Lists page by cursor and never count rows.
#[async_trait]
pub trait Search: Send + Sync {
    /// One notification with its request.
    async fn notification(&self, id: NotificationId) -> Result<NotificationRecord, Error>;
    /// One event.
    async fn event(&self, id: EventId) -> Result<EventRecord, Error>;
    /// One delivery.
    async fn delivery(&self, id: DeliveryId) -> Result<DeliveryRecord, Error>;
    /// Events, newest first.
    async fn events(&self, filter: EventFilter) -> Result<Vec<EventRecord>, Error>;
    /// Notifications, newest first; `after` lists newer ones than that id, oldest first, for following.
    async fn notifications(&self, filter: NotificationFilter) -> Result<Vec<NotificationRecord>, Error>;
    /// The deliveries of a notification's events.
    async fn deliveries_of(&self, notification: NotificationId) -> Result<Vec<DeliveryRecord>, Error>;
    /// The attempts of a delivery, oldest first.
    async fn attempts_of(&self, delivery: DeliveryId) -> Result<Vec<AttemptRecord>, Error>;
    /// What waits for each target.
    async fn backlog(&self) -> Result<Vec<Backlog>, Error>;
    /// How many deliveries of each target are not finished: waiting, held, pending or leased. Those with none are
    /// left out; counting stops at [`BACKLOG_COUNT_MAX`] for each state.
    async fn unfinished(&self) -> Result<Vec<(String, u64)>, Error>;
    /// How large the inbox is.
    async fn size(&self) -> Result<Size, Error>;
    /// The last genuine notification of each channel.
    async fn last_genuine(&self) -> Result<Vec<(String, Timestamp)>, Error>;
    /// What people did, newest first.
    async fn audit_log(&self, limit: usize) -> Result<Vec<AuditRecord>, Error>;
}

/// Largest page of a list.
pub const PAGE_MAX: usize = 500;

/// Which events.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Of this order.
    pub order_no: Option<String>,
    /// Of this channel.
    pub channel: Option<String>,
    /// Of this kind.
    pub kind: Option<EventKind>,
    /// Having a delivery in this state.
    pub state: Option<DeliveryState>,
    /// Without any delivery.
    pub is_unrouted: bool,
    /// Older than this one: the last id of the page before.
    pub before: Option<EventId>,
    /// At most so many, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// Which notifications.
#[derive(Clone, Debug, Default)]
pub struct NotificationFilter {
    /// Of this channel.
    pub channel: Option<String>,
    /// Older than this one.
    pub before: Option<NotificationId>,
    /// Newer than this one, oldest first.
    pub after: Option<NotificationId>,
    /// At most so many, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// A stored notification.
#[derive(Clone, Debug)]
pub struct NotificationRecord {
    /// Its id.
    pub id: NotificationId,
    /// The channel's id.
    pub channel: String,
    /// The merchant.
    pub merchant: String,
    /// The platform's kind.
    pub platform: String,
    /// Live or sandbox.
    pub environment: Environment,
    /// The platform's number of the message.
    pub platform_id: String,
    /// What the platform calls it.
    pub platform_kind: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The platform's own time.
    pub sent_at: Option<Timestamp>,
    /// Why we believe it.
    pub proof: Proof,
    /// Why it is held; empty when it is not.
    pub concerns: Vec<Concern>,
    /// How often it was repeated.
    pub repeats: u32,
    /// How often after our complete success reply.
    pub repeated_after_ack: u32,
    /// The last repetition.
    pub last_repeated_at: Option<Timestamp>,
    /// When our success reply was completely handed over.
    pub acked_at: Option<Timestamp>,
    /// Ids of the events that it brought.
    pub events: Vec<EventId>,
    /// The request; `None` in lists, and when its retention has passed.
    pub request: Option<RawRequest>,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRecord {
    /// Its id, for ever.
    pub id: EventId,
    /// The notification that brought it.
    pub notification: NotificationId,
    /// The channel's id.
    pub channel: String,
    /// The merchant.
    pub merchant: String,
    /// Live or sandbox.
    pub environment: Environment,
    /// What happened.
    pub kind: EventKind,
    /// The merchant's order number.
    pub order_no: Option<String>,
    /// The platform's number.
    pub platform_no: Option<String>,
    /// Its own amount, where it is known.
    pub amount: Option<Money>,
    /// How the amount is known.
    pub amount_basis: AmountBasis,
    /// The running total that the message states.
    pub total: Option<Money>,
    /// When it happened, by the platform.
    pub occurred_at: Option<Timestamp>,
    /// When we stored it.
    pub created_at: Timestamp,
    /// Why it is held; empty when it is not.
    pub concerns: Vec<Concern>,
}

/// How the amount of an event is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountBasis {
    /// The platform states it.
    Stated,
    /// The difference of adjacent running totals.
    Difference,
    /// It is not known.
    Unknown,
    /// This kind of event has none.
    None,
}

/// A stored delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRecord {
    /// Its id.
    pub id: DeliveryId,
    /// The event (for raw deliveries the first that the notification brought to this target).
    pub event: EventId,
    /// The notification.
    pub notification: NotificationId,
    /// The target's id.
    pub target: String,
    /// Whether the original request goes out.
    pub is_raw: bool,
    /// Its state.
    pub state: DeliveryState,
    /// When it is due, its lease ends, or it goes out without its payment; when the state was reached,
    /// where nothing is planned.
    pub due_at: Timestamp,
    /// Attempts begun.
    pub attempts: u32,
    /// When the state was reached.
    pub changed_at: Timestamp,
    /// The delivery that it waits for.
    pub waits_for: Option<DeliveryId>,
    /// The event that made it pointless: why it is, or once was, skipped.
    pub superseded_by: Option<EventId>,
}

/// What waits for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// The target's id.
    pub target: String,
    /// Pending or leased, counted up to [`BACKLOG_COUNT_MAX`].
    pub open: u64,
    /// Given up, counted up to [`BACKLOG_COUNT_MAX`].
    pub dead: u64,
    /// Held, counted up to [`BACKLOG_COUNT_MAX`].
    pub held: u64,
    /// The receiving time of the oldest undelivered one.
    pub oldest_at: Option<Timestamp>,
}

/// How large an inbox is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the database, free pages included.
    pub bytes: u64,
    /// Of pages that retention freed and that new rows will use.
    pub free_bytes: u64,
    /// Of the log that is not moved into the database yet.
    pub wal_bytes: u64,
    /// Stored notifications, about.
    pub notifications: u64,
    /// Stored events, about.
    pub events: u64,
}

impl Size {
    /// Bytes that an event takes with all that belongs to it; `None` without events.
    pub fn bytes_per_event(&self) -> Option<u64> {
        self.bytes.saturating_sub(self.free_bytes).checked_div(self.events)
    }
}

/// Counting stops here: a metrics scrape must not read a whole table.
pub const BACKLOG_COUNT_MAX: u64 = 10_000;

/// Keeping house.
#[async_trait]
pub trait Admin: Send + Sync {
    /// Makes deliveries due again, under the same event ids. Delivered ones too: a person asked for it.
    /// What is held, leased or pending is left alone; so is what waits for its payment, unless that very
    /// delivery is named: then a person decided not to wait. Returns how many became due; the audit names `by`.
    async fn replay(&self, replay: Replay, by: &str) -> Result<u64, Error>;

    /// Notes in the audit what somebody did that wrote nothing else into the inbox.
    async fn audit(&self, at: Timestamp, by: &str, what: &str) -> Result<(), Error>;

    /// Removes what is older than its retention, one slice; call again while `is_done` is false.
    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<Retained, Error>;

    /// Discards deliveries that are not finished, of a target that is no longer configured and that nobody
    /// attempts: one slice. Returns how many; call again until it is 0. The audit says who asked.
    async fn discard_open(&self, target: &str, who: &str, at: Timestamp) -> Result<u64, Error>;

    /// Whether the part that writes answers, be it that it cannot write: false when it is stuck, overrun or gone.
    async fn answers(&self) -> bool;

    /// Writes a consistent copy of the inbox to a new file with mode 0600, while the node runs.
    async fn backup(&self, to: &Path) -> Result<(), Error>;

    /// As [`Admin::audit`], with subjects, reason and result in their own columns.
    async fn note_audit(&self, record: AuditRecord) -> Result<(), Error>;

    /// Whether the inbox can be written, with the cause when not.
    fn condition(&self) -> Condition;

    /// Stops taking work, commits what waits, and closes.
    async fn close(&self);
}

/// What to replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// Which.
    pub what: ReplayWhat,
    /// Only to this target.
    pub target: Option<String>,
    /// Now.
    pub at: Timestamp,
}

/// Which deliveries to replay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayWhat {
    /// All of an event.
    Event(EventId),
    /// All of a notification.
    Notification(NotificationId),
    /// One.
    Delivery(DeliveryId),
    /// All dead ones, at most this many.
    Dead(usize),
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bodies and headers.
    pub bodies: Duration,
    /// Identities, keys, events: never less than the bodies.
    pub identities: Duration,
    /// Refused requests.
    pub rejections: Duration,
    /// Rows that one slice removes at most, so that intake never waits long.
    pub slice: usize,
}

/// What one slice removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Bodies removed.
    pub bodies: u64,
    /// Notifications removed, with their keys, events, identities, deliveries and attempts.
    pub notifications: u64,
    /// Rejections removed.
    pub rejections: u64,
    /// Nothing more is old enough.
    pub is_done: bool,
}

/// Whether the inbox can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The last commit succeeded.
    Good,
    /// The last commit failed, with the cause.
    Failing(String),
}
