//! An inbox that another process locks, reads, deletes or replaces.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use tollbell_channels::model::RawRequest;

use super::world::{Lock, Shop, all_delivered, is_success};
use crate::support::gateway::{World, wait_for};

#[test]
fn a_lock_that_another_process_holds_costs_a_wait_and_no_second_run() {
    let shop = Shop::new();
    shop.mode("wait");
    let mut setup = shop.setup();
    setup.target = "attempt_timeout = \"10s\"\nterminate_timeout = \"10s\"\n".into();
    let mut world = World::new(&setup);
    world.reconfigure(|text| text.replace("lease_margin = \"1s\"", "lease_margin = \"5s\""));
    let _gateway = world.start();
    let payment = world.payment("LOCK-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("the script to begin", || (!shop.runs().is_empty()).then_some(()));
    let lock = Lock::take(&world);
    shop.mode("good");
    let second = world.payment("LOCK-2", 1000);
    let since = Instant::now();
    let reply = world.send(&second).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (503, b"fail".as_slice()));
    assert!(since.elapsed() < Duration::from_secs(5), "a platform waits {:?} for busy", since.elapsed());
    wait_for("the result to meet the lock", || world.log().contains("attempt ended").then_some(()));
    let reply = world.send(&second).unwrap();
    assert_eq!(reply.status, 503);
    lock.release();
    wait_for("success", || is_success(&world, &second).then_some(()));
    all_delivered(&world, 2);
    let runs = shop.runs();
    assert_eq!(runs.iter().filter(|run| run.starts_with("LOCK-1 ")).count(), 1, "{runs:?}");
}

/// Opening the inbox from the command line must not take the write lock and wait with it for somebody's read.
#[test]
fn commands_beside_a_long_read_hold_up_no_callback() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let first = world.payment("READ-0", 1000);
    assert!(is_success(&world, &first));
    let program = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None)\n\
                   c.execute('BEGIN')\nc.execute('SELECT count(*) FROM events').fetchall()\n\
                   print('held',flush=True)\nsys.stdin.read()\n";
    let mut reader = Lock::by(&world, program);
    let payments: Vec<RawRequest> = (1..40).map(|n| world.payment(&format!("READ-{n}"), 1000)).collect();
    let slowest = std::thread::scope(|scope| {
        let commands = scope.spawn(|| (0..3).for_each(|_| drop(world.events())));
        let mut slowest = Duration::ZERO;
        for payment in payments.iter().cycle() {
            let since = Instant::now();
            assert!(is_success(&world, payment), "answered busy because somebody looked");
            slowest = slowest.max(since.elapsed());
            if commands.is_finished() {
                break;
            }
        }
        slowest
    });
    reader.0.stdin.take();
    reader.release();
    assert!(slowest < Duration::from_millis(500), "a callback waited {slowest:?} because somebody looked");
}

#[test]
fn a_deleted_inbox_is_never_answered_from() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let first = world.payment("GONE-1", 1000);
    assert!(is_success(&world, &first));
    all_delivered(&world, 1);
    for name in ["tollbell.db", "tollbell.db-wal", "tollbell.db-shm"] {
        let _maybe = fs::remove_file(world.path(name));
    }
    let second = world.payment("GONE-2", 1000);
    let was_acked = is_success(&world, &second);
    drop(gateway);
    let _gateway = world.start();
    let is_known = world.events().iter().any(|event| event["data"]["order_no"] == "GONE-2");
    assert!(!was_acked || is_known, "answered success into a file that has no name, and lost");
}

#[test]
fn a_replaced_inbox_is_never_answered_from() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let first = world.payment("SWAP-1", 1000);
    assert!(is_success(&world, &first));
    all_delivered(&world, 1);
    let copy = world.path("copy.db");
    assert!(world.cli(&["backup", copy.to_str().unwrap()]).status.success());
    // A backup that is put back without stopping the gateway.
    for name in ["tollbell.db-wal", "tollbell.db-shm"] {
        let _maybe = fs::remove_file(world.path(name));
    }
    fs::rename(&copy, world.path("tollbell.db")).unwrap();
    let second = world.payment("SWAP-2", 1000);
    let was_acked = is_success(&world, &second);
    drop(gateway);
    let _gateway = world.start();
    let is_known = world.events().iter().any(|event| event["data"]["order_no"] == "SWAP-2");
    assert!(!was_acked || is_known, "answered success into a file that has no name, and lost");
    assert!(is_success(&world, &second), "after a restart all is well");
}

#[test]
fn two_names_of_one_inbox_are_served_once() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    std::os::unix::fs::symlink(world.path("tollbell.db"), world.path("other.db")).unwrap();
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let second = world.path("second.toml");
    let text = text
        .replace(&world.address.to_string(), "127.0.0.1:0")
        .replace(&world.admin.to_string(), "127.0.0.1:0")
        .replace("[log]", "[inbox]\nurl = \"sqlite:other.db\"\n[log]");
    fs::write(&second, text).unwrap();
    let log = world.path("second.log");
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--config", second.to_str().unwrap(), "serve"])
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let ended = wait_for("an end, or service", || {
        let serves = || fs::read_to_string(&log).is_ok_and(|text| text.contains("serving"));
        child.try_wait().unwrap().map(Some).or_else(|| serves().then_some(None))
    });
    let _gone = child.kill();
    child.wait().unwrap();
    assert!(ended.is_some_and(|status| !status.success()), "a second gateway serves the same inbox");
}
