//! Random histories of an inbox against a model of it: every call that changes something, in any order, with every
//! answer and everything that can be seen afterwards compared.

mod model;

use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use self::model::{Model, Named};
use super::*;
use crate::inbox::holds::{EndHold, EndedHold, HoldEnd, HoldWhat};

/// How long identities are remembered by the inbox under test.
const IDENTITIES_KEPT: Duration = Duration::from_hours(3 * 365 * 24);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// Possible worlds that are followed at once. They differ only in running totals that a retention may have removed.
const WORLDS_MAX: usize = 8;

/// An inbox whose file can be closed and opened again.
#[async_trait]
pub(crate) trait Reopens: Keeper {
    async fn reopen(&mut self);
}

/// A fact in a message, in few enough variants that messages meet.
#[derive(Clone, Debug)]
struct Said {
    /// Two of one account and one order, one of the same account, one of the same name elsewhere.
    payment: usize,
    what: What,
    /// Which of its names are given; the last one is another payment's.
    names: Vec<usize>,
    amount: Says,
    has_order: bool,
    payee: Option<&'static str>,
    routes: Vec<RoutedTarget>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Of the payment itself, with or without a word about refunds.
    Paid {
        proves_no_refund: bool,
    },
    Before(EventKind),
    Finalized,
    Refunded {
        number: u8,
    },
    /// By the running total, with or without a number.
    Total {
        number: Option<u8>,
        hundreds: i64,
    },
    Disputed,
    Other,
}

#[derive(Clone, Copy, Debug)]
enum Says {
    Right,
    Wrong,
    Foreign,
    Nothing,
}

/// A message.
#[derive(Clone, Debug)]
struct Message {
    number: u8,
    said: Vec<Said>,
    is_doubted: bool,
    is_old: bool,
    is_shadow: bool,
}

/// Something that happens to an inbox.
#[derive(Clone)]
pub(crate) struct Step(Does);

