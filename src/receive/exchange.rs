//! One request of the public listener, whichever HTTP carries it: who sent it, whether it may take anything,
//! its body, and the reply as a response. Cheap refusals come first.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::SemaphorePermit;
use tollbell_channels::channel::{Cause, Rejection};
use tollbell_channels::model::{RawRequest, Reply};

use super::guard::{Guard, Peer};
use super::listener::Limits;
use super::watched::{Done, Pending, ReplyBody, Running, Traffic};
use super::{Answered, Receiver};
use crate::telemetry::ByChannel;

/// Body bytes that are reserved at once; larger bodies grow as they come, so that a false
/// `Content-Length` reserves nothing.
const BODY_RESERVE_MAX: usize = 16 * 1024;
/// Bytes of a body that need no room from the common memory: genuine callbacks have no more, and large bodies
/// of others cannot take it from them.
const BODY_FREE: usize = 16 * 1024;
/// The same on a connection with several requests at once, where it is theirs together.
const BODY_FREE_OF_MANY: usize = BODY_FREE / 16;

/// The connection that carries a request.
pub(super) enum Carrier {
    /// One request after the other.
    One(Pending),
    /// Several at once.
    Many(Pending, Arc<Traffic>),
}

/// A reply on its way.
struct Outgoing {
    status: StatusCode,
    content_type: Option<&'static str>,
    body: Bytes,
    /// No further request is taken on the connection. Only what was genuine keeps its connection: anyone else
    /// could hold a place for ever, by one request after the other.
    is_last: bool,
    done: Option<Done>,
}

/// Answers a request.
pub(super) async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    receiver: &Arc<Receiver>,
    limits: Limits,
    carrier: Carrier,
) -> Response<ReplyBody> {
    let mut running = match &carrier {
        Carrier::One(_) => None,
        Carrier::Many(_, traffic) => Some(traffic.begin()),
    };
    let traffic = match &carrier {
        Carrier::One(_) => None,
        Carrier::Many(_, traffic) => Some(&**traffic),
    };
    let outgoing = exchange(request, peer, receiver, limits, traffic).await;
    if let Some(running) = &mut running {
        running.answered();
    }
    respond(outgoing, carrier, running)
}

async fn exchange(
    request: Request<Incoming>,
    peer: Peer,
    receiver: &Arc<Receiver>,
    limits: Limits,
    traffic: Option<&Traffic>,
) -> Outgoing {
    let uri = request.uri();
    let Some(entrance) = receiver.doors.entrance(uri.path(), uri.query()) else {
        return Outgoing::bare(StatusCode::NOT_FOUND);
    };
    if request.method() != Method::POST && request.method() != Method::GET {
        return Outgoing::bare(StatusCode::METHOD_NOT_ALLOWED);
    }
    let source = receiver.guard.source(&peer, request.headers());
    if !receiver.guard.has_rate(&source) {
        return Outgoing::last(receiver.limited(&entrance, "rate", source.address).reply);
    }
    // Two lengths are the tool of smugglers, and the HTTP machine has dropped the other one by now: behind a
    // body in chunks nothing is read any more, whatever a proxy before us thinks where it ends.
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let (parts, body) = request.into_parts();
    let mut raw = RawRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body: Bytes::new(),
        source: Some(source.address),
        received_at: (receiver.clock)(),
    };
    if let Some(refused) = receiver.refuse_sender(&entrance, &raw) {
        return Outgoing::last(refused.reply);
    }
    let mut room = Room { guard: &receiver.guard, free: BODY_FREE, taken: None };
    if traffic.is_some() {
        room.free = BODY_FREE_OF_MANY;
    }
    raw.body = match read_body(body, limits, &mut room, traffic).await {
        Ok(body) => body,
        Err(Unread::Cut) => return Outgoing::bare(StatusCode::BAD_REQUEST),
        Err(Unread::Slow) => return Outgoing::bare(StatusCode::REQUEST_TIMEOUT),
        Err(Unread::NoRoom) => return Outgoing::last(receiver.limited(&entrance, "bodies", source.address).reply),
        Err(Unread::TooLarge) => {
            let rejection = Rejection::TooLarge { limit: limits.body_bytes };
            return Outgoing::last(receiver.refuse_unread(&entrance, &rejection, &raw).reply);
        }
    };
    raw.received_at = (receiver.clock)();
    let answered = receiver.receive(raw, entrance).await;
    drop(room);
    let is_genuine =
        !matches!(answered.cause, Cause::Refused | Cause::Undecryptable | Cause::KeyUnavailable | Cause::Challenged);
    let done = when_written(&answered, receiver);
    let mut outgoing = Outgoing::last(answered.reply);
    outgoing.is_last = !is_genuine || answered.is_limited || is_chunked;
    outgoing.done = Some(done);
    outgoing
}

