//! The house rules, as tests: which module may use which, who may name a platform, what the map says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tollbell_channels::platforms::PLATFORMS;

/// Which modules of the program a module may use (and itself). What is not listed is not allowed.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    // For tests.
    ("cancelled", &[]),
    ("stop", &[]),
    ("descriptors", &[]),
    ("messages", &[]),
    ("config", &["messages"]),
    ("telemetry", &[]),
    ("reload", &["config", "messages"]),
    ("inbox", &["cancelled", "clock"]),
    ("egress", &[]),
    ("keys", &["cancelled", "clock", "stop", "inbox", "egress", "telemetry"]),
    ("targets", &["clock", "egress"]),
    ("receive", &["cancelled", "clock", "stop", "descriptors", "inbox", "keys", "telemetry"]),
    ("deliver", &["cancelled", "clock", "stop", "inbox", "targets", "telemetry"]),
    ("operate", &["clock", "stop", "inbox", "keys", "telemetry"]),
    ("control", &["clock", "stop", "inbox", "receive", "reload", "telemetry"]),
    ("admin", &["clock", "stop", "descriptors", "control", "inbox", "reload", "telemetry"]),
];

/// These see everything.
const TOP: &[&str] = &["app", "cli", "main", "lib"];

/// Kinds of target that have the name of a protocol, of which others speak too.
const PROTOCOLS: &[&str] = &["http"];

/// Lines of a source file above which it is two rooms.
const FILE_LINES_MAX: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} holds no source");
    found.sort();
    found
}

/// `src/inbox/sqlite.rs` → `inbox`.
fn module_of(path: &Path, folder: &str) -> String {
    let inside = path.strip_prefix(root().join(folder)).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Names `x` in `crate::x`.
fn crate_uses(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let group = &group[..group.find("};").unwrap_or(group.len())];
            names.extend(group.split(',').map(|part| part.trim().split("::").next().unwrap().to_owned()));
        } else {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn has_word(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
    text.match_indices(&word)
        .any(|(at, _)| !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + word.len()..].chars().next()))
}

#[test]
fn modules_use_only_what_their_row_allows() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let modules: Vec<String> = sources("src").iter().map(|(path, _)| module_of(path, "src")).collect();
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let module = module_of(&path, "src");
        if TOP.contains(&module.as_str()) {
            continue;
        }
        let Some(allowed) = arrows.get(module.as_str()) else {
            wrong.push(format!("{}: module `{module}` has no row", path.display()));
            continue;
        };
        for used in crate_uses(&text) {
            if modules.contains(&used) && used != module && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{}: `{module}` may not use `{used}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_uses_sees_uses() {
    assert_eq!(crate_uses("use crate::inbox::X; crate::deliver::y()"), ["inbox", "deliver"]);
    assert_eq!(crate_uses("use crate::{inbox::X, judge};"), ["inbox", "judge"]);
}

#[test]
fn nothing_outside_platforms_names_a_platform() {
    let mut words: Vec<&str> = Vec::new();
    for platform in PLATFORMS {
        words.extend([platform.kind, platform.family, platform.name.en, platform.name.zh]);
    }
    let inside = root().join("crates/channels/src/platforms");
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("crates/channels/src")) {
        if path.starts_with(&inside) || path == inside.with_extension("rs") {
            continue;
        }
        // Names of functions of serde and of big numbers, and no platform's.
        let text = text.replace("Error::custom", "").replace(".square()", "");
        for word in &words {
            if has_word(&text, word) {
                wrong.push(format!("{} names `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!words.is_empty());
}

#[test]
fn nothing_outside_targets_names_a_kind_of_target() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        if module_of(&path, "src") == "targets" {
            continue;
        }
        for kind in tollbell::targets::KINDS {
            if PROTOCOLS.contains(&kind.kind) {
                if text.contains(&format!("kind = \"{}\"", kind.kind)) || has_word(&text, kind.name.en) {
                    wrong.push(format!("{} names `{}`", path.display(), kind.kind));
                }
                continue;
            }
            if has_word(&text, kind.kind) || has_word(&text, kind.name.en) {
                wrong.push(format!("{} names `{}`", path.display(), kind.kind));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!tollbell::targets::KINDS.is_empty());
}

#[test]
fn the_channels_crate_touches_nothing() {
    let banned =
        ["std::fs", "std::net::Tcp", "std::process", "tokio", "SystemTime", "Timestamp::now", "std::env", "Instant"];
    for (path, text) in sources("crates/channels/src") {
        for word in banned {
            assert!(!text.contains(word), "{} uses `{word}`", path.display());
        }
    }
}

