//! Recordings of a gateway that does it wrong, made from one of a gateway that does it right.

use super::record::{Kind, Recording, Step};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// No file is flushed.
    NoFileFlushes,
    /// No folder is flushed.
    NoFolderFlushes,
    /// Whatever leaves does so before the flush that returned just before.
    Hasty,
}

/// A recording with this damage.
pub fn damaged(recording: &Recording, damage: Damage) -> Recording {
    let mut damaged = recording.clone();
    let drops = |kind: Kind| {
        move |step: &Step| match step {
            Step::SyncBegin(sync) | Step::SyncEnd(sync) => recording.kinds[recording.syncs[*sync]] == kind,
            _ => false,
        }
    };
    match damage {
        Damage::NoFileFlushes => damaged.steps.retain(|step| !drops(Kind::File)(step)),
        Damage::NoFolderFlushes => damaged.steps.retain(|step| !drops(Kind::Folder)(step)),
        Damage::Hasty => {
            let mut flushed_at = None;
            for at in 0..damaged.steps.len() {
                match damaged.steps[at] {
                    Step::SyncEnd(_) => flushed_at = Some(at),
                    Step::Sent(_) => {
                        if let Some(flushed) = flushed_at {
                            damaged.steps[flushed..=at].rotate_right(1);
                            flushed_at = Some(flushed + 1);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    damaged
}
