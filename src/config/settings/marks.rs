//! When the keys of a channel end: `NAME_until` beside a key, and `until` of a file in a list of files.

use std::path::Path;

use tollbell_channels::model::Timestamp;
use tollbell_channels::settings::{KeyMark, Setting, SettingKind, SettingValue, Settings};
use toml::Spanned;
use toml::de::DeValue;
use zeroize::Zeroizing;

use super::{WAYS, read_key_file};
use crate::config::reader::Section;
use crate::messages::Message;

/// How a file with an end is written.
const EXAMPLE: &str = "{ file = \"keys/old\", until = \"2026-12-31T00:00:00Z\" }";

/// Reads `NAME_until` of every key, and says so in the settings.
pub(in crate::config) fn read(section: &Section<'_>, described: &'static [Setting], settings: Settings) -> Settings {
    let is_key = |setting: &&Setting| matches!(setting.kind, SettingKind::PublicKey | SettingKind::SecretKey);
    described.iter().filter(is_key).fold(settings, |settings, setting| {
        let name = setting.name;
        let key = format!("{name}_until");
        let until = until(section, &key);
        if !section.has(&key) {
            return settings;
        }
        if !WAYS.iter().any(|way| section.has(&format!("{name}{way}"))) {
            section.problem(&key, Message::new("config.until_of_nothing").with("name", name));
        }
        if settings.key(name).is_none() || until.is_none() {
            return settings;
        }
        settings.with_mark(name, 0, KeyMark { name: None, until })
    })
}

/// A moment; a problem when it is none.
fn until(section: &Section<'_>, key: &str) -> Option<Timestamp> {
    let text = section.text(key)?;
    let until = text.parse::<Timestamp>().ok();
    if until.is_none() {
        section.problem(key, Message::new("config.bad_key_until"));
    }
    until
}

/// Reads a list of files with key material, each as its name or as a table with its end. A problem with one of them is
/// one with the list.
pub(super) fn files(section: &Section<'_>, name: &'static str, folder: &Path, settings: Settings) -> Settings {
    section.keep_secret(name);
    let Some(value) = section.value(name) else { return settings };
    let one = std::slice::from_ref(value);
    let items: &[Spanned<DeValue<'_>>] = match value.get_ref() {
        DeValue::Array(items) => items,
        DeValue::String(_) => one,
        _ => {
            section.problem(name, Message::new("config.expected_files").with("example", EXAMPLE));
            return settings;
        }
    };
    let mut found: Vec<(String, Option<Timestamp>, Zeroizing<Vec<u8>>)> = Vec::new();
    for item in items {
        let given = match item.get_ref() {
            DeValue::String(file) => Some((file.to_string(), None)),
            DeValue::Table(table) => {
                let inner = section.at(table, name, item.span());
                // A key is easily pasted where its file's name belongs.
                inner.keep_secret("file");
                let (file, until) = (inner.text("file"), until(&inner, "until"));
                let is_good = (!inner.has("until") || until.is_some()) && file.is_some();
                if !inner.has("file") {
                    inner.problem("file", Message::new("config.missing"));
                }
                inner.finish();
                if !is_good {
                    section.note(name);
                }
                file.filter(|_| is_good).map(|file| (file, until))
            }
            _ => {
                section.problem(name, Message::new("config.expected_files").with("example", EXAMPLE));
                None
            }
        };
        let Some((file, until)) = given else { continue };
        match read_key_file(folder, &file, true) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => section.problem(name, Message::new("config.empty_key")),
            Ok(bytes) => found.push((file, until, bytes)),
            Err(message) => section.problem(name, message),
        }
    }
    if section.has_reported(name) {
        return settings;
    }
    let names: Vec<String> = found.iter().map(|(file, ..)| file_name(file)).collect();
    let is_alone = |name: &String| names.iter().filter(|other| *other == name).count() == 1;
    let mut settings = settings;
    for (place, ((file, until, _), short)) in found.iter().zip(&names).enumerate() {
        // The same name in two folders is told apart by the whole path; the same file twice is one key.
        let name_of_file = if is_alone(short) { short.clone() } else { file.clone() };
        settings = settings.with_mark(name, place, KeyMark { name: Some(name_of_file), until: *until });
    }
    settings.with(name, SettingValue::Keys(found.into_iter().map(|(_, _, bytes)| bytes).collect()))
}

/// The last part of a path.
fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}
