//! Reading for people and applications. Nothing here counts a table, and every list is cut.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params_from_iter};
use tollbell_channels::model::{NotificationKey, Scope, Timestamp};

use super::fault::Fault;
use super::rows::{
    self, ATTEMPT_COLUMNS, BLOCK_BITS, DELIVERY_SELECT, EVENT_COLUMNS, EVENT_TABLES, PLACE_BITS, concerns_of,
    delivery_seq, environment_of, event_seq, from_ms, notification_seq, state_code,
};
use super::work;
use crate::inbox::{
    AttemptRecord, BACKLOG_COUNT_MAX, Backlog, DeliveryId, DeliveryRecord, DeliveryState, Error, EventFilter, EventId,
    EventRecord, NotificationFilter, NotificationId, NotificationRecord, PAGE_MAX,
};

pub(super) const NOTIFICATION_SELECT: &str =
    "SELECT n.id, c.text, m.text, p.text, s.environment, n.platform_id, n.platform_kind,
    n.received_at, n.sent_at, f.text, n.concerns, n.repeats, n.repeated_after_ack, n.last_repeated_at, a.at, n.seq
    FROM notifications n LEFT JOIN acks a ON a.notification = n.seq LEFT JOIN words c ON c.id = n.channel LEFT JOIN words m ON m.id = n.merchant
    LEFT JOIN words p ON p.id = n.platform LEFT JOIN words f ON f.id = n.proof LEFT JOIN scopes s ON s.id = n.scope";

pub(super) fn notification(conn: &Connection, id: NotificationId) -> Result<NotificationRecord, Fault> {
    let sql = format!("{NOTIFICATION_SELECT} WHERE n.seq = ?1 AND n.id = ?2");
    let (mut record, seq) = one(conn, &sql, notification_seq(id), id.as_bytes(), notification_of)?;
    record.events = events_of(conn, seq)?;
    record.request = work::body(conn, seq)?;
    Ok(record)
}

/// By the key under which intake recognises a repetition.
pub(super) fn known(conn: &Connection, scope: &Scope, key: &NotificationKey) -> Result<Option<NotificationId>, Fault> {
    let found = conn
        .prepare_cached(
            "SELECT n.id FROM scopes s CROSS JOIN notifications n ON n.scope = s.id
             WHERE s.account = ?1 AND s.family = ?2 AND s.environment = ?3 AND n.platform_id = ?4 AND n.digest = ?5",
        )?
        .query_row(
            (
                &scope.account,
                scope.family,
                scope.environment.as_str(),
                &key.platform_id,
                i64::from_be_bytes(key.assertion),
            ),
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.map(NotificationId::from_bytes))
}

pub(super) fn event(conn: &Connection, id: EventId) -> Result<EventRecord, Fault> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE e.seq = ?1 AND e.id = ?2");
    one(conn, &sql, event_seq(id), id.as_bytes(), rows::event)
}

