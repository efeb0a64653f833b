//! Every damage to every message of every platform: its finding is named first and no other beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;

use tollbell_channels::explain::{Diagnosis, FINDINGS, findings};
use tollbell_channels::simulate::Story;

use super::bytes::{Form, pairs};
use super::damage::{self, Damage, Stories};
use super::stage::{Scene, Stage, WAYS, stages, with_every_stage};

/// Findings that no request shows by itself: what the gateway has kept proves them.
pub(crate) const OF_HISTORY: &[&str] =
    &["duplicate", "out_of_order", "repeated_after_answer", "amount_hundredfold", "reply_wrong"];

/// Findings whose damage no platform minds: none signs the bytes of an XML document, only what its elements say.
pub(crate) const UNMINDED: &[&str] = &["xml_reprinted"];

/// Failures of one damage and platform that are shown.
const SHOWN_MAX: usize = 2;

/// What was said of a damage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    /// The channel takes the message all the same, and nothing is said.
    Harmless,
    /// The finding that is due, alone.
    Named,
    /// Nothing.
    None,
    /// Something else, or something beside.
    Other(Vec<&'static str>),
}

impl Cell {
    fn of(damage: &Damage, diagnosis: &Diagnosis) -> Self {
        let ids = ids(diagnosis);
        match ids.as_slice() {
            [] if diagnosis.outcome.is_accepted() => Self::Harmless,
            [] => Self::None,
            // What stands in three places is shared twice.
            ids if ids.iter().all(|id| *id == damage.id) && !diagnosis.outcome.is_accepted() => Self::Named,
            _ => Self::Other(ids),
        }
    }

    fn sign(&self) -> char {
        match self {
            Self::Harmless => '.',
            Self::Named => '+',
            Self::None => '-',
            Self::Other(_) => 'o',
        }
    }
}

/// What was found, in its order.
pub(crate) fn ids(diagnosis: &Diagnosis) -> Vec<&'static str> {
    diagnosis.findings.iter().map(|found| found.finding.id).collect()
}

/// What is said of a lint belongs to a configuration, whatever comes: it may be told of a message that is taken, too.
const OF_CONFIGURATION: &[&str] = &["key_shared", "own_public_key", "merchant_certificate", "key_kind"];

/// The stories to which a damage is done: of each kind one, and of the first each way in which it is told.
fn stories(stage: &Stage, damage: &Damage) -> Vec<Story> {
    let kinds = stage.side.stories();
    let first = kinds.first().copied().expect("a story");
    let mut seen = BTreeSet::new();
    let ways = (1..=WAYS).map(|serial| Story { serial, ..Stage::story(first, damage.note) });
    let mut told: Vec<Story> = ways.filter(|story| seen.insert(shape(stage, story))).collect();
    if damage.stories == Stories::Each {
        told.extend(kinds.iter().skip(1).map(|kind| Stage::story(*kind, damage.note)));
    }
    told
}

/// What tells one way of telling from another.
fn shape(stage: &Stage, story: &Story) -> String {
    let request = stage.side.callback(story).request;
    let names: BTreeSet<Vec<u8>> = pairs(&request).unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    let signs = pairs(&request).unwrap_or_default().into_iter().filter(|(name, _)| name.starts_with(b"sign"));
    let lengths: Vec<usize> = signs.map(|(_, value)| value.len()).collect();
    let headers: BTreeSet<&str> = request.headers.keys().map(http::HeaderName::as_str).collect();
    format!("{} {:?} {names:?} {lengths:?} {headers:?}", request.method, Form::of(&request))
}

type Row = BTreeMap<usize, BTreeMap<Cell, Vec<String>>>;

