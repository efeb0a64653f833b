//! Commands to the gateway: what a person or a program may ask of it, and what it answers.
//!
//! One closed list, in JSON on the wire. A running node executes it for the unix socket and the admin listener; a
//! command line beside an inbox that nobody serves executes the very same code by itself. A further command is a
//! variant of [`Command`], its row in [`Command::needs`] and [`Command::patience`], and its arm in
//! [`Control::execute`]; what it needs from the node is a further field of [`Control`] or [`NodeParts`].

pub mod status;
pub mod verdicts;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tollbell_channels::model::Timestamp;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::inbox::gaps::WHY_BYTES_MAX;
use crate::inbox::holds::{EndedHold, HoldEnd, HoldWhat};
use crate::inbox::{self, Gap, GapId, Inbox, RejectionId, Replay, ReplayWhat};
use crate::receive::Receiver;
use crate::reload::{Order, Report};
use crate::telemetry::Metrics;

pub use status::{NodeParts, State, Status};
pub use verdicts::{ReverifiedOne, ReverifyWhat};

/// What somebody may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Writes into the inbox.
    Operator,
    /// Is the node's own user on this machine, by the socket: may also name files that the node writes. Nobody is
    /// given this by a token, because a file in the right folder makes its writer whatever the node is.
    Owner,
}

impl Role {
    /// Every role.
    pub const ALL: &[Self] = &[Self::Viewer, Self::Operator, Self::Owner];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As the audit names them: `cli`, `uid:0`, `token:grafana`.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// How the node is.
    Status,
    /// Make deliveries due again.
    Replay {
        /// Which.
        what: ReplayWhat,
        /// Only to this target.
        target: Option<String>,
    },
    /// Write a copy of the inbox.
    Backup {
        /// The new file; an absolute path, because the node runs in a folder of its own.
        to: PathBuf,
    },
    /// The times from which something may be missing.
    Gaps,
    /// Take changed files into use, or say what would change.
    Reload {
        /// Only say what would change.
        is_dry: bool,
        /// Targets that the files no longer hold, whose open deliveries are discarded.
        discard: Vec<String>,
    },
    /// Say that one of them was dealt with.
    CloseGap {
        /// Which.
        id: GapId,
        /// What was done about it.
        why: String,
    },
    /// Verify refused requests again, by the channels as they are configured now.
    Reverify {
        /// Which.
        what: ReverifyWhat,
    },
    /// End holds.
    EndHold {
        /// Which.
        what: HoldWhat,
        /// How.
        end: HoldEnd,
        /// Why; needed to discard.
        why: Option<String>,
    },
}

impl Command {
    /// What somebody must be allowed to do for it.
    pub fn needs(&self) -> Role {
        match self {
            Self::Status | Self::Gaps | Self::Reload { is_dry: true, .. } => Role::Viewer,
            Self::Replay { .. }
            | Self::CloseGap { .. }
            | Self::Reload { .. }
            | Self::Reverify { .. }
            | Self::EndHold { .. } => Role::Operator,
            Self::Backup { .. } => Role::Owner,
        }
    }

    /// How long who asks should wait for the answer before taking the node for hung.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Status | Self::Gaps => Duration::from_secs(10),
            Self::Replay { .. } | Self::CloseGap { .. } | Self::Reload { .. } | Self::EndHold { .. } => {
                Duration::from_secs(30)
            }
            Self::Reverify { .. } => Duration::from_mins(5),
            Self::Backup { .. } => COMMAND_TIME_MAX,
        }
    }

    /// The stable word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Replay { .. } => "replay",
            Self::Backup { .. } => "backup",
            Self::Gaps => "gaps",
            Self::CloseGap { .. } => "close_gap",
            Self::Reverify { .. } => "reverify",
            Self::EndHold { .. } => "end_hold",
            Self::Reload { .. } => "reload",
        }
    }
}

/// No command takes longer: a backup of some hundred gigabytes on a slow disk.
pub const COMMAND_TIME_MAX: Duration = Duration::from_hours(2);

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How the node is.
    Status(Box<Status>),
    /// So many deliveries are due again.
    Replayed {
        /// How many.
        count: u64,
    },
    /// The backup is written and on disk.
    BackedUp {
        /// Where.
        to: PathBuf,
    },
    /// The gaps, open ones first.
    Gaps(Vec<Gap>),
    /// The files were read; the report says what came of it.
    Reloaded(Report),
    /// The gap is closed.
    GapClosed(Gap),
    /// What was found in each rejection.
    Reverified {
        /// Oldest first.
        found: Vec<ReverifiedOne>,
        /// Where to go on; `None` when there are no more.
        next: Option<RejectionId>,
    },
    /// What ending the holds did.
    HoldEnded(EndedHold),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlError {
    /// It cannot be read, or asks for something that no command does.
    #[error("the command cannot be read: {detail}")]
    Malformed {
        /// What is wrong with it.
        detail: String,
    },
    /// Who asks may not do this.
    #[error("the command needs the role `{}`", needs.as_str())]
    Forbidden {
        /// The least role that may.
        needs: Role,
    },
    /// The thing that it names is not there.
    #[error("not found")]
    NotFound,
    /// Only a running node can do it.
    #[error("only a running node can do this")]
    NeedsNode,
    /// It was tried and did not succeed.
    #[error("{cause}")]
    Failed {
        /// Why not.
        cause: String,
    },
}

