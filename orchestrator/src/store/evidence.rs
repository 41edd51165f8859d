//! Slices of the journal for the gate, read in one repeatable-read, read-only transaction (data 7).
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The slices by name, in stable order; each takes the period and a project.
pub const SLICES: [(&str, &str); 6] = [
    (
        "agent_runs",
        "SELECT to_jsonb(t) - 'run_payload' - 'agent_logs_json' FROM agent_runs t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.project_id = $3) ORDER BY t.created_at, t.id",
    ),
    (
        "flow_events",
        "SELECT to_jsonb(t) FROM flow_events t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.project_id = $3) ORDER BY t.id",
    ),
    (
        "webhook_deliveries",
        "SELECT to_jsonb(t) - 'raw_body' FROM webhook_deliveries t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.run_id IN (SELECT id FROM agent_runs WHERE project_id = $3)) ORDER BY t.created_at, t.delivery_id",
    ),
    (
        "outbox_effects",
        "SELECT to_jsonb(t) FROM outbox_effects t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.project_id = $3) ORDER BY t.id",
    ),
    (
        "namespace_leases",
        "SELECT to_jsonb(t) FROM namespace_leases t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.project_id = $3) ORDER BY t.namespace",
    ),
    (
        "slots",
        "SELECT to_jsonb(t) FROM slots t WHERE t.created_at >= $1 AND t.created_at < $2 AND ($3::uuid IS NULL OR t.project_id = $3) ORDER BY t.project_id, t.slot_no",
    ),
];

/// The period and project of an export.
#[derive(Debug, Clone, Copy)]
pub struct EvidenceScope {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub project_id: Option<Uuid>,
}

/// A slice, or why it could not be computed (DE-3).
#[derive(Debug)]
pub struct Slice {
    pub name: &'static str,
    pub rows: Result<Vec<Value>, sqlx::Error>,
}

/// Reads the named slices of one moment.
pub async fn export(
    pool: &PgPool,
    scope: EvidenceScope,
    only: Option<&str>,
) -> Result<(DateTime<Utc>, Vec<Slice>), sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        .execute(&mut *transaction)
        .await?;
    let now = super::clock::now(&mut *transaction).await?;
    let mut slices = Vec::new();
    for (name, query) in SLICES {
        if only.is_none_or(|only| only == name) {
            let rows = slice(&mut transaction, query, scope).await;
            slices.push(Slice { name, rows });
        }
    }
    transaction.rollback().await?;
    Ok((now, slices))
}

async fn slice(
    connection: &mut PgConnection,
    query: &'static str,
    scope: EvidenceScope,
) -> Result<Vec<Value>, sqlx::Error> {
    sqlx::query_scalar(query)
        .bind(scope.from)
        .bind(scope.to)
        .bind(scope.project_id)
        .fetch_all(connection)
        .await
}
