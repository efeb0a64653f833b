//! File descriptors: as many as the system grants, some of them kept for the node itself, so that a crowd of
//! connections does not take those that the inbox, the targets and the admin listener need.

use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Descriptors kept for everything but public connections.
pub const KEPT: u64 = 128;

/// Raises the limit of open files as far as the system lets us, and says how many public connections of those
/// wanted fit below it.
pub fn fit(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some() && limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            debug!(%error, "cannot raise the limit of open files");
        }
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else { return wanted };
    let fitting = fitting(wanted, limit);
    if fitting < wanted {
        warn!(limit, wanted, fitting, "fewer connections than `max_connections`: raise the limit of open files");
    }
    fitting
}

/// With a small limit, half of it.
fn fitting(wanted: usize, limit: u64) -> usize {
    let most = limit.saturating_sub(KEPT).max(limit / 2).max(1);
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX))
}

/// Whether an error says that descriptors have run out, of the process or of the system.
pub fn is_exhausted(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].into_iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A descriptor that is held back, to be given up for one connection that matters when all others are taken.
#[derive(Debug, Default)]
pub struct Reserve(Option<File>);

impl Reserve {
    /// Takes one now.
    pub fn new() -> Self {
        let mut reserve = Self::default();
        reserve.retake();
        reserve
    }

    /// Gives it up; says whether there was one.
    pub fn release(&mut self) -> bool {
        self.0.take().is_some()
    }

    /// Takes one again, if it is gone and can be had.
    pub fn retake(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_kept_for_the_node() {
        for (wanted, limit, expected) in
            [(10_000, 1_000_000, 10_000), (10_000, 1024, 896), (10_000, 48, 24), (10_000, 1, 1), (5, 48, 5)]
        {
            assert_eq!(fitting(wanted, limit), expected, "{wanted} of {limit}");
        }
    }

    #[test]
    fn a_reserve_is_given_once() {
        let mut reserve = Reserve::new();
        assert!(reserve.release());
        assert!(!reserve.release());
        reserve.retake();
        assert!(reserve.release());
        assert!(is_exhausted(&io::Error::from_raw_os_error(Errno::MFILE.raw_os_error())));
        assert!(!is_exhausted(&io::Error::other("x")));
    }
}
