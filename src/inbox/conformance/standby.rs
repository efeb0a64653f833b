//! Claims that stand by, leases that are given back, and results that are written together.

use super::*;

/// A claim of `max` deliveries that stands by where nothing is due.
async fn stand_by(world: &World<'_>, max: usize) -> Claimed {
    let claim = Claim {
        target: "shop".into(),
        max,
        now: world.0.now(),
        lease: LEASE,
        longest_wait: LONGEST_WAIT,
        running: Vec::new(),
    };
    world.inbox().claim_or_stand_by(claim).await.unwrap()
}

pub(crate) async fn a_claim_that_stands_by_gets_what_a_commit_makes_due(keeper: &dyn Keeper) {
    let world = World(keeper);
    let mut standing = stand_by(&world, 5).await.stand_by.expect("nothing is due");
    let (other, _) = world.store_to("N0", vec![payment("P0", 1000)], &[event_target("ledger")]).await;
    assert_eq!(world.states(other).await, [DeliveryState::Pending], "another target's is not touched");
    let (id, _) = world.store("N1", vec![payment("P1", 1000), refund("R1", "P1", 10)]).await;
    let leased = standing.granted().await.unwrap().unwrap();
    assert_eq!(leased.len(), 1, "the refund waits");
    assert_eq!((leased[0].attempt, leased[0].notification), (1, id));
    assert!(leased[0].request.is_some());
    assert_eq!(world.states(id).await, [DeliveryState::Leased, DeliveryState::Waiting]);
    // What a confirmation releases is due in the same commit too.
    let mut standing = stand_by(&world, 5).await.stand_by.expect("nothing is due");
    world.finish(&leased[0], Next::Delivered).await;
    let refund = standing.granted().await.unwrap().unwrap();
    assert_eq!(refund[0].events[0].kind, EventKind::RefundSucceeded);
    assert_eq!(world.finish(&refund[0], Next::Delivered).await, Finished::Done);
}

pub(crate) async fn a_further_claim_ends_the_one_that_stands_by(keeper: &dyn Keeper) {
    let world = World(keeper);
    let first = stand_by(&world, 1).await.stand_by.expect("nothing is due");
    let mut second = stand_by(&world, 1).await.stand_by.expect("nothing is due");
    assert!(first.ended().is_none(), "it was given nothing");
    world.store("N1", vec![payment("P1", 1000)]).await;
    assert_eq!(second.granted().await.unwrap().unwrap().len(), 1);
    let third = stand_by(&world, 1).await.stand_by.expect("nothing is due");
    assert!(stand_by(&world, 0).await.stand_by.is_none(), "it asks for nothing, and ends the one before");
    assert!(third.ended().is_none());
    let (id, _) = world.store("N2", vec![payment("P2", 1000)]).await;
    assert_eq!(world.states(id).await, [DeliveryState::Pending], "nobody stands by");
    // What is due is claimed at once, up to what was asked for; what comes after has its time.
    world.store("N3", vec![payment("P3", 1000)]).await;
    let claimed = stand_by(&world, 1).await;
    assert_eq!((claimed.leases.len(), claimed.stand_by.is_none()), (1, true));
    let claimed = stand_by(&world, 5).await;
    assert_eq!((claimed.leases.len(), claimed.next_due), (1, Some(keeper.now() + LEASE)));
}

pub(crate) async fn a_lease_that_is_given_back_was_never_taken(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (id, _) = world.store("N1", vec![payment("P1", 1000)]).await;
    let leased = world.claim().await.remove(0);
    let stranger = (leased.delivery, LeaseToken::new());
    world.inbox().release(vec![stranger]).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Leased], "only its holder gives it back");
    world.inbox().release(vec![(leased.delivery, leased.token)]).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Pending]);
    assert_eq!(world.finish(&leased, Next::Delivered).await, Finished::LeaseLost);
    let again = world.claim().await.remove(0);
    assert_eq!((again.delivery, again.attempt, again.tries), (leased.delivery, 1, 1));
    assert_eq!(world.finish(&again, Next::Delivered).await, Finished::Done);
    world.inbox().release(vec![(again.delivery, again.token)]).await.unwrap();
    assert_eq!(world.states(id).await, [DeliveryState::Delivered], "what has ended stays so");
    assert_eq!(world.inbox().attempts_of(leased.delivery).await.unwrap().len(), 1);
}

pub(crate) async fn results_that_are_written_together_stand_each_for_itself(keeper: &dyn Keeper) {
    let world = World(keeper);
    let (one, _) = world.store("N1", vec![payment("P1", 1000)]).await;
    let (two, _) = world.store("N2", vec![payment("P2", 1000)]).await;
    let leased = world.claim().await;
    let lost = Finish { token: LeaseToken::new(), ..finish(&leased[0], Next::Dead, keeper.now()) };
    let results = [
        lost,
        finish(&leased[0], Next::Delivered, keeper.now()),
        finish(&leased[0], Next::Delivered, keeper.now()),
        finish(&leased[1], Next::Dead, keeper.now()),
    ];
    let finished = world.inbox().finish_all(Arc::from(results)).await.unwrap();
    let finished: Vec<_> = finished.into_iter().map(Result::unwrap).collect();
    assert_eq!(finished, [Finished::LeaseLost, Finished::Done, Finished::LeaseLost, Finished::Done]);
    assert_eq!(
        (world.states(one).await, world.states(two).await),
        (vec![DeliveryState::Delivered], vec![DeliveryState::Dead])
    );
}
