//! Keys that platforms gave, kept over a restart. Whoever reads them checks each again: the store is no proof.

use async_trait::async_trait;
use tollbell_channels::channel::FetchedKey;
use tollbell_channels::model::Timestamp;

use super::Error;

/// The keys of each channel, as they were last fetched.
#[async_trait]
pub trait PlatformKeys: Send + Sync {
    /// The keys that were kept for a channel, newest first, at most as many as a channel takes.
    async fn platform_keys(&self, channel: &str) -> Result<Vec<FetchedKey>, Error>;

    /// Puts these in the place of all that were kept for a channel, and forgets what has ended in any channel.
    async fn keep_platform_keys(&self, channel: &str, keys: Vec<FetchedKey>, now: Timestamp) -> Result<(), Error>;
}
