//! Runs that wait for a person: what time does to them, and how they go on.

use anyhow::Context;
use cucumber::then;
use reports::evidence::ObservationSource::Postgres;

use crate::{
    definitions::{
        approvals::observe_pod,
        outcome::{await_event, current_run},
    },
    world::{GateWorld, Step, text},
};

///
const BUDGET_SECONDS: f64 = 18_000.0;
/// Between the claim, from which the budget counts, and its being written down.
const SLACK_SECONDS: f64 = 2.0;

#[then("its agent lives, and its timer shows the time that it had")]
async fn timer_stands(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    observe_pod(world, &["R-23"], &run).await?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT jsonb_build_object('left', extract(epoch FROM r.timeout_remaining), \
             'worked', extract(epoch FROM e.created_at - r.started_at), 'status', r.status, 'until', r.timeout_at) \
             FROM agent_runs r JOIN flow_events e ON e.run_id = r.id AND e.event_type = 'run.wait.paused' \
             WHERE r.id = $1::text::uuid",
            &[&text(&run, "id")?],
        )
        .await?;
    let row = rows.first().context("the run has no wait")?;
    let (left, worked) = (
        row["left"].as_f64().unwrap_or(0.0),
        row["worked"].as_f64().unwrap_or(0.0),
    );
    world.holds(
        &["R-22", "R-23"],
        Postgres,
        "status of the run, the end of its time, and seconds left beside those that it worked",
        "agent_runs, flow_events run.wait.paused",
        format!("waiting_mcp, null, together {BUDGET_SECONDS}"),
        format!(
            "{}, {}, {left:.1} and {worked:.1}",
            row["status"].as_str().unwrap_or("-"),
            row["until"]
        ),
        row["status"] == "waiting_mcp"
            && row["until"].is_null()
            && (left + worked - BUDGET_SECONDS).abs() < SLACK_SECONDS,
    )?;
    Ok(())
}

#[then(expr = "the run went on in the mode {string}")]
async fn went_on(world: &mut GateWorld, mode: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let resumed = await_event(world, "run.wait.resumed").await?;
    world.equal(
        &["R-23"],
        Postgres,
        "how the run went on",
        "flow_events run.wait.resumed of the run",
        mode,
        resumed["payload"]["resume_mode"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}
