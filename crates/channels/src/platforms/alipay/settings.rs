//! What a merchant configures for an Alipay channel, and the checks that make it a channel or refuse it.

use std::fmt;

use aws_lc_rs::signature::RsaKeyPair;

use super::certificate;
use super::download::{API, Caller};
use crate::channel::{Interface, KeyNote, Reach};
use crate::model::{Environment, Timestamp};
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::Verified;
use crate::signature::key::{PublicKey, read_rsa_private};
use crate::signature::rsa::{RsaHash, RsaVerifier};
use crate::signature::sm2::{DEFAULT_USER_ID, Sm2Verifier};
use crate::signature::x509::Certificate;

/// Most certificates in one `alipay_cert` file: the current one and those around a rotation.
pub(super) const CERTIFICATES_MAX: usize = 4;

/// Most payees of one channel.
pub(super) const SELLERS_MAX: usize = 64;

/// Most merchants whose authorisation one channel serves.
pub(super) const AUTH_APPS_MAX: usize = 1024;

/// Longest application id, in digits; real ones have 16.
const APP_ID_DIGITS_MAX: usize = 32;

/// Digits of a payee's id, and how it begins (Alipay Open Platform: PID of a partner).
const SELLER_ID_DIGITS: usize = 16;
const SELLER_ID_PREFIX: &str = "2088";

/// A value of `sign_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignType {
    /// `SHA256withRSA`.
    Rsa2,
    /// `SHA1withRSA`, of old applications.
    Rsa,
    /// `SM3withSM2`.
    Sm2,
}

impl SignType {
    /// Every word, in the order of preference.
    pub(super) const WORDS: &[&str] = &["RSA2", "RSA", "SM2"];

    /// Reads the word, in its exact case.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "RSA2" => Some(Self::Rsa2),
            "RSA" => Some(Self::Rsa),
            "SM2" => Some(Self::Sm2),
            _ => None,
        }
    }
}

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "app_id",
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "application id (APPID), shown in the console of the Alipay Open Platform; in ISV mode the provider's",
            zh: "应用 APPID，见支付宝开放平台控制台；服务商模式填服务商应用的 APPID",
        },
        example: "2021000000000000",
    },
    Setting {
        name: "seller_id",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "payee's id (PID, 16 digits, begins with 2088); several are accepted; money for another payee is held; \
                 a message that names no payee is kept under the first one",
            zh: "收款方 PID（2088 开头的 16 位数字）；可填多个；收款方不在其中的通知会被挂起；未写明收款方的消息归入第一个",
        },
        example: "2088000000000000",
    },
    Setting {
        name: "auth_app_id",
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "ISV mode: the authorising merchants' application ids; notifications for others are refused; without this \
                 setting those are held",
            zh: "服务商模式：授权商户的应用 APPID；其他商户的通知会被拒绝；不填写时这类通知会被挂起",
        },
        example: "2021000000000001",
    },
    Setting {
        name: "alipay_public_key",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "key mode: the Alipay public key of this application (not the application's own public key); \
                 either this or `alipay_cert`",
            zh: "公钥模式：本应用的「支付宝公钥」（不是应用公钥）；与 `alipay_cert` 二选一",
        },
        example: "alipay_public.pem",
    },
    Setting {
        name: "alipay_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "certificate mode: alipayCertPublicKey_RSA2.crt; during a rotation the old and the new one in one file",
            zh: "证书模式：alipayCertPublicKey_RSA2.crt；更换期间可把新旧证书放在同一个文件里",
        },
        example: "alipayCertPublicKey_RSA2.crt",
    },
    Setting {
        name: "alipay_root_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "certificate mode: alipayRootCert.crt; with `app_cert` and `private_key` a new certificate of Alipay is \
                 downloaded by itself",
            zh: "证书模式：alipayRootCert.crt；与 `app_cert`、`private_key` 一起填写后，可自动下载支付宝的新证书",
        },
        example: "alipayRootCert.crt",
    },
    Setting {
        name: "app_cert",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "certificate mode, for calls and downloads: appCertPublicKey_<APPID>.crt",
            zh: "证书模式，主动调用与下载证书时需要：appCertPublicKey_<APPID>.crt",
        },
        example: "appCertPublicKey.crt",
    },
    Setting {
        name: "private_key",
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the application's private key; for calls (create, query, close, refund, transfer) and downloads of \
                 certificates",
            zh: "应用私钥；主动调用（下单、查询、关单、退款、转账）与下载证书时需要",
        },
        example: "app_private.pem",
    },
    Setting {
        name: "sign_types",
        kind: SettingKind::Words(SignType::WORDS),
        is_required: false,
        help: Text {
            en: "accepted signature algorithms, default RSA2; RSA is the old SHA-1, SM2 needs `alipay_sm2_public_key`",
            zh: "接受的签名算法，默认 RSA2;RSA 是旧的 SHA-1,SM2 需要 `alipay_sm2_public_key`",
        },
        example: "RSA2",
    },
    Setting {
        name: "alipay_sm2_public_key",
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "the Alipay public key for SM2, or its certificate (during a rotation the old and the new one in one \
                 file); only when `sign_types` names SM2",
            zh: "国密 SM2 的支付宝公钥，或支付宝公钥证书（更换期间可把新旧证书放在同一个文件里）；\
                 仅当 `sign_types` 含 SM2 时需要",
        },
        example: "alipay_sm2.pem",
    },
    Setting {
        name: "api_base",
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "only for tests and simulators: where the platform's gateway is, `https://…` or `http://127.0.0.1:…`",
            zh: "仅用于测试与模拟：平台网关的地址，`https://…` 或 `http://127.0.0.1:…`",
        },
        example: "https://openapi.alipay.com",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The application.
    pub(super) app_id: String,
    /// The payees; never empty.
    pub(super) sellers: Vec<String>,
    /// The authorising applications of ISV mode; empty outside it.
    pub(super) auth_app_ids: Vec<String>,
    /// The keys.
    pub(super) keys: Keys,
    /// What asks for certificates, in certificate mode and when all of it is configured.
    pub(super) caller: Option<Caller>,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

