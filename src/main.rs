//! Arguments in, exit code out.

use std::io::{stderr, stdout};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    let args = std::env::args_os().collect();
    let code = runtime.block_on(tollbell::cli::run(args, &mut stdout(), &mut stderr()));
    // Whatever had to end has been waited for; what still hangs on a disk or in a read is not.
    runtime.shutdown_background();
    ExitCode::from(code)
}
