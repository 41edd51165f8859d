//! What a runner may say and hear, said with the token of its run.

use std::collections::BTreeSet;

use anyhow::Context;
use cucumber::{then, when};
use reports::evidence::ObservationSource::{Github, Kubernetes, Orchestrator, Postgres};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    definitions::{
        credentials::values_in,
        labels::await_labels_settled,
        outcome::{await_end, await_event, current_run, exit_code},
    },
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// The token that the agent of a run holds.
async fn token_of(world: &GateWorld, run: &Value) -> anyhow::Result<String> {
    let id = text(run, "id")?.replace('-', "");
    let name = format!(
        "codex-run-credentials-{}/CODEXK8S_MCP_BEARER_TOKEN",
        id.chars().take(12).collect::<String>()
    );
    let values = values_in(world, &text(run, "job_namespace")?).await?;
    values
        .into_iter()
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
        .with_context(|| format!("there is no Secret {name}"))
}

async fn call(
    world: &mut GateWorld,
    token: &str,
    method: Method,
    run_id: &str,
    route: &str,
    body: Option<&Value>,
) -> anyhow::Result<(StatusCode, Value)> {
    let platform = world.platform();
    let address = format!(
        "{}/internal/v1/runs/{run_id}/{route}",
        platform.lane().internal_url
    );
    let mut request = world.gate.http.request(method, address).bearer_auth(token);
    if let Some(body) = body {
        request = request.json(body);
    }
    let response = request.send().await.context("no answer to a runner")?;
    let status = response.status();
    let answer = response.json().await.unwrap_or(Value::Null);
    Ok((status, answer))
}

/// A snapshot with this content, told in words.
async fn save(
    world: &mut GateWorld,
    content: &str,
    expected_version: Option<i64>,
) -> anyhow::Result<String> {
    let run = current_run(world).await?;
    let token = token_of(world, &run).await?;
    let body = json!({
        "expected_version": expected_version, "status": "running", "session_json": {"content": content},
        "agent_session_json": {"adapter": "script", "runs": [content]},
    });
    let id = text(&run, "id")?;
    let (status, answer) = call(world, &token, Method::PUT, &id, "session", Some(&body)).await?;
    Ok(match status {
        StatusCode::OK => format!("200 version {}", answer["snapshot_version"]),
        _ => format!(
            "{} {} expected {} actual {}",
            status.as_u16(),
            answer["code"].as_str().unwrap_or("-"),
            answer["expected"],
            answer["actual"]
        ),
    })
}

async fn saves(world: &mut GateWorld, saves: &[(&str, Option<i64>)]) -> anyhow::Result<()> {
    await_event(world, "run.agent.ready").await?;
    let mut answers = Vec::new();
    for (content, expected) in saves {
        answers.push(save(world, content, *expected).await?);
    }
    let known = world.remembered.remove("saves");
    let all = known.into_iter().chain(answers).collect::<Vec<_>>();
    world.remembered.insert("saves".to_owned(), all.join("; "));
    Ok(())
}

#[when("its session is saved, saved again as it is, and saved with a change")]
async fn saved_thrice(world: &mut GateWorld) -> Step {
    Ok(saves(
        world,
        &[("first", None), ("first", Some(1)), ("second", Some(1))],
    )
    .await?)
}

#[when("a stale version saves something else, and then what is stored already")]
async fn saved_stale(world: &mut GateWorld) -> Step {
    Ok(saves(world, &[("third", Some(1)), ("second", Some(1))]).await?)
}

#[then(expr = "the answers are {string}")]
async fn answers_are(
    world: &mut GateWorld,
    expected: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let seen = world.remembered.get("saves").cloned().unwrap_or_default();
    world.equal(
        &["R-89", "R-90", "R-91", "D-9"],
        Orchestrator,
        "answers to the snapshots",
        "PUT /internal/v1/runs/{run_id}/session with the token of the run",
        expected,
        seen,
    )?;
    Ok(())
}

