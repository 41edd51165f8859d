//! What the services tell of themselves: metrics and logs.

use cucumber::then;
use reports::evidence::ObservationSource::{Orchestrator, Process};
use serde_json::Value;

use crate::{
    definitions::outcome::current_run,
    wait::{DECISION_DEADLINE, Reading, until},
    world::{GateWorld, Step, text},
};

/// The gauges are read anew every quarter of a minute.
const TOLD: [&str; 8] = [
    "codexk8s_webhook_requests_total{result=\"accepted\",event=\"issues\"}",
    "codexk8s_webhook_duration_seconds",
    "codexk8s_runs{status=\"succeeded\"}",
    "codexk8s_run_queue_wait_seconds",
    "codexk8s_run_duration_seconds",
    "codexk8s_slots{state=\"free\"}",
    "codexk8s_managed_namespaces{state=\"active\"}",
    "codexk8s_deploy_tasks{status=\"succeeded\"}",
];

#[then("every service is alive and ready and tells its metrics")]
async fn alive_and_measured(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let health = platform.health().await?;
    let metrics = platform.metrics().await?;
    let seen: Vec<String> = health
        .iter()
        .zip(&metrics)
        .map(|(health, (_, metrics))| {
            let state = health.split_once(": ").map_or("-", |(_, state)| state);
            let codes = state.split(' ').take(2).collect::<Vec<_>>().join(" ");
            format!("{codes} {}", metrics.contains("# TYPE "))
        })
        .collect();
    world.holds(
        &["R-178", "R-179", "R-180"],
        Orchestrator,
        "status of livez and readyz of each service, and whether it tells metrics",
        "GET /healthz, /readyz, /metrics",
        "three times 200 200 true",
        seen.join("; "),
        seen.len() == 3 && seen.iter().all(|line| line == "200 200 true"),
    )?;
    Ok(())
}

#[then("the metrics tell of the delivery, the run, its slot and its namespace")]
async fn metrics_tell(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let platform = world.platform();
    let missing = until("all metrics", DECISION_DEADLINE, async || {
        let texts = platform.metrics().await?;
        let lines: Vec<&str> = texts.iter().flat_map(|(_, text)| text.lines()).collect();
        let told = |wanted: &&&str| {
            !lines.iter().any(|line| {
                let value = line.rsplit(' ').next().unwrap_or("0");
                line.starts_with(**wanted) && value != "0"
            })
        };
        let missing: Vec<&str> = TOLD.iter().filter(told).copied().collect();
        Ok(if missing.is_empty() {
            Reading::Reached("none".to_owned())
        } else {
            Reading::NotYet(missing.join(", "))
        })
    })
    .await
    .unwrap_or_else(|error| format!("{error:#}"));
    world.equal(
        &["R-180"],
        Orchestrator,
        &format!("of {} the metrics that are missing or zero", TOLD.len()),
        "GET /metrics of every process",
        "none",
        missing,
    )?;
    Ok(())
}

#[then("every line that the services wrote is JSON, and lines about the run carry its id")]
async fn logs_are_json(world: &mut GateWorld, #[step] step: &gherkin::Step) -> Step {
    world.then(step);
    let id = text(&current_run(world).await?, "id")?;
    let logs = world.platform().logs().await?;
    let mut about_run = 0;
    let mut odd = Vec::new();
    for line in logs.lines().filter(|line| !line.is_empty()) {
        let entry: Value = serde_json::from_str(line).unwrap_or_default();
        let complete = ["timestamp", "level", "message"]
            .iter()
            .all(|key| entry[key].is_string());
        if !complete {
            odd.push(line.chars().take(80).collect::<String>());
        }
        if entry["run_id"] == id.as_str() {
            about_run += 1;
        }
    }
    let lines = logs.lines().count();
    world.holds(
        &["R-177"],
        Process,
        "lines without time, level and message, and lines with the id of the run",
        "the log files of the platform's processes",
        "none of many, and some",
        format!(
            "{} of {lines} [{}], and {about_run}",
            odd.len(),
            odd.first().map_or("", String::as_str)
        ),
        odd.is_empty() && lines > 0 && about_run > 0,
    )?;
    Ok(())
}
