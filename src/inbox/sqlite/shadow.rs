//! Notes about requests to channels in shadow, and the deliveries that were skipped for it.

use rusqlite::{Connection, OptionalExtension as _};
use tollbell_channels::model::Fact;

use super::fault::Fault;
use super::holds::{COVERED, IS_OPEN};
use super::rows::{from_ms, state_code, to_ms};
use super::session::Session;
use super::{superseded, waits};
use crate::inbox::shadow::{SHADOW_NOTES_MAX, ShadowNote, ShadowVerdict};
use crate::inbox::{DeliveryId, DeliveryState, NotificationId};

/// Keeps a note and removes those that are too many.
pub(super) fn note(session: &mut Session, note: &ShadowNote) -> Result<(), Fault> {
    let channel = session.word(&note.channel)?;
    let (notification, reason) = match &note.verdict {
        ShadowVerdict::Genuine(id) => (Some(*id.as_bytes()), None),
        ShadowVerdict::Hinted => (None, None),
        ShadowVerdict::Refused(reason) => (None, Some(reason)),
    };
    let seq = session
        .conn
        .prepare_cached(
            "INSERT INTO shadow (channel, request, at, notification, reason, success) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .insert((channel, &note.request, to_ms(note.at), notification, reason, &note.success))?;
    session
        .conn
        .prepare_cached("DELETE FROM shadow WHERE seq <= ?1")?
        .execute([seq.saturating_sub(i64::from(SHADOW_NOTES_MAX))])?;
    Ok(())
}

/// A note's request, time, notification, reason and answer.
type Row = (String, i64, Option<[u8; 16]>, Option<String>, Option<String>);

/// The notes of a channel, oldest first.
pub(super) fn notes(conn: &Connection, channel: &str) -> Result<Vec<ShadowNote>, Fault> {
    let name: std::sync::Arc<str> = channel.into();
    let rows: Vec<Row> = conn
        .prepare_cached(
            "SELECT s.request, s.at, s.notification, s.reason, s.success FROM shadow s
             WHERE s.channel = (SELECT id FROM words WHERE text = ?1) ORDER BY s.seq",
        )?
        .query_map([channel], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?
        .collect::<Result<_, _>>()?;
    rows.into_iter()
        .map(|(request, at, notification, reason, success)| {
            let verdict = match (notification, reason) {
                (Some(id), _) => ShadowVerdict::Genuine(NotificationId::from_bytes(id)),
                (None, Some(reason)) => ShadowVerdict::Refused(reason),
                (None, None) => ShadowVerdict::Hinted,
            };
            Ok(ShadowNote { channel: name.clone(), request, at: from_ms(at)?, verdict, success })
        })
        .collect()
}

/// The same for a fact that is told again under another number.
pub(super) fn leave_by_fact(session: &mut Session, scope: i64, fact: &Fact, now_ms: i64) -> Result<(), Fault> {
    let kind = session.word(fact.kind.as_str())?;
    for name in fact.identities() {
        let notification: Option<i64> = session
            .conn
            .prepare_cached(
                "SELECT n.seq FROM identities i CROSS JOIN events e ON e.seq = i.event
                 CROSS JOIN notifications n ON n.seq = e.seq >> 16
                 WHERE i.scope = ?1 AND i.kind = ?2 AND i.text = ?3 AND n.is_shadow = 1",
            )?
            .query_row((scope, kind, name.as_str()), |row| row.get(0))
            .optional()?;
        if let Some(notification) = notification {
            leave(session, notification, now_ms)?;
        }
    }
    Ok(())
}

/// The channel no longer runs in shadow, and the platform still repeats this notification: the application
/// that did the work has not confirmed it. What was skipped goes out now.
pub(super) fn leave(session: &mut Session, notification: i64, now_ms: i64) -> Result<(), Fault> {
    let was_shadow: Option<bool> = session
        .conn
        .prepare_cached("UPDATE notifications SET is_shadow = 0 WHERE seq = ?1 AND is_shadow = 1 RETURNING 1")?
        .query_row([notification], |row| row.get(0))
        .optional()?;
    if was_shadow.is_none() {
        return Ok(());
    }
    // What a person discarded meanwhile, and what a payment made pointless, stays where it is.
    let sql = format!(
        "SELECT d.seq, d.id, EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND {IS_OPEN} AND {COVERED})
         FROM deliveries d WHERE d.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND d.state = ?2 AND d.superseded_by IS NULL
             AND EXISTS (SELECT 1 FROM events e WHERE e.seq BETWEEN ?1 << 16 AND (?1 << 16 | 65535) AND e.hold_end IS NOT 2 AND {COVERED})
         ORDER BY d.seq"
    );
    let skipped: Vec<(i64, [u8; 16], bool)> = session
        .conn
        .prepare_cached(&sql)?
        .query_map((notification, state_code(DeliveryState::Skipped)), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    for (delivery, id, is_held) in skipped {
        if is_held {
            session
                .conn
                .prepare_cached("UPDATE deliveries SET state = ?2, due_at = NULL, changed_at = ?3 WHERE seq = ?1")?
                .execute((delivery, state_code(DeliveryState::Held), now_ms))?;
        } else if let Some(by) = superseded::since_attempt(session, delivery)? {
            // The payment succeeded meanwhile, which the application knows.
            superseded::skip_one(session, delivery, DeliveryId::from_bytes(id), by, now_ms)?;
        } else {
            waits::place(session, delivery, now_ms)?;
        }
    }
    Ok(())
}
