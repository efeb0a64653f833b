//! Files as bytes in memory: what a change makes of one, and what a folder holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::record::Deed;

/// Has a change of a file happen.
///
/// # Panics
/// When the file does not fit into memory.
pub(super) fn apply(content: &mut Vec<u8>, deed: &Deed) {
    let place = |number: u64| usize::try_from(number).expect("files of a proof fit into memory");
    match deed {
        Deed::Write { offset, bytes, .. } => {
            let (from, to) = (place(*offset), place(*offset) + bytes.len());
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(bytes);
        }
        Deed::Resize { length, .. } => content.resize(place(*length), 0),
        _ => {}
    }
}

/// What is in a folder: the bytes of each file, nothing for a folder; parents before what is in them.
///
/// # Errors
/// What the system says.
pub(super) fn snapshot(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let path = entry.path();
            let inside = path.strip_prefix(root)?.to_owned();
            if entry.file_type()?.is_dir() {
                found.insert(inside, None);
                walk(root, &path, found)?;
            } else {
                found.insert(inside, Some(std::fs::read(&path)?));
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found).with_context(|| format!("read {}", root.display()))?;
    Ok(found)
}
