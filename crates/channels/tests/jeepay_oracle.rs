//! The jeepay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, at, build, differences, expected_money, first_seed, key, money, other_side, own_key,
    stories, text, told,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::Channel;
use tollbell_channels::model::{Environment, Identity, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

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

/// Damages before the signature.
const HELD: [&str; 2] = ["amount_nonsense", "no_number"];

fn channel(told: &Value) -> Box<dyn Channel> {
    let settings = Settings::new(Environment::Live)
        .with("mch_no", SettingValue::Text(text(told, "mchNo")))
        .with("app_id", SettingValue::Text(text(told, "appId")))
        .with("app_secret", key(told, "appSecret"));
    build(KIND, &settings)
}

/// For a refund the oracle names the payment's number, and the refund's beside it.
fn read(said: &Said, notification: &Notification) -> Vec<String> {
    let mut found = Found::default();
    let fact = &notification.facts[0];
    let event = said.expect["event"].as_str().expect("an event");
    let as_told = format!("{}: {event}", said.kind);
    let ours = OTHER_WORDS.iter().find(|(theirs, _)| *theirs == event || *theirs == as_told);
    found.check(fact.kind.as_str() == ours.map_or(event, |(_, ours)| ours), format!("kind {}", fact.kind));
    let is_held = !notification.concerns.is_empty();
    found.check(is_held == (as_told == REFUNDED), format!("concerns {:?}", notification.concerns));
    let mut number = |name: &str, read: Option<&str>| {
        found.check(said.expect[name].as_str() == read, format!("{name} {read:?}"));
    };
    number("order_no", fact.order_no.as_deref());
    if fact.kind.as_str().starts_with("refund.") {
        let own = fact.aliases.first().and_then(|name| name.as_str().rsplit_once(':')).map(|(_, own)| own);
        number("platform_no", fact.payment.as_ref().map(Identity::as_str));
        number("refund_no", own);
        number("platform_refund_no", fact.platform_no.as_deref());
    } else {
        number("platform_no", fact.platform_no.as_deref());
        number("refund_no", None);
        number("platform_refund_no", None);
    }
    found.check(money(fact) == expected_money(&said.expect), format!("amount {:?}", fact.amount));
    found.all()
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let mut comparison = Comparison::default();
    for seed in first_seed()..first_seed() + SETS {
        let channel = channel(&settings(SCRIPT, seed, &Value::Null));
        let signed = (0..SIGNED).map(|number| json!({ "op": "sign", "seed": seed + number * SETS }));
        let spoilt = (0..SPOILT).map(|number| json!({ "op": "damage", "seed": seed + number * SETS }));
        for said in messages(SCRIPT, seed, &Value::Null, &signed.chain(spoilt).collect::<Vec<_>>()) {
            let verdict = channel.verify(&said.request, said.now);
            let event = said.expect["event"].as_str().unwrap_or_default();
            let label = format!("{} {} {event}", said.damage.as_deref().unwrap_or("none"), said.kind);
            let found = differences(&said, &verdict, &HELD, |notification| read(&said, notification));
            comparison.note(&said, label, found);
        }
    }
    let seen = comparison.agreed();
    for kind in
        ["payment payment.succeeded", "payment refund.succeeded", "refund refund.closed", "transfer transfer.failed"]
    {
        assert!(seen.get(&format!("none {kind}")).is_some_and(|count| *count > 10), "{kind}: {seen:?}");
    }
    assert!(seen.keys().filter(|label| !label.starts_with("none ")).count() > 40, "{seen:?}");
}

#[test]
fn the_oracle_believes_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let used = json!({
        "mchNo": own.text("mch_no"), "appId": own.text("app_id"), "appSecret": own_key(&own, "app_secret"),
    });
    let spoil = |request: &RawRequest| {
        let changed = |text: &str| text.replacen("mount=", "mount=1", 1);
        let body = changed(&String::from_utf8_lossy(&request.body)).into_bytes();
        RawRequest { query: request.query.as_deref().map(changed), body: body.into(), ..request.clone() }
    };
    for one in told((KIND, SCRIPT, &used), &*side, stories(&*side, &NOTES, at()), spoil) {
        let (story, verdict) = (&one.story, &one.verdict);
        let told = (&verdict["outcome"], verdict["event"].as_str());
        assert_eq!(told, (&json!("genuine"), Some(story.kind.as_str())), "{story:?}");
        let is_refund = story.kind.as_str().starts_with("refund.");
        assert_eq!(verdict["amount_minor"], if is_refund { 100 } else { 12_345 }, "{story:?}");
        assert_eq!(verdict[if is_refund { "refund_no" } else { "order_no" }], if is_refund { "R-1" } else { "T-1" });
        assert_eq!(one.spoilt["outcome"], "refused", "{story:?}");
    }
}
