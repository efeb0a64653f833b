//! A disk that keeps what was flushed, and of the rest whatever chance leaves.
//!
//! * What a flush covers is there: the deeds on its node that had returned before the flush began, once it has returned.
//! * Any other write is there, is not, or is there sector by sector, whatever came before or after it; a file may have
//!   become longer without its bytes, and hold zeros or remains of others there.
//! * A name is there when its folder was flushed since, and may be there or not otherwise. This is more than the usual
//!   file systems take away: they keep the name of a file that was flushed.
//!
//! A sector that is being written does not harm what lies beside it in the file, which is what SQLite asks of a disk
//! ("powersafe overwrite").

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::files::apply;
use super::record::{Deed, Kind, Node, Recording, Step, WORLD};
use crate::random::Random;

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR: usize = 512;

/// What a power cut leaves of the deeds that were not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Nothing,
    /// Everything, as when only the process dies.
    Everything,
    /// Everything but the newest change of each node.
    AllButNewest,
    /// Only the newer half of each node's.
    NewerHalf,
    /// Each as chance falls.
    Some,
    /// Each sector as chance falls.
    Torn,
    /// Torn, and files are as long as they were to become, with zeros or remains where the bytes are missing.
    Holes,
}

impl Cut {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Nothing, Self::Everything, Self::AllButNewest, Self::NewerHalf, Self::Some, Self::Torn, Self::Holes];
}

/// What a power cut left: the files by their path inside the world, and the folders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Their bytes.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Folders, those without files too.
    pub folders: BTreeSet<PathBuf>,
}

/// The disk at a moment of a recording.
#[derive(Clone, Debug)]
pub struct Disk<'a> {
    recording: &'a Recording,
    /// How many steps have been taken.
    at: usize,
    /// When each deed had returned.
    ended: HashMap<usize, usize>,
    /// Flushes that have begun: what they will cover.
    flushing: HashMap<usize, Vec<usize>>,
    files: HashMap<Node, Vec<u8>>,
    /// Files as every program sees them.
    seen: HashMap<Node, Vec<u8>>,
    names: HashMap<(Node, String), Node>,
    /// What was not flushed yet, by node, oldest first.
    pending: BTreeMap<Node, Vec<usize>>,
}

impl<'a> Disk<'a> {
    /// At the beginning.
    pub fn new(recording: &'a Recording) -> Self {
        let names = recording.roots.iter().map(|(folder, name, node)| ((*folder, name.clone()), *node));
        Self {
            recording,
            at: 0,
            ended: HashMap::new(),
            flushing: HashMap::new(),
            files: recording.contents.clone(),
            seen: recording.contents.clone(),
            names: names.collect(),
            pending: BTreeMap::new(),
        }
    }

    /// How many steps have been taken.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Takes the next step.
    pub fn step(&mut self) {
        match self.recording.steps[self.at] {
            Step::Begin(deed) => {
                for node in nodes_of(&self.recording.deeds[deed]) {
                    self.pending.entry(node).or_default().push(deed);
                }
            }
            Step::End(deed) => {
                self.ended.insert(deed, self.at);
                if let Deed::Write { file, .. } | Deed::Resize { file, .. } = &self.recording.deeds[deed] {
                    apply(self.seen.entry(*file).or_default(), &self.recording.deeds[deed]);
                }
            }
            Step::SyncBegin(sync) => {
                let pending = self.pending.get(&self.recording.syncs[sync]).into_iter().flatten();
                let covered = pending.copied().filter(|deed| self.ended.contains_key(deed)).collect();
                self.flushing.insert(sync, covered);
            }
            Step::SyncEnd(sync) => {
                for deed in self.flushing.remove(&sync).unwrap_or_default() {
                    self.keep(deed);
                }
            }
            Step::Sent(_) | Step::Exit(_) | Step::Killed => {}
        }
        self.at += 1;
    }

    /// Takes the steps up to a place.
    pub fn go_to(&mut self, place: usize) {
        while self.at < place {
            self.step();
        }
    }

    /// A file as every program sees it.
    pub fn seen(&self, file: Node) -> &[u8] {
        self.seen.get(&file).map_or(&[], Vec::as_slice)
    }

