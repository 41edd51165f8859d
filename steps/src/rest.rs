//! When a platform rests in a repository: nothing is on its way, undecided, under way or still to be done.
//! Both those who repeat a scenario and those who walk ask it, of the same tables.
use std::time::Duration;

use serde_json::Value;

use crate::{
    hub::Hub,
    platform::Platform,
    wait::{Reading, until},
};

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

/// Whose rest is awaited, and what is allowed to go on meanwhile.
pub(crate) struct Rest<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) github: &'a Hub,
    pub(crate) repository: &'a str,
    /// Runs may be under way.
    pub(crate) with_runs: bool,
    /// Agents of the scenario wait for a word that nobody has given.
    pub(crate) agents_wait: bool,
    /// The delivery that a transform keeps back by now.
    pub(crate) held: &'a (dyn Fn() -> Option<u64> + Sync),
}

impl Rest<'_> {
    /// Waits for it.
    ///
    /// The database is read before and after GitHub: what leaves the one has arrived at the other by then, or was
    /// decided without a consequence.
    pub(crate) async fn reached(&self, deadline: Duration) -> anyhow::Result<()> {
        until("rest of the platform", deadline, async || {
            if let Some(work) = self.open_work().await? {
                return Ok(Reading::NotYet(work));
            }
            let mut unanswered = self.github.unanswered(self.repository);
            let held = (self.held)();
            unanswered.retain(|id| Some(*id) != held);
            if !unanswered.is_empty() {
                let text = format!("deliveries without an answer: {unanswered:?}");
                return Ok(Reading::NotYet(text));
            }
            Ok(match self.open_work().await? {
                Some(work) => Reading::NotYet(work),
                None => Reading::Reached(()),
            })
        })
        .await
    }

    async fn open_work(&self) -> anyhow::Result<Option<String>> {
        let database = &self.platform.database;
        let waits = self.agents_wait.to_string();
        let rows = database.rows(OPEN_WORK, &[self.repository, &waits]).await?;
        let work = rows.into_iter().next().unwrap_or_default();
        let nothing = work.as_object().is_some_and(|counts| {
            counts
                .iter()
                .all(|(what, count)| count == &Value::from(0) || (self.with_runs && what == "runs"))
        });
        Ok((!nothing).then(|| work.to_string()))
    }
}
