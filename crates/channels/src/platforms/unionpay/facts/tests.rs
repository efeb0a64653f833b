//! Tests of what a proven notice asserts.

use super::super::tests::{MER_ID, Pairs, genuine, keyed, payment, set, signed, texts};
use super::*;
use crate::settings::Settings;

/// A purchase as UnionPay tells it.
fn purchase() -> Pairs<'static> {
    let mut pairs = payment("11");
    set(&mut pairs, "orderId", "T1");
    set(&mut pairs, "queryId", "202401011200001234568");
    set(&mut pairs, "currencyCode", "156");
    set(&mut pairs, "traceNo", "123456");
    pairs
}

/// The purchase, with these fields in place of its own.
fn with(changes: &[(&'static str, &'static str)]) -> Pairs<'static> {
    let mut pairs = purchase();
    for (name, value) in changes {
        set(&mut pairs, name, value);
    }
    pairs
}

fn read_under(settings: &Settings, pairs: &[(&str, &str)]) -> Notification {
    genuine(settings, signed(pairs)).0
}

fn read_of(changes: &[(&'static str, &'static str)]) -> Notification {
    read_under(&keyed(), &with(changes))
}

#[track_caller]
fn one(notification: &Notification) -> &Fact {
    let [fact] = notification.facts.as_slice() else { panic!("{:?}", notification.facts) };
    fact
}

fn names(fact: &Fact) -> Vec<&str> {
    fact.identities().map(Identity::as_str).collect()
}

fn minor(fact: &Fact) -> Option<i64> {
    fact.signed_money().map(|money| money.minor)
}

const ORIGINAL: (&str, &str) = ("origQryId", "202401010000000000001");

#[test]
fn a_purchase_is_a_payment_with_both_its_names() {
    let notification = read_of(&[]);
    assert_eq!(notification.concerns, vec![]);
    assert_eq!(notification.sent_at.unwrap().to_string(), "2024-01-01T04:00:00Z");
    assert_eq!((notification.scope.family, notification.scope.account.as_str()), (FAMILY, MER_ID));
    let fact = one(&notification);
    assert_eq!(fact.kind, EventKind::PaymentSucceeded);
    assert_eq!(names(fact), ["order:T1:20240101120000", "query:202401011200001234568"]);
    assert_eq!(fact.amount, Amount::Stated(Money { minor: 1000, currency: Currency::CNY }));
    assert_eq!((fact.order_no.as_deref(), fact.payee.as_deref()), (Some("T1"), Some(MER_ID)));
    assert_eq!(fact.platform_no.as_deref(), Some("202401011200001234568"));
    assert_eq!((fact.payment.as_ref(), fact.occurred_at), (None, notification.sent_at));
}

#[test]
fn each_type_and_code_has_its_kind() {
    let check = |kind: &'static str, code: &'static str, expected: EventKind, is_held: bool| {
        let notification = read_of(&[("txnType", kind), ("respCode", code), ORIGINAL]);
        assert_eq!(one(&notification).kind, expected, "{kind} {code}");
        assert_eq!(!notification.concerns.is_empty(), is_held, "{kind} {code}: {:?}", notification.concerns);
    };
    for (kind, done, doubt) in [
        ("01", EventKind::PaymentSucceeded, EventKind::PaymentPending),
        ("02", EventKind::PaymentAuthorized, EventKind::PaymentPending),
        ("03", EventKind::PaymentSucceeded, EventKind::PaymentPending),
        ("04", EventKind::RefundSucceeded, EventKind::Other),
        ("12", EventKind::TransferSucceeded, EventKind::Other),
        ("31", EventKind::RefundSucceeded, EventKind::Other),
        ("32", EventKind::PaymentClosed, EventKind::Other),
        ("33", EventKind::RefundSucceeded, EventKind::Other),
    ] {
        for code in ["00", "A6"] {
            check(kind, code, done, false);
        }
        for code in ["03", "04", "05"] {
            check(kind, code, doubt, false);
        }
        for code in ["01", "a6", "0", "000", "A6 ", "00,"] {
            check(kind, code, EventKind::Other, true);
        }
    }
    for kind in ["76", "79", "95"] {
        check(kind, "00", EventKind::Other, false);
        check(kind, "99", EventKind::Other, false);
    }
    for kind in ["00", "11", "1", "001", "x"] {
        check(kind, "00", EventKind::Other, true);
    }
}

