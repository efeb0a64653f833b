//! Taking changed files into use, in two steps: everything that can fail comes first and changes nothing; what
//! comes then cannot fail.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::lines::lines;
use super::node::{
    Keepers, Leaving, LineState, LineTask, Listening, Node, connections, keepers, local_addresses, public_addresses,
    receiver,
};
use super::plan::{Plan, Waiting, plan};
use super::sockets::Sockets;
use super::{load_config, network};
use crate::config::{Config, Role};
use crate::deliver::Line;
use crate::inbox;
use crate::messages::Message;
use crate::receive::tls::TlsPair;
use crate::reload::{Finding, How, Order, Outcome, Report};
use crate::telemetry::ByResult;

/// Longest that reading the files may take: beyond it a disk or a pipe hangs, and the node has other things to do.
const READ_TIME_MAX: Duration = Duration::from_secs(10);

/// A configuration that can be taken into use, with what has been opened for it.
struct Prepared {
    config: Config,
    lines: Vec<Line>,
    keepers: Keepers,
    opened: Vec<Listening>,
    tls: Option<Arc<TlsPair>>,
    plan: Plan,
}

impl Node {
    /// Reads the files and takes them into use, or says why not.
    pub(super) async fn reload(&mut self, order: Order) -> Report {
        let report = self.try_reload(&order).await;
        if order.is_dry {
            return report;
        }
        self.parts.metrics.reload.get_or_create(&ByResult { result: report.outcome.as_str() }).inc();
        self.standing.note(&report);
        self.parts.metrics.config_stale.set(i64::from(self.standing.is_stale()));
        log(&report, &order.who);
        report
    }

    async fn try_reload(&mut self, order: &Order) -> Report {
        let path = self.config.file.clone();
        let read = tokio::task::spawn_blocking(move || load_config(&path));
        let unread = |message: Message| Report::broken(vec![Finding::refusal(String::new(), &message)]);
        let (config, warnings) = match tokio::time::timeout(READ_TIME_MAX, read).await {
            Ok(Ok(Ok(read))) => read,
            Ok(Ok(Err(problems))) => return Report::broken(problems.iter().map(Finding::from).collect()),
            Ok(Err(_)) => return unread(Message::new("reload.interrupted")),
            Err(_) => return unread(Message::new("reload.hung").with("seconds", READ_TIME_MAX.as_secs())),
        };
        let mut findings: Vec<Finding> = warnings.iter().map(Finding::from).collect();
        let prepared = match self.prepare(config, order).await {
            Ok(prepared) => prepared,
            Err((plan, refusals)) => {
                findings.extend(refusals);
                let Plan { changes, needs_restart, .. } = plan;
                return Report { outcome: Outcome::Refused, changes, findings, needs_restart };
            }
        };
        findings.extend(prepared.plan.refusals.iter().cloned());
        let Plan { changes, needs_restart, .. } = &prepared.plan;
        let (changes, needs_restart) = (changes.clone(), needs_restart.clone());
        let has_orders = order.discard.iter().any(|id| !self.is_discarding(id));
        let outcome = match () {
            () if changes.is_empty() && !has_orders => Outcome::Unchanged,
            () if order.is_dry => Outcome::WouldApply,
            () => Outcome::Applied,
        };
        if outcome == Outcome::Applied {
            self.apply(prepared, order);
        }
        Report { outcome, changes, findings, needs_restart }
    }

