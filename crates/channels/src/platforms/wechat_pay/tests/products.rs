//! Products beside payments, refunds and transfers: contracts, complaints, credit scores, batches, notices.

use super::*;

/// One fact, without a concern.
#[track_caller]
fn clean(stage: &Stage, event_type: &str, plaintext: &Value) -> Fact {
    let mut notification = stage.read(event_type, plaintext);
    assert_eq!(words(&notification), Vec::<&str>::new(), "{event_type} {plaintext}");
    assert_eq!(notification.facts.len(), 1, "{event_type} {plaintext}");
    notification.facts.remove(0)
}

#[track_caller]
fn held(stage: &Stage, event_type: &str, plaintext: &Value, word: &str) {
    let notification = stage.read(event_type, plaintext);
    assert_eq!(notification.facts[0].kind, EventKind::Other, "{event_type} {plaintext}");
    assert_eq!(words(&notification), [word], "{event_type} {plaintext}");
}

fn names(fact: &Fact) -> Vec<&str> {
    fact.identities().map(Identity::as_str).collect()
}

fn without(mut value: Value, name: &str) -> Value {
    value.as_object_mut().unwrap().remove(name);
    value
}

fn contract(state: &str) -> Value {
    json!({
        "mchid": MCHID, "appid": "wx01", "contract_id": "C1", "out_contract_code": "E1", "plan_id": 12535,
        "contract_state": state, "contract_signed_time": "2026-11-21T10:00:00+08:00",
    })
}

#[test]
fn contracts_are_signed_and_ended() {
    let stage = stage();
    let at = "2026-11-21T10:00:00+08:00";
    for family in ["ENTRUST", "INSURANCE_ENTRUST", "ECOMMERCE_ENTRUST"] {
        let signed = clean(&stage, &format!("{family}.SIGN"), &contract("SIGNED"));
        assert_eq!((signed.kind, &signed.amount), (EventKind::AgreementSigned, &Amount::None));
        assert_eq!(names(&signed), ["contract:C1", &format!("out_contract:12535:E1:{at}")]);
        assert_eq!((signed.order_no.as_deref(), signed.platform_no.as_deref()), (Some("E1"), Some("C1")));
        assert_eq!(signed.occurred_at.unwrap().to_string(), "2026-11-21T02:00:00Z");
        let mut plaintext = contract("TERMINATED");
        plaintext["contract_terminate_info"] = json!({ "contract_terminated_time": "2026-11-22T10:00:00+08:00" });
        let ended = clean(&stage, &format!("{family}.TERMINATE"), &plaintext);
        assert_eq!(ended.kind, EventKind::AgreementCancelled);
        assert_eq!(names(&ended), ["contract:C1", "out_contract:12535:E1:2026-11-22T10:00:00+08:00"]);
        assert_eq!(ended.occurred_at.unwrap().to_string(), "2026-11-22T02:00:00Z");
    }
    // E-commerce contracts have neither a state nor the platform's number.
    let bare = json!({
        "mchid": MCHID, "appid": "wx01", "out_contract_code": "E1", "plan_id": "12535", "operate_time": at,
    });
    let signed = clean(&stage, "ECOMMERCE_ENTRUST.SIGN", &bare);
    assert_eq!(names(&signed), [format!("out_contract:12535:E1:{at}")]);
    held(&stage, "ENTRUST.SIGN", &contract("TERMINATED"), "contradiction");
    held(&stage, "ENTRUST.TERMINATE", &contract("SIGNED"), "contradiction");
    held(&stage, "ENTRUST.SIGN", &contract("SIGNING"), "unknown_value");
    let nameless = without(without(contract("SIGNED"), "contract_id"), "out_contract_code");
    held(&stage, "ENTRUST.SIGN", &nameless, "missing_field");
    let foreign = stage.read("ENTRUST.SIGN", &changed(contract("SIGNED"), "/mchid", json!("1900000002")));
    assert_eq!(words(&foreign), ["foreign_payee"]);
    let changing =
        json!({ "sp_mchid": MCHID, "contract_information": { "contract_id": "C1", "contract_status": "ADD" } });
    for event_type in ["ENTRUST.SIGNING", "ENTRUST.RELEASE"] {
        let other = clean(&stage, event_type, &changing);
        assert_eq!((other.kind, other.platform_no.as_deref()), (EventKind::Other, Some("C1")));
    }
}

