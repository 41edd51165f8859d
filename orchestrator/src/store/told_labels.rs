//! Trigger labels as deliveries told of them, and threads whose labels are others.
use domain::events::ThreadKind;
use domain::recovery::{Difference, LabelTold, ToldLabels};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Remembers what a delivery told, unless a newer change is known.
pub async fn remember(
    connection: &mut PgConnection,
    repository_id: Uuid,
    told: &LabelTold,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO told_labels AS known (repository_id, thread_kind, thread_number, label, is_set, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (repository_id, thread_kind, thread_number, label) DO UPDATE
             SET is_set = excluded.is_set, changed_at = excluded.changed_at
             WHERE known.changed_at <= excluded.changed_at",
    )
    .bind(repository_id)
    .bind(told.thread.kind.as_str())
    .bind(told.thread.number)
    .bind(&told.label)
    .bind(told.is_set)
    .bind(told.changed_at)
    .execute(connection)
    .await
    .map(drop)
}

#[derive(sqlx::FromRow)]
struct Row {
    thread_kind: String,
    thread_number: i64,
    label: String,
    /// None for a label that a run works on.
    is_set: Option<bool>,
}

/// What deliveries and runs that have not ended tell of these threads.
pub async fn of_threads(
    executor: impl PgExecutor<'_>,
    repository_id: Uuid,
    full_name: &str,
    numbers: &[i64],
) -> Result<ToldLabels, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT thread_kind, thread_number, label, is_set FROM told_labels WHERE repository_id = $1 AND thread_number = ANY($3)
         UNION ALL
         SELECT 'issue', issue_number::bigint, trigger_label, NULL FROM agent_runs
         WHERE repository_full_name = $2 AND issue_number = ANY($3) AND status NOT IN ('succeeded', 'failed', 'canceled')",
    )
    .bind(repository_id)
    .bind(full_name)
    .bind(numbers)
    .fetch_all(executor)
    .await?;
    let mut known = ToldLabels::default();
    for row in rows {
        let Some(kind) = ThreadKind::from_text(&row.thread_kind) else {
            continue;
        };
        let key = (kind, row.thread_number, row.label);
        match row.is_set {
            Some(is_set) => drop(known.told.insert(key, is_set)),
            None => drop(known.at_work.insert(key)),
        }
    }
    Ok(known)
}

/// Whether a difference is new: none, or another one, was known of the thread.
pub async fn differs_anew(
    connection: &mut PgConnection,
    repository_id: Uuid,
    difference: &Difference,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO label_drifts AS known (repository_id, thread_kind, thread_number, labels, expected, since)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (repository_id, thread_kind, thread_number) DO UPDATE
             SET labels = excluded.labels, expected = excluded.expected, since = excluded.since
             WHERE (known.labels, known.expected) IS DISTINCT FROM (excluded.labels, excluded.expected)",
    )
    .bind(repository_id)
    .bind(difference.kind.as_str())
    .bind(difference.number)
    .bind(&difference.labels)
    .bind(&difference.expected)
    .bind(difference.since)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets the differences of threads that differ no more.
pub async fn forget(
    connection: &mut PgConnection,
    repository_id: Uuid,
    same: &[(ThreadKind, i64)],
) -> Result<(), sqlx::Error> {
    let kinds: Vec<&str> = same.iter().map(|(kind, _)| kind.as_str()).collect();
    let numbers: Vec<i64> = same.iter().map(|(_, number)| *number).collect();
    sqlx::query(
        "DELETE FROM label_drifts WHERE repository_id = $1
         AND (thread_kind, thread_number) IN (SELECT * FROM unnest($2::text[], $3::bigint[]))",
    )
    .bind(repository_id)
    .bind(kinds)
    .bind(numbers)
    .execute(connection)
    .await
    .map(drop)
}
