//! The complete example: good, complete, and the defaults.

use tollbell::config::{self, Config};

use super::world::{Folder, example, good, rendered, summary, with_warnings};

/// The complete example.
const EXAMPLE: &str = include_str!("../../examples/tollbell.toml");

/// The lines of the example that are keys, uncommented or not, each with its table: `server.listen`, its line
/// number from 0, and whether it is commented out.
fn example_keys() -> Vec<(String, usize, bool)> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for (number, line) in EXAMPLE.lines().enumerate() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut table);
        }
        let (text, is_comment) = line.strip_prefix("# ").map_or((line, false), |text| (text, true));
        if let Some((key, _)) = text.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            keys.push((format!("{table}.{key}"), number, is_comment));
        }
    }
    keys
}

#[test]
fn the_example_is_good_and_holds_the_defaults() {
    let folder = example(EXAMPLE);
    let config = good(folder.load_real());
    assert_eq!((config.channels.len(), config.targets.len()), (1, 2));
    let empty = Folder::new(&[("tollbell.toml", b"")]);
    let (defaults, _) = with_warnings(empty.load_real());
    assert_eq!(config.server, defaults.server);
    assert_eq!((config.admin.listen, config.admin.open_metrics), (defaults.admin.listen, defaults.admin.open_metrics));
    assert_eq!(config.admin.hosts, defaults.admin.hosts);
    let name = |config: &Config| config.admin.socket.as_ref().unwrap().file_name().unwrap().to_owned();
    assert_eq!(name(&config), name(&defaults));
    assert_eq!((config.admin.tokens.len(), defaults.admin.tokens.len()), (1, 0));
    assert_eq!(config.inbox.path.file_name(), defaults.inbox.path.file_name());
    assert_eq!(config.inbox.queue, defaults.inbox.queue);
    assert_eq!(config.retention, defaults.retention);
    assert_eq!(config.deliver, defaults.deliver);
    assert_eq!(config.log, defaults.log);
    assert_eq!(config.targets[0].ladder, None);
    assert_eq!(config.channels[0].environment.as_str(), "live");
}

#[test]
fn the_example_names_every_key() {
    let shown = example_keys();
    let is_shown = |key: &str| shown.iter().any(|(name, ..)| name == key);
    let known = config::known_keys();
    assert!(known.len() > 30, "{known:?}");
    let tables = ["deliver.backoff", "server.tls"];
    for key in known.iter().filter(|key| !tables.contains(&key.as_str())) {
        // One of the four ways to give a secret is shown.
        let key = if key.starts_with("admin.token.token") { "admin.token.token_file" } else { key };
        assert!(is_shown(key), "examples/tollbell.toml does not show `{key}`");
        let core = ["server", "admin", "inbox", "retention", "deliver", "log"];
        let is_core = core.contains(&key.split('.').next().unwrap());
        // The one that excludes what is shown in its place.
        // So that without TLS no file is missing.
        let is_off = key.starts_with("server.tls.");
        if is_core && key != "deliver.ladder" && !is_off {
            assert!(shown.iter().any(|(name, _, is_comment)| name == key && !is_comment), "`{key}` is commented out");
        }
    }
    let config = good(example(EXAMPLE).load_real());
    let platforms = config.channels.iter().flat_map(|channel| channel.platform.settings);
    let kinds = config.targets.iter().flat_map(|target| tollbell::targets::by_kind(&target.kind).unwrap().settings);
    for (table, setting) in platforms.map(|s| ("channel", s)).chain(kinds.map(|s| ("target", s))) {
        let is_there = ["", "_file"].iter().any(|way| is_shown(&format!("{table}.{}{way}", setting.name)));
        assert!(is_there, "examples/tollbell.toml does not show `{table}.{}`", setting.name);
    }
}

#[test]
fn what_the_example_comments_out_works_when_it_is_taken_in() {
    let mut tried = 0;
    // The two files of TLS need each other, and are tried with real ones elsewhere.
    let commented = example_keys().into_iter().filter(|(.., is_comment)| *is_comment);
    for (key, number, _) in commented.filter(|(key, ..)| !key.starts_with("server.tls.")) {
        let lines = EXAMPLE.lines().enumerate();
        let text: Vec<&str> =
            lines.map(|(n, line)| if n == number { line.strip_prefix("# ").unwrap() } else { line }).collect();
        // The other of two that exclude each other goes.
        let without = |text: String, table: &str| text.replace(table, "");
        let text = if key == "deliver.ladder" {
            without(text.join("\n"), "[deliver.backoff]\n")
                .replace("first = \"5s\"\n", "")
                .replace("max = \"1h\"\n", "")
                .replace("tries = 50\n", "")
        } else {
            text.join("\n")
        };
        // Files of keys are not there; everything else fits.
        let found = example(&text).load_real().err().unwrap_or_default();
        let is_right = found.is_empty()
            || (key.ends_with("_file") && summary(&found).trim_end().ends_with(&format!("{key} config.no_key_file")));
        assert!(is_right, "`{key}`: {}", rendered(&found));
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
}
