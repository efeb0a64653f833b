//! The other side of a preset: its own recipe, told with throw-away keys and an invented merchant.

use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Preset;
use crate::channel::{HttpAnswer, HttpAsk};
use crate::model::{Environment, EventKind, RawRequest};
use crate::platforms::custom::{self, simulate::names_merchant, simulate::side_of};
use crate::settings::{SettingValue, Settings, SettingsError};
use crate::simulate::{ApiConduct, ApiOffice, Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

/// Digits of the key that is shown when the platform is asked. A platform that signs with a pair is not asked.
const API_KEY_DIGITS: usize = 64;

/// What is said of a preset's messages, made once: it lives as long as the program.
#[derive(Debug, Default)]
pub(super) struct Told {
    stories: OnceLock<&'static [EventKind]>,
}

impl Preset {
    /// Makes callbacks with a channel's own secret.
    ///
    /// # Errors
    /// [`SettingsError`] as for [`Preset::build`].
    pub fn mirror(&self, settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
        custom::simulate::mirror(&self.filled(settings)?)
    }

    /// The platform with fresh keys and an invented merchant.
    ///
    /// # Panics
    /// When its own keys are none of its recipe: a test makes the side of each preset.
    pub fn other_side(&'static self) -> Box<dyn OtherSide> {
        let keys = self.side("1001").export();
        Box::new(self.side_with(&keys).expect("its own keys"))
    }

    /// The platform with these keys, from which the merchant's account is made as well.
    fn side_with(&'static self, keys: &[u8]) -> Result<Side, String> {
        let mut side = self.side(&self.merchant(keys));
        let inner = match self.recipe.pair_word() {
            Some(word) => format!("{word} {} {}", STANDARD.encode(keys), "0".repeat(API_KEY_DIGITS)).into_bytes(),
            None => keys.to_vec(),
        };
        side.inner.import(&inner)?;
        Ok(side)
    }

    fn side(&'static self, account: &str) -> Side {
        let example = |name: &str| self.settings.iter().find(|one| one.name == name).map_or("", |one| one.example);
        let base = self.recipe_for(Environment::Live, account, |name| Ok(example(name).to_owned()));
        let base = base.expect("every value has an example");
        Side { preset: self, inner: side_of(self.kind, base), account: account.to_owned() }
    }

    /// The example's account with other digits at its end.
    fn merchant(&self, keys: &[u8]) -> String {
        let random = digest(&SHA256, keys);
        let example = self.settings.iter().find(|setting| setting.name == "account").map_or("", |one| one.example);
        let stem = example.trim_end_matches(|c: char| c.is_ascii_digit());
        let digit = |byte: &u8| char::from(b'1' + byte % 9);
        let digits: String = random.as_ref().iter().map(digit).take(example.len() - stem.len()).collect();
        format!("{stem}{digits}")
    }

    /// The settings of a channel of this kind among those of the configured platform.
    fn own(&self, account: &str, written: Vec<WrittenSetting>) -> Vec<WrittenSetting> {
        let text = |name: &'static str, text: &str| WrittenSetting {
            name,
            value: SettingValue::Text(text.to_owned()),
            file_name: None,
        };
        let is_key = |name: &str| self.recipe.settings().contains(&name);
        let mut keys: Vec<WrittenSetting> = written.into_iter().filter(|one| is_key(one.name)).collect();
        let mut own = Vec::new();
        for setting in self.settings {
            match keys.iter().position(|key| key.name == setting.name) {
                Some(at) => own.push(keys.remove(at)),
                None if setting.name == "account" => own.push(text(setting.name, account)),
                None if is_key(setting.name) => {}
                None => own.push(text(setting.name, setting.example)),
            }
        }
        own
    }
}

/// One merchant's platform.
struct Side {
    preset: &'static Preset,
    inner: Box<dyn OtherSide>,
    account: String,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        let written = self.written_settings();
        written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        self.preset.own(&self.account, self.inner.written_settings())
    }

    fn stories(&self) -> &'static [EventKind] {
        self.preset.told.stories.get_or_init(|| {
            let mut stories = self.inner.stories().to_vec();
            // What a merchant tries first.
            stories.sort_by_key(|kind| *kind != EventKind::PaymentSucceeded);
            stories.leak()
        })
    }

    fn callback(&self, story: &Story) -> Genuine {
        self.inner.callback(story)
    }

    /// Of a pair, the private half alone, as other programs read it.
    fn export(&self) -> Vec<u8> {
        let exported = self.inner.export();
        if self.preset.recipe.pair_word().is_none() {
            return exported;
        }
        let text = String::from_utf8_lossy(&exported).into_owned();
        text.split(' ').nth(1).and_then(|key| STANDARD.decode(key).ok()).unwrap_or(exported)
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        *self = self.preset.side_with(exported)?;
        Ok(())
    }

    fn names_merchant(&self) -> bool {
        let filled = self.preset.filled(&self.settings());
        filled.and_then(|settings| names_merchant(&settings)).unwrap_or(true)
    }

    fn states_amounts(&self) -> bool {
        self.preset.recipe.states_amounts()
    }

    fn api_office(&self) -> Option<Box<dyn ApiOffice>> {
        let inner = self.inner.api_office()?;
        Some(Box::new(Office { preset: self.preset, inner, account: self.account.clone() }))
    }
}

/// The part of it that answers questions.
struct Office {
    preset: &'static Preset,
    inner: Box<dyn ApiOffice>,
    account: String,
}

impl ApiOffice for Office {
    fn written_settings(&self, base: &str) -> Vec<WrittenSetting> {
        self.preset.own(&self.account, self.inner.written_settings(base))
    }

    fn stories(&self) -> &'static [EventKind] {
        self.inner.stories()
    }

    fn hint(&self, story: &Story) -> RawRequest {
        self.inner.hint(story)
    }

    fn cover(&self) -> Cover {
        self.inner.cover()
    }

    fn answer(&self, ask: &HttpAsk, conduct: ApiConduct) -> HttpAnswer {
        self.inner.answer(ask, conduct)
    }
}
