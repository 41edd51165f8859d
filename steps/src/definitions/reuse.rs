//! Whether a revise uses the namespace of the run before as it is, deploys into it again, or takes another one
//!

use anyhow::Context;
use cucumber::{given, then, when};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        configuration::bind_again,
        outcome::{await_event, current_run},
        people::thread,
        setup::bind,
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};
use fixtures::stories;

const FAST_PATH: &str = "run.namespace.reuse_fast_path";
const FALLBACK: &str = "run.namespace.reuse_fallback_redeploy";
const FINGERPRINT: &str = "codex-k8s.dev/runtime-fingerprint-hash";

#[given(
    "a bound repository with a stack, whose agent changes nothing when it revises, with an open Issue"
)]
async fn stacked(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::stacked()).await?)
}

#[given("the namespace of the run has been deleted")]
async fn deleted(world: &mut GateWorld) -> Step {
    let name = namespace_before(world)?;
    let api: Api<Namespace> = Api::all(world.gate.kube.clone());
    api.delete(&name, &DeleteParams::default())
        .await
        .context("failed to delete the namespace")?;
    until("the end of the namespace", RUN_DEADLINE, async || {
        Ok(match api.get_opt(&name).await? {
            None => Reading::Reached(()),
            Some(_) => Reading::NotYet("there".to_owned()),
        })
    })
    .await?;
    Ok(())
}

#[when("the owner binds the repository again, with its other services.yaml")]
async fn other_services(world: &mut GateWorld) -> Step {
    Ok(bind_again(world, stories::OTHER_SERVICES).await?)
}

fn namespace_before(world: &GateWorld) -> anyhow::Result<String> {
    let before = world
        .previous_run
        .as_ref()
        .context("there is no run before")?;
    text(before, "namespace")
}

async fn fingerprint(world: &GateWorld, namespace: &str) -> anyhow::Result<String> {
    let api: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = api
        .get(namespace)
        .await
        .context("failed to read the namespace")?;
    Ok(found
        .metadata
        .annotations
        .unwrap_or_default()
        .get(FINGERPRINT)
        .cloned()
        .unwrap_or_else(|| "none".to_owned()))
}

/// Statuses of the deploy task of each run, `-` without one.
async fn tasks(world: &mut GateWorld, runs: &[&Value]) -> anyhow::Result<String> {
    let mut statuses = Vec::new();
    for run in runs {
        let rows = world
            .platform()
            .database
            .rows(
                "SELECT jsonb_build_object('status', status) FROM runtime_deploy_tasks WHERE run_id = $1::uuid",
                &[&text(run, "id")?],
            )
            .await?;
        statuses.push(
            rows.first()
                .and_then(|row| row["status"].as_str())
                .unwrap_or("-")
                .to_owned(),
        );
    }
    Ok(statuses.join(", "))
}

/// How often the Deployment of the stack was applied in a namespace.
async fn deployed(world: &GateWorld, namespace: &str) -> anyhow::Result<usize> {
    let writes = world
        .gate
        .audit
        .writes("patch", "deployments", "shop")
        .await?;
    Ok(writes
        .iter()
        .filter(|entry| entry["objectRef"]["namespace"] == namespace)
        .count())
}

async fn head(world: &GateWorld) -> anyhow::Result<String> {
    let place = world.place()?;
    let number = thread(world, "pull request")?;
    let pull_request = place.member.pull_request(&place.repository, number).await?;
    text(&pull_request["head"], "sha")
}

/// The event that tells of the reuse, awaited: it is written with the preparation of the namespace.
async fn told(world: &mut GateWorld, event: &str) -> anyhow::Result<Value> {
    Ok(await_event(world, event).await?["payload"].clone())
}

