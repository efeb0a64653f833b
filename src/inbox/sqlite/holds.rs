//! Holds, listed and ended.

use async_trait::async_trait;
use rusqlite::Connection;

use super::fault::Fault;
use super::queue::Urgency;
use super::rows::{
    self, DELIVERY_SELECT, EVENT_COLUMNS, EVENT_TABLES, delivery_seq, event_seq, notification_seq, state_code, to_ms,
};
use super::session::Session;
use super::{SqliteInbox, audit, search, unconfirmed, waits};
use crate::inbox::holds::{EndHold, EndedHold, HoldEnd, HoldRecord, HoldWhat, Holds};
use crate::inbox::{AuditRecord, DeliveryId, DeliveryState, Error, EventId, NotificationId, PAGE_MAX};

#[async_trait]
impl Holds for SqliteInbox {
    async fn holds(&self, after: Option<NotificationId>, limit: usize) -> Result<Vec<HoldRecord>, Error> {
        self.shared.readers.read(move |conn| list(conn, after, limit)).await
    }

    async fn end_hold(&self, end: EndHold) -> Result<EndedHold, Error> {
        self.submit(Urgency::Work, 0, move |session| end_hold(session, &end)).await
    }
}

fn list(conn: &Connection, after: Option<NotificationId>, limit: usize) -> Result<Vec<HoldRecord>, Fault> {
    let after: i64 = match after {
        None => 0,
        Some(id) => notification_seq(id),
    };
    let sql = format!(
        "{} WHERE n.is_held = 1 AND n.seq > ?1 ORDER BY n.seq LIMIT {}",
        search::NOTIFICATION_SELECT,
        limit.min(PAGE_MAX)
    );
    let events = format!(
        "SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES}
         WHERE e.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND e.concerns IS NOT NULL AND e.hold_end IS NULL ORDER BY e.seq LIMIT {PAGE_MAX}"
    );
    let deliveries = format!(
        "{DELIVERY_SELECT} WHERE d.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND d.state = 1 ORDER BY d.seq LIMIT {PAGE_MAX}"
    );
    let found = search::many(conn, &sql, [after], search::notification_of)?;
    found
        .into_iter()
        .map(|(mut notification, seq)| {
            notification.events = search::events_of(conn, seq)?;
            Ok(HoldRecord {
                notification,
                events: search::many(conn, &events, [seq], rows::event)?,
                deliveries: search::many(conn, &deliveries, [seq], rows::delivery)?,
            })
        })
        .collect()
}

const fn end_code(end: HoldEnd) -> i64 {
    match end {
        HoldEnd::Release => 1,
        HoldEnd::Discard => 2,
    }
}

/// An event whose hold is open.
pub(super) const IS_OPEN: &str = "e.concerns IS NOT NULL AND e.hold_end IS NULL";
/// The events that the delivery `d` covers.
pub(super) const COVERED: &str =
    "(e.seq = d.event OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = e.seq))";

pub(super) fn end_hold(session: &mut Session, end: &EndHold) -> Result<EndedHold, Fault> {
    let code = end_code(end.end);
    let (notification, deliveries, mut events) = match end.what {
        HoldWhat::Notification(id) => of_notification(session, id, end.end)?,
        HoldWhat::Event(id) => of_event(session, id, end.end)?,
        HoldWhat::Delivery(id) => of_delivery(session, id, end.end)?,
    };
    let now_ms = to_ms(end.at);
    let mut ended = EndedHold { deliveries: 0, waiting: 0, holds: 0 };
    for (delivery, how) in deliveries {
        ended.deliveries += 1;
        match how {
            HoldEnd::Release => {
                let state = waits::place(session, delivery, now_ms)?;
                ended.waiting += u64::from(state == DeliveryState::Waiting);
            }
            HoldEnd::Discard => {
                let id = session
                    .conn
                    .prepare_cached(
                        "UPDATE deliveries SET state = ?2, due_at = NULL, changed_at = ?3 WHERE seq = ?1 RETURNING id",
                    )?
                    .query_row((delivery, state_code(DeliveryState::Discarded), now_ms), |row| row.get(0))?;
                session.note_settled(DeliveryId::from_bytes(id), DeliveryState::Discarded);
                waits::release_followers(session, delivery, now_ms)?;
            }
        }
    }
    if let HoldWhat::Delivery(id) = end.what {
        // An event none of whose deliveries is held any more is decided.
        events = session
            .conn
            .prepare_cached(&format!(
                "UPDATE events AS e SET hold_end = ?2 WHERE e.seq BETWEEN ?3 << 16 AND (?3 << 16 | 65535) AND {IS_OPEN}
                 AND EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = ?1 AND {COVERED})
                 AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq BETWEEN (e.seq >> 16) << 16 AND (e.seq | 65535) AND d.state = 1 AND {COVERED})"
            ))?
            .execute((delivery_seq(id), code, notification))?;
    }
    if end.end == HoldEnd::Release {
        unconfirmed::take_names(session, notification, now_ms)?;
    }
    let closed = session
        .conn
        .prepare_cached(&format!(
            "UPDATE notifications AS n SET is_held = 0 WHERE n.seq = ?1 AND n.is_held = 1
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq BETWEEN n.seq << 16 AND (n.seq << 16 | 65535) AND d.state = 1)
             AND NOT EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN n.seq << 16 AND (n.seq << 16 | 65535) AND {IS_OPEN})"
        ))?
        .execute([notification])?;
    ended.holds = u64::try_from(events.max(closed)).unwrap_or(0);
    if ended.deliveries + ended.holds > 0 {
        let subject = match end.what {
            HoldWhat::Notification(id) => id.to_string(),
            HoldWhat::Event(id) => id.to_string(),
            HoldWhat::Delivery(id) => id.to_string(),
        };
        let record = AuditRecord::new(end.at, &end.by, end.end.as_str(), vec![subject]);
        audit::note(session, &record.because(end.why.as_deref()).changed(ended.deliveries))?;
    }
    Ok(ended)
}

