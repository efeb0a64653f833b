//! Platforms that need no code: each is one file in `presets/` of this crate, in the language of the configured
//! platform, with a head that says what people must know. `build.rs` lists the files.
//!
//! A channel of such a kind is the configured platform with the file's recipe: the head's settings are filled into
//! it, and nothing else is different. So the file, copied into a configuration as [`Preset::as_channel`] writes it,
//! behaves identically, facts and their names included.

mod file;
mod head;
#[cfg(feature = "simulate")]
mod simulate;
#[cfg(test)]
mod tests;
mod text;

use std::sync::LazyLock;
use std::time::Duration;

use self::file::Recipe;
use self::head::Head;
use super::{Platform, custom};
use crate::channel::Channel;
use crate::model::Environment;
use crate::settings::tree::Tree;
use crate::settings::{Setting, SettingKind, SettingValue, Settings, SettingsError, Text};

/// Why a preset's file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("preset `{kind}`: {why}")]
pub struct PresetError {
    /// The file's name, which is its kind.
    pub kind: String,
    /// What is wrong, and where.
    pub why: String,
}

/// A preset, read.
#[derive(Debug)]
pub struct Preset {
    kind: &'static str,
    /// The whole file.
    text: String,
    head: Head,
    recipe: Recipe,
    /// The settings of its channels.
    settings: &'static [Setting],
    /// The recipe's window.
    freshness: Option<Duration>,
    #[cfg(feature = "simulate")]
    told: simulate::Told,
}

/// A preset's platform before its text is read: the functions know by their number which one they are of.
struct Shipped {
    kind: &'static str,
    text: &'static str,
    build: fn(&Settings) -> Result<Box<dyn Channel>, SettingsError>,
    #[cfg(feature = "simulate")]
    simulate: fn() -> Box<dyn crate::simulate::OtherSide>,
    #[cfg(feature = "simulate")]
    mirror: super::MakeMirror,
}

impl Shipped {
    const fn new<const INDEX: usize>(kind: &'static str, text: &'static str) -> Self {
        Self {
            kind,
            text,
            build: |settings| preset(INDEX).build(settings),
            #[cfg(feature = "simulate")]
            simulate: || preset(INDEX).other_side(),
            #[cfg(feature = "simulate")]
            mirror: |settings| preset(INDEX).mirror(settings),
        }
    }

    fn platform(&self, preset: &'static Preset) -> Platform {
        Platform {
            build: self.build,
            #[cfg(feature = "simulate")]
            simulate: self.simulate,
            #[cfg(feature = "simulate")]
            mirror: Some(self.mirror),
            ..preset.description()
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/presets.rs"));

/// The presets in the order of the list. A file that cannot be read does not come this far: a test reads them all.
static PRESETS: LazyLock<Vec<Preset>> = LazyLock::new(|| {
    let read = |shipped: &Shipped| Preset::read(shipped.kind, shipped.text).unwrap_or_else(|error| panic!("{error}"));
    SHIPPED.iter().map(read).collect()
});

fn preset(index: usize) -> &'static Preset {
    &PRESETS[index]
}

/// Every preset as a platform.
pub(super) fn shipped() -> impl Iterator<Item = &'static Platform> {
    SHIPPED.iter().zip(PRESETS.iter()).map(|(shipped, preset)| &*Box::leak(Box::new(shipped.platform(preset))))
}

/// The preset of this kind.
pub fn by_kind(kind: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|preset| preset.kind == kind)
}

impl Preset {
    /// Reads a file. Its texts live as long as the program: a program has few presets, and reads each once.
    ///
    /// # Errors
    /// [`PresetError`] for whatever would not make a channel.
    pub fn read(kind: &str, text: &str) -> Result<Self, PresetError> {
        let error = |why: String| PresetError { kind: kind.to_owned(), why };
        let (head, recipe) = file::read(text).map_err(error)?;
        let settings = head.settings(&recipe);
        let kind = &*kind.to_owned().leak();
        let preset = Self {
            kind,
            text: text.to_owned(),
            head,
            recipe,
            settings: settings.leak(),
            freshness: None,
            #[cfg(feature = "simulate")]
            told: simulate::Told::default(),
        };
        let freshness = preset.check().map_err(error)?.freshness();
        Ok(Self { freshness, ..preset })
    }

    /// Builds a channel of examples: what is said about money in the file must hold without a merchant.
    fn check(&self) -> Result<Box<dyn Channel>, String> {
        let secret = SettingValue::Key(self.recipe.secret(&"0".repeat(file::SECRET_DIGITS)).into_bytes().into());
        let settings = self.settings.iter().fold(Settings::new(Environment::Live), |all, setting| match setting.kind {
            SettingKind::Text => all.with(setting.name, SettingValue::Text(setting.example.to_owned())),
            SettingKind::SecretKey => all.with(setting.name, secret.clone()),
            _ => all,
        });
        self.build(&settings).map_err(|error| error.to_string())
    }

    /// Its word in `kind = "…"`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Everything that the file says for people; the functions are those of an empty platform.
    fn description(&self) -> Platform {
        Platform {
            kind: self.kind,
            settings: self.settings,
            name: self.head.name,
            ladder: self.head.ladder,
            patience: self.head.patience,
            freshness: self.freshness,
            unconfirmed: self.head.unconfirmed,
            source_ranges: &[],
            mirror: None,
            ..custom::PLATFORM
        }
    }

    /// A channel of this platform.
    ///
    /// # Errors
    /// [`SettingsError`] of one of the head's settings.
    pub fn build(&self, settings: &Settings) -> Result<Box<dyn Channel>, SettingsError> {
        custom::build(&self.filled(settings)?)
    }

    /// The settings of the configured platform: the file's recipe with a merchant's values.
    fn filled(&self, given: &Settings) -> Result<Settings, SettingsError> {
        let mut values = Vec::new();
        for value in self.head.values {
            values.push((value.name.to_owned(), given.required_text(value.name)?.to_owned()));
        }
        let tree = |tree: &Tree| SettingValue::Tree(tree.clone());
        let mut filled = Settings::new(given.environment)
            .with("platform", SettingValue::Text(self.kind.to_owned()))
            .with("account", SettingValue::Text(given.required_text("account")?.to_owned()))
            .with("values", SettingValue::Pairs(values))
            .with("verify", tree(&self.recipe.verify))
            .with("event", tree(&self.recipe.event));
        if let Some(reply) = &self.recipe.reply {
            filled = filled.with("reply", tree(reply));
        }
        let secret = given.key("secret");
        if self.recipe.has_key_id() && given.tree("key").is_none() {
            let secret = secret.ok_or(SettingsError::new("secret", "missing"))?;
            let id = given.required_text(KEY_ID)?;
            let key = [("id", Tree::text(id)), ("secret", Tree::Secret(secret.to_vec().into()))];
            return Ok(filled.with("key", SettingValue::Tree(Tree::table(key))));
        }
        if let Some(secret) = secret {
            filled = filled.with("secret", SettingValue::Key(secret.to_vec().into()));
        }
        if let Some(secrets) = given.keys("secret_files") {
            filled = filled.with("secret_files", SettingValue::Keys(secrets.to_vec()));
        }
        if let Some(key) = given.tree("key") {
            filled = filled.with("key", tree(key));
        }
        Ok(filled)
    }
}

/// The setting that names the only secret, where messages name it.
const KEY_ID: &str = "key_id";

/// A text of a file, in both languages.
fn leaked(en: &str, zh: &str) -> Text {
    Text { en: en.to_owned().leak(), zh: zh.to_owned().leak() }
}
