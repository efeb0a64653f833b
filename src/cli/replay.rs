//! `replay`: makes deliveries due again, under the same event ids.

use anyhow::{Context as _, bail};
use serde_json::json;

use super::context::Context;
use super::{ExitCode, FAILED, OK, ReplayArgs};
use crate::clock;
use crate::inbox::{Replay, ReplayWhat};
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let what = match (&args.id, args.dead) {
        (None, true) => ReplayWhat::Dead(args.limit),
        (Some(id), false) => {
            parse(id).with_context(|| context.text(&Message::new("error.not_an_id").with("id", id)))?
        }
        _ => bail!(context.text(&Message::new("replay.id_or_dead"))),
    };
    let inbox = context.inbox()?;
    let at = clock::system()();
    let count = inbox.replay(Replay { what, target: args.target.clone(), at }).await.context("replay")?;
    inbox.close().await;
    if context.is_json {
        context.say_json(&json!({ "replayed": count }))?;
    } else {
        context.tell(&Message::new("replay.done").with("count", count))?;
    }
    Ok(if count == 0 { FAILED } else { OK })
}

fn parse(id: &str) -> Option<ReplayWhat> {
    if let Ok(event) = id.parse() {
        return Some(ReplayWhat::Event(event));
    }
    if let Ok(notification) = id.parse() {
        return Some(ReplayWhat::Notification(notification));
    }
    id.parse().ok().map(ReplayWhat::Delivery)
}
