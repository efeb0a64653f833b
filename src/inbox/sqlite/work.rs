//! Claiming deliveries under a lease, and finishing them.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row};
use tollbell_channels::model::{Fact, Timestamp};

use super::fault::Fault;
use super::rows::{self, BODY_COLUMNS, EVENT_COLUMNS, EVENT_TABLES, delivery_seq, state_code, to_ms};
use super::session::Session;
use super::{superseded, waits};
use crate::inbox::{
    Claim, DeliveryId, DeliveryState, Error, EventRecord, Finish, Finished, LeaseToken, Leased, Next, NotificationId,
    Standing,
};

/// Deliveries that one claim takes at most: their bodies are in memory until they are done.
const CLAIM_MAX: usize = 256;
/// Bytes of bodies after which one claim takes no more.
const CLAIM_BYTES_MAX: usize = 1024 * 1024;

/// A lease that was just taken.
#[derive(Clone, Copy)]
struct Lease {
    seq: i64,
    token: LeaseToken,
    until: Timestamp,
    attempt: u32,
    tries: u32,
}

/// A delivery that is due.
struct Due {
    seq: i64,
    state: i64,
    attempts: u32,
    tries: u32,
    changed_at: i64,
    /// Since when, or until when its lease lasted.
    at: i64,
}

/// Takes the leases, and reads what goes out under them: on this connection the rows are at hand.
pub(super) fn claim(session: &mut Session, claim: &Claim) -> Result<Vec<Leased>, Fault> {
    let until = claim.now.checked_add(claim.lease).map_err(|_| Fault::corrupt("a lease's end"))?;
    let target = session.target(&claim.target)?;
    renew(session, &claim.running, until)?;
    pull_in(session, target, DeliveryState::Pending, claim.now, claim.longest_wait)?;
    // A running attempt ends before its lease does, counted from now as well as from its beginning.
    pull_in(session, target, DeliveryState::Leased, claim.now, claim.lease)?;
    let due = due_now(session, target, claim)?;
    take(session, due, claim.now, until)
}

/// Takes leases of deliveries that are pending and due, and of no others.
pub(super) fn claim_pending(session: &mut Session, target: i64, claim: &Claim) -> Result<Vec<Leased>, Fault> {
    let until = claim.now.checked_add(claim.lease).map_err(|_| Fault::corrupt("a lease's end"))?;
    let due: Vec<Due> = session
        .conn
        .prepare_cached(
            "SELECT seq, state, attempts, tries, changed_at, due_at FROM deliveries
             WHERE state = 2 AND state <> 4 AND target = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3",
        )?
        .query_map((target, to_ms(claim.now), limit(claim)), due)?
        .collect::<Result<_, _>>()?;
    take(session, due, claim.now, until)
}

/// What is due, the longest due first.
fn due_now(session: &Session, target: i64, claim: &Claim) -> Result<Vec<Due>, Fault> {
    let mut select = session.conn.prepare_cached(
        "SELECT seq, state, attempts, tries, changed_at, due_at FROM (
             SELECT * FROM (SELECT seq, state, attempts, tries, changed_at, due_at FROM deliveries
                 WHERE state = 2 AND state <> 4 AND target = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3)
             UNION ALL
             SELECT * FROM (SELECT seq, state, attempts, tries, changed_at, due_at FROM deliveries
                 WHERE state = 3 AND state <> 4 AND target = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3)
             UNION ALL
             SELECT * FROM (SELECT seq, state, attempts, tries, changed_at, due_at FROM deliveries
                 WHERE state = 0 AND state <> 4 AND target = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT ?3))
         ORDER BY due_at, seq LIMIT ?3",
    )?;
    let rows = select.query_map((target, to_ms(claim.now), limit(claim)), due)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn due(row: &Row<'_>) -> Result<Due, rusqlite::Error> {
    Ok(Due {
        seq: row.get(0)?,
        state: row.get(1)?,
        attempts: row.get(2)?,
        tries: row.get(3)?,
        changed_at: row.get(4)?,
        at: row.get(5)?,
    })
}

fn limit(claim: &Claim) -> i64 {
    i64::try_from(claim.max.min(CLAIM_MAX)).expect("a small number")
}

