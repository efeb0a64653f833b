//! The Yeepay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::python::seed;
use oracle::wire::{Said, ask, messages, settings, verdicts, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "yeepay.py";

const KIND: &str = "yeepay";

/// When every message is made and verified.
const NOW: i64 = 1_795_233_600;

/// Sets of keys.
const SETS: u64 = 3;

/// Genuine messages of each set of keys; the oracle needs some 15 ms for each.
const GENUINE: u64 = 160;

/// Damaged messages of each set of keys; some need several signatures.
const DAMAGED: u64 = 150;

/// Damages that are signed, and so are held by the gateway, where the oracle refuses them: whatever is proven is kept
/// for a person, because refusing would lose it.
const HELD: [&str; 2] = ["member_twice", "other_merchant"];

fn build(settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(KIND).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{error}"))
}

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
    let settings = Settings::new(Environment::Live)
        .with("app_key", SettingValue::Text(text("app_key")))
        .with("merchant_no", SettingValue::Texts(vec![text("merchantNo")]))
        .with("merchant_private_key", key("merchant_private_key"))
        .with("yeepay_public_key", key("yeepay_public_key"));
    build(&settings)
}

fn check_facts(said: &Said, notification: &Notification) -> Result<(), String> {
    let text = |name: &str| said.expect[name].as_str().map(str::to_owned);
    let event = text("event").unwrap_or_default();
    // A refund under way is no fact yet: there is no kind for it, and it is notified again.
    let is_under_way = event == "refund.pending";
    let kind = if is_under_way { EventKind::Other } else { EventKind::parse(&event).ok_or("an unknown event")? };
    let [fact] = notification.facts.as_slice() else { return Err(format!("facts {:?}", notification.facts)) };
    if fact.kind != kind {
        return Err(format!("kind {} instead of {kind}", fact.kind));
    }
    // A state that no source explains is held.
    let is_unknown = kind == EventKind::Other && !is_under_way;
    if notification.concerns.is_empty() == is_unknown {
        return Err(format!("concerns {:?}", notification.concerns));
    }
    if kind == EventKind::Other {
        return Ok(());
    }
    let money = fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned()));
    if money != said.expect["amount_minor"].as_i64().zip(text("currency")) {
        return Err(format!("amount {money:?}"));
    }
    let number = text("platform_refund_no").or_else(|| text("platform_no"));
    if (fact.order_no.clone(), fact.platform_no.clone()) != (text("order_no"), number) {
        return Err(format!("numbers {:?}, {:?}", fact.order_no, fact.platform_no));
    }
    let names: Vec<&str> = fact.identities().map(tollbell_channels::model::Identity::as_str).collect();
    let expected = match (text("refund_no"), text("platform_refund_no"), text("platform_no")) {
        (Some(ours), Some(theirs), _) => vec![format!("uniqueRefundNo:{theirs}"), format!("refundRequestId:{ours}")],
        (_, _, Some(number)) => vec![number],
        _ => Vec::new(),
    };
    if names != expected {
        return Err(format!("identities {names:?}"));
    }
    let payment = text("refund_no").and_then(|_| text("platform_no"));
    if fact.payment.as_ref().map(|payment| payment.as_str().to_owned()) != payment {
        return Err(format!("payment {:?}", fact.payment));
    }
    Ok(())
}

/// What is wrong with a verdict, if anything.
fn compare(said: &Said, verdict: &Verdict) -> Result<(), String> {
    match verdict {
        Verdict::Genuine(proven) if said.is_genuine() => check_facts(said, proven.value()),
        Verdict::Genuine(proven) => {
            let damage = said.damage.as_deref().unwrap_or_default();
            let is_held = HELD.contains(&damage) && !proven.value().concerns.is_empty();
            if is_held { Ok(()) } else { Err(format!("accepted: {:?}", proven.value())) }
        }
        Verdict::Refused(rejection) if said.is_genuine() => Err(format!("refused: {rejection}")),
        Verdict::Refused(_) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let first: u64 = seed().parse().expect("a number");
    let mut disagreements = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for keys in first..first + SETS {
        let channel = channel(&settings(SCRIPT, keys, &json!({})));
        let line = |op: &str, number: u64| json!({ "op": op, "seed": format!("{keys}/{number}"), "now": NOW });
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
            let what = said.damage.clone().unwrap_or_else(|| "genuine".to_owned());
            if let Err(problem) = compare(&said, &verdict) {
                disagreements.push(format!("keys {keys}, {} {what}: {problem}\n  {}", said.kind, said.line["expect"]));
            }
            let event = said.expect["event"].as_str().unwrap_or_default().to_owned();
            *seen.entry(format!("{} {what} {event}", said.kind)).or_default() += 1;
        }
    }
    let shown: Vec<&String> = disagreements.iter().take(20).collect();
    assert!(disagreements.is_empty(), "{} disagreements: {shown:#?}", disagreements.len());
    // Two kinds with four states each, and every damage of both.
    assert!(seen.len() >= 8 + 2 * 18, "{seen:#?}");
}