    /// Everything that can fail.
    async fn prepare(&self, mut config: Config, order: &Order) -> Result<Prepared, (Plan, Vec<Finding>)> {
        let (waiting, cannot_look) = match self.waiting().await {
            Ok(waiting) => (waiting, None),
            Err(error) => (Waiting::default(), Some(Message::new("reload.cannot_look").with("why", error))),
        };
        let open = &waiting.deliveries;
        let plan = plan(&self.config, &config, &waiting, &order.discard);
        let mut refusals = plan.refusals.clone();
        let is_waited_for = |what: &str| what == "target" || what == "channel";
        let removes = plan.changes.iter().any(|change| is_waited_for(&change.what) && change.how != How::Added);
        if let Some(message) = cannot_look.filter(|_| removes || !order.discard.is_empty()) {
            refusals.push(Finding::refusal("inbox".to_owned(), &message));
        }
        let lines = lines(&config).unwrap_or_else(|error| {
            let message = Message::new("reload.cannot_build").with("why", format!("{error:#}"));
            refusals.push(Finding::refusal("target".to_owned(), &message));
            Vec::new()
        });
        // What an application's script gets is part of what was promised to the deliveries that are open.
        for line in &lines {
            let before = self.lines.get(&line.id).and_then(|state| Some(state.line.as_ref()?.target.demands().format));
            let count = open.get(&*line.id).copied().unwrap_or_default();
            if count > 0 && before.is_some_and(|format| format != line.target.demands().format) {
                let message = Message::new("reload.kind_open").with("target", &line.id).with("open", count);
                refusals.push(Finding::refusal(format!("target.{}", line.id), &message));
            }
        }
        // Only a restart changes what these say.
        config.server.roles = self.config.server.roles.clone();
        let tls = self.open_tls(&config).unwrap_or_else(|message| {
            refusals.push(Finding::refusal("server.tls".to_owned(), &message));
            None
        });
        let opened = if order.is_dry || refusals.iter().any(|finding| !finding.is_warning) {
            Vec::new()
        } else {
            self.open_listeners(&config, &mut refusals)
        };
        if refusals.iter().any(|finding| !finding.is_warning) {
            return Err((plan, refusals));
        }
        let is_same = |id: &str| self.config.prints.channels.get(id) == config.prints.channels.get(id);
        let keepers =
            if order.is_dry { Keepers::new() } else { keepers(&self.parts, &config, &self.keepers, is_same).await };
        Ok(Prepared { config, lines, keepers, opened, tls, plan })
    }

    /// What is not finished.
    async fn waiting(&self) -> Result<Waiting, inbox::Error> {
        let deliveries = self.parts.inbox.unfinished().await?.into_iter().collect();
        let hints = self.parts.inbox.hint_backlog().await?.into_iter().map(|row| (row.channel, row.owed)).collect();
        Ok(Waiting { deliveries, hints })
    }

    /// The pair that is in use, or a new one when the configuration names other files.
    fn open_tls(&self, config: &Config) -> Result<Option<Arc<TlsPair>>, Message> {
        let files = |config: &Config| {
            let tls = config.server.tls.as_ref()?;
            Some((tls.certificate_file.clone(), tls.private_key_file.clone()))
        };
        if files(config) == files(&self.config) {
            return Ok(self.tls.clone());
        }
        network::open_tls(&config.server, &self.parts.clock, &self.parts.metrics)
            .map_err(|error| Message::new("reload.cannot_build").with("why", error))
    }

    /// New addresses are opened before old ones are closed.
    fn open_listeners(&self, config: &Config, refusals: &mut Vec<Finding>) -> Vec<Listening> {
        let is_open = |address: &SocketAddr| self.listening.iter().any(|listening| listening.configured == *address);
        let mut opened = Vec::new();
        for (address, is_tls) in public_addresses(config).into_iter().filter(|(address, _)| !is_open(address)) {
            match Listening::open(address, is_tls, &mut Sockets::default()) {
                Ok(listening) => opened.push(listening),
                Err(why) => {
                    let message = Message::new("reload.cannot_listen").with("address", address).with("why", why);
                    refusals.push(Finding::refusal("server.listen".to_owned(), &message));
                }
            }
        }
        opened
    }

    /// Nothing here can fail.
    fn apply(&mut self, prepared: Prepared, order: &Order) {
        let Prepared { mut config, lines, keepers, opened, tls, plan } = prepared;
        let old = self.config.clone();
        keep_until_restart(&old, &mut config, &plan.needs_restart);
        self.config = config;
        let guard = Arc::new(self.receiver.load().guard.renewed(network::rules(&self.config.server)));
        let snapshot = Arc::new(receiver(&self.parts, &self.config, &lines, &keepers, guard));
        let is_same_pair = match (&self.tls, &tls) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if !is_same_pair {
            self.tls = tls;
            self.watch_tls();
        }
        // First, because who asks for a channel looks it up in what is in force.
        self.replaced.push(Arc::downgrade(&self.receiver.swap(snapshot)));
        self.set_keepers(keepers);
        self.replaced.retain(|snapshot| snapshot.strong_count() > 0);
        self.apply_listeners(opened, plan.changes_listeners);
        if self.config.server.roles.has(Role::Deliver) {
            self.apply_lines(lines, &old, order);
        }
        self.surface.admit(&self.config.admin);
        self.retention.send_if_modified(|now| {
            let is_new = *now != self.config.retention;
            now.clone_from(&self.config.retention);
            is_new
        });
    }

