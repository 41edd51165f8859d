//! Discussion runs: since when they listen, and whether they are told to stop (L-107, L-108).
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

/// The moment on GitHub's clock from which on comments are new: that of the comment, or of the label, that started the
/// run. `None` for an unknown run.
pub async fn listens_since(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce((run_payload #>> '{raw_payload,comment,created_at}')::timestamptz,
                         (run_payload #>> '{raw_payload,issue,updated_at}')::timestamptz, created_at)
         FROM agent_runs WHERE id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// Why the run shall stop, once a decision has written that down.
pub async fn ordered_stop(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT payload ->> 'stop' FROM outbox_effects WHERE run_id = $1 AND kind = 'cancel_discussion' LIMIT 1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
    .map(Option::flatten)
}
