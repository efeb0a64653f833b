//! Configuration → doors: each channel with where its events go.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tollbell_channels::model::{AckMatch, AppReply, Environment, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;

use super::network;
use super::node::Keepers;
use crate::clock;
use crate::config::{AckConfig, Config};
use crate::deliver::signatures::{NotSigned, Signatures};
use crate::deliver::{AckOf, CallbackOf, FieldsOf, Line, Origin};
use crate::inbox::RoutedTarget;
use crate::operate::{Asked, ChannelOf};
use crate::receive::door::NOTIFY;
use crate::receive::{Ack, Asks, Door, Doors, Receiver};
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
        let asks = Asks { about_proven: channel.asks.about_proven, about_unproven: channel.asks.about_unproven };
        let door = door.in_shadow(channel.is_shadow).allowing(network::allow(&channel.allow)).asking(asks);
        Some(Arc::new(door.with_ack(ack(&channel.ack)).with_resigner(channel.resign.resigner.clone())))
    });
    Doors::new(doors.collect())
}

/// Reads an application's answer in the words of the channel, as it is configured now. When the channel is gone
/// or has another name, another channel of the same platform knows the word; without any, nothing confirms.
pub(super) fn ack_of(receiver: Arc<ArcSwap<Receiver>>) -> AckOf {
    Arc::new(move |origin: &Origin, reply: &AppReply<'_>, to: Option<&RawRequest>| {
        let receiver = receiver.load();
        let is_of_platform = |door: &&Arc<Door>| *door.platform == *origin.platform;
        let own = receiver.doors.by_id(&origin.channel).filter(is_of_platform);
        let door = own.or_else(|| receiver.doors.iter().find(is_of_platform));
        door.map_or(AckMatch::No, |door| door.channel().is_ack(reply, to))
    })
}

/// Reads the fields of a request that was proven when it came. Only the channel that it came to may: another
/// one of the same platform has other keys, and would read nothing or another merchant's secrets.
pub(super) fn fields_of(receiver: Arc<ArcSwap<Receiver>>) -> FieldsOf {
    Arc::new(move |origin: &Origin, proven: &RawRequest| {
        let receiver = receiver.load();
        let door = receiver.doors.by_id(&origin.channel).filter(|door| *door.platform == *origin.platform);
        door.map(|door| door.channel().fields(proven)).unwrap_or_default()
    })
}

/// Makes the callback that the platform sends about what it answered. Only the channel that asked may.
pub(super) fn callback_of(receiver: Arc<ArcSwap<Receiver>>) -> CallbackOf {
    Arc::new(move |origin: &Origin, kept: &RawRequest| {
        let receiver = receiver.load();
        let door = receiver.doors.by_id(&origin.channel).filter(|door| *door.platform == *origin.platform)?;
        let mut callback = door.channel().fetch_back()?.callback(kept)?;
        callback.path = format!("{NOTIFY}/{}", door.id);
        Some(callback)
    })
}

/// Finds a channel that asks its platform, as it is configured now.
pub(super) fn channel_of(receiver: Arc<ArcSwap<Receiver>>) -> ChannelOf {
    Arc::new(move |id: &str| {
        let door = receiver.load().doors.by_id(id)?.clone();
        let (channel, merchant) = (door.channel(), door.merchant.clone());
        let (platform, is_shadow) = (door.platform, door.is_shadow);
        let routes = Arc::new(move |kind| door.routes(kind).to_vec());
        Some(Asked { channel, merchant, platform, is_shadow, routes })
    })
}

fn ack(config: &AckConfig) -> Ack {
    match config {
        AckConfig::Stored => Ack::Stored,
        AckConfig::Delivered(delivered) => {
            Ack::Delivered { target: delivered.target.clone(), within: delivered.within }
        }
    }
}

/// Signs with the key of the channel as it is configured now.
pub(super) struct ChannelSignatures(pub(super) Arc<ArcSwap<Receiver>>);

impl Signatures for ChannelSignatures {
    fn freshness(&self, origin: &Origin) -> Option<Duration> {
        let receiver = self.0.load();
        let door = receiver.doors.by_id(&origin.channel).filter(|door| *door.platform == *origin.platform);
        let own = door.and_then(|door| door.channel().freshness());
        own.or_else(|| by_kind(&origin.platform).and_then(|platform| platform.freshness))
    }

    fn signed_query(&self, origin: &Origin, request: &RawRequest) -> Option<String> {
        let receiver = self.0.load();
        let is_of_platform = |door: &&Arc<Door>| *door.platform == *origin.platform;
        let own = receiver.doors.by_id(&origin.channel).filter(is_of_platform);
        // Which pairs are signed is the platform's rule, but for the merchant's own: when the channel is gone or has
        // another name, the one of its platform that the message is most like knows.
        let likeness = |door: &&Arc<Door>| door.channel().recognise(request);
        let door = own.or_else(|| receiver.doors.iter().filter(is_of_platform).max_by_key(likeness));
        door?.channel().signed_query(request)
    }

    fn resign(&self, origin: &Origin, request: &RawRequest, now: Timestamp) -> Result<RawRequest, NotSigned> {
        let receiver = self.0.load();
        let door = receiver.doors.by_id(&origin.channel).filter(|door| *door.platform == *origin.platform);
        let resigner = door.and_then(|door| door.resigner.as_ref()).ok_or(NotSigned::NoKey)?;
        let nonce = clock::random_bytes().ok_or(NotSigned::NoKey)?;
        resigner.resign(request, now, nonce).map_err(|error| NotSigned::Impossible(error.to_string()))
    }
}
