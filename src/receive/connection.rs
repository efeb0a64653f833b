//! One connection of the public listener: which protocol it speaks, and how long it may live.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::debug;

use super::Receiver;
use super::exchange::{Carrier, answer};
use super::guard::Peer;
use super::listener::Limits;
use super::tls::{self, TlsPair};
use super::watched::{Begun, FLOOD, Pending, Traffic, UNREAD, Watched};
use crate::stop::Stop;

/// Bytes of a request's headers altogether; platforms send under 2 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// The same for HTTP/2, where a header counts for 32 bytes more than its text (RFC 9113, section 6.5.2).
const HEADER_LIST_MAX: u32 = 32 * 1024;
/// Headers of a request; platforms send about ten.
const HEADERS_MAX: usize = 64;
/// Requests at once on a connection that can carry several.
const STREAMS_MAX: u32 = 16;
/// Requests that were taken back before we looked at them, after which the connection ends (CVE-2023-44487).
const RESETS_PENDING_MAX: usize = 16;
/// Resets by us for the peer's mistakes, after which the connection ends.
const RESETS_OWN_MAX: usize = 16;
/// Bytes that a peer may send ahead on a connection with several requests, and on each request of it.
const WINDOW: u32 = 64 * 1024;
/// How often a connection with several requests is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// From the wish to close to closing, when nothing runs.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// From the stop signal to giving up a connection that has said nothing: who has just connected is heard, also
/// while a listener is replaced.
const OPEN_GRACE: Duration = Duration::from_secs(1);
/// Longest that storing may take; a request beyond it has lost its stream.
const STORING_MAX: Duration = Duration::from_secs(30);
/// From the stop signal to the first byte of a connection that was accepted before it.
const LAST_FIRST_BYTE: Duration = Duration::from_secs(1);
/// How a connection begins that speaks HTTP/2 without being asked (RFC 9113, section 3.4); no other request does.
const PREFACE: &[u8; 3] = b"PRI";

/// What a connection has from its listener.
pub(super) struct Context {
    pub(super) receiver: Arc<ArcSwap<Receiver>>,
    pub(super) peer: Peer,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, address: SocketAddr, tls: Option<&TlsPair>, mut context: Context) {
    let metrics = context.receiver.load().metrics.clone();
    let by = Instant::now() + context.limits.first_byte;
    let mut stop = context.stop.clone();
    let opened = {
        let mut opening = std::pin::pin!(open(stream, tls, by));
        tokio::select! {
            biased;
            opened = opening.as_mut() => opened,
            // It was accepted, so that its request may be on the way: closing it now would lose a callback.
            () = stop.raised() => match tokio::time::timeout(LAST_FIRST_BYTE, opening).await {
                Ok(opened) => opened,
                Err(_) => return,
            },
        }
    };
    let ended = match opened {
        Ok(Opened::Plain(stream, begun, true)) => serve_many(stream, begun, &mut context).await,
        Ok(Opened::Plain(stream, begun, false)) => serve_one_by_one(stream, begun, &mut context).await,
        Ok(Opened::Tls(stream, true)) => serve_many(*stream, NOTHING, &mut context).await,
        Ok(Opened::Tls(stream, false)) => serve_one_by_one(*stream, NOTHING, &mut context).await,
        Err(cut) => {
            metrics.network.cut(cut);
            debug!(peer = %address, reason = cut, "a connection began with nothing useful");
            return;
        }
    };
    if let Err(error) = ended {
        if let Some(reason) = cut_reason(&*error) {
            metrics.network.cut(reason);
        }
        debug!(peer = %address, %error, "a connection ended early");
    }
}

/// Nothing was read before it was known which HTTP comes.
const NOTHING: Begun = ([0; 3], 0);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A connection that is ready for requests, and whether it carries several at once.
enum Opened {
    Plain(TcpStream, Begun, bool),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>, bool),
}

/// Waits for the first bytes and, with TLS, for the whole handshake. An error is the word of the metric.
async fn open(stream: TcpStream, tls: Option<&TlsPair>, by: Instant) -> Result<Opened, &'static str> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
    if let Some(pair) = tls {
        let accepting = tokio_rustls::TlsAcceptor::from(pair.config()).accept(stream);
        let stream = timeout_at(by, accepting).await.ok().and_then(Result::ok).ok_or("handshake")?;
        let is_many = stream.get_ref().1.alpn_protocol() == Some(tls::H2);
        return Ok(Opened::Tls(Box::new(stream), is_many));
    }
    let told = timeout_at(by, begin(stream)).await;
    let (stream, begun, is_many) = told.ok().and_then(Result::ok).ok_or("silent")?;
    Ok(Opened::Plain(stream, begun, is_many))
}

