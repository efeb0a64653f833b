//! Platform keys that must be fetched: the real program, and a real key server on loopback that plays the platform.

mod support {
    pub(crate) mod asks;
    pub(crate) mod gateway;
}

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use serde_json::Value;
use support::asks::{read_ask, written};
use support::gateway::{PATIENCE, free_address, get, now, settled_log, wait_for, wire};
use tempfile::TempDir;
use tollbell_channels::model::{Environment, RawRequest};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Conduct, KeyOffice, Story};

/// How the key server treats its next requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Answers so.
    Answers(Conduct),
    /// Takes the request and says nothing until the mood changes; then it answers honestly.
    Hangs,
    /// Closes the connection.
    Closes,
}

/// A key server: an HTTP server on loopback that answers as the platform's office does.
struct KeyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    office: Box<dyn KeyOffice>,
    mood: Mutex<Mood>,
    changed: Condvar,
    asked: AtomicUsize,
}

impl KeyServer {
    fn start(office: Box<dyn KeyOffice>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mood = Mutex::new(Mood::Answers(Conduct::Honest));
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

    fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.changed.notify_all();
    }

    /// Requests that came so far.
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
            let answer = match *mood {
                Mood::Answers(conduct) => self.office.answer(&ask, now(), conduct),
                _ => return,
            };
            drop(mood);
            if stream.write_all(&written(&answer)).is_err() {
                return;
            }
        }
    }
}

/// A gateway with one channel that must ask the key server, and no target.
struct World {
    folder: TempDir,
    server: KeyServer,
    address: SocketAddr,
    admin: SocketAddr,
    platform: &'static Platform,
    serial: AtomicUsize,
}

impl World {
    fn new(platform: &'static Platform) -> Option<Self> {
        let server = KeyServer::start((platform.simulate)().key_office()?);
        let folder = tempfile::tempdir().unwrap();
        let (address, admin) = (free_address(), free_address());
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\ndrain_timeout = \"5s\"\n[admin]\nlisten = \"{admin}\"\nopen_metrics = true\n\
             [log]\nformat = \"json\"\nlevel = \"debug\"\n\
             [[channel]]\nid = \"pay\"\nkind = \"{}\"\nenvironment = \"sandbox\"\n",
            platform.kind
        );
        for setting in server.shared.office.written_settings(&server.base()) {
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
        Some(Self { folder, server, address, admin, platform, serial: AtomicUsize::new(1) })
    }

    /// Whether the channel asks for keys at its start, although no message needs one yet.
    fn renews(&self) -> bool {
        let written = self.server.shared.office.written_settings(&self.server.base()).into_iter();
        let settings = written.fold(Settings::new(Environment::Sandbox), |all, one| all.with(one.name, one.value));
        let channel = (self.platform.build)(&settings).unwrap();
        channel.key_source().unwrap().renew_at(&[], now()).is_some()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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

    /// A new genuine callback, under a key that must be fetched.
    fn callback(&self) -> RawRequest {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst) as u64;
        let kind = (self.platform.simulate)().stories()[0];
        let story = Story { kind, serial, ..Story::paid(&format!("K-{serial}"), 1000, now()) };
        self.server.shared.office.callback(&story).request
    }

