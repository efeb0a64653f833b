//! `check --security` on real configurations: each finding when it is there, and not when it is not.

mod support {
    pub(crate) mod gateway;
}

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use support::gateway::TOKEN;
use tempfile::TempDir;
use tollbell::app::security::{KEY_AGE_MAX, WORDS};
use tollbell_channels::platforms::{PLATFORMS, by_kind};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::OtherSide;

/// A configuration in a folder of its own, all of it closed to others.
struct Shop {
    folder: TempDir,
    server: String,
    admin: String,
    channels: Vec<String>,
    target: String,
}

impl Shop {
    /// One channel of this kind, and a target.
    fn of(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut shop = Self {
            folder,
            server: "listen = \"127.0.0.1:8080\"\n".to_owned(),
            admin: "listen = \"127.0.0.1:8081\"\n".to_owned(),
            channels: Vec::new(),
            target: "url = \"http://127.0.0.1:3000/\"\nsecret_file = \"target.key\"\n".to_owned(),
        };
        shop.secret("admin.key", TOKEN.as_bytes());
        shop.secret("target.key", b"whsec_q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe");
        shop.add(kind);
        shop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
        self.mode(name, 0o600);
    }

    fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Adds a channel with fresh keys; its id is its kind.
    fn add(&mut self, kind: &str) -> Box<dyn OtherSide> {
        let side = (by_kind(kind).unwrap().simulate)();
        let mut text = format!("[[channel]]\nid = \"{kind}\"\nkind = \"{kind}\"\n");
        for setting in side.written_settings() {
            let name = setting.name;
            match setting.value {
                SettingValue::Text(value) => writeln!(text, "{name} = \"{value}\"").unwrap(),
                SettingValue::Texts(values) => writeln!(text, "{name} = {values:?}").unwrap(),
                SettingValue::Flag(value) => writeln!(text, "{name} = {value}").unwrap(),
                SettingValue::Key(bytes) => {
                    let file = format!("{kind}-{name}");
                    self.secret(&file, &bytes);
                    writeln!(text, "{name}_file = \"{file}\"").unwrap();
                }
                other => panic!("{name}: {other:?}"),
            }
        }
        self.channels.push(text);
        side
    }

    fn write(&self) {
        let text = format!(
            "[server]\n{}[admin]\n{}[[admin.token]]\nname = \"me\"\nrole = \"operator\"\ntoken_file = \"admin.key\"\n\
             {}[[target]]\nid = \"shop\"\nkind = \"http\"\n{}",
            self.server,
            self.admin,
            self.channels.concat(),
            self.target
        );
        let path = self.path("tollbell.toml");
        fs::write(&path, text).unwrap();
        self.mode("tollbell.toml", 0o600);
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_in("en", args)
    }

    fn run_in(&self, lang: &str, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tollbell"))
            .args(["--lang", lang, "--config"])
            .arg(self.path("tollbell.toml"))
            .args(args)
            .env("CREDENTIALS_DIRECTORY", self.path("credentials"))
            .output()
            .unwrap()
    }

