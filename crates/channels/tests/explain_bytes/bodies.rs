//! Line ends, empty and cut bodies.

use tollbell_channels::explain::{Evidence, Kept};
use tollbell_channels::model::RawRequest;

use super::damage::{is_form, is_json, is_xml, text, with_pair_text, with_values};
use super::stage::{check, with_body, worlds};

#[test]
fn line_ends_and_blanks_around_a_body() {
    let worlds = worlds();
    let damages: [(&str, fn(&RawRequest) -> Option<RawRequest>); 5] = [
        ("a line end follows", |request| {
            has_body(request).then(|| with_body(request, [&request.body, &b"\n"[..]].concat()))
        }),
        ("a line end of Windows follows", |request| {
            has_body(request).then(|| with_body(request, [&request.body, &b"\r\n"[..]].concat()))
        }),
        ("two line ends follow", |request| {
            has_body(request).then(|| with_body(request, [&request.body, &b"\n\n"[..]].concat()))
        }),
        ("blanks stand before it", |request| {
            has_body(request).then(|| with_body(request, [&b" \n"[..], &request.body].concat()))
        }),
        ("blanks stand around it", |request| {
            has_body(request).then(|| with_body(request, [&b" "[..], &request.body, &b"\n"[..]].concat()))
        }),
    ];
    for (label, damage) in damages {
        check(&worlds, "line_ends", label, false, damage);
    }
}

fn has_body(request: &RawRequest) -> bool {
    !request.body.is_empty()
}

#[test]
fn line_ends_that_were_changed_or_cut() {
    let mut worlds = worlds();
    // Values in lines, as some platforms write base64: trimmed, or with other line ends.
    let trimmed = |request: &RawRequest| with_values(request, |value| value.trim_ascii().to_vec());
    let windows = |request: &RawRequest| with_values(request, |value| text_lines(value, "\r\n"));
    check(&worlds, "line_ends", "values are trimmed", true, trimmed);
    check(&worlds, "line_ends", "values have line ends of Windows", true, windows);
    worlds.retain(|world| world.genuine.iter().any(|(_, genuine)| genuine.body.contains(&b'\n')));
    if !worlds.is_empty() {
        let windows = |request: &RawRequest| Some(with_body(request, text_lines(&request.body, "\r\n")));
        check(&worlds, "line_ends", "line ends of Windows", false, windows);
    }
}

fn text_lines(bytes: &[u8], end: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.replace('\n', end).into_bytes(),
        Err(_) => bytes.to_vec(),
    }
}

#[test]
fn bodies_that_somebody_read_before() {
    let worlds = worlds();
    for nothing in ["", "[]", "{}", "null"] {
        let mut found = 0;
        for world in &worlds {
            for (name, genuine) in &world.genuine {
                if genuine.body.is_empty() {
                    continue;
                }
                let damaged = with_body(genuine, nothing);
                assert!(!world.accepts(&damaged), "{name}");
                let diagnosis = world.explain(&damaged, Kept::WHOLE);
                // Where the signature stands in the query, an empty body may be all that there is.
                let is_in_query = genuine.query.as_ref().is_some_and(|query| query.contains("sign"));
                match diagnosis.findings.as_slice() {
                    [only] => {
                        assert_eq!((only.finding.id, only.proof), ("body_empty", Evidence::Seen), "{name} {nothing:?}");
                        found += 1;
                    }
                    [] => assert!(is_in_query, "{name} {nothing:?}: {:?}", diagnosis.outcome),
                    more => panic!("{name} {nothing:?}: {more:?}"),
                }
            }
        }
        assert!(found > 0, "{nothing:?}");
    }
}

#[test]
fn bodies_that_end_too_early() {
    let worlds = worlds();
    let documents: fn(&RawRequest) -> Option<RawRequest> = |request| {
        let is_document = is_json(request) || is_xml(request);
        is_document.then(|| with_body(request, request.body[..request.body.len() - 2].to_vec()))
    };
    check(&worlds, "body_cut", "two bytes are cut", false, documents);
    let half: fn(&RawRequest) -> Option<RawRequest> = |request| {
        let is_document = is_json(request) || is_xml(request);
        is_document.then(|| with_body(request, request.body[..request.body.len() / 2].to_vec()))
    };
    check(&worlds, "body_cut", "half is cut", false, half);
    let announced: fn(&RawRequest) -> Option<RawRequest> = |request| {
        if !is_form(request) {
            return None;
        }
        let mut cut = with_body(request, request.body[..request.body.len() * 3 / 4].to_vec());
        cut.headers.insert("content-length", request.body.len().into());
        Some(cut)
    };
    check(&worlds, "body_cut", "a quarter of a form is cut", true, announced);
}

#[test]
fn what_was_not_kept_proves_nothing() {
    for world in worlds() {
        for (name, genuine) in &world.genuine {
            let empty = with_body(genuine, "");
            if genuine.body.is_empty() || world.accepts(&empty) {
                continue;
            }
            let kept = Kept { has_head: true, has_bytes: false };
            assert!(world.explain(&empty, kept).findings.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_pair_text_is_told() {
    // The stage itself: a form is a form, and a query is one where there is no body.
    for world in worlds() {
        for (name, genuine) in &world.genuine {
            if let Some(same) = with_pair_text(genuine, <[u8]>::to_vec) {
                assert!(world.accepts(&same), "{name}: {}", text(&same.body));
            }
        }
    }
}
