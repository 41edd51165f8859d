//! Workers that race or die.

use anyhow::Context;
use cucumber::{then, when};
use fixtures::stories;
use reports::evidence::ObservationSource::{Kubernetes, Postgres, Process};

use crate::{
    definitions::outcome::{await_event, current_run, end_of},
    names::terminal_events,
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

#[when("the worker that owns the run is told to end")]
async fn owner_is_told(world: &mut GateWorld) -> Step {
    let owner = text(&current_run(world).await?, "lease_owner")?;
    world.platform().end_worker(&owner).await?;
    let key = world.key.clone();
    world
        .gate
        .with_facts(&key, |facts| facts.restarts.push(owner.clone()));
    world.remembered.insert("owner".to_owned(), owner);
    Ok(())
}

#[then("its lease was given back by a worker that stopped, and another one has taken the run over")]
async fn given_back(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.reclaimed_after_stale_lease").await?;
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let told: Vec<String> = events
        .iter()
        .filter(|event| {
            event["event_type"].as_str().is_some_and(|kind| {
                kind.starts_with("run.lease.")
                    || kind.starts_with("worker.instance.")
                    || kind == "run.reclaimed_after_stale_lease"
            })
        })
        .map(|event| {
            format!(
                "{} {}",
                event["event_type"].as_str().unwrap_or("-"),
                event["payload"]["worker_status"].as_str().unwrap_or("-")
            )
        })
        .collect();
    world.equal(
        &["R-15", "R-14"],
        Postgres,
        "events about the lease of the run",
        "flow_events by run id",
        "run.lease.released stopped, run.reclaimed_after_stale_lease -",
        told.join(", "),
    )?;
    Ok(observe_new_owner(world, &["R-15", "R-14"]).await?)
}

async fn observe_new_owner(world: &mut GateWorld, rules: &[&str]) -> anyhow::Result<()> {
    let before = world
        .remembered
        .get("owner")
        .cloned()
        .context("no worker was touched")?;
    let run = current_run(world).await?;
    let owner = run["lease_owner"].as_str().unwrap_or("nobody").to_owned();
    let workers = world.platform().worker_ids();
    world.holds(
        rules,
        Postgres,
        "owner of the run",
        "agent_runs.lease_owner",
        format!("another worker than {before}"),
        &owner,
        owner != before && workers.contains(&owner),
    )
}

#[when("the worker that owns the run is stopped in its tracks")]
async fn owner_is_frozen(world: &mut GateWorld) -> Step {
    let owner = text(&current_run(world).await?, "lease_owner")?;
    let platform = world.platform();
    // In the middle of a transaction it would hold its locks against everybody for good, which a machine that dies does
    // not; so it is caught between two.
    let open = "SELECT to_jsonb(a.pid) FROM pg_stat_activity a \
                WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
    until(
        "a worker between two transactions",
        DECISION_DEADLINE,
        async || {
            platform.freeze_worker(&owner, true)?;
            let open = platform.database.rows(open, &[]).await?.len();
            if open == 0 {
                return Ok(Reading::Reached(()));
            }
            platform.freeze_worker(&owner, false)?;
            Ok(Reading::NotYet(format!("{open} transactions")))
        },
    )
    .await?;
    world.remembered.insert("owner".to_owned(), owner);
    Ok(())
}

/// It has gone on when it has told of its life again; whatever it wanted to do with the run it does at once.
#[when("that worker goes on")]
async fn owner_goes_on(world: &mut GateWorld) -> Step {
    let owner = world
        .remembered
        .get("owner")
        .cloned()
        .context("no worker was stopped")?;
    let platform = world.platform();
    let alive = "SELECT to_jsonb(w.heartbeat_at) FROM worker_instances w WHERE worker_id = $1 AND status = 'active'";
    let before = platform.database.rows(alive, &[&owner]).await?;
    platform.freeze_worker(&owner, false)?;
    until("a heartbeat of the worker", DECISION_DEADLINE, async || {
        let now = platform.database.rows(alive, &[&owner]).await?;
        Ok(if !now.is_empty() && now != before {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{now:?}"))
        })
    })
    .await?;
    Ok(())
}

#[then("the run still belongs to the worker that took it over")]
async fn belongs_to_other(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    Ok(observe_new_owner(world, &["R-16", "R-14"]).await?)
}

#[then("the run has exactly one terminal event")]
async fn one_terminal_event(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = current_run(world).await?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    world.equal(
        &["R-16", "DF-5"],
        Postgres,
        "terminal events of the run",
        "flow_events by run id",
        "run.succeeded",
        terminal_events(&events).join(", "),
    )?;
    Ok(())
}

#[when("a worker starts whose life is shorter than the time between two of its heartbeats")]
async fn short_lived(world: &mut GateWorld) -> Step {
    let output = world
        .platform()
        .start_worker_with(&[
            ("CODEXK8S_WORKER_ID", "short-lived"),
            ("CODEXK8S_WORKER_INSTANCE_TTL", "10s"),
            ("CODEXK8S_WORKER_HEARTBEAT_INTERVAL", "15s"),
        ])
        .await?;
    let seen = output.map(|output| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        (output.status.success(), said)
    });
    world.remembered.insert(
        "short-lived".to_owned(),
        match seen {
            None => "it runs".to_owned(),
            Some((true, _)) => "it ended in peace".to_owned(),
            Some((false, said)) if said.contains("CODEXK8S_WORKER_INSTANCE_TTL") => {
                "it refused, naming CODEXK8S_WORKER_INSTANCE_TTL".to_owned()
            }
            Some((false, said)) => format!("it failed: {said}"),
        },
    );
    Ok(())
}

