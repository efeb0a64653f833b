//! Braintree's own library and a reading of its webhooks that knows nothing of ours: both judge the same messages, in both
//! directions, and answer the same checks of an address.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeSet;

use http::{HeaderMap, Method};
use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Fact, RawRequest, Timestamp};
use tollbell_channels::platforms::braintree::PLATFORM;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "international/braintree_sdk.py";

/// Messages that the script invents.
const CASES: usize = 3_000;

/// Checks of an address.
const CHALLENGES: usize = 500;

/// Kinds that the library knows, and one that nobody does.
const KINDS: usize = 42;

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a time")
}

fn build(settings: &Settings) -> Box<dyn Channel> {
    (PLATFORM.build)(settings).unwrap_or_else(|error| panic!("{error}"))
}

fn channel(keys: &Value) -> Box<dyn Channel> {
    let text = |name: &str| keys[name].as_str().expect("a text").to_owned();
    let settings = Settings::new(Environment::Live)
        .with("merchant_id", SettingValue::Text("gateway1".to_owned()))
        .with("merchant_accounts", SettingValue::Texts(vec!["exampleshop1".to_owned()]))
        .with("public_key", SettingValue::Texts(vec![text("public")]))
        .with("private_key", SettingValue::Key(text("private").into_bytes().into()));
    build(&settings)
}

/// A fact in the oracle's words. What is only kept has no name that counts.
fn told(fact: &Fact) -> Value {
    let name = (fact.kind != EventKind::Other).then(|| fact.identity.as_str());
    let minor = fact.signed_money().map(|money| money.minor);
    json!({ "event": fact.kind.as_str(), "name": name, "order": fact.order_no, "minor": minor })
}

#[test]
fn the_library_and_we_agree_about_what_is_genuine_and_what_it_means() {
    let lines = run(SCRIPT, &["make", &seed(), &CASES.to_string()], &[]);
    assert_eq!(lines.len(), CASES);
    let (mut refused, mut kinds, mut events) = (0, BTreeSet::new(), BTreeSet::new());
    for line in &lines {
        match channel(&line["keys"]).verify(&read(&line["request"], now()), now()) {
            Verdict::Genuine(proven) => {
                assert!(line["genuine"] == true, "taken, and not genuine: {line}");
                let found = proven.value();
                assert_eq!(found.platform_kind, line["kind"], "{line}");
                let [fact] = found.facts.as_slice() else { panic!("{line}: {:?}", found.facts) };
                assert_eq!(told(fact), line["expect"], "{line}");
                assert_eq!(line["held"], !found.concerns.is_empty(), "{line}: {:?}", found.concerns);
                kinds.insert(found.platform_kind.clone());
                events.insert(fact.kind);
            }
            Verdict::Refused(rejection) => {
                assert!(line["genuine"] == false, "genuine, and refused as {rejection}: {line}");
                refused += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    assert!(refused > CASES / 5 && refused < CASES / 2, "{refused} refused");
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    assert!(events.len() > 9, "{events:?}");
}

/// The other direction: what our other side tells, and what is changed in it.
#[test]
fn the_library_accepts_what_our_other_side_tells() {
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for round in 0..30_u64 {
        let side = (PLATFORM.simulate)();
        let settings = side.settings();
        let public = settings.texts("public_key").expect("a key")[0].clone();
        let private = String::from_utf8(settings.key("private_key").expect("a key").to_vec()).expect("a text");
        let keys = json!({ "public": public, "private": private });
        let channel = build(&settings);
        for event in side.stories() {
            let note = "é 中 😀 \" \\ &amp; <b> ]]>\r\n".to_owned();
            let order = format!("T:<&>{round}");
            let amount = 1_234 + i64::try_from(round).expect("few");
            let mut story = Story { kind: *event, note, serial: round, ..Story::paid(&order, amount, now()) };
            story.refunded_minor = amount;
            let mut request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, now()) else { panic!("{event}") };
            let found = proven.value();
            let fact = &found.facts[0];
            asked.push(json!({ "keys": keys, "request": written(&request) }));
            // Of local payments the library shows another object; a subscription's number is its own.
            let shows = |prefix: &str| found.platform_kind.starts_with(prefix);
            let is_shown = !shows("local_payment_");
            let number = found.platform_id.rsplit(':').next();
            let text = fact.signed_money().map(|money| money.to_text()).filter(|_| is_shown && !shows("subscription_"));
            expected.push(json!({
                "genuine": true, "kind": found.platform_kind, "at": "2026-11-21T04:00:00Z",
                "id": number.filter(|_| is_shown), "amount": text,
            }));
            let body = String::from_utf8(request.body.to_vec()).expect("text");
            let at = body.len() - 40 - usize::try_from(round).expect("few");
            let changed = if &body[at..=at] == "A" { "B" } else { "A" };
            request.body = format!("{}{changed}{}", &body[..at], &body[at + 1..]).into();
            assert!(!matches!(channel.verify(&request, now()), Verdict::Genuine(_)), "{event}");
            asked.push(json!({ "keys": keys, "request": written(&request) }));
            expected.push(json!({ "genuine": false }));
        }
    }
    let found = run(SCRIPT, &["judge"], &asked);
    assert_eq!(found.len(), expected.len());
    for ((found, expected), asked) in found.iter().zip(&expected).zip(&asked) {
        assert_eq!(found, expected, "{asked}");
    }
}

#[test]
fn the_library_and_we_answer_the_same_checks_of_an_address() {
    let lines = run(SCRIPT, &["challenges", &seed(), &CHALLENGES.to_string()], &[]);
    assert_eq!(lines.len(), CHALLENGES);
    let mut answered = 0;
    for line in &lines {
        let request = RawRequest {
            method: Method::GET,
            path: "/notify".to_owned(),
            query: line["query"].as_str().map(str::to_owned),
            headers: HeaderMap::new(),
            body: bytes::Bytes::new(),
            source: None,
            received_at: now(),
        };
        let reply = channel(&line["keys"]).challenge(&request);
        let text = reply.map(|reply| String::from_utf8(reply.body.to_vec()).expect("a text"));
        assert_eq!(text.as_deref(), line["answer"].as_str(), "{line}");
        answered += usize::from(text.is_some());
    }
    assert!(answered > CHALLENGES / 3 && answered < CHALLENGES * 9 / 10, "{answered}");
}
