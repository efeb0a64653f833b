//! When keys end and what is weak about them: told at start, at every check, in metrics, and once a day while the node
//! runs.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;
use tollbell_channels::channel::KeyNote;
use tollbell_channels::channel::strength::{SECRET_BYTES_MIN, Weakness, secrets};
use tollbell_channels::model::{Environment, Timestamp};
use tollbell_channels::settings::{Setting, SettingKind, SettingValue, Settings};
use tollbell_channels::signature::x509::Certificate;
use tollbell_channels::succession::former_prefix;
use tracing::{error, warn};

use super::node::Keepers;
use crate::clock::Clock;
use crate::config::{ChannelConfig, Config, Places, Problem, TargetConfig};
use crate::messages::Message;
use crate::receive::Receiver;
use crate::receive::tls::ENDS_SOON;
use crate::stop::Stop;
use crate::targets;
use crate::telemetry::{ByKey, ByTargetKey, ByWeakness, Metrics};

/// How often the ends of keys are looked at: keys may be fetched while the node runs.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// Between two warnings in the log about the same keys.
const WARN_EVERY: Duration = Duration::from_hours(24);

/// How a key stands to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It proves nothing any more.
    Ended(Timestamp),
    /// Within [`ENDS_SOON`].
    EndsSoon(Timestamp),
}

/// How an end stands to now; none for one that is far away.
pub(super) fn stage(not_after: Option<Timestamp>, now: Timestamp) -> Option<Stage> {
    let end = not_after?;
    let left = end.duration_since(now);
    if !left.is_positive() {
        Some(Stage::Ended(end))
    } else if left.unsigned_abs() < ENDS_SOON {
        Some(Stage::EndsSoon(end))
    } else {
        None
    }
}

/// A key with what is weak about it.
pub(super) struct Weak {
    /// The setting, as far as it is known, else the label.
    pub(super) setting: String,
    /// The key's name among the channel's.
    pub(super) label: String,
    pub(super) weakness: Weakness,
}

/// What is weak about a channel's keys. What looks like a test environment's is weak in the live one only.
pub(super) fn weak_keys(channel: &ChannelConfig) -> Vec<Weak> {
    let notes = channel.channel.keys();
    let of_note = |note: &KeyNote| {
        let weak = |weakness| Weak { setting: note.label.clone(), label: note.label.clone(), weakness };
        note.weaknesses().into_iter().map(weak).collect::<Vec<_>>()
    };
    let mut found: Vec<Weak> = notes.iter().flat_map(of_note).collect();
    let is_live = channel.environment == Environment::Live;
    for secret in secrets(channel.platform.settings, &channel.settings) {
        for weakness in secret.weaknesses(&notes) {
            if is_live || weakness != Weakness::TestSecret {
                found.push(Weak { setting: secret.setting.to_owned(), label: secret.label.clone(), weakness });
            }
        }
    }
    found
}

/// Whether a merchant can mend it: what a platform prescribes is told by `check --security` and in metrics alone.
fn is_curable(weakness: Weakness) -> bool {
    match weakness {
        Weakness::OldDigest { .. } => false,
        Weakness::ShortSecret { bytes, .. } => bytes < SECRET_BYTES_MIN,
        _ => true,
    }
}

/// A target's own certificates, and when the first of each setting ends.
pub(super) fn target_certificates(target: &TargetConfig) -> Vec<(&'static str, Timestamp)> {
    let described = targets::by_kind(&target.kind).map_or(&[][..], |kind| kind.settings);
    certificates(described, &target.settings)
        .into_iter()
        .filter_map(|(setting, one)| Some((setting, one.description().not_after?)))
        .fold(Vec::new(), |mut ends: Vec<(&'static str, Timestamp)>, (setting, end)| {
            match ends.iter_mut().find(|(known, _)| *known == setting) {
                Some((_, first)) => *first = (*first).min(end),
                None => ends.push((setting, end)),
            }
            ends
        })
}

