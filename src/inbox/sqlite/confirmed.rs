//! What the platform's answer confirms: events of channels that ask before anything is told.
//!
//! * An event that is held for nothing but this goes out when an answer tells the same fact: every name of it, the order and
//!   the payment that it names, its number, payee and sum. Where another event tells that fact, it is discarded instead.
//!   What goes out makes pointless what a fact that is told at once makes pointless.
//! * An answer that a payment succeeded ends what was waiting under the same number and came before it on the way: a
//!   pending, failed or authorized one. A close and a success are never both true, so a close stays for a person.
//! * Whatever else an answer says, or does not say, releases nothing. What still waits then is asked about again for a while.

use tollbell_channels::channel::HintNumber;
use tollbell_channels::model::{Concern, EventKind, Notification, Timestamp};

use super::fault::Fault;
use super::rows::{concerns_text, notification_seq, to_ms};
use super::session::Session;
use super::{facts, holds, superseded, unconfirmed};
use crate::inbox::holds::{BY_PLATFORM, EndHold, HoldEnd, HoldWhat};
use crate::inbox::{EventId, NotificationId};

/// Most events under one number that one answer ends: the states of a payment before its success, several times.
const STALE_MAX: i64 = 64;

/// What a success makes old.
const OLD: [EventKind; 3] = [EventKind::PaymentPending, EventKind::PaymentFailed, EventKind::PaymentAuthorized];

/// Ends the holds that an answer about a number ends. The answer has been stored.
pub(super) fn release(
    session: &mut Session,
    answer: &Notification,
    number: &HintNumber,
    id: NotificationId,
    now: Timestamp,
) -> Result<(), Fault> {
    // What is doubtful about the answer itself, for its channel or as it was stored, confirms nothing.
    if !answer.concerns.is_empty() || is_doubted(session, id)? {
        return Ok(());
    }
    let mut confirmed = Vec::new();
    for fact in &answer.facts {
        let scope = session.scope(&fact.scope)?;
        let Some(told) = facts::agreeing(session, scope, fact)? else { continue };
        for event in unconfirmed::said_by(session, scope, fact)? {
            if unconfirmed::is_awaited(session, event)? {
                let (end, goes_out) = if event == told {
                    (HoldEnd::Release, Some((scope, fact, event)))
                } else {
                    (HoldEnd::Discard, None)
                };
                confirmed.push((event_id(session, event)?, end, goes_out));
            }
        }
        if fact.kind == EventKind::PaymentSucceeded {
            for event in stale(session, scope, number)? {
                confirmed.push((event, HoldEnd::Discard, None));
            }
        }
    }
    for (event, end, goes_out) in confirmed {
        let end = EndHold {
            what: HoldWhat::Event(event),
            end,
            by: BY_PLATFORM.to_owned(),
            why: Some(id.to_string()),
            at: now,
        };
        holds::end_hold(session, &end)?;
        // It was held when it was stored, and said nothing about its order then.
        if let Some((scope, fact, event)) = goes_out {
            superseded::skip(session, scope, fact, event, to_ms(now))?;
        }
    }
    Ok(())
}

fn is_doubted(session: &Session, id: NotificationId) -> Result<bool, Fault> {
    let mut select =
        session.conn.prepare_cached("SELECT 1 FROM notifications WHERE seq = ?1 AND concerns IS NOT NULL")?;
    Ok(select.exists([notification_seq(id)])?)
}

/// Whether something waits for an answer about this number, and for nothing else, after this one.
pub(super) fn is_any_open(session: &mut Session, answer: &Notification, number: &HintNumber) -> Result<bool, Fault> {
    let concerns = concerns_text(&[Concern::Unconfirmed { number: number.as_str().to_owned() }]);
    let mut scopes = vec![session.scope(&answer.scope)?];
    for fact in &answer.facts {
        scopes.push(session.scope(&fact.scope)?);
    }
    scopes.sort_unstable();
    scopes.dedup();
    for scope in scopes {
        let is_open = session
            .conn
            .prepare_cached(
                "SELECT 1 FROM events WHERE concerns = ?1 AND concerns IS NOT NULL AND hold_end IS NULL AND scope = ?2",
            )?
            .exists((&concerns, scope))?;
        if is_open {
            return Ok(true);
        }
    }
    Ok(false)
}

fn event_id(session: &Session, event: i64) -> Result<EventId, Fault> {
    let id =
        session.conn.prepare_cached("SELECT id FROM events WHERE seq = ?1")?.query_row([event], |row| row.get(0))?;
    Ok(EventId::from_bytes(id))
}

/// Events that wait for an answer about this number and for nothing else, and that a success makes old.
fn stale(session: &mut Session, scope: i64, number: &HintNumber) -> Result<Vec<EventId>, Fault> {
    let concerns = concerns_text(&[Concern::Unconfirmed { number: number.as_str().to_owned() }]);
    let kinds = [session.word(OLD[0].as_str())?, session.word(OLD[1].as_str())?, session.word(OLD[2].as_str())?];
    let mut statement = session.conn.prepare_cached(
        "SELECT id FROM events WHERE concerns = ?1 AND concerns IS NOT NULL AND hold_end IS NULL AND scope = ?2
                 AND kind IN (?3, ?4, ?5) ORDER BY seq LIMIT ?6",
    )?;
    let found = statement.query_map((concerns, scope, kinds[0], kinds[1], kinds[2], STALE_MAX), |row| row.get(0))?;
    found.map(|id| Ok(EventId::from_bytes(id?))).collect()
}
