//! Every platform on stage: genuine messages, a damage, and what is found.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::explain::{Configured, Diagnosis, Kept, Question, explain};
use tollbell_channels::model::{RawRequest, Timestamp};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::Story;

/// Merchants' texts: none, one with what encoders, filters and parsers stumble over, and a usual one.
pub(crate) const NOTES: [&str; 3] = ["", r#"a=b&c=d%41%2B+ é "引号" 'q' <&amp;> \ ;/?:@ 😀"#, "订单 10/11 测试"];

/// One platform.
pub(crate) struct World {
    pub(crate) platform: &'static Platform,
    pub(crate) settings: Settings,
    pub(crate) channel: Box<dyn Channel>,
    /// Genuine messages, each with a name for failures.
    pub(crate) genuine: Vec<(String, RawRequest)>,
}

/// When every story happens.
fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// Every platform, with a message of every kind for every note; made once, since keys take their time.
pub(crate) fn worlds() -> &'static [World] {
    static WORLDS: LazyLock<Vec<World>> = LazyLock::new(|| PLATFORMS.into_iter().copied().map(World::new).collect());
    &WORLDS
}

impl World {
    fn new(platform: &'static Platform) -> Self {
        let side = (platform.simulate)();
        let settings = side.settings();
        let channel = (platform.build)(&settings).expect("settings of the platform's own side");
        let mut genuine = Vec::new();
        for note in NOTES {
            for kind in side.stories() {
                let story = Story {
                    kind: *kind,
                    refunded_minor: 400,
                    refund_no: Some("R20261121001".to_owned()),
                    note: note.to_owned(),
                    ..Story::paid("T202611210001", 1000, at())
                };
                genuine.push((format!("{} {kind} {note:?}", platform.kind), side.callback(&story).request));
            }
        }
        Self { platform, settings, channel, genuine }
    }

    pub(crate) fn accepts(&self, request: &RawRequest) -> bool {
        matches!(self.channel.verify(request, at()), Verdict::Genuine(_) | Verdict::Hint(_))
    }

    pub(crate) fn explain(&self, request: &RawRequest, kept: Kept) -> Diagnosis {
        let own = Configured { id: "own", platform: self.platform, settings: &self.settings, channel: &*self.channel };
        explain(&Question { request, kept, own, others: &[], now: at() })
    }
}

/// What somebody does to a message.
#[derive(Clone, Copy)]
pub(crate) struct Damage {
    id: &'static str,
    label: &'static str,
    does: Does,
    is_lossy: bool,
    is_rare: bool,
    has_odd_notes: bool,
}

/// Does a damage; none where it does not concern the message.
pub(crate) type Does = fn(&RawRequest) -> Option<RawRequest>;

impl Damage {
    /// A damage that can be undone wherever it is done.
    pub(crate) const fn new(id: &'static str, label: &'static str, does: Does) -> Self {
        Self { id, label, does, is_lossy: false, is_rare: false, has_odd_notes: true }
    }

    /// A message may be damaged beyond repair: then nothing may be said.
    pub(crate) const fn lossy(mut self) -> Self {
        self.is_lossy = true;
        self
    }

    /// It may be that nobody's messages are changed.
    pub(crate) const fn rare(mut self) -> Self {
        self.is_rare = true;
        self
    }

    /// Not done to messages with the odd note, which it would damage beyond repair or in several ways.
    pub(crate) const fn without_odd_notes(mut self) -> Self {
        self.has_odd_notes = false;
        self
    }

    /// Does it to every genuine message, and wants each that is refused to be explained so and not otherwise. Gives what
    /// is wrong.
    fn check(&self) -> String {
        let (mut found, mut missed) = (0, String::new());
        let mut wrong = String::new();
        for world in worlds() {
            for (name, genuine) in &world.genuine {
                if !self.has_odd_notes && name.contains("a=b&c") {
                    continue;
                }
                let damaged = (self.does)(genuine).filter(|damaged| !world.accepts(damaged));
                let Some(damaged) = damaged else { continue };
                let diagnosis = world.explain(&damaged, Kept::WHOLE);
                let ids: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
                let facts: Vec<_> = diagnosis.findings.iter().map(|found| &found.facts).collect();
                let Diagnosis { outcome, effort, .. } = &diagnosis;
                let line = format!("{}: {}: {name}: {ids:?} {facts:?} {outcome:?} {effort:?}", self.id, self.label);
                match ids.as_slice() {
                    [id] if *id == self.id => found += 1,
                    [] => {
                        writeln!(missed, "{line}").expect("a text takes all");
                    }
                    _ => {
                        writeln!(wrong, "{line}").expect("a text takes all");
                    }
                }
            }
        }
        if found == 0 && !self.is_rare {
            writeln!(wrong, "{}: {}: nobody's", self.id, self.label).expect("a text takes all");
        }
        if !self.is_lossy {
            wrong.push_str(&missed);
        }
        wrong
    }
}

/// Does each damage to every message.
pub(crate) fn check(damages: &[Damage]) {
    let wrong: String = damages.iter().map(Damage::check).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The request with another body, and the length of that.
pub(crate) fn with_body(request: &RawRequest, body: impl Into<Vec<u8>>) -> RawRequest {
    let mut other = request.clone();
    other.body = Bytes::from(body.into());
    if let Some(length) = other.headers.get_mut("content-length") {
        *length = other.body.len().into();
    }
    other
}

#[test]
fn genuine_messages_have_no_finding() {
    for world in worlds() {
        for (name, genuine) in &world.genuine {
            assert!(world.accepts(genuine), "{name}");
            assert!(world.explain(genuine, Kept::WHOLE).findings.is_empty(), "{name}");
        }
    }
}
