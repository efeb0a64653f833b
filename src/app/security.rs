//! `check --security`: what is weak, open or unproven in a configuration that works. Each finding says what it is, where
//! it stands, why it matters, and what to do.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tollbell_channels::channel::KeyNote;
use tollbell_channels::channel::strength::Weakness;
use tollbell_channels::model::{Environment, Timestamp};
use tollbell_channels::settings::{Setting, SettingKind};
use tollbell_channels::signature::x509::Certificate;

use super::lives::{self, Weak};
use super::network;
use crate::config::{self, ChannelConfig, Config, IpCheck, Place, Places, Problem, TargetConfig};
use crate::messages::Message;
use crate::targets;

/// After so long a secret key should have been replaced once: the usual period of those who audit.
pub const KEY_AGE_MAX: Duration = Duration::from_hours(2 * 365 * 24);
/// RSA keys below this many bits have been broken in public.
const RSA_BITS_BROKEN: usize = 1024;
/// Bits of a file's mode: others may write it.
const WRITABLE: u32 = 0o022;
/// Others may read it.
const READABLE: u32 = 0o044;
/// Others may do anything with it.
const OPEN: u32 = 0o077;
/// Only the owner of a file may remove it from the folder.
const STICKY: u32 = 0o1000;
/// The user to whom the machine belongs.
const ADMINISTRATOR: u32 = 0;
/// Largest file that is looked into for a certificate, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know; often the platform's own choice.
    Notice,
    /// To be mended soon.
    Warning,
    /// Somebody could read a key, forge a message, or take part in what is not his.
    Serious,
}

impl Severity {
    /// Every severity, the gravest first.
    pub const ALL: &[Self] = &[Self::Serious, Self::Warning, Self::Notice];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Serious => "serious",
        }
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The stable word, one of [`WORDS`], or the word of a warning that every check gives.
    pub word: String,
    /// The file.
    pub file: PathBuf,
    /// Where in it; `None` for the file as a whole.
    pub place: Option<Place>,
    /// The key with its section, or nothing.
    pub key: String,
    /// What it is, and why it matters.
    pub what: Message,
    /// What to do, where the text does not say it already.
    pub cure: Option<Message>,
}

/// Every word of a finding that only this report has; the catalogues hold what it is and its cure.
pub const WORDS: &[&str] = &[
    "config_writable",
    "config_readable",
    "folder_writable",
    "foreign_owner",
    "key_writable",
    "inbox_open",
    "key_old",
    "plain_public",
    "token_in_clear",
    "metrics_open",
    "one_network",
    "unproven",
    "checksum_only",
    "asked_only",
    "no_time",
    "no_source_check",
    "sandbox_mixed",
    "target_in_clear",
];

/// Warnings of every check that are no matter of security, or that this report has in words of its own.
const ELSEWHERE: &[&str] = &[
    "advice.no_terminate_timeout",
    "advice.no_application_limit",
    "advice.plain_http",
    "check.query_taken",
    "config.no_channel",
    "config.no_target",
];

/// Looks at everything. `warnings` are those of the same reading.
pub fn report(path: &Path, config: &Config, warnings: Vec<Problem>, now: Timestamp) -> Vec<Finding> {
    let mut report = Report { path, places: Places::of(path), found: Vec::new() };
    let literal: Vec<PathBuf> = warnings.iter().filter(|one| is_literal(one)).map(|one| one.file.clone()).collect();
    for warning in warnings.into_iter().filter(|warning| !ELSEWHERE.contains(&warning.message.key())) {
        report.found.push(of_warning(warning));
    }
    report.files(config, &literal, now);
    report.listeners(config);
    for channel in &config.channels {
        report.channel(channel);
    }
    report.targets(config);
    report.found.sort_by_key(|found| Reverse(found.severity));
    report.found
}

fn is_literal(warning: &Problem) -> bool {
    warning.message.key() == "config.literal_secret"
}

/// A warning that every check gives, and how much it matters here.
fn of_warning(warning: Problem) -> Finding {
    let word = warning.message.key().to_owned();
    let severity = match word.as_str() {
        "check.test_keys" | "config.key_readable" | "network.everyone" | "network.tls_key_open" => Severity::Serious,
        word => word.strip_prefix("weakness.").map_or(Severity::Warning, |word| severity_of(word, None)),
    };
    Finding {
        severity,
        word,
        file: warning.file,
        place: warning.place,
        key: warning.key,
        what: warning.message,
        cure: None,
    }
}

