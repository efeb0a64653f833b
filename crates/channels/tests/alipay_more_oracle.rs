//! Alipay's other messages and algorithms against an oracle that was written from the protocol's description alone:
//! agreements, the message service, notices to the gateway, and RSA2, RSA and SM2.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, at, at_once, build, differences, expected_money, first_seed, judged_alike, key, money, mostly_genuine,
    other_side, own_key, stories, text, told, with_a_changed_byte,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Environment, EventKind, Fact, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

const KIND: &str = "alipay";

const SCRIPT: &str = "alipay_more.py";

/// Messages for each algorithm and merchant; three in five are as they were signed.
const MESSAGES: u64 = 300;

/// Merchants for each algorithm, each with keys of its own.
const MERCHANTS: u64 = 2;

const SIGN_TYPES: [&str; 3] = ["RSA2", "RSA", "SM2"];

/// Damages before the signature: what is proven is kept and held for a person, where the oracle refuses it.
const HELD: &[&str] = &["amount_nonsense", "no_number", "charset_unknown", "other_merchant"];

/// The oracle's merchant, as a channel.
fn channel(told: &Value) -> Box<dyn Channel> {
    let sign_type = text(told, "sign_type");
    let public_key = if sign_type == "SM2" { "alipay_sm2_public_key" } else { "alipay_public_key" };
    let settings = Settings::new(Environment::Live)
        .with("app_id", SettingValue::Text(text(told, "app_id")))
        .with("seller_id", SettingValue::Texts(vec![text(told, "seller_id")]))
        .with("sign_types", SettingValue::Texts(vec![sign_type]))
        .with(public_key, key(told, "alipay_public_key"));
    build(KIND, &settings)
}

/// Each merchant's channel and the oracle's messages to it.
fn conversations() -> Vec<(&'static str, Box<dyn Channel>, Vec<Said>)> {
    let talk = |sign_type: &'static str, merchant: u64| {
        let (seed, wish) = (first_seed() + merchant, json!({ "sign_type": sign_type }));
        let lines = mostly_genuine(first_seed() + 1000 * merchant, MESSAGES);
        (sign_type, channel(&settings(SCRIPT, seed, &wish)), messages(SCRIPT, seed, &wish, &lines))
    };
    let merchants = SIGN_TYPES.into_iter().flat_map(|sign_type| (0..MERCHANTS).map(move |number| (sign_type, number)));
    at_once(merchants.map(|(sign_type, number)| move || talk(sign_type, number)))
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let mut comparison = Comparison::default();
    for (sign_type, channel, all) in conversations() {
        for said in all {
            let verdict = channel.verify(&said.request, said.now);
            let found = differences(&said, &verdict, HELD, |notification| read(notification, &said.expect));
            let label = match &said.damage {
                Some(damage) => format!("damage {damage}"),
                None => format!("genuine {sign_type} {}", said.kind),
            };
            comparison.note(&said, label, found);
        }
    }
    let seen = comparison.agreed();
    let count = |word: &str| seen.keys().filter(|label| label.starts_with(word)).count();
    // Three algorithms, seven kinds: none may be missing from the cases.
    assert_eq!(count("genuine "), 21, "{seen:?}");
    for held in HELD {
        assert!(seen.contains_key(&format!("damage {held}")), "no case of {held}");
    }
    assert!(count("damage ") > 24, "{seen:?}");
}

