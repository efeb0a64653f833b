//! What only this platform has; the contract suite tests what all have.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::envelope::ALGORITHM;
use super::*;
use crate::cipher::gcm::Gcm;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity};
use crate::platforms::failure::tests::FAILURES;
use crate::platforms::signed_body::malformed;
use crate::settings::SettingValue;
use crate::signature::key::PublicKey;
use crate::signature::rsa::sign_sha256;
use crate::simulate::certificate::{Draft, Name};

const KEY: &[u8; 32] = b"0123456789abcdef0123456789ABCDEF";
const MCHID: &str = "7000000000000001";
const APPID: &str = "tt07e3715e98c9aac0";
const SERIAL_1: &str = "400000000000000001";
const SERIAL_2: &str = "400000000000000002";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-21T04:00:00Z")
}

struct Stage {
    pair: RsaKeyPair,
    settings: Settings,
}

/// A certificate for a key, from 2026 to 2028.
fn certificate(pair: &RsaKeyPair, serial: u64, common: &'static str) -> String {
    let name = |common| Name { common, unit: "u", organization: "o" };
    let key = PublicKey::of_pair("key", pair).unwrap();
    Draft {
        serial,
        subject: name(common),
        key: &key,
        issuer: name("ca"),
        not_before: at("2026-01-01T00:00:00Z"),
        not_after: at("2028-01-01T00:00:00Z"),
        is_authority: false,
    }
    .sign(pair)
}

