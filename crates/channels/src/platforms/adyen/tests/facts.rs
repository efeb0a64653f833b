//! What items assert.

use super::*;

#[test]
fn an_authorisation_is_paid_only_where_money_is_taken_with_it() {
    let of = |capture: &str, item: Value| told_by(&by(capture), &message(&[signed(item)]));
    assert_eq!(of("immediate", item("AUTHORISATION", true)), "payment.succeeded T1 1130EUR P1 |");
    for capture in ["later", "in_parts"] {
        assert_eq!(of(capture, item("AUTHORISATION", true)), "payment.authorized T1 1130EUR P1 |");
        assert_eq!(of(capture, item("AUTHORISATION", false)), "payment.failed T1 1130EUR P1 |");
    }
    assert_eq!(of("immediate", item("AUTHORISATION", false)), "payment.failed T1 1130EUR P1 |");
    // The capture is the payment's fact, or one of its own where there are several.
    assert_eq!(of("later", modification("CAPTURE", true)), "payment.succeeded T1 1130EUR P1,M1 |");
    assert_eq!(of("in_parts", modification("CAPTURE", true)), "payment.succeeded T1 1130EUR M1 |");
    assert_eq!(of("immediate", modification("CAPTURE", true)), "other - - M1:CAPTURE:true |");
    assert_eq!(of("later", modification("CAPTURE", false)), "other - - M1:CAPTURE:false |");
    assert_eq!(of("later", item("CAPTURE", true)), "other - - P1:CAPTURE:true | missing_field");
    // It was told as taken before.
    for capture in ["immediate", "later", "in_parts"] {
        let failed = of(capture, modification("CAPTURE_FAILED", true));
        assert_eq!(failed, "payment.failed T1 1130EUR M1 | contradiction", "{capture}");
    }
    let mut nothing = item("AUTHORISATION", true);
    nothing["amount"]["value"] = json!(0);
    assert_eq!(of("immediate", nothing), "other - - P1:AUTHORISATION:true |");
    assert_eq!(of("later", modification("AUTHORISATION_ADJUSTMENT", true)), "payment.authorized T1 1130EUR M1 |");
}

#[test]
fn an_end_without_money_names_the_payment() {
    for code in ["CANCELLATION", "TECHNICAL_CANCEL", "EXPIRE", "OFFER_CLOSED"] {
        assert_eq!(told(modification(code, true)), "payment.closed T1 - P1 |", "{code}");
        assert_eq!(told(modification(code, false)), format!("other - - M1:{code}:false |"), "{code}");
    }
    assert_eq!(told(item("OFFER_CLOSED", true)), "payment.closed T1 - P1 |");
    // A part of it may be paid.
    for code in ["CANCELLATION", "EXPIRE", "TECHNICAL_CANCEL"] {
        let rest = told_by(&by("in_parts"), &message(&[signed(modification(code, true))]));
        assert_eq!(rest, format!("other - - M1:{code}:true | ambiguous"), "{code}");
    }
    assert_eq!(told(item("ORDER_CLOSED", false)), "payment.closed T1 - P1 |");
    assert_eq!(told(item("ORDER_CLOSED", true)), "other - - P1:ORDER_CLOSED:true |");
    // Which of the two it was stands beside the signature.
    let mut either = modification("CANCEL_OR_REFUND", true);
    either["additionalData"]["modification.action"] = json!("cancel");
    assert_eq!(told(either), "other - - M1:CANCEL_OR_REFUND:true | unknown_value");
    assert_eq!(told(item("PENDING", true)), "payment.pending T1 1130EUR P1 |");
}

#[test]
fn refunds_and_disputes_follow_the_original() {
    assert_eq!(told(modification("REFUND", true)), "refund.succeeded T1 1130EUR M1 |");
    assert_eq!(told(modification("REFUND", false)), "refund.failed T1 1130EUR M1 |");
    assert_eq!(told(modification("REFUND_FAILED", true)), "refund.failed T1 1130EUR M1 |");
    assert_eq!(told(modification("REFUNDED_REVERSED", true)), "refund.failed T1 1130EUR M1 |");
    assert_eq!(told(item("REFUND", true)), "refund.succeeded T1 1130EUR P1 | missing_field");
    for (code, kind) in [
        ("NOTIFICATION_OF_CHARGEBACK", "dispute.opened"),
        ("REQUEST_FOR_INFORMATION", "dispute.opened"),
        ("CHARGEBACK", "dispute.updated"),
        ("CHARGEBACK_REVERSED", "dispute.updated"),
        ("SECOND_CHARGEBACK", "dispute.updated"),
        ("NOTIFICATION_OF_FRAUD", "dispute.updated"),
        ("PREARBITRATION_WON", "dispute.closed"),
        ("PREARBITRATION_LOST", "dispute.closed"),
    ] {
        assert_eq!(told(modification(code, true)), format!("{kind} T1 1130EUR M1:{code} |"));
    }
    for (capture, payment) in [("immediate", Some("P1")), ("later", Some("P1")), ("in_parts", None)] {
        for code in ["REFUND", "CHARGEBACK"] {
            let notification = verdict(&by(capture), &message(&[signed(modification(code, true))])).unwrap();
            assert_eq!(notification.concerns, []);
            assert_eq!(notification.facts[0].payment.as_ref().map(crate::model::Identity::as_str), payment);
        }
    }
}

