//! What a merchant configures for a WeChat Pay channel, and the checks that make it a channel or refuse it.

use super::certificates::{API, Caller};
use crate::channel::{Interface, KeyNote};
use crate::cipher::gcm::{Gcm, KEY_BYTES};
use crate::model::Environment;
use crate::platforms::accounts::texts;
use crate::platforms::signed_body::keys::{Key, Keys, SERIAL_CHARS_MAX, certificates, is_issued_to, normal_serial};
use crate::platforms::tenpay::{is_app_id, is_merchant};
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::key::{PublicKey, read_rsa_private};
use crate::signature::x509::Certificate;

/// Most application ids of one channel.
pub(super) const APP_IDS_MAX: usize = 64;

/// Most sub-merchants of one channel; a provider with more writes [`ANY`].
pub(super) const SUB_MERCHANTS_MAX: usize = 4096;

/// In `sub_mchid`: every sub-merchant of this provider.
pub(super) const ANY: &str = "*";

/// How the id of a public key begins.
pub(super) const PUBLIC_KEY_ID_PREFIX: &str = "PUB_KEY_ID_";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "mchid",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (mchid) whose APIv3 key this is; for a service provider its own number (sp_mchid); \
                 messages for another one are held",
            zh: "商户号（mchid），即 APIv3 密钥所属的商户；服务商填服务商商户号（sp_mchid）；其他商户的通知会被挂起",
        },
        example: "1900000001",
    },
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "application ids bound to this merchant; for a service provider its own (sp_appid); messages for \
                 another one are held",
            zh: "与商户号绑定的 AppID，可填多个；服务商填服务商的 AppID(sp_appid)；其他应用的通知会被挂起",
        },
        example: "wx2421b1c4370ec43b",
    },
    Setting {
        name: "api_v3_key",
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "APIv3 key, exactly 32 characters, as set in the merchant platform under API security; not the APIv2 key",
            zh: "APIv3 密钥，正好 32 个字符，在商户平台「API 安全」中设置；不是 APIv2 密钥",
        },
        example: "wechat_apiv3_key",
    },
    Setting {
        name: "wechatpay_public_key",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "WeChat Pay's public key (pub_key.pem) from the merchant platform; this, `platform_certs`, or both \
                 during a change",
            zh: "微信支付公钥（pub_key.pem），在商户平台下载；与 `platform_certs` 至少填一个，切换期间可同时填写",
        },
        example: "wechatpay_public.pem",
    },
    Setting {
        name: "wechatpay_public_key_id",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "id of that public key, begins with PUB_KEY_ID_, shown beside it",
            zh: "微信支付公钥 ID，以 PUB_KEY_ID_ 开头，与公钥显示在同一处",
        },
        example: "PUB_KEY_ID_0119000000012026112100000000000001",
    },
    Setting {
        name: "platform_certs",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "WeChat Pay's platform certificates, one or more in one PEM file; not the merchant's own API certificate",
            zh: "微信支付平台证书，可多个放在一个 PEM 文件里；不是商户 API 证书",
        },
        example: "wechatpay_certs.pem",
    },
    Setting {
        name: "sub_mchid",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "service provider: the sub-merchants (sub_mchid); `*` takes every one; messages for others are held",
            zh: "服务商模式：子商户号（sub_mchid），可填多个；填 `*` 表示全部；其他子商户的通知会被挂起",
        },
        example: "1900000109",
    },
    Setting {
        name: "sub_appid",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "service provider: the sub-merchants' application ids (sub_appid); when set, messages for others are held",
            zh: "服务商模式：子商户的 AppID(sub_appid)；填写后，其他 AppID 的通知会被挂起",
        },
        example: "wxd678efh567hg6999",
    },
    Setting {
        name: "private_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the merchant's own API private key (apiclient_key.pem); with it new platform certificates are downloaded \
                 by themselves; never leaves this machine",
            zh: "商户 API 私钥（apiclient_key.pem）；填写后可自动下载新的微信支付平台证书；私钥不会离开本机",
        },
        example: "apiclient_key.pem",
    },
    Setting {
        name: "merchant_serial_no",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "serial number of the merchant's own API certificate, shown in the merchant platform; belongs to \
                 `private_key`",
            zh: "商户 API 证书序列号，在商户平台「API 安全」中查看；与 `private_key` 配套",
        },
        example: "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
    },
    Setting {
        name: "api_base",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "only for tests and simulators: where the platform's interface is, `https://…` or `http://127.0.0.1:…`",
            zh: "仅用于测试与模拟：平台接口的地址，`https://…` 或 `http://127.0.0.1:…`",
        },
        example: "https://api.mch.weixin.qq.com",
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
    /// Its sub-merchants; empty outside provider mode.
    pub(super) sub_mchids: Vec<String>,
    /// Their applications; empty when they do not matter.
    pub(super) sub_app_ids: Vec<String>,
    /// What opens the resource.
    pub(super) cipher: Gcm,
    /// The keys that prove a message.
    pub(super) keys: Keys,
    /// What signs our own requests, when they are configured.
    pub(super) caller: Option<Caller>,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

