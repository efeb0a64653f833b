//! What events assert.

use super::*;
use crate::model::{EventKind, Identity, Series};

fn charge(captured: &Value) -> Value {
    json!({
        "id": "ch_1", "object": "charge", "amount": 1099, "amount_captured": 1000, "amount_refunded": 0, "currency": "usd",
        "captured": captured, "payment_intent": "pi_1", "status": "succeeded", "metadata": { "order_id": "T1" },
    })
}

fn session(status: &Value) -> Value {
    json!({
        "id": "cs_1", "object": "checkout.session", "amount_total": 1000, "currency": "usd", "payment_intent": "pi_1",
        "payment_status": status, "client_reference_id": "T1", "metadata": {},
    })
}

#[test]
fn a_payment_is_one_whichever_object_tells_it() {
    assert_eq!(told(&paid()), "payment.succeeded T1 1000USD pi_1,ch_1 |");
    assert_eq!(told(&event("charge.succeeded", &charge(&json!(true)))), "payment.succeeded T1 1000USD pi_1,ch_1 |");
    assert_eq!(told(&event("charge.captured", &charge(&json!(true)))), "payment.succeeded T1 1000USD pi_1,ch_1 |");
    for kind in ["checkout.session.completed", "checkout.session.async_payment_succeeded"] {
        assert_eq!(told(&event(kind, &session(&json!("paid")))), "payment.succeeded T1 1000USD pi_1,cs_1 |", "{kind}");
    }
    // Without a PaymentIntent the object is the payment itself.
    let mut alone = charge(&json!(true));
    alone["payment_intent"] = Value::Null;
    assert_eq!(told(&event("charge.succeeded", &alone)), "payment.succeeded T1 1000USD ch_1 |");
    let mut subscribed = session(&json!("paid"));
    subscribed["payment_intent"] = Value::Null;
    let by = settings().with("payments_from", texts(&["checkout_session"]));
    assert_eq!(told_by(&by, &event("checkout.session.completed", &subscribed)), "payment.succeeded T1 1000USD cs_1 |");
    // An object stands where its number may.
    let expanded = with(intent("succeeded"), "/latest_charge", json!({ "id": "ch_1", "object": "charge" }));
    assert_eq!(told(&event("payment_intent.succeeded", &expanded)), "payment.succeeded T1 1000USD pi_1,ch_1 |");
    let notification = read(&paid());
    let fact = &notification.facts[0];
    assert_eq!((notification.platform_id.as_str(), notification.sent_at), ("evt_1", Some(now())));
    assert_eq!(fact.platform_no.as_deref(), Some("pi_1"));
    assert_eq!(fact.scope.account, OURS);
}

/// Without a number of its own a refund is told by the difference of two totals, of which the first is nothing.
#[test]
fn a_payment_that_was_taken_whole_is_the_ground_for_refunds() {
    let usd = crate::model::Currency::parse("USD").unwrap();
    let ground = |event: &Value| read(event).facts[0].baseline.clone();
    let whole = with(intent("succeeded"), "/amount", json!(1000));
    let own = Some((Series(Identity::new("pi_1").unwrap()), usd));
    assert_eq!(ground(&event("payment_intent.succeeded", &whole)), own);
    assert_eq!(ground(&paid()), None);
    let whole = with(charge(&json!(true)), "/amount", json!(1000));
    assert_eq!(ground(&event("charge.succeeded", &whole)), own);
    assert_eq!(ground(&event("charge.captured", &charge(&json!(true)))), None);
    let after = with(whole, "/amount_refunded", json!(1));
    assert_eq!(ground(&event("charge.succeeded", &after)), None);
    assert_eq!(ground(&event("checkout.session.completed", &session(&json!("paid")))), own);
}

