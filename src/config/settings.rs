//! Settings that platforms and targets describe themselves: read by their descriptions, with key material
//! taken from where the file says it is.

pub(super) mod marks;
mod tree;

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tollbell_channels::model::Environment;
use tollbell_channels::settings::{Setting, SettingKind, SettingValue, Settings, SettingsError};
use zeroize::Zeroizing;

use super::reader::Section;
use crate::messages::Message;

/// Largest key file in bytes; certificate bundles have some tens of KiB.
const KEY_BYTES_MAX: u64 = 1024 * 1024;
/// Ways to give key material, as endings of the setting's name.
const WAYS: &[&str] = &["", "_file", "_env", "_credential"];
/// Words that say that something is not there.
const LACKING: &[&str] = &["missing", "no_key_for_algorithm"];
/// Where systemd puts credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Reads all described settings. Problems go to the section's sink; what could be read is there.
pub(super) fn resolve(
    section: &Section<'_>,
    described: &'static [Setting],
    environment: Environment,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Settings {
    let settings = resolve_some(section, described, environment, folder, variable);
    for setting in described.iter().filter(|setting| setting.is_required) {
        let name = setting.name;
        if !WAYS.iter().any(|way| section.has(&format!("{name}{way}"))) {
            section.problem(name, Message::dynamic("setting.missing".into()).with("setting", name).with("detail", ""));
        }
    }
    settings
}

/// The same where nothing is required.
pub(super) fn resolve_some(
    section: &Section<'_>,
    described: &'static [Setting],
    environment: Environment,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Settings {
    let mut settings = Settings::new(environment);
    for setting in described {
        let name = setting.name;
        if matches!(setting.kind, SettingKind::PublicKey | SettingKind::SecretKey) {
            // Also the other ways: a key is easily pasted where its file's name belongs.
            for way in WAYS {
                section.keep_secret(&format!("{name}{way}"));
            }
        }
        let value = match setting.kind {
            SettingKind::SecretFiles => {
                settings = marks::files(section, name, folder, settings);
                None
            }
            SettingKind::Tree { secrets, publics } => {
                let material = tree::Material { secrets, publics };
                tree::read(section, name, material, folder, variable).map(SettingValue::Tree)
            }
            SettingKind::Text => section.text(name).map(SettingValue::Text),
            SettingKind::Address => {
                section.keep_secret(name);
                section.text(name).map(SettingValue::Address)
            }
            SettingKind::Texts => section.texts(name).map(SettingValue::Texts),
            SettingKind::Flag => section.flag(name).map(SettingValue::Flag),
            SettingKind::Words(known) => section.texts(name).map(|found| {
                for word in found.iter().filter(|word| !known.contains(&word.as_str())) {
                    let message =
                        Message::new("config.unknown_word").with("word", word).with("known", known.join(", "));
                    section.problem(name, message);
                }
                SettingValue::Texts(found)
            }),
            SettingKind::Number => section.number(name).map(SettingValue::Number),
            SettingKind::Duration => section.duration(name).map(SettingValue::Duration),
            SettingKind::Durations => section.durations(name).map(SettingValue::Durations),
            SettingKind::Pairs => section.pairs(name).map(SettingValue::Pairs),
            SettingKind::PublicKey => key(section, name, false, folder, variable).map(SettingValue::Key),
            SettingKind::SecretKey => key(section, name, true, folder, variable).map(SettingValue::Key),
        };
        if let Some(value) = value {
            settings = settings.with(name, value);
        }
    }
    settings
}

/// Reads a secret that is needed, with the key under which it was given.
pub(super) fn secret(
    section: &Section<'_>,
    name: &str,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<(String, Zeroizing<Vec<u8>>)> {
    for way in WAYS {
        section.keep_secret(&format!("{name}{way}"));
    }
    let secret = key(section, name, true, folder, variable);
    let given = WAYS.iter().map(|way| format!("{name}{way}")).find(|key| section.has(key));
    if given.is_none() {
        section.problem(name, Message::dynamic("setting.missing".into()).with("setting", name).with("detail", ""));
    }
    Some((given?, secret?))
}

/// Reports why something could not be built, at the setting's place.
pub(super) fn report(section: &Section<'_>, described: &[Setting], error: &SettingsError) {
    if !error.path.is_empty() {
        return tree::report(section, described, error);
    }
    // A value that is given and could not be read is missing for the builder, and was reported.
    let keys = |name: &str| WAYS.iter().map(|way| format!("{name}{way}")).collect::<Vec<_>>();
    let is_unread = |name: &str| keys(name).iter().any(|key| section.has(key) && section.has_reported(key));
    let was_reported = keys(error.setting).iter().any(|key| section.has_reported(key));
    if LACKING.contains(&error.word) && (was_reported || described.iter().any(|setting| is_unread(setting.name))) {
        return;
    }
    let key = WAYS
        .iter()
        .map(|way| format!("{}{way}", error.setting))
        .find(|key| section.has(key))
        .unwrap_or_else(|| error.setting.to_owned());
    if let ("missing", Some(other)) = (error.word, &error.detail) {
        let message = Message::new("config.missing_either").with("name", error.setting).with("other", other);
        return section.problem(&key, message);
    }
    let detail = error.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let message =
        Message::dynamic(format!("setting.{}", error.word)).with("setting", error.setting).with("detail", detail);
    section.problem(&key, message);
}

/// The keys under which key material of this name may be given.
pub(super) fn ways(name: &str) -> Vec<String> {
    WAYS.iter().map(|way| format!("{name}{way}")).collect()
}

/// Reads key material that is given in one of the four ways.
pub(super) fn key(
    section: &Section<'_>,
    name: &str,
    is_secret: bool,
    folder: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut given = Vec::new();
    for way in WAYS {
        let key = format!("{name}{way}");
        if let Some(found) = section.text(&key) {
            given.push((*way, key, Zeroizing::new(found)));
        }
    }
    let (way, key, value) = given.pop()?;
    if !given.is_empty() {
        section.problem(&key, Message::new("config.key_given_twice").with("name", name));
        return None;
    }
    let read = match way {
        "" => {
            if is_secret {
                section.warning(&key, Message::new("config.literal_secret").with("name", name));
            }
            Ok(Zeroizing::new(value.as_bytes().to_vec()))
        }
        "_file" => read_key_file(folder, &value, is_secret),
        // The name is not quoted: it may be the key itself, put into the wrong setting.
        "_env" => match variable(&value) {
            Some(text) => Ok(Zeroizing::new(text.into_bytes())),
            None => Err(Message::new("config.no_variable")),
        },
        _ => match variable(CREDENTIALS) {
            Some(credentials) if is_plain_name(&value) => {
                let folder = Path::new(&credentials);
                if let Some(mode) = world_readable(&folder.join(&*value)).filter(|_| is_secret) {
                    let message = Message::new("config.key_readable").with("name", name);
                    section.warning(&key, message.with("mode", format!("{mode:o}")));
                }
                read_key_file(folder, &value, false)
            }
            Some(_) => Err(Message::new("config.bad_credential")),
            None => Err(Message::new("config.no_credentials").with("variable", CREDENTIALS)),
        },
    };
    match read {
        Ok(bytes) if bytes.trim_ascii().is_empty() => {
            section.problem(&key, Message::new("config.empty_key"));
            None
        }
        Ok(bytes) => Some(bytes),
        Err(message) => {
            section.problem(&key, message);
            None
        }
    }
}

/// The mode of a file that everybody on the machine can read: it and its folder are open to all. The group counts not:
/// who manages credentials gives the service its right by an access list, which shows as the group's.
fn world_readable(path: &Path) -> Option<u32> {
    const READ: u32 = 0o004;
    const PASS: u32 = 0o001;
    let mode = |path: &Path| Some(fs::metadata(path).ok()?.permissions().mode() & 0o777);
    let is_reached = mode(path.parent()?)? & PASS != 0;
    mode(path).filter(|mode| is_reached && mode & READ != 0)
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('/') && name != ".." && name != "."
}

fn read_key_file(folder: &Path, name: &str, is_secret: bool) -> Result<Zeroizing<Vec<u8>>, Message> {
    let path = folder.join(name);
    let cannot = |error: &io::Error| match error.kind() {
        // The name is not quoted: it may be the key itself, put into the wrong setting.
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => Message::new("config.no_key_file").with("folder", folder.display()),
        _ => Message::new("config.cannot_read_key").with("path", path.display()).with("why", error),
    };
    let file = fs::File::open(&path).map_err(|error| cannot(&error))?;
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    if metadata.is_dir() {
        return Err(cannot(&io::ErrorKind::IsADirectory.into()));
    }
    let mode = metadata.permissions().mode() & 0o777;
    if is_secret && mode & 0o077 != 0 {
        let message = Message::new("config.key_open").with("path", path.display()).with("mode", format!("{mode:o}"));
        return Err(message);
    }
    // Room for all of it at once: a buffer that grows leaves copies of the key behind.
    let room = usize::try_from(metadata.len().min(KEY_BYTES_MAX)).unwrap_or_default() + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(KEY_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    if bytes.len() as u64 > KEY_BYTES_MAX {
        return Err(Message::new("config.key_too_large").with("path", path.display()).with("limit", KEY_BYTES_MAX));
    }
    Ok(bytes)
}
