//! The channel of the XML generation against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod tenpay;
    pub(crate) mod wire;
}

use oracle::tenpay::Pair;
use tollbell_channels::model::EventKind;

const PAIR: Pair = Pair {
    script: "wechat_v2.py",
    kind: "wechat_pay_v2",
    // Another application of the same merchant: the money is the merchant's, so it is not refused.
    held: &[("other_merchant", "foreign_payee")],
    events: &[
        ("payment.succeeded", EventKind::PaymentSucceeded),
        ("payment.failed", EventKind::PaymentFailed),
        ("refund.succeeded", EventKind::RefundSucceeded),
        // The oracle's word for CHANGE, which the younger generation calls ABNORMAL: the merchant must act.
        ("refund.failed", EventKind::RefundAbnormal),
        ("refund.closed", EventKind::RefundFailed),
        ("contract.signed", EventKind::AgreementSigned),
        ("contract.ended", EventKind::AgreementCancelled),
    ],
    // The description has no fields of the notices without money.
    stories: &[
        EventKind::PaymentSucceeded,
        EventKind::PaymentFailed,
        EventKind::RefundSucceeded,
        EventKind::RefundFailed,
        EventKind::RefundAbnormal,
        EventKind::AgreementSigned,
        EventKind::AgreementCancelled,
    ],
};

#[test]
fn the_channel_and_the_oracle_agree() {
    PAIR.agrees();
}

#[test]
fn the_oracle_believes_the_other_side() {
    PAIR.is_believed();
}
