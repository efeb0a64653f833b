//! `explain` as a person meets it: the real program, every form of a copy, both languages, with and beside a running node.

mod support {
    pub(crate) mod copies;
    pub(crate) mod gateway;
    pub(crate) mod php_fpm;
}

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use http::HeaderValue;
use serde_json::{Value, json};
use support::copies::{body, curl, fields, forged, forms, har, marked, print_r, with_body};
use support::gateway::{Setup, World, exchange, now, wait_for, wire};
use support::php_fpm::{Options, PhpFpm};
use tollbell_channels::explain::FINDINGS;
use tollbell_channels::model::EventKind;
use tollbell_channels::platforms::{PLATFORMS, by_kind};
use tollbell_channels::simulate::{OtherSide, Story};

/// Ends of a run.
const OK: i32 = 0;
const FAILED: i32 = 1;
const USAGE: i32 = 2;

/// What a run printed, and how it ended.
#[derive(Debug)]
struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    #[track_caller]
    fn with(self, code: i32) -> String {
        assert_eq!((self.code, self.err.as_str()), (code, ""), "{}", self.out);
        self.out
    }

    #[track_caller]
    fn json(self, code: i32) -> Value {
        serde_json::from_str(&self.with(code)).unwrap()
    }
}

/// Runs the program in a folder, with something on its standard input.
fn run(folder: &Path, args: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(args)
        .current_dir(folder)
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", "en_US.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It stops reading where it has seen too much.
    let _closed = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap().into()
}

/// A world whose application is never asked.
fn lonely(more: &str) -> World {
    World::new(&Setup { more: more.to_owned(), ..Setup::new("127.0.0.1:9", Path::new("/notify.php")) })
}

fn explain(world: &World, args: &[&str], input: &[u8]) -> Ran {
    let mut all = vec!["explain"];
    all.extend(args);
    run(world.folder.path(), &all, input)
}

/// What is said of a text on standard input, as JSON.
#[track_caller]
fn told(world: &World, input: &[u8], code: i32) -> Value {
    explain(world, &["-", "--json"], input).json(code)
}

fn ids(told: &Value) -> Vec<&str> {
    told["findings"].as_array().unwrap().iter().map(|found| found["id"].as_str().unwrap()).collect()
}

#[test]
fn a_genuine_message_is_genuine_in_every_form() {
    let mut world = lonely("");
    let request = world.payment("A-1", 1000);
    for (form, text, [has_head, has_bytes]) in forms(&request) {
        let told = told(&world, &text, OK);
        assert_eq!(told["outcome"], "genuine", "{form}: {told:#}");
        assert_eq!(told["copy"]["form"], form, "{told:#}");
        assert_eq!((&told["copy"]["has_head"], &told["copy"]["has_bytes"]), (&has_head.into(), &has_bytes.into()));
        assert_eq!((&told["channel"], ids(&told)), (&"alipay".into(), Vec::new()), "{form}: {told:#}");
        let chosen = if has_head { "path" } else { "recognition" };
        assert_eq!((&told["chosen_by"], &told["is_explained"]), (&chosen.into(), &true.into()), "{form}");
        assert!(told["signed"].as_array().unwrap().iter().any(|signed| signed["held"] == true), "{form}: {told:#}");
    }
    // As `sample` writes it, with the channel's own test keys.
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    run(place, &["init", "--platform", "wechat_pay", "--set", "address=unix:/nowhere", "--set", "script=/x.php"], b"");
    let sample = run(place, &["sample", "wechat_pay"], b"").with(OK);
    let told = run(place, &["explain", "-", "--json"], sample.as_bytes()).json(OK);
    assert_eq!((&told["outcome"], &told["copy"]["form"]), (&"genuine".into(), &"curl".into()), "{told:#}");
    // As a file, for people, in both languages; without any inbox, and none is made.
    fs::write(world.path("callback.http"), wire("/notify/alipay", &request)).unwrap();
    let out = explain(&world, &["callback.http"], b"").with(OK);
    assert!(out.starts_with("callback.http: a raw HTTP request\nChannel alipay (Alipay)"), "{out}");
    assert!(out.contains("Genuine: the signature holds") && out.contains("out_trade_no=A-1"), "{out}");
    let out = explain(&world, &["callback.http", "--lang", "zh"], b"").with(OK);
    assert!(out.contains("真实：验签通过") && out.contains("渠道 alipay（支付宝）"), "{out}");
    assert!(!world.path("tollbell.db").exists());
}

