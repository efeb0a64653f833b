//! Values that were decoded, encoded or escaped once too often, and charsets.

use tollbell_channels::model::RawRequest;

use super::damage::{
    form_decoded, form_encoded, html_escaped, is_form, is_json, percent_decoded, read_pairs, text, with_headers,
    with_pair_text, with_slashes, with_texts, with_values, write_pairs,
};
use super::stage::{Damage, check, with_body};

#[test]
fn plus_signs_become_blanks() {
    check(&[
        // Of a merchant's own plus signs nobody knows afterwards.
        Damage::new("plus_lost", "in a form that nobody encoded", |request| {
            with_pair_text(request, |form| text(form).replace("%2B", "+").into_bytes())
        })
        .without_odd_notes(),
        Damage::new("plus_lost", "in base64 alone", |request| {
            with_values(request, |value| if is_base64(value) { blanked(value) } else { value.to_vec() })
        }),
        Damage::new("plus_lost", "in headers", |request| {
            with_headers(request, |value| {
                (value.len() > 60 && is_base64(value.as_bytes())).then(|| value.replace('+', " "))
            })
        }),
    ]);
}

fn is_base64(value: &[u8]) -> bool {
    value.len() >= 20 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

fn blanked(value: &[u8]) -> Vec<u8> {
    text(value).replace('+', " ").into_bytes()
}

#[test]
fn values_are_encoded_once_too_often() {
    check(&[
        Damage::new("encoded_twice", "every value", |request| with_values(request, form_encoded)),
        Damage::new("encoded_twice", "base64 alone", |request| {
            with_values(request, |value| if is_base64(value) { form_encoded(value) } else { value.to_vec() })
        }),
        Damage::new("encoded_twice", "headers", |request| {
            let encoded = |value: &str| text(&form_encoded(value.as_bytes())).to_owned();
            with_headers(request, |value| (value.len() > 60 && is_base64(value.as_bytes())).then(|| encoded(value)))
        }),
        Damage::new("encoded_twice", "the whole body of JSON", |request| {
            is_json(request).then(|| with_body(request, form_encoded(&request.body)))
        }),
        Damage::new("encoded_twice", "JSON taken for a form", |request| {
            is_json(request).then(|| with_body(request, [form_encoded(&request.body).as_slice(), b"="].concat()))
        }),
        Damage::new("encoded_twice", "JSON in a field", |request| {
            let field = [b"payload=", form_encoded(&request.body).as_slice()].concat();
            is_json(request).then(|| with_body(request, field))
        }),
        Damage::new("encoded_twice", "JSON in JSON", |request| {
            is_json(request).then(|| with_body(request, serde_json::to_vec(text(&request.body)).expect("a text")))
        }),
    ]);
}

#[test]
fn bodies_are_decoded_before_they_are_split() {
    check(&[
        Damage::new("decoded_twice", "plus signs are kept", |request| decoded_first(request, percent_decoded))
            .lossy()
            .without_odd_notes(),
        Damage::new("decoded_twice", "plus signs are blanks", |request| decoded_first(request, form_decoded))
            .lossy()
            .without_odd_notes(),
    ]);
}

/// What has no sign that a decoder changes is left alone, and a bare ampersand splits pairs for good.
fn decoded_first(request: &RawRequest, decode: fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    let is_odd = |text: &[u8]| text.iter().any(|byte| !byte.is_ascii() || b"\"{".contains(byte));
    with_pair_text(request, |pairs| Some(decode(pairs)).filter(|pairs| is_odd(pairs)).unwrap_or_else(|| pairs.to_vec()))
}

#[test]
fn values_are_escaped_for_html() {
    check(&[
        Damage::new("html_escaped", "values of pairs", |request| {
            with_values(request, |value| html_escaped(text(value)).into_bytes())
        }),
        Damage::new("html_escaped", "quotation marks alone", |request| {
            with_values(request, |value| text(value).replace('"', "&quot;").into_bytes())
        }),
        Damage::new("html_escaped", "the signs between pairs", |request| {
            with_pair_text(request, |pairs| text(pairs).replace('&', "&amp;").into_bytes())
        }),
        Damage::new("html_escaped", "a whole body", |request| {
            is_json(request).then(|| with_body(request, html_escaped(text(&request.body))))
        }),
        Damage::new("html_escaped", "texts in JSON", |request| with_texts(request, html_escaped)).lossy(),
    ]);
}

#[test]
fn slashes_are_added() {
    check(&[
        Damage::new("slashes_added", "values of pairs", |request| {
            with_values(request, |value| with_slashes(text(value)).into_bytes())
        }),
        Damage::new("slashes_added", "a whole body", |request| {
            is_json(request).then(|| with_body(request, with_slashes(text(&request.body))))
        }),
    ]);
}

/// Characters that a charset does not have are lost.
#[test]
fn charsets_are_changed() {
    let damages = [
        Damage::new("charset_changed", "values to GBK", |request| with_values(request, to_gbk)),
        Damage::new("charset_changed", "values read as Latin-1", |request| with_values(request, from_latin)),
        Damage::new("charset_changed", "values read as Windows-1252", |request| {
            let read = |value: &[u8]| encoding_rs::WINDOWS_1252.decode_without_bom_handling(value).0.into_owned();
            with_values(request, |value| read(value).into_bytes())
        }),
        Damage::new("charset_changed", "a whole body to GBK", |request| {
            (!is_form(request)).then(|| with_body(request, to_gbk(&request.body)))
        }),
        Damage::new("charset_changed", "a whole body read as Latin-1", |request| {
            (!is_form(request)).then(|| with_body(request, from_latin(&request.body)))
        }),
    ];
    check(&damages.map(Damage::without_odd_notes));
}

fn to_gbk(bytes: &[u8]) -> Vec<u8> {
    encoding_rs::GBK.encode(text(bytes)).0.into_owned()
}

fn from_latin(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes()
}

#[test]
fn pairs_are_read_and_written_without_loss() {
    let pairs = read_pairs(b"a=1+2&b=%2B&c");
    assert_eq!(write_pairs(&pairs), b"a=1+2&b=%2B&c=");
}
