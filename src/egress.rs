//! The one way out for HTTP. Whatever we ask of another machine goes through here.
//!
//! It checks every address that it dials, whoever looked it up; follows no redirect, no proxy from the
//! environment, and unpacks nothing; bounds the time, the head and the body of every answer; and says after
//! every failure whether the other side may have seen the request, because a payment that may have been
//! handled is not the same as one that was not.
//!
//! HTTP/1.1 only, over TLS 1.2 and 1.3 or without. Revocation of certificates is not looked at.

mod connection;
mod guard;
mod network;
mod tls;
mod url;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

pub use self::connection::{HEAD_BYTES_MAX, HEADERS_MAX};
pub use self::guard::{Class, Guard, PublicRules};
pub use self::network::{Network, SystemNetwork};
pub use self::tls::{ClientCertificate, Roots};
pub use self::url::{Host, Origin, Scheme, TARGET_BYTES_MAX, URL_BYTES_MAX, Url, UrlFault};

use self::connection::{Connection, Kept, Stream};
use self::tls::Tls;

/// Most addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Headers that belong to the connection or are made here; what an [`Ask`] says of them is left out.
const OWN_HEADERS: &[HeaderName] = &[
    HOST,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];
/// The same, without a constant in `http`.
const OWN_HEADER_NAMES: &[&str] = &["keep-alive", "proxy-connection", "proxy"];
/// What we call ourselves.
const USER_AGENT_DEFAULT: &str = concat!("tollbell/", env!("CARGO_PKG_VERSION"));

/// How a client works. [`ClientSettings::new`] has a value for everything but the guard.
#[derive(Clone)]
pub struct ClientSettings {
    /// Which addresses it may dial.
    pub guard: Guard,
    /// Which certificate authorities it trusts.
    pub roots: Roots,
    /// Its own certificate.
    pub certificate: Option<ClientCertificate>,
    /// Longest time for the look-up and the connection, all addresses together.
    pub connect_timeout: Duration,
    /// Longest time for the TLS handshake.
    pub tls_timeout: Duration,
    /// How long an idle connection is kept; zero keeps none.
    pub idle_timeout: Duration,
    /// Most requests at once, and so most connections in use; idle ones are no more for one origin.
    pub connections_max: usize,
    /// Most bytes of an answer's body that are read; what is longer is cut.
    pub body_bytes_max: usize,
    /// Where names are looked up and connections opened.
    pub network: Arc<dyn Network>,
}

impl ClientSettings {
    /// What suits asking a platform: few connections, answers of some kilobytes.
    pub fn new(guard: Guard) -> Self {
        Self {
            guard,
            roots: Roots::System,
            certificate: None,
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(5),
            // Many servers close idle connections after five seconds; a request must not meet that.
            idle_timeout: Duration::from_secs(4),
            connections_max: 8,
            body_bytes_max: 1024 * 1024,
            network: Arc::new(SystemNetwork),
        }
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSettings").field("guard", &self.guard).finish_non_exhaustive()
    }
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Its headers. `Host`, `Content-Length` and what belongs to the connection are made here instead.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
}

