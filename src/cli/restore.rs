//! `restore`: puts a backup in the place of the inbox, and says what is missing from then on.

use serde_json::json;

use super::context::Context;
use super::gaps::tell_gap;
use super::{ExitCode, OK, RestoreArgs};
use crate::clock;
use crate::inbox;
use crate::inbox::sqlite::{Overwrite, RestoreError, SqliteInbox};
use crate::messages::Message;

/// Who restores, in the audit.
const BY: &str = "cli";

pub(super) async fn run(context: &mut Context<'_>, args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let inbox = config.inbox.path.clone();
    let overwrite = if args.force { Overwrite::KeepAside } else { Overwrite::Refuse };
    let now = clock::system()();
    let (path, file) = (inbox.clone(), args.file.clone());
    let restored = tokio::task::spawn_blocking(move || SqliteInbox::restore(path, &file, overwrite, BY, now)).await?;
    let restored = match restored {
        Ok(restored) => restored,
        Err(error) => {
            let message = message(&error).with("inbox", inbox.display()).with("file", args.file.display());
            let text = context.text(&message);
            return Err(match error {
                RestoreError::Inbox(cause) if message.key() == "restore.other" => {
                    anyhow::Error::new(cause).context(text)
                }
                _ => anyhow::Error::msg(text),
            });
        }
    };
    if context.is_json {
        let kept = restored.kept.as_ref().map(|path| path.display().to_string());
        context.say_json(&json!({ "inbox": inbox.display().to_string(), "kept": kept, "gap": restored.gap }))?;
        return Ok(OK);
    }
    context.tell(&Message::new("restore.done").with("inbox", inbox.display()).with("file", args.file.display()))?;
    if let Some(kept) = &restored.kept {
        context.tell(&Message::new("restore.kept").with("path", kept.display()))?;
    }
    tell_gap(context, &restored.gap)?;
    context.tell(&Message::new("restore.done_advice"))?;
    Ok(OK)
}

fn message(error: &RestoreError) -> Message {
    match error {
        RestoreError::NotABackup(why) => Message::new("restore.not_a_backup").with("why", why),
        RestoreError::HasLog(log) => Message::new("restore.has_log").with("log", log.display()),
        RestoreError::NotEmpty => Message::new("restore.not_empty"),
        RestoreError::InUse => Message::new("restore.in_use"),
        RestoreError::Inbox(inbox::Error::AlreadyServed) => Message::new("restore.served"),
        RestoreError::Inbox(inbox::Error::NewerSchema { found, known }) => {
            Message::new("restore.newer").with("found", found).with("known", known)
        }
        RestoreError::Inbox(_) => Message::new("restore.other"),
    }
}