pub(super) fn delivery(conn: &Connection, id: DeliveryId) -> Result<DeliveryRecord, Fault> {
    let sql = format!("{DELIVERY_SELECT} WHERE d.seq = ?1 AND d.id = ?2");
    one(conn, &sql, delivery_seq(id), id.as_bytes(), rows::delivery)
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
    // Where nothing is more selective, a channel or a kind leads to the blocks that hold any of it.
    let is_selective = filter.order_no.is_some()
        || filter.is_unrouted
        || filter.state.is_some_and(|state| state != DeliveryState::Delivered);
    let word = |text: &str| -> Result<Option<i64>, Fault> {
        Ok(conn
            .prepare_cached("SELECT id FROM words WHERE text = ?1")?
            .query_row([text], |row| row.get(0))
            .optional()?)
    };
    let before = filter.before.map_or(i64::MAX, event_seq);
    let last = before >> (PLACE_BITS + BLOCK_BITS);
    let mut blocks = None;
    if let Some(channel) = &filter.channel {
        let Some(channel) = word(channel)? else { return Ok(Vec::new()) };
        blocks = Some(Blocks::new(Blocks::OF_CHANNEL, channel, 0, last, false));
    }
    // There are more kinds than channels, so a kind is the rarer one.
    if let Some(kind) = filter.kind {
        let Some(kind) = word(kind.as_str())? else { return Ok(Vec::new()) };
        blocks = Some(Blocks::new(Blocks::OF_KIND, kind, 0, last, false));
    }
    let mut blocks = blocks.filter(|_| !is_selective);
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
            "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq BETWEEN (e.seq >> 16) << 16 AND (e.seq | 65535) AND d.state = 4 AND (d.event = e.seq
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
    condition("e.seq < ?", Some(Value::Integer(before)));
    if blocks.is_some() {
        let shift = PLACE_BITS + BLOCK_BITS;
        condition(&format!("e.seq BETWEEN ? << {shift} AND (? << {shift} | ((1 << {shift}) - 1))"), Some(Value::Null));
    }
    let limit = filter.limit.min(PAGE_MAX);
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE {} ORDER BY e.seq DESC LIMIT {limit}",
        conditions.join(" AND ")
    );
    let mut select = conn.prepare_cached(&sql)?;
    let mut events = Vec::new();
    loop {
        if let Some(blocks) = &mut blocks {
            let Some(block) = blocks.next(conn)? else { break };
            *values.last_mut().expect("the block's place") = Value::Integer(block);
        }
        let mut found = select.query(params_from_iter(&values))?;
        while events.len() < limit
            && let Some(row) = found.next()?
        {
            events.push(rows::event(row)?);
        }
        if events.len() >= limit || blocks.is_none() {
            break;
        }
    }
    Ok(events)
}

/// Notifications in the order of their commits, so that following misses none that was committed later
/// than one with a younger id.
pub(super) fn notifications(conn: &Connection, filter: &NotificationFilter) -> Result<Vec<NotificationRecord>, Fault> {
    let before = filter.before.map_or(i64::MAX, notification_seq);
    let after = filter.after.map_or(0, notification_seq);
    let is_upward = filter.after.is_some();
    let limit = filter.limit.min(PAGE_MAX);
    let direction = if is_upward { "ASC" } else { "DESC" };
    let mut records = Vec::new();
    let Some(channel) = &filter.channel else {
        let sql =
            format!("{NOTIFICATION_SELECT} WHERE n.seq < ?1 AND n.seq > ?2 ORDER BY n.seq {direction} LIMIT {limit}");
        add_notifications(conn, &sql, (before, after), limit, &mut records)?;
        return Ok(records);
    };
    let channel: Option<i64> = conn
        .prepare_cached("SELECT id FROM words WHERE text = ?1")?
        .query_row([channel], |row| row.get(0))
        .optional()?;
    let Some(channel) = channel else { return Ok(records) };
    let sql = format!(
        "{NOTIFICATION_SELECT} WHERE n.seq < ?1 AND n.seq > ?2 AND n.seq BETWEEN ?3 << 10 AND (?3 << 10 | 1023)
             AND n.channel = ?4 ORDER BY n.seq {direction} LIMIT {limit}"
    );
    let mut blocks =
        Blocks::new(Blocks::OF_CHANNEL, channel, (after + 1) >> BLOCK_BITS, before >> BLOCK_BITS, is_upward);
    while records.len() < limit
        && let Some(block) = blocks.next(conn)?
    {
        add_notifications(conn, &sql, (before, after, block, channel), limit, &mut records)?;
    }
    Ok(records)
}

fn add_notifications(
    conn: &Connection,
    sql: &str,
    values: impl Params,
    limit: usize,
    records: &mut Vec<NotificationRecord>,
) -> Result<(), Fault> {
    let mut select = conn.prepare_cached(sql)?;
    let mut found = select.query(values)?;
    while records.len() < limit
        && let Some(row) = found.next()?
    {
        let (mut record, seq) = notification_of(row)?;
        record.events = events_of(conn, seq)?;
        records.push(record);
    }
    Ok(())
}

/// A walk over the blocks of notifications that hold something of a channel, or of a kind of event.
struct Blocks {
    sql: &'static str,
    is_upward: bool,
    word: i64,
    first: i64,
    last: i64,
}