#[test]
fn a_mark_is_found_in_every_form_that_keeps_bytes() {
    let mut world = lonely("");
    let request = world.payment("A-1", 1000);
    let damaged = marked(&request);
    let texts = [
        ("http", wire("/notify/alipay", &damaged)),
        ("curl", curl("/notify/alipay", &damaged).into_bytes()),
        ("har", har("/notify/alipay", &damaged, "2026-11-21T08:00:00Z").to_string().into_bytes()),
    ];
    for (form, text) in texts {
        let told = told(&world, &text, OK);
        assert_eq!((&told["outcome"], ids(&told)), (&"refused".into(), vec!["bom"]), "{form}: {told:#}");
        let [found] = told["findings"].as_array().unwrap().as_slice() else { panic!("{told:#}") };
        assert_eq!((&found["evidence"], &found["facts"]), (&"recomputed".into(), &json!({})));
        assert!(["title", "cause", "cure"].iter().all(|part| found[*part].as_str().unwrap().len() > 20));
        assert_eq!(told["copy"]["form"], form);
    }
    // Before a body alone it may as well be the file's own.
    let told = told(&world, &damaged.body, OK);
    assert_eq!((&told["outcome"], &told["left_out"]["before"]), (&"genuine".into(), &3.into()), "{told:#}");
    let out = explain(&world, &["-"], &damaged.body).with(OK);
    assert!(out.contains("It was read without 3 bytes before it and 0 behind it"), "{out}");

    let text = wire("/notify/alipay", &damaged);
    let out = explain(&world, &["-"], &text).with(OK);
    for part in [
        "Refused: ",
        "1. a byte order mark (EF BB BF) stands before the body  [bom]",
        "Proved: with this undone",
        "Cause: ",
        "Cure: ",
        "Tried: ",
    ] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let out = explain(&world, &["-", "--lang", "zh"], &text).with(OK);
    for part in ["被拒绝：", "1. 正文前多出了 UTF-8 字节顺序标记", "已证明：", "原因：", "解决办法："]
    {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
}

#[test]
fn a_refused_request_is_explained_beside_the_running_node_and_after_it() {
    let mut world = lonely("");
    let mut gateway = world.start();
    let request = marked(&world.payment("A-1", 1000));
    assert_ne!(world.send(&request).unwrap().body, b"success");
    let row = wait_for("the refusal to be kept", || world.json(&["rejections"]).into_iter().next());
    let id = row["id"].as_str().unwrap();
    // Who shows it, offers it.
    assert_eq!(row["explain"], format!("tollbell explain {id}"));
    let shown = Ran::from(world.cli(&["show", id])).with(OK);
    assert!(shown.contains(&format!("why: tollbell explain {id}\n")), "{shown}");
    let listed = Ran::from(world.cli(&["rejections"])).with(OK);
    assert!(listed.contains("`tollbell explain ID`"), "{listed}");
    for _ in 0..2 {
        let told = explain(&world, &[id, "--json"], b"").json(OK);
        assert_eq!(ids(&told), ["bom"], "{told:#}");
        assert_eq!((&told["chosen_by"], &told["at_from"]), (&"record".into(), &"record".into()));
        assert_eq!((&told["at"], &told["copy"]["form"]), (&row["received_at"], &"received".into()));
        assert_eq!((&told["subject"]["kind"], &told["subject"]["id"]), (&"rejection".into(), &id.into()));
        let out = explain(&world, &[id], b"").with(OK);
        assert!(out.starts_with(&format!("Rejection {id}, received ")) && out.contains("[bom]"), "{out}");
        if !gateway.has_ended() {
            assert!(gateway.terminate().success());
        }
    }
    assert_eq!(world.json(&["rejections"])[0]["count"], 1, "nothing was written");
    let unknown = explain(&world, &["rej_00000000000000000000000000000000"], b"");
    assert_eq!((unknown.code, unknown.out.as_str()), (FAILED, ""), "{}", unknown.err);
}

#[test]
fn what_the_mend_changed_is_told_of_a_refusal() {
    let mut world = lonely("");
    let file = world.side.written_settings().iter().find_map(|setting| setting.file_name).unwrap();
    let key = fs::read(world.path(file)).unwrap();
    let other = (by_kind("alipay").unwrap().simulate)();
    let wrong = other.written_settings().into_iter().find(|setting| setting.file_name.is_some()).unwrap();
    let tollbell_channels::settings::SettingValue::Key(wrong) = wrong.value else { panic!("a key") };
    fs::write(world.path(file), &wrong[..]).unwrap();
    let gateway = world.start();
    let request = world.payment("A-1", 1000);
    world.send(&request).unwrap();
    let id = wait_for("the refusal", || world.json(&["rejections"]).pop())["id"].as_str().unwrap().to_owned();
    let told = explain(&world, &[&id, "--json"], b"").json(FAILED);
    assert_eq!((&told["outcome"], &told["rejection"]["reason"]), (&"refused".into(), &"signature".into()), "{told:#}");
    drop(gateway);
    fs::write(world.path(file), key).unwrap();
    let out = explain(&world, &[&id], b"").with(OK);
    assert!(out.contains("It was refused: the signature does not match"), "{out}");
    assert!(out.contains(&format!("`tollbell rejections reverify {id}`")), "{out}");
}

#[test]
fn the_channel_is_named_or_recognised() {
    let wechat = (by_kind("wechat_pay").unwrap().simulate)();
    let keys = tempfile::tempdir().unwrap();
    let mut world = lonely(&channel("second", "wechat_pay", &*wechat, keys.path()));
    world.reconfigure(|text| text.replacen("[[channel]]\n", "[[channel]]\npaths = [\"/payment/callback\"]\n", 1));
    let request = world.payment("A-1", 1000);
    let chosen = |args: &[&str], input: &[u8], code: i32| {
        let mut all = vec!["-", "--json"];
        all.extend(args);
        let told = explain(&world, &all, input).json(code);
        [&told["channel"], &told["chosen_by"]].map(|word| word.as_str().unwrap().to_owned())
    };
    for path in ["/notify/alipay", "/payment/callback", "/notify?channel=alipay"] {
        assert_eq!(chosen(&[], &wire(path, &request), OK), ["alipay", "path"], "{path}");
    }
    let mut by_header = request.clone();
    by_header.headers.insert("x-pay-channel", HeaderValue::from_static("alipay"));
    assert_eq!(chosen(&[], &wire("/notify", &by_header), OK), ["alipay", "path"]);
    for path in ["/somewhere/else", "/notify/nobody", "/notify"] {
        assert_eq!(chosen(&[], &wire(path, &request), OK), ["alipay", "recognition"], "{path}");
    }
    let other = wechat.callback(&Story::paid("W-1", 1000, now())).request;
    assert_eq!(chosen(&[], &wire("/somewhere/else", &other), OK), ["second", "recognition"]);
    assert_eq!(chosen(&["--channel", "alipay"], &wire("/notify/second", &request), OK), ["alipay", "option"]);
    // The one that is named is asked, also where it is the wrong one.
    let told = explain(&world, &["-", "--json", "--channel", "second"], &wire("/notify/alipay", &request));
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((&told["outcome"], &told["channel"]), (&"refused".into(), &"second".into()), "{told:#}");
    let ran = explain(&world, &["-", "--channel", "nobody"], &wire("/", &request));
    assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""));
    assert!(ran.err.contains("nobody") && ran.err.contains("alipay, second"), "{}", ran.err);
}

