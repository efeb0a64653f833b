//! The meeting of the two generations: what one tells, the other tells alike.

use super::*;

#[test]
fn both_generations_tell_one_fact() {
    let old = (PLATFORM.simulate)();
    let new = (wechat_pay::PLATFORM.simulate)();
    let [old_channel, new_channel] =
        [(PLATFORM.build)(&old.settings()).unwrap(), (wechat_pay::PLATFORM.build)(&new.settings()).unwrap()];
    for kind in
        [EventKind::PaymentSucceeded, EventKind::RefundSucceeded, EventKind::RefundFailed, EventKind::RefundAbnormal]
    {
        let mut story = Story { kind, ..Story::paid("T20261121-0001", 12_345, at()) };
        story.refunded_minor = 2_300;
        story.refund_no = Some("R20261121-0001".into());
        let told = [
            accepted_by(&*old_channel, &old.callback(&story).request),
            accepted_by(&*new_channel, &new.callback(&story).request),
        ];
        let [one, other] = told.each_ref().map(only_fact);
        assert_eq!(one.kind, kind);
        assert_eq!((&one.scope, &one.amount, one.kind), (&other.scope, &other.amount, other.kind), "{kind}");
        assert_eq!((&one.order_no, &one.platform_no), (&other.order_no, &other.platform_no), "{kind}");
        assert_eq!((&one.payment, &one.payee), (&other.payment, &other.payee), "{kind}");
        assert_eq!(one.occurred_at, other.occurred_at, "{kind}");
        let names = |fact: &Fact| fact.identities().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(one), names(other), "{kind}: every name, not only a common one");
    }
    for (kind, change) in [(EventKind::AgreementSigned, "ADD"), (EventKind::AgreementCancelled, "DELETE")] {
        let story = Story { kind, ..Story::paid("E20261121-0001", 0, at()) };
        let told = accepted_by(&*new_channel, &new.callback(&story).request);
        let other = only_fact(&told);
        let draft = [
            ("change_type", change),
            ("contract_code", other.order_no.as_deref().unwrap()),
            ("contract_id", other.platform_no.as_deref().unwrap()),
            ("mch_id", &other.scope.account),
            ("operate_time", "2026-11-21 12:00:00"),
            ("plan_id", "12535"),
            ("result_code", "SUCCESS"),
            ("return_code", "SUCCESS"),
        ];
        let notification = accepted(&signed(draft.map(|(name, value)| (name, value.to_owned())).to_vec()));
        let one = only_fact(&notification);
        assert_eq!((one.kind, &one.scope, &one.occurred_at), (kind, &Scope::of(MCH_ID), &other.occurred_at));
        assert_eq!((other.kind, &other.scope.account), (kind, &one.scope.account));
        assert_eq!((&one.order_no, &one.platform_no), (&other.order_no, &other.platform_no), "{kind}");
        assert_eq!(one.identity, other.identity, "{kind}");
    }
}

#[test]
fn both_generations_name_a_sub_merchants_account_alike() {
    let provider = channel(&with_texts(settings(), "sub_mch_id", &["1900000109"]));
    let notification = accepted_by(&*provider, &signed(set(payment(), &[("sub_mch_id", "1900000109")])));
    assert_eq!(words(&notification), [""; 0]);
    assert_eq!(only_fact(&notification).scope, Scope::of("1900000001:1900000109"));
    assert_eq!(only_fact(&notification).payee.as_deref(), Some("1900000109"));
}

/// A deduction that failed before there was a payment has no number but the merchant's.
#[test]
fn both_generations_name_a_payment_that_never_was_by_its_order() {
    for change in [&[("result_code", "FAIL")][..], &[("trade_state", "PAY_FAIL")]] {
        let failed = without(set(payment(), change), "transaction_id");
        let notification = accepted(&signed(failed.clone()));
        let fact = only_fact(&notification);
        assert_eq!((fact.kind, words(&notification)), (EventKind::PaymentFailed, vec![]));
        assert_eq!((fact.identity.as_str(), &fact.amount), ("out_trade_no:1409811653", &fen(1)));
        assert_eq!((fact.order_no.as_deref(), &fact.platform_no), (Some("1409811653"), &None));
        let nameless = accepted(&signed(without(failed, "out_trade_no")));
        assert_eq!((only_fact(&nameless).kind, words(&nameless)), (EventKind::Other, vec!["missing_field"]));
    }
    // Paid needs the payment's own number, by which refunds name it.
    let paid = accepted(&signed(without(payment(), "transaction_id")));
    assert_eq!((only_fact(&paid).kind, words(&paid)), (EventKind::Other, vec!["missing_field"]));
}
