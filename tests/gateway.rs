//! The main road, whole: the real program, real PHP-FPM, genuinely signed callbacks over HTTP.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use support::gateway::{Setup, World, exchange, get, read_reply, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::EventKind;

/// Keeps the exact request and confirms.
const GOOD: &str = r#"<?php
$n = __DIR__ . '/run-' . $_SERVER['TOLLBELL_DELIVERY'] . '-' . $_SERVER['TOLLBELL_ATTEMPT'];
file_put_contents("$n.body", file_get_contents('php://input'));
file_put_contents("$n.json", json_encode(['post' => $_POST, 'server' => $_SERVER]));
echo 'success';
"#;

/// Does what the file `mode` beside it says.
const MOODY: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_POST['trade_status'] . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
$mode = trim(file_get_contents(__DIR__ . '/mode'));
switch ($mode) {
    case 'fail': exit('fail');
    case 'fatal': call_to_nothing();
    case 'warning': echo "Warning: Undefined index: uid in notify.php on line 3\nsuccess"; break;
    case 'bom': echo "\xef\xbb\xbfsuccess\n"; break;
    case 'status': http_response_code(502); echo 'success'; break;
    case 'sleep': sleep(8); echo 'success'; break;
    case 'failorder': if (str_starts_with($_POST['out_trade_no'], 'BAD')) { exit('fail'); } echo 'success'; break;
    default: echo 'success';
}
"#;

struct Shop {
    fpm: PhpFpm,
}

impl Shop {
    fn new() -> Self {
        Self { fpm: PhpFpm::start(&Options::default()) }
    }

    fn script(&self, text: &str) -> PathBuf {
        let path = self.fpm.root().join("notify.php");
        fs::write(&path, text).unwrap();
        path
    }

    fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode"), mode).unwrap();
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Bodies that the good script got.
    fn bodies(&self) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(self.fpm.root()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|e| e == "body"))
            .map(|path| fs::read(path).unwrap())
            .collect()
    }

    fn world(&self, script: &str) -> World {
        let script = self.script(script);
        World::new(&Setup::new(&self.fpm.address(), &script))
    }
}

fn all_delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

fn attempts(world: &World, id: &str) -> Vec<(String, String)> {
    let shown = world.json(&["show", id]);
    let attempts = shown[0]["deliveries"][0]["attempts"].as_array().unwrap().clone();
    attempts
        .iter()
        .map(|a| (a["outcome"].as_str().unwrap().to_owned(), a["reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn a_callback_reaches_the_script_byte_for_byte_and_is_confirmed() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("A-1", 1000);
    let reply = world.send(&payment).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, b"success".as_slice()));
    all_delivered(&world, 1);
    assert_eq!(shop.bodies(), [payment.body.to_vec()]);

    let events = world.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "payment.succeeded");
    assert_eq!(events[0]["data"]["order_no"], "A-1");
    assert_eq!(events[0]["data"]["amount"]["text"], "10.00");
    let id = events[0]["id"].as_str().unwrap();
    let seen = fs::read_dir(shop.fpm.root())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|e| e == "json"))
        .unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&fs::read(seen).unwrap()).unwrap();
    assert_eq!(seen["post"]["out_trade_no"], "A-1");
    assert_eq!(seen["server"]["TOLLBELL_EVENT_IDS"], id);
    assert_eq!(seen["server"]["TOLLBELL_AMOUNT"], "10.00");
    assert_eq!(seen["server"]["REQUEST_METHOD"], "POST");

    let raw = world.cli(&["show", id, "--raw"]).stdout;
    assert!(raw.ends_with(&payment.body), "`show --raw` gives the exact body");
    assert!(String::from_utf8(world.cli(&["show", id]).stdout).unwrap().contains("A-1"));
}

#[test]
fn a_repetition_gets_the_same_words_and_makes_nothing_new() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("B-1", 1000);
    let first = world.send(&payment).unwrap();
    all_delivered(&world, 1);
    for _ in 0..3 {
        assert_eq!(world.send(&payment).unwrap().body, first.body);
    }
    assert_eq!(world.events().len(), 1);
    assert_eq!(shop.bodies().len(), 1);
    let id = world.events()[0]["notification"].as_str().unwrap().to_owned();
    // Repetitions are counted lazily: they are off the answer's path.
    wait_for("the repetitions to be counted", || {
        let shown = world.json(&["show", &id]);
        (shown[0]["repeats"] == 3 && shown[0]["repeated_after_ack"] == 3).then_some(())
    });
    let metrics = get(world.admin, "/metrics").unwrap().text();
    assert!(metrics.contains("tollbell_duplicate_total{channel=\"alipay\"} 3"), "{metrics}");
    assert!(metrics.contains("tollbell_repeated_after_ack_total{channel=\"alipay\"} 3"), "{metrics}");
}

