//! The Alipay channel and python-alipay-sdk judge the same messages, in both directions.

mod oracle {
    pub(crate) mod case;
    pub(crate) mod python;
}

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use oracle::case::{Channels, KIND, Message, check_fields, word};
use oracle::python::{run, seed};
use serde::Deserialize;
use serde_json::{Value, json};
use tollbell_channels::channel::Verdict;
use tollbell_channels::form::{Form, Limits};
use tollbell_channels::model::{Environment, EventKind, Timestamp};
use tollbell_channels::platforms;
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Conduct, Cover, Covered, Genuine, PairCover, Story};

const SCRIPT: &str = "alipay_sdk.py";

/// The same SDK, on the download of certificates.
const DOWNLOAD: &str = "alipay_download.py";

/// Cases from the SDK; one in five is genuine and GBK, two in five are spoiled.
const CASES: usize = 3_000;

/// Where the SDK and the protocol sheet part, the sheet is followed: both rules of `sign_type` and both of empty
/// values are live, and base64 has one spelling.
const DIFFERENCES: [(&str, &str); 6] = [
    ("added_empty", "genuine"),
    ("sign_leading_blank", "refused"),
    ("sign_of_skip", "genuine"),
    ("sign_of_v2", "genuine"),
    ("sign_trailing_bits", "refused"),
    ("sign_two_lines", "refused"),
];

#[derive(Debug, Deserialize)]
struct Case {
    #[serde(flatten)]
    message: Message,
    charset: String,
    /// The SDK's verdict.
    sdk: bool,
    /// The sheet's, where it is another.
    differs: Option<String>,
}

#[test]
fn the_channel_and_the_sdk_agree_on_messages_of_the_sdk() {
    let printed = run(SCRIPT, &["generate", &CASES.to_string(), &seed()], &[]);
    assert_eq!(printed.len(), CASES);
    let mut channels = Channels::default();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut genuine: BTreeMap<String, usize> = BTreeMap::new();
    let mut disagreements = Vec::new();
    for line in printed {
        let case: Case = serde_json::from_value(line).expect("a case");
        let message = &case.message;
        let verdict = channels.verify(&message.public_key, &message.settings(), &message.request());
        let expected = case.differs.as_deref().map_or(case.sdk, |differs| differs == "genuine");
        if let Some(differs) = &case.differs {
            *seen.entry((message.label.clone(), differs.clone())).or_default() += 1;
        }
        if (word(&verdict) == "genuine") != expected {
            disagreements.push(format!(
                "case {} ({}, {}): the SDK says {}, the sheet {:?}, the channel `{}`",
                message.number,
                message.label,
                case.charset,
                case.sdk,
                case.differs,
                word(&verdict)
            ));
            continue;
        }
        if word(&verdict) == "genuine" {
            check_fields(message, &verdict);
            *genuine.entry(case.charset).or_default() += 1;
        }
    }
    assert!(disagreements.is_empty(), "{} disagreements:\n{}", disagreements.len(), disagreements.join("\n"));
    let expected = DIFFERENCES.map(|(label, word)| (label.to_owned(), word.to_owned())).to_vec();
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected, "a difference came or went");
    assert!(genuine["utf-8"] > CASES / 4 && genuine["gbk"] > CASES / 20, "too few genuine cases: {genuine:?}");
}

#[test]
fn the_sdk_accepts_what_the_simulator_signs_and_nothing_else() {
    let side = (platforms::by_kind(KIND).expect("registered").simulate)();
    let settings = side.settings();
    let public_key = pem(settings.key("alipay_public_key").expect("the side's public key"));
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a constant time");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", "=&=&", " ", "\r\n\t"];
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1_u64..).zip(notes.iter().cycle().take(40)) {
            let story = story(*kind, serial, note, at);
            let genuine = side.callback(&story);
            lines.push(question(&public_key, &genuine, None));
            expected.push((true, format!("{kind}: {note:?}")));
            let spoiled = ["app_id", "notify_id", "charset", "notify_time"];
            let spoiled = spoiled[usize::try_from(serial).expect("small") % spoiled.len()];
            lines.push(question(&public_key, &genuine, Some(spoiled)));
            expected.push((false, format!("{kind}: {note:?} with another {spoiled}")));
        }
    }
    assert!(lines.len() >= 80, "the side tells no story");
    let verdicts = run(SCRIPT, &["verify"], &lines);
    assert_eq!(verdicts.len(), expected.len());
    for (verdict, (expected, label)) in verdicts.iter().zip(expected) {
        assert_eq!(*verdict, Value::Bool(expected), "{label}");
    }
}

