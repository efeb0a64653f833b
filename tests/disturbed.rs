//! The real program while somebody disturbs it: reloads and signals at the wrong moment, crowds at the admin
//! listener, forgers on a connection that others share.

mod support {
    pub(crate) mod gateway;
}

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::json;
use support::gateway::{
    Gateway, PATIENCE, Setup, TOKEN, World, exchange, free_address, get, read_reply, wait_for, wire,
};

/// A gateway whose target nobody serves.
fn world(server: &str) -> World {
    let world = World::new(&Setup::new("127.0.0.1:9", Path::new("/nowhere.php")));
    world.reconfigure(|text| text.replacen("[server]\n", &format!("[server]\nwatch = false\n{server}"), 1));
    world
}

fn replace(world: &World, from: &str, to: &str) {
    world.reconfigure(|text| {
        assert!(text.contains(from), "`{from}` is not in:\n{text}");
        text.replacen(from, to, 1)
    });
}

fn signal(gateway: &Gateway, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn metric(world: &World, name: &str) -> u64 {
    let text = get(world.admin, "/metrics").expect("the metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// SIGHUP, and waits until the files are in force.
fn reload(world: &World, gateway: &Gateway) {
    let applied = || metric(world, "tollbell_reload_total{result=\"applied\"}");
    let before = applied();
    signal(gateway, Signal::HUP);
    wait_for("the reload", || (applied() > before).then_some(()));
}

fn is_success(reply: Option<support::gateway::Replied>) -> bool {
    reply.is_some_and(|reply| reply.status == 200 && reply.body == b"success")
}

/// Bytes of a command to the admin listener.
fn command(body: &str) -> Vec<u8> {
    format!(
        "POST /control HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

const RELOAD: &str = r#"{"reload":{"is_dry":false,"discard":[]}}"#;

#[test]
fn status_shows_the_addresses_of_now() {
    let world = world("");
    let gateway = world.start();
    let new = free_address();
    replace(&world, &format!("listen = \"{}\"", world.address), &format!("listen = \"{new}\""));
    reload(&world, &gateway);
    assert_eq!(world.json(&["status"])[0]["addresses"], json!([new.to_string()]));
}

#[test]
fn a_node_that_drains_says_so_to_who_asks_for_a_reload() {
    let mut world = world("");
    replace(&world, "body_timeout = \"2s\"", "body_timeout = \"10m\"");
    replace(&world, "drain_timeout = \"5s\"", "drain_timeout = \"10m\"");
    let mut gateway = world.start();
    let mut begun = TcpStream::connect(world.address).unwrap();
    begun.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = wire("/notify/alipay", &world.payment("DRAIN-1", 1000));
    begun.write_all(&bytes[..bytes.len() - 10]).unwrap();
    wait_for("the connection", || (metric(&world, "tollbell_connections") == 1).then_some(()));
    signal(&gateway, Signal::TERM);
    wait_for("the drain", || get(world.admin, "/readyz").filter(|reply| reply.status == 503));
    signal(&gateway, Signal::HUP);
    let reply = exchange(world.admin, &command(RELOAD)).expect("an answer while it drains");
    assert_eq!((reply.status, reply.text().contains("the node is stopping")), (500, true), "{}", reply.text());
    assert!(!gateway.has_ended());
    begun.write_all(&bytes[bytes.len() - 10..]).unwrap();
    assert_eq!(read_reply(&mut begun).unwrap().body, b"success");
    assert!(wait_for("the end", || gateway.child.try_wait().unwrap()).success());
}

#[test]
fn what_a_sender_writes_before_its_proxys_word_hides_nobody() {
    let mut world = world("trusted_proxies = \"127.0.0.1\"\nrate_per_ip = 1\nrate_burst = 5\n");
    let _gateway = world.start();
    let payment = world.payment("HIDE-1", 1000);
    let bytes = wire("/notify/alipay", &payment);
    let at = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    // As nginx passes it on: the sender's own line, a comma, and the address that it saw.
    for hiding in [&b"\xe9"[..], b"\xff\xfe,", b"\xe6\xb5\x8b, 10.0.0.1", b"<x>"] {
        let line = [b"x-forwarded-for: ", hiding, b", 198.51.100.1\r\n"].concat();
        let asked = [&bytes[..at], &line, &bytes[at..]].concat();
        let statuses: Vec<u16> = (0..20).map(|_| exchange(world.address, &asked).unwrap().status).collect();
        assert!(statuses.contains(&503), "{}: {statuses:?}", String::from_utf8_lossy(hiding));
    }
    assert_eq!(metric(&world, "tollbell_forwarded_unreadable_total"), 0);
}

#[test]
fn tokens_are_those_of_the_files_from_the_reload_on() {
    let world = world("");
    let gateway = world.start();
    let status = |token: &str| {
        exchange(world.admin, &String::from_utf8(command("\"status\"")).unwrap().replace(TOKEN, token).into_bytes())
            .unwrap()
            .status
    };
    let other = "other-token-other-token-other-tok1";
    assert_eq!((status(TOKEN), status(other)), (200, 401));
    fs::write(world.path("admin_token"), other).unwrap();
    reload(&world, &gateway);
    assert_eq!((status(TOKEN), status(other)), (401, 200));
    // Open to others, or empty: the reload is refused as a whole, and who could come in still can.
    fs::write(world.path("admin_token"), "").unwrap();
    signal(&gateway, Signal::HUP);
    wait_for("the refusal", || (metric(&world, "tollbell_reload_total{result=\"broken\"}") == 1).then_some(()));
    assert_eq!((status(TOKEN), status(other), status("")), (401, 200, 401));
    assert!(!world.log().contains(other) && !world.log().contains(TOKEN));
}

#[test]
fn a_node_that_is_killed_in_a_reload_starts_again_with_what_it_had() {
    let mut world = world("");
    for n in 0..5 {
        let mut gateway = world.start();
        let payment = world.payment(&format!("KILL-{n}"), 1000);
        assert!(is_success(world.send(&payment)));
        let text = format!("body_limit = \"{}KiB\"\n", 100 + n);
        world.reconfigure(|now| {
            let kept: Vec<&str> = now.lines().filter(|line| !line.starts_with("body_limit")).collect();
            kept.join("\n").replacen("[server]\n", &format!("[server]\n{text}"), 1) + "\n"
        });
        signal(&gateway, Signal::HUP);
        std::thread::sleep(std::time::Duration::from_millis(n * 10));
        gateway.kill_hard();
    }
    let _gateway = world.start();
    assert_eq!(world.events().len(), 5);
    assert_eq!(world.json(&["status"])[0]["state"], json!("ready"));
}

#[test]
fn a_storm_of_reloads_is_answered_and_callbacks_go_on() {
    let mut world = world("");
    let _gateway = world.start();
    let payments: Vec<_> = (0..20).map(|n| world.payment(&format!("RUSH-{n}"), 1000)).collect();
    let world = &world;
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| {
                    (0..10).filter(|_| exchange(world.admin, &command(RELOAD)).is_some_and(|r| r.status == 200)).count()
                })
            })
            .collect();
        assert!(payments.iter().all(|payment| is_success(world.send(payment))));
        let answered: usize = asking.into_iter().map(|asked| asked.join().unwrap()).sum();
        assert_eq!(answered, 240);
    });
    assert_eq!(world.events().len(), 20);
}

