//! The UnionPay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use bytes::Bytes;
use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Concern, Environment, EventKind, Fact, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "china/unionpay.py";

const KIND: &str = "unionpay";

/// When every message is made and verified: the oracle's certificates last from 2024 to 2040.
const NOW: i64 = 1_795_233_600;

/// Genuine messages of each set of keys; the oracle needs some 10 ms for an RSA signature.
const GENUINE: u64 = 180;

/// Damaged messages of each set of keys.
const DAMAGED: u64 = 260;

/// Damages that are signed, and so are held by the gateway, where the oracle refuses them: whatever is proven is kept
/// for a person, because refusing would lose it.
const HELD: [&str; 2] = ["amount_nonsense", "no_number"];

/// Sets of keys: the environments and the algorithms that a merchant may allow, for two processes.
fn wishes() -> [Vec<Value>; 2] {
    [
        vec![
            json!({ "environment": "production", "signMethods": ["01"] }),
            json!({ "environment": "production", "signMethods": ["11", "12"] }),
        ],
        vec![
            json!({ "environment": "test", "signMethods": ["01", "11"] }),
            json!({ "environment": "production", "signMethods": ["01", "11", "12"] }),
            json!({ "environment": "test", "signMethods": ["12"] }),
        ],
    ]
}

/// What the oracle answers to these lines.
fn talk(lines: &[Value]) -> Vec<Value> {
    let answers = run(SCRIPT, &[], lines);
    assert_eq!(answers.len(), lines.len());
    for (line, answer) in lines.iter().zip(&answers) {
        assert!(answer.get("error").is_none(), "{line}: {answer}");
    }
    answers
}

/// A message of the oracle, and what it says about it.
struct Said {
    request: RawRequest,
    expect: Value,
    damage: Option<String>,
    kind: String,
}

impl Said {
    fn new(line: &Value) -> Self {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        Self {
            request: read(&line["request"], now()),
            expect: line["expect"].clone(),
            damage: text("damage"),
            kind: text("kind").expect("a kind"),
        }
    }

    fn is_genuine(&self) -> bool {
        self.expect["outcome"] == "genuine"
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

/// The channel of a merchant who is told these settings.
fn channel(told: &Value) -> Box<dyn Channel> {
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
    let methods = told["signMethods"].as_array().expect("a list").iter();
    let methods = methods.map(|method| method.as_str().expect("a word").to_owned()).collect();
    let environment = if text("environment") == "test" { Environment::Sandbox } else { Environment::Live };
    let settings = Settings::new(environment)
        .with("mer_id", SettingValue::Texts(vec![text("merId")]))
        .with("root_cert", key("root_cert"))
        .with("middle_cert", key("middle_cert"))
        .with("secure_key", key("secureKey"))
        .with("sign_methods", SettingValue::Texts(methods));
    build(&settings)
}

fn build(settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(KIND).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{error}"))
}

/// The kind that the oracle's event is, and whether the gateway holds it.
fn kind_of(said: &Said) -> (EventKind, bool) {
    let event = said.expect["event"].as_str().expect("an event");
    let (what, outcome) = event.split_once('.').expect("two parts");
    match (what, outcome) {
        ("payment", "succeeded") => (EventKind::PaymentSucceeded, false),
        ("authorization", "succeeded") => (EventKind::PaymentAuthorized, false),
        ("payment" | "authorization", "pending") => (EventKind::PaymentPending, false),
        // Nothing was paid: the reserved money is free again.
        ("reversal", "succeeded") if said.kind == "preauthorization_revoke" => (EventKind::PaymentClosed, false),
        ("refund" | "reversal", "succeeded") => (EventKind::RefundSucceeded, false),
        ("transfer", "succeeded") => (EventKind::TransferSucceeded, false),
        // The description names no code that is finally a failure, and says that failures are not told. To call one so
        // would make somebody refund or pay out again.
        (_, "failed") => (EventKind::Other, true),
        // There is no kind for money that is still on its way out.
        ("refund" | "reversal" | "transfer", "pending") => (EventKind::Other, false),
        _ => panic!("{event}"),
    }
}

fn check_facts(said: &Said, notification: &Notification) -> Result<(), String> {
    let (kind, is_held) = kind_of(said);
    let [fact] = notification.facts.as_slice() else { return Err(format!("facts {:?}", notification.facts)) };
    if fact.kind != kind {
        return Err(format!("kind {} instead of {kind}", fact.kind));
    }
    let is_code = |one: &Concern| matches!(one, Concern::UnknownValue { field, .. } if field == "respCode");
    if notification.concerns.iter().any(is_code) != is_held {
        return Err(format!("concerns {:?}", notification.concerns));
    }
    check_concerns(said, &notification.concerns)?;
    if kind == EventKind::Other {
        return if fact.signed_money().is_none() { Ok(()) } else { Err("an amount".to_owned()) };
    }
    let money = fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned()));
    let expected = said.expect["amount_minor"].as_i64().zip(said.expect["currency"].as_str().map(str::to_owned));
    if money != expected {
        return Err(format!("amount {money:?}"));
    }
    check_names(said, fact)
}

