//! `show`: one notification, event or delivery with its whole story, or the raw request.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::context::{Context, visible};
use super::events::{amount_text, to_json};
use super::{ExitCode, OK, ShowArgs, rejections};
use crate::inbox::{
    self, AttemptRecord, DeliveryId, DeliveryRecord, EventId, EventRecord, Inbox, NotificationId, NotificationRecord,
};
use crate::messages::Message;
use tollbell_channels::model::RawRequest;

pub(super) async fn run(context: &mut Context<'_>, args: &ShowArgs) -> anyhow::Result<ExitCode> {
    if let Ok(id) = args.id.parse() {
        return rejections::show(context, id, args).await;
    }
    let wrong = || Message::new("error.not_an_id").with("id", &args.id);
    let id = AnyId::parse(&args.id).ok_or_else(|| context.usage(&wrong()))?;
    let inbox = context.inbox()?;
    let notification = match read_notification(&*inbox, id).await {
        Ok(notification) => notification,
        Err(inbox::Error::NotFound) => bail!(context.text(&Message::new("error.not_found").with("id", &args.id))),
        Err(other) => return Err(other).with_context(|| context.text(&Message::new("doing.read_inbox"))),
    };
    if args.raw {
        let request = notification.request.as_ref().with_context(|| context.text(&Message::new("show.body_gone")))?;
        let bytes = raw_bytes(request);
        context.out.write_all(&bytes).context("print")?;
        inbox.close().await;
        return Ok(OK);
    }
    let story = Story::read(&*inbox, notification).await;
    let story = story.with_context(|| context.text(&Message::new("doing.read_inbox")))?;
    if context.is_json {
        let value = story.to_json();
        context.say_json(&value)?;
    } else {
        story.tell(context)?;
    }
    inbox.close().await;
    Ok(OK)
}

/// An id of anything that has a story.
#[derive(Clone, Copy)]
pub(super) enum AnyId {
    Notification(NotificationId),
    Event(EventId),
    Delivery(DeliveryId),
}

impl AnyId {
    pub(super) fn parse(id: &str) -> Option<Self> {
        let notification = id.parse().ok().map(Self::Notification);
        let event = || id.parse().ok().map(Self::Event);
        notification.or_else(event).or_else(|| id.parse().ok().map(Self::Delivery))
    }
}

/// Reads the notification behind an id.
pub(super) async fn read_notification(inbox: &dyn Inbox, id: AnyId) -> Result<NotificationRecord, inbox::Error> {
    let notification = match id {
        AnyId::Notification(notification) => notification,
        AnyId::Event(event) => inbox.event(event).await?.notification,
        AnyId::Delivery(delivery) => inbox.delivery(delivery).await?.notification,
    };
    inbox.notification(notification).await
}

/// The request as it came, ready for a look or another program.
pub(super) fn raw_bytes(request: &RawRequest) -> Vec<u8> {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut bytes = format!("{} {}{query} HTTP/1.1\r\n", request.method, request.path).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&request.body);
    bytes
}

struct Story {
    notification: NotificationRecord,
    events: Vec<EventRecord>,
    deliveries: Vec<(DeliveryRecord, Vec<AttemptRecord>)>,
}

impl Story {
    async fn read(inbox: &dyn Inbox, notification: NotificationRecord) -> Result<Self, inbox::Error> {
        let mut events = Vec::new();
        for id in &notification.events {
            events.push(inbox.event(*id).await?);
        }
        let mut deliveries = Vec::new();
        for delivery in inbox.deliveries_of(notification.id).await? {
            let attempts = inbox.attempts_of(delivery.id).await?;
            deliveries.push((delivery, attempts));
        }
        Ok(Self { notification, events, deliveries })
    }

