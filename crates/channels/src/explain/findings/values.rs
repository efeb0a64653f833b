//! The values of a message in whatever carries them, and the message with others in their place.
//!
//! Read with forbearance: what is looked at here was damaged, and only a channel's own strict reading decides.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;

use crate::channel::quote;
use crate::explain::Case;
use crate::form;
use crate::model::RawRequest;
use crate::signature::trial::Part;

/// Most names that a fact gives.
const NAMES_MAX: usize = 4;

/// Largest body that is taken apart. Real ones are far smaller; a larger one is not worth the time of many readings.
pub(super) const BODY_BYTES_MAX: usize = 256 * 1024;

/// What a body is by its first sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pairs, percent-encoded.
    Form,
    /// A JSON text.
    Json,
    /// An XML document.
    Xml,
    /// Nothing, or nothing that is known.
    Other,
}

impl Kind {
    /// Of a body, whatever its media type says.
    pub(super) fn of(body: &[u8]) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match body.trim_ascii_start() {
            [] => Self::Other,
            [b'{' | b'[' | b'"', ..] => Self::Json,
            [b'<', ..] => Self::Xml,
            other if other.contains(&b'=') => Self::Form,
            _ => Self::Other,
        }
    }
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the URL's query.
    Query,
    /// In a form.
    Form,
    /// A text in JSON.
    Json,
    /// A text in XML.
    Xml,
}

/// A value, decoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Value<'v> {
    /// Where it stands.
    pub place: Place,
    /// Its name, as far as it has one.
    pub name: Cow<'v, str>,
    /// Its bytes.
    pub bytes: Cow<'v, [u8]>,
}

impl Value<'_> {
    /// Whether it stands where form decoding happens.
    pub(super) fn is_pair(&self) -> bool {
        matches!(self.place, Place::Query | Place::Form)
    }
}

/// A request with other values, and the names of those that changed.
pub(super) struct Rewritten {
    /// The request.
    pub request: RawRequest,
    /// The names.
    pub names: Vec<String>,
}

impl Rewritten {
    /// The names in one line.
    pub(super) fn names(&self) -> String {
        let mut names = self.names.clone();
        names.dedup();
        let more = names.len() > NAMES_MAX;
        names.truncate(NAMES_MAX);
        names.join(", ") + if more { ", …" } else { "" }
    }
}

/// The request in which `change` gave values other bytes; none when it changed nothing. Everything else stays as it came,
/// byte for byte. Headers are not touched, see [`with_headers`].
pub(super) fn rewritten(case: &Case<'_>, mut change: impl FnMut(&Value<'_>) -> Option<Vec<u8>>) -> Option<Rewritten> {
    let request = &case.request;
    if request.body.len() > BODY_BYTES_MAX {
        return None;
    }
    let mut names = Vec::new();
    let mut change = |value: &Value<'_>| {
        let changed = change(value).filter(|changed| *changed != *value.bytes)?;
        names.push(quote(&value.name));
        Some(changed)
    };
    let mut other = request.clone();
    if let Some(query) = &request.query
        && let Some(changed) = pairs(query.as_bytes(), Place::Query, &mut change)
    {
        other.query = Some(String::from_utf8(changed).ok()?);
    }
    let body = match Kind::of(&request.body) {
        Kind::Form => pairs(&request.body, Place::Form, &mut change),
        Kind::Json => json_texts(&request.body, &mut change),
        Kind::Xml => xml_texts(&request.body, &mut change),
        Kind::Other => None,
    };
    if let Some(body) = body {
        other.body = Bytes::from(body);
    }
    (!names.is_empty()).then_some(Rewritten { request: other, names })
}

