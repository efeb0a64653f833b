//! What a payment that succeeded makes pointless: deliveries of `pending`, `failed` and `closed` that nobody has
//! begun. An application that is told of them after the success could take the order back.
//!
//! * Same payment, or same order within the scope; an event that is held supersedes nothing until a person
//!   releases it, and nothing at all when it is discarded.
//! * Only what is pending or waiting is skipped, and once: a person who replays it gets it delivered.
//! * A `pending` or `failed` that arrives after the success is old news and is skipped at once. A `closed`
//!   of the same payment is none: money says paid, so it contradicts, and is held for a person.

use rusqlite::OptionalExtension as _;
use tollbell_channels::model::{Concern, EventKind, Fact};

use super::fault::Fault;
use super::rows::{concerns_of, state_code};
use super::session::Session;
use super::unconfirmed;
use super::waits::EVENTS_OF_DELIVERY;
use crate::inbox::{DeliveryId, DeliveryState, EventId};

/// Kinds that a success supersedes.
const SUPERSEDABLE: [EventKind; 3] = [EventKind::PaymentPending, EventKind::PaymentFailed, EventKind::PaymentClosed];

/// Events of one order number that are looked at, the latest first: an order has a handful, and a shop that
/// gives every payment one number must not make each store slower.
const ORDER_EVENTS_MAX: i64 = 64;

/// In place of a word that is not there.
const NO_WORD: i64 = -1;

/// What `differs` says of a close that comes after the payment.
const STATE: &str = "state";

/// The doubt about a `closed` whose own payment is known to have succeeded. Paid never goes back to closed.
pub(super) fn contradiction(session: &mut Session, scope: i64, fact: &Fact) -> Result<Option<Concern>, Fault> {
    if fact.kind != EventKind::PaymentClosed {
        return Ok(None);
    }
    let Some(paid) = paid_by_name(session, scope, fact)? else { return Ok(None) };
    let id = event_id(session, paid)?;
    Ok(Some(Concern::Conflict { differs: STATE.to_owned(), event: id.to_string() }))
}

