//! The suite knows no platform.

use std::fs;
use std::path::Path;

use tollbell_channels::platforms::{PLATFORMS, by_kind};

use super::invented::is_invented;
use super::world::all_worlds;

#[test]
fn the_suite_names_no_platform() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut sources = vec![folder.join("contract.rs")];
    for folder in [folder.join("contract"), folder.join("contract/toys")] {
        for entry in fs::read_dir(folder).expect("the suite's folder") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(path);
            }
        }
    }
    assert!(sources.len() > 10, "the suite's sources moved");
    for source in sources {
        let text = fs::read_to_string(&source).expect("a source").to_lowercase();
        for platform in PLATFORMS {
            for word in [platform.kind, platform.family] {
                let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                let is_named = text.match_indices(&word.to_lowercase()).any(|(at, found)| {
                    !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + found.len()..].chars().next())
                });
                assert!(!is_named, "{} names `{word}`", source.display());
            }
        }
    }
}

#[test]
fn every_platform_describes_itself() {
    let mut kinds = std::collections::HashSet::new();
    let mut files = std::collections::HashSet::new();
    for world in all_worlds() {
        let platform = world.platform;
        assert!(kinds.insert(platform.kind), "`{}` is registered twice", platform.kind);
        let is_registered = !is_invented(platform.kind);
        assert!(!is_registered || std::ptr::eq(by_kind(platform.kind).expect("registered"), platform));
        let is_word = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_lowercase())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        assert!(is_word(platform.kind), "`{}`", platform.kind);
        assert!(!platform.family.is_empty());
        assert!(!platform.ladder.is_empty(), "{}: no ladder", platform.kind);
        for text in [platform.name].iter().chain(platform.unconfirmed) {
            assert!(!text.en.is_empty() && !text.zh.is_empty(), "{}: {text:?}", platform.kind);
        }
        let mut names = std::collections::HashSet::new();
        for setting in platform.settings {
            assert!(names.insert(setting.name), "{}: `{}` twice", platform.kind, setting.name);
            assert!(!setting.help.en.is_empty() && !setting.help.zh.is_empty(), "{}", setting.name);
        }
        for written in world.side.written_settings() {
            // `init --all` writes them side by side.
            let Some(file) = written.file_name else { continue };
            assert!(files.insert(file), "{}: another platform writes `{file}`, too", platform.kind);
        }
        for range in platform.source_ranges {
            let (address, bits) = range.split_once('/').unwrap_or_else(|| panic!("{range} is no CIDR"));
            let address: std::net::IpAddr = address.parse().unwrap_or_else(|_| panic!("{range}"));
            let bits: u8 = bits.parse().unwrap_or_else(|_| panic!("{range}"));
            assert!(bits <= if address.is_ipv4() { 32 } else { 128 }, "{range}");
        }
        assert!(!world.channel.keys().is_empty(), "{}: shows no key", platform.kind);
    }
}
