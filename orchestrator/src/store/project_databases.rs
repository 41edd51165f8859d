//! Who has registered which database (`project_databases`, D-27): a name is taken before its database is made.
use domain::databases::{DatabaseChange, Registration, RegistrationState};
use domain::ids::ProjectId;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Who has a name.
pub async fn find(
    executor: impl PgExecutor<'_>,
    database_name: &str,
) -> Result<Option<Registration>, sqlx::Error> {
    let row: Option<(Uuid, String, String)> = sqlx::query_as(
        "SELECT project_id, environment, state FROM project_databases WHERE database_name = $1",
    )
    .bind(database_name)
    .fetch_optional(executor)
    .await?;
    row.map(|(project_id, environment, state)| {
        Ok(Registration {
            project_id: ProjectId(project_id),
            environment,
            state: RegistrationState::from_text(&state)
                .ok_or_else(|| sqlx::Error::Decode("unknown state".into()))?,
        })
    })
    .transpose()
}

/// The name of the database that the platform itself lives in.
pub async fn platform_database(executor: impl PgExecutor<'_>) -> Result<String, sqlx::Error> {
    sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(executor)
        .await
}

/// Takes the name for a project, or goes on with what it has begun; `false` when somebody else has it (G-50).
pub async fn reserve(
    connection: &mut PgConnection,
    project_id: Uuid,
    change: &DatabaseChange,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO project_databases AS d (database_name, project_id, environment, state)
         VALUES ($1, $2, $3, 'provisioning')
         ON CONFLICT (database_name) DO UPDATE SET state = 'provisioning'
         WHERE d.project_id = excluded.project_id AND d.environment = excluded.environment",
    )
    .bind(&change.database_name)
    .bind(project_id)
    .bind(&change.environment)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Tells that the database of a project is going; `false` when the project has none of this name there (G-54).
pub async fn begin_deletion(
    connection: &mut PgConnection,
    project_id: Uuid,
    change: &DatabaseChange,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE project_databases SET state = 'deleting'
         WHERE database_name = $1 AND project_id = $2 AND environment = $3",
    )
    .bind(&change.database_name)
    .bind(project_id)
    .bind(&change.environment)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The database is there.
pub async fn set_ready(
    connection: &mut PgConnection,
    database_name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE project_databases SET state = 'ready'
         WHERE database_name = $1 AND state = 'provisioning'",
    )
    .bind(database_name)
    .execute(connection)
    .await
    .map(drop)
}

/// The database is gone.
pub async fn unregister(
    connection: &mut PgConnection,
    database_name: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM project_databases WHERE database_name = $1 AND state = 'deleting'")
        .bind(database_name)
        .execute(connection)
        .await
        .map(drop)
}
