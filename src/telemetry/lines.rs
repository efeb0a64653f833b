//! Log lines on their way to stderr, which may be a disk or a reader that stalls.
//!
//! A callback's answer must not wait for its line in the log, and one write a line costs more than all else of
//! a notification but its signature. So lines are put one behind the other into a buffer, and a thread of
//! their own writes what has gathered. Warnings and errors are written at once; what is only told waits for
//! others a moment. When the buffer is full, lines are dropped and counted, the less important ones first.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long a line that is no warning waits for others. A process that is killed loses the lines of so long.
const GATHERING: Duration = Duration::from_millis(10);
/// Bytes that wait at most, when stderr takes nothing.
const WAITING_MAX: usize = 1024 * 1024;
/// Of them, those that are left to warnings and errors.
const KEPT_FOR_GRAVE: usize = 256 * 1024;
/// A buffer that grew beyond this is given back when it was written.
const CAPACITY_KEPT: usize = 64 * 1024;
/// How long the end of the process waits for stderr to take what is left.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The buffer before stderr.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// For the thread: there is something to do.
    work: Condvar,
    /// For the end: the thread has written everything.
    done: Condvar,
}

#[derive(Default)]
struct State {
    text: Vec<u8>,
    has_grave: bool,
    /// Lines that found no room since this was last told.
    lost: u64,
    phase: Phase,
    is_ending: bool,
}

/// What the thread does; it is woken only where that changes something, because waking costs a system call.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Nothing is there: it waits for a line.
    #[default]
    Idle,
    /// It waits for more lines.
    Gathering,
    /// It writes, and will look again.
    Writing,
    /// It has ended, or never began: lines are written by who has them.
    Ended,
}

impl Lines {
    /// An empty buffer, and the thread that writes it to `out`. Without a thread each line is written at once.
    pub(super) fn to(out: impl Write + Send + 'static) -> Self {
        let lines = Self(Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), done: Condvar::new() }));
        let shared = lines.0.clone();
        if thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(out)).is_err() {
            lines.0.lock().phase = Phase::Ended;
        }
        lines
    }

    /// Waits until everything is written, but not for ever. Later lines are written by who has them.
    pub(super) fn end(&self) {
        let mut state = self.0.lock();
        state.is_ending = true;
        self.0.work.notify_one();
        let waited = self.0.done.wait_timeout_while(state, LAST_WRITE, |state| state.phase != Phase::Ended);
        drop(waited);
    }

    /// Takes a line, or drops it when there is no room.
    fn push(&self, line: &[u8], is_grave: bool) {
        let mut state = self.0.lock();
        if state.phase == Phase::Ended {
            drop(state);
            // Nobody is left to be told that stderr is gone.
            drop(io::stderr().write_all(line));
            return;
        }
        let room = if is_grave { WAITING_MAX } else { WAITING_MAX - KEPT_FOR_GRAVE };
        if state.text.len() + line.len() > room {
            state.lost = state.lost.saturating_add(1);
            return;
        }
        state.text.extend_from_slice(line);
        let is_awaited = match state.phase {
            Phase::Idle => true,
            Phase::Gathering => is_grave && !state.has_grave,
            Phase::Writing | Phase::Ended => false,
        };
        state.has_grave |= is_grave;
        if is_awaited {
            // Others that come before it is awake need not wake it again.
            state.phase = if state.has_grave { Phase::Writing } else { Phase::Gathering };
            drop(state);
            self.0.work.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work, to the end of the process.
    fn write_to(&self, mut out: impl Write) {
        let mut spare = Vec::new();
        let mut state = self.lock();
        loop {
            while state.text.is_empty() && !state.is_ending {
                state.phase = Phase::Idle;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if !state.has_grave && !state.is_ending {
                state.phase = Phase::Gathering;
                let gather = |state: &mut State| !state.has_grave && !state.is_ending;
                let gathered = self.work.wait_timeout_while(state, GATHERING, gather);
                (state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            }
            if state.text.is_empty() && state.is_ending {
                state.phase = Phase::Ended;
                drop(state);
                self.done.notify_all();
                return;
            }
            let mut text = std::mem::replace(&mut state.text, std::mem::take(&mut spare));
            state.has_grave = false;
            state.phase = Phase::Writing;
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            // A log that nobody takes must not end the process.
            drop(out.write_all(&text).and_then(|()| out.flush()));
            text.clear();
            text.shrink_to(CAPACITY_KEPT);
            spare = text;
            if lost > 0 {
                tracing::warn!(lost, "lines of the log were dropped: nothing took them from stderr in time");
            }
            state = self.lock();
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, is_grave: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, is_grave: *meta.level() <= Level::WARN }
    }
}

/// Takes one formatted line.
pub(super) struct Line<'a> {
    lines: &'a Lines,
    is_grave: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.push(line, self.is_grave);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Tells what was written, each write by itself, and takes the next only when it was let go.
    struct Told {
        written: mpsc::SyncSender<String>,
        go: mpsc::Receiver<()>,
    }

    impl Write for Told {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.written.send(String::from_utf8_lossy(text).into_owned()).unwrap();
            // The test's end lets everything go.
            let _let_go = self.go.recv();
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told() -> (Lines, mpsc::Receiver<String>, mpsc::SyncSender<()>) {
        let (written, read) = mpsc::sync_channel(64);
        let (let_go, go) = mpsc::sync_channel(64);
        (Lines::to(Told { written, go }), read, let_go)
    }

    #[test]
    fn lines_are_written_in_their_order_and_those_that_gather_together() {
        let (lines, read, let_go) = told();
        lines.push(b"a\n", true);
        assert_eq!(read.recv().unwrap(), "a\n", "a warning waits for nothing");
        lines.push(b"b\n", false);
        lines.push(b"c\n", true);
        lines.push(b"d\n", false);
        let_go.send(()).unwrap();
        assert_eq!(read.recv().unwrap(), "b\nc\nd\n");
        drop(let_go);
        lines.end();
    }

    #[test]
    fn a_line_that_is_no_warning_is_written_without_another() {
        let (lines, read, let_go) = told();
        drop(let_go);
        for line in ["a\n", "b\n"] {
            lines.push(line.as_bytes(), false);
            assert_eq!(read.recv().unwrap(), line);
        }
        lines.end();
    }

    #[test]
    fn a_full_buffer_keeps_room_for_warnings() {
        let (lines, read, let_go) = told();
        lines.push(b"first\n", true);
        assert_eq!(read.recv().unwrap(), "first\n");
        // The thread is held in its write.
        let line = [b'x'; 1024];
        for _ in 0..2 * WAITING_MAX / line.len() {
            lines.push(&line, false);
        }
        assert_eq!(lines.0.lock().text.len(), WAITING_MAX - KEPT_FOR_GRAVE);
        lines.push(b"grave\n", true);
        assert!(lines.0.lock().text.ends_with(b"grave\n"));
        for _ in 0..2 * WAITING_MAX / line.len() {
            lines.push(&line, true);
        }
        assert!(lines.0.lock().text.len() <= WAITING_MAX);
        assert!(lines.0.lock().lost > 0);
        drop(let_go);
        lines.end();
    }

    #[test]
    fn the_end_writes_what_is_left() {
        let (lines, read, let_go) = told();
        drop(let_go);
        lines.push(b"a\n", false);
        lines.end();
        assert_eq!(read.try_iter().collect::<String>(), "a\n");
        assert!(lines.0.lock().phase == Phase::Ended);
    }
}
