//! A running node: opens every part, starts the tasks, waits for the end, drains.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener as Socket};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::doors::{ChannelSignatures, ack_of, callback_of, channel_of, doors, fields_of};
use super::lines::{lines, warn_of_orphans};
use super::service::Service;
use super::signals::{Ends, Hangups};
use super::sockets::Sockets;
use super::supervisor::{Ended, Supervisor, What};
use super::surface::Surface;
use super::watch::watch_files;
use super::{lives, network, open_inbox};
use crate::clock::{self, Clock};
use crate::config::{Config, RetentionConfig, Role};
use crate::control::NodeParts;
use crate::deliver::{Deliverer, Line};
use crate::descriptors;
use crate::inbox::sqlite::{ServingLock, SqliteInbox};
use crate::inbox::{Inbox, Retention};
use crate::keys::{self, Keeper, Outside};
use crate::operate::Asker;
use crate::receive::guard::Guard;
use crate::receive::listener::{self, Places};
use crate::receive::refusals::Refusals;
use crate::receive::tls::TlsPair;
use crate::receive::{Receiver, Waiters};
use crate::reload::{self, Asked, Order, Reloader, Standing};
use crate::stop::{Stop, Stopper, stop_pair};
use crate::telemetry::{ByChannel, Metrics};

/// A running node.
pub struct Node {
    pub(super) parts: Parts,
    /// What is in force.
    pub(super) config: Config,
    pub(super) receiver: Arc<ArcSwap<Receiver>>,
    pub(super) keepers: Keepers,
    /// Snapshots that were replaced and may still be in use by a request.
    pub(super) replaced: Vec<Weak<Receiver>>,
    pub(super) tasks: Supervisor,
    pub(super) listening: Vec<Listening>,
    /// Their addresses, for who asks.
    pub(super) shown_addresses: Arc<ArcSwap<Vec<SocketAddr>>>,
    /// Certificate and key of the listeners that speak TLS.
    pub(super) tls: Option<Arc<TlsPair>>,
    /// Places for connections, of all listeners together.
    pub(super) places: Places,
    pub(super) lines: BTreeMap<Arc<str>, LineState>,
    pub(super) retention: watch::Sender<RetentionConfig>,
    pub(super) standing: Arc<Standing>,
    pub(super) surface: Surface,
    reloader: Reloader,
    asked: mpsc::Receiver<Asked>,
    /// Raised when draining begins: the node is not ready then.
    draining: Stopper,
    _lock: ServingLock,
}

/// The keeper of each channel, by the channel's id.
pub(super) type Keepers = BTreeMap<Arc<str>, Arc<Keeper>>;

/// What lives as long as the node.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
    /// What keepers of platform keys need.
    pub(super) keys: keys::Parts,
    /// What was refused and not told yet.
    refusals: Arc<Refusals>,
    /// Answers that wait for the application.
    waiters: Arc<Waiters>,
}

/// A public address that is served.
pub(super) struct Listening {
    /// As it is configured.
    pub(super) configured: SocketAddr,
    local: SocketAddr,
    pub(super) is_tls: bool,
    /// Kept open while the task that serves it is replaced, so that no connection is refused.
    socket: Socket,
}

/// The line of one target. There is one task at a time, so that a reload never doubles the attempts at once, and
/// a lease that an older line holds is never judged by the times of a newer one.
pub(super) struct LineState {
    /// What its task delivers by; none when it is of an earlier life of the node.
    pub(super) line: Option<Line>,
    pub(super) task: LineTask,
    /// Not in the configuration any more.
    pub(super) leaving: Option<Leaving>,
}

/// What a line's task does.
pub(super) enum LineTask {
    /// It claims and attempts.
    Running,
    /// It lets its attempts end; then this one begins, if any.
    Ending { then: Option<Line> },
    /// It has ended.
    Ended,
}

/// Why a target is leaving.
pub(super) enum Leaving {
    /// Nothing was open; what a late request brings is still delivered.
    Drained,
    /// What is open is discarded, by order of somebody.
    Discarding { who: String, count: u64 },
}

/// Time beyond the drain time after which tasks that still run are ended: attempts hold leases, so that
/// nothing is lost when they are.
const DRAIN_GRACE: Duration = Duration::from_secs(5);
/// How often lines that are leaving are looked at.
const LEAVING_EVERY: Duration = Duration::from_millis(500);

