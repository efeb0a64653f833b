//! The Huifu channels against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::wire::{Said, ask, messages, settings, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Amount, Environment, EventKind, Fact, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "huifu.py";

/// Each has its own merchant and keys.
const SEEDS: [u64; 4] = [1, 2, 3, 20_261_121];

/// Messages a seed; half of them are spoilt.
const MESSAGES: u64 = 400;

/// What the oracle refuses though it is rightly signed. We keep it for a person: a refusal would lose it.
const HELD: [&str; 3] = ["other_merchant", "no_number", "amount_nonsense"];

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

fn channel(kind: &str, settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(kind).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// The channels of one of the oracle's merchants: notifications, and webhooks.
struct Channels {
    notices: Box<dyn Channel>,
    webhooks: Box<dyn Channel>,
}

impl Channels {
    fn new(told: &Value) -> Self {
        let text = |name: &str| told[name].as_str().expect("a setting").to_owned();
        let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
        let own = Settings::new(Environment::Live).with("huifu_id", SettingValue::Texts(vec![text("huifu_id")]));
        Self {
            notices: channel("huifu", &own.clone().with("huifu_public_key", key("huifu_public_key"))),
            webhooks: channel("huifu_webhook", &own.with("endpoint_key", key("endpoint_key"))),
        }
    }

    fn of(&self, kind: &str) -> &dyn Channel {
        if kind.starts_with("webhook") { self.webhooks.as_ref() } else { self.notices.as_ref() }
    }
}

#[test]
fn the_channels_and_the_oracle_agree() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut damages: BTreeMap<String, usize> = BTreeMap::new();
    for seed in SEEDS {
        let channels = Channels::new(&settings(SCRIPT, seed, &json!({})));
        let lines: Vec<Value> = (0..MESSAGES)
            .map(|number| {
                let op = if number % 2 == 0 { "sign" } else { "damage" };
                json!({ "op": op, "seed": seed * MESSAGES + number, "now": now().as_second() })
            })
            .collect();
        for said in messages(SCRIPT, seed, &json!({}), &lines) {
            let verdict = channels.of(&said.kind).verify(&said.request, said.now);
            if said.is_genuine() {
                let Verdict::Genuine(proven) = verdict else { panic!("{}: {verdict:?}", said.line) };
                check_told(&said, proven.value());
                check_shown(channels.of(&said.kind), &said);
                *kinds.entry(format!("{} {}", said.kind, said.expect["event"])).or_default() += 1;
            } else {
                let damage = said.damage.clone().expect("a damage");
                check_refused(&said, &damage, verdict);
                *damages.entry(damage).or_default() += 1;
            }
        }
    }
    let known = ask(SCRIPT, 0, &json!({}), &[json!({ "op": "describe" })]).remove(0);
    let names = known["damages"].as_array().expect("damages").len();
    assert_eq!(damages.len(), names, "not every damage was met: {damages:?}");
    // Payments in three states, onboarding, and each kind of webhook with and without a state.
    assert_eq!(kinds.len(), 11, "{kinds:?}");
}

fn check_refused(said: &Said, damage: &str, verdict: Verdict) {
    match verdict {
        Verdict::Refused(_) => {}
        Verdict::Genuine(proven) if HELD.contains(&damage) => {
            // Without money meaning there is nothing to hold it for; a refund is named by either of its numbers, and a
            // closing needs no more than the order.
            let fact = &proven.value().facts[0];
            let is_harmless = match (damage, said.kind.as_str()) {
                ("no_number", "onboarding" | "webhook_refund") => true,
                (_, "webhook_close") => fact.order_no.is_some() && fact.amount != Amount::Unreadable,
                _ => false,
            };
            assert!(!proven.value().concerns.is_empty() || is_harmless, "{damage}: passed: {}", said.line);
        }
        other => panic!("{damage}: {other:?}: {}", said.line),
    }
}

fn check_told(said: &Said, told: &Notification) {
    let expect = &said.expect;
    let fact = &told.facts[0];
    assert_eq!(told.facts.len(), 1, "{}", said.line);
    assert_eq!(expect["event"], fact.kind.as_str(), "{}", said.line);
    assert_eq!(expect["identities"], json!([["huifu_id", told.scope.account]]), "{}", said.line);
    if fact.kind == EventKind::Other {
        // An event that could be a payment and does not say so waits for a person.
        assert_eq!(told.concerns.is_empty(), said.kind == "onboarding", "{}", said.line);
        return;
    }
    assert_eq!(told.concerns, [], "{}", said.line);
    let money = fact.signed_money().expect("an amount");
    assert_eq!((&expect["amount_minor"], &expect["currency"]), (&json!(money.minor), &json!("CNY")), "{}", said.line);
    assert_eq!(expect["order_no"], json!(fact.order_no), "{}", said.line);
    if fact.kind.as_str().starts_with("refund.") {
        assert_eq!(expect["platform_refund_no"], json!(fact.platform_no), "{}", said.line);
        assert!(is_named_by(fact, &expect["refund_no"]), "{}: {fact:?}", said.line);
    } else {
        assert_eq!(expect["platform_no"], json!(fact.platform_no), "{}", said.line);
    }
}

