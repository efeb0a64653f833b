//! Folders with a configuration, and a platform and kinds of target that are made for these tests.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tollbell::app;
use tollbell::config::{self, Carries, Catalogue, Config, Problem, TargetKind};
use tollbell::messages::Lang;
use tollbell_channels::channel::{Answer, Channel, KeyNote, Likeness, Verdict};
use tollbell_channels::model::{AckMatch, AppReply, RawRequest, Reply, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform, by_kind};
use tollbell_channels::settings::{SETTINGS_ERRORS, Setting, SettingKind, SettingValue, Settings, SettingsError, Text};

/// What must never be seen.
pub(super) const MARKER: &str = "hush7hush7hush7";

pub(super) type Loaded = Result<(Config, Vec<Problem>), Vec<Problem>>;

/// A folder with files; those under `keys/` and the configuration have mode 0600.
pub(super) struct Folder {
    pub(super) dir: TempDir,
}

impl Folder {
    pub(super) fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = Self { dir: tempfile::tempdir().unwrap() };
        for (name, bytes) in files {
            folder.write(name, bytes, 0o600);
        }
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8], mode: u32) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Reads `tollbell.toml` with a platform and a kind of target that are made for these tests.
    pub(super) fn load(&self) -> Loaded {
        self.load_with(&|_| None)
    }

    pub(super) fn load_with(&self, variable: &dyn Fn(&str) -> Option<String>) -> Loaded {
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
    pub(super) fn load_real(&self) -> Loaded {
        app::load_config(&self.path("tollbell.toml"))
    }
}

/// One file, `tollbell.toml`, with the fake platform.
pub(super) fn load(text: &str) -> Loaded {
    Folder::new(&[("tollbell.toml", text.as_bytes())]).load()
}

#[track_caller]
pub(super) fn problems(loaded: Loaded) -> Vec<Problem> {
    match loaded {
        Ok((config, warnings)) => panic!("no problem was found, only {warnings:?} in {config:?}"),
        Err(problems) => problems,
    }
}

#[track_caller]
pub(super) fn good(loaded: Loaded) -> Config {
    let (config, warnings) = with_warnings(loaded);
    assert_eq!(warnings, []);
    config
}

#[track_caller]
pub(super) fn with_warnings(loaded: Loaded) -> (Config, Vec<Problem>) {
    loaded.unwrap_or_else(|problems| panic!("refused:\n{}", rendered(&problems)))
}

pub(super) fn rendered(problems: &[Problem]) -> String {
    problems
        .iter()
        .flat_map(|problem| Lang::ALL.iter().map(|lang| problem.render(*lang)))
        .collect::<Vec<_>>()
        .join("\n")
}

pub(super) fn place(problem: &Problem) -> String {
    problem.place.as_ref().map_or_else(String::new, |place| format!("{}:{}", place.line, place.column))
}

/// `3:10 server.listen config.bad_address`, one a line.
pub(super) fn summary(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        let file = problem.file.file_name().unwrap().to_str().unwrap();
        let file = if file == "tollbell.toml" { String::new() } else { format!("{file}:") };
        writeln!(text, "{file}{} {} {}", place(problem), problem.key, problem.message.key()).unwrap();
    }
    text
}

/// Fails as a test's setting asks: `fails = "WORD"`, or with a detail `WORD: DETAIL`.
pub(super) fn failing(settings: &Settings) -> Result<(), SettingsError> {
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
pub(super) struct FakeChannel;

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

pub(super) fn fake_platform() -> &'static Platform {
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

pub(super) const fn setting(name: &'static str, kind: SettingKind, is_required: bool) -> Setting {
    Setting { name, kind, is_required, help: Text { en: "a setting", zh: "设置" }, example: "x" }
}

pub(super) const FAKE_CHANNEL: &[Setting] = &[
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

pub(super) const FAKE_TARGET: &[Setting] =
    &[setting("address", SettingKind::Text, true), setting("fails", SettingKind::Text, false)];

/// A channel without mistakes, and a target, on one line each, behind what a case says.
pub(super) const CHANNEL: &str =
    "[[channel]]\nid = \"a\"\nkind = \"fake\"\napp_id = \"1\"\npublic = \"hush7hush7hush7\"\n";

pub(super) const TARGET: &str = "[[target]]\nid = \"t\"\nkind = \"fake\"\naddress = \"x\"\n";

/// A target whose confirmation is a queue's.
pub(super) const QUEUE: &str = "[[target]]\nid = \"t2\"\nkind = \"queue\"\naddress = \"x\"\n";

/// Two channels, three targets.
pub(super) fn routed(routes: &str) -> Config {
    let more = |table: &str, from: &str, to: &str| table.replace(&format!("\"{from}\""), &format!("\"{to}\""));
    good(load(&format!(
        "{CHANNEL}{}{TARGET}{}{}{routes}",
        more(CHANNEL, "a", "b"),
        more(TARGET, "t", "u"),
        more(TARGET, "t", "v")
    )))
}

/// Reads a channel whose secret is given by these lines; the right key has the [`MARKER`].
pub(super) fn secret(folder: &Folder, lines: &str, variable: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let text = format!("{}{lines}\n{TARGET}", CHANNEL.replace("public = \"hush7hush7hush7\"\n", ""));
    folder.write("tollbell.toml", text.as_bytes(), 0o600);
    folder.load_with(variable)
}

/// A folder with a channel of a real platform and a target, and its configuration's text.
pub(super) fn real() -> (Folder, String) {
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

/// A token of the right length.
pub(super) const TOKEN: &str = "q3vP0cN1b7Xw9RkT5yUe2aHd8sLf4gJm";

/// A folder with the example and the key that it names.
pub(super) fn example(text: &str) -> Folder {
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
