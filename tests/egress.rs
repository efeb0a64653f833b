//! The one way out against real listeners: what it dials, what it reads, and what it says after a failure.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tollbell::egress::{
    Ask, Class, ClientCertificate, ClientSettings, EGRESS_WORDS, Egress, EgressError, Got, Guard, HEADERS_MAX, Network,
    PublicRules, Roots, Setup, Url, UrlFault,
};
use zeroize::Zeroizing;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for a request on loopback to arrive, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);

fn operator() -> Egress {
    Egress::new(ClientSettings::new(Guard::Operator)).unwrap()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

async fn get(egress: &Egress, text: &str) -> Result<Got, EgressError> {
    egress.ask(Ask::get(url(text)), Instant::now() + PATIENCE).await
}

/// What the server does with a connection after it has read a request.
#[derive(Clone)]
enum Answering {
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
struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Server {
    async fn new(answering: Answering) -> Self {
        Self::with(vec![answering], None).await
    }

    /// The n-th connection is answered in the n-th way, later ones in the last.
    async fn with(answering: Vec<Answering>, tls: Option<TlsAcceptor>) -> Self {
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

    fn url(&self) -> String {
        format!("http://{}/x", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(
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

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<Vec<u8>> {
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

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[tokio::test]
async fn the_request_goes_out_as_asked_and_nothing_is_smuggled_in() {
    let server = Server::new(Answering::Close(ok("success"))).await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-shop", "1"),
        ("host", "evil.example"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("transfer-encoding", "chunked"),
        ("content-length", "3"),
        ("expect", "100-continue"),
        ("proxy", "http://evil.example"),
        ("proxy-authorization", "Basic eA=="),
        ("keep-alive", "timeout=9"),
        ("te", "trailers"),
    ] {
        headers.append(http::header::HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let body = Bytes::from_static(b"{\"a\":\"\x00\xff\"}");
    let ask = Ask { method: Method::POST, url: url(&format!("{}?q=%20", server.url())), headers, body: body.clone() };
    let got = operator().ask(ask, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!((got.status.as_u16(), &got.body[..], got.is_cut), (200, &b"success"[..], false));

    let sent = server.requests.lock().unwrap()[0].clone();
    assert!(sent.ends_with(&body));
    let head = String::from_utf8_lossy(&sent[..sent.len() - body.len()]).to_ascii_lowercase();
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let mut expected = vec![
        "accept-encoding: identity".to_owned(),
        "content-length: 10".to_owned(),
        "content-type: application/json".to_owned(),
        format!("host: {}", server.address),
        "post /x?q=%20 http/1.1".to_owned(),
        concat!("user-agent: tollbell/", env!("CARGO_PKG_VERSION")).to_owned(),
        "x-shop: 1".to_owned(),
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn an_empty_post_says_that_it_is_empty_and_a_password_goes_into_its_header() {
    let server = Server::new(Answering::Close(ok(""))).await;
    let url = url(&format!("http://shop:pa%20ss@{}/", server.address));
    let ask = Ask { method: Method::POST, url, headers: HeaderMap::new(), body: Bytes::new() };
    operator().ask(ask, Instant::now() + PATIENCE).await.unwrap();
    let sent = server.requests()[0].to_ascii_lowercase();
    assert!(sent.contains("\r\ncontent-length: 0\r\n"), "{sent}");
    assert!(server.requests()[0].contains("Basic c2hvcDpwYSBzcw=="), "{sent}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::new(Answering::Close(ok("stolen"))).await;
    let redirect =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.url());
    let server = Server::new(Answering::Close(redirect.into_bytes())).await;
    let got = get(&operator(), &server.url()).await.unwrap();
    assert_eq!(got.status, 307);
    assert_eq!(got.headers["location"], elsewhere.url());
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn answers_of_every_shape_are_read() {
    for (what, bytes, status, body) in [
        ("a length", ok("success"), 200, "success"),
        ("no body", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), 204, ""),
        (
            "chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsuc\r\n4;x=y\r\ncess\r\n0\r\nt: 1\r\n\r\n"
                .to_vec(),
            200,
            "success",
        ),
        ("HTTP/1.0 to the end of the connection", b"HTTP/1.0 200 OK\r\n\r\nsuccess".to_vec(), 200, "success"),
        ("HTTP/1.1 to the end of the connection", b"HTTP/1.1 500 Oh\r\n\r\nno".to_vec(), 500, "no"),
        (
            "a hint before the answer",
            [b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n".to_vec(), ok("y")].concat(),
            200,
            "y",
        ),
        (
            "packed bytes are left packed",
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x1f".to_vec(),
            200,
            "\x1f\x1f",
        ),
    ] {
        let server = Server::new(Answering::Close(bytes)).await;
        let got = get(&operator(), &server.url()).await.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!((got.status.as_u16(), &got.body[..], got.is_cut), (status, body.as_bytes(), false), "{what}");
    }
}

#[tokio::test]
async fn answers_that_are_none_were_sent_all_the_same() {
    let big = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1024 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(HEADERS_MAX + 1));
    for (what, bytes, word) in [
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec(), "malformed_answer"),
        ("a megabyte of header", big.into_bytes(), "malformed_answer"),
        ("too many headers", many.into_bytes(), "malformed_answer"),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx".to_vec(),
            "malformed_answer",
        ),
        ("nothing at all", Vec::new(), "connection_broken"),
        ("half a head", b"HTTP/1.1 200 OK\r\ncontent-le".to_vec(), "connection_broken"),
        ("half a body", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsucc".to_vec(), "connection_broken"),
        (
            "half the chunks",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nsucc".to_vec(),
            "connection_broken",
        ),
    ] {
        let server = Server::new(Answering::Close(bytes)).await;
        let error = get(&operator(), &server.url()).await.expect_err(what);
        assert_eq!((error.word(), error.was_sent()), (word, true), "{what}: {error:?}");
        assert_eq!(server.requests().len(), 1, "{what}: sent once");
        if what == "half a body" {
            assert!(matches!(error, EgressError::Broken { status: Some(status), .. } if status == 200), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let server = Server::new(Answering::Endless(head, vec![b'x'; 10_000])).await;
    let egress =
        Egress::new(ClientSettings { body_bytes_max: 12_345, ..ClientSettings::new(Guard::Operator) }).unwrap();
    let got = get(&egress, &server.url()).await.unwrap();
    assert!(got.is_cut);
    assert_eq!(got.body.len(), 12_345);
    // That connection is of no further use.
    get(&egress, &server.url()).await.unwrap();
    assert_eq!(server.connections(), 2);
    // A body of exactly the limit is whole.
    let server = Server::new(Answering::Keep(ok(&"x".repeat(12_345)))).await;
    let got = get(&egress, &server.url()).await.unwrap();
    assert!(!got.is_cut);
    assert_eq!(got.body.len(), 12_345);
}

#[tokio::test]
async fn the_deadline_ends_whatever_is_slow() {
    let slow = [
        ("no answer", Answering::Hang(Vec::new()), None),
        ("half a head", Answering::Hang(b"HTTP/1.1 200".to_vec()), None),
        ("half a body", Answering::Hang(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nsucc".to_vec()), Some(200)),
    ];
    for (what, answering, expected) in slow {
        let server = Server::new(answering).await;
        let asked = operator().ask(Ask::get(url(&server.url())), Instant::now() + SHORT).await;
        let Err(EgressError::TimedOut { status }) = asked else { panic!("{what}: {asked:?}") };
        assert_eq!(status.map(|status| status.as_u16()), expected, "{what}");
    }
    let asked = operator().ask(Ask::get(url("http://127.0.0.1:9/")), Instant::now()).await;
    let error = asked.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("no_time_left", false));
}

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_good() {
    let server = Server::new(Answering::Keep(ok("x"))).await;
    let egress = operator();
    for _ in 0..5 {
        get(&egress, &server.url()).await.unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
    egress.close();
    get(&egress, &server.url()).await.unwrap();
    assert_eq!(server.connections(), 2);

    let none_kept =
        Egress::new(ClientSettings { idle_timeout: Duration::ZERO, ..ClientSettings::new(Guard::Operator) }).unwrap();
    let server = Server::new(Answering::Keep(ok("x"))).await;
    for _ in 0..3 {
        get(&none_kept, &server.url()).await.unwrap();
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let server = Server::new(Answering::Keep(ok("x"))).await;
    let idle_timeout = Duration::from_millis(100);
    let egress = Egress::new(ClientSettings { idle_timeout, ..ClientSettings::new(Guard::Operator) }).unwrap();
    get(&egress, &server.url()).await.unwrap();
    // The next request opens another one, once the first has gone.
    let mut asked = 1;
    while server.connections() < 2 {
        tokio::time::sleep(idle_timeout * 3).await;
        get(&egress, &server.url()).await.unwrap();
        asked += 1;
        assert!(asked < 100, "the idle connection is never closed");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_and_nothing_is_asked_twice() {
    // The server says that it keeps the connection, and closes it.
    let server = Server::with(vec![Answering::Close(ok("x")), Answering::Keep(ok("y"))], None).await;
    let egress = operator();
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"x");
    while server.ended.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"y");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_request_that_went_out_on_a_kept_connection_is_not_sent_again() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (seen, accepted) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (seen_there, accepted_there) = (seen.clone(), accepted.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            accepted_there.fetch_add(1, Ordering::SeqCst);
            // Answers the first request and breaks off after the second.
            while read_request(&mut stream).await.is_some() {
                if seen_there.fetch_add(1, Ordering::SeqCst) > 0 {
                    break;
                }
                stream.write_all(&ok("x")).await.unwrap();
            }
        }
    });
    let egress = operator();
    let asked = format!("http://{address}/");
    get(&egress, &asked).await.unwrap();
    let error = get(&egress, &asked).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("connection_broken", true), "{error:?}");
    assert_eq!((seen.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst)), (2, 1));
}

#[tokio::test]
async fn a_dropped_request_closes_its_connection_and_frees_its_place() {
    let server = Server::with(vec![Answering::Hang(Vec::new()), Answering::Keep(ok("x"))], None).await;
    let settings = ClientSettings { connections_max: 1, ..ClientSettings::new(Guard::Operator) };
    let egress = Arc::new(Egress::new(settings).unwrap());
    let dropped = timeout(SHORT, get(&egress, &server.url())).await;
    assert!(dropped.is_err());
    assert_eq!(&get(&egress, &server.url()).await.unwrap().body[..], b"x");
}

#[tokio::test]
async fn no_more_requests_run_at_once_than_allowed() {
    let server = Server::new(Answering::Hang(Vec::new())).await;
    let settings = ClientSettings { connections_max: 1, ..ClientSettings::new(Guard::Operator) };
    let egress = Arc::new(Egress::new(settings).unwrap());
    let (first, asked) = (egress.clone(), server.url());
    let hanging = tokio::spawn(async move { get(&first, &asked).await });
    while server.requests().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = egress.ask(Ask::get(url(&server.url())), Instant::now() + SHORT).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("no_connection_free", false));
    assert_eq!(server.connections(), 1);
    hanging.abort();
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = get(&operator(), &format!("http://{address}/")).await.unwrap_err();
    assert!(matches!(&error, EgressError::Connect { address: tried, .. } if *tried == address), "{error:?}");
    assert!(!error.was_sent());
    let error = get(&operator(), "http://no-such-host.invalid/").await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("host_not_found", false), "{error:?}");
}

/// Names with addresses of the test's choice. Every dialled address leads to one listener.
struct Invented {
    names: Mutex<Vec<(&'static str, Vec<IpAddr>)>>,
    to: SocketAddr,
    dead: Vec<IpAddr>,
    dialled: Mutex<Vec<SocketAddr>>,
    looked_up: AtomicUsize,
}

impl Invented {
    fn new(to: SocketAddr, names: &[(&'static str, &[&str])]) -> Arc<Self> {
        let names = names.iter().map(|(name, list)| (*name, list.iter().map(|a| a.parse().unwrap()).collect()));
        Arc::new(Self {
            names: Mutex::new(names.collect()),
            to,
            dead: vec!["1.1.1.1".parse().unwrap()],
            dialled: Mutex::default(),
            looked_up: AtomicUsize::new(0),
        })
    }

    fn egress(self: &Arc<Self>, guard: Guard, roots: Roots) -> Egress {
        let network: Arc<dyn Network> = self.clone();
        let idle_timeout = Duration::ZERO;
        Egress::new(ClientSettings { network, roots, idle_timeout, ..ClientSettings::new(guard) }).unwrap()
    }

    fn dialled(&self) -> Vec<String> {
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

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_dialled() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(
        server.address,
        &[
            ("loopback.example", &["127.0.0.1"]),
            ("mapped.example", &["::ffff:10.0.0.1"]),
            ("metadata.example", &["169.254.169.254"]),
            ("nat64.example", &["64:ff9b::a9fe:a9fe"]),
            ("inside.example", &["192.168.0.1", "fd00::1"]),
        ],
    );
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    for (name, expected) in [
        ("loopback.example", Class::Loopback),
        ("mapped.example", Class::Private),
        ("metadata.example", Class::Metadata),
        ("nat64.example", Class::Translated),
        ("inside.example", Class::Private),
    ] {
        let error = get(&public, &format!("http://{name}/")).await.unwrap_err();
        assert!(matches!(error, EgressError::Refused { class, .. } if class == expected), "{name}: {error:?}");
        assert!(!error.was_sent());
    }
    let own = network.egress(Guard::Operator, Roots::System);
    for name in ["metadata.example", "nat64.example"] {
        let error = get(&own, &format!("http://{name}/")).await.unwrap_err();
        assert_eq!(error.word(), "address_refused", "{name}");
    }
    assert_eq!(network.dialled(), Vec::<String>::new());
    get(&own, "http://inside.example/").await.unwrap();
    assert_eq!(network.dialled(), ["192.168.0.1:80"]);
}

#[tokio::test]
async fn a_name_that_changes_its_mind_gains_nothing() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(server.address, &[("rebind.example", &["8.8.8.8"])]);
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    get(&public, "http://rebind.example/").await.unwrap();
    assert_eq!(network.looked_up.load(Ordering::SeqCst), 1, "one look-up for one connection: nothing to race against");
    network.names.lock().unwrap()[0].1 = vec!["127.0.0.1".parse().unwrap()];
    assert_eq!(get(&public, "http://rebind.example/").await.unwrap_err().word(), "address_refused");
    assert_eq!(network.dialled(), ["8.8.8.8:80"]);
}

#[tokio::test]
async fn addresses_are_tried_in_their_order_and_bad_ones_passed_over() {
    let server = Server::new(Answering::Close(ok("x"))).await;
    let network = Invented::new(server.address, &[("many.example", &["10.0.0.1", "1.1.1.1", "8.8.8.8", "9.9.9.9"])]);
    let public = network.egress(Guard::Public(PublicRules { plain_http: true, ports: &[80] }), Roots::System);
    get(&public, "http://many.example/").await.unwrap();
    assert_eq!(network.dialled(), ["1.1.1.1:80", "8.8.8.8:80"]);
}

#[tokio::test]
async fn urls_that_did_not_come_from_the_operator_are_held_to_rules() {
    let public = Egress::new(ClientSettings::new(Guard::Public(PublicRules::HTTPS))).unwrap();
    for (text, fault) in [
        ("http://shop.example.com/", UrlFault::Plain),
        ("https://user@shop.example.com/", UrlFault::UserInfo),
        ("https://shop.example.com:25/", UrlFault::Port),
        ("https://shop.example.com:8443/", UrlFault::Port),
    ] {
        let error = get(&public, text).await.unwrap_err();
        assert!(matches!(error, EgressError::Url(found) if found == fault), "{text}: {error:?}");
    }
    for text in ["https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://169.254.169.254/"] {
        let error = public.check(&url(text)).unwrap_err();
        assert_eq!(error.word(), "address_refused", "{text}");
    }
    assert!(public.check(&url("https://1.1.1.1/")).is_ok());
    let wider = Egress::new(ClientSettings::new(Guard::Public(PublicRules::HTTPS_WEB_PORTS))).unwrap();
    assert!(wider.check(&url("https://shop.example.com:8443/")).is_ok());
}

/// A private certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A certificate and its key, both in PEM.
    fn issue(&self, name: &str, is_over: bool, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        if is_over {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    fn acceptor(&self, name: &str, is_over: bool, asks_for_certificate: bool) -> TlsAcceptor {
        let (certificate, key) = self.issue(name, is_over, ExtendedKeyUsagePurpose::ServerAuth);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if asks_for_certificate {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(&self.pem()).unwrap()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()))
    }
}

fn trusting(authority: &Authority) -> ClientSettings {
    ClientSettings { roots: Roots::These(authority.pem()), ..ClientSettings::new(Guard::Operator) }
}

#[tokio::test]
async fn tls_proves_who_answers() {
    let (own, other) = (Authority::new(), Authority::new());
    for (what, acceptor, is_good) in [
        ("a certificate of our authority", own.acceptor("localhost", false, false), true),
        ("another name", own.acceptor("shop.example", false, false), false),
        ("over since 2021", own.acceptor("localhost", true, false), false),
        ("another authority", other.acceptor("localhost", false, false), false),
    ] {
        let server = Server::with(vec![Answering::Keep(ok("success"))], Some(acceptor)).await;
        let egress = Egress::new(trusting(&own)).unwrap();
        let asked = get(&egress, &format!("https://localhost:{}/x", server.address.port())).await;
        match asked {
            Ok(got) => assert!(is_good && &got.body[..] == b"success", "{what}"),
            Err(error) => {
                assert!(!is_good, "{what}: {error:?}");
                assert_eq!((error.word(), error.was_sent()), ("tls_failed", false), "{what}: {error:?}");
                assert!(server.requests().is_empty(), "{what}");
            }
        }
        if is_good {
            get(&egress, &format!("https://localhost:{}/x", server.address.port())).await.unwrap();
            assert_eq!(server.connections(), 1, "kept over TLS too");
        }
    }
    // An address is proved by a certificate for that address.
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(own.acceptor("127.0.0.1", false, false))).await;
    get(&Egress::new(trusting(&own)).unwrap(), &format!("https://{}/", server.address)).await.unwrap();
    // The system's own authorities do not know ours.
    let error = get(&operator(), &format!("https://{}/", server.address)).await.unwrap_err();
    assert!(["tls_failed", "client_setup"].contains(&error.word()), "{error:?}");
}

#[tokio::test]
async fn a_name_by_the_public_rules_is_asked_over_tls() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("api.platform.example", false, false);
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(acceptor)).await;
    let network = Invented::new(server.address, &[("api.platform.example", &["8.8.8.8"]), ("a.example", &["8.8.8.8"])]);
    let public = network.egress(Guard::Public(PublicRules::HTTPS), Roots::These(authority.pem()));
    let got = get(&public, "https://API.platform.example/").await.unwrap();
    assert_eq!(&got.body[..], b"x");
    assert!(server.requests()[0].to_ascii_lowercase().contains("host: api.platform.example\r\n"));
    assert_eq!(network.dialled(), ["8.8.8.8:443"]);
    assert_eq!(get(&public, "https://a.example/").await.unwrap_err().word(), "tls_failed");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_those_who_ask() {
    let authority = Authority::new();
    let acceptor = authority.acceptor("localhost", false, true);
    let server = Server::with(vec![Answering::Close(ok("x"))], Some(acceptor)).await;
    let asked = format!("https://localhost:{}/", server.address.port());
    let without = get(&Egress::new(trusting(&authority)).unwrap(), &asked).await.unwrap_err();
    // With TLS 1.3 the refusal comes after the client believes that all is well.
    assert!(["tls_failed", "connection_broken"].contains(&without.word()), "{without:?}");

    let (chain, key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let certificate = ClientCertificate { chain: chain.into_bytes(), key: Zeroizing::new(key.into_bytes()) };
    assert_eq!(format!("{certificate:?}"), "ClientCertificate(…)");
    let settings = ClientSettings { certificate: Some(certificate), ..trusting(&authority) };
    get(&Egress::new(settings).unwrap(), &asked).await.unwrap();
}

#[test]
fn wrong_files_are_found_at_start() {
    let authority = Authority::new();
    let (chain, key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let (_, other_key) = authority.issue("gateway", false, ExtendedKeyUsagePurpose::ClientAuth);
    let with = |chain: &str, key: &str| {
        let own = ClientCertificate { chain: chain.into(), key: Zeroizing::new(key.into()) };
        ClientSettings { certificate: Some(own), ..ClientSettings::new(Guard::Operator) }
    };
    let roots = |pem: &str| ClientSettings { roots: Roots::These(pem.into()), ..ClientSettings::new(Guard::Operator) };
    for (settings, expected) in [
        (roots(""), Setup::Roots),
        (roots("no pem"), Setup::Roots),
        (roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Setup::Roots),
        (roots(&key), Setup::Roots),
        (with("", &key), Setup::Certificate),
        (with(&chain, ""), Setup::CertificateKey),
        (with(&chain, &other_key), Setup::CertificateKey),
    ] {
        let error = Egress::new(settings).unwrap_err();
        assert!(matches!(error, EgressError::Setup(found) if found == expected), "{error:?} is not {expected:?}");
        assert!(!error.to_string().contains("BEGIN"));
    }
    assert!(Egress::new(with(&chain, &key)).is_ok());
}

#[tokio::test]
async fn a_handshake_that_never_comes_ends_and_sent_nothing() {
    // Takes the connection and says nothing.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ClientSettings { tls_timeout: SHORT, ..trusting(&Authority::new()) };
    let error = get(&Egress::new(settings).unwrap(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("tls_timed_out", false), "{error:?}");
    // Speaks something else.
    let server = Server::new(Answering::Close(ok("x"))).await;
    let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = plain.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error =
        get(&Egress::new(trusting(&Authority::new())).unwrap(), &format!("https://{address}/")).await.unwrap_err();
    assert_eq!((error.word(), error.was_sent()), ("tls_failed", false), "{error:?}");
    drop((listener, server));
}

#[test]
fn nothing_secret_is_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer hunter2"));
    let ask = Ask {
        method: Method::POST,
        url: url("https://user:hunter2@host/hunter2?token=hunter2"),
        headers: headers.clone(),
        body: Bytes::from_static(b"hunter2"),
    };
    let got = Got { status: http::StatusCode::OK, headers, body: Bytes::from_static(b"hunter2"), is_cut: false };
    for shown in [format!("{ask:?}"), format!("{got:?}"), format!("{:?}", ClientSettings::new(Guard::Operator))] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn words_are_unique() {
    let mut words = EGRESS_WORDS.to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), EGRESS_WORDS.len());
}
