//! Alipay notifications.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("alipay");
