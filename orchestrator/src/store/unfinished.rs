//! Work that is due and in nobody's hands: what the full pass wakes the loops for.
use sqlx::PgExecutor;

/// Counts of due work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Unfinished {
    pub deliveries: i64,
    pub effects: i64,
    pub pending_runs: i64,
    pub deploy_tasks: i64,
}

/// Counts them.
pub async fn count(executor: impl PgExecutor<'_>) -> Result<Unfinished, sqlx::Error> {
    sqlx::query_as(
        "SELECT
            (SELECT count(*) FROM webhook_deliveries WHERE status = 'processing' AND next_attempt_at <= platform_now()
                AND (lease_until IS NULL OR lease_until <= platform_now())) AS deliveries,
            (SELECT count(*) FROM outbox_effects WHERE state = 'pending' AND next_attempt_at <= platform_now()
                AND (lease_until IS NULL OR lease_until <= platform_now())) AS effects,
            (SELECT count(*) FROM agent_runs WHERE status = 'pending') AS pending_runs,
            (SELECT count(*) FROM runtime_deploy_tasks WHERE status = 'pending' OR (status = 'running' AND lease_until <= platform_now())) AS deploy_tasks",
    )
    .fetch_one(executor)
    .await
}

/// Effects whose predecessor was given up by a process that died before it could give them up as well.
pub async fn orphaned_effects(executor: impl PgExecutor<'_>) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE outbox_effects e SET state = 'given_up', last_error = 'the effect it waits for was given up'
         FROM outbox_effects a WHERE a.id = e.after_id AND e.state = 'pending' AND a.state = 'given_up' RETURNING e.id",
    )
    .fetch_all(executor)
    .await
}
