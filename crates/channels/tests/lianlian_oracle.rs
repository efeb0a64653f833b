//! The LianLian channels of both generations against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod frame;
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::frame::{
    Comparison, Found, NOTES, alternating, at, build, damages, differences, expected_money, key, label, money,
    other_side, own_key, stories, text, texts, told,
};
use oracle::wire::{Said, messages, settings};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, RawRequest};
use tollbell_channels::settings::{SettingValue, Settings};

const SCRIPT: &str = "lianlian.py";

/// Each has its own merchant and keys; between them they allow either algorithm and both.
const SEEDS: [u64; 4] = [1, 2, 9, 20_261_121];

/// Messages a seed; half of them are spoilt.
const MESSAGES: u64 = 400;

/// What the oracle refuses though it is rightly signed. We keep it for a person: a refusal would lose it.
const HELD: [&str; 1] = ["amount_nonsense"];

/// The channels of one of the oracle's merchants.
struct Channels {
    payments: Box<dyn Channel>,
    payouts: Box<dyn Channel>,
    accounts: Box<dyn Channel>,
}

impl Channels {
    fn new(told: &Value) -> Self {
        let one = |word: String| SettingValue::Texts(vec![word]);
        let own = Settings::new(Environment::Live).with("oid_partner", one(text(told, "oid_partner")));
        let classic = own
            .clone()
            .with("sign_types", texts(told, "sign_types"))
            .with("lianlian_public_key", key(told, "lianlian_public_key"))
            .with("md5_key", key(told, "md5_key"));
        let purpose = |word: &str| classic.clone().with("purpose", one(word.to_owned()));
        Self {
            payments: build("lianlian", &purpose("payment")),
            payouts: build("lianlian", &purpose("payout")),
            accounts: build("lianlian_accp", &own.with("accp_public_key", key(told, "accp_public_key"))),
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
    let mut comparison = Comparison::default();
    for seed in SEEDS {
        let channels = Channels::new(&settings(SCRIPT, seed, &json!({})));
        for said in messages(SCRIPT, seed, &json!({}), &alternating(seed * MESSAGES, MESSAGES)) {
            let verdict = channels.of(&said.kind).verify(&said.request, said.now);
            let found = differences(&said, &verdict, &HELD, |notification| read(&said, notification));
            comparison.note(&said, label(&said), found);
        }
    }
    let seen = comparison.agreed();
    let unmet: Vec<String> = damages(SCRIPT).into_iter().filter(|damage| !seen.contains_key(damage)).collect();
    assert!(unmet.is_empty(), "not every damage was met: {unmet:?}");
    // One state of payments, two of refunds, three of payouts, and accounts.
    assert_eq!(seen.keys().filter(|label| label.starts_with("genuine ")).count(), 7, "{seen:?}");
}

fn read(said: &Said, told: &Notification) -> Vec<String> {
    let expect = &said.expect;
    let [fact] = told.facts.as_slice() else { return vec![format!("facts {:?}", told.facts)] };
    let mut found = Found::default();
    found.check(expect["event"] == fact.kind.as_str(), format!("kind {}", fact.kind));
    if fact.kind == EventKind::Other {
        // The oracle's accounts speak of a kind of transaction that no source names.
        found.check(told.concerns.len() == 2, format!("concerns {:?}", told.concerns));
        return found.all();
    }
    found.check(told.concerns.is_empty(), format!("concerns {:?}", told.concerns));
    found.check(
        expect["identities"] == json!([["oid_partner", told.scope.account]]),
        format!("account {}", told.scope.account),
    );
    found.check(
        fact.signed_money().is_some() && money(fact) == expected_money(expect),
        format!("amount {:?}", fact.amount),
    );
    found.check(expect["order_no"] == json!(fact.order_no), format!("order {:?}", fact.order_no));
    let is_refund = said.kind == "refund";
    let number = if is_refund { "platform_refund_no" } else { "platform_no" };
    found.check(expect[number] == json!(fact.platform_no), format!("number {:?}", fact.platform_no));
    let ours = format!("no_refund:{}", expect["refund_no"].as_str().unwrap_or_default());
    let is_named = fact.identities().any(|identity| identity.as_str() == ours);
    found.check(!is_refund || is_named, format!("names {fact:?}"));
    found.all()
}

/// A payout under the address of payments would be a payment to us: that is what the setting is for.
#[test]
fn a_payout_is_a_payment_where_the_configuration_says_so() {
    let channels = Channels::new(&settings(SCRIPT, 7, &json!({})));
    let lines = [json!({ "op": "sign", "seed": 1, "kind": "payout", "status": "SUCCESS", "now": at().as_second() })];
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
    let notes = [&NOTES[..], &["null"]].concat();
    for kind in ["lianlian", "lianlian_accp"] {
        let side = other_side(kind);
        let own = side.settings();
        let used = json!({
            "oid_partner": own.texts("oid_partner").expect("a merchant")[0],
            "sign_types": ["RSA"],
            "lianlian_public_key": own_key(&own, "lianlian_public_key"),
            "accp_public_key": own_key(&own, "accp_public_key"),
        });
        for one in told((kind, SCRIPT, &used), &*side, stories(&*side, &notes, at()), spoilt) {
            let label = format!("{kind}: {} {:?}: {}", one.story.kind, one.story.note, one.verdict);
            let event = if kind == "lianlian" { one.story.kind.as_str() } else { "other" };
            assert_eq!((&one.verdict["outcome"], &one.verdict["event"]), (&json!("genuine"), &json!(event)), "{label}");
            assert_eq!(one.spoilt["reason"], "the signature does not fit", "{label}");
        }
    }
}

/// One digit more in the merchant's number.
fn spoilt(request: &RawRequest) -> RawRequest {
    let body = String::from_utf8(request.body.to_vec()).expect("text");
    let at = body.find("20130412").expect("the merchant");
    RawRequest { body: [&body[..at], "2", &body[at..]].concat().into(), ..request.clone() }
}
