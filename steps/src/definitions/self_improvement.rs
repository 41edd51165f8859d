//! What a self-improvement reads of the runs of its project (G-65, G-66).

use anyhow::Context;
use cucumber::{then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Orchestrator, Postgres};
use serde_json::{Value, json};

use crate::{
    agent_tools::AgentTools,
    definitions::{
        labels::set_label,
        outcome::{await_event, current_run},
    },
    place::bound_repository,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const LISTED: &str = "runs that a self-improvement saw";
const SESSIONS: &str = "sessions that a self-improvement saw";

/// A run of another project, whatever has become of it.
async fn foreign_run(world: &mut GateWorld) -> anyhow::Result<String> {
    let platform = world.platform();
    let other = bound_repository(&world.gate.clone(), &platform, stories::works()).await?;
    // What is done there is the scenario's, too.
    let (own, deliveries) = (world.place()?, world.deliveries.clone());
    world.set_place(other.clone());
    world.set_place(own);
    world.deliveries = deliveries;
    other
        .member
        .add_labels(&other.repository, other.issue, &["run:intake"])
        .await?;
    until(
        "the run of another project",
        DECISION_DEADLINE,
        async || {
            let runs = platform
                .database
                .runs_of_issue(&other.repository, other.issue)
                .await?;
            Ok(match runs.first() {
                Some(run) => Reading::Reached(text(run, "id")?),
                None => Reading::NotYet("no run".to_owned()),
            })
        },
    )
    .await
}

/// The runs of an answer by what they are to the scenario, with what it says of the page.
fn told(output: &Value, own: &str, before: &str) -> String {
    let items = output["items"].as_array().cloned().unwrap_or_default();
    let names: Vec<&str> = items
        .iter()
        .map(|item| match item["run_id"].as_str() {
            Some(id) if id == own => "own",
            Some(id) if id == before => "before",
            _ => "another",
        })
        .collect();
    let more = if output["has_next"] == true {
        " …"
    } else {
        ""
    };
    format!("{}{more} of {}", names.join(" "), output["limit"])
}

#[when("a self-improvement of another Issue reads the runs and sessions that it can")]
async fn reads(world: &mut GateWorld) -> Step {
    let before = text(
        world
            .previous_run
            .as_ref()
            .context("there is no run before")?,
        "id",
    )?;
    let pull_request = world
        .pull_request
        .context("the run before has no pull request")?;
    let foreign = foreign_run(world).await?;
    let mut place = world.place()?;
    place.issue = place
        .member
        .open_issue(&place.repository, "Learn from what was done", "")
        .await?;
    world.set_place(place);
    set_label(world, "run:self-improve").await?;
    await_event(world, "run.agent.ready").await?;
    let own = text(&current_run(world).await?, "id")?;
    let agent = AgentTools::of_run(world).await?;
    let mut listed = Vec::new();
    for (tool, arguments) in [
        ("self_improve_runs_list", json!({"limit": 500})),
        ("self_improve_runs_list", json!({"limit": 1})),
        ("self_improve_runs_list", json!({"limit": 1, "page": 2})),
        (
            "self_improve_run_lookup",
            json!({"pull_request_number": pull_request}),
        ),
    ] {
        listed.push(told(
            agent.call(tool, arguments).await?.output(),
            &own,
            &before,
        ));
    }
    let unnamed = agent.call("self_improve_run_lookup", json!({})).await?;
    listed.push(unnamed.summary());
    world
        .remembered
        .insert(LISTED.to_owned(), listed.join("; "));
    let tool = "self_improve_session_get";
    let read = agent.call(tool, json!({"run_id": before})).await?;
    let output = read.output();
    let is_json = output["codex_session_json"]
        .as_str()
        .is_some_and(|session| serde_json::from_str::<Value>(session).is_ok());
    let path = output["tmp_file_path"].as_str().unwrap_or("-");
    let mut sessions = vec![format!(
        "{} {} {}",
        read.summary(),
        path.replace(&before, "ID"),
        if is_json { "with JSON" } else { "without JSON" }
    )];
    for run in [foreign, uuid::Uuid::new_v4().to_string()] {
        sessions.push(agent.call(tool, json!({"run_id": run})).await?.summary());
    }
    world
        .remembered
        .insert(SESSIONS.to_owned(), sessions.join("; "));
    Ok(())
}

#[then("it was shown the runs of its own project, fifty at most, and the session of one of them")]
async fn shown(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let listed = world.remembered.get(LISTED).cloned().unwrap_or_default();
    world.equal(
        &["G-65"],
        Orchestrator,
        "runs of the list with limit 500, of its first and second page with one each, of the pull request, of nothing",
        "POST /mcp tools/call self_improve_runs_list, self_improve_run_lookup",
        "own before of 50; own … of 1; before of 1; before of 50; invalid_argument",
        listed,
    )?;
    let sessions = world.remembered.get(SESSIONS).cloned().unwrap_or_default();
    world.equal(
        &["G-66"],
        Orchestrator,
        "sessions of the run before, of a run of another project, of no run",
        "POST /mcp tools/call self_improve_session_get",
        "ok /tmp/codex-sessions/ID/codex-session.json with JSON; forbidden foreign_session; not_found session_not_found",
        sessions,
    )?;
    let id = text(&current_run(world).await?, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let ends = |name: &str| {
        events
            .iter()
            .filter(|event| {
                event["event_type"] == name
                    && event["payload"]["tool"]
                        .as_str()
                        .is_some_and(|tool| tool.starts_with("self_improve_"))
            })
            .count()
    };
    world.equal(
        &["G-25"],
        Postgres,
        "calls on record, those that succeeded, those that failed",
        "flow_events mcp.tool.* of the run",
        "8, 5, 3",
        format!(
            "{}, {}, {}",
            ends("mcp.tool.called"),
            ends("mcp.tool.succeeded"),
            ends("mcp.tool.failed")
        ),
    )?;
    Ok(())
}
