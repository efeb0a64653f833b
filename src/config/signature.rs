//! Whose signature a raw delivery carries: `signature` of a target, and `resign_key` of a channel.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollbell_channels::channel::Channel;
use tollbell_channels::model::{Environment, EventKind};
use tollbell_channels::resign::{self, Resigner};

use super::reader::{Problem, Section, Sink};
use super::{Carries, Catalogue, ChannelConfig, Routes, TargetConfig, settings};
use crate::messages::Message;

/// `signature` of a target: whose signature its raw deliveries carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignatureConfig {
    /// `"original"`, the default: the platform's own, byte for byte. A script that checks a window of time
    /// refuses it later.
    #[default]
    Original,
    /// `"resigned"`: every attempt is signed afresh with the channel's `resign_key`.
    Resigned,
}

/// The words of `signature`.
const WORDS: [(&str, SignatureConfig); 2] =
    [("original", SignatureConfig::Original), ("resigned", SignatureConfig::Resigned)];

/// What a missing key is reported as.
const KEY_MISSING: &str = "config.resign_key_missing";
/// What a named key file that is not there is reported as.
const FILE_MISSING: &str = "config.no_key_file";
/// The key under which a channel names the file.
const KEY_FILE: &str = "resign_key_file";

impl SignatureConfig {
    /// The stable text.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(_, signature)| *signature == self).map_or("", |(word, _)| word)
    }

    /// A unified event carries no signature that could be made afresh, so the word would do nothing there.
    pub(super) fn fitting(self, section: &Section<'_>, carries: Carries) -> Self {
        if (self, carries) == (Self::Resigned, Carries::Events) {
            section.problem("signature", Message::new("config.resigned_event"));
            return Self::Original;
        }
        self
    }

    pub(super) fn read(section: &Section<'_>) -> Self {
        let Some(word) = section.text("signature") else { return Self::default() };
        if let Some((_, signature)) = WORDS.iter().find(|(known, _)| *known == word) {
            return *signature;
        }
        section
            .problem("signature", Message::new("config.one_of").with("known", WORDS.map(|(word, _)| word).join(", ")));
        Self::default()
    }
}

/// `resign_key` of a channel: the gateway's own key, in one of the ways in which keys are given.
#[derive(Clone, Debug, Default)]
pub struct ResignConfig {
    /// What signs with it.
    pub resigner: Option<Arc<dyn Resigner>>,
    /// `resign_key_file`: where the key lies, or shall lie.
    pub file: Option<PathBuf>,
    is_given: bool,
}

impl ResignConfig {
    /// Reads the key, and has the channel make its signer, when there is a channel.
    pub(super) fn read(
        section: &Section<'_>,
        channel: Option<&Arc<dyn Channel>>,
        folder: &Path,
        catalogue: &Catalogue<'_>,
    ) -> Self {
        let ways = settings::ways(resign::SETTING);
        for way in &ways {
            section.keep_secret(way);
        }
        let file = section.has(KEY_FILE).then(|| section.text(KEY_FILE)).flatten().map(|name| folder.join(name));
        let key = settings::key(section, resign::SETTING, true, folder, catalogue.variable);
        let is_given = ways.iter().any(|way| section.has(way));
        let (Some(channel), Some(key)) = (channel, key) else { return Self { resigner: None, file, is_given } };
        match channel.resigner(&key) {
            Ok(resigner) => Self { resigner: Some(resigner.into()), file, is_given },
            Err(error) => {
                settings::report(section, &[], &error);
                Self { resigner: None, file, is_given }
            }
        }
    }
}

/// A channel whose events go to a target that signs afresh needs the key.
pub(super) fn check(
    channel: &ChannelConfig,
    place: &Range<usize>,
    sink: &Sink,
    targets: &[TargetConfig],
    routes: &Routes,
) {
    if channel.resign.is_given {
        return;
    }
    let is_sandbox = channel.environment == Environment::Sandbox;
    let resigned = targets.iter().find(|target| {
        target.signature == SignatureConfig::Resigned
            && (!is_sandbox || target.accept_sandbox)
            && EventKind::ALL.iter().any(|kind| routes.targets_for(&channel.id, *kind, targets).contains(&target.id))
    });
    if let Some(target) = resigned {
        let message = Message::new("config.resign_key_missing").with("target", &target.id).with("channel", &channel.id);
        sink.problem(Some(place.clone()), &format!("channel.{KEY_FILE}"), message);
    }
}

/// Whether a problem is only that a resign key has not been made yet, which the command that makes it excuses.
pub fn is_missing_resign_key(problem: &Problem) -> bool {
    problem.key == format!("channel.{KEY_FILE}") && [KEY_MISSING, FILE_MISSING].contains(&problem.message.key())
}