fn story(kind: EventKind, serial: u64, note: &str, at: Timestamp) -> Story {
    let mut story = Story { kind, serial, note: note.to_owned(), ..Story::paid("T-1", 12_345, at) };
    if kind.as_str().starts_with("refund.") {
        story.refunded_minor = 100;
        story.refund_no = Some("R-1".to_owned());
    }
    story
}

/// What the SDK is asked about a callback, perhaps with a letter added to one field.
fn question(public_key: &str, genuine: &Genuine, spoiled: Option<&str>) -> Value {
    let Cover::Pairs(PairCover { covered: Covered::Joined { but, .. }, .. }) = genuine.cover else { panic!("a form") };
    let mut pairs: Vec<(String, String)> = genuine
        .request
        .body
        .split(|&byte| byte == b'&')
        .map(|piece| {
            let at = piece.iter().position(|&byte| byte == b'=').expect("a pair");
            (decoded(&piece[..at]), decoded(&piece[at + 1..]))
        })
        .collect();
    if let Some(spoiled) = spoiled {
        // A field that the message does not have is one that was added.
        match pairs.iter_mut().find(|(name, _)| name == spoiled) {
            Some((_, value)) => value.push('1'),
            None => pairs.push((spoiled.to_owned(), "1".to_owned())),
        }
    }
    let sign_type = pairs.iter().find(|(name, _)| name == "sign_type").expect("a sign_type").1.clone();
    let rule = if but.contains(&"sign_type") { "V1" } else { "V2" };
    json!({ "public_key": public_key, "sign_type": sign_type, "rule": rule, "pairs": pairs })
}

fn decoded(text: &[u8]) -> String {
    let blanks: Vec<u8> = text.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_encoding::percent_decode(&blanks).decode_utf8().expect("the simulator writes UTF-8").into_owned()
}

/// The SDK reads a key in its armour only.
fn pem(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    let inner: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(inner.trim()).expect("base64 SPKI");
    assert!(der.len() > 64, "a key");
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", inner.trim())
}

