//! The Yeepay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, at, build, differences, expected_money, first_seed, judged_alike, key, money, other_side,
    own_key, stories, text, told, with_changed_bytes,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::Channel;
use tollbell_channels::model::{Environment, EventKind, Identity, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

const SCRIPT: &str = "yeepay.py";

const KIND: &str = "yeepay";

/// Sets of keys.
const SETS: u64 = 3;

/// Genuine messages of each set of keys; the oracle needs some 15 ms for each.
const GENUINE: u64 = 160;

/// Damaged messages of each set of keys; some need several signatures.
const DAMAGED: u64 = 150;

/// Damages before the signature.
const HELD: [&str; 2] = ["member_twice", "other_merchant"];

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let settings = Settings::new(Environment::Live)
        .with("app_key", SettingValue::Text(text(told, "app_key")))
        .with("merchant_no", SettingValue::Texts(vec![text(told, "merchantNo")]))
        .with("merchant_private_key", key(told, "merchant_private_key"))
        .with("yeepay_public_key", key(told, "yeepay_public_key"));
    build(KIND, &settings)
}

fn read(said: &Said, notification: &Notification) -> Vec<String> {
    let text = |name: &str| said.expect[name].as_str().map(str::to_owned);
    let event = text("event").unwrap_or_default();
    // A refund under way is no fact yet: there is no kind for it, and it is notified again.
    let is_under_way = event == "refund.pending";
    let kind = if is_under_way { EventKind::Other } else { EventKind::parse(&event).expect("an event") };
    let [fact] = notification.facts.as_slice() else { return vec![format!("facts {:?}", notification.facts)] };
    let mut found = Found::default();
    found.check(fact.kind == kind, format!("kind {} instead of {kind}", fact.kind));
    // A state that no source explains is held.
    let is_unknown = kind == EventKind::Other && !is_under_way;
    found.check(notification.concerns.is_empty() != is_unknown, format!("concerns {:?}", notification.concerns));
    if kind == EventKind::Other {
        return found.all();
    }
    found.check(money(fact) == expected_money(&said.expect), format!("amount {:?}", fact.amount));
    let number = text("platform_refund_no").or_else(|| text("platform_no"));
    let numbers = (fact.order_no.clone(), fact.platform_no.clone());
    found.check(numbers == (text("order_no"), number), format!("numbers {numbers:?}"));
    let names: Vec<&str> = fact.identities().map(Identity::as_str).collect();
    let expected = match (text("refund_no"), text("platform_refund_no"), text("platform_no")) {
        (Some(ours), Some(theirs), _) => vec![format!("uniqueRefundNo:{theirs}"), format!("refundRequestId:{ours}")],
        (_, _, Some(number)) => vec![number],
        _ => Vec::new(),
    };
    found.check(names == expected, format!("identities {names:?}"));
    let payment = text("refund_no").and_then(|_| text("platform_no"));
    found.check(
        fact.payment.as_ref().map(Identity::as_str) == payment.as_deref(),
        format!("payment {:?}", fact.payment),
    );
    found.all()
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let now = at().as_second();
    let mut comparison = Comparison::default();
    for keys in first_seed()..first_seed() + SETS {
        let channel = channel(&settings(SCRIPT, keys, &json!({})));
        let line = |op: &str, number: u64| json!({ "op": op, "seed": format!("{keys}/{number}"), "now": now });
        let mut lines: Vec<Value> = (0..GENUINE).map(|number| line("sign", number)).collect();
        for (number, status) in (GENUINE..).zip(["CLOSED", "success", "INIT", "1"]) {
            for kind in ["payment", "refund"] {
                let mut line = line("sign", number);
                (line["status"], line["kind"]) = (json!(status), json!(kind));
                lines.push(line);
            }
        }
        lines.extend((0..DAMAGED).map(|number| line("damage", number)));
        for said in messages(SCRIPT, keys, &json!({}), &lines) {
            let verdict = channel.verify(&said.request, said.now);
            let event = said.expect["event"].as_str().unwrap_or_default();
            let label = format!("{} {} {event}", said.kind, said.damage.as_deref().unwrap_or("genuine"));
            let found = differences(&said, &verdict, &HELD, |notification| read(&said, notification));
            comparison.note(&said, label, found);
        }
    }
    let seen = comparison.agreed();
    // Two kinds with four states each, and every damage of both.
    assert!(seen.len() >= 8 + 2 * 18, "{seen:#?}");
}

/// Both must see the same also in messages that nobody thought of.
#[test]
fn the_oracle_and_the_channel_agree_about_changed_bytes() {
    let (keys, wish) = (first_seed(), json!({}));
    let channel = channel(&settings(SCRIPT, keys, &wish));
    let line = |number: u64| json!({ "op": "sign", "seed": format!("bytes/{number}"), "now": at().as_second() });
    let all = messages(SCRIPT, keys, &wish, &(0..40).map(line).collect::<Vec<_>>());
    let requests = with_changed_bytes(&all, *b"0aZ-_%=+", *b"0aZ-_%=&");
    judged_alike(&*channel, (SCRIPT, keys, &wish), &requests, |_, _| false);
}

#[test]
fn the_oracle_accepts_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let used = json!({
        "app_key": own.text("app_key"), "merchantNo": own.texts("merchant_no").expect("numbers")[0],
        "merchant_private_key": own_key(&own, "merchant_private_key"),
        "yeepay_public_key": own_key(&own, "yeepay_public_key"),
    });
    let notes = [&NOTES[..6], &["a$b$"]].concat();
    let spoil = |request: &RawRequest| {
        let body = [&request.body, b"$".as_slice()].concat().into();
        RawRequest { body, ..request.clone() }
    };
    for one in told((KIND, SCRIPT, &used), &*side, stories(&*side, &notes, at()), spoil) {
        let label = format!("{} {:?}: {}", one.story.kind, one.story.note, one.verdict);
        let fact = &one.read.facts[0];
        assert_eq!(one.verdict["outcome"], "genuine", "{label}");
        assert_eq!(one.verdict["event"], fact.kind.as_str(), "{label}");
        assert_eq!(one.verdict["order_no"].as_str(), fact.order_no.as_deref(), "{label}");
        assert_eq!(expected_money(&one.verdict), money(fact), "{label}");
        assert_eq!(one.spoilt["outcome"], "refused", "{label}");
    }
}
