//! Paddle, Worldline, `GoCardless`, Standard Webhooks.

use super::*;
use crate::channel::{Likeness, Rejection};

fn paddle(kind: &str, data: &str) -> String {
    format!(
        r#"{{"event_id":"evt_1","event_type":"{kind}","occurred_at":"2026-11-21T03:59:59.112Z","notification_id":"ntf_1","data":{{{data}}}}}"#
    )
}

#[test]
fn paddle_tells_a_payment_twice() {
    let transaction = |currency: &str, total: &str| {
        format!(
            r#""id":"txn_1","status":"paid","currency_code":"{currency}","custom_data":{{"order_no":"T1"}},"details":{{"totals":{{"total":"2500","credit":"500","grand_total":"{total}","currency_code":"{currency}"}}}}"#
        )
    };
    let usd = transaction("USD", "2000");
    let adjustment = |action: &str, status: &str| {
        format!(
            r#""id":"adj_1","action":"{action}","status":"{status}","transaction_id":"txn_1","currency_code":"USD","totals":{{"total":"100","currency_code":"USD"}}"#
        )
    };
    for (kind, data, expected) in [
        ("transaction.paid", usd.clone(), "payment.succeeded txn_1 20.00 USD of T1"),
        (
            "transaction.completed",
            usd.clone(),
            "payment.finalized txn_1 20.00 USD of T1 for txn_1; payment.succeeded txn_1 20.00 USD of T1",
        ),
        ("transaction.payment_failed", usd.clone(), "payment.failed txn_1 20.00 USD of T1"),
        ("transaction.canceled", usd.clone(), "payment.closed txn_1 20.00 USD of T1"),
        ("transaction.updated", usd, "other of T1"),
        ("transaction.paid", transaction("JPY", "2000"), "payment.succeeded txn_1 2000 JPY of T1"),
        (
            "transaction.paid",
            r#""id":"txn_1","currency_code":"USD","custom_data":null"#.to_owned(),
            "payment.succeeded txn_1 ?; held: unreadable_amount",
        ),
        (
            "transaction.completed",
            r#""id":"txn_1","currency_code":"USD","custom_data":null"#.to_owned(),
            "payment.finalized txn_1 for txn_1; payment.succeeded txn_1 ?; held: unreadable_amount",
        ),
        ("adjustment.created", adjustment("refund", "pending_approval"), "other"),
        ("adjustment.created", adjustment("refund", "approved"), "refund.succeeded adj_1 1.00 USD for txn_1"),
        ("adjustment.updated", adjustment("refund", "approved"), "refund.succeeded adj_1 1.00 USD for txn_1"),
        ("adjustment.updated", adjustment("refund", "rejected"), "refund.failed adj_1 1.00 USD for txn_1"),
        ("adjustment.created", adjustment("credit", "approved"), "other"),
        (
            "adjustment.created",
            adjustment("chargeback", "approved"),
            "dispute.opened adj_1:approved 1.00 USD for txn_1",
        ),
        (
            "adjustment.updated",
            adjustment("chargeback", "reversed"),
            "dispute.updated adj_1:reversed 1.00 USD for txn_1",
        ),
        (
            "payout.paid",
            r#""id":"pay_1","status":"paid","amount":"100","currency_code":"USD""#.to_owned(),
            "transfer.succeeded pay_1 1.00 USD",
        ),
        (
            "payout.created",
            r#""id":"pay_1","status":"unpaid","amount":"100","currency_code":"USD""#.to_owned(),
            "other",
        ),
    ] {
        check("paddle", "1000001", &[(&paddle(kind, &data), expected)]);
    }
}

/// Five seconds on either side, and any of several h1.
#[test]
fn paddles_window_is_narrow() {
    let channel = channel("paddle", "1000001", Environment::Live);
    let mut request = signed("paddle", &paddle("x", ""));
    let at = |seconds: i64| now() + jiff::SignedDuration::from_secs(seconds);
    for (seconds, is_fresh) in [(0, true), (5, true), (6, false), (-5, true), (-6, false)] {
        let verdict = channel.verify(&request, at(seconds));
        assert_eq!(matches!(verdict, Verdict::Genuine(_)), is_fresh, "{seconds}: {verdict:?}");
    }
    let header = request.headers["paddle-signature"].to_str().unwrap().to_owned();
    let (time, own) = header.split_once(';').unwrap();
    let other = format!("h1={}", "0".repeat(64));
    for (header, is_genuine) in [
        (format!("{time};{other};{own}"), true),
        (format!("{time};{own};{other}"), true),
        (format!("{time};{other};{other}"), false),
        (format!("{time};{time};{own}"), true),
        (format!("{time};ts=1;{own}"), false),
    ] {
        request.headers.insert("paddle-signature", header.parse().unwrap());
        let verdict = channel.verify(&request, now());
        assert_eq!(matches!(verdict, Verdict::Genuine(_)), is_genuine, "{header}: {verdict:?}");
    }
}

