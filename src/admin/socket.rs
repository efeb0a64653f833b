//! The unix socket: made for one user, its leftovers removed safely, and its callers known by the system.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

use crate::control::{Caller, Role};

/// Only the owner may connect.
const SOCKET_MODE: u32 = 0o600;
/// Everybody may make and remove names in the folder …
const OPEN_TO_ALL: u32 = 0o002;
/// … unless it is one where each may remove only their own.
const STICKY: u32 = 0o1000;

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Anybody could put another socket in its place.
    #[error("everybody may write into {}; choose a folder of your own for the socket", .0.display())]
    OpenFolder(PathBuf),
    /// Something else has this name.
    #[error("{} is there already and is no socket; choose another name", .0.display())]
    NotASocket(PathBuf),
    /// Another process answers on it.
    #[error("another process answers on {}; give every gateway its own socket", .0.display())]
    InUse(PathBuf),
    /// The system refused.
    #[error("make the socket {}: {source}", path.display())]
    System {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The name of a socket, removed when the node ends.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    made: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another node may have put its own there.
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.made);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            warn!(%error, "the socket could not be removed");
        }
    }
}

/// Makes the socket. What a process that died left there is removed, when nobody answers on it. Whoever calls holds
/// the right to serve from the inbox, so that it is no leftover of another node of the same inbox.
///
/// # Errors
/// [`SocketError`], each with its cure.
pub fn bind(path: &Path) -> Result<(UnixListener, SocketFile), SocketError> {
    let system = |source| SocketError::System { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(folder).map_err(system)?.mode();
    if mode & OPEN_TO_ALL != 0 && mode & STICKY == 0 {
        return Err(SocketError::OpenFolder(folder.to_owned()));
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => match BlockingStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(system)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Also a queue that is full: somebody has it.
            Ok(_) | Err(_) => return Err(SocketError::InUse(path.to_owned())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(system(error)),
    }
    let listener = UnixListener::bind(path).map_err(system)?;
    // Until here the mode is the process's habit; callers are known by the system all the same.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE)).map_err(system)?;
    let found = fs::symlink_metadata(path).map_err(system)?;
    Ok((listener, SocketFile { path: path.to_owned(), made: (found.dev(), found.ino()) }))
}

/// Who is at the other end: the node's own user and root, or `None` for others.
///
/// # Errors
/// When the system cannot say.
pub fn caller(stream: &UnixStream) -> io::Result<Option<Caller>> {
    let uid = stream.peer_cred()?.uid();
    let is_ours = uid == 0 || uid == rustix::process::geteuid().as_raw();
    if !is_ours {
        warn!(uid, "another user came to the socket");
    }
    Ok(is_ours.then(|| Caller { name: format!("uid:{uid}"), role: Role::Owner }))
}
