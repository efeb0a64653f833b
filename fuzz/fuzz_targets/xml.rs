//! Flat XML.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("xml");
