//! Messages that are told only when the platform confirms them, and hints from messages that do not prove themselves.

use tollbell_channels::channel::Hint;
use tollbell_channels::model::{Amount, Concern, Currency, EventKind};

use super::hints::{Hinted, PLATFORM, number};
use super::*;
use crate::inbox::hints::{Ground, HintClaimed, HintState, Learned, Noted, PLACES_OF_NETWORK};
use crate::inbox::holds::{BY_PLATFORM, CLAIMS_MAX, EndHold, HoldEnd, HoldWhat};

/// A proven message that waits for an answer about `asked`, as a channel that asks first stores it.
fn waiting(keeper: &dyn Keeper, key: &str, asked: &str, facts: Vec<Fact>) -> Letter {
    let mut letter = letter(keeper.now(), key, facts, &[event_target("shop")]);
    letter.notification.concerns = vec![Concern::Unconfirmed { number: asked.to_owned() }];
    letter
}

struct Stand<'a> {
    keeper: &'a dyn Keeper,
    world: World<'a>,
    hinted: Hinted<'a>,
}

impl<'a> Stand<'a> {
    fn new(keeper: &'a dyn Keeper) -> Self {
        Self { keeper, world: World(keeper), hinted: Hinted(keeper) }
    }

    /// Stores a message that waits, and has its number asked about.
    async fn told(&self, key: &str, asked: &str, facts: Vec<Fact>) -> (NotificationId, Vec<NewEvent>) {
        let stored = self.keeper.store(waiting(self.keeper, key, asked, facts)).await.unwrap();
        let Stored::New { id, events, .. } = stored else { panic!("{stored:?}") };
        self.hinted.told(asked, PLATFORM).await;
        (id, events)
    }

    /// The platform's answer to the question that is due.
    async fn answered(&self, facts: Vec<Fact>, key: &str) -> Stored {
        let leased = self.hinted.claim().await;
        let arrival = self.hinted.arrival(facts, key);
        self.hinted.end(&leased, arrival, None).await.stored.expect("an answer that tells something")
    }

    /// A person decides about an event.
    async fn end_hold(&self, event: &NewEvent, end: HoldEnd) {
        let (what, at) = (HoldWhat::Event(event.id), self.keeper.now());
        let end = EndHold { what, end, by: "test".to_owned(), why: None, at };
        self.keeper.inbox().end_hold(end).await.unwrap();
    }

    async fn open_holds(&self) -> usize {
        self.keeper.inbox().holds(None, PAGE_MAX).await.unwrap().len()
    }
}

