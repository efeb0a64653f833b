//! What each event means, and what is held.

use super::*;
use crate::model::Identity;

/// `kind amount names order platform_no payment`, a fact a line, and the concerns.
fn told(event: &Value) -> String {
    shown(&taken(&*channel(), &signed(&event.to_string())))
}

fn shown(notification: &Notification) -> String {
    let lines = notification.facts.iter().map(|fact| {
        let minor = fact
            .signed_money()
            .map_or_else(|| "-".to_owned(), |money| format!("{} {}", money.to_text(), money.currency));
        let names: Vec<&str> =
            fact.identities().map(Identity::as_str).filter(|name| !name.starts_with("transmission:")).collect();
        let order = fact.order_no.as_deref().unwrap_or("-");
        let payment = fact.payment.as_ref().map_or("-", Identity::as_str);
        format!("{} {minor} {} order={order} payment={payment}", fact.kind, names.join(","))
    });
    let words: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
    format!("{} | {}", lines.collect::<Vec<_>>().join("; "), words.join(" ")).trim_end_matches([' ', '|']).to_owned()
}

fn changed(value: &Value, pointer: &str, new: Value) -> Value {
    let mut value = value.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let object = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if new.is_null() {
        drop(object.remove(name));
    } else {
        drop(object.insert(name.to_owned(), new));
    }
    value
}

const OTHER: &str = "other - WH-58D329510W468432D-8HN650336L201105X order=- payment=-";

fn held(word: &str) -> String {
    format!("{OTHER} | {word}")
}

#[test]
fn captures_by_their_states() {
    let of = |kind: &str, status: &str| told(&event(kind, "capture", &changed(&capture(), "/status", json!(status))));
    let paid = "payment.succeeded 10.00 USD 3C679366HH908993F order=20261121001 payment=-";
    for status in ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"] {
        assert_eq!(of("PAYMENT.CAPTURE.COMPLETED", status), paid, "{status}");
    }
    for status in ["PENDING", "DECLINED", "FAILED", "completed", "X"] {
        assert_eq!(of("PAYMENT.CAPTURE.COMPLETED", status), held("contradiction"), "{status}");
    }
    let failed = "payment.failed 10.00 USD 3C679366HH908993F order=20261121001 payment=-";
    assert_eq!(of("PAYMENT.CAPTURE.DECLINED", "DECLINED"), failed);
    assert_eq!(of("PAYMENT.CAPTURE.DENIED", "DECLINED"), failed);
    assert_eq!(of("PAYMENT.CAPTURE.DENIED", "COMPLETED"), held("contradiction"));
    let pending = "payment.pending - 3C679366HH908993F order=20261121001 payment=-";
    assert_eq!(of("PAYMENT.CAPTURE.PENDING", "PENDING"), pending);
    assert_eq!(of("PAYMENT.CAPTURE.PENDING", "COMPLETED"), held("contradiction"));
}

/// Money is taken by a capture alone.
#[test]
fn approval_and_authorisation_are_no_payment() {
    let unit = json!({
        "reference_id": "default", "invoice_id": "20261121001",
        "amount": { "currency_code": "USD", "value": "10.00" },
        "payee": { "merchant_id": MERCHANT_ID },
    });
    let order =
        json!({ "id": "5O190127TN364715T", "status": "APPROVED", "intent": "CAPTURE", "purchase_units": [unit] });
    let of = |order: &Value| told(&event("CHECKOUT.ORDER.APPROVED", "checkout-order", order));
    assert_eq!(of(&order), "payment.authorized 10.00 USD 5O190127TN364715T order=20261121001 payment=-");
    let two = changed(&order, "/purchase_units", json!([unit, changed(&unit, "/invoice_id", json!("B"))]));
    assert_eq!(
        of(&two),
        "payment.authorized 10.00 USD 5O190127TN364715T:0 order=20261121001 payment=-; \
         payment.authorized 10.00 USD 5O190127TN364715T:1 order=B payment=- | ambiguous"
    );
    let foreign = changed(&unit, "/payee/merchant_id", json!("9ZZ9ZZZ9ZZZ99"));
    assert!(of(&changed(&order, "/purchase_units", json!([unit, foreign]))).contains("| foreign_payee"));
    for units in [json!([]), json!({}), json!(null), json!(vec![unit; 51])] {
        assert_eq!(of(&changed(&order, "/purchase_units", units)), held("missing_field"));
    }
    assert_eq!(of(&changed(&order, "/status", json!("VOIDED"))), held("contradiction"));
    assert_eq!(of(&changed(&order, "/id", json!(null))), held("missing_field"));

    let authorization = changed(&capture(), "/status", json!("CREATED"));
    let of = |kind: &str, status: &str| {
        told(&event(kind, "authorization", &changed(&authorization, "/status", json!(status))))
    };
    let authorized = "payment.authorized 10.00 USD 3C679366HH908993F order=20261121001 payment=-";
    assert_eq!(of("PAYMENT.AUTHORIZATION.CREATED", "CREATED"), authorized);
    let closed = "payment.closed - 3C679366HH908993F order=20261121001 payment=-";
    assert_eq!(of("PAYMENT.AUTHORIZATION.VOIDED", "VOIDED"), closed);
    assert_eq!(of("PAYMENT.AUTHORIZATION.VOIDED", "CREATED"), held("contradiction"));
}

