//! The Mollie channel and mollie-api-py judge the same events, in both directions.

mod oracle {
    pub(crate) mod python;
}

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oracle::python::{run, seed};
use serde::Deserialize;
use serde_json::{Value, json};
use tollbell_channels::channel::Verdict;
use tollbell_channels::model::{Environment, EventKind, RawRequest, Timestamp};
use tollbell_channels::platforms::{self, Platform};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "mollie_sdk.py";

const KIND: &str = "mollie";

const SIGNATURE: &str = "x-mollie-signature";

/// Events of the kit; about half are genuine.
const CASES: usize = 3_000;

#[derive(Debug, Deserialize)]
struct Case {
    number: u64,
    label: String,
    payload: String,
    headers: Vec<String>,
    secret: String,
    former: String,
    kit: bool,
    status: String,
    amount: i64,
    currency: String,
}

fn platform() -> &'static Platform {
    platforms::by_kind(KIND).expect("registered")
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

fn key(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

impl Case {
    fn verdict(&self) -> Verdict {
        let settings = Settings::new(Environment::Live)
            .with("profile_id", SettingValue::Text("pfl_QkEhN94Ba1".to_owned()))
            .with("webhook_secret", key(&self.secret))
            .with("former_webhook_secret", key(&self.former));
        let channel = (platform().build)(&settings).expect("a channel");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for signature in &self.headers {
            headers.append(HeaderName::from_static(SIGNATURE), HeaderValue::from_str(signature).expect("ASCII"));
        }
        let request = RawRequest {
            method: Method::POST,
            path: "/notify/mollie".to_owned(),
            query: None,
            headers,
            body: Bytes::from(self.payload.clone()),
            source: None,
            received_at: at(),
        };
        channel.verify(&request, at())
    }

    fn kind(&self) -> EventKind {
        match self.status.as_str() {
            "paid" => EventKind::PaymentSucceeded,
            "failed" => EventKind::PaymentFailed,
            "authorized" => EventKind::PaymentAuthorized,
            "pending" => EventKind::PaymentPending,
            _ => EventKind::PaymentClosed,
        }
    }
}

#[test]
fn the_channel_and_the_kit_agree_on_events_of_the_kit() {
    let mut genuine: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    for line in run(SCRIPT, &["generate", &CASES.to_string(), &seed()], &[]) {
        let case: Case = serde_json::from_value(line).expect("a case");
        let label = format!("case {} ({})", case.number, case.label);
        match case.verdict() {
            Verdict::Genuine(proven) => {
                assert!(case.kit, "{label}: the kit refuses it");
                let found = proven.value();
                assert_eq!(found.concerns, [], "{label}");
                let [fact] = found.facts.as_slice() else { panic!("{label}: {found:?}") };
                let money = fact.signed_money().expect("an amount");
                let number = case.number;
                assert_eq!(
                    (fact.kind, money.minor, money.currency.code(), fact.identity.as_str(), fact.order_no.as_deref()),
                    (
                        case.kind(),
                        case.amount,
                        case.currency.as_str(),
                        format!("tr_{number}").as_str(),
                        Some(format!("T-{number}").as_str())
                    ),
                    "{label}"
                );
                *genuine.entry(case.label).or_default() += 1;
            }
            Verdict::Refused(rejection) => {
                assert!(!case.kit, "{label}: the kit takes it, the channel says {rejection}");
                *refused.entry(case.label).or_default() += 1;
            }
            other => panic!("{label}: {other:?}"),
        }
    }
    assert_eq!(
        genuine.keys().map(String::as_str).collect::<Vec<_>>(),
        ["both", "both_reversed", "folded", "former", "own", "stranger_and_own"]
    );
    assert_eq!(
        refused.keys().map(String::as_str).collect::<Vec<_>>(),
        ["cut", "none", "spoiled", "stranger", "two_strangers"]
    );
    assert!(genuine.values().sum::<usize>() > CASES / 3, "{genuine:?}");
}

#[test]
fn the_kit_accepts_what_the_simulator_signs_and_nothing_else() {
    let side = (platform().simulate)();
    let settings = side.settings();
    let secret = String::from_utf8(settings.key("webhook_secret").expect("a secret").to_vec()).expect("text");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", " ", "\r\n\t"];
    let (mut lines, mut expected) = (Vec::new(), Vec::new());
    for kind in side.stories() {
        for (serial, note) in (1_u64..).zip(notes.iter().cycle().take(20)) {
            let story = Story { kind: *kind, serial, note: (*note).to_owned(), ..Story::paid("T-1", 12_345, at()) };
            let request = side.callback(&story).request;
            let body = String::from_utf8(request.body.to_vec()).expect("text");
            let signature = request.headers[SIGNATURE].to_str().expect("ASCII").to_owned();
            for (payload, secret, is_genuine) in [
                (body.clone(), secret.clone(), true),
                (body.replacen("12", "13", 1).replacen("event", "evens", 1), secret.clone(), false),
                (body.clone(), format!("{secret}0"), false),
            ] {
                lines.push(json!({ "payload": payload, "secrets": [secret], "signatures": [signature] }));
                expected.push((is_genuine, format!("{kind}: {note:?}")));
            }
        }
    }
    let verdicts = run(SCRIPT, &["verify"], &lines);
    assert_eq!(verdicts.len(), expected.len());
    for (verdict, (expected, label)) in verdicts.iter().zip(expected) {
        assert_eq!(*verdict, Value::Bool(expected), "{label}");
    }
}
