//! Measures tollbell beside what merchants run today: one run, side by side, as ratios.
//!
//! The client, the servers and the databases share this machine's processors, so only the relation of two
//! figures of one run means something. A run fails unless the rows stored equal the replies accepted.

mod bare;
mod bodies;
mod cpu;
mod load;
mod report;
mod scenarios;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Arguments of a run.
#[derive(Debug, Parser)]
struct Args {
    /// The program to measure.
    #[arg(long, default_value = "target/release/tollbell")]
    program: PathBuf,
    /// Where signed callbacks are kept between runs, and where the raw figures go.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Only scenarios whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Callbacks of each measurement.
    #[arg(long, default_value_t = 60_000)]
    requests: usize,
    /// Serve as the bare reference: verify and answer, store nothing. Used by the run itself.
    #[arg(long, hide = true)]
    serve_bare: Option<std::net::SocketAddr>,
    /// The public key of the bare reference, SPKI in DER.
    #[arg(long, hide = true)]
    public_key: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let done = runtime.block_on(async {
        match args.serve_bare {
            Some(address) => bare::serve(address, args.public_key.as_deref()).await,
            None => scenarios::run(&args).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error);
            ExitCode::FAILURE
        }
    }
}
