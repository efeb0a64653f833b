//! What only this platform has; the contract suite tests what all have.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::*;
use crate::model::{Amount, Concern, Environment, EventKind, Fact, Identity};
use crate::settings::SettingValue;
use crate::signature::digest::{DigestHash, HexCase};

mod extension;

const TOKEN: &str = "token123";
const APPID: &str = "tt07e3715e98c9aac0";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn settings() -> Settings {
    Settings::new(Environment::Live).with("appid", SettingValue::Texts(vec![APPID.into()])).with("token", secret(TOKEN))
}

fn secret(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn sign(token: &str, timestamp: &str, nonce: &str, message: &str) -> String {
    let mut texts = [token, timestamp, nonce, message];
    texts.sort_unstable();
    DigestHash::Sha1.hex_of(&texts.map(str::as_bytes), HexCase::Lower)
}

fn envelope(token: &str, timestamp: &str, nonce: &str, message: &str, kind: &str) -> Value {
    json!({
        "timestamp": timestamp, "nonce": nonce, "msg": message, "type": kind,
        "msg_signature": sign(token, timestamp, nonce, message),
    })
}

fn request(body: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        source: None,
        received_at: now(),
    }
}

fn verify_with(settings: &Settings, body: &str) -> Result<Notification, Rejection> {
    match build(settings).unwrap().verify(&request(body), now()) {
        Verdict::Genuine(proven) => Ok(proven.into_parts().0),
        Verdict::Refused(rejection) => Err(rejection),
        other => panic!("{other:?}"),
    }
}

fn verify(body: &str) -> Result<Notification, Rejection> {
    verify_with(&settings(), body)
}

fn read(message: &Value, kind: &str) -> Notification {
    read_text(&message.to_string(), kind)
}

fn read_text(message: &str, kind: &str) -> Notification {
    verify(&envelope(TOKEN, "1602507471", "797", message, kind).to_string()).unwrap()
}

fn payment() -> Value {
    json!({
        "appid": APPID, "cp_orderno": "T1", "cp_extra": "", "way": "2", "channel_no": "4200", "payment_order_no": "PC1",
        "total_amount": 1000, "status": "SUCCESS", "seller_uid": "7001", "paid_at": 1_602_507_471, "order_id": "N71",
    })
}

