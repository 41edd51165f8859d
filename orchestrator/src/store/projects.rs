//! Projects and who belongs to them (`projects`, `project_members`).
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// A project as lists show it, with the reader's role.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct Project {
    pub id: Uuid,
    pub slug: String,
    pub name: String,
    pub role: Option<String>,
    pub settings: serde_json::Value,
    #[serde(skip)]
    pub is_protected: bool,
    pub repositories_count: i64,
    pub active_runs: i64,
    pub created_at: DateTime<Utc>,
}

/// A member with their role.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct Member {
    pub user_id: Uuid,
    pub email: String,
    pub github_login: Option<String>,
    pub role: String,
    pub created_at: DateTime<Utc>,
}

/// A person's role in one project, as `/auth/me` lists it.
#[derive(Debug, Clone, sqlx::FromRow, serde::Serialize)]
pub struct Membership {
    pub id: Uuid,
    pub slug: String,
    pub role: String,
}

/// Live projects the reader may see, newest first: all of them for a platform admin (DU-14).
pub async fn list_for(
    executor: impl PgExecutor<'_>,
    user_id: Uuid,
    is_platform_admin: bool,
    only: Option<Uuid>,
) -> Result<Vec<Project>, sqlx::Error> {
    sqlx::query_as(
        "SELECT p.id, p.slug, p.name, m.role, p.settings, p.is_protected,
                (SELECT count(*) FROM repositories r WHERE r.project_id = p.id AND r.unbound_at IS NULL) AS repositories_count,
                (SELECT count(*) FROM agent_runs a WHERE a.project_id = p.id
                  AND a.status NOT IN ('succeeded', 'failed', 'canceled')) AS active_runs,
                p.created_at
         FROM projects p
         LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
         WHERE p.deleted_at IS NULL AND ($2 OR m.user_id IS NOT NULL)
           AND ($3::uuid IS NULL OR p.id = $3)
         ORDER BY p.created_at DESC, p.id",
    )
    .bind(user_id)
    .bind(is_platform_admin)
    .bind(only)
    .fetch_all(executor)
    .await
}

/// Whether a live project of this id exists, and the person's role in it.
pub async fn role_in(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
    user_id: Uuid,
) -> Result<Option<Option<String>>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT m.role FROM projects p
         LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $2
         WHERE p.id = $1 AND p.deleted_at IS NULL",
    )
    .bind(project_id)
    .bind(user_id)
    .fetch_optional(executor)
    .await
}

/// The projects a person belongs to.
pub async fn memberships(
    executor: impl PgExecutor<'_>,
    user_id: Uuid,
) -> Result<Vec<Membership>, sqlx::Error> {
    sqlx::query_as(
        "SELECT p.id, p.slug, m.role FROM project_members m JOIN projects p ON p.id = m.project_id
         WHERE m.user_id = $1 AND p.deleted_at IS NULL ORDER BY p.slug",
    )
    .bind(user_id)
    .fetch_all(executor)
    .await
}

/// Creates a project, or renames the live one of this slug; tells which.
pub async fn upsert(
    connection: &mut PgConnection,
    slug: &str,
    name: &str,
) -> Result<(Uuid, bool), sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO projects (slug, name) VALUES ($1, $2)
         ON CONFLICT (slug) WHERE deleted_at IS NULL DO UPDATE SET name = EXCLUDED.name
         RETURNING id, (xmax = 0) AS created",
    )
    .bind(slug)
    .bind(name)
    .fetch_one(connection)
    .await
}

/// Marks a project as deleted; runs and events stay (D-20).
pub async fn soft_delete(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE projects SET deleted_at = platform_now()
         WHERE id = $1 AND deleted_at IS NULL AND NOT is_protected",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE repositories SET unbound_at = platform_now()
         WHERE project_id = $1 AND unbound_at IS NULL
           AND EXISTS (SELECT 1 FROM projects WHERE id = $1 AND deleted_at IS NOT NULL)",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Members, by e-mail.
pub async fn members(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
) -> Result<Vec<Member>, sqlx::Error> {
    sqlx::query_as(
        "SELECT m.user_id, u.email::text AS email, u.github_login::text AS github_login, m.role, m.created_at
         FROM project_members m JOIN users u ON u.id = m.user_id
         WHERE m.project_id = $1 AND u.disabled_at IS NULL ORDER BY u.email",
    )
    .bind(project_id)
    .fetch_all(executor)
    .await
}

/// Gives a person a role in a project.
pub async fn set_member(
    connection: &mut PgConnection,
    project_id: Uuid,
    user_id: Uuid,
    role: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, $3)
         ON CONFLICT (project_id, user_id) DO UPDATE SET role = EXCLUDED.role",
    )
    .bind(project_id)
    .bind(user_id)
    .bind(role)
    .execute(connection)
    .await
    .map(|_| ())
}

/// Ends a membership; `false` when there was none.
pub async fn remove_member(
    connection: &mut PgConnection,
    project_id: Uuid,
    user_id: Uuid,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM project_members WHERE project_id = $1 AND user_id = $2")
        .bind(project_id)
        .bind(user_id)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// The slug of a project.
pub async fn slug_of(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT slug FROM projects WHERE id = $1")
        .bind(project_id)
        .fetch_optional(executor)
        .await
}