/// An answer or an error, as it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// It was done.
    Answer(Answer),
    /// It was not.
    Error(ControlError),
}

impl From<Result<Answer, ControlError>> for Reply {
    fn from(result: Result<Answer, ControlError>) -> Self {
        match result {
            Ok(answer) => Self::Answer(answer),
            Err(error) => Self::Error(error),
        }
    }
}

impl From<Reply> for Result<Answer, ControlError> {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Answer(answer) => Ok(answer),
            Reply::Error(error) => Err(error),
        }
    }
}

impl From<inbox::Error> for ControlError {
    fn from(error: inbox::Error) -> Self {
        match error {
            inbox::Error::NotFound => Self::NotFound,
            other => Self::Failed { cause: other.to_string() },
        }
    }
}

/// Executes commands.
pub struct Control {
    /// The inbox.
    pub inbox: Arc<dyn Inbox>,
    /// Time.
    pub clock: Clock,
    /// The channels, to verify refused requests again; `None` where there are none.
    pub receiver: Option<Arc<ArcSwap<Receiver>>>,
    /// The running node; `None` when a command line works on an inbox that nobody serves.
    pub node: Option<NodeParts>,
}

impl Control {
    /// Executes a command for somebody, if they may, and says in the audit who it was.
    ///
    /// # Errors
    /// [`ControlError`]; then nothing was changed.
    pub async fn execute(&self, command: Command, caller: &Caller) -> Result<Answer, ControlError> {
        let needs = command.needs();
        if caller.role < needs {
            warn!(command = command.as_str(), by = caller.name, needs = needs.as_str(), "a command was not allowed");
            return Err(ControlError::Forbidden { needs });
        }
        if self.node.is_some() && needs > Role::Viewer {
            info!(command = command.as_str(), by = caller.name, "command");
        }
        let now = (self.clock)();
        match command {
            Command::Status => self.status(now).await,
            Command::Replay { what, target } => {
                let count = self.inbox.replay(Replay { what, target, at: now }, &caller.name).await?;
                Ok(Answer::Replayed { count })
            }
            Command::Backup { to } => self.backup(to, caller, now).await,
            Command::Gaps => Ok(Answer::Gaps(self.inbox.gaps().await?)),
            Command::Reload { is_dry, discard } => self.reload(is_dry, discard, caller).await,
            Command::CloseGap { id, why } => self.close_gap(id, why, caller, now).await,
            Command::Reverify { what } => self.reverify(what, caller, now).await,
            Command::EndHold { what, end, why } => self.end_hold(what, end, why, caller, now).await,
        }
    }

    async fn status(&self, now: Timestamp) -> Result<Answer, ControlError> {
        let node = self.node.as_ref().ok_or(ControlError::NeedsNode)?;
        let status = node.status(&*self.inbox, now).await?;
        Ok(Answer::Status(Box::new(status)))
    }

    async fn reload(&self, is_dry: bool, discard: Vec<String>, caller: &Caller) -> Result<Answer, ControlError> {
        let node = self.node.as_ref().ok_or(ControlError::NeedsNode)?;
        let order = Order { is_dry, discard, who: caller.name.clone() };
        let stopping = || ControlError::Failed { cause: "the node is stopping".to_owned() };
        Ok(Answer::Reloaded(node.reloader.reload(order).await.ok_or_else(stopping)?))
    }

    async fn backup(&self, to: PathBuf, caller: &Caller, now: Timestamp) -> Result<Answer, ControlError> {
        if !to.is_absolute() {
            return Err(ControlError::Malformed { detail: "the backup's path is not absolute".to_owned() });
        }
        // Noted before, because nobody may be there any more to note it afterwards. An inbox that cannot be written
        // is what a backup is wanted for, so that this stops nothing.
        if let Err(error) = self.inbox.audit(now, &caller.name, &format!("backup to {}", to.display())).await {
            warn!(%error, by = caller.name, "a backup could not be noted in the audit");
        }
        self.inbox.backup(&to).await?;
        Ok(Answer::BackedUp { to })
    }

    async fn close_gap(&self, id: GapId, why: String, caller: &Caller, now: Timestamp) -> Result<Answer, ControlError> {
        if why.trim().is_empty() || why.len() > WHY_BYTES_MAX {
            let detail = format!("`why` says in up to {WHY_BYTES_MAX} bytes what was done about the gap");
            return Err(ControlError::Malformed { detail });
        }
        let gap = self.inbox.close_gap(id, &caller.name, why.trim(), now).await?;
        if let Some(node) = &self.node {
            note_gaps(&*self.inbox, &node.metrics).await;
        }
        Ok(Answer::GapClosed(gap))
    }
}

