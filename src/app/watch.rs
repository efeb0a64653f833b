//! Looks whether the configuration's files have changed: the files themselves, the key and certificate files that
//! they name, and the folder for further ones.
//!
//! By looking, not by the system's notices: the inbox lies beside the configuration by default, so that a watched
//! folder would wake us for every page that is written; and notices do not come through bind mounts of single
//! files, swapped symbolic links and network file systems, which is how containers are configured.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::debug;

use crate::config::{self, CHANNELS_FOLDER};
use crate::reload::{Order, Reloader};
use crate::stop::Stop;

/// Time between two looks. Files that change are taken when they look the same twice, so that one that is being
/// written is not read.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks after which files that go on changing are read all the same.
const LOOKS_MAX: u32 = 10;

/// Who asks, in the log.
const WHO: &str = "changed files";

/// Asks for a reload whenever the files have changed, until the stop signal.
pub(super) async fn watch_files(path: PathBuf, reloader: Reloader, mut stop: Stop) {
    let Some(mut known) = look(&path).await else { return stop.raised().await };
    let mut changing: Option<(Stamps, u32)> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.raised() => return,
        }
        // Looking may hang with a disk, and does not keep the node from ending.
        let looked = tokio::select! {
            looked = look(&path) => looked,
            () = stop.raised() => return,
        };
        let Some(now) = looked else { continue };
        if now == known {
            changing = None;
            continue;
        }
        let looks = match &changing {
            Some((before, _)) if *before == now => LOOKS_MAX,
            Some((_, looks)) => looks + 1,
            None => 0,
        };
        if looks < LOOKS_MAX {
            changing = Some((now, looks));
            continue;
        }
        // What changes while the files are read is seen at the next look.
        known = now;
        changing = None;
        let report = tokio::select! {
            report = reloader.reload(Order::by(WHO)) => report,
            () = stop.raised() => return,
        };
        debug!(outcome = report.map(|report| report.outcome.as_str()), "the configuration's files changed");
    }
}

/// What each file looks like from outside; `None` for one that is not there.
type Stamps = BTreeMap<PathBuf, Option<Stamp>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what a name leads to.
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            file: (found.dev(), found.ino()),
            length: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

async fn look(path: &Path) -> Option<Stamps> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || stamps(&path)).await.ok()
}

/// The stamps are taken before the files are read for the names in them, so that a change in between shows.
fn stamps(path: &Path) -> Stamps {
    let folder = path.parent().unwrap_or(Path::new("")).join(CHANNELS_FOLDER);
    let mut stamps: Stamps =
        [path.to_owned(), folder].into_iter().map(|file| (file.clone(), Stamp::of(&file))).collect();
    for file in config::sources(path, &|name| std::env::var(name).ok()) {
        let stamp = Stamp::of(&file);
        stamps.entry(file).or_insert(stamp);
    }
    stamps
}
