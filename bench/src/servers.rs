//! What is measured: each server started by the run itself, on a free port, in a folder of its own on the disk
//! that the run was given.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bodies::{Channel, Signed};
use crate::{cpu, http};

/// Longest wait for a server to listen, or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// The id of the one target of every gateway here.
pub(crate) const TARGET: &str = "shop";

/// A started process; ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: u32,
    child: Child,
}

impl Running {
    /// Starts it; its output goes into `log`. It ends with this process, also when that is killed.
    pub(crate) fn start(command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        let log = fs::File::create(log).with_context(|| format!("make {}", log.display()))?;
        // setpriv becomes the program: the process keeps its number.
        let program = command.get_program();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(program)
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {} through setpriv", program.display()))?;
        Ok(Self { pid: child.id(), child })
    }

    /// Waits until `is_there`.
    pub(crate) fn wait(&mut self, log: &Path, mut is_there: impl FnMut() -> bool) -> anyhow::Result<()> {
        let since = Instant::now();
        while !is_there() {
            let said = || fs::read_to_string(log).unwrap_or_default();
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", said());
            }
            ensure!(since.elapsed() < PATIENCE, "it does not listen: {}", said());
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn wait_for_port(&mut self, log: &Path, address: SocketAddr) -> anyhow::Result<()> {
        self.wait(log, || TcpStream::connect(address).is_ok())
    }

    /// Asks the process and those below it to end, and waits for it.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let below: Vec<u32> = cpu::tree(self.pid).into_iter().filter(|pid| *pid != self.pid).collect();
        // What runs under a tracer ends first, and the tracer after it.
        for pid in if below.is_empty() { vec![self.pid] } else { below } {
            signal(pid, rustix::process::Signal::TERM);
        }
        let since = Instant::now();
        let mut asked = false;
        while self.child.try_wait()?.is_none() {
            if !asked && since.elapsed() > Duration::from_millis(500) {
                signal(self.pid, rustix::process::Signal::TERM);
                asked = true;
            }
            ensure!(since.elapsed() < PATIENCE, "process {} does not end", self.pid);
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let tree = cpu::tree(self.pid);
        if matches!(self.child.try_wait(), Ok(None)) {
            for pid in tree {
                signal(pid, rustix::process::Signal::KILL);
            }
            drop(self.child.wait());
        }
    }
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // Who has ended by itself needs no signal.
    if let Some(Err(error)) = pid.map(|pid| rustix::process::kill_process(pid, signal)) {
        debug_assert_eq!(error, rustix::io::Errno::SRCH);
    }
}

/// A port that nobody listens on, below those that outgoing connections get.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    use std::sync::atomic::{AtomicU16, Ordering};
    const FIRST: u16 = 12_000;
    const LAST: u16 = 30_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 1_000).unwrap_or(0) * 17;
    for _ in FIRST..LAST {
        let port = FIRST + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

/// The folder of a run, for one run at a time.
pub(crate) struct Claimed {
    _lock: fs::File,
}

impl Claimed {
    /// Takes it, and removes what a run that was killed left there.
    pub(crate) fn take(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = fs::File::create(folder.join("lock"))?;
        let is_ours = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        is_ours.with_context(|| format!("another run uses {}", folder.display()))?;
        for entry in fs::read_dir(folder)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { _lock: lock })
    }
}

/// What the names of servers' folders begin with.
const PREFIX: &str = "run-";

/// A folder of its own below `parent`, removed with the value.
pub(crate) fn folder(parent: &Path, name: &str) -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!("{PREFIX}{name}-")).tempdir_in(parent).context("make a folder")
}

/// The bare reference: this program itself.
pub(crate) struct Bare {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Bare {
    pub(crate) fn start(parent: &Path, signed: &Signed) -> anyhow::Result<Self> {
        let folder = folder(parent, "bare")?;
        let address = free_address()?;
        let key = folder.path().join("key.pem");
        fs::write(&key, signed.channel.public_key_pem()?)?;
        let log = folder.path().join("log");
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--serve-bare").arg(address.to_string()).arg("--public-key").arg(&key);
        let mut running = Running::start(&mut command, &log)?;
        running.wait_for_port(&log, address).context("the bare reference")?;
        Ok(Self { running, address, _folder: folder })
    }
}

/// How a gateway is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup<'a> {
    pub(crate) program: &'a Path,
    /// Where its folder is made.
    pub(crate) parent: &'a Path,
    pub(crate) channels: Vec<Channel>,
    pub(crate) deliveries: Deliveries,
    /// A command that runs it, such as a tracer's.
    pub(crate) under: Vec<OsString>,
    /// Certificate and key, in PEM.
    pub(crate) tls: Option<(String, String)>,
}

