//! The load generator: raw sockets on one thread, so that it costs as little as it can beside what it measures.
//!
//! Two modes. Closed: so many connections, each sends its next request when the reply is there; it finds the
//! highest rate. Open: requests leave at their planned times whatever the replies do, and a latency counts
//! from the planned time, so that a stall is not hidden by the requests that it kept from being sent.

mod reply;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use self::reply::Reader;
use crate::bodies::Callback;

/// Longest wait for one reply; a server that is slower fails the run.
const PATIENCE: Duration = Duration::from_secs(30);
/// How finely the open mode keeps its planned times; the thread that does it sleeps this long at most.
const TICK: Duration = Duration::from_micros(100);
/// A latency from here on counts as a stall.
const STALL: Duration = Duration::from_millis(30);

/// Requests ready to be written, one after the other in one buffer.
#[derive(Debug)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    keeps: bool,
}

impl Requests {
    /// Makes the wire form of callbacks: method, path and headers around each body.
    pub(crate) fn new(path: &str, way: Way, callbacks: &[Callback]) -> Arc<Self> {
        let size = callbacks.iter().map(|callback| callback.headers.len() + callback.body.len() + 160).sum();
        let mut requests = Self {
            bytes: Vec::with_capacity(size),
            ends: Vec::with_capacity(callbacks.len()),
            keeps: way == Way::Kept,
        };
        let connection = if requests.keeps { "keep-alive" } else { "close" };
        for Callback { headers, body, .. } in callbacks {
            let length = body.len();
            let text = format!(
                "POST {path} HTTP/1.1\r\nhost: pay.example.com\r\nconnection: {connection}\r\n{headers}content-length: {length}\r\n\r\n"
            );
            requests.bytes.extend_from_slice(text.as_bytes());
            requests.bytes.extend_from_slice(body);
            requests.ends.push(requests.bytes.len());
        }
        Arc::new(requests)
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// One connection for many requests, or a new one each time as the platforms do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Kept alive.
    Kept,
    /// A new connection for each request.
    New,
}

impl Way {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::New => "new",
        }
    }
}

/// How to send.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// Requests a second, for the open mode.
    pub(crate) rate: Option<f64>,
    /// The body of the reply, besides status 200 or 204, that counts as accepted.
    pub(crate) accepted: &'static [u8],
    /// Encrypts, where wanted.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Whether to note when each request was sent, by the clock of the wall.
    pub(crate) notes_times: bool,
}

impl Plan {
    /// Plain, as fast as it goes.
    pub(crate) fn closed(address: SocketAddr, connections: usize) -> Self {
        Self { address, connections, rate: None, accepted: b"success", tls: None, notes_times: false }
    }
}

/// What a measurement found.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    /// The first reply that was not the accepted one.
    pub(crate) first_refusal: Option<String>,
    pub(crate) took: Duration,
    /// Microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
    /// The request's index and when it was sent, in seconds since 1970.
    pub(crate) sent: Vec<(usize, f64)>,
}

impl Measured {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    pub(crate) fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.latencies, percent)
    }

    /// How many waited so long that one speaks of a stall.
    pub(crate) fn stalls(&self) -> usize {
        let from = self.latencies.partition_point(|micros| Duration::from_micros(u64::from(*micros)) <= STALL);
        self.latencies.len() - from
    }
}

/// A percentile, in milliseconds, of sorted microseconds.
#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the list")]
pub(crate) fn percentile(sorted: &[u32], percent: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * percent / 100.0).round() as usize;
    sorted.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
}

/// Sends each request of the range once.
pub(crate) fn send(plan: &Plan, requests: &Arc<Requests>, range: Range<usize>) -> anyhow::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the client")?;
    runtime.block_on(send_all(plan, requests, range))
}

async fn send_all(plan: &Plan, requests: &Arc<Requests>, range: Range<usize>) -> anyhow::Result<Measured> {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    let (pace, pacer) = match plan.rate {
        Some(rate) => {
            let pace = Pace { due: Arc::new(Semaphore::new(0)), rate };
            let pacer = Pacer::start(&pace, began, range.len());
            (Some(pace), Some(pacer))
        }
        None => (None, None),
    };
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        requests: requests.clone(),
        next: AtomicUsize::new(0),
        range,
        began,
        pace,
    });
    for _ in 0..plan.connections {
        tasks.spawn(worker(shared.clone()));
    }
    let mut total = Measured::default();
    while let Some(done) = tasks.join_next().await {
        let part = done.context("a connection's task")??;
        total.accepted += part.accepted;
        total.refused += part.refused;
        total.first_refusal = total.first_refusal.or(part.first_refusal);
        total.latencies.extend(part.latencies);
        total.sent.extend(part.sent);
    }
    total.took = began.elapsed();
    total.latencies.sort_unstable();
    drop(pacer);
    Ok(total)
}

/// What the connections of one measurement share.
struct Shared {
    plan: Plan,
    requests: Arc<Requests>,
    next: AtomicUsize,
    range: Range<usize>,
    began: Instant,
    pace: Option<Pace>,
}

/// The open mode's times: request `i` is due at `i / rate`.
struct Pace {
    due: Arc<Semaphore>,
    rate: f64,
}

impl Pace {
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
    fn planned(&self, began: Instant, index: usize) -> Instant {
        began + Duration::from_secs_f64(index as f64 / self.rate)
    }
}

