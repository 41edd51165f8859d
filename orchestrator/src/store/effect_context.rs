//! What an effect belongs to, for the events it leaves.
use sqlx::PgExecutor;

use super::effects::ClaimedEffect;

/// Read at each attempt.
#[derive(Debug, sqlx::FromRow)]
pub struct EffectContext {
    /// Of the run, else the delivery, else the request, else the effect's own key: never empty.
    pub correlation_id: String,
    /// `owner/name` of the run, if it belongs to one.
    pub repository_full_name: Option<String>,
}

/// Reads it.
pub async fn load(
    executor: impl PgExecutor<'_>,
    effect: &ClaimedEffect,
) -> Result<EffectContext, sqlx::Error> {
    sqlx::query_as(
        "SELECT coalesce((SELECT correlation_id FROM agent_runs WHERE id = e.run_id), e.delivery_id, e.correlation_id, e.idempotency_key) AS correlation_id,
                (SELECT repository_full_name FROM agent_runs WHERE id = e.run_id) AS repository_full_name
         FROM outbox_effects e WHERE e.id = $1",
    )
    .bind(effect.id)
    .fetch_one(executor)
    .await
}

/// Whether GitHub has reported this label change as the platform's own (L-19).
pub async fn is_reported(executor: impl PgExecutor<'_>, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT reported_by_delivery_id IS NOT NULL FROM outbox_effects WHERE id = $1",
    )
    .bind(id)
    .fetch_one(executor)
    .await
}
