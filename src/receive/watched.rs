//! A connection that notices when a reply was handed to the network completely, and that does not let itself
//! be held by a peer that reads nothing or floods.
//!
//! The HTTP machine writes a reply and flushes; only the flush that returns tells that the last byte left
//! us. A success that was cut before must not count as given.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Sleep;

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

/// A reply's body. When the HTTP machine has taken all of it, the next flush means that it is out: with HTTP/2
/// other replies are flushed on the same connection before.
pub(super) struct ReplyBody {
    body: Full<Bytes>,
    done: Option<(Pending, Done)>,
    _request: Option<Running>,
}

impl ReplyBody {
    pub(super) fn new(body: Bytes, done: Option<(Pending, Done)>, request: Option<Running>) -> Self {
        Self { body: Full::new(body), done, _request: request }
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ReplyBody {
    fn drop(&mut self) {
        if let Some((pending, done)) = self.done.take()
            && self.body.is_end_stream()
        {
            pending.push(done);
        }
    }
}

/// What goes on on a connection that carries several requests at once.
pub(super) struct Traffic {
    began: Instant,
    running: AtomicUsize,
    /// Of them, those that have no reply yet.
    unanswered: AtomicUsize,
    /// Milliseconds from the beginning to the last request's beginning or end.
    moved: AtomicU64,
    /// Bytes that the peer may send: they grow with each request and its body.
    allowance: AtomicU64,
    /// Raised when the connection shall take no further request.
    pub(super) closing: Notify,
}

/// Bytes that a peer may send before its first request, and beside its requests. Among them are those that come
/// before we look at them: a whole window of bodies, and headers of several requests.
const ALLOWANCE: u64 = 160 * 1024;
/// Bytes that a peer may send for each request, beside twice its body: headers and frames.
const ALLOWANCE_OF_REQUEST: u64 = 48 * 1024;

impl Traffic {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            running: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            moved: AtomicU64::new(0),
            allowance: AtomicU64::new(ALLOWANCE),
            closing: Notify::new(),
        })
    }

    /// A request begins; it ends when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.allowance.fetch_add(ALLOWANCE_OF_REQUEST, Ordering::Relaxed);
        self.note();
        Running { traffic: self.clone(), is_answered: false }
    }

    /// A piece of a body came.
    pub(super) fn allow(&self, bytes: usize) {
        self.allowance.fetch_add(2 * bytes as u64, Ordering::Relaxed);
    }

    fn note(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(millis, Ordering::Relaxed);
    }

    /// Whether a request waits for its reply to be made.
    pub(super) fn has_unanswered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
    }

    /// Whether no request runs, and since when none began or ended.
    pub(super) fn quiet(&self) -> (bool, Duration) {
        let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
        (self.running.load(Ordering::Relaxed) == 0, self.began.elapsed().saturating_sub(moved))
    }
}

/// A running request.
pub(super) struct Running {
    traffic: Arc<Traffic>,
    is_answered: bool,
}

impl Running {
    /// Its reply is made, and has to be written yet.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.traffic.unanswered.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.answered();
        self.traffic.running.fetch_sub(1, Ordering::Relaxed);
        self.traffic.note();
    }
}

/// What was read before it was known which HTTP comes.
pub(super) type Begun = ([u8; 3], usize);

/// A stream whose flushes are watched.
pub(super) struct Watched<S> {
    stream: S,
    pending: Pending,
    /// Something was written since the last flush: only such a flush means that a reply is out.
    is_dirty: bool,
    begun: Begun,
    write_timeout: Duration,
    /// Runs while the peer takes nothing, until everything is out.
    stuck: Option<Pin<Box<Sleep>>>,
    traffic: Option<Arc<Traffic>>,
    read: u64,
}

impl<S> Watched<S> {
    pub(super) fn new(
        stream: S,
        begun: Begun,
        pending: Pending,
        write_timeout: Duration,
        traffic: Option<Arc<Traffic>>,
    ) -> Self {
        Self { stream, pending, is_dirty: false, begun, write_timeout, stuck: None, traffic, read: 0 }
    }

    /// Bounds how long the peer takes nothing.
    fn bounded<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        let timeout = self.write_timeout;
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, UNREAD)))
    }
}

/// Text of the error when a peer does not take its reply.
pub(super) const UNREAD: &str = "the peer does not take its reply";
/// Text of the error when a peer sends more than its requests need.
pub(super) const FLOOD: &str = "the peer sends more than its requests need";

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.begun.1 > 0 {
            let count = this.begun.1.min(buf.remaining());
            buf.put_slice(&this.begun.0[..count]);
            this.begun.0.rotate_left(count);
            this.begun.1 -= count;
            return Poll::Ready(Ok(()));
        }
        let Some(traffic) = &this.traffic else { return Pin::new(&mut this.stream).poll_read(cx, buf) };
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.read += (buf.filled().len() - before) as u64;
        if this.read > traffic.allowance.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::other(FLOOD)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_dirty = true;
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.bounded(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_dirty = true;
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.bounded(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) && self.is_dirty {
            self.is_dirty = false;
            self.stuck = None;
            self.pending.fire();
        }
        self.bounded(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.bounded(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn watched(stream: tokio::io::DuplexStream, pending: Pending) -> Watched<tokio::io::DuplexStream> {
        Watched::new(stream, ([0; 3], 0), pending, Duration::from_secs(1), None)
    }

    #[tokio::test]
    async fn only_a_flush_after_a_write_counts() {
        let count = Arc::new(AtomicUsize::new(0));
        let pending = Pending::default();
        let (near, _far) = tokio::io::duplex(64);
        let mut watched = watched(near, pending.clone());
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

    #[tokio::test]
    async fn a_reply_counts_only_when_all_of_it_was_taken() {
        for (is_taken, expected) in [(true, 1), (false, 0)] {
            let pending = Pending::default();
            let done: Done = Box::new(|| {});
            let mut body = ReplyBody::new(Bytes::from_static(b"success"), Some((pending.clone(), done)), None);
            if is_taken {
                assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "success");
            }
            drop(body);
            assert_eq!(pending.0.lock().unwrap().len(), expected);
        }
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_given_up() {
        let (near, _far) = tokio::io::duplex(4);
        let mut watched = watched(near, Pending::default());
        watched.write_timeout = Duration::from_millis(10);
        let error = watched.write_all(b"success").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first_and_a_flood_ends() {
        let (near, mut far) = tokio::io::duplex(1024 * 1024);
        let traffic = Traffic::new();
        let mut watched =
            Watched::new(near, (*b"PRI", 3), Pending::default(), Duration::from_secs(1), Some(traffic.clone()));
        far.write_all(b" *").await.unwrap();
        let mut five = [0; 5];
        watched.read_exact(&mut five).await.unwrap();
        assert_eq!(&five, b"PRI *");
        let mut read = async |bytes: u64| {
            let mut room = vec![0; usize::try_from(bytes).unwrap()];
            far.write_all(&room).await.unwrap();
            watched.read_exact(&mut room).await.map(drop)
        };
        read(ALLOWANCE - 2).await.unwrap();
        drop(traffic.begin());
        traffic.allow(100);
        read(ALLOWANCE_OF_REQUEST + 200).await.unwrap();
        let error = read(1).await.unwrap_err();
        assert_eq!(error.to_string(), FLOOD, "one request does not need as much");
    }
}
