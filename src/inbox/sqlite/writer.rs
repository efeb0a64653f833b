//! The one thread that writes.
//!
//! It drains whatever waits into one `IMMEDIATE` transaction, commits, and answers everyone after that.
//! There is no batch window: while one commit is on its way to the disk the next batch gathers by itself.
//! After a failure that spoils the connection all callers of the batch are told so, the connection is
//! dropped, and a new one has to bring everything to disk before it is trusted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::fault::Fault;
use super::files::InPlace;
use super::queue::{Queue, Taken, Waiting};
use super::readers::Readers;
use super::refused::{Log, Row, WriteSlice};
use super::rows::notification_seq;
use super::schema;
use super::session::{LAZY_MAX, Lazy, Session, Trust};
use super::standby;
use crate::inbox::settled::Hub;
use crate::inbox::{Condition, Error, NotificationId};

/// Counts of repetitions and acks are on disk at the latest after this time, when nothing else is written.
const LAZY_WAIT: Duration = Duration::from_secs(1);
/// A connection that failed is not opened again sooner: callers in between are told at once.
const REOPEN_WAIT: Duration = Duration::from_millis(100);
/// After so many bytes of jobs the WAL is moved into the database, between two batches: small enough that
/// the next batch hardly waits, large enough that pages that changed often are copied once.
const CHECKPOINT_BYTES: usize = 2 * 1024 * 1024;
/// Batches are gathered only while several callers are busy at once: from so many jobs of the last batch on.
const GATHER_FROM: usize = 2;
/// Jobs that are enough for one batch: a commit's own price hardly counts among so many.
const GATHER_ENOUGH: usize = 64;
/// How long the writer looks away while a batch gathers: it is not woken for every job.
const GATHER_STEP: Duration = Duration::from_micros(20);
/// Longest time that a batch gathers.
const GATHER_MAX: Duration = Duration::from_micros(200);
/// A log that is longer has been held by readers; people's reads wait then until it is empty.
pub(super) const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// People's reads wait no longer than this: our own have ended by then, so that somebody else's holds the log.
const HOLD_MAX: Duration = Duration::from_secs(7);
/// From giving that up to the next try.
const HOLD_PAUSE: Duration = Duration::from_mins(1);
/// What a job writes beside its bodies: rows and their indexes, roughly.
const JOB_BYTES: usize = 4 * 1024;

/// Slices of refusals that are written while closing: more than can wait in memory.
const CLOSING_SLICES_MAX: usize = 64;

/// Why nothing is written into files that are no longer where they were.
const MOVED: &str = "the inbox's files were moved, deleted or replaced while they were open; put them back, or restart";

/// What the writer shares with the callers.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) queue: Queue,
    pub(super) readers: Readers,
    pub(super) refused: Arc<Log>,
    pub(super) wakes: watch::Sender<u64>,
    pub(super) hint_wakes: watch::Sender<u64>,
    pub(super) settled: Arc<Hub>,
    condition: Mutex<Condition>,
    acks: Mutex<Vec<(i64, i64)>>,
}

impl Shared {
    pub(super) fn new(path: PathBuf, queue: Queue, readers: Readers, refused: Log) -> Self {
        Self {
            path,
            queue,
            readers,
            refused: Arc::new(refused),
            wakes: watch::Sender::new(0),
            hint_wakes: watch::Sender::new(0),
            settled: Arc::default(),
            condition: Mutex::new(Condition::Good),
            acks: Mutex::default(),
        }
    }

    pub(super) fn condition(&self) -> Condition {
        lock(&self.condition).clone()
    }

    /// Notes an ack for the next transaction. When too many wait, it is dropped: losing one only makes a
    /// later repetition look like an ordinary one.
    pub(super) fn note_ack(&self, id: NotificationId, at: i64) {
        let mut acks = lock(&self.acks);
        if acks.len() < LAZY_MAX {
            acks.push((notification_seq(id), at));
        }
    }

