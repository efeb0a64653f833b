//! Mollie's traps, one by one.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::event::SIGNATURE;
use super::*;
use crate::channel::{FetchRefused, Fetched, HttpAnswer};
use crate::model::{Amount, Concern, Environment, EventKind, Notification, Proof};
use crate::settings::SettingValue;
use crate::signature::hmac::{HmacHash, HmacKey};
use crate::signature::key::hex;

const PROFILE: &str = "pfl_QkEhN94Ba1";
const SECRET: &str = "a-webhook-secret-of-some-length";
const FORMER: &str = "the-secret-before-it-was-changed";
const ID: &str = "tr_5B8cwPMGnU6qLbRvo7qEZo";

fn now() -> Timestamp {
    "2026-11-21T04:00:00Z".parse().unwrap()
}

fn text(text: &str) -> SettingValue {
    SettingValue::Text(text.to_owned())
}

fn key(bytes: &str) -> SettingValue {
    SettingValue::Key(bytes.as_bytes().to_vec().into())
}

fn settings() -> Settings {
    Settings::new(Environment::Live)
        .with("profile_id", text(PROFILE))
        .with("api_key", key("live_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM"))
        .with("webhook_secret", key(SECRET))
}

fn in_sandbox(mut settings: Settings) -> Settings {
    settings.environment = Environment::Sandbox;
    settings
}

fn channel(settings: &Settings) -> Box<dyn Channel> {
    build(settings).unwrap()
}

fn request(media_type: &'static str, body: impl Into<Bytes>) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    RawRequest {
        method: Method::POST,
        path: "/notify/mollie".into(),
        query: None,
        headers,
        body: body.into(),
        source: None,
        received_at: now(),
    }
}

fn tag(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", hex(&HmacKey::new(secret.as_bytes(), HmacHash::Sha256, "k").sign(body)))
}

fn signed(signatures: &[&str], body: &str) -> RawRequest {
    let mut request = request(JSON, body.to_owned());
    for signature in signatures {
        let value = HeaderValue::from_str(signature).unwrap();
        request.headers.append(HeaderName::from_static(SIGNATURE), value);
    }
    request
}

fn payment(status: &str) -> Value {
    json!({
        "resource": "payment", "id": ID, "mode": "live", "profileId": PROFILE, "status": status,
        "amount": { "currency": "EUR", "value": "10.00" }, "description": "Order #12345",
        "metadata": { "order_id": "12345" }, "createdAt": "2024-03-20T09:13:37+00:00",
        "paidAt": "2024-03-20T09:14:37+00:00",
    })
}

fn event(kind: &str, entity: &Value) -> Value {
    json!({
        "resource": "event", "id": "whev_1", "type": kind, "entityId": entity["id"],
        "createdAt": "2024-03-20T09:13:37+00:00", "_embedded": { "entity": entity },
    })
}

fn answer(settings: &Settings, status: u16, body: &Value) -> Result<Fetched, FetchRefused> {
    let channel = channel(settings);
    let back = channel.fetch_back().unwrap();
    let hint = Hint::from_anybody(HintNumber::new(ID).unwrap());
    let answer = HttpAnswer { status, headers: HeaderMap::new(), body: body.to_string().into() };
    back.read(back.ask(&hint, None, now()).question().unwrap().carried(answer), now())
}

