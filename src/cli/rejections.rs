//! `rejections`: why requests were refused, each with its request, and verifying them again.

use std::fmt::{Display, Write as _};
use std::io::IsTerminal as _;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tollbell_channels::channel::{REJECTION_WORDS, Rejection};
use tollbell_channels::model::Timestamp;

use super::context::{Context, visible};
use super::listing::{say_table, table};
use super::refusal;
use super::show::raw_bytes;
use super::{ExitCode, FAILED, OK, RejectionsArgs, RejectionsWhat, ReverifyArgs, ShowArgs};
use crate::clock;
use crate::config::parse_duration;
use crate::control::{Answer, Command, ReverifiedOne, ReverifyWhat};
use crate::inbox::rejections::{RejectedRequest, RejectionFilter, RejectionGroup, RejectionRecord};
use crate::inbox::{self, PAGE_MAX, RejectionId};
use crate::messages::{Lang, Message};
use crate::receive::reverify::Reverified;

/// Bytes of a body that `show` prints.
const BODY_SHOWN: usize = 1024;
/// Bytes of a header's value, path or query that `show` prints.
const VALUE_SHOWN: usize = 512;

pub(super) async fn run(context: &mut Context<'_>, args: &RejectionsArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        None => list(context, args).await,
        Some(RejectionsWhat::Reverify(args)) => reverify(context, args).await,
    }
}

async fn list(context: &mut Context<'_>, args: &RejectionsArgs) -> anyhow::Result<ExitCode> {
    let reason = known_reason(context, args.reason.as_deref())?;
    let since = match &args.since {
        Some(text) => {
            let wrong = || Message::new("error.bad_value").with("name", "--since").with("value", text);
            Some(read_since(text, clock::system()()).ok_or_else(|| context.usage(&wrong()))?)
        }
        None => None,
    };
    let before = args.before.as_deref().map(|id| read_id(context, id)).transpose()?;
    let filter = RejectionFilter {
        channel: args.channel.clone(),
        reason,
        since,
        is_open: false,
        before,
        limit: args.limit.min(PAGE_MAX),
    };
    let inbox = context.inbox()?;
    let doing = context.text(&Message::new("doing.read_inbox"));
    let groups = inbox.rejection_groups(filter.clone()).await.with_context(|| doing.clone())?;
    let records = inbox.rejections(filter).await.context(doing)?;
    inbox.close().await;
    if context.is_json {
        for record in &records {
            context.say_json(&to_json(record))?;
        }
        return Ok(OK);
    }
    if groups.is_empty() {
        context.tell(&Message::new("rejections.none"))?;
        return Ok(OK);
    }
    say_groups(context, &groups)?;
    context.say("")?;
    let mut table = table(context, &["time", "rejection", "channel", "reason", "source", "count", "became"]);
    for record in &records {
        let more =
            if record.more > 0 { format!("{} (+{})", record.count, record.more) } else { record.count.to_string() };
        table.add_row([
            time(record.received_at),
            record.id.to_string(),
            record.channel.clone().unwrap_or_else(|| "—".to_owned()),
            record.rejection.word().to_owned(),
            record.source.map(|source| source.to_string()).unwrap_or_default(),
            more,
            record.notification.map(|id| id.to_string()).unwrap_or_default(),
        ]);
    }
    say_table(context, &mut table)?;
    context.tell(&Message::new("rejections.how"))?;
    Ok(OK)
}

fn say_groups(context: &mut Context<'_>, groups: &[RejectionGroup]) -> anyhow::Result<()> {
    let mut table = table(context, &["count", "kept", "channel", "reason", "first", "last"]);
    for group in groups {
        table.add_row([
            group.count.to_string(),
            group.kept.to_string(),
            group.channel.clone().unwrap_or_else(|| "—".to_owned()),
            group.reason.clone(),
            time(group.first_at),
            time(group.last_at),
        ]);
    }
    say_table(context, &mut table)
}

