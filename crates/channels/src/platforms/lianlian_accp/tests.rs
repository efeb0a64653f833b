//! What only this platform has; the contract suite tests what all have.

use std::sync::LazyLock;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::model::{Amount, Concern, Environment, EventKind, Notification};
use crate::settings::SettingValue;
use crate::signature::digest::HexCase;
use crate::signature::key::PublicKey;
use crate::signature::plain_rsa::sign_md5;

const OURS: &str = "201304121000001004";

static PAIR: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn own_key() -> SettingValue {
    SettingValue::Key(PublicKey::of_pair("k", &PAIR).unwrap().to_pem().into_bytes().into())
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("oid_partner", SettingValue::Texts(vec![OURS.to_owned()]))
        .with("accp_public_key", own_key())
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn sign(text: &[u8]) -> String {
    STANDARD.encode(sign_md5(&PAIR, text).unwrap())
}

fn request(body: &str, headers: &[(&str, &str)]) -> RawRequest {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("application/json;charset=utf-8"));
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers: map,
        body: Bytes::from(body.to_owned()),
        source: None,
        received_at: now(),
    }
}

fn digest(body: &str) -> String {
    DigestHash::Md5.hex_of(&[body.as_bytes()], HexCase::Lower)
}

fn signed(body: &str) -> RawRequest {
    request(body, &[(TYPE, RSA), (DATA, &sign(digest(body).as_bytes()))])
}

fn read(value: &Value) -> Notification {
    match channel().verify(&signed(&value.to_string()), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{value}: {other:?}"),
    }
}