/// Finds out which HTTP comes, mostly without taking anything from the stream.
async fn begin(mut stream: TcpStream) -> io::Result<(TcpStream, Begun, bool)> {
    let mut first = [0; PREFACE.len()];
    let peeked = stream.peek(&mut first).await?;
    if peeked == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if peeked == first.len() || !PREFACE.starts_with(&first[..peeked]) {
        return Ok((stream, NOTHING, first == *PREFACE));
    }
    // So slow that it cannot be told yet: what comes is taken, since looking again would see the same.
    let mut begun: Begun = NOTHING;
    while begun.1 < PREFACE.len() && PREFACE.starts_with(&begun.0[..begun.1]) {
        let read = stream.read(&mut begun.0[begun.1..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        begun.1 += read;
    }
    let is_many = begun.0[..begun.1] == PREFACE[..];
    Ok((stream, begun, is_many))
}

/// HTTP/1: one request after the other.
async fn serve_one_by_one<S>(stream: S, begun: Begun, context: &mut Context) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (limits, peer, since) = (context.limits, context.peer, Instant::now());
    let pending = Pending::default();
    let io = TokioIo::new(Watched::new(stream, begun, pending.clone(), limits.write, None));
    let receiver = context.receiver.clone();
    let service = service_fn(move |request| {
        let (receiver, pending) = (receiver.load_full(), pending.clone());
        async move { Ok::<_, Infallible>(answer(request, peer, &receiver, limits, Carrier::One(pending)).await) }
    });
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header)
            .max_buf_size(HEADER_BYTES_MAX)
            .max_headers(HEADERS_MAX)
            .half_close(true)
            .serve_connection(io, service)
    );
    tokio::select! {
        // In this order: a connection that has read nothing would be closed, with the request that has come.
        biased;
        ended = serving.as_mut() => return ended.map_err(Failure::from),
        () = context.stop.raised() => {}
        () = sleep_until(since + limits.age) => {}
    }
    // The machine closes a connection at once that has brought nothing yet.
    tokio::select! {
        ended = serving.as_mut() => return ended.map_err(Failure::from),
        () = sleep_until(since + OPEN_GRACE) => {}
    }
    serving.as_mut().graceful_shutdown();
    serving.await.map_err(Failure::from)
}

/// HTTP/2: several requests at once, each with the same limits; and the connection with limits of its own,
/// because a peer can keep it busy without a request.
async fn serve_many<S>(stream: S, begun: Begun, context: &mut Context) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (limits, peer) = (context.limits, context.peer);
    let (pending, traffic) = (Pending::default(), Traffic::new());
    let io = TokioIo::new(Watched::new(stream, begun, pending.clone(), limits.write, Some(traffic.clone())));
    let (receiver, of_service) = (context.receiver.clone(), traffic.clone());
    let service = service_fn(move |request| {
        let (receiver, carrier) = (receiver.load_full(), Carrier::Many(pending.clone(), of_service.clone()));
        async move { Ok::<_, Infallible>(answer(request, peer, &receiver, limits, carrier).await) }
    });
    let mut serving = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_MAX)
            .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
            .max_local_error_reset_streams(RESETS_OWN_MAX)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(HEADER_BYTES_MAX)
            .serve_connection(io, service)
    );
    let ends = Instant::now() + limits.age;
    let mut close_by: Option<Instant> = None;
    let mut look = tokio::time::interval(LOOK);
    loop {
        let grace = tokio::select! {
            biased;
            ended = serving.as_mut() => return ended.map_err(Failure::from),
            () = context.stop.raised(), if close_by.is_none() => limits.body + STORING_MAX + limits.write,
            () = sleep_until(ends), if close_by.is_none() => limits.body + STORING_MAX + limits.write,
            () = traffic.closing.notified(), if close_by.is_none() => limits.write,
            _ = look.tick() => {
                let (is_idle, quiet) = traffic.quiet();
                if !is_idle && quiet > limits.body + STORING_MAX + limits.write {
                    return Err(UNREAD.into());
                }
                if close_by.is_some_and(|by| Instant::now() >= by) {
                    if !traffic.has_unanswered() {
                        return Ok(());
                    }
                    // A proxy carries several senders' requests: one forger's reply is not the end of the others.
                    close_by = Some(Instant::now() + limits.write);
                }
                if close_by.is_some() || !is_idle || quiet <= limits.header {
                    continue;
                }
                CLOSE_GRACE
            }
        };
        serving.as_mut().graceful_shutdown();
        close_by = Some(Instant::now() + grace);
    }
}

/// The metric's word when it was us who ended a connection.
fn cut_reason(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if text == UNREAD {
            return Some("unread");
        }
        if text == FLOOD {
            return Some("flood");
        }
        cause = error.source();
    }
    None
}