#[test]
fn a_channel_that_was_removed_is_not_missed() {
    let mut world = world("");
    let gateway = world.start();
    let (payment, second) = (world.payment("GONE-1", 1000), world.payment("GONE-2", 1000));
    assert!(is_success(world.send(&payment)));
    let has = |id: &str| {
        let name = format!("tollbell_last_genuine_timestamp_seconds{{channel=\"{id}\"}}");
        get(world.admin, "/metrics").unwrap().text().contains(&name)
    };
    assert!(has("alipay"));
    replace(&world, "id = \"alipay\"", "id = \"other\"");
    reload(&world, &gateway);
    assert!(!has("alipay"), "the alert for silent channels would come for it");
    assert!(is_success(world.send_to("/notify/other", &second)) && has("other"));
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_reload_whose_files_cannot_be_read_to_their_end_does_not_keep_the_node_from_ending() {
    let mut world = world("");
    let mut gateway = world.start();
    fs::create_dir(world.path("channels.d")).unwrap();
    make_pipe(&world.path("channels.d/hung.toml"));
    signal(&gateway, Signal::HUP);
    // The pipe is being read, by nobody else than the reload.
    let _writer = fs::File::options().write(true).open(world.path("channels.d/hung.toml")).unwrap();
    let payment = world.payment("HUNG-1", 1000);
    assert!(is_success(world.send(&payment)), "callbacks go on");
    wait_for("the reload to be given up", || {
        (metric(&world, "tollbell_reload_total{result=\"broken\"}") == 1).then_some(())
    });
    assert!(world.log().contains("took longer than"));
    signal(&gateway, Signal::HUP);
    assert!(gateway.terminate().success());
}

#[test]
fn a_hangup_while_the_node_starts_does_not_end_it() {
    let world = world("");
    fs::create_dir(world.path("channels.d")).unwrap();
    let pipe = world.path("channels.d/later.toml");
    make_pipe(&pipe);
    let mut gateway = world.spawn(&[]);
    // It starts: it reads the pipe.
    let mut writer = fs::File::options().write(true).open(&pipe).unwrap();
    signal(&gateway, Signal::HUP);
    fs::remove_file(&pipe).unwrap();
    writer.write_all(b"\n").unwrap();
    drop(writer);
    wait_for("the node to serve", || {
        assert!(!gateway.has_ended(), "it ended by the signal");
        get(world.admin, "/readyz").filter(|reply| reply.status == 200)
    });
    assert!(gateway.terminate().success());
}

#[test]
fn a_crowd_of_silent_connections_at_the_admin_listener_shuts_nobody_out() {
    let world = world("");
    let gateway = world.start();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = std::collections::VecDeque::new();
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(mut stream) = TcpStream::connect(world.admin) {
                    // Some say a little, and never the end of it.
                    let _cut = held.len().is_multiple_of(2).then(|| stream.write_all(b"GET /healthz HTT"));
                    held.push_back(stream);
                }
                if held.len() > 200 {
                    held.pop_front();
                }
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(500));
        let answered = (0..50)
            .filter(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                get(world.admin, "/readyz").is_some_and(|reply| reply.status == 200)
            })
            .count();
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(answered, 50, "answers to health checks beside the crowd");
    });
    drop(gateway);
}

