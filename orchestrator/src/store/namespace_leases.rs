//! Mirror of the namespace leases for queries and reuse (D-19). What may be deleted is decided by the annotations.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// One lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNamespaceLease {
    /// Namespace.
    pub namespace: String,
    /// Run that prepared it last.
    pub run_id: Uuid,
    /// Project.
    pub project_id: Uuid,
    /// Repository.
    pub repository_full_name: String,
    /// Issue.
    pub issue_number: Option<i32>,
    /// Agent.
    pub agent_key: String,
    /// Mode.
    pub runtime_mode: String,
    /// Length.
    pub ttl: Duration,
}

/// Writes or renews the lease; returns now and the new end, both by platform time.
pub async fn upsert(
    conn: &mut PgConnection,
    lease: &NewNamespaceLease,
) -> sqlx::Result<(DateTime<Utc>, DateTime<Utc>)> {
    sqlx::query_as(
        "WITH moment AS MATERIALIZED (SELECT date_trunc('milliseconds', platform_now()) AS now)
         INSERT INTO namespace_leases AS l (namespace, run_id, project_id, repository_full_name, issue_number, agent_key,
                                            runtime_mode, ttl, expires_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, now + $8 FROM moment
         ON CONFLICT (namespace) DO UPDATE SET run_id = excluded.run_id, agent_key = excluded.agent_key,
             runtime_mode = excluded.runtime_mode, ttl = excluded.ttl, expires_at = excluded.expires_at,
             debug_hold = false, state = 'active', last_cleanup_reason = NULL, cleaned_at = NULL
         RETURNING l.expires_at - l.ttl, l.expires_at",
    )
    .bind(&lease.namespace)
    .bind(lease.run_id)
    .bind(lease.project_id)
    .bind(&lease.repository_full_name)
    .bind(lease.issue_number)
    .bind(&lease.agent_key)
    .bind(&lease.runtime_mode)
    .bind(lease.ttl)
    .fetch_one(conn)
    .await
}

/// A lease of an active run that is due for renewal.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RenewedLease {
    /// Namespace.
    pub namespace: String,
    /// Now by platform time.
    pub renewed_at: DateTime<Utc>,
    /// The new end.
    pub expires_at: DateTime<Utc>,
    /// Length in seconds.
    pub ttl_seconds: i64,
}

/// Pushes the leases of the worker's active runs to `now + ttl`, those that lag by more than `step`.
pub async fn renew_for_active_runs(
    conn: &mut PgConnection,
    worker_id: &str,
    step: Duration,
) -> sqlx::Result<Vec<RenewedLease>> {
    sqlx::query_as(
        "WITH moment AS MATERIALIZED (SELECT date_trunc('milliseconds', platform_now()) AS now)
         UPDATE namespace_leases l SET expires_at = moment.now + l.ttl
         FROM moment, agent_runs r
         WHERE r.id = l.run_id AND r.lease_owner = $1 AND l.state = 'active'
           AND r.status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')
           AND l.expires_at < moment.now + l.ttl - $2
         RETURNING l.namespace, moment.now AS renewed_at, l.expires_at, extract(epoch FROM l.ttl)::bigint AS ttl_seconds",
    )
    .bind(worker_id)
    .bind(step)
    .fetch_all(conn)
    .await
}

/// Key of the reuse lookup.
#[derive(Debug, Clone, Copy)]
pub struct ReuseKey<'a> {
    /// Project.
    pub project_id: Uuid,
    /// Repository.
    pub repository_full_name: &'a str,
    /// Issue.
    pub issue_number: i32,
    /// Agent.
    pub agent_key: &'a str,
}

/// Namespaces with a running lease under the key, latest end first.
pub async fn reusable(conn: &mut PgConnection, key: ReuseKey<'_>) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT namespace FROM namespace_leases
         WHERE project_id = $1 AND repository_full_name = $2 AND issue_number = $3 AND agent_key = $4
           AND runtime_mode = 'full-env' AND state = 'active' AND expires_at > platform_now()
         ORDER BY expires_at DESC",
    )
    .bind(key.project_id)
    .bind(key.repository_full_name)
    .bind(key.issue_number)
    .bind(key.agent_key)
    .fetch_all(conn)
    .await
}

/// Whether a non-terminal run other than the namespace's latest works in it.
pub async fn active_run_in(
    conn: &mut PgConnection,
    namespace: &str,
) -> sqlx::Result<Option<(Uuid, String)>> {
    sqlx::query_as(
        "SELECT id, status FROM agent_runs WHERE namespace = $1
         AND status NOT IN ('succeeded', 'failed', 'canceled') ORDER BY created_at DESC LIMIT 1",
    )
    .bind(namespace)
    .fetch_optional(conn)
    .await
}

/// Records what a sweep did. Returns `false` when the same reason was the last one recorded.
pub async fn record_cleanup_reason(
    conn: &mut PgConnection,
    namespace: &str,
    reason: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE namespace_leases SET last_cleanup_reason = $2
         WHERE namespace = $1 AND last_cleanup_reason IS DISTINCT FROM $2",
    )
    .bind(namespace)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves a lease through its clean-up.
pub async fn set_state(conn: &mut PgConnection, namespace: &str, state: &str) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE namespace_leases SET state = $2,
             cleaned_at = CASE WHEN $2 = 'cleaned' THEN platform_now() ELSE cleaned_at END
         WHERE namespace = $1",
    )
    .bind(namespace)
    .bind(state)
    .execute(conn)
    .await
    .map(drop)
}

/// Sets or clears the hold by `run:debug`.
pub async fn set_debug_hold(
    conn: &mut PgConnection,
    namespace: &str,
    held: bool,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE namespace_leases SET debug_hold = $2 WHERE namespace = $1")
        .bind(namespace)
        .bind(held)
        .execute(conn)
        .await
        .map(drop)
}

/// Leases whose namespace should be there: for the sweep's `already_deleted`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenLease {
    /// Namespace.
    pub namespace: String,
    /// Its latest run.
    pub run_id: Uuid,
    /// State of the lease.
    pub state: String,
}

/// Expired leases that no sweep has closed yet.
pub async fn expired_open(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<OpenLease>> {
    sqlx::query_as(
        "SELECT namespace, run_id, state FROM namespace_leases
         WHERE state <> 'cleaned' AND expires_at <= platform_now() ORDER BY expires_at LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// What the newest preparation of a namespace by another run left.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LastPreparation {
    /// A task for the namespace is not over.
    pub active: bool,
    /// Commit of the source snapshot.
    pub build_ref_sha: Option<String>,
}

/// The newest preparation of a namespace, the run's own left out.
pub async fn last_preparation(
    conn: &mut PgConnection,
    namespace: &str,
    not_of_run: Uuid,
) -> sqlx::Result<Option<LastPreparation>> {
    sqlx::query_as(
        "SELECT bool_or(status IN ('pending', 'running')) OVER () AS active,
                CASE WHEN status = 'succeeded' THEN nullif(build_ref_sha, '') END AS build_ref_sha
         FROM runtime_deploy_tasks WHERE namespace = $1 AND run_id <> $2
         ORDER BY updated_at DESC LIMIT 1",
    )
    .bind(namespace)
    .bind(not_of_run)
    .fetch_optional(conn)
    .await
}