#[test]
fn a_complaint_opens_moves_and_closes() {
    let stage = stage();
    let told = |action: &str| json!({ "complaint_id": "K1", "action_type": action });
    let opened = clean(&stage, "COMPLAINT.CREATE", &told("CREATE_COMPLAINT"));
    assert_eq!((opened.kind, names(&opened)), (EventKind::DisputeOpened, vec!["complaint:K1"]));
    assert_eq!((opened.platform_no.as_deref(), &opened.payment), (Some("K1"), &None));
    for (action, kind) in [
        ("CONTINUE_COMPLAINT", EventKind::DisputeUpdated),
        ("USER_RESPONSE", EventKind::DisputeUpdated),
        ("MERCHANT_APPROVE_REFUND", EventKind::DisputeUpdated),
        ("A_NEW_ACTION", EventKind::DisputeUpdated),
        ("MERCHANT_CONFIRM_COMPLETE", EventKind::DisputeClosed),
    ] {
        let moved = clean(&stage, "COMPLAINT.STATE_CHANGE", &told(action));
        let expected =
            [format!("complaint:K1:{action}:N1"), format!("complaint:K1:{action}:at:2026-11-21T12:00:00+08:00")];
        assert_eq!((moved.kind, names(&moved)), (kind, expected.iter().map(String::as_str).collect()));
    }
    assert_eq!(clean(&stage, "COMPLAINT.CREATE", &json!({ "complaint_id": "K1" })).kind, EventKind::DisputeOpened);
    held(&stage, "COMPLAINT.CREATE", &told("USER_RESPONSE"), "contradiction");
    held(&stage, "COMPLAINT.STATE_CHANGE", &told("CREATE_COMPLAINT"), "contradiction");
    held(&stage, "COMPLAINT.CREATE", &json!({ "action_type": "CREATE_COMPLAINT" }), "missing_field");
    let more = json!({ "complaint_id": "K1", "action_type": "CREATE_COMPLAINT", "transaction_id": "42001", "out_trade_no": "T1" });
    let opened = clean(&stage, "COMPLAINT.CREATE", &more);
    let payment = opened.payment.as_ref().map(Identity::as_str);
    assert_eq!((payment, opened.order_no.as_deref()), (Some("42001"), Some("T1")));
}

fn score(rows: &Value) -> Value {
    json!({
        "mchid": MCHID, "appid": "wx01", "out_order_no": "P1", "order_id": "S1", "state": "DONE", "total_amount": 30,
        "collection": { "state": "USER_PAID", "total_amount": 30, "paying_amount": 0, "paid_amount": 30, "details": rows },
    })
}

