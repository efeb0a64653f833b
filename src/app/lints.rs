//! Mistakes with keys that a configuration shows by itself, before any callback came: told at every check and start, in
//! the words of the findings that explain refused requests.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use tollbell_channels::explain::lint::{self, Together};
use tollbell_channels::explain::{Configured, Found};
use tollbell_channels::settings::Text;
use zeroize::Zeroizing;

use crate::config::{ChannelConfig, Config, Places, Problem};
use crate::messages::{Lang, Message};

/// Most files of one folder that are looked into for a private key.
const FILES_MAX: usize = 64;

/// Largest file that is looked into, in bytes; a private key of 8192 bits has 7 kB.
const FILE_BYTES_MAX: u64 = 32 * 1024;

/// How names of key files end, in small letters.
const KEY_FILES: &[&str] = &["pem", "key", "p8", "pk8", "der", "txt"];

/// What a person should mend.
pub(super) fn warnings(path: &Path, config: &Config) -> Vec<Problem> {
    let places = Places::of(path);
    let together = Together::of(config.channels.iter().map(configured).collect());
    let mut found = Vec::new();
    for (place, own) in together.all().iter().enumerate() {
        let mut of_channel = together.lint(place, *own);
        // Of a setting about which something was told, a file beside it says the same once more.
        let is_told = |one: &Found| of_channel.iter().any(|told| told.fact(lint::SETTING) == one.fact(lint::SETTING));
        let more: Vec<Found> = beside(&places, *own).into_iter().filter(|one| !is_told(one)).collect();
        of_channel.extend(more);
        found.extend(of_channel.iter().map(|one| warning(path, &places, own.id, one)));
        // What stands in the channel's own settings was told already.
        for former in &config.channels[place].former {
            let then = Configured { settings: &former.settings, channel: &*former.former.channel, ..*own };
            let of_former = together.lint(place, then).into_iter().filter(|one| !of_channel.contains(one));
            found.extend(of_former.map(|one| warning_of_former(path, &places, own.id, &one)));
        }
    }
    found
}

fn configured(channel: &ChannelConfig) -> Configured<'_> {
    Configured { id: &channel.id, platform: channel.platform, settings: &channel.settings, channel: &*channel.channel }
}

/// The text of a finding at the channel's setting.
fn warning(path: &Path, places: &Places, id: &str, found: &Found) -> Problem {
    let setting = found.fact(lint::SETTING).unwrap_or_default();
    Problem::warning(path, "channel", message(id, found)).at(places.of_id("channel", id, setting))
}

/// The same of a key that the channel had before.
fn warning_of_former(path: &Path, places: &Places, id: &str, found: &Found) -> Problem {
    let owner = format!("{id}` / `[[channel.former]]");
    Problem::warning(path, "channel", message(&owner, found)).at(places.of_id("channel", id, "former"))
}

/// What is said of a finding of this channel.
fn message(owner: &str, found: &Found) -> Message {
    let text = |lang| {
        let pick = |text: Text| match lang {
            Lang::En => text.en,
            Lang::Zh => text.zh,
        };
        let (title, cure) = (found.title(pick), found.cure(pick));
        Message::new("check.finding").with("owner", owner).with("title", title).with("cure", cure).text(lang)
    };
    Message::given(format!("finding.{}", found.finding.id), text)
}

/// The private half of a key that a channel believes, in a file beside the key's own.
fn beside(places: &Places, own: Configured<'_>) -> Vec<Found> {
    let public: Vec<&str> = lint::believed_settings(own);
    let mut folders: Vec<_> = public.into_iter().filter_map(|name| places.key_file(own.id, name)).collect();
    for file in &mut folders {
        file.pop();
    }
    folders.dedup();
    let files: Vec<(String, Zeroizing<Vec<u8>>)> = folders.iter().flat_map(|folder| key_files(folder)).collect();
    lint::private_half_beside(own, &files)
}

/// The files of a folder that may be keys, by their names. One that cannot be read is nobody's business here.
fn key_files(folder: &Path) -> Vec<(String, Zeroizing<Vec<u8>>)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_key = |path: &Path| {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        KEY_FILES.contains(&ending.as_str()) && path.is_file()
    };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_key(path)).collect();
    paths.sort();
    paths.truncate(FILES_MAX);
    let read = |path: &Path| {
        let mut bytes = Zeroizing::new(Vec::new());
        fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some((path.display().to_string(), bytes))
    };
    paths.iter().filter_map(|path| read(path)).collect()
}
