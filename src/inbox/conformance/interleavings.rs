//! Every interleaving, up to a length, of what several workers do with a few deliveries: they claim, finish, die, and
//! finish after others have taken over; leases run out, and a person replays. Each step is one transaction of the
//! inbox, so that the order of steps is all that races can change.
//!
//! What ought to happen is a machine of a few lines; it chooses the paths, and the inbox has to go along each of them.
//! Each path has a target and a clock of its own, so that thousands of them share one inbox and its commits.

use std::collections::BTreeSet;

use super::*;

/// Workers at one target.
const WORKERS: usize = 2;
/// Attempts of workers that died, whose end may still arrive.
const GHOSTS_MAX: usize = 2;
/// Paths that are walked at once.
const TOGETHER: usize = 512;

/// What one of them does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A worker asks for one delivery.
    Claim(usize),
    /// A worker ends its attempt.
    Finish(usize, End),
    /// A worker dies in the middle of its attempt, and is there again with empty hands.
    Die(usize),
    /// The end of an attempt arrives whose worker has died.
    Late(usize),
    /// All leases that run now run out.
    RunOut,
    /// A person replays a delivery.
    Replay(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Delivered,
    Retry,
    Dead,
}

const ENDS: [End; 3] = [End::Delivered, End::Retry, End::Dead];

impl End {
    fn word(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retry => "retry",
            Self::Dead => "declined",
        }
    }
}

/// Which delivery, and which attempt of it.
type Hand = (usize, u32);

#[derive(Clone, Debug)]
struct Delivery {
    state: DeliveryState,
    /// When it is due, or its lease ends.
    due_ms: i64,
    /// Attempts begun; the last one is the holder's while it is leased.
    begun: u32,
    /// How the attempts ended, in their order.
    rows: Vec<&'static str>,
}

/// What ought to be.
#[derive(Clone, Debug)]
struct Truth {
    now_ms: i64,
    deliveries: Vec<Delivery>,
    workers: [Option<Hand>; WORKERS],
    ghosts: Vec<Hand>,
}

/// What a step ought to say.
#[derive(Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    Claimed(Option<Hand>),
    Finished(Finished),
    Replayed(u64),
}

const LEASE_MS: i64 = 60_000;
/// Shorter than a lease: it is over when leases have run out.
const RETRY_MS: i64 = 30_000;

impl Truth {
    fn new(start_ms: i64, deliveries: usize) -> Self {
        let fresh = |at: usize| Delivery {
            state: DeliveryState::Pending,
            due_ms: start_ms + i64::try_from(at).unwrap(),
            begun: 0,
            rows: Vec::new(),
        };
        let deliveries: Vec<_> = (0..deliveries).map(fresh).collect();
        let now_ms = start_ms + i64::try_from(deliveries.len()).unwrap();
        Self { now_ms, deliveries, workers: [None; WORKERS], ghosts: Vec::new() }
    }

    fn next_due(&self) -> Option<usize> {
        let is_open = |delivery: &Delivery| matches!(delivery.state, DeliveryState::Pending | DeliveryState::Leased);
        (0..self.deliveries.len())
            .filter(|at| is_open(&self.deliveries[*at]) && self.deliveries[*at].due_ms <= self.now_ms)
            .min_by_key(|at| self.deliveries[*at].due_ms)
    }

    fn finish(&mut self, (at, attempt): Hand, end: End) -> Says {
        let delivery = &mut self.deliveries[at];
        if delivery.state != DeliveryState::Leased || delivery.begun != attempt {
            return Says::Finished(Finished::LeaseLost);
        }
        delivery.rows.push(end.word());
        (delivery.state, delivery.due_ms) = match end {
            End::Delivered => (DeliveryState::Delivered, 0),
            End::Retry => (DeliveryState::Pending, self.now_ms + RETRY_MS),
            End::Dead => (DeliveryState::Dead, 0),
        };
        Says::Finished(Finished::Done)
    }

