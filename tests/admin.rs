//! The admin surface as an operator, a scraper and an intruder on the same machine meet it: the real program, its
//! socket, its tokens, and commands through the running node.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::{Value, json};
use support::gateway::{Gateway, Replied, Setup, TOKEN, World, exchange, get, read_reply, wait_for, wire};
use support::php_fpm::{Options, PhpFpm, send};

/// Tokens of the tests.
const VIEWER: &str = "viewer-token-viewer-token-viewer-1";
const OPERATOR: &str = TOKEN;
/// Any user but root.
const NOBODY: &str = "65534";
/// A command that only reads, and one that writes.
const STATUS: &str = "\"status\"";
const REPLAY: &str = r#"{"replay":{"what":{"dead":100},"target":null}}"#;

/// Notes the run and confirms when the file `mode` beside it says `good`.
const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
echo trim(file_get_contents(__DIR__ . '/mode')) === 'good' ? 'success' : 'fail';
"#;

struct Shop {
    fpm: PhpFpm,
    script: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.script("notify.php", SCRIPT);
        let shop = Self { fpm, script };
        shop.mode("good");
        shop
    }

    fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode"), mode).unwrap();
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn world(&self) -> World {
        World::new(&Setup::new(&self.fpm.address(), &self.script))
    }
}

/// A gateway whose target nobody serves: for what needs no delivery.
fn lonely() -> World {
    let world = World::new(&Setup::new("127.0.0.1:9", Path::new("/nowhere.php")));
    world.reconfigure(|text| text.replace("open_metrics = true", "open_metrics = false"));
    world
}

fn with_viewer(world: &World) {
    let token = world.path("viewer_token");
    fs::write(&token, format!("{VIEWER}\n")).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    world.reconfigure(|text| {
        text.replace(
            "[log]",
            "[[admin.token]]\nname = \"grafana\"\nrole = \"viewer\"\ntoken_file = \"viewer_token\"\n[log]",
        )
    });
}

/// A request to the admin listener, with a good `Host` unless the headers bring one.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        text.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if method == "POST" {
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[track_caller]
fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Replied {
    exchange(world.admin, &request(method, path, headers, body)).expect("a reply")
}

/// A command over TCP.
#[track_caller]
fn command(world: &World, token: Option<&str>, body: &str) -> Replied {
    let authorization = token.map(bearer);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.iter().map(|(name, value)| (*name, value.as_str())));
    ask(world, "POST", "/control", &headers, body)
}

