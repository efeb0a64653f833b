//! What a merchant configures for a Douyin Pay channel, and the checks that make it a channel or refuse it.

use std::fmt;

use crate::channel::{KeyNote, quote};
use crate::cipher::gcm::{Gcm, KEY_BYTES};
use crate::model::{Environment, Timestamp};
use crate::platforms::douyin;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::x509::Certificate;

/// Most certificates in `platform_certs`: the current ones and those around a rotation.
pub(super) const CERTIFICATES_MAX: usize = 16;

/// Longest serial that is taken from a message, in characters.
const SERIAL_CHARS_MAX: usize = 64;

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
            zh: "商户号(mchid),见抖音支付商户平台「账户信息」;其他商户的通知会被挂起",
        },
        example: "7000000000000001",
    },
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "application ids bound to this merchant; messages for another one are held",
            zh: "与商户号绑定的应用 AppID,可填多个;其他应用的通知会被挂起",
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
            zh: "接口加密密钥,正好 32 个字符,在商户平台「产品中心 - 密钥管理」中设置",
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
            zh: "抖音支付平台证书,可多个放在一个 PEM 文件里,在商户平台「密钥管理」中下载;不是商户证书",
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

/// The keys that can prove a notification, each under its serial in normal form.
pub(super) struct Keys(Vec<Key>);

struct Key {
    serial: String,
    verifier: RsaVerifier,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
}

impl fmt::Debug for Keys {
    /// Says which, not their bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|key| &key.serial)).finish()
    }
}

impl Keys {
    /// Whether a key has this serial.
    pub(super) fn knows(&self, serial: &str) -> bool {
        normal_serial(serial).is_some_and(|serial| self.0.iter().any(|key| key.serial == serial))
    }

    /// The key of this serial, at a time at which it proves anything. A certificate without a readable time proves
    /// nothing.
    pub(super) fn find(&self, serial: &str, now: Timestamp) -> Option<&RsaVerifier> {
        let serial = normal_serial(serial)?;
        let key = self.0.iter().find(|key| key.serial == serial)?;
        let is_in_use = key.not_before? <= now && now <= key.not_after?;
        is_in_use.then_some(&key.verifier)
    }
}

/// A serial in the form in which serials are compared: upper case without leading zeros. None for what is none.
pub(super) fn normal_serial(text: &str) -> Option<String> {
    let digits = text.trim_start_matches('0');
    let is_serial =
        text.len() <= SERIAL_CHARS_MAX && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_serial.then(|| digits.to_ascii_uppercase())
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
        let (keys, notes) = certificates(settings, &mchid)?;
        Ok(Self { environment: settings.environment, mchid, app_ids, cipher, keys, notes })
    }
}

/// The text itself is the key; it is no hexadecimal and no base64 of one.
fn cipher(settings: &Settings) -> Result<Gcm, SettingsError> {
    let line = settings.secret_line(KEY)?.ok_or(SettingsError::new(KEY, "missing"))?;
    let wrong = || SettingsError::new(KEY, "out_of_range").because(format!("{} bytes, not {KEY_BYTES}", line.len()));
    let key: &[u8; KEY_BYTES] = line.try_into().map_err(|_| wrong())?;
    Gcm::new(key).ok_or_else(wrong)
}

fn certificates(settings: &Settings, mchid: &str) -> Result<(Keys, Vec<KeyNote>), SettingsError> {
    let file = settings.key(CERTIFICATES).ok_or(SettingsError::new(CERTIFICATES, "missing"))?;
    let certificates = Certificate::read_all(CERTIFICATES, file)?;
    if certificates.len() > CERTIFICATES_MAX {
        let detail = format!("{} > {CERTIFICATES_MAX}", certificates.len());
        return Err(SettingsError::new(CERTIFICATES, "out_of_range").because(detail));
    }
    let (mut keys, mut notes): (Vec<Key>, Vec<KeyNote>) = (Vec::new(), Vec::new());
    for certificate in &certificates {
        let description = certificate.description();
        // The merchant's own certificate is issued to its number; it proves nothing that the platform says.
        if description.subject.split(',').any(|part| part.strip_prefix("CN=") == Some(mchid)) {
            return Err(SettingsError::new(CERTIFICATES, "own_public_key"));
        }
        let serial =
            normal_serial(&description.serial_hex).ok_or(SettingsError::new(CERTIFICATES, "not_a_certificate"))?;
        if keys.iter().any(|key| key.serial == serial) {
            return Err(SettingsError::new(CERTIFICATES, "relation").because(serial));
        }
        notes.push(KeyNote {
            label: CERTIFICATES.to_owned(),
            algorithm: format!("X.509, {}", certificate.key().algorithm()),
            fingerprint: Some(serial.clone()),
            not_after: description.not_after,
        });
        let verifier = RsaVerifier::new(CERTIFICATES, certificate.key(), RsaHash::Sha256, &serial)?;
        keys.push(Key { serial, verifier, not_before: description.not_before, not_after: description.not_after });
    }
    Ok((Keys(keys), notes))
}
