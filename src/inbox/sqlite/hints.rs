//! The rows of hints, the networks that named them, and the bounds.

mod look;

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, Row};
use tokio::sync::watch;
use tollbell_channels::channel::HintNumber;
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::intake::{self, Moment, Parts};
use super::queue::Urgency;
use super::rows::{from_ms, to_ms};
use super::session::Session;
use super::{SqliteInbox, confirmed};
use crate::inbox::hints::{
    ANSWERED_FOR, CLOSED_MAX, Ground, HISTORY_MAX, HintBacklog, HintClaim, HintClaimed, HintEnd, HintEnded, HintFilter,
    HintRecord, HintState, HintSums, Hints, Learned, LeasedHint, NETWORKS_MAX, Noted, OPEN_FOR, OPEN_MAX,
    OPEN_STRANGERS_MAX, QUIET_AFTER, Told, UNKNOWN_FOR, WAIT_MAX, busy_wait, places,
};
use crate::inbox::rejections::Network;
use crate::inbox::{Error, LeaseToken};

/// Numbers that came again within this time count once, so that a flood of one writes little.
const COUNTED_EVERY_MS: i64 = 1000;
/// Forgotten rows that are removed beside each row that is made or ended.
const SWEPT: i64 = 4;

#[async_trait]
impl Hints for SqliteInbox {
    async fn note_hint(&self, told: Told) -> Result<Noted, Error> {
        let noted = self.submit(Urgency::Intake, 0, move |session| note(session, &told)).await?;
        if noted == Noted::Kept {
            self.shared.hint_wakes.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(noted)
    }

    async fn claim_hint(&self, claim: HintClaim) -> Result<HintClaimed, Error> {
        self.submit(Urgency::Work, 0, move |session| take(session, &claim)).await
    }

    async fn end_hint(&self, end: HintEnd) -> Result<HintEnded, Error> {
        let HintEnd { channel, number, token, now, gap, learned, outcome, again } = end;
        let (parts, learned) = match learned {
            Learned::Told(arrival) => (Some(Box::new(Parts::from(*arrival))), Said::Known),
            Learned::Nothing => (None, Said::Known),
            Learned::Unknown => (None, Said::Unknown),
            Learned::NoAnswer => (None, Said::Nothing),
        };
        let end = End { channel, number, token, now, gap, said: learned, outcome, again };
        let remembered_from = now.checked_sub(self.options.identities_kept).unwrap_or(Timestamp::MIN);
        let bytes = parts.as_ref().map_or(0, |parts| parts.request.body.len());
        self.submit(Urgency::Work, bytes, move |session| {
            let stored = match &parts {
                Some(parts) => Some(intake::store(session, parts, Moment { now, remembered_from })?),
                None => None,
            };
            let notification = stored.as_ref().map(crate::inbox::Stored::notification);
            if let (Some(parts), Some(answer)) = (&parts, notification) {
                confirmed::release(session, &parts.notification, &end.number, answer, now)?;
            }
            let was_held = finish(session, &end, notification.as_ref().map(|id| *id.as_bytes()))?;
            Ok(HintEnded { was_held, stored })
        })
        .await
    }

    async fn release_hint(&self, channel: &str, number: &HintNumber, token: LeaseToken) -> Result<(), Error> {
        let (channel, number) = (channel.to_owned(), number.clone());
        let now = to_ms((self.options.clock)());
        self.submit(Urgency::Work, 0, move |session| {
            let channel = session.word(&channel)?;
            session
                .conn
                .prepare_cached(
                    "UPDATE hints SET state = 0, due_at = ?4, asks = asks - 1, token = NULL
                     WHERE channel = ?1 AND number = ?2 AND state = 1 AND token = ?3",
                )?
                .execute((channel, number.as_str(), token.as_bytes(), now))?;
            Ok(())
        })
        .await
    }

    async fn hints(&self, filter: HintFilter) -> Result<Vec<HintRecord>, Error> {
        self.shared.readers.read(move |conn| look::list(conn, &filter)).await
    }

    async fn hint_backlog(&self) -> Result<Vec<HintBacklog>, Error> {
        self.shared.readers.read(look::backlog).await
    }

    async fn hint_sums(&self, channel: &str) -> Result<HintSums, Error> {
        let channel = channel.to_owned();
        self.shared.readers.read(move |conn| look::sums(conn, &channel)).await
    }

    fn hint_wakes(&self) -> watch::Receiver<u64> {
        self.shared.hint_wakes.subscribe()
    }
}

/// The end of a question without what it stores.
struct End {
    channel: String,
    number: HintNumber,
    token: LeaseToken,
    now: Timestamp,
    gap: Duration,
    said: Said,
    outcome: &'static str,
    again: Option<Timestamp>,
}

/// What the platform said of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Known,
    Unknown,
    Nothing,
}

