//! Which repositories are due to be compared with GitHub, and what was found of their deliveries.
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::recovery::Asked;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// from one pass of a repository to the next, in platform time.
const PASS_SECONDS: f64 = 300.0;
/// A pass that found something too young comes again after this: longer than what counts as young.
const FOLLOW_UP_SECONDS: f64 = 15.0;
/// GitHub answers a request for a redelivery at once and sends it soon; until then the older attempt is listed as the last.
const LATELY_SECONDS: f64 = 60.0;
/// A day more than GitHub keeps deliveries.
const KEPT_SECONDS: f64 = 4.0 * 24.0 * 60.0 * 60.0;

/// A repository whose pass this process makes.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueRepository {
    pub repository_id: Uuid,
    pub project_id: Uuid,
    pub full_name: String,
    /// How far its deliveries were read, by GitHub's clock.
    pub read_until: Option<DateTime<Utc>>,
    /// How far its threads were compared, by GitHub's clock.
    pub compared_until: Option<DateTime<Utc>>,
    pub follows_up: bool,
}

/// Where a pass has come to.
#[derive(Debug)]
pub struct PassEnd {
    pub read_until: DateTime<Utc>,
    /// None when the threads were not compared.
    pub compared_until: Option<DateTime<Utc>>,
    pub look_again_soon: bool,
}

/// A new binding: its hook has just been made, and nothing can be lost yet.
pub async fn begin(connection: &mut PgConnection, repository_id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO hook_reads (repository_id, next_pass_at) VALUES ($1, platform_now() + make_interval(secs => $2))",
    )
    .bind(repository_id)
    .bind(PASS_SECONDS)
    .execute(connection)
    .await
    .map(drop)
}

/// Makes every repository due: nobody knows what was lost while a process that starts was away.
pub async fn make_all_due(executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE hook_reads SET next_pass_at = platform_now(), follows_up = false")
        .execute(executor)
        .await
        .map(drop)
}

/// Takes due repositories, at most `limit`. Taking one puts its next pass off, so that no other process takes it too,
/// and so that a pass that fails is made again in its time.
pub async fn claim(
    executor: impl PgExecutor<'_>,
    limit: usize,
) -> Result<Vec<DueRepository>, sqlx::Error> {
    sqlx::query_as(
        "UPDATE hook_reads h SET next_pass_at = platform_now() + make_interval(secs => $1)
         FROM repositories r
         WHERE r.id = h.repository_id AND h.repository_id IN (
             SELECT d.repository_id FROM hook_reads d JOIN repositories b ON b.id = d.repository_id
             WHERE d.next_pass_at <= platform_now() AND b.provider = 'github' AND b.unbound_at IS NULL
             ORDER BY d.next_pass_at LIMIT $2 FOR UPDATE OF d SKIP LOCKED)
         RETURNING h.repository_id, r.project_id, r.owner || '/' || r.name AS full_name, h.read_until, h.compared_until, h.follows_up",
    )
    .bind(PASS_SECONDS)
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(executor)
    .await
}

/// Seconds until a repository is due, if any is bound.
pub async fn seconds_until_due(executor: impl PgExecutor<'_>) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT extract(epoch FROM min(h.next_pass_at) - platform_now())::float8 FROM hook_reads h
         JOIN repositories r ON r.id = h.repository_id WHERE r.provider = 'github' AND r.unbound_at IS NULL",
    )
    .fetch_one(executor)
    .await
}

/// Writes down where a pass has come to. Only every other pass may follow up: where something is always young, that must
/// not become a loop of passes. A repository that was made due meanwhile is passed at once, and that pass follows up
/// nothing.
pub async fn finish(
    connection: &mut PgConnection,
    repository: &DueRepository,
    end: &PassEnd,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE hook_reads SET passed_at = platform_now(), read_until = $2, compared_until = coalesce($3, compared_until),
             follows_up = $4 AND next_pass_at > platform_now(), next_pass_at = CASE WHEN $4 THEN least(next_pass_at, platform_now() + make_interval(secs => $5)) ELSE next_pass_at END
         WHERE repository_id = $1",
    )
    .bind(repository.repository_id)
    .bind(end.read_until)
    .bind(end.compared_until)
    .bind(end.look_again_soon && !repository.follows_up)
    .bind(FOLLOW_UP_SECONDS)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "DELETE FROM redelivery_requests WHERE repository_id = $1 AND requested_at < platform_now() - make_interval(secs => $2)",
    )
    .bind(repository.repository_id)
    .bind(KEPT_SECONDS)
    .execute(connection)
    .await
    .map(drop)
}

/// Deliveries of the repository that GitHub was asked for a moment ago.
pub async fn asked_lately(
    executor: impl PgExecutor<'_>,
    repository_id: Uuid,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let asked: Vec<String> = sqlx::query_scalar(
        "SELECT delivery_id FROM redelivery_requests WHERE repository_id = $1 AND requested_at > platform_now() - make_interval(secs => $2)",
    )
    .bind(repository_id)
    .bind(LATELY_SECONDS)
    .fetch_all(executor)
    .await?;
    Ok(asked.into_iter().collect())
}

/// Writes down that GitHub will be asked for these, and answers those that nobody else asks for now.
pub async fn take_requests(
    executor: impl PgExecutor<'_>,
    repository_id: Uuid,
    wanted: &[Asked],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let taken: Vec<String> = sqlx::query_scalar(
        "INSERT INTO redelivery_requests AS known (repository_id, delivery_id, attempt_id)
         SELECT $1, wanted.* FROM unnest($2::text[], $3::bigint[]) AS wanted ORDER BY 2
         ON CONFLICT (delivery_id) DO UPDATE SET attempt_id = excluded.attempt_id, requests = known.requests + 1, requested_at = platform_now()
         WHERE known.requested_at <= platform_now() - make_interval(secs => $4)
         RETURNING delivery_id",
    )
    .bind(repository_id)
    .bind(wanted.iter().map(|asked| asked.delivery_id.as_str()).collect::<Vec<_>>())
    .bind(wanted.iter().map(|asked| asked.attempt_id).collect::<Vec<_>>())
    .bind(LATELY_SECONDS)
    .fetch_all(executor)
    .await?;
    Ok(taken.into_iter().collect())
}
