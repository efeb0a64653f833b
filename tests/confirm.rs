//! Channels that ask more than their protocol needs: the real program, real PHP-FPM, and a server on loopback that plays
//! the platform's interface, for a platform that signs everything.

mod support {
    pub(crate) mod asks;
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use support::asks::{read_ask, written};
use support::gateway::{Gateway, Setup, World, get, kill_traced, wait_for};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::channel::HttpAnswer;
use tollbell_channels::model::{EventKind, RawRequest};

/// Notes what it was called with, and confirms.
const SCRIPT: &str = r#"<?php
$line = json_encode(['events' => $_SERVER['TOLLBELL_EVENT_IDS'], 'origin' => $_SERVER['TOLLBELL_ORIGIN'] ?? '',
    'signature' => $_SERVER['HTTP_STRIPE_SIGNATURE'] ?? '', 'body' => file_get_contents('php://input')]);
file_put_contents(__DIR__ . '/runs', $line . "\n", FILE_APPEND | LOCK_EX);
"#;

const PLATFORM: &str = "stripe";
const API_KEY: &str = "sk_live_0123456789abcdef";
/// More calls of one kind than a life of one callback makes.
const SWEEP_MAX: usize = 400;

/// What the interface says of its objects.
#[derive(Default)]
struct Objects {
    /// By id.
    known: BTreeMap<String, Value>,
    /// The ids that were asked about.
    asked: Vec<String>,
    is_away: bool,
}

/// The platform's interface: an HTTP server on loopback.
struct Interface {
    address: SocketAddr,
    objects: Arc<Mutex<Objects>>,
}

impl Interface {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let objects: Arc<Mutex<Objects>> = Arc::default();
        let serving = objects.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let objects = serving.clone();
                let stream = stream.unwrap();
                thread::spawn(move || serve(stream, address, &objects));
            }
        });
        Self { address, objects }
    }

    fn knows(&self, object: &Value) {
        let id = object["id"].as_str().unwrap().to_owned();
        self.objects.lock().unwrap().known.insert(id, object.clone());
    }

    fn is_away(&self, is_away: bool) {
        self.objects.lock().unwrap().is_away = is_away;
    }

    fn asked(&self) -> Vec<String> {
        self.objects.lock().unwrap().asked.clone()
    }
}

fn serve(mut stream: TcpStream, address: SocketAddr, objects: &Mutex<Objects>) {
    while let Some(ask) = read_ask(&mut stream, address) {
        let mut objects = objects.lock().unwrap();
        let id = ask.url.rsplit('/').next().unwrap().to_owned();
        objects.asked.push(id.clone());
        let is_shown = ask.headers.get("authorization").is_some_and(|value| *value == *format!("Bearer {API_KEY}"));
        let (status, body) = match objects.known.get(&id) {
            _ if objects.is_away => (500, json!({})),
            _ if !is_shown => (401, json!({ "error": {} })),
            None => (404, json!({ "error": {} })),
            Some(object) => (200, object.clone()),
        };
        drop(objects);
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if stream.write_all(&written(&HttpAnswer { status, headers, body: body.to_string().into() })).is_err() {
            return;
        }
    }
}

/// A gateway with one channel that asks, and a script behind PHP-FPM.
struct Case {
    fpm: PhpFpm,
    script: PathBuf,
    api: Interface,
}

