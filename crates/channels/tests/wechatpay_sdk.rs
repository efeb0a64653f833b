//! The WeChat Pay channel and wechatpayv3 judge the same messages, in both directions.

mod oracle {
    pub(crate) mod python;
}

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use oracle::python::{run, seed};
use serde::Deserialize;
use serde_json::{Value, json};
use tollbell_channels::channel::{Channel, HttpAnswer, KeyRequest, Rejection, Verdict};
use tollbell_channels::model::{Environment, RawRequest, Timestamp};
use tollbell_channels::platforms::{Platform, by_kind};
use tollbell_channels::settings::{SettingValue, Settings};
use tollbell_channels::simulate::{Conduct, KeyOffice, Story};

const SCRIPT: &str = "wechatpay_sdk.py";

/// The same SDK, on the download of certificates.
const CERTIFICATES: &str = "wechatpay_certificates.py";

/// Lists of certificates from the SDK; five in six are odd or spoiled.
const LISTS: usize = 240;

/// Cases from the SDK; three in five are spoiled.
const CASES: usize = 4_000;

/// Where the SDK and the protocol sheet part, the sheet is followed: there is a window of time, one spelling of
/// base64, one member of a name, and a signature type may be left out.
const DIFFERENCES: [(&str, &str); 8] = [
    ("early", "refused"),
    ("milliseconds", "refused"),
    ("stale", "refused"),
    ("trailing_bits", "refused"),
    ("twice", "refused"),
    ("twice_in_box", "refused"),
    ("type_missing", "genuine"),
    ("wrapped", "refused"),
];

#[derive(Debug, Deserialize)]
struct Case {
    number: u64,
    label: String,
    side: u64,
    mchid: String,
    api_v3_key: String,
    public_key: String,
    key_id: String,
    certificate: String,
    headers: Vec<(String, String)>,
    body: String,
    /// The SDK's verdict.
    sdk: bool,
    /// The sheet's, where it is another.
    differs: Option<String>,
    attach: String,
    total: i64,
}

fn platform() -> &'static Platform {
    by_kind("wechat_pay").expect("registered")
}

fn at() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().expect("a constant time")
}

