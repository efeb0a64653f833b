//! Putting a backup in the place of the inbox.
//!
//! The backup is copied beside the inbox, and what is checked is the copy. Then one rename makes it the inbox, so that
//! a power cut leaves the old one or the new one. Nothing of the old one may stand beside the new one: SQLite would
//! play an old log into it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::rows::{from_ms, to_ms};
use super::{admin, files, gaps, schema};
use crate::inbox::{Error, Gap};

/// What the copy is called until it is the inbox.
const COPY_SUFFIX: &str = ".restoring";
/// Endings of what SQLite keeps beside a database.
const COMPANIONS: &[&str] = &["-wal", "-journal", "-shm"];
/// Why there is a gap.
const WHY: &str = "restored";
/// Names that are tried for keeping the old inbox: as many restores in one second are nobody's intention.
const KEPT_NAMES_MAX: u32 = 100;
/// How long the old inbox stays locked after it was replaced: a command that had opened it just before gives up
/// meanwhile, and makes no log that would be taken for the new one's.
const HOLD_AFTER: Duration = schema::BUSY_WAIT.saturating_add(Duration::from_millis(250));

/// What becomes of an inbox that holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// The restore is refused.
    Refuse,
    /// It is kept under a dated name.
    KeepAside,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// From when on something may be missing.
    pub gap: Gap,
    /// Where the old inbox is kept.
    pub kept: Option<PathBuf>,
}

/// Why nothing was restored. The inbox is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is no backup of an inbox, or a damaged one.
    #[error("it is no whole backup: {0}")]
    NotABackup(String),
    /// A log stands beside the file: it is a copy of an open inbox, and only part of it.
    #[error("{} stands beside it", .0.display())]
    HasLog(PathBuf),
    /// The inbox holds something.
    #[error("the inbox holds something")]
    NotEmpty,
    /// Another command has the inbox open.
    #[error("another command has the inbox open")]
    InUse,
    /// Anything else; [`Error::AlreadyServed`], [`Error::NewerSchema`] and [`Error::ChangedMigration`] among them.
    #[error(transparent)]
    Inbox(#[from] Error),
}

impl From<Fault> for RestoreError {
    fn from(fault: Fault) -> Self {
        Self::Inbox(fault.into_error())
    }
}

/// Restores `backup` to `path`.
pub(super) fn restore(
    path: &Path,
    backup: &Path,
    overwrite: Overwrite,
    by: &str,
    now: Timestamp,
) -> Result<Restored, RestoreError> {
    files::make_directory_of(path)?;
    // The file itself, because it may have several names.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let lock = files::lock_for_serving(&path)?;
    let owner = owner_of(&path);
    files::give_to(&files::lock_of(&path), owner)?;
    check_is_alone(&path, backup)?;
    let old = Old::look(&path)?;
    if overwrite == Overwrite::Refuse && old.holds_something() {
        return Err(RestoreError::NotEmpty);
    }
    let copy = Copy::make(&path, backup)?;
    let gap = copy.prepare(by, backup, now)?;
    files::give_to(&copy.path, owner)?;
    let kept = replace(&path, &copy, &old, now)?;
    drop(lock);
    Ok(Restored { gap, kept })
}

/// The open gaps of an inbox that need not be there.
pub(super) fn open_gaps_of(path: &Path) -> Result<Vec<Gap>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let conn = schema::open_reader(path).map_err(Fault::into_error)?;
    let mut found = gaps::list(&conn).map_err(Fault::into_error)?;
    found.retain(Gap::is_open);
    Ok(found)
}

/// Root restores for the user that the inbox belongs to; anybody else for themselves.
fn owner_of(path: &Path) -> Option<(u32, u32)> {
    let folder = files::directory_of(path);
    let found = fs::metadata(path).or_else(|_| fs::metadata(folder)).ok()?;
    rustix::process::geteuid().is_root().then(|| (found.uid(), found.gid()))
}

/// A backup is one file, and not the inbox itself.
fn check_is_alone(path: &Path, backup: &Path) -> Result<(), RestoreError> {
    let found = fs::metadata(backup).map_err(|error| files::unavailable("read", backup, &error))?;
    if !found.is_file() {
        return Err(RestoreError::NotABackup("it is no file".to_owned()));
    }
    let is_same = fs::metadata(path).is_ok_and(|inbox| (inbox.dev(), inbox.ino()) == (found.dev(), found.ino()));
    if is_same {
        return Err(RestoreError::NotABackup("it is the inbox itself".to_owned()));
    }
    for suffix in ["-wal", "-journal"] {
        let log = files::beside(backup, suffix);
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            return Err(RestoreError::HasLog(log));
        }
    }
    Ok(())
}

/// What is at the inbox's place.
enum Old {
    Nothing,
    Empty,
    Full,
    /// It cannot be read; somebody may still want to mend it.
    Unreadable,
}