pub(crate) async fn what_waits_for_the_platform_goes_out_when_it_says_the_same(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (id, events) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    assert!(events[0].is_held && events[0].is_unconfirmed);
    assert_eq!(stand.world.states(id).await, [DeliveryState::Held]);
    assert!(stand.world.claim().await.is_empty());
    // A repetition waits as well.
    let again = keeper.store(waiting(keeper, "evt_1", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    assert!(matches!(again, Stored::Repeated { is_held: true, .. }), "{again:?}");
    let stored = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    let Stored::New { events: brought, is_held, id: answer } = stored else { panic!("{stored:?}") };
    assert!(brought.is_empty() && !is_held, "the event is the message's own");
    assert_eq!((stand.world.states(id).await, stand.open_holds().await), (vec![DeliveryState::Pending], 0));
    let leased = stand.world.claim().await;
    assert_eq!((leased.len(), leased[0].notification, leased[0].way), (1, id, Way::Callback));
    let audit = keeper.inbox().audit_log(1).await.unwrap();
    assert_eq!((audit[0].who.as_str(), audit[0].why.clone()), (BY_PLATFORM, Some(answer.to_string())));
    // The same message once more, and the same answer once more, change nothing.
    assert_eq!(stand.world.finish(&leased[0], Next::Delivered).await, Finished::Done);
    keeper.store(waiting(keeper, "evt_1", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    keeper.advance(Duration::from_mins(1));
    stand.hinted.told("pi_1", PLATFORM).await;
    let again = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert!(matches!(again, Stored::Repeated { .. }));
    assert_eq!((stand.world.states(id).await, stand.open_holds().await), (vec![DeliveryState::Delivered], 0));
}

pub(crate) async fn what_the_platform_says_otherwise_stays_held(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let answers = [
        // Another amount is a contradiction, for a person.
        (vec![payment("pi_0", 999)], 2),
        // Not paid yet.
        (vec![before_payment(EventKind::PaymentPending, "pi_1")], 1),
        (vec![before_payment(EventKind::PaymentFailed, "pi_2")], 1),
        (vec![before_payment(EventKind::PaymentClosed, "pi_3")], 1),
        // Another payment.
        (vec![payment("pi_99", 1000)], 1),
    ];
    let mut held = 0;
    for (index, (facts, holds)) in answers.into_iter().enumerate() {
        let name = format!("pi_{index}");
        let (id, _) = stand.told(&format!("evt_{index}"), &name, vec![payment(&name, 1000)]).await;
        stand.answered(facts, &format!("{name}/told")).await;
        held += holds;
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held], "{name}");
        assert_eq!(stand.open_holds().await, held, "{name}");
    }
    // Nothing, and nobody: it waits for a person.
    for (index, learned) in [Learned::Nothing, Learned::Unknown, Learned::NoAnswer].into_iter().enumerate() {
        let name = format!("pi_x{index}");
        let (id, _) = stand.told(&format!("evt_x{index}"), &name, vec![payment(&name, 1000)]).await;
        let leased = stand.hinted.claim().await;
        stand.hinted.end(&leased, learned, None).await;
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held], "{name}");
    }
    // A message that is doubtful for another reason too is not the platform's to release.
    let mut foreign = waiting(keeper, "evt_f", "pi_f", vec![payment("pi_f", 1000)]);
    foreign.notification.concerns.push(Concern::ForeignPayee { payee: "stranger".to_owned() });
    let id = keeper.store(foreign).await.unwrap().notification();
    stand.hinted.told("pi_f", PLATFORM).await;
    stand.answered(vec![payment("pi_f", 1000)], "pi_f/paid").await;
    assert_eq!(stand.world.states(id).await, [DeliveryState::Held]);
}

pub(crate) async fn an_answer_that_is_held_itself_confirms_nothing(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (paid, events) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    let (failed, _) = stand.told("evt_2", "pi_1", vec![before_payment(EventKind::PaymentFailed, "ch_1")]).await;
    // A person said so, and it was told by its own names: so the answer about it agrees with an event.
    stand.end_hold(&events[0], HoldEnd::Release).await;
    // It is from before what is remembered.
    let mut letter = letter(keeper.now(), "pi_1/paid", vec![payment("pi_1", 1000)], &[event_target("shop")]);
    letter.notification.sent_at = Some("2001-01-01T00:00:00Z".parse().unwrap());
    let leased = stand.hinted.claim().await;
    let ended = stand.hinted.end(&leased, stand.hinted.arrival_of(letter), None).await;
    let Some(Stored::New { id, is_held: true, .. }) = ended.stored else { panic!("{ended:?}") };
    assert_eq!(keeper.inbox().notification(id).await.unwrap().concerns, [Concern::TooOld]);
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Pending]);
    assert_eq!(stand.world.states(failed).await, [DeliveryState::Held]);
}

pub(crate) async fn a_success_ends_what_waited_before_it(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let kinds = [
        (EventKind::PaymentPending, DeliveryState::Discarded),
        (EventKind::PaymentFailed, DeliveryState::Discarded),
        (EventKind::PaymentClosed, DeliveryState::Held),
    ];
    let mut stored = Vec::new();
    for (kind, state) in kinds {
        // An attempt that failed has a name of its own; what it is asked by is the payment's.
        let (id, _) =
            stand.told(&format!("evt_{kind}"), "pi_1", vec![before_payment(kind, &format!("ch_{kind}"))]).await;
        stored.push((id, state));
    }
    let (paid, _) = stand.told("evt_paid", "pi_1", vec![payment("pi_1", 1000)]).await;
    let (other, _) = stand.told("evt_other", "pi_2", vec![before_payment(EventKind::PaymentFailed, "ch_2")]).await;
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    for (id, state) in stored {
        assert_eq!(stand.world.states(id).await, [state]);
    }
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Pending]);
    assert_eq!(stand.world.states(other).await, [DeliveryState::Held], "of another payment");
}

