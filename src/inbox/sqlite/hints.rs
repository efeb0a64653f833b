//! The rows of hints, the networks that named them, and the bounds.

mod asked;
mod forgotten;
mod look;
mod noted;
#[cfg(test)]
mod plans;

pub(super) use self::forgotten::retain;

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::OptionalExtension as _;
use tokio::sync::watch;
use tollbell_channels::channel::HintNumber;
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::intake::{self, Moment, Parts};
use super::queue::Urgency;
use super::rows::to_ms;
use super::session::Session;
use super::{SqliteInbox, confirmed};
use crate::inbox::hints::{
    Ground, HintBacklog, HintClaim, HintClaimed, HintEnd, HintEnded, HintFilter, HintRecord, HintState, HintSums,
    Hints, Learned, Noted, QUIET_AFTER, Told, busy_wait,
};
use crate::inbox::{Error, LeaseToken, Stored};

#[async_trait]
impl Hints for SqliteInbox {
    async fn note_hint(&self, told: Told) -> Result<Noted, Error> {
        let (noted, is_sooner) = self.submit(Urgency::Intake, 0, move |session| noted::note(session, &told)).await?;
        if is_sooner {
            self.shared.hint_wakes.send_modify(|count| *count = count.wrapping_add(1));
        }
        Ok(noted)
    }

    async fn claim_hint(&self, claim: HintClaim) -> Result<HintClaimed, Error> {
        self.submit(Urgency::Work, 0, move |session| asked::take(session, &claim)).await
    }

    async fn end_hint(&self, end: HintEnd) -> Result<HintEnded, Error> {
        let HintEnd { channel, number, token, now, gap, learned, outcome, again, if_late } = end;
        let (parts, learned) = match learned {
            Learned::Told(arrival) => (Some(Box::new(Parts::from(*arrival))), Said::Known),
            Learned::Nothing => (None, Said::Known),
            Learned::Unknown => (None, Said::Unknown),
            Learned::NoAnswer => (None, Said::Nothing),
        };
        let mut end = End { channel, number, token, now, gap, said: learned, outcome, again };
        let remembered_from = now.checked_sub(self.options.identities_kept).unwrap_or(Timestamp::MIN);
        let bytes = parts.as_ref().map_or(0, |parts| parts.request.body.len());
        self.submit(Urgency::Work, bytes, move |session| {
            let stored = match &parts {
                Some(parts) => Some(intake::store(session, parts, Moment { now, remembered_from })?),
                None => None,
            };
            let notification = stored.as_ref().map(Stored::notification);
            if let (Some(parts), Some(answer)) = (&parts, notification) {
                confirmed::release(session, &parts.notification, &end.number, answer, now)?;
                let is_late = matches!(stored, Some(Stored::Repeated { .. }))
                    || confirmed::is_any_open(session, &parts.notification, &end.number)?;
                // Not from what an earlier run of this, which was taken back, came to.
                end.again = again.or(if_late.filter(|_| is_late));
            }
            let was_held = asked::finish(session, &end, notification.as_ref().map(|id| *id.as_bytes()))?;
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
#[derive(Default)]
struct Totals {
    open: i64,
    networks: i64,
    turn: i64,
    looked_at: i64,
}

/// A network's history.
#[derive(Default)]
struct History {
    known: u32,
    unknown: u32,
    open: u32,
    turn: i64,
}

impl History {
    fn ground(&self) -> Ground {
        Ground::of(self.known, self.unknown)
    }
}

fn totals(session: &Session, channel: i64) -> Result<Totals, Fault> {
    let found = session
        .conn
        .prepare_cached("SELECT open, networks, turn, looked_at FROM hint_totals WHERE channel = ?1")?
        .query_row([channel], |row| {
            Ok(Totals { open: row.get(0)?, networks: row.get(1)?, turn: row.get(2)?, looked_at: row.get(3)? })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
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

/// Gives a place of a network back.
fn give_back(session: &Session, channel: i64, network: &[u8]) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached("UPDATE hint_networks SET open = max(open - 1, 0) WHERE channel = ?1 AND network = ?2")?
        .execute((channel, network))?;
    Ok(())
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
