//! The crash proof: callbacks as the platforms send them, a gateway that is killed at any moment, a shop that is
//! restarted and hung, connections that end at every byte; and at the end every promise is looked up.
//!
//! A proof goes in rounds, each with a new inbox and a seed of its own, so that a round can be had again alone.

pub mod gateway;
pub mod inbox;
pub mod judge;
pub mod notes;
pub mod plan;
pub mod platform;
pub mod post;
pub mod shop;
pub mod victim;
pub mod wire;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};

use self::gateway::{Gateway, Site};
use self::inbox::Census;
use self::judge::{Evidence, judge};
use self::notes::Acks;
use self::plan::Plan;
use self::platform::Platform;
use self::post::Post;
use self::shop::Shop;
use self::victim::{Moment, Victim};
use crate::random::{Random, fresh_seed};

/// Senders: as many callbacks can be on their way at once.
const SENDERS: usize = 8;
/// Orders that are begun for each kill.
const ORDERS_PER_KILL: u64 = 3;
/// Kills of one round.
const KILLS_PER_ROUND: u64 = 100;
/// Kills between two lists of the inbox: what comes in between fits into one list many times over.
const KILLS_PER_CENSUS: u64 = 12;
/// Longest wait for a moment at which to kill.
const MOMENT_MAX: Duration = Duration::from_secs(2);
/// Longest wait for a checkpoint: the one at the start has come by then.
const CHECKPOINT_MAX: Duration = Duration::from_millis(700);
/// Longest wait for the ladders to end, and for the deliveries to.
const END_MAX: Duration = Duration::from_mins(3);
/// Kept end of a connection's cut sweep: bytes of a success reply and some more.
const REPLY_BYTES: usize = wire::REPLY_BYTES;
/// Fewer acks than this part of the messages prove nothing.
const ACKED_PERCENT_MIN: usize = 50;

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// How many kills.
    pub kills: u64,
    /// The first round's seed; others count on from it. None: a fresh one.
    pub seed: Option<u64>,
    /// Whether one message of each platform is cut at every byte.
    pub has_sweep: bool,
    /// Whether a line is said for every round.
    pub is_loud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The seeds of the rounds.
    pub seeds: Vec<u64>,
    /// Kills.
    pub kills: u64,
    /// Of them, at the moment that they were aimed at.
    pub aimed: u64,
    /// Starts of the gateway.
    pub starts: u64,
    /// Connections that were opened.
    pub sent: usize,
    /// Of them, cut by us.
    pub cut: usize,
    /// Of those, one at each byte of a request and of its reply.
    pub swept: usize,
    /// Success replies that were read.
    pub acks: usize,
    /// Messages whose ladder ended without one.
    pub given_up: usize,
    /// Attempts with forged messages.
    pub forged: usize,
    /// Stored notifications.
    pub notifications: usize,
    /// Facts that have an event.
    pub facts: usize,
    /// Runs of the shop's script.
    pub runs: usize,
    /// Of them, confirmed.
    pub confirmed: usize,
    /// Restarts and hangs of the shop.
    pub disturbances: usize,
    /// How many deliveries ended in each state.
    pub states: std::collections::BTreeMap<String, usize>,
    /// What was broken, each beginning with its promise's word.
    pub broken: Vec<String>,
    /// Folders of rounds in which something was broken.
    pub kept: Vec<PathBuf>,
}

impl Verdict {
    /// Whether every promise was kept.
    pub fn holds(&self) -> bool {
        self.broken.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.seeds.extend(other.seeds);
        self.kills += other.kills;
        self.aimed += other.aimed;
        self.starts += other.starts;
        self.sent += other.sent;
        self.cut += other.cut;
        self.swept += other.swept;
        self.acks += other.acks;
        self.given_up += other.given_up;
        self.forged += other.forged;
        self.notifications += other.notifications;
        self.facts += other.facts;
        self.runs += other.runs;
        self.confirmed += other.confirmed;
        self.disturbances += other.disturbances;
        for (state, count) in other.states {
            *self.states.entry(state).or_default() += count;
        }
        self.broken.extend(other.broken);
        self.kept.extend(other.kept);
    }
}

