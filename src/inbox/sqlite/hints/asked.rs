//! Asking: the lease on the hint whose turn it is, and the end of its question.

use std::time::Duration;

use rusqlite::OptionalExtension as _;
use tollbell_channels::channel::HintNumber;

use super::super::fault::Fault;
use super::super::rows::{from_ms, to_ms};
use super::super::session::Session;
use super::forgotten::sweep;
use super::{End, Said, class_code, count, give_back, history, millis, next_turn, state_code, totals};
use crate::inbox::LeaseToken;
use crate::inbox::hints::{
    ANSWERED_FOR, Ground, HISTORY_MAX, HintClaim, HintClaimed, HintState, LeasedHint, UNKNOWN_FOR, WAIT_MAX,
};

/// How often a look that finds nothing goes over all open hints for times that no clock plans: as good as each time that
/// nothing woke who asks, and not each time that something did.
const PULL_EVERY: Duration = Duration::from_secs(20);

/// Leases the hint whose turn it is.
pub(super) fn take(session: &mut Session, claim: &HintClaim) -> Result<HintClaimed, Fault> {
    let (channel, now) = (session.word(&claim.channel)?, to_ms(claim.now));
    let until = claim.now.checked_add(claim.lease).map_err(|_| Fault::corrupt("a lease's end"))?;
    if now < totals(session, channel)?.looked_at {
        pull(session, channel, now)?;
    }
    // Whoever held these has died; what they asked has no answer.
    session
        .conn
        .prepare_cached(
            "UPDATE hints INDEXED BY hints_open SET state = 0, due_at = min(due_at, ?2), token = NULL
             WHERE channel = ?1 AND state = 1 AND state <= 1 AND (due_at <= ?2 OR asked_at > ?2 OR ?3)",
        )?
        .execute((channel, now, claim.takes_over))?;
    if claim.takes_over {
        // Who begins may have another credential, or other software, so that what failed before need not fail again.
        session
            .conn
            .prepare_cached(
                "UPDATE hints INDEXED BY hints_open SET due_at = min(due_at, ?2), misses = 0
                 WHERE channel = ?1 AND state = 0 AND state <= 1 AND (failures > 0 OR (misses > 0 AND is_trusted = 1))",
            )?
            .execute((channel, now))?;
    }
    for ground in &claim.grounds {
        let found: Option<(String, u32, u32, i64, i64, u32, bool)> = session
            .conn
            .prepare_cached(
                "SELECT number, asks, failures, first_at, turn, misses, is_trusted FROM hints
                 WHERE channel = ?1 AND state = 0 AND state <= 1 AND class = ?2 AND due_at <= ?3 ORDER BY turn LIMIT 1",
            )?
            .query_row((channel, class_code(*ground), now), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?))
            })
            .optional()?;
        let Some((number, asks, failures, first_at, turn, misses, is_trusted)) = found else { continue };
        let token = LeaseToken::new();
        session
            .conn
            .prepare_cached(
                "UPDATE hints SET state = 1, due_at = ?3, asks = asks + 1, token = ?4, asked_at = ?5, is_told_again = 0
                 WHERE channel = ?1 AND number = ?2",
            )?
            .execute((channel, &number, to_ms(until), token.as_bytes(), now))?;
        session
            .conn
            .prepare_cached("UPDATE hint_totals SET turn = max(turn, ?2), looked_at = ?3 WHERE channel = ?1")?
            .execute((channel, turn, now))?;
        let number = HintNumber::new(&number).ok_or_else(|| Fault::corrupt("a hint's number"))?;
        let (asks, first_at) = (asks.saturating_add(1), from_ms(first_at)?);
        let ground = *ground;
        let leased = LeasedHint { number, token, until, ground, asks, failures, misses, is_trusted, first_at };
        return Ok(HintClaimed::Leased(leased));
    }
    if session.hints_pulled_at.get(&channel).is_none_or(|at| now < *at || now >= at.saturating_add(millis(PULL_EVERY)))
    {
        pull(session, channel, now)?;
    }
    let next: Option<i64> = session
        .conn
        .prepare_cached("SELECT min(due_at) FROM hints WHERE channel = ?1 AND state <= 1")?
        .query_row([channel], |row| row.get(0))?;
    Ok(HintClaimed::Nothing(next.map(from_ms).transpose()?))
}

/// Makes due what was planned by a clock that has been set back since, and brings back what lies further ahead than
/// anything is planned.
fn pull(session: &mut Session, channel: i64, now: i64) -> Result<(), Fault> {
    session.hints_pulled_at.insert(channel, now);
    session
        .conn
        .prepare_cached(
            "UPDATE hints INDEXED BY hints_open SET due_at = ?2, waits_since = min(waits_since, ?2),
                 last_at = min(last_at, ?2), asked_at = min(asked_at, ?2)
             WHERE channel = ?1 AND state = 0 AND state <= 1 AND due_at > ?2 AND (last_at > ?2 OR asked_at > ?2)",
        )?
        .execute((channel, now))?;
    let latest = now.saturating_add(millis(WAIT_MAX));
    session
        .conn
        .prepare_cached(
            "UPDATE hints INDEXED BY hints_open SET due_at = ?2 WHERE channel = ?1 AND state <= 1 AND due_at > ?2",
        )?
        .execute((channel, latest))?;
    session
        .conn
        .prepare_cached("UPDATE hint_totals SET looked_at = ?2 WHERE channel = ?1 AND looked_at > ?2")?
        .execute((channel, now))?;
    Ok(())
}

