//! Writes the configuration of a new installation: what is needed, with comments that say where each value
//! is found, and the optional settings commented out.

use std::fmt::Write as _;

use tollbell_channels::settings::{Setting, SettingKind, Text};

use crate::messages::{Lang, Message};

/// What the new file shall hold.
#[derive(Clone, Debug)]
pub struct Example<'a> {
    /// The language of the comments.
    pub lang: Lang,
    /// `server.listen`.
    pub listen: &'a str,
    /// `admin.listen`.
    pub admin_listen: &'a str,
    /// The file of the operator's token.
    pub token_file: &'a str,
    /// The channels.
    pub channels: Vec<ExampleTable<'a>>,
    /// The targets.
    pub targets: Vec<ExampleTable<'a>>,
}

/// A channel or target.
#[derive(Clone, Debug)]
pub struct ExampleTable<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// The kind's name for people.
    pub name: Text,
    /// The kind's settings.
    pub settings: &'static [Setting],
    /// Keys and their values as TOML, written uncommented.
    pub values: Vec<(String, String)>,
}

/// The file's text.
pub fn render(example: &Example<'_>) -> String {
    let say = |key: &'static str| Message::new(key).text(example.lang);
    let mut text = String::new();
    let w = &mut text;
    comment(w, &say("example.head"));
    section(w, "[server]");
    comment(w, &say("example.listen"));
    pair(w, "listen", &quoted(example.listen));
    section(w, "[admin]");
    comment(w, &say("example.admin"));
    pair(w, "listen", &quoted(example.admin_listen));
    section(w, "[[admin.token]]");
    comment(w, &say("example.token"));
    pair(w, "name", &quoted("operator"));
    pair(w, "role", &quoted("operator"));
    pair(w, "token_file", &quoted(example.token_file));
    section(w, "[inbox]");
    comment(w, &say("example.inbox"));
    pair(w, "url", &quoted(super::inbox::URL));
    for channel in &example.channels {
        table(w, "[[channel]]", channel, example.lang);
        pushed(w, format_args!("\n"));
        comment(w, &say("example.paths"));
        comment(w, "paths = [\"/payment/callback\"]");
        for (key, value) in channel.values.iter().filter(|(key, _)| belongs(key, tollbell_channels::resign::SETTING)) {
            pushed(w, format_args!("\n"));
            comment(w, &say("example.resign"));
            pair(w, key, value);
        }
        subtables(w, "channel", channel, example.lang);
    }
    for target in &example.targets {
        table(w, "[[target]]", target, example.lang);
        subtables(w, "target", target, example.lang);
    }
    text.push('\n');
    comment(&mut text, &say("example.route"));
    comment(&mut text, "[[route]]\nevents = [\"payment.*\", \"refund.*\"]\ntargets = [\"…\"]");
    text
}

/// A TOML string.
pub fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn section(w: &mut String, head: &str) {
    pushed(w, format_args!("\n{head}\n"));
}

fn pair(w: &mut String, key: &str, value: &str) {
    pushed(w, format_args!("{key} = {value}\n"));
}

fn comment(w: &mut String, text: &str) {
    for line in text.lines() {
        pushed(w, format_args!("# {line}\n"));
    }
}

/// Writing to a string cannot fail.
fn pushed(w: &mut String, text: std::fmt::Arguments<'_>) {
    w.write_fmt(text).expect("a string takes all text");
}

fn pick(text: Text, lang: Lang) -> &'static str {
    match lang {
        Lang::En => text.en,
        Lang::Zh => text.zh,
    }
}

/// Nested settings: each one a table of its own, behind all plain keys, as TOML wants it.
fn subtables(w: &mut String, head: &str, table: &ExampleTable<'_>, lang: Lang) {
    for setting in table.settings.iter().filter(|setting| is_tree(setting)) {
        pushed(w, format_args!("\n"));
        comment(w, pick(setting.help, lang));
        match table.values.iter().find(|(key, _)| key == setting.name) {
            Some((_, lines)) => pushed(w, format_args!("[{head}.{}]\n{lines}", setting.name)),
            // Set off, so that it is seen to belong together.
            None => setting.example.lines().for_each(|line| comment(w, &format!("  {line}"))),
        }
    }
}

fn table(w: &mut String, head: &str, table: &ExampleTable<'_>, lang: Lang) {
    section(w, head);
    comment(w, pick(table.name, lang));
    pair(w, "id", &quoted(table.id));
    pair(w, "kind", &quoted(table.kind));
    for setting in table.settings.iter().filter(|setting| !is_tree(setting)) {
        let written: Vec<&(String, String)> =
            table.values.iter().filter(|(key, _)| belongs(key, setting.name)).collect();
        pushed(w, format_args!("\n"));
        comment(w, pick(setting.help, lang));
        for (key, value) in &written {
            pair(w, key, value);
        }
        if written.is_empty() {
            let (key, value) = sample(setting);
            comment(w, &format!("{key} = {value}"));
        }
    }
}

/// Whether a key is a setting, or one of the ways to give its key material.
fn belongs(key: &str, name: &str) -> bool {
    key == name || key.strip_prefix(name).is_some_and(|way| ["_file", "_env", "_credential"].contains(&way))
}

fn sample(setting: &Setting) -> (String, String) {
    let name = setting.name.to_owned();
    match setting.kind {
        SettingKind::PublicKey | SettingKind::SecretKey => (format!("{name}_file"), quoted(setting.example)),
        SettingKind::Text | SettingKind::Address | SettingKind::Duration => (name, quoted(setting.example)),
        SettingKind::Texts | SettingKind::Words(_) if !setting.example.starts_with('[') => {
            (name, quoted(setting.example))
        }
        _ => (name, setting.example.to_owned()),
    }
}

fn is_tree(setting: &Setting) -> bool {
    matches!(setting.kind, SettingKind::Tree { .. })
}
