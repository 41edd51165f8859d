//! The command line of the gate. Thin: arguments in, one command out, an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    gonogo::cli::main()
}
