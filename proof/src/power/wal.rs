//! SQLite's write-ahead log, read as the recovery reads it: which commits there were, when their last byte was
//! written, and how every page looked after each.
//!
//! Format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>. A frame counts when its salts are those of the
//! header and its checksum continues that of the frame before; a commit is a frame that says how many pages there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hasher as _};

use super::disk::Disk;
use super::record::{Deed, Node, Recording, Step};

/// Bytes of the log's header.
const HEADER: usize = 32;
/// Bytes of a frame before its page.
const FRAME_HEADER: usize = 24;
/// The header's first bytes, when checksums are read with the last byte first; one more: first byte first.
const MAGIC: u32 = 0x377f_0682;

/// One commit.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The log that it was written to.
    pub log: Node,
    /// The step after which all of it had been written.
    pub written: usize,
    /// The pages that it changed, and what they hold since.
    pub pages: Vec<(u32, u64)>,
    /// How many pages the database has.
    pub count: u32,
}

/// Every commit of a recording, and what the database held before the first.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Pages before the first commit.
    pub base: Vec<(u32, u64)>,
    /// In order.
    pub commits: Vec<Commit>,
    /// After which steps the log began anew.
    pub restarts: Vec<usize>,
}

/// What a recovered database is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// As after so many commits, at most.
    After(usize),
    /// As after none of them; the nearest has so many other pages.
    None {
        /// Commits up to the nearest.
        nearest: usize,
        /// The first page that differs from it.
        page: u32,
    },
}

impl History {
    /// Reads a recording. `find` is shown each page that is new in the log, with the number of its commit.
    pub fn read(recording: &Recording, is_log: &dyn Fn(&str) -> bool, find: &mut dyn FnMut(usize, &[u8])) -> Self {
        let mut history = Self::default();
        let mut logs: HashMap<Node, Log> = HashMap::new();
        for (folder, name, node) in &recording.roots {
            if is_log(name) {
                let mut log = Log::new(*folder);
                log.bytes.clone_from(&recording.contents[node]);
                logs.insert(*node, log);
            }
        }
        let mut disk = Disk::new(recording);
        for (place, step) in recording.steps.iter().enumerate() {
            disk.step();
            let Step::End(id) = step else { continue };
            let deed = &recording.deeds[*id];
            match deed {
                Deed::Enter { folder, name, node } if is_log(name) => {
                    logs.insert(*node, Log::new(*folder));
                }
                Deed::Write { file, .. } | Deed::Resize { file, .. } => {
                    let Some(log) = logs.get_mut(file) else { continue };
                    if history.commits.is_empty() && history.base.is_empty() {
                        let database = log.database(recording, is_log);
                        let bytes = database.map_or(&[][..], |database| disk.seen(database));
                        history.base = pages_of(bytes, page_size(bytes)).collect();
                    }
                    if log.change(deed) {
                        history.restarts.push(place);
                    }
                    while let Some(found) = log.next_commit() {
                        let number = history.commits.len() + 1;
                        for page in &found.frames {
                            find(number, page.1);
                        }
                        let pages = found.frames.iter().map(|(page, bytes)| (*page, hash(bytes))).collect();
                        history.commits.push(Commit { log: *file, written: place, pages, count: found.count });
                    }
                }
                _ => {}
            }
        }
        history
    }

    /// How many commits had been written at a step.
    pub fn written_by(&self, place: usize) -> usize {
        self.commits.partition_point(|commit| commit.written < place)
    }

    /// Which state a database file is in, of those that commits made.
    pub fn likeness(&self, database: &[u8]) -> Likeness {
        let size = page_size(database);
        let image: BTreeMap<u32, u64> = pages_of(database, size).collect();
        let count = u32::try_from(image.len()).unwrap_or(u32::MAX);
        let mut known: BTreeMap<u32, u64> = BTreeMap::new();
        let mut differing: BTreeSet<u32> = BTreeSet::new();
        let mut best = None;
        let mut nearest = (usize::MAX, 0, 1);
        let base = (&self.base, u32::try_from(self.base.len()).unwrap_or(u32::MAX));
        let states = std::iter::once(base).chain(self.commits.iter().map(|commit| (&commit.pages, commit.count)));
        for (number, (pages, pages_in_all)) in states.enumerate() {
            for (page, hash) in pages {
                known.insert(*page, *hash);
                if image.get(page) == Some(hash) {
                    differing.remove(page);
                } else {
                    differing.insert(*page);
                }
            }
            let gone: Vec<u32> = known.range(pages_in_all.saturating_add(1)..).map(|(page, _)| *page).collect();
            for page in gone {
                known.remove(&page);
                differing.remove(&page);
            }
            let distance = differing.len() + usize::from(count != pages_in_all);
            if distance == 0 {
                best = Some(number);
            }
            if distance <= nearest.0 {
                nearest = (distance, number, differing.first().copied().unwrap_or(count));
            }
        }
        best.map_or(Likeness::None { nearest: nearest.1, page: nearest.2 }, Likeness::After)
    }
}

