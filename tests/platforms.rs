//! Every registered platform through the real program: `init --all` configures it, `sample` and curl bring its callback,
//! the page about it is the registry's, and adding one touches one place.

mod support {
    pub(crate) mod gateway;
}

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::gateway::{Gateway, exchange, free_address, get, now, wait_for, wire};
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{EventKind, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform, presets};
use tollbell_channels::settings::SettingValue;
use tollbell_channels::simulate::Story;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn run(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(args)
        .current_dir(folder)
        .env_remove("LC_ALL")
        .env_remove("LC_MESSAGES")
        .env("LANG", "en_US.UTF-8")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What a command prints, and what it says beside that.
fn told(folder: &Path, args: &[&str]) -> (String, String) {
    let output = run(folder, args);
    let [told, warned] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{args:?}: {warned}");
    (told, warned)
}

fn tollbell(folder: &Path, args: &[&str]) -> String {
    told(folder, args).0
}

fn json(folder: &Path, args: &[&str]) -> Vec<Value> {
    tollbell(folder, args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What curl prints: the reply's body, and the status on a line of its own.
fn curl(config: &str) -> (String, u16) {
    let mut curl = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}", "-K", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    curl.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();
    let output = curl.wait_with_output().unwrap();
    assert!(output.status.success(), "curl ended with {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), status.parse().unwrap())
}

/// Parts in which every kind is tried, so that they can be tried at the same time.
const PARTS: usize = 4;

#[test]
fn the_first_kinds_samples_are_accepted_by_what_init_configured() {
    samples_are_accepted(0);
}

#[test]
fn the_second_kinds_samples_are_accepted_by_what_init_configured() {
    samples_are_accepted(1);
}

#[test]
fn the_third_kinds_samples_are_accepted_by_what_init_configured() {
    samples_are_accepted(2);
}

#[test]
fn the_fourth_kinds_samples_are_accepted_by_what_init_configured() {
    samples_are_accepted(3);
}

#[test]
fn init_configures_every_kind_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tollbell(folder, &["init", "--all", "--set", "address=unix:/nowhere", "--set", "script=/x.php"]);
    tollbell(folder, &["check"]);
    let channels = json(folder, &["--json", "channels"]);
    for platform in PLATFORMS {
        assert!(channels.iter().any(|channel| channel["id"] == platform.kind), "{}", platform.kind);
    }
}

/// Every `PARTS`th kind through the real program. What it tells first comes from `sample` by curl; its other stories are
/// told with the same test keys, and go the same way from there.
fn samples_are_accepted(part: usize) {
    let platforms = || PLATFORMS.iter().enumerate().skip(part).step_by(PARTS);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut args = vec!["init", "--set", "address=unix:/nowhere", "--set", "script=/x.php"];
    args.extend(platforms().flat_map(|(_, platform)| ["--platform", platform.kind]));
    tollbell(folder, &args);
    let (public, admin) = (free_address(), free_address());
    let text = fs::read_to_string(folder.join("tollbell.toml")).unwrap();
    let text = asking_nobody(text.replace("\"0.0.0.0:8080\"", &format!("\"{public}\"")));
    fs::write(folder.join("tollbell.toml"), text.replace("\"127.0.0.1:8081\"", &format!("\"{admin}\""))).unwrap();
    tollbell(folder, &["check"]);
    let mut gateway = serve(folder, admin);
    for (place, platform) in platforms() {
        let kind = platform.kind;
        let mut side = (platform.simulate)();
        side.import(&fs::read(folder.join(format!("keys/simulator/{kind}.keys"))).unwrap()).unwrap();
        let events = side.stories();
        // One story by name, and one without a choice: what the platform tells first.
        let order = format!("CURL{place}");
        let event = events[place % events.len()].as_str();
        for args in [vec!["sample", kind, "--event", event, "--order-no", &order], vec!["sample", kind]] {
            in_time(platform, || {
                let sample = tollbell(folder, &args);
                let (body, status) = curl(&sample);
                // The same again: the same answer, and no second event.
                let again = curl(&sample);
                if (200..300).contains(&status) && again == (body.clone(), status) {
                    return Ok(());
                }
                Err(format!("{args:?}: {status} {body}, then {again:?}\n{sample}"))
            });
        }
        for (index, event) in events.iter().enumerate() {
            // Of its own for each kind: what two generations of one platform say about one order is one fact.
            let order = format!("TOLD{place}N{index}");
            in_time(platform, || {
                let bytes = wire(&format!("/notify/{kind}"), &side.callback(&story(*event, &order, index)).request);
                let [first, again] =
                    [(); 2].map(|()| exchange(public, &bytes).map(|reply| (reply.status, reply.text())));
                let is_accepted = first.as_ref().is_some_and(|(status, _)| (200..300).contains(status));
                if is_accepted && first == again {
                    return Ok(());
                }
                Err(format!("{kind}: {event}: {first:?}, then {again:?}"))
            });
        }
        let told = json(folder, &["--json", "events", "--channel", kind, "--limit", "500"]);
        if is_asked(platform) {
            // The platform is somewhere else, and says nothing about what was made up here.
            assert!(told.is_empty(), "{kind}: {told:?}");
            continue;
        }
        for event in events {
            let is_there = told.iter().any(|told| told["type"] == event.as_str());
            assert!(is_there, "{kind}: no `{event}` among {} events", told.len());
        }
        for event in &told {
            let same = told.iter().filter(|other| other["id"] == event["id"]).count();
            assert_eq!(same, 1, "{kind}: {event}");
        }
    }
    for rejection in json(folder, &["--json", "rejections"]) {
        assert!(rejection.to_string().contains("\"stale\""), "{rejection}");
    }
    assert_eq!(gateway.terminate().code(), Some(0));
}

/// A story of now, told in the way that its number chooses.
fn story(kind: EventKind, order: &str, serial: usize) -> Story {
    let at = Timestamp::from_second(now().as_second()).unwrap();
    let mut story = Story { kind, serial: 1_000 + serial as u64, ..Story::paid(order, 1_000, at) };
    if kind.as_str().starts_with("refund.") {
        story.refunded_minor = 1_000;
        story.refund_no = Some(format!("R{order}"));
    }
    story
}

/// The gateway of a folder.
fn serve(folder: &Path, admin: SocketAddr) -> Gateway {
    let log = fs::File::create(folder.join("log")).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .arg("serve")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut gateway = Gateway { child };
    wait_for("the gateway to serve", || {
        assert!(!gateway.has_ended(), "{}", fs::read_to_string(folder.join("log")).unwrap());
        get(admin, "/healthz").filter(|reply| reply.status == 200)
    });
    gateway
}

/// Whether the platform is asked about every message, because none is believed alone.
fn is_asked(platform: &Platform) -> bool {
    let side = (platform.simulate)();
    let now: Timestamp = "2026-11-21T04:00:00Z".parse().unwrap();
    let request = side.callback(&Story { kind: side.stories()[0], ..Story::paid("T1", 1_000, now) }).request;
    let channel = (platform.build)(&side.settings()).unwrap();
    matches!(channel.verify(&request, now), Verdict::Hint(_))
}

/// A configuration in which nobody outside this machine is asked.
fn asking_nobody(mut text: String) -> String {
    for platform in PLATFORMS.iter().filter(|platform| is_asked(platform)) {
        let kind = format!("kind = \"{}\"\n", platform.kind);
        let is_there = text.contains(&format!("id = \"{}\"\n", platform.kind));
        assert_eq!(text.contains(&kind), is_there, "{kind}");
        text = text.replace(&kind, &format!("{kind}api_base = \"http://127.0.0.1:9\"\n"));
    }
    text
}

/// A platform's window may be narrower than a busy machine is slow between two programs: then it is tried again.
fn in_time(platform: &Platform, attempt: impl Fn() -> Result<(), String>) {
    const NARROW: Duration = Duration::from_secs(30);
    const TRIES: usize = 5;
    let tries = if platform.freshness.is_some_and(|window| window < NARROW) { TRIES } else { 1 };
    let mut failed = Vec::new();
    while failed.len() < tries {
        match attempt() {
            Ok(()) => return,
            Err(why) => failed.push(why),
        }
    }
    panic!("{failed:?}");
}

#[test]
fn a_sample_is_made_in_a_way_that_the_channel_takes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tollbell(folder, &["init", "--platform", "epay", "--set", "address=unix:/nowhere", "--set", "script=/x.php"]);
    let text = fs::read_to_string(folder.join("tollbell.toml")).unwrap();
    let write = |text: &str| fs::write(folder.join("tollbell.toml"), text).unwrap();
    // A channel of one generation alone: what has no secret of its own is signed with the test keys.
    let without = |name: &str| text.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n");
    for (left_out, sign_type) in [("key_file =", "sign_type=RSA"), ("platform_public_key_file =", "sign_type=MD5")] {
        write(&without(left_out));
        for _ in 0..4 {
            let (sample, warned) = told(folder, &["sample", "epay"]);
            assert!(sample.contains(sign_type), "{left_out} {sample}");
            assert_eq!(warned, "", "{left_out}");
        }
    }
    // Another merchant's channel refuses what the test keys tell of theirs, and whoever asked is told.
    write(&without("key_file =").replace("pid = \"1001\"", "pid = \"2002\""));
    let (sample, warned) = told(folder, &["sample", "epay"]);
    assert!(sample.contains("pid=1001") && warned.contains("`pid`") && warned.contains("epay.keys"), "{warned}");
    // Without the test keys nobody can sign, and what to do is named.
    fs::remove_file(folder.join("keys/simulator/epay.keys")).unwrap();
    let refused = run(folder, &["sample", "epay"]);
    assert!(!refused.status.success() && refused.stdout.is_empty());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("epay.keys"), "{refused:?}");
}

