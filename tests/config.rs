//! The configuration as a person meets it: every mistake that the program knows, with its place, its key and
//! its cure in both languages; where keys come from; and that no secret is ever shown.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tollbell::app;
use tollbell::config::{
    self, AckConfig, BackoffConfig, Carries, Catalogue, Config, IpCheck, Problem, Role, TargetKind,
};
use tollbell::messages::Lang;
use tollbell_channels::channel::{Answer, Channel, KeyNote, Likeness, Verdict};
use tollbell_channels::model::{AckMatch, AppReply, EventKind, RawRequest, Reply, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform, by_kind};
use tollbell_channels::settings::{SETTINGS_ERRORS, Setting, SettingKind, SettingValue, Settings, SettingsError, Text};

/// What must never be seen.
const MARKER: &str = "hush7hush7hush7";

type Loaded = Result<(Config, Vec<Problem>), Vec<Problem>>;

/// A folder with files; those under `keys/` and the configuration have mode 0600.
struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        for (name, bytes) in files {
            folder.write(name, bytes, 0o600);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Reads `tollbell.toml` with a platform and a kind of target that are made for these tests.
    fn load(&self) -> Loaded {
        self.load_with(&|_| None)
    }

    fn load_with(&self, variable: &dyn Fn(&str) -> Option<String>) -> Loaded {
        let platforms = [fake_platform()];
        let kinds = [
            TargetKind { kind: "fake", settings: FAKE_TARGET, is_broker: false },
            TargetKind { kind: "queue", settings: FAKE_TARGET, is_broker: true },
        ];
        let build_target = |kind: &str, settings: &Settings| {
            failing(settings).map(|()| if kind == "queue" { Carries::Events } else { Carries::Requests })
        };
        let catalogue =
            Catalogue { platforms: &platforms, target_kinds: &kinds, build_target: &build_target, variable };
        config::load(&self.path("tollbell.toml"), &catalogue)
    }

    /// Reads `tollbell.toml` as the program does.
    fn load_real(&self) -> Loaded {
        app::load_config(&self.path("tollbell.toml"))
    }
}

/// One file, `tollbell.toml`, with the fake platform.
fn load(text: &str) -> Loaded {
    Folder::new(&[("tollbell.toml", text.as_bytes())]).load()
}

#[track_caller]
fn problems(loaded: Loaded) -> Vec<Problem> {
    match loaded {
        Ok((config, warnings)) => panic!("no problem was found, only {warnings:?} in {config:?}"),
        Err(problems) => problems,
    }
}

#[track_caller]
fn good(loaded: Loaded) -> Config {
    let (config, warnings) = with_warnings(loaded);
    assert_eq!(warnings, []);
    config
}

#[track_caller]
fn with_warnings(loaded: Loaded) -> (Config, Vec<Problem>) {
    loaded.unwrap_or_else(|problems| panic!("refused:\n{}", rendered(&problems)))
}

fn rendered(problems: &[Problem]) -> String {
    problems
        .iter()
        .flat_map(|problem| Lang::ALL.iter().map(|lang| problem.render(*lang)))
        .collect::<Vec<_>>()
        .join("\n")
}

fn place(problem: &Problem) -> String {
    problem.place.as_ref().map_or_else(String::new, |place| format!("{}:{}", place.line, place.column))
}

/// `3:10 server.listen config.bad_address`, one a line.
fn summary(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let file = problem.file.file_name().unwrap().to_str().unwrap();
        let file = if file == "tollbell.toml" { String::new() } else { format!("{file}:") };
        writeln!(text, "{file}{} {} {}", place(problem), problem.key, problem.message.key()).unwrap();
    }
    text
}

/// Fails as a test's setting asks: `fails = "WORD"`, or with a detail `WORD: DETAIL`.
fn failing(settings: &Settings) -> Result<(), SettingsError> {
    let Some(fails) = settings.text("fails") else { return Ok(()) };
    let (asked, detail) = fails.split_once(": ").map_or((fails, None), |(word, detail)| (word, Some(detail)));
    let word = SETTINGS_ERRORS.iter().find(|word| **word == asked).unwrap();
    let error = SettingsError::new("fails", word);
    Err(match detail {
        Some(detail) => error.because(detail),
        None => error,
    })
}

/// A channel that nothing is sent to.
struct FakeChannel;

impl Channel for FakeChannel {
    fn recognise(&self, _: &RawRequest) -> Likeness {
        Likeness::No
    }

    fn verify(&self, _: &RawRequest, _: Timestamp) -> Verdict {
        unreachable!("nothing is sent")
    }

    fn answer(&self, _: Answer, _: Option<&RawRequest>) -> Reply {
        unreachable!("nothing is sent")
    }

    fn is_ack(&self, _: &AppReply<'_>, _: Option<&RawRequest>) -> AckMatch {
        unreachable!("nothing is sent")
    }

    fn fields(&self, _: &RawRequest) -> Vec<(String, String)> {
        unreachable!("nothing is sent")
    }

    fn keys(&self) -> Vec<KeyNote> {
        Vec::new()
    }
}

fn fake_platform() -> &'static Platform {
    let model = PLATFORMS[0];
    Box::leak(Box::new(Platform {
        kind: "fake",
        family: "fake",
        name: Text { en: "Fake", zh: "假的" },
        settings: FAKE_CHANNEL,
        build: |settings| {
            failing(settings)?;
            let expected = settings.text("expects").unwrap_or(MARKER);
            for name in ["public", "secret"] {
                if settings.key(name).is_some_and(|key| key != expected.as_bytes()) {
                    return Err(SettingsError::new(if name == "public" { "public" } else { "secret" }, "not_a_key"));
                }
            }
            // Needed, though no single setting is marked as required.
            if settings.key("public").or(settings.key("secret")).is_none() {
                return Err(SettingsError::new("public", "missing").because("secret"));
            }
            Ok(Box::new(FakeChannel))
        },
        ladder: model.ladder,
        patience: Some(Duration::from_secs(5)),
        freshness: None,
        source_ranges: &[],
        unconfirmed: &[],
        simulate: model.simulate,
        mirror: None,
    }))
}

const fn setting(name: &'static str, kind: SettingKind, is_required: bool) -> Setting {
    Setting { name, kind, is_required, help: Text { en: "a setting", zh: "设置" }, example: "x" }
}

const FAKE_CHANNEL: &[Setting] = &[
    setting("app_id", SettingKind::Text, true),
    setting("names", SettingKind::Texts, false),
    setting("words", SettingKind::Words(&["red", "green"]), false),
    setting("flag", SettingKind::Flag, false),
    setting("number", SettingKind::Number, false),
    setting("duration", SettingKind::Duration, false),
    setting("durations", SettingKind::Durations, false),
    setting("pairs", SettingKind::Pairs, false),
    setting("public", SettingKind::PublicKey, false),
    setting("secret", SettingKind::SecretKey, false),
    setting("expects", SettingKind::Text, false),
    setting("fails", SettingKind::Text, false),
    setting("files", SettingKind::SecretFiles, false),
    setting("tree", SettingKind::Tree { secrets: &["hidden"], publics: &[] }, false),
];

const FAKE_TARGET: &[Setting] =
    &[setting("address", SettingKind::Text, true), setting("fails", SettingKind::Text, false)];

/// A channel without mistakes, and a target, on one line each, behind what a case says.
const CHANNEL: &str = "[[channel]]\nid = \"a\"\nkind = \"fake\"\napp_id = \"1\"\npublic = \"hush7hush7hush7\"\n";
const TARGET: &str = "[[target]]\nid = \"t\"\nkind = \"fake\"\naddress = \"x\"\n";

/// A target whose confirmation is a queue's.
const QUEUE: &str = "[[target]]\nid = \"t2\"\nkind = \"queue\"\naddress = \"x\"\n";

/// A mistake: the text, what is reported, and a piece of the cure in each language.
struct Mistake {
    text: &'static str,
    reported: &'static str,
    en: &'static str,
    zh: &'static str,
}

const fn mistake(text: &'static str, reported: &'static str, en: &'static str, zh: &'static str) -> Mistake {
    Mistake { text, reported, en, zh }
}