/// The order's number, the platform's, and those of the transaction that is followed.
fn check_names(said: &Said, fact: &Fact) -> Result<(), String> {
    let text = |name: &str| said.expect[name].as_str().map(str::to_owned);
    let has = |name: String| fact.identities().any(|identity| identity.as_str() == name);
    let has_order = |number: &str| {
        let head = format!("order:{number}:");
        fact.identities().any(|identity| identity.as_str().starts_with(&head))
    };
    let query = |number: Option<String>| format!("query:{}", number.unwrap_or_default());
    let is_good = if let Some(refund_no) = text("refund_no") {
        let (original, own) = (text("platform_no"), text("platform_refund_no"));
        let follows = if fact.kind == EventKind::PaymentClosed {
            fact.platform_no == original && has(query(original))
        } else {
            let payment = fact.payment.as_ref().map(|payment| payment.as_str().to_owned());
            fact.platform_no == own && payment == Some(query(original))
        };
        follows && fact.order_no.is_none() && has_order(&refund_no) && has(query(text("platform_refund_no")))
    } else {
        fact.order_no == text("order_no")
            && fact.platform_no == text("platform_no")
            && has_order(&text("order_no").unwrap_or_default())
            && has(query(text("platform_no")))
    };
    if is_good { Ok(()) } else { Err(format!("names {fact:?}")) }
}

/// A genuine message is held for an unknown code, a currency without two decimals, or a text that could be cut.
fn check_concerns(said: &Said, concerns: &[Concern]) -> Result<(), String> {
    let is_odd = said.expect["currency"] == "JPY";
    for concern in concerns {
        let is_expected = match concern {
            Concern::UnknownValue { field, .. } => field == "respCode" || (field == "currencyCode" && is_odd),
            // The oracle's new field and its echo hold texts such as `a&b=c`.
            Concern::Ambiguous { field } => ["aNewField", "reqReserved"].contains(&field.as_str()),
            _ => false,
        };
        if !is_expected {
            return Err(format!("concern {concern:?}"));
        }
    }
    Ok(())
}

