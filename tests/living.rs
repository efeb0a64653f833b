//! Keys that live: several at once, each with its own end; who still signs with which; and what is told before one ends.

mod support {
    pub(crate) mod gateway;
}

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::gateway::{Gateway, Setup, World, get, now, wait_for};
use tollbell_channels::model::{EventKind, RawRequest, Timestamp};
use tollbell_channels::platforms::by_kind;
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::{OtherSide, Story};

/// A platform whose channel takes several secrets, any of which may match.
const SEVERAL: (&str, &str) = ("adyen", "hmac_key");

/// A world of this platform; nothing takes its deliveries.
fn world(platform: &'static str) -> World {
    World::new(&Setup { platform, ..Setup::new("127.0.0.1:9", Path::new("/nowhere.php")) })
}

fn write_secret(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The bytes of a side's secret.
fn secret_of(side: &dyn OtherSide, name: &str) -> Vec<u8> {
    let found = side.written_settings().into_iter().find(|setting| setting.name == name);
    match found.map(|setting| setting.value) {
        Some(SettingValue::Key(bytes)) => bytes.to_vec(),
        other => panic!("{name}: {}", other.is_some()),
    }
}

/// Puts other lines in the place of a channel's key.
fn with_key_lines(world: &World, name: &str, lines: &str) {
    let begins = format!("{name}_file");
    world.reconfigure(|text| {
        let kept = text.lines().filter(|line| !line.starts_with(name) || line.starts_with("hmac_kind"));
        assert!(text.contains(&begins) || text.contains(name), "{text}");
        let mut kept: Vec<&str> = kept.collect();
        let at = kept.iter().position(|line| line.starts_with("kind = ")).unwrap();
        kept.insert(at + 1, lines);
        kept.join("\n") + "\n"
    });
}

/// The gateway's clock, which a test sets.
struct Clock(PathBuf);

impl Clock {
    fn start(world: &World) -> (Self, Gateway) {
        let clock = Self(world.path("clock"));
        clock.set("+0");
        let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
            .into_iter()
            .map(|machine| format!("/usr/lib/{machine}/faketime/libfaketime.so.1"))
            .find(|path| fs::exists(path).unwrap())
            .expect("libfaketime");
        let gateway = world.start_with(&[
            "env",
            &format!("LD_PRELOAD={library}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", clock.0.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ]);
        (clock, gateway)
    }

    /// In one step, so that nobody reads half of it.
    fn set(&self, offset: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, &self.0).unwrap();
    }
}

fn metrics(world: &World) -> String {
    get(world.admin, "/metrics").unwrap().text()
}

/// How many callbacks a key has proved.
fn proved(world: &World, channel: &str, key: &str) -> u64 {
    let begins = format!("tollbell_genuine_total{{channel=\"{channel}\",key=\"{key}\"}} ");
    metrics(world).lines().find_map(|line| line.strip_prefix(&begins)).map_or(0, |count| count.parse().unwrap())
}

/// The keys, and the last line about what was looked at.
fn keys(world: &World) -> (Vec<Value>, Value) {
    let mut rows = world.json(&["keys"]);
    let last = rows.pop().unwrap();
    (rows, last)
}

fn row<'r>(rows: &'r [Value], key: &str) -> &'r Value {
    rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no `{key}` in {rows:?}"))
}

/// Callbacks of two sides of one merchant, each with an order of its own.
struct Callers {
    old: Box<dyn OtherSide>,
    new: Box<dyn OtherSide>,
    count: u64,
}

impl Callers {
    fn request(&mut self, is_new: bool) -> RawRequest {
        self.count += 1;
        let mut story = Story::paid(&format!("LIVING-{}", self.count), 1000, now());
        story.kind = EventKind::PaymentSucceeded;
        story.serial = self.count;
        if is_new { self.new.callback(&story).request } else { self.old.callback(&story).request }
    }
}

fn seconds(at: Timestamp) -> String {
    let second = at.as_second();
    Timestamp::from_second(second).unwrap().to_string()
}

