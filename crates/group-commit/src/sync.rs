//! The primitives that the queue stands on: those of the standard library, or loom's, which tries every interleaving
//! of them.

use std::time::Duration;

#[cfg(loom)]
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;

/// Takes the lock. What panicked while it held it left the queue whole: nothing in here panics between two changes
/// that belong together.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits while the condition holds, and no longer than `patience`.
#[cfg(not(loom))]
pub(crate) fn wait_while<'a, T>(
    wakes: &Condvar,
    guard: MutexGuard<'a, T>,
    patience: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    wakes.wait_timeout_while(guard, patience, condition).unwrap_or_else(PoisonError::into_inner).0
}

/// Without patience: a wake-up that is missed must show as a standstill, and not as a pause.
#[cfg(loom)]
pub(crate) fn wait_while<'a, T>(
    wakes: &Condvar,
    mut guard: MutexGuard<'a, T>,
    _patience: Duration,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&mut guard) {
        guard = wakes.wait(guard).unwrap_or_else(PoisonError::into_inner);
    }
    guard
}