#[test]
fn what_is_not_genuine_is_refused_and_leaves_nothing() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("C-1", 1000);
    let mut forged = payment.clone();
    let body = String::from_utf8(payment.body.to_vec()).unwrap();
    forged.body = body.replacen("10.00", "99.00", 1).into();
    let mut other = World::new(&Setup::new(&shop.fpm.address(), Path::new("/nowhere.php")));
    let foreign = other.payment("C-1", 1000);
    let mut empty = payment.clone();
    empty.body = bytes::Bytes::new();
    let mut huge = payment.clone();
    huge.body = vec![b'a'; 10 * 1024 * 1024].into();
    for (what, request) in [("forged", forged), ("foreign key", foreign), ("empty", empty), ("huge", huge)] {
        let reply = world.send(&request).unwrap_or_else(|| panic!("{what}: no reply"));
        assert!(reply.status >= 400, "{what}: {}", reply.status);
        assert!(!reply.text().contains("success"), "{what}: {}", reply.text());
    }
    assert_eq!(world.send_to("/", &payment).unwrap().status, 404);
    assert_eq!(world.send_to("/notify/nobody", &payment).unwrap().status, 404);
    assert_eq!(world.send_to("/notify/nobody", &payment).unwrap().body, b"");
    assert!(world.events().is_empty());
    assert!(get(world.admin, "/metrics").unwrap().text().contains("reason=\"signature\"} 2"));
    assert_eq!(world.send(&payment).unwrap().body, b"success", "the gateway still works");
}

#[test]
fn one_url_serves_all_channels() {
    let shop = Shop::new();
    let script = shop.script(GOOD);
    let mut setup = Setup::new(&shop.fpm.address(), &script);
    setup.channel = "paths = [\"/payment/callback\", \"/notify.php\"]\n".into();
    let mut world = World::new(&setup);
    let _gateway = world.start();
    let mut sent = 0;
    for path in ["/notify", "/notify?channel=alipay", "/payment/callback", "/notify.php", "/notify/alipay?a=b"] {
        sent += 1;
        let payment = world.payment(&format!("D-{sent}"), 100);
        assert_eq!(world.send_to(path, &payment).unwrap().body, b"success", "{path}");
    }
    let mut named = world.payment("D-9", 100);
    named.headers.insert("x-pay-channel", http::HeaderValue::from_static("alipay"));
    assert_eq!(world.send_to("/notify", &named).unwrap().body, b"success");
    named.headers.insert("x-pay-channel", http::HeaderValue::from_static("nobody"));
    assert!(world.send_to("/notify", &named).unwrap().status >= 400);
    assert!(
        world.send_to("/notify?channel=nobody", &world.side.callback(&world_story()).request).unwrap().status >= 400
    );
    assert_eq!(world.events().len(), 6);
}

fn world_story() -> tollbell_channels::simulate::Story {
    tollbell_channels::simulate::Story::paid("D-77", 100, support::gateway::now())
}

#[test]
fn a_failing_script_is_tried_until_it_confirms() {
    let shop = Shop::new();
    for (mode, outcome) in
        [("fail", "retry"), ("fatal", "retry"), ("warning", "retry"), ("status", "retry"), ("sleep", "unknown")]
    {
        let mut world = shop.world(MOODY);
        shop.mode(mode);
        let _gateway = world.start();
        let payment = world.payment(&format!("E-{mode}"), 1000);
        assert_eq!(world.send(&payment).unwrap().body, b"success", "{mode}: the platform has its answer at once");
        let id = wait_for("the event", || Some(world.events().first()?["id"].as_str()?.to_owned()));
        wait_for("a failed attempt", || (!attempts(&world, &id).is_empty()).then_some(()));
        shop.mode("good");
        all_delivered(&world, 1);
        let tried = attempts(&world, &id);
        assert_eq!(tried[0].0, outcome, "{mode}: {tried:?}");
        assert_eq!(tried.last().unwrap().0, "delivered", "{mode}: {tried:?}");
        let runs = shop.runs();
        let ids: Vec<&str> = runs
            .iter()
            .filter(|run| run.starts_with(&format!("E-{mode} ")))
            .filter_map(|run| run.split(' ').nth(2))
            .collect();
        assert_eq!(ids.len(), tried.len(), "{mode}");
        assert!(ids.iter().all(|seen| *seen == id), "{mode}: every run has the same event id");
    }
}

