//! A channel and an oracle of one protocol, told the same and asked the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Amount, Concern, Environment, EventKind, Fact, Identity, Notification, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

use super::python::seed;
use super::wire::{Said, messages, settings, verdicts};

/// Sets of keys, and messages for each: as many genuine ones as damaged ones.
const KEYS: u64 = 8;
const MESSAGES: u64 = 200;

/// One protocol.
pub(crate) struct Pair {
    pub(crate) script: &'static str,
    pub(crate) kind: &'static str,
    /// Damages that the oracle refuses, and the channel holds: the message is proven, and says something odd.
    pub(crate) held: &'static [(&'static str, &'static str)],
    /// What the oracle calls an event, and what the channel does.
    pub(crate) events: &'static [(&'static str, EventKind)],
    /// Stories that the oracle knows.
    pub(crate) stories: &'static [EventKind],
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

/// The oracle's settings, for the channel: they have the same names.
fn channel_settings(told: &Value) -> Settings {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |name: &str| match &told[name] {
        Value::Null => None,
        Value::Array(values) => Some(SettingValue::Texts(values.iter().map(text).collect())),
        value => Some(SettingValue::Texts(vec![text(value)])),
    };
    let mut settings = Settings::new(Environment::Live)
        .with("mch_id", SettingValue::Text(text(&told["mch_id"])))
        .with("api_key", SettingValue::Key(text(&told["api_key"]).into_bytes().into()));
    for name in ["appid", "sign_types", "sub_mch_id", "sub_appid"] {
        if let Some(value) = list(name) {
            settings = settings.with(name, value);
        }
    }
    settings
}

impl Pair {
    fn channel(&self, told: &Value) -> Box<dyn Channel> {
        let platform = platforms::by_kind(self.kind).expect("registered");
        (platform.build)(&channel_settings(told)).unwrap_or_else(|error| panic!("{error}"))
    }

    fn first_seed() -> u64 {
        seed().parse().expect("a number as seed")
    }

    /// Genuine is genuine and says the same, damaged is refused; what differs must be among the known differences.
    pub(crate) fn agrees(&self) {
        let mut told = BTreeMap::<String, usize>::new();
        let mut held = BTreeMap::<String, usize>::new();
        let mut wrong = Vec::new();
        for keys in 0..KEYS {
            let keys = Self::first_seed() + keys;
            let channel = self.channel(&settings(self.script, keys, &json!({})));
            let line =
                |op: &str, number: u64| json!({ "op": op, "seed": keys * 10_000 + number, "now": at().as_second() });
            let lines: Vec<Value> =
                (0..MESSAGES).flat_map(|number| [line("sign", number), line("damage", number)]).collect();
            for said in messages(self.script, keys, &json!({}), &lines) {
                let verdict = channel.verify(&said.request, said.now);
                match self.compare(&said, &verdict) {
                    Ok(label) if label.starts_with("held") => *held.entry(label).or_default() += 1,
                    Ok(label) => *told.entry(label).or_default() += 1,
                    Err(what) => wrong.push(format!("{what}: {}", said.line)),
                }
            }
        }
        assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
        for (event, _) in self.events {
            assert!(told.keys().any(|label| label.ends_with(event)), "no {event} among {told:?}");
        }
        for (damage, _) in self.held {
            assert!(held.keys().any(|label| label.ends_with(damage)), "{damage} is refused now: so should this list");
        }
    }

    fn compare(&self, said: &Said, verdict: &Verdict) -> Result<String, String> {
        match verdict {
            Verdict::Genuine(proven) if said.is_genuine() => self.compare_facts(said, proven.value()),
            Verdict::Genuine(proven) => {
                let damage = said.damage.as_deref().unwrap_or_default();
                let concern = self.held.iter().find(|(known, _)| *known == damage).map(|(_, concern)| *concern);
                let is_held = proven.value().concerns.iter().any(|one| Some(one.word()) == concern);
                if is_held { Ok(format!("held: {damage}")) } else { Err(format!("accepted, damage {damage}")) }
            }
            Verdict::Refused(rejection) if said.is_genuine() => Err(format!("refused: {rejection}")),
            Verdict::Refused(_) => Ok(format!("refused: {}", said.damage.as_deref().unwrap_or_default())),
            other => Err(format!("{other:?}")),
        }
    }