pub(crate) async fn what_is_confirmed_late_is_not_told_after_the_success(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let kinds = [EventKind::PaymentPending, EventKind::PaymentFailed];
    for kind in kinds {
        let order = |number: &str, fact: Fact| vec![of_order(&format!("{kind} {number}"), fact)];
        let attempt = |number: &str| order(number, before_payment(kind, &format!("ch_{kind}_{number}")));
        let paid = |number: &str| order(number, payment(&format!("pi_{kind}_{number}"), 1000));
        // Each is confirmed by an answer about its own number.
        let confirmed = async |facts: Vec<Fact>, number: &str| {
            let (id, _) = stand.told(&format!("evt_{number}"), number, facts.clone()).await;
            stand.answered(facts, &format!("{number}/told")).await;
            id
        };
        // The attempt is confirmed first, and nobody has begun to tell it.
        let early = confirmed(attempt("1"), &format!("ch_{kind}_1")).await;
        assert_eq!(stand.world.states(early).await, [DeliveryState::Pending], "{kind}");
        confirmed(paid("1"), &format!("pi_{kind}_1")).await;
        assert_eq!(stand.world.states(early).await, [DeliveryState::Skipped], "{kind}");
        // The success is confirmed first.
        let late = attempt("2");
        let (waits, _) = stand.told(&format!("evt_{kind}_w"), &format!("ch_{kind}_2"), late.clone()).await;
        let leased = stand.hinted.claim().await;
        confirmed(paid("2"), &format!("pi_{kind}_2")).await;
        stand.hinted.end(&leased, stand.hinted.arrival(late, &format!("{kind} late")), None).await;
        assert_eq!(stand.world.states(waits).await, [DeliveryState::Skipped], "{kind}");
        // The success comes while the application is being told, and does not take it.
        let begun = confirmed(attempt("3"), &format!("ch_{kind}_3")).await;
        let leased = stand.world.claim().await;
        let leased = leased.iter().find(|leased| leased.notification == begun).expect("it goes out");
        confirmed(paid("3"), &format!("pi_{kind}_3")).await;
        stand.world.finish(leased, Next::Retry(keeper.now())).await;
        assert_eq!(stand.world.states(begun).await, [DeliveryState::Skipped], "{kind}");
    }
}

pub(crate) async fn what_is_known_needs_no_second_confirmation(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    // Two messages of one payment by two numbers: an answer about either confirms it.
    let (first, _) = stand.told("evt_charge", "ch_1", vec![payment("pi_1", 1000)]).await;
    let (second, events) = stand.told("evt_intent", "pi_1", vec![payment("pi_1", 1000)]).await;
    assert!(events.is_empty());
    let held = keeper.inbox().holds(None, PAGE_MAX).await.unwrap();
    assert!(held.len() == 1 && held[0].notification.id == first, "{second}'s fact has an event that waits");
    let leased = stand.hinted.claim().await;
    assert_eq!(leased.number.as_str(), "ch_1");
    stand.hinted.end(&leased, Learned::NoAnswer, Some(Duration::from_mins(1))).await;
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert_eq!((stand.world.states(first).await, stand.open_holds().await), (vec![DeliveryState::Pending], 0));
    // What the platform told before any message is not held by the message.
    stand.hinted.told("pi_2", PLATFORM).await;
    stand.answered(vec![payment("pi_2", 500)], "pi_2/paid").await;
    let late = keeper.store(waiting(keeper, "evt_late", "pi_2", vec![payment("pi_2", 500)])).await.unwrap();
    assert!(matches!(late, Stored::New { is_held: false, .. }), "{late:?}");
    assert_eq!(stand.world.claim().await.len(), 2);
}

/// The fact with another order number.
fn of_order(order_no: &str, fact: Fact) -> Fact {
    Fact { order_no: Some(order_no.to_owned()), ..fact }
}

/// The fact with one more name.
fn also(alias: &str, fact: Fact) -> Fact {
    Fact { aliases: vec![name(alias)], ..fact }
}

