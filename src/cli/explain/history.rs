//! What the inbox keeps of a genuine message: repetitions, answers, order, amounts. Each is read and none guessed; what the
//! records do not show is not said.

use tollbell_channels::channel::quote;
use tollbell_channels::explain::findings::history::{
    AMOUNT_HUNDREDFOLD, DUPLICATE, OUT_OF_ORDER, REPEATED_AFTER_ANSWER, REPLY_WRONG,
};
use tollbell_channels::explain::{Evidence, Facts, Finding, Found};
use tollbell_channels::model::{Concern, Fact, Money, Notification};

use crate::cli::events::amount_text;
use crate::inbox::{AttemptRecord, Error, EventFilter, EventRecord, Inbox, NotificationId, NotificationRecord};

/// Most events of one order that are compared: an order has a handful.
const EVENTS_MAX: usize = 64;

/// How two amounts differ when one of them is in the other's minor unit.
const MINOR_IN_MAJOR: i64 = 100;

/// `differs` of a conflict about the amount.
const AMOUNT: &str = "amount";

/// What became of an attempt that had an answer and no confirmation.
const NOT_CONFIRMED: &[&str] = &["retry", "declined"];

/// Notes on an answer that counts as confirmed and that a platform would not have taken.
const BESIDE_THE_WORD: &[&str] = &["bom_around_word", "blanks_around_word"];

/// What the records say.
#[derive(Default)]
pub(super) struct History {
    /// The stored notification.
    pub(super) notification: Option<NotificationId>,
    pub(super) findings: Vec<Found>,
}

/// Of a message that was proven now, and that may be known.
pub(super) async fn of_message(inbox: &dyn Inbox, message: &Notification) -> Result<History, Error> {
    if let Some(id) = inbox.known(&message.scope, &message.key()).await? {
        let record = inbox.notification(id).await?;
        return of_stored(inbox, &record).await;
    }
    let mut findings = Vec::new();
    for fact in &message.facts {
        if let Some(found) = told_otherwise(inbox, fact).await? {
            findings.push(found);
            break;
        }
    }
    Ok(History { notification: None, findings })
}

/// Of a stored notification.
pub(super) async fn of_stored(inbox: &dyn Inbox, record: &NotificationRecord) -> Result<History, Error> {
    let mut findings = Vec::new();
    if let (1.., Some(answered_at), Some(last_at)) =
        (record.repeated_after_ack, record.acked_at, record.last_repeated_at)
    {
        let facts = vec![
            ("count", record.repeated_after_ack.to_string()),
            ("answered_at", answered_at.to_string()),
            ("last_at", last_at.to_string()),
        ];
        findings.push(recorded(&REPEATED_AFTER_ANSWER, facts));
    }
    findings.extend(reply_wrong(inbox, record).await?);
    let mut events = Vec::with_capacity(record.events.len());
    for id in &record.events {
        events.push(inbox.event(*id).await?);
    }
    findings.extend(amount_hundredfold(inbox, &events).await?);
    findings.extend(out_of_order(inbox, record, &events).await?);
    if record.repeats > record.repeated_after_ack {
        let facts = vec![
            ("notification", record.id.to_string()),
            ("first_at", record.received_at.to_string()),
            ("count", record.repeats.saturating_add(1).to_string()),
        ];
        findings.push(recorded(&DUPLICATE, facts));
    }
    Ok(History { notification: Some(record.id), findings })
}

fn recorded(finding: &'static Finding, facts: Facts) -> Found {
    Found { finding, proof: Evidence::Recorded, facts }
}

/// The last answer of a target, where it is no confirmation that a platform would take.
async fn reply_wrong(inbox: &dyn Inbox, record: &NotificationRecord) -> Result<Option<Found>, Error> {
    for delivery in inbox.deliveries_of(record.id).await? {
        let attempts = inbox.attempts_of(delivery.id).await?;
        let Some(last) = attempts.iter().rev().find(|attempt| attempt.status.is_some()) else { continue };
        if is_wrong(last) {
            let status = last.status.map(|status| status.to_string()).unwrap_or_default();
            let facts = vec![
                ("target", delivery.target),
                ("status", status),
                ("answer", quote(&last.body_head)),
                ("reason", last.reason.clone()),
                ("detail", quote(&last.detail)),
            ];
            return Ok(Some(recorded(&REPLY_WRONG, facts)));
        }
    }
    Ok(None)
}

