//! The inbox on an embedded SQLite.
//!
//! One thread (`writer`) owns the connection that writes and gathers whatever waits into one transaction;
//! reads (`readers`) have connections of their own and a time box. A commit is on disk
//! (`synchronous=FULL`) before any caller of its batch hears of it. Several processes may have the file
//! open; [`SqliteInbox::lock_for_serving`] keeps a second serving one away.

mod admin;
mod audit;
mod confirmed;
mod facts;
mod fault;
mod files;
mod gaps;
mod hints;
mod holds;
mod house;
mod intake;
mod key_uses;
mod platform_keys;
mod queue;
mod readers;
mod refused;
mod rejections;
mod restore;
mod rows;
mod schema;
mod search;
mod session;
mod shadow;
mod standby;
mod superseded;
#[cfg(test)]
mod tests;
mod unconfirmed;
mod waits;
mod work;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tollbell_channels::model::{Fact, Timestamp};

use self::fault::Fault;
use self::intake::{Moment, Parts};
use self::queue::{Asked, Queue, Urgency};
use self::readers::Readers;
use self::refused::Log;
use self::session::{Lazy, Session};
use self::writer::{Shared, Writer};
use crate::clock::Clock;

use super::rejections::RejectionLimits;
use super::shadow::{Shadow, ShadowNote};
use super::{
    Admin, Arrival, AttemptRecord, AuditRecord, Backlog, Claim, Claimed, Condition, DeliveryId, DeliveryRecord, Error,
    EventFilter, EventId, EventRecord, Finish, Finished, Gap, GapId, Gaps, Intake, LeaseToken, Leased,
    NotificationFilter, NotificationId, NotificationRecord, Replay, Retained, Retention, Search, Settled, Size,
    Standing, Stored, Work,
};

pub use self::files::ServingLock;
pub use self::restore::{Overwrite, RestoreError, Restored};

/// Jobs that wait for the writer, unless configured otherwise: about a tenth of a second of its work.
pub const QUEUE_JOBS: usize = 4096;
/// How long identities are remembered, unless configured otherwise: three years.
pub const IDENTITIES_KEPT: Duration = Duration::from_hours(3 * 365 * 24);

/// How an inbox is opened.
#[derive(Clone)]
pub struct Options {
    /// Where the time comes from.
    pub clock: Clock,
    /// Jobs that wait for the writer at most; beyond it callers hear [`Error::Overloaded`] at once.
    pub queue_jobs: usize,
    /// How long identities are remembered. A message whose own time is older is held: it may repeat
    /// something that was forgotten.
    pub identities_kept: Duration,
    /// The bounds of the log of refused requests.
    pub rejections: RejectionLimits,
}

impl Options {
    /// The defaults with this clock.
    pub fn new(clock: Clock) -> Self {
        Self { clock, queue_jobs: QUEUE_JOBS, identities_kept: IDENTITIES_KEPT, rejections: RejectionLimits::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("queue_jobs", &self.queue_jobs)
            .field("identities_kept", &self.identities_kept)
            .finish_non_exhaustive()
    }
}

/// An inbox in one SQLite file.
pub struct SqliteInbox {
    shared: Arc<Shared>,
    options: Options,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Tells a backup to end.
    is_closing: Arc<AtomicBool>,
}

impl fmt::Debug for SqliteInbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteInbox").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

impl SqliteInbox {
    /// Opens the file, makes it when it is not there, and applies missing migrations.
    ///
    /// # Errors
    /// [`Error::OpenToOthers`], [`Error::NewerSchema`] and [`Error::ChangedMigration`] need a person;
    /// [`Error::Unavailable`] names what the system said.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Arc<Self>, Error> {
        let path = path.as_ref();
        files::prepare(path)?;
        let conn = schema::open_writer(path).map_err(Fault::into_error)?;
        // What a process that died wrote may be readable and not yet on disk. Another open process may keep
        // the log from being emptied, which is no failure: what is in it has been synced by then.
        schema::checkpoint_all(&conn).map_err(Fault::into_error)?;
        let (queue, readers) = (Queue::new(options.queue_jobs), Readers::new(path.to_owned()));
        let shared = Arc::new(Shared::new(path.to_owned(), queue, readers, Log::new(options.rejections)));
        let writer = Writer::new(Arc::clone(&shared), Session::new(conn, Lazy::default()));
        let thread = std::thread::Builder::new()
            .name("inbox-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| files::unavailable("start the writer of", path, &error))?;
        Ok(Arc::new(Self { shared, options, writer: Mutex::new(Some(thread)), is_closing: Arc::default() }))
    }

    /// Takes the right to serve from this file, for as long as the guard lives.
    ///
    /// # Errors
    /// [`Error::AlreadyServed`] when another process has it.
    pub fn lock_for_serving(path: impl AsRef<Path>) -> Result<ServingLock, Error> {
        files::lock_for_serving(path.as_ref())
    }