/// Where the reading of a genuine message is not the oracle's.
fn read(read: &Notification, expect: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // The oracle takes any text; a person looks at one that the joined string could also carry as fields.
    if let Some(concern) = read.concerns.iter().find(|concern| concern.word() != "ambiguous") {
        found.push(format!("held: {concern:?}"));
    }
    let kind = match expect["event"].as_str().expect("an event") {
        "payment.succeeded" => EventKind::PaymentSucceeded,
        "payment.finished" => EventKind::PaymentFinalized,
        "payment.closed" => EventKind::PaymentClosed,
        "payment.pending" => EventKind::PaymentPending,
        "refund.succeeded" => EventKind::RefundSucceeded,
        "contract.signed" => EventKind::AgreementSigned,
        "contract.ended" => EventKind::AgreementCancelled,
        "transfer.succeeded" => EventKind::TransferSucceeded,
        "transfer.failed" => EventKind::TransferFailed,
        "transfer.returned" => EventKind::TransferReturned,
        // A transfer on its way has no end to tell yet.
        "other" | "transfer.pending" => EventKind::Other,
        event => return vec![format!("the oracle has a new word: {event}")],
    };
    let Some(fact) = read.facts.iter().find(|fact| fact.kind == kind) else {
        found.push(format!("no {kind}, but {:?}", read.facts));
        return found;
    };
    let told = |name: &str| expect[name].as_str();
    if kind != EventKind::Other {
        for (name, ours) in [("order_no", &fact.order_no), ("platform_no", &fact.platform_no)] {
            if ours.as_deref() != told(name) {
                found.push(format!("{name}: {ours:?}"));
            }
        }
        if money(fact) != expected_money(expect) {
            found.push(format!("the amount: {:?}", fact.amount));
        }
    }
    if let Some(refund) = told("refund_no")
        && !has_name(fact, &format!(":no:{refund}"))
    {
        found.push(format!("no name of the refund {refund}: {fact:?}"));
    }
    found
}

fn has_name(fact: &Fact, end: &str) -> bool {
    fact.identities().any(|name| name.as_str().ends_with(end))
}

/// A byte of the body changed anywhere: the two still agree whether it proves anything.
#[test]
fn a_changed_byte_is_judged_alike() {
    let first = first_seed();
    for sign_type in SIGN_TYPES {
        let wish = json!({ "sign_type": sign_type });
        let channel = channel(&settings(SCRIPT, first, &wish));
        let lines: Vec<Value> = (0..60).map(|number| json!({ "op": "sign", "seed": first + number })).collect();
        let spoiled = with_a_changed_byte(messages(SCRIPT, first, &wish, &lines));
        // Other base64 of the same signature, with bits left over: one message has one text here.
        let is_known = |_: &RawRequest, ours: &Verdict| matches!(ours, Verdict::Refused(Rejection::Malformed { field }) if field == "sign");
        judged_alike(&*channel, (SCRIPT, first, &wish), &spoiled, is_known);
    }
}

#[test]
fn the_oracle_reads_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let seller = own.texts("seller_id").expect("a payee")[0].clone();
    let used = json!({
        "app_id": own.text("app_id"), "seller_id": seller, "sign_type": "RSA2",
        "alipay_public_key": own_key(&own, "alipay_public_key"),
    });
    let spoil = |request: &RawRequest| RawRequest {
        body: [&request.body, b"&z=1".as_slice()].concat().into(),
        ..request.clone()
    };
    for one in told((KIND, SCRIPT, &used), &*side, stories(&*side, &["a+b c%41"], at()), spoil) {
        let (story, verdict) = (&one.story, &one.verdict);
        let event = match story.kind {
            EventKind::PaymentFinalized => "payment.finished",
            EventKind::AgreementSigned => "contract.signed",
            EventKind::AgreementCancelled => "contract.ended",
            // The description names neither the rows of a sharing nor what a complaint's message holds.
            kind if kind.as_str().starts_with("profit_sharing.") || kind == EventKind::DisputeUpdated => "other",
            kind => kind.as_str(),
        };
        assert_eq!(verdict["outcome"], "genuine", "{}: {}", story.kind, verdict);
        assert_eq!(verdict["event"], event, "{}: {}", story.kind, verdict);
        if verdict["amount_minor"] != Value::Null {
            let minor = if story.kind == EventKind::RefundSucceeded { 100 } else { 12_345 };
            assert_eq!((&verdict["amount_minor"], &verdict["order_no"]), (&json!(minor), &json!("T-1")));
        }
        assert_eq!(one.spoilt["outcome"], "refused", "{}: {}", story.kind, one.spoilt);
    }
}
