//! Answers that wait for the application, whole: the real program, real PHP-FPM, genuinely signed callbacks.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::thread;

use support::gateway::{Replied, Setup, World, get, read_reply, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell::receive::confirmation::WAITERS_PER_CHANNEL_MAX;
use tollbell_channels::model::{EventKind, RawRequest};

/// Notes each run, and does what the file `mode` beside it says; `wait` until the file says otherwise.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_POST['trade_status'] . "\n", FILE_APPEND | LOCK_EX);
$mode = fn () => trim(file_get_contents(__DIR__ . '/mode'));
while ($mode() === 'wait') { usleep(5000); clearstatcache(); }
echo $mode() === 'fail' ? 'fail' : 'success';
"#;

/// The channel waits for the shop. Long enough for a busy machine, below the platform's patience.
const ACK: &str = "ack = { delivered = \"shop\", within = \"4s\" }\n";
/// The same where the test wants the wait to end without a confirmation.
const SHORT_ACK: &str = "ack = { delivered = \"shop\", within = \"300ms\" }\n";

struct Shop {
    fpm: PhpFpm,
}

impl Shop {
    fn new(mode: &str) -> Self {
        let shop = Self { fpm: PhpFpm::start(&Options::default()) };
        fs::write(shop.script(), SCRIPT).unwrap();
        shop.mode(mode);
        shop
    }

    fn script(&self) -> PathBuf {
        self.fpm.root().join("notify.php")
    }

    /// In one step, so that no run reads half of it.
    fn mode(&self, mode: &str) {
        let new = self.fpm.root().join("mode.new");
        fs::write(&new, mode).unwrap();
        fs::rename(new, self.fpm.root().join("mode")).unwrap();
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn setup(&self, channel: &str) -> Setup {
        let mut setup = Setup::new(&self.fpm.address(), &self.script());
        channel.clone_into(&mut setup.channel);
        "attempt_timeout = \"25s\"\nterminate_timeout = \"1s\"\n".clone_into(&mut setup.target);
        setup
    }

    fn world(&self, channel: &str) -> World {
        World::new(&self.setup(channel))
    }
}

impl Drop for Shop {
    /// No worker is left behind in its loop.
    fn drop(&mut self) {
        self.mode("good");
    }
}

#[track_caller]
fn success(reply: &Replied) {
    assert_eq!((reply.status, reply.text().as_str()), (200, "success"));
}

#[track_caller]
fn failure(reply: &Replied) {
    assert_eq!((reply.status, reply.text().as_str()), (503, "fail"));
}

fn metric(world: &World, line: &str) -> Option<u64> {
    let text = get(world.admin, "/metrics")?.text();
    text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
}

fn wait_for_waiters(world: &World, count: u64) {
    wait_for("the answers to wait", || (metric(world, "tollbell_waiting_answers ") == Some(count)).then_some(()));
}

fn wait_for_states(world: &World, expected: &[&str]) {
    wait_for("the deliveries' states", || (world.delivery_states() == expected).then_some(()));
}

/// Sends on a connection of its own, and leaves the reply to be read.
fn begin(world: &World, request: &RawRequest) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).unwrap();
    stream.set_read_timeout(Some(support::gateway::PATIENCE)).unwrap();
    stream.write_all(&wire("/notify/alipay", request)).unwrap();
    stream
}

fn acked_at(world: &World) -> Vec<bool> {
    let ids: Vec<String> =
        world.events().iter().map(|event| event["notification"].as_str().unwrap().to_owned()).collect();
    ids.iter().map(|id| !world.json(&["show", id])[0]["acked_at"].is_null()).collect()
}

#[test]
fn success_is_told_when_the_script_has_confirmed() {
    let shop = Shop::new("good");
    let mut world = shop.world(ACK);
    let _gateway = world.start();
    let payment = world.payment("A-1", 1000);
    success(&world.send(&payment).unwrap());
    assert_eq!(world.delivery_states(), ["delivered"], "before the reply");
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs(), ["A-1 TRADE_SUCCESS"], "a repetition of what is confirmed runs nothing");
    wait_for("the acknowledgement to be noted", || (acked_at(&world) == [true]).then_some(()));
    assert_eq!(metric(&world, "tollbell_waiting_answers "), Some(0));
}

