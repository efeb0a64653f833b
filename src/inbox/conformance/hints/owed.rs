//! Which hints keep their channel: those that may well be genuine, and were not answered.

use std::time::Duration;

use tollbell_channels::channel::Hint;

use super::{GAP, Hinted, Keeper, PLATFORM, number};
use crate::inbox::hints::{Ground, HintClaimed, Learned, Noted};

pub(crate) async fn what_is_owed_is_neither_answered_nor_invented(keeper: &dyn Keeper) {
    let world = Hinted(keeper);
    let owed = async || keeper.inbox().hint_backlog().await.unwrap().iter().map(|row| row.owed).sum::<u64>();
    let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
    world.told("tr_1", PLATFORM).await;
    assert_eq!(owed().await, 1, "a new network may be the platform's");
    keeper.advance(second);
    let leased = world.claim().await;
    world.end(&leased, Learned::NoAnswer, Some(second)).await;
    assert_eq!(owed().await, 1);
    keeper.advance(second);
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, Some(hour)).await;
    assert_eq!((world.open().await, owed().await), (1, 0), "it was answered");
    // What it is since it was named again is not known.
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    assert_eq!(owed().await, 1);
    keeper.advance(GAP);
    let leased = world.claim().await;
    keeper.advance(second / 2);
    assert_eq!(world.told("tr_1", PLATFORM).await, Noted::Again);
    world.end(&leased, Learned::Nothing, Some(hour)).await;
    assert_eq!(owed().await, 1, "named while it was asked about");
    keeper.advance(hour);
    let leased = world.claim().await;
    world.end(&leased, Learned::Nothing, None).await;
    assert_eq!((world.open().await, owed().await), (0, 0));
    // Who invents numbers is owed nothing, nor is a message that does not prove itself.
    world.told("tr_x", "192.0.2.1").await;
    keeper.advance(second);
    let leased = world.claim().await;
    world.end(&leased, Learned::Unknown, Some(hour)).await;
    for text in ["tr_x", "tr_y", "tr_z"] {
        world.told(text, "192.0.2.1").await;
    }
    world.tell(Hint::from_doubtful(number("tr_d")), None).await;
    assert_eq!((world.open().await, owed().await), (4, 0));
    // What the platform does not know of a sender who was right before may be the credential's fault.
    world.told("tr_2", PLATFORM).await;
    keeper.advance(second);
    let HintClaimed::Leased(leased) = world.claim_on(&[Ground::Proven]).await else { panic!("it is due") };
    world.end(&leased, Learned::Unknown, Some(hour)).await;
    assert_eq!(owed().await, 1);
}
