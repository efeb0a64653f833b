//! What messages assert.

use super::*;

fn only(notification: &Notification) -> &Fact {
    let [fact] = notification.facts.as_slice() else { panic!("{:?}", notification.facts) };
    fact
}

fn name(fact: &Fact) -> &str {
    fact.identity.as_str()
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be none")]
fn usd(minor: i64) -> Option<(i64, String)> {
    Some((minor, "USD".to_owned()))
}

#[test]
fn a_settled_sale_is_a_payment() {
    let told = read("transaction_settled", &transaction(&[]));
    assert_eq!(told.concerns, []);
    assert_eq!(told.platform_id, format!("{AT}:transaction_settled:8xkr2q"));
    assert_eq!((told.platform_kind.as_str(), told.sent_at), ("transaction_settled", Some(now())));
    assert_eq!((told.scope.family, told.scope.account.as_str()), ("braintree", "gateway1"));
    let fact = only(&told);
    assert_eq!((fact.kind, name(fact), minor(fact)), (EventKind::PaymentSucceeded, "8xkr2q", usd(1_250)));
    assert_eq!((fact.order_no.as_deref(), fact.platform_no.as_deref()), (Some("T1001"), Some("8xkr2q")));
    assert_eq!((fact.payee.as_deref(), fact.occurred_at, &fact.payment), (Some("shop_usd"), Some(now()), &None));
    // What is disbursed later is the same fact.
    let disbursed = read("transaction_disbursed", &transaction(&[("tax-amount", "<tax-amount nil=\"true\"/>")]));
    assert_eq!((only(&disbursed).kind, name(only(&disbursed))), (EventKind::PaymentSucceeded, "8xkr2q"));
    assert_ne!(disbursed.key(), told.key());
    let other = read("transaction_settled", &transaction(&[("order-id", "<order-id nil=\"true\"/>")]));
    assert_eq!((only(&other).order_no.as_deref(), held(&other)), (None, vec![]));
}

/// Authorised, and on its way to the bank, is not paid.
#[test]
fn a_state_that_does_not_fit_is_no_payment() {
    for state in [
        "authorized",
        "authorizing",
        "submitted_for_settlement",
        "settling",
        "settlement_pending",
        "settlement_confirmed",
        "settlement_declined",
        "voided",
        "failed",
        "Settled",
        "brand_new",
    ] {
        let changed = transaction(&[("status", &format!("<status>{state}</status>"))]);
        for kind in ["transaction_settled", "transaction_disbursed"] {
            let told = read(kind, &changed);
            assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["contradiction"]), "{kind} {state}");
        }
    }
    for gone in ["status", "type", "id"] {
        let told = read("transaction_settled", &transaction(&[(gone, "")]));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["missing_field"]), "{gone}");
    }
    let told = read("transaction_settled", &transaction(&[("type", "<type>gift</type>")]));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["unknown_value"]));
}

#[test]
fn a_declined_settlement_is_a_failure() {
    let declined = ("status", "<status>settlement_declined</status>");
    let told = read("transaction_settlement_declined", &transaction(&[declined]));
    assert_eq!((only(&told).kind, minor(only(&told)), held(&told)), (EventKind::PaymentFailed, usd(1_250), vec![]));
    let told = read("transaction_settlement_declined", &transaction(&[]));
    assert_eq!(held(&told), ["contradiction"]);
}

#[test]
fn a_settled_credit_is_a_refund_of_its_payment() {
    let credit = [
        ("id", "<id>r1</id>"),
        ("type", "<type>credit</type>"),
        ("refunded-transaction-id", "<refunded-transaction-id>8xkr2q</refunded-transaction-id>"),
    ];
    for kind in ["transaction_settled", "transaction_disbursed"] {
        let told = read(kind, &transaction(&credit));
        let fact = only(&told);
        assert_eq!((fact.kind, name(fact), minor(fact)), (EventKind::RefundSucceeded, "r1", usd(1_250)), "{kind}");
        assert_eq!((fact.payment.as_ref().map(Identity::as_str), held(&told)), (Some("8xkr2q"), vec![]), "{kind}");
    }
    // Money to somebody who had not paid it.
    let told = read("transaction_settled", &transaction(&credit[..2]));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::RefundSucceeded, vec!["missing_field"]));
    let failed = [credit[0], credit[2], ("status", "<status>processor_declined</status>"), ("type", "")];
    let told = read("refund_failed", &transaction(&failed));
    assert_eq!((only(&told).kind, name(only(&told)), held(&told)), (EventKind::RefundFailed, "r1", vec![]));
    let told = read("refund_failed", &transaction(&[]));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["contradiction"]));
}