/// What becomes of events.
#[derive(Clone, Debug)]
pub(crate) enum Deliveries {
    /// Deliveries to a target are written with every event, and none is made.
    Paused,
    /// They are made, by this script of a pool.
    Made { address: String, script: PathBuf, connections: usize },
}

/// A gateway on a folder of its own.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) running: Option<Running>,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    program: PathBuf,
    folder: TempDir,
}

impl Gateway {
    /// Writes the configuration, all of it at its defaults but for addresses, and starts the gateway.
    pub(crate) fn start(setup: &Setup<'_>) -> anyhow::Result<Self> {
        let mut gateway = Self::prepare(setup)?;
        gateway.launch(setup)?;
        Ok(gateway)
    }

    /// A folder with nothing but the place for the configuration.
    pub(crate) fn prepare(setup: &Setup<'_>) -> anyhow::Result<Self> {
        let folder = folder(setup.parent, "tollbell")?;
        let program = setup.program.to_owned();
        Ok(Self { running: None, address: free_address()?, admin: free_address()?, program, folder })
    }

    /// Starts it, after [`Gateway::stop`] again and perhaps with other deliveries.
    pub(crate) fn launch(&mut self, setup: &Setup<'_>) -> anyhow::Result<()> {
        let config = self.path("tollbell.toml");
        fs::write(&config, self.config(setup)?)?;
        let mut words = setup.under.clone();
        words.push(self.program.clone().into_os_string());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg("--config").arg(&config).arg("serve");
        let log = self.path("log");
        let mut running = Running::start(&mut command, &log)?;
        let address = self.address;
        running.wait_for_port(&log, address).context("the gateway")?;
        self.running = Some(running);
        Ok(())
    }

    fn config(&self, setup: &Setup<'_>) -> anyhow::Result<String> {
        use std::fmt::Write as _;
        let folder = self.folder.path();
        let mut text = format!("[server]\nlisten = \"{}\"\n", self.address);
        if matches!(setup.deliveries, Deliveries::Paused) {
            text.push_str("roles = [\"receive\"]\n");
        }
        if let Some((certificate, key)) = &setup.tls {
            self.secret("tls.crt", certificate.as_bytes())?;
            self.secret("tls.key", key.as_bytes())?;
            text.push_str("[server.tls]\ncertificate_file = \"tls.crt\"\nprivate_key_file = \"tls.key\"\n");
        }
        writeln!(text, "[admin]\nlisten = \"{}\"\nopen_metrics = true\nsocket = \"\"", self.admin)?;
        for channel in &setup.channels {
            for (name, bytes) in &channel.files {
                self.secret(name, bytes)?;
            }
            text.push_str(&channel.table.replace("{folder}", &folder.display().to_string()));
        }
        writeln!(text, "[[target]]\nid = \"{TARGET}\"\nkind = \"fastcgi\"\nterminate_timeout = \"60s\"")?;
        match &setup.deliveries {
            Deliveries::Paused => text.push_str("address = \"127.0.0.1:9\"\nscript = \"/nowhere/notify.php\"\n"),
            Deliveries::Made { address, script, connections } => {
                let script = script.display();
                writeln!(text, "address = \"{address}\"\nscript = \"{script}\"\nmax_connections = {connections}")?;
            }
        }
        Ok(text)
    }

    fn secret(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.path(name);
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The process that serves: below the tracer, where there is one.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        let root = self.running.as_ref().context("the gateway does not run")?.pid;
        let name = self.program.file_name().context("the program has a name")?.to_string_lossy().into_owned();
        let is_it = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
        cpu::tree(root).into_iter().find(is_it).context("no process has the program's name")
    }

    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(mut running) => running.stop().with_context(|| self.log()),
            None => Ok(()),
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// What a subcommand prints, as JSON lines, and how long the whole command took.
    pub(crate) fn cli(&self, args: &[&str]) -> anyhow::Result<(Vec<Value>, Duration)> {
        let since = Instant::now();
        let output = Command::new(&self.program)
            .arg("--config")
            .arg(self.path("tollbell.toml"))
            .arg("--json")
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run {}", self.program.display()))?;
        let took = since.elapsed();
        ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout)?;
        let values = serde_json::Deserializer::from_str(&lines).into_iter::<Value>().collect::<Result<_, _>>()?;
        Ok((values, took))
    }

    /// Notifications in the inbox.
    pub(crate) fn stored(&self) -> anyhow::Result<u64> {
        let (said, _) = self.cli(&["inbox"])?;
        said.first().and_then(|size| size["notifications"].as_u64()).context("`inbox` says no number")
    }

    /// The sum of a metric over its labels, of those lines that hold `label`.
    pub(crate) fn metric(&self, name: &str, label: &str) -> anyhow::Result<f64> {
        let text = http::get(self.admin, "/metrics")?;
        let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(label));
        let values = lines.filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            (sample.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok())?
        });
        Ok(values.sum())
    }
}
