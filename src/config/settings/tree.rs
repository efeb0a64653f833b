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

/// Names under which key material stands in a tree.
#[derive(Clone, Copy, Default)]
pub(super) struct Material {
    /// Such as nobody may see.
    pub(super) secrets: &'static [&'static str],
    /// Such as anyone may see.
    pub(super) publics: &'static [&'static str],
}

impl Material {
    fn names(self) -> impl Iterator<Item = (&'static str, bool)> {
        self.secrets.iter().map(|name| (*name, true)).chain(self.publics.iter().map(|name| (*name, false)))
    }

    fn has(self, name: &str) -> bool {
        self.names().any(|(own, _)| own == name)
    }
}

/// Reads the tree of a setting.
pub(super) fn read(
    section: &Section<'_>,
    name: &str,
    material: Material,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Tree> {
    let value = section.value(name)?;
    let reader = Reader { section, name, material, folder, variable };
    reader.value(value, &mut Vec::new())
}

struct Reader<'r, 'a> {
    section: &'r Section<'a>,
    name: &'r str,
    material: Material,
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
        for (own, is_secret) in self.material.names() {
            let ways: Vec<String> = WAYS.iter().map(|way| format!("{own}{way}")).collect();
            if ways.iter().any(|way| inner.has(way)) {
                // Also of public ones: a private key is easily pasted there.
                for way in &ways {
                    inner.keep_secret(way);
                }
                let Some(bytes) = key(&inner, own, is_secret, self.folder, self.variable) else {
                    self.section.note(self.name);
                    return None;
                };
                pairs.push((own.to_owned(), Tree::Secret(bytes)));
            }
        }
        let mut members: Vec<_> = table.iter().collect();
        members.sort_by_key(|(name, _)| name.span().start);
        for (name, value) in members {
            let name = name.get_ref().as_ref();
            if self.material.names().any(|(own, _)| name.strip_prefix(own).is_some_and(|way| WAYS.contains(&way))) {
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
    let material = described
        .iter()
        .find_map(|setting| match setting.kind {
            SettingKind::Tree { secrets, publics } if setting.name == error.setting => {
                Some(Material { secrets, publics })
            }
            _ => None,
        })
        .unwrap_or_default();
    let detail = error.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let key = error.key();
    let message = Message::dynamic(format!("setting.{}", error.word)).with("setting", &key).with("detail", detail);
    let found = section.value(error.setting).map(|value| find(value, &error.path, material));
    let found = found.unwrap_or(Found { span: section.span(), is_shown: false });
    section.problem_at(found.span, &key, message, found.is_shown);
}

/// A place in the file.
struct Found {
    span: Range<usize>,
    is_shown: bool,
}

/// The deepest place of a path that is in the file. An unknown key is shown at its value as any other.
fn find(value: &Spanned<DeValue<'_>>, path: &[Step], material: Material) -> Found {
    let mut at = value;
    for step in path {
        let next = match (at.get_ref(), step) {
            (DeValue::Table(table), Step::Key(key)) => {
                if material.has(key) {
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
    Found { span: at.span(), is_shown: is_plain || material.names().next().is_none() }
}
