//! A short run of the power-loss proof, and that it fails where it has to; `make power` is the long one.

use std::path::PathBuf;

use tollbell_proof::power::damage::{Damage, damaged};
use tollbell_proof::power::{Options, Run};
use tollbell_proof::random::fresh_seed;

/// Every cut meets every kind of moment once.
const POINTS: usize = 70;
/// Enough for several checkpoints, and for the log to begin anew in the middle of the work.
const ORDERS: usize = 200;

#[test]
fn what_was_answered_is_on_the_disk() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tollbell"));
    let mut options = Options { program, seed: fresh_seed(), points: POINTS, orders: ORDERS };
    let run = Run::record(&options).unwrap();
    let verdict = run.judge(&options).unwrap();
    assert!(verdict.holds(), "seed {}: {verdict}", options.seed);
    assert!(verdict.replies >= ORDERS && verdict.deliveries >= ORDERS * 9 / 10, "{verdict}");
    assert!(verdict.restarts >= 3, "the log never began anew under load: {verdict}");

    // The same run, as it would have been with a gateway that does it wrong.
    options.points = POINTS / 7;
    for (damage, words) in [
        (Damage::NoFileFlushes, &["early", "lost"][..]),
        (Damage::NoFolderFlushes, &["early", "lost"]),
        (Damage::Hasty, &["early"]),
    ] {
        let verdict = run.judge_recording(&damaged(&run.recording, damage), &options).unwrap();
        for word in words {
            assert!(verdict.breaches.iter().any(|breach| breach.word == *word), "{damage:?}: no `{word}`: {verdict}");
        }
    }
}
