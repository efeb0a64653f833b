//! The head of a preset's file: what people must know of the platform, and what a merchant must give.

use std::time::Duration;

use super::file::Recipe;
use super::{KEY_ID, leaked};
use crate::channel::Ladder;
use crate::settings::tree::Node;
use crate::settings::{Setting, SettingKind, SettingsError, Text};

/// Most entries of a list in a head.
const LIST_MAX: usize = 64;

/// What a file says of its platform.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) name: Text,
    pub(super) ladder: Ladder,
    pub(super) patience: Option<Duration>,
    pub(super) unconfirmed: &'static [Text],
    account: Described,
    secret: Described,
    key_id: Option<Described>,
    /// Texts that a merchant gives and the recipe names as `cfg:NAME`.
    pub(super) values: &'static [Value],
}

/// A text that a merchant gives.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) name: &'static str,
    described: Described,
}

/// What a setting is, where it is found, and an example.
#[derive(Clone, Copy, Debug)]
struct Described {
    help: Text,
    example: &'static str,
}

impl Head {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, SettingsError> {
        let known = ["name", "docs", "ladder", "patience", "unconfirmed", "account", "secret", KEY_ID, "values"];
        let keys = node.table(&known)?;
        // For the reader of the file, and for whoever checks it again.
        keys.required("docs")?.text()?;
        let ladder: Vec<Duration> =
            keys.required("ladder")?.one_or_many(LIST_MAX)?.iter().map(span).collect::<Result<_, _>>()?;
        let unconfirmed: Vec<Text> = match keys.get("unconfirmed") {
            Some(node) => node.one_or_many(LIST_MAX)?.iter().map(text).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        let values: Vec<Value> = match keys.get("values") {
            Some(node) => node.entries()?.into_iter().map(value).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self {
            name: text(keys.required("name")?)?,
            ladder: ladder.leak(),
            patience: keys.get("patience").map(span).transpose()?,
            unconfirmed: unconfirmed.leak(),
            account: described(keys.required("account")?)?,
            secret: described(keys.required("secret")?)?,
            key_id: keys.get(KEY_ID).map(described).transpose()?,
            values: values.leak(),
        })
    }

    /// The settings of a channel, in the order in which they are shown.
    pub(super) fn settings(&self, recipe: &Recipe) -> Vec<Setting> {
        let text = |name: &'static str, described: Described, is_required: bool| Setting {
            name,
            kind: SettingKind::Text,
            is_required,
            help: described.help,
            example: described.example,
        };
        let mut settings = vec![text("account", self.account, true)];
        settings.extend(self.values.iter().map(|value| text(value.name, value.described, true)));
        if let Some(key_id) = self.key_id.filter(|_| recipe.has_key_id()) {
            settings.push(text(KEY_ID, key_id, false));
        }
        settings.push(Setting {
            name: "secret",
            kind: SettingKind::SecretKey,
            is_required: false,
            help: self.secret.help,
            example: self.secret.example,
        });
        settings.push(if recipe.has_key_id() { SEVERAL_BY_ID } else { SEVERAL });
        settings
    }
}

/// Secrets during a rotation.
const SEVERAL: Setting = Setting {
    name: "secret_files",
    kind: SettingKind::SecretFiles,
    is_required: false,
    help: Text {
        en: "instead of `secret` during a rotation: several files, any of them may match",
        zh: "轮换密钥期间代替 `secret`:列出多个密钥文件,任意一个匹配即可",
    },
    example: "[\"keys/secret_new\", \"keys/secret_old\"]",
};

/// The same where each secret has an id.
const SEVERAL_BY_ID: Setting = Setting {
    name: "key",
    kind: SettingKind::Tree { secrets: &["secret"] },
    is_required: false,
    help: Text {
        en: "instead of `key_id` and `secret` during a rotation: one [[channel.key]] for each secret",
        zh: "轮换密钥期间代替 `key_id` 和 `secret`:每个密钥写一个 [[channel.key]]",
    },
    example: "[[channel.key]]\nid = \"key-1\"\nsecret_file = \"keys/key-1\"",
};

fn text(node: &Node<'_>) -> Result<Text, SettingsError> {
    let keys = node.table(&["en", "zh"])?;
    Ok(leaked(keys.required("en")?.text()?, keys.required("zh")?.text()?))
}

fn described(node: &Node<'_>) -> Result<Described, SettingsError> {
    let keys = node.table(&["en", "zh", "example"])?;
    Ok(Described {
        help: leaked(keys.required("en")?.text()?, keys.required("zh")?.text()?),
        example: keys.required("example")?.text()?.to_owned().leak(),
    })
}

fn value((name, node): (&str, Node<'_>)) -> Result<Value, SettingsError> {
    let is_word = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_taken = ["account", "secret", "secret_files", "key", KEY_ID].contains(&name);
    if name.is_empty() || !is_word || is_taken {
        return Err(node.error("malformed_id").because(name));
    }
    Ok(Value { name: name.to_owned().leak(), described: described(&node)? })
}

/// A span such as `5s`, `1m`, `2h`, `3d`.
fn span(node: &Node<'_>) -> Result<Duration, SettingsError> {
    let text = node.text()?;
    let (count, unit) = text.split_at(text.len() - 1);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(node.error("malformed").because("5s, 1m, 2h, 3d")),
    };
    let count: u64 = count.parse().map_err(|_| node.error("malformed").because("5s, 1m, 2h, 3d"))?;
    Ok(Duration::from_secs(count.saturating_mul(seconds)))
}
