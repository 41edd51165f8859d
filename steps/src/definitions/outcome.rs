//! How a run ends, and how many runs an Issue has.

use cucumber::then;
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    names::terminal_events,
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const TERMINAL: [&str; 3] = ["succeeded", "failed", "canceled"];

/// The run that the newest delivery made, read anew. Its correlation id is the delivery id (L-25).
pub async fn current_run(world: &mut GateWorld) -> anyhow::Result<Value> {
    let platform = world.platform();
    let run = if world.has_run() {
        let id = world.run_id()?;
        platform.database.run(&id).await?
    } else {
        let guid = world.delivery()?.guid;
        crate::delivery_play::let_go(world, &guid).await?;
        until("the run of the delivery", DECISION_DEADLINE, async || {
            if let Some(run) = platform.database.run_by_correlation(&guid).await? {
                return Ok(Reading::Reached(Some(run)));
            }
            let delivery = platform.database.delivery(&guid).await?.unwrap_or_default();
            // A reviewer-run has a correlation id of its own (L-88); its delivery knows it.
            if let Some(id) = delivery["run_id"].as_str() {
                return Ok(Reading::Reached(platform.database.run(id).await?));
            }
            Ok(Reading::NotYet(format!(
                "no run; delivery {} {}",
                delivery["status"], delivery["reason"]
            )))
        })
        .await?
    };
    let run = run.ok_or_else(|| anyhow::anyhow!("the run is gone"))?;
    world.set_run(run.clone());
    Ok(run)
}

/// Waits until the run at hand is terminal.
pub async fn await_end(world: &mut GateWorld) -> anyhow::Result<Value> {
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let run = end_of(world, &id).await?;
    world.set_run(run.clone());
    Ok(run)
}

/// Waits until a run is terminal.
pub async fn end_of(world: &mut GateWorld, id: &str) -> anyhow::Result<Value> {
    let platform = world.platform();
    until(&format!("the end of run {id}"), RUN_DEADLINE, async || {
        let mut run = platform
            .database
            .run_with_last_event(id)
            .await?
            .unwrap_or_default();
        let last_event = run["last_event"].take();
        let run = run["run"].take();
        if run["status"]
            .as_str()
            .is_some_and(|status| TERMINAL.contains(&status))
        {
            return Ok(Reading::Reached(run));
        }
        Ok(Reading::NotYet(format!(
            "status {}, queue reason {}, last event {last_event}",
            run["status"], run["queue_reason"]
        )))
    })
    .await
}

/// The run at hand, or the one that a step before left: the newest delivery may have started none.
pub async fn run_at_hand(world: &mut GateWorld) -> anyhow::Result<Value> {
    match world.previous_run.clone() {
        Some(run) if !world.has_run() => Ok(run),
        _ => current_run(world).await,
    }
}

/// Waits for an event of the run at hand.
pub async fn await_event(world: &mut GateWorld, event_type: &str) -> anyhow::Result<Value> {
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    until(
        &format!("the event {event_type}"),
        RUN_DEADLINE,
        async || {
            let events = platform.database.events_of_run(&id).await?;
            Ok(
                match events
                    .iter()
                    .find(|event| event["event_type"] == event_type)
                {
                    Some(event) => Reading::Reached(event.clone()),
                    None => {
                        let seen: Vec<_> = events
                            .iter()
                            .filter_map(|event| event["event_type"].as_str())
                            .collect();
                        Reading::NotYet(format!("events: {}", seen.join(", ")))
                    }
                },
            )
        },
    )
    .await
}

#[then("the run ends as succeeded")]
async fn ends_as_succeeded(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let seen = format!(
        "{} ({})",
        run["status"].as_str().unwrap_or("-"),
        run["finish_reason"].as_str().unwrap_or("no reason")
    );
    let detail = if run["status"] == "succeeded" {
        seen
    } else {
        format!("{seen}; {}", terminal_event(world, &run).await?)
    };
    world.holds(
        &["R-18", "L-48"],
        Postgres,
        "end of the run",
        "agent_runs.status, finish_reason",
        "succeeded (no reason)",
        &detail,
        detail == "succeeded (no reason)",
    )?;
    // The world's witness: the Pod of the Job ended with exit code 0.
    let job = text(&run, "job_name")?;
    let code = exit_code(world, &run).await?;
    world.equal(
        &["L-48", "R-18", "R-86"],
        Kubernetes,
        &format!("exit code of the Job {job}"),
        &format!("pods of Job {job}: containerStatuses[run].state.terminated.exitCode"),
        0,
        code,
    )?;
    Ok(())
}