#[test]
fn a_credit_score_order_is_paid_by_the_rows_that_prove_it() {
    let stage = stage();
    let row = |paid_type: &str, number: &str, amount: Value| json!({ "seq": 1, "amount": amount, "paid_type": paid_type, "paid_time": "20261121100000", "transaction_id": number });
    let paid = clean(&stage, "PAYSCORE.USER_PAID", &score(&json!([row("NEWTON", "42001", json!(30))])));
    assert_eq!((paid.kind, paid.identity.as_str(), minor(&paid)), (EventKind::PaymentSucceeded, "42001", Some(30)));
    assert_eq!((paid.order_no.as_deref(), paid.payee.as_deref()), (Some("P1"), Some(MCHID)));
    assert_eq!(paid.occurred_at.unwrap().to_string(), "2026-11-21T02:00:00Z");
    let parts =
        json!([row("NEWTON", "42001", json!(10)), row("MCH", "9", json!(5)), row("NEWTON", "42002", json!(15))]);
    let notification = stage.read("PAYSCORE.USER_PAID", &score(&parts));
    let found: Vec<_> = notification.facts.iter().map(|fact| (fact.identity.as_str(), minor(fact))).collect();
    assert_eq!((found, words(&notification)), (vec![("42001", Some(10)), ("42002", Some(15))], vec![]));
    // All of it was paid elsewhere, as the merchant said itself: nothing of it is this platform's.
    let elsewhere = clean(&stage, "PAYSCORE.USER_PAID", &score(&json!([row("MCH", "42001", json!(30))])));
    assert_eq!((elsewhere.kind, elsewhere.order_no.as_deref()), (EventKind::Other, Some("P1")));
    assert_eq!((elsewhere.platform_no.as_deref(), &elsewhere.amount), (Some("S1"), &Amount::None));
    for amount in [json!("30"), json!(-1), json!(3.5)] {
        held(&stage, "PAYSCORE.USER_PAID", &score(&json!([row("NEWTON", "42001", amount)])), "unreadable_amount");
    }
    let proven = row("NEWTON", "42001", json!(30));
    let whole = score(&json!([proven]));
    for (unproven, word) in [
        (score(&json!([row("NEWTON", "", json!(30))])), "missing_field"),
        (score(&json!([without(proven.clone(), "transaction_id")])), "missing_field"),
        (score(&json!([row("NEWTON", &"4".repeat(300), json!(30))])), "unknown_value"),
        (score(&json!([row("A_NEW_WAY", "42001", json!(30))])), "unknown_value"),
        (score(&json!([without(proven.clone(), "paid_type")])), "missing_field"),
        (score(&json!(["a row"])), "missing_field"),
        (score(&json!([])), "missing_field"),
        (score(&json!({})), "missing_field"),
        (score(&json!(null)), "missing_field"),
        (score(&json!(vec![proven.clone(); 65])), "missing_field"),
        (changed(whole.clone(), "/collection/state", json!("USER_PAYING")), "contradiction"),
        (changed(whole.clone(), "/collection/state", json!("A_NEW_STATE")), "unknown_value"),
        (changed(whole.clone(), "/collection/state", json!("")), "missing_field"),
        (without(whole, "collection"), "missing_field"),
    ] {
        held(&stage, "PAYSCORE.USER_PAID", &unproven, word);
    }
    // One row that cannot be read holds the message; the payments of the others are known.
    let half = score(&json!([proven, row("NEWTON", "", json!(30))]));
    let notification = stage.read("PAYSCORE.USER_PAID", &half);
    let found: Vec<_> = notification.facts.iter().map(|fact| fact.identity.as_str()).collect();
    assert_eq!((found, words(&notification)), (vec!["42001"], vec!["missing_field"]));
    let open = clean(&stage, "PAYSCORE.USER_CONFIRM", &score(&json!([row("NEWTON", "42001", json!(30))])));
    assert_eq!(open.kind, EventKind::Other);
}

#[test]
fn a_batch_of_transfers_is_told_only_when_all_or_none_arrived() {
    let stage = stage();
    let batch = |status: &str, arrived: u32, failed: u32| {
        json!({
            "mchid": MCHID, "out_batch_no": "B1", "batch_id": "131", "batch_status": status, "total_num": 2,
            "total_amount": 200, "success_num": arrived, "success_amount": arrived * 100, "fail_num": failed,
            "fail_amount": failed * 100, "update_time": "2026-11-21T10:00:00+08:00",
        })
    };
    for (word, arrived, failed, kind) in [
        ("FINISHED", 2, 0, EventKind::TransferSucceeded),
        ("FINISHED", 0, 2, EventKind::TransferFailed),
        ("CLOSED", 0, 2, EventKind::TransferFailed),
        ("FINISHED", 1, 1, EventKind::Other),
        ("CLOSED", 1, 1, EventKind::Other),
    ] {
        let fact = clean(&stage, &format!("MCHTRANSFER.BATCH.{word}"), &batch(word, arrived, failed));
        assert_eq!(fact.kind, kind, "{word} {arrived} {failed}");
        assert_eq!((fact.order_no.as_deref(), fact.platform_no.as_deref()), (Some("B1"), Some("131")));
        if kind != EventKind::Other {
            assert_eq!((names(&fact), minor(&fact)), (vec!["batch_id:131", "out_batch_no:B1"], Some(200)));
        }
    }
    let finished = "MCHTRANSFER.BATCH.FINISHED";
    held(&stage, finished, &batch("FINISHED", 0, 1), "contradiction");
    for (path, to, word) in [
        ("/success_amount", json!(100), "contradiction"),
        ("/total_num", json!(3), "contradiction"),
        ("/success_num", json!("2"), "unknown_value"),
        ("/fail_num", json!(-1), "unknown_value"),
        ("/fail_amount", json!(null), "missing_field"),
        ("/success_num", json!(u64::MAX), "contradiction"),
    ] {
        held(&stage, finished, &changed(batch("FINISHED", 2, 0), path, to), word);
    }
    let mut crossed = batch("FINISHED", 2, 0);
    (crossed["success_amount"], crossed["fail_amount"]) = (json!(0), json!(200));
    held(&stage, finished, &crossed, "contradiction");
    held(&stage, "MCHTRANSFER.BATCH.FINISHED", &batch("CLOSED", 0, 2), "contradiction");
    held(&stage, "MCHTRANSFER.BATCH.FINISHED", &batch("DONE", 2, 0), "unknown_value");
    held(&stage, "MCHTRANSFER.BATCH.FINISHED", &without(batch("FINISHED", 2, 0), "batch_status"), "missing_field");
}