#[test]
fn payouts_and_notices() {
    assert_eq!(told(item("PAYOUT_THIRDPARTY", true)), "transfer.succeeded T1 1130EUR P1 |");
    assert_eq!(told(item("PAYOUT_THIRDPARTY", false)), "transfer.failed T1 1130EUR P1 |");
    assert_eq!(told(modification("PAYOUT_DECLINE", true)), "transfer.failed T1 1130EUR P1 |");
    assert_eq!(told(modification("PAYOUT_EXPIRE", true)), "transfer.failed T1 1130EUR P1 |");
    assert_eq!(told(modification("PAIDOUT_REVERSED", true)), "transfer.returned T1 1130EUR P1 |");
    for code in ["RECURRING_CONTRACT", "REPORT_AVAILABLE", "MANUAL_REVIEW_ACCEPT", "ORDER_OPENED"] {
        assert_eq!(told(item(code, true)), format!("other - - P1:{code}:true |"));
    }
    assert_eq!(told(item("SOMETHING_NEW", true)), "other - - P1:SOMETHING_NEW:true | unknown_value");
}

/// Whoever changes what is beside the signature changes no fact.
#[test]
fn what_is_not_signed_says_nothing() {
    let good = message(&[signed(item("AUTHORISATION", true))]);
    let original = verdict(&settings(), &good).unwrap();
    for (pointer, value) in [
        ("eventDate", json!("2036-01-01T00:00:00Z")),
        ("eventDate", json!("soon")),
        ("eventDate", Value::Null),
        ("reason", json!("refused")),
        ("paymentMethod", json!("bankTransfer_IBAN")),
        ("operations", json!(["CANCEL"])),
    ] {
        let mut other = good.clone();
        other["notificationItems"][0]["NotificationRequestItem"][pointer] = value;
        let found = verdict(&settings(), &other).unwrap();
        assert_eq!((&found.facts, found.key()), (&original.facts, original.key()), "{pointer}");
        assert!(found.concerns.is_empty());
    }
    let mut data = good.clone();
    data["notificationItems"][0]["NotificationRequestItem"]["additionalData"]["authorisedAmountValue"] = json!("1");
    assert_eq!(verdict(&settings(), &data).unwrap(), original);
    // Of the other environment a person is asked, and nothing else changes.
    let mut test = good.clone();
    test["live"] = json!("false");
    assert_eq!(told_by(&settings(), &test), "payment.succeeded T1 1130EUR P1 | foreign_environment");
    let mut sandbox = settings();
    sandbox.environment = Environment::Sandbox;
    assert_eq!(told_by(&sandbox, &test), "payment.succeeded T1 1130EUR P1 |");
    let shown = channel().fields(&request(&good.to_string()));
    let has = |name: &str| shown.iter().any(|(path, _)| path == name);
    assert!(has("notificationItems.0.NotificationRequestItem.amount.value"));
    assert!(has("unsigned.notificationItems.0.NotificationRequestItem.reason") && has("unsigned.live"));
    // A name that looks like a path is not taken for one.
    let mut posing = good;
    posing["notificationItems.0.NotificationRequestItem.amount.value"] = json!(1);
    posing["notificationItems"][0]["NotificationRequestItem"]["amount.value"] = json!(1);
    posing["notificationItems"][0]["NotificationRequestItem.success"] = json!("true");
    let shown = channel().fields(&request(&posing.to_string()));
    let signed: Vec<&str> =
        shown.iter().map(|(path, _)| path.as_str()).filter(|path| !path.starts_with("unsigned.")).collect();
    assert_eq!(signed.len(), 7, "{signed:?}");
}

#[test]
fn another_account_is_held_under_its_own_name() {
    let mut foreign = item("AUTHORISATION", true);
    foreign["merchantAccountCode"] = json!("Somebody");
    let sent = message(&[signed(foreign)]);
    let notification = verdict(&settings(), &sent).unwrap();
    assert_eq!(notification.concerns, [Concern::ForeignPayee { payee: "Somebody".into() }]);
    assert_eq!(notification.facts[0].scope.account, "Somebody");
    assert_eq!(channel().recognise(&request(&sent.to_string())), Likeness::Shape);
    let own = message(&[signed(item("AUTHORISATION", true))]);
    assert_eq!(channel().recognise(&request(&own.to_string())), Likeness::Merchant);
    assert_eq!(channel().recognise(&request("{\"notificationItems\":[]}")), Likeness::No);
}

#[test]
fn numbers_that_are_too_long_are_left_to_a_person() {
    let long = "x".repeat(300);
    let mut reference = item("AUTHORISATION", true);
    reference["merchantReference"] = json!(long);
    assert_eq!(told(reference), "payment.succeeded - 1130EUR P1 | unknown_value");
    let mut psp = item("AUTHORISATION", true);
    psp["pspReference"] = json!(long);
    assert!(told(psp).starts_with("other - - "));
    let mut account = item("AUTHORISATION", true);
    account["merchantAccountCode"] = json!(long);
    assert!(told(account).ends_with("foreign_payee"));
}
