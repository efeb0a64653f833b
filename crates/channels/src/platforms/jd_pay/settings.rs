//! What a merchant configures for a JD Pay channel, and the checks that make it a channel or refuse it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::payout::{Payout, PayoutHash};
use crate::channel::{KeyNote, quote};
use crate::cipher::{TRIPLE_DES_KEY_BYTES, TripleDes};
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::key::PublicKey;
use crate::signature::plain_rsa::PlainRsa;

/// Longest merchant number; real ones have 8 to 15 characters.
const MERCHANT_CHARS_MAX: usize = 32;

/// Shortest salt key of payout notices, in bytes: a shorter one could be guessed from one captured notice.
const SALT_KEY_BYTES_MIN: usize = 16;

const MERCHANT: &str = "merchant";
const DES_KEY: &str = "des_key";
const PUBLIC_KEY: &str = "jd_public_key";
const SALT_KEY: &str = "payout_salt_key";
const SIGN_TYPES: &str = "payout_sign_types";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: MERCHANT,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "merchant number (merchant) from JD Pay's merchant backend; messages for another one are refused",
            zh: "京东支付商户号（merchant），在京东支付商户后台查看；其他商户的通知会被拒绝",
        },
        example: "110000000001",
    },
    Setting {
        name: DES_KEY,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "DES key of the merchant backend's key page, the base64 text as it is shown (32 characters, 24 bytes)",
            zh: "DES 密钥，在商户后台「密钥管理」中查看，按页面显示的 Base64 文本填写（32 个字符，解码后 24 字节）",
        },
        example: "jd_des_key",
    },
    Setting {
        name: PUBLIC_KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "JD Pay's RSA public key from the merchant backend or its demo (wy_rsa_public_key), also as a \
                 certificate; not the merchant's own",
            zh: "京东支付 RSA 公钥，在商户后台或官方示例中取得（wy_rsa_public_key），也可填证书；不是商户自己的公钥",
        },
        example: "jd_public.pem",
    },
    Setting {
        name: SALT_KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "salt key (SHA key) of the payout product, from the contract mail of JD Pay; without it payout notices are \
                 refused",
            zh: "代付产品的签名密钥（SHA 加盐密钥），由京东支付开通代付时提供；不填则拒绝代付通知",
        },
        example: "jd_payout_salt_key",
    },
    Setting {
        name: SIGN_TYPES,
        kind: SettingKind::Words(&["SHA-256", "SHA"]),
        is_required: false,
        help: Text {
            en: "digests that payout notices may use; SHA-256 alone unless JD Pay still sends SHA (SHA-1) to this merchant",
            zh: "代付通知允许的摘要算法；默认只允许 SHA-256，只有京东仍以 SHA（即 SHA-1）通知时才加上 SHA",
        },
        example: "SHA-256",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The account whose keys these are.
    pub(super) merchant: String,
    /// What opens the envelope.
    pub(super) cipher: TripleDes,
    /// What proves the message in it.
    pub(super) key: PlainRsa,
    /// What proves payout notices, where they are configured.
    pub(super) payout: Option<Payout>,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let merchant = settings.required_text(MERCHANT)?.trim().to_owned();
        let is_merchant =
            merchant.len() <= MERCHANT_CHARS_MAX && merchant.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_merchant {
            return Err(SettingsError::new(MERCHANT, "malformed_id").because(quote(&merchant)));
        }
        let cipher = cipher(settings)?;
        let material = settings.key(PUBLIC_KEY).ok_or(SettingsError::new(PUBLIC_KEY, "missing"))?;
        let key = PublicKey::read_or_certificate(PUBLIC_KEY, material)?;
        let mut notes = vec![KeyNote {
            label: PUBLIC_KEY.to_owned(),
            algorithm: key.algorithm().to_string(),
            fingerprint: Some(key.fingerprint()),
            not_after: None,
        }];
        let payout = payout(settings)?;
        notes.extend(payout.as_ref().map(|payout| KeyNote {
            label: SALT_KEY.to_owned(),
            algorithm: payout.algorithms(),
            fingerprint: None,
            not_after: None,
        }));
        let key = PlainRsa::new(PUBLIC_KEY, &key, PUBLIC_KEY)?;
        Ok(Self { environment: settings.environment, merchant, cipher, key, payout, notes })
    }
}

/// The text that the backend shows is base64 of the key; used as it stands it would be another key.
fn cipher(settings: &Settings) -> Result<TripleDes, SettingsError> {
    let text = settings.secret_line(DES_KEY)?.ok_or(SettingsError::new(DES_KEY, "missing"))?;
    let bytes = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| SettingsError::new(DES_KEY, "malformed"))?;
    let key: &[u8; TRIPLE_DES_KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| {
        let detail = format!("{} bytes, not {TRIPLE_DES_KEY_BYTES}", bytes.len());
        SettingsError::new(DES_KEY, "out_of_range").because(detail)
    })?;
    Ok(TripleDes::new(key))
}

fn payout(settings: &Settings) -> Result<Option<Payout>, SettingsError> {
    let words = settings.texts(SIGN_TYPES);
    let Some(secret) = settings.secret_line(SALT_KEY)? else {
        return if words.is_some() { Err(SettingsError::new(SALT_KEY, "missing")) } else { Ok(None) };
    };
    if secret.len() < SALT_KEY_BYTES_MIN {
        let detail = format!("{} < {SALT_KEY_BYTES_MIN} bytes", secret.len());
        return Err(SettingsError::new(SALT_KEY, "too_short").because(detail));
    }
    let hashes = match words {
        None => vec![PayoutHash::Sha256],
        Some([]) => return Err(SettingsError::new(SIGN_TYPES, "empty_list")),
        Some(words) => words
            .iter()
            .map(|word| {
                PayoutHash::parse(word)
                    .ok_or_else(|| SettingsError::new(SIGN_TYPES, "unknown_word").because(quote(word)))
            })
            .collect::<Result<_, _>>()?,
    };
    Payout::new(secret, SALT_KEY, &hashes).map(Some).ok_or(SettingsError::new(SALT_KEY, "missing"))
}