    fn compare_facts(&self, said: &Said, found: &Notification) -> Result<String, String> {
        let [fact] = found.facts.as_slice() else { return Err(format!("{} facts", found.facts.len())) };
        let text = |name: &str| said.expect[name].as_str();
        let event = text("event").unwrap_or_default();
        let kind = self.events.iter().find(|(known, _)| *known == event).map(|(_, kind)| *kind);
        let mut differs = Vec::new();
        if kind != Some(fact.kind) {
            differs.push(format!("{event} is {}", fact.kind));
        }
        if fact.order_no.as_deref() != text("order_no") {
            differs.push(format!("order {:?}", fact.order_no));
        }
        differs.extend(names(fact, &said.expect));
        if fact.kind != EventKind::Other && money(&fact.amount) != expected_money(&said.expect) {
            differs.push(format!("amount {:?}", fact.amount));
        }
        // Odd texts in fields that nobody knows: proven, and a person looks whether they were two fields.
        let is_odd = |concern: &Concern| matches!(concern, Concern::Ambiguous { field } if ["a_new_field", "Zeta"].contains(&field.as_str()));
        if !found.concerns.iter().all(is_odd) {
            differs.push(format!("concerns {:?}", found.concerns));
        }
        if differs.is_empty() { Ok(format!("{} {event}", said.kind)) } else { Err(differs.join(", ")) }
    }

    /// What the channel's other side tells with the oracle's keys, the oracle believes and reads alike.
    pub(crate) fn is_believed(&self) {
        let platform = platforms::by_kind(self.kind).expect("registered");
        for keys in 0..KEYS {
            let keys = Self::first_seed() + keys;
            let told = channel_settings(&settings(self.script, keys, &json!({})));
            let channel = (platform.build)(&told).unwrap_or_else(|error| panic!("{error}"));
            let mirror = (platform.mirror.expect("a mirror"))(&told).unwrap_or_else(|error| panic!("{error}"));
            let mut requests = Vec::new();
            let mut facts = Vec::new();
            for kind in self.stories {
                for (note, serial) in ["", " ", "a+b %41&d=e", "“中文” 😀 <&amp;>]]>", "\n\t"].iter().zip(1..) {
                    let mut story = Story { kind: *kind, serial, ..Story::paid("T-1", 12_345, at()) };
                    (*note).clone_into(&mut story.note);
                    story.refunded_minor = 2_300;
                    story.refund_no = Some("R-1".into());
                    let request = mirror.callback(&story);
                    let Verdict::Genuine(proven) = channel.verify(&request, at()) else { panic!("{kind} {note:?}") };
                    facts.push((true, proven.into_parts().0.facts));
                    let mut spoiled = request.clone();
                    let body = String::from_utf8(request.body.to_vec()).expect("a text");
                    let change = |field: &str| {
                        let (before, after) = body.split_once(&format!("<{field}><![CDATA["))?;
                        let (_, after) = after.split_once("]]>")?;
                        Some(format!("{before}<{field}><![CDATA[AAAA]]>{after}"))
                    };
                    spoiled.body = change("req_info").or_else(|| change("openid")).expect("a covered field").into();
                    requests.extend([(request, at()), (spoiled, at())]);
                    facts.push((false, Vec::new()));
                }
            }
            for (verdict, (is_genuine, facts)) in verdicts(self.script, keys, &json!({}), &requests).iter().zip(facts) {
                assert_eq!(verdict["outcome"] == "genuine", is_genuine, "{verdict}");
                let Some(fact) = facts.first() else { continue };
                let kind = self.events.iter().find(|(known, _)| verdict["event"] == *known).map(|(_, kind)| *kind);
                assert_eq!(kind, Some(fact.kind), "{verdict}");
                assert_eq!(fact.order_no.as_deref(), verdict["order_no"].as_str(), "{verdict}");
                assert_eq!(names(fact, verdict), [""; 0], "{verdict}");
                if fact.kind != EventKind::Other {
                    assert_eq!(money(&fact.amount), expected_money(verdict), "{verdict}");
                }
            }
        }
    }
}

/// Where the numbers differ. A refund names its payment and itself; anything else itself.
fn names(fact: &Fact, expected: &Value) -> Vec<String> {
    let text = |name: &str| expected[name].as_str();
    let mut differs = Vec::new();
    let mut same = |what: &str, found: Option<&str>, expected: Option<&str>| {
        if found != expected {
            differs.push(format!("{what}: {found:?}, not {expected:?}"));
        }
    };
    if let Some(refund_no) = text("refund_no") {
        same("payment", fact.payment.as_ref().map(Identity::as_str), text("platform_no"));
        same("refund", fact.platform_no.as_deref(), text("platform_refund_no"));
        let ours = fact.aliases.first().and_then(|name| name.as_str().strip_prefix("out_refund_no:"));
        same("own number", ours, Some(refund_no));
    } else {
        same("number", fact.platform_no.as_deref(), text("platform_no"));
    }
    differs
}

fn money(amount: &Amount) -> Option<(i64, String)> {
    match amount {
        Amount::Stated(money) => Some((money.minor, money.currency.code().to_owned())),
        _ => None,
    }
}

fn expected_money(expected: &Value) -> Option<(i64, String)> {
    Some((expected["amount_minor"].as_i64()?, expected["currency"].as_str()?.to_owned()))
}
