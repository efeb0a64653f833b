//! Random histories of a file against the model of an inbox.

use proptest::prelude::*;

use super::Temporary;
use crate::inbox::Admin as _;
use crate::inbox::conformance::histories::{live, step};
use crate::inbox::conformance::interleavings::{Choice, every_interleaving_agrees};

/// Histories that are tried, unless `TOLLBELL_HISTORIES` asks for more.
const HISTORIES: u32 = 64;
/// Steps of the longest history.
const STEPS: usize = 60;

/// Deliveries, steps, and how paths of them are chosen.
const INTERLEAVINGS: [(usize, usize, Choice); 4] =
    [(1, 8, Choice::All), (2, 5, Choice::All), (1, 16, Choice::EachStep), (2, 11, Choice::EachStep)];
/// Steps that those are, at least.
const STEPS_WALKED: usize = 50_000;
/// Tries to make a history that failed shorter.
const SHRINKS_MAX: u32 = 2000;

fn histories() -> u32 {
    std::env::var("TOLLBELL_HISTORIES").ok().and_then(|number| number.parse().ok()).unwrap_or(HISTORIES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: SHRINKS_MAX, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_a_model_of_the_rules(history in prop::collection::vec(step(), 1..STEPS)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { live(&mut Temporary::without_disk(), history).await });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interleaving_of_workers_agrees_with_the_rules() {
    let world = Temporary::without_disk();
    let mut walked = 0;
    for (deliveries, steps, choice) in INTERLEAVINGS {
        walked += every_interleaving_agrees(&world, deliveries, steps, choice).await;
    }
    assert!(walked > STEPS_WALKED, "{walked} steps were walked");
    world.inbox.close().await;
}