impl Old {
    fn look(path: &Path) -> Result<Self, RestoreError> {
        match fs::metadata(path) {
            Ok(found) if found.len() == 0 => return Ok(Self::Empty),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::Nothing),
            Err(error) => return Err(files::unavailable("look at", path, &error).into()),
        }
        let look = || -> Result<bool, Fault> {
            let conn = schema::open_reader(path)?;
            Ok(conn.query_row(
                "SELECT EXISTS (SELECT 1 FROM notifications) OR EXISTS (SELECT 1 FROM audit)",
                [],
                |row| row.get(0),
            )?)
        };
        let error = match look() {
            Ok(true) => return Ok(Self::Full),
            Ok(false) => return Ok(Self::Empty),
            Err(Fault::Sql(error)) => error,
            Err(fault) => return Err(fault.into()),
        };
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Ok(Self::Unreadable),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Err(RestoreError::InUse),
            // A database of another program, or half an inbox.
            Some(ErrorCode::Unknown) => Ok(Self::Full),
            _ => Err(Fault::Sql(error).into()),
        }
    }

    fn holds_something(&self) -> bool {
        matches!(self, Self::Full | Self::Unreadable)
    }
}

/// The backup's copy beside the inbox; removed unless it became the inbox.
struct Copy {
    path: PathBuf,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(%error, "an unfinished restore could not be removed");
        }
    }
}

impl Copy {
    fn make(inbox: &Path, backup: &Path) -> Result<Self, RestoreError> {
        let copy = Self { path: files::beside(inbox, COPY_SUFFIX) };
        // Of a restore that was killed; nobody else has it, because the lock is ours.
        copy.remove().map_err(|error| files::unavailable("remove", &copy.path, &error))?;
        let write = || -> io::Result<()> {
            let mut from = File::open(backup)?;
            let mut to = files::create(&copy.path)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        };
        write().map_err(|error| files::unavailable("copy the backup to", &copy.path, &error))?;
        Ok(copy)
    }

    /// Checks the copy, brings it up to this program's schema, and opens the gap in it. Afterwards it is one file that
    /// is on disk.
    fn prepare(&self, by: &str, backup: &Path, now: Timestamp) -> Result<Gap, RestoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let found = fs::metadata(&self.path).map_err(|error| files::unavailable("look at", &self.path, &error))?;
        let length = i64::try_from(found.len()).unwrap_or(i64::MAX);
        let open = || -> Result<(Connection, String), Fault> {
            let conn = Connection::open_with_flags(&self.path, flags)?;
            // SQLite takes what is missing of the last page for zeros.
            let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
            if conn.query_row(pages, [], |row| row.get::<_, i64>(0))? != length {
                return Ok((conn, "its end is missing, or more follows it".to_owned()));
            }
            conn.pragma_update(None, "trusted_schema", false)?;
            conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
            conn.pragma_update(None, "temp_store", "MEMORY")?;
            let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
            if mode != "delete" {
                return Err(Error::Unavailable(format!("the journal mode stays {mode}")).into());
            }
            conn.pragma_update(None, "synchronous", "FULL")?;
            let found = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
            Ok((conn, found))
        };
        let (mut conn, found) = open().map_err(not_a_backup)?;
        if found != "ok" {
            return Err(RestoreError::NotABackup(found));
        }
        let has_rows = schema::is_ours(&conn)?;
        if !has_rows {
            return Err(RestoreError::NotABackup("there is no inbox in it".to_owned()));
        }
        schema::migrate_to_newest(&mut conn).map_err(not_a_backup)?;
        if let Some(name) = schema::difference(&conn)? {
            return Err(RestoreError::NotABackup(format!("`{name}` is not as this program makes it")));
        }
        let gap = open_gap(&mut conn, by, backup, now)?;
        conn.close().map_err(|(_, error)| Fault::from(error))?;
        let file = File::open(&self.path).map_err(|error| files::unavailable("open", &self.path, &error))?;
        file.sync_all().map_err(|error| files::unavailable("sync", &self.path, &error))?;
        Ok(gap)
    }

    fn remove(&self) -> io::Result<()> {
        remove_if_there(&self.path)?;
        COMPANIONS.iter().try_for_each(|suffix| remove_if_there(&files::beside(&self.path, suffix)))
    }
}

/// What SQLite cannot read is no backup; a full disk says nothing about it.
fn not_a_backup(fault: Fault) -> RestoreError {
    let says_so = match &fault {
        Fault::Sql(error) => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::TypeMismatch | ErrorCode::Unknown)
        ),
        Fault::Told(Error::Corrupt(_)) => true,
        Fault::Told(_) => false,
    };
    let error = fault.into_error();
    match error {
        Error::Corrupt(cause) => RestoreError::NotABackup(cause),
        error if says_so => RestoreError::NotABackup(error.to_string()),
        error => error.into(),
    }
}

