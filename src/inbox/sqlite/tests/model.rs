//! Random histories against a model that is simple enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::Temporary;
use crate::inbox::conformance::{self, Keeper as _, LEASE, LONGEST_WAIT, event_target, letter, payment, refund};
use crate::inbox::sqlite::waits::UNKNOWN_PAYMENT_WAIT;
use crate::inbox::*;

/// A payment, or its refund.
type Key = (u8, bool);

#[derive(Clone, Debug)]
enum Step {
    /// A fact, in one of two messages.
    Store {
        payment: u8,
        is_refund: bool,
        message: u8,
    },
    Claim {
        max: usize,
    },
    Finish {
        lease: prop::sample::Index,
        next: u8,
    },
    Replay {
        payment: u8,
        is_refund: bool,
    },
    Advance {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u8, any::<bool>(), 0..2u8)
            .prop_map(|(payment, is_refund, message)| Step::Store { payment, is_refund, message }),
        4 => (1..4usize).prop_map(|max| Step::Claim { max }),
        4 => (any::<prop::sample::Index>(), 0..4u8).prop_map(|(lease, next)| Step::Finish { lease, next }),
        2 => (0..3u8, any::<bool>()).prop_map(|(payment, is_refund)| Step::Replay { payment, is_refund }),
        2 => prop_oneof![Just(1u64), Just(30), Just(60), Just(86_400)].prop_map(|seconds| Step::Advance { seconds }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A delivery as the model sees it.
#[derive(Clone, Debug)]
struct Expected {
    order: usize,
    made_at: i64,
    state: DeliveryState,
    due_ms: Option<i64>,
    attempts: u32,
    tries: u32,
    waits_for_delivery: bool,
    lease: Option<usize>,
}

#[derive(Default)]
struct Model {
    messages: BTreeSet<(Key, u8)>,
    deliveries: BTreeMap<Key, Expected>,
    leases: usize,
}

impl Model {
    fn place(&mut self, key: Key, now: i64) {
        let paid = self.deliveries.get(&(key.0, false)).map(|payment| payment.state);
        let delivery = self.deliveries.get_mut(&key).unwrap();
        (delivery.state, delivery.due_ms, delivery.waits_for_delivery) = match paid {
            _ if !key.1 => (DeliveryState::Pending, Some(now), false),
            Some(DeliveryState::Delivered) => (DeliveryState::Pending, Some(now), false),
            Some(_) => (DeliveryState::Waiting, None, true),
            None => {
                let wait = i64::try_from(UNKNOWN_PAYMENT_WAIT.as_millis()).unwrap();
                (DeliveryState::Waiting, Some(delivery.made_at + wait), false)
            }
        };
    }

    /// Whether the message and the fact are new.
    fn store(&mut self, key: Key, message: u8, now: i64) -> (bool, bool) {
        if !self.messages.insert((key, message)) {
            return (false, false);
        }
        if self.deliveries.contains_key(&key) {
            return (true, false);
        }
        let order = self.deliveries.len();
        let fresh = Expected {
            order,
            made_at: now,
            state: DeliveryState::Pending,
            due_ms: None,
            attempts: 0,
            tries: 0,
            waits_for_delivery: false,
            lease: None,
        };
        self.deliveries.insert(key, fresh);
        self.place(key, now);
        let follower = (key.0, true);
        let waits_for_unknown = |d: &Expected| d.state == DeliveryState::Waiting && !d.waits_for_delivery;
        if !key.1 && self.deliveries.get(&follower).is_some_and(waits_for_unknown) {
            self.place(follower, now);
        }
        (true, true)
    }

    fn claim(&mut self, max: usize, now: i64) -> Vec<(Key, u32, u32)> {
        let mut due: Vec<_> = self
            .deliveries
            .iter()
            .filter(|(_, d)| matches!(d.state, DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Waiting))
            .filter_map(|(key, d)| Some((d.due_ms.filter(|due| *due <= now)?, d.order, *key)))
            .collect();
        due.sort_unstable();
        due.truncate(max);
        due.into_iter()
            .map(|(_, _, key)| {
                let delivery = self.deliveries.get_mut(&key).unwrap();
                delivery.state = DeliveryState::Leased;
                delivery.due_ms = Some(now + i64::try_from(LEASE.as_millis()).unwrap());
                delivery.attempts += 1;
                delivery.tries += 1;
                delivery.lease = Some(self.leases);
                self.leases += 1;
                (key, delivery.attempts, delivery.tries)
            })
            .collect()
    }

    fn finish(&mut self, key: Key, lease: usize, next: Next, now: i64) -> Finished {
        let delivery = self.deliveries.get_mut(&key).unwrap();
        if delivery.state != DeliveryState::Leased || delivery.lease != Some(lease) {
            return Finished::LeaseLost;
        }
        (delivery.state, delivery.due_ms) = match next {
            Next::Delivered => (DeliveryState::Delivered, None),
            Next::Retry(at) => (DeliveryState::Pending, Some(at.as_millisecond())),
            Next::Dead => (DeliveryState::Dead, None),
        };
        let follower = (key.0, true);
        let waits = |d: &Expected| d.state == DeliveryState::Waiting && d.waits_for_delivery;
        if !key.1 && next == Next::Delivered && self.deliveries.get(&follower).is_some_and(waits) {
            self.place(follower, now);
        }
        Finished::Done
    }

    fn replay(&mut self, key: Key, now: i64) -> u64 {
        let Some(delivery) = self.deliveries.get_mut(&key) else { return 0 };
        if matches!(delivery.state, DeliveryState::Pending | DeliveryState::Leased) {
            return 0;
        }
        (delivery.state, delivery.due_ms, delivery.tries, delivery.waits_for_delivery) =
            (DeliveryState::Pending, Some(now), 0, false);
        1
    }
}

async fn run(steps: Vec<Step>) {
    let world = Temporary::new();
    let inbox = &world.inbox;
    let mut model = Model::default();
    let mut ids: BTreeMap<Key, DeliveryId> = BTreeMap::new();
    let mut taken: Vec<(Key, Leased)> = Vec::new();
    for step in steps {
        let now = world.now();
        let now_ms = now.as_millisecond();
        match step {
            Step::Store { payment: number, is_refund, message } => {
                let key = (number, is_refund);
                let paid = format!("P{number}");
                let fact = if is_refund { refund(&format!("R{number}"), &paid, 10) } else { payment(&paid, 1000) };
                let letter = letter(now, &format!("N{key:?}{message}"), vec![fact], &[event_target("shop")]);
                let id = letter.id;
                let stored = world.store(letter).await.unwrap();
                let told = match stored {
                    Stored::New { events, .. } => (true, !events.is_empty()),
                    Stored::Repeated { .. } => (false, false),
                };
                assert_eq!(told, model.store(key, message, now_ms));
                if told.1 {
                    ids.insert(key, inbox.deliveries_of(id).await.unwrap()[0].id);
                }
            }
            Step::Claim { max } => {
                let claim = Claim {
                    target: "shop".into(),
                    max,
                    now,
                    lease: LEASE,
                    longest_wait: LONGEST_WAIT,
                    running: Vec::new(),
                };
                let claimed = inbox.claim(claim).await.unwrap();
                let expected = model.claim(max, now_ms);
                let told: Vec<_> =
                    claimed.iter().map(|leased| (leased.delivery, leased.attempt, leased.tries)).collect();
                let expected_ids: Vec<_> =
                    expected.iter().map(|(key, attempt, tries)| (ids[key], *attempt, *tries)).collect();
                assert_eq!(told, expected_ids);
                taken.extend(expected.into_iter().map(|(key, ..)| key).zip(claimed));
            }
            Step::Finish { lease, next } => {
                if taken.is_empty() {
                    continue;
                }
                let index = lease.index(taken.len());
                let (key, leased) = &taken[index];
                let next = match next {
                    0 | 1 => Next::Delivered,
                    2 => Next::Retry(now + Duration::from_secs(45)),
                    _ => Next::Dead,
                };
                let told = inbox.finish(conformance::finish(leased, next, now)).await.unwrap();
                assert_eq!(told, model.finish(*key, index, next, now_ms));
            }
            Step::Replay { payment, is_refund } => {
                let key = (payment, is_refund);
                let Some(id) = ids.get(&key) else { continue };
                let replay = Replay { what: ReplayWhat::Delivery(*id), target: None, at: now };
                assert_eq!(inbox.replay(replay).await.unwrap(), model.replay(key, now_ms));
            }
            Step::Advance { seconds } => world.advance(Duration::from_secs(seconds)),
        }
        let mut next_due = None;
        for (key, id) in &ids {
            let expected = &model.deliveries[key];
            let found = inbox.delivery(*id).await.unwrap();
            assert_eq!(found.state, expected.state, "{key:?}");
            assert_eq!(found.attempts, expected.attempts, "{key:?}");
            assert_eq!(found.waits_for.is_some(), expected.waits_for_delivery, "{key:?}");
            if let Some(due) = expected.due_ms {
                assert_eq!(found.due_at.as_millisecond(), due, "{key:?}");
                next_due = Some(next_due.map_or(due, |earliest: i64| earliest.min(due)));
            }
        }
        assert_eq!(inbox.next_due("shop").await.unwrap().map(Timestamp::as_millisecond), next_due);
    }
    inbox.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_the_model(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(steps));
    }
}