#[track_caller]
fn told(body: &Value) -> Notification {
    match answer(&settings(), 200, body) {
        Ok(Fetched::Notification(proven)) => proven.into_parts().0,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn accepted(request: &RawRequest) -> (Notification, String) {
    match channel(&settings().with("former_webhook_secret", key(FORMER))).verify(request, now()) {
        Verdict::Genuine(proven) => match proven.into_parts() {
            (notification, Proof::Signature { key, .. }) => (notification, key),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(request: &RawRequest) -> &'static str {
    match channel(&settings()).verify(request, now()) {
        Verdict::Refused(rejection) => rejection.word(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_classic_call_names_a_payment_and_nothing_else() {
    let hint = |body: &'static str| match channel(&settings()).verify(&request(FORM, body), now()) {
        Verdict::Hint(hint) => Ok((hint.number().as_str().to_owned(), hint.is_vouched())),
        Verdict::Refused(rejection) => Err(rejection.word()),
        other => panic!("{other:?}"),
    };
    assert_eq!(hint("id=tr_5B8cwPMGnU6qLbRvo7qEZo"), Ok((ID.to_owned(), false)));
    assert_eq!(hint("id=tr%5F1"), Ok(("tr_1".to_owned(), false)));
    for (body, word) in [
        ("id=", "missing"),
        ("payment=tr_1", "missing"),
        ("id=tr_1&id=tr_2", "duplicate_field"),
        ("id=tr_1&%69d=tr_2", "duplicate_field"),
        ("id=tr_", "malformed"),
        ("id=tr_1/../x", "malformed"),
        ("id=tr_1%2F..", "malformed"),
        ("id=tr_1%00", "malformed"),
        ("id=tr_1%3Fembed=", "malformed"),
        ("id=TR_1", "malformed"),
        ("id= tr_1", "malformed"),
        ("id=tr_1+", "malformed"),
        ("id=ord_pbjz8x", "malformed"),
        ("id=%zz", "malformed"),
        ("", "empty"),
    ] {
        assert_eq!(hint(body), Err(word), "{body}");
    }
    let long = format!("id=tr_{}", "a".repeat(HINT_BYTES_MAX));
    assert_eq!(refused(&request(FORM, long)), "too_large");
    assert_eq!(refused(&request(FORM, "a&".repeat(HINT_FIELDS_MAX + 1))), "too_many_fields");
    assert_eq!(refused(&request("text/plain", "id=tr_1")), "media_type");
    let get = RawRequest { method: Method::GET, ..request(FORM, "id=tr_1") };
    assert_eq!(refused(&get), "method", "a redirect makes a GET of it");
    let without_key =
        Settings::new(Environment::Live).with("profile_id", text(PROFILE)).with("webhook_secret", key(SECRET));
    assert!(channel(&without_key).fetch_back().is_none());
}

#[test]
fn the_question_is_the_documented_one() {
    let ask = |settings: &Settings| {
        let channel = channel(settings);
        let hint = Hint::from_anybody(HintNumber::new(ID).unwrap());
        let question = channel.fetch_back().unwrap().ask(&hint, None, now()).question().unwrap();
        (question.ask().url.clone(), question.ask().headers["authorization"].to_str().unwrap().to_owned())
    };
    let url = format!("https://api.mollie.com/v2/payments/{ID}?embed=refunds,chargebacks");
    assert_eq!(ask(&settings()), (url.clone(), "Bearer live_dHar4XY7LxsDOtmnkVtjNVWXLSlXsM".to_owned()));
    let sandbox = in_sandbox(settings());
    let organisation = sandbox.clone().with("api_key", key("access_dHar4XY7LxsDOtmnkVtj"));
    assert_eq!(ask(&organisation).0, format!("{url}&testmode=true"));
    assert_eq!(ask(&sandbox.with("api_key", key("test_dHar4XY7LxsDOtmnkVtjNV\n"))).0, url);
}

#[test]
fn each_status_is_what_the_documents_say() {
    for (status, kind) in [
        ("pending", EventKind::PaymentPending),
        ("authorized", EventKind::PaymentAuthorized),
        ("paid", EventKind::PaymentSucceeded),
        ("failed", EventKind::PaymentFailed),
        ("canceled", EventKind::PaymentClosed),
        ("expired", EventKind::PaymentClosed),
    ] {
        let found = told(&payment(status));
        assert_eq!(found.facts.iter().map(|fact| fact.kind).collect::<Vec<_>>(), [kind], "{status}");
        assert_eq!((found.facts[0].identity.as_str(), found.facts[0].order_no.as_deref()), (ID, Some("12345")));
        assert!(found.concerns.is_empty() && found.platform_id == format!("{ID}/{status}/0/0"), "{found:?}");
    }
    assert!(matches!(answer(&settings(), 200, &payment("open")), Ok(Fetched::Nothing)));
    let odd = told(&payment("settled"));
    assert_eq!(odd.concerns, [Concern::UnknownValue { field: "status".into(), value: "settled".into() }]);
    assert_eq!(odd.facts[0].kind, EventKind::Other);
}

#[test]
fn only_an_answer_about_the_payment_counts() {
    let changed = |name: &str, value: Value| {
        let mut payment = payment("paid");
        payment[name] = value;
        answer(&settings(), 200, &payment).map(|_| ()).unwrap_err()
    };
    assert_eq!(changed("id", json!("tr_other")), FetchRefused::OtherNumber);
    assert_eq!(changed("id", Value::Null), FetchRefused::OtherNumber);
    assert_eq!(changed("mode", json!("test")), FetchRefused::OtherEnvironment);
    assert_eq!(changed("mode", json!("demo")), FetchRefused::Malformed { field: "mode" });
    assert_eq!(changed("resource", json!("list")), FetchRefused::Malformed { field: "resource" });
    assert_eq!(changed("status", Value::Null).word(), "malformed");
    assert!(matches!(answer(&settings(), 404, &json!({ "status": 404 })), Ok(Fetched::Unknown)));
    // The profile's payments alone; a token of the organisation sees others too.
    let mut foreign = payment("paid");
    foreign["profileId"] = json!("pfl_other");
    assert_eq!(told(&foreign).concerns, [Concern::ForeignPayee { payee: "pfl_other".into() }]);
}

#[test]
fn amounts_have_exactly_the_places_of_their_currency() {
    let read = |currency: &str, value: Value| {
        let mut payment = payment("paid");
        payment["amount"] = json!({ "currency": currency, "value": value });
        let found = told(&payment);
        let is_held = !found.concerns.is_empty();
        match &found.facts[0].amount {
            Amount::Stated(money) if !is_held => Some(money.minor),
            Amount::Unreadable if is_held => None,
            other => panic!("{other:?} {:?}", found.concerns),
        }
    };
    assert_eq!(read("EUR", json!("10.00")), Some(1000));
    assert_eq!(read("JPY", json!("1000")), Some(1000));
    assert_eq!(read("EUR", json!("0.01")), Some(1));
    for (currency, value) in [
        ("EUR", json!("10")),
        ("EUR", json!("10.0")),
        ("EUR", json!("10.000")),
        ("EUR", json!("10,00")),
        ("EUR", json!("-10.00")),
        ("EUR", json!("1e3")),
        ("EUR", json!(10.00)),
        ("JPY", json!("1000.00")),
        ("eur", json!("10.00")),
        ("EUX", json!("10.00")),
        ("EUR", Value::Null),
    ] {
        assert_eq!(read(currency, value.clone()), None, "{currency} {value}");
    }
}

#[test]
fn refunds_and_chargebacks_come_with_their_payment() {
    let mut paid = payment("paid");
    let refund = |id: &str, status: &str| {
        json!({ "resource": "refund", "id": id, "paymentId": ID, "status": status,
            "amount": { "currency": "EUR", "value": "2.50" } })
    };
    paid["amountRefunded"] = json!({ "currency": "EUR", "value": "7.50" });
    let refunds: Vec<Value> = ["refunded", "failed", "queued", "pending", "processing", "canceled"]
        .iter()
        .enumerate()
        .map(|(index, status)| refund(&format!("re_{index}"), status))
        .collect();
    paid["_embedded"] = json!({
        "refunds": refunds,
        "chargebacks": [{ "resource": "chargeback", "id": "chb_1", "paymentId": ID,
            "amount": { "currency": "EUR", "value": "10.00" }, "createdAt": "2024-04-01T00:00:00+00:00" }],
    });
    let found = told(&paid);
    let facts: Vec<_> = found.facts.iter().map(|fact| (fact.kind, fact.identity.as_str())).collect();
    assert_eq!(
        facts,
        [
            (EventKind::PaymentSucceeded, ID),
            (EventKind::RefundSucceeded, "re_0"),
            (EventKind::RefundFailed, "re_1"),
            (EventKind::DisputeOpened, "chb_1"),
        ]
    );
    assert!(found.concerns.is_empty(), "{:?}", found.concerns);
    assert!(found.facts[1..].iter().all(|fact| fact.payment.as_ref().is_some_and(|payment| payment.as_str() == ID)));
    assert_eq!(found.facts[1].signed_money().unwrap().minor, 250);
    assert_eq!(found.platform_id, format!("{ID}/paid/7.50/0"), "the status stays paid");
    // The chargeback ends.
    let before = found.key();
    paid["_embedded"]["chargebacks"][0]["reversedAt"] = json!("2024-05-01T00:00:00+00:00");
    let found = told(&paid);
    assert_eq!(found.facts.last().unwrap().kind, EventKind::DisputeClosed);
    assert_ne!(found.key(), before);
    // What cannot be understood is held, never guessed at.
    paid["_embedded"]["refunds"][0]["status"] = json!("odd");
    paid["_embedded"]["refunds"][1]["paymentId"] = json!("tr_other");
    let held = told(&paid).concerns;
    assert!(held.contains(&Concern::UnknownValue { field: "refund.status".into(), value: "odd".into() }), "{held:?}");
    assert!(held.contains(&Concern::Contradiction { field: "refund.paymentId".into() }), "{held:?}");
    // A payment that was captured in part.
    let mut part = payment("paid");
    part["amountCaptured"] = json!({ "currency": "EUR", "value": "4.00" });
    let differs = [Concern::Contradiction { field: "amountCaptured".into() }];
    assert_eq!(told(&part).concerns, differs);
    part["amountCaptured"] = json!("10.00");
    assert_eq!(told(&part).concerns, differs);
    // The same money, in whichever order it is written, and with more beside it.
    for same in [
        json!({ "value": "10.00", "currency": "EUR" }),
        json!({ "currency": "EUR", "value": "10.00", "x": 1 }),
        Value::Null,
    ] {
        part["amountCaptured"] = same;
        assert_eq!(told(&part).concerns, []);
    }
}

#[test]
fn the_order_number_stands_where_it_is_configured() {
    let read = |place: &str, metadata: Value| {
        let mut payment = payment("paid");
        payment["metadata"] = metadata;
        match answer(&settings().with("order_number", text(place)), 200, &payment) {
            Ok(Fetched::Notification(proven)) => proven.value().facts[0].order_no.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(read("metadata.order_id", json!({ "order_id": 12 })).as_deref(), Some("12"));
    assert_eq!(read("metadata.order", json!({ "order": "A" })).as_deref(), Some("A"));
    assert_eq!(read("metadata", json!("A-1")).as_deref(), Some("A-1"));
    assert_eq!(read("description", json!(null)).as_deref(), Some("Order #12345"));
    assert_eq!(read("metadata.order_id", json!(null)), None);
    assert_eq!(read("metadata.order_id", json!({ "order_id": { "a": 1 } })), None);
    for bad in ["metadata.", "order_id", ""] {
        assert_eq!(build(&settings().with("order_number", text(bad))).err().unwrap().word, "malformed", "{bad}");
    }
}

#[test]
fn an_event_may_carry_two_signatures_in_one_header_or_two() {
    let body = event("payment.paid", &payment("paid")).to_string();
    let (own, former, nobodys) =
        (tag(SECRET, body.as_bytes()), tag(FORMER, body.as_bytes()), tag("somebody else's secret", body.as_bytes()));
    let folded = format!("{nobodys}, {own}");
    let tight = format!("{own},{nobodys}");
    for (signatures, key) in [
        (vec![own.as_str()], "webhook_secret"),
        (vec![own.as_str(), nobodys.as_str()], "webhook_secret"),
        (vec![nobodys.as_str(), own.as_str()], "webhook_secret"),
        (vec![folded.as_str()], "webhook_secret"),
        (vec![tight.as_str()], "webhook_secret"),
        (vec![former.as_str()], "former_webhook_secret"),
    ] {
        let (found, used) = accepted(&signed(&signatures, &body));
        assert_eq!((used.as_str(), found.platform_id.as_str()), (key, "whev_1"), "{signatures:?}");
        assert_eq!(found.facts[0].kind, EventKind::PaymentSucceeded);
    }
    let others = [tag("4", body.as_bytes()), tag("5", body.as_bytes())];
    let five = [&own, &former, &nobodys, &others[0], &others[1]].map(String::as_str);
    for (signatures, word) in [
        (vec![], "missing"),
        (vec![nobodys.as_str()], "signature"),
        (vec![former.as_str()], "signature"),
        (vec![own.as_str(), own.as_str()], "duplicate_field"),
        (five.to_vec(), "too_many_fields"),
        (vec![own.as_str(), ""], "malformed"),
        (vec![&own[7..]], "malformed"),
        (vec![own.to_uppercase().as_str()], "malformed"),
        (vec![&own[..own.len() - 1]], "malformed"),
        (vec![format!("{own},").as_str()], "malformed"),
        (vec![format!("{nobodys},  {own}").as_str()], "malformed"),
        (vec![format!("SHA256={}", &own[7..]).as_str()], "malformed"),
    ] {
        assert_eq!(refused(&signed(&signatures, &body)), word, "{signatures:?}");
    }
    assert_eq!(refused(&signed(&[&own], &body.replace("10.00", "99.00"))), "signature");
}

#[test]
fn an_event_says_what_its_entity_says() {
    let read = |value: &Value| {
        let body = value.to_string();
        accepted(&signed(&[&tag(SECRET, body.as_bytes())], &body)).0
    };
    let refund = json!({ "resource": "refund", "id": "re_4qqhO89gsT", "mode": "live", "paymentId": ID,
        "status": "refunded", "amount": { "currency": "EUR", "value": "5.95" } });
    let found = read(&event("refund.refunded", &refund));
    assert_eq!((found.facts[0].kind, found.facts[0].identity.as_str()), (EventKind::RefundSucceeded, "re_4qqhO89gsT"));
    assert_eq!(found.facts[0].payment.as_ref().map(crate::model::Identity::as_str), Some(ID));
    // The payment by its event and by the API: one fact under one name.
    let by_event = read(&event("payment.paid", &payment("paid"))).facts.remove(0);
    assert_eq!(by_event, told(&payment("paid")).facts.remove(0));
    // The entity alone, and events without a meaning for money.
    assert_eq!(read(&refund).facts[0].kind, EventKind::RefundSucceeded);
    let invoice = json!({ "resource": "sales-invoice", "id": "invoice_1" });
    assert_eq!(read(&event("sales-invoice.created", &invoice)).facts[0].kind, EventKind::Other);
    let payout = json!({ "resource": "payout", "id": "po_1", "amount": { "currency": "EUR", "value": "1.00" } });
    assert_eq!(read(&event("payout.completed", &payout)).facts[0].kind, EventKind::TransferSucceeded);
    assert_eq!(read(&event("payout.failed", &payout)).facts[0].kind, EventKind::TransferFailed);
    assert_eq!(read(&event("payout.canceled", &payout)).facts[0].kind, EventKind::TransferFailed);
    assert_eq!(read(&event("payout.initiated", &payout)).facts[0].kind, EventKind::Other);
    assert_eq!(
        read(&event("refund.processing", &json!({ "resource": "refund", "status": "processing" }))).facts[0].kind,
        EventKind::Other
    );
    // Money of which too little is said is held.
    let link = json!({ "resource": "payment-link", "id": "pl_1", "mode": "live" });
    let paid = read(&event("payment-link.paid", &link));
    let unknown = Concern::UnknownValue { field: "type".into(), value: "payment-link.paid".into() };
    assert_eq!((paid.facts[0].kind, paid.concerns), (EventKind::Other, vec![unknown]));
    let bare = |kind: &str| read(&json!({ "resource": "event", "id": "whev_1", "type": kind, "entityId": "x_1" }));
    for kind in [
        "payment-link.paid",
        "refund.refunded",
        "chargeback.received",
        "payout.completed",
        "payout.failed",
        "dispute.created",
    ] {
        let found = bare(kind);
        assert_eq!(found.facts[0].kind, EventKind::Other);
        assert_eq!(found.concerns, [Concern::MissingField { field: "_embedded.entity".into() }], "{kind}");
    }
    for kind in
        ["payout.initiated", "sales-invoice.paid", "profile.verified", "balance-transaction.created", "hook.ping"]
    {
        assert_eq!(bare(kind).concerns, [], "{kind}");
        assert_eq!(read(&event(kind, &json!({ "resource": "x", "id": "x_1" }))).concerns, [], "{kind}");
    }
    // Also with an entity: what is not known may be money.
    let unknown = |kind: &str| [Concern::UnknownValue { field: "type".into(), value: kind.into() }];
    for kind in ["dispute.created", "dispute.resolved", "transfer.completed", "payout.odd", "x"] {
        let entity = json!({ "resource": "dispute", "id": "dsp_1", "amount": { "currency": "EUR", "value": "1.00" } });
        assert_eq!(read(&event(kind, &entity)).concerns, unknown(kind), "{kind}");
    }
    assert_eq!(read(&event("payout.odd", &payout)).concerns, unknown("payout.odd"));
    assert_eq!(bare("transfer.completed").concerns, unknown("transfer.completed"));
    assert_eq!(read(&json!({ "resource": "transfer", "id": "x_1" })).concerns, unknown("transfer"));
    // What does not fit together is held.
    let mut odd = event("payment.paid", &payment("paid"));
    odd["entityId"] = json!("tr_other");
    assert_eq!(read(&odd).concerns, [Concern::Contradiction { field: "entityId".into() }]);
    let mut test = payment("paid");
    test["mode"] = json!("test");
    assert_eq!(read(&event("payment.paid", &test)).concerns, [Concern::ForeignEnvironment { field: "mode".into() }]);
}

#[test]
fn an_event_that_only_names_a_payment_is_a_hint_by_who_knows_the_secret() {
    let mut simple = event("payment.paid", &payment("paid"));
    simple.as_object_mut().unwrap().remove("_embedded");
    let body = simple.to_string();
    let request = signed(&[&tag(SECRET, body.as_bytes())], &body);
    match channel(&settings()).verify(&request, now()) {
        Verdict::Hint(hint) => assert!(hint.is_vouched() && hint.number().as_str() == ID),
        other => panic!("{other:?}"),
    }
    // Without a key to ask with it is stored, and means nothing.
    let without_key =
        Settings::new(Environment::Live).with("profile_id", text(PROFILE)).with("webhook_secret", key(SECRET));
    match channel(&without_key).verify(&request, now()) {
        Verdict::Genuine(proven) => assert_eq!(proven.value().facts[0].kind, EventKind::Other),
        other => panic!("{other:?}"),
    }
    let forged = signed(&[&tag(FORMER, body.as_bytes())], &body);
    assert_eq!(refused(&forged), "signature");
}

/// The platform would repeat for a day what is refused, and then never again.
#[test]
fn what_the_platform_signed_is_never_refused() {
    let words = |body: &str| {
        let (found, _) = accepted(&signed(&[&tag(SECRET, body.as_bytes())], body));
        let words: Vec<&str> = found.concerns.iter().map(Concern::word).collect();
        (found.facts[0].kind, words.join(" "))
    };
    let paid = event("payment.paid", &payment("paid")).to_string();
    assert_eq!(words(&paid), (EventKind::PaymentSucceeded, String::new()));
    for (body, expected) in [
        ("[]".to_owned(), "unreadable_text"),
        ("{".to_owned(), "unreadable_text"),
        (paid.replacen('{', r#"{"type":"payment.failed","#, 1), "ambiguous"),
        ("{}".to_owned(), "missing_field missing_field"),
        (r#"{"resource":"event","id":"whev_1"}"#.to_owned(), "missing_field"),
        (r#"{"resource":"event","id":"whev_1","type":"payment.paid"}"#.to_owned(), "missing_field"),
        (r#"{"resource":"event","id":"whev_1","type":"payment.paid","entityId":"../x"}"#.to_owned(), "missing_field"),
    ] {
        assert_eq!(words(&body), (EventKind::Other, expected.to_owned()), "{body}");
    }
    let nameless =
        r#"{"resource":"refund","status":"refunded","paymentId":"tr_1","amount":{"currency":"EUR","value":"1.00"}}"#;
    assert_eq!(words(nameless).0, EventKind::Other);
}

#[test]
fn settings_fail_closed() {
    let word = |settings: Settings| build(&settings).err().map(|error| (error.setting, error.word));
    let bare = || Settings::new(Environment::Live).with("profile_id", text(PROFILE));
    assert_eq!(word(bare()), Some(("api_key", "either_or")));
    assert_eq!(word(bare().with("api_key", key("test_dHar4XY7LxsDOtmnkVtj"))), Some(("api_key", "relation")));
    let sandbox = in_sandbox(bare());
    assert_eq!(word(sandbox.with("api_key", key("live_dHar4XY7LxsDOtmnkVtj"))), Some(("api_key", "relation")));
    assert_eq!(word(bare().with("api_key", key("live_short"))), Some(("api_key", "too_short")));
    assert_eq!(word(bare().with("webhook_secret", key("short"))), Some(("webhook_secret", "too_short")));
    assert_eq!(word(bare().with("api_key", key("live_dHar4XY7L xsDOtmnkVtj"))), Some(("api_key", "malformed")));
    assert_eq!(word(settings().with("profile_id", text("org_1"))), Some(("profile_id", "malformed_id")));
    assert_eq!(word(settings().with("api_base", text("http://api.mollie.com"))), Some(("api_base", "malformed")));
    assert_eq!(word(settings()), None);
    assert!(!format!("{:?}", Config::build(&settings()).unwrap()).contains("dHar4XY7"), "a key is shown");
}

#[test]
fn only_status_200_confirms() {
    let read = |status, body: &[u8]| channel(&settings()).is_ack(&AppReply { status, body }, None);
    assert_eq!(read(200, b""), AckMatch::Exact);
    assert_eq!(read(200, b"ok"), AckMatch::Exact);
    assert_eq!(read(200, b"<br />\n<b>Fatal error</b>"), AckMatch::No);
    for status in [201, 204, 301, 302, 400, 500] {
        assert_eq!(read(status, b""), AckMatch::No, "{status}");
    }
}