/// A further channel's table, with its keys in a folder.
fn channel(id: &str, kind: &str, side: &dyn OtherSide, keys: &Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    use tollbell_channels::settings::SettingValue;

    let mut text = format!("[[channel]]\nid = \"{id}\"\nkind = \"{kind}\"\n");
    for setting in side.written_settings() {
        let name = setting.name;
        match setting.value {
            SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"").unwrap(),
            SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}").unwrap(),
            SettingValue::Flag(value) => writeln!(text, "{name} = {value}").unwrap(),
            SettingValue::Key(bytes) => {
                let path = keys.join(format!("{id}-{}", setting.file_name.unwrap()));
                fs::write(&path, &bytes[..]).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                writeln!(text, "{name}_file = \"{}\"", path.display()).unwrap();
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    text
}

#[test]
fn a_copy_without_its_time_is_as_old_as_it_says() {
    let wechat = (by_kind("wechat_pay").unwrap().simulate)();
    let keys = tempfile::tempdir().unwrap();
    let world = lonely(&channel("second", "wechat_pay", &*wechat, keys.path()));
    let days = Duration::from_hours(72);
    let then = now().checked_sub(days).unwrap();
    let request = wechat.callback(&Story::paid("W-1", 1000, then)).request;
    let text = wire("/notify/second", &request);
    let answer = told(&world, &text, OK);
    assert_eq!((&answer["outcome"], &answer["at_from"]), (&"genuine".into(), &"message".into()), "{answer:#}");
    let out = explain(&world, &["-"], &text).with(OK);
    assert!(out.contains("Nothing says when it came."), "{out}");
    // Who knows when it came, says so; and an archive says it by itself.
    let at = then.to_string();
    let answer = explain(&world, &["-", "--json", "--at", &at], &text).json(OK);
    assert_eq!((&answer["at_from"], &answer["at"]), (&"option".into(), &at.as_str().into()));
    let late = explain(&world, &["-", "--json", "--at", "10m"], &text);
    let late: Value = serde_json::from_str(&late.out).unwrap();
    assert_eq!((&late["rejection"]["reason"], &late["at_from"]), (&"stale".into(), &"option".into()), "{late:#}");
    let answer = told(&world, har("/notify/second", &request, &at).to_string().as_bytes(), OK);
    assert_eq!((&answer["outcome"], &answer["at_from"]), (&"genuine".into(), &"record".into()), "{answer:#}");
    for bad in ["yesterday", "-1h", ""] {
        let ran = explain(&world, &["-", &format!("--at={bad}")], &text);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{bad}");
    }
}

#[test]
fn of_an_archive_the_callback_is_taken() {
    let mut world = lonely("");
    let [first, second] = ["A-1", "A-2"].map(|order| world.payment(order, 1000));
    let page = json!({ "startedDateTime": "2026-11-21T08:00:00Z",
        "request": { "method": "GET", "url": "https://pay.example.com/logo.png", "headers": [] } });
    let at = "2026-11-21T08:00:00Z";
    let archive = json!({ "log": { "entries": [
        page, har("/x", &with_body(&first, "a=1"), at), har("/x", &first, at), har("/x", &second, at),
    ] } });
    let told = told(&world, archive.to_string().as_bytes(), OK);
    assert_eq!((&told["outcome"], &told["further_requests"]), (&"genuine".into(), &1.into()), "{told:#}");
    let out = explain(&world, &["-"], archive.to_string().as_bytes()).with(OK);
    assert!(out.contains("A-1") && out.contains("It holds 1 more requests"), "{out}");
}

#[test]
fn what_a_copy_lost_is_said_and_how_to_keep_it() {
    let mut world = lonely("");
    let request = world.payment("A-1", 1000);
    let text = print_r(&fields(&forged(&request)));
    let out = explain(&world, &["-"], text.as_bytes()).with(FAILED);
    for part in [
        "fields printed by PHP's print_r",
        "No mistake with a name was found.",
        "This copy is not all that came",
        "The fields were decoded before they were kept.",
        "Method, path and headers were not kept.",
        "file_get_contents('php://input')",
        "`mirror`",
    ] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let out = explain(&world, &["-", "--lang", "zh"], text.as_bytes()).with(FAILED);
    for part in ["PHP print_r 打印的字段", "没有发现有名称的问题", "字段在保存前已经解码", "php://input"]
    {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    // A whole one that was forged has nobody else to blame.
    let out = explain(&world, &["-"], &wire("/notify/alipay", &forged(&request))).with(FAILED);
    assert!(out.contains("No mistake with a name was found.") && !out.contains("php://input"), "{out}");
    assert!(out.contains("Taken for the signed text, and it does not match") && out.contains("B-1"), "{out}");
    // An editor's traces, and a cut.
    let edited = String::from_utf8(wire("/notify/alipay", &request)).unwrap().replace("\r\n", "\n");
    let answer = told(&world, edited.as_bytes(), OK);
    assert_eq!(answer["copy"]["notes"], json!([{ "note": "bare_line_feeds" }]), "{answer:#}");
    let lossy = body(&request).replace("A-1", "\u{fffd}");
    let answer = told(&world, lossy.as_bytes(), FAILED);
    assert_eq!((&answer["copy"]["has_bytes"], &answer["outcome"]), (&false.into(), &"refused".into()), "{answer:#}");
}

#[test]
fn what_nobody_knows_is_shown_as_it_is_and_harmless() {
    let world = lonely("");
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}";
    let text = format!("POST /who?x=1 HTTP/1.1\r\nHost: a\r\nX-Odd: 1\r\n\r\n{hostile}{}", "a".repeat(5000));
    let out = explain(&world, &["-"], text.as_bytes()).with(FAILED);
    for part in ["No configured channel knows this request", "There are: alipay", "POST /who", "x-odd", "owned"] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!out.contains(harmful) && out.len() < 2000, "{out:?}");
    let told = told(&world, text.as_bytes(), FAILED);
    assert_eq!((&told["outcome"], &told["is_explained"]), (&"unrecognised".into(), &false.into()));
    assert_eq!((&told["channel"], &told["findings"]), (&Value::Null, &json!([])));
    // Bytes that are nothing at all.
    let noise: Vec<u8> = (1..4096_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    let out = explain(&world, &["-", "--lang", "zh"], &noise).with(FAILED);
    assert!(out.contains("没有任何已配置的渠道") && !out.contains(harmful), "{out:?}");
}

#[test]
fn hostile_fields_cannot_drive_a_terminal() {
    let mut world = lonely("");
    let request = world.payment("A-1", 1000);
    let hostile = format!("{}&note=%1b%5b2J%e2%80%ae%00%0d%0a{}", body(&request), "x".repeat(20_000));
    let out = explain(&world, &["-"], &wire("/notify/alipay", &with_body(&request, hostile))).out;
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(out.contains("Refused: ") && !out.contains(harmful), "{out:?}");
    assert!(out.len() < 12_000, "{} bytes", out.len());
}

#[test]
fn what_cannot_be_read_is_a_question_that_makes_no_sense() {
    let world = lonely("");
    let folder = world.folder.path().to_str().unwrap();
    for (args, input) in [
        (vec![], &b""[..]),
        (vec!["-"], b""),
        (vec!["-"], b" \r\n\t"),
        (vec!["nowhere.http"], b""),
        (vec![folder], b""),
        (vec!["-"], b"curl -d @body.json http://a/"),
        (vec!["-"], b"curl --frob http://a/"),
        (vec!["-"], b"Array\n(\n    [a] => 1\n"),
        (vec!["-", "--list"], b""),
        (vec!["--list", "--markdown"], b""),
    ] {
        for lang in ["en", "zh"] {
            let mut all = args.clone();
            all.extend(["--lang", lang]);
            let ran = explain(&world, &all, input);
            assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}: {}", ran.err);
            assert!(!ran.err.is_empty());
        }
    }
    let huge = vec![b'a'; 16 * 1024 * 1024 + 10];
    let ran = explain(&world, &["-"], &huge);
    assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{}", ran.err);
    assert!(ran.err.contains("more than 16777216 bytes"), "{}", ran.err);
    // A file that is no configuration is told as by every command.
    fs::write(world.path("tollbell.toml"), "nonsense").unwrap();
    assert_eq!(explain(&world, &["-"], b"a=1").code, USAGE);
}

