//! Every change of what the signature covers, and of the signature, is refused.
//!
//! Where a covered value carries its own proof, its text plays the signature's part. Some of those have no sum over
//! all of their blocks, so a change there may be readable: then it must not bring a fact that was not there.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Carrier, Cover, Covered, Genuine, Story};

use super::cover::{
    is_asked, is_covered_alike, is_sealed, proving_pair, signature_of, with_signature, without_signature,
};
use super::pairs::{Pair, Paired};
use super::world::{World, at, with_body, with_every_platform, with_header};

/// A damaged request, and what was done to it.
type Case = (String, RawRequest);

/// Bytes of one value that are damaged one by one; of a longer value, as many spread over it.
const PLACES_MAX: usize = 250;

#[test]
fn every_change_of_the_covered_bytes_is_refused() {
    with_every_platform(changed_bytes_are_refused);
}

pub(crate) fn changed_bytes_are_refused(world: &World) {
    let callbacks = world.callbacks();
    let count = callbacks.len();
    for (at, (story, genuine)) in callbacks.into_iter().enumerate() {
        let original = world.accepts("before the damage", &genuine.request);
        // Pairs differ from story to story; to a signature over the body one body is as good as another.
        let share = if Paired::of(&genuine).is_some() { 0 } else { at };
        for (label, request) in shared(damaged(&genuine), share, count) {
            let label = format!("{}: {label}", story.kind);
            if is_sealed(&genuine) {
                world.refuses_or_invents_nothing(&label, &original, &request);
            } else {
                world.refuses(&label, &request);
            }
        }
    }
}

#[test]
fn every_change_of_the_signature_is_refused() {
    with_every_platform(forged_signatures_are_refused);
}

pub(crate) fn forged_signatures_are_refused(world: &World) {
    let stories = world.stories();
    let count = stories.len();
    for (at, story) in stories.into_iter().enumerate() {
        let genuine = with_telling_signature(world, &story);
        let original = world.accepts("before it is forged", &genuine.request);
        let other = world.side.callback(&Story { order_no: "T20261121-0009".to_owned(), ..story.clone() });
        let signature = signature_of(&genuine);
        let mut forgeries = forged(&signature, &genuine);
        if is_in_header(&genuine) {
            // Line ends and zeros never come this far in a header.
            let count = forgeries.len();
            forgeries.retain(|(_, forgery)| {
                matches!(genuine.cover, Cover::BodyAndWritten { written, .. } if written.is_percent_encoded)
                    || HeaderValue::from_bytes(forgery).is_ok()
            });
            assert!(forgeries.len() + 10 > count, "most forgeries can be sent");
        }
        for (label, forgery) in shared(forgeries, at, count) {
            assert_ne!(forgery, signature, "{label} changes nothing");
            let request = with_signature(&genuine, &forgery);
            // Blanks around a number or a name are no part of it in every writing.
            if is_covered_alike(&genuine, &request) && signature_of_request(&genuine, &request) == signature {
                continue;
            }
            let label = format!("{}: signature {label}", story.kind);
            if is_sealed(&genuine) {
                world.refuses_or_invents_nothing(&label, &original, &request);
            } else {
                world.refuses(&label, &request);
            }
        }
        // What is sealed is another message, whole; a signature of another message fits this one nowhere.
        // A token says nothing about the message, and is the same in each.
        if !is_sealed(&genuine) && (!is_asked(&genuine) || signature_of(&other) != signature) {
            let request = with_signature(&genuine, &signature_of(&other));
            world.refuses(&format!("{}: another message's signature", story.kind), &request);
        }
    }
}

/// All cases of the first message; of the others each its share.
fn shared<T>(cases: Vec<T>, at: usize, count: usize) -> impl Iterator<Item = T> {
    cases.into_iter().skip(at).step_by(if at == 0 { 1 } else { count })
}

fn signature_of_request(genuine: &Genuine, request: &RawRequest) -> Vec<u8> {
    signature_of(&Genuine { request: request.clone(), ..genuine.clone() })
}

#[test]
fn a_missing_signature_is_named() {
    with_every_platform(missing_signatures_are_named);
}

