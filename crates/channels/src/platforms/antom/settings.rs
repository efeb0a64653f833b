//! What a merchant configures for an Antom client, and the checks that make it a channel or refuse it.

use super::header::is_version;
use crate::channel::{KeyNote, quote};
use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::key::PublicKey;
use crate::signature::rsa::{RsaHash, RsaVerifier};

/// Most addresses of one channel: payments, captures, refunds and disputes may have one each.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Longest address, in bytes.
const ADDRESS_BYTES_MAX: usize = 2048;

/// How client ids of the sandbox begin; Antom's own libraries tell them by it.
const SANDBOX: &str = "SANDBOX_";

pub(super) const CLIENTS: &str = "client_id";
pub(super) const KEY: &str = "antom_public_key";
pub(super) const VERSION: &str = "key_version";
pub(super) const NEXT_KEY: &str = "next_public_key";
pub(super) const NEXT_VERSION: &str = "next_key_version";
pub(super) const OWN_KEY: &str = "merchant_public_key";
pub(super) const ADDRESSES: &str = "notify_urls";
pub(super) const CAPTURE: &str = "capture";

const CAPTURE_WORDS: &[&str] = &["immediate", "later", "in_parts"];

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: CLIENTS,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "your client id, several if they share this address; Antom Dashboard: Developer > Quick start > Integration \
                 resources and tools > Integration settings > Client ID. One of the sandbox begins with SANDBOX_. A \
                 notification that names another is refused",
            zh: "客户端编号（Client ID），共用此地址的可填多个；见 Antom Dashboard 的「开发者 > 快速开始 > 集成资源和工具 > 集成设置」。\
                 沙箱的以 SANDBOX_ 开头。写着其他编号的通知会被拒绝",
        },
        example: "5J00000000000001",
    },
    Setting {
        name: KEY,
        kind: SettingKind::PublicKey,
        is_required: true,
        help: Text {
            en: "Antom's public key, as the dashboard shows it: base64 of 392 characters or so, beside the client id. It is \
                 not the key that you uploaded there yourself. Sandbox and live have different ones",
            zh: "Antom 公钥，原样复制（约 392 个字符的 base64），与 Client ID 显示在同一处；不是您自己上传的商户公钥。沙箱与正式环境不同",
        },
        example: "antom_public.pem",
    },
    Setting {
        name: VERSION,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the version of that key: `keyVersion` in the header `signature` of its notifications. Without it the key \
                 counts for every version",
            zh: "该公钥的版本，即通知请求头 `signature` 中的 `keyVersion`；不填则对任何版本都使用此公钥",
        },
        example: "1",
    },
    Setting {
        name: NEXT_KEY,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "while Antom changes its key: the other one. Both keys need their versions then",
            zh: "Antom 更换公钥期间的另一个公钥；此时两个公钥都必须填写版本",
        },
        example: "antom_public_next.pem",
    },
    Setting {
        name: NEXT_VERSION,
        kind: SettingKind::Text,
        is_required: false,
        help: Text { en: "the version of the other key", zh: "另一个公钥的版本" },
        example: "2",
    },
    Setting {
        name: OWN_KEY,
        kind: SettingKind::PublicKey,
        is_required: false,
        help: Text {
            en: "your own public key, the one that you uploaded to the dashboard: only to notice when it is in place of Antom's",
            zh: "您上传到 Dashboard 的商户公钥；仅用于发现它被误填为 Antom 公钥",
        },
        example: "merchant_public.pem",
    },
    Setting {
        name: ADDRESSES,
        kind: SettingKind::Texts,
        is_required: false,
        help: Text {
            en: "the notification addresses as Antom knows them (the dashboard's Notification URL, `paymentNotifyUrl`, \
                 `refundNotifyUrl`), whole or from the path on: their path is signed. Needed when a proxy changes the path on \
                 its way here; without it the path of the request itself counts",
            zh: "Antom 所知的通知地址（Dashboard 的「通知地址」、`paymentNotifyUrl`、`refundNotifyUrl`），可填完整地址或从路径开始：\
                 其路径参与签名。反向代理改写路径时必填；不填则按收到的请求路径验签",
        },
        example: "[\"https://pay.example.com/notify/antom\"]",
    },
    Setting {
        name: CAPTURE,
        kind: SettingKind::Words(CAPTURE_WORDS),
        is_required: true,
        help: Text {
            en: "what a card's successful PAYMENT_RESULT is, since it only says that the bank agreed: [\"later\"]: an \
                 authorisation, and the CAPTURE_RESULT is the payment (it names `paymentId`, and no order number); \
                 [\"in_parts\"]: the same, and each of several captures is a payment of its own; [\"immediate\"]: the payment \
                 itself, for whoever lets Antom capture at once and ships then. Wallets and bank transfers are paid in any \
                 case",
            zh: "银行卡支付成功的 PAYMENT_RESULT 只表示银行已授权，如何处理：[\"later\"] 视为预授权，以 CAPTURE_RESULT 为付款\
                 （其中只有 `paymentId`，没有订单号）；[\"in_parts\"] 同上，且多次请款各算一笔付款；[\"immediate\"] 直接视为付款，\
                 适用于由 Antom 自动请款且授权后即发货的商户。电子钱包与银行转账不受影响",
        },
        example: "[\"later\"]",
    },
];

/// When a card's money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// With the authorisation, as far as the merchant is concerned.
    Immediate,
    /// After it, in one piece.
    Later,
    /// After it, in several.
    InParts,
}

