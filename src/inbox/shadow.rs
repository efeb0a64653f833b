//! What the gateway thought of requests to channels that run in shadow: beside an application that still
//! does the work. Kept to be compared with what the application answered.

use std::sync::Arc;

use async_trait::async_trait;
use tollbell_channels::model::Timestamp;

use super::{Error, NotificationId};

/// One request and what was thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowNote {
    /// The channel's id.
    pub channel: Arc<str>,
    /// The id that the proxy in front gave the request.
    pub request: String,
    /// When it arrived.
    pub at: Timestamp,
    /// What was thought of it.
    pub verdict: ShadowVerdict,
    /// What an application says that accepts it, where the platform wants another answer to each request; none where
    /// all of the channel's have the same. At most [`SHADOW_SUCCESS_BYTES_MAX`].
    pub success: Option<String>,
}

/// What was thought of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShadowVerdict {
    /// Genuine: stored as this notification, or a repetition of it.
    Genuine(NotificationId),
    /// It proves nothing and names something, about which the platform was asked or is going to be.
    Hinted,
    /// Refused for this reason.
    Refused(String),
}

/// Notes that are kept; the oldest go first. A busy shop has as many in some days, and whoever sends junk
/// fills no disk.
pub const SHADOW_NOTES_MAX: u32 = 200_000;
/// Longest id of a request in characters; nginx gives 32.
pub const SHADOW_REQUEST_CHARS_MAX: usize = 128;

/// Longest answer that is kept with a note, in bytes. Platforms that want a number back limit it to 128 characters.
pub const SHADOW_SUCCESS_BYTES_MAX: usize = 1024;

/// Notes about requests to channels in shadow.
#[async_trait]
pub trait Shadow: Send + Sync {
    /// Keeps a note. A flood pushes out the oldest ones only.
    ///
    /// # Errors
    /// The inbox cannot be written: the comparison will miss this request, and nothing else is lost.
    async fn note_shadow(&self, note: ShadowNote) -> Result<(), Error>;

    /// The notes of a channel in the order in which they were made, at most [`SHADOW_NOTES_MAX`].
    ///
    /// # Errors
    /// The inbox cannot be read.
    async fn shadow_notes(&self, channel: &str) -> Result<Vec<ShadowNote>, Error>;
}
