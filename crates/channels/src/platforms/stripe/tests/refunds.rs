//! Refunds and disputes.

use super::*;

fn refund(status: &str) -> Value {
    json!({
        "id": "re_1", "object": "refund", "amount": 300, "charge": "ch_1", "currency": "usd", "payment_intent": "pi_1",
        "status": status, "metadata": {},
    })
}

fn refunded(total: u64) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "amount": 1000, "amount_captured": 1000, "amount_refunded": total,
        "currency": "usd", "captured": true, "payment_intent": "pi_1", "metadata": { "order_id": "T1" },
    })
}

fn from(word: &str) -> Settings {
    settings().with("refunds_from", texts(&[word]))
}

#[test]
fn a_refund_goes_by_its_number_and_state() {
    for kind in ["refund.created", "refund.updated", "charge.refund.updated"] {
        let of = |status: &str| told(&event(kind, &refund(status)));
        assert_eq!(of("succeeded"), "refund.succeeded - 300USD re_1 |", "{kind}");
        assert_eq!(of("failed"), "refund.failed - 300USD re_1 |", "{kind}");
        assert_eq!(of("canceled"), "refund.failed - 300USD re_1 |", "{kind}");
        assert_eq!(of("pending"), "other - - evt_1 |", "{kind}");
        assert_eq!(of("requires_action"), "other - - evt_1 |", "{kind}");
        assert_eq!(of("done"), "other - - evt_1 | unknown_value", "{kind}");
    }
    assert_eq!(told(&event("refund.failed", &refund("failed"))), "refund.failed - 300USD re_1 |");
    assert_eq!(told(&event("refund.failed", &refund("succeeded"))), "other - - evt_1 | contradiction");
    assert_eq!(told(&event("refund.invented", &refund("succeeded"))), "other - - evt_1 | unknown_value");
    let notification = read(&event("refund.created", &refund("succeeded")));
    assert_eq!(notification.facts[0].payment.as_ref().map(crate::model::Identity::as_str), Some("pi_1"));
    let mut alone = refund("succeeded");
    alone["payment_intent"] = Value::Null;
    let notification = read(&event("refund.created", &alone));
    assert_eq!(notification.facts[0].payment.as_ref().map(crate::model::Identity::as_str), Some("ch_1"));
    alone["charge"] = Value::Null;
    assert_eq!(told(&event("refund.created", &alone)), "refund.succeeded - 300USD re_1 | missing_field");
}

/// Nothing ties a running total to a refund's number, so somebody says which of the two is heard.
#[test]
fn a_running_total_is_told_only_where_nobody_else_tells_refunds() {
    let total = event("charge.refunded", &refunded(300));
    let cumulative = "refund.succeeded T1 +300USD@pi_1 pi_1:total:300 |";
    assert_eq!(told_by(&from("charge"), &total), cumulative);
    assert_eq!(told(&total), format!("{cumulative} missing_field"));
    assert_eq!(told_by(&from("refund"), &total), "other - - evt_1 |");
    let second = event("charge.refunded", &refunded(500));
    assert_eq!(told_by(&from("charge"), &second), "refund.succeeded T1 +500USD@pi_1 pi_1:total:500 |");
    let odd = with(total, "/data/object/amount_refunded", json!("300"));
    assert_eq!(told_by(&from("charge"), &odd), "other - - evt_1 | unreadable_amount");
    let created = event("refund.created", &refund("succeeded"));
    assert_eq!(told_by(&from("charge"), &created), "other - - evt_1 |");
    assert_eq!(told_by(&from("refund"), &created), "refund.succeeded - 300USD re_1 |");
    // A refund that fails later is told by nobody else.
    let failed = event("refund.failed", &refund("failed"));
    assert_eq!(told_by(&from("charge"), &failed), "refund.failed - 300USD re_1 |");
}