/// The keys that can prove a notification.
pub(super) struct Keys {
    rsa: Vec<RsaKeys>,
    sm2: Vec<Sm2Key>,
    sign_types: Vec<SignType>,
}

/// One SM2 key.
struct Sm2Key {
    certificate: Option<Named>,
    verifier: Sm2Verifier,
}

/// What a message calls a certificate, and when it is valid: one without a readable time proves nothing.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) serial: String,
    pub(super) valid: Option<[Timestamp; 2]>,
}

impl Named {
    fn of(certificate: &Certificate) -> Self {
        let description = certificate.description();
        let valid = description.not_before.zip(description.not_after).map(|(begin, end)| [begin, end]);
        Self { serial: certificate::serial(certificate), valid }
    }

    /// Whether this is its serial, in either case.
    fn is(&self, serial: &str) -> bool {
        self.serial.eq_ignore_ascii_case(serial)
    }

    fn is_valid_at(&self, now: Timestamp) -> bool {
        self.valid.is_some_and(|[begin, end]| begin <= now && now <= end)
    }
}

/// Whether a key comes into question for a message: in certificate mode the one that the message names, and while its
/// certificate is valid. A bare key has neither a name nor an end. Without a time, validity does not count.
fn is_meant(certificate: Option<&Named>, serial: Option<&str>, now: Option<Timestamp>) -> bool {
    certificate
        .is_none_or(|own| serial.is_none_or(|serial| own.is(serial)) && now.is_none_or(|now| own.is_valid_at(now)))
}

/// One RSA key, prepared for each hash that the configuration allows.
#[derive(Debug)]
pub(super) struct RsaKeys {
    certificate: Option<Named>,
    sha256: Option<RsaVerifier>,
    sha1: Option<RsaVerifier>,
}