/// Whoever stole the secret says something else of a payment that he really made.
pub(crate) async fn what_the_answer_does_not_say_is_not_confirmed(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let forged = [
        of_order("victim's", payment("pi_0", 1000)),
        also("ch_of_another", payment("pi_1", 1000)),
        refund("re_2", "pi_of_another", 1000),
        Fact { platform_no: Some("another".to_owned()), ..payment("pi_3", 1000) },
        Fact { payee: Some("another".to_owned()), ..payment("pi_4", 1000) },
        payment("pi_5", 1000),
        payment("pi_6", 1000),
    ];
    let said = [
        payment("pi_0", 1000),
        payment("pi_1", 1000),
        refund("re_2", "pi_2", 1000),
        payment("pi_3", 1000),
        // What the answer says nothing of is not confirmed either.
        Fact { payee: None, ..payment("pi_4", 1000) },
        Fact { order_no: None, ..payment("pi_5", 1000) },
        Fact { amount: Amount::Unreadable, ..payment("pi_6", 1000) },
    ];
    for (index, (forged, said)) in forged.into_iter().zip(said).enumerate() {
        let (id, _) = stand.told(&format!("evt_{index}"), &format!("pi_{index}"), vec![forged]).await;
        stand.answered(vec![said], &format!("answer_{index}")).await;
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held], "{index}");
        assert_eq!(stand.world.claim().await.iter().filter(|leased| leased.notification == id).count(), 0, "{index}");
    }
}

/// A forged message must not stand in the way of the genuine payment that it names.
pub(crate) async fn what_is_forged_swallows_nothing_genuine(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    // The platform's answer is another fact than the forged one, and goes out by itself.
    let (forged, _) = stand.told("evt_f1", "pi_1", vec![of_order("victim's", payment("pi_1", 1000))]).await;
    let stored = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    let Stored::New { id: answer, events, is_held: false } = stored else { panic!("{stored:?}") };
    assert_eq!((events.len(), stand.world.states(answer).await), (1, vec![DeliveryState::Pending]));
    let genuine = keeper.store(waiting(keeper, "evt_g1", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    let Stored::New { events, is_held: false, .. } = genuine else { panic!("{genuine:?}") };
    assert!(events.is_empty(), "it was told");
    // The forged one names the victim's charge; the victim's own message comes after it, and before any answer.
    let (alias, _) = stand.told("evt_f2", "pi_2", vec![also("ch_3", payment("pi_2", 1000))]).await;
    stand.answered(vec![payment("pi_2", 1000)], "pi_2/paid").await;
    let (victims, events) = stand.told("evt_g3", "pi_3", vec![also("ch_3", payment("pi_3", 1000))]).await;
    assert!(events.len() == 1 && events[0].is_unconfirmed, "{events:?}");
    stand.answered(vec![also("ch_3", payment("pi_3", 1000))], "pi_3/paid").await;
    assert_eq!(stand.world.states(victims).await, [DeliveryState::Pending]);
    // Also where it says that it is that payment, by another object of the thief's own.
    let (other, _) = stand.told("evt_f4", "ch_mine", vec![also("ch_mine", payment("pi_4", 1000))]).await;
    stand.answered(vec![also("ch_mine", payment("pi_mine", 1000))], "ch_mine/paid").await;
    let (paid, _) = stand.told("evt_g4", "pi_4", vec![payment("pi_4", 1000)]).await;
    stand.answered(vec![payment("pi_4", 1000)], "pi_4/paid").await;
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Pending]);
    // A second forged message does not give the told payment another's names.
    keeper.store(waiting(keeper, "evt_f5", "pi_1", vec![also("ch_6", payment("pi_1", 1000))])).await.unwrap();
    let (late, events) = stand.told("evt_g6", "pi_6", vec![also("ch_6", payment("pi_6", 1000))]).await;
    assert_eq!(events.len(), 1);
    stand.answered(vec![also("ch_6", payment("pi_6", 1000))], "pi_6/paid").await;
    assert_eq!(stand.world.states(late).await, [DeliveryState::Pending]);
    for id in [forged, alias, other] {
        assert_eq!(stand.world.states(id).await, [DeliveryState::Held]);
    }
    // Nor does a total that nobody confirmed change what a genuine one means.
    let refunds = total_refund("re_forged", "pi_7", 900, true);
    keeper.store(waiting(keeper, "evt_f7", "pi_7", vec![refunds])).await.unwrap();
    let paid = Fact { baseline: Some((series("pi_7"), Currency::CNY)), ..payment("pi_7", 1000) };
    stand.world.store("evt_7", vec![paid]).await;
    let (_, refunded) = stand.world.store("evt_7r", vec![total_refund("re_7", "pi_7", 300, true)]).await;
    assert_eq!(stand.world.event(&refunded[0]).await.amount, Some(cny(300)));
}

