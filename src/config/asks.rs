//! `proven` and `unproven` of a channel: what its platform is asked beyond what the protocol needs.

use std::ops::Range;

use tollbell_channels::channel::{Channel, FetchBack};
use tollbell_channels::model::{Environment, EventKind};

use super::reader::{Section, Sink};
use super::{AckConfig, Carries, ChannelConfig, Routes, TargetConfig};
use crate::messages::Message;

/// What a channel asks its platform about, beyond what its protocol needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsksConfig {
    /// `proven`: `"believe"`, the default: a message that is proven is believed. `"ask"`: nothing that it says is told
    /// before the platform's own answer says the same.
    pub about_proven: bool,
    /// `unproven`: `"refuse"`, the default: a message whose signature does not hold is refused, and that is all. `"ask"`: it
    /// is refused, and the platform is asked about what it names.
    pub about_unproven: bool,
}

/// The words of `proven`.
const PROVEN: [(&str, bool); 2] = [("believe", false), (ASK, true)];
/// The words of `unproven`.
const UNPROVEN: [(&str, bool); 2] = [("refuse", false), (ASK, true)];
/// The word that asks.
const ASK: &str = "ask";

impl AsksConfig {
    /// Reads both; `channel` is none when it has mistakes of its own.
    pub(super) fn read(section: &Section<'_>, channel: Option<&dyn Channel>, ack: Option<&AckConfig>) -> Self {
        let about_proven = flag(section, "proven", PROVEN);
        let about_unproven = flag(section, "unproven", UNPROVEN);
        let cannot_ask = channel.is_some_and(|channel| channel.fetch_back().is_none());
        for key in [("proven", about_proven), ("unproven", about_unproven)] {
            if let (key, true) = key
                && cannot_ask
            {
                section.problem(key, Message::new("config.cannot_ask"));
            }
        }
        // What waits for the platform's answer is told after the reply, whatever the target would say.
        if about_proven && matches!(ack, Some(AckConfig::Delivered(_))) {
            section.problem("proven", Message::new("config.proven_ack"));
        }
        if matches!(ack, Some(AckConfig::Delivered(_))) && channel.is_some_and(Channel::gives_only_hints) {
            section.problem("ack", Message::new("config.hints_ack"));
        }
        Self { about_proven, about_unproven }
    }
}

/// Warns of a target that wants the platform's own requests, on a channel whose answers make none: what is learned by
/// asking alone can never reach it.
pub(super) fn check(
    channel: &ChannelConfig,
    place: &Range<usize>,
    sink: &Sink,
    targets: &[TargetConfig],
    routes: &Routes,
) {
    if channel.channel.fetch_back().is_none_or(FetchBack::makes_callbacks) {
        return;
    }
    let is_sandbox = channel.environment == Environment::Sandbox;
    let raw = targets.iter().find(|target| {
        target.carries == Carries::Requests
            && !target.retired
            && (!is_sandbox || target.accept_sandbox)
            && EventKind::ALL.iter().any(|kind| routes.targets_for(&channel.id, *kind, targets).contains(&target.id))
    });
    if let Some(target) = raw {
        let message = Message::new("config.no_callbacks").with("target", &target.id).with("channel", &channel.id);
        sink.warning(Some(place.clone()), "channel.id", message);
    }
}

fn flag(section: &Section<'_>, key: &str, words: [(&str, bool); 2]) -> bool {
    let Some(word) = section.text(key) else { return false };
    if let Some((_, asks)) = words.iter().find(|(known, _)| *known == word) {
        return *asks;
    }
    section.problem(key, Message::new("config.one_of").with("known", words.map(|(word, _)| word).join(", ")));
    false
}
