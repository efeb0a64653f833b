//! What lies between the inbox and the attempts of one target: leased deliveries that wait for a free place, and
//! results that wait to be written down. Places take from it and lay down in it without asking the line, so that
//! neither waits for the other's commit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tollbell_channels::model::Timestamp;

use crate::inbox::{DeliveryId, Finish, LeaseToken, Leased};

/// How much of a target's work is leased ahead of its free places: enough that no place waits for a commit, and so
/// little that a process which dies delays few deliveries by a lease.
const AHEAD: Duration = Duration::from_millis(20);
/// Most deliveries leased ahead, however fast the target is: their bodies are in memory.
const AHEAD_MAX: usize = 192;
/// Most deliveries that are leased and not written down. Beyond it nothing is claimed: the inbox is slower than the
/// target.
const OUTSTANDING_MAX: usize = 2048;
/// A place's time for an attempt is a mean over about so many attempts.
const MEAN_OVER: u32 = 8;
/// Least time of an attempt that is reckoned with.
const ATTEMPT_MIN: Duration = Duration::from_micros(50);

/// The shelf.
pub(super) struct Shelf {
    /// Attempts at the same time.
    places: usize,
    /// What a lease must still last when an attempt begins.
    lease_min: Duration,
    state: Mutex<State>,
    /// Something lies here that the line asked for.
    pub(super) told: Notify,
}

#[derive(Default)]
struct State {
    stock: VecDeque<Leased>,
    taken: Taken,
    busy: usize,
    running: usize,
    /// Mean time of an attempt; none before the first.
    attempt: Option<Duration>,
    /// The line waits for the next result, or for room.
    wants_result: bool,
    wants_room: bool,
}

/// What the line takes off the shelf.
#[derive(Default)]
pub(super) struct Taken {
    /// Results, each with the end of its lease.
    pub(super) results: Vec<(Finish, Timestamp)>,
    /// Leases under which nothing was begun, and nothing will be.
    pub(super) unbegun: Vec<(DeliveryId, LeaseToken)>,
    /// Deliveries whose attempt ended without a result.
    pub(super) lost: Vec<DeliveryId>,
}

impl Taken {
    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.unbegun.is_empty() && self.lost.is_empty()
    }
}

impl Shelf {
    pub(super) fn new(places: usize, lease_min: Duration) -> Self {
        Self { places, lease_min, state: Mutex::default(), told: Notify::new() }
    }

    /// Lays down what was leased.
    pub(super) fn stock(&self, leases: Vec<Leased>) {
        self.lock().stock.extend(leases);
    }

    /// How many places have to be filled, and counts them as busy.
    pub(super) fn fill(&self) -> usize {
        let mut state = self.lock();
        let more = state.stock.len().min(self.places.saturating_sub(state.busy));
        state.busy += more;
        more
    }

    /// How many more deliveries to claim; 0 while it is not worth a claim. `outstanding` of them are leased in all.
    pub(super) fn room(&self, outstanding: usize) -> usize {
        let mut state = self.lock();
        let ahead = self.ahead(state.attempt);
        let have = state.stock.len() + state.running;
        let is_low = state.stock.len() <= ahead / 2;
        let room = if is_low { (self.places + ahead).saturating_sub(have) } else { 0 };
        let room = room.min(OUTSTANDING_MAX.saturating_sub(outstanding));
        state.wants_room = room == 0;
        room
    }

    fn ahead(&self, attempt: Option<Duration>) -> usize {
        let Some(attempt) = attempt else { return 0 };
        let each = AHEAD.as_nanos() / attempt.max(ATTEMPT_MIN).as_nanos();
        usize::try_from(each).unwrap_or(AHEAD_MAX).saturating_mul(self.places).min(AHEAD_MAX)
    }

