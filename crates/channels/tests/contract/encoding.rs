//! Re-encodings that keep what is covered are accepted, and what is beside the message changes nothing.

use http::HeaderValue;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover};

use super::cover::{proving_pair, query, with_query};
use super::pairs::{Pair, Paired, styles, text, with_text};
use super::world::{World, refused, with_every_platform, with_header};
use super::{form, json, xml};

#[test]
fn pairs_are_accepted_in_every_encoding() {
    with_every_platform(encodings_are_accepted);
}

pub(crate) fn encodings_are_accepted(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        for style in styles(paired.cover.carrier) {
            let request = paired.written(&paired.pairs, style);
            check_same(world, &format!("{}: {style:?}", story.kind), &genuine.request, &request);
        }
    }
}

#[test]
fn the_order_of_pairs_does_not_matter() {
    with_every_platform(orders_do_not_matter);
}

pub(crate) fn orders_do_not_matter(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let original = world.accepts("as it came", &genuine.request);
        for (label, order) in orders(&paired.pairs) {
            let shuffled = world.accepts(&format!("{}: {label}", story.kind), &paired.with(&order));
            assert_eq!(shuffled.facts, original.facts, "{}: {label}", world.platform.kind);
            assert_eq!(shuffled.key(), original.key(), "{}: {label}", world.platform.kind);
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

/// The protocol may take or refuse a piece that says nothing; it must not read another message from it.
#[test]
fn empty_pieces_never_change_the_message() {
    with_every_platform(empty_pieces_change_nothing);
}

pub(crate) fn empty_pieces_change_nothing(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let original = world.accepts("as it came", &genuine.request);
        for mutant in with_empty_pieces(&paired) {
            let label = format!("{}: {}", story.kind, mutant.escape_ascii());
            match world.verify(&with_text(&genuine.request, paired.cover.carrier, mutant)) {
                Verdict::Genuine(proven) => assert_eq!(proven.value().facts, original.facts, "{label}"),
                verdict => {
                    let rejection = refused(world.platform, &label, verdict);
                    assert_eq!(rejection.word(), "malformed", "{}: {label}", world.platform.kind);
                }
            }
        }
    }
}

/// The carrying text with pieces between the pairs that say nothing.
fn with_empty_pieces(paired: &Paired) -> Vec<Vec<u8>> {
    let own = text(&paired.request, paired.cover.carrier);
    match paired.cover.carrier {
        Carrier::Form | Carrier::Query => {
            let pieces: Vec<Vec<u8>> =
                paired.pairs.iter().map(|pair| form::write(std::slice::from_ref(pair), form::Style::Usual)).collect();
            vec![
                [b"&", own.as_slice()].concat(),
                [own.as_slice(), b"&"].concat(),
                [b"&&&", own.as_slice(), b"&&&"].concat(),
                pieces.join(b"&&".as_slice()),
            ]
        }
        Carrier::Xml => {
            let plain = xml::write(b"xml", &paired.pairs, xml::Style::Cdata);
            let gap = xml::find(&plain, b"><").expect("two tags") + 1;
            let (left, right) = plain.split_at(gap);
            let between = |piece: &[u8]| [left, piece, right].concat();
            vec![between(b" \t\r\n"), between(b"<!-- -->"), between(b"<?a b?>"), [own.as_slice(), b"<!-- -->"].concat()]
        }
        Carrier::Json | Carrier::JsonTree => {
            let plain = if paired.cover.carrier == Carrier::Json {
                json::write(&paired.pairs, json::Style::Compact)
            } else {
                json::write_tree(&paired.pairs, json::Style::Compact)
            };
            let (left, right) = plain.split_at(plain.len() - 1);
            vec![[left, b",", right].concat(), [b"{,", &plain[1..]].concat(), [left, b" \t\r\n", right].concat()]
        }
    }
}

#[test]
fn the_query_of_the_url_is_never_mixed_in() {
    with_every_platform(queries_are_not_mixed_in);
}

pub(crate) fn queries_are_not_mixed_in(world: &World) {
    for (story, genuine) in world.callbacks() {
        let mut queries: Vec<String> =
            ["", "a=1", "x", "&&", "%", "%zz", "=", "a=1&a=2", "channel=other"].map(str::to_owned).to_vec();
        match &genuine.cover {
            // The query is where the message is.
            Cover::Pairs(cover) | Cover::Asked { pairs: cover, .. } if cover.carrier == Carrier::Query => continue,
            // A part of the query is where the signature is; what else is there says nothing.
            Cover::BodyAndQuery { .. } => {
                let own = genuine.request.query.clone().expect("a signature");
                let named = RawRequest { query: Some(format!("channel=other&{own}")), ..genuine.request.clone() };
                check_same(world, &format!("{}: a channel is named", story.kind), &genuine.request, &named);
                let original = world.accepts("as it came", &genuine.request);
                for query in queries {
                    let query = Some(format!("{own}&{query}"));
                    let request = RawRequest { query: query.clone(), ..genuine.request.clone() };
                    world.refuses_or_reads_the_same(&format!("{}: {query:?}", story.kind), &original, &request);
                }
                continue;
            }
            Cover::Pairs(_) | Cover::Asked { .. } => {
                let pairs = Paired::of(&genuine).expect("pairs").pairs;
                queries.push(written(&pairs));
                for pair in &pairs {
                    let other = [pair.value.as_slice(), b"1"].concat();
                    for value in [pair.value.clone(), other, Vec::new()] {
                        queries.push(written(&[Pair::new(pair.name.clone(), value)]));
                    }
                }
            }
            Cover::BodyAndHeaders { .. } | Cover::BodyAndWritten { .. } | Cover::BodyAndStamp { .. } => {}
        }
        for query in queries {
            let request = RawRequest { query: Some(query.clone()), ..genuine.request.clone() };
            check_same(world, &format!("{}: query {query:?}", story.kind), &genuine.request, &request);
        }
    }
}

/// Where the message is in the query, a body is not mixed in either.
#[test]
fn a_body_beside_a_signed_query_is_never_mixed_in() {
    with_every_platform(bodies_are_not_mixed_in);
}

pub(crate) fn bodies_are_not_mixed_in(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine).filter(|paired| paired.cover.carrier == Carrier::Query) else {
            continue;
        };
        let original = world.accepts("as it came", &genuine.request);
        let mut bodies = vec!["a=1".to_owned(), "{}".to_owned(), written(&paired.pairs)];
        for pair in &paired.pairs {
            bodies.push(written(&[Pair::new(pair.name.clone(), [pair.value.as_slice(), b"1"].concat())]));
        }
        for body in bodies {
            for media in ["application/x-www-form-urlencoded", "application/json"] {
                let request = with_header(&genuine.request, "content-type", media.as_bytes());
                let request = super::world::with_body(&request, body.clone());
                world.refuses_or_reads_the_same(&format!("{}: body {body:?}", story.kind), &original, &request);
            }
        }
    }
}

