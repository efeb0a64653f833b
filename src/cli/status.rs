//! `status`: how the running node is, or that none runs.

use serde_json::json;

use super::context::{Context, visible};
use super::gaps::tell_gap;
use super::listing::{say_table, table};
use super::{ExitCode, FAILED, OK};
use crate::control::{Answer, Command, State, Status};
use crate::messages::Message;
use tollbell_channels::model::Timestamp;

pub(super) async fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let status = match context.ask_node(&config, &Command::Status).await? {
        Some(Answer::Status(status)) => status,
        Some(_) => return Err(context.odd_answer()),
        None => {
            if context.is_json {
                context.say_json(&json!({ "running": false }))?;
            } else {
                context.tell(&Message::new("status.none").with("inbox", config.inbox.path.display()))?;
            }
            return Ok(FAILED);
        }
    };
    if context.is_json {
        let mut value = serde_json::to_value(&*status)?;
        value["running"] = true.into();
        context.say_json(&value)?;
    } else {
        tell(context, &status)?;
    }
    Ok(OK)
}

fn tell(context: &mut Context<'_>, status: &Status) -> anyhow::Result<()> {
    let state = match status.state {
        State::Ready => Message::new("status.ready"),
        State::Busy => Message::new("status.busy").with("cause", status.cause.as_deref().unwrap_or_default()),
        State::Draining => Message::new("status.draining"),
    };
    let word = context.text(&state);
    let first = Message::new("status.head")
        .with("version", &status.version)
        .with("pid", status.pid)
        .with("up", uptime(status))
        .with("state", word);
    context.tell(&first)?;
    let addresses: Vec<String> = status.addresses.iter().map(ToString::to_string).collect();
    let socket = status.socket.as_ref().map_or_else(|| "–".to_owned(), |path| path.display().to_string());
    let places = Message::new("status.places")
        .with("addresses", addresses.join(", "))
        .with("admin", status.admin)
        .with("socket", socket);
    context.tell(&places)?;

    let mut channels = table(context, &["channel", "last_callback"]);
    for row in &status.channels {
        let mut name = visible(&row.channel);
        if !row.is_configured {
            let gone = context.text(&Message::new("status.not_configured"));
            name = format!("{name} ({gone})");
        }
        channels.add_row([name, time(row.last_genuine_at)]);
    }
    if !channels.is_empty() {
        say_table(context, &mut channels)?;
    }
    let mut targets = table(context, &["target", "open", "held", "dead", "oldest"]);
    for row in &status.targets {
        let [due, held, given_up] = [row.open, row.held, row.dead].map(|count| count.to_string());
        targets.add_row([visible(&row.target), due, held, given_up, time(row.oldest_at)]);
    }
    if !targets.is_empty() {
        say_table(context, &mut targets)?;
    }
    for gap in &status.open_gaps {
        tell_gap(context, gap)?;
    }
    Ok(())
}

fn uptime(status: &Status) -> String {
    let seconds = status.now.duration_since(status.started_at).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m{}s", seconds % 60),
        (0, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

/// A time for people; a dash for none.
pub(super) fn time(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}
