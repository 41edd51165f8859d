//! How fast a full queue starts: 1,000 queued code-only runs over 500 projects, with one worker and with three, until
//! the Job of each exists. Beside them, in the same run, a bare Kubernetes client makes the same Jobs.
//!
//! `cargo bench --profile dev --bench queue`; `GONOGO_BENCH_RUNS` (1000) sets the size. The
//! node takes no Pods meanwhile: what is measured is how runs start, not what agents do. The queue is written as rows.

#[path = "queue/bare_jobs.rs"]
mod bare_jobs;
#[path = "queue/queued.rs"]
mod queued;

use std::process::ExitCode;

use anyhow::Context;
use bare_jobs::BareJobs;
use gonogo::gate::{self, Running, Wanted};
use gonogo::progress::Reporter;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use queued::{Queue, RUNS_PER_PROJECT};
use reports::evidence::Recorder;
use serde_json::json;
use steps::platform::PlatformSpec;

/// At least this part of the bare client's rate is wanted.
const TARGET_RATIO: f64 = 0.7;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(bench()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a target was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("queue: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn size(variable: &str, usual: usize) -> anyhow::Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .ok()
            .filter(|size| *size > 0)
            .with_context(|| format!("failed to read {variable}: expected a positive number")),
        Err(_) => Ok(usual),
    }
}

/// True when every target was met.
async fn bench() -> anyhow::Result<bool> {
    let runs = size("GONOGO_BENCH_RUNS", 1_000)?;
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let run_id = bootstrap::runs::new_run_id();
    let reporter = Reporter::new(false);
    let recorder = Recorder::create(&folder.path().join("bundle"), &run_id)?;
    let running = gate::bring_up(&run_id, recorder, &reporter, Wanted::default())
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()))?;
    let measured = measure(&running, runs).await;
    let down = gate::take_down(running, &reporter)
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()));
    let met = measured?;
    down?;
    Ok(met)
}

async fn measure(running: &Running, runs: usize) -> anyhow::Result<bool> {
    let gate = &running.gate;
    let with = |workers: usize| PlatformSpec {
        workers,
        ..PlatformSpec::default()
    };
    // One after the other, and the floor before each, so that a busy moment of the machine shows.
    let mut rates = Vec::new();
    for workers in [1, 3] {
        let platform = gate.platforms.lease(with(workers), "queue").await?;
        let queue = Queue::prepare(gate, &platform, runs).await?;
        let bare = BareJobs::like(&gate.kube, &queue.pattern).await?;
        cordon(running, true).await?;
        rates.push((bare.rate(runs).await?, queue.rate(gate, runs).await?));
        cordon(running, false).await?;
    }
    let (first, by_one) = rates[0];
    let (second, by_three) = rates[1];
    let projects = runs.div_ceil(RUNS_PER_PROJECT);
    let floor = first.midpoint(second);
    println!(
        "{runs} queued code-only runs over {projects} projects; real API server and Postgres; GitHub is a stand-in; the node takes no Pods"
    );
    println!(
        "bare client, {} requests at once:  {floor:>6.1} Jobs a second",
        bare_jobs::AT_ONCE
    );
    println!("one worker:                       {by_one:>6.1} Jobs a second");
    println!("three workers:                    {by_three:>6.1} Jobs a second");
    println!(
        "ratios: one worker / bare client {:.2}, wanted >= {TARGET_RATIO}; three workers / one {:.2}, wanted >= 1.00",
        by_one / floor,
        by_three / by_one,
    );
    Ok(by_one >= TARGET_RATIO * floor && by_three >= by_one)
}

/// Whether no Pod finds a node from now on.
async fn cordon(running: &Running, is_closed: bool) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(running.gate.kube.clone());
    for node in nodes.list(&ListParams::default()).await?.items {
        let name = node.metadata.name.context("a node has a name")?;
        let patch = json!({"spec": {"unschedulable": is_closed}});
        nodes
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .with_context(|| format!("failed to cordon {name}"))?;
    }
    Ok(())
}
