//! Platform keys that must be fetched. A [`Keeper`] holds one channel: as it is configured, and with the keys that its
//! platform gave since.
//!
//! A message whose key is not known waits for it a moment; the download is one for all who wait, and goes on when they
//! have left, so that the platform's next repetition finds the key. Serials are invented easily: downloads of a channel
//! are counted, and what the platform does not know is not asked again for a while. Keys are kept in the inbox over a
//! restart, and checked again when they are read.
//!
//! What an answer must be to be believed is the channel's business ([`KeySource`]).

mod keeper;
mod outside;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use tollbell_channels::channel::{Channel, FetchedKey, HttpAnswer, HttpAsk};
use tollbell_channels::model::Timestamp;
use tracing::warn;

pub use keeper::{Keeper, WAIT_MAX};
pub use outside::Outside;

use crate::clock::{Chance, Clock};
use crate::inbox::Inbox;
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// Carries a request to a platform.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// Sends it and reads the answer, bounded in time and size.
    ///
    /// # Errors
    /// [`FetchError`]: there is no answer.
    async fn fetch(&self, ask: HttpAsk, deadline: Instant) -> Result<HttpAnswer, FetchError>;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct FetchError {
    /// What the network said.
    pub cause: String,
}

/// What every keeper needs.
#[derive(Clone)]
pub struct Parts {
    /// Where keys are kept over a restart.
    pub inbox: Arc<dyn Inbox>,
    /// The way out.
    pub fetch: Arc<dyn Fetch>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// Jitter.
    pub chance: Chance,
    /// The stop signal; downloads end with it.
    pub stop: Stop,
}

/// A keeper for each channel, in the same order, with the keys that were kept.
pub async fn open(channels: impl IntoIterator<Item = (Arc<str>, Arc<dyn Channel>)>, parts: &Parts) -> Vec<Arc<Keeper>> {
    let mut keepers = Vec::new();
    for (id, channel) in channels {
        let keeper = Arc::new(Keeper::new(id, channel, parts.clone()));
        keeper.load().await;
        keepers.push(keeper);
    }
    keepers
}

/// A channel with the keys that were kept for it, and those keys; none when it has no source. A kept key that does not
/// verify any more is left out.
pub async fn with_kept(
    id: &str,
    channel: &Arc<dyn Channel>,
    inbox: &dyn Inbox,
    now: Timestamp,
) -> Option<(Arc<dyn Channel>, Vec<FetchedKey>)> {
    let source = channel.key_source()?;
    let kept = match inbox.platform_keys(id).await {
        Ok(kept) => kept,
        Err(error) => {
            warn!(channel = id, %error, "kept platform keys cannot be read");
            return None;
        }
    };
    let mut known = Vec::new();
    for key in kept {
        match source.check(&key, now) {
            Ok(()) => known.push(key),
            Err(why) => warn!(channel = id, serial = key.serial, %why, "a kept platform key is ignored"),
        }
    }
    match source.with_keys(&known, now) {
        Ok(channel) => Some((channel, known)),
        Err(why) => {
            warn!(channel = id, %why, "kept platform keys are ignored");
            None
        }
    }
}
