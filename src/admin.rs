//! The admin surface: health, readiness, metrics and commands, on loopback and on a unix socket.
//!
//! Every script on the machine can reach loopback, so that what is not for everybody asks for a token even there; on
//! the socket the system says who asks. One request a connection, each wait and size with its limit.

pub mod access;
mod crowd;
pub mod socket;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use self::access::{Access, Refusal, Route};
use self::crowd::{Asking, Crowd};
use crate::control::{COMMAND_TIME_MAX, Caller, Command, Control, ControlError, Reply, State, note_gaps};
use crate::descriptors::is_exhausted;
use crate::inbox::Condition;
use crate::stop::Stop;
use crate::telemetry::{ByChannel, ByRefusal, ByTarget, Metrics};

/// What the surface shows and does.
pub struct Admin {
    /// Executes commands.
    pub control: Arc<Control>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The stop signal of the node: a node that drains is not ready.
    pub stop: Stop,
    /// Who may ask over TCP, as it is configured now.
    pub access: ArcSwap<Access>,
}

/// Where connections come from.
pub enum Listener {
    /// Loopback: who asks brings a token.
    Tcp(TcpListener),
    /// The socket: the system says who asks.
    Socket(UnixListener),
}

/// Connections at once on each listener: a scraper and a few people.
const CONNECTIONS_MAX: usize = 32;
/// Time for a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's headers altogether.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// Time for a command's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a command.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// From accepting a connection over TCP to its end, whatever happens on it: no command that a token allows takes so
/// long, and a peer that reads nothing would hold its place for ever.
const TCP_TIME_MAX: Duration = Duration::from_mins(1);
/// The same on the socket, where a backup may take its time.
const SOCKET_TIME_MAX: Duration = COMMAND_TIME_MAX;
/// Wait after `accept` failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// From the end of the node to cutting off commands that still run.
const DRAIN_TIME: Duration = Duration::from_secs(3);
/// The text format of the metrics.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The type of commands and their answers.
const JSON_TYPE: &str = "application/json";
/// The type of everything else.
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Serves until `end`, which is raised when the rest of the node has ended, so that a node that drains still says so.
pub async fn serve(listener: Listener, admin: Arc<Admin>, mut end: Stop) {
    let mut crowd = Crowd::new(CONNECTIONS_MAX);
    let mut open: JoinSet<()> = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end.raised() => break,
        };
        while let Some(ended) = open.try_join_next() {
            if let Err(error) = ended
                && !error.is_cancelled()
            {
                warn!(%error, "an admin connection's task ended badly");
            }
        }
        match accepted {
            Ok((stream, way)) => {
                let Some(held) = crowd.place().await else { continue };
                let (admin, asking) = (admin.clone(), Asking::default());
                let task = open.spawn({
                    let asking = asking.clone();
                    async move {
                        let _held = held;
                        connection(stream, way, admin, asking).await;
                    }
                });
                crowd.note(asking, task);
            }
            Err(error) if is_exhausted(&error) && crowd.release() => {}
            Err(error) => {
                warn!(%error, "cannot accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, drained).await.is_err() {
        warn!("commands were still running at the end");
    }
}

/// How somebody came in.
enum Way {
    /// Over TCP; a token says who it is.
    Tcp,
    /// By the socket; the system said who it is. `None`: another user.
    Socket(Option<Caller>),
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Listener {
    async fn accept(&self) -> io::Result<(Box<dyn Stream>, Way)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Box::new(stream), Way::Tcp))
            }
            Self::Socket(listener) => {
                let (stream, _) = listener.accept().await?;
                let caller = socket::caller(&stream)?;
                Ok((Box::new(stream), Way::Socket(caller)))
            }
        }
    }
}

