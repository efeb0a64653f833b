//! Keeping house: replay, retention, backup.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, ErrorCode, OptionalExtension as _};
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::rows::{delivery_seq, event_seq, notification_seq, state_code, to_ms};
use super::session::{NamesSweep, Session};
use super::{audit, files, hints, rejections, schema};
use crate::inbox::{AuditRecord, DeliveryState, Error, Replay, ReplayWhat, Retained, Retention};

/// Dead deliveries that one call replays at most, so that intake never waits long.
const REPLAY_MAX: usize = 1000;
/// Names that a slice looks at for each row that it may remove: looking is cheap.
const NAMES_PER_ROW: i64 = 10;

/// Steps of SQLite's virtual machine between two looks whether a backup should end.
const STEPS_PER_LOOK: i32 = 4000;

/// Makes deliveries due again.
pub(super) fn replay(session: &mut Session, replay: &Replay, by: &str) -> Result<u64, Fault> {
    let target = match &replay.target {
        None => None,
        Some(name) => {
            let known = session
                .conn
                .prepare_cached("SELECT id FROM words WHERE text = ?1")?
                .query_row([name], |row| row.get::<_, i64>(0))
                .optional()?;
            let Some(id) = known else { return Ok(0) };
            Some(id)
        }
    };
    let seqs = select_for_replay(&session.conn, &replay.what, target)?;
    let at = to_ms(replay.at);
    let mut count = 0;
    for seq in seqs {
        let moved = session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, due_at = ?3, tries = 0, changed_at = ?3, waits_for = NULL WHERE seq = ?1",
            )?
            .execute((seq, state_code(DeliveryState::Pending), at))?;
        count += u64::try_from(moved).expect("one row");
    }
    if count > 0 {
        session.made_due = true;
    }
    let what = match &replay.what {
        ReplayWhat::Event(id) => id.to_string(),
        ReplayWhat::Notification(id) => id.to_string(),
        ReplayWhat::Delivery(id) => id.to_string(),
        ReplayWhat::Dead(_) => "dead".to_owned(),
    };
    let to = replay.target.as_ref().map(|target| format!("target={target}"));
    let subjects = std::iter::once(what).chain(to).collect();
    audit::note(session, &AuditRecord::new(replay.at, by, "replay", subjects).changed(count))?;
    Ok(count)
}

/// Notes what somebody did.
pub(super) fn audit(conn: &Connection, at_ms: i64, by: &str, what: &str) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO audit (at, who, what) VALUES (?1, ?2, ?3)")?.execute((at_ms, by, what))?;
    Ok(())
}

fn select_for_replay(conn: &Connection, what: &ReplayWhat, target: Option<i64>) -> Result<Vec<i64>, Fault> {
    let list = |sql: &str, seq: i64| -> Result<Vec<i64>, Fault> {
        Ok(conn.prepare_cached(sql)?.query_map((seq, target), |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    let exists = |sql: &str, seq: i64, id: &[u8; 16]| -> Result<(), Fault> {
        Ok(conn.prepare_cached(sql)?.query_row((seq, id), |_| Ok(()))?)
    };
    match what {
        ReplayWhat::Event(id) => {
            exists("SELECT 1 FROM events WHERE seq = ?1 AND id = ?2", event_seq(*id), id.as_bytes())?;
            list(
                "SELECT d.seq FROM events e CROSS JOIN deliveries d ON d.seq BETWEEN (e.seq >> 16) << 16 AND (e.seq | 65535)
                 WHERE e.seq = ?1 AND (?2 IS NULL OR d.target = ?2) AND d.state BETWEEN 4 AND 7 AND (d.event = e.seq
                     OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = e.seq))",
                event_seq(*id),
            )
        }
        ReplayWhat::Notification(id) => {
            exists("SELECT 1 FROM notifications WHERE seq = ?1 AND id = ?2", notification_seq(*id), id.as_bytes())?;
            list(
                "SELECT d.seq FROM deliveries d
                 WHERE d.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND (?2 IS NULL OR d.target = ?2) AND d.state BETWEEN 4 AND 7",
                notification_seq(*id),
            )
        }
        // Named by itself, a delivery that waits goes out: a person decided not to wait for its payment.
        ReplayWhat::Delivery(id) => {
            exists("SELECT 1 FROM deliveries WHERE seq = ?1 AND id = ?2", delivery_seq(*id), id.as_bytes())?;
            list(
                "SELECT seq FROM deliveries WHERE seq = ?1 AND (?2 IS NULL OR target = ?2)
                     AND (state BETWEEN 4 AND 7 OR state = 0)",
                delivery_seq(*id),
            )
        }
        ReplayWhat::Dead(max) => Ok(conn
            .prepare_cached(
                "SELECT seq FROM deliveries WHERE state = 5 AND state <> 4 AND (?1 IS NULL OR target = ?1)
                 ORDER BY target, due_at, seq LIMIT ?2",
            )?
            .query_map((target, i64::try_from(REPLAY_MAX.min(*max)).expect("a small number")), |row| row.get(0))?
            .collect::<Result<_, _>>()?),
    }
}

/// Removes one slice of what is old enough: bodies, then whole notifications, then names and totals that
/// lead nowhere any more. What is not finished is never removed, however old.
pub(super) fn retain(session: &mut Session, retention: Retention, now: Timestamp) -> Result<Retained, Fault> {
    let slice = i64::try_from(retention.slice.clamp(1, 100_000)).expect("clamped");
    let before = |age: std::time::Duration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
    let identities_before = to_ms(before(retention.identities.max(retention.bodies)));

    let (bodies, are_bodies_done) = remove_bodies(session, to_ms(before(retention.bodies)), slice)?;
    if !are_bodies_done {
        return Ok(Retained { bodies, notifications: 0, rejections: 0, is_done: false });
    }
    let rejections = rejections::retain(session, to_ms(before(retention.rejections)), slice)?;
    if rejections > 0 {
        return Ok(Retained { bodies, notifications: 0, rejections, is_done: false });
    }
    if hints::retain(session, now, slice)? > 0 {
        return Ok(Retained { bodies, notifications: 0, rejections, is_done: false });
    }
    let (notifications, are_notifications_done) = remove_notifications(session, identities_before, slice)?;
    if !are_notifications_done {
        return Ok(Retained { bodies, notifications, rejections, is_done: false });
    }
    let is_done = sweep_names(session, identities_before, slice)?;
    if is_done {
        for sql in [
            "DELETE FROM channel_blocks WHERE block < (SELECT min(seq) >> 10 FROM notifications)",
            "DELETE FROM kind_blocks WHERE block < (SELECT min(seq) >> 10 FROM notifications)",
        ] {
            session.conn.prepare_cached(sql)?.execute([])?;
        }
        session.conn.prepare_cached("DELETE FROM audit WHERE at < ?1")?.execute([identities_before])?;
        session.sweep.bodies_after = 0;
        session.sweep.notifications_after = 0;
    }
    Ok(Retained { bodies, notifications, rejections, is_done })
}

/// A delivery of the notification may still go out, or another one waits for it.
const IS_OPEN: &str =
    "EXISTS (SELECT 1 FROM deliveries d WHERE d.seq BETWEEN n.seq << 16 AND (n.seq << 16 | 65535) AND (d.state < 4
    OR EXISTS (SELECT 1 FROM deliveries f WHERE f.waits_for = d.seq)))";

