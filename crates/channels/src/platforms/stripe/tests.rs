//! Events as the platform sends them, and as it never does.

mod asked;
mod facts;
mod refunds;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::header::SIGNATURES_MAX;
use super::*;
use crate::model::{Amount, Concern, Environment, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;

const OURS: &str = "acct_1000000000000001";
const SECRET: &str = "whsec_test_secret";
const AT: i64 = 1_700_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(AT).unwrap()
}

fn base() -> Settings {
    Settings::new(Environment::Live).with("account", SettingValue::Text(OURS.into()))
}

fn texts(texts: &[&str]) -> SettingValue {
    SettingValue::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn key(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

fn settings() -> Settings {
    base().with("secret", key(SECRET))
}

fn channel() -> Box<dyn Channel> {
    build(&settings()).unwrap()
}

fn tag(secret: &str, time: i64, body: &str) -> String {
    let key = HmacKey::new(secret.as_bytes(), HmacHash::Sha256, "test");
    hex(&key.sign(format!("{time}.{body}").as_bytes()))
}

fn request(body: &str, signature: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert("stripe-signature", HeaderValue::from_str(signature).unwrap());
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

fn signed(body: &str) -> RawRequest {
    request(body, &format!("t={AT},v1={}", tag(SECRET, AT, body)))
}

fn event(kind: &str, object: &Value) -> Value {
    json!({
        "id": "evt_1", "object": "event", "type": kind, "created": AT, "livemode": true, "api_version": "2025-09-30",
        "data": { "object": object }, "pending_webhooks": 1, "request": null,
    })
}

fn with(mut value: Value, pointer: &str, to: Value) -> Value {
    *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = to;
    value
}

fn read_by(settings: &Settings, event: &Value) -> Notification {
    match build(settings).unwrap().verify(&signed(&event.to_string()), now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{event}: {other:?}"),
    }
}

fn read(event: &Value) -> Notification {
    read_by(&settings(), event)
}

fn refusal(request: &RawRequest) -> Rejection {
    match channel().verify(request, now()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

/// `kind order amount names | concerns`
fn told_by(settings: &Settings, event: &Value) -> String {
    let notification = read_by(settings, event);
    let [fact] = notification.facts.as_slice() else { panic!("{notification:?}") };
    let amount = match &fact.amount {
        Amount::Stated(money) => format!("{}{}", money.minor, money.currency),
        Amount::Cumulative { total, series, .. } => format!("+{}{}@{}", total.minor, total.currency, series.0),
        Amount::Unreadable => "?".to_owned(),
        Amount::None => "-".to_owned(),
    };
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    format!("{} {order} {amount} {} | {}", fact.kind, names.join(","), words.join(" ")).trim_end().to_owned()
}

fn told(event: &Value) -> String {
    told_by(&settings(), event)
}

fn intent(status: &str) -> Value {
    json!({
        "id": "pi_1", "object": "payment_intent", "amount": 1099, "amount_capturable": 900, "amount_received": 1000,
        "currency": "usd", "latest_charge": "ch_1", "status": status, "metadata": { "order_id": "T1" },
    })
}

fn paid() -> Value {
    event("payment_intent.succeeded", &intent("succeeded"))
}

/// The platform's own recipe with a published vector: the secret is a text, and is not decoded.
#[test]
fn the_signature_is_over_the_time_a_dot_and_the_raw_body() {
    let body = "{\"id\":\"evt_1\",\"amount\":1000,\"note\":\"café\"}";
    let good = "t=1700000000,v1=5d26399b41cefaf7dd989679ac48c0890a4394bd182206391a071feec875f19f";
    let Verdict::Genuine(proven) = channel().verify(&request(body, good), now()) else { panic!("refused") };
    let Proof::Signature { key: label, variant } = proven.proof() else { panic!("not by a signature") };
    assert_eq!((label.as_str(), variant.as_str()), ("secret", "v1"));
    // Genuine, and nothing that we know.
    assert!(!proven.value().concerns.is_empty());
    for other in [format!("{body} "), body.replace("1000", "1001"), body.replace("é", "\\u00e9")] {
        assert_eq!(refusal(&request(&other, good)), Rejection::Signature);
    }
    // The same secret as Standard Webhooks read it: base64 behind the prefix.
    let decoded = base().with("secret", key("test_secret_of_base64"));
    assert_eq!(build(&decoded).err().map(|error| (error.setting, error.word)), Some(("secret", "malformed")));
}

#[test]
fn only_the_one_scheme_counts() {
    let body = paid().to_string();
    let good = tag(SECRET, AT, &body);
    let bad = tag("whsec_another_secret", AT, &body);
    let genuine = |signature: &str| match channel().verify(&request(&body, signature), now()) {
        Verdict::Genuine(_) => "genuine".to_owned(),
        Verdict::Refused(rejection) => rejection.word().to_owned(),
        other => panic!("{other:?}"),
    };
    for (signature, expected) in [
        (format!("t={AT},v1={good}"), "genuine"),
        (format!("v1={good},t={AT}"), "genuine"),
        (format!("t={AT},v1={bad},v1={good}"), "genuine"),
        (format!("t={AT},v1={good},v1={bad}"), "genuine"),
        (format!("t={AT},v1={good},v0=whatever,v2={bad},x="), "genuine"),
        // No downgrade: another scheme proves nothing, whatever it holds.
        (format!("t={AT},v0={good}"), "missing"),
        (format!("t={AT},v0={good},v1={bad}"), "signature"),
        (format!("t={AT},v2={good},v1={bad}"), "signature"),
        (format!("t={AT},V1={good}"), "missing"),
        (format!("t={AT}, v1={good}"), "missing"),
        (format!("v1={good}"), "missing"),
        (format!("t={AT}"), "missing"),
        (format!("t={AT},v1={bad}"), "signature"),
        (format!("t={AT},v1={}", good.to_uppercase()), "malformed"),
        (format!("t={AT},v1={good}0"), "malformed"),
        (format!("t={AT},v1={}", &good[2..]), "malformed"),
        (format!("t={AT},v1="), "malformed"),
        (format!("t={AT},v1={good},"), "malformed"),
        (format!("t={AT},v1={good},v1=x"), "malformed"),
        (format!("t={AT},t={AT},v1={good}"), "duplicate_field"),
        (format!("t={AT},v1={good},t=1"), "duplicate_field"),
        (format!("t=+{AT},v1={good}"), "malformed"),
        (format!("t={AT}000,v1={good}"), "malformed"),
        (format!("t=,v1={good}"), "malformed"),
        (format!("t={},v1={good}", AT + 1), "signature"),
        (format!("t={AT}{}", format!(",v1={good}").repeat(SIGNATURES_MAX + 1)), "malformed"),
        (format!("t={AT},v1={good},x={}", "y".repeat(4096)), "malformed"),
    ] {
        assert_eq!(genuine(&signature), expected, "{signature}");
    }
    let mut twice = signed(&body);
    twice.headers.append("stripe-signature", HeaderValue::from_str(&format!("t={AT},v1={good}")).unwrap());
    assert_eq!(refusal(&twice).word(), "duplicate_field");
    let mut none = signed(&body);
    none.headers.remove("stripe-signature");
    assert_eq!(refusal(&none), Rejection::Missing { field: "stripe-signature".into() });
}

#[test]
fn a_time_is_near_ours_on_both_sides() {
    let body = paid().to_string();
    for (distance, expected) in [(0, None), (300, None), (-300, None), (301, Some(301)), (-301, Some(-301))] {
        let at = AT - distance;
        let request = request(&body, &format!("t={at},v1={}", tag(SECRET, at, &body)));
        let found = match channel().verify(&request, now()) {
            Verdict::Genuine(_) => None,
            Verdict::Refused(Rejection::Stale { seconds }) => Some(seconds),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{distance}");
    }
    // A million seconds ahead, which some libraries take.
    let ahead = AT + 1_000_000;
    let request = request(&body, &format!("t={ahead},v1={}", tag(SECRET, ahead, &body)));
    assert_eq!(refusal(&request), Rejection::Stale { seconds: -1_000_000 });
}

#[test]
fn while_a_secret_is_rolled_both_count_and_the_proof_names_which() {
    let files = ["whsec_of_today_0123456789", "whsec_of_yesterday_0123"];
    let keys = files.iter().map(|text| text.as_bytes().to_vec().into()).collect();
    let channel = build(&base().with("secret_files", SettingValue::Keys(keys))).unwrap();
    let body = paid().to_string();
    let prove = |signature: &str| match channel.verify(&request(&body, signature), now()) {
        Verdict::Genuine(proven) => match proven.into_parts().1 {
            Proof::Signature { key, .. } => key,
            Proof::PlatformApi { .. } => panic!("nobody was asked"),
        },
        Verdict::Refused(rejection) => rejection.word().to_owned(),
        other => panic!("{other:?}"),
    };
    let [new, old] = files.map(|secret| tag(secret, AT, &body));
    assert_eq!(prove(&format!("t={AT},v1={new}")), "secret_files[0]");
    assert_eq!(prove(&format!("t={AT},v1={old}")), "secret_files[1]");
    assert_eq!(prove(&format!("t={AT},v1={old},v1={new}")), "secret_files[0]");
    assert_eq!(prove(&format!("t={AT},v1={}", tag(SECRET, AT, &body))), "signature");
}

#[test]
fn settings_that_would_believe_nobody_or_anybody_are_refused() {
    let error = |settings: &Settings| build(settings).err().map(|error| (error.setting, error.word));
    assert_eq!(error(&settings()), None);
    assert_eq!(error(&base().with("secret", key(&format!("{SECRET}\r\n")))), None);
    for (secret, word) in [
        ("", "missing"),
        ("\n", "missing"),
        ("whsec_", "too_short"),
        ("whsec_short", "too_short"),
        ("sk_live_0123456789abcdef", "malformed"),
        ("rk_live_0123456789abcdef", "malformed"),
        (" whsec_test_secret", "malformed"),
        ("whsec_test_secret ", "malformed"),
        ("whsec_test_secret\n\n", "malformed"),
        ("whsec_test_sécret", "malformed"),
    ] {
        assert_eq!(error(&base().with("secret", key(secret))), Some(("secret", word)), "{secret:?}");
    }
    assert_eq!(error(&base()), Some(("secret", "missing")));
    let keys = |count: usize| SettingValue::Keys(vec![SECRET.as_bytes().to_vec().into(); count]);
    assert_eq!(error(&settings().with("secret_files", keys(1))), Some(("secret", "either_or")));
    assert_eq!(error(&base().with("secret_files", keys(0))), Some(("secret_files", "empty_list")));
    assert_eq!(error(&base().with("secret_files", keys(9))), Some(("secret_files", "out_of_range")));
    for bad in ["shop", "acct_", "acct_1 2", "ACCT_1", "acct_1/../2"] {
        let settings = settings().with("account", SettingValue::Text(bad.into()));
        assert_eq!(error(&settings), Some(("account", "malformed_id")), "{bad}");
    }
    for (name, value, word) in [
        ("connected_accounts", texts(&["acct_2", "shop"]), "malformed_id"),
        ("connected_accounts", texts(&[]), "empty_list"),
        ("order_key", SettingValue::Text(" ".into()), "out_of_range"),
        ("order_key", SettingValue::Text("x".repeat(41)), "out_of_range"),
        ("payments_from", texts(&[]), "empty_list"),
        ("payments_from", texts(&["invoice"]), "unknown_word"),
        ("refunds_from", texts(&["refund", "charge"]), "out_of_range"),
        ("refunds_from", texts(&["refunds"]), "unknown_word"),
    ] {
        let name: &'static str = name;
        assert_eq!(error(&settings().with(name, value)), Some((name, word)), "{name}");
    }
}

#[test]
fn what_is_no_event_is_not_recognised() {
    let body = paid();
    let likeness = |body: &Value| channel().recognise(&signed(&body.to_string()));
    assert_eq!(likeness(&body), Likeness::Merchant);
    let of = |account: &str| {
        let mut event = paid();
        event["account"] = json!(account);
        event
    };
    assert_eq!(likeness(&of(OURS)), Likeness::Merchant);
    assert_eq!(likeness(&of("acct_2")), Likeness::Shape);
    assert_eq!(likeness(&with(body.clone(), "/object", json!("customer"))), Likeness::No);
    assert_eq!(likeness(&json!([])), Likeness::No);
    let mut unsigned = signed(&body.to_string());
    unsigned.headers.remove("stripe-signature");
    assert_eq!(channel().recognise(&unsigned), Likeness::No);
    let mut get = signed(&body.to_string());
    get.method = Method::GET;
    assert_eq!((channel().recognise(&get), refusal(&get).word()), (Likeness::No, "method"));
    let twice = body.to_string().replacen('{', r#"{"livemode":false,"#, 1);
    assert_eq!(channel().recognise(&signed(&twice)), Likeness::No);
}

#[test]
fn an_error_page_confirms_nothing() {
    let read = |status: u16, body: &str| channel().is_ack(&AppReply { status, body: body.as_bytes() }, None);
    for (status, body) in [(200, ""), (204, ""), (201, "ok"), (200, "{\"received\":true}")] {
        assert_eq!(read(status, body), AckMatch::Exact, "{status} {body}");
    }
    for (status, body) in [(302, ""), (500, ""), (200, "<br />\n<b>Warning</b>"), (200, "PHP Fatal error: x")] {
        assert_eq!(read(status, body), AckMatch::No, "{status} {body}");
    }
}
