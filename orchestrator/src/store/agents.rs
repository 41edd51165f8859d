//! Agents as a project sees them.
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// An agent of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Agent {
    pub agent_key: String,
    pub name: String,
    pub is_active: bool,
    /// The project has a row of its own for the key.
    pub is_own: bool,
}

/// The project's own agents, and the system's that none of them replaces, by key.
pub async fn of_project(
    executor: impl PgExecutor<'_>,
    project_id: Uuid,
) -> Result<Vec<Agent>, sqlx::Error> {
    sqlx::query_as(
        "SELECT DISTINCT ON (agent_key) agent_key, name, is_active, project_id IS NOT NULL AS is_own
         FROM agents WHERE project_id IS NULL OR project_id = $1
         ORDER BY agent_key, project_id NULLS LAST",
    )
    .bind(project_id)
    .fetch_all(executor)
    .await
}

/// Switches an agent off or on for one project; none when the project has no agent of this key.
pub async fn set_active(
    connection: &mut PgConnection,
    project_id: Uuid,
    agent_key: &str,
    is_active: bool,
) -> Result<Option<Agent>, sqlx::Error> {
    sqlx::query_as(
        "INSERT INTO agents (agent_key, role_kind, project_id, name, is_active)
         SELECT agent_key, role_kind, $1, name, $3 FROM agents
         WHERE agent_key = $2 AND (project_id IS NULL OR project_id = $1)
         ORDER BY project_id NULLS LAST LIMIT 1
         ON CONFLICT (project_id, agent_key) WHERE project_id IS NOT NULL
         DO UPDATE SET is_active = EXCLUDED.is_active
         RETURNING agent_key, name, is_active, true AS is_own",
    )
    .bind(project_id)
    .bind(agent_key)
    .bind(is_active)
    .fetch_optional(connection)
    .await
}