    /// Whether another process serves from this file now.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the lock cannot be looked at.
    pub fn is_served(path: impl AsRef<Path>) -> Result<bool, Error> {
        files::is_served(path.as_ref())
    }

    /// Puts a backup in the place of the inbox at `path`, and opens a gap in it from the newest thing that the backup
    /// holds until now. The old inbox is kept under a dated name when it holds something.
    ///
    /// # Errors
    /// [`RestoreError`]; the inbox is as it was.
    pub fn restore(
        path: impl AsRef<Path>,
        backup: &Path,
        overwrite: Overwrite,
        by: &str,
        now: Timestamp,
    ) -> Result<Restored, RestoreError> {
        restore::restore(path.as_ref(), backup, overwrite, by, now)
    }

    /// The open gaps of the inbox at `path`, without opening it for work; none when there is no inbox.
    ///
    /// # Errors
    /// [`Error`], when it cannot be read.
    pub fn open_gaps_of(path: impl AsRef<Path>) -> Result<Vec<Gap>, Error> {
        restore::open_gaps_of(path.as_ref())
    }

    /// Has a function run inside the writer's next transaction and returns after the commit.
    async fn submit<T, F>(&self, urgency: Urgency, bytes: usize, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnMut(&mut Session) -> Result<T, Fault> + Send + 'static,
    {
        let (job, answer) = Asked::new(work);
        self.shared.queue.push(job, bytes, urgency)?;
        answer.wait().await
    }

    /// The write path behind [`Intake::store`].
    async fn store_parts(&self, parts: Box<Parts>) -> Result<Stored, Error> {
        let request = &parts.request;
        let bytes = request.body.len() + request.path.len() + request.query.as_ref().map_or(0, String::len);
        let now = (self.options.clock)();
        let remembered_from = now.checked_sub(self.options.identities_kept).unwrap_or(Timestamp::MIN);
        self.submit(Urgency::Intake, bytes, move |session| {
            intake::store(session, &parts, Moment { now, remembered_from })
        })
        .await
    }
}

impl Drop for SqliteInbox {
    /// Without [`Admin::close`] the writer still commits what waits, by itself.
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

#[async_trait]
impl Intake for SqliteInbox {
    async fn store(&self, arrival: Arrival) -> Result<Stored, Error> {
        self.store_parts(Box::new(arrival.into())).await
    }

    fn acked(&self, notification: NotificationId, at: Timestamp) {
        self.shared.note_ack(notification, rows::to_ms(at));
    }
}

#[async_trait]
impl Work for SqliteInbox {
    async fn claim(&self, claim: Claim) -> Result<Vec<Leased>, Error> {
        let (mut job, answer) = Asked::new(move |session: &mut Session| work::claim(session, &claim));
        job.unless_gone();
        self.shared.queue.push(job, 0, Urgency::Work)?;
        answer.wait().await
    }

    async fn claim_or_stand_by(&self, claim: Claim) -> Result<Claimed, Error> {
        let clock = self.options.clock.clone();
        let (mut job, answer) = Asked::new(move |session: &mut Session| standby::claim(session, &claim, &clock));
        job.unless_gone();
        self.shared.queue.push(job, 0, Urgency::Work)?;
        answer.wait().await
    }

    async fn finish_all(&self, finishes: Arc<[Finish]>) -> Result<Vec<Result<Finished, Error>>, Error> {
        self.submit(Urgency::Work, 0, move |session| work::finish_all(session, &finishes)).await
    }

    async fn release(&self, leases: Vec<(DeliveryId, LeaseToken)>) -> Result<(), Error> {
        let now = (self.options.clock)();
        self.submit(Urgency::Work, 0, move |session| work::release(session, &leases, now)).await
    }

    async fn next_due(&self, target: &str) -> Result<Option<Timestamp>, Error> {
        let target = target.to_owned();
        self.shared.readers.read_for_work(move |conn| work::next_due(conn, &target)).await
    }

    async fn standing(&self, facts: &[Fact], target: &str) -> Result<Vec<Standing>, Error> {
        let (facts, target) = (facts.to_vec(), target.to_owned());
        self.shared.readers.read(move |conn| work::standing(conn, &facts, &target)).await
    }

    fn settled(&self, deliveries: &[DeliveryId]) -> Settled {
        self.shared.settled.listen(deliveries)
    }

    fn wakes(&self) -> watch::Receiver<u64> {
        self.shared.wakes.subscribe()
    }
}

#[async_trait]
impl Search for SqliteInbox {
    async fn notification(&self, id: NotificationId) -> Result<NotificationRecord, Error> {
        self.shared.readers.read(move |conn| search::notification(conn, id)).await
    }

