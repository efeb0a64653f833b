//! Channels in shadow: what was thought of each request is noted, to be compared with what the application
//! that still does the work answered.

use std::sync::Arc;

use tollbell_channels::channel::Answer;
use tollbell_channels::model::{RawRequest, Timestamp};
use tracing::debug;

use super::Door;
use crate::inbox::shadow::{SHADOW_REQUEST_CHARS_MAX, SHADOW_SUCCESS_BYTES_MAX, ShadowNote, ShadowVerdict};
use crate::inbox::{Inbox, NotificationId};

/// Under which name the proxy in front tells its id of a request.
const REQUEST_ID_HEADER: &str = "x-request-id";

/// A request to a channel in shadow that the proxy in front has named.
pub(super) struct Shadowed {
    channel: Arc<str>,
    request: String,
    at: Timestamp,
    success: Option<String>,
}

impl Shadowed {
    /// `None` when the channel does its own work, or nobody named the request.
    pub(super) fn of(door: &Door, request: &RawRequest) -> Option<Self> {
        let id = request.single_header(REQUEST_ID_HEADER).filter(|_| door.is_shadow)?;
        let is_short = id.len() <= SHADOW_REQUEST_CHARS_MAX;
        is_short.then(|| Self {
            channel: door.id.clone(),
            request: id.to_owned(),
            at: request.received_at,
            success: own_success(door, request),
        })
    }

    /// Genuine, and stored.
    pub(super) fn genuine(self, inbox: &Arc<dyn Inbox>, notification: NotificationId) {
        self.note(inbox, ShadowVerdict::Genuine(notification));
    }

    /// It proves nothing and names something to ask about, which was kept.
    pub(super) fn hinted(self, inbox: &Arc<dyn Inbox>) {
        self.note(inbox, ShadowVerdict::Hinted);
    }

    /// Refused for this reason.
    pub(super) fn refused(self, inbox: &Arc<dyn Inbox>, reason: &str) {
        self.note(inbox, ShadowVerdict::Refused(reason.to_owned()));
    }

    /// The answer does not wait for it; the inbox's own queue bounds how many wait.
    fn note(self, inbox: &Arc<dyn Inbox>, verdict: ShadowVerdict) {
        let Self { channel, request, at, success } = self;
        let note = ShadowNote { channel, request, at, verdict, success };
        let inbox = inbox.clone();
        tokio::spawn(async move {
            if let Err(error) = inbox.note_shadow(note).await {
                debug!(%error, "a request to a channel in shadow was not noted");
            }
        });
    }
}

/// What the platform wants to hear about this very request, where that is another answer than a request without a
/// number would get. A refused one has its own, too: an application that accepts it says it.
fn own_success(door: &Door, request: &RawRequest) -> Option<String> {
    let told = |to| door.channel().answer(Answer::Success, to).body;
    let own = told(Some(request));
    if own == told(None) || own.len() > SHADOW_SUCCESS_BYTES_MAX {
        return None;
    }
    String::from_utf8(own.to_vec()).ok()
}
