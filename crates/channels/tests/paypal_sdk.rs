//! PayPal's own Python kit and a reading of its events that knows nothing of ours: both judge the same deliveries, in both
//! directions. The certificates are made by others too, and come through the download.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, HttpAnswer, Verdict};
use tollbell_channels::model::{Environment, EventKind, Identity, Notification, RawRequest, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Conduct, Story};

const SCRIPT: &str = "international/paypal_sdk.py";

/// Deliveries that the script invents.
const CASES: usize = 2_000;

fn platform() -> &'static Platform {
    platforms::by_kind("paypal").expect("registered")
}

fn now() -> Timestamp {
    "2026-11-21T04:00:10Z".parse().expect("a time")
}

fn text<'l>(line: &'l Value, name: &str) -> &'l str {
    line[name].as_str().unwrap_or_else(|| panic!("no `{name}`"))
}

fn channel(webhook: &str, root: &str) -> Box<dyn Channel> {
    let words = |word: &str| SettingValue::Texts(vec![word.to_owned()]);
    let settings = Settings::new(Environment::Sandbox)
        .with("webhook_id", words(webhook))
        .with("merchant_id", words("M1"))
        .with("confirm", words("never"))
        .with("ca_certs", SettingValue::Key(root.as_bytes().to_vec().into()));
    (platform().build)(&settings).expect("a channel")
}

/// Judges a request as a gateway does, with this behind every URL of a certificate. None when it is refused.
fn judged(channel: &dyn Channel, request: &RawRequest, pem: &str) -> Option<Notification> {
    let body = Bytes::copy_from_slice(pem.as_bytes());
    let answer = HttpAnswer { status: 200, headers: HeaderMap::new(), body };
    let with_key: Arc<dyn Channel> = match channel.verify(request, now()) {
        Verdict::NeedsKey(needed) => {
            let source = channel.key_source().expect("a source");
            let keys = source.read(&answer, Some(&needed), now()).ok()?;
            source.with_keys(&keys, now()).expect("keys that were just believed")
        }
        Verdict::Refused(_) => return None,
        other => panic!("{other:?} without a key"),
    };
    match with_key.verify(request, now()) {
        Verdict::Genuine(proven) => Some(proven.into_parts().0),
        Verdict::Refused(_) => None,
        other => panic!("{other:?}"),
    }
}

/// The delivery's first fact, in the oracle's words. What is only kept has no name that counts.
fn told(notification: &Notification) -> Value {
    let fact = &notification.facts[0];
    let money = fact.signed_money();
    let is_named = fact.kind != EventKind::Other;
    json!({
        "event": fact.kind.as_str(), "name": is_named.then(|| fact.identity.as_str()), "order": fact.order_no,
        "payment": fact.payment.as_ref().map(Identity::as_str),
        "minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
        "held": !notification.concerns.is_empty(),
    })
}

#[test]
fn the_kit_and_we_agree_about_what_is_genuine_and_what_it_means() {
    let lines = run(SCRIPT, &["make", &seed(), &CASES.to_string()], &[]);
    assert_eq!(lines.len(), CASES);
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut taken = 0;
    for line in &lines {
        let channel = channel(text(line, "webhook"), text(line, "root"));
        if let Some(notification) = judged(&*channel, &read(&line["request"], now()), text(line, "pem")) {
            assert!(line["genuine"] == true, "taken, and not genuine: {line}");
            assert_eq!(told(&notification), line["expect"], "{line}");
            taken += 1;
        } else {
            assert!(line["genuine"] == false, "genuine, and refused: {line}");
            *refused.entry(line["damage"].to_string()).or_default() += 1;
        }
    }
    assert!(taken > CASES / 3 && refused.values().sum::<usize>() > CASES / 6, "{taken} taken, refused: {refused:?}");
    assert!(refused.len() >= 16, "some kinds of damage never came: {refused:?}");
}

/// The other direction: the kit takes what our other side tells, with the certificate that it hands out.
#[test]
fn the_kit_accepts_what_our_other_side_tells() {
    let at = now();
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let side = (platform().simulate)();
        let office = side.key_office().expect("certificates");
        let settings = office
            .written_settings("http://127.0.0.1:9")
            .into_iter()
            .fold(Settings::new(Environment::Sandbox), |all, one| all.with(one.name, one.value));
        let channel = (platform().build)(&settings).expect("a channel");
        let webhook = &settings.texts("webhook_id").expect("ids")[0];
        let root = String::from_utf8(settings.key("ca_certs").expect("roots").to_vec()).expect("PEM");
        for kind in side.stories() {
            let note = "é 中 😀 \" \\ &amp;".to_owned();
            let story = Story { kind: *kind, note, serial: round, ..Story::paid("T1", 1_234, at) };
            let mut request = office.callback(&story).request;
            let Verdict::NeedsKey(needed) = channel.verify(&request, at) else { panic!("{kind}: no key is needed") };
            let ask = channel.key_source().expect("a source").ask(Some(&needed), [0; 16], at).expect("a question");
            let pem = String::from_utf8(office.answer(&ask, at, Conduct::Honest).body.to_vec()).expect("PEM");
            let told = judged(&*channel, &request, &pem).unwrap_or_else(|| panic!("{kind}: refused")).platform_kind;
            let line = |request: Value| json!({ "webhook": webhook, "pem": pem, "root": root, "request": request });
            asked.push(line(written(&request)));
            expected.push(json!({ "genuine": true, "type": told }));
            request.body = [&request.body[..], b" "].concat().into();
            asked.push(line(written(&request)));
            expected.push(json!({ "genuine": false }));
        }
    }
    assert_eq!(run(SCRIPT, &["judge"], &asked), expected);
}
