//! Every change of what the signature covers, and of the signature, is refused.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Cover, Genuine, Story};

use super::form::{Pair, Style, read, says_the_same, write};
use super::world::{World, at, refused, with_body, with_header, worlds};

/// A damaged request, and what was done to it.
type Case = (String, RawRequest);

#[test]
fn every_change_of_the_covered_bytes_is_refused() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            world.accepts("before the damage", &genuine.request);
            for (label, request) in damaged(&genuine) {
                world.refuses(&format!("{}: {label}", story.kind), &request);
            }
        }
    }
}

#[test]
fn every_change_of_the_signature_is_refused() {
    for world in worlds() {
        for story in world.stories() {
            let genuine = with_telling_signature(&world, &story);
            let other = world.side.callback(&Story { order_no: "T20261121-0009".to_owned(), ..story.clone() });
            let signature = signature_of(&genuine);
            let mut forgeries = forged(&signature, is_in_digits(&genuine));
            forgeries.push(("another message's".to_owned(), signature_of(&other)));
            if matches!(genuine.cover, Cover::BodyAndHeaders { .. } | Cover::BodyAndStamp { .. }) {
                // Line ends and zeros never come this far in a header.
                let count = forgeries.len();
                forgeries.retain(|(_, forgery)| HeaderValue::from_bytes(forgery).is_ok());
                assert!(forgeries.len() + 10 > count, "most forgeries can be sent");
            }
            for (label, forgery) in forgeries {
                assert_ne!(forgery, signature, "{label} changes nothing");
                world.refuses(&format!("{}: signature {label}", story.kind), &with_signature(&genuine, &forgery));
            }
        }
    }
}

#[test]
fn a_missing_signature_is_named() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let label = story.kind.as_str();
            world.refuses_as(label, &without_signature(&genuine), &["missing"]);
            world.refuses_as(label, &with_signature(&genuine, b""), &["missing", "malformed", "signature"]);
            world.refuses_as(label, &with_signature(&genuine, b" "), &["missing", "malformed", "signature"]);
        }
    }
}

/// What the signature leaves open must not be where the meaning is.
#[test]
fn what_is_not_covered_changes_no_fact() {
    for world in worlds() {
        let callbacks = world.callbacks();
        let names: BTreeSet<Vec<u8>> = callbacks
            .iter()
            .filter(|(_, genuine)| matches!(genuine.cover, Cover::SortedForm { .. }))
            .flat_map(|(_, genuine)| read(&genuine.request.body))
            .map(|(name, _)| name)
            .collect();
        for (story, genuine) in &callbacks {
            let Cover::SortedForm { uncovered, signature, .. } = &genuine.cover else { continue };
            let pairs = read(&genuine.request.body);
            let mut mutants: Vec<(String, Vec<Pair>)> = Vec::new();
            for name in &names {
                // Other readers take some of these names for the signed one.
                for shadow in [
                    name.clone(),
                    name.to_ascii_uppercase(),
                    name.iter().map(|&byte| if byte == b'_' { b'.' } else { byte }).collect(),
                    name.iter().map(|&byte| if byte == b'_' { b' ' } else { byte }).collect(),
                    [b" ", name.as_slice()].concat(),
                    [name, b"[]".as_slice()].concat(),
                    [name, b"\0".as_slice()].concat(),
                ] {
                    for blank in ["", " ", "\t", "\r\n", "\u{a0}", "\u{3000}"] {
                        let mut mutant = pairs.clone();
                        mutant.push((shadow.clone(), blank.as_bytes().to_vec()));
                        mutants.push((format!("{:?}={blank:?} added", String::from_utf8_lossy(&shadow)), mutant));
                    }
                }
            }
            for name in uncovered.iter().filter(|name| *name != signature) {
                let others = pairs.iter().filter(|(other, _)| other != name.as_bytes()).cloned().collect::<Vec<_>>();
                mutants.push((format!("{name} taken away"), others.clone()));
                for value in ["", "x", "RSA", "MD5", "none", "0", "NONE", "HMAC"] {
                    let mut mutant = others.clone();
                    mutant.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
                    mutants.push((format!("{name}={value}"), mutant));
                }
            }
            let original = world.accepts("as it came", &genuine.request);
            for (label, mutant) in mutants {
                let label = format!("{}: {label}", story.kind);
                match world.verify(&with_body(&genuine.request, write(&mutant, Style::Usual))) {
                    Verdict::Genuine(proven) => {
                        let found = proven.value();
                        assert_eq!(found.facts, original.facts, "{}: {label}", world.platform.kind);
                        assert_eq!(found.concerns, original.concerns, "{}: {label}", world.platform.kind);
                        assert_eq!(found.key(), original.key(), "{}: {label}", world.platform.kind);
                        assert_eq!(found.scope, original.scope, "{}: {label}", world.platform.kind);
                    }
                    verdict => drop(refused(world.platform, &label, verdict)),
                }
            }
        }
    }
}

