//! Rows of what people did.

use rusqlite::Connection;

use super::fault::Fault;
use super::rows::{from_ms, to_ms};
use super::session::Session;
use crate::inbox::audit::SUBJECTS_MAX;
use crate::inbox::{AuditRecord, PAGE_MAX};

/// Writes a row, in the transaction of what it tells.
pub(super) fn note(session: &Session, record: &AuditRecord) -> Result<(), Fault> {
    let subjects = &record.subjects[..record.subjects.len().min(SUBJECTS_MAX)];
    session
        .conn
        .prepare_cached("INSERT INTO audit (at, who, what, subjects, why, result) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute((
            to_ms(record.at),
            &record.who,
            &record.what,
            serde_json::to_string(subjects).expect("a list of texts"),
            &record.why,
            record.result.map(|result| i64::try_from(result).unwrap_or(i64::MAX)),
        ))?;
    Ok(())
}

/// Newest first.
pub(super) fn list(conn: &Connection, limit: usize) -> Result<Vec<AuditRecord>, Fault> {
    let mut select =
        conn.prepare_cached("SELECT at, who, what, subjects, why, result FROM audit ORDER BY seq DESC LIMIT ?1")?;
    let mut rows = select.query([i64::try_from(limit.min(PAGE_MAX)).expect("a small number")])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        let subjects: String = row.get(3)?;
        records.push(AuditRecord {
            at: from_ms(row.get(0)?)?,
            who: row.get(1)?,
            what: row.get(2)?,
            subjects: serde_json::from_str(&subjects).map_err(|_| Fault::corrupt("an audit's subjects"))?,
            why: row.get(4)?,
            result: row.get::<_, Option<i64>>(5)?.map(|result| u64::try_from(result).unwrap_or(0)),
        });
    }
    Ok(records)
}
