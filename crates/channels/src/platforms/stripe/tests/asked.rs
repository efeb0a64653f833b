//! Thin events about money, where the platform can be asked.

use super::*;
use crate::channel::{FetchRefused, Fetched, HttpAnswer};

fn asking() -> Settings {
    settings().with("api_key", key("sk_live_0123456789abcdef"))
}

fn thin(kind: &str, id: &str) -> Value {
    json!({
        "id": "evt_65T", "object": "v2.core.event", "type": kind, "created": "2023-11-14T22:13:20.000Z", "livemode": true,
        "related_object": { "id": id, "type": "x", "url": "/v1/anything/else" },
    })
}

fn hint(event: &Value) -> Option<Hint> {
    match build(&asking()).unwrap().verify(&signed(&event.to_string()), now()) {
        Verdict::Hint(hint) => Some(hint),
        Verdict::Genuine(proven) => {
            let notification = proven.value();
            assert!(
                notification.facts.iter().all(|fact| fact.kind == crate::model::EventKind::Other),
                "{notification:?}"
            );
            None
        }
        other => panic!("{event}: {other:?}"),
    }
}

fn answered(id: &str, status: u16, body: &str) -> Result<Fetched, FetchRefused> {
    let channel = build(&asking()).unwrap();
    let back = channel.fetch_back().unwrap();
    let hint = hint(&thin("v1.charge.succeeded", id)).unwrap();
    let answer = HttpAnswer { status, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) };
    back.read(back.ask(&hint, None, now()).question().unwrap().carried(answer), now())
}

/// `kind amount names`, a fact a line, and words of concerns.
fn fetched(object: &Value) -> String {
    let id = object["id"].as_str().unwrap();
    match answered(id, 200, &object.to_string()) {
        Ok(Fetched::Notification(proven)) => {
            let Proof::PlatformApi { host, key } = proven.proof() else { panic!("not by the platform") };
            assert_eq!((host.as_str(), key.as_str()), ("api.stripe.com", "api_key"));
            let notification = proven.value();
            assert!(notification.platform_id.starts_with(id));
            let lines = notification.facts.iter().map(|fact| {
                assert_eq!(fact.baseline, None);
                let minor = fact.signed_money().map_or_else(|| "-".to_owned(), |money| money.to_text());
                let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
                format!("{} {minor} {}", fact.kind, names.join(","))
            });
            let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
            format!("{} | {}", lines.collect::<Vec<_>>().join("; "), words.join(" ")).trim_end().to_owned()
        }
        Ok(Fetched::Nothing) => "nothing".to_owned(),
        Ok(Fetched::Unknown) => "unknown".to_owned(),
        Err(refused) => refused.word().to_owned(),
    }
}

#[test]
fn a_thin_event_about_money_is_asked_about() {
    for (kind, id, path) in [
        ("v1.payment_intent.succeeded", "pi_1", "/v1/payment_intents/pi_1"),
        ("v1.charge.refunded", "ch_1", "/v1/charges/ch_1"),
        ("v1.charge.succeeded", "py_1", "/v1/charges/py_1"),
        ("v1.checkout.session.completed", "cs_1", "/v1/checkout/sessions/cs_1"),
        ("v1.refund.created", "re_1", "/v1/refunds/re_1"),
        ("v1.charge.dispute.created", "du_1", "/v1/disputes/du_1"),
        ("v1.payout.paid", "po_1", "/v1/payouts/po_1"),
    ] {
        let hint = hint(&thin(kind, id)).unwrap();
        assert_eq!((hint.number().as_str(), hint.is_vouched()), (id, true));
        let channel = build(&asking()).unwrap();
        let question = channel.fetch_back().unwrap().ask(&hint, None, now()).question().unwrap();
        // Where to ask is not the message's to say.
        assert_eq!(question.ask().url, format!("https://api.stripe.com{path}"));
        assert_eq!(question.ask().headers["authorization"], "Bearer sk_live_0123456789abcdef");
    }
    // Nothing to ask about, not ours, or nobody to ask.
    assert_eq!(hint(&thin("v1.customer.created", "cus_1")), None);
    assert_eq!(hint(&thin("v1.payment_intent.succeeded", "x_1")), None);
    assert_eq!(hint(&thin("v1.payment_intent.succeeded", "pi_1/../../x")), None);
    assert_eq!(hint(&thin("v1.payment_intent.succeeded", &format!("pi_{}", "1".repeat(94)))), None);
    let mut other = thin("v1.payment_intent.succeeded", "pi_1");
    other["context"] = json!("acct_2");
    assert_eq!(hint(&other), None);
    assert_eq!(hint(&with(thin("v1.payment_intent.succeeded", "pi_1"), "/livemode", json!(false))), None);
    assert_eq!(told(&thin("v1.payment_intent.succeeded", "pi_1")), "other - - evt_65T | missing_field");
    assert!(channel().fetch_back().is_none());
    // A hint needs the signature like everything else.
    let forged = request(&thin("v1.charge.succeeded", "ch_1").to_string(), &format!("t={AT},v1={}", "0".repeat(64)));
    assert!(matches!(build(&asking()).unwrap().verify(&forged, now()), Verdict::Refused(Rejection::Signature)));
}