#[test]
fn the_signature_of_another_side_is_refused() {
    for world in worlds() {
        let stranger = World::new(world.platform);
        for (story, genuine) in world.callbacks() {
            stranger.refuses(story.kind.as_str(), &genuine.request);
            world.refuses(story.kind.as_str(), &stranger.side.callback(&story).request);
        }
    }
}

/// Every damage that the cover calls for.
fn damaged(genuine: &Genuine) -> Vec<Case> {
    let request = &genuine.request;
    match &genuine.cover {
        Cover::SortedForm { uncovered, empty_is_absent, .. } => {
            let pairs = read(&request.body);
            let mut cases = Vec::new();
            for (label, mutant) in damaged_pairs(&pairs, uncovered) {
                assert!(
                    !says_the_same(&pairs, &mutant, uncovered, *empty_is_absent),
                    "{label} leaves what is covered as it was"
                );
                cases.push((label, with_body(request, write(&mutant, Style::Usual))));
            }
            cases
        }
        Cover::BodyAndHeaders { headers, .. } => {
            let mut cases = damaged_body(request);
            for name in *headers {
                cases.extend(damaged_header(request, name));
            }
            cases
        }
        Cover::BodyAndStamp { .. } => damaged_body(request),
    }
}

fn damaged_pairs(pairs: &[Pair], uncovered: &[&str]) -> Vec<(String, Vec<Pair>)> {
    let covered: Vec<usize> =
        (0..pairs.len()).filter(|&index| !uncovered.iter().any(|name| name.as_bytes() == pairs[index].0)).collect();
    let mut cases = Vec::new();
    let mut add = |label: String, change: &dyn Fn(&mut Vec<Pair>)| {
        let mut mutant = pairs.to_vec();
        change(&mut mutant);
        cases.push((label, mutant));
    };
    for &index in &covered {
        let (name, value) = &pairs[index];
        let shown = String::from_utf8_lossy(name).into_owned();
        for mask in [0x01, 0x02, 0x10, 0x20, 0x80] {
            for at in 0..value.len() {
                add(format!("{shown}: value byte {at} ^ {mask:#x}"), &|m| m[index].1[at] ^= mask);
            }
            for at in 0..name.len() {
                add(format!("{shown}: name byte {at} ^ {mask:#x}"), &|m| m[index].0[at] ^= mask);
            }
        }
        for at in 0..value.len() {
            add(format!("{shown}: without value byte {at}"), &|m| {
                m[index].1.remove(at);
            });
        }
        for extra in [b"0".as_slice(), b" ", b"\0", b"\n", b"%", b"&", b"=", b"&x=1", b"\xef\xbb\xbf"] {
            let quoted = extra.escape_ascii();
            add(format!("{shown}: value with {quoted} behind"), &|m| m[index].1.extend_from_slice(extra));
            add(format!("{shown}: value with {quoted} before"), &|m| m[index].1 = [extra, value].concat());
            add(format!("{shown}: name with {quoted} behind"), &|m| m[index].0.extend_from_slice(extra));
            add(format!("{shown}: name with {quoted} before"), &|m| m[index].0 = [extra, name].concat());
        }
        if !value.is_empty() {
            add(format!("{shown}: emptied"), &|m| m[index].1.clear());
            add(format!("{shown}: deleted"), &|m| {
                m.remove(index);
            });
            add(format!("{shown}: in upper case and doubled"), &|m| m[index].1 = value.to_ascii_uppercase().repeat(2));
        }
        add(format!("{shown}: renamed"), &|m| m[index].0 = b"renamed".to_vec());
        for &other in covered.iter().filter(|&&other| other > index && pairs[other].1 != *value) {
            let twin = String::from_utf8_lossy(&pairs[other].0).into_owned();
            add(format!("{shown} and {twin}: values swapped"), &|m| {
                m[index].1.clone_from(&pairs[other].1);
                m[other].1.clone_from(value);
            });
        }
    }
    for neighbours in sorted_by_name(pairs, &covered).windows(2) {
        let [left, right] = [neighbours[0], neighbours[1]];
        let shown = String::from_utf8_lossy(&pairs[left].0).into_owned();
        if let Some((&last, rest)) = pairs[left].1.split_last() {
            add(format!("{shown}: last byte moved into the next name"), &|m| {
                m[left].1 = rest.to_vec();
                m[right].0.insert(0, last);
            });
        }
        add(format!("{shown}: takes the next name's first byte"), &|m| {
            let first = m[right].0.remove(0);
            m[left].1.push(first);
        });
    }
    for added in [
        (b"added".as_slice(), b"1".as_slice()),
        (b"", b"1"),
        (b" ", b"1"),
        (b"\t", b"1"),
        (b"\r\n", b"1"),
        (b"\x0b", b"1"),
        (b"\x0c", b"1"),
        (b"~", b"1"),
        (b"\0", b"1"),
        (b"Sign", b"1"),
    ] {
        let label = format!("{}={} added", added.0.escape_ascii(), added.1.escape_ascii());
        add(label, &|m| m.push((added.0.to_vec(), added.1.to_vec())));
    }
    add("nothing but what is not covered".to_owned(), &|m| {
        m.retain(|(name, _)| uncovered.iter().any(|left_out| left_out.as_bytes() == name));
    });
    cases
}

