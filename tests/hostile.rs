//! Attacks on the whole: hostile peers, hostile text, a failing disk, a meddling operator.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use support::gateway::{Gateway, Setup, World, get, read_reply, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::{EventKind, RawRequest};

/// Notes order, state and event ids of each run, and does what the file `mode` beside it says.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_POST['trade_status'] . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
switch (trim(@file_get_contents(__DIR__ . '/mode'))) {
    case 'fail': exit('fail');
    case 'wait': while (trim(file_get_contents(__DIR__ . '/mode')) === 'wait') { usleep(10000); } echo 'success'; break;
    case 'shout': error_log("\x1b]0;owned\x07\x1b[31m" . $_POST['body']); echo "\x1b[2Jnot now"; break;
    case 'endless': echo 'success'; flush(); while (true) { usleep(10000); }
    default: echo 'success';
}
"#;

struct Shop {
    fpm: PhpFpm,
    script: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        Self { fpm, script }
    }

    fn setup(&self) -> Setup {
        Setup::new(&self.fpm.address(), &self.script)
    }

    fn world(&self) -> World {
        World::new(&self.setup())
    }

    fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode.new"), mode).unwrap();
        fs::rename(self.fpm.root().join("mode.new"), self.fpm.root().join("mode")).unwrap();
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn all_delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

fn is_success(world: &World, request: &RawRequest) -> bool {
    world.send(request).is_some_and(|reply| reply.status == 200 && reply.body == b"success")
}

/// A genuine message of our own making: any bytes in any field.
fn signed(world: &World, pairs: &[(&str, &[u8])]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(&world.side.export()).unwrap();
    let mut sorted: Vec<&(&str, &[u8])> = pairs.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let message =
        sorted.iter().map(|(name, value)| [name.as_bytes(), b"=", value].concat()).collect::<Vec<_>>().join(&b"&"[..]);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
    let signature = base64::engine::general_purpose::STANDARD.encode(signature);
    let mut body = String::new();
    let all = pairs.iter().copied().chain([("sign", signature.as_bytes()), ("sign_type", b"RSA2".as_slice())]);
    for (name, value) in all {
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        for byte in value {
            write!(body, "%{byte:02X}").unwrap();
        }
    }
    body.into_bytes()
}

/// Fields with the bytes that they shall have.
type Changed<'a> = &'a [(&'static str, &'a [u8])];

/// The fields of a paid trade, some of them replaced or added.
fn trade(world: &World, id: &str, changed: Changed<'_>) -> RawRequest {
    let mut pairs: Vec<(&str, Vec<u8>)> = [
        ("app_id", "9021000000000001"),
        ("auth_app_id", "9021000000000001"),
        ("charset", "utf-8"),
        ("version", "1.0"),
        ("notify_type", "trade_status_sync"),
        ("notify_time", "2026-01-01 10:00:00"),
        ("gmt_payment", "2026-01-01 10:00:00"),
        ("trade_no", id),
        ("notify_id", id),
        ("out_trade_no", id),
        ("trade_status", "TRADE_SUCCESS"),
        ("total_amount", "10.00"),
        ("seller_id", "2088000000000001"),
        ("body", "text"),
    ]
    .map(|(name, value)| (name, value.as_bytes().to_vec()))
    .to_vec();
    for (name, value) in changed {
        pairs.retain(|(known, _)| known != name);
        pairs.push((name, value.to_vec()));
    }
    let pairs: Vec<(&str, &[u8])> = pairs.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let mut headers = http::HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/x-www-form-urlencoded"));
    RawRequest {
        method: http::Method::POST,
        path: "/notify/alipay".into(),
        query: None,
        headers,
        body: signed(world, &pairs).into(),
        source: None,
        received_at: support::gateway::now(),
    }
}

/// Another process that holds the write lock of the inbox until it is told to let go.
struct Lock(Child);

impl Lock {
    fn take(world: &World) -> Self {
        let program = "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=20)\n\
                       c.execute('BEGIN EXCLUSIVE')\nprint('held',flush=True)\nsys.stdin.read()\nc.execute('ROLLBACK')\n";
        Self::by(world, program)
    }

