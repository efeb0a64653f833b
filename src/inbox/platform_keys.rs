//! Keys that platforms gave, kept over a restart, and which keys proved what is stored. Whoever reads a kept key checks it
//! again: the store is no proof.

use async_trait::async_trait;
use tollbell_channels::channel::FetchedKey;
use tollbell_channels::model::Timestamp;

use super::Error;

/// The keys of each channel.
#[async_trait]
pub trait PlatformKeys: Send + Sync {
    /// The keys that were kept for a channel, newest first, at most as many as a channel takes.
    async fn platform_keys(&self, channel: &str) -> Result<Vec<FetchedKey>, Error>;

    /// Puts these in the place of all that were kept for a channel, and forgets what has ended in any channel.
    async fn keep_platform_keys(&self, channel: &str, keys: Vec<FetchedKey>, now: Timestamp) -> Result<(), Error>;

    /// Which keys proved the newest notifications, looking at so many of them at most.
    async fn key_uses(&self, newest: usize) -> Result<KeyUses, Error>;
}

/// Which keys proved the newest notifications.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyUses {
    /// By channel and key.
    pub uses: Vec<KeyUse>,
    /// How many notifications were looked at.
    pub looked_at: u64,
    /// When the oldest of them came; `None` without any.
    pub since: Option<Timestamp>,
}

/// How often a key proved a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The channel's id.
    pub channel: String,
    /// The key, as proofs name it.
    pub key: String,
    /// Notifications that it proved; repetitions are not counted.
    pub count: u64,
    /// When the last of them came.
    pub last_at: Timestamp,
}