pub(crate) async fn one_payment_of_two_messages_is_confirmed_once(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    // A session knows the order, the payment itself does not; each is asked about by its own number.
    let bare = Fact { order_no: None, ..payment("pi_1", 1000) };
    let whole = also("cs_1", payment("pi_1", 1000));
    let (first, _) = stand.told("evt_pi", "pi_1", vec![bare.clone()]).await;
    let (second, events) = stand.told("evt_cs", "cs_1", vec![whole.clone()]).await;
    assert_eq!(events.len(), 1, "it says more, and nobody has confirmed any of it");
    stand.answered(vec![bare], "pi_1/paid").await;
    assert_eq!(stand.world.states(first).await, [DeliveryState::Pending]);
    stand.answered(vec![whole], "cs_1/complete").await;
    assert_eq!(stand.world.states(second).await, [DeliveryState::Discarded], "the payment was told");
    assert_eq!((stand.open_holds().await, stand.world.claim().await.len()), (0, 1));
}

pub(crate) async fn every_message_about_what_waits_is_asked_about(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (first, _) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    let leased = stand.hinted.claim().await;
    stand.hinted.end(&leased, Learned::Unknown, None).await;
    keeper.advance(Duration::from_mins(11));
    // Another message about the same, which was stored and not asked about when the node died, and comes again.
    let other = waiting(keeper, "evt_2", "pi_1", vec![payment("pi_1", 1000)]);
    let stored = keeper.store(other.clone()).await.unwrap();
    let Stored::New { events, is_held: true, .. } = stored else { panic!("{stored:?}") };
    assert!(events.is_empty());
    let again = keeper.store(other.clone()).await.unwrap();
    assert!(matches!(again, Stored::Repeated { is_held: true, .. }), "{again:?}");
    assert_eq!(stand.open_holds().await, 1, "there is one thing to decide");
    stand.hinted.told("pi_1", PLATFORM).await;
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert_eq!((stand.world.states(first).await, stand.open_holds().await), (vec![DeliveryState::Pending], 0));
    let again = keeper.store(other).await.unwrap();
    assert!(matches!(again, Stored::Repeated { is_held: false, .. }), "{again:?}");
}

/// Somebody who has the secret tells of a payment that is made only after a person found out.
pub(crate) async fn what_a_person_discarded_swallows_nothing_genuine(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let forged = async |key: &str, name: &str| {
        let (id, events) = stand.told(key, name, vec![payment(name, 1000)]).await;
        let leased = stand.hinted.claim().await;
        stand.hinted.end(&leased, Learned::Nothing, None).await;
        stand.end_hold(&events[0], HoldEnd::Discard).await;
        keeper.advance(Duration::from_mins(1));
        id
    };
    // The genuine message comes before the answer.
    let first = forged("evt_f1", "pi_1").await;
    let (genuine, events) = stand.told("evt_g1", "pi_1", vec![payment("pi_1", 1000)]).await;
    assert!(events.len() == 1 && events[0].is_unconfirmed, "{events:?}");
    stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert_eq!(stand.world.states(genuine).await, [DeliveryState::Pending]);
    // The answer comes first: it tells by itself.
    let second = forged("evt_f2", "pi_2").await;
    stand.hinted.told("pi_2", PLATFORM).await;
    let stored = stand.answered(vec![payment("pi_2", 1000)], "pi_2/paid").await;
    assert!(matches!(&stored, Stored::New { events, is_held: false, .. } if events.len() == 1), "{stored:?}");
    let late = keeper.store(waiting(keeper, "evt_g2", "pi_2", vec![payment("pi_2", 1000)])).await.unwrap();
    assert!(matches!(&late, Stored::New { events, is_held: false, .. } if events.is_empty()), "{late:?}");
    // The genuine message is the forged one to the letter: it is asked about all the same.
    let third = forged("evt_3", "pi_3").await;
    let again = || keeper.store(waiting(keeper, "evt_3", "pi_3", vec![payment("pi_3", 1000)]));
    let repeated = again().await.unwrap();
    assert!(matches!(repeated, Stored::Repeated { is_held: true, .. }), "{repeated:?}");
    stand.hinted.told("pi_3", PLATFORM).await;
    let stored = stand.answered(vec![payment("pi_3", 1000)], "pi_3/paid").await;
    assert!(matches!(&stored, Stored::New { events, is_held: false, .. } if events.len() == 1), "{stored:?}");
    let repeated = again().await.unwrap();
    assert!(matches!(repeated, Stored::Repeated { is_held: false, .. }), "{repeated:?}");
    for id in [first, second, third] {
        assert_eq!(stand.world.states(id).await, [DeliveryState::Discarded]);
    }
    assert_eq!((stand.world.claim().await.len(), stand.open_holds().await), (3, 0));
}