#[then(expr = "the run ends as failed because {string}")]
async fn ends_as_failed(
    world: &mut GateWorld,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let run = await_end(world).await?;
    let seen = format!(
        "{} ({})",
        run["status"].as_str().unwrap_or("-"),
        run["finish_reason"].as_str().unwrap_or("no reason")
    );
    world.equal(
        &["L-46", "L-48", "R-18"],
        Postgres,
        "end of the run",
        "agent_runs.status, finish_reason",
        format!("failed ({reason})"),
        seen,
    )?;
    Ok(())
}

async fn terminal_event(world: &mut GateWorld, run: &Value) -> anyhow::Result<String> {
    let events = world
        .platform()
        .database
        .events_of_run(&text(run, "id")?)
        .await?;
    let event = events.iter().rev().find(|event| {
        event["event_type"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("run.failed"))
    });
    Ok(event
        .map(|event| format!("{} {}", event["event_type"], event["payload"]["error"]))
        .unwrap_or_default())
}

/// Exit code of the agent's container, read from the Pod; from the audit log's last status when the Pod is gone.
pub async fn exit_code(world: &mut GateWorld, run: &Value) -> anyhow::Result<String> {
    let namespace = text(run, "job_namespace")?;
    let pods: kube::Api<k8s_openapi::api::core::v1::Pod> =
        kube::Api::namespaced(world.gate.kube.clone(), &namespace);
    // Not by the Job's own label: discussions and repairs are Pods without a Job.
    let run_id = text(run, "id")?;
    let selector =
        kube::api::ListParams::default().labels(&format!("codex-k8s.dev/run-id={run_id}"));
    until(
        "the exit code of the agent's container",
        DECISION_DEADLINE,
        async || {
            let list = pods.list(&selector).await?;
            let code = list.items.iter().find_map(|pod| {
                let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
                let status = statuses.iter().find(|status| status.name == "run")?;
                Some(
                    status
                        .state
                        .as_ref()?
                        .terminated
                        .as_ref()?
                        .exit_code
                        .to_string(),
                )
            });
            Ok(code.map_or_else(
                || {
                    Reading::NotYet(format!(
                        "{} Pods of the Job, none terminated",
                        list.items.len()
                    ))
                },
                Reading::Reached,
            ))
        },
    )
    .await
}

#[then("the agent's container ended with exit code 42")]
async fn exit_code_is_42(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let code = exit_code(world, &run).await?;
    world.equal(
        &["L-47", "R-75", "R-86"],
        Kubernetes,
        "exit code of the agent's container",
        "pods: containerStatuses[run].state.terminated.exitCode",
        42,
        code,
    )?;
    Ok(())
}

#[then("the Issue has no run")]
async fn no_run(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let runs = world
        .platform()
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    world.equal(
        &["L-29"],
        Postgres,
        &format!("runs of {}#{}", place.repository, place.issue),
        "agent_runs by repository and Issue",
        0,
        runs.len(),
    )?;
    Ok(())
}

#[then("the pull request has no run")]
async fn no_run_of_pull_request(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let number = world
        .pull_request
        .ok_or_else(|| anyhow::anyhow!("the scenario has no pull request"))?;
    let runs = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r) FROM agent_runs r WHERE repository_full_name = $1 AND pr_number = $2::text::bigint",
            &[&place.repository, &number.to_string()],
        )
        .await?;
    world.equal(
        &["L-35", "L-57"],
        Postgres,
        &format!("runs of {}#{number}", place.repository),
        "agent_runs by repository and pull request",
        0,
        runs.len(),
    )?;
    Ok(())
}

