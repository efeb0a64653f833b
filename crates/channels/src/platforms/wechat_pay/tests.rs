//! What only this platform has; the contract suite tests what all have.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::cipher::gcm::Gcm;
use crate::model::{Amount, Concern, EventKind, Fact, Identity};
use crate::platforms::signed_body::malformed;
use crate::settings::SettingValue;
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;

mod products;
mod real;

const KEY: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
const KEY_ID: &str = "PUB_KEY_ID_0119000000012026112100000000000001";
const MCHID: &str = "1900000001";
const NONCE_12: &[u8; 12] = b"fdasflkja484";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

struct Stage {
    pair: RsaKeyPair,
    settings: Settings,
}

fn stage() -> Stage {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let pem = PublicKey::of_pair("key", &pair).unwrap().to_pem();
    let settings = Settings::new(crate::model::Environment::Live)
        .with("mchid", SettingValue::Text(MCHID.into()))
        .with("appid", SettingValue::Texts(vec!["wx01".into()]))
        .with("api_v3_key", SettingValue::Key(KEY.to_vec().into()))
        .with("wechatpay_public_key", SettingValue::Key(pem.into_bytes().into()))
        .with("wechatpay_public_key_id", SettingValue::Text(KEY_ID.into()));
    Stage { pair, settings }
}

fn envelope_of(event_type: &str, plaintext: &[u8], associated: Option<&str>) -> Value {
    let cipher = Gcm::new(KEY).unwrap();
    let boxed = cipher.close(NONCE_12, associated.unwrap_or_default().as_bytes(), plaintext).unwrap();
    let mut resource = json!({
        "algorithm": "AEAD_AES_256_GCM", "original_type": "x", "ciphertext": STANDARD.encode(boxed), "nonce": "fdasflkja484",
    });
    if let Some(associated) = associated {
        resource["associated_data"] = json!(associated);
    }
    json!({
        "id": "N1", "create_time": "2026-11-21T12:00:00+08:00", "event_type": event_type, "resource_type": "encrypt-resource",
        "summary": "s", "resource": resource,
    })
}

impl Stage {
    fn request(&self, body: &[u8], at: i64) -> RawRequest {
        let message = [format!("{at}\nabc\n").as_bytes(), body, b"\n"].concat();
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            (TIMESTAMP, &at.to_string()),
            (NONCE, "abc"),
            (SERIAL, KEY_ID),
            (SIGNATURE, &signature),
        ] {
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        RawRequest {
            method: Method::POST,
            path: "/".into(),
            query: None,
            headers,
            body: Bytes::copy_from_slice(body),
            source: None,
            received_at: now(),
        }
    }

    fn verify(&self, request: &RawRequest) -> Verdict {
        build(&self.settings).unwrap().verify(request, now())
    }

    fn read(&self, event_type: &str, plaintext: &Value) -> Notification {
        self.read_bytes(event_type, plaintext.to_string().as_bytes())
    }

