//! Kept connections to one PHP-FPM pool, bounded and short-lived.
//!
//! A kept connection pins a PHP-FPM worker: while it is open, that worker serves nobody else. So there are
//! few of them, the idle ones are closed fast, and one that PHP-FPM closes (a restart, a worker at its
//! `pm.max_requests`) is dropped at once: the worker waits for that before it goes.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::codec::{After, Encoded};
use super::connection::{Broken, Connection, Limits, Work};
use super::stream::Address;
use crate::targets::answer::Answer;

/// A connection that has just come to rest is watched from this time on: under load it is used again by then, and
/// watching it would cost as much as a delivery.
const REST_BEFORE_WATCH: Duration = Duration::from_millis(5);

/// How a pool is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Most connections, busy and idle together.
    pub(super) connections_max: usize,
    /// How long an idle one is kept.
    pub(super) idle_timeout: Duration,
    /// Longest wait for a connection to be made.
    pub(super) connect_timeout: Duration,
}

/// Connections to one address.
#[derive(Debug)]
pub(super) struct Pool {
    address: Address,
    bounds: Bounds,
    /// One permit for each connection in use. With the rule that a connection is put to rest before its
    /// permit comes back, and that all resting ones are used before another is opened, busy and idle ones
    /// together stay within the bound.
    permits: Semaphore,
    resting: Arc<Mutex<Resting>>,
}

/// An answer, and whether the request was sent a second time to get it.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) answer: Answer,
    pub(super) was_sent_again: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// All our connections were busy until the deadline.
    NoConnectionFree,
    /// No connection could be made.
    Connect(io::Error),
    /// A connection was not made in time.
    ConnectTimedOut,
    /// The exchange broke.
    Broken(Broken),
}

/// A failed exchange; `has_an_earlier_send` when the request had already gone out on a connection that was
/// being closed, so that "not sent" is not the whole truth.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    pub(super) has_an_earlier_send: bool,
}

impl Pool {
    /// Opens nothing yet.
    pub(super) fn new(address: Address, bounds: Bounds) -> Self {
        Self { address, bounds, permits: Semaphore::new(bounds.connections_max), resting: Arc::default() }
    }

    /// Sends a request and reads its answer. Everything that this future holds is given back when it is
    /// dropped; a connection with a request on it is closed then.
    pub(super) async fn exchange(&self, request: &Encoded, limits: Limits) -> Result<Delivered, Failed> {
        let mut was_sent_again = false;
        let fail = |failure, has_an_earlier_send| Failed { failure, has_an_earlier_send };
        let Ok(Ok(_permit)) = timeout_at(limits.deadline, self.permits.acquire()).await else {
            return Err(fail(Failure::NoConnectionFree, false));
        };
        if let Some(mut kept) = self.take_kept() {
            match kept.exchange(request, limits).await {
                Ok(answer) => {
                    self.keep(kept);
                    return Ok(Delivered { answer, was_sent_again });
                }
                // A kept connection may be closed under our hands; nobody has worked on the request.
                Err(Broken { work: Work::NotBegun, cause, .. }) if cause.is_loss() => {}
                Err(Broken { work: Work::HardlyBegun, .. }) => was_sent_again = true,
                Err(broken) => return Err(fail(Failure::Broken(broken), false)),
            }
        }
        let connect_until = limits.deadline.min(Instant::now() + self.bounds.connect_timeout);
        let mut fresh = match timeout_at(connect_until, Connection::open(&self.address)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(fail(Failure::Connect(error), was_sent_again)),
            Err(_) => return Err(fail(Failure::ConnectTimedOut, was_sent_again)),
        };
        match fresh.exchange(request, limits).await {
            Ok(answer) => {
                self.keep(fresh);
                Ok(Delivered { answer, was_sent_again })
            }
            Err(broken) => Err(fail(Failure::Broken(broken), was_sent_again)),
        }
    }

    /// What to ask for with a request.
    pub(super) fn after_request(&self) -> After {
        if self.bounds.idle_timeout.is_zero() { After::Close } else { After::Keep }
    }

    /// Closes idle connections, and every other one as soon as its request is over.
    pub(super) fn close(&self) {
        let mut resting = lock(&self.resting);
        resting.is_closed = true;
        resting.idle.clear();
        if let Some(keeper) = resting.keeper.take() {
            keeper.abort();
        }
    }

    /// The connection that was used last, if it is still open: the others can then grow old and be closed.
    fn take_kept(&self) -> Option<Connection> {
        let mut resting = lock(&self.resting);
        loop {
            let kept = resting.idle.pop()?;
            if kept.connection.stream().is_silent() {
                return Some(kept.connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut resting = lock(&self.resting);
        if resting.is_closed || !connection.is_reusable() || self.after_request() == After::Close {
            return;
        }
        resting.idle.push(Kept { connection, until: Instant::now() + self.bounds.idle_timeout });
        if resting.keeper.as_ref().is_none_or(JoinHandle::is_finished) {
            resting.keeper = Some(tokio::spawn(watch(Arc::clone(&self.resting))));
        } else if let Some(waker) = resting.waker.take() {
            resting.has_new = true;
            waker.wake();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
    }
}

/// The connections at rest, and the task that watches them.
#[derive(Debug, Default)]
struct Resting {
    /// The one that was used last is the last one.
    idle: Vec<Kept>,
    is_closed: bool,
    keeper: Option<JoinHandle<()>>,
    waker: Option<Waker>,
    /// One came to rest since the others were last looked at.
    has_new: bool,
}

#[derive(Debug)]
struct Kept {
    connection: Connection,
    until: Instant,
}

/// Closes idle connections when their time is over or the other side closed them. Ends when there is none.
async fn watch(resting: Arc<Mutex<Resting>>) {
    while let Some(until) = next_expiry(&resting) {
        sleep_until(until.min(Instant::now() + REST_BEFORE_WATCH)).await;
        tokio::select! {
            () = poll_fn(|cx| lock(&resting).poll(cx)) => {}
            () = sleep_until(until) => {}
        }
    }
}

/// Drops what has expired. When nothing is left the keeper is struck off in the same breath, so that the
/// next connection starts another.
fn next_expiry(resting: &Mutex<Resting>) -> Option<Instant> {
    let mut resting = lock(resting);
    let now = Instant::now();
    resting.idle.retain(|kept| kept.until > now);
    let next = resting.idle.iter().map(|kept| kept.until).min();
    if next.is_none() {
        resting.keeper = None;
        resting.waker = None;
    }
    next
}

impl Resting {
    /// Drops closed connections, and asks to be woken for the others. Ready when another one has come to rest, which
    /// is not watched yet; while nothing rests the keeper waits rather than be started for every delivery.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::take(&mut self.has_new) {
            return Poll::Ready(());
        }
        self.idle.retain(|kept| kept.connection.stream().poll_spoilt(cx).is_pending());
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn lock(resting: &Mutex<Resting>) -> MutexGuard<'_, Resting> {
    resting.lock().unwrap_or_else(PoisonError::into_inner)
}