fn key(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

impl Case {
    fn channel(&self) -> Box<dyn Channel> {
        let settings = Settings::new(Environment::Live)
            .with("mchid", SettingValue::Text(self.mchid.clone()))
            .with("appid", SettingValue::Texts(vec!["wx01".to_owned()]))
            .with("api_v3_key", key(&self.api_v3_key))
            .with("wechatpay_public_key", key(&self.public_key))
            .with("wechatpay_public_key_id", SettingValue::Text(self.key_id.clone()))
            .with("platform_certs", key(&self.certificate));
        (platform().build)(&settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn request(&self) -> RawRequest {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            headers.insert(name, value.parse().expect("a header value"));
        }
        let body = (0..self.body.len()).step_by(2).map(|at| u8::from_str_radix(&self.body[at..at + 2], 16));
        RawRequest {
            method: Method::POST,
            path: "/notify/shop".to_owned(),
            query: None,
            headers,
            body: body.map(|byte| byte.expect("hexadecimal from the oracle")).collect::<Vec<u8>>().into(),
            source: None,
            received_at: at(),
        }
    }
}

#[test]
fn the_channel_and_the_sdk_agree_on_messages_of_the_sdk() {
    let printed = run(SCRIPT, &["generate", &CASES.to_string(), &seed()], &[]);
    assert_eq!(printed.len(), CASES);
    let mut channels: HashMap<u64, Box<dyn Channel>> = HashMap::new();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut disagreements = Vec::new();
    let mut genuine = 0;
    for line in printed {
        let case: Case = serde_json::from_value(line).expect("a case");
        let channel = channels.entry(case.side).or_insert_with(|| case.channel());
        let verdict = channel.verify(&case.request(), at());
        let expected = case.differs.as_deref().map_or(case.sdk, |differs| differs == "genuine");
        if let Some(differs) = &case.differs {
            *seen.entry((case.label.clone(), differs.clone())).or_default() += 1;
        }
        match verdict {
            Verdict::Genuine(proven) if expected => {
                let found = proven.value();
                assert_eq!(found.concerns, [], "case {}", case.number);
                let money = found.facts[0].signed_money().expect("an amount");
                assert_eq!(money.minor, case.total, "case {}", case.number);
                let fields = channel.fields(&case.request());
                let attach = fields.iter().find(|(name, _)| name == "plaintext.attach").expect("the attach");
                assert_eq!(attach.1, case.attach, "case {}", case.number);
                genuine += 1;
            }
            Verdict::Refused(_) | Verdict::NeedsKey(_) if !expected => {}
            other => disagreements.push(format!(
                "case {} ({}): the SDK says {}, the sheet {:?}, the channel {other:?}",
                case.number, case.label, case.sdk, case.differs
            )),
        }
    }
    assert!(disagreements.is_empty(), "{} disagreements:\n{}", disagreements.len(), disagreements.join("\n"));
    let expected = DIFFERENCES.map(|(label, word)| (label.to_owned(), word.to_owned())).to_vec();
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected, "a difference came or went");
    assert!(genuine > CASES / 3, "too few genuine cases: {genuine}");
}

#[test]
fn the_sdk_opens_what_the_simulator_makes_and_nothing_else() {
    let side = (platform().simulate)();
    let settings = side.settings();
    let text = |name| String::from_utf8(settings.key(name).expect("a key").to_vec()).expect("a text");
    let notes = ["", "a+b c%41&d=e", "“中文” 😀", "\\\"'<&amp;>", " ", "\r\n\t", "a/b"];
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for kind in side.stories() {
        for (serial, note) in (1_u64..).zip(notes.iter().cycle().take(40)) {
            let mut story = Story { kind: *kind, serial, note: (*note).to_owned(), ..Story::paid("T-1", 12_345, at()) };
            story.refunded_minor = 100;
            let request = side.callback(&story).request;
            for spoiled in ["", "timestamp", "nonce", "body"] {
                let mut headers: BTreeMap<String, String> = request
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
                    .collect();
                let mut body = String::from_utf8(request.body.to_vec()).expect("UTF-8");
                match spoiled {
                    "" => {}
                    "body" => body.push(' '),
                    name => headers.get_mut(&format!("wechatpay-{name}")).expect("a header").push('1'),
                }
                lines.push(json!({
                    "public_key": text("wechatpay_public_key"),
                    "key_id": settings.text("wechatpay_public_key_id"),
                    "api_v3_key": text("api_v3_key"),
                    "headers": headers,
                    "body": body,
                }));
                expected.push((spoiled.is_empty(), format!("{kind}: {note:?} {spoiled}")));
            }
        }
    }
    let verdicts = run(SCRIPT, &["verify"], &lines);
    assert_eq!(verdicts.len(), expected.len());
    for (verdict, (is_genuine, label)) in verdicts.iter().zip(expected) {
        let opened = matches!(verdict, Value::String(text) if serde_json::from_str::<Value>(text).is_ok());
        assert_eq!(opened, is_genuine, "{label}: {verdict}");
    }
}

/// A channel that may download, with this secret.
fn downloader(office: &dyn KeyOffice, api_v3_key: Option<&str>) -> Box<dyn Channel> {
    let settings = office.written_settings("http://127.0.0.1:9");
    let settings =
        settings.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value));
    let settings = match api_v3_key {
        Some(secret) => settings.with("api_v3_key", key(secret)),
        None => settings,
    };
    (platform().build)(&settings).unwrap_or_else(|error| panic!("{error}"))
}

fn office() -> Box<dyn KeyOffice> {
    (platform().simulate)().key_office().expect("it hands out certificates")
}

#[derive(Debug, Deserialize)]
struct List {
    number: u64,
    label: String,
    api_v3_key: String,
    headers: Vec<(String, String)>,
    body: String,
    /// The certificates that the SDK takes.
    serials: Vec<String>,
    /// Its verdict on the answer's signature.
    signed: bool,
    /// The sheet's verdict, where it is another.
    differs: Option<String>,
}

