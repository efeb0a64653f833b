//! The head of a preset's file: what people must know of the platform, and what a merchant must give.

use std::time::Duration;

use super::file::Recipe;
use super::leaked;
use crate::channel::Ladder;
use crate::platforms::custom;
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
    /// Where the platform is asked in its sandbox.
    pub(super) sandbox_api: Option<&'static str>,
    pub(super) unconfirmed: &'static [Text],
    account: Described,
    /// What this platform calls its keys, by the setting's name.
    keys: Vec<(&'static str, Described)>,
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

/// Settings that hold key material, each of which a head may explain.
const KEYS: [&str; 4] = ["secret", "public_key", "key_id", "api_key"];

impl Head {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, SettingsError> {
        let plain = ["name", "docs", "ladder", "patience", "sandbox_api", "unconfirmed", "account", "values"];
        let known: Vec<&str> = plain.into_iter().chain(KEYS).collect();
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
        let explained = |name: &'static str| {
            let described = described(keys.get(name)?);
            Some(described.map(|described| (name, described)))
        };
        Ok(Self {
            name: text(keys.required("name")?)?,
            ladder: ladder.leak(),
            patience: keys.get("patience").map(span).transpose()?,
            sandbox_api: keys.get("sandbox_api").map(Node::text).transpose()?.map(|text| &*text.to_owned().leak()),
            unconfirmed: unconfirmed.leak(),
            account: described(keys.required("account")?)?,
            keys: KEYS.into_iter().filter_map(explained).collect::<Result<_, _>>()?,
            values: values.leak(),
        })
    }

    /// The settings of a channel, in the order in which they are shown.
    ///
    /// # Errors
    /// A sentence when a key is explained that the recipe does not use, or used and not explained.
    pub(super) fn settings(&self, recipe: &Recipe) -> Result<Vec<Setting>, String> {
        let text = |name: &'static str, described: Described| Setting {
            name,
            kind: SettingKind::Text,
            is_required: true,
            help: described.help,
            example: described.example,
        };
        let mut settings = vec![text("account", self.account)];
        settings.extend(self.values.iter().map(|value| text(value.name, value.described)));
        let used = recipe.settings();
        for setting in custom::SETTINGS.iter().filter(|setting| used.contains(&setting.name)) {
            let explained = self.keys.iter().find(|(name, _)| *name == setting.name);
            match explained {
                Some((_, described)) => {
                    settings.push(Setting { help: described.help, example: described.example, ..*setting });
                }
                None if KEYS.contains(&setting.name) => return Err(format!("no [preset.{}]", setting.name)),
                None => settings.push(*setting),
            }
        }
        match self.keys.iter().find(|(name, _)| !used.contains(name)) {
            Some((name, _)) => Err(format!("[preset.{name}] explains what the recipe does not use")),
            None => Ok(settings),
        }
    }
}

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
    let is_taken = custom::SETTINGS.iter().any(|setting| setting.name == name);
    if name.is_empty() || !is_word || is_taken {
        return Err(node.error("malformed_id").because(name));
    }
    Ok(Value { name: name.to_owned().leak(), described: described(&node)? })
}

/// A span such as `5s`, `1m`, `2h`, `3d`.
fn span(node: &Node<'_>) -> Result<Duration, SettingsError> {
    let text = node.text()?;
    // The last sign may be one of several bytes.
    let (count, unit) = text.split_at(text.char_indices().next_back().map_or(0, |(at, _)| at));
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
