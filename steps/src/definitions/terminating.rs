//! Namespaces that are on their way out when a run wants them.

use anyhow::Context;
use cucumber::{then, when};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use reports::evidence::ObservationSource::Kubernetes;
use serde_json::json;

use crate::{
    definitions::outcome::{await_end, current_run},
    names::short,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Holds back the end of a namespace until the scenario has seen what it wants.
const HOLD: &str = "gonogo.dev/hold";
/// What bears it.
const HELD: &str = "held";

/// Deletes a namespace so that it does not end before it is let go.
pub async fn delete_and_hold(world: &GateWorld, namespace: &str) -> anyhow::Result<()> {
    let kube = world.gate.kube.clone();
    let held: Api<ConfigMap> = Api::namespaced(kube.clone(), namespace);
    let map = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": HELD, "finalizers": [HOLD]},
    }))
    .context("failed to write a ConfigMap")?;
    held.create(&PostParams::default(), &map)
        .await
        .context("failed to create a ConfigMap")?;
    let namespaces: Api<Namespace> = Api::all(kube);
    namespaces
        .delete(namespace, &DeleteParams::default())
        .await
        .context("failed to delete the namespace")?;
    until(
        "the end of the namespace's life",
        DECISION_DEADLINE,
        async || {
            let found = namespaces.get(namespace).await?;
            let phase = found.status.and_then(|status| status.phase);
            Ok(if phase.as_deref() == Some("Terminating") {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("{phase:?}"))
            })
        },
    )
    .await
}

/// Lets a held namespace end.
pub async fn let_go(world: &GateWorld, namespace: &str) -> anyhow::Result<()> {
    let held: Api<ConfigMap> = Api::namespaced(world.gate.kube.clone(), namespace);
    held.patch(
        HELD,
        &PatchParams::default(),
        &Patch::Merge(json!({"metadata": {"finalizers": []}})),
    )
    .await
    .map(drop)
    .context("failed to let the namespace go")
}

/// The name of R-32, which is known before the run has prepared anything.
async fn wanted_name(world: &mut GateWorld) -> anyhow::Result<String> {
    let run = current_run(world).await?;
    Ok(format!(
        "codex-issue-{}-i{}-r{}",
        short(&text(&run, "project_id")?),
        run["issue_number"],
        short(&text(&run, "id")?)
    ))
}

#[when("a namespace with the name that the run wants is being deleted and does not end")]
async fn wanted_is_terminating(world: &mut GateWorld) -> Step {
    let name = wanted_name(world).await?;
    let instance = world.platform().instance.clone();
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"codex-k8s.dev/instance": instance}},
    }))
    .context("failed to write the namespace")?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .context("failed to create the namespace")?;
    Ok(delete_and_hold(world, &name).await?)
}

#[then("the run tries again and again to prepare, and asks for nothing to be written there")]
async fn tries_again(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let name = wanted_name(world).await?;
    let audit = world.gate.audit.clone();
    let tried = until("a second attempt", DECISION_DEADLINE, async || {
        let tried = audit.by_platform_in(&name).await?;
        let refused = tried
            .iter()
            .filter(|write| write.as_str() == "create namespaces 409")
            .count();
        Ok(if refused > 1 {
            Reading::Reached(tried)
        } else {
            Reading::NotYet(tried.join(", "))
        })
    })
    .await?;
    let others: Vec<String> = tried
        .into_iter()
        .filter(|write| write != "create namespaces 409")
        .collect();
    world.equal(
        &["R-36"],
        Kubernetes,
        &format!("what the platform asked to be written of {name}, but for the namespace itself"),
        "audit log: writes of the platform's accounts, whatever the answer",
        "",
        others.join(", "),
    )?;
    let run = current_run(world).await?;
    world.equal(
        &["R-36", "R-26"],
        reports::evidence::ObservationSource::Postgres,
        "status of the run",
        "agent_runs by id",
        "running",
        run["status"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[when("that namespace has ended")]
async fn has_ended(world: &mut GateWorld) -> Step {
    let name = wanted_name(world).await?;
    Ok(let_go(world, &name).await?)
}

#[then("the run worked in a new namespace of that name, into which the platform wrote its objects")]
async fn worked_in_new(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let name = wanted_name(world).await?;
    let run = await_end(world).await?;
    let written = world.gate.audit.by_platform_in(&name).await?;
    let count = |what: &str| written.iter().filter(|write| *write == what).count();
    // The positive control: the same reading finds what is written.
    world.equal(
        &["R-36", "R-37"],
        Kubernetes,
        &format!("namespace of the run; namespaces {name}, Roles and Jobs that were made there"),
        "audit log: writes of the platform's accounts",
        format!("{name}; 1, 3, 1"),
        format!(
            "{}; {}, {}, {}",
            text(&run, "job_namespace")?,
            count("create namespaces 201"),
            count("create roles 201"),
            count("create jobs 201")
        ),
    )?;
    Ok(())
}
