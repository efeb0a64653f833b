//! What only this platform has; the contract suite tests what all have.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::channel::Failure;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity};
use crate::platforms::signed_body::malformed;
use crate::settings::SettingValue;
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;

const APP_ID: &str = "tt312312313123";

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
    let settings = Settings::new(Environment::Live)
        .with("app_id", SettingValue::Texts(vec![APP_ID.into()]))
        .with("platform_public_key", SettingValue::Key(pem.into_bytes().into()));
    Stage { pair, settings }
}

impl Stage {
    fn signed(&self, lines: &[u8], body: &[u8], at: &str) -> RawRequest {
        let signature = STANDARD.encode(sign_sha256(&self.pair, lines).unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            (HEADERS.timestamp, at),
            (HEADERS.nonce, "abc"),
            (HEADERS.signature, &signature),
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

    fn request(&self, body: &[u8], at: i64) -> RawRequest {
        self.signed(&[format!("{at}\nabc\n").as_bytes(), body, b"\n"].concat(), body, &at.to_string())
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

    fn read(&self, kind: &str, message: &Value) -> Notification {
        self.verify_body(&envelope(kind, &message.to_string())).unwrap()
    }
}

fn envelope(kind: &str, message: &str) -> String {
    json!({ "version": "3.0", "msg": message, "type": kind }).to_string()
}

fn payment() -> Value {
    json!({
        "app_id": APP_ID, "out_order_no": "T1", "order_id": "ots1", "status": "SUCCESS", "total_amount": 1000,
        "discount_amount": 100, "pay_channel": 2, "channel_pay_id": "C1", "merchant_uid": "7178",
        "message": "", "event_time": 1_795_233_599_000_i64, "user_bill_pay_id": "DTPO1",
    })
}

fn refund() -> Value {
    json!({
        "app_id": APP_ID, "status": "SUCCESS", "order_id": "ots1", "event_time": 1_795_233_599_000_i64, "refund_id": "otr1",
        "out_refund_no": "R1", "refund_total_amount": 300, "message": "",
    })
}

fn changed(mut value: Value, name: &str, to: Value) -> Value {
    value[name] = to;
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
fn three_lines_are_signed_and_nothing_else() {
    let stage = stage();
    let body = envelope("payment", &payment().to_string());
    let at = now().as_second().to_string();
    let good = format!("{at}\nabc\n{body}\n");
    stage.verify(&stage.signed(good.as_bytes(), body.as_bytes(), &at)).unwrap();
    let message = payment().to_string();
    for (rule, lines) in [
        ("no line end behind", format!("{at}\nabc\n{body}")),
        ("two line ends behind", format!("{at}\nabc\n{body}\n\n")),
        ("CRLF", format!("{at}\r\nabc\r\n{body}\r\n")),
        ("the message alone", format!("{at}\nabc\n{message}\n")),
        ("the body alone", body.clone()),
        ("another order", format!("abc\n{at}\n{body}\n")),
        ("another nonce", format!("{at}\nabcd\n{body}\n")),
        ("with the way of a request", format!("POST\n/\n{at}\nabc\n{body}\n")),
    ] {
        let found = stage.verify(&stage.signed(lines.as_bytes(), body.as_bytes(), &at));
        assert_eq!(found, Err(Rejection::Signature), "{rule}");
    }
}

#[test]
fn headers_are_read_strictly() {
    let stage = stage();
    let body = envelope("payment", &payment().to_string());
    let request = stage.request(body.as_bytes(), now().as_second());
    for name in [HEADERS.timestamp, HEADERS.nonce, HEADERS.signature] {
        let mut missing = request.clone();
        missing.headers.remove(name);
        assert_eq!(stage.verify(&missing), Err(Rejection::Missing { field: name.into() }));
        let mut twice = request.clone();
        twice.headers.append(name, twice.headers[name].clone());
        assert_eq!(stage.verify(&twice), Err(Rejection::Duplicate { field: name.into() }));
    }
    for bad in ["now", "-1", "1795233600.0", "17952336000", "1795233600000", "0x6b013000"] {
        let mut spoiled = request.clone();
        spoiled.headers.insert(HEADERS.timestamp, HeaderValue::from_str(bad).unwrap());
        assert_eq!(stage.verify(&spoiled), Err(malformed(HEADERS.timestamp)), "{bad}");
    }
    for (away, is_stale) in [(-300, true), (-299, false), (299, false), (300, true), (100_000, true)] {
        let found = stage.verify(&stage.request(body.as_bytes(), now().as_second() - away));
        assert_eq!(found.is_err(), is_stale, "{away}");
        if is_stale {
            assert_eq!(found, Err(Rejection::Stale { seconds: away }));
        }
    }
    // The undocumented ones say nothing, whatever they say.
    for name in ["signature", "byte-logid", "byte-identifyname", "byte-eventid", "byte-env"] {
        let mut more = request.clone();
        more.headers.insert(name, HeaderValue::from_static("refund"));
        assert_eq!(stage.verify(&more), stage.verify(&request), "{name}");
    }
}

#[test]
fn the_envelope_is_read_strictly() {
    let stage = stage();
    let word = |body: &str| stage.verify_body(body).map_err(|rejection| rejection.word());
    let message = payment().to_string();
    assert!(word(&json!({ "msg": message, "type": "payment" }).to_string()).is_ok(), "without a version");
    for (body, reason) in [
        // What the platform answers is signed with the same key.
        (json!({}).to_string(), "missing"),
        (json!({ "err_no": 0, "data": payment(), "msg": null }).to_string(), "missing"),
        (format!(r#"{{"type":"refund","type":"payment","msg":{}}}"#, json!(message)), "duplicate_field"),
        ("[]".to_owned(), "malformed"),
        ("{".to_owned(), "malformed"),
    ] {
        assert_eq!(word(&body), Err(reason), "{body}");
    }
    let twice = format!("{},\"status\":\"CANCEL\"}}", &message[..message.len() - 1]);
    let held = stage.verify_body(&envelope("payment", &twice)).unwrap();
    assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["ambiguous"]));
    // The platform signed it, so money may be in it: what is odd around a message is held, never refused.
    for (body, expected) in [
        (json!({ "type": "payment" }), vec!["missing_field", "unreadable_text"]),
        (json!({ "msg": "", "type": "payment" }), vec!["missing_field", "unreadable_text"]),
        (json!({ "msg": payment(), "type": "payment" }), vec!["unreadable_text"]),
        (json!({ "msg": message }), vec!["missing_field"]),
        (json!({ "msg": message, "type": "" }), vec!["missing_field"]),
        (json!({ "msg": message, "type": 1 }), vec!["unreadable_text"]),
    ] {
        let held = stage.verify_body(&body.to_string()).unwrap();
        assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, expected), "{body}");
    }
    for broken in ["[]", "null", "{", "\"text\"", "x"] {
        let held = stage.verify_body(&envelope("payment", broken)).unwrap();
        assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["unreadable_text"]), "{broken}");
    }
}