impl Blocks {
    const OF_CHANNEL: [&'static str; 2] = [
        "SELECT block FROM channel_blocks WHERE channel = ?1 AND block BETWEEN ?2 AND ?3 ORDER BY block DESC LIMIT 1",
        "SELECT block FROM channel_blocks WHERE channel = ?1 AND block BETWEEN ?2 AND ?3 ORDER BY block LIMIT 1",
    ];
    const OF_KIND: [&'static str; 2] = [
        "SELECT block FROM kind_blocks WHERE kind = ?1 AND block BETWEEN ?2 AND ?3 ORDER BY block DESC LIMIT 1",
        "SELECT block FROM kind_blocks WHERE kind = ?1 AND block BETWEEN ?2 AND ?3 ORDER BY block LIMIT 1",
    ];

    fn new(sql: [&'static str; 2], word: i64, first: i64, last: i64, is_upward: bool) -> Self {
        Self { sql: sql[usize::from(is_upward)], is_upward, word, first, last }
    }

    fn next(&mut self, conn: &Connection) -> Result<Option<i64>, Fault> {
        let block: Option<i64> = conn
            .prepare_cached(self.sql)?
            .query_row((self.word, self.first, self.last), |row| row.get(0))
            .optional()?;
        if let Some(block) = block {
            if self.is_upward { self.first = block + 1 } else { self.last = block - 1 }
        }
        Ok(block)
    }
}

pub(super) fn deliveries_of(conn: &Connection, id: NotificationId) -> Result<Vec<DeliveryRecord>, Fault> {
    let sql = format!(
        "{DELIVERY_SELECT} WHERE d.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND n.id = ?2 ORDER BY d.seq LIMIT {PAGE_MAX}"
    );
    many(conn, &sql, (notification_seq(id), id.as_bytes()), rows::delivery)
}

pub(super) fn attempts_of(conn: &Connection, id: DeliveryId) -> Result<Vec<AttemptRecord>, Fault> {
    let sql = format!(
        "SELECT {ATTEMPT_COLUMNS} FROM attempts
         WHERE delivery = (SELECT seq FROM deliveries WHERE seq = ?1 AND id = ?2) ORDER BY number"
    );
    many(conn, &sql, (delivery_seq(id), id.as_bytes()), rows::attempt)
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
                    "SELECT count(*), min(seq) >> 16 FROM (SELECT seq FROM deliveries
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

/// The last notification of each channel: in the last block that has one.
pub(super) fn last_genuine(conn: &Connection) -> Result<Vec<(String, Timestamp)>, Fault> {
    let found: Vec<(String, i64)> = conn
        .prepare_cached(
            "SELECT w.text, n.received_at FROM (SELECT channel, max(block) AS block FROM channel_blocks GROUP BY channel) b
             CROSS JOIN words w ON w.id = b.channel
             CROSS JOIN notifications n ON n.seq = (SELECT seq FROM notifications
                 WHERE seq BETWEEN b.block << 10 AND (b.block << 10 | 1023) AND channel = b.channel
                 ORDER BY seq DESC LIMIT 1)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.into_iter().map(|(channel, at)| Ok((channel, from_ms(at)?))).collect()
}

pub(super) fn notification_of(row: &Row<'_>) -> Result<(NotificationRecord, i64), Fault> {
    let proof: String = row.get(9)?;
    let concerns: Option<String> = row.get(10)?;
    let time = |ms: Option<i64>| ms.map(from_ms).transpose();
    let record = NotificationRecord {
        id: NotificationId::from_bytes(row.get(0)?),
        channel: row.get(1)?,
        merchant: row.get(2)?,
        platform: row.get(3)?,
        environment: environment_of(&row.get::<_, String>(4)?)?,
        platform_id: row.get(5)?,
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
        .prepare_cached("SELECT id FROM events WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) ORDER BY seq")?
        .query_map([notification], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(ids.into_iter().map(EventId::from_bytes).collect())
}

fn one<T>(
    conn: &Connection,
    sql: &str,
    seq: i64,
    id: &[u8; 16],
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut select = conn.prepare_cached(sql)?;
    let mut found = select.query((seq, id))?;
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
