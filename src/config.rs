//! The configuration: one file, and `channels.d/*.toml` beside it. Raw text and meaning are two types;
//! every problem is reported at once, with file, line, key and cure; unknown keys are problems.

pub mod ack;
pub mod admin;
pub mod asks;
pub mod channel;
pub mod deliver;
pub mod example;
mod former;
pub mod inbox;
pub mod log;
pub mod network;
mod places;
pub mod print;
mod reader;
pub mod retention;
pub mod roles;
pub mod route;
pub mod server;
mod settings;
pub mod signature;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use tollbell_channels::platforms::Platform;
use tollbell_channels::settings::{Setting, Settings, SettingsError};
use toml::Spanned;
use toml::de::DeTable;

pub use ack::{AckConfig, DeliveredConfig};
pub use admin::AdminConfig;
pub use asks::AsksConfig;
pub use channel::ChannelConfig;
pub use deliver::{BackoffConfig, DeliverConfig};
pub use former::FormerConfig;
pub use inbox::InboxConfig;
pub use log::LogConfig;
pub use network::{AllowConfig, IpCheck, NetworkConfig, TlsConfig};
pub use places::Places;
pub use print::{Print, Prints};
pub(crate) use reader::parse_duration;
pub use reader::{Place, Problem};
pub use retention::RetentionConfig;
pub use roles::{Role, Roles};
pub use route::Routes;
pub use server::ServerConfig;
pub use signature::{ResignConfig, SignatureConfig};
pub use target::TargetConfig;

use crate::messages::Message;
use reader::{Section, Sink};

/// A configuration that was found good. Immutable.
#[derive(Clone, Debug)]
pub struct Config {
    /// The main file, as it was named.
    pub file: PathBuf,
    /// The folder of the file: relative paths start here.
    pub folder: PathBuf,
    /// The public listener.
    pub server: ServerConfig,
    /// The admin listener.
    pub admin: AdminConfig,
    /// The durable store.
    pub inbox: InboxConfig,
    /// How long things are kept.
    pub retention: RetentionConfig,
    /// When deliveries are tried.
    pub deliver: DeliverConfig,
    /// How logs look.
    pub log: LogConfig,
    /// The channels.
    pub channels: Vec<ChannelConfig>,
    /// The targets.
    pub targets: Vec<TargetConfig>,
    /// Which events go where.
    pub routes: Routes,
    /// What was read, for comparing with another reading.
    pub prints: Prints,
}

/// What the program knows, handed in so that nothing here names a platform or a kind of target.
pub struct Catalogue<'a> {
    /// The platforms.
    pub platforms: &'a [&'static Platform],
    /// The kinds of target.
    pub target_kinds: &'a [TargetKind],
    /// Builds a target to see whether its settings fit.
    pub build_target: &'a dyn Fn(&str, &Settings) -> Result<Carries, SettingsError>,
    /// Reads a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
}

/// What a target is brought, as far as its configuration goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// The platform's own request, with a signature.
    Requests,
    /// Unified events, which carry no signature of a platform.
    Events,
}

/// A kind of target, as far as its configuration goes.
#[derive(Clone, Copy, Debug)]
pub struct TargetKind {
    /// The word in `kind = "…"`.
    pub kind: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
    /// Its confirmation says only that a broker has taken the event, not that an application has processed it.
    pub is_broker: bool,
}

/// The folder whose files add channels, targets and routes, beside the main file.
pub const CHANNELS_FOLDER: &str = "channels.d";
/// Largest configuration file in bytes: a larger one is not a configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Tables of the main file; the files of [`CHANNELS_FOLDER`] hold the last three only.
const TABLES: &[&str] = &["server", "admin", "inbox", "retention", "deliver", "log", "channel", "target", "route"];
/// Tables that every file may hold.
const SHARED_TABLES: &[&str] = &["channel", "target", "route"];

/// Reads a configuration, and the warnings about it.
///
/// # Errors
/// Every problem of every file.
pub fn load(path: &Path, catalogue: &Catalogue<'_>) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    load_excusing(path, catalogue, |_| false)
}

