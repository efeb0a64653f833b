//! The proofs as a program: `proof crash`.
//!
//! Exit codes: 0 when everything held, 1 when a promise was broken, 2 when the proof itself could not run.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tollbell_proof::random::fresh_seed;
use tollbell_proof::{crash, mutants, power};

/// Shows from outside that the gateway keeps its promises.
#[derive(Debug, Parser)]
#[command(name = "proof", version)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Kills the gateway at any moment, disturbs all that is around it, and compares the books.
    Crash(CrashArgs),
    /// The power goes: every reply waits for the disk, and what was answered is there afterwards.
    Power(PowerArgs),
    /// Puts known faults into copies of the program; each has to be caught.
    Mutants(MutantsArgs),
}

#[derive(Debug, Args)]
struct CrashArgs {
    /// The program.
    #[arg(long, default_value = "target/debug/tollbell")]
    program: PathBuf,
    /// How often it is killed.
    #[arg(long, default_value_t = 300)]
    kills: u64,
    /// The seed of the first round; a fresh one by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Leaves out the connections that are cut at every byte.
    #[arg(long)]
    no_sweep: bool,
}

#[derive(Debug, Args)]
struct PowerArgs {
    /// The program.
    #[arg(long, default_value = "target/debug/tollbell")]
    program: PathBuf,
    /// What chance follows from; fresh by default.
    #[arg(long)]
    seed: Option<u64>,
    /// Moments at which the power goes.
    #[arg(long, default_value_t = 700)]
    points: usize,
    /// Orders that are paid.
    #[arg(long, default_value_t = 1200)]
    orders: usize,
}

#[derive(Debug, Args)]
struct MutantsArgs {
    /// The program as it is.
    #[arg(long, default_value = "target/debug/tollbell")]
    program: PathBuf,
    /// The tree that it was built from.
    #[arg(long, default_value = ".")]
    source: PathBuf,
    /// Where copies are made and built.
    #[arg(long, default_value = "target/mutants")]
    work: PathBuf,
    /// Only these; all by default.
    #[arg(long)]
    only: Vec<String>,
    /// The first seed; a fresh one by default.
    #[arg(long)]
    seed: Option<u64>,
}

/// A promise was broken.
const BROKEN: u8 = 1;
/// The proof itself could not run.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // A panic of the harness says nothing about the gateway.
    let done = std::panic::catch_unwind(|| match cli.command {
        What::Crash(args) => prove_crashes(args),
        What::Power(args) => prove_power(args),
        What::Mutants(args) => prove_mutants(args),
    });
    match done {
        Ok(Ok(true)) => ExitCode::SUCCESS,
        Ok(Ok(false)) => ExitCode::from(BROKEN),
        Ok(Err(error)) => {
            let _unheard = writeln!(std::io::stderr(), "the proof could not run: {error:#}");
            ExitCode::from(FAILED)
        }
        Err(_) => ExitCode::from(FAILED),
    }
}

fn prove_crashes(args: CrashArgs) -> anyhow::Result<bool> {
    let options = crash::Options {
        program: args.program,
        kills: args.kills,
        seed: args.seed,
        has_sweep: !args.no_sweep,
        is_loud: true,
    };
    let mut out = std::io::stdout();
    let verdict = crash::run(&options, &mut out)?;
    write!(out, "{verdict}")?;
    Ok(verdict.holds())
}

fn prove_power(args: PowerArgs) -> anyhow::Result<bool> {
    let PowerArgs { program, seed, points, orders } = args;
    let options = power::Options { program, seed: seed.unwrap_or_else(fresh_seed), points, orders };
    let verdict = power::run(&options)?;
    write!(std::io::stdout(), "seed {}: {verdict}", options.seed)?;
    Ok(verdict.holds())
}

fn prove_mutants(args: MutantsArgs) -> anyhow::Result<bool> {
    let MutantsArgs { program, source, work, only, seed } = args;
    let options = mutants::Options { source, program, work, only, seed };
    let mut out = std::io::stdout();
    let verdict = mutants::run(&options, &mut out)?;
    write!(out, "{verdict}")?;
    anyhow::ensure!(!verdict.is_spoiled(), "a mutant that does not fit, build or run says nothing: make it again");
    Ok(verdict.holds())
}