/// Does every damage, and writes down what was said.
fn matrix() -> BTreeMap<usize, Row> {
    let damages = damage::all();
    let matrix: Mutex<BTreeMap<usize, Row>> = Mutex::new(BTreeMap::new());
    with_every_stage(|stage| {
        let column = stages().iter().position(|other| std::ptr::eq(other, stage)).expect("a stage");
        for (row, damage) in damages.iter().enumerate() {
            for story in stories(stage, damage) {
                let scene = stage.scene(&story);
                let Some(scene) = (damage.does)(scene) else { continue };
                let Some(diagnosis) = scene.diagnose() else { continue };
                let cell = Cell::of(damage, &diagnosis);
                let label = format!("{} {}: {}", story.kind, story.serial, told(&diagnosis));
                let mut matrix = matrix.lock().expect("nobody panics here");
                let cells = matrix.entry(row).or_default().entry(column).or_default();
                cells.entry(cell).or_default().push(label);
            }
        }
    });
    matrix.into_inner().expect("nobody panics here")
}

fn told(diagnosis: &Diagnosis) -> String {
    let mut text = format!("{:?} ->", diagnosis.outcome);
    for found in &diagnosis.findings {
        write!(text, " {}{:?}", found.finding.id, found.facts).expect("a text takes all");
    }
    text
}

/// The matrix for people: a column for each platform, a row for each damage.
fn drawn(matrix: &BTreeMap<usize, Row>) -> String {
    let mut text = String::new();
    for (column, stage) in stages().iter().enumerate() {
        writeln!(text, "{column:>3} {}", stage.platform.kind).expect("a text takes all");
    }
    text.push_str("+ named  o something else  - nothing  . taken all the same  ? not a finding yet\n");
    for digits in [10, 1] {
        let header: String = (0..stages().len()).map(|column| (column / digits % 10).to_string()).collect();
        writeln!(text, "{header}").expect("a text takes all");
    }
    for (row, damage) in damage::all().iter().enumerate() {
        let is_known = findings::by_id(damage.id).is_some();
        let sign = |column: usize| {
            let Some(cells) = matrix.get(&row).and_then(|row| row.get(&column)) else { return ' ' };
            let worst = cells.keys().next_back().expect("a cell").sign();
            if worst == '-' && !is_known { '?' } else { worst }
        };
        let signs: String = (0..stages().len()).map(sign).collect();
        writeln!(text, "{signs} {}: {}", damage.id, damage.label).expect("a text takes all");
    }
    text
}

/// What is not as it should be.
fn failures(matrix: &BTreeMap<usize, Row>) -> Vec<String> {
    let mut failures = Vec::new();
    for (row, damage) in damage::all().iter().enumerate() {
        let is_known = findings::by_id(damage.id).is_some();
        for (column, cells) in matrix.get(&row).into_iter().flatten() {
            let platform = stages()[*column].platform.kind;
            for (cell, labels) in cells {
                let is_wrong = match cell {
                    Cell::Harmless | Cell::Named => false,
                    Cell::None => is_known,
                    Cell::Other(_) => true,
                };
                if is_wrong {
                    let shown = labels.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
                    let count = labels.len();
                    failures.push(format!("{}: {}: {platform}: {count} times: {shown}", damage.id, damage.label));
                }
            }
        }
    }
    failures
}

#[test]
fn every_damage_is_named_first_and_alone() {
    let matrix = matrix();
    let failures = failures(&matrix);
    let text = format!("{}\n{}", drawn(&matrix), failures.join("\n"));
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain-matrix.txt");
    std::fs::write(&path, &text).expect("the matrix can be written");
    assert!(failures.is_empty(), "{} cells are wrong, see {}:\n{text}", failures.len(), path.display());
    let minded = |id: &str| {
        let rows = damage::all().into_iter().enumerate().filter(|(_, damage)| damage.id == id);
        let cells = rows.filter_map(|(row, _)| matrix.get(&row)).flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        cells.into_iter().any(|cell| *cell != Cell::Harmless)
    };
    let due: BTreeSet<&str> = damage::all().iter().map(|damage| damage.id).collect();
    let silent: Vec<&str> = due.into_iter().filter(|id| !minded(id)).collect();
    assert_eq!(silent, UNMINDED, "damages that no platform minds show nothing:\n{text}");
}

