//! Refused requests, holds and the audit, with the real program and real PHP-FPM.

mod support {
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use http::HeaderValue;
use serde_json::Value;
use support::gateway::{Setup, World, exchange, now, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::model::EventKind;
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

/// Writes down each run and confirms.
const GOOD: &str = r#"<?php
file_put_contents(__DIR__ . '/runs', ($_POST['out_trade_no'] ?? 'json') . ' ' . $_SERVER['TOLLBELL_EVENT_IDS'] . "\n", FILE_APPEND | LOCK_EX);
echo isset($_POST['out_trade_no']) ? 'success' : '{"code":"SUCCESS"}';
"#;

struct Shop {
    fpm: PhpFpm,
    script: PathBuf,
}

impl Shop {
    fn new() -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, GOOD).unwrap();
        Self { fpm, script }
    }

    fn setup(&self) -> Setup {
        Setup::new(&self.fpm.address(), &self.script)
    }

    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.fpm.root().join("runs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The order numbers of all runs, sorted.
    fn orders(&self) -> Vec<String> {
        let mut orders: Vec<String> = self.runs().iter().map(|run| run.split(' ').next().unwrap().to_owned()).collect();
        orders.sort();
        orders
    }
}

fn write_key(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The one key file of the world's channel.
fn key_file(world: &World) -> PathBuf {
    let names: Vec<_> = world.side.written_settings().iter().filter_map(|setting| setting.file_name).collect();
    assert_eq!(names.len(), 1);
    world.path(names[0])
}

/// The public key of somebody else.
fn foreign_key() -> Vec<u8> {
    let side = (by_kind("alipay").unwrap().simulate)();
    let settings = side.written_settings();
    let key = settings.iter().find_map(|setting| match &setting.value {
        SettingValue::Key(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    key.unwrap()
}

fn rejections(world: &World, count: usize) -> Vec<Value> {
    wait_for("the refusals to be kept", || {
        Some(world.json(&["rejections", "--limit", "500"])).filter(|rows| rows.len() == count)
    })
}

fn text(output: std::process::Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failed(output: &std::process::Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn what_a_wrong_key_refused_is_delivered_once_after_the_mend() {
    let shop = Shop::new();
    let mut world = World::new(&shop.setup());
    let key = fs::read(key_file(&world)).unwrap();
    write_key(&key_file(&world), &foreign_key());
    let mut gateway = world.start();
    let paid = world.payment("A-1", 1000);
    let other = world.payment("A-2", 2000);
    for request in [&paid, &paid, &other] {
        assert_ne!(world.send(request).unwrap().body, b"success");
    }
    assert_ne!(
        world.send_to("/notify/alipay", &world.side.callback(&Story::paid("A-3", 1, now())).request).unwrap().body,
        b"success"
    );
    let rows = rejections(&world, 3);
    assert!(rows.iter().all(|row| row["reason"] == "signature" && row["channel"] == "alipay"), "{rows:#?}");
    assert_eq!(rows.iter().filter(|row| row["count"] == 2).count(), 1, "the same bytes are one row");

    // Nothing is genuine as long as nothing is mended.
    let id_of = |rows: &[Value], order: &str| {
        let holds = |row: &&Value| {
            let shown = world.json(&["show", row["id"].as_str().unwrap()]);
            shown[0]["request"]["body"].as_str().unwrap().contains(order)
        };
        rows.iter().find(holds).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id_of(&rows, "A-1"), id_of(&rows, "A-2"));
    let (code, out) = failed(&world.cli(&["rejections", "reverify", &first]));
    assert_eq!(code, Some(1));
    assert!(out.contains("still refused: the signature does not match"), "{out}");
    assert!(world.events().is_empty() && shop.runs().is_empty());

    assert!(gateway.terminate().success());
    write_key(&key_file(&world), &key);
    let _gateway = world.start();
    // The platform repeats one of them by itself in between.
    assert_eq!(world.send(&other).unwrap().body, b"success");
    wait_for("its delivery", || (shop.orders() == ["A-2"]).then_some(()));

    let out = text(world.cli(&["rejections", "reverify", &first]));
    assert!(out.contains("genuine: stored as ntf_") && out.contains("new events: 1"), "{out}");
    wait_for("the delivery", || (shop.orders() == ["A-1", "A-2"]).then_some(()));
    let shown = &world.json(&["show", &first])[0];
    let notification = shown["notification"].as_str().unwrap().to_owned();
    let stored = &world.json(&["show", &notification])[0];
    assert_eq!(stored["received_at"], shown["received_at"], "as it arrived");
    assert!(text(world.cli(&["rejections", "reverify", &first])).contains("was verified before"));
    let out = text(world.cli(&["rejections", "reverify", "--reason", "signature"]));
    assert!(out.contains("genuine, and known already") && out.contains("Genuine: 2. Still refused: 0."), "{out}");
    assert!(text(world.cli(&["rejections", "reverify", &second])).contains("was verified before"));
    // The platform's own repetition is a repetition.
    assert_eq!(world.send(&paid).unwrap().body, b"success");
    wait_for("all deliveries", || (shop.orders() == ["A-1", "A-2", "A-3"]).then_some(()));
    wait_for("every confirmation", || world.delivery_states().iter().all(|state| state == "delivered").then_some(()));
    assert_eq!(world.events().len(), 3);
    assert_eq!(shop.orders(), ["A-1", "A-2", "A-3"], "each once");

    let audit = world.json(&["audit"]);
    let whats: Vec<&str> = audit.iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["reverify"; 4], "three that became notifications, and the command for several");
    let by_node = |row: &Value| row["who"].as_str().unwrap().starts_with("uid:");
    assert!(audit.iter().all(by_node), "the running node knows who asked: {audit:#?}");
    assert_eq!(audit[3]["subjects"], serde_json::json!([first, notification]));
    assert_eq!((&audit[0]["subjects"], &audit[0]["result"]), (&serde_json::json!(["reason=signature"]), &2.into()));
}

#[test]
fn what_cannot_be_decrypted_survives_a_power_cut_after_the_reply() {
    let shop = Shop::new();
    let keys = tempfile::tempdir().unwrap();
    let side: Box<dyn OtherSide> = (by_kind("wechat_pay").unwrap().simulate)();
    let mut more = "[[channel]]\nid = \"wechat\"\nkind = \"wechat_pay\"\n".to_owned();
    let mut secret = None;
    for setting in side.written_settings() {
        let name = setting.name;
        match setting.value {
            SettingValue::Text(value) => writeln!(more, "{name} = \"{value}\"").unwrap(),
            SettingValue::Texts(values) => writeln!(more, "{name} = {values:?}").unwrap(),
            SettingValue::Key(bytes) => {
                let path = keys.path().join(setting.file_name.unwrap());
                write_key(&path, &bytes);
                writeln!(more, "{name}_file = \"{}\"", path.display()).unwrap();
                if bytes.len() == 32 {
                    secret = Some((path, bytes.to_vec()));
                }
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let (path, right) = secret.unwrap();
    write_key(&path, &[b'k'; 32]);
    let world = World::new(&Setup { more, ..shop.setup() });
    let mut gateway = world.start();
    let mut story = Story::paid("W-1", 1000, now());
    story.kind = EventKind::PaymentSucceeded;
    let callback = side.callback(&story).request;
    let reply = world.send_to("/notify/wechat", &callback).unwrap();
    assert_ne!(reply.status, 200, "{reply:?}");
    gateway.kill_hard();
    let rows = world.json(&["rejections", "--channel", "wechat"]);
    assert_eq!(rows.len(), 1, "on disk before the reply");
    assert_eq!(rows[0]["reason"], "undecryptable");

    write_key(&path, &right);
    let _gateway = world.start();
    let out = text(world.cli(&["rejections", "reverify", "--channel", "wechat"]));
    assert!(out.contains("Genuine: 1."), "{out}");
    wait_for("the delivery", || (shop.orders() == ["json"]).then_some(()));
    assert_eq!(world.events().len(), 1);
}

#[test]
fn hostile_requests_cannot_drive_a_terminal_and_hide_no_secret() {
    let shop = Shop::new();
    let world = World::new(&shop.setup());
    let _gateway = world.start();
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{202e}";
    let mut request = world.side.callback(&Story::paid("A-1", 1, now())).request;
    request.headers.insert("content-type", HeaderValue::from_static("text/plain"));
    request.headers.insert("x-odd", HeaderValue::from_bytes(b"\xff\xe2\x80\xae\tend").unwrap());
    request.headers.insert("authorization", HeaderValue::from_static("Bearer sesame-4711"));
    request.body = format!("{hostile}{}", "a".repeat(5000)).into_bytes().into();
    let path = "/notify/alipay?token=sesame-4711&x=%1b";
    assert_ne!(exchange(world.address, &wire(path, &request)).unwrap().body, b"success");
    let mut unknown = request.clone();
    unknown.headers.insert("x-pay-channel", HeaderValue::from_bytes(b"nobody\xe2\x80\xae").unwrap());
    exchange(world.address, &wire("/notify?x=1", &unknown)).unwrap();
    let large = format!(
        "POST /notify/alipay HTTP/1.1\r\nhost: x\r\nx-odd: {}\r\ncontent-length: 99999999\r\n\r\n",
        "b".repeat(2000)
    );
    exchange(world.address, large.as_bytes()).unwrap();

    let rows = rejections(&world, 3);
    let mut outputs = vec![text(world.cli(&["rejections"]))];
    for row in &rows {
        outputs.push(text(world.cli(&["show", row["id"].as_str().unwrap()])));
    }
    for output in &outputs {
        let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!output.contains(harmful), "{output:?}");
        assert!(!output.contains("sesame-4711"), "{output}");
        assert!(output.len() < 8000, "{} bytes", output.len());
    }
    let all = outputs.join("\n");
    assert!(all.contains("owned") && all.contains("[removed]"), "{all}");
    assert!(all.contains("media_type") && all.contains("too_large"), "{all}");
    // For another program, the bytes as they came, but for the credentials.
    let media_type = rows.iter().find(|row| row["reason"] == "media_type").unwrap()["id"].as_str().unwrap();
    let raw = world.cli(&["show", media_type, "--raw"]).stdout;
    let has = |needle: &[u8]| raw.windows(needle.len()).any(|window| window == needle);
    assert!(has(hostile.as_bytes()) && has(b"token=[removed]&x=%1b") && !has(b"sesame"), "{raw:?}");
    // What was refused unread has no body, and says so.
    let unread = rows.iter().find(|row| row["reason"] == "too_large").unwrap()["id"].as_str().unwrap();
    let (code, out) = failed(&world.cli(&["rejections", "reverify", unread]));
    assert!(code == Some(1) && out.contains("its body was not kept"), "{out}");
    for entry in fs::read_dir(world.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        // The node's socket is no file.
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"sesame-4711"), "{}", path.display());
    }
}

#[test]
fn a_person_releases_one_hold_and_discards_another() {
    let shop = Shop::new();
    let mut world = World::new(&shop.setup());
    // The money goes to another account than the one that is configured.
    world.reconfigure(|text| {
        let at = text.find("seller_id").unwrap();
        let end = at + text[at..].find('\n').unwrap();
        format!("{}seller_id = [\"2088000000000099\"]{}", &text[..at], &text[end..])
    });
    let _gateway = world.start();
    let (first, second) = (world.payment("A-1", 1000), world.payment("A-2", 2000));
    for request in [&first, &second] {
        assert_eq!(world.send(request).unwrap().body, b"success");
    }
    let holds = world.json(&["holds"]);
    assert_eq!(holds.len(), 2);
    assert_eq!(holds[0]["concerns"][0]["concern"], "foreign_payee");
    let out = text(world.cli(&["holds"]));
    assert!(out.contains("another payee") && out.contains("A-1") && out.contains("10.00 CNY"), "{out}");
    let id = |at: usize| holds[at]["notification"].as_str().unwrap();
    let out = text(world.cli(&["holds", "release", id(0), "--why", "our second account"]));
    assert!(out.contains("Deliveries that go on: 1"), "{out}");
    wait_for("the delivery", || (shop.orders() == ["A-1"]).then_some(()));
    assert_eq!(world.cli(&["holds", "discard", id(1)]).status.code(), Some(2), "a reason is needed");
    assert_eq!(world.cli(&["holds", "discard", id(1), "--why", " "]).status.code(), Some(2));
    text(world.cli(&["holds", "discard", id(1), "--why", "not ours"]));
    assert_eq!(world.cli(&["holds", "release", id(1)]).status.code(), Some(1), "it stays discarded");
    assert!(world.json(&["holds"]).is_empty());
    for request in [&first, &second] {
        assert_eq!(world.send(request).unwrap().body, b"success", "a repetition is answered as before");
    }
    let mut states = world.delivery_states();
    states.sort();
    assert_eq!(states, ["delivered", "discarded"]);
    assert_eq!(shop.orders(), ["A-1"]);
    let audit = world.json(&["audit", "--limit", "2"]);
    let seen: Vec<_> = audit.iter().map(|row| (row["what"].as_str().unwrap(), row["why"].as_str().unwrap())).collect();
    assert_eq!(seen, [("discard", "not ours"), ("release", "our second account")]);
    assert!(text(world.cli(&["audit"])).contains("our second account"));
}

#[test]
fn questions_that_make_no_sense_are_told_apart() {
    let shop = Shop::new();
    let world = World::new(&shop.setup());
    let unknown = "rej_00000000000000000000000000000000";
    for (args, code) in [
        (vec!["rejections", "reverify"], 2),
        (vec!["rejections", "reverify", unknown, "--all"], 2),
        (vec!["rejections", "reverify", "ntf_1"], 2),
        (vec!["rejections", "reverify", "--reason", "unknown"], 2),
        (vec!["rejections", "--reason", "unknown"], 2),
        (vec!["rejections", "--since", "yesterday"], 2),
        (vec!["rejections", "--before", "evt_1"], 2),
        (vec!["rejections", "reverify", unknown], 1),
        (vec!["rejections", "reverify", "--all"], 1),
        (vec!["show", unknown], 1),
        (vec!["holds", "release", "x"], 2),
        (vec!["holds", "release", "ntf_00000000000000000000000000000000"], 1),
        (vec!["rejections"], 0),
        (vec!["holds"], 0),
        (vec!["audit"], 0),
    ] {
        let output = world.cli(&args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(text(world.cli(&["rejections", "reverify", "--help"])).contains("Verify refused requests again"));
}
