//! How long a namespace is leased, by whose word, and what stands against its end.

use std::collections::BTreeMap;

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::{Value, json};

use crate::{
    definitions::{
        comments::{body, status_comments_of},
        labels::set_label,
        namespaces::{is_deleted, observe_deletion},
        outcome::{await_event, current_run, end_of},
        setup::{bind, configured, signal_file},
    },
    place::bound_repository,
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

const PREFIX: &str = "codex-k8s.dev/";
const EXPIRES_AT: &str = "codex-k8s.dev/namespace-lease-expires-at";
/// A moment that is over by any clock of the platform.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

#[given(expr = "a platform that leases a namespace of {string} for {int} hours")]
async fn platform_leases(world: &mut GateWorld, role: String, hours: u64) -> Step {
    let policy = format!("{role}={hours}h");
    configured(
        world,
        [("CODEXK8S_WORKER_RUN_NAMESPACE_TTL_BY_ROLE", policy.as_str())],
    )
    .await
}

#[given(
    expr = "a bound repository whose services.yaml leases a namespace of {string} for {int} hours, with an open Issue"
)]
async fn project_leases(world: &mut GateWorld, role: String, hours: u64) -> Step {
    let mut files = stories::works();
    let policy = format!(
        "apiVersion: codex-k8s.dev/v1alpha1\nkind: ServiceStack\nmetadata:\n  name: shop\nspec:\n  webhookRuntime:\n    namespaceTTLByRole:\n      {role}: {hours}h\n"
    );
    files.insert("services.yaml".to_owned(), policy);
    Ok(bind(world, files).await?)
}

#[then(
    "the namespace of the run and what was deployed in it are there, and its status comment names the end of the lease"
)]
async fn stack_is_there(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let (id, name) = (text(&run, "id")?, text(&run, "namespace")?);
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = namespaces
        .get(&name)
        .await
        .context("failed to read the namespace")?;
    let deployments: Api<Deployment> = Api::namespaced(world.gate.kube.clone(), &name);
    let ready = deployments
        .get("shop")
        .await
        .context("failed to read the Deployment")?
        .status
        .and_then(|status| status.ready_replicas)
        .unwrap_or(0);
    let going = found.metadata.deletion_timestamp.is_some();
    world.equal(
        &["R-48"],
        Kubernetes,
        &format!("namespace {name}; ready replicas of the Deployment in it"),
        "GET namespace, deployment",
        "there; 1",
        format!("{}; {ready}", if going { "going" } else { "there" }),
    )?;
    let expires_at = found
        .metadata
        .annotations
        .unwrap_or_default()
        .get(EXPIRES_AT)
        .cloned()
        .context("the namespace has no lease")?;
    let told = until("the end of the lease", DECISION_DEADLINE, async || {
        let comments = status_comments_of(world, &id).await?;
        Ok(
            if comments.iter().any(|one| body(one).contains(&expires_at)) {
                Reading::Reached("named")
            } else {
                Reading::NotYet(format!("{} status comments without it", comments.len()))
            },
        )
    })
    .await
    .map_or_else(|error| format!("{error:#}"), str::to_owned);
    world.equal(
        &["R-48"],
        Github,
        &format!("{expires_at} in the status comment of run {id}"),
        "GET /repos/…/issues/…/comments",
        "named",
        told,
    )?;
    Ok(())
}

async fn annotate(world: &GateWorld, namespace: &str, metadata: Value) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    namespaces
        .patch(
            namespace,
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": metadata})),
        )
        .await
        .map(drop)
        .context("failed to change the namespace")
}

async fn expire(world: &GateWorld, namespace: &str) -> anyhow::Result<()> {
    annotate(
        world,
        namespace,
        json!({"annotations": {EXPIRES_AT: LONG_AGO}}),
    )
    .await
}

/// By the hand of somebody with the rights for it.
#[when("somebody takes the lease off the namespace of the run")]
async fn without_lease(world: &mut GateWorld) -> Step {
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let none = json!({"annotations": {
        EXPIRES_AT: Value::Null,
        "codex-k8s.dev/namespace-lease-ttl": Value::Null,
        "codex-k8s.dev/namespace-lease-updated-at": Value::Null,
    }});
    Ok(annotate(world, &text(&run, "namespace")?, none).await?)
}

