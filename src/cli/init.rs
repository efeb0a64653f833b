//! `init`: writes a new configuration with comments, and throw-away test keys for it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{Setting, SettingKind, SettingValue};
use tollbell_channels::simulate::WrittenSetting;
use zeroize::Zeroizing;

use super::context::Context;
use super::{ExitCode, InitArgs, OK};
use crate::app;
use crate::config::example::{Example, ExampleTable, quoted, render};
use crate::config::{admin, server};
use crate::messages::{Lang, Message};
use crate::targets::{KINDS, Kind};

/// The name of the configuration in its folder.
pub(super) const CONFIG_FILE: &str = "tollbell.toml";

/// What to write.
pub(super) struct Plan<'a> {
    pub(super) folder: &'a Path,
    pub(super) platforms: Vec<&'static Platform>,
    /// Settings of the target, as `(name, value)`.
    pub(super) target_settings: Vec<(String, String)>,
    pub(super) lang: Lang,
    pub(super) listen: &'a str,
    pub(super) admin_listen: &'a str,
}

pub(super) fn run(context: &mut Context<'_>, args: &InitArgs) -> anyhow::Result<ExitCode> {
    let platforms = if args.all {
        PLATFORMS.to_vec()
    } else if args.platforms.is_empty() {
        PLATFORMS.first().copied().into_iter().collect()
    } else {
        let mut chosen = Vec::new();
        for word in &args.platforms {
            let platform = PLATFORMS.iter().copied().find(|platform| platform.kind == word);
            let known = || PLATFORMS.iter().map(|platform| platform.kind);
            let platform = platform.ok_or_else(|| context.unknown_word(word, known()))?;
            if !chosen.iter().any(|other: &&Platform| other.kind == platform.kind) {
                chosen.push(platform);
            }
        }
        chosen
    };
    let mut target_settings = Vec::new();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(context.usage(&Message::new("init.not_a_pair").with("pair", pair)));
        };
        let settings = KINDS.first().map_or(&[][..], |kind| kind.settings);
        let Some(setting) = settings.iter().find(|setting| setting.name == name) else {
            return Err(context.unknown_word(name, settings.iter().map(|setting| setting.name)));
        };
        if toml_value(setting, value).is_none() {
            return Err(context.usage(&Message::new("error.bad_value").with("value", value).with("name", name)));
        }
        target_settings.push((name.to_owned(), value.to_owned()));
    }
    write(&Plan {
        folder: &args.folder,
        platforms,
        target_settings,
        lang: context.lang,
        listen: server::LISTEN,
        admin_listen: admin::LISTEN,
    })?;
    let path = args.folder.join(CONFIG_FILE);
    let flag = if args.folder == Path::new(".") { String::new() } else { format!("--config {} ", path.display()) };
    let done = Message::new("init.done").with("path", path.display());
    let done = done.with("check", format!("tollbell {flag}check")).with("serve", format!("tollbell {flag}serve"));
    context.tell(&done)?;
    Ok(OK)
}

/// Writes the configuration and the keys. Overwrites nothing, and writes nothing when a file is there.
pub(super) fn write(plan: &Plan<'_>) -> anyhow::Result<()> {
    let keys = plan.folder.join("keys");
    let mut files: Vec<(PathBuf, Zeroizing<Vec<u8>>)> = Vec::new();
    let mut channels = Vec::new();
    for platform in &plan.platforms {
        let side = (platform.simulate)();
        let mut values = Vec::new();
        for setting in side.written_settings() {
            if let SettingValue::Key(bytes) = &setting.value {
                let path = keys.join(setting.file_name.context("a key has a file name")?);
                files.push((path, bytes.clone()));
            }
            values.push(written(&setting)?);
        }
        files.push((app::test_keys_path(plan.folder, platform.kind), Zeroizing::new(side.export())));
        channels.push(ExampleTable {
            id: platform.kind,
            kind: platform.kind,
            name: platform.name,
            settings: platform.settings,
            values,
        });
    }
    let kind = KINDS.first().copied().context("no kind of target")?;
    let text = render(&Example {
        lang: plan.lang,
        listen: plan.listen,
        admin_listen: plan.admin_listen,
        channels,
        targets: vec![target(kind, &plan.target_settings)?],
    });
    // The configuration comes last: where it is, everything else is too.
    files.push((plan.folder.join(CONFIG_FILE), Zeroizing::new(text.into_bytes())));
    if let Some((path, _)) = files.iter().find(|(path, _)| fs::symlink_metadata(path).is_ok()) {
        bail!(Message::new("init.exists").with("path", path.display()).text(plan.lang));
    }
    for (path, bytes) in &files {
        create(path, bytes, plan.lang)?;
    }
    Ok(())
}

