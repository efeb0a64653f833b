//! What a merchant configures for a LianLian channel, and the checks that make it a channel or refuse it.

use super::super::accounts;
use super::message::Variant;
use crate::channel::{KeyNote, Rejection, quote};
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};
use crate::signature::key::PublicKey;
use crate::signature::plain_rsa::PlainRsa;
use crate::signature::{Verified, decode_base64};

/// Fewest characters of a merchant's MD5 key: a shorter one can be found by trying.
const MD5_KEY_CHARS_MIN: usize = 6;

const PARTNER: &str = "oid_partner";
const PURPOSE: &str = "purpose";
const KEY: &str = "lianlian_public_key";
const OWN_KEY: &str = "merchant_public_key";
const MD5_KEY: &str = "md5_key";
const SIGN_TYPES: &str = "sign_types";

const PAYMENT: &str = "payment";
const PAYOUT: &str = "payout";
const RSA: &str = "RSA";
const MD5: &str = "MD5";

/// How `oid_partner` is described, for the account generation too.
pub(in super::super) const PARTNER_SETTING: Setting = Setting {
    name: PARTNER,
    kind: SettingKind::Texts,
    is_required: true,
    help: Text {
        en: "merchant numbers (oid_partner) that LianLian gave you, shown in the merchant console; messages for others are not \
             taken as yours",
        zh: "连连分配的商户编号（oid_partner），可填多个，在商户站查看；其他商户的通知不会当作本商户处理",
    },
    example: "201304121000001004",
};

/// How the merchant's own public key is described, for the account generation too.
pub(in super::super) const OWN_KEY_SETTING: Setting = Setting {
    name: OWN_KEY,
    kind: SettingKind::PublicKey,
    is_required: false,
    help: Text {
        en: "your own public key as you entered it in the merchant console; only to notice when the two were mixed up",
        zh: "商户自己在商户站上传的公钥；仅用于发现两把公钥填反的情况",
    },
    example: "merchant_public.pem",
};

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    PARTNER_SETTING,
    Setting {
        name: PURPOSE,
        kind: SettingKind::Words(&[PAYMENT, PAYOUT]),
        is_required: true,
        help: Text {
            en: "what this channel's address is entered for: `payment` (receiving money, and refunds) or `payout`. A payment and a \
                 payout have the same fields; one address for both would book a payout as a payment",
            zh: "本渠道地址的用途：`payment`（收款及退款）或 `payout`（付款）。收款与付款通知的字段完全相同，两者必须使用不同的地址，否则付款会被当成收款",
        },
        example: PAYMENT,
    },
    Setting {
        name: SIGN_TYPES,
        kind: SettingKind::Words(&[RSA, MD5]),
        is_required: false,
        help: Text {
            en: "signatures that are accepted; `RSA` alone unless it is set. Each needs its key",
            zh: "允许的签名方式，未填写时只接受 `RSA`；每种方式都需要配置相应的密钥",
        },
        example: RSA,
    },
    Setting {
        name: KEY,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "LianLian's public key (银通公钥), from the merchant console under key management or the integration package; \
                 not your own; for `RSA`",
            zh: "连连（银通）公钥，在商户站密钥管理或接入资料包中取得，不是商户自己的公钥；用于 `RSA`",
        },
        example: "lianlian_public.pem",
    },
    Setting {
        name: MD5_KEY,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the MD5 key that you set in the merchant console under security; for `MD5`",
            zh: "MD5 密钥，在商户站「安全设置」中设置；用于 `MD5`",
        },
        example: "lianlian_md5_key",
    },
    OWN_KEY_SETTING,
];

/// What a channel's address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Money that comes in, and refunds of it.
    Payment,
    /// Money that goes out.
    Payout,
}

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    pub(super) purpose: Purpose,
    /// The merchant's numbers; never empty.
    pub(super) partners: Vec<String>,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
    rsa: Option<PlainRsa>,
    md5: Option<SecretDigest>,
}

