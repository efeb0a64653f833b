//! What a merchant configures for a Yeepay channel, and the checks that make it a channel or refuse it.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use zeroize::Zeroizing;

use super::envelope::Keys;
use crate::channel::{KeyNote, quote};
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::key::{KeyAlgorithm, PublicKey, read_rsa_private};
use crate::signature::rsa::{RsaHash, RsaVerifier};

/// Longest application key; real ones have about 25 characters.
const APP_KEY_CHARS_MAX: usize = 64;

/// Most merchant numbers of one channel.
const MERCHANTS_MAX: usize = 4096;

/// Longest merchant number; real ones have 11 digits.
const MERCHANT_DIGITS_MAX: usize = 32;

const APP_KEY: &str = "app_key";
const MERCHANT_NO: &str = "merchant_no";
const PRIVATE_KEY: &str = "merchant_private_key";
const PUBLIC_KEY: &str = "yeepay_public_key";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: APP_KEY,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "application key (appKey) from the YOP developer centre, mostly app_ with digits; it arrives as \
                 customerIdentification",
            zh: "应用标识（appKey），在易宝开放平台开发者中心查看，通常以 app_ 开头；回调中为 customerIdentification",
        },
        example: "app_10000000000000001",
    },
    Setting {
        name: MERCHANT_NO,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "merchant numbers (merchantNo) that receive the money, your own first; callbacks for others are held",
            zh: "收款商户编号（merchantNo），可填多个，自己的放第一个；其他商户的回调会被挂起",
        },
        example: "10000000001",
    },
    Setting {
        name: PRIVATE_KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "the application's RSA private key, whose public half was uploaded to the developer centre; it opens the \
                 callbacks and never leaves this machine",
            zh: "应用 RSA 私钥（公钥已上传到开发者中心），用于解密回调；私钥不会离开本机",
        },
        example: "yeepay_app_private.pem",
    },
    Setting {
        name: PUBLIC_KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "Yeepay's platform public key (RSA) from the developer centre's key page; not the application's own",
            zh: "易宝平台 RSA 公钥，在开发者中心「密钥管理」中查看；不是应用自己的公钥",
        },
        example: "yeepay_public.pem",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The application whose private key this is.
    pub(super) app_key: String,
    /// The merchants whose money is ours; never empty.
    pub(super) merchants: Vec<String>,
    /// What opens and proves.
    pub(super) keys: Keys,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let app_key = settings.required_text(APP_KEY)?.trim().to_owned();
        if app_key.len() > APP_KEY_CHARS_MAX || !app_key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingsError::new(APP_KEY, "malformed_id").because(quote(&app_key)));
        }
        let merchants = merchants(settings)?;
        let mut notes = Vec::new();
        let keys = keys(settings, &mut notes)?;
        Ok(Self { environment: settings.environment, app_key, merchants, keys, notes })
    }
}

fn merchants(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let texts: Vec<&str> = match (settings.texts(MERCHANT_NO), settings.text(MERCHANT_NO)) {
        (Some(texts), _) => texts.iter().map(|text| text.trim()).collect(),
        (None, Some(text)) => vec![text.trim()],
        (None, None) => return Err(SettingsError::new(MERCHANT_NO, "missing")),
    };
    if texts.is_empty() {
        return Err(SettingsError::new(MERCHANT_NO, "empty_list"));
    }
    if texts.len() > MERCHANTS_MAX {
        let detail = format!("{} > {MERCHANTS_MAX}", texts.len());
        return Err(SettingsError::new(MERCHANT_NO, "out_of_range").because(detail));
    }
    let is_merchant = |text: &str| {
        !text.is_empty() && text.len() <= MERCHANT_DIGITS_MAX && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match texts.iter().find(|text| !is_merchant(text)) {
        Some(bad) => Err(SettingsError::new(MERCHANT_NO, "malformed_id").because(quote(bad))),
        None => Ok(texts.into_iter().map(str::to_owned).collect()),
    }
}

fn keys(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Keys, SettingsError> {
    let material = settings.key(PRIVATE_KEY).ok_or(SettingsError::new(PRIVATE_KEY, "missing"))?;
    let pair = read_rsa_private(PRIVATE_KEY, material)?;
    let own = PublicKey::of_pair(PRIVATE_KEY, &pair)?;
    let material = settings.key(PUBLIC_KEY).ok_or(SettingsError::new(PUBLIC_KEY, "missing"))?;
    let public = PublicKey::read(PUBLIC_KEY, material)?;
    // With it the merchant could prove to itself whatever anybody signs with its key.
    if public == own {
        return Err(SettingsError::new(PUBLIC_KEY, "own_public_key"));
    }
    for (label, key) in [(format!("{PRIVATE_KEY} (public half)"), &own), (PUBLIC_KEY.to_owned(), &public)] {
        let algorithm = key.algorithm().to_string();
        notes.push(KeyNote { label, algorithm, fingerprint: Some(key.fingerprint()), not_after: None });
    }
    let verifier = RsaVerifier::new(PUBLIC_KEY, &public, RsaHash::Sha256, PUBLIC_KEY)?;
    let KeyAlgorithm::Rsa { bits } = public.algorithm() else {
        return Err(SettingsError::new(PUBLIC_KEY, "wrong_algorithm"));
    };
    let not_a_key = || SettingsError::new(PRIVATE_KEY, "not_a_key");
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| not_a_key())?;
    let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
    Keys::new(&pkcs8, verifier, bits.div_ceil(8)).ok_or_else(not_a_key)
}