/// A thread that says when requests become due: it sleeps more finely than the runtime's timer.
struct Pacer {
    stops: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Pacer {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of requests")]
    fn start(pace: &Pace, began: Instant, count: usize) -> Self {
        let stops = Arc::new(AtomicBool::new(false));
        let (due, rate, told) = (pace.due.clone(), pace.rate, stops.clone());
        let thread = thread::spawn(move || {
            let mut given = 0;
            while given < count && !told.load(Ordering::Relaxed) {
                let until = ((began.elapsed().as_secs_f64() * rate) as usize + 1).min(count);
                due.add_permits(until - given);
                given = until;
                thread::sleep(TICK);
            }
        });
        Self { stops, thread: Some(thread) }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(thread::JoinHandle::join));
    }
}

async fn worker(shared: Arc<Shared>) -> anyhow::Result<Measured> {
    let Shared { plan, requests, next, range, began, pace } = &*shared;
    let mut found = Measured::default();
    let mut open: Option<Connection> = None;
    let mut reader = Reader::new(plan.accepted);
    loop {
        if let Some(pace) = pace {
            // Whoever holds a permit and finds nothing left ends; the permits are as many as the requests, so
            // the others would wait for ever.
            match pace.due.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => return Ok(found),
            }
        }
        let turn = next.fetch_add(1, Ordering::Relaxed);
        let index = range.start + turn;
        if index + 1 >= range.end
            && let Some(pace) = pace
        {
            pace.due.close();
        }
        if index >= range.end {
            return Ok(found);
        }
        let planned = pace.as_ref().map_or_else(Instant::now, |pace| pace.planned(*began, turn));
        let mut connection = match open.take() {
            Some(connection) => connection,
            None => Connection::open(plan).await?,
        };
        if plan.notes_times {
            found.sent.push((index, wall_clock()));
        }
        let exchange = async {
            connection.write_all(requests.get(index)).await.context("send a request")?;
            connection.flush().await.context("send a request")?;
            reader.read(&mut connection).await
        };
        let reply = tokio::time::timeout(PATIENCE, exchange).await.context("no reply in time")??;
        found.latencies.push(u32::try_from(planned.elapsed().as_micros()).unwrap_or(u32::MAX));
        if reply.is_accepted {
            found.accepted += 1;
        } else {
            found.refused += 1;
            found.first_refusal.get_or_insert_with(|| reader.quote());
        }
        open = (requests.keeps && reply.stays).then_some(connection);
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with the time that a script of another process notes")]
fn wall_clock() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A connection to what is measured.
#[expect(clippy::large_enum_variant, reason = "all connections of a measurement are of one kind")]
enum Connection {
    Plain(TcpStream),
    Tls(TlsStream<TcpStream>),
}

impl Connection {
    async fn open(plan: &Plan) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(plan.address).await.context("connect")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        match &plan.tls {
            None => Ok(Self::Plain(stream)),
            Some(tls) => {
                let name = ServerName::try_from("localhost").context("a server's name")?;
                Ok(Self::Tls(TlsConnector::from(tls.clone()).connect(name, stream).await.context("the TLS handshake")?))
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one connection after the other: the first request after a wait, every other at once.
    fn server(first_takes: Duration, reply: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let mut wait = first_takes;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut buffer = [0; 4096];
                // A request comes in one piece here, and the next only after the reply.
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    thread::sleep(std::mem::take(&mut wait));
                    stream.write_all(reply.as_bytes()).unwrap();
                }
            }
        });
        address
    }

    fn requests(way: Way) -> Arc<Requests> {
        let callback = Callback { headers: "content-type: text/plain\r\n".to_owned(), body: b"x=1".to_vec() };
        Requests::new("/notify/alipay", way, &vec![callback; 8])
    }

    #[test]
    fn a_stall_counts_for_every_request_that_it_kept_from_being_sent() {
        const STALL: Duration = Duration::from_millis(200);
        const RATE: f64 = 1000.0;
        let address = server(STALL, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuccess");
        let plan = Plan { rate: Some(RATE), ..Plan::closed(address, 1) };
        let measured = send(&plan, &requests(Way::Kept), 0..8).unwrap();
        assert_eq!((measured.accepted, measured.refused, measured.stalls()), (8, 0, 8));
        // The last was planned for the eighth millisecond.
        assert!(measured.latencies[0] >= 190_000, "{:?}", measured.latencies);
    }

    #[test]
    fn every_request_of_the_range_is_sent_once_and_refusals_are_quoted() {
        let refuses = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfail";
        for way in [Way::Kept, Way::New] {
            let plan = Plan { notes_times: true, ..Plan::closed(server(Duration::ZERO, refuses), 1) };
            let measured = send(&plan, &requests(way), 2..7).unwrap();
            assert_eq!((measured.accepted, measured.refused), (0, 5));
            assert!(measured.first_refusal.unwrap().ends_with("fail"));
            let sent: Vec<usize> = measured.sent.iter().map(|(index, _)| *index).collect();
            assert_eq!(sent, [2, 3, 4, 5, 6]);
        }
    }

    #[test]
    fn percentiles_of_few_and_of_none() {
        let shown = |sorted: &[u32], percent| format!("{:.1}", percentile(sorted, percent));
        assert_eq!(shown(&[], 99.0), "0.0");
        assert_eq!(shown(&[1000, 2000, 9000], 50.0), "2.0");
        assert_eq!(shown(&[1000, 2000, 9000], 100.0), "9.0");
    }
}
