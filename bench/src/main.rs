//! Measures tollbell beside what merchants run today: one run, side by side, as ratios.
//!
//! The client, the servers and the databases share this machine's processors, so only the relation of two
//! figures of one run means something. A run fails unless the rows stored equal the replies accepted.

mod bare;
mod bodies;
mod cpu;
mod environment;
mod filled;
mod http;
mod load;
mod references;
mod report;
mod scenarios;
mod servers;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures tollbell beside what merchants run today.
#[derive(Debug, Parser)]
struct Args {
    /// The program to measure.
    #[arg(long, default_value = "target/release/tollbell")]
    program: PathBuf,
    /// Where callbacks are kept between runs, servers get their data, and the figures are written.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Only these scenarios.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Of `accept`, only these numbers of connections.
    #[arg(long, value_delimiter = ',')]
    connections: Vec<usize>,
    /// Callbacks of one measurement.
    #[arg(long, default_value_t = 60_000)]
    requests: usize,
    /// How often each measurement is repeated, in alternation with what it is compared with. Default 3.
    #[arg(long)]
    rounds: Option<usize>,
    /// One round each, and the large inbox left out: for a first look.
    #[arg(long)]
    quick: bool,
    /// Notifications of the large inbox; 0 leaves it out. Default 5,000,000.
    #[arg(long)]
    stored: Option<usize>,
    /// Fail when a figure that is due is missed.
    #[arg(long)]
    strict: bool,
    /// Serve as the bare reference: verify and answer, store nothing. Used by the run itself.
    #[arg(long, hide = true)]
    serve_bare: Option<SocketAddr>,
    /// The public key of the bare reference, in PEM.
    #[arg(long, hide = true)]
    public_key: Option<PathBuf>,
}

impl Args {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    fn stored(&self) -> usize {
        self.stored.unwrap_or(if self.quick { 0 } else { 5_000_000 })
    }
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    let done = match args.serve_bare {
        Some(address) => {
            // As in the gateway's own `main`.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime
                .map_err(Into::into)
                .and_then(|runtime| runtime.block_on(bare::serve(address, args.public_key.as_deref())))
        }
        None => measure(&mut args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &mut Args) -> anyhow::Result<()> {
    // Servers run in folders of their own and are told whole paths.
    std::fs::create_dir_all(&args.folder)?;
    args.folder = args.folder.canonicalize()?;
    args.program = args.program.canonicalize()?;
    let missed = scenarios::run(args)?;
    anyhow::ensure!(!args.strict || missed == 0, "{missed} figures that are due were missed");
    Ok(())
}
