//! Bringing events to targets until they confirm: claim by lease, decide, attempt with a deadline, finish
//! by token. One task a target, so that a slow one delays no other; within a target deliveries are
//! independent, so that a stuck order delays no other.
//!
//! A wake-up and a periodic scan trigger the same step: losing a wake-up costs latency, never data.

pub mod backoff;
#[cfg(test)]
mod cancelled;
pub mod decide;
pub mod signatures;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tollbell_channels::model::{AckMatch, AppReply, RawRequest, Timestamp};
use tracing::{debug, error, info, warn};

pub use backoff::Backoff;

use self::signatures::{Signature, Signatures};
use crate::clock::{Chance, Clock};
use crate::inbox::{
    self, AttemptRecord, Claim, DeliveryId, EventRecord, Finish, Finished, Inbox, LeaseToken, Leased, Next,
};
use crate::stop::Stop;
use crate::targets::{Attempted, Envelope, EventView, Format, Outcome, Reason, Target};
use crate::telemetry::{ByOutcome, ByTarget, Metrics};

/// A target with its schedule.
#[derive(Clone)]
pub struct Line {
    /// The target's id.
    pub id: Arc<str>,
    /// The target.
    pub target: Arc<dyn Target>,
    /// Whose signature its raw deliveries carry.
    pub signature: Signature,
    /// Its schedule.
    pub policy: Policy,
}

/// A target's schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// When to try again.
    pub backoff: Backoff,
    /// Shortest wait after an attempt whose result is unknown.
    pub wait_after_unknown: Duration,
    /// Longest time of an attempt.
    pub attempt_timeout: Duration,
    /// How long a claim lasts; see [`Policy::lease_for`].
    pub lease: Duration,
    /// Most attempts at once.
    pub concurrency: usize,
}

impl Policy {
    /// No wait that is planned is longer; no application may ask for a longer one.
    pub fn longest_wait(&self) -> Duration {
        self.backoff.longest().max(self.wait_after_unknown)
    }

    /// A lease outlives the attempt, and also the application's own limit: when this process dies in the
    /// middle of an attempt, the next one must not begin while the script may still be running. `margin` is
    /// for writing the result down.
    pub fn lease_for(attempt_timeout: Duration, wait_after_unknown: Duration, margin: Duration) -> Duration {
        attempt_timeout.max(wait_after_unknown).saturating_add(margin)
    }
}

/// Does an application's answer say what the platform of this delivery waits for?
pub type AckOf = Arc<dyn Fn(&Origin, &AppReply<'_>) -> AckMatch + Send + Sync>;

/// Reads every field of a proven request in the way of the channel that it came to.
pub type FieldsOf = Arc<dyn Fn(&Origin, &RawRequest) -> Vec<(String, String)> + Send + Sync>;

/// Where a delivery came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The platform's kind.
    pub platform: Arc<str>,
}

/// What every line needs.
#[derive(Clone)]
pub struct Deliverer {
    /// The inbox.
    pub inbox: Arc<dyn Inbox>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// Chance, for jitter.
    pub chance: Chance,
    /// Reads an application's answer in the words of a channel.
    pub ack_of: AckOf,
    /// Reads the fields of a platform's message.
    pub fields_of: FieldsOf,
    /// Signs raw deliveries afresh, and knows how long an old signature is accepted.
    pub signatures: Arc<dyn Signatures>,
    /// Longest time between two scans for due deliveries.
    pub scan: Duration,
}

/// A lease whose attempt runs in this process.
struct Held {
    delivery: DeliveryId,
    token: LeaseToken,
    until: Timestamp,
}

/// Wait after an inbox that failed, before it is asked again.
const INBOX_PAUSE: Duration = Duration::from_millis(500);

impl Deliverer {
    /// Runs one line until the stop signal, then lets running attempts end.
    pub async fn run(self, line: Line, mut stop: Stop) {
        let mut wakes = self.inbox.wakes();
        let mut running: JoinSet<()> = JoinSet::new();
        let mut held: HashMap<tokio::task::Id, Held> = HashMap::new();
        loop {
            let is_stopping = stop.is_raised();
            wakes.borrow_and_update();
            let free = line.policy.concurrency.saturating_sub(running.len());
            let mut claimed = 0;
            let mut pause = self.scan;
            if free > 0 && !is_stopping {
                match self.claim(&line, free, &held).await {
                    Ok(leases) => {
                        claimed = leases.len();
                        for leased in leases {
                            let (deliverer, line) = (self.clone(), line.clone());
                            let lease = Held { delivery: leased.delivery, token: leased.token, until: leased.until };
                            let task = running.spawn(async move { deliverer.attempt(&line, leased).await });
                            held.insert(task.id(), lease);
                        }
                        if claimed < free {
                            pause = self.until_next(&line).await.min(self.scan);
                        }
                    }
                    Err(error) => {
                        warn!(target = %line.id, %error, "cannot claim deliveries");
                        pause = INBOX_PAUSE;
                    }
                }
            }
            if is_stopping && running.is_empty() {
                break;
            }
            let has_free = free > claimed;
            tokio::select! {
                Some(ended) = running.join_next_with_id() => {
                    held.remove(&ended.as_ref().map_or_else(tokio::task::JoinError::id, |(id, ())| *id));
                    if let Err(error) = ended {
                        // Its lease runs out and the delivery is tried again.
                        error!(target = %line.id, %error, "an attempt ended without a result");
                    }
                }
                changed = wakes.changed(), if has_free && !is_stopping => {
                    if changed.is_err() {
                        tokio::time::sleep(INBOX_PAUSE).await;
                    }
                }
                () = stop.raised(), if !is_stopping => {}
                () = tokio::time::sleep(pause), if has_free && !is_stopping => {}
            }
        }
        line.target.close().await;
    }