#[test]
fn a_byte_order_mark_counts_with_a_note() {
    let shop = Shop::new();
    let mut world = shop.world(MOODY);
    shop.mode("bom");
    let _gateway = world.start();
    let payment = world.payment("F-1", 1000);
    world.send(&payment).unwrap();
    all_delivered(&world, 1);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    let tried = attempts(&world, &id);
    assert_eq!(tried.len(), 1);
    assert!(!tried[0].1.is_empty(), "the note names what stood around the word: {tried:?}");
    assert_eq!(shop.runs().len(), 1);
}

#[test]
fn after_the_last_try_a_delivery_is_dead_until_a_person_replays_it() {
    let shop = Shop::new();
    let mut world = shop.world(MOODY);
    shop.mode("fail");
    let _gateway = world.start();
    let payment = world.payment("G-1", 1000);
    world.send(&payment).unwrap();
    wait_for("the delivery to be dead", || (world.delivery_states() == ["dead"]).then_some(()));
    assert_eq!(shop.runs().len(), 7, "six waits make seven tries");
    let metrics = get(world.admin, "/metrics").unwrap().text();
    assert!(metrics.contains("tollbell_dead_total{target=\"shop\"} 1"), "{metrics}");
    shop.mode("good");
    let replayed = world.json(&["replay", "--dead"]);
    assert_eq!(replayed[0]["replayed"], 1);
    all_delivered(&world, 1);
    let ids: Vec<String> = shop.runs().iter().map(|run| run.split(' ').nth(2).unwrap().to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a replay has the same event id");
}

#[test]
fn what_follows_a_payment_waits_for_it_and_nothing_else_does() {
    let shop = Shop::new();
    let mut world = shop.world(MOODY);
    shop.mode("failorder");
    world.reconfigure(|text| text.replace("[\"200ms\", ", "[\"200ms\", \"3s\", \"200ms\", "));
    let _gateway = world.start();
    let bad = world.payment("BAD-1", 1000);
    world.send(&bad).unwrap();
    wait_for("the bad order to fail", || (!shop.runs().is_empty()).then_some(()));
    let finished = world.story(EventKind::PaymentFinalized, "BAD-1", 1000);
    let finished = world.side.callback(&finished).request;
    assert_eq!(world.send(&finished).unwrap().body, b"success");
    for n in 0..5 {
        let good = world.payment(&format!("GOOD-{n}"), 1000);
        world.send(&good).unwrap();
    }
    wait_for("the good orders", || {
        (shop.runs().iter().filter(|run| run.starts_with("GOOD")).count() == 5).then_some(())
    });
    let states = world.delivery_states();
    assert_eq!(states.iter().filter(|state| *state == "waiting").count(), 1, "{states:?}");
    assert!(!shop.runs().iter().any(|run| run.contains("TRADE_FINISHED")), "it overtook its payment");
    shop.mode("good");
    all_delivered(&world, 7);
    let runs: Vec<String> = shop.runs().into_iter().filter(|run| run.starts_with("BAD")).collect();
    assert!(runs.last().unwrap().contains("TRADE_FINISHED"), "{runs:?}");
}

#[test]
fn a_slow_target_delays_no_other() {
    let shop = Shop::new();
    let script = shop.script(GOOD);
    let slow = shop.fpm.root().join("slow.php");
    fs::write(&slow, "<?php sleep(30);").unwrap();
    let mut setup = Setup::new(&shop.fpm.address(), &script);
    setup.more = format!(
        "[[target]]\nid = \"slow\"\nkind = \"fastcgi\"\naddress = \"{}\"\nscript = \"{}\"\nmax_connections = 1\nattempt_timeout = \"2s\"\nterminate_timeout = \"1s\"\n",
        &shop.fpm.address(),
        slow.display()
    );
    let mut world = World::new(&setup);
    let _gateway = world.start();
    for n in 0..10 {
        let payment = world.payment(&format!("H-{n}"), 1000);
        world.send(&payment).unwrap();
    }
    wait_for("the quick target to be served", || (shop.bodies().len() == 10).then_some(()));
    let states = world.delivery_states();
    assert!(states.iter().filter(|state| *state != "delivered").count() >= 9, "{states:?}");
}

#[test]
fn a_restart_resumes() {
    let mut shop = Shop::new();
    let mut world = shop.world(GOOD);
    shop.fpm.stop();
    let mut gateway = world.start();
    for n in 0..5 {
        let payment = world.payment(&format!("I-{n}"), 1000);
        assert_eq!(world.send(&payment).unwrap().body, b"success");
    }
    gateway.kill_hard();
    shop.fpm.restart();
    let _gateway = world.start();
    all_delivered(&world, 5);
    assert_eq!(shop.bodies().len(), 5);
    assert_eq!(world.events().len(), 5);
}

#[test]
fn sigterm_lets_running_work_end() {
    let shop = Shop::new();
    let mut world = shop.world("<?php touch(__DIR__ . '/began'); sleep(1); touch(__DIR__ . '/ended'); echo 'success';");
    let mut gateway = world.start();
    let payment = world.payment("J-1", 1000);
    let bytes = wire("/notify/alipay", &payment);
    let (head, tail) = bytes.split_at(bytes.len() - 10);
    let mut half = TcpStream::connect(world.address).unwrap();
    half.write_all(head).unwrap();
    let first = world.payment("J-2", 1000);
    world.send(&first).unwrap();
    wait_for("the script to begin", || shop.fpm.root().join("began").exists().then_some(()));
    let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    wait_for("the listener to close", || TcpStream::connect(world.address).is_err().then_some(()));
    half.write_all(tail).unwrap();
    let reply = read_reply(&mut half).expect("a request that had begun is answered");
    assert_eq!(reply.body, b"success");
    let status = wait_for("the gateway to end", || gateway.child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(shop.fpm.root().join("ended").exists());
    let _gateway = world.start();
    all_delivered(&world, 2);
}

#[test]
fn a_second_gateway_on_one_inbox_is_refused() {
    let shop = Shop::new();
    let world = shop.world(GOOD);
    let _gateway = world.start();
    let output = world.cli(&["serve"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("claim the inbox"), "{text}");
}

#[test]
fn a_request_cut_anywhere_leaves_nothing_and_a_whole_one_after_it_is_stored_once() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("K-1", 1000);
    let bytes = wire("/notify/alipay", &payment);
    for cut in (0..bytes.len()).step_by(37).chain([bytes.len() - 1]) {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.write_all(&bytes[..cut]).unwrap();
        drop(stream);
    }
    assert!(world.events().is_empty());
    assert_eq!(exchange(world.address, &bytes).unwrap().body, b"success");
    assert_eq!(world.events().len(), 1);
}

#[test]
fn silent_and_slow_connections_are_closed() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("L-1", 1000);
    let bytes = wire("/notify/alipay", &payment);
    for begun in [0, 20, bytes.len() - 5] {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.write_all(&bytes[..begun]).unwrap();
        let reply = read_reply(&mut stream);
        assert!(reply.is_none_or(|reply| reply.status == 408), "{begun} bytes were answered");
    }
    assert_eq!(exchange(world.address, &bytes).unwrap().body, b"success");
}

#[test]
fn a_hundred_copies_at_once_make_one_event() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("M-1", 1000);
    let bytes = wire("/notify/alipay", &payment);
    std::thread::scope(|scope| {
        let sent: Vec<_> = (0..100).map(|_| scope.spawn(|| exchange(world.address, &bytes).unwrap())).collect();
        for reply in sent {
            assert_eq!(reply.join().unwrap().body, b"success");
        }
    });
    assert_eq!(world.events().len(), 1);
    all_delivered(&world, 1);
    assert_eq!(shop.bodies().len(), 1);
}