impl RsaKeys {
    /// Prepares a key for the hashes among these algorithms.
    pub(super) fn new(
        setting: &'static str,
        certificate: Option<Named>,
        key: &PublicKey,
        sign_types: &[SignType],
    ) -> Result<Self, SettingsError> {
        let label = certificate.as_ref().map_or_else(|| setting.to_owned(), |named| named.serial.clone());
        let prepare = |sign_type, hash| {
            sign_types.contains(&sign_type).then(|| RsaVerifier::new(setting, key, hash, &label)).transpose()
        };
        let sha256 = prepare(SignType::Rsa2, RsaHash::Sha256)?;
        let sha1 = prepare(SignType::Rsa, RsaHash::Sha1)?;
        Ok(Self { certificate, sha256, sha1 })
    }

    /// Whether this is the key of a certificate that a message names; at a time, if there is one, only while the
    /// certificate is valid.
    pub(super) fn is_named(&self, serial: &str, now: Option<Timestamp>) -> bool {
        self.certificate.is_some() && is_meant(self.certificate.as_ref(), Some(serial), now)
    }

    /// Checks a signature.
    pub(super) fn verify(
        &self,
        sign_type: SignType,
        message: &[u8],
        signature: &[u8],
        variant: &'static str,
    ) -> Option<Verified> {
        let verifier = match sign_type {
            SignType::Rsa2 => &self.sha256,
            SignType::Rsa => &self.sha1,
            SignType::Sm2 => return None,
        };
        verifier.as_ref()?.verify(message, signature, variant)
    }
}

impl fmt::Debug for Keys {
    /// Says how many, not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("rsa", &self.rsa.len())
            .field("sm2", &self.sm2.len())
            .field("sign_types", &self.sign_types)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Whether the configuration allows an algorithm.
    pub(super) fn allows(&self, sign_type: SignType) -> bool {
        self.sign_types.contains(&sign_type)
    }

    /// Whether a message that names this certificate can be checked here: always in key mode, where the
    /// name means nothing, else while the certificate is valid.
    pub(super) fn knows_serial(&self, sign_type: SignType, serial: &str, now: Timestamp) -> bool {
        let is_known = |certificate: &Option<Named>| is_meant(certificate.as_ref(), Some(serial), Some(now));
        match sign_type {
            SignType::Sm2 => self.sm2.iter().any(|key| is_known(&key.certificate)),
            SignType::Rsa2 | SignType::Rsa => self.rsa.iter().any(|key| is_known(&key.certificate)),
        }
    }

    /// The algorithms that the configuration allows.
    pub(super) fn sign_types(&self) -> &[SignType] {
        &self.sign_types
    }

    /// Checks a signature with the keys that come into question. Without a time, a certificate counts before and after
    /// its validity: that shows by which rule a message was signed, and is no reason to believe it.
    pub(super) fn verify(
        &self,
        sign_type: SignType,
        (serial, now): (Option<&str>, Option<Timestamp>),
        message: &[u8],
        signature: &[u8],
        variant: &'static str,
    ) -> Option<Verified> {
        if sign_type == SignType::Sm2 {
            let mut keys = self.sm2.iter().filter(|key| is_meant(key.certificate.as_ref(), serial, now));
            return keys.find_map(|key| key.verifier.verify(message, signature, variant));
        }
        let mut keys = self.rsa.iter().filter(|key| is_meant(key.certificate.as_ref(), serial, now));
        keys.find_map(|key| key.verify(sign_type, message, signature, variant))
    }
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let app_id = settings.required_text("app_id")?.trim().to_owned();
        if !is_app_id(&app_id) {
            return Err(SettingsError::new("app_id", "malformed_id").because(app_id));
        }
        let sellers = accounts::texts(settings, "seller_id", SELLERS_MAX, is_seller_id)?
            .ok_or(SettingsError::new("seller_id", "missing"))?;
        let auth_app_ids = accounts::texts(settings, "auth_app_id", AUTH_APPS_MAX, is_app_id)?.unwrap_or_default();
        let sign_types = sign_types(settings)?;
        let mut notes = Vec::new();
        let own = own_key_pair(settings, &mut notes)?;
        let keys = Keys {
            rsa: rsa_keys(settings, &sign_types, own.as_ref(), &mut notes)?,
            sm2: sm2_keys(settings, &sign_types, &mut notes)?,
            sign_types,
        };
        let caller = caller(settings, own)?;
        Ok(Self { environment: settings.environment, app_id, sellers, auth_app_ids, keys, caller, notes })
    }
}