impl Case {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        Self { fpm, script, api: Interface::start() }
    }

    fn world(&self, channel: &str) -> World {
        let _fresh = fs::remove_file(self.fpm.root().join("runs"));
        let mut setup = Setup::new(&self.fpm.address(), &self.script);
        setup.platform = PLATFORM;
        setup.channel = format!("api_key_file = \"api_key\"\napi_base = \"http://{}\"\n{channel}\n", self.api.address);
        let world = World::new(&setup);
        fs::write(world.path("api_key"), API_KEY).unwrap();
        fs::set_permissions(world.path("api_key"), fs::Permissions::from_mode(0o600)).unwrap();
        world
    }

    fn runs(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The object that an event tells.
fn object(event: &RawRequest) -> Value {
    let event: Value = serde_json::from_slice(&event.body).unwrap();
    event["data"]["object"].clone()
}

fn id(event: &RawRequest) -> String {
    object(event)["id"].as_str().unwrap().to_owned()
}

/// The same event with a signature that is nobody's.
fn forged(event: &RawRequest) -> RawRequest {
    let mut forged = event.clone();
    let value = forged.headers["stripe-signature"].to_str().unwrap().to_owned();
    let (time, _) = value.split_once(",v1=").unwrap();
    let value = HeaderValue::from_str(&format!("{time},v1={}", "0".repeat(64))).unwrap();
    forged.headers.insert("stripe-signature", value);
    forged
}

fn metric(world: &World, name: &str, part: &str) -> f64 {
    let text = get(world.admin, "/metrics").unwrap().text();
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(part));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn hint(world: &World, number: &str) -> Value {
    world.json(&["hints", number]).pop().unwrap_or(Value::Null)
}

fn wait_for_question(world: &World, number: &str, outcome: &str) {
    wait_for("the question's end", || (hint(world, number)["outcome"] == outcome).then_some(()));
}

#[test]
fn a_proven_message_is_told_when_the_platform_says_the_same() {
    let case = Case::new();
    let mut world = case.world("proven = \"ask\"");
    let _gateway = world.start();
    let payment = world.payment("C-1", 1000);
    case.api.knows(&object(&payment));
    assert_eq!(world.send(&payment).unwrap().status, 200);
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    // It is the platform's own request that the script gets, with its signature.
    let runs = case.runs();
    assert_eq!((runs.len(), runs[0]["origin"].as_str()), (1, Some("callback")));
    assert_eq!(runs[0]["body"].as_str().unwrap().as_bytes(), &payment.body[..]);
    assert_eq!(runs[0]["signature"].as_str(), payment.headers["stripe-signature"].to_str().ok());
    let events = world.events();
    assert_eq!((events.len(), events[0]["type"].as_str()), (1, Some("payment.succeeded")));
    assert_eq!(world.json(&["holds"]).len(), 0);
    // Repeated, and told by another event of the same payment: nothing more.
    let asked = case.api.asked().len();
    assert_eq!((asked, world.send(&payment).unwrap().status), (1, 200));
    let again = world.payment("C-1", 1000);
    case.api.knows(&object(&again));
    assert_eq!(world.send(&again).unwrap().status, 200);
    // A refund is confirmed by itself.
    let refund = world.story(EventKind::RefundSucceeded, "C-1", 1000);
    let refund = world.side.callback(&tollbell_channels::simulate::Story { refunded_minor: 300, ..refund }).request;
    case.api.knows(&object(&refund));
    assert_eq!(world.send(&refund).unwrap().status, 200);
    wait_for("the refund's delivery", || {
        case.runs().iter().find(|run| run["body"].as_str().unwrap().as_bytes() == &refund.body[..]).map(drop)
    });
    wait_for("no hold", || world.json(&["holds"]).is_empty().then_some(()));
    let kinds: Vec<Value> = world.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        kinds.iter().filter(|kind| *kind == "payment.succeeded").count(),
        if id(&again) == id(&payment) { 1 } else { 2 }
    );
    assert!(kinds.contains(&json!("refund.succeeded")), "{kinds:?}");
    // What says nothing about money is told as ever.
    let before = (case.api.asked().len(), world.events().len());
    let other = world.story(EventKind::Other, "C-2", 1);
    let other = world.side.callback(&other).request;
    assert_eq!(world.send(&other).unwrap().status, 200);
    wait_for("its event", || (world.events().len() == before.1 + 1).then_some(()));
    assert_eq!((world.json(&["holds"]).len(), case.api.asked().len()), (0, before.0));
    assert!(!world.log().contains("a person must look"), "nobody was called for");
}