    fn by(world: &World, program: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(world.path("tollbell.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut held = [0; 4];
        child.stdout.as_mut().unwrap().read_exact(&mut held).unwrap();
        Self(child)
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

fn metric(world: &World, name: &str) -> u64 {
    let text = get(world.admin, "/metrics").map(|reply| reply.text()).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

// ---- hostile peers ----

#[test]
fn a_peer_that_reads_no_replies_does_not_keep_its_place() {
    let shop = Shop::new();
    let mut world = shop.world();
    world.reconfigure(|text| text.replace("[server]\n", "[server]\nmax_connections = 1\n"));
    let _gateway = world.start();
    let mut deaf = TcpStream::connect(world.address).unwrap();
    deaf.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let many = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    // As much as the other side takes; it stops taking once its replies find no room.
    for _ in 0..2000 {
        if deaf.write_all(&many).is_err() {
            break;
        }
    }
    let payment = world.payment("DEAF-1", 1000);
    assert!(is_success(&world, &payment), "a peer that reads nothing shut everybody else out");
}

#[test]
fn peers_that_read_nothing_do_not_shut_the_admin_listener() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    let many = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(500);
    let mut deaf = Vec::new();
    for _ in 0..40 {
        let mut stream = TcpStream::connect(world.admin).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
        let _as_much_as_goes = (0..20).all(|_| stream.write_all(&many).is_ok());
        deaf.push(stream);
    }
    wait_for("health", || get(world.admin, "/healthz").filter(|reply| reply.status == 200));
}

#[test]
fn a_connection_that_brings_nothing_genuine_is_not_kept() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("KEEP-1", 1000);
    let genuine = String::from_utf8(wire("/notify/alipay", &payment)).unwrap().replace("connection: close\r\n", "");
    let mut forged = genuine.clone();
    forged = forged.replacen("10.00", "99.00", 1);
    for (what, bytes) in [
        ("an unknown path", "GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("another method", "HEAD /notify/alipay HTTP/1.1\r\nhost: x\r\n\r\n"),
        ("no channel", "POST /notify HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"),
        ("a forgery", &forged),
    ] {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut all = Vec::new();
        assert!(stream.read_to_end(&mut all).is_ok(), "{what}: the connection stays open");
        assert!(String::from_utf8_lossy(&all).starts_with("HTTP/1.1 4"), "{what}");
    }
    let mut stream = TcpStream::connect(world.address).unwrap();
    for _ in 0..3 {
        stream.write_all(genuine.as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream).unwrap().body, b"success", "a platform may keep its connection");
    }
}

#[test]
fn odd_http_never_gets_success_for_nothing_and_never_hangs() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("HTTP-1", 1000);
    let body = String::from_utf8(payment.body.to_vec()).unwrap();
    let n = body.len();
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let half = n / 2;
    let chunked =
        format!("{half:x}\r\n{}\r\n{:x};x=y\r\n{}\r\n0\r\nx: y\r\n\r\n", &body[..half], n - half, &body[half..]);
    let post =
        |target: &str, head: &str, body: &str| format!("POST {target} HTTP/1.1\r\nhost: x\r\n{form}{head}\r\n{body}");
    let at = "/notify/alipay";
    let refused = [
        post("//notify/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify/alipay/", &format!("content-length: {n}\r\n"), &body),
        post("/notify/%61lipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify/../notify/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/NOTIFY/alipay", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=alipay%00", &format!("content-length: {n}\r\n"), &body),
        post("/notify?channel=nobody&channel=alipay", &format!("content-length: {n}\r\n"), &body),
        post(at, &format!("content-length: {n}\r\ncontent-length: {half}\r\n"), &body),
        post(at, &format!("content-length: +{n}\r\n"), &body),
        post(at, "content-length: -1\r\n", &body),
        post(at, "content-length: 99999999999999999999\r\n", &body),
        post(at, "transfer-encoding: chunked, identity\r\n", &chunked),
        post(at, "transfer-encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{body}")),
        post(at, "transfer-encoding: chunked\r\n", &format!("-1\r\n{body}")),
        post(at, &format!("content-length: {n}\r\n{}", "x: y\r\n".repeat(100)), &body),
        post(at, &format!("content-length: {n}\r\nx: {}\r\n", "y".repeat(64 * 1024)), &body),
        post(at, &format!("content-length: {n}\r\ncontent-encoding: gzip\r\n"), "no gzip"),
        format!("GET {at}?{body} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("HEAD {at} HTTP/1.1\r\nhost: x\r\n\r\n"),
        format!("CONNECT {at} HTTP/1.1\r\nhost: x\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
    ];
    for request in refused {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let ended = stream.read_to_end(&mut all);
        let all = String::from_utf8_lossy(&all).into_owned();
        let head: String = request.chars().take(120).collect();
        assert!(ended.is_ok() || !all.is_empty(), "no end for {head:?}");
        assert!(!all.contains("success"), "{head:?} got {all:?}");
    }
    assert!(world.events().is_empty());
    let accepted = [
        post(&format!("http://elsewhere.example{at}?x=%00"), &format!("content-length: {n}\r\n"), &body),
        post(at, "transfer-encoding: chunked\r\n", &chunked),
        post(at, &format!("expect: 100-continue\r\ncontent-length: {n}\r\n"), &body),
        post("/notify", &format!("content-length: {n}\r\n"), &body),
        format!("POST {at} HTTP/1.0\r\n{form}content-length: {n}\r\n\r\n{body}"),
    ];
    for request in accepted {
        let mut stream = TcpStream::connect(world.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        // The platform has said all and only listens: that is no hanging up.
        stream.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let _ended = stream.read_to_end(&mut all);
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(all.ends_with("\r\n\r\nsuccess"), "{:?} got {all:?}", &request[..60]);
    }
    assert_eq!(world.events().len(), 1);
}

#[test]
fn a_peer_that_hangs_up_at_once_is_not_counted_as_answered() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    let payment = world.payment("RST-1", 1000);
    let lock = Lock::take(&world);
    let stream = TcpStream::connect(world.address).unwrap();
    (&stream).write_all(&wire("/notify/alipay", &payment)).unwrap();
    // With no time to linger, closing resets the connection: the reply meets nobody.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    wait_for("the request to arrive", || {
        (metric(&world, "tollbell_received_total{channel=\"alipay\"}") >= 1).then_some(())
    });
    drop(stream);
    lock.release();
    wait_for("an answer to a repetition", || is_success(&world, &payment).then_some(()));
    all_delivered(&world, 1);
    assert_eq!(world.events().len(), 1);
    drop(gateway);
    let id = world.events()[0]["notification"].as_str().unwrap().to_owned();
    assert_eq!(world.json(&["show", &id])[0]["repeated_after_ack"], 0);
}

#[test]
fn few_file_descriptors_cost_patience_and_nothing_else() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start_with(&["sh", "-c", "ulimit -n 48; exec \"$0\" \"$@\""]);
    let before = world.payment("FD-0", 1000);
    assert!(is_success(&world, &before));
    let crowd: Vec<TcpStream> = (0..80).filter_map(|_| TcpStream::connect(world.address).ok()).collect();
    // Some are kept for the node itself, so that it goes on with a full house.
    wait_for("the places to be taken", || (metric(&world, "tollbell_connections ") >= 24).then_some(()));
    drop(crowd);
    let payment = world.payment("FD-1", 1000);
    wait_for("an answer", || is_success(&world, &payment).then_some(()));
    all_delivered(&world, 2);
    assert_eq!(world.events().len(), 2);
}

// ---- hostile text ----

#[test]
fn hostile_text_reaches_no_terminal_and_forges_no_line() {
    let shop = Shop::new();
    shop.mode("shout");
    let mut setup = shop.setup();
    setup.channel.clear();
    let world = World::new(&setup);
    world.reconfigure(|text| text.replace("format = \"json\"", "format = \"pretty\""));
    let gateway = world.start();
    let evil = "A\u{1b}[31m\r\n2026-01-01 forged line{detail}%n<b>';DROP TABLE events;--\u{9b}31m\u{202e}\0Z";
    let payment = trade(&world, "TEXT-1", &[("out_trade_no", evil.as_bytes()), ("body", evil.as_bytes())]);
    assert!(is_success(&world, &payment));
    let strange = trade(&world, "TEXT-2", &[("notify_type", evil.as_bytes()), ("trade_status", evil.as_bytes())]);
    assert!(is_success(&world, &strange));
    let mut forged = payment.clone();
    forged.body = [&payment.body[..], b"&%1b%5b31m%0a=%1b"].concat().into();
    forged.headers.insert("x-pay-channel", http::HeaderValue::from_bytes(b"\xff\xfe\t{x}").unwrap());
    assert!(!is_success(&world, &forged));
    world.send_to("/notify?channel=%1b[31m", &forged).unwrap();
    world.send_to("/notify", &forged).unwrap();
    wait_for("an attempt", || (!shop.runs().is_empty()).then_some(()));
    let ids: Vec<String> = world.events().iter().map(|e| e["notification"].as_str().unwrap().to_owned()).collect();
    wait_for("a recorded attempt", || {
        let shown = world.json(&["show", &ids[0]]);
        let attempts = shown[0]["deliveries"][0]["attempts"].as_array()?.clone();
        attempts.first().filter(|a| a["stderr"].as_str().is_some_and(|text| text.contains("owned"))).map(|_| ())
    });
    drop(gateway);
    let is_bad =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    for args in [&["events"][..], &["tail", "--once"], &["show", &ids[0]], &["show", &ids[1]]] {
        let text = String::from_utf8(world.cli(args).stdout).unwrap();
        assert!(!text.contains(is_bad), "{args:?} prints control characters: {text:?}");
        assert!(
            !text.lines().any(|line| line.starts_with("2026-01-01 forged")),
            "{args:?} prints a forged line: {text}"
        );
        assert!(!text.is_empty());
    }
    let log = world.log();
    assert!(!log.contains(is_bad), "the log has control characters: {log:?}");
    assert!(!log.contains("forged line"), "a verified text is in the log");
}

#[test]
fn any_bytes_in_any_field_are_stored_once_and_answered() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    let long = vec![b'9'; 64 * 1024];
    let gbk: &[u8] = b"\xd6\xa7\xb8\xb6";
    let cases: &[(&str, Changed<'_>)] = &[
        ("long order", &[("out_trade_no", &long)]),
        ("long trade", &[("trade_no", &long)]),
        ("long id", &[("notify_id", &long)]),
        ("long status", &[("trade_status", &long)]),
        ("huge amount", &[("total_amount", &long)]),
        ("most amount", &[("total_amount", b"92233720368547758.07")]),
        ("more amount", &[("total_amount", b"92233720368547758.08")]),
        ("negative", &[("total_amount", b"-92233720368547758.08")]),
        ("exponent", &[("total_amount", b"1e309")]),
        ("nan", &[("total_amount", b"NaN")]),
        ("refund of all", &[("refund_fee", b"92233720368547758.07"), ("gmt_refund", b"2026-01-01 10:00:00.1")]),
        ("negative refund", &[("refund_fee", b"-92233720368547758.07"), ("out_biz_no", b"R")]),
        ("far past", &[("notify_time", b"0000-00-00 00:00:00")]),
        ("far future", &[("notify_time", b"9999-12-31 23:59:59")]),
        ("NUL order", &[("out_trade_no", b"a\0b")]),
        ("broken UTF-8", &[("body", b"\xff\xfe\xc0\x80")]),
        ("GBK", &[("charset", b"gbk"), ("subject", gbk), ("out_trade_no", gbk)]),
        ("unknown charset", &[("charset", b"utf-7")]),
        ("unknown type", &[("notify_type", b"{channel}")]),
        ("empty order", &[("out_trade_no", b"")]),
    ];
    for (at, (what, changed)) in cases.iter().enumerate() {
        let request = trade(&world, &format!("ANY-{at}"), changed);
        let reply = world.send(&request).unwrap_or_else(|| panic!("{what}: no reply"));
        assert_eq!(reply.body, b"success", "{what}: genuine, and answered {}", reply.status);
        let again = world.send(&request).unwrap();
        assert_eq!(again.body, b"success", "{what}");
    }
    assert_eq!(metric(&world, "tollbell_stored_total{channel=\"alipay\"}"), u64::try_from(cases.len()).unwrap());
    for event in world.events() {
        let shown = world.json(&["show", event["id"].as_str().unwrap()]);
        assert!(!shown.is_empty());
    }
}

// ---- money ----

#[test]
fn one_fact_under_many_numbers_at_once_is_one_event() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payments: Vec<RawRequest> = (0..40).map(|_| world.payment("RACE-1", 1000)).collect();
    let mut refunds = Vec::new();
    for round in 0..5 {
        for (total, number) in [(300, Some("R1")), (500, Some("R2")), (1000, None)] {
            let mut story = world.story(EventKind::RefundSucceeded, "RACE-1", 1000);
            story.refunded_minor = total;
            story.refund_no = number.filter(|_| round % 2 == 0 || total == 300).map(str::to_owned);
            refunds.push(world.side.callback(&story).request);
        }
    }
    std::thread::scope(|scope| {
        for request in payments.iter().chain(refunds.iter().rev()).chain(&payments) {
            let world = &world;
            scope.spawn(move || assert!(is_success(world, request)));
        }
    });
    let events = world.events();
    let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!(count("payment.succeeded"), 1);
    assert!((1..=3).contains(&count("refund.succeeded")), "{events:#?}");
    assert!(events.iter().all(|event| event["concerns"].as_array().unwrap().is_empty()), "{events:#?}");
    let told: i64 = events
        .iter()
        .filter(|event| event["type"] == "refund.succeeded")
        .filter_map(|event| event["data"]["amount"]["minor"].as_i64())
        .sum();
    assert!(told <= 1000, "more was refunded than paid: {told}");
    wait_for("all deliveries", || {
        world.delivery_states().iter().all(|state| state == "delivered" || state == "held").then_some(())
    });
}

