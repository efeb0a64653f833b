//! Alipay's other messages and algorithms against an oracle that was written from the protocol's description alone:
//! agreements, the message service, notices to the gateway, and RSA2, RSA and SM2.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use oracle::python::seed;
use oracle::wire::{Said, ask, messages, settings, verdicts, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Environment, EventKind, Fact, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "alipay_more.py";

/// Messages for each algorithm and merchant; three in five are as they were signed.
const MESSAGES: u64 = 300;

/// Merchants for each algorithm, each with keys of its own.
const MERCHANTS: u64 = 2;

const SIGN_TYPES: [&str; 3] = ["RSA2", "RSA", "SM2"];

/// Damages before the signature: what is proven is kept and held for a person, where the oracle refuses it.
const HELD: &[&str] = &["amount_nonsense", "no_number", "charset_unknown", "other_merchant"];

fn platform() -> &'static Platform {
    platforms::by_kind("alipay").expect("registered")
}

/// The oracle's merchant, as a channel.
fn channel(told: &Value) -> Box<dyn Channel> {
    let text = |name: &str| told[name].as_str().expect("a setting").to_owned();
    let sign_type = text("sign_type");
    let key = if sign_type == "SM2" { "alipay_sm2_public_key" } else { "alipay_public_key" };
    let settings = Settings::new(Environment::Live)
        .with("app_id", SettingValue::Text(text("app_id")))
        .with("seller_id", SettingValue::Texts(vec![text("seller_id")]))
        .with("sign_types", SettingValue::Texts(vec![sign_type]))
        .with(key, SettingValue::Key(text("alipay_public_key").into_bytes().into()));
    (platform().build)(&settings).expect("the oracle's settings make a channel")
}

/// Each merchant's channel and the oracle's messages to it. The oracle signs slowly, so all merchants at once.
fn conversations() -> Vec<(&'static str, Box<dyn Channel>, Vec<Said>)> {
    let first: u64 = seed().parse().expect("a number");
    let talk = |sign_type: &'static str, merchant: u64| {
        let (seed, wish) = (first + merchant, json!({ "sign_type": sign_type }));
        let lines: Vec<Value> = (0..MESSAGES)
            .map(|number| {
                let op = if number % 5 < 3 { "sign" } else { "damage" };
                json!({ "op": op, "seed": first + 1000 * merchant + number })
            })
            .collect();
        (sign_type, channel(&settings(SCRIPT, seed, &wish)), messages(SCRIPT, seed, &wish, &lines))
    };
    let merchants = SIGN_TYPES.into_iter().flat_map(|sign_type| (0..MERCHANTS).map(move |number| (sign_type, number)));
    thread::scope(|scope| {
        let talks: Vec<_> = merchants.map(|(sign_type, number)| scope.spawn(move || talk(sign_type, number))).collect();
        talks.into_iter().map(|talk| talk.join().expect("the oracle's messages")).collect()
    })
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let (mut disagreements, mut kinds, mut damages) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let talks = conversations();
    let all =
        talks.iter().flat_map(|(sign_type, channel, said)| said.iter().map(move |said| (*sign_type, channel, said)));
    for (sign_type, channel, said) in all {
        let label = said.damage.clone().unwrap_or_default();
        let verdict = channel.verify(&said.request, said.now);
        let found = match (&verdict, said.is_genuine()) {
            (Verdict::Genuine(proven), true) => differences(proven.value(), &said.expect),
            (Verdict::Genuine(proven), false) if !HELD.contains(&label.as_str()) => {
                vec![format!("accepted as {:?}", proven.value())]
            }
            (Verdict::Genuine(proven), false) if proven.value().concerns.is_empty() => vec!["not held".to_owned()],
            (Verdict::Refused(_) | Verdict::NeedsKey(_) | Verdict::Genuine(_), false) => Vec::new(),
            (verdict, _) => vec![format!("{verdict:?}")],
        };
        for difference in found {
            let told = &said.line["request"];
            disagreements.push(format!("{sign_type} {} {label}: {difference}\n{}\n{told}", said.kind, said.expect));
        }
        if said.is_genuine() {
            *kinds.entry(format!("{sign_type} {}", said.kind)).or_insert(0) += 1;
        }
        damages.insert(label);
    }
    let shown = disagreements.iter().take(10).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(disagreements.is_empty(), "{} disagreements:\n{shown}", disagreements.len());
    // Three algorithms, seven kinds: none may be missing from the cases.
    assert_eq!(kinds.len(), 21, "{kinds:?}");
    for held in HELD {
        assert!(damages.contains(*held), "no case of {held}");
    }
    assert!(damages.len() > 25, "{damages:?}");
}

