//! What the fuzz targets see of this kind: how an answer is heard, without a connection.

use super::connection::{Work, hear};
use crate::targets::answer::Answer;

/// What was heard of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How it ended: none for a whole answer.
    pub cause: Option<String>,
    /// Whether the connection may carry another request.
    pub is_clean: bool,
    /// Whether the application certainly did not begin to work.
    pub is_untouched: bool,
    /// The answer, as far as it came.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// Where it redirects to.
    pub location: Option<String>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether its body was longer than is kept.
    pub is_cut: bool,
    /// The error stream.
    pub stderr: Vec<u8>,
}

/// Hears what an application writes, in these pieces, after the whole request was sent; then it closes.
pub fn heard<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Heard {
    let (answer, cause, is_clean, work) = match hear(pieces) {
        Ok((answer, is_clean)) => (answer, None, is_clean, Work::Unknown),
        Err(broken) => (broken.streams.into_answer(), Some(format!("{:?}", broken.cause)), false, broken.work),
    };
    let Answer { status, content_type, location, body, is_cut, stderr } = answer;
    let is_untouched = work == Work::NotBegun;
    Heard { cause, is_clean, is_untouched, status, content_type, location, body, is_cut, stderr }
}
