//! Random histories against a model that is simple enough to be believed.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::Temporary;
use crate::inbox::conformance::{
    self, Keeper as _, LEASE, LONGEST_WAIT, before_payment, event_target, letter, of_order, payment, refund,
};
use crate::inbox::sqlite::waits::UNKNOWN_PAYMENT_WAIT;
use crate::inbox::*;

/// What is told of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Paid,
    Refunded,
    Pending,
    Closed,
}

impl Told {
    fn is_superseded_by_payment(self) -> bool {
        matches!(self, Self::Pending | Self::Closed)
    }
}

/// A payment, and what is told of it.
type Key = (u8, Told);

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![3 => Just(Told::Paid), 3 => Just(Told::Refunded), 2 => Just(Told::Pending), 1 => Just(Told::Closed)]
}

#[derive(Clone, Debug)]
enum Step {
    /// A fact, in one of two messages.
    Store {
        payment: u8,
        told: Told,
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
        told: Told,
    },
    Advance {
        seconds: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3u8, told(), 0..2u8).prop_map(|(payment, told, message)| Step::Store { payment, told, message }),
        4 => (1..4usize).prop_map(|max| Step::Claim { max }),
        4 => (any::<prop::sample::Index>(), 0..4u8).prop_map(|(lease, next)| Step::Finish { lease, next }),
        2 => (0..3u8, told()).prop_map(|(payment, told)| Step::Replay { payment, told }),
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
    is_superseded: bool,
    lease: Option<usize>,
}

impl Expected {
    fn skip(&mut self) {
        (self.state, self.due_ms, self.is_superseded) = (DeliveryState::Skipped, None, true);
    }
}

#[derive(Default)]
struct Model {
    messages: BTreeSet<(Key, u8)>,
    deliveries: BTreeMap<Key, Expected>,
    leases: usize,
}

impl Model {
    fn place(&mut self, key: Key, now: i64) {
        let paid = self.deliveries.get(&(key.0, Told::Paid)).map(|payment| payment.state);
        let delivery = self.deliveries.get_mut(&key).unwrap();
        (delivery.state, delivery.due_ms, delivery.waits_for_delivery) = match paid {
            Some(_) if key.1 == Told::Closed => (DeliveryState::Held, None, false),
            _ if key.1 != Told::Refunded => (DeliveryState::Pending, Some(now), false),
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
            is_superseded: false,
            lease: None,
        };
        self.deliveries.insert(key, fresh);
        self.place(key, now);
        if key.1 == Told::Paid {
            for told in [Told::Pending, Told::Closed] {
                if let Some(stale) = self.deliveries.get_mut(&(key.0, told))
                    && stale.state == DeliveryState::Pending
                    && !stale.is_superseded
                {
                    stale.skip();
                }
            }
        } else if key.1 == Told::Pending && self.deliveries.contains_key(&(key.0, Told::Paid)) {
            self.deliveries.get_mut(&key).unwrap().skip();
        }
        let follower = (key.0, Told::Refunded);
        let waits_for_unknown = |d: &Expected| d.state == DeliveryState::Waiting && !d.waits_for_delivery;
        if key.1 == Told::Paid && self.deliveries.get(&follower).is_some_and(waits_for_unknown) {
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
        let is_paid = self.deliveries.contains_key(&(key.0, Told::Paid));
        let delivery = self.deliveries.get_mut(&key).unwrap();
        if delivery.state != DeliveryState::Leased || delivery.lease != Some(lease) {
            return Finished::LeaseLost;
        }
        (delivery.state, delivery.due_ms) = match next {
            Next::Delivered => (DeliveryState::Delivered, None),
            Next::Retry(at) => (DeliveryState::Pending, Some(at.as_millisecond())),
            Next::Dead => (DeliveryState::Dead, None),
        };
        let is_pointless = key.1.is_superseded_by_payment() && is_paid && !delivery.is_superseded;
        if is_pointless && matches!(next, Next::Retry(_)) {
            delivery.skip();
        }
        let follower = (key.0, Told::Refunded);
        let waits = |d: &Expected| d.state == DeliveryState::Waiting && d.waits_for_delivery;
        if key.1 == Told::Paid && next == Next::Delivered && self.deliveries.get(&follower).is_some_and(waits) {
            self.place(follower, now);
        }
        Finished::Done
    }

    fn replay(&mut self, key: Key, now: i64) -> u64 {
        let Some(delivery) = self.deliveries.get_mut(&key) else { return 0 };
        if matches!(delivery.state, DeliveryState::Pending | DeliveryState::Leased | DeliveryState::Held) {
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
            Step::Store { payment: number, told, message } => {
                let key = (number, told);
                let paid = format!("P{number}");
                let fact = match told {
                    Told::Paid => payment(&paid, 1000),
                    Told::Refunded => refund(&format!("R{number}"), &paid, 10),
                    Told::Pending => before_payment(EventKind::PaymentPending, &paid),
                    Told::Closed => before_payment(EventKind::PaymentClosed, &paid),
                };
                let fact = of_order(&paid, fact);
                let letter = letter(now, &format!("N{key:?}{message}"), vec![fact], &[event_target("shop")]);
                let stored = world.store(letter).await.unwrap();
                let id = stored.notification();
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
            Step::Replay { payment, told } => {
                let key = (payment, told);
                let Some(id) = ids.get(&key) else { continue };
                let replay = Replay { what: ReplayWhat::Delivery(*id), target: None, at: now };
                assert_eq!(inbox.replay(replay, "test").await.unwrap(), model.replay(key, now_ms));
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
            assert_eq!(found.superseded_by.is_some(), expected.is_superseded, "{key:?}");
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
