//! Refusals on their way to the disk: a bounded memory that takes them without waiting and hands them to
//! the writer in slices. What is beyond a network's share of a window is counted on its last row.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;

use super::fault::Fault;
use super::queue::Job;
use super::rejections;
use super::rows::{address_bytes, headers_bytes, to_ms};
use super::session::Session;
use crate::inbox::redact::{bounded_method, redact_headers, redact_query};
use crate::inbox::rejections::{BODY_BYTES_MAX, Network, Refused, RejectionLimits, Shelf};
use crate::inbox::{Error, RejectionId};

/// Networks whose windows are remembered; beyond it all further ones share one window.
const WINDOWS_MAX: usize = 8192;
/// Expired windows are looked for at most this often, in milliseconds.
const PRUNE_EVERY_MS: i64 = 1000;
/// Rows whose counts wait to be written.
const COUNTS_MAX: usize = 8192;
/// Counts that one slice writes.
const COUNTS_WRITTEN: usize = 256;
/// Proven requests that are known to be on disk, so that a repetition is only counted.
const PROVEN_MAX: usize = 4096;
/// What a row takes beside its texts and bytes: indexes and fixed columns.
const ROW_BYTES: usize = 256;

/// What a request is compared by; collisions cost a row, not a callback.
pub(super) type Digest = [u8; 16];

/// A refusal as it will be stored.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) id: RejectionId,
    pub(super) digest: Digest,
    pub(super) shelf: Shelf,
    pub(super) channel: Option<String>,
    pub(super) reason: &'static str,
    pub(super) rejection: String,
    pub(super) network: Network,
    pub(super) source: Option<Vec<u8>>,
    pub(super) received_at: i64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) body_bytes: Option<u64>,
    pub(super) is_redacted: bool,
}

impl Row {
    pub(super) fn of(refused: &Refused<'_>) -> Self {
        let Refused { channel, rejection, request, is_read } = *refused;
        let mut headers = request.headers.clone();
        let mut is_redacted = redact_headers(&mut headers);
        let query = request.query.as_deref().map(|query| {
            let without = redact_query(query, "");
            is_redacted |= without != query;
            without.into_owned()
        });
        Self {
            id: RejectionId::new(),
            digest: digest(refused, query.as_deref(), &headers),
            shelf: Shelf::of(rejection),
            channel: channel.map(str::to_owned),
            reason: rejection.word(),
            rejection: serde_json::to_string(rejection).expect("a rejection is plain texts and numbers"),
            network: Network::of(request.source),
            source: request.source.map(address_bytes),
            received_at: to_ms(request.received_at),
            method: bounded_method(&request.method).to_string(),
            path: request.path.clone(),
            query,
            headers: headers_bytes(&headers),
            // A copy: the body may be a small piece of a large buffer, which would be kept as long.
            body: request.body[..request.body.len().min(BODY_BYTES_MAX)].to_vec(),
            body_bytes: is_read.then_some(request.body.len() as u64),
            is_redacted,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = self.rejection.len() + self.path.len() + self.query.as_ref().map_or(0, String::len);
        ROW_BYTES + texts + self.headers.len() + self.body.len()
    }
}

/// What tells requests apart. Headers count where nothing is proven, because a forger who guessed a body must
/// not be able to put his own headers in front of the genuine ones; a platform's repetition of a proven one
/// has new headers and is the same message. Query and headers come without credentials: what is stored must not
/// let anyone try out guesses of one.
fn digest(refused: &Refused<'_>, query: Option<&str>, headers: &HeaderMap) -> Digest {
    let Refused { channel, rejection, request, .. } = *refused;
    let mut context = Context::new(&SHA256);
    let mut piece = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    piece(channel.unwrap_or("").as_bytes());
    piece(rejection.word().as_bytes());
    piece(request.method.as_str().as_bytes());
    piece(request.path.as_bytes());
    piece(query.unwrap_or("").as_bytes());
    piece(&request.body);
    if Shelf::of(rejection) != Shelf::Undecryptable {
        for (name, value) in headers {
            piece(name.as_str().as_bytes());
            piece(value.as_bytes());
        }
    }
    let full = context.finish();
    std::array::from_fn(|at| full.as_ref()[at])
}

/// What is added to a row that is, or will be, on disk.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    /// Other refusals of the same bucket.
    pub(super) more: u64,
    /// The same bytes again.
    pub(super) repeats: u64,
    pub(super) last_at: i64,
}

