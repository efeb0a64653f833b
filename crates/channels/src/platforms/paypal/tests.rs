//! Deliveries as the platform sends them, and as it never does.

mod asked;
#[cfg(feature = "simulate")]
mod certificates;
mod facts;
mod settings;

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::header::signed_text;
use super::*;
use crate::model::{EventKind, Notification, Proof};
use crate::platforms::crc32::crc32;
use crate::settings::SettingValue;
use crate::signature::key::{PublicKey, to_pem};
use crate::signature::rsa::sign_sha256;
use crate::signature::self_signed;

const WEBHOOK_ID: &str = "1JE4291016473214C";
const MERCHANT_ID: &str = "7LL5ZTMEKJEA4";
const COMMON_NAME: &str = "messageverificationcerts.paypal.com";
const URL: &str = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77";
const TRANSMISSION: &str = "69cd13f0-d67a-11e5-baa3-778b53f4ae55";
const TIME: &str = "2026-11-21T04:00:00Z";

static PAIR: LazyLock<Arc<RsaKeyPair>> = LazyLock::new(fresh);

fn fresh() -> Arc<RsaKeyPair> {
    Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

fn now() -> Timestamp {
    TIME.parse().unwrap()
}

fn cert(pair: &RsaKeyPair, common_name: &str) -> SettingValue {
    let public = PublicKey::of_pair("key", pair).unwrap();
    let der = self_signed::certificate(pair, &public, common_name).unwrap();
    SettingValue::Key(to_pem("CERTIFICATE", &der).into_bytes().into())
}

fn words(words: &[&str]) -> SettingValue {
    SettingValue::Texts(words.iter().map(|word| (*word).to_owned()).collect())
}

fn line(text: &str) -> SettingValue {
    SettingValue::Text(text.to_owned())
}

fn secret(text: &str) -> SettingValue {
    SettingValue::Key(text.as_bytes().to_vec().into())
}

/// Ids alone.
fn ids() -> Settings {
    Settings::new(Environment::Live).with("webhook_id", words(&[WEBHOOK_ID])).with("merchant_id", words(&[MERCHANT_ID]))
}

/// A channel that believes the signature, by a certificate that is configured.
fn believing() -> Settings {
    ids().with("confirm", words(&["never"])).with("paypal_cert", cert(&PAIR, COMMON_NAME))
}

/// A channel that asks.
fn asking() -> Settings {
    ids()
        .with("paypal_cert", cert(&PAIR, COMMON_NAME))
        .with("client_id", line("AeA1QIZXiflr1_-r0U2UbW"))
        .with("client_secret", secret("EGnHDxD_qRPdaLdZz8iCr8N7"))
}

fn channel() -> Box<dyn Channel> {
    build(&believing()).unwrap()
}

/// The headers of a delivery, signed for a webhook.
fn headers(pair: &RsaKeyPair, webhook: &str, body: &[u8]) -> Vec<(&'static str, String)> {
    let text = signed_text(TRANSMISSION, TIME, webhook, crc32(body));
    vec![
        ("content-type", "application/json; charset=utf-8".to_owned()),
        (TRANSMISSION_ID, TRANSMISSION.to_owned()),
        (TRANSMISSION_TIME, TIME.to_owned()),
        (TRANSMISSION_SIG, STANDARD.encode(sign_sha256(pair, text.as_bytes()).unwrap())),
        (CERT_URL, URL.to_owned()),
        (AUTH_ALGO, "SHA256withRSA".to_owned()),
        (AUTH_VERSION, "v2".to_owned()),
    ]
}

fn request(body: &[u8], headers: &[(&'static str, String)]) -> RawRequest {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let body = Bytes::copy_from_slice(body);
    RawRequest {
        method: Method::POST,
        path: "/".into(),
        query: None,
        headers: map,
        body,
        source: None,
        received_at: now(),
    }
}

fn signed(body: &str) -> RawRequest {
    request(body.as_bytes(), &headers(&PAIR, WEBHOOK_ID, body.as_bytes()))
}

/// The delivery with one header changed, or taken away.
fn with(request: &RawRequest, name: &'static str, value: Option<&str>) -> RawRequest {
    let mut request = request.clone();
    request.headers.remove(name);
    if let Some(value) = value {
        request.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

fn capture() -> Value {
    json!({
        "id": "3C679366HH908993F",
        "status": "COMPLETED",
        "amount": { "currency_code": "USD", "value": "10.00" },
        "payee": { "email_address": "shop@example.com", "merchant_id": MERCHANT_ID },
        "invoice_id": "20261121001",
        "custom_id": "C-1",
        "final_capture": true,
        "supplementary_data": { "related_ids": { "order_id": "5O190127TN364715T" } },
        "create_time": "2026-11-21T03:59:58Z",
        "links": [],
    })
}

fn event(kind: &str, resource_type: &str, resource: &Value) -> Value {
    json!({
        "id": "WH-58D329510W468432D-8HN650336L201105X",
        "event_version": "1.0",
        "create_time": "2026-11-21T03:59:59.079Z",
        "resource_type": resource_type,
        "resource_version": "2.0",
        "event_type": kind,
        "summary": "Payment completed for $ 10.0 USD",
        "resource": resource,
        "links": [],
    })
}

fn paid() -> String {
    event("PAYMENT.CAPTURE.COMPLETED", "capture", &capture()).to_string()
}

fn taken(channel: &dyn Channel, request: &RawRequest) -> Notification {
    match channel.verify(request, now()) {
        Verdict::Genuine(proven) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

fn refused(channel: &dyn Channel, request: &RawRequest) -> Rejection {
    match channel.verify(request, now()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_signed_text_is_the_one_of_the_sheet() {
    let body = r#"{"id":"evt_1","amount":1000,"note":"café"}"#.as_bytes();
    assert_eq!(body.len(), 43);
    let text = signed_text("b1-uuid", "2024-01-01T00:00:00Z", "WH-ID", crc32(body));
    assert_eq!(text, "b1-uuid|2024-01-01T00:00:00Z|WH-ID|2910813677");
    // Plain digits, with neither sign nor leading zeros.
    assert_eq!(signed_text("a", "b", "c", 7), "a|b|c|7");
    assert_eq!(signed_text("a", "b", "c", u32::MAX), "a|b|c|4294967295");
}

#[test]
fn a_payment_is_read() {
    let channel = channel();
    assert_eq!(channel.recognise(&signed(&paid())), Likeness::Merchant);
    let Verdict::Genuine(proven) = channel.verify(&signed(&paid()), now()) else { panic!("refused") };
    assert!(matches!(proven.proof(), Proof::Signature { .. }));
    let found = proven.value();
    assert_eq!((found.platform_id.as_str(), found.sent_at), (TRANSMISSION, Some(now())));
    assert_eq!((found.scope.family, found.scope.account.as_str()), ("paypal", MERCHANT_ID));
    assert_eq!(found.concerns, []);
    let [fact] = found.facts.as_slice() else { panic!("{found:?}") };
    assert_eq!((fact.kind, fact.identity.as_str()), (EventKind::PaymentSucceeded, "3C679366HH908993F"));
    assert_eq!(fact.signed_money().map(|money| (money.minor, money.to_text())), Some((1000, "10.00".into())));
    assert_eq!((fact.order_no.as_deref(), fact.payee.as_deref()), (Some("20261121001"), Some(MERCHANT_ID)));
    assert_eq!(fact.occurred_at, "2026-11-21T03:59:58Z".parse().ok());
    // The order is no name of a payment: it may be captured in parts.
    let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
    assert_eq!(names, ["3C679366HH908993F", "transmission:69cd13f0-d67a-11e5-baa3-778b53f4ae55"]);
}

#[test]
fn every_header_counts_and_is_there_once() {
    let (channel, genuine) = (channel(), signed(&paid()));
    for name in [TRANSMISSION_ID, TRANSMISSION_TIME, TRANSMISSION_SIG, CERT_URL, AUTH_ALGO, AUTH_VERSION] {
        let missing = refused(&*channel, &with(&genuine, name, None));
        assert_eq!(missing, Rejection::Missing { field: name.into() });
        let mut twice = genuine.clone();
        twice.headers.append(name, genuine.headers[name].clone());
        assert_eq!(refused(&*channel, &twice), Rejection::Duplicate { field: name.into() });
        assert_eq!(refused(&*channel, &with(&genuine, name, Some(""))).word(), "malformed", "{name}");
    }
    for (name, value) in [
        (TRANSMISSION_ID, "69cd13f0-d67a-11e5-baa3-778b53f4ae56"),
        (TRANSMISSION_TIME, "2026-11-21T04:00:01Z"),
        // The same time in other letters is another text.
        (TRANSMISSION_TIME, "2026-11-21T04:00:00+00:00"),
        (TRANSMISSION_TIME, "2026-11-21T04:00:00.000Z"),
    ] {
        assert_eq!(refused(&*channel, &with(&genuine, name, Some(value))), Rejection::Signature, "{value}");
    }
    for (name, value) in [
        (TRANSMISSION_ID, "a|b"),
        (TRANSMISSION_ID, "a b"),
        (TRANSMISSION_ID, &"a".repeat(65)),
        (TRANSMISSION_TIME, "1700000000"),
        (TRANSMISSION_TIME, "2026-11-21"),
        (TRANSMISSION_TIME, "2026-11-21T04:00:00Z|x"),
        (TRANSMISSION_TIME, "2026-13-21T04:00:00Z"),
        (TRANSMISSION_SIG, "not base64!"),
        (TRANSMISSION_SIG, &format!("{} ", genuine.headers[TRANSMISSION_SIG].to_str().unwrap())),
    ] {
        assert_eq!(refused(&*channel, &with(&genuine, name, Some(value))).word(), "malformed", "{name}: {value}");
    }
}

#[test]
fn no_other_algorithm_is_taken_on_request() {
    let (channel, genuine) = (channel(), signed(&paid()));
    for other in ["SHA1withRSA", "sha256withrsa", "SHA256WithRSA", "SHA512withRSA", "none", "HmacSHA256"] {
        let rejection = refused(&*channel, &with(&genuine, AUTH_ALGO, Some(other)));
        assert_eq!(rejection, Rejection::Algorithm { algorithm: other.into() });
    }
    for other in ["v1", "V2", "v3", "2"] {
        assert_eq!(refused(&*channel, &with(&genuine, AUTH_VERSION, Some(other))).word(), "algorithm", "{other}");
    }
}

#[test]
fn the_outside_is_checked_first() {
    let (channel, genuine) = (channel(), signed(&paid()));
    let word = |change: &dyn Fn(&mut RawRequest)| {
        let mut request = genuine.clone();
        change(&mut request);
        refused(&*channel, &request).word()
    };
    assert_eq!(word(&|request| request.method = Method::GET), "method");
    assert_eq!(word(&|request| request.body = Bytes::new()), "empty");
    assert_eq!(word(&|request| request.body = vec![b' '; BODY_BYTES_MAX + 1].into()), "too_large");
    assert_eq!(
        word(&|request| drop(request.headers.insert("content-type", HeaderValue::from_static("text/html")))),
        "media_type"
    );
}

#[test]
fn bodies_are_taken_as_they_came() {
    let channel = channel();
    // A parser and printer on the way changes numbers, blanks and escapes, and the sum with them.
    let sent = paid().replace("\"10.00\"", "\"10.00\",\"tax\":1.0");
    let found = taken(&*channel, &signed(&sent));
    assert_eq!(found.concerns, []);
    let mut changed = signed(&sent);
    for body in
        [sent.replace("1.0}", "1}"), format!("{sent}\n"), sent.replace("\":", "\": "), format!("\u{feff}{sent}")]
    {
        changed.body = body.into();
        assert_eq!(refused(&*channel, &changed), Rejection::Signature);
    }
}

#[test]
fn several_webhooks_may_be_configured_and_no_other_passes() {
    let body = paid();
    let settings = believing().with("webhook_id", words(&["1AA00000000000001", WEBHOOK_ID, "1AA00000000000002"]));
    let channel = build(&settings).unwrap();
    for webhook in [WEBHOOK_ID, "1AA00000000000001", "1AA00000000000002"] {
        taken(&*channel, &request(body.as_bytes(), &headers(&PAIR, webhook, body.as_bytes())));
    }
    for webhook in ["1AA00000000000003", "", "1JE4291016473214c"] {
        let other = request(body.as_bytes(), &headers(&PAIR, webhook, body.as_bytes()));
        assert_eq!(refused(&*channel, &other), Rejection::Signature, "{webhook}");
    }
    let stranger = request(body.as_bytes(), &headers(&fresh(), WEBHOOK_ID, body.as_bytes()));
    assert_eq!(refused(&*channel, &stranger), Rejection::Signature);
}

/// Anybody can make the simulator send anything to anywhere.
#[test]
fn the_simulators_messages_are_refused_by_name() {
    let body = paid();
    let simulated = request(body.as_bytes(), &headers(&PAIR, "WEBHOOK_ID", body.as_bytes()));
    assert_eq!(refused(&*channel(), &simulated), Rejection::Probe);
    assert_eq!(refused(&*build(&asking()).unwrap(), &simulated), Rejection::Probe);
}

#[test]
fn what_cannot_be_read_is_held() {
    let channel = channel();
    for (body, word) in [
        ("not json", "unreadable_text"),
        ("[]", "unreadable_text"),
        (r#"{"id":"WH-1","id":"WH-2","event_type":"PAYMENT.CAPTURE.COMPLETED"}"#, "ambiguous"),
        (r#"{"id":"WH-1"}"#, "missing_field"),
        (r#"{"id":"WH-1","event_type":7}"#, "missing_field"),
    ] {
        let found = taken(&*channel, &signed(body));
        assert_eq!(found.concerns.first().map(Concern::word), Some(word), "{body}: {found:?}");
        assert!(found.facts.iter().all(|fact| fact.kind == EventKind::Other), "{body}");
        assert_eq!(channel.recognise(&signed(body)), Likeness::No, "{body}");
    }
}

/// A body of our own choice with the sum of another: blanks and tabs make up for every difference, because each of them
/// changes the sum in a way that does not depend on the others.
fn with_sum(body: &str, sum: u32) -> String {
    const PLACES: usize = 64;
    let mut text = format!("{body}{}", " ".repeat(PLACES)).into_bytes();
    let first = text.len() - PLACES;
    let base = crc32(&text);
    // Each row: what a set of toggled places changes, and the set.
    let mut rows: Vec<(u32, u64)> = (0..PLACES)
        .map(|place| {
            text[first + place] = b'\t';
            let change = crc32(&text) ^ base;
            text[first + place] = b' ';
            (change, 1_u64 << place)
        })
        .collect();
    let (mut rest, mut toggled) = (sum ^ base, 0_u64);
    for bit in (0..32).rev() {
        let Some(at) = rows.iter().position(|(change, _)| change >> bit & 1 == 1) else { continue };
        let (change, set) = rows.swap_remove(at);
        for row in &mut rows {
            if row.0 >> bit & 1 == 1 {
                *row = (row.0 ^ change, row.1 ^ set);
            }
        }
        if rest >> bit & 1 == 1 {
            (rest, toggled) = (rest ^ change, toggled ^ set);
        }
    }
    assert_eq!(rest, 0, "64 places reach every sum");
    for place in 0..PLACES {
        if toggled >> place & 1 == 1 {
            text[first + place] = b'\t';
        }
    }
    String::from_utf8(text).unwrap()
}

/// One captured delivery, and no key: what the platform's signature is worth.
#[test]
fn another_body_under_a_captured_signature_is_no_fact_of_its_own() {
    let genuine = signed(&paid());
    let mut invented = capture();
    invented["id"] = json!("9XX99999XX999999X");
    invented["invoice_id"] = json!("20261121999");
    invented["amount"]["value"] = json!("99999.00");
    let mut invented = event("PAYMENT.CAPTURE.COMPLETED", "capture", &invented);
    invented["id"] = json!("WH-0AA00000AA000000A-0AA00000AA000000A");
    let body = with_sum(&invented.to_string(), crc32(&genuine.body));
    assert_eq!(crc32(body.as_bytes()), crc32(&genuine.body));
    let forged = RawRequest { body: body.into(), ..genuine.clone() };

    // Where the platform is asked, it is asked about an event that does not exist, and nothing in the body counts.
    let asking = build(&asking()).unwrap();
    match asking.verify(&forged, now()) {
        Verdict::Hint(hint) => assert_eq!(hint.number().as_str(), "WH-0AA00000AA000000A-0AA00000AA000000A"),
        other => panic!("{other:?}"),
    }
    // Where the signature is enough, the forgery goes by the same transmission as what it was made of, as a notification
    // and as a fact: another amount under that name is a conflict, and the same amount is no second payment.
    let believing = channel();
    let (told, forged) = (taken(&*believing, &genuine), taken(&*believing, &forged));
    assert_eq!(told.platform_id, forged.platform_id);
    let shared: Vec<_> =
        told.facts[0].identities().filter(|name| forged.facts[0].identities().any(|n| n == *name)).collect();
    assert_eq!(shared.len(), 1);
    assert!(shared[0].as_str().starts_with("transmission:"));
    assert_ne!(told.facts[0].signed_money(), forged.facts[0].signed_money());
    assert_ne!(told.key(), forged.key(), "it is kept beside the first, and seen");
}

/// The platform repeats for three days. What is older came by hand, or from a log.
#[test]
fn what_the_signature_alone_proves_must_not_be_old() {
    let (channel, genuine) = (channel(), signed(&paid()));
    let at = |hours: i64| {
        let now = now() + jiff::SignedDuration::from_hours(hours);
        match channel.verify(&genuine, now) {
            Verdict::Genuine(proven) => proven.value().concerns.contains(&Concern::TooOld),
            other => panic!("{other:?}"),
        }
    };
    assert!([-1, 0, 1, 72, 96].map(at).iter().all(|is_old| !is_old));
    assert!([-2, 97, 24 * 365].map(at).iter().all(|is_old| *is_old));
    // Where the platform is asked, the age of what it says is its own.
    let asking = build(&asking()).unwrap();
    let later = now() + jiff::SignedDuration::from_hours(24 * 365);
    assert!(matches!(asking.verify(&genuine, later), Verdict::Hint(_)));
}

#[test]
fn messages_of_other_accounts_and_protocols_are_told_apart() {
    let channel = channel();
    let foreign = paid().replace(MERCHANT_ID, "9ZZ9ZZZ9ZZZ99");
    assert_eq!(channel.recognise(&signed(&foreign)), Likeness::Shape);
    let found = taken(&*channel, &signed(&foreign));
    assert_eq!(found.concerns, [Concern::ForeignPayee { payee: "9ZZ9ZZZ9ZZZ99".into() }]);
    for bad in ["{}", "[1]", "null", r#"{"id":"evt_1","type":"charge.succeeded"}"#] {
        assert_eq!(channel.recognise(&signed(bad)), Likeness::No, "{bad}");
    }
    assert_eq!(channel.recognise(&with(&signed(&paid()), TRANSMISSION_ID, None)), Likeness::No);
}

#[test]
fn the_ladder_is_that_of_25_attempts_in_three_days() {
    assert_eq!((LADDER.len() + 1, LADDER.iter().sum::<Duration>()), (25, Duration::from_hours(72)));
}