#[test]
fn the_life_of_a_trade_in_every_order_makes_the_same_facts() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let orders: &[[usize; 4]] = &[[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1], [1, 3, 0, 2]];
    for (at, order) in orders.iter().enumerate() {
        let number = format!("LIFE-{at}");
        let mut messages = Vec::new();
        for (kind, refunded) in [
            (EventKind::PaymentPending, 0),
            (EventKind::PaymentSucceeded, 0),
            (EventKind::RefundSucceeded, 400),
            (EventKind::PaymentFinalized, 0),
        ] {
            let mut story = world.story(kind, &number, 1000);
            story.refunded_minor = refunded;
            messages.push(world.side.callback(&story).request);
        }
        for message in order {
            assert!(is_success(&world, &messages[*message]));
        }
        let mut kinds: Vec<String> = world
            .json(&["events", "--order-no", &number])
            .iter()
            .map(|event| {
                assert!(event["concerns"].as_array().unwrap().is_empty(), "{order:?}: {event}");
                event["type"].as_str().unwrap().to_owned()
            })
            .collect();
        kinds.sort();
        assert_eq!(
            kinds,
            ["payment.finalized", "payment.pending", "payment.succeeded", "refund.succeeded"],
            "{order:?}"
        );
    }
}

// ---- a failing disk ----