/// Leases what is due, as far as it fits into memory.
fn take(session: &mut Session, due: Vec<Due>, now: Timestamp, until: Timestamp) -> Result<Vec<Leased>, Fault> {
    let now_ms = to_ms(now);
    let mut taken = Vec::with_capacity(due.len());
    let mut bytes = 0;
    for due in due {
        if bytes >= CLAIM_BYTES_MAX {
            break;
        }
        if due.state == state_code(DeliveryState::Leased) {
            session
                .conn
                .prepare_cached(
                    "INSERT INTO attempts (delivery, number, started_at, ended_at, outcome, reason, detail, body_head, stderr)
                     VALUES (?1, ?2, ?3, ?4, 'interrupted', 'lease_expired', '', '', '')",
                )?
                .execute((due.seq, due.attempts, due.changed_at, due.at))?;
        }
        let lease = Lease {
            seq: due.seq,
            token: LeaseToken::new(),
            until,
            attempt: due.attempts.saturating_add(1),
            tries: due.tries.saturating_add(1),
        };
        session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, tries = ?5, changed_at = ?6,
                     token = ?7, waits_for = NULL WHERE seq = ?1",
            )?
            .execute((
                due.seq,
                state_code(DeliveryState::Leased),
                to_ms(until),
                lease.attempt,
                lease.tries,
                now_ms,
                lease.token.as_bytes(),
            ))?;
        match load(&session.conn, lease) {
            Ok(leased) => {
                bytes += leased.request.as_ref().map_or(0, |request| request.body.len());
                taken.push(leased);
            }
            Err(fault) if fault.spoils_connection() => return Err(fault),
            Err(fault) => {
                let cause = match fault.into_error() {
                    Error::Corrupt(cause) => cause,
                    Error::NotFound => "a row is missing".to_owned(),
                    error => return Err(error.into()),
                };
                tracing::error!(lease = %lease.token, cause, "a delivery cannot be read and is given up");
                bury(session, lease, &cause, now)?;
            }
        }
    }
    Ok(taken)
}

/// Gives leases whose attempts still run the time that a jump of the clock took from them.
fn renew(session: &Session, running: &[(DeliveryId, LeaseToken)], until: Timestamp) -> Result<(), Fault> {
    for (delivery, token) in running {
        session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET due_at = ?3 WHERE seq = ?1 AND id = ?5 AND token = ?2 AND state = ?4 AND due_at < ?3",
            )?
            .execute((delivery_seq(*delivery), token.as_bytes(), to_ms(until), state_code(DeliveryState::Leased), delivery.as_bytes()))?;
    }
    Ok(())
}

/// Brings plans of a clock that has been set back since within the longest time that is ever planned.
fn pull_in(
    session: &Session,
    target: i64,
    state: DeliveryState,
    now: Timestamp,
    longest: Duration,
) -> Result<(), Fault> {
    let latest = now.checked_add(longest).unwrap_or(Timestamp::MAX);
    session
        .conn
        .prepare_cached(
            "UPDATE deliveries SET due_at = ?3 WHERE state = ?2 AND state <> 4 AND target = ?1 AND due_at > ?3",
        )?
        .execute((target, state_code(state), to_ms(latest)))?;
    Ok(())
}

/// What goes out under a lease.
fn load(conn: &Connection, lease: Lease) -> Result<Leased, Fault> {
    let (delivery, notification, is_raw, seq, platform, event, is_alone, way) = conn
        .prepare_cached(
            "SELECT d.id, n.id, d.is_raw, n.seq, p.text, d.event,
                 NOT EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq), n.way
             FROM deliveries d CROSS JOIN notifications n ON n.seq = d.seq >> 16
             CROSS JOIN words p ON p.id = n.platform WHERE d.seq = ?1",
        )?
        .query_row([lease.seq], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get::<_, i64>(3)?,
                row.get_ref(4)?.as_str()?.into(),
                row.get::<_, i64>(5)?,
                row.get::<_, bool>(6)?,
                row.get(7)?,
            ))
        })?;
    let events =
        if is_alone { events(conn, "?1", event)? } else { events(conn, waits::EVENTS_OF_DELIVERY, lease.seq)? };
    let first = events.first().ok_or_else(|| Fault::corrupt("a delivery without events"))?;
    let (channel, merchant, environment) =
        (Arc::from(first.channel.as_str()), Arc::from(first.merchant.as_str()), first.environment);
    Ok(Leased {
        delivery: DeliveryId::from_bytes(delivery),
        token: lease.token,
        until: lease.until,
        attempt: lease.attempt,
        tries: lease.tries,
        notification: NotificationId::from_bytes(notification),
        is_raw,
        channel,
        platform,
        merchant,
        environment,
        events,
        way: rows::way_of(way)?,
        request: body(conn, seq)?,
    })
}

