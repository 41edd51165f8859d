//! Namespaces that runs of a thread have left.
use chrono::{DateTime, Utc};
use domain::events::{Thread, ThreadKind};
use sqlx::PgExecutor;
use uuid::Uuid;

/// A leased namespace with the run it belongs to now.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ThreadNamespace {
    pub namespace: String,
    pub run_id: Uuid,
    pub project_id: Uuid,
    pub runtime_mode: String,
    pub expires_at: DateTime<Utc>,
    pub issue_number: Option<i64>,
    pub pr_number: Option<i64>,
    /// Status of a run in it that is not over.
    pub active_run_status: Option<String>,
}

/// Open leases of the thread's runs, oldest first.
pub async fn of_thread(
    executor: impl PgExecutor<'_>,
    thread: &Thread,
    limit: i64,
) -> Result<Vec<ThreadNamespace>, sqlx::Error> {
    let (issue, pull_request) = match thread.kind {
        ThreadKind::Issue => (Some(thread.number), None),
        ThreadKind::PullRequest => (None, Some(thread.number)),
    };
    sqlx::query_as(
        "SELECT l.namespace, l.run_id, l.project_id, l.runtime_mode, l.expires_at, l.issue_number::bigint AS issue_number,
                coalesce(r.pr_number::bigint, s.pr_number::bigint) AS pr_number,
                (SELECT a.status FROM agent_runs a WHERE a.namespace = l.namespace AND a.status NOT IN ('succeeded', 'failed', 'canceled') LIMIT 1) AS active_run_status
         FROM namespace_leases l
         JOIN agent_runs r ON r.id = l.run_id
         LEFT JOIN agent_sessions s ON s.run_id = r.id
         WHERE l.repository_full_name = $1 AND l.state IN ('active', 'failed')
           AND (l.issue_number::bigint = $2
                OR EXISTS (SELECT 1 FROM agent_runs o LEFT JOIN agent_sessions os ON os.run_id = o.id
                           WHERE o.namespace = l.namespace AND coalesce(o.pr_number, os.pr_number)::bigint = $3))
         ORDER BY l.created_at LIMIT $4",
    )
    .bind(&thread.repository_full_name)
    .bind(issue)
    .bind(pull_request)
    .bind(limit)
    .fetch_all(executor)
    .await
}
