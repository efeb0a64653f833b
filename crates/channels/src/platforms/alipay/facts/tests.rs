//! Tests of the reading: what each message asserts, and what is held.

use crate::model::{Amount, Concern, EventKind, Notification};
use crate::platforms::alipay::tests::{APP_ID, SELLER_ID, fields, genuine, own_settings, set, signed, texts, trade};

fn read(changes: &[(&str, &str)]) -> Notification {
    let mut pairs = trade();
    for (name, value) in changes {
        set(&mut pairs, name, value);
    }
    genuine(&own_settings(), signed(&pairs)).0
}

/// Each fact in one line: kind, names, amount, and what it follows or proves.
fn lines(notification: &Notification) -> Vec<String> {
    notification
        .facts
        .iter()
        .map(|fact| {
            let names: Vec<&str> = fact.identities().map(crate::model::Identity::as_str).collect();
            let amount = match &fact.amount {
                Amount::Stated(money) => money.to_text(),
                Amount::Cumulative { total, is_numbered, series } => {
                    assert_eq!(Some(&series.0), fact.payment.as_ref());
                    format!("total {}{}", total.to_text(), if *is_numbered { " numbered" } else { "" })
                }
                Amount::None => "-".into(),
                Amount::Unreadable => "?".into(),
            };
            let after = fact.payment.as_ref().map(|payment| format!(" after {payment}")).unwrap_or_default();
            let zero = if fact.baseline.is_some() { " from zero" } else { "" };
            format!("{} {} {amount}{after}{zero}", fact.kind, names.join("|"))
        })
        .collect()
}

fn concerns(notification: &Notification) -> Vec<String> {
    notification
        .concerns
        .iter()
        .map(|concern| match concern {
            Concern::UnreadableAmount { field }
            | Concern::UnreadableText { field }
            | Concern::MissingField { field }
            | Concern::Contradiction { field }
            | Concern::Ambiguous { field }
            | Concern::ForeignEnvironment { field }
            | Concern::UnknownValue { field, .. } => format!("{} {field}", concern.word()),
            Concern::ForeignPayee { payee } => format!("{} {payee}", concern.word()),
            Concern::Conflict { .. } | Concern::TooOld | Concern::Unconfirmed { .. } => concern.word().to_owned(),
        })
        .collect()
}

