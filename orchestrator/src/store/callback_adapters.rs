//! Adapters that deliver messages and call back (`callback_adapters`), and whom they know (`callback_adapter_identities`).
use domain::ids::UserId;
use domain::snapshot::UserFacts;
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// An adapter; neither its token nor the one that it is called with is shown.
#[derive(Debug, Clone, Serialize, sqlx::FromRow)]
pub struct Adapter {
    pub id: Uuid,
    pub name: String,
    /// The only project that it serves; all when absent.
    pub project_id: Option<Uuid>,
    /// Where messages are delivered; an adapter without it only calls back.
    pub delivery_url: Option<String>,
    pub is_active: bool,
    pub created_at: chrono::DateTime<chrono::Utc>,
}

/// An adapter that is about to be registered.
#[derive(Debug, Clone, Copy)]
pub struct NewAdapter<'a> {
    pub id: Uuid,
    pub name: &'a str,
    pub token_hash: &'a [u8],
    pub project_id: Option<Uuid>,
    pub delivery_url: Option<&'a str>,
    pub delivery_token_encrypted: Option<&'a [u8]>,
}

/// Registers one.
pub async fn insert(
    connection: &mut PgConnection,
    new: &NewAdapter<'_>,
) -> Result<Adapter, sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO callback_adapters (id, name, token_hash, project_id, delivery_url, delivery_token_encrypted)
         VALUES ($1, $2, $3, $4, $5, $6)
         RETURNING id, name, project_id, delivery_url, is_active, created_at",
    )
    .bind(new.id)
    .bind(new.name)
    .bind(new.token_hash)
    .bind(new.project_id)
    .bind(new.delivery_url)
    .bind(new.delivery_token_encrypted)
    .fetch_one(connection)
    .await
}

/// Those that are used, oldest first.
pub async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<Adapter>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, project_id, delivery_url, is_active, created_at FROM callback_adapters
         WHERE is_active ORDER BY created_at, id",
    )
    .fetch_all(executor)
    .await
}

/// Uses an adapter no more; `false` when there is none of this id.
pub async fn deactivate(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done =
        sqlx::query("UPDATE callback_adapters SET is_active = false WHERE id = $1 AND is_active")
            .bind(id)
            .execute(connection)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Says who is behind a name of the adapter; `false` when there is no such adapter or person.
pub async fn set_identity(
    connection: &mut PgConnection,
    adapter_id: Uuid,
    actor_ref: &str,
    user_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO callback_adapter_identities (adapter_id, actor_ref, user_id)
         SELECT a.id, $2, u.id FROM callback_adapters a, users u
         WHERE a.id = $1 AND a.is_active AND u.id = $3 AND u.disabled_at IS NULL
         ON CONFLICT (adapter_id, actor_ref) DO UPDATE SET user_id = excluded.user_id",
    )
    .bind(adapter_id)
    .bind(actor_ref)
    .bind(user_id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whether any adapter may call back at all (G-95).
pub async fn is_any_active(executor: impl PgExecutor<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM callback_adapters WHERE is_active)")
        .fetch_one(executor)
        .await
}

/// The adapter that holds a token, by the token's hash.
pub async fn with_token(
    executor: impl PgExecutor<'_>,
    token_hash: &[u8],
) -> Result<Option<Adapter>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, project_id, delivery_url, is_active, created_at FROM callback_adapters
         WHERE token_hash = $1 AND is_active",
    )
    .bind(token_hash)
    .fetch_optional(executor)
    .await
}

/// The adapter that messages of a project go to: its own before a common one, an older before a newer.
pub async fn for_delivery(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM callback_adapters
         WHERE is_active AND delivery_url IS NOT NULL AND (project_id = $1 OR project_id IS NULL)
         ORDER BY project_id IS NULL, created_at, id LIMIT 1",
    )
    .bind(project_id)
    .fetch_optional(executor)
    .await
}

/// Where an adapter is delivered to.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Destination {
    pub id: Uuid,
    pub name: String,
    pub delivery_url: String,
    pub delivery_token_encrypted: Vec<u8>,
}

/// Reads it; none when the adapter is used no more.
pub async fn destination(
    executor: impl PgExecutor<'_>,
    id: Uuid,
) -> Result<Option<Destination>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, name, delivery_url, delivery_token_encrypted FROM callback_adapters
         WHERE id = $1 AND is_active AND delivery_url IS NOT NULL",
    )
    .bind(id)
    .fetch_optional(executor)
    .await
}

/// The person behind a name of the adapter (G-96), with the role in the project.
pub async fn person(
    executor: impl PgExecutor<'_>,
    adapter_id: Uuid,
    actor_ref: &str,
    project_id: Option<Uuid>,
) -> Result<Option<UserFacts>, sqlx::Error> {
    let found: Option<(Uuid, Option<String>, bool, bool, Option<String>)> = sqlx::query_as(
        "SELECT u.id, u.github_login, u.is_platform_owner, u.is_platform_admin, m.role
         FROM callback_adapter_identities i JOIN users u ON u.id = i.user_id
         LEFT JOIN project_members m ON m.user_id = u.id AND m.project_id = $3
         WHERE i.adapter_id = $1 AND i.actor_ref = $2 AND u.disabled_at IS NULL",
    )
    .bind(adapter_id)
    .bind(actor_ref)
    .bind(project_id)
    .fetch_optional(executor)
    .await?;
    Ok(found.map(|(id, login, owner, admin, role)| UserFacts {
        id: UserId(id),
        login: login.unwrap_or_default(),
        is_platform_owner: owner,
        is_platform_admin: admin,
        project_role: role,
    }))
}

/// What was answered to an event before (G-98).
pub async fn answered(
    executor: impl PgExecutor<'_>,
    adapter_id: Uuid,
    event_id: &str,
) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT response FROM callback_adapter_events WHERE adapter_id = $1 AND adapter_event_id = $2",
    )
    .bind(adapter_id)
    .bind(event_id)
    .fetch_optional(executor)
    .await
}

/// Keeps the answer to an event; of several at once the first is everybody's answer.
pub async fn keep_answer(
    connection: &mut PgConnection,
    adapter_id: Uuid,
    event_id: &str,
    response: &Value,
) -> Result<Value, sqlx::Error> {
    sqlx::query(
        "INSERT INTO callback_adapter_events (adapter_id, adapter_event_id, response)
         VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(adapter_id)
    .bind(event_id)
    .bind(response)
    .execute(&mut *connection)
    .await?;
    let kept = answered(connection, adapter_id, event_id).await?;
    Ok(kept.unwrap_or_else(|| response.clone()))
}
