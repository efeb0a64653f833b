//! Rejections on disk: written in slices, bounded by shelf and channel, listed, and turned into
//! notifications when they are verified again.

use std::fmt::Write as _;

use async_trait::async_trait;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row as SqlRow, params_from_iter};
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::intake::{self, Moment, Parts};
use super::queue::Urgency;
use super::refused::{Row, Slice};
use super::rows::{self, from_ms, to_ms};
use super::session::Session;
use super::{SqliteInbox, audit};
use crate::inbox::rejections::{
    Refused, RejectedRequest, RejectionFilter, RejectionGroup, RejectionLimits, RejectionRecord, Rejections, Shelf,
};
use crate::inbox::{Arrival, AuditRecord, Error, NotificationId, PAGE_MAX, RejectionId, Stored};

#[async_trait]
impl Rejections for SqliteInbox {
    fn note_rejection(&self, refused: Refused<'_>) {
        self.shared.refused.note(&refused);
    }

    async fn store_rejection(&self, refused: Refused<'_>) -> Result<(), Error> {
        let row = Row::of(&refused);
        let (digest, now) = (row.digest, row.received_at);
        let log = &self.shared.refused;
        if log.count_proven(digest, now) {
            return Ok(());
        }
        let (bytes, limits) = (row.bytes(), log.limits);
        let slice = Slice { rows: vec![row], counts: Vec::new() };
        self.submit(Urgency::Intake, bytes, move |session| write(session, &slice, limits)).await?;
        log.proven_stored(digest, now);
        Ok(())
    }

    fn rejections_lost(&self) -> u64 {
        self.shared.refused.lost()
    }

    async fn rejection(&self, id: RejectionId) -> Result<RejectionRecord, Error> {
        self.shared.readers.read(move |conn| one(conn, id)).await
    }

    async fn rejections(&self, filter: RejectionFilter) -> Result<Vec<RejectionRecord>, Error> {
        self.shared.readers.read(move |conn| list(conn, &filter)).await
    }

    async fn rejection_groups(&self, filter: RejectionFilter) -> Result<Vec<RejectionGroup>, Error> {
        self.shared.readers.read(move |conn| groups(conn, &filter)).await
    }

    async fn store_reverified(&self, arrival: Arrival, rejection: RejectionId, by: &str) -> Result<Stored, Error> {
        let now = (self.options.clock)();
        self.reverified_parts(Box::new(arrival.into()), rejection, by.to_owned(), now).await
    }
}

impl SqliteInbox {
    /// The write path behind [`Rejections::store_reverified`].
    pub(super) async fn reverified_parts(
        &self,
        parts: Box<Parts>,
        rejection: RejectionId,
        by: String,
        now: Timestamp,
    ) -> Result<Stored, Error> {
        let remembered_from = now.checked_sub(self.options.identities_kept).unwrap_or(Timestamp::MIN);
        let bytes = parts.request.body.len();
        self.submit(Urgency::Work, bytes, move |session| {
            let stored = intake::store(session, &parts, Moment { now, remembered_from })?;
            let became = stored.notification();
            mark(session, rejection, became, now)?;
            let subjects = vec![rejection.to_string(), became.to_string()];
            audit::note(session, &AuditRecord::new(now, &by, "reverify", subjects).changed(1))?;
            Ok(stored)
        })
        .await
    }
}

fn mark(session: &Session, id: RejectionId, notification: NotificationId, now: Timestamp) -> Result<(), Fault> {
    let marked = session
        .conn
        .prepare_cached("UPDATE rejections SET notification = ?2, reverified_at = ?3 WHERE id = ?1")?
        .execute((id.as_bytes(), notification.as_bytes(), to_ms(now)))?;
    if marked == 0 { Err(Error::NotFound.into()) } else { Ok(()) }
}

/// Writes rows and counts, and evicts what is above the bounds.
pub(super) fn write(session: &mut Session, slice: &Slice, limits: RejectionLimits) -> Result<(), Fault> {
    let mut checks_proven = false;
    for row in &slice.rows {
        if let Some(seq) = insert(session, row)? {
            checks_proven |= seq % PROVEN_CHECK_EVERY == 0;
        }
    }
    for (digest, counts) in &slice.counts {
        session
            .conn
            .prepare_cached(
                "UPDATE rejections SET more = more + ?2, count = count + ?3, last_at = max(last_at, ?4) WHERE digest = ?1",
            )?
            .execute((
                digest,
                i64::try_from(counts.more).unwrap_or(i64::MAX),
                i64::try_from(counts.repeats).unwrap_or(i64::MAX),
                counts.last_at,
            ))?;
    }
    for shelf in Shelf::ALL {
        let is_due = *shelf != Shelf::Undecryptable || checks_proven;
        if is_due && slice.rows.iter().any(|row| row.shelf == *shelf) {
            enforce(session, *shelf, limits)?;
        }
    }
    Ok(())
}