    async fn claim(
        &self,
        line: &Line,
        max: usize,
        held: &HashMap<tokio::task::Id, Held>,
    ) -> Result<Vec<Leased>, inbox::Error> {
        let now = (self.clock)();
        let claim = Claim {
            target: line.id.clone(),
            max,
            now,
            // An attempt ends before its lease: one that is held beyond it tells of a clock that was set forward.
            running: held.values().filter(|held| held.until <= now).map(|held| (held.delivery, held.token)).collect(),
            lease: line.policy.lease,
            longest_wait: line.policy.longest_wait(),
        };
        self.inbox.claim(claim).await
    }

    async fn until_next(&self, line: &Line) -> Duration {
        match self.inbox.next_due(&line.id).await {
            Ok(Some(due)) => {
                let wait = due.duration_since((self.clock)());
                Duration::try_from(wait).unwrap_or_default().max(Duration::from_millis(1))
            }
            Ok(None) | Err(_) => self.scan,
        }
    }

    async fn attempt(&self, line: &Line, leased: Leased) {
        let started_at = (self.clock)();
        let received_at = leased.request.as_ref().map(|request| request.received_at);
        let attempted = match decide::decide(&leased) {
            decide::Decision::GiveUp { reason } => Attempted::without_answer(Outcome::Declined { reason }),
            decide::Decision::Deliver => self.try_once(line, &leased, started_at).await,
        };
        let now = (self.clock)();
        let next = decide::settle(&attempted.outcome, leased.tries, &line.policy, now, (self.chance)());
        self.report(line, &leased, &attempted, next, received_at, now);
        let finish = Finish {
            delivery: leased.delivery,
            token: leased.token,
            attempt: record(leased.attempt, started_at, now, &attempted),
            next,
        };
        self.finish(finish, leased.until).await;
    }

    /// Writes an attempt's result down. While the lease lasts nobody else tries the delivery, so an inbox that
    /// cannot be written for a moment is asked again: giving up would run a script twice that has confirmed.
    async fn finish(&self, finish: Finish, lease_until: Timestamp) {
        let delivery = finish.delivery;
        loop {
            let error = match self.inbox.finish(finish.clone()).await {
                Ok(Finished::Done) => return,
                Ok(Finished::LeaseLost) => {
                    warn!(delivery.id = %delivery, "the lease ran out before the result");
                    return;
                }
                Err(error) => error,
            };
            let is_final = !matches!(error, inbox::Error::Unavailable(_) | inbox::Error::Overloaded);
            let left = Duration::try_from(lease_until.duration_since((self.clock)())).unwrap_or_default();
            if is_final || left <= INBOX_PAUSE {
                error!(delivery.id = %delivery, %error, "cannot write an attempt's result; it will be tried again");
                return;
            }
            warn!(delivery.id = %delivery, %error, "cannot write an attempt's result yet");
            tokio::time::sleep(INBOX_PAUSE).await;
        }
    }

    async fn try_once(&self, line: &Line, leased: &Leased, began: Timestamp) -> Attempted {
        let deadline = Instant::now() + line.policy.attempt_timeout;
        let mut envelope = self.envelope(leased, began);
        let origin = Origin { channel: leased.channel.clone(), platform: leased.platform.clone() };
        // What it takes by now, which may not be what it took when the delivery was made.
        let format = line.target.demands().format;
        if format == Format::Raw
            && line.signature == Signature::Resigned
            && let Some(request) = &envelope.request
        {
            match self.signatures.resign(&origin, request, began) {
                Ok(resigned) => envelope.request = Some(resigned),
                Err(not_signed) => return not_signed.attempted(),
            }
        }
        let attempted = self.bring(line, envelope, deadline).await;
        match line.signature {
            Signature::Original if format == Format::Raw => {
                signatures::stale(attempted, leased, began, self.signatures.freshness(&origin))
            }
            _ => attempted,
        }
    }

