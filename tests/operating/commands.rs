//! Commands through the running node, and without one.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::process::Command;

use serde_json::{Value, json};

use super::world::{Shop, audit, delivered, failed_with, lonely, pay, told};
use crate::support::gateway::wait_for;
use crate::support::php_fpm::send;

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