impl Ask {
    /// A `GET` without further headers.
    pub fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

impl fmt::Debug for Ask {
    /// Shows neither headers nor body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).field("url", &self.url).finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Clone)]
pub struct Got {
    /// Its status. 3xx is an answer like any other: nothing is followed.
    pub status: StatusCode,
    /// Its headers, bounded by [`HEAD_BYTES_MAX`] and [`HEADERS_MAX`].
    pub headers: HeaderMap,
    /// Its body as it came, packed when the server packed it.
    pub body: Bytes,
    /// Whether the body was longer than may be read.
    pub is_cut: bool,
}

impl fmt::Debug for Got {
    /// Shows neither headers nor body.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.len();
        f.debug_struct("Got").field("status", &self.status).field("bytes", &bytes).finish_non_exhaustive()
    }
}

/// Why a client cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Setup {
    /// The file of certificate authorities.
    #[error("the certificate authorities cannot be read: PEM certificates are needed")]
    Roots,
    /// This machine has no certificate authorities.
    #[error("this system has no certificate authorities: install them (package ca-certificates), or name a file")]
    SystemRoots,
    /// The client's certificate.
    #[error("the client certificate cannot be read: PEM certificates are needed")]
    Certificate,
    /// The client certificate's key.
    #[error("the client certificate's key cannot be read, or belongs to another certificate")]
    CertificateKey,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The client cannot be made.
    #[error(transparent)]
    Setup(#[from] Setup),
    /// The URL is not one that may be asked here.
    #[error(transparent)]
    Url(#[from] UrlFault),
    /// The request cannot be written.
    #[error("the request cannot be written: {detail}")]
    Request {
        /// What is wrong.
        detail: String,
    },
    /// The address may not be dialled.
    #[error("{address} may not be dialled: {}", class.word())]
    Refused {
        /// The address.
        address: IpAddr,
        /// What it is for.
        class: Class,
    },
    /// The name has no address.
    #[error("the host `{host}` was not found")]
    LookUp {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// All our connections were in use until the deadline.
    #[error("all connections were in use")]
    Busy,
    /// No address took the connection.
    #[error("no connection to {address}")]
    Connect {
        /// The last one that was tried.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No connection in time.
    #[error("no connection in time")]
    ConnectTimedOut,
    /// The other side could not prove who it is, or we could not.
    #[error("TLS: {detail}")]
    Tls {
        /// What failed.
        detail: String,
    },
    /// The handshake took too long.
    #[error("no TLS handshake in time")]
    TlsTimedOut,
    /// The connection ended before the answer did.
    #[error("the connection broke: {detail}")]
    Broken {
        /// Whether anything of the request was written.
        was_sent: bool,
        /// The status, when the head of the answer had come.
        status: Option<StatusCode>,
        /// How it ended.
        detail: String,
    },
    /// The answer is no HTTP, or its head is larger than [`HEAD_BYTES_MAX`] or has more than [`HEADERS_MAX`] headers.
    #[error("the answer cannot be read: {detail}")]
    Malformed {
        /// What is wrong.
        detail: String,
    },
    /// The deadline passed before the answer was complete.
    #[error("no answer in time")]
    TimedOut {
        /// The status, when the head of the answer had come.
        status: Option<StatusCode>,
    },
    /// The deadline had passed before anything was sent.
    #[error("no time left")]
    NoTimeLeft,
}

impl EgressError {
    /// Whether the other side may have seen the request. When not, nothing happened there.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Broken { was_sent, .. } => *was_sent,
            Self::Malformed { .. } | Self::TimedOut { .. } => true,
            Self::Setup(_)
            | Self::Url(_)
            | Self::Request { .. }
            | Self::Refused { .. }
            | Self::LookUp { .. }
            | Self::Busy
            | Self::Connect { .. }
            | Self::ConnectTimedOut
            | Self::Tls { .. }
            | Self::TlsTimedOut
            | Self::NoTimeLeft => false,
        }
    }

    /// The stable word, one of [`EGRESS_WORDS`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::Setup(_) => "client_setup",
            Self::Url(_) => "bad_url",
            Self::Request { .. } => "bad_request",
            Self::Refused { .. } => "address_refused",
            Self::LookUp { .. } => "host_not_found",
            Self::Busy => "no_connection_free",
            Self::Connect { .. } => "cannot_connect",
            Self::ConnectTimedOut => "connect_timed_out",
            Self::Tls { .. } => "tls_failed",
            Self::TlsTimedOut => "tls_timed_out",
            Self::Broken { .. } => "connection_broken",
            Self::Malformed { .. } => "malformed_answer",
            Self::TimedOut { .. } => "timed_out",
            Self::NoTimeLeft => "no_time_left",
        }
    }
}

/// Every word of [`EgressError::word`].
pub const EGRESS_WORDS: &[&str] = &[
    "client_setup",
    "bad_url",
    "bad_request",
    "address_refused",
    "host_not_found",
    "no_connection_free",
    "cannot_connect",
    "connect_timed_out",
    "tls_failed",
    "tls_timed_out",
    "connection_broken",
    "malformed_answer",
    "timed_out",
    "no_time_left",
];

/// An HTTP client.
pub struct Egress {
    settings: ClientSettings,
    tls: Tls,
    permits: Semaphore,
    kept: Kept,
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Egress").field("guard", &self.settings.guard).finish_non_exhaustive()
    }
}

