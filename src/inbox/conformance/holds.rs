//! Holds, and how a person ends them.

use super::*;
use crate::inbox::holds::{EndHold, EndedHold, HoldEnd, HoldWhat};

fn stranger() -> Vec<Concern> {
    vec![Concern::ForeignPayee { payee: "stranger".to_owned() }]
}

/// A message that was stored.
struct Told {
    id: NotificationId,
    letter: Letter,
}

/// Stores a message that is held as a whole.
async fn held(keeper: &dyn Keeper, number: &str, facts: Vec<Fact>, targets: &[RoutedTarget]) -> Told {
    let mut letter = letter(keeper.now(), number, facts, targets);
    letter.notification.concerns = stranger();
    match keeper.store(letter.clone()).await.unwrap() {
        Stored::New { id, is_held: true, .. } => Told { id, letter },
        stored => panic!("{stored:?}"),
    }
}

async fn end(keeper: &dyn Keeper, what: HoldWhat, end: HoldEnd) -> EndedHold {
    let why = Some("asked the buyer".to_owned());
    keeper.inbox().end_hold(EndHold { what, end, by: "test".to_owned(), why, at: keeper.now() }).await.unwrap()
}

async fn open_holds(keeper: &dyn Keeper) -> Vec<NotificationId> {
    keeper.inbox().holds(None, PAGE_MAX).await.unwrap().iter().map(|hold| hold.notification.id).collect()
}

const NOTHING: EndedHold = EndedHold { deliveries: 0, waiting: 0, holds: 0 };

pub(crate) async fn a_released_hold_is_delivered(keeper: &dyn Keeper) {
    let (world, targets) = (World(keeper), [event_target("shop"), raw_target("other")]);
    let letter = held(keeper, "N1", vec![payment("P1", 1000)], &targets).await;
    let second = held(keeper, "N2", vec![payment("P2", 1000)], &targets).await;
    let holds = keeper.inbox().holds(None, PAGE_MAX).await.unwrap();
    assert_eq!(holds.iter().map(|hold| hold.notification.id).collect::<Vec<_>>(), [letter.id, second.id]);
    assert_eq!((holds[0].notification.concerns.clone(), holds[0].deliveries.len()), (stranger(), 2));
    assert_eq!((holds[0].events.len(), holds[0].events[0].concerns.clone()), (1, stranger()));
    assert_eq!(keeper.inbox().holds(Some(letter.id), 1).await.unwrap()[0].notification.id, second.id);

    let ended = end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Release).await;
    assert_eq!(ended, EndedHold { deliveries: 2, waiting: 0, holds: 1 });
    assert_eq!(open_holds(keeper).await, [second.id]);
    assert_eq!(world.states(letter.id).await, [DeliveryState::Pending; 2]);
    let leased = world.claim().await.remove(0);
    assert_eq!(leased.notification, letter.id);
    world.finish(&leased, Next::Delivered).await;
    let repeated = keeper.store(letter.letter.clone()).await.unwrap();
    assert!(matches!(repeated, Stored::Repeated { is_held: false, .. }), "still a success");
    let record = keeper.inbox().notification(letter.id).await.unwrap();
    assert_eq!(record.concerns, stranger(), "why it was held stays on record");

    assert_eq!(end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Release).await, NOTHING, "once");
    assert_eq!(end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Discard).await, NOTHING, "not taken back");
    let audit = keeper.inbox().audit_log(10).await.unwrap();
    assert_eq!(audit.len(), 1, "what changed nothing is no write");
    assert_eq!((audit[0].who.as_str(), audit[0].what.as_str()), ("test", "release"));
    assert_eq!((audit[0].subjects.clone(), audit[0].result), (vec![letter.id.to_string()], Some(2)));
    assert_eq!(audit[0].why.as_deref(), Some("asked the buyer"));
    let unknown = EndHold {
        what: HoldWhat::Event(EventId::new()),
        end: HoldEnd::Release,
        by: "test".to_owned(),
        why: None,
        at: keeper.now(),
    };
    assert!(matches!(keeper.inbox().end_hold(unknown).await, Err(Error::NotFound)));
}

