//! The signals that a node listens to, each from the moment at which it can do what the signal asks for.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGHUP, heard from when this is made: one that comes while a node starts means files that it may have read
/// already, and would end a process that does not listen.
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn heard_from_now() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup()).context("wait for SIGHUP")?))
    }

    pub(super) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// The signals that end a node: from when this is made they end nothing by themselves.
pub struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn heard_from_now() -> anyhow::Result<Self> {
        let terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
        Ok(Self { terminate, interrupt })
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
