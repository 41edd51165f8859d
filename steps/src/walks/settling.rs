//! When a move is over: its deliveries are decided, what follows is done and has been told, and a run that must have
//! ended has ended.

use reference::Run;
use serde_json::Value;

use super::{acting::Told, ground::Ground};
use crate::{
    place::Delivery,
    rest::Rest,
    wait::{DECISION_DEADLINE, RUN_DEADLINE, Reading, until},
};

const RUNS: &str = "SELECT to_jsonb(r) - 'run_payload' FROM agent_runs r WHERE repository_full_name = $1 \
     AND NOT deploy_only ORDER BY created_at, id";

const TERMINAL: [&str; 3] = ["succeeded", "failed", "canceled"];

pub(super) fn is_active(run: &Value) -> bool {
    let status = run["status"].as_str().unwrap_or_default();
    !TERMINAL.contains(&status)
}

impl Ground {
    /// Runs of people's doing, oldest first.
    pub(super) async fn runs(&self) -> anyhow::Result<Vec<Value>> {
        let database = &self.platform.database;
        database.rows(RUNS, &[&self.place.repository]).await
    }

    /// The delivery after `mark` that tells of the move.
    pub(super) async fn delivery_of(&self, told: &Told, mark: u64) -> anyhow::Result<Delivery> {
        let what = format!("{}.{} on {}", told.event, told.action, told.thread);
        let wanted = |delivery: &Delivery| told.is(delivery);
        crate::place::delivery_after(&self.gate, &self.place.repository, mark, &what, wanted).await
    }

    /// Waits until nothing is undecided or still to be done, and each run that must be over is over; returns at once
    /// when a run is over that must not be, or runs are missing.
    pub(super) async fn settle(&self, expected: &[Run]) -> anyhow::Result<()> {
        until("rest after the move", RUN_DEADLINE, async || {
            self.rest().await?;
            let runs = self.runs().await?;
            let late: Vec<String> = runs
                .iter()
                .zip(expected)
                .filter(|(run, expected)| is_active(run) && !expected.is_active())
                .map(|(run, expected)| {
                    let (status, queue) = (&run["status"], &run["queue_reason"]);
                    format!("{} is {status}, queue reason {queue}", expected.line())
                })
                .collect();
            let differs = runs.len() != expected.len()
                || runs
                    .iter()
                    .zip(expected)
                    .any(|(run, expected)| !is_active(run) && expected.is_active());
            Ok(if late.is_empty() || differs {
                Reading::Reached(())
            } else {
                Reading::NotYet(late.join("; "))
            })
        })
        .await?;
        // The end of a run has effects, which come back as deliveries.
        self.rest().await
    }

    /// Runs may go on: which of them must be over is the reference's word.
    async fn rest(&self) -> anyhow::Result<()> {
        let rest = Rest {
            platform: &self.platform,
            github: &self.gate.github,
            repository: &self.place.repository,
            with_runs: true,
            agents_wait: false,
            held: &|| None,
        };
        rest.reached(DECISION_DEADLINE).await
    }

    /// GitHub tells times in whole seconds: what happens after this bears a later one than what happened before.
    pub(super) async fn next_second(&self) -> anyhow::Result<()> {
        let before = chrono::Utc::now().timestamp();
        until(
            "the next second of GitHub's clock",
            DECISION_DEADLINE,
            async || {
                Ok(match chrono::Utc::now().timestamp() > before {
                    true => Reading::Reached(()),
                    false => Reading::NotYet(format!("still {before}")),
                })
            },
        )
        .await
    }
}
