//! Bringing events to targets until they confirm: claim by lease, decide, attempt with a deadline, finish
//! by token. One task a target, so that a slow one delays no other; within a target deliveries are
//! independent, so that a stuck order delays no other.
//!
//! A claim stands by for what becomes due, and a periodic scan claims anew: losing the one costs latency, never data.

pub mod backoff;
#[cfg(test)]
mod cancelled;
pub mod decide;
mod line;
mod shelf;
pub mod signatures;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;
use tollbell_channels::model::{AckMatch, AppReply, RawRequest, Timestamp};
use tracing::{debug, error, info, warn};

pub use backoff::Backoff;

use self::line::Desk;
use self::shelf::Shelf;
use self::signatures::{Signature, Signatures};
use crate::clock::{Chance, Clock};
use crate::inbox::{AttemptRecord, EventRecord, Finish, Inbox, Leased, Next, Way};
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
pub type AckOf = Arc<dyn Fn(&Origin, &AppReply<'_>, Option<&RawRequest>) -> AckMatch + Send + Sync>;

/// Reads every field of a proven request in the way of the channel that it came to.
pub type FieldsOf = Arc<dyn Fn(&Origin, &RawRequest) -> Vec<(String, String)> + Send + Sync>;

/// Makes the callback of which an application knows, from what a platform answered when it was asked. None when the
/// channel cannot, or is not configured any more.
pub type CallbackOf = Arc<dyn Fn(&Origin, &RawRequest) -> Option<RawRequest> + Send + Sync>;

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
    /// Makes the platform's callback from its answer.
    pub callback_of: CallbackOf,
    /// Signs raw deliveries afresh, and knows how long an old signature is accepted.
    pub signatures: Arc<dyn Signatures>,
    /// Longest time between two scans for due deliveries.
    pub scan: Duration,
}

/// Everyone who works for one target.
struct Crew {
    deliverer: Deliverer,
    line: Line,
    shelf: Shelf,
    counted: Counted,
}

/// The line's metrics, looked up once.
struct Counted {
    delivered: Counter,
    confirmed_seconds: Histogram,
}

impl Deliverer {
    /// Runs one line until the stop signal, then lets running attempts end.
    pub async fn run(self, line: Line, stop: Stop) {
        Desk::new(Arc::new(self.crew(line))).run(stop).await;
    }

    fn crew(self, line: Line) -> Crew {
        let by_target = ByTarget { target: line.id.clone() };
        let delivered = ByOutcome { target: line.id.clone(), outcome: words(&Outcome::Delivered).0 };
        let counted = Counted {
            delivered: self.metrics.attempts.get_or_create(&delivered).clone(),
            confirmed_seconds: self.metrics.confirmed_seconds.get_or_create(&by_target).clone(),
        };
        let places = Shelf::new(line.policy.concurrency, line.policy.lease);
        Crew { deliverer: self, line, shelf: places, counted }
    }
}

impl Crew {
    /// A place's work: one attempt after the other, as long as something is leased.
    async fn work(self: Arc<Self>) {
        while let Some((leased, begun)) = self.shelf.begin((self.deliverer.clock)()) {
            let (until, began) = (leased.until, Instant::now());
            let finish = self.attempt(leased).await;
            begun.end(finish, until, began.elapsed());
        }
    }

    async fn attempt(&self, leased: Leased) -> Finish {
        let (deliverer, line) = (&self.deliverer, &self.line);
        let started_at = (deliverer.clock)();
        let received_at = leased.request.as_ref().map(|request| request.received_at);
        let attempted = match decide::decide(&leased) {
            decide::Decision::GiveUp { reason } => Attempted::without_answer(Outcome::Declined { reason }),
            decide::Decision::Deliver => deliverer.try_once(line, &leased, started_at).await,
        };
        let now = (deliverer.clock)();
        // Chance costs a call of the system, and only what is tried again needs it.
        let chance = if attempted.outcome == Outcome::Delivered { 0.0 } else { (deliverer.chance)() };
        let next = decide::settle(&attempted.outcome, leased.tries, &line.policy, now, chance);
        self.report(&leased, &attempted, next, received_at, now);
        Finish {
            delivery: leased.delivery,
            token: leased.token,
            attempt: record(leased.attempt, started_at, now, attempted),
            next,
        }
    }