#[test]
fn logs_and_metrics_show_no_secret_and_no_buyer() {
    let shop = Shop::new();
    let mut world = shop.world(MOODY);
    shop.mode("fail");
    let _gateway = world.start();
    let payment = world.payment("N-1", 1000);
    world.send(&payment).unwrap();
    let mut forged = payment.clone();
    forged.body = [payment.body.as_ref(), b"&x=y"].concat().into();
    world.send(&forged).unwrap();
    wait_for("the end of the tries", || (world.delivery_states() == ["dead"]).then_some(()));
    let body = String::from_utf8(payment.body.to_vec()).unwrap();
    let told = world.log() + &get(world.admin, "/metrics").unwrap().text();
    assert!(told.contains("refused") && told.contains("given up"));
    for pair in body.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        let is_telling = value.len() >= 12
            && !["notify_type", "app_id"].contains(&name)
            && !name.starts_with("gmt")
            && name != "notify_time";
        assert!(!is_telling || !told.contains(value), "`{name}` is in the log");
    }
}

#[test]
fn one_id_goes_through_the_whole_life() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("O-1", 1000);
    world.send(&payment).unwrap();
    all_delivered(&world, 1);
    let id = world.events()[0]["notification"].as_str().unwrap().to_owned();
    let log = wait_for("the log", || Some(world.log()).filter(|log| log.contains("confirmed")));
    let lines: Vec<&str> = log.lines().filter(|line| line.contains(&id)).collect();
    for word in ["stored", "confirmed"] {
        assert!(lines.iter().any(|line| line.contains(word)), "no `{word}` with {id} in {log}");
    }
    for line in log.lines() {
        let _object: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
    }
}

