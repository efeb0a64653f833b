//! Configuration → doors: each channel with where its events go.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tollbell_channels::model::{AckMatch, AppReply, Environment};

use super::network::allow;
use super::node::Keepers;
use crate::config::Config;
use crate::deliver::{AckOf, Line, Origin};
use crate::inbox::RoutedTarget;
use crate::receive::{Door, Doors, Receiver};
use crate::targets::Format;

/// Builds every door.
pub(super) fn doors(config: &Config, lines: &[Line], keepers: &Keepers) -> Doors {
    let is_raw = |id: &str| lines.iter().any(|line| &*line.id == id && line.target.demands().format == Format::Raw);
    let doors = config.channels.iter().filter_map(|channel| {
        let is_sandbox = channel.environment == Environment::Sandbox;
        let targets_of = |kind| {
            let ids = config.routes.targets_for(&channel.id, kind, &config.targets);
            let accepted = config.targets.iter().filter(|target| ids.contains(&target.id));
            accepted
                .filter(|target| !target.retired && (!is_sandbox || target.accept_sandbox))
                .map(|target| RoutedTarget { target: target.id.clone(), is_raw: is_raw(&target.id) })
                .collect()
        };
        let door = Door::new(
            channel.id.clone(),
            channel.merchant.clone(),
            channel.platform.kind,
            keepers.get(&channel.id)?.clone(),
            channel.paths.clone(),
            targets_of,
        );
        Some(Arc::new(door.in_shadow(channel.is_shadow).allowing(allow(&channel.allow))))
    });
    Doors::new(doors.collect())
}

/// Reads an application's answer in the words of the channel, as it is configured now. When the channel is gone
/// or has another name, another channel of the same platform knows the word; without any, nothing confirms.
pub(super) fn ack_of(receiver: Arc<ArcSwap<Receiver>>) -> AckOf {
    Arc::new(move |origin: &Origin, reply: &AppReply<'_>| {
        let receiver = receiver.load();
        let is_of_platform = |door: &&Arc<Door>| *door.platform == *origin.platform;
        let own = receiver.doors.by_id(&origin.channel).filter(is_of_platform);
        let door = own.or_else(|| receiver.doors.iter().find(is_of_platform));
        door.map_or(AckMatch::No, |door| door.channel().is_ack(reply))
    })
}
