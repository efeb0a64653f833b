//! The measurements. Each is repeated in alternation with what it is compared with, and the median of the
//! rounds' ratios counts: the machine's noise meets both.

mod accept;
mod channels;
mod delivery;
mod flushes;
mod open_loop;
mod php;
mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use tollbell_channels::model::Timestamp;

use crate::Args;
use crate::bodies::{self, Numbers, Signed};
use crate::cpu;
use crate::environment;
use crate::load::{self, Measured, Plan, Requests, Way};
use crate::references::Kind;
use crate::report::{Report, Sample, say};
use crate::servers::{Claimed, Deliveries, Gateway, Setup};

/// Requests that warm a server up, before those that are measured.
const WARM_UP: usize = 2_000;

/// The server under measurement, in the table.
const TOLLBELL: &str = "tollbell";
/// The bare reference, in the table.
const BARE: &str = "bare";

/// A family of measurements.
struct Scenario {
    name: &'static str,
    run: fn(&mut Bench<'_>) -> anyhow::Result<()>,
}

/// All of them, in the order in which they run.
const SCENARIOS: &[Scenario] = &[
    Scenario { name: "accept", run: accept::run },
    Scenario { name: "php", run: php::run },
    Scenario { name: "redis", run: php::run_redis },
    Scenario { name: "flushes", run: flushes::run },
    Scenario { name: "slow-disk", run: flushes::run_slow },
    Scenario { name: "duplicates", run: flushes::run_duplicates },
    Scenario { name: "open-loop", run: open_loop::run },
    Scenario { name: "channels", run: channels::run },
    Scenario { name: "tls", run: channels::run_tls },
    Scenario { name: "webhook", run: channels::run_webhook },
    Scenario { name: "delivery", run: delivery::run },
    Scenario { name: "end-to-end", run: delivery::run_end_to_end },
    Scenario { name: "first-line", run: delivery::run_first_line },
    Scenario { name: "memory", run: accept::run_idle },
    Scenario { name: "stored", run: stored::run },
];

/// Runs what was asked for and prints the table; how many figures that were due were missed.
pub(crate) fn run(args: &Args) -> anyhow::Result<usize> {
    let _claimed = Claimed::take(&args.folder)?;
    for name in &args.only {
        let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        ensure!(known.contains(&name.as_str()), "no scenario {name}; there are {}", known.join(", "));
    }
    let report = Report::new(environment::describe(&args.program, &args.folder));
    let mut bench = Bench { args, report, alipay: None, pools: BTreeMap::new() };
    for scenario in SCENARIOS {
        if args.only.is_empty() || args.only.iter().any(|name| name == scenario.name) {
            say(scenario.name);
            (scenario.run)(&mut bench).with_context(|| format!("scenario {}", scenario.name))?;
            // Whatever comes later, what is known is kept.
            bench.report.write(&args.folder)?;
        }
    }
    say(&format!("\n{}", bench.report.table()));
    Ok(bench.report.missed())
}

/// What the scenarios share.
struct Bench<'a> {
    args: &'a Args,
    report: Report,
    alipay: Option<Signed>,
    /// The pool that was fastest with each database.
    pools: BTreeMap<Kind, php::Choice>,
}

