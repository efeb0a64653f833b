//! `holds`: what waits for a person, and how a person ends it.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::json;
use tollbell_channels::model::Concern;

use super::context::{Context, visible};
use super::events::{amount_text, to_json};
use super::show::AnyId;
use super::{ExitCode, FAILED, HoldsArgs, HoldsWhat, OK};
use crate::control::{Answer, Command};
use crate::inbox::holds::{HoldEnd, HoldRecord, HoldWhat};
use crate::messages::{Lang, Message};

pub(super) async fn run(context: &mut Context<'_>, args: &HoldsArgs) -> anyhow::Result<ExitCode> {
    match &args.what {
        None => list(context, args).await,
        Some(HoldsWhat::Release(args)) => end(context, &args.id, HoldEnd::Release, args.why.clone()).await,
        Some(HoldsWhat::Discard(args)) => end(context, &args.id, HoldEnd::Discard, Some(args.why.clone())).await,
    }
}

async fn list(context: &mut Context<'_>, args: &HoldsArgs) -> anyhow::Result<ExitCode> {
    let after = match &args.after {
        Some(id) => {
            let wrong = || Message::new("error.not_a_notification").with("id", id);
            Some(id.parse().map_err(|_| context.usage(&wrong()))?)
        }
        None => None,
    };
    let inbox = context.inbox()?;
    let holds = inbox.holds(after, args.limit).await;
    let holds = holds.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    inbox.close().await;
    if holds.is_empty() && !context.is_json {
        context.tell(&Message::new("holds.none"))?;
    }
    for hold in &holds {
        if context.is_json {
            context.say_json(&json!({
                "notification": hold.notification.id.to_string(),
                "channel": hold.notification.channel,
                "received_at": hold.notification.received_at.to_string(),
                "concerns": hold.notification.concerns,
                "events": hold.events.iter().map(to_json).collect::<Vec<_>>(),
                "deliveries": hold.deliveries.iter().map(|delivery| json!({
                    "id": delivery.id.to_string(),
                    "event": delivery.event.to_string(),
                    "target": delivery.target,
                })).collect::<Vec<_>>(),
            }))?;
        } else {
            let text = told(hold, context.lang)?;
            context.say(&text)?;
        }
    }
    if !holds.is_empty() && !context.is_json {
        context.tell(&Message::new("holds.how"))?;
    }
    Ok(OK)
}

fn told(hold: &HoldRecord, lang: Lang) -> anyhow::Result<String> {
    let n = &hold.notification;
    let mut text = String::new();
    let time = n.received_at.strftime("%Y-%m-%d %H:%M:%SZ");
    write!(text, "{}  {time}  {}  {}", n.id, n.channel, visible(&n.platform_kind))?;
    for concern in &n.concerns {
        write!(text, "\n  ! {}", in_words(concern, lang))?;
    }
    for event in &hold.events {
        let order = event.order_no.as_deref().map_or_else(|| "—".to_owned(), visible);
        write!(text, "\n  {}  {}  {order}  {}", event.id, event.kind, amount_text(event))?;
        for concern in event.concerns.iter().filter(|concern| !n.concerns.contains(concern)) {
            write!(text, "\n    ! {}", in_words(concern, lang))?;
        }
    }
    for delivery in &hold.deliveries {
        write!(text, "\n  {} → {}", delivery.id, delivery.target)?;
    }
    Ok(text)
}

/// The concern's text, with what the message said where that is known.
fn in_words(concern: &Concern, lang: Lang) -> String {
    let text = Message::dynamic(format!("concern.{}", concern.word())).text(lang);
    let said = match concern {
        Concern::ForeignPayee { payee } => visible(payee),
        Concern::UnknownValue { field, value } => format!("{} = {}", visible(field), visible(value)),
        Concern::UnreadableAmount { field }
        | Concern::UnreadableText { field }
        | Concern::MissingField { field }
        | Concern::Contradiction { field }
        | Concern::ForeignEnvironment { field }
        | Concern::Ambiguous { field } => visible(field),
        Concern::Conflict { differs, event } => format!("{} ≠ {}", visible(differs), visible(event)),
        Concern::Unconfirmed { number } if !number.is_empty() => visible(number),
        Concern::TooOld | Concern::Unconfirmed { .. } => return text,
    };
    format!("{text} [{said}]")
}

async fn end(context: &mut Context<'_>, id: &str, end: HoldEnd, why: Option<String>) -> anyhow::Result<ExitCode> {
    let what = match AnyId::parse(id) {
        Some(AnyId::Notification(id)) => HoldWhat::Notification(id),
        Some(AnyId::Event(id)) => HoldWhat::Event(id),
        Some(AnyId::Delivery(id)) => HoldWhat::Delivery(id),
        None => return Err(context.usage(&Message::new("error.not_an_id").with("id", id))),
    };
    if end == HoldEnd::Discard && why.as_ref().is_none_or(|why| why.trim().is_empty()) {
        return Err(context.usage(&Message::new("holds.why")));
    }
    let answer = context.execute(Command::EndHold { what, end, why }).await;
    let answer = answer.with_context(|| context.text(&Message::new("doing.end_hold").with("id", id)))?;
    let Answer::HoldEnded(ended) = answer else { bail!(context.text(&Message::new("node.odd_answer"))) };
    let is_nothing = ended.deliveries + ended.holds == 0;
    if context.is_json {
        context.say_json(&serde_json::to_value(ended)?)?;
    } else if is_nothing {
        context.tell(&Message::new("holds.not_held").with("id", id))?;
    } else {
        let done = match end {
            HoldEnd::Release => Message::new("holds.released").with("waiting", ended.waiting),
            HoldEnd::Discard => Message::new("holds.discarded"),
        };
        context.tell(&done.with("count", ended.deliveries))?;
    }
    Ok(if is_nothing { FAILED } else { OK })
}
