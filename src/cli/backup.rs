//! `backup`: a consistent copy of the inbox, while the node runs.

use anyhow::Context as _;

use super::context::Context;
use super::{BackupArgs, ExitCode, OK};
use crate::control::Command;
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let doing = context.text(&Message::new("doing.backup"));
    // The node runs in a folder of its own.
    let to = std::path::absolute(&args.to).with_context(|| doing.clone())?;
    context.execute(Command::Backup { to }).await.context(doing)?;
    context.tell(&Message::new("backup.done").with("path", args.to.display()))?;
    Ok(OK)
}
