//! How a signature is written: the case of its hexadecimal digits, and whether it is base64.
//!
//! A signature stands in a header, a query, a form or a document. It is found by its length, and by what it is called.

use std::ops::{Range, RangeInclusive};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::HeaderValue;

use crate::channel::Rejection;
use crate::explain::{Case, Facts, Otherwise, Undo};
use crate::form::encode_into;
use crate::model::RawRequest;
use crate::signature::key::hex;

/// Bytes of signatures and tags: MD5, SHA-1, SHA-256, SHA-512 and Ed25519, RSA of 1024, 2048, 3072 and 4096 bits.
const LENGTHS: [usize; 8] = [16, 20, 32, 64, 128, 256, 384, 512];

/// Bytes of signatures of two numbers in DER, whose zeros in front are left out.
const DER_LENGTHS: RangeInclusive<usize> = 68..=72;

fn is_length(bytes: usize) -> bool {
    LENGTHS.contains(&bytes) || DER_LENGTHS.contains(&bytes)
}

/// Largest body that is searched.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Most signatures of one request that are written otherwise.
const FOUND_MAX: usize = 4;

/// What stands in the name of a signature.
const NAMES: [&str; 6] = ["sig", "hmac", "hash", "digest", "auth", "sha"];

/// How far before a signature its name may begin.
const NAME_BYTES: usize = 48;

/// Hexadecimal text in the other case, and whether it was in lower case; none for any other text, or one without letters.
pub(super) fn flipped(text: &[u8]) -> Option<(Vec<u8>, bool)> {
    let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    let (lower, upper) = (text.iter().any(u8::is_ascii_lowercase), text.iter().any(u8::is_ascii_uppercase));
    if !is_hex || lower == upper {
        return None;
    }
    Some((if lower { text.to_ascii_uppercase() } else { text.to_ascii_lowercase() }, lower))
}

/// What is said of a signature in this case.
pub(super) fn case_words(is_lower: bool) -> (&'static str, &'static str) {
    if is_lower {
        ("hexadecimal in lower case", "小写十六进制")
    } else {
        ("hexadecimal in upper case", "大写十六进制")
    }
}

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header(usize),
    Query,
    Body,
}

/// Something that may be a signature.
#[derive(Debug)]
struct Written {
    place: Place,
    range: Range<usize>,
    /// Itself; decoded, where it stands in a form.
    text: String,
    /// What it is called, for people.
    field: String,
    /// In a form: what stands beside it in the same value.
    beside: Option<[String; 2]>,
    /// In a header: its signs that are no letters and digits are percent-encoded there.
    is_escaped: bool,
}

/// The signatures in the other case, where a message was refused before any was compared.
pub(super) fn other_case(case: &Case<'_>) -> Vec<Undo> {
    if !is_about_writing(case) {
        return Vec::new();
    }
    rewritten(case, |text| {
        let Some((flipped, is_lower)) = flipped(text.as_bytes()) else { return Vec::new() };
        let (en, zh) = case_words(is_lower);
        vec![(String::from_utf8_lossy(&flipped).into_owned(), vec![("how", en.to_owned()), ("how_zh", zh.to_owned())])]
    })
}

/// The signatures in another encoding.
pub(super) fn other_encoding(case: &Case<'_>) -> Vec<Undo> {
    let is_about_writing = is_about_writing(case);
    // Hexadecimal digits are base64, too, and then stand for other bytes.
    let was_misread = |text: &str| {
        let is_claimed = |bytes: Vec<u8>| case.trials.iter().any(|trial| trial.claimed.contains(&bytes));
        of_hex(text).is_some() && STANDARD.decode(text).is_ok_and(is_claimed)
    };
    rewritten(case, |text| {
        if !is_about_writing && !was_misread(text) {
            return Vec::new();
        }
        let facts = |came: String| vec![("how", came.clone()), ("how_zh", came)];
        encodings(text).into_iter().map(|(text, came)| (text, facts(came))).collect()
    })
}

