//! Channels in shadow, and clocks that jump.

use super::*;
use crate::inbox::holds::{EndHold, HoldEnd, HoldWhat};
use crate::inbox::shadow::{ShadowNote, ShadowVerdict};

fn in_shadow(letter: Letter) -> Letter {
    Letter { is_shadow: true, ..letter }
}

pub(crate) async fn in_shadow_nothing_goes_out_until_it_is_told_again(keeper: &dyn Keeper) {
    let world = World(keeper);
    let told = |number: &str, facts| letter(keeper.now(), number, facts, &[event_target("shop")]);
    // Told again by the same notification, and by another one with the same fact.
    for (number, (payment_no, again)) in [("P1", "N1-P1"), ("P2", "N2-P2")].into_iter().enumerate() {
        let first = told(&format!("N1-{payment_no}"), vec![payment(payment_no, 1000)]);
        let id = keeper.store(in_shadow(first)).await.unwrap().notification();
        assert_eq!(world.states(id).await, [DeliveryState::Skipped], "{number}");
        // While the channel stays in shadow, a repetition changes nothing.
        keeper.store(in_shadow(told(&format!("N1-{payment_no}"), vec![payment(payment_no, 1000)]))).await.unwrap();
        assert_eq!(world.states(id).await, [DeliveryState::Skipped], "{number}");
        keeper.store(told(again, vec![payment(payment_no, 1000)])).await.unwrap();
        assert_eq!(world.states(id).await, [DeliveryState::Pending], "{number}");
    }
    let claimed = world.claim().await;
    assert_eq!(claimed.len(), 2);
    for leased in &claimed {
        world.finish(leased, Next::Delivered).await;
    }
    // Told a third time, it does not go out a second time.
    keeper.store(told("N1-P1", vec![payment("P1", 1000)])).await.unwrap();
    keeper.store(told("N3-P2", vec![payment("P2", 1000)])).await.unwrap();
    assert!(world.claim().await.is_empty());
    // A refund after the switch does not wait for a payment that the old application has dealt with.
    let paid = told("N4", vec![payment("P4", 1000)]);
    keeper.store(in_shadow(paid)).await.unwrap();
    let refunded = told("N5", vec![refund("R4", "P4", 500)]);
    let id = keeper.store(refunded).await.unwrap().notification();
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
    // What is held stays so when it is told again.
    let mut held = told("N6", vec![payment("P6", 1000)]);
    held.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
    let again = held.clone();
    let id = keeper.store(in_shadow(held)).await.unwrap().notification();
    keeper.store(again).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Held]);
}

pub(crate) async fn what_ended_in_shadow_stays_ended(keeper: &dyn Keeper) {
    let world = World(keeper);
    let told = |number: &str, facts| letter(keeper.now(), number, facts, &[event_target("shop")]);
    // A refund's message tells of its payment too. That is no repetition of the payment, which the old application
    // has dealt with, perhaps months ago.
    let paid = told("N1", vec![payment("P1", 1000)]);
    let id = keeper.store(in_shadow(paid)).await.unwrap().notification();
    let both = told("N2", vec![payment("P1", 1000), refund("R1", "P1", 10)]);
    let refunded = keeper.store(both).await.unwrap().notification();
    assert_eq!(world.states(id).await, [DeliveryState::Skipped]);
    assert_eq!(world.states(refunded).await, [DeliveryState::Pending]);
    // News that the payment has made old in the meantime.
    let pending = told("N3", vec![of_order("O3", before_payment(EventKind::PaymentPending, "P3"))]);
    let again = pending.clone();
    let id = keeper.store(in_shadow(pending)).await.unwrap().notification();
    keeper.store(in_shadow(told("N4", vec![of_order("O3", payment("P3", 1000))]))).await.unwrap();
    keeper.store(again).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Skipped]);
    // A hold that a person has ended by discarding it.
    let mut held = told("N5", vec![payment("P5", 1000)]);
    held.notification.concerns = vec![Concern::ForeignPayee { payee: "stranger".to_owned() }];
    let again = held.clone();
    let id = keeper.store(in_shadow(held)).await.unwrap().notification();
    let end = EndHold {
        what: HoldWhat::Notification(id),
        end: HoldEnd::Discard,
        by: "test".to_owned(),
        why: None,
        at: keeper.now(),
    };
    keeper.inbox().end_hold(end).await.unwrap();
    keeper.store(again).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Skipped]);
}

pub(crate) async fn notes_of_shadow_come_back_in_their_order(keeper: &dyn Keeper) {
    let note = |request: &str, verdict| ShadowNote {
        channel: "shop-pay".into(),
        request: request.to_owned(),
        at: keeper.now(),
        verdict,
        success: (request == "two").then(|| "RECEIVED_2".to_owned()),
    };
    let notes = [
        note("one", ShadowVerdict::Genuine(NotificationId::new())),
        note("two", ShadowVerdict::Refused("signature".to_owned())),
        note("one", ShadowVerdict::Refused("stale".to_owned())),
        note("three", ShadowVerdict::Hinted),
    ];
    for note in &notes {
        keeper.inbox().note_shadow(note.clone()).await.unwrap();
    }
    let other = ShadowNote { channel: "other".into(), ..notes[0].clone() };
    keeper.inbox().note_shadow(other).await.unwrap();
    assert_eq!(keeper.inbox().shadow_notes("shop-pay").await.unwrap(), notes);
    assert!(keeper.inbox().shadow_notes("nobody").await.unwrap().is_empty());
}

pub(crate) async fn a_lease_outlives_a_jump_of_the_clock(keeper: &dyn Keeper) {
    let world = World(keeper);
    world.store("N1", vec![payment("P1", 1000)]).await;
    let leased = world.claim().await.remove(0);
    let claim = |running| Claim {
        target: "shop".into(),
        max: 10,
        now: keeper.now(),
        lease: LEASE,
        longest_wait: LONGEST_WAIT,
        running,
    };
    keeper.advance(Duration::from_hours(24));
    let ours = vec![(leased.delivery, leased.token)];
    assert!(keeper.inbox().claim(claim(ours.clone())).await.unwrap().is_empty(), "its attempt still runs");
    // Another one's token renews nothing.
    keeper.advance(LEASE * 2);
    let taken = keeper.inbox().claim(claim(vec![(leased.delivery, LeaseToken::new())])).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(world.finish(&leased, Next::Delivered).await, Finished::LeaseLost);
    assert_eq!(world.finish(&taken[0], Next::Delivered).await, Finished::Done);
}
