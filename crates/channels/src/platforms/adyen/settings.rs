//! What a merchant configures for an endpoint, and the checks that make it a channel or refuse it.

use zeroize::Zeroizing;

use crate::channel::KeyNote;
use crate::model::Environment;
use crate::model::fact::NAME_BYTES_MAX;
use crate::platforms::accounts;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::basic::BasicCredential;
use crate::signature::hmac::{HmacHash, HmacKey};

/// Most keys at a time: the current one and those of a rotation.
const KEYS_MAX: usize = 4;

/// Digits of a key: 32 bytes.
const KEY_DIGITS: usize = 64;

pub(super) const ACCOUNTS: &str = "merchant_accounts";
pub(in crate::platforms) const KEY: &str = "hmac_key";
pub(in crate::platforms) const KEY_FILES: &str = "hmac_key_files";
pub(super) const CAPTURE: &str = "capture";
const USER: &str = "basic_user";
const PASSWORD: &str = "basic_password";

const CAPTURE_WORDS: &[&str] = &["immediate", "later", "in_parts"];

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: ACCOUNTS,
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "your merchant accounts whose webhooks come here (not the company account); Customer Area: the account \
                 switcher at the top. Webhooks of another account are held. The webhook's method must be JSON",
            zh: "此地址接收哪些商户账户（merchant account，不是公司账户）的通知；见 Customer Area 顶部的账户切换。其他账户的通知会被挂起。\
                 通知端点的 Method 须选 JSON",
        },
        example: "[\"ExampleShop1ECOM01\"]",
    },
    Setting { name: KEY, kind: SettingKind::SecretKey, is_required: false, help: KEY_HELP, example: "adyen_hmac_key" },
    Setting {
        name: KEY_FILES,
        kind: SettingKind::SecretFiles,
        is_required: false,
        help: KEY_FILES_HELP,
        example: "[\"keys/adyen_hmac_new\", \"keys/adyen_hmac_old\"]",
    },
    Setting {
        name: CAPTURE,
        kind: SettingKind::Words(CAPTURE_WORDS),
        is_required: true,
        help: Text {
            en: "when money is taken: [\"immediate\"] when an authorisation is the payment; [\"later\"] when it is captured \
                 after a delay or by hand, in one piece; [\"in_parts\"] when one payment is captured in several pieces, each \
                 of which is then a payment of its own here. Customer Area: Settings > Account settings > Capture delay",
            zh: "何时请款：[\"immediate\"] 授权即付款；[\"later\"] 延迟或手动、一次性请款；[\"in_parts\"] 同一付款分多次请款，\
                 此时每次请款各算一笔付款。见 Customer Area 的 Settings > Account settings > Capture delay",
        },
        example: "[\"immediate\"]",
    },
    Setting {
        name: USER,
        kind: SettingKind::Text,
        is_required: false,
        help: Text {
            en: "the user name of the webhook's basic authentication; Customer Area: Developers > Webhooks > the webhook > \
                 Security. With it every request must show it. Without it, kinds that Adyen does not sign \
                 (REPORT_AVAILABLE) are refused, and Adyen's queue waits behind them: do not subscribe to those, or set it",
            zh: "通知端点的 Basic 认证用户名；见 Customer Area 的 Developers > Webhooks > 对应端点 > Security。填写后每个请求都必须携带。\
                 未填写时，Adyen 不签名的类型（如 REPORT_AVAILABLE）会被拒绝并堵住后续通知：请不要订阅这些类型，或填写此项",
        },
        example: "tollbell",
    },
    Setting {
        name: PASSWORD,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "the password of the webhook's basic authentication, beside `basic_user`",
            zh: "通知端点的 Basic 认证密码，与 `basic_user` 一起填写",
        },
        example: "adyen_basic_password",
    },
];

/// The help of the key, which both kinds of webhooks have.
pub(in crate::platforms) const KEY_HELP: Text = Text {
    en: "the webhook's HMAC key: 64 hexadecimal digits, shown once when it is generated; Customer Area: Developers > Webhooks \
         > the webhook > Security > HMAC key. Test and live have different ones",
    zh: "此通知端点的 HMAC 密钥：64 位十六进制，仅在生成时显示一次；见 Customer Area 的 Developers > Webhooks > 对应端点 > \
         Security > HMAC key。测试与正式环境不同",
};

/// The same for several keys.
pub(in crate::platforms) const KEY_FILES_HELP: Text = Text {
    en: "instead of `hmac_key` during a rotation: several files, any of them may match. A new key needs some time until Adyen \
         signs with it",
    zh: "轮换密钥期间代替 `hmac_key`：列出多个密钥文件，任意一个匹配即可。新密钥需要一段时间才会生效",
};

