//! The files: made for their owner alone, and refused when others can open them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::inbox::Error;

/// Mode of every file of the inbox.
const FILE_MODE: u32 = 0o600;
/// Mode of a directory that we make.
const DIRECTORY_MODE: u32 = 0o700;
/// Bits that nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// Makes the database file when it is not there, and checks it and what stands beside it. SQLite gives
/// `-wal` and `-shm` the mode of the database.
pub(super) fn prepare(path: &Path) -> Result<(), Error> {
    make_directory_of(path)?;
    match create(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unavailable("create", path, &error)),
    }
    for file in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        check(&file)?;
    }
    Ok(())
}

/// Makes the directory when it is not there, and has it survive a power cut: what is flushed into a file is lost
/// with a folder on the way to it.
pub(super) fn make_directory_of(path: &Path) -> Result<(), Error> {
    let directory = directory_of(path);
    let missing: Vec<&Path> = directory.ancestors().take_while(|one| is_missing(one)).collect();
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .map_err(|error| unavailable("make the directory of", path, &error))?;
    for made in missing.iter().rev() {
        sync_directory_of(made).map_err(|error| unavailable("sync the folder of", made, &error))?;
    }
    Ok(())
}

/// Whether a folder has to be made; the empty path is the folder that we are in.
fn is_missing(folder: &Path) -> bool {
    let found = std::fs::metadata(folder);
    !folder.as_os_str().is_empty() && found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The directory that a file is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives a file to a user and a group, where there is a reason to.
pub(super) fn give_to(path: &Path, owner: Option<(u32, u32)>) -> Result<(), Error> {
    let Some((user, group)) = owner else { return Ok(()) };
    std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(|error| unavailable("give away", path, &error))
}

/// Which files an open connection writes to. A name that leads to others, or to none, means that what is written
/// is lost with the process, although every flush succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InPlace {
    database: Option<(u64, u64)>,
    log: Option<(u64, u64)>,
}

impl InPlace {
    /// What the names lead to now.
    pub(super) fn of(path: &Path) -> Self {
        let file = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        Self { database: file(path), log: file(&beside(path, "-wal")) }
    }

    /// Whether what was opened is still there. Without an open connection the log comes and goes.
    pub(super) fn still_holds(self, now: Self, is_open: bool) -> bool {
        self.database == now.database && (!is_open || self.log.is_none() || self.log == now.log)
    }
}

/// Makes a new file with mode 0600 from its first moment; fails when there is one.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
}

/// Holds the right to serve from one inbox; given back when dropped, and by the system when the process ends.
#[derive(Debug)]
pub struct ServingLock {
    _file: File,
}

/// Tries for the lock before it counts as taken: a command that looks whether somebody serves holds it for a moment.
const LOCK_TRIES: u32 = 10;
/// Pause between two of them.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock beside the database: beside the file itself, because it may have several names. It comes before
/// everything else that is made, so it makes the directory.
pub(super) fn lock_for_serving(path: &Path) -> Result<ServingLock, Error> {
    make_directory_of(path)?;
    let path = lock_of(path);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|error| unavailable("open", &path, &error))?;
    check(&path)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(ServingLock { _file: file }),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(unavailable("lock", &path, &error)),
        }
    }
    Err(Error::AlreadyServed)
}

/// Whether somebody holds the lock. Shared, so that two commands that look do not see each other.
pub(super) fn is_served(path: &Path) -> Result<bool, Error> {
    let path = lock_of(path);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unavailable("open", &path, &error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(unavailable("lock", &path, &error)),
    }
}

/// The lock's name.
pub(super) fn lock_of(path: &Path) -> PathBuf {
    beside(&std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), ".lock")
}

/// Makes a new file's name survive a power cut.
pub(super) fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// A file's length in bytes; 0 when it is not there.
pub(super) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// A file's name with an ending.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn check(path: &Path) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.mode() & OTHERS == 0 => Ok(()),
        Ok(metadata) => Err(Error::OpenToOthers { path: path.display().to_string(), mode: metadata.mode() & 0o777 }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unavailable("look at", path, &error)),
    }
}

pub(super) fn unavailable(doing: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable(format!("{doing} {}: {error}", path.display()))
}