/// Every certificate in the settings.
pub(super) fn certificates(described: &[Setting], settings: &Settings) -> Vec<(&'static str, Certificate)> {
    let is_material = |setting: &&Setting| matches!(setting.kind, SettingKind::PublicKey | SettingKind::SecretKey);
    let mut found = Vec::new();
    for setting in described.iter().filter(is_material) {
        let value = settings.values().find(|(name, _)| *name == setting.name);
        if let Some((_, SettingValue::Key(bytes))) = value {
            let all = Certificate::read_all(setting.name, bytes).unwrap_or_default();
            found.extend(all.into_iter().map(|one| (setting.name, one)));
        }
    }
    found
}

/// What a person should mend in time.
pub(super) fn warnings(path: &Path, config: &Config, now: Timestamp) -> Vec<Problem> {
    let places = Places::of(path);
    let mut found = Vec::new();
    for channel in &config.channels {
        let at = |setting: &str| places.of_id("channel", &channel.id, setting);
        for note in channel.channel.keys() {
            let Some(stage) = stage(note.not_after, now) else { continue };
            let message = ending(stage).with("key", &note.label).with("owner", &channel.id);
            found.push(Problem::warning(path, "channel", message).at(at(&note.label)));
        }
        for weak in weak_keys(channel).into_iter().filter(|weak| is_curable(weak.weakness)) {
            let message = weak_text(&weak).with("owner", &channel.id);
            found.push(Problem::warning(path, "channel", message).at(at(&weak.setting)));
        }
    }
    for target in &config.targets {
        for (setting, end) in target_certificates(target) {
            let Some(stage) = stage(Some(end), now) else { continue };
            let message = ending(stage).with("key", setting).with("owner", &target.id);
            let place = places.of_id("target", &target.id, setting);
            found.push(Problem::warning(path, "target", message).at(place));
        }
    }
    found
}

/// The text of an end.
pub(super) fn ending(stage: Stage) -> Message {
    match stage {
        Stage::Ended(at) => Message::new("keys.has_ended").with("at", at),
        Stage::EndsSoon(at) => Message::new("keys.ends_soon").with("at", at),
    }
}

/// The text of a weakness.
pub(super) fn weak_text(weak: &Weak) -> Message {
    Message::dynamic(format!("weakness.{}", weak.weakness.word()))
        .with("key", &weak.label)
        .with("detail", weak.weakness)
}

/// Shows the keys of a configuration that is taken into use, and no others.
pub(super) fn announce(metrics: &Metrics, config: &Config, keepers: &Keepers) {
    metrics.target_key_expires.clear();
    metrics.weak_keys.clear();
    let notes = |channel: &ChannelConfig| {
        keepers.get(&channel.id).map_or_else(|| channel.channel.keys(), |keeper| keeper.channel().keys())
    };
    let known: Vec<_> = config.channels.iter().map(|channel| (channel.id.clone(), notes(channel))).collect();
    show_ends(metrics, &known);
    for channel in &config.channels {
        for weak in weak_keys(channel) {
            let weakness = weak.weakness.word();
            metrics
                .weak_keys
                .get_or_create(&ByWeakness { channel: channel.id.clone(), key: weak.label, weakness })
                .set(1);
        }
    }
    for target in &config.targets {
        for (setting, end) in target_certificates(target) {
            let label = ByTargetKey { target: target.id.clone(), key: setting.to_owned() };
            metrics.target_key_expires.get_or_create(&label).set(end.as_duration().as_secs_f64());
        }
    }
}

/// The label of a key in metrics: what proofs call it. Certificates of one setting go by their numbers.
fn metric_label(note: &KeyNote, notes: &[KeyNote]) -> String {
    let is_alone = notes.iter().filter(|other| other.label == note.label).count() == 1;
    match &note.fingerprint {
        Some(number) if !is_alone => format!("{}{number}", former_prefix(&note.label)),
        _ => note.label.clone(),
    }
}