    /// No two steps are at one moment.
    fn act(&mut self, act: Act) -> Says {
        self.now_ms += 1;
        match act {
            Act::Claim(worker) => {
                let Some(at) = self.next_due() else { return Says::Claimed(None) };
                let delivery = &mut self.deliveries[at];
                if delivery.state == DeliveryState::Leased {
                    delivery.rows.push("interrupted");
                }
                delivery.begun += 1;
                (delivery.state, delivery.due_ms) = (DeliveryState::Leased, self.now_ms + LEASE_MS);
                self.workers[worker] = Some((at, delivery.begun));
                Says::Claimed(self.workers[worker])
            }
            Act::Finish(worker, end) => {
                let hand = self.workers[worker].take().unwrap();
                self.finish(hand, end)
            }
            Act::Die(worker) => {
                self.ghosts.extend(self.workers[worker].take());
                Says::Nothing
            }
            Act::Late(ghost) => {
                let hand = self.ghosts.remove(ghost);
                self.finish(hand, End::Delivered)
            }
            Act::RunOut => {
                self.now_ms += LEASE_MS;
                Says::Nothing
            }
            Act::Replay(at) => {
                let delivery = &mut self.deliveries[at];
                if !delivery.state.is_terminal() {
                    return Says::Replayed(0);
                }
                (delivery.state, delivery.due_ms) = (DeliveryState::Pending, self.now_ms);
                Says::Replayed(1)
            }
        }
    }

    /// What can happen now. Two workers with empty hands are the same.
    fn acts(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut has_idle = false;
        for worker in 0..WORKERS {
            if self.workers[worker].is_some() {
                acts.extend(ENDS.map(|end| Act::Finish(worker, end)));
                if self.ghosts.len() < GHOSTS_MAX {
                    acts.push(Act::Die(worker));
                }
            } else if !has_idle {
                has_idle = true;
                acts.push(Act::Claim(worker));
            }
        }
        acts.extend((0..self.ghosts.len()).map(Act::Late));
        acts.extend((0..self.deliveries.len()).map(Act::Replay));
        acts.push(Act::RunOut);
        acts
    }

    /// All that decides what can happen from here, beside the numbers of the attempts.
    fn outline(&self) -> String {
        let is_current = |hand: &Hand| {
            let delivery = &self.deliveries[hand.0];
            (hand.0, delivery.state == DeliveryState::Leased && delivery.begun == hand.1)
        };
        let mut order: Vec<usize> = (0..self.deliveries.len()).collect();
        order.sort_by_key(|at| self.deliveries[*at].due_ms);
        let states: Vec<_> =
            self.deliveries.iter().map(|delivery| (delivery.state, delivery.due_ms <= self.now_ms)).collect();
        let mut hands: Vec<_> = self.workers.iter().map(|hand| hand.as_ref().map(is_current)).collect();
        hands.sort_unstable();
        let mut ghosts: Vec<_> = self.ghosts.iter().map(is_current).collect();
        ghosts.sort_unstable();
        format!("{order:?} {states:?} {hands:?} {ghosts:?}")
    }
}

/// How the paths are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Every one.
    All,
    /// One to each state and from there to each next one: fewer, so that they can be longer.
    EachStep,
}

/// The paths from here. A step that changes nothing ends its path: what follows it is on another path too.
fn paths(
    truth: &Truth,
    path: &mut Vec<Act>,
    left: usize,
    seen: &mut Option<BTreeSet<String>>,
    all: &mut Vec<Vec<Act>>,
) {
    for act in truth.acts() {
        let mut next = truth.clone();
        let says = next.act(act);
        path.push(act);
        let changes_nothing = match says {
            Says::Claimed(None) | Says::Replayed(0) => true,
            Says::Nothing => act == Act::RunOut && next.outline() == truth.outline(),
            _ => false,
        };
        let is_known = seen.as_mut().is_some_and(|seen| !seen.insert(next.outline()));
        if left == 1 || changes_nothing || is_known {
            all.push(path.clone());
        } else {
            paths(&next, path, left - 1, seen, all);
        }
        path.pop();
    }
}

