//! Runs as a self-improvement reads them (G-65).
use chrono::{DateTime, Utc};
use domain::ids::ProjectId;
use domain::tools::RunsQuery;
use sqlx::PgExecutor;
use uuid::Uuid;

/// A run of the project.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KnownRun {
    pub id: Uuid,
    pub correlation_id: String,
    pub project_id: Uuid,
    pub repository_full_name: String,
    pub agent_key: Option<String>,
    pub issue_number: Option<i32>,
    pub pr_number: Option<i32>,
    pub trigger_kind: String,
    pub trigger_label: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// The runs of a page, and one more where there is another page.
pub async fn runs(
    executor: impl PgExecutor<'_>,
    project_id: ProjectId,
    query: &RunsQuery,
) -> Result<Vec<KnownRun>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, correlation_id, project_id, repository_full_name, agent_key, issue_number, pr_number,
                trigger_kind, trigger_label, status, created_at, started_at, finished_at
         FROM agent_runs
         WHERE project_id = $1 AND ($2::text IS NULL OR lower(repository_full_name) = lower($2))
           AND ($3::bigint IS NULL OR issue_number = $3) AND ($4::bigint IS NULL OR pr_number = $4)
         ORDER BY created_at DESC, id DESC LIMIT $5 OFFSET $6",
    )
    .bind(project_id.as_uuid())
    .bind(&query.repository_full_name)
    .bind(query.issue_number)
    .bind(query.pull_request_number)
    .bind(query.limit + 1)
    .bind(query.offset())
    .fetch_all(executor)
    .await
}
