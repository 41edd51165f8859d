//! What the platform remembers of a thread between deliveries (L-84, L-86, L-95, L-96).
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::decide::ThreadStateChange;
use domain::events::{Thread, ThreadKind};
use domain::launch_profiles::{IssueFlow, LaunchProfile, RiskSignal};
use domain::snapshot::ThreadState;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

#[derive(sqlx::FromRow)]
struct Row {
    launch_profile: Option<String>,
    risk_signals: Vec<String>,
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
        "SELECT launch_profile, risk_signals, need_input_reason, role_label_set_at FROM thread_states
         WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3",
    )
    .bind(repository_id)
    .bind(kind.as_str())
    .bind(number)
    .fetch_optional(executor)
    .await?;
    row.map_or_else(|| Ok(ThreadState::default()), ThreadState::try_from)
}

impl TryFrom<Row> for ThreadState {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let unreadable = |column: &str, text: &str| sqlx::Error::ColumnDecode {
            index: column.to_owned(),
            source: format!("{text:?} is no known value").into(),
        };
        let profile = row
            .launch_profile
            .map(|text| {
                LaunchProfile::from_text(&text).ok_or_else(|| unreadable("launch_profile", &text))
            })
            .transpose()?;
        let signals = row
            .risk_signals
            .iter()
            .map(|text| RiskSignal::from_text(text).ok_or_else(|| unreadable("risk_signals", text)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            flow: IssueFlow { profile, signals },
            need_input_reason: row.need_input_reason,
            role_label_set_at: row.role_label_set_at.0,
        })
    }
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
        ThreadStateChange::FlowSet { flow, .. } => {
            let signals: Vec<&str> = flow.signals.iter().map(|signal| signal.as_str()).collect();
            sqlx::query("UPDATE thread_states SET launch_profile = $4, risk_signals = $5 WHERE repository_id = $1 AND thread_kind = $2 AND thread_number = $3")
                .bind(repository_id).bind(thread.kind.as_str()).bind(thread.number)
                .bind(flow.profile.map(LaunchProfile::as_str)).bind(signals)
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
        | ThreadStateChange::RoleLabelCleared { thread, .. }
        | ThreadStateChange::FlowSet { thread, .. } => thread,
    }
}
