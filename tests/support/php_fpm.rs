//! A PHP-FPM of one's own for a test; it lives with the proofs, which use it too.

#![allow(unused_imports, reason = "each test binary that includes this file uses its own part of it")]

pub(crate) use tollbell_proof::php_fpm::{Options, PhpFpm, send, wait_until};
