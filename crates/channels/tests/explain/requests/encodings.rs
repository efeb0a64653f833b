//! Values that were decoded, encoded or escaped once too often, and charsets.

use tollbell_channels::model::RawRequest;

use super::programs::{
    form_encoded, html_escaped, is_json, text, with_headers, with_pair_text, with_texts, with_values,
};
use super::{Harm, check, with_body};
use crate::explain::bytes::{decoded, percent_decoded};

pub(super) fn plus_signs_become_blanks() {
    check(&[
        // Of a merchant's own plus signs nobody knows afterwards.
        Harm::new("plus_lost", "in a form that nobody encoded", |request| {
            with_pair_text(request, |form| text(form).replace("%2B", "+").into_bytes())
        })
        .without_odd_notes(),
        Harm::new("plus_lost", "in base64 alone", |request| {
            with_values(request, |value| if is_base64(value) { blanked(value) } else { value.to_vec() })
        }),
        Harm::new("plus_lost", "in headers", |request| {
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

pub(super) fn values_are_encoded_once_too_often() {
    check(&[
        Harm::new("encoded_twice", "base64 alone", |request| {
            with_values(request, |value| if is_base64(value) { form_encoded(value) } else { value.to_vec() })
        }),
        Harm::new("encoded_twice", "headers", |request| {
            let encoded = |value: &str| text(&form_encoded(value.as_bytes())).to_owned();
            with_headers(request, |value| (value.len() > 60 && is_base64(value.as_bytes())).then(|| encoded(value)))
        }),
        Harm::new("encoded_twice", "the whole body of JSON", |request| {
            is_json(request).then(|| with_body(request, form_encoded(&request.body)))
        }),
        Harm::new("encoded_twice", "JSON taken for a form", |request| {
            is_json(request).then(|| with_body(request, [form_encoded(&request.body).as_slice(), b"="].concat()))
        }),
        Harm::new("encoded_twice", "JSON in a field", |request| {
            let field = [b"payload=", form_encoded(&request.body).as_slice()].concat();
            is_json(request).then(|| with_body(request, field))
        }),
        Harm::new("encoded_twice", "JSON in JSON", |request| {
            is_json(request).then(|| with_body(request, serde_json::to_vec(text(&request.body)).expect("a text")))
        }),
    ]);
}

pub(super) fn bodies_are_decoded_before_they_are_split() {
    check(&[
        Harm::new("decoded_twice", "plus signs are kept", |request| decoded_first(request, percent_decoded))
            .lossy()
            .without_odd_notes(),
        Harm::new("decoded_twice", "plus signs are blanks", |request| decoded_first(request, decoded))
            .lossy()
            .without_odd_notes(),
    ]);
}

/// What has no sign that a decoder changes is left alone, and a bare ampersand splits pairs for good.
fn decoded_first(request: &RawRequest, decode: fn(&[u8]) -> Vec<u8>) -> Option<RawRequest> {
    let is_odd = |text: &[u8]| text.iter().any(|byte| !byte.is_ascii() || b"\"{".contains(byte));
    with_pair_text(request, |pairs| Some(decode(pairs)).filter(|pairs| is_odd(pairs)).unwrap_or_else(|| pairs.to_vec()))
}

pub(super) fn values_are_escaped_for_html() {
    check(&[
        Harm::new("html_escaped", "quotation marks alone", |request| {
            with_values(request, |value| text(value).replace('"', "&quot;").into_bytes())
        }),
        Harm::new("html_escaped", "the signs between pairs", |request| {
            with_pair_text(request, |pairs| text(pairs).replace('&', "&amp;").into_bytes())
        }),
        Harm::new("html_escaped", "texts in JSON", |request| with_texts(request, html_escaped)).lossy(),
    ]);
}

/// Characters that a charset does not have are lost.
pub(super) fn charsets_are_changed() {
    check(&[Harm::new("charset_changed", "values read as Windows-1252", |request| {
        let read = |value: &[u8]| encoding_rs::WINDOWS_1252.decode_without_bom_handling(value).0.into_owned();
        with_values(request, |value| read(value).into_bytes())
    })
    .without_odd_notes()]);
}