#[test]
fn health_readiness_and_metrics_answer() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("P-1", 1000);
    world.send(&payment).unwrap();
    all_delivered(&world, 1);
    assert_eq!(get(world.admin, "/healthz").unwrap().status, 200);
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n");
    assert_eq!(get(world.admin, "/").unwrap().status, 404);
    let metrics = get(world.admin, "/metrics").unwrap().text();
    for name in [
        "tollbell_received_total{channel=\"alipay\"} 1",
        "tollbell_stored_total{channel=\"alipay\"} 1",
        "tollbell_ack_seconds_count{channel=\"alipay\"} 1",
        "tollbell_confirmed_seconds_count{target=\"shop\"} 1",
        "tollbell_attempts_total{target=\"shop\",outcome=\"delivered\"} 1",
        "tollbell_oldest_undelivered_seconds{target=\"shop\"} 0",
        "tollbell_last_genuine_timestamp_seconds{channel=\"alipay\"}",
        "tollbell_inbox_writable 1",
    ] {
        assert!(metrics.contains(name), "no `{name}` in\n{metrics}");
    }
}

#[test]
fn commands_read_beside_a_running_gateway() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("Q-1", 1000);
    world.send(&payment).unwrap();
    all_delivered(&world, 1);
    assert_eq!(world.json(&["tail", "--once"])[0]["channel"], "alipay");
    assert_eq!(world.json(&["events", "--order-no", "Q-1"]).len(), 1);
    assert!(world.json(&["events", "--order-no", "nothing"]).is_empty());
    assert_eq!(world.json(&["events", "--state", "delivered"]).len(), 1);
    assert!(world.cli(&["check"]).status.success());
    assert!(String::from_utf8(world.cli(&["channels"]).stdout).unwrap().contains("/notify/alipay"));
    assert!(String::from_utf8(world.cli(&["targets"]).stdout).unwrap().contains("shop"));

    let copy = world.path("copy.db");
    let output = world.cli(&["backup", copy.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.cli(&["backup", copy.to_str().unwrap()]).status.success(), "a backup overwrites nothing");
    for entry in fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name.contains(".db") {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name} may be read by others");
        }
    }
    world.reconfigure(|text| text.replace("[inbox]", "").replace("[log]", "[inbox]\nurl = \"sqlite:copy.db\"\n[log]"));
    assert_eq!(world.json(&["events"]).len(), 1, "the backup holds what was there");
}

#[test]
fn partial_refunds_tell_their_own_amounts_from_the_totals() {
    let shop = Shop::new();
    let mut world = shop.world(GOOD);
    let _gateway = world.start();
    let payment = world.payment("R-1", 1000);
    world.send(&payment).unwrap();
    for (total, number) in [(300, "R1"), (500, "R2"), (300, "R1")] {
        let mut refund = world.story(EventKind::RefundSucceeded, "R-1", 1000);
        refund.refunded_minor = total;
        refund.refund_no = Some(number.into());
        let callback = world.side.callback(&refund).request;
        assert_eq!(world.send(&callback).unwrap().body, b"success");
    }
    all_delivered(&world, 3);
    let told: Vec<(String, String)> = world
        .events()
        .iter()
        .map(|e| {
            (e["type"].as_str().unwrap().to_owned(), e["data"]["amount"]["text"].as_str().unwrap_or("?").to_owned())
        })
        .collect();
    let expected = [("payment.succeeded", "10.00"), ("refund.succeeded", "3.00"), ("refund.succeeded", "2.00")];
    assert_eq!(told, expected.map(|(kind, amount)| (kind.to_owned(), amount.to_owned())));
}
