//! A node that is drained: the agent's Pod is evicted, and another one goes on.

use anyhow::Context;
use cucumber::{then, when};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{EvictParams, ListParams},
};
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::outcome::{await_event, current_run, run_at_hand},
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Key under which a scenario keeps the Pod that was evicted.
const EVICTED: &str = "evicted pod";

/// The Pods of the run at hand, and how they are listed.
pub(super) async fn pods(world: &mut GateWorld) -> anyhow::Result<(Api<Pod>, ListParams)> {
    let run = run_at_hand(world).await?;
    let pods = Api::namespaced(world.gate.kube.clone(), &text(&run, "job_namespace")?);
    let of_run = format!("codex-k8s.dev/run-id={}", text(&run, "id")?);
    Ok((pods, ListParams::default().labels(&of_run)))
}

#[when("the agent has begun to wait")]
async fn agent_waits(world: &mut GateWorld) -> Step {
    current_run(world).await?;
    await_event(world, "run.agent.status_reported").await?;
    Ok(())
}

#[when("the Pod of the run is evicted")]
async fn evicted(world: &mut GateWorld) -> Step {
    let (pods, of_run) = pods(world).await?;
    let pod = pods.list(&of_run).await.context("failed to list Pods")?;
    let name = pod.items.first().context("the run has no Pod")?.name_any();
    pods.evict(&name, &EvictParams::default())
        .await
        .context("failed to evict the Pod")?;
    world.remembered.insert(EVICTED.to_owned(), name);
    Ok(())
}

#[then("another Pod of the same Job goes on with the session of the first")]
async fn another_pod(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let first = world
        .remembered
        .get(EVICTED)
        .cloned()
        .context("no Pod was evicted")?;
    let (pods, of_run) = pods(world).await?;
    let other = until("another Pod of the run", RUN_DEADLINE, async || {
        let found = pods.list(&of_run).await?.items;
        let running = |pod: &&Pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            pod.name_any() != first && phase == Some("Running")
        };
        Ok(match found.iter().find(running) {
            Some(pod) => Reading::Reached(pod.clone()),
            None => Reading::NotYet(format!("{} Pods", found.len())),
        })
    })
    .await?;
    let run = run_at_hand(world).await?;
    let owners: Vec<String> = other
        .owner_references()
        .iter()
        .map(|owner| owner.name.clone())
        .collect();
    world.equal(
        &["R-174"],
        Kubernetes,
        &format!("owner of the Pod beside {first}"),
        "GET /api/v1/namespaces/…/pods by run id",
        text(&run, "job_name")?,
        owners.join(", "),
    )?;
    await_event(world, "run.agent.session.restored").await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let snapshot = |event_type: &str| {
        let event = events
            .iter()
            .find(|event| event["event_type"] == event_type);
        let payload = event.map(|event| &event["payload"]);
        let part = |name: &str| payload.map_or(Value::Null, |payload| payload[name].clone());
        format!("{} {}", part("snapshot_version"), part("snapshot_checksum"))
    };
    world.equal(
        &["R-88", "R-93"],
        Postgres,
        "version and checksum of what the first Pod saved and the other one restored",
        "flow_events run.agent.session.saved and .restored of the run",
        snapshot("run.agent.session.saved"),
        snapshot("run.agent.session.restored"),
    )?;
    Ok(())
}