fn refund() -> Value {
    json!({
        "appid": APPID, "cp_refundno": "R1", "cp_extra": "", "status": "SUCCESS", "refund_amount": 300,
        "is_all_settled": false, "refunded_at": 1_602_507_900, "message": "", "order_id": "N71", "refund_no": "N81",
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

/// Nothing under the signature but this says how old a message is.
#[test]
fn a_message_without_its_time_is_held() {
    for (message, kind, field) in [(payment(), "payment", "paid_at"), (refund(), "refund", "refunded_at")] {
        assert_eq!(words(&read(&message, kind)), [""; 0]);
        for (odd, word) in [
            (json!(null), "missing_field"),
            (json!(""), "missing_field"),
            (json!("soon"), "unknown_value"),
            (json!(1_602_507_471_000_i64), "unknown_value"),
            (json!([1_602_507_471]), "unknown_value"),
        ] {
            let notification = read(&changed(message.clone(), field, odd.clone()), kind);
            assert_eq!((words(&notification), notification.sent_at), (vec![word], None), "{field} {odd}");
            assert_ne!(notification.facts[0].kind, EventKind::Other);
        }
        let notification = read(&without(message, field), kind);
        assert_eq!(notification.concerns, [Concern::MissingField { field: field.into() }]);
    }
}

/// The vector of the protocol's description: sorted it is timestamp, nonce, token, message.
#[test]
fn the_signature_is_that_of_the_vector() {
    const MESSAGE: &str =
        r#"{"appid":"tt07e3715e98c9aac0","cp_orderno":"out_order_no_1","way":"2","total_amount":1,"status":"SUCCESS"}"#;
    const SIGN: &str = "8e876124c342056df27fb05487f85322d740f471";
    assert_eq!(sign(TOKEN, "1602507471", "797", MESSAGE), SIGN);
    let whole = envelope(TOKEN, "1602507471", "797", MESSAGE, "payment");
    assert_eq!(whole["msg_signature"], SIGN);
    let notification = verify(&whole.to_string()).unwrap();
    // The example leaves the platform's own number and the time out.
    assert_eq!(words(&notification), ["missing_field", "missing_field"]);
    for name in ["timestamp", "nonce", "msg", "msg_signature"] {
        let text = whole[name].as_str().unwrap();
        let other = if text.ends_with('1') { "2" } else { "1" };
        let spoiled = changed(whole.clone(), name, json!(format!("{}{other}", &text[..text.len() - 1])));
        assert!(verify(&spoiled.to_string()).is_err(), "{name}");
    }
}

#[test]
fn the_token_stands_where_it_sorts() {
    // Before, between and behind the others, and behind the message.
    for token in ["!!!!!!!!", "1602507471", "200000000", "797", "zzzzzzzz", "~~~~~~~~", "}}}}}}}}", "|token12"] {
        if token.len() < settings::TOKEN_CHARS_MIN {
            continue;
        }
        let settings = settings().with("token", secret(token));
        for (timestamp, nonce) in
            [("1602507471", "797"), ("1602507471", "1"), ("9999999999", "abc"), ("0000000000", "Z")]
        {
            let whole = envelope(token, timestamp, nonce, &payment().to_string(), "payment");
            verify_with(&settings, &whole.to_string()).unwrap_or_else(|error| panic!("{token} {nonce}: {error}"));
        }
    }
}

#[test]
fn a_former_token_counts_and_an_unknown_one_does_not() {
    let settings = settings().with("former_tokens", secret("former-token-1\r\nformer-token-2\n"));
    let body = |token: &str| envelope(token, "1602507471", "797", &payment().to_string(), "payment").to_string();
    for (token, label) in [(TOKEN, "token"), ("former-token-1", "former token 1"), ("former-token-2", "former token 2")]
    {
        match build(&settings).unwrap().verify(&request(&body(token)), now()) {
            Verdict::Genuine(proven) => {
                let crate::model::Proof::Signature { key, variant } = proven.proof() else {
                    panic!("not by a signature")
                };
                assert_eq!((key.as_str(), variant.as_str()), (label, VARIANT));
            }
            other => panic!("{token}: {other:?}"),
        }
    }
    for token in ["former-token-3", "", "former-token-1\r", "token1234"] {
        assert_eq!(verify_with(&settings, &body(token)), Err(Rejection::Signature), "{token}");
    }
    assert_eq!(verify(&body("former-token-1")), Err(Rejection::Signature));
    assert_eq!(build(&settings).unwrap().keys().len(), 3);
}

/// The usual mistakes of those who sign, each of which is another text.
#[test]
fn other_rules_are_refused() {
    let message = payment().to_string();
    let (timestamp, nonce) = ("1602507471", "797");
    let hex = |texts: &[&str]| {
        DigestHash::Sha1.hex_of(&texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>(), HexCase::Lower)
    };
    let good = sign(TOKEN, timestamp, nonce, &message);
    let sorted = [timestamp, nonce, TOKEN, message.as_str()];
    for (rule, signature) in [
        ("names sorted, not values", hex(&[&message, nonce, timestamp, TOKEN])),
        ("joined with blanks", hex(&[&sorted.join(" ")])),
        ("joined with ampersands", hex(&[&sorted.join("&")])),
        ("without the token", hex(&[timestamp, nonce, &message])),
        ("with the type", hex(&[timestamp, nonce, "payment", TOKEN, &message])),
        ("MD5", DigestHash::Md5.hex_of(&sorted.map(str::as_bytes), HexCase::Lower)),
        ("SHA-256", DigestHash::Sha256.hex_of(&sorted.map(str::as_bytes), HexCase::Lower)),
        ("upper case", good.to_ascii_uppercase()),
        ("cut", good[..39].to_owned()),
        ("longer", format!("{good}0")),
        ("a blank", format!("{good} ")),
    ] {
        let body = changed(envelope(TOKEN, timestamp, nonce, &message, "payment"), "msg_signature", json!(signature));
        assert_eq!(verify(&body.to_string()), Err(Rejection::Signature), "{rule}");
    }
    // Printed anew: the same message for a reader, and not what was signed.
    let mut body = envelope(TOKEN, timestamp, nonce, &message, "payment");
    body["msg"] = json!(message.replace(':', ": "));
    assert_eq!(verify(&body.to_string()), Err(Rejection::Signature));
}

#[test]
fn the_envelope_is_read_strictly() {
    let whole = envelope(TOKEN, "1602507471", "797", &payment().to_string(), "payment");
    let word = |value: &Value| verify(&value.to_string()).map_err(|rejection| rejection.word());
    for name in ["timestamp", "nonce", "msg", "type", "msg_signature"] {
        assert_eq!(word(&without(whole.clone(), name)), Err("missing"), "{name}");
        assert_eq!(word(&changed(whole.clone(), name, json!(""))), Err("missing"), "{name}");
        assert_eq!(word(&changed(whole.clone(), name, json!(null))), Err("missing"), "{name}");
        for value in [json!(true), json!(["x"]), json!({ "a": 1 })] {
            assert_eq!(word(&changed(whole.clone(), name, value)), Err("malformed"), "{name}");
        }
        let text = whole.to_string();
        let twice = format!("{},\"{name}\":{}}}", &text[..text.len() - 1], whole[name]);
        assert_eq!(verify(&twice).map_err(|rejection| rejection.word()), Err("duplicate_field"), "{name}");
    }
    for bad in ["160250747", "16025074710", "1602507471000", "-602507471", "160250747x", " 602507471", "１602507471"] {
        let body = envelope(TOKEN, bad, "797", &payment().to_string(), "payment");
        assert_eq!(word(&body), Err("malformed"), "{bad}");
    }
    for bad in ["{797", "7 97", "7-97", "~1", "中", "\u{0}", &"7".repeat(NONCE_CHARS_MAX + 1)] {
        let body = envelope(TOKEN, "1602507471", bad, &payment().to_string(), "payment");
        assert_eq!(word(&body), Err("malformed"), "{bad}");
    }
    for bad in [" {}", "[]", "1", "x", "\u{feff}{}", "\"{\""] {
        assert_eq!(word(&envelope(TOKEN, "1602507471", "797", bad, "payment")), Err("malformed"), "{bad}");
    }
    // A number in place of the text of digits, as examples also show it.
    assert!(word(&changed(whole.clone(), "timestamp", json!(1_602_507_471))).is_ok());
    assert_eq!(word(&changed(whole.clone(), "timestamp", json!(1_602_507_471.5))), Err("malformed"));
    // Members that nobody knows are no reason to refuse.
    assert!(word(&changed(whole, "version", json!(3))).is_ok());
    for body in ["[]", "null", "{", "{} x", "\u{feff}{}"] {
        assert_eq!(verify(body), Err(malformed("body")), "{body}");
    }
}

#[test]
fn a_payment_and_its_refund_meet() {
    let paid = read(&payment(), "payment");
    assert_eq!((words(&paid), paid.platform_kind.as_str()), (vec![], "payment"));
    assert_eq!((paid.scope.account.as_str(), paid.scope.family), (APPID, FAMILY));
    let [fact] = &paid.facts[..] else { panic!() };
    assert_eq!((fact.kind, fact.identity.as_str(), minor(fact)), (EventKind::PaymentSucceeded, "N71", Some(1000)));
    assert_eq!((fact.order_no.as_deref(), fact.platform_no.as_deref()), (Some("T1"), Some("N71")));
    assert_eq!((fact.occurred_at, paid.sent_at), (paid.sent_at, Timestamp::from_second(1_602_507_471).ok()));
    assert!(paid.platform_id.starts_with("N71:"), "{}", paid.platform_id);

    let back = read(&refund(), "refund");
    assert_eq!((words(&back), back.platform_kind.as_str()), (vec![], "refund"));
    let [fact_back] = &back.facts[..] else { panic!() };
    assert_eq!((fact_back.kind, minor(fact_back)), (EventKind::RefundSucceeded, Some(300)));
    let names: Vec<&str> = fact_back.identities().map(Identity::as_str).collect();
    assert_eq!(names, ["refund_no:N81", "cp_refundno:R1"]);
    assert_eq!((&fact_back.scope, fact_back.payment.as_ref()), (&fact.scope, Some(&fact.identity)));
    let failed = read(&changed(refund(), "status", json!("FAIL")), "refund");
    assert_eq!((failed.facts[0].kind, words(&failed)), (EventKind::RefundFailed, vec![]));
}

/// Time and nonce are new on every repetition, and are part of nothing.
#[test]
fn a_repetition_is_the_same_and_another_message_is_not() {
    let body = |timestamp: &str, nonce: &str, message: &Value| {
        verify(&envelope(TOKEN, timestamp, nonce, &message.to_string(), "payment").to_string()).unwrap()
    };
    let first = body("1602507471", "797", &payment());
    assert_eq!(first, body("1602509999", "abc", &payment()));
    let others = [("total_amount", json!(1001)), ("order_id", json!("N72")), ("cp_orderno", json!("T2"))];
    for (name, value) in others {
        assert_ne!(first.key(), body("1602507471", "797", &changed(payment(), name, value)).key(), "{name}");
    }
}

#[test]
fn the_type_beside_the_message_decides_nothing() {
    let settle =
        json!({ "appid": APPID, "cp_settle_no": "S1", "status": "SUCCESS", "order_id": "N71", "settled_at": 1 });
    let withdraw = json!({ "status": "SUCCESS", "order_id": "W1", "withdraw_at": 1, "message": "" });
    let messages = [("payment", payment()), ("refund", refund()), ("settle", settle), ("withdraw", withdraw)];
    for (own, message) in &messages {
        for word in ["payment", "refund", "settle", "withdraw", "Payment", "new", "支付"] {
            let body = envelope(TOKEN, "1602507471", "797", &message.to_string(), word);
            match verify(&body.to_string()) {
                Ok(notification) => {
                    assert_eq!((*own, notification.platform_kind.as_str(), words(&notification)), (word, *own, vec![]));
                    let is_money = matches!(word, "payment" | "refund");
                    assert_eq!(notification.facts[0].kind != EventKind::Other, is_money, "{word}");
                }
                Err(rejection) => assert!(*own != word && rejection == malformed(TYPE), "{own} {word}"),
            }
        }
    }
    // Of no kind that is known, and of two.
    for word in ["payment", "refund", "new"] {
        let unknown = read(&json!({ "appid": APPID, "order_id": "N71", "status": "SUCCESS" }), word);
        assert_eq!((unknown.facts[0].kind, words(&unknown)), (EventKind::Other, vec!["missing_field"]));
        assert_eq!(unknown.platform_kind, "unknown");
        let both = read(&changed(payment(), "cp_refundno", json!("R1")), word);
        assert_eq!((both.facts[0].kind, words(&both)), (EventKind::Other, vec!["contradiction"]));
    }
}

#[test]
fn what_cannot_be_understood_is_held_and_never_guessed() {
    for bad in [json!("1000"), json!(1000.0), json!(-1), json!(null), json!([1]), json!(u64::MAX), json!(true)] {
        let held = read(&changed(payment(), "total_amount", bad.clone()), "payment");
        assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["unreadable_amount"]), "{bad}");
        let held = read(&changed(refund(), "refund_amount", bad.clone()), "refund");
        assert_eq!((&held.facts[0].amount, words(&held)), (&Amount::Unreadable, vec!["unreadable_amount"]), "{bad}");
    }
    for (name, to, kind, word) in [
        ("status", json!("PROCESSING"), EventKind::Other, "unknown_value"),
        ("status", json!("FAIL"), EventKind::Other, "unknown_value"),
        ("status", json!(""), EventKind::Other, "missing_field"),
        ("status", json!(["SUCCESS"]), EventKind::Other, "unknown_value"),
        ("order_id", json!(""), EventKind::Other, "missing_field"),
        ("order_id", json!("4".repeat(1000)), EventKind::Other, "unknown_value"),
        ("cp_orderno", json!(" "), EventKind::PaymentSucceeded, "missing_field"),
        ("appid", json!("tt07e3715e98c9aac1"), EventKind::PaymentSucceeded, "foreign_payee"),
        ("appid", json!(null), EventKind::PaymentSucceeded, "missing_field"),
        ("app_id", json!("tt07e3715e98c9aac1"), EventKind::PaymentSucceeded, "contradiction"),
    ] {
        let held = read(&changed(payment(), name, to.clone()), "payment");
        assert_eq!((held.facts[0].kind, words(&held).first()), (kind, Some(&word)), "{name} {to}");
    }
    let foreign = read(&changed(payment(), "appid", json!("tt07e3715e98c9aac1")), "payment");
    assert_eq!((foreign.scope.account.as_str(), &foreign.facts[0].scope), ("tt07e3715e98c9aac1", &foreign.scope));
    for name in ["status", "refund_amount", "order_id", "appid"] {
        let held = read(&without(refund(), name), "refund");
        assert_eq!(words(&held), ["missing_field"], "{name}");
    }
    let unnamed = read(&without(changed(refund(), "cp_refundno", json!("")), "refund_no"), "refund");
    assert_eq!((unnamed.facts[0].kind, words(&unnamed)), (EventKind::Other, vec!["missing_field"]));
    let one_name = read(&without(refund(), "refund_no"), "refund");
    assert_eq!((one_name.facts[0].identity.as_str(), words(&one_name)), ("cp_refundno:R1", vec![]));
    // Signed, and no JSON: kept for a person.
    for broken in ["{", "{}}", "{\"a\":}", &"{\"a\":".repeat(100)] {
        let held = read_text(broken, "payment");
        assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["unreadable_text"]), "{broken}");
        assert_eq!(held.scope.account, APPID);
    }
    let twice = r#"{"appid":"a","cp_orderno":"1","cp_orderno":"2"}"#;
    let held = read_text(twice, "payment");
    assert_eq!((held.facts[0].kind, words(&held)), (EventKind::Other, vec!["ambiguous"]));
}