/// A row whose question ended.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
struct Asked {
    network: Vec<u8>,
    is_counted: bool,
    is_known: bool,
    is_told_again: bool,
    busy: u32,
    is_missed: bool,
    is_doubtful: bool,
    is_believed: bool,
}

/// Moves a hint on. False when its lease is no longer held; then nothing was changed.
pub(super) fn finish(session: &mut Session, end: &End, notification: Option<[u8; 16]>) -> Result<bool, Fault> {
    let (channel, number, now) = (session.word(&end.channel)?, end.number.as_str(), to_ms(end.now));
    let row = session
        .conn
        .prepare_cached(
            "SELECT network, is_counted, is_known, is_told_again, busy, is_missed, is_doubtful, class = 0 FROM hints
             WHERE channel = ?1 AND number = ?2 AND state = 1 AND token = ?3",
        )?
        .query_row((channel, number, end.token.as_bytes()), |row| {
            Ok(Asked {
                network: row.get(0)?,
                is_counted: row.get(1)?,
                is_known: row.get(2)?,
                is_told_again: row.get(3)?,
                busy: row.get(4)?,
                is_missed: row.get(5)?,
                is_doubtful: row.get(6)?,
                is_believed: row.get(7)?,
            })
        })
        .optional()?;
    let Some(row) = row else { return Ok(false) };
    let is_known = row.is_known || end.said == Said::Known;
    // Named while it was asked: what it is now may not be what the answer said, or may not have been there yet.
    let named = match end.said {
        _ if !row.is_told_again => None,
        Said::Unknown if !row.is_believed => Some((row.busy, now.saturating_add(millis(UNKNOWN_FOR)))),
        Said::Known | Said::Unknown => Some(next_turn(Some(now), row.busy, end.gap, now)),
        Said::Nothing => None,
    };
    let (busy, named) = named.map_or((row.busy, None), |(busy, at)| (busy, Some(at)));
    let again = match (end.again.map(to_ms), named) {
        (Some(again), Some(named)) => Some(again.min(named)),
        (again, named) => again.or(named),
    };
    let (state, due_at) = match (again, end.said) {
        (Some(again), _) => (HintState::Due, again),
        (None, Said::Unknown) => (HintState::Unknown, now.saturating_add(millis(ANSWERED_FOR))),
        (None, Said::Known | Said::Nothing) => (HintState::Answered, now.saturating_add(millis(ANSWERED_FOR))),
    };
    let is_closed = state != HintState::Due;
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET state = ?3, due_at = ?4, is_known = ?5, is_told_again = 0, token = NULL, outcome = ?6,
                 failures = CASE WHEN ?7 THEN failures + 1 ELSE 0 END, busy = ?8,
                 waits_since = CASE WHEN ?7 THEN waits_since ELSE ?4 END, misses = misses + ?12,
                 is_missed = ?11, is_counted = CASE WHEN ?9 THEN 0 ELSE is_counted END, notification = coalesce(?10, notification)
             WHERE channel = ?1 AND number = ?2",
        )?
        .execute((
            channel,
            number,
            state_code(state),
            due_at,
            is_known,
            end.outcome,
            end.said == Said::Nothing,
            busy,
            is_closed,
            notification,
            row.is_missed || end.said == Said::Unknown,
            end.said == Said::Unknown,
        ))?;
    if is_closed {
        count(session, channel, -1, 1, 0)?;
        if row.is_counted {
            give_back(session, channel, &row.network)?;
        }
    }
    // Each number speaks once for the network that named it first; one from a message that does not prove itself, which
    // may be a copy of another's, only against it.
    match end.said {
        Said::Known if row.is_doubtful => {}
        Said::Known if row.is_counted && !row.is_known => {
            learn(session, channel, &row.network, 1, -i64::from(row.is_missed))?;
        }
        Said::Unknown if row.is_counted && !row.is_known && !row.is_missed => {
            learn(session, channel, &row.network, 0, 1)?;
        }
        _ => {}
    }
    sweep(session, channel, now)?;
    Ok(true)
}

/// Takes a network's history on, and its open hints with it when that changes their ground.
pub(super) fn learn(session: &Session, channel: i64, network: &[u8], known: i64, unknown: i64) -> Result<(), Fault> {
    let Some(before) = history(session, channel, network)? else { return Ok(()) };
    session
        .conn
        .prepare_cached(
            "UPDATE hint_networks SET known = max(known + ?3, 0), unknown = max(unknown + ?4, 0)
             WHERE channel = ?1 AND network = ?2",
        )?
        .execute((channel, network, known, unknown))?;
    session
        .conn
        .prepare_cached(
            "UPDATE hint_networks SET known = known / 2, unknown = unknown / 2
             WHERE channel = ?1 AND network = ?2 AND known + unknown >= ?3",
        )?
        .execute((channel, network, HISTORY_MAX))?;
    let Some(after) = history(session, channel, network)? else { return Ok(()) };
    let ground = Ground::of(after.known, after.unknown);
    if ground != Ground::of(before.known, before.unknown) {
        session
            .conn
            .prepare_cached(
                "UPDATE hints INDEXED BY hints_open SET class = CASE WHEN is_known = 1 THEN min(?3, ?4) ELSE ?3 END
                 WHERE channel = ?1 AND network = ?2 AND state <= 1 AND is_counted = 1 AND is_doubtful = 0",
            )?
            .execute((channel, network, class_code(ground), class_code(Ground::New)))?;
    }
    Ok(())
}
