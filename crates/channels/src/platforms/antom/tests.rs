//! Notifications as the platform sends them, and as it never does.

mod facts;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use std::sync::LazyLock;

use super::header::{HEADER_BYTES_MAX, iso, read_time, text, wrapped};
use super::settings::{ADDRESSES_MAX, Capture};
use super::*;
use crate::model::{Environment, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;

const CLIENT: &str = "5J00000000000001";
const TIME: &str = "2026-11-21T12:00:00+08:00";
const PATH: &str = "/notify/antom";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
static OTHER: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

/// The key as the dashboard shows it.
fn bare(pair: &RsaKeyPair) -> SettingValue {
    let key = PublicKey::of_pair("key", pair).unwrap();
    SettingValue::Key(STANDARD.encode(key.spki()).into_bytes().into())
}

fn word(text: &str) -> SettingValue {
    SettingValue::Text(text.to_owned())
}

fn words(texts: &[&str]) -> SettingValue {
    SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("client_id", words(&[CLIENT]))
        .with("antom_public_key", bare(&PAIR))
        .with("capture", words(&["later"]))
}

fn signature(pair: &RsaKeyPair, path: &str, client: &str, time: &str, body: &str) -> String {
    let signed = format!("POST {path}\n{client}.{time}.{body}");
    STANDARD.encode(sign_sha256(pair, signed.as_bytes()).unwrap())
}

fn header_of(base64: &str) -> String {
    format!("algorithm=RSA256,keyVersion=1,signature={}", wrapped(base64))
}

fn request(body: &str, client: &str, time: &str, signature: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=UTF-8"));
    for (name, value) in [("client-id", client), ("request-time", time), ("signature", signature)] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    RawRequest {
        method: Method::POST,
        path: PATH.into(),
        query: None,
        headers,
        body: Bytes::from(body.to_owned()),
        source: None,
        received_at: now(),
    }
}

fn signed_at(body: &str, time: &str) -> RawRequest {
    request(body, CLIENT, time, &header_of(&signature(&PAIR, PATH, CLIENT, time, body)))
}

fn signed(body: &str) -> RawRequest {
    signed_at(body, TIME)
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

/// The notification, or the word of the refusal.
fn outcome(channel: &dyn Channel, request: &RawRequest) -> Result<Notification, &'static str> {
    match channel.verify(request, now()) {
        Verdict::Genuine(proven) => Ok(proven.into_parts().0),
        Verdict::Refused(rejection) => Err(rejection.word()),
        other => panic!("{other:?}"),
    }
}

fn refusal(request: &RawRequest) -> &'static str {
    outcome(channel().as_ref(), request).map(|found| panic!("{found:?}")).unwrap_err()
}

fn paid() -> Value {
    json!({
        "notifyType": "PAYMENT_RESULT",
        "result": { "resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success" },
        "paymentRequestId": "T1",
        "paymentId": "2026112119401080010018800000001",
        "paymentAmount": { "currency": "USD", "value": "1099" },
        "paymentMethodType": "ALIPAY_CN",
        "paymentCreateTime": "2026-11-21T11:59:00+08:00",
        "paymentTime": "2026-11-21T11:59:30+08:00",
    })
}

#[test]
fn the_signed_text_is_method_path_client_time_and_raw_body() {
    let expected = "POST /notify?a=1\nC.T.{\"note\":\"café\"}".as_bytes();
    assert_eq!(text("/notify?a=1", "C", "T", "{\"note\":\"café\"}".as_bytes()), expected);
    let body = paid().to_string();
    let found = outcome(channel().as_ref(), &signed(&body)).unwrap();
    assert_eq!(found.sent_at, Some(now()));
    assert_eq!(found.platform_kind, "PAYMENT_RESULT");
    let Verdict::Genuine(proven) = channel().verify(&signed(&body), now()) else { panic!("refused") };
    let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((key.as_str(), variant.as_str()), ("antom_public_key", "antom"));
    // Every part counts, to the byte.
    let good = signature(&PAIR, PATH, CLIENT, TIME, &body);
    for (path, client, time, other) in [
        ("/notify/antom/", CLIENT, TIME, body.clone()),
        ("/notify/antom?", CLIENT, TIME, body.clone()),
        (PATH, "5J00000000000002", TIME, body.clone()),
        (PATH, CLIENT, "2026-11-21T12:00:01+08:00", body.clone()),
        (PATH, CLIENT, TIME, format!("{body} ")),
        (PATH, CLIENT, TIME, body.replace("1099", "1098")),
    ] {
        let odd = signature(&PAIR, path, client, time, &other);
        assert_eq!(refusal(&request(&body, CLIENT, TIME, &header_of(&odd))), "signature", "{path} {client} {time}");
    }
    // What was parsed and printed again is another body.
    let printed = serde_json::to_string_pretty(&paid()).unwrap();
    assert_eq!(refusal(&request(&printed, CLIENT, TIME, &header_of(&good))), "signature");
    let other = signature(&OTHER, PATH, CLIENT, TIME, &body);
    assert_eq!(refusal(&request(&body, CLIENT, TIME, &header_of(&other))), "signature");
}