#[track_caller]
fn check(changes: &[(&str, &str)], facts: &[&str], held: &[&str]) {
    let notification = read(changes);
    assert_eq!((lines(&notification), concerns(&notification)), (strings(facts), strings(held)), "{changes:?}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const PAID: &str = "payment.succeeded 2026112122001 88.80";
const PAID_FROM_ZERO: &str = "payment.succeeded 2026112122001 88.80 from zero";
const FINALIZED: &str = "payment.finalized 2026112122001 88.80 after 2026112122001";
const CLOSED: (&str, &str) = ("trade_status", "TRADE_CLOSED");
const UNPAID: (&str, &str) = ("gmt_payment", "");
const REFUNDED_AT: (&str, &str) = ("gmt_refund", "2026-11-22 10:00:00");

#[test]
fn a_trade_says_what_its_state_says() {
    check(&[], &[PAID_FROM_ZERO], &[]);
    check(&[("trade_status", "TRADE_FINISHED")], &[PAID_FROM_ZERO, FINALIZED], &[]);
    check(&[("trade_status", "WAIT_BUYER_PAY")], &["payment.pending 2026112122001 88.80"], &[]);
    check(&[CLOSED, UNPAID], &["payment.closed 2026112122001 88.80"], &[]);
    check(&[CLOSED], &["payment.closed 2026112122001 88.80"], &["contradiction gmt_payment"]);
    check(&[("trade_status", "TRADE_NEW")], &["other n1 -"], &["unknown_value trade_status"]);
    check(&[("trade_status", "trade_success")], &["other n1 -"], &["unknown_value trade_status"]);
    check(&[("trade_status", "")], &["other n1 -"], &["missing_field trade_status"]);
    check(&[("trade_no", " ")], &["other n1 -"], &["missing_field trade_no"]);
    check(&[("out_trade_no", "")], &[PAID_FROM_ZERO], &["missing_field out_trade_no"]);
}

#[test]
fn a_refund_is_a_total_beside_its_payment() {
    let refund = |total: &str| format!("refund.succeeded 2026112122001:total:{total}");
    let after = "after 2026112122001";
    let part = format!("{} total 5.00 {after}", refund("500"));
    check(&[("refund_fee", "5.00"), ("gmt_refund", "2026-11-22 10:00:00.123")], &[PAID, &part], &[]);
    check(&[("refund_fee", "5.00"), REFUNDED_AT], &[PAID, &part], &[]);
    check(&[("refund_fee", "5.00")], &[PAID, &part], &["missing_field gmt_refund"]);
    let numbered = format!("{}|2026112122001:no:R1 total 5.00 numbered {after}", refund("500"));
    let five = [("refund_fee", "5.00"), REFUNDED_AT];
    let with = |more: &[(&'static str, &'static str)]| [&five, more].concat();
    check(&with(&[("out_biz_no", "R1")]), &[PAID, &numbered], &[]);
    check(&with(&[("out_request_no", "R1"), ("out_biz_no", "B")]), &[PAID, &numbered], &[]);
    let status = ("trade_status", "TRADE_FINISHED");
    check(&with(&[status]), &[PAID, &part, FINALIZED], &[]);
    check(&with(&[status, ("out_biz_no", "R0")]), &[PAID, &part, FINALIZED], &[]);
    let full = format!("{} total 88.80 {after}", refund("8880"));
    check(&[CLOSED, ("refund_fee", "88.80"), REFUNDED_AT], &[PAID, &full], &[]);
    check(&[CLOSED, ("refund_fee", "88.80")], &[PAID, &full], &["missing_field gmt_refund"]);
    check(&[CLOSED, ("refund_fee", "88.80"), REFUNDED_AT, UNPAID], &[PAID, &full], &["missing_field gmt_payment"]);
    check(&with(&[CLOSED]), &[PAID, &part], &[]);
}

/// The signed string does not escape, so the merchant's own text can be cut into fields by whoever captured a message.
#[test]
fn a_refund_cut_out_of_the_merchants_text_is_held() {
    let cut = |changes: &[(&str, &str)]| {
        let mut pairs = trade();
        for (name, value) in changes {
            set(&mut pairs, name, value);
        }
        set(&mut pairs, "passback_params", "memo&refund_fee=88.80");
        let whole = signed(&pairs);
        let held = |body: Vec<u8>| !genuine(&own_settings(), body).0.concerns.is_empty();
        assert!(held(whole.clone()), "{changes:?}");
        let text = String::from_utf8(whole).unwrap();
        let other = text.replace("memo%26refund_fee%3D88.80", "memo&refund_fee=88.80");
        assert_ne!(text, other);
        assert!(held(other.into_bytes()), "{changes:?}");
    };
    cut(&[CLOSED, UNPAID]);
    cut(&[CLOSED]);
    cut(&[]);
    cut(&[("trade_status", "TRADE_FINISHED")]);
    cut(&[("trade_status", "WAIT_BUYER_PAY"), UNPAID]);
    // An everyday refund of a merchant who uses that text is not held.
    let usual = [("passback_params", "memo"), ("refund_fee", "88.80"), REFUNDED_AT];
    assert_eq!(concerns(&read(&usual)), [""; 0]);
}

#[test]
fn what_is_empty_blank_or_zero_is_no_refund() {
    for signs in [
        &[("refund_fee", ""), ("gmt_refund", "")][..],
        &[("refund_fee", " "), ("gmt_refund", "  ")],
        &[("refund_fee", "0.00")],
        &[("refund_fee", "0"), ("gmt_refund", "")],
        &[("refund_fee", "0.00"), ("send_back_fee", "0.00"), ("refund_status", "")],
    ] {
        check(signs, &[PAID_FROM_ZERO], &[]);
    }
    check(&[("out_biz_no", "B1")], &[PAID_FROM_ZERO], &[]);
    // A number that only refunds have: no refund is proved, and no total of zero either.
    check(&[("out_request_no", "R1")], &[PAID], &[]);
    check(&[CLOSED, UNPAID, ("gmt_refund", "")], &["payment.closed 2026112122001 88.80"], &[]);
}

#[test]
fn a_refund_that_cannot_be_understood_is_held() {
    let by_time = "refund.succeeded 2026112122001:at:2026-11-22 10:00:00 ? after 2026112122001";
    let time = REFUNDED_AT;
    check(&[time], &[PAID, by_time], &["missing_field refund_fee"]);
    check(&[time, ("refund_fee", "0.00")], &[PAID, by_time], &["contradiction gmt_refund"]);
    check(&[time, ("refund_fee", "x")], &[PAID, by_time], &["unreadable_amount refund_fee"]);
    let by_message = "refund.succeeded n1 ? after 2026112122001";
    let held = ["unreadable_amount refund_fee", "missing_field gmt_refund"];
    check(&[("refund_fee", "-5.00")], &[PAID, by_message], &held);
    let too_much = "refund.succeeded 2026112122001:total:8881 total 88.81 after 2026112122001";
    check(&[("refund_fee", "88.81"), REFUNDED_AT], &[PAID, too_much], &["contradiction refund_fee"]);
    check(&[("refund_status", "REFUND_SUCCESS")], &[PAID], &["missing_field refund_fee"]);
    check(&[("dback_amount", "1.00")], &[PAID], &["missing_field refund_fee"]);
    check(&[("dback_status", "S")], &[PAID], &["missing_field refund_fee"]);
    check(&[("refund_amount", "1.00")], &[PAID], &["missing_field refund_fee"]);
    let pending = "payment.pending 2026112122001 88.80";
    let held = ["contradiction refund_fee", "missing_field gmt_refund"];
    check(&[("trade_status", "WAIT_BUYER_PAY"), ("refund_fee", "1.00")], &[pending], &held);
}

#[test]
fn the_details_of_a_single_refund_must_fit_the_total() {
    let refund = "refund.succeeded 2026112122001:total:500|2026112122001:no:R1 total 5.00 numbered after 2026112122001";
    let check = |details: &[(&str, &str)], held: &[&str]| {
        let number = [("refund_fee", "5.00"), ("out_request_no", "R1"), REFUNDED_AT];
        check(&[&number, details].concat(), &[PAID, refund], held);
    };
    check(&[("refund_amount", "5.00"), ("refund_status", "REFUND_SUCCESS"), ("send_back_fee", "5.00")], &[]);
    check(&[("refund_amount", "2.00"), ("dback_amount", "2.00"), ("dback_status", "S")], &[]);
    check(&[("refund_amount", "5.01")], &["contradiction refund_amount"]);
    check(&[("send_back_fee", "5.01")], &["contradiction send_back_fee"]);
    check(&[("dback_amount", "88.80")], &["contradiction dback_amount"]);
    check(&[("refund_amount", "5.0.0")], &["unreadable_amount refund_amount"]);
    check(&[("refund_status", "REFUND_FAIL")], &["unknown_value refund_status"]);
}

#[test]
fn an_unreadable_amount_is_held() {
    let unreadable = "payment.succeeded 2026112122001 ? from zero";
    for text in ["88.801", "88,80", "-88.80", "8e1", "+1", " 88.80", "99999999999999999999", "¥88.80"] {
        check(&[("total_amount", text)], &[unreadable], &["unreadable_amount total_amount"]);
    }
    check(&[("total_amount", "")], &[unreadable], &["missing_field total_amount"]);
}

#[test]
fn another_currency_is_read_or_held() {
    let money = |code| read(&[("trans_currency", code), ("total_amount", "88")]).facts[0].signed_money();
    assert_eq!(money("JPY").map(|m| (m.minor, m.currency.to_string())), Some((88, "JPY".into())));
    assert_eq!(money("CNY").map(|m| m.minor), Some(8800));
    check(
        &[("trans_currency", "XQZ")],
        &["payment.succeeded 2026112122001 ?"],
        &["unknown_value trans_currency", "unreadable_amount total_amount"],
    );
}

#[test]
fn money_for_another_payee_is_held_under_that_payee() {
    let notification = read(&[("seller_id", "2088000000000009")]);
    assert_eq!(concerns(&notification), ["foreign_payee 2088000000000009"]);
    assert_eq!(notification.scope.account, "2088000000000009");
    assert_eq!(notification.facts[0].scope.account, "2088000000000009");
    assert_eq!(notification.facts[0].payee.as_deref(), Some("2088000000000009"));
    assert_eq!(read(&[("seller_id", "")]).scope.account, SELLER_ID);
    let long = "9".repeat(300);
    assert_eq!(concerns(&read(&[("seller_id", &long)])), ["unknown_value seller_id"]);
}

/// Another order of the payees in the settings must not make a second event of a payment.
#[test]
fn the_account_is_the_messages_own() {
    const OTHER: &str = "2088000000000007";
    let of = |sellers: &[&str], payee: &str| {
        let mut pairs = trade();
        set(&mut pairs, "seller_id", payee);
        genuine(&own_settings().with("seller_id", texts(sellers)), signed(&pairs)).0
    };
    for payee in [SELLER_ID, OTHER] {
        let (one, turned) = (of(&[SELLER_ID, OTHER], payee), of(&[OTHER, SELLER_ID], payee));
        assert_eq!((one.scope.account.as_str(), concerns(&one)), (payee, vec![]));
        assert_eq!((&one.scope, one.key(), &one.facts), (&turned.scope, turned.key(), &turned.facts));
    }
    // Nor does a payee that is listed later.
    assert_eq!(of(&[SELLER_ID], OTHER).scope, of(&[SELLER_ID, OTHER], OTHER).scope);
    // Whoever is named by nobody is the first.
    assert_eq!(of(&[OTHER, SELLER_ID], "").scope.account, OTHER);
}

#[test]
fn attributes_are_taken_over() {
    let notification = read(&[]);
    let fact = &notification.facts[0];
    assert_eq!(fact.order_no.as_deref(), Some("T1"));
    assert_eq!(fact.platform_no.as_deref(), Some("2026112122001"));
    assert_eq!(fact.occurred_at.map(|time| time.to_string()).as_deref(), Some("2026-11-21T07:56:24Z"));
    assert_eq!(notification.sent_at.map(|time| time.to_string()).as_deref(), Some("2026-11-21T07:56:25Z"));
    assert_eq!((notification.platform_id.as_str(), notification.platform_kind.as_str()), ("n1", "trade_status_sync"));
    assert_eq!(concerns(&read(&[("notify_time", "x"), ("gmt_payment", "")])), ["missing_field notify_time"]);
}

#[test]
fn a_repetition_has_the_same_key_and_another_total_has_not() {
    let first = read(&[]).key();
    assert_eq!(read(&[("notify_time", "2026-11-21 16:00:00")]).key(), first);
    assert_ne!(read(&[("total_amount", "88.81")]).key(), first);
    let refund = read(&[("refund_fee", "5.00")]).key();
    assert_ne!(refund, first);
    assert_ne!(read(&[("refund_fee", "6.00")]).key(), refund);
}

#[test]
fn bytes_that_are_no_text_are_held_and_shown() {
    let mut pairs = trade();
    pairs.push(("subject", b"\xd6\xd0"));
    let (notification, _) = genuine(&own_settings(), signed(&pairs));
    assert_eq!(concerns(&notification), ["unreadable_text subject"]);
    let shown = fields(&own_settings(), signed(&pairs));
    assert_eq!(shown[0], ("app_id".to_owned(), APP_ID.to_owned()));
    assert!(shown.iter().any(|(name, value)| name == "subject" && value.contains('\u{fffd}')));
    assert_eq!(lines(&notification), [PAID_FROM_ZERO]);
    set(&mut pairs, "charset", "gb2312");
    assert_eq!(genuine(&own_settings(), signed(&pairs)).0.concerns, []);
    check(&[("charset", "big5")], &[PAID_FROM_ZERO], &["unknown_value charset"]);
}

#[test]
fn names_longer_than_any_are_not_taken() {
    let long = "9".repeat(300);
    check(&[("trade_no", &long)], &["other n1 -"], &["unknown_value trade_no", "missing_field trade_no"]);
    check(&[("out_trade_no", &long)], &[PAID_FROM_ZERO], &["unknown_value out_trade_no", "missing_field out_trade_no"]);
    assert_eq!(read(&[("notify_id", &long)]).platform_id.len(), 64);
}

#[test]
fn agreements_are_named_by_number_state_and_time() {
    let sign = [
        ("notify_type", "dut_user_sign"),
        ("agreement_no", "A1"),
        ("external_agreement_no", "E1"),
        ("status", "NORMAL"),
        ("sign_time", "2026-11-21 10:00:00"),
    ];
    let names = "A1:NORMAL:2026-11-21 10:00:00|external:E1:NORMAL:2026-11-21 10:00:00";
    check(&sign, &[&format!("agreement.signed {names} -")], &[]);
    assert_eq!(read(&sign).facts[0].order_no.as_deref(), Some("E1"));
    let unsign = [("notify_type", "dut_user_unsign"), ("agreement_no", "A1"), ("status", "UNSIGN")];
    check(&unsign, &["agreement.cancelled A1:UNSIGN -"], &[]);
    // The merchant's own number may be used again after an end, so it counts with a time only.
    let again = [unsign.as_slice(), &[("external_agreement_no", "E1")]].concat();
    check(&again, &["agreement.cancelled A1:UNSIGN -"], &[]);
    let timed = [again.as_slice(), &[("unsign_time", "2026-11-22 10:00:00")]].concat();
    let names = "A1:UNSIGN:2026-11-22 10:00:00|external:E1:UNSIGN:2026-11-22 10:00:00";
    check(&timed, &[&format!("agreement.cancelled {names} -")], &[]);
    let odd = [("notify_type", "dut_user_sign"), ("agreement_no", "A1"), ("status", "STOP")];
    check(&odd, &["other n1 -"], &["unknown_value status"]);
    let nameless = [("notify_type", "dut_user_sign"), ("status", "NORMAL")];
    check(&nameless, &["other n1 -"], &["missing_field agreement_no"]);
    for kind in ["dut_user_sign", "dut_user_unsign"] {
        let silent = [("notify_type", kind), ("agreement_no", "A1")];
        check(&silent, &["other n1 -"], &["missing_field status"]);
    }
}

#[test]
fn other_notices_are_kept_and_unknown_ones_held() {
    check(&[("notify_type", "servicemarket_order_notify")], &["other n1 -"], &[]);
    check(&[("notify_type", "open_app_auth_notify")], &["other n1 -"], &[]);
    check(&[("notify_type", "batch_refund_notify")], &["other n1 -"], &["unknown_value notify_type"]);
}

#[track_caller]
fn check_message(method: &str, content: &str, facts: &[&str], held: &[&str]) {
    let pairs = message(method, content.to_owned());
    let (notification, _) = genuine(&own_settings(), signed(&borrowed(&pairs)));
    assert_eq!((lines(&notification), concerns(&notification)), (strings(facts), strings(held)), "{content}");
    assert!(notification.sent_at.is_some());
    assert_eq!(notification.scope.account, SELLER_ID);
}

#[test]
fn transfers_come_through_the_message_service() {
    let check = |content: &str, fact: &str, held: &[&str]| {
        check_message("alipay.fund.trans.order.changed", content, &[fact], held);
    };
    let names = r#""order_id":"O1","out_biz_no":"B1","product_code":"P""#;
    let said = "order:O1|biz:P:B1";
    for (status, kind) in
        [("SUCCESS", "transfer.succeeded"), ("FAIL", "transfer.failed"), ("REFUND", "transfer.returned")]
    {
        let content = format!(r#"{{{names},"status":"{status}","trans_amount":"32.00"}}"#);
        check(&content, &format!("{kind} {said} 32.00"), &[]);
    }
    let number = format!(r#"{{{names},"status":"SUCCESS","trans_amount":32.10}}"#);
    check(&number, &format!("transfer.succeeded {said} 32.10"), &[]);
    for bad in ["3.2e1", "-1", "32.001", "\"x\""] {
        let content = format!(r#"{{{names},"status":"SUCCESS","trans_amount":{bad}}}"#);
        let held = ["unreadable_amount biz_content.trans_amount"];
        check(&content, &format!("transfer.succeeded {said} ?"), &held);
    }
    check(&format!(r#"{{{names},"status":"DEALING"}}"#), "other n1 -", &[]);
    check(&format!(r#"{{{names},"status":"NEW"}}"#), "other n1 -", &["unknown_value biz_content.status"]);
    check(&format!("{{{names}}}"), "other n1 -", &["missing_field biz_content.status"]);
    check(r#"{"status":"SUCCESS"}"#, "other n1 -", &["missing_field biz_content.order_id"]);
    for bad in ["{", "[]", "5nIFKwTThD46JymYc6QiKg=="] {
        check(bad, "other n1 -", &["unreadable_text biz_content"]);
    }
}

#[test]
fn messages_that_we_do_not_read_stay_other() {
    check_message("alipay.open.mini.version.audit.passed", "not even json", &["other n1 -"], &[]);
    let refunded = r#"{"trade_no":"2026","out_trade_no":"T1","dback_status":"S","dback_amount":"1.00"}"#;
    check_message("alipay.trade.refund.depositback.completed", refunded, &["other n1 -"], &[]);
    check_message("alipay.trade.order.settle.notify", "x", &["other n1 -"], &["unreadable_text biz_content"]);
    let twice = r#"{"order_id":"1","order_id":"2"}"#;
    for method in ["alipay.fund.trans.order.changed", "alipay.trade.order.settle.notify"] {
        check_message(method, twice, &["other n1 -"], &["ambiguous biz_content.order_id"]);
    }
}

#[test]
fn what_is_kept_as_other_keeps_its_numbers() {
    let numbers = |pairs: &[(&str, &str)]| {
        let notification = read(pairs);
        let fact = notification.facts[0].clone();
        (fact.kind, fact.order_no, fact.platform_no)
    };
    let some = |text: &str| Some(text.to_owned());
    let other = EventKind::Other;
    assert_eq!(numbers(&[("trade_status", "TRADE_NEW")]), (other, some("T1"), some("2026112122001")));
    let odd = [
        ("notify_type", "dut_user_sign"),
        ("status", "TEMP"),
        ("agreement_no", "A1"),
        ("external_agreement_no", "E1"),
        ("trade_no", ""),
        ("out_trade_no", ""),
    ];
    assert_eq!(numbers(&odd), (other, some("E1"), some("A1")));
    assert_eq!(numbers(&[("trade_status", "X"), ("trade_no", &"9".repeat(300))]).2, None);
}

#[test]
fn each_row_of_a_sharing_is_a_fact_of_its_own() {
    const METHOD: &str = "alipay.trade.order.settle.notify";
    let row = |operation: &str, state: &str, number: u32| {
        format!(
            r#"{{"operation_type":"{operation}","trans_in":"2088000000000009","amount":"1.0{}","state":"{state}","detail_id":"D{number}"}}"#,
            number % 10
        )
    };
    let content = |rows: &[String]| {
        format!(
            r#"{{"out_request_no":"R1","settle_no":"S1","operation_dt":"2026-11-21 10:00:00","royalty_detail_list":[{}]}}"#,
            rows.join(",")
        )
    };
    let rows = [
        row("transfer", "SUCCESS", 1),
        row("transfer", "FAIL", 2),
        row("transfer_refund", "SUCCESS", 3),
        row("transfer_refund", "FAIL", 4),
        row("replenish", "SUCCESS", 5),
        row("transfer", "PROCESSING", 6),
    ];
    let facts = [
        "profit_sharing.succeeded share:D1 1.01",
        "profit_sharing.failed share:D2 1.02",
        "profit_sharing.returned share:D3 1.03",
    ];
    check_message(METHOD, &content(&rows), &facts, &[]);
    check_message(METHOD, &content(&rows[3..]), &["other n1 -"], &[]);
    // Without rows nothing says what became of the sharing; a list inside a text is none that is documented.
    let list = "missing_field biz_content.royalty_detail_list";
    check_message(METHOD, &content(&[]), &["other n1 -"], &[list]);
    check_message(METHOD, r#"{"out_request_no":"R1"}"#, &["other n1 -"], &[list]);
    for other in [r#""[{\"state\":\"FAIL\"}]""#, "null", "{}"] {
        let other = format!(r#"{{"settle_no":"S1","royalty_detail_list":{other}}}"#);
        check_message(METHOD, &other, &["other n1 -"], &[list]);
    }
    let number = content(&[row("transfer", "SUCCESS", 1).replace("\"1.01\"", "10.00")]);
    check_message(METHOD, &number, &["profit_sharing.succeeded share:D1 10.00"], &[]);
    let field = |word: &str, name: &str| format!("{word} biz_content.royalty_detail_list.{name}");
    let held = |row: String, fact: &str, concern: &str| {
        check_message(METHOD, &content(&[row]), &[fact], &[concern]);
    };
    held(row("transfer", "DONE", 1), "other n1 -", &field("unknown_value", "state"));
    held(row("gift", "SUCCESS", 1), "other n1 -", &field("unknown_value", "operation_type"));
    held(row("transfer", "", 1), "other n1 -", &field("missing_field", "state"));
    held(row("transfer", "SUCCESS", 1).replace("D1", ""), "other n1 -", &field("missing_field", "detail_id"));
    let unreadable = "profit_sharing.succeeded share:D1 ?";
    held(row("transfer", "SUCCESS", 1).replace("1.01", "1.011"), unreadable, &field("unreadable_amount", "amount"));
    held(row("transfer", "SUCCESS", 1).replace("1.01", ""), unreadable, &field("missing_field", "amount"));
    let many: Vec<String> = (0..200).map(|number| row("transfer", "SUCCESS", number)).collect();
    let pairs = message(METHOD, content(&many));
    let (notification, _) = genuine(&own_settings(), signed(&borrowed(&pairs)));
    assert_eq!((notification.facts.len(), concerns(&notification).len()), (128, 1));
    let (notification, _) = genuine(&own_settings(), signed(&borrowed(&message(METHOD, content(&rows)))));
    let fact = &notification.facts[0];
    let attributes = [&fact.order_no, &fact.platform_no, &fact.payee].map(|text| text.as_deref().unwrap());
    assert_eq!(attributes, ["R1", "S1", "2088000000000009"]);
    assert_eq!(fact.occurred_at.unwrap().to_string(), "2026-11-21T02:00:00Z");
}

#[test]
fn a_complaint_message_is_one_step_of_its_complaint() {
    const METHOD: &str = "alipay.merchant.tradecomplain.changed";
    check_message(METHOD, r#"{"complain_event_id":"C1"}"#, &["dispute.updated complaint:C1:n1 -"], &[]);
    check_message(METHOD, "{}", &["other n1 -"], &["missing_field biz_content.complain_event_id"]);
    check_message(METHOD, "[]", &["other n1 -"], &["unreadable_text biz_content"]);
    // Another message of the same complaint is another step; a repetition is the same.
    let name = |id: &str| {
        let mut pairs = message(METHOD, r#"{"complain_event_id":"C1"}"#.to_owned());
        pairs.iter_mut().find(|(name, _)| *name == "notify_id").unwrap().1 = id.to_owned();
        genuine(&own_settings(), signed(&borrowed(&pairs))).0.facts[0].identity.clone()
    };
    assert_eq!(name("n2"), name("n2"));
    assert_ne!(name("n2"), name("n3"));
}

/// A message of the message service.
fn message(method: &str, content: String) -> Vec<(&'static str, String)> {
    vec![
        ("app_id", APP_ID.to_owned()),
        ("charset", "utf-8".to_owned()),
        ("version", "1.1".to_owned()),
        ("notify_id", "n1".to_owned()),
        ("utc_timestamp", "1795247784000".to_owned()),
        ("msg_method", method.to_owned()),
        ("biz_content", content),
    ]
}

fn borrowed<'p>(pairs: &'p [(&'static str, String)]) -> Vec<(&'static str, &'p [u8])> {
    pairs.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

#[test]
fn a_message_without_a_number_is_named_by_what_was_signed() {
    let pairs = |time: &'static [u8]| {
        vec![("app_id", APP_ID.as_bytes()), ("utc_timestamp", time), ("msg_method", b"x.y"), ("biz_content", b"{}")]
    };
    let id = |time| genuine(&own_settings(), signed(&pairs(time))).0.platform_id;
    assert_eq!(id(b"1795247784000"), id(b"1795247784000"));
    assert_ne!(id(b"1795247784000"), id(b"1795247784001"));
    let kinds =
        genuine(&own_settings(), signed(&pairs(b"1795247784000"))).0.facts.iter().map(|f| f.kind).collect::<Vec<_>>();
    assert_eq!(kinds, [EventKind::Other]);
}
