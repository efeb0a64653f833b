//! The epay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::python::seed;
use oracle::wire::{Said, messages, settings, verdicts_for};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "epay.py";
const KIND: &str = "epay";

/// Sets of keys, and for each of them messages as they were signed and messages that were spoilt.
const SETS: u64 = 3;
const SIGNED: u64 = 300;
const SPOILT: u64 = 400;

/// A channel for the merchant of a seed.
fn channel(seed: u64) -> Box<dyn Channel> {
    build(&settings(SCRIPT, seed, &Value::Null))
}

fn build(told: &Value) -> Box<dyn Channel> {
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
    let settings = Settings::new(Environment::Live)
        .with("site", SettingValue::Text("pay.example.com".into()))
        .with("pid", SettingValue::Text(text("pid")))
        .with("key", key("key"))
        .with("platform_public_key", key("platform_public_key"));
    (platforms::by_kind(KIND).expect("registered").build)(&settings).unwrap_or_else(|error| panic!("{error}"))
}

fn verify(channel: &dyn Channel, request: &RawRequest, now: Timestamp) -> Option<Notification> {
    match channel.verify(request, now) {
        Verdict::Genuine(proven) => Some(proven.into_parts().0),
        Verdict::Refused(_) => None,
        other => panic!("{other:?}"),
    }
}

/// Our facts in the oracle's words.
fn told(notification: &Notification) -> Value {
    let fact = &notification.facts[0];
    let money = fact.signed_money();
    json!({
        "event": fact.kind.as_str(), "order_no": fact.order_no, "platform_no": fact.platform_no,
        "amount_minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
    })
}

fn expected(said: &Said) -> Value {
    ["event", "order_no", "platform_no", "amount_minor", "currency"]
        .iter()
        .map(|name| ((*name).to_owned(), said.expect[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut disagreements = Vec::new();
    let first: u64 = seed().parse().expect("a number");
    for seed in first..first + SETS {
        let channel = channel(seed);
        let signed = (0..SIGNED).map(|number| json!({ "op": "sign", "seed": seed + number * SETS }));
        let spoilt = (0..SPOILT).map(|number| json!({ "op": "damage", "seed": seed + number * SETS }));
        for said in messages(SCRIPT, seed, &Value::Null, &signed.chain(spoilt).collect::<Vec<_>>()) {
            let found = verify(&*channel, &said.request, said.now);
            let is_free = found.as_ref().is_some_and(|notification| notification.concerns.is_empty());
            let damage = said.damage.clone().unwrap_or_else(|| "none".into());
            *seen.entry(format!("{damage} {}", said.request.method)).or_default() += 1;
            // What is proven and not understood is refused by the oracle and held by us: nothing of it is believed,
            // and a person can look. Everything else that it refuses we refuse too.
            let may_be_held = ["not_paid", "money_nonsense", "no_number"].contains(&damage.as_str());
            let agrees = match &found {
                Some(notification) if said.is_genuine() => is_free && told(notification) == expected(&said),
                Some(_) => may_be_held && !is_free,
                None => !said.is_genuine(),
            };
            if !agrees {
                disagreements.push(format!(
                    "{damage}: {:?} {:?}\n{found:?}\n{}",
                    said.request.query, said.request.body, said.expect
                ));
            }
        }
    }
    assert!(
        disagreements.is_empty(),
        "{} disagreements:\n{}",
        disagreements.len(),
        disagreements[..disagreements.len().min(5)].join("\n")
    );
    assert!(seen["none GET"] > 100 && seen["none POST"] > 100, "{seen:?}");
    assert!(seen.len() > 40, "{seen:?}");
}

#[test]
fn the_oracle_believes_what_the_simulator_signs() {
    let platform = platforms::by_kind(KIND).expect("registered");
    let side = (platform.simulate)();
    let own = side.settings();
    let text = |name: &str| String::from_utf8(own.key(name).expect("a key").to_vec()).expect("text");
    let bare: String = text("platform_public_key").lines().filter(|line| !line.starts_with("-----")).collect();
    let given = json!({ "pid": own.text("pid"), "key": text("key"), "platform_public_key": bare });
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a constant time");
    let mut requests = Vec::new();
    let mut stories = Vec::new();
    for (serial, note) in
        (1..=24).zip(["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", "\r\n\t"].iter().cycle())
    {
        let story = Story {
            serial,
            note: (*note).to_owned(),
            ..Story::paid(&format!("T-{serial}"), 100 * serial.cast_signed() + 5, at)
        };
        requests.push((side.callback(&story).request, at));
        stories.push(story);
    }
    let found = verdicts_for(SCRIPT, &given, &requests);
    for (story, verdict) in stories.iter().zip(found) {
        assert_eq!(verdict["outcome"], "genuine", "{story:?}: {verdict}");
        assert_eq!(
            (verdict["order_no"].as_str(), verdict["amount_minor"].as_i64()),
            (Some(&*story.order_no), Some(story.amount_minor))
        );
    }
}
