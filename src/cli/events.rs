//! `events`: the events, newest first.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::context::{Context, visible};
use super::listing::{say_table, table};
use super::{EventsArgs, ExitCode, OK};
use crate::inbox::{self, AmountBasis, DeliveryState, EventFilter, EventRecord, Inbox};
use crate::messages::Message;
use tollbell_channels::model::EventKind;

pub(super) async fn run(context: &mut Context<'_>, args: &EventsArgs) -> anyhow::Result<ExitCode> {
    let kind = match &args.kind {
        Some(word) => {
            let known = || EventKind::ALL.iter().map(|kind| kind.as_str());
            Some(EventKind::parse(word).ok_or_else(|| context.unknown_word(word, known()))?)
        }
        None => None,
    };
    let state = match &args.state {
        Some(word) => {
            let state = DeliveryState::ALL.iter().copied().find(|state| state.as_str() == word);
            let known = || DeliveryState::ALL.iter().map(|state| state.as_str());
            Some(state.ok_or_else(|| context.unknown_word(word, known()))?)
        }
        None => None,
    };
    let before = match &args.before {
        Some(id) => {
            let wrong = || Message::new("error.not_an_event").with("id", id);
            Some(id.parse().map_err(|_| context.usage(&wrong()))?)
        }
        None => None,
    };
    let inbox = context.inbox()?;
    let filter = EventFilter {
        order_no: args.order_no.clone(),
        channel: args.channel.clone(),
        kind,
        state,
        is_unrouted: args.unrouted,
        before,
        limit: args.limit,
    };
    let doing = context.text(&Message::new("doing.read_inbox"));
    let events = inbox.events(filter).await.with_context(|| doing.clone())?;
    if context.is_json {
        for event in &events {
            let value = to_json(event);
            context.say_json(&value)?;
        }
    } else {
        let mut table = table(context, &["time", "event", "kind", "channel", "order", "amount", "states"]);
        for event in &events {
            let states = states_of(&*inbox, event).await.with_context(|| doing.clone())?;
            table.add_row([
                event.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
                event.id.to_string(),
                event.kind.to_string(),
                event.channel.clone(),
                event.order_no.as_deref().map(visible).unwrap_or_default(),
                amount_text(event),
                states,
            ]);
        }
        say_table(context, &mut table)?;
    }
    inbox.close().await;
    Ok(OK)
}

/// The amount as people read it: `10.00 CNY`, or `? (10.00 in all)` when only a total is known.
pub(super) fn amount_text(event: &EventRecord) -> String {
    match (event.amount, event.total) {
        (Some(money), _) => format!("{} {}", money.to_text(), money.currency),
        (None, Some(total)) => format!("? (Σ {} {})", total.to_text(), total.currency),
        (None, None) => String::new(),
    }
}

async fn states_of(inbox: &dyn Inbox, event: &EventRecord) -> Result<String, inbox::Error> {
    let deliveries = inbox.deliveries_of(event.notification).await?;
    let of_event = deliveries.iter().filter(|delivery| delivery.is_raw || delivery.event == event.id);
    let texts: Vec<String> = of_event.map(|d| format!("{}={}", d.target, d.state.as_str())).collect();
    Ok(texts.join(" "))
}

/// An event as a line of JSON.
pub(super) fn to_json(event: &EventRecord) -> Value {
    let money = |m: &tollbell_channels::model::Money| json!({ "minor": m.minor, "currency": m.currency.code(), "text": m.to_text() });
    json!({
        "id": event.id.to_string(),
        "type": event.kind.as_str(),
        "notification": event.notification.to_string(),
        "created_at": event.created_at.to_string(),
        "data": {
            "merchant": event.merchant,
            "channel": event.channel,
            "environment": event.environment.as_str(),
            "order_no": event.order_no,
            "platform_no": event.platform_no,
            "amount": event.amount.as_ref().map(money),
            "amount_basis": basis(event.amount_basis),
            "total": event.total.as_ref().map(money),
            "occurred_at": event.occurred_at.map(|at| at.to_string()),
        },
        "concerns": event.concerns,
    })
}

fn basis(basis: AmountBasis) -> &'static str {
    match basis {
        AmountBasis::Stated => "stated",
        AmountBasis::Difference => "difference",
        AmountBasis::Unknown => "unknown",
        AmountBasis::None => "none",
    }
}