/// A session of a subscription names no `PaymentIntent`; the invoice stands in both until nothing names it any more.
#[test]
fn a_subscriptions_first_payment_is_told_once_or_held() {
    let completed = |version: &str| {
        let mut of = session(&json!("paid"));
        of["payment_intent"] = Value::Null;
        of["invoice"] = json!("in_1");
        with(event("checkout.session.completed", &of), "/api_version", json!(version))
    };
    let mut of = intent("succeeded");
    of["invoice"] = json!("in_1");
    assert_eq!(told(&event("payment_intent.succeeded", &of)), "payment.succeeded T1 1000USD pi_1,ch_1,in_1 |");
    let mut of = charge(&json!(true));
    of["invoice"] = json!("in_1");
    assert_eq!(told(&event("charge.succeeded", &of)), "payment.succeeded T1 1000USD pi_1,ch_1,in_1 |");
    for version in ["2020-08-27", "2024-06-20", "2025-02-24.acacia"] {
        assert_eq!(told(&completed(version)), "payment.succeeded T1 1000USD cs_1,in_1 |", "{version}");
    }
    for version in ["2025-03-31.basil", "2026-01-28.clover", "", "x"] {
        let held = "payment.succeeded T1 1000USD cs_1,in_1 | missing_field";
        assert_eq!(told(&completed(version)), held, "{version}");
    }
    let alone = settings().with("payments_from", texts(&["checkout_session"]));
    assert_eq!(told_by(&alone, &completed("2025-03-31.basil")), "payment.succeeded T1 1000USD cs_1,in_1 |");
}

/// A subscription's renewals have no session: whoever lets sessions tell payments must not lose them.
#[test]
fn what_no_session_tells_is_told_or_held() {
    let by = |words: &[&str]| settings().with("payments_from", texts(words));
    let session = by(&["checkout_session"]);
    let mut renewal = intent("succeeded");
    renewal["invoice"] = json!("in_2");
    let told = told_by(&session, &event("payment_intent.succeeded", &renewal));
    assert_eq!(told, "payment.succeeded T1 1000USD pi_1,ch_1,in_2 |");
    let mut renewal = charge(&json!(true));
    renewal["invoice"] = json!("in_2");
    let told = told_by(&session, &event("charge.succeeded", &renewal));
    assert_eq!(told, "payment.succeeded T1 1000USD pi_1,ch_1,in_2 |");
    // An object that the other one of the two is sure to tell.
    let mut alone = charge(&json!(true));
    alone["payment_intent"] = Value::Null;
    for (words, event, told) in [
        (["charge"], paid(), "other - - evt_1 |"),
        (["payment_intent"], event("charge.succeeded", &charge(&json!(true))), "other - - evt_1 |"),
        (["payment_intent"], event("charge.succeeded", &alone), "other - - evt_1 | unknown_value"),
        (["payment_intent"], event("charge.succeeded", &charge(&Value::Null)), "other - - evt_1 |"),
    ] {
        assert_eq!(told_by(&by(&words), &event), told, "{words:?} {event}");
    }
    let chargeless = with(intent("succeeded"), "/latest_charge", Value::Null);
    let told = told_by(&by(&["charge"]), &event("payment_intent.succeeded", &chargeless));
    assert_eq!(told, "other - - evt_1 | unknown_value");
}

/// Whichever comes first, and in whatever order the others follow: all that is told of one payment shares a name with what
/// was told before it, in each of its states.
#[test]
fn in_every_order_it_is_one_payment() {
    let pi = event("payment_intent.succeeded", &intent("succeeded"));
    let ch = event("charge.succeeded", &charge(&json!(true)));
    let captured = event("charge.captured", &charge(&json!(true)));
    let cs = event("checkout.session.completed", &session(&json!("paid")));
    let late = event("checkout.session.async_payment_succeeded", &session(&json!("paid")));
    let facts: Vec<_> = [pi, ch, captured, cs, late].iter().map(|event| read(event).facts[0].clone()).collect();
    let mut orders = 0;
    for_each_order(&mut (0..facts.len()).collect::<Vec<_>>(), 0, &mut |order| {
        orders += 1;
        let mut known: Vec<Identity> = Vec::new();
        for (place, &at) in order.iter().enumerate() {
            let fact = &facts[at];
            assert_eq!((fact.kind, fact.signed_money()), (EventKind::PaymentSucceeded, facts[0].signed_money()));
            assert_eq!(place > 0, fact.identities().any(|name| known.contains(name)), "{order:?}");
            known.extend(fact.identities().cloned());
        }
    });
    assert_eq!(orders, 120);
}

