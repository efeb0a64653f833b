//! What a merchant configures for a channel of the account generation, and the checks that make it a channel or
//! refuse it.

use super::super::accounts;
use super::super::lianlian::{OWN_KEY_SETTING, PARTNER_SETTING};
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::plain_rsa::PlainRsa;

const KEY: &str = "accp_public_key";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    PARTNER_SETTING,
    Setting {
        name: KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "LianLian's public key of the account platform (账户+), from its integration package; not that of the classic \
                 interface, and not your own",
            zh: "连连账户+平台公钥,在账户+接入资料包中取得;不是经典接口的银通公钥,也不是商户自己的公钥",
        },
        example: "lianlian_accp_public.pem",
    },
    OWN_KEY_SETTING,
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's numbers; never empty.
    pub(super) partners: Vec<String>,
    /// What proves a message.
    pub(super) key: PlainRsa,
    /// Public facts about the key, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let partners = accounts::ids(settings, PARTNER_SETTING.name)?;
        let key = accounts::platform_key(settings, KEY, OWN_KEY_SETTING.name)?;
        let notes = vec![accounts::key_note(KEY, &key)];
        let key = PlainRsa::new(KEY, &key, KEY)?;
        Ok(Self { environment: settings.environment, partners, key, notes })
    }
}