    /// Names that a power cut may take away although programs see them.
    pub fn unnamed(&self) -> Vec<PathBuf> {
        let is_folder = |node: &Node| self.recording.kinds[*node] == Kind::Folder;
        if !self.pending.keys().any(is_folder) {
            return Vec::new();
        }
        let kept = self.tree(&|_| false);
        let now = self.tree(&|deed| self.ended.contains_key(&deed));
        now.into_iter().filter(|(path, node)| kept.get(path) != Some(node)).map(|(path, _)| path).collect()
    }

    /// Files that a power cut may change, or take away, although programs see them as they are.
    pub fn unflushed(&self) -> Vec<PathBuf> {
        let mut found = self.unnamed();
        for (path, node) in self.tree(&|_| true) {
            if self.recording.kinds[node] == Kind::File && self.pending.contains_key(&node) {
                found.push(path);
            }
        }
        found.sort();
        found.dedup();
        found
    }

    /// The image that a power cut leaves.
    pub fn image(&self, cut: Cut, random: &mut Random) -> Image {
        let fates = self.fates(cut, random);
        let tree = self.tree(&|deed| fates.contains(&deed));
        let mut image = Image::default();
        for (path, node) in tree {
            if self.recording.kinds[node] == Kind::Folder {
                image.folders.insert(path);
            } else {
                image.files.insert(path, self.content(node, cut, &fates, random));
            }
        }
        image
    }

    /// Pending deeds that reach the disk whole.
    fn fates(&self, cut: Cut, random: &mut Random) -> BTreeSet<usize> {
        let mut landed = BTreeSet::new();
        for deeds in self.pending.values() {
            let count = deeds.len();
            for (nth, deed) in deeds.iter().enumerate() {
                let lands = match cut {
                    Cut::Nothing => false,
                    Cut::Everything => true,
                    Cut::AllButNewest => nth + 1 < count,
                    Cut::NewerHalf => nth >= count / 2,
                    Cut::Some | Cut::Torn | Cut::Holes => random.percent(50),
                };
                if lands {
                    landed.insert(*deed);
                }
            }
        }
        landed
    }

    /// Names that lead somewhere, with the pending changes that are let through.
    fn tree(&self, lands: &dyn Fn(usize) -> bool) -> BTreeMap<PathBuf, Node> {
        let mut names = self.names.clone();
        let folders = self.pending.iter().filter(|(node, _)| self.recording.kinds[**node] == Kind::Folder);
        let deeds: BTreeSet<usize> = folders.flat_map(|(_, deeds)| deeds.iter().copied()).collect();
        for deed in deeds.into_iter().filter(|deed| lands(*deed)) {
            rename(&mut names, &self.recording.deeds[deed]);
        }
        let mut by_folder: BTreeMap<Node, Vec<(&String, Node)>> = BTreeMap::new();
        for ((folder, name), node) in &names {
            by_folder.entry(*folder).or_default().push((name, *node));
        }
        let mut found = BTreeMap::new();
        let mut open = vec![(WORLD, PathBuf::new())];
        while let Some((folder, path)) = open.pop() {
            for (name, node) in by_folder.get(&folder).into_iter().flatten() {
                let path = path.join(name);
                if self.recording.kinds[*node] == Kind::Folder {
                    open.push((*node, path.clone()));
                }
                found.insert(path, *node);
            }
        }
        found
    }

    fn content(&self, file: Node, cut: Cut, landed: &BTreeSet<usize>, random: &mut Random) -> Vec<u8> {
        let mut content = self.files.get(&file).cloned().unwrap_or_default();
        for id in self.pending.get(&file).into_iter().flatten() {
            let deed = &self.recording.deeds[*id];
            match (cut, deed) {
                (Cut::Torn | Cut::Holes, Deed::Write { offset, bytes, .. }) => {
                    tear(&mut content, *offset, bytes, cut == Cut::Holes, random);
                }
                _ if landed.contains(id) => apply(&mut content, deed),
                _ => {}
            }
        }
        content
    }

    /// A deed is on the disk from now on.
    fn keep(&mut self, id: usize) {
        let deed = &self.recording.deeds[id];
        match deed {
            Deed::Write { file, .. } | Deed::Resize { file, .. } => {
                apply(self.files.entry(*file).or_default(), deed);
            }
            _ => rename(&mut self.names, deed),
        }
        for node in nodes_of(deed) {
            if let Some(pending) = self.pending.get_mut(&node) {
                pending.retain(|other| *other != id);
                if pending.is_empty() {
                    self.pending.remove(&node);
                }
            }
        }
    }
}

