//! The command line as a person meets it: the real program, its texts in both languages, its exit codes.

mod support {
    pub(crate) mod gateway;
}

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::gateway::{Gateway, free_address, get, wait_for};
use tempfile::TempDir;
use tollbell_channels::platforms::{PLATFORMS, by_kind};
use tollbell_channels::settings::SettingKind;

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
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// As [`Ran::good`], for a configuration as `init` writes it: nothing but the warnings about its test keys,
    /// about platforms that sign a part of their message only, and about the time limit of PHP-FPM, which `init` cannot know.
    #[track_caller]
    fn good_with_test_keys(self) -> String {
        let is_expected = |line: &str| {
            ["throw-away test keys", "测试密钥", "request_terminate_timeout", "signs only", "只对"]
                .iter()
                .any(|part| line.contains(part))
        };
        assert!(!self.err.is_empty() && self.err.lines().all(is_expected), "{}", self.err);
        Self { err: String::new(), ..self }.good()
    }

    #[track_caller]
    fn good(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (OK, ""), "{}", self.out);
        self.out
    }

    #[track_caller]
    fn failed(self, code: i32, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, "", err));
    }

    fn json(self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A folder to run in.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// With what `init` writes.
    fn initialised(args: &[&str]) -> Self {
        let place = Self::new();
        let mut all = vec!["init"];
        all.extend(args);
        place.run(&all).good();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn reconfigure(&self, from: &str, to: &str) {
        let text = self.read("tollbell.toml");
        assert!(text.contains(from), "no `{from}` in\n{text}");
        fs::write(self.path("tollbell.toml"), text.replace(from, to)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollbell"));
        command.args(args).current_dir(self.folder.path()).env_remove("LC_ALL").env_remove("LC_MESSAGES");
        command.env("LANG", "en_US.UTF-8").stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    fn zh(&self, args: &[&str]) -> Ran {
        self.command(args).env("LANG", "zh_CN.UTF-8").output().unwrap().into()
    }

    fn files(&self) -> Vec<String> {
        fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                found.push(format!("{} {mode:o}", path.strip_prefix(root).unwrap().display()));
                if path.is_dir() {
                    walk(root, &path, found);
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut found);
        found.sort();
        found
    }
}

#[test]
fn init_writes_a_configuration_with_test_keys_for_its_owner_only() {
    let place = Place::new();
    let told = place.run(&["init", "--platform", "alipay"]).good();
    assert_eq!(told, "./tollbell.toml is written. Next: `tollbell check`, then `tollbell serve`.\n");
    assert_eq!(
        place.files(),
        [
            "keys 700",
            "keys/admin_token 600",
            "keys/alipay_public.pem 600",
            "keys/resign 700",
            "keys/resign/alipay-certificate.crt 600",
            "keys/resign/alipay-public.pem 600",
            "keys/resign/alipay-public.txt 600",
            "keys/resign/alipay.pem 600",
            "keys/simulator 700",
            "keys/simulator/alipay.keys 600",
            "tollbell.toml 600"
        ]
    );
    assert_eq!(place.run(&["check"]).good_with_test_keys(), "The configuration is good. Channels: 1; targets: 1.\n");
    // A second run changes nothing, whichever of the files is there.
    let before = place.read("tollbell.toml");
    place
        .run(&["init"])
        .failed(FAILED, "failed to write ./keys/alipay_public.pem: it is there already, and nothing was changed\n");
    assert_eq!(place.read("tollbell.toml"), before);
    let other = Place::new();
    fs::write(other.path("tollbell.toml"), "mine").unwrap();
    other.zh(&["init"]).failed(FAILED, "错误：./tollbell.toml 已存在，未作任何改动\n");
    assert_eq!(other.read("tollbell.toml"), "mine");
    assert_eq!(other.files(), ["tollbell.toml 644"], "nothing else was written");
}

#[test]
fn init_writes_into_another_folder_and_says_how_to_go_on() {
    let place = Place::new();
    let told = place.zh(&["init", "etc/tollbell"]).good();
    assert_eq!(
        told,
        "已写入 etc/tollbell/tollbell.toml。接下来运行 `tollbell --config etc/tollbell/tollbell.toml check`，\
         然后 `tollbell --config etc/tollbell/tollbell.toml serve`。\n"
    );
    assert!(place.files().contains(&"etc/tollbell 700".to_owned()), "{:?}", place.files());
    let told = place.zh(&["--config", "etc/tollbell/tollbell.toml", "check"]).good_with_test_keys();
    assert_eq!(told, "配置没有问题。渠道 1 个，投递目标 1 个。\n");
}

#[test]
fn init_explains_every_setting_in_both_languages() {
    for (lang, is_zh) in [("en", false), ("zh", true)] {
        let place = Place::initialised(&["--all", "--lang", lang]);
        let text = place.read("tollbell.toml");
        let kinds = tollbell::targets::KINDS.first().unwrap().settings.iter();
        for setting in PLATFORMS.iter().flat_map(|platform| platform.settings).chain(kinds) {
            let help = if is_zh { setting.help.zh } else { setting.help.en };
            assert!(help.lines().all(|line| text.contains(&format!("# {line}\n"))), "no comment `{help}`");
            if matches!(setting.kind, SettingKind::Tree { .. }) {
                assert!(
                    text.contains(&format!("[channel.{}]", setting.name)),
                    "no table `{}` in\n{text}",
                    setting.name
                );
                continue;
            }
            let name = match setting.kind {
                SettingKind::PublicKey | SettingKind::SecretKey => format!("{}_file = ", setting.name),
                _ => format!("{} = ", setting.name),
            };
            let is_there = text.lines().any(|line| line.trim_start_matches("# ").starts_with(&name));
            assert!(is_there, "no `{name}` in\n{text}");
        }
        assert_eq!(text.contains("持久化存储"), is_zh);
        place.run(&["check"]).good_with_test_keys();
        // What is commented out can be taken in: no key of it is unknown.
        let all = text.lines().map(|line| match line.strip_prefix("# ") {
            Some(key) if key.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '`', '{'])) => key,
            _ => line,
        });
        fs::write(place.path("all.toml"), all.collect::<Vec<_>>().join("\n")).unwrap();
        let ran = place.run(&["--config", "all.toml", "check"]);
        assert!(!ran.err.contains("not known") && !ran.err.contains("belongs here"), "{}", ran.err);
    }
}