#[track_caller]
fn metrics(world: &World) -> String {
    let (name, value) = bearer(OPERATOR);
    let reply = ask(world, "GET", "/metrics", &[(name, &value)], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

/// The rows of the audit, oldest first.
fn audit(world: &World) -> Vec<(String, String)> {
    let conn = Connection::open(world.path("tollbell.db")).unwrap();
    let mut rows = conn
        .prepare(
            "SELECT who, what || coalesce((SELECT group_concat(' ' || value, '') FROM json_each(subjects)), '')
             || coalesce(': ' || result, '') FROM audit ORDER BY seq",
        )
        .unwrap();
    rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap()
}

#[track_caller]
fn failed_with(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it went well: {text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

fn pay(world: &mut World, order_no: &str) {
    let payment = world.payment(order_no, 1000);
    let reply = world.send(&payment).unwrap();
    assert_eq!(reply.body, b"success");
}

#[test]
fn each_route_asks_for_its_role() {
    let world = lonely();
    with_viewer(&world);
    let _gateway = world.start();
    let wrong = "wrong-token-wrong-token-wrong-tok-1";
    for (token, health, ready, metrics, read, write, file) in [
        (None, 200, 200, 401, 401, 401, 401),
        (Some(wrong), 200, 200, 401, 401, 401, 401),
        (Some(VIEWER), 200, 200, 200, 200, 403, 403),
        (Some(OPERATOR), 200, 200, 200, 200, 200, 403),
    ] {
        let authorization = token.map(bearer);
        let headers: Vec<(&str, &str)> = authorization.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (path, status) in [("/healthz", health), ("/readyz", ready), ("/metrics", metrics)] {
            assert_eq!(ask(&world, "GET", path, &headers, "").status, status, "{token:?} {path}");
        }
        let copy = format!("{{\"backup\":{{\"to\":\"{}\"}}}}", world.path("stolen.db").display());
        for (body, status) in [(STATUS, read), ("\"gaps\"", read), (REPLAY, write), (copy.as_str(), file)] {
            assert_eq!(command(&world, token, body).status, status, "{token:?} {body}");
        }
    }
    assert!(!world.path("stolen.db").exists(), "a token made the node write a file");
    let reply = command(&world, None, STATUS);
    assert!(reply.head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{}", reply.head);
    assert_eq!(reply.text(), "no_token\n");
    for path in ["/", "/control/", "/metrics/..", "/console", "/healthz/x"] {
        assert_eq!(get(world.admin, path).unwrap().status, 404, "{path}");
    }
    let forbidden: Value = serde_json::from_slice(&command(&world, Some(VIEWER), REPLAY).body).unwrap();
    assert_eq!(forbidden, json!({ "error": { "forbidden": { "needs": "operator" } } }));
    let text = metrics(&world);
    for reason in ["no_token", "wrong_token", "role"] {
        assert!(text.contains(&format!("tollbell_admin_refused_total{{reason=\"{reason}\"}}")), "{reason}: {text}");
    }
    assert!(text.contains("tollbell_open_gaps 0\n"), "{text}");
    assert!(!world.log().contains(VIEWER) && !world.log().contains(OPERATOR) && !world.log().contains(wrong));
    let who: Vec<String> = audit(&world).into_iter().map(|(who, _)| who).collect();
    assert_eq!(who, ["token:test"], "only what was done is in the audit, by its name");
}

#[test]
fn metrics_can_be_open_and_nothing_else_is() {
    let world = lonely();
    world.reconfigure(|text| text.replace("open_metrics = false", "open_metrics = true"));
    let _gateway = world.start();
    assert_eq!(get(world.admin, "/metrics").unwrap().status, 200);
    assert_eq!(command(&world, None, STATUS).status, 401);
    let page = [("origin", "http://evil.example")];
    assert_eq!(ask(&world, "GET", "/metrics", &page, "").status, 403, "open to this machine, not to web pages");
    assert_eq!(ask(&world, "GET", "/metrics", &[("host", "evil.example")], "").status, 403);
}

#[test]
fn without_a_token_only_health_answers_over_tcp() {
    let world = lonely();
    world.reconfigure(|text| {
        let at = text.find("[[admin.token]]").unwrap();
        let end = at + text[at..].find("[log]").unwrap();
        format!("{}{}", &text[..at], &text[end..])
    });
    let said = world.cli(&["check"]);
    let said = String::from_utf8(said.stderr).unwrap();
    assert!(said.contains("`admin.token`") && said.contains("tollbell.sock"), "{said}");
    let _gateway = world.start();
    assert_eq!(get(world.admin, "/healthz").unwrap().text(), "ok\n");
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n");
    assert_eq!(get(world.admin, "/metrics").unwrap().status, 401);
    assert_eq!(command(&world, Some(OPERATOR), STATUS).status, 401);
    assert!(told(&world.cli(&["status"])).contains(": ready"), "the socket works");
}

#[test]
fn an_old_and_a_new_token_work_side_by_side() {
    let world = lonely();
    let next = "next-token-next-token-next-token-1";
    let path = world.path("next_token");
    fs::write(&path, next).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let table = "[[admin.token]]\nname = \"test-2\"\nrole = \"operator\"\ntoken_file = \"next_token\"\n";
    world.reconfigure(|text| text.replace("[log]", &format!("{table}[log]")));
    let mut gateway = world.start();
    for token in [OPERATOR, next] {
        assert_eq!(command(&world, Some(token), STATUS).status, 200);
    }
    assert!(gateway.terminate().success());
    world.reconfigure(|text| text.replace("token_file = \"admin_token\"", "token_env = \"NOT_SET\""));
    failed_with(&world.cli(&["check"]), &["admin.token.token_env"]);
    world.reconfigure(|text| {
        text.replace("[[admin.token]]\nname = \"test\"\nrole = \"operator\"\ntoken_env = \"NOT_SET\"\n", "")
    });
    let _gateway = world.start();
    assert_eq!(command(&world, Some(OPERATOR), STATUS).status, 401);
    assert_eq!(command(&world, Some(next), STATUS).status, 200);
}

#[test]
fn many_wrong_tries_are_slowed_down_and_shut_nobody_out() {
    let world = lonely();
    let _gateway = world.start();
    let wrong = "wrong-token-wrong-token-wrong-tok-1";
    wait_for("the limit", || (command(&world, Some(wrong), STATUS).status == 429).then_some(()));
    assert_eq!(command(&world, Some(OPERATOR), STATUS).status, 200, "whoever has the right one is not shut out");
    let text = metrics(&world);
    for reason in ["wrong_token", "too_many_tries"] {
        assert!(text.contains(&format!("reason=\"{reason}\"}}")), "{text}");
    }
}

#[test]
fn what_a_web_page_can_send_is_refused() {
    let world = lonely();
    let gateway = world.start();
    let (name, value) = bearer(OPERATOR);
    let right = (name, value.as_str());
    let json = ("content-type", "application/json");
    for (headers, status) in [
        (vec![right, json], 200),
        (vec![right, json, ("host", "127.0.0.1:8081")], 200),
        (vec![right, json, ("host", "[::1]:8081")], 200),
        (vec![right, ("content-type", "application/json; charset=utf-8")], 200),
        // A name that points here since a moment ago.
        (vec![right, json, ("host", "evil.example")], 403),
        (vec![right, json, ("host", "evil.example:8081")], 403),
        (vec![right, json, ("host", "127.0.0.1.evil.example")], 403),
        (vec![right, json, ("host", "localhost"), ("host", "evil.example")], 403),
        (vec![right, json, ("origin", "http://localhost:8081")], 403),
        (vec![right, json, ("origin", "null")], 403),
        // What a form can send.
        (vec![right], 415),
        (vec![right, ("content-type", "text/plain")], 415),
        (vec![right, ("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![right, ("content-type", "application/json-x")], 415),
        (vec![right, json, ("content-encoding", "gzip")], 415),
    ] {
        assert_eq!(ask(&world, "POST", "/control", &headers, STATUS).status, status, "{headers:?}");
    }
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let reply = ask(&world, method, "/control", &[right], "");
        assert_eq!(reply.status, 405, "{method}");
        assert!(!reply.head.to_ascii_lowercase().contains("access-control"), "{}", reply.head);
    }
    assert_eq!(ask(&world, "POST", "/metrics", &[right], "").status, 405);
    let absolute = request("GET", "http://evil.example/metrics", &[right], "");
    assert_eq!(exchange(world.admin, &absolute).unwrap().status, 403);
    // A balancer's oldest probe names no host, and may know whether the process runs.
    let old = exchange(world.admin, b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!((old.status, old.text()), (200, "ok\n".to_owned()));
    world.reconfigure(|text| text.replace("open_metrics", "hosts = [\"admin.example\"]\nopen_metrics"));
    ended(gateway);
    let _gateway = world.start();
    let named = [right, json, ("host", "Admin.Example:443")];
    assert_eq!(ask(&world, "POST", "/control", &named, STATUS).status, 200);
}

#[test]
fn huge_slow_and_odd_commands_are_refused() {
    let world = lonely();
    let gateway = world.start();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("null", 400),
        ("\"reboot\"", 400),
        ("\"status\" \"status\"", 400),
        (r#"{"status":null,"gaps":null}"#, 400),
        (r#"{"replay":{"what":{"dead":100},"target":null,"by":"root"}}"#, 400),
        (r#"{"replay":{"what":{"event":"evt_1"},"target":null}}"#, 400),
        (r#"{"replay":{"what":{"event":"evt_0193ac6ce0f57d6e9f7c5f3f3c3c3c3c"},"target":null}}"#, 404),
        (r#"{"close_gap":{"id":7,"why":"x"}}"#, 404),
        (r#"{"close_gap":{"id":7,"why":" "}}"#, 400),
        (r#"{"close_gap":{"id":99999999999999999999,"why":"x"}}"#, 400),
    ] {
        assert_eq!(command(&world, Some(OPERATOR), body).status, status, "{body}");
    }
    let deep = "[".repeat(60_000);
    assert_eq!(command(&world, Some(OPERATOR), &deep).status, 400);
    let why = "x".repeat(2000);
    assert_eq!(
        command(&world, Some(OPERATOR), &format!("{{\"close_gap\":{{\"id\":1,\"why\":\"{why}\"}}}}")).status,
        400
    );
    let huge = " ".repeat(70_000);
    assert_eq!(command(&world, Some(OPERATOR), &huge).status, 413);

    let head = format!(
        "POST /control HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {OPERATOR}\r\ncontent-type: application/json\r\n"
    );
    // Announced as endless, and in pieces.
    let endless = format!("{head}content-length: 99999999999\r\n\r\n\"sta");
    assert_eq!(exchange(world.admin, endless.as_bytes()).unwrap().status, 413);
    let mut pieces = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..80 {
        pieces.extend_from_slice(b"400\r\n");
        pieces.extend_from_slice(&[b' '; 1024]);
        pieces.extend_from_slice(b"\r\n");
    }
    assert_eq!(exchange(world.admin, &pieces).unwrap().status, 413);
    // One that never ends, one that breaks off, and one that never begins.
    let slow = format!("{head}content-length: 8\r\n\r\n\"sta");
    assert_eq!(exchange(world.admin, slow.as_bytes()).unwrap().status, 408);
    let mut cut = TcpStream::connect(world.admin).unwrap();
    cut.write_all(slow.as_bytes()).unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(read_reply(&mut cut).is_none_or(|reply| reply.status == 400));
    let mut silent = TcpStream::connect(world.admin).unwrap();
    silent.set_read_timeout(Some(support::gateway::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    // Two requests in one breath: one answer.
    let (name, value) = bearer(OPERATOR);
    let twice = [request("GET", "/metrics", &[(name, &value)], ""), request("GET", "/metrics", &[(name, &value)], "")];
    let mut stream = TcpStream::connect(world.admin).unwrap();
    stream.set_read_timeout(Some(support::gateway::PATIENCE)).unwrap();
    stream.write_all(&twice.concat()).unwrap();
    let mut answers = Vec::new();
    let _reset = stream.read_to_end(&mut answers);
    assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count(), 1);
    assert_eq!(command(&world, Some(OPERATOR), STATUS).status, 200, "it still answers");
    drop(gateway);
}

#[test]
fn readiness_is_one_word_for_everybody_and_a_cause_for_those_who_may_know() {
    let shop = Shop::new();
    let mut world = shop.world();
    let mut gateway = world.start();
    let (name, value) = bearer(OPERATOR);
    let detail = |world: &World| ask(world, "GET", "/readyz", &[(name, &value)], "");
    pay(&mut world, "READY-1");
    delivered(&world, 1);
    assert_eq!(
        (get(world.admin, "/readyz").unwrap().text(), detail(&world).text()),
        ("ready\n".into(), "ready\n".into())
    );

    let (path, away) = (world.path("tollbell.db"), world.path("away.db"));
    fs::rename(&path, &away).unwrap();
    let payment = world.payment("READY-2", 1000);
    assert_ne!(world.send(&payment).unwrap().body, b"success");
    let short = get(world.admin, "/readyz").unwrap();
    assert_eq!((short.status, short.text().as_str()), (200, "busy\n"), "its own busy reply is better than a 502");
    assert!(detail(&world).text().starts_with("busy: the inbox's files were moved"), "{}", detail(&world).text());
    let wrong = ask(&world, "GET", "/readyz", &[("authorization", "Bearer wrong")], "");
    assert_eq!(wrong.text(), "busy\n");
    let page = ask(&world, "GET", "/readyz", &[(name, &value), ("host", "evil.example")], "");
    assert_eq!(page.text(), "busy\n");
    fs::rename(&away, &path).unwrap();
    wait_for("the inbox to be good again", || (get(world.admin, "/readyz").unwrap().text() == "ready\n").then_some(()));

    // A callback that has begun and does not end keeps the node draining.
    let mut begun = TcpStream::connect(world.address).unwrap();
    let bytes = wire("/notify/alipay", &world.payment("READY-3", 1000));
    begun.write_all(&bytes[..bytes.len() - 10]).unwrap();
    wait_for("the connection", || metrics(&world).contains("tollbell_connections 1").then_some(()));
    send("-TERM", gateway.child.id());
    wait_for("the drain", || {
        get(world.admin, "/readyz").filter(|reply| reply.status == 503 && reply.text() == "draining\n")
    });
    assert!(String::from_utf8(world.cli(&["status"]).stdout).unwrap().contains(": ending"));
    begun.write_all(&bytes[bytes.len() - 10..]).unwrap();
    assert_eq!(read_reply(&mut begun).unwrap().body, b"success");
    let status = wait_for("the end", || gateway.child.try_wait().unwrap());
    assert!(status.success());
    assert!(!world.path("tollbell.sock").exists(), "the socket goes with its node");
}

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
fn a_replay_through_the_node_wakes_the_delivery_at_once() {
    let shop = Shop::new();
    shop.mode("bad");
    let mut world = shop.world();
    // Only a wake-up can bring it within this test's patience.
    world.reconfigure(|text| {
        text.replace("scan = \"200ms\"", "scan = \"1h\"").replace(
            "ladder = [\"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\", \"200ms\"]",
            "ladder = [\"10ms\"]",
        )
    });
    let _gateway = world.start();
    pay(&mut world, "WAKE-1");
    wait_for("it to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
    shop.mode("good");
    let replayed = world.json(&["replay", "--dead"]);
    assert_eq!(replayed, [json!({ "replayed": 1 })]);
    delivered(&world, 1);
    let id = world.events()[0]["id"].as_str().unwrap().to_owned();
    assert!(shop.runs().iter().all(|run| *run == format!("WAKE-1 {id}")), "{:?}", shop.runs());
    assert_eq!(audit(&world), [("uid:0".to_owned(), "replay dead: 1".to_owned())]);
    assert!(world.log().contains("\"by\":\"uid:0\""), "{}", world.log());
    failed_with(&world.cli(&["replay", "evt_0193ac6ce0f57d6e9f7c5f3f3c3c3c3c"]), &["failed to replay: not found"]);
}

#[test]
fn a_backup_is_written_by_the_node_where_the_person_stands() {
    let shop = Shop::new();
    let mut world = shop.world();
    let _gateway = world.start();
    pay(&mut world, "COPY-1");
    delivered(&world, 1);
    let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--lang", "en", "backup", "copy.db"])
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    assert_eq!(told(&output), "The backup is in copy.db\n");
    let copy = world.path("copy.db");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        audit(&world),
        [("uid:0".to_owned(), format!("backup to {}", fs::canonicalize(&copy).unwrap().display()))]
    );
    failed_with(&world.cli(&["backup", copy.to_str().unwrap()]), &["write the backup", "exists"]);
}

#[test]
fn without_a_node_commands_work_by_themselves() {
    let shop = Shop::new();
    shop.mode("bad");
    let mut world = shop.world();
    let mut gateway = world.start();
    pay(&mut world, "ALONE-1");
    wait_for("it to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
    assert!(gateway.terminate().success());
    let output = world.cli(&["status"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("No gateway serves from "));
    assert_eq!(String::from_utf8_lossy(&world.cli(&["status", "--json"]).stdout), "{\"running\":false}\n");
    assert_eq!(world.json(&["replay", "--dead"]), [json!({ "replayed": 1 })]);
    assert_eq!(audit(&world), [("cli".to_owned(), "replay dead: 1".to_owned())]);
    shop.mode("good");
    let _gateway = world.start();
    delivered(&world, 1);
}

#[test]
fn a_node_that_cannot_be_reached_is_named_with_the_cure() {
    let world = lonely();
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    world.reconfigure(|text| text.replace("[admin]\n", "[admin]\nsocket = \"\"\n"));
    let mut gateway = world.start();
    assert!(!world.path("tollbell.sock").exists());
    for args in [&["replay", "--dead"][..], &["backup", "x.db"], &["status"], &["gaps"]] {
        failed_with(&world.cli(args), &["its socket is switched off", "restart it, or stop it"]);
    }
    // The configuration was changed since, and the node was not restarted.
    fs::write(world.path("tollbell.toml"), &text).unwrap();
    failed_with(&world.cli(&["replay", "--dead"]), &["tollbell.sock", "restart it, or stop it"]);
    assert!(audit(&world).is_empty(), "nothing was written behind the node's back");
    assert!(gateway.terminate().success());

    // A node that hangs is not waited for without end.
    let gateway = world.start();
    send("-STOP", gateway.child.id());
    let output = world.cli(&["status"]);
    send("-CONT", gateway.child.id());
    failed_with(&output, &["within 10 s", "it may be hung"]);
}

#[test]
fn an_answer_of_another_kind_is_not_taken_for_success() {
    let world = lonely();
    let fake = world.path("fake.sock");
    world.reconfigure(|text| text.replace("[admin]\n", "[admin]\nsocket = \"\"\n"));
    let _gateway = world.start();
    world.reconfigure(|text| text.replace("socket = \"\"", "socket = \"fake.sock\""));
    let listener = UnixListener::bind(&fake).unwrap();
    let answers = |body: &'static str| {
        let listener = listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            let _some = stream.read(&mut asked).unwrap();
            stream.write_all(body.as_bytes()).unwrap();
        })
    };
    for (body, said) in [
        ("", "it ended or cut the connection"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"answer\"", "it ended or cut the connection"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "it ended or cut the connection"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "is it another version"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n{\"answer\":\"ok\"}", "is it another version"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\n{\"answer\":{\"gaps\":[]}}", "is it another version"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 23\r\n\r\n{\"error\":\"needs_node\"}\n", "only a running node"),
    ] {
        let answered = answers(body);
        failed_with(&world.cli(&["replay", "--dead"]), &[said]);
        answered.join().unwrap();
    }
}

#[test]
fn status_tells_how_the_node_is() {
    let shop = Shop::new();
    shop.mode("bad");
    let mut world = shop.world();
    let gateway = world.start();
    let before = world.json(&["status"]);
    assert_eq!(before[0]["channels"], json!([{ "channel": "alipay", "is_configured": true, "last_genuine_at": null }]));
    pay(&mut world, "STATUS-1");
    wait_for("it to be given up", || (world.delivery_states() == ["dead"]).then_some(()));
    let status = &world.json(&["status"])[0];
    assert_eq!((&status["running"], &status["state"], &status["cause"]), (&json!(true), &json!("ready"), &Value::Null));
    assert_eq!(status["pid"], json!(gateway.child.id()));
    assert_eq!(status["version"], json!(env!("CARGO_PKG_VERSION")));
    assert_eq!(status["addresses"], json!([world.address.to_string()]));
    assert_eq!(status["admin"], json!(world.admin.to_string()));
    assert_eq!(status["targets"][0]["target"], "shop");
    assert_eq!((&status["targets"][0]["dead"], &status["targets"][0]["open"]), (&json!(1), &json!(0)));
    assert!(status["channels"][0]["last_genuine_at"].is_string());
    let text = told(&world.cli(&["status"]));
    for part in ["tollbell ", ": ready", &world.address.to_string(), "LAST CALLBACK", "alipay", "shop", "GIVEN UP"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let chinese = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--lang", "zh", "--config"])
        .arg(world.path("tollbell.toml"))
        .arg("status")
        .output()
        .unwrap();
    let chinese = told(&chinese);
    assert!(chinese.contains("：就绪") && chinese.contains("最近回调"), "{chinese}");
}

/// A gateway that is killed when dropped, for worlds that go on.
fn ended(mut gateway: Gateway) {
    assert!(gateway.terminate().success());
}

#[test]
fn a_restored_inbox_goes_on_where_the_backup_was_and_says_what_is_missing() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "KEPT-1");
    delivered(&world, 1);
    shop.mode("bad");
    pay(&mut world, "OPEN-1");
    wait_for("a try", || shop.runs().iter().any(|run| run.starts_with("OPEN-1")).then_some(()));
    let open_id = world.events()[1]["id"].as_str().unwrap().to_owned();
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    shop.mode("good");
    pay(&mut world, "LOST-1");
    wait_for("the lost one to be delivered", || shop.runs().iter().any(|run| run.starts_with("LOST-1")).then_some(()));
    let lost = world.payment("LOST-2", 1000);
    assert_eq!(world.send(&lost).unwrap().body, b"success");
    wait_for("its delivery", || shop.runs().iter().any(|run| run.starts_with("LOST-2")).then_some(()));
    let lost_id = world.events()[3]["id"].as_str().unwrap().to_owned();

    let restore = ["restore", copy.to_str().unwrap()];
    failed_with(&world.cli(&restore), &["a gateway serves from it. Stop it first"]);
    failed_with(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]), &["a gateway serves from it"]);
    ended(gateway);
    failed_with(&world.cli(&restore), &["it holds something. --force keeps it"]);
    assert_eq!(world.events().len(), 4, "untouched");
    let said = told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    for part in ["The old inbox is kept as ", ".replaced-", "Gap 1, open", "`tollbell gaps` says what to do"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    let kept: Vec<PathBuf> = fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.display().to_string().contains("tollbell.db.replaced-"))
        .collect();
    assert_eq!(kept.len(), 1, "the old inbox is one file: {kept:?}");
    assert_eq!(fs::metadata(&kept[0]).unwrap().permissions().mode() & 0o777, 0o600);
    let old = Connection::open(&kept[0]).unwrap();
    let count: i64 = old.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 4, "everything that was in the log is in it");
    drop(old);
    assert_eq!(fs::metadata(world.path("tollbell.db")).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!world.path("tollbell.db.restoring").exists());

    // It says so before and after the start, everywhere.
    let said = String::from_utf8(world.cli(&["check"]).stderr).unwrap();
    assert!(said.contains("warning: `inbox`: Gap 1, open"), "{said}");
    let runs_before = shop.runs().len();
    let _gateway = world.start();
    assert!(world.log().contains("callbacks of this time may be missing"), "{}", world.log());
    assert!(metrics(&world).contains("tollbell_open_gaps 1\n"));
    let (name, value) = bearer(OPERATOR);
    assert!(ask(&world, "GET", "/readyz", &[(name, &value)], "").text().contains("gap 1: callbacks from "));
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n", "its callbacks are wanted all the same");
    assert_eq!(world.json(&["status"])[0]["open_gaps"][0]["id"], 1);
    let gaps = world.json(&["gaps"]);
    assert!(gaps[0]["from"].as_str().unwrap() < gaps[0]["to"].as_str().unwrap(), "{gaps:?}");
    assert!(told(&world.cli(&["gaps"])).contains("tollbell gaps close 1 --why"));

    // What was open goes out again under its old id; what came after is gone, and comes back under a new one.
    delivered(&world, 2);
    assert!(shop.runs()[runs_before..].contains(&format!("OPEN-1 {open_id}")), "{:?}", shop.runs());
    assert_eq!(world.events().len(), 2);
    assert_eq!(world.send(&lost).unwrap().body, b"success", "the platform was asked to send it again");
    delivered(&world, 3);
    let again = world.events()[2]["id"].as_str().unwrap().to_owned();
    assert_ne!(again, lost_id);
    let ids: Vec<String> = shop.runs().iter().filter(|run| run.starts_with("LOST-2")).cloned().collect();
    assert_eq!(ids, [format!("LOST-2 {lost_id}"), format!("LOST-2 {again}")]);

    failed_with(&world.cli(&["gaps", "close", "1"]), &["gaps close ID --why"]);
    failed_with(&world.cli(&["gaps", "close", "9", "--why", "x"]), &["find gap 9"]);
    let said = told(&world.cli(&["gaps", "close", "1", "--why", "compared with the bill of the day"]));
    assert!(said.contains("Gap 1, closed ") && said.contains("compared with the bill of the day"), "{said}");
    assert!(metrics(&world).contains("tollbell_open_gaps 0\n"));
    assert!(world.json(&["status"])[0]["open_gaps"].as_array().unwrap().is_empty());
    let audit = audit(&world);
    assert!(audit.iter().any(|(who, what)| who == "cli" && what.starts_with("restore from ")), "{audit:?}");
    let closing = ("uid:0".to_owned(), "close gap 1: compared with the bill of the day".to_owned());
    assert_eq!(audit.last().unwrap(), &closing);
    let once_more = world.json(&["gaps", "close", "1", "--why", "again"]);
    assert_eq!(once_more[0]["closed"]["why"], "compared with the bill of the day", "closed once");
}

#[test]
fn a_restore_to_nothing_needs_no_force() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "MOVE-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    for name in ["tollbell.db", "tollbell.db-wal", "tollbell.db-shm"] {
        let _maybe = fs::remove_file(world.path(name));
    }
    // A log without its database, as a careless move leaves it: it must not be played into the backup.
    fs::write(world.path("tollbell.db-wal"), [7u8; 4096]).unwrap();
    let value = world.json(&["restore", copy.to_str().unwrap()]);
    assert_eq!(value[0]["kept"], Value::Null);
    assert_eq!(world.events().len(), 1);
    let _gateway = world.start();
    assert_eq!(get(world.admin, "/readyz").unwrap().text(), "ready\n");
}

/// What must not be restored, and what is said about it.
fn bad_backups(world: &World, good: &Path) -> Vec<(PathBuf, &'static str)> {
    let bytes = fs::read(good).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = world.path(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let changed = |name: &str, sql: &str| {
        let path = write(name, &bytes);
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        path
    };
    let foreign = world.path("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE songs (id INTEGER)").unwrap();
    let mut torn = bytes.clone();
    let middle = torn.len() / 2;
    torn[middle..middle + 8192].fill(0x5a);
    let logged = write("logged.db", &bytes);
    write("logged.db-wal", b"more");
    vec![
        (write("cut.db", &bytes[..bytes.len() / 2]), "no whole backup"),
        (write("cut-in-a-page.db", &bytes[..bytes.len() - 100]), "no whole backup"),
        (write("torn.db", &torn), "no whole backup"),
        (write("empty.db", b""), "no whole backup"),
        (
            write("text.db", b"this is no database at all, and long enough to be looked at by whoever reads it"),
            "no whole backup",
        ),
        (foreign, "no whole backup"),
        (changed("newer.db", "INSERT INTO migrations VALUES (9999, 'x')"), "newer tollbell (schema 9999"),
        (changed("other.db", "UPDATE migrations SET checksum = 'x' WHERE number = 1"), "was changed after"),
        (
            changed("trigger.db", "CREATE TRIGGER t AFTER INSERT ON deliveries BEGIN DELETE FROM deliveries; END"),
            "`t` is not as this program makes it",
        ),
        (changed("lacking.db", "DROP TABLE attempts"), "`attempts` is not as this program makes it"),
        (logged, "stands beside it"),
        (world.path("tollbell.db"), "it is the inbox itself"),
        (world.folder.path().to_owned(), "it is no file"),
        (world.path("nowhere.db"), "nowhere.db"),
    ]
}

#[test]
fn what_is_no_whole_backup_leaves_the_inbox_untouched() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    for n in 0..20 {
        pay(&mut world, &format!("SAFE-{n}"));
    }
    delivered(&world, 20);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let before = fs::read(world.path("tollbell.db")).unwrap();
    for (file, said) in bad_backups(&world, &copy) {
        let output = world.cli(&["restore", file.to_str().unwrap(), "--force"]);
        assert!(!output.status.success(), "{} was restored", file.display());
        failed_with(&output, &["failed to restore ", said]);
        assert_eq!(fs::read(world.path("tollbell.db")).unwrap(), before, "{} changed the inbox", file.display());
        assert!(!world.path("tollbell.db.restoring").exists(), "{}", file.display());
    }
    let names: Vec<String> = fs::read_dir(world.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("replaced"))
        .collect();
    assert_eq!(names, Vec::<String>::new());
    // Another command that has it open would write a log of its own later.
    let reader = Connection::open(world.path("tollbell.db")).unwrap();
    let _count: i64 = reader.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    let output = world.cli(&["restore", copy.to_str().unwrap(), "--force"]);
    failed_with(&output, &["another command has it open"]);
    drop(reader);
    assert_eq!(world.events().len(), 20);
}

#[test]
fn an_inbox_that_cannot_be_read_is_kept_and_replaced() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "WRECK-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let wreck = vec![0x5a; 65_536];
    fs::write(world.path("tollbell.db"), &wreck).unwrap();
    fs::write(world.path("tollbell.db-wal"), [0x5a; 4096]).unwrap();
    for name in ["tollbell.db", "tollbell.db-wal"] {
        fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    failed_with(&world.cli(&["restore", copy.to_str().unwrap()]), &["--force"]);
    let kept = world.json(&["restore", copy.to_str().unwrap(), "--force"]);
    let kept = PathBuf::from(kept[0]["kept"].as_str().unwrap());
    assert_eq!(fs::read(&kept).unwrap(), wreck, "somebody may still want to mend it");
    let log = PathBuf::from(format!("{}-wal", kept.display()));
    assert_eq!(fs::read(log).unwrap(), [0x5a; 4096]);
    assert_eq!(world.events().len(), 1);
    let _gateway = world.start();
}

#[test]
fn a_backup_of_an_older_schema_is_brought_up_to_this_one() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "AGE-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let before_gaps = "DROP TABLE gaps; DELETE FROM migrations WHERE number = 4";
    Connection::open(&copy).unwrap().execute_batch(before_gaps).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.json(&["gaps"])[0]["why"], "restored");
    // As the program before this one left it.
    fs::copy(&copy, world.path("tollbell.db")).unwrap();
    assert!(world.cli(&["check"]).status.success(), "no table of gaps is no gap");
}

#[test]
fn root_restores_for_the_user_that_the_inbox_belongs_to() {
    let nobody: u32 = NOBODY.parse().unwrap();
    let world = lonely();
    let gateway = world.start();
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    ended(gateway);
    let owner = |name: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(world.path(name)).unwrap());
    std::os::unix::fs::chown(world.path("tollbell.db"), Some(nobody), Some(nobody)).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    assert_eq!((owner("tollbell.db"), owner("tollbell.db.lock")), (nobody, nobody));
    // On a machine where nothing was yet, the folder says whose it is.
    for name in ["tollbell.db", "tollbell.db.lock"] {
        fs::remove_file(world.path(name)).unwrap();
    }
    std::os::unix::fs::chown(world.folder.path(), Some(nobody), Some(nobody)).unwrap();
    told(&world.cli(&["restore", copy.to_str().unwrap()]));
    assert_eq!((owner("tollbell.db"), owner("tollbell.db.lock")), (nobody, nobody));
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

/// More calls of one kind than a restore makes; a sweep that gets here is broken.
const SWEEP_MAX: usize = 300;

#[test]
fn a_restore_that_is_killed_leaves_the_old_inbox_or_the_new_one() {
    let shop = Shop::new();
    let mut world = shop.world();
    let gateway = world.start();
    pay(&mut world, "OLD-1");
    delivered(&world, 1);
    let copy = world.path("copy.db");
    told(&world.cli(&["backup", copy.to_str().unwrap()]));
    pay(&mut world, "OLD-2");
    delivered(&world, 2);
    // With a log beside it, as a power cut leaves it.
    let payment = world.payment("OLD-3", 1000);
    assert_eq!(world.send(&payment).unwrap().body, b"success");
    let mut gateway = gateway;
    gateway.kill_hard();
    let names = ["tollbell.db", "tollbell.db-wal"];
    let before: Vec<Vec<u8>> = names.iter().map(|name| fs::read(world.path(name)).unwrap()).collect();
    assert!(!before[1].is_empty(), "there is no log, so that nothing is shown");
    let (mut kills, mut olds, mut news) = (0, 0, 0);
    for calls in ["fsync,fdatasync", "rename,renameat,renameat2", "link,linkat", "unlink,unlinkat", "ftruncate"] {
        for k in 1..SWEEP_MAX {
            for entry in fs::read_dir(world.folder.path()).unwrap() {
                let path = entry.unwrap().path();
                if path.display().to_string().contains("/tollbell.db") {
                    fs::remove_file(path).unwrap();
                }
            }
            for (name, bytes) in names.iter().zip(&before) {
                fs::write(world.path(name), bytes).unwrap();
                fs::set_permissions(world.path(name), fs::Permissions::from_mode(0o600)).unwrap();
            }
            let output = Command::new("strace")
                .args(["-f", "-qq", "-E", "TOKIO_WORKER_THREADS=1", "-o", "/dev/null", "-e", &format!("trace={calls}")])
                .args(["-e", &format!("inject={calls}:signal=KILL:when={k}")])
                .arg(env!("CARGO_BIN_EXE_tollbell"))
                .args(["--config", world.path("tollbell.toml").to_str().unwrap(), "restore"])
                .args([copy.to_str().unwrap(), "--force"])
                .output()
                .unwrap();
            let orders: Vec<String> =
                world.events().iter().map(|event| event["data"]["order_no"].as_str().unwrap().to_owned()).collect();
            match orders.len() {
                3 => olds += 1,
                1 => news += 1,
                _ => panic!("{calls} {k}: {orders:?}"),
            }
            assert_eq!(orders[0], "OLD-1");
            let conn = Connection::open(world.path("tollbell.db")).unwrap();
            let sound: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
            assert_eq!(sound, "ok", "{calls} {k}");
            let gaps: i64 = conn.query_row("SELECT count(*) FROM gaps", [], |row| row.get(0)).unwrap();
            assert_eq!(gaps == 1, orders.len() == 1, "{calls} {k}: the new one has its gap, the old one none");
            if output.status.success() {
                break;
            }
            kills += 1;
            assert!(k + 1 < SWEEP_MAX, "`{calls}` is still reached at call {k}");
        }
    }
    assert!(kills >= 10 && olds >= 5 && news >= 1, "{kills} kills, {olds} times the old one, {news} times the new one");
    // Whatever a killed one left, the next one succeeds and the node serves.
    told(&world.cli(&["restore", copy.to_str().unwrap(), "--force"]));
    let _gateway = world.start();
    assert_eq!(world.events().len(), 1);
}