/// The events whose numbers this piece of SQL gives.
fn events(conn: &Connection, numbers: &'static str, of: i64) -> Result<Vec<EventRecord>, Fault> {
    let sql = format!("SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE e.seq IN ({numbers}) ORDER BY e.seq");
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query([of])?;
    let mut events = Vec::with_capacity(1);
    while let Some(row) = found.next()? {
        events.push(rows::event(row)?);
    }
    Ok(events)
}

/// The request of a notification, while it is kept.
pub(super) fn body(
    conn: &Connection,
    notification: i64,
) -> Result<Option<tollbell_channels::model::RawRequest>, Fault> {
    let sql = format!(
        "SELECT {BODY_COLUMNS} FROM bodies b CROSS JOIN notifications n ON n.seq = b.notification
         WHERE b.notification = ?1"
    );
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query([notification])?;
    found.next()?.map(rows::request).transpose()
}

/// A delivery whose rows cannot be read: it would come back for ever and take the place of good ones.
fn bury(session: &mut Session, lease: Lease, cause: &str, now: Timestamp) -> Result<(), Fault> {
    let now_ms = to_ms(now);
    let moved = session
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = ?3, due_at = NULL, token = NULL, changed_at = ?4 WHERE seq = ?1 AND token = ?2",
        )?
        .execute((lease.seq, lease.token.as_bytes(), state_code(DeliveryState::Dead), now_ms))?;
    if moved == 1 {
        session
            .conn
            .prepare_cached(
                "INSERT INTO attempts (delivery, number, started_at, ended_at, outcome, reason, detail, body_head, stderr)
                 VALUES (?1, ?2, ?3, ?3, 'declined', 'unreadable_row', ?4, '', '')",
            )?
            .execute((lease.seq, lease.attempt, now_ms, cause))?;
        let id = session
            .conn
            .prepare_cached("SELECT id FROM deliveries WHERE seq = ?1")?
            .query_row([lease.seq], |row| row.get(0))?;
        session.note_settled(DeliveryId::from_bytes(id), DeliveryState::Dead);
    }
    Ok(())
}

/// Ends attempts, one result for each. The failure of one undoes only its own writes.
pub(super) fn finish_all(session: &mut Session, finishes: &[Finish]) -> Result<Vec<Result<Finished, Error>>, Fault> {
    let together = session.within_savepoint(|session| {
        finishes.iter().map(|one| finish(session, one).map(Ok)).collect::<Result<Vec<_>, Fault>>()
    })?;
    if let Ok(finished) = together {
        return Ok(finished);
    }
    finishes.iter().map(|one| session.within_savepoint(|session| finish(session, one))).collect()
}

/// Gives back leases under which nothing was begun: the deliveries are due as if they had not been taken.
pub(super) fn release(session: &mut Session, leases: &[(DeliveryId, LeaseToken)], now: Timestamp) -> Result<(), Fault> {
    let now_ms = to_ms(now);
    for (delivery, token) in leases {
        let held: Option<i64> = session
            .conn
            .prepare_cached("SELECT seq FROM deliveries WHERE seq = ?1 AND id = ?4 AND state = ?2 AND token = ?3")?
            .query_row(
                (delivery_seq(*delivery), state_code(DeliveryState::Leased), token.as_bytes(), delivery.as_bytes()),
                |row| row.get(0),
            )
            .optional()?;
        let Some(seq) = held else { continue };
        session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = attempts - 1, tries = tries - 1,
                     changed_at = ?3, token = NULL WHERE seq = ?1",
            )?
            .execute((seq, state_code(DeliveryState::Pending), now_ms))?;
        match superseded::since_attempt(session, seq)? {
            Some(by) => superseded::skip_one(session, seq, *delivery, by, now_ms)?,
            None => session.made_due = true,
        }
    }
    Ok(())
}

