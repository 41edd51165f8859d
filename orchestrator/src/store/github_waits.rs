//! Waits for GitHub's rate limits and what is known of each.
use chrono::{DateTime, Utc};
use domain::waits::{Contour, LimitKind, OperationClass};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Waits tried by one tick of a worker.
const CLAIM_LIMIT: i64 = 20;
/// A claim that came to nothing is repeated after this.
const STALE_CLAIM_SECONDS: f64 = 120.0;
/// Longest excerpt of what GitHub said.
const EXCERPT_CHARACTERS: usize = 500;

/// One wait.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LimitWait {
    pub id: Uuid,
    pub run_id: Uuid,
    pub contour_kind: String,
    pub limit_kind: String,
    pub operation_class: String,
    pub state: String,
    pub signal_id: String,
    pub resume_not_before: Option<DateTime<Utc>>,
    pub attempts_used: i32,
    pub max_attempts: i32,
}

macro_rules! columns {
    () => {
        "id, run_id, contour_kind, limit_kind, operation_class, state, signal_id, resume_not_before, attempts_used, max_attempts"
    };
}

impl LimitWait {
    /// What was being done; an unknown class counts as any other call.
    pub fn operation(&self) -> OperationClass {
        OperationClass::from_text(&self.operation_class)
            .unwrap_or(OperationClass::RepositoryProviderCall)
    }

    /// Whether the agent waits.
    pub fn is_of_agent(&self) -> bool {
        self.contour_kind == Contour::AgentBotToken.as_str()
    }
}

/// When a wait goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// After so many seconds.
    After(i64),
    /// When staff says so.
    Manual,
}

impl Schedule {
    fn state(self) -> &'static str {
        match self {
            Self::After(_) => "auto_resume_scheduled",
            Self::Manual => "manual_action_required",
        }
    }

    fn seconds(self) -> Option<f64> {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a span of hours is exact as a float"
            )]
            Self::After(seconds) => Some(seconds as f64),
            Self::Manual => None,
        }
    }
}

/// A wait to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewLimitWait<'a> {
    pub run_id: Uuid,
    pub project_id: Uuid,
    pub contour: Contour,
    pub kind: LimitKind,
    pub operation: OperationClass,
    pub signal_id: &'a str,
    pub attempts_used: i32,
    pub max_attempts: i32,
    pub schedule: Schedule,
}

/// Stores a wait.
pub async fn insert(conn: &mut PgConnection, wait: &NewLimitWait<'_>) -> sqlx::Result<LimitWait> {
    sqlx::query_as(concat!(
        "INSERT INTO github_rate_limit_waits (project_id, run_id, contour_kind, limit_kind, operation_class, state,
             signal_id, resume_not_before, attempts_used, max_attempts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, platform_now() + make_interval(secs => $8), $9, $10)
         RETURNING ",
        columns!()
    ))
    .bind(wait.project_id)
    .bind(wait.run_id)
    .bind(wait.contour.as_str())
    .bind(wait.kind.as_str())
    .bind(wait.operation.as_str())
    .bind(wait.schedule.state())
    .bind(wait.signal_id)
    .bind(wait.schedule.seconds())
    .bind(wait.attempts_used)
    .bind(wait.max_attempts)
    .fetch_one(conn)
    .await
}

/// Plans the next attempt of a wait whose last one met the limit again.
pub async fn reschedule(
    conn: &mut PgConnection,
    wait_id: Uuid,
    kind: LimitKind,
    schedule: Schedule,
) -> sqlx::Result<LimitWait> {
    sqlx::query_as(concat!(
        "UPDATE github_rate_limit_waits SET state = $2, limit_kind = $3,
             resume_not_before = platform_now() + make_interval(secs => $4)
         WHERE id = $1 RETURNING ",
        columns!()
    ))
    .bind(wait_id)
    .bind(schedule.state())
    .bind(kind.as_str())
    .bind(schedule.seconds())
    .fetch_one(conn)
    .await
}

/// The wait that a signal opened.
pub async fn by_signal(
    conn: &mut PgConnection,
    signal_id: &str,
) -> sqlx::Result<Option<LimitWait>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM github_rate_limit_waits WHERE signal_id = $1"
    ))
    .bind(signal_id)
    .fetch_optional(conn)
    .await
}

/// The wait of this id, locked.
pub async fn lock(conn: &mut PgConnection, wait_id: Uuid) -> sqlx::Result<Option<LimitWait>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM github_rate_limit_waits WHERE id = $1 FOR UPDATE"
    ))
    .bind(wait_id)
    .fetch_optional(conn)
    .await
}

