//! Facts: things that happened to money, named by identities within a scope.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Currency, EventKind, Money, Timestamp};

/// Longest identity, order number or account that is taken from a message, in bytes. Platforms stay
/// below 128; a longer one is a sign of another protocol, and is refused rather than cut.
pub const NAME_BYTES_MAX: usize = 256;

/// Where money is real, and where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Real money.
    Live,
    /// The platform's sandbox.
    Sandbox,
}

impl Environment {
    /// The stable text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }

    /// Reads the stable text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "live" => Some(Self::Live),
            "sandbox" => Some(Self::Sandbox),
            _ => None,
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an identity is unique. Never a configuration's id: two configured channels of one account
/// (a move, two protocol generations) share a scope, so that one fact stays one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// Live or sandbox.
    pub environment: Environment,
    /// The platform family, e.g. the same word for two generations of one platform.
    pub family: &'static str,
    /// The paying account, including the sub-merchant where there is one.
    pub account: String,
}

/// One name of a fact within its scope. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity(String);

impl Identity {
    /// `None` when the text is empty, or longer than [`NAME_BYTES_MAX`].
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty() && text.len() <= NAME_BYTES_MAX).then_some(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a message says about the amount of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Amount {
    /// The platform states it.
    Stated(Money),
    /// Only a running total is stated; the amount of this one fact follows from adjacent totals
    /// that the inbox knows, or stays unknown.
    Cumulative {
        /// All facts that share the total.
        series: Series,
        /// The total including this fact.
        total: Money,
        /// The fact carries a number of its own, so a total lower than one already seen is another
        /// fact that came late. Without a number, a lower total is stale and says nothing new.
        is_numbered: bool,
    },
    /// This kind of fact has no amount (an agreement).
    None,
    /// There should be one and it cannot be read; the notification carries the [`super::Concern`].
    Unreadable,
}

/// The name of a running total: identities of one payment's refunds share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Series(pub Identity);

/// One thing that happened to money, as one notification asserts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What happened. Part of the fact's name: `payment.succeeded` and `payment.finalized` of one
    /// payment are two facts that share the payment's identity.
    pub kind: EventKind,
    /// Where the identities are unique.
    pub scope: Scope,
    /// The fact's first name. Any known name means the same fact.
    pub identity: Identity,
    /// Its other names; the inbox adds them in the same transaction.
    pub aliases: Vec<Identity>,
    /// How much.
    pub amount: Amount,
    /// The merchant's order number: an attribute, not an identity.
    pub order_no: Option<String>,
    /// The platform's number of the payment, refund, transfer…
    pub platform_no: Option<String>,
    /// Who received the money, as the message names it; compared when the fact is seen again.
    pub payee: Option<String>,
    /// When it happened, by the platform.
    pub occurred_at: Option<Timestamp>,
    /// The identity of the payment that this fact follows (refund, dispute, finalized), within the
    /// same scope and under [`EventKind::PaymentSucceeded`].
    pub payment: Option<Identity>,
    /// A total of zero that this message proves for a series: a payment seen without any refund is
    /// the ground on which the first refund's own amount can stand.
    pub baseline: Option<(Series, Currency)>,
}

impl Fact {
    /// All names, the first one first.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        std::iter::once(&self.identity).chain(&self.aliases)
    }

    /// The amount or the running total as money, where the message has one.
    pub fn signed_money(&self) -> Option<Money> {
        match &self.amount {
            Amount::Stated(money) | Amount::Cumulative { total: money, .. } => Some(*money),
            Amount::None | Amount::Unreadable => None,
        }
    }
}