/// The number of a state in the schema.
pub(super) const fn state_code(state: HintState) -> i64 {
    match state {
        HintState::Due => 0,
        HintState::Asking => 1,
        HintState::Answered => 2,
        HintState::Unknown => 3,
    }
}

/// The number of a ground in the schema.
pub(super) const fn class_code(ground: Ground) -> i64 {
    match ground {
        Ground::Proven => 0,
        Ground::New => 1,
        Ground::Doubtful => 2,
    }
}

pub(super) fn ground_of(code: i64) -> Result<Ground, Fault> {
    Ground::ALL.iter().copied().find(|g| class_code(*g) == code).ok_or_else(|| Fault::corrupt("a hint's class"))
}

/// A channel's use of its bounds.
struct Totals {
    open: i64,
    networks: i64,
    turn: i64,
}

/// A network's history.
struct History {
    known: u32,
    unknown: u32,
    open: u32,
    turn: i64,
}

/// A row as far as it decides what becomes of a hint.
struct Kept {
    state: i64,
    is_vouched: bool,
    is_doubtful: bool,
    is_counted: bool,
    network: Vec<u8>,
    busy: u32,
    last_at: i64,
    asked_at: Option<i64>,
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        state: row.get(0)?,
        is_vouched: row.get(1)?,
        is_doubtful: row.get(2)?,
        is_counted: row.get(3)?,
        network: row.get(4)?,
        busy: row.get(5)?,
        last_at: row.get(6)?,
        asked_at: row.get(7)?,
    })
}

fn totals(session: &Session, channel: i64) -> Result<Totals, Fault> {
    let found = session
        .conn
        .prepare_cached("SELECT open, networks, turn FROM hint_totals WHERE channel = ?1")?
        .query_row([channel], |row| Ok(Totals { open: row.get(0)?, networks: row.get(1)?, turn: row.get(2)? }))
        .optional()?;
    Ok(found.unwrap_or(Totals { open: 0, networks: 0, turn: 0 }))
}

/// Changes how much of its bounds a channel uses.
fn count(session: &Session, channel: i64, open: i64, closed: i64, networks: i64) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached(
            "INSERT INTO hint_totals (channel, open, closed, networks) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET open = open + ?2, closed = closed + ?3, networks = networks + ?4",
        )?
        .execute((channel, open, closed, networks))?;
    Ok(())
}

fn history(session: &Session, channel: i64, network: &[u8]) -> Result<Option<History>, Fault> {
    Ok(session
        .conn
        .prepare_cached("SELECT known, unknown, open, turn FROM hint_networks WHERE channel = ?1 AND network = ?2")?
        .query_row((channel, network), |row| {
            Ok(History { known: row.get(0)?, unknown: row.get(1)?, open: row.get(2)?, turn: row.get(3)? })
        })
        .optional()?)
}

/// Takes a hint in.
fn note(session: &mut Session, told: &Told) -> Result<Noted, Fault> {
    let (channel, number, now) = (session.word(&told.channel)?, told.hint.number().as_str(), to_ms(told.at));
    let row = session
        .conn
        .prepare_cached(
            "SELECT state, is_vouched, is_doubtful, is_counted, network, busy, last_at, asked_at FROM hints
             WHERE channel = ?1 AND number = ?2",
        )?
        .query_row((channel, number), kept)
        .optional()?;
    let Some(row) = row else { return open_new(session, told, channel, now) };
    if row.state <= state_code(HintState::Asking) {
        if told.hint.is_vouched() && !row.is_vouched {
            vouch(session, channel, number, &row)?;
        } else if row.is_doubtful && !told.hint.is_doubtful() {
            take_for_plain(session, channel, number, &row)?;
        }
        if row.state == state_code(HintState::Asking) {
            session
                .conn
                .prepare_cached(
                    "UPDATE hints SET is_told_again = 1 WHERE channel = ?1 AND number = ?2 AND is_told_again = 0",
                )?
                .execute((channel, number))?;
        }
        count_told(session, channel, number, row.last_at, now)?;
        return Ok(Noted::Again);
    }
    if row.state == state_code(HintState::Answered) {
        return reopen(session, told, channel, &row, now);
    }
    let is_fresh = row.asked_at.is_some_and(|at| (at..at.saturating_add(millis(UNKNOWN_FOR))).contains(&now));
    if is_fresh && !told.hint.is_vouched() {
        count_told(session, channel, number, row.last_at, now)?;
        return Ok(Noted::Unknown);
    }
    forget(session, channel, number)?;
    open_new(session, told, channel, now)
}

