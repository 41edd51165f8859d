//! Counts behind the gauges of R-180.
use sqlx::PgExecutor;

/// A count with its one label.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Count {
    pub metric: String,
    pub label: String,
    pub count: i64,
}

/// Every gauge in one query.
pub async fn read(executor: impl PgExecutor<'_>) -> Result<Vec<Count>, sqlx::Error> {
    sqlx::query_as(
        "SELECT 'codexk8s_runs' AS metric, status AS label, count(*) AS count FROM agent_runs GROUP BY status
         UNION ALL SELECT 'codexk8s_slots', state, count(*) FROM slots GROUP BY state
         UNION ALL SELECT 'codexk8s_managed_namespaces', state, count(*) FROM namespace_leases GROUP BY state
         UNION ALL SELECT 'codexk8s_deploy_tasks', status, count(*) FROM runtime_deploy_tasks GROUP BY status
         UNION ALL SELECT 'codexk8s_effects', state, count(*) FROM outbox_effects GROUP BY state
         UNION ALL SELECT 'codexk8s_deliveries', status, count(*) FROM webhook_deliveries GROUP BY status",
    )
    .fetch_all(executor)
    .await
}
