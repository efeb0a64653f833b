//! A process that one can operate: signals, the service manager's protocol, sockets that are passed in, roles.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use support::gateway::{Gateway, PATIENCE, Setup, World, get, wait_for};
use support::php_fpm::{Options, PhpFpm};

/// Notes each run; waits for the file `go` where the file `wait` is.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/begun', $_POST['out_trade_no'] . "\n", FILE_APPEND | LOCK_EX);
while (file_exists(__DIR__ . '/wait')) { clearstatcache(); usleep(10000); }
echo 'success';
"#;

struct Shop {
    fpm: PhpFpm,
}

impl Shop {
    fn new() -> Self {
        Self { fpm: PhpFpm::start(&Options::default()) }
    }

    fn world(&self, target: &str) -> World {
        let script = self.fpm.script("notify.php", SCRIPT);
        let mut setup = Setup::new(&self.fpm.address(), &script);
        if !target.is_empty() {
            target.clone_into(&mut setup.target);
        }
        World::new(&setup)
    }

    fn begun(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("begun")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn all_delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

#[test]
fn a_second_signal_ends_at_once_and_nothing_acknowledged_is_lost() {
    let shop = Shop::new();
    let mut world = shop.world("attempt_timeout = \"4s\"\nterminate_timeout = \"4s\"\n");
    fs::write(shop.fpm.root().join("wait"), "").unwrap();
    let mut gateway = world.start();
    let payment = world.payment("S-1", 1000);
    assert_eq!(world.send(&payment).unwrap().body, b"success");
    wait_for("the script to begin", || (shop.begun().len() == 1).then_some(()));
    signal(gateway.child.id(), Signal::TERM);
    wait_for("draining", || world.log().contains("SIGTERM: draining").then_some(()));
    assert!(!gateway.has_ended(), "the attempt that runs is waited for");
    signal(gateway.child.id(), Signal::TERM);
    let status = wait_for("the gateway to end", || gateway.child.try_wait().unwrap());
    assert!(!status.success(), "whoever supervises it sees that it was cut short");
    assert!(world.log().contains("ended at once"));
    fs::remove_file(shop.fpm.root().join("wait")).unwrap();

    // The attempt kept its lease: it is tried again when that has run out, and not before.
    let _gateway = world.start();
    all_delivered(&world, 1);
    assert_eq!(shop.begun(), ["S-1", "S-1"]);
    assert_eq!(world.events().len(), 1);
}

/// What a service manager hears.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
}

impl Manager {
    fn new(world: &World) -> Self {
        let path = world.path("notify.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path, heard: Vec::new() }
    }

    /// The next message that holds a line.
    fn wait_for(&mut self, line: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("`{line}` did not come ({error}); heard {:?}", self.heard);
            });
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.heard.push(message.clone());
            if message.lines().any(|other| other == line) {
                return message;
            }
        }
    }
}

#[test]
fn the_service_manager_hears_ready_alive_reloading_and_stopping() {
    let shop = Shop::new();
    let mut world = shop.world("");
    let payment = world.payment("M-1", 1000);
    let mut manager = Manager::new(&world);
    let told =
        format!("export NOTIFY_SOCKET={} WATCHDOG_USEC=400000 WATCHDOG_PID=$$; exec \"$@\"", manager.path.display());
    let mut gateway = world.spawn(&["sh", "-c", &told, "sh"]);
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=serving 1 channels, 1 targets"), "{ready}");
    // Ready means that everything listens: the very first tries succeed.
    assert_eq!(get(world.admin, "/readyz").expect("the admin listener").status, 200);
    assert_eq!(world.send(&payment).expect("the public listener").body, b"success");
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1");
    }
    world.reconfigure(|text| text.replacen("[server]\n", "[server]\nbody_limit = 0\n", 1));
    signal(gateway.child.id(), Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.lines().any(|line| line.starts_with("MONOTONIC_USEC=")), "{reloading}");
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("not in force"), "{ready}");
    manager.wait_for("WATCHDOG=1");
    signal(gateway.child.id(), Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert!(wait_for("the gateway to end", || gateway.child.try_wait().unwrap()).success());
}

