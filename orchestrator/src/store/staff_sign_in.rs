//! Browser sessions and personal tokens (`staff_sessions`, `staff_tokens`); only hashes are stored.
use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::users::User;

/// A live session with its person.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct StaffSession {
    pub session_id: Uuid,
    pub csrf_hash: Vec<u8>,
    pub auth_method: String,
    #[sqlx(flatten)]
    pub user: User,
}

/// A personal token as listed; its value is not stored.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct PersonalToken {
    pub id: Uuid,
    pub name: String,
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// Opens a session for a person.
pub async fn open_session(
    connection: &mut PgConnection,
    user_id: Uuid,
    token_hash: &[u8],
    csrf_hash: &[u8],
    life: Duration,
    user_agent: Option<&str>,
) -> Result<Uuid, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO staff_sessions (user_id, token_hash, csrf_hash, auth_method, last_seen_at, expires_at, user_agent)
         VALUES ($1, $2, $3, 'local_token', platform_now(), platform_now() + make_interval(secs => $4), $5)
         RETURNING id",
    )
    .bind(user_id)
    .bind(token_hash)
    .bind(csrf_hash)
    .bind(life.num_seconds() as f64)
    .bind(user_agent)
    .fetch_one(connection)
    .await
}

/// The live session of a cookie value; marks it as seen (DU-5).
pub async fn use_session(
    executor: impl PgExecutor<'_>,
    token_hash: &[u8],
    idle: Duration,
) -> Result<Option<StaffSession>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE staff_sessions s SET last_seen_at = platform_now()
         FROM users u
         WHERE s.token_hash = $1 AND u.id = s.user_id AND u.disabled_at IS NULL
           AND s.revoked_at IS NULL AND s.expires_at > platform_now()
           AND s.last_seen_at > platform_now() - make_interval(secs => $2)
         RETURNING s.id AS session_id, s.csrf_hash, s.auth_method, u.id, u.email::text AS email,
                   u.github_login::text AS github_login, u.is_platform_admin, u.is_platform_owner,
                   u.disabled_at, u.created_at",
    )
    .bind(token_hash)
    .bind(idle.num_seconds() as f64)
    .fetch_optional(executor)
    .await
}

/// Replaces the CSRF value of a session: its plaintext is known to nobody but the page that asked.
pub async fn renew_csrf(
    executor: impl PgExecutor<'_>,
    session_id: Uuid,
    csrf_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE staff_sessions SET csrf_hash = $2 WHERE id = $1")
        .bind(session_id)
        .bind(csrf_hash)
        .execute(executor)
        .await
        .map(|_| ())
}

/// Ends the session of a cookie value; ending it twice is no error (DU-8).
pub async fn revoke_session(
    executor: impl PgExecutor<'_>,
    token_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE staff_sessions SET revoked_at = platform_now()
         WHERE token_hash = $1 AND revoked_at IS NULL",
    )
    .bind(token_hash)
    .execute(executor)
    .await
    .map(|_| ())
}

/// The enabled person of a live personal token.
pub async fn user_of_personal_token(
    executor: impl PgExecutor<'_>,
    token_hash: &[u8],
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "SELECT u.id, u.email::text AS email, u.github_login::text AS github_login,
                u.is_platform_admin, u.is_platform_owner, u.disabled_at, u.created_at
         FROM staff_tokens t JOIN users u ON u.id = t.user_id
         WHERE t.token_hash = $1 AND t.revoked_at IS NULL AND u.disabled_at IS NULL
           AND (t.expires_at IS NULL OR t.expires_at > platform_now())",
    )
    .bind(token_hash)
    .fetch_optional(executor)
    .await
}

/// Notes that a personal token is in use, at most once a minute, so that reads stay reads.
pub async fn touch_personal_token(
    executor: impl PgExecutor<'_>,
    token_hash: &[u8],
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE staff_tokens SET last_used_at = platform_now()
         WHERE token_hash = $1
           AND (last_used_at IS NULL OR last_used_at < platform_now() - interval '1 minute')",
    )
    .bind(token_hash)
    .execute(executor)
    .await
    .map(|_| ())
}

/// A person's live tokens, newest first.
pub async fn list_personal_tokens(
    executor: impl PgExecutor<'_>,
    user_id: Uuid,
) -> Result<Vec<PersonalToken>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, expires_at, last_used_at, created_at FROM staff_tokens
         WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC, id",
    )
    .bind(user_id)
    .fetch_all(executor)
    .await
}

/// Stores a new personal token.
pub async fn insert_personal_token(
    connection: &mut PgConnection,
    user_id: Uuid,
    name: &str,
    token_hash: &[u8],
    expires_at: Option<DateTime<Utc>>,
) -> Result<PersonalToken, sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO staff_tokens (user_id, name, token_hash, expires_at) VALUES ($1, $2, $3, $4)
         RETURNING id, name, expires_at, last_used_at, created_at",
    )
    .bind(user_id)
    .bind(name)
    .bind(token_hash)
    .bind(expires_at)
    .fetch_one(connection)
    .await
}

/// Revokes one of a person's own tokens; `false` when they have no such live token.
pub async fn revoke_personal_token(
    connection: &mut PgConnection,
    user_id: Uuid,
    token_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE staff_tokens SET revoked_at = platform_now()
         WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL",
    )
    .bind(token_id)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