pub(crate) fn missing_signatures_are_named(world: &World) {
    for (story, genuine) in world.callbacks() {
        let label = story.kind.as_str();
        let words: &[&str] = if is_sealed(&genuine) {
            &["missing", "malformed", "signature", "undecryptable"]
        } else {
            &["missing", "malformed", "signature"]
        };
        // Where nothing but the number that is asked about was there, nothing is left.
        let is_all = Paired::of(&genuine).is_some_and(|paired| paired.pairs.len() == 1);
        let gone: &[&str] = if is_all { &["missing", "empty"] } else { &["missing"] };
        world.refuses_as(label, &without_signature(&genuine), gone);
        world.refuses_as(label, &with_signature(&genuine, b""), words);
        world.refuses_as(label, &with_signature(&genuine, b" "), words);
    }
}

/// What the signature leaves open must not be where the meaning is.
#[test]
fn what_is_not_covered_changes_no_fact() {
    with_every_platform(uncovered_pairs_change_no_fact);
}

pub(crate) fn uncovered_pairs_change_no_fact(world: &World) {
    let callbacks: Vec<(Story, Paired)> = world
        .callbacks()
        .into_iter()
        .filter_map(|(story, genuine)| Paired::of(&genuine).map(|paired| (story, paired)))
        .collect();
    let names: BTreeSet<Vec<u8>> =
        callbacks.iter().flat_map(|(_, paired)| paired.pairs.iter().map(|pair| pair.name.clone())).collect();
    for (story, paired) in &callbacks {
        let original = world.accepts("as it came", &paired.request);
        let mut mutants = shadowed(paired, &names);
        mutants.extend(with_other_uncovered(paired));
        for (label, mutant) in mutants {
            let label = format!("{}: {label}", story.kind);
            world.refuses_or_reads_the_same(&label, &original, &paired.with(&mutant));
        }
    }
}

/// Pairs added that other readers take for the signed ones.
fn shadowed(paired: &Paired, names: &BTreeSet<Vec<u8>>) -> Vec<(String, Vec<Pair>)> {
    let mut mutants = Vec::new();
    for name in names {
        for shadow in [
            name.clone(),
            name.to_ascii_uppercase(),
            name.iter().map(|&byte| if byte == b'_' { b'.' } else { byte }).collect(),
            name.iter().map(|&byte| if byte == b'_' { b' ' } else { byte }).collect(),
            [b" ", name.as_slice()].concat(),
            [name, b"[]".as_slice()].concat(),
            [name, b"\0".as_slice()].concat(),
        ] {
            // What is not covered may say anything; among what is covered only nothing counts as absent.
            let values: &[&str] = if paired.covers(&shadow) {
                &["", " ", "\t", "\r\n", "\u{a0}", "\u{3000}"]
            } else {
                &["", " ", "1", "SUCCESS", "999999"]
            };
            for value in values {
                let mut mutant = paired.pairs.clone();
                mutant.push(Pair::new(shadow.clone(), *value));
                mutants.push((format!("{:?}={value:?} added", String::from_utf8_lossy(&shadow)), mutant));
            }
        }
    }
    mutants
}

/// Pairs that are not covered, taken away or with other values.
fn with_other_uncovered(paired: &Paired) -> Vec<(String, Vec<Pair>)> {
    let left_out: &[&str] = match paired.cover.covered {
        Covered::Joined { but, .. } => but,
        Covered::Each(_) => &[],
    };
    let mut names: BTreeSet<Vec<u8>> = left_out.iter().map(|name| name.as_bytes().to_vec()).collect();
    names.extend(paired.pairs.iter().map(|pair| pair.name.clone()).filter(|name| !paired.covers(name)));
    let is_json = matches!(paired.cover.carrier, Carrier::Json | Carrier::JsonTree);
    let mut mutants = Vec::new();
    for name in names.iter().filter(|name| proving_pair(&paired.cover).as_bytes() != name.as_slice()) {
        let shown = String::from_utf8_lossy(name).into_owned();
        let others: Vec<Pair> = paired.pairs.iter().filter(|pair| pair.name != *name).cloned().collect();
        let own = paired.pairs.iter().find(|pair| pair.name == *name);
        mutants.push((format!("{shown} taken away"), others.clone()));
        let next = own.map(|pair| next_digit(&pair.value)).unwrap_or_default();
        for value in [b"".as_slice(), b"x", b"RSA", b"MD5", b"none", b"0", b"NONE", b"HMAC", b"FAIL", &next] {
            let mut mutant = others.clone();
            mutant.push(Pair::new(name.clone(), value));
            mutants.push((format!("{shown}={}", value.escape_ascii()), mutant));
        }
        let numbers = [Pair::raw(name.clone(), "0"), Pair::raw(name.clone(), "1")];
        for number in numbers.into_iter().filter(|_| is_json) {
            let mutant = [others.as_slice(), &[number]].concat();
            mutants.push((format!("{shown} as a number"), mutant));
        }
    }
    mutants
}

