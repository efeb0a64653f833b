//! The admin listener: health, readiness and metrics, on loopback. It answers `GET` only, holds no
//! secret and changes nothing.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::clock::Clock;
use crate::descriptors::{Reserve, is_exhausted};
use crate::inbox::{Condition, Inbox};
use crate::reload::Standing;
use crate::stop::Stop;
use crate::telemetry::{ByChannel, ByTarget, Metrics};

/// What the listener shows.
pub struct Admin {
    /// The inbox.
    pub inbox: Arc<dyn Inbox>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Clock,
    /// The stop signal: a node that drains is not ready.
    pub stop: Stop,
    /// How the configuration's files stand to what is in force.
    pub standing: Arc<Standing>,
}

/// Connections at once: a scraper and a few people.
const CONNECTIONS_MAX: usize = 32;
/// Time for a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after `accept` failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The text format of the metrics.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until the stop signal.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let mut stop = admin.stop.clone();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut open: JoinSet<()> = JoinSet::new();
    // When files run out, one connection at a time still gets its answer.
    let reserve = Arc::new(Mutex::new(Reserve::new()));
    let reserved = |reserve: &Mutex<Reserve>| reserve.lock().unwrap_or_else(PoisonError::into_inner).release();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.raised() => break,
        };
        while let Some(ended) = open.try_join_next() {
            if let Err(error) = ended {
                warn!(%error, "an admin connection's task ended badly");
            }
        }
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let (admin, reserve) = (admin.clone(), reserve.clone());
                open.spawn(async move {
                    let service = service_fn(move |request| {
                        let admin = admin.clone();
                        async move { Ok::<_, Infallible>(admin.answer(&request).await) }
                    });
                    let served = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEADER_TIMEOUT)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                    if let Err(error) = served {
                        debug!(%error, "an admin connection ended early");
                    }
                    // At once, before anybody else takes the descriptor that has just become free.
                    reserve.lock().unwrap_or_else(PoisonError::into_inner).retake();
                    drop(place);
                });
            }
            Err(error) if is_exhausted(&error) && reserved(&reserve) => {}
            Err(error) => {
                warn!(%error, "cannot accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new());
        }
        match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "text/plain", "ok\n".into()),
            "/readyz" => self.ready(),
            "/metrics" => {
                self.refresh().await;
                text(StatusCode::OK, METRICS_TYPE, self.metrics.render())
            }
            _ => text(StatusCode::NOT_FOUND, "text/plain", String::new()),
        }
    }

    /// A full disk does not take the node out of rotation: its busy reply, in the platform's words, is
    /// better than a balancer's error page. Draining does.
    fn ready(&self) -> Response<Full<Bytes>> {
        if self.stop.is_raised() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "draining\n".into());
        }
        let mut body = match self.inbox.condition() {
            Condition::Good => "ready\n".to_owned(),
            Condition::Failing(cause) => format!("answering busy: {cause}\n"),
        };
        for reason in self.standing.reasons() {
            body.push_str("the configuration's files are not in force: ");
            body.push_str(&reason);
            body.push('\n');
        }
        text(StatusCode::OK, "text/plain", body)
    }

    /// Brings the numbers up to date that are read from the inbox.
    async fn refresh(&self) {
        let now = (self.clock)();
        let writable = matches!(self.inbox.condition(), Condition::Good);
        self.metrics.inbox_writable.set(i64::from(writable));
        match self.inbox.backlog().await {
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
        match self.inbox.size().await {
            Ok(size) => {
                let bytes = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                self.metrics.inbox_bytes.set(bytes(size.bytes));
                self.metrics.inbox_free_bytes.set(bytes(size.free_bytes));
                self.metrics.inbox_wal_bytes.set(bytes(size.wal_bytes));
            }
            Err(error) => warn!(%error, "cannot read the inbox's size for the metrics"),
        }
        match self.inbox.last_genuine().await {
            Ok(rows) => {
                for (channel, at) in rows {
                    let label = ByChannel { channel: channel.into() };
                    self.metrics.last_genuine.get_or_create(&label).set(at.as_duration().as_secs_f64());
                }
            }
            Err(error) => warn!(%error, "cannot read the last callbacks for the metrics"),
        }
    }
}

fn text(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    // One request a connection: a peer that asks on and reads nothing would hold its place for ever.
    response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    response
}
