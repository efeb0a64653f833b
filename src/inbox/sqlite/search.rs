//! Reading for people and applications. Nothing here counts a table, and every list is cut.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params_from_iter};
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::rows::{
    self, ATTEMPT_COLUMNS, DELIVERY_SELECT, EVENT_COLUMNS, EVENT_TABLES, concerns_of, environment_of, from_ms,
    state_code,
};
use super::work;
use crate::inbox::{
    AttemptRecord, BACKLOG_COUNT_MAX, Backlog, DeliveryId, DeliveryRecord, DeliveryState, Error, EventFilter, EventId,
    EventRecord, NotificationFilter, NotificationId, NotificationRecord, PAGE_MAX,
};

pub(super) const NOTIFICATION_SELECT: &str =
    "SELECT n.id, c.text, m.text, p.text, s.environment, n.key, n.platform_kind,
    n.received_at, n.sent_at, f.text, n.concerns, n.repeats, n.repeated_after_ack, n.last_repeated_at, n.acked_at, n.seq
    FROM notifications n LEFT JOIN words c ON c.id = n.channel LEFT JOIN words m ON m.id = n.merchant
    LEFT JOIN words p ON p.id = n.platform LEFT JOIN words f ON f.id = n.proof LEFT JOIN scopes s ON s.id = n.scope";

pub(super) fn notification(conn: &Connection, id: NotificationId) -> Result<NotificationRecord, Fault> {
    let sql = format!("{NOTIFICATION_SELECT} WHERE n.id = ?1");
    let (mut record, seq) = one(conn, &sql, id.as_bytes(), notification_of)?;
    record.events = events_of(conn, seq)?;
    record.request = work::body(conn, seq)?;
    Ok(record)
}

pub(super) fn event(conn: &Connection, id: EventId) -> Result<EventRecord, Fault> {
    one(conn, &format!("SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE e.id = ?1"), id.as_bytes(), rows::event)
}

pub(super) fn delivery(conn: &Connection, id: DeliveryId) -> Result<DeliveryRecord, Fault> {
    one(conn, &format!("{DELIVERY_SELECT} WHERE d.id = ?1"), id.as_bytes(), rows::delivery)
}

/// Events, newest first. The most selective part of the filter decides where the search begins.
pub(super) fn events(conn: &Connection, filter: &EventFilter) -> Result<Vec<EventRecord>, Fault> {
    let mut conditions: Vec<String> = Vec::new();
    let mut values: Vec<Value> = Vec::new();
    let mut condition = |text: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
        }
        conditions.push(text.replace('?', &format!("?{}", values.len())));
    };
    // With nothing more selective a channel's events are found by its notifications.
    let by_channel =
        filter.channel.is_some() && filter.order_no.is_none() && filter.state.is_none() && !filter.is_unrouted;
    let tables = if by_channel {
        "notifications n CROSS JOIN events e ON e.notification = n.seq
         LEFT JOIN words c ON c.id = n.channel LEFT JOIN words m ON m.id = n.merchant
         LEFT JOIN words k ON k.id = e.kind LEFT JOIN scopes s ON s.id = e.scope"
    } else {
        EVENT_TABLES
    };
    let order = if by_channel { "n.seq DESC, e.seq DESC" } else { "e.seq DESC" };
    if let Some(order_no) = &filter.order_no {
        condition("e.order_no = ?", Some(Value::Text(order_no.clone())));
    }
    if let Some(channel) = &filter.channel {
        condition("n.channel = (SELECT id FROM words WHERE text = ?)", Some(Value::Text(channel.clone())));
    }
    if let Some(kind) = filter.kind {
        condition("e.kind = (SELECT id FROM words WHERE text = ?)", Some(Value::Text(kind.as_str().to_owned())));
    }
    match filter.state {
        // Nearly all are delivered: walk the events. All other states have an index of few rows.
        Some(DeliveryState::Delivered) => condition(
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.notification = e.notification AND d.state = 4 AND (d.event = e.seq
                 OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = e.seq)))",
            None,
        ),
        Some(state) => condition(
            "e.seq IN (SELECT event FROM deliveries WHERE state = ? AND state <> 4
                 UNION SELECT x.event FROM deliveries d CROSS JOIN delivery_events x ON x.delivery = d.seq
                 WHERE d.state = ? AND d.state <> 4)",
            Some(Value::Integer(state_code(state))),
        ),
        None => {}
    }
    if filter.is_unrouted {
        condition("e.is_unrouted = 1", None);
    }
    if let Some(before) = filter.before {
        let bound: Option<i64> = conn
            .prepare_cached("SELECT seq FROM events WHERE id >= ?1 ORDER BY id LIMIT 1")?
            .query_row([before.as_bytes()], |row| row.get(0))
            .optional()?;
        if let Some(bound) = bound {
            condition("e.seq < ?", Some(Value::Integer(bound)));
        }
    }
    let filters = if conditions.is_empty() { "1".to_owned() } else { conditions.join(" AND ") };
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM {tables} WHERE {filters} ORDER BY {order} LIMIT {}",
        filter.limit.min(PAGE_MAX)
    );
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query(params_from_iter(values))?;
    let mut events = Vec::new();
    while let Some(row) = found.next()? {
        events.push(rows::event(row)?);
    }
    Ok(events)
}

