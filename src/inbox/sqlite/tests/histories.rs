//! Random histories of a file against the model of an inbox.

use proptest::prelude::*;

use super::Temporary;
use crate::inbox::conformance::histories::{live, step};

/// Histories that are tried, unless `TOLLBELL_HISTORIES` asks for more.
const HISTORIES: u32 = 64;
/// Steps of the longest history.
const STEPS: usize = 60;

/// Tries to make a history that failed shorter.
const SHRINKS_MAX: u32 = 5000;

fn histories() -> u32 {
    std::env::var("TOLLBELL_HISTORIES").ok().and_then(|number| number.parse().ok()).unwrap_or(HISTORIES)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), max_shrink_iters: SHRINKS_MAX, ..ProptestConfig::default() })]

    #[test]
    fn random_histories_agree_with_a_model_of_the_rules(history in prop::collection::vec(step(), 1..STEPS)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { live(&mut Temporary::new(), history).await });
    }
}