fn is_named_by(fact: &Fact, number: &Value) -> bool {
    let number = format!(":{}", number.as_str().expect("a number"));
    fact.identities().any(|identity| identity.as_str().ends_with(&number))
}

/// The account stands in every message, so it is among the fields, and the success reply names the number.
fn check_shown(channel: &dyn Channel, said: &Said) {
    let fields = channel.fields(&said.request);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
    assert_eq!(field("huifu_id"), said.expect["identities"][0][1].as_str(), "{}", said.line);
    if !said.kind.starts_with("webhook") {
        let number = field("req_seq_id").expect("a number");
        let line = json!({ "op": "reply", "cause": "success", "request": said.line["request"] });
        let reply = channel.answer(tollbell_channels::channel::Answer::Success, Some(&said.request));
        assert_eq!(reply.body, format!("RECV_ORD_ID_{number}"), "{line}");
    }
}

/// What the oracle is told about one of our sides.
fn told(kind: &str) -> (Box<dyn tollbell_channels::simulate::OtherSide>, Value) {
    let side = (platforms::by_kind(kind).expect("registered").simulate)();
    let settings = side.settings();
    let key = |name: &str| settings.key(name).map(|key| String::from_utf8(key.to_vec()).expect("text"));
    let bare = key("huifu_public_key").map(|pem| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>());
    let value = json!({
        "huifu_id": settings.texts("huifu_id").expect("an account")[0],
        "huifu_public_key": bare,
        "endpoint_key": key("endpoint_key"),
    });
    (side, value)
}

/// What follows the signature in the oracle, and which it knows from one form of message only.
const BEYOND_THE_SIGNATURE: [&str; 3] = ["no trans_amt", "no req_seq_id", "unknown event_type"];

#[test]
fn the_oracle_accepts_what_the_simulators_sign() {
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", " ", "\r\n\t"];
    for kind in ["huifu", "huifu_webhook"] {
        let (side, settings) = told(kind);
        let mut lines = vec![json!({ "op": "use", "settings": settings })];
        let mut expected = Vec::new();
        for story in side.stories() {
            for (serial, note) in (1_u64..).zip(notes) {
                let story = Story {
                    kind: *story,
                    serial,
                    note: note.to_owned(),
                    refunded_minor: 100,
                    ..Story::paid("T-1", 12_345, now())
                };
                let request = side.callback(&story).request;
                for (is_genuine, request) in [(true, request.clone()), (false, spoilt(&request))] {
                    lines.push(json!({ "op": "verify", "request": written(&request), "now": now().as_second() }));
                    expected.push((is_genuine, story.clone()));
                }
            }
        }
        let verdicts = ask(SCRIPT, 0, &json!({}), &lines).split_off(1);
        let mut accepted = 0;
        for (verdict, (is_genuine, story)) in verdicts.iter().zip(expected) {
            let label = format!("{kind}: {} {:?}: {verdict}", story.kind, story.note);
            if !is_genuine {
                assert_eq!(verdict["reason"], "the signature does not fit", "{label}");
            } else if verdict["outcome"] == "genuine" {
                accepted += 1;
                if story.kind.as_str().starts_with("payment.") {
                    assert_eq!(verdict["event"], story.kind.as_str(), "{label}");
                    assert_eq!(
                        (&verdict["order_no"], &verdict["amount_minor"]),
                        (&json!("T-1"), &json!(12_345)),
                        "{label}"
                    );
                }
            } else {
                let reason = verdict["reason"].as_str().expect("a reason");
                assert!(BEYOND_THE_SIGNATURE.contains(&reason) && story.kind != EventKind::PaymentSucceeded, "{label}");
            }
        }
        assert!(accepted >= 2 * notes.len(), "{kind}: {accepted}");
    }
}

/// One digit more in the signed text.
fn spoilt(request: &RawRequest) -> RawRequest {
    let body = String::from_utf8(request.body.to_vec()).expect("text");
    let at = body.find("6666").expect("the account");
    RawRequest { body: [&body[..at], "6", &body[at..]].concat().into(), ..request.clone() }
}