#[test]
fn an_amount_that_contradicts_is_held_and_reaches_no_script() {
    let shop = Shop::new();
    let world = shop.world();
    let _gateway = world.start();
    assert!(is_success(&world, &trade(&world, "CONFLICT-1", &[])));
    all_delivered(&world, 1);
    let other = trade(&world, "CONFLICT-1", &[("notify_id", b"other"), ("total_amount", b"0.01")]);
    assert!(is_success(&world, &other));
    assert!(is_success(&world, &other));
    assert_eq!(world.delivery_states(), ["delivered", "held"]);
    assert_eq!(shop.runs().len(), 1);
}

fn traced(world: &World, inject: &str) -> Gateway {
    let trace = format!("trace={}", inject.split(':').next().unwrap());
    let inject = format!("inject={inject}");
    world.start_with(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
}

/// strace lets go of what it traces when it is killed, so the traced process goes first.
fn kill_traced(world: &World, mut traced: Gateway) {
    let folder = world.folder.path().display().to_string();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let command = fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        if command.contains(&folder) && command.contains("serve") && !command.starts_with("strace") {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    wait_for("strace to end", || traced.has_ended().then_some(()));
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

// ---- a meddling operator ----

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

#[test]
fn deliveries_of_a_renamed_channel_can_still_be_confirmed() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let mut gateway = world.start();
    let payment = world.payment("NAME-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    assert!(gateway.terminate().success());
    shop.mode("good");
    world.reconfigure(|text| text.replace("id = \"alipay\"", "id = \"alipay-new\""));
    let _gateway = world.start();
    wait_for("an end", || {
        world.delivery_states().iter().all(|state| state == "delivered" || state == "dead").then_some(())
    });
    assert_eq!(
        world.delivery_states(),
        ["delivered"],
        "the script said success and was not believed: {:?}",
        shop.runs()
    );
}

#[test]
fn what_is_open_for_a_removed_target_is_kept_and_told() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let mut gateway = world.start();
    let payment = world.payment("TARGET-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    assert!(gateway.terminate().success());
    shop.mode("good");
    let other = shop.fpm.root().join("other.php");
    fs::write(&other, SCRIPT).unwrap();
    let old = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    world.reconfigure(|text| text.replace("id = \"shop\"", "id = \"other\"").replace("notify.php", "other.php"));
    let gateway = world.start();
    assert!(metric(&world, "tollbell_open_deliveries{target=\"shop\"}") >= 1, "nobody is told of the backlog");
    assert_eq!(world.delivery_states(), ["pending"]);
    drop(gateway);
    // The same target with another script: what is open goes there.
    world.reconfigure(|_| old.replace("notify.php", "other.php"));
    let _gateway = world.start();
    all_delivered(&world, 1);
}

#[test]
fn a_clock_that_was_set_back_does_not_put_off_a_retry_for_as_long() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut world = shop.world();
    let clock = world.path("clock");
    fs::write(&clock, "+0").unwrap();
    let library =
        ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"]
            .into_iter()
            .find(|path| fs::exists(path).unwrap())
            .unwrap();
    let gateway = world.start_with(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        &format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()),
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]);
    let payment = world.payment("CLOCK-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("a run", || (!shop.runs().is_empty()).then_some(()));
    fs::write(&clock, "-3600").unwrap();
    shop.mode("good");
    let second = world.payment("CLOCK-2", 1000);
    assert!(is_success(&world, &second));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(6) && !world.delivery_states().iter().all(|state| state == "delivered")
    {
        std::thread::yield_now();
    }
    drop(gateway);
    assert_eq!(world.delivery_states(), ["delivered", "delivered"]);
}

/// A lower total that comes late proves that the difference was that of two refunds: what is kept says so.
#[test]
fn a_refund_that_came_before_an_earlier_one_is_not_told_with_the_amount_of_both() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("LATE-1", 1000);
    assert!(is_success(&world, &payment));
    for (total, number) in [(500, "R2"), (300, "R1")] {
        let mut refund = world.story(EventKind::RefundSucceeded, "LATE-1", 1000);
        refund.refunded_minor = total;
        refund.refund_no = Some(number.into());
        let callback = world.side.callback(&refund).request;
        assert!(is_success(&world, &callback));
    }
    let events = world.events();
    let second = events.iter().find(|event| event["data"]["total"]["minor"] == 500).unwrap();
    let told = &second["data"]["amount"]["minor"];
    assert!(told.is_null() || *told == 200, "2.00 were refunded under R2, and it is told as {told}");
}

