//! The text under a form's signature does not escape `&` and `=`, so it can be cut into other pairs without
//! the key. Such a message may pass, but never with a fact that was not there.

use tollbell_channels::channel::Verdict;
use tollbell_channels::simulate::Cover;

use super::damage::sorted_by_name;
use super::form::{Pair, Style, read, says_the_same, write};
use super::world::{refused, with_body, worlds};

#[test]
fn another_cut_of_the_signed_text_invents_no_fact() {
    for world in worlds() {
        for (story, genuine) in world.callbacks() {
            let Cover::SortedForm { uncovered, empty_is_absent, .. } = &genuine.cover else { continue };
            let pairs = read(&genuine.request.body);
            let usual = read(&world.callback().request.body);
            let original = world.accepts("as it came", &genuine.request);
            let (mut alike, mut invented) = (0, Vec::new());
            for (label, mutant) in other_cuts(&pairs, &usual, uncovered) {
                alike += usize::from(says_the_same(&pairs, &mutant, uncovered, *empty_is_absent));
                let label = format!("{}: {label}", story.kind);
                match world.verify(&with_body(&genuine.request, write(&mutant, Style::Usual))) {
                    Verdict::Genuine(proven) => {
                        let found = proven.value();
                        for fact in &found.facts {
                            let was_there = original.facts.iter().any(|known| {
                                known.kind == fact.kind
                                    && known.signed_money() == fact.signed_money()
                                    && (&known.order_no, &known.payee) == (&fact.order_no, &fact.payee)
                                    && (fact.baseline.is_none() || known.baseline == fact.baseline)
                                    && known.identities().any(|name| fact.identities().any(|other| other == name))
                            });
                            if !was_there && found.concerns.is_empty() {
                                invented.push(format!("{label}: {fact:?}"));
                            }
                        }
                    }
                    verdict => drop(refused(world.platform, &label, verdict)),
                }
            }
            assert!(invented.is_empty(), "{}: invented facts:\n{}", world.platform.kind, invented.join("\n"));
            assert!(alike > 5, "{}: {}: hardly any other cut", world.platform.kind, story.kind);
        }
    }
}

/// `usual` is another message, to tell which pairs make this one special.
fn other_cuts(pairs: &[Pair], usual: &[Pair], uncovered: &[&str]) -> Vec<(String, Vec<Pair>)> {
    let covered: Vec<usize> =
        (0..pairs.len()).filter(|&index| !uncovered.iter().any(|name| name.as_bytes() == pairs[index].0)).collect();
    let mut cuts = Vec::new();
    let mut add = |label: String, gone: &[usize], new: Pair| {
        let mut mutant: Vec<Pair> =
            pairs.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, pair)| pair.clone()).collect();
        mutant.push(new);
        cuts.push((label, mutant));
    };
    for neighbours in sorted_by_name(pairs, &covered).windows(2) {
        let ((left, one), (right, other)) = (&pairs[neighbours[0]], &pairs[neighbours[1]]);
        let shown = String::from_utf8_lossy(left);
        let value = [one, b"&".as_slice(), right, b"=", other].concat();
        add(format!("{shown}: swallows the next pair"), neighbours, (left.clone(), value));
        let name = [left, b"=".as_slice(), one, b"&", right].concat();
        add(format!("{shown}: becomes part of the next name"), neighbours, (name, other.clone()));
    }
    for &index in &covered {
        let (name, value) = &pairs[index];
        for at in (0..value.len()).filter(|&at| value[at] == b'=') {
            let longer = [name, b"=".as_slice(), &value[..at]].concat();
            let label = format!("{}: cut at its byte {at}", String::from_utf8_lossy(name));
            add(label, &[index], (longer, value[at + 1..].to_vec()));
        }
    }
    let sorted = sorted_by_name(pairs, &covered);
    for first in 1..sorted.len() {
        for second in first + 1..sorted.len() {
            cuts.push(swallowed(pairs, &sorted, &[first, second]));
        }
    }
    let telling: Vec<usize> =
        (1..sorted.len()).filter(|&at| !usual.iter().any(|(name, _)| *name == pairs[sorted[at]].0)).collect();
    cuts.push(swallowed(pairs, &sorted, &telling));
    cuts
}

/// Each of these pairs, counted in sorted order, becomes part of the value before it.
fn swallowed(pairs: &[Pair], sorted: &[usize], which: &[usize]) -> (String, Vec<Pair>) {
    let mut mutant: Vec<Pair> =
        pairs.iter().enumerate().filter(|(at, _)| !sorted.contains(at)).map(|(_, p)| p.clone()).collect();
    let mut names = Vec::new();
    for (at, index) in sorted.iter().enumerate() {
        let (name, value) = &pairs[*index];
        if which.contains(&at) {
            let last = mutant.last_mut().expect("the first is never swallowed");
            last.1.extend_from_slice(&[b"&".as_slice(), name, b"=", value].concat());
            names.push(name.escape_ascii().to_string());
        } else {
            mutant.push((name.clone(), value.clone()));
        }
    }
    (format!("{} swallowed", names.join(" and ")), mutant)
}
