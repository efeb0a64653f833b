//! Reading replies: enough of HTTP/1.1 for what is measured, and no more work than that.

use anyhow::bail;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A reply is short; a longer one is not what is expected.
const BYTES_MAX: usize = 64 * 1024;
/// Bytes of a refusal that are shown.
const QUOTED_MAX: usize = 400;

/// What a reply said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) is_accepted: bool,
    /// Whether the connection may be used again.
    pub(super) stays: bool,
}

/// Reads the replies of one connection after the other into one buffer.
#[derive(Debug)]
pub(super) struct Reader {
    accepted: &'static [u8],
    buffer: Vec<u8>,
    filled: usize,
}

impl Reader {
    pub(super) fn new(accepted: &'static [u8]) -> Self {
        Self { accepted, buffer: vec![0; BYTES_MAX], filled: 0 }
    }

    /// Reads one reply.
    pub(super) async fn read(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<Reply> {
        self.filled = 0;
        loop {
            let read = stream.read(&mut self.buffer[self.filled..]).await?;
            let has_ended = read == 0;
            self.filled += read;
            if let Some(reply) = parse(&self.buffer[..self.filled], has_ended, self.accepted) {
                return Ok(reply);
            }
            if has_ended || self.filled == self.buffer.len() {
                bail!("no whole reply: {:?}", self.quote());
            }
        }
    }

    /// The beginning of what was read last.
    pub(super) fn quote(&self) -> String {
        String::from_utf8_lossy(&self.buffer[..self.filled.min(QUOTED_MAX)]).into_owned()
    }
}

/// The reply, when it is whole.
fn parse(bytes: &[u8], has_ended: bool, accepted: &[u8]) -> Option<Reply> {
    let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = (&bytes[..head_end], &bytes[head_end + 4..]);
    let status = head.get(9..12).unwrap_or_default();
    let (mut length, mut is_chunked, mut stays) = (None, false, true);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            is_chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            stays = !value.eq_ignore_ascii_case(b"close");
        }
    }
    let (is_good, is_empty) = (matches!(status, b"200" | b"204"), status == b"204");
    let is_body = if is_empty {
        true
    } else if let Some(length) = length {
        rest.get(..length)? == accepted
    } else if is_chunked {
        unchunk(rest)? == accepted
    } else if has_ended {
        stays = false;
        rest == accepted
    } else {
        return None;
    };
    Some(Reply { is_accepted: is_good && is_body, stays })
}

/// A body in chunks, when it is whole.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        let chunk = rest.get(line + 2..line + 2 + size)?;
        let after = rest.get(line + 2 + size..line + 4 + size)?;
        if after != b"\r\n" {
            return None;
        }
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunk);
        rest = &rest[line + 4 + size..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, has_ended: bool, expected: Option<(bool, bool)>) {
        let found = parse(text.as_bytes(), has_ended, b"success");
        assert_eq!(found.map(|reply| (reply.is_accepted, reply.stays)), expected, "{text:?}");
    }

    #[test]
    fn a_reply_is_read_when_it_is_whole() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess", false, Some((true, true)));
        check("HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nsuccess", false, Some((true, false)));
        check("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsucces", false, None);
        check("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n", false, None);
        check("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfail", false, Some((false, true)));
        check("HTTP/1.1 503 Busy\r\ncontent-length: 7\r\n\r\nsuccess", false, Some((false, true)));
        check("HTTP/1.1 204 No Content\r\n\r\n", false, Some((true, true)));
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsuc\r\n4\r\ncess\r\n0\r\n\r\n",
            false,
            Some((true, true)),
        );
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nsuc\r\n4\r\ncess\r\n", false, None);
        check("HTTP/1.1 200 OK\r\n\r\nsuccess", false, None);
        check("HTTP/1.1 200 OK\r\n\r\nsuccess", true, Some((true, false)));
    }
}
