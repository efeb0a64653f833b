//! A notification: one genuine message, read.

use serde::{Deserialize, Serialize};

use super::{Amount, Fact, Scope, Timestamp};

/// One message from a platform, read but not yet kept. Only inside [`super::Proven`] does it count. What it holds
/// beside this is in its request, from which [`crate::channel::Channel::fields`] reads every field as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Where its key is unique: the account that the message speaks about.
    pub scope: Scope,
    /// The platform's own number of this message where it has one (the same on every repetition),
    /// else a name that the platform's file makes from signed content.
    pub platform_id: String,
    /// What the platform calls this kind of message, for people.
    pub platform_kind: String,
    /// The platform's time in the message, used to hold captures that are older than our memory.
    pub sent_at: Option<Timestamp>,
    /// What it asserts: none for a message without money meaning that still is an event
    /// (`other` is a fact too), several for combined messages.
    pub facts: Vec<Fact>,
    /// Why a person must look at it before it is delivered.
    pub concerns: Vec<Concern>,
}

/// Why a genuine notification is held for a person instead of being delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "concern", rename_all = "snake_case")]
pub enum Concern {
    /// The money went to another payee than the channel's.
    ForeignPayee {
        /// As the message names it.
        payee: String,
    },
    /// The message is of a sandbox and the channel live, or the other way round.
    ForeignEnvironment {
        /// The platform's field.
        field: String,
    },
    /// An amount that this platform never writes.
    UnreadableAmount {
        /// The platform's field.
        field: String,
    },
    /// A value that the platform's file does not know.
    UnknownValue {
        /// The platform's field.
        field: String,
        /// What it said, bounded.
        value: String,
    },
    /// Bytes that are no text in the declared charset.
    UnreadableText {
        /// The platform's field.
        field: String,
    },
    /// A field without which the fact has no name.
    MissingField {
        /// The platform's field.
        field: String,
    },
    /// Two fields of one message that cannot both be true.
    Contradiction {
        /// The platform's field that does not fit the others.
        field: String,
    },
    /// A signed text that, by the platform's own rule of joining fields, could as well be other fields.
    Ambiguous {
        /// The platform's field.
        field: String,
    },
    /// The same fact was seen with another amount, currency or payee, names belong to two facts, or a payment
    /// that is known to have succeeded is called closed.
    Conflict {
        /// What differs: `amount`, `currency`, `payee`, `identity` or `state`.
        differs: String,
        /// The event that it contradicts.
        event: String,
    },
    /// Its own time lies further back than identities are kept.
    TooOld,
    /// The channel is set to ask the platform before anything is told, and the platform has not confirmed this yet.
    Unconfirmed {
        /// What the platform is asked about; empty when the message names nothing that can be asked about.
        number: String,
    },
}

impl Concern {
    /// The stable word, also the key of the text for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ForeignPayee { .. } => "foreign_payee",
            Self::ForeignEnvironment { .. } => "foreign_environment",
            Self::UnreadableAmount { .. } => "unreadable_amount",
            Self::UnknownValue { .. } => "unknown_value",
            Self::UnreadableText { .. } => "unreadable_text",
            Self::MissingField { .. } => "missing_field",
            Self::Contradiction { .. } => "contradiction",
            Self::Ambiguous { .. } => "ambiguous",
            Self::Conflict { .. } => "conflict",
            Self::TooOld => "too_old",
            Self::Unconfirmed { .. } => "unconfirmed",
        }
    }
}

/// Every word of [`Concern::word`]; the catalogues hold a text for each.
pub const CONCERN_WORDS: &[&str] = &[
    "foreign_payee",
    "foreign_environment",
    "unreadable_amount",
    "unknown_value",
    "unreadable_text",
    "missing_field",
    "contradiction",
    "ambiguous",
    "conflict",
    "too_old",
    "unconfirmed",
];

/// What makes two notifications the same: the platform's number and what it asserts. A platform that
/// used one number for two different assertions would give two notifications, and lose nothing.
///
/// The number stands in front: on most platforms it begins with a date, so that keys arrive nearly in order and a
/// B-tree stays cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NotificationKey {
    /// The platform's number.
    pub platform_id: String,
    /// A digest of what is asserted: eight bytes separate the few assertions that one number could ever carry.
    pub assertion: [u8; 8],
}

/// Before a notification's own number where that is a name of its fact: a message of this number tells one thing.
pub const TRANSMISSION: &str = "transmission:";

impl Notification {
    /// Whether a message of this number can tell one thing only, so that another one of the same number contradicts it: its
    /// fact goes by the number as well. So it is where the number is proven and the rest of the message is not.
    pub fn tells_one_thing(&self) -> bool {
        let is_number = |name: &str| name.strip_prefix(TRANSMISSION) == Some(self.platform_id.as_str());
        self.facts.iter().any(|fact| fact.identities().any(|name| is_number(name.as_str())))
    }

    /// The key under which a repetition is recognised, within [`Notification::scope`].
    pub fn key(&self) -> NotificationKey {
        let mut text = String::with_capacity(256);
        let mut say = |part: &str, end: char| {
            text.push_str(part);
            text.push(end);
        };
        for fact in &self.facts {
            say(fact.kind.as_str(), '\u{1f}');
            say(&fact.scope.account, '\u{1f}');
            for identity in fact.identities() {
                say(identity.as_str(), '\u{1f}');
            }
            match &fact.amount {
                Amount::Stated(money) => say(&format!("={}{}", money.minor, money.currency), '\u{1f}'),
                Amount::Cumulative { total, .. } => say(&format!("+{}{}", total.minor, total.currency), '\u{1f}'),
                Amount::None => say("-", '\u{1f}'),
                Amount::Unreadable => say("?", '\u{1f}'),
            }
            say(fact.order_no.as_deref().unwrap_or(""), '\u{1f}');
            say(fact.payee.as_deref().unwrap_or(""), '\u{1e}');
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let mut assertion = [0; 8];
        assertion.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        NotificationKey { platform_id: self.platform_id.clone(), assertion }
    }
}
