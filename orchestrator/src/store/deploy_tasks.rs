//! Preparation of a run's environment as a task (`runtime_deploy_tasks`, R-103..R-106, D-18).
use chrono::Duration;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// What a run needs prepared.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct DesiredEnvironment {
    pub runtime_mode: String,
    pub target_env: String,
    pub namespace: String,
    pub build_ref: String,
    pub repository_full_name: String,
    pub services_yaml_path: String,
    #[serde(default)]
    pub slot_no: i32,
    #[serde(default)]
    pub deploy_only: bool,
}

/// How far a task is, as the worker polls it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow, serde::Serialize)]
pub struct DeployTaskState {
    pub status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_target_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_ref_sha: Option<String>,
    /// Hash of the manifests that were applied; none before they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

impl DeployTaskState {
    /// Whether nothing more will happen to the task by itself.
    pub fn is_terminal(&self) -> bool {
        matches!(self.status.as_str(), "succeeded" | "failed" | "canceled")
    }
}

/// A task that a reconciler has taken; `attempts` fences its writes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClaimedDeployTask {
    pub run_id: Uuid,
    #[sqlx(flatten)]
    pub desired: DesiredEnvironment,
    pub attempts: i32,
}

/// How a claimed task ends.
#[derive(Debug)]
pub enum DeployOutcome<'a> {
    Succeeded {
        build_ref_sha: &'a str,
        manifest_hash: &'a str,
    },
    Failed {
        error: &'a str,
    },
}

/// The last lines of a task's log that are kept.
const KEPT_LOG_LINES: i32 = 300;
/// Longest error text that is stored.
const MAX_ERROR_CHARACTERS: usize = 4000;

/// Writes the desired state; an unchanged one keeps the row, a changed or failed one starts over.
pub async fn desire(
    connection: &mut PgConnection,
    run_id: Uuid,
    desired: &DesiredEnvironment,
) -> Result<DeployTaskState, sqlx::Error> {
    sqlx::query(
        "INSERT INTO runtime_deploy_tasks AS t (run_id, runtime_mode, namespace, target_env, repository_full_name,
             services_yaml_path, build_ref, slot_no, deploy_only)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (run_id) DO UPDATE SET
             runtime_mode = $2, namespace = $3, target_env = $4, repository_full_name = $5,
             services_yaml_path = $6, build_ref = $7, slot_no = $8, deploy_only = $9,
             status = 'pending', lease_owner = NULL, lease_until = NULL, last_error = NULL, build_ref_sha = '', manifest_hash = '',
             result_namespace = NULL, result_target_env = NULL, terminal_status_source = NULL,
             started_at = NULL, finished_at = NULL
         WHERE t.status = 'failed' OR (t.status <> 'canceled'
           AND (t.runtime_mode, t.namespace, t.target_env, t.repository_full_name, t.services_yaml_path,
                t.build_ref, t.slot_no, t.deploy_only) IS DISTINCT FROM ($2, $3, $4, $5, $6, $7, $8, $9))",
    )
    .bind(run_id)
    .bind(&desired.runtime_mode)
    .bind(&desired.namespace)
    .bind(&desired.target_env)
    .bind(&desired.repository_full_name)
    .bind(&desired.services_yaml_path)
    .bind(&desired.build_ref)
    .bind(desired.slot_no)
    .bind(desired.deploy_only)
    .execute(&mut *connection)
    .await?;
    if desired.deploy_only {
        supersede(&mut *connection, run_id, desired).await?;
    }
    sqlx::query("SELECT pg_notify('codex_deploy_tasks', '')")
        .execute(&mut *connection)
        .await?;
    state(&mut *connection, run_id)
        .await?
        .ok_or(sqlx::Error::RowNotFound)
}

/// Cancels older deployments of another commit into the same environment, which nobody wants any more.
async fn supersede(
    connection: &mut PgConnection,
    run_id: Uuid,
    desired: &DesiredEnvironment,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE runtime_deploy_tasks t SET
             status = 'canceled', terminal_status_source = 'system', terminal_event_seq = terminal_event_seq + 1,
             cancel_requested_at = platform_now(), cancel_requested_by = 'system',
             cancel_reason = 'superseded by run ' || $1::text, lease_owner = NULL, lease_until = NULL,
             finished_at = platform_now()
         FROM agent_runs older, agent_runs newer
         WHERE older.id = t.run_id AND newer.id = $1 AND older.created_at < newer.created_at
           AND t.deploy_only AND t.status IN ('pending', 'running')
           AND (t.repository_full_name, t.target_env, t.namespace) = ($2, $3, $4) AND t.build_ref <> $5",
    )
    .bind(run_id)
    .bind(&desired.repository_full_name)
    .bind(&desired.target_env)
    .bind(&desired.namespace)
    .bind(&desired.build_ref)
    .execute(connection)
    .await
    .map(drop)
}

