//! The LianLian channels of both generations against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::wire::{Said, ask, messages, settings, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "lianlian.py";

/// Each has its own merchant and keys; between them they allow either algorithm and both.
const SEEDS: [u64; 4] = [1, 2, 9, 20_261_121];

/// Messages a seed; half of them are spoilt.
const MESSAGES: u64 = 400;

/// What the oracle refuses though it is rightly signed. We keep it for a person: a refusal would lose it.
const HELD: [&str; 1] = ["amount_nonsense"];

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

fn channel(kind: &str, settings: &Settings) -> Box<dyn Channel> {
    let platform = platforms::by_kind(kind).expect("registered");
    (platform.build)(settings).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// The channels of one of the oracle's merchants.
struct Channels {
    payments: Box<dyn Channel>,
    payouts: Box<dyn Channel>,
    accounts: Box<dyn Channel>,
}

impl Channels {
    fn new(told: &Value) -> Self {
        let text = |name: &str| told[name].as_str().expect("a setting").to_owned();
        let key = |name: &str| SettingValue::Key(text(name).into_bytes().into());
        let words = |words: Vec<String>| SettingValue::Texts(words);
        let types = told["sign_types"].as_array().expect("algorithms").iter();
        let types = types.map(|word| word.as_str().expect("an algorithm").to_owned()).collect();
        let own = Settings::new(Environment::Live).with("oid_partner", words(vec![text("oid_partner")]));
        let classic = own
            .clone()
            .with("sign_types", words(types))
            .with("lianlian_public_key", key("lianlian_public_key"))
            .with("md5_key", key("md5_key"));
        let purpose = |word: &str| classic.clone().with("purpose", words(vec![word.to_owned()]));
        Self {
            payments: channel("lianlian", &purpose("payment")),
            payouts: channel("lianlian", &purpose("payout")),
            accounts: channel("lianlian_accp", &own.with("accp_public_key", key("accp_public_key"))),
        }
    }

    fn of(&self, kind: &str) -> &dyn Channel {
        match kind {
            "accp" => self.accounts.as_ref(),
            "payout" => self.payouts.as_ref(),
            _ => self.payments.as_ref(),
        }
    }
}

#[test]
fn the_channels_and_the_oracle_agree() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut damages: BTreeMap<String, usize> = BTreeMap::new();
    for seed in SEEDS {
        let channels = Channels::new(&settings(SCRIPT, seed, &json!({})));
        let lines: Vec<Value> = (0..MESSAGES)
            .map(|number| {
                let op = if number % 2 == 0 { "sign" } else { "damage" };
                json!({ "op": op, "seed": seed * MESSAGES + number, "now": now().as_second() })
            })
            .collect();
        for said in messages(SCRIPT, seed, &json!({}), &lines) {
            let verdict = channels.of(&said.kind).verify(&said.request, said.now);
            if said.is_genuine() {
                let Verdict::Genuine(proven) = verdict else { panic!("{}: {verdict:?}", said.line) };
                check_told(&said, proven.value());
                *kinds.entry(format!("{} {}", said.kind, said.expect["event"])).or_default() += 1;
            } else {
                let damage = said.damage.clone().expect("a damage");
                match verdict {
                    Verdict::Refused(_) => {}
                    Verdict::Genuine(proven) if HELD.contains(&damage.as_str()) => {
                        assert!(!proven.value().concerns.is_empty(), "{damage}: passed: {}", said.line);
                    }
                    other => panic!("{damage}: {other:?}: {}", said.line),
                }
                *damages.entry(damage).or_default() += 1;
            }
        }
    }
    let known = ask(SCRIPT, 0, &json!({}), &[json!({ "op": "describe" })]).remove(0);
    let names = known["damages"].as_array().expect("damages").len();
    assert_eq!(damages.len(), names, "not every damage was met: {damages:?}");
    // One state of payments, two of refunds, three of payouts, and accounts.
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

fn check_told(said: &Said, told: &Notification) {
    let expect = &said.expect;
    let fact = &told.facts[0];
    assert_eq!(told.facts.len(), 1, "{}", said.line);
    assert_eq!(expect["event"], fact.kind.as_str(), "{}", said.line);
    if fact.kind == EventKind::Other {
        // The oracle's accounts speak of a kind of transaction that no source names.
        assert_eq!(told.concerns.len(), 2, "{}: {:?}", said.line, told.concerns);
        return;
    }
    assert_eq!(told.concerns, [], "{}", said.line);
    assert_eq!(expect["identities"], json!([["oid_partner", told.scope.account]]), "{}", said.line);
    let money = fact.signed_money().expect("an amount");
    assert_eq!((&expect["amount_minor"], &expect["currency"]), (&json!(money.minor), &json!("CNY")), "{}", said.line);
    assert_eq!(expect["order_no"], json!(fact.order_no), "{}", said.line);
    if said.kind == "refund" {
        assert_eq!(expect["platform_refund_no"], json!(fact.platform_no), "{}", said.line);
        let ours = format!("no_refund:{}", expect["refund_no"].as_str().expect("a number"));
        assert!(fact.identities().any(|identity| identity.as_str() == ours), "{}: {fact:?}", said.line);
    } else {
        assert_eq!(expect["platform_no"], json!(fact.platform_no), "{}", said.line);
    }
}

/// A payout under the address of payments would be a payment to us: that is what the setting is for.
#[test]
fn a_payout_is_a_payment_where_the_configuration_says_so() {
    let channels = Channels::new(&settings(SCRIPT, 7, &json!({})));
    let lines = [json!({ "op": "sign", "seed": 1, "kind": "payout", "status": "SUCCESS", "now": now().as_second() })];
    let said = messages(SCRIPT, 7, &json!({}), &lines).remove(0);
    for (channel, expected) in
        [(&channels.payments, EventKind::PaymentSucceeded), (&channels.payouts, EventKind::TransferSucceeded)]
    {
        let Verdict::Genuine(proven) = channel.verify(&said.request, said.now) else { panic!("{}", said.line) };
        assert_eq!(proven.value().facts[0].kind, expected);
    }
}

#[test]
fn the_oracle_accepts_what_the_simulators_sign() {
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", " ", "\r\n\t", "null"];
    for kind in ["lianlian", "lianlian_accp"] {
        let side = (platforms::by_kind(kind).expect("registered").simulate)();
        let settings = side.settings();
        let key = |name: &str| settings.key(name).map(|key| String::from_utf8(key.to_vec()).expect("text"));
        let told = json!({
            "oid_partner": settings.texts("oid_partner").expect("a merchant")[0],
            "sign_types": ["RSA"],
            "lianlian_public_key": key("lianlian_public_key"),
            "accp_public_key": key("accp_public_key"),
        });
        let mut lines = vec![json!({ "op": "use", "settings": told })];
        let mut expected = Vec::new();
        for story in side.stories() {
            for (serial, note) in (1_u64..).zip(notes) {
                let story = Story {
                    kind: *story,
                    serial,
                    note: note.to_owned(),
                    refunded_minor: 100,
                    ..Story::paid("T-1", 12_345, now())
                };
                let request = side.callback(&story).request;
                for (is_genuine, request) in [(true, request.clone()), (false, spoilt(&request))] {
                    lines.push(json!({ "op": "verify", "request": written(&request), "now": now().as_second() }));
                    expected.push((is_genuine, story.clone()));
                }
            }
        }
        let verdicts = ask(SCRIPT, 0, &json!({}), &lines).split_off(1);
        for (verdict, (is_genuine, story)) in verdicts.iter().zip(expected) {
            let label = format!("{kind}: {} {:?}: {verdict}", story.kind, story.note);
            if is_genuine {
                assert_eq!(verdict["outcome"], "genuine", "{label}");
                let event = if kind == "lianlian" { story.kind.as_str() } else { "other" };
                assert_eq!(verdict["event"], event, "{label}");
            } else {
                assert_eq!(verdict["reason"], "the signature does not fit", "{label}");
            }
        }
    }
}

/// One digit more in the merchant's number.
fn spoilt(request: &RawRequest) -> RawRequest {
    let body = String::from_utf8(request.body.to_vec()).expect("text");
    let at = body.find("20130412").expect("the merchant");
    RawRequest { body: [&body[..at], "2", &body[at..]].concat().into(), ..request.clone() }
}
