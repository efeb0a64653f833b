//! Requests that somebody kept: a raw HTTP file, a `curl` command, a HAR entry, a line of a PHP log. What was kept may be
//! less than what came, and a [`Capture`] says how true it is: a signature over bytes that are gone cannot be judged.
//!
//! One text may be readable in several ways. [`read`] gives all of them, the likeliest first; who judges them takes
//! the first that a channel knows.

mod cmd;
mod curl;
mod curl_config;
mod event;
mod har;
mod log;
mod message;
mod php;
mod shell;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tollbell_channels::form;
use tollbell_channels::model::{RawRequest, Timestamp};

/// Largest text that is read, in bytes: a HAR file of a short session. A single request is far smaller.
pub const CAPTURE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most requests of one text that are looked at: a HAR file holds every image of a page.
pub const READINGS_MAX: usize = 256;

/// Most headers of a request that are read.
const HEADERS_MAX: usize = 256;

/// Most fields of one logged array. PHP itself takes 1,000 (`max_input_vars`).
pub const FIELDS_MAX: usize = 1_000;

/// What else browsers copy a request as, and other programs are called by.
const FOREIGN: &[&str] =
    &["fetch(", "await fetch(", "Invoke-WebRequest", "Invoke-RestMethod", "$session = New-Object", "wget "];

/// A request as it was kept.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The request, as far as it is known.
    pub request: RawRequest,
    /// How it was kept.
    pub form: Form,
    /// Whether the body is what came.
    pub fidelity: Fidelity,
    /// What the copy shows about itself.
    pub notes: Vec<Note>,
    /// Which of the text's requests it is a reading of, from zero: a log and an archive hold many.
    pub record: usize,
}

/// How a request was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Request line, headers, body.
    Http,
    /// A `curl` command for a POSIX shell, or a configuration of `curl`.
    Curl,
    /// An entry of a browser's or a proxy's archive (HAR 1.2).
    Har,
    /// A JSON object with headers and a body.
    Event,
    /// PHP's `print_r` of the fields.
    PrintR,
    /// PHP's `var_export` of the fields.
    VarExport,
    /// PHP's `var_dump` of the fields.
    VarDump,
    /// The fields as a JSON object, which once were a form.
    JsonFields,
    /// A body alone.
    Body,
}

/// Whether the body is what came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// These bytes.
    Bytes,
    /// Fields that were decoded before they were kept, written anew. What stands over the fields' values can be judged;
    /// what stands over the body's bytes cannot.
    Fields,
}

/// What a copy shows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `Content-Length` names another number of bytes than the copy has.
    Length {
        /// As the header says.
        named: u64,
        /// As they are there.
        found: u64,
    },
    /// A chunked body that has no last chunk.
    CutChunks,
    /// The headers' lines end without a carriage return: the copy went through an editor, and the body's may be gone, too.
    BareLineFeeds,
    /// Nothing but a body, or fields, was kept: method, path and headers are guesses.
    NoHeaders,
    /// Bytes that are no text in the copy's encoding were replaced by `U+FFFD`.
    Replaced,
    /// The text was in UTF-16: its characters are there, and which bytes they were is not.
    Utf16,
    /// An archive with more requests than are looked at.
    Unread {
        /// How many.
        count: usize,
    },
    /// A value goes on over several lines, where nothing marks its end.
    OpenEnd {
        /// The field's name.
        field: String,
    },
}

/// Why a text holds no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// Nothing is in it.
    #[error("there is nothing to read")]
    Empty,
    /// Beyond [`CAPTURE_BYTES_MAX`] or [`FIELDS_MAX`].
    #[error("more than {limit} {}", .what.replace('_', " "))]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It begins as this form and does not go on so.
    #[error("line {line}: {why}")]
    Broken {
        /// The line, from one.
        line: usize,
        /// What is there, and what was expected.
        why: String,
    },
    /// A `curl` command that reads a file or standard input, which is not part of it.
    #[error("`{0}` is outside of the command: put the content in its place")]
    Outside(String),
    /// A command or a program that makes a request, in a language that is not read here.
    #[error("`{0}` is not read here: copy the request as a curl command, or as a HAR archive")]
    Foreign(&'static str),
    /// An option of `curl` that changes the request and is not known here.
    #[error("the option `{0}` of curl is not known here")]
    Option(String),
}