impl Node {
    /// Opens everything and starts working.
    ///
    /// # Errors
    /// When a part cannot be opened: an address in use, an inbox that another node serves.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        Self::start_on(config, Sockets::default()).await
    }

    /// The same, on sockets that whoever started the process has opened.
    ///
    /// # Errors
    /// As [`Node::start`]; also when the sockets are not those of the configuration.
    pub async fn start_on(config: Config, mut sockets: Sockets) -> anyhow::Result<Self> {
        sockets.fits(&config)?;
        let lock = SqliteInbox::lock_for_serving(&config.inbox.path).context("claim the inbox for this node")?;
        let inbox = open_inbox(&config).context("open the inbox")?;
        let (draining, stop) = stop_pair();
        let parts = Parts::new(inbox, &stop);
        warn_of_orphans(&*parts.inbox, &config).await;
        let lines = lines(&config)?;
        let keepers = keepers(&parts, &config, &Keepers::new(), |_| false).await;
        let guard = Arc::new(Guard::new(network::rules(&config.server), parts.metrics.clone()));
        let receiver = Arc::new(ArcSwap::from_pointee(receiver(&parts, &config, &lines, &keepers, guard)));
        let tls =
            network::open_tls(&config.server, &parts.clock, &parts.metrics).context("open certificate and key")?;

        let mut listening = Vec::new();
        for (address, is_tls) in public_addresses(&config) {
            let opened = Listening::open(address, is_tls, &mut sockets);
            listening.push(opened.with_context(|| format!("listen on {address}"))?);
        }
        let admin_socket = sockets.admin(config.admin.listen).map_or_else(|| bind(config.admin.listen), Ok);
        let admin_socket = admin_socket.with_context(|| format!("listen on {}", config.admin.listen))?;

        let standing = Arc::new(Standing::default());
        let (reloader, asked) = reload::channel();
        let channels = receiver.clone();
        let shown_addresses = Arc::new(ArcSwap::from_pointee(local_addresses(&listening)));
        let about = NodeParts {
            started_at: (parts.clock)(),
            addresses: shown_addresses.clone(),
            admin: config.admin.listen,
            socket: None,
            channels: Arc::new(move || channels.load().doors.iter().map(|door| door.id.to_string()).collect()),
            metrics: parts.metrics.clone(),
            stop,
            reloader: reloader.clone(),
            standing: standing.clone(),
        };
        let (inbox, clock) = (parts.inbox.clone(), parts.clock.clone());
        let surface = Surface::start(&config.admin, admin_socket, inbox, receiver.clone(), clock, about).await?;
        let mut node = Self {
            receiver,
            keepers: Keepers::new(),
            replaced: Vec::new(),
            tasks: Supervisor::default(),
            places: Places::new(connections(&config), listening.len()),
            listening,
            shown_addresses,
            tls,
            lines: BTreeMap::new(),
            retention: watch::Sender::new(config.retention.clone()),
            standing,
            surface,
            reloader,
            asked,
            draining,
            _lock: lock,
            parts,
            config,
        };
        let Parts { inbox, clock, .. } = node.parts.clone();
        let retention = node.retention.subscribe();
        node.tasks.spawn(What::Retain, |stop| retain(inbox, retention, clock, stop));
        node.set_keepers(keepers);
        node.watch_tls();
        let receiver = node.receiver.clone();
        let (watched, clock) = (receiver.clone(), node.parts.clock.clone());
        node.tasks.spawn(What::Tidy, |stop| network::tidy(receiver, stop));
        node.tasks.spawn(What::Lives, |stop| lives::watch(watched, clock, stop));
        for index in 0..node.listening.len() {
            node.serve(index)?;
        }
        if node.config.server.roles.has(Role::Deliver) {
            for line in lines {
                node.set_line(line);
            }
        }
        info!(
            addresses = ?node.shown_addresses.load(),
            admin = %node.surface.address,
            channels = node.config.channels.len(),
            targets = node.config.targets.len(),
            "serving"
        );
        Ok(node)
    }

    /// The first public address.
    pub fn address(&self) -> SocketAddr {
        self.listening[0].local
    }

    /// The admin listener's address.
    pub fn admin_address(&self) -> SocketAddr {
        self.surface.address
    }

    /// The inbox.
    pub fn inbox(&self) -> Arc<dyn Inbox> {
        self.parts.inbox.clone()
    }

    /// Has the node reload its configuration, from wherever in the program.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Runs until SIGTERM or SIGINT, then drains; a second one ends everything at once. SIGHUP, and a change of
    /// the files when they are watched, reload the configuration.
    ///
    /// # Errors
    /// When a task ended by itself: a node with a dead part must not go on as if it were whole, and whoever
    /// supervises the process starts it again. Also when draining was cut short.
    pub async fn run_until_signal(mut self, mut hangups: Hangups, mut ends: Ends) -> anyhow::Result<()> {
        let mut service = Service::new(self.parts.inbox.clone());
        let mut looks = tokio::time::interval(LEAVING_EVERY);
        self.watch();
        Service::ready(&self.summary());
        let ended = loop {
            tokio::select! {
                name = ends.next() => {
                    info!("{name}: draining");
                    break Ok(());
                }
                () = hangups.next() => {
                    if let Err(name) = self.reload_until(&mut ends, Order::by("SIGHUP")).await {
                        info!("{name}: draining; the reload is given up");
                        break Ok(());
                    }
                }
                Some(Asked { order, report }) = self.asked.recv() => {
                    match self.reload_until(&mut ends, order).await {
                        // Who asked may have gone; the log has the report too.
                        Ok(done) => drop(report.send(done)),
                        Err(name) => {
                            info!("{name}: draining; the reload is given up");
                            break Ok(());
                        }
                    }
                }
                Some(ended) = self.tasks.next_end() => {
                    if let Err(error) = self.note_end(ended) {
                        break Err(error);
                    }
                }
                ended = self.surface.ended() => break Err(match ended {
                    Ok(()) => anyhow::anyhow!("the task `admin` ended by itself"),
                    Err(error) => anyhow::Error::new(error).context("the task `admin` ended badly"),
                }),
                _ = looks.tick(), if self.is_anyone_leaving() => self.look_after_leaving().await,
                () = service.beat() => {}
            }
        };
        if let Err(error) = &ended {
            error!(error = format!("{error:#}"), "stopping: a part of the node is gone");
        }
        Service::stopping();
        tokio::select! {
            () = self.stop() => ended,
            name = ends.next() => {
                warn!("{name} again: ended at once; what was acknowledged is on disk, and open attempts keep their leases");
                Err(anyhow::anyhow!("{name} came again before everything had ended"))
            }
        }
    }

    /// Stops taking work, lets what runs end, closes the inbox.
    pub async fn stop(mut self) {
        self.draining.stop();
        // Who asks for a reload from here on is told at once that there will be none.
        self.asked.close();
        while self.asked.try_recv().is_ok() {}
        self.tasks.tell_all();
        let by = tokio::time::Instant::now() + self.config.server.drain_timeout + DRAIN_GRACE;
        // A kept socket would take connections that nobody serves.
        self.listening.clear();
        loop {
            match tokio::time::timeout_at(by, self.tasks.next_end()).await {
                Ok(None) => break,
                Ok(Some(Ended { error: None, .. })) => {}
                Ok(Some(Ended { error: Some(error), .. })) => error!(%error, "a task ended badly"),
                Err(_) => {
                    warn!(tasks = self.tasks.len(), "still at work at the end of the drain time; ended");
                    self.tasks.abort().await;
                    break;
                }
            }
        }
        self.surface.stop().await;
        self.parts.inbox.close().await;
        info!("stopped");
    }

    /// Reloads, or gives it up for a signal: until the files are read and what they need is open, a reload changes
    /// nothing, and what comes then waits for nothing.
    async fn reload_until(&mut self, ends: &mut Ends, order: Order) -> Result<reload::Report, &'static str> {
        tokio::select! {
            biased;
            report = self.reload_as_service(order) => Ok(report),
            name = ends.next() => Err(name),
        }
    }

    async fn reload_as_service(&mut self, order: Order) -> reload::Report {
        let shows = !order.is_dry;
        if shows {
            Service::reloading();
        }
        let report = self.reload(order).await;
        if shows {
            self.watch();
            Service::ready(&self.summary());
        }
        report
    }

    /// One line about the node, for whoever supervises the process.
    fn summary(&self) -> String {
        let stale = if self.standing.is_stale() { "; the files say something that is not in force" } else { "" };
        let (channels, targets) = (self.config.channels.len(), self.config.targets.len());
        format!("serving {channels} channels, {targets} targets{stale}")
    }

    /// Watches the files, or stops doing so, as the configuration says.
    fn watch(&mut self) {
        let is_watching = self.tasks.has(&What::Watch);
        if self.config.server.watch && !is_watching {
            let (path, reloader) = (self.config.file.clone(), self.reloader.clone());
            self.tasks.spawn(What::Watch, |stop| watch_files(path, reloader, stop));
        } else if !self.config.server.watch {
            self.tasks.tell(&What::Watch);
        }
    }

    /// Serves a public address, in place of the task that does, if any: that one ends its connections in peace,
    /// while the socket stays open.
    pub(super) fn serve(&mut self, index: usize) -> anyhow::Result<()> {
        let listening = &self.listening[index];
        let what = What::Listener(listening.local);
        let socket =
            listening.socket.try_clone().and_then(TcpListener::from_std).context("share a listening socket")?;
        let (receiver, limits) = (self.receiver.clone(), limits(&self.config));
        let tls = self.tls.clone().filter(|_| listening.is_tls);
        let places = self.places.share();
        self.tasks.tell(&what);
        self.tasks.spawn(what, |stop| listener::serve(socket, tls, receiver, places, limits, stop));
        Ok(())
    }

    /// Has certificate and key taken over as a pair when their files change.
    pub(super) fn watch_tls(&mut self) {
        self.tasks.tell(&What::Tls);
        if let Some(pair) = self.tls.clone() {
            self.tasks.spawn(What::Tls, |stop| pair.watch(stop));
        } else {
            // As before any: else the end of a certificate that nobody uses would call for somebody.
            self.parts.metrics.network.tls_not_after.set(0.0);
        }
    }

    /// Has platform keys renewed by these keepers, and no longer by those that they replace.
    pub(super) fn set_keepers(&mut self, keepers: Keepers) {
        let is_kept = |id: &Arc<str>, keeper: &Arc<Keeper>, by: &Keepers| {
            by.get(id).is_some_and(|other| Arc::ptr_eq(other, keeper))
        };
        for (id, keeper) in &self.keepers {
            if !is_kept(id, keeper, &keepers) {
                self.tasks.tell(&What::Keys(id.clone()));
                self.tasks.tell(&What::Hints(id.clone()));
            }
            if !keepers.get(id).is_some_and(|keeper| keeper.has_source()) {
                // Nobody waits for these keys any more.
                self.parts.metrics.platform_key_expires.remove(&ByChannel { channel: id.clone() });
            }
        }
        for (id, keeper) in &keepers {
            if keeper.has_source() && !is_kept(id, keeper, &self.keepers) {
                let keeper = keeper.clone();
                self.tasks.spawn(What::Keys(id.clone()), |stop| keeper.renew(stop));
            }
            if keeper.channel().fetch_back().is_some()
                && self.config.server.roles.has(Role::Operate)
                && !is_kept(id, keeper, &self.keepers)
            {
                let asker = self.asker(id);
                self.tasks.spawn(What::Hints(id.clone()), |stop| asker.run(stop));
            }
        }
        self.keepers = keepers;
    }

    fn asker(&self, id: &Arc<str>) -> Asker {
        Asker {
            id: id.clone(),
            channel_of: channel_of(self.receiver.clone()),
            inbox: self.parts.inbox.clone(),
            fetch: self.parts.keys.fetch.clone(),
            metrics: self.parts.metrics.clone(),
            clock: self.parts.clock.clone(),
            chance: clock::system_chance(),
        }
    }

    /// Stops serving an address.
    pub(super) fn close(&mut self, index: usize) {
        let listening = self.listening.remove(index);
        self.tasks.tell(&What::Listener(listening.local));
    }

    /// Has a target delivered to by this line, after the one that there may be.
    pub(super) fn set_line(&mut self, line: Line) {
        let what = What::Line(line.id.clone());
        let Some(state) = self.lines.get_mut(&line.id) else {
            self.spawn_line(line);
            return;
        };
        state.leaving = None;
        match &mut state.task {
            LineTask::Ended => self.spawn_line(line),
            LineTask::Ending { then } => *then = Some(line),
            LineTask::Running => {
                state.task = LineTask::Ending { then: Some(line) };
                self.tasks.tell(&what);
            }
        }
    }

    fn spawn_line(&mut self, line: Line) {
        let deliverer = Deliverer {
            inbox: self.parts.inbox.clone(),
            metrics: self.parts.metrics.clone(),
            clock: self.parts.clock.clone(),
            chance: clock::system_chance(),
            ack_of: ack_of(self.receiver.clone()),
            fields_of: fields_of(self.receiver.clone()),
            callback_of: callback_of(self.receiver.clone()),
            signatures: Arc::new(ChannelSignatures(self.receiver.clone())),
            scan: self.config.deliver.scan,
        };
        let what = What::Line(line.id.clone());
        let state = LineState { line: Some(line.clone()), task: LineTask::Running, leaving: None };
        self.lines.insert(line.id.clone(), state);
        self.tasks.spawn(what, |stop| deliverer.run(line, stop));
    }

    /// Takes note of a task's end.
    fn note_end(&mut self, ended: Ended) -> anyhow::Result<()> {
        let Ended { what, was_told, error } = ended;
        if let Some(error) = error {
            return Err(anyhow::Error::new(error).context(format!("the task {what} ended badly")));
        }
        anyhow::ensure!(was_told, "the task {what} ended by itself");
        let What::Line(id) = &what else { return Ok(()) };
        let Some(state) = self.lines.get_mut(id) else { return Ok(()) };
        match std::mem::replace(&mut state.task, LineTask::Ended) {
            LineTask::Ending { then: Some(line) } => self.spawn_line(line),
            _ if state.leaving.is_none() => drop(self.lines.remove(id)),
            _ => {}
        }
        Ok(())
    }

    fn is_anyone_leaving(&self) -> bool {
        self.lines.values().any(|state| state.leaving.is_some())
    }

    /// Ends the lines of removed targets when nothing is left for them, or nothing is to be left.
    async fn look_after_leaving(&mut self) {
        // A request that began before the target was removed may still bring something for it.
        self.replaced.retain(|snapshot| snapshot.strong_count() > 0);
        if !self.replaced.is_empty() {
            return;
        }
        let open: BTreeMap<String, u64> = match self.parts.inbox.unfinished().await {
            Ok(open) => open.into_iter().collect(),
            Err(error) => return warn!(%error, "cannot see what is open for targets that were removed"),
        };
        let mut gone = Vec::new();
        for (id, state) in &mut self.lines {
            let Some(leaving) = &mut state.leaving else { continue };
            let is_open = open.contains_key(&**id);
            match (&state.task, leaving) {
                (LineTask::Running, Leaving::Drained) if is_open => {}
                (LineTask::Running, _) => {
                    state.task = LineTask::Ending { then: None };
                    self.tasks.tell(&What::Line(id.clone()));
                }
                (LineTask::Ending { .. }, _) => {}
                (LineTask::Ended, Leaving::Discarding { who, count }) if is_open => {
                    match self.parts.inbox.discard_open(id, who, (self.parts.clock)()).await {
                        Ok(discarded) => *count += discarded,
                        Err(error) => warn!(target = %id, %error, "cannot discard what is open"),
                    }
                }
                (LineTask::Ended, Leaving::Discarding { who, count }) => {
                    warn!(target = %id, who, count = *count, "removed; what was open is discarded");
                    gone.push(id.clone());
                }
                (LineTask::Ended, Leaving::Drained) => {
                    info!(target = %id, "removed");
                    gone.push(id.clone());
                }
            }
        }
        for id in gone {
            self.lines.remove(&id);
        }
    }
}

