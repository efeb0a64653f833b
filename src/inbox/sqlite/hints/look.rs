//! Reading hints, for people and for metrics.

use rusqlite::{Connection, Row};

use super::super::fault::Fault;
use super::super::rows::from_ms;
use super::{class_code, ground_of, state_code};
use crate::inbox::hints::{Ground, HintBacklog, HintFilter, HintRecord, HintState, HintSums};
use crate::inbox::{NotificationId, PAGE_MAX};

/// The rows of a filter.
pub(super) fn list(conn: &Connection, filter: &HintFilter) -> Result<Vec<HintRecord>, Fault> {
    let mut select = conn.prepare_cached(
        "SELECT w.text, h.number, h.state, h.class, h.due_at, h.told, h.asks, h.failures, h.first_at, h.last_at,
             h.asked_at, h.outcome, h.notification
         FROM hints h CROSS JOIN words w ON w.id = h.channel
         WHERE (?1 IS NULL OR h.channel = (SELECT id FROM words WHERE text = ?1)) AND (?2 IS NULL OR h.state = ?2)
             AND (?3 IS NULL OR h.number = ?3)
         ORDER BY h.state > 1, h.due_at, h.number LIMIT ?4",
    )?;
    let limit = i64::try_from(filter.limit.min(PAGE_MAX)).expect("a small number");
    let mut rows = select.query((&filter.channel, filter.state.map(state_code), &filter.number, limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(found)
}

fn record(row: &Row<'_>) -> Result<HintRecord, Fault> {
    let code: i64 = row.get(2)?;
    let state = HintState::ALL.iter().copied().find(|state| state_code(*state) == code);
    let asked_at: Option<i64> = row.get(10)?;
    let notification: Option<[u8; 16]> = row.get(12)?;
    Ok(HintRecord {
        channel: row.get(0)?,
        number: row.get(1)?,
        state: state.ok_or_else(|| Fault::corrupt("a hint's state"))?,
        ground: ground_of(row.get(3)?)?,
        due_at: from_ms(row.get(4)?)?,
        told: row.get(5)?,
        asks: row.get(6)?,
        failures: row.get(7)?,
        first_at: from_ms(row.get(8)?)?,
        last_at: from_ms(row.get(9)?)?,
        asked_at: asked_at.map(from_ms).transpose()?,
        outcome: row.get(11)?,
        notification: notification.map(NotificationId::from_bytes),
    })
}

/// What is open of each channel that ever had a hint.
pub(super) fn backlog(conn: &Connection) -> Result<Vec<HintBacklog>, Fault> {
    let mut select = conn.prepare_cached(
        "SELECT w.text, t.open, (SELECT min(h.waits_since) FROM hints h WHERE h.channel = t.channel AND h.state <= 1
                 AND (h.failures > 0 OR (h.class = 0 AND h.asks = 0))),
             (SELECT count(*) FROM hints h WHERE h.channel = t.channel AND h.state <= 1
                 AND (h.is_trusted = 1 OR h.class < ?1)
                 AND NOT (h.state = 0 AND h.asks > 0 AND h.failures = 0 AND h.asked_at > h.last_at
                     AND (h.misses = 0 OR h.is_trusted = 0)))
         FROM hint_totals t CROSS JOIN words w ON w.id = t.channel ORDER BY w.text",
    )?;
    let mut rows = select.query([class_code(Ground::Doubtful)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let oldest: Option<i64> = row.get(2)?;
        let open = u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0);
        let owed = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
        found.push(HintBacklog { channel: row.get(0)?, open, owed, oldest_at: oldest.map(from_ms).transpose()? });
    }
    Ok(found)
}

/// What the questions of a channel came to. A number that is not known is asked about again before it is given up, and
/// counts as unknown from the first time.
pub(super) fn sums(conn: &Connection, channel: &str) -> Result<HintSums, Fault> {
    let mut select = conn.prepare_cached(
        "SELECT count(h.notification), count(*) FILTER (WHERE h.failures > 0),
             count(*) FILTER (WHERE h.is_missed AND NOT h.is_known),
             count(*) FILTER (WHERE h.is_missed AND NOT h.is_known AND (h.is_vouched OR h.class = ?2))
         FROM hints h WHERE h.channel = (SELECT id FROM words WHERE text = ?1)",
    )?;
    let sums = select.query_row((channel, class_code(Ground::Proven)), |row| {
        let count = |place| row.get::<_, i64>(place).map(|count| u64::try_from(count).unwrap_or(0));
        Ok(HintSums { told: count(0)?, unanswered: count(1)?, unknown: count(2)?, unknown_proven: count(3)? })
    })?;
    Ok(sums)
}
