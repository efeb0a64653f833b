//! Files that a command makes and that outlive a power cut from the moment at which the command says so.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Mode of a folder that we make.
const FOLDER_MODE: u32 = 0o700;

/// What becomes of a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It stays, and nothing is written.
    Refuse,
    /// It is written anew.
    Replace,
}

/// Writes a file, and makes the folders on the way to it. Afterwards the file and every new name are on the disk.
///
/// # Errors
/// What the system says.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    make_folders(folder_of(path))?;
    let mut options = OpenOptions::new();
    options.write(true).mode(mode);
    match existing {
        Existing::Refuse => options.create_new(true),
        Existing::Replace => options.create(true).truncate(true),
    };
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    sync(folder_of(path))
}

fn make_folders(folder: &Path) -> io::Result<()> {
    let is_missing = |folder: &&Path| fs::metadata(folder).is_err_and(|error| error.kind() == ErrorKind::NotFound);
    let missing: Vec<&Path> = folder.ancestors().filter(|one| *one != Path::new("")).take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)?;
    missing.into_iter().rev().try_for_each(|made| sync(folder_of(made)))
}

/// The folder that a name is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
