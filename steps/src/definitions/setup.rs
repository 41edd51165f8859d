//! What a scenario starts from.

use std::collections::BTreeMap;

use cucumber::given;
use fixtures::stories;

use crate::{
    definitions::{labels::set_label, outcome::await_end},
    place::{self, unbound_repository},
    platform::PlatformSpec,
    world::{GateWorld, Step},
};

pub async fn bind(world: &mut GateWorld, files: BTreeMap<String, String>) -> anyhow::Result<()> {
    let platform = world.platform();
    let gate = world.gate.clone();
    let place = unbound_repository(&gate, files).await?;
    crate::delivery_play::begin(world, &place.repository)?;
    let place = place::bind(&gate, &platform, place).await?;
    world.set_place(place);
    Ok(())
}

#[given("a bound repository with an open Issue")]
async fn a_bound_repository(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::works()).await?)
}

#[given(
    expr = "a bound repository whose services.yaml runs {string} in {string} mode, with an open Issue"
)]
async fn runs_in_mode(world: &mut GateWorld, kind: String, mode: String) -> Step {
    let mut files = stories::works();
    let policy = format!(
        "apiVersion: codex-k8s.dev/v1alpha1\nkind: ServiceStack\nmetadata:\n  name: shop\nspec:\n  webhookRuntime:\n    triggerModes:\n      {kind}: {mode}\n"
    );
    files.insert("services.yaml".to_owned(), policy);
    Ok(bind(world, files).await?)
}

#[given(expr = "a bound repository whose agent changes {string}, with an open Issue")]
async fn agent_changes(world: &mut GateWorld, path: String) -> Step {
    Ok(bind(world, stories::changes_only(&path)).await?)
}

#[given(expr = "a bound repository whose agent reports the risk {string}, with an open Issue")]
async fn agent_reports_risk(world: &mut GateWorld, signal: String) -> Step {
    Ok(bind(world, stories::reports_risk(&signal)).await?)
}

#[given(expr = "a bound repository whose agent changes {int} forbidden paths, with an open Issue")]
async fn agent_changes_many(world: &mut GateWorld, count: usize) -> Step {
    Ok(bind(world, stories::changes_forbidden_paths(count)).await?)
}

#[given(expr = "a bound repository whose agent changes only {string}, with an open Issue")]
async fn agent_changes_only(world: &mut GateWorld, path: String) -> Step {
    Ok(bind(world, stories::changes_only(&path)).await?)
}

/// Numbers count Issues and pull requests: the first Issue is 1, its pull request 2.
#[given("a bound repository whose plans go into the pull request of the first Issue")]
async fn plans_elsewhere(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::plans_in(2)).await?)
}

/// Numbers count Issues and pull requests: the first Issue is 1, its pull request 2.
#[given(
    "a bound repository that is developed in the pull request of the first Issue, and whose agent waits when it revises"
)]
async fn developed_elsewhere(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(bind(world, stories::develops_in(2, &signal)).await?)
}

#[given(expr = "a finished {string} run with the same pull request")]
async fn finished_with_the_same(world: &mut GateWorld, label: String) -> Step {
    let before = world.pull_request;
    finish_run(world, &label).await?;
    if world.pull_request != before || before.is_none() {
        let seen = world.pull_request;
        return Err(anyhow::anyhow!("the run has pull request {seen:?}, not {before:?}").into());
    }
    Ok(())
}

#[given("a bound repository whose agent fails, with an open Issue")]
async fn agent_fails(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::fails()).await?)
}

#[given("a bound repository whose agent writes nothing, with an open Issue")]
async fn agent_writes_nothing(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::writes_nothing()).await?)
}

#[given("a bound repository whose branch vanishes while the agent revises, with an open Issue")]
async fn branch_vanishes(world: &mut GateWorld) -> Step {
    Ok(bind(world, stories::branch_vanishes_on_revise()).await?)
}

#[given("a bound repository whose agent waits, with an open Issue")]
async fn agent_waits(world: &mut GateWorld) -> Step {
    Ok(agent_waits_for_signal(world).await?)
}

#[given("a bound repository whose agent waits when it improves itself, with an open Issue")]
async fn agent_waits_to_improve(world: &mut GateWorld) -> Step {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    Ok(bind(world, stories::waits_to_improve(&signal)).await?)
}

/// A bound repository whose agent waits for a file before it works.
pub async fn agent_waits_for_signal(world: &mut GateWorld) -> anyhow::Result<()> {
    let signal = signal_file(world);
    world.remembered.insert("signal".to_owned(), signal.clone());
    bind(world, stories::waits_for(&signal)).await
}

/// A file that no other scenario uses; the agent goes on when it exists.
pub fn signal_file(world: &GateWorld) -> String {
    world
        .gate
        .signals
        .join(uuid::Uuid::new_v4().simple().to_string())
        .display()
        .to_string()
}