/// The bytes of a text in other encodings, with the name of its own.
pub(super) fn encodings(text: &str) -> Vec<(String, String)> {
    if let Some(bytes) = of_hex(text) {
        return vec![(STANDARD.encode(bytes), "hex".to_owned())];
    }
    let Some(bytes) = of_base64(text) else { return Vec::new() };
    let is_url = text.contains(['-', '_']);
    let is_padded = text.len().is_multiple_of(4);
    let name = if is_url { "base64url" } else { "base64" };
    let came = if is_padded { name.to_owned() } else { format!("{name} (no =)") };
    let own = hex(&bytes);
    let mut others = vec![(own.to_ascii_uppercase(), came.clone()), (own, came.clone())];
    if is_url || !is_padded {
        others.insert(0, (STANDARD.encode(&bytes), came));
    }
    others
}

/// The name under which a signature stands in the request.
pub(super) fn field_of(request: &RawRequest, signature: &str) -> Option<String> {
    found(request).into_iter().find(|found| found.text == signature).map(|found| found.field)
}

/// How many hexadecimal digits the request's signature has, where there is one.
pub(super) fn digits(request: &RawRequest) -> Option<usize> {
    match found(request).as_slice() {
        [one] => of_hex(&one.text).map(|_| one.text.len()),
        _ => None,
    }
}

/// Whether a message was refused before any signature was compared, because of how one is written.
pub(super) fn is_about_writing(case: &Case<'_>) -> bool {
    match case.rejection() {
        Some(Rejection::Malformed { .. } | Rejection::Missing { .. } | Rejection::Algorithm { .. }) => true,
        Some(Rejection::Signature) => case.trials.is_empty(),
        _ => false,
    }
}

/// Bytes of the signatures that a secret makes, the likeliest first.
const KEYED_LENGTHS: [usize; 4] = [32, 16, 20, 64];

/// Most signatures of one request for which others stand in.
const STOOD_IN_MAX: usize = 2;

/// The request with a signature that says nothing in the place of its own, written in the same way and of another
/// length; and its own, as bytes and as text.
pub(super) fn stood_in(request: &RawRequest) -> Vec<(RawRequest, [Vec<u8>; 2])> {
    let mut requests = Vec::new();
    for written in found(request).into_iter().take(STOOD_IN_MAX) {
        let text = written.text.as_str();
        let is_hex = of_hex(text).is_some();
        let Some(bytes) = of_hex(text).or_else(|| of_base64(text)) else { continue };
        let is_bare = !text.ends_with('=') && !bytes.len().is_multiple_of(3);
        for length in KEYED_LENGTHS.into_iter().filter(|length| *length != bytes.len()) {
            let nothing = vec![0; length];
            let other = match (is_hex, is_bare) {
                (true, _) => hex(&nothing),
                (false, true) => STANDARD_NO_PAD.encode(&nothing),
                (false, false) => STANDARD.encode(&nothing),
            };
            let other = written.replaced(request, &other);
            requests.extend(other.map(|other| (other, [bytes.clone(), text.as_bytes().to_vec()])));
        }
    }
    requests
}

/// Each signature of the request in other writings, with what is said of it.
fn rewritten(case: &Case<'_>, others: impl Fn(&str) -> Vec<(String, Facts)>) -> Vec<Undo> {
    let mut undone = Vec::new();
    let request = &case.request;
    let usable = found(request).into_iter().map(|written| (others(&written.text), written));
    for (others, written) in usable.filter(|(others, _)| !others.is_empty()).take(FOUND_MAX) {
        for (text, mut facts) in others {
            let Some(request) = written.replaced(request, &text) else { continue };
            facts.push(("field", crate::channel::quote(&written.field)));
            undone.push(Undo::tried(Otherwise::Request(request), facts));
        }
    }
    undone
}