#[then(expr = "its lease was reckoned by {string}")]
async fn reckoned_by(world: &mut GateWorld, source: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let event = await_event(world, "run.namespace.cleaned").await?;
    world.equal(
        &["R-61"],
        Postgres,
        "lease_source of run.namespace.cleaned",
        "flow_events by run id",
        source,
        event["payload"]["lease_source"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

/// Runs of one repository each: three that have ended and one that works, by the names that the `Then`s use.
const WATCHED: [&str; 4] = ["ended", "nameless", "busy", "working"];

#[given("three finished runs and one that works")]
async fn four_runs(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    let mut runs = BTreeMap::new();
    for name in WATCHED {
        let files = if name == "working" {
            stories::waits_for(&signal)
        } else {
            stories::works()
        };
        let platform = world.platform();
        let place = bound_repository(&world.gate.clone(), &platform, files).await?;
        world.set_place(place);
        set_label(world, "run:dev").await?;
        let run = current_run(world).await?;
        runs.insert(name, text(&run, "id")?);
    }
    await_event(world, "run.agent.ready").await?;
    for (name, id) in runs {
        let run = if name == "working" {
            current_run(world).await?
        } else {
            end_of(world, &id).await?
        };
        world
            .remembered
            .insert(format!("namespace {name}"), text(&run, "namespace")?);
        world.remembered.insert(format!("run {name}"), id);
    }
    Ok(())
}

fn watched(world: &GateWorld, what: &str, name: &str) -> anyhow::Result<String> {
    world
        .remembered
        .get(&format!("{what} {name}"))
        .cloned()
        .with_context(|| format!("the scenario has no {name} run"))
}

#[when("the lease of all four is over, one has lost its run and one got a Job that works")]
async fn all_over(world: &mut GateWorld) -> Step {
    let nameless = watched(world, "namespace", "nameless")?;
    let label = format!("{PREFIX}run-id");
    annotate(world, &nameless, json!({"labels": {label: Value::Null}})).await?;
    let busy = watched(world, "namespace", "busy")?;
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": "migration"},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "migration", "image": "shop:dev", "command": ["sleep", "3600"]}],
        }}},
    }))
    .context("failed to write the Job")?;
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &busy);
    jobs.create(&PostParams::default(), &job)
        .await
        .context("failed to create the Job")?;
    for name in WATCHED {
        expire(world, &watched(world, "namespace", name)?).await?;
    }
    Ok(())
}

/// Reasons of the clean-ups of a namespace that were skipped, without repetition.
async fn skipped(world: &mut GateWorld, namespace: &str) -> anyhow::Result<String> {
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT payload -> 'reason' FROM flow_events WHERE event_type = 'run.namespace.cleanup_skipped' \
             AND payload ->> 'namespace' = $1 ORDER BY id",
            &[namespace],
        )
        .await?;
    let mut reasons: Vec<&str> = rows.iter().filter_map(Value::as_str).collect();
    reasons.dedup();
    Ok(reasons.join(", "))
}

#[then("the first is deleted, and the others stay because they are nameless, busy and working")]
async fn three_stay(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let ended = watched(world, "namespace", "ended")?;
    // The positive control, and the fence: the sweep goes through them one after the other.
    observe_deletion(world, &["R-57"], &ended).await?;
    for (name, reason) in [
        ("nameless", "missing_run_id_label"),
        ("busy", "active_workloads_present"),
        ("working", "active_run_in_db"),
    ] {
        let namespace = watched(world, "namespace", name)?;
        let seen = until("the reason", DECISION_DEADLINE, async || {
            let seen = skipped(world, &namespace).await?;
            Ok(if seen.is_empty() {
                Reading::NotYet("no reason".to_owned())
            } else {
                Reading::Reached(seen)
            })
        })
        .await
        .unwrap_or_else(|error| format!("{error:#}"));
        world.equal(
            &["R-58", "R-59"],
            Postgres,
            &format!("why the clean-up of the {name} namespace was skipped"),
            "flow_events run.namespace.cleanup_skipped by namespace",
            reason,
            seen,
        )?;
        let deleted = is_deleted(world, &namespace).await?;
        world.equal(
            &["R-58"],
            Kubernetes,
            &format!("the {name} namespace"),
            "GET namespace",
            "there",
            if deleted { "deleted" } else { "there" },
        )?;
    }
    Ok(())
}

