//! Every kind of WeChat Pay's API v3 notifications against an oracle that was written from the protocol's
//! description alone.

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
use tollbell_channels::model::{Environment, EventKind, Fact, Identity, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "wechat_v3_more.py";

/// Messages for each merchant; three in five are as they were signed.
const MESSAGES: u64 = 500;

/// Merchants, each with keys of its own; every second one is a service provider.
const MERCHANTS: u64 = 4;

/// Damages before the signature: what is proven is kept and held for a person, where the oracle refuses it.
const HELD: &[&str] = &[
    "amount_nonsense",
    "no_number",
    "other_merchant",
    "member_twice",
    "plaintext",
    "envelope",
    "algorithm",
    "resource",
    "not_encrypted",
];

fn platform() -> &'static Platform {
    platforms::by_kind("wechat_pay").expect("registered")
}

/// The oracle's merchant, as a channel.
fn channel(told: &Value) -> Box<dyn Channel> {
    let text = |value: &Value| value.as_str().expect("a setting").to_owned();
    let is_partner = told["sp_mchid"].is_string();
    let own = |name: &str| text(&told[if is_partner { format!("sp_{name}") } else { name.to_owned() }]);
    let key = |value: &Value| SettingValue::Key(text(value).into_bytes().into());
    let mut settings = Settings::new(Environment::Live)
        .with("mchid", SettingValue::Text(own("mchid")))
        .with("appid", SettingValue::Texts(vec![own("appid")]))
        .with("api_v3_key", key(&told["apiv3_key"]))
        .with("wechatpay_public_key", key(&told["public_key"]))
        .with("wechatpay_public_key_id", SettingValue::Text(text(&told["public_key_id"])))
        .with("platform_certs", key(&told["platform_certificates"][0]["certificate"]));
    if is_partner {
        for name in ["sub_mchid", "sub_appid"] {
            settings = settings.with(name, SettingValue::Texts(vec![text(&told[name])]));
        }
    }
    (platform().build)(&settings).expect("the oracle's settings make a channel")
}

/// Each merchant's channel and the oracle's messages to it. The oracle signs slowly, so all merchants at once.
fn conversations(first: u64) -> Vec<(Box<dyn Channel>, Vec<Said>)> {
    let talk = |merchant: u64| {
        let (seed, wish) = (first + merchant, json!({ "partner": merchant % 2 == 1 }));
        let lines: Vec<Value> = (0..MESSAGES)
            .map(|number| {
                let op = if number % 5 < 3 { "sign" } else { "damage" };
                json!({ "op": op, "seed": first + 1000 * merchant + number })
            })
            .collect();
        (channel(&settings(SCRIPT, seed, &wish)), messages(SCRIPT, seed, &wish, &lines))
    };
    thread::scope(|scope| {
        let talks: Vec<_> = (0..MERCHANTS).map(|merchant| scope.spawn(move || talk(merchant))).collect();
        talks.into_iter().map(|talk| talk.join().expect("the oracle's messages")).collect()
    })
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let first: u64 = seed().parse().expect("a number");
    let (mut disagreements, mut events, mut damages) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    for (channel, all) in conversations(first) {
        for said in all {
            let label = said.damage.clone().unwrap_or_default();
            for difference in judged(&*channel, &said, &label) {
                let told = &said.line["request"];
                disagreements.push(format!("{} {label}: {difference}\n{}\n{told}", said.kind, said.expect));
            }
            if said.is_genuine() {
                *events.entry(format!("{} {}", said.kind, said.expect["event"])).or_insert(0) += 1;
            }
            damages.insert(label);
        }
    }
    let shown = disagreements.iter().take(10).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(disagreements.is_empty(), "{} disagreements:\n{shown}", disagreements.len());
    // Thirteen kinds in all their states: none may be missing from the cases.
    assert_eq!(events.len(), 30, "{events:?}");
    for held in HELD {
        assert!(damages.contains(*held), "no case of {held}");
    }
    assert!(damages.len() > 25, "{damages:?}");
}