/// `CHANNEL` and `TARGET` in a text stand for tables without mistakes.
const MISTAKES: &[Mistake] = &[
    // The core's own tables.
    mistake("[servr]", "1:2 servr config.unknown_key_nearest", "did you mean `server`?", "是否想写 `server`？"),
    mistake("[colours]", "1:2 colours config.unknown_key", "not known here", "没有这个设置项"),
    mistake("[server]\nlistn = 1", "2:1 server.listn config.unknown_key_nearest", "`listen`", "`listen`"),
    mistake("[server]\ncolour = 1", "2:1 server.colour config.unknown_key", "not known here", "没有这个设置项"),
    mistake("[[server]]", "1:1 server config.expected_table", "`[server]`", "`[server]`"),
    mistake("server = 1", "1:10 server config.expected_table", "`[server]`", "`[server]`"),
    mistake(
        "[deliver]\nbackoff = 3",
        "2:11 deliver.backoff config.expected_table",
        "`[deliver.backoff]`",
        "`[deliver.backoff]`",
    ),
    mistake("[channel]\nid = \"a\"", "1:1 channel config.not_tables", "`[[channel]]`", "`[[channel]]`"),
    mistake("route = [1]", "1:10 route config.not_tables", "`[[route]]`", "`[[route]]`"),
    mistake("[server]\nlisten = 8080", "2:10 server.listen config.expected_texts", "in quotes", "带引号"),
    mistake("[server]\nlisten = \"8080\"", "2:10 server.listen config.bad_address", "0.0.0.0:8080", "0.0.0.0:8080"),
    mistake("[server]\nlisten = \"localhost:80\"", "2:10 server.listen config.bad_address", "IP address", "IP 地址"),
    mistake("[server]\nlisten = []", "2:10 server.listen config.bad_address", "with a port", "带端口"),
    mistake(
        "[server]\nmax_connections = \"9\"",
        "2:19 server.max_connections config.expected_number",
        "without quotes",
        "不带引号",
    ),
    mistake(
        "[server]\nmax_connections = -1",
        "2:19 server.max_connections config.expected_number",
        "whole number",
        "整数",
    ),
    mistake(
        "[server]\nmax_connections = 0",
        "2:19 server.max_connections config.out_of_range",
        "1 and 1000000",
        "1 与 1000000",
    ),
    mistake(
        "[server]\nmax_connections = 1_000_001",
        "2:19 server.max_connections config.out_of_range",
        "1000000",
        "1000000",
    ),
    mistake("[server]\nbody_limit = \"1MB\"", "2:14 server.body_limit config.expected_bytes", "64KiB", "64KiB"),
    mistake("[server]\nbody_limit = \"65MiB\"", "2:14 server.body_limit config.out_of_range", "67108864", "67108864"),
    mistake("[server]\nroles = []", "2:9 server.roles config.no_role", "leave it out", "省略"),
    mistake(
        "[server]\nroles = [\"recieve\"]",
        "2:9 server.roles config.unknown_name_nearest",
        "`receive`",
        "`receive`",
    ),
    mistake(
        "[server]\nroles = [\"nothing-like-it\"]",
        "2:9 server.roles config.unknown_word",
        "receive, deliver, operate",
        "receive, deliver, operate",
    ),
    mistake("[server]\nwatch = 1", "2:9 server.watch config.expected_flag", "true or false", "true 或 false"),
    mistake("TARGETretired = 1", "5:11 target.retired config.expected_flag", "true or false", "true 或 false"),
    mistake("[server]\nbody_limit = 0", "2:14 server.body_limit config.out_of_range", "between 1", "在 1 与"),
    mistake("[server]\nbody_timeout = 3", "2:16 server.body_timeout config.expected_duration", "\"3s\"", "\"3s\""),
    mistake(
        "[server]\nbody_timeout = \"3\"",
        "2:16 server.body_timeout config.expected_duration",
        "\"500ms\"",
        "\"500ms\"",
    ),
    mistake(
        "[server]\nbody_timeout = \"36601d\"",
        "2:16 server.body_timeout config.expected_duration",
        "100 years",
        "100 年",
    ),
    mistake(
        "[server]\nbody_timeout = \"0s\"",
        "2:16 server.body_timeout config.not_zero",
        "longer than zero",
        "大于零",
    ),
    mistake("[server]\nheader_timeout = \"0ms\"", "2:18 server.header_timeout config.not_zero", "zero", "零"),
    mistake("[server]\nfirst_byte_timeout = \"0s\"", "2:22 server.first_byte_timeout config.not_zero", "zero", "零"),
    mistake("[server]\ndrain_timeout = \"0d\"", "2:17 server.drain_timeout config.not_zero", "zero", "零"),
    mistake(
        "[admin]\nlisten = \"0.0.0.0:81\"",
        "2:10 admin.listen config.not_loopback",
        "127.0.0.1:8081",
        "127.0.0.1:8081",
    ),
    mistake(
        "[admin]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]",
        "2:10 admin.listen config.one_address",
        "keep one",
        "只保留一个",
    ),
    mistake("[admin]\nsocket = 1", "2:10 admin.socket config.expected_text", "in quotes", "带引号"),
    mistake(
        "[admin]\nsocket = \"/a-folder-with-a-long-name/a-folder-with-a-long-name/a-folder-with-a-long-name/a-folder-with-a-long-name/a.sock\"",
        "2:10 admin.socket config.socket_path",
        "107",
        "107",
    ),
    mistake(
        "[admin]\nopen_metrics = 1",
        "2:16 admin.open_metrics config.expected_flag",
        "true or false",
        "true 或 false",
    ),
    mistake("[admin]\nhosts = [\"a\", \"http://b\"]", "2:9 admin.hosts config.bad_host", "`http://b`", "`http://b`"),
    mistake("[admin]\nhosts = [\"a:80\"]", "2:9 admin.hosts config.bad_host", "port", "端口"),
    mistake("[admin]\ntoken = \"x\"", "2:9 admin.token config.not_tables", "[[admin.token]]", "[[admin.token]]"),
    mistake("[admin.token]\nname = \"x\"", "1:1 admin.token config.not_tables", "[[admin.token]]", "[[admin.token]]"),
    mistake(
        "[[admin.token]]\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"",
        "1:1 admin.token.name config.missing",
        "add this key",
        "请补上",
    ),
    mistake(
        "[[admin.token]]\nname = \"Me\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"",
        "2:8 admin.token.name config.bad_id",
        "a–z",
        "a–z",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"root\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"",
        "3:8 admin.token.role config.one_of",
        "viewer, operator",
        "viewer, operator",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"",
        "1:1 admin.token.role config.one_of",
        "viewer, operator",
        "viewer, operator",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"",
        "1:1 admin.token.token setting.missing",
        "`token`",
        "`token`",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7\"",
        "4:9 admin.token.token config.bad_token",
        "openssl rand",
        "openssl rand",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7 with blanks hush7hush7hush7\"",
        "4:9 admin.token.token config.bad_token",
        "32",
        "32",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"\n[[admin.token]]\nname = \"b\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"",
        "8:9 admin.token.token config.same_token",
        "its own name",
        "一个名称",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"\n[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-2\"",
        "6:8 admin.token.name config.duplicate_id",
        "`a`",
        "`a`",
    ),
    mistake(
        "[[admin.token]]\nname = \"a\"\nrole = \"viewer\"\ntoken = \"hush7hush7hush7-hush7hush7hush7-1\"\ncolour = 1",
        "5:1 admin.token.colour config.unknown_key",
        "not known here",
        "没有这个设置项",
    ),
    mistake("[inbox]\nurl = \"postgres://h/d\"", "2:7 inbox.url config.bad_inbox_url", "sqlite:PATH", "sqlite:路径"),
    mistake("[inbox]\nurl = \"sqlite:\"", "2:7 inbox.url config.bad_inbox_url", "sqlite:PATH", "sqlite:路径"),
    mistake("[inbox]\nurl = \"sqlite::memory:\"", "2:7 inbox.url config.bad_inbox_url", "sqlite:PATH", "sqlite:路径"),
    mistake("[inbox]\nurl = 1", "2:7 inbox.url config.expected_text", "in quotes", "带引号"),
    mistake("[inbox]\nqueue = 0", "2:9 inbox.queue config.out_of_range", "1000000", "1000000"),
    mistake(
        "[retention]\nbodies = \"9d\"\nidentities = \"8d\"",
        "3:14 retention.identities config.identities_short",
        "at least as long as `bodies`",
        "不得短于 `bodies`",
    ),
    mistake("[retention]\nslice = 10001", "2:9 retention.slice config.out_of_range", "10000", "10000"),
    mistake("[retention]\nrejections = \"0s\"", "2:14 retention.rejections config.not_zero", "zero", "零"),
    mistake("[retention]\nrejections = 30", "2:14 retention.rejections config.expected_duration", "90d", "90d"),
    mistake("[retention]\nevery = \"0s\"", "2:9 retention.every config.not_zero", "zero", "零"),
    mistake("[deliver]\nladder = \"1s\"", "2:10 deliver.ladder config.expected_durations", "[\"5s\"", "[\"5s\""),
    mistake(
        "[deliver]\nladder = [\"1s\", \"x\"]",
        "2:10 deliver.ladder config.expected_durations",
        "[\"5s\"",
        "[\"5s\"",
    ),
    mistake(
        "[deliver]\nladder = []\nbackoff = {}",
        "3:11 deliver.backoff config.ladder_or_backoff",
        "not both",
        "只能给出一个",
    ),
    mistake(
        "[deliver.backoff]\nfirst = \"2h\"\nmax = \"1h\"",
        "3:7 deliver.backoff.max config.max_below_first",
        "at least as long",
        "不小于 `first`",
    ),
    mistake("[deliver.backoff]\ntries = 1001", "2:9 deliver.backoff.tries config.out_of_range", "1000", "1000"),
    mistake("[deliver.backoff]\ntrys = 1", "2:1 deliver.backoff.trys config.unknown_key_nearest", "`tries`", "`tries`"),
    mistake("[deliver]\nscan = \"0s\"", "2:8 deliver.scan config.not_zero", "zero", "零"),
    mistake("[log]\nlevel = \"loud\"", "2:9 log.level config.one_of", "error, warn, info", "error, warn, info"),
    mistake("[log]\nformat = \"xml\"", "2:10 log.format config.one_of", "pretty, json", "pretty, json"),
    // Channels.
    mistake(
        "[[channel]]\nkind = \"fake\"\napp_id = \"1\"\npublic = \"hush7hush7hush7\"",
        "1:1 channel.id config.missing",
        "add this key",
        "请补上",
    ),
    mistake(
        "[[channel]]\nid = \"A b\"\nkind = \"fake\"\napp_id = \"1\"\npublic = \"hush7hush7hush7\"",
        "2:6 channel.id config.bad_id",
        "a–z",
        "a–z",
    ),
    mistake("[[channel]]\nid = \"a\"", "1:1 channel.kind config.one_of", "fake", "fake"),
    mistake(
        "[[channel]]\nid = \"a\"\nkind = \"fak\"",
        "3:8 channel.kind config.unknown_kind_nearest",
        "`fake`",
        "`fake`",
    ),
    mistake("[[channel]]\nid = \"a\"\nkind = \"stripes\"", "3:8 channel.kind config.one_of", "fake", "fake"),
    mistake(
        "CHANNELenvironment = \"test\"",
        "6:15 channel.environment config.one_of",
        "live, sandbox",
        "live, sandbox",
    ),
    mistake(
        "CHANNEL[[channel.former]]\nuntil = \"tomorrow\"\nflag = true",
        "7:9 channel.former.until config.bad_until",
        "with its offset",
        "带时区",
    ),
    mistake(
        "CHANNEL[[channel.former]]\nuntil = \"2026-12-31T00:00:00Z\"",
        "7:9 channel.former.until config.former_nothing",
        "another one then",
        "不同的设置",
    ),
    mistake("CHANNELack = \"delivered\"", "6:7 channel.ack config.bad_ack", "{ delivered =", "{ delivered ="),
    mistake("CHANNELack = 3", "6:7 channel.ack config.expected_text", "in quotes", "带引号"),
    mistake("CHANNELack = {}", "6:7 channel.ack.delivered config.missing", "add this key", "请补上"),
    mistake(
        "CHANNELack = { delivered = \"t\", within = \"0s\" }\nTARGET",
        "6:35 channel.ack.within config.not_zero",
        "zero",
        "零",
    ),
    mistake(
        "CHANNELack = { delivered = \"t\", within = \"5s\" }\nTARGET",
        "6:35 channel.ack.within config.ack_too_long",
        "4500ms or less",
        "4500ms 或更短",
    ),
    mistake(
        "CHANNELack = { deliverd = \"t\" }\nTARGET",
        "6:7 channel.ack.delivered config.missing\n6:9 channel.ack.deliverd config.unknown_key_nearest",
        "add this key",
        "请补上",
    ),
    mistake(
        "CHANNELack = { delivered = \"tt\" }\nTARGET",
        "6:21 channel.ack.delivered config.unknown_name_nearest",
        "did you mean `t`?",
        "是否想写 `t`？",
    ),
    mistake(
        "CHANNELack = { delivered = \"t\" }\nTARGETQUEUE[[route]]\ntargets = \"t2\"",
        "6:21 channel.ack.delivered config.ack_unrouted",
        "no event of channel `a` goes to target `t`",
        "渠道 `a` 没有任何事件送往投递目标 `t`",
    ),
    mistake(
        "CHANNELenvironment = \"sandbox\"\nack = { delivered = \"t\" }\nTARGET",
        "7:21 channel.ack.delivered config.ack_sandbox",
        "accept_sandbox = true",
        "accept_sandbox = true",
    ),
    mistake(
        "CHANNELack = { delivered = \"t\" }\nTARGETretired = true",
        "6:21 channel.ack.delivered config.ack_retired",
        "target `t` is retired",
        "`t` 已停用",
    ),
    mistake(
        "CHANNELQUEUEsignature = \"resigned\"",
        "10:13 target.signature config.resigned_event",
        "carries no signature",
        "不带平台签名",
    ),
    mistake(
        "CHANNELack = { delivered = \"t2\" }\nQUEUE",
        "6:21 channel.ack.delivered config.ack_broker",
        "broker = true",
        "broker = true",
    ),
    mistake(
        "CHANNELTARGETsignature = \"resigned\"",
        "2:6 channel.resign_key_file config.resign_key_missing",
        "`tollbell resign-key a`",
        "`tollbell resign-key a`",
    ),
    mistake(
        "CHANNELresign_key_file = \"none\"\nTARGETsignature = \"resigned\"",
        "6:19 channel.resign_key_file config.no_key_file",
        "no such file",
        "文件不存在",
    ),
    mistake(
        "CHANNELresign_key_file = \"keys/open\"",
        "6:19 channel.resign_key_file config.key_open",
        "chmod 600",
        "chmod 600",
    ),
    mistake(
        "CHANNELresign_key_file = \"keys/own\"",
        "6:19 channel.resign_key_file setting.not_supported",
        "cannot be signed afresh",
        "无法重新签名",
    ),
    mistake(
        "CHANNELresign_key_env = \"NOWHERE\"",
        "6:18 channel.resign_key_env config.no_variable",
        "name of a variable",
        "环境变量的名称",
    ),
    mistake(
        "TARGETsignature = \"new\"",
        "5:13 target.signature config.one_of",
        "original, resigned",
        "original, resigned",
    ),
    mistake("CHANNELmerchant = 1", "6:12 channel.merchant config.expected_text", "in quotes", "带引号"),
    mistake("CHANNELpaths = \"/notify\"", "6:9 channel.paths config.own_path", "choose another", "请换一个"),
    mistake("CHANNELpaths = \"/notify/b\"", "6:9 channel.paths config.own_path", "choose another", "请换一个"),
    mistake(
        "CHANNELpaths = [\"/x\", \"/return/a\"]",
        "6:9 channel.paths config.own_path",
        "`/return/a`",
        "`/return/a`",
    ),
    mistake("CHANNELpaths = \"x\"", "6:9 channel.paths config.bad_path", "begins with /", "以 / 开头"),
    mistake("CHANNELpaths = \"/\"", "6:9 channel.paths config.bad_path", "begins with /", "以 / 开头"),
    mistake("CHANNELpaths = \"/x?y=1\"", "6:9 channel.paths config.bad_path", "no query", "不带查询参数"),
    mistake("CHANNELpaths = \"/支付\"", "6:9 channel.paths config.bad_path", "%E4%BB%98", "%E4%BB%98"),
    mistake(
        "CHANNELpaths = [\"/x\", \"/x\"]",
        "6:9 channel.paths config.path_taken",
        "one channel",
        "只能对应一个渠道",
    ),
    mistake("CHANNELflag = \"true\"", "6:8 channel.flag config.expected_flag", "true or false", "true 或 false"),
    mistake("CHANNELtree = { a = [1, 2.5] }", "6:18 channel.tree.a[1] config.expected_plain", "whole number", "整数"),
    mistake("CHANNELtree = { a = 1979-05-27 }", "6:14 channel.tree.a config.expected_plain", "whole number", "整数"),
    mistake("CHANNELtree = { a = -1 }", "6:14 channel.tree.a config.expected_number", "whole number", "整数"),
    mistake(
        "CHANNELtree = [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
        "6:25 channel.tree[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0] config.too_deep",
        "nested deeper",
        "嵌套",
    ),
    mistake(
        "CHANNELtree = [{ hidden_env = \"NOWHERE\" }]",
        "6:24 channel.tree[0].hidden_env config.no_variable",
        "name of a variable",
        "环境变量",
    ),
    mistake(
        "CHANNELtree = { b = { hidden_file = \"hush7hush7hush7\" } }",
        "6:30 channel.tree.b.hidden_file config.no_key_file",
        "no such file",
        "文件不存在",
    ),
    mistake(
        "CHANNELfiles = [\"hush7hush7hush7\"]",
        "6:9 channel.files config.no_key_file",
        "no such file",
        "文件不存在",
    ),
    mistake("CHANNELfiles = [\"keys/empty\"]", "6:9 channel.files config.empty_key", "key is empty", "空"),
    mistake("CHANNELfiles = 3", "6:9 channel.files config.expected_texts", "list of such texts", "列表"),
    mistake("CHANNELpairs = [1]", "6:9 channel.pairs config.expected_pairs", "{ status = 200 }", "{ status = 200 }"),
    mistake("CHANNELpairs = { a = 1.5 }", "6:9 channel.pairs config.expected_pairs", "inline table", "内联表"),
    mistake("CHANNELwords = [\"red\", \"blue\"]", "6:9 channel.words config.unknown_word", "red, green", "red, green"),
    mistake("CHANNELnumber = 1.5", "6:10 channel.number config.expected_number", "whole number", "整数"),
    mistake("CHANNELdurations = [5]", "6:13 channel.durations config.expected_durations", "[\"5s\"", "[\"5s\""),
    mistake("CHANNELduration = \"1w\"", "6:12 channel.duration config.expected_duration", "\"90d\"", "\"90d\""),
    mistake("CHANNELnmaes = \"x\"", "6:1 channel.nmaes config.unknown_key_nearest", "`names`", "`names`"),
    mistake(
        "[[channel]]\nid = \"a\"\nkind = \"fake\"\npublic = \"hush7hush7hush7\"",
        "1:1 channel.app_id setting.missing",
        "tollbell init",
        "tollbell init",
    ),
    mistake(
        "[[channel]]\nid = \"a\"\nkind = \"fake\"\napp_id = \"1\"",
        "1:1 channel.public config.missing_either",
        "`public` or `secret`",
        "`public` 与 `secret`",
    ),
    mistake("CHANNELCHANNEL", "7:6 channel.id config.duplicate_id", "used once", "只能用一次"),
    // Keys.
    mistake("CHANNELpublic_file = \"x\"", "6:15 channel.public_file config.key_given_twice", "keep one", "只保留一种"),
    mistake(
        "CHANNELsecret_env = \"NOWHERE\"",
        "6:14 channel.secret_env config.no_variable",
        "name of a variable",
        "环境变量的名称",
    ),
    mistake(
        "CHANNELsecret_credential = \"x\"",
        "6:21 channel.secret_credential config.no_credentials",
        "LoadCredential=",
        "LoadCredential=",
    ),
    mistake(
        "CHANNELsecret_file = \"nowhere\"",
        "6:15 channel.secret_file config.no_key_file",
        "looked for from",
        "相对路径从",
    ),
    mistake(
        "CHANNELsecret_file = \".\"",
        "6:15 channel.secret_file config.cannot_read_key",
        "cannot be read",
        "无法读取",
    ),
    mistake(
        "CHANNELsecret_file = \"keys/empty\"",
        "6:15 channel.secret_file config.empty_key",
        "put the key there",
        "填入密钥",
    ),
    mistake("CHANNELsecret_file = \"keys/open\"", "6:15 channel.secret_file config.key_open", "chmod 600", "chmod 600"),
    mistake(
        "CHANNELsecret_file = \"keys/large\"",
        "6:15 channel.secret_file config.key_too_large",
        "own file",
        "密钥文件本身",
    ),
    // Hostile networks.
    mistake(
        "[server]\ntrusted_proxies = \"nginx\"",
        "2:19 server.trusted_proxies network.bad_range",
        "10.0.0.0/8",
        "10.0.0.0/8",
    ),
    mistake(
        "[server]\ntrusted_proxies = [\"10.0.0.7/8\"]",
        "2:19 server.trusted_proxies network.bits_beyond_prefix",
        "`10.0.0.0/8`",
        "`10.0.0.0/8`",
    ),
    mistake(
        "[server]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "2:19 server.trusted_proxies network.bad_range",
        "2001:db8::/32",
        "2001:db8::/32",
    ),
    mistake("[server]\nexempt_ips = 1", "2:14 server.exempt_ips config.expected_texts", "list of", "列表"),
    mistake(
        "[server]\nmax_connections_per_ip = 0",
        "2:26 server.max_connections_per_ip config.out_of_range",
        "between 1 and 1000000",
        "1 与 1000000",
    ),
    mistake(
        "[server]\nrate_per_ip = 10_000_001",
        "2:15 server.rate_per_ip config.out_of_range",
        "10000000",
        "10000000",
    ),
    mistake(
        "[server]\nrate_burst = 499",
        "2:14 server.rate_burst network.burst_below_rate",
        "at least as large",
        "不小于",
    ),
    mistake("[server]\nsuspect_rate = 0", "2:16 server.suspect_rate config.out_of_range", "between 1", "在 1 与"),
    mistake(
        "[server]\nmax_bodies_bytes = \"64KiB\"",
        "2:20 server.max_bodies_bytes network.bodies_below_limit",
        "at least 1048576",
        "1048576",
    ),
    mistake("[server]\nwrite_timeout = \"0s\"", "2:17 server.write_timeout config.not_zero", "zero", "零"),
    mistake("[server]\nmax_connection_age = \"0s\"", "2:22 server.max_connection_age config.not_zero", "zero", "零"),
    mistake(
        "[server.tls]\ncertificate_file = \"x\"",
        "2:20 server.tls.certificate_file network.tls_half",
        "both",
        "同时",
    ),
    mistake(
        "[server.tls]\nprivate_key_file = \"x\"",
        "2:20 server.tls.private_key_file network.tls_half",
        "both",
        "同时",
    ),
    mistake(
        "[server.tls]\nlisten = \"0.0.0.0:8443\"",
        "2:10 server.tls.listen network.tls_needs_files",
        "add both",
        "补上这两项",
    ),
    mistake(
        "[server.tls]\ncertificate_file = \"x\"\nprivate_key_file = \"y\"\nlisten = \"0.0.0.0:8080\"",
        "4:10 server.tls.listen network.tls_same_address",
        "another port",
        "换一个端口",
    ),
    mistake(
        "[server.tls]\ncertificate_file = \"x\"\nprivate_key_file = \"y\"\nlisten = []",
        "4:10 server.tls.listen config.bad_address",
        "with a port",
        "带端口",
    ),
    mistake(
        "CHANNELip_check = \"maybe\"",
        "6:12 channel.ip_check config.one_of",
        "off, warn, block",
        "off, warn, block",
    ),
    mistake(
        "CHANNELip_check = \"warn\"",
        "6:12 channel.ip_check network.no_published_ranges",
        "`allow_ips`",
        "`allow_ips`",
    ),
    mistake("CHANNELip_check = \"block\"", "6:12 channel.ip_check network.no_published_ranges", "`fake`", "`fake`"),
    mistake(
        "CHANNELallow_ips = []",
        "6:13 channel.allow_ips network.empty_allow_ips",
        "refuse every callback",
        "拒绝所有回调",
    ),
    mistake("CHANNELallow_ips = [\"1.2.3.4.5\"]", "6:13 channel.allow_ips network.bad_range", "10.0.0.7", "10.0.0.7"),
    // Targets.
    mistake(
        "[[target]]\nid = \"t\"\nkind = \"fake\"",
        "1:1 target.address setting.missing",
        "tollbell init",
        "tollbell init",
    ),
    mistake(
        "[[target]]\nid = \"t\"\nkind = \"fake\"\naddress = 1",
        "4:11 target.address config.expected_text",
        "in quotes",
        "带引号",
    ),
    mistake(
        "TARGETaccept_sandbox = 1",
        "5:18 target.accept_sandbox config.expected_flag",
        "true or false",
        "true 或 false",
    ),
    mistake("TARGETTARGET", "6:6 target.id config.duplicate_id", "used once", "只能用一次"),
    mistake("TARGETid2 = 1", "5:1 target.id2 config.unknown_key_nearest", "`id`", "`id`"),
    // Routes.
    mistake("CHANNELTARGET[[route]]", "10:1 route.targets config.missing", "add this key", "请补上"),
    mistake("CHANNELTARGET[[route]]\ntargets = []", "11:11 route.targets config.missing", "add this key", "请补上"),
    mistake("CHANNELTARGET[[route]]\ntargets = 1", "11:11 route.targets config.expected_texts", "list of", "列表"),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"tt\"",
        "11:11 route.targets config.unknown_name_nearest",
        "`t`",
        "`t`",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"shop\"",
        "11:11 route.targets config.unknown_name",
        "configured",
        "已配置",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nchannels = \"stripe\"",
        "12:12 route.channels config.unknown_name",
        "configured",
        "已配置",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nchannels = []",
        "12:12 route.channels config.empty_list",
        "remove the line",
        "删去该行",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nevents = []",
        "12:10 route.events config.empty_list",
        "remove the line",
        "删去该行",
    ),
    mistake(
        "CHANNELTARGET[[route]]\ntargets = \"t\"\nevents = [\"payment.paid\"]",
        "12:10 route.events config.bad_event",
        "payment.succeeded",
        "payment.succeeded",
    ),
];

