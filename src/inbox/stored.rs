//! What storing a notification did.

use tollbell_channels::model::{EventKind, Timestamp};

use super::{EventId, NotificationId};

/// What storing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was new.
    New {
        /// Its id. Those that are stored later sort later.
        id: NotificationId,
        /// The events that it brought; empty when all its facts were known.
        events: Vec<NewEvent>,
        /// Whether any of it is held for a person.
        is_held: bool,
    },
    /// It had been stored before.
    Repeated {
        /// The first one's id.
        first: NotificationId,
        /// When that one arrived.
        first_received_at: Timestamp,
        /// How often it was repeated, this time included.
        repeats: u32,
        /// We had answered success completely before this repetition arrived: the platform did not
        /// like our reply.
        is_after_ack: bool,
        /// Whether the first one is held.
        is_held: bool,
    },
}

impl Stored {
    /// The notification that stands for the message: the new one, or the first of its repetitions.
    pub fn notification(&self) -> NotificationId {
        match self {
            Self::New { id, .. } => *id,
            Self::Repeated { first, .. } => *first,
        }
    }
}

/// An event that a notification brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// Number of deliveries made for it; 0 is an unrouted event.
    pub deliveries: usize,
    /// Whether it is held.
    pub is_held: bool,
    /// Whether it is held only until the platform confirms it.
    pub is_unconfirmed: bool,
}
