//! What no platform ever sends is refused with a reason, and nothing panics.

use http::Method;
use tollbell_channels::channel::{Likeness, Verdict};
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover, Covered};

use super::cover::{carrier, is_asked, is_sealed};
use super::pairs::{Pair, Paired, text, with_text};
use super::world::{World, refused, with_every_platform, with_header};
use super::xml;

#[test]
fn an_empty_body_is_named() {
    with_every_platform(empty_messages_are_named);
}

pub(crate) fn empty_messages_are_named(world: &World) {
    let genuine = world.callback();
    // A query that says nothing and no query at all are one: its signature is missing in both.
    let words: &[&str] = if carrier(&genuine) == Carrier::Query { &["empty", "missing"] } else { &["empty"] };
    world.refuses_as("nothing", &with_text(&genuine.request, carrier(&genuine), Vec::new()), words);
    if carrier(&genuine) == Carrier::Query {
        world.refuses_as("no query", &RawRequest { query: None, ..genuine.request }, words);
    }
}

#[test]
fn a_huge_body_is_named_and_not_read() {
    with_every_platform(huge_messages_are_named);
}

pub(crate) fn huge_messages_are_named(world: &World) {
    let genuine = world.callback();
    let own = text(&genuine.request, carrier(&genuine));
    let with = |text: Vec<u8>| with_text(&genuine.request, carrier(&genuine), text);
    for filler in [b"a".as_slice(), b"&", b"=", b"%", b"%41", b"+", b" ", b"\0", b"\xff", b"{", b"[", b"<a>", b"&a=1"] {
        let filling = filler.repeat(10 * 1024 * 1024 / filler.len());
        let label = format!("10 MB of {}", filler.escape_ascii());
        world.refuses_as(&label, &with(filling.clone()), &["too_large"]);
        world.refuses_as(&format!("{label} behind"), &with([own.as_slice(), &filling].concat()), &["too_large"]);
    }
    if matches!(genuine.cover, Cover::BodyAndQuery { .. }) {
        let query = Some("a=1&".repeat(2_500_000));
        world.refuses("10 MB of query", &RawRequest { query, ..genuine.request.clone() });
    }
}

#[test]
fn a_message_of_many_pairs_is_named() {
    with_every_platform(many_pairs_are_named);
}

