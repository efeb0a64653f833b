//! Hints: the real program, real PHP-FPM, and a real server on loopback that plays the platform's interface.

mod support {
    pub(crate) mod asks;
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use http::HeaderValue;
use serde_json::Value;
use support::asks::{read_ask, written};
use support::gateway::{exchange, free_address, get, now, settled_log, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tempfile::TempDir;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{Environment, EventKind, RawRequest};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{ApiConduct, ApiOffice, Story};

/// Notes what it was called with, and confirms.
const SCRIPT: &str = r#"<?php
$line = json_encode(['post' => $_POST, 'origin' => $_SERVER['TOLLBELL_ORIGIN'] ?? '',
    'events' => $_SERVER['TOLLBELL_EVENT_IDS'], 'body' => file_get_contents('php://input')]);
file_put_contents(__DIR__ . '/runs', $line . "\n", FILE_APPEND | LOCK_EX);
"#;

/// How the interface treats its next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Answers so.
    Answers(ApiConduct),
    /// Takes the request and says nothing until the mood changes.
    Hangs,
}

/// The platform's interface: an HTTP server on loopback.
struct Interface {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    office: Box<dyn ApiOffice>,
    mood: Mutex<Mood>,
    changed: Condvar,
    asked: AtomicUsize,
}

impl Interface {
    fn start(office: Box<dyn ApiOffice>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Mutex::new(Mood::Answers(ApiConduct::Honest));
        let shared = Arc::new(Shared { office, mood, changed: Condvar::new(), asked: AtomicUsize::new(0) });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = serving.clone();
                let stream = stream.unwrap();
                thread::spawn(move || shared.serve(stream, address));
            }
        });
        Self { address, shared }
    }

    fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.changed.notify_all();
    }

    fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream, address: SocketAddr) {
        while let Some(ask) = read_ask(&mut stream, address) {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let mut mood = self.mood.lock().unwrap();
            while *mood == Mood::Hangs {
                mood = self.changed.wait(mood).unwrap();
            }
            let Mood::Answers(conduct) = *mood else { return };
            drop(mood);
            if stream.write_all(&written(&self.office.answer(&ask, conduct))).is_err() {
                return;
            }
        }
    }
}

/// A gateway with one channel that gives hints, and a script behind PHP-FPM.
struct World {
    folder: TempDir,
    fpm: PhpFpm,
    server: Interface,
    address: SocketAddr,
    admin: SocketAddr,
    platform: &'static Platform,
}

