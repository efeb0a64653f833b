//! Targets of platforms that sign in the query: addresses whose own query names what is signed, of which an application
//! would see one, signatures of the gateway's own that cover a body only, and messages of which only parts are signed.

use std::path::Path;

use tollbell_channels::model::{Environment, EventKind};

use crate::config::{ChannelConfig, Config, Problem, TargetConfig};
use crate::messages::Message;
use crate::targets::{self, Format};

/// Refuses such an address, as far as the platform's names are known before a message comes. Warns of deliveries that
/// go out without the gateway's own signature.
///
/// # Errors
/// A problem for each channel that brings its messages to such a target.
pub(super) fn check(path: &Path, config: &Config) -> Result<Vec<Problem>, Vec<Problem>> {
    let pairs = config.channels.iter().flat_map(|channel| config.targets.iter().map(move |target| (channel, target)));
    let brought: Vec<_> = pairs.filter(|(channel, target)| is_brought(config, channel, target)).collect();
    let of_each = |find: fn(&Path, &ChannelConfig, &TargetConfig) -> Option<Problem>| {
        brought.iter().filter_map(|(channel, target)| find(path, channel, target)).collect::<Vec<Problem>>()
    };
    let problems = of_each(clash);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok([unsigned, beside].into_iter().flat_map(of_each).collect())
}

/// An application that is brought a whole message takes all of it for the platform's word.
fn beside(path: &Path, channel: &ChannelConfig, target: &TargetConfig) -> Option<Problem> {
    let signed = channel.channel.signed_alone();
    let kind = targets::by_kind(&target.kind)?;
    if signed.is_empty() || (kind.build)(&target.settings).ok()?.demands().format != Format::Raw {
        return None;
    }
    let message = Message::new("check.partly_signed").with("target", &target.id).with("channel", &channel.id);
    Some(Problem::warning(path, "channel", message.with("values", signed.join(", "))))
}

fn unsigned(path: &Path, channel: &ChannelConfig, target: &TargetConfig) -> Option<Problem> {
    let setting = (targets::by_kind(&target.kind)?.signs_bodies)(&target.settings)?;
    if channel.channel.query_names().is_empty() {
        return None;
    }
    let message = Message::new("check.query_unsigned").with("target", &target.id).with("channel", &channel.id);
    Some(Problem::warning(path, &format!("target.{setting}"), message))
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