#[test]
fn it_is_seen_who_still_signs_with_the_old_secret_until_its_end() {
    let (kind, name) = SEVERAL;
    let mut world = world(kind);
    let new = (by_kind(kind).unwrap().simulate)();
    let old = std::mem::replace(&mut world.side, (by_kind(kind).unwrap().simulate)());
    write_secret(&world.path("hmac-2025.key"), &secret_of(&*old, name));
    write_secret(&world.path("hmac-2026.key"), &secret_of(&*new, name));
    let until = seconds(now() + Duration::from_mins(30));
    let lines = format!("{name}_files = [{{ file = \"hmac-2025.key\", until = \"{until}\" }}, \"hmac-2026.key\"]");
    with_key_lines(&world, name, &lines);
    let mut callers = Callers { old, new, count: 0 };
    let (clock, mut gateway) = Clock::start(&world);

    // Both count, and each is counted by its name.
    for is_new in [false, true, false] {
        let request = callers.request(is_new);
        world.send(&request).unwrap();
    }
    assert_eq!((proved(&world, kind, "hmac-2025.key"), proved(&world, kind, "hmac-2026.key")), (2, 1));
    let (rows, last) = keys(&world);
    let (was, is) = (row(&rows, "hmac-2025.key"), row(&rows, "hmac-2026.key"));
    assert_eq!((&was["notifications"], &is["notifications"]), (&2.into(), &1.into()), "{rows:?}");
    assert_eq!((&was["state"], &is["state"]), (&"known".into(), &"known".into()), "{rows:?}");
    assert_eq!(was["ends_at"], *until, "{rows:?}");
    assert!(is["ends_at"].is_null() && was["last_at"].is_string(), "{rows:?}");
    assert_eq!(was["algorithm"], "HMAC-SHA256");
    assert_eq!(last["looked_at"], 3);
    let shown = metrics(&world);
    let ends = |key: &str| format!("tollbell_key_expires_timestamp_seconds{{channel=\"{kind}\",key=\"{key}\"}}");
    assert!(shown.contains(&ends("hmac-2025.key")) && !shown.contains(&ends("hmac-2026.key")), "{shown}");
    // Its end is near: the log and the check say so.
    wait_for("the warning", || world.log().contains("a key ends soon").then_some(()));
    assert!(world.log().contains("hmac-2025.key"), "{}", world.log());
    let check = world.cli(&["check"]);
    let told = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success() && told.contains("`hmac-2025.key` of `adyen` ends at"), "{told}");
    let zh = std::process::Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--lang", "zh", "--config"])
        .arg(world.path("tollbell.toml"))
        .arg("keys")
        .output()
        .unwrap();
    assert!(String::from_utf8(zh.stdout).unwrap().contains("最近使用"));

    // A second before its end it counts, and from then on it proves nothing.
    clock.set("+3600");
    let refused = callers.request(false);
    let reply = world.send(&refused).unwrap();
    assert_ne!(reply.status, 200, "{}", reply.text());
    world.send(&callers.request(true)).unwrap();
    assert_eq!((proved(&world, kind, "hmac-2025.key"), proved(&world, kind, "hmac-2026.key")), (2, 2));
    let shown = metrics(&world);
    assert!(shown.contains(&format!("tollbell_refused_total{{channel=\"{kind}\",reason=\"signature\"}} 1")), "{shown}");

    // The old one is taken away: its name stays in what was, and that of the other one is the same.
    with_key_lines(&world, name, &format!("{name}_files = [\"hmac-2026.key\"]"));
    assert!(world.cli(&["reload"]).status.success());
    world.send(&callers.request(true)).unwrap();
    assert_eq!(proved(&world, kind, "hmac-2026.key"), 3);
    let (rows, _) = keys(&world);
    assert_eq!(row(&rows, "hmac-2025.key")["state"], "gone", "{rows:?}");
    assert_eq!(row(&rows, "hmac-2026.key")["notifications"], 3, "{rows:?}");
    assert!(!metrics(&world).contains(&ends("hmac-2025.key")), "what is no longer configured has no end");
    // No secret is anywhere.
    let secret = String::from_utf8(secret_of(&*callers.old, name)).unwrap();
    assert!(!world.log().contains(secret.trim()) && !metrics(&world).contains(secret.trim()));
    assert!(gateway.terminate().success());
}

