//! A disk that fails or is full, and when success leaves.

use std::fs;

use super::world::{Shop, all_delivered, is_success};
use crate::support::gateway::{Gateway, World, kill_traced, wait_for};

fn traced(world: &World, inject: &str) -> Gateway {
    let trace = format!("trace={}", inject.split(':').next().unwrap());
    let inject = format!("inject={inject}");
    world.start_with(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}

/// Sends payments through a disk that fails now and then: each is answered success or `fail`, what was
/// answered success is there after a kill, and the gateway mends itself.
fn through_a_failing_disk(inject: &str) {
    let shop = Shop::new();
    let mut world = shop.world();
    assert!(world.start().terminate().success());
    let gateway = traced(&world, inject);
    let mut acked = Vec::new();
    let mut failures = 0;
    for n in 0..12 {
        let order = format!("DISK-{n}");
        let payment = world.payment(&order, 1000);
        wait_for("success in the end", || {
            let reply = world.send(&payment)?;
            if reply.body == b"success" {
                return Some(());
            }
            assert_eq!((reply.status, reply.body.as_slice()), (503, b"fail".as_slice()));
            failures += 1;
            None
        });
        acked.push(order);
    }
    assert!(failures > 0, "`{inject}` met no callback");
    kill_traced(&world, gateway);
    let _gateway = world.start();
    let mut orders: Vec<String> =
        world.events().iter().map(|event| event["data"]["order_no"].as_str().unwrap().to_owned()).collect();
    orders.sort();
    acked.sort();
    assert_eq!(orders, acked, "answered success and lost, or doubled");
    all_delivered(&world, acked.len());
    for order in &acked {
        assert!(shop.runs().iter().any(|run| run.starts_with(&format!("{order} "))));
    }
}

#[test]
fn failing_flushes_are_answered_busy_and_lose_nothing() {
    through_a_failing_disk("fdatasync:error=EIO:when=3+7");
}

#[test]
fn a_full_disk_is_answered_busy_and_loses_nothing() {
    through_a_failing_disk("pwrite64:error=ENOSPC:when=9+61");
}

/// A full or read-only temporary folder must not stop callbacks, and no body may lie in one.
#[test]
fn a_commit_needs_no_temporary_file() {
    let shop = Shop::new();
    let mut world = shop.world();
    let (trace, temporary) = (world.path("trace"), world.path("temporary"));
    fs::create_dir(&temporary).unwrap();
    let variable = format!("SQLITE_TMPDIR={}", temporary.display());
    let traced = ["strace", "-f", "-qq", "-e", "trace=openat", "-o", trace.to_str().unwrap(), "env", &variable];
    let gateway = world.start_with(&traced);
    for n in 0..20 {
        let payment = world.payment(&format!("TEMP-{n}"), 1000);
        assert!(is_success(&world, &payment));
    }
    all_delivered(&world, 20);
    kill_traced(&world, gateway);
    let text = fs::read_to_string(&trace).unwrap();
    let opened: Vec<&str> =
        text.lines().filter(|line| line.contains("/temporary") || line.contains("O_TMPFILE")).collect();
    assert!(opened.is_empty(), "{opened:#?}");
}

#[test]
fn success_leaves_after_the_flush_returned() {
    let shop = Shop::new();
    let mut world = shop.world();
    let trace = world.path("trace");
    let gateway = world.start_with(&[
        "strace",
        "-f",
        "-qq",
        "-s",
        "400",
        "-e",
        "trace=fdatasync,fsync,writev,sendto,recvfrom",
        "-o",
        trace.to_str().unwrap(),
    ]);
    let payment = world.payment("ORDER-1", 1000);
    assert!(is_success(&world, &payment));
    kill_traced(&world, gateway);
    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let asked = lines.iter().position(|line| line.contains("POST /notify/alipay")).unwrap();
    let answered =
        lines.iter().position(|line| line.contains("\\r\\n\\r\\nsuccess") || line.contains("\"success\"")).unwrap();
    let flushed = lines[asked..answered].iter().any(|line| line.contains("sync") && line.contains("= 0"));
    assert!(flushed, "{}", lines[asked..=answered].join("\n"));
}