/// Settlements write the application's id in either way.
#[test]
fn a_settlement_is_kept_under_its_application() {
    for name in ["appid", "app_id"] {
        let settled =
            read(&json!({ name: APPID, "cp_settle_no": "S1", "status": "FAIL", "order_id": "N71" }), "settle");
        assert_eq!((settled.facts[0].kind, words(&settled)), (EventKind::Other, vec![]), "{name}");
        assert_eq!((settled.scope.account.as_str(), &settled.facts[0].amount), (APPID, &Amount::None));
    }
}

/// Every way to cut the joined text anew, with the token at its own place or wherever else it fits.
#[test]
fn no_other_cut_makes_another_message() {
    // The second half of the text looks like the first: a token inside of a message, and messages inside of others.
    let inner = payment().to_string();
    let sly = changed(payment(), "cp_extra", json!(format!("token123{}1602507471", inner))).to_string();
    let twin = format!("{{\"appid\":\"{APPID}\",\"cp_orderno\":\"1602507471\",\"cp_extra\":\"797{TOKEN}\"}}");
    for token in [TOKEN, "1602507471", "11111111", "aaaaaaaa", "~~~~~~~~", "}}}}}}}}"] {
        let settings = settings().with("token", secret(token));
        for (timestamp, nonce) in [("1602507471", "797"), ("1111111111", "11111"), ("1602507471", "aaaaaaaaaaaa")] {
            for message in [&inner, &sly, &twin] {
                let genuine =
                    verify_with(&settings, &envelope(token, timestamp, nonce, message, "payment").to_string());
                let genuine = genuine.unwrap();
                let mut texts = [token, timestamp, nonce, message.as_str()];
                texts.sort_unstable();
                let joined = texts.concat();
                let signature = sign(token, timestamp, nonce, message);
                let mut accepted = 0;
                for [time, nonce, message] in cuts(&joined, token) {
                    // Only those whose sorted texts are this text again can pass at all.
                    let body = json!({
                        "timestamp": time, "nonce": nonce, "msg": message, "type": "payment", "msg_signature": signature,
                    });
                    if let Ok(found) = verify_with(&settings, &body.to_string()) {
                        assert_eq!(found, genuine, "{token}: {time} {nonce}");
                        accepted += 1;
                    }
                }
                assert!(accepted > 0, "the genuine cut is among them");
            }
        }
    }
}

