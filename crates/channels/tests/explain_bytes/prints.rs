//! JSON, XML and forms that were read and printed again.

use tollbell_channels::model::RawRequest;

use super::damage::{is_json, is_xml, read_pairs, text, with_tokens, with_values, write_pairs};
use super::stage::{check, with_body, worlds};

type Damage = fn(&RawRequest) -> Option<RawRequest>;

/// Strings with every character beyond ASCII by its number, and slashes escaped where it is said.
fn ascii(text: &str, slashes: bool) -> String {
    let mut out = String::new();
    for c in serde_json::to_string(text).expect("a text").chars() {
        match c {
            '/' if slashes => out.push_str("\\/"),
            c if c.is_ascii() => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
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

#[test]
fn a_body_is_printed_again() {
    let worlds = worlds();
    let damages: [(&str, Damage); 6] = [
        ("PHP", |request| is_json(request).then(|| with_body(request, php(&request.body)))),
        ("JavaScript", |request| is_json(request).then(|| with_body(request, javascript(&request.body)))),
        ("Python", |request| is_json(request).then(|| with_body(request, python(&request.body)))),
        ("Python, no escapes", |request| is_json(request).then(|| with_body(request, python_plain(&request.body)))),
        ("lines", |request| is_json(request).then(|| with_body(request, lines(&request.body)))),
        ("Go", |request| is_json(request).then(|| with_body(request, go(&request.body)))),
    ];
    for (label, damage) in damages {
        if label == "JavaScript" || label == "Go" {
            // Most platforms write so themselves.
            continue_if_damaged(&worlds, label, damage);
        } else {
            check(&worlds, "json_reprinted", label, false, damage);
        }
    }
}

/// Like [`check`], where it may be that nobody's message is damaged.
fn continue_if_damaged(worlds: &[super::stage::World], label: &str, damage: Damage) {
    let is_damaged = worlds.iter().any(|world| {
        world.genuine.iter().any(|(_, genuine)| damage(genuine).is_some_and(|damaged| !world.accepts(&damaged)))
    });
    if is_damaged {
        check(worlds, "json_reprinted", label, false, damage);
    }
}

#[test]
fn values_of_json_are_printed_again() {
    let worlds = worlds();
    let json = |value: &[u8]| {
        serde_json::from_slice::<serde_json::Value>(value).is_ok_and(|json| json.is_object() || json.is_array())
    };
    assert!(json(b"{}"));
    let damages: [(&str, Damage); 2] = [
        ("PHP", |request| {
            with_values(request, |value| if holds_json(value) { php(value).into_bytes() } else { value.to_vec() })
        }),
        ("Python", |request| {
            with_values(request, |value| if holds_json(value) { python(value).into_bytes() } else { value.to_vec() })
        }),
    ];
    for (label, damage) in damages {
        check(&worlds, "json_reprinted", label, false, damage);
    }
}

fn holds_json(value: &[u8]) -> bool {
    matches!(value, [b'{' | b'[', ..]) && serde_json::from_slice::<serde_json::Value>(value).is_ok()
}

#[test]
fn a_document_is_written_again() {
    let worlds = worlds();
    let damages: [(&str, Damage); 3] = [
        ("a name space", |request| {
            is_xml(request).then(|| with_body(request, text(&request.body).replacen('>', " xmlns=\"urn:a\">", 1)))
        }),
        ("a comment", |request| {
            is_xml(request).then(|| with_body(request, format!("<!-- from the proxy -->\n{}", text(&request.body))))
        }),
        ("values on lines of their own", |request| {
            is_xml(request).then(|| {
                let body = text(&request.body).replace("<![CDATA[", "\n    <![CDATA[").replace("]]>", "]]>\n  ");
                with_body(request, body)
            })
        }),
    ];
    for (label, damage) in damages {
        check(&worlds, "xml_reprinted", label, false, damage);
    }
}

#[test]
fn pairs_say_the_same_in_every_order() {
    let mut is_tried = false;
    for world in worlds() {
        for (name, genuine) in &world.genuine {
            let reversed = super::damage::with_pair_text(genuine, |pairs| {
                let mut pairs = read_pairs(pairs);
                pairs.reverse();
                write_pairs(&pairs)
            });
            is_tried |= reversed.is_some();
            assert!(reversed.is_none_or(|reversed| world.accepts(&reversed)), "{name}");
        }
    }
    assert!(is_tried);
}