fn for_each_order(order: &mut [usize], from: usize, told: &mut impl FnMut(&[usize])) {
    if from == order.len() {
        return told(order);
    }
    for at in from..order.len() {
        order.swap(from, at);
        for_each_order(order, from + 1, told);
        order.swap(from, at);
    }
}

#[test]
fn authorised_is_not_paid() {
    let kind = "payment_intent.amount_capturable_updated";
    let authorized = told(&event(kind, &intent("requires_capture")));
    assert_eq!(authorized, "payment.authorized T1 900USD pi_1:900 |");
    let none_left = with(intent("requires_capture"), "/amount_capturable", json!(0));
    assert_eq!(told(&event(kind, &none_left)), "other - - evt_1 |");
    let held = told(&event("charge.succeeded", &charge(&json!(false))));
    assert_eq!(held, "payment.authorized T1 1099USD pi_1:1099 |");
    assert_eq!(told(&event("charge.succeeded", &charge(&Value::Null))), "other - - evt_1 | missing_field");
    assert_eq!(told(&event("charge.succeeded", &charge(&json!("true")))), "other - - evt_1 | missing_field");
    assert_eq!(told(&event("charge.captured", &charge(&json!(false)))), "other - - evt_1 | contradiction");
    assert_eq!(
        told(&event("payment_intent.succeeded", &intent("requires_capture"))),
        "other - - evt_1 | contradiction"
    );
}

#[test]
fn a_session_is_paid_when_it_says_so() {
    let of = |kind: &str, status: Value| told(&event(&format!("checkout.session.{kind}"), &session(&status)));
    assert_eq!(of("completed", json!("unpaid")), "payment.pending T1 - pi_1,cs_1 |");
    assert_eq!(of("completed", json!("no_payment_required")), "other - - evt_1 |");
    assert_eq!(of("completed", json!("PAID")), "other - - evt_1 | unknown_value");
    assert_eq!(of("completed", Value::Null), "other - - evt_1 | missing_field");
    assert_eq!(of("async_payment_succeeded", json!("unpaid")), "other - - evt_1 | contradiction");
    assert_eq!(of("async_payment_failed", json!("unpaid")), "payment.failed T1 1000USD cs_1 |");
    assert_eq!(of("expired", json!("unpaid")), "payment.closed T1 - pi_1,cs_1 |");
    assert_eq!(of("expired", json!("paid")), "other - - evt_1 | contradiction");
    assert_eq!(of("renewed", json!("paid")), "other - - evt_1 | unknown_value");
}

