//! `reload`: has the running node take changed files into use, or say what would change.

use anyhow::Context as _;
use serde_json::json;

use super::context::Context;
use super::{ExitCode, FAILED, OK, ReloadArgs, USAGE};
use crate::control::{Answer, Command};
use crate::messages::Message;
use crate::reload::Outcome;

pub(super) async fn run(context: &mut Context<'_>, args: &ReloadArgs) -> anyhow::Result<ExitCode> {
    let doing = context.text(&Message::new("doing.reload"));
    let command = Command::Reload { is_dry: args.dry_run, discard: args.discard.clone() };
    // Files with mistakes are reported here, word for word as the node would.
    let config = context.config()?;
    let report = match context.ask_node(&config, &command).await.context(doing)? {
        Some(Answer::Reloaded(report)) => report,
        Some(_) => return Err(context.odd_answer()),
        None => {
            context.tell(&Message::new("status.none").with("inbox", config.inbox.path.display()))?;
            return Ok(FAILED);
        }
    };
    if context.is_json {
        context.say_json(&json!(report))?;
    } else {
        for line in report.lines(context.lang) {
            context.say(&line)?;
        }
    }
    Ok(match report.outcome {
        Outcome::Refused => FAILED,
        Outcome::Broken => USAGE,
        Outcome::Applied | Outcome::Unchanged | Outcome::WouldApply => OK,
    })
}
