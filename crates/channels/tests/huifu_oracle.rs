//! The Huifu channels against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, alternating, at, build, damages, expected_money, key, label, money, other_side, own_key,
    stories, text, told,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::{Answer, Channel, Verdict};
use tollbell_channels::model::{Amount, Environment, EventKind, Fact, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::OtherSide;

const SCRIPT: &str = "huifu.py";

/// Each has its own merchant and keys.
const SEEDS: [u64; 4] = [1, 2, 3, 20_261_121];

/// Messages a seed; half of them are spoilt.
const MESSAGES: u64 = 400;

/// What the oracle refuses though it is rightly signed. We keep it for a person: a refusal would lose it.
const HELD: [&str; 3] = ["other_merchant", "no_number", "amount_nonsense"];

/// The channels of one of the oracle's merchants: notifications, and webhooks.
struct Channels {
    notices: Box<dyn Channel>,
    webhooks: Box<dyn Channel>,
}

impl Channels {
    fn new(told: &Value) -> Self {
        let own = Settings::new(Environment::Live).with("huifu_id", SettingValue::Texts(vec![text(told, "huifu_id")]));
        Self {
            notices: build("huifu", &own.clone().with("huifu_public_key", key(told, "huifu_public_key"))),
            webhooks: build("huifu_webhook", &own.with("endpoint_key", key(told, "endpoint_key"))),
        }
    }

    fn of(&self, kind: &str) -> &dyn Channel {
        if kind.starts_with("webhook") { self.webhooks.as_ref() } else { self.notices.as_ref() }
    }
}

#[test]
fn the_channels_and_the_oracle_agree() {
    let mut comparison = Comparison::default();
    for seed in SEEDS {
        let channels = Channels::new(&settings(SCRIPT, seed, &json!({})));
        for said in messages(SCRIPT, seed, &json!({}), &alternating(seed * MESSAGES, MESSAGES)) {
            let channel = channels.of(&said.kind);
            let found = match channel.verify(&said.request, said.now) {
                Verdict::Genuine(proven) if said.is_genuine() => {
                    check_shown(channel, &said);
                    read(&said, proven.value())
                }
                Verdict::Refused(_) if !said.is_genuine() => Vec::new(),
                Verdict::Genuine(proven) if is_held(&said, proven.value()) => Vec::new(),
                verdict => vec![format!("{verdict:?}")],
            };
            comparison.note(&said, label(&said), found);
        }
    }
    let seen = comparison.agreed();
    let unmet: Vec<String> = damages(SCRIPT).into_iter().filter(|damage| !seen.contains_key(damage)).collect();
    assert!(unmet.is_empty(), "not every damage was met: {unmet:?}");
    // Payments in three states, onboarding, and each kind of webhook with and without a state.
    assert_eq!(seen.keys().filter(|label| label.starts_with("genuine ")).count(), 11, "{seen:?}");
}

fn is_held(said: &Said, notification: &Notification) -> bool {
    let damage = said.damage.as_deref().unwrap_or_default();
    // Without money meaning there is nothing to hold it for; a refund is named by either of its numbers, and a closing
    // needs no more than the order.
    let fact = &notification.facts[0];
    let is_harmless = match (damage, said.kind.as_str()) {
        ("no_number", "onboarding" | "webhook_refund") => true,
        (_, "webhook_close") => fact.order_no.is_some() && fact.amount != Amount::Unreadable,
        _ => false,
    };
    HELD.contains(&damage) && (!notification.concerns.is_empty() || is_harmless)
}

fn read(said: &Said, told: &Notification) -> Vec<String> {
    let expect = &said.expect;
    let [fact] = told.facts.as_slice() else { return vec![format!("facts {:?}", told.facts)] };
    let mut found = Found::default();
    found.check(expect["event"] == fact.kind.as_str(), format!("kind {}", fact.kind));
    found.check(
        expect["identities"] == json!([["huifu_id", told.scope.account]]),
        format!("account {}", told.scope.account),
    );
    if fact.kind == EventKind::Other {
        // An event that could be a payment and does not say so waits for a person.
        found.check(told.concerns.is_empty() == (said.kind == "onboarding"), format!("concerns {:?}", told.concerns));
        return found.all();
    }
    found.check(told.concerns.is_empty(), format!("concerns {:?}", told.concerns));
    found.check(
        fact.signed_money().is_some() && money(fact) == expected_money(expect),
        format!("amount {:?}", fact.amount),
    );
    found.check(expect["order_no"] == json!(fact.order_no), format!("order {:?}", fact.order_no));
    let is_refund = fact.kind.as_str().starts_with("refund.");
    let number = if is_refund { "platform_refund_no" } else { "platform_no" };
    found.check(expect[number] == json!(fact.platform_no), format!("number {:?}", fact.platform_no));
    found.check(!is_refund || is_named_by(fact, &expect["refund_no"]), format!("names {fact:?}"));
    found.all()
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
        let reply = channel.answer(Answer::Success, Some(&said.request));
        assert_eq!(reply.body, format!("RECV_ORD_ID_{number}"), "{line}");
    }
}

/// What the oracle is told about one of our sides.
fn used(side: &dyn OtherSide) -> Value {
    let own = side.settings();
    let bare = |pem: String| pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    json!({
        "huifu_id": own.texts("huifu_id").expect("an account")[0],
        "huifu_public_key": own_key(&own, "huifu_public_key").map(bare),
        "endpoint_key": own_key(&own, "endpoint_key"),
    })
}

/// What follows the signature in the oracle, and which it knows from one form of message only.
const BEYOND_THE_SIGNATURE: [&str; 3] = ["no trans_amt", "no req_seq_id", "unknown event_type"];

#[test]
fn the_oracle_accepts_what_the_simulators_sign() {
    for kind in ["huifu", "huifu_webhook"] {
        let side = other_side(kind);
        let mut accepted = 0;
        for one in told((kind, SCRIPT, &used(&*side)), &*side, stories(&*side, &NOTES, at()), spoilt) {
            let (story, verdict) = (&one.story, &one.verdict);
            let label = format!("{kind}: {} {:?}: {verdict}", story.kind, story.note);
            assert_eq!(one.spoilt["reason"], "the signature does not fit", "{label}");
            if verdict["outcome"] == "genuine" {
                accepted += 1;
                if story.kind.as_str().starts_with("payment.") {
                    assert_eq!(verdict["event"], story.kind.as_str(), "{label}");
                    let expected = (&json!("T-1"), &json!(12_345));
                    assert_eq!((&verdict["order_no"], &verdict["amount_minor"]), expected, "{label}");
                }
            } else {
                let reason = verdict["reason"].as_str().expect("a reason");
                assert!(BEYOND_THE_SIGNATURE.contains(&reason) && story.kind != EventKind::PaymentSucceeded, "{label}");
            }
        }
        assert!(accepted >= 2 * NOTES.len(), "{kind}: {accepted}");
    }
}

/// One digit more in the signed text.
fn spoilt(request: &RawRequest) -> RawRequest {
    let body = String::from_utf8(request.body.to_vec()).expect("text");
    let at = body.find("6666").expect("the account");
    RawRequest { body: [&body[..at], "6", &body[at..]].concat().into(), ..request.clone() }
}