impl Written {
    /// The request with another text in this place.
    fn replaced(&self, request: &RawRequest, text: &str) -> Option<RawRequest> {
        let mut request = request.clone();
        let mut new = text.as_bytes().to_vec();
        if let Some([before, behind]) = &self.beside {
            new.clear();
            encode_into(&mut new, [before.as_str(), text, behind.as_str()].concat().as_bytes());
        } else if self.is_escaped {
            new.clear();
            encode_into(&mut new, text.as_bytes());
        }
        let put = |old: &[u8]| [&old[..self.range.start], &new, &old[self.range.end..]].concat();
        match self.place {
            Place::Body => request.body = Bytes::from(put(&request.body)),
            Place::Query => request.query = Some(String::from_utf8(put(request.query?.as_bytes())).ok()?),
            Place::Header(at) => {
                let (name, value) = request.headers.iter().nth(at)?;
                let (name, value) = (name.clone(), HeaderValue::from_bytes(&put(value.as_bytes())).ok()?);
                request.headers.insert(name, value);
            }
        }
        Some(request)
    }
}

/// What may be a signature: texts of the right lengths under names that say so.
fn found(request: &RawRequest) -> Vec<Written> {
    let mut found = Vec::new();
    for (at, (name, value)) in request.headers.iter().enumerate() {
        let Ok(text) = value.to_str() else { continue };
        // A name that comes twice has no one value to put another in place of.
        if !is_name(name.as_str()) || request.headers.get_all(name).iter().count() > 1 {
            continue;
        }
        let is_escaped = text.contains('%');
        let runs = if is_escaped { escaped_runs(text) } else { runs(text) };
        let written = runs.into_iter().map(|range| Written {
            place: Place::Header(at),
            text: unescaped(&text[range.clone()]),
            range,
            field: name.to_string(),
            beside: None,
            is_escaped,
        });
        found.extend(written);
    }
    if let Some(query) = &request.query {
        found.extend(in_form(query.as_bytes(), Place::Query));
    }
    let body: &[u8] = &request.body;
    if body.len() > BODY_BYTES_MAX {
        return found;
    }
    match body.trim_ascii_start().first() {
        None => {}
        Some(b'{' | b'<' | b'[') => found.extend(in_document(body)),
        Some(_) => found.extend(in_form(body, Place::Body)),
    }
    found
}

fn is_name(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    NAMES.iter().any(|name| lower.contains(name))
}

/// The values of a form, and what stands in them behind a bar or a comma.
fn in_form(form: &[u8], place: Place) -> Vec<Written> {
    let limits = crate::form::Limits { bytes_max: BODY_BYTES_MAX, pairs_max: 256 };
    let Ok(pairs) = crate::form::Form::parse(form, limits) else { return Vec::new() };
    let mut found = Vec::new();
    for pair in pairs.pairs() {
        let (Ok(name), Ok(value)) = (std::str::from_utf8(&pair.name), std::str::from_utf8(&pair.value)) else {
            continue;
        };
        let found_in = if value.len() <= LONGEST && is_name(name) { runs(value) } else { Vec::new() };
        let start = pair.raw_value.as_ptr() as usize - form.as_ptr() as usize;
        for run in found_in {
            // The whole value is written anew, with the other text in its place.
            let beside = [value[..run.start].to_owned(), value[run.end..].to_owned()];
            found.push(Written {
                place,
                range: start..start + pair.raw_value.len(),
                text: value[run].to_owned(),
                field: name.to_owned(),
                beside: Some(beside),
                is_escaped: false,
            });
        }
    }
    found
}

/// Longest value that is looked at: signatures of a few keys in a row.
const LONGEST: usize = 2048;

/// Texts of JSON or XML whose name stands shortly before them.
fn in_document(body: &[u8]) -> Vec<Written> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let name_of = |at: usize| {
        let mut start = at.saturating_sub(NAME_BYTES);
        while !text.is_char_boundary(start) {
            start += 1;
        }
        // The last word before the text; the CDATA of XML is none.
        let mut words = text[start..at].split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'));
        words.rfind(|word| !word.is_empty() && *word != "CDATA").map(str::to_owned)
    };
    let written = |range: Range<usize>| {
        let field = name_of(range.start).filter(|name| is_name(name))?;
        let text = text[range.clone()].to_owned();
        Some(Written { place: Place::Body, text, range, field, beside: None, is_escaped: false })
    };
    runs(text).into_iter().filter_map(written).collect()
}

