//! Every kind of WeChat Pay's API v3 notifications against an oracle that was written from the protocol's
//! description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, at, at_once, build, differences, expected_money, first_seed, judged_alike, key, label, money,
    mostly_genuine, other_side, own_key, stories, text, told, with_a_changed_byte,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Environment, EventKind, Fact, Identity, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

const KIND: &str = "wechat_pay";

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

/// The oracle's merchant, as a channel.
fn channel(told: &Value) -> Box<dyn Channel> {
    let is_partner = told["sp_mchid"].is_string();
    let own = |name: &str| text(told, &if is_partner { format!("sp_{name}") } else { name.to_owned() });
    let mut settings = Settings::new(Environment::Live)
        .with("mchid", SettingValue::Text(own("mchid")))
        .with("appid", SettingValue::Texts(vec![own("appid")]))
        .with("api_v3_key", key(told, "apiv3_key"))
        .with("wechatpay_public_key", key(told, "public_key"))
        .with("wechatpay_public_key_id", SettingValue::Text(text(told, "public_key_id")))
        .with("platform_certs", key(&told["platform_certificates"][0], "certificate"));
    if is_partner {
        for name in ["sub_mchid", "sub_appid"] {
            settings = settings.with(name, SettingValue::Texts(vec![text(told, name)]));
        }
    }
    build(KIND, &settings)
}

/// Each merchant's channel and the oracle's messages to it.
fn conversations() -> Vec<(Box<dyn Channel>, Vec<Said>)> {
    let talk = |merchant: u64| {
        let (seed, wish) = (first_seed() + merchant, json!({ "partner": merchant % 2 == 1 }));
        let lines = mostly_genuine(first_seed() + 1000 * merchant, MESSAGES);
        (channel(&settings(SCRIPT, seed, &wish)), messages(SCRIPT, seed, &wish, &lines))
    };
    at_once((0..MERCHANTS).map(|merchant| move || talk(merchant)))
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let mut comparison = Comparison::default();
    for (channel, all) in conversations() {
        for said in all {
            let found = judged(&*channel, &said);
            comparison.note(&said, label(&said), found);
        }
    }
    let seen = comparison.agreed();
    let count = |word: &str| seen.keys().filter(|label| label.starts_with(word)).count();
    // Thirteen kinds in all their states: none may be missing from the cases.
    assert_eq!(count("genuine "), 30, "{seen:?}");
    for held in HELD {
        assert!(seen.contains_key(&format!("damage {held}")), "no case of {held}");
    }
    assert!(count("damage ") > 24, "{seen:?}");
}

/// Where the channel's verdict is not the oracle's.
fn judged(channel: &dyn Channel, said: &Said) -> Vec<String> {
    let verdict = channel.verify(&said.request, said.now);
    match (&verdict, said.damage.as_deref()) {
        (Verdict::Refused(rejection), Some("probe")) if *rejection != Rejection::Probe => {
            vec![format!("{rejection:?}")]
        }
        // A coupon names who made it, which need not be who is told of it; no money is in the message.
        (Verdict::Genuine(_), Some("other_merchant")) if said.kind == "coupon" => Vec::new(),
        _ => differences(said, &verdict, HELD, |notification| read(notification, &said.expect)),
    }
}

/// Where the reading of a genuine message is not the oracle's.
fn read(read: &Notification, expect: &Value) -> Vec<String> {
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
    if money(fact) != expected_money(expect) && !is_other {
        found.push(format!("the amount: {:?}", fact.amount));
    }
}

/// The variant of SM2, SM3 and SM4 is not open to ordinary merchants: genuine to the oracle, refused by its name here.
#[test]
fn the_chinese_ciphers_are_refused() {
    let first = first_seed();
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
    let first = first_seed();
    let wish = json!({ "partner": false });
    let channel = channel(&settings(SCRIPT, first, &wish));
    let lines: Vec<Value> = (0..100).map(|number| json!({ "op": "sign", "seed": first + number })).collect();
    let spoiled = with_a_changed_byte(messages(SCRIPT, first, &wish, &lines));
    judged_alike(&*channel, (SCRIPT, first, &wish), &spoiled, |_, _| false);
}

#[test]
fn the_oracle_reads_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let appid = own.texts("appid").expect("an application")[0].clone();
    let used = json!({
        "mchid": own.text("mchid"), "appid": appid, "apiv3_key": own_key(&own, "api_v3_key"),
        "platform_certificates": [], "public_key_id": own.text("wechatpay_public_key_id"),
        "public_key": own_key(&own, "wechatpay_public_key"), "signature_types": ["WECHATPAY2-SHA256-RSA2048"],
    });
    let spoil =
        |request: &RawRequest| RawRequest { body: [&request.body, b" ".as_slice()].concat().into(), ..request.clone() };
    for one in told((KIND, SCRIPT, &used), &*side, stories(&*side, &["a+b c%41"], at()), spoil) {
        let (story, verdict) = (&one.story, &one.verdict);
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
        assert_eq!(verdict["outcome"], "genuine", "{}: {}", story.kind, verdict);
        assert_eq!(verdict["event"], event, "{}: {}", story.kind, verdict);
        if verdict["amount_minor"] != Value::Null {
            let minor = if story.kind.as_str().starts_with("refund.") { 100 } else { 12_345 };
            assert_eq!((&verdict["amount_minor"], &verdict["order_no"]), (&json!(minor), &json!("T-1")));
        }
        assert_eq!(one.spoilt["outcome"], "refused", "{}: {}", story.kind, one.spoilt);
    }
}