fn nodes_of(deed: &Deed) -> Vec<Node> {
    match deed {
        Deed::Write { file, .. } | Deed::Resize { file, .. } => vec![*file],
        Deed::Enter { folder, .. } | Deed::Leave { folder, .. } => vec![*folder],
        Deed::Move { from, to, .. } if from.0 == to.0 => vec![from.0],
        Deed::Move { from, to, .. } => vec![from.0, to.0],
        Deed::Nothing => Vec::new(),
    }
}

fn rename(names: &mut HashMap<(Node, String), Node>, deed: &Deed) {
    match deed {
        Deed::Enter { folder, name, node } => {
            names.insert((*folder, name.clone()), *node);
        }
        Deed::Leave { folder, name } => {
            names.remove(&(*folder, name.clone()));
        }
        Deed::Move { from, to, node } => {
            if names.get(from) == Some(node) {
                names.remove(from);
            }
            names.insert(to.clone(), *node);
        }
        _ => {}
    }
}

/// Has some sectors of a write reach the disk.
fn tear(content: &mut Vec<u8>, offset: u64, bytes: &[u8], has_holes: bool, random: &mut Random) {
    let start = usize::try_from(offset).expect("files of a proof fit into memory");
    let end = start + bytes.len();
    if has_holes && content.len() < end {
        let remains = random.percent(50);
        content.resize_with(end, || if remains { random.number().to_le_bytes()[3] } else { 0 });
    }
    let mut from = start;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        if random.percent(50) {
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(&bytes[from - start..to - start]);
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn recording() -> Recording {
        let write = |offset, bytes: &[u8]| Deed::Write { file: 1, offset, bytes: bytes.to_vec() };
        Recording {
            kinds: vec![Kind::Folder, Kind::File],
            deeds: vec![
                Deed::Enter { folder: WORLD, name: "a".into(), node: 1 },
                write(0, b"one"),
                write(3, b"two"),
                write(6, b"six"),
            ],
            syncs: vec![1, WORLD],
            steps: vec![
                Step::Begin(0),
                Step::End(0),
                Step::Begin(1),
                Step::End(1),
                Step::Begin(2),
                // The second write has not returned: this flush covers the first alone.
                Step::SyncBegin(0),
                Step::End(2),
                Step::Begin(3),
                Step::End(3),
                Step::SyncEnd(0),
                Step::SyncBegin(1),
                Step::SyncEnd(1),
            ],
            ..Recording::default()
        }
    }

    fn bytes(disk: &Disk<'_>, cut: Cut) -> Option<Vec<u8>> {
        disk.image(cut, &mut Random::new(1)).files.remove(Path::new("a"))
    }

    #[test]
    fn only_what_a_finished_flush_covers_is_kept() {
        let recording = recording();
        let mut disk = Disk::new(&recording);
        disk.go_to(9);
        assert_eq!(bytes(&disk, Cut::Nothing), None, "the folder was not flushed");
        assert_eq!(bytes(&disk, Cut::Everything).unwrap(), b"onetwosix");
        assert_eq!(disk.unflushed(), [Path::new("a")]);
        disk.go_to(12);
        assert_eq!(bytes(&disk, Cut::Nothing).unwrap(), b"one");
        assert_eq!(bytes(&disk, Cut::AllButNewest).unwrap(), b"onetwo");
        assert_eq!(bytes(&disk, Cut::NewerHalf).unwrap(), b"one\0\0\0six");
        assert_eq!(disk.seen(1), b"onetwosix");
        assert_eq!(disk.unflushed(), [Path::new("a")]);
    }

    #[test]
    fn a_torn_write_is_whole_in_each_sector_and_harms_nothing_beside_it() {
        let new = [7; 4 * SECTOR];
        let mut seen = BTreeSet::new();
        for seed in 0..64 {
            let mut content = vec![1; 6 * SECTOR];
            tear(&mut content, 256, &new, false, &mut Random::new(seed));
            assert!(content[..256].iter().chain(&content[256 + new.len()..]).all(|byte| *byte == 1));
            for sector in content.chunks(SECTOR) {
                seen.insert(sector.iter().map(|byte| usize::from(*byte == 7)).sum());
            }
        }
        assert_eq!(seen, BTreeSet::from([0, 256, SECTOR]));
    }
}