#[then(expr = "version {int} of the session is stored, saved {int} times")]
async fn stored_version(
    world: &mut GateWorld,
    version: i64,
    times: usize,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let database = world.platform().database.clone();
    let stored = database
        .rows(
            "SELECT to_jsonb(snapshot_version) FROM agent_sessions WHERE run_id = $1::text::uuid",
            &[&id],
        )
        .await?;
    let saved = database
        .events_of_run(&id)
        .await?
        .into_iter()
        .filter(|event| event["event_type"] == "run.agent.session.saved")
        .count();
    world.equal(
        &["R-89", "R-90", "R-91"],
        Postgres,
        "version of the snapshot, events of its saves",
        "agent_sessions.snapshot_version, flow_events run.agent.session.saved",
        format!("{version}, {times}"),
        format!("{}, {saved}", stored.first().cloned().unwrap_or_default()),
    )?;
    Ok(())
}

#[then("its agent saves over it after one look at what is stored")]
async fn agent_saves_over(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let database = world.platform().database.clone();
    let query = "SELECT to_jsonb(s) FROM agent_sessions s WHERE run_id = $1::text::uuid";
    let stored = until("a later version", DECISION_DEADLINE, async || {
        let rows = database.rows(query, &[&id]).await?;
        let version = rows
            .first()
            .and_then(|row| row["snapshot_version"].as_i64());
        Ok(match (version, rows.first()) {
            (Some(3..), Some(row)) if row["status"] == "succeeded" => Reading::Reached(row.clone()),
            _ => Reading::NotYet(format!("version {version:?}")),
        })
    })
    .await?;
    world.holds(
        &["R-91"],
        Postgres,
        "the session that the agent left",
        "agent_sessions by run id",
        "of this run",
        &stored["agent_session_json"],
        stored["agent_session_json"]["runs"]
            .as_array()
            .is_some_and(|runs| runs.contains(&json!(id))),
    )?;
    let code = exit_code(world, &run).await?;
    world.equal(
        &["R-91"],
        Kubernetes,
        "exit code of the agent's container",
        "pods of the run: containerStatuses[run].state.terminated.exitCode",
        0,
        code,
    )?;
    Ok(())
}

#[when(expr = "its agent tells twice of the same limit of {int} seconds")]
async fn tells_twice(world: &mut GateWorld, seconds: u64) -> Step {
    let run = current_run(world).await?;
    let token = token_of(world, &run).await?;
    let id = text(&run, "id")?;
    let body = json!({
        "signal_id": "one-signal",
        "answer": {
            "status": 403, "message": "You have exceeded a secondary rate limit.", "retry_after_seconds": seconds,
        },
    });
    let mut answers = Vec::new();
    for _ in 0..2 {
        let route = "github-limit";
        let (status, answer) = call(world, &token, Method::POST, &id, route, Some(&body)).await?;
        answers.push(format!(
            "{} {} {}",
            status.as_u16(),
            answer["outcome"].as_str().unwrap_or("-"),
            answer["wait_id"].as_str().unwrap_or("-")
        ));
    }
    world
        .remembered
        .insert("signals".to_owned(), answers.join("; "));
    Ok(())
}

#[then("the run has two waits, and shows the one that goes on last")]
async fn two_waits(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let database = world.platform().database.clone();
    let waits = database
        .rows(
            "SELECT to_jsonb(w) FROM github_rate_limit_waits w WHERE run_id = $1::text::uuid ORDER BY resume_not_before",
            &[&id],
        )
        .await?;
    let contours: Vec<&str> = waits
        .iter()
        .filter_map(|wait| wait["contour_kind"].as_str())
        .collect();
    let last = waits.last().cloned().unwrap_or_default();
    world.equal(
        &["R-171"],
        Postgres,
        "waits of the run by their next attempt, the run, and what it shows",
        "github_rate_limit_waits, agent_runs",
        "agent_bot_token, platform_pat; waiting_backpressure; the last one",
        format!(
            "{}; {}; {}",
            contours.join(", "),
            run["status"].as_str().unwrap_or("-"),
            if run["wait_target_ref"] == last["id"] && last["id"].is_string() {
                "the last one"
            } else {
                "another one"
            }
        ),
    )?;
    let agents = waits.first().cloned().unwrap_or_default();
    let one = format!("200 waiting {}", agents["id"].as_str().unwrap_or("-"));
    world.equal(
        &["R-171"],
        Orchestrator,
        "answers to the signal and its repetition",
        "POST /internal/v1/runs/{run_id}/github-limit",
        format!("{one}; {one}"),
        world
            .remembered
            .get("signals")
            .map_or("none", String::as_str),
    )?;
    let events = database.events_of_run(&id).await?;
    let told: Vec<String> = events
        .iter()
        .filter(|event| event["event_type"] == "run.wait.paused")
        .map(|event| {
            let payload = &event["payload"];
            let dominant = if payload["dominant_wait_id"] == last["id"] {
                "the last one"
            } else {
                "another one"
            };
            format!(
                "{} {} {dominant}",
                payload["contour_kind"].as_str().unwrap_or("-"),
                payload["open_wait_count"]
            )
        })
        .collect();
    world.equal(
        &["R-171"],
        Postgres,
        "run.wait.paused: contour, open waits, the dominant one",
        "flow_events by run id",
        "platform_pat 1 the last one, agent_bot_token 2 the last one",
        told.join(", "),
    )?;
    let place = world.place()?;
    let refused = world.gate.github.limited_requests(&place.repository);
    world.equal(
        &["R-167"],
        Github,
        "requests that met a limit",
        "journal of the stand-in",
        1,
        refused.len(),
    )?;
    Ok(())
}

