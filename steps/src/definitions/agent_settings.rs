//! What an agent's process needs to begin, and the configuration that it writes for its command line.

use anyhow::Context;
use cucumber::{then, when};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, LogParams, PostParams},
};
use reports::evidence::ObservationSource::{Github, Kubernetes, Postgres, Process};

use crate::{
    definitions::{
        credentials::{SHORTEST_SECRET, values_in},
        outcome::{await_event, run_at_hand},
        surroundings::{OWNER_ONLY, await_notes, mode_of, pod_of},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Without one of these nothing may begin.
const REQUIRED: [&str; 10] = [
    "CODEXK8S_RUN_ID",
    "CODEXK8S_CORRELATION_ID",
    "CODEXK8S_REPOSITORY_FULL_NAME",
    "CODEXK8S_AGENT_KEY",
    "CODEXK8S_CONTROL_PLANE_URL",
    "CODEXK8S_MCP_BASE_URL",
    "CODEXK8S_MCP_BEARER_TOKEN",
    "CODEXK8S_GIT_BOT_USERNAME",
    "CODEXK8S_GIT_BOT_MAIL",
    "CODEXK8S_GIT_BOT_TOKEN",
];
/// Key under which a scenario keeps what became of the copies.
const COPIES: &str = "copies without a setting";

fn copy_without(pod: &Pod, setting: &str) -> anyhow::Result<Pod> {
    let mut spec = pod.spec.clone().context("the Pod has no spec")?;
    spec.node_name = None;
    let agent = spec
        .containers
        .first_mut()
        .context("the Pod has no container")?;
    let variables = agent.env.get_or_insert_default();
    let before = variables.len();
    variables.retain(|variable| variable.name != setting);
    anyhow::ensure!(
        variables.len() + 1 == before,
        "the agent's container has no {setting}"
    );
    let suffix = setting
        .trim_start_matches("CODEXK8S_")
        .to_lowercase()
        .replace('_', "-");
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(format!("without-{suffix}")),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    })
}

/// Exit code of the only container, once it ended.
async fn exit_code(pods: &Api<Pod>, name: &str) -> anyhow::Result<i32> {
    until("the end of the copy", RUN_DEADLINE, async || {
        let status = pods.get(name).await?.status.unwrap_or_default();
        let ended = status
            .container_statuses
            .iter()
            .flatten()
            .find_map(|container| container.state.as_ref()?.terminated.as_ref());
        Ok(match ended {
            Some(ended) => Reading::Reached(ended.exit_code),
            None => Reading::NotYet(status.phase.unwrap_or_default()),
        })
    })
    .await
}

#[when("copies of its Pod start while it works, each without one of the settings that a run needs")]
async fn copies(world: &mut GateWorld) -> Step {
    await_notes(world).await?;
    let (pods, pod) = pod_of(world).await?;
    for setting in REQUIRED {
        let copy = copy_without(&pod, setting)?;
        pods.create(&PostParams::default(), &copy)
            .await
            .with_context(|| format!("failed to make {}", copy.name_any()))?;
    }
    let mut became = Vec::new();
    for setting in REQUIRED {
        let name = copy_without(&pod, setting)?.name_any();
        let code = exit_code(&pods, &name).await?;
        let log = pods
            .logs(&name, &LogParams::default())
            .await
            .with_context(|| format!("failed to read the log of {name}"))?;
        let told = if log.contains(&format!("invalid setting {setting}: it is required")) {
            "named"
        } else {
            "not named"
        };
        became.push(format!("{setting}: {code}, {told}"));
        pods.delete(&name, &DeleteParams::default())
            .await
            .with_context(|| format!("failed to delete {name}"))?;
    }
    world
        .remembered
        .insert(COPIES.to_owned(), became.join("; "));
    Ok(())
}

#[then("each copy ended with exit code 1 and named what it lacks, and nothing was told or pushed")]
async fn copies_ended(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let seen = world.remembered.get(COPIES).cloned().unwrap_or_default();
    world.equal(
        &["R-70", "R-86"],
        Kubernetes,
        "exit codes of the copies, and what their logs name",
        "GET pods/without-…, pods/without-…/log",
        REQUIRED
            .map(|setting| format!("{setting}: 1, named"))
            .join("; "),
        seen,
    )?;
    let id = text(&run_at_hand(world).await?, "id")?;
    let events = world.platform().database.events_of_run(&id).await?;
    let started = events
        .iter()
        .filter(|event| event["event_type"] == "run.agent.started")
        .count();
    // The one that works is the positive control.
    world.equal(
        &["R-70"],
        Postgres,
        "agents of the run that began",
        "flow_events run.agent.started of the run",
        1,
        started,
    )?;
    let place = world.place()?;
    let branches = place.member.branches(&place.repository).await?;
    world.equal(
        &["R-70"],
        Github,
        "branches of the repository",
        "GET /repos/…/branches",
        "main",
        branches.join(", "),
    )?;
    Ok(())
}

#[then("the configuration of its command line is open to its owner alone and holds no secret")]
async fn configuration(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let notes = await_notes(world).await?;
    await_event(world, "run.agent.ready").await?;
    let path = notes.credentials.join("codex/config.toml");
    world.equal(
        &["R-77"],
        Process,
        "rights on the configuration",
        "config.toml in the CODEX_HOME of the agent",
        format!("{OWNER_ONLY:o}"),
        mode_of(&path)?,
    )?;
    let written = tokio::fs::read_to_string(&path)
        .await
        .with_context(|| format!("failed to read {}", path.display()))?;
    let run = run_at_hand(world).await?;
    let mut secrets = values_in(world, &text(&run, "job_namespace")?).await?;
    secrets.extend(world.platform().secret_values());
    secrets.retain(|(_, value)| value.len() >= SHORTEST_SECRET);
    let held: Vec<&str> = secrets
        .iter()
        .filter(|(_, value)| written.contains(value.as_str()))
        .map(|(name, _)| name.as_str())
        .collect();
    let says = |line: &str| written.lines().filter(|written| *written == line).count();
    // The names of what is asked for show that this is the file which the command line reads.
    world.equal(
        &["R-77"],
        Process,
        "lines of approvals, sandbox and the variable with the token of the tools; secrets in the file",
        "config.toml in the CODEX_HOME of the agent",
        "1, 1, 1; none",
        format!(
            "{}, {}, {}; {}",
            says("approval_policy = \"never\""),
            says("sandbox_mode = \"danger-full-access\""),
            says("bearer_token_env_var = \"CODEXK8S_MCP_BEARER_TOKEN\""),
            if held.is_empty() { "none".to_owned() } else { held.join(", ") },
        ),
    )?;
    let (_, pod) = pod_of(world).await?;
    let phase = pod
        .status
        .and_then(|status| status.phase)
        .unwrap_or_default();
    world.equal(
        &["R-70"],
        Kubernetes,
        "Pod of the agent meanwhile",
        "GET pods by run-id",
        "Running",
        phase,
    )?;
    Ok(())
}