fn pem(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn stage() -> Stage {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let settings = Settings::new(Environment::Live)
        .with("mchid", SettingValue::Text(MCHID.into()))
        .with("appid", SettingValue::Texts(vec![APPID.into()]))
        .with("encrypt_key", SettingValue::Key(KEY.to_vec().into()))
        .with("platform_certs", pem(&certificate(&pair, 1, "platform")));
    Stage { pair, settings }
}

fn envelope_with(event_type: &str, plaintext: &[u8], nonce: &str, associated: Option<&str>) -> Value {
    let cipher = Gcm::new(KEY).unwrap();
    let boxed = cipher.close(nonce.as_bytes(), associated.unwrap_or_default().as_bytes(), plaintext).unwrap();
    let mut resource = json!({
        "algorithm": ALGORITHM, "original_type": "x", "ciphertext": STANDARD.encode(boxed), "nonce": nonce,
    });
    if let Some(associated) = associated {
        resource["associated_data"] = json!(associated);
    }
    json!({
        "id": "N1", "create_time": "2026-11-21T12:00:00+08:00", "event_type": event_type, "resource_type": "encrypt-resource",
        "summary": "s", "resource": resource,
    })
}

fn envelope(event_type: &str, plaintext: &[u8]) -> Value {
    envelope_with(event_type, plaintext, "fdasflkja484", Some("transaction"))
}

impl Stage {
    fn request_under(&self, serial: &str, body: &[u8], at: i64) -> RawRequest {
        let message = [format!("{at}\nabc\n").as_bytes(), body, b"\n"].concat();
        let signature = STANDARD.encode(sign_sha256(&self.pair, &message).unwrap());
        let time = at.to_string();
        let headers = [
            (HEADERS.timestamp, time.as_str()),
            (HEADERS.nonce, "abc"),
            (SERIAL, serial),
            (HEADERS.signature, &signature),
        ];
        douyin::simulate::request("/", now(), &headers, body.to_vec())
    }

    fn request(&self, body: &[u8], at: i64) -> RawRequest {
        self.request_under(SERIAL_1, body, at)
    }

    fn verify(&self, request: &RawRequest) -> Result<Notification, Rejection> {
        match build(&self.settings).unwrap().verify(request, now()) {
            Verdict::Genuine(proven) => Ok(proven.into_parts().0),
            Verdict::Refused(rejection) => Err(rejection),
            other => panic!("{other:?}"),
        }
    }

    fn verify_body(&self, body: &str) -> Result<Notification, Rejection> {
        self.verify(&self.request(body.as_bytes(), now().as_second()))
    }

    fn read(&self, event_type: &str, plaintext: &Value) -> Notification {
        self.verify_body(&envelope(event_type, plaintext.to_string().as_bytes()).to_string()).unwrap()
    }

    fn with(mut self, name: &'static str, value: SettingValue) -> Self {
        self.settings = self.settings.with(name, value);
        self
    }
}

fn payment() -> Value {
    json!({
        "mchid": MCHID, "appid": APPID, "out_trade_no": "T1", "transaction_id": "DPP1", "trade_state": "SUCCESS",
        "success_time": "2026-11-21T11:59:59+08:00", "amount": { "total": 1000, "payer_total": 900, "currency": "CNY" },
    })
}

fn refund() -> Value {
    json!({
        "mchid": MCHID, "transaction_id": "DPP1", "out_trade_no": "T1", "refund_id": "DPR1", "out_refund_no": "R1",
        "refund_status": "SUCCESS", "amount": { "total": 1000, "refund": 300 },
    })
}

fn transfer() -> Value {
    json!({
        "mch_id": MCHID, "out_bill_no": "B1", "transfer_bill_no": "DPT1", "state": "SUCCESS", "transfer_amount": "700",
        "update_time": "2026-11-21T11:59:59+08:00",
    })
}

fn changed(mut value: Value, path: &str, to: Value) -> Value {
    *value.pointer_mut(path).unwrap() = to;
    value
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn words(notification: &Notification) -> Vec<&'static str> {
    notification.concerns.iter().map(Concern::word).collect()
}

fn minor(fact: &Fact) -> Option<i64> {
    fact.signed_money().map(|money| money.minor)
}

#[test]
fn certificates_are_known_by_their_serial_until_they_end() {
    let stage = stage();
    let second = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let both = [certificate(&stage.pair, 1, "platform"), certificate(&second, 2, "platform")].concat();
    let stage = stage.with("platform_certs", pem(&both));
    let channel = build(&stage.settings).unwrap();
    let notes: Vec<_> = channel.keys().into_iter().map(|note| note.fingerprint.unwrap()).collect();
    assert_eq!(notes, [SERIAL_1, SERIAL_2]);
    let body = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()).to_string();
    let word = |serial: &str, time: &str| {
        let request = stage.request_under(serial, body.as_bytes(), at(time).as_second());
        match channel.verify(&request, at(time)) {
            Verdict::Genuine(proven) => {
                let crate::model::Proof::Signature { key, .. } = proven.proof() else { panic!("not by a signature") };
                assert_eq!(key, SERIAL_1);
                "genuine"
            }
            Verdict::Refused(rejection) => rejection.word(),
            other => panic!("{other:?}"),
        }
    };
    let inside = "2026-11-21T04:00:00Z";
    for serial in [SERIAL_1, "0000400000000000000001"] {
        assert_eq!(word(serial, inside), "genuine");
        assert_eq!(word(serial, "2026-01-01T00:00:00Z"), "genuine");
        assert_eq!(word(serial, "2028-01-01T00:00:00Z"), "genuine");
        assert_eq!(word(serial, "2025-12-31T23:59:59Z"), "unknown_key");
        assert_eq!(word(serial, "2028-01-01T00:00:01Z"), "unknown_key");
    }
    assert_eq!(word(SERIAL_2, inside), "signature", "the other one's key");
    for strange in ["400000000000000003", "4", "0", "x", "PUB_KEY_ID_1", &"4".repeat(65)] {
        assert_eq!(word(strange, inside), "unknown_key", "{strange}");
    }
}