#[test]
fn an_amount_that_cannot_be_read_is_held() {
    for (changes, expected) in [
        ([("amount", "<amount>12.501</amount>")], "unreadable_amount"),
        ([("amount", "<amount>-12.50</amount>")], "unreadable_amount"),
        ([("amount", "<amount>1e3</amount>")], "unreadable_amount"),
        ([("amount", "<amount> 12.50 </amount>")], "unreadable_amount"),
        ([("amount", "")], "missing_field"),
        ([("amount", "<amount nil=\"true\"/>")], "missing_field"),
        ([("amount", "<amount nil=\"true\">12.50</amount>")], "unreadable_text"),
        ([("amount", "<amount><value>12.50</value></amount>")], "unreadable_text"),
        ([("amount", "<amount>12.50</amount><amount>99.00</amount>")], "ambiguous"),
        ([("currency-iso-code", "")], "missing_field"),
        ([("currency-iso-code", "<currency-iso-code>usd</currency-iso-code>")], "unreadable_amount"),
        ([("currency-iso-code", "<currency-iso-code>JPY</currency-iso-code>")], "unreadable_amount"),
    ] {
        let told = read("transaction_settled", &transaction(&changes));
        let fact = only(&told);
        assert_eq!(fact.kind, EventKind::PaymentSucceeded, "{changes:?}");
        assert!(held(&told).contains(&expected), "{changes:?}: {:?}", told.concerns);
        assert_eq!(fact.amount == Amount::Unreadable, expected != "ambiguous", "{changes:?}");
    }
    let yen =
        [("currency-iso-code", "<currency-iso-code>JPY</currency-iso-code>"), ("amount", "<amount>1250</amount>")];
    let told = read("transaction_settled", &transaction(&yen));
    assert_eq!((minor(only(&told)), held(&told)), (Some((1_250, "JPY".into())), vec![]));
}

#[test]
fn what_is_somebody_elses_is_held() {
    let foreign = ("merchant-account-id", "<merchant-account-id>other_shop</merchant-account-id>");
    let told = read("transaction_settled", &transaction(&[foreign]));
    assert_eq!(told.concerns, [Concern::ForeignPayee { payee: "other_shop".into() }]);
    assert_eq!(only(&told).payee.as_deref(), Some("other_shop"));
    for (merchant, expected) in [("gateway1", vec![]), ("gateway2", vec!["foreign_payee"])] {
        let document = document("transaction_settled", &transaction(&[]));
        let source = format!("<source-merchant-id>{merchant}</source-merchant-id><subject>");
        let (told, _) = proven(&sent(&document.replace("<subject>", &source)));
        assert_eq!(held(&told), expected);
    }
    let told = read("transaction_settled", &transaction(&[("merchant-account-id", "")]));
    assert_eq!((held(&told), only(&told).payee.as_deref()), (vec![], None));
}

