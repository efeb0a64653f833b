//! FastCGI records.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("fastcgi");
