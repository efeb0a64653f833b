//! tollbell: a payment-notification gateway. The map is `ARCHITECTURE.md`.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod inbox;
pub mod targets;