pub(crate) fn many_pairs_are_named(world: &World) {
    let Some(paired) = Paired::of(&world.callback()) else { return };
    let carrier = paired.cover.carrier;
    // A reader of JSON counts values, whatever they are, and more than it reads are no text of its kind.
    let words: &[&str] = if matches!(carrier, Carrier::Json | Carrier::JsonTree) {
        &["too_many_fields", "too_large", "malformed"]
    } else {
        &["too_many_fields", "too_large"]
    };
    let many: Vec<Pair> = (0..100_000).map(|number| Pair::new(format!("a{number}"), "1")).collect();
    world.refuses_as("100 000 pairs", &paired.with(&many), words);
    world.refuses_as("100 000 pairs behind", &paired.with(&[paired.pairs.as_slice(), &many].concat()), words);
    let pieces: &[&[u8]] = match carrier {
        Carrier::Form | Carrier::Query => &[b"a&", b"=&", b"&", b"a=&", b"a=1&"],
        Carrier::Xml => &[b"<a>", b"<a/>", b"</a>", b"&amp;", b"&a;", b"<![CDATA[", b"<!--", b"<xml>", b"<?a?>"],
        Carrier::Json | Carrier::JsonTree => &[b"{", b"[", b"{\"a\":", b"[{\"a\":", b"\"", b"\\u0041", b",", b"1"],
    };
    for piece in pieces {
        let label = format!("50 000 × {}", piece.escape_ascii());
        world.refuses(&label, &with_text(&paired.request, carrier, piece.repeat(50_000)));
        let own = text(&paired.request, carrier);
        let inside = [&own[..own.len() / 2], &piece.repeat(5_000), &own[own.len() / 2..]].concat();
        let request = with_text(&paired.request, carrier, inside);
        if !paired.is_alike(&request) {
            let original = world.accepts("as it came", &paired.request);
            world.refuses_or_invents_nothing(&format!("{label} inside"), &original, &request);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    with_every_platform(unreadable_texts_are_refused);
}

pub(crate) fn unreadable_texts_are_refused(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let carrier = paired.cover.carrier;
        let own = text(&genuine.request, carrier);
        let original = world.accepts("as it came", &genuine.request);
        let mutants = match carrier {
            Carrier::Form | Carrier::Query => broken_forms(&own),
            Carrier::Xml => broken_xml(&own),
            Carrier::Json | Carrier::JsonTree => broken_json(&own),
        };
        for (what, mutant) in mutants {
            let label = format!("{}: {what}", story.kind);
            let request = with_text(&genuine.request, carrier, mutant);
            // What is named without a value is absent for most signers, and what is not covered is nobody's.
            let may_pass = paired.is_alike(&request) && [Carrier::Form, Carrier::Query].contains(&carrier);
            match world.verify(&request) {
                Verdict::Genuine(proven) => {
                    assert!(may_pass, "{}: {label} was accepted", world.platform.kind);
                    assert_eq!(proven.value().facts, original.facts, "{}: {label}", world.platform.kind);
                }
                verdict => drop(refused(world.platform, &label, verdict)),
            }
        }
    }
}

fn broken_forms(own: &[u8]) -> Vec<(String, Vec<u8>)> {
    let tails = [
        b"\xff\xfe".as_slice(),
        b"%FF%FE",
        b"%C3%28",
        b"%ED%A0%80",
        b"\0",
        b"%00",
        b"%",
        b"%4",
        b"%zz",
        b"%u4e2d",
        b"%%",
        b"&%=1",
        b"&%00=1",
        b"&%FF=1",
        b"&=",
        b"&==",
        b"&=1",
        b"&x",
    ];
    let around = |tail: &[u8]| [[own, tail].concat(), [tail, own].concat()];
    tails.iter().flat_map(|tail| around(tail).map(|mutant| (tail.escape_ascii().to_string(), mutant))).collect()
}

/// What a flat document does not have. Readers of XML differ about much of it, so it is all refused.
fn broken_xml(own: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut mutants: Vec<Vec<u8>> = Vec::new();
    for tail in
        [b"\xff".as_slice(), b"\0", b"x", b"<", b">", b"&", b"<a/>", b"<a></a>", b"</xml>", b"<![CDATA[x]]>", b"]]>"]
    {
        mutants.push([own, tail].concat());
        mutants.push([tail, own].concat());
    }
    let document = xml::read(own).expect("a document");
    let document_type = |inner: &str| {
        let root = String::from_utf8_lossy(&document.root).into_owned();
        format!("<!DOCTYPE {root} {inner}>").into_bytes()
    };
    for head in [
        document_type(""),
        document_type("[<!ENTITY a \"b\">]"),
        document_type("[<!ENTITY a SYSTEM \"file:///etc/passwd\">]"),
        document_type("SYSTEM \"http://127.0.0.1/a.dtd\""),
        b"<?xml version=\"1.0\" encoding=\"UTF-16\"?>".to_vec(),
        b"<?xml version=\"1.0\" encoding=\"GBK\"?>".to_vec(),
        b"<?xml version=\"2.0\"?>".to_vec(),
    ] {
        mutants.push([head.as_slice(), own].concat());
    }
    // Inside the first text of a field, and between two fields.
    let plain = xml::write(&document.root, &document.pairs, xml::Style::Entities);
    let tags: Vec<usize> = (0..plain.len()).filter(|&at| plain[at] == b'<').collect();
    for &at in tags.iter().take(3).skip(1) {
        for piece in [
            b"&a;".as_slice(),
            b"&#0;",
            b"&#xD800;",
            b"&#x110000;",
            b"&",
            b"<",
            b"\0",
            b"\x0b",
            b"\xff",
            b"\xed\xa0\x80",
            b"<!DOCTYPE a>",
        ] {
            mutants.push([&plain[..at], piece, &plain[at..]].concat());
        }
    }
    mutants.into_iter().map(|mutant| (mutant.escape_ascii().to_string(), mutant)).collect()
}

fn broken_json(own: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut mutants: Vec<Vec<u8>> = Vec::new();
    for tail in [b"\xff".as_slice(), b"\0", b"x", b"{}", b",", b"}", b"//", b"/**/", b"\xef\xbb\xbf", b"1", b";"] {
        mutants.push([own, tail].concat());
        mutants.push([tail, own].concat());
    }
    let body = own.trim_ascii();
    let inner = &body[1..body.len() - 1];
    for (before, after) in [("[", "]"), ("[{", "}]"), ("{\"a\":{", "}}"), ("\"", "\""), ("{", ""), ("", "}")] {
        mutants.push([before.as_bytes(), inner, after.as_bytes()].concat());
    }
    for member in [
        "\"a\":'1'",
        "a:1",
        "\"a\":01",
        "\"a\":NaN",
        "\"a\":\"\\ud800\"",
        "\"a\":\"\\x\"",
        "\"a\":\"\n\"",
        "\"a\":",
        "\"a\"",
    ] {
        mutants.push([b"{", member.as_bytes(), b",", inner, b"}"].concat());
    }
    mutants.push([b"{\"a\":\"\xff\",", inner, b"}"].concat());
    mutants.into_iter().map(|mutant| (mutant.escape_ascii().to_string(), mutant)).collect()
}

#[test]
fn another_media_type_is_named() {
    with_every_platform(media_types_are_named);
}

pub(crate) fn media_types_are_named(world: &World) {
    let genuine = world.callback();
    let request = &genuine.request;
    let own = request.media_type();
    if own.is_empty() {
        // A message in the query has no body, and so no type.
        return;
    }
    let original = world.accepts("as it came", request);
    // `text/xml` and `application/xml` are one format, and some platforms send both.
    let format = |media: &str| media.rsplit(['/', '+']).next().unwrap_or_default().to_owned();
    for media in [
        "application/json",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/xml",
        "text/xml",
        "multipart/form-data; boundary=x",
        "text/html",
        "text/plain",
        "application/octet-stream",
        "image/png; application/x-www-form-urlencoded",
    ] {
        if media == own {
            continue;
        }
        let changed = with_header(request, "content-type", media.as_bytes());
        if format(media) == format(&own) {
            world.refuses_or_reads_the_same(media, &original, &changed);
            continue;
        }
        // A platform that sends two formats reads the body as the one that is named, in which it is nothing.
        let is_a_format = ["json", "x-www-form-urlencoded", "xml"].contains(&format(media).as_str());
        let words: &[&str] =
            if is_a_format { &["media_type", "malformed", "missing", "unknown_merchant"] } else { &["media_type"] };
        world.refuses_as(media, &changed, words);
    }
}

#[test]
fn another_method_is_named() {
    with_every_platform(methods_are_named);
}

pub(crate) fn methods_are_named(world: &World) {
    let genuine = world.callback();
    let request = &genuine.request;
    let brew = Method::from_bytes(b"BREW").expect("a method");
    let long = Method::from_bytes(&b"A".repeat(10_000)).expect("a method");
    for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD, Method::DELETE, Method::OPTIONS, brew, long] {
        if method == request.method {
            continue;
        }
        // Some platforms send forms in either place: then the other place, where the method looks, is empty.
        let is_either = [Method::GET, Method::POST].contains(&method)
            && matches!(genuine.cover, Cover::Pairs(cover) | Cover::Asked { pairs: cover, .. } if [Carrier::Form, Carrier::Query].contains(&cover.carrier));
        let words: &[&str] = if is_either { &["method", "empty", "missing", "media_type"] } else { &["method"] };
        world.refuses_as(method.as_str(), &RawRequest { method: method.clone(), ..request.clone() }, words);
    }
}