impl fmt::Debug for Step {
    /// On one line, so that a history that failed can be read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[derive(Clone, Debug)]
enum Does {
    Store(Message),
    Again { message: Index, is_shadow: bool },
    Ack { message: Index },
    Claim { target: &'static str, max: usize, running: Vec<Index> },
    Finish { lease: Index, next: Next0 },
    Replay { what: Which, to: Option<&'static str> },
    EndHold { what: Which, end: HoldEnd },
    Advance(Duration),
    Retain { bodies: Duration, identities: Duration, slice: usize },
    DiscardOpen { target: &'static str },
    Reopen,
}

/// [`Next`], before the time is known.
#[derive(Clone, Copy, Debug)]
enum Next0 {
    Delivered,
    RetryIn(Duration),
    Dead,
}

#[derive(Clone, Debug)]
enum Which {
    Notification(Index),
    Event(Index),
    Delivery(Index),
    Dead,
}

const TARGETS: [&str; 2] = ["shop", "ledger"];

/// (account, payment number, order, amount)
const PAYMENTS: [(&str, &str, &str, i64); 4] =
    [("A", "P0", "O0", 1000), ("A", "P1", "O0", 2000), ("A", "P2", "O1", 3000), ("B", "P0", "O0", 1000)];

fn said() -> impl Strategy<Value = Said> {
    let what = prop_oneof![
        8 => any::<bool>().prop_map(|proves_no_refund| What::Paid { proves_no_refund }),
        2 => Just(What::Before(EventKind::PaymentPending)),
        1 => Just(What::Before(EventKind::PaymentFailed)),
        2 => Just(What::Before(EventKind::PaymentClosed)),
        1 => Just(What::Finalized),
        4 => (0..2u8).prop_map(|number| What::Refunded { number }),
        4 => (prop::option::of(0..3u8), 1..5i64).prop_map(|(number, hundreds)| What::Total { number, hundreds }),
        1 => Just(What::Disputed),
        1 => Just(What::Other),
    ];
    let names = prop_oneof![
        8 => Just(vec![0]),
        3 => Just(vec![0, 1]),
        2 => Just(vec![1]),
        1 => subsequence(vec![0, 1, 2], 1..=3),
    ];
    let amount = prop_oneof![10 => Just(Says::Right), 1 => Just(Says::Wrong), 1 => Just(Says::Foreign), 1 => Just(Says::Nothing)];
    let payee = prop_oneof![6 => Just(Some("ours")), 2 => Just(None), 1 => Just(Some("theirs"))];
    let all: Vec<RoutedTarget> = TARGETS.iter().flat_map(|target| [event_target(target), raw_target(target)]).collect();
    let routes = prop_oneof![6 => Just(vec![event_target("shop")]), 3 => Just(vec![raw_target("shop")]), 3 => subsequence(all, 0..=4)];
    (0..PAYMENTS.len(), what, names, amount, prop::bool::weighted(0.85), payee, routes).prop_map(
        |(payment, what, names, amount, has_order, payee, routes)| Said {
            payment,
            what,
            names,
            amount,
            has_order,
            payee,
            routes,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    let said = prop_oneof![5 => prop::collection::vec(said(), 1), 2 => prop::collection::vec(said(), 2..=3), 1 => Just(Vec::new())];
    (0..3u8, said, prop::bool::weighted(0.1), prop::bool::weighted(0.04), prop::bool::weighted(0.06)).prop_map(
        |(number, said, is_doubted, is_old, is_shadow)| Message { number, said, is_doubted, is_old, is_shadow },
    )
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        1 => any::<Index>().prop_map(Which::Notification),
        1 => any::<Index>().prop_map(Which::Event),
        3 => any::<Index>().prop_map(Which::Delivery),
        1 => Just(Which::Dead),
    ]
}

/// One step of a history.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    let target = || prop_oneof![3 => Just("shop"), 1 => Just("ledger")];
    let next = prop_oneof![
        4 => Just(Next0::Delivered),
        2 => Just(Next0::RetryIn(Duration::from_secs(45))),
        1 => Just(Next0::RetryIn(30 * DAY)),
        2 => Just(Next0::Dead),
    ];
    let time = select(vec![Duration::from_secs(1), Duration::from_secs(45), LEASE, HOUR, DAY, 7 * DAY, 40 * DAY]);
    let end = prop_oneof![3 => Just(HoldEnd::Release), 1 => Just(HoldEnd::Discard)];
    let running = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<Index>(), 1..3)];
    prop_oneof![
        24 => message().prop_map(Does::Store),
        4 => (any::<Index>(), prop::bool::weighted(0.1)).prop_map(|(message, is_shadow)| Does::Again { message, is_shadow }),
        1 => any::<Index>().prop_map(|message| Does::Ack { message }),
        14 => (target(), 1..5usize, running).prop_map(|(target, max, running)| Does::Claim { target, max, running }),
        14 => (any::<Index>(), next).prop_map(|(lease, next)| Does::Finish { lease, next }),
        4 => (which(), prop::option::weighted(0.2, target())).prop_map(|(what, to)| Does::Replay { what, to }),
        6 => (which(), end).prop_map(|(what, end)| Does::EndHold { what, end }),
        8 => time.prop_map(Does::Advance),
        2 => (1..50u32, 1..60u32, 1..4usize).prop_map(|(bodies, identities, slice)| Does::Retain { bodies: bodies * DAY, identities: identities * DAY, slice }),
        1 => target().prop_map(|target| Does::DiscardOpen { target }),
        1 => Just(Does::Reopen),
    ]
    .prop_map(Step)
}

/// A message as it comes.
fn written(message: &Message, now: Timestamp) -> Letter {
    let mut routes = Vec::new();
    let mut facts = Vec::new();
    for said in &message.said {
        facts.push(fact_of(said));
        routes.push(said.routes.clone());
    }
    let mut letter = letter(now, &format!("N{}", message.number), facts, &[]);
    letter.routes = routes;
    letter.is_shadow = message.is_shadow;
    if message.is_doubted {
        letter.notification.concerns.push(Concern::ForeignPayee { payee: "stranger".to_owned() });
    }
    if message.is_old {
        letter.notification.sent_at = Some(now - IDENTITIES_KEPT - DAY);
    }
    letter
}

fn fact_of(said: &Said) -> Fact {
    let (account, paid, order, due) = PAYMENTS[said.payment];
    let other = PAYMENTS[(said.payment + 1) % 2].1;
    let own = match said.what {
        What::Paid { .. } | What::Before(_) | What::Finalized => vec![paid.to_owned(), format!("{paid}c")],
        What::Refunded { number } | What::Total { number: Some(number), .. } => {
            vec![format!("{paid}R{number}"), format!("{paid}r{number}")]
        }
        What::Total { number: None, hundreds } => vec![format!("{paid}T{hundreds}"), format!("{paid}t{hundreds}")],
        What::Disputed => vec![format!("{paid}D"), format!("{paid}d")],
        What::Other => vec![format!("{paid}X"), format!("{paid}x")],
    };
    let mut names: Vec<Identity> =
        said.names.iter().map(|at| name(own.get(*at).map_or(other, String::as_str))).collect();
    let first = names.remove(0);
    let (kind, minor) = match said.what {
        What::Paid { .. } => (EventKind::PaymentSucceeded, due),
        What::Before(kind) => (kind, due),
        What::Finalized => (EventKind::PaymentFinalized, due),
        What::Refunded { number } => (EventKind::RefundSucceeded, 100 + i64::from(number)),
        What::Total { hundreds, .. } => (EventKind::RefundSucceeded, hundreds * 100),
        What::Disputed => (EventKind::DisputeOpened, due),
        What::Other => (EventKind::Other, 1),
    };
    let money = match said.amount {
        Says::Right => Some(cny(minor)),
        Says::Wrong => Some(cny(minor + 1)),
        Says::Foreign => Some(Money { minor, currency: Currency::parse("USD").unwrap() }),
        Says::Nothing => None,
    };
    let amount = match (said.what, money) {
        (What::Other, None) => Amount::None,
        (_, None) => Amount::Unreadable,
        (What::Total { number, .. }, Some(total)) => {
            Amount::Cumulative { series: series(paid), total, is_numbered: number.is_some() }
        }
        (_, Some(money)) => Amount::Stated(money),
    };
    Fact {
        kind,
        scope: Scope { account: account.to_owned(), ..scope() },
        identity: first,
        aliases: names,
        amount,
        order_no: said.has_order.then(|| order.to_owned()),
        platform_no: Some(paid.to_owned()),
        payee: said.payee.map(str::to_owned),
        occurred_at: None,
        // A follower may know its payment by the payment's second name.
        payment: kind.follows_payment().then(|| name(if said.has_order { paid } else { "P0c" })),
        baseline: matches!(said.what, What::Paid { proves_no_refund: true }).then(|| (series(paid), Currency::CNY)),
    }
}

/// What can be seen of an inbox.
#[derive(Debug)]
struct Seen {
    next_due: Vec<(String, Option<i64>)>,
    holds: Vec<NotificationId>,
    unfinished: BTreeMap<String, u64>,
    unrouted: Vec<EventId>,
    events: BTreeMap<EventId, EventRecord>,
    deliveries: BTreeMap<DeliveryId, (DeliveryRecord, Vec<AttemptRecord>)>,
}

async fn look(inbox: &dyn Inbox, deliveries: Vec<DeliveryId>) -> Seen {
    let mut next_due = Vec::new();
    for target in TARGETS {
        let due = inbox.next_due(target).await.unwrap();
        next_due.push((target.to_owned(), due.map(Timestamp::as_millisecond)));
    }
    let all = EventFilter { limit: PAGE_MAX, ..EventFilter::default() };
    let events = inbox.events(all.clone()).await.unwrap();
    let unrouted = inbox.events(EventFilter { is_unrouted: true, ..all }).await.unwrap();
    let mut unrouted: Vec<EventId> = unrouted.iter().map(|event| event.id).collect();
    unrouted.sort_unstable();
    let mut seen = Seen {
        next_due,
        holds: inbox.holds(None, PAGE_MAX).await.unwrap().iter().map(|hold| hold.notification.id).collect(),
        unfinished: inbox.unfinished().await.unwrap().into_iter().collect(),
        unrouted,
        events: events.into_iter().map(|event| (event.id, event)).collect(),
        deliveries: BTreeMap::new(),
    };
    for id in deliveries {
        match inbox.delivery(id).await {
            Ok(record) => {
                let attempts = inbox.attempts_of(id).await.unwrap();
                seen.deliveries.insert(id, (record, attempts));
            }
            Err(Error::NotFound) => {}
            Err(error) => panic!("{error}"),
        }
    }
    seen
}

/// The history so far.
struct Story {
    worlds: Vec<Model>,
    letters: Vec<Letter>,
    ids: Vec<NotificationId>,
    events: Vec<EventId>,
    deliveries: Vec<DeliveryId>,
    leases: Vec<Leased>,
}

impl Story {
    /// Keeps the worlds that agree.
    fn agree(&mut self, mut step: impl FnMut(&mut Model) -> Result<(), String>) {
        let mut first = None;
        self.worlds.retain_mut(|world| match step(world) {
            Ok(()) => true,
            Err(cause) => {
                first.get_or_insert(cause);
                false
            }
        });
        assert!(!self.worlds.is_empty(), "{}", first.unwrap_or_default());
    }

