//! Bodies in what a log wrote: alone, behind a date and a level, before what a logger adds, in quotation marks, or one a line.

use serde::de::IgnoredAny;
use serde_json::Value;
use tollbell_channels::model::Timestamp;

use super::{Capture, READINGS_MAX, event, php};

/// Most pieces in quotation marks of one line that are looked at: an access log has a handful.
const QUOTED_MAX: usize = 16;

/// Every way to read a text that is a body, or a log of bodies; the text as it is comes first, unless it has several lines
/// and no form that may have them.
pub(super) fn read(text: &[u8], at: Timestamp) -> Vec<Capture> {
    let mut found = Found { at, captures: Vec::new() };
    let trimmed = text.trim_ascii();
    let is_document = matches!(trimmed.first(), Some(b'{' | b'[' | b'<'));
    let lines: Vec<&[u8]> = trimmed
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(READINGS_MAX)
        .collect();
    let is_log = lines.len() > 1;
    if !is_log || is_document {
        found.body(text, 0);
        found.bodies(trimmed, 0);
    }
    if is_log {
        for (record, line) in lines.iter().enumerate() {
            found.bodies(line, record);
        }
    }
    if is_log && !is_document {
        found.body(text, 0);
        found.bodies(trimmed, 0);
    }
    found.captures
}

struct Found {
    at: Timestamp,
    captures: Vec<Capture>,
}

impl Found {
    /// A body as it stands, unless it was found before.
    fn body(&mut self, body: &[u8], record: usize) {
        let is_new = self.captures.iter().all(|known| known.request.body != body);
        if is_new && !body.is_empty() && self.captures.len() < READINGS_MAX {
            self.captures.push(Capture { record, ..Capture::of_body(body, self.at) });
        }
    }

    /// All that may be a body in a line, and fields that were one.
    fn bodies(&mut self, line: &[u8], record: usize) {
        let mut all = vec![line.to_vec()];
        all.extend(behind_prefix(line).map(<[u8]>::to_vec));
        all.extend(form(line).map(<[u8]>::to_vec));
        for place in 0..all.len() {
            all.extend(document(&all[place]).map(<[u8]>::to_vec));
        }
        for place in 0..all.len() {
            let event = event::read(&all[place], self.at);
            self.captures
                .extend(event.filter(|_| self.captures.len() < READINGS_MAX).map(|event| Capture { record, ..event }));
            all.extend(members(&all[place]));
        }
        all.extend(quoted(line, b'"'));
        all.extend(quoted(line, b'\''));
        for body in &all {
            self.body(body, record);
        }
        for body in all {
            for fields in php::json(&body, self.at) {
                if self.captures.len() < READINGS_MAX {
                    self.captures.push(Capture { record, ..fields });
                }
            }
        }
    }
}

/// What stands behind a log's date, level and words: from the first `{`, `<` or `name=`.
fn behind_prefix(line: &[u8]) -> Option<&[u8]> {
    if line.first().is_some_and(|first| matches!(first, b'{' | b'<')) {
        return None;
    }
    let brace = line.iter().position(|byte| matches!(byte, b'{' | b'<'));
    if let Some(at) = brace {
        return Some(&line[at..]);
    }
    let equals = line.iter().position(|&byte| byte == b'=')?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'%' | b'[' | b']');
    let start = line[..equals].iter().rposition(|byte| !is_name(byte))? + 1;
    (start < equals).then(|| &line[start..])
}

/// The longest word that is like a form: an encoded one has no blanks in it.
fn form(line: &[u8]) -> Option<&[u8]> {
    let words = line.split(u8::is_ascii_whitespace);
    words.filter(|word| word.contains(&b'=') && word.contains(&b'&')).max_by_key(|word| word.len())
}

/// The JSON value with which a text begins, where more stands behind it: loggers add what else they know (`[] []`).
fn document(text: &[u8]) -> Option<&[u8]> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let end = values.byte_offset();
    (end < text.len()).then(|| &text[..end])
}

/// Texts in a JSON object that may be bodies: `{"body":"a=1&b=2"}`.
fn members(text: &[u8]) -> Vec<Vec<u8>> {
    let Ok(Value::Object(members)) = serde_json::from_slice(text) else { return Vec::new() };
    let texts = members.into_iter().filter_map(|(_, value)| match value {
        Value::String(text) => Some(text.into_bytes()),
        _ => None,
    });
    texts.filter(|text| is_like_a_body(text)).take(QUOTED_MAX).collect()
}

/// Whether a text has what a form, JSON or XML begins with, and something in it.
fn is_like_a_body(text: &[u8]) -> bool {
    match text.trim_ascii() {
        [b'{', b'"', ..] | [b'<', ..] => true,
        text => text.contains(&b'=') && text.contains(&b'&'),
    }
}

/// What stands in quotation marks and may be a body, as access logs have it (nginx, `log_format` with `$request_body`),
/// with escapes undone where there are any.
fn quoted(line: &[u8], mark: u8) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut rest = line;
    for _ in 0..QUOTED_MAX {
        let Some(open) = rest.iter().position(|&byte| byte == mark) else { break };
        let inner = &rest[open + 1..];
        let Some(length) = end_of_quote(inner, mark) else { break };
        let text = &inner[..length];
        rest = &inner[length + 1..];
        if !text.contains(&b'=') && !matches!(text.trim_ascii().first(), Some(b'{' | b'<' | b'\\')) {
            continue;
        }
        found.push(text.to_vec());
        if text.contains(&b'\\') {
            found.extend(from_hex_escapes(text));
            found.extend(serde_json::from_slice::<String>(&rest_with_quotes(text)).ok().map(String::into_bytes));
        }
    }
    found
}

/// A text between quotation marks again.
fn rest_with_quotes(text: &[u8]) -> Vec<u8> {
    [b"\"", text, b"\""].concat()
}

/// Bytes before the quotation mark that no backslash stands before.
fn end_of_quote(text: &[u8], mark: u8) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|&byte| {
        let is_end = byte == mark && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

/// With `\x22` read as the byte that it stands for, as nginx writes quotation marks, backslashes and what is no ASCII.
fn from_hex_escapes(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut is_escaped = false;
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.strip_prefix(b"x").and_then(|digits| digits.get(..2));
        let byte = digits
            .filter(|digits| *first == b'\\' && digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            is_escaped = true;
            rest = &behind[3..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    is_escaped.then_some(bytes)
}
