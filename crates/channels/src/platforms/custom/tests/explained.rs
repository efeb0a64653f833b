//! What is said of a refused message, where a recipe decides it.

use super::*;
use crate::explain::{Configured, Diagnosis, Evidence, Kept, Question, explain};
use crate::platforms;

/// A channel with what it was built from.
struct Own {
    id: &'static str,
    settings: Settings,
    channel: Box<dyn Channel>,
}

impl Own {
    fn new(id: &'static str, settings: Settings) -> Self {
        Self { id, channel: build(&settings).unwrap(), settings }
    }

    fn configured(&self) -> Configured<'_> {
        let platform = platforms::by_kind("custom").unwrap();
        Configured { id: self.id, platform, settings: &self.settings, channel: &*self.channel }
    }

    fn explain(&self, others: &[&Self], request: &RawRequest, now: Timestamp) -> Diagnosis {
        let others: Vec<Configured<'_>> = others.iter().map(|other| other.configured()).collect();
        explain(&Question { request, kept: Kept::WHOLE, own: self.configured(), others: &others, now, is_dated: true })
    }
}

const EVENT: &str = r#""type":"json:/t","map":{"x":"other"}"#;

/// A platform that is asked about everything takes what anybody sends: it says nothing of whose message it was.
#[test]
fn a_forged_message_is_not_one_of_a_channel_that_takes_anything() {
    let own = Own::new("own", settings(WHOLE, EVENT));
    let asked = Own::new("asked", asked::anything());
    let mut forged = signed(r#"{"t":"x","id":"tr_1"}"#);
    forged.headers.insert("s", hex(&[7; 32]).parse().unwrap());
    assert!(matches!(asked.channel.verify(&forged, Timestamp::UNIX_EPOCH), Verdict::Hint(_)));
    let diagnosis = own.explain(&[&asked], &forged, Timestamp::UNIX_EPOCH);
    assert!(diagnosis.findings.is_empty(), "{diagnosis:?}");
}

/// With the other unit in the settings the message is taken, and what was signed is shown.
#[test]
fn milliseconds_that_were_signed_are_shown() {
    const TIMED: &str = r#""signature":{"from":"header:s","parse":"whole"},"message":"{header:t}.{body}","timestamp":{"from":"header:t","unit":"s","tolerance":60}"#;
    let own = Own::new("own", settings(TIMED, EVENT));
    let (body, time) = (r#"{"t":"x"}"#, "1795233600123");
    let mut request = signed(body);
    let tag = HmacKey::new(SECRET.as_bytes(), HmacHash::Sha256, "").sign(format!("{time}.{body}").as_bytes());
    request.headers.insert("s", hex(&tag).parse().unwrap());
    request.headers.insert("t", time.parse().unwrap());
    let diagnosis = own.explain(&[], &request, "2026-11-21T04:00:00Z".parse().unwrap());
    let [found] = &diagnosis.findings[..] else { panic!("{diagnosis:?}") };
    assert_eq!((found.finding.id, found.proof), ("milliseconds", Evidence::Recomputed));
    let [matched] = &diagnosis.matched[..] else { panic!("{diagnosis:?}") };
    assert_eq!((matched.text.as_str(), matched.held), (format!("{time}.{body}").as_str(), true));
}