#[test]
fn a_local_payment_is_paid_when_it_is_funded() {
    let local = |root: &str, more: &str| format!("<{root}><payment-id>PAY-1</payment-id>{more}</{root}>");
    let pending = transaction(&[("status", "<status>authorizing</status>")]);
    let told = read("local_payment_completed", &local("local-payment", &pending));
    let fact = only(&told);
    assert_eq!((fact.kind, name(fact), held(&told)), (EventKind::PaymentPending, "8xkr2q", vec![]));
    assert_eq!(fact.aliases, [Identity::new("local_payment:PAY-1").unwrap()]);
    let told = read("local_payment_completed", &local("local-payment", ""));
    assert_eq!((only(&told).kind, name(only(&told))), (EventKind::PaymentPending, "local_payment:PAY-1"));
    let told = read("local_payment_funded", &local("local-payment-funded", &transaction(&[("type", "")])));
    let fact = only(&told);
    assert_eq!((fact.kind, name(fact), minor(fact)), (EventKind::PaymentSucceeded, "8xkr2q", usd(1_250)));
    assert_eq!((fact.aliases.len(), held(&told)), (1, vec![]));
    for (more, expected) in [(pending.as_str(), "contradiction"), ("", "missing_field")] {
        let told = read("local_payment_funded", &local("local-payment-funded", more));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec![expected]));
    }
    for kind in ["expired", "reversed"] {
        let told = read(&format!("local_payment_{kind}"), &local(&format!("local-payment-{kind}"), ""));
        let fact = only(&told);
        assert_eq!((fact.kind, name(fact)), (EventKind::PaymentClosed, "local_payment:PAY-1"), "{kind}");
        assert_eq!((&fact.amount, fact.platform_no.as_deref()), (&Amount::None, Some("PAY-1")));
        // Gone back to the payer: it may have been told as paid under another name.
        assert_eq!(held(&told), if kind == "reversed" { vec!["contradiction"] } else { vec![] });
    }
    // A transaction of that number is another payment's name.
    let told = read("transaction_settled", &transaction(&[("id", "<id>PAY-1</id>")]));
    assert_eq!(name(only(&told)), "PAY-1");
}

fn subscription(transactions: &[String]) -> String {
    format!(
        "<subscription><id>sub1</id><transactions type=\"array\">{}</transactions></subscription>",
        transactions.concat()
    )
}

#[test]
fn a_charge_of_a_subscription_is_what_its_transaction_says() {
    for (state, expected) in [
        ("submitted_for_settlement", EventKind::PaymentAuthorized),
        ("authorized", EventKind::PaymentAuthorized),
        ("settling", EventKind::PaymentAuthorized),
        ("authorizing", EventKind::PaymentPending),
        ("settlement_pending", EventKind::PaymentPending),
        ("settled", EventKind::PaymentSucceeded),
        ("failed", EventKind::Other),
        ("voided", EventKind::Other),
        ("brand_new", EventKind::Other),
    ] {
        let status = format!("<status>{state}</status>");
        let told = read("subscription_charged_successfully", &subscription(&[transaction(&[("status", &status)])]));
        assert_eq!(only(&told).kind, expected, "{state}");
        assert_eq!(told.platform_id, format!("{AT}:subscription_charged_successfully:sub1"));
        let is_odd = expected == EventKind::Other;
        assert_eq!(held(&told), if is_odd { vec!["contradiction"] } else { vec![] }, "{state}");
        if !is_odd {
            assert_eq!((name(only(&told)), minor(only(&told))), ("8xkr2q", usd(1_250)), "{state}");
        }
    }
    for state in ["failed", "processor_declined", "gateway_rejected", "settlement_declined"] {
        let status = format!("<status>{state}</status>");
        let told = read("subscription_charged_unsuccessfully", &subscription(&[transaction(&[("status", &status)])]));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::PaymentFailed, vec![]), "{state}");
    }
    let told = read("subscription_charged_unsuccessfully", &subscription(&[transaction(&[])]));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["contradiction"]));
    let told = read("subscription_charged_successfully", &subscription(&[]));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["missing_field"]));
    let credit = transaction(&[("type", "<type>credit</type>")]);
    assert_eq!(held(&read("subscription_charged_successfully", &subscription(&[credit]))), ["contradiction"]);
}