/// Where the reading of a genuine message is not the oracle's.
fn differences(read: &Notification, expect: &Value) -> Vec<String> {
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
        let money = fact.signed_money().map(|money| (money.minor, money.currency.to_string()));
        let theirs = expect["amount_minor"].as_i64().zip(told("currency").map(str::to_owned));
        if money != theirs {
            found.push(format!("the amount: {money:?}"));
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
    let first: u64 = seed().parse().expect("a number");
    for sign_type in SIGN_TYPES {
        let wish = json!({ "sign_type": sign_type });
        let channel = channel(&settings(SCRIPT, first, &wish));
        let lines: Vec<Value> = (0..60).map(|number| json!({ "op": "sign", "seed": first + number })).collect();
        let spoiled: Vec<(RawRequest, Timestamp)> = messages(SCRIPT, first, &wish, &lines)
            .into_iter()
            .enumerate()
            .map(|(number, said)| {
                let mut body = said.request.body.to_vec();
                let at = number * 7919 % body.len();
                body[at] = if body[at] == b'7' { b'8' } else { b'7' };
                (RawRequest { body: body.into(), ..said.request }, said.now)
            })
            .collect();
        for ((request, now), theirs) in spoiled.iter().zip(verdicts(SCRIPT, first, &wish, &spoiled)) {
            let ours = channel.verify(request, *now);
            // Other base64 of the same signature, with bits left over: one message has one text here.
            if matches!(&ours, Verdict::Refused(Rejection::Malformed { field }) if field == "sign") {
                continue;
            }
            let is_genuine = matches!(ours, Verdict::Genuine(_));
            assert_eq!(is_genuine, theirs["outcome"] == "genuine", "{ours:?}\n{theirs}\n{request:?}");
        }
    }
}

#[test]
fn the_oracle_reads_what_the_simulator_signs() {
    let side = (platform().simulate)();
    let told = side.settings();
    let pem = String::from_utf8(told.key("alipay_public_key").expect("a key").to_vec()).expect("a key as text");
    let seller = told.texts("seller_id").expect("a payee")[0].clone();
    let merchant = json!({
        "app_id": told.text("app_id"), "seller_id": seller, "sign_type": "RSA2", "alipay_public_key": pem,
    });
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a time");
    let stories: Vec<Story> = side
        .stories()
        .iter()
        .map(|kind| {
            let mut story = Story { kind: *kind, note: "a+b c%41".to_owned(), ..Story::paid("T-1", 12_345, at) };
            if *kind == EventKind::RefundSucceeded {
                (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
            }
            story
        })
        .collect();
    let mut lines = vec![json!({ "op": "use", "settings": merchant })];
    for story in &stories {
        let request = side.callback(story).request;
        let spoiled = RawRequest { body: [&request.body, b"&z=1".as_slice()].concat().into(), ..request.clone() };
        for request in [request, spoiled] {
            lines.push(json!({ "op": "verify", "request": written(&request), "now": at.as_second() }));
        }
    }
    let answers = ask(SCRIPT, 1, &json!({}), &lines);
    for (story, pair) in stories.iter().zip(answers[1..].chunks(2)) {
        let event = match story.kind {
            EventKind::PaymentFinalized => "payment.finished",
            EventKind::AgreementSigned => "contract.signed",
            EventKind::AgreementCancelled => "contract.ended",
            // The description names neither the rows of a sharing nor what a complaint's message holds.
            kind if kind.as_str().starts_with("profit_sharing.") || kind == EventKind::DisputeUpdated => "other",
            kind => kind.as_str(),
        };
        assert_eq!(pair[0]["outcome"], "genuine", "{}: {}", story.kind, pair[0]);
        assert_eq!(pair[0]["event"], event, "{}: {}", story.kind, pair[0]);
        if pair[0]["amount_minor"] != Value::Null {
            let minor = if story.kind == EventKind::RefundSucceeded { 100 } else { 12_345 };
            assert_eq!((&pair[0]["amount_minor"], &pair[0]["order_no"]), (&json!(minor), &json!("T-1")));
        }
        assert_eq!(pair[1]["outcome"], "refused", "{}: {}", story.kind, pair[1]);
    }
}
