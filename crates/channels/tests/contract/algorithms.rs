//! The algorithm is never the request's alone to choose: a genuine message that names another one, or none, proves
//! nothing, whatever the channel has keys for.

use http::HeaderValue;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;

use super::world::{World, with_body, with_every_platform, worlds};

/// Names of algorithms as protocols write them, and of none.
const NAMES: &[&str] = &[
    "RSA2",
    "RSA",
    "RSA_1_256",
    "SM2",
    "MD5",
    "SHA1",
    "SHA-1",
    "SHA256",
    "SHA-256",
    "HMAC-SHA256",
    "HmacSHA256",
    "RSA2048",
    "WECHATPAY2-SHA256-RSA2048",
    "RSA-SHA256",
    "none",
];

#[test]
fn another_algorithm_than_the_configured_one_proves_nothing() {
    with_every_platform(other_algorithms_prove_nothing);
    let naming = worlds().iter().filter(|world| !renamed(&world.callback().request).is_empty()).count();
    assert!(naming >= 5, "only {naming} platforms name an algorithm in their messages");
}

pub(crate) fn other_algorithms_prove_nothing(world: &World) {
    for (story, genuine) in world.callbacks() {
        world.accepts("as it is", &genuine.request);
        for (label, request) in renamed(&genuine.request) {
            let verdict = world.verify(&request);
            let is_refused = matches!(verdict, Verdict::Refused(_) | Verdict::NeedsKey(_));
            assert!(is_refused, "{}: {}: {label}: {verdict:?}", world.platform.kind, story.kind);
        }
    }
}

/// The request with each name of an algorithm in it replaced by each other one, one at a time.
fn renamed(request: &RawRequest) -> Vec<(String, RawRequest)> {
    let mut changed = Vec::new();
    for name in NAMES {
        for other in NAMES.iter().copied().chain([""]).filter(|other| other != name) {
            let label = |place: &str| format!("`{name}` → `{other}` in {place}");
            if let Some(body) = replaced(&request.body, name, other) {
                changed.push((label("the body"), with_body(request, body)));
            }
            if let Some(query) = request.query.as_ref().and_then(|query| replaced(query.as_bytes(), name, other)) {
                let query = String::from_utf8(query).expect("as it was");
                changed.push((label("the query"), RawRequest { query: Some(query), ..request.clone() }));
            }
            for (header, value) in &request.headers {
                if header != "content-type"
                    && let Some(value) = replaced(value.as_bytes(), name, other)
                {
                    let mut request = request.clone();
                    request.headers.insert(header.clone(), HeaderValue::from_bytes(&value).expect("as it was"));
                    changed.push((label(header.as_str()), request));
                }
            }
        }
    }
    changed
}

/// Every whole word replaced; none when it is not there.
fn replaced(text: &[u8], name: &str, other: &str) -> Option<Vec<u8>> {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
    let mut new = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut is_found = false;
    while at < text.len() {
        let is_here = text[at..].starts_with(name.as_bytes())
            && !is_part(at.checked_sub(1).and_then(|before| text.get(before)))
            && !is_part(text.get(at + name.len()));
        if is_here {
            new.extend_from_slice(other.as_bytes());
            at += name.len();
            is_found = true;
        } else {
            new.push(text[at]);
            at += 1;
        }
    }
    is_found.then_some(new)
}