/// Older charges are listed beside the one that the message is about.
#[test]
fn of_several_charges_the_last_one_counts() {
    let at = |id: &str, time: &str| {
        let id = format!("<id>{id}</id>");
        let time = format!("<created-at type=\"datetime\">{time}</created-at>");
        transaction(&[("id", &id), ("created-at", &time)])
    };
    let (old, new) = (at("old", "2026-10-21T04:00:00Z"), at("new", "2026-11-21T03:59:58Z"));
    for list in [[new.clone(), old.clone()], [old.clone(), new.clone()]] {
        let told = read("subscription_charged_successfully", &subscription(&list));
        assert_eq!((name(only(&told)), held(&told)), ("new", vec![]));
    }
    for list in
        [[new.clone(), at("twin", "2026-11-21T03:59:58Z")], [new, transaction(&[])], [old, at("x", "yesterday")]]
    {
        let told = read("subscription_charged_successfully", &subscription(&list));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["ambiguous"]));
    }
}

fn dispute(status: &str, more: &str) -> String {
    format!(
        "<dispute><id>d1</id><amount>30.00</amount>{more}<currency-iso-code>USD</currency-iso-code>\
         <status>{status}</status><merchant-account-id>shop_usd</merchant-account-id><transaction><id>8xkr2q</id>\
         <amount>99.00</amount><order-id>T1001</order-id></transaction></dispute>"
    )
}

#[test]
fn each_state_of_a_dispute_is_a_fact() {
    for (word, status, kind) in [
        ("opened", "open", EventKind::DisputeOpened),
        ("under_review", "under_review", EventKind::DisputeUpdated),
        ("disputed", "disputed", EventKind::DisputeUpdated),
        ("expired", "expired", EventKind::DisputeUpdated),
        ("accepted", "accepted", EventKind::DisputeClosed),
        ("auto_accepted", "auto_accepted", EventKind::DisputeClosed),
        ("won", "won", EventKind::DisputeClosed),
        ("lost", "lost", EventKind::DisputeClosed),
    ] {
        let told = read(&format!("dispute_{word}"), &dispute(status, "<amount-disputed>25.00</amount-disputed>"));
        let fact = only(&told);
        assert_eq!((fact.kind, name(fact), held(&told)), (kind, format!("d1:{word}").as_str(), vec![]));
        assert_eq!((minor(fact), fact.order_no.as_deref()), (usd(2_500), Some("T1001")));
        assert_eq!(fact.payment.as_ref().map(Identity::as_str), Some("8xkr2q"));
        assert_eq!(minor(only(&read(&format!("dispute_{word}"), &dispute(status, "")))), usd(3_000));
        let told = read(&format!("dispute_{word}"), &dispute("other", ""));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["contradiction"]));
    }
    let told = read("dispute_forgotten", &dispute("forgotten", ""));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["unknown_value"]));
    let alone = dispute("won", "").replace("<transaction><id>8xkr2q</id>", "<transaction>");
    assert_eq!(held(&read("dispute_won", &alone)), ["missing_field"]);
}

fn disbursement(success: &str, more: &str) -> String {
    format!(
        "<disbursement><id>b1</id><transaction-ids type=\"array\"><item>8xkr2q</item></transaction-ids>\
         <success type=\"boolean\">{success}</success><merchant-account><id>shop_eur</id>\
         <currency-iso-code>EUR</currency-iso-code></merchant-account><amount>100.00</amount>{more}</disbursement>"
    )
}

#[test]
fn a_disbursement_is_a_transfer_to_the_merchant() {
    let told = read("disbursement", &disbursement("true", ""));
    let fact = only(&told);
    assert_eq!((fact.kind, name(fact), held(&told)), (EventKind::TransferSucceeded, "b1", vec![]));
    assert_eq!((minor(fact), fact.payee.as_deref()), (Some((10_000, "EUR".into())), Some("shop_eur")));
    assert_eq!((fact.order_no.as_deref(), fact.platform_no.as_deref()), (None, Some("b1")));
    let told =
        read("disbursement_exception", &disbursement("false", "<exception-message>bank_rejected</exception-message>"));
    assert_eq!((only(&told).kind, held(&told)), (EventKind::TransferFailed, vec![]));
    for (kind, success) in [("disbursement", "false"), ("disbursement_exception", "true"), ("disbursement", "yes")] {
        let told = read(kind, &disbursement(success, ""));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec!["contradiction"]), "{kind} {success}");
    }
    for (is, expected) in [("credit", EventKind::TransferSucceeded), ("debit", EventKind::Other)] {
        let told = read("disbursement", &disbursement("true", &format!("<disbursement-type>{is}</disbursement-type>")));
        assert_eq!((only(&told).kind, told.concerns.is_empty()), (expected, is == "credit"));
    }
    let foreign = disbursement("true", "").replace("shop_eur", "shop_gbp");
    assert_eq!(held(&read("disbursement", &foreign)), ["foreign_payee"]);
}

