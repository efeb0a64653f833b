//! Requests that somebody kept, and why they are refused.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("capture");