/// An authorisation that is given up is told as a refund, of which no money came back.
#[test]
fn what_was_never_taken_is_not_given_back() {
    let released = with(refunded(1000), "/captured", json!(false));
    for settings in [settings(), from("refund"), from("charge")] {
        let told = told_by(&settings, &event("charge.refunded", &released));
        assert_eq!(told, "payment.closed T1 - pi_1,ch_1 |");
    }
    let by = settings().with("payments_from", texts(&["payment_intent"]));
    assert_eq!(told_by(&by, &event("charge.refunded", &released)), "other - - evt_1 |");
    let silent = with(refunded(1000), "/captured", Value::Null);
    assert_eq!(told(&event("charge.refunded", &silent)), "other - - evt_1 | missing_field");
    // Of what was taken in part the total holds what was not taken, too.
    let part = with(refunded(400), "/amount", json!(1300));
    let held = told_by(&from("charge"), &event("charge.refunded", &part));
    assert_eq!(held, "refund.succeeded T1 ? pi_1:total:400 | unreadable_amount");
}

#[test]
fn a_total_with_its_refunds_names_the_latest() {
    let mut charge = refunded(500);
    charge["refunds"] = json!({ "object": "list", "data": [
        { "id": "re_2", "amount": 200, "currency": "usd", "status": "succeeded" },
        { "id": "re_1", "amount": 300, "currency": "usd", "status": "succeeded" },
    ] });
    for settings in [settings(), from("refund"), from("charge")] {
        let told = told_by(&settings, &event("charge.refunded", &charge));
        assert_eq!(told, "refund.succeeded T1 200USD re_2 |");
    }
    charge["refunds"]["data"][0]["status"] = json!("pending");
    assert_eq!(told(&event("charge.refunded", &charge)), "other - - evt_1 |");
    // Once it has reached the payer, its own event tells it, in the versions that list refunds.
    let of = |kind: &str, version: &str| {
        told_by(&from("charge"), &with(event(kind, &refund("succeeded")), "/api_version", json!(version)))
    };
    assert_eq!(of("charge.refund.updated", "2022-08-01"), "refund.succeeded - 300USD re_1 |");
    assert_eq!(of("charge.refund.updated", "2022-11-15"), "other - - evt_1 |");
    assert_eq!(of("refund.updated", "2025-03-31.basil"), "other - - evt_1 |");
}

#[test]
fn a_dispute_is_told_anew_in_every_state() {
    let dispute = |status: &str| {
        json!({
            "id": "du_1", "object": "dispute", "amount": 1000, "charge": "ch_1", "currency": "usd",
            "payment_intent": "pi_1", "status": status, "metadata": {},
        })
    };
    let of = |kind: &str, status: &str| told(&event(&format!("charge.dispute.{kind}"), &dispute(status)));
    assert_eq!(of("created", "needs_response"), "dispute.opened - 1000USD du_1:needs_response |");
    assert_eq!(of("updated", "under_review"), "dispute.updated - 1000USD du_1:under_review |");
    assert_eq!(of("updated", "appeal_under_review"), "dispute.updated - 1000USD du_1:appeal_under_review |");
    assert_eq!(of("funds_withdrawn", "needs_response"), "dispute.updated - 1000USD du_1:funds_withdrawn |");
    assert_eq!(of("funds_reinstated", "won"), "dispute.updated - 1000USD du_1:funds_reinstated |");
    assert_eq!(of("closed", "won"), "dispute.closed - 1000USD du_1:won |");
    assert_eq!(of("closed", "lost"), "dispute.closed - 1000USD du_1:lost |");
    assert_eq!(of("closed", "warning_closed"), "dispute.closed - 1000USD du_1:warning_closed |");
    assert_eq!(of("closed", "under_review"), "other - - evt_1 | contradiction");
    assert_eq!(of("created", "angry"), "other - - evt_1 | unknown_value");
    assert_eq!(of("invented", "won"), "other - - evt_1 | unknown_value");
    let notification = read(&event("charge.dispute.created", &dispute("needs_response")));
    assert_eq!(notification.facts[0].payment.as_ref().map(crate::model::Identity::as_str), Some("pi_1"));
    assert_eq!(notification.facts[0].platform_no.as_deref(), Some("du_1"));
}