#[test]
fn a_payment_and_its_refund_meet() {
    let stage = stage();
    let paid = stage.read("payment", &payment());
    assert_eq!((words(&paid), paid.platform_kind.as_str(), paid.scope.account.as_str()), (vec![], "payment", APP_ID));
    let [fact] = &paid.facts[..] else { panic!() };
    assert_eq!((fact.kind, fact.identity.as_str(), minor(fact)), (EventKind::PaymentSucceeded, "ots1", Some(1000)));
    assert_eq!((fact.order_no.as_deref(), fact.payee.as_deref()), (Some("T1"), Some("7178")));
    assert_eq!(fact.occurred_at, Timestamp::from_second(1_795_233_599).ok());
    let back = stage.read("refund", &refund());
    let [fact_back] = &back.facts[..] else { panic!() };
    assert_eq!((fact_back.kind, minor(fact_back), words(&back)), (EventKind::RefundSucceeded, Some(300), vec![]));
    assert_eq!((&fact_back.scope, fact_back.payment.as_ref()), (&fact.scope, Some(&fact.identity)));
    let names: Vec<&str> = fact_back.identities().map(Identity::as_str).collect();
    assert_eq!(names, ["refund_id:otr1", "out_refund_no:R1"]);
    // A buyer's own refund has no number of the merchant's.
    let theirs = stage.read("refund", &changed(refund(), "out_refund_no", json!("")));
    assert_eq!((theirs.facts[0].aliases.len(), words(&theirs)), (0, vec![]));
    assert_eq!(
        stage.read("refund", &changed(refund(), "status", json!("FAIL"))).facts[0].kind,
        EventKind::RefundFailed
    );
}