/// `show rej_…`.
pub(super) async fn show(context: &mut Context<'_>, id: RejectionId, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let inbox = context.inbox()?;
    let record = match inbox.rejection(id).await {
        Ok(record) => record,
        Err(inbox::Error::NotFound) => bail!(context.text(&Message::new("error.not_found").with("id", &args.id))),
        Err(other) => return Err(other).with_context(|| context.text(&Message::new("doing.read_inbox"))),
    };
    inbox.close().await;
    if args.raw {
        let kept = record.request.as_ref().with_context(|| context.text(&Message::new("show.body_gone")))?;
        let bytes = raw_bytes(&kept.request);
        // A stranger chose these bytes: a program gets them as they are, a terminal does not.
        if std::io::stdout().is_terminal() {
            let text: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(visible).collect();
            context.say(&text.join("\n"))?;
        } else {
            context.out.write_all(&bytes).context("print")?;
        }
        return Ok(OK);
    }
    if context.is_json {
        context.say_json(&to_json(&record))?;
    } else {
        let text = told(&record, context.lang)?;
        context.say(text.trim_end())?;
    }
    Ok(OK)
}

fn told(record: &RejectionRecord, lang: Lang) -> anyhow::Result<String> {
    let label = |word: &str| Message::dynamic(format!("show.{word}")).text(lang);
    let mut text = String::new();
    let w = &mut text;
    writeln!(w, "{}  {}", label("rejection"), record.id)?;
    writeln!(w, "  {}: {}", label("channel"), record.channel.as_deref().unwrap_or("—"))?;
    writeln!(w, "  {}: {} — {}", label("reason"), record.rejection.word(), refusal::reason(&record.rejection, lang))?;
    writeln!(w, "    {}", reason_text(&record.rejection, lang))?;
    writeln!(w, "  {}: {}", label("received"), record.received_at)?;
    let source = record.source.map_or_else(|| "—".to_owned(), |source| source.to_string());
    writeln!(w, "  {}: {source}", label("source"))?;
    writeln!(w, "  {}: {} ({}: {})", label("times"), record.count, label("last"), record.last_at)?;
    if record.more > 0 {
        writeln!(w, "  {}: {}", label("more"), record.more)?;
    }
    if let Some(notification) = record.notification {
        writeln!(w, "  {}: {notification}", label("became"))?;
    }
    if let Some(kept) = &record.request {
        tell_request(w, kept, lang)?;
    }
    writeln!(w, "  {}: {}", label("explained_by"), explained_by(record.id))?;
    Ok(text)
}

/// The command that finds out why.
pub(super) fn explained_by(id: impl Display) -> String {
    format!("tollbell explain {id}")
}

fn tell_request(w: &mut String, kept: &RejectedRequest, lang: Lang) -> anyhow::Result<()> {
    let label = |word: &str| Message::dynamic(format!("show.{word}")).text(lang);
    let request = &kept.request;
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let line = format!("{} {}{query}", request.method, request.path);
    writeln!(w, "  {}: {}", label("body"), head(line.as_bytes(), VALUE_SHOWN))?;
    for (name, value) in &request.headers {
        writeln!(w, "    {name}: {}", head(value.as_bytes(), VALUE_SHOWN))?;
    }
    let whole = kept.body_bytes.map_or_else(|| label("unread"), |bytes| format!("{bytes} B"));
    writeln!(w, "    {}: {whole}", label("body_bytes"))?;
    if !request.body.is_empty() {
        writeln!(w, "    {}", head(&request.body, BODY_SHOWN))?;
    }
    if kept.is_redacted {
        writeln!(w, "  {}", label("redacted"))?;
    }
    Ok(())
}

/// The first bytes as text that cannot drive a terminal.
fn head(bytes: &[u8], most: usize) -> String {
    let mut text = visible(&String::from_utf8_lossy(&bytes[..bytes.len().min(most)]));
    if bytes.len() > most {
        text.push('…');
    }
    text
}

fn reason_text(rejection: &Rejection, lang: Lang) -> String {
    Message::dynamic(format!("rejection.{}", rejection.word())).text(lang)
}

fn to_json(record: &RejectionRecord) -> Value {
    let request = record.request.as_ref().map(|kept| {
        let request = &kept.request;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers: Vec<[String; 2]> =
            request.headers.iter().map(|(name, value)| [name.as_str().to_owned(), text(value.as_bytes())]).collect();
        json!({
            "method": request.method.as_str(),
            "path": request.path,
            "query": request.query,
            "headers": headers,
            "body": text(&request.body[..request.body.len().min(BODY_SHOWN)]),
            "body_bytes": kept.body_bytes,
            "redacted": kept.is_redacted,
        })
    });
    json!({
        "id": record.id.to_string(),
        "channel": record.channel,
        "reason": record.rejection.word(),
        "rejection": record.rejection,
        "source": record.source.map(|source| source.to_string()),
        "received_at": record.received_at.to_string(),
        "last_at": record.last_at.to_string(),
        "count": record.count,
        "more": record.more,
        "notification": record.notification.map(|id| id.to_string()),
        "reverified_at": record.reverified_at.map(|at| at.to_string()),
        "request": request,
        "explain": explained_by(record.id),
    })
}