#[test]
fn the_pages_about_platforms_are_the_registrys() {
    for (lang, page) in [("en", "docs/platforms.md"), ("zh", "docs/platforms.zh-CN.md")] {
        let told = tollbell(&root(), &["--lang", lang, "channels", "--markdown"]);
        let written = fs::read_to_string(root().join(page)).unwrap_or_default();
        assert!(told == written, "{page} is stale: write it anew with `make docs`");
        for platform in PLATFORMS {
            assert!(told.contains(&format!("\n## {}\n", platform.kind)), "{page}: {}", platform.kind);
        }
        assert_eq!(
            told,
            tollbell(&root(), &["--lang", lang, "channels", "--markdown"]),
            "written differently each time"
        );
    }
}

#[test]
fn known_platforms_are_listed_without_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let listed = json(folder.path(), &["--json", "channels", "--known"]);
    let kinds: Vec<&str> = listed.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, PLATFORMS.iter().map(|platform| platform.kind).collect::<Vec<_>>());
    for (told, platform) in listed.iter().zip(PLATFORMS) {
        assert_eq!(told["settings"].as_array().unwrap().len(), platform.settings.len());
        assert!((200..300).contains(&told["replies"]["success"]["status"].as_u64().unwrap()));
        for answer in ["refused", "busy", "not_yet"] {
            assert!(told["replies"][answer]["status"].is_u64(), "{answer}");
        }
    }
    let table = tollbell(folder.path(), &["channels", "--known"]);
    let zh = tollbell(folder.path(), &["--lang", "zh", "channels", "--known"]);
    for platform in PLATFORMS {
        assert!(table.contains(platform.name.en) && zh.contains(platform.name.zh), "{}", platform.kind);
    }
}

