//! The power goes: a kill keeps what the kernel holds in memory, so it cannot see a flush that is missing. This proof
//! can.
//!
//! The gateway runs under strace, which writes down every byte that it gives to a file, every flush, every name that
//! comes or goes, and everything that leaves on a socket. Then two things are shown.
//! 1. *The order* (`order`): no success and no delivery left before a flush had returned that covers the commit which
//!    it stands for, and the names on the way to it.
//! 2. *The replay* (`replay`): for many moments of the run, the disk is built as a power cut may have left it (`disk`),
//!    and what had been promised by then is there.
//!
//! `damage` makes recordings of a gateway that does it wrong, so that the proof can be seen to fail.

mod commands;
pub mod damage;
pub mod disk;
mod files;
mod order;
pub mod record;
mod replay;
pub mod trace;
pub mod wal;
mod world;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use self::order::Ledger;
use self::record::{Recorder, Recording};
use self::replay::{Case, Moment};
use self::wal::History;
use self::world::{Order, Talk, World, send};
use crate::random::Random;

/// Connections that callbacks come on at the same time.
const CONNECTIONS: usize = 12;
/// Of so many points one more is cut in the commands.
const COMMANDS_SHARE: usize = 10;
/// Breaches of one word that are printed; the rest is counted.
const PRINTED: usize = 8;
/// Longer than what the gateway puts off: counts of repetitions and answers.
const LAZY: Duration = Duration::from_millis(1300);

/// How the proof is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The gateway's program.
    pub program: PathBuf,
    /// What chance follows from.
    pub seed: u64,
    /// Moments at which the power goes.
    pub points: usize,
    /// Orders that are paid.
    pub orders: usize,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// At which step of the recording.
    pub place: usize,
    /// The promise: `early` when something left, or a command ended, before what it stands for was on the disk, `lost`
    /// when a power cut took it away, `stuck` when deliveries did not come even without one.
    pub word: &'static str,
    /// What is wrong.
    pub what: String,
}

impl Breach {
    fn new(place: usize, word: &'static str, what: String) -> Self {
        Self { place, word, what }
    }
}

/// What was sent to the gateway.
#[derive(Clone, Debug)]
pub struct Traffic {
    orders: Vec<Order>,
    talks: Vec<Talk>,
    mark: String,
    /// Successes that the platform has read.
    answered: usize,
    /// What was not delivered.
    stuck: Option<String>,
}

impl Traffic {
    /// The first order whose number is in some bytes.
    fn order_in(&self, bytes: &[u8]) -> Option<usize> {
        self.orders_in(bytes).next()
    }

    fn orders_in<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        memchr::memmem::find_iter(bytes, self.mark.as_bytes()).filter_map(|at| {
            let from = at + self.mark.len();
            let digits = bytes.get(from..from + 6)?;
            let number: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (number < self.orders.len()).then_some(number)
        })
    }
}

/// What the proof found.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Success replies that were looked at.
    pub replies: usize,
    /// Deliveries that were looked at.
    pub deliveries: usize,
    /// Commits that the log held.
    pub commits: usize,
    /// How often the log began anew.
    pub restarts: usize,
    /// At how many moments of each kind the power went.
    pub points: BTreeMap<String, usize>,
    /// At how many of them the program was asked what it knows.
    pub asked: usize,
    /// On how many images the program was started.
    pub started: usize,
    /// At how many moments of backups, restores and the like the power went.
    pub commands: usize,
    /// What is wrong.
    pub breaches: Vec<Breach>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.points.values().sum();
        writeln!(
            f,
            "{} successes, {} deliveries, {} commits, a log that began anew {} times",
            self.replies, self.deliveries, self.commits, self.restarts
        )?;
        writeln!(
            f,
            "power cut at {all} points {:?}; asked at {}, started at {}",
            self.points, self.asked, self.started
        )?;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for breach in &self.breaches {
            let count = counts.entry(breach.word).or_default();
            *count += 1;
            if *count <= PRINTED {
                writeln!(f, "BROKEN {}: step {}: {}", breach.word, breach.place, breach.what)?;
            }
        }
        for (word, count) in counts {
            writeln!(f, "`{word}`: {count} times")?;
        }
        writeln!(f, "{}", if self.holds() { "nothing was lost" } else { "a promise was broken" })
    }
}

/// A run of the gateway, recorded.
pub struct Run {
    world: World,
    /// What it did.
    pub recording: Recording,
    traffic: Traffic,
    /// What its commands did afterwards.
    pub commands: Recording,
    folder: tempfile::TempDir,
}

/// Records a run and judges it.
///
/// # Errors
/// When the proof itself cannot run.
pub fn run(options: &Options) -> anyhow::Result<Verdict> {
    Run::record(options)?.judge(options)
}