#[test]
fn what_was_not_kept_whole_is_not_judged() {
    let mut world = lonely("");
    let _gateway = world.start();
    let large = "POST /notify/alipay HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n";
    exchange(world.address, large.as_bytes()).unwrap();
    let row = |world: &World, reason: &str| {
        let rows = world.json(&["rejections"]);
        rows.into_iter().find(|row| row["reason"] == reason)
    };
    let id = wait_for("the refusal", || row(&world, "too_large"))["id"].as_str().unwrap().to_owned();
    let told = explain(&world, &[&id, "--json"], b"").json(FAILED);
    assert_eq!((&told["outcome"], &told["effort"]), (&"no_body".into(), &Value::Null), "{told:#}");
    let out = explain(&world, &[&id], b"").with(FAILED);
    assert!(out.contains("its body was never read") && out.contains("It was refused: the body has more than"), "{out}");
    // Credentials that were taken out are told, and are nowhere.
    let mut request = forged(&world.payment("A-1", 1000));
    request.headers.insert("authorization", HeaderValue::from_static("Bearer sesame-4711"));
    exchange(world.address, &wire("/notify/alipay?token=sesame-4711", &request)).unwrap();
    let id = wait_for("the refusal", || row(&world, "signature"))["id"].as_str().unwrap().to_owned();
    let told = explain(&world, &[&id, "--json"], b"").json(FAILED);
    assert_eq!((&told["is_redacted"], &told["outcome"]), (&true.into(), &"refused".into()), "{told:#}");
    let out = explain(&world, &[&id], b"").with(FAILED);
    assert!(out.contains("Credentials were taken out of it"), "{out}");
    assert!(!out.contains("sesame") && !told.to_string().contains("sesame"), "{out}");
}