    async fn event(&self, id: EventId) -> Result<EventRecord, Error> {
        self.shared.readers.read(move |conn| search::event(conn, id)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<DeliveryRecord, Error> {
        self.shared.readers.read(move |conn| search::delivery(conn, id)).await
    }

    async fn events(&self, filter: EventFilter) -> Result<Vec<EventRecord>, Error> {
        self.shared.readers.read(move |conn| search::events(conn, &filter)).await
    }

    async fn notifications(&self, filter: NotificationFilter) -> Result<Vec<NotificationRecord>, Error> {
        self.shared.readers.read(move |conn| search::notifications(conn, &filter)).await
    }

    async fn deliveries_of(&self, notification: NotificationId) -> Result<Vec<DeliveryRecord>, Error> {
        self.shared.readers.read(move |conn| search::deliveries_of(conn, notification)).await
    }

    async fn attempts_of(&self, delivery: DeliveryId) -> Result<Vec<AttemptRecord>, Error> {
        self.shared.readers.read(move |conn| search::attempts_of(conn, delivery)).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, Error> {
        self.shared.readers.read(search::backlog).await
    }

    async fn unfinished(&self) -> Result<Vec<(String, u64)>, Error> {
        self.shared.readers.read(house::unfinished).await
    }

    async fn size(&self) -> Result<Size, Error> {
        let path = self.shared.path.clone();
        self.shared.readers.read(move |conn| house::size(conn, &path)).await
    }

    async fn last_genuine(&self) -> Result<Vec<(String, Timestamp)>, Error> {
        self.shared.readers.read(search::last_genuine).await
    }

    async fn audit_log(&self, limit: usize) -> Result<Vec<AuditRecord>, Error> {
        self.shared.readers.read(move |conn| audit::list(conn, limit)).await
    }
}

#[async_trait]
impl Admin for SqliteInbox {
    async fn replay(&self, replay: Replay, by: &str) -> Result<u64, Error> {
        let by = by.to_owned();
        self.submit(Urgency::Work, 0, move |session| admin::replay(session, &replay, &by)).await
    }

    async fn audit(&self, at: Timestamp, by: &str, what: &str) -> Result<(), Error> {
        let (by, what) = (by.to_owned(), what.to_owned());
        self.submit(Urgency::Work, 0, move |session| admin::audit(&session.conn, rows::to_ms(at), &by, &what)).await
    }

    async fn retain(&self, retention: Retention, now: Timestamp) -> Result<Retained, Error> {
        self.submit(Urgency::Bulk, 0, move |session| admin::retain(session, retention, now)).await
    }

    async fn discard_open(&self, target: &str, who: &str, at: Timestamp) -> Result<u64, Error> {
        let (target, who) = (target.to_owned(), who.to_owned());
        self.submit(Urgency::Bulk, 0, move |session| house::discard_open(session, &target, &who, at)).await
    }

    async fn answers(&self) -> bool {
        let answer = self.submit(Urgency::Work, 0, |_| Ok(())).await;
        matches!(answer, Ok(()) | Err(Error::Unavailable(_)))
    }

    async fn backup(&self, to: &Path) -> Result<(), Error> {
        let (from, to, is_closing) = (self.shared.path.clone(), to.to_owned(), self.is_closing.clone());
        tokio::task::spawn_blocking(move || admin::backup(&from, &to, &is_closing))
            .await
            .map_err(|_| Error::Unavailable("the backup panicked".to_owned()))?
    }

    async fn note_audit(&self, record: AuditRecord) -> Result<(), Error> {
        self.submit(Urgency::Work, 0, move |session| audit::note(session, &record)).await
    }

    fn condition(&self) -> Condition {
        self.shared.condition()
    }

    async fn close(&self) {
        self.is_closing.store(true, Ordering::Relaxed);
        self.shared.queue.close();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("the inbox's writer ended by a panic");
            }
        }
        self.shared.readers.close();
    }
}

#[async_trait]
impl Shadow for SqliteInbox {
    async fn note_shadow(&self, note: ShadowNote) -> Result<(), Error> {
        self.submit(Urgency::Work, note.request.len(), move |session| shadow::note(session, &note)).await
    }

    async fn shadow_notes(&self, channel: &str) -> Result<Vec<ShadowNote>, Error> {
        let channel = channel.to_owned();
        self.shared.readers.read(move |conn| shadow::notes(conn, &channel)).await
    }
}

#[async_trait]
impl Gaps for SqliteInbox {
    async fn gaps(&self) -> Result<Vec<Gap>, Error> {
        self.shared.readers.read(gaps::list).await
    }

    async fn close_gap(&self, id: GapId, by: &str, why: &str, at: Timestamp) -> Result<Gap, Error> {
        let (by, why) = (by.to_owned(), why.to_owned());
        self.submit(Urgency::Work, 0, move |session| gaps::close(&session.conn, id, &by, &why, at)).await
    }
}
