//! `init`: writes a new configuration with comments, and throw-away test keys for it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::{SettingKind, SettingValue};
use tollbell_channels::simulate::WrittenSetting;

use super::context::Context;
use super::{ExitCode, InitArgs, OK, sample};
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

/// What was written.
pub(super) struct Written {
    /// The platforms' public keys.
    pub(super) public_keys: Vec<PathBuf>,
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
            chosen
                .push(platform.with_context(|| context.text(&Message::new("error.unknown_word").with("word", word)))?);
        }
        chosen
    };
    let mut target_settings = Vec::new();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            bail!(context.text(&Message::new("init.not_a_pair").with("pair", pair)));
        };
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
    context.tell(&Message::new("init.done").with("path", args.folder.join(CONFIG_FILE).display()))?;
    Ok(OK)
}

/// Writes the configuration and the keys. Overwrites nothing.
pub(super) fn write(plan: &Plan<'_>) -> anyhow::Result<Written> {
    let config_path = plan.folder.join(CONFIG_FILE);
    if config_path.exists() {
        bail!(Message::new("init.exists").with("path", config_path.display()).text(plan.lang));
    }
    let keys = plan.folder.join("keys");
    let simulator = keys.join("simulator");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&simulator).context("make the folder for keys")?;
    let mut public_keys = Vec::new();
    let mut channels = Vec::new();
    for platform in &plan.platforms {
        let side = (platform.simulate)();
        let mut values = Vec::new();
        for setting in side.written_settings() {
            values.push(written(&keys, platform, &setting, &mut public_keys)?);
        }
        create(&sample::keys_path(plan.folder, platform.kind), &side.export())?;
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
        targets: vec![target(kind, &plan.target_settings, plan.lang)?],
    });
    create(&config_path, text.as_bytes())?;
    Ok(Written { public_keys })
}

/// Writes a key file where a setting has one, and gives the line of the configuration.
fn written(
    keys: &Path,
    platform: &Platform,
    setting: &WrittenSetting,
    public_keys: &mut Vec<PathBuf>,
) -> anyhow::Result<(String, String)> {
    let name = setting.name;
    Ok(match &setting.value {
        SettingValue::Text(text) => (name.to_owned(), quoted(text)),
        SettingValue::Texts(texts) => {
            let list: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
            (name.to_owned(), format!("[{}]", list.join(", ")))
        }
        SettingValue::Flag(flag) => (name.to_owned(), flag.to_string()),
        SettingValue::Number(number) => (name.to_owned(), number.to_string()),
        SettingValue::Key(bytes) => {
            let file_name = setting.file_name.context("a key has a file name")?;
            create(&keys.join(file_name), bytes)?;
            let is_public = platform.settings.iter().any(|s| s.name == name && s.kind == SettingKind::PublicKey);
            if is_public {
                public_keys.push(keys.join(file_name));
            }
            (format!("{name}_file"), quoted(&format!("keys/{file_name}")))
        }
        other => bail!("setting `{name}` cannot be written: {other:?}"),
    })
}

/// The target: given settings, and the examples of those that it cannot do without.
fn target(kind: &'static Kind, given: &[(String, String)], lang: Lang) -> anyhow::Result<ExampleTable<'static>> {
    for (name, _) in given {
        if !kind.settings.iter().any(|setting| setting.name == name) {
            bail!(Message::new("error.unknown_word").with("word", name).text(lang));
        }
    }
    let mut values = Vec::new();
    for setting in kind.settings {
        let value = given.iter().find(|(name, _)| name == setting.name).map(|(_, value)| value.as_str());
        let Some(value) = value.or(setting.is_required.then_some(setting.example)) else { continue };
        let text = match setting.kind {
            SettingKind::Flag | SettingKind::Number => value.to_owned(),
            _ => quoted(value),
        };
        values.push((setting.name.to_owned(), text));
    }
    Ok(ExampleTable { id: "shop", kind: kind.kind, name: kind.name, settings: kind.settings, values })
}

/// Creates a file that only its owner may read; an existing one is an error.
fn create(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.with_context(|| format!("create {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("write {}", path.display()))
}
