//! tollbell: a payment-notification gateway. The map is `ARCHITECTURE.md`.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

pub mod admin;
pub mod app;
#[cfg(test)]
mod cancelled;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod deliver;
pub mod descriptors;
pub mod egress;
pub mod inbox;
pub mod keys;
pub mod messages;
pub mod operate;
pub mod receive;
pub mod reload;
pub mod stop;
pub mod targets;
pub mod telemetry;

/// Every word that an attempt's reason may have; the catalogues hold a text for each.
pub fn reasons() -> Vec<&'static str> {
    let of_targets = targets::KINDS.iter().flat_map(|kind| kind.reasons);
    of_targets.chain(deliver::REASONS).chain(inbox::REASONS).copied().collect()
}
