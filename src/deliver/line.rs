//! A target's line: claims, has attempts made, writes their results down. None of the three waits for another: while
//! one commit is under way, attempts go on from what was leased ahead, and their results gather for the next one.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tollbell_channels::model::Timestamp;
use tracing::{error, warn};

use super::Crew;
use super::shelf::Taken;
use crate::inbox::{self, Claim, Claimed, DeliveryId, Finish, Finished, LeaseToken, Leased, StandBy};
use crate::stop::Stop;

/// Wait after an inbox that failed, before it is asked again.
const INBOX_PAUSE: Duration = Duration::from_millis(500);
/// Added to a lease for the time that its delivery waits for a free place. An attempt that cannot begin in time
/// gives its lease back.
const SHELF_WAIT: Duration = Duration::from_secs(1);
/// No look at what time makes due comes sooner after the one before.
const LOOK_MIN: Duration = Duration::from_millis(1);

/// One target's line.
pub(super) struct Desk {
    crew: Arc<Crew>,
    places: JoinSet<()>,
    /// Every lease that is not written down.
    held: HashMap<DeliveryId, Held>,
    claiming: Option<Running<Result<Claimed, inbox::Error>>>,
    standing: Option<StandBy>,
    /// When to claim anew although a claim stands by: for what time makes due.
    look_at: Instant,
    /// After a failure nothing is claimed until then.
    claim_after: Option<Instant>,
    writing: Option<Running<Written>>,
    /// Results that could not be written, and from when on to try again.
    unwritten: Vec<(Finish, Timestamp)>,
    write_after: Option<Instant>,
}

/// A lease of this process.
struct Held {
    token: LeaseToken,
    until: Timestamp,
}

/// A call that is under way.
type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What became of results.
struct Written {
    finishes: Arc<[Finish]>,
    untils: Vec<Timestamp>,
    result: Result<Vec<Result<Finished, inbox::Error>>, inbox::Error>,
    released: Vec<(DeliveryId, LeaseToken)>,
}

impl Desk {
    pub(super) fn new(crew: Arc<Crew>) -> Self {
        Self {
            crew,
            places: JoinSet::new(),
            held: HashMap::new(),
            claiming: None,
            standing: None,
            look_at: Instant::now(),
            claim_after: None,
            writing: None,
            unwritten: Vec::new(),
            write_after: None,
        }
    }

    /// Runs until the stop signal, then lets running attempts end and writes everything down.
    pub(super) async fn run(mut self, mut stop: Stop) {
        let crew = Arc::clone(&self.crew);
        loop {
            let is_stopping = stop.is_raised();
            if is_stopping {
                crew.shelf.clear();
            }
            self.write();
            self.claim(is_stopping);
            for _ in 0..crew.shelf.fill() {
                self.places.spawn(Arc::clone(&crew).work());
            }
            if is_stopping && self.is_done() {
                break;
            }
            let wake_at = self.wake_at(is_stopping);
            tokio::select! {
                claimed = ready(&mut self.claiming) => self.take_claimed(claimed, is_stopping),
                granted = granted(&mut self.standing) => match granted {
                    Some(Ok(leases)) => self.stock(leases),
                    Some(Err(error)) => self.note_claim_failed(&error),
                    None => {}
                },
                written = ready(&mut self.writing) => self.take_written(written),
                Some(ended) = self.places.join_next() => {
                    if let Err(error) = ended {
                        // Its lease runs out and the delivery is tried again.
                        error!(target = %crew.line.id, %error, "an attempt ended without a result");
                    }
                }
                () = crew.shelf.told.notified() => {}
                () = stop.raised(), if !is_stopping => {}
                () = sleep_until(wake_at) => {}
            }
        }
        crew.line.target.close().await;
    }

    fn is_done(&self) -> bool {
        self.claiming.is_none()
            && self.standing.is_none()
            && self.writing.is_none()
            && self.unwritten.is_empty()
            && self.crew.shelf.is_empty()
    }

    /// When time alone gives something to do.
    fn wake_at(&self, is_stopping: bool) -> Option<Instant> {
        let look_at = self.standing.as_ref().map(|_| self.look_at);
        let claim_at = self.claim_after.or(look_at).filter(|_| !is_stopping && self.claiming.is_none());
        let write_at = self.write_after.filter(|_| self.writing.is_none());
        [claim_at, write_at].into_iter().flatten().min()
    }

    /// Begins a claim when there is room for what it may bring.
    fn claim(&mut self, is_stopping: bool) {
        if self.claiming.is_some() {
            return;
        }
        if is_stopping {
            if self.standing.is_some() {
                self.begin_claim(0);
            }
            return;
        }
        let now = Instant::now();
        if self.claim_after.is_some_and(|after| now < after) || (self.standing.is_some() && now < self.look_at) {
            return;
        }
        self.claim_after = None;
        let room = self.crew.shelf.room(self.held.len());
        if room > 0 {
            self.begin_claim(room);
        }
    }

    fn begin_claim(&mut self, max: usize) {
        let Crew { deliverer, line, .. } = &*self.crew;
        let now = (deliverer.clock)();
        // An attempt ends before its lease: one that is held beyond it tells of a clock that was set forward.
        let running = self.held.iter().filter(|(_, held)| held.until <= now);
        let claim = Claim {
            target: line.id.clone(),
            max,
            now,
            running: running.map(|(delivery, held)| (*delivery, held.token)).collect(),
            lease: line.policy.lease.saturating_add(SHELF_WAIT),
            longest_wait: line.policy.longest_wait(),
        };
        let inbox = Arc::clone(&deliverer.inbox);
        self.claiming = Some(Box::pin(async move { inbox.claim_or_stand_by(claim).await }));
    }

