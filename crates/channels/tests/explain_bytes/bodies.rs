//! Line ends, empty and cut bodies.

use tollbell_channels::explain::{Evidence, Kept};
use tollbell_channels::model::RawRequest;

use super::damage::{is_form, is_json, is_xml, text, with_pair_text, with_values};
use super::stage::{Damage, check, with_body, worlds};

/// The body between other bytes, where there is one.
fn between(request: &RawRequest, before: &str, after: &str) -> Option<RawRequest> {
    let body = [before.as_bytes(), &request.body, after.as_bytes()].concat();
    (!request.body.is_empty()).then(|| with_body(request, body))
}

#[test]
fn line_ends_and_blanks_around_a_body() {
    check(&[
        Damage::new("line_ends", "a line end follows", |request| between(request, "", "\n")),
        Damage::new("line_ends", "a line end of Windows follows", |request| between(request, "", "\r\n")),
        Damage::new("line_ends", "two line ends follow", |request| between(request, "", "\n\n")),
        Damage::new("line_ends", "blanks stand before it", |request| between(request, " \n", "")),
        Damage::new("line_ends", "blanks stand around it", |request| between(request, " ", "\n")),
    ]);
}

/// Some values come in lines, as some platforms write base64 and certificates.
#[test]
fn line_ends_of_values() {
    check(&[
        Damage::new("line_ends", "values are trimmed", |request| {
            with_values(request, |value| value.trim_ascii().to_vec())
        })
        .without_odd_notes(),
        Damage::new("line_ends", "values have a line end more", |request| {
            with_values(request, |value| if value.len() > 40 { [value, b"\n"].concat() } else { value.to_vec() })
        })
        .lossy(),
    ]);
}

#[test]
fn bodies_that_somebody_read_before() {
    for nothing in ["", "[]", "{}", "null"] {
        let mut found = 0;
        for world in worlds() {
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
    check(&[
        Damage::new("body_cut", "two bytes are cut", |request| {
            let is_document = is_json(request) || is_xml(request);
            is_document.then(|| with_body(request, request.body[..request.body.len() - 2].to_vec()))
        }),
        Damage::new("body_cut", "half is cut", |request| {
            let is_document = is_json(request) || is_xml(request);
            is_document.then(|| with_body(request, request.body[..request.body.len() / 2].to_vec()))
        }),
        Damage::new("body_cut", "a quarter of a form is cut", |request| {
            if !is_form(request) {
                return None;
            }
            let mut cut = with_body(request, request.body[..request.body.len() * 3 / 4].to_vec());
            cut.headers.insert("content-length", request.body.len().into());
            Some(cut)
        }),
    ]);
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

/// The stage itself: a form is a form, and a query is one where there is no body.
#[test]
fn pairs_that_are_written_as_they_came_are_taken() {
    for world in worlds() {
        for (name, genuine) in &world.genuine {
            if let Some(same) = with_pair_text(genuine, <[u8]>::to_vec) {
                assert!(world.accepts(&same), "{name}: {}", text(&same.body));
            }
        }
    }
}