impl Listening {
    /// Opens an address, or takes the socket that is open already.
    pub(super) fn open(configured: SocketAddr, is_tls: bool, sockets: &mut Sockets) -> std::io::Result<Self> {
        let socket = sockets.public(configured, is_tls).map_or_else(|| bind(configured), Ok)?;
        let local = socket.local_addr()?;
        Ok(Self { configured, local, is_tls, socket })
    }
}

/// The addresses that are served.
pub(super) fn local_addresses(listening: &[Listening]) -> Vec<SocketAddr> {
    listening.iter().map(|listening| listening.local).collect()
}

/// The public addresses of a node, and whether each speaks TLS: none when it does not receive.
pub(super) fn public_addresses(config: &Config) -> Vec<(SocketAddr, bool)> {
    if config.server.roles.has(Role::Receive) { network::addresses(&config.server) } else { Vec::new() }
}

/// Public connections at once.
pub(super) fn connections(config: &Config) -> usize {
    descriptors::fit(config.server.max_connections)
}

impl Parts {
    fn new(inbox: Arc<dyn Inbox>, stop: &Stop) -> Self {
        let (metrics, clock) = (Arc::new(Metrics::new()), clock::system());
        let keys = keys::Parts {
            inbox: inbox.clone(),
            fetch: Arc::new(Outside::new()),
            metrics: metrics.clone(),
            clock: clock.clone(),
            chance: clock::system_chance(),
            stop: stop.clone(),
        };
        let waiters = Arc::new(Waiters::new(stop.clone(), &metrics));
        Self { inbox, metrics, clock, keys, refusals: Arc::default(), waiters }
    }
}

