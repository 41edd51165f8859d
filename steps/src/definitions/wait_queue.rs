//! The queue of runs that wait, as staff reads it (R-183, DA-6, DA-7).

use anyhow::Context;
use cucumber::then;
use reports::evidence::ObservationSource::Orchestrator;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{
    definitions::outcome::current_run,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const ROUTE: &str = "/staff/runs/waits";

async fn queue(world: &mut GateWorld, filter: &str) -> anyhow::Result<(StatusCode, Vec<Value>)> {
    let path = format!("{ROUTE}?page_size=1000{filter}");
    let staff = world.platform().staff.clone();
    let (status, answer) = staff.call(Method::GET, &path, None).await?;
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    Ok((status, items))
}

fn shown(items: &[Value], run_id: &str) -> String {
    let Some(run) = items.iter().find(|run| run["id"] == run_id) else {
        return "not there".to_owned();
    };
    let word = |key: &str| run[key].as_str().unwrap_or("-").to_owned();
    match run["status"] == "pending" {
        true => format!("pending {}", word("queue_reason")),
        false => format!(
            "{} {}, target: {}, since: {}",
            word("status"),
            word("wait_reason"),
            if run["wait_target"]["ref"].is_string() {
                "named"
            } else {
                "none"
            },
            if run["wait_since"].is_string() {
                "told"
            } else {
                "untold"
            }
        ),
    }
}

#[then(expr = "the queue holds the run before because of {string} and the run because of {string}")]
async fn holds_both(
    world: &mut GateWorld,
    before: String,
    now: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run_id = text(&current_run(world).await?, "id")?;
    let previous = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let previous_id = text(&previous, "id")?;
    let expected =
        format!("waiting_backpressure {before}, target: named, since: told; pending {now}");
    let seen = until("both runs in the queue", DECISION_DEADLINE, async || {
        let (_, items) = queue(world, "").await?;
        let now = format!(
            "{}; {}",
            shown(&items, &previous_id),
            shown(&items, &run_id)
        );
        Ok(if now == expected {
            Reading::Reached(now)
        } else {
            Reading::NotYet(now)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["R-183", "DA-7"],
        Orchestrator,
        "the run before and the run in the queue",
        &format!("GET /api/v1{ROUTE}"),
        expected,
        seen,
    )?;
    Ok(())
}

#[then("both spellings of a wait state find the same runs, and an unknown one is refused")]
async fn spellings(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let previous = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let previous_id = text(&previous, "id")?;
    let mut seen = Vec::new();
    for state in [
        "backpressure",
        "waiting_backpressure",
        "mcp",
        "waiting_mcp",
        "x",
    ] {
        let (status, items) = queue(world, &format!("&wait_state={state}")).await?;
        let found = items.iter().any(|run| run["id"] == previous_id.as_str());
        seen.push(format!(
            "{state} {}: {found}, {} in all",
            status.as_u16(),
            items.len()
        ));
    }
    world.equal(
        &["DA-6"],
        Orchestrator,
        "filters, answers, whether the run before is found",
        &format!("GET /api/v1{ROUTE}?wait_state=…"),
        "backpressure 200: true, 1 in all; waiting_backpressure 200: true, 1 in all; mcp 200: false, 0 in all; \
         waiting_mcp 200: false, 0 in all; x 400: false, 0 in all",
        seen.join("; "),
    )?;
    Ok(())
}