/// Every value of the request's query and body.
pub(super) fn all(case: &Case<'_>) -> Vec<Value<'static>> {
    let mut values = Vec::new();
    let unchanged = rewritten(case, |value| {
        let Value { place, name, bytes } = value.clone();
        values.push(Value { place, name: name.into_owned().into(), bytes: bytes.into_owned().into() });
        None
    });
    debug_assert!(unchanged.is_none(), "nothing was changed");
    values
}

/// The request in which `change` gave headers other values; none when it changed nothing.
pub(super) fn with_headers(case: &Case<'_>, change: impl Fn(&str) -> Option<String>) -> Option<Rewritten> {
    let mut request = case.request.clone();
    let mut names = Vec::new();
    for (name, value) in &mut request.headers {
        let Some(changed) = value.to_str().ok().and_then(&change) else { continue };
        let Ok(changed) = HeaderValue::from_str(&changed) else { continue };
        if changed != *value {
            names.push(name.as_str().to_owned());
            *value = changed;
        }
    }
    (!names.is_empty()).then_some(Rewritten { request, names })
}

/// The request with another body.
pub(super) fn with_body(request: &RawRequest, body: impl Into<Vec<u8>>) -> RawRequest {
    RawRequest { body: Bytes::from(body.into()), ..request.clone() }
}

/// Whether a check was made over the body's own bytes. Where values are signed, how a body is written says nothing. What
/// was opened with a secret is looked into by nobody.
pub(super) fn is_body_signed(case: &Case<'_>) -> bool {
    let body: &[u8] = &case.request.body;
    let holds = |part: &Part| match part {
        Part::Text(text) => memchr::memmem::find(text, body).is_some(),
        Part::Secret => false,
    };
    case.trials.iter().any(|trial| !trial.is_sealed && trial.signed.iter().any(holds))
}

/// Whether the channel's checks take operations with public keys.
pub(super) fn is_dear(case: &Case<'_>) -> bool {
    case.trials.iter().any(|trial| trial.is_public_key)
}

pub(super) type Change<'c> = dyn FnMut(&Value<'_>) -> Option<Vec<u8>> + 'c;

/// A form in which values changed; each pair that did not is as it was written.
fn pairs(text: &[u8], place: Place, change: &mut Change<'_>) -> Option<Vec<u8>> {
    let mut is_changed = false;
    let mut out = Vec::with_capacity(text.len());
    for (at, segment) in text.split(|&byte| byte == b'&').enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        let middle = segment.iter().position(|&byte| byte == b'=');
        let (name, raw) = middle.map_or((segment, None), |at| (&segment[..at], Some(&segment[at + 1..])));
        out.extend_from_slice(name);
        let Some(raw) = raw else { continue };
        out.push(b'=');
        let name = decoded(name);
        let value = Value { place, name: String::from_utf8_lossy(&name), bytes: decoded(raw) };
        if let Some(changed) = change(&value) {
            form::encode_into(&mut out, &changed);
            is_changed = true;
        } else {
            out.extend_from_slice(raw);
        }
    }
    is_changed.then_some(out)
}

/// A piece of a form decoded once; a broken percent sign stays.
pub(super) fn decoded(raw: &[u8]) -> Cow<'_, [u8]> {
    if raw.contains(&b'+') {
        let blanks: Vec<u8> = raw.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        return Cow::Owned(percent_encoding::percent_decode(&blanks).collect());
    }
    percent_encoding::percent_decode(raw).into()
}

/// A JSON text in which texts changed. Names of members are no values.
pub(super) fn json_texts(text: &[u8], change: &mut Change<'_>) -> Option<Vec<u8>> {
    let hand = Hand::of(text);
    let mut is_changed = false;
    let mut out = Vec::with_capacity(text.len());
    let mut name = String::new();
    let mut at = 0;
    while let Some(start) = memchr::memchr(b'"', &text[at..]).map(|found| at + found) {
        let Some(end) = quote_end(text, start) else { break };
        let token = &text[start..end];
        let is_name = text[end..].trim_ascii_start().first() == Some(&b':');
        out.extend_from_slice(&text[at..start]);
        at = end;
        match serde_json::from_slice::<String>(token) {
            Ok(read) if is_name => {
                name = read;
                out.extend_from_slice(token);
            }
            Ok(read) => {
                let value = Value { place: Place::Json, name: name.as_str().into(), bytes: read.into_bytes().into() };
                match change(&value).and_then(|changed| String::from_utf8(changed).ok()) {
                    Some(changed) => {
                        hand.quote(&mut out, &changed);
                        is_changed = true;
                    }
                    None => out.extend_from_slice(token),
                }
            }
            Err(_) => out.extend_from_slice(token),
        }
    }
    out.extend_from_slice(&text[at..]);
    is_changed.then_some(out)
}

