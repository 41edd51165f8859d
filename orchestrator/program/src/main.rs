//! The one program of the platform.
use std::sync::Arc;

use orchestrator::build_info::{self, Build};
use orchestrator::command_line;
use orchestrator::conduct::Product;

fn main() -> anyhow::Result<()> {
    build_info::install(Build {
        revision: env!("CODEXK8S_BUILD_REVISION"),
        dirty: env!("CODEXK8S_BUILD_DIRTY") == "true",
    });
    command_line::main(Arc::new(Product))
}