/// The same for a command that mends a problem, which it does not take for one.
///
/// # Errors
/// Every other problem of every file.
pub fn load_excusing(
    path: &Path,
    catalogue: &Catalogue<'_>,
    is_excused: impl Fn(&Problem) -> bool,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let mut found = Vec::new();
    let folder = folder_of(path);
    let mut sinks: Vec<Sink> = Vec::new();
    let mut unread = |file: &Path, message: Message| {
        let empty = Sink::new(file, String::new());
        empty.problem(None, "", message);
        found.extend(empty.into_found());
    };
    let included = included(&folder).unwrap_or_else(|message| {
        unread(&folder.join(CHANNELS_FOLDER), message);
        Vec::new()
    });
    for file in std::iter::once(path.to_owned()).chain(included) {
        match read_file(&file) {
            Ok(text) => sinks.push(Sink::new(&file, text)),
            Err(message) => unread(&file, message),
        }
    }
    let is_all_read = found.is_empty();
    let texts: Vec<String> = sinks.iter().map(|sink| sink.text().to_owned()).collect();
    let mut tables: Vec<Option<DeTable<'_>>> = Vec::new();
    for (sink, text) in sinks.iter().zip(&texts) {
        match DeTable::parse(text) {
            Ok(table) => {
                let table = table.into_inner();
                sink.understood(&table);
                tables.push(Some(table));
            }
            Err(error) => {
                let message = Message::new("config.not_toml").with("why", error.message().trim());
                sink.problem(error.span(), "", message);
                tables.push(None);
            }
        }
    }
    let is_whole = is_all_read && tables.iter().all(Option::is_some);
    let config = build(&folder, path, &sinks, &tables, catalogue, is_whole);
    found.extend(sinks.into_iter().flat_map(Sink::into_found));
    found.retain(|problem| !is_excused(problem));
    let (warnings, problems): (Vec<Problem>, Vec<Problem>) = found.into_iter().partition(Problem::is_warning);
    match config {
        Some(config) if problems.is_empty() => Ok((config, warnings)),
        _ => Err(problems),
    }
}

/// Every file that a configuration is made of, whether it is there or not, and whether it can be understood or
/// not: the main one, those of [`CHANNELS_FOLDER`], and the keys and certificates that they name.
pub fn sources(path: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let folder = folder_of(path);
    let mut files = vec![path.to_owned()];
    files.extend(included(&folder).unwrap_or_default());
    let named = print::named_files(&files, &folder, variable);
    files.extend(named);
    files
}

