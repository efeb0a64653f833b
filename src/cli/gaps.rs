//! `gaps`: the times from which something may be missing, and what to do about them.

use std::path::Path;

use anyhow::Context as _;

use super::context::{Context, visible};
use super::status::time;
use super::{ExitCode, GapsArgs, OK};
use crate::app;
use crate::config::{Config, Problem};
use crate::control::{Answer, Command, ControlError};
use crate::inbox::Gap;
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &GapsArgs) -> anyhow::Result<ExitCode> {
    match (&args.action, args.id, &args.why) {
        (None, None, None) => list(context).await,
        (Some(_), Some(id), Some(why)) => close(context, id, why).await,
        _ => Err(context.usage(&Message::new("gaps.how_to_close"))),
    }
}

async fn list(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let doing = context.text(&Message::new("doing.read_inbox"));
    let Answer::Gaps(gaps) = context.execute(Command::Gaps).await.context(doing)? else {
        return Err(context.odd_answer());
    };
    for gap in &gaps {
        if context.is_json {
            let value = serde_json::to_value(gap)?;
            context.say_json(&value)?;
        } else {
            tell_gap(context, gap)?;
        }
    }
    if gaps.is_empty() && !context.is_json {
        context.tell(&Message::new("gaps.none"))?;
    }
    if let Some(open) = gaps.iter().find(|gap| gap.is_open())
        && !context.is_json
    {
        context.tell(&Message::new("gaps.advice").with("id", open.id))?;
    }
    Ok(OK)
}

async fn close(context: &mut Context<'_>, id: i64, why: &str) -> anyhow::Result<ExitCode> {
    let doing = context.text(&Message::new("doing.close_gap").with("id", id));
    let answer = match context.execute(Command::CloseGap { id, why: why.to_owned() }).await {
        Ok(answer) => answer,
        Err(error) if matches!(error.downcast_ref(), Some(ControlError::NotFound)) => {
            anyhow::bail!(context.text(&Message::new("gaps.unknown").with("id", id)));
        }
        Err(error) => return Err(error.context(doing)),
    };
    let Answer::GapClosed(gap) = answer else { return Err(context.odd_answer()) };
    if context.is_json {
        let value = serde_json::to_value(&gap)?;
        context.say_json(&value)?;
    } else {
        tell_gap(context, &gap)?;
    }
    Ok(OK)
}

/// Warnings of open gaps, for `check`; a node logs them when it starts. An inbox that cannot be read is somebody
/// else's to report.
pub(super) fn warnings(config: &Config, file: &Path) -> Vec<Problem> {
    let gaps = app::open_gaps(config).unwrap_or_default();
    gaps.iter().map(|gap| Problem::warning(file, "inbox", message(gap))).collect()
}

/// A gap in one line.
pub(super) fn tell_gap(context: &mut Context<'_>, gap: &Gap) -> anyhow::Result<()> {
    let message = message(gap);
    context.tell(&message)
}

/// The text of a gap.
pub(super) fn message(gap: &Gap) -> Message {
    let key = match (&gap.closed, gap.from) {
        (None, Some(_)) => "gaps.open",
        (None, None) => "gaps.open_from_the_beginning",
        (Some(_), _) => "gaps.closed",
    };
    let message =
        Message::dynamic(key.to_owned()).with("id", gap.id).with("from", time(gap.from)).with("to", time(Some(gap.to)));
    match &gap.closed {
        Some(closed) => {
            message.with("at", time(Some(closed.at))).with("by", visible(&closed.by)).with("why", visible(&closed.why))
        }
        None => message,
    }
}
