//! The presets whose platforms are asked, as they are shipped: the real program, real PHP-FPM, and a server on loopback
//! that answers what these platforms document.

mod support {
    pub(crate) mod asks;
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA512, digest};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use support::asks::{read_ask, written};
use support::gateway::{Replied, Setup, World, now, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::channel::HttpAnswer;
use tollbell_channels::model::RawRequest;
use tollbell_channels::signature::key::hex;

/// Notes that it was called, and confirms.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_SERVER['TOLLBELL_EVENT_KINDS'] . "\n", FILE_APPEND | LOCK_EX);
"#;

const SECRET: &str = "SB-Mid-server-0123456789";
const TRANSACTION: &str = "57d5293c-e65f-4a29-95e4-5959c3fa335b";

/// What the interface says next about a number; the last one stays.
type Said = Mutex<BTreeMap<String, Vec<HttpAnswer>>>;

/// The platform's interface: an HTTP server on loopback.
struct Interface {
    address: SocketAddr,
    said: Arc<Said>,
    /// When it was asked about what.
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Interface {
    /// Numbers stand in the path behind `before` and before `behind`.
    fn start(before: &'static str, behind: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let interface = Self { address, said: Arc::default(), asked: Arc::default() };
        let (said, asked) = (interface.said.clone(), interface.asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (said, asked, mut stream) = (said.clone(), asked.clone(), stream.unwrap());
                thread::spawn(move || {
                    while let Some(ask) = read_ask(&mut stream, address) {
                        let path = ask.url.split_once(&address.to_string()).unwrap().1;
                        let number = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
                        let number = number.unwrap_or_else(|| panic!("{path}")).to_owned();
                        // The server key is the user, and there is no password.
                        let shown = ask.headers["authorization"].to_str().unwrap().to_owned();
                        asked.lock().unwrap().push((number.clone(), Instant::now()));
                        let answer = if shown == format!("Basic {BASIC}") {
                            let mut said = said.lock().unwrap();
                            match said.get_mut(&number) {
                                Some(answers) if answers.len() > 1 => answers.remove(0),
                                Some(answers) => answers[0].clone(),
                                None => answer(404, &json!({ "status_code": "404" })),
                            }
                        } else {
                            answer(401, &json!({ "status_code": "401" }))
                        };
                        if stream.write_all(&written(&answer)).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        interface
    }

    fn says(&self, number: &str, answers: Vec<HttpAnswer>) {
        self.said.lock().unwrap().insert(number.to_owned(), answers);
    }

    fn asked(&self, number: &str) -> Vec<Instant> {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == number).map(|(_, at)| *at).collect()
    }
}

/// `SB-Mid-server-0123456789:` in base64.
const BASIC: &str = "U0ItTWlkLXNlcnZlci0wMTIzNDU2Nzg5Og==";

fn answer(status: u16, body: &Value) -> HttpAnswer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    HttpAnswer { status, headers, body: body.to_string().into() }
}

fn ok(body: &Value) -> HttpAnswer {
    answer(200, body)
}

struct Case {
    fpm: PhpFpm,
    api: Interface,
    world: World,
}

impl Case {
    fn new(platform: &'static str, api: Interface, server: &str) -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        let mut setup = Setup::new(&fpm.address(), &script);
        setup.platform = platform;
        let world = World::new(&setup);
        fs::write(world.path("server_key"), SECRET).unwrap();
        fs::set_permissions(world.path("server_key"), fs::Permissions::from_mode(0o600)).unwrap();
        // A merchant's own keys, in place of those of the simulated platform.
        let channel = format!(
            "[[channel]]\nid = \"{platform}\"\nkind = \"{platform}\"\naccount = \"G1\"\nsecret_file = \"server_key\"\n\
             api_key_file = \"server_key\"\napi_base = \"http://{}\"\n",
            api.address
        );
        world.reconfigure(|text| {
            let (head, rest) = text.split_once("[[channel]]").unwrap();
            let (_, target) = rest.split_once("[[target]]").unwrap();
            let head = head.replace("[server]\n", &format!("[server]\n{server}"));
            format!("{head}{channel}[[target]]{target}")
        });
        Self { fpm, api, world }
    }

    fn send(&self, headers: &[(&'static str, &str)], body: &Value) -> Replied {
        let mut all = HeaderMap::new();
        all.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            all.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let request = RawRequest {
            method: Method::POST,
            path: "/".to_owned(),
            query: None,
            headers: all,
            body: body.to_string().into(),
            source: None,
            received_at: now(),
        };
        self.world.send(&request).expect("a reply")
    }

    /// What was told of an order: kind and amount, with `held` behind what waits for a person, in order.
    fn told(&self, order: &str) -> Vec<String> {
        let events = self.world.events();
        let own = events.iter().filter(|event| event["data"]["order_no"] == order);
        let mut told: Vec<String> = own
            .map(|event| {
                let text = event["data"]["amount"]["text"].as_str().unwrap_or("-");
                let held = if event["concerns"].as_array().is_some_and(|c| !c.is_empty()) { " held" } else { "" };
                format!("{} {text}{held}", event["type"].as_str().unwrap())
            })
            .collect();
        told.sort();
        told
    }

    fn wait_for_told(&self, order: &str, expected: &[&str]) {
        let mut last = Vec::new();
        let since = Instant::now();
        while since.elapsed() < support::gateway::PATIENCE {
            last = self.told(order);
            if last == expected {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{order}: {last:?} and not {expected:?}");
    }

    fn hint(&self, number: &str) -> Value {
        self.world.json(&["hints", number]).pop().unwrap_or(Value::Null)
    }

    fn wait_for_outcome(&self, number: &str, outcome: &str) {
        wait_for("the question's end", || (self.hint(number)["outcome"] == outcome).then_some(()));
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// A notification as the platform signs it: four values, and the status is none of them.
fn midtrans(order: &str, amount: &str, status: &str) -> Value {
    let signed = digest(&SHA512, format!("{order}200{amount}{SECRET}").as_bytes());
    let signature = hex(signed.as_ref());
    json!({
        "transaction_time": "2026-11-21 10:59:59", "transaction_status": status, "transaction_id": TRANSACTION,
        "status_code": "200", "signature_key": signature, "payment_type": "gopay", "order_id": order,
        "merchant_id": "G1", "gross_amount": amount, "fraud_status": "accept", "currency": "IDR",
    })
}

/// What the status interface says of an order.
fn status(order: &str, amount: &str, status: &str, more: &Value) -> Value {
    let mut said = midtrans(order, amount, status);
    said.as_object_mut().unwrap().remove("fraud_status");
    said["transaction_id"] = json!(format!("{TRANSACTION}-{order}"));
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            said.as_object_mut().unwrap().remove(name);
        } else {
            said[name] = value.clone();
        }
    }
    said
}

fn midtrans_case(server: &str) -> Case {
    Case::new("midtrans", Interface::start("/v2/", "/status"), server)
}

#[test]
fn every_status_of_a_transaction_means_what_its_sheet_says() {
    let case = midtrans_case("");
    let _gateway = case.world.start();
    let none = json!({});
    let table: [(&str, Value, &[&str]); 15] = [
        ("settlement", none.clone(), &["payment.succeeded 10000.00"]),
        ("capture", json!({ "fraud_status": "accept" }), &["payment.succeeded 10000.00"]),
        ("capture", json!({ "fraud_status": "challenge" }), &["payment.pending 10000.00"]),
        ("capture", none.clone(), &["other - held"]),
        ("capture", json!({ "fraud_status": "deny" }), &["other - held"]),
        ("authorize", none.clone(), &["payment.authorized 10000.00"]),
        ("pending", none.clone(), &["payment.pending 10000.00"]),
        ("deny", none.clone(), &["payment.failed 10000.00"]),
        ("failure", none.clone(), &["payment.failed 10000.00"]),
        ("cancel", none.clone(), &["payment.closed 10000.00"]),
        ("expire", none.clone(), &["payment.closed 10000.00"]),
        ("refund", json!({ "refund_amount": "10000.00" }), &["payment.succeeded 10000.00", "refund.succeeded -"]),
        (
            "partial_refund",
            json!({ "refund_amount": "2500.00" }),
            &["payment.succeeded 10000.00", "refund.succeeded -"],
        ),
        ("chargeback", none.clone(), &["dispute.opened -"]),
        ("unheard_of", none, &["other - held"]),
    ];
    for (index, (word, more, _)) in table.iter().enumerate() {
        let order = format!("S-{index}");
        case.api.says(&order, vec![ok(&status(&order, "10000.00", word, more))]);
        // Whatever the notification itself says: its status is not signed.
        assert_eq!(case.send(&[], &midtrans(&order, "10000.00", "settlement")).status, 200);
    }
    for (index, (.., expected)) in table.iter().enumerate() {
        case.wait_for_told(&format!("S-{index}"), expected);
    }
    for event in case.world.events() {
        let shown = case.world.json(&["show", event["id"].as_str().unwrap()]);
        assert_eq!(shown[0]["proof"]["proof"], "platform_api", "{event}");
    }
}

#[test]
fn a_late_status_changes_nothing_and_a_challenge_that_was_accepted_is_paid() {
    let case = midtrans_case("");
    let _gateway = case.world.start();
    let said =
        |order: &str, word: &str, fraud: &str| ok(&status(order, "10000.00", word, &json!({ "fraud_status": fraud })));
    // Settled, and a copy of the interface that lags behind says pending.
    case.api.says("L-1", vec![said("L-1", "settlement", "accept"), said("L-1", "pending", "accept")]);
    case.api.says("L-2", vec![said("L-2", "capture", "challenge"), said("L-2", "capture", "accept")]);
    for order in ["L-1", "L-2"] {
        assert_eq!(case.send(&[], &midtrans(order, "10000.00", "pending")).status, 200);
    }
    case.wait_for_told("L-1", &["payment.succeeded 10000.00"]);
    case.wait_for_told("L-2", &["payment.pending 10000.00"]);
    for order in ["L-1", "L-2"] {
        assert_eq!(case.send(&[], &midtrans(order, "10000.00", "settlement")).status, 200);
    }
    case.wait_for_told("L-1", &["payment.pending 10000.00", "payment.succeeded 10000.00"]);
    case.wait_for_told("L-2", &["payment.pending 10000.00", "payment.succeeded 10000.00"]);
    let late = case
        .world
        .events()
        .into_iter()
        .find(|event| event["type"] == "payment.pending" && event["data"]["order_no"] == "L-1");
    let shown = case.world.json(&["show", late.unwrap()["notification"].as_str().unwrap()]);
    assert_eq!(shown[0]["deliveries"][0]["state"], "skipped", "the application is not told of it");
    wait_for("the script", || (case.runs().len() >= 3).then_some(()));
    assert_eq!(case.runs().len(), 3, "{:?}", case.runs());
}

#[test]
fn answers_that_are_none_are_asked_for_again_and_nothing_else_is_believed() {
    let case = midtrans_case("");
    let _gateway = case.world.start();
    let settled = |order: &str, more: Value| ok(&status(order, "10000.00", "settlement", &more));
    let mut throttled = answer(429, &json!({ "status_code": "429" }));
    throttled.headers.insert("retry-after", HeaderValue::from_static("2"));
    case.api.says("A-429", vec![throttled, settled("A-429", json!({}))]);
    assert_eq!(case.send(&[], &midtrans("A-429", "10000.00", "settlement")).status, 200);
    case.wait_for_outcome("A-429", "throttled");
    // The next question to the platform, whatever it is about, comes after what it asked for.
    case.api.says("A-ok", vec![settled("A-ok", json!({}))]);
    assert_eq!(case.send(&[], &midtrans("A-ok", "10000.00", "settlement")).status, 200);
    case.wait_for_told("A-ok", &["payment.succeeded 10000.00"]);
    let (first, next) = (case.api.asked("A-429")[0], case.api.asked("A-ok")[0]);
    assert!(next.duration_since(first) >= Duration::from_secs(2), "{:?}", next.duration_since(first));
    // No such order; another order's answer; money that is other than the notification said; with and without a
    // signature, which an answer over TLS needs as little as it is worth.
    case.api.says("A-5xx", vec![answer(500, &json!({})), settled("A-5xx", json!({}))]);
    case.api.says("A-other", vec![ok(&status("A-ok", "10000.00", "settlement", &json!({})))]);
    case.api.says("A-money", vec![settled("A-money", json!({ "gross_amount": "9999.00" }))]);
    case.api.says("A-bare", vec![settled("A-bare", json!({ "signature_key": null }))]);
    case.api.says("A-odd", vec![settled("A-odd", json!({ "signature_key": "0".repeat(128) }))]);
    case.api.says("A-foreign", vec![settled("A-foreign", json!({ "merchant_id": "G2" }))]);
    for order in ["A-404", "A-5xx", "A-other", "A-money", "A-bare", "A-odd", "A-foreign"] {
        assert_eq!(case.send(&[], &midtrans(order, "10000.00", "settlement")).status, 200, "{order}");
    }
    case.wait_for_outcome("A-404", "missing");
    case.wait_for_outcome("A-other", "other_number");
    for (order, expected) in [
        ("A-money", "payment.succeeded 9999.00"),
        ("A-bare", "payment.succeeded 10000.00"),
        ("A-odd", "payment.succeeded 10000.00"),
        ("A-foreign", "payment.succeeded 10000.00 held"),
        ("A-5xx", "payment.succeeded 10000.00"),
        ("A-429", "payment.succeeded 10000.00"),
    ] {
        case.wait_for_told(order, &[expected]);
    }
    assert!(case.told("A-404").is_empty() && case.told("A-other").is_empty());
    assert_eq!(case.told("A-ok").len(), 1);
    assert_eq!(case.hint("A-404")["state"], "due", "it may be younger than the platform's copy");
    assert!(!case.world.log().contains("panicked"));
}

#[test]
fn trouble_of_ours_is_answered_503_and_what_is_not_theirs_400() {
    // Behind a proxy, a sender with one request a second.
    let case = midtrans_case("trusted_proxies = [\"127.0.0.1/32\"]\nrate_per_ip = 1\nrate_burst = 1\n");
    let _gateway = case.world.start();
    let mut spoilt = midtrans("T-1", "10000.00", "settlement");
    spoilt["gross_amount"] = json!("1.00");
    assert_eq!(case.send(&[("x-forwarded-for", "203.0.113.1")], &spoilt).status, 400);
    let busy = wait_for("an answer without room", || {
        let sent = case.send(&[("x-forwarded-for", "203.0.113.2")], &midtrans("T-1", "10000.00", "settlement"));
        (sent.status != 200).then_some(sent.status)
    });
    assert_eq!(busy, 503, "the one status after which it is repeated four times");
}

#[test]
fn an_invoice_is_what_the_platform_says_of_it() {
    let case = Case::new("xendit", Interface::start("/v2/invoices/", ""), "");
    let _gateway = case.world.start();
    let invoice = |id: &str, status: &str| json!({ "id": id, "external_id": format!("X-{id}"), "status": status, "amount": 50000, "currency": "IDR" });
    let table: [(&str, &[&str]); 4] = [
        ("PAID", &["payment.succeeded 50000.00"]),
        ("SETTLED", &["payment.finalized 50000.00", "payment.succeeded 50000.00"]),
        ("EXPIRED", &["payment.closed 50000.00"]),
        ("UNHEARD_OF", &["other - held"]),
    ];
    for (index, (status, _)) in table.iter().enumerate() {
        let id = format!("579c8d61f23fa4ca35e52d{index:02}");
        case.api.says(&id, vec![ok(&invoice(&id, status))]);
        // The token says nothing of the body: whoever has seen it can write anything, and nothing of it is believed.
        let body = json!({ "id": id, "external_id": "forged", "status": "PAID", "amount": 1, "paid_amount": 1 });
        assert_eq!(case.send(&[("x-callback-token", SECRET)], &body).status, 200);
        assert_eq!(case.send(&[("x-callback-token", "another token")], &body).status, 400);
        assert_eq!(case.send(&[], &body).status, 400);
    }
    for (index, (_, expected)) in table.iter().enumerate() {
        case.wait_for_told(&format!("X-579c8d61f23fa4ca35e52d{index:02}"), expected);
    }
    assert!(case.told("forged").is_empty());
    // Nothing has happened yet: asked again by itself, and paid by then.
    let id = "579c8d61f23fa4ca35e52da4";
    case.api.says(id, vec![ok(&invoice(id, "PENDING"))]);
    assert_eq!(case.send(&[("x-callback-token", SECRET)], &json!({ "id": id, "status": "PAID" })).status, 200);
    case.wait_for_outcome(id, "nothing");
    assert_eq!((case.told(&format!("X-{id}")).len(), case.hint(id)["state"].as_str()), (0, Some("due")));
}