/// Proven rows are written one by one before their replies, so that their large shelf is looked at once in so
/// many rows: it may be above its bound by these.
const PROVEN_CHECK_EVERY: i64 = 64;

/// Inserts a row, or counts it on the one with the same bytes.
fn insert(session: &Session, row: &Row) -> Result<Option<i64>, Fault> {
    let known = session
        .conn
        .prepare_cached("UPDATE rejections SET count = count + 1, last_at = max(last_at, ?2) WHERE digest = ?1")?
        .execute((row.digest, row.received_at))?;
    if known > 0 {
        return Ok(None);
    }
    let seq = session
        .conn
        .prepare_cached(
            "INSERT INTO rejections
                 (id, digest, shelf, channel, reason, rejection, network, source, received_at, last_at, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
        )?
        .insert((
            row.id.as_bytes(),
            row.digest,
            shelf_code(row.shelf),
            &row.channel,
            row.reason,
            &row.rejection,
            row.network.bytes(),
            &row.source,
            row.received_at,
            i64::try_from(row.bytes()).unwrap_or(i64::MAX),
        ))?;
    session
        .conn
        .prepare_cached(
            "INSERT INTO rejected_requests (rejection, method, path, query, headers, body, body_bytes, is_redacted)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            seq,
            &row.method,
            &row.path,
            &row.query,
            &row.headers,
            &row.body,
            row.body_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            row.is_redacted,
        ))?;
    Ok(Some(seq))
}

const fn shelf_code(shelf: Shelf) -> i64 {
    match shelf {
        Shelf::Undecryptable => 0,
        Shelf::UnknownKey => 1,
        Shelf::UnknownMerchant => 2,
        Shelf::Stale => 3,
        Shelf::Signature => 4,
        Shelf::Other => 5,
    }
}

/// Rows of one channel and reason on a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    channel: Option<String>,
    reason: String,
    rows: u64,
    bytes: u64,
}

/// The bounds of a shelf.
#[derive(Clone, Copy)]
struct Bounds {
    rows: u64,
    bytes: u64,
    /// A single channel may have half of it.
    by_channel: bool,
}

/// Rounds of eviction: each aims below the bound, so one is usual; rows of very different sizes need a second.
const ROUNDS_MAX: usize = 8;

fn enforce(session: &Session, shelf: Shelf, limits: RejectionLimits) -> Result<(), Fault> {
    // Proven rows are the platform's own: no channel is kept short because another one might be flooded.
    let bounds = match shelf {
        Shelf::Undecryptable => Bounds { rows: limits.proven_rows, bytes: limits.proven_bytes, by_channel: false },
        _ => Bounds { rows: limits.rows, bytes: limits.bytes, by_channel: true },
    };
    for _ in 0..ROUNDS_MAX {
        let groups: Vec<Group> = session
            .conn
            .prepare_cached(
                "SELECT channel, reason, count(*), sum(bytes) FROM rejections WHERE shelf = ?1 GROUP BY channel, reason",
            )?
            .query_map([shelf_code(shelf)], |row| {
                let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
                Ok(Group {
                    channel: row.get(0)?,
                    reason: row.get(1)?,
                    rows: unsigned(row.get(2)?),
                    bytes: unsigned(row.get(3)?),
                })
            })?
            .collect::<Result<_, _>>()?;
        let cuts = plan(&groups, bounds);
        if cuts.is_empty() {
            return Ok(());
        }
        for (index, rows) in cuts {
            evict(session, shelf, &groups[index], rows)?;
        }
    }
    Ok(())
}

/// How many rows go from which group, so that the shelf and each channel are within their bounds again, with
/// a tenth to spare, so that a flood pays for an eviction once in a while. The largest group gives first.
fn plan(groups: &[Group], bounds: Bounds) -> Vec<(usize, u64)> {
    let mut left: Vec<Group> = groups.to_vec();
    let mut channels: Vec<&Option<String>> = groups.iter().map(|group| &group.channel).collect();
    channels.sort_unstable();
    channels.dedup();
    for channel in channels.into_iter().filter(|_| bounds.by_channel) {
        cut(&mut left, bounds.rows / 2, bounds.bytes / 2, |group| group.channel == *channel);
    }
    cut(&mut left, bounds.rows, bounds.bytes, |_| true);
    let cuts = groups.iter().zip(&left).enumerate();
    cuts.map(|(index, (before, after))| (index, before.rows - after.rows)).filter(|(_, rows)| *rows > 0).collect()
}