/// When money is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// With the authorisation.
    Immediate,
    /// After it, in one piece.
    Later,
    /// After it, in several.
    InParts,
}

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The merchant's accounts; never empty.
    pub(super) accounts: Vec<String>,
    /// What proves an item; never empty.
    pub(super) keys: Vec<HmacKey>,
    /// When money is taken.
    pub(super) capture: Capture,
    /// What the sender shows, where it is configured.
    pub(super) basic: Option<BasicCredential>,
}

impl Config {
    /// Checks the settings. Fails closed: no key, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let found = accounts::texts(settings, ACCOUNTS, accounts::ACCOUNTS_MAX, is_account)?;
        Ok(Self {
            environment: settings.environment,
            accounts: found.ok_or(SettingsError::new(ACCOUNTS, "missing"))?,
            keys: keys(settings)?,
            capture: capture(settings)?,
            basic: basic(settings)?,
        })
    }

    /// Whether items of this account are expected.
    pub(super) fn is_own(&self, account: &str) -> bool {
        self.accounts.iter().any(|own| own == account)
    }

    /// Public facts about the keys: that they are there, and nothing of them.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        let mut notes = key_notes(&self.keys);
        notes.extend(self.basic.iter().map(|basic| accounts::secret_note(basic.label(), "Basic")));
        notes
    }
}

/// Letters, digits and what else account codes have; never what separates values under the signature.
fn is_account(text: &str) -> bool {
    let is_right = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_right)
}

/// The keys of an endpoint: one, or several during a rotation.
pub(in crate::platforms) fn keys(settings: &Settings) -> Result<Vec<HmacKey>, SettingsError> {
    match (settings.key(KEY), settings.keys(KEY_FILES)) {
        (Some(_), Some(_)) => Err(SettingsError::new(KEY, "either_or").because(KEY_FILES)),
        (None, None) => Err(SettingsError::new(KEY, "missing")),
        (Some(file), None) => Ok(vec![key(KEY, file, KEY)?]),
        (None, Some([])) => Err(SettingsError::new(KEY_FILES, "empty_list")),
        (None, Some(files)) if files.len() > KEYS_MAX => {
            Err(SettingsError::new(KEY_FILES, "out_of_range").because(format!("{} > {KEYS_MAX}", files.len())))
        }
        (None, Some(files)) => {
            let read =
                |(at, file): (usize, &Zeroizing<Vec<u8>>)| key(KEY_FILES, file, &settings.key_label(KEY_FILES, at));
            files.iter().enumerate().map(read).collect()
        }
    }
}

/// A key in hexadecimal, of either case, without the blanks that an editor or a copy button leaves around it.
fn key(name: &'static str, file: &[u8], label: &str) -> Result<HmacKey, SettingsError> {
    let text = file.trim_ascii();
    if text.is_empty() {
        return Err(SettingsError::new(name, "missing"));
    }
    let bad = || SettingsError::new(name, "malformed").because(format!("{KEY_DIGITS} hexadecimal digits"));
    if text.len() != KEY_DIGITS {
        return Err(bad());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let bytes: Option<Vec<u8>> = text.chunks_exact(2).map(byte).collect();
    let bytes = Zeroizing::new(bytes.ok_or_else(bad)?);
    Ok(HmacKey::new(&bytes, HmacHash::Sha256, label))
}

/// Keys, for people.
pub(in crate::platforms) fn key_notes(keys: &[HmacKey]) -> Vec<KeyNote> {
    keys.iter().map(|key| accounts::secret_note(key.label(), &key.hash().to_string())).collect()
}

fn capture(settings: &Settings) -> Result<Capture, SettingsError> {
    let unknown = || SettingsError::new(CAPTURE, "unknown_word").because(CAPTURE_WORDS.join(", "));
    match settings.texts(CAPTURE) {
        None => Err(SettingsError::new(CAPTURE, "missing")),
        Some([]) => Err(SettingsError::new(CAPTURE, "empty_list")),
        Some([word]) => match word.as_str() {
            "immediate" => Ok(Capture::Immediate),
            "later" => Ok(Capture::Later),
            "in_parts" => Ok(Capture::InParts),
            _ => Err(unknown()),
        },
        Some(_) => Err(SettingsError::new(CAPTURE, "out_of_range").because(CAPTURE_WORDS.join(" | "))),
    }
}

fn basic(settings: &Settings) -> Result<Option<BasicCredential>, SettingsError> {
    match (settings.text(USER).map(str::trim), settings.secret_line(PASSWORD)?) {
        (None, None) => Ok(None),
        (Some(user), Some(password)) => {
            let credential = BasicCredential::new(user.as_bytes(), password, PASSWORD);
            credential.map(Some).ok_or(SettingsError::new(USER, "malformed"))
        }
        (Some(_), None) => Err(SettingsError::new(PASSWORD, "missing")),
        (None, Some(_)) => Err(SettingsError::new(USER, "missing")),
    }
}
