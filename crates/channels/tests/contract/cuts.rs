//! The text under a signature over joined pairs does not escape `&` and `=`, so it can be cut into other pairs without
//! the key. Such a message may pass, but never with a fact that was not there. Pairs that are covered each for itself
//! have no such text.

use tollbell_channels::simulate::{Covered, Story};

use super::damage::sorted_by_name;
use super::pairs::{Pair, Paired};
use super::world::{World, with_every_platform};

#[test]
fn another_cut_of_the_signed_text_invents_no_fact() {
    with_every_platform(other_cuts_invent_nothing);
}

pub(crate) fn other_cuts_invent_nothing(world: &World) {
    let usual = Paired::of(&world.callback()).map(|paired| paired.pairs).unwrap_or_default();
    for (story, genuine) in world.callbacks() {
        let Some(paired) = Paired::of(&genuine) else { continue };
        if !matches!(paired.cover.covered, Covered::Joined { .. }) {
            continue;
        }
        let original = world.accepts("as it came", &genuine.request);
        let mut alike = 0;
        for (label, mutant) in other_cuts(&paired, &usual) {
            let request = paired.with(&mutant);
            alike += usize::from(paired.is_alike(&request));
            world.refuses_or_invents_nothing(&format!("{}: {label}", story.kind), &original, &request);
        }
        assert!(alike > 5, "{}: {}: hardly any other cut", world.platform.kind, story.kind);
    }
}

/// What a merchant writes where the platform lets him.
const MEMO: &str = "memo";

#[test]
fn a_field_cut_out_of_the_merchants_text_invents_no_fact() {
    with_every_platform(texts_hide_no_fact);
}

/// The merchant's text may end in `&name=value` of any field that the message lacks; whoever captures the message can
/// make two pairs of it. Every field of every other message of the platform is tried.
pub(crate) fn texts_hide_no_fact(world: &World) {
    let mut stories = world.stories();
    // The whole amount as well: a part may contradict the message where the whole does not.
    let whole: Vec<Story> = stories.iter().filter(|story| story.refunded_minor > 0).cloned().collect();
    stories.extend(whole.into_iter().map(|story| Story { refunded_minor: story.amount_minor, ..story }));
    let others: Vec<Paired> = stories.iter().filter_map(|story| Paired::of(&world.side.callback(story))).collect();
    for story in &stories {
        let with_note = |note: String| Paired::of(&world.side.callback(&Story { note, ..story.clone() }));
        let Some(plain) = with_note(MEMO.to_owned()) else { continue };
        if !matches!(plain.cover.covered, Covered::Joined { .. }) {
            continue;
        }
        for (text, hidden) in hidden_fields(&plain, &others) {
            let joined: Vec<u8> =
                hidden.iter().flat_map(|pair| [b"&", &*pair.name, b"=", &*pair.value].concat()).collect();
            let Ok(note) = String::from_utf8([MEMO.as_bytes(), &joined].concat()) else { continue };
            let Some(paired) = with_note(note) else { continue };
            let names: Vec<String> = hidden.iter().map(Pair::shown).collect();
            let label = format!("{}: {} cut out of {}", story.kind, names.join(" and "), text.shown());
            let original = world.accepts(&label, &paired.request);
            let mut mutant: Vec<Pair> = paired.pairs.iter().filter(|pair| pair.name != text.name).cloned().collect();
            mutant.push(text.clone());
            mutant.extend(hidden);
            let request = paired.with(&mutant);
            if paired.is_alike(&request) {
                world.refuses_or_invents_nothing(&label, &original, &request);
            }
        }
    }
}

