//! What the operator of a node asks of its inbox: how large it is, what is not finished, whether the writer
//! answers, and to give up what a removed target left.

use std::path::Path;

use rusqlite::Connection;
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::files;
use super::rows::{PLACE_BITS, PLACES_MAX, state_code, to_ms};
use super::session::Session;
use crate::inbox::{BACKLOG_COUNT_MAX, DeliveryId, DeliveryState, Size};

/// The states of a delivery that is not finished.
const UNFINISHED: [DeliveryState; 4] =
    [DeliveryState::Waiting, DeliveryState::Held, DeliveryState::Pending, DeliveryState::Leased];
/// Deliveries that one call discards at most, so that intake never waits long.
const DISCARD_MAX: usize = 500;

/// Notifications whose events are counted to tell how many events there are.
const EVENTS_SAMPLED: u64 = 10_000;

/// How large the inbox is. No table is counted.
pub(super) fn size(conn: &Connection, path: &Path) -> Result<Size, Fault> {
    let number = |sql: &str| -> Result<u64, Fault> {
        let found: i64 = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        u64::try_from(found).map_err(|_| Fault::corrupt("a size"))
    };
    let page = number("PRAGMA page_size")?;
    // Numbers are given in order and never twice, so that their range tells about how many there are.
    let notifications = number(
        "SELECT coalesce((SELECT seq FROM notifications ORDER BY seq DESC LIMIT 1)
             - (SELECT seq FROM notifications ORDER BY seq LIMIT 1) + 1, 0)",
    )?;
    // Events have no such row; how many the newest notifications brought tells about how many all did.
    let sampled = notifications.min(EVENTS_SAMPLED);
    let of_sample = number(&format!(
        "SELECT count(*) FROM events
         WHERE seq > (SELECT max(seq) - {sampled} FROM notifications) << {PLACE_BITS} | {PLACES_MAX}"
    ))?;
    Ok(Size {
        bytes: number("PRAGMA page_count")? * page,
        free_bytes: number("PRAGMA freelist_count")? * page,
        wal_bytes: files::length(&files::beside(path, "-wal")),
        notifications,
        events: notifications.saturating_mul(of_sample).checked_div(sampled).unwrap_or(0),
    })
}

/// How many deliveries of each target are not finished, counted up to [`BACKLOG_COUNT_MAX`] for each state.
pub(super) fn unfinished(conn: &Connection) -> Result<Vec<(String, u64)>, Fault> {
    let targets: Vec<(i64, String)> = conn
        .prepare_cached("SELECT t.id, w.text FROM targets t CROSS JOIN words w ON w.id = t.id ORDER BY w.text")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (id, target) in targets {
        let mut count = 0;
        for state in UNFINISHED {
            let counted: i64 = conn
                .prepare_cached(
                    "SELECT count(*) FROM (SELECT 1 FROM deliveries
                         WHERE state = ?1 AND state <> 4 AND target = ?2 LIMIT ?3)",
                )?
                .query_row(
                    (state_code(state), id, i64::try_from(BACKLOG_COUNT_MAX).expect("a small number")),
                    |row| row.get(0),
                )?;
            count += u64::try_from(counted).map_err(|_| Fault::corrupt("a count"))?;
        }
        if count > 0 {
            found.push((target, count));
        }
    }
    Ok(found)
}

/// Gives up one slice of what is not finished of a target that is no longer configured. Says how many; 0 is the
/// end. Whoever calls has seen to it that nobody attempts them any more.
pub(super) fn discard_open(session: &mut Session, target: &str, who: &str, at: Timestamp) -> Result<u64, Fault> {
    let limit = i64::try_from(DISCARD_MAX).expect("a small number");
    let mut seqs: Vec<(i64, [u8; 16])> = Vec::new();
    for state in UNFINISHED {
        let found: Vec<(i64, [u8; 16])> = session
            .conn
            .prepare_cached(
                "SELECT seq, id FROM deliveries WHERE state = ?1 AND state <> 4
                     AND target = (SELECT id FROM words WHERE text = ?2) LIMIT ?3",
            )?
            .query_map((state_code(state), target, limit), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        seqs.extend(found);
    }
    seqs.truncate(DISCARD_MAX);
    let at_ms = to_ms(at);
    for (seq, id) in &seqs {
        // The attempt of a process that died left no row yet.
        session
            .conn
            .prepare_cached(
                "INSERT INTO attempts (delivery, number, started_at, ended_at, outcome, reason, detail, body_head, stderr)
                 SELECT seq, attempts, changed_at, ?2, 'interrupted', 'discarded', '', '', '' FROM deliveries
                 WHERE seq = ?1 AND state = ?3",
            )?
            .execute((seq, at_ms, state_code(DeliveryState::Leased)))?;
        session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, due_at = NULL, token = NULL, waits_for = NULL, changed_at = ?3
                 WHERE seq = ?1",
            )?
            .execute((seq, state_code(DeliveryState::Discarded), at_ms))?;
        session.note_settled(DeliveryId::from_bytes(*id), DeliveryState::Discarded);
    }
    let count = seqs.len() as u64;
    if count > 0 {
        session.conn.prepare_cached("INSERT INTO audit (at, who, what) VALUES (?1, ?2, ?3)")?.execute((
            at_ms,
            who,
            format!("discard what is open for {target}: {count}"),
        ))?;
    }
    Ok(count)
}