/// A copied preset is a channel that a merchant can change, try and serve.
#[test]
fn every_preset_is_copied_changed_and_tried() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (public, admin) = (free_address(), free_address());
    let main = format!("[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n");
    fs::write(folder.join("tollbell.toml"), main).unwrap();
    fs::create_dir_all(folder.join("channels.d")).unwrap();
    fs::create_dir_all(folder.join("keys")).unwrap();
    let mut copied = Vec::new();
    for platform in PLATFORMS.iter().filter(|platform| presets::by_kind(platform.kind).is_some()) {
        let kind = platform.kind;
        let text = tollbell(folder, &["channels", "--preset", kind]);
        let told = json(folder, &["--json", "channels", "--preset", kind]);
        assert_eq!(told[0]["channel"].as_str().unwrap().trim_end(), text.trim_end(), "{kind}");
        let zh = tollbell(folder, &["--lang", "zh", "channels", "--preset", kind]);
        assert!(zh.contains(&platform.settings[0].help.zh.lines().next().unwrap().to_owned()), "{kind}: {zh}");
        // Changed: another id, and an event that the file does not know.
        let text = text.replace(&format!("id = \"{kind}\""), &format!("id = \"my_{kind}\""));
        let text = text.replacen("[channel.event.map]\n", "[channel.event.map]\n\"mine\" = \"payment.pending\"\n", 1);
        fs::write(folder.join(format!("channels.d/{kind}.toml")), text).unwrap();
        for written in (platform.simulate)().written_settings() {
            let SettingValue::Key(key) = written.value else { continue };
            let setting = platform.settings.iter().find(|setting| setting.name == written.name).unwrap();
            let file = folder.join(setting.example);
            fs::write(&file, &*key).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        if platform.mirror.is_some() && !is_asked(platform) {
            copied.push(*platform);
        }
    }
    tollbell(folder, &["check"]);
    let mut gateway = serve(folder, admin);
    assert!(copied.len() > 10, "{}", copied.len());
    for platform in copied {
        let channel = format!("my_{}", platform.kind);
        in_time(platform, || {
            let sample = tollbell(folder, &["sample", &channel, "--event", "payment.pending"]);
            let (body, status) = curl(&sample);
            if (200..300).contains(&status) { Ok(()) } else { Err(format!("{channel}: {status} {body}\n{sample}")) }
        });
        let events = json(folder, &["--json", "events", "--channel", &channel]);
        assert!(events.iter().any(|event| event["type"] == "payment.pending"), "{channel}: {events:?}");
        let id = events[0]["id"].as_str().unwrap();
        assert!(tollbell(folder, &["show", id]).contains(&channel), "{channel}");
    }
    assert_eq!(gateway.terminate().code(), Some(0));
}

