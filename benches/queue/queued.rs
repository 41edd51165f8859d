//! A queue of runs as rows, and how fast a platform starts them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::Value;
use steps::place::{Place, bound_repository};
use steps::platform::Platform;
use steps::wait::{RUN_DEADLINE, Reading, until};
use steps::world::Gate;

/// Issues that are opened side by side.
const SIDE_BY_SIDE: usize = 8;
/// As many runs of the agent as a project may have at once (R-6).
pub const RUNS_PER_PROJECT: usize = 2;
/// Longest wait until every run has started.
const STARTED_DEADLINE: Duration = Duration::from_secs(600);
/// Between two looks how many have.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A platform with projects, and a run that shows what the queued ones look like.
pub struct Queue {
    platform: Arc<Platform>,
    place: Place,
    /// The run that was started in the usual way.
    pub pattern: Value,
}

impl Queue {
    /// Starts one run by its label, and writes the projects of the others.
    pub async fn prepare(
        gate: &Gate,
        platform: &Arc<Platform>,
        runs: usize,
    ) -> anyhow::Result<Self> {
        let place = bound_repository(gate, platform, fixtures::stories::works()).await?;
        place
            .member
            .add_labels(&place.repository, place.issue, &["run:doc-audit"])
            .await?;
        let pattern = until("the first run", RUN_DEADLINE, async || {
            let runs = platform
                .database
                .runs_of_issue(&place.repository, place.issue)
                .await?;
            Ok(match runs.into_iter().next() {
                Some(run) if !run["finished_at"].is_null() => Reading::Reached(run),
                run => Reading::NotYet(format!("{run:?}")),
            })
        })
        .await?;
        anyhow::ensure!(
            pattern["runtime_mode"] == "code-only",
            "the first run is {}",
            pattern["runtime_mode"]
        );
        let projects = runs.div_ceil(RUNS_PER_PROJECT);
        // One repository serves them all: a project sees it under an id of its own.
        sqlx::query(
            "WITH made AS (
                 INSERT INTO projects (slug, name)
                 SELECT 'queue-' || number, 'Queue ' || number FROM generate_series(1, $2::text::int) AS number
                 RETURNING id, slug)
             INSERT INTO repositories (project_id, alias, external_id, owner, name, token_encrypted)
             SELECT made.id, made.slug, -split_part(made.slug, '-', 2)::bigint, r.owner, r.name, ''
             FROM made, repositories r WHERE r.project_id = $1::text::uuid",
        )
        .bind(&place.project_id)
        .bind(projects.to_string())
        .execute(platform.database.pool())
        .await
        .context("failed to write the projects")?;
        Ok(Self {
            platform: platform.clone(),
            place,
            pattern,
        })
    }

    /// Queues so many runs at once and waits until each has its Job; then ends the platform and takes the Jobs away. Jobs
    /// a second.
    pub async fn rate(self, gate: &Gate, runs: usize) -> anyhow::Result<f64> {
        let (member, repository) = (&self.place.member, self.place.repository.as_str());
        let issues: Vec<u64> = stream::iter(0..runs)
            .map(|number| async move {
                let title = format!("Greet visitor {number}");
                member.open_issue(repository, &title, "Say hello.").await
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .try_collect()
            .await?;
        let issues: Vec<i32> = issues
            .into_iter()
            .map(i32::try_from)
            .collect::<Result<_, _>>()
            .context("an Issue has a small number")?;
        let pattern = self.pattern["id"].as_str().context("the run has no id")?;
        let began = Instant::now();
        sqlx::query(
            "INSERT INTO agent_runs (correlation_id, project_id, agent_id, trigger_source, trigger_kind, trigger_label,
                 repository_full_name, issue_number, agent_key, runtime_mode, target_env, run_payload)
             SELECT 'queue-' || q.issue, p.id, r.agent_id, r.trigger_source, r.trigger_kind, r.trigger_label,
                    r.repository_full_name, q.issue, r.agent_key, r.runtime_mode, r.target_env,
                    r.run_payload || jsonb_build_object('target_branch', 'codex/issue-' || q.issue)
             FROM unnest($2::int[]) WITH ORDINALITY AS q (issue, number)
             JOIN projects p ON p.slug = 'queue-' || (1 + (q.number - 1) / 2)
             CROSS JOIN (SELECT * FROM agent_runs WHERE id = $1::text::uuid) AS r",
        )
        .bind(pattern)
        .bind(&issues)
        .execute(self.platform.database.pool())
        .await
        .context("failed to queue the runs")?;
        // What a decision does once it has committed.
        sqlx::query("SELECT pg_notify('codex_run_queue', '')")
            .execute(self.platform.database.pool())
            .await
            .context("failed to tell of the runs")?;
        let started = loop {
            let counted = self
                .platform
                .database
                .rows(
                    "SELECT jsonb_build_array(count(*) FILTER (WHERE job_name IS NOT NULL),
                                              count(*) FILTER (WHERE finished_at IS NOT NULL))
                     FROM agent_runs WHERE correlation_id LIKE 'queue-%' AND issue_number >= $1::text::int",
                    &[&issues.iter().min().copied().unwrap_or_default().to_string()],
                )
                .await?;
            let counted = counted.first().cloned().unwrap_or_default();
            let count = |index: usize| counted[index].as_u64().unwrap_or_default();
            anyhow::ensure!(count(1) == 0, "{} runs ended instead of starting", count(1));
            if count(0) == u64::try_from(runs)? {
                break began.elapsed();
            }
            anyhow::ensure!(
                began.elapsed() < STARTED_DEADLINE,
                "{} of {runs} runs have started",
                count(0)
            );
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        self.platform.close().await;
        self.clear(gate).await?;
        Ok(f64::from(u32::try_from(runs)?) / started.as_secs_f64())
    }

    /// Waits until nothing of the runs is left that would keep controllers busy in the next part.
    async fn clear(&self, gate: &Gate) -> anyhow::Result<()> {
        let namespace = self.pattern["job_namespace"]
            .as_str()
            .context("the run has no namespace")?;
        let jobs: Api<Job> = Api::namespaced(gate.kube.clone(), namespace);
        let pods: Api<Pod> = Api::namespaced(gate.kube.clone(), namespace);
        let all = ListParams::default();
        jobs.delete_collection(&DeleteParams::background(), &all)
            .await
            .context("failed to delete the Jobs")?;
        until("the end of all Pods", STARTED_DEADLINE, async || {
            let left = pods.list_metadata(&all).await?.items.len();
            Ok(match left {
                0 => Reading::Reached(()),
                left => Reading::NotYet(format!("{left} Pods")),
            })
        })
        .await
    }
}
