//! Addresses of targets whose own query names what a platform signs in its: an application would see one of the two.

use std::path::Path;

use tollbell_channels::model::{Environment, EventKind};

use crate::config::{ChannelConfig, Config, Problem, TargetConfig};
use crate::messages::Message;
use crate::targets;

/// Refuses such an address, as far as the platform's names are known before a message comes.
///
/// # Errors
/// A problem for each channel that brings its messages to such a target.
pub(super) fn check(path: &Path, config: &Config) -> Result<(), Vec<Problem>> {
    let pairs = config.channels.iter().flat_map(|channel| config.targets.iter().map(move |target| (channel, target)));
    let brought = pairs.filter(|(channel, target)| is_brought(config, channel, target));
    let problems: Vec<Problem> = brought.filter_map(|(channel, target)| clash(path, channel, target)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn clash(path: &Path, channel: &ChannelConfig, target: &TargetConfig) -> Option<Problem> {
    let own = (targets::by_kind(&target.kind)?.own_query)(&target.settings, &channel.id)?;
    let name = own.clash(channel.channel.query_names())?;
    let message = Message::new("check.query_taken").with("target", &target.id).with("channel", &channel.id);
    Some(Problem::mistake(path, &format!("target.{}", own.setting), message.with("name", name)))
}

fn is_brought(config: &Config, channel: &ChannelConfig, target: &TargetConfig) -> bool {
    let is_taken = channel.environment != Environment::Sandbox || target.accept_sandbox;
    let is_routed =
        |kind: &EventKind| config.routes.targets_for(&channel.id, *kind, &config.targets).contains(&target.id);
    is_taken && EventKind::ALL.iter().any(is_routed)
}