#[when("the run is known again, the Job is gone and the work is done")]
async fn put_right(world: &mut GateWorld) -> Step {
    let nameless = watched(world, "namespace", "nameless")?;
    let run = watched(world, "run", "nameless")?;
    let label = format!("{PREFIX}run-id");
    annotate(world, &nameless, json!({"labels": {label: run}})).await?;
    let busy = watched(world, "namespace", "busy")?;
    let jobs: Api<Job> = Api::namespaced(world.gate.kube.clone(), &busy);
    jobs.delete("migration", &DeleteParams::background())
        .await
        .context("failed to delete the Job")?;
    let pods: Api<Pod> = Api::namespaced(world.gate.kube.clone(), &busy);
    let of_job = ListParams::default().labels("job-name=migration");
    until("the end of the Job's Pod", RUN_DEADLINE, async || {
        let left = pods.list(&of_job).await?.items.len();
        Ok(if left == 0 {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{left} Pods"))
        })
    })
    .await?;
    let signal = world
        .remembered
        .get("signal")
        .cloned()
        .context("no agent waits")?;
    tokio::fs::write(&signal, "go")
        .await
        .context("failed to signal the agent")?;
    end_of(world, &watched(world, "run", "working")?).await?;
    Ok(())
}

#[then("the namespaces of all four are deleted")]
async fn all_deleted(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    for name in WATCHED {
        let namespace = watched(world, "namespace", name)?;
        observe_deletion(world, &["R-57", "R-58"], &namespace).await?;
    }
    Ok(())
}

/// Namespaces that lack one thing each that R-56 asks for.
#[when("namespaces that only look like those of runs stand beside it, with leases that are over")]
async fn lookalikes(world: &mut GateWorld) -> Step {
    let instance = world.platform().instance.clone();
    let suffix: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .take(8)
        .collect();
    let run = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let labels = |instance: &str| {
        json!({
            "codex-k8s.dev/instance": instance,
            "codex-k8s.dev/managed-by": "codex-k8s-worker",
            "codex-k8s.dev/namespace-purpose": "run",
            "codex-k8s.dev/runtime-mode": "full-env",
            "codex-k8s.dev/run-id": run["id"],
        })
    };
    let without = |key: &str| {
        let mut labels = labels(&instance);
        if let Some(labels) = labels.as_object_mut() {
            labels.remove(&format!("{PREFIX}{key}"));
        }
        labels
    };
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let mut made = Vec::new();
    for (name, labels) in [
        (format!("shop-{suffix}"), labels(&instance)),
        (format!("codex-issue-{suffix}-other"), labels("nobody")),
        (
            format!("codex-issue-{suffix}-unmanaged"),
            without("managed-by"),
        ),
        (
            format!("codex-issue-{suffix}-aimless"),
            without("namespace-purpose"),
        ),
        (
            format!("codex-issue-{suffix}-modeless"),
            without("runtime-mode"),
        ),
        (format!("codex-issue-{suffix}-bare"), json!({})),
    ] {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {
            "name": name, "labels": labels, "annotations": {EXPIRES_AT: LONG_AGO},
        }}))
        .context("failed to write a namespace")?;
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .context("failed to create a namespace")?;
        made.push(name);
    }
    world
        .remembered
        .insert("lookalikes".to_owned(), json!(made).to_string());
    Ok(())
}

#[then("those that only look like it are untouched")]
async fn lookalikes_stay(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let made = world
        .remembered
        .get("lookalikes")
        .context("there are no such namespaces")?;
    let made: Vec<String> =
        serde_json::from_str(made).context("failed to read the remembered names")?;
    let mut touched = Vec::new();
    for name in &made {
        touched.extend(world.gate.audit.by_platform_in(name).await?);
        if is_deleted(world, name).await? {
            touched.push(format!("{name} is deleted"));
        }
    }
    // Let go, whatever is judged: nothing may be left behind.
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    for name in &made {
        namespaces
            .delete(name, &DeleteParams::default())
            .await
            .context("failed to delete a namespace")?;
    }
    world.equal(
        &["R-56", "R-187"],
        Kubernetes,
        &format!("what the platform did to {}", made.join(", ")),
        "audit log: writes of the platform's accounts; GET namespaces",
        "",
        touched.join(", "),
    )?;
    Ok(())
}