fn worldline(kind: &str, merchant: &str, rest: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","id":"ev-1","created":"2026-11-21T03:59:59.112+0000","merchantId":"{merchant}","type":"{kind}",{rest}}}"#
    )
}

#[test]
fn worldline_tells_captures() {
    let payment = r#""payment":{"id":"3066_0","paymentOutput":{"amountOfMoney":{"amount":1000,"currencyCode":"EUR"},"references":{"merchantReference":"T1"}},"status":"CAPTURED"}"#;
    let refund = r#""refund":{"id":"3066_1","refundOutput":{"amountOfMoney":{"amount":500,"currencyCode":"EUR"},"references":{"merchantReference":"T1"}}}"#;
    for (kind, rest, expected) in [
        ("payment.captured", payment, "payment.succeeded 3066_0 10.00 EUR of T1"),
        ("payment.pending_capture", payment, "payment.authorized 3066_0 10.00 EUR of T1"),
        ("payment.created", payment, "payment.pending 3066_0 10.00 EUR of T1"),
        ("payment.rejected", payment, "payment.failed 3066_0 10.00 EUR of T1"),
        ("payment.cancelled", payment, "payment.closed 3066_0 10.00 EUR of T1"),
        ("payment.refunded", refund, "refund.succeeded 3066_1 5.00 EUR"),
        // Were the payment told again in place of the refund, nobody would know how much went back.
        ("payment.refunded", payment, "refund.succeeded ev-1 ?; held: unreadable_amount; held: missing_field"),
        ("token.created", payment, "other"),
    ] {
        check("worldline", "m1", &[(&worldline(kind, "m1", rest), expected)]);
    }
    check("worldline", "m1", &[(&worldline("token.created", "m2", payment), "other; held: foreign_payee")]);
    let mut request = signed("worldline", &worldline("token.created", "m1", payment));
    request.headers.insert("x-gcs-keyid", "webhooks-key-2".parse().unwrap());
    let verdict = channel("worldline", "m1", Environment::Live).verify(&request, now());
    assert!(matches!(verdict, Verdict::Refused(Rejection::UnknownKey { .. })), "{verdict:?}");
}

