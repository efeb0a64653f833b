//! The real program on a folder of its own, and the platform's other side that sends to it.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tollbell_channels::model::{EventKind, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

/// How long a state may take to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The operator's token for the admin listener of every world.
pub(crate) const TOKEN: &str = "test-token-test-token-test-token-1";

/// A log when it has stopped growing: a thread of its own writes the lines, and lets them gather for a moment.
pub(crate) fn settled_log(path: &Path) -> String {
    let read = || fs::read_to_string(path).unwrap_or_default();
    let mut log = read();
    for _ in 0..LOG_READS_MAX {
        std::thread::sleep(LOG_PAUSE);
        let now = read();
        if now == log {
            break;
        }
        log = now;
    }
    log
}

/// Longer than lines of the log gather.
const LOG_PAUSE: Duration = Duration::from_millis(30);
/// Then a log is taken as it is: something writes to it all the time.
const LOG_READS_MAX: usize = 30;

/// Looks until `look` gives something, or fails with what was waited for.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A configured gateway, running or not, and a platform with fresh keys.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) side: Box<dyn OtherSide>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The channel's path.
    pub(crate) path_of_channel: String,
    serial: u64,
}

/// What differs from world to world.
pub(crate) struct Setup {
    /// The FastCGI address.
    pub(crate) fpm: String,
    /// The script.
    pub(crate) script: String,
    /// Lines added to the target.
    pub(crate) target: String,
    /// Lines added to the channel.
    pub(crate) channel: String,
    /// Tables added at the end.
    pub(crate) more: String,
    /// The kind of the platform, which is also the channel's id.
    pub(crate) platform: &'static str,
}

impl Setup {
    pub(crate) fn new(fpm: &str, script: &Path) -> Self {
        Self {
            fpm: fpm.to_owned(),
            script: script.display().to_string(),
            // No more connections than the pool has workers: one that waits in PHP-FPM's queue for a kept one to
            // end would run beside its own repetition on a busy machine.
            target: "attempt_timeout = \"2s\"\nterminate_timeout = \"1s\"\nmax_connections = 3\n".to_owned(),
            channel: String::new(),
            more: String::new(),
            platform: "alipay",
        }
    }
}

/// An address that nobody listens on. The port lies below those that the system gives to outgoing
/// connections, so that none of them takes it before the gateway does.
pub(crate) fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        // Test programs run side by side: each begins elsewhere.
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id().wrapping_mul(131).wrapping_add(tried * 7)) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let side = (by_kind(setup.platform).unwrap().simulate)();
        let (address, admin) = (free_address(), free_address());
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\ndrain_timeout = \"5s\"\nfirst_byte_timeout = \"2s\"\nheader_timeout = \"2s\"\nbody_timeout = \"2s\"\n\
             [admin]\nlisten = \"{admin}\"\nopen_metrics = true\n\
             [[admin.token]]\nname = \"test\"\nrole = \"operator\"\ntoken_file = \"admin_token\"\n[log]\nformat = \"json\"\nlevel = \"debug\"\n\
             [deliver]\nscan = \"200ms\"\nlease_margin = \"1s\"\nladder = [\"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\"]\n\
             [[channel]]\nid = \"{0}\"\nkind = \"{0}\"\n{1}",
            setup.platform, setup.channel
        );
        let token = folder.path().join("admin_token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        for setting in side.written_settings() {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"").unwrap(),
                SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}").unwrap(),
                SettingValue::Flag(value) => writeln!(text, "{name} = {value}").unwrap(),
                SettingValue::Key(bytes) => {
                    let path = folder.path().join(setting.file_name.unwrap());
                    fs::write(&path, &bytes[..]).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                    writeln!(text, "{name}_file = \"{}\"", path.display()).unwrap();
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        write!(
            text,
            "[[target]]\nid = \"shop\"\nkind = \"fastcgi\"\naddress = \"{}\"\nscript = \"{}\"\n{}{}",
            setup.fpm, setup.script, setup.target, setup.more
        )
        .unwrap();
        fs::write(folder.path().join("tollbell.toml"), text).unwrap();
        let path_of_channel = format!("/notify/{}", setup.platform);
        Self { folder, side, address, admin, path_of_channel, serial: 0 }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration's text.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(String) -> String) {
        let path = self.path("tollbell.toml");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(text)).unwrap();
    }

    pub(crate) fn start(&self) -> Gateway {
        self.start_with(&[])
    }

    /// Starts the gateway under a wrapper such as strace.
    pub(crate) fn start_with(&self, wrapper: &[&str]) -> Gateway {
        let gateway = self.spawn(wrapper);
        let mut gateway = gateway;
        wait_for("the gateway to serve", || {
            if let Some(status) = gateway.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", self.log());
            }
            get(self.admin, "/healthz").filter(|reply| reply.status == 200)
        });
        gateway
    }

    /// Starts the gateway and does not wait for it.
    pub(crate) fn spawn(&self, wrapper: &[&str]) -> Gateway {
        let log = fs::File::options().create(true).append(true).open(self.path("log.json")).unwrap();
        let mut words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
        words.push(env!("CARGO_BIN_EXE_tollbell").to_owned());
        words.extend(["--config".to_owned(), self.path("tollbell.toml").display().to_string(), "serve".to_owned()]);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", words[0]));
        Gateway { child }
    }

    pub(crate) fn log(&self) -> String {
        settled_log(&self.path("log.json"))
    }

    /// Runs a subcommand.
    pub(crate) fn cli(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .args(["--lang", "en", "--config"])
            .arg(self.path("tollbell.toml"))
            .args(args)
            .output()
            .unwrap()
    }

    /// Runs a subcommand that prints JSON lines.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.cli(&all);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The events, oldest first.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = self.json(&["events", "--limit", "500"]);
        events.reverse();
        events
    }

    /// The states of all deliveries, oldest first.
    pub(crate) fn delivery_states(&self) -> Vec<String> {
        let mut states = Vec::new();
        let mut seen = Vec::new();
        for event in self.events() {
            let notification = event["notification"].as_str().unwrap().to_owned();
            if seen.contains(&notification) {
                continue;
            }
            let shown = self.json(&["show", &notification]);
            let deliveries = shown[0]["deliveries"].as_array().unwrap();
            states.extend(deliveries.iter().map(|d| d["state"].as_str().unwrap().to_owned()));
            seen.push(notification);
        }
        states
    }

    /// A story of an order with a fresh serial.
    pub(crate) fn story(&mut self, kind: EventKind, order_no: &str, amount_minor: i64) -> Story {
        self.serial += 1;
        let mut story = Story::paid(order_no, amount_minor, now());
        story.kind = kind;
        story.serial = self.serial;
        story
    }

    pub(crate) fn payment(&mut self, order_no: &str, amount_minor: i64) -> RawRequest {
        let story = self.story(EventKind::PaymentSucceeded, order_no, amount_minor);
        self.side.callback(&story).request
    }

    pub(crate) fn send(&self, request: &RawRequest) -> Option<Replied> {
        self.send_to(&self.path_of_channel, request)
    }

    pub(crate) fn send_to(&self, path: &str, request: &RawRequest) -> Option<Replied> {
        exchange(self.address, &wire(path, request))
    }
}

