//! `channels --known` and `channels --markdown`: every platform that this program supports, from what each says of
//! itself. `docs/platforms.md` and its Chinese half are the output of the latter, which a test compares.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tollbell_channels::channel::{Answer, Failure};
use tollbell_channels::model::{EventKind, Reply, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform, presets};
use tollbell_channels::settings::{Setting, SettingKind};
use tollbell_channels::simulate::{OtherSide, Story};

use super::context::Context;
use super::listing::{pick, say_table, table};
use super::{ExitCode, OK};
use crate::messages::{Lang, Message};

/// Every platform, as a table or one JSON object a line.
pub(super) fn known(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if context.is_json {
        for platform in PLATFORMS {
            context.say_json(&told(&Known::of(platform, context.lang)?))?;
        }
        return Ok(OK);
    }
    let mut table = table(context, &["kind", "name", "events", "success"]);
    for platform in PLATFORMS {
        let known = Known::of(platform, context.lang)?;
        let events: Vec<&str> = known.events.iter().map(|kind| kind.as_str()).collect();
        let [(_, success), ..] = &known.replies[..] else { continue };
        let name = pick(platform.name, context.lang).to_owned();
        table.add_row([platform.kind.to_owned(), name, events.join("\n"), success.shown()]);
    }
    say_table(context, &mut table)?;
    Ok(OK)
}

/// The page of all platforms.
pub(super) fn markdown(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let lang = context.lang;
    let mut page = format!("# {}\n\n{}\n", say("platforms.title", lang), say("platforms.intro", lang));
    let heads = ["platforms.kind", "platforms.platform", "platforms.events", "platforms.success"];
    let mut rows = Vec::new();
    let mut sections = String::new();
    for platform in PLATFORMS {
        let known = Known::of(platform, lang)?;
        let anchor = format!("[`{0}`](#{0})", platform.kind);
        let events: Vec<String> = known.events.iter().map(|kind| code(kind.as_str())).collect();
        let success = known.replies.first().map(|(_, reply)| reply.markdown(lang)).unwrap_or_default();
        rows.push(vec![anchor, pick(platform.name, lang).to_owned(), events.join(" "), success]);
        sections.push_str(&section(platform, &known, lang));
    }
    page.push('\n');
    page.push_str(&grid(&heads, &rows, lang));
    page.push_str(&sections);
    context.say(page.trim_end())?;
    Ok(OK)
}

/// A platform that is one data file, as a channel that a merchant copies and changes.
pub(super) fn preset(context: &mut Context<'_>, kind: &str) -> anyhow::Result<ExitCode> {
    let Some(preset) = presets::by_kind(kind) else {
        let known = PLATFORMS.iter().map(|platform| platform.kind).filter(|kind| presets::by_kind(kind).is_some());
        return Err(context.unknown_word(kind, known));
    };
    let lang = context.lang;
    let text = preset.as_channel(|text| pick(text, lang));
    if context.is_json {
        context.say_json(&json!({ "kind": kind, "channel": text }))?;
    } else {
        context.say(text.trim_end())?;
    }
    Ok(OK)
}

/// What a platform says of itself, with what its channel does in it.
struct Known {
    platform: &'static Platform,
    lang: Lang,
    events: Vec<EventKind>,
    replies: Vec<(Answer, Shown)>,
}

/// A reply, and whether it repeats something of the request.
struct Shown {
    reply: Reply,
    quotes: bool,
}

impl Known {
    fn of(platform: &'static Platform, lang: Lang) -> anyhow::Result<Self> {
        let side = (platform.simulate)();
        let channel = (platform.build)(&side.settings())
            .map_err(anyhow::Error::new)
            .with_context(|| format!("build a channel of kind `{}`", platform.kind))?;
        let events = side.stories().to_vec();
        let requests = [callback(&*side, &events, QUOTED), callback(&*side, &events, "T2")];
        let replies = Answer::ALL.iter().map(|answer| {
            let [reply, other] = requests.each_ref().map(|request| channel.answer(*answer, request.as_ref()));
            (*answer, Shown { quotes: reply != other, reply })
        });
        Ok(Self { platform, lang, replies: replies.collect(), events })
    }
}

/// The number that a reply repeats on the page.
const QUOTED: &str = "ORDER-1";

fn callback(
    side: &dyn OtherSide,
    events: &[EventKind],
    order_no: &str,
) -> Option<tollbell_channels::model::RawRequest> {
    let kind = *events.first()?;
    // The page says nothing of it.
    let at: Timestamp = "2026-01-01T00:00:00Z".parse().ok()?;
    Some(side.callback(&Story { kind, ..Story::paid(order_no, 1_000, at) }).request)
}

impl Shown {
    /// For a terminal: one line.
    fn shown(&self) -> String {
        let body = self.reply.body.escape_ascii().to_string();
        if body.is_empty() { self.reply.status.to_string() } else { format!("{} {body}", self.reply.status) }
    }

    fn markdown(&self, lang: Lang) -> String {
        let body = String::from_utf8_lossy(&self.reply.body).into_owned();
        let mut text = match self.reply.content_type {
            Some(media) => format!("{} {} {}", self.reply.status, code(media), code(&body)),
            None => format!("{} {}", self.reply.status, say("platforms.empty", lang)),
        };
        if self.quotes {
            add(&mut text, format_args!(" ({})", Message::new("platforms.quotes").with("value", QUOTED).text(lang)));
        }
        text
    }
}

fn answer_key(answer: Answer) -> &'static str {
    match answer {
        Answer::Success => "platforms.answer_success",
        Answer::Failure(Failure::Refused) => "platforms.answer_refused",
        Answer::Failure(Failure::Busy) => "platforms.answer_busy",
        Answer::Failure(Failure::NotYet) => "platforms.answer_not_yet",
    }
}