fn folder_of(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Every key of the program's own tables, such as `server.listen`. Those of platforms and kinds of target
/// describe themselves.
pub fn known_keys() -> BTreeSet<String> {
    let text = "[server.tls]\n[deliver.backoff]\n[[admin.token]]\n[[channel]]\n[[target]]\n[[route]]\n";
    let sinks = [Sink::new(Path::new(""), text.to_owned())];
    let tables = [DeTable::parse(text).ok().map(Spanned::into_inner)];
    let nothing = Catalogue {
        platforms: &[],
        target_kinds: &[],
        build_target: &|_, _| Ok(Carries::Requests),
        variable: &|_| None,
    };
    build(Path::new(""), Path::new(""), &sinks, &tables, &nothing, true);
    sinks.into_iter().flat_map(Sink::into_asked).collect()
}

/// The files of [`CHANNELS_FOLDER`]. There may be no such folder; one that cannot be read is a problem,
/// because its channels would be missing without a word.
fn included(folder: &Path) -> Result<Vec<PathBuf>, Message> {
    let cannot = |error: io::Error| Message::new("config.cannot_read").with("why", error);
    let entries = match fs::read_dir(folder.join(CHANNELS_FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(cannot)?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// What some editors put before the text of a UTF-8 file.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn read_file(path: &Path) -> Result<String, Message> {
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Message::new("config.not_found"),
        _ => Message::new("config.cannot_read").with("why", error),
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Message::new("config.too_large").with("limit", FILE_BYTES_MAX));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = read.split(|byte| *byte == b'\n').count();
        Message::new("config.not_utf8").with("line", line)
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map_or_else(|| text.clone(), str::to_owned))
}

/// Reads all tables. `None` when the main file has none; problems are in the sinks.
fn build(
    folder: &Path,
    main_file: &Path,
    sinks: &[Sink],
    tables: &[Option<DeTable<'_>>],
    catalogue: &Catalogue<'_>,
    is_whole: bool,
) -> Option<Config> {
    let mut names = Names { is_whole, ..Names::default() };
    let mut prints = Prints::default();
    for table in tables.iter().flatten() {
        prints.add(table, folder, catalogue.variable);
    }
    let mut core = None;
    let mut channels = Vec::new();
    let mut targets = Vec::new();
    let mut routes = Vec::new();
    for (sink, table) in sinks.iter().zip(tables) {
        let Some(table) = table else { continue };
        let is_main = sink.file() == main_file;
        check_tables(table, sink, if is_main { TABLES } else { SHARED_TABLES });
        if is_main {
            core = Some((
                ServerConfig::read(Section::inside(table, "server", sink), folder),
                AdminConfig::read(Section::inside(table, "admin", sink), folder, catalogue.variable),
                InboxConfig::read(Section::inside(table, "inbox", sink), folder),
                RetentionConfig::read(Section::inside(table, "retention", sink)),
                DeliverConfig::read(Section::inside(table, "deliver", sink)),
                LogConfig::read(Section::inside(table, "log", sink)),
            ));
        }
        for section in Section::each(table, "channel", sink) {
            names.channels.extend(section.text("id"));
            let spans = [section.span_of("id"), section.span_of("paths")];
            channels.push((spans, sink, ChannelConfig::read(section, folder, catalogue)));
        }
        for section in Section::each(table, "target", sink) {
            names.targets.extend(section.text("id"));
            let spans = [section.span_of("id"), section.span()];
            targets.push((spans, sink, TargetConfig::read(section, folder, catalogue)));
        }
        routes.extend(Section::each(table, "route", sink));
    }
    let targets: Vec<TargetConfig> = unique("target", targets, |target| &target.id);
    let routes = Routes::read(routes, &names);
    for ([place, _], sink, channel) in &channels {
        if let Some(channel) = channel {
            ack::check(channel, sink, &targets, &routes, &names, catalogue);
            signature::check(channel, place, sink, &targets, &routes);
            asks::check(channel, place, sink, &targets, &routes);
        }
    }
    let channels = unique_channels(channels);
    let main = sinks.iter().find(|sink| sink.file() == main_file)?;
    if channels.is_empty() && is_whole {
        main.warning(None, "channel", Message::new("config.no_channel"));
    }
    if targets.is_empty() && is_whole {
        main.warning(None, "target", Message::new("config.no_target"));
    }
    let (server, admin, inbox, retention, deliver, log) = core?;
    let (file, folder) = (main_file.to_owned(), folder.to_owned());
    Some(Config { file, folder, server, admin, inbox, retention, deliver, log, channels, targets, routes, prints })
}

fn check_tables(table: &DeTable<'_>, sink: &Sink, known: &[&str]) {
    for (key, _) in table {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            let message = match reader::nearest(name, known.iter().copied()) {
                _ if TABLES.contains(&name) => Message::new("config.not_here").with("name", name),
                Some(nearest) => Message::new("config.unknown_key_nearest").with("nearest", nearest),
                None => Message::new("config.unknown_key"),
            };
            sink.problem(Some(key.span()), name, message);
        }
    }
}

/// The ids that routes may name, those of channels and targets with mistakes included: one mistake is
/// reported once.
#[derive(Default)]
struct Names {
    channels: Vec<String>,
    targets: Vec<String>,
    /// Whether every file was understood, so that there are no others.
    is_whole: bool,
}

/// The places of its id and of its paths, its file, and itself if it is without mistakes.
type Found<'a, T> = ([Range<usize>; 2], &'a Sink, Option<T>);

/// Keeps those whose id is new, and reports the others.
fn unique<T>(what: &str, found: Vec<Found<'_, T>>, id: impl Fn(&T) -> &str) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for ([span, _], sink, item) in found {
        let Some(item) = item else { continue };
        if kept.iter().any(|other| id(other) == id(&item)) {
            sink.problem(Some(span), &format!("{what}.id"), Message::new("config.duplicate_id").with("id", id(&item)));
        } else {
            kept.push(item);
        }
    }
    kept
}

fn unique_channels(found: Vec<Found<'_, ChannelConfig>>) -> Vec<ChannelConfig> {
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for ([_, span], sink, channel) in &found {
        let Some(channel) = channel else { continue };
        for path in &channel.paths {
            if let Some(other) = paths.insert(path.clone(), channel.id.to_string()) {
                let message = Message::new("config.path_taken").with("path", path).with("channel", other);
                sink.problem(Some(span.clone()), "channel.paths", message);
            }
        }
    }
    unique("channel", found, |channel| &channel.id)
}

/// Longest id of a channel or target.
const ID_CHARS_MAX: usize = 63;

/// Reads and checks an id: it becomes part of URLs, files and metrics.
fn read_id(section: &Section<'_>) -> Option<std::sync::Arc<str>> {
    read_word(section, "id")
}

/// Reads and checks a word that names something, in the letters of an id.
fn read_word(section: &Section<'_>, key: &str) -> Option<std::sync::Arc<str>> {
    let Some(id) = section.text(key) else {
        if !section.has(key) {
            section.problem(key, Message::new("config.missing"));
        }
        return None;
    };
    let mut letters = id.chars();
    let is_start = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_good = is_start
        && id.len() <= ID_CHARS_MAX
        && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if !is_good {
        section.problem(key, Message::new("config.bad_id"));
        return None;
    }
    Some(id.into())
}