/// Skips what a fact that was just stored as `event` supersedes, or the fact's own deliveries when they are
/// old news. Its deliveries have been made.
pub(super) fn skip(session: &mut Session, scope: i64, fact: &Fact, event: i64, now_ms: i64) -> Result<(), Fault> {
    match fact.kind {
        EventKind::PaymentSucceeded => {
            for stale in earlier(session, scope, fact)? {
                skip_deliveries_of(session, stale, event, now_ms)?;
            }
        }
        EventKind::PaymentPending | EventKind::PaymentFailed => {
            let paid = match paid_by_name(session, scope, fact)? {
                Some(paid) => Some(paid),
                None => paid_by_order(session, scope, fact.order_no.as_deref())?,
            };
            if let Some(paid) = paid {
                skip_deliveries_of(session, event, paid, now_ms)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// The success that arrived while a delivery was being attempted, so that it is not tried again. None when the
/// delivery was superseded before: then a person has asked for it.
pub(super) fn since_attempt(session: &mut Session, delivery: i64) -> Result<Option<i64>, Fault> {
    let conn = &session.conn;
    let was_superseded: bool = conn
        .prepare_cached("SELECT superseded_by IS NOT NULL FROM deliveries WHERE seq = ?1")?
        .query_row([delivery], |row| row.get(0))?;
    if was_superseded {
        return Ok(None);
    }
    let own: Vec<i64> =
        conn.prepare_cached(EVENTS_OF_DELIVERY)?.query_map([delivery], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut by = None;
    for event in own {
        match superseding(session, event)? {
            Some(paid) => by = Some(paid),
            None => return Ok(None),
        }
    }
    Ok(by)
}

/// The success that supersedes a stored event.
fn superseding(session: &mut Session, event: i64) -> Result<Option<i64>, Fault> {
    let (kind, scope, order_no, concerns): (String, i64, Option<String>, Option<String>) = session
        .conn
        .prepare_cached(
            "SELECT k.text, e.scope, e.order_no, e.concerns FROM events e
             CROSS JOIN words k ON k.id = e.kind WHERE e.seq = ?1",
        )?
        .query_row([event], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    // What had been held goes out because a person said so, but for what the platform was asked about.
    let concerns = concerns_of(concerns.as_deref())?;
    let is_doubted = !concerns.is_empty() && !unconfirmed::is_asked(&concerns);
    let kind = EventKind::parse(&kind).filter(|kind| !is_doubted && SUPERSEDABLE.contains(kind));
    let Some(kind) = kind else { return Ok(None) };
    let paid = paid_by_order(session, scope, order_no.as_deref())?;
    // A close that came after the success is of another payment, and is told.
    Ok(paid.filter(|paid| kind != EventKind::PaymentClosed || *paid > event))
}

/// The success, unheld or released, that has one of the fact's names.
fn paid_by_name(session: &mut Session, scope: i64, fact: &Fact) -> Result<Option<i64>, Fault> {
    let paid = session.word(EventKind::PaymentSucceeded.as_str())?;
    for identity in fact.identities() {
        let found: Option<i64> = session
            .conn
            .prepare_cached(
                "SELECT e.seq FROM identities i CROSS JOIN events e ON e.seq = i.event
                 WHERE i.scope = ?1 AND i.kind = ?2 AND i.text = ?3
                     AND (e.concerns IS NULL OR e.hold_end = 1)",
            )?
            .query_row((scope, paid, identity.as_str()), |row| row.get(0))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The latest success of an order that is unheld or released.
fn paid_by_order(session: &mut Session, scope: i64, order_no: Option<&str>) -> Result<Option<i64>, Fault> {
    let Some(order_no) = order_no else { return Ok(None) };
    let paid = session.word(EventKind::PaymentSucceeded.as_str())?;
    Ok(session
        .conn
        .prepare_cached(
            "SELECT seq FROM (SELECT seq, scope, kind, concerns, hold_end FROM events WHERE order_no = ?1
                 ORDER BY seq DESC LIMIT ?4)
             WHERE scope = ?2 AND kind = ?3 AND (concerns IS NULL OR hold_end = 1) ORDER BY seq DESC LIMIT 1",
        )?
        .query_row((order_no, scope, paid, ORDER_EVENTS_MAX), |row| row.get(0))
        .optional()?)
}

/// Stored events that a success supersedes: of its names, and of its order.
fn earlier(session: &mut Session, scope: i64, fact: &Fact) -> Result<Vec<i64>, Fault> {
    let [pending, failed, closed] = SUPERSEDABLE;
    let kinds = [
        session.seen_word(pending.as_str())?,
        session.seen_word(failed.as_str())?,
        session.seen_word(closed.as_str())?,
    ];
    // Many shops are never told of any, and this is on the way of every payment.
    if kinds.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let kinds = kinds.map(|kind| kind.unwrap_or(NO_WORD));
    let mut found: Vec<i64> = Vec::new();
    for identity in fact.identities() {
        let mut select = session
            .conn
            .prepare_cached("SELECT event FROM identities WHERE scope = ?1 AND kind IN (?3, ?4, ?5) AND text = ?2")?;
        let rows = select.query_map((scope, identity.as_str(), kinds[0], kinds[1], kinds[2]), |row| row.get(0))?;
        found.extend(rows.collect::<Result<Vec<i64>, _>>()?);
    }
    if let Some(order_no) = &fact.order_no {
        let mut select = session.conn.prepare_cached(
            "SELECT seq FROM (SELECT seq, scope, kind FROM events WHERE order_no = ?1 ORDER BY seq DESC LIMIT ?6)
             WHERE scope = ?2 AND kind IN (?3, ?4, ?5)",
        )?;
        let columns = (order_no, scope, kinds[0], kinds[1], kinds[2], ORDER_EVENTS_MAX);
        found.extend(select.query_map(columns, |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Skips the deliveries of an event that nobody has begun. A raw delivery that covers other events beside it
/// still has something to say, unless they are superseded too.
fn skip_deliveries_of(session: &mut Session, event: i64, by: i64, now_ms: i64) -> Result<(), Fault> {
    let deliveries: Vec<(i64, [u8; 16])> = session
        .conn
        .prepare_cached(
            "SELECT d.seq, d.id FROM events e CROSS JOIN deliveries d ON d.seq BETWEEN (e.seq >> 16) << 16 AND (e.seq | 65535)
             WHERE e.seq = ?1 AND d.state IN (?2, ?3) AND d.superseded_by IS NULL AND (d.event = e.seq
                 OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = e.seq))",
        )?
        .query_map((event, state_code(DeliveryState::Pending), state_code(DeliveryState::Waiting)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<Result<_, _>>()?;
    for (delivery, id) in deliveries {
        let covered: Vec<i64> = session
            .conn
            .prepare_cached(EVENTS_OF_DELIVERY)?
            .query_map([delivery], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let mut is_pointless = true;
        for other in covered.into_iter().filter(|other| *other != event) {
            is_pointless = is_pointless && superseding(session, other)?.is_some();
        }
        if is_pointless {
            skip_one(session, delivery, DeliveryId::from_bytes(id), by, now_ms)?;
        }
    }
    Ok(())
}

/// Skips one delivery.
pub(super) fn skip_one(
    session: &mut Session,
    delivery: i64,
    id: DeliveryId,
    by: i64,
    now_ms: i64,
) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, due_at = NULL, waits_for = NULL, token = NULL, superseded_by = ?3,
                 changed_at = ?4 WHERE seq = ?1",
        )?
        .execute((delivery, state_code(DeliveryState::Skipped), by, now_ms))?;
    session.note_settled(id, DeliveryState::Skipped);
    Ok(())
}

fn event_id(session: &Session, event: i64) -> Result<EventId, Fault> {
    let id =
        session.conn.prepare_cached("SELECT id FROM events WHERE seq = ?1")?.query_row([event], |row| row.get(0))?;
    Ok(EventId::from_bytes(id))
}
