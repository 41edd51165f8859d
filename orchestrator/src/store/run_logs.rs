//! Log chunks and token usage of runs; both insert-or-nothing (D-26).
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// One stored chunk.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct LogChunk {
    pub id: i64,
    pub stream: String,
    pub text: String,
    pub created_at: DateTime<Utc>,
}

/// Stores a chunk; one that was sent again changes nothing.
pub async fn insert_chunk(
    connection: &mut PgConnection,
    run_id: Uuid,
    stream: &str,
    sequence: i64,
    text: &str,
) -> Result<(), sqlx::Error> {
    let lines = i32::try_from(text.lines().count()).unwrap_or(i32::MAX);
    sqlx::query(
        "INSERT INTO run_log_chunks (run_id, stream, seq, line_count, text) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (run_id, stream, seq) DO NOTHING",
    )
    .bind(run_id)
    .bind(stream)
    .bind(sequence)
    .bind(lines)
    .bind(text)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Chunks of a run before a chunk id, newest first, at least as many as hold `lines` lines.
pub async fn tail(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
    stream: Option<&str>,
    before_chunk: Option<i64>,
    lines: i64,
) -> Result<Vec<LogChunk>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, stream, text, created_at FROM (
             SELECT id, stream, text, created_at,
                    sum(line_count) OVER (ORDER BY id DESC) - line_count AS newer_lines
             FROM run_log_chunks
             WHERE run_id = $1 AND ($2::text IS NULL OR stream = $2) AND ($3::bigint IS NULL OR id <= $3)) c
         WHERE newer_lines <= $4 ORDER BY id DESC",
    )
    .bind(run_id)
    .bind(stream)
    .bind(before_chunk)
    .bind(lines)
    .fetch_all(executor)
    .await
}

/// Usage of one turn of the agent's model.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenUsage {
    pub session_id: String,
    pub turn_no: i32,
    pub model: String,
    #[serde(default)]
    pub prompt_tokens: i32,
    #[serde(default)]
    pub completion_tokens: i32,
    #[serde(default)]
    pub total_tokens: i32,
    /// Decimal text, so that no rounding happens on the way.
    pub cost_usd: Option<String>,
}

/// Stores the usage of a turn once.
pub async fn insert_usage(
    connection: &mut PgConnection,
    run_id: Uuid,
    usage: &TokenUsage,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO token_usage (run_id, session_id, turn_no, model, prompt_tokens, completion_tokens, total_tokens, cost_usd)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::numeric) ON CONFLICT (session_id, turn_no) DO NOTHING",
    )
    .bind(run_id)
    .bind(&usage.session_id)
    .bind(usage.turn_no)
    .bind(&usage.model)
    .bind(usage.prompt_tokens)
    .bind(usage.completion_tokens)
    .bind(usage.total_tokens)
    .bind(&usage.cost_usd)
    .execute(connection)
    .await
    .map(|_| ())
}
