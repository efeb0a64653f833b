//! What a merchant configures for a gateway account, and the checks that make it a channel or refuse it.

use zeroize::Zeroizing;

use crate::channel::KeyNote;
use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::DigestHash;
use crate::signature::hmac::{HmacHash, HmacKey};

/// Most key pairs at a time: the current one and those of a rotation.
const PAIRS_MAX: usize = 4;

/// Shortest private key, in bytes; real ones have 32 hexadecimal digits.
const PRIVATE_BYTES_MIN: usize = 16;

/// Longest public key, in bytes; real ones have 16 letters and digits.
const PUBLIC_BYTES_MAX: usize = 64;

pub(super) const MERCHANT: &str = "merchant_id";
pub(super) const ACCOUNTS: &str = "merchant_accounts";
pub(super) const PUBLIC: &str = "public_key";
pub(super) const PRIVATE: &str = "private_key";
const PRIVATE_FILES: &str = "private_key_files";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: MERCHANT,
        kind: SettingKind::Text,
        is_required: true,
        help: Text {
            en: "the merchant id of your gateway account: numbers are unique within it, so do not change it later; Control \
                 Panel: Settings > API > API Keys, or the user menu. It is not a merchant account id",
            zh: "网关账户的 Merchant ID：各类单号在其范围内唯一，启用后不要改动；见 Control Panel 的 Settings > API > API Keys 或\
                 右上角用户菜单。不是 merchant account id",
        },
        example: "abc123xyz456def7",
    },
    Setting {
        name: ACCOUNTS,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "your merchant account ids (one for each currency, as a rule); Control Panel: Business > Merchant Accounts. \
                 Webhooks about another account are held",
            zh: "您的 merchant account id（通常每个币种一个）；见 Control Panel 的 Business > Merchant Accounts。\
                 涉及其他账户的通知会被挂起",
        },
        example: "[\"exampleshop1\"]",
    },
    Setting {
        name: PUBLIC,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "the public key of an API key; Control Panel: Settings > API > API Keys. Each webhook is signed with every key \
                 of the account, and only the signature of this one counts. During a rotation a list: the first one answers \
                 when Braintree checks this address",
            zh: "API key 的 Public Key；见 Control Panel 的 Settings > API > API Keys。每条通知附有账户下所有 key 的签名，只核对这一个。\
                 轮换期间可写成列表，Braintree 校验本地址时用第一个应答",
        },
        example: "abcd1234efgh5678",
    },
    Setting {
        name: PRIVATE,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the private key of the same API key: \"View\" beside it on the same page. The sandbox has other keys",
            zh: "同一 API key 的 Private Key：同一页面点「View」查看。沙箱环境的 key 不同",
        },
        example: "braintree_private_key",
    },
    Setting {
        name: PRIVATE_FILES,
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: Text {
            en: "instead of `private_key` during a rotation: one file for each entry of `public_key`, in the same order",
            zh: "轮换期间代替 `private_key`：与 `public_key` 列表一一对应的私钥文件，顺序相同",
        },
        example: "[\"keys/braintree_private_new\", \"keys/braintree_private_old\"]",
    },
];

/// A public key, and what checks and makes the signatures that go by it.
#[derive(Debug)]
pub(super) struct KeyPair {
    /// The name of the pair, which stands before its signatures.
    pub(super) public: String,
    /// HMAC-SHA1 under the SHA-1 of the private key.
    pub(super) key: HmacKey,
}

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The gateway account.
    pub(super) merchant: String,
    /// Its merchant accounts; never empty.
    pub(super) accounts: Vec<String>,
    /// What proves a message; never empty.
    pub(super) pairs: Vec<KeyPair>,
}

impl Config {
    /// Checks the settings. Fails closed: no key pair, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let merchant = settings.required_text(MERCHANT)?.trim();
        if !is_id(merchant) {
            return Err(SettingsError::new(MERCHANT, "malformed_id"));
        }
        let accounts = accounts::texts(settings, ACCOUNTS, accounts::ACCOUNTS_MAX, is_id)?;
        Ok(Self {
            environment: settings.environment,
            merchant: merchant.to_owned(),
            accounts: accounts.ok_or(SettingsError::new(ACCOUNTS, "missing"))?,
            pairs: pairs(settings)?,
        })
    }

    /// Whether messages about this merchant account are expected.
    pub(super) fn is_own(&self, account: &str) -> bool {
        self.accounts.iter().any(|own| own == account)
    }

    /// Public facts about the key pairs: that they are there, and nothing of the private halves.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        self.pairs.iter().map(|pair| accounts::secret_note(&pair.public, &pair.key.hash().to_string())).collect()
    }
}

/// Letters, digits and what else ids have.
fn is_id(text: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_right)
}

/// The same, and never what separates pairs in a signature.
fn is_public(text: &str) -> bool {
    is_id(text) && text.len() <= PUBLIC_BYTES_MAX
}

fn pairs(settings: &Settings) -> Result<Vec<KeyPair>, SettingsError> {
    let publics = accounts::texts(settings, PUBLIC, PAIRS_MAX, is_public)?;
    let publics = publics.ok_or(SettingsError::new(PUBLIC, "missing"))?;
    let twice = publics.iter().enumerate().any(|(at, key)| publics[..at].contains(key));
    if twice {
        return Err(SettingsError::new(PUBLIC, "relation").because(PUBLIC));
    }
    let (name, files): (_, Vec<&[u8]>) = match (settings.key(PRIVATE), settings.keys(PRIVATE_FILES)) {
        (Some(_), Some(_)) => return Err(SettingsError::new(PRIVATE, "either_or").because(PRIVATE_FILES)),
        (None, None) => return Err(SettingsError::new(PRIVATE, "missing")),
        (Some(file), None) => (PRIVATE, vec![file]),
        (None, Some(files)) => (PRIVATE_FILES, files.iter().map(|file| file.as_slice()).collect()),
    };
    if files.is_empty() {
        return Err(SettingsError::new(name, "empty_list"));
    }
    // A private half that has ended takes its public half with it.
    let ended = |place: usize| settings.is_gap(PRIVATE_FILES, place);
    let publics: Vec<String> =
        publics.into_iter().enumerate().filter(|(place, _)| !ended(*place)).map(|(_, public)| public).collect();
    if files.len() != publics.len() {
        let counts = format!("{} / {}", files.len(), publics.len());
        return Err(SettingsError::new(name, "relation").because(format!("{PUBLIC}: {counts}")));
    }
    publics.into_iter().zip(files).map(|(public, file)| pair(name, public, file)).collect()
}

fn pair(name: &'static str, public: String, file: &[u8]) -> Result<KeyPair, SettingsError> {
    let line = file.strip_suffix(b"\n").unwrap_or(file);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.trim_ascii().is_empty() {
        return Err(SettingsError::new(name, "missing"));
    }
    if !line.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Err(SettingsError::new(name, "malformed"));
    }
    // Every webhook shows the public key: whoever has seen one could sign the next.
    if line == public.as_bytes() {
        return Err(SettingsError::new(name, "relation").because(PUBLIC));
    }
    if line.len() < PRIVATE_BYTES_MIN {
        let count = format!("{} < {PRIVATE_BYTES_MIN}", line.len());
        return Err(SettingsError::new(name, "too_short").because(count));
    }
    let key = key_of(line, &public);
    Ok(KeyPair { public, key })
}

/// What signs in the name of a public key.
pub(super) fn key_of(private: &[u8], public: &str) -> HmacKey {
    let derived = Zeroizing::new(DigestHash::Sha1.of(&[private]));
    HmacKey::new(&derived, HmacHash::Sha1, public)
}
