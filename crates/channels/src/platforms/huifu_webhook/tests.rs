//! What only this platform has; the contract suite tests what all have.

use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::model::{Amount, Environment, EventKind, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};

const OURS: &str = "6666000000000001";
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn settings_with(key: &str) -> Settings {
    Settings::new(Environment::Live)
        .with("huifu_id", SettingValue::Texts(vec![OURS.to_owned()]))
        .with("endpoint_key", SettingValue::Key(key.as_bytes().to_vec().into()))
}

fn channel() -> Box<dyn Channel> {
    build(&settings_with(KEY)).unwrap()
}

fn request(query: Option<&str>, body: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(JSON));
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: query.map(str::to_owned),
        headers,
        body: Bytes::from(body.to_owned()),
        source: None,
        received_at: now(),
    }
}

fn sign(body: &str) -> String {
    DigestHash::Md5.hex_of(&[body.as_bytes(), KEY.as_bytes()], HexCase::Upper)
}

fn signed(body: &str) -> RawRequest {
    request(Some(&format!("sign={}", sign(body))), body)
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
    let words: Vec<&str> = notification.concerns.iter().map(crate::model::Concern::word).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    format!("{} {order} {amount} {name} | {}", fact.kind, words.join(" ")).trim_end().to_owned()
}

fn paid() -> Value {
    json!({
        "event_id": "EV1", "event_define_no": "pay.wx_lite", "namespace": "opps-webhook", "huifu_id": OURS, "mer_ord_id": "T1",
        "hf_seq_id": "00290HF1", "trans_amt": "10.00", "trans_stat": "S", "trans_date": "20261121", "trans_time": "120000",
    })
}

