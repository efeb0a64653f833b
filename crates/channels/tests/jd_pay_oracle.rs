//! The JD Pay channel against an oracle that was written from the protocol's description alone.

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

const SCRIPT: &str = "jd_pay.py";

const KIND: &str = "jd_pay";

/// When every message is made and verified.
const NOW: i64 = 1_795_233_600;

/// Genuine messages of each set of keys; the oracle needs some 10 ms for each.
const GENUINE: u64 = 180;

/// Damaged messages of each set of keys; some need several signatures.
const DAMAGED: u64 = 180;

/// Damages that are signed, and so are held by the gateway, where the oracle refuses them: whatever is proven is kept
/// for a person, because refusing would lose it.
const HELD: [&str; 4] = ["amount_nonsense", "inner_result", "other_merchant", "trade_type"];

/// Sets of keys: with and without the old digest of payout notices.
fn wishes() -> Vec<Value> {
    let both = json!({ "sign_types": ["SHA", "SHA-256"] });
    vec![both.clone(), json!({ "sign_types": ["SHA-256"] }), both]
}

fn build(settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(KIND).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{error}"))
}

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
    let words = told["payout_sign_types"].as_array().expect("a list").iter();
    let words = words.map(|word| word.as_str().expect("a word").to_owned()).collect();
    let settings = Settings::new(Environment::Live)
        .with("merchant", SettingValue::Text(text("merchant")))
        .with("des_key", key("des_key"))
        .with("jd_public_key", key("jd_public_key"))
        .with("payout_salt_key", key("payout_salt_key"))
        .with("payout_sign_types", SettingValue::Texts(words));
    build(&settings)
}

fn check_facts(said: &Said, notification: &Notification) -> Result<(), String> {
    let text = |name: &str| said.expect[name].as_str().map(str::to_owned);
    let kind = EventKind::parse(&text("event").unwrap_or_default()).ok_or("an unknown event")?;
    let [fact] = notification.facts.as_slice() else { return Err(format!("facts {:?}", notification.facts)) };
    if fact.kind != kind {
        return Err(format!("kind {} instead of {kind}", fact.kind));
    }
    if kind == EventKind::Other {
        // A state that no source explains is held. Of payout notices nothing is read, and only those are held whose
        // text could be cut elsewhere.
        let is_held = !notification.concerns.is_empty();
        let is_as_expected = said.kind == "payout" || is_held;
        return if is_as_expected { Ok(()) } else { Err("not held".to_owned()) };
    }
    if !notification.concerns.is_empty() {
        return Err(format!("concerns {:?}", notification.concerns));
    }
    let money = fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned()));
    if money != said.expect["amount_minor"].as_i64().zip(text("currency")) {
        return Err(format!("amount {money:?}"));
    }
    if (fact.order_no.clone(), fact.platform_no.clone()) != (text("order_no"), text("platform_no")) {
        return Err(format!("numbers {:?}, {:?}", fact.order_no, fact.platform_no));
    }
    let name = text("refund_no").map_or_else(|| text("order_no"), |number| Some(format!("refund:{number}")));
    if Some(fact.identity.as_str()) != name.as_deref() {
        return Err(format!("identity {}", fact.identity));
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
    for (keys, wish) in (first..).zip(wishes()) {
        let channel = channel(&settings(SCRIPT, keys, &wish));
        let line = |op: &str, number: u64| json!({ "op": op, "seed": format!("{keys}/{number}"), "now": NOW });
        let mut lines: Vec<Value> = (0..GENUINE).map(|number| line("sign", number)).collect();
        for (at, status) in ["0", "1", "3", "02", "SUCCESS"].into_iter().enumerate() {
            for kind in ["payment", "refund"] {
                let mut line = line("sign", GENUINE + u64::try_from(at).expect("a small number"));
                (line["status"], line["kind"]) = (json!(status), json!(kind));
                lines.push(line);
            }
        }
        lines.extend((0..DAMAGED).map(|number| line("damage", number)));
        for said in messages(SCRIPT, keys, &wish, &lines) {
            let verdict = channel.verify(&said.request, said.now);
            let what = said.damage.clone().unwrap_or_else(|| "genuine".to_owned());
            if let Err(problem) = compare(&said, &verdict) {
                disagreements.push(format!("keys {keys}, {} {what}: {problem}\n  {}", said.kind, said.line["expect"]));
            }
            let variant = match &verdict {
                Verdict::Genuine(proven) => format!(" {:?}", proven.proof()),
                _ => String::new(),
            };
            *seen.entry(format!("{} {what}{variant}", said.kind)).or_default() += 1;
        }
    }
    let shown: Vec<&String> = disagreements.iter().take(20).collect();
    assert!(disagreements.is_empty(), "{} disagreements: {shown:#?}", disagreements.len());
    for variant in ["untouched", "headed", "normalised"] {
        for kind in ["payment", "refund"] {
            let is_seen = seen.keys().any(|key| key.starts_with(&format!("{kind} genuine")) && key.contains(variant));
            assert!(is_seen, "no genuine {kind}, {variant}: {seen:#?}");
        }
    }
    // Every kind of damage, and none of them by the dozen.
    assert!(seen.len() > 50, "{seen:#?}");
}