fn check(said: &Said, verdict: &Verdict) -> Result<(), String> {
    match (verdict, said.is_genuine()) {
        (Verdict::Genuine(proven), true) => check_facts(said, proven.value()),
        (Verdict::Genuine(proven), false) => {
            // Held, or in doubt: then it has no money meaning anyway, and nothing of it is read.
            let is_harmless = !proven.value().concerns.is_empty()
                || proven.value().facts.iter().all(|fact| fact.kind == EventKind::Other);
            let may_be = said.damage.as_deref().is_some_and(|damage| HELD.contains(&damage));
            if is_harmless && may_be { Ok(()) } else { Err("accepted".to_owned()) }
        }
        // Without the merchant's number nobody can say whose key it is.
        (Verdict::Refused(Rejection::Missing { field }), false) if field == "merId" => Ok(()),
        (Verdict::Refused(_), false) if !said.damage.as_deref().is_some_and(|damage| HELD.contains(&damage)) => Ok(()),
        (verdict, _) => Err(format!("{verdict:?}")),
    }
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let seed: u64 = seed().parse().expect("a number");
    let (mut reached, mut disagreements) = (BTreeMap::new(), Vec::new());
    let mut described = Value::Null;
    std::thread::scope(|scope| {
        let processes = wishes().map(|wishes| scope.spawn(move || talk(&lines(seed, &wishes))));
        for process in processes {
            let mut channel: Option<Box<dyn Channel>> = None;
            for answer in process.join().expect("a process") {
                if answer.get("settings").is_some() {
                    channel = Some(self::channel(&answer["settings"]));
                } else if answer.get("request").is_some() {
                    let said = Said::new(&answer);
                    let verdict = channel.as_ref().expect("keys come first").verify(&said.request, now());
                    if let Err(difference) = check(&said, &verdict) {
                        disagreements.push(format!("{difference}: {:?} of {answer}", said.damage));
                    }
                    let event = said.expect["event"].as_str().unwrap_or("refused");
                    *reached.entry(format!("{} {event}", said.kind)).or_insert(0) += 1;
                    *reached.entry(format!("damage {}", said.damage.as_deref().unwrap_or("none"))).or_insert(0) += 1;
                } else {
                    described = answer;
                }
            }
        }
    });
    let shown = disagreements.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(disagreements.is_empty(), "{} disagreements:\n{shown}", disagreements.len());
    let unreached: Vec<String> = expected(&described).into_iter().filter(|name| !reached.contains_key(name)).collect();
    assert!(unreached.is_empty(), "never tried: {unreached:?}");
    assert!(reached.values().sum::<u64>() > 4_000, "{reached:?}");
}

/// For each wish its keys, and then messages under them.
fn lines(seed: u64, wishes: &[Value]) -> Vec<Value> {
    let currencies = [Value::Null, "HKD".into(), "USD".into(), "JPY".into()];
    let mut lines = vec![json!({ "op": "describe" })];
    for (index, wish) in (0..).zip(wishes) {
        let mut keys = wish.clone();
        (keys["op"], keys["seed"]) = ("keys".into(), (seed + index).into());
        lines.push(keys);
        let number = |number: u64| (seed + index) ^ number << 32;
        for genuine in 0..GENUINE {
            let mut line = json!({ "op": "sign", "seed": number(genuine), "now": NOW });
            if genuine % 4 == 0 {
                line["currency"] = currencies[usize::try_from(genuine / 4 % 4).expect("small")].clone();
            }
            lines.push(line);
        }
        lines.extend((0..DAMAGED).map(|damaged| json!({ "op": "damage", "seed": number(damaged), "now": NOW })));
    }
    lines
}

/// Every kind with each of its statuses, and every damage.
fn expected(described: &Value) -> Vec<String> {
    let statuses = described["statuses"].as_object().expect("statuses");
    let kinds = statuses.iter().flat_map(|(kind, events)| {
        let events = events.as_object().expect("events").values();
        events.map(move |event| format!("{kind} {}", event.as_str().expect("an event")))
    });
    let damages = described["damages"].as_array().expect("damages").iter();
    kinds.chain(damages.map(|name| format!("damage {}", name.as_str().expect("a name")))).collect()
}

