//! The outcome of a webhook delivery as people and the gateway read it; never its body (L-22).
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// What became of a delivery.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct DeliveryView {
    pub delivery_id: String,
    pub event_type: String,
    pub action: Option<String>,
    pub repository_full_name: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub run_id: Option<Uuid>,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
    #[serde(skip)]
    pub project_id: Option<Uuid>,
}

/// A delivery with the project of its repository, if that is bound.
pub async fn find(
    executor: impl PgExecutor<'_>,
    delivery_id: &str,
) -> Result<Option<DeliveryView>, sqlx::Error> {
    sqlx::query_as(
        "SELECT d.delivery_id, d.event_type, d.action, d.repository_full_name, d.status, d.reason, d.run_id,
                d.attempts, d.created_at, d.processed_at,
                (SELECT r.project_id FROM repositories r
                 WHERE lower(r.owner) = lower(split_part(d.repository_full_name, '/', 1))
                   AND lower(r.name) = lower(split_part(d.repository_full_name, '/', 2))
                   AND r.provider = 'github' AND r.unbound_at IS NULL LIMIT 1) AS project_id
         FROM webhook_deliveries d WHERE d.delivery_id = $1",
    )
    .bind(delivery_id)
    .fetch_optional(executor)
    .await
}