fn severity_of(word: &str, weakness: Option<Weakness>) -> Severity {
    match word {
        "repetitive_secret" | "guessable_secret" | "test_secret" => Severity::Serious,
        "short_key" if matches!(weakness, Some(Weakness::ShortKey { bits }) if bits < RSA_BITS_BROKEN) => {
            Severity::Serious
        }
        "old_digest" => Severity::Notice,
        _ => Severity::Warning,
    }
}

struct Report<'a> {
    path: &'a Path,
    places: Places,
    found: Vec<Finding>,
}

impl Report<'_> {
    /// A finding with its text and its cure.
    fn push(
        &mut self,
        severity: Severity,
        word: &'static str,
        at: (Option<(PathBuf, Place)>, &str),
        told: impl Fn(Message) -> Message,
    ) {
        debug_assert!(WORDS.contains(&word), "`{word}` is not in WORDS");
        let (place, key) = at;
        let (file, place) = match place {
            Some((file, place)) => (file, Some(place)),
            None => (self.path.to_owned(), None),
        };
        let what = told(Message::dynamic(format!("security.{word}")));
        let cure = Some(told(Message::dynamic(format!("cure.{word}"))));
        self.found.push(Finding { severity, word: word.to_owned(), file, place, key: key.to_owned(), what, cure });
    }

    /// A finding about a file as a whole.
    fn push_file(&mut self, severity: Severity, word: &'static str, file: &Path, told: impl Fn(Message) -> Message) {
        self.push(severity, word, (None, ""), |message| told(message).with("path", file.display()));
        if let Some(found) = self.found.last_mut() {
            file.clone_into(&mut found.file);
        }
    }

    /// Who may read and change what the configuration is made of.
    fn files(&mut self, config: &Config, literal: &[PathBuf], now: Timestamp) {
        let own: Vec<PathBuf> = self.places.files().map(Path::to_owned).collect();
        let sources = config::sources(self.path, &|name| std::env::var(name).ok());
        let owners = Owners::of(&config.inbox.path);
        for file in &sources {
            if owners.is_foreign(file) {
                self.push_file(Severity::Serious, "foreign_owner", file, |message| message);
            }
            let Some(mode) = mode_of(file) else { continue };
            let told = |message: Message| message.with("mode", format!("{mode:o}"));
            let is_config = own.contains(file);
            if mode & WRITABLE != 0 {
                let word = if is_config { "config_writable" } else { "key_writable" };
                self.push_file(Severity::Serious, word, file, told);
            }
            if is_config && mode & READABLE != 0 && literal.contains(file) {
                self.push_file(Severity::Serious, "config_readable", file, told);
            }
            if let Some(since) = (!is_config).then(|| key_since(file)).flatten()
                && now.duration_since(since).unsigned_abs() > KEY_AGE_MAX
                && since < now
            {
                let day = since.strftime("%Y-%m-%d").to_string();
                self.push_file(Severity::Notice, "key_old", file, |message| message.with("since", &day));
            }
        }
        let led_to: Vec<&Path> = sources.iter().map(PathBuf::as_path).chain([&*config.inbox.path]).collect();
        for folder in folders_of(&led_to) {
            if owners.is_foreign(&folder) {
                self.push_file(Severity::Serious, "foreign_owner", &folder, |message| message);
            }
            let Some(mode) = mode_of(&folder).filter(|mode| mode & WRITABLE != 0 && mode & STICKY == 0) else {
                continue;
            };
            let told = |message: Message| message.with("mode", format!("{mode:o}"));
            self.push_file(Severity::Serious, "folder_writable", &folder, told);
        }
        for ending in ["", "-wal", "-shm"] {
            let mut name = config.inbox.path.clone().into_os_string();
            name.push(ending);
            let file = PathBuf::from(name);
            if let Some(mode) = mode_of(&file).filter(|mode| mode & OPEN != 0) {
                let told = |message: Message| message.with("mode", format!("{mode:o}"));
                self.push_file(Severity::Serious, "inbox_open", &file, told);
            }
        }
    }

    /// Who can reach what.
    fn listeners(&mut self, config: &Config) {
        let plain = network::addresses(&config.server)
            .into_iter()
            .find(|(address, has_tls)| !has_tls && !address.ip().to_canonical().is_loopback());
        if let Some((address, _)) = plain {
            // A named proxy may encrypt, and whoever reaches this address goes past it.
            let is_behind = !config.server.network.trusted_proxies.is_empty();
            let lower = |open, behind| if is_behind { behind } else { open };
            let shown = config.channels.iter().find(|channel| proof_of(channel) == ProofOf::Shown);
            let place = self.places.section("server", "listen");
            if let Some(channel) = shown {
                let severity = lower(Severity::Serious, Severity::Warning);
                self.push(severity, "token_in_clear", (place, "server.listen"), |message| {
                    message.with("address", address).with("channel", &channel.id)
                });
            } else {
                let severity = lower(Severity::Warning, Severity::Notice);
                self.push(severity, "plain_public", (place, "server.listen"), |message| {
                    message.with("address", address)
                });
            }
            let asked = config.channels.iter().find(|channel| channel.channel.fetch_back().is_some());
            if let Some(channel) = asked.filter(|_| !is_behind) {
                let severity = if is_private(address.ip()) { Severity::Warning } else { Severity::Notice };
                let place = self.places.section("server", "listen");
                self.push(severity, "one_network", (place, "server.listen"), |message| {
                    message.with("address", address).with("channel", &channel.id)
                });
            }
        }
        if config.admin.open_metrics {
            let place = self.places.section("admin", "open_metrics");
            let told = |message: Message| message.with("address", config.admin.listen);
            self.push(Severity::Warning, "metrics_open", (place, "admin.open_metrics"), told);
        }
    }

    /// How much the proof of a channel is worth.
    fn channel(&mut self, channel: &ChannelConfig) {
        let at = |report: &Self, key: &str| report.places.of_id("channel", &channel.id, key);
        let told = |message: Message| message.with("channel", &channel.id);
        for weak in lives::weak_keys(channel) {
            let word = format!("weakness.{}", weak.weakness.word());
            let text = lives::weak_text(&weak).with("owner", &channel.id);
            // What every check warns of is there already.
            if self.found.iter().any(|found| found.what == text) {
                continue;
            }
            self.push_weak(&weak, word, text, at(self, &weak.setting));
        }
        let is_asked = channel.channel.fetch_back().is_some();
        match proof_of(channel) {
            ProofOf::Signed => {}
            ProofOf::Shown | ProofOf::Nothing if is_asked => {
                self.push(Severity::Notice, "asked_only", (at(self, "verify"), "channel"), told);
            }
            ProofOf::Shown | ProofOf::Nothing => {
                self.push(Severity::Serious, "unproven", (at(self, "verify"), "channel"), told);
            }
        }
        if let Some(checksum) = channel.channel.checksum() {
            self.push(Severity::Serious, "checksum_only", (at(self, "confirm"), "channel"), |message| {
                told(message).with("checksum", checksum)
            });
        }
        if !is_asked && channel.channel.freshness().is_none() && channel.platform.freshness.is_none() {
            self.push(Severity::Notice, "no_time", (at(self, "verify"), "channel"), told);
        }
        if channel.allow.check == IpCheck::Off && !channel.platform.source_ranges.is_empty() {
            self.push(Severity::Notice, "no_source_check", (at(self, "ip_check"), "channel.ip_check"), told);
        }
    }

    fn push_weak(&mut self, weak: &Weak, word: String, what: Message, place: Option<(PathBuf, Place)>) {
        let (file, place) = place.map_or_else(|| (self.path.to_owned(), None), |(file, place)| (file, Some(place)));
        let severity = severity_of(weak.weakness.word(), Some(weak.weakness));
        let key = "channel".to_owned();
        self.found.push(Finding { severity, word, file, place, key, what, cure: None });
    }

    /// Where events go, and how.
    fn targets(&mut self, config: &Config) {
        let has = |environment| config.channels.iter().any(|channel| channel.environment == environment);
        let is_mixed = has(Environment::Live) && has(Environment::Sandbox);
        for target in &config.targets {
            if target.accept_sandbox && is_mixed {
                let place = self.places.of_id("target", &target.id, "accept_sandbox");
                self.push(Severity::Notice, "sandbox_mixed", (place, "target.accept_sandbox"), |message| {
                    message.with("target", &target.id)
                });
            }
            for (setting, host) in plain_addresses(target) {
                let place = self.places.of_id("target", &target.id, setting);
                self.push(Severity::Warning, "target_in_clear", (place, &format!("target.{setting}")), |message| {
                    message.with("target", &target.id).with("host", &host)
                });
            }
        }
    }
}

