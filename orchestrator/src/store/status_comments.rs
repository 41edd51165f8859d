//! What a status comment shows, and where it is (L-102 to L-104).
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Rows behind a comment that are not part of the run's facts.
#[derive(Debug, sqlx::FromRow)]
pub struct StatusCommentRow {
    pub scope_run_id: Uuid,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub status_comment_id: Option<i64>,
    pub status_comment_phase: Option<String>,
    pub finish_reason: Option<String>,
    pub job_name: Option<String>,
    pub job_namespace: Option<String>,
    pub pr_url: Option<String>,
    pub model: Option<String>,
    pub reasoning_effort: Option<String>,
    pub lease_expires_at: Option<DateTime<Utc>>,
    pub lease_debug_hold: Option<bool>,
    pub lease_state: Option<String>,
}

/// An event that the comment tells of.
#[derive(Debug, sqlx::FromRow)]
pub struct CommentEvent {
    pub event_type: String,
    pub payload: Value,
    pub created_at: DateTime<Utc>,
}

/// Reads the row; a resume run goes on with the comment of its source, whose id the newest run of the chain carries.
pub async fn load(pool: &PgPool, run_id: Uuid) -> Result<Option<StatusCommentRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT r.scope_run_id, r.correlation_id, r.project_id,
                coalesce(r.status_comment_id, chain.status_comment_id) AS status_comment_id,
                coalesce(r.status_comment_phase, chain.status_comment_phase) AS status_comment_phase,
                r.finish_reason, r.job_name, r.job_namespace, s.pr_url,
                coalesce(p.payload ->> 'model', s.model) AS model, coalesce(p.payload ->> 'reasoning_effort', s.reasoning_effort) AS reasoning_effort,
                l.expires_at AS lease_expires_at, l.debug_hold AS lease_debug_hold, l.state AS lease_state
         FROM agent_runs r
         LEFT JOIN agent_sessions s ON s.run_id = r.id
         LEFT JOIN namespace_leases l ON l.namespace = r.namespace
         LEFT JOIN LATERAL (SELECT payload FROM flow_events f WHERE f.run_id = r.id AND f.event_type = 'run.profile.resolved' ORDER BY f.id DESC LIMIT 1) p ON true
         LEFT JOIN LATERAL (
             SELECT c.status_comment_id, c.status_comment_phase FROM agent_runs c
             WHERE c.scope_run_id = r.scope_run_id AND c.id <> r.id AND c.status_comment_id IS NOT NULL
             ORDER BY c.created_at DESC LIMIT 1) chain ON true
         WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(pool)
    .await
}

/// Events that make reports, timeline and error, oldest first.
pub async fn events(pool: &PgPool, run_id: Uuid) -> Result<Vec<CommentEvent>, sqlx::Error> {
    sqlx::query_as(
        "SELECT event_type, payload, created_at FROM flow_events
         WHERE run_id = $1 AND event_type IN ('run.agent.status_reported', 'run.status.comment.upserted', 'run.codex.auth.required',
             'run.pr.created', 'run.pr.updated', 'run.succeeded', 'run.failed', 'run.failed.job_not_found', 'run.failed.launch_error',
             'run.failed.precondition', 'run.failed.timeout', 'run.canceled', 'run.revise.pr_not_found')
         ORDER BY id",
    )
    .bind(run_id)
    .fetch_all(pool)
    .await
}

/// Stores where the comment is and the phase it shows.
pub async fn store(
    connection: &mut PgConnection,
    run_id: Uuid,
    comment_id: i64,
    phase: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE agent_runs SET status_comment_id = $2, status_comment_phase = $3 WHERE id = $1",
    )
    .bind(run_id)
    .bind(comment_id)
    .bind(phase)
    .execute(connection)
    .await?;
    Ok(())
}
