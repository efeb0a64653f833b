//! A few connections that only read, each read with a time box.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{Semaphore, watch};

use super::fault::Fault;
use super::schema;
use crate::inbox::Error;

/// Reads at the same time; more would only fight for the same processors as the callbacks.
pub(super) const READERS_MAX: usize = 4;
/// A read that takes longer is interrupted: while it lasts, the WAL cannot be emptied.
const READ_TIME_MAX: Duration = Duration::from_secs(5);
/// Steps of SQLite's virtual machine between two looks at the time, well below a millisecond.
const STEPS_PER_LOOK: i32 = 4000;

/// The pool.
#[derive(Clone)]
pub(super) struct Readers {
    path: PathBuf,
    slots: Arc<Semaphore>,
    /// People's reads wait: the log has to be emptied.
    is_held: watch::Sender<bool>,
    idle: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    /// Connections of an older generation are closed instead of kept.
    generation: u64,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            slots: Arc::new(Semaphore::new(READERS_MAX)),
            is_held: watch::Sender::new(false),
            idle: Arc::default(),
        }
    }

    /// Runs a read of somebody who looks, off the async threads and within its time. It waits while
    /// [`Readers::hold`] is in force.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let mut held = self.is_held.subscribe();
        // The sender lives as long as we do.
        drop(held.wait_for(|is_held| !is_held).await);
        self.read_for_work(query).await
    }

    /// Keeps new reads of people back. Each read makes the log keep all that is written after its beginning; where
    /// one always begins before the other ends, the log would never be emptied. The reads of deliveries are short,
    /// and a lease runs meanwhile.
    pub(super) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }

    /// Runs a short read that work waits for.
    pub(super) async fn read_for_work<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| Error::Closed)?;
        let pool = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            pool.run(query).map_err(Fault::into_error)
        });
        task.await.map_err(|_| Error::Unavailable("a query of the inbox panicked".to_owned()))?
    }

    /// Closes the idle connections now, and the busy ones when they come back.
    pub(super) fn forget(&self) {
        let mut idle = self.lock();
        idle.generation += 1;
        idle.connections.clear();
    }

    /// Places for further reads.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.slots.available_permits()
    }

    /// No reads from now on.
    pub(super) fn close(&self) {
        self.slots.close();
        self.forget();
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let (generation, idle) = {
            let mut idle = self.lock();
            (idle.generation, idle.connections.pop())
        };
        let mut conn = match idle {
            Some(conn) => conn,
            None => schema::open_reader(&self.path)?,
        };
        let end = Instant::now() + READ_TIME_MAX;
        conn.progress_handler(STEPS_PER_LOOK, Some(move || Instant::now() > end))?;
        // One transaction: all that the query reads is of one moment.
        conn.prepare_cached("BEGIN")?.execute([])?;
        let result = query(&conn);
        let is_clean = conn.prepare_cached("ROLLBACK").and_then(|mut end| end.execute([])).is_ok();
        let mut idle = self.lock();
        if is_clean && generation == idle.generation && idle.connections.len() < READERS_MAX {
            idle.connections.push(conn);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
