//! Every platform's own callbacks, checked at another time or with a time in another unit.

use bytes::Bytes;
use http::HeaderValue;
use jiff::SignedDuration;

use super::super::tests::{Stage, at, stages};
use super::{MILLIS_DIGITS, Place, SECONDS_DIGITS, digits};
use crate::channel::{Rejection, Verdict};
use crate::explain::{Diagnosis, Evidence, Found, Outcome};
use crate::form::{Form, Limits, encode};
use crate::model::{RawRequest, Timestamp};
use crate::settings::tree::Tree;
use crate::settings::{SettingValue, Settings};

const HOUR: i64 = 3600;

fn later(seconds: i64) -> Timestamp {
    at().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

fn fact<'f>(found: &'f Found, name: &str) -> &'f str {
    found.facts.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str())
}

fn is_stale(diagnosis: &Diagnosis) -> bool {
    matches!(diagnosis.outcome, Outcome::Refused(Rejection::Stale { .. }))
}

/// What the only finding says of a genuine request that is checked so much later than it was received and signed.
fn checked(seconds: i64, received: i64, date: Option<i64>) -> Vec<(String, String, String)> {
    let mut said = Vec::new();
    for stage in stages() {
        let mut request = stage.callback();
        request.received_at = later(received);
        if let Some(date) = date {
            let text = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&later(date)).unwrap();
            request.headers.insert("date", HeaderValue::from_str(&text).unwrap());
        }
        let diagnosis = stage.explained(&request, later(seconds));
        if !is_stale(&diagnosis) {
            continue;
        }
        let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", stage.platform.kind) };
        assert_eq!((found.finding.id, found.proof), ("clock_wrong", Evidence::Recomputed), "{}", stage.platform.kind);
        let say = |name: &str| fact(found, name).to_owned();
        // Some platforms write a little less than the moment of the story.
        let gap: i64 = say("seconds").parse().unwrap();
        assert!((gap - seconds.abs()).abs() <= 2, "{}: {found:?}", stage.platform.kind);
        assert_eq!(fact(found, "checked_at"), later(seconds).to_string());
        assert!(found.title(|text| text.en).contains("its own time"), "{found:?}");
        // Words for programs are no words for readers.
        let causes = found.cause(|text| text.en) + &found.cause(|text| text.zh);
        assert!(!causes.contains('_') && !causes.contains("likelier"), "{causes}");
        said.push((stage.platform.kind.to_owned(), say("direction"), say("likelier")));
    }
    said
}

#[test]
fn how_late_or_early_a_message_is_and_why_is_said() {
    let all = checked(400, 400, None);
    assert!(all.len() >= 8, "{all:?}");
    for (seconds, received, date, direction, likelier) in [
        (400, 400, None, "late", "clock_ahead"),
        (-400, -400, None, "early", "clock_behind"),
        (8 * HOUR, 8 * HOUR, None, "late", "time_zone"),
        (-8 * HOUR, -8 * HOUR, None, "early", "time_zone"),
        (400, 400, Some(400), "late", "delivery"),
        (400, 400, Some(0), "late", "clock_ahead"),
        (50 * HOUR + 777, 50 * HOUR + 777, None, "late", "delivery"),
        (50 * HOUR + 777, 1, None, "late", "replay"),
        (400 * 24 * HOUR, 400 * 24 * HOUR, None, "late", "delivery"),
        (-400 * 24 * HOUR, -400 * 24 * HOUR, None, "early", "clock_behind"),
    ] {
        let said = checked(seconds, received, date);
        assert_eq!(said.len(), all.len(), "{seconds}");
        for (kind, found_direction, found_likelier) in said {
            assert_eq!((found_direction.as_str(), found_likelier.as_str()), (direction, likelier), "{kind}: {seconds}");
        }
    }
}

#[test]
fn a_forged_message_is_no_matter_of_time() {
    for stage in stages() {
        let request = stage.callback();
        let now = later(400);
        if !is_stale(&stage.explained(&request, now)) || request.body.len() < 3 {
            continue;
        }
        let mut body = request.body.to_vec();
        let middle = body.len() / 2;
        body[middle] = if body[middle] == b'7' { b'8' } else { b'7' };
        let forged = RawRequest { body: Bytes::from(body), ..request };
        let diagnosis = stage.explained(&forged, now);
        let named = diagnosis.findings.iter().find(|found| found.finding.id == "clock_wrong");
        assert!(named.is_none(), "{}: {diagnosis:?}", stage.platform.kind);
    }
}

#[test]
fn behind_a_wrong_time_a_second_mistake_is_found() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        let now = later(3 * HOUR + 100);
        let marked = RawRequest { body: [b"\xef\xbb\xbf", request.body.as_ref()].concat().into(), ..request };
        let diagnosis = stage.explained(&marked, now);
        if !is_stale(&diagnosis) {
            continue;
        }
        concerned += 1;
        let mut found: Vec<&str> = diagnosis.findings.iter().map(|found| found.finding.id).collect();
        found.sort_unstable();
        assert_eq!(found, ["bom", "clock_wrong"], "{}", stage.platform.kind);
    }
    assert!(concerned >= 6, "{concerned}");
}

#[test]
fn a_clock_from_before_a_certificate_is_known() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        let now = Timestamp::from_second(24 * HOUR).unwrap();
        let diagnosis = stage.explained(&request, now);
        if diagnosis.outcome.is_accepted() || is_stale(&diagnosis) {
            continue;
        }
        concerned += 1;
        let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", stage.platform.kind) };
        assert_eq!(
            (found.finding.id, fact(found, "likelier")),
            ("clock_wrong", "clock_behind"),
            "{}",
            stage.platform.kind
        );
        // Whose time it is, nobody knows: an order tells when it ends, too.
        assert!(found.title(|text| text.en).contains("a time in the message"), "{found:?}");
        assert!(found.title(|text| text.zh).contains("报文中的时间"), "{found:?}");
    }
    assert!(concerned >= 1, "{concerned}");
}