fn count_told(session: &Session, channel: i64, number: &str, last_at: i64, now: i64) -> Result<(), Fault> {
    if now < last_at.saturating_add(COUNTED_EVERY_MS) && now >= last_at {
        return Ok(());
    }
    session
        .conn
        .prepare_cached("UPDATE hints SET told = told + 1, last_at = ?3 WHERE channel = ?1 AND number = ?2")?
        .execute((channel, number, now))?;
    Ok(())
}

/// A sender that knows the secret named what strangers had named before.
fn vouch(session: &Session, channel: i64, number: &str, row: &Kept) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET is_vouched = 1, is_doubtful = 0, class = 0, is_counted = 0
             WHERE channel = ?1 AND number = ?2",
        )?
        .execute((channel, number))?;
    if row.is_counted {
        take_place(session, channel, &row.network, -1)?;
    }
    Ok(())
}

/// A message of which nothing is wrong names what a doubtful one had named: it stands where its network stands.
fn take_for_plain(session: &Session, channel: i64, number: &str, row: &Kept) -> Result<(), Fault> {
    let history = history(session, channel, &row.network)?;
    let ground = history.map_or(Ground::New, |history| Ground::of(history.known, history.unknown));
    session
        .conn
        .prepare_cached("UPDATE hints SET is_doubtful = 0, class = ?3 WHERE channel = ?1 AND number = ?2")?
        .execute((channel, number, class_code(ground)))?;
    Ok(())
}

fn take_place(session: &Session, channel: i64, network: &[u8], places: i64) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached("UPDATE hint_networks SET open = max(open + ?3, 0) WHERE channel = ?1 AND network = ?2")?
        .execute((channel, network, places))?;
    Ok(())
}

/// A number that the platform said something about before is named again: its state may have changed.
fn reopen(session: &Session, told: &Told, channel: i64, row: &Kept, now: i64) -> Result<Noted, Fault> {
    let totals = totals(session, channel)?;
    let is_doubtful = told.hint.is_doubtful();
    if totals.open >= if is_doubtful { OPEN_STRANGERS_MAX } else { OPEN_MAX } {
        return Ok(Noted::Full);
    }
    // What the platform knew once is on proven ground, whoever names it, but by a message that should prove itself.
    let ground = if is_doubtful { Ground::Doubtful } else { Ground::Proven };
    let (busy, due_at) = next_turn(row.asked_at, row.busy, told.gap, now);
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET state = 0, due_at = ?3, turn = ?4, class = ?8, is_counted = 0, is_told_again = 0, asks = 0,
                 failures = 0, busy = ?5, told = told + 1, last_at = ?6, is_vouched = ?7, is_doubtful = ?9
             WHERE channel = ?1 AND number = ?2",
        )?
        .execute((
            channel,
            told.hint.number().as_str(),
            due_at,
            totals.turn + 1,
            busy,
            now,
            told.hint.is_vouched(),
            class_code(ground),
            is_doubtful,
        ))?;
    count(session, channel, 1, -1, 0)?;
    Ok(Noted::Kept)
}

