//! The audit trail: append-only, and only from `domain`'s closed set (DF-1).
use domain::audit::AuditRecord;
use sqlx::PgConnection;

/// A record as the database spells it.
struct Row {
    correlation_id: String,
    run_id: Option<uuid::Uuid>,
    project_id: Option<uuid::Uuid>,
    actor_type: &'static str,
    actor_id: String,
    event_type: &'static str,
    payload: serde_json::Value,
    dedup_key: Option<String>,
}

impl From<&AuditRecord> for Row {
    fn from(record: &AuditRecord) -> Self {
        let mut payload = record.payload();
        // D-32: texts from outside may ride in a payload.
        domain::events::replace_nul(&mut payload);
        Self {
            correlation_id: record.correlation_id.to_string().replace('\0', "\u{fffd}"),
            run_id: record.run_id.map(domain::ids::RunId::as_uuid),
            project_id: record.project_id.map(domain::ids::ProjectId::as_uuid),
            actor_type: record.actor_type(),
            actor_id: record.actor_id(),
            event_type: record.event_type(),
            payload,
            dedup_key: record.dedup_key(),
        }
    }
}

/// Inserts an event in the transaction of the change it tells of (D-21). `false`: an equal one is there (DF-9).
pub async fn insert(
    connection: &mut PgConnection,
    record: &AuditRecord,
) -> Result<bool, sqlx::Error> {
    let event = Row::from(record);
    let done = sqlx::query(
        "INSERT INTO flow_events (correlation_id, run_id, project_id, actor_type, actor_id, event_type, payload, dedup_key)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (correlation_id, event_type, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING",
    )
    .bind(&event.correlation_id)
    .bind(event.run_id)
    .bind(event.project_id)
    .bind(event.actor_type)
    .bind(&event.actor_id)
    .bind(event.event_type)
    .bind(&event.payload)
    .bind(&event.dedup_key)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The same under the name that callers with a prepared record use.
pub use insert as record;