/// The memory.
pub(super) struct Log {
    pub(super) limits: RejectionLimits,
    state: Mutex<State>,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    windows: HashMap<Bucket, Window>,
    pruned_at: i64,
    waiting: HashMap<Shelf, Waiting>,
    counts: HashMap<Digest, Counts>,
    /// Proven ones that are on disk, and since when.
    proven: HashMap<Digest, i64>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Bucket {
    channel: Option<Box<str>>,
    reason: &'static str,
    network: Network,
}

struct Window {
    began_at: i64,
    kept: u32,
    last: Option<Digest>,
}

#[derive(Default)]
struct Waiting {
    rows: VecDeque<Row>,
    bytes: usize,
}

/// Rows and counts for one transaction.
#[derive(Default)]
pub(super) struct Slice {
    pub(super) rows: Vec<Row>,
    pub(super) counts: Vec<(Digest, Counts)>,
}

impl Log {
    pub(super) fn new(limits: RejectionLimits) -> Self {
        Self { limits, state: Mutex::default(), lost: AtomicU64::new(0) }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Takes a refusal in, or counts it.
    pub(super) fn note(&self, refused: &Refused<'_>) {
        let now = to_ms(refused.request.received_at);
        let bucket = Bucket {
            channel: refused.channel.map(Box::from),
            reason: refused.rejection.word(),
            network: Network::of(refused.request.source),
        };
        let Some(bucket) = self.admit(bucket, Shelf::of(refused.rejection), now) else { return };
        // Copied and hashed outside the lock.
        let row = Row::of(refused);
        let mut state = self.lock();
        if let Some(window) = state.windows.get_mut(&bucket) {
            window.last = Some(row.digest);
        }
        let waiting = state.waiting.entry(row.shelf).or_default();
        waiting.bytes += row.bytes();
        waiting.rows.push_back(row);
    }

    /// Whether the bucket may keep one more; counts it where it may not.
    fn admit(&self, wanted: Bucket, on: Shelf, at: i64) -> Option<Bucket> {
        let mut state = self.lock();
        let (bucket, last, kept) = state.window(wanted, at, self.limits.window_ms());
        let has_room = state.waiting.get(&on).is_none_or(|waiting| {
            waiting.rows.len() < self.limits.waiting_rows && waiting.bytes < self.limits.waiting_bytes
        });
        if kept < self.limits.kept_in_window && has_room {
            if let Some(window) = state.windows.get_mut(&bucket) {
                window.kept += 1;
            }
            return Some(bucket);
        }
        let is_counted = last.is_some_and(|digest| {
            state.count(digest, |counts| {
                counts.more += 1;
                counts.last_at = counts.last_at.max(at);
            })
        });
        if !is_counted {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        None
    }

    /// Counts a proven request that is on disk; says whether it is.
    pub(super) fn count_proven(&self, digest: Digest, now: i64) -> bool {
        let mut state = self.lock();
        let since = state.proven.get(&digest).copied();
        if since.is_none_or(|since| now < since || now - since >= self.limits.window_ms()) {
            return false;
        }
        state.count(digest, |counts| {
            counts.repeats += 1;
            counts.last_at = counts.last_at.max(now);
        })
    }

    /// A proven request was committed.
    pub(super) fn proven_stored(&self, digest: Digest, now: i64) {
        let mut state = self.lock();
        if state.proven.len() >= PROVEN_MAX {
            state.proven.clear();
        }
        state.proven.insert(digest, now);
    }

    /// The next rows and counts to be written; `None` when there are none.
    pub(super) fn take(&self) -> Option<Slice> {
        let mut state = self.lock();
        let mut slice = Slice::default();
        for waiting in state.waiting.values_mut() {
            let rows = waiting.rows.len().min(self.limits.written_rows);
            slice.rows.extend(waiting.rows.drain(..rows));
            waiting.bytes = waiting.rows.iter().map(Row::bytes).sum();
        }
        let digests: Vec<Digest> = state.counts.keys().take(COUNTS_WRITTEN).copied().collect();
        for digest in digests {
            // A count is written after its row.
            let is_waiting = state.waiting.values().any(|waiting| waiting.rows.iter().any(|row| row.digest == digest));
            if !is_waiting && let Some(counts) = state.counts.remove(&digest) {
                slice.counts.push((digest, counts));
            }
        }
        (!slice.rows.is_empty() || !slice.counts.is_empty()).then_some(slice)
    }

    /// Rows and bytes in memory.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        let shelves = state.waiting.values();
        shelves.fold((0, 0), |(rows, bytes), waiting| (rows + waiting.rows.len(), bytes + waiting.bytes))
    }

    /// Nothing waits to be written.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().0 == 0 && self.lock().counts.is_empty()
    }