/// The box of the neighbours' vector, and one of each other length made by an independent library (Python's
/// `cryptography`).
#[test]
fn the_nonce_may_have_any_length() {
    const HEAD: &str = "bz1mQGtugHE+xvD4swlMsg4mbrvl1y0RQwgxTxC9eNAnoXATr12HyoUn/oW7LvTM1RxZQG60EbzKYY1HKb4y4kwg1";
    let cipher = Gcm::new(KEY).unwrap();
    for (associated, tail) in [("transaction", "/bjC4+plQi+mF3VqscOLrg="), ("", "0sAOhzK0yZlhUJM9kwuzpA=")] {
        let boxed = STANDARD.decode(format!("{HEAD}{tail}")).unwrap();
        let plaintext = cipher.open(b"fdasflkja484", associated.as_bytes(), &boxed).unwrap();
        assert_eq!(plaintext, br#"{"out_trade_no":"T1","trade_state":"SUCCESS","amount":{"total":10}}"#);
    }
    for (nonce, boxed) in [
        ("aaaaaaaa", "0adbbe847e6fcc426c30fce7f425903849b6c89ac2f97e"),
        ("0123456789abcdef", "3ea96337c653520786f5cfb3d14319ef80c8c9b6f74031"),
        ("1234567890123", "ce9d2a6c53cdb23cd2ffc68950a5de82c4780564e738a7"),
        ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "c0f68284e2663aa34fecdc61fb52d154afdc8e57cde026"),
    ] {
        let boxed: Vec<u8> =
            (0..boxed.len()).step_by(2).map(|at| u8::from_str_radix(&boxed[at..at + 2], 16).unwrap()).collect();
        assert_eq!(cipher.open(nonce.as_bytes(), b"t", &boxed).as_deref(), Some(&br#"{"a":1}"#[..]), "{nonce}");
    }
    let stage = stage();
    for nonce in ["1", "12345678", "fdasflkja484", "0123456789abcdef", "中文", &"n".repeat(160)] {
        for associated in [None, Some(""), Some("transaction")] {
            let body = envelope_with("TRANSACTION.SUCCESS", payment().to_string().as_bytes(), nonce, associated);
            assert_eq!(words(&stage.verify_body(&body.to_string()).unwrap()), Vec::<&str>::new(), "{nonce}");
        }
    }
}

#[test]
fn the_envelope_is_read_strictly() {
    let stage = stage();
    let whole = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes());
    let word = |value: &Value| stage.verify_body(&value.to_string()).map_err(|rejection| rejection.word());
    for (path, to, reason) in [
        ("/resource/algorithm", json!("AEAD_AES_256_GCM"), "algorithm"),
        ("/resource/algorithm", json!("AEAD-AES-128-GCM"), "algorithm"),
        ("/resource/algorithm", json!("SM4"), "algorithm"),
        ("/resource/nonce", json!("fdasflkja485"), "undecryptable"),
        ("/resource/nonce", json!("fdasflkja4840"), "undecryptable"),
        ("/resource/associated_data", json!("other"), "undecryptable"),
        ("/resource/associated_data", json!(null), "undecryptable"),
        ("/resource/ciphertext", json!("AAAA"), "undecryptable"),
        ("/resource", json!("text"), "malformed"),
        ("/resource", json!(null), "missing"),
    ] {
        assert_eq!(word(&changed(whole.clone(), path, to.clone())), Err(reason), "{path} {to}");
    }
    let text = whole.to_string();
    let twice = text.replacen("\"summary\"", "\"event_type\":\"REFUND.SUCCESS\",\"summary\"", 1);
    assert_eq!(stage.verify_body(&twice), Err(Rejection::Duplicate { field: "event_type".into() }));
    let within = text.replacen("\"nonce\"", "\"nonce\":\"x\",\"nonce\"", 1);
    assert_eq!(stage.verify_body(&within), Err(Rejection::Duplicate { field: "nonce".into() }));
    for body in ["[]", "null", "{", "\u{feff}{}"] {
        assert_eq!(stage.verify_body(body), Err(malformed("body")), "{body}");
    }
    let plain = payment().to_string();
    let twice = plain.replace("\"out_trade_no\"", "\"transaction_id\":\"9\",\"out_trade_no\"");
    let held = stage.verify_body(&envelope("TRANSACTION.SUCCESS", twice.as_bytes()).to_string()).unwrap();
    assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["ambiguous"]));
    for broken in ["", "[]", "null", "{", "\"text\"", "\u{feff}{}"] {
        let held = stage.verify_body(&envelope("TRANSACTION.SUCCESS", broken.as_bytes()).to_string()).unwrap();
        assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["unreadable_text"]), "{broken}");
        assert_eq!(held.scope.account, MCHID);
    }
}

