//! The load generator: raw sockets, so that it costs as little as it can beside what it measures.
//!
//! Two modes. Closed: so many connections, each sends its next request when the reply is there; it finds the
//! highest rate. Open: requests leave at their planned times whatever the replies do, and a latency counts
//! from the planned time, so that a stall is not hidden by the requests that it kept from being sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Requests ready to be written, one after the other in one buffer.
#[derive(Debug)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Requests {
    /// Makes the wire form of bodies: method, path and headers around each.
    pub(crate) fn new<'a>(head: &str, keeps: bool, bodies: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut requests = Self { bytes: Vec::new(), ends: Vec::new() };
        let connection = if keeps { "keep-alive" } else { "close" };
        for (headers, body) in bodies {
            let text = format!("{head}connection: {connection}\r\n{headers}content-length: {}\r\n\r\n", body.len());
            requests.bytes.extend_from_slice(text.as_bytes());
            requests.bytes.extend_from_slice(body);
            requests.ends.push(requests.bytes.len());
        }
        requests
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[index]]
    }
}

/// How to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// One connection for many requests, or a new one each time as the platforms do.
    pub(crate) keeps: bool,
    /// Requests a second, for the open mode.
    pub(crate) rate: Option<f64>,
    /// The reply's body and status that count as accepted.
    pub(crate) accepted: Accepted,
}

/// What counts as accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) status: u16,
    pub(crate) body: &'static [u8],
}

/// What a measurement found.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub(crate) accepted: usize,
    pub(crate) refused: usize,
    pub(crate) took: Duration,
    /// Microseconds, sorted.
    pub(crate) latencies: Vec<u32>,
}

impl Measured {
    pub(crate) fn rate(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// A percentile in milliseconds.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let index = ((last as f64) * percent / 100.0).round() as usize;
        self.latencies.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }
}

/// Sends every request once.
pub(crate) async fn send(plan: Plan, requests: Arc<Requests>) -> anyhow::Result<Measured> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..plan.connections {
        tasks.spawn(worker(plan, requests.clone(), next.clone(), began));
    }
    let mut total = Measured::default();
    while let Some(done) = tasks.join_next().await {
        let part = done.context("a connection's task")??;
        total.accepted += part.accepted;
        total.refused += part.refused;
        total.latencies.extend(part.latencies);
    }
    total.took = began.elapsed();
    total.latencies.sort_unstable();
    Ok(total)
}

async fn worker(plan: Plan, requests: Arc<Requests>, next: Arc<AtomicUsize>, began: Instant) -> anyhow::Result<Measured> {
    let mut found = Measured::default();
    let mut stream = None;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= requests.len() {
            return Ok(found);
        }
        let planned = match plan.rate {
            None => Instant::now(),
            Some(rate) => {
                let planned = began + Duration::from_secs_f64(index as f64 / rate);
                tokio::time::sleep_until(planned.into()).await;
                planned
            }
        };
        let mut open = match stream.take() {
            Some(open) => open,
            None => connect(plan.address).await?,
        };
        open.write_all(requests.get(index)).await.context("send a request")?;
        let (is_accepted, stays) = read_reply(&mut open, &mut buffer, plan.accepted).await?;
        let micros = u32::try_from(planned.elapsed().as_micros()).unwrap_or(u32::MAX);
        found.latencies.push(micros);
        if is_accepted { found.accepted += 1 } else { found.refused += 1 }
        stream = (plan.keeps && stays).then_some(open);
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context("connect")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    Ok(stream)
}

/// Reads one reply: whether it is the accepted one, and whether the connection may be used again.
async fn read_reply(stream: &mut TcpStream, buffer: &mut [u8], accepted: Accepted) -> anyhow::Result<(bool, bool)> {
    let mut filled = 0;
    let (head, framing) = loop {
        let read = stream.read(&mut buffer[filled..]).await.context("read a reply")?;
        if read == 0 {
            bail!("the connection ended within a reply: {:?}", String::from_utf8_lossy(&buffer[..filled]));
        }
        filled += read;
        if let Some(end) = find(&buffer[..filled], b"\r\n\r\n") {
            break (end + 4, Framing::of(&buffer[..end]));
        }
    };
    let body = loop {
        match framing.body(&buffer[head..filled]) {
            Some(body) => break body,
            None => {
                let read = stream.read(&mut buffer[filled..]).await.context("read a reply")?;
                if read == 0 {
                    break buffer[head..filled].to_vec();
                }
                filled += read;
            }
        }
    };
    let status = buffer[9..12].iter().fold(0_u16, |number, digit| number * 10 + u16::from(digit.wrapping_sub(b'0')));
    Ok((status == accepted.status && body == accepted.body, framing.stays))
}

struct Framing {
    length: Option<usize>,
    is_chunked: bool,
    stays: bool,
}

impl Framing {
    fn of(head: &[u8]) -> Self {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status_has_none = text.get(9..12).is_some_and(|status| status == "204");
        Self {
            length: if status_has_none { Some(0) } else { value("content-length:").and_then(|v| v.parse().ok()) },
            is_chunked: value("transfer-encoding:") == Some("chunked"),
            stays: value("connection:") != Some("close"),
        }
    }

    /// The body when it is complete.
    fn body(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if let Some(length) = self.length {
            return (bytes.len() >= length).then(|| bytes[..length].to_vec());
        }
        if !self.is_chunked || !bytes.ends_with(b"0\r\n\r\n") {
            return None;
        }
        let mut body = Vec::new();
        let mut rest = bytes;
        loop {
            let line = find(rest, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
            rest = rest.get(line + 4 + size..)?;
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
