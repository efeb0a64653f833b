//! Tests of the whole channel: the vector, the order of Java, every kind and state, what is refused, the settings.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::form;
use crate::model::{Concern, Environment, EventKind};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};

const SECRET: &str = "testsecret0123456789";
const MCH_NO: &str = "M1621873433953";
const APP_ID: &str = "60cc09bce4b0f1c0b83761c9";

fn text(value: &str) -> SettingValue {
    SettingValue::Text(value.into())
}

fn key(bytes: &[u8]) -> SettingValue {
    SettingValue::Key(bytes.to_vec().into())
}

fn own_settings() -> Settings {
    Settings::new(Environment::Live)
        .with("mch_no", text(MCH_NO))
        .with("app_id", text(APP_ID))
        .with("app_secret", key(SECRET.as_bytes()))
}

fn named() -> Settings {
    own_settings().with("ignored_parameters", SettingValue::Texts(vec!["act".into()]))
}

type Pairs = Vec<(String, String)>;

fn pairs(list: &[(&str, &str)]) -> Pairs {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The documents' example of a payment.
fn usual() -> Pairs {
    pairs(&[
        ("amount", "1"),
        ("appId", APP_ID),
        ("body", "商品描述"),
        ("clientIp", "192.168.0.111"),
        ("createdAt", "1622016572190"),
        ("currency", "cny"),
        ("ifCode", "wxpay"),
        ("mchNo", MCH_NO),
        ("mchOrderNo", "mho1624005752661"),
        ("payOrderId", "P202106181104177050002"),
        ("reqTime", "1622016572190"),
        ("state", "2"),
        ("subject", "商品标题"),
        ("successTime", "1622016572190"),
        ("wayCode", "WX_BAR"),
        ("errCode", ""),
    ])
}

fn refund() -> Pairs {
    pairs(&[
        ("refundOrderId", "R1"),
        ("payOrderId", "P1"),
        ("mchNo", MCH_NO),
        ("appId", APP_ID),
        ("mchRefundNo", "MR1"),
        ("payAmount", "500"),
        ("refundAmount", "200"),
        ("currency", "cny"),
        ("state", "2"),
        ("reqTime", "1622016572190"),
        ("successTime", "1622016572000"),
    ])
}

fn transfer() -> Pairs {
    pairs(&[
        ("transferId", "T1"),
        ("mchNo", MCH_NO),
        ("appId", APP_ID),
        ("mchOrderNo", "MT1"),
        ("amount", "300"),
        ("currency", "cny"),
        ("state", "2"),
        ("reqTime", "1622016572190"),
    ])
}

fn with(mut all: Pairs, name: &str, value: &str) -> Pairs {
    all.retain(|(other, _)| other != name);
    all.push((name.to_owned(), value.to_owned()));
    all
}

fn without(mut all: Pairs, name: &str) -> Pairs {
    all.retain(|(other, _)| other != name);
    all
}

/// What is signed, made a second time here.
fn canonical(all: &Pairs) -> String {
    let mut texts: Vec<String> = all
        .iter()
        .filter(|(name, value)| name != "sign" && !value.is_empty())
        .map(|(name, value)| format!("{name}={value}&"))
        .collect();
    texts.sort_by_key(|text| text.to_ascii_lowercase());
    texts.concat()
}

fn md5(parts: &[&str], case: HexCase) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    DigestHash::Md5.hex_of(&parts, case)
}

fn sealed(all: Pairs) -> Pairs {
    let sign = md5(&[&canonical(&all), "key=", SECRET], HexCase::Upper);
    with(all, "sign", &sign)
}

fn encoded(all: &Pairs) -> String {
    String::from_utf8(form::encode(all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))).unwrap()
}