#[then("it refuses, naming the setting, while the platform's own worker is at work")]
async fn it_refuses(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let seen = world
        .remembered
        .get("short-lived")
        .cloned()
        .context("no worker was started")?;
    world.equal(
        &["R-11"],
        Process,
        "a worker with a life of 10 s and a heartbeat every 15 s",
        "orchestrator worker: exit code and output",
        "it refused, naming CODEXK8S_WORKER_INSTANCE_TTL",
        seen,
    )?;
    let own = world.platform().process_facts("worker").await?;
    world.equal(
        &["R-11"],
        Process,
        "the platform's own worker",
        "/proc/<pid>/environ, /proc/<pid>/net/tcp",
        "database credential: true, connections to Postgres: true",
        own,
    )?;
    Ok(())
}

/// Every pass fails while the cluster is away; two more failures say that a whole one was made since the run was there.
#[then("each pass of the worker fails before the run is reached")]
async fn passes_fail(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let platform = world.platform();
    let count = async || {
        let logs = platform.logs().await?;
        anyhow::Ok(logs.matches("\"a pass failed\"").count())
    };
    let before = count().await?;
    until("two more failures", DECISION_DEADLINE, async || {
        let now = count().await?;
        Ok(if now >= before + 2 {
            Reading::Reached(())
        } else {
            Reading::NotYet(format!("{now} failures, {before} before"))
        })
    })
    .await?;
    let run = platform.database.run(&id).await?.unwrap_or_default();
    world.equal(
        &["R-2"],
        Postgres,
        "status of the run, with two more passes that failed",
        "agent_runs by id; log of the worker",
        "pending",
        run["status"].as_str().unwrap_or("-"),
    )?;
    Ok(())
}

#[then("the Job of the run before was deleted before that of the run was made")]
async fn in_order(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    await_event(world, "run.started").await?;
    let before = world
        .previous_run
        .clone()
        .context("there is no run before")?;
    let run = current_run(world).await?;
    let (old, new) = (text(&before, "job_name")?, text(&run, "job_name")?);
    let audit = world.gate.audit.clone();
    let moment = |entries: Vec<serde_json::Value>| {
        entries
            .first()
            .and_then(|entry| {
                entry["requestReceivedTimestamp"]
                    .as_str()
                    .map(str::to_owned)
            })
            .unwrap_or_else(|| "never".to_owned())
    };
    let deleted = moment(audit.writes("delete", "jobs", &old).await?);
    let made = moment(audit.writes("create", "jobs", &new).await?);
    world.holds(
        &["R-2"],
        Kubernetes,
        &format!("deletion of {old}, creation of {new}"),
        "audit log: delete jobs, create jobs, 2xx",
        "the one before the other",
        format!("{deleted}, {made}"),
        deleted != "never" && made != "never" && deleted < made,
    )?;
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