    async fn store(&mut self, keeper: &dyn Keeper, letter: Letter) {
        let notification = &letter.notification;
        let key: Named = (notification.scope.account.clone(), format!("{:?}", notification.key()));
        let stored = keeper.store(letter.clone()).await.unwrap();
        let mut made = Vec::new();
        if let Stored::New { id, events, .. } = &stored {
            made = keeper.inbox().deliveries_of(*id).await.unwrap();
            self.ids.push(*id);
            self.events.extend(events.iter().map(|event| event.id));
            self.deliveries.extend(made.iter().map(|delivery| delivery.id));
        }
        let now_ms = keeper.now().as_millisecond();
        self.agree(|world| world.store(&letter, &key, &stored, &made, now_ms));
        for (fact, target) in notification.facts.iter().flat_map(|fact| TARGETS.map(|target| (fact, target))) {
            let standing = keeper.inbox().standing(std::slice::from_ref(fact), target).await.unwrap();
            let standing = standing.iter().map(|standing| standing.delivery).collect();
            self.agree(|world| {
                model::same!(world.standing(fact, target), standing, "what stands for {fact:?} at {target}");
                Ok(())
            });
        }
        self.letters.push(letter);
    }

    async fn claim(&mut self, keeper: &dyn Keeper, target: &'static str, max: usize, running: &[Index]) {
        let running = running.iter().filter(|_| !self.leases.is_empty()).map(|lease| {
            let lease = lease.get(&self.leases);
            (lease.delivery, lease.token)
        });
        let now = keeper.now();
        let running = running.collect();
        let claim = Claim { target: target.into(), max, now, lease: LEASE, longest_wait: LONGEST_WAIT, running };
        let claimed = keeper.inbox().claim(claim.clone()).await.unwrap();
        self.agree(|world| world.claim(&claim, &claimed, now.as_millisecond()));
        self.leases.extend(claimed);
    }