    fn read_bytes(&self, event_type: &str, plaintext: &[u8]) -> Notification {
        let body = envelope_of(event_type, plaintext, Some("x")).to_string();
        match self.verify(&self.request(body.as_bytes(), now().as_second())) {
            Verdict::Genuine(proven) => proven.into_parts().0,
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self, request: &RawRequest) -> Rejection {
        match self.verify(request) {
            Verdict::Refused(rejection) => rejection,
            other => panic!("{other:?}"),
        }
    }

    fn with(mut self, name: &'static str, value: SettingValue) -> Self {
        self.settings = self.settings.with(name, value);
        self
    }
}

fn payment() -> Value {
    json!({
        "mchid": MCHID, "appid": "wx01", "out_trade_no": "T1", "transaction_id": "42001", "trade_state": "SUCCESS",
        "success_time": "2026-11-21T11:59:59+08:00", "amount": { "total": 1000, "payer_total": 900, "currency": "CNY" },
    })
}

fn changed(mut value: Value, path: &str, to: Value) -> Value {
    *value.pointer_mut(path).unwrap() = to;
    value
}

fn minor(fact: &Fact) -> Option<i64> {
    fact.signed_money().map(|money| money.minor)
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

/// Vectors of an independent script.
#[test]
fn the_box_opens_with_and_without_associated_data() {
    const PLAINTEXT: &[u8] = br#"{"out_trade_no":"T1","trade_state":"SUCCESS","amount":{"total":10}}"#;
    const HEAD: &str = "bz1mQGtugHE+xvD4swlMsg4mbrvl1y0RQwgxTxC9eNAnoXATr12HyoUn/oW7LvTM1RxZQG60EbzKYY1HKb4y4kwg1";
    let cipher = Gcm::new(KEY).unwrap();
    for (associated, tail) in [("transaction", "/bjC4+plQi+mF3VqscOLrg="), ("", "0sAOhzK0yZlhUJM9kwuzpA=")] {
        let boxed = STANDARD.decode(format!("{HEAD}{tail}")).unwrap();
        assert_eq!(cipher.open(NONCE_12, associated.as_bytes(), &boxed).as_deref(), Some(PLAINTEXT));
        assert_eq!(cipher.close(NONCE_12, associated.as_bytes(), PLAINTEXT).unwrap(), boxed);
        assert_eq!(cipher.open(NONCE_12, b"other", &boxed), None);
        for at in 0..boxed.len() {
            let mut spoiled = boxed.clone();
            spoiled[at] ^= 1;
            assert_eq!(cipher.open(NONCE_12, associated.as_bytes(), &spoiled), None, "byte {at}");
        }
        assert_eq!(cipher.open(NONCE_12, associated.as_bytes(), &boxed[..15]), None);
    }
}

#[test]
fn associated_data_may_be_empty_null_or_missing() {
    let stage = stage();
    let plaintext = payment().to_string();
    let missing = envelope_of("TRANSACTION.SUCCESS", plaintext.as_bytes(), None);
    let empty = envelope_of("TRANSACTION.SUCCESS", plaintext.as_bytes(), Some(""));
    let null = changed(empty.clone(), "/resource/associated_data", Value::Null);
    for body in [missing, empty, null] {
        let request = stage.request(body.to_string().as_bytes(), now().as_second());
        assert!(matches!(stage.verify(&request), Verdict::Genuine(_)), "{body}");
    }
}

#[test]
fn the_outside_is_checked_strictly() {
    let stage = stage();
    let body = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x")).to_string();
    let genuine = stage.request(body.as_bytes(), now().as_second());
    let with = |name: &'static str, value: &str| {
        let mut request = genuine.clone();
        request.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        request
    };
    assert_eq!(stage.refusal(&with(SIGNATURE, "WECHATPAY/SIGNTEST/abc")), Rejection::Probe);
    for other in ["WECHATPAY2-SM2-WITH-SM3", "wechatpay2-sha256-rsa2048", "none"] {
        assert_eq!(stage.refusal(&with(TYPE, other)), Rejection::Algorithm { algorithm: other.into() });
    }
    assert!(matches!(stage.verify(&with(TYPE, SIGNATURE_TYPE)), Verdict::Genuine(_)));
    for bad in ["1795233600000", "-1", "+1", "1e9", " 1", "0x1", "17952336001"] {
        assert_eq!(stage.refusal(&with(TIMESTAMP, bad)), malformed(TIMESTAMP), "{bad}");
    }
    for name in [SIGNATURE, TIMESTAMP, NONCE, SERIAL] {
        let mut twice = genuine.clone();
        let value = twice.headers[name].clone();
        twice.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        assert_eq!(stage.refusal(&twice), Rejection::Duplicate { field: name.into() });
        let mut missing = genuine.clone();
        missing.headers.remove(name);
        assert_eq!(stage.refusal(&missing), Rejection::Missing { field: name.into() });
    }
    for (serial, asked) in [("00ab12", "AB12"), ("PUB_KEY_ID_9", ""), ("pub_key_id_9", "")] {
        match stage.verify(&with(SERIAL, serial)) {
            Verdict::NeedsKey(key) => assert_eq!(key.serial, asked),
            Verdict::Refused(rejection) => assert_eq!((rejection.word(), asked), ("unknown_key", "")),
            other => panic!("{other:?}"),
        }
    }
    // The id of a public key is compared whole, in its own case.
    assert!(matches!(stage.verify(&with(SERIAL, &format!("0{KEY_ID}"))), Verdict::Refused(_)));
}

#[test]
fn the_window_ends_at_five_minutes_both_ways() {
    let stage = stage();
    let body = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x")).to_string();
    for (age, is_fresh) in [(0, true), (299, true), (-299, true), (300, false), (-300, false)] {
        let verdict = stage.verify(&stage.request(body.as_bytes(), now().as_second() - age));
        match verdict {
            Verdict::Genuine(_) => assert!(is_fresh, "{age}"),
            Verdict::Refused(Rejection::Stale { seconds }) => assert_eq!((seconds, is_fresh), (age, false)),
            other => panic!("{age}: {other:?}"),
        }
    }
}

#[test]
fn a_signed_body_that_is_no_envelope_is_refused() {
    let stage = stage();
    let whole = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x")).to_string();
    let refusal = |body: &str| stage.refusal(&stage.request(body.as_bytes(), now().as_second())).word();
    assert_eq!(refusal("[]"), "malformed");
    assert_eq!(refusal("{}"), "missing");
    // Answers of the interfaces are signed with the same key, and have no resource.
    assert_eq!(refusal(&payment().to_string()), "missing");
    for nothing in ["null", "\"text\"", "[]"] {
        let word = if nothing == "null" { "missing" } else { "malformed" };
        assert_eq!(refusal(&format!("{{\"event_type\":\"TRANSACTION.SUCCESS\",\"resource\":{nothing}}}")), word);
    }
    assert_eq!(refusal(&whole.replace("\"summary\"", "\"id\"")), "duplicate_field");
    assert_eq!(refusal(&whole.replace("\"original_type\"", "\"nonce\"")), "duplicate_field");
    assert_eq!(refusal(&whole.replace("\"original_type\"", "\"\\u006eonce\"")), "duplicate_field");
    assert_eq!(refusal(&whole.replace("AEAD_AES_256_GCM", "AEAD_SM4_GCM")), "algorithm");
    assert_eq!(refusal(&whole.replace("fdasflkja484", "fdasflkja4845")), "undecryptable");
    assert_eq!(refusal(&whole.replace("fdasflkja484", "fdasflkja485")), "undecryptable");
    assert_eq!(refusal(&whole.replace("\"associated_data\":\"x\"", "\"associated_data\":\"y\"")), "undecryptable");
    let stranger = stage.with("api_v3_key", SettingValue::Key(vec![b'k'; 32].into()));
    assert_eq!(stranger.refusal(&stranger.request(whole.as_bytes(), now().as_second())), Rejection::Undecryptable);
}

/// The platform signed it, so money may be in it; what no other key could open either is kept and held.
#[test]
fn a_signed_envelope_that_is_laid_out_anew_is_held() {
    let stage = stage();
    let whole = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x"));
    let told = |body: &Value| match stage.verify(&stage.request(body.to_string().as_bytes(), now().as_second())) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{body}: {other:?}"),
    };
    // The box opens, so the payment is known; a person looks at what is new about it.
    for kind in [json!("plain"), json!(""), json!(1)] {
        let notification = told(&changed(whole.clone(), "/resource_type", kind.clone()));
        assert_eq!(words(&notification), ["unknown_value"], "{kind}");
        assert_eq!(notification.facts[0].kind, EventKind::PaymentSucceeded, "{kind}");
    }
    for kind in [json!(null), json!(""), json!(7), json!(["TRANSACTION.SUCCESS"])] {
        let notification = told(&changed(whole.clone(), "/event_type", kind.clone()));
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (EventKind::Other, 1), "{kind}");
        assert_eq!(notification.platform_kind, "unknown", "{kind}");
    }
    for (path, to) in [
        ("/resource", json!({})),
        ("/resource", payment()),
        ("/resource/algorithm", json!(null)),
        ("/resource/nonce", json!("")),
        ("/resource/nonce", json!(123_456_789_012_u64)),
        ("/resource/nonce", json!("n".repeat(200))),
        ("/resource/ciphertext", json!(null)),
        ("/resource/ciphertext", json!("AQI")),
        ("/resource/ciphertext", json!(["AQID"])),
        ("/resource/associated_data", json!(["x"])),
    ] {
        let notification = told(&changed(whole.clone(), path, to.clone()));
        assert_eq!(notification.facts[0].kind, EventKind::Other, "{path} {to}");
        assert!(!notification.concerns.is_empty(), "{path} {to}");
    }
}