/// Walks all paths with so many deliveries and steps; says how many steps that were.
pub(crate) async fn every_interleaving_agrees<K: Keeper>(
    keeper: &K,
    deliveries: usize,
    steps: usize,
    choice: Choice,
) -> usize {
    let truth = Truth::new(keeper.now().as_millisecond(), deliveries);
    let mut all = Vec::new();
    let mut seen = (choice == Choice::EachStep).then(BTreeSet::new);
    paths(&truth, &mut Vec::new(), steps, &mut seen, &mut all);
    let walked = all.iter().map(Vec::len).sum();
    for (round, paths) in all.chunks(TOGETHER).enumerate() {
        let walks = paths.iter().enumerate().map(|(number, path)| {
            let name = format!("{deliveries}-{steps}-{round}-{number}");
            Box::pin(walk(keeper, name, truth.clone(), path)) as std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>
        });
        futures_of(walks.collect()).await;
    }
    walked
}

/// One path, on a target of its own.
async fn walk(keeper: &dyn Keeper, target: String, mut truth: Truth, path: &[Act]) {
    let inbox = keeper.inbox();
    let mut ids = Vec::new();
    for at in 0..truth.deliveries.len() {
        let number = format!("{target}-{at}");
        let letter = letter(keeper.now(), &number, vec![payment(&number, 1000)], &[event_target(&target)]);
        let id = keeper.store(letter).await.unwrap().notification();
        ids.push(inbox.deliveries_of(id).await.unwrap()[0].id);
    }
    let time = |ms| Timestamp::from_millisecond(ms).unwrap();
    let mut tokens: Vec<(Hand, LeaseToken)> = Vec::new();
    for (step, act) in path.iter().enumerate() {
        let before = truth.clone();
        let expected = truth.act(*act);
        let now = time(truth.now_ms);
        let hand = match act {
            Act::Finish(worker, end) => before.workers[*worker].map(|hand| (hand, *end)),
            Act::Late(ghost) => Some((before.ghosts[*ghost], End::Delivered)),
            _ => None,
        };
        let said = match (act, hand) {
            (Act::Claim(_), _) => {
                let (max, lease) = (1, Duration::from_millis(LEASE_MS.unsigned_abs()));
                let running = Vec::new();
                let claim =
                    Claim { target: target.as_str().into(), max, now, lease, longest_wait: LONGEST_WAIT, running };
                let claimed = inbox.claim(claim).await.unwrap().pop().map(|leased| {
                    let hand = (ids.iter().position(|id| *id == leased.delivery).unwrap(), leased.attempt);
                    assert!(tokens.iter().all(|(_, token)| *token != leased.token), "a token is given once");
                    tokens.push((hand, leased.token));
                    hand
                });
                Says::Claimed(claimed)
            }
            (_, Some((hand, end))) => {
                let next = match end {
                    End::Delivered => Next::Delivered,
                    End::Retry => Next::Retry(time(truth.now_ms + RETRY_MS)),
                    End::Dead => Next::Dead,
                };
                let token = tokens.iter().find(|(other, _)| *other == hand).unwrap().1;
                let attempt = AttemptRecord {
                    number: hand.1,
                    started_at: now,
                    ended_at: now,
                    outcome: end.word().to_owned(),
                    reason: String::new(),
                    detail: String::new(),
                    status: None,
                    body_head: String::new(),
                    stderr: String::new(),
                };
                let finish = Finish { delivery: ids[hand.0], token, attempt, next };
                Says::Finished(inbox.finish(finish).await.unwrap())
            }
            (Act::Replay(at), None) => {
                let replay = Replay { what: ReplayWhat::Delivery(ids[*at]), target: None, at: now };
                Says::Replayed(inbox.replay(replay, "test").await.unwrap())
            }
            _ => Says::Nothing,
        };
        assert_eq!(said, expected, "step {step} of {path:?}");
    }
    for (delivery, id) in truth.deliveries.iter().zip(ids) {
        let record = inbox.delivery(id).await.unwrap();
        assert_eq!((record.state, record.attempts), (delivery.state, delivery.begun), "after {path:?}");
        // Numbered without gaps, and none is open but that of the holder.
        let rows: Vec<_> = inbox.attempts_of(id).await.unwrap();
        let rows: Vec<_> = rows.iter().map(|row| (row.number, row.outcome.as_str())).collect();
        let expected: Vec<_> = (1..).zip(delivery.rows.iter().copied()).collect();
        assert_eq!(rows, expected, "after {path:?}");
        let open = delivery.begun - u32::try_from(rows.len()).unwrap();
        assert_eq!(open, u32::from(record.state == DeliveryState::Leased), "after {path:?}");
    }
}
