//! Platforms that need no code: each is one file in `presets/` of this crate, in the language of the configured
//! platform, with a head that says what people must know. `build.rs` lists the files.
//!
//! A channel of such a kind is the configured platform with the file's recipe: the head's settings are filled into
//! it, and nothing else is different. So the file, copied into a configuration as [`Preset::as_channel`] writes it,
//! behaves identically, facts and their names included.

mod examples;
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
use crate::signature::ed25519::read_public;

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
            mirror: preset.recipe.has_secret().then_some(self.mirror),
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
        let settings = head.settings(&recipe).map_err(error)?;
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

    /// Builds a channel of examples: what is said about money in the file must hold without a merchant. Whatever way of
    /// writing a public key the recipe wants, one of the examples has it.
    fn check(&self) -> Result<Box<dyn Channel>, String> {
        let with_key = |public: &str| {
            let settings = self.settings.iter().fold(Settings::new(Environment::Live), |all, setting| {
                let key = |material: &[u8]| SettingValue::Key(material.to_vec().into());
                match (setting.kind, setting.name) {
                    // It takes the place of the platform's own address.
                    (_, "api_base") => all,
                    (SettingKind::Text, name) => all.with(name, SettingValue::Text(setting.example.to_owned())),
                    (SettingKind::SecretKey, name) => all.with(name, key(examples::SECRET)),
                    (SettingKind::PublicKey, name) => all.with(name, key(public.as_bytes())),
                    _ => all,
                }
            });
            self.build(&settings)
        };
        let is_of_key =
            |tried: &Result<_, SettingsError>| tried.as_ref().is_err_and(|error| error.setting == "public_key");
        let mut tried = examples::PUBLIC.into_iter().map(with_key);
        let found = tried.find(|tried| !is_of_key(tried));
        found.unwrap_or_else(|| with_key(examples::PUBLIC[0])).map_err(|error| error.to_string())
    }

    /// Its word in `kind = "…"`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Everything that the file says for people. The functions are those of the configured platform: whoever makes a
    /// platform of a file puts the file's own in their place.
    pub fn description(&self) -> Platform {
        Platform {
            kind: self.kind,
            settings: self.settings,
            name: self.head.name,
            ladder: self.head.ladder,
            patience: self.head.patience,
            freshness: self.freshness,
            unconfirmed: self.head.unconfirmed,
            source_ranges: &[],
            #[cfg(feature = "simulate")]
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
        let given = &custom::newest_keys(given);
        let account = given.required_text("account")?;
        let mut filled =
            self.recipe_for(given.environment, account, |value| given.required_text(value).map(str::to_owned))?;
        // Whatever a public key is written in, a private one in its place is told by its own writing.
        if let Some(material) = given.key("public_key") {
            let is_private = read_public("public_key", material).is_err_and(|error| error.word == "private_key_given");
            if is_private || material.trim_ascii().starts_with(SECRET_HALF) {
                return Err(SettingsError::new("public_key", "private_key_given"));
            }
        }
        for (name, value) in given.values() {
            if self.recipe.settings().contains(&name) {
                filled = filled.with(name, value.clone());
            }
        }
        Ok(filled.with_marks_of(given))
    }

    /// The same without any key. `value` gives what a merchant says.
    fn recipe_for(
        &self,
        environment: Environment,
        account: &str,
        value: impl Fn(&'static str) -> Result<String, SettingsError>,
    ) -> Result<Settings, SettingsError> {
        let pair = |one: &head::Value| Ok((one.name.to_owned(), value(one.name)?));
        let values = self.head.values.iter().map(pair).collect::<Result<_, SettingsError>>()?;
        let Recipe { verify, event, fetch, reply } = &self.recipe;
        let parts =
            [("verify", Some(verify)), ("event", Some(event)), ("fetch", fetch.as_ref()), ("reply", reply.as_ref())];
        let settings = Settings::new(environment)
            .with("platform", SettingValue::Text(self.kind.to_owned()))
            .with("account", SettingValue::Text(account.to_owned()))
            .with("values", SettingValue::Pairs(values));
        let with = |all: Settings, (name, part): (&'static str, Option<&Tree>)| match part {
            Some(part) => all.with(name, SettingValue::Tree(part.clone())),
            None => all,
        };
        let settings = parts.into_iter().fold(settings, with);
        Ok(match self.head.sandbox_api.filter(|_| environment == Environment::Sandbox) {
            Some(api) => settings.with("api_base", SettingValue::Text(api.to_owned())),
            None => settings,
        })
    }
}

/// What stands before the private half of a key whose public half begins with `whpk_`.
const SECRET_HALF: &[u8] = b"whsk_";

/// A text of a file, in both languages.
fn leaked(en: &str, zh: &str) -> Text {
    Text { en: en.to_owned().leak(), zh: zh.to_owned().leak() }
}