#[test]
fn a_payment_is_read() {
    let notification = stage().read("TRANSACTION.SUCCESS", &payment());
    assert_eq!(notification.concerns, []);
    assert_eq!((notification.platform_id.as_str(), notification.scope.account.as_str()), ("N1", MCHID));
    let [fact] = &notification.facts[..] else { panic!() };
    assert_eq!((fact.kind, fact.identity.as_str(), minor(fact)), (EventKind::PaymentSucceeded, "42001", Some(1000)));
    assert_eq!((fact.order_no.as_deref(), fact.payee.as_deref()), (Some("T1"), Some(MCHID)));
    assert_eq!(fact.occurred_at, Some("2026-11-21T03:59:59Z".parse().unwrap()));
}

#[test]
fn every_field_is_shown_but_the_closed_box() {
    let stage = stage();
    let body = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x")).to_string();
    let fields = build(&stage.settings).unwrap().fields(&stage.request(body.as_bytes(), now().as_second()));
    for field in [("plaintext.amount.total", "1000"), ("id", "N1"), ("resource.associated_data", "x")] {
        assert!(fields.contains(&(field.0.into(), field.1.into())), "{field:?}");
    }
    assert!(fields.iter().all(|(name, _)| name != "resource.ciphertext"));
}

#[test]
fn what_cannot_be_understood_is_held_and_never_guessed() {
    let stage = stage();
    let held = |path: &str, to: Value| stage.read("TRANSACTION.SUCCESS", &changed(payment(), path, to));
    for bad in [json!("1000"), json!(1000.0), json!(1e3), json!(-1), json!(null), json!([1]), json!(u64::MAX)] {
        let notification = held("/amount/total", bad.clone());
        assert_eq!(notification.facts[0].amount, Amount::Unreadable, "{bad}");
        assert_eq!(words(&notification), ["unreadable_amount"], "{bad}");
    }
    for (path, to, kind, word) in [
        ("/trade_state", json!("NEW"), EventKind::Other, "unknown_value"),
        ("/trade_state", json!("NOTPAY"), EventKind::Other, "contradiction"),
        ("/trade_state", json!(""), EventKind::Other, "missing_field"),
        ("/trade_state", json!("REFUND"), EventKind::PaymentSucceeded, "contradiction"),
        ("/mchid", json!("1900000002"), EventKind::PaymentSucceeded, "foreign_payee"),
        ("/appid", json!("wx02"), EventKind::PaymentSucceeded, "foreign_payee"),
        ("/mchid", json!(null), EventKind::PaymentSucceeded, "missing_field"),
        ("/transaction_id", json!(""), EventKind::Other, "missing_field"),
        ("/transaction_id", json!("4".repeat(1000)), EventKind::Other, "unknown_value"),
        ("/amount/currency", json!("XQZ"), EventKind::PaymentSucceeded, "unreadable_amount"),
    ] {
        let notification = held(path, to.clone());
        assert_eq!(notification.facts[0].kind, kind, "{path} {to}");
        assert_eq!(words(&notification).first(), Some(&word), "{path} {to}");
    }
    assert_eq!(held("/mchid", json!("1900000002")).scope.account, "1900000002");
    let text = payment().to_string();
    let twice = text.replace("\"out_trade_no\"", "\"transaction_id\":\"9\",\"out_trade_no\"");
    assert_eq!(words(&stage.read_bytes("TRANSACTION.SUCCESS", twice.as_bytes())), ["ambiguous"]);
    for broken in ["", "[]", "null", "{\"a\":", "\u{feff}{}"] {
        let notification = stage.read_bytes("TRANSACTION.SUCCESS", broken.as_bytes());
        assert_eq!(notification.facts[0].kind, EventKind::Other, "{broken}");
        assert!(words(&notification).contains(&"unreadable_text"), "{broken}");
    }
    let deep = text.replace("\"T1\"", &format!("{}{}", "[".repeat(100), "]".repeat(100)));
    assert!(words(&stage.read_bytes("TRANSACTION.SUCCESS", deep.as_bytes())).contains(&"unreadable_text"));
    let notification = stage.read("TRANSACTION.NEW", &payment());
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec!["unknown_value"]));
    let notification = stage.read("PAYSCORE.USER_PAID", &json!({ "out_order_no": "1" }));
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec!["missing_field"]));
    assert_eq!(notification.facts[0].identity.as_str(), "N1");
}