    fn report(
        &self,
        leased: &Leased,
        attempted: &Attempted,
        next: Next,
        received_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        let (line, metrics) = (&self.line, &self.deliverer.metrics);
        let (outcome, reason) = words(&attempted.outcome);
        let reason = reason.map_or("", |reason| reason.word);
        let (delivery, notification, attempt) = (leased.delivery, leased.notification, leased.attempt);
        if attempted.outcome == Outcome::Delivered {
            self.counted.delivered.inc();
        } else {
            metrics.attempts.get_or_create(&ByOutcome { target: line.id.clone(), outcome }).inc();
        }
        match next {
            Next::Delivered => {
                if let Some(received_at) = received_at {
                    let seconds = now.duration_since(received_at).as_secs_f64();
                    self.counted.confirmed_seconds.observe(seconds.max(0.0));
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
                metrics.dead.get_or_create(&ByTarget { target: line.id.clone() }).inc();
                error!(delivery.id = %delivery, notification.id = %notification, target = %line.id, attempt, outcome, reason, "given up; replay it when the cause is mended");
            }
        }
        debug!(delivery.id = %delivery, status = attempted.status, "attempt ended");
    }
}

impl Deliverer {
    async fn try_once(&self, line: &Line, leased: &Leased, began: Timestamp) -> Attempted {
        let deadline = Instant::now() + line.policy.attempt_timeout;
        let mut envelope = self.envelope(leased, began);
        let origin = Origin { channel: leased.channel.clone(), platform: leased.platform.clone() };
        // What it takes by now, which may not be what it took when the delivery was made.
        let format = line.target.demands().format;
        if format == Format::Raw && leased.way != Way::Callback && envelope.request.is_none() {
            // Waiting makes none: a person mends the cause and replays it.
            return Attempted::without_answer(Outcome::Declined { reason: Reason::new("no_callback", "") });
        }
        if format == Format::Raw
            && line.signature == Signature::Resigned
            // What we made ourselves stands for a callback without a signature.
            && leased.way == Way::Callback
            && let Some(request) = &envelope.request
        {
            match self.signatures.resign(&origin, request, began) {
                Ok(resigned) => envelope.request = Some(resigned),
                Err(not_signed) => return not_signed.attempted(),
            }
        }
        let attempted = self.bring(line, envelope, deadline).await;
        match line.signature {
            Signature::Original if format == Format::Raw && leased.way == Way::Callback => {
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
        let (sent_by, kept) = (origin.clone(), leased.request.clone().map(Arc::new));
        let request = match leased.way {
            Way::Callback => leased.request.clone(),
            Way::Hint => leased.request.as_ref().and_then(|answer| (self.callback_of)(&origin, answer)),
        };
        let answered = request.clone().map(Arc::new);
        let (signatures, signed_for) = (self.signatures.clone(), origin.clone());
        Envelope {
            delivery: leased.delivery.to_string(),
            attempt: leased.attempt,
            notification: leased.notification.to_string(),
            merchant: leased.merchant.clone(),
            channel: leased.channel.clone(),
            environment: leased.environment,
            origin: leased.way.as_str(),
            events: leased.events.iter().map(view).collect(),
            request,
            signed_query: Arc::new(move |request| signatures.signed_query(&signed_for, request)),
            attempted_at,
            fields: Arc::new(move || kept.as_ref().map(|kept| fields_of(&sent_by, kept)).unwrap_or_default()),
            is_ack: Arc::new(move |reply| ack_of(&origin, reply, answered.as_deref())),
        }
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

fn record(number: u32, started_at: Timestamp, ended_at: Timestamp, attempted: Attempted) -> AttemptRecord {
    let Attempted { outcome, notes, status, body_head, stderr } = attempted;
    let (word, reason) = words(&outcome);
    let reason = reason.cloned();
    let (reason, detail) =
        reason.or(notes.into_iter().next()).map(|reason| (reason.word.to_owned(), reason.detail)).unwrap_or_default();
    AttemptRecord { number, started_at, ended_at, outcome: word.to_owned(), reason, detail, status, body_head, stderr }
}

/// Words of reasons that this module itself gives; the targets have their own lists.
pub const REASONS: &[&str] =
    &["body_gone", "cannot_resign", "event_gone", "no_callback", "no_resign_key", "no_result", "stale_signature"];
