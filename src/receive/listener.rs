//! The public listener: our own accept loop, so that every wait and size on it has a limit.
//!
//! Nothing but callbacks is served here; every other path is a 404 with an empty body.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::Receiver;
use super::connection::{self, Context};
use super::tls::TlsPair;
use crate::descriptors::is_exhausted;
use crate::stop::Stop;
use crate::telemetry::Metrics;

/// What a listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From opening a connection to its first byte; with TLS, to the end of the handshake.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its headers; also how long a kept connection may idle.
    pub header: Duration,
    /// From the end of the headers to the end of the body.
    pub body: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// For a reply to be out of our hands, from when the peer first takes nothing.
    pub write: Duration,
    /// From opening a connection to closing it between two requests.
    pub age: Duration,
    /// From the stop signal to closing what is still open.
    pub drain: Duration,
}

/// Wait after `accept` failed, which it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures of `accept` in a row between two lines in the log: ten seconds.
const FAILURES_A_LINE: u32 = 100;

/// The places for connections, of all listeners together.
pub struct Places {
    all: Arc<Semaphore>,
    count: usize,
}

impl Places {
    /// For so many connections. Each listener holds a place for who comes next, so that none of them starves
    /// another that waits for its first.
    pub fn new(connections: usize, listeners: usize) -> Self {
        let count = Self::count(connections, listeners);
        Self { all: Arc::new(Semaphore::new(count)), count }
    }

    /// Changes their number. Connections keep theirs: of places that are taken, fewer come back.
    pub fn resize(&mut self, connections: usize, listeners: usize) {
        let count = Self::count(connections, listeners);
        self.all.add_permits(count.saturating_sub(self.count));
        let surplus = self.count.saturating_sub(count);
        self.count = count;
        let all = self.all.clone();
        tokio::spawn(async move {
            // One by one, so that listeners get some of what becomes free.
            for _ in 0..surplus {
                let Ok(place) = all.acquire().await else { return };
                place.forget();
            }
        });
    }

    /// For a listener.
    pub fn share(&self) -> Arc<Semaphore> {
        self.all.clone()
    }

    fn count(connections: usize, listeners: usize) -> usize {
        (connections + listeners).saturating_sub(1).clamp(1, Semaphore::MAX_PERMITS / 2)
    }
}

/// Serves until the stop signal, then drains. With `tls`, every connection speaks TLS.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsPair>>,
    receiver: Arc<ArcSwap<Receiver>>,
    places: Arc<Semaphore>,
    limits: Limits,
    mut shutdown: Stop,
) {
    let mut open: JoinSet<()> = JoinSet::new();
    let mut failures = 0;
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
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                receiver.load().metrics.network.accept_failed.inc();
                if failures % FAILURES_A_LINE == 0 {
                    let hint = if is_exhausted(&error) { "raise the limit of open files" } else { "" };
                    warn!(%error, failures, hint, "cannot accept a connection; what is open goes on");
                }
                failures += 1;
                tokio::select! {
                    () = tokio::time::sleep(ACCEPT_PAUSE) => continue,
                    () = shutdown.raised() => break,
                }
            }
        };
        failures = 0;
        let snapshot = receiver.load();
        let peer = snapshot.guard.peer(address.ip());
        let metrics = snapshot.metrics.clone();
        let Some(counted) = snapshot.guard.connect(&peer) else {
            metrics.network.cut("per_ip");
            continue;
        };
        let context = Context { receiver: receiver.clone(), peer, limits, stop: shutdown.clone() };
        let tls = tls.clone();
        open.spawn(async move {
            let _held = (place, counted, Open::new(metrics));
            connection::serve(stream, address, tls.as_deref(), context).await;
        });
    }
    drop(listener);
    let drained = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        info!("some connections were still open at the end of the drain time");
    }
}

/// Counts an open connection for the metrics, also when its task ends badly.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}