/// Where the channel's verdict is not the oracle's.
fn judged(channel: &dyn Channel, said: &Said, label: &str) -> Vec<String> {
    match (channel.verify(&said.request, said.now), said.is_genuine()) {
        (Verdict::Genuine(proven), true) => differences(proven.value(), &said.expect),
        (Verdict::Refused(_) | Verdict::NeedsKey(_), false) if label != "probe" => Vec::new(),
        (Verdict::Refused(Rejection::Probe), false) => Vec::new(),
        (Verdict::Genuine(proven), false) if HELD.contains(&label) => {
            // A coupon names who made it, which need not be who is told of it; no money is in the message.
            let is_elsewhere = label == "other_merchant" && said.kind == "coupon";
            let is_held = !proven.value().concerns.is_empty();
            if is_held || is_elsewhere { Vec::new() } else { vec![format!("not held: {:?}", proven.value())] }
        }
        (verdict, _) => vec![format!("{verdict:?}")],
    }
}

/// Where the reading of a genuine message is not the oracle's.
fn differences(read: &Notification, expect: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // The oracle's paid score order has no row that proves a payment, so a person must look.
    let is_held = ["A.NEW.EVENT", "PAYSCORE.USER_PAID"].contains(&read.platform_kind.as_str());
    if read.concerns.is_empty() == is_held {
        found.push(format!("held: {:?}", read.concerns));
    }
    if let Some(orders) = expect["orders"].as_array() {
        let facts: Vec<Value> = read
            .facts
            .iter()
            .filter(|fact| fact.kind == EventKind::PaymentSucceeded)
            .map(|fact| json!([fact.order_no, fact.platform_no, fact.signed_money().map(|money| money.minor)]))
            .collect();
        if facts != *orders {
            found.push(format!("the orders: {facts:?}"));
        }
        return found;
    }
    let kind = match expect["event"].as_str().expect("an event") {
        "payment.succeeded" => EventKind::PaymentSucceeded,
        "payment.failed" => EventKind::PaymentFailed,
        "refund.succeeded" => EventKind::RefundSucceeded,
        "refund.closed" => EventKind::RefundFailed,
        "refund.failed" => EventKind::RefundAbnormal,
        "transfer.succeeded" => EventKind::TransferSucceeded,
        "transfer.failed" | "transfer.closed" => EventKind::TransferFailed,
        "contract.signed" => EventKind::AgreementSigned,
        "contract.ended" => EventKind::AgreementCancelled,
        "complaint.created" => EventKind::DisputeOpened,
        "complaint.changed" => EventKind::DisputeUpdated,
        "profitsharing.succeeded" => EventKind::ProfitSharingSucceeded,
        "profitsharing.returned" => EventKind::ProfitSharingReturned,
        // The message of a paid score order proves no payment without the row that has its number, and the
        // oracle's has none; coupons and the other steps of contracts and scores move no money.
        "contract.pending" | "contract.changed" | "coupon.used" | "coupon.sent" | "payscore.paid"
        | "payscore.confirmed" | "payscore.opened" | "payscore.closed" | "other" => EventKind::Other,
        event => return vec![format!("the oracle has a new word: {event}")],
    };
    let [fact] = &read.facts[..] else { return vec![format!("not one fact: {:?}", read.facts)] };
    if fact.kind != kind {
        found.push(format!("no {kind}, but {fact:?}"));
        return found;
    }
    compare(fact, expect, &mut found);
    found
}

fn compare(fact: &Fact, expect: &Value, found: &mut Vec<String>) {
    let told = |name: &str| expect[name].as_str();
    let is_other = fact.kind == EventKind::Other;
    // A refund's own number is the refund's; the oracle has the payment's beside it.
    let theirs = if told("refund_no").is_some() { "platform_refund_no" } else { "platform_no" };
    for (name, ours) in [("order_no", &fact.order_no), (theirs, &fact.platform_no)] {
        let is_left_out = is_other && ours.is_none();
        if ours.as_deref() != told(name) && !is_left_out {
            found.push(format!("{name}: {ours:?}"));
        }
    }
    if let Some(number) = told("refund_no") {
        let names: Vec<&str> = fact.identities().map(Identity::as_str).collect();
        let payment = fact.payment.as_ref().map(Identity::as_str);
        if !names.iter().any(|name| name.ends_with(number)) || payment != told("platform_no") {
            found.push(format!("the refund's names: {names:?} after {payment:?}"));
        }
    }
    let money = fact.signed_money().map(|money| (money.minor, money.currency.to_string()));
    let theirs = expect["amount_minor"].as_i64().zip(told("currency").map(str::to_owned));
    if money != theirs && !is_other {
        found.push(format!("the amount: {money:?}"));
    }
}