/// Open waits of a run, oldest first, locked.
pub async fn open_of_run(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<Vec<LimitWait>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM github_rate_limit_waits WHERE run_id = $1 AND state NOT IN ('resolved', 'cancelled')
          ORDER BY created_at, id FOR UPDATE"
    ))
    .bind(run_id)
    .fetch_all(conn)
    .await
}

/// Attempts that the waits before this run have used: a limit that a resume run meets is the end of an attempt.
pub async fn attempts_of_chain(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<i32> {
    let used: Option<i32> = sqlx::query_scalar(
        "SELECT w.attempts_used FROM agent_runs r
         JOIN github_rate_limit_waits w ON w.run_id = r.resumed_from_run_id AND w.contour_kind = 'agent_bot_token'
         WHERE r.id = $1 AND r.correlation_id = 'github-rate-limit-resume:' || w.id::text",
    )
    .bind(run_id)
    .fetch_optional(conn)
    .await?;
    Ok(used.unwrap_or_default())
}

/// Takes due waits, and those whose claim came to nothing. An agent's wait is due once the agent has ended and nothing
/// else holds its run.
pub async fn claim_due(conn: &mut PgConnection) -> sqlx::Result<Vec<LimitWait>> {
    sqlx::query_as(concat!(
        "UPDATE github_rate_limit_waits SET state = 'auto_resume_in_progress',
             attempts_used = attempts_used + CASE WHEN state = 'auto_resume_scheduled' THEN 1 ELSE 0 END
         WHERE id IN (
             SELECT w.id FROM github_rate_limit_waits w JOIN agent_runs r ON r.id = w.run_id
             WHERE ((w.state = 'auto_resume_scheduled' AND w.resume_not_before <= platform_now())
                 OR (w.state = 'auto_resume_in_progress' AND w.updated_at <= platform_now() - make_interval(secs => $1)))
               AND (w.contour_kind = 'platform_pat' OR (r.parked_at IS NOT NULL AND NOT EXISTS (
                   SELECT 1 FROM github_rate_limit_waits o
                   WHERE o.run_id = w.run_id AND o.id <> w.id AND o.state NOT IN ('resolved', 'cancelled'))))
             ORDER BY w.resume_not_before LIMIT $2 FOR UPDATE OF w SKIP LOCKED)
         RETURNING ",
        columns!()
    ))
    .bind(STALE_CLAIM_SECONDS)
    .bind(CLAIM_LIMIT)
    .fetch_all(conn)
    .await
}

/// Closes a wait. `false`: it was closed before.
pub async fn close(conn: &mut PgConnection, wait_id: Uuid, state: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE github_rate_limit_waits SET state = $2, resolved_at = platform_now()
         WHERE id = $1 AND state NOT IN ('resolved', 'cancelled')",
    )
    .bind(wait_id)
    .bind(state)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Grants a wait that staff lets go on one more attempt, now.
pub async fn grant_attempt(conn: &mut PgConnection, wait_id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE github_rate_limit_waits SET state = 'auto_resume_scheduled', resume_not_before = platform_now(),
             max_attempts = attempts_used + 1
         WHERE id = $1 AND state = 'manual_action_required'",
    )
    .bind(wait_id)
    .execute(conn)
    .await
    .map(drop)
}

/// Adds to what is known of a wait; the same thing is known once.
pub async fn add_evidence(
    conn: &mut PgConnection,
    wait_id: Uuid,
    event_kind: &str,
    signal_id: &str,
    excerpt: &str,
) -> sqlx::Result<()> {
    let excerpt: String = excerpt
        .replace('\0', "\u{fffd}")
        .chars()
        .take(EXCERPT_CHARACTERS)
        .collect();
    sqlx::query(
        "INSERT INTO github_rate_limit_wait_evidence (wait_id, event_kind, signal_id, excerpt)
         VALUES ($1, $2, $3, $4) ON CONFLICT (wait_id, event_kind, signal_id) DO NOTHING",
    )
    .bind(wait_id)
    .bind(event_kind)
    .bind(signal_id)
    .bind(excerpt)
    .execute(conn)
    .await
    .map(drop)
}

/// Whether limits are waited out at all.
pub async fn is_enabled(executor: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    let value: Option<bool> = sqlx::query_scalar(
        "SELECT (value_json #>> '{}')::boolean FROM system_settings WHERE key = 'github_rate_limit_wait_enabled'",
    )
    .fetch_optional(executor)
    .await?;
    Ok(value.unwrap_or(true))
}

/// Whether a wait of the platform's own calls for this run is being tried.
pub async fn is_tried(conn: &mut PgConnection, run_id: Uuid) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM github_rate_limit_waits
                        WHERE run_id = $1 AND contour_kind = 'platform_pat' AND state = 'auto_resume_in_progress')",
    )
    .bind(run_id)
    .fetch_one(conn)
    .await
}
