//! A preset as the text of a configured channel: what a merchant copies and changes.

use super::Preset;
use crate::settings::{Setting, SettingKind, Text};

/// Tables of the recipe, which stand under the channel in a configuration.
const PARTS: [&str; 3] = ["verify", "event", "reply"];

impl Preset {
    /// The file as a `[[channel]]` of kind `custom`, comments included, with examples for what a merchant gives,
    /// explained in the language that is picked.
    pub fn as_channel(&self, pick: impl Fn(Text) -> &'static str) -> String {
        let written = |key: &str, setting: &Setting| written(key, setting, pick(setting.help));
        let head = format!("[[channel]]\nid = \"{0}\"\nkind = \"custom\"\nplatform = \"{0}\"\n", self.kind);
        let mut text = format!("{}\n{head}", self.preface());
        let setting = |name: &str| self.settings.iter().find(|setting| setting.name == name);
        if let Some(account) = setting("account") {
            text.push_str(&written("account", account));
        }
        for value in self.head.values {
            if let Some(setting) = setting(value.name) {
                text.push_str(&written(&format!("values.{}", value.name), setting));
            }
        }
        let secret = setting("secret").filter(|secret| secret.kind == SettingKind::SecretKey);
        match (setting(super::KEY_ID), secret) {
            (Some(id), Some(secret)) => {
                text.push_str("\n[[channel.key]]\n");
                text.push_str(&written("id", id));
                text.push_str(&written("secret_file", secret));
            }
            (None, Some(secret)) => text.push_str(&written("secret_file", secret)),
            _ => {}
        }
        text.push_str(&self.recipe_text());
        text
    }

    /// The file without its head, each table under the channel. What stands above a table in the file belongs to it.
    fn recipe_text(&self) -> String {
        let mut text = String::new();
        let mut above = String::new();
        let mut is_recipe = false;
        for line in self.text.lines() {
            let Some(name) = line.strip_prefix('[') else {
                above.push_str(&format!("{line}\n"));
                if !line.is_empty() && !line.starts_with('#') {
                    text.push_str(if is_recipe { &above } else { "" });
                    above.clear();
                }
                continue;
            };
            is_recipe = PARTS.contains(&name.split(['.', ']']).next().unwrap_or_default());
            if is_recipe {
                text.push_str(&format!("{above}[channel.{name}\n"));
            }
            above.clear();
        }
        text
    }

    /// What the file says of itself, before anything else.
    fn preface(&self) -> String {
        self.text.lines().take_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect()
    }
}

/// A setting with its explanation.
fn written(key: &str, setting: &Setting, help: &str) -> String {
    let help: String = help.lines().map(|line| format!("# {line}\n")).collect();
    format!("{help}{key} = {:?}\n", setting.example)
}