/// Takes the token out of a text wherever it stands, and cuts the rest into three, in every order.
fn cuts(joined: &str, token: &str) -> BTreeSet<[String; 3]> {
    let mut found = BTreeSet::new();
    for (at, _) in joined.match_indices(token).chain(overlapping(joined, token)) {
        let (before, behind) = (&joined[..at], &joined[at + token.len()..]);
        let rest = format!("{before}{behind}");
        // A timestamp has ten digits, so only places near to the ends of pieces matter; all of them are tried that
        // lie within the first and the last forty characters.
        let near: Vec<usize> = (0..=rest.len())
            .filter(|&place| rest.is_char_boundary(place) && (place <= 40 || place + 40 >= rest.len()))
            .collect();
        for &first in &near {
            for &second in near.iter().filter(|&&second| second >= first) {
                let [a, b, c] = [&rest[..first], &rest[first..second], &rest[second..]].map(str::to_owned);
                for order in [[&a, &b, &c], [&a, &c, &b], [&b, &a, &c], [&b, &c, &a], [&c, &a, &b], [&c, &b, &a]] {
                    let [time, nonce, message] = order;
                    // What the form alone refuses needs no digest.
                    if time.len() == TIMESTAMP_DIGITS && nonce.len() <= NONCE_CHARS_MAX && message.starts_with('{') {
                        found.insert(order.map(Clone::clone));
                    }
                }
            }
        }
    }
    found
}

