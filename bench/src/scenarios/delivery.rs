//! Deliveries: a trivial script through FastCGI beside nginx before the same pool, accept and deliver together, and
//! the time from a callback to the script's first line.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::{Bench, TOLLBELL, WARM_UP, all_accepted, check_rows, measure, measure_range, sample, warm_up};
use crate::bodies::{Callback, Signed};
use crate::cpu;
use crate::load::{self, Plan, Requests, Way, percentile};
use crate::references::{Nginx, Pool, PoolSetup};
use crate::report::{Bound, Sample, say};
use crate::servers::{Deliveries, Gateway, Setup};

const TRIVIAL: &str = include_str!("../../php/trivial.php");
const STAMP: &str = include_str!("../../php/stamp.php");
/// The pool's children, and the connections that a gateway keeps to them.
const CHILDREN: usize = 8;
/// nginx before the pool, as it may be set up: clients, and connections kept to the pool.
const SETUPS: &[(usize, usize)] = &[(64, 0), (CHILDREN, CHILDREN), (CHILDREN, 0)];
/// Requests that tell which of these is the fastest.
const TRIAL: usize = 4_000;
/// Longest wait for the last delivery.
const PATIENCE: Duration = Duration::from_mins(3);
/// How often is looked whether all is delivered; a look costs the gateway a millisecond.
const LOOK: Duration = Duration::from_millis(100);
/// How often is looked whether it has begun.
const STARTS: Duration = Duration::from_millis(10);
const CONNECTIONS: usize = 64;

fn pool(script: &str) -> anyhow::Result<Pool> {
    Pool::start(&PoolSetup { children: CHILDREN, database: None }, &[("notify.php", script), ("stamps", "")])
}

fn made(pool: &Pool) -> Deliveries {
    Deliveries::Made { address: pool.address(), script: pool.root.join("notify.php"), connections: CHILDREN }
}

/// Deliveries that were confirmed so far.
fn delivered(gateway: &Gateway) -> anyhow::Result<f64> {
    gateway.metric("tollbell_attempts_total", "outcome=\"delivered\"")
}

/// Waits until so many were delivered; when that was.
fn wait(gateway: &Gateway, count: f64) -> anyhow::Result<Instant> {
    let since = Instant::now();
    while delivered(gateway)? < count {
        ensure!(since.elapsed() < PATIENCE, "{} of {count} were delivered: {}", delivered(gateway)?, gateway.log());
        thread::sleep(LOOK);
    }
    Ok(Instant::now())
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
pub(super) fn run(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "a trivial script through FastCGI";
    const NGINX: &str = "nginx";
    let alipay = bench.alipay()?;
    let count = bench.count(CONNECTIONS);
    let requests = Requests::new("/notify.php", Way::Kept, &alipay.callbacks);
    let pool = pool(TRIVIAL)?;
    let (clients, kept) = fastest(&pool, &requests)?;
    for round in 0..bench.args.rounds() {
        let nginx = Nginx::start(&pool, &pool.root.join("notify.php"), kept)?;
        let pids = [nginx.running.pid, pool.running.pid];
        let (measured, used) = measure(&pids, &Plan::closed(nginx.address, clients), &requests, count)?;
        bench.report.add(sample(SCENARIO, NGINX, round, &measured, used));
        drop(nginx);

        // A backlog is stored first, and then delivered by itself.
        let setup = bench.setup(&[&alipay]);
        let mut gateway = Gateway::start(&setup)?;
        let callbacks = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
        all_accepted(&load::send(&Plan::closed(gateway.address, CONNECTIONS), &callbacks, 0..count)?)?;
        check_rows(gateway.stored()?, count)?;
        gateway.stop()?;
        gateway.launch(&Setup { deliveries: made(&pool), ..bench.setup(&[&alipay]) })?;
        let pids = [gateway.pid()?, pool.running.pid];
        // What starting up takes is not counted, nor what was delivered within it.
        let (mut first, mut began) = (delivered(&gateway)?, Instant::now());
        while first < 1.0 {
            thread::sleep(STARTS);
            (first, began) = (delivered(&gateway)?, Instant::now());
        }
        let before = cpu::used_by_trees(&pids);
        let took = wait(&gateway, count as f64)?.duration_since(began);
        let used = cpu::used_by_trees(&pids).saturating_sub(before);
        let rest = count as f64 - first;
        let sample = Sample::new(SCENARIO, TOLLBELL, round).with("per_second", rest / took.as_secs_f64());
        bench.report.add(sample.with("cpu_us", used.as_secs_f64() * 1e6 / rest));
    }
    let found = bench.report.ratio((SCENARIO, TOLLBELL), (SCENARIO, NGINX), "per_second");
    bench.report.due("delivery of a trivial script of nginx's rate", found, Bound::AtLeast(1.0), Some(2.0));
    Ok(())
}

/// Tries how nginx gets most out of the pool.
fn fastest(pool: &Pool, requests: &Arc<Requests>) -> anyhow::Result<(usize, usize)> {
    let mut best = (0.0, SETUPS[0]);
    for &(clients, kept) in SETUPS {
        let nginx = Nginx::start(pool, &pool.root.join("notify.php"), kept)?;
        let (measured, _) = measure(&[nginx.running.pid], &Plan::closed(nginx.address, clients), requests, TRIAL)?;
        say(&format!("  nginx | {clients} clients, {kept} kept: {:.0} per second", measured.rate()));
        if measured.rate() > best.0 {
            best = (measured.rate(), (clients, kept));
        }
    }
    Ok(best.1)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
pub(super) fn run_end_to_end(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "accept and deliver together, 64 kept";
    let alipay = bench.alipay()?;
    let count = bench.count(CONNECTIONS);
    let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks);
    let pool = pool(TRIVIAL)?;
    for round in 0..bench.args.rounds() {
        let mut gateway = Gateway::start(&Setup { deliveries: made(&pool), ..bench.setup(&[&alipay]) })?;
        let (plan, pid) = (Plan::closed(gateway.address, CONNECTIONS), gateway.pid()?);
        warm_up(&plan, &requests)?;
        wait(&gateway, WARM_UP as f64)?;
        let (began, before) = (Instant::now(), cpu::used_by_trees(&[pid]));
        let (measured, _) = measure_range(&[pid], &plan, &requests, WARM_UP..WARM_UP + count)?;
        let took = wait(&gateway, (WARM_UP + count) as f64)?.duration_since(began);
        // All of the gateway's work, the deliveries after the last accept included.
        let cpu_us = cpu::used_by_trees(&[pid]).saturating_sub(before).as_secs_f64() * 1e6 / count as f64;
        check_rows(gateway.stored()?, WARM_UP + count)?;
        let sample = sample(SCENARIO, TOLLBELL, round, &measured, cpu_us);
        let sample = sample.with("end_to_end_per_second", count as f64 / took.as_secs_f64());
        gateway.stop()?;
        bench.report.add(sample.with("gb_per_million", gigabytes_per_million(&gateway, WARM_UP + count)?));
    }
    let report = &mut bench.report;
    let found = report.median((SCENARIO, TOLLBELL), "end_to_end_per_second");
    report.due("accept and deliver together, per second", found, Bound::AtLeast(10_000.0), Some(17_500.0));
    let found = report.median((SCENARIO, TOLLBELL), "gb_per_million");
    report.due("disk per million notifications, delivered, GB", found, Bound::AtMost(2.5), None);
    Ok(())
}

/// What a stopped gateway's inbox takes on the disk.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn gigabytes_per_million(gateway: &Gateway, stored: usize) -> anyhow::Result<f64> {
    let mut bytes = 0;
    for name in ["tollbell.db", "tollbell.db-wal"] {
        bytes += fs::metadata(gateway.path(name)).map_or(0, |file| file.len());
    }
    ensure!(bytes > 0, "the inbox has no file");
    Ok(bytes as f64 / stored as f64 / 1e3)
}

