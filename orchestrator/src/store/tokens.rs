//! Run tokens by generation (`run_mcp_tokens`) and the stored GitHub tokens of the three levels.
use chrono::{DateTime, Duration, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::credentials::{StoredToken, TokenScope};

/// The stored tokens that could serve, nearest level first.
#[derive(Debug, Default)]
pub struct GithubTokenRows {
    pub management: Vec<StoredToken>,
    pub bot: Vec<StoredToken>,
    pub bot_username: String,
    pub bot_email: String,
}

#[derive(sqlx::FromRow)]
struct TokenRow {
    repository_id: Option<Uuid>,
    project_id: Option<Uuid>,
    repository_management: Option<Vec<u8>>,
    repository_bot: Option<Vec<u8>>,
    repository_bot_username: Option<String>,
    repository_bot_email: Option<String>,
    project_management: Option<Vec<u8>>,
    project_bot: Option<Vec<u8>>,
    project_bot_username: Option<String>,
    project_bot_email: Option<String>,
    platform_management: Option<Vec<u8>>,
    platform_bot: Option<Vec<u8>>,
}

/// Reads the tokens of a repository with its project, or of a project alone, and the platform's.
pub async fn github_token_rows(
    pool: &PgPool,
    repository_id: Option<Uuid>,
    project_id: Option<Uuid>,
) -> Result<GithubTokenRows, sqlx::Error> {
    let row: TokenRow = sqlx::query_as(
        "SELECT r.id AS repository_id, COALESCE(r.project_id, $2) AS project_id,
                NULLIF(r.token_encrypted, ''::bytea) AS repository_management,
                r.bot_token_encrypted AS repository_bot,
                r.bot_username AS repository_bot_username,
                r.bot_email AS repository_bot_email,
                p.platform_token_encrypted AS project_management,
                p.bot_token_encrypted AS project_bot,
                p.bot_username AS project_bot_username,
                p.bot_email AS project_bot_email,
                g.platform_token_encrypted AS platform_management,
                g.bot_token_encrypted AS platform_bot
         FROM (SELECT 1) one
         LEFT JOIN repositories r ON r.id = $1
         LEFT JOIN project_github_tokens p ON p.project_id = COALESCE(r.project_id, $2)
         LEFT JOIN platform_github_tokens g ON g.id = 1",
    )
    .bind(repository_id)
    .bind(project_id)
    .fetch_one(pool)
    .await?;
    Ok(row.into())
}

impl From<TokenRow> for GithubTokenRows {
    fn from(row: TokenRow) -> Self {
        let repository = row
            .repository_id
            .map(|id| id.to_string())
            .unwrap_or_default();
        let project = row.project_id.map(|id| id.to_string()).unwrap_or_default();
        let stored = |scope, table, column, row: &str, ciphertext: Option<Vec<u8>>| {
            ciphertext.map(|ciphertext| StoredToken {
                scope,
                table,
                column,
                row: row.to_owned(),
                ciphertext,
            })
        };
        let (bot_username, bot_email) = if row.repository_bot.is_some() {
            (row.repository_bot_username, row.repository_bot_email)
        } else if row.project_bot.is_some() {
            (row.project_bot_username, row.project_bot_email)
        } else {
            (None, None)
        };
        Self {
            management: [
                stored(
                    TokenScope::Repository,
                    "repositories",
                    "token_encrypted",
                    &repository,
                    row.repository_management,
                ),
                stored(
                    TokenScope::Project,
                    "project_github_tokens",
                    "platform_token_encrypted",
                    &project,
                    row.project_management,
                ),
                stored(
                    TokenScope::Platform,
                    "platform_github_tokens",
                    "platform_token_encrypted",
                    "1",
                    row.platform_management,
                ),
            ]
            .into_iter()
            .flatten()
            .collect(),
            bot: [
                stored(
                    TokenScope::Repository,
                    "repositories",
                    "bot_token_encrypted",
                    &repository,
                    row.repository_bot,
                ),
                stored(
                    TokenScope::Project,
                    "project_github_tokens",
                    "bot_token_encrypted",
                    &project,
                    row.project_bot,
                ),
                stored(
                    TokenScope::Platform,
                    "platform_github_tokens",
                    "bot_token_encrypted",
                    "1",
                    row.platform_bot,
                ),
            ]
            .into_iter()
            .flatten()
            .collect(),
            bot_username: bot_username.unwrap_or_default(),
            bot_email: bot_email.unwrap_or_default(),
        }
    }
}

/// A new generation of a run's token, as stored.
#[derive(Debug, sqlx::FromRow)]
pub struct IssuedRunToken {
    pub generation: i32,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// The generation this one replaced, when that was still alive (G-9).
    pub replaced_token_id: Option<Uuid>,
    pub replaced_generation: Option<i32>,
    pub replaced_expires_at: Option<DateTime<Utc>>,
}

/// Revokes what is alive and stores the next generation. The caller holds the run's row lock, which
/// keeps generations gapless under concurrent callers.
pub async fn issue_run_token(
    connection: &mut PgConnection,
    run_id: Uuid,
    token_id: Uuid,
    ttl: Duration,
) -> Result<IssuedRunToken, sqlx::Error> {
    sqlx::query_as(
        "WITH clock AS MATERIALIZED (SELECT platform_now() AS now),
         replaced AS (
             UPDATE run_mcp_tokens t SET revoked_at = clock.now
             FROM clock WHERE t.run_id = $1 AND t.revoked_at IS NULL
             RETURNING t.generation, t.token_id, t.expires_at)
         INSERT INTO run_mcp_tokens (run_id, generation, token_id, expires_at)
         SELECT $1,
                COALESCE((SELECT max(generation) FROM run_mcp_tokens WHERE run_id = $1), 0) + 1,
                $2, clock.now + make_interval(secs => $3)
         FROM clock
         RETURNING generation,
                   (SELECT now FROM clock) AS issued_at,
                   expires_at,
                   (SELECT token_id FROM replaced ORDER BY generation DESC LIMIT 1) AS replaced_token_id,
                   (SELECT generation FROM replaced ORDER BY generation DESC LIMIT 1) AS replaced_generation,
                   (SELECT expires_at FROM replaced ORDER BY generation DESC LIMIT 1) AS replaced_expires_at",
    )
    .bind(run_id)
    .bind(token_id)
    .bind(ttl.num_seconds() as f64)
    .fetch_one(connection)
    .await
}

/// A generation that lives no more, with what its event tells of it.
#[derive(Debug, sqlx::FromRow)]
pub struct RevokedRunToken {
    pub token_id: Uuid,
    pub generation: i32,
    pub expires_at: DateTime<Utc>,
    pub namespace: Option<String>,
    pub runtime_mode: Option<String>,
}

/// Revokes the token of a run; `None` when none was alive.
pub async fn revoke_run_token(
    connection: &mut PgConnection,
    run_id: Uuid,
) -> Result<Option<RevokedRunToken>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE run_mcp_tokens t SET revoked_at = platform_now()
         FROM agent_runs r WHERE r.id = t.run_id AND t.run_id = $1 AND t.revoked_at IS NULL
         RETURNING t.token_id, t.generation, t.expires_at, r.namespace, r.runtime_mode",
    )
    .bind(run_id)
    .fetch_optional(connection)
    .await
}

/// What decides whether a presented run token still lives (G-8).
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RunTokenStanding {
    pub now: DateTime<Utc>,
    pub status: String,
    pub correlation_id: String,
    pub project_id: Option<Uuid>,
    pub generation: Option<i32>,
    pub token_id: Option<Uuid>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// The run with its newest token generation; `None` when there is no such run. The stored expiry stands still while the
/// run waits (G-7).
pub async fn run_token_standing(
    pool: &PgPool,
    run_id: Uuid,
) -> Result<Option<RunTokenStanding>, sqlx::Error> {
    sqlx::query_as(
        "SELECT platform_now() AS now, r.status, r.correlation_id, r.project_id, t.generation, t.token_id, t.revoked_at,
                t.expires_at + coalesce(platform_now() - s.wait_since, interval '0') AS expires_at
         FROM agent_runs r LEFT JOIN agent_sessions s ON s.run_id = r.id
         LEFT JOIN LATERAL (
             SELECT generation, token_id, expires_at, revoked_at FROM run_mcp_tokens
             WHERE run_id = r.id ORDER BY generation DESC LIMIT 1) t ON true
         WHERE r.id = $1",
    )
    .bind(run_id)
    .fetch_optional(pool)
    .await
}