#[test]
fn an_order_that_was_cancelled_is_not_paid() {
    let stage = stage();
    let cancelled = json!({
        "app_id": APP_ID, "out_order_no": "T1", "order_id": "ots1", "status": "CANCEL", "total_amount": 1000,
        "message": "TIME_OUT", "event_time": 1_795_233_599_000_i64,
    });
    let notification = stage.read("payment", &cancelled);
    let fact = &notification.facts[0];
    assert_eq!((fact.kind, minor(fact), words(&notification)), (EventKind::PaymentClosed, Some(1000), vec![]));
    for (status, word) in [("PROCESS", "unknown_value"), ("success", "unknown_value"), ("", "missing_field")] {
        let held = stage.read("payment", &changed(payment(), "status", json!(status)));
        assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec![word]), "{status}");
    }
}

#[test]
fn diamonds_are_no_money() {
    let stage = stage();
    let diamonds = changed(payment(), "pay_channel", json!(20));
    for message in [diamonds.clone(), changed(diamonds.clone(), "currency", json!("DIAMOND"))] {
        let notification = stage.read("payment", &message);
        let fact = &notification.facts[0];
        assert_eq!((fact.kind, &fact.amount), (EventKind::PaymentSucceeded, &Amount::None));
        assert_eq!(words(&notification), Vec::<&str>::new());
    }
    let count = stage.read("payment", &changed(diamonds.clone(), "total_amount", json!(true)));
    assert_eq!((&count.facts[0].amount, words(&count)), (&Amount::Unreadable, vec!["unreadable_amount"]));
    for message in [changed(diamonds, "currency", json!("CNY")), changed(payment(), "currency", json!("DIAMOND"))] {
        let held = stage.read("payment", &message);
        assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["contradiction"]));
    }
    for (way, word) in [(json!(30), "unknown_value"), (json!(null), "missing_field"), (json!([1]), "unknown_value")] {
        assert_eq!(words(&stage.read("payment", &changed(payment(), "pay_channel", way.clone()))), [word], "{way}");
    }
    for way in [json!(1), json!(2), json!(10), json!("1")] {
        assert_eq!(words(&stage.read("payment", &changed(payment(), "pay_channel", way))), Vec::<&str>::new());
    }
    let held = stage.read("payment", &changed(payment(), "currency", json!("USD")));
    assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["unreadable_amount"]));
}