/// Each capture is a payment under its own number, whichever event tells it.
#[test]
fn a_completed_order_tells_its_captures() {
    let second = changed(&changed(&capture(), "/id", json!("2GG279541U471931P")), "/invoice_id", json!(null));
    let declined = changed(&capture(), "/status", json!("DECLINED"));
    let unit = json!({
        "invoice_id": "U-1", "payee": { "merchant_id": MERCHANT_ID },
        "payments": { "captures": [capture(), second, declined] },
    });
    let order = json!({ "id": "5O190127TN364715T", "status": "COMPLETED", "purchase_units": [unit] });
    let of = |order: &Value| told(&event("CHECKOUT.ORDER.COMPLETED", "checkout-order", order));
    let both = "payment.succeeded 10.00 USD 3C679366HH908993F order=20261121001 payment=-; \
                payment.succeeded 10.00 USD 2GG279541U471931P order=U-1 payment=-";
    // Where the platform itself says it, both are told.
    assert_eq!(asked(&order), both);
    // Several facts share no name of a transmission, which would make them one: so whoever captured one delivery could
    // put as many as he likes under its signature.
    assert_eq!(of(&order), format!("{both} | ambiguous"));
    let found = taken(&*channel(), &signed(&event("CHECKOUT.ORDER.COMPLETED", "x", &order).to_string()));
    assert!(found.facts.iter().all(|fact| fact.aliases.is_empty()));
    // More than are read, and one that stands there twice.
    let mut many = order.clone();
    many["purchase_units"][0]["payments"]["captures"] = json!(vec![capture(); 51]);
    assert_eq!(of(&many), held("unreadable_text missing_field"));
    many["purchase_units"][0]["payments"]["captures"] = json!(vec![capture(); 2]);
    let once = "payment.succeeded 10.00 USD 3C679366HH908993F order=20261121001 payment=-";
    assert_eq!(of(&many), format!("{once} | contradiction"));
    let bare = json!([{ "invoice_id": "U-1" }]);
    assert_eq!(of(&changed(&order, "/purchase_units", bare)), held("missing_field"));
}

/// An order, as the platform's own answer tells it.
fn asked(order: &Value) -> String {
    let config = Config::build(&asking()).unwrap();
    let event = event("CHECKOUT.ORDER.COMPLETED", "checkout-order", order).to_string();
    let event = Json::parse(event.as_bytes()).unwrap();
    shown(&super::super::facts::read(&config, &event, "WH-1".to_owned(), None))
}

/// Whatever another body tells under a transmission, it says that the transmission tells one thing.
#[test]
fn a_transmission_tells_one_thing() {
    let refund = event("PAYMENT.CAPTURE.REFUNDED", "refund", &refund()).to_string();
    for body in [paid(), refund] {
        assert!(taken(&*channel(), &signed(&body)).tells_one_thing(), "{body}");
    }
    // What means nothing contradicts nothing.
    let quiet = event("VAULT.PAYMENT-TOKEN.CREATED", "x", &json!({})).to_string();
    assert!(!taken(&*channel(), &signed(&quiet)).tells_one_thing());
}

