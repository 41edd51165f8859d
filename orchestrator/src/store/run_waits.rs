//! Waits of runs (R-22 to R-24, D-10 to D-12): run and session change together, in the caller's transaction.
use chrono::{DateTime, Utc};
use domain::waits::WaitCause;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::run_finish;

/// A run as its wait sees it, locked.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct WaitingRun {
    pub id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub status: String,
    pub repository_full_name: String,
    pub issue_number: Option<i64>,
    pub pr_number: Option<i64>,
    pub trigger_source: String,
    pub trigger_kind: String,
    pub trigger_label: String,
    pub wait_reason: Option<String>,
    pub wait_target_kind: Option<String>,
    pub wait_target_ref: Option<String>,
    pub wait_deadline_at: Option<DateTime<Utc>>,
    pub timeout_remaining_seconds: Option<i64>,
    /// Since the wait began; zero outside of one.
    pub waited_seconds: i64,
    /// The agent ended while the wait was open.
    pub is_parked: bool,
}

/// Locks a run for a change of its wait.
pub async fn lock(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<Option<WaitingRun>> {
    sqlx::query_as(
        "SELECT r.id, r.correlation_id, r.project_id, r.status, r.repository_full_name,
                r.issue_number::bigint AS issue_number, coalesce(r.pr_number, s.pr_number)::bigint AS pr_number,
                r.trigger_source, r.trigger_kind, r.trigger_label, r.wait_reason, r.wait_target_kind, r.wait_target_ref,
                r.wait_deadline_at,
                extract(epoch FROM coalesce(r.timeout_remaining, r.timeout_at - platform_now()))::bigint AS timeout_remaining_seconds,
                coalesce(extract(epoch FROM platform_now() - s.wait_since)::bigint, 0) AS waited_seconds,
                r.parked_at IS NOT NULL AS is_parked
         FROM agent_runs r LEFT JOIN agent_sessions s ON s.run_id = r.id
         WHERE r.id = $1 FOR UPDATE OF r",
    )
    .bind(run_id)
    .fetch_optional(conn)
    .await
}

/// Makes a running run wait; its timer stands still from now on (R-22). `false`: it does not run.
pub async fn open(
    conn: &mut PgConnection,
    run_id: Uuid,
    cause: WaitCause,
    target_ref: &str,
    deadline_at: Option<DateTime<Utc>>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE agent_runs SET status = $2, wait_reason = $3, wait_target_kind = $4, wait_target_ref = $5,
             wait_deadline_at = $6, timeout_paused = true, timeout_at = NULL,
             timeout_remaining = greatest(timeout_at - platform_now(), interval '0')
         WHERE id = $1 AND status = 'running'",
    )
    .bind(run_id)
    .bind(cause.status().as_str())
    .bind(cause.reason())
    .bind(cause.target_kind())
    .bind(target_ref)
    .bind(deadline_at)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "UPDATE agent_sessions SET wait_state = $2, wait_since = platform_now(), timeout_guard_disabled = true
         WHERE run_id = $1",
    )
    .bind(run_id)
    .bind(cause.session_state())
    .execute(conn)
    .await?;
    Ok(true)
}

/// Names another target of the wait that is open for the same reason (R-171).
pub async fn set_target(
    conn: &mut PgConnection,
    run_id: Uuid,
    target_ref: &str,
    deadline_at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE agent_runs SET wait_target_ref = $2, wait_deadline_at = $3
         WHERE id = $1 AND status LIKE 'waiting\\_%'
           AND (wait_target_ref, wait_deadline_at) IS DISTINCT FROM ($2, $3)",
    )
    .bind(run_id)
    .bind(target_ref)
    .bind(deadline_at)
    .execute(conn)
    .await
    .map(drop)
}

