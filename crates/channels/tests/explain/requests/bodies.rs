//! Line ends, empty and cut bodies.

use tollbell_channels::explain::{Evidence, Kept};
use tollbell_channels::model::RawRequest;

use super::programs::{is_form, is_json, is_xml, with_pair_text, with_values};
use super::{Harm, check, messages, said, with_body};

/// The body between other bytes, where there is one.
fn between(request: &RawRequest, before: &str, after: &str) -> Option<RawRequest> {
    let body = [before.as_bytes(), &request.body, after.as_bytes()].concat();
    (!request.body.is_empty()).then(|| with_body(request, body))
}

pub(super) fn line_ends_and_blanks_around_a_body() {
    check(&[
        Harm::new("line_ends", "two line ends follow", |request| between(request, "", "\n\n")),
        Harm::new("line_ends", "blanks stand before it", |request| between(request, " \n", "")),
        Harm::new("line_ends", "blanks stand around it", |request| between(request, " ", "\n")),
    ]);
}

/// Some values come in lines, as some platforms write base64 and certificates.
pub(super) fn line_ends_of_values() {
    check(&[
        Harm::new("line_ends", "values are trimmed", |request| {
            with_values(request, |value| value.trim_ascii().to_vec())
        })
        .rare()
        .without_odd_notes(),
        Harm::new("line_ends", "values have a line end more", |request| {
            with_values(request, |value| if value.len() > 40 { [value, b"\n"].concat() } else { value.to_vec() })
        })
        .lossy(),
    ]);
}

pub(super) fn bodies_that_somebody_read_before() {
    for nothing in ["", "[]", "{}", "null"] {
        let mut found = 0;
        for (stage, scene) in messages().iter().filter(|(_, scene)| !scene.genuine.request.body.is_empty()) {
            let kind = stage.platform.kind;
            let diagnosis = said(scene, with_body(&scene.genuine.request, nothing), Kept::WHOLE);
            match diagnosis.findings.as_slice() {
                [only] => {
                    assert_eq!((only.finding.id, only.proof), ("body_empty", Evidence::Seen), "{kind} {nothing:?}");
                    found += 1;
                }
                // Where the signature stands in the query, such a body may be all that there is.
                [] => {
                    let query = scene.genuine.request.query.as_ref();
                    let is_in_query = !nothing.is_empty() && query.is_some_and(|query| query.contains("sign"));
                    assert!(is_in_query, "{kind} {nothing:?}: {:?}", diagnosis.outcome);
                }
                more => panic!("{kind} {nothing:?}: {more:?}"),
            }
        }
        assert!(found > 0, "{nothing:?}");
    }
}

pub(super) fn bodies_that_end_too_early() {
    check(&[
        Harm::new("body_cut", "two bytes are cut", |request| {
            let is_document = is_json(request) || is_xml(request);
            is_document.then(|| with_body(request, request.body[..request.body.len() - 2].to_vec()))
        }),
        Harm::new("body_cut", "half is cut", |request| {
            let is_document = is_json(request) || is_xml(request);
            is_document.then(|| with_body(request, request.body[..request.body.len() / 2].to_vec()))
        }),
        Harm::new("body_cut", "a quarter of a form is cut", |request| {
            if !is_form(request) {
                return None;
            }
            let mut cut = with_body(request, request.body[..request.body.len() * 3 / 4].to_vec());
            cut.headers.insert("content-length", request.body.len().into());
            Some(cut)
        }),
    ]);
}

pub(super) fn what_was_not_kept_proves_nothing() {
    for (stage, scene) in messages().iter().filter(|(_, scene)| !scene.genuine.request.body.is_empty()) {
        let kept = Kept { has_head: true, has_bytes: false };
        let diagnosis = said(scene, with_body(&scene.genuine.request, ""), kept);
        assert!(diagnosis.findings.is_empty(), "{}: {:?}", stage.platform.kind, diagnosis.findings);
    }
}

/// The suite itself: a form is a form, and a query is one where there is no body.
pub(super) fn pairs_that_are_written_as_they_came_are_taken() {
    for (stage, scene) in messages() {
        if let Some(same) = with_pair_text(&scene.genuine.request, <[u8]>::to_vec) {
            let diagnosis = said(scene, same, Kept::WHOLE);
            assert!(diagnosis.outcome.is_accepted(), "{}: {:?}", stage.platform.kind, diagnosis.outcome);
        }
    }
}
