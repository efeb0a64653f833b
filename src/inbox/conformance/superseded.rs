//! What a payment that succeeded makes pointless.

use super::*;
use crate::inbox::holds::{EndHold, HoldEnd, HoldWhat};

const STALE: [EventKind; 3] = [EventKind::PaymentPending, EventKind::PaymentFailed, EventKind::PaymentClosed];

pub(crate) fn before_payment(kind: EventKind, payment: &str) -> Fact {
    fact(kind, payment, Amount::Stated(cny(1000)))
}

/// The fact in an order of its own.
pub(crate) fn of_order(order_no: &str, fact: Fact) -> Fact {
    Fact { order_no: Some(order_no.to_owned()), ..fact }
}

pub(crate) async fn a_success_skips_what_was_still_to_be_told_of_its_order(keeper: &dyn Keeper) {
    let world = World(keeper);
    for (number, kind) in STALE.into_iter().enumerate() {
        let order = format!("order {number}");
        // Of the same payment, and of another payment of the same order.
        let own = vec![of_order(&order, before_payment(kind, &format!("P{number}")))];
        let (same_payment, _) = world.store(&format!("A{number}"), own).await;
        let other = vec![of_order(&order, before_payment(kind, &format!("X{number}")))];
        let (same_order, _) = world.store(&format!("B{number}"), other).await;
        let elsewhere = vec![of_order("another", before_payment(kind, &format!("Y{number}")))];
        let (another, _) = world.store(&format!("C{number}"), elsewhere).await;
        let paid = vec![of_order(&order, payment(&format!("P{number}"), 1000))];
        let (paid, events) = world.store(&format!("D{number}"), paid).await;
        for skipped in [same_payment, same_order] {
            let delivery = world.inbox().deliveries_of(skipped).await.unwrap().remove(0);
            assert_eq!(delivery.state, DeliveryState::Skipped, "{kind}");
            assert_eq!(delivery.superseded_by, Some(events[0].id), "{kind}");
        }
        assert_eq!(world.states(another).await, [DeliveryState::Pending], "{kind}");
        assert_eq!(world.states(paid).await, [DeliveryState::Pending], "{kind}");
    }
    // Without an order number the payment's own names decide.
    let nameless = |fact: Fact| vec![Fact { order_no: None, ..fact }];
    let (pending, _) = world.store("N1", nameless(before_payment(EventKind::PaymentPending, "Z1"))).await;
    world.store("N2", nameless(payment("Z1", 1000))).await;
    assert_eq!(world.states(pending).await, [DeliveryState::Skipped]);
    // One that is held says nothing about its order yet.
    let (pending, _) = world.store("N3", vec![of_order("held", before_payment(EventKind::PaymentPending, "H1"))]).await;
    let mut held = letter(keeper.now(), "N4", vec![of_order("held", payment("H1", 1000))], &[event_target("shop")]);
    held.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
    keeper.store(held).await.unwrap();
    assert_eq!(world.states(pending).await, [DeliveryState::Pending]);
}

pub(crate) async fn what_has_begun_is_not_skipped_and_not_tried_again(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (pending, _) = world.store("N1", vec![before_payment(EventKind::PaymentPending, "P1")]).await;
    let leased = world.claim().await.remove(0);
    world.store("N2", vec![payment("P1", 1000)]).await;
    assert_eq!(world.states(pending).await, [DeliveryState::Leased]);
    assert_eq!(world.finish(&leased, Next::Retry(keeper.now())).await, Finished::Done);
    assert_eq!(world.states(pending).await, [DeliveryState::Skipped]);
    assert_eq!(world.inbox().attempts_of(leased.delivery).await.unwrap().len(), 1, "the attempt keeps its row");
    // One that succeeds in spite of it is delivered.
    let (failed, _) = world.store("N3", vec![of_order("other", before_payment(EventKind::PaymentFailed, "P2"))]).await;
    let mut leased = world.claim().await;
    leased.retain(|leased| leased.notification == failed);
    world.store("N4", vec![of_order("other", payment("P2", 1000))]).await;
    assert_eq!(world.finish(&leased[0], Next::Delivered).await, Finished::Done);
    assert_eq!(world.states(failed).await, [DeliveryState::Delivered]);
}