#[test]
fn init_takes_settings_of_the_target() {
    let place = Place::initialised(&[
        "--set",
        "script=/srv/it's \"here\"/notify.php",
        "--set",
        "address=127.0.0.1:9000",
        "--set",
        "https=true",
        "--set",
        "max_connections=2",
        "--set",
        "success={ status = 200 }",
        "--set",
        "headers=[\"authorization\"]",
        "--set",
        "attempt_timeout=5s",
    ]);
    place.run(&["check"]).good_with_test_keys();
    let listed = place.run(&["--json", "targets"]).json();
    assert_eq!(listed[0]["settings"]["script"], "/srv/it's \"here\"/notify.php");
    let text = place.read("tollbell.toml");
    for line in ["https = true", "max_connections = 2", "success = { status = 200 }", "attempt_timeout = \"5s\""] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
    let place = Place::new();
    for (args, err) in [
        (&["init", "--set", "script"][..], "failed to read `script`: a setting is NAME=VALUE\n"),
        (&["init", "--set", "https=maybe"], "failed to use `maybe` for `https`: it cannot be read\n"),
        (
            &["init", "--set", "max_connections=2\nid = 3"],
            "failed to use `2\nid = 3` for `max_connections`: it cannot be read\n",
        ),
        (&["init", "--set", "success={ status"], "failed to use `{ status` for `success`: it cannot be read\n"),
        (
            &["init", "--set", "success={ status = 200 } # x"],
            "failed to use `{ status = 200 } # x` for `success`: it cannot be read\n",
        ),
    ] {
        place.run(args).failed(USAGE, err);
    }
    let ran = place.run(&["init", "--set", "scrpt=/x"]);
    assert_eq!(ran.code, USAGE);
    assert!(ran.err.starts_with("failed to understand `scrpt`; write one of: address, script, "), "{}", ran.err);
    let known: Vec<&str> = PLATFORMS.iter().map(|platform| platform.kind).collect();
    let known = known.join(", ");
    let args = ["init", "--platform", "paypel"];
    place.run(&args).failed(USAGE, &format!("failed to understand `paypel`; write one of: {known}\n"));
    place.zh(&args).failed(USAGE, &format!("错误：无法识别 `paypel`，可选的值：{known}\n"));
    assert_eq!(place.files(), Vec::<String>::new(), "a refused run writes nothing");
    // A platform that is named twice is one channel.
    let place = Place::initialised(&["--platform", "alipay", "--platform", "alipay"]);
    assert_eq!(place.run(&["--json", "channels"]).json().len(), 1);
}