    async fn finish(&mut self, keeper: &dyn Keeper, lease: Index, next: Next0) {
        if self.leases.is_empty() {
            return;
        }
        let now = keeper.now();
        let (next, outcome) = match next {
            Next0::Delivered => (Next::Delivered, "delivered"),
            Next0::RetryIn(wait) => (Next::Retry(now + wait), "retry"),
            Next0::Dead => (Next::Dead, "declined"),
        };
        let mut finish = finish(lease.get(&self.leases), next, now);
        outcome.clone_into(&mut finish.attempt.outcome);
        let finished = keeper.inbox().finish(finish.clone()).await.unwrap();
        self.agree(|world| {
            model::same!(world.finish(&finish, now.as_millisecond()), finished, "whether it counted");
            Ok(())
        });
    }

    async fn replay(&mut self, keeper: &dyn Keeper, what: &Which, to: Option<&'static str>) {
        let what = match what {
            Which::Notification(at) if !self.ids.is_empty() => ReplayWhat::Notification(*at.get(&self.ids)),
            Which::Event(at) if !self.events.is_empty() => ReplayWhat::Event(*at.get(&self.events)),
            Which::Delivery(at) if !self.deliveries.is_empty() => ReplayWhat::Delivery(*at.get(&self.deliveries)),
            Which::Dead => ReplayWhat::Dead(PAGE_MAX),
            _ => return,
        };
        let replay = Replay { what, target: to.map(str::to_owned), at: keeper.now() };
        let replayed = found(keeper.inbox().replay(replay.clone(), "test").await);
        self.agree(|world| {
            // A target that nothing was ever sent to has nothing to replay, whatever is asked for.
            let is_unheard_of = to.is_some() && replayed == Some(0);
            let expected = world.replay(&replay).or(is_unheard_of.then_some(0));
            model::same!(expected, replayed, "how many are replayed");
            Ok(())
        });
    }

