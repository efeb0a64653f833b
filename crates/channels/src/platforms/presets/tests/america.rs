//! Razorpay, Square, Checkout.com, Airwallex.

use super::*;

/// A webhook of a payment, an order or a payment link; `{}` is where the parts differ.
fn razorpay(event: &str, payload: &str) -> String {
    format!(
        r#"{{"entity":"event","account_id":"acc_1","event":"{event}","contains":["payment"],"payload":{{{payload}}},"created_at":1747197134}}"#
    )
}

const PAYMENT: &str = r#""payment":{"entity":{"id":"pay_1","entity":"payment","amount":5500,"currency":"INR","status":"captured","order_id":"order_1","amount_refunded":0,"captured":true,"notes":[],"created_at":1747197130}}"#;
const NOTED: &str = r#""payment":{"entity":{"id":"pay_2","amount":500,"currency":"JPY","order_id":"order_2","notes":{"order_no":"T1"}}}"#;
const REFUND: &str = r#""payment":{"entity":{"id":"pay_1","amount":5500,"currency":"INR","order_id":"order_1","notes":[]}},"refund":{"entity":{"id":"rfnd_1","amount":1000,"currency":"INR","payment_id":"pay_1"}}"#;
const DISPUTE: &str = r#""payment":{"entity":{"id":"pay_1","notes":[]}},"dispute":{"entity":{"id":"disp_1","payment_id":"pay_1","amount":5500,"currency":"INR"}}"#;

