//! The channel against an oracle that was written from the protocol's description alone.

mod oracle {
    pub(crate) mod python;
    pub(crate) mod tenpay;
    pub(crate) mod wire;
}

use oracle::tenpay::Pair;
use tollbell_channels::model::EventKind;

const PAIR: Pair = Pair {
    script: "qq_wallet.py",
    kind: "qq_wallet",
    // Proven messages are not refused for what they say: repeating would not help, and refusing loses money.
    held: &[
        ("other_merchant", "foreign_payee"),
        ("no_number", "missing_field"),
        ("amount_nonsense", "unreadable_amount"),
    ],
    events: &[("payment.succeeded", EventKind::PaymentSucceeded), ("other", EventKind::Other)],
    stories: &[EventKind::PaymentSucceeded, EventKind::Other],
};

#[test]
fn the_channel_and_the_oracle_agree() {
    PAIR.agrees();
}

#[test]
fn the_oracle_believes_the_other_side() {
    PAIR.is_believed();
}
