//! The rows of gaps.

use rusqlite::{Connection, OptionalExtension as _, Row};
use tollbell_channels::model::Timestamp;

use super::admin;
use super::fault::Fault;
use super::rows::{from_ms, to_ms};
use crate::inbox::gaps::GAPS_MAX;
use crate::inbox::{Closing, Gap, GapId};

/// The columns that [`read`] reads.
const COLUMNS: &str = "id, from_at, to_at, why, closed_at, closed_by, remedy";

/// All gaps, open ones first.
pub(super) fn list(conn: &Connection) -> Result<Vec<Gap>, Fault> {
    // An inbox that no node has opened since this table came has none.
    let is_there = conn
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'gaps'")?
        .query_row([], |_| Ok(()))
        .optional()?
        .is_some();
    if !is_there {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {COLUMNS} FROM gaps ORDER BY closed_at IS NOT NULL, id DESC LIMIT {GAPS_MAX}");
    let rows: Vec<RawGap> = conn.prepare_cached(&sql)?.query_map([], read)?.collect::<Result<_, _>>()?;
    rows.into_iter().map(RawGap::understood).collect()
}

/// Opens one.
pub(super) fn open(conn: &Connection, from: Option<i64>, to: i64, why: &str) -> Result<(), Fault> {
    conn.prepare_cached("INSERT INTO gaps (from_at, to_at, why) VALUES (?1, ?2, ?3)")?.execute((from, to, why))?;
    Ok(())
}

/// Closes one that is open, with its audit row.
pub(super) fn close(conn: &Connection, id: GapId, by: &str, why: &str, at: Timestamp) -> Result<Gap, Fault> {
    let at = to_ms(at);
    let closed = conn
        .prepare_cached(
            "UPDATE gaps SET closed_at = ?2, closed_by = ?3, remedy = ?4 WHERE id = ?1 AND closed_at IS NULL",
        )?
        .execute((id, at, by, why))?;
    if closed > 0 {
        admin::audit(conn, at, by, &format!("close gap {id}: {why}"))?;
    }
    conn.prepare_cached(&format!("SELECT {COLUMNS} FROM gaps WHERE id = ?1"))?.query_row([id], read)?.understood()
}

/// A row as it is stored.
struct RawGap {
    id: GapId,
    from: Option<i64>,
    to: i64,
    why: String,
    closed: Option<(i64, String, String)>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<RawGap> {
    let closed = match row.get(4)? {
        Some(at) => Some((at, row.get(5)?, row.get(6)?)),
        None => None,
    };
    Ok(RawGap { id: row.get(0)?, from: row.get(1)?, to: row.get(2)?, why: row.get(3)?, closed })
}

impl RawGap {
    fn understood(self) -> Result<Gap, Fault> {
        let closed = match self.closed {
            Some((at, by, why)) => Some(Closing { at: from_ms(at)?, by, why }),
            None => None,
        };
        Ok(Gap { id: self.id, from: self.from.map(from_ms).transpose()?, to: from_ms(self.to)?, why: self.why, closed })
    }
}