/// Lets a waiting run go on; its timer counts what was left (R-23, D-12). Its agent may read how the wait ended (G-92).
pub async fn resume_live(
    conn: &mut PgConnection,
    run_id: Uuid,
    payload: &Value,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE agent_runs SET status = 'running', wait_reason = NULL, wait_target_kind = NULL, wait_target_ref = NULL,
             wait_deadline_at = NULL, timeout_paused = false, timeout_at = platform_now() + timeout_remaining,
             timeout_remaining = NULL, run_payload = run_payload || jsonb_build_object('resume', $2::jsonb)
         WHERE id = $1 AND status LIKE 'waiting\\_%'",
    )
    .bind(run_id)
    .bind(payload)
    .execute(&mut *conn)
    .await?;
    // G-7: the token's life moves by the length of the wait, and its own `exp` bounds it.
    sqlx::query(
        "UPDATE run_mcp_tokens t SET expires_at = t.expires_at + (platform_now() - s.wait_since)
         FROM agent_sessions s
         WHERE s.run_id = $1 AND s.wait_since IS NOT NULL AND t.run_id = $1 AND t.revoked_at IS NULL",
    )
    .bind(run_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE agent_sessions SET wait_state = NULL, wait_since = NULL, timeout_guard_disabled = false WHERE run_id = $1",
    )
    .bind(run_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Inserts the run that goes on where a waiting one stopped, and closes that one (R-24). What the platform knows of the
/// work passes on: threads, namespace, the time that was left and requests that never held the run. `None`: it was
/// continued before.
pub async fn continue_in_new_run(
    conn: &mut PgConnection,
    source: Uuid,
    correlation_id: &str,
    payload: &Value,
) -> sqlx::Result<Option<Uuid>> {
    let new: Option<Uuid> = sqlx::query_scalar(
        "INSERT INTO agent_runs (correlation_id, project_id, agent_id, resumed_from_run_id, scope_run_id, trigger_source,
             trigger_kind, trigger_label, discussion_mode, repository_full_name, issue_number, pr_number, agent_key,
             runtime_mode, target_env, namespace, run_payload, deploy_only, timeout_remaining)
         SELECT $2, r.project_id, r.agent_id, r.id, r.scope_run_id, 'resume', r.trigger_kind, r.trigger_label,
             r.discussion_mode, r.repository_full_name, r.issue_number, coalesce(r.pr_number, s.pr_number), r.agent_key,
             r.runtime_mode, r.target_env, r.namespace, r.run_payload || jsonb_build_object('resume', $3::jsonb),
             r.deploy_only, r.timeout_remaining
         FROM agent_runs r LEFT JOIN agent_sessions s ON s.run_id = r.id
         WHERE r.id = $1 AND r.status LIKE 'waiting\\_%'
         ON CONFLICT (correlation_id) DO NOTHING RETURNING id",
    )
    .bind(source)
    .bind(correlation_id)
    .bind(payload)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(new) = new else {
        return Ok(None);
    };
    sqlx::query("UPDATE mcp_action_requests SET run_id = $2 WHERE run_id = $1 AND detached AND approval_state IN ('requested', 'approved')")
        .bind(source)
        .bind(new)
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "UPDATE agent_runs SET status = 'canceled', finish_reason = 'continued_in_resume_run', finished_at = platform_now(),
             lease_owner = NULL, lease_until = NULL, stale_reclaim_pending = false, wait_reason = NULL,
             wait_target_kind = NULL, wait_target_ref = NULL, wait_deadline_at = NULL, timeout_paused = false,
             timeout_remaining = NULL
         WHERE id = $1",
    )
    .bind(source)
    .execute(&mut *conn)
    .await?;
    run_finish::close_dependents(conn, source, "canceled").await?;
    Ok(Some(new))
}

/// What a resume run is told before its prompt (R-95); `None` for a run that was not resumed, or is not there.
pub async fn resume_payload(
    executor: impl sqlx::PgExecutor<'_>,
    run_id: Uuid,
) -> sqlx::Result<Option<Value>> {
    let found: Option<Option<Value>> =
        sqlx::query_scalar("SELECT run_payload -> 'resume' FROM agent_runs WHERE id = $1")
            .bind(run_id)
            .fetch_optional(executor)
            .await?;
    Ok(found.flatten())
}
