//! tollbell: a payment-notification gateway. The map is `ARCHITECTURE.md`.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod admin;
pub mod clock;
pub mod deliver;
pub mod inbox;
pub mod receive;
pub mod stop;
pub mod targets;
pub mod telemetry;
