//! `inbox`: how large the inbox is, and what an event takes.

use anyhow::Context as _;
use serde_json::json;

use super::context::Context;
use super::{ExitCode, OK};
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = context.config()?;
    let inbox = context.inbox()?;
    let size = inbox.size().await;
    inbox.close().await;
    let size = size.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    let path = config.inbox.path.display();
    if context.is_json {
        context.say_json(&json!({
            "path": path.to_string(),
            "bytes": size.bytes,
            "free_bytes": size.free_bytes,
            "wal_bytes": size.wal_bytes,
            "notifications": size.notifications,
            "events": size.events,
            "bytes_per_event": size.bytes_per_event(),
        }))?;
        return Ok(OK);
    }
    let message = Message::new("inbox.size")
        .with("path", path)
        .with("bytes", size.bytes)
        .with("free", size.free_bytes)
        .with("wal", size.wal_bytes);
    context.tell(&message)?;
    let each = size.bytes_per_event().map_or_else(|| "–".to_owned(), |bytes| bytes.to_string());
    let message = Message::new("inbox.events")
        .with("notifications", size.notifications)
        .with("events", size.events)
        .with("each", each);
    context.tell(&message)?;
    Ok(OK)
}
