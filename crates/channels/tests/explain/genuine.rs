//! Genuine messages have nothing wrong with them.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollbell_channels::simulate::Story;

use super::bytes::replaced;
use super::damage::QUOTED;
use super::matrix::ids;
use super::pen::Pen;
use super::stage::{ODD_NOTE, Scene, Stage, WAYS, at, with_every_stage};

/// Messages of each platform.
const MESSAGES: u64 = 120;

/// Messages of all platforms together, at least.
const CORPUS_MIN: usize = 4_000;

/// A row of numbers that is the same in every run (Knuth's constants of MMIX).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Self(seed ^ 0x9e37_79b9_7f4a_7c15);
        chance.next();
        chance
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    /// One below a bound.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a bound")
    }
}

/// A text with what a buyer or a merchant may type.
pub(crate) fn note(chance: &mut Chance) -> String {
    const PIECES: &[&str] = &[
        "a",
        "Z",
        "0",
        " ",
        "  ",
        "+",
        "%",
        "%41",
        "%2B",
        "&",
        "&amp;",
        "=",
        "\"",
        "'",
        "\\",
        "\\u00e9",
        "/",
        "\\/",
        "<b>",
        "é",
        "引号",
        "😀",
        "100%",
        "{}",
        "[1]",
        "null",
        "1.0",
        "key=",
        "sign=",
        "\u{a0}",
        "\u{3000}",
        ";",
        "#",
        "?a=b",
        "&quot;",
        "&#39;",
        "\\\\",
        "Ã©",
        "=?",
        "~",
        "*",
        "<![CDATA[x",
        "--",
        "t=1",
        "v1,",
    ];
    let count = chance.below(12);
    (0..count).map(|_| PIECES[chance.below(PIECES.len())]).collect()
}

/// A story at random.
pub(crate) fn story(stage: &Stage, chance: &mut Chance) -> Story {
    let kinds = stage.side.stories();
    let mut story = Stage::story(kinds[chance.below(kinds.len())], &note(chance));
    story.order_no = format!("T{:012}", chance.next() % 1_000_000_000_000);
    story.amount_minor = i64::try_from(1 + chance.next() % 9_000_000).expect("a small number");
    story.refunded_minor = story.refunded_minor.min(story.amount_minor);
    story.serial = chance.next() % 1_000_000;
    story.at = at();
    story
}

#[test]
fn genuine_messages_have_no_finding() {
    let told = AtomicUsize::new(0);
    with_every_stage(|stage| {
        let mut chance = Chance::new(stage.platform.kind.len() as u64);
        let odd = [ODD_NOTE, QUOTED, ""]
            .iter()
            .flat_map(|note| stage.side.stories().iter().map(|kind| Stage::story(*kind, note)).collect::<Vec<_>>());
        let random: Vec<Story> = (0..MESSAGES).map(|_| story(stage, &mut chance)).collect();
        for story in odd.chain(random) {
            let scene = stage.scene(&story);
            let diagnosis = scene.diagnose().expect("a channel");
            let kind = stage.platform.kind;
            let shown = format!("{kind}: {} {:?}: {:?}", story.kind, story.note, diagnosis.outcome);
            assert!(diagnosis.outcome.is_accepted(), "{shown}");
            assert!(diagnosis.findings.is_empty(), "{shown}: {:?}", ids(&diagnosis));
            assert!(!diagnosis.effort.is_bounded, "{shown}");
            told.fetch_add(1, Ordering::Relaxed);
        }
    });
    let told = told.into_inner();
    assert!(told >= CORPUS_MIN, "only {told} messages");
}

/// What nobody could send by mistake has no finding: what it was cannot be found again.
fn has_nothing_to_undo(stage: &Stage) {
    let kind = stage.platform.kind;
    for story in stage.side.stories().iter().map(|kind| Stage::story(*kind, "note")) {
        let scene = stage.scene(&story);
        let none: [&str; 0] = [];
        let refused = |scene: &Scene<'_>, label: &str, allowed: &[&str]| {
            let diagnosis = scene.diagnose().expect("a channel");
            let mut found = ids(&diagnosis);
            found.retain(|id| !allowed.contains(id));
            let shown = format!("{kind}: {}: {label}: {:?}", story.kind, diagnosis.outcome);
            // Some platforms are asked, whatever a message says.
            assert_eq!(found, none, "{shown}");
        };
        // Another order under the same signature.
        let body = replaced(&scene.request.body, b"20261121-0001", b"20261121-0007");
        let query = scene.request.query.as_ref().map(|query| query.replace("20261121-0001", "20261121-0007"));
        let mut other = scene.clone().with_body(body);
        other.request.query = query;
        if other.is_spoilt() {
            refused(&other, "another order", &[]);
        }
        // Another message's signature.
        let another = stage.scene(&Story { serial: story.serial + WAYS, order_no: "T7".to_owned(), ..story.clone() });
        if let (Some(own), Some(another)) = (Pen::of(&scene), Pen::of(&another))
            && let Some(forged) = own.put(scene.clone(), &another.signature)
        {
            refused(&forged, "another message's signature", &[]);
        }
        // A stranger's message, who is configured nowhere.
        let mut strange = scene.clone().beside(Vec::new());
        strange.request = stage.stranger.callback(&story).request;
        refused(&strange, "a stranger's", &["other_merchant", "unknown_key"]);
    }
}

#[test]
fn forgeries_have_no_finding() {
    with_every_stage(has_nothing_to_undo);
}