fn cut(groups: &mut [Group], rows_max: u64, bytes_max: u64, is_meant: impl Fn(&Group) -> bool) {
    let total = |groups: &[Group]| {
        let meant = || groups.iter().filter(|group| is_meant(group));
        (meant().map(|group| group.rows).sum::<u64>(), meant().map(|group| group.bytes).sum::<u64>())
    };
    let (rows, bytes) = total(groups);
    if rows <= rows_max && bytes <= bytes_max {
        return;
    }
    let spare = |max: u64| max - max / 10;
    loop {
        let (rows, bytes) = total(groups);
        let over_rows = rows.saturating_sub(spare(rows_max));
        let over_bytes = bytes.saturating_sub(spare(bytes_max));
        if over_rows == 0 && over_bytes == 0 {
            return;
        }
        // By what is scarce.
        let by_rows = over_rows > 0;
        let size = |group: &Group| if by_rows { group.rows } else { group.bytes };
        let Some(largest) = groups.iter_mut().filter(|group| is_meant(group) && group.rows > 0).max_by_key(|g| size(g))
        else {
            return;
        };
        let each = (largest.bytes / largest.rows).max(1);
        let needed = if by_rows { over_rows } else { over_bytes.div_ceil(each) };
        // A part at a time, so that groups of about the same size give about the same.
        let gone = needed.div_ceil(4).min(largest.rows);
        largest.rows -= gone;
        largest.bytes -= (each * gone).min(largest.bytes);
        if largest.rows == 0 {
            largest.bytes = 0;
        }
    }
}

/// Removes rows of a group: from the network with most of them first, there the oldest first, and such as
/// became notifications before all others.
fn evict(session: &Session, shelf: Shelf, group: &Group, rows: u64) -> Result<(), Fault> {
    let seqs: Vec<i64> = session
        .conn
        .prepare_cached(
            "SELECT seq FROM (
                 SELECT seq, last_at, notification IS NULL AS is_open, row_number() OVER (
                     PARTITION BY network ORDER BY notification IS NULL DESC, last_at DESC, seq DESC) AS place
                 FROM rejections WHERE shelf = ?1 AND channel IS ?2 AND reason = ?3)
             ORDER BY is_open, place DESC, last_at, seq LIMIT ?4",
        )?
        .query_map(
            (shelf_code(shelf), &group.channel, &group.reason, i64::try_from(rows).unwrap_or(i64::MAX)),
            |row| row.get(0),
        )?
        .collect::<Result<_, _>>()?;
    for seq in seqs {
        remove(session, seq)?;
    }
    Ok(())
}

fn remove(session: &Session, seq: i64) -> Result<(), Fault> {
    session.conn.prepare_cached("DELETE FROM rejected_requests WHERE rejection = ?1")?.execute([seq])?;
    session.conn.prepare_cached("DELETE FROM rejections WHERE seq = ?1")?.execute([seq])?;
    Ok(())
}

/// Removes one slice of those that came last before a time.
pub(super) fn retain(session: &Session, before_ms: i64, slice: i64) -> Result<u64, Fault> {
    let seqs: Vec<i64> = session
        .conn
        .prepare_cached("SELECT seq FROM rejections WHERE last_at < ?1 ORDER BY seq LIMIT ?2")?
        .query_map((before_ms, slice), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for seq in &seqs {
        remove(session, *seq)?;
    }
    Ok(seqs.len() as u64)
}

const COLUMNS: &str = "r.id, r.channel, r.rejection, r.source, r.received_at, r.last_at, r.count, r.more,
    r.notification, r.reverified_at, r.seq";

fn one(conn: &Connection, id: RejectionId) -> Result<RejectionRecord, Fault> {
    let mut select = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM rejections r WHERE r.id = ?1"))?;
    let mut found = select.query([id.as_bytes()])?;
    let (mut record, seq) = found.next()?.map(record_of).ok_or(Fault::Told(Error::NotFound))??;
    let mut select = conn.prepare_cached(
        "SELECT b.method, b.path, b.query, n.source, b.headers, b.body, n.received_at, b.body_bytes, b.is_redacted
         FROM rejections n CROSS JOIN rejected_requests b ON b.rejection = n.seq WHERE n.seq = ?1",
    )?;
    let mut found = select.query([seq])?;
    if let Some(row) = found.next()? {
        let body_bytes: Option<i64> = row.get(7)?;
        record.request = Some(RejectedRequest {
            request: rows::request(row)?,
            body_bytes: body_bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)),
            is_redacted: row.get(8)?,
        });
    }
    Ok(record)
}

