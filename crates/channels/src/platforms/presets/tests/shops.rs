//! Lemon Squeezy and Shopify.

use super::*;

fn lemon(event: &str, test: &str, attributes: &str) -> String {
    format!(
        r#"{{"meta":{{"test_mode":{test},"event_name":"{event}","webhook_id":"w","custom_data":{{"order_no":"T1"}}}},"data":{{"type":"orders","id":"77","attributes":{{"store_id":1001,"identifier":"104e18a2","currency":"USD","total":1199,{attributes},"updated_at":"2026-11-21T03:59:59.000000Z"}}}}}}"#
    )
}

#[test]
fn lemon_squeezy_gives_back_in_totals() {
    for (event, test, attributes, expected) in [
        ("order_created", "false", r#""status":"paid""#, "payment.succeeded 77 11.99 USD of T1"),
        ("order_created", "false", r#""status":"pending""#, "payment.pending 77 11.99 USD of T1"),
        ("order_created", "false", r#""status":"failed""#, "payment.failed 77 11.99 USD of T1"),
        ("order_created", "false", r#""status":"fraudulent""#, "other of T1"),
        (
            "order_created",
            "true",
            r#""status":"paid""#,
            "payment.succeeded 77 11.99 USD of T1; held: foreign_environment",
        ),
        (
            "order_refunded",
            "false",
            r#""status":"refunded","refunded_amount":100"#,
            "refund.succeeded 77:total:100 total 1.00 USD of T1 for 77",
        ),
        (
            "order_refunded",
            "false",
            r#""status":"refunded","refunded_amount":1199"#,
            "refund.succeeded 77:total:1199 total 11.99 USD of T1 for 77",
        ),
        ("subscription_payment_success", "false", r#""status":"paid""#, "other of T1"),
    ] {
        check("lemon_squeezy", "1001", &[(&lemon(event, test, attributes), expected)]);
    }
    let foreign = lemon("order_created", "false", r#""status":"paid""#).replace("1001", "1002");
    check("lemon_squeezy", "1001", &[(&foreign, "payment.succeeded 77 11.99 USD of T1; held: foreign_payee")]);
    let untold = lemon("order_created", "false", r#""status":"paid""#).replace(r#""test_mode":false,"#, "");
    check("lemon_squeezy", "1001", &[(&untold, "payment.succeeded 77 11.99 USD of T1")]);
    let object = untold.replace(r#""event_name""#, r#""test_mode":{},"event_name""#);
    check("lemon_squeezy", "1001", &[(&object, "payment.succeeded 77 11.99 USD of T1; held: foreign_environment")]);
}

fn shopify(rest: &str) -> String {
    format!(
        r##"{{"id":450789469,"name":"#1001","order_number":1001,{rest},"updated_at":"2026-11-21T12:00:00+08:00"}}"##
    )
}

/// The topic says `orders/paid` every time, and decides nothing.
#[test]
fn shopify_is_believed_in_the_body_alone() {
    let order = |status: &str| {
        shopify(&format!(r#""financial_status":"{status}","currency":"USD","total_price":"199.00","test":false"#))
    };
    let cancelled = |status: &str| {
        order(status).replace(r#""test":false"#, r#""test":false,"cancelled_at":"2026-11-21T12:00:00+08:00""#)
    };
    for (body, expected) in [
        (order("paid"), "payment.succeeded 450789469 199.00 USD of 450789469"),
        (order("authorized"), "payment.authorized 450789469 199.00 USD of 450789469"),
        (order("pending"), "payment.pending 450789469 199.00 USD of 450789469"),
        (order("partially_paid"), "payment.pending 450789469 199.00 USD of 450789469"),
        (order("voided"), "payment.closed 450789469 199.00 USD of 450789469"),
        // Cancelled: no goods leave, whatever became of the money.
        (cancelled("pending"), "payment.closed 450789469 199.00 USD of 450789469"),
        (cancelled("authorized"), "payment.closed 450789469 199.00 USD of 450789469"),
        (cancelled("paid"), "other of 450789469; held: unknown_value"),
        (order("something_new"), "other of 450789469; held: unknown_value"),
        // That something was given back proves no refund: which, and how much of it, is not said.
        (order("partially_refunded"), "other of 450789469"),
        (
            order("paid").replace("false", "true"),
            "payment.succeeded 450789469 199.00 USD of 450789469; held: foreign_environment",
        ),
        (order("paid").replace("USD", "JPY"), "payment.succeeded 450789469 ? of 450789469; held: unreadable_amount"),
        (
            shopify(r#""order_id":1,"transactions":[]"#),
            "other of 450789469; held: missing_field; held: foreign_environment",
        ),
    ] {
        check("shopify", "shop-1", &[(&body, expected)]);
    }
}

/// The header is not signed: it chooses the channel, and a message with another one is refused.
#[test]
fn another_shops_message_is_not_this_shops() {
    let body = shopify(r#""financial_status":"paid","currency":"USD","total_price":"199.00","test":false"#);
    let verdict = channel("shopify", "shop-2", Environment::Live).verify(&signed("shopify", &body), now());
    assert!(matches!(verdict, Verdict::Refused(crate::channel::Rejection::UnknownMerchant { .. })), "{verdict:?}");
}
