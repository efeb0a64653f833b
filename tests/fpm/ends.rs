//! Attempts that end otherwise than by an answer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollbell_channels::settings::SettingValue;

use super::world::{ENOUGH, World, deliver, detail, envelope, millis, said, settings, target};
use crate::support::php_fpm::{Options, wait_until};

/// Time of an attempt that is expected to run out of it.
const SHORT: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_takes_too_long_is_unknown_and_spoils_nothing() {
    let world = World::with(&Options::default(), |settings| settings.with("max_connections", SettingValue::Number(1)));
    assert_eq!(said(&world.run("count").await), "delivered");
    let attempted = deliver(&*world.target, envelope("sleep"), SHORT).await;
    assert_eq!(said(&attempted), "unknown timed_out", "{attempted:?}");
    assert_eq!(world.written("sleep.txt"), "begun\n");
    for _ in 0..3 {
        assert_eq!(said(&world.run("count").await), "delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_has_a_limit_of_its_own() {
    let world = World::with(&Options::default(), |settings| settings.with("first_byte_timeout", millis(300)));
    let begun_at = Instant::now();
    assert_eq!(said(&world.run("sleep").await), "unknown timed_out");
    assert!(begun_at.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_delivery_leaves_nothing_behind() {
    let world = World::with(&Options::default(), |settings| settings.with("max_connections", SettingValue::Number(1)));
    assert_eq!(said(&world.run("count").await), "delivered");
    for _ in 0..2 {
        let abandoned = tokio::time::timeout(SHORT, world.run("sleep")).await;
        assert!(abandoned.is_err(), "the script sleeps");
        // The one permit is back, and the connection with the old request is not used again.
        assert_eq!(said(&world.run("count").await), "delivered");
    }
    assert_eq!(world.written("sleep.txt"), "begun\nbegun\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_its_work_is_unknown() {
    for is_kept in [false, true] {
        let world = World::new(&Options::default());
        if is_kept {
            assert_eq!(said(&world.run("count").await), "delivered");
            // Past the time in which a close would belong to the request before.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let attempted = world.run("suicide").await;
        assert_eq!(said(&attempted), "unknown connection_lost", "{attempted:?}");
        assert_eq!(world.written("suicide.txt"), "begun\n", "it is not called again at once");
        assert_eq!(said(&world.run("count").await), "delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn php_fpm_killed_in_a_request_is_unknown() {
    let mut world = World::new(&Options::default());
    let target = Arc::clone(&world.target);
    let delivery = tokio::spawn(async move { deliver(&*target, envelope("sleep"), ENOUGH).await });
    wait_until("the script runs", || !world.written("sleep.txt").is_empty());
    world.fpm.kill_hard();
    let attempted = delivery.await.unwrap();
    assert_eq!(said(&attempted), "unknown connection_lost", "{attempted:?}");
    world.fpm.launch();
    assert_eq!(said(&world.run("count").await), "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_busy_and_not_unknown() {
    let options = Options { children: 1, pool_lines: vec!["listen.backlog = 1".to_owned()], ..Options::default() };
    let world = World::with(&options, |settings| {
        settings.with("connect_timeout", millis(200)).with("max_connections", SettingValue::Number(1))
    });
    let path = world.fpm.root().with_file_name("fpm.sock");
    // The worker takes one and waits for its request; the others queue.
    let mut waiting = Vec::new();
    wait_until("the queue is full", || match rustix_connect(&path) {
        Some(stream) => {
            waiting.push(stream);
            false
        }
        None => true,
    });
    assert_eq!(said(&world.run("count").await), "retry fpm_busy");
    drop(waiting);
    assert_eq!(said(&world.run("count").await), "delivered");
}

/// Connects without waiting; none when the queue is full.
fn rustix_connect(path: &Path) -> Option<std::os::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
    match rustix::net::connect(&socket, &SocketAddrUnix::new(path).unwrap()) {
        Ok(()) => Some(socket),
        Err(rustix::io::Errno::AGAIN) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Names the socket for the run of this binary as another user.
const SOCKET_VARIABLE: &str = "TOLLBELL_TEST_SOCKET";

#[tokio::test]
async fn a_socket_of_another_user_is_named() {
    if let Ok(address) = std::env::var(SOCKET_VARIABLE) {
        let target = target(&settings(&address, Path::new("/w/notify.php")));
        assert_eq!(said(&deliver(&*target, envelope("x"), ENOUGH).await), "retry socket_permission");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = folder.path().join("fpm.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Root may enter every socket, so the same test runs again as nobody.
    let binary = folder.path().join("again");
    fs::copy(std::env::current_exe().unwrap(), &binary).unwrap();
    let mut command = std::process::Command::new(binary);
    command
        .args(["--exact", "fpm::ends::a_socket_of_another_user_is_named"])
        .env(SOCKET_VARIABLE, format!("unix:{}", path.display()));
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    let output = command.current_dir("/").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    // A name that no test has would run none, and succeed.
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_reached_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("unix:{}", folder.path().join("none.sock").display());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (address, expected) in [(missing, "retry socket_missing"), (format!("127.0.0.1:{port}"), "retry fpm_down")] {
        let target = target(&settings(&address, Path::new("/w/notify.php")));
        let attempted = deliver(&*target, envelope("x"), ENOUGH).await;
        assert_eq!(said(&attempted), expected, "{attempted:?}");
        assert!(detail(&attempted).contains(&address));
    }
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let target = target(&settings("127.0.0.1:9", Path::new("/w/notify.php")));
    let attempted = target.deliver(&[envelope("x"), envelope("y")], Instant::now()).await;
    assert_eq!(attempted.iter().map(said).collect::<Vec<_>>(), ["retry no_time_left", "retry no_time_left"]);
}