struct Shop {
    fpm: PhpFpm,
    script: PathBuf,
}

impl Shop {
    fn new(php: &str) -> Self {
        let fpm = PhpFpm::start(&Options::default());
        let script = fpm.root().join("notify.php");
        fs::write(&script, php).unwrap();
        Self { fpm, script }
    }

    fn world(&self) -> World {
        World::new(&Setup::new(&self.fpm.address(), &self.script))
    }
}

#[test]
fn the_records_tell_of_repetitions_and_wrong_answers() {
    let shop = Shop::new("<?php echo \"\\nthank you\";");
    let mut world = shop.world();
    let _gateway = world.start();
    let request = world.payment("A-1", 1000);
    assert_eq!(world.send(&request).unwrap().body, b"success");
    let id = wait_for("the event", || world.events().pop())["notification"].as_str().unwrap().to_owned();
    wait_for("the reply to be noted", || {
        world.json(&["show", &id]).pop().filter(|shown| shown["acked_at"].is_string())
    });
    let attempted = |shown: &Value| shown["deliveries"][0]["attempts"].as_array().is_some_and(|all| !all.is_empty());
    wait_for("an attempt", || world.json(&["show", &id]).pop().filter(attempted));
    let told = explain(&world, &[&id, "--json"], b"").json(OK);
    assert_eq!((&told["outcome"], ids(&told)), (&"genuine".into(), vec!["reply_wrong"]), "{told:#}");
    let found = &told["findings"][0];
    assert_eq!((&found["evidence"], &found["facts"]["target"]), (&"recorded".into(), &"shop".into()), "{found:#}");
    assert_eq!((&found["facts"]["status"], &found["facts"]["reason"]), (&"200".into(), &"wrong_word".into()));

    assert_eq!(world.send(&request).unwrap().body, b"success");
    let repeated = |shown: &Value| shown["repeated_after_ack"].as_u64() >= Some(1);
    wait_for("the repetition", || world.json(&["show", &id]).pop().filter(repeated));
    let told = explain(&world, &[&id, "--json"], b"").json(OK);
    assert_eq!(ids(&told), ["repeated_after_answer", "reply_wrong"], "{told:#}");
    let out = explain(&world, &[&id], b"").with(OK);
    assert!(out.contains("sent it again 1 times after the success reply") && out.contains("thank you"), "{out}");
    assert!(out.contains("It was genuine when it came") && out.contains("The script's answer is not"), "{out}");
    let out = explain(&world, &[&id, "--lang", "zh"], b"").with(OK);
    assert!(out.contains("仍重复通知 1 次") && out.contains("确定：网关自己的记录中可以查到"), "{out}");
    // A copy of it is known, and so is what happened to it; an event's id leads there too.
    let told = explain(&world, &["-", "--json"], &request.body).json(OK);
    assert_eq!(
        (&told["notification"], ids(&told)),
        (&id.as_str().into(), vec!["repeated_after_answer", "reply_wrong"])
    );
    let event = world.events().pop().unwrap()["id"].as_str().unwrap().to_owned();
    assert_eq!(explain(&world, &[&event, "--json"], b"").json(OK)["subject"]["id"], id.as_str());
}