    /// Brings one delivery to its target. One that was made when the target took whole requests may cover several
    /// events; where the target takes single events by now, all of them have to be confirmed. Those that were in
    /// an earlier try come again, under the same id.
    async fn bring(&self, line: &Line, envelope: Envelope, deadline: Instant) -> Attempted {
        let envelopes = match line.target.demands().format {
            Format::Raw => vec![envelope],
            Format::Event => {
                let mut events = envelope.events.clone();
                // A payment comes before its refund, whichever the message told first.
                events.sort_by_key(|event| event.kind.follows_payment());
                events.into_iter().map(|event| Envelope { events: vec![event], ..envelope.clone() }).collect()
            }
        };
        let no_result = || Attempted::without_answer(Outcome::Unknown { reason: Reason::new("no_result", "") });
        let mut last = no_result();
        for envelope in envelopes {
            let mut results = line.target.deliver(std::slice::from_ref(&envelope), deadline).await;
            last = results.pop().unwrap_or_else(no_result);
            if last.outcome != Outcome::Delivered {
                break;
            }
        }
        last
    }

    fn envelope(&self, leased: &Leased, attempted_at: Timestamp) -> Envelope {
        let (ack_of, fields_of) = (self.ack_of.clone(), self.fields_of.clone());
        let origin = Origin { channel: leased.channel.clone(), platform: leased.platform.clone() };
        let (sent_by, request) = (origin.clone(), leased.request.clone());
        Envelope {
            delivery: leased.delivery.to_string(),
            attempt: leased.attempt,
            notification: leased.notification.to_string(),
            merchant: leased.merchant.clone(),
            channel: leased.channel.clone(),
            environment: leased.environment,
            origin: "callback",
            events: leased.events.iter().map(view).collect(),
            request: leased.request.clone(),
            attempted_at,
            fields: Arc::new(move || request.as_ref().map(|request| fields_of(&sent_by, request)).unwrap_or_default()),
            is_ack: Arc::new(move |reply| ack_of(&origin, reply)),
        }
    }

    fn report(
        &self,
        line: &Line,
        leased: &Leased,
        attempted: &Attempted,
        next: Next,
        received_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let (outcome, reason) = words(&attempted.outcome);
        self.metrics.attempts.get_or_create(&ByOutcome { target: line.id.clone(), outcome }).inc();
        let by_target = ByTarget { target: line.id.clone() };
        let reason = reason.map_or("", |reason| reason.word);
        let (delivery, notification, attempt) = (leased.delivery, leased.notification, leased.attempt);
        match next {
            Next::Delivered => {
                if let Some(received_at) = received_at {
                    let seconds = now.duration_since(received_at).as_secs_f64();
                    self.metrics.confirmed_seconds.get_or_create(&by_target).observe(seconds.max(0.0));
                }
                for note in &attempted.notes {
                    warn!(delivery.id = %delivery, notification.id = %notification, note = note.word, "confirmed, with a note");
                }
                info!(delivery.id = %delivery, notification.id = %notification, target = %line.id, attempt, "confirmed");
            }
            Next::Retry(at) => {
                info!(delivery.id = %delivery, notification.id = %notification, target = %line.id, attempt, outcome, reason, retry_at = %at, "not confirmed");
            }
            Next::Dead => {
                self.metrics.dead.get_or_create(&by_target).inc();
                error!(delivery.id = %delivery, notification.id = %notification, target = %line.id, attempt, outcome, reason, "given up; replay it when the cause is mended");
            }
        }
        debug!(delivery.id = %delivery, status = attempted.status, "attempt ended");
    }
}

fn view(event: &EventRecord) -> EventView {
    EventView {
        id: event.id.to_string(),
        kind: event.kind,
        order_no: event.order_no.clone(),
        platform_no: event.platform_no.clone(),
        amount: event.amount,
        total: event.total,
        occurred_at: event.occurred_at,
        recorded_at: event.created_at,
    }
}

fn words(outcome: &Outcome) -> (&'static str, Option<&Reason>) {
    match outcome {
        Outcome::Delivered => ("delivered", None),
        Outcome::RetryLater { reason, .. } => ("retry", Some(reason)),
        Outcome::Declined { reason } => ("declined", Some(reason)),
        Outcome::Unknown { reason } => ("unknown", Some(reason)),
    }
}

fn record(number: u32, started_at: Timestamp, ended_at: Timestamp, attempted: &Attempted) -> AttemptRecord {
    let (outcome, reason) = words(&attempted.outcome);
    let reason = reason.or(attempted.notes.first());
    AttemptRecord {
        number,
        started_at,
        ended_at,
        outcome: outcome.to_owned(),
        reason: reason.map(|r| r.word.to_owned()).unwrap_or_default(),
        detail: reason.map(|r| r.detail.clone()).unwrap_or_default(),
        status: attempted.status,
        body_head: attempted.body_head.clone(),
        stderr: attempted.stderr.clone(),
    }
}

/// Words of reasons that this module itself gives; the targets have their own lists.
pub const REASONS: &[&str] =
    &["body_gone", "cannot_resign", "event_gone", "no_resign_key", "no_result", "stale_signature"];
