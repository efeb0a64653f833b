//! A preset as the text of a configured channel: what a merchant copies and changes.

use super::Preset;
use crate::settings::{Setting, SettingKind};

/// Tables of the recipe, which stand under the channel in a configuration.
const PARTS: [&str; 3] = ["verify", "event", "reply"];

impl Preset {
    /// The file as a `[[channel]]` of kind `custom`, comments included, with examples for what a merchant gives.
    pub fn as_channel(&self) -> String {
        let mut text = format!("[[channel]]\nid = \"{0}\"\nkind = \"custom\"\nplatform = \"{0}\"\n", self.kind);
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

    /// The file without its head, each table under the channel.
    fn recipe_text(&self) -> String {
        let mut text = String::new();
        let mut is_recipe = false;
        for line in self.text.lines() {
            let name = line.strip_prefix('[').map(|rest| rest.trim_start_matches('['));
            if let Some(name) = name {
                let first = name.split(['.', ']']).next().unwrap_or_default();
                is_recipe = PARTS.contains(&first);
            }
            if !is_recipe {
                continue;
            }
            match (name, line.strip_prefix("[[")) {
                (Some(_), Some(rest)) => text.push_str(&format!("\n[[channel.{rest}\n")),
                (Some(name), None) => text.push_str(&format!("\n[channel.{name}\n")),
                (None, _) if line.trim().is_empty() => {}
                (None, _) => text.push_str(&format!("{line}\n")),
            }
        }
        text
    }
}

/// A setting with its explanation.
fn written(key: &str, setting: &Setting) -> String {
    let help: String = setting.help.en.lines().map(|line| format!("# {line}\n")).collect();
    format!("{help}{key} = {:?}\n", setting.example)
}