/// The shop trusts the gateway's key alone: what was signed afresh is the same message under that key.
#[test]
fn what_was_signed_afresh_is_accepted_by_the_new_key_alone() {
    let platform = platforms::by_kind(KIND).expect("registered");
    let side = (platform.simulate)();
    let settings = side.settings();
    let channel = (platform.build)(&settings).unwrap_or_else(|error| panic!("{error}"));
    let private = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = private.as_der().expect("PKCS #8");
    let resigner = channel.resigner(private.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let half = resigner.public_half();
    let line = &half.iter().find(|file| file.name == "public.txt").expect("a file").content;
    assert!(!line.contains(&b'\n') && !line.contains(&b'-'), "one line without armour");
    let (new, old) = (pem(line), pem(settings.key("alipay_public_key").expect("the side's public key")));
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a constant time");
    let later = at + Duration::from_hours(1);
    let mut lines = Vec::new();
    for (serial, note) in (1_u64..).zip(["", "a+b c%41&d=e", "“中文” 😀", " ", "\r\n\t"]) {
        for kind in side.stories() {
            let mut genuine = side.callback(&story(*kind, serial, note, at));
            let original = genuine.request.body.clone();
            genuine.request = resigner.resign(&genuine.request, later, [0; 16]).unwrap_or_else(|e| panic!("{e}"));
            let differing = original.split(|b| *b == b'&').zip(genuine.request.body.split(|b| *b == b'&'));
            let differing: Vec<_> = differing.filter(|(one, other)| one != other).collect();
            assert!(differing.len() == 1 && differing[0].0.starts_with(b"sign="), "only the signature differs");
            lines.push((true, question(&new, &genuine, None)));
            lines.push((false, question(&old, &genuine, None)));
            lines.push((false, question(&new, &genuine, Some("notify_id"))));
        }
    }
    let questions: Vec<Value> = lines.iter().map(|(_, question)| question.clone()).collect();
    for (verdict, (expected, question)) in run(SCRIPT, &["verify"], &questions).iter().zip(&lines) {
        assert_eq!(*verdict, Value::Bool(*expected), "{question}");
    }
}

#[test]
fn a_certificate_is_asked_for_as_the_sdk_asks_and_the_answer_is_signed_as_it_checks() {
    let platform = platforms::by_kind(KIND).expect("registered");
    let office = (platform.simulate)().key_office().expect("it hands out certificates");
    let written = office.written_settings("http://127.0.0.1:9");
    let text = |name: &str| {
        let value = written.iter().find(|one| one.name == name).map(|one| one.value.clone());
        match value {
            Some(SettingValue::Text(text)) => text,
            Some(SettingValue::Key(bytes)) => String::from_utf8(bytes.to_vec()).expect("PEM"),
            other => panic!("{name}: {other:?}"),
        }
    };
    let settings =
        written.iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value.clone()));
    let channel = (platform.build)(&settings).unwrap_or_else(|error| panic!("{error}"));
    let at: Timestamp = "2026-11-21T04:00:00Z".parse().expect("a constant time");
    let callback = office.callback(&Story::paid("T-1", 100, at)).request;
    let Verdict::NeedsKey(needed) = channel.verify(&callback, at) else { panic!("no key is needed") };
    let source = channel.key_source().expect("a source");
    let ask = source.ask(Some(&needed), [0; 16], at).expect("something to ask");
    let honest = office.answer(&ask, at, Conduct::Honest);
    let key = source.read(&honest, Some(&needed), at).expect("an honest answer").remove(0);

    let conducts = [Conduct::Honest, Conduct::BadSignature, Conduct::Stranger];
    let lines: Vec<Value> = conducts
        .iter()
        .map(|conduct| {
            json!({
                "app_id": text("app_id"), "private_key": text("private_key"), "app_cert": text("app_cert"),
                "alipay_cert": key.certificate, "root_cert": text("alipay_root_cert"), "serial": needed.serial,
                "timestamp": "2026-11-21 12:00:00",
                "answer": String::from_utf8_lossy(&office.answer(&ask, at, *conduct).body),
            })
        })
        .collect();
    let form = Form::parse(&ask.body, Limits { bytes_max: 65_536, pairs_max: 64 }).expect("a form");
    let pairs = |is_kept: &dyn Fn(&str) -> bool| -> BTreeMap<String, String> {
        let texts = form.pairs().iter().map(|pair| (pair.name.to_vec(), pair.value.to_vec()));
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        texts.map(|(name, value)| (text(name), text(value))).filter(|(name, _)| is_kept(name)).collect()
    };
    for (conduct, said) in conducts.iter().zip(run(DOWNLOAD, &[], &lines)) {
        let theirs: BTreeMap<String, String> = serde_json::from_value::<Vec<(String, String)>>(said["request"].clone())
            .expect("pairs")
            .into_iter()
            .collect();
        // The SDK leaves `format` out, which only has one value; so its signature is over another text.
        let is_shared = |name: &str| name != "format" && name != "sign";
        let theirs_shared: BTreeMap<_, _> = theirs.into_iter().filter(|(name, _)| is_shared(name)).collect();
        assert_eq!(theirs_shared, pairs(&is_shared), "{conduct:?}");
        assert_eq!(said["answer"].is_object(), *conduct == Conduct::Honest, "{conduct:?}: {said}");
    }
}