/// Shows the ends of these channels' keys, and no others.
fn show_ends(metrics: &Metrics, channels: &[(Arc<str>, Vec<KeyNote>)]) {
    let mut shown = metrics.shown_keys.lock().unwrap_or_else(PoisonError::into_inner);
    let before = std::mem::take(&mut *shown);
    for (channel, notes) in channels {
        for note in notes {
            if let Some(end) = note.not_after {
                let label = ByKey { channel: channel.clone(), key: metric_label(note, notes) };
                metrics.key_expires.get_or_create(&label).set(end.as_duration().as_secs_f64());
                shown.insert(label);
            }
        }
    }
    // A key that was fetched goes when its platform has another.
    for label in before.difference(&shown) {
        metrics.key_expires.remove(label);
    }
}

/// Looks at the ends of the keys that are in force, until the stop signal.
pub(super) async fn watch(receiver: Arc<ArcSwap<Receiver>>, clock: Clock, mut stop: Stop) {
    let mut warned_at: Option<Instant> = None;
    loop {
        let is_due = warned_at.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        look(&receiver.load(), clock(), is_due);
        if is_due {
            warned_at = Some(Instant::now());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.raised() => return,
        }
    }
}

fn look(receiver: &Receiver, now: Timestamp, warns: bool) {
    let known: Vec<(Arc<str>, Vec<KeyNote>)> =
        receiver.doors.iter().map(|door| (door.id.clone(), door.channel().keys())).collect();
    show_ends(&receiver.metrics, &known);
    for (id, notes) in known.iter().filter(|_| warns) {
        for note in notes {
            let (channel, key) = (&**id, &note.label);
            match stage(note.not_after, now) {
                Some(Stage::Ended(at)) => error!(channel, key, %at, "a key has ended: it proves nothing any more"),
                Some(Stage::EndsSoon(at)) => warn!(channel, key, %at, "a key ends soon"),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_that_are_there_have_an_end() {
        let metrics = Metrics::new();
        let note = |fingerprint: &str, end: &str| KeyNote {
            label: "cert".to_owned(),
            algorithm: "RSA 2048".to_owned(),
            fingerprint: Some(fingerprint.to_owned()),
            not_after: Some(end.parse().unwrap()),
        };
        let (old, new) = (note("4D00", "2026-12-01T00:00:00Z"), note("5E01", "2027-12-01T00:00:00Z"));
        let other: (Arc<str>, _) = ("other".into(), vec![note("6F02", "2027-01-01T00:00:00Z")]);
        let shown = || {
            let text = metrics.render();
            let own = text.lines().filter(|line| line.starts_with("tollbell_key_expires_timestamp_seconds{"));
            own.map(|line| line.split('"').nth(3).unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>()
        };
        show_ends(&metrics, &[("pay".into(), vec![old.clone()]), other.clone()]);
        assert_eq!(shown(), ["cert".to_owned()].into());
        show_ends(&metrics, &[("pay".into(), vec![old, new.clone()]), other]);
        assert_eq!(shown(), ["4D00", "5E01", "cert"].map(str::to_owned).into());
        // The old one has gone, and so has the other channel: nobody is told of their ends.
        show_ends(&metrics, &[("pay".into(), vec![new])]);
        assert_eq!(shown(), ["cert".to_owned()].into());
        let text = metrics.render();
        assert_eq!(text.lines().filter(|line| line.starts_with("tollbell_key_expires_timestamp_seconds{")).count(), 1);
    }

    #[test]
    fn an_end_is_told_in_time() {
        let now: Timestamp = "2026-11-21T00:00:00Z".parse().unwrap();
        let second = Duration::from_secs(1);
        assert_eq!(stage(None, now), None);
        assert_eq!(stage(Some(now + ENDS_SOON), now), None);
        let soon = now + ENDS_SOON - second;
        assert_eq!(stage(Some(soon), now), Some(Stage::EndsSoon(soon)));
        assert_eq!(stage(Some(now + second), now), Some(Stage::EndsSoon(now + second)));
        assert_eq!(stage(Some(now), now), Some(Stage::Ended(now)));
    }
}