#[test]
fn reloads_give_nobody_a_new_allowance_and_no_more_places() {
    let mut world = world("max_connections = 4\ntrusted_proxies = \"127.0.0.1\"\nrate_per_ip = 1\nrate_burst = 40\n");
    replace(&world, "header_timeout = \"2s\"", "header_timeout = \"10m\"");
    replace(&world, "body_timeout = \"2s\"", "body_timeout = \"10m\"");
    let gateway = world.start();
    let payment = world.payment("STORM-1", 1000);
    let from = |address: &str| {
        let text = wire("/notify/alipay", &payment);
        let at = text.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
        [&text[..at], format!("x-forwarded-for: {address}\r\n").as_bytes(), &text[at..]].concat()
    };
    let ask = || exchange(world.address, &from("198.51.100.1")).unwrap().status;
    wait_for("the sender's rate to be spent", || (ask() == 503).then_some(()));
    for n in 0..3 {
        replace(
            &world,
            "[[channel]]",
            &format!("[[route]]\ntargets = [\"shop\"]\nevents = [\"refund.{n}*\"]\n[[channel]]"),
        );
        world.reconfigure(|text| text.replace(&format!("refund.{n}*"), "refund.*"));
        reload(&world, &gateway);
    }
    let after: Vec<u16> = (0..20).map(|_| ask()).collect();
    assert!(after.contains(&503), "the rate is still known: {after:?}");

    let mut held = Vec::new();
    for n in 0..6 {
        for _ in 0..2 {
            let mut stream = TcpStream::connect(world.address).unwrap();
            stream.write_all(b"POST /notify/alipay HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n").unwrap();
            held.push(stream);
        }
        world.reconfigure(|text| text.replacen("[server]\n", &format!("[server]\n#{n}\n"), 1));
        let (old, new) = (format!("body_limit = \"{}KiB\"\n", 99 + n), format!("body_limit = \"{}KiB\"\n", 100 + n));
        world.reconfigure(|text| text.replace(&old, "").replacen("[server]\n", &format!("[server]\n{new}"), 1));
        reload(&world, &gateway);
    }
    assert!(metric(&world, "tollbell_connections") <= 4, "{}", metric(&world, "tollbell_connections"));
    drop(held);
    wait_for("places again", || is_success(exchange(world.address, &from("203.0.113.9"))).then_some(()));
}
