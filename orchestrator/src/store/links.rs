//! Relations between threads, runs and documents.
use domain::decide::NewLink;
use sqlx::PgConnection;
use uuid::Uuid;

/// Insert-or-nothing (D-26).
pub async fn insert(connection: &mut PgConnection, link: &NewLink) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO links (source_type, source_id, target_type, target_id, link_type, metadata)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(link.source_type)
    .bind(&link.source_id)
    .bind(link.target_type)
    .bind(&link.target_id)
    .bind(link.link_type)
    .bind(&link.metadata)
    .execute(connection)
    .await?;
    Ok(())
}

/// Joins a run's pull request to the run (G-132).
pub async fn insert_pull_request(
    connection: &mut PgConnection,
    run_id: Uuid,
    pull_request: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO links (source_type, source_id, target_type, target_id, link_type)
         SELECT 'pr', r.repository_full_name || '#' || $2::text, 'run', r.id::text, 'references'
         FROM agent_runs r WHERE r.id = $1 ON CONFLICT DO NOTHING",
    )
    .bind(run_id)
    .bind(pull_request)
    .execute(connection)
    .await?;
    Ok(())
}