/// Behind the closing quote of a text that begins at `start`.
fn quote_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// How a JSON text writes what need not be escaped.
#[derive(Clone, Copy)]
struct Hand {
    escapes_slashes: bool,
    is_ascii: bool,
}

impl Hand {
    fn of(text: &[u8]) -> Self {
        let (mut escapes_slashes, mut has_numbers) = (false, false);
        let mut rest = text;
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let escaped = rest.get(at + 1);
            escapes_slashes |= escaped == Some(&b'/');
            has_numbers |= escaped == Some(&b'u');
            rest = rest.get(at + 2..).unwrap_or_default();
        }
        Self { escapes_slashes, is_ascii: text.is_ascii() && has_numbers }
    }

    fn quote(self, out: &mut Vec<u8>, text: &str) {
        let mut quoted = serde_json::to_string(text).unwrap_or_default();
        if self.escapes_slashes {
            quoted = quoted.replace('/', "\\/");
        }
        for c in quoted.chars() {
            if c.is_ascii() || !self.is_ascii {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                }
            }
        }
    }
}

/// An XML document in which texts changed.
fn xml_texts(text: &[u8], change: &mut Change<'_>) -> Option<Vec<u8>> {
    const OPEN: &[u8] = b"<![CDATA[";
    const CLOSE: &[u8] = b"]]>";
    let mut is_changed = false;
    let mut out = Vec::with_capacity(text.len());
    let mut name = Cow::Borrowed("");
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after, is_text, is_cdata) = if let Some(inner) = rest.strip_prefix(OPEN) {
            let end = memchr::memmem::find(inner, CLOSE)?;
            (&inner[..end], &inner[end + CLOSE.len()..], true, true)
        } else if rest[0] == b'<' {
            let end = memchr::memchr(b'>', rest)? + 1;
            (&rest[..end], &rest[end..], false, false)
        } else {
            let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
            (&rest[..end], &rest[end..], !rest[..end].trim_ascii().is_empty(), false)
        };
        let came = &rest[..rest.len() - after.len()];
        rest = after;
        if !is_text {
            if let [b'<', tag @ .., b'>'] = piece
                && !tag.starts_with(b"/")
            {
                name = String::from_utf8_lossy(tag.split(u8::is_ascii_whitespace).next().unwrap_or_default());
            }
            out.extend_from_slice(came);
            continue;
        }
        let bytes = if is_cdata { Cow::Borrowed(piece) } else { unescaped(piece, Entities::Five) };
        match change(&Value { place: Place::Xml, name: name.clone(), bytes }) {
            Some(changed) => {
                is_changed = true;
                if is_cdata {
                    out.extend_from_slice(&[OPEN, &changed, CLOSE].concat());
                } else {
                    out.extend(escaped(&changed));
                }
            }
            None => out.extend_from_slice(came),
        }
    }
    is_changed.then_some(out)
}

/// Text as it stands between tags.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    out
}

/// Which references are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entities {
    /// The five of XML, and numbers.
    Five,
    /// Quotation marks alone: what a filter for attributes escapes.
    Quotes,
    /// All but apostrophes.
    NoApostrophes,
}

/// Text with its references opened once; others stay.
pub(super) fn unescaped(text: &[u8], entities: Entities) -> Cow<'_, [u8]> {
    /// Longest reference: `&#x10FFFF;`.
    const LONGEST: usize = 12;
    if !text.contains(&b'&') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let end = rest.iter().take(LONGEST).position(|&byte| byte == b';');
        let resolved = end.filter(|_| first == b'&').and_then(|end| Some((resolve(&rest[1..end])?, end)));
        let is_wanted = |c: char| match entities {
            Entities::Five => true,
            Entities::Quotes => matches!(c, '"' | '\''),
            Entities::NoApostrophes => c != '\'',
        };
        if let Some((c, end)) = resolved.filter(|(c, _)| is_wanted(*c)) {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[end + 1..];
        } else {
            out.push(first);
            rest = after;
        }
    }
    Cow::Owned(out)
}

