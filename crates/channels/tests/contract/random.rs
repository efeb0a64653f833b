//! Random damage: never a panic, and never accepted unless it says the same.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::{Cover, Genuine};

use super::form::{Pair, Style, read, says_the_same, write};
use super::world::{World, with_body, with_header, worlds};

/// Cases of each property and platform.
const CASES: u32 = 3_000;

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })
}

#[derive(Clone, Debug)]
enum Change {
    Flip { at: prop::sample::Index, mask: u8 },
    Insert { at: prop::sample::Index, bytes: Vec<u8> },
    Delete { at: prop::sample::Index, count: usize },
    Copy { from: prop::sample::Index, count: usize, to: prop::sample::Index },
    Cut { at: prop::sample::Index },
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..4),
        prop::sample::select(vec!["&", "=", "%", "+", "%26", "%3D", "&&", "&a=", "%00", "=&", "sign", ";", "%25"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        4 => (at(), 1..=255_u8).prop_map(|(at, mask)| Change::Flip { at, mask }),
        4 => (at(), text).prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        2 => (at(), 1..40_usize).prop_map(|(at, count)| Change::Delete { at, count }),
        2 => (at(), 1..80_usize, at()).prop_map(|(from, count, to)| Change::Copy { from, count, to }),
        1 => at().prop_map(|at| Change::Cut { at }),
    ]
}

fn apply(body: &mut Vec<u8>, change: &Change) {
    if body.is_empty() {
        return;
    }
    match change {
        Change::Flip { at, mask } => {
            let at = at.index(body.len());
            body[at] ^= mask;
        }
        Change::Insert { at, bytes } => {
            let at = at.index(body.len() + 1);
            body.splice(at..at, bytes.iter().copied());
        }
        Change::Delete { at, count } => {
            let at = at.index(body.len());
            body.drain(at..body.len().min(at + count));
        }
        Change::Copy { from, count, to } => {
            let from = from.index(body.len());
            let piece = body[from..body.len().min(from + count)].to_vec();
            let to = to.index(body.len() + 1);
            body.splice(to..to, piece);
        }
        Change::Cut { at } => body.truncate(at.index(body.len())),
    }
}

/// Whether a genuine signature is one over this request as well.
fn is_covered_alike(genuine: &Genuine, request: &RawRequest) -> bool {
    match &genuine.cover {
        Cover::SortedForm { uncovered, empty_is_absent, .. } => {
            says_the_same(&read(&genuine.request.body), &read(&request.body), uncovered, *empty_is_absent)
        }
        Cover::BodyAndHeaders { headers, .. } => {
            request.body == genuine.request.body
                && headers.iter().all(|name| request.headers.get(*name) == genuine.request.headers.get(*name))
        }
        Cover::BodyAndStamp { signature } => {
            request.body == genuine.request.body
                && request.headers.get(*signature) == genuine.request.headers.get(*signature)
        }
    }
}

fn check(world: &World, genuine: &Genuine, request: &RawRequest) -> Result<(), TestCaseError> {
    let likeness = world.channel.recognise(request);
    match world.verify(request) {
        Verdict::Genuine(_) => {
            prop_assert!(
                is_covered_alike(genuine, request),
                "{}: {}",
                world.platform.kind,
                request.body.escape_ascii()
            );
            prop_assert!(likeness > tollbell_channels::channel::Likeness::No, "genuine, and not recognised");
        }
        Verdict::Refused(rejection) => prop_assert!(rejection.to_string().len() < 1_000),
        Verdict::NeedsKey(key) => prop_assert!(key.serial.len() < 1_000),
        Verdict::Hint(hint) => prop_assert!(false, "{}: {hint:?}", world.platform.kind),
    }
    Ok(())
}

#[test]
fn random_changes_of_a_genuine_body_are_refused() {
    for world in worlds() {
        let genuine: Vec<Genuine> = world.callbacks().into_iter().map(|(_, genuine)| genuine).collect();
        let cases = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
        let outcome = runner().run(&cases, |(which, changes)| {
            let genuine = &genuine[which.index(genuine.len())];
            let mut body = genuine.request.body.to_vec();
            for change in &changes {
                apply(&mut body, change);
            }
            check(&world, genuine, &with_body(&genuine.request, body))
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
    }
}

#[test]
fn random_changes_of_decoded_pairs_are_refused() {
    for world in worlds() {
        let genuine: Vec<Genuine> = world
            .callbacks()
            .into_iter()
            .map(|(_, genuine)| genuine)
            .filter(|genuine| matches!(genuine.cover, Cover::SortedForm { .. }))
            .collect();
        if genuine.is_empty() {
            continue;
        }
        let index = any::<prop::sample::Index>;
        let step = (0..7_u8, index(), index(), prop::collection::vec(any::<u8>(), 0..6));
        let cases = (index(), prop::collection::vec(step, 1..5), prop::sample::select(Style::ALL.to_vec()));
        let outcome = runner().run(&cases, |(which, steps, style)| {
            let genuine = &genuine[which.index(genuine.len())];
            let mut pairs = read(&genuine.request.body);
            for (what, one, other, bytes) in steps {
                change_pairs(&mut pairs, what, one.index(usize::MAX), other.index(usize::MAX), bytes);
            }
            check(&world, genuine, &with_body(&genuine.request, write(&pairs, style)))
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
    }
}

fn change_pairs(pairs: &mut Vec<Pair>, what: u8, one: usize, other: usize, bytes: Vec<u8>) {
    if pairs.is_empty() {
        return;
    }
    let (one, other) = (one % pairs.len(), other % pairs.len());
    match what {
        0 => drop(pairs.remove(one)),
        1 => pairs.swap(one, other),
        2 => pairs[one].1 = bytes,
        3 => pairs[one].0 = bytes,
        4 => {
            let value = pairs[other].1.clone();
            pairs[one].1 = value;
        }
        5 => pairs.push((bytes, pairs[other].1.clone())),
        _ => pairs.insert(one, (bytes, Vec::new())),
    }
}

#[test]
fn random_bytes_are_refused() {
    for world in worlds() {
        let genuine = world.callback();
        let body = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2_000),
            "[a-z_]{1,8}(=[ -~]{0,8}(&[a-z_]{1,8}=[ -~]{0,8}){0,20})?".prop_map(String::into_bytes),
            "[&=%+a0-9]{0,200}".prop_map(String::into_bytes),
            "\\PC{0,200}".prop_map(String::into_bytes),
        ];
        let media = prop_oneof![Just(None), prop::collection::vec(0x20..0x7f_u8, 0..60).prop_map(Some)];
        let outcome = runner().run(&(body, media), |(body, media)| {
            let mut request = with_body(&genuine.request, body);
            if let Some(media) = media {
                request = with_header(&request, "content-type", &media);
            }
            let verdict = world.verify(&request);
            prop_assert!(!matches!(verdict, Verdict::Genuine(_)), "{}", request.body.escape_ascii());
            check(&world, &genuine, &request)
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
    }
}