fn refusal(request: &RawRequest) -> Rejection {
    match channel().verify(request, now()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// `kind order amount identity | words of concerns`
fn told(value: &Value) -> String {
    let notification = read(value);
    let fact = &notification.facts[0];
    let amount = match fact.amount {
        Amount::Stated(money) => money.to_text(),
        Amount::Unreadable => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let name = if fact.kind == EventKind::Other { "-" } else { fact.identity.as_str() };
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    format!("{} {order} {amount} {name} | {}", fact.kind, words.join(" ")).trim_end().to_owned()
}

fn paid() -> Value {
    json!({
        "oid_partner": OURS, "txn_type": "GENERAL_CONSUME", "txn_status": "TRADE_SUCCESS", "accp_txnno": "2026112100001",
        "finish_time": "20261121120000", "orderInfo": { "txn_seqno": "T1", "txn_time": "20261121115900", "total_amount": "10.00" },
    })
}

fn with(mut value: Value, pointer: &str, to: Value) -> Value {
    if let Some(place) = value.pointer_mut(pointer) {
        *place = to;
    } else {
        value[pointer.trim_start_matches('/')] = to;
    }
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

#[test]
fn the_body_is_digested_twice_and_taken_as_it_came() {
    let body = paid().to_string();
    assert!(matches!(channel().verify(&signed(&body), now()), Verdict::Genuine(_)));
    let with_sign = |sign: &str| request(&body, &[(TYPE, RSA), (DATA, sign)]);
    let once = sign(body.as_bytes());
    let upper = sign(digest(&body).to_uppercase().as_bytes());
    let twice = sign(digest(&digest(&body)).as_bytes());
    for wrong in [once, upper, twice] {
        assert_eq!(refusal(&with_sign(&wrong)), Rejection::Signature);
    }
    let good = sign(digest(&body).as_bytes());
    for other in [format!("{body}\n"), format!(" {body}"), body.replace("\":", "\": "), body.replace("T1", "T2")] {
        let asked = request(&other, &[(TYPE, RSA), (DATA, &good)]);
        assert_eq!(refusal(&asked), Rejection::Signature, "{other}");
    }
}

#[test]
fn both_headers_are_there_once_and_say_rsa() {
    let body = paid().to_string();
    let good = sign(digest(&body).as_bytes());
    for other in ["rsa", "MD5", "none", "RSA2", "RSA,RSA"] {
        let asked = request(&body, &[(TYPE, other), (DATA, &good)]);
        assert_eq!(refusal(&asked), Rejection::Algorithm { algorithm: other.into() });
    }
    assert_eq!(refusal(&request(&body, &[(DATA, &good)])), Rejection::Missing { field: TYPE.into() });
    assert_eq!(refusal(&request(&body, &[(TYPE, RSA)])), Rejection::Missing { field: DATA.into() });
    assert_eq!(refusal(&request(&body, &[(TYPE, ""), (DATA, &good)])), Rejection::Malformed { field: TYPE.into() });
    let doubled = [(TYPE, RSA), (DATA, good.as_str()), (DATA, &good)];
    assert_eq!(refusal(&request(&body, &doubled)), Rejection::Duplicate { field: DATA.into() });
    let doubled = [(TYPE, RSA), (TYPE, RSA), (DATA, &good)];
    assert_eq!(refusal(&request(&body, &doubled)), Rejection::Duplicate { field: TYPE.into() });
    assert_eq!(refusal(&request(&body, &[(TYPE, RSA), (DATA, "x")])).word(), "malformed");
    assert_eq!(channel().recognise(&request(&body, &[(TYPE, RSA)])), Likeness::No);
    assert_eq!(channel().recognise(&request(&body, &[(DATA, "x")])), Likeness::Merchant);
}

#[test]
fn only_what_says_so_in_every_respect_is_a_payment() {
    assert_eq!(told(&paid()), "payment.succeeded T1 10.00 accp_txnno:2026112100001 |");
    assert_eq!(
        told(&with(paid(), "/txn_type", json!("SECURED_CONSUME"))),
        "payment.succeeded T1 10.00 accp_txnno:2026112100001 |"
    );
    let notification = read(&paid());
    assert_eq!((notification.sent_at, notification.facts[0].occurred_at), (Some(now()), Some(now())));
    for status in ["TRADE_FAILURE", "TRADE_CLOSE", "trade_success", "TRADE_WAIT_PAY"] {
        assert_eq!(told(&with(paid(), "/txn_status", json!(status))), "other - - - | unknown_value", "{status}");
    }
    for kind in ["PAY", "REFUND", "general_consume", "USER_TOPUP", "ACCT_CASH_OUT", "OUTER_FUND_EXCHANGE"] {
        assert_eq!(told(&with(paid(), "/txn_type", json!(kind))), "other - - - | unknown_value", "{kind}");
    }
    for name in ["txn_type", "txn_status", "accp_txnno"] {
        assert_eq!(told(&without(paid(), name)), "other - - - | missing_field", "{name}");
    }
    assert_eq!(
        told(&without(paid(), "orderInfo")),
        "payment.succeeded - ? accp_txnno:2026112100001 | missing_field missing_field"
    );
    for bad in [json!("10.001"), json!(10), json!("1e1"), json!("-1")] {
        assert_eq!(
            told(&with(paid(), "/orderInfo/total_amount", bad)),
            "payment.succeeded T1 ? accp_txnno:2026112100001 | unreadable_amount"
        );
    }
}

#[test]
fn money_that_moves_without_a_known_meaning_is_held_unless_the_application_reads_it() {
    // Whatever the state: it may have arrived, failed, or come back from the bank.
    for status in ["TRADE_SUCCESS", "TRADE_FAILURE", "TRADE_CANCEL"] {
        let moved = with(with(paid(), "/txn_type", json!("ACCT_CASH_OUT")), "/txn_status", json!(status));
        assert_eq!(told(&moved), "other - - - | unknown_value", "{status}");
        let own = settings().with("other_types", SettingValue::Texts(vec!["ACCT_CASH_OUT".to_owned()]));
        let channel = build(&own).unwrap();
        let notification = |value: &Value| match channel.verify(&signed(&value.to_string()), now()) {
            Verdict::Genuine(proven) => proven.into_parts().0,
            other => panic!("{other:?}"),
        };
        let read = notification(&moved);
        assert_eq!((read.facts[0].kind, read.concerns.len()), (EventKind::Other, 0), "{status}");
        assert_eq!(notification(&paid()).facts[0].kind, EventKind::PaymentSucceeded);
        let other = with(moved, "/txn_type", json!("USER_TOPUP"));
        assert_eq!(notification(&other).concerns[0].word(), "unknown_value");
    }
    // Refunds have neither a documented kind nor a documented state, under whatever names they come.
    let bare = json!({ "oid_partner": OURS, "txn_seqno": "R1", "accp_txnno": "1", "finish_time": "20261121120000" });
    for (name, value) in [
        ("refundOrderInfo", json!({ "refund_seqno": "R1", "refund_amount": "1.00" })),
        ("refund_status", json!("SUCCESS")),
        ("orderInfo", json!({})),
        ("payeeInfo", json!([])),
        ("total_amount", json!("1.00")),
        ("order_Amount", json!(1)),
    ] {
        assert_eq!(told(&with(bare.clone(), &format!("/{name}"), value)), "other - - - | missing_field", "{name}");
    }
    // An account that was opened has a number of the request's, too.
    assert_eq!(told(&bare), "other - - - |");
}

#[test]
fn notices_of_accounts_have_no_money_meaning() {
    let account = json!({ "oid_partner": OURS, "user_id": "U1", "user_status": "NORMAL" });
    assert_eq!(told(&account), "other - - - |");
    assert_ne!(read(&account).platform_id, read(&with(account.clone(), "/user_id", json!("U2"))).platform_id);
    assert_eq!(told(&with(account.clone(), "/oid_partner", json!("1"))), "other - - - | foreign_payee");
    assert_eq!(told(&without(account, "oid_partner")), "other - - - | missing_field");
}

#[test]
fn a_proven_body_that_cannot_be_read_is_held() {
    let Verdict::Genuine(proven) = channel().verify(&signed("[1]"), now()) else { panic!("refused") };
    assert_eq!(proven.value().concerns[0].word(), "unreadable_text");
    let twice = paid().to_string().replacen('{', r#"{"txn_status":"x","#, 1);
    let Verdict::Genuine(proven) = channel().verify(&signed(&twice), now()) else { panic!("refused") };
    assert_eq!(proven.value().concerns, [Concern::Ambiguous { field: "txn_status".into() }]);
    assert_eq!((proven.value().facts.len(), proven.value().facts[0].kind), (1, EventKind::Other));
}

#[test]
fn another_partners_message_is_not_this_merchants() {
    let other = with(paid(), "/oid_partner", json!("201304121000001005"));
    assert_eq!(told(&other), "payment.succeeded T1 10.00 accp_txnno:2026112100001 | foreign_payee");
    assert_eq!(read(&other).scope.account, "201304121000001005");
    assert_eq!(channel().recognise(&signed(&other.to_string())), Likeness::Shape);
}

#[test]
fn wrong_settings_are_named() {
    let error = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(settings().with("merchant_public_key", own_key())), Some(("accp_public_key", "own_public_key")));
    let types = |word: &str| settings().with("other_types", SettingValue::Texts(vec![word.to_owned()]));
    for bad in ["", "cash", "A B", "GENERAL_CONSUME", "SECURED_CONSUME", &"A".repeat(41)] {
        assert_eq!(error(types(bad)), Some(("other_types", "malformed_id")), "{bad}");
    }
    assert_eq!(error(types("ACCT_CASH_OUT")), None);
    let bare = Settings::new(Environment::Live).with("oid_partner", SettingValue::Text(OURS.to_owned()));
    assert_eq!(error(bare), Some(("accp_public_key", "missing")));
}