/// Notifications in the order of their commits, so that following misses none that was committed later
/// than one with a younger id.
pub(super) fn notifications(conn: &Connection, filter: &NotificationFilter) -> Result<Vec<NotificationRecord>, Fault> {
    let before = match filter.before {
        Some(id) => {
            position(conn, "SELECT seq FROM notifications WHERE id >= ?1 ORDER BY id LIMIT 1", id)?.unwrap_or(i64::MAX)
        }
        None => i64::MAX,
    };
    let after = match filter.after {
        Some(id) => {
            position(conn, "SELECT seq FROM notifications WHERE id <= ?1 ORDER BY id DESC LIMIT 1", id)?.unwrap_or(0)
        }
        None => 0,
    };
    let direction = if filter.after.is_some() { "ASC" } else { "DESC" };
    let channel = if filter.channel.is_some() {
        "AND n.channel = (SELECT id FROM words WHERE text = ?3)"
    } else {
        "AND ?3 IS NULL"
    };
    let sql = format!(
        "{NOTIFICATION_SELECT} WHERE n.seq < ?1 AND n.seq > ?2 {channel} ORDER BY n.seq {direction} LIMIT {}",
        filter.limit.min(PAGE_MAX)
    );
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query((before, after, &filter.channel))?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        let (mut record, seq) = notification_of(row)?;
        record.events = events_of(conn, seq)?;
        records.push(record);
    }
    Ok(records)
}

fn position(conn: &Connection, sql: &str, id: NotificationId) -> Result<Option<i64>, Fault> {
    Ok(conn.prepare_cached(sql)?.query_row([id.as_bytes()], |row| row.get(0)).optional()?)
}

pub(super) fn deliveries_of(conn: &Connection, id: NotificationId) -> Result<Vec<DeliveryRecord>, Fault> {
    let sql = format!(
        "{DELIVERY_SELECT} WHERE d.notification = (SELECT seq FROM notifications WHERE id = ?1) ORDER BY d.seq LIMIT {PAGE_MAX}"
    );
    many(conn, &sql, [id.as_bytes()], rows::delivery)
}

pub(super) fn attempts_of(conn: &Connection, id: DeliveryId) -> Result<Vec<AttemptRecord>, Fault> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE delivery = (SELECT seq FROM deliveries WHERE id = ?1) ORDER BY number"
    );
    many(conn, &sql, [id.as_bytes()], rows::attempt)
}

