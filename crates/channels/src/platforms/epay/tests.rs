//! Tests of the whole channel: the vector, both generations, every mistake that is ours to refuse, the settings.

mod names;
mod query;

use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::form;
use crate::model::{Amount, Concern, Environment, EventKind, Proof};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;

const KEY: &str = "testkey0123456789abcdef";
const NOW: &str = "2026-11-21T04:00:00Z";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.into())
}

fn texts(values: &[&str]) -> SettingValue {
    SettingValue::Texts(values.iter().map(|value| (*value).to_owned()).collect())
}

fn key(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(bytes.to_vec().into())
}

fn merchant() -> Settings {
    Settings::new(Environment::Live).with("site", text("pay.example.com")).with("pid", text("1001"))
}

fn v1() -> Settings {
    merchant().with("key", key(KEY.as_bytes()))
}

fn public() -> Vec<u8> {
    STANDARD.encode(PublicKey::of_pair("k", &PAIR).unwrap().spki()).into_bytes()
}

fn v2() -> Settings {
    merchant().with("platform_public_key", key(&public()))
}

fn both() -> Settings {
    v1().with("platform_public_key", key(&public()))
}

type Pairs = Vec<(&'static str, String)>;

fn pairs(list: &[(&'static str, &str)]) -> Pairs {
    list.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

/// The fields of the documents' example.
fn usual() -> Pairs {
    pairs(&[
        ("pid", "1001"),
        ("trade_no", "20160806151343349021"),
        ("out_trade_no", "20160806151343349"),
        ("type", "alipay"),
        ("name", "VIP会员"),
        ("money", "1.00"),
        ("trade_status", "TRADE_SUCCESS"),
        ("param", ""),
    ])
}

fn usual_v2() -> Pairs {
    let mut all = usual();
    all.extend(pairs(&[("addtime", "2026-11-21 11:59:00"), ("endtime", "2026-11-21 11:59:59"), ("api_trade_no", "")]));
    all.push(("timestamp", now().as_second().to_string()));
    all
}

fn set(all: &mut Pairs, name: &'static str, value: &str) {
    all.retain(|(other, _)| *other != name);
    all.push((name, value.to_owned()));
}

fn with(mut all: Pairs, name: &'static str, value: &str) -> Pairs {
    set(&mut all, name, value);
    all
}

fn without(mut all: Pairs, name: &str) -> Pairs {
    all.retain(|(other, _)| *other != name);
    all
}

/// What is signed, made a second time here.
fn canonical(all: &Pairs) -> String {
    let mut sorted: Vec<_> =
        all.iter().filter(|(name, value)| !value.is_empty() && !["sign", "sign_type"].contains(name)).collect();
    sorted.sort();
    sorted.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn md5(parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    DigestHash::Md5.hex_of(&parts, HexCase::Lower)
}

fn sealed_v1(mut all: Pairs) -> Pairs {
    let sign = md5(&[&canonical(&all), KEY]);
    all.extend([("sign", sign), ("sign_type", "MD5".to_owned())]);
    all
}

fn sealed_v2(mut all: Pairs) -> Pairs {
    let sign = STANDARD.encode(sign_sha256(&PAIR, canonical(&all).as_bytes()).unwrap());
    all.extend([("sign", sign), ("sign_type", "RSA".to_owned())]);
    all
}

fn encoded(all: &Pairs) -> Vec<u8> {
    form::encode(all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn get_raw(query: &str) -> RawRequest {
    RawRequest {
        method: Method::GET,
        path: "/notify/epay".into(),
        query: Some(query.to_owned()),
        headers: HeaderMap::new(),
        body: bytes::Bytes::new(),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn get(all: &Pairs) -> RawRequest {
    get_raw(&String::from_utf8(encoded(all)).unwrap())
}

fn post(all: &Pairs) -> RawRequest {
    let mut request = RawRequest { method: Method::POST, query: None, body: encoded(all).into(), ..get_raw("") };
    let media = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers.insert("content-type", media);
    request
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn verdict(settings: &Settings, request: &RawRequest) -> Verdict {
    build(settings).unwrap().verify(request, now())
}

#[track_caller]
fn genuine(settings: &Settings, request: &RawRequest) -> Notification {
    match verdict(settings, request) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(settings: &Settings, request: &RawRequest) -> Rejection {
    match verdict(settings, request) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

#[test]
fn the_vector_of_the_documents_is_genuine_by_get_and_by_form() {
    let all = sealed_v1(usual());
    assert!(all.contains(&("sign", "09c7c462e635dfdf0f972338b56d07a3".to_owned())));
    for request in [get(&all), post(&all)] {
        let notification = genuine(&v1(), &request);
        assert!(notification.concerns.is_empty(), "{notification:?}");
        assert_eq!(notification.platform_id, "20160806151343349021:TRADE_SUCCESS");
        assert_eq!(notification.scope.account, "pay.example.com/1001");
        assert_eq!(notification.sent_at.unwrap().to_string(), "2016-08-06T07:13:43Z");
        let fact = &notification.facts[0];
        assert_eq!(notification.facts.len(), 1);
        assert_eq!((fact.kind, fact.identity.as_str()), (EventKind::PaymentSucceeded, "20160806151343349021"));
        assert_eq!(fact.order_no.as_deref(), Some("20160806151343349"));
        assert_eq!(fact.platform_no.as_deref(), Some("20160806151343349021"));
        assert_eq!(
            fact.signed_money().map(|money| (money.minor, money.currency.code().to_owned())),
            Some((100, "CNY".into()))
        );
        assert_eq!((fact.payee.as_deref(), fact.occurred_at), (Some("1001"), None));
    }
}

#[test]
fn the_second_generation_is_genuine_under_both_names_of_its_algorithm() {
    for (name, settings) in [("RSA", v2()), ("SHA256WithRSA", v2()), ("RSA", both())] {
        let all = with(sealed_v2(usual_v2()), "sign_type", name);
        for request in [get(&all), post(&all)] {
            let Verdict::Genuine(proven) = verdict(&settings, &request) else { panic!("{name}") };
            let (notification, proof) = proven.into_parts();
            assert_eq!(proof, Proof::Signature { key: "platform_public_key".into(), variant: "v2".into() });
            assert_eq!(notification.sent_at, Some(now()));
            assert_eq!(notification.facts[0].occurred_at.unwrap().to_string(), "2026-11-21T03:59:59Z");
        }
    }
}

#[test]
fn the_configuration_says_which_generation_is_believed() {
    let algorithm =
        |settings: &Settings, all: &Pairs| matches!(refused(settings, &get(all)), Rejection::Algorithm { .. });
    assert!(algorithm(&v2(), &sealed_v1(usual())));
    assert!(algorithm(&v1(), &sealed_v2(usual_v2())));
    for word in ["md5", "MD5 ", "RSA2", "rsa", "SHA256withRSA", "HMAC", "none", "SM2"] {
        assert!(algorithm(&both(), &with(sealed_v1(usual()), "sign_type", word)), "{word}");
    }
    // Each signature under the other's name.
    assert_eq!(refused(&both(), &get(&with(sealed_v2(usual_v2()), "sign_type", "MD5"))), Rejection::Signature);
    let rejection = refused(&both(), &get(&with(sealed_v1(usual_v2()), "sign_type", "RSA")));
    assert!(matches!(rejection, Rejection::Signature | Rejection::Malformed { .. }));
}

#[test]
fn the_public_key_is_no_secret_of_the_first_generation() {
    let mut all = usual();
    let sign = md5(&[&canonical(&all), &String::from_utf8(public()).unwrap()]);
    all.extend([("sign", sign), ("sign_type", "MD5".to_owned())]);
    assert_eq!(refused(&both(), &get(&all)), Rejection::Signature);
    let error = build(&merchant().with("key", key(&public()))).err().unwrap();
    assert_eq!((error.setting, error.word), ("key", "wrong_algorithm"));
}

/// A buyer's browser sees the shop's own signed request. Its free text, cut anew, must not become a callback.
#[test]
fn a_shops_request_cut_anew_is_no_callback() {
    let request = pairs(&[
        ("money", "100.00"),
        ("out_trade_no", "O1"),
        ("pid", "1001"),
        ("return_url", "https://shop.example/r?to=A&trade_no=2026112115000099999&trade_status=TRADE_SUCCESS"),
    ]);
    let sealed = sealed_v1(request.clone());
    let mut cut = without(sealed.clone(), "return_url");
    cut.extend(pairs(&[
        ("return_url", "https://shop.example/r?to=A"),
        ("trade_no", "2026112115000099999"),
        ("trade_status", "TRADE_SUCCESS"),
    ]));
    assert_eq!(
        canonical(&without(without(cut.clone(), "sign"), "sign_type")),
        canonical(&request),
        "the same signed text"
    );
    for forged in [cut, sealed] {
        assert!(matches!(refused(&v1(), &get(&forged)), Rejection::Malformed { .. }));
        assert!(matches!(refused(&v1(), &post(&forged)), Rejection::Malformed { .. }));
    }
    let own = v1().with("ignored_parameters", texts(&["return_url"]));
    assert!((PLATFORM.build)(&own).is_err());
}

#[test]
fn what_forks_sign_otherwise_is_refused() {
    let all = usual();
    let canonical = canonical(&all);
    let sign = md5(&[&canonical, KEY]);
    for (label, wrong) in [
        ("`&key=` before the KEY", md5(&[&canonical, "&key=", KEY])),
        ("`&` before the KEY", md5(&[&canonical, "&", KEY])),
        ("no KEY", md5(&[&canonical])),
        ("KEY in front", md5(&[KEY, &canonical])),
        ("empties signed", md5(&[&canonical.replace("&pid=", "&param=&pid="), KEY])),
        ("sign_type signed", md5(&[&canonical.replace("&trade_no=", "&sign_type=MD5&trade_no="), KEY])),
        ("rounded amount", md5(&[&canonical.replace("money=1.00", "money=1"), KEY])),
        ("capital letters", sign.to_uppercase()),
        ("a half", sign[..16].to_owned()),
        ("blanks", format!("{sign} ")),
        ("magic of a loose comparison", "0e462097431906509019562988736854".to_owned()),
        ("base64", STANDARD.encode(DigestHash::Md5.of(&[canonical.as_bytes(), KEY.as_bytes()]))),
    ] {
        let mut spoilt = all.clone();
        spoilt.extend([("sign", wrong), ("sign_type", "MD5".to_owned())]);
        assert_eq!(refused(&v1(), &get(&spoilt)), Rejection::Signature, "{label}");
    }
}

#[test]
fn every_change_of_what_is_signed_is_refused() {
    for sealed in [sealed_v1(usual()), sealed_v2(usual_v2())] {
        let signed: Vec<&'static str> = sealed
            .iter()
            .filter(|(name, value)| !["sign", "sign_type"].contains(name) && !value.is_empty())
            .map(|(name, _)| *name)
            .collect();
        for name in signed {
            let value = sealed.iter().find(|(other, _)| *other == name).unwrap().1.clone();
            let changed =
                [format!("{value}0"), format!(" {value}"), value.to_lowercase() + "x", "1".into(), String::new()];
            for other in changed {
                verdict_is_refused(&get(&with(sealed.clone(), name, &other)), name);
            }
            verdict_is_refused(&get(&without(sealed.clone(), name)), name);
        }
        verdict_is_refused(&get(&with(sealed.clone(), "added", "1")), "added");
        // What is empty says nothing, and is not signed.
        let notification = genuine(&both(), &get(&with(sealed.clone(), "added", "")));
        assert_eq!(notification, genuine(&both(), &get(&sealed)));
    }
}

#[track_caller]
fn verdict_is_refused(request: &RawRequest, label: &str) {
    assert!(matches!(verdict(&both(), request), Verdict::Refused(_)), "{label}");
}

#[test]
fn amounts_come_with_and_without_decimals() {
    for (money, minor) in
        [("1", 100), ("0.1", 10), ("0.10", 10), ("1.00", 100), ("0", 0), ("123456.78", 12_345_678), ("007", 700)]
    {
        let notification = genuine(&v1(), &get(&sealed_v1(with(usual(), "money", money))));
        assert!(notification.concerns.is_empty(), "{money}");
        assert_eq!(notification.facts[0].signed_money().unwrap().minor, minor, "{money}");
    }
    for money in [
        "1.001",
        "1.0E+5",
        "1e2",
        "-1",
        "+1",
        "1,00",
        " 1",
        "1 ",
        "0x10",
        "1.",
        ".5",
        "１",
        "NaN",
        "9".repeat(30).as_str(),
    ] {
        let notification = genuine(&v1(), &get(&sealed_v1(with(usual(), "money", money))));
        assert_eq!(words(&notification), ["unreadable_amount"], "{money:?}");
        assert_eq!(notification.facts[0].amount, Amount::Unreadable);
    }
}

/// Forks write the end of a payment as they like; nothing depends on it but when it happened.
#[test]
fn a_time_that_cannot_be_read_holds_no_payment_back() {
    for (text, expected) in [
        ("2026-11-21 11:59:59", Some("2026-11-21T03:59:59Z")),
        ("2026-11-21 11:59", None),
        ("1795233600", None),
        ("2026/11/21 11:59:59", None),
        ("2026-02-30 00:00:00", None),
        ("０", None),
        (" ", None),
    ] {
        let notification = genuine(&v2(), &get(&sealed_v2(with(usual_v2(), "endtime", text))));
        assert!(notification.concerns.is_empty(), "{text}");
        let time = notification.facts[0].occurred_at.map(|time| time.to_string());
        assert_eq!(time.as_deref(), expected, "{text}");
    }
}

/// Whatever a shop numbers its orders with comes out as it is, and changes nothing else.
#[test]
fn an_order_number_with_odd_characters_stays_what_it_is() {
    for number in
        ["A B+C/D%20=?#", "书'\"<b>;--", "a\r\nSet-Cookie: x", "\u{202e}evil", "0", "00123", "-1", "null", "a\0b"]
    {
        for request in [
            get(&sealed_v1(with(usual(), "out_trade_no", number))),
            post(&sealed_v1(with(usual(), "out_trade_no", number))),
        ] {
            let notification = genuine(&v1(), &request);
            assert!(notification.concerns.is_empty(), "{number:?}: {:?}", notification.concerns);
            let fact = &notification.facts[0];
            assert_eq!((fact.order_no.as_deref(), fact.identity.as_str()), (Some(number), "20160806151343349021"));
        }
    }
}

#[test]
fn only_one_state_is_a_payment() {
    for status in
        ["TRADE_CLOSED", "WAIT_BUYER_PAY", "trade_success", "TRADE_SUCCESS ", "TRADE_FINISHED", "TRADE_REFUND"]
    {
        let notification = genuine(&v1(), &get(&sealed_v1(with(usual(), "trade_status", status))));
        assert_eq!(notification.facts[0].kind, EventKind::Other, "{status}");
        assert_eq!(words(&notification), ["unknown_value"], "{status}");
    }
}

#[test]
fn what_is_missing_in_a_proven_message_is_held() {
    for (name, kind) in [
        ("trade_no", EventKind::Other),
        ("out_trade_no", EventKind::PaymentSucceeded),
        ("money", EventKind::PaymentSucceeded),
        ("trade_status", EventKind::Other),
    ] {
        for all in [without(usual(), name), with(usual(), name, " ")] {
            let notification = genuine(&v1(), &get(&sealed_v1(all)));
            assert_eq!((notification.facts[0].kind, words(&notification)), (kind, vec!["missing_field"]), "{name}");
        }
    }
    let long = "1".repeat(300);
    let notification = genuine(&v1(), &get(&sealed_v1(with(usual(), "trade_no", &long))));
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec!["unknown_value"]));
    assert_eq!(notification.platform_id.len(), 64);
}

#[test]
fn what_nothing_can_be_checked_without_is_named() {
    let missing = |all: Pairs, name: &str| {
        assert_eq!(refused(&both(), &get(&all)), Rejection::Missing { field: name.into() });
    };
    for name in ["sign", "sign_type", "pid"] {
        missing(without(sealed_v1(usual()), name), name);
        missing(with(sealed_v1(usual()), name, ""), name);
    }
    missing(sealed_v2(without(usual_v2(), "timestamp")), "timestamp");
}

#[test]
fn another_merchants_message_is_named() {
    for pid in ["1002", "10010", " 1001", "01001", "1001 "] {
        let rejection = refused(&both(), &get(&sealed_v1(with(usual(), "pid", pid))));
        assert_eq!(rejection, Rejection::UnknownMerchant { field: "pid".into() }, "{pid:?}");
    }
    let channel = build(&both()).unwrap();
    assert_eq!(channel.recognise(&get(&sealed_v1(usual()))), Likeness::Merchant);
    assert_eq!(channel.recognise(&get(&sealed_v1(with(usual(), "pid", "1002")))), Likeness::Shape);
    assert_eq!(channel.recognise(&get(&without(usual(), "type"))), Likeness::No);
    assert_eq!(channel.recognise(&RawRequest { method: Method::PUT, ..get(&usual()) }), Likeness::No);
}

#[test]
fn a_second_generations_time_has_a_window() {
    let at = now().as_second();
    for (second, is_fresh) in
        [(at, true), (at - 299, true), (at + 299, true), (at - 300, false), (at + 300, false), (0, false)]
    {
        let all = sealed_v2(with(usual_v2(), "timestamp", &second.to_string()));
        match verdict(&v2(), &get(&all)) {
            Verdict::Genuine(_) => assert!(is_fresh, "{second}"),
            Verdict::Refused(Rejection::Stale { seconds }) => {
                assert!(!is_fresh, "{second}");
                assert_eq!(seconds.signum(), (at - second).signum());
            }
            other => panic!("{other:?}"),
        }
    }
    for bad in
        ["-1", "+1795233600", "1e9", "1795233600.0", "99999999999999999999", "9223372036854775807", "1795233600000"]
    {
        let rejection = refused(&v2(), &get(&sealed_v2(with(usual_v2(), "timestamp", bad))));
        assert_eq!(rejection, Rejection::Malformed { field: "timestamp".into() }, "{bad}");
    }
    // The first generation has none, and one that a fork adds is only a signed field.
    genuine(&v1(), &get(&sealed_v1(with(usual(), "timestamp", "0"))));
    assert_eq!(build(&v2()).unwrap().freshness(), Some(Duration::from_mins(5)));
    assert_eq!(build(&v1()).unwrap().freshness(), None);
    assert_eq!(build(&both()).unwrap().freshness(), None);
}

#[test]
fn an_order_that_was_paid_twice_has_two_payments_and_a_repetition_is_one() {
    let first = genuine(&v1(), &get(&sealed_v1(usual())));
    let second = genuine(&v1(), &get(&sealed_v1(with(usual(), "trade_no", "20160806151343349099"))));
    assert_eq!(first.facts[0].order_no, second.facts[0].order_no);
    assert_ne!(first.key(), second.key());
    assert!(first.facts[0].identities().all(|name| second.facts[0].identities().all(|other| name != other)));
    // A repetition has a new time, another place, and is signed anew.
    let later = with(usual_v2(), "timestamp", &(now().as_second() + 60).to_string());
    let (one, two) = (genuine(&v2(), &get(&sealed_v2(usual_v2()))), genuine(&v2(), &post(&sealed_v2(later))));
    assert_eq!((one.key(), one.facts[0].identity.clone()), (two.key(), two.facts[0].identity.clone()));
    assert_eq!(first.key(), one.key(), "both generations tell the same payment");
    let nameless = |second: i64| {
        let all = with(without(usual_v2(), "trade_no"), "timestamp", &(now().as_second() + second).to_string());
        genuine(&v2(), &get(&sealed_v2(all))).key()
    };
    assert_eq!(nameless(0), nameless(5));
    let elsewhere = v1().with("site", text("other.example.com"));
    assert_ne!(genuine(&elsewhere, &get(&sealed_v1(usual()))).scope, first.scope);
}

#[test]
fn a_trade_numbers_date_is_its_time_only_where_it_is_one() {
    let sent_at = |trade_no: &str| genuine(&v1(), &get(&sealed_v1(with(usual(), "trade_no", trade_no)))).sent_at;
    assert_eq!(sent_at("2026112112000012345").unwrap().to_string(), "2026-11-21T04:00:00Z");
    for number in [
        "1",
        "Y2026112112000012345",
        "20261321120000123",
        "20121121120000123",
        "99991121120000123",
        "7e5b2c",
        "二〇二六年十一月二十一日",
    ] {
        assert_eq!(sent_at(number), None, "{number}");
    }
}

#[test]
fn a_text_that_can_be_cut_elsewhere_is_held() {
    let check = |name: &'static str, value: &str, expected: &[&str]| {
        let notification = genuine(&v1(), &get(&sealed_v1(with(usual(), name, value))));
        assert_eq!(words(&notification), expected, "{name} {value:?}");
    };
    check("param", "a&b=c&d", &[]);
    check("name", "A&B 100% + &amp;", &[]);
    check("fork", "a&b=c", &[]);
    check("name", "x&money=9.00", &["ambiguous"]);
    check("param", "x&type=y", &["ambiguous"]);
    check("fork", "x&money=9.00", &["ambiguous"]);
    check("out_trade_no", "T1&param=x", &["ambiguous"]);
    check("type", "alipay&x", &["ambiguous"]);
    // Another cut of a genuine text is the same text: its signature fits, and it is held.
    let all = sealed_v1(with(usual(), "param", "p"));
    let mut cut = without(all, "param");
    set(&mut cut, "out_trade_no", "20160806151343349&param=p");
    assert_eq!(words(&genuine(&v1(), &get(&cut))), ["ambiguous"]);
}

#[test]
fn what_is_no_text_is_held_when_it_is_proven_and_else_named() {
    let mut bytes = Vec::new();
    for (name, value) in canonical(&usual()).split('&').filter_map(|pair| pair.split_once('=')) {
        let value = if name == "name" { b"\xff\xfe".to_vec() } else { value.as_bytes().to_vec() };
        bytes.push((name.as_bytes().to_vec(), value));
    }
    let text = bytes.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect::<Vec<_>>().join(&b'&');
    let sign = DigestHash::Md5.hex_of(&[&text, KEY.as_bytes()], HexCase::Lower);
    bytes.extend([(b"sign".to_vec(), sign.into_bytes()), (b"sign_type".to_vec(), b"MD5".to_vec())]);
    let query = |bytes: &[(Vec<u8>, Vec<u8>)]| {
        String::from_utf8(form::encode(bytes.iter().map(|(name, value)| (name.as_slice(), value.as_slice())))).unwrap()
    };
    assert_eq!(words(&genuine(&v1(), &get_raw(&query(&bytes)))), ["unreadable_text"]);
    bytes[0].1 = b"9".to_vec();
    assert_eq!(refused(&v1(), &get_raw(&query(&bytes))), Rejection::Charset { charset: "utf-8".into() });
}

#[test]
fn the_outside_is_checked_first() {
    let all = sealed_v1(usual());
    let word = |request: &RawRequest| refused(&v1(), request).word();
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        assert_eq!(word(&RawRequest { method, ..get(&all) }), "method");
    }
    assert_eq!(word(&RawRequest { query: None, ..get(&all) }), "empty");
    assert_eq!(word(&get_raw("")), "empty");
    assert_eq!(word(&get_raw("&&&")), "empty");
    assert_eq!(word(&RawRequest { body: b"x".as_slice().into(), ..get(&all) }), "malformed");
    assert_eq!(word(&RawRequest { method: Method::POST, ..get(&all) }), "media_type");
    assert_eq!(word(&RawRequest { body: bytes::Bytes::new(), ..post(&all) }), "empty");
    let mut json = post(&all);
    json.headers.insert("content-type", HeaderValue::from_static("application/json"));
    assert_eq!(word(&json), "media_type");
    assert_eq!(word(&get_raw(&"a".repeat(MESSAGE_BYTES_MAX + 1))), "too_large");
    assert_eq!(word(&RawRequest { body: vec![b'a'; MESSAGE_BYTES_MAX + 1].into(), ..post(&all) }), "too_large");
    assert_eq!(word(&get_raw(&"a=1&".repeat(FIELDS_MAX + 1))), "too_many_fields");
    // A longer word is another type, of which a script reads no fields.
    let mut longer = post(&all);
    longer.headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencodedx"));
    assert_eq!(word(&longer), "media_type");
    // A GET has no media type that matters.
    let mut typed = get(&all);
    typed.headers.insert("content-type", HeaderValue::from_static("text/html"));
    genuine(&v1(), &typed);
}

#[test]
fn a_signature_lost_its_plus_signs() {
    let all = sealed_v2(with(usual_v2(), "param", "a"));
    let sign = all.iter().find(|(name, _)| *name == "sign").unwrap().1.clone();
    for wrong in
        [format!(" {sign}"), sign.replace('=', ""), format!("{sign}="), sign.replacen('A', "+", 1).replace('+', " ")]
    {
        if wrong != sign {
            verdict_is_refused(&get(&with(all.clone(), "sign", &wrong)), &wrong);
        }
    }
}

#[test]
fn settings_are_checked() {
    let word = |settings: &Settings| {
        let error = build(settings).err().unwrap();
        (error.setting, error.word)
    };
    assert_eq!(word(&merchant()), ("key", "missing"));
    assert_eq!(word(&merchant().with("key", key(b""))), ("key", "missing"));
    assert_eq!(word(&merchant().with("key", key(b"123456789012345"))), ("key", "too_short"));
    assert_eq!(word(&merchant().with("key", key(b"testkey 0123456789abcdef"))), ("key", "malformed"));
    assert!(build(&merchant().with("key", key(b"testkey0123456789abcdef\r\n"))).is_ok());
    for site in
        ["https://pay.example.com", "pay.example.com/", "Pay.example.com", "pay example", "支付", &"a".repeat(65)]
    {
        assert_eq!(word(&v1().with("site", text(site))), ("site", "malformed"), "{site}");
    }
    for pid in ["10 01", "1001&x", "一", &"1".repeat(33)] {
        assert_eq!(word(&v1().with("pid", text(pid))), ("pid", "malformed_id"), "{pid}");
    }
    let small = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8 = small.as_der().unwrap().as_ref().to_vec();
    let private = to_pem("PRIVATE KEY", &pkcs8).into_bytes();
    assert_eq!(
        word(&merchant().with("platform_public_key", key(&private))),
        ("platform_public_key", "private_key_given")
    );
    let own = PublicKey::of_pair("k", &small).unwrap().to_pem();
    let swapped = merchant().with("private_key", key(&private)).with("platform_public_key", key(own.as_bytes()));
    assert_eq!(word(&swapped), ("platform_public_key", "own_public_key"));
    assert!(build(&v2().with("private_key", key(&private))).is_ok());
    assert_eq!(word(&v2().with("private_key", key(b"x"))), ("private_key", "not_a_key"));
    let notes = build(&both()).unwrap().keys();
    assert_eq!(notes.iter().map(|note| note.label.as_str()).collect::<Vec<_>>(), ["key", "platform_public_key"]);
    assert!(!format!("{:?}", Config::build(&both()).unwrap()).contains(KEY));
}

#[test]
fn only_the_whole_word_confirms_though_a_server_would_take_less() {
    let channel = build(&v1()).unwrap();
    let reading = |status: u16, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for word in ["success", "SUCCESS", "Success"] {
        assert_eq!(reading(200, word), AckMatch::Exact, "{word}");
        assert_eq!(reading(200, &format!("{word}\n")), AckMatch::Trimmed, "{word}");
        assert_eq!(reading(500, word), AckMatch::No, "{word}");
    }
    for (body, expected) in [
        ("unsuccessful", AckMatch::Within),
        ("<b>success</b>", AckMatch::Within),
        ("fail", AckMatch::No),
        ("", AckMatch::No),
        ("sUCCESS", AckMatch::No),
    ] {
        assert_eq!(reading(200, body), expected, "{body}");
    }
}

#[cfg(feature = "simulate")]
#[test]
fn the_other_side_tells_both_generations_and_a_mirror_has_the_merchants_key() {
    use crate::simulate::Story;
    let side = simulate::other_side();
    let channel = build(&side.settings()).unwrap();
    let mut variants = Vec::new();
    for serial in 1..=4 {
        let story = Story { serial, note: "a&b=c 书+".into(), ..Story::paid("T1", 10, now()) };
        let request = side.callback(&story).request;
        let Verdict::Genuine(proven) = channel.verify(&request, now()) else { panic!("{serial}") };
        let Proof::Signature { variant, .. } = proven.proof().clone() else { panic!("not by a signature") };
        assert!(proven.value().concerns.is_empty(), "{proven:?}");
        variants.push((variant, request.method));
    }
    let expected = [("v1", Method::GET), ("v2", Method::GET), ("v1", Method::POST), ("v2", Method::POST)];
    assert_eq!(variants, expected.map(|(variant, method)| (variant.to_owned(), method)));
    let mirror = simulate::mirror(&v1()).unwrap();
    genuine(&v1(), &mirror.callback(&Story::paid("T1", 10, now())));
    assert_eq!(simulate::mirror(&v2()).err().map(|error| error.setting), Some("key"));
}
