//! The program under proof: its folder and configuration, its process, and what its commands say.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::OtherSide;

use super::platform::Platform;
use crate::random::Random;

/// Longest wait for the program to serve, or to end: it has at most some thousand rows to look at.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(3);
/// The shop's limit for a script, in seconds: PHP-FPM counts in whole ones.
pub const TERMINATE_SECONDS: u64 = 1;
/// The deadline of an attempt.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(700);
/// Tries of a delivery: so many that only a shop that never confirms ends them.
pub const TRIES: usize = 41;
/// The wait between two tries.
const WAIT: &str = "150ms";
/// Connections to PHP-FPM.
const CONNECTIONS: u32 = 6;
/// Ports below those that the system gives to outgoing connections, and above those that tests pick from: nobody takes
/// one while the gateway is down.
const PORTS: std::ops::Range<u64> = 30_000..32_700;

/// A configured gateway.
pub struct Site {
    program: PathBuf,
    folder: PathBuf,
    /// Where callbacks go.
    pub address: SocketAddr,
    admin: SocketAddr,
}

impl Site {
    /// Writes the configuration of a new gateway into `folder`.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(
        program: &Path,
        folder: &Path,
        sides: &[(Platform, Box<dyn OtherSide>)],
        fpm: &str,
        script: &Path,
        random: &mut Random,
    ) -> anyhow::Result<Self> {
        let site = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            address: free_address(random)?,
            admin: free_address(random)?,
        };
        let (address, admin) = (site.address, site.admin);
        let waits = vec![format!("{WAIT:?}"); TRIES - 1].join(", ");
        let mut text = format!(
            "[server]\nlisten = \"{address}\"\ndrain_timeout = \"10s\"\n\
             [admin]\nlisten = \"{admin}\"\nopen_metrics = true\nsocket = \"\"\n\
             [log]\nformat = \"json\"\nlevel = \"warn\"\n\
             [deliver]\nscan = \"200ms\"\nlease_margin = \"500ms\"\nladder = [{waits}]\n"
        );
        for (platform, side) in sides {
            let kind = platform.kind();
            writeln!(text, "[[channel]]\nid = \"{kind}\"\nkind = \"{kind}\"")?;
            for setting in side.written_settings() {
                let name = setting.name;
                match setting.value {
                    SettingValue::Text(value) => writeln!(text, "{name} = {value:?}")?,
                    SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}")?,
                    SettingValue::Flag(value) => writeln!(text, "{name} = {value}")?,
                    SettingValue::Key(bytes) => {
                        let path = folder.join(setting.file_name.context("a key without a file's name")?);
                        private(&path, &bytes)?;
                        writeln!(text, "{name}_file = {:?}", path.display().to_string())?;
                    }
                    other => bail!("the setting {name} is of a kind that is not known here: {other:?}"),
                }
            }
        }
        writeln!(
            text,
            "[[target]]\nid = \"shop\"\nkind = \"fastcgi\"\naddress = {fpm:?}\nscript = {:?}\n\
             attempt_timeout = \"{}ms\"\nterminate_timeout = \"{TERMINATE_SECONDS}s\"\nmax_connections = {CONNECTIONS}",
            script.display().to_string(),
            ATTEMPT_TIMEOUT.as_millis(),
        )?;
        fs::write(site.config(), text)?;
        Ok(site)
    }

    fn config(&self) -> PathBuf {
        self.folder.join("tollbell.toml")
    }

    /// The database's file: it changes only when a checkpoint writes into it.
    pub fn database(&self) -> PathBuf {
        self.folder.join("tollbell.db")
    }

    /// What the program logged, its last lines.
    pub fn log_end(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log.json")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Starts the program, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> anyhow::Result<Gateway> {
        let log = File::options().create(true).append(true).open(self.folder.join("log.json"))?;
        let child = Command::new(&self.program)
            .arg("--config")
            .arg(self.config())
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.program.display()))?;
        Ok(Gateway { child })
    }

    /// Whether it serves.
    pub fn serves(&self) -> bool {
        healthz(self.admin).unwrap_or(false)
    }

    /// Waits until it serves, or has ended.
    ///
    /// # Errors
    /// When it neither serves nor ends.
    pub fn wait_until_serving(&self, gateway: &mut Gateway) -> anyhow::Result<bool> {
        let until = Instant::now() + PATIENCE;
        loop {
            if gateway.has_ended()? {
                return Ok(false);
            }
            if self.serves() {
                return Ok(true);
            }
            ensure!(Instant::now() < until, "the gateway does not serve:\n{}", self.log_end());
            std::thread::sleep(LOOK);
        }
    }

    /// What a command prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn command(&self, args: &[&str]) -> anyhow::Result<Vec<u8>> {
        let output = Command::new(&self.program)
            .args(["--lang", "en", "--json", "--config"])
            .arg(self.config())
            .args(args)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("run {} {args:?}", self.program.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{}` ended with {}: {said}", args.join(" "), output.status);
        Ok(output.stdout)
    }

    /// What a command prints, as lines of JSON.
    ///
    /// # Errors
    /// When it fails, or prints something else.
    pub fn json(&self, args: &[&str]) -> anyhow::Result<Vec<Value>> {
        let printed = self.command(args)?;
        let text = String::from_utf8(printed).context("read what a command printed")?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("read `{line}`"))).collect()
    }
}

/// A running gateway; killed when dropped.
pub struct Gateway {
    child: Child,
}

impl Gateway {
    /// Its process.
    ///
    /// # Panics
    /// Never: a child has a number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end after a kill.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn wait(&mut self) -> anyhow::Result<()> {
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end; says whether it did so in time and well.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn terminate(&mut self) -> anyhow::Result<bool> {
        kill_process(self.pid(), Signal::TERM)?;
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(LOOK);
        }
        Ok(false)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn healthz(admin: SocketAddr) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}

fn free_address(random: &mut Random) -> anyhow::Result<SocketAddr> {
    for _ in 0..1000 {
        // Another process may run the same seed.
        let port = PORTS.start + (random.number() ^ u64::from(std::process::id())) % (PORTS.end - PORTS.start);
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(port)?));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port")
}

/// Writes a file that only its owner reads.
fn private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}
