//! What notifications assert.

use super::*;
use crate::model::{Amount, Concern, Identity};

fn read_by(capture: &str, message: &Value) -> Notification {
    let channel = build(&settings().with("capture", words(&[capture]))).unwrap();
    outcome(channel.as_ref(), &signed(&message.to_string())).unwrap_or_else(|word| panic!("{word}: {message}"))
}

fn read(message: &Value) -> Notification {
    read_by("later", message)
}

/// `kind order amount names payment | concerns`
fn told_by(capture: &str, message: &Value) -> String {
    let notification = read_by(capture, message);
    let [fact] = notification.facts.as_slice() else { panic!("{notification:?}") };
    let amount = match &fact.amount {
        Amount::Stated(money) => format!("{}{}", money.minor, money.currency),
        Amount::Unreadable => "?".to_owned(),
        Amount::None => "-".to_owned(),
        Amount::Cumulative { .. } => panic!("no totals here"),
    };
    let is_kept = fact.kind == crate::model::EventKind::Other;
    let names: Vec<&str> = fact.identities().map(Identity::as_str).collect();
    let names = if is_kept { "-".to_owned() } else { names.join(",") };
    let words: Vec<String> = notification.concerns.iter().map(shown).collect();
    let order = fact.order_no.as_deref().unwrap_or("-");
    let payment = fact.payment.as_ref().map_or("-", Identity::as_str);
    format!("{} {order} {amount} {names} {payment} | {}", fact.kind, words.join(" ")).trim_end().to_owned()
}

fn shown(concern: &Concern) -> String {
    let field = match concern {
        Concern::UnreadableAmount { field }
        | Concern::UnknownValue { field, .. }
        | Concern::UnreadableText { field }
        | Concern::MissingField { field }
        | Concern::Contradiction { field }
        | Concern::Ambiguous { field } => field,
        other => panic!("{other:?}"),
    };
    format!("{}:{field}", concern.word())
}

fn told(message: &Value) -> String {
    told_by("later", message)
}

fn with(mut message: Value, pointer: &str, to: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = message.pointer_mut(parent).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{pointer}"));
    if to.is_null() {
        parent.remove(name);
    } else {
        parent.insert(name.to_owned(), to);
    }
    message
}

fn status(message: Value, status: &str) -> Value {
    with(message, "/result/resultStatus", json!(status))
}

const ID: &str = "2026112119401080010018800000001";