#[test]
fn amounts_are_read_strictly() {
    let stage = stage();
    for bad in [json!("1000"), json!(1000.0), json!(-1), json!(null), json!([1]), json!(u64::MAX), json!(true)] {
        for (kind, message, name) in
            [("payment", payment(), "total_amount"), ("refund", refund(), "refund_total_amount")]
        {
            let held = stage.read(kind, &changed(message, name, bad.clone()));
            assert_eq!(held.facts[0].amount, Amount::Unreadable, "{name} {bad}");
            assert_eq!(words(&held), ["unreadable_amount"], "{name} {bad}");
        }
    }
    let discount = |value: Value| {
        let notification = stage.read("payment", &changed(payment(), "discount_amount", value));
        (minor(&notification.facts[0]), words(&notification))
    };
    assert_eq!(discount(json!(0)), (Some(1000), vec![]));
    assert_eq!(discount(json!(null)), (Some(1000), vec![]));
    assert_eq!(discount(json!(1000)), (Some(1000), vec![]));
    assert_eq!(discount(json!(1001)), (Some(1000), vec!["contradiction"]));
    assert_eq!(discount(json!("1")), (Some(1000), vec!["unreadable_amount"]));
    assert_eq!(words(&stage.read("payment", &without(payment(), "discount_amount"))), Vec::<&str>::new());
    let held = stage.read("refund", &without(refund(), "refund_total_amount"));
    assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["missing_field"]));
}

#[test]
fn what_is_missing_or_foreign_is_held() {
    let stage = stage();
    for (name, kind) in [
        ("order_id", EventKind::Other),
        ("out_order_no", EventKind::PaymentSucceeded),
        ("total_amount", EventKind::PaymentSucceeded),
        ("app_id", EventKind::PaymentSucceeded),
        ("status", EventKind::Other),
    ] {
        let held = stage.read("payment", &without(payment(), name));
        assert_eq!((held.facts[0].kind, words(&held)), (kind, vec!["missing_field"]), "{name}");
    }
    let foreign = stage.read("payment", &changed(payment(), "app_id", json!("tt312312313124")));
    assert_eq!((foreign.scope.account.as_str(), words(&foreign)), ("tt312312313124", vec!["foreign_payee"]));
    let unknown = stage.read("bill", &payment());
    assert_eq!((unknown.facts[0].kind, words(&unknown)), (EventKind::Other, vec!["unknown_value"]));
}

#[test]
fn deductions_and_agreements_are_read() {
    let stage = stage();
    let deduction = json!({
        "app_id": APP_ID, "auth_order_id": "ad1", "pay_order_id": "ots9", "out_pay_order_no": "D1", "total_amount": 7,
        "pay_channel": 10, "event_time": 1_795_233_599_000_i64, "status": "SUCCESS",
    });
    for (status, kind, concerns) in [
        ("SUCCESS", EventKind::PaymentSucceeded, 0),
        ("FAIL", EventKind::PaymentFailed, 0),
        ("TIME_OUT", EventKind::PaymentClosed, 0),
        ("CANCEL", EventKind::Other, 1),
    ] {
        let notification = stage.read("sign_pay_callback", &changed(deduction.clone(), "status", json!(status)));
        assert_eq!((notification.facts[0].kind, notification.concerns.len()), (kind, concerns), "{status}");
    }
    let fact = stage.read("sign_pay_callback", &deduction).facts.remove(0);
    assert_eq!(
        (fact.identity.as_str(), fact.order_no.as_deref(), minor(&fact)),
        ("pay_order_id:ots9", Some("D1"), Some(7))
    );
    let plain = stage.read("sign_pay_callback", &payment());
    assert_eq!((plain.facts[0].identity.as_str(), words(&plain)), ("ots1", vec![]));
    for (status, kind, concerns) in [
        ("SUCCESS", EventKind::AgreementSigned, vec![]),
        ("CANCEL", EventKind::AgreementCancelled, vec![]),
        ("TIME_OUT", EventKind::Other, vec![]),
        ("FAIL", EventKind::Other, vec![]),
        ("DONE", EventKind::Other, vec!["unknown_value"]),
        ("", EventKind::Other, vec!["missing_field"]),
    ] {
        let agreement =
            json!({ "app_id": APP_ID, "status": status, "auth_order_id": "ad1", "out_auth_order_no": "A1" });
        let notification = stage.read("sign_callback", &agreement);
        assert_eq!((notification.facts[0].kind, words(&notification)), (kind, concerns), "{status}");
    }
    for kind in ["settle", "pre_create_refund", "sign_callback"] {
        let notification = stage.read(kind, &refund());
        let fact = &notification.facts[0];
        assert_eq!(
            (fact.kind, &fact.amount, words(&notification)),
            (EventKind::Other, &Amount::None, vec![]),
            "{kind}"
        );
    }
}

