//! JSON with every value as it is written.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("json");
