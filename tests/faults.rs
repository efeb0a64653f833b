//! The machine fails: a disk that is really full, a disk that becomes read-only, a clock that jumps. Each
//! time the platform hears its own word for "later", `/readyz` and the log name the cause, the gateway goes
//! on by itself when the cause is gone, and nothing that was answered success is lost or doubled.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use support::gateway::{Gateway, Setup, TOKEN, World, exchange, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::RawRequest;

/// Writes each order down that it is called for, and confirms.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', ($_POST['out_trade_no'] ?? '') . "\n", FILE_APPEND | LOCK_EX);
echo 'success';
"#;

struct Shop {
    fpm: PhpFpm,
    world: World,
}

impl Shop {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.script("notify.php", SCRIPT);
        let world = World::new(&Setup::new(&fpm.address(), &script));
        Self { fpm, world }
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Sends it once: whether it was answered success. Any other answer must be the platform's "later".
    fn is_accepted(&self, request: &RawRequest) -> bool {
        let reply = self.world.send(request).expect("an answer");
        if reply.body == b"success" {
            return true;
        }
        assert_eq!((reply.status, reply.text().as_str()), (503, "fail"), "{}", reply.head);
        false
    }

    fn ready(&self) -> String {
        let request = format!(
            "GET /readyz HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
        );
        let reply = exchange(self.world.admin, request.as_bytes());
        reply.map(|reply| format!("{} {}", reply.status, reply.text())).unwrap_or_default()
    }

    /// Every order that was answered success reached the script, and no other.
    fn all_ran_once(&self, accepted: &[String]) {
        wait_for("every accepted order to reach the script", || (self.runs().len() >= accepted.len()).then_some(()));
        let mut runs = self.runs();
        runs.sort();
        let mut accepted = accepted.to_vec();
        accepted.sort();
        assert_eq!(runs, accepted);
    }
}

/// Room of the small disk: enough for an empty inbox and some dozens of callbacks.
const SMALL_DISK: &str = "3m";

