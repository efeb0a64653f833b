//! `backup`: a consistent copy of the inbox, while the node runs.

use anyhow::Context as _;

use super::context::Context;
use super::{BackupArgs, ExitCode, OK};
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let inbox = context.inbox()?;
    inbox.backup(&args.to).await.with_context(|| context.text(&Message::new("doing.backup")))?;
    context.tell(&Message::new("backup.done").with("path", args.to.display()))?;
    inbox.close().await;
    Ok(OK)
}