/// Both must see the same also in messages that nobody thought of.
#[test]
fn the_oracle_and_the_channel_agree_about_changed_bytes() {
    let keys: u64 = seed().parse().expect("a number");
    let channel = channel(&settings(SCRIPT, keys, &json!({})));
    let lines: Vec<Value> =
        (0..40).map(|number| json!({ "op": "sign", "seed": format!("bytes/{number}"), "now": NOW })).collect();
    let now = Timestamp::from_second(NOW).expect("a time");
    let mut requests = Vec::new();
    for (number, said) in (0_usize..).zip(messages(SCRIPT, keys, &json!({}), &lines)) {
        for round in 0..10 {
            let mut body = said.request.body.to_vec();
            let at = (number * 7919 + round * 104_729) % body.len();
            match round % 3 {
                0 => body[at] = b"0aZ-_%=+"[(number + round) % 8],
                1 => drop(body.remove(at)),
                _ => body.insert(at, b"0aZ-_%=&"[(number + round) % 8]),
            }
            requests.push((RawRequest { body: body.into(), ..said.request.clone() }, now));
        }
    }
    let found = verdicts(SCRIPT, keys, &json!({}), &requests);
    let mut differences = Vec::new();
    for ((request, now), oracle) in requests.iter().zip(&found) {
        let is_genuine = matches!(channel.verify(request, *now), Verdict::Genuine(_));
        if is_genuine != (oracle["outcome"] == "genuine") {
            differences.push(format!("{is_genuine}, {oracle}: {}", String::from_utf8_lossy(&request.body)));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn the_oracle_accepts_what_the_simulator_signs() {
    let side = (platforms::by_kind(KIND).expect("registered").simulate)();
    let told = side.settings();
    let text = |name: &str| String::from_utf8(told.key(name).expect("a key").to_vec()).expect("a text");
    let used = json!({
        "app_key": told.text("app_key"), "merchantNo": told.texts("merchant_no").expect("numbers")[0],
        "merchant_private_key": text("merchant_private_key"), "yeepay_public_key": text("yeepay_public_key"),
    });
    let at = Timestamp::from_second(NOW).expect("a time");
    let channel = build(&told);
    let mut lines = vec![json!({ "op": "use", "settings": used })];
    let mut expected = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1..).zip(["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "a$b$"])
        {
            let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
            if kind.as_str().starts_with("refund.") {
                (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
            }
            let request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, at) else { panic!("{kind}: {note:?}") };
            let body = [&request.body, b"$".as_slice()].concat().into();
            let spoiled = RawRequest { body, ..request.clone() };
            for (is_genuine, request) in [(true, &request), (false, &spoiled)] {
                lines.push(json!({ "op": "verify", "request": written(request), "now": NOW }));
                expected.push((is_genuine, format!("{kind}: {note:?}"), proven.value().clone()));
            }
        }
    }
    let answers = ask(SCRIPT, 0, &json!({}), &lines).split_off(1);
    assert_eq!(answers.len(), expected.len());
    for (answer, (is_genuine, label, notification)) in answers.iter().zip(expected) {
        assert_eq!(answer["outcome"] == "genuine", is_genuine, "{label}: {answer}");
        if is_genuine {
            let fact = &notification.facts[0];
            assert_eq!(answer["event"], fact.kind.as_str(), "{label}: {answer}");
            assert_eq!(answer["order_no"].as_str(), fact.order_no.as_deref(), "{label}: {answer}");
            let minor = fact.signed_money().map(|money| money.minor);
            assert_eq!(answer["amount_minor"].as_i64(), minor, "{label}: {answer}");
        }
    }
}
