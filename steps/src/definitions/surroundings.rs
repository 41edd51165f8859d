//! What an agent finds around it: branch, folder, kubeconfig, credentials; and what is left of these when it is told to
//! stop.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cucumber::{given, then, when};
use fixtures::stories;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client,
    api::{EvictParams, ListParams, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use reports::evidence::ObservationSource::{Kubernetes, Postgres, Process};
use serde_json::{Value, json};

use crate::{
    definitions::{
        evictions::pods,
        outcome::{current_run, run_at_hand},
        setup::{bind, signal_file},
    },
    wait::{RUN_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// Keeps a Pod, and with it the folder of its processes, until it was looked at.
const HOLD: &str = "gonogo.dev/looks-at-it";
pub(super) const OWNER_ONLY: u32 = 0o600;

/// What the agent wrote.
pub(super) struct Notes {
    pub(super) credentials: PathBuf,
    branch: String,
    folder: String,
    kubeconfig: Option<PathBuf>,
}

#[given("a bound repository whose agent notes where it is and waits, with an open Issue")]
async fn notes_place(world: &mut GateWorld) -> Step {
    let (notes, signal) = (signal_file(world), signal_file(world));
    let files = stories::notes_its_place(&notes, &signal);
    world.remembered.insert("notes".to_owned(), notes);
    world.remembered.insert("signal".to_owned(), signal);
    Ok(bind(world, files).await?)
}

pub(super) async fn await_notes(world: &mut GateWorld) -> anyhow::Result<Notes> {
    current_run(world).await?;
    let path = world
        .remembered
        .get("notes")
        .cloned()
        .context("the agent writes no notes")?;
    let written = until("the notes of the agent", RUN_DEADLINE, async || {
        Ok(match std::fs::read_to_string(&path) {
            Ok(written) => Reading::Reached(written),
            Err(error) => Reading::NotYet(error.to_string()),
        })
    })
    .await?;
    let mut lines = written.lines().map(str::to_owned);
    let mut next = || lines.next().unwrap_or_default();
    Ok(Notes {
        credentials: next().into(),
        branch: next(),
        folder: next(),
        kubeconfig: Some(next()).filter(|path| !path.is_empty()).map(Into::into),
    })
}

/// Reads what a kubeconfig opens: its own namespace, and another one.
async fn reach(path: &Path, elsewhere: &str) -> anyhow::Result<String> {
    let config = Kubeconfig::read_from(path).context("failed to read the kubeconfig")?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default())
        .await
        .context("failed to use the kubeconfig")?;
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).context("failed to use the kubeconfig")?;
    let look = async |namespace: &str| {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        match maps.list(&ListParams::default().limit(1)).await {
            Ok(_) => "read".to_owned(),
            Err(kube::Error::Api(answer)) => answer.code.to_string(),
            Err(error) => error.to_string(),
        }
    };
    let (own, other) = (look(&namespace).await, look(elsewhere).await);
    Ok(format!("{namespace}: {own}, another: {other}"))
}

#[then("kubectl opens its namespace and no other, on the branch of the Issue in the prepared tree")]
async fn kubectl_works(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let notes = await_notes(world).await?;
    let run = current_run(world).await?;
    let path = notes
        .kubeconfig
        .clone()
        .context("the agent has no kubeconfig")?;
    world.equal(
        &["R-72"],
        Process,
        "rights on the kubeconfig",
        "the file that the agent's KUBECONFIG names",
        format!("{OWNER_ONLY:o}"),
        mode_of(&path)?,
    )?;
    let seen = reach(&path, "kube-system").await?;
    world.equal(
        &["R-72", "R-38"],
        Kubernetes,
        "ConfigMaps that its kubeconfig opens",
        "GET configmaps as the agent's kubectl",
        format!("{}: read, another: 403", text(&run, "namespace")?),
        seen,
    )?;
    // The process node mounts a volume by its own path.
    observe_tree(
        world,
        &run,
        &notes,
        "the volume with the prepared tree",
        |folder| folder.contains("/volumes/pvc-") && !folder.ends_with("/repo"),
    )
}

#[then("kubectl has no configuration, on the branch of the Issue in a tree of its own")]
async fn no_kubectl(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let notes = await_notes(world).await?;
    let run = current_run(world).await?;
    world.equal(
        &["R-72"],
        Process,
        "kubeconfig of the agent",
        "its variable KUBECONFIG",
        "none",
        notes
            .kubeconfig
            .as_ref()
            .map_or("none".to_owned(), |path| path.display().to_string()),
    )?;
    observe_tree(world, &run, &notes, "…/workspace/repo", |folder| {
        folder.ends_with("/workspace/repo")
    })
}

fn observe_tree(
    world: &mut GateWorld,
    run: &Value,
    notes: &Notes,
    expected: &str,
    is_expected: impl Fn(&str) -> bool,
) -> Step {
    let issue = world.place()?.issue;
    world.equal(
        &["R-73", "L-50"],
        Process,
        "branch that the agent works on",
        "git rev-parse --abbrev-ref HEAD of the agent",
        format!("codex/issue-{issue}"),
        notes.branch.clone(),
    )?;
    world.holds(
        &["R-74"],
        Process,
        &format!(
            "folder of the {} run",
            run["runtime_mode"].as_str().unwrap_or("-")
        ),
        "pwd of the agent",
        expected,
        &notes.folder,
        is_expected(&notes.folder),
    )?;
    Ok(())
}

pub(super) fn mode_of(path: &Path) -> anyhow::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let file =
        std::fs::metadata(path).with_context(|| format!("failed to look at {}", path.display()))?;
    Ok(format!("{:o}", file.permissions().mode() & 0o777))
}

