//! A short run of the crash proof; `make crash` is the long one.

use std::path::PathBuf;

use tollbell_proof::crash::{Options, run};

/// Few enough for a test, and more than any release gets by hand.
const KILLS: u64 = 12;

#[test]
fn what_was_acked_outlives_kills_and_a_disturbed_shop() {
    let options = Options {
        program: PathBuf::from(env!("CARGO_BIN_EXE_tollbell")),
        kills: KILLS,
        seed: None,
        has_sweep: true,
        is_loud: true,
    };
    let verdict = run(&options, &mut std::io::stdout()).unwrap();
    assert!(verdict.holds(), "\n{verdict}");
    assert_eq!(verdict.kills, KILLS, "{verdict}");
    assert!(verdict.acks > 0 && verdict.confirmed > 0 && verdict.forged > 0 && verdict.cut > 0, "{verdict}");
}
