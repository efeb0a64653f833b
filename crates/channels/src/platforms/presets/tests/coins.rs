//! Coinbase Commerce and Coinbase's checkouts.

use super::*;

fn charge(kind: &str, rest: &str) -> String {
    format!(
        r#"{{"id":"outer-1","scheduled_for":"2026-11-21T03:59:59Z","attempt_number":1,"event":{{"id":"ev-1","resource":"event","type":"{kind}","api_version":"2018-03-22","created_at":"2026-11-21T03:59:59Z","data":{{"id":"ch-1","code":"XA6G6ZFR",{rest}}}}}}}"#
    )
}

#[test]
fn a_charge_is_paid_when_the_chain_confirms_it() {
    const USD: &str = r#""pricing":{"local":{"amount":"1.00","currency":"USD"},"settlement":{"amount":"1","currency":"USDC"}},"metadata":{"order_no":"T1"}"#;
    for (kind, rest, expected) in [
        ("charge:created", USD, "payment.pending ch-1+XA6G6ZFR 1.00 USD of T1"),
        ("charge:pending", USD, "payment.pending ch-1+XA6G6ZFR 1.00 USD of T1"),
        ("charge:confirmed", USD, "payment.succeeded ch-1+XA6G6ZFR 1.00 USD of T1"),
        ("charge:resolved", USD, "payment.succeeded ch-1+XA6G6ZFR 1.00 USD of T1"),
        ("charge:failed", USD, "payment.failed ch-1+XA6G6ZFR 1.00 USD of T1"),
        ("charge:delayed", USD, "payment.pending ch-1+XA6G6ZFR 1.00 USD of T1"),
        (
            "charge:confirmed",
            r#""pricing":{"local":{"amount":"0.01","currency":"BTC"}},"metadata":{}"#,
            "payment.succeeded ch-1+XA6G6ZFR ? of XA6G6ZFR; held: unreadable_amount",
        ),
        (
            "charge:confirmed",
            r#""metadata":{}"#,
            "payment.succeeded ch-1+XA6G6ZFR ? of XA6G6ZFR; held: unreadable_amount",
        ),
        ("invoice:paid", USD, "other of T1"),
    ] {
        check("coinbase_commerce", "commerce-1", &[(&charge(kind, rest), expected)]);
    }
    // Another try has another outer number: the event inside is the same.
    let once = read("coinbase_commerce", "commerce-1", &charge("charge:confirmed", USD));
    let again = read("coinbase_commerce", "commerce-1", &charge("charge:confirmed", USD).replace("outer-1", "outer-2"));
    assert_eq!(once.key(), again.key());
}

#[test]
fn a_checkout_in_dollars_of_a_coin() {
    let checkout = |kind: &str, amount: &str, currency: &str| {
        format!(
            r#"{{"id":"691","amount":"{amount}","currency":"{currency}","network":"base","eventType":"{kind}","metadata":{{"order_no":"T1"}},"settlement":{{"netAmount":"98.75"}},"status":"COMPLETED","updatedAt":"2026-11-21T03:59:59Z"}}"#
        )
    };
    for (kind, amount, currency, expected) in [
        ("checkout.payment.success", "100.00", "USDC", "payment.succeeded 691 100.00 USD of T1"),
        ("checkout.payment.success", "100", "usdc", "payment.succeeded 691 100.00 USD of T1"),
        ("checkout.payment.success", "100.000000", "USDC", "payment.succeeded 691 100.00 USD of T1"),
        ("checkout.payment.success", "100.000001", "USDC", "payment.succeeded 691 ? of T1; held: unreadable_amount"),
        ("checkout.payment.success", "100.00", "EUR", "payment.succeeded 691 100.00 EUR of T1"),
        ("checkout.payment.success", "100.005", "USDC", "payment.succeeded 691 ? of T1; held: unreadable_amount"),
        ("checkout.payment.success", "100.00", "EURC", "payment.succeeded 691 ? of T1; held: unreadable_amount"),
        ("checkout.payment.failed", "100.00", "USDC", "payment.failed 691 100.00 USD of T1"),
        ("checkout.payment.expired", "100.00", "USDC", "payment.closed 691 100.00 USD of T1"),
    ] {
        check("coinbase_cdp", "cdp-1", &[(&checkout(kind, amount, currency), expected)]);
    }
    // Nobody has shown us one: the checkout's own amount is not what was given back.
    let refund = checkout("checkout.refund.success", "100.00", "USDC");
    let shown = shown(&read("coinbase_cdp", "cdp-1", &refund));
    assert!(shown.contains("held: missing_field") && shown.contains("held: unreadable_amount"), "{shown}");
}

/// `v1` covers headers that anybody may choose, and is not looked at.
#[test]
fn only_the_first_signature_of_a_checkout_counts() {
    let channel = channel("coinbase_cdp", "cdp-1", Environment::Live);
    let mut request = signed("coinbase_cdp", r#"{"id":"1","eventType":"x"}"#);
    assert!(matches!(channel.verify(&request, now()), Verdict::Genuine(_)));
    let header = request.headers["x-hook0-signature"].to_str().unwrap().replace(",v0=", ",v2=");
    request.headers.insert("x-hook0-signature", header.parse().unwrap());
    assert!(matches!(channel.verify(&request, now()), Verdict::Refused(_)));
}
