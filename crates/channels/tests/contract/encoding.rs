//! Re-encodings that keep what is covered are accepted, and what is beside the message changes nothing.

use http::HeaderValue;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Cover;

use super::form::{Pair, Style, read, write};
use super::world::{World, with_body, with_header, worlds};

#[test]
fn a_form_is_accepted_in_every_encoding() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            if !matches!(genuine.cover, Cover::Pairs(_)) {
                continue;
            }
            let pairs = read(&genuine.request.body);
            for style in Style::ALL {
                let request = with_body(&genuine.request, write(&pairs, style));
                check_same(&world, &format!("{}: {style:?}", story.kind), &genuine.request, &request);
            }
        }
    }
}

#[test]
fn the_order_of_a_form_does_not_matter() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            if !matches!(genuine.cover, Cover::Pairs(_)) {
                continue;
            }
            let pairs = read(&genuine.request.body);
            for (label, order) in orders(&pairs) {
                let request = with_body(&genuine.request, write(&order, Style::Usual));
                let original = world.accepts(&label, &genuine.request);
                let shuffled = world.accepts(&format!("{}: {label}", story.kind), &request);
                assert_eq!(shuffled.facts, original.facts, "{}: {label}", world.platform.kind);
                assert_eq!(shuffled.key(), original.key(), "{}: {label}", world.platform.kind);
            }
        }
    }
}

fn orders(pairs: &[Pair]) -> Vec<(String, Vec<Pair>)> {
    let mut orders = vec![("reversed".to_owned(), pairs.iter().rev().cloned().collect())];
    let mut sorted = pairs.to_vec();
    sorted.sort();
    orders.push(("sorted".to_owned(), sorted));
    for shift in 1..pairs.len() {
        let mut rotated = pairs.to_vec();
        rotated.rotate_left(shift);
        orders.push((format!("rotated by {shift}"), rotated));
    }
    for stride in [3, 7, 11, 13] {
        let mut rest = pairs.to_vec();
        let mut dealt = Vec::new();
        let mut at = 0;
        while !rest.is_empty() {
            at = (at + stride) % rest.len();
            dealt.push(rest.remove(at));
        }
        orders.push((format!("dealt by {stride}"), dealt));
    }
    orders
}

/// The protocol may take or refuse an empty piece; it must not read another message from it.
#[test]
fn empty_pieces_of_a_form_never_change_the_message() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            if !matches!(genuine.cover, Cover::Pairs(_)) {
                continue;
            }
            let body = &genuine.request.body;
            let original = world.accepts("as it came", &genuine.request);
            let doubled =
                read(body).iter().map(|pair| write(std::slice::from_ref(pair), Style::Usual)).collect::<Vec<_>>();
            for mutant in [
                [b"&".as_slice(), body].concat(),
                [body, b"&".as_slice()].concat(),
                [b"&&&".as_slice(), body, b"&&&"].concat(),
                doubled.join(b"&&".as_slice()),
            ] {
                match world.verify(&with_body(&genuine.request, mutant)) {
                    Verdict::Genuine(proven) => assert_eq!(proven.value().facts, original.facts, "{}", story.kind),
                    Verdict::Refused(rejection) => assert_eq!(rejection.word(), "malformed", "{}", story.kind),
                    other => panic!("{}: {}: {other:?}", world.platform.kind, story.kind),
                }
            }
        }
    }
}

#[test]
fn the_query_of_the_url_is_never_mixed_in() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let mut queries: Vec<String> =
                ["", "a=1", "x", "&&", "%", "%zz", "=", "a=1&a=2", "channel=other"].map(str::to_owned).to_vec();
            if matches!(genuine.cover, Cover::Pairs(_)) {
                let pairs = read(&genuine.request.body);
                queries.push(text(write(&pairs, Style::Usual)));
                for (name, value) in &pairs {
                    let other = [value.as_slice(), b"1"].concat();
                    for value in [value.as_slice(), &other, b""] {
                        queries.push(text(write(&[(name.clone(), value.to_vec())], Style::Usual)));
                    }
                }
            }
            for query in queries {
                let request = RawRequest { query: Some(query.clone()), ..genuine.request.clone() };
                check_same(&world, &format!("{}: query {query:?}", story.kind), &genuine.request, &request);
            }
        }
    }
}