pub(crate) async fn a_discarded_hold_never_goes_out(keeper: &dyn Keeper) {
    let world = World(keeper);
    let letter = held(keeper, "N1", vec![payment("P1", 1000)], &[event_target("shop")]).await;
    let (refund, _) = world.store("N2", vec![refund("R1", "P1", 10)]).await;
    assert_eq!(world.states(refund).await, [DeliveryState::Waiting]);
    let ended = end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Discard).await;
    assert_eq!(ended, EndedHold { deliveries: 1, waiting: 0, holds: 1 });
    assert_eq!(world.states(letter.id).await, [DeliveryState::Discarded]);
    assert_eq!(world.states(refund).await, [DeliveryState::Pending], "it waits for nothing any more");
    assert_eq!(world.claim().await.len(), 1);
    assert!(open_holds(keeper).await.is_empty());
    assert!(matches!(keeper.store(letter.letter).await.unwrap(), Stored::Repeated { .. }));
}

pub(crate) async fn a_released_refund_waits_for_its_payment(keeper: &dyn Keeper) {
    let world = World(keeper);
    let shop = [event_target("shop")];
    let paid = held(keeper, "N1", vec![payment("P1", 1000)], &shop).await;
    let back = held(keeper, "N2", vec![refund("R1", "P1", 10)], &shop).await;
    let unpaid = held(keeper, "N3", vec![refund("R2", "P2", 10)], &shop).await;
    for letter in [&back, &unpaid] {
        let ended = end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Release).await;
        assert_eq!(ended, EndedHold { deliveries: 1, waiting: 1, holds: 1 });
        assert_eq!(world.states(letter.id).await, [DeliveryState::Waiting]);
    }
    assert!(world.claim().await.is_empty());
    end(keeper, HoldWhat::Notification(paid.id), HoldEnd::Release).await;
    let leased = world.claim().await;
    assert_eq!(leased.iter().map(|leased| leased.notification).collect::<Vec<_>>(), [paid.id]);
    world.finish(&leased[0], Next::Delivered).await;
    assert_eq!(world.states(back.id).await, [DeliveryState::Pending]);
    world.store("N4", vec![payment("P2", 1000)]).await;
    assert_eq!(world.states(unpaid.id).await, [DeliveryState::Waiting], "now for its payment's confirmation");
}

pub(crate) async fn events_of_one_message_are_decided_one_by_one(keeper: &dyn Keeper) {
    let world = World(keeper);
    let targets = [event_target("shop"), raw_target("raw")];
    let letter = held(keeper, "N1", vec![payment("P1", 1000), payment("P2", 2000)], &targets).await;
    let hold = keeper.inbox().holds(None, PAGE_MAX).await.unwrap().remove(0);
    let (first, second) = (hold.events[0].id, hold.events[1].id);
    assert_eq!(hold.deliveries.len(), 3, "one for each event, and a raw one for both");
    let ended = end(keeper, HoldWhat::Event(first), HoldEnd::Release).await;
    assert_eq!(ended, EndedHold { deliveries: 1, waiting: 0, holds: 1 });
    let hold = keeper.inbox().holds(None, PAGE_MAX).await.unwrap().remove(0);
    assert_eq!((hold.events.len(), hold.deliveries.len()), (1, 2), "the raw one waits for the other");
    let ended = end(keeper, HoldWhat::Event(second), HoldEnd::Discard).await;
    assert_eq!(ended, EndedHold { deliveries: 2, waiting: 0, holds: 1 });
    let mut states = world.states(letter.id).await;
    states.sort_by_key(|state| state.as_str());
    assert_eq!(states, [DeliveryState::Discarded, DeliveryState::Pending, DeliveryState::Pending]);
    assert!(open_holds(keeper).await.is_empty());
}

pub(crate) async fn a_delivery_is_released_alone(keeper: &dyn Keeper) {
    let world = World(keeper);
    let letter = held(keeper, "N1", vec![payment("P1", 1000)], &[event_target("shop"), event_target("other")]).await;
    let deliveries = keeper.inbox().holds(None, PAGE_MAX).await.unwrap().remove(0).deliveries;
    let ended = end(keeper, HoldWhat::Delivery(deliveries[0].id), HoldEnd::Release).await;
    assert_eq!(ended, EndedHold { deliveries: 1, waiting: 0, holds: 0 });
    assert_eq!(open_holds(keeper).await, [letter.id]);
    assert_eq!(world.states(letter.id).await, [DeliveryState::Pending, DeliveryState::Held]);
    let ended = end(keeper, HoldWhat::Delivery(deliveries[1].id), HoldEnd::Discard).await;
    assert_eq!(ended, EndedHold { deliveries: 1, waiting: 0, holds: 1 });
    assert_eq!(end(keeper, HoldWhat::Delivery(deliveries[1].id), HoldEnd::Release).await, NOTHING);
    assert!(open_holds(keeper).await.is_empty());
}

