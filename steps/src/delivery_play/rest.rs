//! When a platform rests in a repository: nothing is on its way, undecided, under way or still to be done.
use std::time::Duration;

use serde_json::Value;

use crate::{
    platform::Platform,
    wait::{Reading, until},
    world::GateWorld,
};

/// Longest wait for all that a person's act leads to, on a machine that plays many scenarios at once.
const REST_DEADLINE: Duration = Duration::from_secs(240);

/// What the platform has yet to do in a repository. An agent that has said that it waits for the scenario's word does
/// nothing ($2).
const OPEN_WORK: &str = "WITH own AS (SELECT delivery_id FROM webhook_deliveries WHERE repository_full_name = $1), \
     projects AS (SELECT project_id FROM repositories WHERE owner || '/' || name = $1), \
     runs AS (SELECT id, CASE WHEN $2::text::boolean AND EXISTS (SELECT 1 FROM flow_events e \
     WHERE e.event_type = 'run.agent.status_reported' AND e.payload ->> 'run_id' = agent_runs.id::text \
     AND e.payload ->> 'status_text' = 'Waiting') AND status = 'running' THEN 'succeeded' ELSE status END AS status \
     FROM agent_runs WHERE repository_full_name = $1) \
     SELECT jsonb_build_object( \
     'undecided', (SELECT count(*) FROM webhook_deliveries WHERE repository_full_name = $1 AND status = 'processing'), \
     'runs', (SELECT count(*) FROM runs WHERE status NOT IN ('succeeded', 'failed', 'canceled')), \
     'effects', (SELECT count(*) FROM outbox_effects WHERE state = 'pending' \
     AND (delivery_id IN (SELECT delivery_id FROM own) OR run_id IN (SELECT id FROM runs) \
     OR (delivery_id IS NULL AND run_id IS NULL AND project_id IN (SELECT project_id FROM projects)))))";

/// Waits until the platform rests, with what a transform keeps left out.
///
/// The database is read before and after GitHub: what leaves the one has arrived at the other by then, or was
/// decided without a consequence.
pub(crate) async fn rest(world: &mut GateWorld) -> anyhow::Result<()> {
    let repository = world.place()?.repository;
    let platform = world.platform();
    let gate = world.gate.clone();
    // An agent that waits for a word that was given is at work.
    let signal = world.remembered.get("signal");
    let waits = signal.is_some_and(|file| !std::path::Path::new(file).exists());
    until("rest of the platform", REST_DEADLINE, async || {
        if let Some(work) = open_work(&platform, &repository, waits).await? {
            return Ok(Reading::NotYet(work));
        }
        let held = gate
            .plays()
            .and_then(|plays| plays.held(&gate.github, &repository));
        let unanswered: Vec<u64> = gate
            .github
            .unanswered(&repository)
            .into_iter()
            .filter(|id| Some(*id) != held)
            .collect();
        if !unanswered.is_empty() {
            return Ok(Reading::NotYet(format!(
                "deliveries without an answer: {unanswered:?}"
            )));
        }
        Ok(match open_work(&platform, &repository, waits).await? {
            Some(work) => Reading::NotYet(work),
            None => Reading::Reached(()),
        })
    })
    .await
}

async fn open_work(
    platform: &Platform,
    repository: &str,
    waits: bool,
) -> anyhow::Result<Option<String>> {
    let waits = waits.to_string();
    let rows = platform
        .database
        .rows(OPEN_WORK, &[repository, &waits])
        .await?;
    let work = rows.into_iter().next().unwrap_or_default();
    let nothing = work
        .as_object()
        .is_some_and(|counts| counts.values().all(|count| count == &Value::from(0)));
    Ok((!nothing).then(|| work.to_string()))
}