#[when("the token of the run is used for another run, and that of the ended run for its own")]
async fn foreign_tokens(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let ended = world
        .previous_run
        .clone()
        .context("there is no ended run")?;
    let (id, ended_id) = (text(&run, "id")?, text(&ended, "id")?);
    let own = token_of(world, &run).await?;
    let old = world
        .remembered
        .get("token")
        .cloned()
        .context("the token of the ended run was not kept")?;
    let body = json!({
        "event_type": "run.agent.status_reported", "payload": {"status_text": "said by somebody else"},
    });
    let mut answers = Vec::new();
    for (token, of) in [
        (&own, &ended_id),
        (&old, &ended_id),
        (&old, &id),
        (&own, &id),
    ] {
        let (status, answer) = call(world, token, Method::POST, of, "events", Some(&body)).await?;
        answers.push(format!(
            "{} {}",
            status.as_u16(),
            answer["code"].as_str().unwrap_or("-")
        ));
    }
    world
        .remembered
        .insert("callbacks".to_owned(), answers.join(", "));
    Ok(())
}

#[when("the token of the run is kept, and staff cancels the run")]
async fn kept_and_canceled(world: &mut GateWorld) -> Step {
    await_event(world, "run.agent.ready").await?;
    let run = current_run(world).await?;
    let token = token_of(world, &run).await?;
    world.remembered.insert("token".to_owned(), token);
    let id = text(&run, "id")?;
    world.platform().staff.cancel(&id, false).await?;
    let ended = await_end(world).await?;
    await_labels_settled(world, &ended).await?;
    Ok(())
}

#[then("all but the callback of the run with its own token are refused and told of")]
async fn callbacks_refused(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let ended = world
        .previous_run
        .clone()
        .context("there is no ended run")?;
    world.equal(
        &["R-176", "G-8", "G-13"],
        Orchestrator,
        "own token for the ended run, its token for itself and for the other, own token for its own run",
        "POST /internal/v1/runs/{run_id}/events",
        "403 forbidden, 401 unauthorized, 401 unauthorized, 202 -",
        world
            .remembered
            .get("callbacks")
            .map_or("none", String::as_str),
    )?;
    let database = world.platform().database.clone();
    let mut seen = Vec::new();
    for run in [&ended, &run] {
        let events = database.events_of_run(&text(run, "id")?).await?;
        let said = events
            .iter()
            .filter(|event| event["payload"]["status_text"] == "said by somebody else")
            .count();
        // The agent of the ended run may have said something too while it was stopped.
        let rejected: BTreeSet<&str> = events
            .iter()
            .filter(|event| event["event_type"] == "mcp.auth.rejected")
            .filter_map(|event| event["payload"]["reason"].as_str())
            .collect();
        let rejected: Vec<&str> = rejected.into_iter().collect();
        seen.push(format!("{said} said, rejected: {}", rejected.join(", ")));
    }
    world.equal(
        &["R-176"],
        Postgres,
        "what the ended run and the run say and tell",
        "flow_events by run id",
        "0 said, rejected: run_not_active; 1 said, rejected: identity_mismatch",
        seen.join("; "),
    )?;
    Ok(())
}
