//! Messages of a platform.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::model::{Amount, Concern, Environment, Proof};
use crate::settings::SettingValue;
use crate::signature::hmac::HmacHash;

const DIGITS: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
const ACCOUNT: &str = "Platform1";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("balance_platform", SettingValue::Text(ACCOUNT.into()))
        .with("hmac_key", SettingValue::Key(DIGITS.as_bytes().to_vec().into()))
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn request(body: &str, signature: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("hmacsignature", HeaderValue::from_str(signature).unwrap());
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers,
        body: Bytes::from(body.to_owned()),
        source: None,
        received_at: now(),
    }
}

fn sign(body: &str) -> String {
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&DIGITS[at * 2..at * 2 + 2], 16).unwrap()).collect();
    STANDARD.encode(HmacKey::new(&bytes, HmacHash::Sha256, "test").sign(body.as_bytes()))
}

fn signed(body: &str) -> RawRequest {
    request(body, &sign(body))
}

fn transfer(status: &str) -> Value {
    json!({
        "type": "balancePlatform.transfer.updated", "environment": "live", "timestamp": "2026-11-21T05:00:00+01:00",
        "data": {
            "id": "T1", "balancePlatform": ACCOUNT, "category": "bank", "direction": "outgoing", "reference": "R1",
            "status": status, "amount": { "value": 1130, "currency": "EUR" },
        },
    })
}

fn with(mut value: Value, pointer: &str, to: Value) -> Value {
    *value.pointer_mut(pointer).unwrap() = to;
    value
}

fn told(value: &Value) -> String {
    let notification = match channel().verify(&signed(&value.to_string()), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{value}: {other:?}"),
    };
    let fact = &notification.facts[0];
    let amount = match &fact.amount {
        Amount::Stated(money) => format!("{}{}", money.minor, money.currency),
        Amount::Unreadable => "?".to_owned(),
        _ => "-".to_owned(),
    };
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    format!("{} {order} {amount} | {}", fact.kind, words.join(" ")).trim_end().to_owned()
}

/// A published vector.
#[test]
fn the_signature_is_over_the_raw_body() {
    let body = "{\"id\":\"evt_1\",\"amount\":1000,\"note\":\"café\"}";
    let good = "Wj2pgcXw9TY5tL8yle41POdlPeoH3rpVNffRPJ+VbE4=";
    let Verdict::Genuine(proven) = channel().verify(&request(body, good), now()) else { panic!("refused") };
    let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((key.as_str(), variant.as_str()), ("hmac_key", "body"));
    assert!(!proven.value().concerns.is_empty());
    let word = |request: &RawRequest| match channel().verify(request, now()) {
        Verdict::Refused(rejection) => rejection.word().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(word(&request(&format!("{body} "), good)), "signature");
    assert_eq!(word(&request(body, &good.replace('W', "X"))), "signature");
    assert_eq!(word(&request(body, "AAAA")), "malformed");
    assert_eq!(word(&request(body, "5a3da981c5f0f53639b4bf3295ee353ce7653dea07deba5535f7d13c9f956c4e")), "malformed");
    let mut twice = request(body, good);
    twice.headers.append("hmacsignature", HeaderValue::from_static(good));
    assert_eq!(word(&twice), "duplicate_field");
    let mut none = request(body, good);
    none.headers.remove("hmacsignature");
    assert_eq!(word(&none), "missing");
}

#[test]
fn a_transfer_to_a_bank_is_told_by_its_state() {
    assert_eq!(told(&transfer("booked")), "transfer.succeeded R1 1130EUR |");
    for status in ["failed", "refused", "cancelled", "expired", "error"] {
        assert_eq!(told(&transfer(status)), "transfer.failed R1 1130EUR |", "{status}");
    }
    assert_eq!(told(&transfer("returned")), "transfer.returned R1 1130EUR |");
    for status in ["received", "authorised", "pendingApproval"] {
        assert_eq!(told(&transfer(status)), "other - - |", "{status}");
    }
    assert_eq!(told(&transfer("teleported")), "other - - | unknown_value");
    assert_eq!(told(&with(transfer("booked"), "/data/status", Value::Null)), "other - - | missing_field");
    assert_eq!(told(&with(transfer("booked"), "/data/id", json!(""))), "other - - | missing_field");
    assert_eq!(told(&with(transfer("booked"), "/data/direction", json!("incoming"))), "other - - |");
    assert_eq!(told(&with(transfer("booked"), "/data/category", json!("issuedCard"))), "other - - |");
    assert_eq!(told(&with(transfer("booked"), "/type", json!("balancePlatform.accountHolder.created"))), "other - - |");
    let odd = with(transfer("booked"), "/data/amount", json!({ "value": "1130", "currency": "EUR" }));
    assert_eq!(told(&odd), "transfer.succeeded R1 ? | unreadable_amount");
}

#[test]
fn the_environment_and_the_platform_are_signed_and_believed() {
    assert_eq!(
        told(&with(transfer("booked"), "/environment", json!("test"))),
        "transfer.succeeded R1 1130EUR | foreign_environment"
    );
    assert_eq!(
        told(&with(transfer("booked"), "/environment", json!("beta"))),
        "transfer.succeeded R1 1130EUR | unknown_value"
    );
    let foreign = with(transfer("booked"), "/data/balancePlatform", json!("Other1"));
    assert_eq!(told(&foreign), "transfer.succeeded R1 1130EUR | foreign_payee");
    let likeness = |value: &Value| channel().recognise(&signed(&value.to_string()));
    assert_eq!(likeness(&transfer("booked")), Likeness::Merchant);
    assert_eq!(likeness(&foreign), Likeness::Shape);
    assert_eq!(likeness(&json!({ "type": "x" })), Likeness::No);
    assert_eq!(told(&json!([])), "other - - | unreadable_text");
    let twice = transfer("booked").to_string().replacen('{', r#"{"environment":"test","#, 1);
    let Verdict::Genuine(proven) = channel().verify(&signed(&twice), now()) else { panic!("refused") };
    assert_eq!(proven.value().concerns, [Concern::Ambiguous { field: "environment".into() }]);
}

#[test]
fn one_transfer_is_one_fact_in_each_state() {
    let read = |value: &Value| match channel().verify(&signed(&value.to_string()), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    };
    let (one, later) =
        (read(&transfer("booked")), read(&with(transfer("booked"), "/timestamp", json!("2026-11-22T05:00:00Z"))));
    assert_eq!(one.facts[0].identity.as_str(), "T1");
    assert_eq!(one.facts[0].identity, later.facts[0].identity);
    assert_ne!(one.platform_id, later.platform_id);
    assert!(one.platform_id.starts_with("T1:"));
    assert_eq!(one.sent_at, Some(now()));
    let mut named = transfer("booked");
    named["eventId"] = json!("E1");
    assert_eq!(read(&named).platform_id, "E1");
}

#[test]
fn settings_name_what_is_wrong() {
    let error = |settings: &Settings| build(settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(&settings()), None);
    let account = |text: &str| settings().with("balance_platform", SettingValue::Text(text.into()));
    assert_eq!(error(&account("a/b")), Some(("balance_platform", "malformed_id")));
    assert_eq!(error(&account(" ")), Some(("balance_platform", "missing")));
    let key = settings().with("hmac_key", SettingValue::Key(b"x".to_vec().into()));
    assert_eq!(error(&key), Some(("hmac_key", "malformed")));
}