#[test]
fn the_other_states_of_a_payment() {
    let of = |kind: &str| told(&event(&format!("payment_intent.{kind}"), &intent("x")));
    for kind in ["processing", "requires_action", "partially_funded"] {
        assert_eq!(of(kind), "payment.pending T1 - pi_1 |", "{kind}");
    }
    assert_eq!(of("created"), "other - - evt_1 |");
    assert_eq!(of("canceled"), "payment.closed T1 - pi_1 |");
    assert_eq!(of("payment_failed"), "payment.failed T1 1099USD ch_1 |");
    assert_eq!(of("invented"), "other - - evt_1 | unknown_value");
    let charge_of = |kind: &str| told(&event(&format!("charge.{kind}"), &charge(&json!(false))));
    assert_eq!(charge_of("pending"), "payment.pending T1 - pi_1 |");
    assert_eq!(charge_of("failed"), "payment.failed T1 1099USD ch_1 |");
    assert_eq!(charge_of("expired"), "payment.closed T1 - pi_1,ch_1 |");
    assert_eq!(charge_of("updated"), "other - - evt_1 |");
    // Two tries of one PaymentIntent are two failures.
    let second = with(intent("x"), "/latest_charge", json!("ch_2"));
    assert_eq!(told(&event("payment_intent.payment_failed", &second)), "payment.failed T1 1099USD ch_2 |");
    let unnamed = with(intent("x"), "/latest_charge", Value::Null);
    assert_eq!(told(&event("payment_intent.payment_failed", &unnamed)), "payment.failed T1 1099USD evt_1 |");
    // A try that had no charge is not the one before it, whose charge is still the latest.
    let mut second = intent("requires_payment_method");
    second["last_payment_error"] = json!({ "code": "payment_intent_authentication_failure" });
    assert_eq!(told(&event("payment_intent.payment_failed", &second)), "payment.failed T1 1099USD evt_1 |");
    second["last_payment_error"] = json!({ "code": "card_declined", "charge": "ch_3" });
    assert_eq!(told(&event("payment_intent.payment_failed", &second)), "payment.failed T1 1099USD ch_3 |");
}

#[test]
fn what_nobody_tells_here_is_kept_and_nothing_more() {
    for kind in ["customer.created", "invoice.paid", "transfer.created", "payment_method.attached", "x"] {
        assert_eq!(told(&event(kind, &json!({ "id": "x" }))), "other - - evt_1 |", "{kind}");
    }
    let by = settings().with("payments_from", texts(&["checkout_session"]));
    // Whether the session tells these nobody can say.
    assert_eq!(told_by(&by, &paid()), "other - - evt_1 | unknown_value");
    assert_eq!(told_by(&by, &event("charge.succeeded", &charge(&json!(true)))), "other - - evt_1 | unknown_value");
    assert_eq!(told_by(&by, &event("charge.succeeded", &charge(&json!(false)))), "other - - evt_1 |");
    assert_eq!(told_by(&by, &event("payment_intent.payment_failed", &intent("x"))), "other - - evt_1 |");
    assert_eq!(
        told_by(&by, &event("checkout.session.completed", &session(&json!("paid")))),
        "payment.succeeded T1 1000USD pi_1,cs_1 |"
    );
    // What is not known stays a question.
    assert_eq!(told_by(&by, &event("charge.invented", &charge(&json!(true)))), "other - - evt_1 | unknown_value");
}

#[test]
fn a_payout_is_a_transfer_to_the_merchant() {
    let payout = |status: &str| json!({ "id": "po_1", "object": "payout", "amount": 1000, "currency": "eur", "status": status, "metadata": {} });
    let of = |kind: &str, status: &str| event(&format!("payout.{kind}"), &payout(status));
    assert_eq!(told(&of("paid", "paid")), "transfer.succeeded - 1000EUR po_1 |");
    assert_eq!(told(&of("failed", "failed")), "transfer.failed - 1000EUR po_1 |");
    assert_eq!(told(&of("canceled", "canceled")), "transfer.failed - 1000EUR po_1 |");
    assert_eq!(told(&of("paid", "in_transit")), "other - - evt_1 | contradiction");
    assert_eq!(told(&of("reconciliation_completed", "paid")), "other - - evt_1 |");
    assert_eq!(told(&of("invented", "paid")), "other - - evt_1 | unknown_value");
    let mut returned = of("failed", "failed");
    returned["data"]["previous_attributes"] = json!({ "status": "paid" });
    assert_eq!(told(&returned), "transfer.returned - 1000EUR po_1 |");
    let odd = with(of("paid", "paid"), "/data/object/currency", json!("huf"));
    assert_eq!(told(&odd), "transfer.succeeded - 1000HUF po_1 |");
    let part = with(odd, "/data/object/amount", json!(1050));
    assert_eq!(told(&part), "transfer.succeeded - ? po_1 | unreadable_amount");
}