/// The id of a public key, whole and as it is written; none for what is none.
pub(super) fn key_id(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(PUBLIC_KEY_ID_PREFIX).filter(|_| text.len() <= SERIAL_CHARS_MAX)?;
    let is_id = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_id.then_some(text)
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let mchid = settings.required_text("mchid")?.trim().to_owned();
        if !is_merchant(&mchid) {
            return Err(SettingsError::new("mchid", "malformed_id").because(mchid));
        }
        let app_ids =
            texts(settings, "appid", APP_IDS_MAX, is_app_id)?.ok_or(SettingsError::new("appid", "missing"))?;
        let sub_mchids =
            texts(settings, "sub_mchid", SUB_MERCHANTS_MAX, |id| id == ANY || is_merchant(id))?.unwrap_or_default();
        let sub_app_ids = texts(settings, "sub_appid", SUB_MERCHANTS_MAX, is_app_id)?.unwrap_or_default();
        let cipher = cipher(settings)?;
        let mut notes = Vec::new();
        let caller = caller(settings, &mut notes)?;
        let own = caller.as_ref().map(|caller| PublicKey::of_pair("private_key", &caller.pair)).transpose()?;
        let mut keys = Vec::new();
        keys.extend(public_key(settings, own.as_ref(), &mut notes)?);
        let is_own = |one: &Certificate| is_issued_to(&mchid, one) || own.as_ref() == Some(one.key());
        keys.extend(certificates(settings, "platform_certs", is_own, &mut notes)?);
        // With a key of its own the channel can ask for the platform's, and refuses everything until it has one.
        if keys.is_empty() && caller.is_none() {
            return Err(SettingsError::new("wechatpay_public_key", "missing").because("platform_certs"));
        }
        let environment = settings.environment;
        Ok(Self { environment, mchid, app_ids, sub_mchids, sub_app_ids, cipher, keys: Keys::of(keys), caller, notes })
    }

    /// Whether a sub-merchant is one of ours.
    pub(super) fn has_sub_merchant(&self, id: &str) -> bool {
        self.sub_mchids.iter().any(|own| own == id || own == ANY)
    }
}

/// The text itself is the key (WeChat Pay, "API v3 key"); it is no hexadecimal and no base64 of one.
fn cipher(settings: &Settings) -> Result<Gcm, SettingsError> {
    const SETTING: &str = "api_v3_key";
    let line = settings.secret_line(SETTING)?.ok_or(SettingsError::new(SETTING, "missing"))?;
    let wrong = || {
        let detail = format!("{} bytes, not {KEY_BYTES}", line.len());
        SettingsError::new(SETTING, "out_of_range").because(detail)
    };
    let key: &[u8; KEY_BYTES] = line.try_into().map_err(|_| wrong())?;
    Gcm::new(key).ok_or_else(wrong)
}

/// The merchant's own key and everything that calls need: all of it or nothing.
fn caller(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Option<Caller>, SettingsError> {
    const KEY: &str = "private_key";
    const SERIAL: &str = "merchant_serial_no";
    let interface = Interface::read(settings, "api_base", API)?;
    let serial = settings.text(SERIAL).map(str::trim).filter(|serial| !serial.is_empty());
    let (file, serial) = match (settings.key(KEY), serial) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SettingsError::new(SERIAL, "missing")),
        (None, Some(_)) if settings.has_ended(KEY) => return Ok(None),
        (None, Some(_)) => return Err(SettingsError::new(KEY, "missing")),
        (Some(file), Some(serial)) => (file, serial),
    };
    // Sent as it is written; a public key's id or anything else with letters beyond F is a mix-up.
    if normal_serial(serial).is_none() {
        return Err(SettingsError::new(SERIAL, "malformed_id").because(crate::channel::quote(serial)));
    }
    let pair = read_rsa_private(KEY, file)?;
    let public = PublicKey::of_pair(KEY, &pair)?;
    notes.push(KeyNote {
        label: format!("{KEY} (public half)"),
        algorithm: public.algorithm().to_string(),
        fingerprint: Some(public.fingerprint()),
        not_after: None,
    });
    Ok(Some(Caller { pair, serial: serial.to_ascii_uppercase(), interface }))
}

fn public_key(
    settings: &Settings,
    own: Option<&PublicKey>,
    notes: &mut Vec<KeyNote>,
) -> Result<Option<Key>, SettingsError> {
    const KEY: &str = "wechatpay_public_key";
    const ID: &str = "wechatpay_public_key_id";
    let id = settings.text(ID).map(str::trim).filter(|id| !id.is_empty());
    let (file, id) = match (settings.key(KEY), id) {
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(SettingsError::new(ID, "missing")),
        (None, Some(_)) if settings.has_ended(KEY) => return Ok(None),
        (None, Some(_)) => return Err(SettingsError::new(KEY, "missing")),
        (Some(file), Some(id)) => (file, id),
    };
    let id = key_id(id).ok_or_else(|| SettingsError::new(ID, "malformed_id").because(crate::channel::quote(id)))?;
    let key = PublicKey::read(KEY, file)?;
    if own == Some(&key) {
        return Err(SettingsError::new(KEY, "own_public_key"));
    }
    notes.push(KeyNote {
        label: id.to_owned(),
        algorithm: key.algorithm().to_string(),
        fingerprint: Some(key.fingerprint()),
        not_after: None,
    });
    Key::of_public_key(KEY, id, &key).map(Some)
}

/// Whether a certificate is the merchant's own, by name or by key.
pub(super) fn is_own(config: &Config, certificate: &Certificate) -> bool {
    let own = config.caller.as_ref().and_then(|caller| PublicKey::of_pair("private_key", &caller.pair).ok());
    is_issued_to(&config.mchid, certificate) || own.as_ref() == Some(certificate.key())
}