#[test]
fn only_the_inbox_speaks_sql_on_our_tables() {
    for (path, text) in sources("src") {
        if module_of(&path, "src") != "inbox" {
            assert!(!text.contains("rusqlite"), "{} uses the SQL library", path.display());
        }
    }
}

/// Whoever says that a question was carried makes its answer a proof. So one place says it: the one that sends questions
/// through the way out and reads the answers from there.
#[test]
fn only_who_carries_questions_says_that_they_were_answered() {
    const CARRIER: &str = "src/operate/fetch_back.rs";
    const MAKER: &str = "crates/channels/src/channel/fetch_back.rs";
    // The suite that every inbox runs is a test, in files of its own.
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with("tests.rs") || path.contains("/conformance/");
    let mut said = BTreeMap::new();
    for (path, text) in ["src", "crates/channels/src"].into_iter().flat_map(sources) {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let own = own.split("#[cfg(all(test, feature = \"simulate\"))]\nmod tests {").next().unwrap();
        let calls = own.matches("carried(").count();
        // No other way to name it: neither by its path nor by a new name.
        assert!(!own.contains("::carried") || is_test(&name), "{name} names `carried` without calling it");
        if calls > 0 && !is_test(&name) {
            said.insert(name, calls);
        }
    }
    assert_eq!(said, BTreeMap::from([(CARRIER.to_owned(), 1), (MAKER.to_owned(), 1)]));
    let text = fs::read_to_string(root().join(CARRIER)).unwrap();
    let carried = text.find("question.carried(answer)").expect("it is said of an answer");
    let fetched = text.find("self.fetch.fetch(question.ask().clone(), deadline)").expect("the answer is fetched");
    assert!(fetched < carried && text[fetched..carried].matches("fn ").count() == 0, "in one breath");
    // The proof has no other maker, and what it is made of no other either.
    let makers = |needle: &str| {
        let all = sources("crates/channels/src").into_iter().chain(sources("src"));
        let mut found: Vec<String> = all
            .filter(|(path, text)| {
                let name = path.to_str().unwrap();
                !is_test(name) && text.split("#[cfg(test)]\nmod tests {").next().unwrap().contains(needle)
            })
            .map(|(path, _)| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned())
            .collect();
        found.sort();
        found
    };
    assert_eq!(makers("Answered { question"), [MAKER]);
    assert_eq!(makers("Proof::PlatformApi { host,"), ["crates/channels/src/model/proof.rs"]);
    // A login's answer makes a credential and nothing else, of what was sent to be answered so.
    let login = fs::read_to_string(root().join("crates/channels/src/channel/login.rs")).unwrap();
    let own = login.split("#[cfg(test)]").next().unwrap();
    let code: Vec<&str> = own.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    assert!(["Answered", "Proven", "carried"].iter().all(|word| !code.iter().any(|line| line.contains(word))));
    let asked = text.find("self.fetch.fetch(login.ask().clone(), deadline)").expect("the login is sent");
    let granted = text.find("login.granted(answer, sent_at)").expect("its answer is read");
    assert!(asked < granted && text[asked..granted].matches("fn ").count() == 0, "in one breath");
    assert_eq!((text.matches("granted(").count(), text.matches("fetch.fetch(").count()), (1, 2));
}

#[test]
fn every_path_on_the_map_exists() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut checked = 0;
    for quoted in map.split('`').skip(1).step_by(2) {
        let has_ending = Path::new(quoted).extension().is_some_and(|e| e == "rs" || e == "md");
        let is_path = (quoted.contains('/') || has_ending)
            && !quoted.contains([' ', '*', '{', ':', '<'])
            && !quoted.starts_with('/');
        if is_path {
            assert!(root().join(quoted).exists(), "ARCHITECTURE.md names `{quoted}`, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} paths were found on the map");
}

#[test]
fn every_file_opens_with_its_job_and_is_one_room() {
    for (path, text) in ["src", "tests", "crates/channels/src", "crates/channels/tests"].into_iter().flat_map(sources) {
        // The tests of one file, in a file of their own, are its business.
        let is_tests = path.ends_with("tests.rs");
        assert!(is_tests || text.starts_with("//!"), "{} does not say what it is for", path.display());
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_program_holds_one_crypto_library() {
    // The lock file also lists what only weak features of others name; the tree that is built does not.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = std::process::Command::new(cargo)
        .args(["tree", "--workspace", "--all-features", "--locked", "--offline", "--prefix", "none", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let used: Vec<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(used.contains(&"aws-lc-rs"), "the tree was not read");
    for banned in ["ring", "openssl", "openssl-sys", "native-tls", "rsa", "chrono", "rustls-pemfile"] {
        assert!(!used.contains(&banned), "`{banned}` came into the dependencies");
    }
}