impl Bench<'_> {
    /// Callbacks of Alipay with numbers in order, enough for one measurement.
    fn alipay(&mut self) -> anyhow::Result<Signed> {
        if let Some(signed) = &self.alipay {
            return Ok(signed.clone());
        }
        let count = self.args.requests + WARM_UP;
        say(&format!("  signing {count} callbacks, where they are not kept from before"));
        let signed = bodies::alipay(&self.args.folder, Numbers::Ordered, count, now())?;
        self.alipay = Some(signed.clone());
        Ok(signed)
    }

    /// A gateway on a new folder whose deliveries are written and not made.
    fn setup(&self, channels: &[&Signed]) -> Setup<'_> {
        Setup {
            program: &self.args.program,
            parent: &self.args.folder,
            channels: channels.iter().map(|signed| signed.channel.clone()).collect(),
            deliveries: Deliveries::Paused,
            under: Vec::new(),
            tls: None,
        }
    }

    /// Accepts callbacks of Alipay on a new folder, as fast as it goes.
    fn accept(&mut self, connections: usize, way: Way) -> anyhow::Result<Accepted> {
        let alipay = self.alipay()?;
        let count = self.count(connections);
        self.accept_of(&alipay, connections, way, count)
    }

    /// The same with callbacks of any channel.
    fn accept_of(&self, signed: &Signed, connections: usize, way: Way, count: usize) -> anyhow::Result<Accepted> {
        let gateway = Gateway::start(&self.setup(&[signed]))?;
        let requests = Requests::new(&signed.channel.path(), way, &signed.callbacks);
        let pid = gateway.pid()?;
        let (measured, cpu_us) = measure(&[pid], &Plan::closed(gateway.address, connections), &requests, count)?;
        let memory_mb = megabytes(cpu::peak_memory(pid));
        check_rows(gateway.stored()?, count + WARM_UP)?;
        Ok(Accepted { measured, cpu_us, memory_mb })
    }

    /// So many requests are measured with so many connections: one cannot use up what 64 need.
    fn count(&self, connections: usize) -> usize {
        if connections == 1 { self.args.requests / 8 } else { self.args.requests }
    }
}

/// What accepting on a new folder gave.
struct Accepted {
    measured: Measured,
    cpu_us: f64,
    /// The largest so far.
    memory_mb: f64,
}

/// Sends the warm-up, then what is measured; every request must be accepted. The processor time is that of
/// the process trees below `pids`, per request.
fn measure(pids: &[u32], plan: &Plan, requests: &Arc<Requests>, count: usize) -> anyhow::Result<(Measured, f64)> {
    warm_up(plan, requests)?;
    measure_range(pids, plan, requests, WARM_UP..WARM_UP + count)
}

fn warm_up(plan: &Plan, requests: &Arc<Requests>) -> anyhow::Result<()> {
    let plan = Plan { rate: None, connections: plan.connections.min(64), ..plan.clone() };
    all_accepted(&load::send(&plan, requests, 0..WARM_UP)?)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn measure_range(
    pids: &[u32],
    plan: &Plan,
    requests: &Arc<Requests>,
    range: Range<usize>,
) -> anyhow::Result<(Measured, f64)> {
    let count = range.len();
    let before = cpu::used_by_trees(pids);
    let measured = load::send(plan, requests, range)?;
    let used = cpu::used_by_trees(pids).saturating_sub(before);
    all_accepted(&measured)?;
    Ok((measured, used.as_secs_f64() * 1e6 / count as f64))
}

fn all_accepted(measured: &Measured) -> anyhow::Result<()> {
    let Measured { accepted, refused, first_refusal, .. } = measured;
    let first = first_refusal.as_deref().unwrap_or_default();
    ensure!(*refused == 0, "{refused} requests were refused, {accepted} accepted: {first}");
    Ok(())
}

/// The run fails unless the rows stored equal the replies accepted.
fn check_rows(stored: u64, accepted: usize) -> anyhow::Result<()> {
    ensure!(stored == accepted as u64, "{accepted} replies were accepted, {stored} rows are stored");
    Ok(())
}

/// The usual figures of a measurement.
fn sample(scenario: &str, server: &str, round: usize, measured: &Measured, cpu_us: f64) -> Sample {
    Sample::new(scenario, server, round)
        .with("per_second", measured.rate())
        .with("p50_ms", measured.percentile(50.0))
        .with("p99_ms", measured.percentile(99.0))
        .with("max_ms", measured.percentile(100.0))
        .with("cpu_us", cpu_us)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[expect(clippy::disallowed_methods, reason = "a measurement is made now")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
