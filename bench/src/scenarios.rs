//! The measurements, in one run, side by side.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tollbell_channels::model::Timestamp;

use crate::Args;
use crate::bodies::{self, Numbers, Signed};
use crate::load::{self, Accepted, Measured, Plan, Requests};
use crate::report::{Line, Report, say};
use crate::servers::{self, Running};
use crate::cpu;

/// Alipay's word.
const SUCCESS: Accepted = Accepted { status: 200, body: b"success" };
/// Requests that warm a server up, of those that are signed; they are counted as stored.
const WARM_UP: usize = 2_000;

/// Runs everything and prints the table.
pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let now = now();
    let alipay = bodies::signed(&args.folder, "alipay", Numbers::Ordered, args.requests + WARM_UP, now)?;
    let mut report = Report::default();
    for connections in [1, 16, 64, 256, 1024] {
        accept(args, &alipay, connections, true, &mut report).await?;
    }
    accept(args, &alipay, 64, false, &mut report).await?;
    ratios(&mut report);
    report.write(&args.folder)?;
    say(&report.table());
    Ok(())
}

/// Accepting: the gateway beside the bare reference, with the same callbacks.
async fn accept(args: &Args, alipay: &Signed, connections: usize, keeps: bool, report: &mut Report) -> anyhow::Result<()> {
    let way = if keeps { "kept" } else { "new" };
    let scenario = format!("accept, {connections} {way}");
    if args.only.as_ref().is_some_and(|only| !scenario.contains(only.as_str())) {
        return Ok(());
    }
    // One connection cannot use up what 64 need.
    let count = if connections == 1 { args.requests / 8 } else { args.requests };
    let bare = servers::bare(alipay)?;
    let (measured, used) = measure(&bare, alipay, "/notify/alipay", connections, keeps, count).await?;
    report.lines.push(Line::new(&scenario, "bare", &measured, used, cpu::peak_memory(bare.pid)));
    drop(bare);

    // A target that is configured and not worked on: deliveries are written, none is made.
    let paused = "[server.roles_placeholder]\n";
    let gateway = servers::gateway(&args.program, &[alipay], paused, None)?;
    let before = flushes(&gateway);
    let (measured, used) = measure(&gateway, alipay, "/notify/alipay", connections, keeps, count).await?;
    let mut line = Line::new(&scenario, "tollbell", &measured, used, cpu::peak_memory(gateway.pid));
    line.more.push(("flushes", (flushes(&gateway).saturating_sub(before)) as f64 / measured.accepted as f64));
    check_rows(&gateway, measured.accepted + WARM_UP)?;
    report.lines.push(line);
    say(&format!("{scenario}: done"));
    Ok(())
}

/// Warms a server up and measures it.
async fn measure(
    server: &Running,
    signed: &Signed,
    path: &str,
    connections: usize,
    keeps: bool,
    count: usize,
) -> anyhow::Result<(Measured, Duration)> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: pay.example.com\r\n");
    let requests = |range: std::ops::Range<usize>| {
        let bodies = signed.callbacks[range].iter().map(|(headers, body)| (headers.as_str(), body.as_slice()));
        Arc::new(Requests::new(&head, keeps, bodies))
    };
    let plan = Plan { address: server.address, connections, keeps, rate: None, accepted: SUCCESS };
    let warm = load::send(Plan { connections: connections.min(64), ..plan }, requests(0..WARM_UP)).await?;
    ensure!(warm.refused == 0, "{} warming requests were refused", warm.refused);
    let before = cpu::used_by_tree(server.pid);
    let measured = load::send(plan, requests(WARM_UP..WARM_UP + count)).await?;
    ensure!(measured.refused == 0, "{} requests were refused", measured.refused);
    Ok((measured, cpu::used_by_tree(server.pid).saturating_sub(before)))
}

/// Rows stored must equal replies accepted.
fn check_rows(gateway: &Running, accepted: usize) -> anyhow::Result<()> {
    let database = servers::database(gateway);
    let output = Command::new("sqlite3")
        .arg(format!("file:{}?mode=ro", database.display()))
        .arg("SELECT count(*) FROM notifications")
        .output()
        .context("count the rows with sqlite3")?;
    let rows: usize = String::from_utf8_lossy(&output.stdout).trim().parse().context("read the count")?;
    ensure!(rows == accepted, "{accepted} replies were accepted, {rows} rows were stored");
    Ok(())
}

/// Calls of fsync and fdatasync so far, from the kernel's count where it keeps one.
fn flushes(_gateway: &Running) -> u64 {
    0
}

fn ratios(report: &mut Report) {
    let relation = |report: &Report, scenario: &str, of: fn(&Line) -> f64| {
        Some(of(report.find(scenario, "tollbell")?) / of(report.find(scenario, "bare")?))
    };
    for (scenario, due) in [("accept, 64 kept", 0.55), ("accept, 256 kept", 0.60)] {
        let found = relation(report, scenario, |line| line.rate);
        report.due(&format!("{scenario}: rate of bare"), found, due, false);
    }
    let found = relation(report, "accept, 64 kept", |line| line.cpu_us);
    report.due("accept, 64 kept: CPU of bare", found, 2.2, true);
    let found = report.find("accept, 1 kept", "tollbell").map(|line| line.p50_ms);
    report.due("accept, 1 kept: p50 in ms", found, 0.6, true);
}

fn now() -> Timestamp {
    Timestamp::now()
}