/// Holds listening sockets as a service manager does, and starts the program on them again and again: arguments
/// are the names of the sockets, a file for the process id, the addresses, and the command.
const LAUNCHER: &str = r"
import os, socket, sys
names, pid_file, addresses, command = sys.argv[1], sys.argv[2], sys.argv[3].split(','), sys.argv[4:]
sockets = []
for n, address in enumerate(addresses):
    host, port = address.rsplit(':', 1)
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((host, int(port)))
    s.listen(1024)
    sockets.append(s)
status = 0
while status == 0:
    pid = os.fork()
    if pid == 0:
        high = [os.dup(s.fileno()) for s in sockets]
        high = [os.dup2(fd, 100 + n) for n, fd in enumerate(high)]
        for n, fd in enumerate(high):
            os.dup2(fd, 3 + n)
        os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
        os.execvp(command[0], command)
    with open(pid_file + '.new', 'w') as f:
        f.write(str(pid))
    os.rename(pid_file + '.new', pid_file)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(1)
";

/// The launcher with the gateway below it; both end with the test.
struct Launched {
    launcher: Child,
    pid_file: PathBuf,
}

impl Launched {
    fn start(world: &World, names: &str, addresses: &str) -> Self {
        let script = world.path("launcher.py");
        fs::write(&script, LAUNCHER).unwrap();
        let pid_file = world.path("pid");
        let log = fs::File::options().create(true).append(true).open(world.path("log.json")).unwrap();
        let launcher = Command::new("python3")
            .arg(&script)
            .arg(names)
            .arg(&pid_file)
            .arg(addresses)
            .arg(env!("CARGO_BIN_EXE_tollbell"))
            .args(["--lang", "en", "--config"])
            .arg(world.path("tollbell.toml"))
            .arg("serve")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { launcher, pid_file }
    }

