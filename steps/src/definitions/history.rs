//! What is kept of a run, for how long, and how it is read.

use cucumber::then;
use reports::evidence::ObservationSource::{Orchestrator, Postgres};
use reqwest::Method;
use serde_json::Value;

use crate::{
    definitions::outcome::{await_event, current_run, run_at_hand},
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

async fn read(world: &mut GateWorld, what: &str) -> anyhow::Result<Value> {
    let id = text(&run_at_hand(world).await?, "id")?;
    let staff = world.platform().staff.clone();
    let path = format!("/staff/runs/{id}/{what}");
    let (status, body) = staff.call(Method::GET, &path, None).await?;
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {body}");
    Ok(body)
}

fn names(events: &Value) -> String {
    let names: Vec<&str> = events["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|event| event["event_type"].as_str())
        .collect();
    names.join(", ")
}

#[then("staff reads the agent's words in its log, and its events in their order")]
async fn reads_both(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let log = read(world, "logs").await?;
    let words = log["lines"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|line| line["stream"] == "agent")
        .count();
    world.holds(
        &["R-184"],
        Orchestrator,
        "source of the log, and lines of the agent in it",
        "GET /api/v1/staff/runs/{run_id}/logs",
        "chunks, some",
        format!("{}, {words}", log["source"].as_str().unwrap_or("-")),
        log["source"] == "chunks" && words > 0,
    )?;
    let events = names(&read(world, "events?order=asc&limit=200").await?);
    let place = |name: &str| events.find(name);
    let in_order = matches!(
        (place("run.started"), place("run.agent.started"), place("run.succeeded")),
        (Some(first), Some(second), Some(third)) if first < second && second < third
    );
    world.holds(
        &["R-184"],
        Orchestrator,
        "events of the run",
        "GET /api/v1/staff/runs/{run_id}/events",
        "run.started before run.agent.started before run.succeeded",
        &events,
        in_order,
    )?;
    world.remembered.insert("events".to_owned(), events);
    Ok(())
}

#[then("staff reads that the log expired a week after the run ended")]
async fn log_expired(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let id = text(&run, "id")?;
    let staff = world.platform().staff.clone();
    let seen = until("the end of the log", DECISION_DEADLINE, async || {
        let path = format!("/staff/runs/{id}/logs");
        let (_, log) = staff.call(Method::GET, &path, None).await?;
        let told = format!(
            "{} with {} lines since {}",
            log["source"].as_str().unwrap_or("-"),
            log["lines"].as_array().map_or(0, Vec::len),
            log["purged_at"].as_str().unwrap_or("-")
        );
        Ok(if log["source"] == "expired" {
            Reading::Reached(told)
        } else {
            Reading::NotYet(told)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    let ended = run["finished_at"].as_str().unwrap_or_default();
    let since = chrono::DateTime::parse_from_rfc3339(ended)
        .map(|end| end.to_utc() + chrono::TimeDelta::days(7))
        .map(|since| since.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
        .unwrap_or_default();
    world.equal(
        &["R-181", "R-184", "DA-21"],
        Orchestrator,
        "log of the run",
        "GET /api/v1/staff/runs/{run_id}/logs",
        format!("expired with 0 lines since {since}"),
        seen,
    )?;
    Ok(())
}

#[then("staff reads its events as before")]
async fn events_stay(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let before = world.remembered.get("events").cloned().unwrap_or_default();
    let events = names(&read(world, "events?order=asc&limit=200").await?);
    // The clean-up of its namespace may have added some since.
    let kept = !before.is_empty() && events.starts_with(&before);
    world.holds(
        &["R-181", "R-184"],
        Orchestrator,
        "events of the run",
        "GET /api/v1/staff/runs/{run_id}/events",
        before,
        events,
        kept,
    )?;
    Ok(())
}

#[then("the session of the run is emptied")]
async fn session_emptied(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&run_at_hand(world).await?, "id")?;
    let database = world.platform().database.clone();
    let seen = until("the retention of sessions", DECISION_DEADLINE, async || {
        let rows = database
            .rows(
                "SELECT jsonb_build_object('session', session_json, 'cli', agent_session_json, \
                 'version', snapshot_version, 'saved', snapshot_checksum IS NOT NULL) \
                 FROM agent_sessions WHERE run_id = $1::text::uuid",
                &[&id],
            )
            .await?;
        let seen = rows.first().cloned().unwrap_or_default().to_string();
        Ok(if seen.contains("\"cli\":null") {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.holds(
        &["R-181"],
        Postgres,
        "what is left of the session",
        "agent_sessions of the run",
        "that it was saved, and nothing of what was said",
        &seen,
        seen.contains("\"session\":{}") && seen.contains("\"saved\":true"),
    )?;
    Ok(())
}

#[then("the run began a session of its own")]
async fn own_session(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.agent.session.saved").await?;
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let count = |name: &str| {
        let found = events.iter().filter(|event| event["event_type"] == name);
        found.count()
    };
    world.holds(
        &["R-94"],
        Postgres,
        "restored and saved sessions of the run",
        "flow_events run.agent.session.restored and .saved of the run",
        "none, some",
        format!(
            "{}, {}",
            count("run.agent.session.restored"),
            count("run.agent.session.saved")
        ),
        count("run.agent.session.restored") == 0 && count("run.agent.session.saved") > 0,
    )?;
    Ok(())
}

#[then("the run waits for its owner without a Pod")]
async fn waits_without_pod(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let database = world.platform().database.clone();
    let run = until("the end of the agent", RUN_DEADLINE, async || {
        let run = database.run(&id).await?.unwrap_or_default();
        Ok(if run["parked_at"].is_string() {
            Reading::Reached(run)
        } else {
            Reading::NotYet(run["status"].to_string())
        })
    })
    .await?;
    world.equal(
        &["R-24"],
        Postgres,
        "status and reason of the run, and whether its agent has ended",
        "agent_runs",
        "waiting_owner_review, owner_review, true",
        format!(
            "{}, {}, {}",
            run["status"].as_str().unwrap_or("-"),
            run["wait_reason"].as_str().unwrap_or("-"),
            run["parked_at"].is_string()
        ),
    )?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let ends = events.iter().filter(|event| {
        let name = event["event_type"].as_str().unwrap_or_default();
        ["run.succeeded", "run.failed", "run.canceled"].contains(&name)
    });
    world.equal(
        &["R-24"],
        Postgres,
        "ends of the run on record",
        "flow_events of the run",
        0,
        ends.count(),
    )?;
    Ok(())
}
