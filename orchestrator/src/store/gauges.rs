//! Counts behind the gauges of R-180.
use sqlx::PgExecutor;

/// A count of rows in one state.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Count {
    pub metric: String,
    /// `status` or `state`, as R-180 names it.
    pub name: String,
    pub state: String,
    /// Of the waits for GitHub only: whose limit it is.
    pub contour: Option<String>,
    pub count: i64,
}

/// Every gauge in one query.
pub async fn read(executor: impl PgExecutor<'_>) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as(
        "SELECT 'codexk8s_runs' AS metric, 'status' AS name, status AS state, NULL AS contour, count(*) AS count
             FROM agent_runs GROUP BY status
         UNION ALL SELECT 'codexk8s_slots', 'state', state, NULL, count(*) FROM slots GROUP BY state
         UNION ALL SELECT 'codexk8s_managed_namespaces', 'state', state, NULL, count(*) FROM namespace_leases GROUP BY state
         UNION ALL SELECT 'codexk8s_deploy_tasks', 'status', status, NULL, count(*) FROM runtime_deploy_tasks GROUP BY status
         UNION ALL SELECT 'codexk8s_github_waits', 'state', state, contour_kind, count(*) FROM github_rate_limit_waits
             GROUP BY state, contour_kind
         UNION ALL SELECT 'codexk8s_effects', 'state', state, NULL, count(*) FROM outbox_effects GROUP BY state
         UNION ALL SELECT 'codexk8s_deliveries', 'status', status, NULL, count(*) FROM webhook_deliveries GROUP BY status",
    )
    .fetch_all(executor)
    .await
}