    /// The findings, the last line, and the exit status.
    fn report(&self) -> (Vec<Value>, Value, i32) {
        let output = self.run(&["--json", "check", "--security"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let last = lines.pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (lines, last, output.status.code().unwrap())
    }

    /// The configuration is written and looked at: no finding of this word.
    #[track_caller]
    fn lacks(&self, word: &str) {
        self.write();
        self.still_lacks(word);
    }

    #[track_caller]
    fn still_lacks(&self, word: &str) {
        let (found, ..) = self.report();
        assert!(found.iter().all(|finding| finding["word"] != word), "{word} in {found:#?}");
    }

    /// It is written and looked at: one finding of this word, with this severity.
    #[track_caller]
    fn has(&self, word: &str, severity: &str) -> Value {
        self.write();
        self.still_has(word, severity)
    }

    #[track_caller]
    fn still_has(&self, word: &str, severity: &str) -> Value {
        let (found, last, code) = self.report();
        let own: Vec<&Value> = found.iter().filter(|finding| finding["word"] == word).collect();
        let [finding] = own.as_slice() else { panic!("{word}: {found:#?}") };
        assert_eq!(finding["severity"], severity, "{finding:#?}");
        let serious = found.iter().filter(|finding| finding["severity"] == "serious").count();
        assert_eq!((code == 1, &last["ok"]), (serious > 0, &(serious == 0).into()), "{last}");
        assert!(!finding["text"].as_str().unwrap().is_empty() && !finding["text"].as_str().unwrap().contains('{'));
        if WORDS.contains(&word) {
            assert!(!finding["cure"].as_str().unwrap().is_empty(), "{finding:#?}");
        }
        (*finding).clone()
    }

    /// The line of the file where a text stands.
    fn line_of(&self, text: &str) -> usize {
        let all = fs::read_to_string(self.path("tollbell.toml")).unwrap();
        all.lines().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text} in {all}")) + 1
    }
}

#[test]
fn a_closed_configuration_has_nothing_serious() {
    let shop = Shop::of("wechat_pay");
    shop.write();
    let (found, last, code) = shop.report();
    assert_eq!(code, 0, "{found:#?}");
    assert!(found.iter().all(|finding| finding["severity"] == "notice"), "{found:#?}");
    assert_eq!((&last["ok"], &last["serious"], &last["warnings"]), (&true.into(), &0.into(), &0.into()));
    // The same for people, in both languages.
    let output = shop.run(&["check", "--security"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("Serious: 0; warnings: 0; notices: "), "{text}");
    let output = shop.run_in("zh", &["check", "--security"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("严重：0；警告：0；提示："));
}

#[test]
fn a_broken_configuration_is_no_good_here_either() {
    let mut shop = Shop::of("wechat_pay");
    shop.server = "listen = 1\n".to_owned();
    shop.write();
    let (found, last, code) = shop.report();
    assert_eq!((code, found.len(), &last["ok"]), (2, 1, &false.into()), "{found:#?}");
}

#[test]
fn files_that_others_may_read_or_change_are_found() {
    let shop = Shop::of("wechat_pay");
    for word in ["config_writable", "config_readable", "folder_writable", "key_writable", "inbox_open"] {
        shop.lacks(word);
    }
    for (mode, is_open) in [(0o644, false), (0o660, true), (0o602, true)] {
        shop.mode("tollbell.toml", mode);
        if is_open { drop(shop.still_has("config_writable", "serious")) } else { shop.still_lacks("config_writable") }
    }
    shop.mode("tollbell.toml", 0o600);
    shop.mode("wechat_pay-wechatpay_public_key", 0o644);
    shop.still_lacks("key_writable");
    shop.mode("wechat_pay-wechatpay_public_key", 0o666);
    let finding = shop.still_has("key_writable", "serious");
    assert!(finding["cure"].as_str().unwrap().contains("chmod 644"), "{finding:#?}");
    assert!(finding["file"].as_str().unwrap().ends_with("wechat_pay-wechatpay_public_key"), "{finding:#?}");
    shop.mode("wechat_pay-wechatpay_public_key", 0o600);

    fs::set_permissions(shop.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    shop.still_has("folder_writable", "serious");
    fs::set_permissions(shop.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    shop.still_lacks("folder_writable");

    shop.secret("tollbell.db", b"");
    shop.still_lacks("inbox_open");
    shop.mode("tollbell.db", 0o640);
    shop.still_has("inbox_open", "serious");
}

#[test]
fn every_folder_on_the_way_to_a_file_is_looked_at() {
    let shop = Shop::of("wechat_pay");
    shop.lacks("folder_writable");
    // The key is a link into a folder below one that everybody writes.
    let open = shop.path("open");
    fs::create_dir_all(open.join("closed")).unwrap();
    fs::rename(shop.path("admin.key"), open.join("closed/admin.key")).unwrap();
    std::os::unix::fs::symlink(open.join("closed/admin.key"), shop.path("admin.key")).unwrap();
    for (mode, is_found) in [(0o755, false), (0o777, true), (0o1777, false)] {
        shop.mode("open", mode);
        if is_found {
            let finding = shop.still_has("folder_writable", "serious");
            assert!(finding["file"].as_str().unwrap().ends_with("/open"), "{finding:#?}");
        } else {
            shop.still_lacks("folder_writable");
        }
    }
    // So is the folder of the database, which may be elsewhere.
    let mut shop = Shop::of("wechat_pay");
    fs::create_dir(shop.path("data")).unwrap();
    shop.target.push_str("[inbox]\nurl = \"sqlite:data/inbox.db\"\n");
    shop.mode("data", 0o700);
    shop.lacks("folder_writable");
    shop.mode("data", 0o777);
    let finding = shop.still_has("folder_writable", "serious");
    assert!(finding["file"].as_str().unwrap().ends_with("/data"), "{finding:#?}");
}

#[test]
fn what_belongs_to_another_user_is_found() {
    let shop = Shop::of("wechat_pay");
    shop.lacks("foreign_owner");
    // Only the administrator can give files away; for everybody else the administrator's own are right.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    std::os::unix::fs::chown(shop.path("admin.key"), Some(54_321), None).unwrap();
    let finding = shop.still_has("foreign_owner", "serious");
    assert!(finding["file"].as_str().unwrap().ends_with("admin.key"), "{finding:#?}");
    // Who owns the database runs the gateway.
    shop.secret("tollbell.db", b"");
    std::os::unix::fs::chown(shop.path("tollbell.db"), Some(54_321), None).unwrap();
    shop.still_lacks("foreign_owner");
}

#[test]
fn a_credential_that_everybody_reads_is_found() {
    let mut shop = Shop::of("wechat_pay");
    fs::create_dir(shop.path("credentials")).unwrap();
    shop.secret("credentials/hook", b"whsec_q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe");
    shop.target = "url = \"http://127.0.0.1:3000/\"\nsecret_credential = \"hook\"\n".to_owned();
    shop.write();
    for (folder, file, is_found) in
        [(0o755, 0o644, true), (0o755, 0o600, false), (0o755, 0o440, false), (0o700, 0o644, false)]
    {
        shop.mode("credentials", folder);
        shop.mode("credentials/hook", file);
        if is_found {
            let finding = shop.still_has("config.key_readable", "serious");
            assert_eq!(finding["line"], shop.line_of("secret_credential"), "{finding:#?}");
        } else {
            shop.still_lacks("config.key_readable");
        }
    }
}

#[test]
fn a_signature_over_a_checksum_is_found() {
    let mut tried = 0;
    for platform in PLATFORMS.iter().filter(|one| one.settings.iter().any(|setting| setting.name == "confirm")) {
        let mut shop = Shop::of(platform.kind);
        let kept: Vec<&str> = shop.channels[0].lines().filter(|line| !line.starts_with("confirm")).collect();
        shop.channels[0] = format!("{}\nconfirm = [\"never\"]\n", kept.join("\n"));
        drop(shop.has("checksum_only", "serious"));
        tried += 1;
    }
    assert!(tried > 0);
    Shop::of("wechat_pay").lacks("checksum_only");
}

#[test]
fn a_secret_in_the_file_itself_is_worse_when_others_read_it() {
    let mut shop = Shop::of("wechat_pay");
    shop.lacks("config.literal_secret");
    shop.target = "url = \"http://127.0.0.1:3000/\"\nsecret = \"whsec_q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe\"\n".to_owned();
    let finding = shop.has("config.literal_secret", "warning");
    assert_eq!(finding["line"], shop.line_of("whsec_"), "{finding:#?}");
    assert!(!finding.to_string().contains("q7Yx2mVb"), "{finding:#?}");
    shop.still_lacks("config_readable");
    shop.mode("tollbell.toml", 0o644);
    shop.still_has("config_readable", "serious");
    // Without a secret in it anybody may read it.
    shop.target = "url = \"http://127.0.0.1:3000/\"\nsecret_file = \"target.key\"\n".to_owned();
    shop.write();
    shop.mode("tollbell.toml", 0o644);
    shop.still_lacks("config_readable");
}

#[test]
fn listeners_that_are_open_are_found() {
    let mut shop = Shop::of("wechat_pay");
    shop.lacks("plain_public");
    shop.lacks("metrics_open");
    shop.server = "listen = \"0.0.0.0:8080\"\n".to_owned();
    let finding = shop.has("plain_public", "warning");
    assert_eq!((&finding["line"], &finding["key"]), (&2.into(), &"server.listen".into()), "{finding:#?}");
    // A proxy stands beside an address that stays open.
    shop.server = "listen = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.1\"]\n".to_owned();
    shop.has("plain_public", "notice");
    shop.server = "listen = \"0.0.0.0:8080\"\ntrusted_proxies = [\"0.0.0.0/0\"]\n".to_owned();
    shop.has("network.everyone", "serious");
    shop.server = "listen = \"[::ffff:127.0.0.1]:8080\"\n".to_owned();
    shop.lacks("plain_public");
    shop.admin = "listen = \"127.0.0.1:8081\"\nopen_metrics = true\n".to_owned();
    let finding = shop.has("metrics_open", "warning");
    assert_eq!(finding["line"], shop.line_of("open_metrics"), "{finding:#?}");
}

#[test]
fn weak_secrets_are_found_and_not_shown() {
    let mut shop = Shop::of("epay");
    let drawn = "q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe";
    let cases = [
        (drawn.to_owned(), None),
        ("a".repeat(32), Some(("repetitive_secret", "serious"))),
        ("q7Yx2mVb9Kd-changeme-T4wRz8LpN6s".to_owned(), Some(("guessable_secret", "serious"))),
        ("sk_test_q7Yx2mVb9KdT4wRz8LpN6sHc".to_owned(), Some(("test_secret", "serious"))),
    ];
    for (secret, expected) in &cases {
        shop.secret("epay-key", secret.as_bytes());
        shop.write();
        for word in ["repetitive_secret", "guessable_secret", "test_secret", "short_secret"] {
            let key = format!("weakness.{word}");
            match expected {
                Some((own, severity)) if *own == word => {
                    let finding = shop.still_has(&key, severity);
                    assert_eq!(finding["line"], shop.line_of("key_file = \"epay-key\""), "{finding:#?}");
                    assert!(!finding.to_string().contains(&secret[..8]), "{finding:#?}");
                }
                _ => shop.still_lacks(&key),
            }
        }
        // The platform prescribes it: good to know.
        shop.still_has("weakness.old_digest", "notice");
    }
    // In a sandbox a test's secret is right.
    shop.secret("epay-key", cases[3].0.as_bytes());
    shop.channels[0].push_str("environment = \"sandbox\"\n");
    shop.lacks("weakness.test_secret");
}

#[test]
fn a_secret_shorter_than_its_hash_is_found() {
    let shop = Shop::of("razorpay");
    let file = fs::read_dir(shop.folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = file.into_iter().find(|name| name.starts_with("razorpay-") && name.contains("secret")).unwrap();
    let drawn = "q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe";
    shop.secret(&file, drawn.as_bytes());
    shop.lacks("weakness.short_secret");
    shop.secret(&file, &drawn.as_bytes()[..24]);
    let finding = shop.still_has("weakness.short_secret", "warning");
    assert!(finding["text"].as_str().unwrap().contains("24 < 32 bytes"), "{finding:#?}");
}

#[test]
fn a_key_that_is_old_or_ends_is_found() {
    let mut shop = Shop::of("epay");
    shop.lacks("key_old");
    let file = fs::File::options().write(true).open(shop.path("epay-key")).unwrap();
    let age = |age: Duration| file.set_modified(now() - age).unwrap();
    age(KEY_AGE_MAX.checked_sub(Duration::from_hours(24)).unwrap());
    shop.still_lacks("key_old");
    age(KEY_AGE_MAX + Duration::from_hours(24));
    let finding = shop.still_has("key_old", "notice");
    assert!(finding["file"].as_str().unwrap().ends_with("epay-key"), "{finding:#?}");
    shop.lacks("keys.has_ended");
    shop.channels[0].push_str("key_until = \"2020-01-01T00:00:00Z\"\n");
    let finding = shop.has("keys.has_ended", "warning");
    assert_eq!(finding["line"], shop.line_of("key_file"), "{finding:#?}");
}

#[expect(clippy::disallowed_methods, reason = "a file's time is the machine's")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// A platform whose messages show a token or nothing, and which is asked.
fn asking(shown: bool) -> String {
    let (secret, evidence) = if shown {
        (
            "secret_file = \"token\"\n",
            "algorithm = \"token\"\nsignature = { from = \"header:x-token\", parse = \"whole\" }\n",
        )
    } else {
        ("", "algorithm = \"none\"\nbody = \"json\"\n")
    };
    format!(
        "[[channel]]\nid = \"own\"\nkind = \"custom\"\nplatform = \"own-pay\"\naccount = \"acct_1\"\n{secret}\
         api_key_file = \"api.key\"\n[channel.verify]\n{evidence}[channel.fetch]\nrequired = true\n\
         url = \"https://api.example.com/v1/payments/{{json:/id}}\"\nid_pattern = \"^pay_[A-Za-z0-9]+$\"\nauth = \"bearer\"\n\
         same = \"answer:/id\"\n[channel.event]\ntype = \"answer:/state\"\nnumber = \"answer:/id\"\n\
         amount = {{ value = \"answer:/amount\", currency = \"EUR\", form = \"minor-int\" }}\n\
         map = {{ paid = \"payment.succeeded\" }}\n"
    )
}

#[test]
fn what_is_believed_only_when_asked_is_told() {
    let mut shop = Shop::of("wechat_pay");
    shop.lacks("asked_only");
    shop.lacks("token_in_clear");
    shop.secret("token", b"q7Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQe");
    shop.secret("api.key", b"q8Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQf");
    for shown in [true, false] {
        shop.channels.truncate(1);
        shop.channels.push(asking(shown));
        shop.server = "listen = \"127.0.0.1:8080\"\n".to_owned();
        shop.has("asked_only", "notice");
        shop.still_lacks("one_network");
        shop.server = "listen = \"10.1.2.3:8080\"\n".to_owned();
        shop.has("one_network", "warning");
        shop.server = "listen = \"10.1.2.3:8080\"\ntrusted_proxies = [\"10.0.0.1\"]\n".to_owned();
        shop.lacks("one_network");
        shop.server = "listen = \"127.0.0.1:8080\"\n".to_owned();
        shop.write();
        shop.still_lacks("token_in_clear");
        shop.server = "listen = \"0.0.0.0:8080\"\n".to_owned();
        // A credential of before proves no message either.
        shop.secret("old.key", b"q9Yx2mVb9KdT4wRz8LpN6sHc3JfG5aQf");
        let now = shop.channels[1].clone();
        shop.channels[1].push_str("[[channel.former]]\nuntil = \"2999-01-01T00:00:00Z\"\napi_key_file = \"old.key\"\n");
        shop.has("asked_only", "notice");
        shop.channels[1] = now;
        if shown {
            drop(shop.has("token_in_clear", "serious"));
            shop.still_lacks("plain_public");
            shop.server = "listen = \"0.0.0.0:8080\"\ntrusted_proxies = [\"10.0.0.1\"]\n".to_owned();
            drop(shop.has("token_in_clear", "warning"));
        } else {
            drop(shop.has("plain_public", "warning"));
            shop.still_lacks("token_in_clear");
        }
    }
}

#[test]
fn messages_without_a_time_are_told() {
    Shop::of("wechat_pay").lacks("no_time");
    Shop::of("epay").has("no_time", "notice");
}

#[test]
fn published_addresses_that_are_not_checked_are_told() {
    Shop::of("epay").lacks("no_source_check");
    let mut shop = Shop::of("wechat_pay");
    shop.has("no_source_check", "notice");
    shop.channels[0].push_str("ip_check = \"warn\"\n");
    shop.lacks("no_source_check");
}

#[test]
fn where_events_go_is_looked_at() {
    let mut shop = Shop::of("wechat_pay");
    shop.lacks("target_in_clear");
    shop.lacks("sandbox_mixed");
    for (url, is_found) in [
        ("http://10.0.0.7:3000/", true),
        ("http://shop.example.com/", true),
        ("https://shop.example.com/", false),
        ("http://localhost:3000/", false),
        ("http://[::1]:3000/", false),
    ] {
        shop.target = format!("url = \"{url}\"\nsecret_file = \"target.key\"\n");
        if is_found { drop(shop.has("target_in_clear", "warning")) } else { shop.lacks("target_in_clear") }
    }
    shop.target = "url = \"http://127.0.0.1:3000/\"\nsecret_file = \"target.key\"\naccept_sandbox = true\n".to_owned();
    shop.lacks("sandbox_mixed");
    shop.add("epay");
    shop.channels[1].push_str("environment = \"sandbox\"\n");
    shop.has("sandbox_mixed", "notice");
}

#[test]
fn throw_away_keys_are_serious() {
    let shop = Shop::of("wechat_pay");
    shop.lacks("check.test_keys");
    let folder = tempfile::tempdir().unwrap();
    let init = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["init", "shop", "--platform", "wechat_pay"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--json", "check", "--security"])
        .current_dir(folder.path().join("shop"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_serious = |one: &Value| one["word"] == "check.test_keys" && one["severity"] == "serious";
    assert!(found.iter().any(is_serious), "{found:#?}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_pages_tell_of_every_finding() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for page in ["docs/security.md", "docs/security.zh-CN.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for word in WORDS {
            assert!(text.contains(&format!("`{word}`")), "{page}: {word}");
        }
    }
}