#[test]
fn the_header_is_read_in_the_forms_that_antom_writes() {
    let body = paid().to_string();
    let good = signature(&PAIR, PATH, CLIENT, TIME, &body);
    let encoded = wrapped(&good);
    let found = |header: &str| match outcome(channel().as_ref(), &request(&body, CLIENT, TIME, header)) {
        Ok(_) => "genuine",
        Err(word) => word,
    };
    for (header, expected) in [
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded}"), "genuine"),
        (format!("algorithm=RSA256, keyVersion=1, signature={encoded}"), "genuine"),
        (format!("algorithm=RSA256, keyVersion=1, signature={good}"), "genuine"),
        (format!("signature={encoded},keyVersion=2,algorithm=RSA256"), "genuine"),
        // The algorithm is the configuration's.
        (format!("algorithm=RSA1,keyVersion=1,signature={encoded}"), "algorithm"),
        (format!("algorithm=rsa256,keyVersion=1,signature={encoded}"), "algorithm"),
        (format!("algorithm=none,keyVersion=1,signature={encoded}"), "algorithm"),
        (format!("algorithm=HS256,keyVersion=1,signature={encoded}"), "algorithm"),
        (format!("algorithm=,keyVersion=1,signature={encoded}"), "missing"),
        (format!("keyVersion=1,signature={encoded}"), "missing"),
        (format!("algorithm=RSA256,signature={encoded}"), "missing"),
        ("algorithm=RSA256,keyVersion=1,signature=".to_owned(), "missing"),
        ("algorithm=RSA256,keyVersion=1".to_owned(), "missing"),
        (format!("algorithm=RSA256,keyVersion=../1,signature={encoded}"), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded},keyVersion=1"), "duplicate_field"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded},signature={encoded}"), "duplicate_field"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded},x=y"), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded},"), "malformed"),
        (format!("algorithm=RSA256,  keyVersion=1,signature={encoded}"), "malformed"),
        (format!("Algorithm=RSA256,keyVersion=1,signature={encoded}"), "malformed"),
        (format!("algorithm=RSA256;keyVersion=1;signature={encoded}"), "missing"),
        (encoded.clone(), "malformed"),
        (good, "malformed"),
        // One signature has two texts, and no third.
        (format!("algorithm=RSA256,keyVersion=1,signature={}", encoded.replace("%3D", "%3d")), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={}", encoded.replace("%3D%3D", "%3D=")), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={}", encoded.replace("%3D", "")), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={}", encoded.replace('%', "%25")), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature=%41{}", &encoded[1..]), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded}%"), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={encoded} "), "malformed"),
        (format!("algorithm=RSA256,keyVersion=1,signature={}", "A".repeat(HEADER_BYTES_MAX)), "malformed"),
    ] {
        assert_eq!(found(&header), expected, "{header}");
    }
    for name in ["client-id", "request-time", "signature"] {
        let mut twice = signed(&body);
        let value = twice.headers.get(name).unwrap().clone();
        twice.headers.append(name, value);
        assert_eq!(refusal(&twice), "duplicate_field", "{name}");
        let mut none = signed(&body);
        none.headers.remove(name);
        assert_eq!(refusal(&none), "missing", "{name}");
    }
}

