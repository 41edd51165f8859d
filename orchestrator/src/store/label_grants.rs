//! Grants: once, and not for long, the bot's label counts as a person's (L-18).
use domain::decide::NewGrant;
use domain::snapshot::Grant;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::snapshots::UserRow;

/// How long a grant waits for its delivery (L-18).
const GRANT_LIFE_MINUTES: i32 = 10;

/// Stores a grant; one for the same label that was not used takes the new person and time.
pub async fn insert(connection: &mut PgConnection, grant: &NewGrant) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO label_grants (repository_full_name, thread_number, label, user_id, expires_at, request_id)
         VALUES ($1, $2, $3, $4, platform_now() + make_interval(mins => $5), $6)
         ON CONFLICT (repository_full_name, thread_number, label) WHERE consumed_delivery_id IS NULL
         DO UPDATE SET user_id = EXCLUDED.user_id, request_id = EXCLUDED.request_id, expires_at = EXCLUDED.expires_at",
    )
    .bind(&grant.thread.repository_full_name)
    .bind(grant.thread.number)
    .bind(&grant.label)
    .bind(grant.user_id.as_uuid())
    .bind(GRANT_LIFE_MINUTES)
    .bind(grant.request_id)
    .execute(connection)
    .await
    .map(|_| ())
}

/// The unexpired, unconsumed grant for a label of a thread (L-18).
pub async fn find(
    pool: &PgPool,
    full_name: &str,
    thread_number: i64,
    label: &str,
    project_id: Uuid,
) -> Result<Option<Grant>, sqlx::Error> {
    let found: Option<(Uuid, Option<i64>)> = sqlx::query_as(
        "SELECT user_id, request_id FROM label_grants
         WHERE repository_full_name = $1 AND thread_number = $2 AND label = $3 AND consumed_delivery_id IS NULL AND expires_at > platform_now()",
    )
    .bind(full_name)
    .bind(thread_number)
    .bind(label)
    .fetch_optional(pool)
    .await?;
    let Some((user_id, request_id)) = found else {
        return Ok(None);
    };
    let row: Option<UserRow> = sqlx::query_as(
        "SELECT u.id, coalesce(u.github_login::text, '') AS login, u.is_platform_owner, u.is_platform_admin, m.role AS project_role
         FROM users u LEFT JOIN project_members m ON m.user_id = u.id AND m.project_id = $2
         WHERE u.id = $1 AND u.disabled_at IS NULL",
    )
    .bind(user_id)
    .bind(project_id)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Grant {
        user: row.into(),
        request_id,
    }))
}

/// Uses a grant up; `false` when another delivery was faster.
pub async fn consume(
    executor: impl PgExecutor<'_>,
    full_name: &str,
    thread_number: i64,
    label: &str,
    delivery_id: &str,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE label_grants SET consumed_delivery_id = $4
         WHERE repository_full_name = $1 AND thread_number = $2 AND label = $3 AND consumed_delivery_id IS NULL AND expires_at > platform_now()",
    )
    .bind(full_name)
    .bind(thread_number)
    .bind(label)
    .bind(delivery_id)
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}