pub(super) async fn pod_of(world: &mut GateWorld) -> anyhow::Result<(Api<Pod>, Pod)> {
    let (pods, of_run) = pods(world).await?;
    let found = pods.list(&of_run).await.context("failed to list Pods")?;
    let pod = found.items.into_iter().next();
    Ok((pods, pod.context("the run has no Pod")?))
}

async fn hold(pods: &Api<Pod>, name: &str, finalizers: &[&str]) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"finalizers": finalizers}});
    pods.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map(drop)
        .context("failed to change the finalizers of the Pod")
}

#[when("its Pod is told to stop while it works")]
async fn told_to_stop(world: &mut GateWorld) -> Step {
    let notes = await_notes(world).await?;
    let askpass = notes.credentials.join("askpass");
    if !askpass.exists() {
        return Err(anyhow::anyhow!("the agent was given no {}", askpass.display()).into());
    }
    let (pods, pod) = pod_of(world).await?;
    let name = pod.metadata.name.unwrap_or_default();
    let mut finalizers = pod.metadata.finalizers.unwrap_or_default();
    let mut held: Vec<&str> = finalizers.iter().map(String::as_str).collect();
    held.push(HOLD);
    hold(&pods, &name, &held).await?;
    pods.evict(&name, &EvictParams::default())
        .await
        .context("failed to evict the Pod")?;
    let ended = until(
        "the end of the agent's container",
        RUN_DEADLINE,
        async || {
            let pod = pods.get(&name).await?;
            let state = pod
                .status
                .and_then(|status| status.container_statuses)
                .and_then(|statuses| statuses.into_iter().next())
                .and_then(|status| status.state)
                .and_then(|state| state.terminated);
            Ok(match state {
                Some(ended) => Reading::Reached(ended.exit_code),
                None => Reading::NotYet("it runs".to_owned()),
            })
        },
    )
    .await;
    let is_left = notes.credentials.exists();
    finalizers.retain(|finalizer| finalizer != HOLD);
    let own: Vec<&str> = finalizers.iter().map(String::as_str).collect();
    hold(&pods, &name, &own).await?;
    let seen = format!("exit code {}, credentials there: {is_left}", ended?);
    world.remembered.insert("stopped".to_owned(), seen);
    Ok(())
}

#[then("it ended in time with its session saved and its credentials gone")]
async fn ended_in_time(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let run = run_at_hand(world).await?;
    let seen = world.remembered.get("stopped").cloned().unwrap_or_default();
    world.equal(
        &["R-71", "R-88"],
        Process,
        "end of the container, and the folder of the credentials that was there before",
        "the Pod's status; the file system",
        "exit code 143, credentials there: false",
        seen,
    )?;
    let events = world
        .platform()
        .database
        .events_of_run(&text(&run, "id")?)
        .await?;
    let saved = events
        .iter()
        .filter(|event| event["event_type"] == "run.agent.session.saved")
        .filter_map(|event| event["payload"]["status"].as_str())
        .next()
        .unwrap_or("none")
        .to_owned();
    world.equal(
        &["R-88"],
        Postgres,
        "first session that the run saved",
        "flow_events run.agent.session.saved of the run",
        "running",
        saved,
    )?;
    Ok(())
}
