//! What a merchant configures for a Douyin Pay channel, and the checks that make it a channel or refuse it.

use crate::channel::{KeyNote, quote};
use crate::cipher::gcm::{Gcm, KEY_BYTES};
use crate::model::Environment;
use crate::platforms::douyin;
use crate::platforms::signed_body::keys::{Keys, certificates, is_issued_to};
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};

const CERTIFICATES: &str = "platform_certs";
const KEY: &str = "encrypt_key";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "mchid",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (mchid), shown in the Douyin Pay merchant platform under account information; messages \
                 for another one are held",
            zh: "商户号（mchid），见抖音支付商户平台「账户信息」；其他商户的通知会被挂起",
        },
        example: "7000000000000001",
    },
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "application ids bound to this merchant; messages for another one are held",
            zh: "与商户号绑定的应用 AppID，可填多个；其他应用的通知会被挂起",
        },
        example: "tt07e3715e98c9aac0",
    },
    Setting {
        name: KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "interface encryption key, exactly 32 characters, from the merchant platform under product center, key \
                 management",
            zh: "接口加密密钥，正好 32 个字符，在商户平台「产品中心 - 密钥管理」中设置",
        },
        example: "douyin_encrypt_key",
    },
    Setting {
        name: CERTIFICATES,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "Douyin Pay's platform certificates, one or more in one PEM file, from the merchant platform under key \
                 management; not the merchant's own certificate",
            zh: "抖音支付平台证书，可多个放在一个 PEM 文件里，在商户平台「密钥管理」中下载；不是商户证书",
        },
        example: "douyinpay_certs.pem",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The account whose keys these are.
    pub(super) mchid: String,
    /// Its applications; never empty.
    pub(super) app_ids: Vec<String>,
    /// What opens the resource.
    pub(super) cipher: Gcm,
    /// The certificates that prove a message; never empty.
    pub(super) keys: Keys,
    /// Public facts about the certificates, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let mchid = settings.required_text("mchid")?.trim().to_owned();
        if !douyin::is_id(&mchid) {
            return Err(SettingsError::new("mchid", "malformed_id").because(quote(&mchid)));
        }
        let app_ids = douyin::app_ids(settings, "appid")?;
        let cipher = cipher(settings)?;
        let mut notes = Vec::new();
        let keys = certificates(settings, CERTIFICATES, |one| is_issued_to(&mchid, one), &mut notes)?;
        if keys.is_empty() {
            return Err(SettingsError::new(CERTIFICATES, "missing"));
        }
        Ok(Self { environment: settings.environment, mchid, app_ids, cipher, keys: Keys::of(keys), notes })
    }
}

/// The text itself is the key; it is no hexadecimal and no base64 of one.
fn cipher(settings: &Settings) -> Result<Gcm, SettingsError> {
    let line = settings.secret_line(KEY)?.ok_or(SettingsError::new(KEY, "missing"))?;
    let wrong = || SettingsError::new(KEY, "out_of_range").because(format!("{} bytes, not {KEY_BYTES}", line.len()));
    let key: &[u8; KEY_BYTES] = line.try_into().map_err(|_| wrong())?;
    Gcm::new(key).ok_or_else(wrong)
}
