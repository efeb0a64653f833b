//! A connection that notices when a reply was handed to the network completely.
//!
//! The HTTP machine writes a reply and flushes; only the flush that returns tells that the last byte left
//! us. A success that was cut before must not count as given.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What to do when the reply that is being written is out.
pub(super) type Done = Box<dyn FnOnce() + Send>;

/// Holds what waits for the next completed flush of one connection.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Mutex<Vec<Done>>>);

impl Pending {
    /// Adds one; called when the reply is handed to the HTTP machine.
    pub(super) fn push(&self, done: Done) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(done);
    }

    fn fire(&self) {
        let waiting = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for done in waiting {
            done();
        }
    }
}

/// A stream whose flushes are watched.
pub(super) struct Watched<S> {
    stream: S,
    pending: Pending,
    /// Something was written since the last flush: only such a flush means that a reply is out.
    is_dirty: bool,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, pending: Pending) -> Self {
        Self { stream, pending, is_dirty: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_dirty = true;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_dirty = true;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.is_dirty {
            self.is_dirty = false;
            self.pending.fire();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn only_a_flush_after_a_write_counts() {
        let count = Arc::new(AtomicUsize::new(0));
        let pending = Pending::default();
        let (near, _far) = tokio::io::duplex(64);
        let mut watched = Watched::new(near, pending.clone());
        let counter = count.clone();
        pending.push(Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        }));
        watched.flush().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0, "nothing was written yet");
        watched.write_all(b"success").await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 0, "not flushed yet");
        watched.flush().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1);
        watched.write_all(b"x").await.unwrap();
        watched.flush().await.unwrap();
        assert_eq!(count.load(Ordering::Relaxed), 1, "fires once");
    }
}