/// Brings the number of open gaps in the metrics up to date, and returns them.
pub async fn note_gaps(inbox: &dyn Inbox, metrics: &Metrics) -> Vec<Gap> {
    match inbox.gaps().await {
        Ok(mut gaps) => {
            gaps.retain(Gap::is_open);
            metrics.open_gaps.set(i64::try_from(gaps.len()).unwrap_or(i64::MAX));
            gaps
        }
        Err(error) => {
            warn!(%error, "cannot read the gaps");
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::EventId;

    #[test]
    fn commands_and_answers_are_the_same_on_both_sides_of_the_wire() {
        let event = EventId::new();
        let commands = [
            (Command::Status, "\"status\"".to_owned()),
            (
                Command::Replay { what: ReplayWhat::Event(event), target: None },
                format!("{{\"replay\":{{\"what\":{{\"event\":\"{event}\"}},\"target\":null}}}}"),
            ),
            (
                Command::Replay { what: ReplayWhat::Dead(7), target: Some("shop".into()) },
                "{\"replay\":{\"what\":{\"dead\":7},\"target\":\"shop\"}}".to_owned(),
            ),
            (
                Command::Reload { is_dry: true, discard: vec!["shop".to_owned()] },
                "{\"reload\":{\"is_dry\":true,\"discard\":[\"shop\"]}}".to_owned(),
            ),
            (Command::Backup { to: "/a/b".into() }, "{\"backup\":{\"to\":\"/a/b\"}}".to_owned()),
            (Command::Gaps, "\"gaps\"".to_owned()),
            (
                Command::CloseGap { id: 1, why: "asked".into() },
                "{\"close_gap\":{\"id\":1,\"why\":\"asked\"}}".to_owned(),
            ),
            (
                Command::Reverify {
                    what: ReverifyWhat::All { channel: None, reason: Some("stale".into()), before: None },
                },
                "{\"reverify\":{\"what\":{\"all\":{\"channel\":null,\"reason\":\"stale\",\"before\":null}}}}"
                    .to_owned(),
            ),
            (
                Command::EndHold { what: HoldWhat::Event(event), end: HoldEnd::Release, why: None },
                format!("{{\"end_hold\":{{\"what\":{{\"event\":\"{event}\"}},\"end\":\"release\",\"why\":null}}}}"),
            ),
        ];
        for (command, text) in commands {
            assert_eq!(serde_json::to_string(&command).unwrap(), text);
            assert_eq!(serde_json::from_str::<Command>(&text).unwrap(), command);
            assert!(text.contains(command.as_str()), "{text}");
        }
        let error = ControlError::Forbidden { needs: Role::Operator };
        let text = serde_json::to_string(&error).unwrap();
        assert_eq!(text, "{\"forbidden\":{\"needs\":\"operator\"}}");
        assert_eq!(serde_json::from_str::<ControlError>(&text).unwrap(), error);
    }

    #[test]
    fn what_is_not_a_command_is_refused() {
        for text in [
            "{}",
            "\"\"",
            "\"Status\"",
            "\"reboot\"",
            "{\"replay\":{}}",
            "{\"replay\":{\"what\":{\"dead\":-1},\"target\":null}}",
            "{\"replay\":{\"what\":{\"event\":\"ntf_00000000000000000000000000000000\"},\"target\":null}}",
            "{\"replay\":{\"what\":{\"dead\":1},\"target\":null,\"by\":\"me\"}}",
            "{\"status\":{},\"gaps\":{}}",
            "{\"close_gap\":{\"id\":1,\"why\":\"a\"},\"status\":null}",
            "[\"status\"]",
        ] {
            assert!(serde_json::from_str::<Command>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_command_has_its_role() {
        let replay = Command::Replay { what: ReplayWhat::Dead(1), target: None };
        for (command, needs) in [
            (Command::Status, Role::Viewer),
            (Command::Gaps, Role::Viewer),
            (replay, Role::Operator),
            (Command::CloseGap { id: 1, why: String::new() }, Role::Operator),
            (Command::Reverify { what: ReverifyWhat::One(RejectionId::new()) }, Role::Operator),
            (
                Command::EndHold { what: HoldWhat::Event(EventId::new()), end: HoldEnd::Discard, why: None },
                Role::Operator,
            ),
            (Command::Reload { is_dry: true, discard: Vec::new() }, Role::Viewer),
            (Command::Reload { is_dry: false, discard: Vec::new() }, Role::Operator),
            (Command::Backup { to: PathBuf::new() }, Role::Owner),
        ] {
            assert_eq!(command.needs(), needs, "{command:?}");
            assert!(command.patience() <= COMMAND_TIME_MAX);
        }
        assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Owner);
    }
}