fn is_wrong(attempt: &AttemptRecord) -> bool {
    NOT_CONFIRMED.contains(&attempt.outcome.as_str()) || BESIDE_THE_WORD.contains(&attempt.reason.as_str())
}

/// An event that is held because the same fact was told with another amount, a hundred times as much or as little.
async fn amount_hundredfold(inbox: &dyn Inbox, events: &[EventRecord]) -> Result<Option<Found>, Error> {
    for event in events {
        for concern in &event.concerns {
            let Concern::Conflict { differs, event: other } = concern else { continue };
            let Ok(other) = other.parse() else { continue };
            if differs != AMOUNT {
                continue;
            }
            let other = match inbox.event(other).await {
                // It is no longer kept: there is nothing to compare with.
                Err(Error::NotFound) => continue,
                other => other?,
            };
            if is_hundredfold(event.amount, other.amount) {
                return Ok(Some(hundredfold(amount_text(event), &other)));
            }
        }
    }
    Ok(None)
}

/// The same for a message that is not stored: by its order and the platform's number.
async fn told_otherwise(inbox: &dyn Inbox, fact: &Fact) -> Result<Option<Found>, Error> {
    let (Some(order_no), Some(money)) = (&fact.order_no, fact.signed_money()) else { return Ok(None) };
    let filter = EventFilter {
        order_no: Some(order_no.clone()),
        kind: Some(fact.kind),
        limit: EVENTS_MAX,
        ..EventFilter::default()
    };
    let events = inbox.events(filter).await?;
    let same = events.iter().find(|event| {
        event.platform_no.is_some()
            && event.platform_no == fact.platform_no
            && is_hundredfold(Some(money), event.amount)
    });
    Ok(same.map(|event| hundredfold(format!("{} {}", money.to_text(), money.currency), event)))
}

fn hundredfold(amount: String, other: &EventRecord) -> Found {
    let facts = vec![("amount", amount), ("other", amount_text(other)), ("event", other.id.to_string())];
    recorded(&AMOUNT_HUNDREDFOLD, facts)
}

fn is_hundredfold(one: Option<Money>, other: Option<Money>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    let times = |small: i64, large: i64| small > 0 && small.checked_mul(MINOR_IN_MAJOR) == Some(large);
    one.currency == other.currency && (times(one.minor, other.minor) || times(other.minor, one.minor))
}

/// An event of the same order that came earlier and tells of something later.
async fn out_of_order(
    inbox: &dyn Inbox,
    record: &NotificationRecord,
    events: &[EventRecord],
) -> Result<Option<Found>, Error> {
    for event in events {
        let (Some(order_no), Some(own_at)) = (&event.order_no, event.occurred_at) else { continue };
        let filter = EventFilter {
            order_no: Some(order_no.clone()),
            channel: Some(record.channel.clone()),
            limit: EVENTS_MAX,
            ..EventFilter::default()
        };
        let others = inbox.events(filter).await?;
        let is_of_same = |other: &&EventRecord| {
            other.notification < record.id
                && other.merchant == event.merchant
                && other.environment == event.environment
                && other.occurred_at > Some(own_at)
        };
        if let Some(other) = others.iter().filter(is_of_same).max_by_key(|other| other.occurred_at) {
            let at = other.occurred_at.map(|at| at.to_string()).unwrap_or_default();
            let facts = vec![
                ("event", other.id.to_string()),
                ("kind", other.kind.to_string()),
                ("at", at),
                ("own_at", own_at.to_string()),
            ];
            return Ok(Some(recorded(&OUT_OF_ORDER, facts)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use tollbell_channels::model::Currency;

    use super::*;

    #[test]
    fn a_hundredfold_is_exact_and_of_one_currency() {
        let money = |minor, currency: &str| Some(Money { minor, currency: Currency::parse(currency).unwrap() });
        let cny = |minor| money(minor, "CNY");
        assert!(is_hundredfold(cny(1000), cny(10)) && is_hundredfold(cny(10), cny(1000)));
        for (one, other) in [
            (cny(1000), cny(11)),
            (cny(1000), cny(1000)),
            (cny(0), cny(0)),
            (cny(-1), cny(-100)),
            (cny(i64::MAX), cny(i64::MAX / 100)),
            (cny(1000), money(10, "USD")),
            (cny(1000), None),
        ] {
            assert!(!is_hundredfold(one, other), "{one:?} {other:?}");
        }
    }
}