#[test]
fn a_preset_that_is_none_is_told_with_those_that_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_tollbell"))
        .args(["--lang", "en", "channels", "--preset", "nobody"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{err}");
    for platform in PLATFORMS {
        let is_told = err.split([' ', ',', '\n']).any(|word| word == platform.kind);
        assert_eq!(is_told, presets::by_kind(platform.kind).is_some(), "{}: {err}", platform.kind);
    }
}

/// What adding a platform touches: its own file and folder, one `mod` line and one place in the list; or one data file.
#[test]
fn a_platform_is_named_in_two_lines_outside_its_own_file() {
    let folder = root().join("crates/channels/src/platforms");
    let registry = fs::read_to_string(folder.with_extension("rs")).unwrap();
    let modules: Vec<String> = registry
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .map(|rest| rest.trim_end_matches(';').to_owned())
        .collect();
    let mut counted = Vec::new();
    for platform in PLATFORMS {
        if presets::by_kind(platform.kind).is_some() {
            counted.push(data_alone(platform.kind));
            continue;
        }
        let entry = modules
            .iter()
            .find(|module| {
                let source = fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap_or_default();
                source.contains(&format!("kind: \"{}\"", platform.kind)) && source.contains("pub static PLATFORM")
            })
            .unwrap_or_else(|| panic!("no file in platforms/ describes `{}`", platform.kind));
        let places = lines_that_name(&registry, entry);
        assert_eq!(places.len(), 2, "{entry} is named in platforms.rs by {places:?}");
        let mut elsewhere = Vec::new();
        for source in sources(&root().join("src")).into_iter().chain(sources(&root().join("crates/channels/src"))) {
            // Two generations of one platform have something in common.
            let is_relative = PLATFORMS.iter().any(|other| {
                other.family == platform.family
                    && (source.starts_with(folder.join(other.kind))
                        || source == folder.join(format!("{}.rs", other.kind)))
            });
            // Files that are platforms are written in the language of the configured one.
            let presets = folder.join("presets");
            let is_data = (source.starts_with(&presets) || source == presets.with_extension("rs"))
                && PLATFORMS
                    .iter()
                    .any(|other| other.family == platform.family && presets::by_kind(other.kind).is_some());
            let is_its_own = is_data
                || is_relative
                || source.starts_with(folder.join(entry))
                || source == folder.join(format!("{entry}.rs"));
            if is_its_own || source == folder.with_extension("rs") {
                continue;
            }
            let text = fs::read_to_string(&source).unwrap();
            let names = ["platforms::{}", "super::{}::", "{}::PLATFORM"].map(|way| way.replace("{}", entry));
            let is_word = |way: &String| {
                text.match_indices(way.as_str())
                    .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
            };
            if names.iter().any(is_word) {
                elsewhere.push(source);
            }
        }
        assert!(elsewhere.is_empty(), "{entry} is used by {elsewhere:?}");
        let own = std::iter::once(folder.join(format!("{entry}.rs"))).chain(sources(&folder.join(entry)));
        let lines: usize = own.map(|file| fs::read_to_string(file).unwrap().lines().count()).sum();
        counted.push(format!("{}: {lines} lines of its own, {} outside", platform.kind, places.len()));
    }
    assert_eq!(counted.len(), PLATFORMS.len());
    // Shown by `cargo test -- --nocapture`.
    let mut out = std::io::stdout();
    writeln!(out, "{}", counted.join("\n")).unwrap();
}

/// A platform that is data: its own file, and nothing else in the program names it.
fn data_alone(kind: &str) -> String {
    let file = root().join("crates/channels/presets").join(format!("{kind}.toml"));
    let lines = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())).lines().count();
    let names = [format!("\"{kind}\""), format!("{kind}.toml"), format!("{kind}::")];
    let tests = ["presets/tests", "explained"].map(|tests| root().join("crates/channels/src/platforms").join(tests));
    let mut program: Vec<PathBuf> =
        ["Cargo.toml", "Makefile", "crates/channels/Cargo.toml", "crates/channels/build.rs"]
            .map(|path| root().join(path))
            .into();
    for folder in ["src", "crates/channels/src", "crates/channels/examples", "fuzz/src", "bench/src"] {
        program.extend(sources(&root().join(folder)));
    }
    for source in program {
        // What the platform's messages become, and what is said of damaged ones, is told in its tests.
        if tests.iter().any(|tests| source.starts_with(tests) || source == tests.with_extension("rs")) {
            continue;
        }
        let text = fs::read_to_string(&source).unwrap();
        let found = names.iter().find(|name| text.contains(name.as_str()));
        assert_eq!(found, None, "{} names {kind}", source.display());
    }
    format!("{kind}: one file of {lines} lines, nothing outside")
}

/// Lines of the registry that name a module, each item of the list counted as a line.
fn lines_that_name(registry: &str, module: &str) -> Vec<String> {
    let is_word = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == module);
    let (before, list) = registry.split_once("CODED: &[&Platform] = &[").expect("the list");
    let (list, behind) = list.split_once("];").expect("its end");
    let comment = |line: &&str| !line.trim_start().starts_with("//");
    before
        .lines()
        .chain(list.split(','))
        .chain(behind.lines())
        .filter(comment)
        .filter(|line| is_word(line))
        .map(|line| line.trim().to_owned())
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_module_is_found_in_the_registry_by_its_whole_name() {
    let registry =
        "pub mod pay;\nmod pay_more;\n// pay\nstatic CODED: &[&Platform] = &[&pay::PLATFORM, &pay_more::PLATFORM];\n";
    assert_eq!(lines_that_name(registry, "pay"), ["pub mod pay;", "&pay::PLATFORM"]);
    assert_eq!(lines_that_name(registry, "pay_more").len(), 2);
}