pub(crate) async fn old_news_is_skipped_and_a_close_after_the_payment_is_held(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (_, paid) = world.store("N1", vec![payment("P1", 1000)]).await;
    for kind in [EventKind::PaymentPending, EventKind::PaymentFailed] {
        for number in ["P1", "another of the order"] {
            let (late, events) = world.store(&format!("{kind} {number}"), vec![before_payment(kind, number)]).await;
            assert_eq!(world.states(late).await, [DeliveryState::Skipped], "{kind} {number}");
            assert!(!events[0].is_held);
        }
    }
    let (closed, events) = world.store("N2", vec![before_payment(EventKind::PaymentClosed, "P1")]).await;
    assert_eq!(world.states(closed).await, [DeliveryState::Held]);
    let expected = Concern::Conflict { differs: "state".to_owned(), event: paid[0].id.to_string() };
    assert_eq!(world.event(&events[0]).await.concerns, [expected]);
    assert_eq!(world.store("N3", vec![before_payment(EventKind::PaymentClosed, "P1")]).await.1, [], "held once");
    // Another attempt of the order that was left unpaid contradicts nothing.
    let (closed, _) = world.store("N4", vec![before_payment(EventKind::PaymentClosed, "P2")]).await;
    assert_eq!(world.states(closed).await, [DeliveryState::Pending]);
    // An application that was down for a moment is told of it all the same.
    let mut leased = world.claim().await;
    leased.retain(|leased| leased.notification == closed);
    world.finish(&leased[0], Next::Retry(keeper.now())).await;
    assert_eq!(world.states(closed).await, [DeliveryState::Pending]);
}

pub(crate) async fn a_skipped_delivery_goes_out_when_a_person_says_so(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (pending, _) = world.store("N1", vec![before_payment(EventKind::PaymentPending, "P1")]).await;
    let (_, paid) = world.store("N2", vec![payment("P1", 1000)]).await;
    let skipped = world.inbox().deliveries_of(pending).await.unwrap().remove(0);
    assert_eq!(world.replay(ReplayWhat::Delivery(skipped.id)).await, 1);
    // A further success of the order, and an attempt that fails, do not take it back.
    world.store("N3", vec![payment("P2", 1000)]).await;
    let mut leased = world.claim().await;
    leased.retain(|leased| leased.notification == pending);
    world.finish(&leased[0], Next::Retry(keeper.now())).await;
    let mut leased = world.claim().await;
    leased.retain(|leased| leased.notification == pending);
    world.finish(&leased[0], Next::Delivered).await;
    let delivered = world.inbox().delivery(skipped.id).await.unwrap();
    assert_eq!((delivered.state, delivered.superseded_by), (DeliveryState::Delivered, Some(paid[0].id)));
}

pub(crate) async fn success_refunds_and_disputes_are_never_skipped(keeper: &dyn Keeper) {
    let world = World(keeper);
    let mut open = Vec::new();
    for kind in EventKind::ALL.iter().filter(|kind| !STALE.contains(kind)) {
        let after = kind.follows_payment().then(|| name("P1"));
        let fact = Fact { payment: after, ..fact(*kind, "P1", Amount::Stated(cny(1000))) };
        open.push((kind, world.store(&format!("{kind}"), vec![fact]).await.0));
    }
    world.store("N1", vec![payment("P2", 1000)]).await;
    for (kind, notification) in open {
        let state = world.states(notification).await;
        assert!(matches!(state[..], [DeliveryState::Pending | DeliveryState::Waiting]), "{kind}: {state:?}");
    }
    // A raw delivery that tells more than the pending state still has that to tell.
    let facts = vec![before_payment(EventKind::PaymentPending, "P3"), fact(EventKind::Other, "O1", Amount::None)];
    let (both, _) = world.store_to("N2", facts, &[raw_target("shop")]).await;
    world.store("N3", vec![payment("P3", 1000)]).await;
    assert_eq!(world.states(both).await, [DeliveryState::Pending]);
}

pub(crate) async fn a_released_success_speaks_like_any_other(keeper: &dyn Keeper) {
    let world = World(keeper);
    for (end, late, closed) in [
        (HoldEnd::Release, DeliveryState::Skipped, DeliveryState::Held),
        (HoldEnd::Discard, DeliveryState::Pending, DeliveryState::Pending),
    ] {
        let order = format!("{end:?}");
        let number = |name: &str| format!("{name} {end:?}");
        let paid = vec![of_order(&order, payment(&number("P"), 1000))];
        let mut held = letter(keeper.now(), &number("N1"), paid, &[event_target("shop")]);
        held.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
        let id = keeper.store(held).await.unwrap().notification();
        let what = HoldWhat::Notification(id);
        let mut settled = world.inbox().settled(&[world.inbox().deliveries_of(id).await.unwrap()[0].id]);
        let ended = EndHold { what, end, by: "test".to_owned(), why: None, at: keeper.now() };
        keeper.inbox().end_hold(ended).await.unwrap();
        if end == HoldEnd::Discard {
            assert_eq!(settled.next().await.state, DeliveryState::Discarded, "who waits is told");
        }
        let fact = of_order(&order, before_payment(EventKind::PaymentFailed, &number("other")));
        let (failed, _) = world.store(&number("N2"), vec![fact]).await;
        assert_eq!(world.states(failed).await, [late], "{end:?}");
        let fact = of_order(&order, before_payment(EventKind::PaymentClosed, &number("P")));
        let (close, _) = world.store(&number("N3"), vec![fact]).await;
        assert_eq!(world.states(close).await, [closed], "{end:?}");
    }
}