#[test]
fn the_records_tell_of_hundredfold_amounts_and_late_news() {
    let world = lonely("");
    let _gateway = world.start();
    let at = now();
    let story = |kind, minor, serial, seconds| Story {
        kind,
        serial,
        ..Story::paid("A-1", minor, at.checked_sub(Duration::from_secs(seconds)).unwrap())
    };
    for story in [
        story(EventKind::PaymentSucceeded, 1000, 1, 0),
        story(EventKind::PaymentSucceeded, 100_000, 2, 0),
        story(EventKind::PaymentPending, 1000, 3, 90),
    ] {
        assert_eq!(world.send(&world.side.callback(&story).request).unwrap().body, b"success");
    }
    let events = wait_for("the events", || Some(world.events()).filter(|events| events.len() == 3));
    let found = |event: &Value| explain(&world, &[event["notification"].as_str().unwrap(), "--json"], b"").json(OK);
    assert_eq!(ids(&found(&events[0])), Vec::<&str>::new());
    let told = found(&events[1]);
    assert_eq!(ids(&told), ["amount_hundredfold"], "{told:#}");
    let facts = &told["findings"][0]["facts"];
    assert_eq!([&facts["amount"], &facts["other"]], ["1000.00 CNY", "10.00 CNY"], "{told:#}");
    assert_eq!(facts["event"], events[0]["id"]);
    let told = found(&events[2]);
    assert_eq!(ids(&told), ["out_of_order"], "{told:#} {:#}", events[2]);
    assert!(told["findings"][0]["title"].as_str().unwrap().contains("payment.succeeded"), "{told:#}");
}