/// What a message says about who was paid is read whichever state it tells.
#[test]
fn every_state_names_whom_it_pays() {
    let of = |kind: &str, status: &str, payee: Value| {
        let changed = changed(&changed(&capture(), "/status", json!(status)), "/payee", payee);
        told(&event(kind, "capture", &changed))
    };
    for (kind, status) in [
        ("PAYMENT.CAPTURE.COMPLETED", "COMPLETED"),
        ("PAYMENT.CAPTURE.PENDING", "PENDING"),
        ("PAYMENT.CAPTURE.DECLINED", "DECLINED"),
        ("PAYMENT.AUTHORIZATION.CREATED", "CREATED"),
        ("PAYMENT.AUTHORIZATION.VOIDED", "VOIDED"),
        ("PAYMENT.CAPTURE.REVERSED", "REVERSED"),
    ] {
        let foreign = of(kind, status, json!({ "merchant_id": "9ZZ9ZZZ9ZZZ99" }));
        assert!(foreign.ends_with("| foreign_payee"), "{kind}: {foreign}");
        let unnamed = of(kind, status, json!({ "email_address": "x@shop.example" }));
        assert!(unnamed.ends_with("| missing_field"), "{kind}: {unnamed}");
        assert!(!of(kind, status, json!(null)).contains('|'), "{kind}");
    }
}

fn refund() -> Value {
    json!({
        "id": "1JU08902781691411",
        "status": "COMPLETED",
        "amount": { "currency_code": "USD", "value": "2.50" },
        "invoice_id": "20261121001",
        "seller_payable_breakdown": { "total_refunded_amount": { "currency_code": "USD", "value": "7.50" } },
        "links": [
            { "href": "https://api.paypal.com/v2/payments/refunds/1JU08902781691411", "rel": "self", "method": "GET" },
            { "href": "https://api.paypal.com/v2/payments/captures/3C679366HH908993F", "rel": "up", "method": "GET" },
        ],
    })
}

#[test]
fn refunds_follow_their_capture() {
    let of = |kind: &str, refund: &Value| told(&event(kind, "refund", refund));
    let refunded = "refund.succeeded 2.50 USD 1JU08902781691411 order=20261121001 payment=3C679366HH908993F";
    assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", &refund()), refunded);
    assert_eq!(of("PAYMENT.CAPTURE.REVERSED", &refund()), refunded);
    let related =
        changed(&refund(), "/supplementary_data", json!({ "related_ids": { "capture_id": "3C679366HH908993F" } }));
    assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", &related), refunded);
    assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", &changed(&related, "/links", json!(null))), refunded);
    let other = changed(&refund(), "/supplementary_data", json!({ "related_ids": { "capture_id": "X" } }));
    assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", &other), held("contradiction"));
    let alone = "refund.succeeded 2.50 USD 1JU08902781691411 order=20261121001 payment=- | missing_field";
    for links in [
        json!(null),
        json!([]),
        json!([{ "href": "https://api.paypal.com/v2/payments/captures/", "rel": "up" }]),
        json!([{ "href": "https://api.paypal.com/v2/payments/captures/a/../b", "rel": "up" }]),
        json!([{ "href": "https://api.paypal.com/v2/payments/captures/3C679366HH908993F", "rel": "self" }]),
    ] {
        assert_eq!(of("PAYMENT.CAPTURE.REFUNDED", &changed(&refund(), "/links", links)), alone);
    }
    let status = |kind: &str, status: &str| of(kind, &changed(&refund(), "/status", json!(status)));
    assert_eq!(status("PAYMENT.CAPTURE.REFUNDED", "PENDING"), OTHER);
    assert_eq!(status("PAYMENT.CAPTURE.REFUNDED", "FAILED"), held("contradiction"));
    assert_eq!(status("PAYMENT.CAPTURE.REFUNDED", "CANCELLED"), held("contradiction"));
    assert_eq!(status("PAYMENT.REFUND.PENDING", "PENDING"), OTHER);
    let failed = "refund.failed 2.50 USD 1JU08902781691411 order=20261121001 payment=3C679366HH908993F";
    assert_eq!(status("PAYMENT.REFUND.FAILED", "FAILED"), failed);
    // Where the object is the capture, what was taken back has no number of its own.
    assert_eq!(
        told(&event("PAYMENT.CAPTURE.REVERSED", "capture", &changed(&capture(), "/status", json!("REVERSED")))),
        "refund.succeeded 10.00 USD 3C679366HH908993F:reversed order=20261121001 payment=3C679366HH908993F"
    );
}

