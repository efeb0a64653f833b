//! A server on loopback that answers as it is told, and invented names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tollbell::egress::{Ask, ClientSettings, Egress, EgressError, Got, Guard, Network, Roots, Url};

/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a request on loopback to arrive, short enough to wait for.
pub(super) const SHORT: Duration = Duration::from_millis(300);

pub(super) fn operator() -> Egress {
    Egress::new(ClientSettings::new(Guard::Operator)).unwrap()
}

pub(super) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

pub(super) async fn get(egress: &Egress, text: &str) -> Result<Got, EgressError> {
    egress.ask(Ask::get(url(text)), Instant::now() + PATIENCE).await
}

/// Waits for a state.
pub(super) async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What the server does with a connection after it has read a request.
#[derive(Clone)]
pub(super) enum Answering {
    /// Writes these bytes and closes.
    Close(Vec<u8>),
    /// Writes these bytes and waits for the next request.
    Keep(Vec<u8>),
    /// Writes these bytes and then nothing, without closing.
    Hang(Vec<u8>),
    /// Writes this for ever, after the first.
    Endless(Vec<u8>, Vec<u8>),
}

/// A server on loopback that remembers what it was asked.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) requests: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) ended: Arc<AtomicUsize>,
}

impl Server {
    pub(super) async fn new(answering: Answering) -> Self {
        Self::with(vec![answering], None).await
    }

    /// The n-th connection is answered in the n-th way, later ones in the last.
    pub(super) async fn with(answering: Vec<Answering>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let ended = Arc::new(AtomicUsize::new(0));
        let server =
            Self { address, requests: requests.clone(), connections: connections.clone(), ended: ended.clone() };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let answering = answering[number.min(answering.len() - 1)].clone();
                let (requests, tls, ended) = (requests.clone(), tls.clone(), ended.clone());
                tokio::spawn(async move {
                    match tls {
                        None => converse(stream, answering, &requests).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, answering, &requests).await;
                            }
                        }
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/x", self.address)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub(super) async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answering: Answering,
    requests: &Mutex<Vec<Vec<u8>>>,
) {
    while let Some(request) = read_request(&mut stream).await {
        requests.lock().unwrap().push(request);
        // The client may be gone before all is written; that is its business.
        let _written = match &answering {
            Answering::Close(bytes) | Answering::Keep(bytes) | Answering::Hang(bytes) => stream.write_all(bytes).await,
            Answering::Endless(head, again) => {
                let mut written = stream.write_all(head).await;
                while written.is_ok() {
                    written = stream.write_all(again).await;
                }
                written
            }
        };
        let _flushed = stream.flush().await;
        match answering {
            Answering::Keep(_) => {}
            Answering::Hang(_) => std::future::pending().await,
            Answering::Close(_) | Answering::Endless(..) => {
                let _closed = stream.shutdown().await;
                return;
            }
        }
    }
}

pub(super) async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if read.len() >= end + 4 + length {
                return Some(read);
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => read.extend_from_slice(&chunk[..n]),
        }
    }
}

pub(super) fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Names with addresses of the test's choice. Every dialled address leads to one listener.
pub(super) struct Invented {
    pub(super) names: Mutex<Vec<(&'static str, Vec<IpAddr>)>>,
    pub(super) to: SocketAddr,
    pub(super) dead: Vec<IpAddr>,
    pub(super) dialled: Mutex<Vec<SocketAddr>>,
    pub(super) looked_up: AtomicUsize,
}

impl Invented {
    pub(super) fn new(to: SocketAddr, names: &[(&'static str, &[&str])]) -> Arc<Self> {
        let names = names.iter().map(|(name, list)| (*name, list.iter().map(|a| a.parse().unwrap()).collect()));
        Arc::new(Self {
            names: Mutex::new(names.collect()),
            to,
            dead: vec!["1.1.1.1".parse().unwrap()],
            dialled: Mutex::default(),
            looked_up: AtomicUsize::new(0),
        })
    }

    pub(super) fn egress(self: &Arc<Self>, guard: Guard, roots: Roots) -> Egress {
        let network: Arc<dyn Network> = self.clone();
        let idle_timeout = Duration::ZERO;
        Egress::new(ClientSettings { network, roots, idle_timeout, ..ClientSettings::new(guard) }).unwrap()
    }

    pub(super) fn dialled(&self) -> Vec<String> {
        self.dialled.lock().unwrap().iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Network for Invented {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        let names = self.names.lock().unwrap();
        let found = names.iter().find(|(known, _)| *known == name);
        found.map(|(_, addresses)| addresses.clone()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.dialled.lock().unwrap().push(address);
        if self.dead.contains(&address.ip()) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        TcpStream::connect(self.to).await
    }
}
