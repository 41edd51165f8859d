//! Deployments without an agent: what a push to the default branch brings into the live environment.

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use cucumber::{then, when};
use fixtures::stories;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Namespace};
use kube::Api;
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        outcome::{current_run, end_of},
        special_runs::live,
    },
    place::{delivery_after, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// "note\n" in base64.
const NOTE: &str = "bm90ZQo=";

/// A change of the default branch, by the contents API; the run that it starts becomes the one at hand.
async fn push(world: &mut GateWorld, path: &str, content: Option<String>) -> anyhow::Result<()> {
    let place = world.place()?;
    let gate = world.gate.clone();
    let before = mark(&gate, &place.repository);
    let (person, repository) = (&place.maintainer, &place.repository);
    match content {
        Some(content) => {
            let content = STANDARD.encode(content);
            person
                .replace_file(repository, "main", path, &content)
                .await?;
        }
        None => person.put_file(repository, "main", path, NOTE).await?,
    }
    let delivery = delivery_after(&gate, repository, before, "the push", |delivery| {
        delivery.event == "push"
    })
    .await?;
    world.deliveries.push(delivery);
    world.leave_run();
    Ok(())
}

#[when("the maintainer pushes a note to the default branch")]
async fn pushes_note(world: &mut GateWorld) -> Step {
    Ok(push(world, "notes/pushed.md", None).await?)
}

#[when("the maintainer pushes a stack that becomes ready to the default branch")]
async fn pushes_good_stack(world: &mut GateWorld) -> Step {
    let path = "deploy/shop.yaml";
    let good = stories::stacked()
        .remove(path)
        .context("the stack has no manifest")?;
    Ok(push(world, path, Some(good)).await?)
}

/// Identity of the live environment, `-` when it is gone or going; and ready replicas of the stack in it.
async fn live_state(world: &GateWorld) -> anyhow::Result<(String, Option<i32>)> {
    let name = live(world)?;
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let identity = namespaces
        .get_opt(&name)
        .await
        .context("failed to read the live environment")?
        .filter(|found| found.metadata.deletion_timestamp.is_none())
        .and_then(|found| found.metadata.uid)
        .unwrap_or_else(|| "-".to_owned());
    let deployments: Api<Deployment> = Api::namespaced(world.gate.kube.clone(), &name);
    let ready = deployments
        .get_opt("shop")
        .await
        .context("failed to read the Deployment")?
        .map(|found| {
            found
                .status
                .and_then(|status| status.ready_replicas)
                .unwrap_or(0)
        });
    Ok((identity, ready))
}

#[then("a run without agent waits for the live environment to become ready")]
async fn waits_for_live(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let seen = until(
        "the Deployment in the live environment",
        DECISION_DEADLINE,
        async || {
            let (identity, ready) = live_state(world).await?;
            Ok(match ready {
                Some(ready) => Reading::Reached((identity, ready)),
                None => Reading::NotYet("no Deployment".to_owned()),
            })
        },
    )
    .await?;
    world.remembered.insert("live uid".to_owned(), seen.0);
    world.equal(
        &["R-27", "R-110"],
        Kubernetes,
        "ready replicas of the Deployment shop in the live environment",
        "GET deployments",
        0,
        seen.1,
    )?;
    let run = current_run(world).await?;
    world.equal(
        &["R-27", "L-45"],
        Postgres,
        "status, agent and Job of the run",
        "agent_runs by correlation id",
        "\"running\", null, null",
        format!(
            "{}, {}, {}",
            run["status"], run["agent_key"], run["job_name"]
        ),
    )?;
    Ok(())
}

/// The run at hand and the one before, both ended, as `status (reason)`.
async fn both_ended(world: &mut GateWorld) -> anyhow::Result<(Value, Value, String)> {
    let run = current_run(world).await?;
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let before = end_of(world, &text(&before, "id")?).await?;
    let run = end_of(world, &text(&run, "id")?).await?;
    let word = |run: &Value| {
        format!(
            "{} ({})",
            run["status"].as_str().unwrap_or("-"),
            run["finish_reason"].as_str().unwrap_or("no reason")
        )
    };
    let ends = format!("{}, {}", word(&before), word(&run));
    Ok((before, run, ends))
}

#[then(expr = "the run before is canceled because {string}, and the new one succeeds")]
async fn superseded(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (_, _, ends) = both_ended(world).await?;
    world.equal(
        &["R-27", "R-107"],
        Postgres,
        "ends of the run before and of the run",
        "agent_runs.status, finish_reason",
        format!("canceled ({reason}), succeeded (no reason)"),
        ends,
    )?;
    let (_, ready) = live_state(world).await?;
    world.equal(
        &["R-27", "R-110"],
        Kubernetes,
        "ready replicas of the Deployment shop in the live environment",
        "GET deployments",
        "Some(1)",
        format!("{ready:?}"),
    )?;
    Ok(())
}

#[then("the live environment was not taken away, and no Job was made in it")]
async fn live_is_untouched(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (identity, _) = live_state(world).await?;
    let before = world.remembered.get("live uid").cloned();
    world.equal(
        &["R-27"],
        Kubernetes,
        "identity of the live environment",
        "GET namespace: uid",
        before.unwrap_or_default(),
        identity,
    )?;
    let name = live(world)?;
    let written = world.gate.audit.by_platform_in(&name).await?;
    let count = |verb: &str| {
        written
            .iter()
            .filter(|write| write.starts_with(verb))
            .count()
    };
    let (deleted, jobs) = (count("delete namespaces "), count("create jobs "));
    let applied = count("patch deployments ");
    // The positive control: the same reading finds what was deployed.
    world.holds(
        &["R-27"],
        Kubernetes,
        "deletions of the namespace, Jobs, applied Deployments",
        "audit log: writes of the platform's accounts",
        "0, 0, at least 2",
        format!("{deleted}, {jobs}, {applied}"),
        deleted == 0 && jobs == 0 && applied >= 2,
    )?;
    Ok(())
}

#[then("the task of the run before was canceled by the system for the new one")]
async fn task_was_canceled(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (before, run, _) = both_ended(world).await?;
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(t) FROM runtime_deploy_tasks t WHERE run_id = $1::text::uuid",
            &[&text(&before, "id")?],
        )
        .await?;
    let task = rows.first().context("the run before has no task")?;
    let id = text(&run, "id")?;
    let names_it = task["cancel_reason"]
        .as_str()
        .is_some_and(|reason| reason.contains(&id));
    world.equal(
        &["R-107"],
        Postgres,
        "task of the run before: status, who ended it, whether the reason names the new run",
        "runtime_deploy_tasks by run id",
        "canceled, system, true",
        format!(
            "{}, {}, {names_it}",
            task["status"].as_str().unwrap_or("-"),
            task["terminal_status_source"].as_str().unwrap_or("-")
        ),
    )?;
    Ok(())
}
