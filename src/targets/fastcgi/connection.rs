//! One connection to PHP-FPM, and one request at a time on it.
//!
//! Writing and reading take turns in one task, so that neither side can block the other: a script may
//! answer before it reads its input, or fill its error stream first.

use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::{Instant, timeout_at};

use super::answer::Streams;
use super::codec::{DecodeError, Decoder, Encoded, End, Part};
use super::stream::{Address, Stream};
use crate::targets::answer::Answer;

/// Size of the read buffer: most answers arrive in one piece.
const READ_BYTES: usize = 16 * 1024;

/// After the end of a request, PHP-FPM may still be about to close a connection that it was asked to keep:
/// its worker reached `pm.max_requests`, or is asked to stop. The end is written first, the close follows
/// when the worker has cleaned up. A close that we see within this time of the last end belongs to that
/// last request: the worker never read the next one.
///
/// This is a judgement, not a proof: a script that kills its own worker, without a byte of output, so soon
/// after the previous request on this connection, looks the same. It would be called again in any case,
/// as its outcome would be unknown; here it is called again at once, when it certainly runs no more.
const LATE_CLOSE: Duration = Duration::from_millis(250);

/// The time limits of one exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The last moment for anything.
    pub(super) deadline: Instant,
    /// Longest wait for the first byte, from the beginning of the exchange.
    pub(super) first_byte: Duration,
}

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    buffer: Box<[u8]>,
    /// When the last request on it ended; none on a fresh one.
    ended_at: Option<Instant>,
    is_reusable: bool,
}

/// An exchange that brought no whole answer.
#[derive(Debug)]
pub(super) struct Broken {
    /// What happened.
    pub(super) cause: Cause,
    /// What is certain about the application.
    pub(super) work: Work,
    /// What had come by then.
    pub(super) streams: Streams,
}

/// What broke an exchange.
#[derive(Debug)]
pub(super) enum Cause {
    /// The other side closed the connection.
    Closed,
    /// The system reports an error of the connection.
    Io(io::Error),
    /// No byte, or not the last one, in time. Waited so long.
    TimedOut(Duration),
    /// What came is no FastCGI.
    Decode(DecodeError),
    /// The answer does not end.
    TooLong,
    /// The other side refused the request.
    Refused(End),
}

impl Cause {
    /// Whether the connection itself was lost.
    pub(super) fn is_loss(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

/// Whether the application can have begun to work on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Certainly not: it lacks parameters, or the other side refused it.
    NotBegun,
    /// Almost certainly not: a kept connection was being closed, see [`LATE_CLOSE`].
    HardlyBegun,
    /// It may be done, half done, or still being done.
    Unknown,
}

impl Connection {
    /// Opens a connection. The caller sets the time limit.
    pub(super) async fn open(address: &Address) -> io::Result<Self> {
        let stream = Stream::connect(address).await?;
        Ok(Self { stream, buffer: vec![0; READ_BYTES].into_boxed_slice(), ended_at: None, is_reusable: true })
    }

    /// Whether another request may be sent on it.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_reusable
    }

    /// The stream, to watch it while the connection rests.
    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Sends a request and reads its answer. Only a whole answer leaves the connection reusable; when this
    /// future is dropped half way, it is not.
    pub(super) async fn exchange(&mut self, request: &Encoded, limits: Limits) -> Result<Answer, Broken> {
        self.is_reusable = false;
        let mut exchange = Exchange {
            request,
            written: 0,
            write_error: None,
            decoder: Decoder::default(),
            streams: Streams::default(),
            has_begun_to_answer: false,
        };
        match exchange.run(&self.stream, &mut self.buffer, limits).await {
            Ok(is_clean) => {
                self.is_reusable = is_clean;
                self.ended_at = Some(Instant::now());
                Ok(exchange.streams.into_answer())
            }
            Err(cause) => {
                let work = exchange.work(&cause, self.ended_at);
                Err(Broken { cause, work, streams: exchange.streams })
            }
        }
    }
}

struct Exchange<'a> {
    request: &'a Encoded,
    written: usize,
    write_error: Option<io::Error>,
    decoder: Decoder,
    streams: Streams,
    has_begun_to_answer: bool,
}