#[test]
fn what_the_platform_does_not_confirm_waits_for_a_person() {
    let case = Case::new();
    let mut world = case.world("proven = \"ask\"");
    let _gateway = world.start();
    // Whoever has the secret can sign anything; the platform knows no such payment, or another amount, or no money yet.
    let invented = world.payment("C-10", 1000);
    let dearer = world.payment("C-11", 1000);
    let mut object_of_dearer = object(&dearer);
    for field in ["amount", "amount_received", "amount_captured"] {
        if object_of_dearer.get(field).is_some() {
            object_of_dearer[field] = json!(1);
        }
    }
    case.api.knows(&object_of_dearer);
    for (event, outcome) in [(&invented, "missing"), (&dearer, "told")] {
        assert_eq!(world.send(event).unwrap().status, 200);
        wait_for_question(&world, &id(event), outcome);
    }
    let holds = world.json(&["holds"]);
    assert_eq!(holds.len(), 3, "the two, and the contradiction: {holds:?}");
    let text = String::from_utf8(world.cli(&["holds"]).stdout).unwrap();
    assert!(text.contains("has not confirmed it") && text.contains(&id(&invented)), "{text}");
    assert!(case.runs().is_empty());
    // A person decides.
    let event = world.events().into_iter().find(|event| event["data"]["order_no"] == "C-10").unwrap();
    let released = world.cli(&["holds", "release", event["id"].as_str().unwrap()]);
    assert!(released.status.success(), "{}", String::from_utf8_lossy(&released.stderr));
    wait_for("the script", || (case.runs().len() == 1).then_some(()));
}

#[test]
fn a_message_about_a_real_payment_that_names_another_order_is_not_told() {
    let case = Case::new();
    let mut world = case.world("proven = \"ask\"");
    let _gateway = world.start();
    // The thief paid for C-15 himself, and signs with the stolen secret that it was the victim's order.
    let forged = world.payment("C-16", 1000);
    let mut paid = object(&forged);
    let metadata = paid["metadata"].as_object_mut().unwrap();
    for value in metadata.values_mut().filter(|value| **value == "C-16") {
        *value = json!("C-15");
    }
    case.api.knows(&paid);
    assert_eq!(world.send(&forged).unwrap().status, 200);
    wait_for_question(&world, &id(&forged), "told");
    // What the platform told is an event of its own, and has no request of the platform.
    wait_for("its end", || world.delivery_states().contains(&"dead".to_owned()).then_some(()));
    let orders: Vec<(Value, Value)> =
        world.events().iter().map(|event| (event["data"]["order_no"].clone(), event["held"].clone())).collect();
    assert_eq!(orders.len(), 2, "{orders:?}");
    assert_eq!(world.json(&["holds"]).len(), 1);
    assert!(case.runs().is_empty(), "nothing was told of C-16");
    assert!(String::from_utf8(world.cli(&["holds"]).stdout).unwrap().contains("C-16"));
}

#[test]
fn an_interface_that_is_away_delays_and_loses_nothing() {
    let case = Case::new();
    let mut world = case.world("proven = \"ask\"");
    let gateway = world.start();
    case.api.is_away(true);
    let payment = world.payment("C-20", 1000);
    case.api.knows(&object(&payment));
    assert_eq!(world.send(&payment).unwrap().status, 200);
    wait_for_question(&world, &id(&payment), "status");
    assert!(case.runs().is_empty());
    // Neither does an end of the node.
    let mut gateway = gateway;
    gateway.kill_hard();
    case.api.is_away(false);
    let _gateway = world.start();
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    assert_eq!((case.runs().len(), world.events().len()), (1, 1));
}

