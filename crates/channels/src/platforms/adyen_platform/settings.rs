//! What a merchant configures for an endpoint of a platform.

use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::platforms::adyen::settings::{KEY, KEY_FILES, KEY_FILES_HELP, KEY_HELP, keys};
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::hmac::HmacKey;

pub(super) const ACCOUNT: &str = "balance_platform";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: ACCOUNT,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "your balance platform's id, as `data.balancePlatform` in every webhook shows it; Customer Area: the \
                 account switcher at the top. Webhooks of another one are held",
            zh: "您的 balance platform 编号，即每条通知中的 `data.balancePlatform`；见 Customer Area 顶部的账户切换。\
                 其他平台的通知会被挂起",
        },
        example: "ExamplePlatform1",
    },
    Setting {
        name: KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: KEY_HELP,
        example: "adyen_platform_hmac_key",
    },
    Setting {
        name: KEY_FILES,
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: KEY_FILES_HELP,
        example: "[\"keys/adyen_platform_hmac_new\", \"keys/adyen_platform_hmac_old\"]",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The balance platform.
    pub(super) account: String,
    /// What proves a message; never empty.
    pub(super) keys: Vec<HmacKey>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let account = settings.required_text(ACCOUNT)?.trim();
        let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if account.len() > NAME_BYTES_MAX || !account.bytes().all(is_right) {
            return Err(SettingsError::new(ACCOUNT, "malformed_id"));
        }
        Ok(Self { environment: settings.environment, account: account.to_owned(), keys: keys(settings)? })
    }
}