#[test]
fn a_missing_field_is_held_and_never_guessed() {
    let check = |name: &'static str, kind: EventKind, concern: &Concern| {
        for value in [None, Some(""), Some(" ")] {
            let mut pairs = with(&[]);
            pairs.retain(|(own, _)| *own != name);
            pairs.extend(value.map(|value| (name, value)));
            let notification = read_under(&keyed(), &pairs);
            assert_eq!(one(&notification).kind, kind, "{name} {value:?}");
            assert_eq!(notification.concerns, std::slice::from_ref(concern), "{name} {value:?}");
        }
    };
    let missing = |field: &str| Concern::MissingField { field: field.into() };
    check("txnType", EventKind::Other, &missing("txnType"));
    check("respCode", EventKind::Other, &missing("respCode"));
    check("traceNo", EventKind::Other, &missing("traceNo"));
    check("orderId", EventKind::PaymentSucceeded, &missing("orderId"));
    check("txnTime", EventKind::PaymentSucceeded, &missing("txnTime"));
    check("queryId", EventKind::PaymentSucceeded, &missing("queryId"));
    check("txnAmt", EventKind::PaymentSucceeded, &missing("txnAmt"));
    check("currencyCode", EventKind::PaymentSucceeded, &missing("currencyCode"));
    check(
        "encoding",
        EventKind::PaymentSucceeded,
        &Concern::UnknownValue { field: "encoding".into(), value: String::new() },
    );
    let nameless = read_of(&[("orderId", ""), ("queryId", "")]);
    assert_eq!(
        (one(&nameless).kind, nameless.concerns),
        (EventKind::Other, vec![missing("orderId"), missing("queryId")])
    );
}

/// An answer to a query is signed like a notice, names the transaction, its amount and its numbers, and succeeds also
/// when the transaction did not.
#[test]
fn an_answer_to_a_query_is_no_payment() {
    for (kind, code, original) in [
        ("01", "00", "00"),
        ("01", "00", "05"),
        ("01", "34", ""),
        ("00", "00", "00"),
        ("04", "00", "00"),
        ("12", "00", "A6"),
    ] {
        let answer = read_of(&[
            ("txnType", kind),
            ("respCode", code),
            ("origRespCode", if original.is_empty() { "99" } else { original }),
            ("origRespMsg", "成功[0000000]"),
            ("settleAmt", "1000"),
            ("settleDate", "0101"),
            ORIGINAL,
        ]);
        let fact = one(&answer);
        assert_eq!((fact.kind, &fact.amount, fact.order_no.as_deref()), (EventKind::Other, &Amount::None, None));
        let value = if original.is_empty() { "99" } else { original };
        assert_eq!(answer.concerns, [Concern::UnknownValue { field: "origRespCode".into(), value: value.into() }]);
    }
    // A blank one says nothing, as everywhere.
    assert_eq!(one(&read_of(&[("origRespCode", "")])).kind, EventKind::PaymentSucceeded);
}

/// An answer to the merchant's own request has a notice's shape, and its code 00 means that the request was taken.
#[test]
fn an_answer_to_a_request_is_no_refund_and_no_payout() {
    for kind in ["04", "12", "31", "32", "33", "01", "03"] {
        let mut pairs = with(&[("txnType", kind), ORIGINAL]);
        pairs.retain(|(name, _)| !["traceNo", "currencyCode"].contains(name));
        let answer = read_under(&keyed(), &pairs);
        assert_eq!((one(&answer).kind, &one(&answer).amount), (EventKind::Other, &Amount::None), "{kind}");
        assert_eq!(answer.concerns, [Concern::MissingField { field: "traceNo".into() }], "{kind}");
    }
}

