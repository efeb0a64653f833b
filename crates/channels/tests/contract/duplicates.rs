//! A parameter given twice could be read in two ways by two readers, so it is refused.

use tollbell_channels::simulate::Cover;

use super::cover::{query, with_query};
use super::pairs::{Pair, Paired, styles};
use super::world::{World, with_every_platform};

#[test]
fn a_pair_given_twice_is_refused() {
    with_every_platform(twins_are_named);
}

pub(crate) fn twins_are_named(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        let pairs = &paired.pairs;
        for pair in pairs {
            let other = if pair.is_raw { b"1".to_vec() } else { [pair.value.as_slice(), b"1"].concat() };
            let named = |value| Pair::new(pair.name.clone(), value);
            let twins = [pair.clone(), named(other), named(Vec::new())];
            for twin in twins {
                // The twin is written in each way, and so is the message, where an encoder would hide that they are two.
                for style in styles(paired.cover.carrier) {
                    let label = format!("{}: {style:?} {}", story.kind, twin.shown());
                    let behind = paired.written(&[pairs.as_slice(), std::slice::from_ref(&twin)].concat(), style);
                    let before = paired.written(&[std::slice::from_ref(&twin), pairs].concat(), style);
                    world.refuses_as(&label, &behind, &["duplicate_field"]);
                    world.refuses_as(&label, &before, &["duplicate_field"]);
                }
            }
        }
    }
}

#[test]
fn a_pair_given_many_times_is_refused() {
    with_every_platform(repeated_messages_are_named);
}

pub(crate) fn repeated_messages_are_named(world: &World) {
    let Some(paired) = Paired::of(&world.callback()) else { return };
    world.refuses_as("everything thrice", &paired.repeated(3), &["duplicate_field"]);
}

#[test]
fn a_signature_given_twice_in_the_query_is_refused() {
    with_every_platform(twin_signatures_are_named);
}

pub(crate) fn twin_signatures_are_named(world: &World) {
    for (story, genuine) in world.callbacks() {
        let Cover::BodyAndQuery { signature } = genuine.cover else { continue };
        let pairs = query(&genuine.request);
        let own = pairs.iter().find(|pair| pair.is_called(signature)).expect("a signature").clone();
        for value in [own.value.clone(), Vec::new(), b"0".repeat(own.value.len())] {
            let twin = Pair { value, ..own.clone() };
            let behind = with_query(&genuine.request, &[pairs.as_slice(), std::slice::from_ref(&twin)].concat());
            let before = with_query(&genuine.request, &[std::slice::from_ref(&twin), &pairs].concat());
            world.refuses_as(story.kind.as_str(), &behind, &["duplicate_field"]);
            world.refuses_as(story.kind.as_str(), &before, &["duplicate_field"]);
        }
    }
}
