//! Configuration files.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("custom");