#[test]
fn a_slow_script_costs_a_failure_and_a_repetition_joins_its_run() {
    let shop = Shop::new("wait");
    let mut world = shop.world(SHORT_ACK);
    let mut gateway = world.start();
    let payment = world.payment("B-1", 1000);
    failure(&world.send(&payment).unwrap());
    assert_eq!(acked_at(&world), [false], "a failure acknowledges nothing");
    assert_eq!(metric(&world, "tollbell_unconfirmed_total{channel=\"alipay\",reason=\"late\"} "), Some(1));
    shop.mode("good");
    wait_for_states(&world, &["delivered"]);
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs().len(), 1);

    // While the script still runs, the repetition waits for that very run.
    gateway.terminate();
    world.reconfigure(|text| text.replace(SHORT_ACK, ACK));
    shop.mode("wait");
    let _gateway = world.start();
    let payment = world.payment("B-2", 1000);
    let (first, second) = (begin(&world, &payment), begin(&world, &payment));
    wait_for_waiters(&world, 2);
    wait_for("the run", || (shop.runs().len() == 2).then_some(()));
    shop.mode("good");
    for mut stream in [first, second] {
        success(&read_reply(&mut stream).unwrap());
    }
    assert_eq!(shop.runs().len(), 2, "one run each");
}

#[test]
fn a_script_that_fails_is_tried_by_our_schedule_whatever_the_platform_was_told() {
    let shop = Shop::new("fail");
    let mut world = shop.world(SHORT_ACK);
    world.reconfigure(|text| {
        text.replace("ladder = [\"200ms\", ", "ladder = [\"200ms\", \"500ms\", \"500ms\", \"500ms\", ")
    });
    let _gateway = world.start();
    let payment = world.payment("C-1", 1000);
    failure(&world.send(&payment).unwrap());
    shop.mode("good");
    wait_for_states(&world, &["delivered"]);
    let runs = shop.runs().len();
    assert!(runs >= 2, "{runs}");
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs().len(), runs);
}

#[test]
fn the_same_fact_under_another_notification_joins_the_wait() {
    let shop = Shop::new("wait");
    let mut world = shop.world(ACK);
    let _gateway = world.start();
    let (one, other) = (world.payment("D-1", 1000), world.payment("D-1", 1000));
    assert_ne!(one.body, other.body, "two notifications");
    let first = begin(&world, &one);
    wait_for_waiters(&world, 1);
    let second = begin(&world, &other);
    wait_for_waiters(&world, 2);
    shop.mode("good");
    for mut stream in [first, second] {
        success(&read_reply(&mut stream).unwrap());
    }
    assert_eq!((shop.runs().len(), world.events().len()), (1, 1));
    assert_eq!(metric(&world, "tollbell_stored_total{channel=\"alipay\"} "), Some(2));
}

#[test]
fn what_is_held_or_goes_elsewhere_is_a_success_at_once() {
    let shop = Shop::new("fail");
    let mut setup = shop.setup(ACK);
    setup.more = "[[route]]\nevents = [\"payment.succeeded\"]\ntargets = [\"shop\"]\n".to_owned();
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let pending = world.story(EventKind::PaymentPending, "E-1", 1000);
    let pending = world.side.callback(&pending).request;
    success(&world.send(&pending).unwrap());
    assert_eq!(world.delivery_states(), Vec::<String>::new());
    shop.mode("good");
    let payment = world.payment("E-2", 1000);
    success(&world.send(&payment).unwrap());
    shop.mode("fail");
    let contradiction = world.payment("E-2", 9999);
    success(&world.send(&contradiction).unwrap());
    success(&world.send(&contradiction).unwrap());
    assert_eq!(world.delivery_states(), ["delivered", "held"]);
    assert_eq!(shop.runs().len(), 1);
}

#[test]
fn what_was_given_up_is_a_failure_at_once_and_an_alarm() {
    let shop = Shop::new("fail");
    let mut world = shop.world(ACK);
    world.reconfigure(|text| text.replace("attempt_timeout = \"25s\"", "ladder = []\nattempt_timeout = \"25s\""));
    let _gateway = world.start();
    let payment = world.payment("F-1", 1000);
    failure(&world.send(&payment).unwrap());
    failure(&world.send(&payment).unwrap());
    assert_eq!(world.delivery_states(), ["dead"]);
    assert_eq!(shop.runs().len(), 1, "a repetition brings nothing back to life");
    assert_eq!(metric(&world, "tollbell_unconfirmed_total{channel=\"alipay\",reason=\"dead\"} "), Some(2));
    assert!(world.log().lines().any(|line| line.contains("\"ERROR\"") && line.contains("the platform waits for it")));
    shop.mode("good");
    assert_eq!(world.json(&["replay", "--dead"])[0]["replayed"], 1);
    success(&world.send(&payment).unwrap());
}

