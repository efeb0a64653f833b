//! Random histories with everything that keeps a delivery back: holds, shadow, the order rule, raw deliveries of
//! several facts. Whatever happened, once people have ended the holds and the target confirms, nothing is stuck and
//! nothing was lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::Temporary;
use crate::inbox::conformance::{
    Keeper as _, LEASE, LONGEST_WAIT, Letter, before_payment, event_target, letter, of_order, payment, raw_target,
    refund,
};
use crate::inbox::holds::{EndHold, HoldEnd, HoldWhat};
use crate::inbox::*;

#[derive(Clone, Debug)]
enum Step {
    /// A message with one fact or several, each of payment `.0` and of kind `.1`.
    Store {
        facts: Vec<(u8, u8)>,
        is_raw: bool,
        is_shadow: bool,
        is_doubted: bool,
    },
    /// The message with this place in the history, told again outside shadow.
    Repeat(prop::sample::Index),
    Claim,
    Finish(u8),
    End {
        hold: prop::sample::Index,
        discards: bool,
    },
    Advance(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let facts = prop::collection::vec((0..2u8, prop_oneof![3 => 0..2u8, 1 => 2..4u8]), 1..3);
    let step = prop_oneof![
        5 => (facts, any::<bool>(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(facts, is_raw, is_shadow, is_doubted)| Step::Store { facts, is_raw, is_shadow, is_doubted }),
        2 => any::<prop::sample::Index>().prop_map(Step::Repeat),
        3 => Just(Step::Claim),
        3 => (0..4u8).prop_map(Step::Finish),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(hold, discards)| Step::End { hold, discards }),
        1 => prop_oneof![Just(1u64), Just(60), Just(86_400)].prop_map(Step::Advance),
    ];
    prop::collection::vec(step, 1..40)
}

struct History {
    world: Temporary,
    told: Vec<(NotificationId, Letter)>,
    leases: Vec<Leased>,
    confirmed: BTreeMap<DeliveryId, u32>,
}

impl History {
    fn letter(&self, facts: &[(u8, u8)], is_raw: bool) -> Letter {
        let fact = |(payment_no, kind): &(u8, u8)| {
            let name = format!("P{payment_no}");
            let fact = match kind {
                0 => payment(&name, 1000),
                1 => refund(&format!("R{payment_no}"), &name, 10),
                2 => before_payment(EventKind::PaymentPending, &name),
                _ => before_payment(EventKind::PaymentClosed, &name),
            };
            of_order(&format!("O{payment_no}"), fact)
        };
        let target = if is_raw { raw_target("shop") } else { event_target("shop") };
        letter(self.world.now(), &format!("N{}", self.told.len()), facts.iter().map(fact).collect(), &[target])
    }

    async fn claim(&mut self, max: usize) -> usize {
        let claim = Claim {
            target: "shop".into(),
            max,
            now: self.world.now(),
            lease: LEASE,
            longest_wait: LONGEST_WAIT,
            running: Vec::new(),
        };
        let leases = self.world.inbox.claim(claim).await.unwrap();
        let count = leases.len();
        self.leases.extend(leases);
        count
    }

    async fn finish(&mut self, leased: Leased, next: Next) {
        let now = self.world.now();
        let attempt = AttemptRecord {
            number: leased.attempt,
            started_at: now,
            ended_at: now,
            outcome: "tried".to_owned(),
            reason: String::new(),
            detail: String::new(),
            status: None,
            body_head: String::new(),
            stderr: String::new(),
        };
        let finish = Finish { delivery: leased.delivery, token: leased.token, attempt, next };
        let finished = self.world.inbox.finish(finish).await.unwrap();
        if (finished, next) == (Finished::Done, Next::Delivered) {
            *self.confirmed.entry(leased.delivery).or_default() += 1;
        }
    }

    async fn end(&self, what: NotificationId, end: HoldEnd) {
        let what = HoldWhat::Notification(what);
        let end = EndHold { what, end, by: "test".to_owned(), why: None, at: self.world.now() };
        self.world.inbox.end_hold(end).await.unwrap();
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Store { facts, is_raw, is_shadow, is_doubted } => {
                let mut letter = Letter { is_shadow: *is_shadow, ..self.letter(facts, *is_raw) };
                if *is_doubted {
                    letter.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
                }
                let id = self.world.store(letter.clone()).await.unwrap().notification();
                self.told.push((id, letter));
            }
            Step::Repeat(index) if !self.told.is_empty() => {
                let again = Letter { is_shadow: false, ..index.get(&self.told).1.clone() };
                self.world.store(again).await.unwrap();
            }
            Step::Claim => drop(self.claim(2).await),
            Step::Finish(next) if !self.leases.is_empty() => {
                let leased = self.leases.remove(0);
                let next = match next {
                    0 | 1 => Next::Delivered,
                    2 => Next::Retry(self.world.now()),
                    _ => Next::Dead,
                };
                self.finish(leased, next).await;
            }
            Step::End { hold, discards } => {
                let holds = self.world.inbox.holds(None, PAGE_MAX).await.unwrap();
                if !holds.is_empty() {
                    let how = if *discards { HoldEnd::Discard } else { HoldEnd::Release };
                    self.end(hold.get(&holds).notification.id, how).await;
                }
            }
            Step::Advance(seconds) => self.world.advance(Duration::from_secs(*seconds)),
            Step::Repeat(_) | Step::Finish(_) => {}
        }
    }

    /// People end every hold, the dead are replayed, and the target confirms whatever it is brought.
    async fn confirm_everything(&mut self) {
        self.leases.clear();
        self.world.advance(LEASE);
        for hold in self.world.inbox.holds(None, PAGE_MAX).await.unwrap() {
            self.end(hold.notification.id, HoldEnd::Release).await;
        }
        let dead = Replay { what: ReplayWhat::Dead(1000), target: None, at: self.world.now() };
        self.world.inbox.replay(dead, "test").await.unwrap();
        let mut has_waited = false;
        loop {
            if self.claim(100).await > 0 {
                has_waited = false;
                for leased in std::mem::take(&mut self.leases) {
                    self.finish(leased, Next::Delivered).await;
                }
            } else if has_waited {
                return;
            } else {
                // What waits for a payment that never came goes out after its day.
                self.world.advance(Duration::from_hours(25));
                has_waited = true;
            }
        }
    }
}

async fn run(steps: &[Step]) {
    let (told, leases, confirmed) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut history = History { world: Temporary::new(), told, leases, confirmed };
    for step in steps {
        history.step(step).await;
    }
    history.confirm_everything().await;
    for (id, letter) in &history.told {
        for delivery in history.world.inbox.deliveries_of(*id).await.unwrap() {
            let times = history.confirmed.get(&delivery.id).copied().unwrap_or_default();
            let is_ended = match delivery.state {
                DeliveryState::Delivered => times == 1,
                DeliveryState::Discarded => times == 0,
                DeliveryState::Skipped => times == 0 && (letter.is_shadow || delivery.superseded_by.is_some()),
                _ => false,
            };
            assert!(is_ended, "{delivery:?} confirmed {times} times");
        }
    }
    history.world.inbox.close().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_stuck_and_nothing_is_lost_whatever_kept_it_back(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run(&steps));
    }
}
