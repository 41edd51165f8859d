//! Governance at scale: approvals that many people decide at once over several processes, run tokens that are wrong in
//! one thing, and what a call of a tool costs that touches nothing outside.
//!
//! `cargo bench --profile dev --bench governance`; `GONOGO_BENCH_APPROVALS`, `GONOGO_BENCH_TOKENS` and
//! `GONOGO_BENCH_CALLS` set the sizes (1000, 2000, 1000). The runs are rows without a Job: what is measured is who may
//! decide, once, and not how runs begin.

#[path = "governance/decisions.rs"]
mod decisions;
#[path = "governance/runs.rs"]
mod runs;
#[path = "shared/samples.rs"]
mod samples;
#[path = "governance/tokens.rs"]
mod tokens;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use gonogo::gate::{self, Running, Wanted};
use gonogo::progress::Reporter;
use reports::evidence::Recorder;
use runs::Runs;
use samples::Samples;
use serde_json::json;
use steps::agent_tools::AgentTools;
use steps::platform::{Platform, PlatformSpec};

/// Gateways and control planes.
const PROCESSES: usize = 3;
/// Calls side by side while there is nothing to measure yet.
const SIDE_BY_SIDE: usize = 8;
/// Longest that a call of a tool may take at p95, milliseconds.
const TARGET_CALL: f64 = 20.0;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(bench()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a target was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("governance: {error:#}");
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
    let approvals = size("GONOGO_BENCH_APPROVALS", 1_000)?;
    let wrong_tokens = size("GONOGO_BENCH_TOKENS", 2_000)?;
    let calls = size("GONOGO_BENCH_CALLS", 1_000)?;
    let folder = tempfile::tempdir().context("failed to make a folder")?;
    let run_id = bootstrap::runs::new_run_id();
    let reporter = Reporter::new(false);
    let recorder = Recorder::create(&folder.path().join("bundle"), &run_id)?;
    let running = gate::bring_up(&run_id, recorder, &reporter, Wanted::default())
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()))?;
    let measured = measure(&running, approvals, wrong_tokens, calls).await;
    let down = gate::take_down(running, &reporter)
        .await
        .map_err(|failure| anyhow::anyhow!(failure.sentence()));
    let met = measured?;
    down?;
    Ok(met)
}

async fn measure(
    running: &Running,
    approvals: usize,
    wrong_tokens: usize,
    calls: usize,
) -> anyhow::Result<bool> {
    let spec = PlatformSpec {
        // Nobody starts these runs, and nobody misses their Jobs.
        workers: 0,
        replicas: PROCESSES,
        ..PlatformSpec::default()
    };
    let platform = running.gate.platforms.lease(spec, "governance").await?;
    println!(
        "{PROCESSES} gateways and {PROCESSES} control planes; real Postgres; GitHub is a stand-in; runs are rows without a Job"
    );
    let runs = Runs::make(&running.gate, &platform, approvals).await?;
    // Before anything waits for a decision: a run that is idle is the usual one.
    let call_met = call_cost(&platform, &runs, calls).await?;
    let token_met = tokens::none_is_accepted(&platform, &runs, wrong_tokens).await?;
    let decided_met = decisions::each_has_one_effect(&running.gate, &platform, &runs).await?;
    Ok(call_met && token_met && decided_met)
}

/// One agent per run, each at the next process.
fn agents(platform: &Platform, runs: &Runs) -> anyhow::Result<Vec<AgentTools>> {
    let urls = &platform.lane().mcp_replica_urls;
    runs.all
        .iter()
        .zip(urls.iter().cycle())
        .map(|(run, url)| AgentTools::with_token(url, &runs.token(run)?))
        .collect()
}

/// `database.lifecycle` asked for a database that is not there, one call after the other: token, run, role, arguments,
/// registry and two events. Beside it the cheapest answer that the same server gives.
async fn call_cost(platform: &Platform, runs: &Runs, calls: usize) -> anyhow::Result<bool> {
    let agents = agents(platform, runs)?;
    // The first call of a connection opens it.
    stream::iter(&agents)
        .map(|agent| async move { agent.get().await.map(drop) })
        .buffer_unordered(SIDE_BY_SIDE)
        .try_collect::<()>()
        .await?;
    let (mut nothing, mut whole) = (Vec::new(), Vec::new());
    for (number, agent) in agents.iter().cycle().take(calls).enumerate() {
        let began = Instant::now();
        let refused = agent.get().await?;
        nothing.push(began.elapsed().as_secs_f64() * 1_000.0);
        anyhow::ensure!(
            refused.status == 405,
            "a GET was answered {}",
            refused.status
        );
        let question = json!({
            "environment": "dev", "action": "describe", "database_name": format!("shop_{number}"),
        });
        let began = Instant::now();
        let told = agent.call("database.lifecycle", question).await?;
        whole.push(began.elapsed().as_secs_f64() * 1_000.0);
        anyhow::ensure!(
            told.summary() == "not_found database_not_registered",
            "a question was answered {}",
            told.body
        );
    }
    let (nothing, whole) = (Samples::of(nothing), Samples::of(whole));
    println!(
        "database.lifecycle describe, {calls} calls one after the other: p50 {:.1} ms, p95 {:.1} ms, wanted: p95 <= {TARGET_CALL} ms; a refused GET beside it: p50 {:.1} ms, p95 {:.1} ms",
        whole.median(),
        whole.percentile(95),
        nothing.median(),
        nothing.percentile(95),
    );
    Ok(whole.percentile(95) <= TARGET_CALL)
}