fn captured() -> Value {
    json!({
        "notifyType": "CAPTURE_RESULT",
        "result": { "resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "Success" },
        "captureRequestId": "C1",
        "paymentId": ID,
        "captureId": "2026112119401080010018800000009",
        "captureAmount": { "currency": "USD", "value": "1099" },
        "captureTime": "2026-11-21T12:10:00+08:00",
    })
}

fn refunded() -> Value {
    json!({
        "notifyType": "REFUND_RESULT",
        "result": { "resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success" },
        "refundStatus": "SUCCESS",
        "refundRequestId": "R1",
        "refundId": "2026112119401080010018800000777",
        "refundAmount": { "currency": "USD", "value": "300" },
        "refundTime": "2026-11-22T12:10:00+08:00",
    })
}

fn disputed(kind: &str) -> Value {
    json!({
        "disputeNotificationType": kind,
        "paymentRequestId": "T1",
        "disputeId": "D1",
        "paymentId": ID,
        "disputeTime": "2026-11-23T12:10:00+08:00",
        "disputeAmount": { "currency": "KRW", "value": "14204" },
        "defendable": true,
    })
}

fn subscribed(kind: &str, status: &str) -> Value {
    json!({
        "subscriptionNotificationType": kind,
        "subscriptionStatus": status,
        "subscriptionRequestId": "S1",
        "subscriptionId": "20261121001",
        "subscriptionStartTime": "2026-11-21T12:10:00+08:00",
    })
}

#[test]
fn a_payment_is_what_its_result_says() {
    let of = |event: &str| format!("payment.{event} T1 1099USD {ID} - |");
    assert_eq!(told(&paid()), of("succeeded"));
    assert_eq!(told(&status(paid(), "F")), of("failed"));
    assert_eq!(told(&status(paid(), "U")), of("pending"));
    let pending = with(paid(), "/notifyType", json!("PAYMENT_PENDING"));
    // Here S says that the buyer has done his part, and not that anything was paid.
    assert_eq!(told(&pending), of("pending"));
    assert_eq!(told(&status(pending.clone(), "U")), of("pending"));
    assert_eq!(told(&status(pending.clone(), "F")), of("failed"));
    for message in [paid(), pending] {
        for odd in ["s", "SUCCESS", "", "P"] {
            let held = told(&status(message.clone(), odd));
            let word = if odd.is_empty() { "missing_field" } else { "unknown_value" };
            assert_eq!(held, format!("other - - - - | {word}:result.resultStatus"), "{odd}");
        }
        let missing = with(message, "/result", Value::Null);
        assert_eq!(told(&missing), "other - - - - | missing_field:result.resultStatus");
    }
    let found = read(&paid());
    assert_eq!(found.facts[0].occurred_at, Some("2026-11-21T03:59:30Z".parse().unwrap()));
    assert_eq!(found.facts[0].platform_no.as_deref(), Some(ID));
    assert_eq!(found.scope.account, CLIENT);
    for field in ["paymentId", "paymentRequestId", "paymentAmount"] {
        let told = told(&with(paid(), &format!("/{field}"), Value::Null));
        assert!(told.ends_with(&format!("| missing_field:{field}")), "{told}");
    }
    let long = with(paid(), "/paymentId", json!("9".repeat(300)));
    assert!(told(&long).starts_with("other - - - - | unknown_value:paymentId"), "{}", told(&long));
}

#[test]
fn a_cards_result_is_an_authorisation_unless_it_is_said_to_be_the_payment() {
    for (field, value) in [
        ("authExpiryTime", json!("2026-11-28T12:00:00+08:00")),
        ("paymentMethodType", json!("CARD")),
        ("paymentMethodType", json!("APPLEPAY")),
        ("paymentMethodType", json!("GOOGLEPAY")),
        ("paymentResultInfo", json!({ "cardNo": "****1111" })),
        ("paymentResultInfo", json!({ "cardBrand": "VISA" })),
        ("paymentResultInfo", json!({ "cardToken": "x" })),
    ] {
        let card = with(paid(), &format!("/{field}"), value);
        for capture in ["later", "in_parts"] {
            assert_eq!(told_by(capture, &card), format!("payment.authorized T1 1099USD {ID} - |"), "{card}");
        }
        assert_eq!(told_by("immediate", &card), format!("payment.succeeded T1 1099USD {ID} - |"), "{card}");
        assert_eq!(told(&status(card, "F")), format!("payment.failed T1 1099USD {ID} - |"));
    }
    // A wallet is paid at once.
    for (field, value) in [
        ("paymentMethodType", json!("ALIPAY_CN")),
        ("paymentMethodType", json!("GCASH")),
        ("paymentResultInfo", json!({ "cardNo": "", "rrn": "1" })),
        ("paymentResultInfo", json!({})),
    ] {
        let wallet = with(paid(), &format!("/{field}"), value);
        assert_eq!(told(&wallet), format!("payment.succeeded T1 1099USD {ID} - |"), "{wallet}");
    }
}

/// A card's result that is taken for a payment would be paid once more by its capture.
#[test]
fn a_result_without_a_method_is_no_payment_before_somebody_looked() {
    let unnamed = with(paid(), "/paymentMethodType", Value::Null);
    let held = format!("payment.succeeded T1 1099USD {ID} - | missing_field:paymentMethodType");
    for capture in ["later", "in_parts"] {
        assert_eq!(told_by(capture, &unnamed), held);
        assert_eq!(told_by(capture, &with(unnamed.clone(), "/paymentResultInfo", json!({}))), held);
        let told = with(unnamed.clone(), "/paymentResultInfo", json!({ "avsResultRaw": "A" }));
        assert_eq!(told_by(capture, &told), format!("payment.authorized T1 1099USD {ID} - |"));
    }
    assert_eq!(told_by("immediate", &unnamed), format!("payment.succeeded T1 1099USD {ID} - |"));
    assert_eq!(told(&status(unnamed, "F")), format!("payment.failed T1 1099USD {ID} - |"));
}

/// In parts, no fact goes by the payment's number: what waited for one would wait for a day.
#[test]
fn in_parts_nothing_waits_for_the_whole() {
    let mut refund = refunded();
    refund["paymentId"] = json!(ID);
    for message in [refund, disputed("DISPUTE_CREATED")] {
        let payment = |capture: &str| read_by(capture, &message).facts[0].payment.clone();
        for capture in ["later", "immediate"] {
            assert_eq!(payment(capture), Identity::new(ID), "{message}");
        }
        assert_eq!(payment("in_parts"), None, "{message}");
        assert_eq!(read_by("in_parts", &message).concerns, []);
    }
}

#[test]
fn a_capture_is_the_payment_or_a_part_of_it() {
    let capture = "capture:2026112119401080010018800000009";
    assert_eq!(told_by("later", &captured()), format!("payment.succeeded - 1099USD {ID},{capture} - |"));
    assert_eq!(told_by("in_parts", &captured()), format!("payment.succeeded - 1099USD {capture} - |"));
    assert_eq!(told_by("immediate", &captured()), "other - - - - |");
    let failed = status(captured(), "F");
    assert_eq!(told_by("later", &failed), format!("payment.failed - 1099USD {capture} - |"));
    assert_eq!(told_by("in_parts", &failed), format!("payment.failed - 1099USD {capture} - |"));
    // It was shipped already: a person must hear of it.
    let told = told_by("immediate", &failed);
    assert_eq!(told, format!("payment.failed - 1099USD {capture} - | contradiction:result.resultStatus"));
    for mode in ["later", "in_parts", "immediate"] {
        assert_eq!(told_by(mode, &status(captured(), "U")), "other - - - - |");
        let odd = told_by(mode, &status(captured(), "X"));
        assert_eq!(odd, "other - - - - | unknown_value:result.resultStatus");
        for field in ["captureId", "paymentId"] {
            let told = told_by(mode, &with(captured(), &format!("/{field}"), Value::Null));
            assert_eq!(told, format!("other - - - - | missing_field:{field}"), "{mode}");
        }
    }
    // One payment, told twice: by a wallet's result and by a capture.
    let one = |message: &Value| read(message).facts.remove(0).identity;
    assert_eq!(one(&paid()), one(&captured()));
}

#[test]
fn a_refund_goes_by_its_own_status() {
    let id = "2026112119401080010018800000777";
    assert_eq!(told(&refunded()), format!("refund.succeeded - 300USD {id},request:R1 - |"));
    // The result says that the request was taken, and nothing of the money.
    let failed = with(refunded(), "/refundStatus", json!("FAIL"));
    assert_eq!(told(&failed), format!("refund.failed - 300USD {id},request:R1 - |"));
    assert_eq!(told(&status(failed, "F")), format!("refund.failed - 300USD {id},request:R1 - |"));
    let odd = told(&status(refunded(), "F"));
    assert_eq!(odd, format!("refund.succeeded - 300USD {id},request:R1 - | contradiction:result.resultStatus"));
    assert_eq!(told(&with(refunded(), "/refundStatus", json!("PROCESSING"))), "other - - - - |");
    for (value, word) in [(json!("S"), "unknown_value"), (Value::Null, "missing_field"), (json!(true), "unknown_value")]
    {
        let told = told(&with(refunded(), "/refundStatus", value));
        assert_eq!(told, format!("other - - - - | {word}:refundStatus"));
    }
    let alone = with(refunded(), "/refundRequestId", Value::Null);
    assert_eq!(told(&alone), format!("refund.succeeded - 300USD {id} - |"));
    assert_eq!(told(&with(refunded(), "/refundId", Value::Null)), "other - - - - | missing_field:refundId");
    let unread = told(&with(refunded(), "/refundAmount", Value::Null));
    assert_eq!(unread, format!("refund.succeeded - ? {id},request:R1 - | missing_field:refundAmount"));
    // By transfer: without a result, with the payment and with two amounts.
    let mut direct = with(with(refunded(), "/result", Value::Null), "/refundAmount", Value::Null);
    direct["paymentId"] = json!(ID);
    direct["refundFromAmount"] = json!({ "currency": "SGD", "value": "405" });
    direct["refundToAmount"] = json!({ "currency": "USD", "value": "300" });
    assert_eq!(told(&direct), format!("refund.succeeded - 300USD {id},request:R1 {ID} |"));
}

#[test]
fn each_state_of_a_dispute_is_a_fact() {
    for (kind, event) in [
        ("DISPUTE_CREATED", "opened"),
        ("DEFENSE_SUPPLIED", "updated"),
        ("DEFENSE_DUE_ALERT", "updated"),
        ("DISPUTE_CANCELLED", "closed"),
        ("DISPUTE_ACCEPTED", "closed"),
        ("RDR_RESOLVED", "closed"),
    ] {
        assert_eq!(told(&disputed(kind)), format!("dispute.{event} T1 14204KRW D1:{kind} {ID} |"));
        let typed = with(disputed(kind), "/notifyType", json!("DISPUTE"));
        assert_eq!(told(&typed), told(&disputed(kind)));
    }
    let judged = |result: &str| with(disputed("DISPUTE_JUDGED"), "/disputeJudgedResult", json!(result));
    for (result, event) in [
        ("ACCEPT_BY_CUSTOMER", "closed"),
        ("ACCEPT_BY_MERCHANT", "closed"),
        ("VALIDATE_SUCCESS", "updated"),
        ("VALIDATE_FAIL", "updated"),
    ] {
        let expected = format!("dispute.{event} T1 14204KRW D1:DISPUTE_JUDGED:{result} {ID} |");
        assert_eq!(told(&judged(result)), expected);
    }
    let mut part = judged("ACCEPT_BY_MERCHANT");
    part["disputeJudgedAmount"] = json!({ "currency": "KRW", "value": "100" });
    assert_eq!(told(&part), format!("dispute.closed T1 100KRW D1:DISPUTE_JUDGED:ACCEPT_BY_MERCHANT {ID} |"));
    assert_eq!(told(&judged("SHARED")), "other - - - - | unknown_value:disputeJudgedResult");
    assert_eq!(told(&disputed("DISPUTE_JUDGED")), "other - - - - | missing_field:disputeJudgedResult");
    assert_eq!(told(&disputed("DISPUTE_MOVED")), "other - - - - | unknown_value:disputeNotificationType");
    let bare = with(disputed("DISPUTE_CANCELLED"), "/disputeAmount", Value::Null);
    assert_eq!(told(&bare), format!("dispute.closed T1 - D1:DISPUTE_CANCELLED {ID} |"));
    let bare = with(disputed("DISPUTE_CREATED"), "/disputeAmount", Value::Null);
    assert_eq!(told(&bare), format!("dispute.opened T1 ? D1:DISPUTE_CREATED {ID} | missing_field:disputeAmount"));
    let nameless = with(disputed("DISPUTE_CREATED"), "/disputeId", Value::Null);
    assert_eq!(told(&nameless), "other - - - - | missing_field:disputeId");
    let astray = with(disputed("DISPUTE_CREATED"), "/paymentId", Value::Null);
    assert_eq!(told(&astray), "dispute.opened T1 14204KRW D1:DISPUTE_CREATED - | missing_field:paymentId");
}

#[test]
fn a_subscription_is_an_agreement_and_its_periods_are_payments() {
    let of = |event: &str| format!("agreement.{event} S1 - 20261121001,request:S1 - |");
    assert_eq!(told(&subscribed("CREATE", "ACTIVE")), of("signed"));
    assert_eq!(told(&subscribed("CANCEL", "CANCELLED")), of("cancelled"));
    assert_eq!(told(&subscribed("TERMINATE", "TERMINATED")), of("cancelled"));
    for (kind, status) in [("CHANGE", "ACTIVE"), ("UPDATE", "ACTIVE"), ("CREATE", "TERMINATED")] {
        assert_eq!(told(&subscribed(kind, status)), "other - - - - |", "{kind}");
    }
    assert_eq!(told(&subscribed("CREATE", "ODD")), "other - - - - | unknown_value:subscriptionStatus");
    assert_eq!(told(&subscribed("ODD", "ACTIVE")), "other - - - - | unknown_value:subscriptionNotificationType");
    // The request's number is the subscription's: as an order's it would be paid anew each month.
    let mut period = with(with(paid(), "/notifyType", Value::Null), "/paymentRequestId", Value::Null);
    period["subscriptionId"] = json!("20261121001");
    period["subscriptionRequestId"] = json!("S1");
    assert_eq!(told(&period), format!("payment.succeeded - 1099USD {ID} - |"));
    assert_eq!(told(&status(period, "F")), format!("payment.failed - 1099USD {ID} - |"));
}

#[test]
fn what_is_not_known_is_held_and_what_is_no_money_is_kept() {
    for kept in [
        json!({ "notifyType": "UPDATE_AMOUNT_RESULT", "result": { "resultStatus": "S" }, "paymentId": ID }),
        json!({ "authorizationNotifyType": "AUTHCODE_CREATED", "authCode": "x" }),
        json!({ "authorizationNotifyType": "TOKEN_CANCELED", "accessToken": "x" }),
        json!({ "vaultingRequestId": "V1", "result": { "resultStatus": "S" } }),
    ] {
        assert_eq!(told(&kept), "other - - - - |", "{kept}");
    }
    for (odd, concern) in [
        (json!({}), "missing_field:notifyType"),
        (json!({ "notifyType": "" }), "missing_field:notifyType"),
        (json!({ "notifyType": "payment_result" }), "unknown_value:notifyType"),
        (json!({ "notifyType": "PAYOUT_RESULT", "amount": "1" }), "unknown_value:notifyType"),
        (json!({ "notifyType": ["PAYMENT_RESULT"] }), "unknown_value:notifyType"),
        (json!({ "notifyType": 7 }), "unknown_value:notifyType"),
    ] {
        assert_eq!(told(&odd), format!("other - - - - | {concern}"), "{odd}");
    }
    let mut both = paid();
    both["disputeNotificationType"] = json!("DISPUTE_CREATED");
    assert_eq!(told(&both), "other - - - - | contradiction:disputeNotificationType");
    let mut two = subscribed("CREATE", "ACTIVE");
    two["disputeNotificationType"] = json!("DISPUTE_CREATED");
    assert_eq!(told(&two), "other - - - - | contradiction:disputeNotificationType");
    let unread = |body: &str| {
        let found = outcome(channel().as_ref(), &signed(body)).unwrap();
        assert_eq!(found.facts.len(), 1);
        assert_eq!(found.facts[0].kind, crate::model::EventKind::Other);
        found.concerns.iter().map(shown).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(unread("[]"), "unreadable_text:body");
    assert_eq!(unread("payment"), "unreadable_text:body");
    // Two readers would see two messages.
    let twice = paid().to_string().replacen("\"paymentId\"", "\"paymentId\":\"1\",\"paymentId\"", 1);
    assert_eq!(unread(&twice), "ambiguous:paymentId");
    let inner = paid().to_string().replacen("\"value\"", "\"value\":\"1\",\"value\"", 1);
    assert_eq!(unread(&inner), "ambiguous:value");
}

#[test]
fn an_amount_is_a_text_of_digits_in_the_currencys_smallest_unit() {
    let of = |amount: Value| match &read(&with(paid(), "/paymentAmount", amount)).facts[0].amount {
        Amount::Stated(money) => Some((money.minor, money.to_text())),
        Amount::Unreadable => None,
        other => panic!("{other:?}"),
    };
    let money = |currency: &str, value: &str| of(json!({ "currency": currency, "value": value }));
    for (currency, value, minor, text) in [
        ("USD", "1099", 1099, "10.99"),
        ("USD", "0", 0, "0.00"),
        ("USD", "5", 5, "0.05"),
        ("JPY", "1099", 1099, "1099"),
        ("KRW", "14204", 14_204, "14204"),
        ("VND", "100000", 100_000, "100000"),
        ("CLP", "500", 500, "500"),
        ("IDR", "1500000", 1_500_000, "15000.00"),
        ("KWD", "1234", 1234, "1.234"),
        ("USD", "9223372036854775807", i64::MAX, "92233720368547758.07"),
    ] {
        assert_eq!(money(currency, value), Some((minor, text.to_owned())), "{currency} {value}");
    }
    for (currency, value) in [
        ("USD", "10.99"),
        ("USD", "-1"),
        ("USD", "+1"),
        ("USD", " 1"),
        ("USD", "1e3"),
        ("USD", "1,000"),
        ("USD", ""),
        ("USD", "9223372036854775808"),
        ("usd", "1"),
        ("USDX", "1"),
        ("", "1"),
        ("ZZZ", "1"),
    ] {
        assert_eq!(money(currency, value), None, "{currency} {value}");
    }
    for odd in [
        json!({ "currency": "USD", "value": 1099 }),
        json!({ "currency": "USD", "value": 10.99 }),
        json!({ "currency": "USD" }),
        json!({ "value": "1099" }),
        json!("1099"),
        json!(1099),
        json!([{ "currency": "USD", "value": "1099" }]),
    ] {
        let message = with(paid(), "/paymentAmount", odd.clone());
        assert_eq!(told(&message), format!("payment.succeeded T1 ? {ID} - | unreadable_amount:paymentAmount"), "{odd}");
    }
}

/// Antom sends a new time, and so a new signature, with each repetition.
#[test]
fn a_repetition_has_the_same_name_and_another_fact_another() {
    let of = |message: &Value, time: &str| outcome(channel().as_ref(), &signed_at(&message.to_string(), time)).unwrap();
    let name = |message: &Value| of(message, TIME).platform_id;
    for message in [
        paid(),
        captured(),
        refunded(),
        disputed("DISPUTE_CREATED"),
        subscribed("CREATE", "ACTIVE"),
        json!({ "authorizationNotifyType": "TOKEN_CANCELED" }),
    ] {
        let (first, again) = (of(&message, TIME), of(&message, "2026-11-21T12:02:00+08:00"));
        assert_eq!(first.key(), again.key(), "{message}");
        assert_eq!(first.facts, again.facts);
        assert_ne!(first.sent_at, again.sent_at);
    }
    assert_eq!(name(&paid()), format!("PAYMENT_RESULT:{ID}:payment.succeeded"));
    let mut names = vec![
        name(&paid()),
        name(&status(paid(), "F")),
        name(&with(paid(), "/paymentId", json!("2"))),
        name(&captured()),
        name(&status(captured(), "F")),
        name(&with(captured(), "/captureId", json!("2"))),
        name(&refunded()),
        name(&with(refunded(), "/refundStatus", json!("FAIL"))),
        name(&disputed("DISPUTE_CREATED")),
        name(&disputed("DISPUTE_CANCELLED")),
        name(&with(disputed("DISPUTE_JUDGED"), "/disputeJudgedResult", json!("ACCEPT_BY_CUSTOMER"))),
        name(&with(disputed("DISPUTE_JUDGED"), "/disputeJudgedResult", json!("ACCEPT_BY_MERCHANT"))),
        name(&subscribed("CREATE", "ACTIVE")),
        name(&subscribed("CANCEL", "CANCELLED")),
        name(&json!({ "authorizationNotifyType": "TOKEN_CANCELED" })),
        name(&json!({ "authorizationNotifyType": "TOKEN_CREATED" })),
    ];
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
    // The same name with another amount is another assertion, and loses nothing.
    let dearer = with(paid(), "/paymentAmount/value", json!("1100"));
    assert_eq!(name(&paid()), name(&dearer));
    assert_ne!(of(&paid(), TIME).key(), of(&dearer, TIME).key());
}