fn section(platform: &Platform, known: &Known, lang: Lang) -> String {
    let mut text = format!("\n## {}\n\n", platform.kind);
    let line = |text: &mut String, key: &'static str, value: String| {
        add(text, format_args!("* {}{value}\n", say(key, lang)));
    };
    add(&mut text, format_args!("{}\n\n", pick(platform.name, lang)));
    if presets::by_kind(platform.kind).is_some() {
        line(&mut text, "platforms.preset_is", code(&format!("tollbell channels --preset {}", platform.kind)));
    }
    let events: Vec<String> = known.events.iter().map(|kind| code(kind.as_str())).collect();
    line(&mut text, "platforms.events_are", events.join(", "));
    line(&mut text, "platforms.family_is", code(platform.family));
    let ladder: Vec<String> = platform.ladder.iter().copied().map(span).collect();
    line(&mut text, "platforms.ladder_is", ladder.join(" "));
    line(&mut text, "platforms.patience_is", or_none(platform.patience.map(span), "platforms.not_stated", lang));
    line(&mut text, "platforms.window_is", or_none(platform.freshness.map(span), "platforms.no_window", lang));
    let ranges: Vec<String> = platform.source_ranges.iter().map(|range| code(range)).collect();
    let ranges = (!ranges.is_empty()).then(|| ranges.join(", "));
    line(&mut text, "platforms.ranges_are", or_none(ranges, "platforms.none_published", lang));
    let rows: Vec<Vec<String>> = platform.settings.iter().map(|setting| row(setting, lang)).collect();
    let heads = ["platforms.setting", "platforms.needed", "platforms.what", "platforms.example"];
    add(&mut text, format_args!("\n{}", grid(&heads, &rows, lang)));
    let rows: Vec<Vec<String>> = known
        .replies
        .iter()
        .map(|(answer, shown)| vec![say(answer_key(*answer), lang), shown.markdown(lang)])
        .collect();
    add(&mut text, format_args!("\n{}", grid(&["platforms.answer", "platforms.reply"], &rows, lang)));
    if !platform.unconfirmed.is_empty() {
        add(&mut text, format_args!("\n{}\n\n", say("platforms.unconfirmed", lang)));
        for open in platform.unconfirmed {
            add(&mut text, format_args!("* {}\n", pick(*open, lang)));
        }
    }
    text
}

fn row(setting: &Setting, lang: Lang) -> Vec<String> {
    let name = match setting.kind {
        SettingKind::PublicKey | SettingKind::SecretKey => format!("{}_file", setting.name),
        _ => setting.name.to_owned(),
    };
    let needed = if setting.is_required { say("platforms.yes", lang) } else { String::new() };
    let help = pick(setting.help, lang).lines().collect::<Vec<_>>().join(" ");
    let example = if setting.example.is_empty() { String::new() } else { code(setting.example) };
    vec![code(&name), needed, help, example]
}

fn told(known: &Known) -> Value {
    let platform = known.platform;
    let lang = known.lang;
    let seconds = |span: Duration| span.as_secs();
    let replies: serde_json::Map<String, Value> = known
        .replies
        .iter()
        .map(|(answer, shown)| {
            let value = json!({
                "status": shown.reply.status,
                "content_type": shown.reply.content_type,
                "body": String::from_utf8_lossy(&shown.reply.body),
                "quotes_the_request": shown.quotes,
            });
            let word = answer_key(*answer).trim_start_matches("platforms.answer_");
            (word.to_owned(), value)
        })
        .collect();
    let settings: Vec<Value> = platform
        .settings
        .iter()
        .map(|setting| {
            json!({
                "name": setting.name,
                "is_required": setting.is_required,
                "help": pick(setting.help, lang),
                "example": setting.example,
            })
        })
        .collect();
    json!({
        "kind": platform.kind,
        "name": pick(platform.name, lang),
        "family": platform.family,
        "events": known.events.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "settings": settings,
        "replies": replies,
        "ladder_s": platform.ladder.iter().copied().map(seconds).collect::<Vec<_>>(),
        "patience_s": platform.patience.map(seconds),
        "window_s": platform.freshness.map(seconds),
        "source_ranges": platform.source_ranges,
        "unconfirmed": platform.unconfirmed.iter().map(|open| pick(*open, lang)).collect::<Vec<_>>(),
    })
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("a text takes everything");
}

fn say(key: &'static str, lang: Lang) -> String {
    Message::new(key).text(lang)
}

fn or_none(value: Option<String>, none: &'static str, lang: Lang) -> String {
    value.unwrap_or_else(|| say(none, lang))
}

/// As a configuration writes it, in the largest unit that divides it.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{seconds}s"), |(unit, word)| format!("{}{word}", seconds / unit))
}

/// A text in a fixed font, whatever is in it.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    let text = text.replace('\n', " ").replace('|', "\\|");
    format!("{fence}{text}{fence}")
}

/// A table in Markdown.
fn grid(heads: &[&'static str], rows: &[Vec<String>], lang: Lang) -> String {
    let mut text = String::new();
    let mut line = |cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('\n', " ")).collect();
        add(&mut text, format_args!("| {} |\n", cells.join(" | ")));
    };
    line(heads.iter().map(|head| say(head, lang)).collect());
    line(vec!["---".to_owned(); heads.len()]);
    rows.iter().cloned().for_each(line);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_codes_are_written_as_people_read_them() {
        for (seconds, text) in [(0, "0s"), (15, "15s"), (60, "1m"), (90, "90s"), (7_200, "2h"), (86_400, "1d")] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!((code("a|b"), code("a`b")), ("`a\\|b`".to_owned(), "``a`b``".to_owned()));
    }
}