/// Broken promises that are told one by one.
const TOLD_MAX: usize = 30;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for broken in self.broken.iter().take(TOLD_MAX) {
            writeln!(f, "BROKEN {broken}")?;
        }
        if self.broken.len() > TOLD_MAX {
            writeln!(f, "… and {} more", self.broken.len() - TOLD_MAX)?;
        }
        for kept in &self.kept {
            writeln!(f, "kept for a look: {}", kept.display())?;
        }
        let states: Vec<String> = self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        writeln!(
            f,
            "kills {} ({} at the moment aimed at) · starts {} · shop restarted or hung {}\n\
             connections {} ({} cut by us, {} of them byte by byte; {} forged) · acks {} · ladders ended without {}\n\
             notifications {} · facts {} · script runs {} ({} confirmed) · deliveries: {}",
            self.kills,
            self.aimed,
            self.starts,
            self.disturbances,
            self.sent,
            self.cut,
            self.swept,
            self.forged,
            self.acks,
            self.given_up,
            self.notifications,
            self.facts,
            self.runs,
            self.confirmed,
            states.join(", "),
        )?;
        let said = if self.holds() { "every promise was kept" } else { "PROMISES WERE BROKEN" };
        let (Some(first), Some(last)) = (self.seeds.first(), self.seeds.last()) else { return writeln!(f, "{said}") };
        let kills = self.kills.min(KILLS_PER_ROUND);
        // A run ends with the round in which something was broken.
        writeln!(f, "{said} · seeds {first} to {last} · the last once more: --seed {last} --kills {kills}")
    }
}

/// Runs the proof.
///
/// # Errors
/// When the proof itself cannot go on; that says nothing about the gateway.
pub fn run(options: &Options, out: &mut dyn std::io::Write) -> anyhow::Result<Verdict> {
    let first = options.seed.unwrap_or_else(fresh_seed);
    let mut verdict = Verdict::default();
    let mut left = options.kills;
    let mut seed = first;
    while left > 0 {
        let kills = left.min(KILLS_PER_ROUND);
        if options.is_loud {
            writeln!(out, "round with seed {seed}: {kills} kills")?;
        }
        let began = Instant::now();
        let round = Round::run(options, seed, kills).with_context(|| format!("a round with seed {seed}"))?;
        if options.is_loud {
            let seconds = began.elapsed().as_secs();
            let (acks, runs, broken) = (round.acks, round.runs, round.broken.len());
            writeln!(out, "  {acks} acks, {runs} script runs, {broken} broken promises, {seconds} s")?;
        }
        verdict.add(round);
        if !verdict.holds() {
            break;
        }
        left -= kills;
        seed = seed.wrapping_add(1);
    }
    Ok(verdict)
}

/// One round.
struct Round<'r> {
    site: &'r Site,
    post: &'r Post,
    victim: &'r Victim,
    /// The shop's book.
    book: &'r Path,
    plan: Plan,
    random: Random,
    next_order: u64,
    census: Census,
    verdict: Verdict,
}

