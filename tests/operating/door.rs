//! The admin listener over TCP: who may ask for what, and what an intruder gets.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::world::{
    OPERATOR, REPLAY, STATUS, Shop, ask, audit, bearer, command, delivered, ended, failed_with, lonely, metrics, pay,
    request, told,
};
use crate::support::gateway::{World, exchange, get, read_reply, wait_for, wire};
use crate::support::php_fpm::send;

/// Tokens of the tests.
const VIEWER: &str = "viewer-token-viewer-token-viewer-1";

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
    silent.set_read_timeout(Some(crate::support::gateway::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    // Two requests in one breath: one answer.
    let (name, value) = bearer(OPERATOR);
    let twice = [request("GET", "/metrics", &[(name, &value)], ""), request("GET", "/metrics", &[(name, &value)], "")];
    let mut stream = TcpStream::connect(world.admin).unwrap();
    stream.set_read_timeout(Some(crate::support::gateway::PATIENCE)).unwrap();
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