/// A plus in base64 stays one: read as a blank, as forms do, the signature would be another.
#[test]
fn a_plus_is_no_blank() {
    let (body, base64) = (0..200)
        .map(|at| json!({ "notifyType": "PAYMENT_RESULT", "at": at }).to_string())
        .map(|body| (body.clone(), signature(&PAIR, PATH, CLIENT, TIME, &body)))
        .find(|(_, base64)| base64.contains('+') && base64.contains('/'))
        .unwrap();
    for (value, is_taken) in [
        (wrapped(&base64), true),
        (base64.clone(), true),
        (base64.replace('+', " "), false),
        (wrapped(&base64).replace("%2B", "+"), false),
        (base64.replace('+', "-").replace('/', "_"), false),
    ] {
        let header = format!("algorithm=RSA256,keyVersion=1,signature={value}");
        let found = outcome(channel().as_ref(), &request(&body, CLIENT, TIME, &header));
        assert_eq!(found.is_ok(), is_taken, "{value}");
    }
}

#[test]
fn a_time_has_one_of_the_documented_forms() {
    let second = |text| read_time(text).map(Timestamp::as_millisecond);
    let noon = 1_795_233_600_000;
    for (text, expected) in [
        ("2026-11-21T12:00:00+08:00", noon),
        ("2026-11-21T04:00:00+00:00", noon),
        ("2026-11-21T04:00:00Z", noon),
        ("2026-11-21T12:00:00.123+08:00", noon + 123),
        ("2026-11-21T12:00:00+0800", noon),
        ("2026-11-20T20:00:00-08:00", noon),
        ("1795233600123", noon + 123),
    ] {
        assert_eq!(second(text), Some(expected), "{text}");
        let body = paid().to_string();
        let found = outcome(channel().as_ref(), &signed_at(&body, text)).unwrap();
        assert_eq!(found.sent_at.map(Timestamp::as_millisecond), Some(expected));
    }
    for bad in [
        "",
        "0",
        "1795233600",
        "17952336001234",
        "-795233600123",
        "+795233600123",
        "2026-11-21",
        "2026-11-21T12:00:00",
        "2026-11-21 12:00:00+08:00",
        "2026-11-21t12:00:00z",
        "2026-11-21T12:00+08:00",
        "2026-11-21T12:00:00,123+08:00",
        "2026-11-21T12:00:00.+08:00",
        "2026-11-21T12:00:00.1234567890Z",
        "2026-11-21T12:00:00+08",
        "2026-11-21T12:00:00+8:00",
        "2026-11-21T12:00:00+08:00[Asia/Shanghai]",
        "2026-13-21T12:00:00Z",
        "2026-02-30T12:00:00Z",
        "2026-11-21T25:00:00Z",
        "2026-11-21T12:00:00+99:00",
        "２０26-11-21T12:00:00Z",
        "2026-11-21T12:00:00.253+08:00.{\"a\":1",
    ] {
        assert_eq!(read_time(bad), None, "{bad}");
    }
    assert_eq!(iso("1795233600123"), None);
    let bad = "2026-11-21";
    assert_eq!(refusal(&signed_at("{}", bad)), "malformed");
}

/// The signed text escapes nothing, and is still one message only: whoever has it cannot cut it elsewhere.
#[test]
fn the_signed_text_cannot_be_cut_elsewhere() {
    let time = "2026-11-21T12:00:00.253+08:00";
    let body = r#"{"a":"1.5","b":"2026-11-21T12:00:00+08:00.{}"}"#;
    let good = header_of(&signature(&PAIR, PATH, CLIENT, time, body));
    assert!(outcome(channel().as_ref(), &request(body, CLIENT, time, &good)).is_ok());
    let whole = format!("{CLIENT}.{time}.{body}");
    let dots: Vec<usize> = whole.match_indices('.').map(|(at, _)| at).collect();
    let mut cuts = 0;
    for (index, first) in dots.iter().enumerate() {
        for second in &dots[index + 1..] {
            let (client, sent, rest) = (&whole[..*first], &whole[first + 1..*second], &whole[second + 1..]);
            if (client, sent) == (CLIENT, time) {
                continue;
            }
            cuts += 1;
            let all = Settings::new(Environment::Live)
                .with("client_id", words(&[CLIENT, "5J00000000000001-2"]))
                .with("antom_public_key", bare(&PAIR))
                .with("capture", words(&["later"]));
            let found = outcome(build(&all).unwrap().as_ref(), &request(rest, client, sent, &good));
            assert!(matches!(found, Err("unknown_merchant" | "malformed")), "{client} | {sent} | {rest}: {found:?}");
        }
    }
    assert!(cuts > 5, "{cuts}");
}