    fn pid(&self) -> Option<u32> {
        fs::read_to_string(&self.pid_file).ok()?.parse().ok()
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        let _gone = self.launcher.kill();
        let _status = self.launcher.wait();
        if let Some(pid) = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn a_restart_on_passed_sockets_refuses_no_connection() {
    const SENDERS: usize = 4;
    const RESTARTS: usize = 3;
    let shop = Shop::new();
    let mut world = shop.world("");
    let addresses = format!("{},{}", world.admin, world.address);
    let launched = Launched::start(&world, "tollbell-admin:tollbell", &addresses);
    let requests: Vec<_> = (0..20_usize).map(|n| world.payment(&format!("P-{n}"), 1000)).collect();
    wait_for("the sockets", || launched.pid());
    // The first one is sent before the program has begun to listen, and waits.
    assert_eq!(world.send(&requests[0]).expect("an answer").body, b"success");
    let is_done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let (world, requests, is_done, answered) = (&world, &requests, &is_done, &answered);
            scope.spawn(move || {
                for n in (sender..).step_by(SENDERS) {
                    if is_done.load(Ordering::Relaxed) {
                        return;
                    }
                    drop(TcpStream::connect(world.address).expect("no connection is refused"));
                    let reply = world.send(&requests[n % requests.len()]).expect("every callback is answered");
                    assert_eq!(reply.text(), "success");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..RESTARTS {
            let before = launched.pid().unwrap();
            signal(before, Signal::TERM);
            wait_for("the next process", || launched.pid().filter(|pid| *pid != before));
            let count = answered.load(Ordering::Relaxed);
            wait_for("its answers", || (answered.load(Ordering::Relaxed) > count + SENDERS).then_some(()));
        }
        is_done.store(true, Ordering::Relaxed);
    });
    all_delivered(&world, requests.len());
    assert_eq!(world.log().matches("\"message\":\"serving\"").count(), RESTARTS + 1);
}

#[test]
fn sockets_that_are_not_those_of_the_configuration_are_refused_with_a_cure() {
    let shop = Shop::new();
    let world = shop.world("");
    let other = support::gateway::free_address();
    let (public, admin) = (world.address, world.admin);
    for (names, addresses, cure) in [
        ("tollbell", format!("{other}"), "write the same address into the socket unit's ListenStream="),
        ("tollbell-admin", format!("{other}"), "and into admin.listen"),
        ("tollbell-adm", format!("{admin}"), "FileDescriptorName= is one of"),
        ("unit.socket", format!("{other}"), "remove it from the socket unit"),
        ("tollbell:tollbell", format!("{public},{other}"), "write the same address"),
    ] {
        fs::write(world.path("log.json"), "").unwrap();
        let mut launched = Launched::start(&world, names, &addresses);
        let status = wait_for("the refusal", || launched.launcher.try_wait().unwrap());
        assert!(!status.success());
        assert!(world.log().contains(cure), "`{cure}` is not in:\n{}", world.log());
    }
    // Two addresses, of which one is passed: the other would be closed during a restart.
    world.reconfigure(|text| {
        text.replacen(&format!("listen = \"{public}\""), &format!("listen = [\"{public}\", \"{other}\"]"), 1)
    });
    fs::write(world.path("log.json"), "").unwrap();
    let mut launched = Launched::start(&world, "tollbell", &public.to_string());
    wait_for("the refusal", || launched.launcher.try_wait().unwrap());
    assert!(world.log().contains("no socket was passed for it"), "{}", world.log());
}

fn with_roles(world: &World, roles: &str) -> Gateway {
    world.reconfigure(|text| {
        let text = match text.find("roles = ") {
            Some(at) => text[..at].to_owned() + &text[at + text[at..].find('\n').unwrap() + 1..],
            None => text,
        };
        text.replacen("[server]\n", &format!("[server]\nroles = [{roles}]\n"), 1)
    });
    world.start()
}

#[test]
fn a_node_does_what_its_roles_say_and_nothing_else() {
    let shop = Shop::new();
    let mut world = shop.world("");
    let payment = world.payment("O-1", 1000);
    let mut gateway = with_roles(&world, "\"receive\"");
    assert_eq!(world.send(&payment).unwrap().body, b"success");
    assert!(gateway.terminate().success());
    assert_eq!(world.delivery_states(), ["pending"], "nobody delivers");
    assert!(shop.begun().is_empty());

    let mut gateway = with_roles(&world, "\"deliver\"");
    all_delivered(&world, 1);
    assert!(TcpStream::connect(world.address).is_err(), "nobody receives");
    // A role changes at a restart, and until then everything goes on.
    world.reconfigure(|text| text.replacen("roles = [\"deliver\"]", "roles = [\"receive\"]", 1));
    signal(gateway.child.id(), Signal::HUP);
    wait_for("the reload", || world.log().contains("\"keys\":\"server.roles\"").then_some(()));
    assert!(TcpStream::connect(world.address).is_err());
    assert!(gateway.terminate().success());

    let checked = world.cli(&["check"]);
    let told = String::from_utf8_lossy(&checked.stderr).into_owned() + &String::from_utf8_lossy(&checked.stdout);
    assert!(told.contains("this node does not `deliver`"), "{told}");
}

#[test]
fn the_unit_files_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let service = fs::read_to_string(folder.join("tollbell.service")).unwrap();
    let has = |line: &str| assert!(service.lines().any(|other| other == line), "`{line}` is not in the unit");
    for line in ["NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077", "Restart=on-failure", "WatchdogSec=30s"] {
        has(line);
    }
    let socket = fs::read_to_string(folder.join("tollbell.socket")).unwrap();
    assert!(socket.contains(&format!("ListenStream={}", tollbell::config::server::LISTEN)));
    let stop = service.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")?.strip_suffix('s')).unwrap();
    let stop = Duration::from_secs(stop.parse().unwrap());
    assert!(
        stop > tollbell::config::server::DRAIN_TIMEOUT + Duration::from_secs(5),
        "systemd kills before the drain ends"
    );
    // What systemd itself says, where it is installed; the program need not be.
    let scratch = tempfile::tempdir().unwrap();
    let unit = scratch.path().join("tollbell.service");
    fs::write(&unit, service.replace("/usr/bin/tollbell", "/bin/true")).unwrap();
    fs::write(scratch.path().join("tollbell.socket"), socket).unwrap();
    if let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
        let told = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !told.contains("tollbell"), "{told}");
    }
}
