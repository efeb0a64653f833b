//! Two damages at once: both are named, or one of them, and never a wrong one.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::damage::{self, Damage, Stories};
use super::genuine::Chance;
use super::matrix::ids;
use super::stage::{Scene, Stage, with_every_stage};

/// Pairs of each platform.
const PAIRS: usize = 150;

/// Of a hundred pairs, how many are named at least by one of their two. What was cut, or has no trace left behind
/// another mistake, may have no name.
const NAMED_MIN: usize = 60;

/// One damage behind another; none where the second would undo the first, or nobody could tell.
fn both<'s>(stage: &'s Stage, first: &Damage, second: &Damage) -> Option<Scene<'s>> {
    let kind = *stage.side.stories().first()?;
    let note = if first.note == damage::PLAIN { second.note } else { first.note };
    if first.note != damage::PLAIN && second.note != damage::PLAIN && first.note != second.note {
        return None;
    }
    let beside =
        |scene: &Scene<'_>| scene.others.iter().map(|other| (other.id, other.platform.kind)).collect::<Vec<_>>();
    let scene = stage.scene(&Stage::story(kind, note));
    let alone = beside(&scene);
    let scene = (first.does)(scene)?;
    let diagnosis = scene.diagnose()?;
    if diagnosis.outcome.is_accepted() {
        return None;
    }
    let first = (scene.request.body.clone(), scene.request.headers.clone(), scene.request.query.clone());
    let others = beside(&scene);
    let (is_spoilt, settings, now) = (scene.is_spoilt(), scene.settings.is_some(), scene.now);
    let after = (second.does)(scene)?;
    // Without the channel of which the first damage speaks it is another one.
    if others != alone && beside(&after) != others {
        return None;
    }
    // Two changes of the configuration would undo each other, and so would telling the story anew.
    let is_told_anew = is_spoilt && !after.is_spoilt() || after.now != now && now != after.story.at;
    let is_other =
        (first.0 != after.request.body || first.1 != after.request.headers || first.2 != after.request.query)
            || after.now != now
            || !settings && after.settings.is_some();
    (is_other && !is_told_anew && !(settings && second.stories == Stories::First)).then_some(after)
}

#[test]
fn of_two_damages_none_is_named_wrongly() {
    let damages = damage::all();
    let (tried, named) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
    with_every_stage(|stage| {
        let mut chance = Chance::new(stage.platform.kind.bytes().map(u64::from).sum());
        for _ in 0..PAIRS {
            let (first, second) = (damages[chance.below(damages.len())], damages[chance.below(damages.len())]);
            if std::ptr::eq(first, second) || first.id == second.id {
                continue;
            }
            let Some(scene) = both(stage, first, second) else { continue };
            let Some(diagnosis) = scene.diagnose() else { continue };
            if diagnosis.outcome.is_accepted() {
                continue;
            }
            let found = ids(&diagnosis);
            tried.fetch_add(1, Ordering::Relaxed);
            if found.iter().any(|id| *id == first.id || *id == second.id) {
                named.fetch_add(1, Ordering::Relaxed);
            }
            if found.iter().any(|id| *id != first.id && *id != second.id) {
                let pair = format!("{} ({}) + {} ({})", first.id, first.label, second.id, second.label);
                let told = format!("{}: {:?} -> {found:?}", stage.platform.kind, diagnosis.outcome);
                wrong.lock().expect("nobody panics here").entry(pair).or_default().push(told);
            }
        }
    });
    let (tried, named) = (tried.into_inner(), named.into_inner());
    let wrong = wrong.into_inner().expect("nobody panics here");
    assert!(wrong.is_empty(), "{named} of {tried} named; wrongly: {wrong:#?}");
    assert!(named * 100 >= tried * NAMED_MIN, "only {named} of {tried} pairs are named");
    assert!(tried > 500, "only {tried} pairs");
}
