//! `kill -9` of the gateway before each of its steps: whatever it was about to do, nothing is lost and
//! nothing is doubled.
//!
//! The steps are seen from outside, as system calls: accepting, reading, writing a page, flushing to the
//! disk, replying, connecting to PHP-FPM, sending to it. strace kills the process before the k-th call of
//! a kind; every k is tried until one is never reached. strace counts each call by thread, so the program
//! gets one worker thread.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::path::PathBuf;

use support::gateway::{Gateway, Setup, World, kill_traced, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::RawRequest;

/// Notes each run with the event id, after a moment of work.
const SCRIPT: &str = r#"<?php
usleep(20000);
file_put_contents(__DIR__ . '/runs', $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
echo 'success';
"#;

/// More calls of one kind than any life of one callback makes; a sweep that gets here is broken.
const SWEEP_MAX: usize = 400;

struct Case {
    fpm: PhpFpm,
    script: PathBuf,
}

impl Case {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        Self { fpm, script }
    }

    fn world(&self) -> World {
        let _fresh = fs::remove_file(self.fpm.root().join("runs"));
        let mut setup = Setup::new(&self.fpm.address(), &self.script);
        setup.target = "attempt_timeout = \"1s\"\nterminate_timeout = \"500ms\"\n".into();
        let world = World::new(&setup);
        world.reconfigure(|text| text.replace("lease_margin = \"1s\"", "lease_margin = \"500ms\""));
        world
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Kills before the k-th call for each k. Returns how many kills there were.
    fn sweep(&self, calls: &str) -> usize {
        for k in 1..SWEEP_MAX {
            if !self.killed_before(calls, k) {
                return k - 1;
            }
        }
        panic!("`{calls}` is still reached at call {SWEEP_MAX}");
    }

    /// One life that ends before the k-th call, and the life after it. False when the call never came.
    fn killed_before(&self, calls: &str, k: usize) -> bool {
        let mut world = self.world();
        let payment = world.payment("CRASH-1", 1000);
        let inject = format!("inject={calls}:signal=KILL:when={k}");
        let trace = format!("trace={calls}");
        let mut traced = world.spawn(&[
            "strace",
            "-f",
            "-qq",
            "-E",
            "TOKIO_WORKER_THREADS=1",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ]);
        let acked = live(&world, &mut traced, &payment);
        let was_killed = traced.has_ended();
        if !was_killed {
            kill_traced(&world, traced);
        }
        let _gateway = world.start();
        if acked {
            assert_eq!(world.events().len(), 1, "{calls} {k}: answered success and lost");
        } else {
            wait_for("the platform's repetition to be answered", || {
                world.send(&payment).filter(|reply| reply.body == b"success")
            });
        }
        wait_for("the delivery to be confirmed", || (world.delivery_states() == ["delivered"]).then_some(()));
        let events = world.events();
        assert_eq!(events.len(), 1, "{calls} {k}: one fact made {} events", events.len());
        let runs = self.runs();
        let id = events[0]["id"].as_str().unwrap();
        assert!(!runs.is_empty() && runs.len() <= 2, "{calls} {k}: the script ran {} times", runs.len());
        assert!(runs.iter().all(|run| run == id), "{calls} {k}: runs under several event ids: {runs:?} {id}");
        was_killed
    }
}

/// Sends until success or death, then waits for confirmation or death. True when success was answered.
fn live(world: &World, gateway: &mut Gateway, payment: &RawRequest) -> bool {
    let mut acked = false;
    wait_for("an answer, or the end", || {
        acked = acked || world.send(payment).is_some_and(|reply| reply.body == b"success");
        (acked || gateway.has_ended()).then_some(())
    });
    wait_for("the confirmation, or the end", || {
        let is_confirmed = || fs::read_to_string(world.path("log.json")).is_ok_and(|log| log.contains("attempt ended"));
        (gateway.has_ended() || is_confirmed()).then_some(())
    });
    // The result of the attempt is written after that line; let a kill that waits for it happen.
    let since = std::time::Instant::now();
    while !gateway.has_ended() && since.elapsed() < std::time::Duration::from_millis(300) {
        std::thread::yield_now();
    }
    acked
}

#[test]
fn killed_before_each_flush() {
    let kills = Case::new().sweep("fdatasync");
    assert!(kills >= 3, "only {kills} kills: the sweep did not reach the commits");
}

#[test]
fn killed_before_each_written_page() {
    let kills = Case::new().sweep("pwrite64");
    assert!(kills >= 3, "only {kills} kills");
}

#[test]
fn killed_before_the_reply() {
    let kills = Case::new().sweep("writev");
    assert!(kills >= 1, "the reply was not reached");
}

#[test]
fn killed_before_the_script_is_called() {
    let kills = Case::new().sweep("sendto");
    assert!(kills >= 1, "the call was not reached");
}

#[test]
fn killed_before_each_reading() {
    let kills = Case::new().sweep("recvfrom");
    assert!(kills >= 2, "only {kills} kills");
}

#[test]
fn killed_before_each_connection() {
    let case = Case::new();
    assert!(case.sweep("accept4") >= 1, "no callback was accepted");
    assert!(case.sweep("connect") >= 1, "PHP-FPM was not called");
}
