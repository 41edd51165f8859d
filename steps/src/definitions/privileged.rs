//! What calls of privileged tools have in common: somebody is asked, decides, and the run goes on.

use serde_json::Value;

use crate::{
    definitions::{
        agent_labels::call,
        approvals::{number, request},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::GateWorld,
};

/// Calls the tool, which must ask somebody.
pub(super) async fn ask(world: &mut GateWorld, tool: &str, arguments: Value) -> anyhow::Result<()> {
    let answer = call(world, tool, arguments).await?;
    anyhow::ensure!(
        answer.summary() == "approval_required",
        "nobody was asked: {}",
        answer.body
    );
    Ok(())
}

/// Waits until the newest request is over and its run works again.
pub(super) async fn await_settled(world: &mut GateWorld, state: &str) -> anyhow::Result<()> {
    let id = number(&request(world).await?).to_string();
    let platform = world.platform();
    until("the end of the request", RUN_DEADLINE, async || {
        let found = platform
            .database
            .rows(
                "SELECT to_jsonb(concat_ws(' ', q.approval_state, r.status)) FROM mcp_action_requests q
                 JOIN agent_runs r ON r.id = q.run_id WHERE q.id = $1::text::bigint",
                &[&id],
            )
            .await?;
        let seen = found.first().and_then(Value::as_str).unwrap_or("-").to_owned();
        Ok(if seen == format!("{state} running") {
            Reading::Reached(())
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
}
