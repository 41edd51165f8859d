//! The journal as people read it, by keyset (DA-4).
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgExecutor, Postgres, QueryBuilder};
use uuid::Uuid;

/// One event.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct EventView {
    pub id: i64,
    pub correlation_id: String,
    pub event_type: String,
    pub actor_type: String,
    pub actor_id: String,
    pub created_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// Which events of a run.
#[derive(Debug, Default)]
pub struct EventFilter {
    /// The last id the reader has; in the direction of reading.
    pub after_id: Option<i64>,
    pub ascending: bool,
    pub event_types: Vec<String>,
    pub include_payload: bool,
}

/// Events of a run and of its delivery, which share the correlation id.
pub async fn of_run(
    executor: impl PgExecutor<'_>,
    run_id: Uuid,
    filter: &EventFilter,
    limit: i64,
) -> Result<Vec<EventView>, sqlx::Error> {
    let mut builder = QueryBuilder::<Postgres>::new(
        "SELECT e.id, e.correlation_id, e.event_type, e.actor_type, e.actor_id, e.created_at, CASE WHEN ",
    );
    builder
        .push_bind(filter.include_payload)
        .push(
            " THEN e.payload END AS payload FROM flow_events e
              WHERE (e.run_id = ",
        )
        .push_bind(run_id)
        .push(" OR (e.run_id IS NULL AND e.correlation_id = (SELECT correlation_id FROM agent_runs WHERE id = ")
        .push_bind(run_id)
        .push(")))");
    if let Some(after_id) = filter.after_id {
        builder
            .push(if filter.ascending {
                " AND e.id > "
            } else {
                " AND e.id < "
            })
            .push_bind(after_id);
    }
    if !filter.event_types.is_empty() {
        builder
            .push(" AND e.event_type = ANY(")
            .push_bind(filter.event_types.clone())
            .push(")");
    }
    builder
        .push(if filter.ascending {
            " ORDER BY e.id LIMIT "
        } else {
            " ORDER BY e.id DESC LIMIT "
        })
        .push_bind(limit);
    builder.build_query_as().fetch_all(executor).await
}
