//! Taking hints in: who named a number decides when its turn comes, and whose place it takes.

use rusqlite::{OptionalExtension as _, Row};

use super::super::fault::Fault;
use super::super::rows::to_ms;
use super::super::session::Session;
use super::forgotten::{forget_network, sweep};
use super::{History, Totals, class_code, count, give_back, history, millis, next_turn, state_code, totals};
use crate::inbox::hints::{
    Ground, HintState, NETWORKS_MAX, Noted, OPEN_MAX, OPEN_STRANGERS_MAX, OPEN_UNVOUCHED_MAX, Told, UNKNOWN_FOR, places,
};
use crate::inbox::rejections::Network;

/// Numbers that came again within this time count once, so that a flood of one writes little.
const COUNTED_EVERY_MS: i64 = 1000;

/// A row as far as it decides what becomes of a hint.
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
struct Kept {
    state: i64,
    is_vouched: bool,
    is_doubtful: bool,
    is_counted: bool,
    is_known: bool,
    network: Vec<u8>,
    class: i64,
    due_at: i64,
    asks: u32,
    failures: u32,
    misses: u32,
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
        is_known: row.get(4)?,
        network: row.get(5)?,
        class: row.get(6)?,
        due_at: row.get(7)?,
        asks: row.get(8)?,
        failures: row.get(9)?,
        misses: row.get(10)?,
        busy: row.get(11)?,
        last_at: row.get(12)?,
        asked_at: row.get(13)?,
    })
}

/// Who names a number, as far as it decides what becomes of it.
struct Teller {
    /// Whose place it takes; nobody's where the sender knew the secret.
    network: Network,
    is_counted: bool,
    is_new: bool,
    history: History,
    ground: Ground,
    /// The sender knew the secret, or the platform knew something that the network named before.
    is_trusted: bool,
    /// Places that it may have taken.
    places: u32,
}

impl Teller {
    fn of(session: &Session, told: &Told, channel: i64) -> Result<Self, Fault> {
        // Behind a proxy that says nothing about them, everybody comes from here.
        let network = Network::of(told.source.filter(|source| !source.to_canonical().is_loopback()));
        let found = history(session, channel, network.bytes())?;
        let (is_new, history) = (found.is_none(), found.unwrap_or_default());
        let (ground, is_trusted, places) = if told.hint.is_vouched() {
            (Ground::Proven, true, u32::MAX)
        } else if told.hint.is_doubtful() {
            (Ground::Doubtful, false, places(0, 0))
        } else {
            (history.ground(), history.known > 0, places(history.known, history.unknown))
        };
        Ok(Self { network, is_counted: !told.hint.is_vouched(), is_new, history, ground, is_trusted, places })
    }

    fn is_full(&self) -> bool {
        self.is_counted && self.history.open >= self.places
    }

    /// Whether it may open one more number of the channel.
    fn has_room(&self, totals: &Totals) -> bool {
        let most = match self.ground {
            _ if !self.is_counted => OPEN_MAX,
            Ground::Proven => OPEN_UNVOUCHED_MAX,
            Ground::New | Ground::Doubtful => OPEN_STRANGERS_MAX,
        };
        totals.open < most && !self.is_full()
    }

    /// Its next turn.
    fn turn(&self, totals: &Totals) -> i64 {
        let turn = totals.turn + 1;
        if self.is_counted { turn.max(self.history.turn + 1) } else { turn }
    }

    /// Takes a place, where its numbers take any.
    fn take_place(&self, session: &Session, channel: i64, turn: i64, now: i64) -> Result<(), Fault> {
        if !self.is_counted {
            return Ok(());
        }
        session
            .conn
            .prepare_cached(
                "INSERT INTO hint_networks (channel, network, open, turn, last_at) VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT DO UPDATE SET open = open + 1, turn = ?3, last_at = ?4",
            )?
            .execute((channel, self.network.bytes(), turn, now))?;
        if self.is_new { count(session, channel, 0, 0, 1) } else { Ok(()) }
    }

    /// Shares the place of all others, where no more networks can be remembered.
    fn crowded(self, session: &Session, channel: i64, totals: &Totals) -> Result<Self, Fault> {
        if !self.is_counted || !self.is_new || totals.networks < NETWORKS_MAX || forget_network(session, channel)? {
            return Ok(self);
        }
        let found = history(session, channel, Network::Any.bytes())?;
        let (is_new, history) = (found.is_none(), found.unwrap_or_default());
        let is_doubtful = self.ground == Ground::Doubtful;
        let ground = if is_doubtful { Ground::Doubtful } else { history.ground() };
        let places = if is_doubtful { self.places } else { places(history.known, history.unknown) };
        let is_trusted = !is_doubtful && history.known > 0;
        Ok(Self { network: Network::Any, is_new, history, ground, is_trusted, places, ..self })
    }
}

