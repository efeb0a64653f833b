//! Gaps: times from which something may be missing in the inbox, such as those between a backup and its restore.
//!
//! A gap is open until a person has asked the platforms, or compared their bills, and says so.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tollbell_channels::model::Timestamp;

use super::Error;

/// The number of a gap.
pub type GapId = i64;

/// A time from which something may be missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its number.
    pub id: GapId,
    /// From when: the time of the newest thing that is known to be there. `None` when nothing was there at all.
    pub from: Option<Timestamp>,
    /// Until when: the time of the restore.
    pub to: Timestamp,
    /// Why there is one.
    pub why: String,
    /// Who closed it; `None` while it is open.
    pub closed: Option<Closing>,
}

impl Gap {
    /// Nobody has dealt with it yet.
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }
}

/// How a gap was closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// What was done about it, in their words.
    pub why: String,
}

/// Gaps that are listed at most, newest first. Open ones come before closed ones, and there is one for each restore.
pub const GAPS_MAX: usize = 100;
/// Longest reason for closing one, in bytes.
pub const WHY_BYTES_MAX: usize = 1000;

/// Looking at gaps, and closing them.
#[async_trait]
pub trait Gaps: Send + Sync {
    /// All gaps, open ones first, then by age, newest first; at most [`GAPS_MAX`].
    async fn gaps(&self) -> Result<Vec<Gap>, Error>;

    /// Closes a gap, with an audit row, and returns it. One that is closed stays as it is.
    async fn close_gap(&self, id: GapId, by: &str, why: &str, at: Timestamp) -> Result<Gap, Error>;
}