fn sign_types(settings: &Settings) -> Result<Vec<SignType>, SettingsError> {
    let Some(words) = texts(settings, "sign_types") else { return Ok(vec![SignType::Rsa2]) };
    if words.is_empty() {
        return Err(SettingsError::new("sign_types", "empty_list"));
    }
    words
        .iter()
        .map(|word| {
            SignType::parse(word).ok_or_else(|| SettingsError::new("sign_types", "unknown_word").because(*word))
        })
        .collect()
}

/// The merchant's own key pair, when calls are configured: checked, compared, and not kept here.
fn own_key_pair(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Option<RsaKeyPair>, SettingsError> {
    let pair = settings.key("private_key").map(|key| read_rsa_private("private_key", key)).transpose()?;
    if let Some(pair) = &pair {
        notes.push(key_note("private_key (public half)", &PublicKey::of_pair("private_key", pair)?));
    }
    if let Some(file) = settings.key("app_cert") {
        let certificate = Certificate::read("app_cert", file)?;
        if let Some(pair) = &pair
            && PublicKey::of_pair("private_key", pair)? != *certificate.key()
        {
            return Err(SettingsError::new("app_cert", "relation").because("private_key"));
        }
        notes.push(certificate_note("app_cert", &certificate));
    }
    if let Some(file) = settings.key("alipay_root_cert") {
        let serial =
            certificate::root_serial(file).ok_or(SettingsError::new("alipay_root_cert", "not_a_certificate"))?;
        notes.push(KeyNote {
            label: "alipay_root_cert".into(),
            algorithm: "X.509".into(),
            fingerprint: Some(serial),
            not_after: None,
        });
    }
    Ok(pair)
}

/// What downloads a certificate: all of it, or nothing.
fn caller(settings: &Settings, own: Option<RsaKeyPair>) -> Result<Option<Caller>, SettingsError> {
    let interface = Interface::read(settings, "api_base", API)?;
    // The sandbox has no downloads, unless somebody plays it.
    let is_there = settings.environment == Environment::Live || interface.reach() == Reach::Configured;
    let files = (settings.key("alipay_cert"), settings.key("app_cert"), settings.key("alipay_root_cert"));
    let (Some(pair), (Some(alipay), Some(app), Some(root)), true) = (own, files, is_there) else { return Ok(None) };
    let missing = || SettingsError::new("alipay_root_cert", "not_a_certificate");
    Ok(Some(Caller {
        pair,
        app_cert_sn: certificate::serial(&Certificate::read("app_cert", app)?),
        root_cert_sn: certificate::root_serial(root).ok_or_else(missing)?,
        roots: Certificate::of_bundle(root),
        models: Certificate::read_all("alipay_cert", alipay)?,
        interface,
    }))
}

fn rsa_keys(
    settings: &Settings,
    sign_types: &[SignType],
    own: Option<&RsaKeyPair>,
    notes: &mut Vec<KeyNote>,
) -> Result<Vec<RsaKeys>, SettingsError> {
    let needs_rsa = sign_types.iter().any(|sign_type| *sign_type != SignType::Sm2);
    let (setting, found): (&'static str, Vec<(Option<Named>, PublicKey)>) =
        match (settings.key("alipay_public_key"), settings.key("alipay_cert")) {
            (Some(_), Some(_)) => {
                return Err(SettingsError::new("alipay_public_key", "either_or").because("alipay_cert"));
            }
            (None, None) if needs_rsa => {
                return Err(SettingsError::new("alipay_public_key", "missing").because("alipay_cert"));
            }
            (None, None) => return Ok(Vec::new()),
            (Some(key), None) => {
                let key = PublicKey::read("alipay_public_key", key)?;
                notes.push(key_note("alipay_public_key", &key));
                ("alipay_public_key", vec![(None, key)])
            }
            (None, Some(file)) => ("alipay_cert", of_certificates("alipay_cert", file, notes)?),
        };
    let own = own.map(|pair| PublicKey::of_pair("private_key", pair)).transpose()?;
    found
        .into_iter()
        .map(|(certificate, key)| {
            // The commonest mistake of all: the application's own public key in place of Alipay's.
            if own.as_ref() == Some(&key) {
                return Err(SettingsError::new(setting, "own_public_key"));
            }
            RsaKeys::new(setting, certificate, &key, sign_types)
        })
        .collect()
}

fn sm2_keys(
    settings: &Settings,
    sign_types: &[SignType],
    notes: &mut Vec<KeyNote>,
) -> Result<Vec<Sm2Key>, SettingsError> {
    const SETTING: &str = "alipay_sm2_public_key";
    let is_listed = sign_types.contains(&SignType::Sm2);
    let Some(file) = settings.key(SETTING) else {
        let missing = SettingsError::new(SETTING, "no_key_for_algorithm").because("SM2");
        return if is_listed { Err(missing) } else { Ok(Vec::new()) };
    };
    let found = match PublicKey::read(SETTING, file) {
        Err(error) if error.word == "certificate_given" => of_certificates(SETTING, file, notes)?,
        key => {
            let key = key?;
            notes.push(key_note(SETTING, &key));
            vec![(None, key)]
        }
    };
    let prepare = |(certificate, key): (Option<Named>, PublicKey)| {
        let label = certificate.as_ref().map_or(SETTING, |named| &named.serial);
        let verifier = Sm2Verifier::new(SETTING, &key, DEFAULT_USER_ID, label)?;
        Ok(Sm2Key { certificate, verifier })
    };
    // Read and checked even where SM2 is not allowed, so that a broken file is found at once.
    let keys: Vec<Sm2Key> = found.into_iter().map(prepare).collect::<Result<_, _>>()?;
    Ok(if is_listed { keys } else { Vec::new() })
}

/// The keys of a file of certificates, each with its serial. The file may carry the issuer along, which signs
/// certificates and no messages.
fn of_certificates(
    setting: &'static str,
    file: &[u8],
    notes: &mut Vec<KeyNote>,
) -> Result<Vec<(Option<Named>, PublicKey)>, SettingsError> {
    let certificates = Certificate::read_all(setting, file)?;
    if certificates.len() > CERTIFICATES_MAX {
        let detail = format!("{} > {CERTIFICATES_MAX}", certificates.len());
        return Err(SettingsError::new(setting, "out_of_range").because(detail));
    }
    notes.extend(certificates.iter().map(|certificate| certificate_note(setting, certificate)));
    let has_own = certificates.iter().any(|one| !one.is_authority());
    let certificates = certificates.into_iter().filter(|one| !has_own || !one.is_authority());
    Ok(certificates.map(|one| (Some(Named::of(&one)), one.into_key())).collect())
}

/// Texts that are given as one text or a list.
fn texts<'s>(settings: &'s Settings, name: &str) -> Option<Vec<&'s str>> {
    match (settings.texts(name), settings.text(name)) {
        (Some(texts), _) => Some(texts.iter().map(|text| text.trim()).collect()),
        (None, Some(text)) => Some(vec![text.trim()]),
        (None, None) => None,
    }
}

fn is_app_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= APP_ID_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_seller_id(text: &str) -> bool {
    text.len() == SELLER_ID_DIGITS && text.starts_with(SELLER_ID_PREFIX) && is_app_id(text)
}

fn key_note(label: &str, key: &PublicKey) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: key.algorithm().to_string(),
        fingerprint: Some(key.fingerprint()),
        not_after: None,
    }
}

/// A certificate, for people.
pub(super) fn certificate_note(label: &str, one: &Certificate) -> KeyNote {
    KeyNote {
        label: label.to_owned(),
        algorithm: format!("X.509, {}", one.key().algorithm()),
        fingerprint: Some(certificate::serial(one)),
        not_after: one.description().not_after,
    }
}