/// Takes a hint in. Whatever is answered but `Full`, a question is due. Says whether that changes what is asked next, so
/// that who asks has to look.
pub(super) fn note(session: &mut Session, told: &Told) -> Result<(Noted, bool), Fault> {
    let (channel, number, now) = (session.word(&told.channel)?, told.hint.number().as_str(), to_ms(told.at));
    let row = session
        .conn
        .prepare_cached(
            "SELECT state, is_vouched, is_doubtful, is_counted, is_known, network, class, due_at, asks, failures, misses,
                 busy, last_at, asked_at
             FROM hints WHERE channel = ?1 AND number = ?2",
        )?
        .query_row((channel, number), kept)
        .optional()?;
    let Some(row) = row else {
        let noted = open_new(session, told, channel, now)?;
        return Ok((noted, noted == Noted::Kept));
    };
    if row.state > state_code(HintState::Asking) {
        let noted = reopen(session, told, channel, &row, now)?;
        return Ok((noted, noted == Noted::Kept));
    }
    let totals = totals(session, channel)?;
    let teller = Teller::of(session, told, channel)?.crowded(session, channel, &totals)?;
    let mut is_sooner = stand_better(session, told, channel, &row, &teller, &totals, now)?;
    if row.state == state_code(HintState::Asking) {
        session
            .conn
            .prepare_cached(
                "UPDATE hints SET is_told_again = 1, last_at = ?3
                 WHERE channel = ?1 AND number = ?2 AND is_told_again = 0",
            )?
            .execute((channel, number, now))?;
    } else {
        is_sooner |= ask_sooner(session, told, channel, &row, &teller, now)?;
    }
    count_told(session, channel, number, row.last_at, now)?;
    Ok((Noted::Again, is_sooner))
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

/// A number stands on the best ground of all who named it, with the place and the turn of who stands there: whoever named
/// it first can hold nobody up. Says whether it stands better now.
fn stand_better(
    session: &Session,
    told: &Told,
    channel: i64,
    row: &Kept,
    teller: &Teller,
    totals: &Totals,
    now: i64,
) -> Result<bool, Fault> {
    let number = told.hint.number().as_str();
    let is_doubtful = row.is_doubtful && told.hint.is_doubtful();
    let is_better = if teller.is_counted { class_code(teller.ground) < row.class } else { !row.is_vouched };
    if !is_better || teller.is_full() {
        if row.is_doubtful && !is_doubtful {
            session
                .conn
                .prepare_cached(
                    "UPDATE hints SET is_doubtful = 0, is_trusted = max(is_trusted, ?3)
                     WHERE channel = ?1 AND number = ?2",
                )?
                .execute((channel, number, teller.is_trusted))?;
        }
        return Ok(false);
    }
    let turn = teller.turn(totals);
    // On the same ground it keeps the turn that it has.
    let turn = if row.class == class_code(teller.ground) { None } else { Some(turn) };
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET is_vouched = max(is_vouched, ?3), is_doubtful = ?4, is_counted = ?5, network = ?6, class = ?7,
                 turn = coalesce(?8, turn), is_missed = 0, is_trusted = max(is_trusted, ?9)
             WHERE channel = ?1 AND number = ?2",
        )?
        .execute((
            channel,
            number,
            told.hint.is_vouched(),
            is_doubtful,
            teller.is_counted,
            teller.network.bytes(),
            class_code(teller.ground),
            turn,
            teller.is_trusted,
        ))?;
    if row.is_counted {
        give_back(session, channel, &row.network)?;
    }
    teller.take_place(session, channel, teller.turn(totals), now)?;
    Ok(true)
}

