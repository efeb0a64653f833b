//! Adyen's own library and a reading of its webhooks that knows nothing of ours: both judge the same messages, in both
//! directions, for payments and for platforms.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Fact, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "international/adyen_sdk.py";

const KINDS: [&str; 2] = ["adyen", "adyen_platform"];

/// Messages that the script invents.
const CASES: usize = 4_000;

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a time")
}

fn build(kind: &str, settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(kind).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

fn channel(line: &Value) -> Box<dyn Channel> {
    let text = |name: &str| line[name].as_str().expect("a text").to_owned();
    let settings =
        Settings::new(Environment::Live).with("hmac_key", SettingValue::Key(text("key").into_bytes().into()));
    let settings = if line["kind"] == "adyen" {
        settings
            .with("merchant_accounts", SettingValue::Texts(vec![text("account")]))
            .with("capture", SettingValue::Texts(vec![text("capture")]))
    } else {
        settings.with("balance_platform", SettingValue::Text(text("account")))
    };
    build(&text("kind"), &settings)
}

/// A fact in the oracle's words. What is only kept has no name that counts.
fn told(fact: &Fact) -> Value {
    let money = fact.signed_money();
    let name = (fact.kind != EventKind::Other).then(|| fact.identity.as_str());
    json!({
        "event": fact.kind.as_str(), "name": name, "order": fact.order_no,
        "minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
    })
}

#[test]
fn the_library_and_we_agree_about_what_is_genuine_and_what_it_means() {
    let lines = run(SCRIPT, &["make", &seed(), &CASES.to_string()], &[]);
    assert_eq!(lines.len(), CASES);
    let mut seen: BTreeMap<&str, (usize, usize)> = KINDS.map(|kind| (kind, (0, 0))).into();
    for line in &lines {
        let counts = seen.get_mut(line["kind"].as_str().expect("a kind")).expect("a kind of ours");
        match channel(line).verify(&read(&line["request"], now()), now()) {
            Verdict::Genuine(proven) => {
                assert!(line["genuine"] == true, "taken, and not genuine: {line}");
                let found = proven.value();
                assert_eq!(found.facts.iter().map(told).collect::<Value>(), line["expect"], "{line}");
                assert_eq!(line["held"], !found.concerns.is_empty(), "{line}: {:?}", found.concerns);
                counts.0 += 1;
            }
            Verdict::Refused(rejection) => {
                assert!(line["genuine"] == false, "genuine, and refused as {rejection}: {line}");
                counts.1 += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    for (kind, (taken, refused)) in seen {
        assert!(taken > CASES / 8 && refused > CASES / 20, "{kind}: {taken} taken, {refused} refused");
    }
}

/// The other direction.
#[test]
fn the_library_accepts_what_our_other_side_tells() {
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for round in 0..20 {
        for kind in KINDS {
            let side = (platforms::by_kind(kind).expect("registered").simulate)();
            let settings = side.settings();
            let key = String::from_utf8(settings.key("hmac_key").expect("a key").to_vec()).expect("a text");
            let channel = build(kind, &settings);
            for event in side.stories() {
                let note = "é 中 😀 \" \\ &amp;".to_owned();
                let order = format!("T:{round}");
                let mut story = Story { kind: *event, note, serial: round, ..Story::paid(&order, 1_234, now()) };
                story.refunded_minor = 1_000;
                let mut request = side.callback(&story).request;
                assert!(matches!(channel.verify(&request, now()), Verdict::Genuine(_)), "{kind}: {event}");
                let line = |request: Value| json!({ "kind": kind, "key": key, "request": request });
                asked.push(line(written(&request)));
                expected.push(json!({ "genuine": true }));
                let changed = String::from_utf8(request.body.to_vec()).expect("text").replace("1234", "1235");
                let changed = changed.replace("\"value\":1000", "\"value\":1001");
                if changed.as_bytes() != &request.body[..] {
                    request.body = changed.into();
                    asked.push(line(written(&request)));
                    expected.push(json!({ "genuine": false }));
                }
            }
        }
    }
    assert!(expected.len() > 500, "{}", expected.len());
    assert_eq!(run(SCRIPT, &["judge"], &asked), expected);
}
