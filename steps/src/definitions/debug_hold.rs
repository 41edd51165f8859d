//! `run:debug` keeps a namespace (L-10, L-11); and what late stages say of their environment (L-68).

use anyhow::Context;
use cucumber::{given, then};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        comments::status_comments,
        namespaces::is_deleted,
        outcome::{await_event, current_run},
        people::set_by,
    },
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[given(expr = "another open Issue with {string}")]
async fn another_labelled_issue(world: &mut GateWorld, label: String) -> Step {
    another_issue(world).await?;
    let place = world.place()?;
    Ok(set_by(world, &place.member.clone(), place.issue, &label).await?)
}

#[given("another open Issue without a label")]
async fn another_issue(world: &mut GateWorld) -> Step {
    let mut place = world.place()?;
    place.issue = place
        .member
        .open_issue(&place.repository, "Say it in another way", "")
        .await?;
    world.set_place(place);
    Ok(())
}

async fn skips(world: &mut GateWorld) -> anyhow::Result<Vec<String>> {
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    Ok(events
        .iter()
        .filter(|event| event["event_type"] == "run.namespace.cleanup_skipped")
        .map(|event| {
            event["payload"]["reason"]
                .as_str()
                .unwrap_or("-")
                .to_owned()
        })
        .collect())
}

#[then(expr = "the clean-up of its namespace was skipped because {string}, once")]
async fn skipped_once(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.namespace.cleanup_skipped").await?;
    let seen = skips(world).await?;
    world.equal(
        &["L-10"],
        Postgres,
        "events run.namespace.cleanup_skipped of the run",
        "flow_events by run id",
        reason,
        seen.join(", "),
    )?;
    Ok(())
}

async fn gone(world: &GateWorld, namespace: &str) -> anyhow::Result<()> {
    until(
        &format!("the end of the namespace {namespace}"),
        RUN_DEADLINE,
        async || {
            Ok(if is_deleted(world, namespace).await? {
                Reading::Reached(())
            } else {
                Reading::NotYet("still there".to_owned())
            })
        },
    )
    .await
}

/// The run before bears no debug label: its namespace shows that the sweep has passed.
#[then("the namespace of the run before is gone, that of the run is kept")]
async fn one_kept(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let run = current_run(world).await?;
    let (swept, kept) = (text(&before, "namespace")?, text(&run, "namespace")?);
    gone(world, &swept).await?;
    let api: Api<Namespace> = Api::all(world.gate.kube.clone());
    let found = api
        .get_opt(&kept)
        .await
        .context("failed to read the namespace")?;
    let phase = found
        .and_then(|namespace| namespace.status)
        .and_then(|status| status.phase);
    world.equal(
        &["L-10"],
        Kubernetes,
        &format!("phase of {kept}, with {swept} gone"),
        "GET namespace",
        "Active",
        phase.as_deref().unwrap_or("not there"),
    )?;
    Ok(())
}

#[then("the namespace of the run is swept")]
async fn swept(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let namespace = text(&run, "namespace")?;
    let cleaned = await_event(world, "run.namespace.cleaned").await?;
    world.equal(
        &["L-11"],
        Postgres,
        "namespace of run.namespace.cleaned",
        "flow_events by run id",
        &namespace,
        cleaned["payload"]["namespace"].as_str().unwrap_or("-"),
    )?;
    gone(world, &namespace).await?;
    let deleted = world
        .gate
        .audit
        .writes("delete", "namespaces", &namespace)
        .await?
        .len();
    world.equal(
        &["L-11"],
        Kubernetes,
        &format!("deletions of {namespace}"),
        "audit log: delete namespaces, 2xx",
        1,
        deleted,
    )?;
    Ok(())
}

#[then("the status comment shows the environment, the build and the access of the run")]
async fn shows_environment(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let run = current_run(world).await?;
    let runtime = &run["run_payload"]["runtime"];
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let wanted = [word(&run["target_env"]), word(&runtime["access_profile"])];
    let seen = until("the status comment", DECISION_DEADLINE, async || {
        let comments = status_comments(world).await?;
        let visible: String = comments
            .last()
            .and_then(|comment| comment["body"].as_str())
            .unwrap_or_default()
            .lines()
            .filter(|line| !line.starts_with("<!--"))
            .collect::<Vec<_>>()
            .join("\n");
        Ok(
            if wanted
                .iter()
                .all(|part| visible.contains(&format!("`{part}`")))
            {
                Reading::Reached(visible)
            } else {
                Reading::NotYet(visible)
            },
        )
    })
    .await;
    let (ok, seen) = seen.map_or_else(|error| (false, format!("{error:#}")), |seen| (true, seen));
    world.holds(
        &["L-68", "L-104"],
        Github,
        "visible text of the status comment",
        "GET /repos/…/issues/…/comments",
        wanted.join(", "),
        seen,
        ok,
    )?;
    Ok(())
}