impl Round<'_> {
    fn run(options: &Options, seed: u64, kills: u64) -> anyhow::Result<Verdict> {
        let folder = tempfile::Builder::new().prefix("tollbell-crash-").tempdir()?;
        let book = folder.path().join("shop.log");
        let shop = Shop::open(seed, &book)?;
        let sides: Vec<_> = Platform::ALL.iter().map(|platform| (*platform, platform.side())).collect();
        let mut random = Random::of(seed, "harm", 0);
        let site = Site::new(&options.program, folder.path(), &sides, shop.address(), shop.script(), &mut random)?;
        let victim = Arc::new(Victim::default());
        let acks = Acks::open(folder.path().join("acks.log"))?;
        let post = Post::new(site.address, sides, acks, Arc::clone(&victim));
        let mut round = Round {
            site: &site,
            post: &post,
            victim: &victim,
            book: &book,
            plan: Plan::new(seed),
            random,
            next_order: 0,
            census: Census::default(),
            verdict: Verdict { seeds: vec![seed], ..Verdict::default() },
        };
        let mut gateway = round.with_traffic(&shop, seed, kills, options.has_sweep)?;
        if let Some(gateway) = &mut gateway {
            round.read_and_judge(gateway, &shop)?;
        }
        let mut verdict = round.verdict;
        if !verdict.holds() {
            drop(gateway);
            verdict.kept.push(folder.keep());
        }
        Ok(verdict)
    }

    /// The time of harm and the time after it, with senders at work; the gateway that runs at the end, none when it
    /// did not start.
    fn with_traffic(&mut self, shop: &Shop, seed: u64, kills: u64, has_sweep: bool) -> anyhow::Result<Option<Gateway>> {
        let is_well = AtomicBool::new(false);
        let has_failed = AtomicBool::new(false);
        let mut shop_random = Random::of(seed, "shop", 0);
        let (post, plan) = (self.post, self.plan);
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(|| post.work())).collect();
            let disturber = scope.spawn(|| shop.disturb(&mut shop_random, &is_well));
            let sweeper = has_sweep.then(|| scope.spawn(|| sweep(post, plan, &has_failed)));
            let result = self.harm(kills).and_then(|gateway| {
                if gateway.is_none() {
                    has_failed.store(true, Ordering::SeqCst);
                }
                if let Some(sweeper) = sweeper {
                    self.verdict.swept += sweeper.join().map_err(|_| anyhow::anyhow!("the sweep panicked"))??;
                }
                is_well.store(true, Ordering::SeqCst);
                self.verdict.disturbances +=
                    disturber.join().map_err(|_| anyhow::anyhow!("the shop's disturber panicked"))?;
                if gateway.is_some() {
                    self.let_it_end()?;
                }
                Ok(gateway)
            });
            has_failed.store(true, Ordering::SeqCst);
            is_well.store(true, Ordering::SeqCst);
            post.end();
            for sender in senders {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            result
        })
    }

    /// Kills and restarts. None when the gateway did not start once.
    fn harm(&mut self, kills: u64) -> anyhow::Result<Option<Gateway>> {
        for kill in 0..kills {
            let takes_census = kill % KILLS_PER_CENSUS == KILLS_PER_CENSUS - 1;
            if !self.one_life(takes_census)? {
                return Ok(None);
            }
        }
        let mut gateway = self.spawn()?;
        let serves = self.site.wait_until_serving(&mut gateway)?;
        if !serves {
            self.did_not_start();
        }
        Ok(serves.then_some(gateway))
    }

    /// A gateway's life from its start to its kill. False when it ended by itself.
    fn one_life(&mut self, takes_census: bool) -> anyhow::Result<bool> {
        let way = if takes_census { 9 } else { self.random.below(10) };
        // What waits for a callback gets fresh ones when they can be taken.
        let is_for_traffic = way >= 4;
        if !is_for_traffic {
            self.begin_orders();
        }
        let mut gateway = self.spawn()?;
        self.victim.set(gateway.pid());
        // Four of ten do not wait until it serves: starting is work too.
        let lives = match way {
            0 | 1 => {
                std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(150)));
                !gateway.has_ended()?
            }
            2 | 3 => {
                self.verdict.aimed += u64::from(self.wait_for_checkpoint());
                !gateway.has_ended()?
            }
            _ => {
                let serves = self.site.wait_until_serving(&mut gateway)?;
                if serves {
                    if takes_census {
                        self.census.take(self.site)?;
                    }
                    self.begin_orders();
                    self.wait_for_moment(way);
                }
                serves
            }
        };
        self.victim.kill();
        gateway.wait()?;
        self.verdict.kills += 1;
        if !lives {
            self.did_not_start();
        }
        Ok(lives)
    }

    fn wait_for_moment(&mut self, way: u64) {
        match way {
            4 => self.verdict.aimed += u64::from(self.victim.kill_at(Moment::Accepted, MOMENT_MAX)),
            5 => self.verdict.aimed += u64::from(self.victim.kill_at(Moment::Replied, MOMENT_MAX)),
            6 | 7 => {
                let has_begun = self.wait_for_run();
                self.verdict.aimed += u64::from(has_begun);
                std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(200)));
            }
            _ => std::thread::sleep(self.random.between(Duration::ZERO, Duration::from_millis(900))),
        }
    }

    /// Until the shop's script makes a mark.
    fn wait_for_run(&self) -> bool {
        let length = || fs::metadata(self.book).map(|file| file.len()).unwrap_or_default();
        let before = length();
        wait(MOMENT_MAX, || length() != before)
    }

    /// Until the database's own file is written: outside of checkpoints only its log is.
    fn wait_for_checkpoint(&self) -> bool {
        let path = self.site.database();
        let written = || -> Option<SystemTime> { fs::metadata(&path).ok()?.modified().ok() };
        let before = written();
        wait(CHECKPOINT_MAX, || written() != before)
    }

    fn spawn(&mut self) -> anyhow::Result<Gateway> {
        self.verdict.starts += 1;
        self.site.spawn()
    }

    fn did_not_start(&mut self) {
        let log = self.site.log_end();
        self.verdict.broken.push(format!("start: the gateway ended by itself\n{log}"));
    }

    fn begin_orders(&mut self) {
        for _ in 0..ORDERS_PER_KILL {
            let spread = self.random.between(Duration::ZERO, Duration::from_millis(300));
            for message in self.plan.order(self.next_order) {
                let after = spread + message.after;
                let letter = self.post.take(message);
                self.post.send(letter, after);
            }
            self.next_order += 1;
        }
    }

    /// No more harm: the ladders run to their end, and so do the deliveries.
    fn let_it_end(&mut self) -> anyhow::Result<()> {
        let has_ended = wait(END_MAX, || self.post.open() == 0);
        ensure!(has_ended, "{} letters are still on their way", self.post.open());
        let until = Instant::now() + END_MAX;
        // What never ends is a broken promise, and is seen as such in the inbox.
        while inbox::has_open_deliveries(self.site)? && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn read_and_judge(&mut self, gateway: &mut Gateway, shop: &Shop) -> anyhow::Result<()> {
        self.census.take(self.site)?;
        let notifications = self.census.read(self.site)?;
        let listed_events = inbox::listed_events(self.site)?;
        let is_well_ended = gateway.terminate()?;
        if !is_well_ended {
            self.verdict.broken.push("start: the gateway did not end well on SIGTERM".to_owned());
        }
        let (letters, acks) = (self.post.letters(), self.post.acks().read()?);
        let runs = notes::read_runs(self.book)?;
        let evidence = Evidence {
            letters: &letters,
            acks: &acks,
            runs: &runs,
            hangs: &shop.hangs(),
            notifications: &notifications,
            listed_events: &listed_events,
        };
        let verdict = &mut self.verdict;
        verdict.broken.extend(self.post.wrong());
        verdict.broken.extend(judge(&evidence));
        let counts = &self.post.counts;
        verdict.sent = counts.sent.load(Ordering::SeqCst);
        verdict.cut = counts.cut.load(Ordering::SeqCst);
        verdict.given_up = counts.given_up.load(Ordering::SeqCst);
        verdict.forged = counts.forged.load(Ordering::SeqCst);
        verdict.acks = acks.len();
        verdict.notifications = notifications.len();
        verdict.facts = notifications.iter().map(|one| one.events.len()).sum();
        verdict.runs = runs.len();
        verdict.confirmed = runs.iter().filter(|(_, run)| run.is_confirmed()).count();
        for delivery in notifications.iter().flat_map(|one| &one.deliveries) {
            *verdict.states.entry(delivery.state.clone()).or_default() += 1;
        }
        let genuine = verdict.acks + verdict.given_up;
        ensure!(
            !verdict.holds() || verdict.acks * 100 >= genuine * ACKED_PERCENT_MIN && verdict.acks > 0,
            "only {} of {genuine} messages were acked: that proves nothing",
            verdict.acks
        );
        Ok(())
    }
}

/// Cuts one message of each platform at every byte, then lets it be told.
fn sweep(post: &Post, plan: Plan, has_failed: &AtomicBool) -> anyhow::Result<usize> {
    let mut swept = 0;
    for platform in Platform::ALL {
        let letter = post.take(plan.swept(*platform));
        swept += post.sweep(letter, REPLY_BYTES, has_failed)?;
        post.send(letter, Duration::ZERO);
    }
    Ok(swept)
}

/// Waits for a state; false when it does not come.
fn wait(at_most: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + at_most;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