#[test]
fn check_ends_with_2_and_names_file_line_key_and_cure() {
    let place = Place::initialised(&[]);
    place.reconfigure("listen = \"127.0.0.1:8081\"", "listne = \"127.0.0.1:8081\"\nlisten = \"0.0.0.0:8081\"");
    let line = 1 + place.read("tollbell.toml").lines().position(|line| line.starts_with("listne")).unwrap();
    let next = line + 1;
    place.run(&["check"]).failed(
        USAGE,
        &format!(
            "tollbell.toml:{line}:1: error: `admin.listne`: this key is not known here; did you mean `listen`?\n    \
             | listne = \"…\"\n    | ^\n\
             tollbell.toml:{next}:10: error: `admin.listen`: the admin listener stays on loopback, such as 127.0.0.1:8081: it does not encrypt, so tokens would be readable on the way. From another machine, go through ssh or a TLS proxy on this one\n    \
             | listen = \"0.0.0.0:8081\"\n    |          ^\n"
        ),
    );
    place.zh(&["check"]).failed(
        USAGE,
        &format!(
            "tollbell.toml:{line}:1: 错误：`admin.listne`：此处没有这个设置项，是否想写 `listen`？\n    \
             | listne = \"…\"\n    | ^\n\
             tollbell.toml:{next}:10: 错误：`admin.listen`：管理端口只能监听回环地址，例如 127.0.0.1:8081：它不加密，令牌在途中会被看到。要从别的机器访问，请走 ssh 隧道，或本机上的 TLS 反向代理\n    \
             | listen = \"0.0.0.0:8081\"\n    |          ^\n"
        ),
    );
    let ran = place.run(&["--json", "check"]);
    assert_eq!((ran.code, ran.err.as_str()), (USAGE, ""));
    let lines = ran.json();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        json!({
            "level": "error", "file": "tollbell.toml", "line": line, "column": 1, "key": "admin.listne",
            "word": "config.unknown_key_nearest", "text": "this key is not known here; did you mean `listen`?",
        })
    );
    assert_eq!(lines[2], json!({ "ok": false }));
    // Every command that needs the configuration refuses in the same way.
    for args in [&["serve"][..], &["channels"], &["targets"], &["events"], &["tail", "--once"], &["sample", "alipay"]] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}");
        assert!(ran.err.contains("admin.listne"), "{args:?}: {}", ran.err);
    }
    let missing = "nowhere.toml: error: there is no such file; `tollbell init` writes one, `--config` names another\n";
    place.run(&["--config", "nowhere.toml", "check"]).failed(USAGE, missing);
}

#[test]
fn check_warns_and_passes() {
    let place = Place::new();
    fs::write(place.path("tollbell.toml"), "").unwrap();
    let ran = place.run(&["check"]);
    assert_eq!((ran.code, ran.out.as_str()), (OK, "The configuration is good. Channels: 0; targets: 0.\n"));
    assert_eq!(
        ran.err,
        "tollbell.toml: warning: `channel`: no channel is configured, so every callback gets a 404; add a `[[channel]]`\n\
         tollbell.toml: warning: `target`: no target is configured, so events are kept and not delivered; add a `[[target]]`\n\
         tollbell.toml: warning: `admin.token`: there is no `[[admin.token]]`, so the admin listener answers /healthz and /readyz only: metrics and commands go by the socket `./tollbell.sock`, or add a token\n"
    );
    let lines = place.run(&["check", "--json"]).json();
    assert_eq!(lines[0]["level"], "warning");
    assert_eq!(lines[3], json!({ "ok": true, "channels": 0, "targets": 0 }));
}

