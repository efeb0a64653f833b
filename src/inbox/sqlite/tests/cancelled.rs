//! Calls that are cancelled at each of their awaits: what was asked for is done as a whole or not at all, and nothing
//! that the call held is lost.

use super::*;
use crate::cancelled::{at_every_await, polled};
use crate::inbox::conformance::{LEASE, LONGEST_WAIT, finish};
use crate::inbox::{Admin as _, Claim, Finished, Next, Search as _, Work as _};

/// More calls that go away than the inbox has places for readers.
const ROUNDS: usize = 12;

fn claim(world: &Temporary) -> Claim {
    let now = world.now();
    Claim { target: "shop".into(), max: 4, now, lease: LEASE, longest_wait: LONGEST_WAIT, running: Vec::new() }
}

/// A number that was not used before.
fn fresh() -> String {
    format!("N{}", NotificationId::new())
}

/// Whoever goes away: what was before it in the queue is done.
async fn settled(world: &Temporary) {
    assert!(world.inbox.answers().await);
}

#[tokio::test]
async fn a_store_that_nobody_waits_for_is_whole_or_nothing() {
    let world = &Temporary::new();
    let awaits = at_every_await(|polls, way| async move {
        let number = fresh();
        let told = letter(world.now(), &number, vec![payment(&number, 1000)], &[event_target("shop")]);
        let stored = polled(world.inbox.store_parts(parts(told)), polls, way).await;
        let is_done = stored.is_some();
        settled(world).await;
        // It was in the queue, so that it is stored: the repetition finds it, with one event and one delivery.
        let again = letter(world.now(), &number, vec![payment(&number, 1000)], &[event_target("shop")]);
        let again = world.inbox.store_parts(parts(again)).await.unwrap();
        let Stored::Repeated { first, repeats: 1, .. } = again else { panic!("{again:?}") };
        assert_eq!(world.inbox.deliveries_of(first).await.unwrap().len(), 1);
        is_done
    })
    .await;
    assert!(awaits >= 1, "{awaits} awaits");
    world.inbox.close().await;
}

#[tokio::test]
async fn a_claim_that_nobody_waits_for_comes_back_with_its_lease() {
    let world = &Temporary::new();
    let mut awaits = 0;
    for _ in 0..ROUNDS {
        awaits = awaits.max(
            at_every_await(|polls, way| async move {
                let number = fresh();
                world.inbox.store_parts(parts(world.letter(&number))).await.unwrap();
                let taken = polled(world.inbox.claim(claim(world)), polls, way).await;
                let is_done = taken.is_some();
                settled(world).await;
                world.advance(LEASE);
                // Its lease has run out, if it took one: now there is one holder, who ends it, once.
                let mut taken = world.inbox.claim(claim(world)).await.unwrap();
                assert_eq!(taken.len(), 1, "after {polls} polls");
                let leased = taken.remove(0);
                let ended = finish(&leased, Next::Delivered, world.now());
                assert_eq!(world.inbox.finish(ended.clone()).await.unwrap(), Finished::Done);
                assert_eq!(world.inbox.finish(ended).await.unwrap(), Finished::LeaseLost);
                let attempts = world.inbox.attempts_of(leased.delivery).await.unwrap();
                let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
                assert_eq!(numbers, (1..=leased.attempt).collect::<Vec<_>>());
                is_done
            })
            .await,
        );
    }
    assert!(awaits >= 1, "{awaits} awaits");
    world.inbox.close().await;
}

#[tokio::test]
async fn a_finish_that_nobody_waits_for_counts_once() {
    let world = &Temporary::new();
    let awaits = at_every_await(|polls, way| async move {
        let number = fresh();
        world.inbox.store_parts(parts(world.letter(&number))).await.unwrap();
        let leased = world.inbox.claim(claim(world)).await.unwrap().remove(0);
        let ended = finish(&leased, Next::Delivered, world.now());
        let is_done = polled(world.inbox.finish(ended.clone()), polls, way).await.is_some();
        settled(world).await;
        assert_eq!(world.inbox.finish(ended).await.unwrap(), Finished::LeaseLost, "it was written");
        assert_eq!(world.inbox.attempts_of(leased.delivery).await.unwrap().len(), 1);
        is_done
    })
    .await;
    assert!(awaits >= 1, "{awaits} awaits");
    world.inbox.close().await;
}

#[tokio::test]
async fn reads_that_nobody_waits_for_give_their_places_back() {
    let world = &Temporary::new();
    let id = world.inbox.store_parts(parts(world.letter("N1"))).await.unwrap().notification();
    for _ in 0..ROUNDS {
        let awaits = at_every_await(|polls, way| async move {
            // Kept back for a moment, so that there is something to wait for.
            let readers = world.inbox.shared.readers.clone();
            readers.hold(true);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                readers.hold(false);
            });
            polled(world.inbox.notification(id), polls, way).await.is_some_and(|found| found.unwrap().id == id)
        })
        .await;
        assert!(awaits >= 1, "{awaits} awaits");
    }
    let slots = || world.inbox.shared.readers.free();
    let since = Instant::now();
    while slots() < readers::READERS_MAX {
        assert!(since.elapsed() < PATIENCE, "{} places are free", slots());
        tokio::task::yield_now().await;
    }
    world.inbox.close().await;
}
