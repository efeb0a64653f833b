//! JSON, XML and forms that were read and printed again.

use std::fmt::Write as _;

use tollbell_channels::explain::Kept;
use tollbell_channels::model::RawRequest;

use super::programs::{is_json, is_xml, text, with_pair_text, with_tokens, with_values};
use super::{Harm, check, messages, said, with_body};
use crate::explain::bytes::{read_form, write_form};
use crate::explain::matrix::ids;

/// Strings with every character beyond ASCII by its number, and slashes escaped where it is said.
fn ascii(text: &str, slashes: bool) -> String {
    let mut out = String::new();
    for c in serde_json::to_string(text).expect("a text").chars() {
        match c {
            '/' if slashes => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("a text takes all");
                }
            }
        }
    }
    out
}

fn plain(text: &str) -> String {
    serde_json::to_string(text).expect("a text")
}

/// Signs without blanks around them.
fn compact(outside: &str) -> String {
    outside.split_ascii_whitespace().collect()
}

/// Python's separators.
fn spaced(outside: &str) -> String {
    compact(outside).replace(',', ", ").replace(':', ": ")
}

/// `json_encode(json_decode($body))`.
fn php(json: &[u8]) -> String {
    with_tokens(json, compact, |text, _| ascii(text, true))
}

/// `JSON.stringify(JSON.parse(body))`.
fn javascript(json: &[u8]) -> String {
    with_tokens(json, compact, |text, _| plain(text))
}

/// `json.dumps(json.loads(body))`.
fn python(json: &[u8]) -> String {
    with_tokens(json, spaced, |text, _| ascii(text, false))
}

/// `json.dumps(json.loads(body), ensure_ascii=False)`.
fn python_plain(json: &[u8]) -> String {
    with_tokens(json, spaced, |text, _| plain(text))
}

/// `json_encode(json_decode($body), JSON_PRETTY_PRINT)`, by and large.
fn lines(json: &[u8]) -> String {
    with_tokens(
        json,
        |outside| compact(outside).replace(',', ",\n    ").replace('{', "{\n    "),
        |text, _| ascii(text, true),
    )
}

/// `json.Marshal`.
fn go(json: &[u8]) -> String {
    with_tokens(json, compact, |text, _| {
        plain(text).replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
    })
}

/// The body printed so, where it is JSON.
fn printed(request: &RawRequest, print: fn(&[u8]) -> String) -> Option<RawRequest> {
    is_json(request).then(|| with_body(request, print(&request.body)))
}

pub(super) fn a_body_is_printed_again() {
    check(&[
        Harm::new("json_reprinted", "PHP", |request| printed(request, php)),
        Harm::new("json_reprinted", "JavaScript", |request| printed(request, javascript)).rare(),
        Harm::new("json_reprinted", "Python", |request| printed(request, python)),
        Harm::new("json_reprinted", "Python, no escapes", |request| printed(request, python_plain)),
        Harm::new("json_reprinted", "lines", |request| printed(request, lines)),
        Harm::new("json_reprinted", "Go", |request| printed(request, go)),
    ]);
}

pub(super) fn values_of_json_are_printed_again() {
    check(&[
        Harm::new("json_reprinted", "PHP, in values", |request| {
            with_values(request, |value| if holds_json(value) { php(value).into_bytes() } else { value.to_vec() })
        }),
        Harm::new("json_reprinted", "Python, in values", |request| {
            with_values(request, |value| if holds_json(value) { python(value).into_bytes() } else { value.to_vec() })
        }),
    ]);
}

fn holds_json(value: &[u8]) -> bool {
    matches!(value, [b'{' | b'[', ..]) && serde_json::from_slice::<serde_json::Value>(value).is_ok()
}

pub(super) fn a_document_is_written_again() {
    check(&[
        Harm::new("xml_reprinted", "a name space", |request| {
            let body = text(&request.body);
            let root = body.match_indices('<').find(|(at, _)| body[at + 1..].starts_with(char::is_alphabetic))?.0;
            let end = root + body[root..].find('>')?;
            let spaced = format!("{} xmlns=\"urn:a\"{}", &body[..end], &body[end..]);
            is_xml(request).then(|| with_body(request, spaced))
        }),
        Harm::new("xml_reprinted", "a comment", |request| {
            is_xml(request).then(|| with_body(request, format!("<!-- from the proxy -->\n{}", text(&request.body))))
        }),
        Harm::new("xml_reprinted", "values on lines of their own", |request| {
            let body = text(&request.body).replace("<![CDATA[", "\n    <![CDATA[").replace("]]>", "]]>\n  ");
            is_xml(request).then(|| with_body(request, body))
        }),
    ]);
}

/// Where the bytes of a form are signed, another order is a mistake.
pub(super) fn pairs_say_the_same_in_every_order() {
    let mut is_taken = false;
    for (stage, scene) in messages() {
        let reversed = with_pair_text(&scene.genuine.request, |pairs| {
            let mut pairs = read_form(pairs);
            pairs.reverse();
            write_form(&pairs)
        });
        let Some(reversed) = reversed else { continue };
        let diagnosis = said(scene, reversed, Kept::WHOLE);
        is_taken |= diagnosis.outcome.is_accepted();
        let found = ids(&diagnosis);
        assert!(found.iter().all(|id| *id == "form_reprinted"), "{}: {found:?}", stage.platform.kind);
    }
    assert!(is_taken);
}