#[test]
fn the_path_is_the_one_that_antom_knows() {
    let body = paid().to_string();
    let at = |path: &str, query: Option<&str>, signed: &str| {
        let header = header_of(&signature(&PAIR, signed, CLIENT, TIME, &body));
        let request = request(&body, CLIENT, TIME, &header);
        RawRequest { path: path.into(), query: query.map(str::to_owned), ..request }
    };
    let is_taken =
        |settings: &Settings, request: &RawRequest| outcome(build(settings).unwrap().as_ref(), request).is_ok();
    // Nothing is configured: the request's own, as it came.
    let own = settings();
    assert!(is_taken(&own, &at("/a%2Fb", None, "/a%2Fb")));
    assert!(!is_taken(&own, &at("/a%2Fb", None, "/a/b")));
    assert!(is_taken(&own, &at("/notify", Some("channel=antom"), "/notify?channel=antom")));
    assert!(!is_taken(&own, &at("/notify", Some("channel=antom"), "/notify")));
    assert!(is_taken(&own, &at("/notify", Some(""), "/notify?")));
    assert!(!is_taken(&own, &at("/inner/notify", None, "/notify")));
    // A proxy took a prefix away, or put one before it.
    let addresses = ["https://pay.example.com/shop/notify?x=1", "/refunds"];
    let configured = settings().with("notify_urls", words(&addresses));
    for path in ["/shop/notify?x=1", "/refunds"] {
        assert!(is_taken(&configured, &at("/inner", Some("whatever"), path)), "{path}");
    }
    for path in ["/inner?whatever", "/inner", "/shop/notify", "https://pay.example.com/shop/notify?x=1"] {
        assert!(!is_taken(&configured, &at("/inner", Some("whatever"), path)), "{path}");
    }
    for (address, path) in [
        ("https://pay.example.com", "/"),
        ("http://pay.example.com:8080/", "/"),
        ("https://pay.example.com?a=1", "/?a=1"),
        ("https://pay.example.com/a?b=/c", "/a?b=/c"),
        (" /a ", "/a"),
    ] {
        assert!(is_taken(&settings().with("notify_urls", words(&[address])), &at("/x", None, path)), "{address}");
    }
}

#[test]
fn the_key_is_the_one_that_is_configured_for_the_version() {
    let body = paid().to_string();
    let by = |pair: &RsaKeyPair, version: &str| {
        let value = wrapped(&signature(pair, PATH, CLIENT, TIME, &body));
        request(&body, CLIENT, TIME, &format!("algorithm=RSA256,keyVersion={version},signature={value}"))
    };
    let proof = |settings: &Settings, request: &RawRequest| match build(settings).unwrap().verify(request, now()) {
        Verdict::Genuine(proven) => match proven.into_parts().1 {
            Proof::Signature { key, .. } => key,
            other @ Proof::PlatformApi { .. } => panic!("{other:?}"),
        },
        Verdict::Refused(rejection) => rejection.word().to_owned(),
        other => panic!("{other:?}"),
    };
    // Without a version the one key counts for all: what calls it is not signed.
    for version in ["1", "2", "a9"] {
        assert_eq!(proof(&settings(), &by(&PAIR, version)), "antom_public_key");
        assert_eq!(proof(&settings(), &by(&OTHER, version)), "signature");
    }
    let named = settings().with("key_version", word("1"));
    assert_eq!(proof(&named, &by(&PAIR, "1")), "antom_public_key 1");
    assert_eq!(proof(&named, &by(&PAIR, "2")), "unknown_key");
    let both = named.with("next_public_key", bare(&OTHER)).with("next_key_version", word("2"));
    assert_eq!(proof(&both, &by(&PAIR, "1")), "antom_public_key 1");
    assert_eq!(proof(&both, &by(&OTHER, "2")), "next_public_key 2");
    assert_eq!(proof(&both, &by(&PAIR, "2")), "signature");
    assert_eq!(proof(&both, &by(&OTHER, "1")), "signature");
    assert_eq!(proof(&both, &by(&OTHER, "3")), "unknown_key");
    let labels: Vec<String> = build(&both).unwrap().keys().into_iter().map(|note| note.label).collect();
    assert_eq!(labels, ["antom_public_key 1", "next_public_key 2"]);
}

