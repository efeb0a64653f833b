//! What the application wrote: its answer in CGI form, bounded, and its error stream.

use crate::targets::answer::{Answer, STATUS_DEFAULT};

/// Most bytes of an answer that are kept: the headers and what a success rule can look at. A confirming
/// answer has a few dozen bytes; the rest of a long page is read and dropped.
pub(super) const STDOUT_BYTES_KEPT: usize = 64 * 1024;
/// Most bytes of an answer that are read at all. Whoever writes more does not confirm.
pub(super) const STDOUT_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of the error stream that are kept: several PHP errors with their stack traces. The rest is
/// read and dropped, because a script whose error stream is full stops.
pub(super) const STDERR_BYTES_KEPT: usize = 16 * 1024;
/// Longest header block: PHP writes some hundred bytes, a framework with cookies a few thousand.
const HEADER_BYTES_MAX: usize = 32 * 1024;

/// The streams of one request while they come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Streams {
    stdout: Vec<u8>,
    stdout_bytes: usize,
    stderr: Vec<u8>,
}

impl Streams {
    /// Takes a piece of the answer; false when it has become too long.
    pub(super) fn push_stdout(&mut self, bytes: &[u8]) -> bool {
        push_bounded(&mut self.stdout, bytes, STDOUT_BYTES_KEPT);
        self.stdout_bytes = self.stdout_bytes.saturating_add(bytes.len());
        self.stdout_bytes <= STDOUT_BYTES_MAX
    }

    /// Takes a piece of the error stream.
    pub(super) fn push_stderr(&mut self, bytes: &[u8]) {
        push_bounded(&mut self.stderr, bytes, STDERR_BYTES_KEPT);
    }

    /// Whether there is any of the answer.
    pub(super) fn has_stdout(&self) -> bool {
        !self.stdout.is_empty()
    }

    /// Reads what came.
    pub(super) fn into_answer(self) -> Answer {
        let is_cut = self.stdout_bytes > self.stdout.len();
        let (fields, body_at) = split(&self.stdout);
        let mut answer = Answer { is_cut, stderr: self.stderr, ..Answer::default() };
        for (name, value) in fields {
            if name.eq_ignore_ascii_case("status") {
                let code = value.split_ascii_whitespace().next().and_then(|code| code.parse().ok());
                answer.status = code.filter(|code| (100..=999).contains(code)).unwrap_or(STATUS_DEFAULT);
            } else if name.eq_ignore_ascii_case("content-type") {
                answer.content_type = value;
            } else if name.eq_ignore_ascii_case("location") {
                answer.location = Some(value);
            }
        }
        answer.body = self.stdout;
        answer.body.drain(..body_at);
        answer
    }
}

fn push_bounded(kept: &mut Vec<u8>, bytes: &[u8], most: usize) {
    let room = most - kept.len();
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Splits an answer into its header fields and the place where the body begins. What does not look like
/// headers is body: a script behind a thin FastCGI server may write none.
fn split(stdout: &[u8]) -> (Vec<(String, String)>, usize) {
    let mut fields = Vec::new();
    let mut at = 0;
    while at < stdout.len().min(HEADER_BYTES_MAX) {
        let Some(end) = stdout[at..].iter().position(|b| *b == b'\n') else { break };
        let line = &stdout[at..at + end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += end + 1;
        if line.is_empty() {
            return (fields, at);
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { break };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(b)) {
            break;
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        fields.push((text(name), text(value)));
    }
    (Vec::new(), 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(stdout: &[u8]) -> Answer {
        let mut streams = Streams::default();
        assert!(streams.push_stdout(stdout));
        streams.into_answer()
    }

    #[test]
    fn headers_and_body_are_told_apart() {
        let nothing: &[u8] = b"";
        for (stdout, status, content_type, body) in [
            (&b"Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\nno"[..], 404, "text/html", &b"no"[..]),
            (b"content-type:text/plain\n\nsuccess", 200, "text/plain", b"success"),
            (b"X-Powered-By: PHP\r\nContent-type: a/b\n\r\n\r\n\r\nx", 200, "a/b", b"\r\n\r\nx"),
            (b"\r\nsuccess", 200, "", b"success"),
            (b"success", 200, "", b"success"),
            (b"success\n\nmore", 200, "", b"success\n\nmore"),
            (b"<b>Warning</b>: x\n\nsuccess", 200, "", b"<b>Warning</b>: x\n\nsuccess"),
            (b"Status: abc\r\n\r\n", 200, "", nothing),
            (b"Status: 7\r\n\r\n", 200, "", nothing),
            (b"Content-Type: text/html", 200, "", b"Content-Type: text/html"),
            (b"", 200, "", nothing),
        ] {
            let answer = read(stdout);
            let seen = (answer.status, answer.content_type.as_str(), answer.body.as_slice());
            assert_eq!(seen, (status, content_type, body), "{}", String::from_utf8_lossy(stdout));
        }
        assert_eq!(read(b"Location: /login\r\nStatus: 302 Found\r\n\r\n").location.as_deref(), Some("/login"));
    }

    #[test]
    fn streams_are_bounded() {
        let mut streams = Streams::default();
        let piece = vec![b'x'; 50_000];
        let pieces_taken = (0..100).take_while(|_| streams.push_stdout(&piece)).count();
        assert_eq!(pieces_taken, STDOUT_BYTES_MAX / 50_000);
        for _ in 0..10 {
            streams.push_stderr(&piece);
        }
        let answer = streams.into_answer();
        assert!(answer.is_cut);
        assert_eq!((answer.body.len(), answer.stderr.len()), (STDOUT_BYTES_KEPT, STDERR_BYTES_KEPT));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(stdout: Vec<u8>) {
            let answer = read(&stdout);
            prop_assert!(answer.body.len() <= stdout.len());
        }
    }
}
