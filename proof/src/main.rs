//! The proofs as a program: `proof crash`.
//!
//! Exit codes: 0 when everything held, 1 when a promise was broken, 2 when the proof itself could not run.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Shows from outside that the gateway keeps its promises.
#[derive(Debug, Parser)]
#[command(name = "proof", version)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {}

fn main() -> ExitCode {
    match Cli::parse().command {}
}
