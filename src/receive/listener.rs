//! The public listener: our own accept loop, so that every wait and size on it has a limit.
//!
//! Nothing but callbacks is served here; every other path is a 404 with an empty body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tollbell_channels::channel::{Cause, Rejection};
use tollbell_channels::model::{RawRequest, Reply};
use tracing::{debug, error, info, warn};

use super::watched::{Pending, Watched};
use super::{Answered, Receiver};
use crate::stop::Stop;
use crate::telemetry::ByChannel;

/// What a listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections; more wait in the system's queue.
    pub connections: usize,
    /// From opening a connection to its first byte.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its headers; also how long a kept connection may idle.
    pub header: Duration,
    /// From the end of the headers to the end of the body.
    pub body: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// From the stop signal to closing what is still open.
    pub drain: Duration,
}

/// Bytes of a request's headers altogether; platforms send under 2 KiB.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request; platforms send about ten.
const HEADERS_MAX: usize = 64;
/// Body bytes that are reserved at once; larger bodies grow as they come, so that a false
/// `Content-Length` reserves nothing.
const BODY_RESERVE_MAX: usize = 16 * 1024;
/// From the stop signal to the first byte of a connection that was accepted before it.
const LAST_FIRST_BYTE: Duration = Duration::from_secs(1);
/// Wait after `accept` failed, which it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the stop signal, then drains.
pub async fn serve(listener: TcpListener, receiver: Arc<ArcSwap<Receiver>>, limits: Limits, mut shutdown: Stop) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut open: JoinSet<()> = JoinSet::new();
    loop {
        let place = tokio::select! {
            place = places.clone().acquire_owned() => place,
            () = shutdown.raised() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.raised() => break,
        };
        while let Some(ended) = open.try_join_next() {
            if let Err(error) = ended {
                // One connection's fault; the callback on it is repeated by the platform.
                error!(%error, "a connection's task ended badly");
            }
        }
        match accepted {
            Ok((stream, peer)) => {
                let receiver = receiver.clone();
                open.spawn(connection(stream, peer, receiver, limits, shutdown.clone(), place));
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        info!("some connections were still open at the end of the drain time");
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    receiver: Arc<ArcSwap<Receiver>>,
    limits: Limits,
    mut shutdown: Stop,
    place: OwnedSemaphorePermit,
) {
    let metrics = receiver.load().metrics.clone();
    metrics.connections.inc();
    let mut byte = [0u8; 1];
    let began = {
        let mut peeking = std::pin::pin!(tokio::time::timeout(limits.first_byte, stream.peek(&mut byte)));
        tokio::select! {
            peeked = peeking.as_mut() => matches!(peeked, Ok(Ok(1))),
            // It was accepted, so that its request may be on the way: closing it now would lose a callback.
            () = shutdown.raised() => {
                matches!(tokio::time::timeout(LAST_FIRST_BYTE, peeking).await, Ok(Ok(Ok(1))))
            }
        }
    };
    if began {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "cannot set TCP_NODELAY");
        }
        let pending = Pending::default();
        let io = TokioIo::new(Watched::new(stream, pending.clone()));
        let service = service_fn(move |request| {
            let (receiver, pending) = (receiver.load_full(), pending.clone());
            async move { Ok::<_, Infallible>(answer(request, peer, &receiver, limits, &pending).await) }
        });
        let mut serving = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header)
                .max_buf_size(HEADER_BYTES_MAX)
                .max_headers(HEADERS_MAX)
                .half_close(true)
                .serve_connection(io, service)
        );
        let ended = tokio::select! {
            // In this order: a connection that has read nothing would be closed, with the request that has come.
            biased;
            ended = serving.as_mut() => ended,
            () = shutdown.raised() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "a connection ended early");
        }
    }
    metrics.connections.dec();
    drop(place);
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    receiver: &Arc<Receiver>,
    limits: Limits,
    pending: &Pending,
) -> Response<Full<Bytes>> {
    let uri = request.uri();
    let Some(entrance) = receiver.doors.entrance(uri.path(), uri.query()) else {
        return closing(empty(StatusCode::NOT_FOUND));
    };
    if request.method() != Method::POST && request.method() != Method::GET {
        return closing(empty(StatusCode::METHOD_NOT_ALLOWED));
    }
    let (parts, body) = request.into_parts();
    let body = match read_body(body, limits).await {
        Ok(body) => body,
        Err(Unread::Cut) => return closing(empty(StatusCode::BAD_REQUEST)),
        Err(Unread::Slow) => return closing(empty(StatusCode::REQUEST_TIMEOUT)),
        Err(Unread::TooLarge) => {
            let rejection = Rejection::TooLarge { limit: limits.body_bytes };
            let answered = receiver.refuse_unread(&entrance, &rejection, (receiver.clock)());
            return closing(respond(answered.reply));
        }
    };
    let raw = RawRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
        source: Some(peer.ip().to_canonical()),
        received_at: (receiver.clock)(),
    };
    let answered = receiver.receive(raw, entrance).await;
    note_when_written(&answered, receiver, pending);
    let response = respond(answered.reply);
    // Only what was genuine keeps its connection. Anyone else could hold a place for ever, by one request
    // after the other or by reading no reply, and when all are held no callback comes in.
    if matches!(answered.cause, Cause::Refused | Cause::Undecryptable | Cause::KeyUnavailable) {
        return closing(response);
    }
    response
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    Slow,
    Cut,
}

async fn read_body(mut body: Incoming, limits: Limits) -> Result<Bytes, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits.body_bytes {
        return Err(Unread::TooLarge);
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
            let so_far = first.as_ref().map_or(0, Bytes::len).max(rest.len());
            if so_far + data.len() > limits.body_bytes {
                return Err(Unread::TooLarge);
            }
            match first.take() {
                // The usual body is one frame: it is kept without a copy.
                None if rest.is_empty() => first = Some(data),
                None => rest.extend_from_slice(&data),
                Some(begun) => {
                    rest.reserve(announced.min(BODY_RESERVE_MAX));
                    rest.extend_from_slice(&begun);
                    rest.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| rest.freeze()))
    };
    tokio::time::timeout(limits.body, reading).await.unwrap_or(Err(Unread::Slow))
}

/// Arranges that the acknowledgement and its latency are noted when the reply's last byte is out.
fn note_when_written(answered: &Answered, receiver: &Arc<Receiver>, pending: &Pending) {
    let receiver = receiver.clone();
    let (acknowledges, received_at) = (answered.acknowledges, answered.received_at);
    let by_channel = ByChannel { channel: answered.channel.clone() };
    pending.push(Box::new(move || {
        let now = (receiver.clock)();
        let seconds = now.duration_since(received_at).as_secs_f64();
        receiver.metrics.ack_seconds.get_or_create(&by_channel).observe(seconds.max(0.0));
        if let Some(notification) = acknowledges {
            receiver.inbox.acked(notification, now);
        }
    }));
}

fn respond(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(content_type) = reply.content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    }
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}
