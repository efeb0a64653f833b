//! Claiming deliveries under a lease, and finishing them.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use tollbell_channels::model::{Fact, Timestamp};

use super::fault::Fault;
use super::rows::{self, BODY_COLUMNS, EVENT_COLUMNS, EVENT_TABLES, delivery_seq, state_code, to_ms};
use super::session::Session;
use super::{superseded, waits};
use crate::inbox::{
    Claim, DeliveryId, DeliveryState, Error, Finish, Finished, LeaseToken, Leased, Next, NotificationId, Standing,
};

/// Deliveries that one claim takes at most: their bodies are in memory until they are done.
const CLAIM_MAX: usize = 256;

/// A lease that was just taken; what it needs is read afterwards, outside the writer.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    seq: i64,
    pub(super) token: LeaseToken,
    until: Timestamp,
    attempt: u32,
    tries: u32,
}

/// Takes the leases.
pub(super) fn claim(session: &mut Session, claim: &Claim) -> Result<Vec<Lease>, Fault> {
    let now_ms = to_ms(claim.now);
    let until = claim.now.checked_add(claim.lease).map_err(|_| Fault::corrupt("a lease's end"))?;
    let limit = i64::try_from(claim.max.min(CLAIM_MAX)).expect("a small number");
    let target = session.target(&claim.target)?;
    renew(session, &claim.running, until)?;
    pull_in(session, target, DeliveryState::Pending, claim.now, claim.longest_wait)?;
    // A running attempt ends before its lease does, counted from now as well as from its beginning.
    pull_in(session, target, DeliveryState::Leased, claim.now, claim.lease)?;
    let due: Vec<(i64, i64, u32, u32, i64, i64)> = session
        .conn
        .prepare_cached(
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
        )?
        .query_map((target, now_ms, limit), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut leases = Vec::with_capacity(due.len());
    for (seq, state, attempts, tries, leased_at, ended_at) in due {
        if state == state_code(DeliveryState::Leased) {
            session
                .conn
                .prepare_cached(
                    "INSERT INTO attempts (delivery, number, started_at, ended_at, outcome, reason, detail, body_head, stderr)
                     VALUES (?1, ?2, ?3, ?4, 'interrupted', 'lease_expired', '', '', '')",
                )?
                .execute((seq, attempts, leased_at, ended_at))?;
        }
        let lease = Lease {
            seq,
            token: LeaseToken::new(),
            until,
            attempt: attempts.saturating_add(1),
            tries: tries.saturating_add(1),
        };
        session
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = ?2, due_at = ?3, attempts = ?4, tries = ?5, changed_at = ?6,
                     token = ?7, waits_for = NULL WHERE seq = ?1",
            )?
            .execute((
                seq,
                state_code(DeliveryState::Leased),
                to_ms(until),
                lease.attempt,
                lease.tries,
                now_ms,
                lease.token.as_bytes(),
            ))?;
        leases.push(lease);
    }
    Ok(leases)
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
pub(super) fn load(conn: &Connection, lease: Lease) -> Result<Leased, Fault> {
    let (delivery, notification, is_raw, seq, platform) = conn
        .prepare_cached(
            "SELECT d.id, n.id, d.is_raw, n.seq, p.text FROM deliveries d
             CROSS JOIN notifications n ON n.seq = d.seq >> 16
             CROSS JOIN words p ON p.id = n.platform WHERE d.seq = ?1",
        )?
        .query_row([lease.seq], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, i64>(3)?, row.get::<_, String>(4)?))
        })?;
    let sql = format!(
        "SELECT {EVENT_COLUMNS} FROM {EVENT_TABLES} WHERE e.seq IN ({}) ORDER BY e.seq",
        waits::EVENTS_OF_DELIVERY
    );
    let mut events = Vec::new();
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query([lease.seq])?;
    while let Some(row) = found.next()? {
        events.push(rows::event(row)?);
    }
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
        platform: platform.into(),
        merchant,
        environment,
        events,
        request: body(conn, seq)?,
    })
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
pub(super) fn bury(session: &mut Session, lease: Lease, cause: &str, now: Timestamp) -> Result<(), Fault> {
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

/// Ends an attempt.
pub(super) fn finish(session: &mut Session, finish: &Finish) -> Result<Finished, Fault> {
    let held: Option<(i64, u32)> = session
        .conn
        .prepare_cached("SELECT seq, attempts FROM deliveries WHERE seq = ?1 AND id = ?4 AND state = ?2 AND token = ?3")?
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
pub(super) fn next_due(conn: &Connection, target: &str) -> Result<Option<Timestamp>, Error> {
    let next = || -> Result<Option<Timestamp>, Fault> {
        let mut earliest: Option<i64> = None;
        for state in [DeliveryState::Pending, DeliveryState::Leased, DeliveryState::Waiting] {
            let due: Option<i64> = conn
                .prepare_cached(
                    "SELECT due_at FROM deliveries WHERE state = ?1 AND state <> 4
                         AND target = (SELECT id FROM words WHERE text = ?2) AND due_at IS NOT NULL
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
    };
    next().map_err(Fault::into_error)
}