/// Looks at the next rows in the order of their commits and stops at the first that is too young.
fn remove_bodies(session: &mut Session, before_ms: i64, slice: i64) -> Result<(u64, bool), Fault> {
    let sql = format!(
        "SELECT b.notification, n.received_at < ?2, {IS_OPEN} FROM bodies b
         CROSS JOIN notifications n ON n.seq = b.notification WHERE b.notification > ?1 ORDER BY b.notification LIMIT ?3"
    );
    let looked_at = look(&session.conn, &sql, session.sweep.bodies_after, before_ms, slice)?;
    let mut removed = 0;
    for row in &looked_at {
        if !row.is_old {
            return Ok((removed, true));
        }
        session.sweep.bodies_after = row.seq;
        if !row.is_open {
            session.conn.prepare_cached("DELETE FROM bodies WHERE notification = ?1")?.execute([row.seq])?;
            removed += 1;
        }
    }
    Ok((removed, looked_at.is_empty()))
}

fn remove_notifications(session: &mut Session, before_ms: i64, slice: i64) -> Result<(u64, bool), Fault> {
    let sql = format!(
        "SELECT n.seq, n.received_at < ?2, {IS_OPEN} FROM notifications n WHERE n.seq > ?1 ORDER BY n.seq LIMIT ?3"
    );
    let looked_at = look(&session.conn, &sql, session.sweep.notifications_after, before_ms, slice)?;
    let mut removed = 0;
    for row in &looked_at {
        if !row.is_old {
            return Ok((removed, true));
        }
        session.sweep.notifications_after = row.seq;
        if !row.is_open {
            remove_notification(&session.conn, row.seq)?;
            session.sweep.has_loose_names = true;
            removed += 1;
        }
    }
    Ok((removed, looked_at.is_empty()))
}

struct LookedAt {
    seq: i64,
    is_old: bool,
    is_open: bool,
}

fn look(conn: &Connection, sql: &str, after: i64, before_ms: i64, slice: i64) -> Result<Vec<LookedAt>, Fault> {
    Ok(conn
        .prepare_cached(sql)?
        .query_map((after, before_ms, slice), |row| {
            Ok(LookedAt { seq: row.get(0)?, is_old: row.get(1)?, is_open: row.get(2)? })
        })?
        .collect::<Result<_, _>>()?)
}