/// What proves a channel's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProofOf {
    /// A signature or a digest over them.
    Signed,
    /// Something that is shown with them, and that who sees it can show again.
    Shown,
    /// Nothing.
    Nothing,
}

/// Algorithms of what is shown with a message.
const SHOWN: &[&str] = &["token", "Basic"];
fn proof_of(channel: &ChannelConfig) -> ProofOf {
    let mut notes = channel.channel.keys();
    // What we ask with proves no message.
    if let Some(back) = channel.channel.fetch_back() {
        notes.retain(|note| note.label != back.credential_label());
    }
    let is_shown = |note: &KeyNote| SHOWN.contains(&note.algorithm.as_str());
    if notes.iter().any(|note| !is_shown(note)) || channel.channel.key_source().is_some() {
        ProofOf::Signed
    } else if notes.iter().any(is_shown) {
        ProofOf::Shown
    } else {
        ProofOf::Nothing
    }
}

/// Addresses of a target that go over the network as anybody can read it: the setting, and the machine.
fn plain_addresses(target: &TargetConfig) -> Vec<(&'static str, String)> {
    let described: &[Setting] = targets::by_kind(&target.kind).map_or(&[], |kind| kind.settings);
    let addresses = described.iter().filter(|setting| setting.kind == SettingKind::Address);
    let plain = |setting: &Setting| {
        let host = target.settings.text(setting.name)?.strip_prefix("http://")?;
        let end = host.find(['/', '?', '#']).unwrap_or(host.len());
        let authority = host[..end].rsplit('@').next().unwrap_or_default();
        let machine = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        let is_here = machine.eq_ignore_ascii_case("localhost")
            || machine.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        (!is_here).then(|| (setting.name, machine.to_owned()))
    };
    addresses.filter_map(plain).collect()
}