impl Run {
    /// Runs the gateway through three lives: one that makes the inbox and is killed amid callbacks, one that takes up
    /// its work and ends by itself, and one that begins with an inbox at rest and is killed.
    ///
    /// # Errors
    /// When the proof itself cannot run.
    pub fn record(options: &Options) -> anyhow::Result<Self> {
        let mut random = Random::new(options.seed);
        let folder = tempfile::Builder::new().prefix("tollbell-power-").tempdir()?;
        let world = World::new(&options.program, folder.path(), options.seed)?;
        let orders = world.orders(options.orders, &mut random);
        let mut recorder = Recorder::new(&world.root())?;
        let mut traffic = Traffic { orders, talks: Vec::new(), mark: world.mark(), answered: 0, stuck: None };
        let count = traffic.orders.len();
        let (early, late) = (count * 45 / 100, count * 95 / 100);
        let mut left: Vec<usize> = (0..late).collect();

        let gateway = world.serve("life-1")?;
        let kill = || gateway.end(Signal::KILL);
        let (talks, mut answered) =
            send(world.address, &traffic.orders, &mixed(&left, &mut random), CONNECTIONS, early, kill)?;
        traffic.talks.extend(talks);
        traffic.answered += answered.len();
        recorder.life(&trace::parse(&world.take_trace("life-1")?)?).context("the first life")?;

        // What was not answered comes again, and some of what was.
        answered.sort_unstable();
        answered.dedup();
        let repeated: Vec<usize> = answered.iter().copied().filter(|_| random.index(8) == 0).collect();
        left.retain(|order| answered.binary_search(order).is_err());
        let again: Vec<usize> = repeated.into_iter().chain(left).collect();
        let gateway = world.serve("life-2")?;
        let todo = mixed(&again, &mut random);
        let (talks, answered) = send(world.address, &traffic.orders, &todo, CONNECTIONS, usize::MAX, || Ok(()))?;
        ensure!(answered.len() == todo.len(), "only {} of {} callbacks were answered", answered.len(), todo.len());
        traffic.talks.extend(talks);
        traffic.answered += answered.len();
        let numbers: Vec<String> = traffic.orders[..late].iter().map(|order| order.number.clone()).collect();
        traffic.stuck = world.shop.wait_for(&numbers).err().map(|error| format!("{error:#}"));
        std::thread::sleep(LAZY);
        gateway.end(Signal::TERM)?;
        recorder.life(&trace::parse(&world.take_trace("life-2")?)?).context("the second life")?;

        let last: Vec<usize> = (late..count).collect();
        let gateway = world.serve("life-3")?;
        let kill = || gateway.end(Signal::KILL);
        let (talks, answered) = send(world.address, &traffic.orders, &last, 2, last.len(), kill)?;
        traffic.talks.extend(talks);
        traffic.answered += answered.len();
        recorder.life(&trace::parse(&world.take_trace("life-3")?)?).context("the third life")?;
        let commands = commands::record(&world).context("the commands")?;
        Ok(Self { world, recording: recorder.finish(), traffic, commands, folder })
    }

    /// Shows the order and replays power cuts.
    ///
    /// # Errors
    /// When the proof itself cannot run.
    pub fn judge(&self, options: &Options) -> anyhow::Result<Verdict> {
        self.judge_recording(&self.recording, options)
    }

    /// The same of a recording that was changed.
    ///
    /// # Errors
    /// When the proof itself cannot run.
    pub fn judge_recording(&self, recording: &Recording, options: &Options) -> anyhow::Result<Verdict> {
        let traffic = &self.traffic;
        let mut first: HashMap<usize, usize> = HashMap::new();
        let history = History::read(recording, &|name| name.ends_with("-wal"), &mut |commit, page| {
            for order in traffic.orders_in(page) {
                first.entry(order).or_insert(commit);
            }
        });
        let ledger = Ledger::check(recording, &history, traffic, &first)?;
        ensure!(
            ledger.replies.len() >= traffic.answered,
            "{} successes were read, and the trace has {}",
            traffic.answered,
            ledger.replies.len()
        );
        let case = Case { world: &self.world, recording, traffic, history: &history, ledger: &ledger };
        let replayed = case.replay(options.points, options.seed, self.folder.path())?;
        let points = options.points / COMMANDS_SHARE;
        let mut random = Random::of(options.seed, "commands", 0);
        let commands = case.replay_commands(&self.commands, points, &mut random, self.folder.path())?;
        let end = recording.steps.len();
        let stuck = traffic.stuck.iter().map(|what| Breach::new(end, "stuck", what.clone())).collect();
        let name = |(moment, count): (Moment, usize)| (format!("{moment:?}"), count);
        Ok(Verdict {
            replies: ledger.replies.len(),
            deliveries: ledger.deliveries.len(),
            commits: history.commits.len(),
            restarts: history.restarts.len(),
            points: replayed.points.into_iter().map(name).collect(),
            asked: replayed.asked,
            started: replayed.started,
            commands: points,
            breaches: [ledger.breaches, replayed.breaches, commands::check_exits(&self.commands), commands, stuck]
                .concat(),
        })
    }
}

/// The orders, with some of them told of twice, as platforms do.
fn mixed(orders: &[usize], random: &mut Random) -> Vec<usize> {
    let mut todo = Vec::new();
    for (at, order) in orders.iter().enumerate() {
        todo.push(*order);
        if at > 0 && random.index(10) == 0 {
            todo.push(orders[random.index(at)]);
        }
    }
    todo
}