#[given("a repository with our webhook that is bound to no project")]
async fn an_unbound_repository(world: &mut GateWorld) -> Step {
    let platform = world.platform();
    let mut place = unbound_repository(&world.gate.clone(), stories::works()).await?;
    place
        .maintainer
        .add_webhook(
            &place.repository,
            &platform.webhook_url(),
            &platform.webhook_secret(),
        )
        .await?;
    place.issue = place
        .member
        .open_issue(&place.repository, "Greet the visitor", "")
        .await?;
    world.set_place(place);
    Ok(())
}

#[given("a platform of its own")]
async fn own_platform(world: &mut GateWorld) -> Step {
    lease(world, PlatformSpec::default()).await
}

#[given(expr = "a platform with {int} workers")]
async fn platform_with_workers(world: &mut GateWorld, workers: usize) -> Step {
    lease(
        world,
        PlatformSpec {
            workers,
            ..PlatformSpec::default()
        },
    )
    .await
}

#[given("a platform with two replicas of every process")]
async fn platform_with_replicas(world: &mut GateWorld) -> Step {
    lease(
        world,
        PlatformSpec {
            workers: 2,
            replicas: 2,
            ..PlatformSpec::default()
        },
    )
    .await
}

#[given(expr = "a platform whose dev label is configured as {string}")]
async fn platform_with_label(world: &mut GateWorld, label: String) -> Step {
    configured(world, [("CODEXK8S_RUN_DEV_LABEL", label.as_str())]).await
}

#[given("a platform without a public address")]
async fn platform_without_address(world: &mut GateWorld) -> Step {
    // An empty value would be the default one; this is an address without a host.
    configured(world, [("CODEXK8S_PUBLIC_BASE_URL", "/")]).await
}

/// Whatever then happens in less than an hour was not found by polling.
#[given("a platform that polls once an hour")]
async fn platform_that_polls_hourly(world: &mut GateWorld) -> Step {
    configured(
        world,
        [
            ("CODEXK8S_WORKER_POLL_INTERVAL", "1h"),
            ("CODEXK8S_WORKER_HEARTBEAT_INTERVAL", "1h"),
            ("CODEXK8S_WORKER_RUNTIME_PREPARE_RETRY_INTERVAL", "1h"),
            ("CODEXK8S_WORKER_RUNTIME_PREPARE_RETRY_TIMEOUT", "4h"),
            // Longer than a heartbeat, or the platform refuses to start.
            ("CODEXK8S_WORKER_INSTANCE_TTL", "4h"),
        ],
    )
    .await
}

pub async fn configured<const N: usize>(
    world: &mut GateWorld,
    settings: [(&str, &str); N],
) -> Step {
    let settings = settings
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    lease(
        world,
        PlatformSpec {
            settings,
            ..PlatformSpec::default()
        },
    )
    .await
}

async fn lease(world: &mut GateWorld, spec: PlatformSpec) -> Step {
    if world.deadly.is_some() {
        // A play with a death has its own from the start.
        return Ok(());
    }
    let platform = world
        .gate
        .clone()
        .platforms
        .lease(spec, &world.key.scenario)
        .await?;
    world.use_own_platform(platform);
    Ok(())
}

#[given(expr = "a finished {string} run with its pull request")]
async fn a_finished_run(world: &mut GateWorld, label: String) -> Step {
    finish_run(world, &label).await?;
    Ok(())
}

/// Starts a run by label, waits for its success and remembers it as the run before.
pub async fn finish_run(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    set_label(world, label).await?;
    let run = await_end(world).await?;
    anyhow::ensure!(
        run["status"] == "succeeded",
        "the run before did not succeed: {run}"
    );
    let place = world.place()?;
    if let Some(number) = run["pr_number"].as_u64() {
        world.pull_request = Some(number);
        world.commits_before = place.member.commits(&place.repository, number).await?.len();
    }
    crate::definitions::labels::await_labels_settled(world, &run).await?;
    world.previous_run = world.take_run();
    Ok(())
}

#[given(expr = "a finished {string} run whose pull request was merged")]
async fn a_merged_run(world: &mut GateWorld, label: String) -> Step {
    finish_run(world, &label).await?;
    let place = world.place()?;
    let number = world
        .pull_request
        .ok_or_else(|| anyhow::anyhow!("the run made no pull request"))?;
    place.member.merge(&place.repository, number).await?;
    Ok(())
}

#[given(expr = "a running {string} run")]
async fn a_running_run(world: &mut GateWorld, label: String) -> Step {
    Ok(a_running_run_with(world, &label).await?)
}

/// Sets the label and waits until its agent works.
pub async fn a_running_run_with(world: &mut GateWorld, label: &str) -> anyhow::Result<()> {
    set_label(world, label).await?;
    crate::definitions::outcome::await_event(world, "run.agent.ready").await?;
    Ok(())
}

#[given("the member has closed the Issue")]
async fn closed_issue(world: &mut GateWorld) -> Step {
    let place = world.place()?;
    place
        .member
        .edit_issue(
            &place.repository,
            place.issue,
            serde_json::json!({"state": "closed"}),
        )
        .await?;
    Ok(())
}