#[test]
fn a_refund_whose_payment_is_not_confirmed_is_not_either() {
    let shop = Shop::new("wait");
    let mut world = shop.world(SHORT_ACK);
    let _gateway = world.start();
    let payment = world.payment("G-1", 1000);
    failure(&world.send(&payment).unwrap());
    let finalized = world.story(EventKind::PaymentFinalized, "G-1", 1000);
    let finalized = world.side.callback(&finalized).request;
    failure(&world.send(&finalized).unwrap());
    assert_eq!(world.delivery_states(), ["leased", "waiting"]);
    shop.mode("good");
    wait_for_states(&world, &["delivered", "delivered"]);
    success(&world.send(&finalized).unwrap());
}

#[test]
fn too_many_waits_are_busy_at_once_and_hold_no_other_channel_back() {
    let shop = Shop::new("wait");
    let mut world = shop.world(ACK);
    let _gateway = world.start();
    let payment = world.payment("H-1", 1000);
    let waiting: Vec<TcpStream> = (0..WAITERS_PER_CHANNEL_MAX).map(|_| begin(&world, &payment)).collect();
    wait_for_waiters(&world, WAITERS_PER_CHANNEL_MAX as u64);
    let next = world.payment("H-2", 1000);
    failure(&world.send(&next).unwrap());
    assert_eq!(metric(&world, "tollbell_unconfirmed_total{channel=\"alipay\",reason=\"full\"} "), Some(1));
    assert_eq!(world.events().len(), 2, "it is stored all the same");
    shop.mode("good");
    for mut stream in waiting {
        success(&read_reply(&mut stream).unwrap());
    }
    wait_for_states(&world, &["delivered", "delivered"]);
    success(&world.send(&next).unwrap());
    assert_eq!(shop.runs().len(), 2);
}

#[test]
fn a_node_that_dies_while_answers_wait_loses_nothing() {
    let shop = Shop::new("wait");
    let mut world = shop.world(ACK);
    world.reconfigure(|text| text.replace("attempt_timeout = \"25s\"", "attempt_timeout = \"3s\""));
    let mut gateway = world.start();
    let payment = world.payment("I-1", 1000);
    let mut waiting = begin(&world, &payment);
    wait_for_waiters(&world, 1);
    gateway.kill_hard();
    assert!(read_reply(&mut waiting).is_none(), "nothing was told");
    shop.mode("good");
    let _gateway = world.start();
    // The lease of the dead node runs out first.
    wait_for("the repetition to be confirmed", || {
        let reply = world.send(&payment).unwrap();
        (reply.status == 200).then(|| success(&reply))
    });
    assert_eq!(world.delivery_states(), ["delivered"]);
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_client_that_goes_away_changes_nothing_and_leaves_nothing_behind() {
    let shop = Shop::new("wait");
    let mut world = shop.world(ACK);
    let _gateway = world.start();
    let payment = world.payment("J-1", 1000);
    let waiting = begin(&world, &payment);
    wait_for_waiters(&world, 1);
    drop(waiting);
    shop.mode("good");
    wait_for_states(&world, &["delivered"]);
    wait_for_waiters(&world, 0);
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs().len(), 1);
}

#[test]
fn a_node_that_stops_ends_every_wait() {
    let shop = Shop::new("wait");
    let mut world = shop.world(ACK);
    let mut gateway = world.start();
    let payment = world.payment("K-1", 1000);
    let mut waiting = begin(&world, &payment);
    wait_for_waiters(&world, 1);
    let reply = thread::spawn(move || read_reply(&mut waiting));
    let world = &world;
    thread::scope(|scope| {
        scope.spawn(|| {
            failure(&reply.join().unwrap().unwrap());
            wait_for("the reason of the failure: the node stops", || {
                world.log().contains("\"stopping\"").then_some(())
            });
            // The attempt itself may end in peace.
            shop.mode("good");
        });
        assert!(gateway.terminate().success());
    });
    let _gateway = world.start();
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs().len(), 1);
}

