//! The end of a run: everything D-16 closes, in one transaction with the terminal event and the effects.

use sqlx::PgConnection;
use uuid::Uuid;

use super::approvals::{self, OfRun};

/// How a run ends, as the database spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEndRow<'a> {
    /// Terminal status.
    pub status: &'a str,
    /// `finish_reason`, none for success.
    pub finish_reason: Option<&'a str>,
    /// Status of the session row.
    pub session_status: &'a str,
}

/// Moves an owned run to its end. `false`: the lease is lost or the run is over already (D-5, R-16).
///
/// `from` are the statuses the caller judged: a wait that opened meanwhile is not overrun.
pub async fn end_owned_run(
    conn: &mut PgConnection,
    run_id: Uuid,
    worker_id: &str,
    from: &[&str],
    end: RunEndRow<'_>,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE agent_runs SET status = $4, finish_reason = $5, finished_at = platform_now(), lease_owner = NULL,
             lease_until = NULL, stale_reclaim_pending = false, wait_reason = NULL, wait_target_kind = NULL,
             wait_target_ref = NULL, wait_deadline_at = NULL, timeout_paused = false, timeout_remaining = NULL
         WHERE id = $1 AND lease_owner = $2 AND status = ANY($3)",
    )
    .bind(run_id)
    .bind(worker_id)
    .bind(from)
    .bind(end.status)
    .bind(end.finish_reason)
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    close_dependents(conn, run_id, end.session_status).await?;
    Ok(true)
}

/// What every end closes besides the run row: slot, session, rate-limit waits, decisions and requests (D-16, R-9).
/// Detached requests stay open: only a cancel closes those.
pub async fn close_dependents(
    conn: &mut PgConnection,
    run_id: Uuid,
    session_status: &str,
) -> sqlx::Result<()> {
    super::slots::release(conn, run_id).await?;
    sqlx::query(
        "UPDATE agent_sessions SET status = CASE WHEN status = 'failed_precondition' THEN status ELSE $2 END,
             wait_state = NULL, wait_since = NULL, timeout_guard_disabled = false, finished_at = platform_now()
         WHERE run_id = $1",
    )
    .bind(run_id)
    .bind(session_status)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE github_rate_limit_waits SET state = 'cancelled', resolved_at = platform_now()
         WHERE run_id = $1 AND state NOT IN ('resolved', 'cancelled')",
    )
    .bind(run_id)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "UPDATE interaction_requests SET state = 'cancelled'
         WHERE run_id = $1 AND interaction_kind = 'decision_request' AND state IN ('pending_dispatch', 'open')",
    )
    .bind(run_id)
    .execute(&mut *conn)
    .await?;
    approvals::expire_of_run(&mut *conn, run_id, OfRun::Waiting).await?;
    sqlx::query("UPDATE run_mcp_tokens SET revoked_at = platform_now() WHERE run_id = $1 AND revoked_at IS NULL")
        .bind(run_id)
        .execute(conn)
        .await
        .map(drop)
}

/// Error text that a runner stored with the session of its run, which ended so.
pub async fn stored_error(
    conn: &mut PgConnection,
    run_id: Uuid,
    status: &str,
) -> sqlx::Result<Option<String>> {
    let found: Option<Option<String>> = sqlx::query_scalar(
        "SELECT session_json ->> 'error' FROM agent_sessions WHERE run_id = $1 AND status = $2",
    )
    .bind(run_id)
    .bind(status)
    .fetch_optional(conn)
    .await?;
    Ok(found.flatten())
}

/// Whether the run is waiting in any way; the agent's end then keeps the wait.
pub fn is_waiting(status: &str) -> bool {
    status.starts_with("waiting_")
}

/// Frees the slot of a run whose agent ended while a wait is open, and remembers that it did.
pub async fn park_waiting_run(
    conn: &mut PgConnection,
    run_id: Uuid,
    worker_id: &str,
) -> sqlx::Result<()> {
    let owned: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM agent_runs WHERE id = $1 AND lease_owner = $2
         AND status IN ('waiting_mcp', 'waiting_owner_review', 'waiting_backpressure') FOR UPDATE",
    )
    .bind(run_id)
    .bind(worker_id)
    .fetch_optional(&mut *conn)
    .await?;
    if owned.is_some() {
        super::slots::release(conn, run_id).await?;
        sqlx::query("UPDATE agent_runs SET parked_at = platform_now() WHERE id = $1")
            .bind(run_id)
            .execute(conn)
            .await?;
    }
    Ok(())
}