#[test]
fn what_does_not_prove_itself_is_refused_and_asked_about_only_where_it_is_said() {
    let case = Case::new();
    for (channel, asks) in [("", false), ("unproven = \"ask\"", true)] {
        let mut world = case.world(channel);
        let _gateway = world.start();
        let real = world.payment("C-30", 1000);
        case.api.knows(&object(&real));
        let asked = case.api.asked().len();
        let refused = world.send(&forged(&real)).unwrap();
        let plain = world.send(&forged(
            &world.side.callback(&tollbell_channels::simulate::Story::paid("C-31", 1, support::gateway::now())).request,
        ));
        assert_eq!((refused.status, plain.unwrap().status), (400, 400), "a forger learns nothing");
        wait_for("the rejection", || (!world.json(&["rejections"]).is_empty()).then_some(()));
        if !asks {
            assert_eq!((case.api.asked().len(), world.json(&["hints"]).len()), (asked, 0));
            continue;
        }
        wait_for("the event", || (world.events().len() == 1).then_some(()));
        let shown = world.json(&["show", world.events()[0]["id"].as_str().unwrap()]);
        assert_eq!(shown[0]["proof"]["proof"], "platform_api", "{}", shown[0]);
        assert_eq!(hint(&world, &id(&real))["ground"], "doubtful");
        assert!(metric(&world, "tollbell_genuine_total", "") < 1.0, "nothing that came in was proven");
        // The platform's repetition, signed as it should be, is the same fact.
        assert_eq!(world.send(&real).unwrap().status, 200);
        assert_eq!(world.events().len(), 1);
    }
}

/// Killed before each write, flush and reply, and each send to the platform: between the message and the question, between
/// the question and the answer, between the answer and the release.
#[test]
fn killed_at_any_step_nothing_is_lost_and_nothing_doubled() {
    let case = Case::new();
    let mut kills = 0;
    for calls in ["fdatasync", "sendto", "connect"] {
        for k in 1..SWEEP_MAX {
            if !killed_before(&case, calls, k) {
                break;
            }
            assert!(k + 1 < SWEEP_MAX, "`{calls}` is still reached");
            kills += 1;
        }
    }
    assert!(kills >= 4, "only {kills} kills");
}

/// One life that ends before the k-th call, and the life after it. False when the call never came.
fn killed_before(case: &Case, calls: &str, k: usize) -> bool {
    let mut world = case.world("proven = \"ask\"");
    let payment = world.payment("C-40", 1000);
    case.api.knows(&object(&payment));
    let (inject, trace) = (format!("inject={calls}:signal=KILL:when={k}"), format!("trace={calls}"));
    let words = ["strace", "-f", "-qq", "-E", "TOKIO_WORKER_THREADS=1", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let mut traced = world.spawn(&words);
    let mut is_acked = false;
    wait_for("the confirmation, or the end", || {
        is_acked = is_acked || world.send(&payment).is_some_and(|reply| reply.status == 200);
        let is_confirmed = || fs::read_to_string(world.path("log.json")).is_ok_and(|log| log.contains("attempt ended"));
        (traced.has_ended() || (is_acked && is_confirmed())).then_some(())
    });
    let was_killed = traced.has_ended();
    if !was_killed {
        kill_traced(&world, traced);
    }
    let _gateway: Gateway = world.start();
    if is_acked {
        assert_eq!(world.events().len(), 1, "{calls} {k}: answered success and lost");
    } else {
        wait_for("the repetition's answer", || world.send(&payment).filter(|reply| reply.status == 200));
    }
    wait_for("the delivery to be confirmed", || (world.delivery_states() == ["delivered"]).then_some(()));
    let (events, runs) = (world.events(), case.runs());
    assert_eq!(events.len(), 1, "{calls} {k}");
    assert!(!runs.is_empty() && runs.len() <= 2, "{calls} {k}: the script ran {} times", runs.len());
    assert!(runs.iter().all(|run| run["events"] == events[0]["id"]), "{calls} {k}: {runs:?}");
    assert!(world.json(&["holds"]).is_empty(), "{calls} {k}");
    was_killed
}
