//! The real Codex CLI: one turn of `codex exec`, continued from the session that an earlier run left.
//!
//! It is told what to do by its prompt and reports by the schema of `report`; what it did is in the tree. Which model
//! works, and how hard it thinks, is in its configuration file, so that the labels of L-14 and L-15 reach each request.

mod events;
mod home;
mod process;
mod report;

pub(super) use home::restore;

use super::{AdapterError, Task, Work};
use home::{Home, State};
use process::Turn;

/// Asks once for what the last message should have been.
const REPAIR: &str = "Your last message is not the report that this run ends with. The work itself needs no change. \
     Answer with the report alone, as JSON by the given schema.";

/// Runs one turn of the CLI, and a second one when the first ends without a report.
pub(super) async fn run(task: &Task<'_>) -> Result<Work, AdapterError> {
    let home = Home::prepare(task)?;
    let before = task.previous.and_then(State::read).unwrap_or_default();
    let mut turn = Turn::run(task, &home, before.session_id.as_deref(), task.prompt).await?;
    let mut state = home.state_after(&before, &turn).await?;
    let report = match report::parse(turn.last_message.as_deref()) {
        Ok(report) => report,
        Err(reason) => {
            task.output
                .line("runner", &format!("{reason}; asking for it once"));
            turn = Turn::run(task, &home, state.session_id.as_deref(), REPAIR).await?;
            state = home.state_after(&state, &turn).await?;
            report::parse(turn.last_message.as_deref()).map_err(AdapterError::NoReport)?
        }
    };
    Ok(Work {
        report,
        session_id: state.session_id.clone(),
        usage: state.usage_since(&before),
        state: state.to_json(),
    })
}

/// What the CLI has written of its session so far, for a run that is told to end in the middle of a turn.
pub(super) fn interrupted(
    private: &std::path::Path,
    before: Option<&serde_json::Value>,
) -> Option<(String, serde_json::Value)> {
    home::newest_session(private, before.and_then(State::read).unwrap_or_default())
}
