//! What a merchant configures for an epay channel, and the checks that make it a channel or refuse it.

use super::super::joined::{OWN_SETTING, OwnParameters, id, secret};
use super::PROTOCOL;
use crate::channel::{KeyNote, quote};
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::signature::key::{PublicKey, read_rsa_private};
use crate::signature::rsa::{RsaHash, RsaVerifier};

/// Longest merchant number; real ones have 4 to 6 digits.
const PID_BYTES_MAX: usize = 32;

/// Longest name of a site.
const SITE_BYTES_MAX: usize = 64;

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "site",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "which epay site this is, e.g. its domain today. Each site counts its merchants and trades from the \
                 beginning, and this name keeps two sites apart: choose it once, and keep it when the site moves to \
                 another domain",
            zh: "这是哪一家易支付站点，例如它现在的域名。各站点的商户号与交易号各自编排，靠这个名称区分；\
                 一经选定不要再改，站点换域名时也保持不变",
        },
        example: "pay.example.com",
    },
    Setting {
        name: "pid",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (pid), shown in the site's merchant backend under \"API information\"",
            zh: "商户 ID(pid)，见站点商户后台的「API 信息」",
        },
        example: "1001",
    },
    Setting {
        name: "key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "V1 (MD5): the merchant's KEY, from the same page; with it callbacks of V1 are accepted. At least one of \
                 this and `platform_public_key`",
            zh: "V1(MD5)：商户密钥 KEY，见同一页面；填写后接受 V1 通知。它与 `platform_public_key` 至少填一项",
        },
        example: "epay_key",
    },
    Setting {
        name: "platform_public_key",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "V2 (RSA): the platform's public key, from the same page (not the merchant's own); with it callbacks of V2 \
                 are accepted. Leave `key` out when the site sends V2 only",
            zh: "V2(RSA)：平台公钥，见同一页面（不是商户自己的公钥）；填写后接受 V2 通知。站点只发 V2 时不要再填 `key`",
        },
        example: "epay_platform_public.pem",
    },
    Setting {
        name: "private_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "V2: the merchant's private key; callbacks do not need it. When it is here, its public half is refused in \
                 place of the platform's",
            zh: "V2：商户私钥；接收通知不需要。填写后会检查 `platform_public_key` 是否误填成了商户自己的公钥",
        },
        example: "epay_merchant_private.pem",
    },
    OWN_SETTING,
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's number.
    pub(super) pid: String,
    /// Site and merchant: where trade numbers are unique.
    pub(super) account: String,
    /// The KEY, where V1 is accepted.
    pub(super) v1: Option<SecretDigest>,
    /// The platform's key, where V2 is accepted.
    pub(super) v2: Option<RsaVerifier>,
    /// The merchant's own parameters.
    pub(super) own: OwnParameters,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let site = site(settings)?;
        let pid = id(settings, "pid", PID_BYTES_MAX)?;
        let mut notes = Vec::new();
        let v1 = v1(settings, &mut notes)?;
        let v2 = v2(settings, &mut notes)?;
        if v1.is_none() && v2.is_none() {
            return Err(SettingsError::new("key", "missing").because("platform_public_key"));
        }
        Ok(Self {
            environment: settings.environment,
            account: format!("{site}/{pid}"),
            pid,
            v1,
            v2,
            own: OwnParameters::read(settings, &PROTOCOL)?,
            notes,
        })
    }
}

/// A name, not an address: what stands around a domain in a browser's line is no part of it.
fn site(settings: &Settings) -> Result<String, SettingsError> {
    let site = settings.required_text("site")?.trim();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_:".contains(&byte);
    if site.len() > SITE_BYTES_MAX || site.contains("://") || !site.bytes().all(is_name) {
        return Err(SettingsError::new("site", "malformed").because(quote(site)));
    }
    Ok(site.to_owned())
}

fn v1(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Option<SecretDigest>, SettingsError> {
    let Some(secret) = secret(settings, "key")? else { return Ok(None) };
    // Anybody knows a public key, and so anybody could sign with it.
    if PublicKey::read("key", secret).is_ok() {
        return Err(SettingsError::new("key", "wrong_algorithm").because("platform_public_key"));
    }
    notes.push(KeyNote { label: "key".into(), algorithm: "MD5".into(), fingerprint: None, not_after: None });
    Ok(SecretDigest::new(secret, DigestHash::Md5, HexCase::Lower, "key"))
}

fn v2(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Option<RsaVerifier>, SettingsError> {
    const SETTING: &str = "platform_public_key";
    let own = settings.key("private_key").map(|key| read_rsa_private("private_key", key)).transpose()?;
    let Some(file) = settings.key(SETTING) else { return Ok(None) };
    let key = PublicKey::read(SETTING, file)?;
    if let Some(own) = own
        && PublicKey::of_pair("private_key", &own)? == key
    {
        return Err(SettingsError::new(SETTING, "own_public_key"));
    }
    notes.push(KeyNote {
        label: SETTING.into(),
        algorithm: key.algorithm().to_string(),
        fingerprint: Some(key.fingerprint()),
        not_after: None,
    });
    RsaVerifier::new(SETTING, &key, RsaHash::Sha256, SETTING).map(Some)
}