    /// Sends a callback; the status of the reply, or none when the connection ended without one.
    fn try_send(&self, request: &RawRequest) -> Option<u16> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&wire("/notify/pay", request)).ok()?;
        // Some replies have neither a body nor its length; the connection's end is theirs.
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).ok()?;
        String::from_utf8_lossy(&reply).split(' ').nth(1)?.parse().ok()
    }

    fn send(&self, request: &RawRequest) -> u16 {
        self.try_send(request).expect("a reply")
    }

    fn events(&self) -> usize {
        self.cli(&["events", "--limit", "500"]).len()
    }

    fn cli(&self, words: &[&str]) -> Vec<Value> {
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .arg("--json")
            .arg("--config")
            .arg(self.path("tollbell.toml"))
            .args(words)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How `explain` ends, and what it says of a request in a file.
    fn explain(&self, request: &RawRequest) -> (Option<i32>, Value) {
        let file = self.path("callback.http");
        fs::write(&file, wire("/notify/pay", request)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .arg("--json")
            .arg("--config")
            .arg(self.path("tollbell.toml"))
            .arg("explain")
            .arg(file)
            .output()
            .unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
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

impl Gateway {
    fn kill_hard(mut self) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// Every platform that hands out keys.
fn worlds() -> Vec<World> {
    let worlds: Vec<World> = PLATFORMS.iter().filter_map(|platform| World::new(platform)).collect();
    assert!(worlds.len() > 1, "platforms that hand out keys");
    worlds
}

/// Starts with a server that closes connections, so that no renewal at the start brings the keys, and waits until that
/// is over; says how many requests there were.
fn start_without_keys(world: &World) -> (Gateway, usize) {
    world.server.mood(Mood::Closes);
    let gateway = world.start();
    if world.renews() {
        wait_for("the renewal at the start", || {
            (world.metric("tollbell_key_downloads_total", "unreachable") > 0.0).then_some(())
        });
    }
    (gateway, world.server.asked())
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

#[test]
fn an_unknown_key_is_fetched_within_the_callback() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (_gateway, before) = start_without_keys(&world);
        world.server.mood(Mood::Answers(Conduct::Honest));
        let reply = world.send(&world.callback());
        assert!(is_success(reply), "{kind}: {reply:?}\n{}", world.log());
        assert_eq!(world.server.asked(), before + 1, "{kind}");
        assert_eq!(world.events(), 1, "{kind}");
        // From now on it is known.
        assert!(is_success(world.send(&world.callback())), "{kind}");
        assert_eq!((world.server.asked(), world.events()), (before + 1, 2), "{kind}");
        assert!(world.metric("tollbell_platform_key_expires_timestamp_seconds", "pay") > 1e9, "{kind}");
        assert!((world.metric("tollbell_key_downloads_total", "fetched") - 1.0).abs() < 0.1, "{kind}");
        assert_eq!(world.log().lines().filter(|line| line.contains("\"platform keys fetched\"")).count(), 1, "{kind}");
        let listed = world.cli(&["channels"]);
        let keys = listed[0]["keys"].as_array().unwrap();
        assert!(keys.iter().any(|key| key["label"].as_str().unwrap().contains("fetched")), "{kind}: {listed:?}");
    }
}

#[test]
fn fifty_callbacks_with_one_unknown_key_make_one_download() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (_gateway, before) = start_without_keys(&world);
        world.server.mood(Mood::Hangs);
        let callbacks: Vec<RawRequest> = (0..50).map(|_| world.callback()).collect();
        let world = &world;
        thread::scope(|scope| {
            let sent: Vec<_> = callbacks.iter().map(|callback| scope.spawn(move || world.send(callback))).collect();
            wait_for("the one request", || (world.server.asked() > before).then_some(()));
            wait_for("all callbacks to have come", || {
                (world.metric("tollbell_received_total", "pay") >= 50.0).then_some(())
            });
            world.server.mood(Mood::Answers(Conduct::Honest));
            // Whoever came too late for the wait is told to come again, which says nothing about the download.
            let failed: Vec<_> =
                sent.into_iter().map(|sent| sent.join().unwrap()).filter(|status| !is_success(*status)).collect();
            assert!(failed.len() < 50, "{kind}");
        });
        assert_eq!(world.server.asked(), before + 1, "{kind}");
        for callback in &callbacks {
            assert!(is_success(world.send(callback)), "{kind}");
        }
        assert_eq!((world.server.asked(), world.events()), (before + 1, 50), "{kind}");
    }
}

#[test]
fn a_server_that_hangs_costs_this_attempt_and_not_the_next() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (_gateway, before) = start_without_keys(&world);
        world.server.mood(Mood::Hangs);
        let callback = world.callback();
        let reply = world.send(&callback);
        assert!(!is_success(reply), "{kind}: {reply:?}");
        assert_eq!((world.server.asked(), world.events()), (before + 1, 0), "{kind}");
        // The same download goes on, and the platform's repetition finds the key.
        world.server.mood(Mood::Answers(Conduct::Honest));
        wait_for("the download to end", || {
            (world.metric("tollbell_key_downloads_total", "fetched") > 0.0).then_some(())
        });
        world.server.mood(Mood::Closes);
        assert!(is_success(world.send(&callback)), "{kind}");
        assert_eq!((world.server.asked(), world.events()), (before + 1, 1), "{kind}");
    }
}

/// What was refused while the platform could not be asked is verified again once it can be, and only once.
#[test]
fn a_refusal_for_want_of_a_key_fetches_it_when_it_is_verified_again() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (_gateway, _) = start_without_keys(&world);
        assert!(!is_success(world.send(&world.callback())), "{kind}");
        let id = wait_for("the rejection", || {
            let listed = world.cli(&["rejections", "--reason", "unknown_key"]);
            listed.iter().find_map(|one| one["id"].as_str().map(str::to_owned))
        });
        let before = world.server.asked();
        world.server.mood(Mood::Answers(Conduct::Honest));
        let found = world.cli(&["rejections", "reverify", &id]);
        assert_eq!((world.server.asked(), world.events()), (before + 1, 1), "{kind}: {found:?}");
        world.cli(&["rejections", "reverify", &id]);
        assert_eq!((world.server.asked(), world.events()), (before + 1, 1), "{kind}: once");
    }
}