pub(crate) async fn a_hold_without_deliveries_ends_too(keeper: &dyn Keeper) {
    let unrouted = held(keeper, "N1", vec![payment("P1", 1000)], &[]).await;
    let known = held(keeper, "N2", vec![payment("P1", 1000)], &[event_target("shop")]).await;
    let holds = keeper.inbox().holds(None, PAGE_MAX).await.unwrap();
    assert_eq!(holds.iter().map(|hold| hold.events.len()).collect::<Vec<_>>(), [1, 0], "the second brought no event");
    for letter in [&unrouted, &known] {
        let ended = end(keeper, HoldWhat::Notification(letter.id), HoldEnd::Release).await;
        assert_eq!(ended, EndedHold { deliveries: 0, waiting: 0, holds: 1 });
    }
    assert!(open_holds(keeper).await.is_empty());
}

/// A message whose number alone is proven can be made to say anything, of any kind: it tells one thing.
pub(crate) async fn under_a_number_that_tells_one_thing_another_is_held(keeper: &dyn Keeper) {
    let by_number = |number: &str, fact: Fact| Fact { aliases: vec![name(&format!("transmission:{number}"))], ..fact };
    let store = async |number: &str, fact: Fact| match keeper
        .store(letter(keeper.now(), number, vec![fact], &[event_target("shop")]))
        .await
        .unwrap()
    {
        Stored::New { is_held, events, .. } => (is_held, events.len()),
        Stored::Repeated { is_held, .. } => (is_held, 0),
    };
    let paid = by_number("T1", payment("P1", 1000));
    assert_eq!(store("T1", paid.clone()).await, (false, 1));
    assert_eq!(store("T1", paid).await, (false, 0), "its repetition");
    assert_eq!(store("T1", by_number("T1", payment("P2", 9900))).await, (true, 1), "of the same kind");
    assert_eq!(store("T1", by_number("T1", refund("R1", "P1", 1000))).await, (true, 1), "of another kind");
    // What told nothing of money first is told again by nobody.
    assert_eq!(store("T2", before_payment(EventKind::Other, "N2")).await, (false, 1));
    assert_eq!(store("T2", by_number("T2", payment("P3", 9900))).await, (true, 1));
    // Without such a name one number may tell several things.
    assert_eq!(store("T3", payment("P4", 1000)).await, (false, 1));
    assert_eq!(store("T3", payment("P5", 1000)).await, (false, 1));
}

pub(crate) async fn held_things_stay(keeper: &dyn Keeper) {
    let world = World(keeper);
    let mut held = letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[event_target("shop")]);
    held.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
    let stored = keeper.store(held.clone()).await.unwrap();
    let Stored::New { id, is_held: true, .. } = stored else { panic!("{stored:?}") };
    assert!(matches!(keeper.store(held.clone()).await.unwrap(), Stored::Repeated { is_held: true, .. }));
    assert_eq!(world.replay(ReplayWhat::Notification(id)).await, 0);
    assert_eq!(world.states(id).await, [DeliveryState::Held]);
    let (refund, _) = world.store("N2", vec![refund("R1", "P1", 10)]).await;
    assert_eq!(world.states(refund).await, [DeliveryState::Waiting]);
    let backlog = world.inbox().backlog().await.unwrap();
    assert_eq!((backlog[0].held, backlog[0].open, backlog[0].dead), (1, 0, 0));
}

pub(crate) async fn old_captures_are_held(keeper: &dyn Keeper) {
    let mut old = letter(keeper.now(), "N1", vec![payment("P1", 1000)], &[event_target("shop")]);
    old.notification.sent_at = Some("2001-01-01T00:00:00Z".parse().unwrap());
    let id = keeper.store(old).await.unwrap().notification();
    let record = keeper.inbox().notification(id).await.unwrap();
    assert_eq!(record.concerns, [Concern::TooOld]);
    assert_eq!(World(keeper).states(id).await, [DeliveryState::Held]);
}