pub(crate) fn sorted_by_name(pairs: &[Pair], covered: &[usize]) -> Vec<usize> {
    let mut sorted = covered.to_vec();
    sorted.sort_by(|&one, &other| pairs[one].0.cmp(&pairs[other].0));
    sorted
}

fn damaged_body(request: &RawRequest) -> Vec<Case> {
    let body = request.body.to_vec();
    let mut cases = Vec::new();
    for at in 0..body.len() {
        for mask in [0x01, 0x20, 0x80] {
            let mut mutant = body.clone();
            mutant[at] ^= mask;
            cases.push((format!("body byte {at} ^ {mask:#x}"), mutant));
        }
        let mut shorter = body.clone();
        shorter.remove(at);
        cases.push((format!("without body byte {at}"), shorter));
    }
    for extra in [b" ".as_slice(), b"\n", b"\r\n", b"\0", b"\xef\xbb\xbf"] {
        cases.push((format!("body with {} behind", extra.escape_ascii()), [&body, extra].concat()));
        cases.push((format!("body with {} before", extra.escape_ascii()), [extra, &body].concat()));
    }
    cases.push(("body twice".to_owned(), [body.as_slice(), &body].concat()));
    cases.retain(|(_, mutant)| *mutant != body);
    cases.into_iter().map(|(label, mutant)| (label, with_body(request, mutant))).collect()
}