#[test]
fn deductions_fail_and_are_paid_back() {
    let stage = stage();
    let told = |state: &str| changed(payment(), "/trade_state", json!(state));
    for (event, state, kind, concerns) in [
        ("TRANSACTION.FAIL", told("PAY_FAIL"), EventKind::PaymentFailed, 0),
        ("TRANSACTION.FAIL", told("SUCCESS"), EventKind::Other, 1),
        ("TRANSACTION.PAY_BACK", told("SUCCESS"), EventKind::PaymentSucceeded, 0),
        ("TRANSACTION.PAY_BACK", told("PAY_FAIL"), EventKind::Other, 1),
        ("TRANSACTION.PAY_BACK", told("PAY_BACK"), EventKind::PaymentSucceeded, 0),
        ("TRANSACTION.FAIL", told("FAIL"), EventKind::PaymentFailed, 0),
        ("TRANSACTION.FAIL", told("PAYERROR"), EventKind::PaymentFailed, 0),
        ("TRANSACTION.SUCCESS", told("PAY_BACK"), EventKind::Other, 1),
        ("TRANSACTION.SUCCESS", told("ACCEPTED"), EventKind::Other, 1),
        ("TRANSACTION.INDUSTRY_SUCCESS", told("SUCCESS"), EventKind::PaymentSucceeded, 0),
        ("TRANSACTION.INDUSTRY_SUCCESS", told("PAY_FAIL"), EventKind::Other, 1),
        ("TRANSACTION.INDUSTRY_FAILED", told("PAY_FAIL"), EventKind::PaymentFailed, 0),
        ("TRANSACTION.INDUSTRY_FAILED", told("SUCCESS"), EventKind::Other, 1),
    ] {
        let notification = stage.read(event, &state);
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (kind, concerns), "{event} {state}");
    }
}

