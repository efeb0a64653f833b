//! Opening a connection, and bringing the schema up to this program.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::fault::Fault;
use crate::inbox::Error;

/// How long a statement waits for another process (a replay from the command line) before it gives up:
/// longer than any of their transactions, shorter than a platform's patience.
pub(super) const BUSY_WAIT: Duration = Duration::from_secs(1);
/// Four of our rows with their bodies fill a page of this size well; with 4096 a quarter would stay empty.
const PAGE_BYTES: u32 = 4096;
/// Page cache of the writing connection: holds the inner pages of every index at ten million rows.
const WRITER_CACHE_KIB: u32 = 64 * 1024;
/// Page cache of each reading connection.
const READER_CACHE_KIB: u32 = 8 * 1024;
/// The commit itself moves the WAL into the database only from this many pages (32 MiB) on. The writer does
/// it sooner, between two batches, when nobody waits for an answer.
const CHECKPOINT_PAGES_MAX: u32 = 4096;
/// A WAL that grew beyond this while a long read held it is cut down again.
const WAL_BYTES_KEPT: u32 = 64 * 1024 * 1024;
/// Prepared statements kept by a connection: more than there are different ones.
const STATEMENTS_KEPT: usize = 128;

/// A migration: applied once, never changed afterwards.
struct Migration {
    number: u32,
    sql: &'static str,
}

/// All of them, in order.
const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, sql: include_str!("../../../migrations/sqlite/0001_inbox.sql") },
    Migration { number: 2, sql: include_str!("../../../migrations/sqlite/0002_platform_keys.sql") },
    Migration { number: 3, sql: include_str!("../../../migrations/sqlite/0003_rejections.sql") },
    Migration { number: 4, sql: include_str!("../../../migrations/sqlite/0004_gaps.sql") },
    Migration { number: 5, sql: include_str!("../../../migrations/sqlite/0005_shadow.sql") },
    Migration { number: 6, sql: include_str!("../../../migrations/sqlite/0006_shadow_success.sql") },
    Migration { number: 7, sql: include_str!("../../../migrations/sqlite/0007_hints.sql") },
];

/// Opens the connection that writes, and migrates.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Unavailable(format!("the journal mode stays {mode}")).into());
    }
    stable_plans(&conn)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "foreign_keys", false)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    // What a savepoint may have to undo would go to a file in the system's temporary folder otherwise: one that
    // is full or read-only would stop every callback, and pages of bodies would lie there.
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES_MAX)?;
    conn.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    migrate(&mut conn, MIGRATIONS)?;
    Ok(conn)
}

/// A plan depends on the statement alone. Otherwise SQLite looks at the values too and prepares a kept
/// statement anew for each: an eighth of the writer's time.
fn stable_plans(conn: &Connection) -> Result<(), Fault> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Opens a connection that can only read.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_WAIT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    stable_plans(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
    Ok(conn)
}

/// Moves the WAL into the database as far as readers allow, and says whether all of it went. Both files are
/// fsynced on the way, so what can be read afterwards is on disk, even when it was written by a process that
/// died between its write and its fsync.
///
/// It waits for nobody: waiting for somebody's read it would hold the write lock, and the callbacks of a node
/// with it, because a person looked.
pub(super) fn checkpoint_all(conn: &Connection) -> Result<bool, Fault> {
    conn.busy_timeout(Duration::ZERO)?;
    let is_busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    conn.busy_timeout(BUSY_WAIT)?;
    Ok(is_busy? == 0)
}

/// Moves what can be moved without waiting for anyone.
pub(super) fn checkpoint_some(conn: &Connection) -> Result<(), Fault> {
    Ok(conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}

/// Applies what is missing under the write lock, and refuses what does not fit. An inbox that is up to date
/// is only read, so that a command can open it beside a busy node.
fn migrate(conn: &mut Connection, known: &[Migration]) -> Result<(), Fault> {
    if missing(conn, known)?.is_empty() {
        return Ok(());
    }
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, checksum TEXT NOT NULL) STRICT",
    )?;
    // Another process may have been faster.
    for migration in missing(&transaction, known)? {
        transaction.execute_batch(migration.sql)?;
        let checksum = sha256_hex(migration.sql.as_bytes());
        transaction
            .execute("INSERT INTO migrations (number, checksum) VALUES (?1, ?2)", (migration.number, checksum))?;
    }
    Ok(transaction.commit()?)
}

/// Brings a database that is not open to anybody else up to this program.
pub(super) fn migrate_to_newest(conn: &mut Connection) -> Result<(), Fault> {
    migrate(conn, MIGRATIONS)
}

/// Whether an inbox is in it, of whatever age.
pub(super) fn is_ours(conn: &Connection) -> Result<bool, Fault> {
    let found = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", [], |_| Ok(()))
        .optional()?;
    if found.is_none() {
        return Ok(false);
    }
    Ok(conn.query_row("SELECT count(*) > 0 FROM migrations", [], |row| row.get(0))?)
}

/// The name of the first table, index, view or trigger that is not as the migrations make it.
pub(super) fn difference(conn: &Connection) -> Result<Option<String>, Fault> {
    let mut fresh = Connection::open_in_memory()?;
    migrate(&mut fresh, MIGRATIONS)?;
    let (made, found) = (objects(&fresh)?, objects(conn)?);
    Ok(made.symmetric_difference(&found).next().map(|(name, _)| name.clone()))
}

/// What a schema holds, but for SQLite's own.
fn objects(conn: &Connection) -> Result<BTreeSet<(String, String)>, Fault> {
    Ok(conn
        .prepare("SELECT name, type || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?)
}

/// The migrations that were not applied yet.
fn missing<'a>(conn: &Connection, known: &'a [Migration]) -> Result<Vec<&'a Migration>, Fault> {
    let is_ours = conn
        .query_row("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'migrations'", [], |_| Ok(()))
        .optional()?
        .is_some();
    if !is_ours {
        let strangers: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if strangers > 0 {
            return Err(Error::Corrupt("the file is a database of another program".to_owned()).into());
        }
        return Ok(known.iter().collect());
    }
    let applied: Vec<(u32, String)> = conn
        .prepare("SELECT number, checksum FROM migrations ORDER BY number")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let newest_known = known.last().map_or(0, |migration| migration.number);
    if let Some((found, _)) = applied.last().filter(|(number, _)| *number > newest_known) {
        return Err(Error::NewerSchema { found: *found, known: newest_known }.into());
    }
    let mut missing = Vec::new();
    for migration in known {
        match applied.iter().find(|(number, _)| *number == migration.number) {
            Some((_, stored)) if *stored == sha256_hex(migration.sql.as_bytes()) => {}
            Some(_) => return Err(Error::ChangedMigration { number: migration.number }.into()),
            None => missing.push(migration),
        }
    }
    Ok(missing)
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string never fails");
        text
    })
}
