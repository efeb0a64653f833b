//! Where PHP-FPM listens, and a stream to it: TCP or a unix socket, used alike.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

/// What a setting begins with when it names a unix socket.
const UNIX_PREFIX: &str = "unix:";
/// Longest path of a unix socket that the system takes, without its closing zero.
const UNIX_PATH_BYTES_MAX: usize = 107;
/// How long to wait before asking again while a unix socket's queue is full. The system does not wait there
/// as it does for TCP, but says at once that it would.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// Where PHP-FPM listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A host's name or number and its port.
    Tcp { host: String, port: u16 },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Address {
    /// Reads `127.0.0.1:9000`, `[::1]:9000`, `php:9000`, `unix:/run/php/php-fpm.sock` or a bare absolute path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.bytes().any(|b| b.is_ascii_control() || b == b' ') {
            return None;
        }
        let path = text.strip_prefix(UNIX_PREFIX).unwrap_or(text);
        if path.starts_with('/') {
            return (path.len() <= UNIX_PATH_BYTES_MAX && !path.ends_with('/')).then(|| Self::Unix(path.into()));
        }
        if text.starts_with(UNIX_PREFIX) {
            return None;
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
            None => Some(host).filter(|host| !host.is_empty() && !host.contains(['/', ':', '[', ']']))?,
        };
        Some(Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX_PREFIX}{}", path.display()),
        }
    }
}

/// A connected stream. Its calls take `&self`, so that one task can write and read by turns.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Connects. The caller sets the time limit.
    pub(super) async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Self::Tcp(stream))
            }
            Address::Unix(path) => loop {
                match UnixStream::connect(path).await {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::time::sleep(BACKLOG_PAUSE).await,
                    result => return result.map(Self::Unix),
                }
            },
        }
    }

    /// Waits until one of these is worth trying.
    pub(super) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Tcp(stream) => stream.ready(interest).await,
            Self::Unix(stream) => stream.ready(interest).await,
        }
    }

    /// Reads what is there; `WouldBlock` when that is nothing. A read that leaves room has emptied the socket, so the
    /// runtime is told in the same breath that nothing more is there, instead of by a second, futile read.
    pub(super) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let mut emptied = None;
        let mut note = |received: rustix::io::Result<(usize, usize)>| match received {
            Ok((read, _)) if 0 < read && read < room => {
                emptied = Some(read);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Ok((read, _)) => Ok(read),
            Err(error) => Err(io::Error::from(error)),
        };
        let flags = RecvFlags::DONTWAIT;
        let result = match self {
            Self::Tcp(stream) => {
                stream.try_io(Interest::READABLE, || note(rustix::net::recv(stream, &mut *buffer, flags)))
            }
            Self::Unix(stream) => {
                stream.try_io(Interest::READABLE, || note(rustix::net::recv(stream, &mut *buffer, flags)))
            }
        };
        emptied.map_or(result, Ok)
    }

    /// Writes what fits; `WouldBlock` when that is nothing.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }

    /// For a connection at rest: ready when the other side closed it, or sent what nobody asked for.
    pub(super) fn poll_spoilt(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let ready = match self {
                Self::Tcp(stream) => stream.poll_read_ready(cx),
                Self::Unix(stream) => stream.poll_read_ready(cx),
            };
            match ready {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                // Readiness may be left over from before; only a read tells, and resets it.
                Poll::Ready(Ok(())) => match self.try_read(&mut [0]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => return Poll::Ready(()),
                },
            }
        }
    }

    /// Whether nothing has arrived, not even the other side's close. Asks the system, because the
    /// runtime's own idea of readiness is as old as its last look.
    pub(super) fn is_silent(&self) -> bool {
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let result = match self {
            Self::Tcp(stream) => rustix::net::recv(stream, &mut [0_u8; 1][..], flags),
            Self::Unix(stream) => rustix::net::recv(stream, &mut [0_u8; 1][..], flags),
        };
        matches!(result, Err(rustix::io::Errno::WOULDBLOCK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("127.0.0.1:9000", Some("127.0.0.1:9000")),
            ("[::1]:9000", Some("[::1]:9000")),
            ("php:9000", Some("php:9000")),
            ("unix:/run/php/x.sock", Some("unix:/run/php/x.sock")),
            ("/run/php/x.sock", Some("unix:/run/php/x.sock")),
            (" 127.0.0.1:9000 ", Some("127.0.0.1:9000")),
            ("", None),
            ("127.0.0.1", None),
            ("127.0.0.1:0", None),
            ("127.0.0.1:99999", None),
            (":9000", None),
            ("::1:9000", None),
            ("[localhost]:9000", None),
            ("unix:x.sock", None),
            ("unix:", None),
            ("unix:/run/", None),
            ("tcp://127.0.0.1:9000", None),
            ("a b:9000", None),
        ] {
            assert_eq!(Address::parse(text).map(|a| a.to_string()).as_deref(), shown, "{text:?}");
        }
        assert_eq!(Address::parse(&format!("unix:/{}", "x".repeat(200))), None);
    }
}
