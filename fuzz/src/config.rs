//! Configuration files: whatever they hold, there is a configuration or at least one problem; every place lies in
//! its file; an unknown table never passes; and what stands where a secret belongs is never shown.
//!
//! The input is the main file, and behind a line `#### channels.d` a further one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;
use tollbell::app;
use tollbell::config::{CHANNELS_FOLDER, Config, Problem};
use tollbell::messages::Lang;
use tollbell::targets::KINDS;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::{SettingKind, SettingValue};
use toml::Value;

/// What must never be shown; seeds hold it where a secret is.
const MARKER: &str = "hush7hush7";

/// Divides the two files.
const DIVIDER: &str = "\n#### channels.d\n";

type Loaded = Result<(Config, Vec<Problem>), Vec<Problem>>;

pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // A special file is nothing that a fuzzer should open, and what lies outside differs from machine to machine.
    if text.contains("/dev") || text.contains("/proc") || text.contains("/sys") || text.contains("..") {
        return;
    }
    let (main, further) = text.split_once(DIVIDER).unwrap_or((&text, ""));
    let folder = Folder::new();
    folder.write("tollbell.toml", main.as_bytes());
    folder.write(FURTHER, further.as_bytes());
    let loaded = folder.load();
    let problems = match &loaded {
        Ok((_, warnings)) => {
            assert!(warnings.iter().all(Problem::is_warning));
            warnings
        }
        Err(problems) => {
            assert!(!problems.is_empty() && !problems.iter().any(Problem::is_warning));
            problems
        }
    };
    for problem in problems {
        is_placed(problem, &folder, main, further);
    }
    let is_hidden = marker_stands_only_where_secrets_do(main) && marker_stands_only_where_secrets_do(further);
    for lang in Lang::ALL {
        for problem in problems {
            let shown = problem.render(*lang);
            assert!(!shown.is_empty());
            assert!(!is_hidden || !shown.contains(MARKER), "a secret is shown: {shown}");
        }
    }
    assert_eq!(rendered(&folder.load()), rendered(&loaded), "a second reading says something else");
    if loaded.is_ok() {
        changes_count(&folder, main);
    }
}

/// A comment changes nothing; a table that nobody knows is a problem.
fn changes_count(folder: &Folder, main: &str) {
    folder.write("tollbell.toml", format!("{main}\n# a comment\n").as_bytes());
    assert!(folder.load().is_ok(), "a comment is a problem");
    folder.write("tollbell.toml", format!("{main}\n[zzz_unknown]\nx = 1\n").as_bytes());
    assert!(folder.load().is_err(), "an unknown table is no problem");
}

fn rendered(loaded: &Loaded) -> Vec<String> {
    let (Ok((_, problems)) | Err(problems)) = loaded;
    problems.iter().map(|problem| problem.render(Lang::En)).collect()
}

const FURTHER: &str = "channels.d/further.toml";

/// A folder with the two files, and with the keys that channels can name.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        static KEYS: LazyLock<Vec<(&str, Vec<u8>)>> = LazyLock::new(keys);
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = Self(tempfile::tempdir_in(place).expect("a folder can be made"));
        for name in [CHANNELS_FOLDER, "keys"] {
            fs::create_dir(folder.0.path().join(name)).expect("a folder can be made");
        }
        for (name, bytes) in KEYS.iter() {
            folder.write(&format!("keys/{name}"), bytes);
        }
        folder
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("a file can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a mode can be set");
    }

    fn load(&self) -> Loaded {
        app::load_config(&self.0.path().join("tollbell.toml"))
    }
}

/// The key files that the platforms' other sides write.
fn keys() -> Vec<(&'static str, Vec<u8>)> {
    let written = PLATFORMS.iter().flat_map(|platform| (platform.simulate)().written_settings());
    written
        .filter_map(|setting| match (setting.file_name, setting.value) {
            (Some(name), SettingValue::Key(bytes)) => Some((name, bytes.to_vec())),
            _ => None,
        })
        .collect()
}

/// A place lies in its file, and its line is not longer than the file's.
fn is_placed(problem: &Problem, folder: &Folder, main: &str, further: &str) {
    let is_main = problem.file == folder.0.path().join("tollbell.toml");
    assert!(is_main || problem.file == folder.0.path().join(FURTHER), "{}", problem.file.display());
    let Some(place) = &problem.place else { return };
    let text = if is_main { main } else { further };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').collect();
    assert!((1..=lines.len()).contains(&place.line), "line {} of {}", place.line, lines.len());
    let line = lines[place.line - 1];
    assert!((1..=line.chars().count() + 1).contains(&place.column), "column {} of {line:?}", place.column);
    assert!(!place.text.contains('\n'));
}

/// Whether every marker in a file stands in a value whose key says that it is a secret.
fn marker_stands_only_where_secrets_do(text: &str) -> bool {
    let everywhere = text.matches(MARKER).count();
    if everywhere == 0 {
        return true;
    }
    let Ok(table) = toml::from_str::<toml::Table>(text) else { return false };
    let mut found = 0;
    count_secret(&Value::Table(table), false, &mut found);
    found == everywhere
}

fn count_secret(value: &Value, is_secret: bool, found: &mut usize) {
    match value {
        Value::String(text) if is_secret => *found += text.matches(MARKER).count(),
        Value::Array(items) => items.iter().for_each(|item| count_secret(item, is_secret, found)),
        Value::Table(table) => {
            table.iter().for_each(|(key, inner)| count_secret(inner, secret_keys().contains(key.as_str()), found));
        }
        _ => {}
    }
}

/// The keys whose values are secrets, in all the ways in which one can be given.
fn secret_keys() -> &'static BTreeSet<String> {
    static KEYS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let described = PLATFORMS.iter().flat_map(|platform| platform.settings);
        let described = described.chain(KINDS.iter().flat_map(|kind| kind.settings));
        let secret = described.filter(|setting| matches!(setting.kind, SettingKind::SecretKey | SettingKind::Address));
        secret.flat_map(|setting| ["", "_file", "_env"].map(|way| format!("{}{way}", setting.name))).collect()
    });
    &KEYS
}
