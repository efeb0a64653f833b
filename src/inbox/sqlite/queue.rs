//! The bounded queue before the writer, and the jobs in it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fault::Fault;
use super::session::Session;
use crate::inbox::Error;

/// Jobs that one transaction takes at most: beyond it the first caller waits for the last one's work.
const BATCH_JOBS_MAX: usize = 512;
/// Bytes of bodies that one transaction takes at most, so that its fsync stays short.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes that wait at most: what the process may lose memory to when the disk stalls.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bulk work goes when nothing else waits, and at the latest after this many batches.
const BULK_AFTER_BATCHES: u32 = 32;

/// How urgent a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// A platform waits for it.
    Intake,
    /// A delivery waits for it. It gets as much room again as intake: refusing the end of an attempt
    /// would send the event twice.
    Work,
    /// Nobody waits.
    Bulk,
}

/// Something to do inside the writer's transaction.
pub(super) trait Job: Send {
    /// Does it, as often as it is asked to: the batch's transaction may be undone and run again. `alone` says
    /// whether its failure must undo only its own writes; then the failure is kept for its answer, unless it
    /// spoils the connection. Any other error fails the batch.
    fn run(&mut self, session: &mut Session, alone: bool) -> Result<(), Fault>;
    /// Tells the caller, after the commit or the failure of the batch.
    fn answer(self: Box<Self>, batch: Result<(), Error>);
}

/// A job made of a function, answered through a channel.
pub(super) struct Asked<T, F> {
    work: F,
    result: Option<Result<T, Error>>,
    caller: oneshot::Sender<Result<T, Error>>,
    needs_caller: bool,
}

impl<T, F> Asked<T, F>
where
    F: FnMut(&mut Session) -> Result<T, Fault>,
{
    pub(super) fn new(work: F) -> (Self, oneshot::Receiver<Result<T, Error>>) {
        let (caller, answer) = oneshot::channel();
        (Self { work, result: None, caller, needs_caller: false }, answer)
    }

    /// Not done when the caller has gone by then: a claim that nobody receives would only cost a lease.
    pub(super) fn unless_gone(self) -> Self {
        Self { needs_caller: true, ..self }
    }
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&mut Session) -> Result<T, Fault> + Send,
{
    fn run(&mut self, session: &mut Session, alone: bool) -> Result<(), Fault> {
        if self.needs_caller && self.caller.is_closed() {
            return Ok(());
        }
        self.result = Some(if alone { session.within_savepoint(&mut self.work)? } else { Ok((self.work)(session)?) });
        Ok(())
    }

    fn answer(self: Box<Self>, batch: Result<(), Error>) {
        let answer = match (batch, self.result) {
            (Err(error), _) => Err(error),
            (Ok(()), Some(result)) => result,
            (Ok(()), None) => Err(Error::Unavailable("the job did not run".to_owned())),
        };
        // A caller that went away is not an error: what was committed stays committed.
        drop(self.caller.send(answer));
    }
}

/// A job and its weight.
pub(super) struct Waiting {
    pub(super) job: Box<dyn Job>,
    pub(super) bytes: usize,
}

/// What the writer gets.
pub(super) enum Taken {
    /// Jobs for one transaction.
    Batch(Vec<Waiting>),
    /// Nothing came for a while.
    Idle,
    /// Nothing waits, and nothing will come.
    Closed,
}

/// The queue.
pub(super) struct Queue {
    state: Mutex<State>,
    has_work: Condvar,
    jobs_max: usize,
}

#[derive(Default)]
struct State {
    urgent: VecDeque<Waiting>,
    bulk: VecDeque<Waiting>,
    bytes: usize,
    batches_since_bulk: u32,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(jobs_max: usize) -> Self {
        Self { state: Mutex::default(), has_work: Condvar::new(), jobs_max }
    }

    /// Takes a job in, or refuses it at once.
    pub(super) fn push(&self, job: Box<dyn Job>, bytes: usize, urgency: Urgency) -> Result<(), Error> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Error::Closed);
        }
        let (waiting, jobs_max, bytes_max) = match urgency {
            Urgency::Intake => (state.urgent.len(), self.jobs_max, QUEUE_BYTES_MAX),
            Urgency::Work => (state.urgent.len(), self.jobs_max.saturating_mul(2), usize::MAX),
            Urgency::Bulk => (state.bulk.len(), self.jobs_max, QUEUE_BYTES_MAX),
        };
        // A single job always fits by bytes: it was bounded where it came in.
        if waiting >= jobs_max || (state.bytes > 0 && state.bytes.saturating_add(bytes) > bytes_max) {
            return Err(Error::Overloaded);
        }
        state.bytes += bytes;
        let waiting = Waiting { job, bytes };
        if urgency == Urgency::Bulk {
            state.bulk.push_back(waiting);
        } else {
            state.urgent.push_back(waiting);
        }
        drop(state);
        self.has_work.notify_one();
        Ok(())
    }

    /// Takes everything that waits, up to what one transaction may hold.
    pub(super) fn take(&self, patience: Duration) -> Taken {
        let state = self.lock();
        let (mut state, _) = self
            .has_work
            .wait_timeout_while(state, patience, |state| {
                state.urgent.is_empty() && state.bulk.is_empty() && !state.is_closed
            })
            .unwrap_or_else(PoisonError::into_inner);
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
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.has_work.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
