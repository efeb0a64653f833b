//! What is forgotten: closed rows whose time is over or that are too many, and in the end what had no answer.

use tollbell_channels::model::Timestamp;

use super::super::fault::Fault;
use super::super::rows::to_ms;
use super::super::session::Session;
use super::asked::learn;
use super::{count, give_back, millis, state_code};
use crate::inbox::hints::{CLOSED_MAX, HintState, OPEN_FOR, OPEN_STRANGERS_FOR, SILENT_FOR};

/// Forgotten rows that are removed beside each row that is made or ended.
const SWEPT: i64 = 4;

/// Forgets the network that has been idle longest and proved nothing. False when there is none.
pub(super) fn forget_network(session: &Session, channel: i64) -> Result<bool, Fault> {
    let removed = session
        .conn
        .prepare_cached(
            "DELETE FROM hint_networks WHERE channel = ?1 AND network = (SELECT network FROM hint_networks
                 WHERE channel = ?1 AND open = 0 AND known <= unknown ORDER BY last_at LIMIT 1)",
        )?
        .execute([channel])?;
    if removed > 0 {
        count(session, channel, 0, 0, -1)?;
    }
    Ok(removed > 0)
}

/// Removes some closed rows whose time is over, and what is above the bound: first what does not exist.
pub(super) fn sweep(session: &Session, channel: i64, now: i64) -> Result<(), Fault> {
    let closed: i64 = session
        .conn
        .prepare_cached("SELECT coalesce((SELECT closed FROM hint_totals WHERE channel = ?1), 0)")?
        .query_row([channel], |row| row.get(0))?;
    let surplus = (closed - CLOSED_MAX).max(0);
    let mut removed = 0;
    for state in [HintState::Unknown, HintState::Answered] {
        let code = state_code(state);
        removed += remove_closed(session, "AND due_at <= ?4", channel, code, SWEPT, now)?;
        if removed < surplus {
            removed += remove_closed(session, "AND ?4 IS NOT NULL", channel, code, surplus - removed, now)?;
        }
    }
    if removed > 0 { count(session, channel, 0, -removed, 0) } else { Ok(()) }
}

fn remove_closed(
    session: &Session,
    condition: &'static str,
    channel: i64,
    state: i64,
    limit: i64,
    now: i64,
) -> Result<i64, Fault> {
    // By the number alone: a condition on the state outside would walk over all closed rows to find these few.
    let sql = format!(
        "DELETE FROM hints WHERE channel = ?1 AND number IN (SELECT number FROM hints
             WHERE channel = ?1 AND state = ?2 AND state >= 2 {condition} ORDER BY due_at LIMIT ?3)"
    );
    let removed = session.conn.prepare_cached(&sql)?.execute((channel, state, limit, now))?;
    Ok(i64::try_from(removed).unwrap_or(0))
}

/// Removes one slice of what is forgotten by now: closed rows, open ones that had no answer all the time, networks that
/// have been silent as long. Returns how many rows went.
pub(in super::super) fn retain(session: &Session, now: Timestamp, slice: i64) -> Result<u64, Fault> {
    let (now_ms, silent) = (to_ms(now), to_ms(now).saturating_sub(millis(OPEN_FOR)));
    let mut removed = 0;
    let groups: Vec<i64> = session
        .conn
        .prepare_cached("SELECT channel FROM hint_totals")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for channel in groups {
        let mut closed = 0;
        for state in [HintState::Unknown, HintState::Answered] {
            closed += remove_closed(session, "AND due_at <= ?4", channel, state_code(state), slice, now_ms)?;
        }
        let open = forget_open(session, channel, now_ms, slice)?;
        let networks = session
            .conn
            .prepare_cached(
                "DELETE FROM hint_networks WHERE channel = ?1 AND network IN (SELECT network FROM hint_networks
                     WHERE channel = ?1 AND open = 0 AND last_at < ?2 LIMIT ?3)",
            )?
            .execute((channel, silent, slice))?;
        let networks = i64::try_from(networks).unwrap_or(0);
        if closed + open + networks > 0 {
            count(session, channel, -open, -closed, -networks)?;
        }
        removed += u64::try_from(closed + open + networks).unwrap_or(0);
    }
    Ok(removed)
}

/// Removes a slice of the open rows that had no answer all the time: of strangers, when they were asked about; of all
/// others, when nobody named them again either. What one look finds, one that comes a day later removes: a clock that
/// jumps ahead loses nothing when it is mended within the day.
fn forget_open(session: &Session, channel: i64, now: i64, slice: i64) -> Result<i64, Fault> {
    const IS_OVER: &str = "(last_at < ?2 OR (is_trusted = 0 AND failures > 0 AND waits_since < ?3))";
    let before = |time| now.saturating_sub(millis(time));
    let (silent, strangers) = (before(OPEN_FOR), before(OPEN_STRANGERS_FOR));
    let mark = format!(
        "UPDATE hints SET over_since = CASE WHEN {IS_OVER} THEN ?4 END WHERE channel = ?1 AND state <= 1
             AND {IS_OVER} IS NOT (over_since IS NOT NULL AND over_since <= ?4)"
    );
    session.conn.prepare_cached(&mark)?.execute((channel, silent, strangers, now))?;
    let over: Vec<(String, Vec<u8>, bool, bool)> = session
        .conn
        .prepare_cached(
            "SELECT number, network, is_counted, is_known OR is_missed OR asked_at IS NULL FROM hints
             WHERE channel = ?1 AND state <= 1 AND over_since <= ?2 LIMIT ?3",
        )?
        .query_map((channel, before(SILENT_FOR), slice), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (number, network, is_counted, is_charged) in &over {
        session
            .conn
            .prepare_cached("DELETE FROM hints WHERE channel = ?1 AND number = ?2 AND state <= 1")?
            .execute((channel, number))?;
        if *is_counted {
            give_back(session, channel, network)?;
            if !is_charged {
                learn(session, channel, network, 0, 1)?;
            }
        }
    }
    if !over.is_empty() {
        tracing::error!(count = over.len(), "hints that had no answer for a long time are forgotten");
    }
    Ok(i64::try_from(over.len()).unwrap_or(0))
}
