//! Life of a run under a worker: claim, ownership, launch facts (R-3..R-10, D-3, D-5). The end is in `run_finish`.
//!
//! Every write carries `lease_owner = self`: a worker that lost the lease changes nothing.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Serialises claims: role limits and branches are facts about other rows, which row locks do not cover.
const CLAIM_LOCK: i64 = 0x636f_6465_785f_6372;

/// Limits of a claim.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// Slots of a project without a setting of its own.
    pub slots_per_project: i32,
    /// Life of the run lease.
    pub run_lease_ttl: Duration,
    /// Life of the slot lease.
    pub slot_lease_ttl: Duration,
    /// Budget of unpaused running time.
    pub run_timeout: Duration,
}

/// A run as its worker reads it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct WorkerRun {
    /// Row id.
    pub id: Uuid,
    /// Correlation id.
    pub correlation_id: String,
    /// Project.
    pub project_id: Option<Uuid>,
    /// State.
    pub status: String,
    /// What started it, or the run that it goes on from.
    pub trigger_source: String,
    /// Kind.
    pub trigger_kind: String,
    /// Label as recorded.
    pub trigger_label: String,
    /// A discussion.
    pub discussion_mode: bool,
    /// `owner/name`.
    pub repository_full_name: String,
    /// Issue.
    pub issue_number: Option<i32>,
    /// Pull request.
    pub pr_number: Option<i32>,
    /// Agent.
    pub agent_key: Option<String>,
    /// Mode.
    pub runtime_mode: Option<String>,
    /// Environment.
    pub target_env: Option<String>,
    /// Namespace, once chosen.
    pub namespace: Option<String>,
    /// Job, once made.
    pub job_name: Option<String>,
    /// Where the Job is.
    pub job_namespace: Option<String>,
    /// Envelope of L-44.
    pub run_payload: Value,
    /// Only a deploy.
    pub deploy_only: bool,
    /// Claimed at.
    pub started_at: Option<DateTime<Utc>>,
    /// Slot, if it leases one.
    pub slot_no: Option<i32>,
    /// Its agent has ended while a wait is open.
    pub is_parked: bool,
    /// Its budget is used up.
    pub timed_out: bool,
    /// Unpaused or not, how long ago it was claimed.
    pub age_seconds: i64,
    /// From its enqueuing to its claim.
    pub queued_seconds: f64,
}

macro_rules! worker_run_columns {
    () => {
        "r.id, r.correlation_id, r.project_id, r.status, run_source(r) AS trigger_source, r.trigger_kind, r.trigger_label,
         r.discussion_mode, r.repository_full_name, r.issue_number, r.pr_number, r.agent_key, r.runtime_mode, r.target_env,
         r.namespace, r.job_name, r.job_namespace, r.run_payload - 'raw_payload' AS run_payload, r.deploy_only, r.started_at,
         (SELECT s.slot_no FROM slots s WHERE s.lease_owner = r.id::text) AS slot_no, r.parked_at IS NOT NULL AS is_parked,
         coalesce(NOT r.timeout_paused AND r.timeout_at <= platform_now(), false) AS timed_out,
         coalesce(extract(epoch FROM platform_now() - r.started_at)::bigint, 0) AS age_seconds,
         coalesce(extract(epoch FROM r.started_at - r.created_at)::float8, 0) AS queued_seconds"
    };
}

