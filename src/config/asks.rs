//! `confirm` and `unproven` of a channel: what its platform is asked beyond what the protocol needs.

use tollbell_channels::channel::Channel;

use super::AckConfig;
use super::reader::Section;
use crate::messages::Message;

/// What a channel asks its platform about, beyond what its protocol needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsksConfig {
    /// `confirm`: `"signature"`, the default: a message that is proven is believed. `"ask"`: nothing that it says is told
    /// before the platform's own answer says the same.
    pub about_proven: bool,
    /// `unproven`: `"refuse"`, the default: a message whose signature does not hold is refused, and that is all. `"ask"`: it
    /// is refused, and the platform is asked about what it names.
    pub about_unproven: bool,
}

/// The words of `confirm`.
const CONFIRM: [(&str, bool); 2] = [("signature", false), (ASK, true)];
/// The words of `unproven`.
const UNPROVEN: [(&str, bool); 2] = [("refuse", false), (ASK, true)];
/// The word that asks.
const ASK: &str = "ask";

impl AsksConfig {
    /// Reads both; `channel` is none when it has mistakes of its own.
    pub(super) fn read(section: &Section<'_>, channel: Option<&dyn Channel>, ack: Option<&AckConfig>) -> Self {
        let about_proven = flag(section, "confirm", CONFIRM);
        let about_unproven = flag(section, "unproven", UNPROVEN);
        let cannot_ask = channel.is_some_and(|channel| channel.fetch_back().is_none());
        for key in [("confirm", about_proven), ("unproven", about_unproven)] {
            if let (key, true) = key
                && cannot_ask
            {
                section.problem(key, Message::new("config.cannot_ask"));
            }
        }
        // What waits for the platform's answer is told after the reply, whatever the target would say.
        if about_proven && matches!(ack, Some(AckConfig::Delivered(_))) {
            section.problem("confirm", Message::new("config.confirm_ack"));
        }
        Self { about_proven, about_unproven }
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
