//! Where key material stands in settings, and the same settings with other material there.

use zeroize::Zeroizing;

use crate::platforms::Platform;
use crate::settings::tree::Tree;
use crate::settings::{Setting, SettingKind, SettingValue, Settings};

/// Most secrets of one channel that are tried with something else in their place.
const SECRETS_MAX: usize = 16;

/// A secret in its place.
pub(super) struct Secret {
    /// The setting.
    pub(super) setting: &'static str,
    /// What people call it: the setting, or its name in a list.
    pub(super) label: String,
    /// Its place among the secrets of the setting.
    place: usize,
    /// The secret as it was read.
    pub(super) bytes: Zeroizing<Vec<u8>>,
}

/// The settings that hold key material, each with its kind.
pub(super) fn key_settings(platform: &Platform) -> impl Iterator<Item = &'static Setting> {
    platform.settings.iter().filter(|setting| match setting.kind {
        SettingKind::PublicKey | SettingKind::SecretKey | SettingKind::SecretFiles => true,
        SettingKind::Tree { secrets, publics } => !(secrets.is_empty() && publics.is_empty()),
        _ => false,
    })
}

/// The value of a setting.
pub(super) fn value<'s>(settings: &'s Settings, name: &str) -> Option<&'s SettingValue> {
    settings.values().find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Every secret of these settings, at most [`SECRETS_MAX`].
pub(super) fn secrets(platform: &Platform, settings: &Settings) -> Vec<Secret> {
    let mut found = Vec::new();
    for setting in key_settings(platform) {
        let name = setting.name;
        let secret =
            |place, label, bytes: &Zeroizing<Vec<u8>>| Secret { setting: name, label, place, bytes: bytes.clone() };
        match (setting.kind, value(settings, name)) {
            (SettingKind::SecretKey, Some(SettingValue::Key(bytes))) => found.push(secret(0, name.to_owned(), bytes)),
            (SettingKind::SecretFiles, Some(SettingValue::Keys(keys))) => {
                let each = keys.iter().enumerate();
                found.extend(each.map(|(place, bytes)| secret(place, settings.key_label(name, place), bytes)));
            }
            (SettingKind::Tree { .. }, Some(SettingValue::Tree(tree))) => {
                let mut inside = Vec::new();
                of_tree(tree, &mut inside);
                let each = inside.into_iter().enumerate();
                found.extend(each.map(|(place, bytes)| secret(place, format!("{name}[{place}]"), bytes)));
            }
            _ => {}
        }
    }
    found.truncate(SECRETS_MAX);
    found
}

fn of_tree<'t>(tree: &'t Tree, found: &mut Vec<&'t Zeroizing<Vec<u8>>>) {
    match tree {
        Tree::Secret(bytes) => found.push(bytes),
        Tree::List(items) => items.iter().for_each(|item| of_tree(item, found)),
        Tree::Table(pairs) => pairs.iter().for_each(|(_, value)| of_tree(value, found)),
        Tree::Text(_) | Tree::Number(_) | Tree::Flag(_) => {}
    }
}

impl Secret {
    /// The settings with other bytes in this place.
    pub(super) fn replaced(&self, settings: &Settings, bytes: &[u8]) -> Settings {
        let new = Zeroizing::new(bytes.to_vec());
        let value = match value(settings, self.setting) {
            Some(SettingValue::Keys(keys)) => {
                let mut keys = keys.clone();
                if let Some(key) = keys.get_mut(self.place) {
                    *key = new;
                }
                SettingValue::Keys(keys)
            }
            Some(SettingValue::Tree(tree)) => {
                let mut tree = tree.clone();
                let mut before = self.place;
                replace_in_tree(&mut tree, &mut before, &new);
                SettingValue::Tree(tree)
            }
            _ => SettingValue::Key(new),
        };
        settings.clone().with(self.setting, value)
    }
}

/// Puts bytes in the place of one secret. `before` counts down the secrets that stand before it.
fn replace_in_tree(tree: &mut Tree, before: &mut usize, new: &Zeroizing<Vec<u8>>) -> bool {
    match tree {
        Tree::Secret(bytes) if *before == 0 => {
            bytes.clone_from(new);
            true
        }
        Tree::Secret(_) => {
            *before -= 1;
            false
        }
        Tree::List(items) => items.iter_mut().any(|item| replace_in_tree(item, before, new)),
        Tree::Table(pairs) => pairs.iter_mut().any(|(_, value)| replace_in_tree(value, before, new)),
        Tree::Text(_) | Tree::Number(_) | Tree::Flag(_) => false,
    }
}

/// Whether two values are the same key material.
pub(super) fn is_same(one: &SettingValue, other: &SettingValue) -> bool {
    match (one, other) {
        (SettingValue::Key(one), SettingValue::Key(other)) => one == other,
        (SettingValue::Keys(one), SettingValue::Keys(other)) => one == other,
        (SettingValue::Tree(one), SettingValue::Tree(other)) => is_same_tree(one, other),
        _ => false,
    }
}

fn is_same_tree(one: &Tree, other: &Tree) -> bool {
    match (one, other) {
        (Tree::Secret(one), Tree::Secret(other)) => one == other,
        (Tree::Text(one), Tree::Text(other)) => one == other,
        (Tree::Number(one), Tree::Number(other)) => one == other,
        (Tree::Flag(one), Tree::Flag(other)) => one == other,
        (Tree::List(one), Tree::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same_tree(one, other))
        }
        (Tree::Table(one), Tree::Table(other)) => {
            let is_pair = |((one_name, one), (other_name, other)): (&(String, Tree), &(String, Tree))| {
                one_name == other_name && is_same_tree(one, other)
            };
            one.len() == other.len() && one.iter().zip(other).all(is_pair)
        }
        _ => false,
    }
}

/// Own settings with another channel's material in one setting, and with what belongs to that material: an id that goes
/// by the setting's name. Nothing when the other has none.
pub(super) fn with_one(own: &Settings, theirs: &Settings, name: &'static str) -> Option<Settings> {
    value(theirs, name)?;
    let belongs = |(known, value): &(&'static str, &SettingValue)| {
        let is_material = matches!(value, SettingValue::Key(_) | SettingValue::Keys(_));
        *known == name || !is_material && known.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'))
    };
    let empty = Settings::new(own.environment);
    let only = theirs.values().filter(belongs).fold(empty, |only, (known, value)| only.with(known, value.clone()));
    Some(own.clone().overlaid(&only))
}

/// Own settings with all key material of another channel of the same platform, and with none of their own.
pub(super) fn with_all(platform: &Platform, own: &Settings, theirs: &Settings) -> Settings {
    let bare = key_settings(platform).fold(own.clone(), |left, setting| left.without(setting.name));
    key_settings(platform).fold(bare, |all, setting| with_one(&all, theirs, setting.name).unwrap_or(all))
}