#[test]
fn the_channel_takes_the_certificates_that_the_sdk_takes() {
    let office = office();
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut taken = 0;
    for line in run(CERTIFICATES, &["give", &LISTS.to_string(), &seed()], &[]) {
        let list: List = serde_json::from_value(line).expect("a list");
        let channel = downloader(&*office, Some(&list.api_v3_key));
        let mut headers = HeaderMap::new();
        for (name, value) in &list.headers {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).expect("a name"), value.parse().expect("a value"));
        }
        let answer = HttpAnswer { status: 200, headers, body: list.body.clone().into_bytes().into() };
        let read = channel.key_source().expect("a source").read(&answer, None, at());
        let label = format!("list {} ({}): {read:?}", list.number, list.label);
        let is_taken_by_sdk = list.signed && !list.serials.is_empty();
        let expected = list.differs.as_deref().map_or(is_taken_by_sdk, |differs| differs == "taken");
        if let Some(differs) = &list.differs {
            *seen.entry((list.label.clone(), differs.clone())).or_default() += 1;
        }
        assert_eq!(read.is_ok(), expected, "{label}");
        if let Ok(keys) = &read {
            let mut serials: Vec<String> = keys.iter().map(|key| key.serial.clone()).collect();
            let mut theirs = list.serials.clone();
            serials.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(serials, theirs, "{label}");
            channel.key_source().expect("a source").with_keys(keys, at()).expect("keys that were just read");
            taken += 1;
        }
    }
    let expected = [
        ("no_type", "taken"),
        ("one_of_other_secret", "refused"),
        ("renamed", "refused"),
        ("stale", "refused"),
        ("twice", "refused"),
    ];
    let expected = expected.map(|(label, word)| (label.to_owned(), word.to_owned())).to_vec();
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), expected, "a difference came or went");
    assert!(taken > LISTS / 8, "too few good lists: {taken}");
}

#[test]
fn the_sdk_takes_the_certificate_that_the_office_gives_and_then_the_callback() {
    let office = office();
    let channel = downloader(&*office, None);
    let callback = office.callback(&Story::paid("T-1", 12_345, at())).request;
    let Verdict::NeedsKey(needed) = channel.verify(&callback, at()) else { panic!("no key is needed") };
    let source = channel.key_source().expect("a source");
    let ask = source.ask(Some(&needed), [7; 16], at()).expect("something to ask");
    let settings = office.written_settings("http://127.0.0.1:9");
    let secret = settings.iter().find_map(|one| match &one.value {
        SettingValue::Key(bytes) if one.name == "api_v3_key" => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    });
    let texts = |headers: &HeaderMap| -> BTreeMap<String, String> {
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned())).collect()
    };
    let conducts = [Conduct::Honest, Conduct::BadSignature, Conduct::Stranger, Conduct::Ended, Conduct::Unasked];
    let lines: Vec<Value> = conducts
        .iter()
        .map(|conduct| {
            let answer = office.answer(&ask, at(), *conduct);
            json!({
                "api_v3_key": secret, "headers": texts(&answer.headers),
                "body": String::from_utf8_lossy(&answer.body),
                "callback": {
                    "headers": texts(&callback.headers), "body": String::from_utf8_lossy(&callback.body),
                },
            })
        })
        .collect();
    let verdicts = run(CERTIFICATES, &["take"], &lines);
    for (conduct, verdict) in conducts.iter().zip(&verdicts) {
        let serials: Vec<&str> =
            verdict["serials"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        let takes_the_needed = serials == [needed.serial.as_str()];
        assert_eq!(
            takes_the_needed,
            matches!(conduct, Conduct::Honest | Conduct::BadSignature),
            "{conduct:?}: {verdict}"
        );
        assert_eq!(verdict["callback"].is_string(), takes_the_needed, "{conduct:?}: {verdict}");
        let is_signed = matches!(conduct, Conduct::Honest | Conduct::Unasked);
        assert_eq!(verdict["signed"].as_bool(), Some(is_signed), "{conduct:?}: {verdict}");
    }
}

#[test]
fn the_request_is_signed_as_the_sdk_signs_it() {
    let office = office();
    let channel = downloader(&*office, None);
    let settings = office.written_settings("http://127.0.0.1:9");
    let text = |name: &str| {
        settings.iter().find(|one| one.name == name).map(|one| match &one.value {
            SettingValue::Text(text) => text.clone(),
            SettingValue::Key(bytes) => String::from_utf8(bytes.to_vec()).expect("PEM"),
            other => panic!("{other:?}"),
        })
    };
    let needed = KeyRequest { serial: "AB".to_owned() };
    let mut lines = Vec::new();
    let mut ours = Vec::new();
    for number in 0..20_u8 {
        let chance = [number.wrapping_mul(37); 16];
        let ask = channel.key_source().expect("a source").ask(Some(&needed), chance, at()).expect("something to ask");
        ours.push(ask.headers["authorization"].to_str().expect("ASCII").to_owned());
        lines.push(json!({
            "private_key": text("private_key"), "mchid": text("mchid"), "serial": text("merchant_serial_no"),
            "timestamp": at().as_second(), "nonce": chance.map(|byte| format!("{byte:02x}")).concat(),
        }));
    }
    let theirs = run(CERTIFICATES, &["sign"], &lines);
    assert_eq!(theirs, ours.into_iter().map(Value::String).collect::<Vec<_>>());
}