/// The platform signed it, so money may be in it; what no other key could open either is kept and held.
#[test]
fn a_signed_envelope_that_is_laid_out_anew_is_held() {
    let stage = stage();
    let whole = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes());
    for (path, to) in [
        ("/resource", json!({})),
        ("/resource", payment()),
        ("/resource/algorithm", json!("")),
        ("/resource/nonce", json!("")),
        ("/resource/nonce", json!(123_456_789_012_i64)),
        ("/resource/nonce", json!("n".repeat(161))),
        ("/resource/associated_data", json!(1)),
        ("/resource/ciphertext", json!("AAA")),
        ("/resource/ciphertext", json!("")),
        ("/event_type", json!("")),
        ("/event_type", json!(1)),
    ] {
        let held = stage.verify_body(&changed(whole.clone(), path, to.clone()).to_string()).unwrap();
        assert_eq!(held.facts[0].kind, EventKind::Other, "{path} {to}");
        assert!(!held.concerns.is_empty(), "{path} {to}");
    }
    // An answer of the interfaces, which the same key signs, has no resource.
    let answer = stage.verify_body(&payment().to_string()).map_err(|rejection| rejection.word());
    assert_eq!(answer, Err("missing"));
}

#[test]
fn headers_are_read_strictly() {
    let stage = stage();
    let body = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()).to_string();
    let request = stage.request(body.as_bytes(), now().as_second());
    for name in [HEADERS.timestamp, HEADERS.nonce, HEADERS.signature, SERIAL] {
        let mut missing = request.clone();
        missing.headers.remove(name);
        assert_eq!(stage.verify(&missing), Err(Rejection::Missing { field: name.into() }));
        let mut twice = request.clone();
        twice.headers.append(name, twice.headers[name].clone());
        assert_eq!(stage.verify(&twice), Err(Rejection::Duplicate { field: name.into() }));
    }
    for (away, is_stale) in [(-300, true), (-299, false), (299, false), (300, true)] {
        let found = stage.verify(&stage.request(body.as_bytes(), now().as_second() - away));
        assert_eq!(found.err(), is_stale.then_some(Rejection::Stale { seconds: away }), "{away}");
    }
    // The neighbour's names, with a signature that fits.
    let mut renamed = request.clone();
    renamed.headers.clear();
    for (name, value) in &request.headers {
        let name = name.as_str().replace("douyinpay", "wechatpay");
        renamed.headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.clone());
    }
    assert!(matches!(stage.verify(&renamed), Err(Rejection::Missing { .. })));
    let mut moved = request.clone();
    moved.headers.insert(HEADERS.nonce, HeaderValue::from_static("abcd"));
    assert_eq!(stage.verify(&moved), Err(Rejection::Signature));
    assert!(stage.verify(&RawRequest { method: Method::PUT, ..request }).is_err());
}

#[test]
fn another_key_does_not_open_the_box() {
    let stage = stage().with("encrypt_key", SettingValue::Key(b"FEDCBA9876543210fedcba9876543210".to_vec().into()));
    let body = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()).to_string();
    assert_eq!(stage.verify_body(&body), Err(Rejection::Undecryptable));
}

#[test]
fn a_payment_and_its_refund_meet() {
    let stage = stage();
    let paid = stage.read("TRANSACTION.SUCCESS", &payment());
    assert_eq!((words(&paid), paid.platform_id.as_str(), paid.scope.account.as_str()), (vec![], "N1", MCHID));
    let [fact] = &paid.facts[..] else { panic!() };
    assert_eq!((fact.kind, fact.identity.as_str(), minor(fact)), (EventKind::PaymentSucceeded, "DPP1", Some(1000)));
    assert_eq!((fact.order_no.as_deref(), fact.occurred_at), (Some("T1"), Some(at("2026-11-21T03:59:59Z"))));
    for (event, status, kind, concerns) in [
        ("REFUND.SUCCESS", "SUCCESS", EventKind::RefundSucceeded, 0),
        ("REFUND.CLOSED", "CLOSED", EventKind::RefundFailed, 0),
        ("REFUND.ABNORMAL", "ABNORMAL", EventKind::RefundAbnormal, 0),
        ("REFUND.SUCCESS", "CLOSED", EventKind::Other, 1),
        ("REFUND.SUCCESS", "NEW", EventKind::Other, 1),
        ("REFUND.NEW", "SUCCESS", EventKind::Other, 1),
    ] {
        let back = stage.read(event, &changed(refund(), "/refund_status", json!(status)));
        assert_eq!((back.facts[0].kind, back.concerns.len()), (kind, concerns), "{event} {status}");
        if concerns == 0 {
            let fact_back = &back.facts[0];
            assert_eq!((minor(fact_back), fact_back.order_no.as_deref()), (Some(300), Some("T1")));
            assert_eq!((&fact_back.scope, fact_back.payment.as_ref()), (&fact.scope, Some(&fact.identity)));
            let names: Vec<&str> = fact_back.identities().map(Identity::as_str).collect();
            assert_eq!(names, ["refund_id:DPR1", "out_refund_no:R1"]);
        }
    }
}