/// The merchant's texts in a message, each with fields that would stand directly behind it in the signed text: one at a
/// time, and all of another message.
fn hidden_fields(plain: &Paired, others: &[Paired]) -> Vec<(Pair, Vec<Pair>)> {
    let sorted: Vec<&Pair> =
        sorted_by_name(&plain.pairs, &plain.covered()).into_iter().map(|at| &plain.pairs[at]).collect();
    let mut found: Vec<(Pair, Vec<Pair>)> = Vec::new();
    for (at, text) in sorted.iter().enumerate().filter(|(_, pair)| pair.value == MEMO.as_bytes()) {
        let next = sorted.get(at + 1).map(|pair| &pair.name);
        let fits = |pair: &&Pair| !pair.is_raw && pair.name > text.name && next.is_none_or(|next| pair.name < *next);
        for other in others {
            let mut all: Vec<Pair> =
                other.covered().into_iter().map(|at| &other.pairs[at]).filter(fits).cloned().collect();
            all.sort();
            let one_by_one = all.iter().map(|pair| vec![pair.clone()]).collect::<Vec<_>>();
            for hidden in one_by_one.into_iter().chain((all.len() > 1).then_some(all)) {
                let case = ((*text).clone(), hidden);
                if !found.contains(&case) {
                    found.push(case);
                }
            }
        }
    }
    found
}

/// `usual` is another message, to tell which pairs make this one special.
fn other_cuts(paired: &Paired, usual: &[Pair]) -> Vec<(String, Vec<Pair>)> {
    let pairs = &paired.pairs;
    let covered = paired.covered();
    let mut cuts = Vec::new();
    let mut add = |label: String, gone: &[usize], new: Pair| {
        let mut mutant: Vec<Pair> =
            pairs.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, pair)| pair.clone()).collect();
        mutant.push(new);
        cuts.push((label, mutant));
    };
    for neighbours in sorted_by_name(pairs, &covered).windows(2) {
        let (left, right) = (&pairs[neighbours[0]], &pairs[neighbours[1]]);
        let shown = left.shown();
        let value = [&left.value, b"&".as_slice(), &right.name, b"=", &right.value].concat();
        add(format!("{shown}: swallows the next pair"), neighbours, Pair::new(left.name.clone(), value));
        let name = [&left.name, b"=".as_slice(), &left.value, b"&", &right.name].concat();
        add(format!("{shown}: becomes part of the next name"), neighbours, Pair { name, ..right.clone() });
    }
    for &index in &covered {
        let Pair { name, value, .. } = &pairs[index];
        for at in (0..value.len()).filter(|&at| value[at] == b'=') {
            let longer = [name, b"=".as_slice(), &value[..at]].concat();
            let label = format!("{}: cut at its byte {at}", pairs[index].shown());
            add(label, &[index], Pair::new(longer, &value[at + 1..]));
        }
    }
    let sorted = sorted_by_name(pairs, &covered);
    for first in 1..sorted.len() {
        for second in first + 1..sorted.len() {
            cuts.push(swallowed(pairs, &sorted, &[first, second]));
        }
    }
    let telling: Vec<usize> =
        (1..sorted.len()).filter(|&at| !usual.iter().any(|pair| pair.name == pairs[sorted[at]].name)).collect();
    cuts.push(swallowed(pairs, &sorted, &telling));
    cuts
}

/// Each of these pairs, counted in sorted order, becomes part of the value before it.
fn swallowed(pairs: &[Pair], sorted: &[usize], which: &[usize]) -> (String, Vec<Pair>) {
    let mut mutant: Vec<Pair> =
        pairs.iter().enumerate().filter(|(at, _)| !sorted.contains(at)).map(|(_, pair)| pair.clone()).collect();
    let mut names = Vec::new();
    for (at, index) in sorted.iter().enumerate() {
        let pair = &pairs[*index];
        if which.contains(&at) {
            let last = mutant.last_mut().expect("the first is never swallowed");
            last.value.extend_from_slice(&[b"&".as_slice(), &pair.name, b"=", &pair.value].concat());
            // A number that has swallowed something is a text.
            last.is_raw = false;
            names.push(pair.name.escape_ascii().to_string());
        } else {
            mutant.push(pair.clone());
        }
    }
    (format!("{} swallowed", names.join(" and ")), mutant)
}