/// How far the task of a run is.
pub async fn state(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<DeployTaskState>, sqlx::Error> {
    sqlx::query_as(
        "SELECT status, result_namespace, result_target_env,
                NULLIF(build_ref_sha, '') AS build_ref_sha, NULLIF(manifest_hash, '') AS manifest_hash,
                COALESCE(last_error, cancel_reason) AS last_error
         FROM runtime_deploy_tasks WHERE run_id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// Takes the oldest task that is due: pending, or running with a lease that is over or no longer
/// renewed. A target that another task is working on is passed over.
pub async fn claim(
    executor: impl PgExecutor<'_>,
    owner: &str,
    lease: Duration,
    silence: Duration,
) -> Result<Option<ClaimedDeployTask>, sqlx::Error> {
    let claimed = sqlx::query_as(
        "UPDATE runtime_deploy_tasks SET
             status = 'running', lease_owner = $1, lease_until = platform_now() + make_interval(secs => $2),
             attempts = attempts + 1, started_at = COALESCE(started_at, platform_now())
         WHERE run_id = (
             SELECT t.run_id FROM runtime_deploy_tasks t
             WHERE (t.status = 'pending'
                OR (t.status = 'running' AND (t.lease_until <= platform_now()
                    OR t.updated_at <= platform_now() - make_interval(secs => $3))))
               AND NOT EXISTS (
                   SELECT 1 FROM runtime_deploy_tasks other
                   WHERE other.status = 'running' AND other.run_id <> t.run_id
                     AND other.target_env = t.target_env
                     AND ((t.namespace <> '' AND other.namespace = t.namespace)
                       OR (t.namespace = '' AND other.namespace = '' AND other.slot_no = t.slot_no)))
             ORDER BY t.created_at, t.run_id
             FOR UPDATE SKIP LOCKED LIMIT 1)
         RETURNING run_id, runtime_mode, namespace, target_env, repository_full_name,
                   services_yaml_path, build_ref, slot_no, deploy_only, attempts",
    )
    .bind(owner)
    .bind(lease.num_seconds() as f64)
    .bind(silence.num_seconds() as f64)
    .fetch_optional(executor)
    .await;
    match claimed {
        // Another reconciler took the same target between the look and the write.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(None),
        other => other,
    }
}

/// Extends the lease; `false` when the task belongs to somebody else by now.
pub async fn renew(
    executor: impl PgExecutor<'_>,
    task: &ClaimedDeployTask,
    owner: &str,
    lease: Duration,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE runtime_deploy_tasks SET lease_until = platform_now() + make_interval(secs => $4)
         WHERE run_id = $1 AND lease_owner = $2 AND attempts = $3 AND status = 'running'",
    )
    .bind(task.run_id)
    .bind(owner)
    .bind(task.attempts)
    .bind(lease.num_seconds() as f64)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a claimed task and wakes who waits for it; `false` when the lease was lost meanwhile.
pub async fn finish(
    connection: &mut PgConnection,
    task: &ClaimedDeployTask,
    owner: &str,
    outcome: &DeployOutcome<'_>,
    log: &[Value],
) -> Result<bool, sqlx::Error> {
    let (status, sha, hash, error) = match outcome {
        DeployOutcome::Succeeded {
            build_ref_sha,
            manifest_hash,
        } => ("succeeded", *build_ref_sha, *manifest_hash, None),
        DeployOutcome::Failed { error } => {
            let cut: String = error.chars().take(MAX_ERROR_CHARACTERS).collect();
            ("failed", "", "", Some(cut))
        }
    };
    let done = sqlx::query(
        "WITH notified AS (SELECT pg_notify('codex_deploy_tasks', ''))
         UPDATE runtime_deploy_tasks SET
             status = $4, build_ref_sha = $5, manifest_hash = $9, last_error = $6, terminal_status_source = 'worker',
             terminal_event_seq = terminal_event_seq + 1, lease_owner = NULL, lease_until = NULL,
             result_namespace = CASE WHEN $4 = 'succeeded' THEN namespace END,
             result_target_env = CASE WHEN $4 = 'succeeded' THEN target_env END,
             logs_json = (SELECT COALESCE(jsonb_agg(line ORDER BY position), '[]') FROM (
                 SELECT line, position FROM jsonb_array_elements(logs_json || $7) WITH ORDINALITY AS l(line, position)
                 ORDER BY position DESC LIMIT $8) kept),
             finished_at = platform_now()
         FROM notified
         WHERE run_id = $1 AND lease_owner = $2 AND attempts = $3 AND status = 'running'",
    )
    .bind(task.run_id)
    .bind(owner)
    .bind(task.attempts)
    .bind(status)
    .bind(sha)
    .bind(error)
    .bind(json!(log))
    .bind(KEPT_LOG_LINES)
    .bind(hash)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Gives the tasks of a stopping owner back.
pub async fn release(executor: impl PgExecutor<'_>, owner: &str) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(
        "WITH notified AS (SELECT pg_notify('codex_deploy_tasks', ''))
         UPDATE runtime_deploy_tasks SET status = 'pending', lease_owner = NULL, lease_until = NULL
         FROM notified WHERE lease_owner = $1 AND status = 'running'",
    )
    .bind(owner)
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// Cancels the task of a run as an operator does; `true` when there was one to cancel.
pub async fn cancel(
    connection: &mut PgConnection,
    run_id: Uuid,
    requested_by: &str,
    reason: Option<&str>,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE runtime_deploy_tasks SET
             status = 'canceled', terminal_status_source = 'operator', terminal_event_seq = terminal_event_seq + 1,
             cancel_requested_at = COALESCE(cancel_requested_at, platform_now()),
             cancel_requested_by = COALESCE(cancel_requested_by, $2), cancel_reason = COALESCE(cancel_reason, $3),
             lease_owner = NULL, lease_until = NULL, finished_at = platform_now()
         WHERE run_id = $1 AND status IN ('pending', 'running')",
    )
    .bind(run_id)
    .bind(requested_by)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends a preparation that nobody waits for any more; `true` when there was one.
pub async fn abandon(
    connection: &mut PgConnection,
    run_id: Uuid,
    reason: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "WITH notified AS (SELECT pg_notify('codex_deploy_tasks', ''))
         UPDATE runtime_deploy_tasks SET
             status = 'canceled', terminal_status_source = 'system', terminal_event_seq = terminal_event_seq + 1,
             cancel_reason = COALESCE(cancel_reason, $2), lease_owner = NULL, lease_until = NULL,
             finished_at = platform_now()
         FROM notified WHERE run_id = $1 AND status IN ('pending', 'running')",
    )
    .bind(run_id)
    .bind(reason)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
