//! What every comparison of a channel with its oracle does alike: it asks both about the same messages, collects where
//! they differ, and asks the oracle about what the channel's other side signs.

#![allow(dead_code, reason = "each test binary that includes this file uses its own part of it")]

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Fact, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{OtherSide, Story};

use super::python::seed;
use super::wire::{Said, ask, verdicts, written};

/// Texts that forms, XML, JSON and joined strings write in ways of their own.
pub(crate) const NOTES: [&str; 7] = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "\r\n\t"];

/// When messages are made and verified, where nothing asks for another time.
pub(crate) fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// The seed of the first merchant.
pub(crate) fn first_seed() -> u64 {
    seed().parse().expect("a number")
}

/// A platform's channel.
pub(crate) fn build(kind: &str, settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(kind).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// A platform's other side with fresh keys.
pub(crate) fn other_side(kind: &str) -> Box<dyn OtherSide> {
    (platforms::by_kind(kind).expect("registered").simulate)()
}

/// A setting of the oracle's merchant.
pub(crate) fn text(told: &Value, name: &str) -> String {
    told[name].as_str().unwrap_or_else(|| panic!("no text {name}")).to_owned()
}

/// The same as key material.
pub(crate) fn key(told: &Value, name: &str) -> SettingValue {
    SettingValue::Key(text(told, name).into_bytes().into())
}

/// A list of texts.
pub(crate) fn texts(told: &Value, name: &str) -> SettingValue {
    let all = told[name].as_array().unwrap_or_else(|| panic!("no list {name}")).iter();
    SettingValue::Texts(all.map(|one| one.as_str().expect("a text").to_owned()).collect())
}

/// A key of the channel's settings as text, for the oracle.
pub(crate) fn own_key(settings: &Settings, name: &str) -> Option<String> {
    settings.key(name).map(|key| String::from_utf8(key.to_vec()).expect("a key as text"))
}

/// Asks an oracle's processes at once: most sign slowly.
pub(crate) fn at_once<T: Send>(talks: impl IntoIterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    thread::scope(|scope| {
        let talks: Vec<_> = talks.into_iter().map(|talk| scope.spawn(talk)).collect();
        talks.into_iter().map(|talk| talk.join().expect("the oracle's answers")).collect()
    })
}

/// Where a channel's verdict is not the oracle's. `read` compares the facts of what both call genuine. What is signed
/// and says something odd (`held`: damages before the signature) the oracle refuses; the channel holds it for a person,
/// because a refusal would lose it.
pub(crate) fn differences(
    said: &Said,
    verdict: &Verdict,
    held: &[&str],
    read: impl FnOnce(&Notification) -> Vec<String>,
) -> Vec<String> {
    let damage = said.damage.as_deref().unwrap_or_default();
    match (verdict, said.is_genuine()) {
        (Verdict::Genuine(proven), true) => read(proven.value()),
        (Verdict::Genuine(proven), false) if !held.contains(&damage) => vec![format!("accepted: {:?}", proven.value())],
        (Verdict::Genuine(proven), false) if proven.value().concerns.is_empty() => {
            vec![format!("not held: {:?}", proven.value())]
        }
        (Verdict::Genuine(_) | Verdict::Refused(_) | Verdict::NeedsKey(_), false) => Vec::new(),
        (verdict, _) => vec![format!("{verdict:?}")],
    }
}

/// A fact's money as the oracles write it.
pub(crate) fn money(fact: &Fact) -> Option<(i64, String)> {
    fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned()))
}

/// The oracle's own money.
pub(crate) fn expected_money(expect: &Value) -> Option<(i64, String)> {
    expect["amount_minor"].as_i64().zip(expect["currency"].as_str().map(str::to_owned))
}

/// Where the reading of one message is not the oracle's.
#[derive(Default)]
pub(crate) struct Found(Vec<String>);

impl Found {
    /// Notes what was read, where it is not the same.
    pub(crate) fn check(&mut self, is_same: bool, read: String) {
        if !is_same {
            self.0.push(read);
        }
    }

    /// All that differs.
    pub(crate) fn all(self) -> Vec<String> {
        self.0
    }
}

/// Lines for messages from this seed on, every second one damaged.
pub(crate) fn alternating(first: u64, count: u64) -> Vec<Value> {
    let line = |number: u64| {
        let op = if number.is_multiple_of(2) { "sign" } else { "damage" };
        json!({ "op": op, "seed": first + number, "now": at().as_second() })
    };
    (0..count).map(line).collect()
}

/// Lines for messages from this seed on, three in five of them as they were signed.
pub(crate) fn mostly_genuine(first: u64, count: u64) -> Vec<Value> {
    let op = |number: u64| if number % 5 < 3 { "sign" } else { "damage" };
    (0..count).map(|number| json!({ "op": op(number), "seed": first + number })).collect()
}

/// What was compared, and where the two differ.
#[derive(Default)]
pub(crate) struct Comparison {
    seen: BTreeMap<String, usize>,
    disagreements: Vec<String>,
}

impl Comparison {
    /// Notes a message under a label, with what differs.
    pub(crate) fn note(&mut self, said: &Said, label: String, differences: Vec<String>) {
        *self.seen.entry(label).or_default() += 1;
        let what = said.damage.as_deref().unwrap_or("genuine");
        self.disagreements.extend(differences.into_iter().map(|difference| {
            format!("{} {what}: {difference}\n  {}\n  {}", said.kind, said.expect, said.line["request"])
        }));
    }

