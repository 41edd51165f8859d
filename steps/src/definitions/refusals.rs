//! A cluster that refuses the platform something: what an operator's admission policy does.

use std::time::Duration;

use anyhow::Context;
use cucumber::{given, then, when};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use reports::evidence::ObservationSource::Postgres;
use serde_json::{Value, json};

use crate::{
    definitions::outcome::{await_event, run_at_hand},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// The API server takes a policy in, or forgets it, some time after it was written.
const POLICY_DEADLINE: Duration = DECISION_DEADLINE;
const REFUSAL: &str = "refused by the gate";

fn policy_name(world: &mut GateWorld, operation: &str) -> String {
    let instance = world.platform().instance.clone();
    format!("gonogo-{}-{instance}", operation.to_lowercase())
}

/// Whether the cluster would do it now, by a dry run of the administrator.
async fn would_do(world: &mut GateWorld, operation: &str) -> anyhow::Result<bool> {
    let instance = world.platform().instance.clone();
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let outcome = if operation == "CREATE" {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "generateName": "gonogo-tried-", "labels": {"codex-k8s.dev/instance": instance},
        }}))
        .context("failed to write a namespace")?;
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        namespaces.create(&parameters, &namespace).await.map(drop)
    } else {
        let name = world.platform().lane().platform_namespace.clone();
        let parameters = DeleteParams {
            dry_run: true,
            ..DeleteParams::default()
        };
        namespaces.delete(&name, &parameters).await.map(drop)
    };
    match outcome {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.message.contains(REFUSAL) => Ok(false),
        Err(error) => Err(error).context("failed to try it"),
    }
}

async fn await_effect(world: &mut GateWorld, operation: &str, wanted: bool) -> anyhow::Result<()> {
    until("the effect of the policy", POLICY_DEADLINE, async || {
        Ok(if would_do(world, operation).await? == wanted {
            Reading::Reached(())
        } else {
            Reading::NotYet("not yet".to_owned())
        })
    })
    .await
}

async fn refuse(world: &mut GateWorld, operation: &str) -> anyhow::Result<()> {
    let name = policy_name(world, operation);
    let instance = world.platform().instance.clone();
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["namespaces"],
            }]},
            "validations": [{"expression": "false", "message": REFUSAL, "reason": "Forbidden"}],
        },
    }))
    .context("failed to write a policy")?;
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"codex-k8s.dev/instance": instance}}},
        },
    }))
    .context("failed to write a binding")?;
    let kube = world.gate.kube.clone();
    Api::all(kube.clone())
        .create(&PostParams::default(), &policy)
        .await
        .context("failed to create a policy")?;
    Api::all(kube)
        .create(&PostParams::default(), &binding)
        .await
        .context("failed to create a binding")?;
    await_effect(world, operation, false).await
}

async fn permit(world: &mut GateWorld, operation: &str) -> anyhow::Result<()> {
    let name = policy_name(world, operation);
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(world.gate.kube.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(world.gate.kube.clone());
    bindings
        .delete(&name, &DeleteParams::default())
        .await
        .context("failed to delete a binding")?;
    policies
        .delete(&name, &DeleteParams::default())
        .await
        .context("failed to delete a policy")?;
    await_effect(world, operation, true).await
}

#[given("a cluster that refuses the platform new namespaces")]
async fn refuses_to_create(world: &mut GateWorld) -> Step {
    Ok(refuse(world, "CREATE").await?)
}

#[when("the cluster permits the platform new namespaces")]
async fn permits_to_create(world: &mut GateWorld) -> Step {
    Ok(permit(world, "CREATE").await?)
}

#[given("a cluster that refuses the platform to delete namespaces")]
async fn refuses_to_delete(world: &mut GateWorld) -> Step {
    Ok(refuse(world, "DELETE").await?)
}

#[when("the cluster permits the platform to delete namespaces")]
async fn permits_to_delete(world: &mut GateWorld) -> Step {
    Ok(permit(world, "DELETE").await?)
}

#[then("the event of the end names the refusal, and the run had no Job")]
async fn names_refusal(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "run.failed.launch_error").await?;
    let error = event["payload"]["error"].as_str().unwrap_or("-").to_owned();
    world.holds(
        &["R-20"],
        Postgres,
        "error of run.failed.launch_error",
        "flow_events by run id",
        format!("names {REFUSAL:?}"),
        &error,
        error.contains(REFUSAL),
    )?;
    let run = run_at_hand(world).await?;
    let name = format!("codex-k8s-run-{}", text(&run, "id")?);
    let jobs = world.gate.audit.writes("create", "jobs", &name).await?;
    world.equal(
        &["R-20"],
        reports::evidence::ObservationSource::Kubernetes,
        &format!("creations of the Job {name}"),
        "audit log: create jobs, 2xx",
        0,
        jobs.len(),
    )?;
    Ok(())
}

#[then("the sweep tells that the deletion failed, and the namespace of the run is there")]
async fn deletion_failed(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let (id, namespace) = (text(&run, "id")?, text(&run, "namespace")?);
    let platform = world.platform();
    let told = until("the event of the failure", DECISION_DEADLINE, async || {
        let events = platform.database.events_of_run(&id).await?;
        let failed: Option<&Value> = events
            .iter()
            .find(|event| event["event_type"] == "run.namespace.cleanup_failed");
        Ok(match failed {
            Some(event) => Reading::Reached(event["payload"].clone()),
            None => Reading::NotYet("no such event".to_owned()),
        })
    })
    .await?;
    let error = told["error"].as_str().unwrap_or("-");
    world.equal(
        &["R-60"],
        Postgres,
        "reason of run.namespace.cleanup_failed, and whether its error names the refusal",
        "flow_events by run id",
        "delete_failed, true",
        format!(
            "{}, {}",
            told["reason"].as_str().unwrap_or("-"),
            error.contains(REFUSAL)
        ),
    )?;
    let deleted = crate::definitions::namespaces::is_deleted(world, &namespace).await?;
    world.equal(
        &["R-60"],
        reports::evidence::ObservationSource::Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace",
        "there",
        if deleted { "deleted" } else { "there" },
    )?;
    Ok(())
}