#[test]
fn a_deduction_that_never_became_a_payment_is_named_by_its_order() {
    let stage = stage();
    let mut failed = changed(payment(), "/trade_state", json!("PAY_FAIL"));
    failed.as_object_mut().unwrap().remove("transaction_id");
    let notification = stage.read("TRANSACTION.FAIL", &failed);
    let fact = &notification.facts[0];
    assert_eq!(
        (fact.kind, fact.identity.as_str(), minor(fact)),
        (EventKind::PaymentFailed, "out_trade_no:T1", Some(1000))
    );
    assert_eq!((fact.order_no.as_deref(), &fact.platform_no, words(&notification)), (Some("T1"), &None, vec![]));
    // Paid needs the payment's own number, by which refunds name it.
    let paid = changed(failed, "/trade_state", json!("PAY_BACK"));
    let notification = stage.read("TRANSACTION.PAY_BACK", &paid);
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec!["missing_field"]));
    assert_eq!(notification.facts[0].order_no.as_deref(), Some("T1"));
}

#[test]
fn a_sub_merchants_payment_and_refund_meet_in_one_scope() {
    let plaintext = json!({
        "sp_mchid": MCHID, "sub_mchid": "1900000109", "sp_appid": "wx01", "out_trade_no": "T1", "transaction_id": "42001",
        "trade_state": "SUCCESS", "amount": { "total": 1 },
    });
    let refund = json!({
        "sp_mchid": MCHID, "sub_mchid": "1900000109", "transaction_id": "42001", "out_trade_no": "T1", "refund_id": "5001",
        "out_refund_no": "42001", "refund_status": "SUCCESS", "amount": { "total": 1, "refund": 1 },
    });
    assert_eq!(words(&stage().read("TRANSACTION.SUCCESS", &plaintext)), ["foreign_payee"]);
    for listed in ["1900000109", "*"] {
        let stage = stage().with("sub_mchid", SettingValue::Texts(vec![listed.into()]));
        let paid = stage.read("TRANSACTION.SUCCESS", &plaintext);
        let refunded = stage.read("REFUND.SUCCESS", &refund);
        assert_eq!((words(&paid), words(&refunded)), (vec![], vec![]));
        assert_eq!(paid.facts[0].scope.account, "1900000001:1900000109");
        assert_eq!(refunded.facts[0].scope, paid.facts[0].scope);
        assert_eq!(refunded.facts[0].payment.as_ref(), Some(&paid.facts[0].identity));
        let names: Vec<&str> = refunded.facts[0].identities().map(Identity::as_str).collect();
        assert_eq!(names, ["refund_id:5001", "out_refund_no:42001"]);
        let stranger = changed(plaintext.clone(), "/sub_mchid", json!("1900000110"));
        assert_eq!(words(&stage.read("TRANSACTION.SUCCESS", &stranger)).is_empty(), listed == "*");
    }
}

