//! What an answer that waits for a confirmation needs: which deliveries stand for some facts, and their ends.

use super::*;

async fn standing(world: &World<'_>, facts: &[Fact], target: &str) -> Vec<DeliveryState> {
    let found = world.inbox().standing(facts, target).await.unwrap();
    found.into_iter().map(|standing| standing.state).collect()
}

pub(crate) async fn deliveries_are_found_by_their_facts(keeper: &dyn Keeper) {
    let world = World(keeper);
    let targets = [raw_target("shop"), event_target("ledger")];
    let facts = vec![payment("P1", 1000), refund("R1", "P1", 10)];
    world.store_to("N1", facts.clone(), &targets).await;
    assert_eq!(standing(&world, &facts, "shop").await, [DeliveryState::Pending], "one raw delivery for both");
    assert_eq!(standing(&world, &facts, "ledger").await, [DeliveryState::Pending, DeliveryState::Waiting]);
    assert_eq!(standing(&world, &facts, "nowhere").await, []);
    assert_eq!(standing(&world, &[payment("P9", 1)], "shop").await, []);
    assert_eq!(standing(&world, &[before_payment(EventKind::PaymentClosed, "P1")], "shop").await, [], "another kind");
    // Another message of the same fact, under another name of it, finds the first one's delivery.
    let named = Fact { aliases: vec![name("alias")], ..payment("P1", 1000) };
    world.store_to("N2", vec![named], &targets).await;
    assert_eq!(standing(&world, &[payment("alias", 1000)], "shop").await, [DeliveryState::Pending]);
    let leased = world.claim().await.remove(0);
    assert_eq!(standing(&world, &facts, "shop").await, [DeliveryState::Leased]);
    world.finish(&leased, Next::Delivered).await;
    assert_eq!(standing(&world, &[payment("alias", 1000)], "shop").await, [DeliveryState::Delivered]);
}

pub(crate) async fn a_message_finds_what_it_repeats(keeper: &dyn Keeper) {
    let told = |number: &str, facts| letter(keeper.now(), number, facts, &[]);
    let first = told("N1", vec![payment("P1", 1000)]);
    let known = async |letter: &Letter| {
        let Notification { scope, .. } = &letter.notification;
        keeper.inbox().known(scope, &letter.notification.key()).await.unwrap()
    };
    assert_eq!(known(&first).await, None);
    let id = keeper.store(first.clone()).await.unwrap().notification();
    assert_eq!(known(&first).await, Some(id));
    assert_eq!(keeper.store(first.clone()).await.unwrap().notification(), id, "as intake sees it");
    let mut elsewhere = first;
    elsewhere.notification.scope.account.push('2');
    for other in [told("N2", vec![payment("P1", 1000)]), told("N1", vec![payment("P1", 1001)]), elsewhere] {
        assert_eq!(known(&other).await, None, "{other:?}");
    }
}

pub(crate) async fn ends_are_told_after_the_commit(keeper: &dyn Keeper) {
    let world = World(keeper);
    for (number, next, end) in
        [("P1", Next::Delivered, DeliveryState::Delivered), ("P2", Next::Dead, DeliveryState::Dead)]
    {
        let facts = vec![of_order(number, payment(number, 1000))];
        world.store(number, facts.clone()).await;
        let delivery = world.inbox().standing(&facts, "shop").await.unwrap()[0].delivery;
        let mut settled = world.inbox().settled(&[delivery]);
        let leased = world.claim().await.remove(0);
        world.finish(&leased, Next::Retry(keeper.now())).await;
        let leased = world.claim().await.remove(0);
        world.finish(&leased, next).await;
        // The retry was no end.
        assert_eq!(settled.next().await, Standing { delivery, state: end });
        assert_eq!(world.inbox().delivery(delivery).await.unwrap().state, end);
    }
    let pending = vec![of_order("P3", before_payment(EventKind::PaymentPending, "P3"))];
    world.store("N1", pending.clone()).await;
    let delivery = world.inbox().standing(&pending, "shop").await.unwrap()[0].delivery;
    let mut settled = world.inbox().settled(&[delivery]);
    world.store("N2", vec![of_order("P3", payment("P3", 1000))]).await;
    assert_eq!(settled.next().await, Standing { delivery, state: DeliveryState::Skipped });
}