impl Exchange<'_> {
    /// Runs to the end of the request. Says whether both directions are clean after it.
    async fn run(&mut self, stream: &Stream, buffer: &mut [u8], limits: Limits) -> Result<bool, Cause> {
        let started_at = Instant::now();
        let first_byte_until = limits.deadline.min(started_at + limits.first_byte);
        loop {
            self.write(stream);
            match stream.try_read(buffer) {
                Ok(0) => return Err(self.write_error.take().map_or(Cause::Closed, Cause::Io)),
                Ok(read) => {
                    if let Some(is_clean) = self.take(&buffer[..read])? {
                        return Ok(is_clean);
                    }
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(Cause::Io(error)),
            }
            let until = if self.has_begun_to_answer { limits.deadline } else { first_byte_until };
            let interest = if self.is_writing() { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            // An endless stream of ready data must not keep other tasks waiting, nor outlive the limit.
            tokio::task::coop::consume_budget().await;
            match timeout_at(until, stream.ready(interest)).await {
                Ok(Ok(_)) if Instant::now() < until => {}
                Ok(Err(error)) => return Err(Cause::Io(error)),
                _ => return Err(Cause::TimedOut(started_at.elapsed())),
            }
        }
    }

    fn is_writing(&self) -> bool {
        self.write_error.is_none() && self.written < self.request.bytes.len()
    }

    /// Writes what the socket takes. An error ends the writing only: an answer may have come before it.
    fn write(&mut self, stream: &Stream) {
        if !self.is_writing() {
            return;
        }
        match stream.try_write(&self.request.bytes[self.written..]) {
            Ok(written) => self.written += written,
            Err(error) if is_passing(&error) => {}
            Err(error) => self.write_error = Some(error),
        }
    }

    /// Takes what was read; at the end of the request, says whether the connection is clean.
    fn take(&mut self, mut input: &[u8]) -> Result<Option<bool>, Cause> {
        while let Some(part) = self.decoder.next(&mut input).map_err(Cause::Decode)? {
            match part {
                Part::Stdout(bytes) => {
                    if !self.streams.push_stdout(bytes) {
                        return Err(Cause::TooLong);
                    }
                }
                Part::Stderr(bytes) => self.streams.push_stderr(bytes),
                Part::End(End::Complete) => {
                    let is_whole = self.written == self.request.bytes.len();
                    return Ok(Some(is_whole && input.is_empty() && self.decoder.is_between_records()));
                }
                Part::End(end) => return Err(Cause::Refused(end)),
            }
            self.has_begun_to_answer = true;
        }
        self.has_begun_to_answer = true;
        Ok(None)
    }

    fn work(&self, cause: &Cause, ended_at: Option<Instant>) -> Work {
        if self.written < self.request.head_bytes {
            return Work::NotBegun;
        }
        match cause {
            Cause::Refused(End::CannotMultiplex | End::Overloaded | End::UnknownRole) => Work::NotBegun,
            // The very first bytes are another protocol's: no PHP saw this request.
            Cause::Decode(DecodeError::Version(_)) if !self.decoder.has_read_a_header() => Work::NotBegun,
            Cause::Closed | Cause::Io(_)
                if !self.has_begun_to_answer && ended_at.is_some_and(|at| at.elapsed() < LATE_CLOSE) =>
            {
                Work::HardlyBegun
            }
            _ => Work::Unknown,
        }
    }
}

/// Whether an error only says "not now".
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Takes an answer in pieces, as [`Connection::exchange`] does when the whole request was sent; then the other
/// side closes.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn hear<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Result<(Answer, bool), Broken> {
    let request = Encoded { bytes: Vec::new(), head_bytes: 0 };
    let mut exchange = Exchange {
        request: &request,
        written: 0,
        write_error: None,
        decoder: Decoder::default(),
        streams: Streams::default(),
        has_begun_to_answer: false,
    };
    let mut taken = pieces.into_iter().filter(|piece| !piece.is_empty()).map(|piece| exchange.take(piece));
    let end = taken.find_map(Result::transpose).unwrap_or(Err(Cause::Closed));
    match end {
        Ok(is_clean) => Ok((exchange.streams.into_answer(), is_clean)),
        Err(cause) => {
            let work = exchange.work(&cause, None);
            Err(Broken { cause, work, streams: exchange.streams })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_first_byte_proves_that_no_php_saw_the_request() {
        let management = [1, 10, 0, 0, 0, 0, 0, 0];
        for (pieces, work) in [
            (vec![&b"HTTP/1.1 400"[..]], Work::NotBegun),
            (vec![&b"H"[..], b"TTP/1.1 400"], Work::NotBegun),
            // Behind a record of FastCGI, in one piece with it or not.
            (vec![&[management.as_slice(), b"HTTP"].concat()[..]], Work::Unknown),
            (vec![management.as_slice(), b"HTTP"], Work::Unknown),
        ] {
            let broken = hear(pieces.clone()).expect_err("this is no answer");
            assert!(matches!(broken.cause, Cause::Decode(DecodeError::Version(b'H'))), "{:?}", broken.cause);
            assert_eq!(broken.work, work, "{pieces:?}");
        }
    }
}
