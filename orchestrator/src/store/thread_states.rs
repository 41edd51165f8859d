//! What the platform remembers of a thread between deliveries (L-84, L-86, L-95).
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::decide::ThreadStateChange;
use domain::events::{Thread, ThreadKind};
use domain::snapshot::ThreadState;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct Row {
    launch_profile: Option<String>,
    need_input_reason: Option<String>,
    role_label_set_at: Json<BTreeMap<String, DateTime<Utc>>>,
}

/// The state of a thread; the default when nothing is remembered.
pub async fn load(
    executor: impl PgExecutor<'_>,
    repository_id: Uuid,
    kind: ThreadKind,
    number: i64,
) -> Result<ThreadState, sqlx::Error> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT launch_profile, need_input_reason, role_label_set_at FROM thread_states
         WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3",
    )
    .bind(repository_id)
    .bind(kind.as_str())
    .bind(number)
    .fetch_optional(executor)
    .await?;
    Ok(row.map_or_else(ThreadState::default, |row| ThreadState {
        launch_profile: row.launch_profile,
        need_input_reason: row.need_input_reason,
        role_label_set_at: row.role_label_set_at.0,
    }))
}

/// Writes one change; the row is made when absent.
pub async fn apply(
    connection: &mut PgConnection,
    repository_id: Uuid,
    change: &ThreadStateChange,
) -> Result<(), sqlx::Error> {
    let thread = thread_of(change);
    sqlx::query("INSERT INTO thread_states (repository_id, thread_kind, thread_number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
        .bind(repository_id)
        .bind(thread.kind.as_str())
        .bind(thread.number)
        .execute(&mut *connection)
        .await?;
    let query = match change {
        ThreadStateChange::NeedInputSet { reason, .. } => {
            sqlx::query("UPDATE thread_states SET need_input_reason = $4, need_input_set_at = platform_now() WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3")
                .bind(repository_id).bind(thread.kind.as_str()).bind(thread.number).bind(reason)
        }
        ThreadStateChange::NeedInputCleared { .. } => {
            sqlx::query("UPDATE thread_states SET need_input_reason = NULL, need_input_set_at = NULL WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3")
                .bind(repository_id).bind(thread.kind.as_str()).bind(thread.number)
        }
        ThreadStateChange::RoleLabelSet { label, at, .. } => sqlx::query(
            "UPDATE thread_states SET role_label_set_at = role_label_set_at || jsonb_build_object($4::text, coalesce($5, platform_now()))
             WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3",
        )
        .bind(repository_id).bind(thread.kind.as_str()).bind(thread.number).bind(label).bind(at),
        ThreadStateChange::RoleLabelCleared { label, .. } => {
            sqlx::query("UPDATE thread_states SET role_label_set_at = role_label_set_at - $4::text WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3")
                .bind(repository_id).bind(thread.kind.as_str()).bind(thread.number).bind(label)
        }
    };
    query.execute(connection).await?;
    Ok(())
}

fn thread_of(change: &ThreadStateChange) -> &Thread {
    match change {
        ThreadStateChange::NeedInputSet { thread, .. }
        | ThreadStateChange::NeedInputCleared { thread }
        | ThreadStateChange::RoleLabelSet { thread, .. }
        | ThreadStateChange::RoleLabelCleared { thread, .. } => thread,
    }
}
