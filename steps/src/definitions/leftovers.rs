//! What remains after runs have ended (hygiene).

use anyhow::Context;
use cucumber::{given, then};
use fixtures::stories;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Namespace, Secret},
};
use kube::{Api, api::ListParams};
use reports::evidence::ObservationSource::{Kubernetes, Orchestrator, Postgres};
use serde_json::Value;

use crate::{
    definitions::{
        labels::set_label,
        namespaces::is_deleted,
        outcome::{await_event, current_run, end_of},
        setup::signal_file,
    },
    names::credentials_secret,
    place::bound_repository,
    platform::PlatformSpec,
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Starts `run:dev` in a repository of its own with this story; returns the run's id.
async fn start(
    world: &mut GateWorld,
    files: std::collections::BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let platform = world.platform();
    let place = bound_repository(&world.gate.clone(), &platform, files).await?;
    world.set_place(place);
    set_label(world, "run:dev").await?;
    let run = current_run(world).await?;
    text(&run, "id")
}

#[given("runs that succeeded, failed and were cancelled")]
async fn three_ends(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    // They work side by side; the last one is at hand when its agent is ready.
    let works = start(world, stories::works()).await?;
    let fails = start(world, stories::fails()).await?;
    let waits = start(world, stories::waits_for(&signal)).await?;
    await_event(world, "run.agent.ready").await?;
    let (status, answer) = world.platform().staff.cancel(&waits, true).await?;
    if !status.is_success() {
        return Err(anyhow::anyhow!("the cancel was refused: {status} {answer}").into());
    }
    let mut runs = Vec::new();
    for id in [&works, &fails, &waits] {
        runs.push(end_of(world, id).await?);
    }
    let ends: Vec<_> = runs
        .iter()
        .map(|run| run["status"].as_str().unwrap_or("-"))
        .collect();
    if ends != ["succeeded", "failed", "canceled"] {
        return Err(anyhow::anyhow!("the runs ended as {}", ends.join(", ")).into());
    }
    world
        .remembered
        .insert("runs".to_owned(), Value::Array(runs).to_string());
    Ok(())
}

fn remembered_runs(world: &GateWorld) -> anyhow::Result<Vec<Value>> {
    let text = world.remembered.get("runs").context("there are no runs")?;
    serde_json::from_str(text).context("failed to read the remembered runs")
}

#[then("the three namespaces of these runs exist")]
async fn three_exist(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let listed = managed_namespaces(world).await?;
    world.equal(
        &["R-48", "R-69"],
        Kubernetes,
        "run namespaces of the instance",
        "GET namespaces by instance, managed-by and purpose",
        3,
        listed.len(),
    )?;
    Ok(())
}

async fn managed_namespaces(world: &mut GateWorld) -> anyhow::Result<Vec<String>> {
    let instance = world.platform().instance.clone();
    managed_namespaces_of(world, &instance).await
}

async fn managed_namespaces_of(world: &GateWorld, instance: &str) -> anyhow::Result<Vec<String>> {
    let namespaces: Api<Namespace> = Api::all(world.gate.kube.clone());
    let selector = format!(
        "codex-k8s.dev/instance={instance},codex-k8s.dev/managed-by=codex-k8s-worker,codex-k8s.dev/namespace-purpose=run"
    );
    let list = namespaces
        .list(&ListParams::default().labels(&selector))
        .await
        .context("failed to list namespaces")?;
    Ok(list
        .items
        .into_iter()
        .filter_map(|namespace| namespace.metadata.name)
        .collect())
}

#[then("no namespace of a run remains")]
async fn none_remains(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let instance = world.platform().instance.clone();
    let gone = until("the end of all run namespaces", RUN_DEADLINE, async || {
        let listed = managed_namespaces_of(world, &instance).await?;
        Ok(if listed.is_empty() {
            Reading::Reached("none")
        } else {
            Reading::NotYet(listed.join(", "))
        })
    })
    .await;
    world.equal(
        &["R-57", "R-69"],
        Kubernetes,
        "run namespaces of the instance",
        "GET namespaces by instance, managed-by and purpose",
        "none",
        gone.map_or_else(|error| format!("{error:#}"), str::to_owned),
    )?;
    let mut made = 0;
    for run in remembered_runs(world)? {
        made += world
            .gate
            .audit
            .writes("create", "namespaces", &text(&run, "namespace")?)
            .await?
            .len();
    }
    world.equal(
        &["R-57"],
        Kubernetes,
        "namespaces that had been made",
        "audit log: create namespaces, 2xx",
        3,
        made,
    )?;
    Ok(())
}

#[then("Jobs, slots and credentials of these runs were there")]
async fn were_there(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let mut jobs = 0;
    let mut secrets = 0;
    for run in remembered_runs(world)? {
        jobs += world
            .gate
            .audit
            .writes("create", "jobs", &text(&run, "job_name")?)
            .await?
            .len();
        let name = credentials_secret(&text(&run, "id")?);
        secrets += world
            .gate
            .audit
            .writes("create", "secrets", &name)
            .await?
            .len();
    }
    world.equal(
        &["R-69", "G-12"],
        Kubernetes,
        "Jobs and credential Secrets that were made",
        "audit log: create jobs, create secrets, 2xx",
        "3 Jobs, 3 Secrets",
        format!("{jobs} Jobs, {secrets} Secrets"),
    )?;
    let slots = world
        .platform()
        .database
        .rows("SELECT to_jsonb(s) FROM slots s", &[])
        .await?;
    world.holds(
        &["R-9"],
        Postgres,
        "slots of the projects",
        "slots",
        "at least 3 rows",
        slots.len(),
        slots.len() >= 3,
    )?;
    Ok(())
}

#[then("no Job, leased slot or credential of a run remains")]
async fn nothing_remains(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let instance = world.platform().instance.clone();
    let jobs: Api<Job> = Api::all(world.gate.kube.clone());
    let secrets: Api<Secret> = Api::all(world.gate.kube.clone());
    let selector = ListParams::default().labels(&format!("codex-k8s.dev/instance={instance}"));
    let runs = remembered_runs(world)?;
    let credentials: Vec<String> = runs
        .iter()
        .filter_map(|run| run["id"].as_str())
        .map(credentials_secret)
        .collect();
    let left = until(
        "the end of Jobs and credentials",
        RUN_DEADLINE,
        async || {
            let jobs = jobs.list(&selector).await?.items.len();
            let secrets = secrets
                .list(&ListParams::default())
                .await?
                .items
                .into_iter()
                .filter(|secret| {
                    secret
                        .metadata
                        .name
                        .as_ref()
                        .is_some_and(|name| credentials.contains(name))
                })
                .count();
            let seen = format!("{jobs} Jobs, {secrets} Secrets");
            Ok(if jobs == 0 && secrets == 0 {
                Reading::Reached(seen)
            } else {
                Reading::NotYet(seen)
            })
        },
    )
    .await;
    world.equal(
        &["R-69", "G-12"],
        Kubernetes,
        "Jobs and credential Secrets of the runs",
        "GET jobs, secrets",
        "0 Jobs, 0 Secrets",
        left.unwrap_or_else(|error| format!("{error:#}")),
    )?;
    let leased = world
        .platform()
        .database
        .rows("SELECT to_jsonb(s) FROM slots s WHERE state <> 'free'", &[])
        .await?;
    world.equal(
        &["R-9", "R-69"],
        Postgres,
        "leased slots",
        "slots where state is not free",
        0,
        leased.len(),
    )?;
    Ok(())
}

#[then("the leak check finds nothing")]
async fn clean(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    // The clock jumped over the sweeps of a day; the next one is a wake-up away.
    let findings = until("a leak check without findings", RUN_DEADLINE, async || {
        let report = platform.hygiene().await?;
        let findings = report["findings"]
            .as_array()
            .context("the leak check gives no findings")?
            .clone();
        Ok(if findings.is_empty() {
            Reading::Reached(findings)
        } else {
            Reading::NotYet(Value::Array(findings).to_string())
        })
    })
    .await?;
    world.equal(
        &["R-69"],
        Orchestrator,
        "findings of the leak check",
        "orchestrator hygiene --output json",
        "[]",
        Value::Array(findings),
    )?;
    Ok(())
}

#[given("two platforms in one cluster, each with a finished and a running run")]
async fn two_platforms(world: &mut GateWorld) -> Step {
    let gate = world.gate.clone();
    let scenario = world.key.scenario.clone();
    let (first, second) = tokio::try_join!(
        gate.platforms.lease(PlatformSpec::default(), &scenario),
        gate.platforms.lease(PlatformSpec::default(), &scenario)
    )?;
    for platform in [second.clone(), first.clone()] {
        world.use_own_platform(platform);
        let signal = signal_file(world);
        let works = start(world, stories::works()).await?;
        start(world, stories::waits_for(&signal)).await?;
        await_event(world, "run.agent.ready").await?;
        let running = current_run(world).await?;
        let finished = end_of(world, &works).await?;
        let name = world.platform().instance.clone();
        world
            .remembered
            .insert(format!("{name} finished"), text(&finished, "namespace")?);
        world
            .remembered
            .insert(format!("{name} running"), text(&running, "namespace")?);
    }
    world
        .remembered
        .insert("first".to_owned(), first.instance.clone());
    let place = world.place()?;
    world.second = Some((second, place));
    Ok(())
}

#[then("the finished run's namespace of the first platform is gone")]
async fn first_is_gone(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let instance = world.platform().instance.clone();
    let namespace = world
        .remembered
        .get(&format!("{instance} finished"))
        .cloned()
        .context("unknown namespace")?;
    let running = world
        .remembered
        .get(&format!("{instance} running"))
        .cloned()
        .context("unknown namespace")?;
    let gone = until("the deletion of the namespace", RUN_DEADLINE, async || {
        Ok(if is_deleted(world, &namespace).await? {
            Reading::Reached("deleted")
        } else {
            Reading::NotYet("there".to_owned())
        })
    })
    .await;
    let kept = if is_deleted(world, &running).await? {
        "deleted"
    } else {
        "kept"
    };
    world.equal(
        &["R-56", "R-187"],
        Kubernetes,
        "finished run's namespace, running run's namespace",
        "GET namespace",
        "deleted, kept",
        format!(
            "{}, {kept}",
            gone.map_or_else(|error| format!("{error:#}"), str::to_owned)
        ),
    )?;
    Ok(())
}

#[then("the second platform's namespaces, Jobs and slots are untouched")]
async fn second_untouched(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (second, _) = world
        .second
        .clone()
        .context("there is no second platform")?;
    let mut seen = Vec::new();
    for kind in ["finished", "running"] {
        let namespace = world
            .remembered
            .get(&format!("{} {kind}", second.instance))
            .cloned()
            .context("unknown namespace")?;
        seen.push(format!(
            "{kind}: {}",
            if is_deleted(world, &namespace).await? {
                "deleted"
            } else {
                "there"
            }
        ));
    }
    world.equal(
        &["R-187", "R-34", "R-56"],
        Kubernetes,
        "namespaces of the second platform",
        "GET namespaces",
        "finished: there, running: there",
        seen.join(", "),
    )?;
    let jobs: Api<Job> = Api::all(world.gate.kube.clone());
    let list = jobs
        .list(&ListParams::default().labels(&format!("codex-k8s.dev/instance={}", second.instance)))
        .await
        .context("failed to list Jobs")?;
    let active = list
        .items
        .iter()
        .filter(|job| {
            job.status
                .as_ref()
                .is_some_and(|status| status.active.unwrap_or(0) > 0)
        })
        .count();
    world.equal(
        &["R-187", "R-19"],
        Kubernetes,
        "active Jobs of the second platform",
        "GET jobs by instance",
        1,
        active,
    )?;
    let leased = second
        .database
        .rows(
            "SELECT to_jsonb(s) FROM slots s WHERE state = 'leased'",
            &[],
        )
        .await?
        .len();
    world.equal(
        &["R-187", "R-69"],
        Postgres,
        "leased slots of the second platform",
        "slots",
        1,
        leased,
    )?;
    Ok(())
}

#[then("the leak check of the first platform names nothing of the second")]
async fn names_nothing(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let (second, _) = world
        .second
        .clone()
        .context("there is no second platform")?;
    let report = world.platform().hygiene().await?.to_string();
    let foreign: Vec<_> = ["finished", "running"]
        .iter()
        .filter_map(|kind| {
            world
                .remembered
                .get(&format!("{} {kind}", second.instance))
                .cloned()
        })
        .filter(|namespace| report.contains(namespace.as_str()))
        .collect();
    world.holds(
        &["R-69", "R-187"],
        Orchestrator,
        "leak check of the first platform",
        "orchestrator hygiene --output json",
        "no namespace of the second platform",
        &report,
        foreign.is_empty() && report.contains("findings"),
    )?;
    Ok(())
}
