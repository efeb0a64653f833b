//! What a merchant configures for a channel of the account generation, and the checks that make it a channel or
//! refuse it.

use super::super::accounts;
use super::super::lianlian::{OWN_KEY_SETTING, PARTNER_SETTING};
use super::facts::is_payment;
use crate::channel::KeyNote;
use crate::model::Environment;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::plain_rsa::PlainRsa;

const KEY: &str = "accp_public_key";
const OTHER_TYPES: &str = "other_types";

/// Most kinds that the application reads by itself; a dozen are known.
const OTHER_TYPES_MAX: usize = 64;

/// Longest word of a kind of transaction; the longest that is known has 21 characters.
const TYPE_CHARS_MAX: usize = 40;

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    PARTNER_SETTING,
    Setting {
        name: KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "LianLian's public key of the account platform (账户+), from its integration package; not that of the classic \
                 interface, and not your own",
            zh: "连连账户+平台公钥，在账户+接入资料包中取得；不是经典接口的银通公钥，也不是商户自己的公钥",
        },
        example: "lianlian_accp_public.pem",
    },
    OWN_KEY_SETTING,
    Setting {
        name: OTHER_TYPES,
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "words of `txn_type` whose notices your application reads by itself (top-ups, withdrawals, transfers between \
                 accounts): they go on to it as `other`. Without it such notices are held for a person, since no document \
                 says how they tell success from failure",
            zh: "由你的应用自行解读的 `txn_type`（充值、提现、代发等）：这些通知以 `other` 转交应用。未填写时此类通知会被挂起\
                 等待人工处理，因为没有文档说明其成功与失败如何表示",
        },
        example: "ACCT_CASH_OUT",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's numbers; never empty.
    pub(super) partners: Vec<String>,
    /// Kinds of transactions that the application reads by itself.
    pub(super) other_types: Vec<String>,
    /// What proves a message.
    pub(super) key: PlainRsa,
    /// Public facts about the key, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let partners = accounts::ids(settings, PARTNER_SETTING.name)?;
        let other_types = accounts::texts(settings, OTHER_TYPES, OTHER_TYPES_MAX, is_type)?.unwrap_or_default();
        let key = accounts::platform_key(settings, KEY, OWN_KEY_SETTING.name)?;
        let notes = vec![accounts::key_note(KEY, &key)];
        let key = PlainRsa::new(KEY, &key, KEY)?;
        Ok(Self { environment: settings.environment, partners, other_types, key, notes })
    }
}

/// A payment can never be declared something else.
fn is_type(text: &str) -> bool {
    let is_word = (1..=TYPE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_word && !is_payment(text)
}