    fn tell(&self, context: &mut Context<'_>) -> anyhow::Result<()> {
        let n = &self.notification;
        let lang = context.lang;
        let label = |word: &str| Message::dynamic(format!("show.{word}")).text(lang);
        let mut text = String::new();
        let w = &mut text;
        writeln!(w, "{}  {}", label("notification"), n.id)?;
        writeln!(w, "  {}: {} ({}, {}, {})", label("channel"), n.channel, n.platform, n.environment, n.merchant)?;
        writeln!(w, "  {}: {} · {}", label("platform_id"), visible(&n.platform_id), visible(&n.platform_kind))?;
        writeln!(w, "  {}: {}", label("received"), n.received_at)?;
        if let Some(sent_at) = n.sent_at {
            writeln!(w, "  {}: {sent_at}", label("sent"))?;
        }
        let proof = serde_json::to_string(&n.proof).unwrap_or_default();
        writeln!(w, "  {}: {}", label("proof"), visible(&proof))?;
        match n.acked_at {
            Some(acked_at) => writeln!(w, "  {}: {acked_at}", label("acked"))?,
            None => writeln!(w, "  {}: —", label("acked"))?,
        }
        writeln!(w, "  {}: {} ({}: {})", label("repeats"), n.repeats, label("after_ack"), n.repeated_after_ack)?;
        if let Some(request) = &n.request {
            writeln!(w, "  {}: {} B · {}", label("body"), request.body.len(), label("raw_hint"))?;
        }
        // Why it was repeated, or not confirmed.
        writeln!(w, "  {}: {}", label("explained_by"), rejections::explained_by(n.id))?;
        for concern in &n.concerns {
            writeln!(w, "  ! {}", Message::dynamic(format!("concern.{}", concern.word())).text(lang))?;
        }
        for event in &self.events {
            writeln!(w, "{}  {}  {}", label("event"), event.id, event.kind)?;
            let order = event.order_no.as_deref().map_or_else(|| "—".to_owned(), visible);
            let platform_no = event.platform_no.as_deref().map_or_else(|| "—".to_owned(), visible);
            writeln!(w, "  {}: {order} · {platform_no} · {}", label("order"), amount_text(event))?;
            for concern in event.concerns.iter().filter(|concern| !n.concerns.contains(concern)) {
                writeln!(w, "  ! {}", Message::dynamic(format!("concern.{}", concern.word())).text(lang))?;
            }
        }
        for (delivery, attempts) in &self.deliveries {
            let state = Message::dynamic(format!("state.{}", delivery.state.as_str())).text(lang);
            writeln!(w, "{}  {} → {}: {state}", label("delivery"), delivery.id, delivery.target)?;
            if !delivery.state.is_terminal() {
                writeln!(w, "  {}: {}", label("due"), delivery.due_at)?;
            }
            if let Some(event) = delivery.superseded_by {
                writeln!(w, "  {}: {event}", label("superseded_by"))?;
            }
            for attempt in attempts {
                let took = attempt.ended_at.duration_since(attempt.started_at).as_millis();
                let status = attempt.status.map(|status| format!(" HTTP {status}")).unwrap_or_default();
                writeln!(w, "  #{} {} {}{status} {took} ms", attempt.number, attempt.started_at, attempt.outcome)?;
                if !attempt.reason.is_empty() {
                    let reason = Message::dynamic(format!("outcome.{}", attempt.reason))
                        .with("detail", visible(&attempt.detail));
                    writeln!(w, "     {}", reason.text(lang))?;
                }
                for line in attempt.stderr.lines() {
                    writeln!(w, "     stderr: {}", visible(line.trim_end()))?;
                }
            }
        }
        context.say(text.trim_end())
    }

    fn to_json(&self) -> Value {
        let n = &self.notification;
        json!({
            "id": n.id.to_string(),
            "channel": n.channel,
            "platform": n.platform,
            "environment": n.environment.as_str(),
            "merchant": n.merchant,
            "platform_id": n.platform_id,
            "platform_kind": n.platform_kind,
            "received_at": n.received_at.to_string(),
            "sent_at": n.sent_at.map(|at| at.to_string()),
            "proof": n.proof,
            "acked_at": n.acked_at.map(|at| at.to_string()),
            "repeats": n.repeats,
            "repeated_after_ack": n.repeated_after_ack,
            "concerns": n.concerns,
            "explain": rejections::explained_by(n.id),
            "body_bytes": n.request.as_ref().map(|request| request.body.len()),
            "events": self.events.iter().map(to_json).collect::<Vec<_>>(),
            "deliveries": self.deliveries.iter().map(|(delivery, attempts)| json!({
                "id": delivery.id.to_string(),
                "event": delivery.event.to_string(),
                "target": delivery.target,
                "raw": delivery.is_raw,
                "state": delivery.state.as_str(),
                "due_at": delivery.due_at.to_string(),
                "waits_for": delivery.waits_for.map(|id| id.to_string()),
                "superseded_by": delivery.superseded_by.map(|id| id.to_string()),
                "attempts": attempts.iter().map(attempt_json).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }
}

fn attempt_json(attempt: &AttemptRecord) -> Value {
    json!({
        "number": attempt.number,
        "started_at": attempt.started_at.to_string(),
        "ended_at": attempt.ended_at.to_string(),
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "status": attempt.status,
        "body_head": attempt.body_head,
        "stderr": attempt.stderr,
    })
}