#[test]
fn a_combined_order_gives_one_fact_each() {
    let order = |mchid: &str, number: u32, state: &str| {
        json!({
            "mchid": mchid, "out_trade_no": format!("S{number}"), "transaction_id": format!("4200{number}"),
            "trade_state": state, "amount": { "total_amount": number, "currency": "CNY" },
        })
    };
    let plaintext = |orders: Value| json!({ "combine_appid": "wx01", "combine_mchid": MCHID, "combine_out_trade_no": "C1", "sub_orders": orders });
    let stage = stage().with("sub_mchid", SettingValue::Texts(vec!["1900000109".into()]));
    let both = plaintext(json!([order(MCHID, 1, "SUCCESS"), order("1900000109", 2, "SUCCESS")]));
    let notification = stage.read("TRANSACTION.SUCCESS", &both);
    assert_eq!(words(&notification), Vec::<&str>::new());
    let found: Vec<_> = notification
        .facts
        .iter()
        .map(|fact| (fact.scope.account.as_str(), fact.identity.as_str(), minor(fact), fact.order_no.as_deref()))
        .collect();
    assert_eq!(found, [(MCHID, "42001", Some(1), Some("S1")), ("1900000109", "42002", Some(2), Some("S2"))]);
    let strange = plaintext(json!([order("1900000777", 1, "SUCCESS"), order(MCHID, 2, "NEW"), order(MCHID, 3, "NEW")]));
    let notification = stage.read("TRANSACTION.SUCCESS", &strange);
    assert!(words(&notification).contains(&"foreign_payee") && words(&notification).contains(&"unknown_value"));
    let names: std::collections::HashSet<_> = notification.facts.iter().map(|fact| fact.identity.as_str()).collect();
    assert_eq!(names.len(), 3);
    assert_eq!(words(&stage.read("TRANSACTION.SUCCESS", &plaintext(json!([])))), ["missing_field"]);
}

#[test]
fn transfers_and_shares_are_read() {
    let stage = stage();
    let transfer = |state: &str| json!({ "mch_id": MCHID, "out_bill_no": "B1", "transfer_bill_no": "1330", "state": state, "transfer_amount": 7 });
    for (state, kind, concerns) in [
        ("SUCCESS", EventKind::TransferSucceeded, 0),
        ("FAIL", EventKind::TransferFailed, 0),
        ("CANCELLED", EventKind::TransferFailed, 0),
        ("TRANSFERING", EventKind::Other, 1),
        ("WAIT_USER_CONFIRM", EventKind::Other, 1),
        ("RETURNED", EventKind::Other, 1),
    ] {
        let notification = stage.read("MCHTRANSFER.BILL.FINISHED", &transfer(state));
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (kind, concerns), "{state}");
    }
    let fact = stage.read("MCHTRANSFER.BILL.FINISHED", &transfer("SUCCESS")).facts.remove(0);
    assert_eq!((fact.identity.as_str(), minor(&fact)), ("transfer_bill_no:1330", Some(7)));
    assert_eq!(fact.aliases[0].as_str(), "out_bill_no:B1");
    let share = json!({
        "mchid": "1900000999", "order_id": "3008", "out_order_no": "P1", "success_time": "2026-11-21T12:00:00+08:00",
        "receiver": { "type": "MERCHANT_ID", "account": MCHID, "amount": 5 },
    });
    let notification = stage.read("PROFITSHARING.SUCCESS", &share);
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::ProfitSharingSucceeded, vec![]));
    let timeless = changed(share.clone(), "/success_time", json!(null));
    assert_eq!(words(&stage.read("PROFITSHARING.SUCCESS", &timeless)), ["missing_field"]);
    let foreign = changed(share, "/receiver/account", json!("1900000998"));
    assert_eq!(words(&stage.read("PROFITSHARING.RETURN", &foreign)), ["foreign_payee"]);
}

