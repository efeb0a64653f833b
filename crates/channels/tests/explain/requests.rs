//! What programs between a platform and us do to requests, done to messages with the texts that such programs stumble over:
//! what nothing is lost of is named, and nothing is ever named otherwise.

mod bodies;
mod encodings;
mod printers;
mod programs;

use std::fmt::Write as _;
use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use tollbell_channels::explain::{Diagnosis, Kept};
use tollbell_channels::model::RawRequest;
use tollbell_channels::simulate::Story;

use super::matrix::ids;
use super::stage::{ODD_NOTE, Scene, Stage, parallel, stages};

/// Merchants' texts: none, the odd one, and a usual one.
const NOTES: [&str; 3] = ["", ODD_NOTE, "订单 10/11 测试"];

/// Every message that is damaged: of every platform and kind, with every note.
fn messages() -> &'static [(&'static Stage, Scene<'static>)] {
    static MESSAGES: LazyLock<Vec<(&Stage, Scene<'_>)>> = LazyLock::new(|| {
        let notes = |stage: &'static Stage| {
            let told = move |note| stage.side.stories().iter().map(move |kind| Stage::story(*kind, note));
            NOTES.into_iter().flat_map(told).map(move |story: Story| (stage, stage.scene(&story)))
        };
        stages().iter().flat_map(notes).collect()
    });
    &MESSAGES
}

/// Whether the message has the odd note.
fn is_odd(scene: &Scene<'_>) -> bool {
    scene.story.note == ODD_NOTE
}

/// What is said of a message after something was done to it.
fn said(scene: &Scene<'static>, request: RawRequest, kept: Kept) -> Diagnosis {
    Scene { request, kept, ..scene.clone() }.diagnose().expect("a channel")
}

/// What a program does to requests.
#[derive(Clone, Copy)]
struct Harm {
    /// The finding that is due.
    id: &'static str,
    /// What is done.
    label: &'static str,
    does: Does,
    is_lossy: bool,
    is_rare: bool,
    has_odd_notes: bool,
}

/// Does it; none where it does not concern the message.
type Does = fn(&RawRequest) -> Option<RawRequest>;

impl Harm {
    /// What can be undone wherever it is done.
    const fn new(id: &'static str, label: &'static str, does: Does) -> Self {
        Self { id, label, does, is_lossy: false, is_rare: false, has_odd_notes: true }
    }

    /// A message may be damaged beyond repair: then nothing may be said.
    const fn lossy(mut self) -> Self {
        self.is_lossy = true;
        self
    }

    /// It may be that nobody's messages are changed.
    const fn rare(mut self) -> Self {
        self.is_rare = true;
        self
    }

    /// Not done to messages with the odd note, which it would damage beyond repair or in several ways.
    const fn without_odd_notes(mut self) -> Self {
        self.has_odd_notes = false;
        self
    }

    /// Does it to every message, and wants each that is refused to be explained so and not otherwise. Gives what is wrong.
    fn check(&self) -> String {
        let told = Mutex::new((0, String::new(), String::new()));
        let messages = messages();
        parallel(messages.len(), |at| {
            let (stage, scene) = &messages[at];
            if !self.has_odd_notes && is_odd(scene) {
                return;
            }
            let Some(damaged) = (self.does)(&scene.genuine.request) else { return };
            let diagnosis = said(scene, damaged, Kept::WHOLE);
            if diagnosis.outcome.is_accepted() {
                return;
            }
            let found = ids(&diagnosis);
            let facts: Vec<_> = diagnosis.findings.iter().map(|found| &found.facts).collect();
            let (Self { id, label, .. }, Diagnosis { outcome, effort, .. }) = (self, &diagnosis);
            let story = &scene.story;
            let line = format!(
                "{id}: {label}: {} {} {:?}: {found:?} {facts:?} {outcome:?} {effort:?}\n",
                stage.platform.kind, story.kind, story.note
            );
            let (named, missed, wrong) = &mut *told.lock().expect("nobody panics here");
            match found.as_slice() {
                [only] if only == id => *named += 1,
                [] => missed.push_str(&line),
                _ => wrong.push_str(&line),
            }
        });
        let (named, missed, mut wrong) = told.into_inner().expect("nobody panics here");
        if named == 0 && !self.is_rare {
            writeln!(wrong, "{}: {}: nobody's", self.id, self.label).expect("a text takes all");
        }
        if !self.is_lossy {
            wrong.push_str(&missed);
        }
        wrong
    }
}

/// Does each to every message.
fn check(harms: &[Harm]) {
    let wrong: String = harms.iter().map(Harm::check).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The request with another body, and the length of that.
fn with_body(request: &RawRequest, body: impl Into<Vec<u8>>) -> RawRequest {
    let mut other = request.clone();
    other.body = Bytes::from(body.into());
    if let Some(length) = other.headers.get_mut("content-length") {
        *length = other.body.len().into();
    }
    other
}

// One test for each kind: what is common to all, the platforms' keys, takes longer than most of them.

#[test]
fn what_programs_do_to_bodies_is_named() {
    bodies::line_ends_and_blanks_around_a_body();
    bodies::line_ends_of_values();
    bodies::bodies_that_somebody_read_before();
    bodies::bodies_that_end_too_early();
    bodies::what_was_not_kept_proves_nothing();
    bodies::pairs_that_are_written_as_they_came_are_taken();
}

#[test]
fn what_programs_do_to_encodings_is_named() {
    encodings::plus_signs_become_blanks();
    encodings::values_are_encoded_once_too_often();
    encodings::bodies_are_decoded_before_they_are_split();
    encodings::values_are_escaped_for_html();
    encodings::charsets_are_changed();
}

#[test]
fn what_printers_do_is_named() {
    printers::a_body_is_printed_again();
    printers::values_of_json_are_printed_again();
    printers::a_document_is_written_again();
    printers::pairs_say_the_same_in_every_order();
}
