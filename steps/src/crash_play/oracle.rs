//! What must hold whatever dies: nothing lost, nothing doubled, nothing left behind (E-44).
//!
//! Read from GitHub, the API server's audit log and Postgres, never from what the platform says of itself.
use std::collections::BTreeSet;

use serde_json::Value;

use crate::{hub::Hub, platform::Platform, world::GateWorld};

/// Deliveries that GitHub sent for the repository and that no row knows.
pub(super) async fn not_stored(
    platform: &Platform,
    github: &Hub,
    repository: &str,
) -> anyhow::Result<Vec<String>> {
    let query = "SELECT to_jsonb(delivery_id) FROM webhook_deliveries";
    let rows = platform.database.rows(query, &[]).await?;
    let stored: BTreeSet<&str> = rows.iter().filter_map(Value::as_str).collect();
    Ok(github
        .deliveries(repository)
        .into_iter()
        .map(|delivery| delivery.guid)
        .filter(|guid| !stored.contains(guid.as_str()))
        .collect())
}

/// A run with what is told of it.
const RUNS: &str = "SELECT jsonb_build_object('id', r.id, 'status', r.status, 'job', r.job_name, \
     'started', (SELECT count(*) FROM flow_events e WHERE e.event_type = 'run.started' AND e.run_id = r.id), \
     'ended', (SELECT count(*) FROM flow_events e WHERE (e.event_type IN ('run.succeeded', 'run.canceled') OR e.event_type LIKE 'run.failed%') \
     AND e.run_id = r.id)) \
     FROM agent_runs r WHERE r.repository_full_name = $1 ORDER BY r.created_at, r.id";

/// Deliveries whose outcome is told more or less often than once.
const OUTCOMES: &str = "SELECT jsonb_build_object('delivery', d.delivery_id, 'status', d.status, 'told', (SELECT count(*) FROM flow_events e \
     WHERE e.correlation_id = d.delivery_id AND e.event_type IN ('webhook.received', 'webhook.ignored'))) \
     FROM webhook_deliveries d WHERE d.repository_full_name = $1";

/// Effects of runs and of deliveries that wait though the platform rests, or were given up.
const EFFECTS: &str = "SELECT jsonb_build_object('kind', kind, 'state', state) FROM outbox_effects WHERE state <> 'done' \
     AND (run_id IN (SELECT id FROM agent_runs WHERE repository_full_name = $1) \
     OR delivery_id IN (SELECT delivery_id FROM webhook_deliveries WHERE repository_full_name = $1))";

/// Slots of the platform, which is the scenario's own, that are leased though no run is active.
const SLOTS: &str = "SELECT to_jsonb(s) FROM slots s WHERE s.state = 'leased' \
     AND NOT EXISTS (SELECT 1 FROM agent_runs r WHERE r.status NOT IN ('succeeded', 'failed', 'canceled'))";

/// What was lost, doubled or left behind in the repository of the scenario, a line each.
pub(super) async fn faults(
    world: &mut GateWorld,
    platform: &Platform,
) -> anyhow::Result<Vec<String>> {
    let repository = world.place()?.repository;
    let mut faults: Vec<String> = not_stored(platform, &world.gate.github, &repository)
        .await?
        .into_iter()
        .map(|guid| format!("delivery {guid} was lost"))
        .collect();
    let database = &platform.database;
    for row in database.rows(OUTCOMES, &[&repository]).await? {
        if row["told"] != 1 || row["status"] == "processing" {
            faults.push(format!("the outcome of a delivery is not told once: {row}"));
        }
    }
    for run in database.rows(RUNS, &[&repository]).await? {
        let terminal = matches!(
            run["status"].as_str(),
            Some("succeeded" | "failed" | "canceled")
        );
        if run["ended"].as_u64() != Some(u64::from(terminal)) {
            faults.push(format!("the end of a run is not told once: {run}"));
        }
        if run["started"].as_u64() > Some(1) {
            faults.push(format!("the start of a run is told twice: {run}"));
        }
        if let Some(job) = run["job"].as_str() {
            let created = world.gate.audit.writes("create", "jobs", job).await?.len();
            if created > 1 {
                faults.push(format!("the Job {job} was created {created} times"));
            }
        }
    }
    for effect in database.rows(EFFECTS, &[&repository]).await? {
        faults.push(format!("an effect is not done: {effect}"));
    }
    for slot in database.rows(SLOTS, &[]).await? {
        faults.push(format!("a slot is leased to nobody: {slot}"));
    }
    let leaks = platform.hygiene().await?;
    let findings = leaks["findings"].as_array().into_iter().flatten();
    faults.extend(findings.map(|finding| format!("left behind: {finding}")));
    Ok(faults)
}