impl World {
    fn new(platform: &'static Platform) -> Option<Self> {
        let server = Interface::start((platform.simulate)().api_office()?);
        let folder = tempfile::tempdir().unwrap();
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, SCRIPT).unwrap();
        let (address, admin) = (free_address(), free_address());
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
             roles = [\"receive\", \"deliver\", \"operate\"]\n\
             [admin]\nlisten = \"{admin}\"\nopen_metrics = true\n[log]\nformat = \"json\"\nlevel = \"debug\"\n\
             [deliver]\nscan = \"200ms\"\n\
             [[target]]\nid = \"shop\"\nkind = \"fastcgi\"\naddress = \"{}\"\nscript = \"{}\"\naccept_sandbox = true\n\
             [[channel]]\nid = \"pay\"\nkind = \"{}\"\nenvironment = \"sandbox\"\n",
            fpm.address(),
            script.display(),
            platform.kind
        );
        for setting in server.shared.office.written_settings(&format!("http://{}", server.address)) {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"").unwrap(),
                SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}").unwrap(),
                SettingValue::Key(bytes) => {
                    let path = folder.path().join(setting.file_name.unwrap());
                    fs::write(&path, &bytes[..]).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                    writeln!(text, "{name}_file = \"{}\"", path.display()).unwrap();
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        fs::write(folder.path().join("tollbell.toml"), text).unwrap();
        Some(Self { folder, fpm, server, address, admin, platform })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reconfigure(&self, from: &str, to: &str) {
        let path = self.path("tollbell.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    fn log(&self) -> String {
        settled_log(&self.path("log.json"))
    }

    fn start(&self) -> Gateway {
        let log = fs::File::options().create(true).append(true).open(self.path("log.json")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .arg("--config")
            .arg(self.path("tollbell.toml"))
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut gateway = Gateway { child };
        wait_for("the gateway to serve", || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            get(self.admin, "/healthz").filter(|reply| reply.status == 200)
        });
        gateway
    }

    /// The hint of a payment that succeeded.
    fn paid(&self, order_no: &str) -> RawRequest {
        self.server.shared.office.hint(&story(EventKind::PaymentSucceeded, order_no))
    }

    /// A hint like this one, with an invented number.
    fn invented(like: &RawRequest, count: usize) -> RawRequest {
        let own = number(like);
        let digits = format!("{count:0width$}", width = own.len() - 3);
        let body = String::from_utf8(like.body.to_vec()).unwrap().replace(&own, &format!("{}{digits}", &own[..3]));
        RawRequest { body: body.into(), ..like.clone() }
    }

    fn send(&self, hint: &RawRequest) -> u16 {
        exchange(self.address, &wire("/notify/pay", hint)).expect("a reply").status
    }

    fn send_from(&self, source: &str, hint: &RawRequest) -> u16 {
        let mut hint = hint.clone();
        hint.headers.insert("x-forwarded-for", HeaderValue::from_str(source).unwrap());
        self.send(&hint)
    }

    fn cli(&self, words: &[&str]) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .arg("--json")
            .arg("--config")
            .arg(self.path("tollbell.toml"))
            .args(words)
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Kinds of the events, oldest first.
    fn events(&self) -> Vec<String> {
        let mut events = self.cli(&["events", "--limit", "500"]);
        events.reverse();
        events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    fn hint(&self, number: &str) -> Value {
        self.cli(&["hints", number]).pop().unwrap_or(Value::Null)
    }

    fn runs(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A counter of the metrics, summed over its labels that contain `part`.
    fn metric(&self, name: &str, part: &str) -> f64 {
        let text = get(self.admin, "/metrics").unwrap().text();
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(part));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    fn questions(&self, outcome: &str) -> f64 {
        self.metric("tollbell_questions_total", &format!("reason=\"{outcome}\""))
    }

    fn wait_for_events(&self, count: usize) {
        wait_for("the events", || (self.events().len() == count).then_some(()));
    }
}

fn story(kind: EventKind, order_no: &str) -> Story {
    let mut story = Story { kind, ..Story::paid(order_no, 1000, now()) };
    if kind == EventKind::RefundSucceeded {
        story.refunded_minor = 250;
        story.refund_no = Some(format!("R-{order_no}"));
    }
    story
}

/// The number in a hint.
fn number(hint: &RawRequest) -> String {
    let body = String::from_utf8(hint.body.to_vec()).unwrap();
    body.rsplit('=').next().unwrap().to_owned()
}

struct Gateway {
    child: Child,
}

impl Gateway {
    fn kill_hard(mut self) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }

    fn terminate(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = wait_for("the gateway to end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Every platform whose hints anybody can invent.
fn worlds() -> Vec<World> {
    let worlds: Vec<World> =
        PLATFORMS.iter().filter(|platform| is_open(platform)).filter_map(|platform| World::new(platform)).collect();
    assert!(!worlds.is_empty(), "platforms that give hints");
    worlds
}

/// Whether a hint with another number in it is one as well.
fn is_open(platform: &Platform) -> bool {
    let Some(office) = (platform.simulate)().api_office() else { return false };
    let written = office.written_settings("http://127.0.0.1:9").into_iter();
    let settings = written.fold(Settings::new(Environment::Sandbox), |all, one| all.with(one.name, one.value));
    let channel = (platform.build)(&settings).unwrap();
    let invented = World::invented(&office.hint(&story(EventKind::PaymentSucceeded, "H-0")), 7);
    matches!(channel.verify(&invented, now()), Verdict::Hint(hint) if !hint.is_vouched())
}

#[test]
fn what_the_platform_answers_reaches_the_script_as_its_callback() {
    for world in worlds() {
        let kind = world.platform.kind;
        let _gateway = world.start();
        let hint = world.paid("H-1");
        assert_eq!(world.send(&hint), 200, "{kind}");
        wait_for("the script", || (world.runs().len() == 1).then_some(()));
        let run = world.runs().remove(0);
        assert_eq!(run["body"].as_str().unwrap().as_bytes(), &hint.body[..], "{kind}: as the platform sends it");
        assert_eq!(run["origin"].as_str(), Some("hint"), "{kind}");
        assert_eq!(world.events(), ["payment.succeeded"], "{kind}");
        let event = world.cli(&["events"]).remove(0);
        assert_eq!(
            (event["data"]["order_no"].as_str(), event["data"]["amount"]["text"].as_str()),
            (Some("H-1"), Some("10.00"))
        );
        let shown = world.cli(&["show", event["id"].as_str().unwrap()]);
        assert_eq!(shown[0]["proof"]["proof"], "platform_api", "{kind}: {}", shown[0]);
        let number = number(&hint);
        let listed = world.hint(&number);
        assert_eq!((listed["state"].as_str(), listed["outcome"].as_str()), (Some("answered"), Some("told")), "{kind}");
        assert_eq!(listed["notification"], shown[0]["id"], "{kind}");

        // Told again: the same answer, and no second event. A refund is another answer under the same number.
        let before = world.server.asked();
        for _ in 0..20 {
            assert_eq!(world.send(&hint), 200, "{kind}");
        }
        wait_for("one more question", || (world.server.asked() > before).then_some(()));
        let refund = world.server.shared.office.hint(&story(EventKind::RefundSucceeded, "H-1"));
        assert_eq!(refund.body, hint.body, "{kind}");
        assert_eq!(world.send(&refund), 200, "{kind}");
        world.wait_for_events(2);
        assert_eq!(world.events(), ["payment.succeeded", "refund.succeeded"], "{kind}");
        wait_for("the script once more", || (world.runs().len() == 2).then_some(()));
        assert!(world.server.asked() <= before + 3, "{kind}: twenty repetitions asked {} times", world.server.asked());
        assert!(!world.log().contains("panicked"), "{kind}");
    }
}

#[test]
fn a_number_that_does_not_exist_is_answered_like_any_other() {
    for world in worlds() {
        let kind = world.platform.kind;
        let _gateway = world.start();
        let genuine = world.paid("H-2");
        let invented = World::invented(&genuine, 7);
        let replies = [&genuine, &invented].map(|hint| exchange(world.address, &wire("/notify/pay", hint)).unwrap());
        assert_eq!((replies[0].status, &replies[0].body), (replies[1].status, &replies[1].body), "{kind}");
        wait_for("both answers", || {
            (world.questions("told") >= 1.0 && world.questions("unknown") >= 1.0).then_some(())
        });
        assert_eq!(world.hint(&number(&invented))["outcome"], "unknown", "{kind}");
        assert_eq!(world.events(), ["payment.succeeded"], "{kind}");
        // What is no number of the platform is refused.
        let odd = RawRequest { body: "id=../../etc/passwd".into(), ..genuine.clone() };
        assert_eq!(world.send(&odd), 400, "{kind}");
        wait_for("the rejection", || (world.cli(&["rejections"]).len() == 1).then_some(()));
    }
}

#[test]
fn a_wrong_credential_is_an_alarm_and_loses_nothing() {
    for world in worlds() {
        let kind = world.platform.kind;
        world.server.mood(Mood::Answers(ApiConduct::Denied));
        let _gateway = world.start();
        let hint = world.paid("H-3");
        assert_eq!(world.send(&hint), 200, "{kind}");
        wait_for("the refusal", || (world.questions("credential") >= 1.0).then_some(()));
        let listed = world.hint(&number(&hint));
        assert_eq!((listed["state"].as_str(), listed["outcome"].as_str()), (Some("due"), Some("credential")), "{kind}");
        assert!(world.metric("tollbell_open_hints", "pay") > 0.0, "{kind}");
        assert!(world.log().contains("until the credential is mended"), "{kind}");
        assert!(world.server.asked() <= 2, "{kind}: it is not asked again and again");
        world.server.mood(Mood::Answers(ApiConduct::Honest));
        world.wait_for_events(1);
    }
}

#[test]
fn answers_that_are_none_are_asked_for_again() {
    for world in worlds() {
        let kind = world.platform.kind;
        let _gateway = world.start();
        for (index, conduct) in [ApiConduct::Broken, ApiConduct::Throttled, ApiConduct::OtherNumber, ApiConduct::Cut]
            .into_iter()
            .enumerate()
        {
            world.server.mood(Mood::Answers(conduct));
            let before = world.server.asked();
            let hint = world.paid(&format!("H-4-{index}"));
            assert_eq!(world.send(&hint), 200, "{kind}");
            wait_for("the question", || (world.server.asked() > before).then_some(()));
            wait_for("its end", || {
                let listed = world.hint(&number(&hint));
                (listed["state"] == "due" && listed["failures"] != 0).then_some(())
            });
            assert_eq!(world.events().len(), index, "{kind}: {conduct:?}");
            world.server.mood(Mood::Answers(ApiConduct::Honest));
            world.wait_for_events(index + 1);
        }
        assert!(!world.log().contains("panicked"), "{kind}");
    }
}

#[test]
fn a_node_killed_before_it_asks_asks_later_and_makes_one_event() {
    for world in worlds() {
        let kind = world.platform.kind;
        // Nobody asks on this node: it dies between the reply and the question.
        world.reconfigure("\"deliver\", \"operate\"]", "\"deliver\"]");
        let gateway = world.start();
        let hint = world.paid("H-5");
        assert_eq!(world.send(&hint), 200, "{kind}");
        gateway.kill_hard();
        assert_eq!((world.server.asked(), world.events().len()), (0, 0), "{kind}");
        // Killed in the middle of the question.
        world.reconfigure("\"deliver\"]", "\"deliver\", \"operate\"]");
        world.server.mood(Mood::Hangs);
        let gateway = world.start();
        wait_for("the question", || (world.server.asked() > 0).then_some(()));
        gateway.kill_hard();
        world.server.mood(Mood::Answers(ApiConduct::Honest));
        let _gateway = world.start();
        world.wait_for_events(1);
        wait_for("the script", || (world.runs().len() == 1).then_some(()));
        assert_eq!(world.hint(&number(&hint))["state"], "answered", "{kind}");
    }
}

#[test]
fn a_channel_with_open_hints_does_not_go_unnoticed() {
    for world in worlds() {
        let kind = world.platform.kind;
        world.server.mood(Mood::Answers(ApiConduct::Denied));
        let gateway = world.start();
        let hint = world.paid("H-9");
        assert_eq!(world.send(&hint), 200, "{kind}");
        wait_for("the refusal", || (world.questions("credential") >= 1.0).then_some(()));
        // Under another name nobody would ask about what was accepted under this one.
        world.reconfigure("id = \"pay\"", "id = \"renamed\"");
        let told = world.cli(&["reload"]);
        let shown = format!("{told:?}");
        assert!(shown.contains("channel.pay") && shown.contains("refused"), "{kind}: {shown}");
        assert!(world.metric("tollbell_open_hints", "\"pay\"") > 0.0, "{kind}");
        // Who restarts is told.
        gateway.terminate();
        let _gateway = world.start();
        assert!(world.log().contains("accepted hints wait for a channel"), "{kind}: {}", world.log());
        assert!(world.metric("tollbell_open_hints", "\"pay\"") > 0.0, "{kind}: it is still seen");
        // Under the old name it is asked about.
        world.server.mood(Mood::Answers(ApiConduct::Honest));
        world.reconfigure("id = \"renamed\"", "id = \"pay\"");
        world.cli(&["reload"]);
        world.wait_for_events(1);
    }
}

#[test]
fn invented_numbers_keep_no_channel_from_going() {
    for world in worlds() {
        let kind = world.platform.kind;
        let _gateway = world.start();
        let like = world.paid("H-11");
        let first = World::invented(&like, 77);
        assert_eq!(world.send_from("192.0.2.66", &first), 200, "{kind}");
        wait_for("the answer", || (world.hint(&number(&first))["outcome"] == "unknown").then_some(()));
        for index in 100..120 {
            assert_eq!(world.send_from("192.0.2.66", &World::invented(&like, index)), 200, "{kind}");
        }
        assert!(world.metric("tollbell_open_hints", "\"pay\"") >= 15.0, "{kind}");
        world.reconfigure("id = \"pay\"", "id = \"renamed\"");
        let shown = format!("{:?}", world.cli(&["reload"]));
        assert!(!shown.contains("refused"), "{kind}: {shown}");
        let hint = wire("/notify/renamed", &like);
        assert_eq!(exchange(world.address, &hint).expect("a reply").status, 200, "{kind}: {shown}");
        world.wait_for_events(1);
    }
}

#[test]
fn a_hanging_platform_delays_neither_replies_nor_the_end_of_the_node() {
    for world in worlds() {
        let kind = world.platform.kind;
        world.server.mood(Mood::Hangs);
        let gateway = world.start();
        let hint = world.paid("H-6");
        assert_eq!(world.send(&hint), 200, "{kind}");
        wait_for("the question", || (world.server.asked() > 0).then_some(()));
        for index in 0..10 {
            assert_eq!(world.send(&world.paid(&format!("H-6-{index}"))), 200, "{kind}");
        }
        gateway.terminate();
        assert_eq!(world.hint(&number(&hint))["state"], "due", "{kind}: given back");
        world.server.mood(Mood::Answers(ApiConduct::Honest));
        let _gateway = world.start();
        world.wait_for_events(11);
    }
}

#[test]
fn a_changed_credential_is_used_at_once() {
    for world in worlds() {
        let kind = world.platform.kind;
        let key = fs::read_dir(world.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_none() && path.is_file())
            .expect("a key file");
        let right = fs::read(&key).unwrap();
        fs::write(&key, [&right[..], b"0"].concat()).unwrap();
        let _gateway = world.start();
        assert_eq!(world.send(&world.paid("H-7")), 200, "{kind}");
        wait_for("refusals", || (world.questions("credential") >= 1.0).then_some(()));
        fs::write(&key, right).unwrap();
        world.cli(&["reload"]);
        world.wait_for_events(1);
    }
}

#[test]
fn a_flood_of_invented_numbers_costs_neither_table_nor_quota() {
    for world in worlds() {
        let kind = world.platform.kind;
        let _gateway = world.start();
        let genuine = world.paid("H-8");
        assert_eq!(world.send_from("198.51.100.7", &genuine), 200, "{kind}");
        world.wait_for_events(1);
        let before = world.server.asked();
        // From one network, then from many.
        let mut taken = 0;
        for index in 0..1000 {
            taken += usize::from(world.send_from("192.0.2.66", &World::invented(&genuine, 1000 + index)) == 200);
        }
        assert!(taken < 100, "{kind}: one network has {taken} places");
        for index in 0..2000 {
            let source = format!("10.0.{}.1", index % 100);
            taken += usize::from(world.send_from(&source, &World::invented(&genuine, 10_000 + index)) == 200);
        }
        assert!(taken >= 2000, "{kind}: networks that are new have places: {taken}");
        let open = world.metric("tollbell_open_hints", "pay");
        assert!(open <= 2200.0, "{kind}: {open}");
        // Whoever was right before is asked about at once; somebody new soon.
        assert_eq!(world.send_from("198.51.100.9", &world.paid("H-9")), 200, "{kind}");
        world.wait_for_events(2);
        assert_eq!(world.send(&world.paid("H-10")), 200, "{kind}");
        let asked = world.server.asked() - before;
        // The flood took longer than any of these: a question a second at most is about networks that are new.
        assert!(asked < 600, "{kind}: {asked} questions for 3000 invented numbers");
        assert!(world.metric("tollbell_hints_total", "full") >= 900.0, "{kind}");
        assert!(!world.log().contains("panicked"), "{kind}");
    }
}
