//! Namespaces, Jobs and leases, read from the API server.

use anyhow::Context;
use cucumber::{given, then};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Namespace};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::{Value, json};

use crate::{
    definitions::outcome::{await_event, current_run},
    names::short,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

fn namespaces(world: &GateWorld) -> Api<Namespace> {
    Api::all(world.gate.kube.clone())
}

/// Values of environment variables of the Job's agent container.
pub async fn job_environment(
    world: &GateWorld,
    run: &Value,
    names: &[&str],
) -> anyhow::Result<Vec<String>> {
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &text(run, "job_namespace")?);
    let job = jobs
        .get(&text(run, "job_name")?)
        .await
        .context("failed to read the Job")?;
    let containers = job
        .spec
        .and_then(|spec| spec.template.spec)
        .map(|pod| pod.containers)
        .unwrap_or_default();
    let container = containers
        .iter()
        .find(|container| container.name == "run")
        .context("the Job has no container `run`")?;
    let variables = container.env.clone().unwrap_or_default();
    Ok(names
        .iter()
        .map(|name| {
            variables
                .iter()
                .find(|variable| variable.name == *name)
                .and_then(|variable| variable.value.clone())
                .unwrap_or_default()
        })
        .collect())
}

#[then("the run worked in a namespace of its own with exactly one Job")]
async fn own_namespace(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let (namespace, job) = (text(&run, "namespace")?, text(&run, "job_name")?);
    let made = world
        .gate
        .audit
        .writes("create", "namespaces", &namespace)
        .await?
        .len();
    world.equal(
        &["L-65", "R-32"],
        Kubernetes,
        &format!("creations of the namespace {namespace}"),
        "audit log: create namespaces, 2xx",
        1,
        made,
    )?;
    let jobs = world.gate.audit.writes("create", "jobs", &job).await?;
    let places: Vec<_> = jobs
        .iter()
        .map(|entry| {
            entry["objectRef"]["namespace"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        })
        .collect();
    world.equal(
        &["R-17", "R-18"],
        Kubernetes,
        &format!("creations of the Job {job}"),
        "audit log: create jobs, 2xx",
        &namespace,
        places.join(", "),
    )?;
    let event = await_event(world, "run.namespace.prepared").await?;
    world.equal(
        &["R-32", "R-45"],
        Postgres,
        "namespace of run.namespace.prepared",
        "flow_events",
        &namespace,
        event["payload"]["namespace"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then("the run worked in the namespace of the run before")]
async fn same_namespace(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let expected = text(&before, "namespace")?;
    let jobs = world
        .gate
        .audit
        .writes("create", "jobs", &text(&run, "job_name")?)
        .await?;
    let places: Vec<_> = jobs
        .iter()
        .map(|entry| {
            entry["objectRef"]["namespace"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        })
        .collect();
    world.equal(
        &["L-65", "R-33"],
        Kubernetes,
        "namespace of the new Job",
        "audit log: create jobs, 2xx",
        &expected,
        places.join(", "),
    )?;
    let made = world
        .gate
        .audit
        .writes("create", "namespaces", &expected)
        .await?
        .len();
    world.equal(
        &["L-65", "R-37"],
        Kubernetes,
        &format!("creations of the namespace {expected}"),
        "audit log: create namespaces, 2xx",
        1,
        made,
    )?;
    Ok(())
}

#[then("no namespace was made for the run, while a run without conflict gets one")]
async fn no_namespace(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    let id = text(&run, "id")?;
    // The positive control: a full-env run of the same repository on another Issue, whose labels do not conflict.
    let issue = place
        .member
        .open_issue(&place.repository, "A wish without conflict", "")
        .await?;
    place
        .member
        .add_labels(&place.repository, issue, &["run:dev"])
        .await?;
    let platform = world.platform();
    let api = namespaces(world);
    let selector = |run: &str| ListParams::default().labels(&format!("codex-k8s.dev/run-id={run}"));
    let control = until(
        "the namespace of the run without conflict",
        DECISION_DEADLINE,
        async || {
            let runs = platform
                .database
                .runs_of_issue(&place.repository, issue)
                .await?;
            let Some(control) = runs.first() else {
                return Ok(Reading::NotYet("no run".to_owned()));
            };
            let list = api.list(&selector(&text(control, "id")?)).await?;
            Ok(if list.items.is_empty() {
                Reading::NotYet(format!("run {}", control["status"]))
            } else {
                Reading::Reached(list.items.len())
            })
        },
    )
    .await?;
    let made = api
        .list(&selector(&id))
        .await
        .context("failed to list namespaces")?
        .items
        .len();
    world.equal(
        &["L-46", "L-60", "R-20"],
        Kubernetes,
        "namespaces by run id: of the run, of the run without conflict",
        "GET namespaces, label codex-k8s.dev/run-id",
        "0, 1",
        format!("{made}, {control}"),
    )?;
    // A namespace that was made and removed again would show here.
    let name = format!("r{}", short(&id));
    let audit = world
        .gate
        .audit
        .mentions("create", "namespaces", &name)
        .await?;
    world.equal(
        &["L-46", "R-20"],
        Kubernetes,
        &format!("creations of a namespace named …-{name}"),
        "audit log: create namespaces",
        0,
        audit,
    )?;
    Ok(())
}

#[then("the namespace is named after project, Issue and run")]
async fn named_after(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    let expected = format!(
        "codex-issue-{}-i{}-r{}",
        short(&place.project_id),
        place.issue,
        short(&text(&run, "id")?)
    );
    let found = namespaces(world)
        .get(&text(&run, "namespace")?)
        .await
        .context("failed to read the namespace")?;
    world.equal(
        &["L-8", "R-32"],
        Kubernetes,
        "name of the namespace",
        "GET namespace",
        expected,
        found.metadata.name.unwrap_or_default(),
    )?;
    Ok(())
}

#[then("the namespace carries the labels and annotations of the rules")]
async fn carries(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let place = world.place()?;
    let run = current_run(world).await?;
    let instance = world.platform().instance.clone();
    let found = namespaces(world)
        .get(&text(&run, "namespace")?)
        .await
        .context("failed to read the namespace")?;
    let labels = found.metadata.labels.unwrap_or_default();
    let expected = [
        ("managed-by", "codex-k8s-worker".to_owned()),
        ("namespace-purpose", "run".to_owned()),
        ("runtime-mode", "full-env".to_owned()),
        ("project-id", place.project_id.clone()),
        ("run-id", text(&run, "id")?),
        ("issue-number", place.issue.to_string()),
        ("agent-key", "dev".to_owned()),
        ("network-zone", "project".to_owned()),
        ("instance", instance),
    ];
    let line = |pairs: Vec<(String, String)>| {
        pairs
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let seen = expected
        .iter()
        .map(|(key, _)| {
            (
                (*key).to_owned(),
                labels
                    .get(&format!("codex-k8s.dev/{key}"))
                    .cloned()
                    .unwrap_or_else(|| "absent".to_owned()),
            )
        })
        .collect();
    world.equal(
        &["R-34", "R-187"],
        Kubernetes,
        "labels of the namespace",
        "GET namespace",
        line(
            expected
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        ),
        line(seen),
    )?;
    let annotations = found.metadata.annotations.unwrap_or_default();
    let annotation = |key: &str| {
        annotations
            .get(&format!("codex-k8s.dev/{key}"))
            .cloned()
            .unwrap_or_else(|| "absent".to_owned())
    };
    world.equal(
        &["R-35"],
        Kubernetes,
        "annotation correlation-id",
        "GET namespace",
        text(&run, "correlation_id")?,
        annotation("correlation-id"),
    )?;
    for key in ["namespace-lease-expires-at", "namespace-lease-updated-at"] {
        let value = annotation(key);
        world.holds(
            &["R-35"],
            Kubernetes,
            &format!("annotation {key}"),
            "GET namespace",
            "an RFC 3339 time",
            &value,
            chrono::DateTime::parse_from_rfc3339(&value).is_ok(),
        )?;
    }
    let ttl = annotation("namespace-lease-ttl");
    world.holds(
        &["R-35"],
        Kubernetes,
        "annotation namespace-lease-ttl",
        "GET namespace",
        "24h",
        &ttl,
        ttl == "24h",
    )?;
    Ok(())
}

#[then(expr = "its namespace is leased for {int} hours")]
async fn leased_for(world: &mut GateWorld, hours: i64, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let found = namespaces(world)
        .get(&text(&run, "namespace")?)
        .await
        .context("failed to read the namespace")?;
    let annotations = found.metadata.annotations.unwrap_or_default();
    let time = |key: &str| {
        annotations
            .get(&format!("codex-k8s.dev/{key}"))
            .and_then(|value| chrono::DateTime::parse_from_rfc3339(value).ok())
            .with_context(|| format!("no time in {key}"))
    };
    let lease = time("namespace-lease-expires-at")? - time("namespace-lease-updated-at")?;
    world.equal(
        &["R-44", "R-45", "R-48"],
        Kubernetes,
        "lease of the namespace in hours",
        "GET namespace: expires-at minus updated-at",
        hours,
        lease.num_seconds().div_euclid(60).div_euclid(60),
    )?;
    Ok(())
}

#[then(expr = "the event {string} says so")]
async fn says_so(world: &mut GateWorld, event: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let found = await_event(world, &event).await?;
    let payload = &found["payload"];
    world.equal(
        &["R-45"],
        Postgres,
        &format!("payload of {event}"),
        "flow_events",
        "24h, reused: false, expiry given: true",
        format!(
            "{}, reused: {}, expiry given: {}",
            payload["namespace_lease_ttl"].as_str().unwrap_or("-"),
            payload["namespace_reused"],
            payload["namespace_lease_expires_at"].is_string()
        ),
    )?;
    Ok(())
}

#[given("a Deployment is up in the namespace of the run")]
async fn a_deployment(world: &mut GateWorld) -> Step {
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let namespace = text(&run, "namespace")?;
    let deployments: Api<Deployment> = Api::namespaced(world.gate.kube.clone(), &namespace);
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "shop"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "shop", "image": "shop:dev", "command": ["sleep", "3600"]}],
                },
            },
        },
    }))
    .context("failed to write the Deployment")?;
    deployments
        .create(&PostParams::default(), &deployment)
        .await
        .context("failed to create the Deployment")?;
    until(
        "the Deployment to be available",
        DECISION_DEADLINE,
        async || {
            let found = deployments.get("shop").await?;
            let ready = found
                .status
                .and_then(|status| status.ready_replicas)
                .unwrap_or(0);
            Ok(if ready == 1 {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("{ready} replicas ready"))
            })
        },
    )
    .await?;
    Ok(())
}

