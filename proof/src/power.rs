//! The power goes.
mod dice;
pub mod disk;
pub mod record;
pub mod trace;
pub mod wal;
/// x
#[derive(Debug, clap::Args)]
pub struct Options {}