/// Something may have happened since the platform was asked last, so what is planned for later is asked sooner. A number
/// about which there was no answer keeps its wait, but when its sender knows the secret. Says whether it is due sooner now.
fn ask_sooner(
    session: &Session,
    told: &Told,
    channel: i64,
    row: &Kept,
    teller: &Teller,
    now: i64,
) -> Result<bool, Fault> {
    // What was opened and is not asked about yet waits as long as it must, but for who is believed.
    let is_planned = row.asks == 0 && !is_believed(teller);
    if is_planned || row.due_at <= now || (row.failures > 0 && teller.is_counted) {
        return Ok(false);
    }
    let (busy, sooner) = match row.asked_at {
        Some(at) if row.failures > 0 => (row.busy, at.saturating_add(millis(told.gap)).clamp(now, now.max(row.due_at))),
        Some(at) if row.misses > 0 && !is_believed(teller) => (row.busy, patient(at, now)),
        asked_at => next_turn(asked_at, row.busy, told.gap, now),
    };
    let is_sooner = sooner < row.due_at;
    if is_sooner {
        session
            .conn
            .prepare_cached(
                "UPDATE hints SET due_at = ?3, waits_since = CASE WHEN failures > 0 THEN waits_since ELSE ?3 END, busy = ?4,
                     last_at = ?5
                 WHERE channel = ?1 AND number = ?2",
            )?
            .execute((channel, told.hint.number().as_str(), sooner, busy, now))?;
    }
    Ok(is_sooner)
}

/// Whether what this teller names is asked about although the platform did not know it a moment ago.
fn is_believed(teller: &Teller) -> bool {
    teller.ground == Ground::Proven
}

/// When a number that the platform did not know may be asked about because anybody named it.
fn patient(asked_at: i64, now: i64) -> i64 {
    let later = asked_at.saturating_add(millis(UNKNOWN_FOR));
    if asked_at <= now { later.max(now) } else { now }
}

/// A number that the platform was asked about is named again: its state may have changed.
fn reopen(session: &Session, told: &Told, channel: i64, row: &Kept, now: i64) -> Result<Noted, Fault> {
    let totals = totals(session, channel)?;
    let teller = Teller::of(session, told, channel)?.crowded(session, channel, &totals)?;
    if !teller.has_room(&totals) {
        return Ok(Noted::Full);
    }
    let is_doubtful = told.hint.is_doubtful();
    // What the platform knew once exists: no network's history counts against it, but it takes a place as all do.
    let class = match teller.ground {
        Ground::Doubtful if row.is_known && !is_doubtful => Ground::New,
        ground => ground,
    };
    let was_unknown = row.state == state_code(HintState::Unknown);
    let (busy, due_at) = match row.asked_at {
        _ if was_unknown && told.hint.is_vouched() => (0, now),
        Some(asked_at) if was_unknown && !is_believed(&teller) => (0, patient(asked_at, now)),
        asked_at => next_turn(asked_at, row.busy, told.gap, now),
    };
    let turn = teller.turn(&totals);
    session
        .conn
        .prepare_cached(
            "UPDATE hints SET state = 0, due_at = ?3, waits_since = ?3, turn = ?4, busy = ?5, last_at = ?6, is_vouched = ?7,
                 class = ?8, is_doubtful = ?9, network = ?10, is_counted = ?11, is_trusted = max(is_known, ?12),
                 is_told_again = 0, is_missed = 0, misses = 0, asks = 0, failures = 0, told = told + 1
             WHERE channel = ?1 AND number = ?2",
        )?
        .execute((
            channel,
            told.hint.number().as_str(),
            due_at,
            turn,
            busy,
            now,
            told.hint.is_vouched(),
            class_code(class),
            is_doubtful,
            teller.network.bytes(),
            teller.is_counted,
            teller.is_trusted,
        ))?;
    teller.take_place(session, channel, turn, now)?;
    count(session, channel, 1, -1, 0)?;
    Ok(if was_unknown && due_at > now { Noted::Unknown } else { Noted::Kept })
}

/// A number that nobody named before, or that was forgotten.
fn open_new(session: &mut Session, told: &Told, channel: i64, now: i64) -> Result<Noted, Fault> {
    let totals = totals(session, channel)?;
    let teller = Teller::of(session, told, channel)?.crowded(session, channel, &totals)?;
    if !teller.has_room(&totals) {
        return Ok(Noted::Full);
    }
    let turn = teller.turn(&totals);
    teller.take_place(session, channel, turn, now)?;
    session
        .conn
        .prepare_cached(
            "INSERT INTO hints (channel, number, network, is_vouched, is_counted, class, state, due_at, waits_since, turn,
                 is_known, first_at, last_at, is_doubtful, is_trusted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?7, ?8, 0, ?7, ?7, ?9, ?10)",
        )?
        .execute((
            channel,
            told.hint.number().as_str(),
            teller.network.bytes(),
            told.hint.is_vouched(),
            teller.is_counted,
            class_code(teller.ground),
            now,
            turn,
            told.hint.is_doubtful(),
            teller.is_trusted,
        ))?;
    count(session, channel, 1, 0, 0)?;
    sweep(session, channel, now)?;
    Ok(Noted::Kept)
}
