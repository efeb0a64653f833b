//! Genuine messages have nothing wrong with them.

use std::sync::atomic::{AtomicUsize, Ordering};

use tollbell_channels::simulate::Story;

use super::damage::QUOTED;
use super::matrix::ids;
use super::stage::{ODD_NOTE, Stage, at, with_every_stage};

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
