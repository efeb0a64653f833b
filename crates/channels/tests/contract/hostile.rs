//! What no platform ever sends is refused with a reason, and nothing panics.

use http::Method;
use tollbell_channels::channel::{Likeness, Verdict};
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Cover;

use super::form::read;
use super::world::{with_body, with_header, worlds};

#[test]
fn an_empty_body_is_named() {
    for world in worlds() {
        let genuine = world.callback();
        world.refuses_as("no body", &with_body(&genuine.request, ""), &["empty"]);
    }
}

#[test]
fn a_huge_body_is_named_and_not_read() {
    for world in worlds() {
        let request = world.callback().request;
        for filler in [b"a".as_slice(), b"&", b"=", b"%", b"%41", b"+", b" ", b"\0", b"\xff", b"{", b"<a>", b"&a=1"] {
            let filling = filler.repeat(10 * 1024 * 1024 / filler.len());
            let label = format!("10 MB of {}", filler.escape_ascii());
            world.refuses_as(&label, &with_body(&request, filling.clone()), &["too_large"]);
            let padded = [request.body.to_vec(), filling].concat();
            world.refuses_as(&format!("{label} behind"), &with_body(&request, padded), &["too_large"]);
        }
    }
}

#[test]
fn a_form_of_many_pairs_is_named() {
    for world in worlds() {
        let genuine = world.callback();
        if !matches!(genuine.cover, Cover::Pairs(_)) {
            continue;
        }
        let many = (0..100_000).map(|number| format!("&a{number}=1")).collect::<Vec<_>>().concat();
        let words = ["too_many_fields", "too_large"];
        world.refuses_as("100 000 pairs", &with_body(&genuine.request, many[1..].to_owned()), &words);
        let behind = [&genuine.request.body, many.as_bytes()].concat();
        world.refuses_as("100 000 pairs behind", &with_body(&genuine.request, behind), &words);
        for piece in [b"a&".as_slice(), b"=&", b"&", b"a=&", b"a=1&"] {
            let many = piece.repeat(50_000);
            world.refuses(&format!("50 000 × {}", piece.escape_ascii()), &with_body(&genuine.request, many));
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let body = &genuine.request.body;
            for tail in [
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
            ] {
                for mutant in [[body, tail].concat(), [tail, body].concat()] {
                    let label = format!("{}: {}", story.kind, tail.escape_ascii());
                    // A nameless pair without a value is one way to write nothing at all.
                    match world.verify(&with_body(&genuine.request, mutant)) {
                        Verdict::Genuine(proven) => {
                            let original = world.accepts("as it came", &genuine.request);
                            assert!(matches!(tail, b"&=" | b"&x" | b"&%=1"), "{}: {label}", world.platform.kind);
                            assert_eq!(proven.value().facts, original.facts, "{}: {label}", world.platform.kind);
                        }
                        verdict => drop(super::world::refused(world.platform, &label, verdict)),
                    }
                }
            }
        }
    }
}

#[test]
fn another_media_type_is_named() {
    for world in worlds() {
        let request = world.callback().request;
        let own = request.media_type();
        for media in [
            "application/json",
            "application/x-www-form-urlencoded",
            "application/xml",
            "multipart/form-data; boundary=x",
            "text/html",
            "text/plain",
            "text/xml",
            "application/octet-stream",
            "image/png; application/x-www-form-urlencoded",
        ] {
            if media == own {
                continue;
            }
            world.refuses_as(media, &with_header(&request, "content-type", media.as_bytes()), &["media_type"]);
        }
    }
}

#[test]
fn another_method_is_named() {
    for world in worlds() {
        let request = world.callback().request;
        let brew = Method::from_bytes(b"BREW").expect("a method");
        let long = Method::from_bytes(&b"A".repeat(10_000)).expect("a method");
        for method in
            [Method::GET, Method::POST, Method::PUT, Method::HEAD, Method::DELETE, Method::OPTIONS, brew, long]
        {
            if method != request.method {
                world.refuses_as(
                    method.as_str(),
                    &RawRequest { method: method.clone(), ..request.clone() },
                    &["method"],
                );
            }
        }
    }
}

#[test]
fn a_message_without_headers_never_panics() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let mut bare = genuine.request.clone();
            bare.headers.clear();
            match world.verify(&bare) {
                Verdict::Genuine(proven) => {
                    let original = world.accepts("as it came", &genuine.request);
                    assert_eq!(proven.value().facts, original.facts, "{}: {}", world.platform.kind, story.kind);
                }
                verdict => drop(super::world::refused(world.platform, "no headers", verdict)),
            }
        }
    }
}

#[test]
fn each_pair_alone_and_each_one_missing_is_refused() {
    for world in worlds() {
        for (_, genuine) in world.callbacks() {
            if !matches!(genuine.cover, Cover::Pairs(_)) {
                continue;
            }
            for piece in genuine.request.body.split(|&byte| byte == b'&') {
                let label = format!("only {}", piece.escape_ascii());
                world.refuses(&label, &with_body(&genuine.request, piece));
            }
            assert!(read(&genuine.request.body).len() > 3, "a message of few pairs would not show much");
        }
    }
}

#[test]
fn garbage_is_neither_recognised_nor_accepted() {
    for world in worlds() {
        let request = world.callback().request;
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
            let request = with_body(&request, garbage);
            let label = format!("{}", garbage.escape_ascii());
            let mut bare = request.clone();
            bare.headers.clear();
            for request in [request, bare] {
                assert_eq!(world.channel.recognise(&request), Likeness::No, "{}: {label}", world.platform.kind);
                world.refuses(&label, &request);
            }
        }
    }
}