    fn set_condition(&self, new: Condition) {
        let mut condition = lock(&self.condition);
        match (&*condition, &new) {
            (Condition::Good, Condition::Failing(cause)) => tracing::error!(cause, "the inbox cannot be written"),
            (Condition::Failing(_), Condition::Good) => tracing::warn!("the inbox can be written again"),
            _ => {}
        }
        *condition = new;
    }
}

/// The writer.
pub(super) struct Writer {
    shared: Arc<Shared>,
    session: Option<Session>,
    /// The files that the connection writes to, or wrote to.
    in_place: InPlace,
    /// The counts of a connection that was dropped.
    orphaned: Lazy,
    failed_at: Option<(Instant, String)>,
    bytes_since_checkpoint: usize,
    /// Jobs of the last batch.
    last_batch: usize,
    counts_written_at: Instant,
    refused_written_at: Instant,
    /// Since when people's reads are kept back, and when that last ended without the log being emptied.
    held_since: Option<Instant>,
    held_in_vain_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, session: Session) -> Self {
        let in_place = InPlace::of(&shared.path);
        Self {
            last_batch: 0,
            shared,
            session: Some(session),
            in_place,
            orphaned: Lazy::default(),
            failed_at: None,
            bytes_since_checkpoint: 0,
            counts_written_at: Instant::now(),
            refused_written_at: Instant::now(),
            held_since: None,
            held_in_vain_at: None,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            self.gather();
            match self.shared.queue.take(LAZY_WAIT) {
                Taken::Batch(batch) => {
                    self.last_batch = batch.len();
                    self.work(batch);
                }
                Taken::Idle => {
                    self.last_batch = 0;
                    self.idle();
                    self.write_refused_sometimes();
                }
                Taken::Closed => break,
            }
        }
        self.idle();
        for _ in 0..CLOSING_SLICES_MAX {
            if self.shared.condition() != Condition::Good || !self.write_refused() {
                break;
            }
        }
        if let Some(session) = &self.session
            && let Err(fault) = schema::checkpoint_all(&session.conn)
        {
            tracing::warn!(cause = %fault.into_error(), "the last checkpoint of the inbox was not made");
        }
    }

    /// While several callers are busy, waits a moment for more of them, as long as more come: every commit has a price
    /// of its own. One who is alone never waits.
    fn gather(&self) {
        let queue = &self.shared.queue;
        let mut waiting = queue.waiting();
        if self.last_batch < GATHER_FROM || waiting == 0 {
            return;
        }
        let began = Instant::now();
        while waiting < GATHER_ENOUGH && began.elapsed() < GATHER_MAX {
            std::thread::sleep(GATHER_STEP);
            let now = queue.waiting();
            if now <= waiting + 1 {
                return;
            }
            waiting = now;
        }
    }

    /// One batch: one transaction, then the answers.
    fn work(&mut self, mut batch: Vec<Waiting>) {
        let outcome = self.transact(&mut batch, false);
        self.settle(&outcome);
        let weight: usize = batch.iter().map(|waiting| waiting.bytes + JOB_BYTES).sum();
        let has_written = matches!(outcome, Ok(true));
        for Waiting { job, .. } in batch {
            job.answer(match &outcome {
                Ok(_) => Ok(()),
                Err(cause) => Err(Error::Unavailable(cause.clone())),
            });
        }
        if has_written {
            self.checkpoint_sometimes(weight);
        }
        if self.counts_written_at.elapsed() >= LAZY_WAIT {
            self.idle();
        }
        self.write_refused_sometimes();
    }

    /// Refusals are written between two batches: nobody waits for them, and a flood of them is spread.
    fn write_refused_sometimes(&mut self) {
        if self.refused_written_at.elapsed() >= self.shared.refused.limits.write_every {
            self.write_refused();
        }
    }

    /// Writes one slice of refusals; says whether there was one.
    fn write_refused(&mut self) -> bool {
        self.refused_written_at = Instant::now();
        let Some(slice) = self.shared.refused.take() else { return false };
        let bytes = slice.rows.iter().map(Row::bytes).sum();
        let job = WriteSlice { slice: Some(slice), log: Arc::clone(&self.shared.refused) };
        self.work(vec![Waiting { job: Box::new(job), bytes }]);
        true
    }

    /// Nothing waits: what was put off is written, and a failing disk is tried.
    fn idle(&mut self) {
        self.counts_written_at = Instant::now();
        let lazy = self.session.as_ref().map_or(&self.orphaned, |session| &session.lazy);
        let has_counts = !lazy.is_empty() || !lock(&self.shared.acks).is_empty();
        if has_counts || self.shared.condition() != Condition::Good {
            let outcome = self.transact(&mut [], true);
            self.settle(&outcome);
        }
        self.shorten_log();
    }

    /// Runs the jobs and commits. Says whether anything was written.
    fn transact(&mut self, batch: &mut [Waiting], is_idle: bool) -> Result<bool, String> {
        self.check_in_place()?;
        self.reopen()?;
        let is_failing = self.shared.condition() != Condition::Good;
        let session = self.session.as_mut().expect("reopened above");
        session.lazy.acks.extend(std::mem::take(&mut *lock(&self.shared.acks)));
        let outcome = catch_unwind(AssertUnwindSafe(|| run_batch(session, batch, is_idle, is_failing)));
        let fault = match outcome {
            Ok(Ok(has_written)) => return Ok(has_written),
            Ok(Err(fault)) => fault,
            Err(_) => Error::Unavailable("a job of the inbox panicked".to_owned()).into(),
        };
        session.forget_interned();
        // Only an untouched transaction that could not begin leaves the connection as it was.
        let is_only_busy = matches!(&fault, Fault::Sql(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy))
            && session.conn.is_autocommit();
        let cause = fault.into_error().to_string();
        if !is_only_busy {
            self.drop_connections(&cause);
        }
        Err(cause)
    }

    /// Takes note of how a transaction ended, before anyone is answered.
    fn settle(&mut self, outcome: &Result<bool, String>) {
        match outcome {
            Ok(has_written) => {
                let Some(session) = &mut self.session else { return };
                if *has_written {
                    self.counts_written_at = Instant::now();
                    self.shared.set_condition(Condition::Good);
                }
                standby::tell(session);
                self.shared.settled.tell(&session.settled);
                if session.made_due {
                    self.shared.wakes.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
            Err(cause) => self.shared.set_condition(Condition::Failing(cause.clone())),
        }
    }

    fn drop_connections(&mut self, cause: &str) {
        if let Some(session) = self.session.take() {
            let Session { conn, lazy, .. } = session;
            self.orphaned = lazy;
            if let Err((_, error)) = conn.close() {
                tracing::warn!(%error, "the inbox's connection did not close cleanly");
            }
        }
        // Pages that readers hold may be those whose fsync failed.
        self.shared.readers.forget();
        self.failed_at = Some((Instant::now(), cause.to_owned()));
    }

    /// Refuses to write into files that somebody has moved, deleted or replaced. The connection stays open,
    /// because it may be the last way to what they hold; when they are put back, or after a restart, all goes on.
    fn check_in_place(&self) -> Result<(), String> {
        let now = InPlace::of(&self.shared.path);
        let is_in_place = self.in_place.still_holds(now, self.session.is_some());
        if is_in_place { Ok(()) } else { Err(MOVED.to_owned()) }
    }

    /// Makes sure that there is a connection. A new one after a failure first brings the whole WAL into the
    /// database and to disk: a page of a commit that failed may be readable and yet not be on disk, and a
    /// repetition must not be answered from it.
    fn reopen(&mut self) -> Result<(), String> {
        if self.session.is_some() {
            return Ok(());
        }
        if let Some((at, cause)) = &self.failed_at
            && at.elapsed() < REOPEN_WAIT
        {
            return Err(cause.clone());
        }
        self.shared.readers.forget();
        match open_and_check(&self.shared.path) {
            Ok(conn) => {
                self.session = Some(Session::new(conn, std::mem::take(&mut self.orphaned)));
                self.in_place = InPlace::of(&self.shared.path);
                self.failed_at = None;
                Ok(())
            }
            Err(fault) => {
                let cause = fault.into_error().to_string();
                self.failed_at = Some((Instant::now(), cause.clone()));
                Err(cause)
            }
        }
    }

    fn checkpoint_sometimes(&mut self, weight: usize) {
        self.bytes_since_checkpoint += weight;
        if self.bytes_since_checkpoint < CHECKPOINT_BYTES {
            return;
        }
        self.bytes_since_checkpoint = 0;
        let Some(session) = &self.session else { return };
        let done = schema::checkpoint_some(&session.conn);
        self.note_checkpoint(done);
        self.shorten_log();
    }

    /// Empties a log that readers have kept from being emptied for too long: people's reads wait until those that
    /// run have ended, which takes as long as one may take at most. Callbacks wait for nothing.
    fn shorten_log(&mut self) {
        let Some(session) = &self.session else { return };
        let now = Instant::now();
        if self.held_since.is_none() {
            let is_soon = self.held_in_vain_at.is_some_and(|at| now - at < HOLD_PAUSE);
            if is_soon || super::files::length(&super::files::beside(&self.shared.path, "-wal")) <= LOG_BYTES_MAX {
                return;
            }
            self.shared.readers.hold(true);
            self.held_since = Some(now);
        }
        let emptied = schema::checkpoint_all(&session.conn);
        let is_emptied = matches!(emptied, Ok(true));
        let is_in_vain = self.held_since.is_some_and(|since| now - since > HOLD_MAX);
        if is_emptied || is_in_vain || emptied.is_err() {
            self.shared.readers.hold(false);
            self.held_since = None;
            if !is_emptied {
                self.held_in_vain_at = Some(now);
                tracing::warn!("the inbox's log is long and cannot be emptied: does another program read it?");
            }
        }
        self.note_checkpoint(emptied.map(|_| ()));
    }

    fn note_checkpoint(&mut self, done: Result<(), Fault>) {
        if let Err(fault) = done {
            let is_spoiled = fault.spoils_connection();
            let cause = fault.into_error().to_string();
            tracing::warn!(cause, "a checkpoint of the inbox failed");
            if is_spoiled {
                self.drop_connections(&cause);
                self.shared.set_condition(Condition::Failing(cause));
            }
        }
    }
}

fn open_and_check(path: &std::path::Path) -> Result<rusqlite::Connection, Fault> {
    super::files::prepare(path)?;
    let conn = schema::open_writer(path)?;
    if !schema::checkpoint_all(&conn)? {
        return Err(Error::Unavailable("a reader still holds the log that has to be brought to disk".to_owned()).into());
    }
    Ok(conn)
}

/// The transaction itself.
///
/// Jobs hardly ever fail, and a savepoint around each makes SQLite copy every page that it touches. So the batch first
/// runs as one; when a job fails, all is undone and each runs alone.
fn run_batch(session: &mut Session, batch: &mut [Waiting], is_idle: bool, is_failing: bool) -> Result<bool, Fault> {
    let done = run_jobs(session, batch, Trust::Together);
    if let Err(fault) = &done
        && !fault.spoils_connection()
        && !session.conn.is_autocommit()
    {
        session.run("ROLLBACK")?;
        session.undo_batch();
        run_jobs(session, batch, Trust::Apart)?;
    } else {
        done?;
    }
    if is_idle && is_failing {
        session.run("INSERT OR REPLACE INTO probe (id, at) VALUES (1, unixepoch() * 1000)")?;
    }
    let has_written = session.has_written();
    let writes_counts = has_written || is_idle || session.lazy.is_full();
    if writes_counts {
        session.write_lazy()?;
    }
    // Without a changed page this costs no fsync.
    session.run("COMMIT")?;
    if writes_counts {
        session.lazy = Lazy::default();
    }
    Ok(has_written || writes_counts)
}

fn run_jobs(session: &mut Session, batch: &mut [Waiting], trust: Trust) -> Result<(), Fault> {
    session.run("BEGIN IMMEDIATE")?;
    session.begin_batch(trust)?;
    for waiting in batch {
        waiting.job.run(session)?;
    }
    if session.made_due {
        standby::grant(session)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
