//! What a merchant configures for a channel of guaranteed payment, and the checks that make it a channel or refuse it.

use crate::channel::KeyNote;
use crate::model::Environment;
use crate::platforms::douyin;
use crate::settings::{Setting, SettingKind, Settings, SettingsError, Text};
use crate::signature::digest::{DigestHash, HexCase, SecretDigest};

/// Fewest characters of a token: a shorter one could be found by trying, from one callback that somebody saw.
pub(super) const TOKEN_CHARS_MIN: usize = 8;

/// Longest token.
pub(super) const TOKEN_CHARS_MAX: usize = 256;

/// Most tokens before the present one; each costs a digest of the whole message.
pub(super) const FORMER_TOKENS_MAX: usize = 8;

/// No token may hold the character with which a message begins: where it stands, the message's first one must be.
const BEGIN: u8 = b'{';

const TOKEN: &str = "token";
const FORMER: &str = "former_tokens";

/// The settings, in the order in which they are shown.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "appid",
        kind: SettingKind::Texts,
        is_required: true,
        help: Text {
            en: "ids of the mini programs that share the token (AppID, begins with tt), shown in the Douyin Open Platform \
                 console; messages about another one are held",
            zh: "使用该 Token 的小程序 AppID（tt 开头），见抖音开放平台控制台，可填多个；其他小程序的通知会被挂起",
        },
        example: "tt07e3715e98c9aac0",
    },
    Setting {
        name: TOKEN,
        kind: SettingKind::SecretKey,
        is_required: true,
        help: Text {
            en: "the Token of the payment settings in the mini program's console (not the SALT): at least 8 visible \
                 characters and no `{`",
            zh: "小程序控制台「支付设置」中的 Token（不是 SALT）：至少 8 个可见字符，且不含 `{`",
        },
        example: "douyin_token",
    },
    Setting {
        name: FORMER,
        kind: SettingKind::SecretKey,
        is_required: false,
        help: Text {
            en: "tokens that were valid before, one a line: an order keeps the token under which it was paid",
            zh: "以前用过的 Token，每行一个：订单沿用支付时有效的 Token",
        },
        example: "douyin_former_tokens",
    },
];

/// A channel's configuration, checked.
#[derive(Debug)]
pub(super) struct Config {
    /// Live or sandbox.
    pub(super) environment: Environment,
    /// The mini programs; never empty.
    pub(super) app_ids: Vec<String>,
    /// The present token, and those before it.
    pub(super) tokens: Vec<SecretDigest>,
}

impl Config {
    /// Checks the settings. Fails closed: no token, no channel.
    pub(super) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let app_ids = douyin::app_ids(settings, "appid")?;
        let present = settings.secret_line(TOKEN)?.ok_or(SettingsError::new(TOKEN, "missing"))?;
        let mut tokens = vec![token(TOKEN, present, "token")?];
        if let Some(file) = settings.key(FORMER) {
            let file = file.strip_suffix(b"\n").unwrap_or(file);
            for (place, line) in file.split(|byte| *byte == b'\n').enumerate() {
                if place == FORMER_TOKENS_MAX {
                    let detail = format!("> {FORMER_TOKENS_MAX}");
                    return Err(SettingsError::new(FORMER, "out_of_range").because(detail));
                }
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                let former = token(FORMER, line, &format!("former token {}", place + 1))?;
                if tokens.iter().any(|other| other.secret() == former.secret()) {
                    return Err(SettingsError::new(FORMER, "relation").because(format!("line {}", place + 1)));
                }
                tokens.push(former);
            }
        }
        Ok(Self { environment: settings.environment, app_ids, tokens })
    }

    /// What there is to say about the tokens: that they are there.
    pub(super) fn notes(&self) -> Vec<KeyNote> {
        let note = |place: usize| KeyNote {
            label: if place == 0 { "token".to_owned() } else { format!("former token {place}") },
            algorithm: "SHA1".to_owned(),
            fingerprint: None,
            not_after: None,
        };
        (0..self.tokens.len()).map(note).collect()
    }
}

fn token(setting: &'static str, line: &[u8], label: &str) -> Result<SecretDigest, SettingsError> {
    if line.is_empty() {
        return Err(SettingsError::new(setting, "missing"));
    }
    if !line.iter().all(u8::is_ascii_graphic) || line.contains(&BEGIN) {
        return Err(SettingsError::new(setting, "malformed"));
    }
    if line.len() < TOKEN_CHARS_MIN {
        let detail = format!("{} < {TOKEN_CHARS_MIN}", line.len());
        return Err(SettingsError::new(setting, "too_short").because(detail));
    }
    if line.len() > TOKEN_CHARS_MAX {
        let detail = format!("{} > {TOKEN_CHARS_MAX}", line.len());
        return Err(SettingsError::new(setting, "out_of_range").because(detail));
    }
    SecretDigest::new(line, DigestHash::Sha1, HexCase::Lower, label).ok_or(SettingsError::new(setting, "missing"))
}
