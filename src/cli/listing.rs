//! `channels` and `targets`: what is configured, and what this program knows.

use comfy_table::Table;
use serde_json::{Value, json};

use super::context::Context;
use super::{ExitCode, OK};
use crate::config::{Config, TargetConfig};
use crate::messages::{Lang, Message};
use crate::targets::{KINDS, by_kind};
use crate::{app, clock, keys};
use tollbell_channels::channel::KeyNote;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::Text;

pub(super) async fn channels(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let notes = key_notes(&config).await;
    let lang = context.lang;
    if context.is_json {
        for (channel, notes) in config.channels.iter().zip(notes) {
            let keys: Vec<_> = notes
                .into_iter()
                .map(|key| json!({ "label": key.label, "algorithm": key.algorithm, "fingerprint": key.fingerprint, "not_after": key.not_after.map(|at| at.to_string()) }))
                .collect();
            let value = json!({
                "id": &*channel.id,
                "kind": channel.platform.kind,
                "environment": channel.environment.as_str(),
                "merchant": &*channel.merchant,
                "paths": channel.paths,
                "keys": keys,
            });
            context.say_json(&value)?;
        }
        return Ok(OK);
    }
    let mut table = table(context, &["channel", "kind", "environment", "merchant", "paths", "keys"]);
    for (channel, notes) in config.channels.iter().zip(notes) {
        let keys: Vec<String> = notes.iter().map(|key| key_line(context, key)).collect();
        let paths: Vec<String> =
            std::iter::once(format!("/notify/{}", channel.id)).chain(channel.paths.iter().cloned()).collect();
        table.add_row([
            channel.id.to_string(),
            named(channel.platform.kind, channel.platform.name, lang),
            channel.environment.to_string(),
            channel.merchant.to_string(),
            paths.join("\n"),
            keys.join("\n"),
        ]);
    }
    say_table(context, &mut table)?;
    let known: Vec<String> = PLATFORMS.iter().map(|p| named(p.kind, p.name, lang)).collect();
    context.tell(&Message::new("listing.known").with("kinds", known.join("; ")))?;
    Ok(OK)
}

/// What is known about each channel's keys, with those that its platform gave to a node with this inbox. An inbox that is
/// not there yet is not made for it, and one that cannot be read leaves the configured ones.
pub(super) async fn key_notes(config: &Config) -> Vec<Vec<KeyNote>> {
    let asks = config.channels.iter().any(|channel| channel.channel.key_source().is_some());
    let inbox = (asks && config.inbox.path.exists()).then(|| app::open_inbox(config).ok()).flatten();
    let now = clock::system()();
    let mut notes = Vec::new();
    for channel in &config.channels {
        let kept = match &inbox {
            Some(inbox) => keys::with_kept(&channel.id, &channel.channel, &**inbox, now).await,
            None => None,
        };
        notes.push(kept.map_or_else(|| channel.channel.keys(), |(channel, _)| channel.keys()));
    }
    notes
}

/// A key on one line, with the day on which it ends.
fn key_line(context: &Context<'_>, key: &KeyNote) -> String {
    let line = format!("{} {} {}", key.label, key.algorithm, short(key.fingerprint.as_deref()));
    match key.not_after {
        None => line,
        Some(end) => {
            let date = end.to_string().chars().take_while(|c| *c != 'T').collect::<String>();
            format!("{line} {}", context.text(&Message::new("listing.until").with("date", date)))
        }
    }
}

pub(super) fn targets(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let lang = context.lang;
    if context.is_json {
        for target in &config.targets {
            let settings: serde_json::Map<String, Value> =
                required(target).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            let value = json!({
                "id": &*target.id,
                "kind": target.kind,
                "accept_sandbox": target.accept_sandbox, "signature": target.signature.as_str(),
                "settings": settings,
            });
            context.say_json(&value)?;
        }
        return Ok(OK);
    }
    let mut table = table(context, &["target", "kind", "settings"]);
    for target in &config.targets {
        let kind = by_kind(&target.kind).map_or_else(|| target.kind.clone(), |k| named(k.kind, k.name, lang));
        let settings: Vec<String> =
            required(target).into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        table.add_row([target.id.to_string(), kind, settings.join("\n")]);
    }
    say_table(context, &mut table)?;
    let known: Vec<String> = KINDS.iter().map(|k| named(k.kind, k.name, lang)).collect();
    context.tell(&Message::new("listing.known").with("kinds", known.join("; ")))?;
    Ok(OK)
}

/// The settings that a target of this kind cannot do without: where its deliveries go.
fn required(target: &TargetConfig) -> Vec<(&'static str, String)> {
    let settings = by_kind(&target.kind).map_or(&[][..], |kind| kind.settings);
    let required = settings.iter().filter(|setting| setting.is_required);
    required.filter_map(|setting| Some((setting.name, target.settings.shown(setting.name)?))).collect()
}

/// A word of the configuration and what it stands for.
pub(super) fn named(kind: &str, name: Text, lang: Lang) -> String {
    format!("{kind} – {}", pick(name, lang))
}

/// Blanks between two columns.
const COLUMN_GAP: u16 = 2;

/// A table without lines, with heads from the catalogue.
pub(super) fn table(context: &Context<'_>, heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(heads.iter().map(|head| context.text(&Message::dynamic(format!("column.{head}")))));
    table
}

/// Prints a table, from the first column of the terminal.
pub(super) fn say_table(context: &mut Context<'_>, table: &mut Table) -> anyhow::Result<()> {
    for column in table.column_iter_mut() {
        column.set_padding((0, COLUMN_GAP));
    }
    context.say(&table.trim_fmt())
}

/// The text in a language.
pub(super) fn pick(text: Text, lang: Lang) -> &'static str {
    match lang {
        Lang::En => text.en,
        Lang::Zh => text.zh,
    }
}

/// The first characters of a fingerprint: enough for a person to compare.
pub(super) fn short(fingerprint: Option<&str>) -> &str {
    fingerprint.map_or("", |text| text.get(..16).unwrap_or(text))
}