/// Places where the token stands across another of its own.
fn overlapping<'t>(joined: &'t str, token: &str) -> Vec<(usize, &'t str)> {
    (1..joined.len())
        .filter(|&at| joined.is_char_boundary(at) && joined[at..].starts_with(token))
        .map(|at| (at, &joined[at..at + token.len()]))
        .collect()
}

#[test]
fn settings_that_make_no_channel_are_named() {
    let error = |name: &'static str, value: SettingValue| {
        let Err(error) = build(&settings().with(name, value)) else { panic!("{name}: built") };
        (error.setting, error.word)
    };
    for (token, word) in [
        ("", "missing"),
        ("\n", "missing"),
        ("token12", "too_short"),
        ("token 123", "malformed"),
        (" token123", "malformed"),
        ("token123\n\n", "malformed"),
        ("token{123", "malformed"),
        ("{token123", "malformed"),
        ("令牌令牌令牌", "malformed"),
    ] {
        assert_eq!(error("token", secret(token)), ("token", word), "{token:?}");
    }
    assert_eq!(error("token", secret(&"t".repeat(settings::TOKEN_CHARS_MAX + 1))), ("token", "out_of_range"));
    for (former, word) in [
        ("", "missing"),
        ("former-token\n\nformer-token-2", "missing"),
        ("short", "too_short"),
        ("former-token\nformer token", "malformed"),
        ("former-token\nformer-token", "relation"),
        (TOKEN, "relation"),
    ] {
        assert_eq!(error("former_tokens", secret(former)), ("former_tokens", word), "{former:?}");
    }
    let many: Vec<String> = (0..=settings::FORMER_TOKENS_MAX).map(|number| format!("former-token-{number}")).collect();
    assert_eq!(error("former_tokens", secret(&many.join("\n"))), ("former_tokens", "out_of_range"));
    assert_eq!(error("appid", SettingValue::Texts(vec![])), ("appid", "empty_list"));
    assert_eq!(error("appid", SettingValue::Texts(vec!["tt 1".into()])), ("appid", "malformed_id"));
    assert!(build(&settings().with("token", secret("token123\r\n"))).is_ok());
}

