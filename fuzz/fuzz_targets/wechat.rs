//! WeChat Pay notifications.
#![cfg_attr(fuzzing, no_main)]

tollbell_fuzz::program!("wechat");