    /// What could not be written waits again, where there is room.
    fn give_back(&self, slice: Slice) {
        let mut state = self.lock();
        for row in slice.rows.into_iter().rev() {
            let waiting = state.waiting.entry(row.shelf).or_default();
            if waiting.rows.len() < self.limits.waiting_rows && waiting.bytes < self.limits.waiting_bytes {
                waiting.bytes += row.bytes();
                waiting.rows.push_front(row);
            } else {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        for (digest, counts) in slice.counts {
            let is_counted = state.count(digest, |waiting| {
                waiting.more += counts.more;
                waiting.repeats += counts.repeats;
                waiting.last_at = waiting.last_at.max(counts.last_at);
            });
            if !is_counted {
                self.lost.fetch_add(counts.more + counts.repeats, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The window of a bucket, begun anew when the last one is over; with its last row and its count of rows.
    fn window(&mut self, mut bucket: Bucket, now: i64, length: i64) -> (Bucket, Option<Digest>, u32) {
        // A clock that was set back ends a window too.
        let is_over = |window: &Window| now < window.began_at || now - window.began_at >= length;
        if !self.windows.contains_key(&bucket) && self.windows.len() >= WINDOWS_MAX {
            if (now - self.pruned_at).abs() >= PRUNE_EVERY_MS {
                self.pruned_at = now;
                self.windows.retain(|_, window| !is_over(window));
            }
            if self.windows.len() >= WINDOWS_MAX {
                bucket.network = Network::Any;
            }
        }
        let window = self.windows.entry(bucket.clone()).or_insert(Window { began_at: now, kept: 0, last: None });
        if is_over(window) {
            *window = Window { began_at: now, kept: 0, last: None };
        }
        (bucket, window.last, window.kept)
    }

    fn count(&mut self, digest: Digest, add: impl FnOnce(&mut Counts)) -> bool {
        if !self.counts.contains_key(&digest) && self.counts.len() >= COUNTS_MAX {
            return false;
        }
        add(self.counts.entry(digest).or_default());
        true
    }
}

impl RejectionLimits {
    fn window_ms(&self) -> i64 {
        i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX)
    }
}

/// The writer's job of one slice.
pub(super) struct WriteSlice {
    pub(super) slice: Option<Slice>,
    pub(super) log: Arc<Log>,
}

impl Job for WriteSlice {
    fn run(&mut self, session: &mut Session) -> Result<(), Fault> {
        let Some(slice) = &self.slice else { return Ok(()) };
        let limits = self.log.limits;
        if let Err(error) = session.within_savepoint(|session| rejections::write(session, slice, limits))? {
            // Its own fault, such as a row that SQLite refuses: it would fail again.
            tracing::error!(%error, rows = slice.rows.len(), "refusals could not be kept");
            self.slice = None;
        }
        Ok(())
    }

    fn answer(mut self: Box<Self>, batch: Result<(), Error>) {
        if let (Err(_), Some(slice)) = (batch, self.slice.take()) {
            self.log.give_back(slice);
        }
    }
}