/// A keeper for each channel: the one before, where the channel is the same, with the keys that it has learned.
pub(super) async fn keepers(
    parts: &Parts,
    config: &Config,
    before: &Keepers,
    is_same: impl Fn(&str) -> bool,
) -> Keepers {
    let mut keepers = Keepers::new();
    let mut new = Vec::new();
    for channel in &config.channels {
        match before.get(&channel.id).filter(|_| is_same(&channel.id)) {
            Some(keeper) => drop(keepers.insert(channel.id.clone(), keeper.clone())),
            None => new.push((channel.id.clone(), channel.channel.clone())),
        }
    }
    let ids: Vec<Arc<str>> = new.iter().map(|(id, _)| id.clone()).collect();
    keepers.extend(ids.into_iter().zip(keys::open(new, &parts.keys).await));
    keepers
}

/// A new snapshot of the receiving side.
pub(super) fn receiver(
    parts: &Parts,
    config: &Config,
    lines: &[Line],
    keepers: &Keepers,
    guard: Arc<Guard>,
) -> Receiver {
    config.channels.iter().for_each(|channel| parts.metrics.announce_channel(&channel.id));
    config.targets.iter().for_each(|target| parts.metrics.announce_target(&target.id));
    lives::announce(&parts.metrics, config, keepers);
    Receiver {
        doors: doors(config, lines, keepers),
        inbox: parts.inbox.clone(),
        metrics: parts.metrics.clone(),
        clock: parts.clock.clone(),
        guard,
        refusals: parts.refusals.clone(),
        waiters: parts.waiters.clone(),
    }
}