async fn connection(stream: Box<dyn Stream>, way: Way, admin: Arc<Admin>, asking: Asking) {
    let time_max = match way {
        Way::Tcp => TCP_TIME_MAX,
        Way::Socket(_) => SOCKET_TIME_MAX,
    };
    let way = Arc::new(way);
    let service = service_fn(move |request| {
        let (admin, way, is_heard) = (admin.clone(), way.clone(), asking.begin());
        async move {
            if !is_heard {
                return Ok(text(StatusCode::SERVICE_UNAVAILABLE, TEXT_TYPE, String::new()));
            }
            Ok::<_, Infallible>(admin.answer(request, &way).await)
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(time_max, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "an admin connection ended early"),
        Err(_) => debug!("an admin connection was cut off at the end of its time"),
    }
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>, way: &Way) -> Response<Full<Bytes>> {
        let Some(route) = Route::of(request.uri().path()) else {
            return text(StatusCode::NOT_FOUND, TEXT_TYPE, String::new());
        };
        if !route.takes(request.method()) {
            return text(StatusCode::METHOD_NOT_ALLOWED, TEXT_TYPE, String::new());
        }
        let access = self.access.load();
        let identified = match way {
            Way::Tcp => access.identify(request.uri(), request.headers()),
            Way::Socket(Some(caller)) => Ok(Some(caller.clone())),
            Way::Socket(None) => Err(Refusal::Stranger),
        };
        if let Err(refusal) = &identified {
            self.count(*refusal);
        }
        let caller = match access.decide(route, identified) {
            Ok(caller) => caller,
            Err(refusal) => {
                if refusal == Refusal::NoToken {
                    self.count(refusal);
                }
                return refuse(refusal);
            }
        };
        match (route, caller) {
            (Route::Health, _) => text(StatusCode::OK, TEXT_TYPE, "ok\n".into()),
            (Route::Ready, caller) => self.ready(caller.is_some()).await,
            (Route::Metrics, _) => {
                self.refresh().await;
                text(StatusCode::OK, METRICS_TYPE, self.metrics.render())
            }
            (Route::Control, Some(caller)) => self.control(request, &caller).await,
            (Route::Control, None) => refuse(Refusal::NoToken),
        }
    }

    fn count(&self, refusal: Refusal) {
        self.metrics.admin_refused.get_or_create(&ByRefusal { reason: refusal.as_str() }).inc();
    }

    /// A full disk does not take the node out of rotation: its busy reply, in the platform's words, is
    /// better than a balancer's error page. Draining does. Causes are for those who may read them.
    async fn ready(&self, is_detailed: bool) -> Response<Full<Bytes>> {
        let condition = self.control.inbox.condition();
        let state = State::of(&condition, &self.stop);
        let mut body = state.as_str().to_owned();
        if is_detailed {
            if let Condition::Failing(cause) = condition {
                body = format!("{body}: {cause}");
            }
            let gaps = note_gaps(&*self.control.inbox, &self.metrics).await;
            let lines = gaps.iter().map(|gap| {
                let from = gap.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string());
                format!("\ngap {}: callbacks from {from} to {} may be missing ({})", gap.id, gap.to, gap.why)
            });
            body.extend(lines);
        }
        if let Some(node) = self.control.node.as_ref().filter(|node| node.standing.is_stale()) {
            body.push_str("\nthe configuration's files say something that is not in force");
            let reasons = node.standing.reasons();
            body.extend(reasons.iter().filter(|_| is_detailed).map(|reason| format!("\n{reason}")));
        }
        let status = if state == State::Draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        text(status, TEXT_TYPE, body + "\n")
    }

    async fn control(&self, request: Request<Incoming>, caller: &Caller) -> Response<Full<Bytes>> {
        let body = match read_body(request).await {
            Ok(body) => body,
            Err(refusal) => {
                self.count(refusal);
                return refuse(refusal);
            }
        };
        let result = match serde_json::from_slice::<Command>(&body) {
            Ok(command) => self.control.execute(command, caller).await,
            Err(error) => Err(ControlError::Malformed { detail: error.to_string() }),
        };
        let status = match &result {
            Ok(_) => StatusCode::OK,
            Err(ControlError::Malformed { .. }) => StatusCode::BAD_REQUEST,
            Err(ControlError::Forbidden { .. }) => StatusCode::FORBIDDEN,
            Err(ControlError::NotFound) => StatusCode::NOT_FOUND,
            Err(ControlError::NeedsNode | ControlError::Failed { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if matches!(result, Err(ControlError::Forbidden { .. })) {
            self.count(Refusal::Role);
        }
        json(status, &Reply::from(result))
    }

    /// Brings the numbers up to date that are read from the inbox.
    async fn refresh(&self) {
        let inbox = &self.control.inbox;
        let now = (self.control.clock)();
        let writable = matches!(inbox.condition(), Condition::Good);
        self.metrics.inbox_writable.set(i64::from(writable));
        self.metrics.rejections_lost.set(i64::try_from(inbox.rejections_lost()).unwrap_or(i64::MAX));
        note_gaps(&**inbox, &self.metrics).await;
        match inbox.backlog().await {
            Ok(rows) => {
                for row in rows {
                    let label = ByTarget { target: row.target.into() };
                    let age = row.oldest_at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
                    self.metrics.oldest_undelivered_seconds.get_or_create(&label).set(age);
                    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                    self.metrics.open_deliveries.get_or_create(&label).set(count(row.open));
                    self.metrics.held_deliveries.get_or_create(&label).set(count(row.held));
                    self.metrics.dead_deliveries.get_or_create(&label).set(count(row.dead));
                }
            }
            Err(error) => warn!(%error, "cannot read the backlog for the metrics"),
        }
        match inbox.size().await {
            Ok(size) => {
                let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                self.metrics.inbox_bytes.set(bytes(size.bytes));
                self.metrics.inbox_free_bytes.set(bytes(size.free_bytes));
                self.metrics.inbox_wal_bytes.set(bytes(size.wal_bytes));
            }
            Err(error) => warn!(%error, "cannot read the inbox's size for the metrics"),
        }
        match inbox.hint_backlog().await {
            Ok(rows) => {
                let configured = self.control.node.as_ref().map(|node| (node.channels)());
                for row in rows {
                    let is_configured = configured.as_ref().is_none_or(|ids| ids.contains(&row.channel));
                    let label = ByChannel { channel: row.channel.into() };
                    if !is_configured && row.open == 0 {
                        // Nothing waits for a channel that was removed.
                        self.metrics.oldest_hint_seconds.remove(&label);
                        self.metrics.open_hints.remove(&label);
                        continue;
                    }
                    let age = row.oldest_at.map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0));
                    self.metrics.oldest_hint_seconds.get_or_create(&label).set(age);
                    self.metrics.open_hints.get_or_create(&label).set(i64::try_from(row.open).unwrap_or(i64::MAX));
                }
            }
            Err(error) => warn!(%error, "cannot read the open hints for the metrics"),
        }
        match inbox.last_genuine().await {
            Ok(rows) => {
                let configured = self.control.node.as_ref().map(|node| (node.channels)());
                for (channel, at) in rows {
                    let is_missed = configured.as_ref().is_none_or(|ids| ids.contains(&channel));
                    let label = ByChannel { channel: channel.into() };
                    if !is_missed {
                        // Nobody waits for callbacks of a channel that was removed.
                        self.metrics.last_genuine.remove(&label);
                        continue;
                    }
                    self.metrics.last_genuine.get_or_create(&label).set(at.as_duration().as_secs_f64());
                }
            }
            Err(error) => warn!(%error, "cannot read the last callbacks for the metrics"),
        }
    }
}

/// Reads a command's body, of one type only: a page in a browser can send the simple types to anybody.
async fn read_body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    let is_encoded = request.headers().contains_key(header::CONTENT_ENCODING);
    if is_encoded || !media_type.is_some_and(|media_type| media_type.eq_ignore_ascii_case(JSON_TYPE)) {
        return Err(Refusal::MediaType);
    }
    // What is announced as too large is not waited for.
    if request.body().size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Refusal::TooLarge);
    }
    #[expect(clippy::disallowed_methods, reason = "the body is limited")]
    let reading = Limited::new(request.into_body(), BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) => Err(Refusal::Malformed),
        Err(_) => Err(Refusal::Slow),
    }
}

fn refuse(refusal: Refusal) -> Response<Full<Bytes>> {
    let status = refusal.status();
    // Who asks on the socket reads JSON.
    if let Some(needs) = refusal.needs() {
        return json(status, &Reply::Error(ControlError::Forbidden { needs }));
    }
    let mut response = text(status, TEXT_TYPE, format!("{}\n", refusal.as_str()));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = header::HeaderValue::from_static("Bearer realm=\"tollbell\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn json(status: StatusCode, reply: &Reply) -> Response<Full<Bytes>> {
    match serde_json::to_string(reply) {
        Ok(body) => text(status, JSON_TYPE, body + "\n"),
        // Only a path that is no text cannot be written as JSON.
        Err(error) => {
            warn!(%error, "an answer cannot be written as JSON");
            text(StatusCode::INTERNAL_SERVER_ERROR, TEXT_TYPE, String::new())
        }
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    // One request a connection: a peer that asks on and reads nothing would hold its place for ever.
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    response
}

/// Whether the request only reads.
fn is_reading(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}