#[test]
fn disputes_by_number_and_state() {
    let dispute = json!({
        "dispute_id": "PP-D-4012", "status": "OPEN", "reason": "UNAUTHORISED",
        "dispute_amount": { "currency_code": "USD", "value": "10.00" },
        "update_time": "2026-11-21T04:00:00.000Z",
        "disputed_transactions": [{
            "seller_transaction_id": "3C679366HH908993F", "invoice_number": "20261121001", "custom": "C-1",
            "seller": { "merchant_id": MERCHANT_ID },
        }],
    });
    let of = |kind: &str, status: &str| told(&event(kind, "dispute", &changed(&dispute, "/status", json!(status))));
    let rest = "order=20261121001 payment=3C679366HH908993F";
    for kind in ["CUSTOMER.DISPUTE.CREATED", "RISK.DISPUTE.CREATED"] {
        assert_eq!(of(kind, "OPEN"), format!("dispute.opened 10.00 USD PP-D-4012 {rest}"));
        assert_eq!(of(kind, "RESOLVED"), held("contradiction"));
    }
    let updated = "PP-D-4012:UNDER_REVIEW:2026-11-21T04:00:00.000Z";
    assert_eq!(of("CUSTOMER.DISPUTE.UPDATED", "UNDER_REVIEW"), format!("dispute.updated 10.00 USD {updated} {rest}"));
    assert_eq!(of("CUSTOMER.DISPUTE.RESOLVED", "RESOLVED"), format!("dispute.closed 10.00 USD PP-D-4012 {rest}"));
    assert_eq!(of("CUSTOMER.DISPUTE.RESOLVED", "OPEN"), held("contradiction"));
    let of = |dispute: &Value| told(&event("CUSTOMER.DISPUTE.CREATED", "dispute", dispute));
    assert_eq!(of(&changed(&dispute, "/dispute_id", json!(null))), held("missing_field"));
    assert_eq!(of(&changed(&dispute, "/status", json!(null))), held("missing_field"));
    let two = json!([dispute["disputed_transactions"][0], { "seller_transaction_id": "X" }]);
    let of_two = of(&changed(&dispute, "/disputed_transactions", two));
    assert_eq!(of_two, "dispute.opened 10.00 USD PP-D-4012 order=- payment=- | missing_field");
    let foreign = changed(&dispute, "/disputed_transactions/0/seller/merchant_id", json!("9ZZ9ZZZ9ZZZ99"));
    assert!(of(&foreign).ends_with("| foreign_payee"));
}

#[test]
fn payouts_by_item() {
    let item = json!({
        "payout_item_id": "8AELMXH8UB2P8", "transaction_id": "0C413693MN970190K", "transaction_status": "SUCCESS",
        "payout_batch_id": "Q8KVJG9TZTNN4",
        "payout_item": { "amount": { "currency": "USD", "value": "1.00" }, "sender_item_id": "PO-1", "receiver": "a@b.c" },
    });
    let of = |what: &str, status: &str| {
        let item = changed(&item, "/transaction_status", json!(status));
        told(&event(&format!("PAYMENT.PAYOUTS-ITEM.{what}"), "payouts_item", &item))
    };
    for (what, status, kind) in [
        ("SUCCEEDED", "SUCCESS", "transfer.succeeded"),
        ("FAILED", "FAILED", "transfer.failed"),
        ("DENIED", "DENIED", "transfer.failed"),
        ("CANCELED", "CANCELED", "transfer.failed"),
        ("RETURNED", "RETURNED", "transfer.returned"),
        ("REFUNDED", "REFUNDED", "transfer.returned"),
    ] {
        assert_eq!(of(what, status), format!("{kind} 1.00 USD 8AELMXH8UB2P8 order=PO-1 payment=-"));
        assert_eq!(of(what, "PENDING"), held("contradiction"), "{what}");
    }
    for what in ["UNCLAIMED", "HELD", "BLOCKED"] {
        assert_eq!(of(what, what), OTHER);
    }
    assert_eq!(told(&event("PAYMENT.PAYOUTSBATCH.SUCCESS", "payouts", &json!({}))), OTHER);
}