#[test]
fn a_single_key_ends_too_and_the_check_says_so() {
    for kind in ["alipay", "wechat_pay", "epay"] {
        let world = world(kind);
        let settings = world.side.written_settings();
        let is_public = |name: &str| name.contains("public_key") || name == "key" || name.contains("secret");
        let setting = settings.iter().find(|one| matches!(one.value, SettingValue::Key(_)) && is_public(one.name));
        let name = setting.unwrap_or_else(|| panic!("{kind}")).name;
        let add = |world: &World, until: &str| {
            let begins = format!("{name}_until");
            world.reconfigure(|text| {
                let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(&begins)).collect();
                let text = kept.join("\n") + "\n";
                text.replacen(
                    &format!("kind = \"{kind}\"\n"),
                    &format!("kind = \"{kind}\"\n{begins} = \"{until}\"\n"),
                    1,
                )
            });
        };
        add(&world, "2020-01-01T00:00:00Z");
        let check = world.cli(&["check"]);
        let told = String::from_utf8(check.stderr).unwrap();
        assert!(check.status.success() && told.contains("has ended at 2020-01-01T00:00:00Z"), "{kind}: {told}");
        let (rows, _) = keys(&world);
        assert!(rows.iter().any(|row| row["state"] == "ended"), "{kind}: {rows:?}");
        add(&world, "2999-01-01T00:00:00Z");
        let told = String::from_utf8(world.cli(&["check"]).stderr).unwrap();
        assert!(!told.contains("2999"), "{kind}: {told}");
        add(&world, "tomorrow");
        let check = world.cli(&["check"]);
        let told = String::from_utf8(check.stderr).unwrap();
        assert!(!check.status.success() && told.contains(&format!("`channel.{name}_until`")), "{kind}: {told}");
    }
}

#[test]
fn after_its_end_a_single_key_proves_nothing() {
    for kind in ["alipay", "epay"] {
        let mut world = world(kind);
        let settings = world.side.written_settings();
        let is_proving = |name: &str| name.contains("public_key") || name == "key";
        let proving = settings.iter().filter(|one| matches!(one.value, SettingValue::Key(_)) && is_proving(one.name));
        let until = seconds(now() + Duration::from_mins(30));
        let lines: Vec<String> = proving.map(|one| format!("{}_until = \"{until}\"\n", one.name)).collect();
        assert!(!lines.is_empty(), "{kind}");
        world.reconfigure(|text| {
            text.replacen(&format!("kind = \"{kind}\"\n"), &format!("kind = \"{kind}\"\n{}", lines.concat()), 1)
        });
        let (clock, _gateway) = Clock::start(&world);
        let first = world.payment("END-1", 1000);
        assert_eq!(world.send(&first).unwrap().text(), "success", "{kind}");
        clock.set("+3600");
        let second = world.payment("END-2", 1000);
        assert_ne!(world.send(&second).unwrap().text(), "success", "{kind}: it has ended");
        // Also what was taken before is not taken again: it proves nothing now.
        assert_ne!(world.send(&first).unwrap().text(), "success", "{kind}");
        clock.set("+0");
        assert_eq!(world.send(&second).unwrap().text(), "success", "{kind}");
    }
}

#[test]
fn weak_keys_are_told_by_the_check_and_in_metrics() {
    let world = world("epay");
    let strong = String::from_utf8(world.cli(&["check"]).stderr).unwrap();
    assert!(!strong.contains("repeats few characters"), "{strong}");
    let text = fs::read_to_string(world.path("tollbell.toml")).unwrap();
    let line = text.lines().find(|line| line.starts_with("key_file")).unwrap();
    let file = line.split('"').nth(1).unwrap();
    write_secret(Path::new(file), "a".repeat(32).as_bytes());
    let check = world.cli(&["check"]);
    let told = String::from_utf8(check.stderr).unwrap();
    assert!(check.status.success() && told.contains("repeats few characters"), "{told}");
    assert!(!told.contains("aaaa"), "{told}");
    let _gateway = world.start();
    let shown = metrics(&world);
    for weakness in ["repetitive_secret", "old_digest"] {
        let line = format!("tollbell_weak_keys{{channel=\"epay\",key=\"key\",weakness=\"{weakness}\"}} 1");
        assert!(shown.contains(&line), "{weakness}: {shown}");
    }
    assert!(!shown.contains("guessable_secret"), "{shown}");
}

#[test]
fn keys_are_asked_for_by_channel_and_in_bounds() {
    let world = world("epay");
    let wrong = world.cli(&["keys", "--channel", "nobody"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("epay"));
    assert_eq!(world.cli(&["keys", "--newest", "0"]).status.code(), Some(2));
    assert!(world.cli(&["keys", "--channel", "epay", "--newest", "10"]).status.success());
    let (rows, last) = keys(&world);
    assert!(rows.iter().all(|row| row["notifications"] == 0 && row["channel"] == "epay"), "{rows:?}");
    assert!(last["since"].is_null(), "{last}");
    assert!(!world.path("tollbell.db").exists(), "a look makes no inbox");
}
