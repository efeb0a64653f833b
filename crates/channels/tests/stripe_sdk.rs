//! Stripe's own library and a reading of its events that knows nothing of ours: both judge the same messages, in both
//! directions.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, EventKind, Notification, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "international/stripe_sdk.py";

/// Messages that the script invents.
const CASES: usize = 4_000;

fn platform() -> &'static Platform {
    platforms::by_kind("stripe").expect("registered")
}

fn channel(secret: &str) -> Box<dyn Channel> {
    let settings = Settings::new(Environment::Live)
        .with("account", SettingValue::Text("acct_1".into()))
        .with("secret", SettingValue::Key(secret.as_bytes().to_vec().into()));
    (platform().build)(&settings).expect("a channel")
}

/// The message's first fact, in the oracle's words. What is only kept has no name that counts, and neither has an
/// authorisation, whose name is ours.
fn told(notification: &Notification) -> Value {
    let fact = &notification.facts[0];
    let money = fact.signed_money();
    let is_named = !matches!(fact.kind, EventKind::Other | EventKind::PaymentAuthorized);
    json!({
        "event": fact.kind.as_str(), "name": is_named.then(|| fact.identity.as_str()), "order": fact.order_no,
        "minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
        "held": !notification.concerns.is_empty(),
    })
}

#[test]
fn the_library_and_we_agree_about_what_is_genuine_and_what_it_means() {
    let lines = run(SCRIPT, &["make", &seed(), &CASES.to_string()], &[]);
    assert_eq!(lines.len(), CASES);
    let (mut taken, mut refused) = (0, 0);
    for line in &lines {
        let now = Timestamp::from_second(line["now"].as_i64().expect("a time")).expect("a time");
        let channel = channel(line["secret"].as_str().expect("a secret"));
        match channel.verify(&read(&line["request"], now), now) {
            Verdict::Genuine(proven) => {
                assert!(line["genuine"] == true, "taken, and not genuine: {line}");
                assert_eq!(told(proven.value()), line["expect"], "{line}");
                taken += 1;
            }
            Verdict::Refused(rejection) => {
                assert!(line["genuine"] == false, "genuine, and refused as {rejection}: {line}");
                refused += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    assert!(taken > CASES / 3 && refused > CASES / 6, "{taken} taken, {refused} refused");
}

/// The other direction, with the library's own reader of events behind its signature.
#[test]
fn the_library_accepts_what_our_other_side_tells() {
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a time");
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let side = (platform().simulate)();
        let settings = side.settings();
        let secret = String::from_utf8(settings.key("secret").expect("a secret").to_vec()).expect("a text");
        let channel = (platform().build)(&settings).expect("a channel");
        for kind in side.stories() {
            let note = "é 中 😀 \" \\ &amp;".to_owned();
            let story = Story { kind: *kind, note, serial: round, ..Story::paid("T1", 1_234, at) };
            let mut request = side.callback(&story).request;
            let Verdict::Genuine(proven) = channel.verify(&request, at) else { panic!("{kind}: refused") };
            let (id, told) = (&proven.value().platform_id, &proven.value().platform_kind);
            let line = |request: Value| json!({ "secret": secret, "now": at.as_second(), "request": request });
            asked.push(line(written(&request)));
            expected.push(json!({ "genuine": true, "id": id, "type": told }));
            request.body = [&request.body[..], b" "].concat().into();
            asked.push(line(written(&request)));
            expected.push(json!({ "genuine": false }));
        }
    }
    assert_eq!(run(SCRIPT, &["judge"], &asked), expected);
}