/// The notification, its deliveries with how they end, and how many events were closed.
type Found = (i64, Vec<(i64, HoldEnd)>, usize);

fn of_notification(session: &Session, id: NotificationId, end: HoldEnd) -> Result<Found, Fault> {
    let conn = &session.conn;
    let seq: i64 = conn
        .prepare_cached("SELECT seq FROM notifications WHERE seq = ?1 AND id = ?2")?
        .query_row((notification_seq(id), id.as_bytes()), |row| row.get(0))?;
    let events = conn
        .prepare_cached(&format!(
            "UPDATE events AS e SET hold_end = ?2 WHERE e.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND {IS_OPEN}"
        ))?
        .execute((seq, end_code(end)))?;
    let deliveries = conn
        .prepare_cached(
            "SELECT seq FROM deliveries WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND state = 1 ORDER BY seq",
        )?
        .query_map([seq], |row| row.get(0))?
        .map(|delivery| Ok((delivery?, end)))
        .collect::<Result<_, Fault>>()?;
    Ok((seq, deliveries, events))
}

fn of_event(session: &Session, id: EventId, end: HoldEnd) -> Result<Found, Fault> {
    let conn = &session.conn;
    let (event, notification): (i64, i64) = conn
        .prepare_cached("SELECT seq, seq >> 16 FROM events WHERE seq = ?1 AND id = ?2")?
        .query_row((event_seq(id), id.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let events = conn
        .prepare_cached(&format!("UPDATE events AS e SET hold_end = ?2 WHERE e.seq = ?1 AND {IS_OPEN}"))?
        .execute((event, end_code(end)))?;
    // Deliveries that cover the event and nothing that is still open. One that covers a released event goes out,
    // even when another event in it was discarded.
    let deliveries = conn
        .prepare_cached(&format!(
            "SELECT d.seq, EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN ?2 << 16 AND (?2 << 16 | 65535) AND e.hold_end = 1 AND {COVERED})
             FROM deliveries d CROSS JOIN events e ON e.seq = ?1
             WHERE d.seq BETWEEN ?2 << 16 AND (?2 << 16 | 65535) AND d.state = 1 AND {COVERED}
                 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN ?2 << 16 AND (?2 << 16 | 65535) AND {IS_OPEN} AND {COVERED})
             ORDER BY d.seq"
        ))?
        .query_map((event, notification), |row| Ok((row.get(0)?, row.get(1)?)))?
        .map(|row| {
            let (delivery, is_released): (i64, bool) = row?;
            Ok((delivery, if is_released { HoldEnd::Release } else { HoldEnd::Discard }))
        })
        .collect::<Result<_, Fault>>()?;
    Ok((notification, deliveries, events))
}

fn of_delivery(session: &Session, id: DeliveryId, end: HoldEnd) -> Result<Found, Fault> {
    let (seq, notification, is_held): (i64, i64, bool) = session
        .conn
        .prepare_cached("SELECT seq, seq >> 16, state = 1 FROM deliveries WHERE seq = ?1 AND id = ?2")?
        .query_row((delivery_seq(id), id.as_bytes()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let deliveries = if is_held { vec![(seq, end)] } else { Vec::new() };
    Ok((notification, deliveries, 0))
}