/// Where the two differ on purpose: the oracle takes every name that Python has for UTF-8, and blanks around the base64;
/// and it refuses an empty piece of a form, which says nothing.
fn is_known(body: &[u8], is_genuine: bool) -> bool {
    let text = String::from_utf8_lossy(body);
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
    let keys: u64 = seed().parse().expect("a number");
    let wish = json!({ "sign_types": ["SHA", "SHA-256"] });
    let channel = channel(&settings(SCRIPT, keys, &wish));
    let lines: Vec<Value> =
        (0..60).map(|number| json!({ "op": "sign", "seed": format!("bytes/{number}"), "now": NOW })).collect();
    let now = Timestamp::from_second(NOW).expect("a time");
    let mut requests = Vec::new();
    for (number, said) in (0_usize..).zip(messages(SCRIPT, keys, &wish, &lines)) {
        for round in 0..10 {
            let mut body = said.request.body.to_vec();
            let at = (number * 7919 + round * 104_729) % body.len();
            match round % 3 {
                0 => body[at] = b"0aZ<>&=+"[(number + round) % 8],
                1 => drop(body.remove(at)),
                _ => body.insert(at, b"0aZ<>&= "[(number + round) % 8]),
            }
            requests.push((RawRequest { body: body.into(), ..said.request.clone() }, now));
        }
    }
    let found = verdicts(SCRIPT, keys, &wish, &requests);
    let mut differences = Vec::new();
    for ((request, now), oracle) in requests.iter().zip(&found) {
        let is_genuine = matches!(channel.verify(request, *now), Verdict::Genuine(_));
        if is_genuine != (oracle["outcome"] == "genuine") && !is_known(&request.body, is_genuine) {
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
        "merchant": told.text("merchant"), "des_key": text("des_key"), "jd_public_key": text("jd_public_key"),
        "payout_salt_key": "", "payout_sign_types": [],
    });
    let at = Timestamp::from_second(NOW).expect("a time");
    let channel = build(&told);
    let mut lines = vec![json!({ "op": "use", "settings": used })];
    let mut expected = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1..).zip(["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "$"]) {
            let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
            if *kind == EventKind::RefundSucceeded {
                (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
            }
            let request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, at) else { panic!("{kind}: {note:?}") };
            let body = String::from_utf8(request.body.to_vec()).expect("a text").replace("<encrypt>", "<encrypt>MDAw");
            assert_ne!(body.as_bytes(), &request.body[..], "{body}");
            let spoiled = RawRequest { body: body.into(), ..request.clone() };
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