/// Another platform: its own words, and a body that only it can read.
#[test]
fn each_platform_hears_it_in_its_own_words() {
    let shop = Shop::new("fail");
    let answer = SCRIPT
        .replace("$_POST['out_trade_no'] . ' ' . $_POST['trade_status']", "$_SERVER['TOLLBELL_ORDER_NO']")
        .replace("? 'fail' : 'success'", "? '{\"code\":\"FAIL\"}' : '{\"code\":\"SUCCESS\"}'");
    fs::write(shop.script(), answer).unwrap();
    let mut setup = shop.setup(ACK);
    setup.platform = "wechat_pay";
    setup.target.push_str("ladder = []\n");
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let payment = world.payment("O-1", 1000);
    let refused = world.send(&payment).unwrap();
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("\"FAIL\"") && !refused.text().contains("SUCCESS"), "{}", refused.text());
    shop.mode("good");
    assert_eq!(world.json(&["replay", "--dead"])[0]["replayed"], 1);
    let accepted = world.send(&payment).unwrap();
    assert_eq!((accepted.status, accepted.body.len()), (204, 0));
    assert_eq!(shop.runs(), ["O-1", "O-1"]);
}

#[test]
fn a_sandbox_reaches_only_targets_that_accept_it() {
    let shop = Shop::new("good");
    let mut world = shop.world("environment = \"sandbox\"\n");
    let mut gateway = world.start();
    let payment = world.payment("L-1", 1000);
    success(&world.send(&payment).unwrap());
    assert_eq!(world.delivery_states(), Vec::<String>::new());
    assert_eq!(world.json(&["events", "--unrouted"]).len(), 1);
    gateway.terminate();
    world.reconfigure(|text| {
        let ack = "environment = \"sandbox\"\nack = { delivered = \"shop\", within = \"4s\" }\n";
        text.replace("environment = \"sandbox\"\n", ack)
            .replace("attempt_timeout = \"25s\"", "accept_sandbox = true\nattempt_timeout = \"25s\"")
    });
    let _gateway = world.start();
    let payment = world.payment("L-2", 1000);
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs(), ["L-2 TRADE_SUCCESS"]);
    assert_eq!(world.events()[1]["data"]["environment"], "sandbox");
}

#[test]
fn a_script_is_found_by_its_channel() {
    let shop = Shop::new("good");
    fs::rename(shop.script(), shop.fpm.root().join("notify-alipay.php")).unwrap();
    let mut world = shop.world(ACK);
    world.reconfigure(|text| text.replace("/notify.php", "/notify-{channel}.php"));
    let _gateway = world.start();
    let payment = world.payment("M-1", 1000);
    success(&world.send(&payment).unwrap());
    assert_eq!(shop.runs(), ["M-1 TRADE_SUCCESS"]);
}

#[test]
fn what_a_success_made_pointless_is_not_delivered_and_says_why() {
    let shop = Shop::new("good");
    let mut world = shop.world("");
    let mut gateway = world.start();
    let payment = world.payment("N-1", 1000);
    success(&world.send(&payment).unwrap());
    wait_for_states(&world, &["delivered"]);
    let late = world.story(EventKind::PaymentPending, "N-1", 1000);
    let late = world.side.callback(&late).request;
    success(&world.send(&late).unwrap());
    let closed = world.story(EventKind::PaymentClosed, "N-1", 1000);
    let closed = world.side.callback(&closed).request;
    success(&world.send(&closed).unwrap());
    assert_eq!(world.delivery_states(), ["delivered", "skipped", "held"]);
    assert_eq!(shop.runs().len(), 1);
    let events = world.events();
    let shown = world.json(&["show", events[1]["id"].as_str().unwrap()]);
    let delivery = &shown[0]["deliveries"][0];
    assert_eq!(delivery["superseded_by"], events[0]["id"]);
    let text = String::from_utf8(world.cli(&["show", events[1]["id"].as_str().unwrap()]).stdout).unwrap();
    assert!(text.contains("skipped: superseded") && text.contains(events[0]["id"].as_str().unwrap()), "{text}");
    assert_eq!(world.json(&["replay", delivery["id"].as_str().unwrap()])[0]["replayed"], 1);
    wait_for_states(&world, &["delivered", "delivered", "held"]);
    assert_eq!(shop.runs().last().unwrap(), "N-1 WAIT_BUYER_PAY");
    assert!(gateway.terminate().success());
}
