//! The proofs as a program.
//!
//! Exit codes: 0 when everything held, 1 when a promise was broken, 2 when the proof itself could not run.

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tollbell_proof::power;

/// Shows from outside that the gateway keeps its promises.
#[derive(Debug, Parser)]
#[command(name = "proof", version)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The power goes: every reply waits for the disk, and what was answered is there afterwards.
    Power(power::Options),
}

fn main() -> ExitCode {
    let outcome = match &Cli::parse().command {
        What::Power(options) => power::run(options).map(|verdict| (verdict.to_string(), verdict.holds())),
    };
    let (text, code) = match outcome {
        Ok((text, true)) => (text, 0),
        Ok((text, false)) => (text, 1),
        Err(error) => (format!("the proof could not run: {error:#}\n"), 2),
    };
    // Who closed the pipe reads no verdict; the code says it too.
    let _closed = std::io::stdout().write_all(text.as_bytes());
    ExitCode::from(code)
}