    /// How often each label was met.
    ///
    /// # Panics
    /// When the two disagreed anywhere.
    pub(crate) fn agreed(self) -> BTreeMap<String, usize> {
        let shown = self.disagreements.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.disagreements.is_empty(), "{} disagreements:\n{shown}", self.disagreements.len());
        self.seen
    }
}

/// `damage` and its name, or `genuine`, the kind and the event.
pub(crate) fn label(said: &Said) -> String {
    match &said.damage {
        Some(damage) => format!("damage {damage}"),
        None => format!("genuine {} {}", said.kind, said.expect["event"].as_str().unwrap_or_default()),
    }
}

/// The labels of every damage that an oracle knows.
pub(crate) fn damages(script: &str) -> Vec<String> {
    let known = ask(script, 0, &json!({}), &[json!({ "op": "describe" })]).remove(0);
    let names = known["damages"].as_array().expect("damages").iter();
    names.map(|name| format!("damage {}", name.as_str().expect("a name"))).collect()
}

/// Each message with one byte of its body changed.
pub(crate) fn with_a_changed_byte(all: Vec<Said>) -> Vec<(RawRequest, Timestamp)> {
    let changed = all.into_iter().enumerate().map(|(number, said)| {
        let mut body = said.request.body.to_vec();
        let at = number * 7919 % body.len();
        body[at] = if body[at] == b'7' { b'8' } else { b'7' };
        (RawRequest { body: body.into(), ..said.request }, said.now)
    });
    changed.collect()
}

/// Each message ten times, with a byte of its body replaced, taken away, or put in.
pub(crate) fn with_changed_bytes(all: &[Said], replacing: [u8; 8], added: [u8; 8]) -> Vec<(RawRequest, Timestamp)> {
    let mut changed = Vec::new();
    for (number, said) in all.iter().enumerate() {
        for round in 0..10 {
            let mut body = said.request.body.to_vec();
            let at = (number * 7919 + round * 104_729) % body.len();
            match round % 3 {
                0 => body[at] = replacing[(number + round) % 8],
                1 => drop(body.remove(at)),
                _ => body.insert(at, added[(number + round) % 8]),
            }
            changed.push((RawRequest { body: body.into(), ..said.request.clone() }, said.now));
        }
    }
    changed
}

/// Both see the same in requests that nobody thought of, but for those that `is_known` explains.
pub(crate) fn judged_alike(
    channel: &dyn Channel,
    (script, seed, wish): (&str, u64, &Value),
    requests: &[(RawRequest, Timestamp)],
    is_known: impl Fn(&RawRequest, &Verdict) -> bool,
) {
    for ((request, now), theirs) in requests.iter().zip(verdicts(script, seed, wish, requests)) {
        let ours = channel.verify(request, *now);
        let is_same = matches!(ours, Verdict::Genuine(_)) == (theirs["outcome"] == "genuine");
        assert!(is_same || is_known(request, &ours), "{ours:?}\n{theirs}\n{}", request.body.escape_ascii());
    }
}

/// Every story that a side can tell, with each of these notes.
pub(crate) fn stories(side: &dyn OtherSide, notes: &[&str], at: Timestamp) -> Vec<Story> {
    let told =
        side.stories().iter().flat_map(|kind| (1..).zip(notes).map(move |(serial, note)| (*kind, serial, *note)));
    told.map(|(kind, serial, note)| {
        let mut story = Story { kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
        if kind.as_str().starts_with("refund.") {
            (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
        }
        story
    })
    .collect()
}

/// A story that a channel's other side told.
pub(crate) struct Told {
    pub(crate) story: Story,
    /// What the channel reads in it.
    pub(crate) read: Notification,
    /// The oracle's verdict about it.
    pub(crate) verdict: Value,
    /// The oracle's verdict about the same message, spoilt.
    pub(crate) spoilt: Value,
}

/// Has stories told by a side and judged by the oracle, for a merchant whose settings the oracle knows as `used`.
///
/// # Panics
/// When the channel refuses its own side, or believes what was spoilt.
pub(crate) fn told(
    (kind, script, used): (&str, &str, &Value),
    side: &dyn OtherSide,
    stories: Vec<Story>,
    spoil: impl Fn(&RawRequest) -> RawRequest,
) -> Vec<Told> {
    let channel = build(kind, &side.settings());
    let mut lines = vec![json!({ "op": "use", "settings": used })];
    let mut read = Vec::new();
    for story in &stories {
        let request = side.callback(story).request;
        let label = format!("{kind}: {} {:?}", story.kind, story.note);
        let Verdict::Genuine(proven) = channel.verify(&request, story.at) else { panic!("{label}: refused") };
        read.push(proven.into_parts().0);
        let spoilt = spoil(&request);
        assert!((&spoilt.body, &spoilt.query) != (&request.body, &request.query), "{label}: not spoilt");
        assert!(!matches!(channel.verify(&spoilt, story.at), Verdict::Genuine(_)), "{label}: spoilt, and believed");
        for request in [&request, &spoilt] {
            lines.push(json!({ "op": "verify", "request": written(request), "now": story.at.as_second() }));
        }
    }
    let mut answers = ask(script, 0, &json!({}), &lines).split_off(1).into_iter();
    let mut next = || answers.next().expect("an answer to each line");
    stories.into_iter().zip(read).map(|(story, read)| Told { story, read, verdict: next(), spoilt: next() }).collect()
}