/// A setting's line in the configuration.
fn written(setting: &WrittenSetting) -> anyhow::Result<(String, String)> {
    let name = setting.name;
    Ok(match &setting.value {
        SettingValue::Text(text) => (name.to_owned(), quoted(text)),
        SettingValue::Texts(texts) => {
            let list: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            (name.to_owned(), format!("[{}]", list.join(", ")))
        }
        SettingValue::Flag(flag) => (name.to_owned(), flag.to_string()),
        SettingValue::Number(number) => (name.to_owned(), number.to_string()),
        SettingValue::Key(_) => {
            let file_name = setting.file_name.context("a key has a file name")?;
            (format!("{name}_file"), quoted(&format!("keys/{file_name}")))
        }
        other => bail!("setting `{name}` cannot be written: {other:?}"),
    })
}

/// The target: given settings, and the examples of those that it cannot do without.
fn target(kind: &'static Kind, given: &[(String, String)]) -> anyhow::Result<ExampleTable<'static>> {
    let mut values = Vec::new();
    for setting in kind.settings {
        let value = given.iter().find(|(name, _)| name == setting.name).map(|(_, value)| value.as_str());
        let Some(value) = value.or(setting.is_required.then_some(setting.example)) else { continue };
        let value = toml_value(setting, value).with_context(|| format!("use `{value}` for `{}`", setting.name))?;
        let way = match setting.kind {
            SettingKind::PublicKey | SettingKind::SecretKey => "_file",
            _ => "",
        };
        values.push((format!("{}{way}", setting.name), value));
    }
    Ok(ExampleTable { id: "shop", kind: kind.kind, name: kind.name, settings: kind.settings, values })
}

/// A value of a setting as TOML: lists, tables, flags and numbers as they are, anything else as a text.
fn toml_value(setting: &Setting, value: &str) -> Option<String> {
    let plain = match setting.kind {
        SettingKind::Flag | SettingKind::Number => true,
        SettingKind::Texts | SettingKind::Words(_) | SettingKind::Durations => value.starts_with('['),
        SettingKind::Pairs => value.starts_with('{'),
        _ => false,
    };
    if !plain {
        return Some(quoted(value));
    }
    let parsed: toml::Table = toml::from_str(&format!("value = {value}")).ok()?;
    let is_alone = parsed.len() == 1 && !value.contains(['\n', '#']);
    let is_fitting = match (setting.kind, parsed.get("value")?) {
        (SettingKind::Flag, found) => found.is_bool(),
        (SettingKind::Number, found) => found.is_integer(),
        _ => true,
    };
    (is_alone && is_fitting).then(|| value.to_owned())
}

/// Creates a file that only its owner may read, and its folders; an existing file is an error.
fn create(path: &Path, bytes: &[u8], lang: Lang) -> anyhow::Result<()> {
    let doing = |key| Message::new(key).with("path", path.display()).text(lang);
    let creating = || doing("doing.create");
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(creating)?;
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).with_context(creating)?;
    file.write_all(bytes).with_context(|| doing("doing.write"))
}