/// Changes that nobody thought of. The two differ in pairs that say nothing: the oracle refuses an empty piece
/// between two `&`, the channel a blank pair whose name is none of a platform's.
#[test]
fn the_channel_and_the_oracle_agree_about_changed_bytes() {
    let seed: u64 = seed().parse().expect("a number");
    let mut lines = vec![json!({ "op": "keys", "seed": seed, "environment": "test", "signMethods": ["01", "11"] })];
    lines.extend((0..12).map(|number: u64| json!({ "op": "sign", "seed": seed ^ number << 40, "now": NOW })));
    let mut answers = talk(&lines);
    let settings = answers.remove(0)["settings"].take();
    let channel = channel(&settings);
    let mut requests: Vec<RawRequest> = Vec::new();
    let mut random = seed;
    for answer in &answers {
        let request = Said::new(answer).request;
        for _ in 0..40 {
            requests.push(RawRequest { body: changed(&request.body, &mut random), ..request.clone() });
        }
        requests.push(request);
    }
    let verdicts = judged(&settings, &requests);
    let mut accepted = 0;
    for (request, said) in requests.iter().zip(verdicts) {
        let verdict = channel.verify(request, now());
        let is_agreed = match &verdict {
            Verdict::Genuine(_) => {
                accepted += 1;
                said["outcome"] == "genuine" || said["reason"] == "an empty piece in the form"
            }
            Verdict::Refused(rejection) => said["outcome"] == "refused" || rejection.word() == "malformed",
            _ => false,
        };
        assert!(is_agreed, "{said}: {verdict:?}\n{}", request.body.escape_ascii());
    }
    assert!(accepted >= answers.len(), "the originals at least");
}

/// The oracle's verdicts about requests to a merchant with these settings.
fn judged(settings: &Value, requests: &[RawRequest]) -> Vec<Value> {
    let mut lines = vec![json!({ "op": "use", "settings": settings })];
    lines.extend(requests.iter().map(|one| json!({ "op": "verify", "request": written(one), "now": NOW })));
    talk(&lines).split_off(1)
}

/// The body with a few bytes replaced, taken away or put in, by a plain random sequence (`SplitMix64`).
fn changed(body: &Bytes, random: &mut u64) -> Bytes {
    const PIECES: [&[u8]; 8] = [b"&", b"&z=", b"=", b"+", b"%0D", b"0", b"a", b"&&"];
    let mut next = |below: usize| {
        *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (*random ^ (*random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % below as u64).expect("below a size")
    };
    let mut body = body.to_vec();
    for _ in 0..=next(2) {
        let at = next(body.len());
        match next(3) {
            0 => body[at] = b"0aZ&=+"[next(6)],
            1 => drop(body.remove(at)),
            _ => drop(body.splice(at..at, PIECES[next(8)].iter().copied())),
        }
    }
    body.into()
}

#[test]
fn the_oracle_accepts_what_the_simulator_signs() {
    let side = (platforms::by_kind(KIND).expect("registered").simulate)();
    let told = side.settings();
    let pem = |name: &str| String::from_utf8(told.key(name).expect("a certificate").to_vec()).expect("a text");
    let used = json!({
        "environment": "test", "merId": told.texts("mer_id").expect("ids")[0], "root_cert": pem("root_cert"),
        "middle_cert": pem("middle_cert"), "secureKey": "", "signMethods": ["01"], "versions": ["5.1.0"],
        "legacy_cert": "",
    });
    let channel = build(&told);
    let (mut requests, mut expected) = (Vec::new(), Vec::new());
    for kind in side.stories() {
        for (serial, note) in (1..).zip(["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "\r\n\t"])
        {
            let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, now()) };
            if *kind == EventKind::RefundSucceeded {
                (story.refunded_minor, story.refund_no) = (100, Some("R-1".to_owned()));
            }
            let request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, now()) else { panic!("{kind}: {note:?}") };
            let body = [&request.body, b"&z=1".as_slice()].concat().into();
            let spoiled = RawRequest { body, ..request.clone() };
            for (is_genuine, request) in [(true, request), (false, spoiled)] {
                requests.push(request);
                expected.push((is_genuine, format!("{kind}: {note:?}"), proven.value().clone()));
            }
        }
    }
    for (answer, (is_genuine, label, notification)) in judged(&used, &requests).iter().zip(expected) {
        assert_eq!(answer["outcome"] == "genuine", is_genuine, "{label}: {answer}");
        if is_genuine && answer["event"] != "other" {
            let minor = notification.facts[0].signed_money().map(|money| money.minor);
            assert_eq!(answer["amount_minor"].as_i64(), minor, "{label}: {answer}");
        }
    }
}