/// An hour after the platform signed: the shop's kit and its window of time accept what was signed afresh, in
/// both of the ways in which a kit knows its platform.
#[test]
fn what_was_signed_afresh_is_accepted_an_hour_later() {
    let side = (platform().simulate)();
    let settings = side.settings();
    let channel = (platform().build)(&settings).unwrap_or_else(|error| panic!("{error}"));
    let private = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
    let private: Pkcs8V1Der<'_> = private.as_der().expect("PKCS #8");
    let resigner = channel.resigner(private.as_ref()).unwrap_or_else(|error| panic!("{error}"));
    let half = resigner.public_half();
    let file = |name: &str| half.iter().find(|file| file.name == name).expect("a file");
    let text = |name: &str| String::from_utf8(file(name).content.clone()).expect("a text");
    let id = |name: &str| file(name).id.clone().expect("an id");
    let later = at() + Duration::from_hours(1);
    let shop = |settings: Settings| (platform().build)(&settings).unwrap_or_else(|error| panic!("{error}"));
    let common = || {
        let own = settings.texts("appid").expect("given").to_vec();
        Settings::new(Environment::Sandbox)
            .with("mchid", SettingValue::Text(settings.text("mchid").expect("given").to_owned()))
            .with("appid", SettingValue::Texts(own))
            .with("api_v3_key", SettingValue::Key(settings.key("api_v3_key").expect("given").to_vec().into()))
    };
    let by_key = shop(
        common()
            .with("wechatpay_public_key", key(&text("public.pem")))
            .with("wechatpay_public_key_id", SettingValue::Text(id("public.pem"))),
    );
    let by_certificate = shop(common().with("platform_certs", key(&text("certificate.pem"))));
    let api_v3_key = String::from_utf8(settings.key("api_v3_key").expect("given").to_vec()).expect("a text");
    let mut lines = Vec::new();
    for (serial, kind) in (1_u64..).zip(side.stories()) {
        let story = Story { kind: *kind, serial, refunded_minor: 100, ..Story::paid("T-1", 12_345, at()) };
        let mut original = side.callback(&story).request;
        assert!(matches!(channel.verify(&original, at()), Verdict::Genuine(_)), "{kind}");
        assert!(matches!(channel.verify(&original, later), Verdict::Refused(Rejection::Stale { .. })), "{kind}");
        for mode in ["public.pem", "certificate.pem"] {
            if mode == "certificate.pem" {
                original
                    .headers
                    .insert("wechatpay-serial", HeaderValue::from_static("5157F09EFDC096DE15EBE81A47057A72"));
            }
            let fresh = resigner.resign(&original, later, [7; 16]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(fresh.body, original.body);
            assert_eq!(fresh.headers.len(), original.headers.len());
            assert_eq!(fresh.single_header("wechatpay-serial"), Some(id(mode).as_str()));
            let by = if mode == "public.pem" { &by_key } else { &by_certificate };
            let Verdict::Genuine(proven) = by.verify(&fresh, later) else { panic!("{kind} {mode}") };
            assert!(proven.value().concerns.is_empty(), "{kind}: {:?}", proven.value().concerns);
            // The platform's own key is not known to the shop.
            let is_foreign = matches!(
                by.verify(&original, at()),
                Verdict::NeedsKey(_) | Verdict::Refused(Rejection::UnknownKey { .. })
            );
            assert!(is_foreign, "{kind} {mode}");
            if mode == "public.pem" {
                for is_spoiled in [false, true] {
                    let mut headers: BTreeMap<String, String> = fresh
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
                        .collect();
                    if is_spoiled {
                        headers.get_mut("wechatpay-timestamp").expect("a header").push('1');
                    }
                    lines.push(json!({
                        "public_key": text("public.pem"),
                        "key_id": id("public.pem"),
                        "api_v3_key": api_v3_key,
                        "headers": headers,
                        "body": String::from_utf8(fresh.body.to_vec()).expect("UTF-8"),
                    }));
                }
            }
        }
    }
    let verdicts = run(SCRIPT, &["verify"], &lines);
    assert_eq!(verdicts.len(), 2 * side.stories().len());
    for (number, verdict) in verdicts.iter().enumerate() {
        assert_eq!(verdict.is_string(), number % 2 == 0, "{number}: {verdict}");
    }
}
