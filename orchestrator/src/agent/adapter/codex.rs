//! The real Codex CLI.

use super::{AdapterError, Task, Work};

/// Runs one turn of the CLI.
pub(super) async fn run(_task: &Task<'_>) -> Result<Work, AdapterError> {
    Err(AdapterError::NotBuilt("codex"))
}