fn damaged_header(request: &RawRequest, name: &str) -> Vec<Case> {
    let value = request.headers.get(name).unwrap_or_else(|| panic!("header {name} is not there")).as_bytes().to_vec();
    let mut cases = Vec::new();
    for at in 0..value.len() {
        for other in *b"0aZ=" {
            let mut mutant = value.clone();
            mutant[at] = other;
            if mutant != value {
                cases
                    .push((format!("{name}: byte {at} as {}", char::from(other)), with_header(request, name, &mutant)));
            }
        }
    }
    for mutant in [value[..value.len() - 1].to_vec(), [&value, b"0".as_slice()].concat(), Vec::new()] {
        cases.push((format!("{name}: {}", mutant.escape_ascii()), with_header(request, name, &mutant)));
    }
    let mut missing = request.clone();
    missing.headers.remove(name);
    cases.push((format!("{name}: missing"), missing));
    let mut doubled = request.clone();
    for (header, value) in [(name, "0"), (name, "1")] {
        let header = http::HeaderName::from_bytes(header.as_bytes()).expect("a header name");
        doubled.headers.append(header, value.parse().expect("a header value"));
    }
    cases.push((format!("{name}: three times"), doubled));
    cases
}

/// A callback whose signature has the characters that careless clients lose.
fn with_telling_signature(world: &World, story: &Story) -> Genuine {
    let genuine = world.side.callback(story);
    if is_in_digits(&genuine) {
        return genuine;
    }
    (1..100)
        .map(|serial| world.side.callback(&Story { serial, ..story.clone() }))
        .find(|genuine| {
            let signature = signature_of(genuine);
            signature.contains(&b'+') && signature.contains(&b'/')
        })
        .expect("a signature with + and /")
}

/// Whether the signature is hexadecimal, with or without a time beside it.
fn is_in_digits(genuine: &Genuine) -> bool {
    matches!(genuine.cover, Cover::BodyAndStamp { .. }) || signature_of(genuine).iter().all(u8::is_ascii_hexdigit)
}

fn signature_of(genuine: &Genuine) -> Vec<u8> {
    match &genuine.cover {
        Cover::SortedForm { signature, .. } => {
            let pairs = read(&genuine.request.body);
            pairs.into_iter().find(|(name, _)| name == signature.as_bytes()).expect("a signature").1
        }
        Cover::BodyAndHeaders { signature, .. } | Cover::BodyAndStamp { signature } => {
            genuine.request.headers.get(*signature).expect("a signature").as_bytes().to_vec()
        }
    }
}

fn with_signature(genuine: &Genuine, forgery: &[u8]) -> RawRequest {
    match &genuine.cover {
        Cover::SortedForm { signature, .. } => {
            let mut pairs = read(&genuine.request.body);
            for (name, value) in &mut pairs {
                if name == signature.as_bytes() {
                    *value = forgery.to_vec();
                }
            }
            with_body(&genuine.request, write(&pairs, Style::Usual))
        }
        Cover::BodyAndHeaders { signature, .. } | Cover::BodyAndStamp { signature } => {
            with_header(&genuine.request, signature, forgery)
        }
    }
}

pub(crate) fn without_signature(genuine: &Genuine) -> RawRequest {
    match &genuine.cover {
        Cover::SortedForm { signature, .. } => {
            let mut pairs = read(&genuine.request.body);
            pairs.retain(|(name, _)| name != signature.as_bytes());
            with_body(&genuine.request, write(&pairs, Style::Usual))
        }
        Cover::BodyAndHeaders { signature, .. } | Cover::BodyAndStamp { signature } => {
            let mut request = genuine.request.clone();
            request.headers.remove(*signature);
            request
        }
    }
}