/// Why a body could not be read.
enum Unread {
    TooLarge,
    NoRoom,
    Slow,
    Cut,
}

/// The room in the common memory that a body has.
struct Room<'g> {
    guard: &'g Guard,
    free: usize,
    taken: Option<SemaphorePermit<'g>>,
}

impl Room<'_> {
    /// Makes room for a body of so many bytes, beside what it has.
    fn grow(&mut self, bytes: usize) -> Result<(), Unread> {
        let have = self.free + self.taken.as_ref().map_or(0, SemaphorePermit::num_permits);
        if bytes <= have {
            return Ok(());
        }
        let more = self.guard.room(bytes - have).ok_or(Unread::NoRoom)?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }
}

async fn read_body(
    mut body: Incoming,
    limits: Limits,
    room: &mut Room<'_>,
    traffic: Option<&Traffic>,
) -> Result<Bytes, Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limits.body_bytes {
        return Err(Unread::TooLarge);
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Cut)?.into_data() else { continue };
            if let Some(traffic) = traffic {
                traffic.allow(data.len());
            }
            let so_far = first.as_ref().map_or(0, Bytes::len).max(rest.len());
            if so_far + data.len() > limits.body_bytes {
                return Err(Unread::TooLarge);
            }
            room.grow(so_far + data.len())?;
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

/// Notes the acknowledgement and its latency; called when the reply's last byte is out.
fn when_written(answered: &Answered, receiver: &Arc<Receiver>) -> Done {
    let receiver = receiver.clone();
    let (acknowledges, received_at) = (answered.acknowledges, answered.received_at);
    let ack_seconds = if let Some(door) = receiver.doors.by_id(&answered.channel) {
        door.counts(&receiver.metrics).ack_seconds.clone()
    } else {
        let by_channel = ByChannel { channel: answered.channel.clone() };
        Histogram::clone(&receiver.metrics.ack_seconds.get_or_create(&by_channel))
    };
    Box::new(move || {
        let now = (receiver.clock)();
        let seconds = now.duration_since(received_at).as_secs_f64();
        ack_seconds.observe(seconds.max(0.0));
        if let Some(notification) = acknowledges {
            receiver.inbox.acked(notification, now);
        }
    })
}

impl Outgoing {
    fn bare(status: StatusCode) -> Self {
        Self { status, content_type: None, body: Bytes::new(), is_last: true, done: None }
    }

    fn last(reply: Reply) -> Self {
        let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, content_type: reply.content_type, body: reply.body, is_last: true, done: None }
    }
}

fn respond(outgoing: Outgoing, carrier: Carrier, running: Option<Running>) -> Response<ReplyBody> {
    let (pending, traffic) = match carrier {
        Carrier::One(pending) => (pending, None),
        Carrier::Many(pending, traffic) => (pending, Some(traffic)),
    };
    let done = outgoing.done.map(|done| (pending, done));
    let mut response = Response::new(ReplyBody::new(outgoing.body, done, running));
    *response.status_mut() = outgoing.status;
    if let Some(content_type) = outgoing.content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    }
    match traffic {
        Some(traffic) if outgoing.is_last => traffic.closing.notify_one(),
        None if outgoing.is_last => {
            response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}