#[expect(clippy::disallowed_methods, reason = "tests run at the real time unless they say otherwise")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// A callback as bytes on a new connection.
pub(crate) fn wire(path: &str, request: &RawRequest) -> Vec<u8> {
    // A path that has a query says all of it.
    let query = request.query.as_ref().filter(|_| !path.contains('?'));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut bytes =
        format!("{} {path}{query} HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\n", request.method)
            .into_bytes();
    for (name, value) in &request.headers {
        if name != "host" && name != "content-length" && name != "connection" {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", request.body.len()).as_bytes());
    bytes.extend_from_slice(&request.body);
    bytes
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replied {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Replied {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends bytes on a new connection and reads the reply; `None` when none came.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> Option<Replied> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The other side may already have answered and closed, as it does for a body that is too large.
    let _cut = stream.write_all(bytes);
    read_reply(&mut stream)
}

/// Reads one reply to the end of the connection or of its body.
pub(crate) fn read_reply(stream: &mut TcpStream) -> Option<Replied> {
    let mut reply = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(done) = parse_reply(&reply) {
            return Some(done);
        }
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return None,
            Ok(n) => reply.extend_from_slice(&chunk[..n]),
        }
    }
}

fn parse_reply(bytes: &[u8]) -> Option<Replied> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>()))
        .and_then(Result::ok);
    // A reply without content has no length either.
    let length = length.or((status == 204).then_some(0))?;
    let body = bytes[end + 4..].to_vec();
    (body.len() >= length).then(|| Replied { status, head, body: body[..length].to_vec() })
}

pub(crate) fn get(address: SocketAddr, path: &str) -> Option<Replied> {
    exchange(address, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
}

/// A running gateway; killed when dropped.
pub(crate) struct Gateway {
    pub(crate) child: Child,
}

impl Gateway {
    /// As a power switch: no warning.
    pub(crate) fn kill_hard(&mut self) {
        let _gone = self.child.kill();
        self.child.wait().unwrap();
    }

    /// As an operator: SIGTERM, and the exit status.
    pub(crate) fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        wait_for("the gateway to end", || self.child.try_wait().unwrap())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// strace lets go of what it traces when it is killed, so the traced process goes first.
pub(crate) fn kill_traced(world: &World, mut traced: Gateway) {
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
