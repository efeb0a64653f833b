//! Which keys prove what comes in: who still signs with the old one.

use tollbell_channels::model::Timestamp;

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