fn remove_notification(conn: &Connection, seq: i64) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM attempts WHERE delivery IN (SELECT seq FROM deliveries WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535))",
        "DELETE FROM delivery_events WHERE delivery IN (SELECT seq FROM deliveries WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535))",
        "DELETE FROM awaited WHERE (scope, payment) IN
             (SELECT scope, payment FROM events WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND payment IS NOT NULL)
             AND delivery IN (SELECT seq FROM deliveries WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535))",
        "DELETE FROM deliveries WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535)",
        "DELETE FROM events WHERE seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535)",
        "DELETE FROM bodies WHERE notification = ?1",
        "DELETE FROM acks WHERE notification = ?1",
        "DELETE FROM notifications WHERE seq = ?1",
        "INSERT INTO numbers (id, used) VALUES (1, ?1) ON CONFLICT DO UPDATE SET used = max(used, excluded.used)",
    ] {
        conn.prepare_cached(sql)?.execute([seq])?;
    }
    Ok(())
}

/// Names whose event is gone, and totals that nothing raised for as long. They have no index by event or
/// time, which would cost more on every callback than this walk through all of them costs now and then.
fn sweep_names(session: &mut Session, before_ms: i64, slice: i64) -> Result<bool, Fault> {
    if session.sweep.names.is_none() {
        if !session.sweep.has_loose_names {
            return Ok(true);
        }
        session.sweep.names = Some(NamesSweep::Identities { scope: 0, kind: 0, text: String::new() });
        session.sweep.has_loose_names = false;
    }
    let limit = slice.saturating_mul(NAMES_PER_ROW);
    let next = match session.sweep.names.take().expect("set above") {
        NamesSweep::Identities { scope, kind, text } => sweep_identities(&session.conn, (scope, kind, text), limit)?,
        NamesSweep::Totals { scope, series, currency } => {
            sweep_totals(&session.conn, (scope, series, currency), before_ms, limit)?
        }
    };
    session.sweep.names = next;
    Ok(session.sweep.names.is_none())
}

fn sweep_identities(conn: &Connection, after: (i64, i64, String), limit: i64) -> Result<Option<NamesSweep>, Fault> {
    let rows: Vec<(i64, i64, String, bool)> = conn
        .prepare_cached(
            "SELECT scope, kind, text, NOT EXISTS (SELECT 1 FROM events e WHERE e.seq = i.event) FROM identities i
             WHERE (scope, kind, text) > (?1, ?2, ?3) ORDER BY scope, kind, text LIMIT ?4",
        )?
        .query_map((after.0, after.1, after.2, limit), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (scope, kind, text, _) in rows.iter().filter(|(.., is_loose)| *is_loose) {
        conn.prepare_cached("DELETE FROM identities WHERE scope = ?1 AND kind = ?2 AND text = ?3")?
            .execute((scope, kind, text))?;
    }
    Ok(Some(match rows.into_iter().last() {
        Some((scope, kind, text, _)) => NamesSweep::Identities { scope, kind, text },
        None => NamesSweep::Totals { scope: 0, series: String::new(), currency: String::new() },
    }))
}

fn sweep_totals(
    conn: &Connection,
    after: (i64, String, String),
    before_ms: i64,
    limit: i64,
) -> Result<Option<NamesSweep>, Fault> {
    let rows: Vec<(i64, String, String, bool)> = conn
        .prepare_cached(
            "SELECT scope, series, currency, changed_at < ?5 FROM totals
             WHERE (scope, series, currency) > (?1, ?2, ?3) ORDER BY scope, series, currency LIMIT ?4",
        )?
        .query_map((after.0, after.1, after.2, limit, before_ms), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (scope, series, currency, _) in rows.iter().filter(|(.., is_old)| *is_old) {
        conn.prepare_cached("DELETE FROM totals WHERE scope = ?1 AND series = ?2 AND currency = ?3")?
            .execute((scope, series, currency))?;
    }
    Ok(rows.into_iter().last().map(|(scope, series, currency, _)| NamesSweep::Totals { scope, series, currency }))
}

/// Writes a copy of one moment to a new file. One statement in one read transaction, because a copy page by
/// page begins again whenever the node writes, and would never end under load.
///
/// It ends early when the inbox is closed: a large copy must not keep a node from ending.
pub(super) fn backup(from: &Path, to: &Path, is_closing: &Arc<AtomicBool>) -> Result<(), Error> {
    let name = to.to_str().ok_or_else(|| Error::Unavailable("the backup's path is not UTF-8".to_owned()))?;
    let file = files::create(to).map_err(|error| files::unavailable("create", to, &error))?;
    let copy = || -> Result<(), Fault> {
        let mut conn = schema::open_reader(from)?;
        // The file is opened for reading only; the copy is a file of its own, which this would forbid.
        conn.pragma_update(None, "query_only", false)?;
        let flag = Arc::clone(is_closing);
        conn.progress_handler(STEPS_PER_LOOK, Some(move || flag.load(Ordering::Relaxed)))?;
        match conn.execute("VACUUM INTO ?1", [name]) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                Err(Error::Closed.into())
            }
            copied => copied.map(|_| ()).map_err(Fault::from),
        }
    };
    let synced = copy().map_err(Fault::into_error).and_then(|()| {
        file.sync_all()
            .and_then(|()| files::sync_directory_of(to))
            .map_err(|error| files::unavailable("sync", to, &error))
    });
    if synced.is_err()
        && let Err(error) = std::fs::remove_file(to)
    {
        tracing::warn!(%error, "an incomplete backup could not be removed");
    }
    synced
}