/// The ways to read a text, the likeliest first; never none. `at` is when the request is taken to have come, where the
/// text does not say.
///
/// # Errors
/// [`CaptureError`] of the likeliest form, when it cannot be read as any.
pub fn read(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    if text.len() > CAPTURE_BYTES_MAX {
        return Err(CaptureError::TooLarge { what: "bytes", limit: CAPTURE_BYTES_MAX });
    }
    let Some(text) = from_utf16(text) else { return behind_mark(text, at) };
    let mut readings = behind_mark(&text, at)?;
    for reading in &mut readings {
        reading.notes.push(Note::Utf16);
    }
    Ok(readings)
}

/// The same of a text in bytes. An editor's mark says nothing of the request; before a body alone it may be the request's
/// own, and so is a second one.
fn behind_mark(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    if let Some(marked) = text.strip_prefix(MARK.as_bytes())
        && let Ok(readings) = readings(marked, at)
        && readings.iter().all(|reading| reading.form != Form::Body)
    {
        return Ok(readings);
    }
    readings(text, at)
}

/// The same of a text as it stands.
fn readings(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        return Err(CaptureError::Empty);
    }
    if let Some(name) = FOREIGN.iter().find(|name| trimmed.starts_with(name.as_bytes())) {
        return Err(CaptureError::Foreign(name));
    }
    if curl::is_command(trimmed) {
        return curl::read(trimmed, at);
    }
    if curl_config::is_config(trimmed) {
        return curl::read_config(trimmed, at).map(|capture| vec![capture]);
    }
    if message::is_message(text) {
        return message::read(text, at);
    }
    if let Some(entries) = har::read(trimmed, at)? {
        return Ok(entries);
    }
    if let Some(event) = event::read(trimmed, at) {
        return Ok(vec![event]);
    }
    let dumped = php::read(trimmed, at)?;
    if !dumped.is_empty() {
        return Ok(dumped);
    }
    Ok(log::read(text, at))
}

impl Capture {
    /// A body of which nothing else is known.
    fn of_body(body: &[u8], at: Timestamp) -> Self {
        let request = guessed(Bytes::copy_from_slice(body), media_type_of(body), at);
        let mut notes = vec![Note::NoHeaders];
        if has_replacement(body) {
            notes.push(Note::Replaced);
        }
        Self { request, form: Form::Body, fidelity: Fidelity::Bytes, notes, record: 0 }
    }

    /// Fields that were decoded, as the form that they may have been.
    fn of_fields(fields: &[(Vec<u8>, Vec<u8>)], form: Form, at: Timestamp) -> Self {
        let body = form::encode(fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
        let mut notes = vec![Note::NoHeaders];
        if fields.iter().any(|(name, value)| has_replacement(name) || has_replacement(value)) {
            notes.push(Note::Replaced);
        }
        Self { request: guessed(body.into(), FORM, at), form, fidelity: Fidelity::Fields, notes, record: 0 }
    }
}

/// The byte order mark, as editors on Windows put it before a file.
const MARK: &str = "\u{feff}";

/// A text in UTF-16 with its mark, as PowerShell's `>` writes files; none when it is no such text.
fn from_utf16(text: &[u8]) -> Option<Vec<u8>> {
    let unit: fn([u8; 2]) -> u16 = match text {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return None,
    };
    let (pairs, rest) = text[2..].as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    rest.is_empty().then(|| String::from_utf16(&units).ok().map(String::into_bytes))?
}

const FORM: &str = "application/x-www-form-urlencoded";

/// What a body looks like. Requests without their headers must have a type, or no channel would look at them.
fn media_type_of(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'{' | b'[') => "application/json",
        Some(b'<') => "text/xml",
        _ => FORM,
    }
}

/// A request of which only the body is known.
fn guessed(body: Bytes, media_type: &'static str, at: Timestamp) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    RawRequest { method: Method::POST, path: "/".into(), query: None, headers, body, source: None, received_at: at }
}

/// Whether a decoder put `U+FFFD` in the place of bytes that it did not know.
fn has_replacement(text: &[u8]) -> bool {
    text.windows(3).any(|three| three == "\u{fffd}".as_bytes())
}

/// A header from two texts; none when they are none.
fn header(name: &[u8], value: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value.trim_ascii()).ok()?))
}

/// Path and query of a request's target: an origin form, or a whole URL.
fn target(text: &str) -> (String, Option<String>) {
    let rest = match text.split_once("://") {
        Some((_, rest)) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => text,
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query.to_owned())));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    (path, query)
}

#[cfg(test)]
mod tests;
