//! What a person decides about single messages: a rejection is verified again, a hold is ended.

use serde::{Deserialize, Serialize};
use tollbell_channels::model::Timestamp;

use super::{Answer, Caller, Control, ControlError};
use crate::inbox::RejectionId;
use crate::inbox::audit::{AuditRecord, WHY_CHARS_MAX};
use crate::inbox::holds::{EndHold, HoldEnd, HoldWhat};
use crate::inbox::rejections::RejectionFilter;
use crate::receive::reverify::Reverified;

/// Rejections that one command verifies again at most; [`Answer::Reverified`] says where to go on.
pub const REVERIFY_MAX: usize = 200;

/// Which rejections to verify again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReverifyWhat {
    /// One.
    One(RejectionId),
    /// All that are not notifications yet, newest first, [`REVERIFY_MAX`] at a time.
    All {
        /// Of this channel.
        channel: Option<String>,
        /// With this reason's word.
        reason: Option<String>,
        /// Older than this one: where the command before ended.
        before: Option<RejectionId>,
    },
}

/// What became of one rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReverifiedOne {
    /// Which.
    pub id: RejectionId,
    /// What was found.
    pub found: Reverified,
}

impl Control {
    pub(super) async fn reverify(
        &self,
        what: ReverifyWhat,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Answer, ControlError> {
        let receiver = self.receiver.as_ref().ok_or(ControlError::NeedsNode)?.load_full();
        let (ids, next, subjects) = match what {
            ReverifyWhat::One(id) => (vec![id], None, Vec::new()),
            ReverifyWhat::All { channel, reason, before } => {
                let subject =
                    |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name}={value}"));
                let mut subjects: Vec<String> =
                    [subject("channel", &channel), subject("reason", &reason)].into_iter().flatten().collect();
                if subjects.is_empty() {
                    subjects.push("all".to_owned());
                }
                let filter =
                    RejectionFilter { channel, reason, since: None, is_open: true, before, limit: REVERIFY_MAX };
                let page = self.inbox.rejections(filter).await?;
                let next = page.last().filter(|_| page.len() == REVERIFY_MAX).map(|last| last.id);
                (page.into_iter().map(|record| record.id).collect(), next, subjects)
            }
        };
        let is_one = subjects.is_empty();
        let mut found = Vec::with_capacity(ids.len());
        // The oldest first, as they would have come.
        for id in ids.into_iter().rev() {
            match receiver.reverify(id, &caller.name).await {
                Ok(verdict) => found.push(ReverifiedOne { id, found: verdict }),
                // Evicted or past its retention since the page was read.
                Err(crate::inbox::Error::NotFound) if !is_one => {}
                Err(error) => return Err(error.into()),
            }
        }
        // Each that became a notification has its own row, of the same transaction; this one tells of the command.
        if !is_one {
            let stored = found.iter().filter(|one| one.found.is_genuine()).count() as u64;
            let record = AuditRecord::new(now, &caller.name, "reverify", subjects);
            self.inbox.note_audit(record.changed(stored)).await?;
        }
        Ok(Answer::Reverified { found, next })
    }

    pub(super) async fn end_hold(
        &self,
        what: HoldWhat,
        end: HoldEnd,
        why: Option<String>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Answer, ControlError> {
        let why = why.map(|why| why.trim().to_owned()).filter(|why| !why.is_empty());
        let is_too_long = why.as_ref().is_some_and(|why| why.chars().count() > WHY_CHARS_MAX);
        if is_too_long || (why.is_none() && end == HoldEnd::Discard) {
            let detail = format!("`why` says in up to {WHY_CHARS_MAX} characters why it is discarded");
            return Err(ControlError::Malformed { detail });
        }
        let ended = self.inbox.end_hold(EndHold { what, end, by: caller.name.clone(), why, at: now }).await?;
        Ok(Answer::HoldEnded(ended))
    }
}