#[test]
fn razorpay_tells_one_payment_in_several_webhooks() {
    let order = format!(r#"{PAYMENT},"order":{{"entity":{{"id":"order_1","amount":5500,"receipt":null}}}}"#);
    let link = format!(r#"{PAYMENT},"payment_link":{{"entity":{{"id":"plink_1"}}}}"#);
    for (event, payload) in [("payment.captured", PAYMENT), ("order.paid", &order), ("payment_link.paid", &link)] {
        check("razorpay", "acc_1", &[(&razorpay(event, payload), "payment.succeeded pay_1 55.00 INR of order_1")]);
    }
    let cases = [
        ("payment.captured", NOTED, "payment.succeeded pay_2 500 JPY of T1"),
        // The status beside it says captured: money is what the capture tells.
        ("payment.authorized", PAYMENT, "payment.authorized pay_1 55.00 INR of order_1"),
        ("payment.failed", PAYMENT, "payment.failed pay_1 55.00 INR of order_1"),
        ("refund.processed", REFUND, "refund.succeeded rfnd_1 10.00 INR of order_1 for pay_1"),
        ("refund.failed", REFUND, "refund.failed rfnd_1 10.00 INR of order_1 for pay_1"),
        ("refund.created", REFUND, "other of order_1"),
        ("payment.dispute.created", DISPUTE, "dispute.opened disp_1:payment.dispute.created 55.00 INR for pay_1"),
        ("payment.dispute.lost", DISPUTE, "dispute.closed disp_1:payment.dispute.lost 55.00 INR for pay_1"),
        (
            "payout.processed",
            r#""payout":{"entity":{"id":"pout_1","amount":100,"currency":"INR","reference_id":"S1"}}"#,
            "transfer.succeeded pout_1 1.00 INR of S1",
        ),
        ("payment.downtime.started", r#""payment.downtime":{}"#, "other"),
    ];
    for (event, payload, expected) in cases {
        check("razorpay", "acc_1", &[(&razorpay(event, payload), expected)]);
    }
    let foreign = razorpay("payment.captured", PAYMENT);
    check("razorpay", "acc_2", &[(&foreign, "payment.succeeded pay_1 55.00 INR of order_1; held: foreign_payee")]);
    let without =
        razorpay("payment.captured", r#""payment":{"entity":{"id":"pay_1","amount":"5500","currency":"INR"}}"#);
    check("razorpay", "acc_1", &[(&without, "payment.succeeded pay_1 ?; held: unreadable_amount")]);
}

fn square(kind: &str, object: &str) -> String {
    format!(
        r#"{{"merchant_id":"M1","location_id":"L1","type":"{kind}","event_id":"e-1","created_at":"2026-11-21T03:59:59.123Z","data":{{"type":"payment","id":"X","object":{{{object}}}}}}}"#
    )
}

#[test]
fn square_says_by_the_status_what_happened() {
    let payment = |status: &str| {
        format!(
            r#""payment":{{"id":"pay1","status":"{status}","amount_money":{{"amount":1000,"currency":"USD"}},"total_money":{{"amount":1200,"currency":"USD"}},"order_id":"SQ1","reference_id":"T1"}}"#
        )
    };
    for (status, kind) in [
        ("COMPLETED", "payment.succeeded"),
        ("APPROVED", "payment.authorized"),
        ("CANCELED", "payment.closed"),
        ("FAILED", "payment.failed"),
        ("PENDING", "payment.pending"),
    ] {
        for event in ["payment.created", "payment.updated"] {
            check("square", "M1", &[(&square(event, &payment(status)), &format!("{kind} pay1 12.00 USD of T1"))]);
        }
    }
    let refund = |status: &str| {
        format!(
            r#""refund":{{"id":"ref1","payment_id":"pay1","order_id":"SQ1","status":"{status}","amount_money":{{"amount":300,"currency":"JPY"}}}}"#
        )
    };
    let dispute = |state: &str| {
        format!(
            r#""dispute":{{"id":"dp1","state":"{state}","disputed_payment":{{"payment_id":"pay1"}},"amount_money":{{"amount":300,"currency":"USD"}}}}"#
        )
    };
    let payout = r#""payout":{"id":"po1","amount_money":{"amount":-5,"currency":"USD"}}"#;
    for (event, object, expected) in [
        ("payment.updated", payment("UNHEARD_OF"), "other of T1"),
        ("refund.created", refund("PENDING"), "other"),
        ("refund.updated", refund("COMPLETED"), "refund.succeeded ref1 300 JPY of SQ1 for pay1"),
        ("refund.updated", refund("REJECTED"), "refund.failed ref1 300 JPY of SQ1 for pay1"),
        ("dispute.created", dispute("EVIDENCE_REQUIRED"), "dispute.opened dp1:EVIDENCE_REQUIRED 3.00 USD for pay1"),
        ("dispute.state.updated", dispute("PROCESSING"), "dispute.updated dp1:PROCESSING 3.00 USD for pay1"),
        ("dispute.state.updated", dispute("WON"), "dispute.closed dp1:WON 3.00 USD for pay1"),
        ("payout.sent", payout.to_owned(), "other"),
        // Money that goes the other way is nothing that was paid out.
        ("payout.paid", payout.to_owned(), "transfer.succeeded po1 ?; held: unreadable_amount"),
        ("invoice.payment_made", payment("COMPLETED"), "other of T1"),
    ] {
        check("square", "M1", &[(&square(event, &object), expected)]);
    }
}

/// The address is part of what is signed: another one, even by a slash, is another signature.
#[test]
fn squares_address_is_signed() {
    let request = signed("square", &square("payment.updated", ""));
    let preset = by_kind("square").unwrap();
    for (url, is_genuine) in [
        ("https://pay.example.com/notify/square", true),
        ("https://pay.example.com/notify/square/", false),
        ("http://pay.example.com/notify/square", false),
    ] {
        let settings = Settings::new(Environment::Live)
            .with("account", SettingValue::Text("M1".to_owned()))
            .with("notification_url", SettingValue::Text(url.to_owned()))
            .with("secret", SettingValue::Key(SECRET.as_bytes().to_vec().into()));
        let verdict = preset.build(&settings).unwrap().verify(&request, now());
        assert_eq!(matches!(verdict, Verdict::Genuine(_)), is_genuine, "{url}: {verdict:?}");
    }
}

fn checkout(kind: &str, data: &str) -> String {
    format!(
        r#"{{"id":"evt_1","type":"{kind}","version":"1.0.0","created_on":"2026-11-21T03:59:59Z","data":{{{data}}},"_links":{{}}}}"#
    )
}

#[test]
fn checkout_com_takes_money_with_the_capture() {
    let data = |amount: &str| {
        format!(r#""id":"pay_1","action_id":"act_1","reference":"T1",{amount},"response_code":"10000","metadata":{{}}"#)
    };
    let usd = data(r#""amount":1099,"currency":"USD""#);
    let dispute = r#""id":"dsp_1","payment_id":"pay_1","payment_reference":"T1","amount":1099,"currency":"USD""#;
    for (kind, data, expected) in [
        ("payment_pending", usd.clone(), "payment.pending pay_1 10.99 USD of T1"),
        ("payment_approved", usd.clone(), "payment.authorized pay_1 10.99 USD of T1"),
        ("payment_captured", usd.clone(), "payment.succeeded pay_1 10.99 USD of T1"),
        ("payment_declined", usd.clone(), "payment.failed pay_1 10.99 USD of T1"),
        ("payment_voided", usd.clone(), "payment.closed pay_1 10.99 USD of T1"),
        ("payment_refunded", usd.clone(), "refund.succeeded act_1 10.99 USD of T1 for pay_1"),
        ("payment_refund_declined", usd.clone(), "refund.failed act_1 10.99 USD of T1 for pay_1"),
        ("payment_chargeback", usd, "dispute.opened act_1:payment_chargeback 10.99 USD of T1 for pay_1"),
        ("dispute_received", dispute.to_owned(), "dispute.opened dsp_1:dispute_received 10.99 USD of T1 for pay_1"),
        ("dispute_lost", dispute.to_owned(), "dispute.closed dsp_1:dispute_lost 10.99 USD of T1 for pay_1"),
        // Pesos come in hundredths that end in 00, crowns in whole units, dinars in thousandths.
        ("payment_captured", data(r#""amount":500000,"currency":"CLP""#), "payment.succeeded pay_1 5000 CLP of T1"),
        (
            "payment_captured",
            data(r#""amount":500001,"currency":"CLP""#),
            "payment.succeeded pay_1 ? of T1; held: unreadable_amount",
        ),
        ("payment_captured", data(r#""amount":5000,"currency":"ISK""#), "payment.succeeded pay_1 5000 ISK of T1"),
        ("payment_captured", data(r#""amount":5000,"currency":"JPY""#), "payment.succeeded pay_1 5000 JPY of T1"),
        ("payment_captured", data(r#""amount":5000,"currency":"KWD""#), "payment.succeeded pay_1 5.000 KWD of T1"),
        (
            "payment_captured",
            data(r#""amount":50.5,"currency":"USD""#),
            "payment.succeeded pay_1 ? of T1; held: unreadable_amount",
        ),
        ("card_verified", r#""id":"x""#.to_owned(), "other"),
    ] {
        check("checkout_com", "cli_1", &[(&checkout(kind, &data), expected)]);
    }
}

fn airwallex(name: &str, account: &str, object: &str) -> String {
    format!(
        r#"{{"id":"evt_1","name":"{name}",{account},"created_at":"2026-11-21T03:59:59+0000","data":{{"object":{{{object}}}}}}}"#
    )
}

#[test]
fn airwallex_names_what_was_captured() {
    const OWN: &str = r#""account_id":"acct_1""#;
    let intent = |amounts: &str| format!(r#""id":"int_1","merchant_order_id":"T1",{amounts},"status":"X""#);
    let usd = intent(r#""amount":16.66,"captured_amount":10.5,"currency":"USD""#);
    let refund = r#""id":"rfd_1","payment_intent_id":"int_1","amount":1,"currency":"USD""#;
    for (name, account, object, expected) in [
        ("payment_intent.succeeded", OWN, usd.as_str(), "payment.succeeded int_1 10.50 USD of T1"),
        ("payment_intent.requires_capture", OWN, &usd, "payment.authorized int_1 16.66 USD of T1"),
        ("payment_intent.cancelled", OWN, &usd, "payment.closed int_1 16.66 USD of T1"),
        ("payment_intent.created", OWN, &usd, "other of T1"),
        (
            "payment_attempt.failed_to_process",
            OWN,
            r#""id":"att_1","payment_intent_id":"int_1","amount":16.66,"currency":"USD""#,
            "payment.failed int_1 16.66 USD",
        ),
        ("refund.settled", OWN, refund, "refund.succeeded rfd_1 1.00 USD for int_1"),
        ("refund.accepted", OWN, refund, "other"),
        ("payment_dispute.lost", OWN, refund, "dispute.closed rfd_1:payment_dispute.lost 1.00 USD for int_1"),
        // Older versions of the API write the account otherwise.
        ("refund.failed", r#""accountId":"acct_1""#, refund, "refund.failed rfd_1 1.00 USD for int_1"),
        (
            "refund.failed",
            r#""accountId":"acct_2""#,
            refund,
            "refund.failed rfd_1 1.00 USD for int_1; held: foreign_payee",
        ),
        (
            "payment_intent.succeeded",
            OWN,
            &intent(r#""captured_amount":1000,"currency":"JPY""#),
            "payment.succeeded int_1 1000 JPY of T1",
        ),
        (
            "payment_intent.succeeded",
            OWN,
            &intent(r#""captured_amount":1.234,"currency":"KWD""#),
            "payment.succeeded int_1 1.234 KWD of T1",
        ),
        (
            "payment_intent.succeeded",
            OWN,
            &intent(r#""captured_amount":10.505,"currency":"USD""#),
            "payment.succeeded int_1 ? of T1; held: unreadable_amount",
        ),
        (
            "payment_intent.succeeded",
            OWN,
            &intent(r#""captured_amount":1E+1,"currency":"USD""#),
            "payment.succeeded int_1 ? of T1; held: unreadable_amount",
        ),
    ] {
        check("airwallex", "acct_1", &[(&airwallex(name, account, object), expected)]);
    }
}
