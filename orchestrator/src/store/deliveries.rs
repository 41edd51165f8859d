//! Webhook deliveries: stored before they are answered (L-22), decided once (D-2).
use std::collections::BTreeSet;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// D-2: a decider that died is replaced after this.
const LEASE_SECONDS: f64 = 30.0;

/// A delivery as it arrived.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub delivery_id: String,
    pub event_type: String,
    pub action: Option<String>,
    pub repository_full_name: Option<String>,
    pub sender_login: Option<String>,
    pub body_sha256: Vec<u8>,
    pub raw_body: Bytes,
}

/// What is known of a stored delivery.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct StoredDelivery {
    pub delivery_id: String,
    pub event_type: String,
    pub action: Option<String>,
    pub repository_full_name: Option<String>,
    pub sender_login: Option<String>,
    pub status: String,
    pub reason: Option<String>,
    pub run_id: Option<Uuid>,
    pub attempts: i32,
    pub next_attempt_at: DateTime<Utc>,
    pub processed_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub body_sha256: Vec<u8>,
}

/// A delivery that this process decides.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ClaimedDelivery {
    pub delivery_id: String,
    pub event_type: String,
    pub raw_body: Option<Vec<u8>>,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub lease_until: DateTime<Utc>,
}

/// Inserts many deliveries at once and answers the ids that were new. Ids in one call must differ. The clock is read once
/// for all of them; as defaults of the columns it would be read for each row.
pub async fn insert_new(
    connection: &mut PgConnection,
    deliveries: &[&NewDelivery],
) -> Result<Vec<String>, sqlx::Error> {
    let column = |pick: fn(&NewDelivery) -> Option<&str>| -> Vec<Option<&str>> {
        deliveries.iter().copied().map(pick).collect()
    };
    sqlx::query_scalar(
        "WITH clock AS MATERIALIZED (SELECT platform_now() AS now)
         INSERT INTO webhook_deliveries (delivery_id, event_type, action, repository_full_name, sender_login, body_sha256, raw_body,
             next_attempt_at, created_at, updated_at)
         SELECT arrived.*, clock.now, clock.now, clock.now
         FROM clock, unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::bytea[]) AS arrived
         ON CONFLICT (delivery_id) DO NOTHING RETURNING delivery_id",
    )
    .bind(column(|delivery| Some(&delivery.delivery_id)))
    .bind(column(|delivery| Some(&delivery.event_type)))
    .bind(column(|delivery| delivery.action.as_deref()))
    .bind(column(|delivery| delivery.repository_full_name.as_deref()))
    .bind(column(|delivery| delivery.sender_login.as_deref()))
    .bind(deliveries.iter().map(|delivery| delivery.body_sha256.as_slice()).collect::<Vec<_>>())
    .bind(deliveries.iter().map(|delivery| delivery.raw_body.as_ref()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
}

/// One delivery.
pub async fn find(
    executor: impl PgExecutor<'_>,
    delivery_id: &str,
) -> Result<Option<StoredDelivery>, sqlx::Error> {
    sqlx::query_as(
        "SELECT delivery_id, event_type, action, repository_full_name, sender_login, status, reason, run_id, attempts,
                next_attempt_at, processed_at, created_at, body_sha256
         FROM webhook_deliveries WHERE delivery_id = $1",
    )
    .bind(delivery_id)
    .fetch_optional(executor)
    .await
}

/// Those of the given ids that are stored.
pub async fn stored_among(
    executor: impl PgExecutor<'_>,
    delivery_ids: &[&str],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT delivery_id FROM webhook_deliveries WHERE delivery_id = ANY($1)",
    )
    .bind(delivery_ids)
    .fetch_all(executor)
    .await?;
    Ok(stored.into_iter().collect())
}