/// The time of the newest thing that is there. It reads the tables, as the check did before.
const NEWEST: &str = "SELECT max(at) FROM (
    SELECT max(received_at) AS at FROM notifications UNION ALL SELECT max(last_repeated_at) FROM notifications
    UNION ALL SELECT max(at) FROM acks UNION ALL SELECT max(ended_at) FROM attempts
    UNION ALL SELECT max(changed_at) FROM deliveries UNION ALL SELECT max(at) FROM audit)";

fn open_gap(conn: &mut Connection, by: &str, backup: &Path, now: Timestamp) -> Result<Gap, Fault> {
    let transaction = conn.transaction()?;
    let from: Option<i64> = transaction.query_row(NEWEST, [], |row| row.get(0))?;
    // A clock that was set back since makes the gap no shorter than nothing.
    let to = to_ms(now).max(from.unwrap_or(i64::MIN));
    gaps::open(&transaction, from, to, WHY)?;
    let id = transaction.last_insert_rowid();
    admin::audit(&transaction, to_ms(now), by, &format!("restore from {}: gap {id}", backup.display()))?;
    transaction.commit()?;
    Ok(Gap { id, from: from.map(from_ms).transpose()?, to: from_ms(to)?, why: WHY.to_owned(), closed: None })
}

/// Makes the copy the inbox. Returns where the old one is kept.
fn replace(path: &Path, copy: &Copy, old: &Old, now: Timestamp) -> Result<Option<PathBuf>, RestoreError> {
    let system = |doing: &'static str| move |error: io::Error| files::unavailable(doing, path, &error);
    if matches!(old, Old::Nothing) {
        // Logs without their database belong to one that somebody removed.
        put_companions_aside(path, &free_name(path, now)?, false)?;
        // Fails when somebody made one in the meantime, as a rename would not.
        fs::hard_link(&copy.path, path).map_err(system("put the backup in the place of"))?;
        files::sync_directory_of(path).map_err(system("sync the folder of"))?;
        return Ok(None);
    }
    let held = match bring_to_rest(path, old) {
        Ok(held) => held,
        Err(Fault::Sql(error)) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => return Err(RestoreError::InUse),
            _ => return Err(Fault::Sql(error).into()),
        },
        Err(other) => return Err(other.into()),
    };
    let aside = free_name(path, now)?;
    let kept = old.holds_something().then(|| aside.clone());
    if let Some(kept) = &kept {
        // A second name instead of another one: there is no moment without an inbox.
        fs::hard_link(path, kept).map_err(system("keep"))?;
    }
    put_companions_aside(path, &aside, held.is_some())?;
    files::sync_directory_of(path).map_err(system("sync the folder of"))?;
    fs::rename(&copy.path, path).map_err(system("put the backup in the place of"))?;
    files::sync_directory_of(path).map_err(system("sync the folder of"))?;
    if held.is_some() {
        std::thread::sleep(HOLD_AFTER);
    }
    drop(held);
    Ok(kept)
}

/// Moves the old inbox's log into it and keeps everybody else away from it for as long as the connection lives. There
/// is no rest for what cannot be read: SQLite would remove its log, and its files are kept as they are.
fn bring_to_rest(path: &Path, old: &Old) -> Result<Option<Connection>, Fault> {
    if matches!(old, Old::Unreadable) {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(schema::BUSY_WAIT)?;
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let mode: String = conn.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    if mode != "delete" {
        return Err(Error::Unavailable(format!("the journal mode stays {mode}")).into());
    }
    conn.execute_batch("BEGIN EXCLUSIVE")?;
    Ok(Some(conn))
}

/// A name for the old inbox that nothing has yet: the inbox's own with the time.
fn free_name(path: &Path, now: Timestamp) -> Result<PathBuf, RestoreError> {
    let stem = format!(".replaced-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let names = (1..=KEPT_NAMES_MAX).map(|n| match n {
        1 => files::beside(path, &stem),
        n => files::beside(path, &format!("{stem}-{n}")),
    });
    let is_free = |name: &PathBuf| fs::symlink_metadata(name).is_err();
    let name = names.into_iter().find(is_free);
    name.ok_or_else(|| Error::Unavailable("no name is free for the old inbox".to_owned()).into())
}

/// Takes the old inbox's logs away. At rest there is nothing in them any more.
fn put_companions_aside(path: &Path, aside: &Path, is_at_rest: bool) -> Result<(), RestoreError> {
    for suffix in COMPANIONS {
        let (from, to) = (files::beside(path, suffix), files::beside(aside, suffix));
        let moved = match fs::metadata(&from) {
            Ok(found) if found.len() > 0 && *suffix != "-shm" && !is_at_rest => fs::rename(&from, &to),
            Ok(_) => fs::remove_file(&from),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        moved.map_err(|error| files::unavailable("put aside", &from, &error))?;
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