#[test]
fn a_message_without_headers_never_panics() {
    with_every_platform(messages_without_headers_are_judged);
}

pub(crate) fn messages_without_headers_are_judged(world: &World) {
    for (story, genuine) in world.callbacks() {
        let mut bare = genuine.request.clone();
        bare.headers.clear();
        let original = world.accepts("as it came", &genuine.request);
        world.refuses_or_reads_the_same(&format!("{}: no headers", story.kind), &original, &bare);
    }
}

#[test]
fn each_pair_alone_and_each_one_missing_is_refused() {
    with_every_platform(parts_of_messages_are_refused);
}

pub(crate) fn parts_of_messages_are_refused(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let original = world.accepts("as it came", &genuine.request);
        for (at, pair) in paired.pairs.iter().enumerate() {
            let alone = paired.with(std::slice::from_ref(pair));
            let label = format!("{}: only {}", story.kind, pair.shown());
            if is_sealed(&genuine) || is_asked(&genuine) {
                // What carries its own proof may need nothing beside it.
                world.refuses_or_reads_the_same(&label, &original, &alone);
            } else {
                world.refuses(&label, &alone);
            }
            let mut rest = paired.pairs.clone();
            rest.remove(at);
            let rest = paired.with(&rest);
            let label = format!("{}: without {}", story.kind, pair.shown());
            if paired.is_alike(&rest) && !matches!(paired.cover.signature, Some(name) if pair.is_called(name)) {
                world.refuses_or_reads_the_same(&label, &original, &rest);
            } else {
                world.refuses(&label, &rest);
            }
        }
        let is_joined = matches!(paired.cover.covered, Covered::Joined { .. });
        assert!(paired.pairs.len() > 3 || !is_joined, "a message of few pairs would not show much");
    }
}

#[test]
fn garbage_is_neither_recognised_nor_accepted() {
    with_every_platform(garbage_is_refused);
}

pub(crate) fn garbage_is_refused(world: &World) {
    let genuine = world.callback();
    for garbage in [
        b"garbage".as_slice(),
        b"\0\0\0\0",
        b"{}",
        b"[]",
        b"null",
        b"<xml></xml>",
        b"<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        b"=",
        b"&",
        b"&=&=&",
        b"%%%%",
        b"a=1&b=2",
        b"sign",
        b"sign=",
        b"\x1f\x8b\x08\0\0\0\0\0",
    ] {
        let request = with_text(&genuine.request, carrier(&genuine), garbage.to_vec());
        let label = format!("{}", garbage.escape_ascii());
        let mut bare = request.clone();
        bare.headers.clear();
        for request in [request, bare] {
            assert_eq!(world.channel.recognise(&request), Likeness::No, "{}: {label}", world.platform.kind);
            world.refuses(&label, &request);
        }
    }
    // A form, XML or JSON of another kind is none of this platform's.
    for pairs in [vec![Pair::new("a", "1")], vec![Pair::new("sign", "x"), Pair::new("id", "1")]] {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let request = paired.with(&pairs);
        let likeness = world.channel.recognise(&request);
        // A number may have any name; what the platform does not know of it, nobody proves.
        assert!(likeness == Likeness::No || is_asked(&genuine), "{}: {pairs:?}", world.platform.kind);
        world.refuses("another kind", &request);
    }
}
