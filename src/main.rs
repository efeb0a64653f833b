//! Arguments in, exit code out.

use std::io::{stderr, stdout};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Threads that serve: one processor is left to the inbox's writer, which is busy whenever they are. On two processors
/// a second one would take turns with the writer, and costs a sixth of the callbacks.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.saturating_sub(1).max(1)
}

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let args = std::env::args_os().collect();
    let code = runtime.block_on(tollbell::cli::run(args, &mut stdout(), &mut stderr()));
    // Whatever had to end has been waited for; what still hangs on a disk or in a read is not.
    runtime.shutdown_background();
    ExitCode::from(code)
}
