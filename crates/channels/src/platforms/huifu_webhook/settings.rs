//! What a merchant configures for an endpoint of webhooks, and the checks that make it a channel or refuse it.

use super::super::accounts;
use super::super::huifu::HUIFU_ID_SETTING;
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};

/// Characters of an endpoint's key (Huifu 斗拱, "webhooks").
pub(super) const ENDPOINT_KEY_CHARS: usize = 32;

const KEY: &str = "endpoint_key";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    HUIFU_ID_SETTING,
    Setting {
        name: KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "the endpoint's own key, exactly 32 characters, from the Huifu console under webhooks, endpoint details; not an RSA key",
            zh: "终端密钥，正好 32 个字符，在汇付控台「Webhook / 端点详情」中查看；不是接口的 RSA 密钥",
        },
        example: "huifu_endpoint_key",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The accounts whose events these are; never empty.
    pub(super) huifu_ids: Vec<String>,
    /// What proves a message.
    pub(super) key: SecretDigest,
    /// Public facts about the key, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let huifu_ids = accounts::ids(settings, HUIFU_ID_SETTING.name)?;
        let missing = || SettingsError::new(KEY, "missing");
        let secret = settings.secret_line(KEY)?.ok_or_else(missing)?;
        if secret.len() != ENDPOINT_KEY_CHARS {
            let detail = format!("{} characters, not {ENDPOINT_KEY_CHARS}", secret.len());
            return Err(SettingsError::new(KEY, "out_of_range").because(detail));
        }
        let key = SecretDigest::new(secret, DigestHash::Md5, HexCase::Upper, KEY).ok_or_else(missing)?;
        let notes = vec![accounts::secret_note(KEY, "MD5")];
        Ok(Self { environment: settings.environment, huifu_ids, key, notes })
    }
}