fn with(mut value: Value, name: &str, to: Value) -> Value {
    value[name] = to;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

/// The vector of an independent script; it has neither an account nor an event's number.
#[test]
fn the_digest_is_over_the_raw_body_and_the_key_behind_it() {
    let body = r#"{"event_type":"trans.pay","req_seq_id":"R1","trans_amt":"0.10"}"#;
    let asked = request(Some("sign=583170A649932DCEDFD1B52B90BBD4AD"), body);
    let Verdict::Genuine(proven) = channel().verify(&asked, now()) else { panic!("refused") };
    let Proof::Signature { key, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((key.as_str(), variant.as_str()), ("endpoint_key", "webhook"));
    // Without a state nothing is known to have been paid.
    assert_eq!(proven.value().facts[0].kind, EventKind::Other);
    assert!(!proven.value().concerns.is_empty());
}

#[test]
fn only_one_signature_in_capitals_in_the_query_counts() {
    let body = paid().to_string();
    let good = sign(&body);
    let missing = Rejection::Missing { field: "sign".into() };
    assert_eq!(refusal(&request(None, &body)), missing);
    for query in ["", "a=b", "sign", "sign=", "Sign=x", "sign=+"] {
        assert_eq!(refusal(&request(Some(query), &body)), missing, "{query}");
    }
    assert_eq!(refusal(&request(Some(&format!("sign={}", good.to_lowercase())), &body)), Rejection::Signature);
    let first = DigestHash::Md5.hex_of(&[KEY.as_bytes(), body.as_bytes()], HexCase::Upper);
    assert_eq!(refusal(&request(Some(&format!("sign={first}")), &body)), Rejection::Signature);
    for query in [format!("sign={good}&sign={good}"), format!("sign=x&a=1&%73ign={good}"), format!("sign={good}&sign=")]
    {
        assert_eq!(refusal(&request(Some(&query), &body)), Rejection::Duplicate { field: "sign".into() }, "{query}");
    }
    for query in [format!("shop=1&sign={good}"), format!("sign={good}&a=b&a=c"), format!("&%73ign={good}&")] {
        assert!(matches!(channel().verify(&request(Some(&query), &body), now()), Verdict::Genuine(_)), "{query}");
        // The rest of it is nobody's word.
        let signed = channel().signed_query(&request(Some(&query), &body)).unwrap();
        assert!([format!("sign={good}"), format!("%73ign={good}")].contains(&signed), "{signed}");
        assert_eq!(channel().query_names(), ["sign"]);
    }
    assert_eq!(refusal(&request(Some(&format!("sign={good}&%zz")), &body)).word(), "malformed");
    // A signature in the body is a member like others.
    assert_eq!(refusal(&request(None, &with(paid(), "sign", json!(good)).to_string())), missing);
    assert_eq!(refusal(&request(Some(&format!("sign={good}")), &format!("{body} "))), Rejection::Signature);
}

#[test]
fn events_are_told_by_their_word_and_state() {
    assert_eq!(told(&paid()), "payment.succeeded T1 10.00 00290HF1 |");
    assert_eq!(told(&with(paid(), "req_seq_id", json!("Q1"))), "payment.succeeded Q1 10.00 00290HF1 |");
    assert_eq!(told(&with(paid(), "trans_stat", json!("F"))), "payment.failed T1 10.00 00290HF1 |");
    assert_eq!(told(&with(paid(), "trans_stat", json!("X"))), "other - - - | unknown_value");
    assert_eq!(told(&without(paid(), "trans_stat")), "other - - - | missing_field");
    let by_type = with(without(paid(), "event_define_no"), "event_type", json!("trans.pay"));
    assert_eq!(told(&by_type), "payment.succeeded T1 10.00 00290HF1 |");
    assert_eq!(told(&with(paid(), "event_type", json!("pay.wx_lite"))), "payment.succeeded T1 10.00 00290HF1 |");
    assert_eq!(
        told(&with(paid(), "event_type", json!("refund.standard"))),
        "payment.succeeded T1 10.00 00290HF1 | contradiction"
    );
    for word in ["statement.day", "settlement.encashment", "wechat.complaint", "mer.register.wx", "conf.union.qr"] {
        assert_eq!(told(&with(paid(), "event_define_no", json!(word))), "other - - - |", "{word}");
    }
    for word in ["refund.other", "trans.new", "PAY.wx_lite"] {
        assert_eq!(told(&with(paid(), "event_define_no", json!(word))), "other - - - | unknown_value", "{word}");
    }
    assert_eq!(told(&without(paid(), "event_define_no")), "other - - - | missing_field");
    assert_eq!(told(&with(paid(), "huifu_id", json!("1"))), "payment.succeeded T1 10.00 00290HF1 | foreign_payee");
}

#[test]
fn refunds_and_closings_name_their_order() {
    let refund = json!({
        "event_define_no": "refund.standard", "huifu_id": OURS, "req_seq_id": "R1", "req_date": "20261121", "hf_seq_id": "00300HF9",
        "org_req_seq_id": "T1", "ord_amt": "2.50", "trans_stat": "S",
    });
    assert_eq!(told(&refund), "refund.succeeded T1 2.50 hf_seq_id:00300HF9 |");
    let close = json!({
        "event_define_no": "trans.close", "huifu_id": OURS, "org_req_seq_id": "T1", "org_req_date": "20261121", "trans_stat": "S",
        "org_trans_stat": "F", "req_date": "20261121",
    });
    assert_eq!(told(&close), "payment.closed T1 - req_seq_id:20261121:T1 |");
    assert_eq!(told(&with(close.clone(), "org_hf_seq_id", json!("00290HF1"))), "payment.closed T1 - 00290HF1 |");
    assert_eq!(told(&without(close.clone(), "trans_stat")), "payment.closed T1 - req_seq_id:20261121:T1 |");
    // The closing did not succeed, or the order was paid.
    assert_eq!(told(&with(close.clone(), "trans_stat", json!("F"))), "other - - - |");
    assert_eq!(told(&with(close.clone(), "trans_stat", json!("Z"))), "other - - - | unknown_value");
    assert_eq!(
        told(&with(close.clone(), "org_trans_stat", json!("S"))),
        "payment.closed T1 - req_seq_id:20261121:T1 | contradiction"
    );
    assert_eq!(told(&without(close, "org_req_seq_id")), "other - - - | missing_field");
}

#[test]
fn an_event_goes_by_its_number_or_its_digest() {
    assert_eq!(read(&paid()).platform_id, "EV1");
    let nameless = read(&without(paid(), "event_id")).platform_id;
    assert_eq!(nameless, read(&without(paid(), "event_id")).platform_id);
    assert_ne!(nameless, read(&with(without(paid(), "event_id"), "a", json!(1))).platform_id);
    assert_eq!(read(&paid()).sent_at, Some(now()));
}

#[test]
fn what_is_no_event_is_not_recognised_and_held_when_proven() {
    let body = paid().to_string();
    assert_eq!(channel().recognise(&signed(&body)), Likeness::Merchant);
    assert_eq!(channel().recognise(&signed(&with(paid(), "huifu_id", json!("1")).to_string())), Likeness::Shape);
    assert_eq!(channel().recognise(&request(None, &body)), Likeness::No);
    assert_eq!(channel().recognise(&signed("{}")), Likeness::No);
    let Verdict::Genuine(proven) = channel().verify(&signed("[]"), now()) else { panic!("refused") };
    assert_eq!(proven.value().concerns[0].word(), "unreadable_text");
    let twice = body.replacen('{', r#"{"trans_stat":"F","#, 1);
    let Verdict::Genuine(proven) = channel().verify(&signed(&twice), now()) else { panic!("refused") };
    assert_eq!(proven.value().concerns, [crate::model::Concern::Ambiguous { field: "trans_stat".into() }]);
    assert_eq!((proven.value().facts.len(), proven.value().facts[0].kind), (1, EventKind::Other));
}

#[test]
fn an_endpoints_key_has_32_characters() {
    let error = |key: &str| build(&settings_with(key)).err().map(|error| (error.setting, error.word));
    assert_eq!(error(&format!("{KEY}\n")), None);
    for short in ["x", &KEY[1..], &format!("{KEY}0")] {
        assert_eq!(error(short), Some(("endpoint_key", "out_of_range")), "{short}");
    }
    assert_eq!(error(""), Some(("endpoint_key", "missing")));
    assert_eq!(error(&KEY.replace('f', " ")), Some(("endpoint_key", "malformed")));
}

#[test]
fn an_error_page_confirms_nothing() {
    let read = |status: u16, body: &str| channel().is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for (status, body) in [(200, ""), (204, ""), (201, "ok"), (200, "RECV_ORD_ID_1")] {
        assert_eq!(read(status, body), AckMatch::Exact, "{status} {body}");
    }
    for (status, body) in [(302, ""), (500, ""), (200, "<br />\n<b>Warning</b>"), (200, "PHP Fatal error: x")] {
        assert_eq!(read(status, body), AckMatch::No, "{status} {body}");
    }
    for body in crate::platforms::failure::tests::FAILURES {
        assert_eq!(read(200, body), AckMatch::No, "{body}");
    }
}
