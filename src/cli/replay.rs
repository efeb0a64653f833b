//! `replay`: makes deliveries due again, under the same event ids.

use anyhow::Context as _;
use serde_json::json;

use super::context::Context;
use super::show::AnyId;
use super::{ExitCode, FAILED, OK, ReplayArgs};
use crate::control::{Answer, Command};
use crate::inbox::ReplayWhat;
use crate::messages::Message;

pub(super) async fn run(context: &mut Context<'_>, args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let what = match (&args.id, args.dead) {
        (None, true) => ReplayWhat::Dead(args.limit),
        (Some(id), false) => {
            let wrong = || Message::new("error.not_an_id").with("id", id);
            parse(id).ok_or_else(|| context.usage(&wrong()))?
        }
        _ => return Err(context.usage(&Message::new("replay.id_or_dead"))),
    };
    let command = Command::Replay { what, target: args.target.clone() };
    let answer = context.execute(command).await.with_context(|| context.text(&Message::new("doing.replay")))?;
    let Answer::Replayed { count } = answer else { return Err(context.odd_answer()) };
    if context.is_json {
        context.say_json(&json!({ "replayed": count }))?;
    } else {
        context.tell(&Message::new("replay.done").with("count", count))?;
    }
    Ok(if count == 0 { FAILED } else { OK })
}

fn parse(id: &str) -> Option<ReplayWhat> {
    Some(match AnyId::parse(id)? {
        AnyId::Notification(id) => ReplayWhat::Notification(id),
        AnyId::Event(id) => ReplayWhat::Event(id),
        AnyId::Delivery(id) => ReplayWhat::Delivery(id),
    })
}
