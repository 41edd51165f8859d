//! The error journal: a repeat of an unviewed entry counts up instead of filling the list.
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

/// Characters of `runtime_errors.message`.
const MESSAGE_LIMIT: usize = 4000;

/// A journal entry.
#[derive(Debug, Clone, Default)]
pub struct NewRuntimeError<'a> {
    pub source: &'a str,
    /// `warning`, `error` or `critical`.
    pub level: &'a str,
    pub message: &'a str,
    pub details: Value,
    pub correlation_id: Option<&'a str>,
    pub run_id: Option<Uuid>,
    pub project_id: Option<Uuid>,
}

/// Writes an entry, or counts one more of it.
pub async fn journal(
    connection: &mut PgConnection,
    error: &NewRuntimeError<'_>,
) -> Result<(), sqlx::Error> {
    let message: String = error
        .message
        .replace('\0', "\u{fffd}")
        .chars()
        .take(MESSAGE_LIMIT)
        .collect();
    let mut details = error.details.clone();
    domain::events::replace_nul(&mut details);
    if details.is_null() {
        details = Value::Object(serde_json::Map::new());
    }
    sqlx::query(
        "INSERT INTO runtime_errors (source, level, message, details_json, correlation_id, run_id, project_id, fingerprint)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (fingerprint) WHERE viewed_at IS NULL DO UPDATE
             SET occurrences = runtime_errors.occurrences + 1, last_seen_at = platform_now(), details_json = excluded.details_json",
    )
    .bind(error.source)
    .bind(error.level)
    .bind(&message)
    .bind(details)
    .bind(error.correlation_id)
    .bind(error.run_id)
    .bind(error.project_id)
    .bind(fingerprint(error, &message))
    .execute(connection)
    .await?;
    Ok(())
}

/// Entries are the same when source, level, message and what they belong to are.
fn fingerprint(error: &NewRuntimeError<'_>, message: &str) -> String {
    let owner = error
        .run_id
        .map(|id| id.to_string())
        .or(error.correlation_id.map(str::to_owned))
        .unwrap_or_default();
    let mut digest = Sha256::new();
    for part in [error.source, error.level, message, &owner] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    hex::encode(digest.finalize())
}
