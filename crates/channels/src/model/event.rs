//! What happened, in one vocabulary for all platforms.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// The kind of an event. Its text (`payment.succeeded`) is what applications and routes see, and is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl EventKind {
            /// Every kind, in the order of this file.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

event_kinds! {
    /// Created, nothing paid yet.
    PaymentPending = "payment.pending",
    /// The payer's bank agreed; no money moved. Never a reason to ship.
    PaymentAuthorized = "payment.authorized",
    /// Paid.
    PaymentSucceeded = "payment.succeeded",
    /// Paid, and no refund is possible any more.
    PaymentFinalized = "payment.finalized",
    /// This attempt failed; a later one may still succeed.
    PaymentFailed = "payment.failed",
    /// Closed without payment.
    PaymentClosed = "payment.closed",
    /// Money went back to the payer.
    RefundSucceeded = "refund.succeeded",
    /// The refund did not happen.
    RefundFailed = "refund.failed",
    /// The refund is stuck and needs the merchant's action.
    RefundAbnormal = "refund.abnormal",
    /// Our transfer reached the payee.
    TransferSucceeded = "transfer.succeeded",
    /// Our transfer failed.
    TransferFailed = "transfer.failed",
    /// A transfer that had succeeded came back.
    TransferReturned = "transfer.returned",
    /// A dispute was opened.
    DisputeOpened = "dispute.opened",
    /// A dispute moved.
    DisputeUpdated = "dispute.updated",
    /// A dispute ended.
    DisputeClosed = "dispute.closed",
    /// A withholding agreement was signed.
    AgreementSigned = "agreement.signed",
    /// A withholding agreement ended.
    AgreementCancelled = "agreement.cancelled",
    /// A share of a payment was moved to a receiver.
    ProfitSharingSucceeded = "profit_sharing.succeeded",
    /// A share did not move.
    ProfitSharingFailed = "profit_sharing.failed",
    /// A share came back.
    ProfitSharingReturned = "profit_sharing.returned",
    /// Genuine, without a money meaning that we know: stored, shown, routable, never guessed at.
    Other = "other",
}

impl EventKind {
    /// Reads the stable text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }

    /// Whether an event of this kind waits for the confirmation of its own payment (order rule:
    /// refunds, disputes and `finalized` wait; `payment.succeeded` waits for nothing).
    pub fn follows_payment(self) -> bool {
        matches!(
            self,
            Self::PaymentFinalized
                | Self::RefundSucceeded
                | Self::RefundFailed
                | Self::RefundAbnormal
                | Self::DisputeOpened
                | Self::DisputeUpdated
                | Self::DisputeClosed
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