/// What waits for each target. The oldest is looked for among the rows that are counted.
pub(super) fn backlog(conn: &Connection) -> Result<Vec<Backlog>, Fault> {
    let targets: Vec<(i64, String)> = conn
        .prepare_cached("SELECT t.id, w.text FROM targets t CROSS JOIN words w ON w.id = t.id ORDER BY w.text")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let count = |states: &[DeliveryState], target: i64| -> Result<(u64, Option<i64>), Fault> {
        let mut total = 0;
        let mut oldest: Option<i64> = None;
        for state in states {
            let (counted, first): (i64, Option<i64>) = conn
                .prepare_cached(
                    "SELECT count(*), min(notification) FROM (SELECT notification FROM deliveries
                         WHERE state = ?1 AND state <> 4 AND target = ?2 ORDER BY due_at LIMIT ?3)",
                )?
                .query_row(
                    (state_code(*state), target, i64::try_from(BACKLOG_COUNT_MAX).expect("a small number")),
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?;
            total += u64::try_from(counted).map_err(|_| Fault::corrupt("a count"))?;
            oldest = match (oldest, first) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        Ok((total.min(BACKLOG_COUNT_MAX), oldest))
    };
    let mut backlog = Vec::with_capacity(targets.len());
    for (id, target) in targets {
        let (open, oldest) = count(&[DeliveryState::Pending, DeliveryState::Leased], id)?;
        let oldest_at = match oldest {
            Some(seq) => conn
                .prepare_cached("SELECT received_at FROM notifications WHERE seq = ?1")?
                .query_row([seq], |row| row.get::<_, i64>(0))
                .optional()?
                .map(from_ms)
                .transpose()?,
            None => None,
        };
        backlog.push(Backlog {
            target,
            open,
            dead: count(&[DeliveryState::Dead], id)?.0,
            held: count(&[DeliveryState::Held], id)?.0,
            oldest_at,
        });
    }
    Ok(backlog)
}

/// The last notification of each channel, one look into the index for each.
pub(super) fn last_genuine(conn: &Connection) -> Result<Vec<(String, Timestamp)>, Fault> {
    let found: Vec<(String, i64)> = conn
        .prepare_cached(
            "WITH RECURSIVE channels (id) AS (
                 SELECT min(channel) FROM notifications
                 UNION ALL
                 SELECT (SELECT min(channel) FROM notifications WHERE channel > channels.id) FROM channels
                 WHERE channels.id IS NOT NULL)
             SELECT w.text, n.received_at FROM channels
             CROSS JOIN words w ON w.id = channels.id
             CROSS JOIN notifications n ON n.seq = (SELECT max(seq) FROM notifications WHERE channel = channels.id)
             WHERE channels.id IS NOT NULL",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.into_iter().map(|(channel, at)| Ok((channel, from_ms(at)?))).collect()
}

pub(super) fn notification_of(row: &Row<'_>) -> Result<(NotificationRecord, i64), Fault> {
    let key: String = row.get(5)?;
    let (platform_id, _digest) = key.rsplit_once('#').ok_or_else(|| Fault::corrupt("a notification's key"))?;
    let proof: String = row.get(9)?;
    let concerns: Option<String> = row.get(10)?;
    let time = |ms: Option<i64>| ms.map(from_ms).transpose();
    let record = NotificationRecord {
        id: NotificationId::from_bytes(row.get(0)?),
        channel: row.get(1)?,
        merchant: row.get(2)?,
        platform: row.get(3)?,
        environment: environment_of(&row.get::<_, String>(4)?)?,
        platform_id: platform_id.to_owned(),
        platform_kind: row.get(6)?,
        received_at: from_ms(row.get(7)?)?,
        sent_at: time(row.get(8)?)?,
        proof: serde_json::from_str(&proof).map_err(|_| Fault::corrupt("a proof"))?,
        concerns: concerns_of(concerns.as_deref())?,
        repeats: row.get(11)?,
        repeated_after_ack: row.get(12)?,
        last_repeated_at: time(row.get(13)?)?,
        acked_at: time(row.get(14)?)?,
        events: Vec::new(),
        request: None,
    };
    Ok((record, row.get(15)?))
}

pub(super) fn events_of(conn: &Connection, notification: i64) -> Result<Vec<EventId>, Fault> {
    let ids: Vec<[u8; 16]> = conn
        .prepare_cached("SELECT id FROM events WHERE notification = ?1 ORDER BY seq")?
        .query_map([notification], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids.into_iter().map(EventId::from_bytes).collect())
}

fn one<T>(
    conn: &Connection,
    sql: &str,
    id: &[u8; 16],
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut select = conn.prepare_cached(sql)?;
    let mut found = select.query([id])?;
    found.next()?.map(read).ok_or(Fault::Told(Error::NotFound))?
}

pub(super) fn many<T>(
    conn: &Connection,
    sql: &str,
    values: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut select = conn.prepare_cached(sql)?;
    let mut found = select.query(values)?;
    let mut list = Vec::new();
    while let Some(row) = found.next()? {
        list.push(read(row)?);
    }
    Ok(list)
}