#[test]
fn only_ones_own_clients_count() {
    let body = paid().to_string();
    for client in ["5J00000000000002", "5j00000000000001", "SANDBOX_5J00000000000001", "5J00000000000001 "] {
        let header = header_of(&signature(&PAIR, PATH, client, TIME, &body));
        assert_eq!(refusal(&request(&body, client, TIME, &header)), "unknown_merchant", "{client}");
        let likeness = channel().recognise(&request(&body, client, TIME, &header));
        assert_eq!(likeness, Likeness::Shape, "{client}");
    }
    let two = settings().with("client_id", words(&["5J00000000000002", CLIENT]));
    let found = outcome(build(&two).unwrap().as_ref(), &signed(&body)).unwrap();
    assert_eq!(found.scope.account, CLIENT);
    assert_eq!(channel().recognise(&signed(&body)), Likeness::Merchant);
    let mut other = signed(&body);
    other.headers.insert("signature", HeaderValue::from_static("t=1,v1=2"));
    assert_eq!(channel().recognise(&other), Likeness::No);
    for nothing in ["[]", "{}", r#"{"id":"evt_1","type":"payment"}"#, "notifyType"] {
        assert_eq!(channel().recognise(&signed(nothing)), Likeness::No, "{nothing}");
    }
}

#[test]
fn the_outside_is_checked() {
    let body = paid().to_string();
    let mut get = signed(&body);
    get.method = Method::GET;
    assert_eq!(refusal(&get), "method");
    let mut form = signed(&body);
    form.headers.insert("content-type", HeaderValue::from_static("text/plain"));
    assert_eq!(refusal(&form), "media_type");
    assert_eq!(refusal(&signed("")), "empty");
    assert_eq!(refusal(&signed(&" ".repeat(BODY_BYTES_MAX + 1))), "too_large");
}

