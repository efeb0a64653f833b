//! The Alipay channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod case;
    pub(crate) mod python;
}

use std::collections::{BTreeMap, BTreeSet};

use oracle::case::{Channels, KIND, Message, at, check_fields, word};
use oracle::python::{run, seed};
use serde::Deserialize;
use serde_json::{Value, json};
use tollbell_channels::model::{EventKind, RawRequest};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::Story;

const SCRIPT: &str = "alipay.py";

/// Messages from the oracle; four in ten are as they were signed.
const MESSAGES: usize = 2_000;

const CERTIFICATES: usize = 200;

/// What the channel accepts beyond the description's two pairs of rules, because the official Java kit signs
/// so: a blank value counts as an empty one.
const WIDER: [&str; 1] = ["add_blank"];

#[derive(Debug, Deserialize)]
struct Case {
    #[serde(flatten)]
    message: Message,
    charset: String,
    sign_type: String,
    rule: String,
    empties: String,
    /// Genuine for a channel that allows SHA-256 only.
    modern: bool,
    /// Genuine for a channel that allows SHA-1 as well.
    both: bool,
}

/// The same channel, for a merchant who still has the old algorithm.
fn with_sha1(settings: Settings) -> Settings {
    settings.with("sign_types", SettingValue::Texts(vec!["RSA2".to_owned(), "RSA".to_owned()]))
}

#[test]
fn the_channel_and_the_oracle_agree() {
    let printed = run(SCRIPT, &["generate", &MESSAGES.to_string(), &seed()], &[]);
    assert_eq!(printed.len(), MESSAGES);
    let (mut modern, mut both) = (Channels::default(), Channels::default());
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    let mut disagreements = Vec::new();
    let mut wider = BTreeSet::new();
    for line in printed {
        let case: Case = serde_json::from_value(line).expect("a case");
        let message = &case.message;
        let request = message.request();
        let id = &message.public_key;
        let verdicts = [
            ("modern", case.modern, modern.verify(id, &message.settings(), &request)),
            ("both", case.both, both.verify(id, &with_sha1(message.settings()), &request)),
        ];
        for (channel, expected, verdict) in verdicts {
            if word(&verdict) == "genuine" && !expected && WIDER.contains(&message.label.as_str()) {
                wider.insert(message.label.clone());
            } else if (word(&verdict) == "genuine") != expected {
                disagreements.push(format!(
                    "case {} ({}, {}, {}, {}, {}): the oracle says {expected}, the {channel} channel `{}`",
                    message.number,
                    message.label,
                    case.charset,
                    case.sign_type,
                    case.rule,
                    case.empties,
                    word(&verdict)
                ));
            } else if expected {
                check_fields(message, &verdict);
                let shape = format!("{} {} {} {}", case.charset, case.sign_type, case.rule, case.empties);
                *accepted.entry(shape).or_default() += 1;
            }
        }
    }
    assert!(disagreements.is_empty(), "{} disagreements:\n{}", disagreements.len(), disagreements.join("\n"));
    // Two charsets, two algorithms, two rules, two ways with empties: none may be missing from the cases.
    assert_eq!(accepted.len(), 16, "{accepted:?}");
    assert_eq!(wider.iter().collect::<Vec<_>>(), WIDER, "the channel became stricter: so should this list");
}

#[test]
fn the_oracle_accepts_what_the_simulator_signs() {
    let side = (platforms::by_kind(KIND).expect("registered").simulate)();
    let public_key = side.settings().key("alipay_public_key").expect("the side's public key").to_vec();
    let public_key = String::from_utf8(public_key).expect("a key as text");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "\r\n\t"];
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1_u64..).zip(notes) {
            let mut story = Story { kind: *kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at()) };
            if *kind == EventKind::RefundSucceeded {
                story.refunded_minor = 100;
                story.refund_no = Some("R-1".to_owned());
            }
            let body = side.callback(&story).request.body;
            for (is_genuine, body) in [(true, body.to_vec()), (false, [&body, b"&z=1".as_slice()].concat())] {
                lines.push(json!({ "public_key": public_key, "body": hexadecimal(&body) }));
                expected.push((is_genuine, format!("{kind}: {note:?}")));
            }
        }
    }
    let verdicts = run(SCRIPT, &["verify"], &lines);
    assert_eq!(verdicts.len(), expected.len());
    for (verdict, (is_genuine, label)) in verdicts.iter().zip(expected) {
        assert_eq!(*verdict != Value::Null, is_genuine, "{label}: {verdict}");
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[derive(Debug, Deserialize)]
struct Certified {
    #[serde(flatten)]
    message: Message,
    serial: String,
    issuer: Vec<(String, String)>,
}

impl Certified {
    fn settings(&self) -> Settings {
        let message = &self.message;
        Settings::new(tollbell_channels::model::Environment::Live)
            .with("app_id", SettingValue::Text(message.app_id.clone()))
            .with("seller_id", SettingValue::Texts(vec![message.seller_id.clone()]))
            .with("alipay_cert", SettingValue::Key(message.public_key.clone().into_bytes().into()))
    }
}

#[test]
fn certificates_have_the_oracles_serials() {
    let platform = platforms::by_kind(KIND).expect("registered");
    let printed = run(SCRIPT, &["certificates", &CERTIFICATES.to_string(), &seed()], &[]);
    assert_eq!(printed.len(), CERTIFICATES);
    let mut disagreements = Vec::new();
    for line in printed {
        let case: Certified = serde_json::from_value(line).expect("a certificate");
        let channel = (platform.build)(&case.settings()).unwrap_or_else(|error| panic!("{:?}: {error}", case.issuer));
        let shown = channel.keys();
        if !shown.iter().any(|note| note.fingerprint.as_deref() == Some(&case.serial)) {
            disagreements.push(format!("{:?}: expected {}, shown {shown:?}", case.issuer, case.serial));
        }
        let request = case.message.request();
        let verdict = channel.verify(&request, at());
        if word(&verdict) != "genuine" {
            disagreements.push(format!("{:?}: `{}`", case.issuer, word(&verdict)));
        }
        check_fields(&case.message, &verdict);
        let body = [&request.body, b"&z=1".as_slice()].concat();
        let spoiled = RawRequest { body: body.into(), ..request };
        assert_eq!(word(&channel.verify(&spoiled, at())), "signature", "{:?}", case.issuer);
    }
    assert!(disagreements.is_empty(), "{} disagreements:\n{}", disagreements.len(), disagreements.join("\n"));
}
