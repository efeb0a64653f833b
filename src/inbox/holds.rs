//! Holds: what a person must look at before it is delivered, and how a person ends it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tollbell_channels::model::Timestamp;

use super::{DeliveryId, DeliveryRecord, Error, EventId, EventRecord, NotificationId, NotificationRecord};

/// What is held.
#[async_trait]
pub trait Holds: Send + Sync {
    /// Held notifications, oldest first: the one that waited longest is looked at first. `after` is the last
    /// id of the page before.
    async fn holds(&self, after: Option<NotificationId>, limit: usize) -> Result<Vec<HoldRecord>, Error>;

    /// Ends holds, and audits it in the same transaction. Released deliveries go on as if they had just been
    /// made: what follows a payment still waits for that payment's confirmation. Discarded ones are never
    /// attempted; what waited for them goes on. What is not held is left alone.
    async fn end_hold(&self, end: EndHold) -> Result<EndedHold, Error>;
}

/// A held notification.
#[derive(Clone, Debug)]
pub struct HoldRecord {
    /// The notification, with its own concerns, without its request.
    pub notification: NotificationRecord,
    /// Its events whose hold is open, with their concerns.
    pub events: Vec<EventRecord>,
    /// Its held deliveries.
    pub deliveries: Vec<DeliveryRecord>,
}

/// What to end, and how.
#[derive(Clone, Debug)]
pub struct EndHold {
    /// Which.
    pub what: HoldWhat,
    /// How.
    pub end: HoldEnd,
    /// Who asked for it, as the audit names them.
    pub by: String,
    /// Why.
    pub why: Option<String>,
    /// Now.
    pub at: Timestamp,
}

/// Which holds to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldWhat {
    /// All of a notification.
    Notification(NotificationId),
    /// One event; deliveries that cover further held events stay until those are decided too.
    Event(EventId),
    /// One delivery.
    Delivery(DeliveryId),
}

/// Who ended a hold, where the platform's own answer did.
pub const BY_PLATFORM: &str = "platform";

/// Events of unconfirmed messages under one name that are looked at, the latest first: a payment has a handful, and who knows
/// the channel's secret must not make each store slower by inventing more. Those behind them wait for a person.
pub const CLAIMS_MAX: u32 = 64;

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldEnd {
    /// It is delivered.
    Release,
    /// It is never delivered.
    Discard,
}

impl HoldEnd {
    /// The word in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Discard => "discard",
        }
    }
}

/// What ending did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedHold {
    /// Deliveries that go on, or were discarded.
    pub deliveries: u64,
    /// Of those released, how many wait for the confirmation of their payment.
    pub waiting: u64,
    /// Events and notifications whose hold ended.
    pub holds: u64,
}