#[test]
fn amounts_are_integers_in_the_platforms_units() {
    let of = |amount: Value, currency: &str| {
        let object = with(intent("succeeded"), "/amount_received", amount);
        told(&event("payment_intent.succeeded", &with(object, "/currency", json!(currency))))
    };
    assert_eq!(of(json!(500), "jpy"), "payment.succeeded T1 500JPY pi_1,ch_1 |");
    assert_eq!(of(json!(500), "isk"), "payment.succeeded T1 5ISK pi_1,ch_1 |");
    for (amount, currency) in [
        (json!(501), "isk"),
        (json!(500), "USD"),
        (json!("500"), "usd"),
        (json!(5.5), "usd"),
        (json!(-1), "usd"),
        (json!(1_000), "kwd"),
        (json!(500), "usdc"),
        (Value::Null, "usd"),
    ] {
        let expected = "payment.succeeded T1 ? pi_1,ch_1 | unreadable_amount";
        assert_eq!(of(amount.clone(), currency), expected, "{amount} {currency}");
    }
    let three = settings().with("three_decimal_currencies", SettingValue::Flag(true));
    let object = with(with(intent("succeeded"), "/amount_received", json!(5120)), "/currency", json!("kwd"));
    assert_eq!(
        told_by(&three, &event("payment_intent.succeeded", &object)),
        "payment.succeeded T1 5120KWD pi_1,ch_1 |"
    );
}

#[test]
fn the_order_number_stands_where_the_merchant_writes_it() {
    let own = settings().with("order_key", SettingValue::Text("bestellung".into()));
    let mut object = intent("succeeded");
    object["metadata"] = json!({ "order_id": "T1", "bestellung": "B7" });
    let paid = event("payment_intent.succeeded", &object);
    assert_eq!(told_by(&own, &paid), "payment.succeeded B7 1000USD pi_1,ch_1 |");
    let mut both = session(&json!("paid"));
    both["metadata"] = json!({ "order_id": "M1" });
    assert_eq!(told(&event("checkout.session.completed", &both)), "payment.succeeded M1 1000USD pi_1,cs_1 |");
    let nameless = with(intent("succeeded"), "/metadata", json!({}));
    assert_eq!(told(&event("payment_intent.succeeded", &nameless)), "payment.succeeded - 1000USD pi_1,ch_1 |");
    let long = with(intent("succeeded"), "/metadata", json!({ "order_id": "x".repeat(300) }));
    assert_eq!(
        told(&event("payment_intent.succeeded", &long)),
        "payment.succeeded - 1000USD pi_1,ch_1 | unknown_value"
    );
}

#[test]
fn the_mode_and_the_account_are_this_channels() {
    assert_eq!(
        told(&with(paid(), "/livemode", json!(false))),
        "payment.succeeded T1 1000USD pi_1,ch_1 | foreign_environment"
    );
    assert_eq!(told(&with(paid(), "/livemode", Value::Null)), "payment.succeeded T1 1000USD pi_1,ch_1 | missing_field");
    let mut sandbox = settings();
    sandbox.environment = Environment::Sandbox;
    let test = with(paid(), "/livemode", json!(false));
    assert_eq!(told_by(&sandbox, &test), "payment.succeeded T1 1000USD pi_1,ch_1 |");
    let of = |account: &str| {
        let mut event = paid();
        event["account"] = json!(account);
        event
    };
    let connected = |accounts: &[&str]| settings().with("connected_accounts", texts(accounts));
    for (settings, account, words) in [
        (settings(), OURS, ""),
        (settings(), "acct_2", "foreign_payee"),
        (connected(&["acct_2"]), "acct_2", ""),
        (connected(&["acct_3"]), "acct_2", "foreign_payee"),
        (connected(&["*"]), "acct_2", ""),
    ] {
        let notification = read_by(&settings, &of(account));
        assert_eq!(notification.scope.account, account);
        assert_eq!(notification.facts[0].scope.account, account);
        let found: Vec<&str> = notification.concerns.iter().map(Concern::word).collect();
        assert_eq!(found.join(" "), words, "{account}");
    }
    // What cannot be read is not taken for the own one.
    for account in [json!(5), json!(""), json!("x".repeat(300)), json!({})] {
        let mut event = paid();
        event["account"] = account;
        assert_eq!(told(&event), "payment.succeeded T1 1000USD pi_1,ch_1 | unreadable_text");
    }
    let mut event = paid();
    event["account"] = Value::Null;
    assert_eq!(told(&event), "payment.succeeded T1 1000USD pi_1,ch_1 |");
}

