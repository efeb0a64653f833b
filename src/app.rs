//! Wiring: configuration → parts → tasks → drain. Nothing is decided here.

mod doors;
mod lines;
mod lives;
mod network;
mod node;
mod plan;
mod queries;
mod reload;
pub mod security;
mod service;
mod signals;
mod sockets;
mod supervisor;
mod surface;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::{Settings, SettingsError};
use tollbell_channels::simulate::OtherSide;

pub use node::Node;
pub use signals::{Ends, Hangups};
pub use sockets::Sockets;

use crate::clock;
use crate::config::{self, Carries, Catalogue, ChannelConfig, Config, Problem, TargetKind};
use crate::inbox::sqlite::{Options, SqliteInbox};
use crate::inbox::{Gap, Inbox};
use crate::messages::Message;
use crate::receive::Receiver;
use crate::targets::{self, Confirmation, Format, Target};
use crate::telemetry::{self, LogFormat};

/// Reads the configuration with everything that this program knows.
///
/// # Errors
/// Every problem that was found, not only the first.
pub fn load_config(path: &Path) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    load_config_excusing(path, |_| false)
}

/// The same for a command that mends a problem, which it does not take for one.
///
/// # Errors
/// Every other problem that was found.
pub fn load_config_excusing(
    path: &Path,
    is_excused: impl Fn(&Problem) -> bool,
) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let described = |kind: &&targets::Kind| TargetKind {
        kind: kind.kind,
        settings: kind.settings,
        is_broker: kind.confirmation == Confirmation::Broker,
    };
    let kinds: Vec<TargetKind> = targets::KINDS.iter().map(described).collect();
    let build = |kind: &str, settings: &Settings| build_target(kind, settings).map(|target| carries(&*target));
    let catalogue = Catalogue {
        platforms: &PLATFORMS,
        target_kinds: &kinds,
        build_target: &build,
        variable: &|name| std::env::var(name).ok(),
    };
    let (config, mut warnings) = config::load_excusing(path, &catalogue, is_excused)?;
    warnings.extend(queries::check(path, &config)?);
    warnings.extend(network::check_tls(path, &config.server, clock::system()())?);
    let test_keys = config.channels.iter().filter(|channel| trusts_test_keys(&config, channel));
    warnings.extend(test_keys.map(|channel| {
        Problem::warning(path, "channel", Message::new("check.test_keys").with("channel", &channel.id))
    }));
    warnings.extend(lives::warnings(path, &config, clock::system()()));
    if config.admin.tokens.is_empty() {
        let message = match &config.admin.socket {
            Some(socket) => Message::new("check.no_token").with("socket", socket.display()),
            None => Message::new("check.no_token_no_socket"),
        };
        warnings.push(Problem::warning(path, "admin.token", message));
    }
    for target in &config.targets {
        let advice = targets::by_kind(&target.kind).map(|kind| (kind.advise)(&target.settings)).unwrap_or_default();
        warnings.extend(advice.into_iter().map(|advice| {
            let message = Message::dynamic(format!("advice.{}", advice.word)).with("target", &target.id);
            Problem::warning(path, &format!("target.{}", advice.setting), message)
        }));
    }
    Ok((config, warnings))
}

/// Where a channel's resign key lies, unless the channel says otherwise.
pub fn resign_key_path(folder: &Path, channel: &str) -> PathBuf {
    folder.join("keys").join("resign").join(format!("{channel}.pem"))
}

/// Where the private half of a channel's test keys lies, when `init` made them.
pub fn test_keys_path(folder: &Path, channel: &str) -> PathBuf {
    folder.join("keys").join("simulator").join(format!("{channel}.keys"))
}

/// Where the public half of test keys lies, when `sample --new-keys` made them.
pub fn test_public_path(folder: &Path, channel: &str) -> PathBuf {
    folder.join("keys").join("simulator").join(format!("{channel}_public.pem"))
}

/// The platform's other side for a channel, with fresh keys, and whether it speaks as this channel's own settings say.
pub fn other_side(channel: &ChannelConfig) -> (Box<dyn OtherSide>, bool) {
    let usual = (channel.platform.simulate)();
    match usual.fitted(&channel.settings) {
        Some(fitted) => (fitted, true),
        None => (usual, false),
    }
}

/// Whether a channel trusts keys whose private half lies beside the configuration: whoever can read that
/// file can sign callbacks.
fn trusts_test_keys(config: &Config, channel: &ChannelConfig) -> bool {
    let Ok(exported) = std::fs::read(test_keys_path(&config.folder, &channel.id)) else { return false };
    let (mut side, _) = other_side(channel);
    if side.import(&exported).is_err() {
        return false;
    }
    let Ok(simulated) = (channel.platform.build)(&side.settings()) else { return false };
    let known: Vec<_> = simulated.keys().into_iter().filter_map(|key| key.fingerprint).collect();
    channel.channel.keys().iter().any(|key| key.fingerprint.as_ref().is_some_and(|print| known.contains(print)))
}

fn build_target(kind: &str, settings: &Settings) -> Result<Arc<dyn Target>, SettingsError> {
    match targets::by_kind(kind) {
        Some(known) => (known.build)(settings),
        None => Err(SettingsError::new("kind", "unknown_word").because(kind)),
    }
}

fn carries(target: &dyn Target) -> Carries {
    match target.demands().format {
        Format::Raw => Carries::Requests,
        Format::Event => Carries::Events,
    }
}

/// Starts logging as the configuration says. What is returned is kept to the end.
///
/// # Errors
/// When the level cannot be read.
pub fn start_logging(config: &Config) -> anyhow::Result<telemetry::Logging> {
    let format = if config.log.is_json { LogFormat::Json } else { LogFormat::Pretty };
    telemetry::start_logging(format, &config.log.level).map_err(anyhow::Error::msg).context("start logging")
}

/// Opens the inbox of a configuration.
///
/// # Errors
/// When the file cannot be opened, is open to others, or belongs to a newer program.
pub fn open_inbox(config: &Config) -> anyhow::Result<Arc<dyn Inbox>> {
    let options = Options {
        queue_jobs: config.inbox.queue,
        identities_kept: config.retention.identities,
        ..Options::new(clock::system())
    };
    Ok(SqliteInbox::open(&config.inbox.path, options)?)
}

/// The receiving side as it is configured, for commands beside an inbox that nobody serves.
///
/// # Errors
/// When a target cannot be built.
pub async fn receiver(config: &Config, inbox: Arc<dyn Inbox>) -> anyhow::Result<Arc<ArcSwap<Receiver>>> {
    node::receiver_alone(config, inbox).await
}

/// Whether a node serves from the inbox of a configuration now.
///
/// # Errors
/// When the lock beside the inbox cannot be looked at.
pub fn is_served(config: &Config) -> anyhow::Result<bool> {
    Ok(SqliteInbox::is_served(&config.inbox.path)?)
}

/// The open gaps of the inbox of a configuration, when there is one.
///
/// # Errors
/// When it cannot be read.
pub fn open_gaps(config: &Config) -> anyhow::Result<Vec<Gap>> {
    Ok(SqliteInbox::open_gaps_of(&config.inbox.path)?)
}