    /// Takes what lies here. When that is nothing, the line is told of the next result.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.lock();
        let taken = std::mem::take(&mut state.taken);
        state.wants_result = taken.is_empty();
        taken
    }

    /// Whether no attempt runs, none will, and everything has been taken.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.lock();
        state.busy == 0 && state.stock.is_empty() && state.taken.is_empty()
    }

    /// Gives up what nobody has begun.
    pub(super) fn clear(&self) {
        let mut state = self.lock();
        let unbegun: Vec<_> = state.stock.drain(..).map(|leased| (leased.delivery, leased.token)).collect();
        state.taken.unbegun.extend(unbegun);
    }

    /// Something to attempt now; leases that have become too short are given up. `None` when nothing is left: the
    /// place is free then.
    pub(super) fn begin(&self, now: Timestamp) -> Option<(Leased, Begun<'_>)> {
        let mut state = self.lock();
        while let Some(leased) = state.stock.pop_front() {
            let left = Duration::try_from(leased.until.duration_since(now)).unwrap_or_default();
            if left < self.lease_min {
                state.taken.unbegun.push((leased.delivery, leased.token));
                self.tell_result(&mut state);
                continue;
            }
            state.running += 1;
            let begun = Begun { shelf: self, delivery: leased.delivery, has_ended: false };
            return Some((leased, begun));
        }
        state.busy -= 1;
        if state.busy == 0 || state.wants_room {
            state.wants_room = false;
            self.told.notify_one();
        }
        None
    }

    fn tell_result(&self, state: &mut State) {
        if std::mem::take(&mut state.wants_result) {
            self.told.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that has begun. Dropped without a result, it is lost: its lease runs out and the delivery is tried
/// again; its place is free.
pub(super) struct Begun<'a> {
    shelf: &'a Shelf,
    delivery: DeliveryId,
    has_ended: bool,
}

impl Begun<'_> {
    /// Lays the result down.
    pub(super) fn end(mut self, finish: Finish, until: Timestamp, took: Duration) {
        self.has_ended = true;
        let mut state = self.shelf.lock();
        state.running -= 1;
        state.attempt = Some(match state.attempt {
            None => took,
            Some(mean) => (mean * (MEAN_OVER - 1) + took) / MEAN_OVER,
        });
        state.taken.results.push((finish, until));
        self.shelf.tell_result(&mut state);
        if state.wants_room && state.stock.len() <= self.shelf.ahead(state.attempt) / 2 {
            state.wants_room = false;
            self.shelf.told.notify_one();
        }
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let mut state = self.shelf.lock();
        state.running -= 1;
        state.busy -= 1;
        state.taken.lost.push(self.delivery);
        state.wants_result = false;
        state.wants_room = false;
        self.shelf.told.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::signatures::tests::leased;
    use crate::inbox::{AttemptRecord, Next};

    const LEASE_MIN: Duration = Duration::from_mins(1);

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn leases(count: usize, seconds: i64) -> Vec<Leased> {
        let until = Timestamp::from_second(1_000 + seconds).unwrap();
        (0..count).map(|_| Leased { until, ..leased(true) }).collect()
    }

    fn result(delivery: DeliveryId) -> Finish {
        let attempt = AttemptRecord {
            number: 1,
            started_at: now(),
            ended_at: now(),
            outcome: "delivered".to_owned(),
            reason: String::new(),
            detail: String::new(),
            status: None,
            body_head: String::new(),
            stderr: String::new(),
        };
        Finish { delivery, token: LeaseToken::new(), attempt, next: Next::Delivered }
    }

    fn attempt(shelf: &Shelf, took: Duration) {
        let (leased, begun) = shelf.begin(now()).expect("something is leased");
        begun.end(result(leased.delivery), leased.until, took);
    }

    #[test]
    fn a_fast_target_is_leased_ahead_and_a_slow_one_is_not() {
        for (took, ahead) in [(10, AHEAD_MAX), (1_000, 40), (10_000, 4), (1_000_000, 0)] {
            let shelf = Shelf::new(2, LEASE_MIN);
            assert_eq!(shelf.room(0), 2, "nothing is known of it yet");
            shelf.stock(leases(1, 61));
            assert_eq!(shelf.fill(), 1);
            attempt(&shelf, Duration::from_micros(took));
            assert_eq!(shelf.room(0), 2 + ahead, "{took}");
            assert_eq!(shelf.room(OUTSTANDING_MAX), 0, "the inbox is behind");
        }
    }

    #[test]
    fn places_are_filled_once_and_every_lease_is_accounted_for() {
        let shelf = Shelf::new(2, LEASE_MIN);
        shelf.stock(leases(3, 61));
        assert_eq!((shelf.fill(), shelf.fill()), (2, 0));
        assert_eq!(shelf.room(3), 0);
        attempt(&shelf, Duration::from_secs(1));
        // An attempt that panics is told of, and its place is free.
        let (lost, begun) = shelf.begin(now()).unwrap();
        drop(begun);
        assert_eq!(shelf.fill(), 1);
        // A lease that would not outlive the attempt is not used.
        shelf.stock(leases(1, 59));
        attempt(&shelf, Duration::from_secs(1));
        assert!(shelf.begin(now()).is_none() && !shelf.is_empty());
        let taken = shelf.take();
        assert_eq!((taken.results.len(), taken.unbegun.len(), taken.lost), (2, 1, vec![lost.delivery]));
        assert!(shelf.begin(now()).is_none() && shelf.is_empty());
        shelf.stock(leases(2, 61));
        shelf.clear();
        assert_eq!(shelf.take().unbegun.len(), 2);
    }
}