/// The neighbour: the last digit is another.
fn next_digit(value: &[u8]) -> Vec<u8> {
    let mut next = value.to_vec();
    if let Some(last) = next.last_mut() {
        *last = if last.is_ascii_digit() { b'0' + (*last - b'0' + 1) % 10 } else { b'1' };
    }
    next
}

#[test]
fn the_signature_of_another_side_is_refused() {
    with_every_platform(strangers_are_refused);
}

pub(crate) fn strangers_are_refused(world: &World) {
    let stranger = world.stranger();
    for (story, genuine) in world.callbacks() {
        stranger.refuses(story.kind.as_str(), &genuine.request);
        // A number is nobody's own: about one that was told here, too, the platform would be right to answer.
        let order_no = if is_asked(&genuine) { format!("X{}", story.order_no) } else { story.order_no.clone() };
        world.refuses(story.kind.as_str(), &stranger.side.callback(&Story { order_no, ..story }).request);
    }
}

/// Every damage that the cover calls for.
pub(crate) fn damaged(genuine: &Genuine) -> Vec<Case> {
    let request = &genuine.request;
    match &genuine.cover {
        Cover::Pairs(_) | Cover::Asked { .. } => damaged_carrier(&Paired::of(genuine).expect("pairs")),
        Cover::BodyAndHeaders { headers, .. } | Cover::BodyAndWritten { headers, .. } => {
            let mut cases = damaged_body(request);
            for name in *headers {
                cases.extend(damaged_header(request, name));
            }
            cases
        }
        Cover::BodyAndQuery { .. } | Cover::BodyAndStamp { .. } => damaged_body(request),
    }
}

/// Every damage of pairs that can be written so that it is read as a damage.
fn damaged_carrier(paired: &Paired) -> Vec<Case> {
    let is_form = matches!(paired.cover.carrier, Carrier::Form | Carrier::Query);
    let damage = damaged_pairs(paired);
    let count = damage.len();
    let cases: Vec<Case> = damage
        .into_iter()
        .map(|(label, mutant)| (label, paired.with(&mutant)))
        .filter(|(label, request)| {
            let is_alike = paired.is_alike(request);
            // In forms every byte can stand. Elsewhere blanks around a name or a number are none of it, and some bytes
            // cannot be in a name.
            assert!(!is_alike || !is_form, "{label} leaves what is covered as it was");
            !is_alike
        })
        .collect();
    assert!(cases.len() * 10 > count * 8, "only {} of {count} damages can be written", cases.len());
    cases
}