#[test]
fn amounts_are_whole_fen() {
    for (text, expected) in [("0", 0), ("1", 1), ("000000001000", 1000), ("9223372036854775807", i64::MAX)] {
        let notification = read_of(&[("txnAmt", text)]);
        assert_eq!((minor(one(&notification)), notification.concerns), (Some(expected), vec![]), "{text}");
    }
    for text in ["1.00", "-1", "+1", "1e2", " 1", "1 ", "１", "9223372036854775808", "1,000", "x"] {
        let notification = read_of(&[("txnAmt", text)]);
        assert_eq!(one(&notification).amount, Amount::Unreadable, "{text}");
        assert_eq!(notification.concerns, [Concern::UnreadableAmount { field: "txnAmt".into() }], "{text}");
    }
}

#[test]
fn currencies_are_three_digits_of_the_standard() {
    for (code, expected, is_held) in [
        ("156", Some("CNY"), false),
        ("344", Some("HKD"), false),
        ("840", Some("USD"), false),
        ("036", Some("AUD"), false),
        ("392", Some("JPY"), true),
        ("414", Some("KWD"), true),
        ("36", None, true),
        ("0156", None, true),
        ("CNY", None, true),
        ("+15", None, true),
        ("000", None, true),
    ] {
        let notification = read_of(&[("currencyCode", code)]);
        let found = one(&notification).signed_money().map(|money| money.currency.code().to_owned());
        assert_eq!(found.as_deref(), expected, "{code}");
        let held = Concern::UnknownValue { field: "currencyCode".into(), value: code.into() };
        assert_eq!(notification.concerns, if is_held { vec![held] } else { vec![] }, "{code}");
    }
}

#[test]
fn a_refund_or_revocation_follows_its_payment() {
    for kind in ["04", "31", "33"] {
        let notification = read_of(&[("txnType", kind), ("orderId", "R1"), ("txnAmt", "300"), ORIGINAL]);
        let fact = one(&notification);
        assert_eq!(names(fact), ["order:R1:20240101120000", "query:202401011200001234568"]);
        assert_eq!(fact.payment.as_ref().map(Identity::as_str), Some("query:202401010000000000001"));
        assert_eq!((minor(fact), fact.order_no.as_deref()), (Some(300), None));
        assert_eq!(notification.concerns, vec![]);
    }
    let by_order = read_of(&[("txnType", "04"), ("origOrderId", "T0"), ("origTxnTime", "20231231235959")]);
    let fact = one(&by_order);
    assert_eq!(fact.payment.as_ref().map(Identity::as_str), Some("order:T0:20231231235959"));
    assert_eq!((fact.order_no.as_deref(), by_order.concerns.as_slice()), (Some("T0"), &[][..]));
    let lost = read_of(&[("txnType", "04")]);
    assert_eq!(lost.concerns, [Concern::MissingField { field: "origQryId".into() }]);
    assert_eq!(one(&lost).payment, None);
    // A payment's own message says nothing about another one.
    assert_eq!(one(&read_of(&[ORIGINAL])).payment, None);
}

#[test]
fn a_released_authorization_is_closed_under_its_own_names() {
    let notification = read_of(&[("txnType", "32"), ("orderId", "C1"), ORIGINAL]);
    let fact = one(&notification);
    assert_eq!(fact.kind, EventKind::PaymentClosed);
    assert_eq!(names(fact), ["query:202401010000000000001", "order:C1:20240101120000", "query:202401011200001234568"]);
    assert_eq!((fact.platform_no.as_deref(), fact.order_no.as_deref()), (Some("202401010000000000001"), None));
    assert_eq!(fact.payment, None);
}

#[test]
fn a_payout_names_nobody() {
    let fact = one(&read_of(&[("txnType", "12")])).clone();
    assert_eq!((fact.payee.as_deref(), minor(&fact)), (None, Some(1000)));
    assert_eq!(names(&fact), ["order:T1:20240101120000", "query:202401011200001234568"]);
}

