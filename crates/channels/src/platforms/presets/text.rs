//! A preset as the text of a configured channel: what a merchant copies and changes.

use super::Preset;
use crate::settings::{Setting, SettingKind, Text};

/// Tables of the recipe, which stand under the channel in a configuration.
const PARTS: [&str; 4] = ["verify", "event", "fetch", "reply"];

impl Preset {
    /// The file as a `[[channel]]` of kind `custom`, comments included, with examples for what a merchant gives,
    /// explained in the language that is picked.
    pub fn as_channel(&self, pick: impl Fn(Text) -> &'static str) -> String {
        let mut lines = self.preface();
        let kind = self.kind;
        lines.push(format!("\n[[channel]]\nid = \"{kind}\"\nkind = \"custom\"\nplatform = \"{kind}\""));
        for setting in self.settings {
            if let Some(key) = self.key(setting) {
                lines.extend(pick(setting.help).lines().map(|line| format!("# {line}")));
                lines.push(format!("{key} = {:?}", setting.example));
            }
        }
        if let Some(api) = self.head.sandbox_api {
            lines.push(format!("# environment = \"sandbox\"\n# api_base = {api:?}"));
        }
        lines.push(String::new());
        lines.extend(self.recipe_lines());
        lines.push(String::new());
        lines.join("\n")
    }

    /// What a setting is called in a configured channel; none when it is not needed for a beginning.
    fn key(&self, setting: &Setting) -> Option<String> {
        let is_value = self.head.values.iter().any(|value| value.name == setting.name);
        match setting.kind {
            SettingKind::SecretKey | SettingKind::PublicKey => Some(format!("{}_file", setting.name)),
            SettingKind::Text if is_value => Some(format!("values.{}", setting.name)),
            SettingKind::Text if setting.name != "api_base" => Some(setting.name.to_owned()),
            _ => None,
        }
    }

    /// The file without its head, each table under the channel. What stands above a table in the file belongs to it.
    fn recipe_lines(&self) -> Vec<String> {
        let (mut lines, mut above) = (Vec::new(), Vec::new());
        let mut is_recipe = false;
        for line in self.text.lines() {
            if let Some(name) = line.strip_prefix('[') {
                is_recipe = PARTS.contains(&name.split(['.', ']']).next().unwrap_or_default());
                above.push(format!("[channel.{name}"));
            } else {
                above.push(line.to_owned());
            }
            if !line.is_empty() && !line.starts_with('#') {
                lines.extend(above.drain(..).filter(|_| is_recipe));
            }
        }
        lines
    }

    /// What the file says of itself, before anything else.
    fn preface(&self) -> Vec<String> {
        self.text.lines().take_while(|line| line.starts_with('#')).map(str::to_owned).collect()
    }
}
