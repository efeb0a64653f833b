//! The JD Pay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, at, build, differences, expected_money, first_seed, judged_alike, key, money, other_side,
    own_key, stories, text, texts, told, with_changed_bytes,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

const SCRIPT: &str = "jd_pay.py";

const KIND: &str = "jd_pay";

/// Genuine messages of each set of keys; the oracle needs some 10 ms for each.
const GENUINE: u64 = 180;

/// Damaged messages of each set of keys; some need several signatures.
const DAMAGED: u64 = 180;

/// Damages before the signature.
const HELD: [&str; 4] = ["amount_nonsense", "inner_result", "other_merchant", "trade_type"];

/// Sets of keys: with and without the old digest of payout notices.
fn wishes() -> Vec<Value> {
    let both = json!({ "sign_types": ["SHA", "SHA-256"] });
    vec![both.clone(), json!({ "sign_types": ["SHA-256"] }), both]
}

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let settings = Settings::new(Environment::Live)
        .with("merchant", SettingValue::Text(text(told, "merchant")))
        .with("des_key", key(told, "des_key"))
        .with("jd_public_key", key(told, "jd_public_key"))
        .with("payout_salt_key", key(told, "payout_salt_key"))
        .with("payout_sign_types", texts(told, "payout_sign_types"));
    build(KIND, &settings)
}

fn read(said: &Said, notification: &Notification) -> Vec<String> {
    let text = |name: &str| said.expect[name].as_str().map(str::to_owned);
    let kind = EventKind::parse(&text("event").unwrap_or_default()).expect("an event");
    let [fact] = notification.facts.as_slice() else { return vec![format!("facts {:?}", notification.facts)] };
    let mut found = Found::default();
    found.check(fact.kind == kind, format!("kind {} instead of {kind}", fact.kind));
    if kind == EventKind::Other {
        // A state that no source explains is held. Of payout notices nothing is read, and only those are held whose
        // text could be cut elsewhere.
        found.check(said.kind == "payout" || !notification.concerns.is_empty(), "not held".to_owned());
        return found.all();
    }
    found.check(notification.concerns.is_empty(), format!("concerns {:?}", notification.concerns));
    found.check(money(fact) == expected_money(&said.expect), format!("amount {:?}", fact.amount));
    let numbers = (fact.order_no.clone(), fact.platform_no.clone());
    found.check(numbers == (text("order_no"), text("platform_no")), format!("numbers {numbers:?}"));
    let name = text("refund_no").map_or_else(|| text("order_no"), |number| Some(format!("refund:{number}")));
    found.check(Some(fact.identity.as_str()) == name.as_deref(), format!("identity {}", fact.identity));
    found.all()
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let now = at().as_second();
    let mut comparison = Comparison::default();
    for (keys, wish) in (first_seed()..).zip(wishes()) {
        let channel = channel(&settings(SCRIPT, keys, &wish));
        let line = |op: &str, number: u64| json!({ "op": op, "seed": format!("{keys}/{number}"), "now": now });
        let mut lines: Vec<Value> = (0..GENUINE).map(|number| line("sign", number)).collect();
        for (number, status) in (GENUINE..).zip(["0", "1", "3", "02", "SUCCESS"]) {
            for kind in ["payment", "refund"] {
                let mut line = line("sign", number);
                (line["status"], line["kind"]) = (json!(status), json!(kind));
                lines.push(line);
            }
        }
        lines.extend((0..DAMAGED).map(|number| line("damage", number)));
        for said in messages(SCRIPT, keys, &wish, &lines) {
            let verdict = channel.verify(&said.request, said.now);
            let variant = match &verdict {
                Verdict::Genuine(proven) => format!(" {:?}", proven.proof()),
                _ => String::new(),
            };
            let label = format!("{} {}{variant}", said.kind, said.damage.as_deref().unwrap_or("genuine"));
            let found = differences(&said, &verdict, &HELD, |notification| read(&said, notification));
            comparison.note(&said, label, found);
        }
    }
    let seen = comparison.agreed();
    for variant in ["untouched", "headed", "normalised"] {
        for kind in ["payment", "refund"] {
            let is_seen = seen.keys().any(|key| key.starts_with(&format!("{kind} genuine")) && key.contains(variant));
            assert!(is_seen, "no genuine {kind}, {variant}: {seen:#?}");
        }
    }
    for held in HELD {
        assert!(seen.keys().any(|key| key.contains(held)), "no case of {held}");
    }
    // Every kind of damage, and none of them by the dozen.
    assert!(seen.len() > 50, "{seen:#?}");
}

/// Where the two differ on purpose: the oracle takes every name that Python has for UTF-8, and blanks around the base64;
/// and it refuses an empty piece of a form, which says nothing.
fn is_known(request: &RawRequest, verdict: &Verdict) -> bool {
    let is_genuine = matches!(verdict, Verdict::Genuine(_));
    let text = String::from_utf8_lossy(&request.body);
    if text.contains("<jdpay>") {
        let is_other_name =
            text.starts_with("<?xml") && !text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
        let has_blanks = text.contains("<encrypt> ") || text.contains(" </encrypt>");
        return !is_genuine && (is_other_name || has_blanks);
    }
    is_genuine && text.split('&').any(str::is_empty)
}

/// Both must see the same also in messages that nobody thought of.
#[test]
fn the_oracle_and_the_channel_agree_about_changed_bytes() {
    let (keys, wish) = (first_seed(), json!({ "sign_types": ["SHA", "SHA-256"] }));
    let channel = channel(&settings(SCRIPT, keys, &wish));
    let line = |number: u64| json!({ "op": "sign", "seed": format!("bytes/{number}"), "now": at().as_second() });
    let all = messages(SCRIPT, keys, &wish, &(0..60).map(line).collect::<Vec<_>>());
    let requests = with_changed_bytes(&all, *b"0aZ<>&=+", *b"0aZ<>&= ");
    judged_alike(&*channel, (SCRIPT, keys, &wish), &requests, is_known);
}

#[test]
fn the_oracle_accepts_what_the_simulator_signs() {
    let side = other_side(KIND);
    let own = side.settings();
    let used = json!({
        "merchant": own.text("merchant"), "des_key": own_key(&own, "des_key"),
        "jd_public_key": own_key(&own, "jd_public_key"), "payout_salt_key": "", "payout_sign_types": [],
    });
    let notes = [&NOTES[..6], &["$"]].concat();
    let spoil = |request: &RawRequest| {
        let body = String::from_utf8(request.body.to_vec()).expect("a text").replace("<encrypt>", "<encrypt>MDAw");
        RawRequest { body: body.into(), ..request.clone() }
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
