//! The order rule: what follows a payment waits for the payment's own confirmation at the same target.
//!
//! The same question is asked when a delivery is made, when the payment that it waits for is confirmed, and
//! when a payment becomes known that had not been; so there is one function that answers it.

use std::time::Duration;

use rusqlite::OptionalExtension as _;
use tollbell_channels::model::EventKind;

use super::fault::Fault;
use super::rows::state_code;
use super::session::Session;
use crate::inbox::DeliveryState;

/// A refund or dispute whose payment never came goes out after this time by itself: the payment may have
/// been before this inbox, and money that went back must not be hidden for ever.
pub(super) const UNKNOWN_PAYMENT_WAIT: Duration = Duration::from_hours(24);

/// What stands before a delivery. Nothing does when it tells of a payment, whatever else it tells: a payment waits
/// for nothing, and two messages that each refund the other's payment would wait for each other for ever.
enum Before {
    Nothing,
    Delivery(i64),
    UnknownPayments(Vec<(i64, String)>),
}

/// Puts a delivery that is not held into the state that it belongs in: waiting, or pending and due now.
pub(super) fn place(session: &mut Session, delivery: i64, now_ms: i64) -> Result<DeliveryState, Fault> {
    let (waits_for, due_at, state) = match what_stands_before(session, delivery)? {
        Before::Nothing => (None, Some(now_ms), DeliveryState::Pending),
        Before::Delivery(payment) => (Some(payment), None, DeliveryState::Waiting),
        Before::UnknownPayments(payments) => {
            for (scope, payment) in payments {
                session
                    .conn
                    .prepare_cached("INSERT OR IGNORE INTO awaited (scope, payment, delivery) VALUES (?1, ?2, ?3)")?
                    .execute((scope, payment, delivery))?;
            }
            // Counted from the event, so that asking again does not put it off.
            let made_at: i64 = session
                .conn
                .prepare_cached(
                    "SELECT created_at FROM events WHERE seq = (SELECT event FROM deliveries WHERE seq = ?1)",
                )?
                .query_row([delivery], |row| row.get(0))?;
            let limit = i64::try_from(UNKNOWN_PAYMENT_WAIT.as_millis()).expect("a day of milliseconds");
            (None, Some(made_at.saturating_add(limit)), DeliveryState::Waiting)
        }
    };
    session
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, due_at = ?3, waits_for = ?4, changed_at = ?5 WHERE seq = ?1",
        )?
        .execute((delivery, state_code(state), due_at, waits_for, now_ms))?;
    if state == DeliveryState::Pending {
        session.made_due = true;
    }
    Ok(state)
}

/// The payment's delivery is confirmed: what waited for it is placed anew.
pub(super) fn release_followers(session: &mut Session, confirmed: i64, now_ms: i64) -> Result<(), Fault> {
    let followers: Vec<i64> = session
        .conn
        .prepare_cached("SELECT seq FROM deliveries WHERE waits_for = ?1 AND state = ?2 ORDER BY seq")?
        .query_map((confirmed, state_code(DeliveryState::Waiting)), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for follower in followers {
        place(session, follower, now_ms)?;
    }
    Ok(())
}

/// A payment became known under this name: what waited for it is placed anew.
pub(super) fn payment_known(session: &mut Session, scope: i64, payment: &str, now_ms: i64) -> Result<(), Fault> {
    let waiting: Vec<i64> = session
        .conn
        .prepare_cached("SELECT delivery FROM awaited WHERE scope = ?1 AND payment = ?2 ORDER BY delivery")?
        .query_map((scope, payment), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if waiting.is_empty() {
        return Ok(());
    }
    session.conn.prepare_cached("DELETE FROM awaited WHERE scope = ?1 AND payment = ?2")?.execute((scope, payment))?;
    for delivery in waiting {
        let still_waits: bool = session
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM deliveries WHERE seq = ?1 AND state = ?2 AND waits_for IS NULL)",
            )?
            .query_row((delivery, state_code(DeliveryState::Waiting)), |row| row.get(0))?;
        if still_waits {
            place(session, delivery, now_ms)?;
        }
    }
    Ok(())
}

/// The events that a delivery covers.
pub(super) const EVENTS_OF_DELIVERY: &str =
    "SELECT event FROM deliveries WHERE seq = ?1 UNION SELECT event FROM delivery_events WHERE delivery = ?1";

fn what_stands_before(session: &mut Session, delivery: i64) -> Result<Before, Fault> {
    let paid = session.word(EventKind::PaymentSucceeded.as_str())?;
    let conn = &session.conn;
    let target: i64 =
        conn.prepare_cached("SELECT target FROM deliveries WHERE seq = ?1")?.query_row([delivery], |row| row.get(0))?;
    let own: Vec<i64> =
        conn.prepare_cached(EVENTS_OF_DELIVERY)?.query_map([delivery], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut follows: Vec<(i64, String)> = Vec::new();
    for event in &own {
        let (scope, kind, payment): (i64, i64, Option<String>) = conn
            .prepare_cached("SELECT scope, kind, payment FROM events WHERE seq = ?1")?
            .query_row([event], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        if kind == paid {
            return Ok(Before::Nothing);
        }
        follows.extend(payment.map(|payment| (scope, payment)));
    }
    let mut unknown = Vec::new();
    for (scope, payment) in follows {
        let paying: Option<(i64, i64)> = conn
            .prepare_cached(
                "SELECT e.seq, e.seq >> 16 FROM identities i CROSS JOIN events e ON e.seq = i.event
                 WHERE i.scope = ?1 AND i.kind = ?2 AND i.text = ?3",
            )?
            .query_row((scope, paid, &payment), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((paying, notification)) = paying else {
            unknown.push((scope, payment));
            continue;
        };
        let before: Option<i64> = conn
            .prepare_cached(
                "SELECT d.seq FROM deliveries d
                 WHERE d.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND d.target = ?2 AND d.state IN (0, 1, 2, 3, 5)
                   AND (d.event = ?3 OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = ?3))
                 ORDER BY d.seq LIMIT 1",
            )?
            .query_row((notification, target, paying), |row| row.get(0))
            .optional()?;
        if let Some(before) = before {
            return Ok(Before::Delivery(before));
        }
    }
    Ok(if unknown.is_empty() { Before::Nothing } else { Before::UnknownPayments(unknown) })
}