#[test]
fn channels_and_targets_are_listed() {
    let place =
        Place::initialised(&["--platform", "alipay", "--set", "address=127.0.0.1:9000", "--set", "script=/x.php"]);
    place.reconfigure("kind = \"alipay\"\n", "kind = \"alipay\"\nmerchant = \"商户\"\npaths = [\"/pay.php\"]\n");
    let listed = place.run(&["channels", "--json"]).json();
    let fingerprint = listed[0]["keys"][0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(
        listed,
        [json!({
            "id": "alipay", "kind": "alipay", "environment": "live", "merchant": "商户", "paths": ["/pay.php"],
            "keys": [{ "label": "alipay_public_key", "algorithm": "RSA 2048", "fingerprint": fingerprint, "not_after": null }],
        })]
    );
    let short = &fingerprint[..16];
    let zh = PLATFORMS.iter().map(|p| format!("{} – {}", p.kind, p.name.zh)).collect::<Vec<_>>().join("; ");
    assert_eq!(
        place.zh(&["channels"]).good(),
        format!(
            "渠道    类型             环境  商户  路径            密钥\n\
             alipay  alipay – 支付宝  live  商户  /notify/alipay  alipay_public_key RSA 2048 {short}\n                                     \
             /pay.php\n\
             本程序支持：{zh}\n"
        )
    );
    assert_eq!(
        place.run(&["targets"]).good(),
        "TARGET  KIND                         SETTINGS\n\
         shop    fastcgi – PHP-FPM (FastCGI)  address = 127.0.0.1:9000\n                                     \
         script = /x.php\n\
         This program knows: fastcgi – PHP-FPM (FastCGI); http – Webhook (HTTP)\n"
    );
    assert_eq!(
        place.run(&["targets", "--json"]).json(),
        [json!({
            "id": "shop", "kind": "fastcgi", "accept_sandbox": false, "signature": "original",
            "settings": { "address": "127.0.0.1:9000", "script": "/x.php" },
        })]
    );
}

/// Starts the gateway of a folder on free ports; its public address is in the configuration then.
fn serve(place: &Place) -> Gateway {
    let (public, admin) = (free_address(), free_address());
    place.reconfigure("\"0.0.0.0:8080\"", &format!("\"{public}\""));
    place.reconfigure("\"127.0.0.1:8081\"", &format!("\"{admin}\""));
    let log = fs::File::create(place.path("log")).unwrap();
    let child = place.command(&["serve"]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut gateway = Gateway { child };
    wait_for("the gateway to serve", || {
        assert!(!gateway.has_ended(), "{}", place.read("log"));
        get(admin, "/healthz").filter(|reply| reply.status == 200)
    });
    gateway
}

fn curl(config: &str) -> String {
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "-K", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    curl.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "curl ended with {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_sample_is_accepted_by_a_running_gateway() {
    // No target is there: what is looked at is the reply and the event.
    let place =
        Place::initialised(&["--platform", "alipay", "--set", "address=unix:/nowhere", "--set", "script=/x.php"]);
    let mut gateway = serve(&place);
    let stories = (by_kind("alipay").unwrap().simulate)().stories();
    assert!(stories.len() > 5, "{stories:?}");
    for (index, story) in stories.iter().enumerate() {
        let order = format!("CLI{index}");
        let sample = |format: &str| {
            place.run(&["sample", "alipay", "--event", story.as_str(), "--order-no", &order, "--format", format]).good()
        };
        assert_eq!(curl(&sample("curl")), "success", "{story}");
        let body = sample("body");
        assert!(body.starts_with("gmt_create=") || body.contains("sign="), "{story}: {body}");
        let http = sample("http");
        assert!(http.starts_with("POST /") && http.contains("\r\n\r\n"), "{story}: {http}");
    }
    let events = place.run(&["--json", "events", "--limit", "100"]).json();
    assert!(!events.is_empty());
    // One event more for a further amount; the same order shows in the table.
    let paid = place.run(&["sample", "alipay", "--order-no", "ORDER-1", "--amount-minor", "12345"]).good();
    assert_eq!(curl(&paid), "success");
    assert_eq!(curl(&paid), "success", "a repetition is answered like the first");
    let listed = place.run(&["--json", "events", "--order-no", "ORDER-1"]).json();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["data"]["amount"], json!({ "minor": 12345, "currency": "CNY", "text": "123.45" }));
    let table = place.run(&["events", "--order-no", "ORDER-1"]).good();
    let (head, row) = table.split_once('\n').unwrap();
    assert!(head.starts_with("TIME                  EVENT "), "{table}");
    assert!(row.contains("  payment.succeeded  alipay   ORDER-1  123.45 CNY  shop="), "{table}");
    assert_eq!(head.find("ORDER"), row.find("ORDER-1"), "{table}");
    story_of(&place, &listed[0]);
    assert_eq!(gateway.terminate().code(), Some(0));
}

/// `show`, `tail` and `replay` of an event.
fn story_of(place: &Place, event: &Value) {
    let (id, notification) = (event["id"].as_str().unwrap(), event["notification"].as_str().unwrap());
    // Repetitions are counted a little after their answer.
    wait_for("the repetition to be counted", || {
        (place.run(&["--json", "show", id]).json()[0]["repeats"] == 1).then_some(())
    });
    let shown = place.run(&["show", id]).good();
    for line in
        [&format!("notification  {notification}\n"), "  repetitions: 1 (after our reply: ", "  order: ORDER-1 · "]
    {
        assert!(shown.contains(line), "no `{line}` in\n{shown}");
    }
    assert!(place.zh(&["show", id]).good().contains("  重复次数: 1 (应答之后仍重复: "));
    assert_eq!(place.run(&["show", notification]).good().lines().next(), shown.lines().next());
    let told = place.run(&["--json", "show", id]).json();
    assert_eq!(told.len(), 1, "one object, one line");
    let delivery = told[0]["deliveries"][0]["id"].as_str().unwrap();
    assert!(place.run(&["show", delivery]).good().contains(id));
    let raw = place.run(&["show", id, "--raw"]).good();
    assert!(raw.starts_with("POST /notify/alipay HTTP/1.1\r\n") && raw.contains("out_trade_no=ORDER-1"), "{raw}");
    let newest = place.run(&["tail", "--once", "-n", "1"]).good();
    assert!(newest.contains(notification) && newest.ends_with("  ×2\n") && newest.lines().count() == 1, "{newest}");
    let newest = place.run(&["tail", "--once", "-n", "1", "--json"]).json();
    assert_eq!((newest.len(), &newest[0]["repeats"]), (1, &json!(1)));
}

#[test]
fn a_sample_is_refused_with_a_reason() {
    let place = Place::initialised(&["--platform", "alipay"]);
    place
        .run(&["sample", "shop"])
        .failed(FAILED, "failed to find channel `shop` in the configuration, which has: alipay\n");
    place.zh(&["sample", "shop"]).failed(FAILED, "错误：配置中没有渠道 `shop`，现有渠道：alipay\n");
    let stories = (by_kind("alipay").unwrap().simulate)().stories();
    let known = stories.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ");
    for event in ["payment.paid", "dispute.opened"] {
        let err = format!("failed to make a sample of `{event}`; this platform's samples tell: {known}\n");
        place.run(&["sample", "alipay", "--event", event]).failed(USAGE, &err);
    }
    let ran = place.run(&["sample", "alipay", "--format", "xml"]);
    assert_eq!(ran.code, USAGE);
    assert!(ran.err.contains("[possible values: curl, body, http]"), "{}", ran.err);
    fs::remove_file(place.path("keys/simulator/alipay.keys")).unwrap();
    place.run(&["sample", "alipay"]).failed(
        FAILED,
        "failed to find the test keys in ./keys/simulator/alipay.keys: samples are signed with the keys that `init` makes; \
         a real platform's private key is the platform's alone\n",
    );
    fs::write(place.path("keys/simulator/alipay.keys"), "nonsense").unwrap();
    let ran = place.run(&["sample", "alipay"]);
    assert_eq!(ran.code, FAILED);
    assert!(
        ran.err.starts_with("failed to read the test keys in ./keys/simulator/alipay.keys: ")
            && !ran.err.contains("nonsense"),
        "{}",
        ran.err
    );
}

#[test]
fn wrong_arguments_end_with_2_and_say_what_is_right() {
    let place = Place::initialised(&[]);
    for (args, en, zh) in [
        (
            &["show", "nonsense"][..],
            "failed to read `nonsense`: an id here begins with ntf_, evt_ or dlv_\n",
            "错误：无法识别 `nonsense`：此处的编号以 ntf_、evt_、dlv_ 开头\n",
        ),
        (
            &["replay", "evt_1"],
            "failed to read `evt_1`: an id here begins with ntf_, evt_ or dlv_\n",
            "错误：无法识别 `evt_1`：此处的编号以 ntf_、evt_、dlv_ 开头\n",
        ),
        (
            &["events", "--before", "ntf_00000000000000000000000000000000"],
            "failed to read `ntf_00000000000000000000000000000000`: an id here begins with evt_\n",
            "错误：无法识别 `ntf_00000000000000000000000000000000`：此处的编号以 evt_ 开头\n",
        ),
        (
            &["events", "--state", "lost"],
            "failed to understand `lost`; write one of: waiting, held, pending, leased, delivered, dead, skipped, discarded\n",
            "错误：无法识别 `lost`，可选的值：waiting, held, pending, leased, delivered, dead, skipped, discarded\n",
        ),
        (
            &["replay"],
            "failed to replay: give either an id or --dead\n",
            "错误：请给出一个编号，或者使用 --dead，二者选一\n",
        ),
        (
            &["replay", "--dead", "evt_00000000000000000000000000000000"],
            "failed to replay: give either an id or --dead\n",
            "错误：请给出一个编号，或者使用 --dead，二者选一\n",
        ),
    ] {
        place.run(args).failed(USAGE, en);
        place.zh(args).failed(USAGE, zh);
    }
    let ran = place.run(&["events", "--kind", "payment.paid"]);
    assert_eq!(ran.code, USAGE);
    assert!(ran.err.starts_with("failed to understand `payment.paid`; write one of: payment.pending, "), "{}", ran.err);
}

#[test]
fn what_is_not_there_is_said_plainly() {
    let place = Place::initialised(&[]);
    for id in ["ntf", "evt", "dlv"].map(|prefix| format!("{prefix}_00000000000000000000000000000000")) {
        let err = format!("failed to find `{id}`: there is nothing with this id, or it is no longer kept\n");
        place.run(&["show", &id]).failed(FAILED, &err);
        place.zh(&["show", &id]).failed(FAILED, &format!("错误：找不到 `{id}`：没有这个编号，或已超过保留期限\n"));
        let ran = place.run(&["replay", &id]);
        assert_eq!(ran.code, FAILED, "{ran:?}");
        assert!(ran.out == "Deliveries that are due again: 0\n" || ran.err.starts_with("failed to "), "{ran:?}");
    }
    assert_eq!(place.run(&["events"]).good(), "TIME  EVENT  KIND  CHANNEL  ORDER  AMOUNT  DELIVERIES\n");
    assert_eq!(place.run(&["events", "--json"]).good(), "");
    assert_eq!(place.run(&["tail", "--once"]).good(), "");
    let ran = place.run(&["replay", "--dead", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (FAILED, "{\"replayed\":0}\n"));
}

#[test]
fn a_backup_is_a_new_file() {
    let place = Place::initialised(&[]);
    place.run(&["events"]).good();
    assert_eq!(place.run(&["backup", "copy.db"]).good(), "The backup is in copy.db\n");
    assert!(place.files().contains(&"copy.db 600".to_owned()), "{:?}", place.files());
    let before = fs::read(place.path("copy.db")).unwrap();
    let ran = place.run(&["backup", "copy.db"]);
    assert_eq!(ran.code, FAILED, "{ran:?}");
    assert!(ran.err.starts_with("failed to write the backup: "), "{}", ran.err);
    assert_eq!(fs::read(place.path("copy.db")).unwrap(), before);
    let ran = place.zh(&["backup", "nowhere/copy.db"]);
    assert_eq!(ran.code, FAILED);
    assert!(ran.err.starts_with("错误：无法写入备份："), "{}", ran.err);
}

#[test]
fn serve_says_why_it_cannot_start() {
    let place = Place::initialised(&[]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    place.reconfigure("0.0.0.0:8080", &address.to_string());
    let ran = place.run(&["serve"]);
    assert_eq!(ran.code, FAILED);
    let last = ran.err.lines().last().unwrap();
    assert_eq!(last, format!("failed to start the gateway: listen on {address}: Address already in use (os error 98)"));
    let ran = place.zh(&["serve"]);
    assert!(ran.err.contains("错误：无法启动网关："), "{}", ran.err);
}

#[test]
fn help_speaks_the_language_of_its_reader() {
    let place = Place::new();
    let help = place.run(&["--help"]).good();
    assert!(help.starts_with("A payment-notification gateway: verifies, keeps, answers and delivers payment callbacks.\n\nUsage: tollbell [OPTIONS] <COMMAND>\n\nCommands:\n  serve "), "{help}");
    assert_eq!(place.run(&["help"]).good(), help);
    assert_eq!(place.run(&["--version"]).good(), format!("tollbell {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(
        place.zh(&["replay", "--help"]).good(),
        "用相同的事件编号重新投递\n\
         \n\
         用法: tollbell replay [OPTIONS] [ID]\n\
         \n\
         参数:\n\
         \x20 [ID]  ntf_…、evt_… 或 dlv_… 编号\n\
         \n\
         选项:\n\
         \x20 -c, --config <CONFIG>  配置文件 [default: tollbell.toml]\n\
         \x20     --dead             所有已放弃的投递\n\
         \x20     --lang <LANG>      提示语言：en 或 zh，默认取自环境变量 [possible values: en, zh]\n\
         \x20     --target <TARGET>  只投递到这个目标\n\
         \x20     --json             输出 JSON，每行一个对象，供程序读取\n\
         \x20     --limit <LIMIT>    与 --dead 合用，最多多少条 [default: 100]\n\
         \x20 -h, --help             显示帮助\n"
    );
    assert_eq!(place.zh(&["help", "replay"]).good(), place.run(&["--lang", "zh", "replay", "-h"]).good());
    for command in [
        "serve", "init", "check", "channels", "targets", "sample", "show", "tail", "events", "replay", "backup",
        "restore", "status", "gaps", "demo", "help",
    ] {
        let (en, zh) = (place.run(&["help", command]).good(), place.zh(&["help", command]).good());
        assert!(en.contains("\nOptions:\n") && en.is_ascii() || en.contains('…'), "{en}");
        assert!(zh.contains("\n选项:\n") && !zh.contains("Options") && !zh.contains("Print"), "{zh}");
        for text in [en, zh] {
            assert!(!text.contains("cli."), "a text is missing in\n{text}");
        }
    }
    // Without a command, the help; as an error, because nothing was done.
    place.run(&[]).failed(USAGE, &help);
    let ran = place.run(&["help", "pay"]);
    assert_eq!(ran.code, USAGE);
    assert!(ran.err.starts_with("failed to understand `pay`; write one of: serve, init, "), "{}", ran.err);
    for args in [&["pay"][..], &["show"], &["--lang", "fr", "check"], &["tail", "-n", "many"]] {
        let ran = place.run(args);
        assert_eq!((ran.code, ran.out.as_str()), (USAGE, ""), "{args:?}");
        assert!(ran.err.starts_with("error: "), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_report() {
    let place = Place::initialised(&[]);
    let mut child = place.command(&["help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.err, "");
}