impl Egress {
    /// Reads certificates and keys. Opens nothing.
    ///
    /// # Errors
    /// [`EgressError::Setup`].
    pub fn new(settings: ClientSettings) -> Result<Self, EgressError> {
        let tls = Tls::new(&settings.roots, settings.certificate.as_ref())?;
        let connections_max = settings.connections_max.max(1);
        let kept = Kept::new(settings.idle_timeout, connections_max);
        Ok(Self { tls, permits: Semaphore::new(connections_max), kept, settings })
    }

    /// Whether this client would ask this URL at all, as far as that can be said without looking up names.
    ///
    /// # Errors
    /// [`EgressError::Url`] or [`EgressError::Refused`].
    pub fn check(&self, url: &Url) -> Result<(), EgressError> {
        if let Guard::Public(rules) = self.settings.guard {
            if url.has_user_info() {
                return Err(UrlFault::UserInfo.into());
            }
            if url.origin().scheme == Scheme::Http && !rules.plain_http {
                return Err(UrlFault::Plain.into());
            }
            if !rules.ports.contains(&url.origin().port) {
                return Err(UrlFault::Port.into());
            }
        }
        match url.origin().host {
            Host::Address(address) => self.allow(address),
            Host::Name(_) => Ok(()),
        }
    }

    /// Sends a request and reads its answer, all before `deadline`. Dropping the future gives everything
    /// back; a connection with a request on it is closed then.
    ///
    /// A request goes out a second time only when nothing of it had been written the first time.
    ///
    /// # Errors
    /// Why there is no answer; [`EgressError::was_sent`] says whether the other side may have seen the request.
    pub async fn ask(&self, ask: Ask, deadline: Instant) -> Result<Got, EgressError> {
        self.check(&ask.url)?;
        let request = write(&ask)?;
        let origin = ask.url.origin();
        if deadline <= Instant::now() {
            return Err(EgressError::NoTimeLeft);
        }
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(EgressError::Busy);
        };
        if let Some(mut kept) = self.kept.take(origin).await {
            match self.exchange(&mut kept, request.clone(), deadline).await {
                Ok((got, is_whole)) => {
                    if is_whole {
                        self.kept.keep(origin, kept);
                    }
                    return Ok(got);
                }
                // It was closed before we wrote: as if it had never been kept.
                Err(EgressError::Broken { was_sent: false, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut fresh = self.connect(origin, deadline).await?;
        let (got, is_whole) = self.exchange(&mut fresh, request, deadline).await?;
        if is_whole {
            self.kept.keep(origin, fresh);
        }
        Ok(got)
    }

    /// Closes idle connections.
    pub fn close(&self) {
        self.kept.close();
    }

    fn allow(&self, address: IpAddr) -> Result<(), EgressError> {
        self.settings.guard.check(address).map_err(|class| EgressError::Refused { address, class })
    }

    async fn connect(&self, origin: &Origin, deadline: Instant) -> Result<Connection, EgressError> {
        let until = deadline.min(Instant::now() + self.settings.connect_timeout);
        let dialled = timeout_at(until, self.dial(origin, until)).await;
        let stream = dialled.map_err(|_| EgressError::ConnectTimedOut)??;
        let unusable =
            |error: io::Error| EgressError::Broken { was_sent: false, status: None, detail: error.to_string() };
        let socket: OwnedFd = rustix::io::fcntl_dupfd_cloexec(&stream, 0).map_err(|error| unusable(error.into()))?;
        let stream = match origin.scheme {
            Scheme::Http => Stream::Plain(stream),
            Scheme::Https => {
                let until = deadline.min(Instant::now() + self.settings.tls_timeout);
                let greeted = timeout_at(until, self.tls.greet(stream, &origin.host)).await;
                Stream::Tls(Box::new(greeted.map_err(|_| EgressError::TlsTimedOut)??))
            }
        };
        Connection::open(stream, socket).await.map_err(unusable)
    }

    /// Tries the allowed addresses one after the other, each for its share of the time that is left.
    async fn dial(&self, origin: &Origin, until: Instant) -> Result<TcpStream, EgressError> {
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in self.look_up(&origin.host).await?.into_iter().take(ADDRESSES_MAX) {
            match self.allow(address) {
                Ok(()) => allowed.push(SocketAddr::new(address, origin.port)),
                Err(error) => refused = Some(error),
            }
        }
        let mut failed = refused.unwrap_or_else(|| EgressError::LookUp {
            host: origin.host.to_string(),
            source: io::ErrorKind::NotFound.into(),
        });
        for (at, address) in allowed.iter().copied().enumerate() {
            let left = u32::try_from(allowed.len() - at).unwrap_or(u32::MAX);
            let now = Instant::now();
            let share = now + until.saturating_duration_since(now) / left;
            failed = match timeout_at(share, self.settings.network.dial(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(source)) => EgressError::Connect { address, source },
                Err(_) => EgressError::ConnectTimedOut,
            };
        }
        Err(failed)
    }

    async fn look_up(&self, host: &Host) -> Result<Vec<IpAddr>, EgressError> {
        match host {
            Host::Address(address) => Ok(vec![*address]),
            Host::Name(name) => self
                .settings
                .network
                .look_up(name)
                .await
                .map_err(|source| EgressError::LookUp { host: name.clone(), source }),
        }
    }

    /// One request and its answer on a connection, and whether the connection is as good as before.
    async fn exchange(
        &self,
        connection: &mut Connection,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(Got, bool), EgressError> {
        // From here on the connection's task has the request: after a timeout nobody knows how far it came.
        let answered = timeout_at(deadline, connection.send(request)).await;
        let answer = match answered.map_err(|_| EgressError::TimedOut { status: None })? {
            Ok(answer) => answer,
            Err(lost) => {
                let detail = say(&lost.error);
                return Err(if lost.error.is_parse() && lost.was_sent {
                    EgressError::Malformed { detail }
                } else {
                    EgressError::Broken { was_sent: lost.was_sent, status: None, detail }
                });
            }
        };
        let (head, body) = answer.into_parts();
        let status = head.status;
        let read = timeout_at(deadline, self.read(body)).await;
        let (body, is_cut) = read
            .map_err(|_| EgressError::TimedOut { status: Some(status) })?
            .map_err(|error| EgressError::Broken { was_sent: true, status: Some(status), detail: say(&error) })?;
        Ok((Got { status, headers: head.headers, body, is_cut }, !is_cut))
    }

    async fn read(&self, mut body: Incoming) -> Result<(Bytes, bool), hyper::Error> {
        let mut read = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            let room = self.settings.body_bytes_max - read.len();
            read.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Ok((read.freeze(), true));
            }
        }
        Ok((read.freeze(), false))
    }
}

/// The request as it goes out.
fn write(ask: &Ask) -> Result<Request<Full<Bytes>>, EgressError> {
    let malformed = |detail: &str| EgressError::Request { detail: detail.to_owned() };
    let mut request = Request::new(Full::new(ask.body.clone()));
    *request.method_mut() = ask.method.clone();
    if ask.method == Method::CONNECT {
        return Err(malformed("CONNECT is for proxies"));
    }
    *request.uri_mut() = ask.url.path_and_query().clone().into();
    let headers = request.headers_mut();
    for (name, value) in &ask.headers {
        if !OWN_HEADERS.contains(name) && !OWN_HEADER_NAMES.contains(&name.as_str()) {
            headers.append(name, value.clone());
        }
    }
    let origin = ask.url.origin();
    let authority = Origin { host: without_dot(&origin.host), ..origin.clone() }.to_string();
    let authority = authority.split_once("://").map_or("", |(_, authority)| authority);
    headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| malformed("host"))?);
    // Servers may refuse a POST that does not say how long it is, even when it is empty.
    if !ask.body.is_empty() || ![Method::GET, Method::HEAD, Method::DELETE, Method::OPTIONS].contains(&ask.method) {
        headers.insert(CONTENT_LENGTH, ask.body.len().into());
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_DEFAULT));
    }
    if !headers.contains_key(ACCEPT_ENCODING) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let (Some(user_info), false) = (ask.url.user_info(), headers.contains_key(AUTHORIZATION)) {
        let encoded = base64::engine::general_purpose::STANDARD.encode(user_info.pair());
        let mut value =
            HeaderValue::from_str(&format!("Basic {encoded}")).map_err(|_| malformed("user name or password"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// The dot at the end of a name is for the resolver, not for the server.
fn without_dot(host: &Host) -> Host {
    match host {
        Host::Name(name) => Host::Name(name.strip_suffix('.').unwrap_or(name).to_owned()),
        Host::Address(_) => host.clone(),
    }
}

/// What the HTTP library says, with the cause below it.
fn say(error: &hyper::Error) -> String {
    use std::error::Error as _;
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