#[test]
fn the_answer_is_the_object_as_it_is_now() {
    let live = |mut object: Value| {
        object["livemode"] = json!(true);
        object
    };
    assert_eq!(fetched(&live(intent("succeeded"))), "payment.succeeded 10.00 pi_1,ch_1 |");
    assert_eq!(fetched(&live(intent("processing"))), "payment.pending - pi_1 |");
    assert_eq!(fetched(&live(intent("requires_capture"))), "payment.authorized 9.00 pi_1:900 |");
    assert_eq!(fetched(&live(intent("canceled"))), "payment.closed - pi_1 |");
    assert_eq!(fetched(&live(intent("requires_payment_method"))), "nothing");
    let mut failed = live(intent("requires_payment_method"));
    failed["last_payment_error"] = json!({ "code": "card_declined", "charge": "ch_1" });
    assert_eq!(fetched(&failed), "payment.failed 10.99 ch_1 |");
    assert!(fetched(&live(intent("odd"))).ends_with("unknown_value"));
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": 1000, "amount_captured": 1000, "amount_refunded": 300, "captured": true,
        "currency": "usd", "livemode": true, "payment_intent": "pi_1", "status": "succeeded",
        "refunds": { "data": [{ "id": "re_1", "amount": 300, "currency": "usd", "status": "succeeded" }] },
    });
    assert_eq!(fetched(&charge), "payment.succeeded 10.00 pi_1,ch_1; refund.succeeded 3.00 re_1 |");
    let refund = json!({
        "id": "re_1", "object": "refund", "amount": 300, "charge": "ch_1", "currency": "usd", "payment_intent": "pi_1",
        "status": "succeeded",
    });
    assert_eq!(fetched(&refund), "refund.succeeded 3.00 re_1 |");
    assert_eq!(fetched(&with(refund, "/status", json!("pending"))), "nothing");
    let payout = json!({ "id": "po_1", "object": "payout", "amount": 300, "currency": "usd", "livemode": true, "status": "paid" });
    assert_eq!(fetched(&payout), "transfer.succeeded 3.00 po_1 |");
    assert_eq!(fetched(&with(payout, "/status", json!("in_transit"))), "nothing");
}

#[test]
fn an_answer_about_something_else_is_none() {
    let mut paid = intent("succeeded");
    paid["livemode"] = json!(true);
    let word = |status: u16, body: &str| answered("pi_1", status, body).map(|_| ()).map_err(|refused| refused.word());
    assert_eq!(word(200, &paid.to_string()), Ok(()));
    assert!(matches!(answered("pi_1", 404, "{}"), Ok(Fetched::Unknown)));
    assert_eq!(word(401, "{}"), Err("credential"));
    assert_eq!(word(429, "{}"), Err("throttled"));
    assert_eq!(word(500, "{}"), Err("status"));
    assert_eq!(word(200, &with(paid.clone(), "/id", json!("pi_2")).to_string()), Err("other_number"));
    assert_eq!(word(200, &with(paid.clone(), "/livemode", json!(false)).to_string()), Err("other_environment"));
    assert_eq!(word(200, &with(paid.clone(), "/object", json!("customer")).to_string()), Err("malformed"));
    assert_eq!(word(200, &paid.to_string().replacen('{', r#"{"status":"canceled","#, 1)), Err("malformed"));
    assert_eq!(word(200, "<html>"), Err("malformed"));
    let one = answered("pi_1", 200, &paid.to_string());
    let (Ok(Fetched::Notification(one)), Ok(Fetched::Notification(again))) =
        (one, answered("pi_1", 200, &paid.to_string()))
    else {
        panic!("no notification")
    };
    assert_eq!(one.value().key(), again.value().key());
}

#[test]
fn a_key_is_of_the_channels_own_environment() {
    let error = |key_text: &str| {
        build(&settings().with("api_key", key(key_text))).err().map(|error| (error.setting, error.word))
    };
    assert_eq!(error("rk_live_0123456789abcdef\n"), None);
    assert_eq!(error("sk_test_0123456789abcdef"), Some(("api_key", "relation")));
    assert_eq!(error("pk_live_0123456789abcdef"), Some(("api_key", "malformed")));
    assert_eq!(error(SECRET), Some(("api_key", "malformed")));
    assert_eq!(error(""), Some(("api_key", "missing")));
    let base = asking().with("api_base", SettingValue::Text("ftp://x".into()));
    assert_eq!(build(&base).err().map(|error| error.setting), Some("api_base"));
}