/// Ends an attempt.
fn finish(session: &mut Session, finish: &Finish) -> Result<Finished, Fault> {
    let held: Option<(i64, u32)> = session
        .conn
        .prepare_cached(
            "SELECT seq, attempts FROM deliveries WHERE seq = ?1 AND id = ?4 AND state = ?2 AND token = ?3",
        )?
        .query_row(
            (
                delivery_seq(finish.delivery),
                state_code(DeliveryState::Leased),
                finish.token.as_bytes(),
                finish.delivery.as_bytes(),
            ),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((seq, number)) = held else { return Ok(Finished::LeaseLost) };
    let attempt = &finish.attempt;
    let ended_ms = to_ms(attempt.ended_at);
    // The number is that of the lease, whatever the caller counted.
    session
        .conn
        .prepare_cached(
            "INSERT INTO attempts (delivery, number, started_at, ended_at, outcome, reason, detail, status, body_head, stderr)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute((
            seq,
            number,
            to_ms(attempt.started_at),
            ended_ms,
            &attempt.outcome,
            &attempt.reason,
            &attempt.detail,
            attempt.status,
            &attempt.body_head,
            &attempt.stderr,
        ))?;
    let (state, due_at) = match finish.next {
        Next::Delivered => (DeliveryState::Delivered, None),
        Next::Retry(at) => (DeliveryState::Pending, Some(to_ms(at))),
        Next::Dead => (DeliveryState::Dead, None),
    };
    session
        .conn
        .prepare_cached("UPDATE deliveries SET state = ?2, due_at = ?3, changed_at = ?4, token = NULL WHERE seq = ?1")?
        .execute((seq, state_code(state), due_at, ended_ms))?;
    match finish.next {
        Next::Delivered => waits::release_followers(session, seq, ended_ms)?,
        Next::Retry(_) => {
            if let Some(by) = superseded::since_attempt(session, seq)? {
                superseded::skip_one(session, seq, finish.delivery, by, ended_ms)?;
            }
        }
        Next::Dead => {}
    }
    if state.is_terminal() {
        session.note_settled(finish.delivery, state);
    }
    Ok(Finished::Done)
}

/// The deliveries at a target that stand for these facts, whichever message brought them.
pub(super) fn standing(conn: &Connection, facts: &[Fact], target: &str) -> Result<Vec<Standing>, Fault> {
    let mut found: Vec<Standing> = Vec::new();
    for fact in facts {
        for identity in fact.identities() {
            let mut select = conn.prepare_cached(
                "SELECT d.id, d.state FROM identities i CROSS JOIN events e ON e.seq = i.event
                 CROSS JOIN deliveries d ON d.seq BETWEEN (e.seq >> 16) << 16 AND (e.seq | 65535)
                 WHERE i.scope = (SELECT id FROM scopes WHERE account = ?1 AND family = ?2 AND environment = ?3)
                   AND i.kind = (SELECT id FROM words WHERE text = ?4) AND i.text = ?5
                   AND d.target = (SELECT id FROM words WHERE text = ?6) AND (d.event = e.seq
                     OR EXISTS (SELECT 1 FROM delivery_events x WHERE x.delivery = d.seq AND x.event = e.seq))",
            )?;
            let scope = &fact.scope;
            let mut rows = select.query((
                &scope.account,
                scope.family,
                scope.environment.as_str(),
                fact.kind.as_str(),
                identity.as_str(),
                target,
            ))?;
            while let Some(row) = rows.next()? {
                let delivery = DeliveryId::from_bytes(row.get(0)?);
                if found.iter().all(|standing| standing.delivery != delivery) {
                    found.push(Standing { delivery, state: rows::state_of(row.get(1)?)? });
                }
            }
        }
    }
    Ok(found)
}

/// When something is next due for a target.
pub(super) fn next_due(conn: &Connection, target: &str) -> Result<Option<Timestamp>, Fault> {
    let known: Option<i64> = conn
        .prepare_cached("SELECT id FROM words WHERE text = ?1")?
        .query_row([target], |row| row.get(0))
        .optional()?;
    known.map_or(Ok(None), |target| next_due_of(conn, target))
}

/// When something is next due for the target with this number.
pub(super) fn next_due_of(conn: &Connection, target: i64) -> Result<Option<Timestamp>, Fault> {
    let mut earliest: Option<i64> = None;
    for state in [DeliveryState::Pending, DeliveryState::Leased, DeliveryState::Waiting] {
        let due: Option<i64> = conn
            .prepare_cached(
                "SELECT due_at FROM deliveries WHERE state = ?1 AND state <> 4 AND target = ?2 AND due_at IS NOT NULL
                 ORDER BY due_at LIMIT 1",
            )?
            .query_row((state_code(state), target), |row| row.get(0))
            .optional()?;
        earliest = match (earliest, due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
    earliest.map(rows::from_ms).transpose()
}