#[test]
fn every_finding_is_the_due_of_a_damage() {
    let due: BTreeSet<&str> = damage::all().iter().map(|damage| damage.id).collect();
    let known: BTreeSet<&str> = FINDINGS.iter().map(|finding| finding.id).collect();
    let missing: Vec<_> = due.iter().chain(OF_HISTORY).filter(|id| !known.contains(**id)).collect();
    assert!(missing.is_empty(), "no such findings yet: {missing:?}");
    let undone: Vec<_> = known.iter().filter(|id| !due.contains(**id) && !OF_HISTORY.contains(id)).collect();
    assert!(undone.is_empty(), "findings without a damage: {undone:?}");
    assert_eq!(known.len(), FINDINGS.len(), "two findings have one name");
}

/// A message as it came, for who needs any.
pub(crate) fn genuine(stage: &Stage) -> Scene<'_> {
    let first = stage.side.stories().first().copied().expect("a story");
    stage.scene(&Stage::story(first, damage::PLAIN))
}

/// What the configuration alone shows is shown before any message comes, and is what a message's explanation says.
#[test]
fn what_a_configuration_shows_needs_no_message() {
    use tollbell_channels::explain::{Configured, lint::lint};
    for stage in stages() {
        for damage in damage::all().into_iter().filter(|damage| OF_CONFIGURATION.contains(&damage.id)) {
            if findings::by_id(damage.id).is_none() {
                continue;
            }
            let Some(scene) = (damage.does)(genuine(stage)) else { continue };
            let Ok(channel) = (stage.platform.build)(scene.settings()) else { continue };
            let mut built = Vec::new();
            for other in &scene.others {
                let settings = other.settings.as_ref().unwrap_or(&stage.neighbour);
                let Ok(channel) = (other.platform.build)(settings) else { continue };
                built.push((other, settings, channel));
            }
            if built.len() < scene.others.len() {
                continue;
            }
            let others: Vec<Configured<'_>> = built
                .iter()
                .map(|(other, settings, channel)| Configured {
                    id: other.id,
                    platform: other.platform,
                    settings,
                    channel: &**channel,
                })
                .collect();
            let own =
                Configured { id: "own", platform: stage.platform, settings: scene.settings(), channel: &*channel };
            let found: Vec<&str> = lint(own, &others).iter().map(|found| found.finding.id).collect();
            let is_alone = found.first() == Some(&damage.id) && found.iter().all(|id| *id == damage.id);
            assert!(is_alone, "{}: {}: {found:?}", stage.platform.kind, damage.label);
        }
        // A sound configuration is sound.
        let own =
            Configured { id: "own", platform: stage.platform, settings: &stage.settings, channel: &*stage.channel };
        let neighbour = Configured {
            id: "neighbour",
            platform: stage.platform,
            settings: &stage.neighbour,
            channel: &*stage.neighbour_channel,
        };
        let found: Vec<&str> = lint(own, &[neighbour]).iter().map(|found| found.finding.id).collect();
        assert!(found.is_empty(), "{}: {found:?}", stage.platform.kind);
    }
}

/// Findings of a request alone, which are the same whenever it is asked about.
const TIMELESS: &[&str] =
    &["bom", "line_ends", "method", "media_type", "header_renamed", "header_doubled", "json_reprinted"];

/// How long after it came a copy is asked about.
const LATER: std::time::Duration = std::time::Duration::from_hours(2);

/// A copy whose age nobody knows is no matter of a clock.
#[test]
fn the_age_of_a_copy_is_no_mistake() {
    let due = Mutex::new(0);
    with_every_stage(|stage| {
        for damage in damage::all().into_iter().filter(|damage| TIMELESS.contains(&damage.id)) {
            let Some(scene) = (damage.does)(genuine(stage)) else { continue };
            let Some(diagnosis) = scene.diagnose() else { continue };
            let now = scene.now + LATER;
            let undated = Scene { now, is_dated: false, ..scene };
            let later = undated.diagnose().expect("a channel");
            let kind = stage.platform.kind;
            assert_eq!(ids(&later), ids(&diagnosis), "{kind}: {}: {:?}", damage.label, later.outcome);
            *due.lock().expect("nobody panics here") += usize::from(later.at.is_some());
        }
    });
    let due = due.into_inner().expect("nobody panics here");
    assert!(due > 50, "only {due} were verified as of their own time");
}