fn resolve(reference: &[u8]) -> Option<char> {
    Some(match reference {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        b"nbsp" => '\u{a0}',
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        _ => return None,
    })
}

fn number(digits: &[u8], radix: u32) -> Option<char> {
    char::from_u32(u32::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the shape of a change")]
    fn upper(value: &Value<'_>) -> Option<Vec<u8>> {
        Some(value.bytes.to_ascii_uppercase())
    }

    fn text(bytes: Option<Vec<u8>>) -> Option<String> {
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn only_what_changed_is_written_anew() {
        let form = |body: &str| text(pairs(body.as_bytes(), Place::Form, &mut upper));
        assert_eq!(form("a=b%2b&c=D&e").as_deref(), Some("a=B%2B&c=D&e"));
        let keep = |body: &str| text(pairs(body.as_bytes(), Place::Form, &mut |_| None));
        assert_eq!(keep("a=b%2b&c=D"), None);
        let one = |value: &Value<'_>| (value.name == "b").then(|| b"x y".to_vec());
        assert_eq!(text(pairs(b"a=%zz&b=1&c=%2f", Place::Form, &mut { one })).as_deref(), Some("a=%zz&b=x+y&c=%2f"));
        let json = |body: &str| text(json_texts(body.as_bytes(), &mut upper));
        assert_eq!(json(r#"{"a": "b\"c", "d":[1,"e"]}"#).as_deref(), Some(r#"{"a": "B\"C", "d":[1,"E"]}"#));
        assert_eq!(json(r#"{"a":"\u4e2d\/b"}"#).as_deref(), Some(r#"{"a":"\u4e2d\/B"}"#));
        let xml = |body: &str| text(xml_texts(body.as_bytes(), &mut upper));
        assert_eq!(
            xml("<x> <a>b&amp;c</a>\n<d><![CDATA[e<]]></d></x>").as_deref(),
            Some("<x> <a>B&amp;C</a>\n<d><![CDATA[E<]]></d></x>"),
        );
    }

    #[test]
    fn names_are_told() {
        let mut names = Vec::new();
        let mut note = |value: &Value<'_>| {
            names.push(value.name.clone().into_owned());
            None
        };
        assert_eq!(pairs(b"a%20b=1&c", Place::Query, &mut note), None);
        assert_eq!(json_texts(br#"{"d":{"e":"f"}}"#, &mut note), None);
        assert_eq!(xml_texts(b"<x><g>h</g></x>", &mut note), None);
        assert_eq!(names, ["a b", "e", "g"]);
    }

    #[test]
    fn kinds_are_told_by_the_first_sign() {
        for (body, kind) in [
            ("", Kind::Other),
            (" {}", Kind::Json),
            ("\u{feff}[1]", Kind::Json),
            ("\n<xml/>", Kind::Xml),
            ("a=1", Kind::Form),
            ("text", Kind::Other),
        ] {
            assert_eq!(Kind::of(body.as_bytes()), kind, "{body:?}");
        }
    }

    #[test]
    fn references_are_opened_once() {
        let all = |text: &str| String::from_utf8(unescaped(text.as_bytes(), Entities::Five).into_owned()).unwrap();
        assert_eq!(all("&lt;&amp;amp;&gt;&quot;&#39;&#x4E2D;&nope;&"), "<&amp;>\"'中&nope;&");
        let quotes = |text: &str| String::from_utf8(unescaped(text.as_bytes(), Entities::Quotes).into_owned()).unwrap();
        assert_eq!(quotes("&quot;&amp;&#039;"), "\"&amp;'");
    }
}
