//! Every platform on stage, for the tests of findings: its other side, a channel that trusts it, and what is found in
//! the messages that were damaged on their way.

use bytes::Bytes;

use crate::channel::{Channel, Likeness, Verdict};
use crate::explain::{Configured, Diagnosis, Kept, Question, explain};
use crate::model::{RawRequest, Timestamp};
use crate::platforms::{PLATFORMS, Platform};
use crate::settings::Settings;
use crate::simulate::{Cover, OtherSide, Story};

/// A merchant's text with what encoders, filters and parsers stumble over.
pub(super) const ODD_NOTE: &str = r#"a=b&c=d%41%2B+ é "引号" 'q' <&amp;> \ ;/?:@ 😀"#;

/// When every story happens.
pub(super) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

#[test]
fn dump() {
    for platform in PLATFORMS {
        let side = (platform.simulate)();
        for note in ["", ODD_NOTE] {
        for kind in side.stories() {
            let mut story = Story::paid("T000000000001", 1000, at());
            story.kind = *kind;
            story.note = note.to_owned();
            story.refunded_minor = 400;
            story.refund_no = Some("R1".into());
            let g = side.callback(&story);
            eprintln!("=== {} {kind} {:?}\n{} {} {:?}", platform.kind, g.cover, g.request.method, g.request.path, g.request.query);
            for (n, v) in &g.request.headers { eprintln!("{n}: {}", String::from_utf8_lossy(v.as_bytes())); }
            eprintln!("\n{}", String::from_utf8_lossy(&g.request.body));
        }
        }
    }
}
