//! A platform's check of an address is answered in its exact words, and nothing else is; and what is answered to anybody
//! is never the proof of a message.

use http::Method;
use tollbell_channels::channel::Likeness;
use tollbell_channels::model::{RawRequest, Reply};
use tollbell_channels::simulate::{Carrier, Challenge};

use super::cover::{carrier, query, with_query, with_signature};
use super::damage::damaged;
use super::pairs::{Pair, Paired, with_text};
use super::world::{World, all_worlds, with_body, with_every_platform};

#[test]
fn an_address_is_checked_in_the_platforms_words() {
    with_every_platform(checks_are_answered);
}

/// Questions that each side asks.
const SERIALS: u64 = 20;

pub(crate) fn checks_are_answered(world: &World) {
    let kind = world.platform.kind;
    let stranger = World::new(world.platform);
    let mut seen = Vec::new();
    for Challenge { request, reply } in (0..SERIALS).filter_map(|serial| world.side.challenge(serial)) {
        assert_eq!(world.channel.challenge(&request).as_ref(), Some(&reply), "{kind}: {request:?}");
        assert!((200..300).contains(&reply.status) && !reply.body.is_empty(), "{kind}");
        assert!(!seen.contains(&reply.body), "{kind}: another question has the same answer");
        seen.push(reply.body.clone());
        // It is no message, whoever it is for; and only who has the secret can answer it.
        world.refuses("a check of the address", &request);
        assert!(world.channel.recognise(&request) > Likeness::No, "{kind}: not recognised");
        assert_ne!(stranger.channel.challenge(&request), Some(reply.clone()), "{kind}: a stranger knows the answer");
        // What the merchant's own address has beside the question changes nothing.
        let beside = [vec![Pair::new("channel", "one")], query(&request), vec![Pair::new("shop", "1")]].concat();
        assert_eq!(world.channel.challenge(&with_query(&request, &beside)).as_ref(), Some(&reply), "{kind}");
        for (label, other) in misshapen(&request) {
            assert_eq!(world.channel.challenge(&other), None, "{kind}: {label}");
            world.refuses(&label, &other);
        }
    }
    assert!(seen.is_empty() || seen.len() == usize::try_from(SERIALS).expect("few"), "{kind}: asks only sometimes");
}

/// Requests that are nearly a question.
fn misshapen(request: &RawRequest) -> Vec<(String, RawRequest)> {
    let own = query(request);
    let mut others = Vec::new();
    for method in [Method::POST, Method::HEAD, Method::PUT, Method::OPTIONS] {
        others.push((method.to_string(), RawRequest { method, ..request.clone() }));
    }
    others.push(("with a body".to_owned(), with_body(request, "x")));
    others.push(("no query".to_owned(), RawRequest { query: None, ..request.clone() }));
    for (at, pair) in own.iter().enumerate() {
        let mut change = |label: &str, value: Vec<u8>| {
            let mut changed = own.clone();
            changed[at].value = value;
            if changed != own {
                others.push((format!("{} {label}", pair.shown()), with_query(request, &changed)));
            }
        };
        let value = &pair.value;
        change("emptied", Vec::new());
        change("a blank", b" ".to_vec());
        change("in the other case", value.iter().map(|byte| byte ^ (byte & 0x40) >> 1).collect());
        change("four times", value.repeat(4));
        change("one character", vec![value[0]]);
        for extra in [b" ".as_slice(), b"\n", b"\r\n", b"\0", b"g", b"|", b"&", b"=", b"%", b"\xff"] {
            change(&format!("with {} behind", extra.escape_ascii()), [value, extra].concat());
            change(&format!("with {} before", extra.escape_ascii()), [extra, value].concat());
        }
        let twice = [own.as_slice(), std::slice::from_ref(pair)].concat();
        others.push((format!("{} twice", pair.shown()), with_query(request, &twice)));
        let mut renamed = own.clone();
        renamed[at].name.push(b'1');
        others.push((format!("{} renamed", pair.shown()), with_query(request, &renamed)));
    }
    others
}

/// The worst that anybody can do who may have any question answered: what was answered is offered as the signature of
/// what was asked.
#[test]
fn no_answer_proves_a_message() {
    with_every_platform(answers_prove_nothing);
}

pub(crate) fn answers_prove_nothing(world: &World) {
    let genuine = world.callback();
    for Challenge { request, reply } in (0..SERIALS).filter_map(|serial| world.side.challenge(serial)) {
        let signed = with_signature(&genuine, &reply.body);
        world.refuses("another message's text", &signed);
        let Some(paired) = Paired::of(&genuine) else { continue };
        let signature = paired.cover.signature.expect("a signature");
        for question in query(&request).into_iter().map(|pair| pair.value) {
            for text in
                [question.clone(), [&question, b"\n".as_slice()].concat(), [b"\n", question.as_slice()].concat()]
            {
                let forge = |pair: &Pair| {
                    let value = if pair.is_called(signature) { reply.body.to_vec() } else { text.clone() };
                    Pair::new(pair.name.clone(), value)
                };
                let forged: Vec<Pair> = paired.pairs.iter().map(forge).collect();
                world.refuses("the question as a message", &paired.with(&forged));
            }
        }
    }
}

/// Messages, damaged ones and garbage get no signature of anything.
#[test]
fn nothing_else_is_answered() {
    for world in all_worlds() {
        let kind = world.platform.kind;
        let genuine = world.callback();
        let mut others: Vec<RawRequest> = world.callbacks().into_iter().map(|(_, genuine)| genuine.request).collect();
        others.extend(damaged(&genuine).into_iter().map(|(_, request)| request).take(200));
        let form = Paired::of(&genuine).filter(|paired| paired.cover.carrier == Carrier::Form);
        if let Some(paired) = form {
            others.push(RawRequest {
                method: Method::GET,
                query: Some(String::from_utf8_lossy(&paired.request.body).into_owned()),
                ..with_body(&paired.request, "")
            });
        }
        for garbage in [b"".as_slice(), b"garbage", b"{}", b"challenge=1"] {
            let request = with_text(&genuine.request, carrier(&genuine), garbage.to_vec());
            others.push(RawRequest { method: Method::GET, ..request.clone() });
            others.push(request);
        }
        for request in others {
            assert_eq!(world.channel.challenge(&request), None::<Reply>, "{kind}: {request:?}");
        }
    }
}