#[test]
fn the_recipe_keeps_what_explain_reads() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/explain.md")).unwrap();
    let recipe = page.split("```php\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(recipe.contains("sys_get_temp_dir()"), "{recipe}");
    let recipe = recipe.replace("sys_get_temp_dir()", "__DIR__");
    let shop = Shop::new(&format!("<?php\n{recipe}\necho 'success';"));
    let mut world = shop.world();
    let _gateway = world.start();
    let request = world.payment("A-1", 1000);
    assert_eq!(world.send(&request).unwrap().body, b"success");
    let kept = wait_for("the file", || {
        let names = fs::read_dir(shop.fpm.root()).unwrap().map(|entry| entry.unwrap().path());
        names.into_iter().find(|path| path.extension().is_some_and(|end| end == "http"))
    });
    wait_for("the delivery", || (world.delivery_states() == ["delivered"]).then_some(()));
    let told = explain(&world, &[kept.to_str().unwrap(), "--json"], b"").json(OK);
    assert_eq!((&told["outcome"], &told["copy"]["form"]), (&"genuine".into(), &"http".into()), "{told:#}");
    assert_eq!((&told["copy"]["has_head"], &told["copy"]["notes"]), (&true.into(), &json!([])));
    let text = fs::read(&kept).unwrap();
    assert!(text.ends_with(&request.body), "byte for byte");
}

/// Parts in which every kind is tried, so that they can be tried at the same time.
const PARTS: usize = 4;

#[test]
fn the_first_kinds_messages_are_known_and_their_marks_found() {
    messages_are_known(0);
}

#[test]
fn the_second_kinds_messages_are_known_and_their_marks_found() {
    messages_are_known(1);
}

#[test]
fn the_third_kinds_messages_are_known_and_their_marks_found() {
    messages_are_known(2);
}

