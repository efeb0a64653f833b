//! What a merchant configures for a jeepay channel, and the checks that make it a channel or refuse it.

use super::super::joined::{OWN_SETTING, OwnParameters, id, secret};
use super::PROTOCOL;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};

/// Longest merchant number or application id; real ones have 11 to 24 characters.
const ID_BYTES_MAX: usize = 64;

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "mch_no",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (mchNo, begins with M), shown in jeepay's merchant system",
            zh: "商户号（mchNo，以 M 开头），见计全支付商户系统",
        },
        example: "M1621873433953",
    },
    Setting {
        name: "app_id",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "application id (appId, 24 characters), under \"applications\" in the merchant system",
            zh: "应用 ID（appId,24 位），见商户系统的「应用管理」",
        },
        example: "60cc09bce4b0f1c0b83761c9",
    },
    Setting {
        name: "app_secret",
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "the application's secret (appSecret), shown once when the application is made or edited; each application has \
                 its own",
            zh: "应用私钥（appSecret），在「应用管理」新建或修改应用时设置；每个应用各不相同",
        },
        example: "jeepay_app_secret",
    },
    OWN_SETTING,
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant.
    pub(super) mch_no: String,
    /// The application.
    pub(super) app_id: String,
    /// The application's secret.
    pub(super) secret: SecretDigest,
    /// The merchant's own parameters.
    pub(super) own: OwnParameters,
}

impl Config {
    /// Checks the settings. Fails closed: no secret, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        const SECRET: &str = "app_secret";
        let secret = secret(settings, SECRET)?
            .and_then(|secret| SecretDigest::new(secret, DigestHash::Md5, HexCase::Upper, SECRET))
            .ok_or(SettingsError::new(SECRET, "missing"))?;
        Ok(Self {
            environment: settings.environment,
            mch_no: id(settings, "mch_no", ID_BYTES_MAX)?,
            app_id: id(settings, "app_id", ID_BYTES_MAX)?,
            secret,
            own: OwnParameters::read(settings, &PROTOCOL)?,
        })
    }
}