#[then("the Issue has exactly one run")]
async fn one_run(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(runs_are(world, 1).await?)
}

#[then("the Issue has exactly two runs")]
async fn two_runs(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(runs_are(world, 2).await?)
}

/// Waits until the Issue has `count` runs, then shows by a fence that it does not get more.
async fn runs_are(world: &mut GateWorld, count: usize) -> anyhow::Result<()> {
    let place = world.place()?;
    let platform = world.platform();
    let reached = until("the runs of the Issue", DECISION_DEADLINE, async || {
        let runs = platform
            .database
            .runs_of_issue(&place.repository, place.issue)
            .await?;
        Ok(if runs.len() >= count {
            Reading::Reached(runs)
        } else {
            Reading::NotYet(format!("{} runs", runs.len()))
        })
    })
    .await;
    if reached.is_ok() {
        crate::definitions::requests::fence(world).await?;
    }
    let runs = platform
        .database
        .runs_of_issue(&place.repository, place.issue)
        .await?;
    if let Some(run) = runs.last() {
        world.set_run(run.clone());
    }
    world.equal(
        &["L-25", "R-1", "D-1"],
        Postgres,
        &format!("runs of {}#{}", place.repository, place.issue),
        "agent_runs by repository and Issue",
        count,
        runs.len(),
    )
}

#[then("the run comes to have exactly one Job")]
async fn comes_to_have_a_job(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let platform = world.platform().clone();
    let gate = world.gate.clone();
    let created = until("the Job of the run", RUN_DEADLINE, async || {
        let run = platform.database.run(&id).await?.unwrap_or_default();
        let Some(job) = run["job_name"].as_str() else {
            return Ok(Reading::NotYet("the run has no Job's name".to_owned()));
        };
        let created = gate.audit.writes("create", "jobs", job).await?.len();
        Ok(if created > 0 {
            Reading::Reached(created)
        } else {
            Reading::NotYet(format!("{job} was not created"))
        })
    })
    .await?;
    world.equal(
        &["R-14", "R-17", "R-25"],
        Kubernetes,
        &format!("creations of the Job of run {id}"),
        "audit log: create jobs, 2xx",
        1,
        created,
    )?;
    Ok(())
}

#[then("the run had exactly one Job")]
async fn had_one_job(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let job = text(&run, "job_name")?;
    let created = world.gate.audit.writes("create", "jobs", &job).await?;
    world.equal(
        &["R-14", "R-17", "R-25"],
        Kubernetes,
        &format!("creations of the Job {job}"),
        "audit log: create jobs, 2xx",
        1,
        created.len(),
    )?;
    Ok(())
}

#[then("the run was seen as pending, running and succeeded, in this order")]
async fn seen_states(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let order: Vec<_> = events
        .iter()
        .filter_map(|event| match event["event_type"].as_str() {
            Some("run.enqueued") => Some("pending"),
            Some("run.started") => Some("running"),
            Some("run.succeeded") => Some("succeeded"),
            _ => None,
        })
        .collect();
    world.equal(
        &["R-3", "R-18"],
        Postgres,
        "states of the run",
        "flow_events of the run in id order",
        "pending, running, succeeded",
        order.join(", "),
    )?;
    Ok(())
}

#[then("the run is still succeeded with one terminal event")]
async fn still_succeeded(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .ok_or_else(|| anyhow::anyhow!("there is no finished run"))?;
    let id = text(&run, "id")?;
    let platform = world.platform();
    let now = platform.database.run(&id).await?.unwrap_or_default();
    world.equal(
        &["R-29", "D-17"],
        Postgres,
        "status of the run",
        "agent_runs.status",
        "succeeded",
        now["status"].as_str().unwrap_or("-"),
    )?;
    let events = platform.database.events_of_run(&id).await?;
    world.equal(
        &["R-29", "DF-5"],
        Postgres,
        "terminal events of the run",
        "flow_events of the run",
        "run.succeeded",
        terminal_events(&events).join(", "),
    )?;
    Ok(())
}
