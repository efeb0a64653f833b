//! The places of a listener: few, and anybody on the machine can take one over TCP. When all are taken, who has
//! asked for nothing yet makes room for who comes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use crate::descriptors::Reserve;

/// The places of one listener.
pub(super) struct Crowd {
    places: Arc<Semaphore>,
    /// A descriptor for when files run out: one connection at a time still gets its answer.
    reserve: Arc<Mutex<Reserve>>,
    /// Those that have asked for nothing when they were last looked at, oldest first.
    silent: VecDeque<(Asking, AbortHandle)>,
}

/// Whether a connection has brought a request: from then on it is not ended for others.
#[derive(Clone, Default)]
pub(super) struct Asking(Arc<AtomicU8>);

const SILENT: u8 = 0;
const HAS_ASKED: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Asking {
    /// A request came. `false`: too late, the connection is being ended.
    pub(super) fn begin(&self) -> bool {
        self.turn(HAS_ASKED) || self.0.load(Ordering::Acquire) == HAS_ASKED
    }

    fn is_silent(&self) -> bool {
        self.0.load(Ordering::Acquire) == SILENT
    }

    fn turn(&self, to: u8) -> bool {
        self.0.compare_exchange(SILENT, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// What a connection holds while it lives.
pub(super) struct Held {
    reserve: Arc<Mutex<Reserve>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Held {
    fn drop(&mut self) {
        // At once, before anybody else takes the descriptor that has just become free.
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner).retake();
    }
}

impl Crowd {
    /// So many places.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            reserve: Arc::new(Mutex::new(Reserve::new())),
            silent: VecDeque::new(),
        }
    }

    /// Gives up the descriptor that is held back; says whether there was one.
    pub(super) fn release(&self) -> bool {
        self.reserve.lock().unwrap_or_else(PoisonError::into_inner).release()
    }

    /// A place for who comes now; none when everybody who has one is being answered.
    pub(super) async fn place(&mut self) -> Option<Held> {
        self.silent.retain(|(asking, task)| asking.is_silent() && !task.is_finished());
        let place = if let Ok(place) = self.places.clone().try_acquire_owned() {
            place
        } else {
            let given_up = std::iter::from_fn(|| self.silent.pop_front()).find(|(asking, _)| asking.turn(GIVEN_UP));
            given_up?.1.abort();
            // It waits for bytes, so that it ends at once.
            self.places.clone().acquire_owned().await.ok()?
        };
        Some(Held { reserve: self.reserve.clone(), _place: place })
    }

    /// Takes note of who came.
    pub(super) fn note(&mut self, asking: Asking, task: AbortHandle) {
        self.silent.push_back((asking, task));
    }
}