/// Those of the given deliveries that are decided.
pub async fn decided_among(
    executor: impl PgExecutor<'_>,
    delivery_ids: &[String],
) -> Result<Vec<StoredDelivery>, sqlx::Error> {
    sqlx::query_as(
        "SELECT delivery_id, event_type, action, repository_full_name, sender_login, status, reason, run_id, attempts,
                next_attempt_at, processed_at, created_at, body_sha256
         FROM webhook_deliveries WHERE delivery_id = ANY($1) AND status <> 'processing'",
    )
    .bind(delivery_ids)
    .fetch_all(executor)
    .await
}

/// Leases the oldest due deliveries for 30 s, at most `limit`, oldest first; the attempt counts from here, so that a
/// dying decider counts too. A claim does not wait for the disk: one that a crash of the server takes back is made
/// again, and [`hold_claim`] refuses whoever still believes in it. Outside a transaction only, which would not wait either.
pub async fn claim(
    executor: impl PgExecutor<'_>,
    owner: &str,
    limit: usize,
) -> Result<Vec<ClaimedDelivery>, sqlx::Error> {
    let mut claimed: Vec<ClaimedDelivery> = sqlx::query_as(
        "UPDATE webhook_deliveries SET lease_owner = $1, lease_until = platform_now() + make_interval(secs => $2), attempts = attempts + 1
         WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL AND delivery_id IN (
             SELECT delivery_id FROM webhook_deliveries
             WHERE status = 'processing' AND next_attempt_at <= platform_now() AND (lease_until IS NULL OR lease_until <= platform_now())
             ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING delivery_id, event_type, raw_body, attempts, created_at, lease_until",
    )
    .bind(owner)
    .bind(LEASE_SECONDS)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(executor)
    .await?;
    claimed.sort_by_key(|delivery| delivery.created_at);
    Ok(claimed)
}

/// Takes the row for the deciding transaction (a delivery without `processed_at` is `processing`; asked for its status, a
/// server without statistics may walk through all that are); `false` when the lease went to somebody else meanwhile.
pub async fn hold_claim(
    connection: &mut PgConnection,
    delivery_id: &str,
    owner: &str,
    attempts: i32,
) -> Result<bool, sqlx::Error> {
    let held: Option<i32> = sqlx::query_scalar(
        "SELECT 1 FROM webhook_deliveries WHERE delivery_id = $1 AND lease_owner = $2 AND attempts = $3 AND processed_at IS NULL FOR UPDATE",
    )
    .bind(delivery_id)
    .bind(owner)
    .bind(attempts)
    .fetch_optional(connection)
    .await?;
    Ok(held.is_some())
}

/// Writes the outcome.
pub async fn finish(
    connection: &mut PgConnection,
    delivery_id: &str,
    status: &str,
    reason: Option<&str>,
    run_id: Option<Uuid>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE webhook_deliveries SET status = $2, reason = $3, run_id = $4, processed_at = platform_now(), lease_owner = NULL, lease_until = NULL
         WHERE delivery_id = $1 AND processed_at IS NULL",
    )
    .bind(delivery_id)
    .bind(status)
    .bind(reason)
    .bind(run_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the delivery back, to be decided again after a pause.
pub async fn postpone(
    executor: impl PgExecutor<'_>,
    delivery_id: &str,
    owner: &str,
    pause_seconds: f64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE webhook_deliveries SET lease_owner = NULL, lease_until = NULL, next_attempt_at = platform_now() + make_interval(secs => $3)
         WHERE delivery_id = $1 AND lease_owner = $2 AND processed_at IS NULL",
    )
    .bind(delivery_id)
    .bind(owner)
    .bind(pause_seconds)
    .execute(executor)
    .await?;
    Ok(())
}

/// Seconds until the next delivery is due, if any waits.
pub async fn seconds_until_due(executor: impl PgExecutor<'_>) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM min(greatest(next_attempt_at, coalesce(lease_until, next_attempt_at))) - platform_now())::float8
         FROM webhook_deliveries WHERE status = 'processing'",
    )
    .fetch_one(executor)
    .await
}