    fn apply_listeners(&mut self, opened: Vec<Listening>, are_changed: bool) {
        let wanted: BTreeMap<SocketAddr, bool> = public_addresses(&self.config).into_iter().collect();
        for index in (0..self.listening.len()).rev() {
            match wanted.get(&self.listening[index].configured) {
                Some(is_tls) => self.listening[index].is_tls = *is_tls,
                None => self.close(index),
            }
        }
        let kept = self.listening.len();
        self.listening.extend(opened);
        self.shown_addresses.store(Arc::new(local_addresses(&self.listening)));
        // Always the same places: connections that end in peace still hold theirs.
        self.places.resize(connections(&self.config), self.listening.len());
        for index in (0..self.listening.len()).filter(|index| are_changed || *index >= kept) {
            if let Err(error) = self.serve(index) {
                // The task that serves it goes on by the settings before.
                error!(error = format!("{error:#}"), "a listener keeps its old settings");
            }
        }
    }

    fn apply_lines(&mut self, lines: Vec<Line>, old: &Config, order: &Order) {
        let section = |config: &Config| config.prints.sections.get("deliver").cloned();
        let is_schedule_same = section(old) == section(&self.config);
        let wanted: BTreeMap<Arc<str>, Line> = lines.into_iter().map(|line| (line.id.clone(), line)).collect();
        for (id, state) in &mut self.lines {
            if !wanted.contains_key(id) && state.leaving.is_none() {
                state.leaving = Some(Leaving::Drained);
            }
        }
        for id in &order.discard {
            let id: Arc<str> = id.as_str().into();
            let leaving = Some(Leaving::Discarding { who: order.who.clone(), count: 0 });
            match self.lines.get_mut(&id) {
                Some(state) => state.leaving = leaving,
                // A target of an earlier life of the node.
                None => drop(self.lines.insert(id, LineState { line: None, task: LineTask::Ended, leaving })),
            }
        }
        for (id, line) in wanted {
            let is_same = is_schedule_same && old.prints.targets.get(&*id) == self.config.prints.targets.get(&*id);
            let is_running = self.lines.get(&id).is_some_and(|state| state.leaving.is_none());
            if !(is_same && is_running) {
                self.set_line(line);
            }
        }
    }

    fn is_discarding(&self, id: &str) -> bool {
        self.lines.get(id).is_some_and(|state| matches!(state.leaving, Some(Leaving::Discarding { .. })))
    }
}

/// Keeps what only a restart changes as it is, so that the next reload tells of it again.
fn keep_until_restart(old: &Config, new: &mut Config, needs_restart: &[String]) {
    new.admin.listen = old.admin.listen;
    new.admin.socket.clone_from(&old.admin.socket);
    new.inbox = old.inbox.clone();
    new.log = old.log.clone();
    for key in needs_restart {
        new.prints.keep(key, &old.prints);
    }
}

fn log(report: &Report, who: &str) {
    for finding in &report.findings {
        if finding.is_warning {
            warn!(key = finding.key, "{}", finding.en);
        } else {
            error!(key = finding.key, "the configuration is not taken into use: {}", finding.en);
        }
    }
    for change in &report.changes {
        info!("{}", change.text(crate::messages::Lang::En));
    }
    let restart = report.needs_restart.join(", ");
    let outcome = report.outcome.as_str();
    match report.outcome {
        Outcome::Refused | Outcome::Broken => error!(outcome, who, "reload: nothing was changed"),
        _ if !restart.is_empty() => warn!(outcome, who, keys = restart, "reload: some keys need a restart"),
        _ => info!(outcome, who, "reload"),
    }
}
