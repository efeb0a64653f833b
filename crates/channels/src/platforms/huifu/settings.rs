//! What a merchant configures for a Huifu channel, and the checks that make it a channel or refuse it.

use super::super::accounts;
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::rsa::{RsaHash, RsaVerifier};

/// Most further kinds of payment.
const PAYMENT_TYPES_MAX: usize = 64;

/// Longest word of a kind of transaction (Huifu 斗拱, common parameters).
const TYPE_CHARS_MAX: usize = 40;

const HUIFU_ID: &str = "huifu_id";
const KEY: &str = "huifu_public_key";
const OWN_KEY: &str = "merchant_public_key";
const PAYMENT_TYPES: &str = "payment_types";

/// How `huifu_id` is described, for the webhooks too.
pub(in super::super) const HUIFU_ID_SETTING: Setting = Setting {
    name: HUIFU_ID,
    kind: SettingKind::Texts,
    is_required: true,
    help: Text {
        en: "merchant numbers (huifu_id) whose transactions are expected, one or more, shown in the Huifu console under \
             merchant information; messages for others are held",
        zh: "汇付商户号（huifu_id），可填多个，在汇付控台的商户信息中查看；其他商户的通知会被挂起",
    },
    example: "6666000000000001",
};

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    HUIFU_ID_SETTING,
    Setting {
        name: KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "Huifu's public key, from the Huifu console under developer information, interface keys; not your own public key",
            zh: "汇付公钥，在汇付控台「开发者信息 / 接口密钥」中查看；不是商户自己的公钥",
        },
        example: "huifu_public.pem",
    },
    Setting {
        name: OWN_KEY,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "your own public key as you gave it to Huifu; only to notice when the two were mixed up",
            zh: "商户自己提交给汇付的公钥；仅用于发现两把公钥填反的情况",
        },
        example: "merchant_public.pem",
    },
    Setting {
        name: PAYMENT_TYPES,
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "further words of `trans_type` that are payments in your products (for instance of online banking); without \
                 it such messages are held for a person",
            zh: "贵司产品中同样属于支付的其他 `trans_type` 取值（例如网银类）；未填写时，此类通知会被挂起等待人工处理",
        },
        example: "QUICK_PAY",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The accounts whose transactions these are; never empty.
    pub(super) huifu_ids: Vec<String>,
    /// Further kinds of payment.
    pub(super) payment_types: Vec<String>,
    /// What proves a message.
    pub(super) verifier: RsaVerifier,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let huifu_ids = accounts::ids(settings, HUIFU_ID)?;
        let payment_types = accounts::texts(settings, PAYMENT_TYPES, PAYMENT_TYPES_MAX, is_type)?.unwrap_or_default();
        let key = accounts::platform_key(settings, KEY, OWN_KEY)?;
        let verifier = RsaVerifier::new(KEY, &key, RsaHash::Sha256, KEY)?;
        let notes = vec![accounts::key_note(KEY, &key)];
        Ok(Self { environment: settings.environment, huifu_ids, payment_types, verifier, notes })
    }
}

/// A refund can never be declared a payment.
fn is_type(text: &str) -> bool {
    let is_word = (1..=TYPE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_word && !text.contains("REFUND")
}