/// How many deliveries a replay made due.
fn replayed(world: &World, id: &str) -> i64 {
    let output = world.cli(&["--json", "replay", id]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    value["replayed"].as_i64().unwrap()
}

#[test]
fn replays_at_once_and_beside_a_lease_run_the_script_once_each() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    let payment = world.payment("REPLAY-1", 1000);
    assert!(is_success(&world, &payment));
    all_delivered(&world, 1);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    shop.mode("wait");
    let count: i64 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| replayed(&world, &id))).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(count, 1);
    wait_for("the second run", || (shop.runs().len() == 2).then_some(()));
    assert_eq!(replayed(&world, &id), 0, "a delivery under a lease is left alone");
    shop.mode("good");
    all_delivered(&world, 1);
    assert_eq!(shop.runs().len(), 2);
    assert!(shop.runs().iter().all(|run| run.ends_with(&id)));
}

#[test]
fn tiny_retention_removes_nothing_that_is_open() {
    let shop = Shop::new();
    shop.mode("fail");
    let mut setup = shop.setup();
    setup.more = "[retention]\nbodies = \"50ms\"\nidentities = \"3s\"\nevery = \"20ms\"\nslice = 1\n".into();
    let mut world = World::new(&setup);
    world.reconfigure(|text| text.replace("ladder = [", "ladder = [\"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", "));
    let _gateway = world.start();
    let payment = world.payment("KEPT-1", 1000);
    assert!(is_success(&world, &payment));
    wait_for("some tries", || (shop.runs().len() >= 4).then_some(()));
    assert_eq!(world.events().len(), 1);
    shop.mode("good");
    wait_for("the end of it all", || world.events().is_empty().then_some(()));
    let runs = shop.runs();
    let ids: std::collections::HashSet<&str> = runs.iter().filter_map(|run| run.split(' ').nth(2)).collect();
    assert_eq!(ids.len(), 1, "{runs:?}");
}
