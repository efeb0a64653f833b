//! The other side of a preset: its own recipe, told with a throw-away secret and an invented merchant.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::{KEY_ID, Preset};
use crate::model::{Environment, EventKind};
use crate::settings::{SettingKind, SettingValue, Settings, SettingsError};
use crate::signature::key::hex;
use crate::simulate::{Cover, Genuine, Mirror, OtherSide, Story, WrittenSetting};

use super::file::SECRET_DIGITS;
use crate::platforms::custom;

/// What is said of a preset's messages, made once: it lives as long as the program.
#[derive(Debug, Default)]
pub(super) struct Told {
    stories: OnceLock<&'static [EventKind]>,
    cover: OnceLock<Cover>,
    files: OnceLock<&'static str>,
}

impl Preset {
    /// Makes callbacks with a channel's own secret.
    ///
    /// # Errors
    /// [`SettingsError`] as for [`Preset::build`].
    pub fn mirror(&self, settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
        custom::mirror(&self.filled(settings)?)
    }

    /// The platform with a fresh secret and an invented merchant.
    pub fn other_side(&'static self) -> Box<dyn OtherSide> {
        let mut random = [0; SECRET_DIGITS / 2];
        aws_lc_rs::rand::fill(&mut random).expect("the system has random bytes");
        let digits = hex(&random);
        let account = self.merchant(&random);
        Box::new(Side::new(self, account, self.recipe.secret(&digits)))
    }

    /// The example's account with other digits at its end.
    fn merchant(&self, random: &[u8]) -> String {
        let example = self.settings.iter().find(|setting| setting.name == "account").map_or("", |one| one.example);
        let stem = example.trim_end_matches(|c: char| c.is_ascii_digit());
        let digit = |byte: &u8| char::from(b'0' + byte % 10);
        let digits: String = random.iter().map(digit).take(example.len() - stem.len()).collect();
        format!("{stem}{digits}")
    }
}

/// One merchant's platform.
struct Side {
    preset: &'static Preset,
    account: String,
    secret: Zeroizing<String>,
    mirror: Box<dyn Mirror>,
}

impl Side {
    fn new(preset: &'static Preset, account: String, secret: String) -> Self {
        let secret = Zeroizing::new(secret);
        let settings = collected(written(preset, &account, &secret));
        let mirror = preset.mirror(&settings).expect("a preset that was read builds its channel");
        Self { preset, account, secret, mirror }
    }
}

fn collected(written: Vec<WrittenSetting>) -> Settings {
    written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
}

fn written(preset: &'static Preset, account: &str, secret: &str) -> Vec<WrittenSetting> {
    let file = *preset.told.files.get_or_init(|| format!("{}_secret", preset.kind).leak());
    let write = |setting: &crate::settings::Setting| {
        let text = |text: &str| {
            Some(WrittenSetting { name: setting.name, value: SettingValue::Text(text.to_owned()), file_name: None })
        };
        match setting.kind {
            SettingKind::Text if setting.name == "account" => text(account),
            SettingKind::Text if setting.name == KEY_ID => text(&format!("key-{account}")),
            SettingKind::Text => text(setting.example),
            SettingKind::SecretKey => Some(WrittenSetting {
                name: setting.name,
                value: SettingValue::Key(Zeroizing::new(secret.as_bytes().to_vec())),
                file_name: Some(file),
            }),
            _ => None,
        }
    };
    preset.settings.iter().filter_map(write).collect()
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        collected(self.written_settings())
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        written(self.preset, &self.account, &self.secret)
    }

    fn stories(&self) -> &'static [EventKind] {
        self.preset.told.stories.get_or_init(|| {
            let mut stories = self.mirror.stories();
            // What a merchant tries first.
            stories.sort_by_key(|kind| *kind != EventKind::PaymentSucceeded);
            stories.leak()
        })
    }

    fn callback(&self, story: &Story) -> Genuine {
        let cover = self.preset.told.cover.get_or_init(|| {
            let filled = self.preset.filled(&self.settings());
            filled.and_then(|settings| custom::cover(&settings)).expect("a preset that was read builds its channel")
        });
        Genuine { request: self.mirror.callback(story), cover: cover.clone() }
    }

    fn export(&self) -> Vec<u8> {
        format!("{}\n{}", self.account, *self.secret).into_bytes()
    }

    fn import(&mut self, exported: &[u8]) -> Result<(), String> {
        let prefix = self.preset.recipe.secret_prefix();
        let text = std::str::from_utf8(exported).map_err(|_| "no text".to_owned())?;
        let (account, secret) = text.split_once('\n').ok_or("no two lines")?;
        let digits = secret.strip_prefix(prefix).unwrap_or_default();
        let is_secret = digits.len() == SECRET_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_secret || account.is_empty() || !account.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("not an account and {SECRET_DIGITS} hexadecimal digits"));
        }
        *self = Self::new(self.preset, account.to_owned(), secret.to_owned());
        Ok(())
    }

    fn names_merchant(&self) -> bool {
        let filled = self.preset.filled(&self.settings());
        filled.and_then(|settings| custom::names_merchant(&settings)).unwrap_or(true)
    }
}