fn list(conn: &Connection, filter: &RejectionFilter) -> Result<Vec<RejectionRecord>, Fault> {
    let (mut filters, mut values) = conditions(filter);
    if let Some(id) = filter.before {
        let seq = conn
            .prepare_cached("SELECT seq FROM rejections WHERE id >= ?1 ORDER BY id LIMIT 1")?
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?
            .unwrap_or(i64::MAX);
        values.push(Value::Integer(seq));
        write!(filters, " AND r.seq < ?{}", values.len()).expect("writing to a string never fails");
    }
    let limit = filter.limit.min(PAGE_MAX);
    let sql = format!("SELECT {COLUMNS} FROM rejections r WHERE {filters} ORDER BY r.seq DESC LIMIT {limit}");
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query(params_from_iter(values))?;
    let mut records = Vec::new();
    while let Some(row) = found.next()? {
        records.push(record_of(row)?.0);
    }
    Ok(records)
}

/// The table is bounded, so that this one count is too.
fn groups(conn: &Connection, filter: &RejectionFilter) -> Result<Vec<RejectionGroup>, Fault> {
    let (filters, values) = conditions(filter);
    let sql = format!(
        "SELECT r.channel, r.reason, count(*), sum(r.count + r.more), min(r.received_at), max(r.last_at)
         FROM rejections r WHERE {filters} GROUP BY r.channel, r.reason ORDER BY 4 DESC, r.channel, r.reason LIMIT {PAGE_MAX}"
    );
    let mut select = conn.prepare_cached(&sql)?;
    let mut found = select.query(params_from_iter(values))?;
    let mut list = Vec::new();
    while let Some(row) = found.next()? {
        list.push(RejectionGroup {
            channel: row.get(0)?,
            reason: row.get(1)?,
            kept: unsigned(row, 2)?,
            count: unsigned(row, 3)?,
            first_at: from_ms(row.get(4)?)?,
            last_at: from_ms(row.get(5)?)?,
        });
    }
    Ok(list)
}

fn conditions(filter: &RejectionFilter) -> (String, Vec<Value>) {
    let mut text = "1".to_owned();
    let mut values = Vec::new();
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        write!(text, " AND {condition} ?{}", values.len()).expect("writing to a string never fails");
    };
    if let Some(channel) = &filter.channel {
        add("r.channel =", Value::Text(channel.clone()));
    }
    if let Some(reason) = &filter.reason {
        add("r.reason =", Value::Text(reason.clone()));
    }
    if let Some(since) = filter.since {
        add("r.last_at >=", Value::Integer(to_ms(since)));
    }
    if filter.is_open {
        text.push_str(" AND r.notification IS NULL");
    }
    (text, values)
}

fn unsigned(row: &SqlRow<'_>, column: usize) -> Result<u64, Fault> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

fn record_of(row: &SqlRow<'_>) -> Result<(RejectionRecord, i64), Fault> {
    let rejection: String = row.get(2)?;
    let source: Option<Vec<u8>> = row.get(3)?;
    let notification: Option<[u8; 16]> = row.get(8)?;
    let reverified_at: Option<i64> = row.get(9)?;
    let record = RejectionRecord {
        id: RejectionId::from_bytes(row.get(0)?),
        channel: row.get(1)?,
        rejection: serde_json::from_str(&rejection).map_err(|_| Fault::corrupt("a rejection"))?,
        source: source.as_deref().map(rows::address_of).transpose()?,
        received_at: from_ms(row.get(4)?)?,
        last_at: from_ms(row.get(5)?)?,
        count: unsigned(row, 6)?,
        more: unsigned(row, 7)?,
        notification: notification.map(NotificationId::from_bytes),
        reverified_at: reverified_at.map(from_ms).transpose()?,
        request: None,
    };
    Ok((record, row.get(10)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(reason: &str, rows: u64) -> Group {
        Group { channel: Some("a".to_owned()), reason: reason.to_owned(), rows, bytes: rows * 100 }
    }

    #[test]
    fn the_largest_group_gives_first() {
        let limits = Bounds { rows: 200, bytes: 1_000_000, by_channel: true };
        let rare = [group("missing", 3), group("probe", 90)];
        assert_eq!(plan(&rare, limits), [], "within a channel's half");
        let flood = [group("missing", 3), group("malformed", 500)];
        let cuts = plan(&flood, limits);
        assert_eq!(cuts.len(), 1);
        let (index, rows) = cuts[0];
        assert_eq!(index, 1);
        assert!((90..=100).contains(&(503 - rows)), "{rows}");
    }

    #[test]
    fn bytes_are_bounded_too() {
        let limits = Bounds { rows: 1_000_000, bytes: 20_000, by_channel: true };
        let cuts = plan(&[group("missing", 3), group("malformed", 500)], limits);
        assert!(matches!(cuts.as_slice(), [(1, rows)] if (503 - rows) * 100 <= 10_000), "{cuts:?}");
    }
}
