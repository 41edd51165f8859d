//! People known to the platform (`users`); there is no self sign-up (DU-3).
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// One person.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct User {
    pub id: Uuid,
    pub email: String,
    pub github_login: Option<String>,
    pub is_platform_admin: bool,
    pub is_platform_owner: bool,
    pub disabled_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

/// A person to be added.
#[derive(Debug)]
pub struct NewUser<'a> {
    pub email: &'a str,
    pub github_login: Option<&'a str>,
    pub is_platform_admin: bool,
}

/// Enabled people, newest first.
pub async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<User>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, email::text AS email, github_login::text AS github_login, is_platform_admin,
                is_platform_owner, disabled_at, created_at
         FROM users WHERE disabled_at IS NULL ORDER BY created_at DESC, id",
    )
    .fetch_all(executor)
    .await
}

/// A person by id, disabled or not.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, email::text AS email, github_login::text AS github_login, is_platform_admin,
                is_platform_owner, disabled_at, created_at
         FROM users WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// A person by e-mail, in any case (DU-3).
pub async fn find_by_email(
    executor: impl PgExecutor<'_>,
    email: &str,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, email::text AS email, github_login::text AS github_login, is_platform_admin,
                is_platform_owner, disabled_at, created_at
         FROM users WHERE email = $1::citext",
    )
    .bind(email)
    .fetch_optional(executor)
    .await
}

/// The enabled owner, for the local owner token (DU-1).
pub async fn owner(executor: impl PgExecutor<'_>) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, email::text AS email, github_login::text AS github_login, is_platform_admin,
                is_platform_owner, disabled_at, created_at
         FROM users WHERE is_platform_owner AND disabled_at IS NULL",
    )
    .fetch_optional(executor)
    .await
}

/// Adds a person, or enables and updates a disabled one of the same e-mail; `None` when an enabled
/// one exists.
pub async fn insert_or_enable(
    connection: &mut PgConnection,
    user: &NewUser<'_>,
) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO users (email, github_login, is_platform_admin)
         VALUES ($1::citext, $2::citext, $3)
         ON CONFLICT (email) DO UPDATE SET
             disabled_at = NULL, github_login = EXCLUDED.github_login,
             is_platform_admin = EXCLUDED.is_platform_admin
         WHERE users.disabled_at IS NOT NULL
         RETURNING id, email::text AS email, github_login::text AS github_login,
                   is_platform_admin, is_platform_owner, disabled_at, created_at",
    )
    .bind(user.email)
    .bind(user.github_login)
    .bind(user.is_platform_admin)
    .fetch_optional(connection)
    .await
}

/// Disables a person, so that history keeps its actor; their sessions and tokens end with it.
pub async fn disable(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE users SET disabled_at = platform_now()
         WHERE id = $1 AND disabled_at IS NULL AND NOT is_platform_owner",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}