#[test]
fn a_transfer_is_what_its_state_says_and_its_amount_a_text() {
    let stage = stage();
    for (state, kind, concerns) in [
        ("SUCCESS", EventKind::TransferSucceeded, 0),
        ("FAIL", EventKind::TransferFailed, 0),
        ("ACCEPTED", EventKind::Other, 1),
        ("TRANSFERING", EventKind::Other, 1),
        ("RETURNED", EventKind::Other, 1),
        ("", EventKind::Other, 1),
    ] {
        let notification = stage.read("TRANSFER.SUCCESS", &changed(transfer(), "/state", json!(state)));
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (kind, concerns), "{state}");
    }
    let fact = stage.read("TRANSFER.SUCCESS", &transfer()).facts.remove(0);
    assert_eq!(
        (fact.identity.as_str(), minor(&fact), fact.order_no.as_deref()),
        ("transfer_bill_no:DPT1", Some(700), Some("B1"))
    );
    assert_eq!(fact.aliases[0].as_str(), "out_bill_no:B1");
    for bad in [json!(700), json!("7.00"), json!("-7"), json!(""), json!("７"), json!(null), json!(true)] {
        let held = stage.read("TRANSFER.SUCCESS", &changed(transfer(), "/transfer_amount", bad.clone()));
        assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["unreadable_amount"]), "{bad}");
    }
    for name in ["mch_id", "transfer_amount", "out_bill_no"] {
        assert_eq!(words(&stage.read("TRANSFER.SUCCESS", &without(transfer(), name))), ["missing_field"], "{name}");
    }
    let foreign = stage.read("TRANSFER.SUCCESS", &changed(transfer(), "/mch_id", json!("7000000000000002")));
    assert_eq!((foreign.scope.account.as_str(), words(&foreign)), ("7000000000000002", vec!["foreign_payee"]));
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
        ("/mchid", json!("7000000000000002"), EventKind::PaymentSucceeded, "foreign_payee"),
        ("/appid", json!("tt02"), EventKind::PaymentSucceeded, "foreign_payee"),
        ("/appid", json!(null), EventKind::PaymentSucceeded, "missing_field"),
        ("/mchid", json!(null), EventKind::PaymentSucceeded, "missing_field"),
        ("/transaction_id", json!(""), EventKind::Other, "missing_field"),
        ("/transaction_id", json!("4".repeat(1000)), EventKind::Other, "unknown_value"),
        ("/out_trade_no", json!(""), EventKind::PaymentSucceeded, "missing_field"),
        ("/amount/currency", json!("XQZ"), EventKind::PaymentSucceeded, "unreadable_amount"),
        ("/amount", json!(null), EventKind::PaymentSucceeded, "missing_field"),
    ] {
        let notification = held(path, to.clone());
        assert_eq!((notification.facts[0].kind, words(&notification).first()), (kind, Some(&word)), "{path} {to}");
    }
    let provider = json!({
        "sp_mchid": MCHID, "sub_mchid": "7000000000000009", "sp_appid": APPID, "out_trade_no": "T1", "transaction_id": "DPP1",
        "trade_state": "SUCCESS", "amount": { "total": 1 },
    });
    assert!(words(&stage.read("TRANSACTION.SUCCESS", &provider)).contains(&"foreign_payee"));
    let unknown = stage.read("TRANSACTION.NEW", &payment());
    assert_eq!((unknown.facts[0].kind, words(&unknown)), (EventKind::Other, vec!["unknown_value"]));
    for id in [json!(""), json!(null), json!("1".repeat(1000))] {
        let body = changed(envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()), "/id", id);
        let held = stage.verify_body(&body.to_string()).unwrap();
        assert_eq!((held.platform_id.len(), words(&held)), (64, vec!["missing_field"]));
    }
}

