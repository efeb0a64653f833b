//! Values that were decoded, encoded or escaped once too often, and charsets.

use tollbell_channels::model::RawRequest;

use super::damage::{
    form_decoded, form_encoded, html_escaped, is_form, is_json, percent_decoded, read_pairs, text, with_headers,
    with_pair_text, with_slashes, with_texts, with_values, write_pairs,
};
use super::stage::{check, with_body, worlds};

type Damage = fn(&RawRequest) -> Option<RawRequest>;

#[test]
fn plus_signs_become_blanks() {
    let worlds = worlds();
    let damages: [(&str, Damage); 3] = [
        ("in a form that nobody encoded", |request| {
            with_pair_text(request, |form| text(form).replace("%2B", "+").into_bytes())
        }),
        ("in base64 alone", |request| {
            with_values(request, |value| {
                if is_base64(value) { text(value).replace('+', " ").into_bytes() } else { value.to_vec() }
            })
        }),
        ("in headers", |request| {
            with_headers(request, |value| {
                (value.len() > 60 && is_base64(value.as_bytes())).then(|| value.replace('+', " "))
            })
        }),
    ];
    for (label, damage) in damages {
        // Of a merchant's own plus signs nobody knows afterwards.
        check(&worlds, "plus_lost", label, true, damage);
    }
}

fn is_base64(value: &[u8]) -> bool {
    value.len() >= 20 && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte))
}

#[test]
fn values_are_encoded_once_too_often() {
    let worlds = worlds();
    let damages: [(&str, Damage, bool); 5] = [
        ("every value", |request| with_values(request, form_encoded), false),
        (
            "base64 alone",
            |request| with_values(request, |value| if is_base64(value) { form_encoded(value) } else { value.to_vec() }),
            true,
        ),
        (
            "the whole body of JSON",
            |request| is_json(request).then(|| with_body(request, form_encoded(&request.body))),
            false,
        ),
        (
            "JSON taken for a form",
            |request| {
                is_json(request).then(|| with_body(request, [form_encoded(&request.body).as_slice(), b"="].concat()))
            },
            false,
        ),
        (
            "JSON in a field",
            |request| {
                is_json(request)
                    .then(|| with_body(request, [b"payload=", form_encoded(&request.body).as_slice()].concat()))
            },
            false,
        ),
    ];
    for (label, damage, is_lossy) in damages {
        check(&worlds, "encoded_twice", label, is_lossy, damage);
    }
    let headers: Damage = |request| {
        with_headers(request, |value| {
            (value.len() > 60 && is_base64(value.as_bytes())).then(|| text(&form_encoded(value.as_bytes())).to_owned())
        })
    };
    check(&worlds, "encoded_twice", "headers", false, headers);
    let quoted: Damage = |request| {
        is_json(request).then(|| with_body(request, serde_json::to_vec(text(&request.body)).expect("a text")))
    };
    check(&worlds, "encoded_twice", "JSON in JSON", false, quoted);
}

#[test]
fn bodies_are_decoded_before_they_are_split() {
    let mut worlds = worlds();
    for world in &mut worlds {
        // What has no sign that a decoder changes, or one that splits pairs, is damaged otherwise or beyond repair.
        world.genuine.retain(|(name, _)| !name.contains("a=b&c"));
    }
    let damages: [(&str, Damage); 2] = [
        ("plus signs are kept", |request| {
            let is_odd =
                |text: &[u8]| percent_decoded(text).iter().any(|byte| !byte.is_ascii() || b" \"{".contains(byte));
            with_pair_text(request, |form| if is_odd(form) { percent_decoded(form) } else { form.to_vec() })
        }),
        ("plus signs are blanks", |request| {
            let is_odd = |text: &[u8]| form_decoded(text).iter().any(|byte| !byte.is_ascii() || b"\"{".contains(byte));
            with_pair_text(request, |form| if is_odd(form) { form_decoded(form) } else { form.to_vec() })
        }),
    ];
    for (label, damage) in damages {
        check(&worlds, "decoded_twice", label, true, damage);
    }
}

#[test]
fn values_are_escaped_for_html() {
    let worlds = worlds();
    let damages: [(&str, Damage); 4] = [
        ("values of pairs", |request| with_values(request, |value| html_escaped(text(value)).into_bytes())),
        ("quotation marks alone", |request| {
            with_values(request, |value| text(value).replace('"', "&quot;").into_bytes())
        }),
        ("the signs between pairs", |request| {
            with_pair_text(request, |pairs| text(pairs).replace('&', "&amp;").into_bytes())
        }),
        ("a whole body", |request| is_json(request).then(|| with_body(request, html_escaped(text(&request.body))))),
    ];
    for (label, damage) in damages {
        check(&worlds, "html_escaped", label, false, damage);
    }
    let texts: Damage = |request| with_texts(request, html_escaped);
    check(&worlds, "html_escaped", "texts in JSON", true, texts);
}

#[test]
fn slashes_are_added() {
    let worlds = worlds();
    let damages: [(&str, Damage); 2] = [
        ("values of pairs", |request| with_values(request, |value| with_slashes(text(value)).into_bytes())),
        ("a whole body", |request| is_json(request).then(|| with_body(request, with_slashes(text(&request.body))))),
    ];
    for (label, damage) in damages {
        check(&worlds, "slashes_added", label, false, damage);
    }
}

#[test]
fn charsets_are_changed() {
    let mut worlds = worlds();
    for world in &mut worlds {
        // Characters that GBK does not have are lost.
        world.genuine.retain(|(name, _)| !name.contains("a=b&c"));
    }
    let gbk: Damage = |request| with_values(request, |value| encoding_rs::GBK.encode(text(value)).0.into_owned());
    check(&worlds, "charset_changed", "values to GBK", false, gbk);
    let latin: Damage = |request| {
        with_values(request, |value| value.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes())
    };
    check(&worlds, "charset_changed", "values read as Latin-1", false, latin);
    let windows: Damage = |request| {
        with_values(request, |value| {
            encoding_rs::WINDOWS_1252.decode_without_bom_handling(value).0.into_owned().into_bytes()
        })
    };
    check(&worlds, "charset_changed", "values read as Windows-1252", false, windows);
    let body: Damage = |request| {
        (!is_form(request)).then(|| with_body(request, encoding_rs::GBK.encode(text(&request.body)).0.into_owned()))
    };
    check(&worlds, "charset_changed", "a whole body to GBK", false, body);
    let latin: Damage = |request| {
        (!is_form(request))
            .then(|| with_body(request, request.body.iter().map(|&byte| char::from(byte)).collect::<String>()))
    };
    check(&worlds, "charset_changed", "a whole body read as Latin-1", false, latin);
}

#[test]
fn pairs_are_read_and_written_without_loss() {
    let pairs = read_pairs(b"a=1+2&b=%2B&c");
    assert_eq!(write_pairs(&pairs), b"a=1+2&b=%2B&c=");
}