#[test]
fn one_gateway_may_be_anothers_source() {
    let event = |kind: &str, data: &str| {
        format!(r#"{{"type":"{kind}","timestamp":"2026-11-21T03:59:59Z","data":{{"merchant":"sender-1",{data}}}}}"#)
    };
    let paid = r#""order_no":"T1","platform_no":"P1","amount":{"minor":1000,"currency":"CNY","text":"10.00"}"#;
    for (kind, data, expected) in [
        ("payment.succeeded", paid, "payment.succeeded msg_1 10.00 CNY of T1"),
        ("refund.succeeded", paid, "refund.succeeded msg_1 10.00 CNY of T1"),
        ("payment.failed", r#""order_no":"T1","amount":null"#, "payment.failed msg_1 of T1"),
        ("invoice.paid", paid, "other of T1"),
        ("payment.succeeded", r#""amount":{"value":1}"#, "payment.succeeded msg_1 ?; held: unreadable_amount"),
    ] {
        for sender in ["standard_webhooks", "standard_webhooks_v1a"] {
            check(sender, "sender-1", &[(&event(kind, data), expected)]);
        }
    }
}

/// A test payment of one gateway is none that another one ships for, and every kind of its events has a meaning.
#[test]
fn a_gateway_is_read_by_its_own_words() {
    let event = |kind: &str, environment: &str| {
        format!(
            r#"{{"type":"{kind}","timestamp":"2026-11-21T03:59:59Z","data":{{"merchant":"sender-1","channel":"shop","platform_no":"P1","order_no":"T1",{environment}"amount":{{"minor":1000,"currency":"CNY"}}}}}}"#
        )
    };
    let (live, sandbox) = (r#""environment":"live","#, r#""environment":"sandbox","#);
    for sender in ["standard_webhooks", "standard_webhooks_v1a"] {
        for (own, environment, is_held) in [
            (Environment::Live, live, false),
            (Environment::Live, sandbox, true),
            (Environment::Live, r#""environment":"test","#, true),
            (Environment::Live, "", false),
            (Environment::Sandbox, sandbox, false),
            (Environment::Sandbox, live, true),
            (Environment::Sandbox, "", false),
        ] {
            let request = signed(sender, &event("payment.succeeded", environment));
            let Verdict::Genuine(proven) = channel(sender, "sender-1", own).verify(&request, now()) else { panic!() };
            let concerns = proven.into_parts().0.concerns;
            assert_eq!(
                concerns.iter().any(|concern| concern.word() == "foreign_environment"),
                is_held,
                "{environment}"
            );
        }
        for kind in crate::model::EventKind::ALL {
            let found = read(sender, "sender-1", &event(kind.as_str(), live));
            assert_eq!((found.facts[0].kind, found.concerns.as_slice()), (*kind, &[][..]), "{sender}: {kind}");
        }
        let paid = read(sender, "sender-1", &event("payment.succeeded", live));
        assert_eq!(shown(&paid), "payment.succeeded shop:P1+msg_1 10.00 CNY of T1");
        let refund = read(sender, "sender-1", &event("refund.succeeded", live));
        assert_eq!(
            shown(&refund),
            "refund.succeeded msg_1 10.00 CNY of T1",
            "two refunds may share their payment's number"
        );
    }
}

/// One header for both schemes: each channel takes only messages with a signature of its own.
#[test]
fn the_schemes_of_one_header_are_told_apart() {
    let kinds = ["standard_webhooks", "standard_webhooks_v1a"];
    let channels = kinds.map(|kind| channel(kind, "sender-1", Environment::Live));
    for (at, kind) in kinds.into_iter().enumerate() {
        let mut request = signed(kind, r#"{"type":"x","timestamp":"2026-11-21T03:59:59Z"}"#);
        // As the test signs it, there is one of the other scheme beside it.
        let both = request.headers["webhook-signature"].to_str().unwrap().to_owned();
        assert!(channels.iter().all(|channel| channel.recognise(&request) == Likeness::Merchant), "{kind}");
        let own = both.split(' ').nth(1).unwrap();
        request.headers.insert("webhook-signature", own.parse().unwrap());
        assert_eq!(channels[at].recognise(&request), Likeness::Merchant, "{kind}");
        assert_eq!(channels[1 - at].recognise(&request), Likeness::No, "{kind}");
        assert!(matches!(channels[at].verify(&request, now()), Verdict::Genuine(_)), "{kind}");
        assert!(matches!(channels[1 - at].verify(&request, now()), Verdict::Refused(_)), "{kind}");
    }
}

/// A batch of one event.
fn gocardless(resource: &str, action: &str, links: &str) -> String {
    format!(
        r#"{{"events":[{{"id":"EV1","created_at":"2026-11-21T03:59:59.000Z","resource_type":"{resource}","action":"{action}","links":{{{links}}},"details":{{"origin":"gocardless","cause":"x"}},"resource_metadata":{{"order_no":"T1"}}}}],"meta":{{"webhook_id":"WB1"}}}}"#
    )
}

#[test]
fn gocardless_tells_batches_without_amounts() {
    let (payment, refund) = (r#""payment":"PM1""#, r#""refund":"RF1","payment":"PM1""#);
    for (resource, action, links, expected) in [
        ("payments", "submitted", payment, "payment.pending PM1 of T1"),
        ("payments", "confirmed", payment, "payment.succeeded PM1 of T1"),
        ("payments", "paid_out", payment, "payment.finalized PM1 of T1 for PM1; payment.succeeded PM1 of T1"),
        ("payments", "failed", payment, "payment.failed PM1 of T1; dispute.opened PM1:failed:EV1 of T1 for PM1"),
        ("payments", "cancelled", payment, "payment.closed PM1 of T1"),
        ("payments", "charged_back", payment, "dispute.opened PM1:charged_back:EV1 of T1 for PM1"),
        ("payments", "late_failure_settled", payment, "dispute.closed PM1:late_failure_settled:EV1 of T1 for PM1"),
        ("refunds", "paid", refund, "refund.succeeded RF1 of T1 for PM1"),
        ("refunds", "refund_settled", refund, "refund.succeeded RF1 of T1 for PM1"),
        ("refunds", "failed", refund, "refund.failed RF1 of T1 for PM1"),
        ("refunds", "funds_returned", refund, "refund.failed RF1 of T1 for PM1"),
        ("payouts", "paid", r#""payout":"PO1""#, "transfer.succeeded PO1 of T1"),
        // The same words of other things say nothing about money.
        ("mandates", "failed", r#""mandate":"MD1""#, "other of T1"),
        ("mandates", "cancelled", r#""mandate":"MD1""#, "other of T1"),
        ("payments", "confirmed", "", "payment.succeeded EV1 of T1; held: missing_field"),
    ] {
        check("gocardless", "CR1", &[(&gocardless(resource, action, links), expected)]);
    }
}

/// A batch comes again in another company: each event is one fact, whichever batch it stands in.
#[test]
fn an_event_of_a_batch_is_one_fact_in_every_batch() {
    let event = |id: &str, action: &str| {
        format!(r#"{{"id":"EV{id}","resource_type":"payments","action":"{action}","links":{{"payment":"PM{id}"}}}}"#)
    };
    let batch = |events: &[String]| format!(r#"{{"events":[{}],"meta":{{"webhook_id":"WB1"}}}}"#, events.join(","));
    let first = read("gocardless", "CR1", &batch(&[event("1", "confirmed"), event("2", "failed")]));
    assert_eq!(shown(&first), "payment.succeeded PM1; payment.failed PM2; dispute.opened PM2:failed:EV2 for PM2");
    let again = read("gocardless", "CR1", &batch(&[event("3", "cancelled"), event("1", "confirmed")]));
    assert_ne!(first.key(), again.key());
    assert_eq!(first.facts[0].identity, again.facts[1].identity);
    assert_eq!(shown(&read("gocardless", "CR1", &batch(&[]))), "other");
}