fn post(all: &Pairs) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded;charset=UTF-8"));
    RawRequest {
        method: Method::POST,
        path: "/notify/jeepay".into(),
        query: None,
        headers,
        body: Bytes::from(encoded(all)),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

/// As older builds send it.
fn bare(all: &Pairs) -> RawRequest {
    RawRequest { query: Some(encoded(all)), body: Bytes::new(), headers: HeaderMap::new(), ..post(all) }
}

fn verdict(settings: &Settings, request: &RawRequest) -> Verdict {
    build(settings).unwrap().verify(request, Timestamp::UNIX_EPOCH)
}

#[track_caller]
fn genuine(request: &RawRequest) -> Notification {
    match verdict(&own_settings(), request) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn read(all: Pairs) -> Notification {
    genuine(&post(&sealed(all)))
}

#[track_caller]
fn refused(request: &RawRequest) -> Rejection {
    match verdict(&own_settings(), request) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

#[test]
fn the_vector_of_the_documents_comes_out() {
    let all = usual();
    let given: Vec<(&[u8], &[u8])> = all
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .rev()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let sign = DigestHash::Md5.hex_of(&[&joined(given), b"testsecret"], HexCase::Upper);
    assert_eq!(sign, "7EEB578B7A224A8D5BC55A7985C76E43");
}

#[test]
fn a_payment_comes_as_a_form_and_from_older_builds_in_the_query() {
    let all = sealed(usual());
    let mut typed = bare(&all);
    typed.headers = post(&all).headers;
    for request in [post(&all), bare(&all), typed] {
        let notification = genuine(&request);
        assert!(notification.concerns.is_empty(), "{notification:?}");
        assert_eq!(notification.platform_id, "P202106181104177050002:2:1622016572190");
        assert_eq!(notification.scope.account, MCH_NO);
        assert_eq!(notification.sent_at.unwrap().as_millisecond(), 1_622_016_572_190);
        let fact = &notification.facts[0];
        assert_eq!((fact.kind, fact.identity.as_str()), (EventKind::PaymentSucceeded, "P202106181104177050002"));
        assert_eq!(fact.order_no.as_deref(), Some("mho1624005752661"));
        assert_eq!(fact.signed_money().unwrap().minor, 1);
        assert_eq!(fact.occurred_at.unwrap().as_millisecond(), 1_622_016_572_190);
    }
    let channel = build(&own_settings()).unwrap();
    let request = bare(&all);
    assert_eq!(channel.signed_query(&request), request.query);
    let more = RawRequest { query: request.query.as_ref().map(|query| format!("x=&{query}&admin")), ..request.clone() };
    assert!(matches!(channel.verify(&more, Timestamp::UNIX_EPOCH), Verdict::Genuine(_)));
    assert_eq!(channel.signed_query(&more), request.query);
    assert_eq!(channel.signed_query(&post(&all)), None);
    assert!(channel.query_names().contains(&"payOrderId"));
    assert_eq!(channel.fields(&bare(&all)).len(), 17);
}

#[test]
fn texts_are_sorted_whole_and_without_regard_to_case() {
    let order = |names: &[&str]| {
        let text = joined(names.iter().map(|name| (name.as_bytes(), &b"1"[..])).collect());
        String::from_utf8(text).unwrap()
    };
    assert_eq!(order(&["b", "C", "a"]), "a=1&b=1&C=1&key=");
    assert_eq!(order(&["amount", "amount2", "amountX"]), "amount2=1&amount=1&amountX=1&key=");
    assert_eq!(order(&["a_b", "aB", "a-b", "ab2"]), "a-b=1&a_b=1&ab2=1&aB=1&key=");
    let custom = pairs(&[("amount2", "x"), ("Ext", "y"), ("ZETA", "z"), ("alpha", "a b&c"), ("state_text", "ok")]);
    assert!(read([usual(), custom].concat()).concerns.is_empty());
}

#[test]
fn every_kind_and_state_has_its_event() {
    use EventKind::{
        Other, PaymentClosed, PaymentFailed, PaymentPending, PaymentSucceeded, RefundFailed, RefundSucceeded,
        TransferFailed, TransferSucceeded,
    };
    let check = |all: Pairs, states: &[(&str, EventKind, &[&str])]| {
        for (state, kind, concerns) in states {
            let notification = read(with(all.clone(), "state", state));
            assert_eq!((notification.facts[0].kind, words(&notification).as_slice()), (*kind, *concerns), "{state}");
        }
    };
    let unknown: &[&str] = &["unknown_value"];
    check(
        usual(),
        &[
            ("0", PaymentPending, &[]),
            ("1", PaymentPending, &[]),
            ("2", PaymentSucceeded, &[]),
            ("3", PaymentFailed, &[]),
            ("4", PaymentClosed, &[]),
            ("5", PaymentSucceeded, unknown),
            ("6", PaymentClosed, &[]),
            ("7", Other, unknown),
            ("02", Other, unknown),
            ("SUCCESS", Other, unknown),
        ],
    );
    check(
        refund(),
        &[
            ("0", Other, &[]),
            ("1", Other, &[]),
            ("2", RefundSucceeded, &[]),
            ("3", RefundFailed, &[]),
            ("4", RefundFailed, &[]),
            ("5", Other, unknown),
        ],
    );
    check(
        transfer(),
        &[
            ("0", Other, &[]),
            ("1", Other, &[]),
            ("2", TransferSucceeded, &[]),
            ("3", TransferFailed, &[]),
            ("4", TransferFailed, &[]),
            ("5", Other, unknown),
        ],
    );
}

#[test]
fn a_refund_names_its_payment_and_both_numbers() {
    let notification = read(refund());
    let fact = &notification.facts[0];
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    assert_eq!(names, ["R1", "no:60cc09bce4b0f1c0b83761c9:MR1"]);
    assert_eq!(fact.payment.as_ref().map(crate::model::Identity::as_str), Some("P1"));
    assert_eq!((fact.signed_money().unwrap().minor, fact.order_no.as_deref()), (200, None));
    assert_eq!(words(&read(with(refund(), "refundAmount", "501"))), ["contradiction"]);
    assert!(read(with(refund(), "refundAmount", "500")).concerns.is_empty());
    for name in ["payOrderId", "mchRefundNo", "refundAmount", "payAmount", "currency", "state", "reqTime"] {
        assert_eq!(words(&read(without(refund(), name))), ["missing_field"], "{name}");
    }
}

#[test]
fn a_transfer_has_its_own_number_and_ours() {
    let fact = read(transfer()).facts.remove(0);
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    assert_eq!(names, ["T1", "no:60cc09bce4b0f1c0b83761c9:MT1"]);
    assert_eq!((fact.order_no.as_deref(), fact.platform_no.as_deref()), (Some("MT1"), Some("T1")));
}

#[test]
fn what_it_is_about_is_never_guessed() {
    for (all, expected) in [
        (with(transfer(), "payOrderId", "P1"), "contradiction"),
        (with(refund(), "transferId", "T1"), "contradiction"),
        (without(usual(), "payOrderId"), "missing_field"),
        // Blank and signed: there, and no number.
        (with(usual(), "refundOrderId", " "), "missing_field"),
    ] {
        let notification = read(all);
        assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec![expected]));
    }
    assert_eq!(read(without(without(refund(), "payOrderId"), "mchRefundNo")).facts[0].kind, EventKind::RefundSucceeded);
}

#[test]
fn amounts_are_fen_of_the_known_currency() {
    for (amount, minor) in [("0", 0), ("1", 1), ("12345", 12_345), ("007", 7)] {
        assert_eq!(read(with(usual(), "amount", amount)).facts[0].signed_money().unwrap().minor, minor);
    }
    for amount in ["1.00", "-1", "+1", "1e2", " 1", "１", "1,000", "9999999999999999999999"] {
        assert_eq!(words(&read(with(usual(), "amount", amount))), ["unreadable_amount"], "{amount}");
    }
    assert!(read(with(usual(), "currency", "CNY")).concerns.is_empty());
    for currency in ["usd", "jpy", "rmb", "156"] {
        let notification = read(with(usual(), "currency", currency));
        assert_eq!(words(&notification), ["unknown_value"], "{currency}");
        assert_eq!(notification.facts[0].signed_money(), None);
    }
    for time in ["1622016572", "1622016572190000", "162201657219x", "-622016572190"] {
        assert_eq!(words(&read(with(usual(), "reqTime", time))), ["unknown_value"], "{time}");
    }
}

#[test]
fn a_repetition_is_the_same_and_another_state_is_another() {
    let first = read(usual());
    assert_eq!(first.key(), genuine(&bare(&sealed(usual()))).key());
    assert_ne!(first.key(), read(with(usual(), "state", "3")).key());
    assert_ne!(first.key(), read(with(usual(), "payOrderId", "P2")).key());
    // A notice written anew is another one about the same fact.
    let anew = read(with(usual(), "reqTime", "1622016599999"));
    assert_ne!(first.key(), anew.key());
    assert_eq!(first.facts, anew.facts);
}

#[test]
fn what_is_signed_otherwise_is_refused() {
    let all = usual();
    let canonical = canonical(&all);
    let cut = &canonical[..canonical.len() - 1];
    let right = md5(&[&canonical, "key=", SECRET], HexCase::Upper);
    for (label, sign) in [
        ("small letters", right.to_lowercase()),
        ("`&` twice", md5(&[&canonical, "&key=", SECRET], HexCase::Upper)),
        ("no `&`", md5(&[cut, "key=", SECRET], HexCase::Upper)),
        ("no `key=`", md5(&[&canonical, SECRET], HexCase::Upper)),
        ("no secret", md5(&[&canonical, "key="], HexCase::Upper)),
        ("empties signed", md5(&[&canonical.replace("ifCode", "errCode=&ifCode"), "key=", SECRET], HexCase::Upper)),
        ("a half", right[..16].to_owned()),
        ("a line end", format!("{right}\n")),
    ] {
        assert_eq!(refused(&post(&with(all.clone(), "sign", &sign))), Rejection::Signature, "{label}");
    }
    let genuine = sealed(usual());
    for (name, value) in &usual() {
        if !value.is_empty() {
            for other in ["", "x", &format!("{value}0"), &format!(" {value}")] {
                assert!(matches!(
                    verdict(&own_settings(), &post(&with(genuine.clone(), name, other))),
                    Verdict::Refused(_)
                ));
            }
        }
    }
    // A refund cut down to look like a payment, and a payment dressed as a refund.
    assert_eq!(refused(&post(&without(sealed(refund()), "refundOrderId"))), Rejection::Signature);
    assert_eq!(refused(&post(&with(genuine, "refundOrderId", "R1"))), Rejection::Signature);
}

#[test]
fn another_merchant_or_application_is_named() {
    for (field, value) in
        [("mchNo", "M1621873433954"), ("appId", "60cc09bce4b0f1c0b83761c8"), ("mchNo", "m1621873433953")]
    {
        let request = post(&sealed(with(usual(), field, value)));
        assert_eq!(refused(&request), Rejection::UnknownMerchant { field: field.into() });
        assert_eq!(build(&own_settings()).unwrap().recognise(&request), Likeness::Shape);
        assert_eq!(refused(&post(&sealed(without(usual(), field)))), Rejection::Missing { field: field.into() });
    }
    assert_eq!(refused(&post(&usual())), Rejection::Missing { field: "sign".into() });
    assert_eq!(build(&own_settings()).unwrap().recognise(&post(&without(usual(), "reqTime"))), Likeness::No);
}

#[test]
fn the_outside_is_checked_first() {
    let all = sealed(usual());
    let word = |request: &RawRequest| refused(request).word();
    assert_eq!(word(&RawRequest { method: Method::GET, ..bare(&all) }), "method");
    assert_eq!(word(&RawRequest { method: Method::PUT, ..post(&all) }), "method");
    assert_eq!(word(&RawRequest { query: None, ..bare(&all) }), "media_type");
    assert_eq!(word(&RawRequest { body: Bytes::new(), ..post(&all) }), "empty");
    assert_eq!(word(&RawRequest { query: Some(String::new()), body: Bytes::new(), ..post(&all) }), "empty");
    let mut json = post(&all);
    json.headers.insert("content-type", HeaderValue::from_static("application/json;charset=UTF-8"));
    assert_eq!(refused(&json), Rejection::MediaType { media_type: "application/json".into() });
    json.query = Some(encoded(&all));
    json.body = Bytes::new();
    assert_eq!(word(&json), "media_type");
    assert_eq!(word(&RawRequest { body: vec![b'a'; MESSAGE_BYTES_MAX + 1].into(), ..post(&all) }), "too_large");
    assert_eq!(word(&RawRequest { body: "a=1&".repeat(FIELDS_MAX + 1).into(), ..post(&all) }), "too_many_fields");
    for (added, expected) in
        [("&amount=1", "duplicate_field"), ("&AMOUNT=1", "duplicate_field"), ("&a.b=", "malformed")]
    {
        let body = format!("{}{added}", encoded(&all));
        assert_eq!(word(&RawRequest { body: body.into(), ..post(&all) }), expected, "{added}");
    }
}

#[test]
fn a_parameter_of_the_merchants_own_is_refused_by_name_unless_it_is_known() {
    let all = sealed(usual());
    for mixed in [
        post(&[all.clone(), pairs(&[("act", "pay")])].concat()),
        bare(&[all.clone(), pairs(&[("act", "pay")])].concat()),
    ] {
        assert_eq!(refused(&mixed), Rejection::Unsigned { field: "act".into() });
        let Verdict::Genuine(proven) = verdict(&named(), &mixed) else { panic!("{mixed:?}") };
        assert_eq!(*proven.value(), genuine(&post(&all)));
    }
    // Beside a form the address says nothing.
    let beside = RawRequest { query: Some("amount=9&channel=x".into()), ..post(&all) };
    assert_eq!(genuine(&beside), genuine(&post(&all)));
}

#[test]
fn a_text_that_can_be_cut_elsewhere_is_held() {
    for (name, value, expected) in [
        ("subject", "A&B=C", &[][..]),
        ("errMsg", "余额不足 & 100%", &[]),
        ("extParam", "x&amount=1", &["ambiguous"]),
        ("custom", "x&state=2", &["ambiguous"]),
        ("mchOrderNo", "T1&payOrderId=P1", &["ambiguous"]),
    ] {
        assert_eq!(words(&read(with(usual(), name, value))), expected, "{name}");
    }
}

#[test]
fn settings_are_checked() {
    let word = |settings: &Settings| {
        let error = build(settings).err().unwrap();
        (error.setting, error.word)
    };
    assert_eq!(word(&own_settings().with("app_secret", key(b"testsecret"))), ("app_secret", "too_short"));
    assert_eq!(word(&own_settings().with("app_secret", key(b"test secret 0123456789"))), ("app_secret", "malformed"));
    assert_eq!(word(&own_settings().with("app_secret", key(b"\n"))), ("app_secret", "missing"));
    assert_eq!(word(&own_settings().with("mch_no", text("M 1"))), ("mch_no", "malformed_id"));
    assert_eq!(word(&own_settings().with("app_id", text("a&b"))), ("app_id", "malformed_id"));
    let given_away = SettingValue::Texts(vec!["amount".into()]);
    assert_eq!(word(&own_settings().with("ignored_parameters", given_away)), ("ignored_parameters", "relation"));
    assert!(!format!("{:?}", Config::build(&own_settings()).unwrap()).contains(SECRET));
}

#[test]
fn the_word_confirms_in_any_case_and_alone() {
    let channel = build(&own_settings()).unwrap();
    let reading = |status: u16, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for word in ["SUCCESS", "success", "Success"] {
        assert_eq!(reading(200, word), AckMatch::Exact);
        assert_eq!(reading(200, &format!("{word}\n")), AckMatch::Trimmed);
        assert_eq!(reading(500, word), AckMatch::No);
    }
    assert_eq!(reading(200, "not success"), AckMatch::Within);
    assert_eq!(reading(200, "FAIL"), AckMatch::No);
}

#[cfg(feature = "simulate")]
#[test]
fn the_other_side_and_a_mirror_are_believed() {
    use crate::simulate::Story;
    let mut side = simulate::other_side();
    for settings in [side.settings(), own_settings()] {
        let channel = build(&settings).unwrap();
        let mirror = simulate::mirror(&settings).unwrap();
        for kind in side.stories() {
            for serial in 1..=2 {
                let story =
                    Story { kind: *kind, serial, refunded_minor: 5, ..Story::paid("T1", 10, Timestamp::UNIX_EPOCH) };
                let Verdict::Genuine(proven) = channel.verify(&mirror.callback(&story), story.at) else {
                    panic!("{kind}")
                };
                assert_eq!(proven.value().facts[0].kind, *kind);
            }
        }
    }
    let exported = side.export();
    let (request, settings) = (side.callback(&Story::paid("T1", 10, Timestamp::UNIX_EPOCH)).request, side.settings());
    side = simulate::other_side();
    side.import(&exported).unwrap();
    assert_eq!(side.callback(&Story::paid("T1", 10, Timestamp::UNIX_EPOCH)).request.body, request.body);
    assert!(matches!(verdict(&settings, &request), Verdict::Genuine(_)));
    assert!(side.import(b"x").is_err());
}
