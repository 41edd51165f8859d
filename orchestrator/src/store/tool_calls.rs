//! Who calls a tool, and what was promised under an idempotency key (`mcp_idempotency`).
use domain::stages::TriggerKind;
use domain::tools::ToolRun;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// The run behind a call.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct CallSubject {
    pub repository_full_name: String,
    pub issue_number: Option<i32>,
    pub pr_number: Option<i32>,
    pub trigger_kind: String,
    pub discussion_mode: bool,
    pub agent_key: Option<String>,
    /// The first run of those that go on from one another: they share keys (G-26).
    pub scope_run_id: Uuid,
    pub target_env: Option<String>,
}

impl CallSubject {
    /// What the catalogue depends on (1.3).
    pub fn tool_run(&self, runtime_mode: &str) -> ToolRun {
        ToolRun {
            agent_key: self.agent_key.clone().unwrap_or_default(),
            trigger_kind: self.trigger_kind.parse().unwrap_or(TriggerKind::None),
            discussion: self.discussion_mode,
            runtime_mode: runtime_mode.to_owned(),
        }
    }
}

/// Reads it.
pub async fn subject(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<CallSubject>, sqlx::Error> {
    sqlx::query_as(
        "SELECT repository_full_name, issue_number, pr_number, trigger_kind, discussion_mode, agent_key,
             scope_run_id, target_env
         FROM agent_runs WHERE id = $1",
    )
    .bind(run_id)
    .fetch_optional(executor)
    .await
}

/// What stands under a key.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KnownCall {
    pub input_fingerprint: Vec<u8>,
    pub result: Option<Value>,
}

/// Whose key it is: run, tool and key (G-26).
#[derive(Debug, Clone, Copy)]
pub struct CallKey<'a> {
    pub scope_run_id: Uuid,
    pub tool_name: &'a str,
    pub key: &'a str,
}

/// Finds a call by its key.
pub async fn find(
    executor: impl PgExecutor<'_>,
    key: CallKey<'_>,
) -> Result<Option<KnownCall>, sqlx::Error> {
    sqlx::query_as(
        "SELECT input_fingerprint, result FROM mcp_idempotency
         WHERE scope_run_id = $1 AND tool_name = $2 AND idempotency_key = $3",
    )
    .bind(key.scope_run_id)
    .bind(key.tool_name)
    .bind(key.key)
    .fetch_optional(executor)
    .await
}

/// Takes a key; `false` when another call has it.
pub async fn claim(
    connection: &mut PgConnection,
    key: CallKey<'_>,
    input_fingerprint: &[u8],
    result: &Value,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO mcp_idempotency (scope_run_id, tool_name, idempotency_key, input_fingerprint, result)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(key.scope_run_id)
    .bind(key.tool_name)
    .bind(key.key)
    .bind(input_fingerprint)
    .bind(result)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps the outcome of a call for its repetitions.
pub async fn keep_result(
    connection: &mut PgConnection,
    key: CallKey<'_>,
    result: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE mcp_idempotency SET result = $4
         WHERE scope_run_id = $1 AND tool_name = $2 AND idempotency_key = $3",
    )
    .bind(key.scope_run_id)
    .bind(key.tool_name)
    .bind(key.key)
    .bind(result)
    .execute(connection)
    .await?;
    Ok(())
}

/// Decisions about the labels of one thread take turns until the end of the transaction.
pub async fn lock_thread(connection: &mut PgConnection, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(key)
        .execute(connection)
        .await?;
    Ok(())
}

/// The namespace of a run.
pub async fn namespace_of(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    let namespace: Option<Option<String>> =
        sqlx::query_scalar("SELECT namespace FROM agent_runs WHERE id = $1")
            .bind(run_id)
            .fetch_optional(executor)
            .await?;
    Ok(namespace.flatten())
}
