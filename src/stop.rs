//! The stop signal: one is made by the program, everything long-running holds a copy.

use tokio::sync::watch;

/// Raises the signal. Dropping it raises it too, so that nothing outlives its owner.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Sees the signal.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A fresh pair.
pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), Stop(receiver))
}

impl Stopper {
    /// Raises it; again does nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it is raised.
    pub async fn raised(&mut self) {
        // An error means that the stopper is gone, which counts as raised.
        drop(self.0.wait_for(|stop| *stop).await);
    }

    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}