fn thin(kind: &str) -> Value {
    json!({
        "id": "evt_test_65T", "object": "v2.core.event", "type": kind, "created": "2023-11-14T22:13:20.000Z",
        "livemode": true, "context": null,
        "related_object": { "id": "pi_1", "type": "payment_intent", "url": "/v1/payment_intents/pi_1" },
    })
}

#[test]
fn a_thin_event_has_no_amounts() {
    for kind in ["v2.core.event_destination.ping", "v1.billing.meter.error_report_triggered", "v1.customer.created"] {
        assert_eq!(told(&thin(kind)), "other - - evt_test_65T |", "{kind}");
    }
    for kind in ["v1.payment_intent.succeeded", "v1.charge.refunded", "v1.refund.created", "v1.payout.paid"] {
        assert_eq!(told(&thin(kind)), "other - - evt_test_65T | missing_field", "{kind}");
    }
    assert_eq!(told(&thin("v2.money_management.payout_method.x")), "other - - evt_test_65T | missing_field");
    assert_eq!(read(&thin("v1.customer.created")).sent_at, Some(now()));
    assert_eq!(channel().recognise(&signed(&thin("v1.x").to_string())), Likeness::Merchant);
    let mut of = thin("v1.customer.created");
    of["context"] = json!("org_1/acct_2");
    assert_eq!(told(&of), "other - - evt_test_65T | foreign_payee");
    // A snapshot's content in a thin envelope is not believed to be one.
    let mut both = thin("payment_intent.succeeded");
    both["data"] = json!({ "object": intent("succeeded") });
    assert_eq!(told(&both), "other - - evt_test_65T | missing_field");
    assert_eq!(told(&with(paid(), "/object", json!("v3.event"))), "other - - evt_1 | unknown_value");
}

#[test]
fn what_cannot_be_read_is_held() {
    let Verdict::Genuine(proven) = channel().verify(&signed("[]"), now()) else { panic!("refused") };
    assert_eq!(proven.value().facts[0].kind, EventKind::Other);
    assert_eq!(proven.value().concerns, [Concern::UnreadableText { field: "body".into() }]);
    // It is the platform's, so it is kept; which of the two is meant is for a person to say.
    for twice in [r#"{"livemode":false,"#, r#"{"data":{},"#, r#"{"type":"charge.refunded","#] {
        let sent = paid().to_string().replacen('{', twice, 1);
        let Verdict::Genuine(proven) = channel().verify(&signed(&sent), now()) else { panic!("refused") };
        assert_eq!(proven.value().facts[0].kind, EventKind::Other);
        let [Concern::Ambiguous { .. }] = proven.value().concerns.as_slice() else { panic!("{:?}", proven.value()) };
    }
    assert_eq!(told(&with(paid(), "/type", Value::Null)), "other - - evt_1 | unreadable_text");
    assert_eq!(told(&with(paid(), "/data", json!({}))), "other - - evt_1 | missing_field");
    let nameless = with(paid(), "/data/object/id", json!(""));
    assert_eq!(told(&nameless), "other - - evt_1 | missing_field");
    let long = with(paid(), "/data/object/id", json!("x".repeat(300)));
    assert_eq!(told(&long), "other - - evt_1 | unknown_value missing_field");
}
