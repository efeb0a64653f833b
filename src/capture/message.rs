//! A raw HTTP/1.1 message in a file: request line, headers, body (RFC 9112).

use bytes::Bytes;
use http::{HeaderMap, Method};
use tollbell_channels::model::{RawRequest, Timestamp};

use super::{Capture, CaptureError, Fidelity, Form, HEADERS_MAX, Note, header, target};

/// Whether a text begins with a request line. The version may be missing, as copies by hand have it.
pub(super) fn is_message(text: &[u8]) -> bool {
    request_line(first_line(text)).is_some() || Pseudo::of(text).is_some()
}

/// What HTTP/2 has in place of a request line (RFC 9113, section 8.3.1), as browsers' tools show it: `:method: POST`.
struct Pseudo<'t> {
    method: Method,
    target: &'t str,
    /// The headers and the body.
    rest: &'t [u8],
}

impl<'t> Pseudo<'t> {
    fn of(text: &'t [u8]) -> Option<Self> {
        let (mut method, mut target, mut rest) = (None, None, text);
        while let Some(line) = first_line(rest).strip_prefix(b":") {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let value = std::str::from_utf8(line[colon + 1..].trim_ascii()).ok()?;
            match &line[..colon] {
                b"method" => method = Method::from_bytes(value.as_bytes()).ok(),
                b"path" => target = Some(value),
                b"authority" | b"scheme" => {}
                _ => return None,
            }
            rest = after_line(rest);
        }
        Some(Self { method: method?, target: target?, rest })
    }
}

fn first_line(text: &[u8]) -> &[u8] {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Method and target. A word in capitals and a target that begins as one are needed: a form field could be a word.
fn request_line(line: &[u8]) -> Option<(Method, &str)> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let is_version = |word: &str| word.starts_with("HTTP/");
    let is_end = match words.next() {
        Some(version) => is_version(version) && words.next().is_none(),
        None => true,
    };
    let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
    let is_target = target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://");
    (is_method && is_target && is_end).then(|| Some((Method::from_bytes(method.as_bytes()).ok()?, target)))?
}

/// Reads a message. Where a length is named and more follows it, a final line break that an editor wrote is one reading,
/// and all that is there another.
pub(super) fn read(text: &[u8], at: Timestamp) -> Result<Vec<Capture>, CaptureError> {
    let broken = |line: usize, why: &str| CaptureError::Broken { line, why: why.to_owned() };
    let (method, place, mut rest) = if let Some(Pseudo { method, target, rest }) = Pseudo::of(text) {
        (method, target, rest)
    } else {
        let (method, target) = request_line(first_line(text)).ok_or_else(|| broken(1, "no request line"))?;
        (method, target, after_line(text))
    };
    let (path, query) = target(place);
    let mut headers = HeaderMap::new();
    let mut notes = Vec::new();
    let mut line_number = text[..text.len() - rest.len()].split(|&byte| byte == b'\n').count() - 1;
    let mut bare = !ends_with_cr(text, rest);
    let body = loop {
        line_number += 1;
        if rest.is_empty() {
            break rest;
        }
        let next = after_line(rest);
        let line = first_line(rest);
        bare |= !ends_with_cr(rest, next) && !next.is_empty();
        rest = next;
        if line.is_empty() {
            break rest;
        }
        if headers.len() >= HEADERS_MAX {
            return Err(CaptureError::TooLarge { what: "headers", limit: HEADERS_MAX });
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let pair = colon.and_then(|colon| header(&line[..colon], &line[colon + 1..]));
        let (name, value) = pair.ok_or_else(|| broken(line_number, "no header; a blank line goes before the body"))?;
        headers.append(name, value);
    };
    if bare {
        notes.push(Note::BareLineFeeds);
    }
    let is_chunked = headers
        .get("transfer-encoding")
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked"));
    let request = |body: Bytes| RawRequest {
        method: method.clone(),
        path: path.clone(),
        query: query.clone(),
        headers: headers.clone(),
        body,
        source: None,
        received_at: at,
    };
    let capture = |body: &[u8], notes: Vec<Note>| Capture {
        request: request(Bytes::copy_from_slice(body)),
        form: Form::Http,
        fidelity: Fidelity::Bytes,
        notes,
        record: 0,
    };
    if is_chunked && let Some((body, is_whole)) = dechunked(body) {
        notes.extend((!is_whole).then_some(Note::CutChunks));
        return Ok(vec![capture(&body, notes)]);
    }
    let named = headers.get("content-length").and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let found = body.len() as u64;
    let Some(named) = named.filter(|named| *named != found) else {
        return Ok(vec![capture(body, notes)]);
    };
    let mut readings = Vec::new();
    if let Some((kept, added)) = usize::try_from(named).ok().and_then(|named| body.split_at_checked(named))
        && matches!(added, b"\n" | b"\r\n")
    {
        readings.push(capture(kept, notes.clone()));
    }
    notes.push(Note::Length { named, found });
    readings.push(capture(body, notes));
    Ok(readings)
}

fn after_line(text: &[u8]) -> &[u8] {
    text.iter().position(|&byte| byte == b'\n').map_or(&[], |at| &text[at + 1..])
}

/// Whether the line between a text and what follows it ends as HTTP's lines do.
fn ends_with_cr(text: &[u8], next: &[u8]) -> bool {
    text[..text.len() - next.len()].ends_with(b"\r\n")
}

/// The data of chunks, and whether the last one is there; none when these are no chunks (many copies hold the decoded
/// body beside the header).
fn dechunked(mut rest: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    let mut is_first = true;
    loop {
        let size = first_line(rest).split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let Some(size) = size else { return (!is_first).then_some((body, false)) };
        rest = after_line(rest);
        if size == 0 {
            return Some((body, true));
        }
        let Some((chunk, next)) = rest.split_at_checked(size) else {
            if is_first && rest.is_empty() {
                return None;
            }
            body.extend_from_slice(rest);
            return Some((body, false));
        };
        let Some(next) = next.strip_prefix(b"\r\n").or_else(|| next.strip_prefix(b"\n")) else {
            if is_first && !next.is_empty() {
                return None;
            }
            body.extend_from_slice(chunk);
            return Some((body, false));
        };
        body.extend_from_slice(chunk);
        rest = next;
        is_first = false;
    }
}
