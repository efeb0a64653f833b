//! Where settings stand in the files, for findings that are made after the files were read: each names file, line and
//! column as a mistake in the file does.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::settings::ways;
use super::{Place, folder_of, included, read_file};

/// The files of a configuration, to look for places in. A file that cannot be read has none.
pub struct Places {
    files: Vec<(PathBuf, String)>,
}

impl Places {
    /// Reads the files once more.
    pub fn of(path: &Path) -> Self {
        let folder = folder_of(path);
        let files = std::iter::once(path.to_owned()).chain(included(&folder).unwrap_or_default());
        Self { files: files.filter_map(|file| read_file(&file).ok().map(|text| (file, text))).collect() }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(file, _)| file.as_path())
    }

    /// The value of a key of a table such as `server`; a key may name a table inside (`tls.certificate_file`). The table
    /// itself when the key is not there.
    pub fn section(&self, table: &str, key: &str) -> Option<(PathBuf, Place)> {
        self.find(|top| {
            let found = top.get(table)?;
            let DeValue::Table(inner) = found.get_ref() else { return None };
            Some(in_table(inner, key).unwrap_or_else(|| found.span()))
        })
    }

    /// The value of a setting of the channel or target with this id, in whichever of the ways it is given; the table
    /// itself when it is not there.
    pub fn of_id(&self, table: &str, id: &str, key: &str) -> Option<(PathBuf, Place)> {
        self.find(|top| {
            let DeValue::Array(items) = top.get(table)?.get_ref() else { return None };
            items.iter().find_map(|item| {
                let DeValue::Table(inner) = item.get_ref() else { return None };
                let is_it =
                    matches!(inner.get("id").map(Spanned::get_ref), Some(DeValue::String(own)) if own.as_ref() == id);
                is_it.then(|| {
                    let given = ways(key).into_iter().find_map(|way| in_table(inner, &way));
                    given.or_else(|| in_table(inner, "id")).unwrap_or_else(|| item.span())
                })
            })
        })
    }

    fn find(&self, look: impl Fn(&DeTable<'_>) -> Option<Range<usize>>) -> Option<(PathBuf, Place)> {
        self.files.iter().find_map(|(file, text)| {
            let table = DeTable::parse(text).ok()?;
            let span = look(table.get_ref())?;
            Some((file.clone(), Place::bare(text, span.start)))
        })
    }
}

fn in_table(table: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    match key.split_once('.') {
        None => table.get(key).map(Spanned::span),
        Some((outer, inner)) => match table.get(outer)?.get_ref() {
            DeValue::Table(table) => in_table(table, inner),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn settings_are_found_in_whichever_file_they_stand() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(super::super::CHANNELS_FOLDER)).unwrap();
        let main = folder.path().join("tollbell.toml");
        fs::write(&main, "[server]\nlisten = \"x\"\n[server.tls]\ncertificate_file = \"c\"\n").unwrap();
        let more = folder.path().join(super::super::CHANNELS_FOLDER).join("a.toml");
        fs::write(&more, "[[channel]]\nid = \"one\"\n[[channel]]\nid = \"two\"\n  secret_file = \"s\"\n").unwrap();
        let places = Places::of(&main);
        let told = |found: Option<(PathBuf, Place)>| {
            found.map(|(file, place)| (file.file_name().unwrap().to_owned(), place.line, place.column))
        };
        assert_eq!(told(places.section("server", "listen")), Some(("tollbell.toml".into(), 2, 10)));
        assert_eq!(told(places.section("server", "tls.certificate_file")), Some(("tollbell.toml".into(), 4, 20)));
        assert_eq!(told(places.of_id("channel", "two", "secret")), Some(("a.toml".into(), 5, 17)));
        assert_eq!(told(places.of_id("channel", "one", "secret")), Some(("a.toml".into(), 2, 6)));
        assert_eq!(told(places.of_id("channel", "three", "secret")), None);
        assert_eq!(told(places.section("admin", "listen")), None);
        assert_eq!(places.files().count(), 2);
    }
}