/// A log as it is written.
struct Log {
    folder: Node,
    bytes: Vec<u8>,
    size: usize,
    /// Where the frames go on that were not looked at yet, and the checksum up to there; nothing without a header.
    next: Option<(usize, [u32; 2])>,
    /// The same after the newest commit.
    committed: Option<(usize, [u32; 2])>,
    is_big: bool,
}

struct Found<'a> {
    frames: Vec<(u32, &'a [u8])>,
    count: u32,
}

impl Log {
    fn new(folder: Node) -> Self {
        Self { folder, bytes: Vec::new(), size: 0, next: None, committed: None, is_big: false }
    }

    /// The database beside it: the file in the same folder whose name is the beginning of the log's.
    fn database(&self, recording: &Recording, is_log: &dyn Fn(&str) -> bool) -> Option<Node> {
        let entered = recording.deeds.iter().filter_map(|deed| match deed {
            Deed::Enter { folder, name, node } => Some((*folder, name, *node)),
            _ => None,
        });
        let there = recording.roots.iter().map(|(folder, name, node)| (*folder, name, *node));
        there
            .chain(entered)
            .find(|(folder, name, _)| *folder == self.folder && is_log(&format!("{name}-wal")))
            .map(|(_, _, node)| node)
    }

    /// Takes a change in. True when it makes the log begin anew.
    fn change(&mut self, deed: &Deed) -> bool {
        super::files::apply(&mut self.bytes, deed);
        let from = match deed {
            Deed::Write { offset, .. } => usize::try_from(*offset).unwrap_or(usize::MAX),
            Deed::Resize { .. } => self.bytes.len(),
            _ => return false,
        };
        if from < HEADER {
            self.begin();
            return self.next.is_some();
        }
        if let Some((committed, _)) = self.committed
            && from < committed
        {
            // Frames of before are written over, which only a log that began anew does.
            self.begin();
            return false;
        }
        // Frames of a transaction that is still open may be written again.
        if self.next.is_some_and(|(next, _)| from < next) {
            self.next = self.committed;
        }
        false
    }

    fn begin(&mut self) {
        self.next = None;
        self.committed = None;
        let Some(header) = self.bytes.get(..HEADER) else { return };
        let magic = big(header, 0);
        if magic & !1 != MAGIC {
            return;
        }
        self.is_big = magic & 1 == 1;
        let sum = checksum([0, 0], &header[..24], self.is_big);
        if sum != [big(header, 24), big(header, 28)] {
            return;
        }
        self.size = usize::try_from(big(header, 8)).unwrap_or(0);
        self.next = Some((HEADER, sum));
        self.committed = self.next;
    }

    /// The next commit that is there as a whole.
    fn next_commit(&mut self) -> Option<Found<'_>> {
        let (mut at, mut sum) = self.next?;
        loop {
            let frame = self.bytes.get(at..at + FRAME_HEADER + self.size);
            let next = frame.and_then(|frame| self.valid(frame, sum));
            let (Some(frame), Some(next)) = (frame, next) else {
                self.next = Some((at, sum));
                return None;
            };
            let count = big(frame, 4);
            sum = next;
            at += FRAME_HEADER + self.size;
            if count > 0 {
                let from = self.committed.map_or(HEADER, |(from, _)| from);
                self.next = Some((at, sum));
                self.committed = self.next;
                let frames = self.bytes[from..at].chunks_exact(FRAME_HEADER + self.size);
                let frames = frames.map(|frame| (big(frame, 0), &frame[FRAME_HEADER..])).collect();
                return Some(Found { frames, count });
            }
        }
    }

    /// The checksum after a frame that belongs to this log.
    fn valid(&self, frame: &[u8], sum: [u32; 2]) -> Option<[u32; 2]> {
        if frame[8..16] != self.bytes[16..24] || big(frame, 0) == 0 {
            return None;
        }
        let sum = checksum(sum, &frame[..8], self.is_big);
        let sum = checksum(sum, &frame[FRAME_HEADER..], self.is_big);
        (sum == [big(frame, 16), big(frame, 20)]).then_some(sum)
    }
}

fn big(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn checksum(mut sum: [u32; 2], bytes: &[u8], is_big: bool) -> [u32; 2] {
    let word = |bytes: &[u8]| {
        let four = bytes.try_into().expect("four bytes");
        if is_big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
    };
    for pair in bytes.chunks_exact(8) {
        sum[0] = sum[0].wrapping_add(word(&pair[..4])).wrapping_add(sum[1]);
        sum[1] = sum[1].wrapping_add(word(&pair[4..])).wrapping_add(sum[0]);
    }
    sum
}

/// A database's page size, in bytes; 0 when there is no header.
pub fn page_size(database: &[u8]) -> usize {
    match database.get(16..18) {
        Some([0, 1]) => 65536,
        Some([high, low]) => usize::from(*high) << 8 | usize::from(*low),
        _ => 0,
    }
}

fn pages_of(database: &[u8], size: usize) -> impl Iterator<Item = (u32, u64)> {
    database.chunks_exact(size.max(1)).zip(1..).map(|(bytes, page)| (page, hash(bytes)))
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
