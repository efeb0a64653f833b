//! PayPal through the real program: certificates whose address stands in the message, events that are asked about because
//! the signature covers only a checksum, and the tokens that these questions show. A server on loopback plays the platform.

mod support {
    pub(crate) mod asks;
    pub(crate) mod gateway;
}

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use http::HeaderValue;
use serde_json::Value;
use support::asks::{read_ask, written};
use support::gateway::{exchange, free_address, get, now, settled_log, wait_for, wire};
use tempfile::TempDir;
use tollbell_channels::channel::{HttpAnswer, HttpAsk};
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{ApiConduct, ApiOffice, Conduct, Story, WrittenSetting};

const CERT_URL: &str = "paypal-cert-url";
const CERTS: &str = "https://api.sandbox.paypal.com/v1/notifications/certs/";

fn platform() -> &'static Platform {
    platforms::by_kind("paypal").expect("registered")
}

type Answers = dyn Fn(&HttpAsk) -> HttpAnswer + Send + Sync;

/// The platform: an HTTP server on loopback that remembers what it was asked for.
struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Arc<Answers>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let remembered = asked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answers, asked) = (stream.unwrap(), answers.clone(), remembered.clone());
                thread::spawn(move || {
                    while let Some(ask) = read_ask(&mut stream, address) {
                        asked.lock().unwrap().push(ask.url.clone());
                        if stream.write_all(&written(&answers(&ask))).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, asked }
    }

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A gateway with one channel, and no target.
struct World {
    folder: TempDir,
    server: Server,
    address: SocketAddr,
    admin: SocketAddr,
}

impl World {
    fn new(server: Server, settings: Vec<WrittenSetting>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\ndrain_timeout = \"5s\"\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
             roles = [\"receive\", \"deliver\", \"operate\"]\n\
             [admin]\nlisten = \"{admin}\"\nopen_metrics = true\n[log]\nformat = \"json\"\nlevel = \"debug\"\n\
             [[channel]]\nid = \"pay\"\nkind = \"paypal\"\nenvironment = \"sandbox\"\n"
        );
        for setting in settings {
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
        Self { folder, server, address, admin }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Gateway {
        let log = fs::File::options().create(true).append(true).open(self.path("log.json")).unwrap();
        let child = self.command(&["serve"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut gateway = Gateway { child };
        wait_for("the gateway to serve", || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            get(self.admin, "/healthz").filter(|reply| reply.status == 200)
        });
        gateway
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.arg("--json").arg("--config").arg(self.path("tollbell.toml")).args(words);
        command
    }

    fn cli(&self, words: &[&str]) -> Vec<Value> {
        let output = self.command(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn log(&self) -> String {
        settled_log(&self.path("log.json"))
    }

    fn send(&self, request: &RawRequest) -> u16 {
        exchange(self.address, &wire("/notify/pay", request)).expect("a reply").status
    }

    fn send_from(&self, source: &str, request: &RawRequest) -> u16 {
        self.send(&with(request, "x-forwarded-for", source))
    }

    /// Kind and text of the amount of each event, oldest first.
    fn events(&self) -> Vec<String> {
        let mut events = self.cli(&["events", "--limit", "500"]);
        events.reverse();
        let amount = |event: &Value| event["data"]["amount"]["text"].as_str().unwrap_or("-").to_owned();
        events.iter().map(|event| format!("{} {}", event["type"].as_str().unwrap(), amount(event))).collect()
    }

    /// A counter of the metrics, summed over its labels that contain `part`.
    fn metric(&self, name: &str, part: &str) -> f64 {
        let text = get(self.admin, "/metrics").unwrap().text();
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(part));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

struct Gateway {
    child: Child,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn with(request: &RawRequest, name: &'static str, value: &str) -> RawRequest {
    let mut request = request.clone();
    request.headers.insert(name, HeaderValue::from_str(value).unwrap());
    request
}

fn paid(order_no: &str, serial: u64) -> Story {
    Story { serial, kind: EventKind::PaymentSucceeded, ..Story::paid(order_no, 1000, now()) }
}

/// A channel that fetches certificates and believes signatures.
fn fetching() -> (World, impl Fn(&Story) -> RawRequest) {
    let office: Arc<dyn tollbell_channels::simulate::KeyOffice> = (platform().simulate)().key_office().unwrap().into();
    let answering = office.clone();
    let server = Server::start(Arc::new(move |ask: &HttpAsk| answering.answer(ask, now(), Conduct::Honest)));
    let settings = office.written_settings(&server.base());
    (World::new(server, settings), move |story: &Story| office.callback(story).request)
}

/// A channel that asks about events.
fn asking() -> (World, impl Fn(&Story) -> RawRequest) {
    let office: Arc<dyn ApiOffice> = (platform().simulate)().api_office().unwrap().into();
    let answering = office.clone();
    let server = Server::start(Arc::new(move |ask: &HttpAsk| answering.answer(ask, ApiConduct::Honest)));
    let settings = office.written_settings(&server.base());
    (World::new(server, settings), move |story: &Story| office.hint(story))
}

/// CRC-32 as in zlib, a second time.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}

/// The same delivery with a body of an attacker's choice under the same sum: blanks and tabs at its end make up for what
/// he changed.
fn forged(genuine: &RawRequest, change: impl FnOnce(String) -> String) -> RawRequest {
    const PLACES: usize = 64;
    let body = change(String::from_utf8(genuine.body.to_vec()).unwrap());
    assert_ne!(body.as_bytes(), &genuine.body[..]);
    let mut text = format!("{body}{}", " ".repeat(PLACES)).into_bytes();
    let (first, base) = (text.len() - PLACES, crc32(&text));
    let mut rows = Vec::new();
    for place in 0..PLACES {
        text[first + place] = b'\t';
        rows.push((crc32(&text) ^ base, 1_u64 << place));
        text[first + place] = b' ';
    }
    let (mut rest, mut toggled) = (crc32(&genuine.body) ^ base, 0_u64);
    for bit in 0..32 {
        let at = rows.iter().position(|(change, _)| change >> bit & 1 == 1).expect("64 places reach every sum");
        let (change, set) = rows.swap_remove(at);
        for row in rows.iter_mut().filter(|row| row.0 >> bit & 1 == 1) {
            *row = (row.0 ^ change, row.1 ^ set);
        }
        if rest >> bit & 1 == 1 {
            (rest, toggled) = (rest ^ change, toggled ^ set);
        }
    }
    for place in (0..PLACES).filter(|place| toggled >> place & 1 == 1) {
        text[first + place] = b'\t';
    }
    assert_eq!(crc32(&text), crc32(&genuine.body));
    RawRequest { body: text.into(), ..genuine.clone() }
}

#[test]
fn an_address_that_is_not_the_platforms_is_never_asked() {
    let (world, deliver) = fetching();
    let _gateway = world.start();
    let strange = TcpListener::bind("127.0.0.1:0").unwrap();
    strange.set_nonblocking(true).unwrap();
    let other = strange.local_addr().unwrap();
    let genuine = deliver(&paid("K-1", 1));
    for url in [
        format!("http://{other}/v1/notifications/certs/CERT-1"),
        format!("https://{other}/v1/notifications/certs/CERT-1"),
        format!("https://api.sandbox.paypal.com@{other}/v1/notifications/certs/CERT-1"),
        format!("{}/v1/notifications/certs/CERT-1", world.server.base()),
        "https://api.paypal.com/v1/notifications/certs/CERT-1".to_owned(),
        "https://api.sandbox.paypal.com:8443/v1/notifications/certs/CERT-1".to_owned(),
        format!("{CERTS}../../../x"),
        format!("{CERTS}CERT-1?x=y"),
        format!("{CERTS}CERT-1#x"),
    ] {
        assert_eq!(world.send(&with(&genuine, CERT_URL, &url)), 400, "{url}");
    }
    assert_eq!(world.server.asked(), Vec::<String>::new());
    assert!(strange.accept().is_err(), "somebody else was asked");
    assert_eq!(world.events(), Vec::<String>::new());
    // The genuine one is asked for where the configuration says, under its own word.
    assert_eq!(world.send(&genuine), 200, "{}", world.log());
    let [asked] = <[String; 1]>::try_from(world.server.asked()).unwrap();
    assert!(asked.starts_with(&format!("{}/v1/notifications/certs/CERT-", world.server.base())), "{asked}");
    assert_eq!(world.events(), ["payment.succeeded 10.00"]);
}

#[test]
fn invented_certificates_cost_neither_table_nor_quota() {
    let (world, deliver) = fetching();
    let _gateway = world.start();
    let genuine = deliver(&paid("K-2", 1));
    assert_eq!(world.send_from("198.51.100.7", &genuine), 200, "{}", world.log());
    let invented = |count: usize| with(&genuine, CERT_URL, &format!("{CERTS}CERT-{count:08}"));
    // From one network and from many, each under a word that was never used.
    for count in 0..150 {
        assert_eq!(world.send_from("192.0.2.66", &invented(count)), 400);
        assert_eq!(world.send_from(&format!("10.0.{}.1", count % 200), &invented(1000 + count)), 400);
    }
    // A flood of thirty seconds may ask five times; this one took a minute at the very most on a busy machine.
    let asked = world.server.asked().len();
    assert!((2..=16).contains(&asked), "{asked} downloads for 300 invented words");
    let rejections = world.cli(&["rejections", "--limit", "500"]).len();
    assert!(rejections <= 300, "{rejections}");
    assert_eq!(world.events(), ["payment.succeeded 10.00"]);
    // Whoever is known goes on.
    assert_eq!(world.send_from("198.51.100.7", &deliver(&paid("K-3", 2))), 200);
    assert_eq!(world.events().len(), 2);
    assert!(!world.log().contains("panicked"));
    assert!(world.metric("tollbell_key_downloads_total", "held_back") > 100.0);
}

#[test]
fn what_the_platform_says_is_the_event_and_not_what_the_body_says() {
    let (world, deliver) = asking();
    let _gateway = world.start();
    let genuine = deliver(&paid("E-1", 1));
    assert_eq!(world.send(&genuine), 200, "{}", world.log());
    wait_for("the event", || (world.events() == ["payment.succeeded 10.00"]).then_some(()));
    let event = world.cli(&["events"]).remove(0);
    assert_eq!(event["data"]["order_no"].as_str(), Some("E-1"));
    let shown = world.cli(&["show", event["id"].as_str().unwrap()]);
    assert_eq!(shown[0]["proof"]["proof"], "platform_api", "{}", shown[0]);
    // Under a captured signature: another amount of the same event is asked about, and the answer is what it was.
    let dearer = forged(&genuine, |body| body.replace("\"10.00\"", "\"99999.00\"").replace("E-1", "E-9"));
    assert_eq!(world.send(&dearer), 200);
    // An event that does not exist is unknown to the platform.
    let id = event_id(&genuine);
    let invented = forged(&genuine, |body| body.replace(&id, "WH-00000000000000000-00000000000000000"));
    assert_eq!(world.send(&invented), 200);
    wait_for("the answers", || (world.metric("tollbell_questions_total", "reason=\"missing\"") >= 1.0).then_some(()));
    assert_eq!(world.events(), ["payment.succeeded 10.00"]);
    // Without the platform's signature nothing is asked.
    let before = world.server.asked().len();
    let unsigned = RawRequest { body: [&genuine.body[..], b" "].concat().into(), ..genuine.clone() };
    assert_eq!(world.send(&unsigned), 400);
    assert_eq!(world.server.asked().len(), before);
    let listed = world.cli(&["holds"]);
    assert!(listed.is_empty(), "{listed:?}");
}

fn event_id(request: &RawRequest) -> String {
    let event: Value = serde_json::from_slice(&request.body).unwrap();
    event["id"].as_str().unwrap().to_owned()
}

/// The operator said that the signature is enough: another body under a signature that was captured is held.
#[test]
fn a_captured_signature_tells_nothing_more() {
    let (world, deliver) = fetching();
    let _gateway = world.start();
    let genuine = deliver(&paid("N-1", 1));
    assert_eq!(world.send(&genuine), 200, "{}", world.log());
    assert_eq!(world.events(), ["payment.succeeded 10.00"]);
    let id = event_id(&genuine);
    let capture: Value = serde_json::from_slice(&genuine.body).unwrap();
    let capture = capture["resource"]["id"].as_str().unwrap().to_owned();
    let renamed = |body: String| body.replace(&id, "WH-7").replace(&capture, "C0000000000000007").replace("N-1", "N-7");
    // The same amount for another order.
    assert_eq!(world.send(&forged(&genuine, renamed)), 200);
    assert_eq!(world.cli(&["holds"]).len(), 1);
    // Another amount.
    let dearer = forged(&genuine, |body| renamed(body).replace("\"10.00\"", "\"99999.00\""));
    assert_eq!(world.send(&dearer), 200);
    let holds = world.cli(&["holds"]);
    assert_eq!(holds.len(), 2, "{holds:?}");
    // The next genuine payment is as good as ever.
    assert_eq!(world.send(&deliver(&paid("N-2", 2))), 200);
    assert_eq!(world.events().last().map(String::as_str), Some("payment.succeeded 10.00"));
}

/// A request to the API as its server saw it.
#[derive(Clone, Debug)]
struct Call {
    /// `login` or `event`, and the status of the answer.
    what: String,
    /// What it showed.
    shown: String,
}

/// How the API treats logins and questions.
#[derive(Clone, Copy)]
struct Manner {
    conduct: ApiConduct,
    /// How events are answered.
    events: ApiConduct,
    /// How many seconds a token is said to last, in place of what the office says.
    lasts: u32,
}

/// A channel that asks, its office, and what its server saw.
struct Api {
    world: World,
    office: Arc<dyn ApiOffice>,
    manner: Arc<Mutex<Manner>>,
    calls: Arc<Mutex<Vec<Call>>>,
    told: usize,
}

impl Api {
    fn new() -> Self {
        let office: Arc<dyn ApiOffice> = (platform().simulate)().api_office().unwrap().into();
        let manner =
            Arc::new(Mutex::new(Manner { conduct: ApiConduct::Honest, events: ApiConduct::Honest, lasts: 32_400 }));
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (answering, treating, seen) = (office.clone(), manner.clone(), calls.clone());
        let server = Server::start(Arc::new(move |ask: &HttpAsk| {
            let is_login = ask.url.ends_with("/v1/oauth2/token");
            let Manner { conduct, events, lasts } = *treating.lock().unwrap();
            // Held over the answer, so that calls are listed as they were answered.
            let mut seen = seen.lock().unwrap();
            let mut answer = answering.answer(ask, if is_login { conduct } else { events });
            if is_login && conduct == ApiConduct::Honest && answer.status == 200 {
                let mut body: Value = serde_json::from_slice(&answer.body).unwrap();
                body["expires_in"] = lasts.into();
                answer.body = body.to_string().into();
            }
            let what = format!("{} {}", if is_login { "login" } else { "event" }, answer.status);
            let shown = ask.headers["authorization"].to_str().unwrap().to_owned();
            seen.push(Call { what, shown });
            answer
        }));
        let settings = office.written_settings(&server.base());
        Self { world: World::new(server, settings), office, manner, calls, told: 0 }
    }

    fn treat(&self, change: impl FnOnce(&mut Manner)) {
        change(&mut self.manner.lock().unwrap());
    }

    fn deliver(&mut self) -> RawRequest {
        self.told += 1;
        let serial = u64::try_from(self.told).unwrap();
        let delivery = self.office.hint(&paid(&format!("T-{serial}"), serial));
        assert_eq!(self.world.send(&delivery), 200, "{}", self.world.log());
        delivery
    }

    /// Delivers an event and waits until it is told. Gives the calls that it took.
    fn tell(&mut self) -> Vec<Call> {
        let (before, events) = (self.calls().len(), self.world.events().len());
        self.deliver();
        wait_for("the event", || (self.world.events().len() == events + 1).then_some(()));
        self.calls().split_off(before)
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    fn hint(&self, delivery: &RawRequest) -> Value {
        self.world.cli(&["hints", &event_id(delivery)]).pop().unwrap_or(Value::Null)
    }

    /// Every text file and every byte that the program left behind, but for the configuration.
    fn left_behind(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut folders = vec![self.world.folder.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.is_file() && !path.ends_with("tollbell.toml") && !path.ends_with(SECRET_FILE) {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files
    }
}

const SECRET_FILE: &str = "paypal_client_secret";

fn whats(calls: &[Call]) -> Vec<&str> {
    calls.iter().map(|call| call.what.as_str()).collect()
}

#[test]
fn one_login_serves_many_questions_and_leaves_no_trace() {
    let mut api = Api::new();
    let gateway = api.world.start();
    let first = api.tell();
    assert_eq!(whats(&first), ["login 200", "event 200"]);
    assert!(first[0].shown.starts_with("Basic ") && first[1].shown.starts_with("Bearer A21AA"), "{first:?}");
    // The same token as long as it lasts.
    for _ in 0..3 {
        let next = api.tell();
        assert_eq!((whats(&next), &next[0].shown), (vec!["event 200"], &first[1].shown));
    }
    // Ended by the platform: one new login, for the same question.
    api.office.end_logins();
    let renewed = api.tell();
    assert_eq!(whats(&renewed), ["event 401", "login 200", "event 200"]);
    assert_ne!(renewed[2].shown, first[1].shown);
    assert_eq!(whats(&api.tell()), ["event 200"]);
    // It was in memory alone: the next life logs in for itself.
    drop(gateway);
    let _gateway = api.world.start();
    assert_eq!(whats(&api.tell()), ["login 200", "event 200"]);
    // Ended by the clock: a new login before the question, which nobody had to refuse.
    api.treat(|manner| manner.lasts = 2);
    api.office.end_logins();
    assert_eq!(whats(&api.tell()), ["event 401", "login 200", "event 200"]);
    wait_for("a login without a refusal", || {
        let next = api.tell();
        assert!(next.iter().all(|call| call.what.ends_with(" 200")), "{next:?}");
        (whats(&next) == ["login 200", "event 200"]).then_some(())
    });
    let log = api.world.log();
    assert!(log.contains("logged in at the platform") && !log.contains("panicked"));
    assert!(!log.contains("until the credential is mended"), "nobody was called for");
    // What was shown is nowhere: not in the log, not in the inbox, not in anything that is printed.
    let secret = fs::read_to_string(api.world.path(SECRET_FILE)).unwrap();
    let mut secrets: Vec<String> = api.calls().iter().map(|call| call.shown.clone()).collect();
    secrets.sort();
    secrets.dedup();
    assert!(secrets.len() >= 5, "{}", secrets.len());
    let mut words: Vec<&str> = secrets.iter().map(|shown| shown.split_once(' ').unwrap().1).collect();
    words.push(secret.trim());
    let mut texts = api.left_behind();
    assert!(texts.iter().any(|(_, bytes)| bytes.starts_with(b"SQLite format 3")), "the inbox is among them");
    for event in api.world.cli(&["events", "--limit", "500"]) {
        for words in [["show", event["id"].as_str().unwrap()], ["show", event["notification"].as_str().unwrap()]] {
            let output = api.world.command(&words).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            texts.push((words.join(" ").into(), [output.stdout, output.stderr].concat()));
        }
    }
    texts.push(("metrics".into(), get(api.world.admin, "/metrics").unwrap().body));
    texts.push(("hints".into(), api.world.command(&["hints"]).output().unwrap().stdout));
    for (path, bytes) in &texts {
        for word in &words {
            let is_there = bytes.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!is_there, "{} holds a credential", path.display());
        }
    }
}

#[test]
fn a_wrong_secret_is_an_alarm_and_nothing_is_believed() {
    let mut api = Api::new();
    let file = api.world.path(SECRET_FILE);
    let right = fs::read(&file).unwrap();
    fs::write(&file, [&right[..], b"0"].concat()).unwrap();
    let _gateway = api.world.start();
    let delivery = api.deliver();
    wait_for("the refusal", || {
        (api.world.metric("tollbell_questions_total", "reason=\"credential\"") >= 1.0).then_some(())
    });
    let listed = api.hint(&delivery);
    assert_eq!((listed["state"].as_str(), listed["outcome"].as_str()), (Some("due"), Some("credential")));
    assert!(api.world.log().contains("until the credential is mended"));
    // Nothing was asked without a token, and the refusal is not asked for again and again.
    let calls = api.calls();
    assert!(calls.len() <= 2 && calls.iter().all(|call| call.what == "login 401"), "{calls:?}");
    assert!(api.world.events().is_empty());
    // Mended: told at once, and nothing was lost.
    fs::write(&file, right).unwrap();
    api.world.cli(&["reload"]);
    wait_for("the event", || (api.world.events() == ["payment.succeeded 10.00"]).then_some(()));
}

#[test]
fn a_new_token_that_is_refused_is_an_alarm_and_no_loop() {
    let mut api = Api::new();
    let _gateway = api.world.start();
    assert_eq!(whats(&api.tell()), ["login 200", "event 200"]);
    api.treat(|manner| manner.events = ApiConduct::Denied);
    let before = api.calls().len();
    let delivery = api.deliver();
    wait_for("the refusal", || (api.hint(&delivery)["outcome"] == "credential").then_some(()));
    let calls = api.calls().split_off(before);
    assert_eq!(whats(&calls), ["event 401", "login 200", "event 401"]);
    assert!(api.world.log().contains("until the credential is mended"));
    assert_eq!(api.world.events().len(), 1);
    // Nothing refused is kept: the next question begins with a login.
    api.treat(|manner| manner.events = ApiConduct::Honest);
    wait_for("the event", || (api.world.events().len() == 2).then_some(()));
    let calls = api.calls().split_off(before + 3);
    assert_eq!(whats(&calls[calls.len() - 2..]), ["login 200", "event 200"]);
}

#[test]
fn a_login_that_grants_nothing_delays_and_loses_nothing() {
    let mut api = Api::new();
    let _gateway = api.world.start();
    let bad = ApiConduct::BAD.iter().filter(|conduct| **conduct != ApiConduct::Denied);
    let mut deliveries = Vec::new();
    for conduct in bad {
        api.treat(|manner| manner.conduct = *conduct);
        api.office.end_logins();
        let before = api.calls().len();
        deliveries.push(api.deliver());
        // Whichever number it is for: those of earlier rounds may be due again.
        let calls = wait_for("a login", || {
            let calls = api.calls().split_off(before);
            calls.iter().any(|call| call.what.starts_with("login ")).then_some(calls)
        });
        // With the token that had ended at most, and never without one.
        let rest: Vec<&Call> = calls.iter().filter(|call| !call.what.starts_with("login ")).collect();
        assert!(rest.len() <= 1 && rest.iter().all(|call| call.what == "event 401"), "{conduct:?}: {calls:?}");
        api.treat(|manner| manner.conduct = ApiConduct::Honest);
        deliveries.push(api.deliver());
        let next = &deliveries[deliveries.len() - 1];
        wait_for("the next event", || (api.hint(next)["outcome"] == "told").then_some(()));
    }
    for delivery in &deliveries {
        wait_for("every event", || (api.hint(delivery)["outcome"] == "told").then_some(()));
    }
    assert_eq!(api.world.events().len(), deliveries.len());
    for reason in ["malformed", "too_large", "throttled", "status"] {
        let count = api.world.metric("tollbell_questions_total", &format!("reason=\"{reason}\""));
        assert!(count >= 1.0, "{reason}");
    }
    assert!(api.world.cli(&["holds"]).is_empty());
    assert!(!api.world.log().contains("panicked"));
}
