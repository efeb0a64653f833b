//! A callback on a connection of its own, cut where the plan says so.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tollbell_channels::model::RawRequest;

use super::plan::Cut;

/// How long a platform waits for an answer (WeChat Pay says 5 s, Alipay nothing).
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest head of a reply; the gateway's have some 150 bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// Nobody listened.
    Refused,
    /// The connection ended before a complete reply, by our cut or by its death.
    Nothing,
    /// A complete reply.
    Reply {
        /// Its status code.
        status: u16,
        /// Its body.
        body: Vec<u8>,
        /// Bytes of the reply in all.
        bytes: usize,
    },
}

/// A callback as bytes for a connection of its own.
pub fn write_request(path: &str, request: &RawRequest) -> Vec<u8> {
    let mut bytes =
        format!("{} {path} HTTP/1.1\r\nhost: gateway.example\r\nconnection: close\r\n", request.method).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", request.body.len()).as_bytes());
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Sends a request on a new connection and reads its reply. `connected` is called as soon as there is a connection.
pub fn exchange(address: SocketAddr, request: &[u8], cut: Cut, connected: impl FnOnce()) -> Came {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, PATIENCE) else { return Came::Refused };
    connected();
    let has_limits =
        stream.set_read_timeout(Some(PATIENCE)).is_ok() && stream.set_write_timeout(Some(PATIENCE)).is_ok();
    if !has_limits {
        return Came::Nothing;
    }
    let sent = match cut {
        Cut::Sending(at) => &request[..at % request.len()],
        _ => request,
    };
    // The gateway may have answered and closed already; then the reply is there to be read.
    let _written = stream.write_all(sent);
    match cut {
        Cut::Sending(at) => {
            end(&stream, at);
            Came::Nothing
        }
        Cut::Reading(at) => {
            let mut some = vec![0; at % REPLY_BYTES];
            let _read = stream.read_exact(&mut some);
            end(&stream, at);
            Came::Nothing
        }
        Cut::None => read_reply(&mut stream),
    }
}

/// A success reply has about so many bytes; cuts while reading go round in it.
pub const REPLY_BYTES: usize = 160;

/// Ends a connection in the middle: every other time with a reset, as a network does that breaks.
fn end(stream: &TcpStream, at: usize) {
    if at.is_multiple_of(2) {
        let _reset = set_socket_linger(stream, Some(Duration::ZERO));
    } else {
        let _gone = stream.shutdown(Shutdown::Write);
    }
}

fn read_reply(stream: &mut TcpStream) -> Came {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(came) = parse(&bytes) {
            return came;
        }
        match stream.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Ok(read) if read > 0 && bytes.len() < HEAD_BYTES_MAX => bytes.extend_from_slice(&chunk[..read]),
            _ => return Came::Nothing,
        }
    }
}

/// A reply, when all of it is there.
fn parse(bytes: &[u8]) -> Option<Came> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status: u16 = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    });
    // A reply without content has no length either.
    let length = length.or((status == 204).then_some(0))?;
    let body = &bytes[end + 4..];
    (body.len() >= length).then(|| Came::Reply { status, body: body[..length].to_vec(), bytes: end + 4 + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_only_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuccess";
        for k in 0..whole.len() {
            assert_eq!(parse(&whole[..k]), None, "{k}");
        }
        assert_eq!(parse(whole), Some(Came::Reply { status: 200, body: b"success".to_vec(), bytes: whole.len() }));
        let empty = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(parse(empty), Some(Came::Reply { status: 204, body: Vec::new(), bytes: empty.len() }));
        assert_eq!(parse(&empty[..empty.len() - 1]), None);
    }
}
