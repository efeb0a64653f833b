//! What a channel says of its keys and what its proofs say fit together, so that it can be counted who still signs with
//! which.

use tollbell_channels::channel::{KeyNote, Verdict};
use tollbell_channels::model::Proof;

use super::world::{World, at, with_every_platform};

/// Longest label of a key, in characters: it stands in metrics, logs and tables.
const LABEL_CHARS_MAX: usize = 96;

#[test]
fn the_key_of_a_proof_is_one_of_those_that_the_channel_tells_of() {
    with_every_platform(proofs_name_known_keys);
}

pub(crate) fn proofs_name_known_keys(world: &World) {
    let kind = world.platform.kind;
    let notes = world.channel.keys();
    for (story, genuine) in world.callbacks() {
        let Verdict::Genuine(proven) = world.channel.verify(&genuine.request, at()) else { continue };
        let Proof::Signature { key, .. } = proven.proof() else { panic!("{kind}: {:?}", proven.proof()) };
        let is_named = |note: &&KeyNote| note.label == *key || note.fingerprint.as_ref() == Some(key);
        let named = notes.iter().filter(is_named).count();
        // Where a message brings its own certificate, the channel knows who issued it, and the proof has its number.
        let is_brought = named == 0
            && notes.iter().any(|note| note.algorithm.starts_with("X.509"))
            && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        assert!(named == 1 || is_brought, "{kind}: {}: `{key}` is not one of {notes:?}", story.kind);
        assert!(key.chars().count() <= LABEL_CHARS_MAX && !key.chars().any(char::is_control), "{kind}: {key:?}");
    }
}

#[test]
fn the_strength_of_every_key_can_be_told() {
    with_every_platform(strengths_are_told);
}

pub(crate) fn strengths_are_told(world: &World) {
    for note in world.channel.keys() {
        let kind = world.platform.kind;
        assert!(note.primitives().is_some_and(|all| !all.is_empty()), "{kind}: `{}` of {note:?}", note.algorithm);
        assert!(note.label.chars().count() <= LABEL_CHARS_MAX, "{kind}: {note:?}");
    }
}
