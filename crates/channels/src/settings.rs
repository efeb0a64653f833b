//! The settings of a platform or a target: described by itself, resolved by the configuration (which reads the
//! files), and handed over as values. Errors name the setting, so that the configuration can point at
//! its line.

pub mod marks;
pub mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::model::Environment;
pub use marks::KeyMark;
use tree::{Step, Tree};

/// A text in both languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// English.
    pub en: &'static str,
    /// 中文.
    pub zh: &'static str,
}

/// A setting as a platform describes it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The key in the file.
    pub name: &'static str,
    /// What its value is.
    pub kind: SettingKind,
    /// Whether the channel cannot exist without it. Conditions between settings are checked by the
    /// platform when it builds the channel.
    pub is_required: bool,
    /// What it is, and where the merchant finds it in the platform's own backend.
    pub help: Text,
    /// A value for the commented example; for key material, the file name.
    pub example: &'static str,
}

/// What a setting's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A short text.
    Text,
    /// The address of a service, `scheme://…`. Passwords and tokens often stand in such addresses, so only the
    /// machine in it is ever shown.
    Address,
    /// A text, or a list of texts.
    Texts,
    /// True or false.
    Flag,
    /// A list of words from a closed set.
    Words(&'static [&'static str]),
    /// A whole number.
    Number,
    /// A duration such as `500ms`, `3s`, `10m`, `2h`, `90d`.
    Duration,
    /// A list of durations.
    Durations,
    /// An inline table of texts, numbers and flags, given as texts; or one bare text, given as the pair `("", text)`.
    Pairs,
    /// Key material that may be seen by anyone: `NAME` as text, or `NAME_file`, `NAME_env`, `NAME_credential`.
    PublicKey,
    /// Key material that nobody may see: the same four ways, and a warning for the literal one.
    SecretKey,
    /// A list of files, each with key material that nobody may see.
    SecretFiles,
    /// A table, or a list of tables, handed over as it stands; what is in it, the platform reads by itself.
    Tree {
        /// Names under which secret key material stands in it, each given in one of the four ways.
        secrets: &'static [&'static str],
        /// Names under which public key material stands in it, each given in one of the four ways.
        publics: &'static [&'static str],
    },
}

/// A resolved value.
#[derive(Clone)]
pub enum SettingValue {
    /// [`SettingKind::Text`].
    Text(String),
    /// [`SettingKind::Address`].
    Address(String),
    /// [`SettingKind::Texts`] and [`SettingKind::Words`].
    Texts(Vec<String>),
    /// [`SettingKind::Flag`].
    Flag(bool),
    /// [`SettingKind::Number`].
    Number(u64),
    /// [`SettingKind::Duration`].
    Duration(Duration),
    /// [`SettingKind::Durations`].
    Durations(Vec<Duration>),
    /// [`SettingKind::Pairs`], in the order of the file.
    Pairs(Vec<(String, String)>),
    /// [`SettingKind::PublicKey`] and [`SettingKind::SecretKey`]: the bytes of the file or text.
    Key(Zeroizing<Vec<u8>>),
    /// [`SettingKind::SecretFiles`]: the bytes of each file.
    Keys(Vec<Zeroizing<Vec<u8>>>),
    /// [`SettingKind::Tree`].
    Tree(Tree),
}

impl fmt::Debug for SettingValue {
    /// Shows no key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Address(text) => f.debug_tuple("Address").field(&machine(text)).finish(),
            Self::Texts(texts) => f.debug_tuple("Texts").field(texts).finish(),
            Self::Flag(flag) => f.debug_tuple("Flag").field(flag).finish(),
            Self::Number(number) => f.debug_tuple("Number").field(number).finish(),
            Self::Duration(duration) => f.debug_tuple("Duration").field(duration).finish(),
            Self::Durations(durations) => f.debug_tuple("Durations").field(durations).finish(),
            // A merchant may pass a password on, so the values stay out.
            Self::Pairs(pairs) => f.debug_set().entries(pairs.iter().map(|(name, _)| name)).finish(),
            Self::Key(_) => f.write_str("Key(…)"),
            Self::Keys(keys) => write!(f, "Keys({})", keys.len()),
            Self::Tree(tree) => f.debug_tuple("Tree").field(tree).finish(),
        }
    }
}

