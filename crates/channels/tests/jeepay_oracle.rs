//! The jeepay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::python::seed;
use oracle::wire::{Said, messages, settings, verdicts_for};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "jeepay.py";
const KIND: &str = "jeepay";

/// Sets of secrets, and for each of them messages as they were signed and messages that were spoilt.
const SETS: u64 = 3;
const SIGNED: u64 = 800;
const SPOILT: u64 = 700;

/// What the oracle calls a closed refund or transfer is one that failed for us: the money stayed where it was, and
/// there is no third word for it. A payment of the state "refunded" is a refund to the oracle; it has no refund's
/// number, so we say what it proves, the payment, and hold it.
const OTHER_WORDS: [(&str, &str); 3] =
    [("refund.closed", "refund.failed"), ("transfer.closed", "transfer.failed"), (REFUNDED, "payment.succeeded")];

/// A payment of the state "refunded".
const REFUNDED: &str = "payment: refund.succeeded";

fn channel(seed: u64) -> Box<dyn Channel> {
    let told = settings(SCRIPT, seed, &Value::Null);
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let settings = Settings::new(Environment::Live)
        .with("mch_no", SettingValue::Text(text("mchNo")))
        .with("app_id", SettingValue::Text(text("appId")))
        .with("app_secret", SettingValue::Key(text("appSecret").into_bytes().into()));
    (platforms::by_kind(KIND).expect("registered").build)(&settings).unwrap_or_else(|error| panic!("{error}"))
}

fn verify(channel: &dyn Channel, request: &RawRequest, now: Timestamp) -> Option<Notification> {
    match channel.verify(request, now) {
        Verdict::Genuine(proven) => Some(proven.into_parts().0),
        Verdict::Refused(_) => None,
        other => panic!("{other:?}"),
    }
}

/// Our facts in the oracle's words: for a refund it names the payment's number, and the refund's beside it.
fn told(notification: &Notification) -> Value {
    let fact = &notification.facts[0];
    let money = fact.signed_money();
    let is_refund = fact.kind.as_str().starts_with("refund.");
    let payment = fact.payment.as_ref().map(|name| name.as_str().to_owned());
    let ours =
        fact.aliases.first().and_then(|name| name.as_str().rsplit_once(':')).map(|(_, number)| number.to_owned());
    json!({
        "event": fact.kind.as_str(), "order_no": fact.order_no,
        "platform_no": if is_refund { payment } else { fact.platform_no.clone() },
        "refund_no": if is_refund { ours } else { None },
        "platform_refund_no": if is_refund { fact.platform_no.clone() } else { None },
        "amount_minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
    })
}

fn expected(said: &Said) -> Value {
    let names = ["order_no", "platform_no", "refund_no", "platform_refund_no", "amount_minor", "currency"];
    let mut value: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), said.expect[*name].clone())).collect();
    let event = said.expect["event"].as_str().expect("an event");
    let ours = OTHER_WORDS.iter().find(|(theirs, _)| *theirs == event || *theirs == format!("{}: {event}", said.kind));
    value.insert("event".into(), ours.map_or(event, |(_, ours)| ours).into());
    value.into()
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
            let event = said.expect["event"].as_str().unwrap_or_default();
            let is_refunded = said.is_genuine() && format!("{}: {event}", said.kind) == REFUNDED;
            *seen.entry(format!("{damage} {} {event}", said.kind)).or_default() += 1;
            // What is proven and not understood is refused by the oracle and held by us: nothing of it is believed,
            // and a person can look. Everything else that it refuses we refuse too.
            let may_be_held = ["amount_nonsense", "no_number"].contains(&damage.as_str());
            let agrees = match &found {
                Some(notification) if said.is_genuine() => {
                    is_free != is_refunded && told(notification) == expected(&said)
                }
                Some(_) => may_be_held && !is_free,
                None => !said.is_genuine(),
            };
            if !agrees {
                disagreements.push(format!("{damage}: {:?}\n{found:?}\n{}", said.request, said.expect));
            }
        }
    }
    let shown = disagreements.len().min(5);
    assert!(disagreements.is_empty(), "{} disagreements:\n{}", disagreements.len(), disagreements[..shown].join("\n"));
    for kind in
        ["payment payment.succeeded", "payment refund.succeeded", "refund refund.closed", "transfer transfer.failed"]
    {
        assert!(seen.get(&format!("none {kind}")).is_some_and(|count| *count > 10), "{kind}: {seen:?}");
    }
    assert!(seen.keys().filter(|label| !label.starts_with("none ")).count() > 40, "{seen:?}");
}

#[test]
fn the_oracle_believes_what_the_simulator_signs() {
    let side = (platforms::by_kind(KIND).expect("registered").simulate)();
    let own = side.settings();
    let secret = String::from_utf8(own.key("app_secret").expect("a secret").to_vec()).expect("text");
    let given = json!({ "mchNo": own.text("mch_no"), "appId": own.text("app_id"), "appSecret": secret });
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a constant time");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", "\r\n\t"];
    let mut stories = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1..=6).zip(notes) {
            let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
            if kind.as_str().starts_with("refund.") {
                story.refunded_minor = 100;
                story.refund_no = Some("R-1".to_owned());
            }
            stories.push(story);
        }
    }
    let requests: Vec<_> = stories.iter().map(|story| (side.callback(story).request, at)).collect();
    for (story, verdict) in stories.iter().zip(verdicts_for(SCRIPT, &given, &requests)) {
        assert_eq!(
            (&verdict["outcome"], verdict["event"].as_str()),
            (&json!("genuine"), Some(story.kind.as_str())),
            "{story:?}"
        );
        let is_refund = matches!(story.kind, EventKind::RefundSucceeded | EventKind::RefundFailed);
        assert_eq!(verdict["amount_minor"], if is_refund { 100 } else { 12_345 }, "{story:?}");
        assert_eq!(verdict[if is_refund { "refund_no" } else { "order_no" }], if is_refund { "R-1" } else { "T-1" });
    }
}
