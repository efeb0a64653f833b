//! The socket of the node: whose it is, and what lies in its place.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use super::world::{NOBODY, REPLAY, STATUS, audit, failed_with, lonely, told};
use crate::support::gateway::{World, wait_for};

/// curl on the socket, as another user when one is given.
fn curl(world: &World, user: Option<&str>, path: &str, body: Option<&str>) -> (u16, String) {
    let mut command = match user {
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", user, "--clear-groups", "curl"]);
            command
        }
        None => Command::new("curl"),
    };
    command.args(["-s", "-w", "\n%{http_code}", "--unix-socket"]).arg(world.path("tollbell.sock"));
    if let Some(body) = body {
        command.args(["-H", "Content-Type: application/json", "--data", body]);
    }
    let output = command.arg(format!("http://localhost{path}")).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn the_socket_is_for_the_nodes_own_user() {
    let world = lonely();
    let _gateway = world.start();
    let path = world.path("tollbell.sock");
    let found = fs::symlink_metadata(&path).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let (status, body) = curl(&world, None, "/control", Some(STATUS));
    assert_eq!(status, 200, "{body}");
    assert_eq!(curl(&world, None, "/metrics", None).0, 200);
    let (status, body) = curl(&world, None, "/control", Some(REPLAY));
    assert_eq!((status, body.as_str()), (200, "{\"answer\":{\"replayed\":{\"count\":0}}}\n"));
    assert_eq!(audit(&world), [("uid:0".to_owned(), "replay dead: 0".to_owned())]);

    // Even when somebody opens the file to all, the system says who comes.
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(curl(&world, Some(NOBODY), "/healthz", None).0, 0, "the mode keeps them out");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let (status, body) = curl(&world, Some(NOBODY), "/control", Some(REPLAY));
    assert_eq!((status, body.as_str()), (403, "{\"error\":{\"forbidden\":{\"needs\":\"owner\"}}}\n"));
    assert_eq!(curl(&world, Some(NOBODY), "/control", Some(STATUS)).0, 403);
    assert_eq!(curl(&world, Some(NOBODY), "/metrics", None).0, 403);
    assert_eq!(curl(&world, Some(NOBODY), "/readyz", None), (200, "ready\n".to_owned()));
    assert_eq!(audit(&world).len(), 1);
}

#[test]
fn what_a_dead_node_left_is_removed_and_nothing_else() {
    let world = lonely();
    let path = world.path("tollbell.sock");
    let mut gateway = world.start();
    gateway.kill_hard();
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket(), "it was left behind");
    let mut gateway = world.start();
    assert!(told(&world.cli(&["status"])).contains(": ready"));
    assert!(gateway.terminate().success());

    let refused = |why: &str| {
        let mut gateway = world.spawn(&[]);
        let status = wait_for("the end", || gateway.child.try_wait().unwrap());
        assert!(!status.success());
        assert!(world.log().contains(why), "no `{why}` in {}", world.log());
    };
    fs::write(&path, "mine").unwrap();
    refused("is no socket; choose another name");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/nowhere", &path).unwrap();
    refused("is no socket; choose another name");
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    refused("another process answers on");
    assert!(path.exists());
    drop(other);
    fs::remove_file(&path).unwrap();
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    refused("everybody may write into");
    fs::set_permissions(world.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let _gateway = world.start();
}

#[test]
fn a_second_node_is_refused_and_leaves_the_firsts_socket_alone() {
    let world = lonely();
    let _gateway = world.start();
    let second = world.path("second.toml");
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let text = text.replace(&world.address.to_string(), "127.0.0.1:0").replace(&world.admin.to_string(), "127.0.0.1:0");
    fs::write(&second, &text).unwrap();
    let serve = |config: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.args(["--lang", "en", "--config"]).arg(config).arg("serve").output().unwrap()
    };
    failed_with(&serve(&second), &["another process serves from this inbox"]);
    // Another inbox, and the same socket.
    fs::write(&second, text.replace("[log]", "[inbox]\nurl = \"sqlite:second.db\"\n[log]")).unwrap();
    failed_with(&serve(&second), &["another process answers on"]);
    assert!(told(&world.cli(&["status"])).contains(": ready"), "the first is still reached");
}

#[test]
fn what_another_user_put_in_the_sockets_place_is_not_obeyed() {
    let world = lonely();
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let fake = open.path().join("fake.sock");
    world.reconfigure(|text| text.replace("[admin]\n", "[admin]\nsocket = \"\"\n"));
    let _gateway = world.start();
    world.reconfigure(|text| text.replace("socket = \"\"", &format!("socket = \"{}\"", fake.display())));
    let code =
        "import socket, sys, time\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\ntime.sleep(600)";
    let mut listener = Command::new("setpriv")
        .args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "/usr/bin/python3", "-c", code])
        .arg(&fake)
        .spawn()
        .unwrap();
    wait_for("the other's socket", || fake.exists().then_some(()));
    let output = world.cli(&["replay", "--dead"]);
    let _gone = listener.kill();
    listener.wait().unwrap();
    failed_with(&output, &["trust ", "fake.sock", "belongs to user 65534"]);
}