/// The receiving side without a node around it.
///
/// # Errors
/// When a target cannot be built.
pub(super) async fn receiver_alone(config: &Config, inbox: Arc<dyn Inbox>) -> anyhow::Result<Arc<ArcSwap<Receiver>>> {
    let (_stopper, stop) = stop_pair();
    let parts = Parts::new(inbox, &stop);
    let keepers = keepers(&parts, config, &Keepers::new(), |_| false).await;
    let guard = Arc::new(Guard::new(network::rules(&config.server), parts.metrics.clone()));
    Ok(Arc::new(ArcSwap::from_pointee(receiver(&parts, config, &lines(config)?, &keepers, guard))))
}

/// Connections that the system accepts before we do: a burst of callbacks waits there.
const BACKLOG: u32 = 1024;

/// Opens a listening socket.
fn bind(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    // Not refused because connections of the process before are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

fn limits(config: &Config) -> listener::Limits {
    let server = &config.server;
    listener::Limits {
        first_byte: server.first_byte_timeout,
        header: server.header_timeout,
        body: server.body_timeout,
        body_bytes: server.body_limit,
        write: server.network.write_timeout,
        age: server.network.max_connection_age,
        drain: server.drain_timeout,
    }
}

/// Removes what is older than its retention, in slices with pauses, so that intake never waits long.
async fn retain(inbox: Arc<dyn Inbox>, mut settings: watch::Receiver<RetentionConfig>, clock: Clock, mut stop: Stop) {
    loop {
        let now = settings.borrow_and_update().clone();
        let retention =
            Retention { bodies: now.bodies, identities: now.identities, rejections: now.rejections, slice: now.slice };
        let wait = match inbox.retain(retention, clock()).await {
            Ok(retained) if !retained.is_done => SLICE_PAUSE,
            Ok(_) => now.every,
            Err(error) => {
                warn!(%error, "cannot remove what is older than its retention");
                now.every
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            Ok(()) = settings.changed() => {}
            () = stop.raised() => return,
        }
    }
}

/// Pause between two slices.
const SLICE_PAUSE: Duration = Duration::from_millis(50);
