//! What a table of the configuration says, as one digest a setting: enough to tell which settings a new file
//! changes, by name, without keeping or showing any value.
//!
//! A key file's digest covers what is in it, so that a key that was replaced under the same name is a change.
//! It is taken before the key is read for use: when the file changes in between, the next comparison sees a
//! change that is none, instead of missing one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// The digests of one table's settings. Settings of tables inside it are named `outer.inner`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Print(BTreeMap<String, [u8; 32]>);

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The digests of a whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prints {
    /// The main file's own tables, such as `server`.
    pub sections: BTreeMap<String, Print>,
    /// By the channel's id.
    pub channels: BTreeMap<String, Print>,
    /// By the target's id.
    pub targets: BTreeMap<String, Print>,
    /// In their order.
    pub routes: Vec<Print>,
}

/// Tables that stand in any number and are told apart by their id, or by their place.
const REPEATED: &[&str] = &["channel", "target", "route"];
/// Endings of settings that name files, and of those that name systemd credentials. A file in a list may be a table.
const FILE_ENDINGS: &[&str] = &["_file", "_files", "_files.file"];
const CREDENTIAL_ENDING: &str = "_credential";
/// Bytes of a key file that the digest covers at most; a larger one is refused as a key.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Where systemd puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

impl Print {
    /// The names of settings that differ, in order.
    pub fn changes_to(&self, new: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(new.0.keys()).collect();
        names.into_iter().filter(|name| self.0.get(*name) != new.0.get(*name)).cloned().collect()
    }
}

impl Prints {
    /// Takes the digest of one key of the main file's own tables, such as `admin.listen`, from another reading.
    pub fn keep(&mut self, key: &str, from: &Self) {
        let Some((section, name)) = key.split_once('.') else { return };
        let before = from.sections.get(section).and_then(|print| print.0.get(name));
        match before {
            Some(digest) => {
                self.sections.entry(section.to_owned()).or_default().0.insert(name.to_owned(), *digest);
            }
            None => {
                if let Some(print) = self.sections.get_mut(section) {
                    print.0.remove(name);
                }
            }
        }
    }

    /// Adds what one file says.
    pub(super) fn add(&mut self, table: &DeTable<'_>, folder: &Path, variable: &dyn Fn(&str) -> Option<String>) {
        let places = Places { folder, credentials: variable(CREDENTIALS).map(PathBuf::from) };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match value.get_ref() {
                DeValue::Array(items) if REPEATED.contains(&name) => {
                    for item in items {
                        let DeValue::Table(inner) = item.get_ref() else { continue };
                        let print = places.print(inner);
                        match name {
                            "route" => self.routes.push(print),
                            _ => self.insert(name, inner, print),
                        }
                    }
                }
                DeValue::Table(inner) => {
                    self.sections.insert(name.to_owned(), places.print(inner));
                }
                _ => {}
            }
        }
    }

    /// A table without an id, or with one that is taken, is a mistake that others report.
    fn insert(&mut self, name: &str, table: &DeTable<'_>, print: Print) {
        let Some(DeValue::String(id)) = table.get("id").map(Spanned::get_ref) else { return };
        let all = if name == "channel" { &mut self.channels } else { &mut self.targets };
        all.entry(id.to_string()).or_insert(print);
    }
}

/// Every file that a configuration names as a key or certificate, or is given as a credential; read leniently,
/// because a file with mistakes is watched all the same. Sorted, each once.
pub fn named_files(files: &[PathBuf], folder: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let places = Places { folder, credentials: variable(CREDENTIALS).map(PathBuf::from) };
    let mut found = BTreeSet::new();
    for file in files {
        let Ok(text) = super::read_file(file) else { continue };
        let Ok(table) = DeTable::parse(&text) else { continue };
        walk("", table.get_ref(), &mut |name, value| found.extend(places.named(name, value)));
    }
    found.into_iter().collect()
}

struct Places<'a> {
    folder: &'a Path,
    credentials: Option<PathBuf>,
}

impl Places<'_> {
    fn print(&self, table: &DeTable<'_>) -> Print {
        let mut digests: BTreeMap<String, Context> = BTreeMap::new();
        walk("", table, &mut |name, value| {
            let digest = digests.entry(name.to_owned()).or_insert_with(|| Context::new(&SHA256));
            update(digest, value);
            for path in self.named(name, value) {
                let contents = read_some(&path);
                digest.update(&[u8::from(contents.is_some())]);
                digest.update(contents.as_deref().map_or(&[][..], |bytes| bytes));
            }
        });
        let finish = |digest: Context| digest.finish().as_ref().try_into().expect("SHA-256 has 32 bytes");
        Print(digests.into_iter().map(|(name, digest)| (name, finish(digest))).collect())
    }

    /// The files that a setting names.
    fn named(&self, name: &str, value: &DeValue<'_>) -> Vec<PathBuf> {
        let folder = if FILE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            self.folder
        } else if let (true, Some(credentials)) = (name.ends_with(CREDENTIAL_ENDING), &self.credentials) {
            credentials
        } else {
            return Vec::new();
        };
        let items = match value {
            DeValue::String(file) => return vec![folder.join(file.as_ref())],
            DeValue::Array(items) => items,
            _ => return Vec::new(),
        };
        let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(file) => Some(folder.join(file.as_ref())),
            _ => None,
        };
        items.iter().filter_map(text).collect()
    }
}

