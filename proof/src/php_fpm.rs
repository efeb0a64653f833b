//! A PHP-FPM of one's own for a test: real master and workers in a temporary folder, on a unix socket or a
//! TCP port, ended with the test.
//!
//! A machine without PHP-FPM fails these tests: the feature is promised, so it is shown.

#![expect(
    clippy::missing_panics_doc,
    reason = "it is for tests and proofs, where a machine that does not obey is the end"
)]

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Names under which distributions install PHP-FPM; `PHP_FPM` in the environment overrides them.
const NAMES: &[&str] = &[
    "php-fpm",
    "php-fpm8.5",
    "php-fpm8.4",
    "php-fpm8.3",
    "php-fpm8.2",
    "php-fpm8.1",
    "/usr/sbin/php-fpm8.4",
    "/usr/sbin/php-fpm8.3",
    "/usr/sbin/php-fpm8.2",
    "/usr/sbin/php-fpm",
    "/usr/local/sbin/php-fpm",
];
/// Longest wait for PHP-FPM to begin or end.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the pool is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Listen on a TCP port instead of a unix socket.
    pub tcp: bool,
    /// `pm.max_children`, all started at once.
    pub children: u32,
    /// `pm.max_requests`; 0 is no limit.
    pub max_requests: u32,
    /// Further lines of the pool's section.
    pub pool_lines: Vec<String>,
    /// `php_admin_value` lines: name and value.
    pub php_values: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { tcp: false, children: 3, max_requests: 0, pool_lines: Vec::new(), php_values: Vec::new() }
    }
}

/// A running PHP-FPM.
pub struct PhpFpm {
    folder: tempfile::TempDir,
    options: Options,
    listen: String,
    master: Option<Child>,
}

