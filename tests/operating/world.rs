//! A shop, a gateway, and requests to its admin listener.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use rusqlite::Connection;

use crate::support::gateway::{Gateway, Replied, Setup, TOKEN, World, exchange, wait_for};
use crate::support::php_fpm::{Options, PhpFpm};

pub(super) const OPERATOR: &str = TOKEN;

/// Any user but root.
pub(super) const NOBODY: &str = "65534";

/// A command that only reads, and one that writes.
pub(super) const STATUS: &str = "\"status\"";

pub(super) const REPLAY: &str = r#"{"replay":{"what":{"dead":100},"target":null}}"#;

/// Notes the run and confirms when the file `mode` beside it says `good`.
pub(super) const SCRIPT: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', $_POST['out_trade_no'] . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
echo trim(file_get_contents(__DIR__ . '/mode')) === 'good' ? 'success' : 'fail';
"#;

pub(super) struct Shop {
    pub(super) fpm: PhpFpm,
    pub(super) script: PathBuf,
}

impl Shop {
    pub(super) fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.script("notify.php", SCRIPT);
        let shop = Self { fpm, script };
        shop.mode("good");
        shop
    }

    pub(super) fn mode(&self, mode: &str) {
        fs::write(self.fpm.root().join("mode"), mode).unwrap();
    }

    pub(super) fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn world(&self) -> World {
        World::new(&Setup::new(&self.fpm.address(), &self.script))
    }
}

/// A gateway whose target nobody serves: for what needs no delivery.
pub(super) fn lonely() -> World {
    let world = World::new(&Setup::new("127.0.0.1:9", Path::new("/nowhere.php")));
    world.reconfigure(|text| text.replace("open_metrics = true", "open_metrics = false"));
    world
}

/// A request to the admin listener, with a good `Host` unless the headers bring one.
pub(super) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
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

pub(super) fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[track_caller]
pub(super) fn ask(world: &World, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Replied {
    exchange(world.admin, &request(method, path, headers, body)).expect("a reply")
}

/// A command over TCP.
#[track_caller]
pub(super) fn command(world: &World, token: Option<&str>, body: &str) -> Replied {
    let authorization = token.map(bearer);
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(authorization.iter().map(|(name, value)| (*name, value.as_str())));
    ask(world, "POST", "/control", &headers, body)
}

#[track_caller]
pub(super) fn metrics(world: &World) -> String {
    let (name, value) = bearer(OPERATOR);
    let reply = ask(world, "GET", "/metrics", &[(name, &value)], "");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

/// The rows of the audit, oldest first.
pub(super) fn audit(world: &World) -> Vec<(String, String)> {
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
pub(super) fn failed_with(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it went well: {text}");
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

pub(super) fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(super) fn delivered(world: &World, count: usize) {
    wait_for("every delivery to be confirmed", || {
        let states = world.delivery_states();
        (states.len() == count && states.iter().all(|state| state == "delivered")).then_some(())
    });
}

pub(super) fn pay(world: &mut World, order_no: &str) {
    let payment = world.payment(order_no, 1000);
    let reply = world.send(&payment).unwrap();
    assert_eq!(reply.body, b"success");
}

/// A gateway that is killed when dropped, for worlds that go on.
pub(super) fn ended(mut gateway: Gateway) {
    assert!(gateway.terminate().success());
}
