//! How a running node is, for people and for programs that watch it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use tollbell_channels::model::Timestamp;

use crate::inbox::{self, Condition, Gap, Inbox};
use crate::reload::{Reloader, Standing};
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// What a running node knows about itself.
pub struct NodeParts {
    /// When it started.
    pub started_at: Timestamp,
    /// The public addresses as they are served now.
    pub addresses: Arc<ArcSwap<Vec<SocketAddr>>>,
    /// The admin listener's address.
    pub admin: SocketAddr,
    /// The socket for commands, when it is on.
    pub socket: Option<PathBuf>,
    /// The ids of the channels as they are configured now.
    pub channels: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The stop signal: a node that drains says so.
    pub stop: Stop,
    /// Takes changed files into use.
    pub reloader: Reloader,
    /// How the files stand to what is in force.
    pub standing: Arc<Standing>,
}

/// Whether a node takes callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Ready,
    /// It answers "busy", because the inbox cannot be written.
    Busy,
    /// It is ending.
    Draining,
}

impl State {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Draining => "draining",
        }
    }

    /// From what a node can see of itself.
    pub fn of(condition: &Condition, stop: &Stop) -> Self {
        match condition {
            _ if stop.is_raised() => Self::Draining,
            Condition::Good => Self::Ready,
            Condition::Failing(_) => Self::Busy,
        }
    }
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// The node's time when it answered.
    pub now: Timestamp,
    /// Whether it takes callbacks.
    pub state: State,
    /// Why the inbox cannot be written, when it cannot.
    pub cause: Option<String>,
    /// The public addresses.
    pub addresses: Vec<SocketAddr>,
    /// The admin listener's address.
    pub admin: SocketAddr,
    /// The socket for commands, when it is on.
    pub socket: Option<PathBuf>,
    /// The configured channels, and others that once brought something.
    pub channels: Vec<ChannelStatus>,
    /// What waits for each target.
    pub targets: Vec<TargetStatus>,
    /// Times from which something may be missing, that nobody has dealt with.
    pub open_gaps: Vec<Gap>,
}

/// The last callback of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// The channel's id.
    pub channel: String,
    /// Whether it is configured now.
    pub is_configured: bool,
    /// When its last genuine callback arrived; `None` when none ever did.
    pub last_genuine_at: Option<Timestamp>,
}

/// What waits for a target. Counting stops at [`inbox::BACKLOG_COUNT_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// The target's id.
    pub target: String,
    /// Deliveries that are due or being attempted.
    pub open: u64,
    /// Given up.
    pub dead: u64,
    /// Held for a person.
    pub held: u64,
    /// The receiving time of the oldest undelivered one.
    pub oldest_at: Option<Timestamp>,
}

impl NodeParts {
    /// Looks at everything.
    pub(super) async fn status(&self, inbox: &dyn Inbox, now: Timestamp) -> Result<Status, inbox::Error> {
        let condition = inbox.condition();
        let state = State::of(&condition, &self.stop);
        let cause = match condition {
            Condition::Good => None,
            Condition::Failing(cause) => Some(cause),
        };
        let targets = inbox.backlog().await?.into_iter().map(|row| TargetStatus {
            target: row.target,
            open: row.open,
            dead: row.dead,
            held: row.held,
            oldest_at: row.oldest_at,
        });
        let mut open_gaps = inbox.gaps().await?;
        open_gaps.retain(Gap::is_open);
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            now,
            state,
            cause,
            addresses: self.addresses.load().to_vec(),
            admin: self.admin,
            socket: self.socket.clone(),
            channels: self.channel_rows(inbox.last_genuine().await?),
            targets: targets.collect(),
            open_gaps,
        })
    }

    /// The configured channels in their order, then those that only the inbox knows.
    fn channel_rows(&self, last_genuine: Vec<(String, Timestamp)>) -> Vec<ChannelStatus> {
        let configured = (self.channels)();
        let mut rows: Vec<ChannelStatus> = configured
            .iter()
            .map(|channel| ChannelStatus { channel: channel.clone(), is_configured: true, last_genuine_at: None })
            .collect();
        for (channel, at) in last_genuine {
            match rows.iter_mut().find(|row| row.channel == channel) {
                Some(row) => row.last_genuine_at = Some(at),
                None => rows.push(ChannelStatus { channel, is_configured: false, last_genuine_at: Some(at) }),
            }
        }
        rows
    }
}
