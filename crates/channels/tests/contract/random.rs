//! Random damage: never a panic, and never accepted unless it says the same.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tollbell_channels::channel::{Likeness, Verdict};
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Genuine;

use super::cover::{carrier, is_covered_alike, is_sealed};
use super::pairs::{Pair, Paired, styles, text, with_text};
use super::world::{World, invented, with_every_platform, with_header};

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

fn check(world: &World, genuine: &Genuine, request: &RawRequest) -> Result<(), TestCaseError> {
    let likeness = world.channel.recognise(request);
    match world.verify(request) {
        Verdict::Genuine(proven) => {
            // A sealed value may be readable with a block that is another; nothing else may pass.
            let original = world.accepts("as it came", &genuine.request);
            let invented = invented(&original, proven.value());
            let shown = text(request, carrier(genuine)).escape_ascii().to_string();
            let is_alike = is_sealed(genuine) || is_covered_alike(genuine, request);
            prop_assert!(is_alike && invented.is_empty(), "{}: {shown}: {invented:?}", world.platform.kind);
            prop_assert!(likeness > Likeness::No, "genuine, and not recognised");
        }
        Verdict::Refused(rejection) => prop_assert!(rejection.to_string().len() < 1_000),
        Verdict::NeedsKey(key) => prop_assert!(key.serial.len() < 1_000),
        Verdict::Hint(hint) => prop_assert!(false, "{}: {hint:?}", world.platform.kind),
    }
    Ok(())
}

#[test]
fn random_changes_of_a_genuine_message_are_refused() {
    with_every_platform(changed_messages_are_refused);
}

pub(crate) fn changed_messages_are_refused(world: &World) {
    let genuine: Vec<Genuine> = world.callbacks().into_iter().map(|(_, genuine)| genuine).collect();
    let cases = (any::<prop::sample::Index>(), prop::collection::vec(change(), 1..6));
    let outcome = runner().run(&cases, |(which, changes)| {
        let genuine = &genuine[which.index(genuine.len())];
        let mut changed = text(&genuine.request, carrier(genuine));
        for change in &changes {
            apply(&mut changed, change);
        }
        check(world, genuine, &with_text(&genuine.request, carrier(genuine), changed))
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
}

#[test]
fn random_changes_of_decoded_pairs_are_refused() {
    with_every_platform(changed_pairs_are_refused);
}

pub(crate) fn changed_pairs_are_refused(world: &World) {
    let genuine: Vec<(Genuine, Paired)> = world
        .callbacks()
        .into_iter()
        .filter_map(|(_, genuine)| Paired::of(&genuine).map(|paired| (genuine, paired)))
        .collect();
    if genuine.is_empty() {
        return;
    }
    let index = any::<prop::sample::Index>;
    let step = (0..7_u8, index(), index(), prop::collection::vec(any::<u8>(), 0..6));
    let cases = (index(), prop::collection::vec(step, 1..5), index());
    let outcome = runner().run(&cases, |(which, steps, style)| {
        let (genuine, paired) = &genuine[which.index(genuine.len())];
        let mut pairs = paired.pairs.clone();
        for (what, one, other, bytes) in steps {
            change_pairs(&mut pairs, what, one.index(usize::MAX), other.index(usize::MAX), bytes);
        }
        let styles = styles(paired.cover.carrier);
        check(world, genuine, &paired.written(&pairs, styles[style.index(styles.len())]))
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
}

fn change_pairs(pairs: &mut Vec<Pair>, what: u8, one: usize, other: usize, bytes: Vec<u8>) {
    if pairs.is_empty() {
        return;
    }
    let (one, other) = (one % pairs.len(), other % pairs.len());
    match what {
        0 => drop(pairs.remove(one)),
        1 => pairs.swap(one, other),
        2 => pairs[one].value = bytes,
        3 => pairs[one].name = bytes,
        4 => pairs[one] = Pair { name: pairs[one].name.clone(), ..pairs[other].clone() },
        5 => pairs.push(Pair { name: bytes, ..pairs[other].clone() }),
        _ => pairs.insert(one, Pair::new(bytes, "")),
    }
}

#[test]
fn random_bytes_are_refused() {
    with_every_platform(random_messages_are_refused);
}

pub(crate) fn random_messages_are_refused(world: &World) {
    let genuine = world.callback();
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2_000),
        "[a-z_]{1,8}(=[ -~]{0,8}(&[a-z_]{1,8}=[ -~]{0,8}){0,20})?".prop_map(String::into_bytes),
        "[&=%+a0-9]{0,200}".prop_map(String::into_bytes),
        "<(xml|[a-z]{1,6})>(<[a-z]{1,3}>[ -~]{0,8}</[a-z]{1,3}>){0,9}</xml>".prop_map(String::into_bytes),
        "[{}\\[\\]\",:a1\\\\]{0,60}".prop_map(String::into_bytes),
        "\\PC{0,200}".prop_map(String::into_bytes),
    ];
    let media = prop_oneof![Just(None), prop::collection::vec(0x20..0x7f_u8, 0..60).prop_map(Some)];
    let outcome = runner().run(&(body, media), |(body, media)| {
        let mut request = with_text(&genuine.request, carrier(&genuine), body);
        if let Some(media) = media {
            request = with_header(&request, "content-type", &media);
        }
        let verdict = world.verify(&request);
        let shown = text(&request, carrier(&genuine)).escape_ascii().to_string();
        prop_assert!(!matches!(verdict, Verdict::Genuine(_)), "{shown}");
        check(world, &genuine, &request)
    });
    outcome.unwrap_or_else(|error| panic!("{}: {error}", world.platform.kind));
}
