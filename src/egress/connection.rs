//! Connections to other machines, and the few idle ones that are kept.
//!
//! Each connection notes whether any of a request was written: after a failure, only that says whether the
//! other side may have seen it.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::client::TlsStream;

use super::url::Origin;

/// Most bytes of an answer's head: status line and headers.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most headers of an answer.
pub const HEADERS_MAX: usize = 128;
/// Longest wait for a kept connection to be ready for the next request: it is, unless its task had no turn yet.
const READY_WAIT: Duration = Duration::from_millis(20);

/// An open connection. A task of its own moves the bytes and ends with it.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    idle_until: watch::Sender<Option<Instant>>,
    was_written: Arc<AtomicBool>,
    /// The socket once more, to look at it past everything that stands before it.
    socket: OwnedFd,
}

/// Why an exchange gave no head of an answer.
pub(super) struct Lost {
    /// Whether anything of the request was written.
    pub(super) was_sent: bool,
    pub(super) error: hyper::Error,
}

impl Connection {
    /// Speaks HTTP/1.1 on a fresh stream. `socket` is the stream's own.
    pub(super) async fn open(stream: Stream, socket: OwnedFd) -> io::Result<Self> {
        let was_written = Arc::new(AtomicBool::new(false));
        let noted = Noted { stream, was_written: was_written.clone() };
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .handshake(TokioIo::new(noted))
            .await
            .map_err(io::Error::other)?;
        let (idle_until, limit) = watch::channel(None);
        tokio::spawn(drive(connection, limit));
        Ok(Self { sender, idle_until, was_written, socket })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Lost> {
        self.was_written.store(false, Ordering::Release);
        self.sender
            .send_request(request)
            .await
            .map_err(|error| Lost { was_sent: self.was_written.load(Ordering::Acquire), error })
    }

    /// Whether the other side has neither closed nor said anything that nobody asked for.
    fn is_silent(&self) -> bool {
        let mut byte = [0u8; 1];
        matches!(
            rustix::net::recv(&self.socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT),
            Err(rustix::io::Errno::AGAIN)
        )
    }
}

/// Moves the bytes of a connection until it ends, its owner is gone, or it was idle for too long.
async fn drive(
    connection: http1::Connection<TokioIo<Noted>, Full<Bytes>>,
    mut idle_until: watch::Receiver<Option<Instant>>,
) {
    let mut connection = std::pin::pin!(connection);
    loop {
        let limit = *idle_until.borrow_and_update();
        let is_idle_for_too_long = async {
            match limit {
                Some(limit) => sleep_until(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // How it ended is told to whoever waits for an answer.
            _ = connection.as_mut() => return,
            () = is_idle_for_too_long => return,
            changed = idle_until.changed() => if changed.is_err() { return },
        }
    }
}

/// With or without TLS.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream that notes when something is written. What the TLS handshake sends is not counted.
struct Noted {
    stream: Stream,
    was_written: Arc<AtomicBool>,
}

impl Noted {
    fn note(&self, bytes: usize, written: &Poll<io::Result<usize>>) {
        let may_be_out = match written {
            Poll::Ready(Ok(written)) => *written > 0,
            // TLS takes bytes in and fails later; some of them may have gone.
            Poll::Ready(Err(_)) => bytes > 0 && matches!(self.stream, Stream::Tls(_)),
            Poll::Pending => false,
        };
        if may_be_out {
            self.was_written.store(true, Ordering::Release);
        }
    }
}

impl AsyncRead for Noted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.note(bytes.len(), &written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Idle connections by where they go.
pub(super) struct Kept {
    idle_timeout: Duration,
    each_max: usize,
    idle: Mutex<HashMap<Origin, Vec<Connection>>>,
}

impl Kept {
    /// At most `each_max` for one origin, for this long.
    pub(super) fn new(idle_timeout: Duration, each_max: usize) -> Self {
        Self { idle_timeout, each_max, idle: Mutex::default() }
    }

    /// The connection that was used last and is still good.
    pub(super) async fn take(&self, origin: &Origin) -> Option<Connection> {
        loop {
            let mut kept = self.with(|idle| {
                let of_origin = idle.get_mut(origin)?;
                let kept = of_origin.pop();
                if of_origin.is_empty() {
                    idle.remove(origin);
                }
                kept
            })?;
            // Its task must not end it for being idle while it is in use.
            kept.idle_until.send_replace(None);
            if kept.is_silent() && matches!(timeout(READY_WAIT, kept.sender.ready()).await, Ok(Ok(()))) {
                return Some(kept);
            }
        }
    }

    /// Keeps a connection whose answer was read to the end.
    pub(super) fn keep(&self, origin: &Origin, connection: Connection) {
        if self.idle_timeout.is_zero() || connection.sender.is_closed() {
            return;
        }
        connection.idle_until.send_replace(Some(Instant::now() + self.idle_timeout));
        self.with(|idle| {
            // What has ended in the meantime goes, so that the list is never longer than what is open.
            idle.retain(|_, connections| {
                connections.retain(|kept| !kept.sender.is_closed());
                !connections.is_empty()
            });
            let of_origin = idle.entry(origin.clone()).or_default();
            if of_origin.len() >= self.each_max {
                of_origin.remove(0);
            }
            of_origin.push(connection);
        });
    }

    /// Closes all of them.
    pub(super) fn close(&self) {
        self.with(HashMap::clear);
    }

    fn with<T>(&self, work: impl FnOnce(&mut HashMap<Origin, Vec<Connection>>) -> T) -> T {
        work(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
