//! Workers that the registry does not know: what stands for them is a Pod of their name.

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reports::evidence::ObservationSource::Postgres;
use serde_json::json;

use crate::{
    definitions::{
        labels::set_label,
        outcome::{await_event, current_run},
    },
    place::bound_repository,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

fn pods(world: &mut GateWorld) -> Api<Pod> {
    let namespace = world.platform().lane().platform_namespace.clone();
    Api::namespaced(world.gate.kube.clone(), &namespace)
}

fn owner(world: &GateWorld) -> anyhow::Result<String> {
    world
        .remembered
        .get("owner")
        .cloned()
        .context("no worker was chosen")
}

/// Workers of a lane are processes of this host; a Pod of their name is what they would be in a cluster.
#[given("a Pod with the name of the worker that owns the run")]
async fn pod_of_owner(world: &mut GateWorld) -> Step {
    let owner = text(&current_run(world).await?, "lease_owner")?;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": owner},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "worker", "image": "orchestrator:dev", "command": ["sleep", "3600"]}],
        },
    }))
    .context("failed to write the Pod")?;
    let pods = pods(world);
    pods.create(&PostParams::default(), &pod)
        .await
        .context("failed to create the Pod")?;
    until("the Pod to run", DECISION_DEADLINE, async || {
        let found = pods.get(&owner).await?;
        let phase = found.status.and_then(|status| status.phase);
        Ok(if phase.as_deref() == Some("Running") {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{phase:?}"))
        })
    })
    .await?;
    world.remembered.insert("owner".to_owned(), owner);
    Ok(())
}

#[when("that worker is killed and the registry loses it")]
async fn lost(world: &mut GateWorld) -> Step {
    let owner = owner(world)?;
    let platform = world.platform();
    platform.kill_worker(&owner).await?;
    platform.forget_worker(&owner).await?;
    let key = world.key.clone();
    world
        .gate
        .with_facts(&key, |facts| facts.restarts.push(owner));
    Ok(())
}

/// A pass looks for stale leases before it launches: a run that was launched since shows that one has looked.
#[then("its lease is left alone, while the other worker launches another run")]
async fn left_alone(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let owner = owner(world)?;
    let run = current_run(world).await?;
    let (place, deliveries) = (world.place()?, world.deliveries.clone());
    let platform = world.platform();
    let other = bound_repository(&world.gate.clone(), &platform, stories::works()).await?;
    world.take_run();
    world.set_place(other);
    set_label(world, "run:dev").await?;
    await_event(world, "run.started").await?;
    world.take_run();
    world.set_place(place);
    world.deliveries = deliveries;
    world.set_run(run);
    let run = current_run(world).await?;
    let events = platform.database.events_of_run(&text(&run, "id")?).await?;
    let told = events
        .iter()
        .filter_map(|event| event["event_type"].as_str())
        .filter(|kind| kind.starts_with("run.lease.") || kind.starts_with("worker.instance."))
        .count();
    world.equal(
        &["R-13"],
        Postgres,
        "owner of the run, events about its lease",
        "agent_runs.lease_owner, flow_events by run id",
        format!("{owner}, 0"),
        format!(
            "{}, {told}",
            run["lease_owner"].as_str().unwrap_or("nobody")
        ),
    )?;
    Ok(())
}

#[when("that Pod is gone")]
async fn pod_gone(world: &mut GateWorld) -> Step {
    let owner = owner(world)?;
    let pods = pods(world);
    pods.delete(&owner, &DeleteParams::default())
        .await
        .context("failed to delete the Pod")?;
    until("the end of the Pod", DECISION_DEADLINE, async || {
        Ok(if pods.get_opt(&owner).await?.is_none() {
            Reading::Reached(())
        } else {
            Reading::NotYet("there".to_owned())
        })
    })
    .await?;
    Ok(())
}

#[then(expr = "its lease was released because the worker was {string}")]
async fn released_because(
    world: &mut GateWorld,
    status: String,
    #[step] step: &gherkin::Step,
) -> Step {
    world.then(step);
    let event = await_event(world, "run.lease.released").await?;
    world.equal(
        &["R-13"],
        Postgres,
        "previous owner and worker_status of run.lease.released",
        "flow_events by run id",
        format!("{}, {status}", owner(world)?),
        format!(
            "{}, {}",
            event["payload"]["previous_lease_owner"]
                .as_str()
                .unwrap_or("-"),
            event["payload"]["worker_status"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}