/// Whether a namespace is gone or on its way: its finalisation takes the controller-manager seconds by design.
pub async fn is_deleted(world: &GateWorld, namespace: &str) -> anyhow::Result<bool> {
    let found = namespaces(world).get_opt(namespace).await?;
    Ok(found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
}

/// Waits until a namespace is deleted, and records it.
pub async fn observe_deletion(
    world: &mut GateWorld,
    rules: &[&str],
    namespace: &str,
) -> anyhow::Result<()> {
    let seen = until(
        "the deletion of the namespace",
        DECISION_DEADLINE,
        async || {
            Ok(if is_deleted(world, namespace).await? {
                Reading::Reached("deleted")
            } else {
                Reading::NotYet("there".to_owned())
            })
        },
    )
    .await
    .map_or_else(|error| format!("{error:#}"), str::to_owned);
    world.equal(
        rules,
        Kubernetes,
        &format!("namespace {namespace}"),
        "GET namespace",
        "deleted",
        seen,
    )
}

#[then(expr = "the namespace of the run is deleted because {string}")]
async fn is_cleaned(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let namespace = text(&run, "namespace")?;
    observe_deletion(world, &["R-57", "R-59"], &namespace).await?;
    world.set_run(run);
    let event = await_event(world, "run.namespace.cleaned").await?;
    world.equal(
        &["R-57"],
        Postgres,
        "reason of run.namespace.cleaned",
        "flow_events",
        reason,
        event["payload"]["reason"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}
