//! Registry of workers: who is alive by platform time, and which leases the dead still hold (R-11..R-15).

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Identity of a worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerIdentity {
    /// Id written into every lease.
    pub worker_id: String,
    /// Namespace of its Pod, empty outside a cluster.
    pub namespace: String,
    /// Name of its Pod, empty outside a cluster.
    pub pod_name: String,
}

/// Registers the worker as active, also after a restart under the same id.
pub async fn register(
    conn: &mut PgConnection,
    identity: &WorkerIdentity,
    ttl: Duration,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO worker_instances (worker_id, namespace, pod_name, status, started_at, heartbeat_at, expires_at, clock_epoch)
         SELECT $1, $2, $3, 'active', platform_now(), platform_now(),
                clock_timestamp() + coalesce(pending_offset, offset_interval) + $4, epoch
         FROM platform_clock WHERE id = 1
         ON CONFLICT (worker_id) DO UPDATE SET namespace = excluded.namespace, pod_name = excluded.pod_name,
             status = 'active', started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at,
             expires_at = excluded.expires_at, clock_epoch = excluded.clock_epoch",
    )
    .bind(&identity.worker_id)
    .bind(&identity.namespace)
    .bind(&identity.pod_name)
    .bind(ttl)
    .execute(conn)
    .await
    .map(drop)
}

/// Refreshes the worker's life. A pending clock move is allowed for, and acknowledged by its epoch (D-7).
pub async fn heartbeat(
    conn: &mut PgConnection,
    worker_id: &str,
    ttl: Duration,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE worker_instances w SET heartbeat_at = platform_now(),
             expires_at = greatest(w.expires_at, clock_timestamp() + coalesce(c.pending_offset, c.offset_interval) + $2),
             clock_epoch = c.epoch
         FROM platform_clock c WHERE c.id = 1 AND w.worker_id = $1 AND w.status = 'active'",
    )
    .bind(worker_id)
    .bind(ttl)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Marks the worker as stopped.
pub async fn stop(conn: &mut PgConnection, worker_id: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE worker_instances SET status = 'stopped', expires_at = platform_now() WHERE worker_id = $1")
        .bind(worker_id)
        .execute(conn)
        .await
        .map(drop)
}

/// A run whose owner is not known to be alive.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SuspectLease {
    /// The run.
    pub run_id: Uuid,
    /// Its repository, `owner/name`.
    pub repository_full_name: String,
    /// Who holds it.
    pub lease_owner: String,
    /// Until when.
    pub lease_until: Option<DateTime<Utc>>,
    /// Whether that moment is past.
    pub lease_expired: bool,
    /// Status of the owner's row; none when there is no row.
    pub worker_status: Option<String>,
    /// Last heartbeat of the owner.
    pub worker_heartbeat_at: Option<DateTime<Utc>>,
    /// When the owner counted as dead.
    pub worker_expires_at: Option<DateTime<Utc>>,
}

/// Runs whose owner is stopped, expired or unknown, oldest lease first.
pub async fn suspect_leases(
    conn: &mut PgConnection,
    self_id: &str,
    limit: i64,
) -> sqlx::Result<Vec<SuspectLease>> {
    sqlx::query_as(
        "SELECT r.id AS run_id, r.repository_full_name, r.lease_owner, r.lease_until, coalesce(r.lease_until <= platform_now(), true) AS lease_expired,
                w.status AS worker_status, w.heartbeat_at AS worker_heartbeat_at, w.expires_at AS worker_expires_at
         FROM agent_runs r LEFT JOIN worker_instances w ON w.worker_id = r.lease_owner
         WHERE r.status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')
           AND r.lease_owner IS NOT NULL AND r.lease_owner <> $1
           AND (w.worker_id IS NULL OR w.status <> 'active' OR w.expires_at <= platform_now())
         ORDER BY r.lease_until NULLS FIRST LIMIT $2",
    )
    .bind(self_id)
    .bind(limit)
    .fetch_all(conn)
    .await
}
