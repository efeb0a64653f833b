//! The gateway under strace, the platform that sends to it, and the application that it delivers to.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

use super::record::TRACED;
use crate::random::Random;

/// How long a state may take to come, with a machine that does other things besides.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);
/// The platform whose callbacks are sent; its fields are in the clear, so that they are found in what is written.
const PLATFORM: &str = "alipay";
/// The inbox, inside the world: in folders that the gateway has to make.
pub(super) const INBOX: &str = "data/inbox/tollbell.db";
/// More than any buffer that is written, in bytes; a string that is cut makes the reading fail.
const STRING_MAX: &str = "33554432";
/// Bytes of the remark in a large callback, at least and at most.
const REMARK: (usize, usize) = (8 * 1024, 40 * 1024);
/// One callback of so many is large.
const LARGE_EVERY: usize = 12;

/// An order and its callback.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// Its number, which no other text contains.
    pub(super) number: String,
    /// In minor units.
    pub(super) amount: i64,
    /// The signed callback.
    pub(super) request: RawRequest,
}

/// Requests on one connection, in order.
#[derive(Clone, Debug)]
pub(super) struct Talk {
    /// Our port.
    pub(super) port: u16,
    /// Which orders were told of.
    pub(super) orders: Vec<usize>,
}

/// A delivery, as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Under which id.
    pub(super) event: String,
    /// The order's number.
    pub(super) order: String,
}

/// A folder with a configuration, keys, and a world for the gateway to write into.
pub(super) struct World {
    program: PathBuf,
    folder: PathBuf,
    side: Box<dyn OtherSide>,
    /// The callbacks' address.
    pub(super) address: SocketAddr,
    admin: SocketAddr,
    /// Who is delivered to.
    pub(super) shop: Shop,
    seed: u64,
}

impl World {
    /// In an empty folder.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new(program: &Path, folder: &Path, seed: u64) -> anyhow::Result<Self> {
        let program = program.canonicalize().with_context(|| format!("find {}", program.display()))?;
        let folder = folder.canonicalize()?;
        for name in ["world", "conf"] {
            fs::create_dir(folder.join(name))?;
        }
        let side = (by_kind(PLATFORM).context("the platform is gone")?.simulate)();
        let (address, admin) = (free_address(), free_address());
        let world = Self { program, folder, side, address, admin, shop: Shop::open()?, seed };
        world.configure(&world.conf().join("tollbell.toml"), &world.root().join(INBOX))?;
        Ok(world)
    }

    /// The folder that is recorded.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("world")
    }

    fn conf(&self) -> PathBuf {
        self.folder.join("conf")
    }

    /// The configuration.
    pub(super) fn configuration(&self) -> PathBuf {
        self.conf().join("tollbell.toml")
    }

    /// Writes a configuration for an inbox that may lie elsewhere.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn configure(&self, path: &Path, inbox: &Path) -> anyhow::Result<()> {
        let mut text = format!(
            "[server]\nlisten = \"{}\"\nwatch = false\n[admin]\nlisten = \"{}\"\nsocket = \"\"\n\
             [inbox]\nurl = \"sqlite:{}\"\n[deliver]\nscan = \"100ms\"\nlease_margin = \"500ms\"\nladder = [\"100ms\", \"100ms\", \"200ms\"]\n\
             [[channel]]\nid = \"{PLATFORM}\"\nkind = \"{PLATFORM}\"\n",
            self.address,
            self.admin,
            inbox.display()
        );
        for setting in self.side.written_settings() {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"")?,
                SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}")?,
                SettingValue::Flag(value) => writeln!(text, "{name} = {value}")?,
                SettingValue::Key(bytes) => {
                    let path = self.conf().join(setting.file_name.context("a key without a file")?);
                    // Written once: another image's program may be reading it.
                    if !path.exists() {
                        fs::write(&path, &bytes[..])?;
                        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
                    }
                    writeln!(text, "{name}_file = \"{}\"", path.display())?;
                }
                other => bail!("{name}: {other:?}"),
            }
        }
        write!(
            text,
            "[[target]]\nid = \"shop\"\nkind = \"http\"\nurl = \"http://{}/paid\"\n\
             attempt_timeout = \"5s\"\nterminate_timeout = \"100ms\"\n",
            self.shop.address
        )?;
        fs::write(path, text).context("write the configuration")
    }

    /// What every order's number of this run begins with.
    pub(super) fn mark(&self) -> String {
        format!("PW{:08X}N", self.seed & 0xffff_ffff)
    }

    /// Orders with their signed callbacks.
    pub(super) fn orders(&self, count: usize, random: &mut Random) -> Vec<Order> {
        (0..count)
            .map(|at| {
                let number = format!("{}{at:06}", self.mark());
                let amount = i64::try_from(1 + random.index(100_000)).expect("a small number");
                let mut story = Story::paid(&number, amount, now());
                story.serial = at as u64 + 1;
                if at % LARGE_EVERY == 0 {
                    story.note = "~".repeat(REMARK.0 + random.index(REMARK.1 - REMARK.0));
                }
                Order { number, amount, request: self.side.callback(&story).request }
            })
            .collect()
    }

    /// Runs the gateway under strace until it is stopped; the trace goes to a file of this name.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn serve(&self, trace: &str) -> anyhow::Result<Gateway> {
        let mut command = self.traced(trace, &self.configuration(), &["serve"]);
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.context("start strace: is it installed?")?;
        let mut gateway = Gateway { child, is_traced: true };
        gateway.wait_until_listening(self.address).with_context(|| self.log())?;
        Ok(gateway)
    }

    /// Runs the gateway by itself with another configuration.
    ///
    /// # Errors
    /// When it does not come up.
    pub(super) fn serve_image(&self, config: &Path) -> anyhow::Result<Gateway> {
        let log = File::options().create(true).append(true).open(self.folder.join("log"))?;
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(config).arg("serve").current_dir(self.conf());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut gateway = Gateway { child, is_traced: false };
        gateway.wait_until_listening(self.address).with_context(|| self.log())?;
        Ok(gateway)
    }

    /// A subcommand under strace.
    pub(super) fn traced(&self, trace: &str, config: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-qq", "-xx", "-e", "signal=none", "-s", STRING_MAX, "-o"]);
        command.arg(self.trace(trace)).arg("-e").arg(format!("trace={TRACED}")).arg("--");
        command.arg(&self.program).arg("--config").arg(config).args(words).current_dir(self.conf());
        command
    }

    /// Where a trace is.
    pub(super) fn trace(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What a trace says, which is then deleted: it is large.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take_trace(&self, name: &str) -> anyhow::Result<Vec<u8>> {
        let text = fs::read(self.trace(name)).context("read the trace")?;
        fs::remove_file(self.trace(name))?;
        Ok(text)
    }

    /// Runs a subcommand.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn ask(&self, config: &Path, words: &[&str]) -> anyhow::Result<Output> {
        let mut command = Command::new(&self.program);
        command.args(["--lang", "en", "--config"]).arg(config).args(words).current_dir(self.conf());
        command.output().context("run the program")
    }

    /// The end of the gateway's log, for an error.
    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// A running gateway; killed when it is dropped.
