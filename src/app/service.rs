//! What a service manager is told: ready, reloading, stopping, alive. Without one, nothing is said.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior};
use tracing::{debug, warn};

use crate::inbox::Inbox;

/// The line to the service manager.
pub(super) struct Service {
    inbox: Arc<dyn Inbox>,
    /// When it wants to hear that we are alive.
    beats: Option<Interval>,
    /// The question to the inbox's writer that is under way.
    question: Option<JoinHandle<bool>>,
}

/// Beats within the time after which the service manager takes us for dead.
const BEATS_PER_LIMIT: u32 = 4;
/// Shortest time between two beats.
const BEAT_MIN: Duration = Duration::from_millis(50);

impl Service {
    pub(super) fn new(inbox: Arc<dyn Inbox>) -> Self {
        let mut limit_us = 0;
        let is_wanted = sd_notify::watchdog_enabled(false, &mut limit_us) && limit_us > 0;
        let beats = is_wanted.then(|| {
            let every = (Duration::from_micros(limit_us) / BEATS_PER_LIMIT).max(BEAT_MIN);
            let mut beats = tokio::time::interval(every);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            beats
        });
        Self { inbox, beats, question: None }
    }

    /// Everything listens.
    pub(super) fn ready(status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// A reload begins; [`Service::ready`] ends it.
    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => debug!(%error, "cannot read the monotonic clock"),
        }
    }

    /// Draining begins.
    pub(super) fn stopping() {
        tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// Waits for the next beat and gives it, if the inbox's writer has answered since the last one: a node that
    /// can take nothing in must not look alive. One whose disk is full answers, and is not ended for it.
    ///
    /// Called from the node's own loop, so that a beat also shows that this loop goes round.
    pub(super) async fn beat(&mut self) {
        let Some(beats) = &mut self.beats else { return std::future::pending().await };
        beats.tick().await;
        match self.question.take_if(|question| question.is_finished()) {
            Some(answered) => {
                if matches!(answered.await, Ok(true)) {
                    tell(&[NotifyState::Watchdog]);
                } else {
                    warn!("the inbox's writer does not answer");
                }
            }
            None if self.question.is_some() => warn!("the inbox's writer has not answered for a while"),
            None => {}
        }
        if self.question.is_none() {
            let inbox = self.inbox.clone();
            self.question = Some(tokio::spawn(async move { inbox.answers().await }));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(question) = self.question.take() {
            question.abort();
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        debug!(%error, "cannot tell the service manager");
    }
}