/// Where texts of hexadecimal or base64 stand that are as long as signatures.
fn runs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let is_in = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let (mut runs, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_in(**byte)).count();
        if length == 0 {
            at += 1;
            continue;
        }
        let filled = bytes[at + length..].iter().take(2).take_while(|byte| **byte == b'=').count();
        let with_filling = at..at + length + filled;
        let alone = at..at + length;
        let fits =
            |range: &Range<usize>| of_hex(&text[range.clone()]).or_else(|| of_base64(&text[range.clone()])).is_some();
        runs.extend([with_filling, alone].into_iter().find(fits));
        at += length;
    }
    runs
}

/// The same where a header's signature is percent-encoded, so that its signs cannot be taken for those between values.
fn escaped_runs(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut runs, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        while let Some(length) = sign_length(&bytes[at..]) {
            at += length;
        }
        let run = unescaped(&text[start..at]);
        if of_hex(&run).or_else(|| of_base64(&run)).is_some() {
            runs.push(start..at);
        }
        at = at.max(start + 1);
    }
    runs
}

/// How long the sign of base64 is that comes first, as it stands or escaped.
fn sign_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'%', b'2', b'b' | b'B' | b'f' | b'F', ..] | [b'%', b'3', b'd' | b'D', ..] => Some(3),
        [byte, ..] if byte.is_ascii_alphanumeric() || b"+/-_".contains(byte) => Some(1),
        _ => None,
    }
}

fn unescaped(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) || !is_length(text.len() / 2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

/// Base64 of either alphabet, with or without its filling.
fn of_base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()?;
    is_length(bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_hexadecimal_of_one_case_is_flipped() {
        let of = |text: &str| flipped(text.as_bytes()).map(|(text, lower)| (String::from_utf8(text).unwrap(), lower));
        assert_eq!(of("0af3"), Some(("0AF3".to_owned(), true)));
        assert_eq!(of("0AF3"), Some(("0af3".to_owned(), false)));
        for none in ["", "0123", "0aF3", "0ag3", "0af3 "] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn signatures_are_found_by_length_and_name() {
        let digits = "0af3".repeat(8);
        let tag = STANDARD.encode([0xfb; 32]);
        let texts = |request: &RawRequest| {
            found(request).into_iter().map(|found| (found.field, found.text)).collect::<Vec<_>>()
        };
        let body = |body: &str| crate::explain::findings::signing::tests::request(body);
        let one = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
        assert_eq!(texts(&body(&format!("a=1&sign={digits}&no={digits}"))), one("sign", &digits));
        assert_eq!(
            texts(&body(&format!("<xml><sign><![CDATA[{digits}]]></sign><x>{digits}</x></xml>"))),
            one("sign", &digits)
        );
        assert_eq!(
            texts(&body(&format!("{{\"signature\": \"{tag}\", \"id\": \"{digits}\"}}"))),
            one("signature", &tag)
        );
        let escaped = tag.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let form = body(&format!("sign={escaped}&a=1"));
        assert_eq!(texts(&form), one("sign", &tag));
        let [written] = found(&form).try_into().unwrap();
        assert_eq!(written.replaced(&form, "a+b").unwrap().body, "sign=a%2Bb&a=1");
        let mut header = body("");
        header.headers.insert("x-signature", format!("t=1700000000,v1={digits}").parse().unwrap());
        assert_eq!(texts(&header), one("x-signature", &digits));
        let [written] = found(&header).try_into().unwrap();
        assert_eq!(written.replaced(&header, "z").unwrap().headers["x-signature"], "t=1700000000,v1=z");
        let mut escaped_header = body("");
        escaped_header.headers.insert("x-signature", format!("v=1,signature={escaped}").parse().unwrap());
        assert_eq!(texts(&escaped_header), one("x-signature", &tag));
        let [written] = found(&escaped_header).try_into().unwrap();
        let replaced = written.replaced(&escaped_header, "a+b=").unwrap();
        assert_eq!(replaced.headers["x-signature"], "v=1,signature=a%2Bb%3D");
        assert!(texts(&body("sign=0af3&x=1")).is_empty());
    }
}
