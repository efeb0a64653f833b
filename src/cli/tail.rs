//! `tail`: the newest notifications, then those that come.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use super::context::{Context, visible};
use super::{ExitCode, OK, TailArgs};
use crate::inbox::{NotificationFilter, NotificationRecord, PAGE_MAX};
use crate::messages::Message;

/// How often the inbox is asked for newer ones.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(context: &mut Context<'_>, args: &TailArgs) -> anyhow::Result<ExitCode> {
    let inbox = context.inbox()?;
    let filter =
        NotificationFilter { channel: args.channel.clone(), limit: args.lines.min(PAGE_MAX), ..Default::default() };
    let doing = context.text(&Message::new("doing.read_inbox"));
    let mut newest = inbox.notifications(filter).await.with_context(|| doing.clone())?;
    newest.reverse();
    let mut last = None;
    loop {
        for notification in &newest {
            print(context, notification)?;
            last = Some(notification.id);
        }
        if args.once {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("wait for an interrupt")?;
                break;
            }
        }
        let filter =
            NotificationFilter { channel: args.channel.clone(), after: last, limit: PAGE_MAX, ..Default::default() };
        newest = inbox.notifications(filter).await.with_context(|| doing.clone())?;
        if last.is_none() {
            newest.reverse();
        }
    }
    inbox.close().await;
    Ok(OK)
}

fn print(context: &mut Context<'_>, n: &NotificationRecord) -> anyhow::Result<()> {
    if context.is_json {
        let value = json!({
            "id": n.id.to_string(),
            "received_at": n.received_at.to_string(),
            "channel": n.channel,
            "platform_id": n.platform_id,
            "platform_kind": n.platform_kind,
            "events": n.events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "held": !n.concerns.is_empty(),
            "repeats": n.repeats,
            "repeated_after_ack": n.repeated_after_ack,
        });
        return context.say_json(&value);
    }
    let kind = visible(&n.platform_kind);
    let mut line = format!("{}  {}  {}  {kind}", n.received_at.strftime("%Y-%m-%d %H:%M:%S%.3fZ"), n.id, n.channel);
    for concern in &n.concerns {
        line.push_str("  !");
        line.push_str(concern.word());
    }
    if n.repeats > 0 {
        line.extend(["  ×", &(n.repeats + 1).to_string()]);
    }
    context.say(&line)
}
