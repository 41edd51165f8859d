//! What a closed thread does to the namespaces of its runs.

use anyhow::Context;
use cucumber::then;
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        namespaces::{is_deleted, observe_deletion},
        outcome::{await_event, current_run},
        states::run_of_second,
    },
    world::{GateWorld, Step, text},
};

#[then("the namespace of the run is deleted with the thread")]
async fn deleted_with_thread(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    Ok(goes_with_thread(world, run).await?)
}

#[then("the namespace of this run is deleted with the thread")]
async fn own_deleted_with_thread(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    Ok(goes_with_thread(world, run).await?)
}

async fn goes_with_thread(world: &mut GateWorld, run: Value) -> anyhow::Result<()> {
    let namespace = text(&run, "namespace")?;
    observe_deletion(world, &["L-27", "R-67"], &namespace).await?;
    world.set_run(run);
    let event = await_event(world, "run.namespace.delete_by_system").await?;
    world.equal(
        &["L-27", "R-67"],
        Postgres,
        "namespace of run.namespace.delete_by_system",
        "flow_events",
        namespace,
        event["payload"]["namespace"].as_str().unwrap_or("-"),
    )
}

#[then(expr = "the namespace of the run stays because {string}")]
async fn stays(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "run.namespace.cleanup_skipped").await?;
    world.equal(
        &["L-27", "R-67"],
        Postgres,
        "reason of run.namespace.cleanup_skipped",
        "flow_events",
        reason,
        event["payload"]["reason"].as_str().unwrap_or("-"),
    )?;
    let run = current_run(world).await?;
    Ok(still_there(world, &run).await?)
}

#[then("the namespace of the second Issue's run stays as well")]
async fn second_stays(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (_, run) = run_of_second(world).await?;
    Ok(still_there(world, &run).await?)
}

async fn still_there(world: &mut GateWorld, run: &Value) -> anyhow::Result<()> {
    let namespace = text(run, "namespace")?;
    let deleted = is_deleted(world, &namespace).await?;
    world.equal(
        &["L-27", "R-67"],
        Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace",
        "there",
        if deleted { "deleted" } else { "there" },
    )
}
