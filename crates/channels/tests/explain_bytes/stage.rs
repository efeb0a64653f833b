//! Every platform on stage: genuine messages, a damage, and what is found.

use std::fmt::Write as _;

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

/// Every platform, with a message of every kind for every note.
pub(crate) fn worlds() -> Vec<World> {
    PLATFORMS.into_iter().copied().map(World::new).collect()
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

/// What came of a damage.
#[derive(Default)]
pub(crate) struct Tally {
    /// Refused messages in which it was found.
    pub(crate) found: usize,
    /// Refused messages in which nothing was found.
    pub(crate) missed: usize,
    /// What was refused and not found, for people.
    pub(crate) report: String,
}

/// Damages every genuine message, and wants each that is refused to be explained so and not otherwise. `is_lossy` says
/// whether a message can be damaged beyond repair: then nothing may be said.
pub(crate) fn check(
    worlds: &[World],
    id: &str,
    label: &str,
    is_lossy: bool,
    damage: fn(&RawRequest) -> Option<RawRequest>,
) -> Tally {
    let mut tally = Tally::default();
    let mut wrong = String::new();
    for world in worlds {
        for (name, genuine) in &world.genuine {
            let Some(damaged) = damage(genuine).filter(|damaged| !world.accepts(damaged)) else { continue };
            let diagnosis = world.explain(&damaged, Kept::WHOLE);
            let ids: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
            match ids.as_slice() {
                [found] if *found == id => tally.found += 1,
                [] => {
                    tally.missed += 1;
                    let effort = diagnosis.effort;
                    let _ = writeln!(tally.report, "{label}: {name}: nothing; {:?} {effort:?}", diagnosis.outcome);
                }
                _ => {
                    let facts: Vec<_> = diagnosis.findings.iter().map(|found| &found.facts).collect();
                    let _ = writeln!(wrong, "{label}: {name}: {ids:?} {facts:?}");
                }
            }
            if std::env::var_os("TOLLBELL_SHOW_FOUND").is_some() {
                let facts: Vec<_> = diagnosis.findings.iter().map(|found| &found.facts).collect();
                eprintln!("{label}: {name}: {ids:?} {facts:?}");
            }
        }
    }
    eprintln!("{id}: {label}: {} found, {} not", tally.found, tally.missed);
    eprint!("{}", tally.report);
    assert!(wrong.is_empty(), "{id}:\n{wrong}");
    assert!(is_lossy || tally.missed == 0, "{id}: {label}:\n{}", tally.report);
    assert!(tally.found > 0, "{id}: {label}: nobody was damaged");
    tally
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
            if std::env::var_os("TOLLBELL_SHOW_FOUND").is_some() {
                eprintln!("=== {name}\n{} {} {:?}", genuine.method, genuine.path, genuine.query);
                for (name, value) in &genuine.headers {
                    eprintln!("{name}: {}", String::from_utf8_lossy(value.as_bytes()));
                }
                eprintln!("\n{}", String::from_utf8_lossy(&genuine.body));
            }
            assert!(world.accepts(genuine), "{name}");
            assert!(world.explain(genuine, Kept::WHOLE).findings.is_empty(), "{name}");
        }
    }
}