#[test]
fn the_fourth_kinds_messages_are_known_and_their_marks_found() {
    messages_are_known(3);
}

/// Every `PARTS`th kind, configured as `init` does.
fn messages_are_known(part: usize) {
    let platforms = || PLATFORMS.iter().skip(part).step_by(PARTS);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut args = vec!["init", "--set", "address=unix:/nowhere", "--set", "script=/x.php"];
    args.extend(platforms().flat_map(|platform| ["--platform", platform.kind]));
    run(folder, &args, b"").with(OK);
    let secrets = secrets(&folder.join("keys"));
    assert!(secrets.len() > platforms().count());
    let mut marks = 0;
    for platform in platforms() {
        let kind = platform.kind;
        let path = format!("/notify/{kind}");
        let mut side = (platform.simulate)();
        side.import(&fs::read(folder.join(format!("keys/simulator/{kind}.keys"))).unwrap()).unwrap();
        let story = Story { kind: side.stories()[0], path: Some(path.clone()), ..Story::paid("A-1", 1000, now()) };
        let request = side.callback(&story).request;
        let told = run(folder, &["explain", "-", "--json"], &wire(&path, &request)).json(OK);
        let is_taken = told["outcome"] == "genuine" || told["outcome"] == "hint";
        assert!(is_taken && told["channel"] == kind && told["findings"] == json!([]), "{kind}: {told:#}");
        if request.body.is_empty() {
            continue;
        }
        let told = run(folder, &["explain", "-", "--json"], &wire(&path, &marked(&request))).json(OK);
        if told["outcome"] == "refused" {
            assert_eq!(ids(&told), ["bom"], "{kind}: {told:#}");
            marks += 1;
        }
        // What is wrong is told without a byte of what is secret.
        let spoiled = with_body(&request, [&request.body[..], b"x"].concat());
        for args in [["explain", "-", "--json"].as_slice(), &["explain", "-"]] {
            let ran = run(folder, args, &wire(&path, &spoiled));
            for secret in &secrets {
                assert!(!ran.out.contains(secret) && !ran.err.contains(secret), "{kind}: {}", ran.out);
            }
        }
    }
    assert!(marks * 2 > platforms().count(), "only {marks} platforms mind a mark");
}

/// Every line of a key file that is long enough to be nothing else.
fn secrets(folder: &Path) -> Vec<String> {
    const LONG: usize = 16;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(secrets(&path));
        } else if let Ok(text) = fs::read_to_string(&path) {
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= LONG && !line.starts_with("-----"));
            found.extend(lines.map(str::to_owned));
        }
    }
    found
}

#[test]
fn every_finding_is_listed_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    for lang in ["en", "zh"] {
        let list = run(folder.path(), &["explain", "--list", "--lang", lang], b"").with(OK);
        let rows = run(folder.path(), &["--json", "explain", "--list", "--lang", lang], b"").with(OK);
        let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), FINDINGS.len());
        for (row, finding) in rows.iter().zip(FINDINGS) {
            assert_eq!(row["id"], finding.id);
            let text = |text: tollbell_channels::settings::Text| if lang == "zh" { text.zh } else { text.en };
            assert_eq!(
                [&row["title"], &row["cause"], &row["cure"]],
                [finding.title, finding.cause, finding.cure].map(text)
            );
            assert!(!row["evidence"].as_array().unwrap().is_empty());
            assert!(list.contains(finding.id), "{list}");
        }
    }
}

#[test]
fn the_pages_about_findings_are_the_registrys() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (lang, page) in [("en", "docs/explain.md"), ("zh", "docs/explain.zh-CN.md")] {
        let told =
            run(root, &["--lang", lang, "explain", "--markdown", "--examples", "examples/rejected"], b"").with(OK);
        let written = fs::read_to_string(root.join(page)).unwrap_or_default();
        assert!(told == written, "{page} is stale: write it anew with `make docs`");
        for finding in FINDINGS {
            assert!(told.contains(&format!("\n## {}\n", finding.id)), "{page}: {}", finding.id);
            assert!(told.contains(&format!("(#{})", finding.id)), "{page}: {}", finding.id);
        }
    }
}
