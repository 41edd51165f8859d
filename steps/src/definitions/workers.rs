//! Workers that race or die.

use anyhow::Context;
use cucumber::{then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Kubernetes, Postgres};

use crate::{
    definitions::outcome::{current_run, end_of},
    place::{bound_repository, delivery_after, is_labeled, mark},
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// A project has two slots: where more of its runs need one, workers find work and refusals side by side. The others
/// need none, and are raced for all the same.
#[when(
    expr = "{int} runs of {int} projects are started at once, those of {int} projects with a need for slots"
)]
async fn many_runs(world: &mut GateWorld, count: usize, projects: usize, need: usize) -> Step {
    let gate = world.gate.clone();
    let platform = world.platform();
    let mut places = Vec::new();
    for project in 0..projects {
        let place = bound_repository(&gate, &platform, stories::works()).await?;
        world.set_place(place.clone());
        for index in 0..count / projects {
            let issue = if index == 0 {
                place.issue
            } else {
                place
                    .member
                    .open_issue(&place.repository, "One more wish", "")
                    .await?
            };
            let mut place = place.clone();
            place.issue = issue;
            let label = if project < need {
                "run:dev"
            } else {
                "run:intake"
            };
            places.push((place, label));
        }
    }
    let started = places.into_iter().map(|(place, label)| {
        let gate = gate.clone();
        async move {
            let before = mark(&gate, &place.repository);
            place
                .member
                .add_labels(&place.repository, place.issue, &[label])
                .await?;
            let delivery = delivery_after(&gate, &place.repository, before, label, |delivery| {
                is_labeled(delivery, "issues", label)
                    && delivery.payload["issue"]["number"] == place.issue
            })
            .await?;
            anyhow::Ok((place, delivery))
        }
    });
    world.many = futures::future::try_join_all(started).await?;
    Ok(())
}

#[then("every one of these runs ends as succeeded")]
async fn all_succeed(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    for (_, delivery) in world.many.clone() {
        let platform = world.platform();
        let run = until("the run of a delivery", DECISION_DEADLINE, async || {
            let run = platform.database.run_by_correlation(&delivery.guid).await?;
            Ok(run.map_or_else(
                || Reading::NotYet(format!("delivery {} made no run", delivery.guid)),
                Reading::Reached,
            ))
        })
        .await?;
        let run = end_of(world, &text(&run, "id")?).await?;
        world.set_run(run.clone());
        *ends
            .entry(run["status"].as_str().unwrap_or("-").to_owned())
            .or_default() += 1;
    }
    let seen: Vec<_> = ends
        .iter()
        .map(|(status, count)| format!("{status} ×{count}"))
        .collect();
    world.equal(
        &["R-10", "R-3"],
        Postgres,
        "ends of the runs",
        "agent_runs.status by correlation id",
        format!("succeeded ×{}", world.many.len()),
        seen.join(", "),
    )?;
    Ok(())
}

#[then(expr = "every one of these runs had exactly one Job and one {string}")]
async fn one_job_each(world: &mut GateWorld, event: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut jobs = Vec::new();
    let mut events = Vec::new();
    for (_, delivery) in world.many.clone() {
        let platform = world.platform();
        let run = platform
            .database
            .run_by_correlation(&delivery.guid)
            .await?
            .context("the run is gone")?;
        let id = text(&run, "id")?;
        jobs.push(
            world
                .gate
                .audit
                .writes("create", "jobs", &text(&run, "job_name")?)
                .await?
                .len(),
        );
        events.push(
            platform
                .database
                .events_of_run(&id)
                .await?
                .iter()
                .filter(|found| found["event_type"] == event.as_str())
                .count(),
        );
    }
    let ones = vec![1; world.many.len()];
    world.equal(
        &["R-10", "R-17"],
        Kubernetes,
        "Jobs of each run",
        "audit log: create jobs, 2xx",
        format!("{ones:?}"),
        format!("{jobs:?}"),
    )?;
    world.equal(
        &["R-17"],
        Postgres,
        &format!("{event} of each run"),
        "flow_events by run id",
        format!("{ones:?}"),
        format!("{events:?}"),
    )?;
    Ok(())
}

#[when("the worker that owns the run is killed")]
async fn owner_is_killed(world: &mut GateWorld) -> Step {
    let run = current_run(world).await?;
    let owner = text(&run, "lease_owner")?;
    let platform = world.platform();
    platform.kill_worker(&owner).await?;
    let key = world.key.clone();
    world
        .gate
        .with_facts(&key, |facts| facts.restarts.push(owner));
    Ok(())
}

/// By the hand of somebody with the rights for it, not by the platform.
#[when("somebody deletes the Job of the run")]
async fn job_deleted(world: &mut GateWorld) -> Step {
    let run = crate::definitions::outcome::current_run(world).await?;
    let jobs: kube::Api<k8s_openapi::api::batch::v1::Job> =
        kube::Api::namespaced(world.gate.kube.clone(), &text(&run, "job_namespace")?);
    jobs.delete(
        &text(&run, "job_name")?,
        &kube::api::DeleteParams::background(),
    )
    .await
    .context("failed to delete the Job")?;
    Ok(())
}

#[when("the agent may go on")]
async fn agent_may_go_on(world: &mut GateWorld) -> Step {
    let signal = world
        .remembered
        .get("signal")
        .cloned()
        .context("no agent waits")?;
    tokio::fs::write(&signal, "go")
        .await
        .context("failed to signal the agent")?;
    Ok(())
}
