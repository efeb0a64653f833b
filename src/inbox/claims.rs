//! Claims of deliveries, and what they bring.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tollbell_channels::model::Timestamp;

use super::{DeliveryId, Error, LeaseToken, Leased};

/// What to claim.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The target's id.
    pub target: Arc<str>,
    /// At most so many.
    pub max: usize,
    /// Now.
    pub now: Timestamp,
    /// How long the lease lasts; longer than the attempt.
    pub lease: Duration,
    /// The longest wait that is ever planned. What is due later than that was planned by a clock that has
    /// been set back since, and becomes due at the end of that wait from now.
    pub longest_wait: Duration,
    /// Leases that seem to have run out although their attempts still run in this process: the clock was set
    /// forward. They are renewed instead of being claimed a second time.
    pub running: Vec<(DeliveryId, LeaseToken)>,
}

/// What a claim found.
#[derive(Debug)]
pub struct Claimed {
    /// What was due.
    pub leases: Vec<Leased>,
    /// When something is next due by time alone, or a lease runs out; known when less was due than was asked for.
    pub next_due: Option<Timestamp>,
    /// The claim, where nothing was due.
    pub stand_by: Option<StandBy>,
}

/// A claim that stands by. Dropping it ends it; what had been given to it by then is lost until those leases run
/// out, so it is better ended by a further claim.
#[derive(Debug)]
pub struct StandBy(pub(super) oneshot::Receiver<Result<Vec<Leased>, Error>>);

impl StandBy {
    /// What was given to it; `None` when another claim has ended it.
    ///
    /// # Errors
    /// As [`super::Work::claim`].
    pub async fn granted(&mut self) -> Option<Result<Vec<Leased>, Error>> {
        (&mut self.0).await.ok()
    }

    /// What had been given to it when a further claim ended it.
    ///
    /// # Errors
    /// As [`super::Work::claim`].
    pub fn ended(mut self) -> Option<Result<Vec<Leased>, Error>> {
        self.0.try_recv().ok()
    }
}