#[test]
fn recognition_goes_by_shape_and_application() {
    let likeness = |body: &str| build(&settings()).unwrap().recognise(&request(body));
    let body =
        |message: &Value| envelope("any token", "1602507471", "797", &message.to_string(), "payment").to_string();
    assert_eq!(likeness(&body(&payment())), Likeness::Merchant);
    assert_eq!(likeness(&body(&changed(payment(), "appid", json!("tt1")))), Likeness::Shape);
    assert_eq!(likeness(&body(&json!({ "withdraw_at": 1 }))), Likeness::Merchant);
    assert_eq!(
        likeness(&without(serde_json::from_str(&body(&payment())).unwrap(), "msg_signature").to_string()),
        Likeness::No
    );
    assert_eq!(likeness("{}"), Likeness::No);
}

#[test]
fn every_field_is_shown_but_the_signature() {
    let body = envelope(TOKEN, "1602507471", "797", &payment().to_string(), "payment").to_string();
    let fields = build(&settings()).unwrap().fields(&request(&body));
    for field in [("msg.total_amount", "1000"), ("msg.cp_orderno", "T1"), ("type", "payment"), ("nonce", "797")] {
        assert!(fields.contains(&(field.0.into(), field.1.into())), "{field:?}");
    }
    assert!(fields.iter().all(|(name, _)| name != SIGNATURE && name != MESSAGE));
}