pub(super) struct Gateway {
    child: Child,
    is_traced: bool,
}

impl Gateway {
    /// The gateway's own process, which under strace is a child of ours.
    fn process(&self) -> Option<Pid> {
        let own = self.child.id();
        let number = if self.is_traced {
            let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).ok()?;
            children.split_ascii_whitespace().next()?.parse().ok()?
        } else {
            i32::try_from(own).ok()?
        };
        Pid::from_raw(number)
    }

    fn wait_until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the gateway ended with {status}");
            }
            ensure!(since.elapsed() < PATIENCE, "the gateway does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Ends it, and waits until it has gone.
    ///
    /// # Errors
    /// When it stays.
    pub(super) fn end(mut self, signal: Signal) -> anyhow::Result<()> {
        let process = self.process().context("the gateway ended by itself")?;
        kill_process(process, signal).context("signal the gateway")?;
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            ensure!(since.elapsed() < PATIENCE, "the gateway does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // strace lets go of what it traces when it is killed, so the gateway goes first.
        if let Ok(None) = self.child.try_wait() {
            if let Some(process) = self.process() {
                let _gone = kill_process(process, Signal::KILL);
            }
            let _gone = self.child.wait();
        }
    }
}

/// Sends callbacks for as long as the gateway answers.
///
/// `todo` holds the orders' numbers in the order of sending, `threads` of them at the same time on connections of their
/// own. Returns the conversations and which of `todo` were answered with success. `stop_after` answers it ends the
/// gateway, in the middle of the others.
///
/// # Errors
/// When an answer is no success.
pub(super) fn send(
    address: SocketAddr,
    orders: &[Order],
    todo: &[usize],
    threads: usize,
    stop_after: usize,
    stop: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<(Vec<Talk>, Vec<usize>)> {
    let queue = Mutex::new(todo.iter().copied());
    let answered = Mutex::new(Vec::new());
    let talks = Mutex::new(Vec::new());
    let stop = Mutex::new(Some(stop));
    let work = || -> anyhow::Result<()> {
        let Ok(mut stream) = TcpStream::connect(address) else { return Ok(()) };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let talk = {
            let mut talks = lock(&talks);
            talks.push(Talk { port: stream.local_addr()?.port(), orders: Vec::new() });
            talks.len() - 1
        };
        loop {
            let next = lock(&queue).next();
            let Some(order) = next else { return Ok(()) };
            lock(&talks)[talk].orders.push(order);
            let Some(reply) = exchange(&mut stream, &wire(&orders[order].request)) else { return Ok(()) };
            ensure!(reply.starts_with(b"HTTP/1.1 200") && reply.ends_with(b"\r\n\r\nsuccess"), "{}", text(&reply));
            let count = {
                let mut answered = lock(&answered);
                answered.push(order);
                answered.len()
            };
            if count == stop_after {
                let stop = lock(&stop).take();
                stop.map_or(Ok(()), |stop| stop())?;
            }
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a sender panicked"))?)
    })?;
    let talks = talks.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok((talks, answered.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// A callback as bytes.
fn wire(request: &RawRequest) -> Vec<u8> {
    let mut bytes = format!("{} /notify/{PLATFORM} HTTP/1.1\r\nhost: gateway.example\r\n", request.method).into_bytes();
    for (name, value) in &request.headers {
        if name != "host" && name != "content-length" {
            bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
    }
    bytes.extend(format!("content-length: {}\r\n\r\n", request.body.len()).into_bytes());
    bytes.extend_from_slice(&request.body);
    bytes
}

/// One request and its whole reply; nothing when the connection broke.
fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(bytes).ok()?;
    message(stream)
}

/// Reads one message with a length.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = memchr::memmem::find(&found, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&found[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if found.len() >= end + 4 + length.unwrap_or(0_usize) {
                return Some(found);
            }
        }
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return None,
            Ok(count) => found.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The application: refuses the first try of some orders, confirms the rest, and remembers what came.
pub(super) struct Shop {
    /// Where it listens.
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Delivered>>>,
}

impl Shop {
    fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || serve_one(stream, &seen));
            }
        });
        Ok(Self { address, seen })
    }

    /// What came until now.
    pub(super) fn seen(&self) -> Vec<Delivered> {
        lock(&self.seen).clone()
    }

    /// Waits until each of these orders has been confirmed.
    ///
    /// # Errors
    /// When some do not come.
    pub(super) fn wait_for(&self, numbers: &[String]) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let seen = self.seen();
            let mut count: HashMap<&str, usize> = HashMap::new();
            for one in &seen {
                *count.entry(&one.order).or_default() += 1;
            }
            let tries = |number: &str| count.get(number).copied().unwrap_or(0);
            let missing: Vec<&String> =
                numbers.iter().filter(|number| tries(number) <= usize::from(is_refused_first(number))).collect();
            if missing.is_empty() {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "{} orders are not delivered, {} first", missing.len(), missing[0]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Whether the first delivery of an order is refused.
fn is_refused_first(number: &str) -> bool {
    number.ends_with('7')
}

fn serve_one(mut stream: TcpStream, seen: &Mutex<Vec<Delivered>>) {
    while let Some(request) = message(&mut stream) {
        let Some(delivered) = delivered(&request) else { return };
        let is_first = {
            let mut seen = lock(seen);
            let is_first = !seen.iter().any(|one| one.order == delivered.order);
            seen.push(delivered.clone());
            is_first
        };
        let status = if is_first && is_refused_first(&delivered.order) { "503 Later" } else { "200 OK" };
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\n\r\nok");
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}

/// What a delivery says.
pub(super) fn delivered(request: &[u8]) -> Option<Delivered> {
    let body = memchr::memmem::find(request, b"\r\n\r\n")? + 4;
    let event: serde_json::Value = serde_json::from_slice(&request[body..]).ok()?;
    let order = event["data"]["order_no"].as_str()?.to_owned();
    Some(Delivered { event: event["id"].as_str()?.to_owned(), order })
}

/// An address that nobody listens on, below the ports that the system gives to outgoing connections.
fn free_address() -> SocketAddr {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 10_000 + (std::process::id().wrapping_mul(137).wrapping_add(tried * 11)) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("below 30000")));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the platform signs at the real time: the gateway looks at it")]
fn now() -> Timestamp {
    Timestamp::now()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