/// Somebody who has the secret says one thing after the other of one payment: what the platform says goes out all the same.
pub(crate) async fn whoever_says_much_of_one_payment_is_not_looked_at_for_ever(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (first, _) = stand.told("evt_0", "pi_1", vec![payment("pi_1", 1000)]).await;
    for index in 0..CLAIMS_MAX {
        let forged = of_order(&format!("victim's {index}"), payment("pi_1", 1000));
        let stored = keeper.store(waiting(keeper, &format!("evt_f{index}"), "pi_1", vec![forged])).await.unwrap();
        assert!(matches!(&stored, Stored::New { events, .. } if events.len() == 1), "{stored:?}");
    }
    let stored = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    let Stored::New { id: answer, events, is_held: false } = stored else { panic!("{stored:?}") };
    assert_eq!((events.len(), stand.world.states(answer).await), (1, vec![DeliveryState::Pending]));
    assert_eq!(stand.world.states(first).await, [DeliveryState::Held], "it is behind those that are looked at");
    let genuine = keeper.store(waiting(keeper, "evt_g", "pi_1", vec![payment("pi_1", 1000)])).await.unwrap();
    let Stored::New { events, is_held: false, .. } = genuine else { panic!("{genuine:?}") };
    assert!(events.is_empty(), "it was told");
    assert_eq!(stand.world.claim().await.len(), 1);
    // One that is told of after them is among those.
    for index in 0..CLAIMS_MAX {
        let forged = of_order(&format!("victim's {index}"), payment("pi_2", 1000));
        keeper.store(waiting(keeper, &format!("evt_h{index}"), "pi_2", vec![forged])).await.unwrap();
    }
    let (last, _) = stand.told("evt_l", "pi_2", vec![payment("pi_2", 1000)]).await;
    stand.answered(vec![payment("pi_2", 1000)], "pi_2/paid").await;
    assert_eq!(stand.world.states(last).await, [DeliveryState::Pending]);
}

pub(crate) async fn what_a_person_released_is_known(keeper: &dyn Keeper) {
    let stand = Stand::new(keeper);
    let (first, events) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    let (refunded, _) = stand.world.store("evt_r", vec![refund("re_1", "pi_1", 100)]).await;
    assert_eq!(stand.world.states(refunded).await, [DeliveryState::Waiting]);
    stand.end_hold(&events[0], HoldEnd::Release).await;
    assert_eq!(stand.world.states(first).await, [DeliveryState::Pending]);
    // The answer that comes late, and a message that is believed, tell nothing new.
    let stored = stand.answered(vec![payment("pi_1", 1000)], "pi_1/paid").await;
    assert!(matches!(&stored, Stored::New { events, .. } if events.is_empty()), "{stored:?}");
    assert!(stand.world.store("evt_2", vec![payment("pi_1", 1000)]).await.1.is_empty());
    let leased = stand.world.claim().await;
    assert_eq!((leased.len(), leased[0].notification), (1, first));
    stand.world.finish(&leased[0], Next::Delivered).await;
    assert_eq!(stand.world.states(refunded).await, [DeliveryState::Pending], "its payment is told");
}

