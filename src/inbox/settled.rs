//! Who waits for the end of which delivery. The writer tells ends after their commit, and exactly those who
//! listen for that delivery are woken, with the state in hand: a thousand listeners cost no question.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::{DeliveryId, DeliveryState, Standing};

/// Everyone who listens. Bounded by its callers: who listens holds a place of theirs.
#[derive(Default)]
pub(super) struct Hub(Mutex<Listeners>);

#[derive(Default)]
struct Listeners {
    next: u64,
    by_delivery: HashMap<DeliveryId, HashMap<u64, mpsc::Sender<Standing>>>,
}

/// Hears the ends of some deliveries. Dropping it ends the listening.
pub struct Settled {
    hub: Arc<Hub>,
    listener: u64,
    deliveries: Vec<DeliveryId>,
    told: mpsc::Receiver<Standing>,
}

impl Hub {
    /// Begins to listen.
    pub(super) fn listen(self: &Arc<Self>, deliveries: &[DeliveryId]) -> Settled {
        let (teller, told) = mpsc::channel(deliveries.len().max(1));
        let mut listeners = self.lock();
        let listener = listeners.next;
        listeners.next += 1;
        for delivery in deliveries {
            listeners.by_delivery.entry(*delivery).or_default().insert(listener, teller.clone());
        }
        drop(listeners);
        Settled { hub: Arc::clone(self), listener, deliveries: deliveries.to_vec(), told }
    }

    /// Tells what a commit has settled.
    pub(super) fn tell(&self, settled: &[(DeliveryId, DeliveryState)]) {
        if settled.is_empty() {
            return;
        }
        let listeners = self.lock();
        for (delivery, state) in settled {
            for teller in listeners.by_delivery.get(delivery).into_iter().flat_map(HashMap::values) {
                if teller.try_send(Standing { delivery: *delivery, state: *state }).is_err() {
                    // It has ends enough to look at; a look shows the rest.
                    tracing::debug!(delivery.id = %delivery, "a listener was not told of an end");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settled {
    /// The next end. Never returns when none comes.
    pub async fn next(&mut self) -> Standing {
        match self.told.recv().await {
            Some(standing) => standing,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        let mut listeners = self.hub.lock();
        for delivery in &self.deliveries {
            if let Some(of_delivery) = listeners.by_delivery.get_mut(delivery) {
                of_delivery.remove(&self.listener);
                if of_delivery.is_empty() {
                    listeners.by_delivery.remove(delivery);
                }
            }
        }
    }
}

impl fmt::Debug for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settled").field("deliveries", &self.deliveries).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_listeners_of_a_delivery_are_told_and_nothing_is_left_behind() {
        let hub = Arc::<Hub>::default();
        let (one, other) = (DeliveryId::new(), DeliveryId::new());
        let mut listening: Vec<_> = (0..1000).map(|_| hub.listen(&[one])).collect();
        let mut elsewhere = hub.listen(&[other]);
        hub.tell(&[(one, DeliveryState::Delivered)]);
        for settled in &mut listening {
            assert_eq!(settled.next().await, Standing { delivery: one, state: DeliveryState::Delivered });
        }
        assert!(elsewhere.told.try_recv().is_err());
        drop(listening);
        drop(elsewhere);
        assert!(hub.lock().by_delivery.is_empty());
    }
}