fn damaged_pairs(paired: &Paired) -> Vec<(String, Vec<Pair>)> {
    let pairs = &paired.pairs;
    let covered = paired.covered();
    let is_joined = matches!(paired.cover.covered, Covered::Joined { .. });
    let mut cases = Vec::new();
    let mut add = |label: String, change: &dyn Fn(&mut Vec<Pair>)| {
        let mut mutant = pairs.clone();
        change(&mut mutant);
        cases.push((label, mutant));
    };
    for &index in &covered {
        let Pair { name, value, .. } = &pairs[index];
        let shown = pairs[index].shown();
        for mask in [0x01, 0x02, 0x10, 0x20, 0x80] {
            for at in places(value.len()) {
                add(format!("{shown}: value byte {at} ^ {mask:#x}"), &|m| m[index].value[at] ^= mask);
            }
            for at in 0..name.len() {
                add(format!("{shown}: name byte {at} ^ {mask:#x}"), &|m| m[index].name[at] ^= mask);
            }
        }
        for at in places(value.len()) {
            add(format!("{shown}: without value byte {at}"), &|m| {
                m[index].value.remove(at);
            });
        }
        for extra in [b"0".as_slice(), b" ", b"\0", b"\n", b"%", b"&", b"=", b"&x=1", b"\xef\xbb\xbf"] {
            let quoted = extra.escape_ascii();
            add(format!("{shown}: value with {quoted} behind"), &|m| m[index].value.extend_from_slice(extra));
            add(format!("{shown}: value with {quoted} before"), &|m| m[index].value = [extra, value].concat());
            add(format!("{shown}: name with {quoted} behind"), &|m| m[index].name.extend_from_slice(extra));
            add(format!("{shown}: name with {quoted} before"), &|m| m[index].name = [extra, name].concat());
        }
        if !value.is_empty() {
            add(format!("{shown}: emptied"), &|m| m[index].value.clear());
            add(format!("{shown}: deleted"), &|m| {
                m.remove(index);
            });
            let doubled = value.to_ascii_uppercase().repeat(2);
            add(format!("{shown}: in upper case and doubled"), &|m| m[index].value.clone_from(&doubled));
        }
        add(format!("{shown}: renamed"), &|m| m[index].name = b"renamed".to_vec());
        for &other in covered.iter().filter(|&&other| other > index && pairs[other].value != *value) {
            add(format!("{shown} and {}: values swapped", pairs[other].shown()), &|m| {
                let name = |at: usize| pairs[at].name.clone();
                m[index] = Pair { name: name(index), ..pairs[other].clone() };
                m[other] = Pair { name: name(other), ..pairs[index].clone() };
            });
        }
    }
    add("nothing but what is not covered".to_owned(), &|m| m.retain(|pair| !paired.covers(&pair.name)));
    if !is_joined {
        return cases;
    }
    for neighbours in sorted_by_name(pairs, &covered).windows(2) {
        let [left, right] = [neighbours[0], neighbours[1]];
        let shown = pairs[left].shown();
        if let Some((&last, rest)) = pairs[left].value.split_last() {
            add(format!("{shown}: last byte moved into the next name"), &|m| {
                m[left].value = rest.to_vec();
                m[right].name.insert(0, last);
            });
        }
        add(format!("{shown}: takes the next name's first byte"), &|m| {
            let first = m[right].name.remove(0);
            m[left].value.push(first);
        });
    }
    for name in [b"added".as_slice(), b"", b" ", b"\t", b"\r\n", b"\x0b", b"\x0c", b"~", b"\0", b"Sign"] {
        add(format!("{}=1 added", name.escape_ascii()), &|m| m.push(Pair::new(name, "1")));
    }
    cases
}

/// Places in a text of this length: all of them, or as many as are enough.
fn places(length: usize) -> impl Iterator<Item = usize> + Clone {
    (0..length).step_by(length.div_ceil(PLACES_MAX).max(1))
}

