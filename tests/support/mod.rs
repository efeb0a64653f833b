//! What integration tests share.

#![expect(clippy::mod_module_files, reason = "`tests/support.rs` would be a test program of its own")]

pub mod gateway;
pub mod php_fpm;