#[test]
fn shares_are_read_and_results_are_kept() {
    let stage = stage();
    let share = json!({
        "mchid": "7000000000000009", "transaction_id": "DPP1", "order_id": "DPS1", "out_order_no": "P1",
        "receiver": { "type": "MERCHANT_ID", "account": MCHID, "amount": 5 }, "success_time": "2026-11-21T12:00:00+08:00",
    });
    let notification = stage.read("SPLIT.SUCCESS", &share);
    let fact = &notification.facts[0];
    assert_eq!((fact.kind, minor(fact), words(&notification)), (EventKind::ProfitSharingSucceeded, Some(5), vec![]));
    assert_eq!((fact.payee.as_deref(), fact.scope.account.as_str()), (Some(MCHID), "7000000000000009"));
    let foreign = stage.read("SPLIT.SUCCESS", &changed(share.clone(), "/receiver/account", json!("7000000000000008")));
    assert_eq!(words(&foreign), ["foreign_payee"]);
    let timeless = stage.read("SPLIT.SUCCESS", &without(share.clone(), "success_time"));
    assert_eq!(words(&timeless), ["missing_field"]);
    for name in ["order_id", "receiver"] {
        let held = stage.read("SPLIT.SUCCESS", &without(share.clone(), name));
        assert_eq!(held.facts[0].kind, EventKind::Other, "{name}");
        assert!(words(&held).contains(&"missing_field"), "{name}");
    }
    let result = stage.read("ASYNC_SPLIT.FINISH", &json!({ "mchid": MCHID, "order_id": "DPS1", "state": "FINISHED" }));
    assert_eq!((result.facts[0].kind, words(&result)), (EventKind::Other, vec![]));
    assert_eq!(result.facts[0].identity.as_str(), "N1");
}

#[test]
fn settings_that_make_no_channel_are_named() {
    let error = |name: &'static str, value: SettingValue| {
        let Err(error) = build(&stage().with(name, value).settings) else { panic!("{name}: built") };
        (error.setting, error.word)
    };
    let key = |text: &str| SettingValue::Key(text.as_bytes().to_vec().into());
    let good = std::str::from_utf8(KEY).unwrap();
    for (text, word) in [
        ("", "missing"),
        (&good[..31], "out_of_range"),
        (&good.repeat(2), "out_of_range"),
        (&format!("{good} "), "malformed"),
    ] {
        assert_eq!(error("encrypt_key", key(text)), ("encrypt_key", word), "{text}");
    }
    assert!(build(&stage().with("encrypt_key", key(&format!("{good}\r\n"))).settings).is_ok());
    assert_eq!(error("mchid", SettingValue::Text("7000-1".into())), ("mchid", "malformed_id"));
    assert_eq!(error("platform_certs", key("x")), ("platform_certs", "not_a_certificate"));
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = PublicKey::of_pair("key", &pair).unwrap().to_pem();
    assert_eq!(error("platform_certs", pem(&public)), ("platform_certs", "not_a_certificate"));
    let own = certificate(&pair, 3, MCHID);
    assert_eq!(error("platform_certs", pem(&own)), ("platform_certs", "own_public_key"));
    let one = certificate(&pair, 4, "platform");
    assert_eq!(error("platform_certs", pem(&one.repeat(2))), ("platform_certs", "relation"));
    let many = one.repeat(crate::platforms::signed_body::keys::CERTIFICATES_MAX + 1);
    assert_eq!(error("platform_certs", pem(&many)), ("platform_certs", "out_of_range"));
}

