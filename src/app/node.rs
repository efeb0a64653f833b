//! A running node: opens every part, starts the tasks, waits for the end, drains.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::doors::{ack_of, doors};
use super::lines::{lines, warn_of_orphans};
use super::open_inbox;
use crate::admin::{self, Admin};
use crate::clock::{self, Clock};
use crate::config::{self, Config};
use crate::deliver::Deliverer;
use crate::inbox::sqlite::{ServingLock, SqliteInbox};
use crate::inbox::{Inbox, Retention};
use crate::receive::{Receiver, listener};
use crate::stop::{Stop, Stopper, stop_pair};
use crate::telemetry::Metrics;

/// A running node.
pub struct Node {
    inbox: Arc<dyn Inbox>,
    addresses: Vec<SocketAddr>,
    admin_address: SocketAddr,
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
        let admin_listener = TcpListener::bind(config.admin.listen)
            .await
            .with_context(|| format!("listen on {}", config.admin.listen))?;
        let admin_address = admin_listener.local_addr().context("read the admin listener's address")?;
        let admin = Admin { inbox: inbox.clone(), metrics: metrics.clone(), clock: clock.clone(), stop: stop.clone() };
        tasks.spawn(named("admin", admin::serve(admin_listener, Arc::new(admin))));

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
        info!(addresses = ?addresses, admin = %admin_address, channels = config.channels.len(), targets = config.targets.len(), "serving");
        Ok(Self { inbox, addresses, admin_address, stopper, tasks, drain: config.server.drain_timeout, _lock: lock })
    }

    /// The first public address.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The admin listener's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
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
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(name) => Err(anyhow::anyhow!("the task `{name}` ended by itself")),
                Err(error) => Err(anyhow::Error::new(error).context("a task ended badly")),
            },
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
        self.inbox.close().await;
        info!("stopped");
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

/// Removes what is older than its retention, in slices with pauses, so that intake never waits long.
async fn retain(inbox: Arc<dyn Inbox>, settings: config::RetentionConfig, clock: Clock, mut stop: Stop) {
    let retention = Retention { bodies: settings.bodies, identities: settings.identities, slice: settings.slice };
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