    async fn end_hold(&mut self, keeper: &dyn Keeper, what: &Which, end: HoldEnd) {
        let what = match what {
            Which::Notification(at) if !self.ids.is_empty() => HoldWhat::Notification(*at.get(&self.ids)),
            Which::Event(at) if !self.events.is_empty() => HoldWhat::Event(*at.get(&self.events)),
            Which::Delivery(at) if !self.deliveries.is_empty() => HoldWhat::Delivery(*at.get(&self.deliveries)),
            _ => return,
        };
        let end = EndHold { what, end, by: "test".to_owned(), why: None, at: keeper.now() };
        let ended: Option<EndedHold> = found(keeper.inbox().end_hold(end.clone()).await);
        self.agree(|world| {
            model::same!(world.end_hold(&end), ended, "how a hold ended");
            Ok(())
        });
    }

    async fn retain(&mut self, keeper: &dyn Keeper, retention: Retention) {
        let (mut bodies, mut notifications) = (0, 0);
        loop {
            let removed = keeper.inbox().retain(retention, keeper.now()).await.unwrap();
            bodies += removed.bodies;
            notifications += removed.notifications;
            if removed.is_done {
                break;
            }
        }
        let now_ms = keeper.now().as_millisecond();
        let mut others = Vec::new();
        self.agree(|world| {
            let (our_bodies, our_notifications, other) = world.retain(retention, now_ms);
            model::same!((our_bodies, our_notifications), (bodies, notifications), "what retention removed");
            others.extend(other);
            Ok(())
        });
        self.worlds.extend(others);
        assert!(self.worlds.len() <= WORLDS_MAX, "too many worlds to follow");
    }
}

fn found<T>(answer: Result<T, Error>) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(Error::NotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Lives through a history, and panics where the inbox and the model disagree.
pub(crate) async fn live<K: Reopens>(keeper: &mut K, history: Vec<Step>) {
    let mut story = Story {
        worlds: vec![Model::default()],
        letters: Vec::new(),
        ids: Vec::new(),
        events: Vec::new(),
        deliveries: Vec::new(),
        leases: Vec::new(),
    };
    for Step(does) in history {
        match does {
            Does::Store(message) => story.store(keeper, written(&message, keeper.now())).await,
            Does::Again { message, is_shadow } => {
                if !story.letters.is_empty() {
                    let mut again = Letter { is_shadow, ..message.get(&story.letters).clone() };
                    again.request.received_at = keeper.now();
                    story.store(keeper, again).await;
                }
            }
            Does::Ack { message } => {
                if !story.ids.is_empty() {
                    let id = *message.get(&story.ids);
                    keeper.inbox().acked(id, keeper.now());
                    story.agree(|world| {
                        world.notes.iter_mut().filter(|note| note.id == id).for_each(|note| note.is_acked = true);
                        Ok(())
                    });
                }
            }
            Does::Claim { target, max, running } => story.claim(keeper, target, max, &running).await,
            Does::Finish { lease, next } => story.finish(keeper, lease, next).await,
            Does::Replay { what, to } => story.replay(keeper, &what, to).await,
            Does::EndHold { what, end } => story.end_hold(keeper, &what, end).await,
            Does::Advance(time) => keeper.advance(time),
            Does::Retain { bodies, identities, slice } => {
                story.retain(keeper, Retention { bodies, identities, rejections: bodies, slice }).await;
            }
            Does::DiscardOpen { target } => {
                let mut discarded = 0;
                loop {
                    match keeper.inbox().discard_open(target, "test", keeper.now()).await.unwrap() {
                        0 => break,
                        count => discarded += count,
                    }
                }
                story.agree(|world| {
                    model::same!(world.discard_open(target), discarded, "how many are discarded");
                    Ok(())
                });
            }
            Does::Reopen => keeper.reopen().await,
        }
        let seen = look(keeper.inbox(), story.deliveries.clone()).await;
        story.agree(|world| world.looks_like(&seen));
    }
    keeper.inbox().close().await;
}