/// The envelope's other members are nobody's word, whatever they are called.
#[test]
fn only_what_was_signed_is_shown() {
    let mut body = envelope(TOKEN, "1602507471", "797", &payment().to_string(), "payment");
    let long = "n".repeat(400);
    for (name, value) in [
        ("msg.total_amount", json!(1)),
        ("msg.cp_orderno", json!("SOMEBODY-ELSES")),
        ("msg.new", json!("x")),
        ("extra", json!({ "msg": { "status": "FAIL" }, "list": [1, 2] })),
        ("order_id", json!("N0")),
        ("", json!({ "msg.status": "FAIL" })),
        (long.as_str(), json!("x".repeat(5000))),
    ] {
        body[name] = value;
    }
    let body = body.to_string();
    assert!(verify(&body).unwrap().concerns.is_empty());
    let shown = build(&settings()).unwrap().fields(&request(&body));
    let alone = envelope(TOKEN, "1602507471", "797", &payment().to_string(), "payment").to_string();
    assert_eq!(shown, build(&settings()).unwrap().fields(&request(&alone)));
    let names: BTreeSet<&str> = shown.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), shown.len(), "each name once");
    let is_known = |name: &&str| [TIMESTAMP, NONCE, TYPE].contains(name) || name.starts_with("msg.");
    assert!(names.iter().all(is_known), "{names:?}");
    // A type that nothing in the message confirms is not shown.
    let unknown = envelope(TOKEN, "1602507471", "797", r#"{"a":1}"#, "payment").to_string();
    let shown = build(&settings()).unwrap().fields(&request(&unknown));
    assert!(shown.iter().all(|(name, _)| name != TYPE), "{shown:?}");
}