#[test]
fn no_forged_answer_opens_the_door() {
    for world in worlds() {
        let kind = world.platform.kind;
        let callback = world.callback();
        // One gateway for each: how often a channel asks is limited.
        for conduct in Conduct::BAD {
            world.server.mood(Mood::Answers(*conduct));
            let gateway = world.start();
            let reply = world.send(&callback);
            assert!(!is_success(reply), "{kind}: {conduct:?}: {reply:?}");
            assert_eq!(world.events(), 0, "{kind}: {conduct:?}");
            gateway.kill_hard();
        }
        assert!(world.server.asked() >= Conduct::BAD.len(), "{kind}");
        assert!(!world.log().contains("panicked"), "{kind}: {}", world.log());
        // What was answered honestly beside the point was kept, and changes nothing.
        world.server.mood(Mood::Answers(Conduct::Honest));
        let _gateway = world.start();
        assert!(is_success(world.send(&callback)), "{kind}");
        assert_eq!(world.events(), 1, "{kind}");
    }
}

#[test]
fn a_serial_that_the_platform_does_not_know_is_not_asked_for_again() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (_gateway, before) = start_without_keys(&world);
        world.server.mood(Mood::Answers(Conduct::Absent));
        let callback = world.callback();
        for _ in 0..10 {
            assert!(!is_success(world.send(&callback)), "{kind}");
        }
        assert_eq!(world.server.asked(), before + 1, "{kind}");
        // Not even now: minutes have to pass.
        world.server.mood(Mood::Answers(Conduct::Honest));
        assert!(!is_success(world.send(&callback)), "{kind}");
        assert_eq!((world.server.asked(), world.events()), (before + 1, 0), "{kind}");
    }
}

#[test]
fn a_restart_needs_no_new_download() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (gateway, _) = start_without_keys(&world);
        world.server.mood(Mood::Answers(Conduct::Honest));
        assert!(is_success(world.send(&world.callback())), "{kind}");
        let before = world.server.asked();
        gateway.kill_hard();

        world.server.mood(Mood::Closes);
        let gateway = world.start();
        assert!(is_success(world.send(&world.callback())), "{kind}: {}", world.log());
        assert_eq!((world.server.asked(), world.events()), (before, 2), "{kind}");
        gateway.kill_hard();

        // A key that somebody wrote into the file is not believed.
        let stranger = World::new(world.platform).unwrap();
        let key = {
            let _gateway = stranger.start();
            assert!(is_success(stranger.send(&stranger.callback())), "{kind}");
            stranger.path("tollbell.db")
        };
        let sql = rusqlite::Connection::open(world.path("tollbell.db")).unwrap();
        sql.execute("ATTACH ?1 AS stranger", [key.to_str().unwrap()]).unwrap();
        let moved =
            sql.execute("INSERT OR REPLACE INTO main.platform_keys SELECT * FROM stranger.platform_keys", []).unwrap();
        assert!(moved > 0, "{kind}");
        drop(sql);
        let _gateway = world.start();
        let forged = stranger.callback();
        assert!(!is_success(world.send(&forged)), "{kind}");
        assert_eq!(world.events(), 2, "{kind}");
        assert!(world.log().contains("a kept platform key is ignored"), "{kind}");
    }
}

#[test]
fn who_explains_knows_the_kept_keys_and_asks_nobody() {
    for world in worlds() {
        let kind = world.platform.kind;
        let callback = world.callback();
        let (code, told) = world.explain(&callback);
        assert_eq!((code, &told["outcome"]), (Some(0), &"needs_key".into()), "{kind}: {told:#}");
        assert!(
            !told["serial"].as_str().unwrap().is_empty() && !world.path("tollbell.db").exists(),
            "{kind}: {told:#}"
        );
        assert_eq!(world.server.asked(), 0, "{kind}");
        let gateway = world.start();
        assert!(is_success(world.send(&callback)), "{kind}: {}", world.log());
        let asked = world.server.asked();
        let told = world.explain(&world.callback());
        assert_eq!((told.0, &told.1["outcome"]), (Some(0), &"genuine".into()), "{kind}: {told:#?}");
        gateway.kill_hard();
        let (_, told) = world.explain(&callback);
        assert_eq!((&told["outcome"], told["notification"].is_string()), (&"genuine".into(), true), "{kind}: {told:#}");
        assert_eq!(world.server.asked(), asked, "{kind}");
    }
}

#[test]
fn a_node_killed_during_the_download_begins_anew() {
    for world in worlds() {
        let kind = world.platform.kind;
        let (gateway, before) = start_without_keys(&world);
        world.server.mood(Mood::Hangs);
        let callback = world.callback();
        thread::scope(|scope| {
            let sent = scope.spawn(|| world.try_send(&callback));
            wait_for("the request", || (world.server.asked() > before).then_some(()));
            gateway.kill_hard();
            assert!(sent.join().unwrap().is_none_or(|status| !is_success(status)), "{kind}");
        });
        world.server.mood(Mood::Answers(Conduct::Honest));
        let _gateway = world.start();
        assert!(is_success(world.send(&callback)), "{kind}: {}", world.log());
        assert_eq!(world.events(), 1, "{kind}");
    }
}