pub(crate) fn sorted_by_name(pairs: &[Pair], covered: &[usize]) -> Vec<usize> {
    let mut sorted = covered.to_vec();
    sorted.sort_by(|&one, &other| pairs[one].name.cmp(&pairs[other].name));
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

/// A callback whose signature has the characters that careless clients lose, percent-encoded or not.
fn with_telling_signature(world: &World, story: &Story) -> Genuine {
    let genuine = world.side.callback(story);
    if is_in_digits(&genuine) || is_sealed(&genuine) {
        return genuine;
    }
    let others = |serial| world.side.callback(&Story { serial, ..story.clone() });
    let is_telling = |genuine: &Genuine| {
        let signature = signature_of(genuine);
        let has = |text: &[u8]| signature.windows(text.len()).any(|window| window == text);
        [[b"+".as_slice(), b"/"], [b"-", b"_"], [b"%2B", b"%2F"]].iter().any(|pair| pair.iter().all(|text| has(text)))
    };
    // A token is the same in each message, and is not written in base64.
    let is_token = signature_of(&others(2)) == signature_of(&genuine);
    let found = (1..100).map(others).find(is_telling).or(is_token.then_some(genuine));
    found.expect("a signature with + and /")
}

fn is_in_header(genuine: &Genuine) -> bool {
    matches!(
        genuine.cover,
        Cover::BodyAndHeaders { .. }
            | Cover::BodyAndWritten { .. }
            | Cover::BodyAndStamp { .. }
            | Cover::Asked { header: Some(_), .. }
    )
}

/// Whether the signature is hexadecimal, with or without a time beside it, or the key's name before it.
fn is_in_digits(genuine: &Genuine) -> bool {
    let signature = signature_of(genuine);
    let digits = signature.rsplit(|&byte| byte == b'|').next().unwrap_or(&signature);
    matches!(genuine.cover, Cover::BodyAndStamp { .. }) || digits.iter().all(u8::is_ascii_hexdigit)
}

/// Signatures that look right.
fn forged(signature: &[u8], genuine: &Genuine) -> Vec<(String, Vec<u8>)> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hexadecimal = is_in_digits(genuine);
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let alphabet: &[u8] = if hexadecimal { b"0123456789" } else { ALPHABET };
    for at in places(signature.len()) {
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
    if hexadecimal {
        // A digest in a header may be read in either case. Among pairs one message has one text.
        if matches!(genuine.cover, Cover::Pairs(_) | Cover::BodyAndQuery { .. }) {
            let other = if signature.iter().any(u8::is_ascii_lowercase) {
                signature.to_ascii_uppercase()
            } else {
                signature.to_ascii_lowercase()
            };
            cases.push(("in the other case".to_owned(), other));
        }
    } else {
        cases.extend(misread_base64(signature));
    }
    if is_sealed(genuine) {
        cases.extend(moved_blocks(signature));
    }
    // Of a hexadecimal signature without letters, for instance, both cases are one.
    cases.retain(|(_, forgery)| forgery != signature);
    cases
}

/// What careless clients make of base64, in either of its alphabets.
fn misread_base64(signature: &[u8]) -> Vec<(String, Vec<u8>)> {
    let replaced = |from: &[u8], to: &[u8]| -> Vec<u8> {
        let other = |byte: &u8| from.iter().position(|letter| letter == byte).map_or(*byte, |place| to[place]);
        signature.iter().map(other).collect()
    };
    let (left, right) = signature.split_at(signature.len().min(64) / 2);
    vec![
        ("with blanks for plus".to_owned(), replaced(b"+", b" ")),
        ("in the URL alphabet".to_owned(), replaced(b"+/", b"-_")),
        ("in the common alphabet".to_owned(), replaced(b"-_", b"+/")),
        ("in lower case".to_owned(), signature.to_ascii_lowercase()),
        ("in upper case".to_owned(), signature.to_ascii_uppercase()),
        ("with percent signs in lower case".to_owned(), percent_signs_in_lower_case(signature)),
        ("in hexadecimal".to_owned(), signature.iter().flat_map(|b| format!("{b:02x}").into_bytes()).collect()),
        ("in two lines".to_owned(), [left, b"\n", right].concat()),
        ("in two words".to_owned(), [left, b" ", right].concat()),
        ("without padding".to_owned(), signature.iter().copied().filter(|&byte| byte != b'=').collect()),
    ]
}

/// `%2b` for `%2B`: a reader that takes both has several texts for one signature.
fn percent_signs_in_lower_case(signature: &[u8]) -> Vec<u8> {
    let is_encoded = |at: usize| signature[at.saturating_sub(2)..at].contains(&b'%');
    let letter = |(at, byte): (usize, &u8)| if is_encoded(at) { byte.to_ascii_lowercase() } else { *byte };
    signature.iter().enumerate().map(letter).collect()
}

/// Whole blocks of what is sealed, cut, copied and moved: ciphers that work block by block do not see it.
fn moved_blocks(sealed: &[u8]) -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let Ok(bytes) = STANDARD.decode(sealed) else { return Vec::new() };
    let mut cases = Vec::new();
    for size in [8, 16] {
        let blocks: Vec<&[u8]> = bytes.chunks(size).collect();
        let mut add = |label: String, blocks: &[&[u8]]| {
            cases.push((format!("{label} of {size} bytes"), STANDARD.encode(blocks.concat()).into_bytes()));
        };
        for at in 0..blocks.len() {
            for count in 1..=4_usize.min(blocks.len() - at) {
                add(format!("without {count} blocks at {at}"), &[&blocks[..at], &blocks[at + count..]].concat());
            }
            for to in [0, at / 2, at + 1, blocks.len() - 1] {
                if to < blocks.len() {
                    let mut swapped = blocks.clone();
                    swapped.swap(at, to);
                    add(format!("blocks {at} and {to} swapped"), &swapped);
                    let mut copied = blocks.clone();
                    copied[at] = blocks[to];
                    add(format!("block {to} in place of block {at}"), &copied);
                    copied.clone_from(&blocks);
                    copied.insert(at, blocks[to]);
                    add(format!("block {to} again before block {at}"), &copied);
                }
            }
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
