//! Flushes: how many, and what slow ones cost. They are counted, and delayed, by a tracer that stops the gateway
//! at nothing but flushes.

use std::ffi::OsString;
use std::fs;
use std::thread;
use std::time::Duration;

use super::{Bench, TOLLBELL, WARM_UP, check_rows, measure_range, sample, warm_up};
use crate::load::{Plan, Requests, Way};
use crate::report::{Bound, Sample};
use crate::servers::{Gateway, Setup};

/// What every flush of a slow disk takes in addition, in microseconds.
const DELAY_US: usize = 3_000;
/// Connections that a slow disk is measured with.
const SLOW_CONNECTIONS: usize = 1024;
/// Connections that repetitions are measured with.
const CONNECTIONS: usize = 64;
/// How long what is written lazily gets, so that it is not counted with what comes next.
const SETTLES: Duration = Duration::from_secs(3);
/// The calls that flush.
const CALLS: &str = "fsync,fdatasync,sync_file_range,msync,sync,syncfs";

/// Runs the gateway under a tracer that writes each flush as a line into `log`.
fn traced(log: &str, delay_us: usize) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["strace", "-f", "--seccomp-bpf", "-qq", "-e", &format!("trace={CALLS}"), "-e", "signal=none", "-o", log]
            .iter()
            .map(OsString::from)
            .collect();
    if delay_us > 0 {
        words.extend([OsString::from("-e"), OsString::from(format!("inject=fsync,fdatasync:delay_exit={delay_us}"))]);
    }
    words
}

/// Flushes so far. A call that another thread interrupts is written in two lines; the second has no name before
/// the bracket.
fn counted(gateway: &Gateway) -> anyhow::Result<usize> {
    let text = fs::read_to_string(gateway.path("flushes"))?;
    Ok(text.lines().filter(|line| CALLS.split(',').any(|call| line.contains(&format!(" {call}(")))).count())
}

fn start(bench: &mut Bench<'_>, delay_us: usize) -> anyhow::Result<Gateway> {
    let alipay = bench.alipay()?;
    let setup = bench.setup(&[&alipay]);
    let mut gateway = Gateway::prepare(&setup)?;
    let log = gateway.path("flushes").display().to_string();
    gateway.launch(&Setup { under: traced(&log, delay_us), ..setup })?;
    Ok(gateway)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn with_flushes(sample: Sample, flushes: usize, accepted: usize) -> Sample {
    sample.with("flushes", flushes as f64).with("flushes_each", flushes as f64 / accepted as f64)
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    for (connections, most) in [(16, 0.2), (64, 0.12), (256, 0.09)] {
        let scenario = format!("flushes, {connections} kept");
        for round in 0..bench.args.rounds() {
            let gateway = start(bench, 0)?;
            let alipay = bench.alipay()?;
            let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
            let (plan, count) = (Plan::closed(gateway.address, connections), bench.count(connections));
            warm_up(&plan, &requests)?;
            let before = counted(&gateway)?;
            let (measured, cpu_us) = measure_range(&[gateway.pid()?], &plan, &requests, WARM_UP..WARM_UP + count)?;
            let flushes = counted(&gateway)? - before;
            check_rows(gateway.stored()?, count + WARM_UP)?;
            let sample = sample(&scenario, TOLLBELL, round, &measured, cpu_us);
            bench.report.add(with_flushes(sample, flushes, count));
        }
        let found = bench.report.median((&scenario, TOLLBELL), "flushes_each");
        let name = format!("flushes per accepted notification, {connections} connections");
        bench.report.due(&name, found, Bound::AtMost(most), None);
    }
    Ok(())
}

pub(super) fn run_slow(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "flushes with 3 ms more, 1024 kept";
    const SLOW: &str = "tollbell, slow disk";
    let alipay = bench.alipay()?;
    let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
    for round in 0..bench.args.rounds() {
        // Both are traced, so that both pay for it.
        for (server, delay_us) in [(TOLLBELL, 0), (SLOW, DELAY_US)] {
            let gateway = start(bench, delay_us)?;
            let (plan, count) = (Plan::closed(gateway.address, SLOW_CONNECTIONS), bench.count(SLOW_CONNECTIONS));
            warm_up(&plan, &requests)?;
            let (measured, cpu_us) = measure_range(&[gateway.pid()?], &plan, &requests, WARM_UP..WARM_UP + count)?;
            check_rows(gateway.stored()?, count + WARM_UP)?;
            bench.report.add(sample(SCENARIO, server, round, &measured, cpu_us));
        }
    }
    let found = bench.report.ratio((SCENARIO, SLOW), (SCENARIO, TOLLBELL), "per_second");
    bench.report.due("rate with 3 ms more for every flush, 1,024 connections", found, Bound::AtLeast(0.6), None);
    Ok(())
}

pub(super) fn run_duplicates(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "repetitions, 64 kept";
    const FIRST: &str = "tollbell, first-timers";
    const AGAIN: &str = "tollbell, repetitions";
    let alipay = bench.alipay()?;
    let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
    let count = bench.count(CONNECTIONS);
    let range = WARM_UP..WARM_UP + count;
    for round in 0..bench.args.rounds() {
        // The rates without a tracer …
        let gateway = Gateway::start(&bench.setup(&[&alipay]))?;
        let (plan, pid) = (Plan::closed(gateway.address, CONNECTIONS), gateway.pid()?);
        warm_up(&plan, &requests)?;
        for server in [FIRST, AGAIN] {
            let (measured, cpu_us) = measure_range(&[pid], &plan, &requests, range.clone())?;
            check_rows(gateway.stored()?, count + WARM_UP)?;
            bench.report.add(sample(SCENARIO, server, round, &measured, cpu_us));
            thread::sleep(SETTLES);
        }
        drop(gateway);
        // … and the flushes with one.
        let gateway = start(bench, 0)?;
        let plan = Plan::closed(gateway.address, CONNECTIONS);
        warm_up(&plan, &requests)?;
        measure_range(&[gateway.pid()?], &plan, &requests, range.clone())?;
        thread::sleep(SETTLES);
        let before = counted(&gateway)?;
        let (measured, cpu_us) = measure_range(&[gateway.pid()?], &plan, &requests, range.clone())?;
        let flushes = counted(&gateway)? - before;
        check_rows(gateway.stored()?, count + WARM_UP)?;
        let sample = sample("repetitions, 64 kept, traced", AGAIN, round, &measured, cpu_us);
        bench.report.add(with_flushes(sample, flushes, count));
    }
    let report = &mut bench.report;
    let found = report.ratio((SCENARIO, AGAIN), (SCENARIO, FIRST), "per_second");
    report.due("rate of repetitions of first-timers'", found, Bound::AtLeast(1.0), None);
    let found = report.median(("repetitions, 64 kept, traced", AGAIN), "flushes_each");
    report.due("flushes per repetition", found, Bound::AtMost(0.0), None);
    Ok(())
}