/// Why each pending run cannot start, or null (R-4..R-7). Roles beyond the table are custom: one at a time.
macro_rules! judged {
    () => {
        "WITH active AS (
             SELECT a.id, a.project_id, a.agent_key, a.repository_full_name,
                    CASE WHEN a.agent_key = 'reviewer' OR a.discussion_mode OR a.deploy_only THEN NULL
                         ELSE a.run_payload ->> 'target_branch' END AS branch, a.deploy_only
             FROM agent_runs a
             WHERE a.status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')),
         judged AS (
             SELECT p.id, p.created_at, p.project_id, size.slots,
                    p.needs_slot,
                    CASE
                        WHEN NOT p.deploy_only AND NOT p.discussion_mode AND (
                             SELECT count(*) FROM active a WHERE a.project_id IS NOT DISTINCT FROM p.project_id
                                 AND a.agent_key = p.agent_key AND NOT a.deploy_only)
                             >= CASE p.agent_key WHEN 'dev' THEN 2 WHEN 'reviewer' THEN 2 WHEN 'qa' THEN 2 WHEN 'km' THEN 2 ELSE 1 END
                            THEN 'role_limit'
                        WHEN p.branch IS NOT NULL AND EXISTS (
                             SELECT 1 FROM active a WHERE a.repository_full_name = p.repository_full_name AND a.branch = p.branch)
                            THEN 'branch_busy'
                        WHEN p.needs_slot AND (
                             SELECT count(*) FROM slots s WHERE s.project_id = p.project_id AND s.slot_no <= size.slots AND s.state <> 'free')
                             >= size.slots
                            THEN 'no_free_slot'
                    END AS reason
             FROM (SELECT r.*,
                       CASE WHEN r.agent_key = 'reviewer' OR r.discussion_mode OR r.deploy_only THEN NULL
                            ELSE r.run_payload ->> 'target_branch' END AS branch,
                       NOT r.deploy_only AND r.project_id IS NOT NULL
                           AND coalesce(r.runtime_mode, r.run_payload #>> '{runtime,mode}') = 'full-env' AS needs_slot
                   FROM agent_runs r WHERE r.status = 'pending') p
             CROSS JOIN LATERAL (
                 SELECT coalesce((SELECT (j.settings ->> 'slots_per_project')::int FROM projects j WHERE j.id = p.project_id), $1) AS slots) size)"
    };
}

/// A claimed run with what a claim decides.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
struct Eligible {
    id: Uuid,
    project_id: Option<Uuid>,
    slots: i32,
    needs_slot: bool,
}

/// Claims the oldest eligible pending run in the caller's transaction: slot, status, lease, session row (R-3, D-3, D-4, D-8).
pub async fn claim_next(
    conn: &mut PgConnection,
    worker_id: &str,
    limits: &ClaimLimits,
) -> sqlx::Result<Option<WorkerRun>> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(CLAIM_LOCK)
        .execute(&mut *conn)
        .await?;
    let eligible: Option<Eligible> = sqlx::query_as(concat!(
        judged!(),
        " SELECT j.id, j.project_id, j.slots, j.needs_slot FROM judged j JOIN agent_runs r ON r.id = j.id
          WHERE j.reason IS NULL AND r.status = 'pending'
          ORDER BY j.created_at, j.id LIMIT 1 FOR UPDATE OF r SKIP LOCKED"
    ))
    .bind(limits.slots_per_project)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(eligible) = eligible else {
        return Ok(None);
    };
    if let Some(project_id) = eligible.project_id.filter(|_| eligible.needs_slot) {
        let leased = super::slots::lease(
            conn,
            project_id,
            eligible.id,
            eligible.slots,
            limits.slot_lease_ttl,
        )
        .await?;
        if leased.is_none() {
            // A slot row is locked by a finishing run: its commit wakes the queue again.
            return Ok(None);
        }
    }
    sqlx::query(
        "UPDATE agent_runs SET status = 'running', queue_reason = NULL, lease_owner = $2, lease_until = platform_now() + $3,
             started_at = coalesce(started_at, platform_now()),
             timeout_at = coalesce(timeout_at, platform_now() + coalesce(timeout_remaining, $4)), timeout_remaining = NULL,
             runtime_mode = coalesce(runtime_mode, run_payload #>> '{runtime,mode}'),
             target_env = coalesce(target_env, run_payload #>> '{runtime,target_env}')
         WHERE id = $1",
    )
    .bind(eligible.id)
    .bind(worker_id)
    .bind(limits.run_lease_ttl)
    .bind(limits.run_timeout)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO agent_sessions (run_id, correlation_id, project_id, repository_full_name, agent_key, issue_number,
             branch_name, pr_number, trigger_kind, status)
         SELECT id, correlation_id, project_id, repository_full_name, agent_key, issue_number,
             run_payload ->> 'target_branch', pr_number, trigger_kind, 'running'
         FROM agent_runs WHERE id = $1 AND agent_key IS NOT NULL
         ON CONFLICT (run_id) DO NOTHING",
    )
    .bind(eligible.id)
    .execute(&mut *conn)
    .await?;
    get_owned(conn, eligible.id, worker_id).await
}

/// Stores why the remaining pending runs wait.
pub async fn store_queue_reasons(
    conn: &mut PgConnection,
    limits: &ClaimLimits,
) -> sqlx::Result<u64> {
    let done = sqlx::query(concat!(
        judged!(),
        " UPDATE agent_runs r SET queue_reason = j.reason FROM judged j
          WHERE r.id = j.id AND r.status = 'pending' AND j.reason IS NOT NULL AND r.queue_reason IS DISTINCT FROM j.reason"
    ))
    .bind(limits.slots_per_project)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The run, if this worker owns it and it is not over. What reads one run by its id names the states that it must not be
/// in: by those that it may be in, a server without statistics walks through all runs that are in them.
pub async fn get_owned(
    conn: &mut PgConnection,
    run_id: Uuid,
    worker_id: &str,
) -> sqlx::Result<Option<WorkerRun>> {
    sqlx::query_as(concat!(
        "SELECT ",
        worker_run_columns!(),
        " FROM agent_runs r WHERE r.id = $1 AND r.lease_owner = $2
          AND r.status NOT IN ('pending', 'succeeded', 'failed', 'canceled')"
    ))
    .bind(run_id)
    .bind(worker_id)
    .fetch_optional(conn)
    .await
}

/// All runs this worker owns, oldest first; at most `limit`.
pub async fn owned(
    conn: &mut PgConnection,
    worker_id: &str,
    limit: i64,
) -> sqlx::Result<Vec<WorkerRun>> {
    sqlx::query_as(concat!(
        "SELECT ",
        worker_run_columns!(),
        " FROM agent_runs r WHERE r.lease_owner = $1
          AND r.status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')
          ORDER BY r.updated_at, r.id LIMIT $2"
    ))
    .bind(worker_id)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Locks an owned run for the rest of the transaction. `false`: the lease is lost, stop without a trace (D-5, R-16).
pub async fn fence(conn: &mut PgConnection, run_id: Uuid, worker_id: &str) -> sqlx::Result<bool> {
    let found: Option<Uuid> = sqlx::query_scalar(
        "SELECT id FROM agent_runs WHERE id = $1 AND lease_owner = $2
         AND status NOT IN ('pending', 'succeeded', 'failed', 'canceled') FOR UPDATE",
    )
    .bind(run_id)
    .bind(worker_id)
    .fetch_optional(conn)
    .await?;
    Ok(found.is_some())
}

/// Renews the run leases of this worker once less than half is left.
pub async fn renew_leases(
    conn: &mut PgConnection,
    worker_id: &str,
    ttl: Duration,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE agent_runs SET lease_until = platform_now() + $2
         WHERE lease_owner = $1 AND lease_until < platform_now() + $2 / 2
           AND status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')",
    )
    .bind(worker_id)
    .bind(ttl)
    .execute(conn)
    .await
    .map(drop)
}

/// A run taken from a dead or stopped worker.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LeaseSubject {
    /// Row id.
    pub id: Uuid,
    /// Correlation id.
    pub correlation_id: String,
    /// Project.
    pub project_id: Option<Uuid>,
    /// Mode.
    pub runtime_mode: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Kind.
    pub trigger_kind: String,
    /// A discussion.
    pub discussion_mode: bool,
}

/// Releases a lease that is still held by `owner`. None when another worker was faster.
pub async fn release_lease(
    conn: &mut PgConnection,
    run_id: Uuid,
    owner: &str,
) -> sqlx::Result<Option<LeaseSubject>> {
    sqlx::query_as(
        "UPDATE agent_runs SET lease_owner = NULL, lease_until = NULL, stale_reclaim_pending = true
         WHERE id = $1 AND lease_owner = $2
           AND status NOT IN ('pending', 'succeeded', 'failed', 'canceled')
         RETURNING id, correlation_id, project_id, runtime_mode, namespace, trigger_kind, discussion_mode",
    )
    .bind(run_id)
    .bind(owner)
    .fetch_optional(conn)
    .await
}

/// Releases everything a worker holds, when it stops politely.
pub async fn release_all(
    conn: &mut PgConnection,
    worker_id: &str,
) -> sqlx::Result<Vec<LeaseSubject>> {
    sqlx::query_as(
        "UPDATE agent_runs SET lease_owner = NULL, lease_until = NULL, stale_reclaim_pending = true
         WHERE lease_owner = $1
           AND status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')
         RETURNING id, correlation_id, project_id, runtime_mode, namespace, trigger_kind, discussion_mode",
    )
    .bind(worker_id)
    .fetch_all(conn)
    .await
}

/// Takes over released runs, oldest first.
pub async fn reclaim(
    conn: &mut PgConnection,
    worker_id: &str,
    ttl: Duration,
    limit: i64,
) -> sqlx::Result<Vec<LeaseSubject>> {
    sqlx::query_as(
        "UPDATE agent_runs SET lease_owner = $1, lease_until = platform_now() + $2, stale_reclaim_pending = false
         WHERE id IN (SELECT id FROM agent_runs
                      WHERE lease_owner IS NULL
                        AND status IN ('running', 'waiting_mcp', 'waiting_owner_review', 'waiting_backpressure')
                      ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         RETURNING id, correlation_id, project_id, runtime_mode, namespace, trigger_kind, discussion_mode",
    )
    .bind(worker_id)
    .bind(ttl)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Stores the namespace chosen for the run, before anything is made in the cluster.
pub async fn set_namespace(
    conn: &mut PgConnection,
    run_id: Uuid,
    namespace: &str,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE agent_runs SET namespace = $2 WHERE id = $1")
        .bind(run_id)
        .bind(namespace)
        .execute(conn)
        .await
        .map(drop)
}

/// Stores the pull request found at the claim (L-60).
pub async fn set_pull_request(
    conn: &mut PgConnection,
    run_id: Uuid,
    number: i32,
) -> sqlx::Result<()> {
    sqlx::query(
        "WITH run AS (UPDATE agent_runs SET pr_number = $2 WHERE id = $1 AND pr_number IS DISTINCT FROM $2)
         UPDATE agent_sessions SET pr_number = $2 WHERE run_id = $1 AND pr_number IS DISTINCT FROM $2",
    )
    .bind(run_id)
    .bind(number)
    .execute(conn)
    .await
    .map(drop)
}

/// Stores where the Job is. `true` the first time: `run.started` belongs to the same transaction.
pub async fn set_job(
    conn: &mut PgConnection,
    run_id: Uuid,
    namespace: &str,
    name: &str,
) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE agent_runs SET job_namespace = $2, job_name = $3 WHERE id = $1 AND job_name IS NULL",
    )
    .bind(run_id)
    .bind(namespace)
    .bind(name)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Moves where the Job is after it was found elsewhere.
pub async fn move_job(conn: &mut PgConnection, run_id: Uuid, namespace: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE agent_runs SET job_namespace = $2 WHERE id = $1")
        .bind(run_id)
        .bind(namespace)
        .execute(conn)
        .await
        .map(drop)
}

/// Profile stored with the session (L-14).
pub async fn set_session_profile(
    conn: &mut PgConnection,
    run_id: Uuid,
    model: &str,
    reasoning_effort: &str,
    template_kind: &str,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE agent_sessions SET model = $2, reasoning_effort = $3, template_kind = $4 WHERE run_id = $1")
        .bind(run_id)
        .bind(model)
        .bind(reasoning_effort)
        .bind(template_kind)
        .execute(conn)
        .await
        .map(drop)
}

/// Payload of the run's newest event of a type, if there is one.
pub async fn event_payload(
    conn: &mut PgConnection,
    run_id: Uuid,
    event_type: &str,
) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar("SELECT payload FROM flow_events WHERE run_id = $1 AND event_type = $2 ORDER BY id DESC LIMIT 1")
        .bind(run_id)
        .bind(event_type)
        .fetch_optional(conn)
        .await
}

/// Types of the events a run has, for steps that write theirs once.
pub async fn event_types(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT DISTINCT event_type FROM flow_events WHERE run_id = $1")
        .bind(run_id)
        .fetch_all(conn)
        .await
}

/// A canceled run whose Job may still be there.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CanceledJob {
    /// The run.
    pub id: Uuid,
    /// Where its Job was.
    pub job_namespace: Option<String>,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EndedRun {
    /// Row id.
    pub id: Uuid,
    /// `owner/name`.
    pub repository_full_name: String,
    /// How it ended.
    pub status: String,
    /// How long ago.
    pub age_seconds: i64,
}

/// Which of these runs are over, and how; the others are not answered.
pub async fn terminal_among(
    conn: &mut PgConnection,
    run_ids: &[Uuid],
) -> sqlx::Result<Vec<EndedRun>> {
    sqlx::query_as(
        "SELECT id, repository_full_name, status, extract(epoch FROM platform_now() - finished_at)::bigint AS age_seconds
         FROM agent_runs
         WHERE id = ANY($1) AND status IN ('succeeded', 'failed', 'canceled')",
    )
    .bind(run_ids)
    .fetch_all(conn)
    .await
}

/// Status and correlation of any run: for the sweep.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RunSummary {
    /// Row id.
    pub id: Uuid,
    /// Correlation id.
    pub correlation_id: String,
    /// Project.
    pub project_id: Option<Uuid>,
    /// State.
    pub status: String,
    /// `owner/name`.
    pub repository_full_name: String,
    /// Issue.
    pub issue_number: Option<i32>,
    /// Pull request.
    pub pr_number: Option<i32>,
    /// What started it.
    pub trigger_source: String,
    /// A deploy task of the run is not over.
    pub deploy_active: bool,
}

/// One run for the sweep.
pub async fn summary(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<Option<RunSummary>> {
    sqlx::query_as(
        "SELECT r.id, r.correlation_id, r.project_id, r.status, r.repository_full_name, r.issue_number, r.pr_number,
                run_source(r) AS trigger_source,
                EXISTS (SELECT 1 FROM runtime_deploy_tasks t WHERE t.run_id = r.id AND t.status IN ('pending', 'running')) AS deploy_active
         FROM agent_runs r WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(conn)
    .await
}

/// Whether a leak is in the journal already.
pub async fn leak_is_recorded(
    conn: &mut PgConnection,
    correlation_id: &str,
    kind: &str,
    object: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM flow_events WHERE correlation_id = $1 AND event_type = 'run.hygiene.leak_detected'
                        AND payload ->> 'kind' = $2 AND payload ->> 'object' = $3)",
    )
    .bind(correlation_id)
    .bind(kind)
    .bind(object)
    .fetch_one(conn)
    .await
}
