//! The one program of the platform.
use std::process::ExitCode;
use std::sync::Arc;

use orchestrator::build_info::{self, Build};
use orchestrator::command_line;
use orchestrator::conduct::Product;

/// Webhooks and watches are made of many small strings; with the C library's allocator they cost a third of the
/// processor time of this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub fn main() -> ExitCode {
    build_info::install(Build {
        revision: env!("CODEXK8S_BUILD_REVISION"),
        dirty: env!("CODEXK8S_BUILD_DIRTY") == "true",
    });
    match command_line::main(Arc::new(Product)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence with its causes; a backtrace would bury it.
            eprintln!("orchestrator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