/// Every setting, with tables and arrays of tables taken apart. Those of an array come under one name, in their
/// order.
fn walk(prefix: &str, table: &DeTable<'_>, seen: &mut dyn FnMut(&str, &DeValue<'_>)) {
    for (key, value) in table {
        let name = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) => walk(&name, inner, seen),
            DeValue::Array(items) if items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))) => {
                for item in items {
                    match item.get_ref() {
                        DeValue::Table(inner) => walk(&name, inner, seen),
                        other => seen(&name, other),
                    }
                }
            }
            other => seen(&name, other),
        }
    }
}

/// Adds a value with its length, so that two values never run into one another.
fn update(digest: &mut Context, value: &DeValue<'_>) {
    let mut add = |kind: u8, text: &str| {
        digest.update(&[kind]);
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    match value {
        DeValue::String(text) => add(b's', text),
        DeValue::Integer(number) => add(b'i', number.as_str()),
        DeValue::Float(number) => add(b'f', number.as_str()),
        DeValue::Boolean(flag) => add(b'b', if *flag { "1" } else { "0" }),
        DeValue::Datetime(time) => add(b'd', &time.to_string()),
        DeValue::Array(items) => {
            add(b'a', &items.len().to_string());
            items.iter().for_each(|item| update(digest, item.get_ref()));
        }
        DeValue::Table(table) => {
            add(b't', &table.len().to_string());
            for (key, inner) in table {
                update(digest, &DeValue::String(key.get_ref().clone()));
                update(digest, inner.get_ref());
            }
        }
    }
}

/// A file's beginning; `None` when it is no file that can be read.
fn read_some(path: &Path) -> Option<Zeroizing<Vec<u8>>> {
    let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let file = is_file.then(|| fs::File::open(path).ok()).flatten()?;
    // Room for all of it at once: a buffer that grows leaves copies of the key behind.
    let length = file.metadata().ok()?.len().min(FILE_BYTES_MAX);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or_default() + 1));
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(folder: &Path, text: &str) -> Prints {
        let mut prints = Prints::default();
        prints.add(DeTable::parse(text).unwrap().get_ref(), folder, &|_| None);
        prints
    }

    #[test]
    fn changes_are_told_by_name_and_in_the_depth() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("k"), "one").unwrap();
        let text = "[server]\nlisten = \"a\"\n[[channel]]\nid = \"x\"\nsecret = \"s\"\n[[channel.key]]\nserial = \"1\"\npublic_key_file = \"k\"\n";
        let old = prints(folder.path(), text);
        assert_eq!(old, prints(folder.path(), text), "the same text is the same print");
        fs::write(folder.path().join("k"), "two").unwrap();
        let new = prints(folder.path(), &text.replace("\"s\"", "\"t\"").replace("\"a\"", "\"b\""));
        assert_eq!(old.channels["x"].changes_to(&new.channels["x"]), ["key.public_key_file", "secret"]);
        assert_eq!(old.sections["server"].changes_to(&new.sections["server"]), ["listen"]);
        assert!(!format!("{old:?}").contains("115"), "no digest is shown: {old:?}");
    }

    #[test]
    fn values_do_not_run_into_one_another() {
        let folder = tempfile::tempdir().unwrap();
        let one = prints(folder.path(), "[a]\nx = [\"ab\", \"c\"]\n");
        for other in ["x = [\"a\", \"bc\"]", "x = [\"abc\"]", "x = \"abc\"", "x = [[\"ab\"], \"c\"]"] {
            assert_ne!(one, prints(folder.path(), &format!("[a]\n{other}\n")), "{other}");
        }
    }

    #[test]
    fn a_file_with_an_end_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "[[channel]]\nid = \"x\"\nkeys_files = [\"one\", { file = \"two\", until = \"2026-12-31T00:00:00Z\" }]\n";
        fs::write(folder.path().join("tollbell.toml"), text).unwrap();
        let named = named_files(&[folder.path().join("tollbell.toml")], folder.path(), &|_| None);
        assert_eq!(named, [folder.path().join("one"), folder.path().join("two")]);
        let before = prints(folder.path(), text);
        fs::write(folder.path().join("two"), "").unwrap();
        assert_ne!(before, prints(folder.path(), text));
        assert_ne!(before, prints(folder.path(), &text.replace("12-31", "12-30")));
    }

    #[test]
    fn a_key_that_appears_is_a_change_and_is_watched_before() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[channel]]\nid = \"x\"\nkeys_files = [\"one\", \"two\"]\n";
        fs::write(folder.path().join("tollbell.toml"), text).unwrap();
        let named = named_files(&[folder.path().join("tollbell.toml")], folder.path(), &|_| None);
        assert_eq!(named, [folder.path().join("one"), folder.path().join("two")]);
        let before = prints(folder.path(), text);
        fs::write(folder.path().join("two"), "").unwrap();
        assert_ne!(before, prints(folder.path(), text));
    }
}
