//! The epay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, at, build, differences, expected_money, first_seed, key, money, other_side, own_key,
    text, told,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::Channel;
use tollbell_channels::model::{Environment, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "epay.py";
const KIND: &str = "epay";

/// Sets of keys, and for each of them messages as they were signed and messages that were spoilt.
const SETS: u64 = 3;
const SIGNED: u64 = 300;
const SPOILT: u64 = 400;

/// Damages before the signature.
const HELD: [&str; 3] = ["not_paid", "money_nonsense", "no_number"];

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let settings = Settings::new(Environment::Live)
        .with("site", SettingValue::Text("pay.example.com".into()))
        .with("pid", SettingValue::Text(text(told, "pid")))
        .with("key", key(told, "key"))
        .with("platform_public_key", key(told, "platform_public_key"));
    build(KIND, &settings)
}

fn read(said: &Said, notification: &Notification) -> Vec<String> {
    let mut found = Found::default();
    let fact = &notification.facts[0];
    found.check(notification.concerns.is_empty(), format!("concerns {:?}", notification.concerns));
    found.check(said.expect["event"] == fact.kind.as_str(), format!("kind {}", fact.kind));
    let numbers = (json!(fact.order_no), json!(fact.platform_no));
    let expected = (said.expect["order_no"].clone(), said.expect["platform_no"].clone());
    found.check(numbers == expected, format!("numbers {numbers:?}"));
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
            let label = format!("{} {}", said.damage.as_deref().unwrap_or("none"), said.request.method);
            let found = differences(&said, &verdict, &HELD, |notification| read(&said, notification));
            comparison.note(&said, label, found);
        }
    }
    let seen = comparison.agreed();
    assert!(seen["none GET"] > 100 && seen["none POST"] > 100, "{seen:?}");
    assert!(seen.len() > 40, "{seen:?}");
}

#[test]
fn the_oracle_believes_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let pem = own_key(&own, "platform_public_key").expect("a key");
    let bare: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let used = json!({ "pid": own.text("pid"), "key": own_key(&own, "key"), "platform_public_key": bare });
    let tell = |(serial, note): (u64, &&str)| {
        let order = format!("T-{serial}");
        let paid = Story::paid(&order, 100 * serial.cast_signed() + 5, at());
        Story { serial, note: (*note).to_owned(), ..paid }
    };
    let stories = (1..=24).zip(NOTES.iter().cycle()).map(tell).collect();
    let spoil = |request: &RawRequest| {
        let changed = |text: &str| text.replacen("T-", "T-1", 1);
        let body = changed(&String::from_utf8_lossy(&request.body)).into_bytes();
        RawRequest { query: request.query.as_deref().map(changed), body: body.into(), ..request.clone() }
    };
    for one in told((KIND, SCRIPT, &used), &*side, stories, spoil) {
        let (story, verdict) = (&one.story, &one.verdict);
        assert_eq!(verdict["outcome"], "genuine", "{story:?}: {verdict}");
        let read = (verdict["order_no"].as_str(), verdict["amount_minor"].as_i64());
        assert_eq!(read, (Some(&*story.order_no), Some(story.amount_minor)));
        assert_eq!(one.spoilt["outcome"], "refused", "{story:?}");
    }
}