/// When a number may be asked about again, and how busy it is.
fn next_turn(asked_at: Option<i64>, busy: u32, gap: Duration, now: i64) -> (u32, i64) {
    let Some(asked_at) = asked_at.filter(|asked_at| *asked_at <= now) else { return (0, now) };
    if now.saturating_sub(asked_at) >= millis(QUIET_AFTER) {
        return (0, now);
    }
    (busy.saturating_add(1), asked_at.saturating_add(millis(busy_wait(gap, busy))).max(now))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A number that nobody named before, or that was forgotten.
fn open_new(session: &mut Session, told: &Told, channel: i64, now: i64) -> Result<Noted, Fault> {
    let totals = totals(session, channel)?;
    if totals.open >= OPEN_MAX {
        return Ok(Noted::Full);
    }
    let (is_vouched, is_doubtful) = (told.hint.is_vouched(), told.hint.is_doubtful());
    let mut turn = totals.turn + 1;
    let mut ground = Ground::Proven;
    // Behind a proxy that says nothing about them, everybody comes from here.
    let mut network = Network::of(told.source.filter(|source| !source.to_canonical().is_loopback()));
    if !is_vouched {
        let mut found = history(session, channel, network.bytes())?;
        if found.is_none() && totals.networks >= NETWORKS_MAX && !forget_network(session, channel)? {
            network = Network::Any;
            found = history(session, channel, network.bytes())?;
        }
        let is_new = found.is_none();
        let history = found.unwrap_or(History { known: 0, unknown: 0, open: 0, turn: 0 });
        let mut most = places(history.known, history.unknown);
        ground = Ground::of(history.known, history.unknown);
        if is_doubtful {
            (most, ground) = (places(0, 0), Ground::Doubtful);
        }
        if history.open >= most || (ground != Ground::Proven && totals.open >= OPEN_STRANGERS_MAX) {
            return Ok(Noted::Full);
        }
        turn = turn.max(history.turn + 1);
        session
            .conn
            .prepare_cached(
                "INSERT INTO hint_networks (channel, network, open, turn, last_at) VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT DO UPDATE SET open = open + 1, turn = ?3, last_at = ?4",
            )?
            .execute((channel, network.bytes(), turn, now))?;
        if is_new {
            count(session, channel, 0, 0, 1)?;
        }
    }
    session
        .conn
        .prepare_cached(
            "INSERT INTO hints (channel, number, network, is_vouched, is_counted, class, state, due_at, turn, is_known,
                 first_at, last_at, is_doubtful)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, 0, ?7, ?7, ?9)",
        )?
        .execute((
            channel,
            told.hint.number().as_str(),
            network.bytes(),
            is_vouched,
            !is_vouched,
            class_code(ground),
            now,
            turn,
            is_doubtful,
        ))?;
    count(session, channel, 1, 0, 0)?;
    sweep(session, channel, now)?;
    Ok(Noted::Kept)
}

/// Forgets the network that has been idle longest and proved nothing. False when there is none.
fn forget_network(session: &Session, channel: i64) -> Result<bool, Fault> {
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

/// Removes a closed row.
fn forget(session: &Session, channel: i64, number: &str) -> Result<(), Fault> {
    let removed = session
        .conn
        .prepare_cached("DELETE FROM hints WHERE channel = ?1 AND number = ?2 AND state >= 2")?
        .execute((channel, number))?;
    count(session, channel, 0, -i64::try_from(removed).unwrap_or(0), 0)
}

/// Removes some closed rows whose time is over, and what is above the bound: first what does not exist.
fn sweep(session: &Session, channel: i64, now: i64) -> Result<(), Fault> {
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
    let sql = format!(
        "DELETE FROM hints WHERE channel = ?1 AND state >= 2 AND number IN (SELECT number FROM hints
             WHERE channel = ?1 AND state = ?2 AND state >= 2 {condition} ORDER BY due_at LIMIT ?3)"
    );
    let removed = session.conn.prepare_cached(&sql)?.execute((channel, state, limit, now))?;
    Ok(i64::try_from(removed).unwrap_or(0))
}

