//! GitHub repositories bound to projects (`repositories`).
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::hook_reads;

/// A binding without its tokens (DA-15).
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct Repository {
    pub id: Uuid,
    pub project_id: Uuid,
    pub alias: String,
    pub provider: String,
    pub external_id: i64,
    pub owner: String,
    pub name: String,
    pub role: String,
    pub default_ref: String,
    pub services_yaml_path: String,
    pub docs_root_path: Option<String>,
    pub has_token: bool,
    pub has_bot_token: bool,
    pub bot_username: String,
    pub bot_email: String,
    pub is_platform: bool,
    pub is_protected: bool,
    pub preflight_updated_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

impl Repository {
    /// `owner/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// A binding to be stored; its id is chosen beforehand because the ciphertexts are bound to it.
#[derive(Debug)]
pub struct NewRepository<'a> {
    pub id: Uuid,
    pub project_id: Uuid,
    pub alias: &'a str,
    pub external_id: i64,
    pub owner: &'a str,
    pub name: &'a str,
    pub role: &'a str,
    pub default_ref: &'a str,
    pub services_yaml_path: &'a str,
    pub docs_root_path: Option<&'a str>,
    /// Empty when the project's or the platform's token serves this repository.
    pub token_encrypted: &'a [u8],
}

/// A live binding of a project, or all of them, by alias.
pub async fn list(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
    only: Option<Uuid>,
) -> Result<Vec<Repository>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, project_id, alias, provider, external_id, owner, name, role, default_ref,
                services_yaml_path, docs_root_path, octet_length(token_encrypted) > 0 AS has_token,
                bot_token_encrypted IS NOT NULL AS has_bot_token, bot_username, bot_email,
                is_platform, is_protected, preflight_updated_at, created_at
         FROM repositories
         WHERE project_id = $1 AND unbound_at IS NULL AND ($2::uuid IS NULL OR id = $2)
         ORDER BY alias",
    )
    .bind(project_id)
    .bind(only)
    .fetch_all(executor)
    .await
}

/// The live binding of a GitHub repository by its full name, in any case.
pub async fn find_by_full_name(
    executor: impl PgExecutor<'_>,
    full_name: &str,
) -> Result<Option<Repository>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, project_id, alias, provider, external_id, owner, name, role, default_ref,
                services_yaml_path, docs_root_path, octet_length(token_encrypted) > 0 AS has_token,
                bot_token_encrypted IS NOT NULL AS has_bot_token, bot_username, bot_email,
                is_platform, is_protected, preflight_updated_at, created_at
         FROM repositories
         WHERE provider = 'github' AND lower(owner) = lower(split_part($1, '/', 1))
           AND lower(name) = lower(split_part($1, '/', 2)) AND unbound_at IS NULL
         ORDER BY created_at DESC LIMIT 1",
    )
    .bind(full_name)
    .fetch_optional(executor)
    .await
}

/// Stores a binding.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewRepository<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO repositories (id, project_id, alias, provider, external_id, owner, name, role, default_ref,
             services_yaml_path, docs_root_path, token_encrypted)
         VALUES ($1, $2, $3, 'github', $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.id)
    .bind(new.project_id)
    .bind(new.alias)
    .bind(new.external_id)
    .bind(new.owner)
    .bind(new.name)
    .bind(new.role)
    .bind(new.default_ref)
    .bind(new.services_yaml_path)
    .bind(new.docs_root_path)
    .bind(new.token_encrypted)
    .execute(&mut *connection)
    .await?;
    hook_reads::begin(connection, new.id).await
}

/// Ends a binding; history keeps the row.
pub async fn unbind(
    connection: &mut PgConnection,
    project_id: Uuid,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE repositories SET unbound_at = platform_now()
         WHERE id = $1 AND project_id = $2 AND unbound_at IS NULL AND NOT is_protected",
    )
    .bind(id)
    .bind(project_id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Changes of the bot identity: absent leaves a value as it is.
#[derive(Debug, Default)]
pub struct BotParameters<'a> {
    /// `Some(None)` clears the token.
    pub bot_token_encrypted: Option<Option<&'a [u8]>>,
    pub bot_username: Option<&'a str>,
    pub bot_email: Option<&'a str>,
}

/// Sets the bot identity of a binding.
pub async fn set_bot_parameters(
    connection: &mut PgConnection,
    id: Uuid,
    change: &BotParameters<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE repositories SET
             bot_token_encrypted = CASE WHEN $2 THEN $3 ELSE bot_token_encrypted END,
             bot_username = COALESCE($4, bot_username), bot_email = COALESCE($5, bot_email)
         WHERE id = $1",
    )
    .bind(id)
    .bind(change.bot_token_encrypted.is_some())
    .bind(change.bot_token_encrypted.flatten())
    .bind(change.bot_username)
    .bind(change.bot_email)
    .execute(connection)
    .await
    .map(|_| ())
}

/// A project's own GitHub tokens, as presence only.
#[derive(Debug, sqlx::FromRow, serde::Serialize)]
pub struct ProjectTokens {
    pub has_platform_token: bool,
    pub has_bot_token: bool,
    pub bot_username: String,
    pub bot_email: String,
}

/// What a project has stored of its own tokens.
pub async fn project_tokens(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
) -> Result<ProjectTokens, sqlx::Error> {
    sqlx::query_as(
        "SELECT t.platform_token_encrypted IS NOT NULL AS has_platform_token,
                t.bot_token_encrypted IS NOT NULL AS has_bot_token,
                COALESCE(t.bot_username, '') AS bot_username, COALESCE(t.bot_email, '') AS bot_email
         FROM (SELECT 1) one LEFT JOIN project_github_tokens t ON t.project_id = $1",
    )
    .bind(project_id)
    .fetch_one(executor)
    .await
}

/// Changes of a project's tokens: absent leaves, `Some(None)` clears.
#[derive(Debug, Default)]
pub struct ProjectTokensChange<'a> {
    pub platform_token_encrypted: Option<Option<&'a [u8]>>,
    pub bot_token_encrypted: Option<Option<&'a [u8]>>,
    pub bot_username: Option<&'a str>,
    pub bot_email: Option<&'a str>,
}

/// Sets a project's own tokens.
pub async fn set_project_tokens(
    connection: &mut PgConnection,
    project_id: Uuid,
    change: &ProjectTokensChange<'_>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO project_github_tokens AS t
             (project_id, platform_token_encrypted, bot_token_encrypted, bot_username, bot_email)
         VALUES ($1, $3, $5, COALESCE($6, ''), COALESCE($7, ''))
         ON CONFLICT (project_id) DO UPDATE SET
             platform_token_encrypted = CASE WHEN $2 THEN $3 ELSE t.platform_token_encrypted END,
             bot_token_encrypted = CASE WHEN $4 THEN $5 ELSE t.bot_token_encrypted END,
             bot_username = COALESCE($6, t.bot_username), bot_email = COALESCE($7, t.bot_email)",
    )
    .bind(project_id)
    .bind(change.platform_token_encrypted.is_some())
    .bind(change.platform_token_encrypted.flatten())
    .bind(change.bot_token_encrypted.is_some())
    .bind(change.bot_token_encrypted.flatten())
    .bind(change.bot_username)
    .bind(change.bot_email)
    .execute(connection)
    .await
    .map(|_| ())
}