#[test]
fn a_pair_missing_from_its_place_is_not_found_in_another() {
    with_every_platform(misplaced_pairs_are_not_found);
}

pub(crate) fn misplaced_pairs_are_not_found(world: &World) {
    for (story, genuine) in world.callbacks() {
        if let Cover::BodyAndQuery { signature } = genuine.cover {
            let pairs = query(&genuine.request);
            let own = pairs.iter().find(|pair| pair.is_called(signature)).expect("a signature");
            let others: Vec<Pair> = pairs.iter().filter(|pair| *pair != own).cloned().collect();
            let request = with_header(&with_query(&genuine.request, &others), signature, &own.value);
            world.refuses_as("in a header", &request, &["missing"]);
            continue;
        }
        let Some(paired) = Paired::of(&genuine) else { continue };
        for moved in paired.pairs.iter().filter(|pair| !pair.value.is_empty()) {
            let rest: Vec<Pair> = paired.pairs.iter().filter(|pair| *pair != moved).cloned().collect();
            let mut request = paired.with(&rest);
            let elsewhere = written(std::slice::from_ref(moved));
            if paired.cover.carrier == Carrier::Query {
                let media = b"application/x-www-form-urlencoded";
                request = super::world::with_body(&with_header(&request, "content-type", media), elsewhere);
            } else {
                request.query = Some(elsewhere);
            }
            let name = moved.shown();
            match world.verify(&request) {
                // Not every pair is covered, so the message may be whole without it.
                Verdict::Genuine(_) => {
                    assert!(!paired.covers(&moved.name) && name != proving_pair(&paired.cover), "{name}");
                }
                verdict => drop(refused(world.platform, &format!("{}: {name} elsewhere", story.kind), verdict)),
            }
        }
    }
}

#[test]
fn headers_and_addresses_beside_the_message_do_not_matter() {
    with_every_platform(surroundings_do_not_matter);
}

pub(crate) fn surroundings_do_not_matter(world: &World) {
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
        check_same(world, "extra headers", request, &extra);
        for source in ["127.0.0.1", "::1", "203.0.113.9"] {
            let moved = RawRequest { source: Some(source.parse().expect("an address")), ..request.clone() };
            check_same(world, source, request, &moved);
        }
        for path in ["/", "", "/../%00", "/notify/other"] {
            check_same(world, path, request, &RawRequest { path: path.to_owned(), ..request.clone() });
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
            check_same(world, &label, request, &with_header(request, "content-type", variant.as_bytes()));
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

/// As a form, whatever the pairs' own carrier is.
fn written(pairs: &[Pair]) -> String {
    String::from_utf8(form::write(pairs, form::Style::Usual)).expect("the usual style is ASCII")
}
