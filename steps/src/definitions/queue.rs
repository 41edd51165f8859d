//! Runs that wait for their turn: slots of a project, limits of a role.

use cucumber::{given, then};
use fixtures::stories;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, api::ListParams};
use reports::evidence::ObservationSource::{Kubernetes, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        labels::set_label,
        outcome::{await_event, current_run},
        setup::configured,
    },
    place::bound_repository,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

#[given(expr = "a platform with {int} slots for each project")]
async fn with_slots(world: &mut GateWorld, slots: usize) -> Step {
    let slots = slots.to_string();
    configured(
        world,
        [("CODEXK8S_WORKER_SLOTS_PER_PROJECT", slots.as_str())],
    )
    .await
}

/// How many Jobs a run has, wherever they are.
async fn observe_jobs(
    world: &mut GateWorld,
    rules: &[&str],
    run: &str,
    expected: usize,
) -> anyhow::Result<()> {
    let jobs: Api<Job> = Api::all(world.gate.kube.clone());
    let of_run = ListParams::default().labels(&format!("codex-k8s.dev/run-id={run}"));
    let seen = jobs.list_metadata(&of_run).await?.items.len();
    world.equal(
        rules,
        Kubernetes,
        &format!("Jobs of run {run}"),
        "GET jobs by run-id label",
        expected,
        seen,
    )
}

async fn queue_state(world: &mut GateWorld, run: &str) -> anyhow::Result<String> {
    let rows = world
        .platform()
        .database
        .rows(
            "SELECT to_jsonb(r) - 'run_payload' FROM agent_runs r WHERE id = $1::text::uuid",
            &[run],
        )
        .await?;
    let row = rows.into_iter().next().unwrap_or_default();
    let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
    Ok(format!("{} {}", word("status"), word("queue_reason")))
}

#[then(expr = "the run waits because {string}, without a Job")]
async fn waits(world: &mut GateWorld, reason: String, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let expected = format!("pending {reason}");
    let platform = world.platform();
    let seen = until("the reason of the queue", DECISION_DEADLINE, async || {
        let run = platform.database.run(&id).await?.unwrap_or_default();
        let word = |key: &str| run[key].as_str().unwrap_or("-").to_owned();
        let seen = format!("{} {}", word("status"), word("queue_reason"));
        Ok(if seen == expected {
            Reading::Reached(seen)
        } else {
            Reading::NotYet(seen)
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["R-4", "R-6"],
        Postgres,
        "status and queue_reason of the run",
        "agent_runs by id",
        &expected,
        seen,
    )?;
    observe_jobs(world, &["R-3", "R-4", "R-6"], &id, 0).await?;
    Ok(())
}

#[then("a run of another project works meanwhile")]
async fn another_project(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let waiting = current_run(world).await?;
    let (place, deliveries) = (world.place()?, world.deliveries.clone());
    let platform = world.platform();
    let other = bound_repository(&world.gate.clone(), &platform, stories::works()).await?;
    world.take_run();
    world.set_place(other);
    set_label(world, "run:dev").await?;
    await_event(world, "run.started").await?;
    let works = text(&current_run(world).await?, "id")?;
    observe_jobs(world, &["R-4"], &works, 1).await?;
    let id = text(&waiting, "id")?;
    let seen = queue_state(world, &id).await?;
    world.equal(
        &["R-4", "R-5"],
        Postgres,
        "status and queue_reason of the run that waits",
        "agent_runs by id",
        "pending no_free_slot",
        seen,
    )?;
    world.take_run();
    world.set_place(place);
    world.deliveries = deliveries;
    world.set_run(waiting);
    Ok(())
}

async fn slots(world: &mut GateWorld, condition: &str) -> anyhow::Result<Vec<Value>> {
    let project = world.place()?.project_id;
    world
        .platform()
        .database
        .rows(
            &format!(
                "SELECT to_jsonb(s) || jsonb_build_object('runs_on', s.lease_until > platform_now()) FROM slots s \
                 WHERE project_id = $1::text::uuid AND {condition}"
            ),
            &[&project],
        )
        .await
}

#[then(expr = "the run works without a slot, though all {int} are leased")]
async fn without_slot(world: &mut GateWorld, all: usize, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let id = text(&current_run(world).await?, "id")?;
    let leased = slots(world, "state = 'leased'").await?;
    let own = leased
        .iter()
        .filter(|slot| slot["lease_owner"] == id.as_str())
        .count();
    world.equal(
        &["R-5"],
        Postgres,
        "leased slots of the project, those of the run",
        "slots by project",
        format!("{all}, 0"),
        format!("{}, {own}", leased.len()),
    )?;
    observe_jobs(world, &["R-5", "R-40"], &id, 1).await?;
    Ok(())
}

#[then("the run still holds its slot")]
async fn holds_slot(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    let held = until("the extended lease of the slot", DECISION_DEADLINE, async || {
        let rows = platform
            .database
            .rows(
                "SELECT to_jsonb(s.lease_until > platform_now()) FROM slots s WHERE lease_owner = $1 AND state = 'leased'",
                &[&id],
            )
            .await?;
        Ok(match rows.first() {
            Some(Value::Bool(true)) => Reading::Reached("leased".to_owned()),
            other => Reading::NotYet(format!("{other:?}")),
        })
    })
    .await;
    world.equal(
        &["R-8"],
        Postgres,
        "slot of the run",
        "slots by lease_owner: lease_until in the future",
        "leased",
        held.unwrap_or_else(|error| format!("{error:#}")),
    )?;
    observe_jobs(world, &["R-8"], &id, 1).await?;
    Ok(())
}

#[then("the project has no leased slot")]
async fn no_slot(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let leased = slots(world, "state <> 'free'").await?.len();
    world.equal(
        &["R-9"],
        Postgres,
        "slots of the project that are not free",
        "slots by project",
        0,
        leased,
    )?;
    Ok(())
}