    fn take_claimed(&mut self, claimed: Result<Claimed, inbox::Error>, is_stopping: bool) {
        match claimed {
            Ok(Claimed { leases, next_due, stand_by }) => {
                if let Some(Ok(leases)) = self.standing.take().and_then(StandBy::ended) {
                    self.stock(leases);
                }
                self.stock(leases);
                self.standing = stand_by;
                let scan = self.crew.deliverer.scan;
                let until_due = next_due.map_or(scan, |due| {
                    Duration::try_from(due.duration_since((self.crew.deliverer.clock)())).unwrap_or_default()
                });
                self.look_at = Instant::now() + until_due.clamp(LOOK_MIN, scan.max(LOOK_MIN));
            }
            Err(error) => {
                if is_stopping {
                    self.standing = None;
                }
                self.note_claim_failed(&error);
            }
        }
    }

    fn note_claim_failed(&mut self, error: &inbox::Error) {
        warn!(target = %self.crew.line.id, %error, "cannot claim deliveries");
        self.claim_after = Some(Instant::now() + INBOX_PAUSE);
    }

    fn stock(&mut self, leases: Vec<Leased>) {
        for leased in &leases {
            self.held.insert(leased.delivery, Held { token: leased.token, until: leased.until });
        }
        self.crew.shelf.stock(leases);
    }

    /// Begins to write down what lies on the shelf.
    fn write(&mut self) {
        if self.writing.is_some() {
            return;
        }
        let Taken { results, unbegun, lost } = self.crew.shelf.take();
        for delivery in lost {
            self.held.remove(&delivery);
        }
        self.unwritten.extend(results);
        let is_waiting = self.write_after.is_some_and(|after| Instant::now() < after);
        let results = if is_waiting { Vec::new() } else { std::mem::take(&mut self.unwritten) };
        if results.is_empty() && unbegun.is_empty() {
            return;
        }
        self.write_after = self.write_after.filter(|_| is_waiting);
        let (finishes, untils): (Vec<_>, Vec<_>) = results.into_iter().unzip();
        let (finishes, inbox) = (Arc::<[Finish]>::from(finishes), Arc::clone(&self.crew.deliverer.inbox));
        let target = self.crew.line.id.clone();
        self.writing = Some(Box::pin(async move {
            if !unbegun.is_empty()
                && let Err(error) = inbox.release(unbegun.clone()).await
            {
                warn!(%target, %error, "cannot give leases back; they run out");
            }
            let result =
                if finishes.is_empty() { Ok(Vec::new()) } else { inbox.finish_all(Arc::clone(&finishes)).await };
            Written { finishes, untils, result, released: unbegun }
        }));
    }

    fn take_written(&mut self, written: Written) {
        let Written { finishes, untils, result, released } = written;
        for (delivery, _) in released {
            self.held.remove(&delivery);
        }
        let of_all = match result {
            Ok(results) => {
                for ((finish, until), result) in finishes.iter().zip(untils).zip(results) {
                    self.settle(finish, until, result.as_ref());
                }
                return;
            }
            Err(error) => error,
        };
        for (finish, until) in finishes.iter().zip(untils) {
            self.settle(finish, until, Err(&of_all));
        }
    }

    /// While its lease lasts nobody else tries the delivery, so an inbox that cannot be written for a moment is asked
    /// again: giving up would run a script twice that has confirmed.
    fn settle(&mut self, finish: &Finish, until: Timestamp, result: Result<&Finished, &inbox::Error>) {
        let delivery = finish.delivery;
        let error = match result {
            Ok(Finished::Done) => {
                self.held.remove(&delivery);
                return;
            }
            Ok(Finished::LeaseLost) => {
                warn!(delivery.id = %delivery, "the lease ran out before the result");
                self.held.remove(&delivery);
                return;
            }
            Err(error) => error,
        };
        let is_final = !matches!(error, inbox::Error::Unavailable(_) | inbox::Error::Overloaded);
        let left = Duration::try_from(until.duration_since((self.crew.deliverer.clock)())).unwrap_or_default();
        if is_final || left <= INBOX_PAUSE {
            error!(delivery.id = %delivery, %error, "cannot write an attempt's result; it will be tried again");
            self.held.remove(&delivery);
            return;
        }
        warn!(delivery.id = %delivery, %error, "cannot write an attempt's result yet");
        self.unwritten.push((finish.clone(), until));
        self.write_after = Some(Instant::now() + INBOX_PAUSE);
    }
}

/// The end of a call that is under way; never, when none is.
async fn ready<T>(running: &mut Option<Running<T>>) -> T {
    match running {
        Some(call) => {
            let result = call.as_mut().await;
            *running = None;
            result
        }
        None => std::future::pending().await,
    }
}

/// What the claim that stands by is given; never, when there is none.
async fn granted(standing: &mut Option<StandBy>) -> Option<Result<Vec<Leased>, inbox::Error>> {
    match standing {
        Some(stand_by) => {
            let granted = stand_by.granted().await;
            *standing = None;
            granted
        }
        None => std::future::pending().await,
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