/// Who may own what a configuration is made of.
struct Owners(Vec<u32>);

impl Owners {
    /// The machine's administrator and whoever runs this. Where those are the same, the service runs as somebody else, as a
    /// rule as him whose the inbox is.
    fn of(inbox: &Path) -> Self {
        let me = rustix::process::geteuid().as_raw();
        let mut owners = vec![ADMINISTRATOR, me];
        if me == ADMINISTRATOR {
            let is_there = |path: &&Path| path.exists();
            let folder = inbox.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            owners.extend([inbox, folder].iter().find(|path| is_there(path)).and_then(|path| owner_of(path)));
        }
        Self(owners)
    }

    /// Whether somebody else owns it, who can then change it whatever its mode says.
    fn is_foreign(&self, path: &Path) -> bool {
        owner_of(path).is_some_and(|owner| !self.0.contains(&owner))
    }
}

fn owner_of(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.uid())
}

/// Every folder on the way to these files, as their names say it and as links lead: who can write one of them can put
/// others in their place.
fn folders_of(files: &[&Path]) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for file in files {
        let named = std::path::absolute(file).ok();
        // A file that is not there yet has a folder all the same.
        let led = file.canonicalize().ok();
        let led_folder = named.as_deref().and_then(Path::parent).and_then(|folder| folder.canonicalize().ok());
        for path in [named, led].into_iter().flatten() {
            folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        }
        folders.extend(led_folder.iter().flat_map(|folder| folder.ancestors()).map(Path::to_owned));
    }
    // The same folder under two names is told of once.
    let is_itself = |folder: &PathBuf| folder.canonicalize().is_ok_and(|canonical| canonical == **folder);
    let (own, linked): (Vec<PathBuf>, Vec<PathBuf>) = folders.into_iter().partition(is_itself);
    let is_new = |folder: &PathBuf| folder.canonicalize().is_ok_and(|canonical| !own.contains(&canonical));
    let linked: Vec<PathBuf> = linked.into_iter().filter(is_new).collect();
    own.into_iter().chain(linked).collect()
}

/// An address inside somebody's network, at which a proxy or a container's gateway stands in front.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn mode_of(path: &Path) -> Option<u32> {
    Some(fs::metadata(path).ok()?.permissions().mode() & 0o7777)
}

/// Since when a key is in use: a certificate says it; of a secret the file's own time is the best that is known. None
/// for a platform's public key, which does not grow old here.
fn key_since(path: &Path) -> Option<Timestamp> {
    let metadata = fs::metadata(path).ok().filter(|metadata| metadata.is_file() && metadata.len() <= FILE_BYTES_MAX)?;
    let bytes = zeroize::Zeroizing::new(fs::read(path).ok()?);
    if let Ok(certificates) = Certificate::read_all("file", &bytes) {
        return certificates.iter().filter_map(|one| one.description().not_before).max();
    }
    let is_secret = metadata.permissions().mode() & OPEN == 0;
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    if !is_secret || has(b"BEGIN PUBLIC KEY") || has(b"BEGIN RSA PUBLIC KEY") {
        return None;
    }
    Timestamp::try_from(metadata.modified().ok()?).ok()
}
