//! A preset as the text of a configured channel: what a merchant copies and changes.

use super::Preset;
use crate::settings::{Setting, SettingKind, Text};

/// Tables of the recipe, which stand under the channel in a configuration.
const PARTS: [&str; 4] = ["verify", "event", "fetch", "reply"];

impl Preset {
    /// The file as a `[[channel]]` of kind `custom`, comments included, with examples for what a merchant gives,
    /// explained in the language that is picked.
    pub fn as_channel(&self, pick: impl Fn(Text) -> &'static str) -> String {
        let written = |key: &str, setting: &Setting| written(key, setting, pick(setting.help));
        let head = format!("[[channel]]\nid = \"{0}\"\nkind = \"custom\"\nplatform = \"{0}\"\n", self.kind);
        let mut text = format!("{}\n{head}", self.preface());
        let is_value = |name: &str| self.head.values.iter().any(|value| value.name == name);
        for setting in self.settings {
            let key = match setting.kind {
                SettingKind::SecretKey | SettingKind::PublicKey => format!("{}_file", setting.name),
                SettingKind::Text if is_value(setting.name) => format!("values.{}", setting.name),
                SettingKind::Text if setting.name != "api_base" => setting.name.to_owned(),
                _ => continue,
            };
            text.push_str(&written(&key, setting));
        }
        if let Some(api) = self.head.sandbox_api {
            text.push_str(&format!("# environment = \"sandbox\"\n# api_base = {api:?}\n"));
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
