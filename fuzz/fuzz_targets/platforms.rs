//! Every registered platform.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("platforms");