impl PhpFpm {
    /// Starts one and waits until it accepts connections.
    pub fn start(options: &Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("root")).expect("a folder for scripts");
        let listen = if options.tcp {
            let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
            format!("127.0.0.1:{port}")
        } else {
            folder.path().join("fpm.sock").display().to_string()
        };
        let mut fpm = Self { folder, options: options.clone(), listen, master: None };
        fpm.launch();
        fpm
    }

    /// The value of the setting `address`.
    pub fn address(&self) -> String {
        if self.options.tcp { self.listen.clone() } else { format!("unix:{}", self.listen) }
    }

    /// The folder of the scripts.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Puts a script into the root; its absolute path.
    pub fn script(&self, name: &str, source: &str) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder in the root");
        fs::write(&path, source).expect("write a script");
        path
    }

    /// Puts all files of a folder into the root.
    pub fn copy_scripts(&self, from: &Path) {
        for entry in fs::read_dir(from).expect("the fixtures") {
            let entry = entry.expect("a fixture");
            fs::copy(entry.path(), self.root().join(entry.file_name())).expect("copy a fixture");
        }
    }

    /// The process ids of the workers that live now.
    pub fn workers(&self) -> Vec<u32> {
        let Some(master) = &self.master else { return Vec::new() };
        let path = format!("/proc/{0}/task/{0}/children", master.id());
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// The master's process id.
    pub fn master(&self) -> u32 {
        self.master.as_ref().expect("it runs").id()
    }

    /// What PHP-FPM logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("fpm.log")).unwrap_or_default()
    }

    /// Ends it at once, with all its workers, and starts it on the same address.
    pub fn restart(&mut self) {
        self.kill_hard();
        self.launch();
    }

    /// Starts it again after [`PhpFpm::stop`] or [`PhpFpm::kill_hard`].
    pub fn launch(&mut self) {
        assert!(self.master.is_none(), "it runs already");
        let folder = self.folder.path();
        if !self.options.tcp {
            remove_if_there(Path::new(&self.listen));
        }
        fs::write(folder.join("fpm.conf"), self.configuration()).expect("write the configuration");
        let log = File::options().create(true).append(true).open(folder.join("fpm.out")).expect("a log file");
        let mut command = Command::new(binary());
        command.args(["--nodaemonize", "--no-php-ini", "--fpm-config"]).arg(folder.join("fpm.conf"));
        if is_root() {
            command.arg("--allow-to-run-as-root");
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a second handle")).stderr(log);
        self.master = Some(command.spawn().expect("start PHP-FPM"));
        let until = Instant::now() + PATIENCE;
        while !self.accepts() {
            if let Ok(Some(status)) = self.master.as_mut().expect("just started").try_wait() {
                let said = fs::read_to_string(folder.join("fpm.out")).unwrap_or_default();
                panic!("PHP-FPM ended at once ({status}):\n{said}\n{}", self.log());
            }
            assert!(Instant::now() < until, "PHP-FPM does not begin to listen:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        wait_until("all workers live", || self.workers().len() >= self.options.children as usize);
    }

    /// Asks it to end; idle workers go at once.
    pub fn stop(&mut self) {
        self.end("-TERM");
    }

    /// Ends master and workers without asking.
    pub fn kill_hard(&mut self) {
        self.end("-KILL");
    }

    fn end(&mut self, signal: &str) {
        let Some(pid) = self.master.as_ref().map(Child::id) else { return };
        // Halted, it starts no worker that would be missing from the list.
        send("-STOP", pid);
        wait_until("the master is halted", || state(pid).is_none_or(|state| "TZX".contains(state)));
        let workers = self.workers();
        let Some(mut master) = self.master.take() else { return };
        if signal == "-KILL" {
            send("-KILL", pid);
            for worker in &workers {
                send("-KILL", *worker);
            }
        } else {
            send(signal, pid);
            send("-CONT", pid);
        }
        let until = Instant::now() + PATIENCE;
        while !matches!(master.try_wait(), Ok(Some(_))) {
            if Instant::now() >= until {
                send("-KILL", master.id());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // A process that is dead and not yet collected by its parent holds no socket any more.
        let is_gone = |pid: u32| state(pid).is_none_or(|state| "ZX".contains(state));
        wait_until("all workers are gone", || workers.iter().all(|worker| is_gone(*worker)));
    }

    fn accepts(&self) -> bool {
        if self.options.tcp {
            TcpStream::connect(&self.listen).is_ok()
        } else {
            UnixStream::connect(&self.listen).is_ok()
        }
    }

    fn configuration(&self) -> String {
        let Options { children, max_requests, pool_lines, php_values, .. } = &self.options;
        let mut lines = vec![
            "[global]".to_owned(),
            format!("error_log = {}/fpm.log", self.folder.path().display()),
            "daemonize = no".to_owned(),
            "[test]".to_owned(),
            format!("listen = {}", self.listen),
            "pm = static".to_owned(),
            format!("pm.max_children = {children}"),
            format!("pm.max_requests = {max_requests}"),
        ];
        if is_root() {
            lines.push("user = root".to_owned());
            lines.push("group = root".to_owned());
        }
        lines.extend(pool_lines.iter().cloned());
        lines.extend(php_values.iter().map(|(name, value)| format!("php_admin_value[{name}] = {value}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Drop for PhpFpm {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits for a state; fails when it does not come.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process of this test.
pub fn send(signal: &str, pid: u32) {
    let status = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
    status.expect("kill(1) is there");
}

/// The state letter of a process; none when there is no such process.
fn state(pid: u32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    text.rsplit_once(") ")?.1.chars().next()
}

fn binary() -> PathBuf {
    let names = std::env::var("PHP_FPM").map_or_else(|_| NAMES.iter().map(|n| (*n).to_owned()).collect(), |n| vec![n]);
    for name in &names {
        match Command::new(name).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => return name.into(),
            _ => {}
        }
    }
    panic!("these tests need PHP-FPM ({names:?}): install it, or name the program in the environment variable PHP_FPM");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn remove_if_there(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("remove {}: {error}", path.display()),
        _ => {}
    }
}