/// Leases the hint whose turn it is.
fn take(session: &mut Session, claim: &HintClaim) -> Result<HintClaimed, Fault> {
    let (channel, now) = (session.word(&claim.channel)?, to_ms(claim.now));
    let until = claim.now.checked_add(claim.lease).map_err(|_| Fault::corrupt("a lease's end"))?;
    // Whoever held these has died; what they asked has no answer.
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET state = 0, due_at = min(due_at, ?2), token = NULL
             WHERE channel = ?1 AND state = 1 AND state <= 1 AND (due_at <= ?2 OR ?3)",
        )?
        .execute((channel, now, claim.takes_over))?;
    for ground in &claim.grounds {
        let found: Option<(String, u32, u32, i64, i64, bool)> = session
            .conn
            .prepare_cached(
                "SELECT number, asks, failures, first_at, turn, is_missed FROM hints
                 WHERE channel = ?1 AND state = 0 AND state <= 1 AND class = ?2 AND due_at <= ?3 ORDER BY turn LIMIT 1",
            )?
            .query_row((channel, class_code(*ground), now), |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
            })
            .optional()?;
        let Some((number, asks, failures, first_at, turn, is_missed)) = found else { continue };
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
            .prepare_cached("UPDATE hint_totals SET turn = max(turn, ?2) WHERE channel = ?1")?
            .execute((channel, turn))?;
        let number = HintNumber::new(&number).ok_or_else(|| Fault::corrupt("a hint's number"))?;
        let (asks, first_at) = (asks.saturating_add(1), from_ms(first_at)?);
        let ground = *ground;
        let leased = LeasedHint { number, token, until, ground, asks, failures, is_missed, first_at };
        return Ok(HintClaimed::Leased(leased));
    }
    // What a clock that has been set back since planned lies too far ahead.
    let latest = now.saturating_add(millis(WAIT_MAX));
    session
        .conn
        .prepare_cached("UPDATE hints SET due_at = ?2 WHERE channel = ?1 AND state <= 1 AND due_at > ?2")?
        .execute((channel, latest))?;
    let next: Option<i64> = session
        .conn
        .prepare_cached("SELECT min(due_at) FROM hints WHERE channel = ?1 AND state <= 1")?
        .query_row([channel], |row| row.get(0))?;
    Ok(HintClaimed::Nothing(next.map(from_ms).transpose()?))
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
}

/// Moves a hint on. False when its lease is no longer held; then nothing was changed.
fn finish(session: &mut Session, end: &End, notification: Option<[u8; 16]>) -> Result<bool, Fault> {
    let (channel, number, now) = (session.word(&end.channel)?, end.number.as_str(), to_ms(end.now));
    let row = session
        .conn
        .prepare_cached(
            "SELECT network, is_counted, is_known, is_told_again, busy, is_missed, is_doubtful FROM hints
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
            })
        })
        .optional()?;
    let Some(row) = row else { return Ok(false) };
    let is_known = row.is_known || end.said == Said::Known;
    let again = match end.again {
        Some(again) => Some(to_ms(again)),
        // What it is now may not be what the answer said.
        None if row.is_told_again && end.said == Said::Known => Some(next_turn(Some(now), row.busy, end.gap, now).1),
        None => None,
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
            row.busy,
            is_closed,
            notification,
            row.is_missed || end.said == Said::Unknown,
        ))?;
    if is_closed {
        count(session, channel, -1, 1, 0)?;
        if row.is_counted {
            take_place(session, channel, &row.network, -1)?;
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
fn learn(session: &Session, channel: i64, network: &[u8], known: i64, unknown: i64) -> Result<(), Fault> {
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
                "UPDATE hints SET class = ?3
                 WHERE channel = ?1 AND network = ?2 AND state <= 1 AND is_counted = 1 AND is_doubtful = 0",
            )?
            .execute((channel, network, class_code(ground)))?;
    }
    Ok(())
}

/// Removes one slice of what is forgotten by now: closed rows, open ones that nobody asked for all the time, networks
/// that have been silent as long. Returns how many rows went.
pub(super) fn retain(session: &Session, now: Timestamp, slice: i64) -> Result<u64, Fault> {
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
        let open = session
            .conn
            .prepare_cached(
                "DELETE FROM hints WHERE channel = ?1 AND state <= 1 AND number IN (SELECT number FROM hints
                     WHERE channel = ?1 AND state <= 1 AND last_at < ?2 LIMIT ?3)",
            )?
            .execute((channel, silent, slice))?;
        if open > 0 {
            tracing::error!(count = open, "hints that could not be asked about for a long time are forgotten");
        }
        let networks = session
            .conn
            .prepare_cached(
                "DELETE FROM hint_networks WHERE channel = ?1 AND network IN (SELECT network FROM hint_networks
                     WHERE channel = ?1 AND last_at < ?2 LIMIT ?3)",
            )?
            .execute((channel, silent, slice))?;
        let (open, networks) = (i64::try_from(open).unwrap_or(0), i64::try_from(networks).unwrap_or(0));
        if closed + open + networks > 0 {
            count(session, channel, -open, -closed, -networks)?;
        }
        removed += u64::try_from(closed + open + networks).unwrap_or(0);
    }
    Ok(removed)
}