/// The page of receivers shows a payment's word for a change of balance, without its direction.
#[test]
fn a_share_under_a_payments_word_is_no_payment() {
    let stage = stage();
    let share = json!({
        "sp_mchid": "1900000999", "transaction_id": "42001", "order_id": "3008", "out_order_no": "P1",
        "receiver": { "type": "MERCHANT_ID", "account": MCHID, "amount": 5 },
    });
    let told = |original_type: &str| {
        let mut body = envelope_of("TRANSACTION.SUCCESS", share.to_string().as_bytes(), Some("x"));
        body["resource"]["original_type"] = json!(original_type);
        match stage.verify(&stage.request(body.to_string().as_bytes(), now().as_second())) {
            Verdict::Genuine(proven) => proven.into_parts().0,
            other => panic!("{other:?}"),
        }
    };
    let notification = told("profitsharing");
    assert_eq!((notification.facts[0].kind, words(&notification)), (EventKind::Other, vec![]));
    assert!(words(&told("transaction")).contains(&"missing_field"));
}

#[test]
fn notices_without_a_meaning_for_us_keep_their_numbers() {
    let stage = stage();
    for (event_type, plaintext, ours, theirs) in [
        ("COUPON.USE", json!({ "stock_creator_mchid": "1", "coupon_id": "77" }), None, Some("77")),
        ("RECHARGE.SUCCESS", json!({ "out_recharge_no": "R1", "recharge_id": "88" }), Some("R1"), Some("88")),
        ("RECHARGE.CLOSED", json!({ "out_recharge_no": "R1" }), Some("R1"), None),
        ("VEHICLE.ENTRANCE_STATE_CHANGE", json!({ "plate_number": "粤B888888" }), None, None),
        ("MEMBERCARD.ACCEPT_CARD", json!({}), None, None),
        ("PAYSCORE.USER_OPEN_SERVICE", json!({ "out_order_no": 5 }), Some("5"), None),
        ("MEDICAL_INSURANCE.SUCCESS", json!({}), None, None),
        ("DISCOUNT_CARD.USER_PAID", json!({}), None, None),
        ("FAPIAO.ISSUED", json!({}), None, None),
        ("MALL_TRANSACTION.SUCCESS", json!({ "transaction_id": "9" }), None, Some("9")),
        ("COUPON.SEND", json!({ "coupon_id": "7".repeat(300) }), None, None),
    ] {
        let other = clean(&stage, event_type, &plaintext);
        assert_eq!((other.kind, other.identity.as_str()), (EventKind::Other, "N1"), "{event_type}");
        assert_eq!((other.order_no.as_deref(), other.platform_no.as_deref()), (ours, theirs), "{event_type}");
    }
    for event_type in [
        "A.NEW.EVENT",
        "COMPLAINT.NEW",
        "VEHICLES.X",
        "PAYSCORE",
        // A word that is new in a family with money or contracts, and families that no source describes.
        "COUPON.REFUNDED",
        "DISCOUNT_CARD.REFUNDED",
        "ECOMMERCE_ENTRUST.SUSPEND",
        "EDU_SCHOOL_PAY.SUCCESS",
        "ENTRUST.PAID",
        "FACEPAY.SUCCESS",
        "HIRE_POWER_BANK.PAID",
        "INSURANCE_ENTRUST.PAID",
        "MALL_REFUND.CLOSED",
        "MALL_TRANSACTION.FAIL",
        "MCHTRANSFER.AUTHORIZATION.OPEN",
        "MCHTRANSFER.NEW",
        "MCHWITHDRAW.SUCCESS",
        "MEDICAL_INSURANCE.FAIL",
        "PAPAY.SUCCESS",
        "PAYSCORE.USER_REFUNDED",
        "RECHARGE.REFUND",
        "RECHARGE.SUCCESS.X",
        "TRANSACTION.CLOSED",
        "VIOLATION.FINE",
        "WEBIZPAY.SUCCESS",
    ] {
        held(&stage, event_type, &json!({}), "unknown_value");
    }
}