/// The platform answers from a copy that is behind what it told itself.
pub(crate) async fn an_answer_that_is_late_is_not_the_last(keeper: &dyn Keeper) {
    const LATER: Duration = Duration::from_mins(1);
    let stand = Stand::new(keeper);
    let answered = async |fact: Fact, key: &str, state: HintState| {
        let leased = stand.hinted.claim().await;
        let ended = stand.hinted.end_or(&leased, stand.hinted.arrival(vec![fact], key), None, Some(LATER)).await;
        assert_eq!(stand.hinted.state(leased.number.as_str()).await, Some(state), "{key}");
        if state == HintState::Due {
            assert_eq!(stand.hinted.nothing_until().await, keeper.now().checked_add(LATER).ok());
            keeper.advance(LATER);
        }
        ended.stored.unwrap()
    };
    // A message that is proven waits for it.
    let (paid, _) = stand.told("evt_1", "pi_1", vec![payment("pi_1", 1000)]).await;
    answered(before_payment(EventKind::PaymentPending, "pi_1"), "pi_1/pending", HintState::Due).await;
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Held]);
    answered(payment("pi_1", 1000), "pi_1/paid", HintState::Answered).await;
    assert_eq!(stand.world.states(paid).await, [DeliveryState::Pending]);
    // What waits for an answer about another number is nothing to this one.
    stand.told("evt_2", "pi_2", vec![payment("pi_2", 1000)]).await;
    let leased = stand.hinted.claim().await;
    stand.hinted.end(&leased, Learned::Nothing, None).await;
    // A hint alone: what is told is told, and when it is named again the same answer is no news.
    stand.hinted.told("pi_3", PLATFORM).await;
    let pending = || before_payment(EventKind::PaymentPending, "pi_3");
    answered(pending(), "pi_3/pending", HintState::Answered).await;
    keeper.advance(Duration::from_hours(1));
    stand.hinted.told("pi_3", PLATFORM).await;
    let stored = answered(pending(), "pi_3/pending", HintState::Due).await;
    assert!(matches!(stored, Stored::Repeated { .. }), "{stored:?}");
    let stored = answered(payment("pi_3", 1000), "pi_3/paid", HintState::Answered).await;
    assert!(matches!(&stored, Stored::New { events, .. } if events.len() == 1), "{stored:?}");
}

pub(crate) async fn what_does_not_prove_itself_goes_last_and_earns_nothing(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let doubtful = async |text: &str, source: &str| {
        let source = Some(source.parse().unwrap());
        world.tell(Hint::from_doubtful(number(text)), source).await
    };
    // From a network that is known for genuine numbers as well: doubtful, and in no more than anybody's places.
    world.proves("tr_real", PLATFORM).await;
    for index in 0..PLACES_OF_NETWORK {
        assert_eq!(doubtful(&format!("tr_d{index}"), PLATFORM).await, Noted::Kept, "{index}");
    }
    assert_eq!(doubtful("tr_more", PLATFORM).await, Noted::Full);
    assert_eq!(world.told("tr_genuine", PLATFORM).await, Noted::Kept, "its own places are its own");
    let HintClaimed::Leased(first) = world.claim_on(&[Ground::Proven, Ground::New]).await else { panic!() };
    assert_eq!(first.number.as_str(), "tr_genuine");
    assert!(matches!(world.claim_on(&[Ground::Proven, Ground::New]).await, HintClaimed::Nothing(_)));
    world.end(&first, Learned::Nothing, None).await;
    // A number that exists makes nobody proven who copied it from another's message.
    assert_eq!(doubtful("tr_copied", "192.0.2.9").await, Noted::Kept);
    for _ in 0..=PLACES_OF_NETWORK {
        let leased = world.claim().await;
        assert_eq!(leased.ground, Ground::Doubtful);
        world.end(&leased, Learned::Nothing, None).await;
    }
    assert_eq!(world.told("tr_x", "192.0.2.9").await, Noted::Kept);
    let leased = world.claim().await;
    assert_eq!((leased.number.as_str(), leased.ground), ("tr_x", Ground::New));
    world.end(&leased, Learned::Nothing, None).await;
    // Named again by a doubtful message, a number that is known is doubtful; by a message of which nothing is wrong,
    // it is not.
    keeper.advance(Duration::from_mins(1));
    assert_eq!(doubtful("tr_real", "192.0.2.9").await, Noted::Kept);
    assert!(matches!(world.claim_on(&[Ground::Proven, Ground::New]).await, HintClaimed::Nothing(Some(_))));
    assert_eq!(world.told("tr_real", PLATFORM).await, Noted::Again);
    let HintClaimed::Leased(raised) = world.claim_on(&[Ground::Proven, Ground::New]).await else {
        panic!("not raised")
    };
    assert_eq!(raised.number.as_str(), "tr_real");
    assert_eq!(world.state("tr_copied").await, Some(HintState::Answered));
}