async fn reverify(context: &mut Context<'_>, args: &ReverifyArgs) -> anyhow::Result<ExitCode> {
    let is_filtered = args.channel.is_some() || args.reason.is_some();
    let reason = known_reason(context, args.reason.as_deref())?;
    let mut what = match (&args.id, is_filtered || args.all) {
        (Some(id), false) => ReverifyWhat::One(read_id(context, id)?),
        (None, true) => ReverifyWhat::All { channel: args.channel.clone(), reason, before: None },
        _ => return Err(context.usage(&Message::new("rejections.id_or_all"))),
    };
    let (mut genuine, mut refused) = (0_u64, 0_u64);
    loop {
        let answer = context.execute(Command::Reverify { what: what.clone() }).await;
        let answer = answer.with_context(|| context.text(&Message::new("doing.reverify")))?;
        let Answer::Reverified { found, next } = answer else { bail!(context.text(&Message::new("node.odd_answer"))) };
        for one in &found {
            if one.found.is_genuine() {
                genuine += 1;
            } else {
                refused += 1;
            }
            say_found(context, one)?;
        }
        match (&mut what, next) {
            (ReverifyWhat::All { before, .. }, Some(next)) => *before = Some(next),
            _ => break,
        }
    }
    if !context.is_json {
        context.tell(&Message::new("rejections.done").with("genuine", genuine).with("refused", refused))?;
    }
    Ok(if genuine == 0 { FAILED } else { OK })
}

fn say_found(context: &mut Context<'_>, one: &ReverifiedOne) -> anyhow::Result<()> {
    if context.is_json {
        return context.say_json(&serde_json::to_value(one)?);
    }
    let message = match &one.found {
        Reverified::Stored { notification, events, is_held: false } => {
            Message::new("rejections.stored").with("notification", notification).with("events", events)
        }
        Reverified::Stored { notification, is_held: true, .. } => {
            Message::new("rejections.held").with("notification", notification)
        }
        Reverified::Repeated { first } => Message::new("rejections.repeated").with("notification", first),
        Reverified::Before { notification } => Message::new("rejections.before").with("notification", notification),
        Reverified::Refused { rejection, is_redacted } => {
            let message = if *is_redacted {
                Message::new("rejections.refused_redacted")
            } else {
                Message::new("rejections.refused")
            };
            let cure = reason_text(rejection, context.lang);
            message.with("reason", refusal::reason(rejection, context.lang)).with("cure", cure)
        }
        Reverified::Incomplete => Message::new("rejections.incomplete"),
    };
    let text = format!("{}  {}", one.id, context.text(&message));
    context.say(&text)
}

fn read_id(context: &Context<'_>, id: &str) -> anyhow::Result<RejectionId> {
    id.parse().map_err(|_| context.usage(&Message::new("error.not_a_rejection").with("id", id)))
}

fn known_reason(context: &Context<'_>, word: Option<&str>) -> anyhow::Result<Option<String>> {
    match word {
        Some(word) if !REJECTION_WORDS.contains(&word) => {
            Err(context.unknown_word(word, REJECTION_WORDS.iter().copied()))
        }
        word => Ok(word.map(str::to_owned)),
    }
}

/// A time, or how long ago: `2026-11-21T08:00:00Z`, `90m`.
pub(super) fn read_since(text: &str, now: Timestamp) -> Option<Timestamp> {
    match parse_duration(text) {
        Some(ago) => now.checked_sub(ago).ok(),
        None => text.parse().ok(),
    }
}

fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        assert_eq!(read_since("90m", now), Some("2026-11-21T06:30:00Z".parse().unwrap()));
        assert_eq!(read_since("2026-11-20T00:00:00Z", now), Some("2026-11-20T00:00:00Z".parse().unwrap()));
        for bad in ["", "yesterday", "-1h", "2026-11-20"] {
            assert_eq!(read_since(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn bytes_of_strangers_cannot_drive_a_terminal() {
        let shown = head(b"\x1b]0;title\x07\x1b[2Ja\r\nb\xe2\x80\xae", 64);
        assert!(!shown.chars().any(|c| c.is_control() || c == '\u{202e}'), "{shown:?}");
        assert!(shown.contains("title"), "{shown}");
        assert!(head(&[b'a'; 100], 10).ends_with('…'));
    }
}