/// Time and nonce of the headers are new on every repetition.
#[test]
fn a_repetition_is_the_same_and_another_message_is_not() {
    let stage = stage();
    let at = |away: i64, body: &str| stage.verify(&stage.request(body.as_bytes(), now().as_second() - away)).unwrap();
    let body = envelope("payment", &payment().to_string());
    assert_eq!(at(0, &body), at(200, &body));
    let other = envelope("payment", &changed(payment(), "total_amount", json!(1001)).to_string());
    assert_ne!(at(0, &body).key(), at(0, &other).key());
    // The same text as another kind is another message.
    let other = envelope("sign_pay_callback", &payment().to_string());
    assert_ne!(at(0, &body).platform_id, at(0, &other).platform_id);
}

#[test]
fn settings_that_make_no_channel_are_named() {
    let stage = stage();
    let error = |name: &'static str, value: SettingValue| {
        let Err(error) = build(&stage.settings.clone().with(name, value)) else { panic!("{name}: built") };
        (error.setting, error.word)
    };
    let key = |bytes: &[u8]| SettingValue::Key(bytes.to_vec().into());
    let public = PublicKey::of_pair("key", &stage.pair).unwrap();
    let own = error("application_public_key", key(public.to_pem().as_bytes()));
    assert_eq!(own, ("platform_public_key", "own_public_key"));
    let bare = STANDARD.encode(public.spki());
    assert!(build(&stage.settings.clone().with("platform_public_key", key(bare.as_bytes()))).is_ok());
    assert_eq!(error("platform_public_key", key(b"x")), ("platform_public_key", "not_a_key"));
    let private: Pkcs8V1Der<'_> = stage.pair.as_der().unwrap();
    let private = to_pem("PRIVATE KEY", private.as_ref());
    assert_eq!(error("platform_public_key", key(private.as_bytes())), ("platform_public_key", "private_key_given"));
    assert_eq!(error("app_id", SettingValue::Texts(vec![])), ("app_id", "empty_list"));
    assert_eq!(error("app_id", SettingValue::Texts(vec!["tt-1".into()])), ("app_id", "malformed_id"));
}

#[test]
fn recognition_goes_by_header_and_application() {
    let stage = stage();
    let channel = build(&stage.settings).unwrap();
    let likeness =
        |message: &Value| channel.recognise(&stage.request(envelope("payment", &message.to_string()).as_bytes(), 0));
    assert_eq!(likeness(&payment()), Likeness::Merchant);
    assert_eq!(likeness(&changed(payment(), "app_id", json!("tt1"))), Likeness::Shape);
    let mut bare = stage.request(envelope("payment", &payment().to_string()).as_bytes(), 0);
    bare.headers.remove(HEADERS.signature);
    assert_eq!(channel.recognise(&bare), Likeness::No);
}

#[test]
fn every_field_is_shown() {
    let stage = stage();
    let request = stage.request(envelope("payment", &payment().to_string()).as_bytes(), 0);
    let fields = build(&stage.settings).unwrap().fields(&request);
    for field in [("msg.total_amount", "1000"), ("msg.out_order_no", "T1"), ("type", "payment"), ("version", "3.0")] {
        assert!(fields.contains(&(field.0.into(), field.1.into())), "{field:?}");
    }
}

