//! Antom's own library and a reading of its notifications that knows nothing of ours: both judge the same messages, in
//! both directions.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::{BTreeMap, HashMap};

use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Identity, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::signature::key::PublicKey;
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "international/antom_sdk.py";

/// Messages that the script invents.
const CASES: usize = 3_000;

fn platform() -> &'static Platform {
    platforms::by_kind("antom").expect("registered")
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a time")
}

fn texts(list: &Value) -> Option<SettingValue> {
    let all: Vec<String> =
        list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text").to_owned()).collect();
    (!all.is_empty()).then_some(SettingValue::Texts(all))
}

/// The channel of a message of the script: its keys stand by their versions, a single one perhaps without.
fn channel(line: &Value) -> Box<dyn Channel> {
    // A sandbox may have clients of either kind.
    let mut settings = Settings::new(Environment::Sandbox)
        .with("client_id", texts(&line["clients"]).expect("a client"))
        .with("capture", SettingValue::Texts(vec![line["capture"].as_str().expect("a word").to_owned()]));
    if let Some(paths) = texts(&line["paths"]) {
        settings = settings.with("notify_urls", paths);
    }
    let names = [("antom_public_key", "key_version"), ("next_public_key", "next_key_version")];
    for ((version, key), (key_name, version_name)) in line["keys"].as_object().expect("keys").iter().zip(names) {
        let key = key.as_str().expect("a key").as_bytes().to_vec();
        settings = settings.with(key_name, SettingValue::Key(key.into()));
        if !version.is_empty() {
            settings = settings.with(version_name, SettingValue::Text(version.clone()));
        }
    }
    (platform().build)(&settings).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// The message's fact, in the oracle's words. What is only kept has no name that counts.
fn told(notification: &Notification) -> Value {
    let [fact] = notification.facts.as_slice() else { panic!("{notification:?}") };
    let money = fact.signed_money();
    let is_named = fact.kind != EventKind::Other;
    json!({
        "event": fact.kind.as_str(),
        "name": is_named.then(|| fact.identity.as_str()),
        "alias": fact.aliases.first().map(Identity::as_str),
        "order": fact.order_no,
        "payment": fact.payment.as_ref().map(Identity::as_str),
        "text": money.map(|money| money.to_text()),
        "currency": money.map(|money| money.currency.code().to_owned()),
        "held": !notification.concerns.is_empty(),
    })
}

#[test]
fn the_library_and_we_agree_about_what_is_genuine_and_what_it_means() {
    let lines = run(SCRIPT, &["make", &seed(), &CASES.to_string()], &[]);
    assert_eq!(lines.len(), CASES);
    let (mut taken, mut events) = (0, BTreeMap::<String, usize>::new());
    let mut refused = BTreeMap::<String, usize>::new();
    for line in &lines {
        match channel(line).verify(&read(&line["request"], at()), at()) {
            Verdict::Genuine(proven) => {
                assert!(line["genuine"] == true, "taken, and not genuine: {line}");
                let told = told(proven.value());
                assert_eq!(told, line["expect"], "{line}");
                *events.entry(told["event"].to_string()).or_default() += 1;
                taken += 1;
            }
            Verdict::Refused(rejection) => {
                assert!(line["genuine"] == false, "genuine, and refused as {rejection}: {line}");
                *refused.entry(line["damage"].to_string()).or_default() += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    assert!(taken > CASES / 3, "{taken} taken");
    assert!(events.len() >= 12, "{events:?}");
    assert!(refused.len() >= 18 && refused.values().all(|count| *count > 5), "{refused:?}");
}

/// The other direction, with the library's own classes behind its signature.
#[test]
fn the_library_accepts_what_our_other_side_tells() {
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let side = (platform().simulate)();
        let settings = side.settings();
        let client = settings.texts("client_id").expect("a client").to_vec();
        let key = public_key(settings.key("antom_public_key").expect("a key"));
        let channel = (platform().build)(&settings).expect("a channel");
        for (kind, note) in side.stories().iter().flat_map(|kind| NOTES.map(|note| (*kind, note))) {
            let story = Story { kind, note: note.to_owned(), serial: round + 1, ..Story::paid("T1", 1_234, at()) };
            let mut request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, at()) else { panic!("{kind}: refused") };
            let line = |request: &RawRequest| {
                let keys = HashMap::from([("1", &key)]);
                json!({ "clients": client, "keys": keys, "paths": [], "request": written(request) })
            };
            asked.push(line(&request));
            let fact = &proven.value().facts[0];
            let (order, number) = (&fact.order_no, &fact.platform_no);
            expected.push(json!({ "genuine": true, "status": status(kind), "order": order, "number": number }));
            request.body = [&request.body[..], b" "].concat().into();
            asked.push(line(&request));
            expected.push(json!({ "genuine": false }));
        }
    }
    assert_eq!(run(SCRIPT, &["judge"], &asked), expected);
}

/// Texts that JSON writes in ways of its own.
const NOTES: [&str; 3] = ["", "é 中 😀 \" \\ &amp; a+b c%41.d", "\r\n\t"];

/// The key as the dashboard shows it, which is what the library wants.
fn public_key(pem: &[u8]) -> String {
    use base64::Engine as _;
    let key = PublicKey::read("key", pem).expect("a public key");
    base64::engine::general_purpose::STANDARD.encode(key.spki())
}

/// What the library calls the state of each story.
fn status(kind: EventKind) -> Option<&'static str> {
    Some(match kind {
        EventKind::PaymentSucceeded | EventKind::PaymentPending | EventKind::PaymentAuthorized => "S",
        EventKind::PaymentFailed => "F",
        EventKind::RefundSucceeded => "SUCCESS",
        EventKind::RefundFailed => "FAIL",
        EventKind::DisputeOpened => "DISPUTE_CREATED",
        EventKind::DisputeUpdated => "DEFENSE_SUPPLIED",
        EventKind::DisputeClosed => "DISPUTE_JUDGED",
        EventKind::AgreementSigned => "CREATE",
        EventKind::AgreementCancelled => "CANCEL",
        _ => return None,
    })
}
