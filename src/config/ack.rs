//! `ack` of a channel: when its platform hears "success".

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tollbell_channels::model::{Environment, EventKind};

use super::reader::{Section, Sink, nearest};
use super::{Catalogue, ChannelConfig, Names, Routes, TargetConfig};
use crate::messages::Message;

/// `ack`: when the platform hears "success".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AckConfig {
    /// `"stored"`, the default: as soon as the callback is safely written down.
    #[default]
    Stored,
    /// `{ delivered = "TARGET", within = "3s" }`: only when that target has confirmed in time.
    Delivered(DeliveredConfig),
}

/// `ack = { delivered = …, within = …, broker = … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredConfig {
    /// `delivered`: the target whose confirmation counts.
    pub target: Arc<str>,
    /// `within`: how long it may take, from the end of the request. Default 3 s.
    pub within: Duration,
    /// `broker`: whether the confirmation of a queue counts, which has only taken the event. Default false.
    pub counts_broker: bool,
    place: Range<usize>,
}

/// Default of `within`.
pub const WITHIN: Duration = Duration::from_secs(3);
/// Taken for the patience of a platform that does not state it: the shortest that any platform states.
pub const ASSUMED_PATIENCE: Duration = Duration::from_secs(5);
/// Left of a platform's patience for the network and the reply.
pub const REPLY_MARGIN: Duration = Duration::from_millis(500);
/// How the table is written.
const EXAMPLE: &str = "{ delivered = \"shop\", within = \"3s\" }";
/// The only word beside the table.
const STORED: &str = "stored";

impl AckConfig {
    /// Reads `ack`; `patience` is the platform's, where it is stated.
    pub(super) fn read(section: &Section<'_>, patience: Option<Duration>) -> Option<Self> {
        if !section.is_table("ack") {
            return match section.text("ack") {
                Some(word) if word != STORED => {
                    section.problem("ack", Message::new("config.bad_ack").with("example", EXAMPLE));
                    None
                }
                _ => Some(Self::Stored),
            };
        }
        let table = section.table("ack")?;
        let target = table.text("delivered");
        if !table.has("delivered") {
            table.problem("delivered", Message::new("config.missing"));
        }
        let within = table.duration("within").unwrap_or(WITHIN);
        let most = patience.unwrap_or(ASSUMED_PATIENCE).saturating_sub(REPLY_MARGIN);
        if within.is_zero() {
            table.problem("within", Message::new("config.not_zero"));
        } else if within > most {
            let message = Message::new("config.ack_too_long").with("most", format!("{}ms", most.as_millis()));
            table.problem("within", message);
        }
        let counts_broker = table.flag("broker").unwrap_or(false);
        let place = table.span_of("delivered");
        table.finish();
        Some(Self::Delivered(DeliveredConfig { target: target?.into(), within, counts_broker, place }))
    }
}

/// Checks what only the whole configuration shows: the target must be there, its confirmation must mean what
/// is asked, and some event of the channel must go to it.
pub(super) fn check(
    channel: &ChannelConfig,
    sink: &Sink,
    targets: &[TargetConfig],
    routes: &Routes,
    names: &Names,
    catalogue: &Catalogue<'_>,
) {
    let AckConfig::Delivered(ack) = &channel.ack else { return };
    let problem = |message: Message| {
        let message = message.with("target", &ack.target).with("channel", &channel.id);
        sink.problem(Some(ack.place.clone()), "channel.ack.delivered", message);
    };
    if !names.is_whole {
        return;
    }
    if !names.targets.iter().any(|name| **name == *ack.target) {
        return problem(match nearest(&ack.target, names.targets.iter().map(String::as_str)) {
            Some(near) => Message::new("config.unknown_name_nearest").with("name", &ack.target).with("nearest", near),
            None => Message::new("config.unknown_name").with("name", &ack.target),
        });
    }
    // One with a mistake of its own was reported.
    let Some(target) = targets.iter().find(|target| target.id == ack.target) else { return };
    let is_broker = catalogue.target_kinds.iter().any(|kind| kind.kind == target.kind && kind.is_broker);
    if is_broker && !ack.counts_broker {
        problem(Message::new("config.ack_broker"));
    }
    if target.retired {
        problem(Message::new("config.ack_retired"));
    } else if channel.environment == Environment::Sandbox && !target.accept_sandbox {
        problem(Message::new("config.ack_sandbox"));
    } else if !EventKind::ALL.iter().any(|kind| routes.targets_for(&channel.id, *kind, targets).contains(&target.id)) {
        problem(Message::new("config.ack_unrouted"));
    }
}
