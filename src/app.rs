//! Wiring: configuration → parts → tasks → drain. Nothing is decided here.

mod surface;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tollbell_channels::model::{AckMatch, AppReply, Environment};
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::{Settings, SettingsError};
use tracing::{error, info, warn};

use self::surface::Surface;
use crate::clock::{self, Clock};
use crate::config::{self, BackoffConfig, Catalogue, ChannelConfig, Config, Problem, TargetKind};
use crate::control::NodeParts;
use crate::deliver::{AckOf, Backoff, Deliverer, Line, Origin, Policy};
use crate::inbox::sqlite::{Options, ServingLock, SqliteInbox};
use crate::inbox::{Gap, Inbox, Retention, RoutedTarget};
use crate::messages::Message;
use crate::receive::{Door, Doors, Receiver, listener};
use crate::stop::{Stop, Stopper, stop_pair};
use crate::targets::{self, Format, Target};
use crate::telemetry::{self, LogFormat, Metrics};

/// Reads the configuration with everything that this program knows.
///
/// # Errors
/// Every problem that was found, not only the first.
pub fn load_config(path: &Path) -> Result<(Config, Vec<Problem>), Vec<Problem>> {
    let kinds: Vec<TargetKind> =
        targets::KINDS.iter().map(|kind| TargetKind { kind: kind.kind, settings: kind.settings }).collect();
    let build = |kind: &str, settings: &Settings| build_target(kind, settings).map(|_| ());
    let catalogue = Catalogue {
        platforms: PLATFORMS,
        target_kinds: &kinds,
        build_target: &build,
        variable: &|name| std::env::var(name).ok(),
    };
    let (config, mut warnings) = config::load(path, &catalogue)?;
    let test_keys = config.channels.iter().filter(|channel| trusts_test_keys(&config, channel));
    warnings.extend(test_keys.map(|channel| {
        Problem::warning(path, "channel", Message::new("check.test_keys").with("channel", &channel.id))
    }));
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

/// Where the private half of a channel's test keys lies, when `init` made them.
pub fn test_keys_path(folder: &Path, channel: &str) -> PathBuf {
    folder.join("keys").join("simulator").join(format!("{channel}.keys"))
}

/// Whether a channel trusts keys whose private half lies beside the configuration: whoever can read that
/// file can sign callbacks.
fn trusts_test_keys(config: &Config, channel: &ChannelConfig) -> bool {
    let Ok(exported) = std::fs::read(test_keys_path(&config.folder, &channel.id)) else { return false };
    let mut side = (channel.platform.simulate)();
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

/// Starts logging as the configuration says.
///
/// # Errors
/// When the level cannot be read.
pub fn start_logging(config: &Config) -> anyhow::Result<()> {
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
pub fn receiver(config: &Config, inbox: Arc<dyn Inbox>) -> anyhow::Result<Arc<ArcSwap<Receiver>>> {
    let lines = lines(config)?;
    let receiver =
        Receiver { doors: doors(config, &lines), inbox, metrics: Arc::new(Metrics::new()), clock: clock::system() };
    Ok(Arc::new(ArcSwap::from_pointee(receiver)))
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

/// A running node.
pub struct Node {
    inbox: Arc<dyn Inbox>,
    addresses: Vec<SocketAddr>,
    surface: Surface,
    stopper: Stopper,
    tasks: Tasks,
    drain: Duration,
    _lock: ServingLock,
}

/// The node's tasks; each gives its name when it ends.
type Tasks = JoinSet<&'static str>;

/// Names a task, so that its end can be told.
async fn named(name: &'static str, work: impl Future<Output = ()>) -> &'static str {
    work.await;
    name
}

/// Time beyond the drain time after which tasks that still run are ended: attempts hold leases, so that
/// nothing is lost when they are.
const DRAIN_GRACE: Duration = Duration::from_secs(5);

impl Node {
    /// Opens everything and starts working.
    ///
    /// # Errors
    /// When a part cannot be opened: an address in use, an inbox that another node serves.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let lock = SqliteInbox::lock_for_serving(&config.inbox.path).context("claim the inbox for this node")?;
        let inbox = open_inbox(&config).context("open the inbox")?;
        let clock = clock::system();
        let metrics = Arc::new(Metrics::new());
        let (stopper, stop) = stop_pair();

        warn_of_orphans(&*inbox, &config).await;
        let lines = lines(&config)?;
        let receiver = Receiver {
            doors: doors(&config, &lines),
            inbox: inbox.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
        };
        let receiver = Arc::new(ArcSwap::from_pointee(receiver));

        let mut tasks = Tasks::new();
        let mut addresses = Vec::new();
        for address in &config.server.listen {
            let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
            addresses.push(listener.local_addr().context("read the listener's address")?);
            let served = listener::serve(listener, receiver.clone(), limits(&config), stop.clone());
            tasks.spawn(named("receive", served));
        }
        let channels = receiver.clone();
        let parts = NodeParts {
            started_at: clock(),
            addresses: addresses.clone(),
            admin: config.admin.listen,
            socket: None,
            channels: Arc::new(move || channels.load().doors.iter().map(|door| door.id.to_string()).collect()),
            metrics: metrics.clone(),
            stop: stop.clone(),
        };
        let surface = Surface::start(&config.admin, inbox.clone(), receiver.clone(), clock.clone(), parts).await?;

        let deliverer = Deliverer {
            inbox: inbox.clone(),
            metrics,
            clock: clock.clone(),
            chance: clock::system_chance(),
            ack_of: ack_of(receiver.clone()),
            scan: config.deliver.scan,
        };
        for line in lines {
            tasks.spawn(named("deliver", deliverer.clone().run(line, stop.clone())));
        }
        tasks.spawn(named("retain", retain(inbox.clone(), config.retention.clone(), clock, stop)));
        info!(addresses = ?addresses, admin = %surface.address, channels = config.channels.len(), targets = config.targets.len(), "serving");
        Ok(Self { inbox, addresses, surface, stopper, tasks, drain: config.server.drain_timeout, _lock: lock })
    }

    /// The first public address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The admin listener's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.surface.address
    }

    /// The inbox.
    pub fn inbox(&self) -> Arc<dyn Inbox> {
        self.inbox.clone()
    }

    /// Runs until SIGTERM or SIGINT, then drains.
    ///
    /// # Errors
    /// When a task ended by itself: a node with a dead part must not go on as if it were whole, and whoever
    /// supervises the process starts it again.
    pub async fn run_until_signal(mut self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate()).context("wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("wait for SIGINT")?;
        let ended = tokio::select! {
            _ = terminate.recv() => {
                info!("SIGTERM: draining");
                Ok(())
            }
            _ = interrupt.recv() => {
                info!("SIGINT: draining");
                Ok(())
            }
            Some(ended) = self.tasks.join_next() => Err(ended_by_itself(ended)),
            ended = self.surface.ended() => Err(ended_by_itself(ended)),
        };
        if let Err(error) = &ended {
            error!(error = format!("{error:#}"), "stopping: a part of the node is gone");
        }
        self.stop().await;
        ended
    }

    /// Stops taking work, lets what runs end, closes the inbox.
    pub async fn stop(mut self) {
        self.stopper.stop();
        let by = tokio::time::Instant::now() + self.drain + DRAIN_GRACE;
        loop {
            match tokio::time::timeout_at(by, self.tasks.join_next()).await {
                Ok(None) => break,
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => error!(%error, "a task ended badly"),
                Err(_) => {
                    warn!(tasks = self.tasks.len(), "still at work at the end of the drain time; ended");
                    self.tasks.shutdown().await;
                    break;
                }
            }
        }
        self.surface.stop().await;
        self.inbox.close().await;
        info!("stopped");
    }
}

/// What it means that a task ended although nobody asked it to.
fn ended_by_itself(ended: Result<&'static str, JoinError>) -> anyhow::Error {
    match ended {
        Ok(name) => anyhow::anyhow!("the task `{name}` ended by itself"),
        Err(error) => anyhow::Error::new(error).context("a task ended badly"),
    }
}

/// Deliveries of a target that is no longer configured wait until it is again; somebody should know.
async fn warn_of_orphans(inbox: &dyn Inbox, config: &Config) {
    match inbox.backlog().await {
        Ok(rows) => {
            for row in rows {
                let is_configured = config.targets.iter().any(|target| *target.id == *row.target);
                if row.open > 0 && !is_configured {
                    warn!(target = row.target, open = row.open, "deliveries wait for a target that is not configured");
                }
            }
        }
        Err(error) => warn!(%error, "cannot read what waits"),
    }
}

fn limits(config: &Config) -> listener::Limits {
    let server = &config.server;
    listener::Limits {
        connections: server.max_connections,
        first_byte: server.first_byte_timeout,
        header: server.header_timeout,
        body: server.body_timeout,
        body_bytes: server.body_limit,
        drain: server.drain_timeout,
    }
}

fn lines(config: &Config) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for target in &config.targets {
        let built =
            build_target(&target.kind, &target.settings).with_context(|| format!("build target `{}`", target.id))?;
        let demands = built.demands();
        let backoff = match &target.ladder {
            Some(ladder) => Backoff::Ladder(ladder.clone()),
            None => backoff(&config.deliver.backoff),
        };
        let policy = Policy {
            backoff,
            wait_after_unknown: demands.wait_after_unknown,
            attempt_timeout: demands.attempt_timeout,
            lease: Policy::lease_for(demands.attempt_timeout, demands.wait_after_unknown, config.deliver.lease_margin),
            concurrency: demands.concurrency.max(1),
        };
        lines.push(Line { id: target.id.clone(), target: built, policy });
    }
    Ok(lines)
}

fn backoff(config: &BackoffConfig) -> Backoff {
    match config {
        BackoffConfig::Ladder(waits) => Backoff::Ladder(waits.clone()),
        BackoffConfig::Exponential { first, max, tries } => {
            Backoff::Exponential { first: *first, max: *max, tries: *tries }
        }
    }
}

fn doors(config: &Config, lines: &[Line]) -> Doors {
    let is_raw = |id: &str| lines.iter().any(|line| &*line.id == id && line.target.demands().format == Format::Raw);
    let doors = config.channels.iter().map(|channel| {
        let is_sandbox = channel.environment == Environment::Sandbox;
        let targets_of = |kind| {
            let ids = config.routes.targets_for(&channel.id, kind, &config.targets);
            let accepted = config.targets.iter().filter(|target| ids.contains(&target.id));
            accepted
                .filter(|target| !is_sandbox || target.accept_sandbox)
                .map(|target| RoutedTarget { target: target.id.clone(), is_raw: is_raw(&target.id) })
                .collect()
        };
        Arc::new(Door::new(
            channel.id.clone(),
            channel.merchant.clone(),
            channel.platform.kind,
            channel.channel.clone(),
            channel.paths.clone(),
            targets_of,
        ))
    });
    Doors::new(doors.collect())
}

/// Reads an application's answer in the words of the channel, as it is configured now. When the channel is gone
/// or has another name, another channel of the same platform knows the word; without any, nothing confirms.
fn ack_of(receiver: Arc<ArcSwap<Receiver>>) -> AckOf {
    Arc::new(move |origin: &Origin, reply: &AppReply<'_>| {
        let receiver = receiver.load();
        let is_of_platform = |door: &&Arc<Door>| *door.platform == *origin.platform;
        let own = receiver.doors.by_id(&origin.channel).filter(is_of_platform);
        let door = own.or_else(|| receiver.doors.iter().find(is_of_platform));
        door.map_or(AckMatch::No, |door| door.channel.is_ack(reply))
    })
}

/// Removes what is older than its retention, in slices with pauses, so that intake never waits long.
async fn retain(inbox: Arc<dyn Inbox>, settings: config::RetentionConfig, clock: Clock, mut stop: Stop) {
    let retention = Retention {
        bodies: settings.bodies,
        identities: settings.identities,
        rejections: settings.rejections,
        slice: settings.slice,
    };
    loop {
        let wait = match inbox.retain(retention, clock()).await {
            Ok(retained) if !retained.is_done => SLICE_PAUSE,
            Ok(_) => settings.every,
            Err(error) => {
                warn!(%error, "cannot remove what is older than its retention");
                settings.every
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.raised() => return,
        }
    }
}

/// Pause between two slices.
const SLICE_PAUSE: Duration = Duration::from_millis(50);
