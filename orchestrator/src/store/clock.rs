//! Platform time (D-7) and its two-phase move.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

/// What `platform_clock` says.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ClockReading {
    pub now: DateTime<Utc>,
    pub offset_seconds: f64,
    /// By how much the clock is about to move; set between announcement and move.
    pub pending_offset_seconds: Option<f64>,
    pub epoch: i64,
}

/// Platform time alone.
pub async fn now(executor: impl PgExecutor<'_>) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar("SELECT platform_now()")
        .fetch_one(executor)
        .await
}

/// Platform time with the state of the clock.
pub async fn read(executor: impl PgExecutor<'_>) -> Result<ClockReading, sqlx::Error> {
    sqlx::query_as(
        "SELECT platform_now() AS now, extract(epoch FROM offset_interval)::float8 AS offset_seconds,
                extract(epoch FROM pending_offset)::float8 AS pending_offset_seconds, epoch
         FROM platform_clock WHERE id = 1",
    )
    .fetch_one(executor)
    .await
}

/// First phase: says where the clock will go, so that live workers stretch their heartbeat over it.
pub async fn announce(
    connection: &mut PgConnection,
    advance_seconds: f64,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "UPDATE platform_clock SET pending_offset = coalesce(pending_offset, interval '0') + make_interval(secs => $1), epoch = epoch + 1
         WHERE id = 1 RETURNING epoch",
    )
    .bind(advance_seconds)
    .fetch_one(connection)
    .await
}

/// Live workers that have not yet stretched their heartbeat for this move.
pub async fn workers_behind(executor: impl PgExecutor<'_>, epoch: i64) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM worker_instances WHERE status = 'active' AND expires_at > platform_now() AND clock_epoch < $1")
        .bind(epoch)
        .fetch_one(executor)
        .await
}

/// Second phase: the clock moves. A move announced meanwhile carries this one with it.
pub async fn apply(connection: &mut PgConnection, epoch: i64) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE platform_clock SET offset_interval = offset_interval + pending_offset, pending_offset = NULL WHERE id = 1 AND epoch = $1 AND pending_offset IS NOT NULL")
        .bind(epoch)
        .execute(connection)
        .await?;
    Ok(())
}