/// The variant of SM2, SM3 and SM4 is not open to ordinary merchants: genuine to the oracle, refused by its name here.
#[test]
fn the_chinese_ciphers_are_refused() {
    let first: u64 = seed().parse().expect("a number");
    let wish = json!({ "partner": false, "sm": true });
    let channel = channel(&settings(SCRIPT, first, &wish));
    let lines: Vec<Value> =
        (0..40).map(|number| json!({ "op": "sign", "seed": first + number, "generation": "sm" })).collect();
    for said in messages(SCRIPT, first, &wish, &lines) {
        assert!(said.is_genuine());
        match channel.verify(&said.request, said.now) {
            Verdict::Refused(Rejection::Algorithm { algorithm }) => assert_eq!(algorithm, "WECHATPAY2-SM2-WITH-SM3"),
            other => panic!("{}: {other:?}", said.kind),
        }
    }
}

/// A byte of the body changed anywhere: the two still agree that it proves nothing.
#[test]
fn a_changed_byte_is_judged_alike() {
    let first: u64 = seed().parse().expect("a number");
    let wish = json!({ "partner": false });
    let channel = channel(&settings(SCRIPT, first, &wish));
    let lines: Vec<Value> = (0..100).map(|number| json!({ "op": "sign", "seed": first + number })).collect();
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
        let is_genuine = matches!(ours, Verdict::Genuine(_));
        assert_eq!(is_genuine, theirs["outcome"] == "genuine", "{ours:?}\n{theirs}\n{request:?}");
    }
}

#[test]
fn the_oracle_reads_what_the_simulator_signs() {
    let side = (platform().simulate)();
    let told = side.settings();
    let key = |name: &str| String::from_utf8(told.key(name).expect("a key").to_vec()).expect("a key as text");
    let appid = told.texts("appid").expect("an application")[0].clone();
    let merchant = json!({
        "mchid": told.text("mchid"), "appid": appid, "apiv3_key": key("api_v3_key"), "platform_certificates": [],
        "public_key_id": told.text("wechatpay_public_key_id"), "public_key": key("wechatpay_public_key"),
        "signature_types": ["WECHATPAY2-SHA256-RSA2048"],
    });
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a time");
    let stories: Vec<Story> = side
        .stories()
        .iter()
        .map(|kind| {
            let mut story = Story { kind: *kind, note: "a+b c%41".to_owned(), ..Story::paid("T-1", 12_345, at) };
            if kind.as_str().starts_with("refund.") {
                (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
            }
            story
        })
        .collect();
    let mut lines = vec![json!({ "op": "use", "settings": merchant })];
    for story in &stories {
        let request = side.callback(story).request;
        let spoiled = RawRequest { body: [&request.body, b" ".as_slice()].concat().into(), ..request.clone() };
        for request in [request, spoiled] {
            lines.push(json!({ "op": "verify", "request": written(&request), "now": at.as_second() }));
        }
    }
    let answers = ask(SCRIPT, 1, &json!({}), &lines);
    for (story, pair) in stories.iter().zip(answers[1..].chunks(2)) {
        let event = match story.kind {
            EventKind::RefundFailed => "refund.closed",
            EventKind::RefundAbnormal => "refund.failed",
            EventKind::DisputeOpened => "complaint.created",
            EventKind::DisputeUpdated | EventKind::DisputeClosed => "complaint.changed",
            EventKind::AgreementSigned => "contract.signed",
            EventKind::AgreementCancelled => "contract.ended",
            EventKind::ProfitSharingSucceeded => "profitsharing.succeeded",
            EventKind::ProfitSharingReturned => "profitsharing.returned",
            EventKind::Other => "payscore.confirmed",
            kind => kind.as_str(),
        };
        assert_eq!(pair[0]["outcome"], "genuine", "{}: {}", story.kind, pair[0]);
        assert_eq!(pair[0]["event"], event, "{}: {}", story.kind, pair[0]);
        if pair[0]["amount_minor"] != Value::Null {
            let minor = if story.kind.as_str().starts_with("refund.") { 100 } else { 12_345 };
            assert_eq!((&pair[0]["amount_minor"], &pair[0]["order_no"]), (&json!(minor), &json!("T-1")));
        }
        assert_eq!(pair[1]["outcome"], "refused", "{}: {}", story.kind, pair[1]);
    }
}