/// One of the platform's keys.
#[derive(Debug)]
struct Key {
    /// What messages call it; none when it is the only one and counts for all.
    version: Option<String>,
    verifier: RsaVerifier,
}

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's clients; never empty.
    client_ids: Vec<String>,
    /// What proves a message; never empty.
    keys: Vec<Key>,
    /// The signed paths with their queries; empty when the request's own counts.
    pub(super) paths: Vec<String>,
    /// When a card's money is taken.
    pub(super) capture: Capture,
    /// Public facts about the keys, for people.
    pub(super) notes: Vec<KeyNote>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let client_ids = accounts::texts(settings, CLIENTS, accounts::ACCOUNTS_MAX, is_client)?
            .ok_or(SettingsError::new(CLIENTS, "missing"))?;
        let is_of_sandbox = client_ids.iter().any(|id| id.starts_with(SANDBOX));
        if settings.environment == Environment::Live && is_of_sandbox {
            return Err(SettingsError::new(CLIENTS, "relation").because("environment"));
        }
        let mut notes = Vec::new();
        let keys = keys(settings, &mut notes)?;
        let (environment, paths, capture) = (settings.environment, paths(settings)?, capture(settings)?);
        Ok(Self { environment, client_ids, keys, paths, capture, notes })
    }

    /// Whether a client is one of ours.
    pub(super) fn is_own(&self, client_id: &str) -> bool {
        self.client_ids.iter().any(|own| own == client_id)
    }

    /// The key of a version. A key without one counts for every version: the version is not under the signature, so it
    /// proves nothing, and the key that is configured is the only one that is believed.
    pub(super) fn key(&self, version: &str) -> Option<&RsaVerifier> {
        let is_called = |key: &&Key| key.version.as_deref().is_none_or(|own| own == version);
        self.keys.iter().find(is_called).map(|key| &key.verifier)
    }

    /// Whether one of the keys verifies a signature.
    pub(super) fn believes(&self, text: &[u8], signature: &[u8]) -> bool {
        self.keys.iter().any(|key| key.verifier.verify(text, signature, "probe").is_some())
    }
}

/// Letters, digits, `_` and `-`: never the dot, which stands behind it in the signed text.
fn is_client(text: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_right)
}

fn keys(settings: &Settings, notes: &mut Vec<KeyNote>) -> Result<Vec<Key>, SettingsError> {
    let own = settings.key(OWN_KEY).map(|file| PublicKey::read(OWN_KEY, file)).transpose()?;
    let mut read = |name: &'static str, version: Option<String>| -> Result<Option<Key>, SettingsError> {
        let Some(file) = settings.key(name) else { return Ok(None) };
        let key = PublicKey::read(name, file)?;
        if own.as_ref() == Some(&key) {
            return Err(SettingsError::new(name, "own_public_key"));
        }
        let label = version.as_deref().map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
        let verifier = RsaVerifier::new(name, &key, RsaHash::Sha256, &label)?;
        notes.push(accounts::key_note(&label, &key));
        Ok(Some(Key { version, verifier }))
    };
    let (version, next_version) = (version(settings, VERSION)?, version(settings, NEXT_VERSION)?);
    let first = read(KEY, version.clone())?.ok_or(SettingsError::new(KEY, "missing"))?;
    match (read(NEXT_KEY, next_version.clone())?, &version, &next_version) {
        (None, _, None) => Ok(vec![first]),
        (None, _, Some(_)) => Err(SettingsError::new(NEXT_KEY, "missing")),
        (Some(_), None, _) => Err(SettingsError::new(VERSION, "missing")),
        (Some(_), _, None) => Err(SettingsError::new(NEXT_VERSION, "missing")),
        (Some(_), Some(one), Some(other)) if one == other => {
            Err(SettingsError::new(NEXT_VERSION, "relation").because(VERSION))
        }
        (Some(next), ..) => Ok(vec![first, next]),
    }
}

fn version(settings: &Settings, name: &'static str) -> Result<Option<String>, SettingsError> {
    match settings.text(name).map(str::trim) {
        None => Ok(None),
        Some(text) if is_version(text) => Ok(Some(text.to_owned())),
        Some(text) => Err(SettingsError::new(name, "malformed_id").because(quote(text))),
    }
}

fn paths(settings: &Settings) -> Result<Vec<String>, SettingsError> {
    let found = accounts::texts(settings, ADDRESSES, ADDRESSES_MAX, |text| path(text).is_some())?;
    Ok(found.unwrap_or_default().iter().filter_map(|text| path(text)).collect())
}

/// Path and query of an address, as a client asks for them.
fn path(address: &str) -> Option<String> {
    let is_right = address.len() <= ADDRESS_BYTES_MAX && address.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_right || address.contains('#') {
        return None;
    }
    if address.starts_with('/') {
        return Some(address.to_owned());
    }
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let (machine, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let slash = if path.starts_with('/') { "" } else { "/" };
    (!machine.is_empty()).then(|| format!("{slash}{path}"))
}

fn capture(settings: &Settings) -> Result<Capture, SettingsError> {
    match settings.texts(CAPTURE) {
        None => Err(SettingsError::new(CAPTURE, "missing")),
        Some([]) => Err(SettingsError::new(CAPTURE, "empty_list")),
        Some([word]) => match word.as_str() {
            "immediate" => Ok(Capture::Immediate),
            "later" => Ok(Capture::Later),
            "in_parts" => Ok(Capture::InParts),
            _ => Err(SettingsError::new(CAPTURE, "unknown_word").because(CAPTURE_WORDS.join(", "))),
        },
        Some(_) => Err(SettingsError::new(CAPTURE, "out_of_range").because(CAPTURE_WORDS.join(" | "))),
    }
}
