//! Slots: how many `full-env` runs of a project may be active at once (R-5, R-8, R-9, D-4).

use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Leases the lowest free slot of a pool of `size`; missing rows are created. `None` when all are taken.
pub async fn lease(
    conn: &mut PgConnection,
    project_id: Uuid,
    run_id: Uuid,
    size: i32,
    ttl: Duration,
) -> sqlx::Result<Option<i32>> {
    sqlx::query(
        "INSERT INTO slots (project_id, slot_no) SELECT $1, number FROM generate_series(1, $2) AS number
         WHERE NOT EXISTS (SELECT 1 FROM slots s WHERE s.project_id = $1 AND s.slot_no = number)
         ON CONFLICT (project_id, slot_no) DO NOTHING",
    )
    .bind(project_id)
    .bind(size)
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "UPDATE slots SET state = 'leased', lease_owner = $2::text, lease_until = platform_now() + $4
         WHERE id = (SELECT id FROM slots WHERE project_id = $1 AND slot_no <= $3 AND state = 'free'
                     ORDER BY slot_no LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING slot_no",
    )
    .bind(project_id)
    .bind(run_id.to_string())
    .bind(size)
    .bind(ttl)
    .fetch_optional(conn)
    .await
}

/// Frees the slot of a run, in the transaction that ends it.
pub async fn release(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<()> {
    sqlx::query("UPDATE slots SET state = 'free', lease_owner = NULL, lease_until = NULL WHERE lease_owner = $1")
        .bind(run_id.to_string())
        .execute(conn)
        .await
        .map(drop)
}

/// Extends the slot leases of active runs once less than half of a lease is left.
pub async fn renew(conn: &mut PgConnection, run_ids: &[Uuid], ttl: Duration) -> sqlx::Result<()> {
    let owners: Vec<String> = run_ids.iter().map(Uuid::to_string).collect();
    sqlx::query(
        "UPDATE slots SET lease_until = platform_now() + $2
         WHERE lease_owner = ANY($1) AND lease_until < platform_now() + $2 / 2",
    )
    .bind(owners)
    .bind(ttl)
    .execute(conn)
    .await
    .map(drop)
}

/// Frees expired leases whose run is terminal or absent, and no other.
pub async fn free_orphans(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE slots s SET state = 'free', lease_owner = NULL, lease_until = NULL
         WHERE s.state <> 'free' AND s.lease_until <= platform_now()
           AND NOT EXISTS (SELECT 1 FROM agent_runs r WHERE r.id::text = s.lease_owner
                           AND r.status NOT IN ('succeeded', 'failed', 'canceled'))",
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// A slot leased by a run that is over or was never there.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LeakedSlot {
    /// Project of the slot.
    pub project_id: Uuid,
    /// Its number.
    pub slot_no: i32,
    /// Who leases it.
    pub lease_owner: Option<String>,
    /// Since when, in seconds.
    pub age_seconds: i64,
}

/// Slots that a terminal or missing run still leases.
pub async fn leaked(conn: &mut PgConnection) -> sqlx::Result<Vec<LeakedSlot>> {
    sqlx::query_as(
        "SELECT s.project_id, s.slot_no, s.lease_owner,
                extract(epoch FROM platform_now() - coalesce(r.finished_at, s.updated_at))::bigint AS age_seconds
         FROM slots s LEFT JOIN agent_runs r ON r.id::text = s.lease_owner
         WHERE s.state <> 'free' AND (r.id IS NULL OR r.status IN ('succeeded', 'failed', 'canceled'))
         ORDER BY s.project_id, s.slot_no",
    )
    .fetch_all(conn)
    .await
}