/// The request with its time in the other unit; none where it tells none under these digits.
fn in_other_unit(request: &RawRequest) -> Vec<RawRequest> {
    let mut all = Vec::new();
    for (from, other) in [(SECONDS_DIGITS, MILLIS_DIGITS), (MILLIS_DIGITS, SECONDS_DIGITS)] {
        for digits in digits(request, from) {
            let text =
                if other == MILLIS_DIGITS { format!("{}000", digits.text) } else { digits.text[..other].to_owned() };
            if from == MILLIS_DIGITS && !digits.text.ends_with("000") {
                continue;
            }
            let mut changed = request.clone();
            match digits.place {
                Place::Header => {
                    let value = request.headers[&digits.name].to_str().unwrap().replacen(&digits.text, &text, 1);
                    let name = http::HeaderName::try_from(digits.name.as_str()).unwrap();
                    changed.headers.insert(name, HeaderValue::from_str(&value).unwrap());
                }
                Place::Body | Place::Query => {
                    let limits = Limits { bytes_max: 1 << 20, pairs_max: 256 };
                    let in_body = digits.place == Place::Body;
                    let query = request.query.clone().unwrap_or_default();
                    let bytes = if in_body { request.body.as_ref() } else { query.as_bytes() };
                    let form = Form::parse(bytes, limits).unwrap();
                    let is_it = |name: &[u8]| *name == *digits.name.as_bytes();
                    let value = |name: &[u8], value: &[u8]| {
                        if is_it(name) { text.clone().into_bytes() } else { value.to_vec() }
                    };
                    let pairs: Vec<(Vec<u8>, Vec<u8>)> =
                        form.pairs().iter().map(|pair| (pair.name.to_vec(), value(&pair.name, &pair.value))).collect();
                    let pairs = encode(pairs.iter().map(|(name, value)| (name.as_slice(), value.as_slice())));
                    if in_body {
                        changed.body = pairs.into();
                    } else {
                        changed.query = Some(String::from_utf8(pairs).unwrap());
                    }
                }
            }
            all.push(changed);
        }
    }
    all
}

#[test]
fn a_time_that_was_written_in_the_other_unit_is_found() {
    let mut concerned = 0;
    for stage in stages() {
        for changed in in_other_unit(&stage.callback()) {
            let Verdict::Refused(Rejection::Malformed { .. } | Rejection::Stale { .. }) =
                stage.channel.verify(&changed, at())
            else {
                continue;
            };
            concerned += 1;
            let diagnosis = stage.explained(&changed, at());
            let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", stage.platform.kind) };
            assert_eq!(
                (found.finding.id, found.proof),
                ("milliseconds", Evidence::Recomputed),
                "{}",
                stage.platform.kind
            );
        }
    }
    assert!(concerned >= 6, "{concerned}");
}

/// Settings whose recipe names the other unit; none where none is named.
fn with_unit(settings: &Settings, from: &str, to: &str) -> Option<Settings> {
    let found = settings.values().find_map(|(name, value)| {
        let SettingValue::Tree(Tree::Table(pairs)) = value else { return None };
        let at = pairs.iter().position(|(name, _)| name == "timestamp")?;
        let Tree::Table(time) = &pairs[at].1 else { return None };
        let unit =
            time.iter().position(|(name, value)| name == "unit" && matches!(value, Tree::Text(w) if w == from))?;
        let mut time = time.clone();
        time[unit].1 = Tree::text(to);
        let mut pairs = pairs.clone();
        pairs[at].1 = Tree::Table(time);
        Some((name, Tree::Table(pairs)))
    });
    found.map(|(name, tree)| settings.clone().with(name, SettingValue::Tree(tree)))
}

#[test]
fn a_channel_that_expects_the_other_unit_is_found() {
    let mut concerned = 0;
    for stage in stages() {
        let request = stage.callback();
        for (from, to) in [("s", "ms"), ("ms", "s")] {
            let Some(settings) = with_unit(&stage.settings, from, to) else { continue };
            let other: Stage = stage.with_settings(settings).unwrap();
            if other.is_accepted(&request, at()) {
                continue;
            }
            concerned += 1;
            let diagnosis = other.explained(&request, at());
            let [found] = diagnosis.findings.as_slice() else { panic!("{}: {diagnosis:?}", stage.platform.kind) };
            assert_eq!(
                (found.finding.id, found.proof),
                ("milliseconds", Evidence::Recomputed),
                "{}",
                stage.platform.kind
            );
        }
    }
    assert!(concerned >= 1, "{concerned}");
}

#[test]
fn digits_that_touch_others_are_no_time() {
    let mut request = stages()[0].callback();
    request.headers.clear();
    request.query = Some("a=1700000000&b=17000000001&c=x1700000000&d=1700000000123&e=0000000001&f=-1700000000".into());
    request.body = Bytes::from_static(b"{\"t\":1700000000}");
    request.headers.insert("x-a", HeaderValue::from_static("t=1700000000,v1=1700000000f"));
    let found = |count| digits(&request, count).into_iter().map(|one| one.name).collect::<Vec<_>>();
    assert_eq!(found(SECONDS_DIGITS), ["x-a", "a"]);
    assert_eq!(found(MILLIS_DIGITS), ["d"]);
}