/// Words of the catalogue that other tests of this file bring about.
const ELSEWHERE: &[&str] = &[
    "config.problem",
    "config.warning",
    "config.not_found",
    "config.cannot_read",
    "config.too_large",
    "config.not_utf8",
    "config.not_toml",
    "config.too_many",
    "config.no_channel",
    "config.no_target",
    "config.role_missing",
    "config.literal_secret",
    "config.bad_credential",
    "config.not_here",
];

#[test]
fn every_mistake_is_reported_once_at_its_place_with_its_cure() {
    let mut wrong = Vec::new();
    for case in MISTAKES {
        let text = case.text.replace("CHANNEL", CHANNEL).replace("TARGET", TARGET).replace("QUEUE", QUEUE);
        let text = if text.contains("secret_") {
            text.replace("public = \"hush7hush7hush7\"\n", "flag = true\n")
        } else {
            text
        };
        let folder = Folder::new(&[("tollbell.toml", text.as_bytes()), ("keys/empty", b" \n")]);
        folder.write("keys/own", MARKER.as_bytes(), 0o600);
        folder.write("keys/open", MARKER.as_bytes(), 0o640);
        folder.write("keys/large", &vec![b'x'; 1024 * 1024 + 1], 0o600);
        let Err(found) = folder.load() else {
            wrong.push(format!("nothing was found in:\n{text}"));
            continue;
        };
        let reported = summary(&found);
        if reported.trim_end() != case.reported {
            wrong.push(format!("expected {}\nfound    {}in:\n{text}", case.reported, reported));
            continue;
        }
        for (lang, cure) in [(Lang::En, case.en), (Lang::Zh, case.zh)] {
            let shown = found[0].render(lang);
            if !shown.contains(cure) || shown.contains(MARKER) || shown.contains("config.") {
                wrong.push(format!("`{cure}` is expected, and no key, in:\n{shown}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_role_that_a_node_does_not_have_is_warned_about() {
    let folder = Folder::new(&[]);
    folder.write("tollbell.toml", b"[server]\nroles = [\"receive\", \"deliver\"]\nwatch = false\n", 0o600);
    let (config, warnings) = folder.load().unwrap();
    let missing: Vec<_> = config.server.roles.missing().map(Role::as_str).collect();
    assert_eq!(missing, ["operate"]);
    assert!(!config.server.watch);
    let warned: Vec<&str> = warnings.iter().map(|warning| warning.message.key()).collect();
    assert!(warned.contains(&"config.role_missing"), "{warned:?}");
}

#[test]
fn every_text_about_configurations_has_its_mistake_here() {
    let table: toml::Table = toml::from_str(include_str!("../src/messages/en.toml")).unwrap();
    let known: BTreeSet<String> =
        table["config"].as_table().unwrap().keys().map(|key| format!("config.{key}")).collect();
    let covered: BTreeSet<String> = MISTAKES
        .iter()
        .map(|case| case.reported.rsplit(' ').next().unwrap())
        .chain(ELSEWHERE.iter().copied())
        .filter(|word| word.starts_with("config."))
        .map(str::to_owned)
        .collect();
    assert_eq!(known.symmetric_difference(&covered).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_word_of_a_platform_or_target_is_reported_at_its_setting() {
    for word in SETTINGS_ERRORS.iter().filter(|word| **word != "missing") {
        for (text, reported) in [
            (format!("{CHANNEL}fails = \"{word}: why\"\n"), format!("6:9 channel.fails setting.{word}\n")),
            (format!("{TARGET}fails = \"{word}: why\"\n"), format!("5:9 target.fails setting.{word}\n")),
        ] {
            let found = problems(load(&text));
            assert_eq!(summary(&found), reported);
            for lang in Lang::ALL {
                let shown = found[0].message.text(*lang);
                assert!(shown.contains("`fails`") && shown.contains("(why)"), "{shown}");
                assert!(!shown.contains('{') && !shown.starts_with("setting."), "{shown}");
            }
        }
    }
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_files() {
    let folder = Folder::new(&[
        (
            "tollbell.toml",
            b"[[route]]\ntargets = \"x\"\n[server]\nlisten = \"a\"\nbody_limit = 0\ncolour = 1\n[log]\nlevel = \"x\"\n[[channel]]\nkind = \"fake\"\n",
        ),
        ("channels.d/b.toml", b"[[target]]\nid = \"T\"\nkind = \"fake\"\naddress = \"x\"\n"),
        ("channels.d/a.toml", b"[[channel]]\nid = \"a\"\nkind = \"fake\"\napp_id = \"1\"\n"),
    ]);
    assert_eq!(
        summary(&problems(folder.load())),
        "2:11 route.targets config.unknown_name\n\
         4:10 server.listen config.bad_address\n\
         5:14 server.body_limit config.out_of_range\n\
         6:1 server.colour config.unknown_key\n\
         8:9 log.level config.one_of\n\
         9:1 channel.id config.missing\n\
         9:1 channel.app_id setting.missing\n\
         9:1 channel.public config.missing_either\n\
         a.toml:1:1 channel.public config.missing_either\n\
         b.toml:2:6 target.id config.bad_id\n"
    );
}

#[test]
fn a_problem_reads_well_in_both_languages() {
    let found = problems(load("[server]\n\tlisten = [\"支付\"] # 监听\n"));
    let file = found[0].file.display();
    assert_eq!(
        found[0].render(Lang::En),
        format!(
            "{file}:2:11: error: `server.listen`: `支付` is not an IP address with a port, such as 0.0.0.0:8080 or [::]:8080\n    \
             | \tlisten = [\"支付\"] # 监听\n    | \t         ^"
        )
    );
    assert_eq!(
        found[0].render(Lang::Zh),
        format!(
            "{file}:2:11: 错误：`server.listen`：`支付` 不是带端口的 IP 地址，例如 0.0.0.0:8080 或 [::]:8080\n    \
             | \tlisten = [\"支付\"] # 监听\n    | \t         ^"
        )
    );
    // The mark stands under what is meant, behind letters that are twice as wide, and behind hidden texts.
    let found =
        problems(load("channel = [{ id = \"支\", kind = \"fake\", public = \"hush7hush7hush7\", app_id = 1 }]"));
    let shown = found.iter().find(|problem| problem.key == "channel.app_id").unwrap().render(Lang::En);
    assert_eq!(
        shown.split_once('\n').unwrap().1,
        "    | channel = [{ id = \"…\", kind = \"…\", public = \"…\", app_id = 1 }]\n    \
             |                                                           ^"
    );
}

#[test]
fn a_mistake_in_a_channel_does_not_make_its_routes_look_wrong() {
    let text = format!(
        "[[channel]]\nid = \"a\"\nkind = \"fak\"\n{TARGET}fails = \"relation\"\n[[route]]\nchannels = \"a\"\ntargets = \"t\"\n"
    );
    let reported = "3:8 channel.kind config.unknown_kind_nearest\n8:9 target.fails setting.relation\n";
    assert_eq!(summary(&problems(load(&text))), reported);
    // Nor does a file that cannot be understood.
    let folder = Folder::new(&[
        ("tollbell.toml", b"[[route]]\nchannels = \"a\"\ntargets = \"t\"\n"),
        ("channels.d/a.toml", b"[[channel]\n"),
    ]);
    assert_eq!(summary(&problems(folder.load())), "a.toml:1:11  config.not_toml\n");
}

#[test]
fn ids_and_paths_are_unique_over_all_files() {
    let folder = Folder::new(&[
        ("tollbell.toml", format!("{CHANNEL}paths = [\"/x\"]\n{TARGET}").as_bytes()),
        ("channels.d/b.toml", format!("{}paths = [\"/y\", \"/x\"]\n", CHANNEL.replace("\"a\"", "\"b\"")).as_bytes()),
        ("channels.d/c.toml", CHANNEL.as_bytes()),
    ]);
    let found = problems(folder.load());
    assert_eq!(
        summary(&found),
        "b.toml:6:9 channel.paths config.path_taken\nc.toml:2:6 channel.id config.duplicate_id\n"
    );
    assert!(found[0].render(Lang::En).contains("`/x` belongs to channel `a` already"), "{}", rendered(&found));
    let many: Vec<String> = (0..=64).map(|n| format!("\"/{n}\"")).collect();
    let found = problems(load(&format!("{CHANNEL}paths = [{}]\n", many.join(","))));
    assert_eq!(summary(&found), "6:9 channel.paths config.too_many\n");
    let many = vec!["\"1s\""; 1001].join(",");
    let found = problems(load(&format!("[deliver]\nladder = [{many}]\n")));
    assert_eq!(summary(&found), "2:10 deliver.ladder config.too_many\n");
    assert!(found[0].render(Lang::Zh).contains("最多 1000 个"), "{}", rendered(&found));
}

#[test]
fn included_files_add_channels_targets_and_routes_and_nothing_else() {
    let folder = Folder::new(&[
        ("tollbell.toml", b"[[route]]\ntargets = \"t\"\n"),
        ("channels.d/b.toml", TARGET.as_bytes()),
        ("channels.d/a.toml", CHANNEL.as_bytes()),
        ("channels.d/notes.txt", b"not read"),
    ]);
    let config = good(folder.load());
    assert_eq!((&*config.channels[0].id, &*config.targets[0].id), ("a", "t"));
    folder.write("channels.d/c.toml", b"[server]\nlisten = \"0.0.0.0:1\"\n", 0o600);
    let found = problems(folder.load());
    assert_eq!(summary(&found), "c.toml:1:2 server config.not_here\n");
    for (lang, cure) in [(Lang::En, "main file"), (Lang::Zh, "主配置文件")] {
        assert!(found[0].render(lang).contains(cure), "{}", found[0].render(lang));
    }
}

#[test]
fn a_folder_of_channels_that_cannot_be_read_is_no_empty_folder() {
    let folder = Folder::new(&[("tollbell.toml", CHANNEL.as_bytes()), ("channels.d", b"a file")]);
    let found = problems(folder.load());
    assert_eq!(summary(&found), "channels.d:  config.cannot_read\n");
    let folder = Folder::new(&[("tollbell.toml", CHANNEL.as_bytes()), ("channels.d/a.txt", b"")]);
    symlink(folder.path("gone"), folder.path("channels.d/b.toml")).unwrap();
    assert_eq!(summary(&problems(folder.load())), "b.toml:  config.not_found\n");
}

#[test]
fn files_that_are_no_configuration_say_why() {
    let found = problems(Folder::new(&[]).load());
    assert_eq!(summary(&found), "  config.not_found\n");
    assert!(found[0].render(Lang::Zh).contains("tollbell init"), "{}", rendered(&found));
    // As an editor on a Chinese Windows writes it.
    let found = problems(Folder::new(&[("tollbell.toml", b"[server]\n# \xd6\xa7\xb8\xb6\n")]).load());
    assert_eq!(summary(&found), "  config.not_utf8\n");
    assert!(found[0].render(Lang::En).contains("line 2 is not UTF-8; save the file as UTF-8"), "{}", rendered(&found));
    assert!(found[0].render(Lang::Zh).contains("第 2 行"), "{}", rendered(&found));
    let large = vec![b'\n'; 4 * 1024 * 1024 + 1];
    assert_eq!(summary(&problems(Folder::new(&[("tollbell.toml", &large)]).load())), "  config.too_large\n");
    let folder = Folder::new(&[("tollbell.toml/x", b"")]);
    assert_eq!(summary(&problems(folder.load())), "  config.cannot_read\n");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}[server]\r\nlisten = \"0.0.0.0:1\"\r\n{}", CHANNEL.replace('\n', "\r\n"));
    let (config, _) = with_warnings(load(&text));
    assert_eq!(config.server.listen, ["0.0.0.0:1".parse().unwrap()]);
    let found = problems(load("\u{feff}colour = 1\r\n[server]\r\nlisten = \"x\"\r\n"));
    assert_eq!(summary(&found), "1:1 colour config.unknown_key\n3:10 server.listen config.bad_address\n");
    let shown = found[1].render(Lang::En);
    assert!(shown.ends_with("\n    | listen = \"x\"\n    |          ^"), "{shown:?}");
}

#[test]
fn what_is_missing_altogether_is_a_warning() {
    let (config, warnings) = with_warnings(load(""));
    assert_eq!(summary(&warnings), " channel config.no_channel\n target config.no_target\n");
    assert!(warnings.iter().all(Problem::is_warning));
    let shown = rendered(&warnings);
    for cure in ["warning: `channel`: ", "警告：`channel`：", "`[[channel]]`", "`[[target]]`"] {
        assert!(shown.contains(cure), "{shown}");
    }
    assert!(config.channels.is_empty() && config.targets.is_empty());
}

#[test]
fn what_is_written_is_what_is_read() {
    let config = good(load(&format!(
        "{CHANNEL}{TARGET}\
         accept_sandbox = true\nladder = []\n\
         [server]\nlisten = [\"127.0.0.1:0\", \"[::1]:80\"]\nbody_limit = \"64KiB\"\nmax_connections = 0x10\nbody_timeout = \"500ms\"\n\
         [inbox]\nurl = \"sqlite:data/x.db\"\n\
         [deliver]\nladder = [\"0s\", \"1m\"]\n\
         [retention]\nbodies = \"1d\"\nidentities = \"1d\"\nrejections = \"7d\"\n\
         [log]\nformat = \"json\"\nlevel = \"debug\"\n"
    )));
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!((config.server.body_limit, config.server.max_connections), (65_536, 16));
    assert_eq!(config.server.body_timeout, Duration::from_millis(500));
    assert_eq!(config.inbox.path, config.folder.join("data/x.db"));
    assert_eq!(config.deliver.backoff, BackoffConfig::Ladder(vec![Duration::ZERO, Duration::from_mins(1)]));
    assert_eq!(config.retention.identities, Duration::from_hours(24));
    assert_eq!(config.retention.rejections, Duration::from_hours(7 * 24));
    assert!(config.log.is_json && config.log.level == "debug");
    assert!(config.targets[0].accept_sandbox);
    assert_eq!(config.targets[0].ladder.as_deref(), Some(&[][..]));
    let config = good(load(&format!("{CHANNEL}{TARGET}[deliver.backoff]\nfirst = \"1s\"\ntries = 1000\n")));
    let (first, max) = (Duration::from_secs(1), config::deliver::MAX);
    assert_eq!(config.deliver.backoff, BackoffConfig::Exponential { first, max, tries: 1000 });
    // An absolute path stays; a relative one starts at the file, not where the program was started.
    let config = good(load(&format!("{CHANNEL}{TARGET}[inbox]\nurl = \"sqlite:/var/x.db\"\n")));
    assert_eq!(config.inbox.path, Path::new("/var/x.db"));
}

#[test]
fn ranges_are_read_in_one_form_and_a_list_means_block() {
    let config = good(load(&format!(
        "{CHANNEL}allow_ips = [\"203.0.113.7\", \"2001:db8::/32\"]\n{TARGET}\
         [server]\ntrusted_proxies = [\"::ffff:10.0.0.0/104\", \"192.0.2.1\"]\nexempt_ips = []\n\
         [server.tls]\ncertificate_file = \"c.pem\"\nprivate_key_file = \"/k.pem\"\n"
    )));
    let texts = |ranges: &[ipnet::IpNet]| ranges.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&config.server.network.trusted_proxies), ["10.0.0.0/8", "192.0.2.1/32"]);
    assert!(config.server.network.exempt_ips.is_empty());
    let allow = &config.channels[0].allow;
    assert_eq!(
        (allow.check, texts(&allow.ranges)),
        (IpCheck::Block, vec!["203.0.113.7/32".into(), "2001:db8::/32".into()])
    );
    let tls = config.server.tls.unwrap();
    assert_eq!((tls.certificate_file, tls.private_key_file), (config.folder.join("c.pem"), "/k.pem".into()));
    assert!(tls.listen.is_empty());
    for (word, check) in [("off", IpCheck::Off), ("warn", IpCheck::Warn), ("block", IpCheck::Block)] {
        let text = format!("{CHANNEL}allow_ips = \"203.0.113.7\"\nip_check = \"{word}\"\n{TARGET}");
        assert_eq!(good(load(&text)).channels[0].allow.check, check);
    }
    assert_eq!(good(load(&format!("{CHANNEL}{TARGET}[server.tls]\n"))).server.tls, None);
}

#[test]
fn what_is_dangerous_and_allowed_is_warned_about() {
    let text = format!("{CHANNEL}{TARGET}[server]\ntrusted_proxies = [\"0.0.0.0/0\", \"::/0\", \"10.0.0.0/8\"]\n");
    let (_, warnings) = with_warnings(load(&text));
    assert_eq!(warnings.iter().filter(|warning| warning.message.key() == "network.everyone").count(), 2);
    let shown = rendered(&warnings);
    assert!(shown.contains("the whole Internet") && shown.contains("整个互联网"), "{shown}");
    let (folder, text) = real();
    let with = |line: &str| {
        folder.write(
            "tollbell.toml",
            text.replacen("[[channel]]\n", &format!("[[channel]]\n{line}\n"), 1).as_bytes(),
            0o600,
        );
        with_warnings(folder.load_real())
    };
    let (config, warnings) = with("ip_check = \"block\"");
    assert!(config.channels[0].allow.ranges.len() > 5, "what the platform publishes");
    assert!(rendered(&warnings).contains("may change"), "{}", rendered(&warnings));
    let shown = rendered(&with("ip_check = \"warn\"").1);
    assert!(!shown.contains("may change"), "{shown}");
}

#[test]
fn a_sandbox_is_said_and_never_guessed() {
    let environment = |line: &str| good(load(&format!("{CHANNEL}{line}{TARGET}"))).channels[0].environment.as_str();
    assert_eq!(environment(""), "live");
    assert_eq!(environment("environment = \"live\"\n"), "live");
    assert_eq!(environment("environment = \"sandbox\"\n"), "sandbox");
    let config = good(load(&format!("{CHANNEL}{TARGET}")));
    assert!(!config.targets[0].accept_sandbox, "facts of a sandbox reach no target by default");
}

/// Two channels, three targets.
fn routed(routes: &str) -> Config {
    let more = |table: &str, from: &str, to: &str| table.replace(&format!("\"{from}\""), &format!("\"{to}\""));
    good(load(&format!(
        "{CHANNEL}{}{TARGET}{}{}{routes}",
        more(CHANNEL, "a", "b"),
        more(TARGET, "t", "u"),
        more(TARGET, "t", "v")
    )))
}

#[test]
fn routes_say_which_events_go_where() {
    use EventKind::{PaymentSucceeded as Paid, RefundSucceeded as Refunded};
    let all = "";
    let to_u = "[[route]]\ntargets = \"u\"\n";
    let split = "[[route]]\nchannels = \"a\"\ntargets = [\"v\", \"t\"]\n[[route]]\nchannels = [\"b\"]\nevents = \"refund.*\"\ntargets = \"u\"\n";
    let twice = "[[route]]\ntargets = \"t\"\n[[route]]\ntargets = [\"t\", \"u\"]\nevents = [\"payment.succeeded\"]\n";
    let star = "[[route]]\ntargets = \"t\"\nevents = \"*\"\n";
    for (routes, channel, kind, expected) in [
        (all, "a", Paid, &["t", "u", "v"][..]),
        (all, "b", Refunded, &["t", "u", "v"]),
        (to_u, "a", Paid, &["u"]),
        (to_u, "b", Refunded, &["u"]),
        (split, "a", Paid, &["t", "v"]),
        (split, "b", Paid, &[]),
        (split, "b", Refunded, &["u"]),
        (twice, "a", Paid, &["t", "u"]),
        (twice, "a", Refunded, &["t"]),
        (star, "b", Refunded, &["t"]),
    ] {
        let config = routed(routes);
        let found = config.routes.targets_for(channel, kind, &config.targets);
        let found: Vec<&str> = found.iter().map(|id| &**id).collect();
        assert_eq!(found, expected, "{channel} {kind} with\n{routes}");
    }
}

/// Reads a channel whose secret is given by these lines; the right key has the [`MARKER`].
fn secret(folder: &Folder, lines: &str, variable: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let text = format!("{}{lines}\n{TARGET}", CHANNEL.replace("public = \"hush7hush7hush7\"\n", ""));
    folder.write("tollbell.toml", text.as_bytes(), 0o600);
    folder.load_with(variable)
}

#[test]
fn key_material_comes_by_four_ways() {
    let folder = Folder::new(&[("keys/secret", MARKER.as_bytes()), ("credentials/pay", MARKER.as_bytes())]);
    folder.write("keys/public", MARKER.as_bytes(), 0o644);
    let credentials = folder.path("credentials").display().to_string();
    let variable = |name: &str| match name {
        "PAY_SECRET" => Some(MARKER.to_owned()),
        "EMPTY" => Some(" \n".to_owned()),
        "CREDENTIALS_DIRECTORY" => Some(credentials.clone()),
        _ => None,
    };
    let absolute = format!("secret_file = \"{}\"", folder.path("keys/secret").display());
    for lines in [
        "secret_file = \"keys/secret\"",
        &absolute,
        "secret_env = \"PAY_SECRET\"",
        "secret_credential = \"pay\"",
        "public = \"hush7hush7hush7\"",
        "public_file = \"keys/public\"",
        "public_env = \"PAY_SECRET\"",
        "public_credential = \"pay\"",
    ] {
        good(secret(&folder, lines, &variable));
    }
    // In the file itself it works, and is warned about; a public key may stand there.
    let (_, warnings) = with_warnings(secret(&folder, "secret = \"hush7hush7hush7\"", &variable));
    assert_eq!(summary(&warnings), "5:10 channel.secret config.literal_secret\n");
    let shown = rendered(&warnings);
    assert!(shown.contains("mode 0600") && shown.contains("`secret_file`") && shown.contains("权限为 0600"), "{shown}");
    for (lines, reported) in [
        ("secret_env = \"EMPTY\"", "5:14 channel.secret_env config.empty_key"),
        ("secret = \"\"", "5:10 channel.secret config.literal_secret\n5:10 channel.secret config.empty_key"),
        ("secret_credential = \"../pay\"", "5:21 channel.secret_credential config.bad_credential"),
        ("secret_credential = \"..\"", "5:21 channel.secret_credential config.bad_credential"),
        ("secret_credential = \"other\"", "5:21 channel.secret_credential config.no_key_file"),
        ("secret_file = 1", "5:15 channel.secret_file config.expected_text"),
        ("secret = [\"x\"]", "5:10 channel.secret config.expected_text"),
        (
            "secret = \"hush7hush7hush7\"\nsecret_file = \"keys/secret\"",
            "6:15 channel.secret_file config.key_given_twice",
        ),
        (
            "secret_env = \"PAY_SECRET\"\nsecret_credential = \"pay\"",
            "6:21 channel.secret_credential config.key_given_twice",
        ),
        ("secret_file = \"keys/public\"", "5:15 channel.secret_file config.key_open"),
        ("secret_file = \"keys/public\"\npublic_file = \"keys/public\"", "5:15 channel.secret_file config.key_open"),
    ] {
        let found = problems(secret(&folder, lines, &variable));
        let expected: Vec<&str> = reported.lines().filter(|line| !line.ends_with("literal_secret")).collect();
        assert_eq!(summary(&found).trim_end(), expected.join("\n"), "{lines}");
    }
    for mode in [0o604, 0o640, 0o602, 0o601] {
        folder.write("keys/mode", MARKER.as_bytes(), mode);
        let found = problems(secret(&folder, "secret_file = \"keys/mode\"", &variable));
        let shown = rendered(&found);
        assert!(shown.contains(&format!("(mode {mode:o})")) && shown.contains("chmod 600"), "{shown}");
    }
    for mode in [0o600, 0o400] {
        folder.write(&format!("keys/{mode}"), MARKER.as_bytes(), mode);
        good(secret(&folder, &format!("secret_file = \"keys/{mode}\""), &variable));
    }
}

#[test]
fn no_secret_is_ever_shown() {
    let folder = Folder::new(&[("keys/secret", MARKER.as_bytes())]);
    let variable = |name: &str| (name == "PAY_SECRET").then(|| MARKER.to_owned());
    for lines in ["secret_file = \"keys/secret\"", "secret_env = \"PAY_SECRET\"", "secret = \"hush7hush7hush7\""] {
        let (config, warnings) = with_warnings(secret(&folder, lines, &variable));
        let shown = format!("{config:?}{config:#?}{warnings:?}{}", rendered(&warnings));
        assert!(!shown.contains(MARKER), "{lines} is shown in {shown}");
    }
    for lines in [
        // Mistakes about the secret itself.
        "secret = \"hush7hush7hush7\"\nexpects = \"another\"",
        "secret = [\"hush7hush7hush7\"]",
        "secret = { a = \"hush7hush7hush7\" }",
        "secret = \"hush7hush7hush7\"\nsecret_file = \"keys/secret\"",
        // The secret in a wrong place.
        "secret_file = \"hush7hush7hush7\"",
        "secret_file = \"hush7hush7hush7/x\"",
        "secret_file = \"keys/secret/hush7hush7hush7\"",
        "secret_file = \"\"\"\n-----BEGIN hush7hush7hush7\n\"\"\"",
        "secret_file = \"\\u0000hush7hush7hush7\"",
        "secret_env = \"hush7hush7hush7\"",
        "secret_credential = \"hush7hush7hush7\"",
        "secrt = \"hush7hush7hush7\"",
        "secret_fil = \"hush7hush7hush7\"",
        "words = \"red\"\npassword = [\"x\", [\"hush7hush7hush7\"]]",
        "[shop]\npassword = \"hush7hush7hush7\"",
        "[server]\nlistn = \"hush7hush7hush7\"",
        // Mistakes on the secret's line.
        "[[target]]\n[[route]]\n[deliver]\nbackoff = { frist = \"hush7hush7hush7\", tries = \"x\" }",
        "[server]\nlisten = [\"x\"] # a\n[route]\nsecret = \"hush7hush7hush7\"",
        // Mistakes of the language.
        "secret = \"hush7hush7hush7",
        "secret = 'hush7hush7hush7\"",
        "secret = hush7hush7hush7",
        "hush7hush7hush7",
        "hush7hush7hush7\n==",
        "secret = \"\"\"hush7hush7hush7\n",
        "secret = \"hush7hush7hush7\" \"hush7hush7hush7\"",
        "secret = \"hush7hush7hush7\\x\"",
        "secret = \"hush7hush7hush7\"\nsecret = \"hush7hush7hush7\"",
        "secret = [\"hush7hush7hush7\"",
        "secret.\"hush7hush7hush7\"",
        "[hush7hush7hush7",
    ] {
        let found = problems(secret(&folder, lines, &variable));
        let shown = format!("{found:?}{}", rendered(&found));
        assert!(!shown.contains(MARKER), "{lines} is shown in {}", rendered(&found));
        assert!(found.iter().all(|problem| problem.place.is_some()), "{lines}: {}", rendered(&found));
    }
    // All of it on one line.
    for text in [
        "channel = [{ id = \"a\", kind = \"fake\", secret = \"hush7hush7hush7\", nonsense = 1 }]",
        "channel = [{ id = \"a\", kind = \"fake\", secret = \"hush7hush7hush7\", app_id = 1 }]",
        "channel = [{ id = \"A\", kind = \"fake\", app_id = \"1\", secret = \"hush7hush7hush7\" }]",
        "channel = [{ kind = \"fake\", secret = '''x\nhush7hush7hush7''', app_id = 1 }]",
        "channel = [{ kind = \"fake\", secret = \"hush7hush7hush7\" }]",
        "channel = [{ id = \"a\", kind = \"fakes\", secret = \"hush7hush7hush7\" }]",
        "channel = { secret = \"hush7hush7hush7\" }",
        "server = \"hush7hush7hush7\"",
        "server = [\"hush7hush7hush7\"]",
    ] {
        let found = problems(load(text));
        let shown = format!("{found:?}{}", rendered(&found));
        assert!(!shown.contains(MARKER), "{text} is shown in {}", rendered(&found));
    }
}

#[test]
fn a_syntax_error_is_placed_and_explained() {
    for (text, reported) in [
        ("[server]\nlisten = 0.0.0.0:80\n", "2:10  config.not_toml"),
        ("[server\n", "1:8  config.not_toml"),
        ("a = 1\na = 2\n", "2:1  config.not_toml"),
    ] {
        let found = problems(load(text));
        let shown = summary(&found);
        assert_eq!(shown.split(':').next(), reported.split(':').next(), "{shown}");
        assert!(shown.trim_end().ends_with("config.not_toml"), "{shown}");
        assert!(found[0].render(Lang::En).contains("not TOML: "), "{}", rendered(&found));
        assert!(found[0].render(Lang::Zh).contains("不是有效的 TOML："), "{}", rendered(&found));
    }
}

/// A folder with a channel of a real platform and a target, and its configuration's text.
fn real() -> (Folder, String) {
    let folder = Folder::new(&[]);
    let side = (by_kind("alipay").unwrap().simulate)();
    let mut text = "[[channel]]\nid = \"alipay\"\nkind = \"alipay\"\n".to_owned();
    for setting in side.written_settings() {
        match setting.value {
            SettingValue::Text(value) => writeln!(text, "{} = \"{value}\"", setting.name).unwrap(),
            SettingValue::Texts(values) => writeln!(text, "{} = {values:?}", setting.name).unwrap(),
            SettingValue::Key(bytes) => {
                let file = setting.file_name.unwrap();
                folder.write(file, &bytes, 0o644);
                writeln!(text, "{}_file = \"{file}\"", setting.name).unwrap();
            }
            other => panic!("{}: {other:?}", setting.name),
        }
    }
    text.push_str("[[target]]\nid = \"shop\"\nkind = \"fastcgi\"\naddress = \"127.0.0.1:9000\"\nscript = \"/x.php\"\n");
    text.push_str("terminate_timeout = \"60s\"\n");
    folder.write("tollbell.toml", text.as_bytes(), 0o600);
    (folder, text)
}

#[test]
fn what_real_platforms_and_targets_refuse_is_reported_at_its_line() {
    let (folder, text) = real();
    let (config, warnings) = with_warnings(folder.load_real());
    assert_eq!(summary(&warnings), " admin.token check.no_token\n");
    assert_eq!(config.channels[0].channel.keys().len(), 1);
    let without_key: Vec<&str> = text.lines().filter(|line| !line.contains("public_key_file")).collect();
    let without_key = without_key.join("\n");
    for (changed, reported) in [
        (text.replace("app_id = \"", "app_id = \"x"), "4:10 channel.app_id setting.malformed_id"),
        (text.replace("\"2088", "\"1088"), "5:13 channel.seller_id setting.malformed_id"),
        (text.replace("kind = \"alipay\"", "kind = \"alipy\""), "3:8 channel.kind config.unknown_kind_nearest"),
        (text.replace("kind = \"fastcgi\"", "kind = \"php\""), "9:8 target.kind config.one_of"),
        (text.replace("127.0.0.1:9000", "nowhere"), "10:11 target.address setting.malformed"),
        (text.replace("\"/x.php\"", "\"x.php\""), "11:10 target.script setting.malformed"),
        (format!("{text}attempt_timeout = \"0s\"\n"), "13:19 target.attempt_timeout setting.out_of_range"),
        (format!("{text}connect_timeout = \"31s\"\n"), "13:19 target.connect_timeout setting.relation"),
        (format!("{text}success = {{ body = \"x\", match = \"y\" }}\n"), "13:11 target.success setting.unknown_word"),
        (format!("{text}succes = \"platform\"\n"), "13:1 target.succes config.unknown_key_nearest"),
        // Without a key there is no channel, and that is said.
        (without_key.clone(), "1:1 channel.alipay_public_key config.missing_either"),
        (
            without_key.replace("[[target]]", "sign_types = [\"SM2\"]\n[[target]]"),
            "1:1 channel.alipay_sm2_public_key setting.no_key_for_algorithm",
        ),
    ] {
        folder.write("tollbell.toml", changed.as_bytes(), 0o600);
        let found = problems(folder.load_real());
        let shown = summary(&found);
        let shown = shown.trim_end();
        assert_eq!(shown, reported, "{}", rendered(&found));
    }
    for (bytes, word) in [
        (&b"no key"[..], "setting.not_a_key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "setting.private_key_given"),
    ] {
        folder.write("tollbell.toml", text.as_bytes(), 0o600);
        folder.write("alipay_public.pem", bytes, 0o644);
        let found = problems(folder.load_real());
        assert_eq!(summary(&found).trim_end(), format!("6:26 channel.alipay_public_key_file {word}"));
    }
}

#[test]
fn an_answer_may_wait_for_what_can_confirm() {
    let ack =
        |text: &str| good(load(&text.replace("CHANNEL", CHANNEL).replace("TARGET", TARGET).replace("QUEUE", QUEUE)));
    let delivered = |text: &str| match ack(text).channels.remove(0).ack {
        AckConfig::Delivered(ack) => (ack.target.to_string(), ack.within, ack.counts_broker),
        AckConfig::Stored => panic!("{text}"),
    };
    assert_eq!(ack("CHANNELTARGET").channels[0].ack, AckConfig::Stored);
    assert_eq!(ack("CHANNELack = \"stored\"\nTARGET").channels[0].ack, AckConfig::Stored);
    let shop = |within| ("t".to_owned(), within, false);
    assert_eq!(delivered("CHANNELack = { delivered = \"t\" }\nTARGET"), shop(Duration::from_secs(3)));
    let longest = "CHANNELack = { delivered = \"t\", within = \"4500ms\" }\nTARGET";
    assert_eq!(delivered(longest), shop(Duration::from_millis(4500)));
    // One route for one kind of event is enough; other kinds count as stored.
    let routed = "CHANNELack = { delivered = \"t\" }\nTARGETQUEUE[[route]]\ntargets = \"t2\"\n\
                  [[route]]\nevents = \"payment.succeeded\"\ntargets = \"t\"";
    assert_eq!(delivered(routed), shop(Duration::from_secs(3)));
    let sandbox = "CHANNELenvironment = \"sandbox\"\nack = { delivered = \"t\" }\nTARGETaccept_sandbox = true\n";
    assert_eq!(delivered(sandbox), shop(Duration::from_secs(3)));
    // What a confirmation means, and what is asked of it: a queue's counts only when the file says so.
    for (target, broker, is_good) in [("t", false, true), ("t", true, true), ("t2", false, false), ("t2", true, true)] {
        let text = format!("{CHANNEL}ack = {{ delivered = \"{target}\", broker = {broker} }}\n{TARGET}{QUEUE}");
        match load(&text) {
            Ok((config, warnings)) => {
                assert!(is_good && warnings.is_empty(), "{text}");
                assert!(matches!(&config.channels[0].ack, AckConfig::Delivered(ack) if ack.counts_broker == broker));
            }
            Err(problems) => assert!(!is_good && summary(&problems).contains("config.ack_broker"), "{text}"),
        }
    }
}

/// A token of the right length.
const TOKEN: &str = "q3vP0cN1b7Xw9RkT5yUe2aHd8sLf4gJm";

/// The complete example.
const EXAMPLE: &str = include_str!("../examples/tollbell.toml");

/// The lines of the example that are keys, uncommented or not, each with its table: `server.listen`, its line
/// number from 0, and whether it is commented out.
fn example_keys() -> Vec<(String, usize, bool)> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for (number, line) in EXAMPLE.lines().enumerate() {
        if line.starts_with('[') {
            line.trim_matches(['[', ']']).clone_into(&mut table);
        }
        let (text, is_comment) = line.strip_prefix("# ").map_or((line, false), |text| (text, true));
        if let Some((key, _)) = text.split_once(" = ")
            && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            keys.push((format!("{table}.{key}"), number, is_comment));
        }
    }
    keys
}

/// A folder with the example and the key that it names.
fn example(text: &str) -> Folder {
    let folder = Folder::new(&[("tollbell.toml", text.as_bytes()), ("keys/admin_token", TOKEN.as_bytes())]);
    let side = (by_kind("alipay").unwrap().simulate)();
    for setting in side.written_settings() {
        if let SettingValue::Key(bytes) = setting.value {
            folder.write(&format!("keys/{}", setting.file_name.unwrap()), &bytes, 0o600);
        }
    }
    folder.write("keys/hook_whsec", b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n", 0o600);
    folder
}

#[test]
fn the_example_is_good_and_holds_the_defaults() {
    let folder = example(EXAMPLE);
    let config = good(folder.load_real());
    assert_eq!((config.channels.len(), config.targets.len()), (1, 2));
    let empty = Folder::new(&[("tollbell.toml", b"")]);
    let (defaults, _) = with_warnings(empty.load_real());
    assert_eq!(config.server, defaults.server);
    assert_eq!((config.admin.listen, config.admin.open_metrics), (defaults.admin.listen, defaults.admin.open_metrics));
    assert_eq!(config.admin.hosts, defaults.admin.hosts);
    let name = |config: &Config| config.admin.socket.as_ref().unwrap().file_name().unwrap().to_owned();
    assert_eq!(name(&config), name(&defaults));
    assert_eq!((config.admin.tokens.len(), defaults.admin.tokens.len()), (1, 0));
    assert_eq!(config.inbox.path.file_name(), defaults.inbox.path.file_name());
    assert_eq!(config.inbox.queue, defaults.inbox.queue);
    assert_eq!(config.retention, defaults.retention);
    assert_eq!(config.deliver, defaults.deliver);
    assert_eq!(config.log, defaults.log);
    assert_eq!(config.targets[0].ladder, None);
    assert_eq!(config.channels[0].environment.as_str(), "live");
}

#[test]
fn the_example_names_every_key() {
    let shown = example_keys();
    let is_shown = |key: &str| shown.iter().any(|(name, ..)| name == key);
    let known = config::known_keys();
    assert!(known.len() > 30, "{known:?}");
    let tables = ["deliver.backoff", "server.tls"];
    for key in known.iter().filter(|key| !tables.contains(&key.as_str())) {
        // One of the four ways to give a secret is shown.
        let key = if key.starts_with("admin.token.token") { "admin.token.token_file" } else { key };
        assert!(is_shown(key), "examples/tollbell.toml does not show `{key}`");
        let core = ["server", "admin", "inbox", "retention", "deliver", "log"];
        let is_core = core.contains(&key.split('.').next().unwrap());
        // The one that excludes what is shown in its place.
        // So that without TLS no file is missing.
        let is_off = key.starts_with("server.tls.");
        if is_core && key != "deliver.ladder" && !is_off {
            assert!(shown.iter().any(|(name, _, is_comment)| name == key && !is_comment), "`{key}` is commented out");
        }
    }
    let config = good(example(EXAMPLE).load_real());
    let platforms = config.channels.iter().flat_map(|channel| channel.platform.settings);
    let kinds = config.targets.iter().flat_map(|target| tollbell::targets::by_kind(&target.kind).unwrap().settings);
    for (table, setting) in platforms.map(|s| ("channel", s)).chain(kinds.map(|s| ("target", s))) {
        let is_there = ["", "_file"].iter().any(|way| is_shown(&format!("{table}.{}{way}", setting.name)));
        assert!(is_there, "examples/tollbell.toml does not show `{table}.{}`", setting.name);
    }
}

#[test]
fn what_the_example_comments_out_works_when_it_is_taken_in() {
    let mut tried = 0;
    // The two files of TLS need each other, and are tried with real ones elsewhere.
    let commented = example_keys().into_iter().filter(|(.., is_comment)| *is_comment);
    for (key, number, _) in commented.filter(|(key, ..)| !key.starts_with("server.tls.")) {
        let lines = EXAMPLE.lines().enumerate();
        let text: Vec<&str> =
            lines.map(|(n, line)| if n == number { line.strip_prefix("# ").unwrap() } else { line }).collect();
        // The other of two that exclude each other goes.
        let without = |text: String, table: &str| text.replace(table, "");
        let text = if key == "deliver.ladder" {
            without(text.join("\n"), "[deliver.backoff]\n")
                .replace("first = \"5s\"\n", "")
                .replace("max = \"1h\"\n", "")
                .replace("tries = 50\n", "")
        } else {
            text.join("\n")
        };
        // Files of keys are not there; everything else fits.
        let found = example(&text).load_real().err().unwrap_or_default();
        let is_right = found.is_empty()
            || (key.ends_with("_file") && summary(&found).trim_end().ends_with(&format!("{key} config.no_key_file")));
        assert!(is_right, "`{key}`: {}", rendered(&found));
        tried += 1;
    }
    assert!(tried > 15, "{tried}");
}