#[test]
fn a_sub_merchant_is_the_payee_and_must_be_ours() {
    let sub = [("accessType", "2"), ("subMerId", "0001")];
    let unknown = read_of(&sub);
    assert_eq!(unknown.concerns, [Concern::ForeignPayee { payee: "0001".into() }]);
    for listed in ["0001", "*"] {
        let settings = keyed().with("sub_mer_id", texts(&["0002", listed]));
        let known = read_under(&settings, &with(&sub));
        assert_eq!((one(&known).payee.as_deref(), known.concerns.as_slice()), (Some("0001"), &[][..]));
        // One account holds all order numbers, so a refund that leaves the sub-merchant out finds its payment.
        assert_eq!(known.scope.account, MER_ID);
    }
}

#[test]
fn a_repetition_is_the_same_and_another_state_is_not() {
    let key = |changes: &[(&'static str, &'static str)]| read_of(changes).key();
    assert_eq!(key(&[]), key(&[]));
    assert!(key(&[]).platform_id.starts_with("202401011200001234568:"));
    // Blank pairs that the signature leaves out make no other message.
    let blank = [signed(&purchase()), b"&origQryId=&Z=".to_vec()].concat();
    assert_eq!(genuine(&keyed(), blank).0, read_of(&[]));
    let doubt = [("respCode", "03")];
    let dearer = [("txnAmt", "1001")];
    assert!(key(&doubt) != key(&[]) && key(&dearer) != key(&[]));
    // What was in doubt and then succeeded is told by one order under two kinds.
    let (first, second) = (read_of(&doubt), read_of(&[]));
    assert_eq!(names(one(&first)), names(one(&second)));
    let without_number = read_of(&[("txnType", "79"), ("queryId", "")]);
    assert_eq!(without_number.platform_id.len(), 64);
    assert_eq!(one(&without_number).identity.as_str(), without_number.platform_id);
    // One order number on two days is two transactions.
    let tomorrow = read_of(&[("txnTime", "20240102120000"), ("queryId", "202401021200001234568")]);
    assert!(!names(one(&tomorrow)).iter().any(|name| names(one(&second)).contains(name)));
}

#[test]
fn texts_that_could_be_cut_elsewhere_are_held() {
    let check = |name: &'static str, value: &'static str, is_held: bool| {
        let notification = read_of(&[(name, value)]);
        let expected = if is_held { vec![Concern::Ambiguous { field: name.into() }] } else { vec![] };
        assert_eq!(notification.concerns, expected, "{name}={value}");
    };
    check("tokenPayData", "{token=6235240000020757577&trId=62000000001&tokenType=01&tokenLevel=10}", false);
    check("reqReserved", "a=b&c=d", false);
    check("reqReserved", "x&respCode=00&respMsg=", true);
    check("bizType", "000201&currencyCode=156", true);
    check("traceNo", "1&traceTime=2", true);
}

#[test]
fn odd_texts_are_kept_and_bounded() {
    let long = "9".repeat(NAME_BYTES_MAX);
    let mut pairs = purchase();
    set(&mut pairs, "orderId", &long);
    set(&mut pairs, "queryId", &long);
    let notification = read_under(&keyed(), &pairs);
    assert_eq!(one(&notification).kind, EventKind::Other);
    assert_eq!(notification.concerns.len(), 2, "{:?}", notification.concerns);
    assert_eq!(notification.platform_id.len(), 64);
    for time in ["20240230120000", "2024010112000", "202401011200000", "2024010112000x", "20240101250000"] {
        let odd = read_of(&[("txnTime", time)]);
        assert_eq!(odd.concerns, [Concern::UnknownValue { field: "txnTime".into(), value: time.into() }], "{time}");
        assert_eq!(odd.sent_at, None);
    }
    let encoding = read_of(&[("encoding", "GBK")]);
    assert_eq!(encoding.concerns, [Concern::UnknownValue { field: "encoding".into(), value: "GBK".into() }]);
    assert_eq!(read_of(&[("encoding", "utf-8")]).concerns, vec![]);
}

#[test]
fn times_are_beijing_time() {
    let time = read_time("20240101000000").unwrap();
    assert_eq!(time.to_string(), "2023-12-31T16:00:00Z");
    assert_eq!(write_time(time), "20240101000000");
}