#[test]
fn recognition_goes_by_header_serial_and_number() {
    let stage = stage();
    let channel = build(&stage.settings).unwrap();
    let mut body = envelope("TRANSACTION.SUCCESS", b"{}");
    let likeness =
        |body: &Value, serial: &str| channel.recognise(&stage.request_under(serial, body.to_string().as_bytes(), 0));
    assert_eq!(likeness(&body, SERIAL_1), Likeness::Merchant);
    assert_eq!(likeness(&body, SERIAL_2), Likeness::Shape);
    body["resource"]["mchid"] = json!(MCHID);
    assert_eq!(likeness(&body, SERIAL_1), Likeness::Merchant);
    body["resource"]["mchid"] = json!("7000000000000002");
    assert_eq!(likeness(&body, SERIAL_1), Likeness::Shape);
    assert_eq!(likeness(&json!({}), SERIAL_1), Likeness::No);
    // Inside, where nothing is said outside.
    let inside = |plaintext: Value| envelope("REFUND.SUCCESS", plaintext.to_string().as_bytes());
    assert_eq!(likeness(&inside(refund()), SERIAL_1), Likeness::Merchant);
    assert_eq!(likeness(&inside(transfer()), SERIAL_1), Likeness::Merchant);
    for path in ["/mchid", "/mch_id"] {
        let own = if path == "/mchid" { refund() } else { transfer() };
        let foreign = inside(changed(own, path, json!("7000000000000002")));
        assert_eq!(likeness(&foreign, SERIAL_1), Likeness::Shape, "{path}");
    }
    let closed = changed(inside(refund()), "/resource/nonce", json!("fdasflkja485"));
    assert_eq!(likeness(&closed, SERIAL_1), Likeness::Shape);
}

#[test]
fn every_field_is_shown_but_the_closed_box() {
    let stage = stage();
    let body = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()).to_string();
    let fields = build(&stage.settings).unwrap().fields(&stage.request(body.as_bytes(), 0));
    for field in [("plaintext.amount.total", "1000"), ("id", "N1"), ("resource.associated_data", "transaction")] {
        assert!(fields.contains(&(field.0.into(), field.1.into())), "{field:?}");
    }
    assert!(fields.iter().all(|(name, _)| name != "resource.ciphertext"));
}

#[test]
fn an_answer_is_read_by_its_status_and_code() {
    let channel = build(&stage().settings).unwrap();
    let read = |status: u16, body: &str| channel.is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for body in ["", "ok", r#"{"code":"SUCCESS","message":"成功"}"#, "{}"] {
        for (status, found) in
            [(200, AckMatch::Exact), (204, AckMatch::Exact), (500, AckMatch::No), (302, AckMatch::No)]
        {
            assert_eq!(read(status, body), found, "{status} {body}");
        }
    }
    for body in [FAIL, "{\"code\":0}"].into_iter().chain(FAILURES) {
        assert_eq!(read(200, body), AckMatch::No, "{body}");
    }
}

/// An application that has our certificate in place of the platform's accepts what was signed afresh, hours later.
#[test]
fn what_is_signed_afresh_is_accepted_by_who_trusts_our_certificate() {
    let stage = stage();
    let private = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = private.as_der().unwrap();
    let resigner = build(&stage.settings).unwrap().resigner(der.as_ref()).unwrap();
    let body = envelope("TRANSACTION.SUCCESS", payment().to_string().as_bytes()).to_string();
    let original = stage.request(body.as_bytes(), now().as_second() - 86_400);
    let fresh = resigner.resign(&original, now(), [7; 16]).unwrap();
    assert_eq!((&fresh.body, fresh.headers.len()), (&original.body, original.headers.len()));
    let [file] = <[_; 1]>::try_from(resigner.public_half()).unwrap();
    assert_eq!(fresh.single_header(SERIAL), file.id.as_deref());
    assert_eq!(stage.verify(&fresh).map_err(|rejection| rejection.word()).unwrap_err(), "unknown_key");
    let shop = build(&stage.settings.clone().with("platform_certs", SettingValue::Key(file.content.into()))).unwrap();
    assert!(matches!(shop.verify(&fresh, now()), Verdict::Genuine(_)));
    assert!(!matches!(shop.verify(&original, now()), Verdict::Genuine(_)));
}