#[test]
fn a_refund_says_what_its_event_says() {
    let stage = stage();
    let refund = |status: &str| {
        json!({
            "mchid": MCHID, "transaction_id": "42001", "out_trade_no": "T1", "refund_id": "5001", "out_refund_no": "R1",
            "refund_status": status, "amount": { "total": 10, "refund": 3 },
        })
    };
    for (event, status, kind, concerns) in [
        ("REFUND.SUCCESS", "SUCCESS", EventKind::RefundSucceeded, 0),
        ("REFUND.CLOSED", "CLOSED", EventKind::RefundFailed, 0),
        ("REFUND.ABNORMAL", "ABNORMAL", EventKind::RefundAbnormal, 0),
        ("REFUND.SUCCESS", "CLOSED", EventKind::Other, 1),
        ("REFUND.SUCCESS", "NEW", EventKind::Other, 1),
    ] {
        let notification = stage.read(event, &refund(status));
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (kind, concerns), "{event} {status}");
        if concerns == 0 {
            assert_eq!(minor(&notification.facts[0]), Some(3));
        }
    }
}

#[test]
fn a_number_that_is_missing_is_held_where_another_names_the_fact() {
    let stage = stage();
    let refund = json!({
        "mchid": MCHID, "transaction_id": "42001", "out_trade_no": "T1", "refund_id": "5001", "out_refund_no": "R1",
        "refund_status": "SUCCESS", "amount": { "total": 10, "refund": 3 },
    });
    let transfer = json!({ "mchid": MCHID, "out_bill_no": "B1", "transfer_bill_no": "1330", "state": "SUCCESS", "transfer_amount": 7 });
    for (event, kind, plaintext, names) in [
        (
            "REFUND.SUCCESS",
            EventKind::RefundSucceeded,
            &refund,
            &["out_trade_no", "refund_id", "out_refund_no", "mchid"][..],
        ),
        (
            "MCHTRANSFER.BILL.FINISHED",
            EventKind::TransferSucceeded,
            &transfer,
            &["out_bill_no", "transfer_bill_no", "mchid"],
        ),
        ("MCHTRANSFER.QQWALLETBILL.FINISHED", EventKind::TransferSucceeded, &transfer, &["out_bill_no", "mchid"]),
    ] {
        assert_eq!(words(&stage.read(event, plaintext)), Vec::<&str>::new());
        for name in names {
            let mut cut = plaintext.clone();
            cut.as_object_mut().unwrap().remove(*name);
            let notification = stage.read(event, &cut);
            assert_eq!(
                (notification.facts[0].kind, words(&notification)),
                (kind, vec!["missing_field"]),
                "{event} {name}"
            );
        }
    }
}

