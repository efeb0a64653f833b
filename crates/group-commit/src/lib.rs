//! The bounded queue before the one thread that writes.
//!
//! Callers push jobs and wait for their answers elsewhere; the writer takes whatever waits as one batch, does it in one
//! transaction, and answers everyone after the commit. The queue itself has no batch window: while one commit is on its way
//! to the disk, the next batch gathers by itself.
//!
//! The queue knows nothing of databases and answers. A job is moved in, and moved out once: it cannot be lost or done
//! twice without the compiler's leave. What remains are the races between pushing, taking and closing, which `make loom`
//! tries in every order.

mod sync;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use sync::{Condvar, Mutex, lock, wait_while};

/// Jobs that one transaction takes at most: beyond it the first caller waits for the last one's work.
pub const BATCH_JOBS_MAX: usize = 512;
/// Bytes of bodies that one transaction takes at most, so that its fsync stays short.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that wait at most: what the process may lose memory to when the disk stalls.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bulk work goes when nothing else waits, and at the latest after this many batches.
pub const BULK_AFTER_BATCHES: u32 = 32;

/// How urgent a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// A platform waits for it.
    Intake,
    /// A delivery waits for it. It gets as much room again as intake: refusing the end of an attempt
    /// would send the event twice.
    Work,
    /// Nobody waits.
    Bulk,
}

/// Why a job was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// More waits than the queue takes.
    Overloaded,
    /// Nothing is taken in any more.
    Closed,
}

/// A job and its weight.
#[derive(Debug)]
pub struct Waiting<J> {
    /// What to do.
    pub job: J,
    /// Bytes of its bodies.
    pub bytes: usize,
}

/// What the writer gets.
#[derive(Debug)]
pub enum Taken<J> {
    /// Jobs for one transaction, in the order in which they came.
    Batch(Vec<Waiting<J>>),
    /// Nothing came for a while.
    Idle,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// The queue.
pub struct Queue<J> {
    state: Mutex<State<J>>,
    has_work: Condvar,
    jobs_max: usize,
}

struct State<J> {
    urgent: VecDeque<Waiting<J>>,
    bulk: VecDeque<Waiting<J>>,
    bytes: usize,
    batches_since_bulk: u32,
    /// The writer sleeps, and nobody has woken it yet. Waking one that is awake costs a call of the system.
    is_asleep: bool,
    is_closed: bool,
}

impl<J> Queue<J> {
    /// An empty one, for so many jobs of each kind; [`Urgency::Work`] gets twice as many.
    pub fn new(jobs_max: usize) -> Self {
        let state = State {
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
            bytes: 0,
            batches_since_bulk: 0,
            is_asleep: false,
            is_closed: false,
        };
        Self { state: Mutex::new(state), has_work: Condvar::new(), jobs_max }
    }

    /// Takes a job in, or refuses it at once.
    ///
    /// # Errors
    /// [`Refusal`]; the job was dropped.
    pub fn push(&self, job: J, bytes: usize, urgency: Urgency) -> Result<(), Refusal> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(Refusal::Closed);
        }
        let (waiting, jobs_max, bytes_max) = match urgency {
            Urgency::Intake => (state.urgent.len(), self.jobs_max, QUEUE_BYTES_MAX),
            Urgency::Work => (state.urgent.len(), self.jobs_max.saturating_mul(2), usize::MAX),
            Urgency::Bulk => (state.bulk.len(), self.jobs_max, QUEUE_BYTES_MAX),
        };
        // A single job always fits by bytes: it was bounded where it came in.
        if waiting >= jobs_max || (state.bytes > 0 && state.bytes.saturating_add(bytes) > bytes_max) {
            return Err(Refusal::Overloaded);
        }
        state.bytes += bytes;
        let waiting = Waiting { job, bytes };
        if urgency == Urgency::Bulk {
            state.bulk.push_back(waiting);
        } else {
            state.urgent.push_back(waiting);
        }
        let wakes = std::mem::take(&mut state.is_asleep);
        drop(state);
        if wakes {
            self.has_work.notify_one();
        }
        Ok(())
    }

    /// Jobs that a caller waits for, at this moment.
    pub fn waiting(&self) -> usize {
        lock(&self.state).urgent.len()
    }

    /// Takes everything that waits, up to what one transaction may hold. For one thread alone: a push wakes one.
    pub fn take(&self, patience: Duration) -> Taken<J> {
        let mut state = wait_while(&self.has_work, lock(&self.state), patience, |state| {
            state.is_asleep = state.urgent.is_empty() && state.bulk.is_empty() && !state.is_closed;
            state.is_asleep
        });
        state.is_asleep = false;
        let is_bulks_turn = state.urgent.is_empty() || state.batches_since_bulk >= BULK_AFTER_BATCHES;
        if is_bulks_turn && let Some(slice) = state.bulk.pop_front() {
            state.batches_since_bulk = 0;
            state.bytes -= slice.bytes;
            return Taken::Batch(vec![slice]);
        }
        if state.urgent.is_empty() {
            return if state.is_closed { Taken::Closed } else { Taken::Idle };
        }
        let mut batch = Vec::with_capacity(state.urgent.len().min(BATCH_JOBS_MAX));
        let mut bytes = 0;
        while batch.len() < BATCH_JOBS_MAX
            && (bytes < BATCH_BYTES_MAX)
            && let Some(waiting) = state.urgent.pop_front()
        {
            bytes += waiting.bytes;
            batch.push(waiting);
        }
        state.bytes -= bytes;
        state.batches_since_bulk = state.batches_since_bulk.saturating_add(1);
        Taken::Batch(batch)
    }

    /// Refuses what comes from now on; what waits is still done.
    pub fn close(&self) {
        lock(&self.state).is_closed = true;
        self.has_work.notify_all();
    }
}