/// All settings of one channel.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The channel's environment.
    pub environment: Environment,
    values: BTreeMap<&'static str, SettingValue>,
    marks: BTreeMap<(&'static str, usize), KeyMark>,
    ended: BTreeSet<&'static str>,
    /// What came from the settings that were laid over others.
    laid_over: BTreeSet<&'static str>,
    /// Places of lists from which key material was taken because it has ended, as they were before.
    gaps: BTreeSet<(&'static str, usize)>,
}

impl Settings {
    /// For a target, which has no environment of its own: events carry theirs.
    pub fn without_environment() -> Self {
        Self::new(Environment::Live)
    }

    /// No values yet.
    pub fn new(environment: Environment) -> Self {
        let (values, marks) = (BTreeMap::new(), BTreeMap::new());
        let (ended, laid_over, gaps) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Self { environment, values, marks, ended, laid_over, gaps }
    }

    /// Adds a value that the configuration resolved.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: SettingValue) -> Self {
        self.values.insert(name, value);
        self
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// These settings, with those of `other` in place of their own.
    #[must_use]
    pub fn overlaid(mut self, other: &Self) -> Self {
        self.marks.retain(|(name, _), _| !other.values.contains_key(name));
        self.marks.extend(other.marks.iter().map(|(place, mark)| (*place, mark.clone())));
        self.values.extend(other.values.iter().map(|(name, value)| (*name, value.clone())));
        self.laid_over.extend(other.values.keys());
        self
    }

    /// Whether this setting was laid over others by [`Self::overlaid`].
    pub fn is_laid_over(&self, name: &str) -> bool {
        self.laid_over.contains(name)
    }

    /// The same without one setting.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.values.remove(name);
        self.marks.retain(|(marked, _), _| *marked != name);
        self
    }

    /// Everything that is set, by name.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &SettingValue)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// A text or an address, when it is there.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(SettingValue::Text(text) | SettingValue::Address(text)) => Some(text),
            _ => None,
        }
    }

    /// A text or an address, when it is there, without what nobody may see.
    pub fn shown(&self, name: &str) -> Option<String> {
        match self.values.get(name) {
            Some(SettingValue::Text(text)) => Some(text.clone()),
            Some(SettingValue::Address(text)) => Some(machine(text)),
            _ => None,
        }
    }

    /// Texts, when they are there.
    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.values.get(name) {
            Some(SettingValue::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// A flag; false when absent.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(SettingValue::Flag(true)))
    }

    /// A number, when it is there.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.values.get(name) {
            Some(SettingValue::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A duration, when it is there.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.values.get(name) {
            Some(SettingValue::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// Durations, when they are there.
    pub fn durations(&self, name: &str) -> Option<&[Duration]> {
        match self.values.get(name) {
            Some(SettingValue::Durations(durations)) => Some(durations),
            _ => None,
        }
    }

    /// Pairs, when they are there.
    pub fn pairs(&self, name: &str) -> Option<&[(String, String)]> {
        match self.values.get(name) {
            Some(SettingValue::Pairs(pairs)) => Some(pairs),
            _ => None,
        }
    }

    /// Key material, when it is there.
    pub fn key(&self, name: &str) -> Option<&[u8]> {
        match self.values.get(name) {
            Some(SettingValue::Key(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Several keys' material, when it is there.
    pub fn keys(&self, name: &str) -> Option<&[Zeroizing<Vec<u8>>]> {
        match self.values.get(name) {
            Some(SettingValue::Keys(keys)) => Some(keys),
            _ => None,
        }
    }

    /// A tree, when it is there.
    pub fn tree(&self, name: &str) -> Option<&Tree> {
        match self.values.get(name) {
            Some(SettingValue::Tree(tree)) => Some(tree),
            _ => None,
        }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// [`SettingsError`] with the word `missing`.
    pub fn required_text(&self, name: &'static str) -> Result<&str, SettingsError> {
        self.text(name).filter(|text| !text.trim().is_empty()).ok_or(SettingsError::new(name, "missing"))
    }

    /// A secret that is one line of visible text, without the line end that an editor leaves behind it; none when it is
    /// not configured.
    ///
    /// # Errors
    /// [`SettingsError`] with `missing` when it is empty, or `malformed` when blanks, control characters or another line are in it: what was
    /// copied with them is not what the platform has.
    pub fn secret_line(&self, name: &'static str) -> Result<Option<&[u8]>, SettingsError> {
        let Some(file) = self.key(name) else { return Ok(None) };
        let line = file.strip_suffix(b"\n").unwrap_or(file);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Err(SettingsError::new(name, "missing"));
        }
        if !line.iter().all(u8::is_ascii_graphic) {
            return Err(SettingsError::new(name, "malformed"));
        }
        Ok(Some(line))
    }

    /// The same, of `bytes_min` bytes or more: a shorter one could be found by trying.
    ///
    /// # Errors
    /// As [`Settings::secret_line`], and [`SettingsError`] with `too_short`.
    pub fn long_secret(&self, name: &'static str, bytes_min: usize) -> Result<Option<&[u8]>, SettingsError> {
        match self.secret_line(name)? {
            Some(secret) if secret.len() < bytes_min => {
                Err(SettingsError::new(name, "too_short").because(format!("{} < {bytes_min}", secret.len())))
            }
            secret => Ok(secret),
        }
    }
}

/// The machine in an address, without user, password, path and query.
fn machine(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return "…".to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let more = if matches!(path, "" | "/") { path } else { "/…" };
    format!("{scheme}://{host}{more}")
}

/// Why a channel cannot be built. Its text for people is in the catalogues under `setting.<word>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("setting `{}`: {word}{}", self.key(), detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
pub struct SettingsError {
    /// The setting's name.
    pub setting: &'static str,
    /// Where inside a [`SettingKind::Tree`]; empty for the setting as a whole.
    pub path: Vec<Step>,
    /// The stable word of what is wrong, one of [`SETTINGS_ERRORS`].
    pub word: &'static str,
    /// A value or a number that helps; never key material.
    pub detail: Option<String>,
}

/// Every word of [`SettingsError`]; the catalogues hold a text with a cure for each.
pub const SETTINGS_ERRORS: &[&str] = &[
    "missing",
    "either_or",
    "not_a_key",
    "private_key_given",
    "certificate_given",
    "not_a_certificate",
    "key_too_small",
    "wrong_algorithm",
    "empty_list",
    "malformed_id",
    "no_key_for_algorithm",
    "unknown_word",
    "malformed",
    "out_of_range",
    "relation",
    "own_public_key",
    "test_certificate",
    "several_keys",
    "no_private_key",
    "wrong_password",
    "unopened_pfx",
    "believed_key",
    "wrong_type",
    "unknown_key",
    "unknown_reference",
    "unbound_body",
    "unproven",
    "unowned",
    "extendable",
    "unkeyed",
    "not_signed",
    "not_separated",
    "too_short",
    "not_encoded",
    "not_offered",
    "never_matches",
    "bad_status",
    "reads_as_success",
    "not_supported",
];

impl SettingsError {
    /// Without detail. `word` is one of [`SETTINGS_ERRORS`].
    pub fn new(setting: &'static str, word: &'static str) -> Self {
        debug_assert!(SETTINGS_ERRORS.contains(&word), "`{word}` is not in SETTINGS_ERRORS");
        Self { setting, path: Vec::new(), word, detail: None }
    }

    /// At a place inside the setting's tree.
    #[must_use]
    pub fn at(mut self, path: Vec<Step>) -> Self {
        self.path = path;
        self
    }

    /// The setting with the path inside it: `verify.message`.
    pub fn key(&self) -> String {
        format!("{}{}", self.setting, tree::dotted(&self.path))
    }

    /// With detail; never key material.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_machine_is_shown() {
        for (address, shown) in [
            ("http://shop:3000", "http://shop:3000"),
            ("http://shop:3000/", "http://shop:3000/"),
            ("https://user:hunter2@shop.example.com/T0/hunter2?token=hunter2", "https://shop.example.com/…"),
            ("https://shop.example.com?token=hunter2", "https://shop.example.com/…"),
            ("https://a@b@shop#hunter2", "https://shop/…"),
            ("hunter2", "…"),
        ] {
            let settings = Settings::without_environment().with("url", SettingValue::Address(address.to_owned()));
            assert_eq!(settings.shown("url").as_deref(), Some(shown));
            assert_eq!(settings.text("url"), Some(address));
            assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
        }
    }
}