#[test]
fn a_refund_application_is_answered_with_a_number_and_a_page() {
    let stage = stage();
    let told =
        |kind: &str, message: Value| stage.request(envelope(kind, &message.to_string()).as_bytes(), now().as_second());
    let application = |more: Value| {
        let mut message = json!({ "app_id": APP_ID, "order_id": "ots1", "refund_id": "otr7", "need_refund_audit": 1 });
        message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        told("pre_create_refund", message)
    };
    let plain = build(&stage.settings).unwrap();
    let settings = stage.settings.clone().with("refund_page", SettingValue::Text("pages/refund/detail".into()));
    let channel = build(&settings).unwrap();
    let reply = channel.answer(Answer::Success, Some(&application(json!({}))));
    assert_eq!((reply.status, reply.content_type), (200, Some("application/json")));
    let expected = json!({
        "err_no": 0,
        "err_tips": "success",
        "data": {
            "out_refund_no": "otr7",
            "order_entry_schema": { "path": "pages/refund/detail", "params": "{\"out_refund_no\":\"otr7\"}" },
        },
    });
    assert_eq!(serde_json::from_slice::<Value>(&reply.body).unwrap(), expected);
    assert_eq!(channel.is_ack(&AppReply { status: 200, body: &reply.body }, None), AckMatch::Exact);
    let own = channel.answer(Answer::Success, Some(&application(json!({ "out_refund_no": "R1" }))));
    assert_eq!(serde_json::from_slice::<Value>(&own.body).unwrap()["data"]["out_refund_no"], "R1");
    // Any other message, a number that is none, a channel without a page, a failure: nothing more than the plain words.
    let odd = application(json!({ "refund_id": "a\",\"err_no\":1" }));
    let long = application(json!({ "refund_id": "7".repeat(65) }));
    for (channel, request) in [
        (&channel, told("payment", payment())),
        (&channel, told("refund", refund())),
        (&channel, odd),
        (&channel, long),
        (&channel, application(json!({ "refund_id": null }))),
        (&plain, application(json!({}))),
    ] {
        assert_eq!(channel.answer(Answer::Success, Some(&request)).body, douyin::SUCCESS);
    }
    for failure in [Failure::Refused, Failure::Busy, Failure::NotYet] {
        let reply = channel.answer(Answer::Failure(failure), Some(&application(json!({}))));
        assert_eq!(channel.is_ack(&AppReply { status: 200, body: &reply.body }, None), AckMatch::No);
        assert!(!String::from_utf8_lossy(&reply.body).contains("otr7"));
    }
    for bad in ["", " ", "/pages/x", "pages/x?y=1", "pages/退款", "https://a.example", &"p".repeat(257)] {
        let error = build(&settings.clone().with("refund_page", SettingValue::Text((*bad).into()))).err().unwrap();
        assert_eq!((error.setting, error.word), ("refund_page", "malformed"), "{bad}");
    }
}

/// An application that has our public half in place of the platform's accepts what was signed afresh, hours later.
#[test]
fn what_is_signed_afresh_is_accepted_by_who_trusts_our_key() {
    let stage = stage();
    let private = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = private.as_der().unwrap();
    let resigner = build(&stage.settings).unwrap().resigner(der.as_ref()).unwrap();
    let mut original =
        stage.request(envelope("payment", &payment().to_string()).as_bytes(), now().as_second() - 86_400);
    original.headers.insert("signature", HeaderValue::from_static("as it came"));
    let fresh = resigner.resign(&original, now(), [7; 16]).unwrap();
    assert_eq!((&fresh.body, fresh.headers.len()), (&original.body, original.headers.len()));
    assert_eq!(fresh.headers["signature"], "as it came");
    assert_eq!(stage.verify(&fresh), Err(Rejection::Signature));
    for file in resigner.public_half() {
        let key = SettingValue::Key(file.content.into());
        let shop = build(&stage.settings.clone().with("platform_public_key", key)).unwrap();
        assert!(matches!(shop.verify(&fresh, now()), Verdict::Genuine(_)), "{}", file.name);
        assert!(!matches!(shop.verify(&original, now()), Verdict::Genuine(_)), "{}", file.name);
    }
    assert!(!format!("{resigner:?}").contains("PRIVATE"));
}