impl Config {
    /// Checks the settings. Fails closed: no purpose, no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let partners = accounts::ids(settings, PARTNER)?;
        let purpose = purpose(settings)?;
        let allowed = sign_types(settings)?;
        let mut notes = Vec::new();
        let rsa = if allowed.contains(&RSA) { Some(rsa(settings, &mut notes)?) } else { None };
        let md5 = if allowed.contains(&MD5) { Some(md5(settings, &mut notes)?) } else { None };
        Ok(Self { environment: settings.environment, purpose, partners, notes, rsa, md5 })
    }

    /// Whether a merchant's number is one of ours.
    pub(super) fn is_ours(&self, partner: &str) -> bool {
        self.partners.iter().any(|own| own == partner)
    }

    /// Checks the signature that a message names, as far as the configuration allows it.
    pub(super) fn verify(
        &self,
        sign_type: &str,
        sign: &str,
        text: &[u8],
        variant: Variant,
    ) -> Result<Verified, Rejection> {
        match (sign_type, &self.rsa, &self.md5) {
            (RSA, Some(key), _) => {
                let signature =
                    decode_base64(sign.as_bytes()).ok_or_else(|| Rejection::Malformed { field: "sign".into() })?;
                let variant = if variant == Variant::Form { "form-rsa" } else { "json-rsa" };
                let recovered = key.recover(&signature).ok_or(Rejection::Signature)?;
                recovered.is_md5_of(text, variant).ok_or(Rejection::Signature)
            }
            (MD5, _, Some(key)) => {
                let variant = if variant == Variant::Form { "form-md5" } else { "json-md5" };
                let text = [text, b"&key="].concat();
                key.verify(&text, b"", sign.as_bytes(), variant).ok_or(Rejection::Signature)
            }
            _ => Err(Rejection::Algorithm { algorithm: quote(sign_type) }),
        }
    }
}

/// Exactly one: two would be none.
fn purpose(settings: &Settings) -> Result<Purpose, SettingsError> {
    let words = accounts::texts(settings, PURPOSE, 2, |word| !word.is_empty());
    let words = words?.ok_or(SettingsError::new(PURPOSE, "missing"))?;
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [PAYMENT] => Ok(Purpose::Payment),
        [PAYOUT] => Ok(Purpose::Payout),
        [_, _, ..] => Err(SettingsError::new(PURPOSE, "out_of_range").because("2 > 1")),
        _ => Err(SettingsError::new(PURPOSE, "unknown_word").because(format!("{PAYMENT}, {PAYOUT}"))),
    }
}

fn sign_types(settings: &Settings) -> Result<Vec<&'static str>, SettingsError> {
    let Some(words) = accounts::texts(settings, SIGN_TYPES, 2, |_| true)? else { return Ok(vec![RSA]) };
    let known = |word: &String| [RSA, MD5].into_iter().find(|known| word == known);
    let unknown = || SettingsError::new(SIGN_TYPES, "unknown_word").because(format!("{RSA}, {MD5}"));
    words.iter().map(|word| known(word).ok_or_else(unknown)).collect()
}

fn rsa(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<PlainRsa, SettingsError> {
    let key = accounts::platform_key(settings, KEY, OWN_KEY)?;
    notes.push(accounts::key_note(KEY, &key));
    PlainRsa::new(KEY, &key, KEY)
}

fn md5(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<SecretDigest, SettingsError> {
    let missing = || SettingsError::new(MD5_KEY, "missing");
    let secret = settings.long_secret(MD5_KEY, MD5_KEY_CHARS_MIN)?.ok_or_else(missing)?;
    // Anybody knows a public key, and so anybody could sign with it.
    if PublicKey::read(MD5_KEY, secret).is_ok() {
        return Err(SettingsError::new(MD5_KEY, "wrong_algorithm").because(KEY));
    }
    notes.push(accounts::secret_note(MD5_KEY, MD5));
    SecretDigest::new(secret, DigestHash::Md5, HexCase::Lower, MD5_KEY).ok_or_else(missing)
}