/// Signatures that look right. Hexadecimal ones may be read in either case, so they keep theirs.
fn forged(signature: &[u8], hexadecimal: bool) -> Vec<(String, Vec<u8>)> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let alphabet: &[u8] = if hexadecimal { b"0123456789" } else { ALPHABET };
    for at in 0..signature.len() {
        // In base64 the step of one at the end touches only bits that decode to nothing: a reader
        // that ignores them would accept several texts of one signature.
        for step in [1, 5, alphabet.len() / 2] {
            let Some(place) = alphabet.iter().position(|&letter| letter == signature[at]) else { continue };
            let mut mutant = signature.to_vec();
            mutant[at] = alphabet[(place + step) % alphabet.len()];
            cases.push((format!("character {at} + {step}"), mutant));
        }
        let mut shorter = signature.to_vec();
        shorter.remove(at);
        cases.push((format!("without character {at}"), shorter));
    }
    for keep in [0, 1, signature.len() / 2, signature.len() - 4, signature.len() - 1] {
        cases.push((format!("cut to {keep}"), signature[..keep].to_vec()));
    }
    for extra in [b"A".as_slice(), b"AAAA", b"=", b"==", b"\n", b" ", b"\0", b"%", b",", b"\xff"] {
        cases.push((format!("with {} behind", extra.escape_ascii()), [signature, extra].concat()));
        cases.push((format!("with {} before", extra.escape_ascii()), [extra, signature].concat()));
    }
    cases.push(("twice".to_owned(), signature.repeat(2)));
    cases.push(("reversed".to_owned(), signature.iter().rev().copied().collect()));
    cases.push(("of zeros".to_owned(), vec![b'0'; signature.len()]));
    for length in [1, 16, 32, 64, 128, 256, 512, 4096] {
        cases.push((format!("of {length} As"), vec![b'A'; length]));
        cases.push((format!("of {length} slashes"), vec![b'/'; length]));
    }
    cases.push(("a million characters".to_owned(), vec![b'A'; 1_000_000]));
    if !hexadecimal {
        let replaced = |from: &[u8], to: &[u8]| -> Vec<u8> {
            signature
                .iter()
                .map(|byte| from.iter().position(|letter| letter == byte).map_or(*byte, |place| to[place]))
                .collect()
        };
        cases.push(("with blanks for plus".to_owned(), replaced(b"+", b" ")));
        cases.push(("in the URL alphabet".to_owned(), replaced(b"+/", b"-_")));
        cases.push(("in lower case".to_owned(), signature.to_ascii_lowercase()));
        cases.push(("in upper case".to_owned(), signature.to_ascii_uppercase()));
        cases.push((
            "in hexadecimal".to_owned(),
            signature.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect(),
        ));
        let (left, right) = signature.split_at(64);
        cases.push(("in two lines".to_owned(), [left, b"\n", right].concat()));
        cases.push(("in two words".to_owned(), [left, b" ", right].concat()));
        let unpadded: Vec<u8> = signature.iter().copied().filter(|&byte| byte != b'=').collect();
        if unpadded != signature {
            cases.push(("without padding".to_owned(), unpadded));
        }
    }
    cases
}

#[test]
fn the_damage_of_a_body_touches_every_byte_and_header() {
    let mut headers = HeaderMap::new();
    headers.insert("x-time", "1700000000".parse().expect("a value"));
    headers.insert("x-signature", "AAAA".parse().expect("a value"));
    let request = RawRequest {
        method: Method::POST,
        path: "/".to_owned(),
        query: None,
        headers,
        body: Bytes::from_static(b"{\"a\":1}"),
        source: None,
        received_at: at(),
    };
    let cover = Cover::BodyAndHeaders { headers: &["x-time"], signature: "x-signature" };
    let genuine = Genuine { request: request.clone(), cover };
    let cases = damaged(&genuine);
    let mut touched = vec![false; request.body.len()];
    for (label, mutant) in &cases {
        assert!(
            mutant.body != request.body || mutant.headers != request.headers,
            "{label} changes nothing that is covered"
        );
        if mutant.body.len() == request.body.len() {
            for (at, seen) in touched.iter_mut().enumerate() {
                *seen |= mutant.body[at] != request.body[at];
            }
        }
    }
    assert!(touched.iter().all(|&seen| seen), "{touched:?}");
    assert!(cases.iter().any(|(_, mutant)| !mutant.headers.contains_key("x-time")));
    assert!(cases.iter().all(|(_, mutant)| mutant.headers.contains_key("x-signature")));
    assert!(!without_signature(&genuine).headers.contains_key("x-signature"));
    assert_eq!(signature_of(&Genuine { request: with_signature(&genuine, b"BBBB"), ..genuine }), b"BBBB");
}
