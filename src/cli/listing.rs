//! `channels` and `targets`: what is configured, and what this program knows.

use comfy_table::Table;
use serde_json::json;

use super::context::Context;
use super::{ExitCode, OK};
use crate::messages::{Lang, Message};
use crate::targets::KINDS;
use tollbell_channels::platforms::PLATFORMS;
use tollbell_channels::settings::Text;

pub(super) fn channels(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let lang = context.lang;
    if context.is_json {
        for channel in &config.channels {
            let keys: Vec<_> = channel
                .channel
                .keys()
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
    for channel in &config.channels {
        let keys: Vec<String> = channel
            .channel
            .keys()
            .into_iter()
            .map(|key| format!("{} {} {}", key.label, key.algorithm, short(key.fingerprint.as_deref())))
            .collect();
        let paths: Vec<String> =
            std::iter::once(format!("/notify/{}", channel.id)).chain(channel.paths.iter().cloned()).collect();
        table.add_row([
            channel.id.to_string(),
            format!("{} ({})", channel.platform.kind, pick(channel.platform.name, lang)),
            channel.environment.to_string(),
            channel.merchant.to_string(),
            paths.join("\n"),
            keys.join("\n"),
        ]);
    }
    let text = table.trim_fmt();
    context.say(&text)?;
    let known: Vec<String> = PLATFORMS.iter().map(|p| format!("{} ({})", p.kind, pick(p.name, lang))).collect();
    context.tell(&Message::new("listing.known").with("kinds", known.join(", ")))?;
    Ok(OK)
}

pub(super) fn targets(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let lang = context.lang;
    if context.is_json {
        for target in &config.targets {
            context.say_json(
                &json!({ "id": &*target.id, "kind": target.kind, "accept_sandbox": target.accept_sandbox }),
            )?;
        }
        return Ok(OK);
    }
    let mut table = table(context, &["target", "kind", "settings"]);
    for target in &config.targets {
        let known = crate::targets::by_kind(&target.kind);
        let name = known.map_or_else(String::new, |kind| format!(" ({})", pick(kind.name, lang)));
        let settings: Vec<String> = known
            .map(|kind| kind.settings.iter().filter(|s| s.is_required))
            .into_iter()
            .flatten()
            .filter_map(|setting| Some(format!("{}={}", setting.name, target.settings.text(setting.name)?)))
            .collect();
        table.add_row([target.id.to_string(), format!("{}{name}", target.kind), settings.join("\n")]);
    }
    let text = table.trim_fmt();
    context.say(&text)?;
    let known: Vec<String> = KINDS.iter().map(|k| format!("{} ({})", k.kind, pick(k.name, lang))).collect();
    context.tell(&Message::new("listing.known").with("kinds", known.join(", ")))?;
    Ok(OK)
}

fn table(context: &Context<'_>, heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header(heads.iter().map(|head| context.text(&Message::dynamic(format!("column.{head}")))));
    table
}

/// The text in a language.
pub(super) fn pick(text: Text, lang: Lang) -> &'static str {
    match lang {
        Lang::En => text.en,
        Lang::Zh => text.zh,
    }
}

/// The first characters of a fingerprint: enough for a person to compare.
fn short(fingerprint: Option<&str>) -> &str {
    fingerprint.map_or("", |text| text.get(..16).unwrap_or(text))
}
