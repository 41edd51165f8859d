//! The namespace of a run as a staff delete needs it.
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A run with what stands in the way of deleting its namespace.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RunNamespace {
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub namespace: Option<String>,
    pub status_comment_id: Option<i64>,
    pub is_managed: bool,
    pub has_active_run: bool,
}

/// Facts about a run's namespace; a managed one has a lease.
pub async fn of_run(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<RunNamespace>, sqlx::Error> {
    sqlx::query_as(
        "SELECT r.correlation_id, r.project_id, r.namespace, r.status_comment_id,
                EXISTS (SELECT 1 FROM namespace_leases l WHERE l.namespace = r.namespace) AS is_managed,
                EXISTS (SELECT 1 FROM agent_runs a WHERE a.namespace = r.namespace
                        AND a.status NOT IN ('succeeded', 'failed', 'canceled')) AS has_active_run
         FROM agent_runs r WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// The lease ends with its namespace.
pub async fn mark_cleaned(
    connection: &mut PgConnection,
    namespace: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE namespace_leases SET state = 'cleaned', debug_hold = false, cleaned_at = platform_now()
         WHERE namespace = $1 AND state <> 'cleaned'",
    )
    .bind(namespace)
    .execute(connection)
    .await
    .map(|_| ())
}