#[test]
fn what_is_not_known_is_held_where_it_could_be_money() {
    for kind in [
        "PAYMENT.CAPTURE.NEW",
        "PAYMENT.SALE.COMPLETED",
        "CHECKOUT.ORDER.NEW",
        "CUSTOMER.DISPUTE.NEW",
        "RISK.X",
        "PAYMENT.X",
        "PAYMENT.PAYOUTS-ITEM.NEW",
    ] {
        assert_eq!(told(&event(kind, "capture", &capture())), held("unknown_value"), "{kind}");
    }
    for kind in
        ["BILLING.SUBSCRIPTION.CREATED", "VAULT.PAYMENT-TOKEN.CREATED", "MERCHANT.ONBOARDING.COMPLETED", "PAYMENTX"]
    {
        assert_eq!(told(&event(kind, "capture", &capture())), OTHER, "{kind}");
    }
}

#[test]
fn amounts_and_names_are_strict() {
    let of = |pointer: &str, new: Value| {
        told(&event("PAYMENT.CAPTURE.COMPLETED", "capture", &changed(&capture(), pointer, new)))
    };
    let unreadable = "payment.succeeded - 3C679366HH908993F order=20261121001 payment=- | unreadable_amount";
    for value in [json!(10), json!("10.001"), json!("-1.00"), json!("1e3"), json!("ten"), json!(""), json!(null)] {
        assert_eq!(of("/amount/value", value), unreadable);
    }
    assert_eq!(of("/amount", json!(null)), unreadable);
    assert_eq!(of("/amount/currency_code", json!("usd")), unreadable);
    let yen = of("/amount", json!({ "currency_code": "JPY", "value": "500" }));
    assert_eq!(yen, "payment.succeeded 500 JPY 3C679366HH908993F order=20261121001 payment=-");
    for id in [json!(null), json!(""), json!(7), json!("a:b"), json!("a".repeat(257))] {
        assert_eq!(of("/id", id), held("missing_field"));
    }
    assert!(of("/invoice_id", json!("x".repeat(257))).ends_with("order=- payment=- | unknown_value"));
    assert_eq!(of("/invoice_id", json!(null)), "payment.succeeded 10.00 USD 3C679366HH908993F order=- payment=-");
    assert_eq!(of("/payee", json!(null)), "payment.succeeded 10.00 USD 3C679366HH908993F order=20261121001 payment=-");
}

#[test]
fn the_order_number_is_where_it_is_configured() {
    let channel = build(&believing().with("order_number", line("custom_id"))).unwrap();
    let found = taken(&*channel, &signed(&paid()));
    assert_eq!(found.facts[0].order_no.as_deref(), Some("C-1"));
}

/// The same fact by two transmissions has one name; another transmission of another event shares none.
#[test]
fn a_repetition_under_a_new_transmission_is_the_same_fact() {
    let channel = channel();
    let first = taken(&*channel, &signed(&paid()));
    let body = paid();
    let text = signed_text("other-transmission-1", TIME, WEBHOOK_ID, crc32(body.as_bytes()));
    let mut again = with(&signed(&body), TRANSMISSION_ID, Some("other-transmission-1"));
    let signature = STANDARD.encode(sign_sha256(&PAIR, text.as_bytes()).unwrap());
    again = with(&again, TRANSMISSION_SIG, Some(&signature));
    let again = taken(&*channel, &again);
    assert_eq!(first.facts[0].identity, again.facts[0].identity);
    assert_ne!(first.platform_id, again.platform_id);
    assert_ne!(first.facts[0].aliases, again.facts[0].aliases);
}
