//! An inbox that holds millions: accept beside an empty one, and a person's questions.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::{Accepted, Bench, TOLLBELL, WARM_UP, check_rows, measure_range, megabytes, now, sample, warm_up};
use crate::bodies::alipay::{Alipay, Numbered};
use crate::bodies::{self, Numbers, Signed};
use crate::cpu;
use crate::filled;
use crate::load::{Plan, Requests, Way};
use crate::report::{Bound, Sample, say};
use crate::servers::Gateway;

const CONNECTIONS: usize = 64;
/// Questions of each kind.
const QUESTIONS: usize = 21;
/// What counts as memory that does not grow with what is stored: the rest is chance.
const GROWTH_MAX: f64 = 1.2;
const EMPTY: &str = "tollbell, empty";

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let stored = bench.args.stored();
    if stored == 0 {
        say("  left out");
        return Ok(());
    }
    for (numbers, least) in [(Numbers::Ordered, 0.8), (Numbers::Random, 0.5)] {
        let scenario = format!("accept with {stored} stored, {} numbers", numbers.word());
        accept(bench, &scenario, stored, numbers)?;
        let report = &mut bench.report;
        let found = report.ratio((&scenario, TOLLBELL), (&scenario, EMPTY), "per_second");
        let name = format!("accept with {stored} stored of empty, {} numbers", numbers.word());
        report.due(&name, found, Bound::AtLeast(least), None);
        let found = report.ratio((&scenario, TOLLBELL), (&scenario, EMPTY), "memory_mb");
        let name = format!("memory with {stored} stored of empty's, {} numbers", numbers.word());
        report.due(&name, found, Bound::AtMost(GROWTH_MAX), None);
    }
    for what in [SHOW, EVENTS] {
        let found = bench.report.median((what, TOLLBELL), "p50_ms");
        bench.report.due(&format!("{what}, with {stored} stored, ms"), found, Bound::AtMost(20.0), None);
    }
    Ok(())
}

fn accept(bench: &mut Bench<'_>, scenario: &str, stored: usize, numbers: Numbers) -> anyhow::Result<()> {
    let file = filled::inbox(&bench.args.folder, stored, numbers, now())?;
    let (rounds, count) = (bench.args.rounds(), bench.count(CONNECTIONS));
    // The large inbox is copied once: each round has callbacks of its own.
    let all = bodies::alipay(&bench.args.folder, numbers, WARM_UP + rounds * count, now())?;
    let requests = Requests::new(&all.channel.path(), Way::Kept, &all.callbacks);
    let setup = bench.setup(&[&all]);
    let mut large = Gateway::prepare(&setup)?;
    copy(&file, &large)?;
    large.launch(&setup)?;
    let (plan, pid) = (Plan::closed(large.address, CONNECTIONS), large.pid()?);
    warm_up(&plan, &requests)?;
    for round in 0..rounds {
        let from = WARM_UP + round * count;
        let own =
            all.callbacks[..WARM_UP].iter().chain(&all.callbacks[from..from + count]).cloned().collect::<Vec<_>>();
        let own = Signed { channel: all.channel.clone(), callbacks: own.into() };
        let Accepted { measured, cpu_us, memory_mb } = bench.accept_of(&own, CONNECTIONS, Way::Kept, count)?;
        bench.report.add(sample(scenario, EMPTY, round, &measured, cpu_us).with("memory_mb", memory_mb));
        let (measured, cpu_us) = measure_range(&[pid], &plan, &requests, from..from + count)?;
        let memory = megabytes(cpu::peak_memory(pid));
        bench.report.add(sample(scenario, TOLLBELL, round, &measured, cpu_us).with("memory_mb", memory));
    }
    check_rows(large.stored()?, stored + WARM_UP + rounds * count)?;
    if numbers == Numbers::Ordered {
        ask(bench, &large, stored)?;
    }
    Ok(())
}

fn copy(file: &std::path::Path, gateway: &Gateway) -> anyhow::Result<()> {
    let to = gateway.path("tollbell.db");
    let status = Command::new("cp").args(["--reflink=auto", "--preserve=mode"]).arg(file).arg(&to).status()?;
    ensure!(status.success(), "copy {}", file.display());
    // What the copy left to be written is not the gateway's to pay.
    fs::File::open(&to)?.sync_all().context("flush the copy")
}

const SHOW: &str = "`show`, whole command";
const EVENTS: &str = "`events` by order number, whole command";

/// Asks as a person does, by the whole command: a program starts, reads its configuration and the inbox.
fn ask(bench: &mut Bench<'_>, large: &Gateway, stored: usize) -> anyhow::Result<()> {
    let alipay = Alipay::new(&bench.args.folder, now())?;
    let (mut shown, mut listed) = (Vec::new(), Vec::new());
    for number in 0..QUESTIONS {
        // Of the measured ones, which lie behind all others.
        let order_no = Numbered::new(Numbers::Ordered, alipay.day(), number * (WARM_UP / QUESTIONS)).order_no;
        let (events, time) = large.cli(&["events", "--order-no", &order_no])?;
        listed.push(micros(time));
        let event = events.first().and_then(|event| event["id"].as_str());
        let event = event.with_context(|| format!("no event of order {order_no} among {stored}"))?;
        let (said, time) = large.cli(&["show", event])?;
        ensure!(said.first().is_some_and(|said| said.to_string().contains(&order_no)), "`show` tells of another order");
        shown.push(micros(time));
    }
    for (mut took, what) in [(shown, SHOW), (listed, EVENTS)] {
        took.sort_unstable();
        let at = |percent| crate::load::percentile(&took, percent);
        let sample = Sample::new(what, TOLLBELL, 0);
        bench.report.add(sample.with("p50_ms", at(50.0)).with("p99_ms", at(99.0)).with("max_ms", at(100.0)));
    }
    Ok(())
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