/// Callbacks that come one at a time.
const FIRST_LINES: usize = 300;
/// So many come in a second: the gateway is idle in between.
const FIRST_LINE_RATE: f64 = 25.0;

pub(super) fn run_first_line(bench: &mut Bench<'_>) -> anyhow::Result<()> {
    const SCENARIO: &str = "from the callback to the script's first line, idle";
    let alipay = bench.alipay()?;
    let pool = pool(STAMP)?;
    for round in 0..bench.args.rounds() {
        fs::write(pool.root.join("stamps"), "")?;
        let gateway = Gateway::start(&Setup { deliveries: made(&pool), ..bench.setup(&[&alipay]) })?;
        let requests = Requests::new(&alipay.channel.path(), Way::Kept, &alipay.callbacks[..FIRST_LINES]);
        let plan = Plan { rate: Some(FIRST_LINE_RATE), notes_times: true, ..Plan::closed(gateway.address, 2) };
        let measured = load::send(&plan, &requests, 0..FIRST_LINES)?;
        all_accepted(&measured)?;
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        wait(&gateway, FIRST_LINES as f64)?;
        check_rows(gateway.stored()?, FIRST_LINES)?;
        let took = first_lines(&pool, &alipay, &measured.sent)?;
        let sample = Sample::new(SCENARIO, TOLLBELL, round).with("p50_ms", measured.percentile(50.0));
        let sample = sample.with("first_line_p50_ms", percentile(&took, 50.0));
        bench.report.add(sample.with("first_line_p99_ms", percentile(&took, 99.0)));
    }
    let found = bench.report.median((SCENARIO, TOLLBELL), "first_line_p50_ms");
    bench.report.due("callback to the script's first line, idle: p50 in ms", found, Bound::AtMost(2.0), None);
    Ok(())
}

/// Sorted microseconds between sending each callback and the script's note of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
fn first_lines(pool: &Pool, alipay: &Signed, sent: &[(usize, f64)]) -> anyhow::Result<Vec<u32>> {
    let stamps = fs::read_to_string(pool.root.join("stamps"))?;
    let mut took = Vec::new();
    for (index, at) in sent {
        let order_no = order_no(&alipay.callbacks[*index])?;
        let line = stamps.lines().find_map(|line| line.strip_prefix(&order_no)?.strip_prefix(' '));
        let ran: f64 = line.with_context(|| format!("order {order_no} has no stamp"))?.parse()?;
        took.push(((ran - at) * 1e6).max(0.0) as u32);
    }
    took.sort_unstable();
    Ok(took)
}

fn order_no(callback: &Callback) -> anyhow::Result<String> {
    let body = String::from_utf8_lossy(&callback.body);
    let value = body.split('&').find_map(|pair| pair.strip_prefix("out_trade_no="));
    value.map(str::to_owned).context("a callback has an order number")
}
