//! Cancelling a run: everything R-28 and D-16 close, in the caller's transaction.
use sqlx::PgConnection;
use uuid::Uuid;

use super::approvals::{self, OfRun};
use super::{deploy_tasks, run_finish};

/// The run as it was, locked.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct CancelSubject {
    pub id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub status: String,
    pub job_name: Option<String>,
    pub status_comment_id: Option<i64>,
}

/// What a cancel closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    pub deploy_task: bool,
    pub github_waits: i64,
    pub approvals: i64,
}

/// Locks a run for its cancellation.
pub async fn lock(
    connection: &mut PgConnection,
    run_id: Uuid,
) -> Result<Option<CancelSubject>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, correlation_id, project_id, status, job_name, status_comment_id
         FROM agent_runs WHERE id = $1 FOR UPDATE",
    )
    .bind(run_id)
    .fetch_optional(connection)
    .await
}

/// A run that was canceled, as far as its event tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanceledRun {
    pub previous_status: String,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
}

/// Cancels a run on the platform's own account; `None` when it is over or unknown.
pub async fn cancel(
    connection: &mut PgConnection,
    run_id: Uuid,
    finish_reason: &str,
) -> Result<Option<CanceledRun>, sqlx::Error> {
    let Some(run) = lock(&mut *connection, run_id).await? else {
        return Ok(None);
    };
    if matches!(run.status.as_str(), "succeeded" | "failed" | "canceled") {
        return Ok(None);
    }
    close(connection, run_id, finish_reason, "system", None).await?;
    Ok(Some(CanceledRun {
        previous_status: run.status,
        correlation_id: run.correlation_id,
        project_id: run.project_id,
    }))
}

/// Ends a locked run that is not terminal, with the requests that a plain end leaves open too.
pub async fn close(
    connection: &mut PgConnection,
    run_id: Uuid,
    finish_reason: &str,
    requested_by: &str,
    reason: Option<&str>,
) -> Result<Closed, sqlx::Error> {
    let deploy_task = deploy_tasks::cancel(&mut *connection, run_id, requested_by, reason).await?;
    let github_waits: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM github_rate_limit_waits WHERE run_id = $1 AND state NOT IN ('resolved', 'cancelled')",
    )
    .bind(run_id)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE agent_runs SET status = 'canceled', finish_reason = $2, finished_at = platform_now(),
             queue_reason = NULL, lease_owner = NULL, lease_until = NULL, stale_reclaim_pending = false,
             wait_reason = NULL, wait_target_kind = NULL, wait_target_ref = NULL, wait_deadline_at = NULL,
             timeout_paused = false, timeout_remaining = NULL
         WHERE id = $1",
    )
    .bind(run_id)
    .bind(finish_reason)
    .execute(&mut *connection)
    .await?;
    // Only a cancel closes detached requests, too (D-16).
    let approvals = approvals::expire_of_run(&mut *connection, run_id, OfRun::All).await?;
    run_finish::close_dependents(connection, run_id, "canceled").await?;
    Ok(Closed {
        deploy_task,
        github_waits,
        approvals: i64::try_from(approvals).unwrap_or(i64::MAX),
    })
}
