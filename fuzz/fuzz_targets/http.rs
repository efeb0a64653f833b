//! HTTP answers of an application.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("http");
