//! Requests as people see them (G-84): what is asked, of whom and where, never the payload.
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// Which requests are listed.
#[derive(Debug, Clone, Default)]
pub struct ApprovalFilter {
    pub id: Option<i64>,
    pub state: Option<String>,
    pub tool: Option<String>,
    pub action: Option<String>,
    pub requested_by: Option<String>,
    pub project_id: Option<Uuid>,
    pub run_id: Option<Uuid>,
    /// Only of projects with this member.
    pub member: Option<Uuid>,
}

/// A request with its run and the reader's role in its project.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ApprovalView {
    pub id: i64,
    pub correlation_id: String,
    pub run_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
    pub repository_full_name: Option<String>,
    pub issue_number: Option<i64>,
    pub pr_number: Option<i64>,
    pub trigger_label: Option<String>,
    pub tool_name: String,
    pub action: String,
    pub approval_mode: String,
    pub approval_state: String,
    pub state_version: i32,
    pub requested_by: String,
    pub environment: Option<String>,
    pub target_ref: Value,
    pub justification: Option<String>,
    pub question: Option<String>,
    pub options: Option<Value>,
    pub allow_custom: Option<bool>,
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decision_reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub project_role: Option<String>,
}

const CONDITION: &str = "($1::bigint IS NULL OR q.id = $1) AND ($2::text IS NULL OR q.approval_state = $2)
    AND ($3::text IS NULL OR q.tool_name = $3) AND ($4::text IS NULL OR q.action = $4)
    AND ($5::text IS NULL OR q.requested_by = $5) AND ($6::uuid IS NULL OR q.project_id = $6)
    AND ($7::uuid IS NULL OR q.run_id = $7)
    AND ($8::uuid IS NULL OR EXISTS (SELECT 1 FROM project_members p WHERE p.project_id = q.project_id AND p.user_id = $8))";

/// One page, oldest first; `reader` is whose role in the project is told.
pub async fn page(
    pool: &PgPool,
    filter: &ApprovalFilter,
    reader: Uuid,
    limit: i64,
    offset: i64,
) -> Result<Vec<ApprovalView>, sqlx::Error> {
    let query = format!(
        "SELECT q.id, q.correlation_id, q.run_id, q.project_id, r.repository_full_name,
                r.issue_number::bigint AS issue_number, r.pr_number::bigint AS pr_number, r.trigger_label,
                q.tool_name, q.action, q.approval_mode, q.approval_state, q.state_version, q.requested_by, q.environment,
                q.target_ref, q.justification, q.payload ->> 'question' AS question, q.payload -> 'options' AS options,
                (q.payload ->> 'allow_custom')::boolean AS allow_custom, q.decided_by, q.decided_at, q.decision_reason,
                q.created_at, q.expires_at, m.role AS project_role
         FROM mcp_action_requests q LEFT JOIN agent_runs r ON r.id = q.run_id
         LEFT JOIN project_members m ON m.project_id = q.project_id AND m.user_id = $9
         WHERE {CONDITION} ORDER BY q.created_at, q.id LIMIT $10 OFFSET $11"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(filter.id)
        .bind(&filter.state)
        .bind(&filter.tool)
        .bind(&filter.action)
        .bind(&filter.requested_by)
        .bind(filter.project_id)
        .bind(filter.run_id)
        .bind(filter.member)
        .bind(reader)
        .bind(limit)
        .bind(offset)
        .fetch_all(pool)
        .await
}

/// How many there are.
pub async fn count(pool: &PgPool, filter: &ApprovalFilter) -> Result<i64, sqlx::Error> {
    let query = format!("SELECT count(*) FROM mcp_action_requests q WHERE {CONDITION}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .bind(filter.id)
        .bind(&filter.state)
        .bind(&filter.tool)
        .bind(&filter.action)
        .bind(&filter.requested_by)
        .bind(filter.project_id)
        .bind(filter.run_id)
        .bind(filter.member)
        .fetch_one(pool)
        .await
}