#[test]
fn what_has_no_money_meaning_is_kept_and_nothing_more() {
    let told = read("check", "<check type=\"boolean\">\n  true\n</check>");
    assert_eq!((only(&told).kind, held(&told), told.platform_kind.as_str()), (EventKind::Other, vec![], "check"));
    assert_eq!((&only(&told).amount, only(&told).order_no.as_deref()), (&Amount::None, None));
    assert!(told.platform_id.starts_with(AT) && told.platform_id.len() > 80, "{}", told.platform_id);
    for kind in
        ["subscription_went_active", "transaction_retried", "account_updater_daily_report", "oauth_access_revoked"]
    {
        let told = read(kind, &format!("<subscription><id>s1</id></subscription>{}", transaction(&[])));
        assert_eq!((only(&told).kind, held(&told)), (EventKind::Other, vec![]), "{kind}");
    }
    let told = read("transaction_teleported", &transaction(&[]));
    assert_eq!(told.concerns, [Concern::UnknownValue { field: "kind".into(), value: "transaction_teleported".into() }]);
    assert_eq!(only(&told).kind, EventKind::Other);
}

/// A repetition has the same name; another moment, kind, number or content has another.
#[test]
fn a_notification_is_known_by_its_moment_kind_and_number() {
    let one = document("transaction_settled", &transaction(&[]));
    let key = |document: &str| proven(&sent(document)).0.key();
    assert_eq!(key(&one), key(&one));
    // The same told in other words.
    assert_eq!(key(&one), key(&one.replace('\n', "")));
    for other in [
        one.replace(AT, "2026-11-21T04:00:01Z"),
        one.replace("transaction_settled", "transaction_disbursed"),
        one.replace("8xkr2q", "8xkr2r"),
        one.replace("12.50", "12.51"),
        one.replace("T1001", "T1002"),
    ] {
        assert_ne!(key(&one), key(&other), "{other}");
    }
    let check = |more: &str| key(&document("check", &format!("<check>{more}</check>")));
    assert_ne!(check("true"), check("TRUE"));
}

#[test]
fn a_moment_or_kind_that_cannot_be_read_is_held() {
    let one = document("transaction_settled", &transaction(&[]));
    for (from, to, expected) in [
        (AT, "yesterday", "unreadable_text"),
        (AT, "", "missing_field"),
        ("<kind>transaction_settled</kind>", "", "missing_field"),
        ("<kind>", "<kind>check</kind><kind>", "ambiguous"),
        ("<subject>", "<subject>text</subject><other>", "missing_field"),
    ] {
        let changed = one.replace(from, to).replace("<subject>text</subject><other>", "<other>");
        let changed = if changed.contains("<other>") { changed.replace("</subject>", "</other>") } else { changed };
        let (told, _) = proven(&sent(&changed));
        assert!(held(&told).contains(&expected), "{changed}: {:?}", told.concerns);
        assert!(!told.platform_id.is_empty() && told.platform_id.len() <= 256);
    }
    let long = "x".repeat(300);
    let told = read("transaction_settled", &transaction(&[("id", &format!("<id>{long}</id>"))]));
    assert!(told.platform_id.len() <= 256 && held(&told) == ["unknown_value"], "{told:?}");
    let told = read("transaction_settled", &transaction(&[("order-id", &format!("<order-id>{long}</order-id>"))]));
    assert_eq!((only(&told).order_no.as_deref(), held(&told)), (None, vec!["unknown_value"]));
    let told = read(&long, "<a/>");
    assert!(told.platform_kind.chars().count() <= 65 && held(&told) == ["unknown_value"], "{told:?}");
}