#[then(expr = "the stack was used as it was, {int} times deployed, because {string}")]
async fn used_as_it_was(
    world: &mut GateWorld,
    times: usize,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let payload = told(world, FAST_PATH).await?;
    let run = current_run(world).await?;
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let namespace = text(&run, "namespace")?;
    world.equal(
        &["R-50"],
        Postgres,
        "reason of run.namespace.reuse_fast_path",
        "flow_events by run id",
        reason,
        payload["reason"].as_str().unwrap_or("-"),
    )?;
    let head = head(world).await?;
    world.equal(
        &["R-50"],
        Github,
        "commit that is used: head of the pull request on GitHub, effective_build_ref of the event",
        "GET /repos/…/pulls/…; flow_events by run id",
        head,
        payload["effective_build_ref"].as_str().unwrap_or("-"),
    )?;
    let stored = fingerprint(world, &namespace).await?;
    world.equal(
        &["R-51", "R-50"],
        Kubernetes,
        "fingerprint of the namespace; that of the event",
        "GET namespace: runtime-fingerprint-hash; flow_events by run id",
        stored,
        payload["fingerprint_hash"].as_str().unwrap_or("-"),
    )?;
    let tasks = tasks(world, &[&before, &run]).await?;
    world.equal(
        &["R-50", "R-103"],
        Postgres,
        "deploy tasks of the run before and of the run",
        "runtime_deploy_tasks by run id",
        "succeeded, -",
        tasks,
    )?;
    let seen = deployed(world, &namespace).await?;
    world.equal(
        &["R-50", "R-110"],
        Kubernetes,
        &format!("times that the Deployment shop was applied in {namespace}"),
        "audit log: patch deployments, 2xx",
        times,
        seen,
    )?;
    Ok(())
}

#[then(
    expr = "the stack was deployed again, for the {int}. time in the namespace of the run before, because {string}"
)]
async fn deployed_again(
    world: &mut GateWorld,
    times: usize,
    reason: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let payload = told(world, FALLBACK).await?;
    let run = current_run(world).await?;
    let namespace = namespace_before(world)?;
    world.equal(
        &["R-52", "R-53"],
        Postgres,
        "reason and namespace of run.namespace.reuse_fallback_redeploy",
        "flow_events by run id",
        format!("{reason} {namespace}"),
        format!(
            "{} {}",
            payload["reason"].as_str().unwrap_or("-"),
            payload["namespace"].as_str().unwrap_or("-")
        ),
    )?;
    let tasks = tasks(world, &[&run]).await?;
    world.equal(
        &["R-53", "R-103"],
        Postgres,
        "deploy task of the run",
        "runtime_deploy_tasks by run id",
        "succeeded",
        tasks,
    )?;
    let seen = deployed(world, &namespace).await?;
    world.equal(
        &["R-53", "R-110"],
        Kubernetes,
        &format!("times that the Deployment shop was applied in {namespace}"),
        "audit log: patch deployments, 2xx",
        times,
        seen,
    )?;
    let stored = fingerprint(world, &namespace).await?;
    world.holds(
        &["R-51", "R-109"],
        Kubernetes,
        "fingerprint of the namespace",
        "GET namespace: runtime-fingerprint-hash",
        "a SHA-256",
        &stored,
        stored.len() == 64,
    )?;
    Ok(())
}

#[then(expr = "the run says that the namespace of the run before was refused because {string}")]
async fn refused(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let payload = told(world, FALLBACK).await?;
    let namespace = namespace_before(world)?;
    world.equal(
        &["R-52", "R-53"],
        Postgres,
        "reason and namespace of run.namespace.reuse_fallback_redeploy",
        "flow_events by run id",
        format!("{reason} {namespace}"),
        format!(
            "{} {}",
            payload["reason"].as_str().unwrap_or("-"),
            payload["namespace"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}

#[then("the namespace of the run before was made anew for the run")]
#[then("the run was deployed anew into the namespace of the run before")]
async fn made_anew(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let namespace = namespace_before(world)?;
    let made = world
        .gate
        .audit
        .writes("create", "namespaces", &namespace)
        .await?
        .len();
    world.equal(
        &["R-54", "L-66"],
        Kubernetes,
        "namespace of the Job; times that it was made",
        "agent_runs.job_namespace; audit log: create namespaces, 2xx",
        format!("{namespace}; 2"),
        format!("{}; {made}", text(&run, "job_namespace")?),
    )?;
    let tasks = tasks(world, &[&run]).await?;
    world.equal(
        &["R-54", "R-103", "L-66"],
        Postgres,
        "deploy task of the run",
        "runtime_deploy_tasks by run id",
        "succeeded",
        tasks,
    )?;
    let prepared = await_event(world, "run.namespace.prepared").await?;
    world.equal(
        &["R-54", "R-45"],
        Postgres,
        "namespace_reused of run.namespace.prepared",
        "flow_events by run id",
        false,
        &prepared["payload"]["namespace_reused"],
    )?;
    Ok(())
}
