//! The platforms that are one data file against an oracle that was written from their descriptions alone, with the
//! platforms' own libraries where there are any: both judge the same messages, in both directions.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod wire;
}

use std::collections::BTreeMap;

use oracle::python::{run, seed};
use oracle::wire::{read, written};
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, Verdict};
use tollbell_channels::model::{Environment, Notification, Timestamp};
use tollbell_channels::platforms::{self, PLATFORMS, presets};
use tollbell_channels::settings::{SettingKind, SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "international/presets.py";

/// Messages of each kind.
const CASES: usize = 400;

/// Kinds of which the script knows nothing, so that a new file is either in it or named here with a reason: these are asked
/// about every message, and say nothing that another signer could judge.
const UNKNOWN: &[&str] = &["midtrans", "xendit"];

/// What a merchant gives, from the script's words.
fn settings(kind: &str, secret: &str, values: &Value) -> Settings {
    let platform = platforms::by_kind(kind).expect("registered");
    platform.settings.iter().fold(Settings::new(Environment::Live), |all, setting| match setting.kind {
        SettingKind::Text => {
            all.with(setting.name, SettingValue::Text(values[setting.name].as_str().expect("a value").to_owned()))
        }
        SettingKind::SecretKey | SettingKind::PublicKey => {
            all.with(setting.name, SettingValue::Key(secret.as_bytes().to_vec().into()))
        }
        _ => all,
    })
}

fn build(kind: &str, secret: &str, values: &Value) -> Box<dyn Channel> {
    (platforms::by_kind(kind).expect("registered").build)(&settings(kind, secret, values))
        .unwrap_or_else(|error| panic!("{kind}: {error}"))
}

/// The message's first fact, in the oracle's words.
fn told(notification: &Notification) -> Value {
    let fact = &notification.facts[0];
    let money = fact.signed_money();
    json!({
        "event": fact.kind.as_str(), "name": fact.identity.as_str(), "order": fact.order_no,
        "minor": money.map(|money| money.minor), "currency": money.map(|money| money.currency.code().to_owned()),
    })
}

/// Every file that this program ships and the script knows.
fn kinds() -> Vec<&'static str> {
    let is_preset = |kind: &&'static str| presets::by_kind(kind).is_some() && !UNKNOWN.contains(kind);
    PLATFORMS.iter().map(|platform| platform.kind).filter(is_preset).collect()
}

#[test]
fn the_files_and_the_oracle_agree() {
    let count = CASES.to_string();
    let lines = run(SCRIPT, &["make", &seed(), &count], &[]);
    let mut seen: BTreeMap<&str, (usize, usize)> = kinds().into_iter().map(|kind| (kind, (0, 0))).collect();
    let mut channels: BTreeMap<String, Box<dyn Channel>> = BTreeMap::new();
    for line in &lines {
        let text = |name: &str| line[name].as_str().expect("a text");
        let now = Timestamp::from_second(line["now"].as_i64().expect("a time")).expect("a time");
        let (kind, secret) = (text("kind"), text("secret"));
        let channel =
            channels.entry(format!("{kind} {secret}")).or_insert_with(|| build(kind, secret, &line["values"]));
        let verdict = channel.verify(&read(&line["request"], now), now);
        let counts = seen.get_mut(kind).unwrap_or_else(|| panic!("`{kind}` is no file of ours"));
        match verdict {
            Verdict::Genuine(proven) => {
                assert!(line["genuine"] == true, "taken, and not genuine: {line}");
                let found = proven.value();
                assert_eq!(found.concerns, [], "{line}");
                assert_eq!(told(found), line["expect"], "{line}");
                counts.0 += 1;
            }
            Verdict::Refused(rejection) => {
                assert!(line["genuine"] == false, "genuine, and refused as {rejection}: {line}");
                counts.1 += 1;
            }
            other => panic!("{other:?}: {line}"),
        }
    }
    for (kind, (taken, refused)) in seen {
        assert!(taken > CASES / 4 && refused > CASES / 8, "{kind}: {taken} taken, {refused} refused");
    }
}

/// The other direction: what our other side tells is what the platform's own library would accept.
#[test]
fn the_oracle_accepts_what_our_other_side_tells() {
    let now: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a time");
    // The one library that looks at the clock itself.
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock behind 1970").as_secs();
    let clock = Timestamp::from_second(i64::try_from(clock).expect("a near time")).expect("a time");
    let mut asked = Vec::new();
    let mut labels = Vec::new();
    for kind in kinds() {
        let at = if kind == "standard_webhooks" { clock } else { now };
        let side = (platforms::by_kind(kind).expect("registered").simulate)();
        let settings = side.settings();
        let key = settings.key("secret").or(settings.key("public_key")).expect("a key");
        let secret = String::from_utf8(key.to_vec()).expect("a key as text");
        let texts = ["account", "notification_url", "key_id"];
        let values: BTreeMap<&str, &str> =
            texts.into_iter().filter_map(|name| settings.text(name).map(|text| (name, text))).collect();
        for event in side.stories() {
            for (way, genuine) in [("as it is", true), ("with a blank", false)] {
                let note = "é 中 😀 \" \\ &amp;".to_owned();
                let story = Story { kind: *event, note, ..Story::paid("T1", 1_234, at) };
                let mut request = side.callback(&story).request;
                if !genuine {
                    request.body = [&request.body[..], b" "].concat().into();
                }
                let (now, request) = (at.as_second(), written(&request));
                asked.push(json!({ "kind": kind, "secret": secret, "values": values, "now": now, "request": request }));
                labels.push((format!("{kind}: {event}: {way}"), genuine));
            }
        }
    }
    let verdicts = run(SCRIPT, &["judge"], &asked);
    assert_eq!(verdicts.len(), labels.len());
    for (verdict, (label, genuine)) in verdicts.iter().zip(labels) {
        assert_eq!(verdict["genuine"], genuine, "{label}");
    }
}
