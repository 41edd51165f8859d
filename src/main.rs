//! The command line of the gate. Thin: arguments in, one command out, an exit code.

use std::process::ExitCode;

/// Journals are read and searched as JSON, in many small strings.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gonogo::cli::main()
}
