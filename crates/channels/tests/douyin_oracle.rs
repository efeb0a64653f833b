//! Douyin's three channels against an oracle that was written from the protocols' description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use oracle::python::seed;
use oracle::wire::{Said, ask, messages, settings, verdicts, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Currency, Environment, EventKind, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::signature::key::PublicKey;
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "douyin.py";

/// When every message is made and verified: the oracle's certificates last from 2024 to 2040.
const NOW: i64 = 1_795_233_600;

/// The oracle's names of the generations, with the messages of each end of each kind, and of each damage, for each of two
/// sets of keys. It needs some 10 ms for a signature by RSA.
const GENERATIONS: [(&str, u64, u64); 3] = [("ecpay", 400, 120), ("trade", 8, 7), ("pay", 8, 7)];

/// Damages that are signed: whatever is proven is kept for a person where the oracle refuses it, because refusing would
/// lose it.
const HELD: [&str; 7] = [
    "ecpay.other_merchant",
    "ecpay.amount_nonsense",
    "trade.other_merchant",
    "trade.amount_nonsense",
    "trade.msg_nonsense",
    "pay.other_merchant",
    "pay.amount_nonsense",
];

/// Damages around the box, before the signature: what another key or algorithm could open is refused, so that it is
/// repeated; anything else that the platform signed is held. A name given twice is held inside the message, and refused
/// beside it.
const REFUSED_OR_HELD: [&str; 5] =
    ["ecpay.member_twice", "pay.algorithm", "pay.envelope", "pay.not_encrypted", "pay.resource"];

/// The same for plaintexts that are no object.
const UNREADABLE: &str = "pay.plaintext";

/// A missing number: one of two names is enough, so what is missing may not matter.
const NO_NUMBER: [&str; 2] = ["trade.no_number", "pay.no_number"];

fn kind(generation: &str) -> String {
    format!("douyin_{generation}")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn key(text: String) -> SettingValue {
    SettingValue::Key(text.into_bytes().into())
}

/// The channel of a merchant who is told these settings.
fn channel(generation: &str, told: &Value) -> Box<dyn Channel> {
    let told = &told[generation];
    let ids = |name: &str| SettingValue::Texts(vec![text(&told[name])]);
    let settings = Settings::new(Environment::Live);
    let settings = match generation {
        "ecpay" => settings
            .with("appid", ids("appid"))
            .with("token", key(text(&told["token"])))
            .with("former_tokens", key(text(&told["previous_token"]))),
        "trade" => {
            settings.with("app_id", ids("app_id")).with("platform_public_key", key(text(&told["platform_public_key"])))
        }
        _ => {
            let certificates = told["platform_certificates"].as_array().expect("a list").iter();
            let certificates: Vec<String> = certificates.map(|one| text(&one["certificate"])).collect();
            settings
                .with("mchid", SettingValue::Text(text(&told["mchid"])))
                .with("appid", ids("appid"))
                .with("encrypt_key", key(text(&told["key"])))
                .with("platform_certs", key(certificates.join("\n")))
        }
    };
    let platform = platforms::by_kind(&kind(generation)).expect("registered");
    (platform.build)(&settings).unwrap_or_else(|error| panic!("{generation}: {error}"))
}

/// Our word for an event of the oracle, which calls two ends of a refund by other names.
fn event(generation: &str, oracles: &str) -> EventKind {
    match (generation, oracles) {
        ("pay", "refund.closed") => EventKind::RefundFailed,
        ("pay", "refund.failed") => EventKind::RefundAbnormal,
        _ => EventKind::parse(oracles).unwrap_or_else(|| panic!("{oracles} is no event")),
    }
}

/// What makes a genuine message of the oracle another one for us.
fn is_foreign_nonce(generation: &str, request: &RawRequest) -> bool {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    // The text is joined without separators, so only nonces of letters and digits leave one way to cut it.
    generation == "ecpay"
        && body["nonce"].as_str().is_some_and(|nonce| !nonce.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Concerns that a message of this kind has with us, though the oracle finds nothing wrong.
fn known_concerns(said: &Said) -> &'static [&'static str] {
    match said.kind.as_str() {
        // Of a refund the description names no amount; public programs do, and without one it is held. The oracle's share has
        // a number of the merchant's and nothing else; a share needs more.
        "trade.refund" | "pay.split" => &["missing_field"],
        _ => &[],
    }
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(tollbell_channels::model::Concern::word).collect()
}

/// Compares what a genuine message says.
fn compare(generation: &str, said: &Said, notification: &Notification) -> Result<(), String> {
    let expect = &said.expect;
    let [fact] = &notification.facts[..] else { return Err(format!("{} facts", notification.facts.len())) };
    let kind = event(generation, expect["event"].as_str().expect("an event"));
    let differs = |what: &str, ours: &dyn std::fmt::Debug| Err(format!("{what}: {ours:?}, expected {expect}"));
    if fact.kind != kind {
        return differs("kind", &fact.kind);
    }
    if words(notification).iter().any(|word| !known_concerns(said).contains(word)) {
        return differs("concerns", &notification.concerns);
    }
    if kind == EventKind::Other {
        return Ok(());
    }
    let is_refund = kind.as_str().starts_with("refund.");
    if fact.order_no.as_deref() != expect["order_no"].as_str() {
        return differs("order", &fact.order_no);
    }
    let number = if is_refund { "platform_refund_no" } else { "platform_no" };
    if fact.platform_no.as_deref() != expect[number].as_str() {
        return differs("number", &fact.platform_no);
    }
    if is_refund {
        let payment = fact.payment.as_ref().map(tollbell_channels::model::Identity::as_str);
        if payment != expect["platform_no"].as_str() {
            return differs("payment", &payment);
        }
        let ours = format!(":{}", expect["refund_no"].as_str().expect("a refund's number"));
        if !fact.identities().any(|identity| identity.as_str().ends_with(&ours)) {
            return differs("refund's number", &fact.aliases);
        }
    }
    let money = fact.signed_money();
    if money.map(|money| money.minor) != expect["amount_minor"].as_i64() {
        return differs("amount", &fact.amount);
    }
    if money.map(|money| money.currency) != expect["currency"].as_str().map(|code| Currency::parse(code).unwrap()) {
        return differs("currency", &fact.amount);
    }
    let account = expect["identities"][0][1].as_str();
    if account != Some(notification.scope.account.as_str()) {
        return differs("account", &notification.scope);
    }
    Ok(())
}

/// What is wrong with our verdict about a message.
fn judge(generation: &str, said: &Said, verdict: &Verdict) -> Result<(), String> {
    let wrong = || Err(format!("{verdict:?}, expected {}", said.expect));
    let found = match verdict {
        Verdict::Genuine(proven) => Ok(proven.value()),
        Verdict::Refused(rejection) => Err(rejection),
        _ => return wrong(),
    };
    if is_foreign_nonce(generation, &said.request) {
        return if found.is_err() { Ok(()) } else { wrong() };
    }
    if said.is_genuine() {
        return found.or_else(|_| wrong().map(|()| unreachable!())).and_then(|found| compare(generation, said, found));
    }
    let damage = said.damage.as_deref().expect("a damage");
    let body: Value = serde_json::from_slice(&said.request.body).unwrap_or_default();
    match found {
        Err(Rejection::Duplicate { .. } | Rejection::Missing { .. } | Rejection::Malformed { .. }) => Ok(()),
        Err(_) if HELD.contains(&damage) || NO_NUMBER.contains(&damage) => wrong(),
        Err(_) => Ok(()),
        Ok(found) if HELD.contains(&damage) || damage == UNREADABLE => {
            if found.concerns.is_empty() {
                wrong()
            } else {
                Ok(())
            }
        }
        Ok(found) if NO_NUMBER.contains(&damage) => {
            let fact = &found.facts[0];
            let is_whole = fact.kind != EventKind::Other && fact.signed_money().is_some();
            if is_whole || !found.concerns.is_empty() { Ok(()) } else { wrong() }
        }
        // The description gives this member no meaning and no value; what the key opens is read.
        Ok(found) if damage == "pay.envelope" && body["resource_type"] == "plain" => {
            if found.facts.len() == 1 {
                Ok(())
            } else {
                wrong()
            }
        }
        Ok(found) if REFUSED_OR_HELD.contains(&damage) => {
            let is_other = found.facts.iter().all(|fact| fact.kind == EventKind::Other);
            if is_other && !found.concerns.is_empty() { Ok(()) } else { wrong() }
        }
        Ok(_) => wrong(),
    }
}

/// Wishes for every end of every kind, and for every damage.
fn wishes(generation: &str, described: &Value, (each_end, each_damage): (u64, u64)) -> Vec<Value> {
    let is_ours = |name: &str| name.split('.').next() == Some(generation);
    let mut wishes = Vec::new();
    for (kind, words) in described["statuses"].as_object().expect("an object").iter().filter(|(kind, _)| is_ours(kind))
    {
        for word in words.as_object().expect("an object").keys() {
            wishes.extend((0..each_end).map(|_| json!({ "op": "sign", "kind": kind, "status": word })));
        }
    }
    for damage in described["damages"].as_array().expect("a list").iter().filter(|name| is_ours(&text(name))) {
        wishes.extend((0..each_damage).map(|_| json!({ "op": "damage", "damage": damage })));
    }
    assert!(wishes.len() > 100, "{generation}: {} messages", wishes.len());
    wishes
}

#[test]
fn the_channels_and_the_oracle_agree() {
    let first: u64 = seed().parse().expect("a number");
    let described = ask(SCRIPT, first, &Value::Null, &[json!({ "op": "describe" })]).remove(0);
    let sets = [first, first + 1].map(|keys| {
        let mut lines: Vec<Value> = GENERATIONS
            .iter()
            .flat_map(|(generation, each_end, each_damage)| wishes(generation, &described, (*each_end, *each_damage)))
            .collect();
        for (number, line) in (keys * 1_000_000..).zip(&mut lines) {
            line["seed"] = json!(number);
            line["now"] = json!(NOW);
        }
        thread::spawn(move || disagreements(keys, &lines))
    });
    for set in sets {
        let wrong = set.join().expect("a set of messages");
        assert!(wrong.is_empty(), "{} disagreements:\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// What the oracle with these keys says to these lines, and we say otherwise.
fn disagreements(keys: u64, lines: &[Value]) -> Vec<String> {
    let told = settings(SCRIPT, keys, &Value::Null);
    let channels = GENERATIONS.map(|(generation, ..)| (generation, channel(generation, &told)));
    let mut wrong = Vec::new();
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for (line, said) in lines.iter().zip(messages(SCRIPT, keys, &Value::Null, lines)) {
        let own = channels.iter().find(|(generation, _)| said.line["generation"] == *generation);
        let (generation, channel) = own.expect("a generation");
        let verdict = channel.verify(&said.request, said.now);
        if let Err(reason) = judge(generation, &said, &verdict) {
            let body = String::from_utf8_lossy(&said.request.body);
            wrong.push(format!("{line} {}: {reason}\n{body}", said.kind));
        }
        *counts.entry((*generation, matches!(verdict, Verdict::Genuine(_)))).or_default() += 1;
    }
    assert_eq!(counts.len(), 2 * GENERATIONS.len(), "both verdicts of each: {counts:?}");
    wrong
}

/// The oracle's settings for one of our simulators.
fn told(generation: &str, settings: &Settings) -> Value {
    let key = |name: &str| String::from_utf8(settings.key(name).expect("a key").to_vec()).expect("a text");
    let id = |name: &str| settings.texts(name).expect("ids")[0].clone();
    match generation {
        "ecpay" => json!({ "token": key("token"), "appid": id("appid") }),
        "trade" => {
            let public = PublicKey::read("key", key("platform_public_key").as_bytes()).expect("a key");
            json!({ "platform_public_key": STANDARD.encode(public.spki()), "app_id": id("app_id") })
        }
        _ => {
            let file = key("platform_certs");
            let certificate = &file[file.find("-----BEGIN").expect("a certificate")..];
            let platform = platforms::by_kind("douyin_pay").expect("registered");
            let notes = (platform.build)(settings).expect("a channel").keys();
            let serial = notes[0].fingerprint.clone().expect("a serial");
            json!({
                "mchid": settings.text("mchid").expect("a number"), "appid": id("appid"), "key": key("encrypt_key"),
                "platform_certificates": [{ "serial_no": serial, "certificate": certificate }],
            })
        }
    }
}

#[test]
fn the_oracle_accepts_what_the_simulators_sign() {
    let at = Timestamp::from_second(NOW).expect("a time");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "{\"a\":1}", " ", "\r\n\t"];
    let mut ours = Vec::new();
    let mut lines = vec![json!({ "op": "use", "settings": {} })];
    for (generation, ..) in GENERATIONS {
        let platform = platforms::by_kind(&kind(generation)).expect("registered");
        let side = (platform.simulate)();
        let settings = side.settings();
        lines[0]["settings"][generation] = told(generation, &settings);
        let channel = (platform.build)(&settings).expect("a channel");
        for kind in side.stories() {
            for (serial, note) in (1_u64..).zip(notes) {
                let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
                story.refunded_minor = 100;
                story.refund_no = Some("R-1".to_owned());
                let request = side.callback(&story).request;
                // What the wire or a stranger might do to it; each is refused by both, or means the same to both.
                let spoiled = (0..request.body.len()).step_by(97).map(|place| {
                    let mut body = request.body.to_vec();
                    body[place] ^= 1;
                    (RawRequest { body: Bytes::from(body), ..request.clone() }, None)
                });
                for (request, story) in spoiled.collect::<Vec<_>>().into_iter().chain([(request, Some(story))]) {
                    lines.push(json!({ "op": "verify", "request": written(&request), "now": NOW }));
                    ours.push((generation, channel.verify(&request, at), story));
                }
            }
        }
    }
    let answers = ask(SCRIPT, 0, &Value::Null, &lines).split_off(1);
    for (((generation, verdict, story), answer), line) in ours.iter().zip(answers).zip(&lines[1..]) {
        let is_genuine = matches!(verdict, Verdict::Genuine(_));
        assert_eq!(is_genuine, answer["outcome"] == "genuine", "{generation}: {verdict:?} {answer} {line}");
        let Some(story) = story else { continue };
        assert!(is_genuine, "{generation} {}: {verdict:?} {line}", story.kind);
        let named = event(generation, answer["event"].as_str().expect("an event"));
        // The oracle has no word for these.
        let is_unnamed = matches!(
            story.kind,
            EventKind::AgreementSigned | EventKind::AgreementCancelled | EventKind::ProfitSharingSucceeded
        );
        assert_eq!(named, if is_unnamed { EventKind::Other } else { story.kind }, "{generation}: {answer}");
        if named.as_str().starts_with("refund.") && *generation != "trade" {
            assert_eq!(answer["amount_minor"], 100, "{generation}: {answer}");
        } else if named.as_str().starts_with("payment.") || named.as_str().starts_with("transfer.") {
            assert_eq!(answer["amount_minor"], 12_345, "{generation}: {answer}");
        }
    }
}

#[test]
fn a_strangers_message_is_refused_by_both() {
    let at = Timestamp::from_second(NOW).expect("a time");
    let told = settings(SCRIPT, 7, &Value::Null);
    let mut requests = Vec::new();
    for (generation, ..) in GENERATIONS {
        let channel = channel(generation, &told);
        let side = (platforms::by_kind(&kind(generation)).expect("registered").simulate)();
        for kind in side.stories() {
            let request = side.callback(&Story { kind: *kind, ..Story::paid("T-1", 1, at) }).request;
            assert!(matches!(channel.verify(&request, at), Verdict::Refused(_)), "{generation} {kind}");
            requests.push((request, at));
        }
    }
    for answer in verdicts(SCRIPT, 7, &Value::Null, &requests) {
        assert_eq!(answer["outcome"], "refused", "{answer}");
    }
}