#[test]
fn settings_that_make_no_channel_are_named() {
    let error = |name: &'static str, value: SettingValue| {
        let Err(error) = build(&stage().with(name, value).settings) else { panic!("{name}: built") };
        (error.setting, error.word, error.detail.unwrap_or_default())
    };
    let key = |bytes: &[u8]| SettingValue::Key(bytes.to_vec().into());
    for (bytes, length) in [(&KEY[..31], "31 bytes"), (b"0123456789abcdef0123456789ABCDEF01", "34 bytes")] {
        let (setting, word, detail) = error("api_v3_key", key(bytes));
        assert_eq!((setting, word), ("api_v3_key", "out_of_range"));
        assert!(detail.starts_with(length), "{detail}");
    }
    // Copied with something around it: 32 bytes by chance are no key either.
    for bytes in [b"0123456789abcdef0123456789ABCD  ", b"0123456789abcdef\n23456789ABCDEF\t"] {
        assert_eq!(error("api_v3_key", key(bytes)).1, "malformed");
    }
    for newline in ["\n", "\r\n"] {
        let settings = stage().with("api_v3_key", key(&[KEY, newline.as_bytes()].concat())).settings;
        assert!(build(&settings).is_ok());
    }
    let id = |text: &str| SettingValue::Text(text.into());
    assert_eq!(error("wechatpay_public_key_id", id("")).1, "missing");
    assert_eq!(error("wechatpay_public_key_id", id("0AB1")).1, "malformed_id");
    assert_eq!(error("mchid", id("19O0000001")).1, "malformed_id");
    assert_eq!(error("platform_certs", key(b"x")).1, "not_a_certificate");
    assert_eq!(error("sub_mchid", SettingValue::Texts(vec![])).1, "empty_list");
}

#[test]
fn an_answer_is_read_by_its_status_and_code() {
    let channel = build(&stage().settings).unwrap();
    let read = |status: u16, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for body in ["", "ok", "success", r#"{"code":"SUCCESS","message":"成功"}"#, "\u{feff}{\"code\":\"SUCCESS\"}", "{}"]
    {
        assert_eq!(read(200, body), AckMatch::Exact, "{body}");
        assert_eq!(read(204, body), AckMatch::Exact, "{body}");
        assert_eq!(read(500, body), AckMatch::No, "{body}");
        assert_eq!(read(201, body), AckMatch::No, "{body}");
    }
    for body in
        [FAIL, " {\"code\":\"ERROR\"}", "{\"code\":0}", "<br />\n<b>Fatal error</b>", "PHP Fatal error:  x", "<html>"]
    {
        assert_eq!(read(200, body), AckMatch::No, "{body}");
    }
}

const PLATFORM_CERT: &str = include_str!("../../../tests/vectors/wechat_pay/platform.pem");
const MERCHANT_CERT: &str = include_str!("../../../tests/vectors/wechat_pay/merchant.pem");

#[test]
fn certificates_are_known_by_their_serial_until_they_end() {
    let certs = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    let stage = stage().with("platform_certs", certs(PLATFORM_CERT));
    let channel = build(&stage.settings).unwrap();
    let notes = channel.keys();
    assert_eq!((notes.len(), notes[1].fingerprint.as_deref()), (2, Some("7DF34")));
    let body = envelope_of("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), Some("x")).to_string();
    for serial in ["7DF34", "07df34", "0007Df34"] {
        for (time, word) in [("2026-05-31T23:59:59Z", "signature"), ("2026-06-01T00:00:01Z", "needs_key")] {
            let time: Timestamp = time.parse().unwrap();
            let mut request = stage.request(body.as_bytes(), time.as_second());
            request.headers.insert("wechatpay-serial", serial.parse().unwrap());
            assert_eq!(channel.recognise(&request), Likeness::Merchant);
            match channel.verify(&request, time) {
                Verdict::Refused(rejection) => assert_eq!(rejection.word(), word, "{serial}"),
                Verdict::NeedsKey(key) => assert_eq!((key.serial.as_str(), word), ("7DF34", "needs_key")),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn certificates_that_prove_nothing_are_named() {
    let certs = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    let word = |name: &'static str, value: SettingValue| {
        build(&stage().with(name, value).settings).err().map(|error| (error.setting, error.word))
    };
    assert_eq!(word("platform_certs", certs(MERCHANT_CERT)), Some(("platform_certs", "own_public_key")));
    let twice = [PLATFORM_CERT, PLATFORM_CERT].concat();
    assert_eq!(word("platform_certs", certs(&twice)), Some(("platform_certs", "relation")));
    assert_eq!(word("wechatpay_public_key", certs(PLATFORM_CERT)), Some(("wechatpay_public_key", "certificate_given")));
    let many = PLATFORM_CERT.repeat(super::super::signed_body::keys::CERTIFICATES_MAX + 1);
    assert_eq!(word("platform_certs", certs(&many)), Some(("platform_certs", "out_of_range")));
}
