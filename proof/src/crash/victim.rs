//! Who is killed when: the killer names a moment, and whoever sees it come pulls the trigger at once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Moments that others than the killer see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Moment {
    /// A callback's connection is there, and nothing was sent.
    Accepted = 1,
    /// A success reply was read to its last byte.
    Replied = 2,
}

/// No moment is waited for.
const NONE: u8 = 0;

/// The process that is to be killed.
#[derive(Default)]
pub struct Victim {
    awaited: AtomicU8,
    process: Mutex<Option<Pid>>,
    killed: Condvar,
}

impl Victim {
    /// A new process.
    pub fn set(&self, process: Pid) {
        *self.lock() = Some(process);
    }

    /// Kills it now, unless somebody has done so.
    pub fn kill(&self) {
        self.awaited.store(NONE, Ordering::SeqCst);
        let mut process = self.lock();
        if let Some(pid) = process.take() {
            // It is a child that nobody has waited for, so the number is still its own.
            let _gone = kill_process(pid, Signal::KILL);
            self.killed.notify_all();
        }
    }

    /// Has it killed at a moment, or after this time. Says whether the moment came.
    pub fn kill_at(&self, moment: Moment, at_most: Duration) -> bool {
        self.awaited.store(moment as u8, Ordering::SeqCst);
        let process = self.lock();
        let waited = self.killed.wait_timeout_while(process, at_most, |process| process.is_some());
        let has_come = waited.is_ok_and(|(process, _)| process.is_none());
        self.kill();
        has_come
    }

    /// A moment has come.
    pub fn at(&self, moment: Moment) {
        if self.awaited.load(Ordering::Relaxed) == moment as u8 {
            self.kill();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
