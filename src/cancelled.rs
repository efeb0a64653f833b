//! For tests: a future that is polled so many times and dropped then, as when its client goes away at that await.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;

/// A future that is not woken within this time never will be.
const PATIENCE: Duration = Duration::from_secs(20);

/// When a future is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// At once after its last poll: what it waits for is still on its way.
    AtOnce,
    /// When it has been woken and before it is polled again: what it waited for has happened, and it never learns it.
    Woken,
}

/// Both.
pub(crate) const WAYS: [Dropped; 2] = [Dropped::AtOnce, Dropped::Woken];

struct Flag(Notify);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Polls a future so many times, each time after it was woken, and drops it then. Its value, when it had one before.
/// Everything else in the runtime goes on between two polls.
pub(crate) async fn polled<F: Future>(future: F, polls: usize, dropped: Dropped) -> Option<F::Output> {
    let flag = Arc::new(Flag(Notify::new()));
    let waker = Waker::from(flag.clone());
    let mut future = pin!(future);
    for poll in 1..=polls {
        // In a block of its own: a poll happens at one moment.
        let now = std::future::poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut Context::from_waker(&waker)))).await;
        if let Poll::Ready(value) = now {
            return Some(value);
        }
        if poll < polls || dropped == Dropped::Woken {
            tokio::time::timeout(PATIENCE, flag.0.notified()).await.expect("it is woken at last");
        }
    }
    None
}

/// Cancels a future after one poll, after two, and so on until it ends by itself; `attempt` makes it and lives through
/// one cancellation with all that has to hold afterwards, and says whether it ended. Returns at how many awaits it was
/// cancelled.
pub(crate) async fn at_every_await<F: Future<Output = bool>>(mut attempt: impl FnMut(usize, Dropped) -> F) -> usize {
    /// A future with more is not one that these tests know.
    const AWAITS_MAX: usize = 500;
    /// What other threads do may be done before the first poll; then another try finds the await.
    const TRIES: usize = 3;
    let mut most = 0;
    for way in WAYS {
        let mut awaits = 0;
        let mut tries = 0;
        while tries < TRIES {
            if attempt(awaits + 1, way).await {
                tries += 1;
            } else {
                tries = 0;
                awaits += 1;
                assert!(awaits < AWAITS_MAX, "it does not end");
            }
        }
        most = most.max(awaits);
    }
    most
}

#[tokio::test]
async fn every_await_is_passed_through() {
    let through = std::cell::RefCell::new(std::collections::BTreeSet::new());
    let awaits = at_every_await(|polls, way| {
        let through = &through;
        async move {
            let future = async {
                for step in 0..3 {
                    through.borrow_mut().insert((step, way == Dropped::Woken));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            polled(future, polls, way).await.is_some()
        }
    })
    .await;
    assert_eq!((awaits, through.borrow().len()), (3, 6));
}
