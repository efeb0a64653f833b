//! Durable accept beside the bare reference: the same callbacks, the same connections.

use std::thread;
use std::time::Duration;

use super::{Accepted, BARE, Bench, TOLLBELL, measure, megabytes, sample};
use crate::cpu;
use crate::load::{Plan, Requests, Way};
use crate::report::{Bound, Sample};
use crate::servers::{Bare, Gateway};

/// How long a started gateway gets to come to rest.
const SETTLES: Duration = Duration::from_secs(5);

pub(super) fn name(connections: usize, way: Way) -> String {
    format!("accept {connections} {}", way.word())
}

pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    let wanted = bench.args.connections.clone();
    let kept = [1, 16, 64, 256, 1024].map(|connections| (connections, Way::Kept));
    for (connections, way) in kept.into_iter().chain([(64, Way::New)]) {
        if !wanted.is_empty() && !wanted.contains(&connections) {
            continue;
        }
        for round in 0..bench.args.rounds() {
            bare(bench, connections, way, round)?;
            tollbell(bench, connections, way, round)?;
        }
    }
    dues(bench);
    Ok(())
}

fn bare(bench: &mut Bench<'_>, connections: usize, way: Way, round: usize) -> anyhow::Result<()> {
    let alipay = bench.alipay()?;
    let server = Bare::start(&bench.args.folder, &alipay)?;
    let requests = Requests::new(&alipay.channel.path(), way, &alipay.callbacks);
    let plan = Plan::closed(server.address, connections);
    let (measured, used) = measure(&[server.running.pid], &plan, &requests, bench.count(connections))?;
    let memory = megabytes(cpu::peak_memory(server.running.pid));
    bench.report.add(sample(&name(connections, way), BARE, round, &measured, used).with("memory_mb", memory));
    Ok(())
}

fn tollbell(bench: &mut Bench<'_>, connections: usize, way: Way, round: usize) -> anyhow::Result<()> {
    let Accepted { measured, cpu_us, memory_mb } = bench.accept(connections, way)?;
    let sample = sample(&name(connections, way), TOLLBELL, round, &measured, cpu_us);
    bench.report.add(sample.with("memory_mb", memory_mb));
    Ok(())
}

/// The memory of a gateway that has started and has nothing to do.
pub(super) fn run_idle(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "idle";
    let alipay = bench.alipay()?;
    let gateway = Gateway::start(&bench.setup(&[&alipay]))?;
    thread::sleep(SETTLES);
    let memory = megabytes(cpu::memory(gateway.pid()?));
    bench.report.add(Sample::new(SCENARIO, TOLLBELL, 0).with("memory_mb", memory));
    bench.report.due("memory when idle, MB", Some(memory), Bound::AtMost(40.0), None);
    Ok(())
}

fn dues(bench: &mut Bench<'_>) {
    let report = &mut bench.report;
    for (connections, least, prototype) in [(64, 0.55, 0.72), (256, 0.60, 0.81)] {
        let scenario = name(connections, Way::Kept);
        let found = report.ratio((&scenario, TOLLBELL), (&scenario, BARE), "per_second");
        let what = format!("durable accept of bare, {connections} connections");
        report.due(&what, found, Bound::AtLeast(least), Some(prototype));
    }
    let (one, some, many) = (name(1, Way::Kept), name(64, Way::Kept), name(1024, Way::Kept));
    let found = report.ratio((&some, TOLLBELL), (&some, BARE), "cpu_us");
    report.due("CPU per accepted notification of bare's", found, Bound::AtMost(2.2), Some(1.4));
    let found = report.median((&one, TOLLBELL), "p50_ms");
    report.due("one connection: p50 in ms", found, Bound::AtMost(0.6), Some(0.29));
    let found = report.median((&some, TOLLBELL), "memory_mb");
    report.due("memory at 64 connections, MB", found, Bound::AtMost(130.0), None);
    let found = report.median((&many, TOLLBELL), "memory_mb");
    report.due("memory at 1,024 connections, MB", found, Bound::AtMost(200.0), None);
}
