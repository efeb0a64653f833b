//! Nested settings: a table is taken over as a tree, with the key material in it resolved; what a platform
//! says about a place in the tree is shown at that place of the file.

use std::ops::Range;
use std::path::Path;

use tollbell_channels::settings::tree::{Step, Tree};
use tollbell_channels::settings::{Setting, SettingKind, SettingsError};
use toml::Spanned;
use toml::de::DeValue;

use super::{WAYS, key};
use crate::config::reader::Section;
use crate::messages::Message;

/// Deepest nesting of a nested setting; the deepest that any platform reads is six.
const DEPTH_MAX: usize = 16;

/// Reads the tree of a setting.
pub(super) fn read(
    section: &Section<'_>,
    name: &str,
    secrets: &[&str],
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Tree> {
    let value = section.value(name)?;
    let reader = Reader { section, name, secrets, folder, variable };
    reader.value(value, &mut Vec::new())
}

struct Reader<'r, 'a> {
    section: &'r Section<'a>,
    name: &'r str,
    secrets: &'r [&'r str],
    folder: &'r Path,
    variable: &'r dyn Fn(&str) -> Option<String>,
}

impl<'a> Reader<'_, 'a> {
    /// A value; none after a problem was reported.
    fn value(&self, value: &'a Spanned<DeValue<'a>>, path: &mut Vec<Step>) -> Option<Tree> {
        if path.len() > DEPTH_MAX {
            return self.wrong(value.span(), path, "config.too_deep");
        }
        match value.get_ref() {
            DeValue::String(text) => Some(Tree::Text(text.to_string())),
            DeValue::Boolean(flag) => Some(Tree::Flag(*flag)),
            DeValue::Integer(_) => match super::super::reader::number(value.get_ref()) {
                Some(number) => Some(Tree::Number(number)),
                None => self.wrong(value.span(), path, "config.expected_number"),
            },
            DeValue::Array(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    let read = self.value(item, path);
                    path.pop();
                    list.push(read?);
                }
                Some(Tree::List(list))
            }
            DeValue::Table(_) => self.table(value, path),
            DeValue::Float(_) | DeValue::Datetime(_) => self.wrong(value.span(), path, "config.expected_plain"),
        }
    }

    fn table(&self, value: &'a Spanned<DeValue<'a>>, path: &mut Vec<Step>) -> Option<Tree> {
        let DeValue::Table(table) = value.get_ref() else { return None };
        let inner = self.section.at(table, &self.key(path), value.span());
        let mut pairs = Vec::with_capacity(table.len());
        for secret in self.secrets {
            let ways: Vec<String> = WAYS.iter().map(|way| format!("{secret}{way}")).collect();
            if ways.iter().any(|way| inner.has(way)) {
                for way in &ways {
                    inner.keep_secret(way);
                }
                let Some(bytes) = key(&inner, secret, true, self.folder, self.variable) else {
                    self.section.note(self.name);
                    return None;
                };
                pairs.push(((*secret).to_owned(), Tree::Secret(bytes)));
            }
        }
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            if self.secrets.iter().any(|secret| name.strip_prefix(secret).is_some_and(|way| WAYS.contains(&way))) {
                continue;
            }
            path.push(Step::Key(name.to_owned()));
            let read = self.value(value, path);
            path.pop();
            pairs.push((name.to_owned(), read?));
        }
        Some(Tree::Table(pairs))
    }

    fn key(&self, path: &[Step]) -> String {
        format!("{}{}", self.name, tollbell_channels::settings::tree::dotted(path))
    }

    fn wrong(&self, span: Range<usize>, path: &[Step], word: &str) -> Option<Tree> {
        self.section.note(self.name);
        self.section.problem_at(span, &self.key(path), Message::dynamic(word.to_owned()), false);
        None
    }
}

/// Reports what is wrong at a place inside a setting's tree.
pub(super) fn report(section: &Section<'_>, described: &[Setting], error: &SettingsError) {
    let secrets = described
        .iter()
        .find_map(|setting| match setting.kind {
            SettingKind::Tree { secrets } if setting.name == error.setting => Some(secrets),
            _ => None,
        })
        .unwrap_or_default();
    let detail = error.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let key = error.key();
    let message = Message::dynamic(format!("setting.{}", error.word)).with("setting", &key).with("detail", detail);
    let found = section.value(error.setting).map(|value| find(value, &error.path, secrets));
    let found = found.unwrap_or(Found { span: section.span(), is_shown: false });
    section.problem_at(found.span, &key, message, found.is_shown);
}

/// A place in the file.
struct Found {
    span: Range<usize>,
    is_shown: bool,
}

/// The deepest place of a path that is in the file. An unknown key is shown at its value as any other.
fn find(value: &Spanned<DeValue<'_>>, path: &[Step], secrets: &[&str]) -> Found {
    let mut at = value;
    for step in path {
        let next = match (at.get_ref(), step) {
            (DeValue::Table(table), Step::Key(key)) => {
                let is_secret = secrets.contains(&key.as_str());
                if is_secret {
                    let given = WAYS.iter().find_map(|way| table.get(format!("{key}{way}").as_str()));
                    let span = given.map_or_else(|| at.span(), Spanned::span);
                    return Found { span, is_shown: false };
                }
                table.get(key.as_str())
            }
            (DeValue::Array(items), Step::Index(index)) => items.get(*index),
            _ => None,
        };
        let Some(next) = next else { return Found { span: at.span(), is_shown: false } };
        at = next;
    }
    // A table with secrets in it shows nothing of itself.
    let is_plain = !matches!(at.get_ref(), DeValue::Table(_) | DeValue::Array(_));
    Found { span: at.span(), is_shown: is_plain || secrets.is_empty() }
}
