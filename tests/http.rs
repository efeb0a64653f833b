//! Webhooks, whole: the real program, genuinely signed callbacks, and an application that really listens.

mod support {
    pub(crate) mod application;
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use support::application::{App, Asked, Does, confirms, says};
use support::gateway::{Setup, World, free_address, now, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::EventKind;

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A world whose targets are these. Files for `secret_file` lie in its folder.
fn world(targets: &str) -> World {
    let world = World::new(&Setup::new("127.0.0.1:9", Path::new("/x.php")));
    for (name, text) in [("one", SECRET.to_owned()), ("both", format!("{OTHER_SECRET}\n{SECRET}\n"))] {
        secret_file(&world, name, &text);
    }
    world.reconfigure(|text| format!("{}{targets}", text.split("[[target]]").next().unwrap()));
    world
}

fn secret_file(world: &World, name: &str, text: &str) {
    let path = world.path(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A target with short times.
fn hook(url: &str, more: &str) -> String {
    format!(
        "[[target]]\nid = \"hook\"\nkind = \"http\"\nurl = \"{url}\"\nattempt_timeout = \"1s\"\n\
         terminate_timeout = \"100ms\"\nconnect_timeout = \"1s\"\n{more}\n"
    )
}

/// Outcome, reason and detail of every attempt of the only event's delivery to a target.
fn attempts(world: &World, target: &str) -> Vec<[String; 3]> {
    let Some(event) = world.events().first().cloned() else { return Vec::new() };
    let shown = world.json(&["show", event["id"].as_str().unwrap()]);
    let deliveries = shown[0]["deliveries"].as_array().unwrap();
    let delivery = deliveries.iter().find(|delivery| delivery["target"] == target).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let attempts = delivery["attempts"].as_array().unwrap();
    attempts.iter().map(|a| [text(&a["outcome"]), text(&a["reason"]), text(&a["detail"])]).collect()
}

/// Waits until an attempt has ended, and gives it.
fn first_attempt(world: &World) -> [String; 3] {
    wait_for("an attempt", || attempts(world, "hook").first().cloned())
}

fn delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

/// Asks the reference library whether a delivery is genuine.
fn verify(asked: &Asked, body: &[u8], secret: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TOLLBELL_PYTHON").map_or_else(|| script.join(".venv/bin/python"), PathBuf::from);
    let question = json!({
        "secret": secret, "body": String::from_utf8(body.to_vec()).unwrap(), "headers": {
            "webhook-id": asked.header("webhook-id"), "webhook-timestamp": asked.header("webhook-timestamp"),
            "webhook-signature": asked.header("webhook-signature"),
        },
    });
    let mut child = Command::new(&python)
        .arg(script.join("tests/oracles/standard_webhooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; run `make setup`", python.display()));
    child.stdin.take().unwrap().write_all(question.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "is `make setup` up to date?");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_event_arrives_as_promised_and_the_reference_library_believes_it() {
    let app = App::new(confirms());
    let mut world =
        world(&hook(&app.url("/pay/{channel}?shop=1"), "secret_file = \"both\"\nheaders = { X-Shop = \"main\" }"));
    secret_file(&world, "headers", "Authorization: Bearer hunter2\nX-Key: hunter3\n");
    world.reconfigure(|text| format!("{text}secret_headers_file = \"headers\"\n"));
    let _gateway = world.start();
    let payment = world.payment("E-1", 1000);
    assert_eq!(world.send(&payment).unwrap().status, 200);
    delivered(&world, 1);
    let asked = app.asked();
    assert_eq!(asked.len(), 1);
    let asked = &asked[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/pay/alipay?shop=1"));

    let event = &world.events()[0];
    let id = event["id"].as_str().unwrap();
    assert_eq!(asked.header("webhook-id"), Some(id));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("host"), Some(app.address.to_string().as_str()));
    assert_eq!(asked.header("x-shop"), Some("main"));
    assert_eq!(asked.header("authorization"), Some("Bearer hunter2"));
    assert_eq!(asked.header("x-key"), Some("hunter3"));
    let seconds: i64 = asked.header("webhook-timestamp").unwrap().parse().unwrap();
    assert!((now().as_second() - seconds).abs() < 300);

    // The text itself: keys and their order are a promise.
    let text = String::from_utf8(asked.body.clone()).unwrap();
    let sent = asked.json();
    let (platform_no, at) = (&sent["data"]["platform_no"], &sent["timestamp"]);
    let begin = format!(
        "{{\"id\":\"{id}\",\"type\":\"payment.succeeded\",\"timestamp\":{at},\"data\":{{\"merchant\":\"default\",\
         \"channel\":\"alipay\",\"environment\":\"live\",\"order_no\":\"E-1\",\"platform_no\":{platform_no},\
         \"amount\":{{\"minor\":1000,\"currency\":\"CNY\",\"text\":\"10.00\"}},\"total\":null,\"paid_at\":{at},\
         \"origin\":\"callback\",\"attempt\":1,\"fields\":{{"
    );
    assert!(text.starts_with(&begin), "{text}\nbegins not like\n{begin}");
    assert!(platform_no.is_string() && at.as_str().unwrap().ends_with('Z'));
    let fields = &sent["data"]["fields"];
    assert_eq!(fields["out_trade_no"], "E-1");
    assert_eq!(fields["total_amount"], "10.00");
    assert_eq!(fields["trade_status"], "TRADE_SUCCESS");
    assert!(sent["data"].get("fields_cut").is_none());

    // A receiver that knows the old secret, and one that knows the new one, and one that knows neither.
    for (secret, expected) in
        [(SECRET, "genuine"), (OTHER_SECRET, "genuine"), ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "refused")]
    {
        assert_eq!(verify(asked, &asked.body, secret), expected, "{secret}");
    }
    let tampered = text.replace("10.00", "10.01").into_bytes();
    assert_eq!(verify(asked, &tampered, SECRET), "refused");

    for secret in ["hunter2", "hunter3", SECRET, OTHER_SECRET, "whsec_"] {
        assert!(!world.log().contains(secret), "the log shows {secret}");
    }
}

#[test]
fn the_original_request_arrives_byte_for_byte() {
    let app = App::new(says("200 OK", "", "success"));
    let mut world = world(&hook(&app.url("/notify.php?own=1"), "format = \"raw\"\nsecret_file = \"one\""));
    let _gateway = world.start();
    let mut payment = world.payment("R 1中%", 1000);
    for (name, value) in [
        ("x-platform", "kept"),
        ("proxy", "http://evil.example"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("tollbell-order-no", "forged"),
        ("webhook-id", "forged"),
        ("webhook-signature", "v1,forged"),
        ("te", "trailers"),
    ] {
        payment.headers.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static(value));
    }
    world.send_to("/notify/alipay?from=anyone", &payment).unwrap();
    delivered(&world, 1);
    let asked = app.asked();
    let asked = &asked[0];
    assert_eq!(asked.body, payment.body);
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/notify.php?own=1"));
    assert_eq!(asked.header("content-type"), payment.single_header("content-type"));
    assert_eq!(asked.header("host"), Some(app.address.to_string().as_str()));
    assert_eq!(asked.header("x-platform"), Some("kept"));
    assert_eq!(asked.header("tollbell-order-no"), Some("R%201%E4%B8%AD%25"));
    assert_eq!(asked.header("tollbell-event-ids"), world.events()[0]["id"].as_str());
    assert_eq!(asked.header("tollbell-amount"), Some("10.00"));
    assert_eq!(asked.header("tollbell-attempt"), Some("1"));
    assert_eq!(asked.header("tollbell-origin"), Some("callback"));
    assert!(asked.header("tollbell-delivery").unwrap().starts_with("dlv_"));
    assert!(asked.header("webhook-id").unwrap().starts_with("ntf_"));
    for name in ["proxy", "cookie", "x-forwarded-for", "te", "connection", "transfer-encoding"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    let mut names: Vec<&String> = asked.headers.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "no header comes twice");
    assert_eq!(verify(asked, &asked.body, SECRET), "genuine");
}

#[test]
fn raw_needs_the_platforms_word_and_events_any_2xx() {
    let app = App::new(says("200 OK", "", "ok, got it"));
    let mut world = world(&hook(&app.url("/"), "format = \"raw\""));
    let _gateway = world.start();
    let payment = world.payment("W-1", 1000);
    world.send(&payment).unwrap();
    let [outcome, reason, detail] = first_attempt(&world);
    assert_eq!((outcome.as_str(), reason.as_str()), ("retry", "wrong_word"));
    assert!(detail.contains("ok, got it"), "{detail}");
    app.does(says("200 OK", "", "success"));
    delivered(&world, 1);
}

#[test]
fn what_is_not_confirmed_comes_again_under_the_same_id() {
    let app = App::new(says("500 Oh No", "", "the shop is on fire"));
    let mut world = world(&hook(&app.url("/"), "secret_file = \"one\""));
    let _gateway = world.start();
    let payment = world.payment("A-1", 1000);
    world.send(&payment).unwrap();
    let [outcome, reason, detail] = first_attempt(&world);
    assert_eq!((outcome.as_str(), reason.as_str()), ("retry", "http_status"));
    assert!(detail.contains("500") && detail.contains("on fire"), "{detail}");
    app.does(confirms());
    delivered(&world, 1);
    let asked = app.asked();
    assert!(asked.len() >= 2);
    for (at, one) in asked.iter().enumerate() {
        assert_eq!(one.header("webhook-id"), asked[0].header("webhook-id"));
        assert_eq!(one.json()["data"]["attempt"], at + 1);
        assert_eq!(one.json()["timestamp"], asked[0].json()["timestamp"]);
        assert_eq!(verify(one, &one.body, SECRET), "genuine");
    }
}

#[test]
fn failures_are_told_apart() {
    let elsewhere = App::new(confirms());
    let redirect = format!("location: {}/secret-path?token=s3cret\r\n", elsewhere.url(""));
    for (what, does, outcome, reason, seen) in [
        ("a redirect", says("302 Found", &redirect, ""), "retry", "redirect", format!("http://{}", elsewhere.address)),
        ("gone", says("410 Gone", "", "bye"), "declined", "gone", "bye".to_owned()),
        ("not found", says("404 Not Found", "", "no such page"), "retry", "http_status", "no such page".to_owned()),
        (
            "cut in the middle",
            Does::Says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsucc".to_vec()),
            "unknown",
            "connection_broken",
            String::new(),
        ),
        ("nothing", Does::Says(Vec::new()), "unknown", "connection_broken", String::new()),
        (
            "no HTTP",
            Does::Says(b"220 mail.example ESMTP\r\n\r\n".to_vec()),
            "unknown",
            "malformed_answer",
            String::new(),
        ),
        ("no answer", Does::Hangs, "unknown", "no_answer_in_time", String::new()),
    ] {
        let app = App::new(does);
        let mut world = world(&hook(&app.url("/"), ""));
        let _gateway = world.start();
        let payment = world.payment("F-1", 1000);
        world.send(&payment).unwrap();
        let found = first_attempt(&world);
        assert_eq!((found[0].as_str(), found[1].as_str()), (outcome, reason), "{what}: {found:?}");
        assert!(found[2].contains(&seen), "{what}: {found:?}");
        assert!(!found[2].contains("s3cret") && !found[2].contains("secret-path"), "{what}: {found:?}");
        if outcome == "declined" {
            wait_for("the delivery to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
        } else {
            app.does(confirms());
            delivered(&world, 1);
        }
    }
    assert!(elsewhere.asked().is_empty(), "a redirect was followed");
}

#[test]
fn nobody_there_is_tried_again_until_dead() {
    let nobody = free_address();
    let mut world = world(&hook(&format!("http://{nobody}/"), ""));
    let _gateway = world.start();
    let payment = world.payment("N-1", 1000);
    world.send(&payment).unwrap();
    let [outcome, reason, detail] = first_attempt(&world);
    assert_eq!((outcome.as_str(), reason.as_str()), ("retry", "cannot_connect"));
    assert!(detail.contains(&nobody.to_string()), "{detail}");
    wait_for("the delivery to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
    assert_eq!(attempts(&world, "hook").len(), 7);
}

#[test]
fn a_huge_answer_confirms_an_event_and_is_not_kept() {
    let app = App::new(Does::NeverStops);
    let mut world = world(&hook(&app.url("/"), ""));
    let _gateway = world.start();
    let payment = world.payment("H-1", 1000);
    world.send(&payment).unwrap();
    delivered(&world, 1);
    assert_eq!(app.asked().len(), 1);
}

#[test]
fn a_wait_that_the_application_asks_for_is_kept_within_our_own_longest() {
    // Our own ladder waits 200 ms, and the longest wait of this line is the one after an unknown result.
    let app = App::new(says("429 Too Many Requests", "retry-after: 3600\r\n", ""));
    let target = hook(&app.url("/"), "").replace("terminate_timeout = \"100ms\"", "terminate_timeout = \"2s\"");
    let mut world = world(&target);
    let _gateway = world.start();
    let payment = world.payment("T-1", 1000);
    world.send(&payment).unwrap();
    first_attempt(&world);
    app.does(confirms());
    delivered(&world, 1);
    let events = world.events();
    let shown = world.json(&["show", events[0]["id"].as_str().unwrap()]);
    let tried = shown[0]["deliveries"][0]["attempts"].as_array().unwrap().clone();
    assert!(tried.len() >= 2, "{tried:?}");
    let at = |attempt: &Value, key: &str| attempt[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    for pair in tried.windows(2) {
        let waited = at(&pair[1], "started_at").duration_since(at(&pair[0], "ended_at"));
        assert!(waited.as_secs() >= 2, "{waited:?}");
    }
}

#[test]
fn a_gateway_that_dies_in_the_middle_comes_back_with_the_same_id() {
    let app = App::new(Does::Hangs);
    let mut world = world(&hook(&app.url("/"), "secret_file = \"one\""));
    let mut gateway = world.start();
    let payment = world.payment("K-1", 1000);
    world.send(&payment).unwrap();
    wait_for("the request", || (!app.asked().is_empty()).then_some(()));
    gateway.kill_hard();
    app.does(confirms());
    let _again = world.start();
    delivered(&world, 1);
    let asked = app.asked();
    assert!(asked.len() >= 2);
    assert!(asked.iter().all(|one| one.header("webhook-id") == asked[0].header("webhook-id")));
    assert_eq!(verify(asked.last().unwrap(), &asked.last().unwrap().body, SECRET), "genuine");
}

#[test]
fn a_script_and_a_webhook_at_once() {
    let fpm = PhpFpm::start(&Options::default());
    let script = fpm.root().join("notify.php");
    fs::write(&script, "<?php file_put_contents(__DIR__ . '/body', file_get_contents('php://input')); echo 'success';")
        .unwrap();
    let app = App::new(confirms());
    let mut targets = hook(&app.url("/"), "secret_file = \"one\"");
    write!(
        targets,
        "[[target]]\nid = \"shop\"\nkind = \"fastcgi\"\naddress = \"{}\"\nscript = \"{}\"\n",
        fpm.address(),
        script.display()
    )
    .unwrap();
    let mut world = world(&targets);
    let _gateway = world.start();
    // A refund notice of this platform proves its payment too: two events, one notification.
    let story = world.story(EventKind::RefundSucceeded, "B-1", 1000);
    let refund = world.side.callback(&tollbell_channels::simulate::Story { refunded_minor: 300, ..story }).request;
    assert_eq!(world.send(&refund).unwrap().status, 200);
    wait_for("all deliveries", || {
        let shown = world.json(&["show", world.events().first()?["notification"].as_str()?]);
        let deliveries = shown[0]["deliveries"].as_array()?.clone();
        (deliveries.len() >= 2 && deliveries.iter().all(|delivery| delivery["state"] == "delivered")).then_some(())
    });
    assert_eq!(fs::read(fpm.root().join("body")).unwrap(), refund.body);
    let mut sent: Vec<String> = app.asked().iter().map(|one| one.json()["id"].as_str().unwrap().to_owned()).collect();
    let mut known: Vec<String> = world.events().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    sent.sort_unstable();
    known.sort_unstable();
    assert_eq!(sent, known, "one delivery for each event");
}

#[test]
fn addresses_that_hand_out_credentials_are_refused_at_start() {
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://100.100.100.200/",
        "http://169.254.1.1/",
        "http://[fe80::1]/",
        "http://0.0.0.0:3000/",
    ] {
        let world = world(&hook(url, ""));
        let checked = world.cli(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(!checked.status.success(), "{url}: {said}");
        assert!(said.contains("target.url"), "{url}: {said}");
    }
}

#[test]
fn check_warns_of_what_is_unsafe_and_says_no_secret() {
    let warned = |target: &str| {
        let world = world(target);
        let checked = world.cli(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(checked.status.success(), "{said}");
        said
    };
    let said = warned(&hook("http://user:hunter2@shop.example.com/?token=hunter2", ""));
    assert!(said.contains("without a signature") && said.contains("plain http"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let said = warned(&hook("http://shop:3000/", "secret_file = \"one\""));
    assert!(!said.contains("without a signature") && !said.contains("plain http"), "{said}");
    let said = warned(&hook("https://shop.example.com/", "format = \"raw\""));
    assert!(!said.contains("without a signature") && !said.contains("plain http"), "{said}");

    let world = world(&hook("http://user:hunter2@shop.example.com/hunter2?token=hunter2", ""));
    for listed in [world.cli(&["targets"]), world.cli(&["targets", "--json"])] {
        let said = String::from_utf8(listed.stdout).unwrap();
        assert!(said.contains("http://shop.example.com/…") && !said.contains("hunter2"), "{said}");
    }

    // A wrong URL or secret is named and not quoted.
    for (target, key) in [
        (hook("http://user:hunter2@shop.example.com:99999/", ""), "target.url"),
        (hook("http://shop/", "secret_file = \"wrong\""), "target.secret_file"),
    ] {
        let world = self::world(&target);
        secret_file(&world, "wrong", "hunter2hunter2hunter2hunter2hunter2");
        let checked = world.cli(&["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
        assert!(!checked.status.success() && said.contains(key), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// PHP's own web server with the example's receiver.
struct PhpShop {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Child,
}

impl PhpShop {
    fn new(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop/webhook.php");
        fs::copy(example, folder.path().join("webhook.php")).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/webhook_secret"), secret).unwrap();
        let address = free_address();
        let child = Command::new("php")
            .args(["-S", &address.to_string(), "-t"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the PHP command line program is installed");
        wait_for("PHP to listen", || TcpStream::connect(address).ok());
        Self { folder, address, child }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("data/events.log")).unwrap_or_default()
    }
}

impl Drop for PhpShop {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn the_example_in_php_believes_the_gateway_and_nobody_else() {
    let shop = PhpShop::new(&format!("{SECRET}\n"));
    // The gateway signs with the old and the new secret; the shop knows the old one yet.
    let mut world = world(&hook(&format!("http://{}/webhook.php", shop.address), "secret_file = \"both\""));
    let _gateway = world.start();
    let payment = world.payment("P-1", 1000);
    world.send(&payment).unwrap();
    delivered(&world, 1);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(shop.log(), format!("ship P-1 10.00\n{id}\n"));
    // A replay brings the same id, and nothing is shipped twice.
    assert!(world.cli(&["replay", &id]).status.success());
    wait_for("the second attempt", || (attempts(&world, "hook").len() == 2).then_some(()));
    delivered(&world, 1);
    assert_eq!(shop.log(), format!("ship P-1 10.00\n{id}\n"));

    // The other way round: the shop knows both, the gateway signs with the old one still.
    let ahead = PhpShop::new(&format!("{OTHER_SECRET}\n{SECRET}\n"));
    let mut behind = self::world(&hook(&format!("http://{}/webhook.php", ahead.address), "secret_file = \"one\""));
    let _behind_gateway = behind.start();
    let payment = behind.payment("P-3", 1000);
    behind.send(&payment).unwrap();
    delivered(&behind, 1);
    assert!(ahead.log().starts_with("ship P-3 10.00\n"));

    let forger = PhpShop::new(&format!("{SECRET}\n"));
    let mut other = self::world(&hook(&format!("http://{}/webhook.php", forger.address), "secret_file = \"other\""));
    secret_file(&other, "other", OTHER_SECRET);
    let _other_gateway = other.start();
    let payment = other.payment("P-2", 1000);
    other.send(&payment).unwrap();
    let [outcome, reason, detail] = first_attempt(&other);
    assert_eq!((outcome.as_str(), reason.as_str()), ("retry", "http_status"));
    assert!(detail.contains("the signature does not match"), "{detail}");
    assert_eq!(forger.log(), "");
}