#[test]
fn a_small_disk_fills_up_and_is_freed() {
    let mut shop = Shop::new();
    // In a mount namespace of its own, so that no other test and no machine notices, and no root is needed.
    let disk = shop.world.path("disk");
    fs::create_dir(&disk).unwrap();
    shop.world.reconfigure(|text| format!("[inbox]\nurl = \"sqlite:{}/tollbell.db\"\n{text}", disk.display()));
    let script = format!("mount -t tmpfs -o size={SMALL_DISK},mode=700 tmpfs {} && exec \"$@\"", disk.display());
    let gateway = shop.world.start_with(&["unshare", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
    // `unshare` and `sh` became the gateway: the disk is seen through it.
    let inside = PathBuf::from(format!("/proc/{}/root{}", gateway.child.id(), disk.display()));

    let mut accepted = Vec::new();
    let mut refused = None;
    for n in 0..2_000 {
        let order = format!("SMALL-{n}");
        let payment = shop.world.payment(&order, 1000);
        if shop.is_accepted(&payment) {
            accepted.push(order);
        } else {
            refused = Some((order, payment));
            break;
        }
    }
    let (order, payment) = refused.expect("the disk became full");
    assert!(accepted.len() > 10, "only {} callbacks fit", accepted.len());
    let ready = shop.ready();
    assert!(ready.starts_with("200 "), "a full disk must not take the node out of rotation: {ready}");
    assert!(ready.contains("full") || ready.contains("busy"), "{ready}");
    assert!(shop.world.log().contains("the inbox cannot be written"), "{}", shop.world.log());
    // It stays so, politely, as long as the disk is full.
    for _ in 0..5 {
        assert!(!shop.is_accepted(&payment));
    }

    let room = Command::new("nsenter")
        .args(["--target", &gateway.child.id().to_string(), "--user", "--mount", "--preserve-credentials"])
        .args(["mount", "-o", "remount,size=64m", disk.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(room.success());
    wait_for("the gateway to go on by itself", || shop.is_accepted(&payment).then_some(()));
    accepted.push(order);
    assert!(inside.join("tollbell.db").exists());
    shop.all_ran_once(&accepted);
    wait_for("the node to be ready again", || (shop.ready() == "200 ready\n").then_some(()));
}

/// strace, attached to a running gateway until it is dropped.
struct Meddler {
    strace: Child,
}

impl Meddler {
    fn attach(gateway: &Gateway, inject: &str) -> Self {
        let pid = gateway.child.id().to_string();
        let trace = format!("trace={}", inject.split(':').next().unwrap());
        let inject = format!("inject={inject}");
        let mut strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", &trace, "-e", &inject, "-p", &pid])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(strace.stderr.take().unwrap());
        let mut line = String::new();
        told.read_line(&mut line).unwrap();
        assert!(line.contains("attached"), "{line}");
        std::thread::spawn(move || told.lines().for_each(drop));
        Self { strace }
    }
}

impl Drop for Meddler {
    /// On SIGINT it detaches and the gateway runs on.
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.strace.id()).unwrap()).unwrap();
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let _status = self.strace.wait();
    }
}

/// While `inject` lasts nothing is accepted; afterwards everything is, and nothing is lost or doubled.
fn through(inject: &str, cause: &str) {
    let mut shop = Shop::new();
    let mut gateway = shop.world.start();
    let mut accepted = Vec::new();
    let first = shop.world.payment("BEFORE", 1000);
    assert!(shop.is_accepted(&first));
    accepted.push("BEFORE".to_owned());
    shop.all_ran_once(&accepted);

    let meddler = Meddler::attach(&gateway, inject);
    let payments: Vec<_> =
        (0..5).map(|n| (format!("DURING-{n}"), shop.world.payment(&format!("DURING-{n}"), 1000))).collect();
    for (_, payment) in payments.iter().chain(&payments) {
        assert!(!shop.is_accepted(payment), "accepted although nothing can be written");
    }
    let ready = shop.ready();
    assert!(ready.starts_with("200 ") && ready.contains(cause), "{ready}");
    drop(meddler);

    for (order, payment) in payments {
        wait_for("the gateway to go on by itself", || shop.is_accepted(&payment).then_some(()));
        accepted.push(order);
    }
    shop.all_ran_once(&accepted);
    gateway.kill_hard();
    let _gateway = shop.world.start();
    let mut orders: Vec<String> =
        shop.world.events().iter().map(|event| event["data"]["order_no"].as_str().unwrap().to_owned()).collect();
    orders.sort();
    accepted.sort();
    assert_eq!(orders, accepted, "answered success and lost, or doubled");
}

#[test]
fn a_disk_that_becomes_read_only_is_answered_busy() {
    through("pwrite64:error=EROFS", "disk I/O error");
}

#[test]
fn a_disk_whose_flush_fails_is_answered_busy() {
    through("fdatasync,fsync:error=EIO", "disk I/O error");
}

#[test]
fn a_disk_that_cannot_be_written_is_answered_busy() {
    through("pwrite64:error=EIO", "disk I/O error");
}

/// The clock jumps a day ahead, a day back, and back to the truth.
#[test]
fn a_clock_that_jumps_loses_and_doubles_nothing() {
    let mut shop = Shop::new();
    let clock = shop.world.path("clock");
    fs::write(&clock, "+0").unwrap();
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .into_iter()
        .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketime.so.1"))
        .find(|path| fs::exists(path).unwrap())
        .expect("faketime is installed");
    let _gateway = shop.world.start_with(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        &format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]);
    let mut accepted = Vec::new();
    let mut sent = Vec::new();
    for (n, offset) in ["+0", "+86400", "-86400", "+0"].into_iter().enumerate() {
        fs::write(&clock, offset).unwrap();
        let order = format!("JUMP-{n}");
        let payment = shop.world.payment(&order, 1000);
        assert!(shop.is_accepted(&payment), "at {offset}");
        accepted.push(order);
        sent.push(payment);
        // Whatever was sent at another time is still the same notification.
        assert!(sent.iter().all(|payment| shop.is_accepted(payment)), "at {offset}");
    }
    shop.all_ran_once(&accepted);
    let ids: std::collections::BTreeSet<String> =
        shop.world.events().iter().map(|event: &Value| event["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), accepted.len());
}
