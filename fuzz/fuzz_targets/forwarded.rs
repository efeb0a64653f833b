//! `X-Forwarded-For`.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("forwarded");