#[test]
fn settings_that_would_believe_nobody_or_the_wrong_one_are_refused() {
    let error = |settings: &Settings| build(settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(&settings()), None);
    let bare_settings = || Settings::new(Environment::Live);
    assert_eq!(error(&bare_settings()), Some(("client_id", "missing")));
    assert_eq!(error(&bare_settings().with("client_id", words(&[CLIENT]))), Some(("antom_public_key", "missing")));
    let keyed = bare_settings().with("client_id", words(&[CLIENT])).with("antom_public_key", bare(&PAIR));
    assert_eq!(error(&keyed), Some(("capture", "missing")));
    let none = "x".repeat(300);
    let many: Vec<&str> = vec!["/a"; ADDRESSES_MAX + 1];
    for (name, value, word_of) in [
        ("client_id", words(&[]), "empty_list"),
        ("client_id", words(&["a.b"]), "malformed_id"),
        ("client_id", words(&[""]), "malformed_id"),
        ("client_id", words(&[&none]), "malformed_id"),
        ("client_id", words(&["SANDBOX_5J00000000000001"]), "relation"),
        ("merchant_public_key", bare(&PAIR), "not this one"),
        ("key_version", word(""), "malformed_id"),
        ("key_version", word("1,2"), "malformed_id"),
        ("key_version", word("12345678901234567"), "malformed_id"),
        ("notify_urls", words(&["pay.example.com/a"]), "malformed_id"),
        ("notify_urls", words(&["ftp://pay.example.com/a"]), "malformed_id"),
        ("notify_urls", words(&["https:///a"]), "malformed_id"),
        ("notify_urls", words(&["/a b"]), "malformed_id"),
        ("notify_urls", words(&["/a\nb"]), "malformed_id"),
        ("notify_urls", words(&["/a#b"]), "malformed_id"),
        ("notify_urls", words(&["/é"]), "malformed_id"),
        ("notify_urls", words(&many), "out_of_range"),
        ("capture", words(&[]), "empty_list"),
        ("capture", words(&["sometimes"]), "unknown_word"),
        ("capture", words(&["later", "immediate"]), "out_of_range"),
    ] {
        let expected =
            if name == "merchant_public_key" { ("antom_public_key", "own_public_key") } else { (name, word_of) };
        assert_eq!(error(&settings().with(name, value.clone())), Some(expected), "{name} {value:?}");
    }
    // A sandbox has its own ids, and may have others.
    for id in ["SANDBOX_5J00000000000001", CLIENT] {
        let mut sandbox = settings().with("client_id", words(&[id]));
        sandbox.environment = Environment::Sandbox;
        assert_eq!(error(&sandbox), None);
    }
    let with = |pairs: &[(&'static str, SettingValue)]| {
        let all = pairs.iter().fold(settings(), |all, (name, value)| all.with(name, value.clone()));
        error(&all)
    };
    assert_eq!(with(&[("next_public_key", bare(&OTHER))]), Some(("key_version", "missing")));
    assert_eq!(with(&[("next_key_version", word("2"))]), Some(("next_public_key", "missing")));
    let next = ("next_public_key", bare(&OTHER));
    let version = ("key_version", word("1"));
    assert_eq!(with(&[next.clone(), version.clone()]), Some(("next_key_version", "missing")));
    let same = ("next_key_version", word("1"));
    assert_eq!(with(&[next.clone(), version.clone(), same]), Some(("next_key_version", "relation")));
    let own = ("merchant_public_key", bare(&OTHER));
    let other = ("next_key_version", word("2"));
    assert_eq!(with(&[next, version, other, own.clone()]), Some(("next_public_key", "own_public_key")));
    assert_eq!(with(&[own]), None);
    let weak = SettingValue::Key(b"MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK".to_vec().into());
    assert_eq!(with(&[("antom_public_key", weak)]), Some(("antom_public_key", "not_a_key")));
}

#[test]
fn what_the_application_says_is_read_as_antom_would() {
    let channel = channel();
    let read = |status: u16, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for (body, expected) in [
        (r#"{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}"#, AckMatch::Exact),
        (r#"{"result":{"resultStatus":"S","resultCode":"SUCCESS","resultMessage":"Success."}}"#, AckMatch::Exact),
        ("{ \"result\": { \"resultCode\": \"SUCCESS\", \"resultStatus\": \"S\" } }\n", AckMatch::Trimmed),
        (r#"{"result":{"resultCode":"SUCCESS","resultStatus":"F"}}"#, AckMatch::No),
        (r#"{"result":{"resultCode":"SUCCESS","resultStatus":"U"}}"#, AckMatch::No),
        (r#"{"result":{"resultCode":"FAIL","resultStatus":"S"}}"#, AckMatch::No),
        (r#"{"result":{"resultStatus":"S"}}"#, AckMatch::No),
        (r#"{"resultCode":"SUCCESS","resultStatus":"S"}"#, AckMatch::No),
        (r#"{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultStatus":"F"}}"#, AckMatch::No),
        ("success", AckMatch::No),
        ("", AckMatch::No),
    ] {
        assert_eq!(read(200, body), expected, "{body}");
        assert_eq!(read(500, body), AckMatch::No, "{body}");
    }
}

#[test]
fn a_request_is_signed_afresh_for_the_path_that_was_signed() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let private: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let body = paid().to_string();
    let later: Timestamp = "2026-11-22T04:00:00Z".parse().unwrap();
    let trusting = |settings: Settings| build(&settings.with("antom_public_key", bare(&pair))).unwrap();
    for (addresses, path) in [(None, PATH), (Some("https://pay.example.com/shop/notify?x=1"), "/shop/notify?x=1")] {
        let all = addresses.map_or_else(settings, |one| settings().with("notify_urls", words(&[one])));
        let resigner = build(&all).unwrap().resigner(private.as_ref()).unwrap();
        let header = header_of(&signature(&PAIR, path, CLIENT, TIME, &body));
        let proven = request(&body, CLIENT, TIME, &header);
        let fresh = resigner.resign(&proven, later, [0; 16]).unwrap();
        assert_eq!((&fresh.body, &fresh.path), (&proven.body, &proven.path));
        let found = outcome(trusting(all.clone()).as_ref(), &fresh).unwrap();
        assert_eq!(found.sent_at, Some(later));
        assert_eq!(found.facts, outcome(build(&all).unwrap().as_ref(), &proven).unwrap().facts);
        assert_eq!(outcome(build(&all).unwrap().as_ref(), &fresh), Err("signature"));
        let half = resigner.public_half();
        assert!(half.iter().all(|file| PublicKey::read("key", &file.content).is_ok()), "{half:?}");
    }
    let believed: Pkcs8V1Der<'_> = PAIR.as_der().unwrap();
    let error = channel().resigner(believed.as_ref()).unwrap_err();
    assert_eq!((error.setting, error.word), ("resign_key", "believed_key"));
    assert_eq!(Config::build(&settings()).unwrap().capture, Capture::Later);
}