#[test]
fn a_pair_missing_from_the_body_is_not_found_in_the_query() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let Cover::SortedForm { signature, .. } = genuine.cover else { continue };
            let pairs = read(&genuine.request.body);
            for moved in pairs.iter().filter(|(_, value)| !value.is_empty()) {
                let rest: Vec<Pair> = pairs.iter().filter(|pair| *pair != moved).cloned().collect();
                let mut request = with_body(&genuine.request, write(&rest, Style::Usual));
                request.query = Some(text(write(std::slice::from_ref(moved), Style::Usual)));
                let name = String::from_utf8_lossy(&moved.0).into_owned();
                match world.verify(&request) {
                    // Not every envelope field is covered, so the message may be whole without it.
                    Verdict::Genuine(_) => assert!(is_uncovered(&genuine.cover, &name) && name != signature, "{name}"),
                    Verdict::Refused(_) | Verdict::NeedsKey(_) => {}
                    Verdict::Hint(hint) => panic!("{}: {}: {hint:?}", world.platform.kind, story.kind),
                }
            }
        }
    }
}

fn is_uncovered(cover: &Cover, name: &str) -> bool {
    matches!(cover, Cover::SortedForm { uncovered, .. } if uncovered.contains(&name))
}

#[test]
fn headers_and_addresses_beside_the_message_do_not_matter() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let request = &genuine.request;
            let mut extra = request.clone();
            for (name, value) in [
                ("x-forwarded-for", "127.0.0.1, ::1"),
                ("x-request-id", "1"),
                ("cookie", "sign=1; session=2"),
                ("user-agent", "'; DROP TABLE x; --"),
                ("authorization", "Bearer x"),
                ("content-encoding", "identity"),
            ] {
                extra.headers.append(name, HeaderValue::from_static(value));
            }
            extra.headers.append("x-bytes", HeaderValue::from_bytes(b"\xff\xfe").expect("a value"));
            check_same(&world, "extra headers", request, &extra);
            for source in ["127.0.0.1", "::1", "203.0.113.9"] {
                let moved = RawRequest { source: Some(source.parse().expect("an address")), ..request.clone() };
                check_same(&world, source, request, &moved);
            }
            for path in ["/", "", "/../%00", "/notify/other"] {
                check_same(&world, path, request, &RawRequest { path: path.to_owned(), ..request.clone() });
            }
            let Some(media) = request.headers.get("content-type").cloned() else { continue };
            let media = media.to_str().expect("a text").to_owned();
            for variant in [
                media.to_uppercase(),
                request.media_type(),
                format!("{}; charset=utf-8", request.media_type()),
                format!("{} ;charset=UTF-8", request.media_type()),
                format!("{}; text/html; charset=utf-8", request.media_type()),
                format!("{};", request.media_type()),
            ] {
                let label = format!("{}: {variant}", story.kind);
                check_same(&world, &label, request, &with_header(request, "content-type", variant.as_bytes()));
            }
        }
    }
}

/// The same verdict, facts, fields and key.
fn check_same(world: &World, label: &str, original: &RawRequest, request: &RawRequest) {
    let expected = world.accepts("as it came", original);
    let found = world.accepts(label, request);
    assert_eq!(found, expected, "{}: {label}", world.platform.kind);
    assert_eq!(found.key(), expected.key(), "{}: {label}", world.platform.kind);
    let likeness = world.channel.recognise(request);
    assert_eq!(likeness, world.channel.recognise(original), "{}: {label}: recognised", world.platform.kind);
}

fn text(form: Vec<u8>) -> String {
    String::from_utf8(form).expect("the usual style is ASCII")
}
