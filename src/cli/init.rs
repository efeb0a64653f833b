//! `init`: writes a new configuration with comments, and throw-away test keys for it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::tree::Tree;
use tollbell_channels::settings::{Setting, SettingKind, SettingValue, Settings};
use tollbell_channels::simulate::WrittenSetting;
use zeroize::Zeroizing;

use super::context::Context;
use super::keep::{self, Existing};
use super::resign_key;
use super::{ExitCode, InitArgs, OK};
use crate::app;
use crate::config::example::{Example, ExampleTable, quoted, render};
use crate::config::{admin, server};
use crate::messages::{Lang, Message};
use crate::targets::{KINDS, Kind};

/// The name of the configuration in its folder.
pub(super) const CONFIG_FILE: &str = "tollbell.toml";

/// Most pairs of a table that is written on one line.
const INLINE_PAIRS_MAX: usize = 5;
/// The file of the operator's token, from the folder of the configuration.
pub(super) const TOKEN_FILE: &str = "keys/admin_token";
/// Mode of what is written: keys and tokens are among it.
pub(super) const OWNER_ONLY: u32 = 0o600;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

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
        values.extend(resigned(plan.folder, platform, &side.settings(), &mut files)?);
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
        token_file: TOKEN_FILE,
        channels,
        targets: vec![target(kind, &plan.target_settings)?],
    });
    files.push((plan.folder.join(TOKEN_FILE), fresh_token()?));
    // The configuration comes last: where it is, everything else is too.
    files.push((plan.folder.join(CONFIG_FILE), Zeroizing::new(text.into_bytes())));
    if let Some((path, _)) = files.iter().find(|(path, _)| fs::symlink_metadata(path).is_ok()) {
        bail!(Message::new("init.exists").with("path", path.display()).text(plan.lang));
    }
    for (path, bytes) in &files {
        let doing = || Message::new("doing.create").with("path", path.display()).text(plan.lang);
        keep::write(path, bytes, OWNER_ONLY, Existing::Refuse).with_context(doing)?;
    }
    Ok(())
}

/// A token that nobody guesses, with a line break for who prints it.
fn fresh_token() -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new([0u8; TOKEN_BYTES]);
    aws_lc_rs::rand::fill(&mut bytes[..]).ok().context("draw a token from the system's random source")?;
    let mut text = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES * 2 + 1));
    for byte in bytes.iter() {
        write!(text, "{byte:02x}")?;
    }
    text.push(b'\n');
    Ok(text)
}

/// The key with which deliveries are signed afresh, and its public half for the shop, where the platform's scheme
/// has one; gives the key's line in the configuration.
fn resigned(
    folder: &Path,
    platform: &'static Platform,
    settings: &Settings,
    files: &mut Vec<(PathBuf, Zeroizing<Vec<u8>>)>,
) -> anyhow::Result<Option<(String, String)>> {
    let channel =
        (platform.build)(settings).map_err(anyhow::Error::new).context("build the channel of the test keys")?;
    let key = resign_key::new_key()?;
    let Ok(resigner) = channel.resigner(&key) else { return Ok(None) };
    let path = app::resign_key_path(Path::new(""), platform.kind);
    files.push((folder.join(&path), key));
    for file in resigner.public_half() {
        let name = resign_key::public_name(platform.kind, file.name);
        files.push((folder.join(&path).with_file_name(name), Zeroizing::new(file.content)));
    }
    Ok(Some((format!("{}_file", tollbell_channels::resign::SETTING), quoted(&path.display().to_string()))))
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
        SettingValue::Tree(tree) => (name.to_owned(), lines(tree, &format!("channel.{name}"))?),
        other => bail!("setting `{name}` cannot be written: {other:?}"),
    })
}

/// The keys of a nested setting, one a line; a long table in it gets its own head, behind all of them.
fn lines(tree: &Tree, head: &str) -> anyhow::Result<String> {
    let Tree::Table(pairs) = tree else { bail!("a nested setting that is no table cannot be written") };
    let is_long = |tree: &Tree| matches!(tree, Tree::Table(pairs) if pairs.len() > INLINE_PAIRS_MAX);
    let mut text = String::new();
    for (key, value) in pairs.iter().filter(|(_, value)| !is_long(value)) {
        text.extend([&toml_key(key), " = ", &inline(value)?, "\n"]);
    }
    for (key, value) in pairs.iter().filter(|(_, value)| is_long(value)) {
        let head = format!("{head}.{}", toml_key(key));
        text.extend(["\n[", &head, "]\n", &lines(value, &head)?]);
    }
    Ok(text)
}

fn inline(tree: &Tree) -> anyhow::Result<String> {
    Ok(match tree {
        Tree::Text(text) => quoted(text),
        Tree::Number(number) => number.to_string(),
        Tree::Flag(flag) => flag.to_string(),
        Tree::List(items) => {
            format!("[{}]", items.iter().map(inline).collect::<anyhow::Result<Vec<_>>>()?.join(", "))
        }
        Tree::Table(pairs) => {
            let pair = |(key, value): &(String, Tree)| Ok(format!("{} = {}", toml_key(key), inline(value)?));
            format!("{{ {} }}", pairs.iter().map(pair).collect::<anyhow::Result<Vec<_>>>()?.join(", "))
        }
        Tree::Secret(_) => bail!("a secret inside a nested setting cannot be written"),
    })
}

fn toml_key(key: &str) -> String {
    let is_bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { key.to_owned() } else { quoted(key) }
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
